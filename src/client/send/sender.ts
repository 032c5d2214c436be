// What goes out to one peer: small messages, and blocks that the peer asked for.
//
//   requested (by the peer) ─▶ batches (loading ─▶ ready) ─▶ writev ─▶ memory goes home
//                         small messages ─▶ outbox ──────────┘
//
// What is asked for and loaded is in loaded-blocks.ts; here is what a call writes of it. One file, because what a call writes is planned,
// cut to what may pass and counted off again by the same cursor.
//
// Always: bytes leave in whole messages, a block that has begun is finished before anything else; small messages go
// before blocks that have not begun. One writev takes the outbox and as many ready blocks as fit. Work per flush is bounded.

import { constants } from "node:os";
import { assert } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import type { PieceIndex } from "../../base/ids.js";
import { BLOCK_SIZE, KIB, MIB, PIECE_HEADER_BYTES } from "../../base/limits.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import type { Throttle, ThrottleUser } from "../../base/rate-limit.js";
import { HEADER_CELL_BYTES, type Memory, SEND_SCRATCH_BYTES } from "../memory/memory.js";
import type { Storage } from "../storage/storage.js";
import { encodePieceHeader } from "../wire/encode.js";
import type { BlockBatch } from "./block-batch.js";
import type { BlockSource } from "./block-source.js";
import { LoadedBlocks } from "./loaded-blocks.js";
import { Outbox } from "./outbox.js";
import { BLOCKS_PER_CALL_MAX, NEVER_BOUND, UNSENT_FREE, UnsentBound } from "./unsent-bound.js";

/** The socket, as far as sending goes. Results are bytes or −errno. */
export interface SendTransport {
  /** What goes over it is encrypted, and so passes through memory: nothing of it is sent by sendfile(). */
  readonly isEncrypted?: boolean;
  /** Entries of the shared plan, from the first on. */
  writev(count: number, more: boolean): number;
  sendfile(fileFd: number, offset: number, length: number): number;
  /** Asks to be flushed when the socket takes bytes again, or not any more. */
  wantWritable(wanted: boolean): void;
  /** From now on the socket takes no more while so many bytes wait that have not left this machine. */
  boundUnsent(bytes: number): void;
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

const FLUSH_BYTES_MAX = 1 * MIB;
const REQUESTS_LOOKED_AT_MAX = 16;
const OUTBOX_BYTES_PER_CALL_MAX = 48 * KIB;
/**
 * The file of a block that has begun is shorter than it was; the stream cannot go on. −EFAULT, as the system says of a mapping
 * whose file is.
 */
const FILE_GONE = -constants.errno.EFAULT;
const NO_BATCHES: readonly BlockBatch[] = [];
const HEADERS_AT = OUTBOX_BYTES_PER_CALL_MAX;

assert(
  HEADERS_AT + (BLOCKS_PER_CALL_MAX + 1) * HEADER_CELL_BYTES <= SEND_SCRATCH_BYTES,
  "outbox bytes and block headers of one call fit the scratch memory",
);

export class Sender implements ThrottleUser {
  readonly outbox = new Outbox();
  /** Made with the first request: most peers of a crowd never make one. */
  #loaded: LoadedBlocks | undefined;
  readonly #memory: Memory;
  readonly #entries: Float64Array;
  readonly #counters: TransferCounters;
  readonly #transport: SendTransport;
  readonly #host: SenderHost;
  #place: UploadPlace | undefined;

  #unsent = NEVER_BOUND;
  #choked = false;
  #blocked = false;
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
    assert(this.#place === undefined && !this.#closed, "a connection sends blocks of one torrent");
    this.#place = place;
  }

  /** Blocks that the peer asked for and that are not loaded yet. */
  get blocksRequested(): number {
    return this.#loaded?.requested.count ?? 0;
  }

  /** Blocks of the peer that were not sent yet, loaded ones included. */
  get blocksWaiting(): number {
    return this.blocksRequested + this.blocksLoaded;
  }

  /** True if what the peer waits for next is as much as a block. Looks at few requests, however many there are. */
  get isBlockWaiting(): boolean {
    if (this.#loaded === undefined) return false;
    const { requested } = this.#loaded;
    let { bytes } = this.#loaded;
    const count = Math.min(requested.count, REQUESTS_LOOKED_AT_MAX);
    for (let index = 0; index < count && bytes < BLOCK_SIZE; index++) bytes += requested.lengthAt(index);
    return bytes >= BLOCK_SIZE;
  }

  /** Blocks that were loaded and not sent yet: where they are copied, as many slots of the pool. */
  get blocksLoaded(): number {
    return this.#loaded?.blocksLoaded ?? 0;
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
    return this.outbox.length === 0 && this.blocksWaiting === 0;
  }

  queueBlock(piece: PieceIndex, begin: number, length: number, nowMs: number): void {
    const place = this.#place;
    assert(
      place !== undefined && !this.#closed && length > 0 && length <= BLOCK_SIZE,
      "what is asked for is a block of a torrent, while there is a peer",
    );
    this.#loaded ??= this.#makeLoaded(place);
    this.#loaded.requested.push(piece, begin, length, nowMs);
    this.#transport.scheduleFlush();
  }

  #makeLoaded(place: UploadPlace): LoadedBlocks {
    const loaded = new LoadedBlocks(this.#memory.pool, this.#transport, this.#host, place);
    loaded.choked(this.#choked);
    return loaded;
  }

  /** Takes a request back. False if the block is on its way already, or was never asked for. */
  cancelBlock(piece: number, begin: number): boolean {
    return this.#loaded?.cancel(piece, begin) === true;
  }

  /** The peer is served in turn from now on, or not any more: what is free only is loaded in small. */
  choked(choked: boolean): void {
    this.#choked = choked;
    this.#loaded?.choked(choked);
  }

  /** Time passed, in which the unchoked peer took `bytesPerSecond`. */
  pace(bytesPerSecond: number): void {
    this.#loaded?.pace(bytesPerSecond);
  }

  /** Time passed, in which so much of what was written reached the unchoked peer in a second. */
  takes(bytesPerSecond: number): void {
    if (this.#unsent === NEVER_BOUND) return;
    if (this.#unsent.tick(bytesPerSecond)) this.#transport.boundUnsent(this.#unsent.bytes);
  }

  /** The peer is sent blocks from now on, and has shown nothing: so many bytes may wait for it in the system's buffers. */
  boundUnsent(firstBytes: number): void {
    const before = this.#unsent.bytes;
    if (this.#unsent === NEVER_BOUND) this.#unsent = new UnsentBound();
    this.#unsent.begin(firstBytes);
    if (this.#unsent.bytes !== before) this.#transport.boundUnsent(this.#unsent.bytes);
  }

  /** Forgets every block that was asked for and has not begun to leave; calls `each` with it. */
  dropRequested(each?: (piece: number, begin: number, length: number) => void): void {
    this.#loaded?.drop(each);
  }

  /** The peer takes nothing: what is loaded goes back behind the block that is next, for others to use the memory. */
  giveBack(nowMs: number): void {
    this.#loaded?.giveBack(nowMs);
  }

  /** Counts again what its parts have counted. For tests, between two turns. */
  checkInvariants(): void {
    this.outbox.checkInvariants();
    if (!this.#closed) this.#loaded?.checkInvariants();
    assert(!this.#closed || this.blocksWaiting === 0, "what was loaded has gone home at close");
    assert(this.#place !== undefined || this.blocksWaiting === 0, "blocks that wait are those of a torrent");
    assert(NEVER_BOUND.bytes === UNSENT_FREE, "what all share does not change");
    const head = this.#loaded?.head;
    if (head === undefined || head.sent === 0) return;
    assert(this.#restOf(head) <= PIECE_HEADER_BYTES + BLOCK_SIZE, "the block that has begun is a block");
  }

  close(): void {
    this.#closed = true;
    this.#loaded?.close();
  }

  /** Writes until nothing waits, the socket is full, or enough was done. Returns 0, or −errno of a broken socket. */
  flush(eagain: number): number {
    let budget = FLUSH_BYTES_MAX;
    while (!this.#closed) {
      this.#loaded?.load();
      const head = this.#loaded?.head;
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
    const batches = this.#loaded?.batches ?? NO_BATCHES;
    const head = batches[0];
    let count = 0;
    let blocks = 0;
    let batchIndex = 0;
    let blockIndex = head?.next ?? 0;
    let begin = head?.nextBegin ?? 0;
    let more = false;

    const outboxBytes = Math.min(this.outbox.length, OUTBOX_BYTES_PER_CALL_MAX);
    let outboxPlanned = outboxBytes === 0;
    const blocksMax = this.#unsent.blocksPerCall;
    while (blocks < blocksMax) {
      const batch = batches[batchIndex];
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
      assert(length > 0 && sent < PIECE_HEADER_BYTES + length, "a block that is planned has bytes left");
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
        begin = batches[batchIndex]?.begin ?? 0;
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
    assert(
      2 * count <= entries.length && blocks <= BLOCKS_PER_CALL_MAX && (blocks > 0 || more || outboxBytes > 0),
      "one call writes messages, blocks or the header of one, as many as the entries hold",
    );
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
    const head = this.#loaded?.head;
    assert(head?.ready === true, "what is not a message is a block");
    let bytes = throttle.ask(head.sent > 0);
    if (head.sent > 0 && this.outbox.length > 0) bytes = Math.max(bytes, this.#restOf(head));
    return this.#cut(count, bytes + outboxBytes);
  }

  /** What is missing of the block that has begun. */
  #restOf(batch: BlockBatch): number {
    const rest = PIECE_HEADER_BYTES + batch.lengths[batch.next]! - batch.sent;
    assert(rest > 0 && batch.next < batch.count, "a block that is out is not the next any more");
    return rest;
  }

  /** How many of the first `count` entries hold so many bytes, the last of them cut. */
  #cut(count: number, bytes: number): number {
    const entries = this.#entries;
    assert(count > 0 && 2 * count <= entries.length && bytes >= 0, "what is cut holds bytes");
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
    assert(payloadSent >= 0 && length > 0, "a file's bytes follow their header, and some are left");
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
    assert(written > 0 && outboxBytes <= this.outbox.length, "what went out was there");
    if (this.#unsent.wrote(written)) this.#transport.boundUnsent(this.#unsent.bytes);
    this.#counters.sentBytes += written;
    let left = written;
    let outboxLeft = outboxBytes;
    while (left > 0) {
      const batch = this.#loaded?.head;
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
    assert(left === 0, "each byte that went out belongs to something");
  }

  #consumeBlock(batch: BlockBatch, available: number): number {
    const length = batch.lengths[batch.next]!;
    const whole = PIECE_HEADER_BYTES + length;
    const count = Math.min(available, whole - batch.sent);
    assert(
      count > 0 && batch.ready && batch.next < batch.count,
      "a block that is loaded and not out takes bytes",
    );
    batch.sent += count;
    if (batch.sent < whole) return count;
    const loaded = this.#loaded;
    assert(loaded !== undefined, "a block that is out was loaded");
    const begin = loaded.sent(batch);
    this.#counters.blocksSent++;
    this.#counters.sentPayloadBytes += length;
    this.#host.blockSent(batch.piece, begin, length);
    return count;
  }
}

/** So much was sent, or −errno: what may pass and does not is for others. */
function settle(throttle: Throttle, written: number): void {
  if (written > 0) throttle.passed(written);
  else throttle.giveBack();
}
