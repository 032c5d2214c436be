// Hardware counters by `perf stat`, where it may count. The counters stand still until the trial says that its work begins,
// so that starting Node.js is not in them. Where perf may not count, a trial has no such figures.

import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { present } from "../../src/base/assert.js";
import { entryOf, firstOf } from "./ends.js";
import type { LabFigures } from "./results.js";

const EVENTS = ["cycles", "instructions", "LLC-load-misses"] as const;
const BLOCK_BYTES = 16_384;
const FIFOS_VARIABLE = "SCATTERWIRE_PERF_FIFOS";
let detected: boolean | undefined;

/** Whether perf may count `events` of our own processes; asked once. */
export function perfMayCount(events: readonly string[] = EVENTS): boolean {
  if (detected !== undefined && events === EVENTS) return detected;
  const { status, stderr, error } = spawnSync("perf", ["stat", "-x,", "-e", events.join(","), "true"], {
    encoding: "utf8",
  });
  const may = error === undefined && status === 0 && counts(stderr, events).size === events.length;
  if (events === EVENTS) detected = may;
  return may;
}

/** From perf's lines "COUNT,UNIT,EVENT,…": what was counted; events that are not supported are missing. */
function counts(text: string, events: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [count, , name] = line.split(",");
    const event = events.find((each) => name === each || name?.startsWith(`${each}:`));
    if (event !== undefined && /^[\d.]+$/.test(count ?? "")) found.set(event, Number(count));
  }
  return found;
}

/** What a measured program is started with, and how to read what was counted. */
export class PerfStat {
  readonly prefix: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly #events: readonly string[];
  readonly #output: string;
  readonly #fifos: readonly [string, string];

  /** `folder` takes the files that perf talks through. */
  constructor(folder: string, events: readonly string[] = EVENTS) {
    this.#events = events;
    this.#output = join(folder, "perf.counts");
    this.#fifos = [join(folder, "perf.control"), join(folder, "perf.acknowledged")];
    for (const fifo of this.#fifos) {
      rmSync(fifo, { force: true });
      spawnSync("mkfifo", [fifo]);
    }
    const control = `fifo:${this.#fifos.join(",")}`;
    this.prefix = [
      ...["perf", "stat", "-x,", "-D", "-1", "--control", control],
      ...["-o", this.#output, "-e", events.join(",")],
    ];
    this.environment = { [FIFOS_VARIABLE]: this.#fifos.join(",") };
  }

  /** Counts by event. */
  read(): Map<string, number> {
    return counts(readFileSync(this.#output, "utf8"), this.#events);
  }

  figures(payloadBytes: number): Partial<LabFigures> {
    const found = this.read();
    const perBlock = (event: string): number =>
      present(found.get(event), "each event was counted") / Math.ceil(payloadBytes / BLOCK_BYTES);
    if (found.size < EVENTS.length) return {};
    return {
      cyclesPerBlock: perBlock("cycles"),
      instructionsPerBlock: perBlock("instructions"),
      cacheMissesPerBlock: perBlock("LLC-load-misses"),
    };
  }
}

/** In the measured program: starts and stops the counters, and waits until perf did so. */
export class PerfControl {
  readonly #control: number;
  readonly #acknowledged: number;

  private constructor(control: string, acknowledged: string) {
    this.#control = openSync(control, "r+");
    this.#acknowledged = openSync(acknowledged, "r+");
  }

  /** Undefined where nobody counts. */
  static fromEnvironment(): PerfControl | undefined {
    const fifos = process.env[FIFOS_VARIABLE]?.split(",");
    return fifos === undefined ? undefined : new PerfControl(firstOf(fifos), entryOf(fifos, 1));
  }

  enable(): void {
    this.#say("enable\n");
  }

  disable(): void {
    this.#say("disable\n");
    closeSync(this.#control);
    closeSync(this.#acknowledged);
  }

  #say(command: string): void {
    writeSync(this.#control, command);
    readSync(this.#acknowledged, Buffer.alloc(16));
  }
}
