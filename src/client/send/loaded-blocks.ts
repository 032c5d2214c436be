// The blocks that one peer asked for, until the last byte of each is out: in the order of its requests, and loaded ahead in batches.
//
//   requested (by the peer) ──load──▶ batches (loading ─▶ ready) ──sent──▶ memory goes home
//                 ▲ ◀──────── giveBack ───────┘
//
// A peer that takes nothing gives back what is loaded for it but the block it has begun; what is loaded ahead for it
// starts small again. A choke takes back whatever has not begun.
//
// Always: count and bytes are those of the blocks in the batches that are not out; one block has begun at the most, and it is the
// first. Memory that a read still writes into goes home when the read ends.

import { assert } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import { NO_SLOT, type PieceIndex } from "../../base/ids.js";
import { BLOCK_SIZE, MIB } from "../../base/limits.js";
import type { BlockPool, SlotWaiter } from "../memory/block-pool.js";
import { ExpectedBlocks } from "../receive/expected-blocks.js";
import { BATCH_BLOCKS_MAX, BlockBatch } from "./block-batch.js";
import type { BatchOwner } from "./block-source.js";
import type { SenderHost, SendTransport, UploadPlace } from "./sender.js";

/** Bytes loaded ahead for one peer; and for one that is choked, and gets what is free only. */
const LOADED_BYTES_MAX = 1 * MIB;
const LOADED_BYTES_CHOKED_MAX = 8 * BLOCK_SIZE;
/** Of one that takes what is loaded slowly: so many seconds of it, and so much at least. What is loaded cannot be cancelled any more. */
const LOADED_S_SLOW = 0.5;
const LOADED_BYTES_SLOW_MIN = 8 * BLOCK_SIZE;

export class LoadedBlocks implements BatchOwner, SlotWaiter {
  readonly #pool: BlockPool;
  readonly #transport: SendTransport;
  readonly #host: SenderHost;
  readonly #place: UploadPlace;
  /** Asked for by the peer and not loaded yet. */
  readonly requested = new ExpectedBlocks();
  /** Batches in the order they will be sent. */
  #batches: BlockBatch[] = [];
  readonly #spare: BlockBatch[] = [];
  #count = 0;
  #bytes = 0;
  #bytesMax = LOADED_BYTES_MAX;
  /** What may be loaded now: less than the most after the peer has taken nothing for a while. */
  #windowBytes = LOADED_BYTES_MAX;
  #waitingForMemory = false;

  constructor(pool: BlockPool, transport: SendTransport, host: SenderHost, place: UploadPlace) {
    this.#pool = pool;
    this.#transport = transport;
    this.#host = host;
    this.#place = place;
  }

  get batches(): readonly BlockBatch[] {
    return this.#batches;
  }

  /** The batch that is sent next, or being sent. */
  get head(): BlockBatch | undefined {
    return this.#batches[0];
  }

  /** Blocks that are loaded, or being loaded, and not sent. */
  get blocksLoaded(): number {
    return this.#count;
  }

  /** Bytes of those blocks. */
  get bytes(): number {
    return this.#bytes;
  }

  get takesFiles(): boolean {
    return this.#transport.isEncrypted !== true;
  }

  // ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Loads what was asked for, as far as the window and the pool allow. */
  load(): void {
    const place = this.#place;
    while (this.requested.count > 0 && this.#bytes < this.#windowBytes) {
      const batch = this.#nextBatch(place);
      if (!place.source.load(batch, place.storage, this)) {
        this.#spare.push(batch);
        // Blocks that are on their way bring their slots back and call again; without any, the pool has to.
        if (this.#batches.length === 0) this.#waitForSlots();
        return;
      }
      assert(batch.count >= 1 && batch.count <= this.requested.count, "what is loaded was asked for");
      for (let index = 0; index < batch.count; index++) this.requested.removeAt(0);
      this.#bytes += batch.bytes;
      this.#count += batch.count;
      this.#batches.push(batch);
    }
  }

  /** A batch of the oldest requests that follow each other in one piece. Leaves them in `requested`. */
  #nextBatch(place: UploadPlace): BlockBatch {
    const requested = this.requested;
    const piece = requested.pieceAt(0);
    const begin = requested.beginAt(0);
    const batch = this.#spare.pop() ?? new BlockBatch();
    batch.reset(piece, begin, place.offsetOf(piece, begin));
    const room = Math.ceil((this.#windowBytes - this.#bytes) / BLOCK_SIZE);
    const blocksMax = Math.min(place.source.batchBlocksMax, requested.count, room);
    assert(
      blocksMax >= 1 && this.#bytes < this.#windowBytes,
      "a batch has a block, and the window room for it",
    );
    while (batch.count < blocksMax) {
      const index = batch.count;
      if (requested.pieceAt(index) !== piece || requested.beginAt(index) !== begin + batch.bytes) break;
      const length = requested.lengthAt(index);
      batch.lengths[index] = length;
      batch.bytes += length;
      batch.count++;
    }
    assert(batch.count >= 1 && batch.count <= BATCH_BLOCKS_MAX, "a batch has room for what it holds");
    return batch;
  }

  #waitForSlots(): void {
    if (this.#waitingForMemory) return;
    this.#waitingForMemory = true;
    this.#pool.waitForSlots(this);
  }

  slotsAvailable(): void {
    assert(this.#waitingForMemory, "who waits for slots is woken");
    this.#waitingForMemory = false;
    this.#transport.scheduleFlush();
  }

  batchLoaded(batch: BlockBatch, error: StorageError | undefined): void {
    assert(batch.ready === (error === undefined), "a batch is ready, or could not be read");
    assert(batch.next === 0 && batch.sent === 0, "nothing of a batch leaves before it is read");
    if (batch.orphaned) {
      this.#release(batch);
      return;
    }
    if (error !== undefined) {
      const at = this.#batches.indexOf(batch);
      assert(at >= 0, "a batch that is read waits to be sent");
      this.#batches.splice(at, 1);
      this.#bytes -= batch.bytes;
      this.#count -= batch.count;
      let begin = batch.begin;
      for (let index = 0; index < batch.count; index++) {
        const length = batch.lengths[index]!;
        this.#host.blockUnreadable(batch.piece, begin, length, error);
        begin += length;
      }
      this.#release(batch);
    }
    // Also after an error: batches that were ready before may have waited for this one alone.
    this.#transport.scheduleFlush();
  }

  // ── how much is loaded ahead ─────────────────────────────────────────────────────────────────────────────────

  /** The peer is served in turn from now on, or not any more: what is free only is loaded in small. */
  choked(choked: boolean): void {
    this.#bytesMax = choked ? LOADED_BYTES_CHOKED_MAX : LOADED_BYTES_MAX;
    this.#windowBytes = this.#bytesMax;
  }

  /**
   * Time passed, in which the unchoked peer took `bytesPerSecond`: where it left something waiting, no more is loaded ahead for it than it
   * will take soon.
   */
  pace(bytesPerSecond: number): void {
    assert(bytesPerSecond >= 0, "a rate is a number");
    if (bytesPerSecond === 0) return;
    const soon = Math.max(LOADED_BYTES_SLOW_MIN, Math.trunc(LOADED_S_SLOW * bytesPerSecond));
    this.#bytesMax = this.#bytes === 0 ? LOADED_BYTES_MAX : Math.min(LOADED_BYTES_MAX, soon);
    this.#windowBytes = Math.min(this.#windowBytes, this.#bytesMax);
  }

  // ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The next block of the batch, which is the first, is out. Returns where in the piece it begins. */
  sent(batch: BlockBatch): number {
    assert(batch === this.#batches[0], "blocks are sent in order");
    assert(batch.ready && batch.next < batch.count, "what is out was loaded");
    const length = batch.lengths[batch.next]!;
    const begin = batch.nextBegin;
    this.#place.source.sent(batch, batch.next);
    this.#bytes -= length;
    this.#count--;
    batch.next++;
    batch.nextBegin += length;
    batch.sent = 0;
    assert(this.#bytes >= 0 && this.#count >= 0, "no more leaves than was loaded");
    if (batch.next < batch.count) return begin;
    this.#batches.shift();
    this.#spare.push(batch);
    if (this.#windowBytes < this.#bytesMax)
      this.#windowBytes = Math.min(2 * this.#windowBytes, this.#bytesMax);
    return begin;
  }

  /** Takes a request back. False if the block is on its way already, or was never asked for. */
  cancel(piece: number, begin: number): boolean {
    const index = this.requested.find(piece, begin);
    if (index < 0) return this.#unloadLast(piece, begin);
    this.requested.removeAt(index);
    return true;
  }

  /** Takes back the block that would leave last, if it is this one: whoever seeks cancels all that it asked for, the last first. */
  #unloadLast(piece: number, begin: number): boolean {
    const batch = this.#batches.at(-1);
    if (batch === undefined || !batch.ready || batch.piece !== piece) return false;
    const last = batch.count - 1;
    assert(last >= batch.next, "a batch that waits has blocks to send");
    const length = batch.lengths[last]!;
    const hasBegun = last === batch.next && batch.sent > 0;
    if (hasBegun || batch.begin + batch.bytes - length !== begin) return false;
    this.#place.source.sent(batch, last);
    this.#bytes -= length;
    this.#count--;
    assert(this.#bytes >= 0 && this.#count >= 0, "no more is taken back than was loaded");
    if (last > batch.next) {
      batch.cut(last);
      return true;
    }
    this.#batches.pop();
    this.#spare.push(batch);
    return true;
  }

  /** Forgets every block that was asked for and has not begun to leave; calls `each` with it. */
  drop(each?: (piece: PieceIndex, begin: number, length: number) => void): void {
    const { head, requested } = this;
    this.#unload(head !== undefined && head.sent > 0 ? 1 : 0, each ?? ignore);
    for (let index = 0; each !== undefined && index < requested.count; index++) {
      each(requested.pieceAt(index), requested.beginAt(index), requested.lengthAt(index));
    }
    requested.clear();
  }

  /** The peer takes nothing: what is loaded goes back behind the block that is next, for others to use the memory. */
  giveBack(nowMs: number): void {
    this.#windowBytes = BLOCK_SIZE;
    // The last comes first, and each goes before those that went back already.
    this.#unload(1, (piece, begin, length) => this.requested.unshift(piece, begin, length, nowMs));
  }

  /** Takes back all blocks that are loaded, or being loaded, but the next `kept`. The last ones come first. */
  #unload(kept: number, each: (piece: PieceIndex, begin: number, length: number) => void): void {
    const batches = this.#batches;
    assert(kept === 0 || kept === 1, "one block has begun at the most");
    for (let at = batches.length - 1; at >= 0; at--) {
      const batch = batches[at]!;
      const keptHere = at === 0 && batch.ready ? kept : 0;
      const end = batch.next + keptHere;
      let begin = batch.begin + batch.bytes;
      for (let index = batch.count - 1; index >= end; index--) {
        const length = batch.lengths[index]!;
        begin -= length;
        this.#bytes -= length;
        this.#count--;
        if (batch.ready) this.#place.source.sent(batch, index);
        each(batch.piece, begin, length);
      }
      if (!batch.ready) batch.orphaned = true;
      if (keptHere > 0) batch.cut(end);
      else batches.pop();
      if (keptHere === 0 && batch.ready) this.#spare.push(batch);
    }
    assert(this.#bytes >= 0 && this.#count >= 0, "no more goes back than was loaded");
    assert(this.#count <= kept && batches.length <= kept, "no more stays than was to be kept");
  }

  close(): void {
    if (this.#waitingForMemory) this.#pool.stopWaiting(this);
    this.requested.clear();
    for (const batch of this.#batches) {
      if (batch.ready) this.#release(batch);
      else batch.orphaned = true;
    }
    // What is still read into goes home when that ends.
    for (const batch of this.#batches)
      assert(
        batch.orphaned || batch.slots.every((slot) => slot === NO_SLOT),
        "no slot of a batch stays behind",
      );
    this.#batches = [];
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Counts what is loaded again, and compares. For tests. */
  checkInvariants(): void {
    this.requested.checkInvariants();
    let [count, bytes] = [0, 0];
    for (const [at, batch] of this.#batches.entries()) {
      batch.checkInvariants();
      assert(batch.next < batch.count && !batch.orphaned, "a batch that waits has blocks to send");
      assert(batch.sent === 0 || (at === 0 && batch.ready), "one block has begun at the most");
      count += batch.count - batch.next;
      for (let index = batch.next; index < batch.count; index++) bytes += batch.lengths[index]!;
    }
    assert(count === this.#count && bytes === this.#bytes, "the sender counts what is loaded");
    for (const batch of this.#spare)
      assert(
        !this.#batches.includes(batch) && batch.slots.every((slot) => slot === NO_SLOT),
        "a spare batch is empty",
      );
    assert(this.#windowBytes <= this.#bytesMax || this.#windowBytes === BLOCK_SIZE, "the window has a bound");
  }

  #release(batch: BlockBatch): void {
    for (let index = batch.next; index < batch.count; index++) this.#place.source.sent(batch, index);
  }
}

function ignore(): void {}
