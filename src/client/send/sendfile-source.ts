// Send mode `sendfile`: the header by writev with MSG_MORE, the payload by sendfile. Two system calls per block and no
// copy in user space. Blocks that cross a file's edge, those for a connection that
// encrypts, and all of them once a file has turned out to be shorter than it was, go the way of `copy`.

import { assert } from "../../base/assert.js";
import type { Storage } from "../storage/storage.js";
import type { BlockBatch } from "./block-batch.js";
import type { BatchOwner, BlockSource } from "./block-source.js";

export class SendfileSource implements BlockSource {
  readonly name = "sendfile";
  readonly batchBlocksMax: number;
  readonly #fallback: BlockSource;

  constructor(fallback: BlockSource) {
    this.#fallback = fallback;
    this.batchBlocksMax = fallback.batchBlocksMax;
  }

  load(batch: BlockBatch, storage: Storage, owner: BatchOwner): boolean {
    // A file that has become shorter sends nothing at its end, and nobody says so before the block has begun.
    const mayPass = owner.takesFiles && storage.sourcesFaulted !== true;
    if (!mayPass || !storage.locate(batch.offset, batch.bytes))
      return this.#fallback.load(batch, storage, owner);
    const { fd, fileOffset } = storage.located;
    assert(fd >= 0 && fileOffset >= 0 && !batch.ready, "what is located lies in a file that is open");
    batch.fd = fd;
    batch.fileOffset = fileOffset;
    batch.ready = true;
    return true;
  }

  sent(batch: BlockBatch, index: number): void {
    this.#fallback.sent(batch, index);
  }
}
