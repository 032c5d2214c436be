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
// verified pieces only (without verification none: then nobody is told of pieces and no resume data claims them); what
// failed or closed keeps nothing of the pool. Listeners are told, and promises settled, through the session's queue, in one order.

import { EventEmitter } from "node:events";
import { resolve } from "node:path";
import { assert } from "../../base/assert.js";
import { PeerError, ScatterwireError, StorageError, UsageError } from "../../base/errors.js";
import type { BlockIndex, PieceIndex, SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, HASH_LANES } from "../../base/limits.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import { PieceSet } from "../../base/piece-set.js";
import { KeptWarnings, throwAsUncaught } from "../../base/user-calls.js";
import { whenAborted } from "../../base/when-aborted.js";
import type { TurnHook } from "../../native/reactor.js";
import { checkPeer, checkReceiveMode, checkTorrentOptions } from "../check-options.js";
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
import type { Storage, StorageCounters, StorageKind } from "../storage/storage.js";
import { Allotment } from "./allotment.js";
import { Announcements } from "./announcements.js";
import { Assembler } from "./assembler.js";
import type { AssemblerHost } from "./assembler-contract.js";
import { Attribution, type PeerRecord } from "./attribution.js";
import type { Dialer, EngineRoom } from "./engine-room.js";
import { Lease } from "./lease.js";
import { Lender } from "./lender.js";
import { type HandleOwner, PeerHandle } from "./peer-handle.js";
import { describePeer } from "./peer-info.js";
import { PeerList } from "./peer-list.js";
import { USER_SOURCE } from "./peer-source.js";
import { Picker } from "./picker.js";
import { openPlace, type Place } from "./place.js";
import { Roster, type RosterHost } from "./roster.js";
import { UploadRounds } from "./upload-rounds.js";

/** Durable checkpoints of resume data, at the latest after so long or so much. */
const CHECKPOINT_MS = 5000;
const CHECKPOINT_BYTES = 256 * 1024 * 1024;
/** Between two warnings that blocks could not be read for peers. */
const READ_WARNINGS_MS = 60_000;

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
  /**
   * Resolves when all pieces are verified and durably stored; rejects with why they never will be. With `readOnly` and pieces that
   * are missing that is StorageError `STORAGE_READ_ONLY`, and what is there is seeded.
   */
  readonly done: Promise<void>;

  readonly #room: EngineRoom;
  readonly #options: TorrentOptions;
  readonly #picker: Picker;
  readonly #verifies: boolean;
  readonly #nothing: PieceSet;
  readonly #attribution: Attribution;
  readonly #allotment: Allotment<PeerConnection>;
  readonly #announcements: Announcements;
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
  /** With the option onBlock. */
  #lender: Lender | undefined;
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
  /** What the program gave as the reason of its AbortSignal. */
  #abortReason: unknown;
  readonly #warnings: KeptWarnings;
  #lastReadWarningMs: number | undefined;
  #unreadSinceWarning = 0;
  readonly #onAbort = () => {
    this.#abortReason = this.#options.signal?.reason;
    this.close().catch((error: unknown) =>
      this.#warnings.tell(`the torrent did not close well: ${String(error)}`),
    );
  };
  #stopWaitingForAbort: () => void = () => {};
  #roundAsked = false;
  readonly #earlyRound: TurnHook = {
    turnEnded: () => {
      this.#roundAsked = false;
      if (this.isOpen) this.#rounds.run(this.#peers, this.#got.isFull, this.#room.clock.nowMs, true);
    },
  };

  #onClosed: () => void = () => {};
  /** A lease ended, at whatever time: who waits for memory is woken at the end of a turn, and there may be none. */
  readonly #onReleased = () => {
    if (this.#room.pool.waiterCount > 0) this.#room.reactor.atTurnEnd(NOTHING);
  };

  /** Opens when `after` has settled: what had the same files before. */
  constructor(
    room: EngineRoom,
    metainfo: Metainfo,
    options: TorrentOptions,
    after: Promise<unknown> | undefined = undefined,
  ) {
    super();
    checkTorrentOptions(options);
    this.#room = room;
    this.metainfo = metainfo;
    this.#options = settled(options);
    this.#receiveMode = options.receiveMode;
    this.layout = new Layout(metainfo);
    const { random } = room.reactor.ground;
    this.#picker = new Picker(this.layout, { random });
    this.#verifies = options.verify !== false;
    this.#nothing = new PieceSet(this.layout.pieceCount);
    const { requestTimeoutMs } = room.peerSettings(undefined);
    this.#windowMs = STALL_SHARE * requestTimeoutMs;
    this.#attribution = new Attribution({ pieceLength: this.layout.pieceLength, requestTimeoutMs });
    this.#rounds = new UploadRounds(room.uploadSlots, random);
    this.#roster = new Roster(this.#rosterHost(), this.#attribution, new PeerList({ random }));
    this.#peers = this.#roster.here;
    this.#allotment = this.#makeAllotment();
    this.#announcements = new Announcements(this.#peers, room.reactor.ground);
    this.done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Whoever does not ask for `done` or `ready` must not be killed by their rejection; `failed` tells as well.
    this.done.catch(() => {});
    this.#warnings = new KeptWarnings(this, room.userCalls);
    this.ready = this.#open(after);
    this.ready.catch(() => {});
    for (const peer of options.peers ?? []) this.addPeer(peer);
    if (options.signal?.aborted === true) this.#onAbort();
    else if (options.signal !== undefined)
      this.#stopWaitingForAbort = whenAborted(options.signal, this.#onAbort);
  }

  // ── public API ───────────────────────────────────────────────────────────────────────────────────────────────

  get state(): TorrentState {
    return this.#state;
  }

  get infoHash(): Uint8Array {
    return this.metainfo.infoHash;
  }

  /** Verified pieces, which peers are told of and may ask for: with `verify: false` none. */
  get have(): PieceSet {
    return this.#verifies ? this.#got : this.#nothing;
  }

  /** Pieces that need not be fetched any more. */
  get #got(): PieceSet {
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
    checkPeer(address, options);
    const { receiveMode } = options;
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
      verified: this.#verifies,
      piecesVerified: this.#got.count,
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
    this.#checkRead(piece, begin, length);
    const place = this.#place;
    if (place === undefined || this.#isOver) throw new UsageError("USAGE_STATE", "the torrent is not open");
    const slot = this.#room.pool.acquire(SlotHolder.user);
    if (slot === -1) {
      throw new UsageError(
        "USAGE_STATE",
        `no memory is free: all ${this.#room.pool.slotCount} blocks of the pool are in use; release leases, or give the session more poolBytes`,
      );
    }
    const lease = new Lease(this.#room.memory, slot, piece, begin, length, this.#onReleased);
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

  #checkRead(piece: number, begin: number, length: number): void {
    const refuse = (text: string): never => {
      throw new UsageError("USAGE_OPTION", text);
    };
    const { pieceCount } = this.layout;
    if (!Number.isInteger(piece) || piece < 0 || piece >= pieceCount)
      refuse(`a piece is a whole number from 0 to ${pieceCount - 1}, not ${piece}`);
    const pieceLength = this.layout.pieceLengthOf(piece as PieceIndex);
    if (!Number.isInteger(length) || length < 1 || length > BLOCK_SIZE)
      refuse(`read() takes 1 to ${BLOCK_SIZE} bytes (one block) at a time, not ${length}`);
    if (!Number.isInteger(begin) || begin < 0 || begin + length > pieceLength)
      refuse(`piece ${piece} has ${pieceLength} bytes: ${length} from ${begin} on are not inside it`);
    if (!this.#got.has(piece)) refuse(`piece ${piece} is not verified yet`);
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
    this.#allotment.review();
    for (const peer of this.#peers) {
      peer.tick(elapsedMs);
      if (this.#got.isFull && peer.state === "open" && peer.pieces.isFull) {
        peer.close(new PeerError("PEER_USELESS", "both sides have everything"));
      }
    }
    this.#rounds.run(this.#peers, this.#got.isFull, now, false);
    this.#assembler?.tick();
    if (this.#got.isFull || this.#peers.size === 0) this.#assembler?.rest();
    if (now - this.#lastCheckpointMs >= CHECKPOINT_MS) this.#checkpoint();
    this.#roster.tick();
  }

  /** @internal Counts again what the parts have counted, and compares. For tests, between two turns. */
  checkInvariants(): void {
    if (this.#isOver) return;
    this.#picker.checkInvariants();
    this.#rounds.checkInvariants();
    this.#assembler?.checkInvariants();
  }

  // ── Swarm ────────────────────────────────────────────────────────────────────────────────────────────────────

  get uploadPlace(): UploadPlace {
    assert(this.#uploadPlace !== undefined, "connections are admitted once storage is open");
    return this.#uploadPlace;
  }

  admit(peer: PeerConnection): void {
    if (!this.isOpen) throw new PeerError("PEER_UNKNOWN_INFO_HASH", "the torrent is not open yet");
    // Seeding takes no slot of the pool, and neither does a download without peers.
    if (!this.#got.isFull && this.#assembler?.prepare() === false)
      throw new PeerError("PEER_TOO_MANY", "other downloads have all the memory that there is for it");
    this.#roster.admit(peer);
  }

  peerOpened(peer: PeerConnection): void {
    // Which torrent an incoming connection is for is known only now.
    if (peer.incoming && this.#receiveMode !== undefined)
      peer.setReceiveMode(this.receiveModeChoice(this.#receiveMode));
    this.#tell("peerConnected", describePeer(peer), this.#handleOf(peer));
  }

  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    if (peer.opened) this.#picker.peerRemoved(peer.pieces);
    this.#roster.peerClosed(peer, error);
    this.#lastPeer = undefined;
    addCounters(this.#endedCounters, peer.counters);
    this.#room.countersEnded(peer.counters);
    this.#rounds.peerGone(peer);
    this.#allotment.peerGone(peer);
    this.#fast.delete(peer);
    if (this.#isOver) return;
    this.#tell("peerDisconnected", { host: peer.host, port: peer.port }, error);
    if (this.#roster.isExhausted) this.#tell("outOfPeers");
  }

  get announcementsWaiting(): number {
    return this.#announcements.waiting;
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
    return !this.#wantsNothing && this.#picker.isInteresting(peer.pieces);
  }

  isMissing(piece: number): boolean {
    return !this.#got.has(piece);
  }

  peerInterestChanged(peer: PeerConnection): void {
    if (this.#roundAsked || !this.#rounds.isSoon(peer)) return;
    this.#roundAsked = true;
    this.#room.reactor.atTurnEnd(this.#earlyRound);
  }

  pick(peer: PeerConnection, count: number, out: Int32Array): number {
    if (this.#state !== "downloading" || this.#lender?.isBehind === true) return 0;
    return this.#allotment.pick(peer, count, out, this.#piecesAtOnce(peer));
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

  requestDropped(_peer: PeerConnection, piece: number, block: number): void {
    this.#picker.requestDropped(piece as PieceIndex, block as BlockIndex);
  }

  wantsBlock(peer: PeerConnection, piece: number, block: number): boolean {
    if (this.#state !== "downloading" || !this.#mayBring(peer, piece)) return false;
    return this.#picker.wantsBlock(piece as PieceIndex, block as BlockIndex);
  }

  /** False for a piece that another peer has to itself: a block that was given up long ago may still come. */
  #mayBring(peer: PeerConnection, piece: number): boolean {
    const attribution = this.#attribution;
    if (attribution.isQuiet) return true;
    const record = this.#roster.recordOf(peer);
    return record !== undefined && attribution.mayBring(record, piece);
  }

  landingAddress(piece: number, begin: number, length: number): number {
    const storage = this.#place?.storage;
    if (storage === undefined || storage.kind !== "mapped" || this.#lendsUnverified) return -1;
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
    const isWelcome = this.#state === "downloading" && this.#mayBring(peer, piece);
    if (!isWelcome || !picker.blockReceived(piece as PieceIndex, block as BlockIndex)) {
      if (slot !== NO_SLOT) pool.release(slot);
      return;
    }
    if (others) this.#cancelEverywhere(piece, block);
    if (peer !== this.#lastPeer) {
      this.#lastPeer = peer;
      this.#lastRecord = this.#roster.recordOf(peer);
    }
    const blocks = this.layout.blocksInPiece(piece as PieceIndex);
    this.#attribution.blockReceived(this.#lastRecord!, piece, block, blocks, this.#room.clock.nowMs);
    if (this.#lendsUnverified && slot !== NO_SLOT) {
      this.#lendUnverified(slot, piece as PieceIndex, block as BlockIndex);
      return;
    }
    if (slot !== NO_SLOT) pool.pass(slot, SlotHolder.receiving, SlotHolder.storage);
    this.#assembler!.addBlock(piece as PieceIndex, block as BlockIndex, address);
  }

  uploadFailed(_peer: PeerConnection, error: StorageError): void {
    // A peer asks as often as it likes: that must not fill the program's log.
    const nowMs = this.#room.clock.nowMs;
    this.#unreadSinceWarning++;
    if (this.#lastReadWarningMs !== undefined && nowMs - this.#lastReadWarningMs < READ_WARNINGS_MS) return;
    const times =
      this.#unreadSinceWarning === 1 ? "" : ` (${this.#unreadSinceWarning} blocks since the last warning)`;
    this.#lastReadWarningMs = nowMs;
    this.#unreadSinceWarning = 0;
    this.#warnings.tell(`cannot read to send: ${error.message}${times}`);
  }

  storageFaulted(error: StorageError): void {
    this.#fail(error);
  }

  uploadFaulted(error: StorageError): void {
    this.#place?.storage.sourceFaulted?.();
    this.#warnings.tell(`${error.message}: what is sent is read from now on`);
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

  pieceVerified(piece: PieceIndex, digests?: Float64Array): void {
    if (this.#isOver) return;
    this.#picker.pieceVerified(piece);
    const banned = this.#attribution.pieceVerified(piece, digests);
    if (!this.#claim(piece)) return;
    this.#sinceCheckpointBytes += this.layout.pieceLengthOf(piece);
    if (this.#verifies) this.#announcements.add(piece);
    this.#tell("piece", piece);
    for (const record of banned) this.#ban(record, piece);
    if (this.#got.isFull) void this.#complete();
    else if (this.#sinceCheckpointBytes >= CHECKPOINT_BYTES) this.#checkpoint();
  }

  /** Notes a verified piece for the next start. False: there is no room for it, and the torrent has failed. */
  #claim(piece: PieceIndex): boolean {
    try {
      this.#place?.resume?.append(piece);
      return true;
    } catch (error) {
      this.#broke(error);
      return false;
    }
  }

  pieceToLend(piece: PieceIndex, slots: Int32Array): void {
    this.#lender!.add(piece, slots);
  }

  pieceFailed(piece: PieceIndex, digests: Float64Array | undefined): void {
    if (this.#isOver) return;
    this.#picker.pieceFailed(piece);
    const { senders, banned } = this.#attribution.pieceFailed(piece, digests, this.#room.clock.nowMs);
    this.#tell(
      "pieceFailed",
      piece,
      senders.map(({ host, port }) => ({ host, port })),
    );
    for (const record of banned) this.#ban(record, piece);
    this.#allotment.review();
  }

  pieceDropped(piece: PieceIndex, digests: Float64Array | undefined): void {
    if (this.#isOver) return;
    this.#picker.pieceFailed(piece);
    this.#attribution.pieceStartedOver(piece, digests, this.#room.clock.nowMs);
  }

  wantsDigests(piece: PieceIndex, bad: boolean): boolean {
    return bad ? this.#attribution.isShared(piece) : this.#attribution.remembers(piece);
  }

  get isQuiet(): boolean {
    return this.#attribution.isQuiet;
  }

  storageFailed(error: StorageError): void {
    this.#fail(error);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  get #isOver(): boolean {
    return this.#state === "failed" || this.#state === "closed";
  }

  /** Files that are only read: what is there is seeded, and nothing is asked for. */
  get #isReadOnly(): boolean {
    return this.#options.readOnly === true && this.storageKind !== "memory" && this.storageKind !== "null";
  }

  get #wantsNothing(): boolean {
    return this.#got.isFull || this.#isReadOnly;
  }

  #incomplete(): StorageError {
    const got = `${this.#got.count} of ${this.layout.pieceCount} pieces`;
    const text = `${this.directory} has ${got}, and nothing is written with the option readOnly: these are seeded`;
    return new StorageError("STORAGE_READ_ONLY", text);
  }

  /** Tells listeners, when the turn is over. */
  #tell<Name extends keyof TorrentEvents>(name: Name, ...args: TorrentEvents[Name]): void {
    if (this.listenerCount(name) > 0) this.#room.userCalls.tell(this, name, args);
  }

  async #open(after: Promise<unknown> | undefined): Promise<void> {
    try {
      if (after !== undefined) await after.catch(() => {});
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      const { room, layout } = { room: this.#room, layout: this.layout };
      this.#place = await openPlace(room, this.metainfo, layout, this.#options, {
        checking: (fraction) => {
          this.#checked = fraction;
          this.#tell("checking", fraction);
        },
        pieceGood: (piece) => this.#picker.markHave(piece as PieceIndex),
        warning: (text) => this.#warnings.tell(text),
        signal: this.#closing.signal,
      });
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      const { storage } = this.#place;
      const { onBlock } = this.#options;
      if (onBlock !== undefined) this.#lender = this.#makeLender(storage, onBlock);
      this.#assembler = new Assembler({
        layout,
        digests: this.metainfo.pieces,
        storage,
        memory: room.memory,
        reactor: room.reactor,
        verify: this.#verifies,
        lends: this.#lender !== undefined && this.#verifies,
        host: this,
      });
      this.#uploadPlace = {
        storage,
        source: room.blockSource(this.#options.sendMode),
        offsetOf: (piece, begin) => piece * layout.pieceLength + begin,
      };
      this.#lastCheckpointMs = room.clock.nowMs;
      this.#state = this.#wantsNothing ? "seeding" : "downloading";
      this.#tell("ready");
      if (this.#got.isFull) await this.#complete();
      else {
        if (this.#isReadOnly) this.#room.userCalls.call(this.#rejectDone, this.#incomplete());
        this.#roster.tick();
      }
      // Who waits for `ready` has heard all that came before it.
      await room.userCalls.flushed();
    } catch (error) {
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      // Whatever it is, a bug of ours included, is told by `ready` and `done`.
      this.#fail(asError(error));
      throw error;
    }
  }

  async #complete(): Promise<void> {
    this.#announcements.flush();
    try {
      if (this.#place?.resume !== undefined) await this.#place.resume.checkpoint();
      else await this.#place?.storage.sync();
    } catch (error) {
      this.#broke(error);
      return;
    }
    await this.#lender?.drained();
    if (this.#isOver) return;
    this.#state = "seeding";
    this.#roster.setSeeding();
    for (const peer of this.#peers) peer.updateInterest();
    this.#tell("done");
    this.#room.userCalls.call(this.#resolveDone, undefined);
    this.#roster.tick();
  }

  /** The torrent cannot go on; what was verified and made durable stays so. */
  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#state = "failed";
    this.#announcements.close();
    this.#roster.closeAll();
    this.#releaseMemory().catch(throwAsUncaught);
    this.#tell("failed", error);
    this.#room.userCalls.call(this.#rejectDone, error);
  }

  /** Something threw where nobody waits for it. A bug of ours is no matter of storage: the program hears of it as such. */
  #broke(error: unknown): void {
    this.#fail(asError(error));
    if (!(error instanceof ScatterwireError)) throwAsUncaught(error);
  }

  async #releaseMemory(): Promise<void> {
    await this.#assembler?.close();
    await this.#lender?.close();
  }

  #abortError(text: string): UsageError {
    const cause = this.#abortReason;
    return new UsageError("ABORTED", text, cause === undefined ? undefined : { cause });
  }

  #makeLender(storage: Storage, onBlock: (lease: BlockLease) => void): Lender {
    return new Lender({
      layout: this.layout,
      memory: this.#room.memory,
      storage,
      userCalls: this.#room.userCalls,
      onBlock,
      caughtUp: () => {
        for (const peer of this.#peers) if (peer.state === "open") peer.fillRequests();
      },
      released: this.#onReleased,
      failed: (error) => this.#fail(error),
    });
  }

  async #close(): Promise<void> {
    const before = this.#state;
    this.#state = "closed";
    this.#announcements.close();
    this.#closing.abort(this.#abortReason);
    this.#stopWaitingForAbort();
    this.#roster.closeAll();
    if (before !== "seeding")
      this.#room.userCalls.call(
        this.#rejectDone,
        this.#abortError("the torrent was closed before it was complete"),
      );
    try {
      await this.ready.catch(() => {});
      await this.#releaseMemory();
      await this.#place?.close(before !== "failed");
    } finally {
      this.#onClosed();
    }
  }

  #checkpoint(): void {
    this.#lastCheckpointMs = this.#room.clock.nowMs;
    if (this.#sinceCheckpointBytes === 0) return;
    this.#sinceCheckpointBytes = 0;
    this.#place?.resume?.checkpoint().catch((error: unknown) => this.#broke(error));
  }

  /** Begins one connection, if one is due. For the session, which gives all torrents their turns. */
  dialNext(): boolean {
    return this.#roster.dialNext();
  }

  #makeAllotment(): Allotment<PeerConnection> {
    const { clock } = this.#room;
    return new Allotment(this.#picker, this.#attribution, {
      get nowMs() {
        return clock.nowMs;
      },
      here: this.#peers,
      recordOf: (peer) => this.#roster.recordOf(peer),
      dropBlocks: (piece) => {
        for (const peer of this.#peers) peer.requests.cancelPiece(piece);
        if (this.#assembler === undefined) this.pieceDropped(piece as PieceIndex, undefined);
        else this.#assembler.dropPiece(piece as PieceIndex);
      },
    });
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

  /** Blocks are lent as they come, because nobody compares them with anything. */
  get #lendsUnverified(): boolean {
    return this.#lender !== undefined && !this.#verifies;
  }

  #lendUnverified(slot: SlotIndex, piece: PieceIndex, block: BlockIndex): void {
    this.#room.pool.pass(slot, SlotHolder.receiving, SlotHolder.user);
    this.#lender!.lend(piece, block, slot);
    if (this.#picker.isPieceReceived(piece)) this.pieceVerified(piece);
  }

  #ban(record: PeerRecord, piece: number): void {
    const error = new PeerError("PEER_BAD_PIECE", `sent piece ${piece} with a wrong digest`);
    this.#tell("peerBanned", { host: record.host, port: record.port }, error);
    this.#roster.ban(record, error);
  }
}

/** The options as they are now: what the program does to its object, or to its working directory, changes nothing any more. */
function settled(options: TorrentOptions): TorrentOptions {
  const { directory } = options;
  return directory === undefined ? { ...options } : { ...options, directory: resolve(directory) };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
