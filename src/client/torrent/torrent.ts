// One torrent, as programs see it: what is here is explained in the README or in its comment, and nothing else is visible. What it does
// is torrent-core.ts.
//
// Always: no method but those that say so throws, and none of them waits for the network.

import { EventEmitter } from "node:events";
import type { Duplex, Readable } from "node:stream";
import { UsageError } from "../../base/errors.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import { checkOption, checkOptions } from "../../base/option-check.js";
import type { RateLimitChange } from "../../base/rate-limit.js";
import { checkPeer, checkReceiveMode, checkStream } from "../check-options.js";
import type { Magnet } from "../metainfo/magnet.js";
import type { Metainfo } from "../metainfo/types.js";
import {
  PEER_CONNECT_OPTIONS,
  RATE_LIMIT_OPTIONS,
  REMOVE_OPTIONS,
  TORRENT_OPTIONS,
} from "../option-table.js";
import type {
  BlockLease,
  Connection,
  PeerAddress,
  PeerConnectOptions,
  PeerInfo,
  Pieces,
  ReadStreamOptions,
  ReceiveModeName,
  RemoveOptions,
  Selection,
  TorrentEvents,
  TorrentOptions,
  TorrentProgress,
  TorrentState,
  TorrentStats,
  TrackerStatus,
  WebSeedStatus,
} from "../options.js";
import type { StorageCounters, StorageKind } from "../storage/storage.js";
import type { EngineRoom } from "./engine-room.js";
import { openFileStream, type StreamHost } from "./file-stream.js";
import { TorrentCore } from "./torrent-core.js";
import { TorrentFile } from "./torrent-file.js";

let coreOf: (torrent: Torrent) => TorrentCore;

/**
 * One torrent of a session: made by Session.add(), and over with close(), remove(), or its session. After its end its methods do nothing or
 * throw UsageError `USAGE_STATE`.
 */
export class Torrent extends EventEmitter<TorrentEvents> {
  readonly #core: TorrentCore;

  static {
    coreOf = (torrent) => torrent.#core;
  }

  /** @internal Sessions make torrents. */
  constructor(
    room: EngineRoom,
    source: Metainfo | Magnet,
    options: TorrentOptions,
    after: Promise<unknown> | undefined,
  ) {
    super();
    this.#core = new TorrentCore(this, room, source, options, after);
  }

  /** 20 bytes. */
  get infoHash(): Uint8Array {
    return this.#core.infoHash;
  }

  /** Resolves when the metadata is there, the check at the start is over and peers are welcome; rejects with what prevented it. */
  get ready(): Promise<void> {
    return this.#core.ready;
  }

  /** Where it is; `progress()` says how far. */
  get state(): TorrentState {
    return this.#core.state;
  }

  /** What the torrent file says; undefined in state "metadata". */
  get metainfo(): Metainfo | undefined {
    return this.#core.content?.metainfo;
  }

  /** The torrent's name; before its metadata is there, what the magnet calls it, or else its info hash in hex. */
  get name(): string {
    return this.metainfo?.name ?? this.#core.magnet?.name ?? Buffer.from(this.infoHash).toString("hex");
  }

  /**
   * Resolves when all pieces that are wanted are verified and durably stored; rejects with why they never will be. With `readOnly` and
   * pieces that are missing that is StorageError `STORAGE_READ_ONLY`, and what is there is seeded. Another promise once select() wants
   * more than was there.
   */
  get done(): Promise<void> {
    return this.#core.done;
  }

  /**
   * Verified pieces, as they are now and become: peers are told of these and may ask for them, but with storage "null", which has none
   * to give; with `verify: false` none. Before the metadata is there, of no pieces.
   */
  get have(): Pieces {
    return this.#core.content?.have ?? this.#core.swarm.have;
  }

  /** The kind of storage in use, which is "file" where "direct" was asked for and the file system refuses it. */
  get storageKind(): StorageKind {
    return this.#core.content?.storageKind ?? this.#core.options.storage ?? "file";
  }

  /** Where the files lie, or undefined for memory and null storage. */
  get directory(): string | undefined {
    return this.#core.options.directory;
  }

  /**
   * Connects to a peer, now or as soon as the torrent is ready and the session has room; or speaks to one over a stream that the program
   * has (TLS, a WebRTC data channel, uTP), at which we speak first. Such a stream is the torrent's from here on and is ended with the
   * connection; it is not made again. Its address is what it tells (`remoteAddress`, `remotePort`), else `stream-1`, `stream-2` and so on; who
   * cannot join is told by `peerDisconnected`. Throws UsageError `USAGE_OPTION` for a port or an option that is none, and what is no Duplex
   * of bytes; `USAGE_STATE` for a stream while peers are not welcome (before `ready`, while it is checked or paused, after its end): the stream
   * is the program's then.
   */
  addPeer(peer: PeerAddress | Duplex, options: PeerConnectOptions = {}): void {
    if (isStream(peer)) {
      checkOptions(PEER_CONNECT_OPTIONS, options, "a peer");
      checkStream(peer);
      if (!this.#core.isOpen)
        throw new UsageError(
          "USAGE_STATE",
          "a stream joins a torrent that is open to peers: await its `ready`",
        );
      this.#core.swarm.addStream(peer, options.receiveMode);
      return;
    }
    checkPeer(peer, options);
    if (!this.#core.isOver) this.#core.swarm.add(peer, options.receiveMode);
  }

  /**
   * Forgets an address: it is not connected to, a connection to it ends, and nothing is remembered of it. Whoever names it again, by
   * addPeer() or otherwise, names a new one.
   */
  forgetPeer(address: PeerAddress): void {
    checkPeer(address, {});
    this.#core.swarm.forget(address);
  }

  /** True while peers are shown pieces one by one (the option `superSeeding`, BEP 16): until the whole is out. */
  get isSuperSeeding(): boolean {
    return this.#core.swarm.hidesPieces;
  }

  /** Trackers, by tier, those that work first; what each said last. */
  get trackers(): TrackerStatus[] {
    return this.#core.finder.trackers;
  }

  /** Web seeds (BEP 19); those that are joined are peers as well. */
  get webSeeds(): WebSeedStatus[] {
    return this.#core.finder.webSeeds;
  }

  /** Asks trackers for more peers, those whose min interval is over. It is done without being asked where peers are few. */
  announce(): void {
    if (this.#core.isOpen) this.#core.finder.announce();
  }

  /** Peers that are connected now, both handshakes done; as they are at this moment. */
  peers(): PeerInfo[] {
    return this.#core.swarm.peers();
  }

  /** The open connections, to look at and to change each by itself. */
  connections(): Connection[] {
    return this.#core.swarm.connections();
  }

  /** Sums over all connections, ended ones included. */
  counters(): TransferCounters {
    return this.#core.swarm.counters();
  }

  /** What was read and written of its files so far, in calls and bytes; undefined before its storage is open. */
  storageCounters(): StorageCounters | undefined {
    const counters = this.#core.content?.storageCounters;
    return counters === undefined ? undefined : { ...counters };
  }

  /** How far it is, in pieces and bytes, and how fast. */
  progress(): TorrentProgress {
    return this.#core.progress();
  }

  /**
   * Gives files or pieces a priority: 0 is not wanted. Takes effect at once: what is under way of pieces that are not wanted any more
   * is dropped, and verified pieces stay. Throws UsageError (before the metadata, or for what the torrent does not have), StorageError
   * if a file cannot be made.
   */
  select(selection: Selection): void {
    this.#core.known("select()").select(selection);
    this.#core.wantedChanged();
  }

  /** Gives each file its priority, in their order; those that are left out keep theirs. Throws as select() does. */
  setPriorities(priorities: readonly number[]): void {
    const content = this.#core.known("setPriorities()");
    checkOption("priorities", TORRENT_OPTIONS.priorities, priorities);
    if (priorities.length > content.layout.files.length)
      throw new UsageError("USAGE_OPTION", `the torrent has ${content.layout.files.length} files`);
    for (const priority of new Set(priorities)) {
      const files = [...priorities.keys()].filter((index) => priorities[index] === priority);
      content.select({ files, priority });
    }
    this.#core.wantedChanged();
  }

  /**
   * Changes how much may pass in a second, all connections of the torrent together, while bytes flow; what is left out stays as it is.
   * The session's limits hold besides. Throws UsageError `USAGE_OPTION`.
   */
  setRateLimits(limits: RateLimitChange): void {
    checkOptions(RATE_LIMIT_OPTIONS, limits, "setRateLimits()");
    this.#core.swarm.setRateLimits(limits);
  }

  /** The torrent's own limits; 0: none. */
  get rateLimits(): Required<RateLimitChange> {
    return this.#core.swarm.rateLimits.now;
  }

  /** Changes how all connections of this torrent receive, present and future. Throws UsageError `USAGE_OPTION`. */
  setReceiveMode(mode: ReceiveModeName): void {
    checkReceiveMode(mode);
    this.#core.swarm.setReceiveMode(mode);
  }

  /**
   * Reads verified data into the pool and lends it: at most one block (16 KiB), inside a piece. Rejects StorageError
   * or UsageError (not there yet, out of range, no memory free).
   */
  async read(piece: number, begin: number, length: number): Promise<BlockLease> {
    return this.#core.known("read()").read(piece, begin, length);
  }

  /**
   * A file as a stream of its bytes, from `start` to `end`, while it is still coming: what is read next is fetched before all else, and
   * is wanted from then on. While data is looked at (at the start, and in recheck()) it waits. To seek is to destroy the stream and make
   * another one. Throws UsageError.
   */
  createReadStream(fileIndex: number, options: ReadStreamOptions = {}): Readable {
    const core = this.#core;
    const host: StreamHost = {
      content: () => core.known("createReadStream()"),
      get over() {
        return core.isOver ? core.overReason : undefined;
      },
      get opened() {
        return core.opened;
      },
      whenHere: (piece, callback) => core.waiters.add(piece, callback),
      wantedChanged: () => core.wantedChanged(),
      aimedAnew: () => core.swarm.aimedAnew(),
    };
    return openFileStream(host, fileIndex, options);
  }

  /** Its files, to read while they come. Throws UsageError `USAGE_STATE` before the metadata. */
  get files(): TorrentFile[] {
    const { layout } = this.#core.known("files");
    const open = (index: number, options: ReadStreamOptions): Readable =>
      this.createReadStream(index, options);
    return layout.files.map((file, index) => new TorrentFile(file, index, open));
  }

  /**
   * Blocks of verified pieces as they come, each once, in ascending order within a piece, as leases to be released; with the option
   * `lendBlocks`. It ends when all that is wanted was lent, and throws what ends the torrent before. A quarter of the pool is lent at one
   * time: whoever keeps that much gets no more until it releases some, and peers are asked for nothing meanwhile. What was there at the
   * start is not lent: read() reads it. Whoever breaks off may go on with another call. Throws UsageError `USAGE_STATE` without the option,
   * and while somebody else takes them.
   */
  blocks(): AsyncIterableIterator<BlockLease> {
    const { feed } = this.#core;
    if (feed === undefined) throw new UsageError("USAGE_STATE", "blocks() needs the option lendBlocks");
    return feed.take(this.#core);
  }

  /** What it does now, and what it has done since it was added. */
  stats(): TorrentStats {
    const { downloadRate, uploadRate, peers, bytesMissing, piecesVerified, pieceCount } = this.progress();
    const { payloadBytes, sentPayloadBytes, wastedBytes } = this.counters();
    return {
      downloadBytesPerSecond: downloadRate,
      uploadBytesPerSecond: uploadRate,
      downloadedBytes: payloadBytes,
      uploadedBytes: sentPayloadBytes,
      wastedBytes,
      bytesMissing,
      secondsLeft: bytesMissing === 0 ? 0 : downloadRate > 0 ? bytesMissing / downloadRate : undefined,
      peers,
      seeds: this.#core.swarm.seedCount,
      piecesVerified,
      pieceCount,
      piecesFailedTotal: this.#core.piecesFailed,
    };
  }

  /** Ends all connections, and makes none until resume(): then the state is "paused". A check under way goes on. Idempotent. */
  pause(): void {
    this.#core.pause();
  }

  /** Connects again. Idempotent. */
  resume(): void {
    this.#core.resume();
  }

  /**
   * Forgets what is known to be good, and checks all that is on disk, as if there were no resume data; connections end. Resolves when
   * the check is over. Rejects UsageError `USAGE_STATE` before the metadata and during a check, StorageError.
   */
  recheck(): Promise<void> {
    return this.#core.recheck();
  }

  /**
   * Moves the files, and what is kept beside them, to another download folder, and goes on there: seeding or downloading. Connections end
   * meanwhile and the state is "checking". Within a file system nothing is copied or hashed; else all is copied, and hashed before the old
   * files go. Nothing that is there is overwritten. Resolves when peers are welcome again. Rejects StorageError (`STORAGE_EXISTS`,
   * `STORAGE_NO_SPACE`, `STORAGE_READ_ONLY`, `STORAGE_LOCKED` and others): then all is where it was, and the torrent goes on there; UsageError `USAGE_OPTION`,
   * `USAGE_STATE` before the metadata, during a check, with `readOnly`, and for storage without files; `ABORTED` when it is closed meanwhile.
   * Whenever the process is killed, one of the two folders is whole.
   */
  async move(directory: string): Promise<void> {
    checkOption("directory", TORRENT_OPTIONS.directory, directory);
    await this.#core.move(directory);
  }

  /**
   * Closes the torrent and deletes its resume data; with `data` its files, and folders that are empty then, too. With `readOnly`
   * nothing is deleted. Rejects StorageError for what cannot be deleted; `STORAGE_LOCKED`, and all stays, where the download was added again
   * since it was closed.
   */
  async remove(options: RemoveOptions = {}): Promise<void> {
    checkOptions(REMOVE_OPTIONS, options, "remove()");
    await this.#core.remove(options.data === true);
  }

  /** Ends connections, finishes what storage has begun, and makes resume data safe. Idempotent. */
  close(): Promise<void> {
    return this.#core.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a program that has no type checker gives is told apart by this, and refused by what is said of each. */
function isStream(peer: PeerAddress | Duplex): peer is Duplex {
  return typeof (peer as Partial<Duplex> | undefined)?.pipe === "function";
}

/** What a torrent is made of. For sessions and tests: it is not exported to programs. */
export function torrentCoreOf(torrent: Torrent): TorrentCore {
  return coreOf(torrent);
}
