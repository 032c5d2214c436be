// What a torrent holds, and the way of a block from a peer to storage: made when the metadata is there, since all of it needs the
// layout. It puts the picker, the assembler, the attribution of blocks and storage together and decides nothing that one of them can.
//
//   made ──open(): storage opened, data checked──▶ open ──close()──▶ closed
// It is somewhat long, because a connection calls it for each block: what it is asked (SwarmBlocks) is answered here, one call from the
// picker. What follows when a piece is judged is apart (piece-verdicts.ts).
//
// Always: a block is asked for through the picker and comes back through blockReceived or requestDropped; `have` holds verified
// pieces only (without verification none: then nobody is told of pieces and no resume data claims them); after close() nothing of
// the pool is kept.

import { assert, present } from "../../base/assert.js";
import { StorageError, UsageError } from "../../base/errors.js";
import type { Timer } from "../../base/ground.js";
import { type BlockIndex, NO_SLOT, type PieceIndex, type SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE, HASH_LANES } from "../../base/limits.js";
import { PieceSet } from "../../base/piece-set.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import { SlotShare, type SlotUser } from "../memory/slot-share.js";
import type { Metainfo } from "../metainfo/types.js";
import type { BlockLease, Selection, TorrentOptions } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Clock } from "../peer/peer-options.js";
import type { SwarmBlocks } from "../peer/swarm.js";
import type { UploadPlace } from "../send/sender.js";
import { blockAt, Layout } from "../storage/layout.js";
import type { Storage, StorageCounters, StorageKind } from "../storage/storage.js";
import { Allotment } from "./allotment.js";
import { Announcements } from "./announcements.js";
import { Assembler } from "./assembler.js";
import type { Attribution, PeerRecord } from "./attribution.js";
import { checkReading, lendFrom } from "./block-reading.js";
import { Checkpoints } from "./checkpoints.js";
import type { ContentHost } from "./content-host.js";
import type { EngineRoom } from "./engine-room.js";
import { Lender } from "./lender.js";
import { BLOCK_UNWANTED, Picker } from "./picker.js";
import { StrategyQueue } from "./piece-strategy.js";
import { PieceVerdicts } from "./piece-verdicts.js";
import { openPlace, type Place } from "./place.js";
import { checkSelection, selectAtFirst } from "./selection.js";
import { PRIORITY_DEFAULT, Wanted, type WantedChanges } from "./wanted.js";

/** A piece that gets almost nothing for this part of the time that a request has, stalls: 4 s of 20. */
const STALL_SHARE = 1 / 5;

/** Of a pool of so many slots, those that torrent.blocks() lends at one time. */
function lentMax(slotCount: number): number {
  return Math.max(1, Math.floor(slotCount / 4));
}

export class TorrentContent implements SwarmBlocks, SlotUser {
  readonly metainfo: Metainfo;
  readonly layout: Layout;
  /** The torrent is downloading: set by it, since it is looked at for each block. */
  isDownloading = false;
  landsDirectly = false;
  readonly slotShare: SlotShare;
  readonly #host: ContentHost;
  readonly #room: EngineRoom;
  readonly #memory: Memory;
  readonly #clock: Clock;
  readonly #options: TorrentOptions;
  readonly #attribution: Attribution;
  readonly wanted: Wanted;
  readonly #picker: Picker;
  /** The program's own order of pieces. */
  readonly #strategy: StrategyQueue | undefined;
  readonly #allotment: Allotment<PeerConnection>;
  readonly #announcements: Announcements;
  readonly #verdicts: PieceVerdicts;
  readonly #verifies: boolean;
  readonly #offers: boolean;
  readonly #nothing: PieceSet;
  /** Those that bring blocks at a high rate. */
  readonly #highRate = new Set<PeerConnection>();
  /** Who brought the last block, and its record: blocks come many in a row, and looking in a map costs more than framing one. */
  #lastPeer: PeerConnection | undefined;
  #lastRecord: PeerRecord | undefined;

  #place: Place | undefined;
  #isClosed = false;
  #assembler: Assembler | undefined;
  /** With the option onBlock. */
  #lender: Lender | undefined;
  #uploadPlace: UploadPlace | undefined;
  #checked = 0;
  /** When the window began in which pieces get on or stall, and how long one is. */
  #windowStartMs = 0;
  readonly #windowMs: number;
  /** Until the allotment is called, where it asked for that. */
  #wake: Timer | undefined;

  /** `former`: content of the same torrent, whose data is looked at again, and whose selection stays. */
  constructor(metainfo: Metainfo, host: ContentHost, former: TorrentContent | undefined = undefined) {
    const { room, options } = host;
    this.metainfo = metainfo;
    this.layout = new Layout(metainfo);
    this.#host = host;
    this.#room = room;
    this.#memory = room.memory;
    this.#clock = room.clock;
    this.#options = options;
    this.#attribution = host.attribution;
    this.slotShare = new SlotShare(room.memory.pool, this);
    this.wanted = new Wanted(this.layout);
    if (former === undefined) selectAtFirst(this.wanted, this.layout, options, host.selectOnly);
    else this.wanted.copySelection(former.wanted);
    const { random } = room.reactor.ground;
    this.#picker = new Picker(this.layout, {
      random,
      wanted: this.wanted,
      sequential: options.order === "sequential",
    });
    this.#strategy = this.#makeStrategy();
    this.#verifies = options.verify !== false;
    this.#offers = this.#verifies && this.storageKind !== "null";
    this.#nothing = new PieceSet(this.layout.pieceCount);
    this.#windowMs = STALL_SHARE * room.peerSettings(undefined).requestTimeoutMs;
    this.#attribution.contentMade(this.layout.pieceLength);
    this.#allotment = this.#makeAllotment();
    this.#announcements = new Announcements(host.peers, room.reactor.ground);
    this.#verdicts = new PieceVerdicts({
      host,
      layout: this.layout,
      wanted: this.wanted,
      picker: this.#picker,
      allotment: this.#allotment,
      announcements: this.#offers ? this.#announcements : undefined,
    });
  }

  // ── what is here ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Verified pieces: with `verify: false` none. */
  get have(): PieceSet {
    return this.#verifies ? this.#picker.have : this.#nothing;
  }

  /** Those of them that peers are told of and may ask for: with storage that keeps nothing, none. */
  get offered(): PieceSet {
    return this.#offers ? this.#picker.have : this.#nothing;
  }

  /** Pieces that are here, announced or not. */
  get got(): PieceSet {
    return this.wanted.have;
  }

  /** Files that are only read: what is there is seeded, and nothing is asked for. */
  get isReadOnly(): boolean {
    return this.#options.readOnly === true && !["memory", "null", "custom"].includes(this.storageKind);
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
    const asked = this.#options.customStorage === undefined ? this.#options.storage : "custom";
    return this.#place?.storage.kind ?? asked ?? "file";
  }

  get storageCounters(): StorageCounters | undefined {
    return this.#place?.storage.counters;
  }

  /** Slots with blocks that are hashed and stored. */
  get heldSlots(): number {
    // Those that lie in their files take none.
    return this.landsDirectly ? 0 : (this.#assembler?.heldCount ?? 0);
  }

  /** How far the picker is. */
  get picking(): Pick<Picker, "startedCount" | "blocksMissing" | "inEndGame"> {
    return this.#picker;
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
      pieceGood: (piece) => this.#picker.markHave(piece),
      isFileWanted: (fileIndex) => this.wanted.isFileWanted(fileIndex),
      warning: (text) => host.warn(text),
      signal,
    });
    if (signal.aborted) return;
    const { storage } = this.#place;
    const { onBlock = host.onBlock } = options;
    if (onBlock !== undefined) this.#lender = this.#makeLender(storage, onBlock);
    this.#verdicts.lender = this.#lender;
    this.#assembler = new Assembler({
      layout,
      digests: this.metainfo.pieces,
      storage,
      memory: room.memory,
      reactor: room.reactor,
      verify: this.#verifies,
      lends: this.#lender !== undefined && this.#verifies,
      host: this.#verdicts,
    });
    this.landsDirectly = storage.kind === "mapped" && !this.#lendsUnverified;
    this.#uploadPlace = {
      storage,
      source: room.blockSource(options.sendMode),
      offsetOf: (piece, begin) => piece * layout.pieceLength + begin,
    };
    const { resume } = this.#place;
    if (resume !== undefined)
      this.#verdicts.checkpoints = new Checkpoints(resume, room.clock, (error) => host.broke(error));
    this.#strategy?.ask();
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
    // Nothing is asked of anybody, and there may be thousands to look at.
    if (this.wantsNothing && this.#attribution.isQuiet) {
      this.#windowStartMs = nowMs;
      return;
    }
    if (this.isDownloading) this.#strategy?.ask();
    if (nowMs - this.#windowStartMs >= this.#windowMs) {
      this.#windowStartMs = nowMs;
      if (!this.#isHeldBack) this.#picker.windowEnded();
    }
    this.#allotment.tick();
  }

  /** Blocks wait for a limit of ours: no piece stalls for that. */
  get #isHeldBack(): boolean {
    for (const peer of this.#host.peers) if (peer.isHeldBack) return true;
    return false;
  }

  /** After the peers had their tick. */
  tickStorage(nowMs: number): void {
    this.#assembler?.tick();
    if (this.wanted.isSatisfied || this.#host.peers.size === 0) this.#assembler?.rest();
    this.#verdicts.checkpoints?.tick(nowMs);
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

  /** `clean`: all that was written is sound; resume data may say so. Once: nothing happens after that. */
  async close(clean: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wake?.close();
    await this.#place?.close(clean);
  }

  checkInvariants(): void {
    this.#picker.checkInvariants();
    this.wanted.checkInvariants();
    this.#assembler?.checkInvariants();
    this.#lender?.checkInvariants();
    this.#attribution.checkInvariants();
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
    this.#highRate.delete(peer);
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
    const isHighRate = peer.pipeline?.isHighRate === true;
    if (isHighRate !== this.#highRate.has(peer)) {
      if (isHighRate) this.#highRate.add(peer);
      else this.#highRate.delete(peer);
    }
    return isHighRate && this.#verifies ? Math.ceil(HASH_LANES / this.#highRate.size) : 1;
  }

  requestDropped(piece: PieceIndex, block: BlockIndex): void {
    this.#picker.requestDropped(piece, block);
  }

  wantsBlock(peer: PeerConnection, piece: PieceIndex, block: BlockIndex): boolean {
    if (!this.isDownloading || !(this.#attribution.isQuiet || this.#mayBring(peer, piece))) return false;
    return this.#picker.wantsBlock(piece, block);
  }

  /** False for a piece that another peer has to itself: a block that was given up long ago may still come. */
  #mayBring(peer: PeerConnection, piece: number): boolean {
    const record = this.#host.recordOf(peer);
    return record !== undefined && this.#attribution.mayBring(record, piece);
  }

  landingAddress(piece: PieceIndex, begin: number, length: number): number {
    const storage = this.#place?.storage;
    if (storage === undefined || !this.landsDirectly) return -1;
    // Two peers may be asked for one block at the end: only one of them may write to its place.
    if (this.#picker.requesters(piece, blockAt(begin)) !== 1) return -1;
    return storage.landingAddress(piece * this.layout.pieceLength + begin, length);
  }

  blockReceived(
    peer: PeerConnection,
    piece: PieceIndex,
    block: BlockIndex,
    address: number,
    slot: SlotIndex | typeof NO_SLOT,
  ): void {
    const attribution = this.#attribution;
    const { pool } = this.#memory;
    const isWelcome = this.isDownloading && (attribution.isQuiet || this.#mayBring(peer, piece));
    const requesters = isWelcome ? this.#picker.blockReceived(piece, block) : BLOCK_UNWANTED;
    if (requesters === BLOCK_UNWANTED) {
      if (slot !== NO_SLOT) pool.release(slot, SlotHolder.receiving);
      return;
    }
    if (requesters > 1 || peer.requests.underWayIsOrphan) this.#cancelEverywhere(piece, block);
    if (peer !== this.#lastPeer) {
      this.#lastPeer = peer;
      this.#lastRecord = this.#host.recordOf(peer);
    }
    const record = this.#lastRecord;
    const assembler = this.#assembler;
    assert(
      record !== undefined && assembler !== undefined,
      "blocks come of a peer that is here, while it is open",
    );
    const blocks = this.layout.blocksInPiece(piece);
    attribution.blockReceived(record, piece, block, blocks, this.#clock.nowMs);
    if (this.#lendsUnverified && slot !== NO_SLOT) {
      this.#lendUnverified(slot, piece, block);
      return;
    }
    if (slot !== NO_SLOT) pool.pass(slot, SlotHolder.receiving, SlotHolder.storage);
    assembler.addBlock(piece, block, address);
  }

  /** What is sent cannot be taken from where it lies. */
  sourceFaulted(): void {
    this.#place?.storage.sourceFaulted?.();
  }

  /** As Torrent.read(). */
  async read(piece: number, begin: number, length: number): Promise<BlockLease> {
    checkReading(this.layout, this.got, piece, begin, length);
    const storage = this.#place?.storage;
    // It is closed while it moves, too.
    if (storage === undefined || this.#isClosed || this.#host.isOver)
      throw new UsageError("USAGE_STATE", "the torrent is not open");
    const offset = piece * this.layout.pieceLength + begin;
    return lendFrom(storage, offset, this.#room, piece, begin, length, () => this.#host.leaseReleased());
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  incomplete(): StorageError {
    const got = `${this.got.count} of ${this.layout.pieceCount} pieces`;
    const text = `${this.#options.directory} has ${got}, and nothing is written with the option readOnly: these are seeded`;
    return new StorageError("STORAGE_READ_ONLY", text);
  }

  #makeLender(storage: Storage, onBlock: (lease: BlockLease) => void): Lender {
    const host = this.#host;
    return new Lender({
      layout: this.layout,
      memory: this.#room.memory,
      storage,
      userCalls: this.#room.userCalls,
      onBlock,
      heldMax:
        this.#options.onBlock === undefined ? lentMax(this.#memory.pool.slotCount) : Number.POSITIVE_INFINITY,
      caughtUp: () => {
        for (const peer of host.peers) if (peer.state === "open") peer.fillRequests();
      },
      released: () => host.leaseReleased(),
      failed: (error) => host.fail(error),
    });
  }

  #makeStrategy(): StrategyQueue | undefined {
    const { pieceStrategy: strategy } = this.#options;
    if (strategy === undefined) return undefined;
    const { wanted, layout } = this;
    const host = this.#host;
    return this.#picker.setStrategy((availability) => {
      const { pieceCount, pieceLength } = layout;
      const { userCalls } = this.#room;
      const warn = (text: string): void => host.warn(text);
      return new StrategyQueue({
        ...{ strategy, pieceCount, pieceLength, wanted, availability, userCalls, warn },
      });
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
      ask: (peer) => {
        if (peer.state === "open") peer.fillRequests();
      },
      dropBlocks: (piece) => this.#dropBlocks(piece),
      wakeIn: (ms) => this.#wakeIn(ms),
    });
  }

  #wakeIn(ms: number): void {
    const { reactor } = this.#room;
    const turnEnded = (): void => {
      if (!this.#isClosed) this.#allotment.awoke();
    };
    this.#wake?.close();
    this.#wake = reactor.ground.after(ms, () => {
      if (!this.#isClosed) reactor.atTurnEnd({ turnEnded });
    });
    this.#wake.unref();
  }

  /** The picker has abandoned the piece: nothing of it is to come, and what came goes. */
  #dropBlocks(index: number): void {
    const piece = present(this.layout.checkPiece(index), "what was begun is a piece");
    for (const peer of this.#host.peers) peer.requests.cancelPiece(piece);
    if (this.#assembler === undefined) this.#verdicts.pieceDropped(piece, undefined);
    else this.#assembler.dropPiece(piece);
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
    this.#lender?.lend(piece, block, slot);
    if (this.#picker.isPieceReceived(piece)) this.#verdicts.pieceVerified(piece);
  }
}
