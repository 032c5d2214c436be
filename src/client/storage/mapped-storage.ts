// Storage kind `mapped`: blocks are received straight into memory-mapped files, and written to them like those of `file` when they
// lie elsewhere. Also the base of `memory`, whose one file has no name.
//
// Always: the space of a mapped file is really allocated before it is mapped, so that a full disk is an error at the
// start and not a signal in the middle. Nothing is read from a mapping that could be read from the file: another program may cut
// that short, which a read tells and a touch does not.

import { FileStorage, type FileStorageOptions } from "./file-storage.js";
import type { MemoryList, StorageKind } from "./storage.js";
import type { StorageCall } from "./storage-jobs.js";

export class MappedStorage extends FileStorage {
  override readonly kind: StorageKind;
  /** Address of the first byte of each file; −1: it holds none, or nobody wanted it when the others were mapped. */
  protected readonly bases: Float64Array;

  /** `bases`: the mapped files, by index, as the addon's map() answered. */
  constructor(
    options: FileStorageOptions & { readonly bases: Float64Array; readonly kind: "mapped" | "memory" },
  ) {
    super(options);
    this.kind = options.kind;
    this.bases = options.bases;
  }

  override landingAddress(offset: number, length: number): number {
    const { layout } = this.files;
    const fileIndex = layout.fileAt(offset);
    const file = layout.files[fileIndex]!;
    if (file.padding || offset + length > file.offset + file.length) return -1;
    const base = this.bases[fileIndex]!;
    return base < 0 ? -1 : base + offset - file.offset;
  }

  override sourceAddress(offset: number, length: number): number {
    if (this.sourcesFaulted) return -1;
    const address = this.landingAddress(offset, length);
    // Zeros stand in for what a touch did not find.
    return address >= 0 && !this.engine.isIntact(address) ? -1 : address;
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
    const base = this.bases[fileIndex]!;
    if (base < 0) {
      super.writeSpan(call, fileIndex, fileOffset, memory, at, within, length);
      return;
    }
    const place = base + fileOffset;
    let entry = at;
    let skip = within;
    for (let done = 0; done < length; ) {
      const landed = memory.addresses[entry]! + skip === place + done;
      const first = entry;
      const firstSkip = skip;
      let bytes = 0;
      // As many entries as are all there already, or all are not.
      do {
        bytes += Math.min(length - done - bytes, memory.lengths[entry]! - skip);
        entry++;
        skip = 0;
      } while (done + bytes < length && (memory.addresses[entry]! === place + done + bytes) === landed);
      if (landed) this.counters.landedBytes += bytes;
      else super.writeSpan(call, fileIndex, fileOffset + done, memory, first, firstSkip, bytes);
      done += bytes;
    }
  }

  protected override closeFiles(): void {
    for (const base of this.bases) if (base >= 0) this.engine.unmap(base);
    super.closeFiles();
  }
}
