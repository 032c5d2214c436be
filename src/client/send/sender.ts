// What goes out to one peer: small messages, and blocks that the peer asked for.
//
//   requested (by the peer) ─▶ batches (loading ─▶ ready) ─▶ writev ─▶ memory goes home
//                         small messages ─▶ outbox ──────────┘
//
// A peer that takes nothing gives back what is loaded for it but the block it has begun; what is loaded ahead for it
// starts small again. A choke takes back whatever has not begun.
//
// Always: bytes leave in whole messages, a block that has begun is finished before anything else; small messages go
// before blocks that have not begun. One writev takes the outbox and as many ready blocks as fit. Work per flush is bounded.
//
// One file, because what is loaded, sent and given back share the counts that checkInvariants() adds up.

import { constants } from "node:os";
import { assert } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import { BLOCK_SIZE, KIB, MIB, PIECE_HEADER_BYTES } from "../../base/limits.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import type { Throttle, ThrottleUser } from "../../base/rate-limit.js";
import type { SlotWaiter } from "../memory/block-pool.js";
import { HEADER_CELL_BYTES, type Memory, SEND_SCRATCH_BYTES } from "../memory/memory.js";
import { ExpectedBlocks } from "../receive/expected-blocks.js";
import type { Storage } from "../storage/storage.js";
import { encodePieceHeader } from "../wire/encode.js";
import { BlockBatch } from "./block-batch.js";
import type { BatchOwner, BlockSource } from "./block-source.js";
import { Outbox } from "./outbox.js";

/** The socket, as far as sending goes. Results are bytes or −errno. */
export interface SendTransport {
  /** What goes over it is encrypted, and so passes through memory: nothing of it is sent by sendfile(). */
  readonly isEncrypted?: boolean;
  /** Entries of the shared plan, from the first on. */
  writev(count: number, more: boolean): number;
  sendfile(fileFd: number, offset: number, length: number): number;
  /** Asks to be flushed when the socket takes bytes again, or not any more. */
  wantWritable(wanted: boolean): void;
  /** Asks for a flush at the end of this turn. */
  scheduleFlush(): void;
}

/** What a torrent gives a connection to send blocks with. */
export interface UploadPlace {
  readonly storage: Storage;
  readonly source: BlockSource;
  /** Byte offset in the torrent of a place in a piece. */
  offsetOf(piece: number, begin: number): number;
}

export interface SenderHost {
  /** A block left whole. */
  blockSent(piece: number, begin: number, length: number): void;
  /** Data could not be read: the request will not be answered. */
  blockUnreadable(piece: number, begin: number, length: number, error: StorageError): void;
}

const BLOCKS_PER_CALL_MAX = 64;
const FLUSH_BYTES_MAX = 1 * MIB;
/** Bytes loaded ahead for one peer; and for one that is choked, and gets what is free only. */
const LOADED_BYTES_MAX = 1 * MIB;
const LOADED_BYTES_CHOKED_MAX = 8 * BLOCK_SIZE;
/** Of one that takes what is loaded slowly: so many seconds of it, and so much at least. What is loaded cannot be cancelled any more. */
const LOADED_S_SLOW = 0.5;
const LOADED_BYTES_SLOW_MIN = 8 * BLOCK_SIZE;
const REQUESTS_LOOKED_AT_MAX = 16;
const OUTBOX_BYTES_PER_CALL_MAX = 48 * KIB;
/**
 * The file of a block that has begun is shorter than it was; the stream cannot go on. −EFAULT, as the system says of a mapping
 * whose file is.
 */
const FILE_GONE = -constants.errno.EFAULT;
const HEADERS_AT = OUTBOX_BYTES_PER_CALL_MAX;

assert(
  HEADERS_AT + (BLOCKS_PER_CALL_MAX + 1) * HEADER_CELL_BYTES <= SEND_SCRATCH_BYTES,
  "outbox bytes and block headers of one call fit the scratch memory",
);

export class Sender implements BatchOwner, SlotWaiter, ThrottleUser {
  readonly outbox = new Outbox();
  readonly #memory: Memory;
  readonly #entries: Float64Array;
  readonly #counters: TransferCounters;
  readonly #transport: SendTransport;
  readonly #host: SenderHost;
  #place: UploadPlace | undefined;

  /** Asked for by the peer and not loaded yet. */
  readonly requested = new ExpectedBlocks();
  /** Batches in the order they will be sent. */
  #batches: BlockBatch[] = [];
  #spareBatches: BlockBatch[] = [];
  #loadedBytes = 0;
  #loadedBytesMax = LOADED_BYTES_MAX;
  /** What may be loaded now: less than the most after the peer has taken nothing for a while. */
  #windowBytes = LOADED_BYTES_MAX;
  #blocksLoaded = 0;
  #blocked = false;
  #waitingForMemory = false;
  #closed = false;
  /** What limits how much is sent; undefined: nothing does. */
  #throttle: Throttle | undefined;

  constructor(options: {
    memory: Memory;
    entries: Float64Array;
    counters: TransferCounters;
    transport: SendTransport;
    host: SenderHost;
  }) {
    this.#memory = options.memory;
    this.#entries = options.entries;
    this.#counters = options.counters;
    this.#transport = options.transport;
    this.#host = options.host;
  }

  setPlace(place: UploadPlace): void {
    this.#place = place;
  }

  /** Blocks of the peer that were not sent yet, loaded ones included. */
  get blocksWaiting(): number {
    let count = this.requested.count;
    for (const batch of this.#batches) count += batch.count - batch.next;
    return count;
  }

  /** True if what the peer waits for next is as much as a block. Looks at few requests, however many there are. */
  get isBlockWaiting(): boolean {
    let bytes = this.#loadedBytes;
    const { requested } = this;
    const count = Math.min(requested.count, REQUESTS_LOOKED_AT_MAX);
    for (let index = 0; index < count && bytes < BLOCK_SIZE; index++) bytes += requested.lengthAt(index);
    return bytes >= BLOCK_SIZE;
  }

  /** Blocks that were loaded and not sent yet: where they are copied, as many slots of the pool. */
  get blocksLoaded(): number {
    return this.#blocksLoaded;
  }

  /** True where files can be sent without passing through memory. */
  get takesFiles(): boolean {
    return this.#transport.isEncrypted !== true;
  }

  /** True if something waits to be written, and the socket took nothing of it. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Blocks wait for a limit of ours. */
  get isHeld(): boolean {
    return this.#throttle?.isWaiting === true;
  }

  /** For how long they have. */
  get heldForMs(): number {
    return this.#throttle?.waitsForMs ?? 0;
  }

  /** What is sent is limited from now on, or not any more. */
  setThrottle(throttle: Throttle | undefined): void {
    this.#throttle = throttle;
  }

  /** A limit held blocks back, and does not now. */
  mayPass(): void {
    if (!this.#closed) this.#transport.scheduleFlush();
  }

  get idle(): boolean {
    return this.outbox.length === 0 && this.#batches.length === 0 && this.requested.count === 0;
  }

  queueBlock(piece: number, begin: number, length: number, nowMs: number): void {
    this.requested.push(piece, begin, length, nowMs);
    this.#transport.scheduleFlush();
  }

  /** Takes a request back. False if the block is on its way already, or was never asked for. */
  cancelBlock(piece: number, begin: number): boolean {
    const index = this.requested.find(piece, begin);
    if (index < 0) return this.#unloadLast(piece, begin);
    this.requested.removeAt(index);
    return true;
  }

  /** Takes back the block that would leave last, if it is this one: whoever seeks cancels all that it asked for, the last first. */
  #unloadLast(piece: number, begin: number): boolean {
    const batch = this.#batches.at(-1);
    if (batch === undefined || !batch.ready || batch.piece !== piece) return false;
    const last = batch.count - 1;
    const length = batch.lengths[last]!;
    const hasBegun = last === batch.next && batch.sent > 0;
    if (hasBegun || batch.begin + batch.bytes - length !== begin) return false;
    this.#place!.source.sent(batch, last);
    this.#loadedBytes -= length;
    this.#blocksLoaded--;
    if (last > batch.next) batch.cut(last);
    else this.#spareBatches.push(this.#batches.pop()!);
    return true;
  }

  /** Loads what was asked for, as far as the window and the pool allow. */
  load(): void {
    const place = this.#place;
    if (place === undefined || this.#closed) return;
    while (this.requested.count > 0 && this.#loadedBytes < this.#windowBytes) {
      const batch = this.#nextBatch(place);
      if (!place.source.load(batch, place.storage, this)) {
        this.#spareBatches.push(batch);
        // Blocks that are on their way bring their slots back and call again; without any, the pool has to.
        if (this.#batches.length === 0) this.#waitForSlots();
        return;
      }
      for (let index = 0; index < batch.count; index++) this.requested.removeAt(0);
      this.#loadedBytes += batch.bytes;
      this.#blocksLoaded += batch.count;
      this.#batches.push(batch);
    }
  }

  /** The peer is served in turn from now on, or not any more: what is free only is loaded in small. */
  choked(choked: boolean): void {
    this.#loadedBytesMax = choked ? LOADED_BYTES_CHOKED_MAX : LOADED_BYTES_MAX;
    this.#windowBytes = this.#loadedBytesMax;
  }

  /**
   * Time passed, in which the unchoked peer took `bytesPerSecond`: where it left something waiting, no more is loaded ahead for it than it
   * will take soon.
   */
  pace(bytesPerSecond: number): void {
    if (bytesPerSecond === 0) return;
    const soon = Math.max(LOADED_BYTES_SLOW_MIN, Math.trunc(LOADED_S_SLOW * bytesPerSecond));
    this.#loadedBytesMax = this.#loadedBytes === 0 ? LOADED_BYTES_MAX : Math.min(LOADED_BYTES_MAX, soon);
    this.#windowBytes = Math.min(this.#windowBytes, this.#loadedBytesMax);
  }

  #waitForSlots(): void {
    if (this.#waitingForMemory) return;
    this.#waitingForMemory = true;
    this.#memory.pool.waitForSlots(this);
  }

  slotsAvailable(): void {
    this.#waitingForMemory = false;
    this.#transport.scheduleFlush();
  }

  /** A batch of the oldest requests that follow each other in one piece. Leaves them in `requested`. */
  #nextBatch(place: UploadPlace): BlockBatch {
    const requested = this.requested;
    const piece = requested.pieceAt(0);
    const begin = requested.beginAt(0);
    const batch = this.#spareBatches.pop() ?? new BlockBatch();
    batch.reset(piece, begin, place.offsetOf(piece, begin));
    const room = Math.ceil((this.#windowBytes - this.#loadedBytes) / BLOCK_SIZE);
    const blocksMax = Math.min(place.source.batchBlocksMax, requested.count, room);
    while (batch.count < blocksMax) {
      const index = batch.count;
      if (requested.pieceAt(index) !== piece || requested.beginAt(index) !== begin + batch.bytes) break;
      batch.lengths[index] = requested.lengthAt(index);
      batch.bytes += batch.lengths[index]!;
      batch.count++;
    }
    return batch;
  }

  batchLoaded(batch: BlockBatch, error: StorageError | undefined): void {
    if (batch.orphaned) {
      this.#releaseBatch(batch);
      return;
    }
    if (error !== undefined) {
      this.#batches.splice(this.#batches.indexOf(batch), 1);
      this.#loadedBytes -= batch.bytes;
      this.#blocksLoaded -= batch.count;
      let begin = batch.begin;
      for (let index = 0; index < batch.count; index++) {
        this.#host.blockUnreadable(batch.piece, begin, batch.lengths[index]!, error);
        begin += batch.lengths[index]!;
      }
      this.#releaseBatch(batch);
    }
    // Also after an error: batches that were ready before may have waited for this one alone.
    this.#transport.scheduleFlush();
  }

  /** Writes until nothing waits, the socket is full, or enough was done. Returns 0, or −errno of a broken socket. */
  flush(eagain: number): number {
    let budget = FLUSH_BYTES_MAX;
    while (!this.#closed) {
      this.load();
      const head = this.#batches[0];
      const written =
        head?.ready === true && head.fd >= 0 && head.sent >= PIECE_HEADER_BYTES
          ? this.#sendFromFile(head)
          : this.#sendFromMemory();
      this.#blocked = written === eagain;
      if (written === 0) {
        this.#transport.wantWritable(false);
        return 0;
      }
      if (written < 0) {
        if (written !== eagain) return written;
        this.#counters.sendWouldBlocks++;
        this.#transport.wantWritable(true);
        return 0;
      }
      budget -= written;
      if (budget <= 0) {
        // The socket may take more, but so may those of others.
        this.#transport.wantWritable(true);
        return 0;
      }
    }
    return 0;
  }

  /** One writev of outbox and ready blocks. Bytes, 0 if nothing waits, or −errno. */
  #sendFromMemory(): number {
    const entries = this.#entries;
    const scratch = this.#memory.sendScratchAddress;
    const bytes = this.#memory.bytes;
    const head = this.#batches[0];
    let count = 0;
    let blocks = 0;
    let batchIndex = 0;
    let blockIndex = head?.next ?? 0;
    let begin = head?.nextBegin ?? 0;
    let more = false;

    const outboxBytes = Math.min(this.outbox.length, OUTBOX_BYTES_PER_CALL_MAX);
    let outboxPlanned = outboxBytes === 0;
    while (blocks < BLOCKS_PER_CALL_MAX) {
      const batch = this.#batches[batchIndex];
      const started = blocks === 0 && batch !== undefined && batch.sent > 0;
      if (!outboxPlanned && !started) {
        this.outbox.copyTo(bytes, scratch, outboxBytes);
        entries[2 * count] = scratch;
        entries[2 * count + 1] = outboxBytes;
        count++;
        outboxPlanned = true;
        // The rest of the outbox may begin in the middle of a message: no block comes before it.
        if (outboxBytes < this.outbox.length) break;
      }
      if (batch === undefined || !batch.ready) break;
      const length = batch.lengths[blockIndex]!;
      const sent = started ? batch.sent : 0;
      if (sent < PIECE_HEADER_BYTES) {
        const header = scratch + HEADERS_AT + blocks * HEADER_CELL_BYTES;
        encodePieceHeader(bytes, header, batch.piece, begin, length);
        entries[2 * count] = header + sent;
        entries[2 * count + 1] = PIECE_HEADER_BYTES - sent;
        count++;
      }
      if (batch.fd >= 0) {
        // The payload comes by sendfile, in a call of its own.
        more = true;
        break;
      }
      const payloadSent = sent > PIECE_HEADER_BYTES ? sent - PIECE_HEADER_BYTES : 0;
      entries[2 * count] = batch.addresses[blockIndex]! + payloadSent;
      entries[2 * count + 1] = length - payloadSent;
      count++;
      blocks++;
      begin += length;
      if (++blockIndex === batch.count) {
        batchIndex++;
        blockIndex = 0;
        begin = this.#batches[batchIndex]?.begin ?? 0;
      }
    }
    if (count === 0) return 0;
    const throttle = this.#throttle;
    if (throttle !== undefined) {
      const planned = count;
      count = this.#allowed(throttle, count, outboxPlanned ? outboxBytes : 0);
      if (count === 0) return 0;
      if (count < planned) more = false;
    }
    this.#counters.sendCalls++;
    const written = this.#transport.writev(count, more);
    if (throttle !== undefined) settle(throttle, written);
    if (written > 0) this.#consume(written, outboxBytes);
    return written;
  }

  /**
   * Cuts what is about to be sent to what may pass, and returns its entries. Messages do not wait, and are paid for like blocks: where
   * one waits behind a block that has begun, the block is finished on credit.
   */
  #allowed(throttle: Throttle, count: number, outboxBytes: number): number {
    if (count === 1 && outboxBytes > 0) return count;
    const head = this.#batches[0]!;
    let bytes = throttle.ask(head.sent > 0);
    if (head.sent > 0 && this.outbox.length > 0) bytes = Math.max(bytes, this.#restOf(head));
    return this.#cut(count, bytes + outboxBytes);
  }

  /** What is missing of the block that has begun. */
  #restOf(batch: BlockBatch): number {
    return PIECE_HEADER_BYTES + batch.lengths[batch.next]! - batch.sent;
  }

  /** How many of the first `count` entries hold so many bytes, the last of them cut. */
  #cut(count: number, bytes: number): number {
    const entries = this.#entries;
    let left = bytes;
    for (let entry = 0; entry < count && left > 0; entry++) {
      const length = entries[2 * entry + 1]!;
      if (length >= left) {
        entries[2 * entry + 1] = left;
        return entry + 1;
      }
      left -= length;
    }
    return left > 0 ? count : 0;
  }

  #sendFromFile(batch: BlockBatch): number {
    const place = this.#place;
    assert(place !== undefined, "blocks are sent of a torrent");
    const payloadSent = batch.sent - PIECE_HEADER_BYTES;
    let length = batch.lengths[batch.next]! - payloadSent;
    const throttle = this.#throttle;
    if (throttle !== undefined) {
      const allowed = throttle.ask(true);
      if (allowed < length && this.outbox.length === 0) length = allowed;
      if (length === 0) return 0;
    }
    // Looked up anew for each call: storage may have closed and reopened the file meanwhile.
    if (!place.storage.locate(batch.offset + (batch.nextBegin - batch.begin) + payloadSent, length))
      return FILE_GONE;
    this.#counters.sendCalls++;
    const { fd, fileOffset } = place.storage.located;
    const written = this.#transport.sendfile(fd, fileOffset, length);
    if (throttle !== undefined) settle(throttle, written);
    if (written === 0) return FILE_GONE;
    if (written > 0) this.#consume(written, 0);
    return written;
  }

  /** `written` bytes went out: the block that had begun first, then the outbox, then blocks. */
  #consume(written: number, outboxBytes: number): void {
    this.#counters.sentBytes += written;
    let left = written;
    let outboxLeft = outboxBytes;
    while (left > 0) {
      const batch = this.#batches[0];
      if (outboxLeft > 0 && (batch === undefined || batch.sent === 0)) {
        const count = Math.min(left, outboxLeft);
        this.outbox.consume(count);
        left -= count;
        outboxLeft = 0;
        continue;
      }
      assert(batch !== undefined, "bytes that went out belong to the outbox or to a block");
      left -= this.#consumeBlock(batch, left);
    }
  }

  #consumeBlock(batch: BlockBatch, available: number): number {
    const length = batch.lengths[batch.next]!;
    const whole = PIECE_HEADER_BYTES + length;
    const count = Math.min(available, whole - batch.sent);
    batch.sent += count;
    if (batch.sent < whole) return count;
    const place = this.#place;
    assert(place !== undefined, "blocks are sent of a torrent");
    place.source.sent(batch, batch.next);
    this.#loadedBytes -= length;
    this.#blocksLoaded--;
    this.#counters.blocksSent++;
    this.#counters.sentPayloadBytes += length;
    const begin = batch.nextBegin;
    batch.next++;
    batch.nextBegin += length;
    batch.sent = 0;
    if (batch.next === batch.count) {
      this.#batches.shift();
      this.#spareBatches.push(batch);
      if (this.#windowBytes < this.#loadedBytesMax)
        this.#windowBytes = Math.min(2 * this.#windowBytes, this.#loadedBytesMax);
    }
    this.#host.blockSent(batch.piece, begin, length);
    return count;
  }

  /** Forgets every block that was asked for and has not begun to leave; calls `each` with it. */
  dropRequested(each?: (piece: number, begin: number, length: number) => void): void {
    const head = this.#batches[0];
    this.#unload(head !== undefined && head.sent > 0 ? 1 : 0, each ?? ignore);
    const requested = this.requested;
    for (let index = 0; each !== undefined && index < requested.count; index++) {
      each(requested.pieceAt(index), requested.beginAt(index), requested.lengthAt(index));
    }
    requested.clear();
  }

  /** The peer takes nothing: what is loaded goes back behind the block that is next, for others to use the memory. */
  giveBack(nowMs: number): void {
    this.#windowBytes = BLOCK_SIZE;
    // The last comes first, and each goes before those that went back already.
    this.#unload(1, (piece, begin, length) => this.requested.unshift(piece, begin, length, nowMs));
  }

  /** Takes back all blocks that are loaded, or being loaded, but the next `kept`. The last ones come first. */
  #unload(kept: number, each: (piece: number, begin: number, length: number) => void): void {
    const batches = this.#batches;
    for (let at = batches.length - 1; at >= 0; at--) {
      const batch = batches[at]!;
      const keptHere = at === 0 && batch.ready ? kept : 0;
      const end = batch.next + keptHere;
      let begin = batch.begin + batch.bytes;
      for (let index = batch.count - 1; index >= end; index--) {
        const length = batch.lengths[index]!;
        begin -= length;
        this.#loadedBytes -= length;
        this.#blocksLoaded--;
        if (batch.ready) this.#place!.source.sent(batch, index);
        each(batch.piece, begin, length);
      }
      // A read under way still writes into the batch's memory: it goes home when the read ends.
      if (!batch.ready) batch.orphaned = true;
      if (keptHere > 0) batch.cut(end);
      else batches.pop();
      if (keptHere === 0 && batch.ready) this.#spareBatches.push(batch);
    }
  }

  /** Counts what is loaded again, and compares. For tests. */
  checkInvariants(): void {
    this.outbox.checkInvariants();
    this.requested.checkInvariants();
    if (this.#closed) return;
    let blocks = 0;
    let bytes = 0;
    for (const batch of this.#batches) {
      assert(batch.next < batch.count && !batch.orphaned, "a batch that waits has blocks to send");
      assert(
        batch.sent === 0 || (batch === this.#batches[0] && batch.ready),
        "one block has begun at the most",
      );
      blocks += batch.count - batch.next;
      for (let index = batch.next; index < batch.count; index++) bytes += batch.lengths[index]!;
    }
    assert(blocks === this.#blocksLoaded && bytes === this.#loadedBytes, "the sender counts what is loaded");
  }

  close(): void {
    this.#closed = true;
    if (this.#waitingForMemory) this.#memory.pool.stopWaiting(this);
    this.requested.clear();
    for (const batch of this.#batches) {
      // A read under way still writes into the batch's memory: it goes home when the read ends.
      if (batch.ready) this.#releaseBatch(batch);
      else batch.orphaned = true;
    }
    this.#batches = [];
  }

  #releaseBatch(batch: BlockBatch): void {
    for (let index = batch.next; index < batch.count; index++) this.#place!.source.sent(batch, index);
  }
}

/** So much was sent, or −errno: what may pass and does not is for others. */
function settle(throttle: Throttle, written: number): void {
  if (written > 0) throttle.passed(written);
  else throttle.giveBack();
}

function ignore(): void {}
