// The blocks that an assembler has in memory: each is written, with its neighbours, and lies in memory until nobody needs it there.
//
//   held ─┬─ waiting (for the rest of its run, or for pressure) ──▶ writing ──▶ written ─┬▶ parked, until it is hashed ─▶ free
//         └─ storage keeps no blocks: as good as written ────────────────────────────────┘
//
// Always: count = waiting + writing + parked, and a block that is held has its address. What is being written is not written again, and its
// memory stays until the write ends. Nothing is allocated per block.

import { assert } from "../../base/assert.js";
import { type BlockIndex, NO_SLOT, type Slots } from "../../base/ids.js";
import { BLOCK_SIZE, WRITE_RUN_BYTES_MAX } from "../../base/limits.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import type { Layout } from "../storage/layout.js";
import type { MemoryList, Storage, StorageOwner } from "../storage/storage.js";
import { ARRIVED, HELD, type PieceAssembly, RunGrid, WRITING, WRITTEN } from "./piece-assembly.js";

const WRITE_BLOCKS_MAX = WRITE_RUN_BYTES_MAX / BLOCK_SIZE;
/** Tags of writes begin here: those below are for other operations of whoever owns the blocks. */
export const WRITE_TAG_MIN = 1;

/** Adjacent blocks of a piece that are being written; the record is used again. */
interface WriteOperation {
  assembly: PieceAssembly | undefined;
  first: number;
  count: number;
}

export class HeldBlocks {
  readonly #layout: Layout;
  readonly #storage: Storage;
  readonly #pool: BlockPool;
  readonly #owner: StorageOwner;
  readonly #verify: boolean;
  readonly #lends: boolean;
  readonly #grid: RunGrid;
  readonly #list: MemoryList = {
    addresses: new Float64Array(WRITE_BLOCKS_MAX),
    lengths: new Float64Array(WRITE_BLOCKS_MAX),
    count: 0,
  };
  readonly #operations: WriteOperation[] = [];
  readonly #freeTags: number[] = [];
  #count = 0;
  #waiting = 0;
  #writing = 0;
  #writesUnderWay = 0;

  constructor(options: {
    readonly layout: Layout;
    readonly storage: Storage;
    readonly pool: BlockPool;
    /** Told with a tag from WRITE_TAG_MIN on when a write is done; calls written() then. */
    readonly owner: StorageOwner;
    /** Blocks are needed until they are hashed; and until they are lent. */
    readonly verify: boolean;
    readonly lends: boolean;
  }) {
    this.#layout = options.layout;
    this.#storage = options.storage;
    this.#pool = options.pool;
    this.#owner = options.owner;
    this.#verify = options.verify;
    this.#lends = options.lends;
    this.#grid = new RunGrid(options.storage.runBytes, options.layout.pieceLength);
  }

  get count(): number {
    return this.#count;
  }

  /** Those that wait to be written. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Those that are being written. */
  get writing(): number {
    return this.#writing;
  }

  /** Those that are in storage, and wait for their hash only. */
  get parked(): number {
    return this.#count - this.#waiting - this.#writing;
  }

  get writesUnderWay(): number {
    return this.#writesUnderWay;
  }

  /** Runs that one piece touches at the most. */
  get runsMax(): number {
    return this.#grid.runsMax;
  }

  /** A piece begins: none of its runs has a block. */
  begin(assembly: PieceAssembly): void {
    const { piece, blockCount, runMissing } = assembly;
    runMissing.fill(0);
    let first = 0;
    for (let run = 0; first < blockCount; run++) {
      assert(run < runMissing.length, "a piece has no more runs than its record has room for");
      const end = Math.min(this.#grid.firstBlockOf(piece, run + 1), blockCount);
      runMissing[run] = end - first;
      first = end;
    }
  }

  /** A block came, and lies at `address`. */
  add(assembly: PieceAssembly, block: BlockIndex, address: number): void {
    assert(block >= 0 && block < assembly.blockCount && address >= 0, "a block of the piece lies somewhere");
    assert((assembly.flags[block]! & ARRIVED) === 0, "a block comes once");
    assembly.addresses[block] = address;
    assembly.flags[block] = ARRIVED | HELD;
    assembly.arrived++;
    this.#count++;
    this.#waiting++;
  }

  /** The block counts as written: storage keeps none. */
  skipWrite(assembly: PieceAssembly, block: BlockIndex): void {
    assert(waitsForWrite(assembly, block), "what is not written waits for it");
    assembly.flags[block] = assembly.flags[block]! | WRITTEN;
    assembly.written++;
    this.#waiting--;
  }

  /** The block is one more of its run, which is written once all of it is there. */
  writeIfWhole(assembly: PieceAssembly, block: BlockIndex): void {
    const { piece, blockCount, runMissing } = assembly;
    const run = this.#grid.runOf(piece, block);
    const missing = runMissing[run]! - 1;
    assert(missing >= 0, "no more blocks come than a run has");
    runMissing[run] = missing;
    if (missing > 0) return;
    const first = this.#grid.firstBlockOf(piece, run);
    this.writeWaiting(assembly, first, Math.min(this.#grid.firstBlockOf(piece, run + 1), blockCount));
  }

  /** Writes all blocks of first … end − 1 that wait for it, neighbours together. */
  writeWaiting(assembly: PieceAssembly, first: number, end: number): void {
    assert(first >= 0 && end <= assembly.blockCount, "what is written are blocks of the piece");
    let block = first;
    while (block < end) {
      if (!waitsForWrite(assembly, block)) {
        block++;
        continue;
      }
      const start = block;
      while (block < end && block - start < WRITE_BLOCKS_MAX && waitsForWrite(assembly, block)) block++;
      this.#write(assembly, start, block - start);
    }
  }

  #write(assembly: PieceAssembly, first: number, count: number): void {
    const list = this.#list;
    assert(count > 0 && count <= WRITE_BLOCKS_MAX, "a write has blocks, and its list has room for them");
    assert(count <= this.#waiting, "what is written has waited for it");
    for (let index = 0; index < count; index++) {
      const block = first + index;
      list.addresses[index] = assembly.addresses[block]!;
      list.lengths[index] = this.#layout.blockLength(assembly.piece, block);
      assembly.flags[block] = assembly.flags[block]! | WRITING;
    }
    list.count = count;
    this.#waiting -= count;
    this.#writing += count;
    this.#writesUnderWay++;
    assembly.writes++;
    const tag =
      this.#freeTags.pop() ??
      this.#operations.push({ assembly: undefined, first: 0, count: 0 }) - 1 + WRITE_TAG_MIN;
    const operation = this.#operationOf(tag);
    operation.assembly = assembly;
    operation.first = first;
    operation.count = count;
    this.#storage.write(this.offsetOf(assembly, first), list, this.#owner, tag);
  }

  /** The write `tag` is done: its blocks go home that nobody needs in memory. Returns the piece. */
  written(tag: number): PieceAssembly {
    const operation = this.#operationOf(tag);
    const { assembly, first, count } = operation;
    assert(assembly !== undefined && assembly.writes > 0, "a write ends once");
    operation.assembly = undefined;
    this.#freeTags.push(tag);
    this.#writing -= count;
    this.#writesUnderWay--;
    assembly.writes--;
    assert(this.#writing >= 0 && this.#writesUnderWay >= 0, "no more is written than was begun");
    for (let block = first; block < first + count; block++) {
      const flags = assembly.flags[block]!;
      assert((flags & WRITING) !== 0, "a block is written that was being written");
      assembly.flags[block] = (flags & ~WRITING) | WRITTEN;
      assembly.written++;
      if (assembly.bad) this.free(assembly, block);
      else this.freeIfDone(assembly, block);
    }
    return assembly;
  }

  #operationOf(tag: number): WriteOperation {
    const operation = this.#operations[tag - WRITE_TAG_MIN];
    assert(operation !== undefined, "a tag is that of a write");
    return operation;
  }

  /** Lets a block go from memory that storage has; storage that drops blocks keeps a copy for us. */
  park(assembly: PieceAssembly, block: number): void {
    if ((assembly.flags[block]! & (HELD | WRITTEN)) !== (HELD | WRITTEN)) return;
    if (!this.#storage.keepsBlocks)
      this.#storage.keep?.(this.offsetOf(assembly, block), assembly.addresses[block]!);
    this.free(assembly, block);
  }

  /** The block goes home if it is hashed and written; where blocks are lent, it stays until then. */
  freeIfDone(assembly: PieceAssembly, block: number): void {
    if (this.#lends || (assembly.flags[block]! & WRITTEN) === 0) return;
    if (!this.#verify || block < assembly.hashedCount) this.free(assembly, block);
  }

  /** Nobody needs the block in memory any more. Without effect on one that is not there. */
  free(assembly: PieceAssembly, block: number): void {
    const flags = assembly.flags[block]!;
    if ((flags & HELD) === 0) return;
    if ((flags & (WRITING | WRITTEN)) === 0) this.#waiting--;
    assembly.flags[block] = flags & ~HELD;
    this.#count--;
    assert(this.#count >= 0 && this.#waiting >= 0, "no more leaves memory than came");
    this.freeAddress(assembly.addresses[block]!);
  }

  freeAll(assembly: PieceAssembly): void {
    for (let block = 0; block < assembly.blockCount; block++) this.free(assembly, block);
  }

  /** The memory at a block's address goes home, unless it is the place of the block in a file. */
  freeAddress(address: number): void {
    const slot = this.#pool.slotAt(address);
    if (slot !== NO_SLOT) this.#pool.release(slot, SlotHolder.storage);
  }

  /** The slots of a whole piece, which are not ours any more; −1 where a block lies in no slot. */
  takeSlots(assembly: PieceAssembly): Slots {
    assert(assembly.writes === 0, "what is taken is not being written");
    const slots = new Int32Array(assembly.blockCount).fill(NO_SLOT) as Slots;
    for (let block = 0; block < assembly.blockCount; block++) {
      if (!assembly.isHeld(block)) continue;
      slots[block] = this.#pool.slotAt(assembly.addresses[block]!);
      assembly.flags[block] = assembly.flags[block]! & ~HELD;
      this.#count--;
    }
    assert(
      this.#count >= 0 && assembly.written === assembly.blockCount,
      "what is taken was held, and is stored",
    );
    return slots;
  }

  /** Byte offset of a block in the torrent. */
  offsetOf(assembly: PieceAssembly, block: number): number {
    return this.#layout.pieceOffset(assembly.piece) + block * BLOCK_SIZE;
  }

  /** Counts the blocks of all pieces under way again, and compares. For tests, between two turns. */
  checkInvariants(active: Iterable<PieceAssembly>): void {
    let [held, waiting, writing] = [0, 0, 0];
    for (const assembly of active) {
      for (let block = 0; block < assembly.blockCount; block++) {
        const flags = assembly.flags[block]!;
        if ((flags & WRITING) !== 0) writing++;
        if ((flags & HELD) !== 0) held++;
        if (waitsForWrite(assembly, block)) waiting++;
      }
    }
    assert(held === this.#count, "the assembler counts what it holds");
    assert(waiting === this.#waiting && writing === this.#writing, "the assembler counts its writes");
    const free = this.#operations.length - this.#freeTags.length;
    assert(free === this.#writesUnderWay, "every write that is not under way has given its tag back");
  }
}

function waitsForWrite(assembly: PieceAssembly, block: number): boolean {
  return (assembly.flags[block]! & (HELD | WRITING | WRITTEN)) === HELD;
}
