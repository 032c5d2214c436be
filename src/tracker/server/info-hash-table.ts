// A number for each of some info hashes, in 24 bytes each: what lists and counts of downloads are kept in.
//
// Always: at most half of the places are in use, so that a search ends. Hashes are the store's, keyed, so that nobody can aim at one place.

import { assert } from "../../base/assert.js";

/** Five words of an info hash, and its value + 1; 0: the place is free. */
const ENTRY_WORDS = 6;
const VALUE_AT = 5;
const PLACES_MIN = 16;
export const VALUE_MAX = 0xfffffffe;

export class InfoHashTable {
  readonly #hash: (words: Uint32Array, at: number) => number;
  #entries = new Uint32Array(PLACES_MIN * ENTRY_WORDS);
  #mask = PLACES_MIN - 1;
  #size = 0;

  /** `hash`: 32 bits without sign of the 5 words from `at`; see SwarmStore. */
  constructor(hash: (words: Uint32Array, at: number) => number) {
    this.#hash = hash;
  }

  get size(): number {
    return this.#size;
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
      this.#size++;
    }
    entries[place + VALUE_AT] = value + 1;
    if (2 * this.#size > this.#mask) this.#grow();
  }

  /** All of them: 6 words each, the last one the value. */
  toWords(): Uint32Array {
    const words = new Uint32Array(this.#size * ENTRY_WORDS);
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
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const place = slot * ENTRY_WORDS;
      if (entries[place + VALUE_AT] === 0) return place;
      let word = 0;
      while (word < VALUE_AT && entries[place + word] === words[at + word]) word++;
      if (word === VALUE_AT) return place;
    }
  }

  #grow(): void {
    const old = this.#entries;
    this.#mask = 2 * this.#mask + 1;
    this.#entries = new Uint32Array((this.#mask + 1) * ENTRY_WORDS);
    for (let from = 0; from < old.length; from += ENTRY_WORDS) {
      if (old[from + VALUE_AT] === 0) continue;
      const place = this.#placeOf(this.#hash(old, from), old, from);
      this.#entries.set(old.subarray(from, from + ENTRY_WORDS), place);
    }
  }
}
