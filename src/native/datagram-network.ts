// A network of datagrams in memory, with the contract of the system's sockets (datagrams.ts) and a clock and dice of its own: a
// tracker with all its clients, or a whole DHT, runs in one process, the same way each time for one seed.
//
// Always: nothing moves but in run(). Datagrams arrive in order of their time, those of one time in the order they were sent.
// A datagram is lost, doubled or late as the dice say, never changed. Queues are bounded as a socket's are: what does not fit is
// dropped, and nobody is told.

import { assert, present } from "../base/assert.js";
import { UsageError } from "../base/errors.js";
import { addressText, compactAddress } from "../codec/compact-address.js";
import type { SocketAddress } from "./binding.js";
import {
  ADDRESS_WORDS,
  type DatagramBatch,
  type DatagramHandler,
  type DatagramOptions,
  type DatagramSocket,
  type Datagrams,
  makeDatagramCounters,
  READABLE,
  WRITABLE,
} from "./datagrams.js";

export interface DatagramNetworkOptions {
  /** Numbers from 0 to below 1. */
  readonly random?: () => number;
  /** How long a datagram is under way, and how much longer at the most. */
  readonly latencyMs?: number;
  readonly jitterMs?: number;
  /** Shares of datagrams that are lost, and that come twice. */
  readonly loss?: number;
  readonly duplication?: number;
  /** Longer ones are refused, as by an interface. */
  readonly datagramBytesMax?: number;
  /** Datagrams that wait to be received at one socket; and to leave it before run() is called. */
  readonly receiveQueueMax?: number;
  readonly sendQueueMax?: number;
}

interface Datagram {
  readonly fromKey: string;
  readonly from: Uint8Array;
  readonly fromPort: number;
  readonly toKey: string;
  readonly payload: Uint8Array;
  readonly atMs: number;
}

const EPHEMERAL_PORT_MIN = 49152;
const PORT_MAX = 65535;
const TURNS_MAX = 1_000_000;
const ECONNREFUSED = -111;

export class DatagramNetwork implements Datagrams {
  readonly options: Required<DatagramNetworkOptions>;
  #nowMs = 0;
  #underWay: Datagram[] = [];
  #nextPort = EPHEMERAL_PORT_MIN;
  readonly #sockets = new Map<string, MemorySocket[]>();

  constructor(options: DatagramNetworkOptions = {}) {
    this.options = {
      random: () => 0.5,
      latencyMs: 1,
      jitterMs: 0,
      loss: 0,
      duplication: 0,
      datagramBytesMax: 65_507,
      receiveQueueMax: 4096,
      sendQueueMax: 4096,
      ...options,
    };
  }

  /** The network's clock, in milliseconds from its beginning. */
  get nowMs(): number {
    return this.#nowMs;
  }

  bind(options: DatagramOptions): DatagramSocket {
    const bytes = compactAddress(options.host);
    if (bytes === undefined) throw refusal(options, "EINVAL: not a numeric address");
    const port = options.port === 0 ? this.#freePort(bytes) : options.port;
    const key = keyOf(bytes, port);
    const there = this.#sockets.get(key) ?? [];
    const shared = options.reusePort === true && there.every((socket) => socket.reusePort);
    if (there.length > 0 && !shared) throw refusal(options, "EADDRINUSE: address already in use");
    const socket = new MemorySocket(this, bytes, port, options.reusePort === true);
    this.#sockets.set(key, [...there, socket]);
    return socket;
  }

  /** Runs until the clock is at `untilMs`: datagrams arrive, and whoever watches for them is called. */
  run(untilMs: number): void {
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      if (this.#callHandlers()) continue;
      const next = this.#takeNext(untilMs);
      if (next === undefined) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return;
      }
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#arrive(next);
    }
    throw new Error("datagrams go round and round: the network does not come to rest");
  }

  /** False: too long. */
  post(from: MemorySocket, to: Uint8Array, port: number, payload: Uint8Array): boolean {
    const { random, latencyMs, jitterMs, loss, duplication, datagramBytesMax } = this.options;
    if (payload.length > datagramBytesMax) return false;
    const copies = random() < loss ? 0 : random() < duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#underWay.push({
        fromKey: from.key,
        from: from.bytes,
        fromPort: from.port,
        toKey: keyOf(to, port),
        payload: payload.slice(),
        atMs: this.#nowMs + latencyMs + jitterMs * random(),
      });
    }
    return true;
  }

  remove(socket: MemorySocket): void {
    const rest = (this.#sockets.get(socket.key) ?? []).filter((each) => each !== socket);
    if (rest.length === 0) this.#sockets.delete(socket.key);
    else this.#sockets.set(socket.key, rest);
  }

  #callHandlers(): boolean {
    let called = false;
    for (const sockets of [...this.#sockets.values()])
      for (const socket of sockets) called = socket.callHandler() || called;
    return called;
  }

  #takeNext(untilMs: number): Datagram | undefined {
    let best = -1;
    for (const [index, { atMs }] of this.#underWay.entries())
      if (atMs <= untilMs && (best < 0 || atMs < this.#underWay[best]!.atMs)) best = index;
    return best < 0 ? undefined : this.#underWay.splice(best, 1)[0];
  }

  #arrive(datagram: Datagram): void {
    const sockets = this.#sockets.get(datagram.toKey);
    if (sockets === undefined) {
      // As ICMP does: it reaches those who are connected, and nobody else.
      for (const socket of this.#sockets.get(datagram.fromKey) ?? []) socket.refusedBy(datagram.toKey);
      return;
    }
    const spread = datagram.fromPort + present(datagram.from.at(-1), "an address has bytes");
    sockets[spread % sockets.length]?.take(datagram);
  }

  #freePort(bytes: Uint8Array): number {
    // The next one each time: a port that was closed just now is not somebody else's at once.
    for (let tries = EPHEMERAL_PORT_MIN; tries <= PORT_MAX; tries++) {
      const port = this.#nextPort;
      this.#nextPort = port === PORT_MAX ? EPHEMERAL_PORT_MIN : port + 1;
      if (!this.#sockets.has(keyOf(bytes, port))) return port;
    }
    throw new UsageError("LISTEN_FAILED", "no port is free");
  }
}

class MemoryBatch implements DatagramBatch {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Uint32Array;
  readonly lengths: Int32Array;
  readonly addresses: Uint32Array;
  readonly ports: Uint16Array;
  readonly entries: number;
  readonly slotBytes: number;

  constructor(entries: number, slotBytes: number) {
    assert(entries > 0 && slotBytes > 0 && slotBytes % 8 === 0, "a batch has slots of whole words");
    this.entries = entries;
    this.slotBytes = slotBytes;
    this.bytes = new Uint8Array(entries * slotBytes);
    this.view = new DataView(this.bytes.buffer);
    this.words = new Uint32Array(this.bytes.buffer);
    this.lengths = new Int32Array(entries);
    this.addresses = new Uint32Array(entries * ADDRESS_WORDS);
    this.ports = new Uint16Array(entries);
  }
}

class MemorySocket implements DatagramSocket {
  readonly family: 4 | 6;
  readonly address: SocketAddress;
  readonly counters = makeDatagramCounters();
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly port: number;
  readonly reusePort: boolean;
  readonly #network: DatagramNetwork;
  readonly #waiting: Datagram[] = [];
  #sentAtMs = -1;
  #sentCount = 0;
  #far: { key: string; bytes: Uint8Array; port: number } | undefined;
  #error = 0;
  #handler: DatagramHandler | undefined;
  #events = 0;
  #closed = false;

  constructor(network: DatagramNetwork, bytes: Uint8Array, port: number, reusePort: boolean) {
    this.#network = network;
    this.bytes = bytes;
    this.port = port;
    this.reusePort = reusePort;
    this.key = keyOf(bytes, port);
    this.family = bytes.length === 4 ? 4 : 6;
    this.address = { host: present(addressText(bytes), "an address has 4 or 16 bytes"), port };
  }

  makeBatch(entries: number, slotBytes: number): DatagramBatch {
    return new MemoryBatch(entries, slotBytes);
  }

  receive(batch: DatagramBatch): number {
    assert(!this.#closed, "a closed socket is not read from");
    this.counters.receiveCalls++;
    if (this.#error !== 0) {
      const error = this.#error;
      this.#error = 0;
      this.counters.errors++;
      return error;
    }
    const count = Math.min(batch.entries, this.#waiting.length);
    for (let entry = 0; entry < count; entry++) {
      const { payload, from, fromPort } = present(this.#waiting.shift(), "so many wait");
      batch.bytes.set(payload.subarray(0, batch.slotBytes), entry * batch.slotBytes);
      batch.lengths[entry] = payload.length;
      const address = bytesOf(batch.addresses, entry * ADDRESS_WORDS, 4 * ADDRESS_WORDS);
      address.fill(0);
      address.set(from);
      bytesOf(batch.ports, entry, 2).set([fromPort >>> 8, fromPort & 0xff]);
    }
    this.counters.received += count;
    return count;
  }

  send(batch: DatagramBatch, first: number, count: number): number {
    assert(!this.#closed, "a closed socket is not sent to");
    this.counters.sendCalls++;
    for (let done = 0; done < count; done++) {
      if (!this.#hasRoom()) {
        this.counters.queueFull++;
        return done;
      }
      if (this.#sendOne(batch, first + done)) this.counters.sent++;
      else this.counters.refused++;
    }
    return count;
  }

  connect(far: SocketAddress): void {
    const bytes = compactAddress(far.host);
    if (bytes?.length !== this.bytes.length)
      throw new UsageError("USAGE_OPTION", `cannot connect to ${far.host} ${far.port}`);
    this.#far = { key: keyOf(bytes, far.port), bytes, port: far.port };
  }

  watch(handler: DatagramHandler, events: number): void {
    assert(!this.#closed, "a closed socket is not watched");
    this.#handler = handler;
    this.#events = events;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = 0;
    this.#network.remove(this);
  }

  /** True if somebody was called. */
  callHandler(): boolean {
    const waits = this.#waiting.length > 0 || this.#error !== 0;
    const events = this.#events & ((waits ? READABLE : 0) | (this.#hasRoom() ? WRITABLE : 0));
    if (events === 0) return false;
    this.#handler?.datagramsReady(events);
    return true;
  }

  take(datagram: Datagram): void {
    if (this.#far !== undefined && this.#far.key !== datagram.fromKey) return;
    if (this.#waiting.length < this.#network.options.receiveQueueMax) this.#waiting.push(datagram);
  }

  refusedBy(key: string): void {
    if (this.#far?.key === key) this.#error = ECONNREFUSED;
  }

  #sendOne(batch: DatagramBatch, entry: number): boolean {
    const at = entry * batch.slotBytes;
    const payload = batch.bytes.subarray(at, at + batch.lengths[entry]!);
    this.#sentCount++;
    if (batch.ports[entry] === 0) {
      if (this.#far === undefined) return false;
      return this.#network.post(this, this.#far.bytes, this.#far.port, payload);
    }
    const to = bytesOf(batch.addresses, entry * ADDRESS_WORDS, this.bytes.length).slice();
    const [high = 0, low = 0] = bytesOf(batch.ports, entry, 2);
    return this.#network.post(this, to, (high << 8) | low, payload);
  }

  /** The queue empties when the clock moves on. */
  #hasRoom(): boolean {
    if (this.#sentAtMs !== this.#network.nowMs) {
      this.#sentAtMs = this.#network.nowMs;
      this.#sentCount = 0;
    }
    return this.#sentCount < this.#network.options.sendQueueMax;
  }
}

function keyOf(bytes: Uint8Array, port: number): string {
  return `${bytes.join(".")} ${port}`;
}

function bytesOf(array: Uint32Array | Uint16Array, index: number, length: number): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset + index * array.BYTES_PER_ELEMENT, length);
}

function refusal(options: DatagramOptions, why: string): UsageError {
  return new UsageError(
    "LISTEN_FAILED",
    `cannot receive datagrams at ${options.host} ${options.port}: ${why}`,
  );
}
