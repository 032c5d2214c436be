// The arithmetic of one torrent: pieces, blocks, and the files that a stretch of its bytes lies in. Pure.
//
//   bytes   0        pieceLength     2 × pieceLength                 totalLength
//   pieces  ├── 0 ───┼────── 1 ──────┼───── 2 … ────────────┤ last ──┤
//   files   ├─ a ─┤├──── b ──────────────┤├ padding ┤├─ c ───────────┤
//
// Always: numbers that come from outside pass checkPiece(), checkBlock() or isValidRequest() before they are used as
// indices. All positions are exact up to 2^53 bytes.

import { assert } from "../assert.js";
import type { BlockIndex, PieceIndex } from "../ids.js";
import { BLOCK_SIZE } from "../limits.js";

export interface LayoutFile {
  /** Path components, safe to join below the download folder. */
  readonly path: readonly string[];
  readonly length: number;
  /** Byte offset in the torrent. */
  readonly offset: number;
  /** BEP 47: never stored, reads as zeros. */
  readonly padding: boolean;
}

/** Called for each file that a stretch of bytes lies in, in order. `spanOffset`: bytes before it in the stretch. */
export type SpanVisitor = (fileIndex: number, fileOffset: number, spanOffset: number, length: number) => void;

export class Layout {
  readonly pieceLength: number;
  readonly totalLength: number;
  readonly files: readonly LayoutFile[];
  readonly pieceCount: number;
  /** Files that hold bytes, by offset, and where each begins: for the search. */
  readonly #searchable: number[] = [];

  constructor(shape: { pieceLength: number; totalLength: number; files: readonly LayoutFile[] }) {
    this.pieceLength = shape.pieceLength;
    this.totalLength = shape.totalLength;
    this.files = shape.files;
    this.pieceCount = Math.ceil(shape.totalLength / shape.pieceLength);
    let offset = 0;
    shape.files.forEach((file, index) => {
      assert(file.offset === offset, "files follow each other without gaps");
      offset += file.length;
      if (file.length > 0) this.#searchable.push(index);
    });
    assert(offset === shape.totalLength, "the files are the torrent");
  }

  /** The index as a proven one, or undefined if there is no such piece. */
  checkPiece(piece: number): PieceIndex | undefined {
    return Number.isInteger(piece) && piece >= 0 && piece < this.pieceCount ? (piece as PieceIndex) : undefined;
  }

  checkBlock(piece: PieceIndex, block: number): BlockIndex | undefined {
    const valid = Number.isInteger(block) && block >= 0 && block < this.blocksInPiece(piece);
    return valid ? (block as BlockIndex) : undefined;
  }

  /** True if the piece exists and has `length` > 0 bytes at `begin`. */
  isValidRequest(piece: number, begin: number, length: number): boolean {
    if (this.checkPiece(piece) === undefined || begin < 0 || length <= 0) return false;
    return begin + length <= this.pieceLengthOf(piece as PieceIndex);
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

  /** Blocks of the whole torrent. */
  get blockCount(): number {
    if (this.pieceCount === 0) return 0;
    return (this.pieceCount - 1) * Math.ceil(this.pieceLength / BLOCK_SIZE) + this.blocksInPiece(this.pieceCount - 1);
  }

  /** Index of the file that holds the byte at `offset`. */
  fileAt(offset: number): number {
    assert(offset >= 0 && offset < this.totalLength, "the byte lies inside the torrent");
    let low = 0;
    let high = this.#searchable.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.files[this.#searchable[middle]!]!.offset <= offset) low = middle;
      else high = middle - 1;
    }
    return this.#searchable[low]!;
  }

  /** Visits the files that `length` bytes at `offset` lie in. Files without bytes are not visited. */
  forEachSpan(offset: number, length: number, visit: SpanVisitor): void {
    let done = 0;
    while (done < length) {
      const fileIndex = this.fileAt(offset + done);
      const file = this.files[fileIndex]!;
      const fileOffset = offset + done - file.offset;
      const count = Math.min(length - done, file.length - fileOffset);
      visit(fileIndex, fileOffset, done, count);
      done += count;
    }
  }
}
