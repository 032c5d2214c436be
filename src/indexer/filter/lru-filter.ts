// Remembers the hashes that came last, so many of them: the simplest rule of replacement, and what the others are compared with.
//
// Always: `size` hashes at the most, and of two the one that came later stays longer.

import type { ResizableFilter } from "./contract.js";
import { HashLists, NONE } from "./hash-lists.js";

const ALL = 0;

export class LruFilter implements ResizableFilter {
  #size: number;
  readonly #lists: HashLists;

  /** `key`: 2 words that nobody knows. */
  constructor(size: number, key: Uint32Array) {
    this.#lists = new HashLists(1, key);
    this.#size = size;
    this.#lists.reserve(size);
  }

  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#lists.count(ALL);
  }

  get bytes(): number {
    return this.#lists.bytes;
  }

  seen(bytes: Uint8Array, at: number): boolean {
    const lists = this.#lists;
    const entry = lists.find(bytes, at);
    if (entry !== NONE) {
      lists.move(entry, ALL);
      return true;
    }
    if (lists.count(ALL) === this.#size) lists.remove(lists.oldest(ALL));
    lists.insert(ALL);
    return false;
  }

  /** True if a hash is remembered; nothing is noted. */
  has(bytes: Uint8Array, at: number): boolean {
    return this.#lists.find(bytes, at) !== NONE;
  }

  forget(bytes: Uint8Array, at: number): void {
    const entry = this.#lists.find(bytes, at);
    if (entry !== NONE) this.#lists.remove(entry);
  }

  resize(size: number): void {
    this.#lists.reserve(size);
    while (this.#lists.count(ALL) > size) this.#lists.remove(this.#lists.oldest(ALL));
    this.#size = size;
  }

  checkInvariants(): void {
    this.#lists.checkInvariants();
  }
}
