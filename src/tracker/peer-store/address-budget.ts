// How many new torrents an address may bring: so many each minute, and as many at once. IPv6 addresses count by /64, which is what
// one subscriber has.
//
// Addresses share cells of a fixed table by a keyed hash, so nobody can choose with whom, and memory does not grow with the number
// of addresses. Always: nobody gets more than their budget, however many threads share the table; whoever shares a cell may get less.

import { halfSipHash } from "../../base/keyed-hash.js";

const CELL_BITS = 16;
const CELLS = 2 ** CELL_BITS;
/** A word for each cell, and one for the minute. */
export const BUDGET_BYTES = 4 * (CELLS + 1);
const MINUTE_MS = 60_000;
/** A cell has what is left in its low bits, and the minute it is from above them. */
const LEFT_BITS = 20;
const LEFT_MAX = 2 ** LEFT_BITS - 1;
const MINUTES = 2 ** (32 - LEFT_BITS);

export class AddressBudget {
  readonly #perMinute: number;
  readonly #key: Uint32Array;
  readonly #cells: Uint32Array;

  /** `perMinute` up to 2^20 − 1. `key`: 2 words that nobody knows. `memory`: BUDGET_BYTES, zeros at first, of those who share a budget. */
  constructor(
    perMinute: number,
    key: Uint32Array,
    memory: ArrayBuffer | SharedArrayBuffer = new ArrayBuffer(BUDGET_BYTES),
  ) {
    this.#perMinute = Math.min(perMinute, LEFT_MAX);
    this.#key = key;
    this.#cells = new Uint32Array(memory, 0, CELLS + 1);
  }

  get bytes(): number {
    return this.#cells.byteLength;
  }

  advance(nowMs: number): void {
    // Never 0: a cell that was not used yet is of another minute.
    this.#cells[CELLS] = 1 + (Math.floor(nowMs / MINUTE_MS) % (MINUTES - 1));
  }

  /** Takes one of the budget of the address whose words begin at `at`: 1 word of IPv4, or the first 2 of IPv6. False if none is left. */
  take(address: Uint32Array, at: number, words: number): boolean {
    const cells = this.#cells;
    const minute = cells[CELLS]!;
    const cell = halfSipHash(1, 3, this.#key, address, at, words) >>> (32 - CELL_BITS);
    for (;;) {
      const value = cells[cell]!;
      const left = value >>> LEFT_BITS === minute ? value & LEFT_MAX : this.#perMinute;
      if (left === 0) return false;
      const less = ((minute << LEFT_BITS) | (left - 1)) >>> 0;
      // Another thread may have taken one meanwhile.
      if (Atomics.compareExchange(cells, cell, value, less) === value) return true;
    }
  }
}
