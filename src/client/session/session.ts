// A session: one slab of memory, one reactor, the sockets that accept connections, and the torrents that share them.
//
// Always: the pool is the session's whole memory for blocks, whatever torrents and peers there are; close() leaves
// no socket, no job and no held slot behind.

import { EventEmitter } from "node:events";
import { isIP } from "node:net";
import { describeErrno, PeerError, UsageError } from "../../base/errors.js";
import { PAGE_SIZE, REQUESTS_NEAR } from "../../base/limits.js";
import { type Costs, costsOf } from "../../base/metrics/costs.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import { makeTraceSink, type TraceSink } from "../../base/metrics/trace.js";
import { CLIENT_NAME } from "../../base/version.js";
import { READABLE } from "../../native/binding.js";
import { Reactor, type SocketHandler } from "../../native/reactor.js";
import type { BlockPool } from "../memory/block-pool.js";
import { Memory } from "../memory/memory.js";
import type { Metainfo } from "../metainfo/types.js";
import type { PeerAddress, SessionEvents, SessionOptions, TorrentOptions } from "../options.js";
import { type Clock, PeerConnection, type PeerSettings } from "../peer/peer-connection.js";
import { RequestShare } from "../peer/request-share.js";
import type { Swarm, SwarmDirectory } from "../peer/swarm.js";
import type { ReceiveModeName } from "../receive/receive-mode.js";
import { ReceivePlan } from "../receive/receive-plan.js";
import type { BlockSource, SendModeName } from "../send/block-source.js";
import { CopySource } from "../send/copy-source.js";
import { MappedSource } from "../send/mapped-source.js";
import { SendfileSource } from "../send/sendfile-source.js";
import { StreamPump } from "../stream/stream-pump.js";
import { TcpStream } from "../stream/tcp-stream.js";
import { UnconnectedTransport } from "../stream/unconnected-transport.js";
import type { EngineRoom } from "../torrent/engine-room.js";
import { Torrent } from "../torrent/torrent.js";
import { type SessionSettings, settleOptions } from "./settings.js";

const TICK_MS = 1000;
const LISTEN_BACKLOG = 512;
const ACCEPTS_PER_WAKE_MAX = 64;
/** Outgoing connections that may be under way at one time. */
const CONNECTING_MAX = 32;
/** A waiter for slots is woken when this many are free for it: fewer make small receives. */
const SLOTS_PER_WAKE = 16;

export class Session extends EventEmitter<SessionEvents> implements EngineRoom, SwarmDirectory {
  readonly reactor: Reactor;
  readonly memory: Memory;
  readonly clock: Clock = { nowMs: wholeMs() };
  readonly peerId: Uint8Array;
  readonly #settings: SessionSettings;
  readonly #requestShare = new RequestShare(REQUESTS_NEAR);
  readonly #plan: ReceivePlan;
  readonly #sources: Record<SendModeName, BlockSource>;
  readonly #torrents = new Map<string, Torrent>();
  readonly #connections = new Set<PeerConnection>();
  readonly #connecting = new Set<PeerConnection>();
  readonly #endedCounters = makeCounters();
  readonly #trace: TraceSink | undefined;
  readonly #listeners: number[] = [];
  #listenAddress: PeerAddress | undefined;
  readonly #tickTimer: NodeJS.Timeout;
  #lastTickMs: number;
  #closed: Promise<void> | undefined;

  /** Throws UsageError `USAGE_OPTION` for an option out of its range, `ADDON_MISSING` if the addon is not built. */
  constructor(options: SessionOptions = {}) {
    super();
    this.#settings = settleOptions(options);
    this.peerId = this.#settings.peerId;
    this.reactor = new Reactor(Math.ceil(this.#settings.poolBytes / PAGE_SIZE) * PAGE_SIZE);
    this.memory = new Memory(this.reactor.engine.slab, this.reactor.engine, {
      bufferBytes: this.#settings.contiguousBufferBytes,
      copiesNatively: options.clockCosts === true,
    });
    this.reactor.engine.clockCosts(options.clockCosts ?? false);
    this.#plan = new ReceivePlan(this.reactor.engine.plan);
    const copy = new CopySource(this.memory.pool);
    this.#sources = { copy, mapped: new MappedSource(copy), sendfile: new SendfileSource(copy) };
    this.#trace = makeTraceSink(options.trace);
    this.reactor.onTurn({
      turnBegins: () => {
        this.clock.nowMs = wholeMs();
      },
      turnEnds: () => {
        if (this.memory.pool.waiterCount > 0) this.memory.pool.wakeWaiters(SLOTS_PER_WAKE);
      },
    });
    this.#lastTickMs = this.clock.nowMs;
    this.#tickTimer = setInterval(() => this.#tick(), TICK_MS);
  }

  // ── public API ───────────────────────────────────────────────────────────────────────────────────────────────

  get torrents(): ReadonlySet<Torrent> {
    return new Set(this.#torrents.values());
  }

  /** Memory of the session that blocks live in, in bytes. */
  get poolBytes(): number {
    return this.memory.bytes.length;
  }

  /** Where connections are accepted, or undefined. */
  get listenAddress(): PeerAddress | undefined {
    return this.#listenAddress;
  }

  /** Connections that are open or being made. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /**
   * Accepts connections at `address` (default: the option `listen`). Resolves to where: port 0 has become a port.
   * Rejects UsageError `LISTEN_FAILED`.
   */
  async listen(address: PeerAddress | undefined = this.#settings.listen): Promise<PeerAddress> {
    this.#checkOpen();
    if (address === undefined) throw new UsageError("USAGE_OPTION", "no address to listen at was given");
    const { engine } = this.reactor;
    const fd = engine.listen(address.host, address.port, LISTEN_BACKLOG);
    const failed = (errno: number): never => {
      throw new UsageError(
        "LISTEN_FAILED",
        `cannot listen at ${address.host}:${address.port}: ${describeErrno(errno)}`,
      );
    };
    if (fd < 0) return failed(fd);
    // Set before connections are made: the window scale is agreed in their first packets.
    this.#setBufferSizes(fd);
    const bound = engine.localAddress(fd);
    if (typeof bound === "number") {
      engine.closeSocket(fd);
      return failed(bound);
    }
    const handler: SocketHandler = { socketReady: () => this.#accept(fd) };
    this.reactor.register(fd, handler, READABLE);
    this.#listeners.push(fd);
    this.#listenAddress = { host: bound.host, port: bound.port };
    this.emit("listening", this.#listenAddress);
    return this.#listenAddress;
  }

  /**
   * Adds a torrent. Resolves when its storage is open and what is on disk was checked; rejects StorageError,
   * UsageError (a bad option, or the torrent is here already; `ABORTED`).
   */
  async add(metainfo: Metainfo, options: TorrentOptions = {}): Promise<Torrent> {
    const torrent = this.addInBackground(metainfo, options);
    try {
      await torrent.ready;
    } catch (error) {
      await torrent.close();
      throw error;
    }
    return torrent;
  }

  /** Like add(), but returns at once: `ready` of the torrent tells when, and `checking` events how far it is. */
  addInBackground(metainfo: Metainfo, options: TorrentOptions = {}): Torrent {
    this.#checkOpen();
    const key = metainfo.infoHashHex;
    if (this.#torrents.has(key))
      throw new UsageError("USAGE_STATE", `torrent ${metainfo.name} is in this session already`);
    const torrent = new Torrent(this, metainfo, options);
    this.#torrents.set(key, torrent);
    torrent.onClosed(() => this.#torrents.delete(key));
    return torrent;
  }

  /** Sums over all connections of the session, ended ones included. */
  counters(): TransferCounters {
    const sum = { ...this.#endedCounters };
    for (const peer of this.#connections) addCounters(sum, peer.counters);
    return sum;
  }

  /** What the time went into; all 0 without the option `clockCosts`. */
  costs(): Costs {
    return costsOf(this.reactor.engine.costs);
  }

  /** Closes torrents, connections and listeners, and frees the memory. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ── SwarmDirectory ───────────────────────────────────────────────────────────────────────────────────────────

  findSwarm(infoHash: Uint8Array): Swarm | undefined {
    const torrent = this.#torrents.get(Buffer.from(infoHash).toString("hex"));
    return torrent?.isOpen === true ? torrent : undefined;
  }

  get listenPort(): number {
    return this.#listenAddress?.port ?? 0;
  }

  // ── EngineRoom ───────────────────────────────────────────────────────────────────────────────────────────────

  get pool(): BlockPool {
    return this.memory.pool;
  }

  get uploadSlots(): number {
    return this.#settings.uploadSlots;
  }

  get isListening(): boolean {
    return this.#listeners.length > 0;
  }

  get mayConnect(): boolean {
    return this.#connecting.size < CONNECTING_MAX && this.#connections.size < this.#settings.maxPeers;
  }

  peerSettings(receiveMode: ReceiveModeName | undefined): PeerSettings {
    const settings = this.#settings;
    const choice = settings.receiveMode;
    return {
      receiveMode:
        receiveMode === undefined ? choice : { ...choice, name: receiveMode, contiguousWhenIdle: false },
      maxRequests: settings.maxRequests,
      requestShare: this.#requestShare,
      handshakeTimeoutMs: settings.handshakeTimeoutMs,
      requestTimeoutMs: settings.requestTimeoutMs,
      idleTimeoutMs: settings.idleTimeoutMs,
      clientName: CLIENT_NAME,
    };
  }

  blockSource(mode: SendModeName | undefined): BlockSource {
    return this.#sources[mode ?? this.#settings.sendMode];
  }

  connect(host: string, port: number, swarm: Swarm, settings: PeerSettings): PeerConnection {
    const fd = isIP(host) === 0 ? this.reactor.binding.EINVAL : this.reactor.engine.connect(host, port);
    if (fd >= 0) this.#setBufferSizes(fd);
    const transport = fd < 0 ? new UnconnectedTransport() : this.#pump(fd, true);
    const peer = this.#makePeer(host, port, false, transport, settings, swarm);
    this.#connecting.add(peer);
    if (transport instanceof StreamPump) transport.start(peer);
    else {
      // Told later, as every other failure to connect: the caller has not yet noted what it asked for.
      const reason = isIP(host) === 0 ? "not a numeric address" : describeErrno(fd);
      queueMicrotask(() =>
        peer.close(new PeerError("PEER_CONNECT_FAILED", `cannot connect to ${host}:${port}: ${reason}`)),
      );
    }
    return peer;
  }

  countersEnded(counters: TransferCounters): void {
    addCounters(this.#endedCounters, counters);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #setBufferSizes(fd: number): void {
    const { receiveBufferBytes, sendBufferBytes } = this.#settings;
    if (receiveBufferBytes + sendBufferBytes > 0)
      this.reactor.engine.setBufferSizes(fd, receiveBufferBytes, sendBufferBytes);
  }

  #pump(fd: number, connecting: boolean): StreamPump {
    const { reactor, memory } = this;
    const stream = new TcpStream(reactor, fd);
    return new StreamPump({ turns: reactor, memory, stream, connecting, eagain: reactor.binding.EAGAIN });
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new UsageError("USAGE_STATE", "the session is closed");
  }

  #makePeer(
    host: string,
    port: number,
    incoming: boolean,
    transport: StreamPump | UnconnectedTransport,
    settings: PeerSettings,
    swarm?: Swarm,
  ): PeerConnection {
    const peer = new PeerConnection({
      host,
      port,
      incoming,
      transport,
      memory: this.memory,
      plan: this.#plan,
      clock: this.clock,
      directory: this,
      settings,
      onOpen: () => this.#connectEnded(peer),
      onClosed: (error) => this.#peerClosed(peer, error),
      ...(swarm === undefined ? {} : { swarm }),
      ...(this.#trace === undefined ? {} : { trace: this.#trace }),
    });
    this.#connections.add(peer);
    return peer;
  }

  #peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    this.#connections.delete(peer);
    this.#connectEnded(peer);
    if (peer.swarm !== undefined) return;
    this.countersEnded(peer.counters);
    if (error !== undefined) this.emit("peerRefused", { host: peer.host, port: peer.port }, error);
  }

  /** An attempt to connect came to its end; when half of them have, others begin. */
  #connectEnded(peer: PeerConnection): void {
    if (!this.#connecting.delete(peer) || this.#connecting.size !== CONNECTING_MAX / 2) return;
    for (const torrent of this.#torrents.values()) torrent.connectMore();
  }

  #accept(listener: number): void {
    const { engine } = this.reactor;
    for (let count = 0; count < ACCEPTS_PER_WAKE_MAX; count++) {
      const fd = engine.accept(listener);
      if (fd < 0) return;
      const remote = engine.remoteAddress(fd);
      if (typeof remote === "number" || this.#connections.size >= this.#settings.maxPeers) {
        engine.closeSocket(fd);
        continue;
      }
      const transport = this.#pump(fd, false);
      const settings = this.peerSettings(undefined);
      transport.start(this.#makePeer(remote.host, remote.port, true, transport, settings));
    }
  }

  #tick(): void {
    const now = wholeMs();
    this.clock.nowMs = now;
    const elapsedMs = now - this.#lastTickMs;
    this.#lastTickMs = now;
    for (const peer of [...this.#connecting]) this.#checkConnectTimeout(peer, now);
    for (const peer of this.#connections) if (peer.state === "handshaking") peer.tick(elapsedMs);
    for (const torrent of this.#torrents.values()) torrent.tick(elapsedMs);
    if (this.memory.pool.waiterCount > 0) this.memory.pool.wakeWaiters(1);
  }

  #checkConnectTimeout(peer: PeerConnection, now: number): void {
    const { connectTimeoutMs } = this.#settings;
    if (peer.state !== "connecting" || now - peer.sinceMs <= connectTimeoutMs) return;
    const seconds = Math.round(connectTimeoutMs / 1000);
    peer.close(
      new PeerError(
        "PEER_CONNECT_FAILED",
        `cannot connect to ${peer.host}:${peer.port}: no answer for ${seconds} s`,
      ),
    );
  }

  async #close(): Promise<void> {
    clearInterval(this.#tickTimer);
    for (const fd of this.#listeners) this.reactor.closeSocket(fd);
    this.#listeners.length = 0;
    await Promise.all([...this.#torrents.values()].map((torrent) => torrent.close()));
    for (const peer of [...this.#connections]) peer.close();
    await this.reactor.idle();
    this.reactor.close();
  }
}

function wholeMs(): number {
  return Math.trunc(performance.now());
}
