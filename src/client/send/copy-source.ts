// Send mode `copy`: blocks are read into slots of the pool, at once if the page cache has them, else on the thread
// pool, and sent from there. The loop never waits for a disk.

import { assert } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import { NO_SLOT } from "../../base/ids.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import type { MemoryList, Storage, StorageOwner } from "../storage/storage.js";
import { BATCH_BLOCKS_MAX, type BlockBatch } from "./block-batch.js";
import type { BatchOwner, BlockSource } from "./block-source.js";

/** Sending takes slots only while this part of the pool is free, so that it cannot starve receiving. */
const FREE_FRACTION_MIN = 1 / 4;

/**
 * A peer that asks for more may hold at most this part of what is free for sending, its own included: many that take nothing
 * leave something to the next, and one alone still has enough to fill its socket.
 */
const SHARE_OF_FREE = 1 / 5;

export class CopySource implements BlockSource, StorageOwner {
  readonly name = "copy";
  readonly batchBlocksMax: number;
  readonly #pool: BlockPool;
  readonly #memory: MemoryList = {
    addresses: new Float64Array(BATCH_BLOCKS_MAX),
    lengths: new Float64Array(BATCH_BLOCKS_MAX),
    count: 0,
  };
  /** Reads under way, by tag. */
  #batches: (BlockBatch | undefined)[] = [];
  #owners: (BatchOwner | undefined)[] = [];
  #freeTags: number[] = [];

  constructor(pool: BlockPool) {
    this.#pool = pool;
    // A quarter at a time also of a pool so small that a full batch would never fit.
    this.batchBlocksMax = Math.min(BATCH_BLOCKS_MAX, Math.max(1, Math.floor(pool.slotCount / 4)));
  }

  load(batch: BlockBatch, storage: Storage, owner: BatchOwner): boolean {
    const pool = this.#pool;
    const free = pool.freeCount - FREE_FRACTION_MIN * pool.slotCount;
    const allowed = Math.ceil(SHARE_OF_FREE * (free + owner.blocksLoaded)) - owner.blocksLoaded;
    if (free < 1 || allowed <= 0) return false;
    batch.cut(allowed);
    assert(batch.count >= 1 && batch.count <= BATCH_BLOCKS_MAX, "a batch has blocks, and room for them");
    const memory = this.#memory;
    for (let index = 0; index < batch.count; index++) {
      const slot = pool.acquire(SlotHolder.sending);
      assert(slot !== NO_SLOT, "a batch takes no more slots than are free");
      batch.slots[index] = slot;
      batch.addresses[index] = pool.addressOf(slot);
      memory.addresses[index] = pool.addressOf(slot);
      memory.lengths[index] = batch.lengths[index]!;
    }
    memory.count = batch.count;
    if (storage.readCached(batch.offset, memory)) {
      batch.ready = true;
      return true;
    }
    const tag = this.#freeTags.pop() ?? this.#batches.length;
    this.#batches[tag] = batch;
    this.#owners[tag] = owner;
    storage.read(batch.offset, memory, this, tag);
    return true;
  }

  storageDone(tag: number, error: StorageError | undefined): void {
    const batch = this.#batches[tag];
    const owner = this.#owners[tag];
    assert(batch !== undefined && owner !== undefined && !batch.ready, "a read ends once");
    this.#batches[tag] = undefined;
    this.#owners[tag] = undefined;
    this.#freeTags.push(tag);
    batch.ready = error === undefined;
    owner.batchLoaded(batch, error);
  }

  sent(batch: BlockBatch, index: number): void {
    assert(index >= batch.next && index < BATCH_BLOCKS_MAX, "a block is let go once");
    const slot = batch.slots[index]!;
    if (slot === NO_SLOT) return;
    batch.slots[index] = NO_SLOT;
    this.#pool.release(slot, SlotHolder.sending);
  }
}
