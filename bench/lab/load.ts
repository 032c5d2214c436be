// Starts and ends the load generators beside a trial, and keeps what they said.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { track } from "../processes.js";

const SEEDER = fileURLToPath(new URL("./load-seeder.js", import.meta.url));
const LEECHER = fileURLToPath(new URL("./load-leecher.js", import.meta.url));
const READY_TIMEOUT_MS = 30_000;

export interface LoadResult {
  readonly payloadBytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly connections: number;
  /** Of a leecher. */
  readonly requests?: number;
}

export interface SeederOptions {
  readonly torrent: string;
  readonly file: string;
  /** Addresses to listen at, one for each peer that the downloader shall see. */
  readonly peers: number;
  readonly host?: string;
  readonly haveEvery?: number;
  readonly shuffle?: boolean;
  readonly segmentBytes?: number;
  /** What the program is started with, such as ["ip", "netns", "exec", …]. */
  readonly prefix?: readonly string[];
}

export interface LoadSeeder {
  /** HOST:PORT, one per peer. */
  readonly addresses: readonly string[];
  /** Ends it, and answers what it did. */
  stop(): Promise<LoadResult>;
}

/** A program of JSON lines on standard output. It ends when its standard input does, so that it never outlives us. */
class LineProgram {
  readonly #child: ReturnType<typeof spawn>;
  readonly #ended: Promise<number | null>;
  readonly lines: Record<string, unknown>[] = [];
  #rest = "";
  #errors = "";
  #over = false;
  #wake: () => void = () => {};

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    track(this.#child);
    this.#child.stdin!.on("error", () => {});
    this.#child.stdout!.on("data", (chunk: Buffer) => {
      const lines = (this.#rest + chunk.toString()).split("\n");
      this.#rest = lines.pop()!;
      for (const line of lines) this.lines.push(JSON.parse(line) as Record<string, unknown>);
      this.#wake();
    });
    this.#child.stderr!.on("data", (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.#errors += error.message;
        this.#over = true;
        this.#wake();
        resolve(null);
      });
      this.#child.once("close", (status) => {
        this.#over = true;
        this.#wake();
        resolve(status);
      });
    });
  }

  /** Resolves when there are so many lines. */
  async waitFor(count: number): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (this.lines.length < count) {
      if (this.#over) throw new Error(this.#errors.trim() || "a load generator ended");
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error("a load generator did not become ready");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  interrupt(): void {
    if (!this.#over) this.#child.stdin!.end();
  }

  async result(): Promise<LoadResult> {
    const status = await this.#ended;
    if (status !== 0) throw new Error(this.#errors.trim() || `a load generator ended with status ${status}`);
    return this.lines.at(-1) as unknown as LoadResult;
  }
}

export async function startLoadSeeder(options: SeederOptions): Promise<LoadSeeder> {
  const { torrent, file, peers, host = "127.0.0.1" } = options;
  const command = [...(options.prefix ?? []), process.execPath, SEEDER, torrent, file];
  // One address several times gets a port of its own each time: each is another peer.
  for (let peer = 0; peer < peers; peer++) command.push("--host", host);
  if (options.haveEvery !== undefined) command.push("--have-every", String(options.haveEvery));
  if (options.shuffle === true) command.push("--shuffle");
  if (options.segmentBytes !== undefined) command.push("--segment", String(options.segmentBytes));
  const program = new LineProgram(command[0]!, command.slice(1));
  await program.waitFor(peers);
  return {
    addresses: program.lines.map((line) => `${line["host"]}:${line["port"]}`),
    stop: () => {
      program.interrupt();
      return program.result();
    },
  };
}

export interface LeecherOptions {
  readonly torrent: string;
  /** HOST:PORT of the seeder. */
  readonly address: string;
  readonly connections: number;
  readonly queue: number;
  readonly bytes: number;
  readonly random?: boolean;
}

/** Runs a leecher to its end. */
export function runLoadLeecher(options: LeecherOptions): Promise<LoadResult> {
  const { torrent, address, connections, queue, bytes } = options;
  const program = new LineProgram(process.execPath, [
    ...[LEECHER, torrent, "--connect", address, "--connections", String(connections)],
    ...["--queue", String(queue), "--bytes", String(bytes)],
    ...(options.random === true ? ["--random"] : []),
  ]);
  return program.result();
}
