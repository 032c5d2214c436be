// One torrent of a session: what is had and wanted, who is served, and the way of a block from a peer to storage. It
// puts the picker, the choker, the assembler, the attribution of blocks, and storage together and decides nothing that
// one of them can.
//
//   checking ──▶ downloading ──▶ seeding        any state ──▶ failed (storage) or closed
//       └───────── all there ───────▲
//
// It is long because it is where three contracts meet (the public API, Swarm for connections, AssemblerHost for pieces), each
// method of which hands on to a part; none has an algorithm of its own.
//
// Always: a block is asked for through the picker and comes back through blockReceived or requestDropped; `have` holds
// verified pieces only; what failed or closed keeps nothing of the pool.

import { EventEmitter } from "node:events";
import { assert } from "../../base/assert.js";
import { PeerError, type ScatterwireError, StorageError, UsageError } from "../../base/errors.js";
import type { BlockIndex, PieceIndex, SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, HASH_LANES } from "../../base/limits.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { TurnHook } from "../../native/reactor.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Metainfo } from "../metainfo/types.js";
import type {
  BlockLease,
  PeerAddress,
  PeerConnectOptions,
  PeerInfo,
  PeerConnection as PublicPeerConnection,
  ReceiveModeName,
  TorrentEvents,
  TorrentOptions,
  TorrentProgress,
  TorrentState,
} from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Swarm } from "../peer/swarm.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import { NO_SLOT } from "../receive/receive-plan.js";
import type { UploadPlace } from "../send/sender.js";
import { Layout } from "../storage/layout.js";
import type { StorageCounters, StorageKind } from "../storage/storage.js";
import { Assembler } from "./assembler.js";
import type { AssemblerHost } from "./assembler-contract.js";
import { Attribution, type PeerRecord } from "./attribution.js";
import type { PieceFilter } from "./availability.js";
import { checkPort, checkReceiveMode, checkTorrentOptions } from "./check-options.js";
import type { Dialer, EngineRoom } from "./engine-room.js";
import { lendBlock } from "./lease.js";
import { type HandleOwner, PeerHandle } from "./peer-handle.js";
import { describePeer } from "./peer-info.js";
import { USER_SOURCE } from "./peer-source.js";
import { Picker } from "./picker.js";
import { openPlace, type Place } from "./place.js";
import { Roster, type RosterHost } from "./roster.js";
import { UploadRounds } from "./upload-rounds.js";

/** Durable checkpoints of resume data, at the latest after so long or so much. */
const CHECKPOINT_MS = 5000;
const CHECKPOINT_BYTES = 256 * 1024 * 1024;

/** A piece that gets almost nothing for this part of the time that a request has, stalls: 4 s of 20. */
const STALL_SHARE = 1 / 5;

/** Asks for a turn and does nothing in it. */
const NOTHING: TurnHook = { turnEnded: () => {} };

export class Torrent
  extends EventEmitter<TorrentEvents>
  implements Swarm, AssemblerHost, HandleOwner, Dialer
{
  readonly metainfo: Metainfo;
  readonly layout: Layout;
  /** Resolves when the check at the start is over and peers are welcome; rejects with what prevented it. */
  readonly ready: Promise<void>;
  /** Resolves when all pieces are verified and durably stored; rejects with why they never will be. */
  readonly done: Promise<void>;

  readonly #room: EngineRoom;
  readonly #options: TorrentOptions;
  readonly #picker: Picker;
  readonly #attribution = new Attribution();
  readonly #rounds: UploadRounds;
  readonly #roster: Roster;
  /** Those that are here. */
  readonly #peers: ReadonlySet<PeerConnection>;
  /** Those that bring blocks fast. */
  readonly #fast = new Set<PeerConnection>();
  readonly #endedCounters = makeCounters();
  readonly #handles = new WeakMap<PeerConnection, PeerHandle>();
  /** Who brought the last block, and its record: blocks come many in a row, and looking in a map costs more than framing one. */
  #lastPeer: PeerConnection | undefined;
  #lastRecord: PeerRecord | undefined;
  readonly #closing = new AbortController();

  #state: TorrentState = "checking";
  #place: Place | undefined;
  #assembler: Assembler | undefined;
  #uploadPlace: UploadPlace | undefined;
  #receiveMode: ReceiveModeName | undefined;
  #checked = 0;
  #sinceCheckpointBytes = 0;
  #lastCheckpointMs = 0;
  /** When the window began in which pieces get on or stall, and how long one is. */
  #windowStartMs = 0;
  readonly #windowMs: number;
  #closed: Promise<void> | undefined;
  #resolveDone!: () => void;
  #rejectDone!: (error: Error) => void;
  readonly #onAbort = () => void this.close();
  #onClosed: () => void = () => {};
  /** A lease ended, at whatever time: who waits for memory is woken at the end of a turn, and there may be none. */
  readonly #onReleased = () => {
    if (this.#room.pool.waiterCount > 0) this.#room.reactor.atTurnEnd(NOTHING);
  };

  constructor(room: EngineRoom, metainfo: Metainfo, options: TorrentOptions) {
    super();
    checkTorrentOptions(options);
    this.#room = room;
    this.metainfo = metainfo;
    this.#options = options;
    this.#receiveMode = options.receiveMode;
    this.layout = new Layout(metainfo);
    this.#picker = new Picker(this.layout);
    this.#windowMs = STALL_SHARE * room.peerSettings(undefined).requestTimeoutMs;
    this.#rounds = new UploadRounds(room.uploadSlots);
    this.#roster = new Roster(this.#rosterHost(), this.#attribution);
    this.#peers = this.#roster.here;
    this.done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Whoever does not ask for `done` or `ready` must not be killed by their rejection; `failed` tells as well.
    this.done.catch(() => {});
    this.ready = this.#open();
    this.ready.catch(() => {});
    for (const peer of options.peers ?? []) this.addPeer(peer);
    if (options.signal?.aborted === true) this.#onAbort();
    else options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  // ── public API ───────────────────────────────────────────────────────────────────────────────────────────────

  get state(): TorrentState {
    return this.#state;
  }

  get infoHash(): Uint8Array {
    return this.metainfo.infoHash;
  }

  /** Verified pieces. */
  get have(): PieceSet {
    return this.#picker.have;
  }

  /** The kind of storage in use, which is "file" where "direct" was asked for and the file system refuses it. */
  get storageKind(): StorageKind {
    return this.#place?.storage.kind ?? this.#options.storage ?? "file";
  }

  /** Where the files lie, or undefined for memory and null storage. */
  get directory(): string | undefined {
    return this.#options.directory;
  }

  /**
   * Connects to a peer, now or as soon as the torrent is ready and the session has room. Throws UsageError
   * `USAGE_OPTION` for a port or an option that is none.
   */
  addPeer(address: PeerAddress, options: PeerConnectOptions = {}): void {
    checkPort(address);
    const { receiveMode } = options;
    if (receiveMode !== undefined) checkReceiveMode(receiveMode);
    if (this.#isOver) return;
    this.#roster.add(address, USER_SOURCE, receiveMode);
  }

  peers(): PeerInfo[] {
    return [...this.#peers].map(describePeer);
  }

  /** The open connections, to look at and to change each by itself. */
  connections(): PublicPeerConnection[] {
    return [...this.#peers].map((peer) => this.#handleOf(peer));
  }

  /** Sums over all connections, ended ones included. */
  counters(): TransferCounters {
    const sum = { ...this.#endedCounters };
    for (const peer of this.#peers) addCounters(sum, peer.counters);
    return sum;
  }

  storageCounters(): StorageCounters | undefined {
    const counters = this.#place?.storage.counters;
    return counters === undefined ? undefined : { ...counters };
  }

  progress(): TorrentProgress {
    let downloadRate = 0;
    let uploadRate = 0;
    for (const peer of this.#peers) {
      downloadRate += peer.downloadMeter.rate;
      uploadRate += peer.uploadMeter.rate;
    }
    return {
      state: this.#state,
      piecesVerified: this.have.count,
      pieceCount: this.layout.pieceCount,
      bytesVerified: this.layout.totalLength - this.#picker.bytesMissing,
      bytesTotal: this.layout.totalLength,
      checked: this.#state === "checking" ? this.#checked : 1,
      downloadRate,
      uploadRate,
      peers: this.#peers.size,
    };
  }

  /** Changes how all connections of this torrent receive, present and future. Throws UsageError `USAGE_OPTION`. */
  setReceiveMode(mode: ReceiveModeName): void {
    checkReceiveMode(mode);
    this.#receiveMode = mode;
    this.#roster.setReceiveMode(mode);
  }

  /**
   * Reads verified data into the pool and lends it: at most one block (16 KiB), inside a piece. Rejects StorageError
   * or UsageError (not there yet, out of range, no memory free).
   */
  async read(piece: number, begin: number, length: number): Promise<BlockLease> {
    if (length > BLOCK_SIZE || !this.layout.isValidRequest(piece, begin, length) || !this.have.has(piece)) {
      throw new UsageError("USAGE_OPTION", `piece ${piece} has no ${length} verified bytes at ${begin}`);
    }
    const place = this.#place;
    const slot = this.#room.pool.acquire(SlotHolder.user);
    if (place === undefined || slot === -1)
      throw new UsageError("USAGE_STATE", "no memory is free, or the torrent is not open");
    const lease = lendBlock(this.#room.memory, slot, piece, begin, length, this.#onReleased);
    const memory = {
      addresses: Float64Array.of(this.#room.pool.addressOf(slot)),
      lengths: Float64Array.of(length),
      count: 1,
    };
    await new Promise<void>((resolve, reject) => {
      const owner = {
        storageDone: (_tag: number, error: StorageError | undefined) => (error ? reject(error) : resolve()),
      };
      place.storage.read(piece * this.layout.pieceLength + begin, memory, owner, 0);
    }).catch((error: unknown) => {
      lease.release();
      throw error;
    });
    return lease;
  }

  /** Ends connections, finishes what storage has begun, and makes resume data safe. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ── session ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** True once incoming connections may join. */
  get isOpen(): boolean {
    return this.#state === "downloading" || this.#state === "seeding";
  }

  /** Calls `callback` when the torrent has closed. For the session. */
  onClosed(callback: () => void): void {
    this.#onClosed = callback;
  }

  /** Time passed; about once a second. */
  tick(elapsedMs: number): void {
    if (!this.isOpen) return;
    const now = this.#room.clock.nowMs;
    if (now - this.#windowStartMs >= this.#windowMs) {
      this.#windowStartMs = now;
      this.#picker.windowEnded();
    }
    for (const peer of this.#peers) {
      peer.tick(elapsedMs);
      if (this.have.isFull && peer.state === "open" && peer.pieces.isFull) {
        peer.close(new PeerError("PEER_USELESS", "both sides have everything"));
      }
    }
    this.#rounds.run(this.#peers, this.have.isFull, now, false);
    if (now - this.#lastCheckpointMs >= CHECKPOINT_MS) this.#checkpoint();
    this.#roster.tick();
  }

  // ── Swarm ────────────────────────────────────────────────────────────────────────────────────────────────────

  get uploadPlace(): UploadPlace {
    assert(this.#uploadPlace !== undefined, "connections are admitted once storage is open");
    return this.#uploadPlace;
  }

  admit(peer: PeerConnection): void {
    if (!this.isOpen) throw new PeerError("PEER_UNKNOWN_INFO_HASH", "the torrent is not open yet");
    this.#roster.admit(peer);
  }

  peerOpened(peer: PeerConnection): void {
    // Which torrent an incoming connection is for is known only now.
    if (peer.incoming && this.#receiveMode !== undefined)
      peer.setReceiveMode(this.receiveModeChoice(this.#receiveMode));
    this.emit("peerConnected", describePeer(peer), this.#handleOf(peer));
  }

  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    if (peer.opened) this.#picker.peerRemoved(peer.pieces);
    this.#roster.peerClosed(peer, error);
    this.#lastPeer = undefined;
    addCounters(this.#endedCounters, peer.counters);
    this.#room.countersEnded(peer.counters);
    this.#rounds.peerGone(peer);
    this.#fast.delete(peer);
    if (this.#isOver) return;
    this.emit("peerDisconnected", { host: peer.host, port: peer.port }, error);
    if (this.#roster.isExhausted) this.emit("outOfPeers");
  }

  peerListens(peer: PeerConnection): void {
    this.#roster.peerListens(peer);
  }

  peerAnnounced(peer: PeerConnection, piece: number): void {
    if (piece < 0) this.#picker.peerAdded(peer.pieces);
    else this.#picker.peerHas(piece);
  }

  peerWithdrew(peer: PeerConnection, piece: number): void {
    this.#picker.peerLacks(peer.pieces, piece);
  }

  isInteresting(peer: PeerConnection): boolean {
    return !this.have.isFull && this.#picker.isInteresting(peer.pieces);
  }

  peerInterestChanged(_peer: PeerConnection): void {
    this.#rounds.run(this.#peers, this.have.isFull, this.#room.clock.nowMs, true);
  }

  pick(peer: PeerConnection, count: number, out: Int32Array): number {
    if (this.#state !== "downloading") return 0;
    const allowedFast = peer.peerChoking ? peer.allowedFast : undefined;
    if (this.#attribution.isQuiet) return this.#pickAllowed(peer, count, out, allowedFast);
    const attribution = this.#attribution;
    const record = this.#roster.recordOf(peer)!;
    const allowed = {
      has: (piece: number) =>
        attribution.mayRequest(record, piece) && (allowedFast === undefined || allowedFast.has(piece)),
    };
    let got = this.#pickAllowed(peer, count, out, allowed);
    if (got === 0 && peer.expected.count === 0) {
      // Nothing that it may have to itself: better in pieces of others than idle.
      allowed.has = (piece) =>
        attribution.mayShare(record, piece) && (allowedFast === undefined || allowedFast.has(piece));
      got = this.#pickAllowed(peer, count, out, allowed);
    }
    for (let index = 0; index < got; index++) attribution.requested(record, out[2 * index]!);
    return got;
  }

  #pickAllowed(
    peer: PeerConnection,
    count: number,
    out: Int32Array,
    allowed: PieceFilter | undefined,
  ): number {
    const got = this.#picker.pick(peer.pieces, count, out, peer, allowed, this.#piecesAtOnce(peer));
    // Who is snubbed has shown that it would only hold places of others.
    if (got > 0 || peer.expected.count > 0 || peer.pipeline.snubbed) return got;
    return this.#picker.pickAgain(peer.pieces, count, out, peer, allowed);
  }

  /** Fast peers work on so many pieces together as can be hashed side by side; where nothing is hashed, on one each. */
  #piecesAtOnce(peer: PeerConnection): number {
    const { isFast } = peer.pipeline;
    if (isFast !== this.#fast.has(peer)) {
      if (isFast) this.#fast.add(peer);
      else this.#fast.delete(peer);
    }
    return isFast && this.#options.verify !== false ? Math.ceil(HASH_LANES / this.#fast.size) : 1;
  }

  requestDropped(peer: PeerConnection, piece: number, block: number): void {
    if (!this.#attribution.isQuiet) this.#attribution.requestDropped(this.#roster.recordOf(peer)!, piece);
    this.#picker.requestDropped(piece as PieceIndex, block as BlockIndex);
  }

  wantsBlock(piece: number, block: number): boolean {
    return this.#state === "downloading" && this.#picker.wantsBlock(piece as PieceIndex, block as BlockIndex);
  }

  landingAddress(piece: number, begin: number, length: number): number {
    const storage = this.#place?.storage;
    if (storage === undefined || storage.kind !== "mapped") return -1;
    // Two peers may be asked for one block at the end: only one of them may write to its place.
    if (this.#picker.requesters(piece as PieceIndex, (begin / BLOCK_SIZE) as BlockIndex) !== 1) return -1;
    return storage.landingAddress(piece * this.layout.pieceLength + begin, length);
  }

  blockReceived(
    peer: PeerConnection,
    piece: number,
    block: number,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void {
    const picker = this.#picker;
    const others =
      picker.requesters(piece as PieceIndex, block as BlockIndex) > 1 || peer.requests.underWayIsOrphan;
    const pool = this.#room.pool;
    if (this.#state !== "downloading" || !picker.blockReceived(piece as PieceIndex, block as BlockIndex)) {
      if (slot !== NO_SLOT) pool.release(slot);
      return;
    }
    if (others) this.#cancelEverywhere(piece, block);
    if (peer !== this.#lastPeer) {
      this.#lastPeer = peer;
      this.#lastRecord = this.#roster.recordOf(peer);
    }
    const blocks = this.layout.blocksInPiece(piece as PieceIndex);
    this.#attribution.blockReceived(this.#lastRecord!, piece, block, blocks);
    if (this.#options.onBlock !== undefined && slot !== NO_SLOT) {
      this.#lend(slot, piece, block);
      return;
    }
    if (slot !== NO_SLOT) pool.pass(slot, SlotHolder.receiving, SlotHolder.storage);
    this.#assembler!.addBlock(piece as PieceIndex, block as BlockIndex, address);
  }

  uploadFailed(_peer: PeerConnection, error: StorageError): void {
    this.emit("warning", `cannot read to send: ${error.message}`);
  }

  // ── HandleOwner ──────────────────────────────────────────────────────────────────────────────────────────────

  receiveModeChoice(mode: ReceiveModeName): ReceiveModeChoice {
    return this.#room.peerSettings(mode).receiveMode;
  }

  disconnect(peer: PeerConnection): void {
    this.#roster.disconnect(peer);
  }

  #handleOf(peer: PeerConnection): PeerHandle {
    let handle = this.#handles.get(peer);
    if (handle === undefined) {
      handle = new PeerHandle(peer, this);
      this.#handles.set(peer, handle);
    }
    return handle;
  }

  // ── AssemblerHost ────────────────────────────────────────────────────────────────────────────────────────────

  pieceVerified(piece: PieceIndex): void {
    if (this.#isOver) return;
    this.#picker.pieceVerified(piece);
    this.#attribution.pieceVerified(piece);
    this.#place?.resume?.append(piece);
    this.#sinceCheckpointBytes += this.layout.pieceLengthOf(piece);
    for (const peer of this.#peers) peer.announcePiece(piece);
    this.emit("piece", piece);
    if (this.have.isFull) void this.#complete();
    else if (this.#sinceCheckpointBytes >= CHECKPOINT_BYTES) this.#checkpoint();
  }

  pieceFailed(piece: PieceIndex): void {
    if (this.#isOver) return;
    this.#picker.pieceFailed(piece);
    const { senders, banned } = this.#attribution.pieceFailed(piece);
    this.emit(
      "pieceFailed",
      piece,
      senders.map(({ host, port }) => ({ host, port })),
    );
    for (const record of banned) this.#ban(record, piece);
  }

  storageFailed(error: StorageError): void {
    this.#fail(error);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  get #isOver(): boolean {
    return this.#state === "failed" || this.#state === "closed";
  }

  async #open(): Promise<void> {
    try {
      const { room, layout } = { room: this.#room, layout: this.layout };
      this.#place = await openPlace(room, this.metainfo, layout, this.#options, {
        checking: (fraction) => {
          this.#checked = fraction;
          this.emit("checking", fraction);
        },
        pieceGood: (piece) => this.#picker.markHave(piece as PieceIndex),
        warning: (text) => this.emit("warning", text),
        signal: this.#closing.signal,
      });
      if (this.#closing.signal.aborted) throw new UsageError("ABORTED", "the torrent was closed");
      const { storage } = this.#place;
      this.#assembler = new Assembler({
        layout,
        digests: this.metainfo.pieces,
        storage,
        memory: room.memory,
        reactor: room.reactor,
        verify: this.#options.verify !== false,
        host: this,
      });
      this.#uploadPlace = {
        storage,
        source: room.blockSource(this.#options.sendMode),
        offsetOf: (piece, begin) => piece * layout.pieceLength + begin,
      };
      this.#lastCheckpointMs = room.clock.nowMs;
      this.#state = this.have.isFull ? "seeding" : "downloading";
      this.emit("ready");
      if (this.have.isFull) await this.#complete();
      else this.#roster.tick();
    } catch (error) {
      if (this.#closing.signal.aborted)
        throw new UsageError("ABORTED", "the torrent was closed", { cause: error });
      if (error instanceof StorageError) this.#fail(error);
      else this.#rejectDone(error as ScatterwireError);
      throw error;
    }
  }

  async #complete(): Promise<void> {
    try {
      if (this.#place?.resume !== undefined) await this.#place.resume.checkpoint();
      else await this.#place?.storage.sync();
    } catch (error) {
      this.#fail(error as StorageError);
      return;
    }
    if (this.#isOver) return;
    this.#state = "seeding";
    this.#roster.setSeeding();
    for (const peer of this.#peers) peer.updateInterest();
    this.#resolveDone();
    this.emit("done");
    this.#roster.tick();
  }

  #fail(error: StorageError): void {
    if (this.#isOver) return;
    this.#state = "failed";
    this.#roster.closeAll();
    this.#rejectDone(error);
    if (this.listenerCount("failed") > 0) this.emit("failed", error);
  }

  async #close(): Promise<void> {
    const before = this.#state;
    this.#state = "closed";
    this.#closing.abort();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#roster.closeAll();
    if (before !== "seeding")
      this.#rejectDone(new UsageError("ABORTED", "the torrent was closed before it was complete"));
    await this.ready.catch(() => {});
    await this.#assembler?.close();
    await this.#place?.close(before !== "failed");
    this.#onClosed();
  }

  #checkpoint(): void {
    this.#lastCheckpointMs = this.#room.clock.nowMs;
    if (this.#sinceCheckpointBytes === 0) return;
    this.#sinceCheckpointBytes = 0;
    this.#place?.resume?.checkpoint().catch((error: unknown) => {
      if (error instanceof StorageError) this.#fail(error);
    });
  }

  /** Begins one connection, if one is due. For the session, which gives all torrents their turns. */
  dialNext(): boolean {
    return this.#roster.dialNext();
  }

  #rosterHost(): RosterHost {
    const room = this.#room;
    const isOpen = (): boolean => this.isOpen;
    const isSeeding = (): boolean => this.have.isFull;
    return {
      get isOpen() {
        return isOpen();
      },
      get isSeeding() {
        return isSeeding();
      },
      get nowMs() {
        return room.clock.nowMs;
      },
      peerId: room.peerId,
      maxPeers: room.maxPeersPerTorrent,
      mayConnectTo: (host) => room.mayConnectTo(host),
      connect: (host, port, receiveMode) =>
        room.connect(host, port, this, room.peerSettings(receiveMode ?? this.#receiveMode)),
      settingsOf: (receiveMode) => room.peerSettings(receiveMode),
      wantsToDial: () => room.dial(this),
    };
  }

  /** The block is here: whoever was asked for it needs not send it, the sender included if it was asked again meanwhile. */
  #cancelEverywhere(piece: number, block: number): void {
    for (const peer of this.#peers) peer.cancelRequest(piece, block * BLOCK_SIZE);
  }

  #lend(slot: SlotIndex, piece: number, block: number): void {
    this.#room.pool.pass(slot, SlotHolder.receiving, SlotHolder.user);
    const length = this.layout.blockLength(piece as PieceIndex, block as BlockIndex);
    const { memory } = this.#room;
    const lease = lendBlock(memory, slot, piece, block * BLOCK_SIZE, length, this.#onReleased);
    this.#options.onBlock!(lease);
    if (this.#picker.isPieceReceived(piece as PieceIndex)) this.pieceVerified(piece as PieceIndex);
  }

  #ban(record: PeerRecord, piece: number): void {
    const error = new PeerError("PEER_BAD_PIECE", `sent piece ${piece} with a wrong digest`);
    this.emit("peerBanned", { host: record.host, port: record.port }, error);
    this.#roster.ban(record, error);
  }
}
