// A number for each of some info hashes, in 24 bytes each: what lists and counts of downloads are kept in.
//
// A table grows as it needs to, or is in memory that threads share, of fixed size:
//
//   │ places − 1 │ bits of a hash that are left out │ entries │ 0 │ info hash 5, value + 1 │ …
//
// One that grows does it without a pause: old and new stand side by side while each new entry moves a stretch of the old ones. A stretch
// ends at a free place, so that no search is torn: whoever's home was moved is in the new table, everybody else in the old one.
//
// Always: at most half of the places are in use (a little more of the old ones while they are moved), so that a search ends. Hashes are
// the store's, keyed, so that nobody can aim at one place. An entry is there once its last word is written, wherever a thread that writes
// it ends.

import { assert } from "../../base/assert.js";

/** Five words of an info hash, and its value + 1; 0: the place is free. */
const ENTRY_WORDS = 6;
const VALUE_AT = 5;
const PLACES_MIN = 16;
/** Places of the old table that a new entry moves, at least, while there is an old one. */
const MOVED_PER_ENTRY = 32;
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
  /** What is moved, the first place of it that was, and how many after it. */
  #old: Uint32Array | undefined;
  #oldStart = 0;
  #moved = 0;

  /**
   * `hash`: 32 bits with sign of the 5 words from `at`; see SwarmStore. `shared`: memory of another table, in place of one that
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
    while (this.#old !== undefined) this.#move(this.#old);
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
    const entries = this.#tableOf(hash);
    return entries[this.#placeIn(entries, hash, words, at) + VALUE_AT]! - 1;
  }

  set(hash: number, words: Uint32Array, at: number, value: number): void {
    assert(value >= 0 && value <= VALUE_MAX, "a value is 32 bits without sign, less one");
    const entries = this.#tableOf(hash);
    const place = this.#placeIn(entries, hash, words, at);
    if (entries[place + VALUE_AT] === 0) {
      for (let word = 0; word < VALUE_AT; word++) entries[place + word] = words[at + word]!;
      entries[place + VALUE_AT] = value + 1;
      this.#header[SIZE]!++;
      assert(this.size <= this.#mask, "a place stays free, at which a search ends");
      if (this.#old !== undefined) this.#move(this.#old);
      else if (2 * this.size > this.#mask) this.#grow();
      return;
    }
    entries[place + VALUE_AT] = value + 1;
  }

  /** Takes an info hash out of a table that grows; false if it was not there. */
  remove(hash: number, words: Uint32Array, at: number): boolean {
    const hashOf = this.#hash;
    assert(hashOf !== undefined, "what threads share is not taken from");
    const entries = this.#tableOf(hash);
    let gap = this.#placeIn(entries, hash, words, at) / ENTRY_WORDS;
    if (entries[gap * ENTRY_WORDS + VALUE_AT] === 0) return false;
    const mask = entries.length / ENTRY_WORDS - 1;
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
    let to = -VALUE_AT * from;
    for (const entries of this.#tables()) {
      for (let place = 0; place < entries.length && to < words.length; place += ENTRY_WORDS) {
        if (entries[place + VALUE_AT] === 0) continue;
        if (to >= 0) for (let word = 0; word < VALUE_AT; word++) words[to + word] = entries[place + word]!;
        to += VALUE_AT;
      }
    }
    return words;
  }

  /** All of them: 6 words each, the last one the value. */
  toWords(): Uint32Array {
    const words = new Uint32Array(this.size * ENTRY_WORDS);
    let to = 0;
    for (const entries of this.#tables()) {
      for (let from = 0; from < entries.length; from += ENTRY_WORDS) {
        if (entries[from + VALUE_AT] === 0) continue;
        for (let word = 0; word < ENTRY_WORDS; word++) words[to + word] = entries[from + word]!;
        words[to + VALUE_AT]!--;
        to += ENTRY_WORDS;
      }
    }
    return words;
  }

  #tables(): Uint32Array[] {
    return this.#old === undefined ? [this.#entries] : [this.#entries, this.#old];
  }

  #tableOf(hash: number): Uint32Array {
    const old = this.#old;
    if (old === undefined) return this.#entries;
    const mask = old.length / ENTRY_WORDS - 1;
    return (((hash >>> this.#shift) - this.#oldStart) & mask) < this.#moved ? this.#entries : old;
  }

  /** Where in a table an info hash is, or would be. */
  #placeIn(entries: Uint32Array, hash: number, words: Uint32Array, at: number): number {
    const mask = entries === this.#entries ? this.#mask : this.#mask >>> 1;
    for (let slot = (hash >>> this.#shift) & mask; ; slot = (slot + 1) & mask) {
      const place = slot * ENTRY_WORDS;
      if (entries[place + VALUE_AT] === 0) return place;
      let word = 0;
      while (word < VALUE_AT && entries[place + word] === words[at + word]) word++;
      if (word === VALUE_AT) return place;
    }
  }

  #grow(): void {
    // Who fills a table of fixed size knows how much it was reserved for.
    if (this.#hash === undefined) return;
    const old = this.#entries;
    let start = 0;
    while (old[start * ENTRY_WORDS + VALUE_AT] !== 0) start++;
    this.#old = old;
    this.#oldStart = start;
    this.#moved = 0;
    this.#mask = 2 * this.#mask + 1;
    this.#header[MASK] = this.#mask;
    this.#entries = new Uint32Array((this.#mask + 1) * ENTRY_WORDS);
    this.#move(old);
  }

  /** Moves a stretch: MOVED_PER_ENTRY places, and on to the next one that is free. */
  #move(old: Uint32Array): void {
    const hash = this.#hash;
    assert(hash !== undefined, "what has a fixed size is not moved");
    const places = old.length / ENTRY_WORDS;
    const end = this.#moved + MOVED_PER_ENTRY;
    for (let moved = this.#moved; ; moved++) {
      const from = ((this.#oldStart + moved) & (places - 1)) * ENTRY_WORDS;
      if (old[from + VALUE_AT] === 0) {
        // All round, and past what was put at its beginning meanwhile.
        if (moved >= places) {
          this.#old = undefined;
          return;
        }
        if (moved < end) continue;
        this.#moved = moved;
        return;
      }
      const entries = this.#entries;
      const to = this.#placeIn(entries, hash(old, from), old, from);
      for (let word = 0; word < ENTRY_WORDS; word++) entries[to + word] = old[from + word]!;
      old[from + VALUE_AT] = 0;
    }
  }
}

/** At most half of the places are in use. */
function placesFor(entries: number): number {
  let places = PLACES_MIN;
  while (places < 2 * entries) places *= 2;
  return places;
}
