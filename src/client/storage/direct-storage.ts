// Storage kind `direct`: O_DIRECT writes of long runs straight from the page-aligned pool. A block goes from the socket
// to the disk with no copy in user space and none into the page cache.
//
//   file   0 ────────────── a ═══════════════════════════ b ──── end        a, b: multiples of 4096
//            buffered           direct: offset, length and          buffered
//                               address are all aligned
//
// Always: what cannot be aligned (the edges of files that do not begin at a page of the torrent, short blocks, the last
// bytes of a file) goes the buffered way and is counted; both ways never write to one page.

import { PAGE_SIZE } from "../../base/limits.js";
import { JobKind } from "../../native/binding.js";
import { FileStorage, type FileStorageOptions } from "./file-storage.js";
import type { FileTable } from "./file-table.js";
import type { MemoryList, StorageKind } from "./storage.js";
import type { StorageCall } from "./storage-jobs.js";

export class DirectStorage extends FileStorage {
  override readonly kind: StorageKind = "direct";
  readonly #directFiles: FileTable;

  /** `directFiles`: the same files, opened with O_DIRECT. */
  constructor(options: FileStorageOptions & { readonly directFiles: FileTable }) {
    super(options);
    this.#directFiles = options.directFiles;
  }

  protected override writeSpan(
    call: StorageCall,
    fileIndex: number,
    fileOffset: number,
    memory: MemoryList,
    at: number,
    within: number,
    length: number,
  ): void {
    let entry = at;
    let skip = within;
    let done = 0;
    while (done < length) {
      const bytes = alignedBytes(memory, entry, skip, fileOffset + done, length - done);
      const direct = bytes > 0;
      const count = direct ? bytes : unalignedBytes(memory, entry, skip, fileOffset + done, length - done);
      if (direct) {
        this.counters.directBytes += count;
        const table = this.#directFiles;
        this.startJob(JobKind.write, call, table, fileIndex, fileOffset + done, memory, entry, skip, count);
      } else super.writeSpan(call, fileIndex, fileOffset + done, memory, entry, skip, count);
      done += count;
      let left = count;
      while (left > 0 && left >= memory.lengths[entry]! - skip) {
        left -= memory.lengths[entry++]! - skip;
        skip = 0;
      }
      skip += left;
    }
  }

  protected override closeFiles(): void {
    this.#directFiles.close();
    super.closeFiles();
  }
}

/** Bytes from here on that O_DIRECT takes: whole pages, at aligned addresses, at an aligned place in the file. */
function alignedBytes(
  memory: MemoryList,
  at: number,
  within: number,
  fileOffset: number,
  length: number,
): number {
  let bytes = 0;
  let skip = within;
  for (let entry = at; bytes < length; entry++) {
    const aligned =
      (fileOffset + bytes) % PAGE_SIZE === 0 && (memory.addresses[entry]! + skip) % PAGE_SIZE === 0;
    if (!aligned) break;
    const room = Math.min(length - bytes, memory.lengths[entry]! - skip);
    bytes += room - (room % PAGE_SIZE);
    // The rest of a page ends the run: what follows it in the file is not aligned any more.
    if (room % PAGE_SIZE !== 0) break;
    skip = 0;
  }
  return bytes;
}

/** Bytes from here on until an aligned stretch begins. */
function unalignedBytes(
  memory: MemoryList,
  at: number,
  within: number,
  fileOffset: number,
  length: number,
): number {
  let bytes = 0;
  let entry = at;
  let skip = within;
  do {
    bytes += Math.min(length - bytes, memory.lengths[entry]! - skip);
    entry++;
    skip = 0;
  } while (bytes < length && alignedBytes(memory, entry, 0, fileOffset + bytes, length - bytes) === 0);
  return bytes;
}
