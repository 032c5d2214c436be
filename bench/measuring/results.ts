// What the lab's benchmarks produce, and the report reads: one file of results, a list of trials, each a process of its own
// that did one piece of work once. Nothing is summed up here: medians and ratios are computed from the trials, so that
// another reading of the same file is always possible.

import type { Machine } from "./workplace.js";

export const RESULTS_SCHEMA = 1;

export type LabVerb = "receive" | "storage" | "seed" | "compare" | "wan";

/** One value of each axis that the trial lies on, such as { mode: "speculative", depth: 16, peers: 4 }. */
export type Axes = Readonly<Record<string, string | number | boolean>>;

/**
 * What one trial measured. A figure that cannot be measured (no permission to count, a program that is not ours) is absent, never
 * 0. Per GB means per 10^9 payload bytes; a block has 16 KiB.
 */
export interface LabFigures {
  readonly payloadBytes: number;
  readonly seconds: number;
  readonly bytesPerSecond: number;
  /** User and system time of the measured process, and their sum. */
  readonly cpuSecondsPerGB: number;
  readonly userSecondsPerGB: number;
  readonly systemSecondsPerGB: number;
  readonly peakRssBytes: number;
  /** CPU of the program at the other end, which is not what is measured. */
  readonly loadCpuSecondsPerGB?: number;
  /** Receive system calls, or send system calls where sending is measured. */
  readonly systemCallsPerBlock?: number;
  readonly bytesPerSystemCall?: number;
  /** Receive system calls per request taken in: where seeding is measured. */
  readonly receiveCallsPerRequest?: number;
  readonly requestsPerSecond?: number;
  /** Speed beside that of the link in between, from 0 to 1: where a far peer is measured. */
  readonly linkShare?: number;
  readonly copiedBytesPerByte?: number;
  readonly predictionHits?: number;
  readonly predictionMisses?: number;
  readonly minorFaultsPerBlock?: number;
  readonly majorFaults?: number;
  readonly voluntarySwitchesPerBlock?: number;
  readonly involuntarySwitches?: number;
  /** What the same process had moved before, to become warm. */
  readonly bytesBefore?: number;
  /** Of the first download of the same process, before what is measured: V8 compiles meanwhile. */
  readonly firstCpuSecondsPerGB?: number;
  /** Where `perf` may count. */
  readonly cyclesPerBlock?: number;
  readonly instructionsPerBlock?: number;
  readonly cacheMissesPerBlock?: number;
  /** CPU seconds per GB by what they went into; together cpuSecondsPerGB. See CostSplit. */
  readonly costs?: CostSplit;
}

/** In the order in which they are shown. */
export const COST_NAMES = ["kernel", "copying", "framing", "hashing", "writing"] as const;

/** CPU s/GB. `framing` is what is left of the main thread's user time: TypeScript, V8 and libuv. */
export interface CostSplit {
  /** Kernel time of receiving (or sending) calls. */
  readonly kernel: number;
  readonly copying: number;
  readonly framing: number;
  readonly hashing: number;
  /** Writing (or reading) files, with the kernel's share. */
  readonly writing: number;
}

export interface LabTrial {
  readonly verb: LabVerb;
  /** Which question of the matrix it answers, such as "depth", "peers" or "traffic". */
  readonly group: string;
  /** What did the work: "limit", "scatterwire", "libtorrent (posix)", … Unique within its group and axes. */
  readonly subject: string;
  readonly axes: Axes;
  /** Trials of one round ran one after the other: ratios are taken within it. */
  readonly round: number;
  readonly startedAt: string;
  /** Share of the machine's processors that was in use just before, when nothing of the benchmark ran: 0 to 1. */
  readonly busyBefore?: number;
  readonly figures: LabFigures;
}

/** Work that was not done, and why, in words that say what to do. */
export interface LabOmission {
  readonly verb: LabVerb;
  /** Of a trial that failed: which one. */
  readonly group?: string;
  readonly subject: string;
  readonly axes?: Axes;
  readonly reason: string;
}

export interface LabResults {
  readonly schema: typeof RESULTS_SCHEMA;
  /** scatterwire's version. */
  readonly version: string;
  readonly machine: Machine;
  readonly startedAt: string;
  readonly endedAt: string;
  /** The command lines that made it. */
  readonly commands: readonly string[];
  readonly trials: readonly LabTrial[];
  readonly omissions: readonly LabOmission[];
}
