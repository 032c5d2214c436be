// A program beside us, from its start to its end: its lines of JSON, its standard input, and what the system says it cost.
// Every program is measured from outside and in the same way, ours too: no figure is a program's word about itself.

import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { track } from "../processes/processes.js";
import { harness } from "./compile.js";

const LINE_TIMEOUT_MS = 120_000;
const STOP_PATIENCE_MS = 5000;
/** USER_HZ, which Linux fixes at 100 for all that programs see. */
const TICKS_PER_SECOND = 100;

type Line = Record<string, unknown>;

export class MeasuredProgram {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #lines: Line[] = [];
  readonly #ended: Promise<void>;
  #rest = "";
  #errors = "";
  #over = false;
  #wake: () => void = () => {};

  constructor(command: string, args: readonly string[], name = command) {
    this.#name = name;
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    track(this.#child);
    this.#child.stdout!.on("data", (chunk: Buffer) => this.#read(chunk.toString()));
    this.#child.stderr!.on("data", (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-2000);
    });
    // A program that ended cannot be written to; that it ended is found out where its lines are waited for.
    this.#child.stdin!.on("error", () => {});
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#over = true;
        this.#wake();
        resolve();
      };
      this.#child.once("close", end);
      this.#child.once("error", (error) => {
        this.#errors += error.message;
        end();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Rejects when the program ends by itself, with what it said. */
  async fails(): Promise<never> {
    await this.#ended;
    throw new Error(`${this.#name} ended: ${this.#errors.trim() || "without a word"}`);
  }

  say(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** The next line with this key, in the order they came. Rejects when the program ends, or says nothing for long. */
  async line(key: string, timeoutMs = LINE_TIMEOUT_MS): Promise<Line> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const index = this.#lines.findIndex((line) => key in line);
      if (index >= 0) return this.#lines.splice(0, index + 1).at(-1)!;
      if (this.#over) throw new Error(`${this.#name} ended: ${this.#errors.trim() || "without a word"}`);
      const left = deadlineMs - performance.now();
      if (left <= 0)
        throw new Error(`${this.#name} said nothing of "${key}" in time. ${this.#errors.trim()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Ends it, kindly at first. */
  async stop(): Promise<void> {
    this.#child.stdin!.end();
    if (!this.#over) this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), STOP_PATIENCE_MS);
    await this.#ended;
    clearTimeout(force);
  }

  /** Ends it at once: what it would still do is measured by nobody. */
  async kill(): Promise<void> {
    if (!this.#over) this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith("{")) this.#lines.push(JSON.parse(line) as Line);
    }
    this.#wake();
  }
}

export interface CpuReading {
  /** Of all threads, the ended ones too. */
  readonly seconds: number;
  /** The same by kind, only to ticks of 10 ms: it tells the share, not the sum. */
  readonly userSeconds: number;
  readonly systemSeconds: number;
}

/** The CPU clocks of other processes. */
export class ProcessClock {
  readonly #program: MeasuredProgram;

  private constructor(path: string) {
    this.#program = new MeasuredProgram(path, [], "process-clock");
  }

  static async start(): Promise<ProcessClock> {
    return new ProcessClock(await harness("process-clock"));
  }

  /** Rejects if there is no such process any more. */
  async read(pid: number): Promise<CpuReading> {
    this.#program.say(String(pid));
    const line = await this.#program.line("cpuNanoseconds", 10_000);
    // The name of the program, in brackets, may hold anything; fields 14 and 15 are counted from behind it.
    const status = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
    return {
      seconds: Number(line["cpuNanoseconds"]) / 1e9,
      userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
      systemSeconds: Number(fields[12]) / TICKS_PER_SECOND,
    };
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }
}

/** Bytes of resident memory: now, and at the most since the program started. */
export async function residentBytes(pid: number): Promise<{ now: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kilobytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return { now: 1024 * kilobytes("VmRSS"), peak: 1024 * kilobytes("VmHWM") };
}
