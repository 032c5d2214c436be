// The life of one torrent: its states, and when it passes from one to the next. Who is here is in torrent-swarm.ts; what the torrent
// holds, and the way of a block, in content.ts, which is made when the metadata is there: at once for a torrent file, later for a
// magnet. What programs see is torrent.ts.
//
//   metadata ──▶ checking ──▶ downloading ◀──▶ seeding        any state ──▶ failed (storage) or closed
//   (magnets)       └───────── all there ───────▲
//
// "paused" is one of these, but for the check, without connections. Passing from one state to the next is all here, which is why the
// file is somewhat long.
//
// "seeding" has all that is wanted, and goes back when more is. A torrent that began without metadata keeps its peers while it
// checks; one that began with it has none before.
//
// Always: what failed or closed keeps nothing of the pool. Listeners are told, and promises settled, through the session's queue,
// in one order.

import { createHash } from "node:crypto";
import type { EventEmitter } from "node:events";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { assert } from "../../base/assert.js";
import { makeDeferred } from "../../base/deferred.js";
import { ScatterwireError, StorageError, UsageError } from "../../base/errors.js";
import { KeptWarnings, throwAsUncaught } from "../../base/user-calls.js";
import { whenAborted } from "../../base/when-aborted.js";
import { checkTorrentOptions } from "../check-options.js";
import { isMagnet, type Magnet } from "../metainfo/magnet.js";
import { parseInfo } from "../metainfo/parse.js";
import type { Metainfo } from "../metainfo/types.js";
import type { TorrentEvents, TorrentOptions, TorrentProgress, TorrentState } from "../options.js";
import { forgetResumeData, removeDownload } from "../storage/remove-files.js";
import { BlockFeed } from "./block-feed.js";
import { isPublished, publishOfTorrent, publishState } from "./channels.js";
import { TorrentContent } from "./content.js";
import type { EngineRoom } from "./engine-room.js";
import { MAGNET_SOURCE, type PeerFinder } from "./peer-source.js";
import { PieceWaiters } from "./piece-waiters.js";
import { contentHostOf, KEEPS_NOTHING, searchingOf, swarmHostOf } from "./torrent-hosts.js";
import { TorrentSwarm } from "./torrent-swarm.js";

/** Data is checked whatever the program said of it when it added the torrent. */
const LOOKED_AT_AGAIN: TorrentOptions = { assumeComplete: false, assumeEmpty: false };

export class TorrentCore {
  readonly infoHash: Uint8Array;
  #options: TorrentOptions;
  readonly swarm: TorrentSwarm;
  readonly waiters = new PieceWaiters();
  /** With the option lendBlocks. */
  readonly feed: BlockFeed | undefined;
  /** What finds peers; another one after each pause. */
  finder: PeerFinder;
  readonly room: EngineRoom;
  /** Who listens to its events. */
  readonly #emitter: EventEmitter<TorrentEvents>;
  /** For a torrent that began without metadata. */
  readonly #magnet: Magnet | undefined;
  readonly #closing = new AbortController();

  #state: TorrentState;
  /** The state that was told last on a channel. */
  #stateTold: TorrentState | undefined;
  /** Why it failed. */
  #failure: Error | undefined;
  /** Times that a piece failed its check. */
  piecesFailed = 0;
  #content: TorrentContent | undefined;
  /** The content, once it is open. */
  #opened: TorrentContent | undefined;
  /** The former user of the same files has closed them. */
  readonly #filesFree: Promise<unknown>;
  #closed: Promise<void> | undefined;
  readonly #ready = makeDeferred();
  #done = makeDeferred();
  #isPaused = false;
  /** Settled when no check that the program asked for is under way. */
  #rechecking: Promise<unknown> = Promise.resolve();
  /** All that was wanted has come, and is being made durable. */
  #completing: TorrentContent | undefined;
  /** What the program gave as the reason of its AbortSignal. */
  #abortReason: unknown;
  readonly #warnings: KeptWarnings;
  readonly #onAbort = () => {
    this.#abortReason = this.options.signal?.reason;
    this.close().catch((error: unknown) => this.warn(`closing the torrent failed: ${String(error)}`));
  };
  #stopWaitingForAbort: () => void = () => {};
  #onClosed: () => void = () => {};

  /** Opens when `after` has settled: what had the same files before. */
  constructor(
    emitter: EventEmitter<TorrentEvents>,
    room: EngineRoom,
    source: Metainfo | Magnet,
    options: TorrentOptions,
    after: Promise<unknown> = Promise.resolve(),
  ) {
    checkTorrentOptions(options);
    this.#emitter = emitter;
    this.room = room;
    this.infoHash = source.infoHash;
    this.#options = settled(options);
    this.feed = options.lendBlocks === true ? new BlockFeed() : undefined;
    this.#magnet = isMagnet(source) ? source : undefined;
    this.#state = isMagnet(source) ? "metadata" : "checking";
    this.#filesFree = after.catch(() => {});
    this.#warnings = new KeptWarnings(emitter, room.userCalls);
    this.swarm = new TorrentSwarm(swarmHostOf(this, isMagnet(source) ? undefined : source.private));
    this.finder = room.findPeers(searchingOf(this), source);
    room.recorder?.torrent({ infoHash: this.#infoHashHex });
    this.#tellState();
    if (!isMagnet(source)) this.#begin(source);
    else {
      this.swarm.bring(MAGNET_SOURCE, source.peers);
      this.finder.start();
    }
    for (const peer of options.peers ?? []) this.swarm.add(peer, undefined);
    if (options.signal?.aborted === true) this.#onAbort();
    else if (options.signal !== undefined)
      this.#stopWaitingForAbort = whenAborted(options.signal, this.#onAbort);
  }

  /** As they were given, but for the folder: move() changes it. */
  get options(): TorrentOptions {
    return this.#options;
  }

  // ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────

  get state(): TorrentState {
    const isHeld = this.#isPaused && !this.isOver && this.#state !== "checking";
    return isHeld ? "paused" : this.#state;
  }

  /** Why it failed, if it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Undefined before the metadata is there. */
  get content(): TorrentContent | undefined {
    return this.#content;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** The content, once it is open. */
  get opened(): TorrentContent | undefined {
    return this.#opened;
  }

  /** True once connections may join: to trade blocks, or for the metadata. */
  get isOpen(): boolean {
    return !this.isOver && !this.#isPaused && (this.#opened !== undefined || this.#magnet !== undefined);
  }

  get isOver(): boolean {
    return this.#state === "failed" || this.#state === "closed";
  }

  /** Why nothing goes on, once it is over: what it failed of, or that it was closed. */
  get overReason(): Error {
    return this.#failure ?? this.#abortError("the torrent was closed");
  }

  /** What the magnet says, for a torrent that began as one. */
  get magnet(): Magnet | undefined {
    return this.#magnet;
  }

  progress(): TorrentProgress {
    const content = this.#content;
    const state = this.#state;
    return {
      state,
      verified: this.options.verify !== false,
      piecesVerified: content?.got.count ?? 0,
      pieceCount: content?.layout.pieceCount ?? 0,
      bytesVerified: content?.bytesGot ?? 0,
      bytesTotal: content?.layout.totalLength ?? 0,
      bytesWanted: content?.wanted.bytesWanted ?? 0,
      bytesMissing: content?.wanted.bytesMissing ?? 0,
      checked: state === "checking" ? (content?.checked ?? 0) : state === "metadata" ? 0 : 1,
      ...this.swarm.rates(),
      peers: this.swarm.here.size,
      ...(state === "metadata" ? { metadata: this.swarm.metadataProgress } : {}),
    };
  }

  /** For a call that needs to know what the torrent holds. Throws UsageError. */
  known(what: string): TorrentContent {
    if (this.isOver) throw new UsageError("USAGE_STATE", "the torrent is not open");
    if (this.#content !== undefined) return this.#content;
    throw new UsageError("USAGE_STATE", `${what} needs the metadata, which is not there yet`);
  }

  // ── what happens to it ───────────────────────────────────────────────────────────────────────────────────────

  /** Calls `callback` when the torrent has closed. */
  onClosed(callback: () => void): void {
    this.#onClosed = callback;
  }

  /** Time passed; about once a second. */
  tick(elapsedMs: number): void {
    const now = this.room.clock.nowMs;
    const content = this.#opened;
    if (this.#isPaused && !this.isOver) content?.tickStorage(now);
    if (!this.isOpen) return;
    content?.tick(now);
    this.swarm.tick(elapsedMs);
    content?.tickStorage(now);
    this.swarm.dialMore();
    this.finder.tick();
  }

  /** Counts again what the parts have counted, and compares. For tests, between two turns. */
  checkInvariants(): void {
    if (this.isOver) return;
    this.swarm.checkInvariants();
    this.#content?.checkInvariants();
  }

  /**
   * The bytes of the info dictionary, from whomever. False for those of another torrent, and when it is known. If they have the right
   * hash and are no torrent that can be used, the torrent fails, since no others will come.
   */
  metadataArrived(info: Uint8Array): boolean {
    if (this.#state !== "metadata" || this.#magnet === undefined) return false;
    const digest = createHash("sha1").update(info).digest();
    if (Buffer.compare(digest, this.infoHash) !== 0) return false;
    try {
      const metainfo = parseInfo(info, this.#magnet);
      this.#enter("checking");
      this.#begin(metainfo);
      this.tell("metadata", metainfo);
      this.swarm.metadataKnown(metainfo.private);
    } catch (error) {
      this.#ready.reject(error);
      this.broke(error);
    }
    return true;
  }

  /** A piece more is verified, and none that is wanted is missing. */
  gotAll(): void {
    // A part of a torrent is no download that trackers count (BEP 21).
    if (this.#content?.got.isFull === true) this.finder.completed();
    void this.#complete();
  }

  /** More is wanted than was, or less. */
  wantedChanged(): void {
    const content = this.#opened;
    if (content === undefined || this.isOver) return;
    if (this.#state === "seeding" && !content.wantsNothing) {
      this.#enter("downloading");
      this.#done = makeDeferred();
      this.swarm.setSeeding(false);
    } else if (this.#state === "downloading" && content.wanted.isSatisfied) void this.#complete();
    this.swarm.wantedChanged();
    this.swarm.dialMore();
  }

  /** Ends all connections, and makes none. What was verified stays, and a check under way goes on. */
  pause(): void {
    if (this.isOver || this.#isPaused) return;
    this.#isPaused = true;
    this.#tellState();
    this.swarm.closeAll();
    this.finder.stop();
  }

  resume(): void {
    if (this.isOver || !this.#isPaused) return;
    this.#isPaused = false;
    this.#tellState();
    const announced = this.#content?.metainfo ?? this.#magnet;
    assert(announced !== undefined, "a torrent has metadata or a magnet");
    this.finder = this.room.findPeers(searchingOf(this), announced);
    if (this.#opened === undefined && this.#state !== "metadata") return;
    this.finder.start();
    this.swarm.dialMore();
  }

  /** Forgets what is known to be good, and checks all that is on disk. Rejects what ends the torrent meanwhile. */
  recheck(): Promise<void> {
    const recheck = this.#recheck();
    this.#rechecking = Promise.allSettled([this.#rechecking, recheck]);
    return recheck;
  }

  async #recheck(): Promise<void> {
    const former = this.known("recheck()");
    if (KEEPS_NOTHING.has(former.storageKind))
      throw new UsageError(
        "USAGE_STATE",
        `storage "${former.storageKind}" keeps nothing that could be checked`,
      );
    const { directory, readOnly = false, resume = true } = this.options;
    await this.#closeToLookAgain(former, () => {
      // Where nothing may be written, what is on record is left alone and not looked at.
      if (directory !== undefined && resume && !readOnly)
        forgetResumeData(directory, former.metainfo.infoHashHex);
    });
    const content = new TorrentContent(
      former.metainfo,
      contentHostOf(this, { ...LOOKED_AT_AGAIN, resume: resume && !readOnly }),
      former,
    );
    this.#content = content;
    await this.#open(content);
  }

  /** Ends connections, and closes what is open. Rejects UsageError, and what goes wrong, which ends the torrent. */
  async #closeToLookAgain(former: TorrentContent, whenClosed: () => void = () => {}): Promise<void> {
    await this.ready;
    if (this.isOver) throw this.overReason;
    if (this.#opened !== former || this.#state === "checking")
      throw new UsageError("USAGE_STATE", "the torrent is being checked or moved already");
    this.swarm.closeAll();
    this.#opened = undefined;
    if (this.#state === "seeding" && former.wanted.isSatisfied) this.#done = makeDeferred();
    this.#enter("checking");
    // Who was of no use any more may be again.
    this.swarm.setSeeding(false);
    try {
      former.hush();
      await former.releaseMemory();
      await former.close(true);
      whenClosed();
    } catch (error) {
      // Nothing is open any more: it would be checking for ever.
      this.fail(asError(error));
      throw error;
    }
    if (this.isOver) throw this.overReason;
  }

  /** Moves the files, and goes on in another folder. Rejects StorageError, UsageError: then they are where they were, and it goes on there. */
  move(directory: string): Promise<void> {
    const move = this.#move(resolve(directory));
    this.#rechecking = Promise.allSettled([this.#rechecking, move]);
    return move;
  }

  async #move(to: string): Promise<void> {
    const former = this.known("move()");
    const { directory: from, readOnly = false } = this.options;
    const isMovable = from !== undefined && !KEEPS_NOTHING.has(former.storageKind) && !readOnly;
    if (!isMovable || this.options.customStorage !== undefined)
      throw new UsageError(
        "USAGE_STATE",
        "only a torrent whose data lies in files of its own, not read-only, can be moved",
      );
    if (isSameFolder(from, to)) return;
    await this.#closeToLookAgain(former);
    try {
      // Loaded here, where nothing passes it by: most torrents stay where they are.
      const { FileMove } = await import("../storage/move-files.js");
      const move = new FileMove({
        ...{ from, to, layout: former.layout, infoHashHex: this.#infoHashHex },
        signal: this.#closing.signal,
        onWarning: (text) => this.warn(text),
      });
      await move.place();
      const content = this.#contentAgain(former, to);
      try {
        await content.open(this.#closing.signal);
        if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
        if (content.got.count < former.got.count)
          throw new StorageError("STORAGE_IO", `what lies in ${to} now is not what was moved there`);
      } catch (error) {
        await content.releaseMemory();
        await content.close(false).catch(() => {});
        await move.undo();
        this.#setDirectory(from);
        throw error;
      }
      await move.finish();
      await this.#open(content, true);
    } catch (error) {
      if (this.isOver) throw this.overReason;
      // All is where it was.
      await this.#open(this.#contentAgain(former, from));
      throw error;
    }
  }

  #setDirectory(directory: string): void {
    this.#options = { ...this.#options, directory };
  }

  /** Content of the same files, looked at again, in that folder. */
  #contentAgain(former: TorrentContent, directory: string): TorrentContent {
    this.#setDirectory(directory);
    this.#content = new TorrentContent(former.metainfo, contentHostOf(this, LOOKED_AT_AGAIN), former);
    return this.#content;
  }

  /** Closes the torrent, and deletes what was kept of it; with `data` its files, too. */
  async remove(data: boolean): Promise<void> {
    const layout = this.#content?.layout;
    await this.close();
    // A move that ended with it decided where its files are.
    const { directory, readOnly, storage = "file", customStorage } = this.options;
    const isOnDisk = customStorage === undefined && !KEEPS_NOTHING.has(storage);
    if (directory === undefined || readOnly === true || !isOnDisk) return;
    removeDownload(directory, this.#infoHashHex, data ? layout : undefined, (text) => this.warn(text));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  warn(text: string): void {
    publishOfTorrent(this.room.userCalls, this.#emitter, "warning", [text]);
    this.#warnings.tell(text);
  }

  /** True if anybody would be told of such an event now. */
  hears(name: keyof TorrentEvents): boolean {
    return isPublished(name) || this.#emitter.listenerCount(name) > 0;
  }

  /** Tells listeners, when the turn is over. */
  tell<Name extends keyof TorrentEvents>(name: Name, ...args: TorrentEvents[Name]): void {
    if (name === "pieceFailed") this.piecesFailed++;
    publishOfTorrent(this.room.userCalls, this.#emitter, name, args);
    if (this.#emitter.listenerCount(name) > 0) this.room.userCalls.tell(this.#emitter, name, args);
  }

  get #infoHashHex(): string {
    return Buffer.from(this.infoHash).toString("hex");
  }

  // ── from state to state ──────────────────────────────────────────────────────────────────────────────────────

  #enter(state: TorrentState): void {
    this.#state = state;
    if (this.#content !== undefined) this.#content.isDownloading = state === "downloading";
    this.#tellState();
  }

  #tellState(): void {
    const { state } = this;
    if (state === this.#stateTold) return;
    publishState(this.room.userCalls, this.#emitter, this.#stateTold, state, this.#failure);
    this.#stateTold = state;
  }

  /** The metadata is there: makes the content, and opens it. */
  #begin(metainfo: Metainfo): void {
    this.#content = new TorrentContent(metainfo, contentHostOf(this));
    this.#open(this.#content).then(this.#ready.resolve, this.#ready.reject);
  }

  async #open(content: TorrentContent, isOpened = false): Promise<void> {
    try {
      await this.#filesFree;
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      if (!isOpened) await content.open(this.#closing.signal);
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      // Without a check it may have failed meanwhile: what is open already is closed with the torrent.
      this.#opened = content;
      const { pieceLength, totalLength } = content.layout;
      this.room.recorder?.torrent({ infoHash: this.#infoHashHex, pieceLength, totalLength });
      this.#enter(content.wantsNothing ? "seeding" : "downloading");
      this.tell("ready");
      this.waiters.lookedAt();
      this.swarm.layoutKnown();
      if (!this.#isPaused) this.finder.start();
      if (content.wanted.isSatisfied) await this.#complete();
      else {
        if (content.isReadOnly) this.room.userCalls.call(this.#done.reject, content.incomplete());
        this.swarm.dialMore();
      }
      // Whoever waits for `ready` has heard all that came before it.
      await this.room.userCalls.flushed();
    } catch (error) {
      if (this.#closing.signal.aborted) throw this.#abortError("the torrent was closed");
      // Whatever it is, a bug of ours included, is told by `ready` and `done`.
      this.fail(asError(error));
      throw error;
    }
  }

  /** All that is wanted is verified: makes it durable. */
  async #complete(): Promise<void> {
    const content = this.#content;
    assert(content !== undefined, "what is complete has its metadata");
    if (this.#completing === content) return;
    this.#completing = content;
    try {
      // Meanwhile more may be wanted, and come.
      for (let count = -1; count !== content.got.count; ) {
        count = content.got.count;
        await content.settle();
        await content.lent();
      }
    } catch (error) {
      if (content === this.#opened || this.isOver) this.broke(error);
      return;
    } finally {
      if (this.#completing === content) this.#completing = undefined;
    }
    // Data that is looked at again meanwhile is complete when the check says so.
    if (this.isOver || content !== this.#opened || !content.wanted.isSatisfied) return;
    this.#enter("seeding");
    this.swarm.setSeeding(true);
    this.tell("done");
    this.room.userCalls.call(this.#done.resolve, undefined);
    this.swarm.dialMore();
  }

  /** The torrent cannot go on; what was verified and made durable stays so. */
  fail(error: Error): void {
    if (this.isOver) return;
    this.#failure = error;
    this.#enter("failed");
    this.feed?.close();
    this.waiters.over(error);
    this.finder.stop();
    this.#content?.hush();
    this.swarm.closeAll();
    this.#content?.releaseMemory().catch(throwAsUncaught);
    this.tell("failed", error);
    this.room.userCalls.call(this.#done.reject, error);
  }

  /** Something threw where nobody waits for it. A bug of ours is no matter of storage: the program hears of it as such. */
  broke(error: unknown): void {
    this.fail(asError(error));
    if (!(error instanceof ScatterwireError)) throwAsUncaught(error);
  }

  #abortError(text: string): UsageError {
    const cause = this.#abortReason;
    return new UsageError("ABORTED", text, cause === undefined ? undefined : { cause });
  }

  async #close(): Promise<void> {
    const before = this.#state;
    this.#enter("closed");
    this.feed?.close();
    this.waiters.over(this.#abortError("the torrent was closed"));
    this.finder.stop();
    this.#content?.hush();
    this.#closing.abort(this.#abortReason);
    this.#stopWaitingForAbort();
    this.swarm.closeAll();
    if (before !== "seeding")
      this.room.userCalls.call(
        this.#done.reject,
        this.#abortError("the torrent was closed before it was complete"),
      );
    if (before === "metadata") this.#ready.reject(this.#abortError("the torrent was closed"));
    try {
      await this.ready.catch(() => {});
      await this.#rechecking;
      await this.#filesFree;
      await this.#content?.releaseMemory();
      await this.#content?.close(before !== "failed");
    } finally {
      this.#onClosed();
    }
  }
}

/** The options as they are now: what the program does to its object, or to its working directory, changes nothing any more. */
function settled(options: TorrentOptions): TorrentOptions {
  const { directory } = options;
  return directory === undefined ? { ...options } : { ...options, directory: resolve(directory) };
}

function isSameFolder(a: string, b: string): boolean {
  if (a === b) return true;
  try {
    const [one, other] = [statSync(a), statSync(b)];
    return one.ino === other.ino && one.dev === other.dev;
  } catch {
    // One of them is not there, or is no folder: whoever goes there finds out.
    return false;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
