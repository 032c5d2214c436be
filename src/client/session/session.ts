// A session: one slab of memory, one reactor, the sockets that accept connections, and the torrents that share them.
//
// Always: the pool is the session's whole memory for blocks, whatever torrents and peers there are; close() leaves
// no socket, no job and no held slot behind. It keeps Node alive only while it has a torrent, a connection or a listener.

import { EventEmitter } from "node:events";
import { isIP } from "node:net";
import { assert } from "../../base/assert.js";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { describeErrno, PeerError, UsageError } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import { PAGE_SIZE, REQUESTS_NEAR } from "../../base/limits.js";
import { type Costs, costsOf } from "../../base/metrics/costs.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import { makeTraceSink, type TraceRecord, type TraceSink } from "../../base/metrics/trace.js";
import { KeptWarnings, UserCalls } from "../../base/user-calls.js";
import { CLIENT_NAME } from "../../base/version.js";
import { SystemDatagrams } from "../../native/datagrams.js";
import { Reactor } from "../../native/reactor.js";
import { systemWorld, type World } from "../../native/world.js";
import { checkAddress } from "../check-options.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import { Memory } from "../memory/memory.js";
import type { Magnet } from "../metainfo/magnet.js";
import { sourceOf } from "../metainfo/source.js";
import type { Metainfo } from "../metainfo/types.js";
import type {
  PeerAddress,
  SessionEvents,
  SessionOptions,
  TorrentOptions,
  TorrentSource,
} from "../options.js";
import { type Clock, PeerConnection, type PeerSettings } from "../peer/peer-connection.js";
import { RequestShare } from "../peer/request-share.js";
import type { Swarm, SwarmDirectory } from "../peer/swarm.js";
import type { ReceiveModeName } from "../receive/receive-mode.js";
import { ReceivePlan } from "../receive/receive-plan.js";
import type { BlockSource, SendModeName } from "../send/block-source.js";
import { CopySource } from "../send/copy-source.js";
import { MappedSource } from "../send/mapped-source.js";
import { SendfileSource } from "../send/sendfile-source.js";
import { PeerSources } from "../sources/peer-sources.js";
import { StreamPump } from "../stream/stream-pump.js";
import { TcpStream } from "../stream/tcp-stream.js";
import { UnconnectedTransport } from "../stream/unconnected-transport.js";
import type { Dialer, EngineRoom } from "../torrent/engine-room.js";
import type { PeerFinder, SearchingTorrent } from "../torrent/peer-source.js";
import { Torrent } from "../torrent/torrent.js";
import { ConnectionTable } from "./connection-table.js";
import { isOutOfDescriptors, Listener, type ListenerHost } from "./listener.js";
import { type SessionSettings, settleOptions } from "./settings.js";

const TICK_MS = 1000;
const LISTEN_BACKLOG = 512;
/** While others wait for their turn, an address is given so long to answer: time for a second and a third packet. */
const CROWDED_CONNECT_MS = 3000;
/** What is wrong for long is said so often. */
const WARNING_MS = 60_000;
/** Trace records that wait to be told: a peer may send a hundred thousand tiny messages in a turn of the loop. */
const TRACE_WAITING_MAX = 65_536;
/**
 * A waiter for slots is woken when this many are free for it: fewer make small receives. Of a small pool a sixteenth: its user may
 * hold most of it, and what is free then must do.
 */
const SLOTS_PER_WAKE_MAX = 16;

export class Session extends EventEmitter<SessionEvents> implements EngineRoom, SwarmDirectory {
  readonly reactor: Reactor;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly peerId: Uint8Array;
  readonly userCalls = new UserCalls();
  readonly #warnings = new KeptWarnings(this, this.userCalls);
  readonly #settings: SessionSettings;
  readonly #requestShare = new RequestShare(REQUESTS_NEAR);
  readonly #plan: ReceivePlan;
  readonly #sources: Record<SendModeName, BlockSource>;
  readonly #torrents = new Map<string, Torrent>();
  readonly #ground: Ground;
  readonly #descriptors: DescriptorBudget;
  readonly #connections: ConnectionTable;
  /** Torrents that have addresses to connect to, in the order of their turns. */
  readonly #dialers = new Set<Dialer>();
  #isDialing = false;
  /** There was no descriptor for a connection: none is begun before the next tick. */
  #dialingPaused = false;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  readonly #endedCounters = makeCounters();
  readonly #trace: TraceSink | undefined;
  readonly #listeners: Listener[] = [];
  #listenAddress: PeerAddress | undefined;
  readonly #finders: PeerSources;
  /** Ports of listeners, by the kind of their addresses. */
  readonly #ports: { v4: number | undefined; v6: number | undefined } = { v4: undefined, v6: undefined };
  readonly #tickTimer: Timer;
  #lastTickMs: number;
  #closed: Promise<void> | undefined;

  /** Throws UsageError `USAGE_OPTION` for an option out of its range, `ADDON_MISSING` if the addon is not built. */
  constructor(options?: SessionOptions);
  /** @internal In a world of its own, for tests. */
  constructor(options: SessionOptions, world: World);
  constructor(options: SessionOptions = {}, world: World = systemWorld()) {
    super();
    this.#ground = world.ground;
    this.#descriptors = world.descriptors;
    this.#settings = settleOptions(options, world.ground);
    this.clock = { nowMs: this.#wholeMs() };
    this.peerId = this.#settings.peerId;
    this.#connections = new ConnectionTable(
      {
        max: this.#settings.maxPeers,
        maxPerAddress: this.#settings.maxPeersPerAddress,
        limitsLoopback: this.#settings.limitLoopback,
      },
      this.#descriptors,
    );
    this.reactor = new Reactor(Math.ceil(this.#settings.poolBytes / PAGE_SIZE) * PAGE_SIZE, world);
    this.memory = new Memory(this.reactor.engine.slab, this.reactor.engine, {
      bufferBytes: this.#settings.contiguousBufferBytes,
      copiesNatively: options.clockCosts === true,
    });
    this.reactor.engine.clockCosts(options.clockCosts ?? false);
    this.#plan = new ReceivePlan(this.reactor.engine.plan);
    const copy = new CopySource(this.memory.pool);
    this.#sources = { copy, mapped: new MappedSource(copy), sendfile: new SendfileSource(copy) };
    this.#trace = makeTraceSink(
      options.trace === undefined ? undefined : this.#toldLater(options.trace),
      world.ground,
    );
    const slotsPerWake = Math.max(1, Math.min(SLOTS_PER_WAKE_MAX, Math.floor(this.pool.slotCount / 16)));
    this.reactor.onTurn({
      turnBegins: () => {
        this.clock.nowMs = this.#wholeMs();
      },
      turnEnds: () => {
        if (this.memory.pool.waiterCount > 0) this.memory.pool.wakeWaiters(slotsPerWake);
      },
    });
    this.#finders = new PeerSources({
      ground: world.ground,
      peerId: this.peerId,
      datagrams: () => new SystemDatagrams(this.reactor),
      ports: () => this.#ports,
      trackers: this.#settings.trackers,
      announcePort: this.#settings.announcePort,
      announceIp: this.#settings.announceIp,
    });
    this.#lastTickMs = this.clock.nowMs;
    this.#tickTimer = world.ground.every(TICK_MS, () => this.#tick());
    this.#tickTimer.unref();
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
    return this.#connections.all.size;
  }

  /**
   * Accepts connections at `address` (default: the option `listen`). Resolves to where: port 0 has become a port.
   * Rejects UsageError `LISTEN_FAILED`.
   */
  async listen(address: PeerAddress | undefined = this.#settings.listen): Promise<PeerAddress> {
    this.#checkOpen();
    if (address === undefined)
      throw new UsageError("USAGE_OPTION", "no address to listen at was given, here or as the option listen");
    checkAddress("listen()", address, 0);
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
    this.#listeners.push(new Listener(this.reactor, fd, this.#descriptors, this.#listenerHost()));
    this.#listenAddress = { host: bound.host, port: bound.port };
    this.#ports[isIP(bound.host) === 6 ? "v6" : "v4"] = bound.port;
    this.#tell("listening", this.#listenAddress);
    this.#keepAlive();
    return this.#listenAddress;
  }

  /**
   * Adds a torrent: what readMetainfo() resolves to, the bytes of a torrent file, a magnet link or what parseMagnet() returns. Resolves
   * when its metadata is there, its storage is open and what is on disk was checked; rejects MetainfoError, StorageError, UsageError (a bad option, or the torrent is here already; `ABORTED`, with the signal's reason as `cause`). A torrent that is
   * being closed is waited for.
   */
  async add(source: TorrentSource, options: TorrentOptions = {}): Promise<Torrent> {
    const torrent = this.addInBackground(source, options);
    try {
      await torrent.ready;
    } catch (error) {
      // Why it cannot be had is what counts, and not what else went wrong then.
      await torrent.close().catch(() => {});
      throw error;
    }
    return torrent;
  }

  /** Like add(), but returns at once: `ready` of the torrent tells when, and `checking` events how far it is. */
  addInBackground(source: TorrentSource, options: TorrentOptions = {}): Torrent {
    this.#checkOpen();
    const torrentOrLink = sourceOf(source);
    const key = Buffer.from(torrentOrLink.infoHash).toString("hex");
    const former = this.#torrents.get(key);
    if (former !== undefined && former.state !== "closed") {
      const how = former.state === "failed" ? "; it has failed: close() it first" : "";
      throw new UsageError("USAGE_STATE", `torrent ${former.name} is in this session already${how}`);
    }
    const torrent = new Torrent(this, torrentOrLink, options, former?.close());
    this.#torrents.set(key, torrent);
    torrent.onClosed(() => {
      if (this.#torrents.get(key) === torrent) this.#torrents.delete(key);
      this.#keepAlive();
    });
    this.#keepAlive();
    return torrent;
  }

  /** Sums over all connections of the session, ended ones included. */
  counters(): TransferCounters {
    const sum = { ...this.#endedCounters };
    for (const peer of this.#connections.all) addCounters(sum, peer.counters);
    return sum;
  }

  /** What the time went into; all 0 without the option `clockCosts`. */
  costs(): Costs {
    return costsOf(this.reactor.engine.costs);
  }

  /**
   * Closes torrents, connections and listeners, and frees the memory. Idempotent. Rejects StorageError, when all else is closed,
   * if what a torrent had stored could not be made durable.
   */
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

  get maxPeersPerTorrent(): number {
    return Math.min(this.#settings.maxPeersPerTorrent, this.#connections.max);
  }

  mayConnectTo(host: string): boolean {
    return this.#connections.mayConnectTo(host);
  }

  dial(dialer: Dialer): void {
    this.#dialers.add(dialer);
    this.#dial();
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
      sendTimeoutMs: settings.sendTimeoutMs,
      clientName: CLIENT_NAME,
    };
  }

  blockSource(mode: SendModeName | undefined): BlockSource {
    return this.#sources[mode ?? this.#settings.sendMode];
  }

  connect(host: string, port: number, swarm: Swarm, settings: PeerSettings): PeerConnection | undefined {
    const { engine, binding } = this.reactor;
    const fd = isIP(host) === 0 ? binding.EINVAL : engine.connect(host, port);
    if (isOutOfDescriptors(fd, binding)) {
      this.#outOfDescriptors(fd);
      return undefined;
    }
    if (fd >= 0) this.#setBufferSizes(fd);
    const transport = fd < 0 ? new UnconnectedTransport() : this.#pump(fd, true);
    const peer = this.#makePeer(host, port, false, transport, settings, swarm);
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

  findPeers(torrent: SearchingTorrent, source: Metainfo | Magnet): PeerFinder {
    return this.#finders.find(torrent, source);
  }

  countersEnded(counters: TransferCounters): void {
    addCounters(this.#endedCounters, counters);
  }

  /** @internal Counts again what the parts of the session have counted, and compares. For tests: it looks at everything. */
  checkInvariants(): void {
    if (this.memory.closed) return;
    this.pool.checkInvariants();
    this.#plan.checkInvariants();
    for (const torrent of this.#torrents.values()) torrent.checkInvariants();
    let received = 0;
    for (const peer of this.#connections.all) {
      peer.checkInvariants();
      received += peer.receiver.slotsHeld;
    }
    assert(this.pool.heldBy(SlotHolder.receiving) === received, "what is received into is a block under way");
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whole milliseconds cost less to keep than fractions do. */
  #wholeMs(): number {
    return Math.trunc(this.#ground.nowMs());
  }

  /** Tells listeners, when the turn is over. */
  #tell<Name extends keyof SessionEvents>(name: Name, ...args: SessionEvents[Name]): void {
    if (this.listenerCount(name) > 0) this.userCalls.tell(this, name, args);
  }

  /** A trace that is told when the turn is over; records beyond what may wait are left out, and counted in one that says so. */
  #toldLater(trace: (record: TraceRecord) => void): (record: TraceRecord) => void {
    let leftOut = 0;
    return (record) => {
      if (this.userCalls.length >= TRACE_WAITING_MAX) {
        leftOut++;
        return;
      }
      if (leftOut > 0) {
        this.userCalls.call(trace, { timeMs: record.timeMs, peer: "", event: "left out", records: leftOut });
        leftOut = 0;
      }
      this.userCalls.call(trace, record);
    };
  }

  /** The clock keeps Node alive for as long as something is held, and no longer. */
  #keepAlive(): void {
    const held = this.#torrents.size + this.#connections.all.size + this.#listeners.length;
    if (held > 0) this.#tickTimer.ref();
    else this.#tickTimer.unref();
  }

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
      onOpen: () => {
        if (this.#connections.opened(peer)) this.#dial();
      },
      onClosed: (error) => this.#peerClosed(peer, error),
      ...(swarm === undefined ? {} : { swarm }),
      ...(this.#trace === undefined ? {} : { trace: this.#trace }),
    });
    this.#connections.add(peer, transport instanceof StreamPump);
    if (this.#connections.all.size === 1) this.#keepAlive();
    return peer;
  }

  #peerClosed(peer: PeerConnection, error: PeerError | undefined): void {
    this.#connections.remove(peer);
    if (this.#connections.all.size === 0) this.#keepAlive();
    if (peer.swarm === undefined) {
      this.countersEnded(peer.counters);
      if (error !== undefined) this.#tell("peerRefused", { host: peer.host, port: peer.port }, error);
    }
    this.#dial();
  }

  /** Begins connections, one of each torrent in turn, as far as there is room. */
  #dial(): void {
    // What is begun may end at once, and ask for the next: the loop that runs sees to it.
    if (this.#isDialing) return;
    this.#isDialing = true;
    try {
      // One that is put in again comes again, after all others.
      for (const dialer of this.#dialers) {
        if (this.#dialingPaused || this.#closed !== undefined || !this.#connections.mayConnect) break;
        this.#dialers.delete(dialer);
        if (dialer.dialNext()) this.#dialers.add(dialer);
      }
    } finally {
      this.#isDialing = false;
    }
  }

  #listenerHost(): ListenerHost {
    const { clock } = this;
    return {
      get nowMs() {
        return clock.nowMs;
      },
      accepted: (fd, remote) => this.#accepted(fd, remote),
      outOfDescriptors: (errno) => this.#outOfDescriptors(errno),
    };
  }

  #accepted(fd: number, remote: PeerAddress): void {
    if (!this.#connections.mayAccept(remote.host, this.clock.nowMs)) {
      this.reactor.engine.closeSocket(fd);
      return;
    }
    const transport = this.#pump(fd, false);
    transport.start(this.#makePeer(remote.host, remote.port, true, transport, this.peerSettings(undefined)));
  }

  /** The process, or the system, has no descriptor for one more socket: what nobody needs now goes, and the user may do something. */
  #outOfDescriptors(errno: number): void {
    this.#dialingPaused = true;
    if (!this.#descriptors.askBack("file")) this.#connections.makeRoom(this.clock.nowMs);
    if (this.clock.nowMs - this.#warnedAtMs < WARNING_MS) return;
    this.#warnedAtMs = this.clock.nowMs;
    const limit = this.reactor.binding.descriptorLimit();
    this.#warnings.tell(
      `no connection can be made or accepted until a descriptor is closed (${describeErrno(errno)}): ` +
        `${this.#descriptors.used("connection")} connections and ${this.#descriptors.used("file")} files are open, and the ` +
        `process may have ${limit} descriptors; raise that limit (ulimit -n), or lower maxPeers`,
    );
  }

  #tick(): void {
    const now = this.#wholeMs();
    this.clock.nowMs = now;
    const elapsedMs = now - this.#lastTickMs;
    this.#lastTickMs = now;
    this.#dialingPaused = false;
    for (const listener of this.#listeners) listener.tick(now);
    this.#checkConnectTimeouts(now);
    for (const peer of this.#connections.strangers) peer.tick(elapsedMs);
    for (const torrent of this.#torrents.values()) torrent.tick(elapsedMs);
    if (this.#dialers.size > 0) this.#dialOrMakeRoom(now);
    if (this.memory.pool.waiterCount > 0) this.memory.pool.wakeWaiters(1);
  }

  #dialOrMakeRoom(nowMs: number): void {
    if (this.#connections.all.size >= this.#connections.max) this.#connections.makeRoom(nowMs);
    this.#dial();
  }

  #checkConnectTimeouts(now: number): void {
    const { connectTimeoutMs } = this.#settings;
    const isCrowded = this.#dialers.size > 0 && !this.#connections.mayConnect;
    const timeoutMs = isCrowded ? Math.min(CROWDED_CONNECT_MS, connectTimeoutMs) : connectTimeoutMs;
    for (const peer of [...this.#connections.connecting]) {
      peer.tick(0);
      // A handshake has a time of its own, but not while others wait.
      const isTimed = peer.state === "connecting" || (isCrowded && peer.state === "handshaking");
      if (!isTimed || now - peer.sinceMs <= timeoutMs) continue;
      const seconds = Math.round((now - peer.sinceMs) / 1000);
      const reason = `cannot connect to ${peer.host}:${peer.port}: no answer for ${seconds} s`;
      peer.close(new PeerError("PEER_CONNECT_FAILED", reason));
    }
  }

  async #close(): Promise<void> {
    this.#tickTimer.close();
    for (const listener of this.#listeners) listener.close();
    this.#listeners.length = 0;
    const closings = await Promise.allSettled([...this.#torrents.values()].map((torrent) => torrent.close()));
    for (const peer of [...this.#connections.all]) peer.close();
    await this.#finders.close();
    await this.reactor.idle();
    // Listeners hear of the end while there is still memory that leases may lie in.
    await this.userCalls.flushed();
    this.memory.closed = true;
    this.reactor.close();
    for (const closing of closings) if (closing.status === "rejected") throw closing.reason;
  }
}
