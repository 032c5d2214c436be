// What lies on disk of a torrent's files, looked at once: their sizes, how much of them is there, and what tells one file from
// another. Whoever opens storage, believes resume data or looks for old data asks this instead of the disk.
//
// Always: padding is not there, and neither is what is no regular file.

import type { Stats } from "node:fs";
import { entryOf } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import type { FileTable } from "./file-table.js";

const NOT_THERE = -1;
const BYTES_PER_STAT_BLOCK = 512;

export class Survey {
  readonly #sizes: Float64Array;
  readonly #allocated: Float64Array;
  readonly #modifiedMs: Float64Array;
  readonly #inodes: Float64Array;
  readonly #devices: Float64Array;
  readonly #files: FileTable;

  /** Looks at all files. Throws StorageError for what prevents looking. */
  constructor(files: FileTable) {
    const count = files.layout.files.length;
    this.#files = files;
    this.#sizes = new Float64Array(count).fill(NOT_THERE);
    this.#allocated = new Float64Array(count);
    this.#modifiedMs = new Float64Array(count);
    this.#inodes = new Float64Array(count);
    this.#devices = new Float64Array(count);
    files.layout.files.forEach((file, index) => {
      if (!file.padding) this.lookAgain(index);
    });
  }

  /** Bytes of the file, −1 if it is not there. */
  sizeOf(fileIndex: number): number {
    return entryOf(this.#sizes, fileIndex);
  }

  /** Bytes that the file occupies on disk: fewer than its size where it has holes, 0 if it is not there. */
  allocatedOf(fileIndex: number): number {
    return entryOf(this.#allocated, fileIndex);
  }

  /** Milliseconds since 1970, and as exact as the file system is. */
  modifiedMsOf(fileIndex: number): number {
    return entryOf(this.#modifiedMs, fileIndex);
  }

  inodeOf(fileIndex: number): number {
    return entryOf(this.#inodes, fileIndex);
  }

  /** True if the file is there with all its bytes, be they written or a hole. */
  hasLength(fileIndex: number): boolean {
    return this.#sizes[fileIndex] === entryOf(this.#files.layout.files, fileIndex).length;
  }

  /** True if every file is there with its length. */
  get isComplete(): boolean {
    return this.#files.layout.files.every((file, index) => file.padding || this.hasLength(index));
  }

  /** Throws StorageError for what prevents looking. */
  lookAgain(fileIndex: number): void {
    const status = this.#files.look(fileIndex);
    if (status !== undefined) this.note(fileIndex, status);
    else {
      this.#sizes[fileIndex] = NOT_THERE;
      this.#allocated[fileIndex] = 0;
    }
  }

  note(fileIndex: number, status: Stats): void {
    this.#sizes[fileIndex] = status.size;
    this.#allocated[fileIndex] = BYTES_PER_STAT_BLOCK * status.blocks;
    this.#modifiedMs[fileIndex] = status.mtimeMs;
    this.#inodes[fileIndex] = status.ino;
    this.#devices[fileIndex] = status.dev;
  }

  /**
   * Throws StorageError `STORAGE_PATH` if two paths of the torrent are one file on disk: hard links, or names that this file
   * system takes for one. What is written to one of them would be lost in the other.
   */
  checkDistinct(): void {
    const seen = new Map<number, number>();
    this.#files.layout.files.forEach((_file, index) => {
      if (this.#sizes[index] === NOT_THERE) return;
      const inode = entryOf(this.#inodes, index);
      const other = seen.get(inode);
      if (other === undefined) seen.set(inode, index);
      else if (this.#devices[other] === this.#devices[index]) {
        const [first, second] = [this.#files.pathAt(other), this.#files.pathAt(index)];
        const message = `${first} and ${second} are one file on disk: what the torrent keeps apart cannot be stored there`;
        throw new StorageError("STORAGE_PATH", message);
      }
    });
  }
}
