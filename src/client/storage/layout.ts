// The arithmetic of one torrent: pieces, blocks, and the files that a stretch of its bytes lies in. Pure.
//
//   bytes   0        pieceLength     2 × pieceLength                 totalLength
//   pieces  ├── 0 ───┼────── 1 ──────┼────── 2 … ───────────┼─ last ─┤
//   blocks  ├──┼──┼──┼──┼──┼──┼──┼───┼──┼──┼──┼ … ──┼──┼────┼──┼──┼──┤
//   files   ├─ a ─┤├──── b ──────────────┤├ padding ┤├────── c ──────┤
//
// Always: numbers that come from outside pass checkPiece(), checkBlock() or isValidRequest() before they are used as
// indices. All positions are exact up to 2^53 bytes. Files without bytes occupy nothing: no byte is in them. Padding
// (BEP 47) occupies its bytes and is never stored; those who visit spans ask the file.

import { assert } from "../../base/assert.js";
import type { BlockIndex, PieceIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";

export interface LayoutFile {
  /** Path components, safe to join below the download folder. */
  readonly path: readonly string[];
  /** What others call it, if that is not `path`. */
  readonly originalPath?: readonly string[];
  readonly length: number;
  /** Byte offset in the torrent. */
  readonly offset: number;
  /** BEP 47: never stored, reads as zeros. */
  readonly padding: boolean;
}

/** Called for each file that a stretch of bytes lies in, in order. `spanOffset`: bytes before it in the stretch. */
export type SpanVisitor = (fileIndex: number, fileOffset: number, spanOffset: number, length: number) => void;

/** Which block of its piece begins at `begin`, which was proven to be the beginning of one. */
export function blockAt(begin: number): BlockIndex {
  return (begin / BLOCK_SIZE) as BlockIndex;
}

export class Layout {
  readonly pieceLength: number;
  readonly totalLength: number;
  readonly files: readonly LayoutFile[];
  readonly pieceCount: number;
  /** Blocks of the whole torrent. */
  readonly blockCount: number;
  /** Bytes of the shortest block that is not the very last one: those at the ends of pieces, if pieces have such. */
  readonly shortestRegularBlock: number;
  /** True if some bytes of the torrent are padding. */
  readonly hasPadding: boolean;
  /** The files that hold bytes: index in `files`, and offset of the first byte; ascending. */
  readonly #heldBy: Uint32Array;
  readonly #heldFrom: Float64Array;

  constructor(shape: { pieceLength: number; totalLength: number; files: readonly LayoutFile[] }) {
    assert(Number.isSafeInteger(shape.pieceLength) && shape.pieceLength > 0, "a piece has bytes");
    assert(Number.isSafeInteger(shape.totalLength) && shape.totalLength >= 0, "positions are exact");
    this.pieceLength = shape.pieceLength;
    this.totalLength = shape.totalLength;
    this.files = shape.files;
    this.pieceCount = Math.ceil(shape.totalLength / shape.pieceLength);
    this.blockCount = this.#countBlocks();
    this.shortestRegularBlock = Math.min(BLOCK_SIZE, shape.pieceLength % BLOCK_SIZE || BLOCK_SIZE);
    const held: number[] = [];
    let offset = 0;
    shape.files.forEach((file, index) => {
      assert(file.offset === offset, "files follow each other without gaps");
      offset += file.length;
      if (file.length > 0) held.push(index);
    });
    assert(offset === shape.totalLength, "the files are the torrent");
    this.hasPadding = held.some((index) => shape.files[index]!.padding);
    this.#heldBy = Uint32Array.from(held);
    this.#heldFrom = Float64Array.from(held, (index) => shape.files[index]!.offset);
  }

  /** The index as a proven one, or undefined if there is no such piece. */
  checkPiece(piece: number): PieceIndex | undefined {
    return Number.isInteger(piece) && piece >= 0 && piece < this.pieceCount
      ? (piece as PieceIndex)
      : undefined;
  }

  checkBlock(piece: PieceIndex, block: number): BlockIndex | undefined {
    const valid = Number.isInteger(block) && block >= 0 && block < this.blocksInPiece(piece);
    return valid ? (block as BlockIndex) : undefined;
  }

  /** True if the piece exists and has `length` > 0 bytes at `begin`. */
  isValidRequest(piece: number, begin: number, length: number): piece is PieceIndex {
    if (!Number.isInteger(begin) || begin < 0 || !Number.isInteger(length) || length <= 0) return false;
    return this.checkPiece(piece) !== undefined && begin + length <= this.pieceLengthOf(piece);
  }

  pieceOffset(piece: number): number {
    return piece * this.pieceLength;
  }

  /** Bytes of the piece: pieceLength, or what is left for the last. */
  pieceLengthOf(piece: number): number {
    return piece === this.pieceCount - 1 ? this.totalLength - piece * this.pieceLength : this.pieceLength;
  }

  blocksInPiece(piece: number): number {
    return Math.ceil(this.pieceLengthOf(piece) / BLOCK_SIZE);
  }

  blockLength(piece: number, block: number): number {
    return Math.min(BLOCK_SIZE, this.pieceLengthOf(piece) - block * BLOCK_SIZE);
  }

  /** Index in `files` of the file that holds the byte at `offset`. */
  fileAt(offset: number): number {
    return this.#heldBy[this.#find(offset)]!;
  }

  /** How many files `length` > 0 bytes at `offset` lie in. */
  spanCount(offset: number, length: number): number {
    assert(length > 0 && offset + length <= this.totalLength, "the bytes lie inside the torrent");
    return this.#find(offset + length - 1) - this.#find(offset) + 1;
  }

  /** Visits the files that `length` bytes at `offset` lie in, padding included, files without bytes left out. */
  forEachSpan(offset: number, length: number, visit: SpanVisitor): void {
    if (length === 0) return;
    assert(length > 0 && offset + length <= this.totalLength, "the bytes lie inside the torrent");
    let done = 0;
    for (let held = this.#find(offset); done < length; held++) {
      const fileIndex = this.#heldBy[held]!;
      const fileOffset = offset + done - this.#heldFrom[held]!;
      const count = Math.min(length - done, this.files[fileIndex]!.length - fileOffset);
      visit(fileIndex, fileOffset, done, count);
      done += count;
    }
  }

  /** The last of the files with bytes that begins at or before `offset`: binary search. */
  #find(offset: number): number {
    assert(offset >= 0 && offset < this.totalLength, "the byte lies inside the torrent");
    let low = 0;
    let high = this.#heldFrom.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#heldFrom[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #countBlocks(): number {
    if (this.pieceCount === 0) return 0;
    const last = this.pieceCount - 1;
    return last * Math.ceil(this.pieceLength / BLOCK_SIZE) + this.blocksInPiece(last);
  }
}
