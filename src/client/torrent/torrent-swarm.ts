// Who is here of one torrent: its connections, who may join them and who is served, what is exchanged with them besides blocks, and
// what the program sees of them. What blocks are asked for and where they go is the content's.
//
// Until the content is open, connections know neither how many pieces there are nor what we have: `layout` is undefined, and what peers
// announce waits with them (peer/early-announcements.ts).
//
// It is long because the contract of a swarm is: each of its methods hands on to a part.
//
// Always: it changes no state of the torrent, and knows none but whether it is open, or over.

import type { Duplex } from "node:stream";
import { assert, present } from "../../base/assert.js";
import { PeerError, type StorageError } from "../../base/errors.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import { networkOf } from "../../base/network-address.js";
import { PieceSet } from "../../base/piece-set.js";
import { type RateControl, type RateLimitChange, RateLimits } from "../../base/rate-limit.js";
import { throwAsUncaught } from "../../base/user-calls.js";
import type { TurnHook } from "../../native/reactor.js";
import { ExtensionTable } from "../extensions/extension.js";
import {
  MetadataExchange,
  type MetadataHost,
  type MetadataProgress,
} from "../extensions/metadata-exchange.js";
import { type ExchangeHost, PeerExchange } from "../extensions/peer-exchange.js";
import { DontHave, UploadOnly } from "../extensions/small-extensions.js";
import type { Connection, PeerAddress, PeerInfo, ReceiveModeName, TorrentEvents } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Swarm, SwarmBlocks } from "../peer/swarm.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import type { UploadPlace } from "../send/sender.js";
import type { Layout } from "../storage/layout.js";
import type { ByteStream } from "../stream/byte-stream.js";
import { describePeerId } from "../wire/handshake.js";
import { Aims } from "./aims.js";
import { Attribution, type PeerRecord } from "./attribution.js";
import type { TorrentContent } from "./content.js";
import type { Dialer, EngineRoom } from "./engine-room.js";
import { type HandleOwner, PeerHandle } from "./peer-handle.js";
import { describePeer } from "./peer-info.js";
import { PeerList } from "./peer-list.js";
import { EXCHANGE_SOURCE, type PeerSource, type StreamParts, USER_SOURCE } from "./peer-source.js";
import { ReadWarnings } from "./read-warnings.js";
import { RESERVED_SLOTS } from "./reserved-slots.js";
import { Roster, type RosterHost } from "./roster.js";
import { SuperSeed } from "./super-seed.js";
import { UploadRounds } from "./upload-rounds.js";

/** Connections before the metadata is there, each of which may keep a bitfield for later: 32 MiB in all. */
const PEERS_BEFORE_METADATA_MAX = 64;
/** So long no piece became right where blocks are lacking. */
const LACKING_MS = 5000;
const NO_PIECES = new PieceSet(0);

/** The torrent, as far as its connections go. */
export interface SwarmHost {
  readonly infoHash: Uint8Array;
  readonly room: EngineRoom;
  /** How peers are received from, unless the session's way. */
  readonly receiveMode: ReceiveModeName | undefined;
  /** Undefined while nobody knows: nobody is told of anybody then. */
  readonly isPrivate: boolean | undefined;
  /** What its connections may move in a second, at first. */
  readonly rateLimits: RateLimitChange;
  readonly maxPeers: number;
  /** The option superSeeding. */
  readonly superSeeding: boolean;
  /** Connections may join. */
  readonly isOpen: boolean;
  /** Failed or closed. */
  readonly isOver: boolean;
  /** What the torrent holds, once that is open. */
  readonly content: TorrentContent | undefined;
  readonly info: Uint8Array | undefined;
  metadataArrived(info: Uint8Array): boolean;
  /** True if anybody would be told of such an event now. */
  hears(name: keyof TorrentEvents): boolean;
  tell<Name extends keyof TorrentEvents>(name: Name, ...args: TorrentEvents[Name]): void;
  warn(text: string): void;
  fail(error: Error): void;
}

export class TorrentSwarm implements Swarm, HandleOwner, Dialer {
  readonly infoHash: Uint8Array;
  readonly attribution: Attribution;
  readonly extensions: ExtensionTable<PeerConnection>;
  readonly #host: SwarmHost;
  readonly #room: EngineRoom;
  #isPrivate: boolean | undefined;
  readonly #metadata: MetadataExchange<PeerConnection>;
  readonly #exchange: PeerExchange<PeerConnection>;
  readonly #uploadOnly = new UploadOnly<PeerConnection>();
  readonly #rounds: UploadRounds;
  /** Those whose uploads stir, while the tick goes on that found them. */
  readonly #stirring: PeerConnection[] = [];
  readonly #roster: Roster;
  readonly #endedCounters = makeCounters();
  /** Peers that are no addresses: who is told when they leave. */
  readonly rateLimits = new RateLimits();
  readonly #joined = new Map<PeerConnection, (error: PeerError | undefined, lackedMemory: boolean) => void>();
  readonly #handles = new WeakMap<PeerConnection, PeerHandle>();
  #receiveMode: ReceiveModeName | undefined;
  readonly #readWarnings: ReadWarnings;
  /** While pieces are shown one by one (BEP 16). */
  #superSeed: SuperSeed | undefined;
  /** Pieces that were verified at the last tick, and when there was one more. */
  #verified = 0;
  #verifiedMs = Number.NEGATIVE_INFINITY;
  readonly #aims = new Aims();
  #roundAsked = false;
  readonly #earlyRound: TurnHook = {
    turnEnded: () => {
      this.#roundAsked = false;
      if (this.#host.isOpen) this.#runRounds(true);
    },
  };

  constructor(host: SwarmHost) {
    const { room } = host;
    const { random } = room.reactor.ground;
    this.infoHash = host.infoHash;
    this.#host = host;
    this.#isPrivate = host.isPrivate;
    this.#room = room;
    this.#receiveMode = host.receiveMode;
    this.rateControl.change(this.rateLimits, host.rateLimits);
    this.#readWarnings = new ReadWarnings((text) => host.warn(text));
    this.attribution = new Attribution({ requestTimeoutMs: room.peerSettings(undefined).requestTimeoutMs });
    this.#rounds = new UploadRounds(room.uploadSlots, random);
    this.#roster = new Roster(this.#rosterHost(), this.attribution, new PeerList({ random }));
    this.#metadata = new MetadataExchange(this.#metadataHost());
    this.#exchange = this.#makeExchange();
    this.extensions = new ExtensionTable<PeerConnection>([
      this.#metadata,
      this.#exchange,
      new DontHave(),
      this.#uploadOnly,
    ]);
  }

  // ── the torrent ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Those that are here. */
  get here(): ReadonlySet<PeerConnection> {
    return this.#roster.here;
  }

  /** Of those that are here, how many have everything. */
  get seedCount(): number {
    let count = 0;
    for (const peer of this.here) if (peer.knowsPieces && peer.pieces.isFull) count++;
    return count;
  }

  get metadataProgress(): MetadataProgress {
    return this.#metadata.progress;
  }

  recordOf(peer: PeerConnection): PeerRecord | undefined {
    return this.#roster.recordOf(peer);
  }

  /** Addresses that are known, connections that are being made, and addresses that are banned. */
  addressCounts(): ReturnType<Roster["counts"]> {
    return this.#roster.counts();
  }

  /** An address that the user names, to be received from so. */
  add(address: PeerAddress, receiveMode: ReceiveModeName | undefined): void {
    this.#roster.add(address, USER_SOURCE, receiveMode);
  }

  /** A peer at the other end of a stream of the program's. Why it cannot join is told as the end of a connection is. */
  addStream(duplex: Duplex, receiveMode: ReceiveModeName | undefined): void {
    const settings = this.#room.peerSettings(receiveMode ?? this.#receiveMode);
    const refused = (address: PeerAddress, error: PeerError): void =>
      this.#host.tell("peerDisconnected", address, error);
    const peer = this.#room.connectStream(duplex, this, settings, refused);
    if (peer === undefined) return;
    peer.source = USER_SOURCE.origin;
    this.#roster.joins(peer);
  }

  /** Returns how many of them were new. */
  bring(source: PeerSource, addresses: readonly PeerAddress[]): number {
    return this.#roster.bring(source, addresses);
  }

  /** Nothing is remembered of an address, and a connection to it ends. */
  forget(address: PeerAddress): void {
    this.#roster.forget(address);
  }

  /** What is held against peers of an address is forgotten. */
  unban(host: string): void {
    this.#roster.unban(host);
  }

  peers(): PeerInfo[] {
    return [...this.here].map(describePeer);
  }

  connections(): Connection[] {
    return [...this.here].map((peer) => this.#handleOf(peer));
  }

  /** Sums over all connections, ended ones included. */
  counters(): TransferCounters {
    const sum = { ...this.#endedCounters };
    for (const peer of this.here) addCounters(sum, peer.counters);
    return sum;
  }

  /** Bytes per second of all together. */
  rates(): { downloadRate: number; uploadRate: number } {
    let [downloadRate, uploadRate] = [0, 0];
    for (const peer of this.here) {
      downloadRate += peer.downloadRate;
      uploadRate += peer.uploadRate;
    }
    return { downloadRate, uploadRate };
  }

  setRateLimits(change: RateLimitChange): void {
    this.rateControl.change(this.rateLimits, change);
    for (const peer of this.here) peer.rateLimitsChanged();
  }

  setReceiveMode(mode: ReceiveModeName): void {
    this.#receiveMode = mode;
    this.#roster.setReceiveMode(mode);
  }

  /** Time passed; about once a second. */
  tick(elapsedMs: number): void {
    const isSatisfied = this.#isSatisfied;
    this.#lookWhetherPiecesCome();
    this.#metadata.tick();
    this.#exchange.tick();
    const stirring = this.#stirring;
    stirring.length = 0;
    for (const peer of this.here) {
      peer.tick(elapsedMs);
      if (isSatisfied && peer.state === "open" && peer.knowsPieces && peer.pieces.isFull)
        peer.close(new PeerError("PEER_USELESS", "both sides have everything"));
      if (peer.uploads.isStirring && peer.state !== "closed") stirring.push(peer);
    }
    if (this.#host.content !== undefined) this.#runRounds(false, stirring);
    stirring.length = 0;
    if (this.#aims.isDue(this.#room.clock.nowMs)) this.#makeWay();
    if (this.#superSeed !== undefined) {
      const shown = [...this.here].filter((peer) => peer.revealed !== undefined && peer.state === "open");
      this.#superSeed.tick(shown, this.#room.clock.nowMs);
      this.#stopHiding();
    }
  }

  /** Time passed, or the torrent has opened: looks whether anybody is to be dialled. */
  dialMore(): void {
    this.#roster.tick();
  }

  /** The metadata is there, and who has none may have it of us. */
  metadataKnown(isPrivate: boolean): void {
    this.#isPrivate = isPrivate;
    this.#exchange.decide(isPrivate);
    if (isPrivate) this.#roster.forgetOrigin("exchange");
    for (const peer of this.here) peer.repeatExtensionHandshake();
  }

  /** The content is open: what was announced is looked at, and peers hear what we have. */
  layoutKnown(): void {
    const { content, superSeeding } = this.#host;
    // Who had to fetch some of it is not the only one who has it.
    this.#superSeed =
      superSeeding && content?.offered.isFull === true ? this.#makeSuperSeed(content) : undefined;
    for (const peer of this.here) peer.layoutKnown();
  }

  /** All that is wanted is here; or more is wanted again. */
  setSeeding(isSeeding: boolean): void {
    this.#roster.setSeeding(isSeeding);
    for (const peer of this.here) {
      peer.updateInterest();
      this.#uploadOnly.tell(peer, isSeeding && !this.hidesPieces);
    }
  }

  /** Urgent pieces are others than they were: peers that have one are asked for it before what they were asked for already. */
  aimedAnew(): void {
    if (this.#aims.changed(this.#room.clock.nowMs)) this.#makeWay();
  }

  #makeWay(): void {
    const { wanted } = this.#host.content ?? {};
    if (wanted === undefined) return;
    const urgent = new Set(wanted.urgent.filter((piece) => wanted.missing.has(piece)));
    if (urgent.size > 0) for (const peer of this.here) peer.makeWay(urgent);
  }

  wantedChanged(): void {
    for (const peer of this.here) peer.wantedChanged();
  }

  ban(record: PeerRecord, error: PeerError): void {
    this.#host.tell("peerBanned", { host: record.host, port: record.port }, error);
    this.#roster.ban(record, error);
  }

  closeAll(): void {
    this.#roster.closeAll();
  }

  checkInvariants(): void {
    this.#superSeed?.checkInvariants();
    this.#rounds.checkInvariants();
  }

  // ── Dialer ───────────────────────────────────────────────────────────────────────────────────────────────────

  dialNext(): boolean {
    return this.#roster.dialNext();
  }

  // ── Swarm ────────────────────────────────────────────────────────────────────────────────────────────────────

  get info(): Uint8Array | undefined {
    return this.#host.info;
  }

  metadataArrived(info: Uint8Array): boolean {
    return this.#host.metadataArrived(info);
  }

  get rateControl(): RateControl {
    return this.#room.rateControl;
  }

  get layout(): Layout | undefined {
    return this.#host.content?.layout;
  }

  get blocks(): SwarmBlocks | undefined {
    return this.#host.content;
  }

  get have(): PieceSet {
    return this.#host.content?.offered ?? NO_PIECES;
  }

  get dhtPort(): number {
    return this.#isPrivate === false ? (this.#room.dht?.addresses[0]?.port ?? 0) : 0;
  }

  dhtNodeTold(host: string, port: number): void {
    if (this.dhtPort === 0 || port === 0) return;
    try {
      this.#room.dht?.addNodes([{ host, port }]);
    } catch (error) {
      // It is the program's: what it throws is told to the program, and the peer's next message is read.
      throwAsUncaught(error);
    }
  }

  get isUploadOnly(): boolean {
    return this.#host.content?.wantsNothing === true && !this.hidesPieces;
  }

  get hidesPieces(): boolean {
    return this.#superSeed !== undefined;
  }

  get uploadPlace(): UploadPlace {
    const place = this.#host.content?.uploadPlace;
    assert(place !== undefined, "data is asked for once storage is open");
    return place;
  }

  get announcementsWaiting(): number {
    return this.#host.content?.announcementsWaiting ?? 0;
  }

  admit(peer: PeerConnection): void {
    const { isOpen, content } = this.#host;
    const { host, port, incoming, isEncrypted } = peer;
    if (!isOpen) throw new PeerError("PEER_UNKNOWN_INFO_HASH", "the torrent is not open yet");
    // Seeding takes no slot of the pool, and neither does a download without peers.
    if (content?.prepare() === false) {
      this.#roster.foundNoMemory();
      throw new PeerError("PEER_TOO_MANY", "other downloads have all the memory that there is for it");
    }
    const isWebSeed = this.#joined.has(peer);
    const isAdmitted =
      isWebSeed ||
      this.#room.admits(() => {
        const peerId = present(peer.peerId, "who is admitted has said its handshake");
        return {
          infoHash: this.infoHash.slice(),
          peerId,
          address: { host, port },
          incoming,
          encrypted: isEncrypted,
          client: describePeerId(peerId),
        };
      });
    if (!isAdmitted) throw new PeerError("PEER_REFUSED", "the program does not admit it");
    this.#roster.admit(peer);
  }

  peerOpened(peer: PeerConnection): void {
    // Which torrent an incoming connection is for is known only now.
    if (peer.incoming && this.#receiveMode !== undefined)
      peer.setReceiveMode(this.receiveModeChoice(this.#receiveMode));
    this.#exchange.peerReachable(peer);
    // A handle is memory for as long as the connection lasts, and nobody may ever ask for it.
    if (this.#host.hears("peerConnected"))
      this.#host.tell("peerConnected", describePeer(peer), this.#handleOf(peer));
  }

  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    const host = this.#host;
    host.content?.peerGone(peer);
    this.#superSeed?.peerGone(peer);
    this.#exchange.peerClosed(peer);
    this.#roster.peerClosed(peer, error);
    const lackedMemory = error?.code === "PEER_TOO_MANY" && this.#roster.lacksMemory;
    this.#joined.get(peer)?.(error, lackedMemory);
    this.#joined.delete(peer);
    addCounters(this.#endedCounters, peer.counters);
    this.#room.countersEnded(peer.counters);
    this.#rounds.peerGone(peer);
    if (host.isOver) return;
    host.tell("peerDisconnected", { host: peer.host, port: peer.port }, error);
    if (this.#roster.isExhausted) host.tell("outOfPeers");
  }

  /** See JoiningTorrent. */
  join(
    name: string,
    make: (parts: StreamParts) => ByteStream,
    ended: (error: PeerError | undefined, lackedMemory: boolean) => void,
  ): boolean {
    if (!this.#roster.hasMemory()) return false;
    const peer = this.#room.connectOver(name, make, this, this.#room.peerSettings(this.#receiveMode));
    if (peer === undefined) this.#roster.dialEnded();
    else this.#joined.set(peer, ended);
    return peer !== undefined;
  }

  peerListens(peer: PeerConnection): void {
    this.#roster.peerListens(peer);
    this.#exchange.peerReachable(peer);
  }

  peerAnnounced(peer: PeerConnection, piece: number): void {
    this.#host.content?.peerAnnounced(peer, piece);
    if (this.#superSeed === undefined || peer.revealed === undefined) return;
    this.#superSeed.peerAnnounced(peer, piece, this.#room.clock.nowMs);
    this.#stopHiding();
  }

  peerWithdrew(peer: PeerConnection, piece: number): void {
    this.#host.content?.peerWithdrew(peer, piece);
  }

  isInteresting(peer: PeerConnection): boolean {
    return this.#host.content?.isInteresting(peer) === true;
  }

  isMissing(piece: number): boolean {
    return this.#host.content?.wanted.missing.has(piece) === true;
  }

  peerInterestChanged(peer: PeerConnection): void {
    if (this.#host.content === undefined || this.#rounds.welcome(peer, this.#room.clock.nowMs)) return;
    if (this.#roundAsked || !this.#rounds.isSoon(peer)) return;
    this.#roundAsked = true;
    this.#room.reactor.atTurnEnd(this.#earlyRound);
  }

  givesFreely({ host }: PeerConnection, bytes: number): boolean {
    return this.#rounds.sentBefore(host) < bytes;
  }

  blockSent(peer: PeerConnection, piece: number, length: number): void {
    this.#superSeed?.blockSent(peer, piece, length, this.#room.clock.nowMs);
    this.#stopHiding();
  }

  uploadFailed(_peer: PeerConnection, error: StorageError): void {
    this.#readWarnings.failed(error, this.#room.clock.nowMs);
  }

  storageFaulted(error: StorageError): void {
    this.#host.fail(error);
  }

  uploadFaulted(error: StorageError): void {
    this.#host.content?.sourceFaulted();
    this.#host.warn(`${error.message}: from now on blocks are read before they are sent`);
  }

  // ── HandleOwner ──────────────────────────────────────────────────────────────────────────────────────────────

  get nowMs(): number {
    return this.#room.clock.nowMs;
  }

  receiveModeChoice(mode: ReceiveModeName): ReceiveModeChoice {
    return this.#room.peerSettings(mode).receiveMode;
  }

  disconnect(peer: PeerConnection): void {
    this.#roster.disconnect(peer);
  }

  #handleOf(peer: PeerConnection): PeerHandle {
    let handle = this.#handles.get(peer);
    if (handle === undefined) {
      handle = new PeerHandle(peer, this, this.#room.userCalls);
      this.#handles.set(peer, handle);
    }
    return handle;
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #lookWhetherPiecesCome(): void {
    const verified = this.#host.content?.have.count ?? 0;
    if (verified > this.#verified) this.#verifiedMs = this.#room.clock.nowMs;
    this.#verified = verified;
  }

  get #isSatisfied(): boolean {
    return this.#host.content?.wanted.isSatisfied === true;
  }

  #makeSuperSeed(content: TorrentContent): SuperSeed {
    const { layout } = content;
    const { pieceCount, pieceLength } = layout;
    return new SuperSeed({
      pieceCount,
      pieceLength,
      pieceLengthOf: (piece) => layout.pieceLengthOf(piece),
      random: this.#room.reactor.ground.random,
    });
  }

  /** Once there is nothing to hold back any more, the torrent seeds like any other. */
  #stopHiding(): void {
    if (this.#superSeed?.isOver !== true) return;
    this.#superSeed = undefined;
    const { have } = this;
    for (const peer of this.here) {
      if (peer.state !== "open" || peer.revealed === undefined) continue;
      peer.revealAll(have);
      this.#uploadOnly.tell(peer, this.isUploadOnly);
    }
  }

  #runRounds(soon: boolean, stirring?: readonly PeerConnection[]): void {
    this.#rounds.run(this.here, this.#isSatisfied, this.#room.clock.nowMs, soon, stirring);
  }

  #rosterHost(): RosterHost {
    const room = this.#room;
    const host = this.#host;
    const isSatisfied = (): boolean => this.#isSatisfied;
    const lacksBlocks = (): boolean => !this.#isSatisfied && room.clock.nowMs - this.#verifiedMs > LACKING_MS;
    return {
      get lacksBlocks() {
        return lacksBlocks();
      },
      get isOpen() {
        return host.isOpen;
      },
      get isSeeding() {
        return isSatisfied();
      },
      get nowMs() {
        return room.clock.nowMs;
      },
      get maxPeers() {
        const max = Math.min(room.maxPeersPerTorrent, host.maxPeers);
        return host.content === undefined ? Math.min(PEERS_BEFORE_METADATA_MAX, max) : max;
      },
      peerId: room.peerId,
      maxConnecting: room.maxConnectingPerTorrent,
      reasonAgainst: (address) => room.reasonAgainst(address),
      mayDial: (address) => room.mayDial(address),
      fallsBack: room.fallsBack,
      connect: (address, port, receiveMode, encrypts) =>
        room.connect(address, port, this, room.peerSettings(receiveMode ?? this.#receiveMode), encrypts),
      isUnhelpful: (peer) => host.info === undefined && this.#metadata.isIdle(peer),
      settingsOf: (receiveMode) => room.peerSettings(receiveMode),
      expectMemory: () => room.pool.expect(RESERVED_SLOTS),
      expectNoMemory: () => room.pool.expectNoMore(RESERVED_SLOTS),
      wantsToDial: () => room.dial(this),
      exhausted: () => host.tell("outOfPeers"),
    };
  }

  /** What a magnet is of may be private: as long as that is not known nobody is told of anybody. */
  #makeExchange(): PeerExchange<PeerConnection> {
    const { clock } = this.#room;
    const { isPrivate } = this.#host;
    const host: ExchangeHost = {
      get nowMs() {
        return clock.nowMs;
      },
      bring: (addresses, teller) => void this.#roster.bring(EXCHANGE_SOURCE, addresses, networkOf(teller)),
    };
    const exchange = new PeerExchange<PeerConnection>(host, isPrivate !== undefined);
    if (isPrivate !== undefined) exchange.decide(isPrivate);
    return exchange;
  }

  #metadataHost(): MetadataHost<PeerConnection> {
    const { clock, reactor } = this.#room;
    const host = this.#host;
    return {
      get nowMs() {
        return clock.nowMs;
      },
      after: (ms, callback) =>
        reactor.ground.after(ms, () => {
          if (host.isOpen) reactor.atTurnEnd({ turnEnded: callback });
        }),
      get info() {
        return host.info;
      },
      metadataArrived: (bytes) => host.metadataArrived(bytes),
      lied: (peer, error) => {
        const record = this.#roster.recordOf(peer);
        if (record !== undefined) this.ban(record, error);
      },
      progressed: () => host.tell("metadataProgress", this.#metadata.progress),
    };
  }
}
