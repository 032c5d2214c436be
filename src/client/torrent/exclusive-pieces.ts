// Pieces that one peer has to itself, so that whoever sends a bad one is known by it: those that peers on parole begin, and those
// that failed before.
//
//   (nobody's) ──requested──▶ owned ──verified──▶ (gone)
//       ▲                      │ gone, silent for STALL, or not done within its lease, and another could bring it
//       └── started over, offered first to the most trusted ──┘
//       └── nobody is left who did not let it go ──▶ shared: anybody's, block by block, until it fails or is right
//
// A lease grows with each failure of its piece, so that slow peers finish one in the end; and where an owner is the only one who
// could bring the piece, it is waited for: judging peers never stops a download.
//
// One file, because each way to lose a piece decides who may have it next, from the same record of it. It is a little long for that.
//
// Always: an owned piece has blocks of its owner only.

import { assert, present } from "../../base/assert.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { PeerRecord } from "./attribution.js";

/** Of a request's time: an owner is silent for so long at the most, and has so much for a piece besides what its length takes. */
const STALL_SHARE = 1 / 2;
/** The same for one that has shown nothing. */
const STALL_SHARE_UNPROVEN = 1 / 10;
/** Milliseconds without a first block of a piece, and half of those without another, after which one that waits for nothing may have it. */
export const RECLAIM_MS = 500;
/** Without a block for so long, one that is fast and waits for nothing may have it of one that takes many times as long. */
const OUTPACED_MS = 1000;
const LEASE_SHARE = 3;
/** Bytes per millisecond that a lease allows for. */
const LEASE_RATE = 64;
const LEASE_DOUBLINGS_MAX = 8;
/** Pieces that a peer may let go before others come first, until it brings one. */
export const LAPSES_MAX = 3;
/** A piece that those who have shown something let go goes to so many who have not; then it is anybody's. */
const STRANGERS_MAX = 4;
/** So many of those that have shown something may let a piece go, or lose it to faster ones; then it is anybody's. */
const TURNS_MAX = 3;
/** Overdue pieces that one review deals with, however many peers there are. */
export const REVIEWED_MIN = 16;

interface Exclusive {
  owner: PeerRecord | undefined;
  /** Its owner had shown nothing when it got it. */
  isOfUnproven: boolean;
  ownedSinceMs: number;
  /** When a block of it came last, or it was last seen that nobody else could bring it. */
  lastBlockMs: number;
  /** Who had it and let it go, and whether it had shown something by then. */
  readonly lapsed: Map<PeerRecord, boolean>;
  /** Nobody's: who may have it first, and until when; 0: it was not offered yet. */
  offeredTo: PeerRecord | undefined;
  offeredUntilMs: number;
  /** Peers that have shown something, and let it go or lost it to a faster one, since it failed or was begun. */
  turns: number;
  /** It is kept from strangers only: whoever it was offered to had its time before all others. */
  isForProven: boolean;
  failures: number;
  /** Those that have shown nothing and were offered it, or lost it to one that may not have it, since it failed or was begun. */
  strangers: number;
  shared: boolean;
}

/** What a review asks, and does. */
export interface ExclusiveView {
  /** Connected peers that would bring the piece now, the most trusted first, those that have shown nothing last. */
  candidates(piece: number): PeerRecord[];
  isHere(record: PeerRecord): boolean;
  /** Its bytes wait for a limit of ours: it is not to blame for the time. */
  isHeldBack(record: PeerRecord): boolean;
  /** Somebody was asked for a block of the piece that has not come. */
  isAsked(piece: number): boolean;
  /** All blocks of the piece are here, or are being dropped. */
  isReceived(piece: number): boolean;
  /** The owner takes many times as long for a piece as whoever asks. */
  isOutpaced(owner: PeerRecord): boolean;
  /** So many pieces were looked at, in search of one that somebody may be deprived of. */
  lookedAt(pieces: number): void;
  /** Drops all blocks of the piece, and cancels those that were asked for. */
  startOver(piece: number): void;
}

export class ExclusivePieces {
  readonly #pieces = new Map<number, Exclusive>();
  /** In a review: who has a piece, or may have one first. */
  #busy: Set<PeerRecord> | undefined;
  /** Owned by peers that had shown nothing when they got them. */
  #unprovenOwned = 0;
  #pieceLength: number;
  readonly #requestTimeoutMs: number;

  constructor(pieceLength: number, requestTimeoutMs: number) {
    this.#pieceLength = pieceLength;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** Before any piece is owned. */
  setPieceLength(pieceLength: number): void {
    this.#pieceLength = pieceLength;
  }

  get count(): number {
    return this.#pieces.size;
  }

  /** Pieces of owners that had shown nothing when they got them. */
  get unprovenOwned(): number {
    return this.#unprovenOwned;
  }

  has(piece: number): boolean {
    return this.#pieces.has(piece);
  }

  /** All that have a piece, may have it first, or let one go. */
  *records(): Iterable<PeerRecord> {
    for (const { owner, offeredTo, lapsed } of this.#pieces.values()) {
      if (owner !== undefined) yield owner;
      if (offeredTo !== undefined) yield offeredTo;
      yield* lapsed.keys();
    }
  }

  /** Counts again who owns what. `known`: all records, for those that own nothing as well. For tests. */
  checkInvariants(known: Iterable<PeerRecord | undefined>): void {
    const owned = new Map<PeerRecord, number>();
    let unprovenOwned = 0;
    for (const { owner, shared, isOfUnproven, failures, lapsed } of this.#pieces.values()) {
      assert(owner === undefined || !shared, "what is shared is nobody's");
      assert(owner !== undefined || !isOfUnproven, "what is nobody's is of nobody who has shown nothing");
      assert(
        owner !== undefined || shared || failures > 0 || lapsed.size > 0,
        "what is as before is forgotten",
      );
      if (owner !== undefined) owned.set(owner, (owned.get(owner) ?? 0) + 1);
      if (isOfUnproven) unprovenOwned++;
    }
    assert(unprovenOwned === this.#unprovenOwned, "pieces of peers that had shown nothing are counted");
    for (const record of known) {
      if (record === undefined) continue;
      assert(record.owned === (owned.get(record) ?? 0), "a peer counts the pieces that it has to itself");
      owned.delete(record);
    }
    assert(owned.size === 0, "whoever owns a piece is known");
  }

  /** True if blocks of the piece may come of `record`. */
  mayBring(record: PeerRecord, piece: number): boolean {
    const exclusive = this.#pieces.get(piece);
    return exclusive === undefined || exclusive.shared || exclusive.owner === record;
  }

  /** True if `record` has the piece, or may. For pieces that are here. */
  mayHave(record: PeerRecord, piece: number): boolean {
    const exclusive = present(this.#pieces.get(piece), "a piece that is here is known");
    const { owner, shared, offeredTo } = exclusive;
    if (shared || owner !== undefined) return shared || owner === record;
    if (this.#hadItsTurn(exclusive, record)) return false;
    if (offeredTo === undefined) return record.lapses < LAPSES_MAX;
    // What is kept for one that has shown nothing keeps nobody who has from it.
    return offeredTo === record || (record.isProven && (exclusive.isForProven || !offeredTo.isProven));
  }

  /** `record` was asked for blocks of the piece, which is its own from now on unless it is shared. */
  own(record: PeerRecord, piece: number, nowMs: number): void {
    const exclusive = this.#pieces.get(piece) ?? this.#add(piece, nowMs);
    if (exclusive.shared || exclusive.owner !== undefined) return;
    exclusive.owner = record;
    record.owned++;
    exclusive.isOfUnproven = !record.isProven;
    if (exclusive.isOfUnproven) this.#unprovenOwned++;
    exclusive.ownedSinceMs = nowMs;
    exclusive.lastBlockMs = nowMs;
  }

  blockReceived(piece: number, nowMs: number): void {
    const exclusive = this.#pieces.get(piece);
    if (exclusive !== undefined) exclusive.lastBlockMs = nowMs;
  }

  /** The piece failed: the next to bring it does so alone. */
  failed(piece: number, nowMs: number): void {
    const exclusive = this.#pieces.get(piece) ?? this.#add(piece, nowMs);
    exclusive.failures++;
    exclusive.lapsed.clear();
    exclusive.strangers = 0;
    exclusive.turns = 0;
    exclusive.shared = false;
    this.#disown(exclusive);
  }

  /** Nothing is anybody's alone any more, whatever failed before. */
  clear(): void {
    for (const exclusive of this.#pieces.values()) this.#disown(exclusive);
    this.#pieces.clear();
  }

  /** The piece is right. */
  delete(piece: number): void {
    const exclusive = this.#pieces.get(piece);
    if (exclusive === undefined) return;
    this.#disown(exclusive);
    this.#pieces.delete(piece);
  }

  /**
   * A peer left: pieces of its own of which nothing came are as before. Others wait for it, or for a review; what was only offered to
   * it waits no longer, or peers that come and go would hold up whatever failed.
   */
  peerGone(record: PeerRecord, hasBlocks: (piece: number) => boolean): void {
    for (const [piece, exclusive] of this.#pieces) {
      if (exclusive.owner === undefined && exclusive.offeredTo === record) this.#disown(exclusive);
      if (exclusive.owner !== record || hasBlocks(piece)) continue;
      this.#disown(exclusive);
      if (exclusive.failures === 0) this.#pieces.delete(piece);
    }
  }

  /** As Attribution.reclaim(). */
  reclaim(
    claimant: PeerRecord,
    pieces: PieceSet,
    most: number,
    nowMs: number,
    view: ExclusiveView,
    patienceMs = RECLAIM_MS,
  ): number {
    let reclaimed = 0;
    // One pass for all of them: from the start for each, hundreds that are owned take all the looks of a tick.
    for (const [piece, exclusive] of this.#pieces) {
      if (reclaimed >= most) break;
      view.lookedAt(1);
      const { owner, isOfUnproven, lastBlockMs, ownedSinceMs } = exclusive;
      if (owner === undefined || !isOfUnproven || owner.isProven || !pieces.has(piece)) continue;
      const silentMs = lastBlockMs > ownedSinceMs ? 2 * patienceMs : patienceMs;
      // Whoever was given it just now is asked when what came of it before is dropped.
      const isUnasked = nowMs > ownedSinceMs && !view.isAsked(piece);
      const isIdle = claimant.isProven && (isUnasked || !view.isHere(owner));
      if (!isIdle && nowMs - lastBlockMs <= silentMs) continue;
      if (view.isReceived(piece) || view.isHeldBack(owner)) continue;
      // Whoever had less time than that has not let it go.
      if (isIdle || nowMs - lastBlockMs > RECLAIM_MS) owner.lapses++;
      // Or it would be offered to the same one again and again, where all others have let the piece go before.
      exclusive.lapsed.set(owner, owner.isProven);
      this.#disown(exclusive);
      // Else it would be one stranger's after the other.
      const isForStrangers = claimant.isProven && this.#hadItsTurn(exclusive, claimant);
      if (isForStrangers && ++exclusive.strangers >= STRANGERS_MAX) exclusive.shared = true;
      if (exclusive.failures === 0) this.#pieces.delete(piece);
      reclaimed++;
      view.startOver(piece);
    }
    return reclaimed;
  }

  /** As Attribution.outpace(). */
  outpace(claimant: PeerRecord, pieces: PieceSet, nowMs: number, view: ExclusiveView): boolean {
    let looks = 0;
    for (const [piece, exclusive] of this.#pieces) {
      looks++;
      const { owner, lastBlockMs } = exclusive;
      if (owner?.isProven !== true || owner === claimant || !pieces.has(piece)) continue;
      if (nowMs - lastBlockMs <= OUTPACED_MS || this.#hadItsTurn(exclusive, claimant)) continue;
      if (!view.isOutpaced(owner) || view.isReceived(piece) || view.isHeldBack(owner)) continue;
      this.#disown(exclusive);
      this.#turnEnded(exclusive);
      // Or any of those that wait for something would have it first.
      this.own(claimant, piece, nowMs);
      view.lookedAt(looks);
      view.startOver(piece);
      return true;
    }
    view.lookedAt(looks);
    return false;
  }

  /** Looks after those that do not get on, and deals with `most` of them. */
  review(nowMs: number, view: ExclusiveView, most = REVIEWED_MIN): void {
    this.#busy = undefined;
    let left = most;
    for (const [piece, exclusive] of this.#pieces) {
      if (exclusive.shared || !this.#isDue(exclusive, nowMs, view) || view.isReceived(piece)) continue;
      if (exclusive.owner !== undefined && view.isHeldBack(exclusive.owner)) {
        exclusive.lastBlockMs = nowMs;
        exclusive.ownedSinceMs = nowMs;
        continue;
      }
      if (left-- === 0) return;
      if (exclusive.owner === undefined) this.#offer(exclusive, view.candidates(piece), nowMs);
      else this.#letGo(piece, exclusive, exclusive.owner, nowMs, view);
    }
  }

  #isDue(exclusive: Exclusive, nowMs: number, view: ExclusiveView): boolean {
    const { owner } = exclusive;
    if (owner === undefined) return nowMs >= exclusive.offeredUntilMs;
    const doublings = Math.min(LEASE_DOUBLINGS_MAX, Math.max(0, exclusive.failures - 1));
    const leaseMs = (LEASE_SHARE * this.#requestTimeoutMs + this.#pieceLength / LEASE_RATE) * 2 ** doublings;
    return (
      this.#isSilent(exclusive, owner, nowMs) ||
      nowMs - exclusive.ownedSinceMs > leaseMs ||
      !view.isHere(owner)
    );
  }

  #isSilent(exclusive: Exclusive, owner: PeerRecord, nowMs: number): boolean {
    const share = owner.isProven ? STALL_SHARE : STALL_SHARE_UNPROVEN;
    return nowMs - exclusive.lastBlockMs > share * this.#requestTimeoutMs;
  }

  #letGo(piece: number, exclusive: Exclusive, owner: PeerRecord, nowMs: number, view: ExclusiveView): void {
    const others = view.candidates(piece).filter((record) => record !== owner);
    if (others.length === 0) {
      // Nobody else would bring it: it waits, and what came of it is kept.
      exclusive.lastBlockMs = nowMs;
      exclusive.ownedSinceMs = nowMs;
      return;
    }
    exclusive.lapsed.set(owner, owner.isProven);
    owner.lapses++;
    this.#disown(exclusive);
    if (owner.isProven) this.#turnEnded(exclusive);
    if (!exclusive.shared) this.#offer(exclusive, others, nowMs);
    if (!exclusive.shared) view.startOver(piece);
  }

  /**
   * To the most trusted of those who have not let it go, and if that one does not take it, to anybody in turn with it. Where there is
   * none, it is shared. So it is where whoever has shown something let it go, and it was offered to some strangers in vain after that: there
   * may be more and more of those.
   */
  #offer(exclusive: Exclusive, candidates: PeerRecord[], nowMs: number): void {
    // The most trusted may be busy for long with others of them.
    if (exclusive.offeredTo?.isProven === true && !exclusive.isForProven) {
      exclusive.isForProven = true;
      exclusive.offeredUntilMs = nowMs + STALL_SHARE * this.#requestTimeoutMs;
      return;
    }
    exclusive.isForProven = false;
    const able = candidates.filter((record) => !this.#hadItsTurn(exclusive, record));
    if (able.length === 0 && candidates.length > 0) exclusive.shared = true;
    const hasProven = candidates.some(({ isProven }) => isProven);
    const isLeftToStrangers = hasProven && !able.some(({ isProven }) => isProven);
    if (isLeftToStrangers && ++exclusive.strangers > STRANGERS_MAX) exclusive.shared = true;
    const willing = able.filter(({ lapses }) => lapses < LAPSES_MAX);
    exclusive.offeredTo =
      exclusive.offeredTo === undefined ? this.#worthiest(willing.length > 0 ? willing : able) : undefined;
    const stallMs =
      this.#requestTimeoutMs * (exclusive.offeredTo === undefined ? STALL_SHARE : STALL_SHARE_UNPROVEN);
    exclusive.offeredUntilMs = nowMs + (exclusive.offeredTo?.isProven === true ? RECLAIM_MS : stallMs);
  }

  /**
   * True if `record` had the piece and let it go. What it let go as a stranger is not held against it any more when it has shown
   * something: it may have been asked for too much before, or by one that wanted it out of the way.
   */
  #hadItsTurn({ lapsed }: Exclusive, record: PeerRecord): boolean {
    return lapsed.get(record) === record.isProven;
  }

  /** Those that bring what is right for a while, and nothing any more, would have it one after the other. */
  #turnEnded(exclusive: Exclusive): void {
    if (++exclusive.turns >= TURNS_MAX) exclusive.shared = true;
  }

  /**
   * Whoever has shown nothing yet may have one piece at a time kept for it: what waits for liars that come and go waits for nobody else.
   * Undefined: it is anybody's.
   */
  #worthiest(able: readonly PeerRecord[]): PeerRecord | undefined {
    const [first] = able;
    if (first === undefined || first.isProven) return first;
    this.#busy ??= this.#holders();
    const busy = this.#busy;
    const idle = able.find((record) => !busy.has(record));
    if (idle !== undefined) busy.add(idle);
    return idle;
  }

  #holders(): Set<PeerRecord> {
    const holders = new Set<PeerRecord>();
    for (const { owner, offeredTo } of this.#pieces.values()) {
      if (owner !== undefined) holders.add(owner);
      if (offeredTo !== undefined) holders.add(offeredTo);
    }
    return holders;
  }

  #disown(exclusive: Exclusive): void {
    if (exclusive.owner !== undefined) exclusive.owner.owned--;
    if (exclusive.isOfUnproven) this.#unprovenOwned--;
    assert(this.#unprovenOwned >= 0, "a piece has one owner, and is let go once");
    exclusive.isOfUnproven = false;
    exclusive.owner = undefined;
    exclusive.offeredTo = undefined;
    exclusive.offeredUntilMs = 0;
    exclusive.isForProven = false;
  }

  #add(piece: number, nowMs: number): Exclusive {
    const exclusive: Exclusive = {
      owner: undefined,
      isOfUnproven: false,
      ownedSinceMs: nowMs,
      lastBlockMs: nowMs,
      lapsed: new Map(),
      offeredTo: undefined,
      offeredUntilMs: 0,
      turns: 0,
      isForProven: false,
      failures: 0,
      strangers: 0,
      shared: false,
    };
    this.#pieces.set(piece, exclusive);
    return exclusive;
  }
}
