// What an engine takes from the world besides bytes: the time, timers and chance. Whatever stands above sockets and files takes them from
// here and from nowhere else, so that a test can hand in its own and have the same run twice.
//
// Not from here, because nothing that is decided depends on it: stamps that are written into files or told to people
// (a torrent's creation date, the name of the trial file of `direct` storage), and the round of the loop in
// base/user-calls.ts that keeps listeners from stopping it.

import { randomFillSync } from "node:crypto";

/** A timer of {@link Ground}. Node.js's own are such. */
export interface Timer {
  /** Keeps the program alive, as it does at first, or not. */
  ref(): unknown;
  unref(): unknown;
  /** Begins anew, also when it has run. */
  refresh(): unknown;
  /** Never calls back again. */
  close(): unknown;
}

export interface Ground {
  /** Milliseconds, with fractions, since some moment; it never goes back. */
  nowMs(): number;
  /** Calls back once, after so long. */
  after(ms: number, callback: () => void): Timer;
  /** Calls back each time so long has passed. */
  every(ms: number, callback: () => void): Timer;
  /** From 0 to below 1. */
  random(): number;
  /** Fills `bytes` from index `from` on, with what nobody can guess. */
  fillRandom(bytes: Uint8Array, from: number): void;
}

/** The machine's clock, Node.js's timers, the system's dice. */
export const SYSTEM_GROUND: Ground = {
  nowMs: () => performance.now(),
  after: (ms, callback) => setTimeout(callback, ms),
  every: (ms, callback) => setInterval(callback, ms),
  random: Math.random,
  fillRandom: (bytes, from) => {
    randomFillSync(bytes, from);
  },
};
