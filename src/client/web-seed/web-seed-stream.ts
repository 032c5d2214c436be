// A web seed as a peer (BEP 19): a byte stream that speaks the peer wire protocol to a connection of ours and HTTP to a server. So the
// picker, the pool, the deadlines, the hashes and the bans that peers have are a web seed's as well, and it needs none of its own.
//
//   our requests ──▶ asked ──────────────────────────────────┐
//   HTTP, one run at a time ──▶ blocks ──asked for?── yes ──▶ piece messages ──fill()──▶ slots of the pool
//                                              └── not yet ──▶ kept, HELD_BYTES_MAX
//
// A web seed has everything, and says so bit by bit: it announces the pieces of a window that are missing here, and the next ones as
// those are asked for. So what it is asked for lies together, and is one request to the server: a run of pieces. How rare pieces are
// among peers stays as it is.
//
// Always: the contract of byte-stream.ts; a block is sent as a whole or not at all; what waits for us is bounded, and the server waits
// for us beyond that. When the server fails for good the stream ends, and `failure` says why.

import type { Ground, Timer } from "../../base/ground.js";
import { BLOCK_SIZE, HANDSHAKE_BYTES, MIB, PIECE_HEADER_BYTES } from "../../base/limits.js";
import { PieceSet } from "../../base/piece-set.js";
import { READABLE, WRITABLE } from "../../native/binding.js";
import type { HttpGround } from "../../native/http-get.js";
import type { TurnHook } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import type { Layout } from "../storage/layout.js";
import { ByteQueue } from "../stream/byte-queue.js";
import type { ByteStream, StreamHandler } from "../stream/byte-stream.js";
import { encodeEmpty, encodeHave, encodePieceHeader, encodeRequest } from "../wire/encode.js";
import { encodeHandshake } from "../wire/handshake.js";
import { MessageId } from "../wire/messages.js";
import type { WebSeedError } from "./web-file.js";
import { WebRun, type WebRunHost } from "./web-run.js";

export interface WebSeedOptions {
  readonly http: HttpGround;
  readonly ground: Ground;
  readonly memory: Memory;
  /** Pairs (address, length) of the session. */
  readonly plan: Float64Array;
  readonly atTurnEnd: (hook: TurnHook) => void;
  readonly eagain: number;
  readonly base: URL;
  readonly layout: Layout;
  readonly isSingleFile: boolean;
  readonly infoHash: Uint8Array;
  /** 20 bytes, the same for one URL. */
  readonly peerId: Uint8Array;
  /** What is here already. */
  readonly have: PieceSet;
}

/** Messages that wait for us: from here on the server waits. */
const WAITING_BYTES_MAX = MIB;
/** Blocks that came before they were asked for. */
const HELD_BYTES_MAX = 4 * MIB;
/** What is announced ahead of what is asked for: a run is about as long. */
const WINDOW_BYTES = 2 * MIB;
const RUN_BYTES_MAX = 8 * MIB;
const REST_BYTES_MAX = MIB / 4;
/** Nothing was asked for, for so long: what is announced is others' work, and the next pieces are. */
const IDLE_MS = 500;
const FAILURES_MAX = 3;
const MESSAGE_BYTES_MAX = 64;

export class WebSeedStream implements ByteStream, TurnHook, WebRunHost {
  /** Why it ended. */
  failure: WebSeedError | undefined;
  /** That came, in all. */
  blocks = 0;
  readonly #options: WebSeedOptions;
  #handler: StreamHandler | undefined;
  #events = 0;
  #isScheduled = false;
  #isClosed = false;
  #isEnded = false;
  readonly #again: Timer[] = [];

  /** Bytes for us. */
  readonly #outgoing: ByteQueue;
  /** Of what we say: the part of a message that has come. */
  #heard: Uint8Array = new Uint8Array(0);
  #isGreeted = false;

  readonly #had: PieceSet;
  readonly #announced: PieceSet;
  #isAllAnnounced = false;
  /** Announced, and nothing of it asked for yet. */
  readonly #fresh = new Set<number>();
  #nextPiece = 0;
  #windowBytes = WINDOW_BYTES;
  #idle: Timer | undefined;
  /** Offsets in the torrent of blocks that we want. */
  readonly #asked = new Set<number>();
  readonly #held = new Map<number, readonly Uint8Array[]>();
  #heldBytes = 0;
  #run: WebRun | undefined;
  #failures = 0;
  /** Blocks that came since the last failure. */
  #blocks = 0;

  constructor(options: WebSeedOptions) {
    this.#options = options;
    this.#outgoing = new ByteQueue(options.memory);
    const { layout, have, ground } = options;
    this.#had = new PieceSet(layout.pieceCount);
    for (let piece = 0; piece < layout.pieceCount; piece++) if (have.has(piece)) this.#had.add(piece);
    this.#announced = new PieceSet(layout.pieceCount);
    // Several web seeds begin apart.
    this.#nextPiece = Math.floor(ground.random() * layout.pieceCount);
  }

  // ── ByteStream ───────────────────────────────────────────────────────────────────────────────────────────────

  open(handler: StreamHandler, events: number): number {
    this.#handler = handler;
    this.watch(events);
    return 0;
  }

  established(): number {
    return 0;
  }

  fill(first: number, count: number): number {
    const { plan, eagain } = this.#options;
    const received = this.#outgoing.fill(plan, first, count);
    if (received === 0) return this.#isEnded ? 0 : eagain;
    this.#flow();
    return received;
  }

  drain(first: number, count: number, _more: boolean): number {
    const { plan, memory } = this.#options;
    const parts: Uint8Array[] = [this.#heard];
    let taken = 0;
    for (let entry = first; entry < first + count; entry++) {
      const [address = 0, length = 0] = plan.subarray(2 * entry, 2 * entry + 2);
      parts.push(memory.bytes.subarray(address, address + length));
      taken += length;
    }
    this.#hear(Buffer.concat(parts));
    return taken;
  }

  /** We ask for blocks and send none. */
  drainFile(): number {
    return 0;
  }

  watch(events: number): void {
    this.#events = events;
    this.#schedule();
  }

  setLowWater(): void {}

  boundUnsent(): void {}

  unacknowledgedBytes(): number {
    return 0;
  }

  close(): void {
    this.#isClosed = true;
    this.#run?.stop();
    this.#idle?.close();
    for (const timer of this.#again) timer.close();
  }

  /** The session does not want it any more. */
  end(failure?: WebSeedError): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#isEnded = true;
    this.failure = failure;
    this.#run?.stop();
    this.#idle?.close();
    this.#schedule();
  }

  turnEnded(): void {
    this.#isScheduled = false;
    const events = this.#ready();
    if (events === 0 || this.#handler === undefined) return;
    this.#handler.socketReady(events);
    // In the next turn, so that others have theirs.
    if (this.#ready() === 0) return;
    this.#again.shift()?.close();
    this.#again.push(this.#options.ground.after(0, () => this.#schedule()));
  }

  #ready(): number {
    if (this.#isClosed) return 0;
    const readable = this.#outgoing.bytes > 0 || this.#isEnded ? READABLE : 0;
    return this.#events & (readable | WRITABLE);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#ready() === 0) return;
    this.#isScheduled = true;
    this.#options.atTurnEnd(this);
  }

  #say(bytes: Uint8Array): void {
    this.#outgoing.push(bytes);
  }

  #sayMessage(encode: (target: Uint8Array) => number): void {
    const bytes = new Uint8Array(MESSAGE_BYTES_MAX);
    this.#say(bytes.subarray(0, encode(bytes)));
  }

  // ── what we say to it ────────────────────────────────────────────────────────────────────────────────────────

  #hear(bytes: Buffer): void {
    let at = 0;
    if (!this.#isGreeted && bytes.length >= HANDSHAKE_BYTES) {
      at = HANDSHAKE_BYTES;
      this.#greet();
    }
    while (this.#isGreeted && bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at);
      if (bytes.length - at - 4 < length) break;
      if (length > 0) this.#hearMessage(bytes[at + 4] ?? 0, bytes.subarray(at + 5, at + 4 + length));
      at += 4 + length;
    }
    this.#heard = bytes.subarray(at);
    this.#serve();
    this.#schedule();
  }

  #greet(): void {
    const { infoHash, peerId } = this.#options;
    const handshake = new Uint8Array(HANDSHAKE_BYTES);
    encodeHandshake(handshake, 0, { infoHash, peerId });
    // The bit of BEP 10: there is nothing to extend.
    handshake[25] = 0;
    this.#say(handshake);
    this.#sayMessage((target) => encodeEmpty(target, 0, MessageId.haveNone));
    this.#sayMessage((target) => encodeEmpty(target, 0, MessageId.unchoke));
    this.#isGreeted = true;
    this.#announce();
  }

  #hearMessage(id: number, body: Buffer): void {
    switch (id) {
      case MessageId.have:
        this.#gone(body.readUInt32BE(0));
        break;
      case MessageId.request: {
        const piece = body.readUInt32BE(0);
        this.#asked.add(this.#options.layout.pieceOffset(piece) + body.readUInt32BE(4));
        if (this.#fresh.delete(piece)) this.#announce();
        break;
      }
      case MessageId.cancel: {
        const [piece, begin, length] = [body.readUInt32BE(0), body.readUInt32BE(4), body.readUInt32BE(8)];
        if (!this.#asked.delete(this.#options.layout.pieceOffset(piece) + begin)) break;
        this.#sayMessage((target) => encodeRequest(target, 0, MessageId.reject, piece, begin, length));
        break;
      }
      default:
    }
  }

  /** A piece is here, whoever brought it. */
  #gone(piece: number): void {
    this.#had.add(piece);
    if (this.#fresh.delete(piece)) this.#announce();
  }

  /** Announces missing pieces, in order, until as much is announced and not asked for as a window holds. */
  #announce(): void {
    const { layout } = this.#options;
    if (this.#isAllAnnounced) return;
    const count = Math.max(1, Math.floor(this.#windowBytes / layout.pieceLength));
    for (let steps = 0; this.#fresh.size < count && steps < layout.pieceCount; steps++) {
      const piece = this.#nextPiece;
      this.#nextPiece = (piece + 1) % layout.pieceCount;
      if (this.#had.has(piece) || this.#announced.has(piece)) continue;
      this.#announced.add(piece);
      this.#fresh.add(piece);
      this.#sayMessage((target) => encodeHave(target, 0, piece));
    }
    // All pieces were looked at, and none was left: there will be no more, and each look costs as many steps as there are pieces.
    this.#isAllAnnounced = this.#fresh.size < count;
  }

  // ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────

  blockCame(piece: number, block: number, parts: readonly Uint8Array[]): void {
    const offset = this.#options.layout.pieceOffset(piece) + block * BLOCK_SIZE;
    this.#blocks++;
    this.blocks++;
    if (this.#asked.delete(offset)) this.#sayBlock(offset, parts);
    else this.#keep(offset, parts);
    this.#flow();
    this.#schedule();
  }

  runEnded(error: WebSeedError | undefined): void {
    this.#run = undefined;
    if (this.#blocks > 0) this.#failures = 0;
    this.#blocks = 0;
    const isFinal = error?.retryMs !== undefined;
    if (error !== undefined && (isFinal || ++this.#failures === FAILURES_MAX)) this.end(error);
    else this.#serve();
    this.#schedule();
  }

  #sayBlock(offset: number, parts: readonly Uint8Array[]): void {
    const { layout } = this.#options;
    const piece = Math.floor(offset / layout.pieceLength);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const header = new Uint8Array(PIECE_HEADER_BYTES);
    encodePieceHeader(header, 0, piece, offset - layout.pieceOffset(piece), length);
    this.#say(header);
    for (const part of parts) this.#say(part);
  }

  /** It may be asked for soon; the oldest goes for it. */
  #keep(offset: number, parts: readonly Uint8Array[]): void {
    this.#held.set(offset, parts);
    this.#heldBytes += BLOCK_SIZE;
    for (const [oldest] of this.#held) {
      if (this.#heldBytes <= HELD_BYTES_MAX) break;
      this.#drop(oldest);
    }
  }

  #drop(offset: number): void {
    if (this.#held.delete(offset)) this.#heldBytes -= BLOCK_SIZE;
  }

  /** Sends what was asked for and is here, and sees to it that the rest comes. */
  #serve(): void {
    if (this.#isEnded || this.#isClosed || !this.#isGreeted) return;
    for (const offset of this.#asked) {
      const parts = this.#held.get(offset);
      if (parts === undefined) continue;
      this.#drop(offset);
      this.#asked.delete(offset);
      this.#sayBlock(offset, parts);
    }
    if (this.#run === undefined && this.#asked.size > 0) this.#begin();
    this.#flow();
    this.#watchIdle();
  }

  /** A run from the first block that is asked for, over pieces that are announced and missing. */
  #begin(): void {
    const { http, ground, base, layout, isSingleFile } = this.#options;
    let from = Number.POSITIVE_INFINITY;
    for (const offset of this.#asked) from = Math.min(from, offset);
    let last = Math.floor(from / layout.pieceLength);
    while (
      last + 1 < layout.pieceCount &&
      this.#announced.has(last + 1) &&
      !this.#had.has(last + 1) &&
      layout.pieceOffset(last + 2) - from <= RUN_BYTES_MAX
    )
      last++;
    const to = Math.min(layout.totalLength, layout.pieceOffset(last + 1));
    this.#run = new WebRun({ http, ground, base, layout, isSingleFile, from, to }, this);
  }

  /** The server waits while we have enough: messages that we do not take, or blocks that we do not ask for. */
  #flow(): void {
    const run = this.#run;
    if (run === undefined) return;
    let isAhead = false;
    for (const offset of this.#asked) {
      isAhead = offset >= run.at && offset < run.to;
      if (isAhead) break;
    }
    const isIdle = !isAhead && this.#heldBytes >= HELD_BYTES_MAX / 2;
    // What is asked for is nowhere in what is left of the run, and much has come that was not: another run has it. A short rest is read,
    // so that the connection is kept.
    if (isIdle && this.#asked.size > 0 && run.to - run.at > REST_BYTES_MAX) {
      run.stop();
      this.#run = undefined;
      this.#begin();
      return;
    }
    const isFull = this.#outgoing.bytes > WAITING_BYTES_MAX;
    run.hold(isFull || (isIdle && this.#asked.size === 0));
  }

  #watchIdle(): void {
    if (this.#idle !== undefined) return;
    this.#idle = this.#options.ground.every(IDLE_MS, () => {
      if (this.#asked.size > 0) {
        this.#windowBytes = WINDOW_BYTES;
        return;
      }
      // Others are at work on all of those: twice as many next time.
      this.#fresh.clear();
      this.#windowBytes = Math.min(this.#options.layout.totalLength, 2 * this.#windowBytes);
      this.#announce();
      this.#schedule();
    });
  }
}
