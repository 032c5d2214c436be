// The extension ut_metadata of one torrent (BEP 9): fetches the info dictionary from peers while it is not known, and serves it once
// it is.
//
// Always: nothing is reserved for a length that a peer names, and lengths beyond `infoBytesMax` are not asked for; all that is held
// together is at most twice that. A peer that refuses is asked again after a pause, one that sent a wrong dictionary alone is told to the
// host as a liar. What serving costs is metadata-serving.ts's.

import { PeerError } from "../../base/errors.js";
import type { Timer } from "../../base/ground.js";
import { MIB } from "../../base/limits.js";
import type { ExtensionHandshake } from "../wire/extension.js";
import {
  decodeMetadataMessage,
  encodeMetadataMessage,
  METADATA_MESSAGE_BYTES_MAX,
  MetadataMessageType,
} from "../wire/metadata-message.js";
import type { Extension, ExtensionPeer } from "./extension.js";
import { METADATA_PATIENCE_MS, MetadataAttempt } from "./metadata-attempt.js";
import { MetadataServing, UT_METADATA } from "./metadata-serving.js";

/** Info dictionaries from peers may be so long: 1.6 million pieces, or some hundred thousand files. */
export const METADATA_BYTES_MAX = 32 * MIB;
/** Times `infoBytesMax`, of all lengths that peers name, together: the least promising one goes first. */
const HELD_FACTOR = 2;
/** A peer that refused, or let a deadline pass, is asked again after so long. */
const PAUSE_MS = 30_000;
/** Attempts that are kept though nobody who names their length is here. */
const ATTEMPTS_MAX = 4;

/** The torrent, as far as its info dictionary goes. */
export interface MetadataHost<Peer> {
  readonly nowMs: number;
  /** Calls back once, after so long, when `nowMs` says so. */
  after(ms: number, callback: () => void): Timer;
  /** The bytes, once they are known. */
  readonly info: Uint8Array | undefined;
  /** True if these are the ones. */
  metadataArrived(info: Uint8Array): boolean;
  /** The peer alone sent all of a dictionary that is wrong. */
  lied(peer: Peer, error: PeerError): void;
  /** A piece came. */
  progressed(): void;
}

/** How much of the metadata of a magnet is here (BEP 9). */
export interface MetadataProgress {
  /** Pieces of 16 KiB of the info dictionary that are here, and how many it has; 0 before a peer names its length. */
  readonly pieces: number;
  /** Pieces of 16 KiB that it has, as far as a peer has told; else 0. */
  readonly pieceCount: number;
  /** Peers that have it. */
  readonly peers: number;
}

interface Source {
  readonly length: number;
  pausedUntilMs: number;
}

export class MetadataExchange<Peer extends ExtensionPeer> implements Extension<Peer> {
  readonly name = UT_METADATA;
  readonly bytesMax = METADATA_MESSAGE_BYTES_MAX;
  readonly #host: MetadataHost<Peer>;
  readonly #infoBytesMax: number;
  readonly #attempts = new Map<number, MetadataAttempt<Peer>>();
  readonly #sources = new Map<Peer, Source>();
  readonly #serving: MetadataServing<Peer>;
  /** More are asked when it ends; there is one while anybody may be asked. */
  #patience: Timer | undefined;

  constructor(host: MetadataHost<Peer>, infoBytesMax = METADATA_BYTES_MAX) {
    this.#host = host;
    this.#serving = new MetadataServing(host);
    this.#infoBytesMax = infoBytesMax;
  }

  /** Bytes of pieces that came, of all lengths. */
  get heldBytes(): number {
    let bytes = 0;
    for (const attempt of this.#attempts.values()) bytes += attempt.bytes;
    return bytes;
  }

  /** It has named a length that is asked for. */
  isSource(peer: Peer): boolean {
    return this.#sources.has(peer);
  }

  get progress(): MetadataProgress {
    let best: MetadataAttempt<Peer> | undefined;
    for (const attempt of this.#attempts.values())
      if (best === undefined || attempt.count > best.count) best = attempt;
    let peers = 0;
    for (const { length } of this.#sources.values()) if (length === best?.length) peers++;
    return { pieces: best?.count ?? 0, pieceCount: best?.pieceCount ?? 0, peers };
  }

  handshakeReceived(peer: Peer, handshake: ExtensionHandshake): void {
    const length = handshake.metadataSize;
    if (this.#host.info !== undefined || length === undefined || length > this.#infoBytesMax) return;
    const known = this.#sources.get(peer);
    if (known?.length === length) return;
    if (known !== undefined) this.#forget(peer);
    this.#sources.set(peer, { length, pausedUntilMs: 0 });
    if (!this.#attempts.has(length)) this.#attempts.set(length, new MetadataAttempt(length));
    this.#fill(peer);
    this.#patience ??= this.#host.after(METADATA_PATIENCE_MS, this.#askMore);
  }

  messageReceived(peer: Peer, bytes: Uint8Array, at: number, length: number): void {
    const payload = bytes.subarray(at, at + length);
    const message = decodeMetadataMessage(payload);
    if (message === undefined) return;
    const { type, piece, totalSize, dataAt } = message;
    if (type === MetadataMessageType.request) this.#serving.serve(peer, piece);
    else if (type === MetadataMessageType.reject) this.#refused(peer, piece);
    else this.#received(peer, piece, totalSize, payload.subarray(dataAt));
  }

  peerClosed(peer: Peer): void {
    this.#serving.peerClosed(peer);
    this.#forget(peer);
    this.#fillAll();
  }

  /** Time passed; about once a second. */
  tick(): void {
    this.#serving.tick();
    if (this.#sources.size === 0) return;
    const { nowMs } = this.#host;
    for (const attempt of this.#attempts.values()) for (const peer of attempt.late(nowMs)) this.#pause(peer);
    this.#fillAll();
  }

  drained(peer: Peer): void {
    this.#serving.drained(peer);
  }

  /** It has brought nothing and is asked for nothing: it has none, or has failed lately. */
  isIdle(peer: Peer): boolean {
    const source = this.#sources.get(peer);
    return source === undefined || this.#host.nowMs < source.pausedUntilMs;
  }

  /** It is known, or nobody wants it any more. */
  close(): void {
    this.#attempts.clear();
    this.#sources.clear();
    this.#losePatience();
  }

  readonly #askMore = (): void => {
    this.#patience = undefined;
    if (this.#sources.size === 0) return;
    this.#fillAll();
    this.#patience = this.#host.after(METADATA_PATIENCE_MS, this.#askMore);
  };

  #losePatience(): void {
    this.#patience?.close();
    this.#patience = undefined;
  }

  /** Those that wait for longest first: whoever came just now has no turn before them. */
  #fillAll(): void {
    for (const each of this.#sources.keys()) this.#fill(each);
  }

  #fill(peer: Peer): void {
    const source = this.#sources.get(peer);
    const { nowMs } = this.#host;
    if (source === undefined || nowMs < source.pausedUntilMs) return;
    const attempt = this.#attempts.get(source.length);
    if (attempt === undefined) return;
    for (let piece = attempt.ask(peer, nowMs); piece >= 0; piece = attempt.ask(peer, nowMs)) {
      const request = encodeMetadataMessage(MetadataMessageType.request, piece);
      if (peer.sendExtended(UT_METADATA, request)) continue;
      attempt.peerGone(peer);
      return;
    }
  }

  #received(peer: Peer, piece: number, totalSize: number | undefined, data: Uint8Array): void {
    // Somebody else may have brought it.
    if (this.#host.info !== undefined) this.close();
    const source = this.#sources.get(peer);
    const attempt = source === undefined ? undefined : this.#attempts.get(source.length);
    if (source === undefined || attempt === undefined) return;
    if (totalSize !== undefined && totalSize !== source.length) {
      const expected = `${source.length} bytes as its handshake says`;
      throw new PeerError("PEER_MESSAGE_MALFORMED", "metadata of another length", {
        expected,
        received: `${totalSize}`,
      });
    }
    if (!attempt.received(peer, piece, data, this.#host.nowMs)) return;
    const whole = attempt.wholeOf(peer);
    if (whole === undefined) {
      this.#makeRoom(attempt);
      this.#host.progressed();
      this.#fill(peer);
      return;
    }
    if (this.#host.metadataArrived(whole)) {
      this.close();
      return;
    }
    const liar = attempt.wasWrong(peer);
    if (liar !== undefined) {
      this.#forget(liar);
      this.#host.lied(
        liar,
        new PeerError("PEER_BAD_METADATA", "sent an info dictionary with another digest than the info hash"),
      );
    }
    this.#fillAll();
  }

  #refused(peer: Peer, piece: number): void {
    const source = this.#sources.get(peer);
    if (source === undefined || this.#attempts.get(source.length)?.refused(peer, piece) !== true) return;
    this.#pause(peer);
    this.#fillAll();
  }

  #pause(peer: Peer): void {
    const source = this.#sources.get(peer);
    if (source === undefined) return;
    source.pausedUntilMs = this.#host.nowMs + PAUSE_MS;
    // Whoever failed comes after all others: four that say nothing would else take turns, and nobody behind them ever had one.
    this.#sources.delete(peer);
    this.#sources.set(peer, source);
  }

  #forget(peer: Peer): void {
    const source = this.#sources.get(peer);
    if (source === undefined) return;
    this.#sources.delete(peer);
    if (this.#sources.size === 0) this.#losePatience();
    this.#attempts.get(source.length)?.peerGone(peer);
    for (const { length } of this.#sources.values()) if (length === source.length) return;
    // What it brought stays, as long as that is little: it may be all right, and the next one goes on.
    if (this.#attempts.size > ATTEMPTS_MAX || this.#attempts.get(source.length)?.count === 0)
      this.#attempts.delete(source.length);
  }

  /** So much is held that an attempt has to go: the one with the fewest peers, but not the one that just went on. */
  #makeRoom(kept: MetadataAttempt<Peer>): void {
    let held = this.heldBytes;
    while (held > HELD_FACTOR * this.#infoBytesMax) {
      const [worst] = [...this.#attempts.values()]
        .filter((attempt) => attempt !== kept && attempt.bytes > 0)
        .sort((a, b) => this.#peersOf(a) - this.#peersOf(b));
      if (worst === undefined) return;
      held -= worst.bytes;
      this.#attempts.set(worst.length, new MetadataAttempt(worst.length));
    }
  }

  #peersOf(attempt: MetadataAttempt<Peer>): number {
    let count = 0;
    for (const { length } of this.#sources.values()) if (length === attempt.length) count++;
    return count;
  }
}
