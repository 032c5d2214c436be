// What a torrent asks of the place its blocks are kept in. One implementation per kind, each a file of its own:
// file-storage.ts, direct-storage.ts, mapped-storage.ts, memory-storage.ts, null-storage.ts.
//
// Always: a write or read that was begun is answered exactly once, from the loop, never from inside the call; the
// memory named by it belongs to the storage until then. Positions are byte offsets in the torrent's stream of files
// (padding included), so that nobody but storage knows files. Writes never touch padding files; reads of padding
// give zeros.

import type { StorageError } from "../../base/errors.js";

/** "custom" is storage that the program brings (the option customStorage). */
export type StorageKind = "file" | "direct" | "mapped" | "memory" | "null" | "custom";
/** Those that are ours. */
export const STORAGE_KINDS: readonly StorageKind[] = ["file", "direct", "mapped", "memory", "null"];

/** Whoever reads or writes. `tag` is the owner's number for the call; `error` is undefined when all bytes moved. */
export interface StorageOwner {
  storageDone(tag: number, error: StorageError | undefined): void;
}

/** A list of memory, filled by the caller before write() or read(), and free for re-use as soon as that returns. */
export interface MemoryList {
  readonly addresses: Float64Array;
  readonly lengths: Float64Array;
  /** Entries in use. */
  count: number;
}

/** What storage has done: each only grows. */
export interface StorageCounters {
  /** Bytes given to pwritev on descriptors with O_DIRECT, and on ordinary ones. */
  directBytes: number;
  /** Bytes given to pwritev on ordinary descriptors. */
  bufferedBytes: number;
  /** Bytes that landed in a mapping without a write, and bytes copied into one. */
  landedBytes: number;
  /** Bytes that were copied into a mapping. */
  copiedBytes: number;
  /** Calls that wrote. */
  writeCalls: number;
  /** Calls that read. */
  readCalls: number;
  /** Bytes read back to be hashed. */
  readBackBytes: number;
}

export function makeStorageCounters(): StorageCounters {
  return {
    directBytes: 0,
    bufferedBytes: 0,
    landedBytes: 0,
    copiedBytes: 0,
    writeCalls: 0,
    readCalls: 0,
    readBackBytes: 0,
  };
}

export interface Storage {
  readonly kind: StorageKind;
  /** False for null storage: blocks are dropped, nothing can be read. */
  readonly keepsBlocks: boolean;
  readonly counters: StorageCounters;
  /**
   * Writes should begin and end at multiples of this many bytes of the torrent and gather this many, where the data
   * is there: 1 MiB by default.
   */
  readonly runBytes: number;

  /**
   * Where the block at `offset` may be received to directly, as an address; −1 where it has to go through a pool
   * slot (all kinds but mapped; blocks that cross a file's edge).
   */
  landingAddress(offset: number, length: number): number;

  /** Writes the listed memory at `offset`. An entry that is the landing address of its bytes is already there. */
  write(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void;
  /** Reads from `offset` into the listed memory, all of it; a short file is an error. */
  read(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void;
  /**
   * Reads what is in the page cache already, at once and on this thread: true if all of it was there. False
   * promises nothing about the memory.
   */
  readCached(offset: number, memory: MemoryList): boolean;

  /** Address of `length` bytes at `offset` in a mapping for sending, or −1: not in one file, or not mapped. */
  sourceAddress(offset: number, length: number): number;
  /** A file that was sent from is shorter than it was: from now on there are no such addresses, and `sourcesFaulted` is set. */
  sourceFaulted?(): void;
  readonly sourcesFaulted?: boolean;
  /** For sendfile: finds the file of `length` bytes at `offset`; true sets `located`. */
  locate(offset: number, length: number): boolean;
  readonly located: { fd: number; fileOffset: number };

  /**
   * Keeps a file of the layout open, to be hashed where it lies, until letGoFile(): its descriptor, or less than 0 if it cannot be
   * opened. Storage without files has neither.
   */
  holdFile?(fileIndex: number): number;
  letGoFile?(fileIndex: number): void;

  /**
   * For whoever hashes many small files and opens them by their paths: room for the descriptor of one, until giveRoomForFile(); false if
   * there is none. Storage without files, or whose files are not found by their paths, has none of the three.
   */
  takeRoomForFile?(): boolean;
  giveRoomForFile?(): void;
  /** Where a file of the layout lies, which may not be there. */
  pathOfFile?(fileIndex: number): string;

  /** For storage that drops blocks: keeps a copy of one that must be hashed later, until it is read once. */
  keep?(offset: number, address: number): void;

  /** Drops the copies of `blocks` blocks from `offset` on: their piece was wrong. */
  forget?(offset: number, blocks: number): void;

  /** Counts data that was found on disk as written, for the next sync(): nobody knows whether it is durable. */
  assumeWritten?(): void;
  /** False if nothing was written to the file since the last sync() began; a storage that cannot know says true. */
  wroteSinceSync?(fileIndex: number): boolean;
  /** Files that were not wanted are now: those of them that have no place on disk get it. Throws StorageError. */
  makeFiles?(isWanted: (fileIndex: number) => boolean): void;
  /** Makes all that was written durable (fdatasync of every file written since the last call). */
  sync(): Promise<void>;
  /** Waits for what was begun, gives files their true length, closes them. Idempotent. */
  close(): Promise<void>;
}
