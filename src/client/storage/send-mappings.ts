// Mappings of files that are sent from: each is made when it is first asked for, and kept until the storage closes.

import { entryOf } from "../../base/assert.js";
import type { NativeEngine } from "../../native/binding.js";
import type { FileTable } from "./file-table.js";

export class SendMappings {
  readonly #engine: NativeEngine;
  readonly #files: FileTable;
  /** Addresses, by file index. */
  readonly #bases = new Map<number, number>();

  constructor(engine: NativeEngine, files: FileTable) {
    this.#engine = engine;
    this.#files = files;
  }

  /** The address of a file's first byte, or less than 0: it cannot be mapped, or not yet. */
  baseOf(fileIndex: number): number {
    return this.#bases.get(fileIndex) ?? this.#map(fileIndex, false);
  }

  /** Maps all files, and makes their pages present. A file that cannot be mapped yet is tried when it is sent. */
  mapAll(): void {
    this.#files.layout.files.forEach((file, fileIndex) => {
      if (!file.padding && file.length > 0) this.#map(fileIndex, true);
    });
  }

  close(): void {
    for (const base of this.#bases.values()) this.#engine.unmap(base);
    this.#bases.clear();
  }

  #map(fileIndex: number, populate: boolean): number {
    let fd: number;
    try {
      fd = this.#files.acquireNow(fileIndex, false);
    } catch {
      return -1; // Who reads the file instead of mapping it is told why it cannot be opened.
    }
    const base = this.#engine.map(fd, entryOf(this.#files.layout.files, fileIndex).length, false, populate);
    this.#files.release(fileIndex);
    // A file that is too short today may be whole the next time.
    if (base >= 0) this.#bases.set(fileIndex, base);
    return base;
  }
}
