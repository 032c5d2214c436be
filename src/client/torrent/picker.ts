// Decides which blocks a peer is asked for. Pure logic: it knows no peer but through PickingPeer, and no clock.
//
//   0. a piece that somebody waits for (a stream that reads), in the order of need
//   1. a started piece that this peer is working on     ┐ those with the fewest blocks left to ask for first,
//   2. a started piece that nobody is working on        ┘ blocks in ascending order
//   3. a new piece, while so few are active that each fast peer may have one to itself
//   4. a started piece that another peer is working on
//   5. a new piece: the rarest that the peer has, any of the equally rare; the first four of a download at random
//   6. what another peer was asked for and will not bring soon, by a peer that waits for nothing: taken over, so that it comes once
//   7. end game: a block that others were asked for, once every missing block was, by a peer that waits for nothing
//
// A fast peer works on several pieces at once, chunk by chunk in turn, so that they can be hashed side by side: it is
// given idle and new pieces until it has so many (1 after 2 and 3). They are begun apart, so as not to end together.
//
// Pieces to oneself arrive in order and are attributed to one peer; but each active piece holds blocks of the pool that
// wait for their hash or for a long write. So steps 3 and 4 change places when as much is active as a pool can bear,
// and from the start where pieces are large.
//
//   block:  free ──pick──▶ requested (1 … 3 requesters) ──blockReceived──▶ received ──▶ verified with its piece
//            ▲ ◀────── last requestDropped ──┘ ◀──────────── pieceFailed ────┘
//   piece:  startable (in its bucket of availability) ──▶ started (has a record of its blocks) ──▶ verified
//
// What is not wanted (wanted.ts) is neither startable nor started, but for pieces that are judged already. Steps 3 and 5 start pieces of
// the highest priority first.
//
// One file, because the seven steps share those records, and each keeps all of their counts.
//
// Whoever brings little must not keep others from the rest: a piece that got almost nothing for a window stalls. It does not count as
// active, and in the end game its blocks may be asked of twice as many peers with each window.
//
// Always: a missing piece that is wanted is startable or started, never both; a piece is active while it has requested blocks and does not stall,
// so a bound on active pieces cannot block a download. Nothing is allocated per pick; records of started pieces are used again.

import { assert } from "../../base/assert.js";
import { SYSTEM_GROUND } from "../../base/ground.js";
import { BLOCK_SIZE, CHUNK_BLOCKS, MIB } from "../../base/limits.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { Layout } from "../storage/layout.js";
import { Availability, type PieceFilter } from "./availability.js";
import { FREE, RECEIVED, REQUESTERS_MAX, StartedPiece } from "./started-piece.js";
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
/** Verified pieces from which on the rarest is chosen: before, having anything to give counts more. */
export const RANDOM_PIECES = 4;

/** What blockReceived() answers for a block that was here already. */
export const BLOCK_UNWANTED = -1;

/** Pieces longer than this are shared between peers from the start. */
const SOLO_PIECE_LENGTH_MAX = 4 * MIB;
/** Active pieces of this many bytes together are not shared: half of a pool of the default size. */
const SOLO_BYTES = 16 * MIB;
const ACTIVE_BYTES = 256 * MIB;
const ACTIVE_PIECES_MIN = 64;

export class Picker {
  /** Verified pieces. */
  readonly have: PieceSet;
  readonly #layout: PickerLayout;
  readonly #activeMax: number;
  readonly #soloMax: number;
  readonly #blocksMax: number;

  readonly #wanted: Wanted;
  readonly #missing: PieceSet;
  readonly #availability: Availability;
  readonly #sequential: boolean;

  /** In the order they were started. */
  readonly #started = new Map<number, StartedPiece>();
  /** Started pieces with free blocks. */
  readonly #open: StartedPiece[] = [];
  readonly #spare: StartedPiece[] = [];
  #activeCount = 0;
  #turn = 0;

  #blocksMissing: number;
  #blocksFree: number;
  #bytesMissing: number;

  constructor(layout: PickerLayout, options: PickerOptions = {}) {
    const { pieceCount, pieceLength } = layout;
    this.#layout = layout;
    this.#activeMax =
      options.activePiecesMax ?? Math.max(ACTIVE_PIECES_MIN, Math.ceil(ACTIVE_BYTES / pieceLength));
    assert(this.#activeMax >= 1, "at least one piece may be active");
    this.#soloMax =
      pieceLength > SOLO_PIECE_LENGTH_MAX
        ? 0
        : Math.min(this.#activeMax, Math.floor(SOLO_BYTES / pieceLength));
    this.#blocksMax = Math.ceil(pieceLength / BLOCK_SIZE);
    this.#wanted = options.wanted ?? new Wanted(layout);
    this.#sequential = options.sequential === true;
    this.have = this.#wanted.have;
    this.#missing = this.#wanted.missing;
    this.#availability = new Availability(pieceCount, options.random ?? SYSTEM_GROUND.random);
    let blocks = 0;
    for (let piece = 0; piece < pieceCount; piece++) {
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
    return this.#activeCount;
  }

  /** Pieces that were started and are not verified. */
  get startedCount(): number {
    return this.#started.size;
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
    while (got < count && this.#blocksFree > 0) {
      const started =
        piecesAtOnce === 1
          ? this.#choosePiece(pieces, peer, allowed)
          : this.#chooseInTurn(pieces, peer, allowed, piecesAtOnce);
      if (started === undefined) break;
      const share = piecesAtOnce === 1 ? count : this.#shareOf(started, peer, piecesAtOnce);
      got += this.#takeFree(started, Math.min(share, count - got), out, got);
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
    for (const started of this.#started.values()) {
      const { owner, piece } = started;
      if (owner === undefined || owner === peer || started.received > 0) continue;
      if (pieces.has(piece) && owner.partWith(piece)) return true;
    }
    return false;
  }

  /** So much time passed that a piece which got almost nothing since the last call stalls. */
  windowEnded(): void {
    for (const started of this.#started.values()) {
      const wasStalled = started.stalled;
      started.windowEnded();
      if (started.stalled !== wasStalled) this.#activeCount += wasStalled ? 1 : -1;
    }
  }

  /**
   * In the end game: like pick(), but blocks that others were asked for, those with the fewest requesters and of the oldest
   * pieces first. For peers that wait for nothing: what one that is busy brings in time, another need not send. `isProven`: it has
   * brought blocks. Places are kept for such a peer, so that hundreds that bring nothing cannot take all that a block has.
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
    isProven = true,
  ): number {
    if (!this.inEndGame && allowed === undefined) return 0;
    return this.#takeRequested(pieces, Math.min(count, END_GAME_PICKS_MAX), out, peer, allowed, isProven);
  }

  /** A peer that was asked for the block will not bring it. Without effect on a block that came meanwhile. */
  requestDropped(piece: number, block: number): void {
    const started = this.#started.get(piece);
    if (started === undefined) return;
    const requesters = started.states[block]!;
    if (requesters === FREE || requesters === RECEIVED) return;
    started.states[block] = requesters - 1;
    if (requesters > 1) return;
    started.free++;
    this.#blocksFree++;
    if (block < started.firstFree) started.firstFree = block;
    if (started.openAt < 0) started.openAt = this.#open.push(started) - 1;
    this.#oneRequestedLess(started);
    if (started.requested === 0 && started.received === 0) {
      this.#forget(started);
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
    const started = this.#started.get(piece) ?? this.#start(piece);
    const state = started.states[block]!;
    if (state === RECEIVED) return BLOCK_UNWANTED;
    started.states[block] = RECEIVED;
    started.received++;
    this.#blocksMissing--;
    if (state === FREE) this.#oneFreeLess(started);
    else this.#oneRequestedLess(started);
    return state;
  }

  // ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** True if something of the piece is here or was asked for, and it is not verified. */
  isStarted(piece: number): boolean {
    return this.#started.has(piece);
  }

  /** True if all blocks of the piece are here and it is neither verified nor failed yet. */
  isPieceReceived(piece: number): boolean {
    const started = this.#started.get(piece);
    return started !== undefined && started.received === started.blockCount;
  }

  /** The piece, of which all blocks were received, is right. */
  pieceVerified(piece: number): void {
    const started = this.#takeReceived(piece);
    this.#forget(started);
    this.#have(piece);
  }

  /** The piece, of which all blocks were received, is wrong: all of them are wanted again. */
  pieceFailed(piece: number): void {
    const started = this.#takeReceived(piece);
    this.#forget(started);
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
    if (started.requested > 0) {
      if (!started.stalled) this.#activeCount--;
      started.idle();
    }
    this.#blocksMissing -= started.blockCount - started.received;
    this.#blocksFree -= started.free;
    this.#close(started);
    started.states.fill(RECEIVED, 0, started.blockCount);
    started.free = 0;
    started.requested = 0;
    started.received = started.blockCount;
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
    let [missing, free, active, open] = [0, 0, 0, 0];
    for (let piece = 0; piece < this.#layout.pieceCount; piece++) {
      const started = this.#started.get(piece);
      const blockCount = this.#layout.blocksInPiece(piece);
      const isStartable = this.#availability.isStartable(piece);
      assert(
        this.#missing.has(piece)
          ? isStartable || started !== undefined
          : !isStartable && (started === undefined || started.received === blockCount),
        "a wanted piece is verified, or startable or started",
      );
      if (this.have.has(piece)) continue;
      if (started === undefined) {
        if (!isStartable) continue;
        missing += blockCount;
        free += blockCount;
        continue;
      }
      assert(!this.#availability.isStartable(piece), "a started piece is not started again");
      let [received, unasked] = [0, 0];
      for (let block = 0; block < blockCount; block++) {
        if (started.states[block] === RECEIVED) received++;
        if (started.states[block] === FREE) unasked++;
      }
      assert(received === started.received && unasked === started.free, "a piece counts its blocks");
      assert(started.requested === blockCount - received - unasked, "all other blocks are requested");
      assert(started.openAt >= 0 === unasked > 0, "a piece with free blocks is open");
      assert(started.requested > 0 || (!started.stalled && started.owner === undefined), "an idle piece");
      missing += blockCount - received;
      free += unasked;
      if (started.requested > 0 && !started.stalled) active++;
      if (unasked > 0) open++;
    }
    assert(missing === this.#blocksMissing && free === this.#blocksFree, "the picker counts its blocks");
    assert(active === this.#activeCount && open === this.#open.length, "the picker counts its pieces");
  }

  // ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** A started piece with a free block that the peer may be asked for; starts one if that is better. */
  #choosePiece(
    pieces: PieceSet,
    peer: PickingPeer,
    allowed: PieceFilter | undefined,
  ): StartedPiece | undefined {
    const urgent = this.#urgentPiece(pieces, allowed);
    if (urgent !== undefined) return urgent;
    let best: StartedPiece | undefined;
    let bestRank = 3;
    for (let index = 0; index < this.#open.length; index++) {
      const started = this.#open[index]!;
      const rank = started.owner === peer ? 0 : started.requested === 0 ? 1 : 2;
      if (rank > bestRank || (rank === bestRank && !this.#isBefore(started, best!))) continue;
      if (!pieces.has(started.piece)) continue;
      if (allowed !== undefined && !allowed.has(started.piece)) continue;
      best = started;
      bestRank = rank;
    }
    if (bestRank < 2) return best;
    if (best !== undefined && this.#activeCount >= this.#soloMax) return best;
    return this.#startAnother(pieces, allowed) ?? best;
  }

  /** For a peer that works on several pieces: another one while it has too few, else the one it was asked for longest ago. */
  #chooseInTurn(
    pieces: PieceSet,
    peer: PickingPeer,
    allowed: PieceFilter | undefined,
    piecesAtOnce: number,
  ): StartedPiece | undefined {
    const urgent = this.#urgentPiece(pieces, allowed);
    if (urgent !== undefined) return urgent;
    let next: StartedPiece | undefined;
    let idle: StartedPiece | undefined;
    let own = 0;
    for (let index = 0; index < this.#open.length; index++) {
      const started = this.#open[index]!;
      const isOwn = started.owner === peer;
      if (!isOwn && started.requested > 0) continue;
      if (!pieces.has(started.piece) || (allowed !== undefined && !allowed.has(started.piece))) continue;
      if (!isOwn) {
        if (idle === undefined || this.#isBefore(started, idle)) idle = started;
        continue;
      }
      own++;
      if (next === undefined || started.turn < next.turn) next = started;
    }
    if (own >= piecesAtOnce) return next;
    return idle ?? this.#startAnother(pieces, allowed) ?? next ?? this.#choosePiece(pieces, peer, allowed);
  }

  /** The first piece that somebody waits for and of which the peer may be asked for something, whoever works on it. */
  #urgentPiece(pieces: PieceSet, allowed: PieceFilter | undefined): StartedPiece | undefined {
    const { urgent } = this.#wanted;
    for (let index = 0; index < urgent.length; index++) {
      const piece = urgent[index]!;
      if (!this.#missing.has(piece) || !pieces.has(piece) || allowed?.has(piece) === false) continue;
      const started = this.#started.get(piece);
      if (started === undefined) return this.#start(piece);
      if (started.free > 0) return started;
    }
    return undefined;
  }

  /** Starts a piece that the peer has, unless too many are active. */
  #startAnother(pieces: PieceSet, allowed: PieceFilter | undefined): StartedPiece | undefined {
    if (this.#activeCount >= this.#activeMax) return undefined;
    const piece = this.#choose(pieces, allowed, this.#wanted.levels);
    return piece < 0 ? undefined : this.#start(piece);
  }

  /** A piece to start, of the highest priority that the peer has; −1 if it has none. */
  #choose(
    pieces: PieceSet,
    allowed: PieceFilter | undefined,
    levels: readonly PieceSet[] | undefined,
  ): number {
    if (levels === undefined) return this.#chooseAmong(pieces, allowed, undefined);
    for (const level of levels) {
      if (level.count === 0) continue;
      const piece = this.#chooseAmong(pieces, allowed, level);
      if (piece >= 0) return piece;
    }
    return -1;
  }

  #chooseAmong(pieces: PieceSet, allowed: PieceFilter | undefined, among: PieceSet | undefined): number {
    const availability = this.#availability;
    if (this.#sequential) return availability.first(pieces, allowed, among);
    return availability.choose(pieces, allowed, this.have.count < RANDOM_PIECES, among);
  }

  /**
   * Blocks to take of a piece whose turn it is. While a peer gets its first pieces, the first share of each is longer than
   * that of the one before, so that they end apart; later ones begin when another ends.
   */
  #shareOf(started: StartedPiece, peer: PickingPeer, piecesAtOnce: number): number {
    if (started.requested + started.received > 0) return CHUNK_BLOCKS;
    let own = 0;
    for (let index = 0; index < this.#open.length; index++) if (this.#open[index]!.owner === peer) own++;
    return own === piecesAtOnce - 1 ? CHUNK_BLOCKS : CHUNK_BLOCKS * (1 + own);
  }

  /** Of two started pieces, the one with fewer blocks left to ask for, or else the rarer. */
  #isBefore(a: StartedPiece, b: StartedPiece): boolean {
    if (a.free !== b.free) return a.free < b.free;
    return this.#availability.of(a.piece) < this.#availability.of(b.piece);
  }

  /** Takes up to `count` free blocks of the piece, in ascending order; writes them behind the first `at` pairs. */
  #takeFree(started: StartedPiece, count: number, out: Int32Array, at: number): number {
    const { states, piece } = started;
    const take = Math.min(count, started.free);
    if (started.requested === 0) this.#activeCount++;
    let block = started.firstFree;
    for (let taken = 0; taken < take; block++) {
      if (states[block] !== FREE) continue;
      states[block] = 1;
      out[2 * (at + taken)] = piece;
      out[2 * (at + taken) + 1] = block;
      taken++;
    }
    started.firstFree = block;
    started.free -= take;
    started.requested += take;
    this.#blocksFree -= take;
    if (started.free === 0) this.#close(started);
    return take;
  }

  #takeRequested(
    pieces: PieceSet,
    count: number,
    out: Int32Array,
    peer: PickingPeer,
    allowed: PieceFilter | undefined,
    isProven: boolean,
  ): number {
    let got = 0;
    const isEarly = !this.inEndGame;
    const requestersMax = isEarly ? 1 : isProven ? REQUESTERS_MAX : REQUESTERS_MAX - 1;
    for (let requesters = 1; requesters < requestersMax && got < count; requesters++) {
      for (const started of this.#started.values()) {
        if (got === count) break;
        if (!isRequestedOf(started, pieces, allowed)) continue;
        got = takeBetween(started, requesters, requesters, out, got, count, peer);
      }
    }
    if (got > 0) return got;
    for (const started of this.#started.values()) {
      if (got === count) break;
      if (started.stalledWindows === 0 || !isRequestedOf(started, pieces, allowed)) continue;
      const last = started.requestersMax(isProven) - 1;
      got = takeBetween(started, requestersMax, last, out, got, count, peer);
    }
    return got;
  }

  // ── records ──────────────────────────────────────────────────────────────────────────────────────────────────

  #start(piece: number): StartedPiece {
    this.#availability.take(piece);
    const started = this.#spare.pop() ?? new StartedPiece(this.#blocksMax);
    started.begin(piece, this.#layout.blocksInPiece(piece));
    started.openAt = this.#open.push(started) - 1;
    this.#started.set(piece, started);
    return started;
  }

  /** Gives the record of a piece without requests back. */
  #forget(started: StartedPiece): void {
    assert(started.requested === 0, "a piece with requests is not forgotten");
    this.#close(started);
    this.#started.delete(started.piece);
    started.owner = undefined;
    this.#spare.push(started);
  }

  /** Takes the piece off the list of those with free blocks. */
  #close(started: StartedPiece): void {
    if (started.openAt < 0) return;
    const last = this.#open.pop()!;
    if (last !== started) {
      this.#open[started.openAt] = last;
      last.openAt = started.openAt;
    }
    started.openAt = -1;
  }

  #oneFreeLess(started: StartedPiece): void {
    this.#blocksFree--;
    started.free--;
    if (started.free === 0) this.#close(started);
  }

  #oneRequestedLess(started: StartedPiece): void {
    started.requested--;
    if (started.requested > 0) return;
    if (!started.stalled) this.#activeCount--;
    started.idle();
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

function isRequestedOf(started: StartedPiece, pieces: PieceSet, allowed: PieceFilter | undefined): boolean {
  const { piece } = started;
  return started.requested > 0 && pieces.has(piece) && (allowed === undefined || allowed.has(piece));
}

/**
 * Takes blocks with `min` … `max` requesters that the peer was not asked for, behind the first `at` pairs and up to `count`; returns
 * how many pairs there are.
 */
function takeBetween(
  started: StartedPiece,
  min: number,
  max: number,
  out: Int32Array,
  at: number,
  count: number,
  peer: PickingPeer,
): number {
  const { piece, states } = started;
  let got = at;
  for (let block = 0; block < started.blockCount && got < count; block++) {
    const requesters = states[block]!;
    if (requesters < min || requesters > max || peer.hasRequested(piece, block)) continue;
    if (wasPicked(out, got, piece, block)) continue;
    states[block] = requesters + 1;
    out[2 * got] = piece;
    out[2 * got + 1] = block;
    got++;
  }
  return got;
}

function wasPicked(out: Int32Array, count: number, piece: number, block: number): boolean {
  for (let index = 0; index < count; index++) {
    if (out[2 * index] === piece && out[2 * index + 1] === block) return true;
  }
  return false;
}
