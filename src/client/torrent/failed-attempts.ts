// What peers sent of pieces that failed, or that were started over: a digest for each block, and its sender. Once the piece is
// right, whoever sent a block that differs from the right one is known.
//
// Always: memory is bounded, the oldest is forgotten first, and everything after a time. A digest is a number of 48 bits, made with a
// key that no peer knows (block-digests.ts): nobody can make two blocks that look the same.

import { assert, entryOf } from "../../base/assert.js";

const NOBODY = -1;
/** 12 bytes for each block: 6 MiB. A piece of 512 MiB has 32,768 of them. */
const BLOCKS_MAX = 512 * 1024;
const ATTEMPTS_MAX = 1024;
const EXPIRY_MS = 60 * 60_000;

interface Attempt {
  readonly piece: number;
  /** Per block: the index of the sender's record, or NOBODY; and the digest, NaN where it is not known. */
  readonly senders: Int32Array;
  readonly digests: Float64Array;
  readonly atMs: number;
}

export class FailedAttempts {
  readonly #blocksMax: number;
  /** The oldest first. */
  #attempts: Attempt[] = [];
  #blockCount = 0;

  constructor(blocksMax = BLOCKS_MAX) {
    this.#blocksMax = blocksMax;
  }

  /** Blocks that are remembered. */
  get blockCount(): number {
    return this.#blockCount;
  }

  has(piece: number): boolean {
    return this.#attempts.some((attempt) => attempt.piece === piece);
  }

  remember(piece: number, senders: Int32Array, digests: Float64Array, nowMs: number): void {
    assert(senders.length === digests.length, "each block has a sender and a digest");
    this.#attempts.push({ piece, senders, digests, atMs: nowMs });
    this.#blockCount += senders.length;
    while (this.#blockCount > this.#blocksMax || this.#attempts.length > ATTEMPTS_MAX)
      this.#forget(entryOf(this.#attempts, 0));
  }

  /** Adds the indices of all senders that are remembered. */
  addSenders(indices: Set<number>): void {
    for (const { senders } of this.#attempts) for (const index of senders) indices.add(index);
  }

  /** Forgets what is too old. */
  expire(nowMs: number): void {
    while (this.#attempts.length > 0 && nowMs - entryOf(this.#attempts, 0).atMs > EXPIRY_MS)
      this.#forget(entryOf(this.#attempts, 0));
  }

  /** The piece is right, and these are the digests of its blocks: who sent others? Forgets the piece's attempts. */
  settle(piece: number, right: Float64Array | undefined): Set<number> {
    const liars = new Set<number>();
    for (const attempt of this.#attempts.filter((each) => each.piece === piece)) {
      this.#forget(attempt);
      if (right !== undefined) addLiars(attempt, right, liars);
    }
    return liars;
  }

  #forget(attempt: Attempt): void {
    this.#attempts = this.#attempts.filter((each) => each !== attempt);
    this.#blockCount -= attempt.senders.length;
  }
}

function addLiars({ senders, digests }: Attempt, right: Float64Array, liars: Set<number>): void {
  for (let block = 0; block < senders.length; block++) {
    const isKnown = !Number.isNaN(digests[block]) && !Number.isNaN(right[block]);
    if (isKnown && senders[block] !== NOBODY && digests[block] !== right[block])
      liars.add(entryOf(senders, block));
  }
}
