// One connection of a load generator: handshake, messages by their lengths, and bytes to send. Payload of blocks is hopped
// over, not looked at; messages that neither side of a load needs are skipped.
//
// Always: what is left over between two receives is the beginning of one message, and short.

import { describeErrno } from "../../src/base/errors.js";
import { readUint32 } from "../../src/client/wire/decode.js";
import { encodeHandshake } from "../../src/client/wire/handshake.js";
import { MessageId } from "../../src/client/wire/messages.js";
import { READABLE, WRITABLE } from "../../src/native/binding.js";
import { there } from "../measuring/ends.js";
import {
  CARRY_BYTES_MAX,
  type LoadLoop,
  type LoadSocket,
  RECEIVE_AT,
  RECEIVE_BYTES,
  SCRATCH_AT,
  SCRATCH_BYTES,
} from "./load-loop.js";

const HANDSHAKE_BYTES = 68;
const PROTOCOL_LENGTH = 19;
const RESERVED_AT = 20;
const INFO_HASH_AT = 28;
const PIECE_HEADER_BYTES = 13;
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const RECEIVES_PER_WAKE_MAX = 4;
const NOTHING = new Uint8Array(0);

/** What the other side offered in its handshake. */
export interface Offered {
  readonly fast: boolean;
  readonly extended: boolean;
}

export interface ConnectionOptions {
  readonly loop: LoadLoop;
  readonly fd: number;
  readonly infoHash: Uint8Array;
  readonly peerId: Uint8Array;
  /** True: we connect, and the connection is still under way. */
  readonly connecting: boolean;
  readonly onClosed: (reason: string, everOpen: boolean) => void;
}

export abstract class LoadConnection implements LoadSocket {
  protected readonly loop: LoadLoop;
  protected readonly fd: number;
  readonly #options: ConnectionOptions;
  readonly #carry = new Uint8Array(CARRY_BYTES_MAX);
  #carried = 0;
  #skip = 0;
  #skippingPayload = false;
  #connecting: boolean;
  #greeted = false;
  #handshaken = false;
  #events: number;
  /** Messages that the socket did not take yet. */
  #control: Uint8Array = NOTHING;
  closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.loop = options.loop;
    this.fd = options.fd;
    this.#connecting = options.connecting;
    this.#events = options.connecting ? WRITABLE : READABLE;
  }

  /** Begins; apart from the constructor, so that fields of a subclass stand before the first event. */
  start(): void {
    this.loop.add(this.fd, this, this.#events);
  }

  /** The other side's handshake came, and ours is on its way. */
  protected abstract opened(offered: Offered): void;
  /** A short message that is whole; its body lies in the slab. */
  protected abstract message(id: number, at: number, bodyBytes: number): void;
  /** A block begins. */
  protected blockBegins(_piece: number, _begin: number, _length: number): void {}
  /** Payload of the block that began last. */
  protected payload(_at: number, _length: number): void {}
  /** All that one wake-up brought was seen, or the socket takes bytes again. */
  protected abstract proceed(): void;

  ready(events: number): void {
    if (this.#connecting) {
      const error = this.loop.engine.socketError(this.fd);
      if (error < 0) {
        this.close(describeErrno(error));
        return;
      }
      this.#connecting = false;
      this.greet();
      this.watch(READABLE);
      return;
    }
    if ((events & READABLE) !== 0) this.#receive();
    if (!this.closed && this.sendControl()) this.proceed();
  }

  close(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    this.loop.remove(this.fd);
    this.#options.onClosed(reason, this.#handshaken);
  }

  protected watch(events: number): void {
    if (events === this.#events || this.closed) return;
    this.#events = events;
    this.loop.engine.watch(this.fd, events);
  }

  /** Sends what stands in the scratch memory, after what was to be sent before. */
  protected sendScratch(length: number): void {
    const { slab } = this.loop.engine;
    this.#control = Buffer.concat([this.#control, slab.subarray(SCRATCH_AT, SCRATCH_AT + length)]);
    this.sendControl();
  }

  protected sendBytes(bytes: Uint8Array): void {
    this.#control = Buffer.concat([this.#control, bytes]);
    this.sendControl();
  }

  /** True when no message waits any more. */
  protected sendControl(): boolean {
    const { engine } = this.loop;
    while (this.#control.length > 0 && !this.closed) {
      const length = Math.min(this.#control.length, SCRATCH_BYTES);
      engine.slab.set(this.#control.subarray(0, length), SCRATCH_AT);
      engine.plan[0] = SCRATCH_AT;
      engine.plan[1] = length;
      const sent = this.sent(engine.writev(this.fd, 0, 1, false));
      if (sent === 0) break;
      this.#control = this.#control.subarray(sent);
    }
    if (this.#control.length === 0) return true;
    this.watch(READABLE | WRITABLE);
    return false;
  }

  /** The result of a sending call as bytes; an error ends the connection. */
  protected sent(result: number): number {
    if (result >= 0) return result;
    if (result !== this.loop.wouldBlock) this.close(describeErrno(result));
    return 0;
  }

  /** Says our handshake. */
  protected greet(): void {
    this.#greeted = true;
    const { infoHash, peerId } = this.#options;
    this.sendScratch(encodeHandshake(this.loop.engine.slab, SCRATCH_AT, { infoHash, peerId }));
  }

  #receive(): void {
    const { engine } = this.loop;
    for (let call = 0; call < RECEIVES_PER_WAKE_MAX && !this.closed; call++) {
      engine.plan[0] = RECEIVE_AT;
      engine.plan[1] = RECEIVE_BYTES;
      const received = engine.readv(this.fd, 0, 1);
      if (received === this.loop.wouldBlock) return;
      if (received <= 0) {
        this.close(received === 0 ? "closed by the other side" : describeErrno(received));
        return;
      }
      const begin = RECEIVE_AT - this.#carried;
      for (let index = 0; index < this.#carried; index++)
        engine.slab[begin + index] = there(this.#carry[index]);
      this.#carried = 0;
      this.#consume(begin, RECEIVE_AT + received);
      if (received < RECEIVE_BYTES) return;
    }
  }

  #consume(from: number, end: number): void {
    const { slab } = this.loop.engine;
    let at = from;
    while (at < end && !this.closed) {
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, end - at);
        if (this.#skippingPayload) this.payload(at, count);
        this.#skip -= count;
        at += count;
        continue;
      }
      const taken = this.#handshaken ? this.#message(slab, at, end) : this.#handshake(slab, at, end);
      if (taken === 0) break;
      at += taken;
    }
    if (this.closed || at === end) return;
    this.#carried = end - at;
    this.#carry.set(slab.subarray(at, end));
  }

  #handshake(slab: Uint8Array, at: number, end: number): number {
    if (slab[at] !== PROTOCOL_LENGTH) {
      this.close("not a plain BitTorrent handshake");
      return 0;
    }
    if (end - at < HANDSHAKE_BYTES) return 0;
    const infoHash = slab.subarray(at + INFO_HASH_AT, at + INFO_HASH_AT + 20);
    if (Buffer.compare(infoHash, this.#options.infoHash) !== 0) {
      this.close("another torrent");
      return 0;
    }
    this.#handshaken = true;
    const extended = (there(slab[at + RESERVED_AT + 5]) & 0x10) !== 0;
    const fast = (there(slab[at + RESERVED_AT + 7]) & 0x04) !== 0;
    if (!this.#greeted) this.greet();
    this.opened({ fast, extended });
    return HANDSHAKE_BYTES;
  }

  /** Returns the bytes that were dealt with: 0 if the beginning of a message is not whole yet. */
  #message(slab: Uint8Array, at: number, end: number): number {
    if (end - at < 4) return 0;
    const length = readUint32(slab, at);
    if (length === 0) return 4;
    if (length > MESSAGE_BYTES_MAX) {
      this.close(`a message of ${length} bytes`);
      return 0;
    }
    if (end - at < 5) return 0;
    const id = there(slab[at + 4]);
    if (id === MessageId.piece) {
      if (end - at < PIECE_HEADER_BYTES) return 0;
      this.#skip = length - 9;
      this.#skippingPayload = true;
      this.blockBegins(readUint32(slab, at + 5), readUint32(slab, at + 9), length - 9);
      return PIECE_HEADER_BYTES;
    }
    if (length + 4 > CARRY_BYTES_MAX) {
      this.#skip = length - 1;
      this.#skippingPayload = false;
      return 5;
    }
    if (end - at < 4 + length) return 0;
    this.message(id, at + 5, length - 1);
    return 4 + length;
  }
}
