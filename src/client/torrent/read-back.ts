// Blocks that had to leave memory before their turn to be hashed came: they are read back from storage, a few at a time, into
// slots that are kept for it.
//
// Always: one piece is read back at a time, and it needs no slot but these, so that it goes on however short memory is.

import { assert, entryOf } from "../../base/assert.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { Layout } from "../storage/layout.js";
import type { MemoryList, Storage, StorageOwner } from "../storage/storage.js";
import { HELD, type PieceAssembly, WRITTEN } from "./piece-assembly.js";

/** Blocks that are read at one time, and slots that are kept for it. */
export const READ_BACK_SLOTS = 4;

export class ReadBack {
  readonly #layout: Layout;
  readonly #storage: Storage;
  /** Of the slots. */
  readonly #addresses: readonly number[];
  readonly #owner: StorageOwner;
  readonly #tag: number;
  readonly #queue: PieceAssembly[] = [];
  readonly #list: MemoryList = {
    addresses: new Float64Array(READ_BACK_SLOTS),
    lengths: new Float64Array(READ_BACK_SLOTS),
    count: 0,
  };
  #current: PieceAssembly | undefined;

  /** `owner` is told with `tag` when a read that next() began is done. */
  constructor(options: {
    readonly layout: Layout;
    readonly storage: Storage;
    readonly addresses: readonly number[];
    readonly owner: StorageOwner;
    readonly tag: number;
  }) {
    assert(options.addresses.length === READ_BACK_SLOTS, "reading back has its slots");
    this.#layout = options.layout;
    this.#storage = options.storage;
    this.#addresses = options.addresses;
    this.#owner = options.owner;
    this.#tag = options.tag;
  }

  /** The piece that is being read or hashed from what was read. */
  get current(): PieceAssembly | undefined {
    return this.#current;
  }

  /** Blocks in the slots now, the current piece's next. */
  get blockCount(): number {
    return this.#list.count;
  }

  /** Where block `index` of those in the slots lies. */
  addressOf(index: number): number {
    return entryOf(this.#addresses, index);
  }

  add(assembly: PieceAssembly): void {
    assert(!assembly.awaitsReadBack && this.#current !== assembly, "a piece waits once, and not for itself");
    assembly.awaitsReadBack = true;
    this.#queue.push(assembly);
  }

  /** The current piece's blocks were hashed, or could not be read. */
  ended(): void {
    assert(this.#current !== undefined && this.#list.count > 0, "what ends was begun");
    this.#current = undefined;
  }

  /** Begins to read the next piece's blocks, unless one is current or none waits. True if a read began. */
  next(): boolean {
    if (this.#current !== undefined) return false;
    const assembly = this.#queue.shift();
    if (assembly === undefined) return false;
    assembly.awaitsReadBack = false;
    const list = this.#list;
    const first = assembly.hashedCount;
    let bytes = 0;
    list.count = 0;
    while (list.count < READ_BACK_SLOTS && first + list.count < assembly.blockCount) {
      const block = first + list.count;
      if ((entryOf(assembly.flags, block) & (HELD | WRITTEN)) !== WRITTEN) break;
      list.addresses[list.count] = this.addressOf(list.count);
      list.lengths[list.count] = this.#layout.blockLength(assembly.piece, block);
      bytes += entryOf(list.lengths, list.count);
      list.count++;
    }
    assert(list.count > 0, "what is read back was let go");
    this.#current = assembly;
    this.#storage.counters.readBackBytes += bytes;
    const offset = this.#layout.pieceOffset(assembly.piece) + first * BLOCK_SIZE;
    this.#storage.read(offset, list, this.#owner, this.#tag);
    return true;
  }
}
