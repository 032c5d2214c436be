// Datagrams in batches over UDP: what trackers, DHT nodes and their clients stand on.
//
// A batch is memory for datagrams: payloads side by side, and a table each of lengths, addresses and ports. Addresses and ports
// are as they stand in packets, in network byte order: whoever copies one into a payload copies its bytes, and whoever
// compares or hashes one takes its words. Nothing is allocated for a datagram.
//
// Always: receive() and send() make one system call for a batch where the platform can, and never block. What is wrong with one
// datagram (it is too long for the path, a firewall forbids it) costs that datagram, is counted, and stops nobody else's. Who
// reads until a read comes up empty, and waits only then, saves a seventh of the processor under load: so readiness is
// level-triggered and told once per turn of the loop, and receive() is called until it answers 0, or a bound is reached.

import { assert } from "../base/assert.js";
import { describeErrno, UsageError } from "../base/errors.js";
import {
  ADDRESS_WORDS,
  loadBinding,
  type NativeDatagramBatch,
  READABLE,
  type SocketAddress,
  WRITABLE,
} from "./binding.js";
import type { Reactor, SocketHandler } from "./reactor.js";

export { ADDRESS_WORDS, READABLE, WRITABLE };

/** One batch; all arrays show the same memory throughout its life. Entry i begins at byte i × slotBytes of `bytes`. */
export interface DatagramBatch {
  readonly entries: number;
  /** A multiple of 8, so that words of 4 bytes of all entries are aligned. */
  readonly slotBytes: number;
  readonly bytes: Uint8Array;
  /** The same memory as `bytes`. */
  readonly view: DataView;
  readonly words: Uint32Array;
  /** After receive: a datagram's true length; above slotBytes, its end was cut off. For send: what to send of the slot. */
  readonly lengths: Int32Array;
  /** ADDRESS_WORDS of each entry, network byte order. */
  readonly addresses: Uint32Array;
  /** Network byte order. For send: 0 sends to where the socket is connected to. */
  readonly ports: Uint16Array;
}

export interface DatagramOptions {
  /** Numeric IPv4 or IPv6 address. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** Several sockets share the port, and the system spreads far ends over them (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** SO_RCVBUF and SO_SNDBUF, in bytes; the system has bounds of its own, and says nothing when it cuts. */
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
}

/** Totals since a socket was bound. */
export interface DatagramCounters {
  receiveCalls: number;
  received: number;
  sendCalls: number;
  sent: number;
  /** Datagrams that the system would not send: too long, forbidden, no route. */
  refused: number;
  /** Times that the send queue was full. */
  queueFull: number;
  /** Errors that receive() answered: ICMP messages of far ends, above all. */
  errors: number;
}

export interface DatagramHandler {
  /** `events`: READABLE and WRITABLE bits. */
  datagramsReady(events: number): void;
}

export interface DatagramSocket {
  readonly family: 4 | 6;
  readonly address: SocketAddress;
  readonly counters: Readonly<DatagramCounters>;
  /** A batch for sockets of this family. */
  makeBatch(entries: number, slotBytes: number): DatagramBatch;
  /**
   * Takes waiting datagrams into entries 0 and following; how many. 0: none waits. −errno: an error that is told once (ECONNREFUSED
   * when somebody that the socket is connected to is not there); call again.
   */
  receive(batch: DatagramBatch): number;
  /**
   * Sends entries first … first + count − 1; how many of them are over and done with, sent or refused. Fewer than `count`: the
   * queue is full; drop the others or try again when WRITABLE.
   */
  send(batch: DatagramBatch, first: number, count: number): number;
  /** From here on datagrams go to and come from one far end, and its ICMP errors are told. Throws UsageError. */
  connect(far: SocketAddress): void;
  /** Calls `handler` in every turn of the loop in which one of `events` is there; 0 pauses. */
  watch(handler: DatagramHandler, events: number): void;
  close(): void;
}

/** A socket that can be handed to another thread. */
export interface SharableSocket extends DatagramSocket {
  readonly descriptor: number;
}

/** Where sockets come from: the system's, or a network in memory (datagram-network.ts). */
export interface Datagrams {
  /** Throws UsageError LISTEN_FAILED, which says why. */
  bind(options: DatagramOptions): DatagramSocket;
}

/** The system's sockets, on the loop of a reactor. `portable`: a system call for each datagram, as on macOS. */
export class SystemDatagrams implements Datagrams {
  readonly #reactor: Reactor;
  readonly #portable: boolean;

  constructor(reactor: Reactor, portable = false) {
    this.#reactor = reactor;
    this.#portable = portable;
  }

  bind(options: DatagramOptions): SharableSocket {
    const { host, port } = options;
    const { engine } = this.#reactor;
    const fd = engine.bindDatagrams(
      host,
      port,
      options.reusePort === true,
      options.receiveBufferBytes ?? 0,
      options.sendBufferBytes ?? 0,
    );
    if (fd < 0)
      throw new UsageError(
        "LISTEN_FAILED",
        `cannot receive datagrams at ${host} ${port}: ${describeErrno(fd)}`,
      );
    const address = engine.localAddress(fd);
    assert(typeof address !== "number", "a bound socket has an address");
    return new SystemSocket(this.#reactor, fd, address, this.#portable);
  }

  /**
   * The socket of another thread, by its descriptor: what arrives waits in it, whoever reads, and it stays bound until both have closed
   * it. Throws UsageError LISTEN_FAILED.
   */
  share(descriptor: number): SharableSocket {
    const { engine } = this.#reactor;
    const fd = engine.shareDatagrams(descriptor);
    const address = fd < 0 ? fd : engine.localAddress(fd);
    if (typeof address === "number") {
      if (fd >= 0) engine.closeSocket(fd);
      throw new UsageError("LISTEN_FAILED", `cannot share a socket: ${describeErrno(address)}`);
    }
    return new SystemSocket(this.#reactor, fd, address, this.#portable);
  }
}

class SystemBatch implements DatagramBatch {
  readonly entries: number;
  readonly slotBytes: number;
  readonly native: NativeDatagramBatch;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Uint32Array;
  readonly lengths: Int32Array;
  readonly addresses: Uint32Array;
  readonly ports: Uint16Array;

  constructor(entries: number, slotBytes: number, family: 4 | 6, portable: boolean) {
    this.entries = entries;
    this.slotBytes = slotBytes;
    this.native = loadBinding().createDatagramBatch(entries, slotBytes, family, portable);
    this.bytes = this.native.payload;
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.words = new Uint32Array(buffer, byteOffset, byteLength / 4);
    this.lengths = this.native.lengths;
    this.addresses = this.native.addresses;
    this.ports = this.native.ports;
  }
}

class SystemSocket implements SharableSocket, SocketHandler {
  readonly family: 4 | 6;
  readonly address: SocketAddress;
  readonly counters = makeDatagramCounters();
  readonly descriptor: number;
  readonly #reactor: Reactor;
  readonly #portable: boolean;
  readonly #again: number;
  readonly #noBuffers: number;
  #handler: DatagramHandler | undefined;
  #closed = false;

  constructor(reactor: Reactor, fd: number, address: SocketAddress, portable: boolean) {
    this.#reactor = reactor;
    this.descriptor = fd;
    this.address = address;
    this.family = address.host.includes(":") ? 6 : 4;
    this.#portable = portable;
    this.#again = reactor.binding.EAGAIN;
    this.#noBuffers = reactor.binding.ENOBUFS;
  }

  makeBatch(entries: number, slotBytes: number): DatagramBatch {
    return new SystemBatch(entries, slotBytes, this.family, this.#portable);
  }

  receive(batch: DatagramBatch): number {
    assert(!this.#closed, "a closed socket is not read from");
    const result = (batch as SystemBatch).native.receive(this.descriptor, batch.entries);
    this.counters.receiveCalls++;
    if (result > 0) {
      this.counters.received += result;
      return result;
    }
    if (result === this.#again) return 0;
    this.counters.errors++;
    return result;
  }

  send(batch: DatagramBatch, first: number, count: number): number {
    assert(!this.#closed, "a closed socket is not sent to");
    const { native } = batch as SystemBatch;
    const { counters } = this;
    let done = 0;
    // An error that was told, an ICMP message of before for one, may not be about this datagram: it gets a second try.
    let refusedAt = -1;
    while (done < count) {
      const result = native.send(this.descriptor, first + done, count - done);
      counters.sendCalls++;
      if (result > 0) {
        counters.sent += result;
        done += result;
      } else if (result === this.#again || result === this.#noBuffers) {
        counters.queueFull++;
        return done;
      } else if (refusedAt === done) {
        counters.refused++;
        done++;
      } else {
        refusedAt = done;
      }
    }
    return done;
  }

  connect(far: SocketAddress): void {
    const result = this.#reactor.engine.connectDatagrams(this.descriptor, far.host, far.port);
    if (result < 0)
      throw new UsageError(
        "USAGE_OPTION",
        `cannot connect to ${far.host} ${far.port}: ${describeErrno(result)}`,
      );
  }

  watch(handler: DatagramHandler, events: number): void {
    assert(!this.#closed, "a closed socket is not watched");
    const first = this.#handler === undefined;
    this.#handler = handler;
    if (first) this.#reactor.register(this.descriptor, this, events);
    else this.#reactor.watch(this.descriptor, events);
  }

  socketReady(events: number): void {
    this.#handler?.datagramsReady(events);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reactor.closeSocket(this.descriptor);
  }
}

export function makeDatagramCounters(): DatagramCounters {
  return { receiveCalls: 0, received: 0, sendCalls: 0, sent: 0, refused: 0, queueFull: 0, errors: 0 };
}

// Counts that outgrow V8's small integers change the shape of their objects: they do so here, before anything is compiled for it.
const grown = makeDatagramCounters();
for (const key of Object.keys(grown) as (keyof DatagramCounters)[]) grown[key] = 2 ** 40;
