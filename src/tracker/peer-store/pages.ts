// Memory for swarms: blocks of a few sizes, cut from pages of 16 KiB, in one region that is reserved at the start and touched
// as it is needed. A block is named by the index of its first word; 0 is no block.
//
//   region   │ page 0: never used, so that 0 names nothing │ page of size a: block, block, … │ page of size c │ free page │ …
//
// Always: a page holds blocks of one size. A page whose last block is freed is a free page, for blocks of any size, so that
// memory follows a store whose swarms grow or shrink. Taking and freeing a block is a few loads and stores, however many there are.
// All that changes is in memory that was handed in: two of these over the same memory are one, if only one is used at a time.

import { assert, entryOf } from "../../base/assert.js";

export const PAGE_WORDS = 4096;
export const PAGE_BYTES = 4 * PAGE_WORDS;
const NONE = 0;
// What `#state` holds.
const LIMIT = 0;
const IN_USE = 1;
const TOUCHED = 2;
const FREE_PAGE = 3;
const STATE_WORDS = 4;

export class Pages {
  readonly words: Uint32Array;
  readonly halves: Uint16Array;
  readonly bytes: Uint8Array;
  readonly #state: Int32Array;
  readonly #blockWords: Uint16Array;
  readonly #perPage: Uint16Array;
  /** Of each size, the first page with room. */
  readonly #partial: Uint32Array;
  /** Of each page: its size, blocks in use, blocks ever cut, its first free block (1 + its offset), and its neighbours with room. */
  readonly #size: Uint8Array;
  readonly #used: Uint16Array;
  readonly #cut: Uint16Array;
  readonly #free: Uint16Array;
  readonly #next: Uint32Array;
  readonly #previous: Uint32Array;

  /** `blockWords`: the sizes, in words; a size is named by its place in this list. `tables`: memory for what is known of the pages, zeros at first. */
  constructor(
    region: ArrayBuffer | SharedArrayBuffer,
    blockWords: readonly number[],
    tables: (bytes: number) => ArrayBuffer | SharedArrayBuffer = (bytes) => new ArrayBuffer(bytes),
  ) {
    const pages = Math.floor(region.byteLength / PAGE_BYTES);
    assert(pages >= 2, "there is a page beside the one that is never used");
    assert(
      blockWords.every((words) => words >= 1 && words <= PAGE_WORDS),
      "a block fits a page",
    );
    this.words = new Uint32Array(region);
    this.halves = new Uint16Array(region);
    this.bytes = new Uint8Array(region);
    this.#state = new Int32Array(tables(4 * STATE_WORDS), 0, STATE_WORDS);
    if (this.#state[TOUCHED] === 0) {
      this.#state[LIMIT] = pages - 1;
      this.#state[TOUCHED] = 1;
    }
    this.#blockWords = Uint16Array.from(blockWords);
    this.#perPage = this.#blockWords.map((words) => Math.floor(PAGE_WORDS / words));
    this.#partial = new Uint32Array(tables(4 * blockWords.length), 0, blockWords.length);
    this.#size = new Uint8Array(tables(pages), 0, pages);
    this.#used = new Uint16Array(tables(2 * pages), 0, pages);
    this.#cut = new Uint16Array(tables(2 * pages), 0, pages);
    this.#free = new Uint16Array(tables(2 * pages), 0, pages);
    this.#next = new Uint32Array(tables(4 * pages), 0, pages);
    this.#previous = new Uint32Array(tables(4 * pages), 0, pages);
  }

  /** Pages that may be in use at one time. */
  get limit(): number {
    return this.#state[LIMIT]!;
  }

  /** Where whoever sets it has more memory than there are pages, the pages are the limit. */
  set limit(pages: number) {
    this.#state[LIMIT] = Math.min(pages, this.#size.length - 1);
  }

  /** Pages in use now, and the most that ever were: those have memory of the machine. */
  get inUse(): number {
    return this.#state[IN_USE]!;
  }

  get touched(): number {
    return this.#state[TOUCHED]!;
  }

  /** Frees all blocks, whatever state the tables are in. */
  clear(): void {
    const state = this.#state;
    const touched = Math.min(Math.max(1, state[TOUCHED]!), this.#size.length);
    state[TOUCHED] = touched;
    state[IN_USE] = 0;
    this.#partial.fill(NONE);
    for (let page = 1; page < touched; page++) this.#next[page] = page - 1;
    state[FREE_PAGE] = touched - 1;
  }

  /** A block of this size, with whatever was in it; 0 if the limit is reached. */
  take(size: number): number {
    let page = this.#partial[size]!;
    if (page === NONE) {
      page = this.#takePage(size);
      if (page === NONE) return 0;
    }
    const free = this.#free[page]!;
    let block: number;
    if (free !== 0) {
      block = page * PAGE_WORDS + free - 1;
      this.#free[page] = this.words[block]!;
    } else {
      block = page * PAGE_WORDS + this.#cut[page]! * this.#blockWords[size]!;
      this.#cut[page]!++;
    }
    const used = this.#used[page]! + 1;
    assert(used <= this.#perPage[size]!, "a block is taken of a page that has room");
    this.#used[page] = used;
    if (used === this.#perPage[size]) this.#unlink(page, size);
    return block;
  }

  free(block: number): void {
    const page = Math.floor(block / PAGE_WORDS);
    const size = this.#size[page]!;
    const used = this.#used[page]! - 1;
    assert(page > 0 && page < this.#state[TOUCHED]!, "a block is freed that was taken");
    assert(used >= 0, "a block is freed once");
    assert(
      (block - page * PAGE_WORDS) % this.#blockWords[size]! === 0,
      "a block is freed by the number that it was taken by",
    );
    this.words[block] = this.#free[page]!;
    this.#free[page] = block - page * PAGE_WORDS + 1;
    this.#used[page] = used;
    if (used === this.#perPage[size]! - 1 && used > 0) this.#link(page, size);
    if (used > 0) return;
    if (this.#perPage[size]! > 1) this.#unlink(page, size);
    this.#next[page] = this.#state[FREE_PAGE]!;
    this.#state[FREE_PAGE] = page;
    this.#state[IN_USE]!--;
  }

  /** Whether more than a quarter of this block's page is free, and a block of its size can be had from another one that is in use. */
  isSparse(block: number): boolean {
    const page = Math.floor(block / PAGE_WORDS);
    const size = this.#size[page]!;
    return 4 * this.#used[page]! < 3 * this.#perPage[size]! && this.#partial[size] !== page;
  }

  /** `blocks`: all that whoever took them still knows of. */
  checkInvariants(blocks: Iterable<number>): void {
    const known = new Map<number, number>();
    const seen = new Set<number>();
    for (const block of blocks) {
      assert(!seen.has(block), "a block is one thing's");
      seen.add(block);
      const page = Math.floor(block / PAGE_WORDS);
      known.set(page, (known.get(page) ?? 0) + 1);
    }
    for (const [page, count] of known) assert(count === this.#used[page], "each block in use is known of");
    assert(known.size === this.inUse, "a page without blocks is free");
    let free = 0;
    for (let page = this.#state[FREE_PAGE]!; page !== NONE; page = this.#next[page]!) {
      assert(!known.has(page), "a free page has no blocks");
      free++;
    }
    assert(1 + free + known.size === this.touched, "a page is in use, or free");
    const withRoom = this.#checkLists();
    for (const page of known.keys()) this.#checkPage(page, withRoom.has(page));
  }

  /** Goes through the pages with room, whose lists run both ways. Returns them. */
  #checkLists(): Set<number> {
    const withRoom = new Set<number>();
    for (let size = 0; size < this.#partial.length; size++) {
      let previous = NONE;
      for (let page = entryOf(this.#partial, size); page !== NONE; page = entryOf(this.#next, page)) {
        assert(page < this.touched && !withRoom.has(page), "a page with room is in one list, once");
        assert(this.#size[page] === size, "a page with room is in the list of its size");
        assert(this.#previous[page] === previous, "a page with room knows the one before it");
        withRoom.add(page);
        previous = page;
      }
    }
    return withRoom;
  }

  /** Blocks that were cut from a page in use are in use, or in its list. */
  #checkPage(page: number, hasRoom: boolean): void {
    const size = entryOf(this.#size, page);
    const [used, cut] = [entryOf(this.#used, page), entryOf(this.#cut, page)];
    const perPage = entryOf(this.#perPage, size);
    assert(used > 0 && used <= cut && cut <= perPage, "blocks in use were cut, and fit the page");
    assert(hasRoom === used < perPage, "a page is among those with room while it has any");
    let free = 0;
    for (let at = entryOf(this.#free, page); at !== 0; free++) {
      assert((at - 1) % entryOf(this.#blockWords, size) === 0 && free < cut, "a free block was cut");
      at = entryOf(this.words, page * PAGE_WORDS + at - 1);
    }
    assert(used + free === cut, "a block that was cut is in use, or free");
  }

  #takePage(size: number): number {
    const state = this.#state;
    if (state[IN_USE]! >= state[LIMIT]!) return NONE;
    let page = state[FREE_PAGE]!;
    if (page !== NONE) state[FREE_PAGE] = this.#next[page]!;
    else page = state[TOUCHED]!++;
    assert(page > 0 && page < this.#size.length, "there are as many pages as the limit says");
    state[IN_USE]!++;
    this.#size[page] = size;
    this.#used[page] = 0;
    this.#cut[page] = 0;
    this.#free[page] = 0;
    this.#link(page, size);
    return page;
  }

  #link(page: number, size: number): void {
    const first = this.#partial[size]!;
    this.#next[page] = first;
    this.#previous[page] = NONE;
    if (first !== NONE) this.#previous[first] = page;
    this.#partial[size] = page;
  }

  #unlink(page: number, size: number): void {
    const next = this.#next[page]!;
    const previous = this.#previous[page]!;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else this.#partial[size] = next;
  }
}
