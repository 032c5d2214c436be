// A program beside us, from its start to its end: what it prints, the lines of JSON among that, its standard input, and how it
// ends. The lab and the tests start all their programs with this.
//
// Always: what a program answers is a value of a known shape, or an error that names the program and quotes it. A program's
// standard input is a pipe that ends when we do, and whatever still runs is ended with a benchmark (running.ts).

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { basename } from "node:path";
import type { Readable, Writable } from "node:stream";
import { commandLine } from "./command-line.js";
import { track } from "./running.js";
import { isObject, type ObjectShape, type Shape } from "./shape.js";

const LINE_TIMEOUT_MS = 120_000;
const STOP_PATIENCE_MS = 5000;
/** So much of what a program said is quoted in errors. */
const QUOTED_MAX = 2000;

/** A line of JSON that a program printed, before anything of it is known. */
export type Line = Readonly<Record<string, unknown>>;

export interface ProgramOptions {
  /** What it is called in errors; the name of its file without it. */
  readonly name?: string | undefined;
  /** A command that it is started by, such as ["perf", "stat"]. */
  readonly prefix?: readonly string[] | undefined;
  /** Added to our own environment. */
  readonly environment?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
}

export class Program {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Resolves with the exit status when all output has been read; null: a signal ended it, or it is not installed. */
  readonly ended: Promise<number | null>;
  /** Everything from standard output, and from standard error. */
  output = "";
  errors = "";
  /** The JSON objects among its lines on standard output, in the order in which they came. */
  readonly lines: Line[] = [];
  readonly #name: string;
  readonly #looks = new Set<() => void>();
  /** Lines before this one were answered by line() already. */
  #unread = 0;
  #rest = "";
  #over = false;
  #missing = false;

  constructor(command: string, args: readonly string[] = [], options: ProgramOptions = {}) {
    const { name = basename(command), prefix = [], environment, cwd } = options;
    this.#name = name;
    const [program = command, ...rest] = [...prefix, command, ...args];
    this.child = spawn(program, rest, {
      stdio: ["pipe", "pipe", "pipe"],
      // The lab and the tests talk to this machine only.
      env: { ...process.env, SCATTERWIRE_DHT: "off", ...environment },
      ...(cwd === undefined ? {} : { cwd }),
    });
    track(this.child);
    // A program that has ended cannot be written to; that it ended is found out where its lines are waited for.
    this.child.stdin.on("error", () => {});
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      const end = (status: number | null): void => {
        this.#take(this.#rest);
        this.#rest = "";
        this.#over = true;
        resolve(status);
        this.#look();
      };
      this.child.once("close", end);
      this.child.once("error", (error: NodeJS.ErrnoException) => {
        this.#missing = error.code === "ENOENT";
        this.errors += error.message;
        end(null);
      });
    });
  }

  /** A program of ours in JavaScript: the path of its file, and its arguments. */
  static node(file: string, args: readonly string[] = [], options: ProgramOptions = {}): Program {
    return new Program(process.execPath, [file, ...args], { name: basename(file, ".js"), ...options });
  }

  /** Our own command line. */
  static cli(...args: string[]): Program {
    return Program.node(commandLine(), args, { name: `scatterwire ${args[0] ?? ""}`.trimEnd() });
  }

  /** 0 if it could not be started. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** It has ended, and all that it said was read. */
  get over(): boolean {
    return this.#over;
  }

  /** There is no such program. Known when it is over. */
  get missing(): boolean {
    return this.#missing;
  }

  say(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  /**
   * The next JSON line with this key, in the order they came, that does not tell progress; lines before it are passed over. Rejects
   * when the program ends without it, or does not say it in time.
   */
  line(key: string, timeoutMs = LINE_TIMEOUT_MS): Promise<Line> {
    return this.#until(`"${key}"`, timeoutMs, () => {
      for (let index = this.#unread; index < this.lines.length; index++) {
        const line = this.lines[index];
        if (line === undefined || !(key in line) || line["event"] === "progress") continue;
        this.#unread = index + 1;
        return line;
      }
      return undefined;
    });
  }

  /** The same as line() for the first key of a shape, read by that shape. */
  async read<Value>(shape: ObjectShape<Value>, timeoutMs = LINE_TIMEOUT_MS): Promise<Value> {
    const [key = ""] = shape.keys;
    return shape(await this.line(key, timeoutMs), `what ${this.#name} said`);
  }

  /** Sends an empty line, which asks it what it has done so far, and reads the answer. */
  ask<Value>(shape: ObjectShape<Value>): Promise<Value> {
    this.say("");
    return this.read(shape);
  }

  /** Resolves when standard error matches. Rejects when the program ends without it, or does not say it in time. */
  async said(pattern: RegExp, timeoutMs = LINE_TIMEOUT_MS): Promise<void> {
    await this.#until(String(pattern), timeoutMs, () => pattern.test(this.errors) || undefined);
  }

  /** Waits for its end, whatever that is: the exit status, the last line of JSON, and what it said on standard error. */
  async result(): Promise<{ status: number | null; last: Line; errors: string }> {
    const status = await this.ended;
    return { status, last: this.lines.at(-1) ?? {}, errors: this.errors };
  }

  /** Waits for its end, which must be a success, and reads its last line. Rejects with what it said on standard error. */
  async answer<Value>(shape: Shape<Value>): Promise<Value> {
    const { status, last, errors } = await this.result();
    if (status !== 0) {
      const how =
        status === null ? `ended by ${this.child.signalCode ?? "an error"}` : `ended with status ${status}`;
      throw new Error(errors.trim() || `${this.#name} ${how}`);
    }
    return shape(last, `what ${this.#name} answered`);
  }

  /** Ends its standard input, by which it ends and says what it did, and reads that. */
  finish<Value>(shape: Shape<Value>): Promise<Value> {
    this.child.stdin.end();
    return this.answer(shape);
  }

  /** Rejects when the program ends by itself, with what it said. */
  async fails(): Promise<never> {
    await this.ended;
    throw new Error(`${this.#name} ended: ${this.#quoted()}`);
  }

  /** Ends it, kindly at first. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.child.stdin.end();
    this.child.kill(signal);
    const force = setTimeout(() => this.child.kill("SIGKILL"), STOP_PATIENCE_MS);
    await this.ended;
    clearTimeout(force);
  }

  /** Ends it at once: what it would still do matters to nobody. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  /** Looks whenever the program says something, until it is found. */
  async #until<Found>(what: string, timeoutMs: number, look: () => Found | undefined): Promise<Found> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#over) throw new Error(`${this.#name} ended without saying ${what}: ${this.#quoted()}`);
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error(`${this.#name} did not say ${what} in time: ${this.#quoted()}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#looks.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, leftMs);
        this.#looks.add(wake);
      });
    }
  }

  #look(): void {
    for (const look of [...this.#looks]) look();
  }

  #quoted(): string {
    return (this.errors.trim() || this.output.trim()).slice(-QUOTED_MAX) || "it said nothing";
  }

  #read(text: string): void {
    this.output += text;
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
    this.#look();
  }

  #take(line: string): void {
    const value = line.startsWith("{") ? jsonOf(line) : undefined;
    if (isObject(value)) this.lines.push(value);
  }
}

/** Undefined where it is no JSON: then it is text that happens to begin like it. */
function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
