// How many peers have each piece, and which piece to start next: the rarest that a peer has.
//
//   buckets   0: 17 4 99    1: 3    2: (none)    3: 8 20 …        startable pieces by the number of peers that have them
//
// Always: a startable piece stands in the bucket of its count, the others in none; a change of one count, and a choice
// where the peer has most pieces, take a few steps however many pieces there are.

import { assert } from "../../base/assert.js";
import { PieceSet } from "../../base/piece-set.js";

/** Pieces that may be picked. Where it can be iterated (a Set of allowed fast pieces), that is done. */
export interface PieceFilter {
  has(piece: number): boolean;
  [Symbol.iterator]?(): Iterator<number>;
}

/** Bounds on the work of one choice: pieces looked at in rarest-first order, and in a sample of what the peer has. */
const WALK_MAX = 256;
const SAMPLE_LOOKS_MAX = 4096;
const SAMPLE_CANDIDATES = 64;

export class Availability {
  readonly #pieceCount: number;
  readonly #random: () => number;
  /** Missing pieces that were not started. */
  readonly #startable: PieceSet;
  readonly #buckets: number[][] = [];
  readonly #placeInBucket: Int32Array;
  /** Peers that have the piece, those not counted that have everything. */
  readonly #counts: Int32Array;
  /** Peers that have everything raise all counts alike, so they are counted here. */
  #seeds = 0;

  /** All pieces are startable at first. `random`: from 0 to below 1. */
  constructor(pieceCount: number, random: () => number) {
    this.#pieceCount = pieceCount;
    this.#random = random;
    this.#startable = new PieceSet(pieceCount);
    this.#startable.fill();
    this.#counts = new Int32Array(pieceCount);
    this.#placeInBucket = new Int32Array(pieceCount);
    const rarest: number[] = [];
    for (let piece = 0; piece < pieceCount; piece++) this.#placeInBucket[piece] = rarest.push(piece) - 1;
    this.#buckets.push(rarest);
  }

  // ── what peers have ──────────────────────────────────────────────────────────────────────────────────────────

  /** Peers that have the piece. */
  of(piece: number): number {
    return this.#counts[piece]! + this.#seeds;
  }

  peerAdded(pieces: PieceSet): void {
    if (pieces.isFull) this.#seeds++;
    else this.#countPieces(pieces, 1);
  }

  /** `pieces` as they are now: those of peerAdded() and of each peerHas() since. */
  peerRemoved(pieces: PieceSet): void {
    if (pieces.isFull) this.#seeds--;
    else this.#countPieces(pieces, -1);
  }

  /** `pieces` has got the piece. Whoever has everything by it is counted as a seed from now on, which looks at all pieces once. */
  peerHas(pieces: PieceSet, piece: number): void {
    this.#count(piece, 1);
    if (!pieces.isFull) return;
    this.#countPieces(pieces, -1);
    this.#seeds++;
  }

  /** Looks at all pieces whether they stand where they should. For tests. */
  checkInvariants(): void {
    let inBuckets = 0;
    for (const [count, bucket] of this.#buckets.entries()) {
      inBuckets += bucket.length;
      for (const [place, piece] of bucket.entries()) {
        assert(this.#startable.has(piece), "what stands in a bucket is startable");
        assert(
          this.#counts[piece] === count && this.#placeInBucket[piece] === place,
          "a startable piece stands in the bucket of its count",
        );
      }
    }
    assert(inBuckets === this.#startable.count, "every startable piece stands in a bucket");
    assert(this.#seeds >= 0, "no more seeds leave than came");
  }

  /** There are no more buckets than the most peers with a part made. For tests. */
  get bucketCount(): number {
    return this.#buckets.length;
  }

  /** A peer does not have a piece that it announced: takes it out of `pieces` too. */
  peerLacks(pieces: PieceSet, piece: number): void {
    const wasSeed = pieces.isFull;
    if (!pieces.delete(piece)) return;
    if (wasSeed) {
      this.#seeds--;
      this.#countPieces(pieces, 1);
    } else {
      this.#count(piece, -1);
    }
  }

  #countPieces(pieces: PieceSet, by: 1 | -1): void {
    for (let piece = pieces.nextCommon(pieces, 0); piece >= 0; piece = pieces.nextCommon(pieces, piece + 1)) {
      this.#count(piece, by);
    }
  }

  #count(piece: number, by: 1 | -1): void {
    const startable = this.#startable.has(piece);
    if (startable) this.#leaveBucket(piece);
    this.#counts[piece] = this.#counts[piece]! + by;
    assert(this.#counts[piece]! >= 0, "a peer takes back no more than it announced");
    if (startable) this.#enterBucket(piece);
  }

  // ── which pieces may be started ──────────────────────────────────────────────────────────────────────────────

  isStartable(piece: number): boolean {
    return this.#startable.has(piece);
  }

  /** The piece was started, or found. */
  take(piece: number): void {
    this.#startable.delete(piece);
    this.#leaveBucket(piece);
  }

  /** The piece is as if it had never been started. */
  putBack(piece: number): void {
    this.#startable.add(piece);
    this.#enterBucket(piece);
  }

  #enterBucket(piece: number): void {
    const count = this.#counts[piece]!;
    while (this.#buckets.length <= count) this.#buckets.push([]);
    this.#placeInBucket[piece] = this.#buckets[count]!.push(piece) - 1;
  }

  #leaveBucket(piece: number): void {
    const bucket = this.#buckets[this.#counts[piece]!];
    const place = this.#placeInBucket[piece]!;
    assert(bucket?.[place] === piece, "a startable piece stands in the bucket of its count");
    const last = bucket.pop();
    if (last === piece || last === undefined) return;
    bucket[place] = last;
    this.#placeInBucket[last] = place;
  }

  // ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * A startable piece of `pieces` that `allowed` does not forbid, or −1: the rarest, any of the equally rare; with
   * `anyPiece`, any. `among` narrows them further, where it is given.
   */
  choose(
    pieces: PieceSet,
    allowed: PieceFilter | undefined,
    anyPiece: boolean,
    among: PieceSet | undefined = undefined,
  ): number {
    if (this.#startable.count === 0) return -1;
    if (allowed?.[Symbol.iterator] !== undefined)
      return this.#rarestOf(allowed as Iterable<number>, pieces, among);
    if (anyPiece) return this.#sample(pieces, allowed, 1, among);
    const piece = this.#walk(pieces, allowed, among);
    return piece < 0 ? this.#sample(pieces, allowed, SAMPLE_CANDIDATES, among) : piece;
  }

  /** The first startable piece of `pieces` that `allowed` does not forbid, and that is in `among`; −1 if there is none. */
  first(pieces: PieceSet, allowed: PieceFilter | undefined, among: PieceSet = this.#startable): number {
    let piece = pieces.nextCommon(among, 0);
    while (piece >= 0 && (!this.#startable.has(piece) || allowed?.has(piece) === false))
      piece = pieces.nextCommon(among, piece + 1);
    return piece;
  }

  /**
   * The rarest piece, any of the equally rare, or −1 after WALK_MAX pieces that the peer has not. Found at once where
   * the peer has most pieces.
   */
  #walk(pieces: PieceSet, allowed: PieceFilter | undefined, among: PieceSet | undefined): number {
    let left = WALK_MAX;
    // What only seeds have, other peers have not.
    for (let count = pieces.isFull ? 0 : 1; count < this.#buckets.length; count++) {
      const bucket = this.#buckets[count]!;
      if (bucket.length === 0) continue;
      let at = this.#randomBelow(bucket.length);
      for (let step = 0; step < bucket.length; step++) {
        const piece = bucket[at]!;
        const isAmong = among === undefined || among.has(piece);
        if (isAmong && pieces.has(piece) && (allowed === undefined || allowed.has(piece))) return piece;
        if (--left === 0) return -1;
        at = at + 1 === bucket.length ? 0 : at + 1;
      }
    }
    return -1;
  }

  /**
   * The rarest of up to `candidates` pieces that the peer has, from a random place on; −1 if there are none. What the
   * peer has is found by its bits, so that peers with few pieces cost little. Exact where candidates are few.
   */
  #sample(
    pieces: PieceSet,
    allowed: PieceFilter | undefined,
    candidates: number,
    among: PieceSet | undefined,
  ): number {
    const source = among ?? this.#startable;
    const begin = this.#randomBelow(this.#pieceCount);
    let best = -1;
    let found = 0;
    let wrapped = false;
    let at = begin;
    for (let look = 0; look < SAMPLE_LOOKS_MAX && found < candidates; ) {
      const piece = pieces.nextCommon(source, at);
      if (piece < 0 || (wrapped && piece >= begin)) {
        if (wrapped) break;
        wrapped = true;
        at = 0;
        continue;
      }
      at = piece + 1;
      look++;
      if (among !== undefined && !this.#startable.has(piece)) continue;
      if (allowed !== undefined && !allowed.has(piece)) continue;
      found++;
      if (best < 0 || this.#counts[piece]! < this.#counts[best]!) best = piece;
    }
    return best;
  }

  #rarestOf(candidates: Iterable<number>, pieces: PieceSet, among: PieceSet | undefined): number {
    let best = -1;
    for (const piece of candidates) {
      if (!pieces.has(piece) || !this.#startable.has(piece) || among?.has(piece) === false) continue;
      if (best < 0 || this.#counts[piece]! < this.#counts[best]!) best = piece;
    }
    return best;
  }

  #randomBelow(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}
