// The indexer: it hears of hashes, claims them from its store in the order of the key space, looks them up, fetches their info dictionaries and
// stores what they say (Grunthal 2010).
//
//   others' queries ──▶ harvest ──▶ store ──claims──▶ cursors ──▶ jobs: lookup, fetch ──▶ outcomes ──▶ store
//
// One file, because it is the place where the parts above meet: it hands on, and stops one part when the next is full.
//
// Always: every queue is bounded. What cannot be written waits, and while it does no more is begun; it is told once, and tried again. A hash
// that is being worked on has a lease of ours, which close() gives back. Listeners are called when the turn is over that they are told of.

import { EventEmitter } from "node:events";
import { hostname } from "node:os";
import type { Timer } from "../base/ground.js";
import { scopeOf } from "../base/network-address.js";
import { check } from "../base/option-check.js";
import { KeptWarnings, UserCalls } from "../base/user-calls.js";
import { checkId } from "../dht/check-options.js";
import { Dht, type SampledNode } from "../dht/index.js";
import type { SocketAddress } from "../native/binding.js";
import { checkIndexerOptions, RETRY_MS_MAX } from "./check-options.js";
import { Cursors, type Stretch } from "./cursors.js";
import { MetadataFetcher } from "./fetch/metadata-fetcher.js";
import { foundTorrentOf } from "./found-torrent.js";
import { Harvest } from "./harvest.js";
import { Job, type JobHost } from "./job.js";
import type {
  IndexerCounters,
  IndexerEvents,
  IndexerOptions,
  IndexerStats,
  IndexerWorld,
} from "./options.js";
import { Passive } from "./passive.js";
import {
  HASHES_MAX_DEFAULT,
  type IndexStore,
  type Outcome,
  type Retention,
  SETTLED_MAX_DEFAULT,
} from "./store/store.js";
import { StoreQueue } from "./store-queue.js";
import { systemIndexerWorld } from "./world.js";

const TURN_MS = 100;
const LEASE_MS_DEFAULT = 5 * 60_000;
const LOOKUPS_PER_SOCKET = 3;
const CONNECTIONS_MAX = 200;
const INFO_BYTES_MAX = 10 * 2 ** 20;
const HASHES_MAX = 65_536;
/** Hashes that are worked on at once, those that wait for late answers or for their peers included. */
const JOBS_MAX = 2000;
const CLAIMS_AT_ONCE = 2;
/** For each lookup, so that there is always one in a part where none is under way; a power of two. */
const CURSORS_PER_LOOKUP = 4;
const CURSORS_MAX = 1024;
/** A part of the key space where nothing waited is left alone for so long; the more of them the longer, since each look is a call. */
const REST_MS = 4000;
const REST_CURSORS = 64;
/** Nodes that are known before lookups begin; in a network that has fewer, when so long has passed. */
const CONTACTS_MIN = 8;
const CONTACTS_MS = 10_000;
const RETRY_MS_DEFAULT = 3_600_000;
/** Nobody answered at all: the link is down, and the hash is not to blame. Or only a sampler was asked. */
const SOON_MS = 60_000;
/** Hashes of which is known which node told of them. */
const SAMPLERS_MAX = 20_000;
const PRUNE_MS = 60_000;
const RETENTION_DEFAULT: Retention = { hashesMax: HASHES_MAX_DEFAULT, settledMax: SETTLED_MAX_DEFAULT };
const CLOSE_MS = 10_000;
/** Listened at, they stand for all addresses of the machine. */
const ANYWHERE: readonly string[] = ["0.0.0.0", "::"];

/** Finds out which torrents there are: collects hashes, looks up who has them, fetches their info dictionaries, and keeps them in a store. */
export class Indexer extends EventEmitter<IndexerEvents> {
  /** Names this indexer in the store. */
  readonly owner: string;
  readonly #userCalls = new UserCalls();
  readonly #warnings = new KeptWarnings(this, this.#userCalls);
  readonly #world: IndexerWorld;
  readonly #store: IndexStore;
  readonly #options: IndexerOptions;
  readonly #dht: Dht;
  readonly #fetcher: MetadataFetcher;
  readonly #harvest: Harvest;
  readonly #passive: Passive;
  readonly #cursors: Cursors;
  readonly #queue: StoreQueue;
  readonly #jobs = new Map<string, Job>();
  /** Of hashes that are claimed and not begun: how often they were tried. */
  readonly #attempts = new Map<string, number>();
  readonly #samplers = new Map<string, SampledNode>();
  readonly #counters: IndexerCounters = {
    hashesSeen: 0,
    hashesDropped: 0,
    hashesNew: 0,
    claimed: 0,
    lookups: 0,
    lookupsConverged: 0,
    lookupsOver: 0,
    shortcuts: 0,
    hashesWithPeers: 0,
    peers: 0,
    stored: 0,
    unusable: 0,
    privateLeftOut: 0,
    failed: 0,
    lost: 0,
    passive: 0,
    addressesTold: 0,
    storeFailures: 0,
  };
  readonly #lookupsMax: number;
  /** All of the network is on this machine. */
  readonly #isLocal: boolean;
  readonly #timer: Timer;
  #slotsUsed = 0;
  #claiming = 0;
  /** Lookups that may begin now, where they are limited by time. */
  #tokens = 0;
  readonly #startedMs: number;
  #isConnected = false;
  #turnMs: number;
  #prunedMs: number;
  #prunes = false;
  #listenAddress: SocketAddress | undefined;
  #closed: Promise<void> | undefined;

  /** Throws UsageError: USAGE_OPTION, LISTEN_FAILED, ADDON_MISSING. It begins at once. */
  constructor(options: IndexerOptions, world: IndexerWorld = systemIndexerWorld()) {
    super();
    checkIndexerOptions(options);
    this.#options = options;
    this.#world = world;
    this.#store = options.store;
    const { ground } = world.dht;
    this.owner =
      options.owner ?? `${hostname()} ${process.pid} ${Math.floor(ground.random() * 2 ** 32).toString(36)}`;
    this.#harvest = new Harvest(ground, HASHES_MAX);
    this.#passive = new Passive(ground);
    this.#queue = new StoreQueue(this.#store, this.owner, this.#harvest, this.#counters, ground, (text) =>
      this.#warn(text),
    );
    this.#queue.done = (outcome, counts) => this.#stored(outcome, counts);
    const listen = options.dht?.listen ?? [{ host: "0.0.0.0", port: 0 }];
    this.#lookupsMax = options.lookupsMax ?? LOOKUPS_PER_SOCKET * listen.length;
    const cursors = 2 ** Math.ceil(Math.log2(Math.min(CURSORS_MAX, CURSORS_PER_LOOKUP * this.#lookupsMax)));
    this.#cursors = new Cursors({ cursors, restMs: REST_MS * Math.max(1, cursors / REST_CURSORS) });
    this.#isLocal =
      options.dht?.limitsNetworks === undefined ? isOfThisMachine(listen) : !options.dht.limitsNetworks;
    this.#fetcher = new MetadataFetcher(
      {
        connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
        infoBytesMax: options.infoBytesMax ?? INFO_BYTES_MAX,
        isLocal: this.#isLocal,
        wants: (infoHash) => this.#passive.has(infoHash, 0),
        ended: (infoHash, info) => this.#fetched(infoHash, info),
        warn: (text) => this.#warn(text),
      },
      world.peers,
    );
    try {
      if (options.listen !== undefined) this.#listenAddress = this.#fetcher.listen(options.listen);
      this.#dht = new Dht(
        {
          ...options.dht,
          listen,
          ...(options.collects === false ? {} : { hashes: this.#harvest }),
          ...(this.#listenAddress === undefined
            ? {}
            : { inject: (query, family) => this.#passive.inject(query, family) }),
        },
        world.dht,
      );
    } catch (error) {
      void this.#fetcher.close();
      throw error;
    }
    this.#startedMs = this.#turnMs = this.#prunedMs = ground.nowMs();
    this.#timer = ground.every(TURN_MS, () => this.#turn());
    if (options.samples !== false) void this.#sample();
  }

  /** Where each virtual node of the DHT receives. */
  get addresses(): SocketAddress[] {
    return this.#dht.addresses;
  }

  /** Where peers may connect to, or undefined. */
  get listenAddress(): SocketAddress | undefined {
    return this.#listenAddress;
  }

  /** Tells the DHT of more nodes to begin with. Throws UsageError. */
  addNodes(nodes: readonly SocketAddress[]): void {
    this.#dht.addNodes(nodes);
  }

  /** The nodes that are known, for `dht.saved` of a later run; once it is closed, those that were known then. */
  save(): Uint8Array {
    return this.#dht.save();
  }

  /** Hashes of 20 bytes that are wanted in the index: they wait for their turn with all others. Throws UsageError for what is none. */
  add(infoHashes: Iterable<Uint8Array>): void {
    check(typeof infoHashes?.[Symbol.iterator] === "function", "info hashes are an array", infoHashes);
    for (const infoHash of infoHashes) {
      checkId(infoHash);
      this.#harvest.add(infoHash);
    }
  }

  /** What is under way, and what was counted since the indexer was made; new objects each time. */
  stats(): IndexerStats {
    const { count, connections, counters } = this.#fetcher;
    return {
      counters: {
        ...this.#counters,
        hashesSeen: this.#harvest.seen,
        hashesDropped: this.#harvest.dropped,
        addressesTold: this.#passive.injected,
      },
      fetcher: { ...counters },
      dht: this.#dht.stats(),
      lookupsUnderWay: this.#jobs.size,
      fetchesUnderWay: count,
      connections,
      hashesWaiting: this.#harvest.count,
      outcomesWaiting: this.#queue.outcomes,
    };
  }

  /** Writes what was found, gives back what was claimed, and ends. The store stays open. Never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  // ── JobHost, of which the published types say nothing ───────────────────────────────────────────────────────────

  /** @internal */
  fetch(infoHash: Uint8Array): ReturnType<JobHost["fetch"]> {
    return this.#fetcher.fetch(infoHash);
  }

  /** @internal */
  converged(job: Job): void {
    this.#slotsUsed--;
    this.#counters.lookupsConverged++;
    this.#cursors.done(job.infoHash);
    this.#beginLookups();
  }

  /** @internal */
  ended(job: Job, info: Uint8Array | undefined): void {
    const { infoHash, attempts, answers, peers, queries, isShort } = job;
    if (isShort) this.#counters.shortcuts++;
    this.#jobs.delete(keyOf(infoHash));
    const counters = this.#counters;
    counters.lookupsOver++;
    counters.peers += peers;
    if (peers > 0) counters.hashesWithPeers++;
    this.#queue.queries += queries;
    if (this.#closed !== undefined && info === undefined) return;
    if (info !== undefined) this.#found(infoHash, info);
    else this.#failed(infoHash, answers === 0 || isShort ? SOON_MS : this.#retryMs(attempts));
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #turn(): void {
    const nowMs = this.#world.dht.ground.nowMs();
    const { lookupsPerSecond = Number.POSITIVE_INFINITY } = this.#options;
    const earned = ((nowMs - this.#turnMs) * lookupsPerSecond) / 1000;
    this.#tokens = Math.min(Math.max(1, lookupsPerSecond), this.#tokens + earned);
    this.#turnMs = nowMs;
    let contacts = 0;
    for (const { table } of this.#dht.overlays.values()) contacts += table.count;
    this.#isConnected = contacts >= CONTACTS_MIN || (contacts > 0 && nowMs - this.#startedMs >= CONTACTS_MS);
    this.#tellPassive();
    this.#queue.turn(nowMs);
    this.#claim();
    this.#beginLookups();
    if (nowMs - this.#prunedMs >= PRUNE_MS) this.#prune(nowMs);
  }

  /** Where peers reach us: at an address of ours that is a public one; else at the one that the DHT sees us at. */
  #tellPassive(): void {
    if (this.#listenAddress === undefined) return;
    const { host, port } = this.#listenAddress;
    const family = familyOf(host);
    const ours = ANYWHERE.includes(host) ? this.#dht.addresses.map((address) => address.host) : [host];
    const reached = ours.find((each) => familyOf(each) === family && this.#isReachable(each));
    this.#passive.endpointIs(reached ?? this.#dht.overlays.get(family)?.externalAddress.host, port);
  }

  #isReachable(host: string): boolean {
    const scope = scopeOf(host);
    return scope === "global" || (scope === "machine" && this.#isLocal);
  }

  get #isHeldUp(): boolean {
    return this.#closed !== undefined || this.#queue.isFull || !this.#isConnected;
  }

  #claim(): void {
    const { nowMs } = this.#world.dht.ground;
    while (
      this.#claiming < CLAIMS_AT_ONCE &&
      this.#cursors.queued < 2 * this.#lookupsMax &&
      !this.#isHeldUp
    ) {
      const stretch = this.#cursors.wanted(nowMs());
      if (stretch === undefined) return;
      this.#claiming++;
      void this.#claimStretch(stretch);
    }
  }

  async #claimStretch(stretch: Stretch): Promise<void> {
    const { ground } = this.#world.dht;
    const { from, to, count } = stretch;
    const claims = await this.#queue.call((store) =>
      store.claim({ owner: this.owner, from, to, count, leaseMs: this.#options.leaseMs ?? LEASE_MS_DEFAULT }),
    );
    this.#claiming--;
    if (claims === undefined) {
      this.#cursors.unclaimed(stretch, ground.nowMs());
      return;
    }
    this.#counters.claimed += claims.length;
    for (const { infoHash, attempts } of claims) this.#attempts.set(keyOf(infoHash), attempts);
    this.#cursors.claimed(
      stretch,
      claims.map(({ infoHash }) => infoHash),
      ground.nowMs(),
    );
    if (this.#closed !== undefined) return;
    this.#beginLookups();
    this.#claim();
  }

  #beginLookups(): void {
    while (
      this.#slotsUsed < this.#lookupsMax &&
      this.#jobs.size < JOBS_MAX &&
      this.#tokens >= 1 &&
      !this.#isHeldUp
    ) {
      const infoHash = this.#cursors.take();
      if (infoHash === undefined) return;
      const key = keyOf(infoHash);
      const attempts = this.#attempts.get(key) ?? 0;
      this.#attempts.delete(key);
      // Its lease ended while it was worked on, and it was claimed again.
      if (this.#jobs.has(key)) {
        this.#cursors.done(infoHash);
        continue;
      }
      this.#tokens--;
      this.#slotsUsed++;
      this.#counters.lookups++;
      this.#queue.lookups++;
      const job = new Job(this, infoHash, attempts);
      this.#jobs.set(key, job);
      const sampler = this.#samplers.get(key);
      if (sampler !== undefined) this.#samplers.delete(key);
      job.begin(this.#dht.overlays.values(), sampler);
    }
  }

  /** What nodes say that they keep (BEP 51), until the DHT is closed. */
  async #sample(): Promise<void> {
    const { ground } = this.#world.dht;
    for await (const { infoHashes, node } of this.#dht.sample()) {
      for (const infoHash of infoHashes) {
        this.#harvest.add(infoHash);
        this.#samplers.set(keyOf(infoHash), node);
      }
      for (const oldest of this.#samplers.keys()) {
        if (this.#samplers.size <= SAMPLERS_MAX) break;
        this.#samplers.delete(oldest);
      }
      while (this.#harvest.isCrowded && this.#closed === undefined)
        await new Promise<void>((resolve) => ground.after(TURN_MS, resolve));
    }
  }

  #fetched(infoHash: Uint8Array, info: Uint8Array | undefined): void {
    this.#queue.fetches++;
    const job = this.#jobs.get(keyOf(infoHash));
    if (job !== undefined) job.fetchEnded(info);
    else if (info !== undefined) {
      this.#counters.passive++;
      this.#found(infoHash, info);
    }
  }

  #found(infoHash: Uint8Array, info: Uint8Array): void {
    const torrent = foundTorrentOf(infoHash, info);
    const isLeftOut = torrent?.isPrivate === true && this.#options.keepsPrivate !== true;
    if (isLeftOut) this.#counters.privateLeftOut++;
    if (torrent === undefined || isLeftOut) this.#queue.add({ kind: "unusable", infoHash });
    else this.#queue.add({ kind: "fetched", torrent });
    if (this.#passive.forget(infoHash)) this.#fetcher.expect(infoHash, false);
  }

  #failed(infoHash: Uint8Array, retryMs: number): void {
    this.#queue.add({ kind: "failed", infoHash, retryMs });
    if (this.#listenAddress === undefined) return;
    for (const forgotten of this.#passive.add(infoHash)) this.#fetcher.expect(forgotten, false);
    this.#fetcher.expect(infoHash, true);
  }

  /** Ever longer, and not all at once. */
  #retryMs(attempts: number): number {
    const spread = 0.9 + 0.2 * this.#world.dht.ground.random();
    const { retryMs = RETRY_MS_DEFAULT } = this.#options;
    return Math.trunc(Math.min(RETRY_MS_MAX, retryMs * 2 ** Math.min(attempts, 16)) * spread);
  }

  #stored(outcome: Outcome, counts: boolean): void {
    const counters = this.#counters;
    if (!counts) {
      counters.lost++;
      return;
    }
    if (outcome.kind === "failed") counters.failed++;
    else if (outcome.kind === "unusable") counters.unusable++;
    else {
      counters.stored++;
      const { infoHash, name, bytes, fileCount } = outcome.torrent;
      if (this.listenerCount("torrent") === 0) return;
      const hex = Buffer.from(infoHash).toString("hex");
      this.#userCalls.tell(this, "torrent", [{ infoHash: hex, name, bytes, fileCount }]);
    }
  }

  #prune(nowMs: number): void {
    if (this.#prunes || this.#closed !== undefined) return;
    this.#prunes = true;
    this.#prunedMs = nowMs;
    void this.#queue
      .call((store) => store.prune({ ...RETENTION_DEFAULT, ...this.#options.retention }))
      .then((pruned) => {
        this.#prunes = false;
        if (pruned?.isOver === false) this.#prune(nowMs);
      });
  }

  async #close(): Promise<void> {
    this.#timer.close();
    for (const job of [...this.#jobs.values()]) job.end(undefined);
    this.#dht.close();
    await this.#fetcher.close();
    const written = this.#queue.flushAll().then(() => this.#store.release(this.owner));
    // A store that does not answer keeps nobody: what is claimed comes back when its leases end.
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.#world.dht.ground.after(CLOSE_MS, resolve);
    });
    await Promise.race([written, late]).catch((error: Error) => this.#warn(error.message));
    timer?.close();
  }

  #warn(text: string): void {
    this.#warnings.tell(text);
  }
}

function familyOf(host: string): 4 | 6 {
  return host.includes(":") ? 6 : 4;
}

function isOfThisMachine([first]: readonly SocketAddress[]): boolean {
  return first !== undefined && (first.host.startsWith("127.") || first.host === "::1");
}

function keyOf(infoHash: Uint8Array): string {
  return Buffer.from(infoHash.buffer, infoHash.byteOffset, infoHash.length).toString("latin1");
}
