// How often something may happen for one address: so many times a second, and as many at once as the burst. IPv6 addresses count by
// /64. Addresses share the cells of a fixed table by a keyed hash, so that memory does not grow with them and nobody can choose
// with whom they share (a cell has one number: when it would be empty again, as in the generic cell rate algorithm).
//
// Always: nobody gets more than their rate; whoever shares a cell with a busy one may get less.

import { halfSipHash } from "../base/keyed-hash.js";

const CELL_BITS = 14;

export class RateCells {
  readonly #emptyAtMs: Float64Array;
  readonly #cellBits: number;
  readonly #key: Uint32Array;
  readonly #intervalMs: number;
  readonly #burstMs: number;

  /** `perSecond` Infinity: never refuses. `key`: 2 words that nobody knows. */
  constructor(perSecond: number, burst: number, key: Uint32Array, cellBits = CELL_BITS) {
    this.#cellBits = cellBits;
    this.#emptyAtMs = new Float64Array(2 ** cellBits);
    this.#intervalMs = 1000 / perSecond;
    this.#burstMs = (burst - 1) * this.#intervalMs;
    this.#key = key;
  }

  /** Takes one for the address whose words begin at `at`: 1 word of IPv4, or the first 2 of IPv6. False if it must not be now. */
  take(address: Uint32Array, at: number, words: number, nowMs: number): boolean {
    if (this.#intervalMs === 0) return true;
    const cell = halfSipHash(1, 3, this.#key, address, at, words) >>> (32 - this.#cellBits);
    const emptyAtMs = Math.max(this.#emptyAtMs[cell]!, nowMs);
    if (emptyAtMs - nowMs > this.#burstMs) return false;
    this.#emptyAtMs[cell] = emptyAtMs + this.#intervalMs;
    return true;
  }
}
