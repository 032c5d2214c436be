// What a session is made of: one slab of memory, one reactor, the connections, and the torrents that share them. What programs see is
// session.ts.
//
// It is somewhat long because the contracts of its torrents and connections (EngineRoom, SwarmDirectory) meet here: each method of
// them hands on to a part.
//
// Always: the pool is the session's whole memory for blocks, whatever torrents and peers there are; close() leaves
// no socket, no job and no held slot behind. It keeps Node alive only while it has a torrent, a connection or a listener.

import type { EventEmitter } from "node:events";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { assert } from "../../base/assert.js";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { type PeerError, UsageError } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import { BLOCK_SIZE, PAGE_SIZE, REQUESTS_NEAR, REQUESTS_NEAR_ALONE } from "../../base/limits.js";
import { costsOf } from "../../base/metrics/costs.js";
import { addCounters, makeCounters, type TransferCounters } from "../../base/metrics/counters.js";
import { Timeline } from "../../base/metrics/timeline.js";
import { bothSinks, makeTraceSink, type TraceRecord, type TraceSink } from "../../base/metrics/trace.js";
import { scopeOf } from "../../base/network-address.js";
import { checkAddress, checkOptions } from "../../base/option-check.js";
import { RateControl, type RateLimitChange } from "../../base/rate-limit.js";
import { KeptWarnings, UserCalls } from "../../base/user-calls.js";
import { CLIENT_NAME } from "../../base/version.js";
import { SystemDatagrams } from "../../native/datagrams.js";
import { Reactor, type TurnObserver } from "../../native/reactor.js";
import { tracedBinding } from "../../native/traced-engine.js";
import type { World } from "../../native/world.js";
import { checkStream } from "../check-options.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import { Memory } from "../memory/memory.js";
import type { Magnet } from "../metainfo/magnet.js";
import { sourceOf } from "../metainfo/source.js";
import type { Metainfo } from "../metainfo/types.js";
import { RATE_LIMIT_OPTIONS, SESSION_OPTIONS } from "../option-table.js";
import type {
  ArrivingPeer,
  HashTable,
  IpFilter,
  MappedPort,
  MetricsRegistry,
  PeerAddress,
  SessionEvents,
  SessionOptions,
  SessionStats,
  TorrentOptions,
  TorrentSource,
} from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Clock, PeerSettings } from "../peer/peer-options.js";
import { RequestShare } from "../peer/request-share.js";
import type { Swarm, SwarmDirectory } from "../peer/swarm.js";
import type { ReceiveModeName } from "../receive/receive-mode.js";
import { ReceivePlan } from "../receive/receive-plan.js";
import { Recorder } from "../recording/recorder.js";
import type { BlockSource, SendModeName } from "../send/block-source.js";
import { CopySource } from "../send/copy-source.js";
import { MappedSource } from "../send/mapped-source.js";
import { SendfileSource } from "../send/sendfile-source.js";
import { PeerSources } from "../sources/peer-sources.js";
import type { ByteStream } from "../stream/byte-stream.js";
import { publishOfSession, publishSession } from "../torrent/channels.js";
import type { Dialer, EngineRoom } from "../torrent/engine-room.js";
import type { PeerFinder, SearchingTorrent, StreamParts } from "../torrent/peer-source.js";
import { Torrent, torrentCoreOf } from "../torrent/torrent.js";
import { Connector } from "./connector.js";
import { makeDump, type SessionDump } from "./dump.js";
import { Encryption } from "./encryption.js";
import { Gate } from "./gate.js";
import { ListenAddresses } from "./listen-addresses.js";
import { type MetricsSource, showIn } from "./metrics.js";
import { type SessionSettings, settleOptions } from "./settings.js";

const TICK_MS = 1000;
/** Trace records that wait to be told: a peer may send a hundred thousand tiny messages in a turn of the loop. */
const TRACE_WAITING_MAX = 65_536;
/**
 * A waiter for slots is woken when this many are free for it: fewer make small receives. Of a small pool a sixteenth: its user may
 * hold most of it, and what is free then must do.
 */
const SLOTS_PER_WAKE_MAX = 16;
/** A near peer that is alone is asked for no more than this part of the pool's blocks. */
const ALONE_PART_OF_POOL = 3 / 8;

export class SessionCore implements EngineRoom, SwarmDirectory, MetricsSource {
  readonly reactor: Reactor;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly peerId: Uint8Array;
  readonly userCalls = new UserCalls();
  readonly recorder: Recorder | undefined;
  /** Who listens to its events. */
  readonly #emitter: EventEmitter<SessionEvents>;
  readonly #warnings: KeptWarnings;
  readonly #settings: SessionSettings;
  readonly #requestShare: RequestShare;
  readonly #peerSettings = new Map<ReceiveModeName | undefined, PeerSettings>();
  readonly #plan: ReceivePlan;
  readonly #encryption: Encryption;
  readonly #sources: Record<SendModeName, BlockSource>;
  readonly #torrents = new Map<string, Torrent>();
  readonly #ground: Ground;
  readonly #descriptors: DescriptorBudget;
  readonly #gate: Gate;
  readonly #connector: Connector;
  readonly #endedCounters = makeCounters();
  readonly rateControl: RateControl;
  readonly #trace: TraceSink | undefined;
  readonly #timeline: Timeline | undefined;
  readonly #finders: PeerSources;
  readonly #listenAddresses: ListenAddresses;
  readonly #tickTimer: Timer;
  #lastTickMs: number;
  readonly #sinceMs: number;
  /** Of torrents that are closed. */
  #piecesFailedEnded = 0;
  /** Takes the figures from the registry that shows them. */
  readonly #hideMetrics: () => void;
  #closed: Promise<void> | undefined;

  /** Throws UsageError `USAGE_OPTION` for an option out of its range, `ADDON_MISSING` if the addon is not built. */
  constructor(emitter: EventEmitter<SessionEvents>, options: SessionOptions, world: World) {
    this.#emitter = emitter;
    this.#warnings = new KeptWarnings(emitter, this.userCalls);
    this.#ground = world.ground;
    this.#descriptors = world.descriptors;
    this.#settings = settleOptions(options, world.ground);
    this.#listenAddresses = new ListenAddresses(this.#settings.outgoingAddresses);
    this.clock = { nowMs: this.#wholeMs() };
    this.rateControl = new RateControl(world.ground);
    this.rateControl.change(this.rateControl.limits, this.#settings);
    this.peerId = this.#settings.peerId;
    const { traceFile } = this.#settings;
    const timeline =
      traceFile === undefined ? undefined : new Timeline(traceFile, world.ground, (text) => this.#warn(text));
    this.#timeline = timeline;
    this.reactor = new Reactor(
      Math.ceil(this.#settings.poolBytes / PAGE_SIZE) * PAGE_SIZE,
      timeline === undefined ? world : { ...world, binding: tracedBinding(world.binding, timeline) },
    );
    this.memory = new Memory(this.reactor.engine.slab, this.reactor.engine, {
      bufferBytes: this.#settings.contiguousBufferBytes,
      copiesNatively: options.clockCosts === true,
    });
    const { slotCount } = this.memory.pool;
    const alone = Math.max(
      REQUESTS_NEAR,
      Math.min(REQUESTS_NEAR_ALONE, Math.floor(slotCount * ALONE_PART_OF_POOL)),
    );
    this.#requestShare = new RequestShare(REQUESTS_NEAR, alone);
    this.reactor.engine.clockCosts(options.clockCosts ?? false);
    this.#plan = new ReceivePlan(this.reactor.engine.plan);
    const copy = new CopySource(this.memory.pool);
    this.#sources = { copy, mapped: new MappedSource(copy), sendfile: new SendfileSource(copy) };
    const told = options.trace === undefined ? undefined : this.#toldLater(options.trace);
    this.#trace = bothSinks(makeTraceSink(told, world.ground), timeline?.sink);
    this.#encryption = new Encryption(this.#settings.encryption, this.reactor, this.memory, world.ground);
    this.recorder = this.#makeRecorder();
    this.#gate = new Gate(this.#settings.ipFilter, this.#settings.admit);
    this.#connector = this.#makeConnector();
    const slotsPerWake = Math.max(1, Math.min(SLOTS_PER_WAKE_MAX, Math.floor(this.pool.slotCount / 16)));
    const turns: TurnObserver = {
      turnBegins: () => {
        this.clock.nowMs = this.#wholeMs();
      },
      turnEnds: () => {
        if (this.memory.pool.waiterCount > 0) this.memory.pool.wakeWaiters(slotsPerWake);
      },
    };
    this.reactor.onTurn(timeline === undefined ? turns : this.#tracedTurns(turns, timeline));
    this.#finders = new PeerSources({
      ground: world.ground,
      peerId: this.peerId,
      datagrams: () => new SystemDatagrams(this.reactor),
      ports: () => this.#listenAddresses.ports,
      sourceFor: (far) => this.#listenAddresses.sourceFor(far),
      trackers: this.#settings.trackers,
      localPeers: this.#settings.localPeers,
      dht: this.#settings.dht,
      portMapping: this.#settings.portMapping,
      gateway: world.gateway,
      warn: (text) => this.#warn(text),
      portMapped: (mapping) => this.#tell("portMapped", mapping),
      announcePort: this.#settings.announcePort,
      announceIp: this.#settings.announceIp,
    });
    this.#lastTickMs = this.clock.nowMs;
    this.#sinceMs = this.clock.nowMs;
    this.#tickTimer = world.ground.every(TICK_MS, () => this.#tick());
    this.#tickTimer.unref();
    this.#hideMetrics = this.#showMetrics(options.metricsRegistry);
    publishSession(this.userCalls, emitter, "open");
  }

  // ── what it has ──────────────────────────────────────────────────────────────────────────────────────────────

  get torrents(): ReadonlySet<Torrent> {
    return new Set(this.#torrents.values());
  }

  get listenAddress(): PeerAddress | undefined {
    return this.#listenAddresses.last;
  }

  get mappedPorts(): MappedPort[] {
    return this.#finders.mappedPorts;
  }

  get connectionCount(): number {
    return this.#connector.table.all.size;
  }

  get(infoHash: Uint8Array | string): Torrent | undefined {
    const key = typeof infoHash === "string" ? infoHash.toLowerCase() : Buffer.from(infoHash).toString("hex");
    return this.#torrents.get(key);
  }

  stats(): SessionStats {
    const { payloadBytes, sentPayloadBytes, wastedBytes } = this.counters();
    let [downloadBytesPerSecond, uploadBytesPerSecond] = [0, 0];
    for (const torrent of this.#torrents.values()) {
      const rates = torrentCoreOf(torrent).swarm.rates();
      downloadBytesPerSecond += rates.downloadRate;
      uploadBytesPerSecond += rates.uploadRate;
    }
    const { pool, bytes } = this.memory;
    const { table } = this.#connector;
    return {
      torrents: this.#torrents.size,
      connections: this.connectionCount,
      connectionsBegun: table.connecting.size + table.strangers.size,
      downloadBytesPerSecond,
      uploadBytesPerSecond,
      downloadedBytes: payloadBytes,
      uploadedBytes: sentPayloadBytes,
      wastedBytes,
      poolBytes: bytes.length,
      poolBytesFree: pool.freeCount * BLOCK_SIZE,
      poolWaiters: pool.waiterCount,
      portsMapped: this.mappedPorts.length,
      jobsUnderWay: this.reactor.jobs.inFlight,
    };
  }

  // ── MetricsSource ────────────────────────────────────────────────────────────────────────────────────────────

  torrentStates(): ReadonlyMap<string, number> {
    const states = new Map<string, number>();
    for (const { state } of this.#torrents.values()) states.set(state, (states.get(state) ?? 0) + 1);
    return states;
  }

  get piecesFailedTotal(): number {
    let count = this.#piecesFailedEnded;
    for (const torrent of this.#torrents.values()) count += torrentCoreOf(torrent).piecesFailed;
    return count;
  }

  dump(): SessionDump {
    return makeDump({
      nowMs: this.clock.nowMs,
      sinceMs: this.#sinceMs,
      stats: this.stats(),
      counters: this.counters(),
      costs: costsOf(this.reactor.engine.costs),
      settings: this.#settings,
      mappedPorts: this.mappedPorts,
      pool: this.pool,
      torrents: [...this.#torrents.values()].map(torrentCoreOf),
      strangers: [...this.#connector.table.strangers],
    });
  }

  counters(): TransferCounters {
    const sum = { ...this.#endedCounters };
    for (const peer of this.#connector.table.all) addCounters(sum, peer.counters);
    return sum;
  }

  setIpFilter(filter: IpFilter | undefined): void {
    checkOptions({ ipFilter: SESSION_OPTIONS.ipFilter }, { ipFilter: filter }, "setIpFilter()");
    this.#gate.setFilter(filter);
    this.#connector.gateChanged();
  }

  get bans(): string[] {
    return this.#gate.bans;
  }

  ban(host: string): void {
    this.#gate.ban(host);
    this.#connector.gateChanged();
  }

  unban(host: string): void {
    this.#gate.unban(host);
    for (const torrent of this.#torrents.values()) torrentCoreOf(torrent).swarm.unban(host);
  }

  setRateLimits(change: RateLimitChange): void {
    checkOptions(RATE_LIMIT_OPTIONS, change, "setRateLimits()");
    this.rateControl.change(this.rateControl.limits, change);
    for (const peer of this.#connector.table.all) peer.rateLimitsChanged();
  }

  listen(address: PeerAddress | undefined = this.#settings.listen): PeerAddress {
    this.#checkOpen();
    if (address === undefined)
      throw new UsageError("USAGE_OPTION", "no address to listen at was given, here or as the option listen");
    checkAddress("listen()", address, 0);
    const bound = this.#connector.listen(address);
    this.#listenAddresses.bound(bound);
    this.#finders.listening(bound);
    this.#tell("listening", bound);
    this.#keepAlive();
    return bound;
  }

  accept(duplex: Duplex): void {
    this.#checkOpen();
    checkStream(duplex);
    this.#connector.acceptStream(duplex);
  }

  add(source: TorrentSource, options: TorrentOptions): Torrent {
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
    this.#encryption.add(torrentOrLink.infoHash);
    torrentCoreOf(torrent).onClosed(() => {
      this.#piecesFailedEnded += torrentCoreOf(torrent).piecesFailed;
      if (this.#torrents.get(key) === torrent) {
        this.#torrents.delete(key);
        this.#encryption.remove(torrentOrLink.infoHash);
      }
      this.#keepAlive();
    });
    this.#keepAlive();
    return torrent;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  // ── SwarmDirectory ───────────────────────────────────────────────────────────────────────────────────────────

  findSwarm(infoHash: Uint8Array): Swarm | undefined {
    const torrent = this.#torrents.get(Buffer.from(infoHash).toString("hex"));
    const core = torrent === undefined ? undefined : torrentCoreOf(torrent);
    return core?.isOpen === true ? core.swarm : undefined;
  }

  listenPortFor(host: string): number {
    const family = isIP(host);
    // Who came over a stream of the program's has an address that says nothing of how we are reached.
    if (family === 0) return this.#listenAddresses.last?.port ?? 0;
    const inside = this.#listenAddresses.ports[family === 6 ? "v6" : "v4"];
    // A router forwards what comes from outside: whoever is on this side of it reaches us as we are.
    if (inside === undefined || scopeOf(host) !== "global") return inside ?? 0;
    return this.#finders.portOutside(family === 6 ? 6 : 4) ?? inside;
  }

  // ── EngineRoom ───────────────────────────────────────────────────────────────────────────────────────────────

  get pool(): BlockPool {
    return this.memory.pool;
  }

  get dht(): HashTable | undefined {
    return this.#settings.dht;
  }

  get uploadSlots(): number {
    return this.#settings.uploadSlots;
  }

  get maxPeersPerTorrent(): number {
    return Math.min(this.#settings.maxPeersPerTorrent, this.#connector.table.max);
  }

  get maxConnectingPerTorrent(): number {
    return Math.max(1, Math.ceil(this.#settings.maxConnecting / 2));
  }

  reasonAgainst(host: string): string | undefined {
    return this.#gate.reasonAgainst(host);
  }

  admits(peer: () => ArrivingPeer): boolean {
    return this.#gate.admits(peer);
  }

  mayDial(host: string): boolean {
    return this.#connector.table.mayDial(host, this.clock.nowMs);
  }

  dial(dialer: Dialer): void {
    this.#connector.dial(dialer);
  }

  /** The same object for all connections that are received from alike. */
  peerSettings(receiveMode: ReceiveModeName | undefined): PeerSettings {
    const known = this.#peerSettings.get(receiveMode);
    if (known !== undefined) return known;
    const made = this.#makePeerSettings(receiveMode);
    this.#peerSettings.set(receiveMode, made);
    return made;
  }

  #makePeerSettings(receiveMode: ReceiveModeName | undefined): PeerSettings {
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

  get fallsBack(): boolean {
    return this.#settings.encryption === "enabled";
  }

  connect(
    host: string,
    port: number,
    swarm: Swarm,
    settings: PeerSettings,
    encrypts: boolean,
  ): PeerConnection | undefined {
    return this.#connector.connect(host, port, swarm, settings, encrypts);
  }

  connectOver(
    host: string,
    make: (parts: StreamParts) => ByteStream,
    swarm: Swarm,
    settings: PeerSettings,
  ): PeerConnection | undefined {
    return this.#connector.connectOver(host, make, swarm, settings);
  }

  connectStream(
    duplex: Duplex,
    swarm: Swarm,
    settings: PeerSettings,
    refused: (address: PeerAddress, error: PeerError) => void,
  ): PeerConnection | undefined {
    return this.#connector.connectStream(duplex, swarm, settings, refused);
  }

  findPeers(torrent: SearchingTorrent, source: Metainfo | Magnet): PeerFinder {
    return this.#finders.find(torrent, source);
  }

  countersEnded(counters: TransferCounters): void {
    addCounters(this.#endedCounters, counters);
  }

  /** Counts again what the parts of the session have counted, and compares. For tests: it looks at everything. */
  checkInvariants(): void {
    if (this.memory.closed) return;
    this.pool.checkInvariants();
    this.memory.messages.checkInvariants();
    this.rateControl.checkInvariants();
    this.#plan.checkInvariants();
    for (const torrent of this.#torrents.values()) torrentCoreOf(torrent).checkInvariants();
    let received = 0;
    for (const peer of this.#connector.table.all) {
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
    publishOfSession(this.userCalls, this.#emitter, name, args);
    if (this.#emitter.listenerCount(name) > 0) this.userCalls.tell(this.#emitter, name, args);
  }

  #warn(text: string): void {
    publishOfSession(this.userCalls, this.#emitter, "warning", [text]);
    this.#warnings.tell(text);
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

  /** Throws UsageError `USAGE_OPTION`, when nothing is held any more. */
  #showMetrics(registry: MetricsRegistry | undefined): () => void {
    if (registry === undefined) return () => {};
    try {
      return showIn(registry, this);
    } catch (error) {
      this.#tickTimer.close();
      this.#abandon();
      throw error;
    }
  }

  /** The clock keeps Node alive for as long as something is held, and no longer. */
  #keepAlive(): void {
    const held = this.#torrents.size + this.connectionCount + this.#connector.listeners.length;
    if (held > 0) this.#tickTimer.ref();
    else this.#tickTimer.unref();
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new UsageError("USAGE_STATE", "the session is closed");
  }

  #tracedTurns(turns: TurnObserver, timeline: Timeline): TurnObserver {
    let startMs = 0;
    return {
      turnBegins: () => {
        startMs = timeline.nowMs();
        turns.turnBegins();
      },
      turnEnds: () => {
        turns.turnEnds();
        const { pool } = this;
        timeline.turn(startMs, {
          ready: this.reactor.load.readyCount,
          slotsFree: pool.freeCount,
          waiters: pool.waiterCount,
        });
      },
    };
  }

  /** What was opened is closed again: the session cannot be made. */
  #abandon(): void {
    void this.#timeline?.close();
    void this.recorder?.close();
    this.reactor.close();
  }

  /** Throws UsageError `USAGE_OPTION`, when nothing is held any more. */
  #makeRecorder(): Recorder | undefined {
    const { record, recordBytesMax } = this.#settings;
    if (record === undefined) return undefined;
    try {
      return new Recorder(record, recordBytesMax, {
        memory: this.memory,
        entries: this.#plan.entries,
        nowMs: () => this.clock.nowMs,
        warn: (text) => this.#warn(text),
      });
    } catch (error) {
      this.#abandon();
      throw error;
    }
  }

  #makeConnector(): Connector {
    const isClosed = (): boolean => this.#closed !== undefined;
    return new Connector({
      reactor: this.reactor,
      memory: this.memory,
      plan: this.#plan,
      clock: this.clock,
      settings: this.#settings,
      encryption: this.#encryption,
      gate: this.#gate,
      descriptors: this.#descriptors,
      directory: this,
      sourceFor: (far) => this.#listenAddresses.sourceFor(far),
      trace: this.#trace,
      recorder: this.recorder,
      timeline: this.#timeline,
      get isClosed() {
        return isClosed();
      },
      incomingSettings: () => this.peerSettings(undefined),
      strangerRefused: (address, error) => this.#tell("peerRefused", address, error),
      strangerClosed: ({ host, port, counters }, error) => {
        this.countersEnded(counters);
        if (error !== undefined) this.#tell("peerRefused", { host, port }, error);
      },
      heldChanged: () => this.#keepAlive(),
      warn: (text) => this.#warn(text),
    });
  }

  #tick(): void {
    const now = this.#wholeMs();
    this.clock.nowMs = now;
    const elapsedMs = now - this.#lastTickMs;
    this.#lastTickMs = now;
    this.#connector.tick(now, elapsedMs);
    for (const torrent of this.#torrents.values()) torrentCoreOf(torrent).tick(elapsedMs);
    this.#connector.dialMore(now);
    if (this.memory.pool.waiterCount > 0) this.memory.pool.wakeWaiters(1);
  }

  async #close(): Promise<void> {
    this.#tickTimer.close();
    this.#hideMetrics();
    this.#connector.closeListeners();
    const closings = await Promise.allSettled([...this.#torrents.values()].map((torrent) => torrent.close()));
    this.#connector.closeAll();
    await this.#finders.close();
    this.rateControl.close();
    await this.recorder?.close();
    await this.#timeline?.close();
    await this.reactor.idle();
    publishSession(this.userCalls, this.#emitter, "closed");
    // Listeners hear of the end while there is still memory that leases may lie in.
    await this.userCalls.flushed();
    this.memory.closed = true;
    this.reactor.close();
    for (const closing of closings) if (closing.status === "rejected") throw closing.reason;
  }
}
