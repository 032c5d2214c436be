// A binary heap whose items know where they are: the first by some order is at hand, and any item can be taken out, in steps that
// grow with the logarithm of their number.
//
// Always: an item is in at most one heap at one place; the order of an item does not change while it is in the heap.

import { assert, present } from "./assert.js";

export interface HeapItem {
  /** Where in its heap, −1 outside. Kept by the heap. */
  heapIndex: number;
}

export class Heap<Item extends HeapItem> {
  readonly #items: Item[] = [];
  readonly #isBefore: (a: Item, b: Item) => boolean;

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): Item | undefined {
    return this.#items[0];
  }

  /** The item belongs to this heap (and not to another one of the same kind of items). */
  has(item: Item): boolean {
    return item.heapIndex >= 0 && this.#items[item.heapIndex] === item;
  }

  add(item: Item): void {
    assert(item.heapIndex === -1, "an item is in one heap at most");
    item.heapIndex = this.#items.push(item) - 1;
    this.#rise(item);
  }

  delete(item: Item): void {
    assert(this.has(item), "an item is taken out of the heap that it is in");
    const index = item.heapIndex;
    const last = present(this.#items.pop(), "a heap that an item is in has a last one");
    item.heapIndex = -1;
    if (last === item) return;
    this.#items[index] = last;
    last.heapIndex = index;
    this.#rise(last);
    this.#sink(last);
  }

  #rise(item: Item): void {
    while (item.heapIndex > 0) {
      const above = present(
        this.#items[(item.heapIndex - 1) >> 1],
        "what is not at the top has one above it",
      );
      if (!this.#isBefore(item, above)) return;
      this.#swap(item, above);
    }
  }

  #sink(item: Item): void {
    for (;;) {
      const left = this.#items[2 * item.heapIndex + 1];
      const right = this.#items[2 * item.heapIndex + 2];
      if (left === undefined) return;
      const below = right !== undefined && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(below, item)) return;
      this.#swap(item, below);
    }
  }

  #swap(a: Item, b: Item): void {
    const index = a.heapIndex;
    a.heapIndex = b.heapIndex;
    b.heapIndex = index;
    this.#items[a.heapIndex] = a;
    this.#items[b.heapIndex] = b;
  }
}
