// Adjacent blocks of one piece on their way to a peer: loaded together, sent one after the other.
//
// Always: a batch is ready before it is sent; slots are −1 where a block is sent from a mapping or by sendfile. Batches
// are kept for re-use, so that sending allocates nothing.

import { assert } from "../../base/assert.js";
import { NO_SLOT, type PieceIndex, type Slots } from "../../base/ids.js";

/** Blocks that one batch holds at most: 512 KiB. */
export const BATCH_BLOCKS_MAX = 32;

export class BlockBatch {
  piece = 0 as PieceIndex;
  /** Byte offset in the piece of the first block, and in the torrent. */
  begin = 0;
  offset = 0;
  count = 0;
  bytes = 0;
  readonly lengths = new Int32Array(BATCH_BLOCKS_MAX);
  readonly addresses = new Float64Array(BATCH_BLOCKS_MAX);
  readonly slots = new Int32Array(BATCH_BLOCKS_MAX).fill(NO_SLOT) as Slots;
  /** For sendfile: the file, and where in it the first block begins; −1: sent from memory. */
  fd = -1;
  fileOffset = 0;
  ready = false;
  /** The connection is gone: release instead of sending when a read under way ends. */
  orphaned = false;
  /** Block that is sent next, and how many of its bytes (header included) are out. */
  next = 0;
  sent = 0;
  /** Byte offset in the piece of the block `next`. */
  nextBegin = 0;

  reset(piece: PieceIndex, begin: number, offset: number): void {
    this.piece = piece;
    this.begin = begin;
    this.offset = offset;
    this.count = 0;
    this.bytes = 0;
    this.fd = -1;
    this.ready = false;
    this.orphaned = false;
    this.next = 0;
    this.sent = 0;
    this.nextBegin = begin;
  }

  /** Its numbers belong together, and none of its slots is forgotten. For tests. */
  checkInvariants(): void {
    assert(this.next >= 0 && this.next <= this.count, "the next block is one of the batch");
    assert(this.count <= BATCH_BLOCKS_MAX, "a batch has room for what it holds");
    let [bytes, out] = [0, 0];
    for (let index = 0; index < this.count; index++) {
      if (index < this.next) out += this.lengths[index]!;
      bytes += this.lengths[index]!;
    }
    assert(bytes === this.bytes && this.nextBegin === this.begin + out, "a batch counts its bytes");
    assert(this.ready || (this.next === 0 && this.sent === 0), "nothing is sent of what is being read");
    for (const [index, slot] of this.slots.entries())
      assert(
        slot === NO_SLOT || (index >= this.next && index < this.count),
        "a block that is out holds no slot",
      );
  }

  /** Leaves the first `count` blocks in it. */
  cut(count: number): void {
    assert(count >= this.next, "what is out of a batch stays counted");
    while (this.count > count) this.bytes -= this.lengths[--this.count]!;
  }
}
