// A program beside us that speaks in lines of JSON on standard output. It ends when its standard input does, so that it never
// outlives us.

import { type ChildProcess, spawn } from "node:child_process";
import { track } from "./processes.js";

const LINE_TIMEOUT_MS = 60_000;

export class LineProgram {
  readonly lines: Record<string, unknown>[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #rest = "";
  #errors = "";
  #over = false;
  #wake: () => void = () => {};

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    track(this.#child);
    // One that has ended cannot be written to; that it ended is found out where its lines are waited for.
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
      const end = (status: number | null): void => {
        this.#over = true;
        this.#wake();
        resolve(status);
      };
      this.#child.once("error", (error) => {
        this.#errors += error.message;
        end(null);
      });
      this.#child.once("close", end);
    });
  }

  /** Resolves when there are so many lines. */
  async waitFor(count: number): Promise<void> {
    const deadlineMs = performance.now() + LINE_TIMEOUT_MS;
    while (this.lines.length < count) {
      if (this.#over) throw new Error(this.#errors.trim() || "a program ended before it said anything");
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error("a program said nothing in time");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Asks it to tell what it has done so far, and answers the line that it says. */
  async ask(): Promise<Record<string, unknown>> {
    const next = this.lines.length;
    this.#child.stdin!.write("\n");
    await this.waitFor(next + 1);
    return this.lines[next]!;
  }

  /** Ends its standard input, and so the program, and answers its last line. */
  stop(): Promise<Record<string, unknown>> {
    if (!this.#over) this.#child.stdin!.end();
    return this.result();
  }

  /** Waits for its own end, and answers its last line. Rejects with what it said on standard error. */
  async result(): Promise<Record<string, unknown>> {
    const status = await this.#ended;
    if (status !== 0) throw new Error(this.#errors.trim() || `a program ended with status ${status}`);
    return this.lines.at(-1) ?? {};
  }
}
