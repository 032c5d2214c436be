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
// What waits for its hash (ready-pieces), what is read back (read-back), and what is in memory and written (held-blocks) are parts of
// their own. One file, because what is left is the life of a piece, from its first block to its verdict, which is read as one story.
//
// Always: it cannot block itself with an exhausted pool. Every slot it holds is being hashed, being written, or is
// written under pressure, and none of that needs another slot but reading back, which has its own, taken before the first block may come.
// The host is called at the end of a turn, never from inside addBlock().

import { assert } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import { type BlockIndex, NO_PIECE, NO_SLOT, type PieceIndex } from "../../base/ids.js";
import { BLOCK_SIZE, CHUNK_BLOCKS } from "../../base/limits.js";
import { WorkList } from "../../base/work-list.js";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../../native/binding.js";
import type { JobOwner } from "../../native/jobs.js";
import type { Reactor, TurnHook } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import type { Layout } from "../storage/layout.js";
import type { Storage, StorageOwner } from "../storage/storage.js";
import type { AssemblerHost } from "./assembler-contract.js";
import { BlockDigests, PieceExamination } from "./block-digests.js";
import { HeldBlocks, WRITE_TAG_MIN } from "./held-blocks.js";
import { isPaddingZero, paddingError } from "./padding.js";
import { ARRIVED, PieceAssembly, WRITING } from "./piece-assembly.js";
import { ReadBack } from "./read-back.js";
import { ReadyPieces } from "./ready-pieces.js";
import { RESERVED_SLOTS, ReservedSlots } from "./reserved-slots.js";

const DIGEST_BYTES = 20;
/** A digest job takes at least so many blocks, unless it reaches the end of the piece, and at most so many. */
const HASH_BLOCKS_MIN = CHUNK_BLOCKS;
const HASH_BLOCKS_MAX = 256;
/** Blocks of a piece that get a digest in one turn. */
const EXAMINED_BLOCKS_MAX = 16;
/** Blocks of a dropped piece that get a digest: those still in memory, up to so many. */
const DROPPED_DIGESTS_MAX = 256;
/** Tag of the one read that may be under way; writes have those from WRITE_TAG_MIN on. */
const READ_BACK_TAG = 0;

assert(READ_BACK_TAG < WRITE_TAG_MIN, "a read has a tag that no write has");

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
  readonly #held: HeldBlocks;
  readonly #blockDigests: BlockDigests;

  readonly #active = new Map<number, PieceAssembly>();
  readonly #records: PieceAssembly[] = [];
  readonly #spare: PieceAssembly[] = [];
  /** Records that something happened to in this turn, and the list that takes their place while they are gone through. */
  #touched = new WorkList<PieceAssembly>();
  #touchedNext = new WorkList<PieceAssembly>();
  /** Those that wait to be hashed together with others. */
  readonly #ready: ReadyPieces;
  /** There from prepare() to rest(), where pieces are verified. */
  #reserved: ReservedSlots | undefined;
  /** Records that wait for a place for their finished digest. */
  #waitingForArea: PieceAssembly[] = [];
  /** There as long as those slots are. */
  #readBack: ReadBack | undefined;

  /** Digest jobs and reads under way; writes are counted with the blocks held. */
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
    this.#held = new HeldBlocks({
      layout: options.layout,
      storage: options.storage,
      pool: options.memory.pool,
      owner: this,
      verify: options.verify,
      lends: this.#lends,
    });
    this.#ready = new ReadyPieces(options.reactor.ground, (assembly) => this.#hashReady(assembly));
  }

  /**
   * Takes a block that lies at `address`: a slot of the pool, which is the assembler's from now on, or the block's
   * landing address. Each block comes once, until its piece has failed.
   */
  addBlock(piece: PieceIndex, block: BlockIndex, address: number): void {
    if (this.#failed || this.#closing) {
      this.#held.freeAddress(address);
      return;
    }
    const assembly = this.#active.get(piece) ?? this.#begin(piece);
    if (this.#layout.hasPadding && !this.#isPaddingZero(piece, block, address)) assembly.paddingWrong = true;
    assert(!assembly.abandoned, "no block comes of a piece that is dropped");
    const held = this.#held;
    held.add(assembly, block, address);
    if (this.#storage.keepsBlocks) held.writeIfWhole(assembly, block);
    else {
      if (assembly.digests !== undefined)
        assembly.digests[block] = this.#blockDigests.of(address, this.#layout.blockLength(piece, block));
      held.skipWrite(assembly, block);
      if (!this.#verify) held.free(assembly, block);
    }
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
    if (!this.#isIdle) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    for (const assembly of this.#active.values()) this.#held.freeAll(assembly);
    this.#active.clear();
    assert(this.#held.count === 0, "all blocks have gone home at close");
    for (const { digest } of this.#records) this.#reactor.engine.closeDigest(digest);
    this.#records.length = 0;
    this.#releaseSlots();
  }

  /** Blocks in memory that are to be hashed or stored. */
  get heldCount(): number {
    return this.#held.count;
  }

  /** Takes the slots that are never lent, before the first block may come. False: downloads have enough of the pool. Idempotent. */
  prepare(): boolean {
    if (!this.#verify || this.#readBack !== undefined) return true;
    const { pool } = this.#memory;
    if (!pool.reserve(RESERVED_SLOTS)) return false;
    this.#reserved = new ReservedSlots(pool);
    this.#readBack = new ReadBack({
      layout: this.#layout,
      storage: this.#storage,
      addresses: this.#reserved.readBackAddresses,
      owner: this,
      tag: READ_BACK_TAG,
    });
    return true;
  }

  /** No block will come for a while: gives those slots back, unless something is under way. */
  rest(): void {
    if (this.#active.size === 0 && this.#isIdle) this.#releaseSlots();
  }

  #releaseSlots(): void {
    assert(this.#isIdle && this.#active.size === 0, "slots go home when nobody needs them");
    this.#reserved?.release();
    this.#reserved = undefined;
    this.#readBack = undefined;
  }

  /** Time passed: memory may have become short by what others hold. */
  tick(): void {
    if (this.#underPressure && this.#held.count > 0 && !this.#failed && !this.#closing) this.#relieve();
  }

  /** Counts the blocks of all pieces under way again, and compares. For tests, between two turns. */
  checkInvariants(): void {
    if (this.#failed || this.#closing) return;
    this.#held.checkInvariants(this.#active.values());
    for (const [piece, assembly] of this.#active) {
      assert(assembly.piece === piece, "a piece has its record");
      assembly.checkInvariants();
    }
    assert(this.#active.size + this.#spare.length === this.#records.length, "a record is in use or spare");
  }

  turnEnded(): void {
    this.#hooked = false;
    if (this.#failed || this.#closing) return;
    const touched = this.#touched;
    assert(this.#touchedNext.count === 0, "what was touched before has been gone through");
    this.#touched = this.#touchedNext;
    this.#touchedNext = touched;
    for (let index = 0; index < touched.count; index++) {
      // What one piece leads to may be the end of all: then nobody wants to hear of the others.
      if (this.#failed || this.#closing) break;
      const assembly = touched.at(index);
      assembly.touched = false;
      this.#advance(assembly);
    }
    touched.clear();
    if (this.#underPressure && this.#held.count > 0) this.#relieve();
    this.#ready.handOverIfEnough(this.#active.size, this.#underPressure);
  }

  // ── what was begun has ended ─────────────────────────────────────────────────────────────────────────────────

  /** A digest job is done. */
  jobDone(tag: number, result: number): void {
    this.#inFlight--;
    const assembly = this.#records[tag];
    assert(assembly !== undefined && assembly.hashing > 0, "a digest job is that of a piece");
    const count = assembly.hashing;
    const first = assembly.hashedCount;
    assert(
      this.#inFlight >= 0 && first + count <= assembly.blockCount,
      "no more is hashed than was begun, and than the piece has",
    );
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
      for (let block = first; block < first + count; block++) this.#held.freeIfDone(assembly, block);
    }
    if (assembly.digestArea >= 0) this.#judge(assembly);
    this.#touch(assembly);
    this.#noteIdle();
  }

  storageDone(tag: number, error: StorageError | undefined): void {
    if (tag === READ_BACK_TAG) this.#readBackDone(error);
    else this.#writeDone(tag, error);
    this.#noteIdle();
  }

  #writeDone(tag: number, error: StorageError | undefined): void {
    const assembly = this.#held.written(tag);
    if (error !== undefined) this.#fail(error);
    else this.#touch(assembly);
  }

  #readBackDone(error: StorageError | undefined): void {
    this.#inFlight--;
    const readBack = this.#readBack;
    const assembly = readBack?.current;
    assert(readBack !== undefined && assembly !== undefined, "what was read back is a piece's");
    assert(this.#inFlight >= 0 && readBack.blockCount > 0, "a read that ends was begun");
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
    const { examination } = assembly;
    assert(examination !== undefined, "what is read once more was judged");
    assert(assembly.hashedCount + readBack.blockCount <= assembly.blockCount, "no more than the piece has");
    for (let index = 0; index < readBack.blockCount; index++) {
      const length = this.#layout.blockLength(assembly.piece, assembly.hashedCount++);
      examination.add(readBack.addressOf(index), length);
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
    this.#held.begin(assembly);
    this.#active.set(piece, assembly);
    return assembly;
  }

  #newRecord(): PieceAssembly {
    const digest = this.#reactor.engine.openDigest("sha1");
    const blocksMax = this.#layout.blocksInPiece(0);
    const record = new PieceAssembly(this.#records.length, digest, blocksMax, this.#held.runsMax);
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
    if (assembly.piece === NO_PIECE) return;
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
    const { blockCount, piece } = assembly;
    assert(piece !== NO_PIECE, "what is judged is a piece under way");
    const canRead = this.#verify && this.#storage.keepsBlocks && assembly.written === blockCount;
    if (!canRead || !this.#host.wantsDigests(piece, assembly.bad)) {
      this.#finish(assembly);
      return;
    }
    const at = piece * DIGEST_BYTES;
    const judged = assembly.wrongDigest ?? this.#digests.subarray(at, at + DIGEST_BYTES);
    assembly.examination = new PieceExamination(this.#blockDigests, blockCount, judged);
    assembly.hashedCount = 0;
    this.#examineHeld(assembly);
  }

  /** Blocks that are in memory still, because they are to be lent, need no read. */
  #examineHeld(assembly: PieceAssembly): void {
    const { examination } = assembly;
    assert(
      examination !== undefined && !assembly.isBusy,
      "what is looked at again was judged, and is let alone",
    );
    const end = Math.min(assembly.blockCount, assembly.hashedCount + EXAMINED_BLOCKS_MAX);
    while (assembly.hashedCount < end && assembly.isHeld(assembly.hashedCount)) {
      const block = assembly.hashedCount++;
      examination.add(assembly.addresses[block]!, this.#layout.blockLength(assembly.piece, block));
    }
    if (assembly.hashedCount === assembly.blockCount || assembly.isHeld(assembly.hashedCount)) {
      this.#touch(assembly);
      return;
    }
    this.#reading.add(assembly);
    this.#nextReadBack();
  }

  #dropIfIdle(assembly: PieceAssembly): void {
    if (assembly.isBusy || this.#readBack?.current === assembly) return;
    const digests = assembly.digests ?? this.#digestsOfHeld(assembly);
    this.#held.freeAll(assembly);
    this.#storage.forget?.(this.#held.offsetOf(assembly, 0), assembly.blockCount);
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
      this.#reading.add(assembly);
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
    assert(
      assembly.hashing === 0 && !assembly.bad,
      "a piece has one digest job at a time, until it is judged",
    );
    assert(count > 0 && first + count <= assembly.blockCount, "what is hashed are blocks of the piece");
    const isEnd = first + count === assembly.blockCount;
    if (isEnd) {
      const area = fromReadBack ? this.#reserved?.readBackArea : this.#reserved?.takeArea();
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
      const address = fromReadBack ? this.#reading.addressOf(index) : assembly.addresses[block]!;
      jobs.add(address, this.#layout.blockLength(assembly.piece, block));
    }
    jobs.end();
    this.#inFlight++;
  }

  /** The digest is complete: right or wrong. */
  #judge(assembly: PieceAssembly): void {
    const { bytes } = this.#memory;
    const area = assembly.digestArea;
    assert(
      area >= 0 && assembly.hashing === 0 && assembly.hashedCount === assembly.blockCount,
      "a piece is judged by the digest of all of it",
    );
    const expected = assembly.piece * DIGEST_BYTES;
    for (let index = 0; index < DIGEST_BYTES && !assembly.bad; index++) {
      assembly.bad = bytes[area + index] !== this.#digests[expected + index];
    }
    if (assembly.bad) assembly.wrongDigest = bytes.slice(area, area + DIGEST_BYTES);
    // Right, but not as it would be stored: padding is not, and reads as zeros. What is served must be what was verified.
    assembly.bad ||= assembly.paddingWrong;
    assembly.digestArea = -1;
    this.#reserved?.giveArea(area);
    if (this.#waitingForArea.length > 0)
      for (const waiting of this.#waitingForArea.splice(0)) this.#touch(waiting);
    if (!assembly.bad) return;
    for (let block = 0; block < assembly.blockCount; block++) {
      if ((assembly.flags[block]! & WRITING) === 0) this.#held.free(assembly, block);
    }
  }

  #finish(assembly: PieceAssembly): void {
    const { bad, examination } = assembly;
    assert(!assembly.isBusy, "nothing of a piece is under way when it ends");
    assert(assembly.digestArea < 0, "the place of its digest was given back when it was judged");
    const digests = examination?.isSound === true ? examination.digests : assembly.digests;
    const slots = this.#lends && !bad ? this.#held.takeSlots(assembly) : undefined;
    if (bad) this.#storage.forget?.(this.#held.offsetOf(assembly, 0), assembly.blockCount);
    // Its digest is right, so every honest peer will send just that: nobody is to blame, and asking again would never end.
    const isUnstorable = bad && assembly.wrongDigest === undefined && assembly.paddingWrong;
    const piece = this.#forget(assembly);
    if (isUnstorable) this.#fail(paddingError(piece));
    else if (bad) this.#host.pieceFailed(piece, digests);
    else this.#host.pieceVerified(piece, digests);
    if (slots !== undefined) this.#host.pieceToLend?.(piece, slots);
  }

  /** Gives the record back; its piece may begin again. */
  #forget(assembly: PieceAssembly): PieceIndex {
    const { piece } = assembly;
    assert(piece !== NO_PIECE, "a record is given back once");
    assembly.piece = NO_PIECE;
    const wasActive = this.#active.delete(piece);
    assert(wasActive, "a piece that ends was under way");
    this.#spare.push(assembly);
    return piece;
  }

  #fail(error: StorageError): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#host.storageFailed(error);
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
    const held = this.#held;
    const write = held.waiting > 0 && (held.writing === 0 || 2 * held.waiting > slotCount);
    const release = this.#verify && held.parked > 0 && (held.writing === 0 || 4 * held.parked > slotCount);
    if (!write && !release) return;
    for (const assembly of this.#active.values()) {
      if (!assembly.isOpen) continue;
      if (write) held.writeWaiting(assembly, 0, assembly.blockCount);
      if (release) this.#releaseParked(assembly);
    }
  }

  /** Lets those blocks go that are in storage and cannot be hashed yet, because one before them is missing. */
  #releaseParked(assembly: PieceAssembly): void {
    this.#hashMore(assembly);
    // What is hashed and in storage stays only to be lent, and is read back then.
    for (let block = 0; this.#lends && block < assembly.hashedCount; block++)
      this.#held.park(assembly, block);
    for (let block = assembly.heldUntil(assembly.hashedCount); block < assembly.blockCount; block++)
      this.#held.park(assembly, block);
  }

  /** Storage that drops blocks gave them out for good: they will be wanted once more, to be lent. */
  #keepReadBack(assembly: PieceAssembly, first: number, count: number): void {
    for (let index = 0; index < count; index++)
      this.#storage.keep?.(this.#held.offsetOf(assembly, first + index), this.#reading.addressOf(index));
  }

  /** True if what the block has of padding is zeros. A block that has landed in a file has none. */
  #isPaddingZero(piece: number, block: number, address: number): boolean {
    if (this.#memory.pool.slotAt(address) === NO_SLOT) return true;
    const offset = this.#layout.pieceOffset(piece) + block * BLOCK_SIZE;
    const length = this.#layout.blockLength(piece, block);
    return isPaddingZero(this.#layout, offset, this.#memory.bytes, address, length);
  }

  /** For pieces that are verified: others are not read back. */
  get #reading(): ReadBack {
    assert(this.#readBack !== undefined, "what is verified can be read back");
    return this.#readBack;
  }

  #nextReadBack(): void {
    if (this.#failed || this.#closing) return;
    // Counted first, in case storage answers at once.
    this.#inFlight++;
    if (!this.#reading.next()) this.#inFlight--;
  }

  /** Nothing that was begun is under way. */
  get #isIdle(): boolean {
    return this.#inFlight === 0 && this.#held.writesUnderWay === 0;
  }

  #noteIdle(): void {
    if (!this.#isIdle || this.#idleWaiters.length === 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}
