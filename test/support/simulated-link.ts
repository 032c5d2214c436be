// Connections between simulated machines: two directions of bytes that take their time, hold a bounded number, end and break. What a
// machine sends goes over its uplink, which its connections share packet by packet, as the congestion control of each comes to in the end:
// nobody waits behind all that others have written.
//
// Always: bytes arrive in order, once; what was sent before the end arrives before the end.

import { required } from "./required.js";
import type { Machine } from "./simulated-network.js";

export const READABLE = 1;
export const WRITABLE = 2;
export const EAGAIN = -11;
export const ECONNRESET = -104;
export const ECONNREFUSED = -111;

const PACKET_BYTES = 1448;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly arrivesMs: number;
  taken: number;
}

/** Bytes in order: what was put in first is taken first. */
class Outgoing {
  #bytes = new Uint8Array(PACKET_BYTES);
  #from = 0;
  #to = 0;

  get length(): number {
    return this.#to - this.#from;
  }

  put(part: Uint8Array): void {
    if (this.#to + part.length > this.#bytes.length) {
      const { length } = this;
      const isLonger = 2 * (length + part.length) > this.#bytes.length;
      const bytes = isLonger ? new Uint8Array(4 * (length + part.length)) : this.#bytes;
      bytes.set(this.#bytes.subarray(this.#from, this.#to));
      this.#bytes = bytes;
      this.#from = 0;
      this.#to = length;
    }
    this.#bytes.set(part, this.#to);
    this.#to += part.length;
  }

  take(most: number): Uint8Array {
    const end = Math.min(this.#to, this.#from + most);
    const bytes = this.#bytes.slice(this.#from, end);
    this.#from = end;
    return bytes;
  }
}

/** What a machine sends, all its connections together. */
export class Uplink {
  readonly #machine: Machine;
  /** Those that have something to send, the next one first. */
  readonly #waiting: StreamEnd[] = [];
  /** Bytes that may go now; below 0, what was sent too early. */
  #credit = 0;
  #sinceMs = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  add(end: StreamEnd): void {
    this.carry();
    this.#waiting.push(end);
    this.carry();
  }

  /** Time passed, or there is more to send. */
  carry(): void {
    const { network, wire } = this.#machine;
    const elapsedMs = network.nowMs - this.#sinceMs;
    this.#sinceMs = network.nowMs;
    this.#credit += elapsedMs * wire.bytesPerMs;
    // What an idle link could have sent is gone.
    if (this.#waiting.length === 0) this.#credit = Math.min(this.#credit, wire.bytesPerMs);
    while (this.#credit > 0) {
      const end = this.#waiting.shift();
      if (end === undefined) return;
      if (end.waitsForReader()) continue;
      this.#credit -= end.transmit(PACKET_BYTES);
      if (end.hasMore) this.#waiting.push(end);
    }
  }

  /** When more may go. */
  get nextMs(): number {
    if (this.#waiting.length === 0) return Number.POSITIVE_INFINITY;
    return this.#sinceMs + 1 + Math.floor(Math.max(0, -this.#credit) / this.#machine.wire.bytesPerMs);
  }
}

/** One end of a connection. */
export class StreamEnd {
  /** Why the connection is broken, or 0. */
  error = 0;
  isEstablished = false;
  isClosed = false;
  lowWaterBytes = 1;
  unsentBytesMax = Number.POSITIVE_INFINITY;
  /** The other end, once the connection stands. */
  other: StreamEnd | undefined;
  readonly #incoming: Chunk[] = [];
  /** Sent by the other side, on its way or not, and not received. */
  #incomingBytes = 0;
  /** Sent, and waiting for the uplink. */
  readonly #outgoing = new Outgoing();
  /** What was sent stays here until the other side has received some of what is there. */
  #isHeldUp = false;
  #endsMs = Number.POSITIVE_INFINITY;

  readonly machine: Machine;
  readonly host: string;
  readonly port: number;
  readonly remoteHost: string;
  readonly remotePort: number;

  /** `machine`: whose end it is; `host`: by which of its addresses. */
  constructor(machine: Machine, host: string, port: number, remoteHost: string, remotePort: number) {
    this.machine = machine;
    this.host = host;
    this.port = port;
    this.remoteHost = remoteHost;
    this.remotePort = remotePort;
  }

  get #nowMs(): number {
    return this.machine.network.nowMs;
  }

  /** Receives into `target`. How many bytes; 0: none are there. */
  take(target: Uint8Array): number {
    let filled = 0;
    while (filled < target.length) {
      const chunk = this.#incoming[0];
      if (chunk === undefined || chunk.arrivesMs > this.#nowMs) break;
      const part = chunk.bytes.subarray(chunk.taken, chunk.taken + target.length - filled);
      target.set(part, filled);
      filled += part.length;
      chunk.taken += part.length;
      if (chunk.taken === chunk.bytes.length) this.#incoming.shift();
    }
    this.#incomingBytes -= filled;
    if (filled > 0) this.other?.goOn();
    return filled;
  }

  /** What a receiving call that got nothing answers. */
  get emptyAnswer(): number {
    if (this.error < 0) return this.error;
    return this.#incoming.length === 0 && this.#endsMs <= this.#nowMs ? 0 : EAGAIN;
  }

  /** Sends as much of `bytes` as there is room for. Bytes, or −errno. */
  send(bytes: Uint8Array): number {
    if (this.error < 0) return this.error;
    const other = required(this.other, "other");
    if (other.isClosed) return ECONNRESET;
    const room = this.machine.wire.windowBytes - other.#incomingBytes;
    if (room <= 0 || this.#outgoing.length >= this.unsentBytesMax) return EAGAIN;
    const part = bytes.subarray(0, room);
    other.#incomingBytes += part.length;
    const isFirst = !this.hasMore;
    this.#outgoing.put(part);
    if (isFirst && part.length > 0) this.machine.uplink.add(this);
    return part.length;
  }

  get hasMore(): boolean {
    return this.#outgoing.length > 0;
  }

  /** The other side's system keeps as much as it may of what nobody has received: the rest does not use our link until somebody does. */
  waitsForReader(): boolean {
    this.#isHeldUp = this.#isFullThere;
    return this.#isHeldUp;
  }

  /** Something was received. */
  goOn(): void {
    if (!this.#isHeldUp || this.#isFullThere) return;
    this.#isHeldUp = false;
    this.machine.uplink.add(this);
  }

  /** Half of a window is kept there, the other half here; and what is on its way is not there yet. */
  get #isFullThere(): boolean {
    const { other, error } = this;
    if (other === undefined || error < 0 || other.isClosed) return false;
    const { windowBytes, bytesPerMs } = this.machine.wire;
    const onItsWayMax = Math.min(windowBytes / 2, bytesPerMs * this.delayMs);
    return other.#incomingBytes - this.#outgoing.length >= windowBytes / 2 + onItsWayMax;
  }

  /** Puts up to `most` bytes of what was sent on their way. Returns how many. */
  transmit(most: number): number {
    const { other } = this;
    if (other === undefined || this.error < 0 || other.isClosed) {
      this.#outgoing.take(this.#outgoing.length);
      return 0;
    }
    const bytes = this.#outgoing.take(most);
    other.#incoming.push({ bytes, arrivesMs: this.#nowMs + this.delayMs, taken: 0 });
    if (this.isClosed && !this.hasMore) other.#endsMs = this.#nowMs + this.delayMs;
    return bytes.length;
  }

  /** One way. */
  get delayMs(): number {
    const other = this.machine.network.machineAt(this.remoteHost);
    return this.machine.wire.delayMs + (other?.wire.delayMs ?? 0);
  }

  /** What is on its way, or waits because the other side's system keeps as much as it may of what is not received: half of a window. */
  get unacknowledgedBytes(): number {
    if (this.other === undefined) return 0;
    const incoming = this.other.#incoming;
    let bytes = this.#outgoing.length;
    for (let at = incoming.length - 1; at >= 0; at--) {
      const chunk = incoming[at];
      if (chunk === undefined || chunk.arrivesMs <= this.#nowMs) break;
      bytes += chunk.bytes.length;
    }
    return Math.max(bytes, this.other.#incomingBytes - this.machine.wire.windowBytes / 2);
  }

  close(discards = false): void {
    this.isClosed = true;
    if (discards) this.#outgoing.take(this.#outgoing.length);
    // What was sent before goes first.
    if (this.other !== undefined && !this.hasMore) this.other.#endsMs = this.#nowMs + this.delayMs;
  }

  /** The connection breaks, on both sides, at once. */
  break(): void {
    this.error = ECONNRESET;
    if (this.other !== undefined) this.other.error = ECONNRESET;
  }

  /** What can be done now. */
  get readyEvents(): number {
    if (this.error < 0) return READABLE | WRITABLE;
    if (!this.isEstablished) return 0;
    let arrived = 0;
    for (const chunk of this.#incoming) {
      if (chunk.arrivesMs > this.#nowMs || arrived >= this.lowWaterBytes) break;
      arrived += chunk.bytes.length - chunk.taken;
    }
    const isReadable = arrived >= this.lowWaterBytes || this.#endsMs <= this.#nowMs;
    const other = required(this.other, "other");
    const hasRoom = other.#incomingBytes < this.machine.wire.windowBytes;
    const isWritable = other.isClosed || (hasRoom && 2 * this.#outgoing.length < this.unsentBytesMax);
    return (isReadable ? READABLE : 0) | (isWritable ? WRITABLE : 0);
  }

  /** When something more arrives. */
  get nextMs(): number {
    const now = this.#nowMs;
    for (const { arrivesMs } of this.#incoming) if (arrivesMs > now) return arrivesMs;
    return this.#endsMs > now ? this.#endsMs : Number.POSITIVE_INFINITY;
  }
}
