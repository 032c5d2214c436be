// Decides which blocks a peer is asked for. Pure logic: it knows no peer but through PickingPeer, and no clock.
//
//   0. a piece that somebody waits for (a stream that reads), in the order of need
//   1. a started piece that this peer is working on     ┐ those with the fewest blocks left to ask for first,
//   2. a started piece that nobody is working on        ┘ blocks in ascending order
//   3. a new piece, while so few are active that each peer of a high rate may have one to itself
//   4. a started piece that another peer is working on
//   5. a new piece: the rarest that the peer has, any of the equally rare; the first four of a download at random
//   6. what another peer was asked for and will not bring soon, by a peer that waits for nothing: taken over, so that it comes once
//   7. end game: a block that others were asked for, once every missing block was, by a peer that waits for nothing
//
// A peer of a high rate works on several pieces at once, chunk by chunk in turn, so that they can be hashed side by side: it is
// given idle and new pieces until it has so many (1 after 2 and 3). They are begun apart, so as not to end together.
//
// Pieces to oneself arrive in order and are attributed to one peer; but each active piece holds blocks of the pool that
// wait for their hash or for a long write. So steps 3 and 4 change places when as much is active as a pool can bear,
// and from the start where pieces are large.
//
//   block:  free ──pick──▶ requested (1 … 4 requesters) ──blockReceived──▶ received ──▶ verified with its piece
//            ▲ ◀────── last requestDropped ──┘ ◀──────────── pieceFailed ────┘
//   piece:  startable (in its bucket of availability) ──▶ started (has a record of its blocks) ──▶ verified
//
// Which piece comes next (0 to 5) is chosen in piece-choice.ts, records and the states of blocks are in started-pieces.ts, 7 is in
// end-game.ts. What is here keeps their counts together: it is a little long because it says how all of that fits.
//
// What is not wanted (wanted.ts) is neither startable nor started, but for pieces that are judged already. Steps 3 and 5 start pieces of
// the highest priority first.
//
// Whoever brings little must not keep others from the rest: a piece that got almost nothing for a window stalls. It does not count as
// active, and in the end game its blocks may be asked of twice as many peers with each window.
//
// Always: a missing piece that is wanted is startable or started, never both; a piece is active while it has requested blocks and does not stall,
// so a bound on active pieces cannot block a download. Nothing is allocated per pick; records of started pieces are used again.

import { assert } from "../../base/assert.js";
import { SYSTEM_GROUND } from "../../base/ground.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { Layout } from "../storage/layout.js";
import { Availability, type PieceFilter } from "./availability.js";
import { takeRequested } from "./end-game.js";
import { PieceChoice } from "./piece-choice.js";
import type { StrategyQueue } from "./piece-strategy.js";
import { FREE, RECEIVED, Standing, type StartedPiece } from "./started-piece.js";
import { StartedPieces } from "./started-pieces.js";
import { Wanted } from "./wanted.js";

/** Who is asked. Its identity says who is working on a piece. */
export interface PickingPeer {
  /** True if the block was asked of this peer already: end game must not ask it twice. */
  hasRequested(piece: number, block: number): boolean;
  /**
   * Gives back, by requestDropped(), all that was asked of it of a piece which it will not come to soon. False, and nothing changes, where it
   * was asked for none of the piece, comes to it soon, or was asked this too often of late.
   */
  partWith(piece: number): boolean;
}

export type PickerLayout = Pick<
  Layout,
  "pieceCount" | "pieceLength" | "totalLength" | "blocksInPiece" | "pieceLengthOf"
>;

export interface PickerOptions {
  /** From 0 to below 1. */
  readonly random?: () => number;
  /** Pieces that may have requests outstanding at one time; all peers together. */
  readonly activePiecesMax?: number;
  /** What is to be fetched; everything unless it is given. */
  readonly wanted?: Wanted;
  /** New pieces are started in ascending order, and not the rarest first. */
  readonly sequential?: boolean;
}

/** Blocks that one pick takes from others in the end game: few, because most of them are on their way already. */
export const END_GAME_PICKS_MAX = 8;
/** What blockReceived() answers for a block that was here already. */
export const BLOCK_UNWANTED = -1;

export class Picker {
  /** Verified pieces. */
  readonly have: PieceSet;
  readonly #layout: PickerLayout;
  readonly #wanted: Wanted;
  readonly #missing: PieceSet;
  readonly #availability: Availability;

  readonly #started: StartedPieces;
  readonly #choice: PieceChoice;
  #turn = 0;

  #blocksMissing: number;
  #blocksFree: number;
  #bytesMissing: number;

  constructor(layout: PickerLayout, options: PickerOptions = {}) {
    this.#layout = layout;
    this.#wanted = options.wanted ?? new Wanted(layout);
    this.have = this.#wanted.have;
    this.#missing = this.#wanted.missing;
    this.#availability = new Availability(layout.pieceCount, options.random ?? SYSTEM_GROUND.random);
    this.#started = new StartedPieces(Math.ceil(layout.pieceLength / BLOCK_SIZE));
    this.#choice = new PieceChoice(layout, options, this.#wanted, this.#availability, this.#started);
    let blocks = 0;
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      if (this.#missing.has(piece)) blocks += layout.blocksInPiece(piece);
      else this.#availability.take(piece);
    }
    this.#blocksMissing = blocks;
    this.#blocksFree = blocks;
    this.#bytesMissing = layout.totalLength;
  }

  /** Blocks of wanted pieces that have not been received. */
  get blocksMissing(): number {
    return this.#blocksMissing;
  }

  /** Bytes of pieces that are not verified, wanted or not. */
  get bytesMissing(): number {
    return this.#bytesMissing;
  }

  /** Blocks of a piece, but for the last one. */
  get blocksMax(): number {
    return Math.ceil(this.#layout.pieceLength / BLOCK_SIZE);
  }

  /** Wanted pieces that are not verified. */
  get piecesMissing(): number {
    return this.#missing.count;
  }

  /** True once all wanted pieces are verified. */
  get isComplete(): boolean {
    return this.#missing.count === 0;
  }

  /** True while something that is wanted is missing and all of it was asked for. */
  get inEndGame(): boolean {
    return this.#blocksFree === 0 && this.#blocksMissing > 0;
  }

  /** Pieces with requests outstanding, those that stall not counted. */
  get activeCount(): number {
    return this.#started.activeCount;
  }

  /** Pieces that were started and are not verified. */
  get startedCount(): number {
    return this.#started.count;
  }

  /** The program's own order of pieces. Answers what asks the program. */
  setStrategy(make: (availability: Availability) => StrategyQueue): StrategyQueue {
    return this.#choice.setStrategy(make);
  }

  // ── what peers have ──────────────────────────────────────────────────────────────────────────────────────────

  /** Peers that are known to have the piece. */
  availability(piece: number): number {
    return this.#availability.of(piece);
  }

  peerAdded(pieces: PieceSet): void {
    this.#availability.peerAdded(pieces);
  }

  /** `pieces` as they are now: those of peerAdded() and of each peerHas() since. */
  peerRemoved(pieces: PieceSet): void {
    this.#availability.peerRemoved(pieces);
  }

  /** `pieces` has got the piece. */
  peerHas(pieces: PieceSet, piece: number): void {
    this.#availability.peerHas(pieces, piece);
  }

  /** A peer does not have, or does not serve, a piece that it announced: takes it out of `pieces` too. */
  peerLacks(pieces: PieceSet, piece: number): void {
    this.#availability.peerLacks(pieces, piece);
  }

  /** True if something in `pieces` is wanted and missing here. */
  isInteresting(pieces: PieceSet): boolean {
    return pieces.nextCommon(this.#missing, 0) >= 0;
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Writes up to `count` pairs (piece, block) to ask `peer` for into `out`, and counts it as one requester more of
   * each. Returns how many. `pieces` are the peer's; `allowed` narrows them further. `piecesAtOnce`: how many pieces
   * the peer works on, in turn.
   */
  pick(
    pieces: PieceSet,
    count: number,
    out: Int32Array,
    peer: PickingPeer,
    allowed?: PieceFilter,
    piecesAtOnce = 1,
  ): number {
    assert(2 * count <= out.length, "the picked blocks fit");
    let got = 0;
    const choice = this.#choice;
    while (got < count && this.#blocksFree > 0) {
      const started =
        piecesAtOnce === 1
          ? choice.choose(pieces, peer, allowed)
          : choice.chooseInTurn(pieces, peer, allowed, piecesAtOnce);
      if (started === undefined) break;
      const share = piecesAtOnce === 1 ? count : choice.shareOf(started, peer, piecesAtOnce);
      const taken = this.#started.takeFree(started, Math.min(share, count - got), out, got);
      assert(taken > 0 && taken <= this.#blocksFree, "a piece that is chosen has free blocks");
      this.#blocksFree -= taken;
      got += taken;
      started.owner = peer;
      started.turn = ++this.#turn;
    }
    return got;
  }

  /**
   * For a peer that waits for nothing: makes a piece free that it has, and that all of was asked of one who is busy with others and will
   * not come to it soon, so that pick() finds it. In a swarm around a slow seed that is what everybody asked the seed for, and one has
   * already: it need not be sent by the seed twice. False if there is none.
   */
  takeOver(pieces: PieceSet, peer: PickingPeer): boolean {
    for (const started of this.#started.all()) {
      const { owner, piece } = started;
      if (owner === undefined || owner === peer || started.received > 0) continue;
      if (pieces.has(piece) && owner.partWith(piece)) return true;
    }
    return false;
  }

  /** A piece of those that was begun, of which nothing has come for long and nothing is here; −1: there is none. `allowed` narrows them. */
  stalledPiece(pieces: PieceSet, allowed: PieceFilter): number {
    for (const { stalled, received, piece } of this.#started.all())
      if (stalled && received === 0 && pieces.has(piece) && allowed.has(piece)) return piece;
    return -1;
  }

  /** So much time passed that a piece which got almost nothing since the last call stalls. */
  windowEnded(): void {
    this.#started.windowEnded();
  }

  /**
   * In the end game: like pick(), but blocks that others were asked for, those with the fewest requesters and of the oldest
   * pieces first. For peers that wait for nothing: what one that is busy brings in time, another need not send. `standing`: places are
   * kept for a peer that has brought blocks, and one for a fast one, so that hundreds that bring nothing, or little, cannot take all that a
   * block has.
   *
   * Before the end game only of pieces that stall, and with `allowed`: what is free may be somebody's alone who does not bring it,
   * and that must not keep everybody else from the end game.
   */
  pickAgain(
    pieces: PieceSet,
    count: number,
    out: Int32Array,
    peer: PickingPeer,
    allowed?: PieceFilter,
    standing: Standing = Standing.proven,
  ): number {
    if (!this.inEndGame && allowed === undefined) return 0;
    const most = Math.min(count, END_GAME_PICKS_MAX);
    return takeRequested(this.#started, !this.inEndGame, pieces, most, out, peer, allowed, standing);
  }

  /** A peer that was asked for the block will not bring it. Without effect on a block that came meanwhile. */
  requestDropped(piece: number, block: number): void {
    const started = this.#started.get(piece);
    if (started === undefined) return;
    const state = started.states[block];
    if (state === FREE || state === RECEIVED || !this.#started.dropped(started, block)) return;
    this.#blocksFree++;
    assert(this.#blocksFree <= this.#blocksMissing, "what is free is missing");
    if (started.requested === 0 && started.received === 0) {
      this.#started.forget(started);
      this.#availability.putBack(piece);
    }
  }

  // ── what is wanted ───────────────────────────────────────────────────────────────────────────────────────────

  /** The missing piece is wanted from now on. One that is being judged, or dropped, comes back if it fails. */
  pieceWanted(piece: number): void {
    if (this.#started.has(piece)) return;
    const blocks = this.#layout.blocksInPiece(piece);
    this.#blocksMissing += blocks;
    this.#blocksFree += blocks;
    this.#availability.putBack(piece);
  }

  /**
   * The missing piece is not wanted any more. True if it was begun: then it is abandoned, and pieceFailed() follows once what came
   * of it is dropped. One of which all came is judged.
   */
  pieceUnwanted(piece: number): boolean {
    if (this.#started.has(piece)) {
      if (this.isPieceReceived(piece)) return false;
      this.pieceAbandoned(piece);
      return true;
    }
    const blocks = this.#layout.blocksInPiece(piece);
    this.#blocksMissing -= blocks;
    this.#blocksFree -= blocks;
    assert(0 <= this.#blocksFree && this.#blocksFree <= this.#blocksMissing, "what is free is missing");
    this.#availability.take(piece);
    return false;
  }

  /** Peers that were asked for the block and have not answered; 0 once it is received. */
  requesters(piece: number, block: number): number {
    const state = this.#started.get(piece)?.states[block] ?? FREE;
    return state === RECEIVED ? 0 : state;
  }

  /** True if the block is not received and its piece wanted and not verified, whether or not anybody was asked for it. */
  wantsBlock(piece: number, block: number): boolean {
    return this.#missing.has(piece) && this.#started.get(piece)?.states[block] !== RECEIVED;
  }

  /** The block is here; who else was asked for it is forgotten. Returns how many were, or BLOCK_UNWANTED: it was here already. */
  blockReceived(piece: number, block: number): number {
    if (!this.#missing.has(piece)) return BLOCK_UNWANTED;
    const started = this.#started.get(piece) ?? this.#choice.start(piece);
    if (started.states[block] === RECEIVED) return BLOCK_UNWANTED;
    const requesters = this.#started.received(started, block);
    this.#blocksMissing--;
    if (requesters === FREE) this.#blocksFree--;
    assert(0 <= this.#blocksFree && this.#blocksFree <= this.#blocksMissing, "what is free is missing");
    return requesters;
  }

  // ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** True if something of the piece is here or was asked for, and it is not verified. */
  isStarted(piece: number): boolean {
    return this.#started.has(piece);
  }

  /** True if somebody was asked for a block of the piece that has not come. */
  isAsked(piece: number): boolean {
    return (this.#started.get(piece)?.requested ?? 0) > 0;
  }

  /** True if all blocks of the piece are here and it is neither verified nor failed yet. */
  isPieceReceived(piece: number): boolean {
    const started = this.#started.get(piece);
    return started !== undefined && started.received === started.blockCount;
  }

  /** The piece, of which all blocks were received, is right. */
  pieceVerified(piece: number): void {
    const started = this.#takeReceived(piece);
    this.#started.forget(started);
    this.#have(piece);
  }

  /** The piece, of which all blocks were received, is wrong: all of them are wanted again. */
  pieceFailed(piece: number): void {
    const started = this.#takeReceived(piece);
    this.#started.forget(started);
    if (!this.#missing.has(piece)) return;
    this.#blocksMissing += started.blockCount;
    this.#blocksFree += started.blockCount;
    this.#availability.putBack(piece);
  }

  /**
   * The piece starts over: nothing more of it is asked for or taken, and who was asked is forgotten, as if all of it were here.
   * pieceFailed() follows once what came of it is dropped.
   */
  pieceAbandoned(piece: number): void {
    const started = this.#started.get(piece);
    assert(
      started !== undefined && !this.isPieceReceived(piece),
      "what is abandoned was begun, and is not judged",
    );
    this.#blocksMissing -= started.blockCount - started.received;
    this.#blocksFree -= started.free;
    assert(0 <= this.#blocksFree && this.#blocksFree <= this.#blocksMissing, "what is free is missing");
    this.#started.abandon(started);
  }

  /** The piece was found on disk before anything of it was asked for. */
  markHave(piece: number): void {
    if (this.have.has(piece)) return;
    if (this.#missing.has(piece)) {
      assert(this.#availability.isStartable(piece), "a piece that is found was not started");
      const blocks = this.#layout.blocksInPiece(piece);
      this.#availability.take(piece);
      this.#blocksMissing -= blocks;
      this.#blocksFree -= blocks;
    }
    this.#have(piece);
  }

  /** Counts everything again, piece by piece, and compares. For tests. */
  checkInvariants(): void {
    this.#started.checkInvariants();
    this.#availability.checkInvariants();
    let [missing, free, bytes] = [0, 0, 0];
    for (let piece = 0; piece < this.#layout.pieceCount; piece++) {
      const started = this.#started.get(piece);
      const blockCount = this.#layout.blocksInPiece(piece);
      const isStartable = this.#availability.isStartable(piece);
      assert(!isStartable || started === undefined, "a started piece is not started again");
      assert(
        this.#missing.has(piece)
          ? isStartable || started !== undefined
          : !isStartable && (started === undefined || started.received === blockCount),
        "a wanted piece is verified, or startable or started",
      );
      if (this.have.has(piece)) {
        assert(
          started === undefined && !this.#missing.has(piece),
          "what is verified is neither missing nor started",
        );
        continue;
      }
      bytes += this.#layout.pieceLengthOf(piece);
      if (isStartable) {
        missing += blockCount;
        free += blockCount;
      } else if (started !== undefined) {
        missing += blockCount - started.received;
        free += started.free;
      }
    }
    assert(missing === this.#blocksMissing && free === this.#blocksFree, "the picker counts its blocks");
    assert(bytes === this.#bytesMissing, "the picker counts its bytes");
  }

  #takeReceived(piece: number): StartedPiece {
    const started = this.#started.get(piece);
    assert(
      started !== undefined && started.received === started.blockCount,
      "a piece is judged once all of it came",
    );
    return started;
  }

  #have(piece: number): void {
    this.#wanted.verified(piece);
    this.#bytesMissing -= this.#layout.pieceLengthOf(piece);
  }
}
