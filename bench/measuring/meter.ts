// What a stretch of work cost this process: time, CPU, memory, faults and switches, as every trial tells them.

import { number, object, type ValueOf } from "../processes/shape.js";
import type { LabFigures } from "./results.js";

const BLOCK_BYTES = 16_384;

/** System calls that moved the bytes, and all bytes that they moved. */
export interface CallsMade {
  readonly calls: number;
  readonly bytes: number;
}

/** What is read of a process's resourceUsage(). */
export const USAGE = object({
  userCPUTime: number,
  systemCPUTime: number,
  maxRSS: number,
  minorPageFault: number,
  majorPageFault: number,
  voluntaryContextSwitches: number,
  involuntaryContextSwitches: number,
  fsRead: number,
});
type Usage = ValueOf<typeof USAGE>;

/** Begins when it is made. */
export class Meter {
  readonly #startedMs = performance.now();
  readonly #before = process.resourceUsage();

  /** Of `payloadBytes` since the beginning. */
  figures(payloadBytes: number, made?: CallsMade): LabFigures {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    return usageFigures(payloadBytes, seconds, this.#before, process.resourceUsage(), made);
  }
}

/** What lies between two readings of a process's resourceUsage(). */
export function usageFigures(
  payloadBytes: number,
  seconds: number,
  before: Usage,
  now: Usage,
  made?: CallsMade,
): LabFigures {
  const userSeconds = (now.userCPUTime - before.userCPUTime) / 1e6;
  const systemSeconds = (now.systemCPUTime - before.systemCPUTime) / 1e6;
  const gigabytes = payloadBytes / 1e9;
  const blocks = Math.ceil(payloadBytes / BLOCK_BYTES);
  return {
    payloadBytes,
    seconds,
    bytesPerSecond: payloadBytes / seconds,
    cpuSecondsPerGB: (userSeconds + systemSeconds) / gigabytes,
    userSecondsPerGB: userSeconds / gigabytes,
    systemSecondsPerGB: systemSeconds / gigabytes,
    peakRssBytes: now.maxRSS * 1024,
    minorFaultsPerBlock: (now.minorPageFault - before.minorPageFault) / blocks,
    majorFaults: now.majorPageFault - before.majorPageFault,
    voluntarySwitchesPerBlock: (now.voluntaryContextSwitches - before.voluntaryContextSwitches) / blocks,
    involuntarySwitches: now.involuntaryContextSwitches - before.involuntaryContextSwitches,
    ...(made === undefined
      ? {}
      : { systemCallsPerBlock: made.calls / blocks, bytesPerSystemCall: made.bytes / made.calls }),
  };
}
