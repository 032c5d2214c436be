// Send mode `mapped`: writev straight from a mapping of the file. No copy in user space and the fewest system calls;
// the loop waits for the disk wherever a page is not cached. Blocks that no single mapping holds go the way of `copy`.

import { assert } from "../../base/assert.js";
import { MAPPING_ADDRESS_STRIDE } from "../../base/limits.js";
import type { Storage } from "../storage/storage.js";
import type { BlockBatch } from "./block-batch.js";
import type { BatchOwner, BlockSource } from "./block-source.js";

export class MappedSource implements BlockSource {
  readonly name = "mapped";
  readonly batchBlocksMax: number;
  readonly #fallback: BlockSource;

  constructor(fallback: BlockSource) {
    this.#fallback = fallback;
    this.batchBlocksMax = fallback.batchBlocksMax;
  }

  load(batch: BlockBatch, storage: Storage, owner: BatchOwner): boolean {
    const begin = storage.sourceAddress(batch.offset, batch.bytes);
    let address = begin;
    if (begin < 0) return this.#fallback.load(batch, storage, owner);
    assert(begin >= MAPPING_ADDRESS_STRIDE && !batch.ready, "a block is sent from a mapping of its file");
    for (let index = 0; index < batch.count; index++) {
      batch.addresses[index] = address;
      address += batch.lengths[index]!;
    }
    assert(address === begin + batch.bytes, "the blocks of a batch are all of its bytes");
    batch.ready = true;
    return true;
  }

  sent(batch: BlockBatch, index: number): void {
    this.#fallback.sent(batch, index);
  }
}
