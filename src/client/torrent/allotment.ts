// What each peer is asked for: the picker's choice, within what its record allows while somebody is suspected.
//
// Peers that have not brought a block yet share what they are asked for: hundreds that never will cannot have all that is missing
// asked of them, and who brings blocks finds enough to ask for.
//
// One file, because whatever is taken from one for another, in whichever way, is bounded by the same looks between two ticks.
//
// Always: while nobody is suspected, the picker is asked at once; a peer on parole is asked for blocks of others' pieces only when
// there is nothing that it could have to itself and it waits for nothing.

import { entryOf, present } from "../../base/assert.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import type { PieceFilter } from "./availability.js";
import { type ExclusiveView, RECLAIM_MS, REVIEWED_MIN } from "./exclusive-pieces.js";
import type { Picker, PickingPeer } from "./picker.js";
import { Standing } from "./started-piece.js";

/** A peer as far as asking it goes. PeerConnection is one. */
export interface AllottedPeer extends PickingPeer {
  readonly pieces: PieceSet;
  readonly peerChoking: boolean;
  /** It came by itself. */
  readonly incoming: boolean;
  /** Pieces that may be asked for while it chokes us. */
  readonly allowedFast: ReadonlySet<number> | undefined;
  /** What it was asked for and has not brought. */
  readonly expected: { readonly count: number };
  readonly pipeline: { readonly snubbed: boolean } | undefined;
  /** How many milliseconds it takes for so many bytes, as fast as it is now; 0: not known. */
  msFor(bytes: number): number;
  /** Bytes of it wait for a limit of ours, most of the time. */
  readonly isHeldBack: boolean;
  /** Gives back, by requestDropped(), all that was asked of it, where it has been silent since for `silentMs`. Returns how many blocks. */
  letGo(silentMs: number): number;
  readonly counters: { readonly payloadBytes: number; readonly blocksReceived: number };
}

/** Requests outstanding at all peers together that have brought nothing yet; one each is always given. */
export const NEWCOMERS_REQUESTS = 512;

export interface AllotmentHost<Peer extends AllottedPeer> {
  readonly nowMs: number;
  /** Peers that are here. */
  readonly here: Iterable<Peer>;
  recordOf(peer: Peer): PeerRecord | undefined;
  /** Has the peer ask for what it may, by pick(). */
  ask(peer: Peer): void;
  /** Drops all blocks of the piece that were received, and cancels those that were asked for. The picker was told. */
  dropBlocks(piece: number): void;
  /** Calls awoke() once, in a turn, when so long has passed. */
  wakeIn(ms: number): void;
}

/** Peers that are looked at for pieces which one of them does not bring, between two ticks: a few milliseconds of work. */
const REVIEW_LOOKS_MAX = 65_536;

/** Whoever has brought nothing and says nothing for so long may lose what it was asked for to one that waits for nothing. */
const SILENT_MS = 500;
/** The same for one that has brought blocks, of which none was in a right piece. */
const UNTRIED_SILENT_MS = 1000;
/**
 * What is somebody's alone who has shown nothing waits for so many times as long as one that has, and waits for nothing, would take for it,
 * if that is less than for others: at the end of a download it is all that there is to wait for.
 */
const PATIENCE_TIMES = 8;
const PATIENCE_MS_MIN = 50;
/** Where none of them was silent for so long, nobody looks again before this: there are hundreds to look at, for each that finds nothing. */
const SILENCE_LOOKED_MS = 50;
/**
 * A few milliseconds of work, of which half is kept for those that had a part in a right piece, and of the other half as much for those that
 * have brought blocks: hundreds that only look would leave nothing for them until the next tick. Of what is kept for the first, those that we
 * sought and never asked for anything may use half: where nobody has had a part in a right piece yet, one of them will be the first.
 */
const LOOKS_PER_TICK = 65_536;
/** Whoever is suspected may share pieces of others where none became complete for so long. */
const STUCK_MS = 5000;

/**
 * Between two ticks, those that bring what they are asked for and found nothing are asked again after so long, so many of them: at the end of
 * a download, what hundreds hold that dawdle may be taken from them a tenth of a second after they got it, and nothing else happens until then.
 */
const HUNGRY_MS = 50;
const HUNGRY_ASKED_MAX = 64;
/** With each tick so many that wait for nothing are asked before all others, while somebody is suspected. */
const ASKED_FIRST_MAX = 32;

/** Whoever takes no more than so many times as long as the fastest is fast: of each block that others do not bring it has a place. */
const FAST_TIMES = 4;

interface Candidate<Peer> {
  readonly peer: Peer;
  readonly record: PeerRecord;
  readonly pieces: PieceSet;
  readonly brought: number;
  readonly isDialled: boolean;
}

/**
 * Whoever has shown nothing comes last: among those first who let nothing go, was sought by us, and brings blocks, then in the order in
 * which they came. Blocks of which none was in a right piece say less than that we sought it: hundreds bring one and dawdle. Peers that share pieces with liars lose trust, whoever has just come has none to lose, and liars who come back under
 * other names again and again wait at the end.
 */
function byTrust<Peer>(a: Candidate<Peer>, b: Candidate<Peer>): number {
  if (a.record.isProven !== b.record.isProven) return a.record.isProven ? -1 : 1;
  if (a.record.isProven) return b.record.trust - a.record.trust || b.brought - a.brought;
  if (a.record.lapses !== b.record.lapses) return a.record.lapses - b.record.lapses;
  return Number(b.isDialled) - Number(a.isDialled) || b.brought - a.brought;
}

export class Allotment<Peer extends AllottedPeer> implements ExclusiveView {
  readonly #picker: Picker;
  readonly #attribution: Attribution;
  readonly #host: AllotmentHost<Peer>;
  /** Those that were to be asked and have not brought a block. */
  readonly #newcomers = new Set<Peer>();
  /** Those that have brought a block, and no right piece perhaps: looked at when something is to be taken from them. */
  readonly #untried = new Set<Peer>();
  /** Those that bring what they are asked for, wait for nothing and found nothing. */
  readonly #hungry = new Set<Peer>();
  /** When they were last asked; and whether the host wakes us, so that those of them are asked that had a part in a right piece. */
  #hungryAskedMs = 0;
  #wakes = false;
  /** Those that were given a piece which was not free yet: they are asked before all others when one is. */
  readonly #claimants = new Set<Peer>();
  /** Of those, whom others were asked in the place of, because they said nothing: they take nothing of others. */
  readonly #passedOver = new Set<Peer>();
  /** Of those that took something over from others: how many blocks they have brought when all of it came. */
  readonly #owedBy = new Map<Peer, number>();
  /** At peers and pieces of which something might be taken for another, until the next tick. */
  #looksLeft = LOOKS_PER_TICK;
  #nobodySilentUntilMs = 0;
  /** Pieces that were verified at the last tick, and when there was one more. */
  #verified = 0;
  #verifiedMs = 0;
  /** Somebody here had a part in a piece that was right, and would bring what it has. */
  #hasProven = false;
  /** Pieces become complete though whoever is suspected has no part in those of others. */
  #getsOn = false;
  /** How long the fastest that is here takes for a piece, as of the last tick; 0: nobody has brought any. */
  #fastestMs = 0;
  /** The same of each that is here and has brought blocks, while somebody is suspected. */
  readonly #pieceMsOf = new Map<PeerRecord, number>();
  /** Of the one that would have pieces of slower ones. */
  #claimantMs = 0;
  /** Of the review under way. */
  #ranked: readonly Candidate<Peer>[] | undefined;

  constructor(picker: Picker, attribution: Attribution, host: AllotmentHost<Peer>) {
    this.#picker = picker;
    this.#attribution = attribution;
    this.#host = host;
  }

  /** As Picker.pick() and then pickAgain(), for one peer. */
  pick(peer: Peer, most: number, out: Int32Array, piecesAtOnce: number): number {
    const count = this.#countFor(peer, most);
    if (count <= 0) return 0;
    const allowedFast = peer.peerChoking ? peer.allowedFast : undefined;
    const attribution = this.#attribution;
    if (attribution.isQuiet) {
      const found = this.#pickAllowed(peer, count, out, allowedFast, piecesAtOnce);
      // What is being judged may fail, and is asked for then, not with the next tick only.
      if (found === 0 && peer.expected.count === 0 && peer.counters.blocksReceived > 0)
        this.#hungry.add(peer);
      return found;
    }
    const record = present(this.#host.recordOf(peer), "who is asked is here");
    this.#hungry.delete(peer);
    if (this.#hungry.size > 0 && this.#host.nowMs - this.#hungryAskedMs >= HUNGRY_MS) this.pieceFree();
    const isApart = attribution.isApart(record);
    if (record.isProven) this.#hasProven = true;
    const unprovenMax = this.#unprovenMax(peer);
    // One piece at a time for whoever has shown nothing.
    const few = isApart && !record.isProven ? Math.min(count, this.#picker.blocksMax) : count;
    const allowed = {
      has: (piece: number) =>
        attribution.mayRequest(record, piece, this.#picker.isStarted(piece), unprovenMax) &&
        (allowedFast === undefined || allowedFast.has(piece)),
    };
    let got = this.#pickAllowed(peer, few, out, allowed, isApart ? 1 : piecesAtOnce);
    if (got === 0 && peer.expected.count === 0) {
      const isReclaimed = this.#mayReclaim(peer, record) && this.#reclaim(peer, record, few);
      if (isReclaimed || this.#outpace(peer, record) || this.#tryOut(peer, record)) {
        got = this.#picker.pick(peer.pieces, few, out, peer, allowed, 1);
        if (!isReclaimed) this.#owedBy.set(peer, peer.counters.blocksReceived + Math.max(1, got));
        // What came of it is being dropped.
        if (got === 0) this.#claimants.add(peer);
      }
    }
    for (let index = 0; index < got; index++)
      attribution.requested(record, entryOf(out, 2 * index), this.#host.nowMs);
    if (got === 0 && peer.expected.count === 0 && this.#bringsWhatItGets(peer, record)) {
      if (this.#hungry.size === 0) this.#hungryAskedMs = this.#host.nowMs;
      this.#hungry.add(peer);
      if (record.isProven && !this.#wakes) {
        this.#wakes = true;
        this.#host.wakeIn(HUNGRY_MS);
      }
    }
    if (got > 0 || peer.expected.count > 0 || !isApart || this.#getsOn) return got;
    // Nothing that it may have to itself: better in pieces of others than idle.
    allowed.has = (piece) =>
      attribution.mayShare(record, piece) && (allowedFast === undefined || allowedFast.has(piece));
    return this.#pickAllowed(peer, count, out, allowed, 1);
  }

  /**
   * Half of what is missing, and the last piece only where nobody has shown anything. Whoever was sought by us may have half of the rest:
   * hundreds that come by themselves would keep all others from showing anything.
   */
  #unprovenMax({ incoming }: Peer): number {
    const half = this.#picker.piecesMissing >> 1;
    return Math.max(this.#hasProven ? 0 : 1, incoming ? half : half + (half >> 1));
  }

  /** The connection ended. */
  peerGone(peer: Peer): void {
    this.#newcomers.delete(peer);
    this.#untried.delete(peer);
    this.#hungry.delete(peer);
    this.#claimants.delete(peer);
    this.#passedOver.delete(peer);
    this.#owedBy.delete(peer);
  }

  #countFor(peer: Peer, most: number): number {
    const newcomers = this.#newcomers;
    if (peer.counters.blocksReceived > 0) {
      if (newcomers.size > 0 && newcomers.delete(peer)) this.#untried.add(peer);
      if (this.#passedOver.size > 0) this.#passedOver.delete(peer);
      return most;
    }
    newcomers.add(peer);
    const share = Math.max(1, Math.floor(NEWCOMERS_REQUESTS / newcomers.size));
    return Math.min(most, share - peer.expected.count);
  }

  /** A piece failed: looks after pieces that one peer has to itself and does not bring, some of them. */
  pieceFailed(): void {
    if (!this.#attribution.isQuiet) this.#review(REVIEWED_MIN);
    this.pieceFree();
  }

  /** Somebody had a part in a right piece for the first time, and may be asked for more now. */
  shown(): void {
    this.#askProven(Number.POSITIVE_INFINITY);
  }

  /** As AllotmentHost.wakeIn() says. */
  awoke(): void {
    this.#wakes = false;
    this.#askProven(HUNGRY_ASKED_MAX);
  }

  /** Whoever finds nothing again is behind those that were not asked now. */
  #askProven(most: number): void {
    let left = most;
    for (const peer of [...this.#hungry]) {
      if (left === 0) return;
      if (this.#host.recordOf(peer)?.isProven !== true) continue;
      left--;
      this.#hungry.delete(peer);
      this.#host.ask(peer);
    }
  }

  /** A piece may be begun anew: those that wait for one are asked, and not with the next tick only. */
  pieceFree(): void {
    for (const peer of [...this.#claimants]) {
      this.#claimants.delete(peer);
      this.#host.ask(peer);
    }
    if (this.#hungry.size === 0) return;
    this.#hungryAskedMs = this.#host.nowMs;
    const hungry = [...this.#hungry].slice(0, HUNGRY_ASKED_MAX);
    for (const peer of hungry) this.#hungry.delete(peer);
    // Whoever finds nothing again is behind those that were not asked now.
    for (const peer of hungry) this.#host.ask(peer);
  }

  /** Time passed: looks after as many of those as there is time for. */
  tick(): void {
    this.#looksLeft = LOOKS_PER_TICK;
    this.#lookWhetherItGetsOn();
    this.#findFastest();
    if (this.#attribution.isQuiet) return;
    const ranked = this.#rank();
    this.#hasProven = ranked[0]?.record.isProven === true;
    const peers = ranked.length;
    this.#review(Math.max(REVIEWED_MIN, Math.floor(REVIEW_LOOKS_MAX / Math.max(1, peers))));
    this.#askFirst(ranked);
  }

  /**
   * Whoever is trusted most finds first what has become free. In the order in which they came, one that came behind hundreds of liars
   * would find nothing for seconds, as each of those takes what the one before it has lost.
   */
  #askFirst(ranked: readonly Candidate<Peer>[]): void {
    let asked = 0;
    for (const { peer } of ranked) {
      if (asked === ASKED_FIRST_MAX) return;
      if (peer.expected.count > 0) continue;
      asked++;
      this.#host.ask(peer);
    }
  }

  #lookWhetherItGetsOn(): void {
    const { nowMs } = this.#host;
    const verified = this.#picker.have.count;
    if (verified !== this.#verified) this.#verifiedMs = nowMs;
    this.#verified = verified;
    this.#getsOn = nowMs - this.#verifiedMs < STUCK_MS;
  }

  #review(most: number): void {
    this.#attribution.review(this.#host.nowMs, this, most);
    this.#ranked = undefined;
  }

  #pickAllowed(
    peer: Peer,
    count: number,
    out: Int32Array,
    allowed: PieceFilter | undefined,
    piecesAtOnce: number,
  ): number {
    const got = this.#picker.pick(peer.pieces, count, out, peer, allowed, piecesAtOnce);
    // Whoever is snubbed has shown that it would only hold places of others.
    if (got > 0 || peer.expected.count > 0 || peer.pipeline?.snubbed === true) return got;
    const isProven = peer.counters.blocksReceived > 0;
    const isFresh = !this.#passedOver.has(peer) && this.#looksLeft > (3 / 4) * LOOKS_PER_TICK;
    if ((isProven || isFresh) && this.#takeFromSilent(peer, count) > 0) {
      const taken = this.#picker.pick(peer.pieces, count, out, peer, allowed, piecesAtOnce);
      if (taken > 0) return taken;
    }
    if (isProven && allowed === undefined) {
      const taken = this.#takeOver(peer, count, out, piecesAtOnce);
      if (taken > 0) return taken;
    }
    return this.#picker.pickAgain(peer.pieces, count, out, peer, allowed, this.#standingOf(peer));
  }

  #standingOf(peer: Peer): Standing {
    if (peer.counters.blocksReceived === 0) return Standing.unknown;
    return this.#pieceMs(peer) <= FAST_TIMES * this.#fastestMs ? Standing.fast : Standing.proven;
  }

  /** How long it takes for a piece; for ever where that is not known. */
  #pieceMs(peer: Peer): number {
    return peer.msFor(this.#picker.blocksMax * BLOCK_SIZE) || Number.POSITIVE_INFINITY;
  }

  /** A look at each that is here, with each tick. */
  #findFastest(): void {
    this.#fastestMs = 0;
    this.#pieceMsOf.clear();
    const isSuspicious = !this.#attribution.isQuiet;
    let fastestMs = Number.POSITIVE_INFINITY;
    for (const peer of this.#host.here) {
      if (peer.counters.blocksReceived === 0) continue;
      const pieceMs = this.#pieceMs(peer);
      const record = isSuspicious ? this.#host.recordOf(peer) : undefined;
      if (record !== undefined) this.#pieceMsOf.set(record, pieceMs);
      if (!peer.peerChoking) fastestMs = Math.min(fastestMs, pieceMs);
    }
    if (fastestMs < Number.POSITIVE_INFINITY) this.#fastestMs = fastestMs;
  }

  /** What was asked of those that have brought nothing, and say nothing, is free again: `most` blocks or a few more. Returns how many. */
  #takeFromSilent(peer: Peer, most: number): number {
    const { nowMs } = this.#host;
    if (nowMs < this.#nobodySilentUntilMs) return 0;
    let freed = 0;
    const least = this.#looksKeptFrom(peer, this.#host.recordOf(peer));
    for (const other of this.#newcomers) {
      if (this.#looksLeft <= least || freed >= most) break;
      this.#looksLeft--;
      if (other === peer || other.expected.count === 0) continue;
      const free = other.letGo(SILENT_MS);
      if (free > 0) this.#passedOver.add(other);
      freed += free;
    }
    for (const other of this.#untried) {
      if (this.#looksLeft <= least || freed >= most) break;
      this.#looksLeft--;
      if (this.#host.recordOf(other)?.isProven !== false) this.#untried.delete(other);
      else if (other !== peer) freed += other.letGo(UNTRIED_SILENT_MS);
    }
    // All of them were looked at.
    if (freed === 0 && this.#looksLeft > least) this.#nobodySilentUntilMs = nowMs + SILENCE_LOOKED_MS;
    return freed;
  }

  /** Its pieces may be under way to be judged, where none was yet. */
  #bringsWhatItGets(peer: Peer, record: PeerRecord): boolean {
    return record.isProven || (peer.counters.blocksReceived > 0 && record.lapses === 0);
  }

  /** Looks of a tick that are not for the peer. */
  #looksKeptFrom(peer: Peer, record: PeerRecord | undefined): number {
    if (record?.isProven === true) return 0;
    return record !== undefined && this.#isUntried(peer, record) ? LOOKS_PER_TICK / 4 : LOOKS_PER_TICK / 2;
  }

  /** We sought it, and it had no chance yet to show anything. */
  #isUntried({ incoming, counters }: Peer, record: PeerRecord): boolean {
    const isAtTheStart = !record.isProven && !record.onParole && record.lapses === 0 && record.owned === 0;
    return !incoming && isAtTheStart && counters.blocksReceived === 0;
  }

  /** Whoever has shown something, or had no chance yet: where others have shown something, those of them that we sought. */
  #mayReclaim({ incoming }: Peer, record: PeerRecord): boolean {
    if (record.isProven) return true;
    return record.lapses === 0 && record.owned === 0 && !(this.#hasProven && incoming);
  }

  /**
   * A piece that somebody has to itself who is slow starts over for a fast one that would have it at once: else those that were fast for a
   * moment, and hundreds that bring a block now and then, hold all that is missing. As many as it takes this way it has to bring before
   * it takes more.
   */
  #outpace(peer: Peer, record: PeerRecord): boolean {
    if (!record.isProven || peer.counters.blocksReceived < (this.#owedBy.get(peer) ?? 0)) return false;
    if (this.#standingOf(peer) !== Standing.fast || this.#looksLeft <= 0) return false;
    this.#claimantMs = this.#pieceMs(peer);
    return this.#attribution.outpace(record, peer.pieces, this.#host.nowMs, this);
  }

  /**
   * Pieces that others have to themselves who have shown nothing, and bring nothing now, start over: one, or those of `most` blocks for one
   * that has shown something. False: there is none.
   */
  #reclaim(peer: Peer, record: PeerRecord, most: number): boolean {
    const { nowMs } = this.#host;
    const pieces = record.isProven ? Math.ceil(most / this.#picker.blocksMax) : 1;
    const patienceMs = record.isProven ? this.#patienceMs(peer) : RECLAIM_MS;
    if (this.#looksLeft <= this.#looksKeptFrom(peer, record)) return false;
    return this.#attribution.reclaim(record, peer.pieces, pieces, nowMs, this, patienceMs) > 0;
  }

  #patienceMs(peer: Peer): number {
    const ownMs = peer.msFor(this.#picker.blocksMax * BLOCK_SIZE);
    if (ownMs === 0) return RECLAIM_MS;
    return Math.min(RECLAIM_MS, Math.max(PATIENCE_MS_MIN, PATIENCE_TIMES * ownMs));
  }

  /**
   * Whoever was sought by us and was never asked for anything is tried: with a piece that is somebody's alone who was silent for a second, or
   * that stalls. All that is missing may have been asked of slow ones before it came.
   */
  #tryOut(peer: Peer, record: PeerRecord): boolean {
    if (!this.#isUntried(peer, record) || this.#looksLeft <= this.#looksKeptFrom(peer, record)) return false;
    this.#claimantMs = 0;
    if (this.#attribution.outpace(record, peer.pieces, this.#host.nowMs, this)) return true;
    this.#looksLeft -= this.#picker.startedCount;
    const piece = this.#picker.stalledPiece(peer.pieces, {
      has: (each) => !this.#attribution.isSomebodys(each),
    });
    if (piece >= 0) this.startOver(piece);
    return piece >= 0;
  }

  /** Whoever takes something over from another takes more when it has brought as many blocks: else it would only keep it from us. */
  #takeOver(peer: Peer, count: number, out: Int32Array, piecesAtOnce: number): number {
    const { blocksReceived } = peer.counters;
    if (blocksReceived < (this.#owedBy.get(peer) ?? 0) || !this.#picker.takeOver(peer.pieces, peer)) return 0;
    const got = this.#picker.pick(peer.pieces, count, out, peer, undefined, piecesAtOnce);
    this.#owedBy.set(peer, blocksReceived + Math.max(1, got));
    return got;
  }

  // ── ExclusiveView ────────────────────────────────────────────────────────────────────────────────────────────

  candidates(piece: number): PeerRecord[] {
    const found: PeerRecord[] = [];
    for (const { pieces, record } of this.#rank()) if (pieces.has(piece)) found.push(record);
    return found;
  }

  /** Who could be asked for anything, the most trusted first: one order for all pieces of a review. */
  #rank(): readonly Candidate<Peer>[] {
    if (this.#ranked !== undefined) return this.#ranked;
    const found: Candidate<Peer>[] = [];
    for (const peer of this.#host.here) {
      const record = this.#host.recordOf(peer);
      if (record === undefined || record.banned || peer.peerChoking) continue;
      found.push({
        peer,
        record,
        pieces: peer.pieces,
        brought: peer.counters.payloadBytes,
        isDialled: !peer.incoming,
      });
    }
    found.sort(byTrust);
    this.#ranked = found;
    return found;
  }

  lookedAt(pieces: number): void {
    this.#looksLeft -= pieces;
  }

  isHere(record: PeerRecord): boolean {
    return record.connections > 0;
  }

  isHeldBack(record: PeerRecord): boolean {
    for (const peer of this.#host.here)
      if (peer.isHeldBack && this.#host.recordOf(peer) === record) return true;
    return false;
  }

  isAsked(piece: number): boolean {
    return this.#picker.isAsked(piece);
  }

  isReceived(piece: number): boolean {
    return this.#picker.isPieceReceived(piece);
  }

  isOutpaced(owner: PeerRecord): boolean {
    const ownerMs = this.#pieceMsOf.get(owner) ?? Number.POSITIVE_INFINITY;
    return ownerMs > FAST_TIMES * this.#claimantMs;
  }

  startOver(piece: number): void {
    if (!this.#picker.isStarted(piece)) return;
    this.#picker.pieceAbandoned(piece);
    this.#host.dropBlocks(piece);
  }
}
