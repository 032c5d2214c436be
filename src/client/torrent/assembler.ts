// From blocks to verified pieces in storage. Blocks are hashed in order, in batches, while they are still in the cache,
// and written in runs; both off the main thread, and at the same time. A slot goes home when both are done.
//
// Blocks ahead of their turn wait in memory. Under pressure (less than a quarter of the pool is free) whatever waits is
// written at once, and out-of-order blocks give up their slots and are read back when their turn comes: the only
// case in which anything is read back.
//
// A piece that failed is read once more, block by block, and so is one that is right after it had failed, if the host wants to know
// which blocks differ. Where storage keeps nothing, digests are made as blocks come, while somebody is suspected.
//
// What waits for its hash and what is read back are parts of their own (ready-pieces, read-back); what is left is the life of a
// slot, told in one place, because each of its ends must be accounted for.
//
// Always: it cannot block itself with an exhausted pool. Every slot it holds is being hashed, being written, or is
// written under pressure, and none of that needs another slot but reading back, which has its own, taken before the first block may come.
// The host is called at the end of a turn, never from inside addBlock().

import { assert } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import type { BlockIndex, PieceIndex, SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, CHUNK_BLOCKS, WRITE_RUN_BYTES_MAX } from "../../base/limits.js";
import { WorkList } from "../../base/work-list.js";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../../native/binding.js";
import type { JobOwner } from "../../native/jobs.js";
import type { Reactor, TurnHook } from "../../native/reactor.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { Layout } from "../storage/layout.js";
import type { MemoryList, Storage, StorageOwner } from "../storage/storage.js";
import type { AssemblerHost } from "./assembler-contract.js";
import { BlockDigests, PieceExamination } from "./block-digests.js";
import { ARRIVED, HELD, PieceAssembly, RunGrid, WRITING, WRITTEN } from "./piece-assembly.js";
import { READ_BACK_SLOTS, ReadBack } from "./read-back.js";
import { ReadyPieces } from "./ready-pieces.js";

const DIGEST_BYTES = 20;
/** Bytes between places for finished digests. */
const DIGEST_AREA_BYTES = 32;
/** A digest job takes at least so many blocks, unless it reaches the end of the piece, and at most so many. */
const HASH_BLOCKS_MIN = CHUNK_BLOCKS;
const HASH_BLOCKS_MAX = 256;
/** Blocks of a piece that get a digest in one turn. */
const EXAMINED_BLOCKS_MAX = 16;
/** Blocks of a dropped piece that get a digest: those still in memory, up to so many. */
const DROPPED_DIGESTS_MAX = 256;
const WRITE_BLOCKS_MAX = WRITE_RUN_BYTES_MAX / BLOCK_SIZE;
/** Tag of the one read that may be under way; writes have those from 1 on. */
const READ_BACK_TAG = 0;
/** Slots of a download that are never lent: for reading back, and one for finished digests. */
const RESERVED_SLOTS = 1 + READ_BACK_SLOTS;

interface WriteOperation {
  assembly: PieceAssembly | undefined;
  first: number;
  count: number;
}

export interface AssemblerOptions {
  readonly layout: Layout;
  /** 20 bytes per piece. */
  readonly digests: Uint8Array;
  readonly storage: Storage;
  readonly memory: Memory;
  readonly reactor: Reactor;
  readonly verify: boolean;
  /** Blocks of verified pieces are lent: those that memory has room for stay in their slots until then. Needs `verify`. */
  readonly lends?: boolean;
  readonly host: AssemblerHost;
}

export class Assembler implements JobOwner, StorageOwner, TurnHook {
  readonly #layout: Layout;
  readonly #digests: Uint8Array;
  readonly #storage: Storage;
  readonly #memory: Memory;
  readonly #reactor: Reactor;
  readonly #verify: boolean;
  readonly #lends: boolean;
  readonly #host: AssemblerHost;
  readonly #grid: RunGrid;
  readonly #blockDigests: BlockDigests;
  readonly #list: MemoryList = {
    addresses: new Float64Array(WRITE_BLOCKS_MAX),
    lengths: new Float64Array(WRITE_BLOCKS_MAX),
    count: 0,
  };

  readonly #active = new Map<number, PieceAssembly>();
  readonly #records: PieceAssembly[] = [];
  readonly #spare: PieceAssembly[] = [];
  /** Records that something happened to in this turn, and the list that takes their place while they are gone through. */
  #touched = new WorkList<PieceAssembly>();
  #touchedNext = new WorkList<PieceAssembly>();
  /** Those that wait to be hashed together with others. */
  readonly #ready: ReadyPieces;
  readonly #operations: WriteOperation[] = [{ assembly: undefined, first: 0, count: 0 }];
  readonly #freeOperations: number[] = [];
  readonly #slots: SlotIndex[] = [];
  /** Addresses for finished digests; one is kept for the piece that is read back, which must wait for nobody. */
  readonly #freeAreas: number[] = [];
  #readBackArea = -1;
  /** Records that wait for a place for their finished digest. */
  #waitingForArea: PieceAssembly[] = [];
  /** Undefined where nothing is verified. */
  #readBack: ReadBack | undefined;

  /** Blocks held, those of them that wait to be written, and those being written. The others are parked: they wait for
   * their hash only. */
  #held = 0;
  #waiting = 0;
  #writing = 0;
  #inFlight = 0;
  #hooked = false;
  #failed = false;
  #closing = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: AssemblerOptions) {
    this.#layout = options.layout;
    this.#digests = options.digests;
    this.#storage = options.storage;
    this.#memory = options.memory;
    this.#reactor = options.reactor;
    this.#verify = options.verify;
    this.#lends = options.lends === true;
    this.#host = options.host;
    this.#blockDigests = new BlockDigests(options.memory, options.reactor.ground);
    this.#grid = new RunGrid(options.storage.runBytes, options.layout.pieceLength);
    this.#ready = new ReadyPieces(options.reactor.ground, (assembly) => this.#hashReady(assembly));
  }

  /**
   * Takes a block that lies at `address`: a slot of the pool, which is the assembler's from now on, or the block's
   * landing address. Each block comes once, until its piece has failed.
   */
  addBlock(piece: PieceIndex, block: BlockIndex, address: number): void {
    if (this.#failed || this.#closing) {
      this.#freeAddress(address);
      return;
    }
    const assembly = this.#active.get(piece) ?? this.#begin(piece);
    if (this.#layout.hasPadding && !this.#isPaddingZero(piece, block, address)) assembly.paddingWrong = true;
    assert((assembly.flags[block]! & ARRIVED) === 0, "a block comes once");
    assembly.addresses[block] = address;
    assembly.flags[block] = ARRIVED | HELD;
    assembly.arrived++;
    this.#held++;
    this.#waiting++;
    if (!this.#storage.keepsBlocks) {
      if (assembly.digests !== undefined)
        assembly.digests[block] = this.#blockDigests.of(address, this.#layout.blockLength(piece, block));
      assembly.written++;
      assembly.flags[block] = ARRIVED | HELD | WRITTEN;
      this.#waiting--;
      if (!this.#verify) this.#free(assembly, block);
      this.#touch(assembly);
      return;
    }
    const run = this.#grid.runOf(piece, block);
    assembly.runMissing[run] = assembly.runMissing[run]! - 1;
    if (assembly.runMissing[run] === 0) this.#writeRun(assembly, run);
    this.#touch(assembly);
  }

  /** Drops what came of a piece, of which no more comes: pieceDropped() follows, later where something is under way. */
  dropPiece(piece: PieceIndex): void {
    const assembly = this.#active.get(piece);
    if (assembly === undefined || this.#failed || this.#closing) {
      this.#host.pieceDropped(piece, undefined);
      return;
    }
    assert(assembly.arrived < assembly.blockCount, "a whole piece is judged, not dropped");
    assembly.abandoned = true;
    this.#touch(assembly);
  }

  /** Waits for what is under way and gives all memory back. Pieces that are not complete are forgotten. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#ready.stop();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    for (const assembly of this.#active.values()) this.#freeAll(assembly);
    this.#active.clear();
    for (const { digest } of this.#records) this.#reactor.engine.closeDigest(digest);
    this.#records.length = 0;
    this.#releaseSlots();
  }

  /** Takes the slots that are never lent, before the first block may come. False: downloads have enough of the pool. Idempotent. */
  prepare(): boolean {
    if (!this.#verify || this.#readBack !== undefined) return true;
    if (!this.#memory.pool.reserve(RESERVED_SLOTS)) return false;
    this.#readBack = this.#reserveSlots();
    return true;
  }

  /** No block will come for a while: gives those slots back, unless something is under way. */
  rest(): void {
    if (this.#active.size === 0 && this.#inFlight === 0) this.#releaseSlots();
  }

  #releaseSlots(): void {
    if (this.#slots.length === 0) return;
    for (const slot of this.#slots.splice(0)) this.#memory.pool.release(slot);
    this.#memory.pool.unreserve(RESERVED_SLOTS);
    this.#freeAreas.length = 0;
    this.#readBackArea = -1;
    this.#readBack = undefined;
  }

  /** Time passed: memory may have become short by what others hold. */
  tick(): void {
    if (this.#underPressure && this.#held > 0 && !this.#failed && !this.#closing) this.#relieve();
  }

  /** Counts the blocks of all pieces under way again, and compares. For tests, between two turns. */
  checkInvariants(): void {
    if (this.#failed || this.#closing) return;
    let [held, waiting, writing] = [0, 0, 0];
    for (const [piece, assembly] of this.#active) {
      assert(assembly.piece === piece, "a piece has its record");
      let [arrived, written] = [0, 0];
      for (let block = 0; block < assembly.blockCount; block++) {
        const flags = assembly.flags[block]!;
        if ((flags & ARRIVED) !== 0) arrived++;
        else assert(flags === 0 && block >= assembly.hashedCount, "nothing is done with what has not come");
        if ((flags & WRITTEN) !== 0) written++;
        if ((flags & WRITING) !== 0) writing++;
        if ((flags & HELD) !== 0) held++;
        if (waitsForWrite(assembly, block)) waiting++;
      }
      assert(arrived === assembly.arrived && written === assembly.written, "a piece counts its blocks");
      assert(
        assembly.hashedCount + assembly.hashing <= assembly.blockCount,
        "no more is hashed than there is",
      );
    }
    assert(held === this.#held, "the assembler counts what it holds");
    assert(waiting === this.#waiting && writing === this.#writing, "the assembler counts its writes");
  }

  turnEnded(): void {
    this.#hooked = false;
    if (this.#failed || this.#closing) return;
    const touched = this.#touched;
    this.#touched = this.#touchedNext;
    this.#touchedNext = touched;
    for (let index = 0; index < touched.count; index++) {
      const assembly = touched.at(index);
      assembly.touched = false;
      this.#advance(assembly);
    }
    touched.clear();
    if (this.#underPressure && this.#held > 0) this.#relieve();
    this.#ready.handOverIfEnough(this.#active.size, this.#underPressure);
  }

  // ── what was begun has ended ─────────────────────────────────────────────────────────────────────────────────

  /** A digest job is done. */
  jobDone(tag: number, result: number): void {
    this.#inFlight--;
    const assembly = this.#records[tag]!;
    const count = assembly.hashing;
    const first = assembly.hashedCount;
    assembly.hashing = 0;
    if (result < 0) {
      this.#fail(new StorageError("STORAGE_IO", "cannot compute a digest", { errno: result }));
      this.#noteIdle();
      return;
    }
    assembly.hashedCount = first + count;
    if (this.#readBack?.current === assembly) {
      if (this.#lends && !this.#storage.keepsBlocks) this.#keepReadBack(assembly, first, count);
      this.#readBack.ended();
      this.#nextReadBack();
    } else {
      for (let block = first; block < first + count; block++) this.#freeIfDone(assembly, block);
    }
    if (assembly.digestArea >= 0) this.#judge(assembly);
    this.#touch(assembly);
    this.#noteIdle();
  }

  storageDone(tag: number, error: StorageError | undefined): void {
    this.#inFlight--;
    if (tag === READ_BACK_TAG) this.#readBackDone(error);
    else this.#writeDone(tag, error);
    this.#noteIdle();
  }

  #writeDone(tag: number, error: StorageError | undefined): void {
    const operation = this.#operations[tag]!;
    const assembly = operation.assembly!;
    operation.assembly = undefined;
    this.#writing -= operation.count;
    this.#freeOperations.push(tag);
    assembly.writes--;
    for (let block = operation.first; block < operation.first + operation.count; block++) {
      assembly.flags[block] = (assembly.flags[block]! & ~WRITING) | WRITTEN;
      assembly.written++;
      if (assembly.bad) this.#free(assembly, block);
      else this.#freeIfDone(assembly, block);
    }
    if (error !== undefined) this.#fail(error);
    else this.#touch(assembly);
  }

  #readBackDone(error: StorageError | undefined): void {
    const readBack = this.#readBack!;
    const assembly = readBack.current!;
    if (error === undefined && assembly.examination === undefined) {
      this.#hash(assembly, readBack.blockCount, true);
      return;
    }
    if (error === undefined) this.#examineMore(assembly, readBack);
    readBack.ended();
    if (error !== undefined) this.#fail(error);
    else this.#nextReadBack();
  }

  /** The next blocks of a judged piece lie in the slots for reading back. */
  #examineMore(assembly: PieceAssembly, readBack: ReadBack): void {
    for (let index = 0; index < readBack.blockCount; index++) {
      const length = this.#layout.blockLength(assembly.piece, assembly.hashedCount++);
      assembly.examination!.add(readBack.addressOf(index), length);
    }
    this.#touch(assembly);
  }

  // ── a piece goes on ──────────────────────────────────────────────────────────────────────────────────────────

  #begin(piece: PieceIndex): PieceAssembly {
    const isPrepared = this.prepare();
    assert(isPrepared, "a download has its slots before its first block comes");
    const assembly = this.#spare.pop() ?? this.#newRecord();
    const blockCount = this.#layout.blocksInPiece(piece);
    assembly.begin(piece, blockCount);
    if (!this.#storage.keepsBlocks && !this.#host.isQuiet)
      assembly.digests = new Float64Array(blockCount).fill(Number.NaN);
    assembly.runMissing.fill(0);
    for (let block = 0; block < blockCount; block++) {
      const run = this.#grid.runOf(piece, block);
      assembly.runMissing[run] = assembly.runMissing[run]! + 1;
    }
    this.#active.set(piece, assembly);
    return assembly;
  }

  #newRecord(): PieceAssembly {
    const digest = this.#reactor.engine.openDigest("sha1");
    const blocksMax = this.#layout.blocksInPiece(0);
    const record = new PieceAssembly(this.#records.length, digest, blocksMax, this.#grid.runsMax);
    this.#records.push(record);
    return record;
  }

  #touch(assembly: PieceAssembly): void {
    if (!assembly.touched) {
      assembly.touched = true;
      this.#touched.push(assembly);
    }
    if (this.#hooked) return;
    this.#hooked = true;
    this.#reactor.atTurnEnd(this);
  }

  #advance(assembly: PieceAssembly): void {
    if (assembly.piece < 0) return;
    if (assembly.abandoned) this.#dropIfIdle(assembly);
    else if (assembly.examination !== undefined) {
      if (assembly.hashedCount === assembly.blockCount) this.#finish(assembly);
      else if (!assembly.awaitsReadBack && this.#readBack?.current !== assembly) this.#examineHeld(assembly);
    } else {
      if (this.#verify && !assembly.bad) this.#hashMore(assembly);
      const hashed = !this.#verify || assembly.hashedCount === assembly.blockCount;
      const stored = assembly.written === assembly.blockCount;
      if (assembly.bad ? assembly.writes === 0 : hashed && stored) this.#judged(assembly);
    }
  }

  /** Right or wrong, and nothing of it is under way: finished, unless its blocks are to be looked at one by one. */
  #judged(assembly: PieceAssembly): void {
    const { blockCount } = assembly;
    const canRead = this.#verify && this.#storage.keepsBlocks && assembly.written === blockCount;
    if (!canRead || !this.#host.wantsDigests(assembly.piece as PieceIndex, assembly.bad)) {
      this.#finish(assembly);
      return;
    }
    const at = assembly.piece * DIGEST_BYTES;
    const judged = assembly.wrongDigest ?? this.#digests.subarray(at, at + DIGEST_BYTES);
    assembly.examination = new PieceExamination(this.#blockDigests, blockCount, judged);
    assembly.hashedCount = 0;
    this.#examineHeld(assembly);
  }

  /** Blocks that are in memory still, because they are to be lent, need no read. */
  #examineHeld(assembly: PieceAssembly): void {
    const { examination } = assembly;
    const end = Math.min(assembly.blockCount, assembly.hashedCount + EXAMINED_BLOCKS_MAX);
    while (assembly.hashedCount < end && assembly.isHeld(assembly.hashedCount)) {
      const block = assembly.hashedCount++;
      examination!.add(assembly.addresses[block]!, this.#layout.blockLength(assembly.piece, block));
    }
    if (assembly.hashedCount === assembly.blockCount || assembly.isHeld(assembly.hashedCount)) {
      this.#touch(assembly);
      return;
    }
    this.#readBack!.add(assembly);
    this.#nextReadBack();
  }

  #dropIfIdle(assembly: PieceAssembly): void {
    if (assembly.isBusy || this.#readBack?.current === assembly) return;
    const digests = assembly.digests ?? this.#digestsOfHeld(assembly);
    this.#freeAll(assembly);
    this.#storage.forget?.(this.#offsetOf(assembly, 0), assembly.blockCount);
    this.#host.pieceDropped(this.#forget(assembly), digests);
  }

  #digestsOfHeld(assembly: PieceAssembly): Float64Array {
    const digests = new Float64Array(assembly.blockCount).fill(Number.NaN);
    let left = DROPPED_DIGESTS_MAX;
    for (let block = 0; block < assembly.blockCount && left > 0; block++) {
      if (!assembly.isHeld(block)) continue;
      const length = this.#layout.blockLength(assembly.piece, block);
      digests[block] = this.#blockDigests.of(assembly.addresses[block]!, length);
      left--;
    }
    return digests;
  }

  #hashMore(assembly: PieceAssembly): void {
    if (assembly.hashing > 0 || assembly.ready || assembly.awaitsReadBack) return;
    if (this.#readBack?.current === assembly) return;
    const first = assembly.hashedCount;
    if (first === assembly.blockCount) return;
    if (!assembly.isHeld(first)) {
      if ((assembly.flags[first]! & ARRIVED) === 0) return;
      this.#readBack!.add(assembly);
      this.#nextReadBack();
      return;
    }
    const end = assembly.heldUntil(first);
    // A short stretch waits for more, but only if more will come to lengthen it: the block behind it is still to arrive.
    const mayGrow = end < assembly.blockCount && (assembly.flags[end]! & ARRIVED) === 0;
    if (end - first < HASH_BLOCKS_MIN && mayGrow && !this.#underPressure) return;
    this.#ready.add(assembly);
  }

  #hashReady(assembly: PieceAssembly): void {
    if (this.#failed || this.#closing) return;
    if (assembly.abandoned) {
      this.#touch(assembly);
      return;
    }
    const stretch = assembly.heldUntil(assembly.hashedCount) - assembly.hashedCount;
    this.#hash(assembly, Math.min(stretch, HASH_BLOCKS_MAX), false);
  }

  /** Hashes the next `count` blocks, from their own memory or from what was read back. */
  #hash(assembly: PieceAssembly, count: number, fromReadBack: boolean): void {
    const first = assembly.hashedCount;
    const isEnd = first + count === assembly.blockCount;
    if (isEnd) {
      const area = fromReadBack ? this.#readBackArea : this.#freeAreas.pop();
      if (area === undefined) {
        this.#waitingForArea.push(assembly);
        return;
      }
      assembly.digestArea = area;
    }
    assembly.hashing = count;
    const flags = (first === 0 ? DIGEST_START : 0) | (isEnd ? DIGEST_FINISH : 0);
    const { jobs } = this.#reactor;
    jobs.begin(
      JobKind.digest,
      this,
      assembly.index,
      assembly.digest,
      Math.max(0, assembly.digestArea),
      flags,
    );
    for (let index = 0; index < count; index++) {
      const block = first + index;
      const address = fromReadBack ? this.#readBack!.addressOf(index) : assembly.addresses[block]!;
      jobs.add(address, this.#layout.blockLength(assembly.piece, block));
    }
    jobs.end();
    this.#inFlight++;
  }

  /** The digest is complete: right or wrong. */
  #judge(assembly: PieceAssembly): void {
    const { bytes } = this.#memory;
    const area = assembly.digestArea;
    const expected = assembly.piece * DIGEST_BYTES;
    for (let index = 0; index < DIGEST_BYTES && !assembly.bad; index++) {
      assembly.bad = bytes[area + index] !== this.#digests[expected + index];
    }
    if (assembly.bad) assembly.wrongDigest = bytes.slice(area, area + DIGEST_BYTES);
    // Right, but not as it would be stored: padding is not, and reads as zeros. What is served must be what was verified.
    assembly.bad ||= assembly.paddingWrong;
    assembly.digestArea = -1;
    if (area !== this.#readBackArea) this.#freeAreas.push(area);
    if (this.#waitingForArea.length > 0)
      for (const waiting of this.#waitingForArea.splice(0)) this.#touch(waiting);
    if (!assembly.bad) return;
    for (let block = 0; block < assembly.blockCount; block++) {
      if ((assembly.flags[block]! & WRITING) === 0) this.#free(assembly, block);
    }
  }

  #finish(assembly: PieceAssembly): void {
    const { bad, examination } = assembly;
    const digests = examination?.isSound === true ? examination.digests : assembly.digests;
    const slots = this.#lends && !bad ? this.#takeSlots(assembly) : undefined;
    if (bad) this.#storage.forget?.(this.#offsetOf(assembly, 0), assembly.blockCount);
    // Its digest is right, so every honest peer will send just that: nobody is to blame, and asking again would never end.
    const isUnstorable = bad && assembly.wrongDigest === undefined && assembly.paddingWrong;
    const piece = this.#forget(assembly);
    if (isUnstorable) this.#fail(paddingError(piece));
    else if (bad) this.#host.pieceFailed(piece, digests);
    else this.#host.pieceVerified(piece, digests);
    if (slots !== undefined) this.#host.pieceToLend!(piece, slots);
  }

  /** Gives the record back; its piece may begin again. */
  #forget(assembly: PieceAssembly): PieceIndex {
    const piece = assembly.piece as PieceIndex;
    assembly.piece = -1;
    this.#active.delete(piece);
    this.#spare.push(assembly);
    return piece;
  }

  /** The slots of a whole piece, which are not the assembler's any more; −1 where a block lies in no slot. */
  #takeSlots(assembly: PieceAssembly): Int32Array {
    const slots = new Int32Array(assembly.blockCount).fill(-1);
    for (let block = 0; block < assembly.blockCount; block++) {
      if (!assembly.isHeld(block)) continue;
      slots[block] = this.#memory.pool.slotAt(assembly.addresses[block]!);
      assembly.flags[block] = assembly.flags[block]! & ~HELD;
      this.#held--;
    }
    return slots;
  }

  #fail(error: StorageError): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#host.storageFailed(error);
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** All blocks of a run are there: writes those that are not on their way yet. */
  #writeRun(assembly: PieceAssembly, run: number): void {
    const first = this.#grid.firstBlockOf(assembly.piece, run);
    const end = Math.min(this.#grid.firstBlockOf(assembly.piece, run + 1), assembly.blockCount);
    this.#writeWaiting(assembly, first, end);
  }

  /** Writes all blocks of first … end − 1 that wait for it, neighbours together. */
  #writeWaiting(assembly: PieceAssembly, first: number, end: number): void {
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
    for (let index = 0; index < count; index++) {
      const block = first + index;
      list.addresses[index] = assembly.addresses[block]!;
      list.lengths[index] = this.#layout.blockLength(assembly.piece, block);
      assembly.flags[block] = assembly.flags[block]! | WRITING;
    }
    list.count = count;
    this.#waiting -= count;
    this.#writing += count;
    const tag =
      this.#freeOperations.pop() ?? this.#operations.push({ assembly: undefined, first: 0, count: 0 }) - 1;
    const operation = this.#operations[tag]!;
    operation.assembly = assembly;
    operation.first = first;
    operation.count = count;
    assembly.writes++;
    this.#inFlight++;
    this.#storage.write(this.#offsetOf(assembly, first), list, this, tag);
  }

  // ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────

  get #underPressure(): boolean {
    const { pool } = this.#memory;
    return 4 * pool.freeCount < pool.slotCount;
  }

  /**
   * Writes what waits for the rest of its run, and lets out-of-order blocks go whose bytes are on disk. Writes under
   * way bring memory back by themselves, and short writes cost more: so only when there are none, or when
   * what waits or is parked has grown out of proportion.
   */
  #relieve(): void {
    const { slotCount } = this.#memory.pool;
    const parked = this.#held - this.#waiting - this.#writing;
    const write = this.#waiting > 0 && (this.#writing === 0 || 2 * this.#waiting > slotCount);
    const release = this.#verify && parked > 0 && (this.#writing === 0 || 4 * parked > slotCount);
    if (!write && !release) return;
    for (const assembly of this.#active.values()) {
      if (!assembly.isOpen) continue;
      if (write) this.#writeWaiting(assembly, 0, assembly.blockCount);
      if (release) this.#releaseParked(assembly);
    }
  }

  /** Lets those blocks go that are in storage and cannot be hashed yet, because one before them is missing. */
  #releaseParked(assembly: PieceAssembly): void {
    this.#hashMore(assembly);
    // What is hashed and in storage stays only to be lent, and is read back then.
    for (let block = 0; this.#lends && block < assembly.hashedCount; block++) this.#park(assembly, block);
    for (let block = assembly.heldUntil(assembly.hashedCount); block < assembly.blockCount; block++)
      this.#park(assembly, block);
  }

  /** Lets a block go from memory that storage has; storage that drops blocks keeps a copy for us. */
  #park(assembly: PieceAssembly, block: number): void {
    if ((assembly.flags[block]! & (HELD | WRITTEN)) !== (HELD | WRITTEN)) return;
    if (!this.#storage.keepsBlocks)
      this.#storage.keep?.(this.#offsetOf(assembly, block), assembly.addresses[block]!);
    this.#free(assembly, block);
  }

  /** Storage that drops blocks gave them out for good: they will be wanted once more, to be lent. */
  #keepReadBack(assembly: PieceAssembly, first: number, count: number): void {
    for (let index = 0; index < count; index++)
      this.#storage.keep?.(this.#offsetOf(assembly, first + index), this.#readBack!.addressOf(index));
  }

  #offsetOf(assembly: PieceAssembly, block: number): number {
    return this.#layout.pieceOffset(assembly.piece) + block * BLOCK_SIZE;
  }

  /** True if what the block has of padding is zeros. A block that has landed in a file has none. */
  #isPaddingZero(piece: number, block: number, address: number): boolean {
    if (this.#memory.pool.slotAt(address) === -1) return true;
    const { bytes } = this.#memory;
    const offset = this.#layout.pieceOffset(piece) + block * BLOCK_SIZE;
    const length = this.#layout.blockLength(piece, block);
    let isZero = true;
    this.#layout.forEachSpan(offset, length, (fileIndex, _fileOffset, spanOffset, spanLength) => {
      if (!this.#layout.files[fileIndex]!.padding) return;
      const start = address + spanOffset;
      for (let at = start; at < start + spanLength; at++) if (bytes[at] !== 0) isZero = false;
    });
    return isZero;
  }

  #freeIfDone(assembly: PieceAssembly, block: number): void {
    if (this.#lends) return;
    const written = (assembly.flags[block]! & WRITTEN) !== 0;
    if (written && (!this.#verify || block < assembly.hashedCount)) this.#free(assembly, block);
  }

  #free(assembly: PieceAssembly, block: number): void {
    const flags = assembly.flags[block]!;
    if ((flags & HELD) === 0) return;
    if ((flags & (WRITING | WRITTEN)) === 0) this.#waiting--;
    assembly.flags[block] = flags & ~HELD;
    this.#held--;
    this.#freeAddress(assembly.addresses[block]!);
  }

  #freeAll(assembly: PieceAssembly): void {
    for (let block = 0; block < assembly.blockCount; block++) this.#free(assembly, block);
  }

  #freeAddress(address: number): void {
    const slot = this.#memory.pool.slotAt(address);
    if (slot !== -1) this.#memory.pool.release(slot);
  }

  /** Slots that are never lent: for reading back, and one for finished digests. */
  #reserveSlots(): ReadBack {
    const { pool } = this.#memory;
    for (let index = 0; index < RESERVED_SLOTS; index++) {
      const slot = pool.acquire(SlotHolder.storage);
      assert(slot !== -1, "what was reserved is free");
      this.#slots.push(slot);
    }
    const base = pool.addressOf(this.#slots[0]!);
    this.#readBackArea = base;
    for (let at = DIGEST_AREA_BYTES; at < BLOCK_SIZE; at += DIGEST_AREA_BYTES)
      this.#freeAreas.push(base + at);
    return new ReadBack({
      layout: this.#layout,
      storage: this.#storage,
      addresses: this.#slots.slice(1).map((slot) => pool.addressOf(slot)),
      owner: this,
      tag: READ_BACK_TAG,
    });
  }

  #nextReadBack(): void {
    if (this.#failed || this.#closing) return;
    // Counted first, in case storage answers at once.
    this.#inFlight++;
    if (!this.#readBack!.next()) this.#inFlight--;
  }

  #noteIdle(): void {
    if (this.#inFlight > 0 || this.#idleWaiters.length === 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}

function waitsForWrite(assembly: PieceAssembly, block: number): boolean {
  return (assembly.flags[block]! & (HELD | WRITING | WRITTEN)) === HELD;
}

function paddingError(piece: PieceIndex): StorageError {
  return new StorageError(
    "STORAGE_PADDING",
    `piece ${piece} of this torrent has padding that is not zeros (BEP 47): it cannot be kept as it is, and would be served wrong; whoever made the torrent has to make it anew`,
  );
}
