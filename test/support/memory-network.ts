// Byte streams in memory over a virtual clock: what a session sees of a network, without sockets, deterministic. Bytes take a
// delay to arrive and a bounded window holds those that were not received yet, as a socket's buffers do.
//
// Always: bytes arrive in order, once; nothing happens but in turn() and pass(); two runs with the same calls are the same.

import assert from "node:assert/strict";
import type { ByteStream, StreamHandler } from "../../src/client/stream/byte-stream.js";
import type { Turns } from "../../src/client/stream/stream-pump.js";
import type { TurnHook } from "../../src/native/reactor.js";
import { TurnLoad } from "../../src/native/turn-load.js";
import { entryOf, required } from "./required.js";

export const READABLE = 1;
export const WRITABLE = 2;
export const EAGAIN = -11;
const ECONNREFUSED = -111;
const ECONNRESET = -104;
const ENOENT = -2;

export interface MemoryNetworkOptions {
  readonly slab: Uint8Array;
  /** Pairs (address in the slab, length in bytes), shared by all streams. */
  readonly plan: Float64Array;
  /** One way, in milliseconds of the virtual clock. */
  readonly delayMs?: number;
  /** Bytes that one side may have sent and the other not received. */
  readonly windowBytes?: number;
  /** How full its turns are. */
  readonly load?: TurnLoad;
}

interface Chunk {
  readonly bytes: Uint8Array;
  readonly arrivesMs: number;
}

/** Streams, their turns and their time. */
export class MemoryNetwork implements Turns {
  readonly slab: Uint8Array;
  readonly plan: Float64Array;
  readonly delayMs: number;
  readonly windowBytes: number;
  readonly files = new Map<number, Uint8Array>();
  nowMs = 0;
  readonly load: TurnLoad;
  readonly #streams = new Set<MemoryStream>();
  #hooks: TurnHook[] = [];
  #inCall = false;

  constructor(options: MemoryNetworkOptions) {
    this.load = options.load ?? new TurnLoad();
    this.slab = options.slab;
    this.plan = options.plan;
    this.delayMs = options.delayMs ?? 0;
    this.windowBytes = options.windowBytes ?? 64 * 1024;
  }

  /** Both ends of a connection; the first is the one that connected, and is still connecting. */
  pair(): [MemoryStream, MemoryStream] {
    const client = new MemoryStream(this, 0);
    const server = new MemoryStream(this, 0);
    client.join(server);
    server.join(client);
    return [client, server];
  }

  /** The end of a connection that nobody accepts. */
  refused(): MemoryStream {
    return new MemoryStream(this, ECONNREFUSED);
  }

  atTurnEnd(hook: TurnHook): void {
    this.#hooks.push(hook);
  }

  /** One turn: everybody who is ready is told, then the hooks run. True if anything happened. */
  turn(): boolean {
    const ready = [...this.#streams].filter((stream) => stream.readyEvents() !== 0);
    this.load.begin(ready.length);
    for (const stream of ready) stream.tell();
    this.load.end();
    const happened = ready.length > 0 || this.#hooks.length > 0;
    for (let index = 0; index < this.#hooks.length; index++) entryOf(this.#hooks, index).turnEnded();
    this.#hooks = [];
    return happened;
  }

  /** Time passes, a millisecond at a time, with as many turns as it takes, at most `turnsMax` each. */
  pass(ms: number, turnsMax = 1000): void {
    for (let step = 0; step <= ms; step++) {
      for (let turns = 0; turns < turnsMax && this.turn(); turns++);
      if (step < ms) this.nowMs++;
    }
  }

  watchBegins(stream: MemoryStream): void {
    this.#streams.add(stream);
  }

  watchEnds(stream: MemoryStream): void {
    this.#streams.delete(stream);
  }

  /** No call of a stream is made inside another. */
  call<Result>(body: () => Result): Result {
    assert.equal(this.#inCall, false, "streams call nobody back");
    this.#inCall = true;
    try {
      return body();
    } finally {
      this.#inCall = false;
    }
  }
}

export class MemoryStream implements ByteStream {
  readonly #network: MemoryNetwork;
  #other: MemoryStream | undefined;
  #error: number;
  #handler: StreamHandler | undefined;
  #events = 0;
  #lowWaterBytes = 1;
  /** What is on its way to us or waits to be received. */
  #incoming: Chunk[] = [];
  #incomingBytes = 0;
  #endsMs = Number.POSITIVE_INFINITY;
  #closed = false;
  #established: boolean;

  constructor(network: MemoryNetwork, error: number) {
    this.#network = network;
    this.#error = error;
    this.#established = error === 0;
  }

  join(other: MemoryStream): void {
    this.#other = other;
  }

  open(handler: StreamHandler, events: number): number {
    assert.equal(this.#handler, undefined, "a stream is opened once");
    this.#handler = handler;
    this.#events = events;
    this.#network.watchBegins(this);
    return 0;
  }

  established(): number {
    const error = this.#error;
    this.#established = error === 0;
    return error;
  }

  fill(first: number, count: number): number {
    return this.#network.call(() => {
      this.#checkUsable();
      if (this.#error < 0) return this.#error;
      let received = 0;
      for (let entry = first; entry < first + count; entry++) {
        const address = entryOf(this.#network.plan, 2 * entry);
        const length = entryOf(this.#network.plan, 2 * entry + 1);
        let filled = 0;
        while (filled < length) {
          const got = this.#take(address + filled, length - filled);
          if (got === 0) return this.#answer(received + filled);
          filled += got;
        }
        received += filled;
      }
      return this.#answer(received);
    });
  }

  #answer(received: number): number {
    if (received > 0) return received;
    return this.#incoming.length === 0 && this.#endsMs <= this.#network.nowMs ? 0 : EAGAIN;
  }

  #take(address: number, length: number): number {
    const chunk = this.#incoming[0];
    if (chunk === undefined || chunk.arrivesMs > this.#network.nowMs) return 0;
    const part = chunk.bytes.subarray(0, length);
    this.#network.slab.set(part, address);
    if (part.length === chunk.bytes.length) this.#incoming.shift();
    else this.#incoming[0] = { ...chunk, bytes: chunk.bytes.subarray(part.length) };
    this.#incomingBytes -= part.length;
    return part.length;
  }

  drain(first: number, count: number, _more: boolean): number {
    return this.#network.call(() => {
      this.#checkUsable();
      let sent = 0;
      for (let entry = first; entry < first + count; entry++) {
        const address = entryOf(this.#network.plan, 2 * entry);
        const length = entryOf(this.#network.plan, 2 * entry + 1);
        const took = this.#send(this.#network.slab.subarray(address, address + length));
        if (took < 0) return sent > 0 ? sent : took;
        sent += took;
        if (took < length) break;
      }
      return sent;
    });
  }

  drainFile(fileFd: number, offset: number, length: number): number {
    return this.#network.call(() => {
      this.#checkUsable();
      const file = this.#network.files.get(fileFd);
      if (file === undefined) return ENOENT;
      const part = file.subarray(offset, offset + length);
      return part.length === 0 ? 0 : this.#send(part);
    });
  }

  #send(bytes: Uint8Array): number {
    if (this.#error < 0) return this.#error;
    const other = required(this.#other, "other");
    if (other.#closed) return ECONNRESET;
    const room = this.#network.windowBytes - other.#incomingBytes;
    if (room <= 0) return EAGAIN;
    const part = Uint8Array.from(bytes.subarray(0, room));
    other.#incoming.push({ bytes: part, arrivesMs: this.#network.nowMs + this.#network.delayMs });
    other.#incomingBytes += part.length;
    return part.length;
  }

  watch(events: number): void {
    assert.notEqual(this.#handler, undefined, "a watched stream was opened");
    assert.equal(this.#closed, false, "a closed stream is left alone");
    this.#events = events;
  }

  setLowWater(bytes: number): void {
    assert.equal(this.#closed, false, "a closed stream is left alone");
    this.#lowWaterBytes = bytes;
  }

  boundUnsent(): void {}

  unacknowledgedBytes(): number {
    return required(this.#other, "other").#incomingBytes;
  }

  close(): void {
    assert.equal(this.#closed, false, "a stream is closed once");
    this.#closed = true;
    this.#network.watchEnds(this);
    if (this.#other !== undefined) this.#other.#endsMs = this.#network.nowMs + this.#network.delayMs;
  }

  /** What the handler would be told now. */
  readyEvents(): number {
    if (this.#closed) return 0;
    if (this.#error < 0) return this.#events;
    let ready = 0;
    const arrived = this.#incoming
      .filter((chunk) => chunk.arrivesMs <= this.#network.nowMs)
      .reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    if (arrived >= this.#lowWaterBytes || this.#endsMs <= this.#network.nowMs) ready |= READABLE;
    const other = required(this.#other, "other");
    if (other.#closed || other.#incomingBytes < this.#network.windowBytes) ready |= WRITABLE;
    return ready & this.#events;
  }

  tell(): void {
    const events = this.readyEvents();
    if (events !== 0) required(this.#handler, "handler").socketReady(events);
  }

  #checkUsable(): void {
    assert.equal(this.#closed, false, "a closed stream is left alone");
    assert.equal(this.#established || this.#error === 0, true, "an unestablished stream is left alone");
  }
}
