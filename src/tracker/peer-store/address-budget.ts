// How many new torrents an address may bring: so many each minute, and as many at once. IPv6 addresses count by /64, which is what
// one subscriber has.
//
// Addresses share cells of a fixed table by a keyed hash, so nobody can choose with whom, and memory does not grow with the number
// of addresses. Always: nobody gets more than their budget; who shares a cell may get less.

import { halfSipHash } from "../../base/keyed-hash.js";

const CELL_BITS = 16;
const MINUTE_MS = 60_000;
/** A cell has what is left in its low bits, and the minute it is from above them. */
const LEFT_BITS = 20;
const LEFT_MAX = 2 ** LEFT_BITS - 1;
const MINUTES = 2 ** (32 - LEFT_BITS);

export class AddressBudget {
  readonly #perMinute: number;
  readonly #key: Uint32Array;
  readonly #cells: Uint32Array;
  #minute = 0;

  /** `perMinute` up to 2^20 − 1. `key`: 2 words that nobody knows. */
  constructor(perMinute: number, key: Uint32Array) {
    this.#perMinute = Math.min(perMinute, LEFT_MAX);
    this.#key = key;
    this.#cells = new Uint32Array(2 ** CELL_BITS);
  }

  get bytes(): number {
    return this.#cells.byteLength;
  }

  advance(nowMs: number): void {
    // Never 0: a cell that was not used yet is of another minute.
    this.#minute = 1 + (Math.floor(nowMs / MINUTE_MS) % (MINUTES - 1));
  }

  /** Takes one of the budget of the address whose words begin at `at`: 1 word of IPv4, or the first 2 of IPv6. False if none is left. */
  take(address: Uint32Array, at: number, words: number): boolean {
    const cell = halfSipHash(1, 3, this.#key, address, at, words) >>> (32 - CELL_BITS);
    const value = this.#cells[cell]!;
    const left = value >>> LEFT_BITS === this.#minute ? value & LEFT_MAX : this.#perMinute;
    if (left === 0) return false;
    this.#cells[cell] = (this.#minute << LEFT_BITS) | (left - 1);
    return true;
  }
}
