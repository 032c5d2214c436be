// Blocks that a program hands out itself, one after the other as they are asked for: they come into slots of the connection's memory and
// leave from there.
//
// Always: what the program gives has the length that was asked for, or the request is refused; what it throws, or rejects with, is told
// as the reason. A quarter of the slots is left to receiving.

import { StorageError } from "../../base/errors.js";
import { NO_SLOT } from "../../base/ids.js";
import type { BlockPool } from "../memory/block-pool.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import { BATCH_BLOCKS_MAX, type BlockBatch } from "../send/block-batch.js";
import type { BatchOwner, BlockSource } from "../send/block-source.js";
import type { Storage } from "../storage/storage.js";

/** Gives `length` bytes at `begin` of a piece that is here. */
export type ReadBlock = (
  piece: number,
  begin: number,
  length: number,
) => Uint8Array | PromiseLike<Uint8Array>;

const FREE_FRACTION_MIN = 1 / 4;

export class ProgramSource implements BlockSource {
  readonly name = "copy";
  readonly batchBlocksMax: number;
  readonly #memory: Memory;
  readonly #pool: BlockPool;
  readonly #read: ReadBlock;

  constructor(memory: Memory, read: ReadBlock) {
    this.#memory = memory;
    this.#pool = memory.pool;
    this.#read = read;
    this.batchBlocksMax = Math.min(BATCH_BLOCKS_MAX, Math.max(1, Math.floor(memory.pool.slotCount / 4)));
  }

  load(batch: BlockBatch, _storage: Storage, owner: BatchOwner): boolean {
    const pool = this.#pool;
    const free = Math.floor(pool.freeCount - FREE_FRACTION_MIN * pool.slotCount);
    if (free < 1) return false;
    batch.cut(free);
    for (let index = 0; index < batch.count; index++) {
      const slot = pool.acquire(SlotHolder.sending);
      if (slot === NO_SLOT) {
        batch.cut(index);
        break;
      }
      batch.slots[index] = slot;
      batch.addresses[index] = pool.addressOf(slot);
    }
    this.#readInto(batch).then(
      () => {
        batch.ready = true;
        owner.batchLoaded(batch, undefined);
      },
      (cause: unknown) => {
        const error = new StorageError("STORAGE_IO", `the program gave no block: ${String(cause)}`, {
          cause,
        });
        owner.batchLoaded(batch, error);
      },
    );
    return true;
  }

  sent(batch: BlockBatch, index: number): void {
    const slot = batch.slots[index];
    if (slot === undefined || slot === NO_SLOT) return;
    batch.slots[index] = NO_SLOT;
    this.#pool.release(slot, SlotHolder.sending);
  }

  async #readInto(batch: BlockBatch): Promise<void> {
    let begin = batch.begin;
    for (let index = 0; index < batch.count; index++) {
      const length = batch.lengths[index] ?? 0;
      const bytes = await this.#read(batch.piece, begin, length);
      if (!(bytes instanceof Uint8Array) || bytes.length !== length)
        throw new TypeError(`${length} bytes of piece ${batch.piece} at ${begin} were asked for`);
      this.#memory.bytes.set(bytes, batch.addresses[index] ?? 0);
      begin += length;
    }
  }
}
