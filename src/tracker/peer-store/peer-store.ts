// The swarms of a tracker, in memory: which peers each torrent has. No sockets, timers or clocks: time is told, dice and keys
// are handed in.
//
//   index ──▶ record of 32 bytes, side by side without gaps
//             │ info hash 20 │ one IPv4 peer: address 4, port 2, state 1, 0 │ downloads 4, first bit set │
//             │ info hash 20 │ swarm of IPv4 4, swarm of IPv6 4             │ downloads 4                │ ──▶ blocks of peers
//
// Most torrents of a public tracker have one peer: it stands in the record, and costs 32 bytes and its share of the index.
//
// Always: a record has a peer, and an entry in the index. Memory is bounded by `bytesMax`, whoever sends what. Expiry looks at
// records one after the other, a bounded number at each advance(), however many there are.
//
// One file, because the layout of a record is known here only, and whatever changes one keeps the same counts.

import { assert } from "../../base/assert.js";
import { halfSipHash } from "../../base/keyed-hash.js";
import { checkOption, checkOptions } from "../../base/option-check.js";
import { AddressBudget, budgetBytes, isLoopback } from "./address-budget.js";
import { AheadFindings, LOOK_AHEAD_STEPS, type Prefetch } from "./ahead-findings.js";
import {
  type AdoptingStore,
  AHEAD_MAX,
  type Announce,
  type AnnouncesAhead,
  EVENT_COMPLETED,
  EVENT_STOPPED,
  type PeerSink,
  type SwarmBrowser,
  type SwarmCounters,
  type SwarmStore,
  type SwarmTotals,
} from "./contract.js";
import { PAGE_BYTES, Pages } from "./pages.js";
import { TICKS } from "./peer-buckets.js";
import { type Populate, PopulatedAhead } from "./populated-ahead.js";
import { PEER_STORE_OPTIONS } from "./store-options.js";
import { Swarms, swarmBlockWords } from "./swarms.js";
import { TablesAhead } from "./tables-ahead.js";
import { makeIndexMemory, TorrentIndex } from "./torrent-index.js";

/** The bounds of a store, and what it stands on. Numbers that are out of range throw UsageError. */
export interface PeerStoreOptions {
  /** Memory for everything, in bytes; what was not heard of for longest makes room for what is new. */
  readonly bytesMax?: number;
  /** Torrents at the most, 2^24 − 1 by default; the oldest of eight makes room for a new one. */
  readonly torrentsMax?: number;
  /** Of each family. */
  readonly peersPerTorrentMax?: number;
  /** How long a peer is kept that announces no more, in milliseconds, to 1/32 of it. */
  readonly lifetimeMs?: number;
  /** How long one round of expiry takes, in milliseconds; that much later than its lifetime a peer may be dropped. */
  readonly collectMs?: number;
  /** New torrents that one address (IPv6: /64; a /48 eight times as many) may bring in a minute; undefined or 0: any number. */
  readonly newTorrentsPerMinute?: number;
  /** Torrents that what one address brings may push out in a minute, once there is no room; undefined or 0: any number. */
  readonly evictionsPerMinute?: number;
  /**
   * Peers that one address may add to a torrent in a lifetime, besides the first one of the torrent; an address of loopback any number.
   * Undefined or 0: any number.
   */
  readonly peersPerAddressMax?: number;
  /** 4 words that nobody else knows. */
  readonly key: Uint32Array;
  /** Numbers from 0 to below 1; asked once. */
  readonly random?: () => number;
  /** Memory that is not touched yet: zeros, and as large as asked for. For memory with large pages. */
  readonly reserve?: (bytes: number) => ArrayBuffer | SharedArrayBuffer;
  /** Gives memory of `reserve` back that holds zeros only, and is zeros when it is touched again; without it, it stays this process's. */
  readonly release?: (memory: Uint8Array) => void;
  /** Brings memory near before it is needed, for whoever has better means than loading it. It pays for batches of some dozens. */
  readonly prefetch?: Prefetch;
  /**
   * Has memory of `reserve` found on another thread before the store touches it, some MiB ahead of what is in use; without it, whoever
   * announces may wait for the machine. What was populated and is not used yet counts as touched, and not against `bytesMax`.
   */
  readonly populate?: Populate;
  /** This store is a part of swarms that threads share (parted-swarms.ts). */
  readonly part?: SharedPart;
}

/** What a part of parted swarms has in common with the others. */
export interface SharedPart {
  /** How many parts there are. */
  readonly parts: number;
  /** Asked the same in the same order by whoever opens this part: with memory that is zeros for the first one. All that changes is in it. */
  readonly reserve: (bytes: number) => SharedArrayBuffer;
  /** Of this thread. */
  readonly counters: SwarmCounters;
  readonly found: AheadFindings;
  /** Advanced by whoever advances the swarms. */
  readonly budgets: AddressBudgets;
}

/** Of all torrents. */
export interface AddressBudgets {
  readonly newTorrents: AddressBudget | undefined;
  readonly evictions: AddressBudget | undefined;
}

export const BYTES_MAX_DEFAULT = 2 ** 30;
export const TORRENTS_MAX_DEFAULT = 2 ** 24 - 1;
export const PEERS_PER_TORRENT_MAX_DEFAULT = 2 ** 26;
export const LIFETIME_MS_DEFAULT = 16 * 60_000;
export const COLLECT_MS_DEFAULT = 2 * 60_000;

const RECORD_WORDS = 8;
const RECORD_BYTES = 4 * RECORD_WORDS;
const PEER_AT = 5;
const SWARM_V4_AT = 5;
const SWARM_V6_AT = 6;
const DOWNLOADS_AT = 7;
const INLINE = 0x80000000;
const DOWNLOADS_MAX = 0x7fffffff;
const SEEDER = 0x80;
/** Ticks of a lifetime. The tick of a peer goes round once in TICKS, four lifetimes: in which expiry has looked at it many times. */
const LIFETIME_TICKS = 32;
/** What a region may have: Node's buffers end a little below 4 GiB. */
const REGION_BYTES_MAX = 2 ** 32 - 2 ** 20;
/** Records that are looked at to find one that was not heard of for long. */
const EVICTION_SAMPLES = 8;
/** Torrents that one new peer may push out before it is refused. */
const EVICTIONS_PER_PEER_MAX = 8;
/** Steps of expiry that a record has at the most, and a page of blocks: those of large swarms are large. */
const STEPS_PER_RECORD = 2;
const STEPS_PER_PAGE = 32;
/** Buckets of large swarms that were given up, of each family: freed by an announce that finds no room, and by an advance() at the most. */
const OWED_PER_ANNOUNCE = 32;
const OWED_PER_ADVANCE_MAX = 512;
/** What one advance() may do at the most: a record that is looked at is 1, one that is removed 16, each peer of a bucket 1/8. */
const WORK_PER_ADVANCE_MAX = 2048;
// What `#state` holds: records, and the most that ever were; peers; the dice; the tick. Expiry goes down from the last record to the
// first: this one is next, this swarm of it, and this entry of its directory. Of each family, the large swarm that was given up last.
const COUNT = 0;
const COUNT_MOST = 1;
const PEERS_V4 = 2;
const PEERS_V6 = 3;
const DICE = 4;
const TICK = 5;
const CURSOR = 6;
const CURSOR_SWARM = 7;
const CURSOR_ENTRY = 8;
const OWED_V4 = 9;
const OWED_V6 = 10;
const STATE_WORDS = 11;
// What `#clock` holds: the time that was told last, and steps of expiry that are due.
const NOW_MS = 0;
const STEPS_OWED = 1;
const CLOCK_NUMBERS = 2;
const IN_ORDER = Uint16Array.from({ length: AHEAD_MAX }, (_, index) => index);
const SHARE_CELL_BITS_MAX = 20;
/** Half a large page: of records, 32,768 torrents that nobody has heard of. */
const POPULATED_AHEAD_BYTES = 2 ** 20;
const HASH_ROUNDS = 1;
const HASH_FINAL_ROUNDS = 3;

/** Whoever asks for no peers is told of none. */
const NOBODY: PeerSink = { words: new Uint32Array(0), halves: new Uint16Array(0), at: 0 };

/**
 * Swarms in memory: some 39 bytes for a torrent with one peer, 10 to 11 for an IPv4 peer of a large swarm. It opens nothing and waits for nothing: whoever
 * owns it tells it the time by advance().
 */
export class PeerStore implements SwarmStore, SwarmBrowser, AdoptingStore {
  /** Of the torrent of the last announce or scrape; see SwarmStore. */
  seeders = 0;
  /** See `seeders`: peers that are none. */
  leechers = 0;
  /** See `seeders`: downloads that were completed since the torrent came. */
  downloads = 0;
  /** What happened since the start. Live: they go on counting. */
  readonly counters: SwarmCounters;
  readonly #records: Uint32Array;
  readonly #recordHalves: Uint16Array;
  readonly #recordsMax: number;
  readonly #bytesMax: number;
  readonly #pages: Pages;
  readonly #v4: Swarms;
  readonly #v6: Swarms;
  readonly #index: TorrentIndex;
  readonly #tablesAhead: TablesAhead | undefined;
  readonly #recordsAhead: PopulatedAhead | undefined;
  readonly #pagesAhead: PopulatedAhead | undefined;
  readonly #key: Uint32Array;
  readonly #budgets: AddressBudgets;
  readonly #ownsBudgets: boolean;
  /** Of each torrent: peers that an address may add to it. */
  readonly #shares: AddressBudget | undefined;
  /** Of the announce under way: its address's family, and the hash of its torrent. */
  #family: 4 | 6 = 4;
  #hash = 0;
  readonly #tickMs: number;
  readonly #collectMs: number;
  readonly #workPerAdvanceMax: number;
  readonly #owedPerAdvance: number;
  /** Numbers that change, by the names above: in memory that threads may share. */
  readonly #state: Int32Array;
  readonly #clock: Float64Array;
  /** The endpoint of the announce under way: address and port, as in packets. */
  readonly #endpointWords = new Uint32Array(5);
  readonly #endpoint = new Uint16Array(this.#endpointWords.buffer);
  /** An endpoint that moves from its record to a swarm. */
  readonly #moved = new Uint16Array(3);
  readonly #found: AheadFindings;
  /** The tick that is written for a peer: the time's, or an earlier one while another tracker's announce is taken in. */
  #heardTick = 0;
  #isAdopting = false;

  constructor(options: PeerStoreOptions) {
    checkOptions(PEER_STORE_OPTIONS, options, "a store of peers");
    const { lifetimeMs = LIFETIME_MS_DEFAULT, torrentsMax = TORRENTS_MAX_DEFAULT } = options;
    this.#collectMs = options.collectMs ?? COLLECT_MS_DEFAULT;
    checkOption("collectMs", { kind: "whole", min: 1, max: lifetimeMs }, this.#collectMs);
    this.#tickMs = lifetimeMs / LIFETIME_TICKS;
    this.#bytesMax = options.bytesMax ?? BYTES_MAX_DEFAULT;
    const peersMax = options.peersPerTorrentMax ?? PEERS_PER_TORRENT_MAX_DEFAULT;
    const { part } = options;
    const reserve = part?.reserve ?? options.reserve ?? ((bytes: number) => new ArrayBuffer(bytes));
    const small = part?.reserve ?? ((bytes: number) => new ArrayBuffer(bytes));
    this.#workPerAdvanceMax = Math.ceil(WORK_PER_ADVANCE_MAX / (part?.parts ?? 1));
    this.#owedPerAdvance = Math.ceil(OWED_PER_ADVANCE_MAX / (part?.parts ?? 1));
    this.#state = new Int32Array(small(4 * STATE_WORDS), 0, STATE_WORDS);
    this.#clock = new Float64Array(small(8 * CLOCK_NUMBERS), 0, CLOCK_NUMBERS);
    this.counters = part?.counters ?? makeSwarmCounters();
    this.#found = part?.found ?? new AheadFindings(options.prefetch);
    const recordBytes = Math.min(torrentsMax * RECORD_BYTES, this.#bytesMax, REGION_BYTES_MAX);
    const records = reserve(recordBytes);
    this.#records = new Uint32Array(records, 0, Math.floor(recordBytes / RECORD_BYTES) * RECORD_WORDS);
    this.#recordHalves = new Uint16Array(records);
    this.#recordsMax = this.#records.length / RECORD_WORDS;
    this.#key = options.key.slice(0, 2);
    const endpointKey = options.key.slice(2, 4);
    const sizes = [...swarmBlockWords(3), ...swarmBlockWords(9)];
    const pageBytes = Math.min(Math.ceil(this.#bytesMax / PAGE_BYTES + 1) * PAGE_BYTES, REGION_BYTES_MAX);
    const pages = reserve(pageBytes);
    this.#pages = new Pages(pages, sizes, small);
    const mayAdd = (): boolean => this.#mayAdd();
    const owed = (name: number): Int32Array => this.#state.subarray(name, name + 1);
    const firstSizeV6 = swarmBlockWords(3).length;
    this.#v4 = new Swarms(this.#pages, 3, 0, peersMax, endpointKey, mayAdd, owed(OWED_V4));
    this.#v6 = new Swarms(this.#pages, 9, firstSizeV6, peersMax, endpointKey, mayAdd, owed(OWED_V6));
    const indexMemory = makeIndexMemory(this.#recordsMax, small, reserve, options.release);
    this.#index = new TorrentIndex(this, this.#recordsMax, indexMemory);
    const { populate } = options;
    if (populate !== undefined) {
      const parts = part?.parts ?? 1;
      this.#recordsAhead = new PopulatedAhead(records, POPULATED_AHEAD_BYTES, populate, parts);
      this.#pagesAhead = new PopulatedAhead(pages, POPULATED_AHEAD_BYTES, populate, parts);
      this.#tablesAhead = new TablesAhead(this.#index, indexMemory, populate, parts);
    }
    this.#ownsBudgets = part === undefined;
    this.#budgets = part === undefined ? makeAddressBudgets(options) : part.budgets;
    this.#shares = makeShares(options, this.#bytesMax, lifetimeMs, small);
    if (this.#state[DICE] === 0) this.#state[DICE] = Math.floor((options.random?.() ?? 0.5) * 2 ** 31) | 1;
  }

  /** Before anything else is called, once another thread may have used the same memory. */
  refresh(): void {
    this.#index.refresh();
    this.#seeTime();
  }

  #seeTime(): void {
    const tick = this.#state[TICK]!;
    this.#heardTick = tick;
    this.#v4.now = tick;
    this.#v6.now = tick;
  }

  /** Forgets all torrents, whatever state the memory is in. */
  clear(): void {
    const emptied = [COUNT, PEERS_V4, PEERS_V6, CURSOR, CURSOR_SWARM, CURSOR_ENTRY, OWED_V4, OWED_V6];
    for (const name of emptied) this.#state[name] = 0;
    this.#clock[STEPS_OWED] = 0;
    this.#index.clear();
    this.#pages.clear();
    this.#boundPages(0);
  }

  /** How much there is now. Cold: it makes an object. */
  totals(): SwarmTotals {
    const shared = this.#index.bytes + this.#budgetBytes;
    return {
      torrents: this.#state[COUNT]!,
      peersV4: this.#state[PEERS_V4]!,
      peersV6: this.#state[PEERS_V6]!,
      bytes: shared + this.#state[COUNT]! * RECORD_BYTES + this.#pages.inUse * PAGE_BYTES,
      bytesTouched:
        shared +
        (this.#tablesAhead?.bytes ?? 0) +
        Math.max(this.#state[COUNT_MOST]! * RECORD_BYTES, this.#recordsAhead?.bytes ?? 0) +
        Math.max((this.#pages.touched - 1) * PAGE_BYTES, this.#pagesAhead?.bytes ?? 0),
    };
  }

  /** What several share is not counted here. */
  get #budgetBytes(): number {
    const shares = this.#shares === undefined ? 0 : this.#shares.bytes;
    if (!this.#ownsBudgets) return shares;
    const { newTorrents, evictions } = this.#budgets;
    return shares + (newTorrents?.bytes ?? 0) + (evictions?.bytes ?? 0);
  }

  hash(words: Uint32Array, at: number): number {
    return halfSipHash(HASH_ROUNDS, HASH_FINAL_ROUNDS, this.#key, words, at, 5);
  }

  /** For the index, which moves entries by it. */
  hashOf(record: number): number {
    return this.hash(this.#records, record * RECORD_WORDS);
  }

  /**
   * A processor waits for many lines at once, if they do not depend on each other. So what all announces need is fetched together, a
   * step at a time: entries of the index, records, swarms, the buckets of the large ones, then what is in the buckets.
   */
  lookAhead(announces: AnnouncesAhead): void {
    const { count } = announces;
    assert(count <= AHEAD_MAX, "there is room for what is found of each announce");
    for (let step = 0; step < LOOK_AHEAD_STEPS; step++) this.look(step, announces, IN_ORDER, 0, count);
  }

  /**
   * One step of lookAhead(), for the announces that entries `from` to before `to` of `order` name. Each is a loop of few instructions
   * that names what the next one reads. Steps read what another thread may be changing, and believe none of it: what they found is looked
   * at again when it is used.
   */
  look(step: number, announces: AnnouncesAhead, order: Uint16Array, from: number, to: number): void {
    const found = this.#found;
    const swarms = announces.family === 4 ? this.#v4 : this.#v6;
    switch (step) {
      case 0:
        this.#index.touch(announces.hashes, found, order, from, to);
        break;
      case 1:
        this.#index.candidates(announces.hashes, found, order, from, to, this.#records);
        break;
      case 2:
        this.#lookAtSwarms(announces.family, order, from, to);
        break;
      case 3:
        swarms.lookAtDirectories(announces, found, order, from, to);
        break;
      case 4:
        swarms.lookAtBuckets(found, order, from, to);
        break;
      case 5:
        swarms.buckets.lookInto(announces, found, order, from, to);
        break;
      case 6:
        swarms.lookAtNext(announces, found, order, from, to);
        break;
      case 7:
        swarms.buckets.lookIntoNext(announces, found, order, from, to);
        break;
      default:
        swarms.buckets.lookAtPeers(announces, found, order, from, to);
    }
  }

  #lookAtSwarms(family: 4 | 6, order: Uint16Array, from: number, to: number): void {
    const records = this.#records;
    const { records: found, own, runs } = this.#found;
    const swarmAt = family === 4 ? SWARM_V4_AT : SWARM_V6_AT;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const record = found[index]!;
      const at = record * RECORD_WORDS;
      const swarm =
        record < 0 || (records[at + DOWNLOADS_AT]! & INLINE) !== 0 ? 0 : records[at + swarmAt]! | 0;
      own[index] = swarm;
      if (swarm === 0) continue;
      runs[end++] = swarm;
      runs[end++] = 1;
    }
    this.#found.fetch(this.#pages.words, end);
  }

  announce(hash: number, request: Announce, sink: PeerSink): number {
    this.#setEndpoint(request.family, request.address, request.addressAt, request.port);
    this.#family = request.family;
    this.#hash = hash;
    const record = this.#recordOf(hash, request);
    if (record < 0) {
      this.#report(0, 0, 0);
      if (request.event !== EVENT_STOPPED) this.#addTorrent(hash, request);
      return 0;
    }
    const at = record * RECORD_WORDS;
    if ((this.#records[at + DOWNLOADS_AT]! & INLINE) !== 0) {
      if (request.family === 4 && this.#isInlinePeer(at)) return this.#renewInline(hash, record, request);
      if (request.event === EVENT_STOPPED) return this.#reportInline(at, request.family);
      if (!this.#spread(at)) {
        this.counters.peersRefused++;
        return this.#reportInline(at, request.family);
      }
    }
    return request.event === EVENT_STOPPED
      ? this.#stop(hash, record, request)
      : this.#renew(hash, record, request, sink);
  }

  #recordOf(hash: number, { ahead, hash: words, hashAt }: Announce): number {
    const record = ahead < 0 ? -1 : this.#found.records[ahead]!;
    if (record >= 0 && record < this.#state[COUNT]!) {
      const at = record * RECORD_WORDS;
      const records = this.#records;
      if (
        records[at] === words[hashAt] &&
        records[at + 1] === words[hashAt + 1] &&
        records[at + 2] === words[hashAt + 2] &&
        records[at + 3] === words[hashAt + 3] &&
        records[at + 4] === words[hashAt + 4]
      )
        return record;
    }
    return this.#index.find(hash, words, hashAt, this.#records);
  }

  /**
   * An age is written as it was told, even over a later one: of a peer that was heard here since, an old announce makes a peer that goes
   * a little sooner.
   */
  adopt(hash: number, request: Announce, ageMs: number): void {
    const ticks = Math.floor(ageMs / this.#tickMs);
    if (ticks > LIFETIME_TICKS) return;
    this.#heardTick = (this.#state[TICK]! - ticks) & (TICKS - 1);
    this.#isAdopting = true;
    this.announce(hash, request, NOBODY);
    this.#isAdopting = false;
    this.#heardTick = this.#state[TICK]!;
  }

  scrape(hash: number, words: Uint32Array, wordsAt: number): boolean {
    const record = this.#index.find(hash, words, wordsAt, this.#records);
    if (record < 0) {
      this.#report(0, 0, 0);
      return false;
    }
    const at = record * RECORD_WORDS;
    const downloads = this.#records[at + DOWNLOADS_AT]!;
    if ((downloads & INLINE) !== 0) {
      const seeders = (this.#records[at + PEER_AT + 1]! >>> 16) & SEEDER ? 1 : 0;
      this.#report(seeders, 1, downloads & DOWNLOADS_MAX);
      return true;
    }
    this.#v4.look(this.#records[at + SWARM_V4_AT]!);
    this.#v6.look(this.#records[at + SWARM_V6_AT]!);
    this.#report(this.#v4.seeders + this.#v6.seeders, this.#v4.peers + this.#v6.peers, downloads);
    return true;
  }

  copyHashes(from: number, count: number, words: Uint32Array): number {
    const copied = Math.max(0, Math.min(count, this.#state[COUNT]! - from));
    for (let index = 0; index < copied; index++)
      for (let word = 0; word < 5; word++)
        words[5 * index + word] = this.#records[(from + index) * RECORD_WORDS + word]!;
    return copied;
  }

  copyPeers(words: Uint32Array, wordsAt: number, family: 4 | 6, want: number, sink: PeerSink): number {
    const record = this.#index.find(this.hash(words, wordsAt), words, wordsAt, this.#records);
    if (record < 0 || want <= 0) return 0;
    const at = record * RECORD_WORDS;
    if ((this.#records[at + DOWNLOADS_AT]! & INLINE) === 0) {
      const swarms = family === 4 ? this.#v4 : this.#v6;
      swarms.forgetPlace();
      const swarm = this.#records[at + (family === 4 ? SWARM_V4_AT : SWARM_V6_AT)]!;
      return swarms.answer(swarm, false, want, this.#roll(), sink);
    }
    if (family === 6) return 0;
    assert(sink.at + 3 <= sink.halves.length, "an answer has room for its peers");
    for (let half = 0; half < 3; half++)
      sink.halves[sink.at++] = this.#recordHalves[2 * (at + PEER_AT) + half]!;
    return 1;
  }

  advance(nowMs: number): void {
    assert(nowMs >= 0, "the time is a number from 0 on");
    const elapsedMs = Math.max(0, nowMs - this.#clock[NOW_MS]!);
    this.#clock[NOW_MS] = nowMs;
    this.#state[TICK] = Math.floor(nowMs / this.#tickMs) % TICKS;
    this.#seeTime();
    if (this.#ownsBudgets) {
      this.#budgets.newTorrents?.advance(nowMs);
      this.#budgets.evictions?.advance(nowMs);
    }
    this.#shares?.advance(nowMs);
    this.#freeOwed(this.#owedPerAdvance);
    if (this.#state[COUNT]! === 0) return;
    this.#populateAhead();
    // A whole round each collectMs: a record is two steps at the most, and each bucket of a large swarm is one.
    const round = STEPS_PER_RECORD * this.#state[COUNT]! + STEPS_PER_PAGE * this.#pages.inUse;
    this.#clock[STEPS_OWED] = Math.min(
      this.#clock[STEPS_OWED]! + (round * elapsedMs) / this.#collectMs,
      round,
    );
    for (
      let work = 0;
      this.#clock[STEPS_OWED]! >= 1 && work < this.#workPerAdvanceMax && this.#state[COUNT]! > 0;
    ) {
      this.#clock[STEPS_OWED]!--;
      work += this.#expireNext();
    }
  }

  #populateAhead(): void {
    this.#tablesAhead?.advance();
    this.#recordsAhead?.advance(this.#state[COUNT_MOST]! * RECORD_BYTES);
    if (this.#pages.touched > 1) this.#pagesAhead?.advance(this.#pages.touched * PAGE_BYTES);
  }

  // Records

  #setEndpoint(family: 4 | 6, address: Uint32Array, at: number, port: number): void {
    const words = this.#endpointWords;
    words[0] = address[at]!;
    if (family === 4) {
      this.#endpoint[2] = port;
      return;
    }
    words[1] = address[at + 1]!;
    words[2] = address[at + 2]!;
    words[3] = address[at + 3]!;
    this.#endpoint[8] = port;
  }

  #report(seeders: number, peers: number, downloads: number): void {
    assert(seeders >= 0 && seeders <= peers, "no more peers are seeders than there are");
    this.seeders = seeders;
    this.leechers = peers - seeders;
    this.downloads = downloads;
  }

  /** Takes one of a budget of the address of the announce under way. Another tracker asked its own. */
  #take(budget: AddressBudget | undefined): boolean {
    return budget === undefined || this.#isAdopting || budget.take(this.#family, this.#endpointWords, 0);
  }

  /** Whether the address of the announce under way may add a peer to its torrent. */
  #mayAdd(): boolean {
    const endpoint = this.#endpointWords;
    const family = this.#family;
    if (this.#shares === undefined || this.#isAdopting || isLoopback(family, endpoint, 0)) return true;
    return this.#shares.take(family, endpoint, 0, this.#hash);
  }

  #addTorrent(hash: number, request: Announce): void {
    if (!this.#take(this.#budgets.newTorrents)) {
      this.counters.torrentsOverBudget++;
      return;
    }
    if (!this.#makeRoom()) return;
    const record = this.#state[COUNT]!;
    assert(record < this.#recordsMax, "there is room for one record more");
    const at = record * RECORD_WORDS;
    const records = this.#records;
    const downloads = isDownload(request) ? 1 : 0;
    if (request.family === 6) {
      const endpointHash = this.#v6.buckets.hash(this.#endpoint, 0);
      const swarm = this.#v6.put(0, endpointHash, this.#endpoint, request.seeder, this.#heardTick, -1);
      if (swarm === 0) {
        this.counters.torrentsRefused++;
        return;
      }
      records[at + SWARM_V4_AT] = 0;
      records[at + SWARM_V6_AT] = swarm;
      records[at + DOWNLOADS_AT] = downloads;
      this.#state[PEERS_V6]!++;
    } else {
      records[at + PEER_AT] = this.#endpointWords[0]!;
      this.#recordHalves[2 * (at + PEER_AT + 1)] = request.port;
      this.#setInlineState(at, request.seeder);
      records[at + DOWNLOADS_AT] = INLINE | downloads;
      this.#state[PEERS_V4]!++;
    }
    for (let word = 0; word < 5; word++) records[at + word] = request.hash[request.hashAt + word]!;
    this.#state[COUNT]!++;
    if (this.#state[COUNT]! > this.#state[COUNT_MOST]!) this.#state[COUNT_MOST] = this.#state[COUNT]!;
    this.#index.add(hash, record);
    this.#report(request.seeder ? 1 : 0, 1, downloads);
  }

  /** Room for one record more, by number and by memory; false, and why not is counted. */
  #makeRoom(): boolean {
    for (let evicted = 0; ; evicted++) {
      const isCountFull = this.#state[COUNT]! >= this.#recordsMax;
      let bytes = this.#bytesWithRecord;
      if (bytes > this.#bytesMax) {
        this.#freeOwed(OWED_PER_ANNOUNCE);
        bytes = this.#bytesWithRecord;
      }
      if (!isCountFull && bytes <= this.#bytesMax) {
        this.#boundPages(bytes - this.totalBytes);
        return true;
      }
      // Memory of a large one that went is on its way: another large one would go for nothing.
      const oldest = evicted === EVICTIONS_PER_PEER_MAX ? -1 : this.#oldest(isCountFull || !this.#isOwed);
      if (oldest < 0) {
        this.counters.torrentsRefused++;
        return false;
      }
      if (!this.#take(this.#budgets.evictions)) {
        this.counters.torrentsOverBudget++;
        return false;
      }
      this.#evict(oldest);
    }
  }

  /** What would be in use with one record more. */
  get #bytesWithRecord(): number {
    return this.totalBytes + RECORD_BYTES + this.#index.bytesNext - this.#index.bytes;
  }

  /** Whether large swarms that were given up hold memory yet. */
  get #isOwed(): boolean {
    return this.#v4.isOwed || this.#v6.isOwed;
  }

  /** Frees up to so many buckets of each family. */
  #freeOwed(most: number): void {
    if (!this.#isOwed) return;
    this.#v4.freeOwed(most);
    this.#v6.freeOwed(most);
    this.#boundPages(0);
  }

  /** What is left, when `bytes` more are taken, is for peers. */
  #boundPages(bytes: number): void {
    this.#pages.limit =
      this.#pages.inUse + Math.floor((this.#bytesMax - this.totalBytes - bytes) / PAGE_BYTES);
  }

  /** totals().bytes without an object. */
  get totalBytes(): number {
    const shared = this.#index.bytes + this.#budgetBytes;
    return shared + this.#state[COUNT]! * RECORD_BYTES + this.#pages.inUse * PAGE_BYTES;
  }

  #removeTorrent(hash: number, record: number): void {
    assert(record >= 0 && record < this.#state[COUNT]!, "a torrent is removed that is there");
    this.#index.remove(hash, record, this.#bytesMax - this.totalBytes);
    this.#boundPages(0);
    const last = --this.#state[COUNT]!;
    if (record === last) return;
    const records = this.#records;
    const from = last * RECORD_WORDS;
    const to = record * RECORD_WORDS;
    this.#index.renumber(this.hash(records, from), last, record);
    for (let word = 0; word < RECORD_WORDS; word++) records[to + word] = records[from + word]!;
  }

  /** Of some torrents the one that was not heard of for longest; −1: there is none, or none without a large swarm where `evenLarge` is false. */
  #oldest(evenLarge: boolean): number {
    let oldest = -1;
    let oldestAge = -1;
    for (let sample = this.#state[COUNT]! === 0 ? EVICTION_SAMPLES : 0; sample < EVICTION_SAMPLES; sample++) {
      const record = this.#roll() % this.#state[COUNT]!;
      const at = record * RECORD_WORDS;
      const age = this.#ageOf(at);
      if (age <= oldestAge || !(evenLarge || this.#isSmall(at))) continue;
      oldest = record;
      oldestAge = age;
    }
    return oldest;
  }

  #isSmall(at: number): boolean {
    const records = this.#records;
    if ((records[at + DOWNLOADS_AT]! & INLINE) !== 0) return true;
    return this.#v4.isSmall(records[at + SWARM_V4_AT]!) && this.#v6.isSmall(records[at + SWARM_V6_AT]!);
  }

  #evict(record: number): void {
    assert(record >= 0 && record < this.#state[COUNT]!, "whoever makes room is there");
    const at = record * RECORD_WORDS;
    let peers = 1;
    if ((this.#records[at + DOWNLOADS_AT]! & INLINE) !== 0) this.#state[PEERS_V4]!--;
    else {
      this.#v4.look(this.#records[at + SWARM_V4_AT]!);
      this.#v6.look(this.#records[at + SWARM_V6_AT]!);
      this.#state[PEERS_V4]! -= this.#v4.peers;
      this.#state[PEERS_V6]! -= this.#v6.peers;
      peers = this.#v4.peers + this.#v6.peers;
      this.#v4.free(this.#records[at + SWARM_V4_AT]!);
      this.#v6.free(this.#records[at + SWARM_V6_AT]!);
    }
    this.#removeTorrent(this.hashOf(record), record);
    this.counters.torrentsEvicted++;
    this.counters.peersEvicted += peers;
  }

  #ageOf(at: number): number {
    const records = this.#records;
    if ((records[at + DOWNLOADS_AT]! & INLINE) !== 0) return this.#inlineAge(at);
    const v4 = records[at + SWARM_V4_AT]!;
    const v6 = records[at + SWARM_V6_AT]!;
    return Math.min(
      v4 === 0 ? TICKS : this.#v4.age(v4, this.#state[TICK]!),
      v6 === 0 ? TICKS : this.#v6.age(v6, this.#state[TICK]!),
    );
  }

  /** A whole number from 0 to below 2^31. */
  #roll(): number {
    let dice = this.#state[DICE]!;
    dice ^= dice << 13;
    dice ^= dice >>> 17;
    dice ^= dice << 5;
    this.#state[DICE] = dice;
    return dice & 0x7fffffff;
  }

  // A peer that stands in its record

  #isInlinePeer(at: number): boolean {
    return (
      this.#records[at + PEER_AT] === this.#endpointWords[0] &&
      this.#recordHalves[2 * (at + PEER_AT + 1)] === this.#endpoint[2]
    );
  }

  #inlineState(at: number): number {
    return this.#recordHalves[2 * (at + PEER_AT + 1) + 1]!;
  }

  #setInlineState(at: number, seeder: boolean): void {
    assert(
      (this.#heardTick & (TICKS - 1)) === this.#heardTick,
      "a tick leaves the other bits of a state alone",
    );
    this.#recordHalves[2 * (at + PEER_AT + 1) + 1] = this.#heardTick | (seeder ? SEEDER : 0);
  }

  #inlineAge(at: number): number {
    return (this.#state[TICK]! - this.#inlineState(at)) & (TICKS - 1);
  }

  #reportInline(at: number, family: 4 | 6): number {
    const downloads = this.#records[at + DOWNLOADS_AT]! & DOWNLOADS_MAX;
    if (family === 6) this.#report(0, 0, downloads);
    else this.#report((this.#inlineState(at) & SEEDER) === 0 ? 0 : 1, 1, downloads);
    return 0;
  }

  #renewInline(hash: number, record: number, request: Announce): number {
    const at = record * RECORD_WORDS;
    if (request.event === EVENT_STOPPED) {
      this.#report(0, 0, this.#records[at + DOWNLOADS_AT]! & DOWNLOADS_MAX);
      this.#state[PEERS_V4]!--;
      this.#removeTorrent(hash, record);
      return 0;
    }
    if (isDownload(request) && (this.#inlineState(at) & SEEDER) === 0) this.#countDownload(at);
    this.#setInlineState(at, request.seeder);
    return this.#reportInline(at, 4);
  }

  #countDownload(at: number): void {
    const downloads = this.#records[at + DOWNLOADS_AT]!;
    if ((downloads & DOWNLOADS_MAX) !== DOWNLOADS_MAX) this.#records[at + DOWNLOADS_AT] = downloads + 1;
  }

  /** Gives the peer of a record a swarm, so that others have room. False: no memory. */
  #spread(at: number): boolean {
    const records = this.#records;
    assert((records[at + DOWNLOADS_AT]! & INLINE) !== 0, "a peer that moves to a swarm stands in its record");
    const state = this.#inlineState(at);
    const endpoint = this.#moved;
    for (let half = 0; half < 3; half++) endpoint[half] = this.#recordHalves[2 * (at + PEER_AT) + half]!;
    const hash = this.#v4.buckets.hash(endpoint, 0);
    const swarm = this.#v4.put(0, hash, endpoint, (state & SEEDER) !== 0, state & (TICKS - 1), -1);
    if (swarm === 0) return false;
    records[at + SWARM_V4_AT] = swarm;
    records[at + SWARM_V6_AT] = 0;
    records[at + DOWNLOADS_AT] = records[at + DOWNLOADS_AT]! & DOWNLOADS_MAX;
    return true;
  }

  /** The other way round, where one IPv4 peer is left. */
  #gather(at: number): void {
    const records = this.#records;
    const swarm = records[at + SWARM_V4_AT]!;
    if (swarm === 0 || records[at + SWARM_V6_AT] !== 0 || !this.#v4.isSmall(swarm)) return;
    if (this.#v4.buckets.count(swarm) !== 1) return;
    const from = this.#v4.onlyEndpoint(swarm);
    const state = this.#v4.onlyState(swarm);
    const { halves } = this.#pages;
    for (let half = 0; half < 3; half++) this.#recordHalves[2 * (at + PEER_AT) + half] = halves[from + half]!;
    this.#recordHalves[2 * (at + PEER_AT + 1) + 1] = state;
    records[at + DOWNLOADS_AT] = records[at + DOWNLOADS_AT]! | INLINE;
    this.#v4.free(swarm);
  }

  // Swarms

  #renew(hash: number, record: number, request: Announce, sink: PeerSink): number {
    const ipv4 = request.family === 4;
    const swarms = ipv4 ? this.#v4 : this.#v6;
    const at = record * RECORD_WORDS;
    const swarmAt = at + (ipv4 ? SWARM_V4_AT : SWARM_V6_AT);
    // Only of those whose torrent had a swarm is the rest known.
    const { ahead } = request;
    const isKnown = ahead >= 0 && this.#found.own[ahead] !== 0;
    const endpointHash = isKnown ? this.#found.hashes[ahead]! : swarms.buckets.hash(this.#endpoint, 0);
    const hint = isKnown ? this.#found.peers[ahead]! : -1;
    let swarm = swarms.put(
      this.#records[swarmAt]!,
      endpointHash,
      this.#endpoint,
      request.seeder,
      this.#heardTick,
      hint,
    );
    this.#records[swarmAt] = swarm;
    if (swarms.dropped > 0) this.#countPeers(ipv4, -swarms.dropped);
    if (!swarms.known) {
      this.counters.peersEvicted += swarms.dropped;
      if (swarms.has) this.#countPeers(ipv4, 1);
      else if (swarms.barred) this.counters.peersOverBudget++;
      else {
        this.counters.peersRefused++;
        this.#makeRoomForPeers();
        const found = this.#index.find(hash, request.hash, request.hashAt, this.#records);
        if (found < 0) {
          this.#report(0, 0, 0);
          return 0;
        }
        swarm = this.#records[found * RECORD_WORDS + (swarmAt - at)]!;
        if ((this.#records[found * RECORD_WORDS + DOWNLOADS_AT]! & INLINE) !== 0)
          return this.#reportInline(found * RECORD_WORDS, request.family);
        swarms.forgetPlace();
        swarms.look(swarm);
        this.#report(swarms.seeders, swarms.peers, this.#records[found * RECORD_WORDS + DOWNLOADS_AT]!);
        return swarms.answer(swarm, request.seeder, request.want, request.dice, sink);
      }
    }
    if (isDownload(request) && !swarms.wasSeeder && swarms.has) this.#countDownload(at);
    this.#report(swarms.seeders, swarms.peers, this.#records[at + DOWNLOADS_AT]!);
    return swarms.answer(swarm, request.seeder, request.want, request.dice, sink);
  }

  /** For the next one: what is owed, or what old torrents have. Records may move by it. */
  #makeRoomForPeers(): void {
    if (this.#isOwed) this.#freeOwed(OWED_PER_ANNOUNCE);
    else if (this.#state[COUNT]! > 1 && this.#take(this.#budgets.evictions)) this.#evict(this.#oldest(true));
  }

  #stop(hash: number, record: number, request: Announce): number {
    const ipv4 = request.family === 4;
    const swarms = ipv4 ? this.#v4 : this.#v6;
    const at = record * RECORD_WORDS;
    const swarmAt = at + (ipv4 ? SWARM_V4_AT : SWARM_V6_AT);
    this.#records[swarmAt] = swarms.remove(this.#records[swarmAt]!, this.#endpoint);
    this.#report(swarms.seeders, swarms.peers, this.#records[at + DOWNLOADS_AT]!);
    if (swarms.known) {
      this.#countPeers(ipv4, -1);
      this.#settle(hash, record);
    }
    return 0;
  }

  #countPeers(ipv4: boolean, count: number): void {
    if (ipv4) this.#state[PEERS_V4]! += count;
    else this.#state[PEERS_V6]! += count;
    assert(this.#state[ipv4 ? PEERS_V4 : PEERS_V6]! >= 0, "no more peers leave than came");
  }

  /** After peers were removed: true if the torrent went with them. */
  #settle(hash: number, record: number): boolean {
    const at = record * RECORD_WORDS;
    if (this.#records[at + SWARM_V4_AT] === 0 && this.#records[at + SWARM_V6_AT] === 0) {
      this.#removeTorrent(hash, record);
      return true;
    }
    this.#gather(at);
    return false;
  }

  // Expiry

  /** Looks at the next record, or at one bucket of it; what that was worth of work. */
  #expireNext(): number {
    if (this.#state[CURSOR]! >= this.#state[COUNT]!) this.#restart(this.#state[COUNT]! - 1);
    const record = this.#state[CURSOR]!;
    assert(record >= 0 && record < this.#state[COUNT]!, "expiry looks at a record that is there");
    const at = record * RECORD_WORDS;
    const records = this.#records;
    if ((records[at + DOWNLOADS_AT]! & INLINE) !== 0) {
      this.#restart(record - 1);
      if (this.#inlineAge(at) <= LIFETIME_TICKS) return 1;
      this.#state[PEERS_V4]!--;
      this.counters.peersExpired++;
      this.counters.torrentsExpired++;
      this.#removeTorrent(this.hashOf(record), record);
      return 16;
    }
    const ipv4 = this.#state[CURSOR_SWARM]! === 0;
    const swarmAt = at + (ipv4 ? SWARM_V4_AT : SWARM_V6_AT);
    const swarm = records[swarmAt]!;
    const swarms = ipv4 ? this.#v4 : this.#v6;
    let work = 1;
    let entry = -1;
    let changed = false;
    if (swarm !== 0) {
      const left = swarms.expire(swarm, this.#state[CURSOR_ENTRY]!, this.#state[TICK]!, LIFETIME_TICKS);
      records[swarmAt] = left;
      entry = swarms.next;
      // A large swarm may end later than its last peer was dropped.
      changed = left !== swarm || swarms.dropped > 0;
      this.#countPeers(ipv4, -swarms.dropped);
      this.counters.peersExpired += swarms.dropped;
      work += 8 + swarms.dropped;
    }
    if (entry >= 0) this.#state[CURSOR_ENTRY] = entry;
    else if (ipv4) {
      this.#state[CURSOR_SWARM] = 1;
      this.#state[CURSOR_ENTRY] = 0;
    } else {
      this.#restart(record - 1);
    }
    if (changed && this.#settle(this.hashOf(record), record)) {
      this.counters.torrentsExpired++;
      this.#restart(record - 1);
    }
    return work;
  }

  /** The next record is this one, from its beginning; below the first one comes the last. */
  #restart(record: number): void {
    this.#state[CURSOR] = record < 0 ? Math.max(0, this.#state[COUNT]! - 1) : record;
    this.#state[CURSOR_SWARM] = 0;
    this.#state[CURSOR_ENTRY] = 0;
  }

  /** Looks through all of it: each record can be found, each peer is counted, and each block is a swarm's or owed. */
  checkInvariants(): void {
    const records = this.#records;
    const blocks: number[] = [];
    const visit = (block: number): void => void blocks.push(block);
    let v4 = 0;
    let v6 = 0;
    for (let record = 0; record < this.#state[COUNT]!; record++) {
      const at = record * RECORD_WORDS;
      assert(this.#index.find(this.hashOf(record), records, at, records) === record, "a record is found");
      if ((records[at + DOWNLOADS_AT]! & INLINE) !== 0) v4++;
      else {
        v4 += this.#v4.checkInvariants(records[at + SWARM_V4_AT]!, visit);
        v6 += this.#v6.checkInvariants(records[at + SWARM_V6_AT]!, visit);
      }
    }
    assert(this.#index.count === this.#state[COUNT], "the index has each record once");
    this.#index.checkInvariants();
    assert(v4 === this.#state[PEERS_V4] && v6 === this.#state[PEERS_V6], "each peer is counted");
    this.#v4.visitOwed(visit);
    this.#v6.visitOwed(visit);
    this.#pages.checkInvariants(blocks);
    assert(this.totalBytes <= this.#bytesMax, "memory has a bound");
  }
}

/** Who says that something is left has not completed, whatever else it says: saying so again and again would count each time. */
function isDownload(request: Announce): boolean {
  return request.event === EVENT_COMPLETED && request.seeder;
}

type BudgetOptions = Pick<PeerStoreOptions, "newTorrentsPerMinute" | "evictionsPerMinute" | "key">;

/** `memory`: what several share, for each that the options name. */
export function makeAddressBudgets(options: BudgetOptions, memory?: BudgetMemory): AddressBudgets {
  const make = (name: "newTorrentsPerMinute" | "evictionsPerMinute"): AddressBudget | undefined => {
    const perMinute = options[name] ?? 0;
    checkOption(name, PEER_STORE_OPTIONS[name], perMinute);
    return perMinute === 0
      ? undefined
      : new AddressBudget(perMinute, options.key.slice(0, 2), memory?.[name]);
  };
  return { newTorrents: make("newTorrentsPerMinute"), evictions: make("evictionsPerMinute") };
}

export type BudgetMemory = {
  readonly [Name in "newTorrentsPerMinute" | "evictionsPerMinute"]: SharedArrayBuffer;
};

/**
 * A cell for each KiB of the store at the most: of all peers that come in a lifetime so few share a cell that whoever has one port is never
 * refused for others.
 */
function makeShares(
  { peersPerAddressMax: most = 0, key }: PeerStoreOptions,
  bytesMax: number,
  lifetimeMs: number,
  reserve: (bytes: number) => ArrayBuffer | SharedArrayBuffer,
): AddressBudget | undefined {
  if (most === 0) return undefined;
  const cellBits = Math.min(SHARE_CELL_BITS_MAX, Math.floor(Math.log2(bytesMax)) - 10);
  return new AddressBudget(most, key.slice(2, 4), reserve(budgetBytes(cellBits)), cellBits, lifetimeMs);
}

export function makeSwarmCounters(): SwarmCounters {
  return {
    torrentsExpired: 0,
    peersExpired: 0,
    torrentsEvicted: 0,
    peersEvicted: 0,
    torrentsOverBudget: 0,
    peersOverBudget: 0,
    torrentsRefused: 0,
    peersRefused: 0,
  };
}
