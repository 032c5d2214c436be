// What an address may do to a store: bring new torrents, push out old ones, add peers to a swarm; so often in each window of time, and as
// often at once. IPv6 addresses count by /64, which is what one subscriber has, and by /48, which one may have as well: a site has SITE_TIMES
// as much as a network.
//
// Addresses share cells of a fixed table by a keyed hash, so nobody can choose with whom, and memory does not grow with the number
// of addresses. Always: nobody gets more than their budget, however many threads share the table; whoever shares a cell may get less.

import { assert } from "../../base/assert.js";
import { halfSipHash } from "../../base/keyed-hash.js";
import { SITE_TIMES, SITE_WORD_MASK } from "../../base/network-address.js";

const CELL_BITS = 16;
/** There are so many times fewer cells of sites, each of which holds as many times more. */
const SITE_BITS = Math.log2(SITE_TIMES);
const MINUTE_MS = 60_000;
/** A cell has what is left in its low bits, and the window it is from above them. */
const LEFT_BITS = 20;
const LEFT_MAX = 2 ** LEFT_BITS - 1;
const WINDOWS = 2 ** (32 - LEFT_BITS);

/** Bytes of a table of so many bits: a word for each cell of networks, then of sites, and one for the window. */
export function budgetBytes(cellBits = CELL_BITS): number {
  return 4 * (2 ** cellBits + 2 ** (cellBits - SITE_BITS) + 1);
}

export class AddressBudget {
  readonly #most: number;
  readonly #key: Uint32Array;
  readonly #cells: Uint32Array;
  readonly #cellBits: number;
  readonly #windowMs: number;
  /** Whose cell is looked for: the words of an address that count, and what stands behind them. */
  readonly #words = new Uint32Array(3);

  /**
   * `most` of a network in a window, up to 2^20 − 1. `key`: 2 words that nobody knows. `memory`: budgetBytes(cellBits), zeros at first, of
   * those who share a budget.
   */
  constructor(
    most: number,
    key: Uint32Array,
    memory: ArrayBuffer | SharedArrayBuffer = new ArrayBuffer(budgetBytes()),
    cellBits = CELL_BITS,
    windowMs = MINUTE_MS,
  ) {
    assert(
      cellBits > SITE_BITS && cellBits < 32,
      "there are cells of sites, and a hash tells all cells apart",
    );
    assert(key.length >= 2 && most > 0, "a budget is keyed, and not empty");
    this.#most = Math.min(most, LEFT_MAX);
    this.#key = key;
    this.#cellBits = cellBits;
    this.#cells = new Uint32Array(memory, 0, budgetBytes(cellBits) / 4);
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
   * Takes one of the budget of the address whose words, as they stand in packets, begin at `at`, and of its site. `behind`: of the address
   * and this number together. False if none is left.
   */
  take(family: 4 | 6, address: Uint32Array, at: number, behind = 0): boolean {
    const words = this.#words;
    words[0] = address[at]!;
    words[1] = family === 4 ? 0 : address[at + 1]!;
    words[2] = behind;
    const cell = this.#cellOf(0, this.#cellBits);
    if (family === 6) {
      // Who has had enough takes nothing of its neighbours', and what a site may not have takes nothing of those who share a cell with a
      // network of it.
      if (leftIn(this.#cells[cell]!, this.#window, this.#most) === 0) return false;
      words[1] = address[at + 1]! & SITE_WORD_MASK;
      const cellOfSite = this.#cellOf(2 ** this.#cellBits, this.#cellBits - SITE_BITS);
      if (!this.#takeFrom(cellOfSite, Math.min(SITE_TIMES * this.#most, LEFT_MAX))) return false;
    }
    return this.#takeFrom(cell, this.#most);
  }

  /** That of the words, among 2^`cellBits` from `first` on. */
  #cellOf(first: number, cellBits: number): number {
    return first + (halfSipHash(1, 3, this.#key, this.#words, 0, this.#words.length) >>> (32 - cellBits));
  }

  get #window(): number {
    return this.#cells[this.#cells.length - 1]!;
  }

  #takeFrom(cell: number, most: number): boolean {
    const cells = this.#cells;
    const window = this.#window;
    for (;;) {
      const value = cells[cell]!;
      const left = leftIn(value, window, most);
      if (left === 0) return false;
      const less = ((window << LEFT_BITS) | (left - 1)) >>> 0;
      // Another thread may have taken one meanwhile.
      if (Atomics.compareExchange(cells, cell, value, less) === value) return true;
    }
  }
}

/** What a cell that holds `value` has left of `most`, in a window. */
function leftIn(value: number, window: number, most: number): number {
  return value >>> LEFT_BITS === window ? value & LEFT_MAX : most;
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
