// Who is here: the connections of one torrent, who may join them, who is dialled, and what is remembered of each peer beyond
// its connection.
//
//   known address ──dialNext()──▶ dialled ──both handshakes, admit()──▶ here ──peerClosed()──▶ gone; dialled again when due
//   incoming connection ────────────────────────admit()──────────────▲
//
// A peer is its network address and its peer id together: the id alone is what a stranger says it is, and whoever claims another's
// must not keep it out, nor have us let it go.
//
// One file, because each way in or out changes the same records, and the bounds on them.
//
// Always: a peer is here once; a peer has a record as long as it is here; a banned one is neither admitted nor dialled; there are
// no more than `maxPeers` here, and no more than `maxConnecting` dialled at one time.

import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { networkOf, scopeOf } from "../../base/network-address.js";
import type { PeerAddress, ReceiveModeName } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { PeerSettings } from "../peer/peer-options.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import { Bans } from "./bans.js";
import { newcomerStays } from "./duplicates.js";
import type { KnownPeer, PeerList } from "./peer-list.js";
import {
  INCOMING_SOURCE,
  PEER_ORIGINS,
  type PeerOrigin,
  type PeerOutcome,
  type PeerSink,
  type PeerSource,
} from "./peer-source.js";
import { Turnover } from "./turnover.js";

const PORT_MAX = 65_535;
/** Of the places of a torrent that misses something: for connections that we began. */
const DIALLED_SHARE = 0.25;
/** A connection that stood so long was no failure, though nothing went over it. */
const STOOD_MS = 60_000;
/** Attempts between two ticks that come to nothing, at addresses that nobody but peers named, while pieces come or nothing is missing. */
const EXCHANGED_PER_TICK = 16;
/** Errors by which a peer shows that it does not speak our protocol. */
const MISBEHAVIOURS: ReadonlySet<string> = new Set([
  "PEER_PROTOCOL_NAME",
  "PEER_MESSAGE_TOO_LONG",
  "PEER_MESSAGE_MALFORMED",
  "PEER_MESSAGE_UNEXPECTED",
  "PEER_PIECE_RANGE",
  "PEER_UNREQUESTED_BLOCK",
  "PEER_BAD_PIECE",
  "PEER_BAD_METADATA",
  "PEER_REQUEST_FLOOD",
]);

/** How a connection ends that stood, and on which nothing was said. */
const WITHOUT_A_WORD: ReadonlySet<string> = new Set(["PEER_CLOSED", "PEER_SOCKET", "PEER_TIMEOUT"]);

/** The torrent and its session, as far as connections go. */
export interface RosterHost {
  readonly isOpen: boolean;
  /** All that is wanted is here. */
  readonly isSeeding: boolean;
  readonly nowMs: number;
  /** Ours. */
  readonly peerId: Uint8Array;
  readonly maxPeers: number;
  /** Connections under way at one time. */
  readonly maxConnecting: number;
  /** Why nobody of an address is to be talked to, as the program says. */
  reasonAgainst(host: string): string | undefined;
  /** True if an address that a stranger named may be connected to: its network has no more connections than it may, and answers. */
  mayDial(host: string): boolean;
  /** Something is missing, and nothing of it has come of late: whoever may have it is looked for as fast as can be. */
  readonly lacksBlocks: boolean;
  /** Begins a connection, whose end is told through peerClosed(), later. Undefined: not now, for want of a descriptor. */
  connect(
    host: string,
    port: number,
    receiveMode: ReceiveModeName | undefined,
    encrypts: boolean,
  ): PeerConnection | undefined;
  /** True if peers may be talked to encrypted or not, as they like. */
  readonly fallsBack: boolean;
  /** It does nothing for what is missing, where that is not blocks. */
  isUnhelpful(peer: PeerConnection): boolean;
  settingsOf(receiveMode: ReceiveModeName): PeerSettings;
  /** Once there was no memory for a peer: whether there is some, for which no other torrent dials. Until expectNoMemory(). */
  expectMemory(): boolean;
  expectNoMemory(): void;
  /** dialNext() has something to do: it is to be called when it is this torrent's turn. */
  wantsToDial(): void;
  /** Nobody is left to try, though no connection ended: those that were named may not be connected to. */
  exhausted(): void;
}

export class Roster implements PeerSink {
  readonly #host: RosterHost;
  readonly #attribution: Attribution;
  readonly #list: PeerList;
  readonly #bans = new Bans();
  readonly #turnover: Turnover;
  readonly #here = new Set<PeerConnection>();
  /** How many of these came by themselves. */
  #incoming = 0;
  /** Those that are here, by the key of their record. */
  readonly #byKey = new Map<string, PeerConnection>();
  /** Connections that we began and that are not here yet. */
  readonly #dialled = new Set<PeerConnection>();
  /** The address that a connection stands for: the one we dialled, or the one at which an incoming peer says it listens. */
  readonly #known = new Map<PeerConnection, KnownPeer>();
  /** Incoming peers whose address was being dialled when they told it. */
  readonly #crossed = new Map<KnownPeer, PeerConnection>();
  readonly #records = new Map<PeerConnection, PeerRecord>();
  /** There was no memory for the last one that would have joined: nobody is dialled for nothing. */
  #lacksMemory = false;
  /** It dials since there is some again. */
  #expectsMemory = false;
  /** Attempts at addresses that nobody but peers named, until the next tick. */
  #exchangedLeft = EXCHANGED_PER_TICK;

  constructor(host: RosterHost, attribution: Attribution, list: PeerList) {
    this.#host = host;
    this.#attribution = attribution;
    this.#list = list;
    this.#turnover = new Turnover((peer) => host.isUnhelpful(peer));
  }

  /** Those that were admitted and have not ended. */
  get here(): ReadonlySet<PeerConnection> {
    return this.#here;
  }

  /** Addresses that are known, connections that are being made, and addresses that are banned. */
  counts(): { known: number; dialled: number; banned: number } {
    return { known: this.#list.size, dialled: this.#dialled.size, banned: this.#bans.size };
  }

  /** Of a peer that is here. */
  recordOf(peer: PeerConnection): PeerRecord | undefined {
    return this.#records.get(peer);
  }

  // ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────

  /** `teller`: the network of whoever named them, where a source is many. */
  bring(source: PeerSource, addresses: readonly PeerAddress[], teller?: string): number {
    const { nowMs } = this.#host;
    const before = this.#list.size;
    for (const address of addresses) if (isDialable(address)) this.#list.add(address, source, nowMs, teller);
    this.#wantToDial();
    return Math.max(0, this.#list.size - before);
  }

  /** One address, to be received from so. */
  add(address: PeerAddress, source: PeerSource, receiveMode: ReceiveModeName | undefined): void {
    const known = this.#list.add(address, source, this.#host.nowMs);
    if (known !== undefined && receiveMode !== undefined) {
      known.receiveMode = receiveMode;
      const choice = this.#host.settingsOf(receiveMode).receiveMode;
      for (const [peer, its] of this.#known) if (its === known) peer.setReceiveMode(choice);
    }
    this.#wantToDial();
    // One that is banned is known, and stays what it is.
    if (known?.state === "banned" && this.#host.isOpen && this.isExhausted) this.#host.exhausted();
  }

  /** Time passed, or the torrent has opened. */
  tick(): void {
    const { isOpen, nowMs } = this.#host;
    this.#exchangedLeft = EXCHANGED_PER_TICK;
    // Whoever comes in asks for a place; an address that we know can only wait for one.
    if (isOpen && this.#isFull && this.#list.hasDue(nowMs, this.#takesExchanged))
      this.#turnover.makeRoomToTry(this.#here, nowMs);
    this.#wantToDial();
  }

  /** Addresses that only such sources named are none of ours. */
  forgetOrigin(origin: PeerOrigin): void {
    this.#list.forgetOrigin(origin);
  }

  /** The torrent has all that it wants: seeds are of no use any more; or it wants more again. */
  setSeeding(isSeeding: boolean): void {
    if (isSeeding) this.#lacksMemory = false;
    this.#list.setSeeding(isSeeding, this.#host.nowMs);
  }

  /** Begins one connection. False if none is due, or no more are wanted. */
  dialNext(): boolean {
    const host = this.#host;
    if (!this.#mayDial || !this.hasMemory()) return false;
    const known = this.#nextWelcome();
    const peer = known && host.connect(known.host, known.port, known.receiveMode, known.encrypts);
    if (known === undefined || peer === undefined) {
      if (known !== undefined) this.#list.putBack(known);
      this.dialEnded();
      return false;
    }
    if (known.originRank === EXCHANGE_RANK) this.#exchangedLeft--;
    peer.source = PEER_ORIGINS[known.originRank] ?? peer.source;
    this.#dialled.add(peer);
    this.#known.set(peer, known);
    return true;
  }

  /** True if nobody is connected or being connected, and nobody known is left to try. */
  get isExhausted(): boolean {
    return this.#here.size === 0 && this.#dialled.size === 0 && this.#list.isExhausted;
  }

  /** A connection that was begun over a stream that was there: it ends as those do that we dialled, and is not dialled again. */
  joins(peer: PeerConnection): void {
    this.#dialled.add(peer);
  }

  // ── connections ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Both handshakes fit: the peer joins. Throws PeerError if it may not. */
  admit(peer: PeerConnection): void {
    const { nowMs } = this.#host;
    const id = peer.peerIdText;
    assert(id !== undefined, "who is admitted has said its handshake");
    if (this.#bans.isBanned(peer.host, id, nowMs))
      throw new PeerError("PEER_BANNED", "the peer sent bad pieces before");
    const key = `${networkOf(peer.host)}|${id}`;
    const other = this.#byKey.get(key);
    if (other?.state === "open") {
      if (!newcomerStays(peer, other, this.#host.peerId, Buffer.from(id, "latin1"), nowMs))
        throw new PeerError("PEER_DUPLICATE", "a connection to this peer exists");
      other.close(new PeerError("PEER_DUPLICATE", "another connection to this peer stays"));
    } else if (!this.#hasPlaceFor(peer) && !this.#turnover.makeRoom(this.#here, nowMs)) {
      throw new PeerError("PEER_TOO_MANY", `the torrent has ${this.#here.size} peers already`);
    }
    this.#lacksMemory = false;
    const record = this.#attribution.record(key, peer.host, peer.port);
    record.connections++;
    this.#records.set(peer, record);
    this.#byKey.set(key, peer);
    this.#dialled.delete(peer);
    this.dialEnded();
    this.#here.add(peer);
    if (peer.incoming) this.#incoming++;
    const known = this.#known.get(peer);
    if (known === undefined) return;
    // Only those that come to nothing count.
    if (!peer.incoming && known.originRank === EXCHANGE_RANK) this.#exchangedLeft++;
    this.#list.connected(known);
  }

  /** False: whoever joined now would find no memory. Else it is kept for that one, where there was none before, until dialEnded(). */
  hasMemory(): boolean {
    if (this.#lacksMemory && !this.#expectsMemory) this.#expectsMemory = this.#host.expectMemory();
    return !this.#lacksMemory || this.#expectsMemory;
  }

  /** Whoever was to have it has joined, or is gone. */
  dialEnded(): void {
    if (!this.#expectsMemory || (this.#lacksMemory && this.#dialled.size > 0)) return;
    this.#expectsMemory = false;
    this.#host.expectNoMemory();
  }

  /** There was no memory for the last one that would have joined. */
  get lacksMemory(): boolean {
    return this.#lacksMemory;
  }

  /** There is no memory for one that would have joined. */
  foundNoMemory(): void {
    this.#lacksMemory = true;
  }

  /** An incoming peer told where it listens: that is the address to dial when it is gone, and not to dial while it is here. */
  peerListens(peer: PeerConnection): void {
    if (!this.#here.has(peer) || !peer.incoming || this.#known.has(peer)) return;
    const known = this.#list.add(
      { host: peer.host, port: peer.listenPort },
      INCOMING_SOURCE,
      this.#host.nowMs,
    );
    if (known === undefined || known.state === "banned" || known.state === "connected") return;
    if (known.state === "connecting") this.#crossed.set(known, peer);
    else this.#standsFor(peer, known);
  }

  /** The connection ended, whether or not it was ever here. */
  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    const record = this.#records.get(peer);
    const wasHere = this.#here.delete(peer);
    if (wasHere && peer.incoming) this.#incoming--;
    if (record !== undefined) {
      record.connections--;
      this.#attribution.peerGone(record);
      this.#records.delete(peer);
      if (this.#byKey.get(record.key) === peer) this.#byKey.delete(record.key);
    }
    this.#dialled.delete(peer);
    this.dialEnded();
    const known = this.#known.get(peer);
    if (known !== undefined) {
      this.#known.delete(peer);
      if (peer.knowsPieces) known.isSeed = peer.pieces.isFull;
      const triesAgain =
        !wasHere && this.#mayLikeItOtherwise(peer, known, error) && this.#list.tryOtherWay(known);
      if (!triesAgain)
        this.#addressEnded(
          known,
          this.#outcomeOf(peer, record, wasHere, error),
          wasHere && peer.amInterested,
        );
    }
    this.#wantToDial();
  }

  /** The record's peer was banned: its connections end, and its address is not dialled. */
  ban(record: PeerRecord, error: PeerError): void {
    const id = record.key.slice(record.key.indexOf("|") + 1);
    this.#bans.ban(record.host, id, this.#host.nowMs);
    const known = this.#list.find(record.host, record.port);
    if (known !== undefined && known.state !== "connecting" && known.state !== "connected")
      this.#list.ban(known);
    this.#byKey.get(record.key)?.close(error);
  }

  /** What is held against peers of an address is forgotten, and they are as good as new. */
  unban(host: string): void {
    this.#bans.lift(host);
    this.#attribution.forgive(host);
    this.#list.unban(host, this.#host.nowMs);
    this.#wantToDial();
  }

  /** Nothing is remembered of an address; connections to it end. */
  forget(address: PeerAddress): void {
    const known = this.#list.find(address.host, address.port);
    if (known === undefined) return;
    const peers = [...this.#known].filter(([, its]) => its === known).map(([peer]) => peer);
    this.#crossed.delete(known);
    this.#list.forget(known);
    for (const peer of peers) {
      this.#known.delete(peer);
      peer.close();
    }
  }

  /** Ends a connection whose address is not tried again until somebody names it. */
  disconnect(peer: PeerConnection): void {
    const known = this.#known.get(peer);
    this.#known.delete(peer);
    if (known !== undefined) this.#list.giveUp(known);
    peer.close();
  }

  /** All connections, present and future, receive so. */
  setReceiveMode(mode: ReceiveModeName): void {
    this.#list.forgetReceiveModes();
    const choice = this.#host.settingsOf(mode).receiveMode;
    for (const peer of this.#all()) peer.setReceiveMode(choice);
  }

  closeAll(): void {
    for (const peer of this.#all()) peer.close();
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  get #mayDial(): boolean {
    return this.#host.isOpen && this.#dialled.size < this.#host.maxConnecting && !this.#isFull;
  }

  /**
   * While pieces come, or nothing is missing, few of those are tried: whoever brings nothing may name thousands that are not there, and
   * each costs as much as dozens of blocks.
   */
  get #takesExchanged(): boolean {
    return this.#exchangedLeft > 0 || this.#host.lacksBlocks;
  }

  get #isFull(): boolean {
    return this.#here.size + this.#dialled.size >= this.#host.maxPeers;
  }

  /** Whoever comes by itself leaves a part of the places to those that we look for, as long as anything is missing. */
  #hasPlaceFor(peer: PeerConnection): boolean {
    const { isSeeding, maxPeers } = this.#host;
    const incomingMax = isSeeding ? maxPeers : maxPeers - Math.floor(DIALLED_SHARE * maxPeers);
    if (peer.incoming && this.#incoming >= incomingMax) return false;
    return this.#here.size < maxPeers;
  }

  /** The next one that may be connected to. Those that may not are not due any more. */
  #nextWelcome(): KnownPeer | undefined {
    const { nowMs } = this.#host;
    const takesExchanged = this.#takesExchanged;
    let known = this.#list.next(nowMs, takesExchanged);
    const hadOne = known !== undefined;
    for (; known !== undefined; known = this.#list.next(nowMs, takesExchanged)) {
      if (this.#bans.isNetworkBanned(known.host, nowMs)) this.#list.ban(known);
      else if (this.#host.reasonAgainst(known.host) !== undefined) this.#list.giveUp(known);
      // Anybody can name thousands of ports of one machine, to have us knock at all of them.
      else if (known.originRank !== USER_RANK && !this.#host.mayDial(known.host))
        this.#list.postpone(known, nowMs);
      else return known;
    }
    if (hadOne && this.isExhausted) this.#host.exhausted();
    return undefined;
  }

  #wantToDial(): void {
    if (this.#mayDial && this.#list.hasDue(this.#host.nowMs, this.#takesExchanged)) this.#host.wantsToDial();
  }

  /** We connected, and were let go before a word of the protocol: it may be the encryption, or the want of it. */
  #mayLikeItOtherwise(peer: PeerConnection, known: KnownPeer, error: PeerError | undefined): boolean {
    if (!this.#host.fallsBack || !this.#host.isOpen || known.state !== "connecting") return false;
    if (peer.counters.receivedBytes > 0 || error === undefined || this.#crossed.has(known)) return false;
    return known.encrypts ? error.code === "PEER_CONNECT_FAILED" : WITHOUT_A_WORD.has(error.code);
  }

  #standsFor(peer: PeerConnection, known: KnownPeer): void {
    this.#list.connected(known);
    this.#known.set(peer, known);
  }

  /** The connection to an address ended; the peer there may have connected to us meanwhile. `hadPieces`: that we miss. */
  #addressEnded(known: KnownPeer, outcome: PeerOutcome, hadPieces: boolean): void {
    const crossed = this.#crossed.get(known);
    this.#crossed.delete(known);
    this.#list.ended(known, outcome, this.#host.nowMs);
    if (crossed !== undefined && this.#here.has(crossed)) this.#standsFor(crossed, known);
    else if (known.originRank === INCOMING_RANK && known.state !== "banned") {
      // Who only said where it listens, and was of no use, is nobody to remember.
      const isPromising = outcome === "useful" || (outcome === "failed" && hadPieces);
      if (!isPromising) this.#list.forget(known);
    }
  }

  #outcomeOf(
    peer: PeerConnection,
    record: PeerRecord | undefined,
    wasHere: boolean,
    error: PeerError | undefined,
  ): PeerOutcome {
    if (record?.banned === true || error?.code === "PEER_BANNED") return "banned";
    if (error?.code === "PEER_SELF") return "self";
    if (error?.code === "PEER_REFUSED") return "refused";
    if (error?.code === "PEER_DUPLICATE") return "duplicate";
    if (error !== undefined && MISBEHAVIOURS.has(error.code)) return "misbehaved";
    // Whichever side was the first to see that there is nothing to do.
    if (this.#host.isSeeding && peer.knowsPieces && peer.pieces.isFull) return "seed";
    if (error?.code === "PEER_USELESS") return "idle";
    if (error?.code === "PEER_TOO_MANY" && this.#lacksMemory) return "crowded";
    const { payloadBytes, sentPayloadBytes } = peer.counters;
    if (payloadBytes + sentPayloadBytes > 0) return "useful";
    const stood = wasHere && this.#host.nowMs - peer.sinceMs >= STOOD_MS;
    return stood || error?.code === "PEER_TOO_MANY" ? "idle" : "failed";
  }

  #all(): Set<PeerConnection> {
    return new Set([...this.#here, ...this.#dialled]);
  }
}

/** False for what leads nowhere, or, as "any" does, to ourselves: strangers name it. */
function isDialable({ host, port }: PeerAddress): boolean {
  return port >= 1 && port <= PORT_MAX && scopeOf(host) !== undefined;
}

const USER_RANK = PEER_ORIGINS.indexOf("user");
const EXCHANGE_RANK = PEER_ORIGINS.indexOf("exchange");
const INCOMING_RANK = PEER_ORIGINS.indexOf("incoming");
