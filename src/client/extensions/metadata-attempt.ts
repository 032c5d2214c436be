// An info dictionary of one length on its way to us, in pieces from one or more peers (BEP 9).
//
// Peers that name different lengths never meet in one attempt, so that who lies about the length keeps nobody else from bringing
// the right one. A dictionary of which all pieces came from one peer and that has the wrong digest is that peer's lie. Of a mixed one
// nobody knows whose: from then on one peer at a time brings the whole.
//
// Always: memory grows with what came, and not with what was promised; a piece is asked of a peer once at a time; what is not answered
// by its deadline is asked of others.

import { assert } from "../../base/assert.js";
import { METADATA_PIECE_BYTES } from "../wire/metadata-message.js";

/** So long a peer may take to answer. */
export const METADATA_REQUEST_MS = 10_000;
/** A piece that was asked for so long ago may be asked of another peer that has nothing else to do. */
const SECOND_ASK_MS = 2000;
/** Whoever brings all of it alone has so long for the whole, and for each piece besides. */
const ALONE_MS = 20_000;
const ALONE_MS_PER_PIECE = 250;
/** Pieces that are asked of one peer at a time: others answer so many without refusing. */
const OUTSTANDING_MAX = 2;

interface Ask<Peer> {
  readonly peer: Peer;
  readonly piece: number;
  readonly sinceMs: number;
}

export class MetadataAttempt<Peer extends object> {
  readonly length: number;
  readonly #pieces: (Uint8Array | undefined)[];
  readonly #senders: (Peer | undefined)[];
  #asks: Ask<Peer>[] = [];
  #bytes = 0;
  #count = 0;
  #isMixed = false;
  /** Who brings all of it, after pieces of several were wrong together. */
  #only: Peer | undefined;
  #onlySinceMs = 0;

  constructor(length: number) {
    this.length = length;
    const count = Math.ceil(length / METADATA_PIECE_BYTES);
    this.#pieces = new Array(count).fill(undefined);
    this.#senders = new Array(count).fill(undefined);
  }

  get pieceCount(): number {
    return this.#pieces.length;
  }

  /** Pieces that are here. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  get isComplete(): boolean {
    return this.#count === this.#pieces.length;
  }

  /** The next piece to ask `peer` for, or −1: for now it has enough to do, or another brings it all. It counts as asked from now on. */
  ask(peer: Peer, nowMs: number): number {
    if (this.#isMixed && this.#only === undefined) {
      this.#only = peer;
      this.#onlySinceMs = nowMs;
    }
    if (this.#only !== undefined && this.#only !== peer) return -1;
    if (this.#asks.filter((ask) => ask.peer === peer).length >= OUTSTANDING_MAX) return -1;
    const piece = this.#choose(peer, nowMs);
    if (piece >= 0) this.#asks.push({ peer, piece, sinceMs: nowMs });
    return piece;
  }

  #choose(peer: Peer, nowMs: number): number {
    const asked = new Set(this.#asks.map((ask) => ask.piece));
    for (let piece = 0; piece < this.#pieces.length; piece++)
      if (this.#pieces[piece] === undefined && !asked.has(piece)) return piece;
    const late = this.#asks.find((ask) => ask.peer !== peer && nowMs - ask.sinceMs >= SECOND_ASK_MS);
    return late === undefined || this.#isAsked(peer, late.piece) ? -1 : late.piece;
  }

  #isAsked(peer: Peer, piece: number): boolean {
    return this.#asks.some((ask) => ask.peer === peer && ask.piece === piece);
  }

  /** The peer's answer came. False: nobody asked it, or it is not so long as the piece is. */
  received(peer: Peer, piece: number, data: Uint8Array): boolean {
    if (!this.#isAsked(peer, piece) || data.length !== this.#lengthOf(piece)) return false;
    this.#asks = this.#asks.filter((ask) => ask.piece !== piece);
    assert(this.#pieces[piece] === undefined, "a piece that is here is not asked for");
    this.#pieces[piece] = data.slice();
    this.#senders[piece] = peer;
    this.#bytes += data.length;
    this.#count++;
    return true;
  }

  /** The peer will not answer. False: it was not asked. */
  refused(peer: Peer, piece: number): boolean {
    if (!this.#isAsked(peer, piece)) return false;
    this.#asks = this.#asks.filter((ask) => ask.peer !== peer || ask.piece !== piece);
    this.#moveOn(peer);
    return true;
  }

  /** Peers that let a deadline pass: what was asked of them is anybody's. */
  late(nowMs: number): Set<Peer> {
    const late = this.#asks.filter((ask) => nowMs - ask.sinceMs > METADATA_REQUEST_MS);
    this.#asks = this.#asks.filter((ask) => !late.includes(ask));
    const peers = new Set(late.map((ask) => ask.peer));
    const aloneMs = ALONE_MS + ALONE_MS_PER_PIECE * this.pieceCount;
    if (this.#only !== undefined && nowMs - this.#onlySinceMs > aloneMs) peers.add(this.#only);
    for (const peer of peers) this.#moveOn(peer);
    return peers;
  }

  peerGone(peer: Peer): void {
    this.#asks = this.#asks.filter((ask) => ask.peer !== peer);
    this.#moveOn(peer);
  }

  /** All pieces, one behind the other. */
  whole(): Uint8Array {
    assert(this.isComplete, "an info dictionary is looked at when it is complete");
    return Buffer.concat(this.#pieces as Uint8Array[]);
  }

  /** It was wrong: starts over. Returns who lied, where that is certain. */
  wasWrong(): Peer | undefined {
    const [first] = this.#senders;
    const isOnes = this.#senders.every((sender) => sender === first);
    this.#isMixed = true;
    this.#startOver();
    return isOnes ? first : undefined;
  }

  /** One that brings all of it alone does no more: another begins anew, with nothing of what the first brought. */
  #moveOn(peer: Peer): void {
    if (this.#only === peer) this.#startOver();
  }

  #startOver(): void {
    this.#only = undefined;
    this.#pieces.fill(undefined);
    this.#senders.fill(undefined);
    this.#asks = [];
    this.#bytes = 0;
    this.#count = 0;
  }

  #lengthOf(piece: number): number {
    const begin = piece * METADATA_PIECE_BYTES;
    return Math.min(METADATA_PIECE_BYTES, this.length - begin);
  }
}
