// For how long somebody said nothing although there was a processor for it. On a machine that others use too a process that is silent for a
// second may have waited for a processor all that time, which says nothing about it; one that slept, or was busy with something else, was
// silent.
//
// Always: of a stretch of silence only what none of the threads concerned spent waiting for a processor is told. How long they waited is
// Linux's count (/proc/PID/task/TID/schedstat); where there is none, all of the stretch is told.

import { readdirSync, readFileSync } from "node:fs";

/** Milliseconds that each thread, by its number, was ready to run and did not. */
export type Waits = ReadonlyMap<string, number>;

/** Of all threads of these processes. */
export function readWaits(pids: readonly number[]): Waits {
  const waits = new Map<string, number>();
  for (const pid of pids)
    for (const thread of list(`/proc/${pid}/task`)) {
      const [, waitedNs] = read(`/proc/${pid}/task/${thread}/schedstat`).split(" ");
      if (waitedNs !== undefined) waits.set(thread, Number(waitedNs) / 1e6);
    }
  return waits;
}

export class Silence {
  /** All of it, and the longest stretch. */
  totalMs = 0;
  longestMs = 0;
  #sinceMs: number;
  #waits: Waits;
  #stretchMs = 0;

  constructor(nowMs: number, waits: Waits) {
    this.#sinceMs = nowMs;
    this.#waits = waits;
  }

  /** To be called now and then; `heard`: something was said since the last time. */
  look(heard: boolean, nowMs: number, waits: Waits): void {
    if (heard) {
      this.totalMs += this.#stretchMs;
      this.#sinceMs = nowMs;
      this.#waits = waits;
      this.#stretchMs = 0;
      return;
    }
    let waitedMs = 0;
    // A thread that was not there before began to wait at 0.
    for (const [thread, ms] of waits) waitedMs = Math.max(waitedMs, ms - (this.#waits.get(thread) ?? 0));
    this.#stretchMs = Math.max(0, nowMs - this.#sinceMs - waitedMs);
    this.longestMs = Math.max(this.longestMs, this.#stretchMs);
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** A thread may end meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
