// What a torrent holds, and the way of a block from a peer to storage: made when the metadata is there, since all of it needs the
// layout. It puts the picker, the assembler, the attribution of blocks and storage together and decides nothing that one of them can.
//
//   made ──open(): storage opened, data checked──▶ open ──close()──▶ closed
//
// Always: a block is asked for through the picker and comes back through blockReceived or requestDropped; `have` holds verified
// pieces only (without verification none: then nobody is told of pieces and no resume data claims them); after close() nothing of
// the pool is kept.

import { StorageError, UsageError } from "../../base/errors.js";
import type { BlockIndex, PieceIndex, SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, HASH_LANES } from "../../base/limits.js";
import { PieceSet } from "../../base/piece-set.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { Metainfo } from "../metainfo/types.js";
import type { BlockLease, Selection, TorrentEvents, TorrentOptions } from "../options.js";
import type { Clock, PeerConnection } from "../peer/peer-connection.js";
import type { SwarmBlocks } from "../peer/swarm.js";
import { NO_SLOT } from "../receive/receive-plan.js";
import type { UploadPlace } from "../send/sender.js";
import { Layout } from "../storage/layout.js";
import type { Storage, StorageCounters, StorageKind } from "../storage/storage.js";
import { Allotment } from "./allotment.js";
import { Announcements } from "./announcements.js";
import { Assembler } from "./assembler.js";
import type { AssemblerHost } from "./assembler-contract.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import type { EngineRoom } from "./engine-room.js";
import { Lease } from "./lease.js";
import { Lender } from "./lender.js";
import { BLOCK_UNWANTED, Picker } from "./picker.js";
import { openPlace, type Place } from "./place.js";
import { checkSelection, selectAtFirst } from "./selection.js";
import { PRIORITY_DEFAULT, Wanted, type WantedChanges } from "./wanted.js";

/** Durable checkpoints of resume data, at the latest after so long or so much. */
const CHECKPOINT_MS = 5000;
const CHECKPOINT_BYTES = 256 * 1024 * 1024;

/** A piece that gets almost nothing for this part of the time that a request has, stalls: 4 s of 20. */
const STALL_SHARE = 1 / 5;

/** The torrent, as far as its content goes. */
export interface ContentHost {
  readonly room: EngineRoom;
  readonly options: TorrentOptions;
  readonly attribution: Attribution;
  /** Those that are here. */
  readonly peers: ReadonlySet<PeerConnection>;
  /** Failed or closed: what still comes is of no use. */
  readonly isOver: boolean;
  recordOf(peer: PeerConnection): PeerRecord | undefined;
  /** Tells listeners, when the turn is over. */
  tell<Name extends keyof TorrentEvents>(name: Name, ...args: TorrentEvents[Name]): void;
  warn(text: string): void;
  ban(record: PeerRecord, piece: number): void;
  /** What the magnet says is wanted: indices of files (BEP 53). */
  readonly selectOnly: readonly number[] | undefined;
  /** A piece more is verified, and none that is wanted is missing. */
  gotAll(): void;
  /** The torrent cannot go on. */
  fail(error: Error): void;
  /** Something threw where nobody waits for it. */
  broke(error: unknown): void;
  /** A slot that a caller held is free. */
  leaseReleased(): void;
}

export class TorrentContent implements AssemblerHost, SwarmBlocks {
  readonly metainfo: Metainfo;
  readonly layout: Layout;
  /** The torrent is downloading: set by it, since it is looked at for each block. */
  isDownloading = false;
  landsDirectly = false;
  readonly #host: ContentHost;
  readonly #room: EngineRoom;
  readonly #memory: Memory;
  readonly #clock: Clock;
  readonly #options: TorrentOptions;
  readonly #attribution: Attribution;
  readonly wanted: Wanted;
  readonly #picker: Picker;
  readonly #allotment: Allotment<PeerConnection>;
  readonly #announcements: Announcements;
  readonly #verifies: boolean;
  readonly #nothing: PieceSet;
  /** Those that bring blocks fast. */
  readonly #fast = new Set<PeerConnection>();
  /** Who brought the last block, and its record: blocks come many in a row, and looking in a map costs more than framing one. */
  #lastPeer: PeerConnection | undefined;
  #lastRecord: PeerRecord | undefined;

  #place: Place | undefined;
  #assembler: Assembler | undefined;
  /** With the option onBlock. */
  #lender: Lender | undefined;
  #uploadPlace: UploadPlace | undefined;
  #checked = 0;
  #sinceCheckpointBytes = 0;
  #lastCheckpointMs = 0;
  /** When the window began in which pieces get on or stall, and how long one is. */
  #windowStartMs = 0;
  readonly #windowMs: number;

  constructor(metainfo: Metainfo, host: ContentHost) {
    const { room, options } = host;
    this.metainfo = metainfo;
    this.layout = new Layout(metainfo);
    this.#host = host;
    this.#room = room;
    this.#memory = room.memory;
    this.#clock = room.clock;
    this.#options = options;
    this.#attribution = host.attribution;
    this.wanted = new Wanted(this.layout);
    selectAtFirst(this.wanted, this.layout, options, host.selectOnly);
    const { random } = room.reactor.ground;
    this.#picker = new Picker(this.layout, {
      random,
      wanted: this.wanted,
      sequential: options.order === "sequential",
    });
    this.#verifies = options.verify !== false;
    this.#nothing = new PieceSet(this.layout.pieceCount);
    this.#windowMs = STALL_SHARE * room.peerSettings(undefined).requestTimeoutMs;
    this.#attribution.setPieceLength(this.layout.pieceLength);
    this.#allotment = this.#makeAllotment();
    this.#announcements = new Announcements(host.peers, room.reactor.ground);
  }

  // ── what is here ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Verified pieces, which peers are told of and may ask for: with `verify: false` none. */
  get have(): PieceSet {
    return this.#verifies ? this.#picker.have : this.#nothing;
  }

  /** Pieces that are here, announced or not. */
  get got(): PieceSet {
    return this.wanted.have;
  }

  /** Files that are only read: what is there is seeded, and nothing is asked for. */
  get isReadOnly(): boolean {
    return this.#options.readOnly === true && this.storageKind !== "memory" && this.storageKind !== "null";
  }

  get wantsNothing(): boolean {
    return this.wanted.isSatisfied || this.isReadOnly;
  }

  get bytesGot(): number {
    return this.layout.totalLength - this.#picker.bytesMissing;
  }

  /** Fraction 0 … 1 of the check. */
  get checked(): number {
    return this.#checked;
  }

  get storageKind(): StorageKind {
    return this.#place?.storage.kind ?? this.#options.storage ?? "file";
  }

  get storageCounters(): StorageCounters | undefined {
    return this.#place?.storage.counters;
  }

  get uploadPlace(): UploadPlace | undefined {
    return this.#uploadPlace;
  }

  // ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Opens storage and checks what is there. Rejects StorageError, UsageError. */
  async open(signal: AbortSignal): Promise<void> {
    const { room, options, host, layout } = {
      room: this.#room,
      options: this.#options,
      host: this.#host,
      layout: this.layout,
    };
    this.#place = await openPlace(room, this.metainfo, layout, options, {
      checking: (fraction) => {
        this.#checked = fraction;
        host.tell("checking", fraction);
      },
      pieceGood: (piece) => this.#picker.markHave(piece as PieceIndex),
      isFileWanted: (fileIndex) => this.wanted.isFileWanted(fileIndex),
      warning: (text) => host.warn(text),
      signal,
    });
    if (signal.aborted) return;
    const { storage } = this.#place;
    if (options.onBlock !== undefined) this.#lender = this.#makeLender(storage, options.onBlock);
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
    this.landsDirectly = storage.kind === "mapped" && !this.#lendsUnverified;
    this.#uploadPlace = {
      storage,
      source: room.blockSource(options.sendMode),
      offsetOf: (piece, begin) => piece * layout.pieceLength + begin,
    };
    this.#lastCheckpointMs = room.clock.nowMs;
    // What was selected while it was checked.
    this.#makeFiles();
  }

  /**
   * Gives files, or pieces, a priority. What is under way of those that are not wanted any more is dropped. Throws UsageError for what
   * the torrent does not have, StorageError if files that are wanted now cannot be made.
   */
  select(selection: Selection): void {
    const { files, pieces, priority = PRIORITY_DEFAULT } = checkSelection(selection, this.layout);
    const dropped: number[] = [];
    const changes: WantedChanges = {
      wanted: (piece) => this.#picker.pieceWanted(piece),
      unwanted: (piece) => {
        if (this.#picker.pieceUnwanted(piece)) dropped.push(piece);
      },
    };
    if (files !== undefined) this.wanted.setFiles(files, priority, changes);
    if (pieces !== undefined) this.wanted.setPieces(pieces, priority, changes);
    for (const piece of dropped) this.#dropBlocks(piece);
    this.#makeFiles();
  }

  #makeFiles(): void {
    if (!this.isReadOnly)
      this.#place?.storage.makeFiles?.((fileIndex) => this.wanted.isFileWanted(fileIndex));
  }

  /** False: other downloads have all the memory that a first peer would need. Seeding takes none. */
  prepare(): boolean {
    return this.wanted.isSatisfied || this.#assembler?.prepare() !== false;
  }

  tick(nowMs: number): void {
    if (nowMs - this.#windowStartMs >= this.#windowMs) {
      this.#windowStartMs = nowMs;
      this.#picker.windowEnded();
    }
    this.#allotment.tick();
  }

  /** After the peers had their tick. */
  tickStorage(nowMs: number): void {
    this.#assembler?.tick();
    if (this.wanted.isSatisfied || this.#host.peers.size === 0) this.#assembler?.rest();
    if (nowMs - this.#lastCheckpointMs >= CHECKPOINT_MS) this.#checkpoint();
  }

  /** Tells what was announced late, and makes all that was verified durable. Resolves when all of it was lent, too. */
  async settle(): Promise<void> {
    this.#announcements.flush();
    if (this.#place?.resume !== undefined) await this.#place.resume.checkpoint();
    else await this.#place?.storage.sync();
  }

  async lent(): Promise<void> {
    await this.#lender?.drained();
  }

  /** The torrent is over: nobody is told of pieces any more. */
  hush(): void {
    this.#announcements.close();
  }

  /** Gives back what is held of the pool. */
  async releaseMemory(): Promise<void> {
    await this.#assembler?.close();
    await this.#lender?.close();
  }

  /** `clean`: all that was written is sound; resume data may say so. */
  async close(clean: boolean): Promise<void> {
    await this.#place?.close(clean);
  }

  checkInvariants(): void {
    this.#picker.checkInvariants();
    this.wanted.checkInvariants();
    this.#assembler?.checkInvariants();
  }

  // ── peers ────────────────────────────────────────────────────────────────────────────────────────────────────

  get announcementsWaiting(): number {
    return this.#announcements.waiting;
  }

  peerAnnounced(peer: PeerConnection, piece: number): void {
    if (piece < 0) this.#picker.peerAdded(peer.pieces);
    else this.#picker.peerHas(peer.pieces, piece);
  }

  peerWithdrew(peer: PeerConnection, piece: number): void {
    this.#picker.peerLacks(peer.pieces, piece);
  }

  peerGone(peer: PeerConnection): void {
    if (peer.knowsPieces) this.#picker.peerRemoved(peer.pieces);
    this.#lastPeer = undefined;
    this.#allotment.peerGone(peer);
    this.#fast.delete(peer);
  }

  isInteresting(peer: PeerConnection): boolean {
    return !this.wantsNothing && this.#picker.isInteresting(peer.pieces);
  }

  // ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────

  pick(peer: PeerConnection, count: number, out: Int32Array): number {
    if (!this.isDownloading || this.#lender?.isBehind === true) return 0;
    return this.#allotment.pick(peer, count, out, this.#piecesAtOnce(peer));
  }

  /** Fast peers work on so many pieces together as can be hashed side by side; where nothing is hashed, on one each. */
  #piecesAtOnce(peer: PeerConnection): number {
    const { isFast } = peer.pipeline;
    if (isFast !== this.#fast.has(peer)) {
      if (isFast) this.#fast.add(peer);
      else this.#fast.delete(peer);
    }
    return isFast && this.#verifies ? Math.ceil(HASH_LANES / this.#fast.size) : 1;
  }

  requestDropped(piece: number, block: number): void {
    this.#picker.requestDropped(piece as PieceIndex, block as BlockIndex);
  }

  wantsBlock(peer: PeerConnection, piece: number, block: number): boolean {
    if (!this.isDownloading || !(this.#attribution.isQuiet || this.#mayBring(peer, piece))) return false;
    return this.#picker.wantsBlock(piece as PieceIndex, block as BlockIndex);
  }

  /** False for a piece that another peer has to itself: a block that was given up long ago may still come. */
  #mayBring(peer: PeerConnection, piece: number): boolean {
    const record = this.#host.recordOf(peer);
    return record !== undefined && this.#attribution.mayBring(record, piece);
  }

  landingAddress(piece: number, begin: number, length: number): number {
    const storage = this.#place?.storage;
    if (storage === undefined || !this.landsDirectly) return -1;
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
    const attribution = this.#attribution;
    const { pool } = this.#memory;
    const isWelcome = this.isDownloading && (attribution.isQuiet || this.#mayBring(peer, piece));
    const requesters = isWelcome
      ? this.#picker.blockReceived(piece as PieceIndex, block as BlockIndex)
      : BLOCK_UNWANTED;
    if (requesters === BLOCK_UNWANTED) {
      if (slot !== NO_SLOT) pool.release(slot);
      return;
    }
    if (requesters > 1 || peer.requests.underWayIsOrphan) this.#cancelEverywhere(piece, block);
    if (peer !== this.#lastPeer) {
      this.#lastPeer = peer;
      this.#lastRecord = this.#host.recordOf(peer);
    }
    const blocks = this.layout.blocksInPiece(piece as PieceIndex);
    attribution.blockReceived(this.#lastRecord!, piece, block, blocks, this.#clock.nowMs);
    if (this.#lendsUnverified && slot !== NO_SLOT) {
      this.#lendUnverified(slot, piece as PieceIndex, block as BlockIndex);
      return;
    }
    if (slot !== NO_SLOT) pool.pass(slot, SlotHolder.receiving, SlotHolder.storage);
    this.#assembler!.addBlock(piece as PieceIndex, block as BlockIndex, address);
  }

  /** What is sent cannot be taken from where it lies. */
  sourceFaulted(): void {
    this.#place?.storage.sourceFaulted?.();
  }

  /**
   * Reads verified data into the pool and lends it: at most one block (16 KiB), inside a piece. Rejects StorageError
   * or UsageError (not there yet, out of range, no memory free).
   */
  async read(piece: number, begin: number, length: number): Promise<BlockLease> {
    this.#checkRead(piece, begin, length);
    const place = this.#place;
    if (place === undefined || this.#host.isOver)
      throw new UsageError("USAGE_STATE", "the torrent is not open");
    const { pool, memory } = this.#room;
    const slot = pool.acquire(SlotHolder.user);
    if (slot === -1) {
      throw new UsageError(
        "USAGE_STATE",
        `no memory is free: all ${pool.slotCount} blocks of the pool are in use; release leases, or give the session more poolBytes`,
      );
    }
    const lease = new Lease(memory, slot, piece, begin, length, () => this.#host.leaseReleased());
    const target = {
      addresses: Float64Array.of(pool.addressOf(slot)),
      lengths: Float64Array.of(length),
      count: 1,
    };
    await new Promise<void>((resolve, reject) => {
      const owner = {
        storageDone: (_tag: number, error: StorageError | undefined) => (error ? reject(error) : resolve()),
      };
      place.storage.read(piece * this.layout.pieceLength + begin, target, owner, 0);
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
    if (!this.got.has(piece)) refuse(`piece ${piece} is not verified yet`);
  }

  // ── AssemblerHost ────────────────────────────────────────────────────────────────────────────────────────────

  pieceVerified(piece: PieceIndex, digests?: Float64Array): void {
    const host = this.#host;
    if (host.isOver) return;
    this.#picker.pieceVerified(piece);
    const banned = this.#attribution.pieceVerified(piece, digests);
    if (!this.#claim(piece)) return;
    this.#sinceCheckpointBytes += this.layout.pieceLengthOf(piece);
    if (this.#verifies) this.#announcements.add(piece);
    host.tell("piece", piece);
    for (const record of banned) host.ban(record, piece);
    if (this.wanted.isSatisfied) host.gotAll();
    else if (this.#sinceCheckpointBytes >= CHECKPOINT_BYTES) this.#checkpoint();
  }

  /** Notes a verified piece for the next start. False: there is no room for it, and the torrent has failed. */
  #claim(piece: PieceIndex): boolean {
    try {
      this.#place?.resume?.append(piece);
      return true;
    } catch (error) {
      this.#host.broke(error);
      return false;
    }
  }

  pieceToLend(piece: PieceIndex, slots: Int32Array): void {
    this.#lender!.add(piece, slots);
  }

  pieceFailed(piece: PieceIndex, digests: Float64Array | undefined): void {
    const host = this.#host;
    if (host.isOver) return;
    this.#picker.pieceFailed(piece);
    const { senders, banned } = this.#attribution.pieceFailed(piece, digests, this.#room.clock.nowMs);
    host.tell(
      "pieceFailed",
      piece,
      senders.map(({ host, port }) => ({ host, port })),
    );
    for (const record of banned) host.ban(record, piece);
    this.#allotment.review();
  }

  pieceDropped(piece: PieceIndex, digests: Float64Array | undefined): void {
    if (this.#host.isOver) return;
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
    this.#host.fail(error);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  incomplete(): StorageError {
    const got = `${this.got.count} of ${this.layout.pieceCount} pieces`;
    const text = `${this.#options.directory} has ${got}, and nothing is written with the option readOnly: these are seeded`;
    return new StorageError("STORAGE_READ_ONLY", text);
  }

  #checkpoint(): void {
    this.#lastCheckpointMs = this.#room.clock.nowMs;
    if (this.#sinceCheckpointBytes === 0) return;
    this.#sinceCheckpointBytes = 0;
    this.#place?.resume?.checkpoint().catch((error: unknown) => this.#host.broke(error));
  }

  #makeLender(storage: Storage, onBlock: (lease: BlockLease) => void): Lender {
    const host = this.#host;
    return new Lender({
      layout: this.layout,
      memory: this.#room.memory,
      storage,
      userCalls: this.#room.userCalls,
      onBlock,
      caughtUp: () => {
        for (const peer of host.peers) if (peer.state === "open") peer.fillRequests();
      },
      released: () => host.leaseReleased(),
      failed: (error) => host.fail(error),
    });
  }

  #makeAllotment(): Allotment<PeerConnection> {
    const host = this.#host;
    const { clock } = this.#room;
    return new Allotment(this.#picker, this.#attribution, {
      get nowMs() {
        return clock.nowMs;
      },
      here: host.peers,
      recordOf: (peer) => host.recordOf(peer),
      dropBlocks: (piece) => this.#dropBlocks(piece),
    });
  }

  /** The picker has abandoned the piece: nothing of it is to come, and what came goes. */
  #dropBlocks(piece: number): void {
    for (const peer of this.#host.peers) peer.requests.cancelPiece(piece);
    if (this.#assembler === undefined) this.pieceDropped(piece as PieceIndex, undefined);
    else this.#assembler.dropPiece(piece as PieceIndex);
  }

  /** The block is here: whoever was asked for it needs not send it, the sender included if it was asked again meanwhile. */
  #cancelEverywhere(piece: number, block: number): void {
    for (const peer of this.#host.peers) peer.cancelRequest(piece, block * BLOCK_SIZE);
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
}
