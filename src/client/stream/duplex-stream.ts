// A Node.js Duplex as a byte stream: TLS, WebRTC, uTP, a pair in memory, whatever a program brings. Bytes are Node's, and are copied
// once each way: from its chunks into the plan, and out of the plan into chunks of its own.
//
//   'readable' ──read()──▶ waiting, while READABLE is watched ──fill()──▶ the plan's entries
//   the plan's entries ──drain()──copy──▶ write() ──false──▶ −EAGAIN until 'drain'
//
// Always: the contract of byte-stream.ts. Nothing is read ahead while nobody watches, and not more than READ_AHEAD_BYTES_MAX of memory:
// beyond that the other side waits. What the Duplex says of its errors, or throws where it is written to, becomes an errno, and none is left
// unheard, also after close().

import { readSync } from "node:fs";
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import type { Ground } from "../../base/ground.js";
import { BLOCK_SIZE, KIB } from "../../base/limits.js";
import { READABLE, WRITABLE } from "../../native/binding.js";
import type { Memory } from "../memory/memory.js";
import { ByteQueue } from "./byte-queue.js";
import type { ByteStream, StreamHandler } from "./byte-stream.js";

/** As much as the pump ever waits for (its low-water mark), and some: what is beyond it stays with the Duplex. */
const READ_AHEAD_BYTES_MAX = 256 * KIB;
/** What one call gives to the Duplex at the most, if its own buffer is smaller. */
const WRITE_BYTES_MIN = 64 * KIB;
/** A Duplex that does not end what was written to it is destroyed. */
const END_PATIENCE_MS = 30_000;

const { errno: ERRNO } = constants;

/** Calls a stream when the turn of the loop that it asks in is over. */
export interface Rounds {
  /** Runs `hook` in the next round of the loop. */
  nextRound(hook: () => void): void;
}

export interface DuplexStreamOptions {
  readonly memory: Memory;
  /** Pairs (address, length). */
  readonly plan: Float64Array;
  readonly rounds: Rounds;
  readonly ground: Pick<Ground, "after">;
}

export class DuplexStream implements ByteStream {
  /** What fill() and drain() answer where they cannot go on now. */
  readonly eagain = -ERRNO.EAGAIN;
  readonly #duplex: Duplex;
  readonly #options: DuplexStreamOptions;
  readonly #waiting: ByteQueue;
  #handler: StreamHandler | undefined;
  #events = 0;
  #lowWaterBytes = 1;
  #isConnecting: boolean;
  #isEnded = false;
  /** −errno of what ended it, or 0. */
  #failure = 0;
  #isClosed = false;
  #isScheduled = false;
  readonly #run = (): void => this.#tell();

  /** The Duplex is the stream's from here on: nobody else reads from it or writes to it. */
  constructor(duplex: Duplex, options: DuplexStreamOptions) {
    this.#duplex = duplex;
    this.#options = options;
    this.#waiting = new ByteQueue(options.memory);
    // Sockets say so. Others take what is written before they are connected, and keep it.
    this.#isConnecting = (duplex as { connecting?: unknown }).connecting === true;
    duplex.on("error", (error: NodeJS.ErrnoException) => this.#fail(errnoOf(error)));
    duplex.once("close", () => this.#gone());
    if (duplex.destroyed) this.#gone();
    if (duplex.readableEnded) this.#isEnded = true;
  }

  open(handler: StreamHandler, events: number): number {
    this.#handler = handler;
    const duplex = this.#duplex;
    duplex.once("connect", () => {
      this.#isConnecting = false;
      this.#schedule();
    });
    duplex.on("drain", () => this.#schedule());
    duplex.once("end", () => {
      this.#isEnded = true;
      this.#schedule();
    });
    duplex.on("readable", () => this.#readAhead());
    this.watch(events);
    return 0;
  }

  established(): number {
    return this.#failure;
  }

  fill(first: number, count: number): number {
    const { plan } = this.#options;
    let wanted = 0;
    for (let entry = first; entry < first + count; entry++) wanted += plan[2 * entry + 1] ?? 0;
    this.#pull(wanted);
    const filled = this.#waiting.fill(plan, first, count);
    if (filled > 0) return filled;
    if (this.#failure < 0) return this.#failure;
    return this.#isEnded ? 0 : this.eagain;
  }

  drain(first: number, count: number, _more: boolean): number {
    const { plan, memory } = this.#options;
    const room = this.#roomToWrite();
    if (room <= 0) return room === 0 ? this.eagain : room;
    let planned = 0;
    for (let entry = first; entry < first + count; entry++) planned += plan[2 * entry + 1] ?? 0;
    const chunk = Buffer.allocUnsafe(Math.min(planned, room));
    let at = 0;
    for (let entry = first; at < chunk.length; entry++) {
      const length = Math.min(plan[2 * entry + 1] ?? 0, chunk.length - at);
      copyFrom(memory, plan[2 * entry] ?? 0, chunk.subarray(at, at + length));
      at += length;
    }
    return this.#write(chunk);
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    const room = this.#roomToWrite();
    if (room <= 0) return room === 0 ? this.eagain : room;
    const chunk = Buffer.allocUnsafe(Math.min(length, room));
    let read: number;
    try {
      read = readSync(fileFd, chunk, 0, chunk.length, offset);
    } catch (error) {
      return errnoOf(error as NodeJS.ErrnoException);
    }
    return read > 0 ? this.#write(chunk.subarray(0, read)) : read;
  }

  /** Streams are not to throw where they are written to, and some do, when what is below them has gone. */
  #write(chunk: Uint8Array): number {
    try {
      this.#duplex.write(chunk);
    } catch (error) {
      this.#fail(errnoOf(error as NodeJS.ErrnoException));
      return this.#failure;
    }
    return chunk.length;
  }

  watch(events: number): void {
    this.#events = events;
    if ((events & READABLE) !== 0) this.#readAhead();
    this.#schedule();
  }

  setLowWater(bytes: number): void {
    this.#lowWaterBytes = Math.min(bytes, READ_AHEAD_BYTES_MAX);
    this.#schedule();
  }

  unacknowledgedBytes(): number {
    return this.#duplex.writableLength;
  }

  /** A Duplex bounds by itself what waits in it. */
  boundUnsent(): void {}

  close(discards = false): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const duplex = this.#duplex;
    if (discards || duplex.destroyed || duplex.writableFinished || this.#failure < 0) {
      duplex.destroy();
      return;
    }
    const patience = this.#options.ground.after(END_PATIENCE_MS, () => duplex.destroy());
    patience.unref();
    duplex.once("close", () => patience.close());
    duplex.end(() => duplex.destroy());
  }

  /** Bytes that may be written now; 0: not before it drains; or −errno. */
  #roomToWrite(): number {
    const duplex = this.#duplex;
    if (this.#failure < 0) return this.#failure;
    if (!duplex.writable) return -ERRNO.EPIPE;
    if (duplex.writableNeedDrain) return 0;
    return Math.max(WRITE_BYTES_MIN, duplex.writableHighWaterMark - duplex.writableLength);
  }

  #readAhead(): void {
    if (this.#isClosed || this.#failure < 0 || (this.#events & READABLE) === 0) return;
    this.#pull(READ_AHEAD_BYTES_MAX);
    this.#schedule();
  }

  /** No more is read ahead: what came in a part for each byte takes many times their memory. */
  get #isFull(): boolean {
    return this.#waiting.heldBytes >= READ_AHEAD_BYTES_MAX;
  }

  /** Takes what the Duplex has, until so many bytes wait. */
  #pull(bytes: number): void {
    while (this.#waiting.bytes < bytes && !this.#isFull && !this.#duplex.destroyed) {
      const chunk: unknown = this.#duplex.read();
      if (chunk === null) return;
      if (chunk instanceof Uint8Array && chunk.length > 0) this.#waiting.push(chunk);
      else {
        // Not what it was taken for; and one that brings nothing again and again would never let go of us.
        this.#fail(-ERRNO.EINVAL);
        return;
      }
    }
  }

  #fail(errno: number): void {
    if (this.#failure === 0) this.#failure = errno;
    this.#schedule();
  }

  /** It was destroyed, by its owner or by the other side: without an error, it ended, or was cut off. */
  #gone(): void {
    if (!this.#isEnded && this.#failure === 0) this.#failure = -ERRNO.ECONNRESET;
    this.#schedule();
  }

  #ready(): number {
    if (this.#isClosed || this.#handler === undefined) return 0;
    if (this.#failure < 0) return this.#events & (READABLE | WRITABLE);
    if (this.#isConnecting) return 0;
    const hasBytes = this.#waiting.bytes > 0 && (this.#waiting.bytes >= this.#lowWaterBytes || this.#isFull);
    const readable = hasBytes || this.#isEnded ? READABLE : 0;
    const writable = this.#duplex.writableNeedDrain ? 0 : WRITABLE;
    return this.#events & (readable | writable);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#ready() === 0) return;
    this.#isScheduled = true;
    this.#options.rounds.nextRound(this.#run);
  }

  #tell(): void {
    this.#isScheduled = false;
    const events = this.#ready();
    if (events === 0) return;
    this.#handler?.socketReady(events);
    this.#readAhead();
    this.#schedule();
  }
}

/** Copies out of the slab, or out of a mapped file, through memory that nobody reads. */
function copyFrom(memory: Memory, address: number, target: Buffer): void {
  if (!memory.isMapped(address)) {
    target.set(memory.bytes.subarray(address, address + target.length));
    return;
  }
  const { sinkAddress } = memory;
  for (let at = 0; at < target.length; at += BLOCK_SIZE) {
    const length = Math.min(BLOCK_SIZE, target.length - at);
    memory.copy(address + at, sinkAddress, length);
    target.set(memory.bytes.subarray(sinkAddress, sinkAddress + length), at);
  }
}

/** −errno of an error of Node's; what has none, whatever it calls itself, is as a connection that broke. */
function errnoOf(error: NodeJS.ErrnoException | undefined): number {
  const errno = error?.errno;
  if (errno !== undefined && Number.isSafeInteger(errno) && errno < 0) return errno;
  const known = typeof error?.code === "string" ? (ERRNO as Record<string, number>)[error.code] : undefined;
  return -(known ?? ERRNO.ECONNRESET);
}
