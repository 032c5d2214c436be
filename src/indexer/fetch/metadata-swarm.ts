// One torrent of which nothing is wanted but its info dictionary, as connections see it: a swarm without pieces. It has addresses to try,
// some connections at once, and ends when the dictionary is there, when nobody is left who might have it, or when its time is over.
//
// Always: addresses, connections, attempts and time are bounded. A connection that is open and brings nothing is let go, and so is one that
// does not have the dictionary. Nothing is told when it has ended, and what still comes in is refused.

import { createHash } from "node:crypto";
import { AssertionError } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import type { Timer } from "../../base/ground.js";
import { PieceSet } from "../../base/piece-set.js";
import { type RateControl, RateLimits } from "../../base/rate-limit.js";
import { ExtensionTable } from "../../client/extensions/extension.js";
import { MetadataExchange, type MetadataHost } from "../../client/extensions/metadata-exchange.js";
import type { PeerConnection } from "../../client/peer/peer-connection.js";
import type { Swarm } from "../../client/peer/swarm.js";
import type { UploadPlace } from "../../client/send/sender.js";
import type { Dialer } from "../../client/torrent/engine-room.js";
import type { ExtensionHandshake } from "../../client/wire/extension.js";
import type { SocketAddress } from "../../native/binding.js";
import type { FetcherCounters } from "./fetcher-counters.js";

/** Addresses that are kept of one torrent, tried or not: what a lookup finds of a large swarm is far more than anybody needs. */
const ADDRESSES_MAX = 64;
const CONNECTIONS_MAX = 5;
/** Time of the whole; and of a connection that is open and has brought nothing since. */
const FETCH_MS = 60_000;
const PEER_MS = 12_000;
const NO_PIECES = new PieceSet(0);

/** Whoever keeps the connections of all fetches. */
export interface SwarmRoom {
  readonly nowMs: number;
  /** Calls back once, after so long, in a turn of its own. */
  after(ms: number, callback: () => void): Timer;
  readonly infoBytesMax: number;
  readonly rateControl: RateControl;
  readonly counters: FetcherCounters;
  /** Begins a connection; undefined: there is no room for it now; "refused": this address is not connected to. */
  connect(
    address: SocketAddress,
    swarm: MetadataSwarm,
    encrypts: boolean,
  ): PeerConnection | "refused" | undefined;
  /** Asks for dialNext() when there is room. */
  dial(swarm: MetadataSwarm): void;
  /** A piece of somebody's dictionary came. */
  progressed(): void;
  ended(swarm: MetadataSwarm, info: Uint8Array | undefined): void;
}

interface Address extends SocketAddress {
  readonly encrypts: boolean;
}

export class MetadataSwarm implements Swarm, Dialer {
  readonly infoHash: Uint8Array;
  readonly info = undefined;
  readonly layout = undefined;
  readonly blocks = undefined;
  readonly isUploadOnly = false;
  readonly have = NO_PIECES;
  readonly dhtPort = 0;
  readonly announcementsWaiting = 0;
  readonly rateLimits = new RateLimits();
  readonly extensions: ExtensionTable<PeerConnection>;
  readonly startedMs: number;
  readonly #room: SwarmRoom;
  readonly #exchange: MetadataExchange<PeerConnection>;
  readonly #here = new Set<PeerConnection>();
  /** Of those that are open: when they brought something last, or opened. */
  readonly #broughtMs = new Map<PeerConnection, number>();
  readonly #known = new Set<string>();
  readonly #waiting: Address[] = [];
  /** Peers that were begun with, and how: who closed before it said a word may want encryption. */
  readonly #plain = new Map<PeerConnection, SocketAddress>();
  #mayCome: boolean;
  #isOver = false;

  /** `mayCome`: more addresses may follow, or connections by themselves: it does not end for want of them before noMore(). */
  constructor(room: SwarmRoom, infoHash: Uint8Array, mayCome: boolean) {
    this.#room = room;
    this.infoHash = infoHash;
    this.#mayCome = mayCome;
    this.startedMs = room.nowMs;
    this.#exchange = new WantedMetadata(
      {
        get nowMs() {
          return room.nowMs;
        },
        after: (ms, callback) => room.after(ms, callback),
        info: undefined,
        metadataArrived: (info) => this.metadataArrived(info),
        lied: (peer, error) => {
          room.counters.lied++;
          peer.close(error);
        },
        progressed: () => this.#progressed(),
      },
      room.infoBytesMax,
      room.counters,
    );
    this.extensions = new ExtensionTable<PeerConnection>([this.#exchange]);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Memory of what came so far. */
  get heldBytes(): number {
    return this.#exchange.heldBytes;
  }

  /** An address that somebody told of. */
  add(address: SocketAddress): void {
    const key = `${address.host} ${address.port}`;
    if (this.#isOver || this.#known.has(key)) return;
    if (this.#known.size >= ADDRESSES_MAX) {
      this.#room.counters.addressesTooMany++;
      return;
    }
    this.#known.add(key);
    this.#waiting.push({ ...address, encrypts: false });
    this.#room.dial(this);
  }

  /** Nobody will tell of more addresses. */
  noMore(): void {
    this.#mayCome = false;
    this.#endIfExhausted();
  }

  tick(elapsedMs: number): void {
    const { nowMs } = this.#room;
    if (nowMs - this.startedMs > FETCH_MS) {
      this.#room.counters.expired++;
      this.end(undefined);
      return;
    }
    this.#exchange.tick();
    for (const peer of [...this.#here]) {
      peer.tick(elapsedMs);
      const broughtMs = this.#broughtMs.get(peer);
      if (broughtMs === undefined || nowMs - broughtMs <= PEER_MS) continue;
      this.#room.counters.silent++;
      peer.close(new PeerError("PEER_TIMEOUT", "it brings no metadata"));
    }
  }

  /** Closes all connections; told once. */
  end(info: Uint8Array | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#exchange.close();
    this.#waiting.length = 0;
    for (const peer of [...this.#here]) peer.close();
    this.#room.ended(this, info);
  }

  // ── Dialer ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** True if it wants another turn. */
  dialNext(): boolean {
    if (this.#isOver || this.#here.size >= CONNECTIONS_MAX) return false;
    const address = this.#waiting.shift();
    if (address === undefined) return false;
    const peer = this.#room.connect(address, this, address.encrypts);
    if (peer === undefined) {
      this.#waiting.unshift(address);
      return false;
    }
    if (peer !== "refused") {
      this.#here.add(peer);
      if (!address.encrypts) this.#plain.set(peer, address);
    }
    this.#endIfExhausted();
    return this.#waiting.length > 0;
  }

  // ── Swarm ────────────────────────────────────────────────────────────────────────────────────────────────────

  metadataArrived(info: Uint8Array): boolean {
    if (this.#isOver || !isInfoOf(info, this.infoHash)) return false;
    this.end(info);
    return true;
  }

  admit(peer: PeerConnection): void {
    if (this.#isOver) throw new PeerError("PEER_UNKNOWN_INFO_HASH", "its metadata is not wanted any more");
    if (peer.incoming && this.#here.size >= CONNECTIONS_MAX)
      throw new PeerError("PEER_TOO_MANY", "enough others bring its metadata");
    this.#here.add(peer);
  }

  peerOpened(peer: PeerConnection): void {
    this.#plain.delete(peer);
    this.#broughtMs.set(peer, this.#room.nowMs);
    if (!peer.extended) peer.close(new PeerError("PEER_USELESS", "it speaks no extensions"));
  }

  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    if (!this.#here.delete(peer)) return;
    this.#broughtMs.delete(peer);
    const plain = this.#plain.get(peer);
    this.#plain.delete(peer);
    if (this.#isOver) return;
    // It let us go without a word: some speak in cipher only.
    const isMute = plain !== undefined && peer.counters.receivedBytes === 0;
    if (isMute && (error?.code === "PEER_CLOSED" || error?.code === "PEER_SOCKET"))
      this.#waiting.push({ ...plain, encrypts: true });
    this.#room.dial(this);
    this.#endIfExhausted();
  }

  get rateControl(): RateControl {
    return this.#room.rateControl;
  }

  get uploadPlace(): UploadPlace {
    throw new AssertionError("nobody is served of a torrent without pieces");
  }

  peerListens(): void {}
  dhtNodeTold(): void {}
  peerAnnounced(): void {}
  peerWithdrew(): void {}
  isInteresting(): boolean {
    return false;
  }
  isMissing(): boolean {
    return false;
  }
  peerInterestChanged(): void {}
  uploadFailed(): void {}
  storageFaulted(): void {}
  uploadFaulted(): void {}

  #progressed(): void {
    const { nowMs } = this.#room;
    // Pieces have no sender here; whoever is a source shares in what the whole brings, until the time of the whole is over.
    for (const peer of this.#broughtMs.keys())
      if (this.#exchange.isSource(peer)) this.#broughtMs.set(peer, nowMs);
    this.#room.progressed();
  }

  #endIfExhausted(): void {
    if (!this.#mayCome && this.#here.size === 0 && this.#waiting.length === 0) this.end(undefined);
  }
}

/** Whoever has it not, or one of another length than may be, is of no use. */
class WantedMetadata extends MetadataExchange<PeerConnection> {
  readonly #counters: FetcherCounters;

  constructor(host: MetadataHost<PeerConnection>, infoBytesMax: number, counters: FetcherCounters) {
    super(host, infoBytesMax);
    this.#counters = counters;
  }

  override handshakeReceived(peer: PeerConnection, handshake: ExtensionHandshake): void {
    super.handshakeReceived(peer, handshake);
    if (this.isSource(peer)) return;
    this.#counters.useless++;
    peer.close(new PeerError("PEER_USELESS", "it has no metadata that is wanted"));
  }
}

/** By SHA-1; of a torrent of version 2 (BEP 52) the hash is the first 20 bytes of a SHA-256. */
function isInfoOf(info: Uint8Array, infoHash: Uint8Array): boolean {
  if (createHash("sha1").update(info).digest().equals(infoHash)) return true;
  return createHash("sha256").update(info).digest().subarray(0, infoHash.length).equals(infoHash);
}
