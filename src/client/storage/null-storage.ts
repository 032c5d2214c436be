// Storage that keeps nothing: for measuring what receiving and hashing cost alone. Only blocks that came so far out of
// order that the pool cannot hold them until they are hashed (or lent, with onBlock) are copied to the heap, and read back once.

import { entryOf } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import { BLOCK_SIZE, WRITE_RUN_BYTES } from "../../base/limits.js";
import { type MemoryList, makeStorageCounters, type Storage, type StorageOwner } from "./storage.js";

export class NullStorage implements Storage {
  readonly kind = "null";
  readonly keepsBlocks = false;
  readonly runBytes = WRITE_RUN_BYTES;
  readonly located = { fd: -1, fileOffset: 0 };
  readonly counters = makeStorageCounters();

  readonly #bytes: Uint8Array;
  readonly #kept = new Map<number, Uint8Array>();

  /** `bytes`: the slab. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  keep(offset: number, address: number): void {
    this.#kept.set(offset, this.#bytes.slice(address, address + BLOCK_SIZE));
  }

  forget(offset: number, blocks: number): void {
    for (let block = 0; block < blocks; block++) this.#kept.delete(offset + block * BLOCK_SIZE);
  }

  landingAddress(): number {
    return -1;
  }

  write(_offset: number, _memory: MemoryList, owner: StorageOwner, tag: number): void {
    queueMicrotask(() => owner.storageDone(tag, undefined));
  }

  read(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    let error: StorageError | undefined;
    let at = offset;
    for (let index = 0; index < memory.count; index++) {
      const block = this.#kept.get(at);
      this.#kept.delete(at);
      if (block === undefined)
        error = new StorageError("STORAGE_IO", "null storage keeps nothing that could be read");
      else this.#bytes.set(block.subarray(0, memory.lengths[index]), memory.addresses[index]);
      at += entryOf(memory.lengths, index);
    }
    queueMicrotask(() => owner.storageDone(tag, error));
  }

  readCached(): boolean {
    return false;
  }

  sourceAddress(): number {
    return -1;
  }

  locate(): boolean {
    return false;
  }

  async sync(): Promise<void> {}

  async close(): Promise<void> {}
}
