// What each message of a peer does, one method per message: whoever asks what a message does in which state finds it here. And what the
// peer has told of its pieces, before anybody knows how many there are (early-announcements.ts) and after.
//
// Requests that we made, those made of us, and messages of extensions are handed on: to block-requests.ts, peer-uploads.ts, and
// extensions/peer-extensions.ts.
//
// Always: what a peer says ends in a state that is drawn here, or in PeerError. A piece that it names exists, once the layout is known.

import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { PIECE_COUNT_MAX } from "../../base/limits.js";
import { PieceSet } from "../../base/piece-set.js";
import type { MessageHandler } from "../wire/decode.js";
import type { ExtensionHandshake } from "../wire/extension.js";
import { ALLOWED_FAST_MAX, EarlyAnnouncements } from "./early-announcements.js";
import type { PeerConnection } from "./peer-connection.js";
import type { Swarm } from "./swarm.js";

/** A peer may tell of another node of the DHT so often: each is asked, and takes the place of one that others told of. */
const PORTS_MAX = 4;

export class PeerMessages implements MessageHandler {
  readonly #peer: PeerConnection;
  #pieces: PieceSet | undefined;
  /** It has said which pieces it has: what says so at once may not come any more. */
  #hasAnnounced = false;
  /** What it announces while nobody knows how many pieces there are. */
  #early: EarlyAnnouncements | undefined;
  #allowedFast: Set<number> | undefined;
  #allowedFastLeft = ALLOWED_FAST_MAX;
  /** Of its node of the DHT, as it said last; 0: it has not. */
  #port = 0;
  #portsLeft = PORTS_MAX;

  constructor(peer: PeerConnection) {
    this.#peer = peer;
  }

  // ── what it has ──────────────────────────────────────────────────────────────────────────────────────────────

  /** The connection opens, to a torrent of so many pieces; undefined: nobody knows how many yet. */
  opened(pieceCount: number | undefined): void {
    assert(this.#pieces === undefined && this.#early === undefined, "a connection opens once");
    if (pieceCount === undefined) this.#early = new EarlyAnnouncements();
    else this.#pieces = new PieceSet(pieceCount);
  }

  /** The pieces that it has; undefined before it is open, and while nobody knows how many there are. */
  get pieces(): PieceSet | undefined {
    return this.#pieces;
  }

  /** Pieces that it gives us while it chokes us (BEP 6). */
  get allowedFast(): ReadonlySet<number> | undefined {
    return this.#allowedFast;
  }

  /** True while what it announces is kept for when the metadata is there. */
  get isEarly(): boolean {
    return this.#early !== undefined;
  }

  /** The torrent has so many pieces: judges what the peer announced meanwhile. Throws PeerError for what such a torrent does not have. */
  takeEarly(pieceCount: number): PieceSet {
    assert(this.#early !== undefined, "the pieces become known once");
    const early = this.#early;
    this.#early = undefined;
    const pieces = early.piecesOf(pieceCount);
    this.#pieces = pieces;
    for (const piece of early.allowedFast) this.onAllowedFast(piece);
    return pieces;
  }

  /** Tells the torrent what it has, if it has said so. */
  announceAll(swarm: Swarm): void {
    if (!this.#hasAnnounced) return;
    swarm.peerAnnounced(this.#peer, -1);
    this.#peer.updateInterest();
  }

  /** Bytes that a bitfield message may have: of this torrent, or of any while its pieces are not known. */
  bitfieldBytesMax(): number {
    const { layout } = this.#openSwarm("bitfield");
    return 1 + Math.ceil((layout?.pieceCount ?? PIECE_COUNT_MAX) / 8);
  }

  onHave(piece: number): void {
    const swarm = this.#openSwarm("have");
    this.checkPiece(piece, "have");
    this.#hasAnnounced = true;
    if (this.#early !== undefined) {
      this.#early.have(piece);
      return;
    }
    if (!this.#knownPieces().add(piece)) return;
    swarm.peerAnnounced(this.#peer, piece);
    this.#peer.hasOneMore(swarm.isMissing(piece));
  }

  onBitfield(bytes: Uint8Array, at: number, length: number): void {
    const swarm = this.#openSwarm("bitfield");
    const bits = bytes.subarray(at, at + length);
    if (this.#early !== undefined) {
      this.#hasAnnounced = true;
      this.#early.bitfield(bits);
      return;
    }
    const pieces = this.#knownPieces();
    const announced = this.#hasAnnounced ? new PieceSet(pieces.pieceCount) : pieces;
    if (!announced.assign(bits)) {
      throw new PeerError("PEER_MESSAGE_MALFORMED", "bitfield of another torrent", {
        expected: `${Math.ceil(announced.pieceCount / 8)} bytes with clear spare bits`,
        received: `${length} bytes`,
      });
    }
    if (!this.#hasAnnounced) {
      this.#hasAnnounced = true;
      this.announceAll(swarm);
      return;
    }
    // BEP 3 has one bitfield, first; aria2 sends more of them in place of many have messages.
    let piece = announced.nextBeyond(pieces, 0);
    for (; piece >= 0; piece = announced.nextBeyond(pieces, piece + 1)) {
      pieces.add(piece);
      swarm.peerAnnounced(this.#peer, piece);
    }
    this.#peer.updateInterest();
  }

  onHaveAll(): void {
    const swarm = this.#announceOnce("have all");
    if (this.#early !== undefined) {
      this.#early.haveAll();
      return;
    }
    this.#knownPieces().fill();
    this.announceAll(swarm);
  }

  onHaveNone(): void {
    const swarm = this.#announceOnce("have none");
    if (this.#early === undefined) this.announceAll(swarm);
  }

  onSuggest(piece: number): void {
    this.#needFast("suggest piece");
    this.checkPiece(piece, "suggest piece");
  }

  onAllowedFast(piece: number): void {
    this.#needFast("allowed fast");
    this.checkPiece(piece, "allowed fast");
    if (this.#early !== undefined) {
      this.#early.allowFast(piece);
      return;
    }
    this.#allowedFast ??= new Set();
    // What was refused and is allowed again counts again: or both sides would never end asking and refusing.
    if (this.#allowedFastLeft === 0 || this.#allowedFast.has(piece)) return;
    this.#allowedFastLeft--;
    this.#allowedFast.add(piece);
  }

  /** Throws PeerError unless there is such a piece, or may be. */
  checkPiece(piece: number, what: string): void {
    const count = this.#pieces?.pieceCount ?? PIECE_COUNT_MAX;
    if (piece < count) return;
    throw new PeerError("PEER_PIECE_RANGE", `${what} of a piece that does not exist`, {
      expected: `0 to ${count - 1}`,
      received: `${piece}`,
    });
  }

  // ── choke, interest, requests ────────────────────────────────────────────────────────────────────────────────

  onChoke(): void {
    const peer = this.#peer;
    if (peer.peerChoking) return;
    peer.peerChoking = true;
    // With BEP 6 the peer rejects or answers each request; without it they are gone.
    if (!peer.fast) peer.requests.drop(true);
  }

  onUnchoke(): void {
    this.#peer.peerChoking = false;
  }

  onInterested(): void {
    this.#setInterested(true);
  }

  onNotInterested(): void {
    this.#setInterested(false);
  }

  onReject(piece: number, begin: number, _length: number): void {
    this.#needFast("reject request");
    const { requests, peerChoking } = this.#peer;
    // A choke refuses what was asked for before it, but for what is allowed in spite of it.
    const isHeldAgainstIt = !peerChoking || this.#allowedFast?.has(piece) === true;
    if (requests.rejected(piece, begin, isHeldAgainstIt)) this.#allowedFast?.delete(piece);
  }

  onRequest(piece: number, begin: number, length: number): void {
    this.#peer.uploads.requested(this.#openSwarm("request"), piece, begin, length);
  }

  onCancel(piece: number, begin: number, length: number): void {
    this.#openSwarm("cancel");
    this.#peer.uploads.cancelled(piece, begin, length);
  }

  onPort(port: number): void {
    const { swarm, host, isReachable } = this.#peer;
    if (!isReachable || port === this.#port || this.#portsLeft === 0) return;
    this.#port = port;
    this.#portsLeft--;
    swarm?.dhtNodeTold(host, port);
  }

  onExtended(extendedId: number, bytes: Uint8Array, at: number, length: number): void {
    const { extensions } = this.#peer;
    if (extensions === undefined) return;
    if (extendedId !== 0) {
      extensions.messageReceived(extendedId, bytes, at, length);
      return;
    }
    const said = bytes.subarray(at, at + length);
    const handshake = extensions.readHandshake(said);
    if (handshake === undefined) return;
    this.#introduced(handshake);
    extensions.handshakeReceived(handshake, said);
  }

  onUnknown(): void {}

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** What its extension handshake tells of it, extensions aside. */
  #introduced(handshake: ExtensionHandshake): void {
    const peer = this.#peer;
    if (handshake.reqq !== undefined) peer.requests.setPeerLimit(handshake.reqq);
    if (handshake.v !== undefined) peer.clientName = handshake.v;
    if (handshake.p !== undefined && handshake.p > 0 && peer.incoming && peer.isReachable) {
      peer.listenPort = handshake.p;
      peer.swarm?.peerListens(peer);
    }
    if (handshake.uploadOnly !== undefined) peer.isUploadOnly = handshake.uploadOnly;
  }

  #openSwarm(what: string): Swarm {
    const { swarm, state } = this.#peer;
    if (swarm !== undefined && state === "open") return swarm;
    throw new PeerError("PEER_MESSAGE_UNEXPECTED", `${what} before the handshake`);
  }

  #knownPieces(): PieceSet {
    assert(this.#pieces !== undefined, "an open connection knows the pieces, or keeps what comes for later");
    return this.#pieces;
  }

  #needFast(what: string): void {
    if (this.#peer.fast) return;
    throw new PeerError("PEER_MESSAGE_UNEXPECTED", `${what} without the Fast extension (BEP 6)`);
  }

  /** For messages of BEP 6 that stand for a bitfield. */
  #announceOnce(what: string): Swarm {
    this.#needFast(what);
    if (this.#hasAnnounced)
      throw new PeerError("PEER_MESSAGE_UNEXPECTED", `${what} after the pieces were announced`);
    this.#hasAnnounced = true;
    return this.#openSwarm(what);
  }

  #setInterested(interested: boolean): void {
    const peer = this.#peer;
    if (peer.peerInterested === interested) return;
    peer.peerInterested = interested;
    peer.swarm?.peerInterestChanged(peer);
  }
}
