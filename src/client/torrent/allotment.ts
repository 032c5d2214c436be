// What each peer is asked for: the picker's choice, within what its record allows while somebody is suspected.
//
// Peers that have not brought a block yet share what they are asked for: hundreds that never will cannot have all that is missing
// asked of them, and who brings blocks finds enough to ask for.
//
// Always: while nobody is suspected, the picker is asked at once; a peer on parole is asked for blocks of others' pieces only when
// there is nothing that it could have to itself and it waits for nothing.

import { present } from "../../base/assert.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import type { PieceFilter } from "./availability.js";
import { type ExclusiveView, REVIEWED_MIN } from "./exclusive-pieces.js";
import type { Picker, PickingPeer } from "./picker.js";

/** A peer as far as asking it goes. PeerConnection is one. */
export interface AllottedPeer extends PickingPeer {
  readonly pieces: PieceSet;
  readonly peerChoking: boolean;
  /** Pieces that may be asked for while it chokes us. */
  readonly allowedFast: ReadonlySet<number> | undefined;
  /** What it was asked for and has not brought. */
  readonly expected: { readonly count: number };
  readonly pipeline: { readonly snubbed: boolean };
  /** Bytes of it wait for a limit of ours, most of the time. */
  readonly isHeldBack: boolean;
  readonly counters: { readonly payloadBytes: number; readonly blocksReceived: number };
}

/** Requests outstanding at all peers together that have brought nothing yet; one each is always given. */
export const NEWCOMERS_REQUESTS = 512;

export interface AllotmentHost<Peer extends AllottedPeer> {
  readonly nowMs: number;
  /** Peers that are here. */
  readonly here: Iterable<Peer>;
  recordOf(peer: Peer): PeerRecord | undefined;
  /** Drops all blocks of the piece that were received, and cancels those that were asked for. The picker was told. */
  dropBlocks(piece: number): void;
}

/** Peers that are looked at for pieces which one of them does not bring, between two ticks: a few milliseconds of work. */
const REVIEW_LOOKS_MAX = 65_536;

interface Candidate {
  readonly record: PeerRecord;
  readonly pieces: PieceSet;
  readonly brought: number;
}

/**
 * Whoever has shown nothing comes last, in the order in which they came: peers that share pieces with liars lose trust, whoever has just
 * come has none to lose, and liars who come back under other names again and again wait at the end.
 */
function byTrust(a: Candidate, b: Candidate): number {
  if (a.record.isProven !== b.record.isProven) return a.record.isProven ? -1 : 1;
  return a.record.isProven ? b.record.trust - a.record.trust || b.brought - a.brought : 0;
}

export class Allotment<Peer extends AllottedPeer> implements ExclusiveView {
  readonly #picker: Picker;
  readonly #attribution: Attribution;
  readonly #host: AllotmentHost<Peer>;
  /** Those that were to be asked and have not brought a block. */
  readonly #newcomers = new Set<Peer>();
  /** Of those that took something over from others: how many blocks they have brought when all of it came. */
  readonly #owedBy = new Map<Peer, number>();
  /** Of the review under way. */
  #ranked: readonly Candidate[] | undefined;

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
    if (attribution.isQuiet) return this.#pickAllowed(peer, count, out, allowedFast, piecesAtOnce);
    const record = present(this.#host.recordOf(peer), "who is asked is here");
    const allowed = {
      has: (piece: number) =>
        attribution.mayRequest(record, piece, this.#picker.isStarted(piece)) &&
        (allowedFast === undefined || allowedFast.has(piece)),
    };
    const got = this.#pickAllowed(peer, count, out, allowed, record.onParole ? 1 : piecesAtOnce);
    for (let index = 0; index < got; index++)
      attribution.requested(record, out[2 * index]!, this.#host.nowMs);
    if (got > 0 || peer.expected.count > 0 || !record.onParole) return got;
    // Nothing that it may have to itself: better in pieces of others than idle.
    allowed.has = (piece) =>
      attribution.mayShare(record, piece) && (allowedFast === undefined || allowedFast.has(piece));
    return this.#pickAllowed(peer, count, out, allowed, 1);
  }

  /** The connection ended. */
  peerGone(peer: Peer): void {
    this.#newcomers.delete(peer);
    this.#owedBy.delete(peer);
  }

  #countFor(peer: Peer, most: number): number {
    const newcomers = this.#newcomers;
    if (peer.counters.blocksReceived > 0) {
      if (newcomers.size > 0) newcomers.delete(peer);
      return most;
    }
    newcomers.add(peer);
    const share = Math.max(1, Math.floor(NEWCOMERS_REQUESTS / newcomers.size));
    return Math.min(most, share - peer.expected.count);
  }

  /** Looks after pieces that one peer has to itself and does not bring: some of them. */
  review(): void {
    if (!this.#attribution.isQuiet) this.#review(REVIEWED_MIN);
  }

  /** Time passed: looks after as many of those as there is time for. */
  tick(): void {
    if (this.#attribution.isQuiet) return;
    const peers = this.#rank().length;
    this.#review(Math.max(REVIEWED_MIN, Math.floor(REVIEW_LOOKS_MAX / Math.max(1, peers))));
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
    if (got > 0 || peer.expected.count > 0 || peer.pipeline.snubbed) return got;
    const isProven = peer.counters.blocksReceived > 0;
    if (isProven && allowed === undefined) {
      const taken = this.#takeOver(peer, count, out, piecesAtOnce);
      if (taken > 0) return taken;
    }
    return this.#picker.pickAgain(peer.pieces, count, out, peer, allowed, isProven);
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
  #rank(): readonly Candidate[] {
    if (this.#ranked !== undefined) return this.#ranked;
    const found: Candidate[] = [];
    for (const peer of this.#host.here) {
      const record = this.#host.recordOf(peer);
      if (record === undefined || record.banned || peer.peerChoking) continue;
      found.push({ record, pieces: peer.pieces, brought: peer.counters.payloadBytes });
    }
    found.sort(byTrust);
    this.#ranked = found;
    return found;
  }

  get hasProven(): boolean {
    return this.#rank()[0]?.record.isProven === true;
  }

  isHere(record: PeerRecord): boolean {
    return record.connections > 0;
  }

  isHeldBack(record: PeerRecord): boolean {
    for (const peer of this.#host.here)
      if (peer.isHeldBack && this.#host.recordOf(peer) === record) return true;
    return false;
  }

  isReceived(piece: number): boolean {
    return this.#picker.isPieceReceived(piece);
  }

  startOver(piece: number): void {
    if (!this.#picker.isStarted(piece)) return;
    this.#picker.pieceAbandoned(piece);
    this.#host.dropBlocks(piece);
  }
}
