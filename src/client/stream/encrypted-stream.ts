// A byte stream over another one that goes through message stream encryption, or finds out that it does not.
//
//   connecting ──▶ handshake ──▶ open        who connects: told as connected when the handshake is over
//   detecting ───▶ handshake ──▶ open        who is connected to: the first bytes say whether the other side encrypts at all
//        └────── plain ─────────▲
//
// What is received is decrypted where it lies, in the entries of the plan. What is sent is encrypted on its way into a buffer of the
// session, from where it is sent; what the stream below does not take of it stays with the connection, and is sent before anything else.
// Where nothing is encrypted, calls go straight through, and once nothing waits here any more, the stream below is used in the place of this
// one, where that can be: a connection in the clear, as most are, keeps nothing of all this.
//
// One file, because both directions share the state above and the plan, and each call looks at both.
//
// Always: no byte behind the handshake is read as part of it; a byte is encrypted once, and the cipher is where the stream is; the plan is
// as it was when a call returns.

import { constants } from "node:os";
import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { KIB } from "../../base/limits.js";
import { READABLE, WRITABLE } from "../../native/binding.js";
import type { TurnHook } from "../../native/reactor.js";
import type { ByteStream, StreamHandler } from "./byte-stream.js";
import type { EncryptedLink, EncryptionInitiator, EncryptionResponder } from "./encryption-handshake.js";
import type { ExchangeWaiter } from "./exchange-turns.js";

/** What the stream needs of its session: the memory of the plan, and the cipher over it. */
export interface EncryptionRoom {
  /** The shared plan. */
  readonly entries: Float64Array;
  readonly bytes: Uint8Array;
  /** A buffer that nobody else uses during a call of a stream. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
  readonly eagain: number;
  /** As NativeEngine.rc4. */
  rc4(state: Uint8Array, first: number, count: number, bytes: number, to: number): number;
  /** Moves bytes to a mapped file. */
  copy(from: number, to: number, length: number): void;
  /** Runs `hook` once at the end of this turn. */
  atTurnEnd(hook: TurnHook): void;
}

/** Where a stream waits for its turn to make keys (exchange-turns.ts). */
export interface ExchangeQueue {
  /** Calls waiter.exchange() when it is its turn, never from inside this call. */
  ask(waiter: ExchangeWaiter): void;
  forget(waiter: ExchangeWaiter): void;
}

const PLAIN_BEGINNING = Uint8Array.of(19, ...Buffer.from("BitTorrent protocol", "latin1"));
/** In one call: what fits the nearest cache with its source. */
const SEND_BYTES_MAX = 64 * KIB;
const REFUSED = -constants.errno.EPROTO;
const NOTHING = new Uint8Array(0);

type Phase = "connecting" | "detecting" | "handshake" | "open" | "failed" | "closed";

export class EncryptedStream implements ByteStream, StreamHandler, TurnHook, ExchangeWaiter {
  readonly #inner: ByteStream;
  readonly #room: EncryptionRoom;
  readonly #begin: () => EncryptionInitiator | EncryptionResponder;
  readonly #exchanges: ExchangeQueue;
  readonly #isOutgoing: boolean;
  readonly #takesPlain: boolean;
  #phase: Phase;
  #handshake: EncryptionInitiator | EncryptionResponder | undefined;
  #handler: StreamHandler | undefined;
  #watched = 0;
  #innerWatched = 0;
  #error = 0;
  #sending: Uint8Array | undefined;
  #receiving: Uint8Array | undefined;
  /** Bytes that were read with the handshake and belong to what follows. */
  #first: Uint8Array = NOTHING;
  /** Encrypted, and not taken by the stream below. */
  #rest: Uint8Array = NOTHING;
  #isAsked = false;
  /** It waits for its turn to make keys, and reads nothing. */
  #awaitsExchange = false;
  /** Of an outgoing stream: nobody was told yet that it stands. */
  #isUntold: boolean;

  /** `begin` makes the handshake when it is time. `takesPlain`: of a connection that comes in, whether it may do without. */
  constructor(
    inner: ByteStream,
    room: EncryptionRoom,
    options: {
      outgoing: boolean;
      takesPlain: boolean;
      begin: () => EncryptionInitiator | EncryptionResponder;
      exchanges: ExchangeQueue;
    },
  ) {
    this.#inner = inner;
    this.#room = room;
    this.#begin = options.begin;
    this.#exchanges = options.exchanges;
    this.#isOutgoing = options.outgoing;
    this.#isUntold = options.outgoing;
    this.#takesPlain = options.takesPlain;
    this.#phase = options.outgoing ? "connecting" : "detecting";
  }

  /** True once what goes over it is encrypted. */
  get isEncrypted(): boolean {
    return this.#sending !== undefined;
  }

  // ── ByteStream ───────────────────────────────────────────────────────────────────────────────────────────────

  open(handler: StreamHandler, events: number): number {
    this.#handler = handler;
    this.#watched = events;
    this.#innerWatched = this.#isOutgoing ? WRITABLE : READABLE;
    return this.#inner.open(this, this.#innerWatched);
  }

  established(): number {
    return this.#error;
  }

  fill(first: number, count: number): number {
    if (this.#phase === "failed") return this.#error;
    if (this.#phase !== "open") return this.#room.eagain;
    if (this.#first.length > 0) return this.#fillFirst(first, count);
    const received = this.#inner.fill(first, count);
    if (received > 0 && this.#receiving !== undefined)
      this.#room.rc4(this.#receiving, first, count, received, -1);
    return received;
  }

  drain(first: number, count: number, more: boolean): number {
    if (this.#phase === "failed") return this.#error;
    if (this.#phase !== "open") return this.#room.eagain;
    const blocked = this.#drainRest();
    if (blocked < 0) return blocked;
    if (this.#sending === undefined) return this.#inner.drain(first, count, more);
    const { bufferAddress, bufferBytes } = this.#room;
    const most = Math.min(SEND_BYTES_MAX, bufferBytes);
    const bytes = this.#room.rc4(
      this.#sending,
      first,
      count,
      Math.min(most, this.#plannedFrom(first, count)),
      bufferAddress,
    );
    return this.#sendBuffer(first, bytes, more);
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    if (this.#phase !== "open") return this.#phase === "failed" ? this.#error : this.#room.eagain;
    assert(this.#sending === undefined, "what is encrypted passes through memory");
    const blocked = this.#drainRest();
    return blocked < 0 ? blocked : this.#inner.drainFile(fileFd, offset, length);
  }

  watch(events: number): void {
    this.#watched = events;
    if (this.#phase !== "open") return;
    this.#watchInner();
    if (this.#first.length > 0 && (events & READABLE) !== 0) this.#ask();
  }

  setLowWater(bytes: number): void {
    this.#inner.setLowWater(bytes);
  }

  unacknowledgedBytes(): number {
    const below = this.#inner.unacknowledgedBytes();
    return below < 0 ? below : below + this.#rest.length;
  }

  boundUnsent(bytes: number): void {
    this.#inner.boundUnsent(bytes);
  }

  close(discards = false): void {
    if (!discards && this.#phase === "open" && this.#rest.length > 0) this.#drainRest();
    this.#phase = "closed";
    this.#exchanges.forget(this);
    this.#inner.close(discards);
  }

  // ── StreamHandler of the stream below ────────────────────────────────────────────────────────────────────────

  socketReady(events: number): void {
    if (this.#phase === "connecting") {
      const error = this.#inner.established();
      if (error < 0) {
        this.#fail(error);
        return;
      }
      this.#startHandshake(NOTHING);
    }
    this.#goOn(() => {
      if (this.#phase === "detecting") this.#detect();
    });
    if (this.#phase === "open") this.#tellOpen(events);
  }

  // ── ExchangeWaiter ───────────────────────────────────────────────────────────────────────────────────────────

  exchange(): void {
    this.#awaitsExchange = false;
    this.#goOn(() => {
      if (this.#phase === "handshake") this.#handshake?.exchange();
    });
    if (this.#phase === "open") this.#tellOpen(0);
  }

  turnEnded(): void {
    this.#isAsked = false;
    // A stream in error is both: whoever watches for one of them asks, and is told.
    if (this.#phase === "failed") this.#handler?.socketReady(READABLE | WRITABLE);
    if (this.#phase === "open" && this.#first.length > 0 && (this.#watched & READABLE) !== 0)
      this.#tell(READABLE);
    if (this.#isIdle) this.#standAside();
  }

  #standAside(): void {
    this.#watchInner();
    if (this.#handler?.standsAside?.(this, this.#inner) === true) this.#phase = "closed";
  }

  /** It is in the clear, and keeps nothing back: what is asked of it is the stream below's. */
  get #isIdle(): boolean {
    const isPlain = this.#sending === undefined && this.#receiving === undefined;
    const waits = this.#first.length > 0 || this.#rest.length > 0;
    return this.#phase === "open" && isPlain && !waits && !this.#isUntold;
  }

  // ── the handshake ────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes `step`, and the handshake as far as it goes then. */
  #goOn(step: () => void): void {
    try {
      step();
      if (this.#phase === "handshake") this.#shake();
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#fail(REFUSED);
    }
  }

  /** Who speaks the protocol in the clear says so with its first bytes. */
  #detect(): void {
    while (this.#phase === "detecting") {
      const bytes = this.#read(PLAIN_BEGINNING.length - this.#first.length);
      if (bytes === undefined) return;
      if (bytes.length === 0) {
        // It ended: what came before, and the end, is told as by any other stream.
        this.#phase = "open";
        return;
      }
      this.#first = Buffer.concat([this.#first, bytes]);
      const isPlain = this.#first.every((byte, index) => byte === PLAIN_BEGINNING[index]);
      if (!isPlain) {
        const begun = this.#first;
        this.#first = NOTHING;
        this.#startHandshake(begun);
      } else if (this.#first.length === PLAIN_BEGINNING.length) {
        if (!this.#takesPlain) {
          this.#fail(REFUSED);
          return;
        }
        this.#phase = "open";
      }
    }
  }

  #startHandshake(begun: Uint8Array): void {
    this.#phase = "handshake";
    this.#handshake = this.#begin();
    if (begun.length > 0) this.#handshake.receive(begun);
  }

  #shake(): void {
    const handshake = this.#handshake;
    assert(handshake !== undefined, "a handshake under way is there");
    for (;;) {
      this.#rest = Buffer.concat([this.#rest, handshake.take()]);
      const sent = this.#drainRest();
      if (sent < 0 && sent !== this.#room.eagain) {
        this.#fail(sent);
        return;
      }
      if (handshake.link !== undefined) {
        this.#agreed(handshake.link);
        return;
      }
      if (handshake.awaitsExchange) {
        if (!this.#awaitsExchange) this.#exchanges.ask(this);
        this.#awaitsExchange = true;
        break;
      }
      const bytes = this.#read(handshake.needed);
      if (bytes === undefined) break;
      if (bytes.length === 0) {
        this.#fail(-constants.errno.ECONNRESET);
        return;
      }
      handshake.receive(bytes);
    }
    this.#watchInner();
  }

  #agreed(link: EncryptedLink): void {
    this.#handshake = undefined;
    this.#sending = link.sending;
    this.#receiving = link.receiving;
    this.#first = link.first;
    this.#phase = "open";
    if (link.sending === undefined) this.#ask();
  }

  /** Up to `count` bytes, none at the end of the stream, or undefined: none is there now, or it has failed. */
  #read(count: number): Uint8Array | undefined {
    const { bytes, bufferAddress, entries } = this.#room;
    entries[0] = bufferAddress;
    entries[1] = count;
    const received = this.#inner.fill(0, 1);
    if (received >= 0) return bytes.slice(bufferAddress, bufferAddress + received);
    if (received !== this.#room.eagain) this.#fail(received);
    return undefined;
  }

  #fail(error: number): void {
    if (this.#phase === "failed" || this.#phase === "closed") return;
    this.#phase = "failed";
    this.#error = error;
    this.#handshake = undefined;
    this.#exchanges.forget(this);
    this.#setInnerWatch(0);
    // Nothing tells of it again, and in a turn that is full of others' words nobody would be heard.
    this.#ask();
  }

  // ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Tells what is watched, behind the handshake and whenever the stream below is ready. */
  #tellOpen(events: number): void {
    const isNew = this.#isUntold;
    this.#isUntold = false;
    if ((events & WRITABLE) !== 0 && this.#rest.length > 0) {
      const sent = this.#drainRest();
      if (sent < 0 && sent !== this.#room.eagain) {
        this.#fail(sent);
        return;
      }
    }
    let told = events & this.#watched;
    if (isNew) told |= WRITABLE;
    if (this.#first.length > 0) told |= READABLE & this.#watched;
    // What waits here is sent before anything else is.
    if (this.#rest.length > 0) told &= ~WRITABLE;
    this.#watchInner();
    if (told !== 0) this.#tell(told);
  }

  /** Who does not read all that waits here is told again, as by a socket: the kernel knows nothing of it. */
  #tell(events: number): void {
    this.#handler?.socketReady(events);
    if (this.#phase === "open" && this.#first.length > 0 && (this.#watched & READABLE) !== 0) this.#ask();
  }

  #fillFirst(first: number, count: number): number {
    const { entries, bytes } = this.#room;
    const address = entries[2 * first]!;
    const room = entries[2 * first + 1]!;
    const { bufferAddress, bufferBytes } = this.#room;
    // The beginning may hold a block, whose place may be a mapped file: that is reached through memory that nobody reads.
    const isMapped = address >= bytes.length;
    const took = Math.min(room, this.#first.length, isMapped ? bufferBytes : room);
    bytes.set(this.#first.subarray(0, took), isMapped ? bufferAddress : address);
    if (isMapped) this.#room.copy(bufferAddress, address, took);
    this.#first = took === this.#first.length ? NOTHING : this.#first.subarray(took);
    if (this.#isIdle) this.#ask();
    if (took === room || this.#first.length > 0) return took;
    entries[2 * first] = address + took;
    entries[2 * first + 1] = room - took;
    const more = this.#inner.fill(first, count);
    if (more > 0 && this.#receiving !== undefined) this.#room.rc4(this.#receiving, first, count, more, -1);
    entries[2 * first] = address;
    entries[2 * first + 1] = room;
    // An end or an error is told by the next call.
    return more > 0 ? took + more : took;
  }

  #plannedFrom(first: number, count: number): number {
    const { entries } = this.#room;
    let bytes = 0;
    for (let index = first; index < first + count; index++) bytes += entries[2 * index + 1]!;
    return bytes;
  }

  /** Sends the first `bytes` of the buffer. All of them count as sent: what is not taken stays here. */
  #sendBuffer(first: number, bytes: number, more: boolean): number {
    const { entries, bufferAddress } = this.#room;
    const address = entries[2 * first]!;
    const room = entries[2 * first + 1]!;
    entries[2 * first] = bufferAddress;
    entries[2 * first + 1] = bytes;
    const sent = this.#inner.drain(first, 1, more);
    entries[2 * first] = address;
    entries[2 * first + 1] = room;
    if (sent < 0 && sent !== this.#room.eagain) return sent;
    const taken = Math.max(0, sent);
    if (taken < bytes) {
      this.#rest = this.#room.bytes.slice(bufferAddress + taken, bufferAddress + bytes);
      this.#watchInner();
    }
    return bytes;
  }

  /** 0 when nothing waits any more, or −errno. */
  #drainRest(): number {
    const { entries, bufferAddress, bytes, eagain } = this.#room;
    while (this.#rest.length > 0) {
      const [address, room] = [entries[0]!, entries[1]!];
      bytes.set(this.#rest, bufferAddress);
      entries[0] = bufferAddress;
      entries[1] = this.#rest.length;
      const sent = this.#inner.drain(0, 1, false);
      entries[0] = address;
      entries[1] = room;
      if (sent < 0) {
        if (sent === eagain) this.#watchInner();
        return sent;
      }
      this.#rest = sent === this.#rest.length ? NOTHING : this.#rest.subarray(sent);
    }
    return 0;
  }

  #ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#room.atTurnEnd(this);
  }

  #watchInner(): void {
    const waits = this.#rest.length > 0 ? WRITABLE : 0;
    const listens = this.#awaitsExchange ? 0 : READABLE;
    this.#setInnerWatch((this.#phase === "open" ? this.#watched : listens) | waits);
  }

  #setInnerWatch(events: number): void {
    if (events === this.#innerWatched || this.#phase === "closed") return;
    this.#innerWatched = events;
    this.#inner.watch(events);
  }
}
