// The pieces that were started and are not verified: their records, which of them have free blocks, and how many are active. Blocks change
// their state here, and nowhere else.
//
//   block:  free ──takeFree──▶ requested (1 … 4 requesters) ──received──▶ received
//            ▲ ◀─────── last dropped ───────┘
//
// Always: a piece with free blocks is open, others are not; a piece is active while it has requested blocks and does not stall. Nothing
// is allocated per block; records are used again.

import { assert } from "../../base/assert.js";
import { FREE, RECEIVED, StartedPiece } from "./started-piece.js";

export class StartedPieces {
  readonly #blocksMax: number;
  /** In the order they were started. */
  readonly #records = new Map<number, StartedPiece>();
  readonly #open: StartedPiece[] = [];
  readonly #spare: StartedPiece[] = [];
  #activeCount = 0;

  /** `blocksMax`: of the longest piece. */
  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  get count(): number {
    return this.#records.size;
  }

  /** Pieces with requests outstanding, those that stall not counted. */
  get activeCount(): number {
    return this.#activeCount;
  }

  /** Those with free blocks, in no order. */
  get open(): readonly StartedPiece[] {
    return this.#open;
  }

  has(piece: number): boolean {
    return this.#records.has(piece);
  }

  get(piece: number): StartedPiece | undefined {
    return this.#records.get(piece);
  }

  /** All of them, in the order they were started. */
  all(): IterableIterator<StartedPiece> {
    return this.#records.values();
  }

  /** Starts a piece: all of its blocks are free. */
  start(piece: number, blockCount: number): StartedPiece {
    assert(!this.#records.has(piece) && blockCount <= this.#blocksMax, "a piece is started once, and fits");
    const started = this.#spare.pop() ?? new StartedPiece(this.#blocksMax);
    started.begin(piece, blockCount);
    started.openAt = this.#open.push(started) - 1;
    this.#records.set(piece, started);
    return started;
  }

  /** Gives the record of a piece without requests back. */
  forget(started: StartedPiece): void {
    assert(started.requested === 0, "a piece with requests is not forgotten");
    assert(this.#records.get(started.piece) === started, "what is forgotten was started");
    this.#close(started);
    this.#records.delete(started.piece);
    started.owner = undefined;
    this.#spare.push(started);
  }

  /** Takes up to `count` free blocks of the piece, in ascending order; writes them behind the first `at` pairs. Returns how many. */
  takeFree(started: StartedPiece, count: number, out: Int32Array, at: number): number {
    const { states, piece } = started;
    const take = Math.min(count, started.free);
    assert(take > 0 && started.openAt >= 0, "blocks are taken of a piece that has free ones");
    assert(2 * (at + take) <= out.length, "what is taken has room");
    if (started.requested === 0) this.#activeCount++;
    let block = started.firstFree;
    for (let taken = 0; taken < take; block++) {
      if (states[block] !== FREE) continue;
      states[block] = 1;
      out[2 * (at + taken)] = piece;
      out[2 * (at + taken) + 1] = block;
      taken++;
    }
    assert(block <= started.blockCount, "the free blocks of a piece are its own");
    started.firstFree = block;
    started.free -= take;
    started.requested += take;
    if (started.free === 0) this.#close(started);
    return take;
  }

  /** One requester less of a block that is requested. True if that was the last: the block is free again. */
  dropped(started: StartedPiece, block: number): boolean {
    const requesters = started.states[block]!;
    assert(requesters !== FREE && requesters !== RECEIVED, "what is dropped was requested");
    started.states[block] = requesters - 1;
    if (requesters > 1) return false;
    started.free++;
    if (block < started.firstFree) started.firstFree = block;
    if (started.openAt < 0) started.openAt = this.#open.push(started) - 1;
    this.#oneRequestedLess(started);
    return true;
  }

  /** The block, which was not here, is here. Returns how many were asked for it. */
  received(started: StartedPiece, block: number): number {
    const requesters = started.states[block]!;
    assert(requesters !== RECEIVED, "a block comes once");
    started.states[block] = RECEIVED;
    started.received++;
    assert(
      block < started.blockCount && started.received <= started.blockCount,
      "a piece has so many blocks",
    );
    if (requesters !== FREE) this.#oneRequestedLess(started);
    else if (--started.free === 0) this.#close(started);
    return requesters;
  }

  /** Nothing more of the piece is asked for or taken, as if all of it were here; who was asked is forgotten. */
  abandon(started: StartedPiece): void {
    if (started.requested > 0) {
      if (!started.stalled) this.#activeCount--;
      started.idle();
    }
    this.#close(started);
    started.states.fill(RECEIVED, 0, started.blockCount);
    started.free = 0;
    started.requested = 0;
    started.received = started.blockCount;
  }

  /** So much time passed that a piece which got almost nothing since the last call stalls. */
  windowEnded(): void {
    for (const started of this.#records.values()) {
      const wasStalled = started.stalled;
      started.windowEnded();
      if (started.stalled !== wasStalled) this.#activeCount += wasStalled ? 1 : -1;
    }
  }

  /** Counts everything again, block by block, and compares. For tests. */
  checkInvariants(): void {
    let [active, open] = [0, 0];
    for (const [piece, started] of this.#records) {
      assert(started.piece === piece, "a piece has its record");
      let [received, free] = [0, 0];
      for (let block = 0; block < started.blockCount; block++) {
        if (started.states[block] === RECEIVED) received++;
        if (started.states[block] !== FREE) continue;
        assert(block >= started.firstFree, "no block below the first free one is free");
        free++;
      }
      assert(received === started.received && free === started.free, "a piece counts its blocks");
      assert(started.requested === started.blockCount - received - free, "all other blocks are requested");
      assert(
        free > 0 ? this.#open[started.openAt] === started : started.openAt < 0,
        "a piece with free blocks is open",
      );
      assert(started.requested > 0 || (!started.stalled && started.owner === undefined), "an idle piece");
      if (started.requested > 0 && !started.stalled) active++;
      if (free > 0) open++;
    }
    assert(active === this.#activeCount && open === this.#open.length, "the started pieces are counted");
  }

  /** Takes the piece off the list of those with free blocks. */
  #close(started: StartedPiece): void {
    if (started.openAt < 0) return;
    assert(this.#open[started.openAt] === started, "a piece that is open knows its place in the list");
    const last = this.#open.pop();
    assert(last !== undefined, "a piece that is open is in the list");
    if (last !== started) {
      this.#open[started.openAt] = last;
      last.openAt = started.openAt;
    }
    started.openAt = -1;
  }

  #oneRequestedLess(started: StartedPiece): void {
    started.requested--;
    if (started.requested > 0) return;
    if (!started.stalled) this.#activeCount--;
    assert(started.requested === 0 && this.#activeCount >= 0, "no more requests end than were made");
    started.idle();
  }
}
