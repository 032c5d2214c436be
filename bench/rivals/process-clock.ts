// What the system says a program cost. Every program is measured from outside and in the same way, ours too: no figure is a
// program's word about itself.

import { readFile } from "node:fs/promises";
import { Program } from "../processes/program.js";
import { number, object } from "../processes/shape.js";
import { harness } from "./compile.js";

const CLOCK_TIMEOUT_MS = 10_000;
/** USER_HZ, which Linux fixes at 100 for all that programs see. */
const TICKS_PER_SECOND = 100;
const CLOCK_SAID = object({ cpuNanoseconds: number });

export interface CpuReading {
  /** Of all threads, the ended ones too. */
  readonly seconds: number;
  /** The same by kind, only to ticks of 10 ms: it tells the share, not the sum. */
  readonly userSeconds: number;
  readonly systemSeconds: number;
}

/** The CPU clocks of other processes. */
export class ProcessClock {
  readonly #program: Program;

  private constructor(path: string) {
    this.#program = new Program(path, [], { name: "process-clock" });
  }

  static async start(): Promise<ProcessClock> {
    return new ProcessClock(await harness("process-clock"));
  }

  /** Rejects if there is no such process any more. */
  async read(pid: number): Promise<CpuReading> {
    this.#program.say(String(pid));
    const { cpuNanoseconds } = await this.#program.read(CLOCK_SAID, CLOCK_TIMEOUT_MS);
    // The name of the program, in brackets, may hold anything; fields 14 and 15 are counted from behind it.
    const status = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
    return {
      seconds: cpuNanoseconds / 1e9,
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
