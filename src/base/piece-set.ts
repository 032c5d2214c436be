// A set of pieces of one torrent, as peers announce it: all, none, or a bit for each (BEP 3 bitfield, BEP 6 have all
// and have none). Peers that have all or nothing, which most do, cost no memory for bits.
//
// Always: count is the number of pieces in the set; no bit at or above pieceCount is ever set.

import BitField from "bitfield";
import { assert } from "./assert.js";

export class PieceSet {
  readonly pieceCount: number;
  #count = 0;
  /** Undefined while the set is empty or full. */
  #bits: BitField | undefined;

  constructor(pieceCount: number) {
    this.pieceCount = pieceCount;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.pieceCount;
  }

  has(piece: number): boolean {
    if (this.#bits !== undefined) return this.#bits.get(piece);
    return this.#count !== 0 && piece >= 0 && piece < this.pieceCount;
  }

  /** Adds a piece; false if it was there. */
  add(piece: number): boolean {
    assert(piece >= 0 && piece < this.pieceCount, "a set holds pieces of its torrent");
    if (this.has(piece)) return false;
    this.#bits ??= new BitField(this.pieceCount);
    this.#bits.set(piece, true);
    this.#count++;
    if (this.isFull) this.#bits = undefined;
    return true;
  }

  /** Removes a piece; false if it was not there. */
  delete(piece: number): boolean {
    if (!this.has(piece)) return false;
    if (this.#bits === undefined) this.#bits = this.#allBits();
    this.#bits.set(piece, false);
    this.#count--;
    if (this.#count === 0) this.#bits = undefined;
    return true;
  }

  /** The first piece at or above `from`, or −1. */
  next(from: number): number {
    return this.nextCommon(this, from);
  }

  /** The first piece at or above `from` that is in both sets, or −1. Goes through eight pieces at a step. */
  nextCommon(other: PieceSet, from: number): number {
    if (this.#count === 0 || other.#count === 0 || from >= this.pieceCount) return -1;
    const mine = this.#bits?.buffer ?? other.#bits?.buffer;
    if (mine === undefined) return from;
    const its = other.#bits?.buffer ?? mine;
    let at = from >> 3;
    let common = mine[at]! & its[at]! & (0xff >> (from & 7));
    while (common === 0) {
      if (++at === mine.length) return -1;
      common = mine[at]! & its[at]!;
    }
    return 8 * at + Math.clz32(common) - 24;
  }

  /** The first piece at or above `from` that is here and not in `other`, or −1. Goes through eight pieces at a step. */
  nextBeyond(other: PieceSet, from: number): number {
    if (this.#count === 0 || other.isFull || from >= this.pieceCount) return -1;
    const mine = this.#bits?.buffer;
    const its = other.#bits?.buffer;
    const bytes = Math.ceil(this.pieceCount / 8);
    let at = from >> 3;
    let beyond = (mine?.[at] ?? 0xff) & ~(its?.[at] ?? 0) & (0xff >> (from & 7));
    while (beyond === 0) {
      if (++at === bytes) return -1;
      beyond = (mine?.[at] ?? 0xff) & ~(its?.[at] ?? 0);
    }
    const piece = 8 * at + Math.clz32(beyond) - 24;
    return piece < this.pieceCount ? piece : -1;
  }

  fill(): void {
    this.#count = this.pieceCount;
    this.#bits = undefined;
  }

  clear(): void {
    this.#count = 0;
    this.#bits = undefined;
  }

  /**
   * Takes the bits of a bitfield message: most significant bit first, ceil(pieceCount / 8) bytes. False, and
   * unchanged, if the length is another or a spare bit at the end is set.
   */
  assign(bytes: Uint8Array): boolean {
    const length = Math.ceil(this.pieceCount / 8);
    if (bytes.length !== length) return false;
    const spare = 8 * length - this.pieceCount;
    if (length > 0 && (bytes[length - 1]! & ((1 << spare) - 1)) !== 0) return false;
    let count = 0;
    for (let index = 0; index < length; index++) count += popcount(bytes[index]!);
    this.#count = count;
    this.#bits = count === 0 || count === this.pieceCount ? undefined : new BitField(bytes.slice());
    return true;
  }

  /** The bits as a bitfield message carries them: ceil(pieceCount / 8) bytes. */
  toBytes(): Uint8Array {
    const length = Math.ceil(this.pieceCount / 8);
    if (this.#bits !== undefined) return this.#bits.buffer.slice(0, length);
    return this.#count === 0 ? new Uint8Array(length) : this.#allBits().buffer.slice(0, length);
  }

  #allBits(): BitField {
    const bytes = new Uint8Array(Math.ceil(this.pieceCount / 8)).fill(0xff);
    const spare = 8 * bytes.length - this.pieceCount;
    if (spare > 0) bytes[bytes.length - 1] = 0xff << spare;
    return new BitField(bytes);
  }
}

function popcount(byte: number): number {
  let rest = byte;
  let count = 0;
  for (; rest !== 0; rest &= rest - 1) count++;
  return count;
}
