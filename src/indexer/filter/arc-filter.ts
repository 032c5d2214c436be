// An adaptive replacement cache of hashes (Megiddo and Modha 2004): those seen once of late and those seen more often have a list each, and
// share the size; a list each of ghosts, which are forgotten hashes, tells which of the two was cut too short, and moves the border
// between them. Grunthal 2010 uses one as the blacklist of hashes that need not be processed again soon.
//
// Always, with c for the size: once + often ≤ c, once + its ghosts ≤ c, all four ≤ 2c. A ghost is not remembered: seen() says false.

import { assert } from "../../base/assert.js";
import type { ResizableFilter } from "./contract.js";
import { HashLists, NONE } from "./hash-lists.js";

const ONCE = 0;
const OFTEN = 1;
const ONCE_GHOSTS = 2;
const OFTEN_GHOSTS = 3;
const LISTS = 4;

export class ArcFilter implements ResizableFilter {
  #size: number;
  /** How many of the size those seen once should have; not a whole number. */
  #onceTarget = 0;
  readonly #lists: HashLists;

  /** `key`: 2 words that nobody knows. */
  constructor(size: number, key: Uint32Array) {
    this.#lists = new HashLists(LISTS, key);
    this.#size = size;
    this.#lists.reserve(2 * size);
  }

  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#lists.count(ONCE) + this.#lists.count(OFTEN);
  }

  get bytes(): number {
    return this.#lists.bytes;
  }

  seen(bytes: Uint8Array, at: number): boolean {
    const lists = this.#lists;
    const entry = lists.find(bytes, at);
    if (entry === NONE) {
      this.#makeRoom();
      lists.insert(ONCE);
      return false;
    }
    const list = lists.listOf(entry);
    if (list === ONCE || list === OFTEN) {
      lists.move(entry, OFTEN);
      return true;
    }
    const once = lists.count(ONCE_GHOSTS);
    const often = lists.count(OFTEN_GHOSTS);
    if (list === ONCE_GHOSTS)
      this.#onceTarget = Math.min(this.#size, this.#onceTarget + Math.max(1, often / once));
    else this.#onceTarget = Math.max(0, this.#onceTarget - Math.max(1, once / often));
    if (this.count >= this.#size) this.#replace(list === OFTEN_GHOSTS);
    lists.move(entry, OFTEN);
    return false;
  }

  resize(size: number): void {
    const lists = this.#lists;
    lists.reserve(2 * size);
    this.#size = size;
    this.#onceTarget = Math.min(this.#onceTarget, size);
    while (this.count > size) this.#replace(false);
    while (lists.count(ONCE) + lists.count(ONCE_GHOSTS) > size) lists.remove(lists.oldest(ONCE_GHOSTS));
    while (this.#all > 2 * size) lists.remove(lists.oldest(OFTEN_GHOSTS));
  }

  checkInvariants(): void {
    const lists = this.#lists;
    lists.checkInvariants();
    assert(this.count <= this.#size, "what is remembered is bounded");
    assert(
      lists.count(ONCE) + lists.count(ONCE_GHOSTS) <= this.#size,
      "those seen once and their ghosts are bounded",
    );
    assert(this.#all <= 2 * this.#size, "ghosts are bounded");
    assert(this.#onceTarget >= 0 && this.#onceTarget <= this.#size, "the border is within the size");
  }

  get #all(): number {
    return this.count + this.#lists.count(ONCE_GHOSTS) + this.#lists.count(OFTEN_GHOSTS);
  }

  /** For a hash that is new. */
  #makeRoom(): void {
    const lists = this.#lists;
    if (lists.count(ONCE) + lists.count(ONCE_GHOSTS) === this.#size) {
      // All of it is remembered: then the oldest goes for good, and leaves no ghost.
      if (lists.count(ONCE_GHOSTS) === 0) {
        lists.remove(lists.oldest(ONCE));
        return;
      }
      lists.remove(lists.oldest(ONCE_GHOSTS));
    } else if (this.#all === 2 * this.#size) lists.remove(lists.oldest(OFTEN_GHOSTS));
    if (this.count >= this.#size) this.#replace(false);
  }

  /** Makes a ghost of the oldest on the side that has more than its share. */
  #replace(isForOftenGhost: boolean): void {
    const lists = this.#lists;
    const once = lists.count(ONCE);
    const isAbove = isForOftenGhost ? once >= this.#onceTarget : once > this.#onceTarget;
    if (once > 0 && (isAbove || lists.count(OFTEN) === 0)) lists.move(lists.oldest(ONCE), ONCE_GHOSTS);
    else lists.move(lists.oldest(OFTEN), OFTEN_GHOSTS);
  }
}
