// Storage that keeps nothing: for measuring what receiving and hashing cost alone.

import { StorageError } from "../errors.js";
import { WRITE_RUN_BYTES } from "../limits.js";
import type { MemoryList, Storage, StorageCounters, StorageOwner } from "./storage.js";

export class NullStorage implements Storage {
  readonly kind = "null";
  readonly keepsBlocks = false;
  readonly runBytes = WRITE_RUN_BYTES;
  readonly located = { fd: -1, fileOffset: 0 };
  readonly counters: StorageCounters = {
    directBytes: 0,
    bufferedBytes: 0,
    landedBytes: 0,
    copiedBytes: 0,
    writeCalls: 0,
    readCalls: 0,
    readBackBytes: 0,
  };

  landingAddress(): number {
    return -1;
  }

  write(_offset: number, _memory: MemoryList, owner: StorageOwner, tag: number): void {
    queueMicrotask(() => owner.storageDone(tag, undefined));
  }

  read(_offset: number, _memory: MemoryList, owner: StorageOwner, tag: number): void {
    const error = new StorageError("STORAGE_IO", "null storage keeps nothing that could be read");
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
