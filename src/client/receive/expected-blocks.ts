// The blocks that we asked one peer for and that have not come, in the order we asked. It is the request pipeline's
// record and the source of predictions: peers usually answer in order.
//
//   ring:  · · [head] b0 b1 b2 … b(count−1) · ·       capacity is a power of two
//
// Always: index 0 is the oldest. Nothing is allocated until the first request, and then only when the ring grows.

import { assert } from "../../base/assert.js";
import type { Indices, PieceIndex } from "../../base/ids.js";
import { BLOCK_SIZE, PIECE_LENGTH_MAX } from "../../base/limits.js";

const CAPACITY_INITIAL = 64;
/** Shared by all that are empty: a typed array takes 200 bytes even without elements, and idle peers have many. */
const NO_INTEGERS = new Int32Array(0);
const NO_TIMES: number[] = [];

export class ExpectedBlocks {
  #pieces = NO_INTEGERS as Indices<PieceIndex>;
  #begins = NO_INTEGERS;
  #lengths = NO_INTEGERS;
  /** A plain array, because whole numbers of one stay small integers, and so does what is computed from them. */
  #sentAtMs = NO_TIMES;
  #head = 0;
  #mask = -1;
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  /** Payload bytes expected in all. */
  get bytes(): number {
    return this.#bytes;
  }

  pieceAt(index: number): PieceIndex {
    return this.#pieces[(this.#head + index) & this.#mask]!;
  }

  beginAt(index: number): number {
    return this.#begins[(this.#head + index) & this.#mask]!;
  }

  lengthAt(index: number): number {
    return this.#lengths[(this.#head + index) & this.#mask]!;
  }

  sentAtMs(index: number): number {
    return this.#sentAtMs[(this.#head + index) & this.#mask]!;
  }

  push(piece: PieceIndex, begin: number, length: number, sentAtMs: number): void {
    assert(begin >= 0 && length > 0 && length <= BLOCK_SIZE, "a block has bytes, and fits a slot");
    if (this.#count === this.#pieces.length) this.#grow();
    const at = (this.#head + this.#count) & this.#mask;
    this.#pieces[at] = piece;
    this.#begins[at] = begin;
    this.#lengths[at] = length;
    this.#sentAtMs[at] = sentAtMs;
    this.#count++;
    this.#bytes += length;
  }

  /** Puts a block before the oldest. */
  unshift(piece: PieceIndex, begin: number, length: number, sentAtMs: number): void {
    assert(begin >= 0 && length > 0 && length <= BLOCK_SIZE, "a block has bytes, and fits a slot");
    if (this.#count === this.#pieces.length) this.#grow();
    this.#head = (this.#head - 1) & this.#mask;
    const at = this.#head;
    this.#pieces[at] = piece;
    this.#begins[at] = begin;
    this.#lengths[at] = length;
    this.#sentAtMs[at] = sentAtMs;
    this.#count++;
    this.#bytes += length;
  }

  /** Index of the block, or −1. Found at once where peers answer in order. */
  find(piece: number, begin: number): number {
    for (let index = 0; index < this.#count; index++) {
      const at = (this.#head + index) & this.#mask;
      if (this.#pieces[at] === piece && this.#begins[at] === begin) return index;
    }
    return -1;
  }

  /** Removes one block; those behind it keep their order. */
  removeAt(index: number): void {
    assert(index >= 0 && index < this.#count, "an expected block is removed once");
    this.#bytes -= this.lengthAt(index);
    // The shorter way is towards the head: peers answer the oldest first.
    for (let at = index; at > 0; at--) {
      const to = (this.#head + at) & this.#mask;
      const from = (this.#head + at - 1) & this.#mask;
      this.#pieces[to] = this.#pieces[from]!;
      this.#begins[to] = this.#begins[from]!;
      this.#lengths[to] = this.#lengths[from]!;
      this.#sentAtMs[to] = this.#sentAtMs[from]!;
    }
    this.#head = (this.#head + 1) & this.#mask;
    this.#count--;
    assert(
      this.#count === 0 ? this.#bytes === 0 : this.#bytes > 0,
      "no block has no bytes, and any has some",
    );
  }

  clear(): void {
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Counts the bytes again. For tests. */
  checkInvariants(): void {
    const capacity = this.#pieces.length;
    assert(this.#count >= 0 && this.#count <= capacity, "the ring holds what it counts");
    assert((capacity & (capacity - 1)) === 0 && this.#mask === capacity - 1, "the mask is that of the ring");
    assert(this.#head >= 0 && this.#head <= Math.max(0, this.#mask), "the oldest lies in the ring");
    let bytes = 0;
    for (let index = 0; index < this.#count; index++) {
      const length = this.lengthAt(index);
      assert(length > 0 && length <= BLOCK_SIZE, "a block has bytes, and fits a slot");
      bytes += length;
    }
    assert(bytes === this.#bytes, "the ring counts its bytes");
  }

  /** No block is there twice: of what we ask for, but not of what a peer may ask for. For tests. */
  checkDistinct(): void {
    const seen = new Set<number>();
    for (let index = 0; index < this.#count; index++)
      seen.add(this.pieceAt(index) * PIECE_LENGTH_MAX + this.beginAt(index));
    assert(seen.size === this.#count, "a block is asked for once");
  }

  #grow(): void {
    assert(this.#count === this.#pieces.length, "a ring grows when it is full");
    const capacity = Math.max(CAPACITY_INITIAL, 2 * this.#pieces.length);
    const pieces = new Int32Array(capacity) as Indices<PieceIndex>;
    const begins = new Int32Array(capacity);
    const lengths = new Int32Array(capacity);
    const sentAtMs = new Array<number>(capacity).fill(0);
    for (let index = 0; index < this.#count; index++) {
      pieces[index] = this.pieceAt(index);
      begins[index] = this.beginAt(index);
      lengths[index] = this.lengthAt(index);
      sentAtMs[index] = this.sentAtMs(index);
    }
    this.#pieces = pieces;
    this.#begins = begins;
    this.#lengths = lengths;
    this.#sentAtMs = sentAtMs;
    this.#head = 0;
    this.#mask = capacity - 1;
  }
}
