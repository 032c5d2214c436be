// Processes of the tests: started, listened to, and ended with the test that started them.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export class Program {
  readonly child: ChildProcess;
  output = "";
  errors = "";
  readonly ended: Promise<number | null>;
  #listeners = new Set<() => void>();

  constructor(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}, cwd?: string) {
    this.child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.child.stdout!.on("data", (chunk: Buffer) => {
      this.output += chunk.toString();
      for (const listener of this.#listeners) listener();
    });
    this.child.stderr!.on("data", (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    this.ended = new Promise((resolve) => {
      this.child.once("close", (status) => {
        resolve(status);
        for (const listener of this.#listeners) listener();
      });
      this.child.once("error", () => resolve(null));
    });
  }

  /** Our own command line. */
  static cli(...args: string[]): Program {
    return new Program(process.execPath, [CLI, ...args]);
  }

  get lines(): Record<string, unknown>[] {
    return this.output
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** The first JSON line with this key that does not tell progress. Rejects when the program ends without it. */
  async line(key: string, timeoutMs = 60_000): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(look);
      };
      const look = (): void => {
        const complete = this.output.slice(0, this.output.lastIndexOf("\n") + 1);
        const found = complete.includes("\n")
          ? this.lines.find((line) => key in line && line["event"] !== "progress")
          : undefined;
        if (found !== undefined) {
          stop();
          resolve(found);
        } else if (this.child.exitCode !== null || this.child.signalCode !== null) {
          stop();
          reject(new Error(`ended without "${key}": ${this.errors || this.output}`));
        }
      };
      const timer = setTimeout(() => {
        stop();
        reject(new Error(`no "${key}" within ${timeoutMs} ms: ${this.errors || this.output}`));
      }, timeoutMs);
      this.#listeners.add(look);
      look();
    });
  }

  /** Resolves when standard error matches. Rejects when the program ends without it. */
  async said(pattern: RegExp, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!pattern.test(this.errors)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`ended without saying ${pattern}: ${this.errors}`);
      if (performance.now() > deadline) throw new Error(`did not say ${pattern}: ${this.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Waits for the end; the last JSON line and the exit status. */
  async result(): Promise<{ status: number | null; last: Record<string, unknown>; errors: string }> {
    const status = await this.ended;
    return { status, last: this.lines.at(-1) ?? {}, errors: this.errors };
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    const force = setTimeout(() => this.child.kill("SIGKILL"), 5000);
    await this.ended;
    clearTimeout(force);
  }
}

/** Throws unless the program can be run: a test with real clients never passes without them. */
export function requireProgram(command: string, args: readonly string[], debianPackage: string): void {
  const { error, status } = spawnSync(command, args, { stdio: "ignore" });
  if (error === undefined && status === 0) return;
  throw new Error(`${command} is missing: install it with "apt-get install ${debianPackage}"`);
}

/** A port that nothing listens at now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
