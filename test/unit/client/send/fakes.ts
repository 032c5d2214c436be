// What stands below a sender in the tests: a transport that notes what goes out, as slowly as a test likes, and storage
// in an array. No addon, no socket, no file.
//
// Always: a byte that the transport took is in `taken` exactly once, in order. Reads of the storage that were begun end
// when the test says so.

import assert from "node:assert/strict";
import { StorageError } from "../../../../src/base/errors.js";
import { MAPPING_ADDRESS_STRIDE } from "../../../../src/base/limits.js";
import type { Memory } from "../../../../src/client/memory/memory.js";
import type { PeerTransport } from "../../../../src/client/peer/peer-options.js";
import {
  type MemoryList,
  makeStorageCounters,
  type Storage,
  type StorageOwner,
} from "../../../../src/client/storage/storage.js";
import { entryOf } from "../../../support/required.js";

export const EAGAIN = -11;
const FILE_FD = 7;

export class FakeTransport implements PeerTransport {
  readonly #slab: Uint8Array;
  readonly #entries: Float64Array;
  readonly #file: Uint8Array;
  #chunks: Buffer[] = [];
  /** How many bytes the next call takes; 0 would block, below 0 is an errno. Default: all. */
  room: () => number = () => Number.MAX_SAFE_INTEGER;
  writableWanted = false;
  unacknowledged = -1;
  unsentBytesMax = Number.MAX_SAFE_INTEGER;
  flushesAsked = 0;
  closes = 0;

  constructor(slab: Uint8Array, entries: Float64Array, file: Uint8Array = new Uint8Array(0)) {
    this.#slab = slab;
    this.#entries = entries;
    this.#file = file;
  }

  writev(count: number): number {
    assert.equal(this.closes, 0, "nothing is written after the end");
    assert.ok(count > 0, "a call has something to write");
    let room = this.room();
    if (room < 0) return room;
    let written = 0;
    for (let entry = 0; entry < count; entry++) {
      const address = entryOf(this.#entries, 2 * entry);
      const length = entryOf(this.#entries, 2 * entry + 1);
      assert.ok(length > 0, "an entry has bytes");
      const part = this.#at(address, length).subarray(0, Math.min(length, room));
      this.#chunks.push(Buffer.from(part));
      written += part.length;
      room -= part.length;
    }
    return written === 0 ? EAGAIN : written;
  }

  sendfile(fd: number, offset: number, length: number): number {
    assert.equal(fd, FILE_FD);
    const room = this.room();
    if (room < 0) return room;
    const part = this.#file.subarray(offset, offset + Math.min(length, room));
    this.#chunks.push(Buffer.from(part));
    // A socket that takes nothing says so; a file that has nothing more gives 0.
    return part.length === 0 && room === 0 ? EAGAIN : part.length;
  }

  wantWritable(wanted: boolean): void {
    this.writableWanted = wanted;
  }

  boundUnsent(bytes: number): void {
    this.unsentBytesMax = bytes;
  }

  wakeForAny(): void {}

  setThrottle(): void {}

  mayPass(): void {}

  unacknowledgedBytes(): number {
    return this.unacknowledged;
  }

  scheduleFlush(): void {
    this.flushesAsked++;
  }

  close(): void {
    this.closes++;
  }

  /** All bytes that went out since the last call. */
  taken(): Buffer {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [];
    return bytes;
  }

  #at(address: number, length: number): Uint8Array {
    const mapped = address >= MAPPING_ADDRESS_STRIDE;
    const start = mapped ? address - MAPPING_ADDRESS_STRIDE : address;
    const bytes = mapped ? this.#file : this.#slab;
    assert.ok(
      start >= 0 && start + length <= bytes.length,
      "memory that is sent lies inside slab or mapping",
    );
    return bytes.subarray(start, start + length);
  }
}

interface PendingRead {
  readonly offset: number;
  readonly targets: readonly (readonly [address: number, length: number])[];
  readonly owner: StorageOwner;
  readonly tag: number;
}

/** A torrent's bytes in an array, seen as cached or not, as mapped or not, as one file or not. */
export class FakeStorage implements Storage {
  readonly kind = "file";
  readonly keepsBlocks = true;
  readonly runBytes = 1024 * 1024;
  readonly located = { fd: FILE_FD, fileOffset: 0 };
  readonly counters = makeStorageCounters();
  readonly #data: Uint8Array;
  readonly #memory: Memory;
  readonly #reads: PendingRead[] = [];
  /** True: reads end at once, as from the page cache. */
  cached: (offset: number) => boolean = () => true;
  /** True: the bytes lie in one mapping, or in one file. */
  whole: (offset: number) => boolean = () => true;

  constructor(data: Uint8Array, memory: Memory) {
    this.#data = data;
    this.#memory = memory;
  }

  get readsPending(): number {
    return this.#reads.length;
  }

  readCached(offset: number, memory: MemoryList): boolean {
    if (!this.cached(offset)) return false;
    this.#fill(offset, this.#targets(memory));
    return true;
  }

  read(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    this.#reads.push({ offset, targets: this.#targets(memory), owner, tag });
  }

  /** Ends the read at place `index` of those under way. */
  finishRead(index = 0, error?: StorageError): void {
    const [read] = this.#reads.splice(index, 1);
    assert.ok(read !== undefined, "a read is under way");
    if (error === undefined) this.#fill(read.offset, read.targets);
    read.owner.storageDone(read.tag, error);
  }

  sourceAddress(offset: number, length: number): number {
    return this.whole(offset) && offset + length <= this.#data.length ? MAPPING_ADDRESS_STRIDE + offset : -1;
  }

  locate(offset: number, length: number): boolean {
    this.located.fileOffset = offset;
    return this.whole(offset) && offset + length <= this.#data.length;
  }

  landingAddress(): number {
    return -1;
  }

  write(): void {
    assert.fail("nothing is written by sending");
  }

  async sync(): Promise<void> {}
  async close(): Promise<void> {}

  #targets(memory: MemoryList): [number, number][] {
    return Array.from({ length: memory.count }, (_, index) => [
      entryOf(memory.addresses, index),
      entryOf(memory.lengths, index),
    ]);
  }

  #fill(offset: number, targets: PendingRead["targets"]): void {
    let at = offset;
    for (const [address, length] of targets) {
      this.#memory.bytes.set(this.#data.subarray(at, at + length), address);
      at += length;
    }
  }
}

export function readError(): StorageError {
  return new StorageError("STORAGE_IO", "cannot read: the disk is gone");
}
