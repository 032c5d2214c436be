// Storage kind `mapped`: blocks are received straight into memory-mapped files, or copied there by another thread when
// they lie elsewhere. Also the base of `memory`, whose one file has no name.
//
// Always: the space of a mapped file is really allocated before it is mapped, so that a full disk is an error at the
// start and not a signal in the middle.

import { JobKind } from "../../native/binding.js";
import { FileStorage, type FileStorageOptions, type StorageCall } from "./file-storage.js";
import type { MemoryList, StorageKind, StorageOwner } from "./storage.js";

export class MappedStorage extends FileStorage {
  override readonly kind: StorageKind;
  /** Address of the first byte of each file; −1: it holds none. */
  readonly #bases: Float64Array;

  /** `bases`: the mapped files, by index, as the addon's map() answered. */
  constructor(
    options: FileStorageOptions & { readonly bases: Float64Array; readonly kind: "mapped" | "memory" },
  ) {
    super(options);
    this.kind = options.kind;
    this.#bases = options.bases;
  }

  override landingAddress(offset: number, length: number): number {
    const { layout } = this.files;
    const fileIndex = layout.fileAt(offset);
    const file = layout.files[fileIndex]!;
    if (file.padding || offset + length > file.offset + file.length) return -1;
    return this.#bases[fileIndex]! + offset - file.offset;
  }

  /** A copy from the mapping, on this thread: the caller waits for the disk where pages are not cached. */
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
        else this.engine.copy(this.#bases[fileIndex]! + fileOffset, to + spanOffset, length);
      });
      at += memory.lengths[entry]!;
    }
    return true;
  }

  override sourceAddress(offset: number, length: number): number {
    return this.landingAddress(offset, length);
  }

  /** Blocks land in the mapping before anybody says so. */
  override wroteSinceSync(): boolean {
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
    let place = this.#bases[fileIndex]! + fileOffset;
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

  protected override closeFiles(): void {
    for (const base of this.#bases) if (base >= 0) this.engine.unmap(base);
    super.closeFiles();
  }
}
