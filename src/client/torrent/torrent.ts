// One torrent of a session: its states, who is here and who is served. What it holds, and the way of a block, is in its content
// (content.ts), which is made when the metadata is there: at once for a torrent file, later for a magnet.
//
//   metadata ──▶ checking ──▶ downloading ──▶ seeding        any state ──▶ failed (storage) or closed
//   (magnets)       └───────── all there ───────▲
//
// Until the content is open, connections know neither how many pieces there are nor what we have: Swarm.layout is undefined, and
// what peers announce waits with them (peer/early-announcements.ts). A torrent that began without metadata keeps its peers while
// it checks; one that began with it has none before.
//
// Always: what failed or closed keeps nothing of the pool. Listeners are told, and promises settled, through the session's queue,
// in one order.

import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { resolve } from "node:path";
import { assert } from "../../base/assert.js";
import { PeerError, ScatterwireError, type StorageError, UsageError } from "../../base/errors.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import { PieceSet } from "../../base/piece-set.js";
import { KeptWarnings, throwAsUncaught } from "../../base/user-calls.js";
import { whenAborted } from "../../base/when-aborted.js";
import type { TurnHook } from "../../native/reactor.js";
import { checkOption, checkPeer, checkReceiveMode, checkTorrentOptions } from "../check-options.js";
import { ExtensionTable } from "../extensions/extension.js";
import { MetadataExchange, type MetadataHost } from "../extensions/metadata-exchange.js";
import { type ExchangeHost, PeerExchange } from "../extensions/peer-exchange.js";
import { DontHave, UploadOnly } from "../extensions/small-extensions.js";
import { isMagnet, type Magnet } from "../metainfo/magnet.js";
import { parseInfo } from "../metainfo/parse.js";
import type { Metainfo } from "../metainfo/types.js";
import { TORRENT_OPTIONS } from "../option-table.js";
import type {
  BlockLease,
  PeerAddress,
  PeerConnectOptions,
  PeerInfo,
  PeerConnection as PublicPeerConnection,
  ReceiveModeName,
  Selection,
  TorrentEvents,
  TorrentOptions,
  TorrentProgress,
  TorrentState,
  TrackerStatus,
} from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Swarm, SwarmBlocks } from "../peer/swarm.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import type { UploadPlace } from "../send/sender.js";
import type { Layout } from "../storage/layout.js";
import type { StorageCounters, StorageKind } from "../storage/storage.js";
import { Attribution, type PeerRecord } from "./attribution.js";
import { type ContentHost, TorrentContent } from "./content.js";
import type { Dialer, EngineRoom } from "./engine-room.js";
import { type HandleOwner, PeerHandle } from "./peer-handle.js";
import { describePeer } from "./peer-info.js";
import { PeerList } from "./peer-list.js";
import {
  EXCHANGE_SOURCE,
  MAGNET_SOURCE,
  type PeerFinder,
  type SearchingTorrent,
  USER_SOURCE,
} from "./peer-source.js";
import { Roster, type RosterHost } from "./roster.js";
import { UploadRounds } from "./upload-rounds.js";

/** Between two warnings that blocks could not be read for peers. */
const READ_WARNINGS_MS = 60_000;
/** Connections before the metadata is there, each of which may keep a bitfield for later: 32 MiB in all. */
const PEERS_BEFORE_METADATA_MAX = 64;
const NO_PIECES = new PieceSet(0);
/** Kinds of storage that leave no file behind. */
const KEEPS_NOTHING: ReadonlySet<StorageKind> = new Set(["memory", "null"]);

/** Asks for a turn and does nothing in it. */
const NOTHING: TurnHook = { turnEnded: () => {} };

export class Torrent extends EventEmitter<TorrentEvents> implements Swarm, HandleOwner, Dialer {
  readonly infoHash: Uint8Array;
  /** Resolves when the metadata is there, the check at the start is over and peers are welcome; rejects with what prevented it. */
  readonly ready: Promise<void>;
  readonly #room: EngineRoom;
  readonly #options: TorrentOptions;
  /** For a torrent that began without metadata. */
  readonly #magnet: Magnet | undefined;
  readonly #attribution: Attribution;
  readonly #metadata: MetadataExchange<PeerConnection>;
  readonly #exchange: PeerExchange<PeerConnection>;
  readonly #uploadOnly = new UploadOnly<PeerConnection>();
  readonly #extensions: ExtensionTable<PeerConnection>;
  readonly #rounds: UploadRounds;
  readonly #roster: Roster;
  readonly #finder: PeerFinder;
  /** Those that are here. */
  readonly #peers: ReadonlySet<PeerConnection>;
  readonly #endedCounters = makeCounters();
  readonly #handles = new WeakMap<PeerConnection, PeerHandle>();
  readonly #closing = new AbortController();

  #state: TorrentState;
  /** Undefined before the metadata is there. */
  #content: TorrentContent | undefined;
  /** The content, once it is open: what connections see of it. */
  #opened: TorrentContent | undefined;
  /** The former user of the same files has closed them. */
  readonly #filesFree: Promise<unknown>;
  #receiveMode: ReceiveModeName | undefined;
  #closed: Promise<void> | undefined;
  #resolveReady!: () => void;
  #rejectReady!: (error: unknown) => void;
  #done = makeDeferred();
  /** All that was wanted has come, and is being made durable. */
  #isCompleting = false;
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
      if (this.isOpen) this.#runRounds(true);
    },
  };

  #onClosed: () => void = () => {};

  /** Opens when `after` has settled: what had the same files before. */
  constructor(
    room: EngineRoom,
    source: Metainfo | Magnet,
    options: TorrentOptions,
    after: Promise<unknown> = Promise.resolve(),
  ) {
    super();
    checkTorrentOptions(options);
    this.#room = room;
    this.infoHash = source.infoHash;
    this.#options = settled(options);
    this.#receiveMode = options.receiveMode;
    this.#magnet = isMagnet(source) ? source : undefined;
    this.#state = isMagnet(source) ? "metadata" : "checking";
    this.#filesFree = after.catch(() => {});
    const { random } = room.reactor.ground;
    const { requestTimeoutMs } = room.peerSettings(undefined);
    this.#attribution = new Attribution({ requestTimeoutMs });
    this.#rounds = new UploadRounds(room.uploadSlots, random);
    this.#roster = new Roster(this.#rosterHost(), this.#attribution, new PeerList({ random }));
    this.#peers = this.#roster.here;
    this.#metadata = new MetadataExchange(this.#metadataHost());
    this.#exchange = this.#makeExchange(source);
    this.#extensions = new ExtensionTable<PeerConnection>([
      this.#metadata,
      this.#exchange,
      new DontHave(),
      this.#uploadOnly,
    ]);
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Whoever does not ask for it must not be killed by its rejection; `failed` tells as well.
    this.ready.catch(() => {});
    this.#warnings = new KeptWarnings(this, room.userCalls);
    this.#finder = room.findPeers(this.#searching(), source);
    if (!isMagnet(source)) this.#begin(source);
    else {
      this.#roster.bring(MAGNET_SOURCE, source.peers);
      this.#finder.start();
    }
    for (const peer of options.peers ?? []) this.addPeer(peer);
    if (options.signal?.aborted === true) this.#onAbort();
    else if (options.signal !== undefined)
      this.#stopWaitingForAbort = whenAborted(options.signal, this.#onAbort);
  }

  // ── public API ───────────────────────────────────────────────────────────────────────────────────────────────

  get state(): TorrentState {
    return this.#state;
  }

  /** What the torrent file says; undefined in state "metadata". */
  get metainfo(): Metainfo | undefined {
    return this.#content?.metainfo;
  }

  /** The torrent's name; before its metadata is there, what the magnet calls it, or else its info hash in hex. */
  get name(): string {
    return this.metainfo?.name ?? this.#magnet?.name ?? Buffer.from(this.infoHash).toString("hex");
  }

  /**
   * Resolves when all pieces that are wanted are verified and durably stored; rejects with why they never will be. With `readOnly` and
   * pieces that are missing that is StorageError `STORAGE_READ_ONLY`, and what is there is seeded. Another promise once select() wants
   * more than was there.
   */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Verified pieces, which peers are told of and may ask for: with `verify: false` none. Before the metadata is there, of no pieces. */
  get have(): PieceSet {
    return this.#content?.have ?? NO_PIECES;
  }

  /** The kind of storage in use, which is "file" where "direct" was asked for and the file system refuses it. */
  get storageKind(): StorageKind {
    return this.#content?.storageKind ?? this.#options.storage ?? "file";
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

  /** Trackers, by tier, those that work first; what each said last. */
  get trackers(): TrackerStatus[] {
    return this.#finder.trackers;
  }

  /** Asks trackers for more peers, those whose min interval is over. It is done without being asked where peers are few. */
  announce(): void {
    if (this.isOpen) this.#finder.announce();
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
    const counters = this.#content?.storageCounters;
    return counters === undefined ? undefined : { ...counters };
  }

  progress(): TorrentProgress {
    let downloadRate = 0;
    let uploadRate = 0;
    for (const peer of this.#peers) {
      downloadRate += peer.downloadMeter.rate;
      uploadRate += peer.uploadMeter.rate;
    }
    const content = this.#content;
    return {
      state: this.#state,
      verified: this.#options.verify !== false,
      piecesVerified: content?.got.count ?? 0,
      pieceCount: content?.layout.pieceCount ?? 0,
      bytesVerified: content?.bytesGot ?? 0,
      bytesTotal: content?.layout.totalLength ?? 0,
      bytesWanted: content?.wanted.bytesWanted ?? 0,
      bytesMissing: content?.wanted.bytesMissing ?? 0,
      checked: this.#state === "checking" ? (content?.checked ?? 0) : this.#state === "metadata" ? 0 : 1,
      downloadRate,
      uploadRate,
      peers: this.#peers.size,
      ...(this.#state === "metadata" ? { metadata: this.#metadata.progress } : {}),
    };
  }

  /**
   * Gives files or pieces a priority: 0 is not wanted. Takes effect at once: what is under way of pieces that are not wanted any more
   * is dropped, and verified pieces stay. Throws UsageError (before the metadata, or for what the torrent does not have), StorageError
   * if a file cannot be made.
   */
  select(selection: Selection): void {
    this.#known("select()").select(selection);
    this.#wantedChanged();
  }

  /** Gives each file its priority, in their order; those that are left out keep theirs. Throws as select() does. */
  setPriorities(priorities: readonly number[]): void {
    const content = this.#known("setPriorities()");
    checkOption("priorities", TORRENT_OPTIONS.priorities, priorities);
    if (priorities.length > content.layout.files.length)
      throw new UsageError("USAGE_OPTION", `the torrent has ${content.layout.files.length} files`);
    for (const priority of new Set(priorities)) {
      const files = [...priorities.keys()].filter((index) => priorities[index] === priority);
      content.select({ files, priority });
    }
    this.#wantedChanged();
  }

  #known(what: string): TorrentContent {
    if (this.#isOver) throw new UsageError("USAGE_STATE", "the torrent is not open");
    if (this.#content !== undefined) return this.#content;
    throw new UsageError("USAGE_STATE", `${what} needs the metadata, which is not there yet`);
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
    return this.#known("read()").read(piece, begin, length);
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

  /** True once connections may join: to trade blocks, or for the metadata. */
  get isOpen(): boolean {
    return !this.#isOver && (this.#opened !== undefined || this.#magnet !== undefined);
  }

  /** Calls `callback` when the torrent has closed. For the session. */
  onClosed(callback: () => void): void {
    this.#onClosed = callback;
  }

  /** Begins one connection, if one is due. For the session, which gives all torrents their turns. */
  dialNext(): boolean {
    return this.#roster.dialNext();
  }

  /** Time passed; about once a second. */
  tick(elapsedMs: number): void {
    if (!this.isOpen) return;
    const now = this.#room.clock.nowMs;
    const content = this.#opened;
    content?.tick(now);
    if (this.#state === "metadata") this.#metadata.tick();
    this.#exchange.tick();
    for (const peer of this.#peers) {
      peer.tick(elapsedMs);
      const isSeed = peer.state === "open" && peer.knowsPieces && peer.pieces.isFull;
      if (content?.wanted.isSatisfied === true && isSeed)
        peer.close(new PeerError("PEER_USELESS", "both sides have everything"));
    }
    if (content !== undefined) this.#runRounds(false);
    content?.tickStorage(now);
    this.#roster.tick();
    this.#finder.tick();
  }

  /** @internal Counts again what the parts have counted, and compares. For tests, between two turns. */
  checkInvariants(): void {
    if (this.#isOver) return;
    this.#rounds.checkInvariants();
    this.#content?.checkInvariants();
  }

  // ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────

  get info(): Uint8Array | undefined {
    return this.#content?.metainfo.info;
  }

  metadataArrived(info: Uint8Array): boolean {
    if (this.#state !== "metadata" || this.#magnet === undefined) return false;
    const digest = createHash("sha1").update(info).digest();
    if (Buffer.compare(digest, this.infoHash) !== 0) return false;
    try {
      const metainfo = parseInfo(info, this.#magnet);
      this.#state = "checking";
      this.#exchange.decide(metainfo.private);
      if (metainfo.private) this.#roster.forgetOrigin("exchange");
      this.#begin(metainfo);
      this.#tell("metadata", metainfo);
      // Whoever does not have it, may have it of us.
      for (const peer of this.#peers) peer.repeatExtensionHandshake();
    } catch (error) {
      this.#rejectReady(error);
      this.#broke(error);
    }
    return true;
  }

  // ── Swarm ────────────────────────────────────────────────────────────────────────────────────────────────────

  get layout(): Layout | undefined {
    return this.#opened?.layout;
  }

  get blocks(): SwarmBlocks | undefined {
    return this.#opened;
  }

  get isUploadOnly(): boolean {
    return this.#opened?.wantsNothing === true;
  }

  get uploadPlace(): UploadPlace {
    const place = this.#opened?.uploadPlace;
    assert(place !== undefined, "data is asked for once storage is open");
    return place;
  }

  admit(peer: PeerConnection): void {
    if (!this.isOpen) throw new PeerError("PEER_UNKNOWN_INFO_HASH", "the torrent is not open yet");
    // Seeding takes no slot of the pool, and neither does a download without peers.
    if (this.#opened?.prepare() === false)
      throw new PeerError("PEER_TOO_MANY", "other downloads have all the memory that there is for it");
    this.#roster.admit(peer);
  }

  peerOpened(peer: PeerConnection): void {
    // Which torrent an incoming connection is for is known only now.
    if (peer.incoming && this.#receiveMode !== undefined)
      peer.setReceiveMode(this.receiveModeChoice(this.#receiveMode));
    this.#exchange.peerReachable(peer);
    this.#tell("peerConnected", describePeer(peer), this.#handleOf(peer));
  }

  peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    this.#opened?.peerGone(peer);
    this.#exchange.peerClosed(peer);
    this.#roster.peerClosed(peer, error);
    addCounters(this.#endedCounters, peer.counters);
    this.#room.countersEnded(peer.counters);
    this.#rounds.peerGone(peer);
    if (this.#isOver) return;
    this.#tell("peerDisconnected", { host: peer.host, port: peer.port }, error);
    if (this.#roster.isExhausted) this.#tell("outOfPeers");
  }

  get extensions(): ExtensionTable<PeerConnection> {
    return this.#extensions;
  }

  get announcementsWaiting(): number {
    return this.#opened?.announcementsWaiting ?? 0;
  }

  peerListens(peer: PeerConnection): void {
    this.#roster.peerListens(peer);
    this.#exchange.peerReachable(peer);
  }

  peerAnnounced(peer: PeerConnection, piece: number): void {
    this.#opened?.peerAnnounced(peer, piece);
  }

  peerWithdrew(peer: PeerConnection, piece: number): void {
    this.#opened?.peerWithdrew(peer, piece);
  }

  isInteresting(peer: PeerConnection): boolean {
    return this.#opened?.isInteresting(peer) === true;
  }

  isMissing(piece: number): boolean {
    return this.#opened?.wanted.missing.has(piece) === true;
  }

  peerInterestChanged(peer: PeerConnection): void {
    if (this.#roundAsked || this.#opened === undefined || !this.#rounds.isSoon(peer)) return;
    this.#roundAsked = true;
    this.#room.reactor.atTurnEnd(this.#earlyRound);
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
    this.#content?.sourceFaulted();
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
      handle = new PeerHandle(peer, this, this.#room.userCalls);
      this.#handles.set(peer, handle);
    }
    return handle;
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  get #isOver(): boolean {
    return this.#state === "failed" || this.#state === "closed";
  }

  /** Tells listeners, when the turn is over. */
  #tell<Name extends keyof TorrentEvents>(name: Name, ...args: TorrentEvents[Name]): void {
    if (this.listenerCount(name) > 0) this.#room.userCalls.tell(this, name, args);
  }

  #enter(state: TorrentState): void {
    this.#state = state;
    if (this.#content !== undefined) this.#content.isDownloading = state === "downloading";
  }

  #runRounds(soon: boolean): void {
    const isSeeding = this.#opened?.wanted.isSatisfied === true;
    this.#rounds.run(this.#peers, isSeeding, this.#room.clock.nowMs, soon);
  }

  /** The metadata is there: makes the content, and opens it. */
  #begin(metainfo: Metainfo): void {
    this.#content = new TorrentContent(metainfo, this.#contentHost());
    this.#open(this.#content).then(this.#resolveReady, this.#rejectReady);
  }

  async #open(content: TorrentContent): Promise<void> {
    try {
      await this.#filesFree;
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      await content.open(this.#closing.signal);
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      // Without a check it may have failed meanwhile: what is open already is closed with the torrent.
      this.#opened = content;
      this.#enter(content.wantsNothing ? "seeding" : "downloading");
      this.#tell("ready");
      for (const peer of this.#peers) peer.layoutKnown();
      this.#finder.start();
      if (content.wanted.isSatisfied) await this.#complete();
      else {
        if (content.isReadOnly) this.#room.userCalls.call(this.#done.reject, content.incomplete());
        this.#roster.tick();
      }
      // Who waits for `ready` has heard all that came before it.
      await this.#room.userCalls.flushed();
    } catch (error) {
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      // Whatever it is, a bug of ours included, is told by `ready` and `done`.
      this.#fail(asError(error));
      throw error;
    }
  }

  /** All that is wanted is verified: makes it durable. */
  async #complete(): Promise<void> {
    if (this.#isCompleting) return;
    this.#isCompleting = true;
    const content = this.#content!;
    try {
      // Meanwhile more may be wanted, and come.
      for (let count = -1; count !== content.got.count; ) {
        count = content.got.count;
        await content.settle();
        await content.lent();
      }
    } catch (error) {
      this.#broke(error);
      return;
    } finally {
      this.#isCompleting = false;
    }
    if (this.#isOver || !content.wanted.isSatisfied) return;
    this.#enter("seeding");
    this.#roster.setSeeding(true);
    for (const peer of this.#peers) {
      peer.updateInterest();
      this.#uploadOnly.tell(peer, true);
    }
    this.#tell("done");
    this.#room.userCalls.call(this.#done.resolve, undefined);
    this.#roster.tick();
  }

  /** More is wanted than was, or less. */
  #wantedChanged(): void {
    const content = this.#opened;
    if (content === undefined || this.#isOver) return;
    if (this.#state === "seeding" && !content.wantsNothing) {
      this.#enter("downloading");
      this.#done = makeDeferred();
      this.#roster.setSeeding(false);
      for (const peer of this.#peers) this.#uploadOnly.tell(peer, false);
    } else if (this.#state === "downloading" && content.wanted.isSatisfied) void this.#complete();
    for (const peer of this.#peers) peer.wantedChanged();
    this.#roster.tick();
  }

  /** The torrent cannot go on; what was verified and made durable stays so. */
  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#enter("failed");
    this.#finder.stop();
    this.#content?.hush();
    this.#roster.closeAll();
    this.#content?.releaseMemory().catch(throwAsUncaught);
    this.#tell("failed", error);
    this.#room.userCalls.call(this.#done.reject, error);
  }

  /** Something threw where nobody waits for it. A bug of ours is no matter of storage: the program hears of it as such. */
  #broke(error: unknown): void {
    this.#fail(asError(error));
    if (!(error instanceof ScatterwireError)) throwAsUncaught(error);
  }

  #abortError(text: string): UsageError {
    const cause = this.#abortReason;
    return new UsageError("ABORTED", text, cause === undefined ? undefined : { cause });
  }

  async #close(): Promise<void> {
    const before = this.#state;
    this.#enter("closed");
    this.#finder.stop();
    this.#content?.hush();
    this.#closing.abort(this.#abortReason);
    this.#stopWaitingForAbort();
    this.#roster.closeAll();
    if (before !== "seeding")
      this.#room.userCalls.call(
        this.#done.reject,
        this.#abortError("the torrent was closed before it was complete"),
      );
    if (before === "metadata") this.#rejectReady(this.#abortError("the torrent was closed"));
    try {
      await this.ready.catch(() => {});
      await this.#filesFree;
      await this.#content?.releaseMemory();
      await this.#content?.close(before !== "failed");
    } finally {
      this.#onClosed();
    }
  }

  #contentHost(): ContentHost {
    const isOver = (): boolean => this.#isOver;
    return {
      room: this.#room,
      options: this.#options,
      attribution: this.#attribution,
      peers: this.#peers,
      selectOnly: this.#magnet?.selectOnly,
      get isOver() {
        return isOver();
      },
      recordOf: (peer) => this.#roster.recordOf(peer),
      tell: (name, ...args) => this.#tell(name, ...args),
      warn: (text) => this.#warnings.tell(text),
      ban: (record, piece) => this.#ban(record, piece),
      gotAll: () => {
        this.#finder.completed();
        void this.#complete();
      },
      fail: (error) => this.#fail(error),
      broke: (error) => this.#broke(error),
      leaseReleased: () => {
        // At whatever time: who waits for memory is woken at the end of a turn, and there may be none.
        if (this.#room.pool.waiterCount > 0) this.#room.reactor.atTurnEnd(NOTHING);
      },
    };
  }

  #rosterHost(): RosterHost {
    const room = this.#room;
    const isOpen = (): boolean => this.isOpen;
    const isSeeding = (): boolean => this.#opened?.wanted.isSatisfied === true;
    const maxPeers = (): number =>
      this.#opened === undefined
        ? Math.min(PEERS_BEFORE_METADATA_MAX, room.maxPeersPerTorrent)
        : room.maxPeersPerTorrent;
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
      get maxPeers() {
        return maxPeers();
      },
      peerId: room.peerId,
      mayConnectTo: (host) => room.mayConnectTo(host),
      connect: (host, port, receiveMode) =>
        room.connect(host, port, this, room.peerSettings(receiveMode ?? this.#receiveMode)),
      settingsOf: (receiveMode) => room.peerSettings(receiveMode),
      wantsToDial: () => room.dial(this),
    };
  }

  #searching(): SearchingTorrent {
    const { trackers, directory, resume, readOnly } = this.#options;
    const opened = (): TorrentContent | undefined => this.#opened;
    const isDownloading = (): boolean => this.#state === "downloading" || this.#state === "metadata";
    const peerCount = (): number => this.#peers.size;
    const isKept = resume !== false && readOnly !== true && !KEEPS_NOTHING.has(this.storageKind);
    return {
      infoHash: this.infoHash,
      trackers,
      get keepsTotalsIn() {
        return isKept && opened() !== undefined ? directory : undefined;
      },
      get bytesLeft() {
        const content = opened();
        return content === undefined ? undefined : content.layout.totalLength - content.bytesGot;
      },
      get wantsBlocks() {
        return isDownloading();
      },
      get peerCount() {
        return peerCount();
      },
      counters: () => this.counters(),
      bring: (source, addresses) => this.#roster.bring(source, addresses),
      tellTracker: (status) => this.#tell("tracker", status),
      warn: (text) => this.#warnings.tell(text),
    };
  }

  /** What a magnet is of may be private: as long as that is not known nobody is told of anybody. */
  #makeExchange(source: Metainfo | Magnet): PeerExchange<PeerConnection> {
    const { clock } = this.#room;
    const host: ExchangeHost = {
      get nowMs() {
        return clock.nowMs;
      },
      bring: (addresses) => void this.#roster.bring(EXCHANGE_SOURCE, addresses),
    };
    const exchange = new PeerExchange<PeerConnection>(host, !isMagnet(source));
    if (!isMagnet(source)) exchange.decide(source.private);
    return exchange;
  }

  #metadataHost(): MetadataHost<PeerConnection> {
    const { clock } = this.#room;
    const info = (): Uint8Array | undefined => this.info;
    return {
      get nowMs() {
        return clock.nowMs;
      },
      get info() {
        return info();
      },
      metadataArrived: (bytes) => this.metadataArrived(bytes),
      lied: (peer, error) => {
        const record = this.#roster.recordOf(peer);
        if (record !== undefined) this.#banFor(record, error);
      },
      progressed: () => this.#tell("metadataProgress", this.#metadata.progress),
    };
  }

  #ban(record: PeerRecord, piece: number): void {
    this.#banFor(record, new PeerError("PEER_BAD_PIECE", `sent piece ${piece} with a wrong digest`));
  }

  #banFor(record: PeerRecord, error: PeerError): void {
    this.#tell("peerBanned", { host: record.host, port: record.port }, error);
    this.#roster.ban(record, error);
  }
}

/** The options as they are now: what the program does to its object, or to its working directory, changes nothing any more. */
function settled(options: TorrentOptions): TorrentOptions {
  const { directory } = options;
  return directory === undefined ? { ...options } : { ...options, directory: resolve(directory) };
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Whoever does not ask for the promise must not be killed by its rejection. */
function makeDeferred(): Deferred {
  let [resolve, reject]: [() => void, (error: Error) => void] = [() => {}, () => {}];
  const promise = new Promise<void>((resolved, rejected) => {
    [resolve, reject] = [resolved, rejected];
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
