// A Redis of a test's own: Debian's redis-server on a socket in a folder of its own, in memory only, ended by its number.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NEEDED, requireInstalled } from "../../bench/rivals/installed.js";

export class RedisServer {
  readonly #folder = mkdtempSync(join(tmpdir(), "scatterwire-redis-"));
  readonly #options: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(options: readonly string[]) {
    this.#options = options;
  }

  /** Resolves when it answers. */
  static async start(...options: string[]): Promise<RedisServer> {
    requireInstalled(NEEDED.redis);
    const server = new RedisServer(options);
    await server.startAgain();
    return server;
  }

  get socket(): string {
    return join(this.#folder, "redis.sock");
  }

  get url(): string {
    return `unix:${this.socket}`;
  }

  /** A new one at the same place, empty. */
  async startAgain(): Promise<void> {
    const inMemory = ["--port", "0", "--unixsocket", this.socket, "--save", "", "--appendonly", "no"];
    const child = spawn("redis-server", [...inMemory, "--dir", this.#folder, ...this.#options], {
      stdio: "ignore",
    });
    this.#child = child;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`);
      if (/^\+PONG|^-NOAUTH/.test(await this.ask("PING").catch(() => ""))) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** What it says to a command, as it stands on the wire. */
  ask(...words: (string | Uint8Array)[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.socket);
      socket.once("error", reject);
      socket.once("data", (chunk) => {
        resolve(chunk.toString("latin1"));
        socket.destroy();
      });
      const parts = words.map((word) => Buffer.from(word as string));
      socket.write(`*${parts.length}\r\n`);
      for (const part of parts)
        socket.write(Buffer.concat([Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]));
    });
  }

  /** Ends at once, as if its machine were gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
  }

  /** Halts it, and lets it go on: a Redis that takes connections and answers nothing. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
