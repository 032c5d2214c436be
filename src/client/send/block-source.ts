// Where the bytes of blocks that we send come from: one implementation per send mode, each a file of its own.

import type { StorageError } from "../../base/errors.js";
import type { Storage } from "../storage/storage.js";
import type { BlockBatch } from "./block-batch.js";

/** Where blocks are sent from: read into the pool, a mapping of the file, or left to the kernel. */
export type SendModeName = "copy" | "mapped" | "sendfile";
/** All send modes. */
export const SEND_MODES: readonly SendModeName[] = ["copy", "mapped", "sendfile"];

export interface BatchOwner {
  /** True where files can be sent without passing through memory. */
  readonly takesFiles: boolean;
  /** Blocks that are loaded for it and not sent yet. */
  readonly blocksLoaded: number;
  /** The batch is ready, or could not be read. Called from the loop, never from inside load(). */
  batchLoaded(batch: BlockBatch, error: StorageError | undefined): void;
}

export interface BlockSource {
  readonly name: SendModeName;
  /** Blocks that a batch may hold, so that loading it succeeds once enough of the pool is free; ≤ BATCH_BLOCKS_MAX. */
  readonly batchBlocksMax: number;
  /**
   * Begins to load the batch's blocks (offset, lengths, count are set), or the first of them: then it cuts the batch. Sets
   * `ready` if they are at hand, else calls the owner later. False: no memory is free for this owner now; nothing has begun.
   */
  load(batch: BlockBatch, storage: Storage, owner: BatchOwner): boolean;
  /** The last byte of a block is out: gives its memory back. */
  sent(batch: BlockBatch, index: number): void;
}
