// What the assembler knows of one piece under way: where its blocks lie, and what was done with them.
//
//   block:  absent ─▶ held ─┬▶ writing ─▶ written ─┬▶ memory free      needs hashed and written,
//                           └▶ hashed ─────────────┘                   or, under pressure, written alone
//
//   0        hashedCount              contiguousEnd           blockCount
//   ├ hashed ┤├─ held, next to be hashed ─┤├ absent … ├ held ┤ …
//
// Records are kept for re-use: all arrays are as long as the longest piece needs.

import { assert } from "../../base/assert.js";
import { NO_PIECE, type PieceIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { PieceExamination } from "./block-digests.js";

export const ARRIVED = 1;
export const HELD = 2;
export const WRITING = 4;
export const WRITTEN = 8;

export class PieceAssembly {
  /** Index of this record, and tag of its digest jobs. */
  readonly index: number;
  /** The addon's digest. */
  readonly digest: number;
  readonly addresses: Float64Array;
  readonly flags: Uint8Array;
  /** Blocks that have not arrived, per write run. */
  readonly runMissing: Int32Array;

  piece: PieceIndex | typeof NO_PIECE = NO_PIECE;
  blockCount = 0;
  arrived = 0;
  written = 0;
  hashedCount = 0;
  /** Blocks in the digest job under way, 0: none; and where that job leaves the final digest, −1: it is not the last. */
  hashing = 0;
  digestArea = -1;
  /** Writes under way. */
  writes = 0;
  touched = false;
  /** It waits for others to be hashed with. */
  ready = false;
  awaitsReadBack = false;
  /** Some of its padding is not zeros: it will be bad, whatever its digest is. */
  paddingWrong = false;
  /** The digest is known, and wrong. */
  bad = false;
  wrongDigest: Uint8Array | undefined;
  /** It is dropped as soon as nothing is under way. */
  abandoned = false;
  /** It was judged, and its blocks are read once more for their digests. */
  examination: PieceExamination | undefined;
  /** Digests of blocks as they came: where somebody is suspected and storage keeps nothing. */
  digests: Float64Array | undefined;

  constructor(index: number, digest: number, blocksMax: number, runsMax: number) {
    this.index = index;
    this.digest = digest;
    this.addresses = new Float64Array(blocksMax);
    this.flags = new Uint8Array(blocksMax);
    this.runMissing = new Int32Array(runsMax);
  }

  begin(piece: PieceIndex, blockCount: number): void {
    assert(this.piece === NO_PIECE && !this.isBusy, "a record that is begun is nobody's");
    assert(
      blockCount > 0 && blockCount <= this.flags.length,
      "a piece has blocks, and its record room for them",
    );
    this.piece = piece;
    this.blockCount = blockCount;
    this.arrived = 0;
    this.written = 0;
    this.hashedCount = 0;
    this.hashing = 0;
    this.digestArea = -1;
    this.writes = 0;
    this.ready = false;
    this.awaitsReadBack = false;
    this.paddingWrong = false;
    this.bad = false;
    this.wrongDigest = undefined;
    this.abandoned = false;
    this.examination = undefined;
    this.digests = undefined;
    this.flags.fill(0, 0, blockCount);
  }

  /** True while a job, a write or a list has a hold on it. */
  get isBusy(): boolean {
    return this.hashing > 0 || this.writes > 0 || this.ready || this.awaitsReadBack;
  }

  /** True if what it holds may be written, hashed or let go to make room: it was neither judged nor given up. */
  get isOpen(): boolean {
    return !this.bad && !this.abandoned && this.examination === undefined;
  }

  /** Counts its blocks again, and compares. For tests. */
  checkInvariants(): void {
    let [arrived, written] = [0, 0];
    for (let block = 0; block < this.blockCount; block++) {
      const flags = this.flags[block]!;
      if ((flags & ARRIVED) !== 0) arrived++;
      else assert(flags === 0 && block >= this.hashedCount, "nothing is done with what has not come");
      if ((flags & WRITTEN) !== 0) written++;
      assert((flags & (WRITING | WRITTEN)) !== (WRITING | WRITTEN), "what is written is not being written");
      assert((flags & WRITING) === 0 || (flags & HELD) !== 0, "what is being written has its memory");
    }
    assert(arrived === this.arrived && written === this.written, "a piece counts its blocks");
    assert(this.hashedCount + this.hashing <= this.blockCount, "no more is hashed than there is");
  }

  isHeld(block: number): boolean {
    return (this.flags[block]! & HELD) !== 0;
  }

  /** First block at or behind `from` that is not held. */
  heldUntil(from: number): number {
    let end = from;
    while (end < this.blockCount && this.isHeld(end)) end++;
    return end;
  }
}

/** Write runs lie on a grid over the whole torrent, so that those on disk are long and aligned. */
export class RunGrid {
  readonly runBytes: number;
  readonly #pieceLength: number;

  constructor(runBytes: number, pieceLength: number) {
    this.runBytes = runBytes;
    this.#pieceLength = pieceLength;
  }

  /** Runs that one piece touches at the most. */
  get runsMax(): number {
    return Math.ceil(this.#pieceLength / this.runBytes) + 1;
  }

  /** Run of the piece that the block begins in: 0 is the piece's first. */
  runOf(piece: number, block: number): number {
    const start = piece * this.#pieceLength;
    return Math.floor((start + block * BLOCK_SIZE) / this.runBytes) - Math.floor(start / this.runBytes);
  }

  /** First block of the piece that begins in its run `run` or later. */
  firstBlockOf(piece: number, run: number): number {
    if (run === 0) return 0;
    const start = piece * this.#pieceLength;
    const runStart = (Math.floor(start / this.runBytes) + run) * this.runBytes;
    return Math.ceil((runStart - start) / BLOCK_SIZE);
  }
}
