// A network of datagrams in memory, for DHTs by the thousand: the contract of sockets (src/native/datagrams.ts), a clock, timers and dice
// of its own. The real code runs over it, with real bytes, the same way each time for one seed.
//
// An address is a number: below 2^32 that of IPv4, above it IPV6 and a number again, whose /24 is a /48 there and each of which is a /64, so
// that what limits networks limits both the same way.
//
// Always: nothing happens but in run(); what happens at one time happens in the order it was begun. A datagram is lost or late as the model
// says, never changed.

import type { Ground, Timer } from "../../src/base/ground.js";
import type { SocketAddress } from "../../src/native/binding.js";
import {
  ADDRESS_WORDS,
  type DatagramBatch,
  type DatagramCounters,
  type DatagramHandler,
  type DatagramOptions,
  type DatagramSocket,
  type Datagrams,
} from "../../src/native/datagrams.js";
import { entryOf, there } from "../measuring/ends.js";

export interface DhtNetworkOptions {
  readonly seed: number;
  /** Half of a round trip, in milliseconds: the median, and the spread of its logarithm. */
  readonly medianDelayMs?: number;
  readonly delaySpread?: number;
  /** Share of datagrams that are lost. */
  readonly loss?: number;
}

/** Whoever is at addresses without a socket: nodes that exist as arithmetic only, and answer by `sendFrom`. */
export interface FarNodes {
  take(address: number, port: number, from: VirtualSocket, bytes: Uint8Array): void;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const QUEUE_MAX = 4096;
/** Added to the number of an IPv6 address, 2a00:00aa:bbcc:00dd::1 for 0xaabbccdd. */
export const IPV6 = 2 ** 32;
const IPV6_PREFIX = 0x2a00;
const ADDRESS_BYTES = 4 * ADDRESS_WORDS;

export class DhtNetwork implements Datagrams {
  readonly ground: Ground;
  far: FarNodes | undefined;
  /** Datagrams that were sent, and their bytes. */
  datagrams = 0;
  bytes = 0;
  readonly #options: Required<DhtNetworkOptions>;
  readonly #events: Event[] = [];
  readonly #sockets = new Map<number, VirtualSocket>();
  readonly #soon: (() => void)[] = [];
  #nowMs = 0;
  #order = 0;
  #nextPort = 10_000;
  #state: number;

  constructor(options: DhtNetworkOptions) {
    this.#options = { medianDelayMs: 75, delaySpread: 0.5, loss: 0.02, ...options };
    this.#state = options.seed >>> 0;
    this.ground = {
      nowMs: () => this.#nowMs,
      after: (ms, callback) => this.#timer(ms, callback, false),
      every: (ms, callback) => this.#timer(ms, callback, true),
      random: () => this.random(),
      fillRandom: (bytes, from) => {
        for (let at = from; at < bytes.length; at++) bytes[at] = Math.floor(256 * this.random());
      },
    };
  }

  /** From 0 to below 1, by the seed (mulberry32). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = this.#state;
    word = Math.imul(word ^ (word >>> 15), word | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  }

  /** What a DHT stands on. */
  world(): {
    readonly datagrams: Datagrams;
    readonly ground: Ground;
    readonly soon: (callback: () => void) => void;
    readonly close: () => void;
  } {
    return {
      datagrams: this,
      ground: this.ground,
      soon: (callback) => this.#soon.push(callback),
      close: () => {},
    };
  }

  bind(options: DatagramOptions): DatagramSocket {
    const address = addressNumber(options.host);
    const port = options.port === 0 ? this.#nextPort++ : options.port;
    const socket = new VirtualSocket(this, address, port);
    this.#sockets.set(address * 0x10000 + port, socket);
    return socket;
  }

  remove(socket: VirtualSocket): void {
    this.#sockets.delete(socket.numericAddress * 0x10000 + socket.port);
  }

  /** Lets time pass, and promises settle on the way. */
  async run(forMs: number): Promise<void> {
    const untilMs = this.#nowMs + forMs;
    for (let count = 0; ; count++) {
      this.#runSoon();
      const next = this.#events[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pop();
      this.#nowMs = next.atMs;
      next.run();
      if (count % 64 === 0) await Promise.resolve();
    }
    this.#nowMs = untilMs;
    await Promise.resolve();
    this.#runSoon();
  }

  /** Calls back once, after so long. */
  after(ms: number, run: () => void): void {
    this.#push({ atMs: this.#nowMs + ms, order: this.#order++, run });
  }

  /** `address`: undefined where nobody is. */
  post(from: VirtualSocket, address: number | undefined, port: number, bytes: Uint8Array): void {
    this.datagrams++;
    this.bytes += bytes.length;
    if (address === undefined) return;
    if (this.random() < this.#options.loss) return;
    const copy = bytes.slice();
    this.after(this.delayMs(), () => {
      const socket = this.#sockets.get(address * 0x10000 + port);
      if (socket === undefined) this.far?.take(address, port, from, copy);
      else socket.take(from.numericAddress, from.port, copy);
    });
  }

  /** A datagram of somebody without a socket. */
  sendFrom(address: number, port: number, to: VirtualSocket, bytes: Uint8Array): void {
    this.datagrams++;
    this.bytes += bytes.length;
    if (this.random() < this.#options.loss) return;
    this.after(this.delayMs(), () => to.take(address, port, bytes));
  }

  /** Lognormal. */
  delayMs(): number {
    const { medianDelayMs, delaySpread } = this.#options;
    const normal = Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
    return medianDelayMs * Math.exp(delaySpread * normal);
  }

  #runSoon(): void {
    while (this.#soon.length > 0) for (const callback of this.#soon.splice(0)) callback();
  }

  #timer(ms: number, callback: () => void, repeats: boolean): Timer {
    let generation = 0;
    const arm = (): void => {
      const own = ++generation;
      this.after(ms, () => {
        if (own !== generation) return;
        if (repeats) arm();
        callback();
      });
    };
    arm();
    const timer: Timer = {
      ref: () => timer,
      unref: () => timer,
      refresh: () => arm(),
      close: () => {
        generation++;
      },
    };
    return timer;
  }

  #push(event: Event): void {
    const events = this.#events;
    let at = events.length;
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = entryOf(events, parent);
      if (!isBefore(event, above)) break;
      events[at] = above;
      at = parent;
    }
    events[at] = event;
  }

  #pop(): void {
    const events = this.#events;
    const last = events.pop();
    if (last === undefined || events.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(entryOf(events, child + 1), entryOf(events, child))) child++;
      const below = entryOf(events, child);
      if (!isBefore(below, last)) break;
      events[at] = below;
      at = child;
    }
    events[at] = last;
  }
}

export class VirtualSocket implements DatagramSocket {
  readonly family: 4 | 6;
  readonly address: SocketAddress;
  readonly numericAddress: number;
  readonly port: number;
  readonly counters: DatagramCounters = {
    receiveCalls: 0,
    received: 0,
    sendCalls: 0,
    sent: 0,
    refused: 0,
    queueFull: 0,
    errors: 0,
  };
  readonly #network: DhtNetwork;
  readonly #queue: { readonly address: number; readonly port: number; readonly bytes: Uint8Array }[] = [];
  #handler: DatagramHandler | undefined;

  constructor(network: DhtNetwork, address: number, port: number) {
    this.#network = network;
    this.family = address < IPV6 ? 4 : 6;
    this.numericAddress = address;
    this.port = port;
    this.address = { host: addressOf(address), port };
  }

  makeBatch(entries: number, slotBytes: number): DatagramBatch {
    const words = new Uint32Array((entries * slotBytes) / 4);
    const { buffer } = words;
    return {
      entries,
      slotBytes,
      bytes: new Uint8Array(buffer),
      view: new DataView(buffer),
      words,
      lengths: new Int32Array(entries),
      addresses: new Uint32Array(ADDRESS_WORDS * entries),
      ports: new Uint16Array(entries),
    };
  }

  take(address: number, port: number, bytes: Uint8Array): void {
    if (this.#handler === undefined || this.#queue.length >= QUEUE_MAX) return;
    this.#queue.push({ address, port, bytes });
    this.#handler.datagramsReady(1);
  }

  receive(batch: DatagramBatch): number {
    const addresses = new Uint8Array(batch.addresses.buffer);
    const ports = new DataView(batch.ports.buffer);
    let count = 0;
    for (; count < batch.entries; count++) {
      const datagram = this.#queue.shift();
      if (datagram === undefined) break;
      batch.bytes.set(datagram.bytes.subarray(0, batch.slotBytes), count * batch.slotBytes);
      batch.lengths[count] = datagram.bytes.length;
      writeAddress(addresses, ADDRESS_BYTES * count, datagram.address);
      ports.setUint16(2 * count, datagram.port);
    }
    this.counters.received += count;
    return count;
  }

  send(batch: DatagramBatch, first: number, count: number): number {
    const addresses = new Uint8Array(batch.addresses.buffer);
    const ports = new DataView(batch.ports.buffer);
    for (let index = first; index < first + count; index++) {
      const at = index * batch.slotBytes;
      const bytes = batch.bytes.subarray(at, at + there(batch.lengths[index]));
      const from = ADDRESS_BYTES * index;
      const to = addresses.subarray(from, from + (this.family === 4 ? 4 : 16));
      this.#network.post(this, readAddress(to), ports.getUint16(2 * index), bytes);
    }
    this.counters.sent += count;
    return count;
  }

  connect(): void {}

  watch(handler: DatagramHandler, events: number): void {
    this.#handler = events === 0 ? undefined : handler;
  }

  close(): void {
    this.#handler = undefined;
    this.#network.remove(this);
  }
}

/** 10.1.2.3 as a number, any text of four numbers; or what `addressOf` has written. */
export function addressNumber(host: string): number {
  const [, high = 0, middle = 0, low = 0] = host.split(":").map((group) => Number.parseInt(group, 16));
  if (host.includes(":")) return IPV6 + high * 2 ** 24 + middle * 256 + low;
  return host.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function addressOf(address: number): string {
  if (address < IPV6) return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
  const groups = [IPV6_PREFIX, address >>> 24, (address >>> 8) & 0xffff, address & 0xff, 0, 0, 0, 1];
  return groups.map((group) => group.toString(16)).join(":");
}

/** The 4 or 16 bytes of an address, in network order. */
export function writeAddress(bytes: Uint8Array, at: number, address: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  if (address < IPV6) {
    view.setUint32(0, address);
    return;
  }
  const number = address - IPV6;
  view.setUint16(0, IPV6_PREFIX);
  view.setUint32(2, number >>> 8);
  view.setUint16(6, number & 0xff);
  view.setUint32(8, 0);
  view.setUint32(12, 1);
}

/** The number of 4 or 16 bytes; undefined for IPv6 addresses that none stands for. */
function readAddress(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length === 4) return view.getUint32(0);
  if (bytes.length !== 16 || view.getUint16(0) !== IPV6_PREFIX || bytes[2] !== 0 || bytes[6] !== 0)
    return undefined;
  if (view.getUint32(8) !== 0 || view.getUint32(12) !== 1) return undefined;
  return IPV6 + view.getUint32(2) * 256 + view.getUint16(6);
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
