// What worker threads have counted, in memory that they share: each publishes now and then, and the main thread adds up.
//
// Always: numbers of a thread only grow; what a thread that ended had published last is kept.

import { makeSwarmCounters } from "../peer-store/peer-store.js";
import { makeUdpCounters } from "./udp-responder.js";

export const WORKERS_MAX = 64;

/** Of shared swarms, as one thread sees them. */
export interface PartCounters {
  /** Requests that got nothing, or a lock too late, as another thread had their part for too long. */
  lockTimeouts: number;
  /** Times that a part was taken by another thread, and that this one slept for it. */
  lockWaits: number;
  lockSleeps: number;
  /** Parts that were cleared because a thread ended, or failed, in the middle of one. */
  partsCleared: number;
  /** Announces and scrapes that lists refused, and downloads for which there was no room among those that are kept. */
  refused: number;
  unkept: number;
}

export function makePartCounters(): PartCounters {
  return { lockTimeouts: 0, lockWaits: 0, lockSleeps: 0, partsCleared: 0, refused: 0, unkept: 0 };
}

export interface WorkerCounters {
  readonly udp: ReturnType<typeof makeUdpCounters>;
  readonly swarms: ReturnType<typeof makeSwarmCounters>;
  readonly parts: PartCounters;
}

export function makeWorkerCounters(): WorkerCounters {
  return { udp: makeUdpCounters(), swarms: makeSwarmCounters(), parts: makePartCounters() };
}

const GROUPS = ["udp", "swarms", "parts"] as const;
const NAMES = GROUPS.flatMap((group) =>
  Object.keys(makeWorkerCounters()[group]).map((name) => [group, name] as const),
);
export const WORKER_COUNTERS_BYTES = 8 * NAMES.length;

/** Adds what somebody counted. */
export function addCounters(sum: WorkerCounters, counted: WorkerCounters): void {
  for (const [group, name] of NAMES) {
    const to = sum[group] as unknown as Record<string, number>;
    const from = counted[group] as unknown as Record<string, number>;
    to[name] = (to[name] ?? 0) + (from[name] ?? 0);
  }
}

/** Writes counters to shared memory, or reads them back. */
export function publishCounters(memory: SharedArrayBuffer, counters: WorkerCounters): void {
  const numbers = new Float64Array(memory);
  NAMES.forEach(([group, name], index) => {
    numbers[index] = (counters[group] as unknown as Record<string, number>)[name] ?? 0;
  });
}

export function readCounters(memory: SharedArrayBuffer): WorkerCounters {
  const numbers = new Float64Array(memory);
  const counters = makeWorkerCounters();
  NAMES.forEach(([group, name], index) => {
    (counters[group] as unknown as Record<string, number>)[name] = numbers[index] ?? 0;
  });
  return counters;
}
