// What an address may do to a store: bring new torrents, push out old ones, add peers to a swarm; so often in each window of time, and as
// often at once. IPv6 addresses count by /64, which is what one subscriber has.
//
// Addresses share cells of a fixed table by a keyed hash, so nobody can choose with whom, and memory does not grow with the number
// of addresses. Always: nobody gets more than their budget, however many threads share the table; whoever shares a cell may get less.

import { halfSipHash } from "../../base/keyed-hash.js";

const CELL_BITS = 16;
const MINUTE_MS = 60_000;
/** A cell has what is left in its low bits, and the window it is from above them. */
const LEFT_BITS = 20;
const LEFT_MAX = 2 ** LEFT_BITS - 1;
const WINDOWS = 2 ** (32 - LEFT_BITS);

/** Bytes of a table of so many bits: a word for each cell, and one for the window. */
export function budgetBytes(cellBits = CELL_BITS): number {
  return 4 * (2 ** cellBits + 1);
}

export class AddressBudget {
  readonly #most: number;
  readonly #key: Uint32Array;
  readonly #cells: Uint32Array;
  readonly #cellBits: number;
  readonly #windowMs: number;

  /**
   * `most` in a window, up to 2^20 − 1. `key`: 2 words that nobody knows. `memory`: budgetBytes(cellBits), zeros at first, of those who
   * share a budget.
   */
  constructor(
    most: number,
    key: Uint32Array,
    memory: ArrayBuffer | SharedArrayBuffer = new ArrayBuffer(budgetBytes()),
    cellBits = CELL_BITS,
    windowMs = MINUTE_MS,
  ) {
    this.#most = Math.min(most, LEFT_MAX);
    this.#key = key;
    this.#cellBits = cellBits;
    this.#cells = new Uint32Array(memory, 0, 2 ** cellBits + 1);
    this.#windowMs = windowMs;
  }

  get bytes(): number {
    return this.#cells.byteLength;
  }

  advance(nowMs: number): void {
    // Never 0: a cell that was not used yet is of another window.
    this.#cells[this.#cells.length - 1] = 1 + (Math.floor(nowMs / this.#windowMs) % (WINDOWS - 1));
  }

  /**
   * Takes one of the budget of the address whose words begin at `at`: 1 word of IPv4, or the first 2 of IPv6; with more words, of the
   * address and what stands behind it. False if none is left.
   */
  take(address: Uint32Array, at: number, words: number): boolean {
    const cells = this.#cells;
    const window = cells[cells.length - 1]!;
    const cell = halfSipHash(1, 3, this.#key, address, at, words) >>> (32 - this.#cellBits);
    for (;;) {
      const value = cells[cell]!;
      const left = value >>> LEFT_BITS === window ? value & LEFT_MAX : this.#most;
      if (left === 0) return false;
      const less = ((window << LEFT_BITS) | (left - 1)) >>> 0;
      // Another thread may have taken one meanwhile.
      if (Atomics.compareExchange(cells, cell, value, less) === value) return true;
    }
  }
}

function wordOf(...bytes: number[]): number {
  return new Uint32Array(Uint8Array.from(bytes).buffer)[0]!;
}

const FIRST_BYTE = wordOf(255, 0, 0, 0);
const LOOPBACK_V4 = wordOf(127, 0, 0, 0);
const LOOPBACK_V6_END = wordOf(0, 0, 0, 1);

/** Whether this is an address of loopback, as it stands in packets: its owner owns the machine. */
export function isLoopback(family: 4 | 6, address: Uint32Array, at: number): boolean {
  if (family === 4) return (address[at]! & FIRST_BYTE) >>> 0 === LOOPBACK_V4;
  return (address[at]! | address[at + 1]! | address[at + 2]!) === 0 && address[at + 3] === LOOPBACK_V6_END;
}
