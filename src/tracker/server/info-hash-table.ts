// A number for each of some info hashes, in 24 bytes each: what lists and counts of downloads are kept in.
//
// A table grows as it needs to, or is in memory that threads share, of fixed size:
//
//   │ places − 1 │ bits of a hash that are left out │ entries │ 0 │ info hash 5, value + 1 │ …
//
// Always: at most half of the places are in use, so that a search ends. Hashes are the store's, keyed, so that nobody can aim at one
// place. An entry is there once its last word is written, wherever a thread that writes it ends.

import { assert } from "../../base/assert.js";

/** Five words of an info hash, and its value + 1; 0: the place is free. */
const ENTRY_WORDS = 6;
const VALUE_AT = 5;
const PLACES_MIN = 16;
export const VALUE_MAX = 0xfffffffe;

const MASK = 0;
const SHIFT = 1;
const SIZE = 2;
const HEADER_WORDS = 4;

export class InfoHashTable {
  readonly #hash: ((words: Uint32Array, at: number) => number) | undefined;
  readonly #header: Uint32Array;
  #entries: Uint32Array;
  #mask: number;
  readonly #shift: number;

  /**
   * `hash`: 32 bits without sign of the 5 words from `at`; see SwarmStore. `shared`: memory of another table, in place of one that
   * grows. `entries`: how many there will be, so that it need not grow for them.
   */
  constructor(
    hash: ((words: Uint32Array, at: number) => number) | undefined,
    shared?: SharedArrayBuffer,
    entries = 0,
  ) {
    assert((hash === undefined) === (shared !== undefined), "a table grows, or is in memory that is shared");
    this.#hash = hash;
    this.#header = new Uint32Array(shared ?? new ArrayBuffer(4 * HEADER_WORDS), 0, HEADER_WORDS);
    if (shared === undefined) this.#header[MASK] = placesFor(entries) - 1;
    this.#mask = this.#header[MASK]!;
    this.#shift = this.#header[SHIFT]!;
    this.#entries =
      shared === undefined
        ? new Uint32Array((this.#mask + 1) * ENTRY_WORDS)
        : new Uint32Array(shared, 4 * HEADER_WORDS, (this.#mask + 1) * ENTRY_WORDS);
  }

  /** Shared memory for so many entries, of the part of all hashes whose lowest bits are one of `parts` (a power of two). */
  static reserve(entries: number, parts: number): SharedArrayBuffer {
    const places = placesFor(entries);
    const memory = new SharedArrayBuffer(4 * (HEADER_WORDS + places * ENTRY_WORDS));
    new Uint32Array(memory).set([places - 1, Math.log2(parts)]);
    return memory;
  }

  static open(memory: SharedArrayBuffer): InfoHashTable {
    return new InfoHashTable(undefined, memory);
  }

  /** A copy of it in shared memory. */
  share(): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(4 * (HEADER_WORDS + this.#entries.length));
    const words = new Uint32Array(memory);
    words.set(this.#header);
    words.set(this.#entries, HEADER_WORDS);
    return memory;
  }

  get size(): number {
    return this.#header[SIZE]!;
  }

  /** The value of an info hash, −1 if it has none. `hash` is its hash. */
  get(hash: number, words: Uint32Array, at: number): number {
    return this.#entries[this.#placeOf(hash, words, at) + VALUE_AT]! - 1;
  }

  set(hash: number, words: Uint32Array, at: number, value: number): void {
    assert(value >= 0 && value <= VALUE_MAX, "a value is 32 bits without sign, less one");
    const place = this.#placeOf(hash, words, at);
    const entries = this.#entries;
    if (entries[place + VALUE_AT] === 0) {
      for (let word = 0; word < VALUE_AT; word++) entries[place + word] = words[at + word]!;
      entries[place + VALUE_AT] = value + 1;
      this.#header[SIZE]!++;
      if (2 * this.size > this.#mask) this.#grow();
      return;
    }
    entries[place + VALUE_AT] = value + 1;
  }

  /** Takes an info hash out of a table that grows; false if it was not there. */
  remove(hash: number, words: Uint32Array, at: number): boolean {
    const hashOf = this.#hash;
    assert(hashOf !== undefined, "what threads share is not taken from");
    const entries = this.#entries;
    let gap = this.#placeOf(hash, words, at) / ENTRY_WORDS;
    if (entries[gap * ENTRY_WORDS + VALUE_AT] === 0) return false;
    const mask = this.#mask;
    for (let slot = (gap + 1) & mask; ; slot = (slot + 1) & mask) {
      const place = slot * ENTRY_WORDS;
      if (entries[place + VALUE_AT] === 0) break;
      const home = (hashOf(entries, place) >>> this.#shift) & mask;
      // Its home is behind the gap: it is found where it is.
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      entries.copyWithin(gap * ENTRY_WORDS, place, place + ENTRY_WORDS);
      gap = slot;
    }
    entries.fill(0, gap * ENTRY_WORDS, (gap + 1) * ENTRY_WORDS);
    this.#header[SIZE]!--;
    return true;
  }

  /** Copies up to `count` info hashes from the `from`-th on, 5 words each. Their order changes as they come and go. */
  copyHashes(from: number, count: number): Uint32Array {
    const words = new Uint32Array(VALUE_AT * Math.max(0, Math.min(count, this.size - from)));
    const entries = this.#entries;
    let to = -VALUE_AT * from;
    for (let place = 0; place < entries.length && to < words.length; place += ENTRY_WORDS) {
      if (entries[place + VALUE_AT] === 0) continue;
      if (to >= 0) words.set(entries.subarray(place, place + VALUE_AT), to);
      to += VALUE_AT;
    }
    return words;
  }

  /** All of them: 6 words each, the last one the value. */
  toWords(): Uint32Array {
    const words = new Uint32Array(this.size * ENTRY_WORDS);
    const entries = this.#entries;
    let to = 0;
    for (let from = 0; from < entries.length; from += ENTRY_WORDS) {
      if (entries[from + VALUE_AT] === 0) continue;
      words.set(entries.subarray(from, from + ENTRY_WORDS), to);
      words[to + VALUE_AT]!--;
      to += ENTRY_WORDS;
    }
    return words;
  }

  #placeOf(hash: number, words: Uint32Array, at: number): number {
    const entries = this.#entries;
    for (let slot = (hash >>> this.#shift) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const place = slot * ENTRY_WORDS;
      if (entries[place + VALUE_AT] === 0) return place;
      let word = 0;
      while (word < VALUE_AT && entries[place + word] === words[at + word]) word++;
      if (word === VALUE_AT) return place;
    }
  }

  #grow(): void {
    const hash = this.#hash;
    // Who fills a table of fixed size knows how much it was reserved for.
    if (hash === undefined) return;
    const old = this.#entries;
    this.#mask = 2 * this.#mask + 1;
    this.#header[MASK] = this.#mask;
    this.#entries = new Uint32Array((this.#mask + 1) * ENTRY_WORDS);
    for (let from = 0; from < old.length; from += ENTRY_WORDS) {
      if (old[from + VALUE_AT] === 0) continue;
      const place = this.#placeOf(hash(old, from), old, from);
      this.#entries.set(old.subarray(from, from + ENTRY_WORDS), place);
    }
  }
}

/** At most half of the places are in use. */
function placesFor(entries: number): number {
  let places = PLACES_MIN;
  while (places < 2 * entries) places *= 2;
  return places;
}
