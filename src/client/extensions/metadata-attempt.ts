// An info dictionary of one length on its way to us, in pieces from one or more peers (BEP 9).
//
//   together ──complete and wrong──▶ alone: each of a few peers at a time brings the whole, and answers for it
//
// Peers that name different lengths never meet in one attempt, so that who lies about the length keeps nobody else from bringing
// the right one. A dictionary of which all pieces came from one peer and that has the wrong digest is that peer's lie. Of a mixed one
// nobody knows whose: from then on each brings the whole alone.
//
// Those that we sought and those that came by themselves are two kinds, each of which is asked as if it were alone: who knocks at our door
// by the dozen, to refuse, to lie or to say nothing, keeps nobody waiting whom we looked for. And the longer it takes, the more are asked
// at one time: where one in fifty is honest it has its turn in two seconds, and where all are honest few are asked for what others bring.
//
// Always: memory grows with what came, and not with what was promised; a piece is asked of a peer once at a time; what is not answered
// by its deadline is asked of others. Whoever brings the whole alone has its turn for as long as pieces come, while others wait.

import { assert } from "../../base/assert.js";
import { MIB } from "../../base/limits.js";
import { METADATA_PIECE_BYTES } from "../wire/metadata-message.js";

/** So long a peer may take to answer. */
export const METADATA_REQUEST_MS = 10_000;
/** So long one of each kind is asked for a piece that others have nothing to do but for, then twice as many, and so on. */
export const METADATA_PATIENCE_MS = 250;
const DOUBLINGS_MAX = 6;
/** Whoever brings all of it alone has so long for the whole, and for each piece besides. */
const ALONE_MS = 20_000;
const ALONE_MS_PER_PIECE = 250;
/** And for the next piece, while others wait for its turn; twice as long each time that it lost one. */
const ALONE_PIECE_MS = 3000;
const ALONE_PIECE_MS_MAX = ALONE_MS;
/** So many of each kind bring all of it at one time, at first, as far as their dictionaries have room. */
const ALONE_MAX = 4;
const ALONE_BYTES_MAX = 32 * MIB;
/** Pieces that are asked of one peer at a time: others answer so many without refusing. */
const OUTSTANDING_MAX = 2;

/** Who may be asked. */
export interface AskedPeer {
  /** It connected to us. */
  readonly incoming: boolean;
}

interface Ask<Peer> {
  readonly peer: Peer;
  readonly piece: number;
  readonly sinceMs: number;
}

/** Pieces of one dictionary, from whomever may bring them. */
class Gathering<Peer extends AskedPeer> {
  readonly #length: number;
  readonly #pieces: (Uint8Array | undefined)[];
  readonly #senders = new Set<Peer>();
  #asks: Ask<Peer>[] = [];
  /** When a piece that is not here was asked for first, whoever was asked. */
  readonly #firstAskedMs = new Map<number, number>();
  bytes = 0;
  count = 0;

  constructor(length: number) {
    this.#length = length;
    this.#pieces = new Array(Math.ceil(length / METADATA_PIECE_BYTES)).fill(undefined);
  }

  get isComplete(): boolean {
    return this.count === this.#pieces.length;
  }

  get senders(): ReadonlySet<Peer> {
    return this.#senders;
  }

  /** The next piece to ask `peer` for, which counts as asked then, or −1: it has enough to do for now. */
  ask(peer: Peer, nowMs: number): number {
    if (this.#asks.filter((ask) => ask.peer === peer).length >= OUTSTANDING_MAX) return -1;
    const piece = this.#choose(peer, nowMs);
    if (piece < 0) return piece;
    this.#asks.push({ peer, piece, sinceMs: nowMs });
    if (!this.#firstAskedMs.has(piece)) this.#firstAskedMs.set(piece, nowMs);
    return piece;
  }

  isAsked(peer: Peer, piece: number): boolean {
    return this.#asks.some((ask) => ask.peer === peer && ask.piece === piece);
  }

  received(peer: Peer, piece: number, data: Uint8Array): boolean {
    if (!this.isAsked(peer, piece) || data.length !== this.#lengthOf(piece)) return false;
    this.#asks = this.#asks.filter((ask) => ask.piece !== piece);
    this.#firstAskedMs.delete(piece);
    assert(this.#pieces[piece] === undefined, "a piece that is here is not asked for");
    this.#pieces[piece] = data.slice();
    this.#senders.add(peer);
    this.bytes += data.length;
    this.count++;
    return true;
  }

  /** What was asked of a peer is anybody's; with `piece`, that alone. */
  giveBack(peer: Peer, piece?: number): void {
    this.#asks = this.#asks.filter(
      (ask) => ask.peer !== peer || (piece !== undefined && ask.piece !== piece),
    );
  }

  /** Peers that let a deadline pass: what was asked of them is anybody's. */
  late(nowMs: number): Peer[] {
    const late = this.#asks.filter((ask) => nowMs - ask.sinceMs > METADATA_REQUEST_MS);
    this.#asks = this.#asks.filter((ask) => !late.includes(ask));
    return late.map((ask) => ask.peer);
  }

  /** All pieces, one behind the other. */
  whole(): Uint8Array {
    assert(this.isComplete, "an info dictionary is looked at when it is complete");
    return Buffer.concat(this.#pieces as Uint8Array[]);
  }

  #choose(peer: Peer, nowMs: number): number {
    const asked = new Set(this.#asks.map((ask) => ask.piece));
    for (let piece = 0; piece < this.#pieces.length; piece++)
      if (this.#pieces[piece] === undefined && !asked.has(piece)) return piece;
    return this.#askedOfOthers(peer, nowMs);
  }

  /** A piece that was asked of others: the one that fewest of its kind were asked for, where more may be. −1 if there is none. */
  #askedOfOthers(peer: Peer, nowMs: number): number {
    const ofItsKind = new Map<number, number>();
    for (const { peer: other, piece } of this.#asks)
      ofItsKind.set(piece, (ofItsKind.get(piece) ?? 0) + (other.incoming === peer.incoming ? 1 : 0));
    let [best, fewest] = [-1, Number.POSITIVE_INFINITY];
    for (const [piece, count] of ofItsKind) {
      const askedMs = this.#firstAskedMs.get(piece) ?? nowMs;
      if (count >= Math.min(fewest, timesPatience(nowMs - askedMs)) || this.isAsked(peer, piece)) continue;
      [best, fewest] = [piece, count];
    }
    return best;
  }

  #lengthOf(piece: number): number {
    return Math.min(METADATA_PIECE_BYTES, this.#length - piece * METADATA_PIECE_BYTES);
  }
}

/** One that brings all of it alone. */
interface Turn<Peer extends AskedPeer> {
  readonly gathering: Gathering<Peer>;
  readonly sinceMs: number;
  /** When a piece came last, or it began. */
  movedMs: number;
}

export class MetadataAttempt<Peer extends AskedPeer> {
  readonly length: number;
  readonly pieceCount: number;
  /** Undefined once a dictionary that came together was wrong. */
  #together: Gathering<Peer> | undefined;
  readonly #alone = new Map<Peer, Turn<Peer>>();
  /** Of both kinds: no more dictionaries have room. */
  readonly #aloneMax: number;
  /** When anybody was asked first. */
  #sinceMs = Number.NaN;
  /** Somebody wanted a turn and there was none. */
  #isAwaited = false;
  /** How long those that lost a turn may take for a piece the next time. */
  readonly #patienceMs = new WeakMap<Peer, number>();

  constructor(length: number) {
    this.length = length;
    this.pieceCount = Math.ceil(length / METADATA_PIECE_BYTES);
    this.#together = new Gathering(length);
    this.#aloneMax = Math.max(1, Math.floor(ALONE_BYTES_MAX / length));
  }

  /** Pieces that are here, of whatever dictionary has most. */
  get count(): number {
    let most = 0;
    for (const { count } of this.#gatherings()) most = Math.max(most, count);
    return most;
  }

  /** Bytes that are held. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#gatherings()) sum += bytes;
    return sum;
  }

  /** The next piece to ask `peer` for, or −1: for now it has enough to do, or others have their turns. It counts as asked from now on. */
  ask(peer: Peer, nowMs: number): number {
    let gathering = this.#gatheringOf(peer);
    if (Number.isNaN(this.#sinceMs)) this.#sinceMs = nowMs;
    if (gathering === undefined) {
      if (!this.#hasTurnFor(peer, nowMs)) {
        this.#isAwaited = true;
        return -1;
      }
      gathering = new Gathering<Peer>(this.length);
      this.#alone.set(peer, { gathering, sinceMs: nowMs, movedMs: nowMs });
    }
    return gathering.ask(peer, nowMs);
  }

  /** The peer's answer came. False: nobody asked it, or it is not so long as the piece is. */
  received(peer: Peer, piece: number, data: Uint8Array, nowMs: number): boolean {
    if (this.#gatheringOf(peer)?.received(peer, piece, data) !== true) return false;
    const turn = this.#alone.get(peer);
    if (turn !== undefined) turn.movedMs = nowMs;
    return true;
  }

  /** The dictionary that `peer` brings a part of, if all of it is here. */
  wholeOf(peer: Peer): Uint8Array | undefined {
    const gathering = this.#gatheringOf(peer);
    return gathering?.isComplete === true ? gathering.whole() : undefined;
  }

  /** The peer will not answer. False: it was not asked. */
  refused(peer: Peer, piece: number): boolean {
    const gathering = this.#gatheringOf(peer);
    if (gathering?.isAsked(peer, piece) !== true) return false;
    gathering.giveBack(peer, piece);
    this.#alone.delete(peer);
    return true;
  }

  /** Peers that let a deadline pass: what was asked of them is anybody's. */
  late(nowMs: number): Set<Peer> {
    const late = new Set(this.#together?.late(nowMs));
    const aloneMs = ALONE_MS + ALONE_MS_PER_PIECE * this.pieceCount;
    for (const [peer, { gathering, sinceMs, movedMs }] of this.#alone) {
      const patienceMs = this.#patienceMs.get(peer) ?? ALONE_PIECE_MS;
      const isSlow = this.#isAwaited && nowMs - movedMs > patienceMs;
      if (gathering.late(nowMs).length === 0 && !isSlow && nowMs - sinceMs <= aloneMs) continue;
      this.#patienceMs.set(peer, Math.min(ALONE_PIECE_MS_MAX, 2 * patienceMs));
      late.add(peer);
    }
    // Another begins anew, with nothing of what these brought.
    for (const peer of late) this.#alone.delete(peer);
    // Whoever still wants a turn says so again.
    this.#isAwaited = false;
    return late;
  }

  peerGone(peer: Peer): void {
    this.#together?.giveBack(peer);
    this.#alone.delete(peer);
  }

  /** What `peer` brought a part of was wrong: starts over. Returns who lied, where that is certain. */
  wasWrong(peer: Peer): Peer | undefined {
    const senders = this.#gatheringOf(peer)?.senders;
    this.#alone.delete(peer);
    this.#together = undefined;
    return senders?.size === 1 ? peer : undefined;
  }

  /** Another one of its kind may bring all of it alone; no kind has more than half of the room. */
  #hasTurnFor(peer: Peer, nowMs: number): boolean {
    if (this.#alone.size >= this.#aloneMax) return false;
    let ofItsKind = 0;
    for (const { incoming } of this.#alone.keys()) if (incoming === peer.incoming) ofItsKind++;
    const most = ALONE_MAX * timesPatience(nowMs - this.#sinceMs);
    return ofItsKind < Math.min(most, Math.ceil(this.#aloneMax / 2));
  }

  #gatheringOf(peer: Peer): Gathering<Peer> | undefined {
    return this.#together ?? this.#alone.get(peer)?.gathering;
  }

  *#gatherings(): Iterable<Gathering<Peer>> {
    if (this.#together !== undefined) yield this.#together;
    for (const { gathering } of this.#alone.values()) yield gathering;
  }
}

/** How many are asked after so long, for each one at first. */
function timesPatience(elapsedMs: number): number {
  return 2 ** Math.min(DOUBLINGS_MAX, Math.floor(elapsedMs / METADATA_PATIENCE_MS));
}
