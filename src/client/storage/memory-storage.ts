// Storage kind `memory`: the torrent in one nameless file of a memory file system, mapped, gone with the process. For
// programs that hand the data on, and for measuring.
//
// Always: what is read and written is copied from and to the mapping. Nobody can open the file, so nobody cuts it short.

import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StorageError, storageErrorFromErrno } from "../../base/errors.js";
import { JobKind } from "../../native/binding.js";
import type { FileStorageOptions } from "./file-storage.js";
import { MappedStorage } from "./mapped-storage.js";
import type { MemoryList, StorageOwner } from "./storage.js";
import { storageErrorOf } from "./storage-errors.js";
import type { StorageCall } from "./storage-jobs.js";

/** Linux's memory file system; elsewhere the folder for temporary files has to do. */
const MEMORY_FOLDER = "/dev/shm";

export class MemoryStorage extends MappedStorage {
  readonly #base: number;

  /** Rejects StorageError `STORAGE_NO_SPACE` if there is not so much memory. */
  static async open(options: FileStorageOptions): Promise<MemoryStorage> {
    const length = options.files.layout.totalLength;
    const fd = openNamelessFile(length);
    try {
      const allocated = await new Promise<number>((resolve) => {
        options.jobs.begin(
          JobKind.allocate,
          { jobDone: (_tag, result) => resolve(result) },
          0,
          fd,
          0,
          length,
        );
        options.jobs.end();
      });
      if (allocated < 0)
        throw storageErrorFromErrno(allocated, `cannot reserve ${length} bytes of`, "memory");
      const base = options.engine.map(fd, length, true, false);
      if (base < 0) throw storageErrorFromErrno(base, `cannot map ${length} bytes of`, "memory");
      return new MemoryStorage(options, base);
    } finally {
      closeSync(fd);
    }
  }

  private constructor(options: FileStorageOptions, base: number) {
    const bases = Float64Array.from(options.files.layout.files, (file) => base + file.offset);
    super({ ...options, bases, kind: "memory" });
    this.#base = base;
  }

  override read(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    this.counters.readCalls++;
    const call = this.begin(owner, tag);
    this.readCached(offset, memory);
    this.end(call);
  }

  override readCached(offset: number, memory: MemoryList): boolean {
    const { layout } = this.files;
    let at = offset;
    for (let entry = 0; entry < memory.count; entry++) {
      const to = memory.addresses[entry]!;
      layout.forEachSpan(at, memory.lengths[entry]!, (fileIndex, fileOffset, spanOffset, length) => {
        if (layout.files[fileIndex]!.padding)
          this.engine.slab.fill(0, to + spanOffset, to + spanOffset + length);
        else this.engine.copy(this.bases[fileIndex]! + fileOffset, to + spanOffset, length);
      });
      at += memory.lengths[entry]!;
    }
    return true;
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
    let place = this.bases[fileIndex]! + fileOffset;
    let left = length;
    let skip = within;
    for (let entry = at; left > 0; entry++) {
      const count = Math.min(left, memory.lengths[entry]! - skip);
      if (memory.addresses[entry]! + skip === place) {
        this.counters.landedBytes += count;
      } else {
        this.counters.copiedBytes += count;
        this.startJob(JobKind.copy, call, undefined, fileIndex, place, memory, entry, skip, count);
      }
      place += count;
      left -= count;
      skip = 0;
    }
  }

  override locate(): boolean {
    return false;
  }

  override holdFile(): number {
    return -1;
  }

  override takeRoomForFile(): boolean {
    return false;
  }

  override async sync(): Promise<void> {}

  protected override closeFiles(): void {
    this.engine.unmap(this.#base);
  }
}

function openNamelessFile(length: number): number {
  const parent = existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir();
  try {
    const folder = mkdtempSync(join(parent, "scatterwire-"));
    const path = join(folder, "memory");
    const fd = openSync(path, "wx+", 0o600);
    unlinkSync(path);
    rmdirSync(folder);
    ftruncateSync(fd, length);
    if (fstatSync(fd).size !== length)
      throw new StorageError("STORAGE_NO_SPACE", `there is no memory for ${length} bytes`);
    return fd;
  } catch (error) {
    throw storageErrorOf(error, "make a file of memory in", parent);
  }
}
