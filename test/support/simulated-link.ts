// Connections between simulated machines: two directions of bytes that take their time, hold a bounded number, end and break.
//
// Always: bytes arrive in order, once; what was sent before the end arrives before the end.

import type { Machine } from "./simulated-network.js";

export const READABLE = 1;
export const WRITABLE = 2;
export const EAGAIN = -11;
export const ECONNRESET = -104;
export const ECONNREFUSED = -111;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly arrivesMs: number;
  taken: number;
}

/** One end of a connection. */
export class StreamEnd {
  /** Why the connection is broken, or 0. */
  error = 0;
  isEstablished = false;
  isClosed = false;
  lowWaterBytes = 1;
  /** The other end, once the connection stands. */
  other: StreamEnd | undefined;
  readonly #incoming: Chunk[] = [];
  /** Sent by the other side and not received. */
  #incomingBytes = 0;
  #endsMs = Number.POSITIVE_INFINITY;

  readonly machine: Machine;
  readonly host: string;
  readonly port: number;
  readonly remoteHost: string;
  readonly remotePort: number;

  /** `machine`: whose end it is. */
  constructor(machine: Machine, port: number, remoteHost: string, remotePort: number) {
    this.machine = machine;
    this.host = machine.host;
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
    const other = this.other!;
    if (other.isClosed) return ECONNRESET;
    const room = this.machine.wire.windowBytes - other.#incomingBytes;
    if (room <= 0) return EAGAIN;
    const part = Uint8Array.from(bytes.subarray(0, room));
    const { machine } = this;
    machine.wireBusyUntilMs =
      Math.max(machine.wireBusyUntilMs, this.#nowMs) + part.length / machine.wire.bytesPerMs;
    other.#incoming.push({ bytes: part, arrivesMs: machine.wireBusyUntilMs + this.delayMs, taken: 0 });
    other.#incomingBytes += part.length;
    return part.length;
  }

  /** One way. */
  get delayMs(): number {
    const other = this.machine.network.machines.get(this.remoteHost);
    return this.machine.wire.delayMs + (other?.wire.delayMs ?? 0);
  }

  get unacknowledgedBytes(): number {
    return this.other === undefined ? 0 : this.other.#incomingBytes;
  }

  close(): void {
    this.isClosed = true;
    if (this.other === undefined) return;
    const lastMs = this.other.#incoming.at(-1)?.arrivesMs ?? 0;
    this.other.#endsMs = Math.max(lastMs, this.#nowMs + this.delayMs);
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
    const other = this.other!;
    const isWritable = other.isClosed || other.#incomingBytes < this.machine.wire.windowBytes;
    return (isReadable ? READABLE : 0) | (isWritable ? WRITABLE : 0);
  }

  /** When something more arrives. */
  get nextMs(): number {
    const now = this.#nowMs;
    for (const { arrivesMs } of this.#incoming) if (arrivesMs > now) return arrivesMs;
    return this.#endsMs > now ? this.#endsMs : Number.POSITIVE_INFINITY;
  }
}
