// A list that is filled and emptied over and over. An array gives its memory back when it is emptied, and takes new at the
// next push, which on the hot path would be garbage in every turn of the loop; this one keeps it.
//
// Always: what was cleared is not referred to any more.

import { assert } from "./assert.js";

export class WorkList<Item> {
  readonly #items: (Item | undefined)[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds an item behind the others, also while they are gone through by index. */
  push(item: Item): void {
    this.#items[this.#count++] = item;
  }

  /** Item `index`, 0 … count − 1. */
  at(index: number): Item {
    assert(index < this.#count, "an item is in the list");
    const item = this.#items[index];
    assert(item !== undefined, "an item that is in the list is there");
    return item;
  }

  clear(): void {
    const items = this.#items;
    for (let index = 0; index < this.#count; index++) items[index] = undefined;
    this.#count = 0;
  }
}
