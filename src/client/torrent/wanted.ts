// What of a torrent is wanted, how much, and what of that is missing: the one place that picker, interest, end game, progress and
// the end of a download ask.
//
//   priority of a file    0: not wanted · 1 … 7, 4 unless it is said
//   priority of a piece   the highest of the files that it lies in, or what was said of the piece itself since
//
// Always: `missing` is what is wanted and not verified; while all that is wanted is wanted alike, which is so in most torrents, no
// priority is kept and none is asked for.

import { assert, entryOf } from "../../base/assert.js";
import { PieceSet } from "../../base/piece-set.js";
import type { Layout } from "../storage/layout.js";

export const PRIORITY_MAX = 7;
export const PRIORITY_DEFAULT = 4;

const NOBODY_TOLD: WantedChanges = { wanted: () => {}, unwanted: () => {} };
const NOTHING_URGENT: readonly number[] = [];

export type WantedLayout = Pick<Layout, "pieceCount" | "pieceLength" | "pieceLengthOf" | "totalLength"> &
  Partial<Pick<Layout, "files" | "forEachSpan">>;

/** Told of each piece whose being wanted changes, once its priority is what it is then. */
export interface WantedChanges {
  wanted(piece: number): void;
  unwanted(piece: number): void;
}

export class Wanted {
  /** Verified pieces. */
  readonly have: PieceSet;
  /** Pieces that are wanted and not verified. */
  readonly missing: PieceSet;
  readonly #layout: WantedLayout;
  /** By piece; undefined while all have PRIORITY_DEFAULT. */
  #priorities: Uint8Array | undefined;
  /** By file; undefined while all have PRIORITY_DEFAULT. */
  #files: Uint8Array | undefined;
  /** What is missing, by priority; only while there are several. */
  #levels: PieceSet[] | undefined;
  /** Pieces that somebody waits for, in the order of need. */
  #urgent: readonly number[] = NOTHING_URGENT;
  readonly #windows = new Map<object, readonly number[]>();
  #bytesWanted = 0;
  #bytesMissing = 0;

  /** Everything is wanted and missing at first. */
  constructor(layout: WantedLayout) {
    this.#layout = layout;
    this.have = new PieceSet(layout.pieceCount);
    this.missing = new PieceSet(layout.pieceCount);
    this.missing.fill();
    this.#bytesWanted = layout.totalLength;
    this.#bytesMissing = layout.totalLength;
  }

  /** True once all that is wanted is verified. */
  get isSatisfied(): boolean {
    return this.missing.count === 0;
  }

  /** Bytes of pieces that are wanted, and of those of them that are not verified. */
  get bytesWanted(): number {
    return this.#bytesWanted;
  }

  get bytesMissing(): number {
    return this.#bytesMissing;
  }

  priorityOf(piece: number): number {
    return this.#priorities?.[piece] ?? PRIORITY_DEFAULT;
  }

  isWanted(piece: number): boolean {
    return this.priorityOf(piece) > 0;
  }

  /** False for a file that is to have no place on disk until a piece that it shares with another needs one. */
  isFileWanted(fileIndex: number): boolean {
    return (this.#files?.[fileIndex] ?? PRIORITY_DEFAULT) > 0;
  }

  /** What is missing, in sets by priority, the highest first; undefined while all of it is wanted alike. */
  get levels(): readonly PieceSet[] | undefined {
    return this.#levels;
  }

  /** Pieces that come before all others, whatever their priority, the first one first. Some may be verified, or not wanted. */
  get urgent(): readonly number[] {
    return this.#urgent;
  }

  /** `reader` waits for these pieces, in this order, and no more for those that it named before; for none: it is gone. */
  setUrgent(reader: object, pieces: readonly number[]): void {
    if (pieces.length === 0) this.#windows.delete(reader);
    else this.#windows.set(reader, pieces);
    // What each needs first comes before what any needs next.
    const windows = [...this.#windows.values()];
    const longest = windows.reduce((most, { length }) => Math.max(most, length), 0);
    const urgent = new Set<number>();
    for (let at = 0; at < longest; at++)
      for (const window of windows) {
        const piece = window[at];
        if (piece !== undefined) urgent.add(piece);
      }
    this.#urgent = urgent.size === 0 ? NOTHING_URGENT : [...urgent];
  }

  /** As another one was: of the same torrent, whose data is looked at again. */
  copySelection(other: Wanted): void {
    if (other.#files !== undefined) this.#files = other.#files.slice();
    const { pieceCount } = this.#layout;
    for (let piece = 0; piece < pieceCount; piece++)
      this.#setPiece(piece, other.priorityOf(piece), NOBODY_TOLD);
    this.#settle();
  }

  /** The piece is verified. */
  verified(piece: number): void {
    this.have.add(piece);
    if (!this.missing.delete(piece)) return;
    this.#bytesMissing -= this.#layout.pieceLengthOf(piece);
    this.#levelOf(piece)?.delete(piece);
  }

  /** Gives files a priority, and all their pieces the highest one of the files that these lie in. */
  setFiles(fileIndices: Iterable<number>, priority: number, changes: WantedChanges): void {
    const { files = [] } = this.#layout;
    this.#files ??= new Uint8Array(files.length).fill(PRIORITY_DEFAULT);
    const pieces = new PieceSet(this.#layout.pieceCount);
    for (const index of fileIndices) {
      this.#files[index] = priority;
      const { offset, length } = entryOf(files, index);
      const { pieceLength } = this.#layout;
      if (length === 0) continue;
      const last = Math.floor((offset + length - 1) / pieceLength);
      for (let piece = Math.floor(offset / pieceLength); piece <= last; piece++) pieces.add(piece);
    }
    for (let piece = pieces.next(0); piece >= 0; piece = pieces.next(piece + 1))
      this.#setPiece(piece, this.#highestOf(piece), changes);
    this.#settle();
  }

  /** Gives pieces a priority, whatever files they lie in. */
  setPieces(pieces: Iterable<number>, priority: number, changes: WantedChanges): void {
    for (const piece of pieces) this.#setPiece(piece, priority, changes);
    this.#settle();
  }

  checkInvariants(): void {
    let [wanted, missing] = [0, 0];
    for (let piece = 0; piece < this.#layout.pieceCount; piece++) {
      const isMissing = this.isWanted(piece) && !this.have.has(piece);
      assert(this.missing.has(piece) === isMissing, "what is missing is wanted and not verified");
      for (const [index, level] of (this.#levels ?? []).entries())
        assert(
          level.has(piece) === (isMissing && this.priorityOf(piece) === PRIORITY_MAX - index),
          "a missing piece is in the set of its priority",
        );
      if (this.isWanted(piece)) wanted += this.#layout.pieceLengthOf(piece);
      if (isMissing) missing += this.#layout.pieceLengthOf(piece);
    }
    assert(wanted === this.#bytesWanted && missing === this.#bytesMissing, "bytes are counted");
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #levelOf(piece: number): PieceSet | undefined {
    return this.#levels?.[PRIORITY_MAX - this.priorityOf(piece)];
  }

  #highestOf(piece: number): number {
    const layout = this.#layout;
    const { files } = layout;
    const priorities = this.#files;
    assert(files !== undefined && layout.forEachSpan !== undefined, "who selects files has some");
    assert(priorities?.length === files.length, "each file has its priority");
    let highest = 0;
    layout.forEachSpan(piece * layout.pieceLength, layout.pieceLengthOf(piece), (fileIndex) => {
      // Padding belongs to the file before it: nobody selects it.
      if (!entryOf(files, fileIndex).padding) highest = Math.max(highest, entryOf(priorities, fileIndex));
    });
    return highest;
  }

  #setPiece(piece: number, priority: number, changes: WantedChanges): void {
    const before = this.priorityOf(piece);
    if (before === priority) return;
    this.#priorities ??= new Uint8Array(this.#layout.pieceCount).fill(PRIORITY_DEFAULT);
    const isMissing = this.missing.has(piece);
    if (isMissing) this.#levelOf(piece)?.delete(piece);
    this.#priorities[piece] = priority;
    const length = this.#layout.pieceLengthOf(piece);
    if (before > 0 === priority > 0) {
      if (isMissing) this.#levelOf(piece)?.add(piece);
      return;
    }
    const sign = priority > 0 ? 1 : -1;
    this.#bytesWanted += sign * length;
    if (this.have.has(piece)) return;
    this.#bytesMissing += sign * length;
    if (priority > 0) {
      this.missing.add(piece);
      this.#levelOf(piece)?.add(piece);
      changes.wanted(piece);
    } else {
      this.missing.delete(piece);
      changes.unwanted(piece);
    }
  }

  /** Priorities were set: keeps sets of them if there are several among what is wanted, and none if there is one. */
  #settle(): void {
    const priorities = this.#priorities;
    if (priorities === undefined) return;
    const used = new Set(priorities);
    used.delete(0);
    if (used.size <= 1) {
      this.#levels = undefined;
      return;
    }
    if (this.#levels !== undefined) return;
    const { missing } = this;
    this.#levels = Array.from({ length: PRIORITY_MAX }, () => new PieceSet(this.#layout.pieceCount));
    for (let piece = missing.next(0); piece >= 0; piece = missing.next(piece + 1))
      this.#levelOf(piece)?.add(piece);
  }
}
