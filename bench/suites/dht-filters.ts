// Which filter of info hashes leaves the most of an indexer's lookups for hashes that it has not looked up yet (Grunthal 2010, "selective queue
// management"). Hashes come as popular torrents are asked for (Zipf), a queue of bounded length holds what the filter lets through, and so
// many a second are looked up; the rest finds no room. Time is virtual, the filters are the real ones.
//
// A slot is one lookup that there was time for. It is well spent on a hash that was never looked up before; on another, or on
// nothing because the queue was empty, it is wasted.

import { ArcFilter } from "../../src/indexer/filter/arc-filter.js";
import { Blue } from "../../src/indexer/filter/blue.js";
import type { HashFilter, ResizableFilter } from "../../src/indexer/filter/contract.js";
import { LruFilter } from "../../src/indexer/filter/lru-filter.js";
import { RotatingBloomFilter } from "../../src/indexer/filter/rotating-bloom-filter.js";
import { there } from "../measuring/ends.js";

export interface FilterSettings {
  readonly torrents: number;
  /** The r-th torrent is asked for as often as the first divided by r^exponent. */
  readonly exponent: number;
  readonly incomingPerSecond: number;
  readonly lookupsPerSecond: number;
  readonly minutes: number;
  readonly seed: number;
}

export interface FilterRow {
  readonly name: string;
  /** Of all slots, those spent on hashes for the first time; and for the first time on one of the rarer torrents. */
  readonly distinctShare: number;
  readonly rareShare: number;
  /** Slots in which the queue was empty. */
  readonly emptyShare: number;
  /** Memory at the end. */
  readonly bytes: number;
  readonly nanosecondsPerHash: number;
}

interface Subject {
  readonly name: string;
  readonly filter: HashFilter | undefined;
  readonly blue?: Blue;
}

/** Seconds of lookups that wait in the queue at the most. */
const QUEUE_SECONDS = 10;
/** Torrents behind the most popular so many are the rarer ones. */
const POPULAR = 10_000;
const SMALL_LRU = 10_000;
const HASH_BYTES = 20;

/** FIFO, a small LRU, LRU and ARC sized by Blue; then an LRU and a rotating Bloom filter with the memory that ARC came to, and an eighth of it. */
export function* runDhtFilters(settings: FilterSettings): Generator<FilterRow> {
  const key = Uint32Array.of(settings.seed, 0x243f6a88, 0x85a308d3, 0x13198a2e);
  const sized = (name: string, filter: ResizableFilter): Subject => ({
    name,
    filter,
    blue: new Blue(filter),
  });
  yield runSubject({ name: "no filter (FIFO)", filter: undefined }, settings);
  yield runSubject({ name: `LRU of ${SMALL_LRU}`, filter: new LruFilter(SMALL_LRU, key) }, settings);
  yield runSubject(sized("LRU + Blue", new LruFilter(300, key)), settings);
  const arc = runSubject(sized("ARC + Blue", new ArcFilter(300, key)), settings);
  yield arc;
  yield runSubject({ name: "LRU, ARC's memory", filter: lruOf(arc.bytes, key) }, settings);
  yield runSubject({ name: "rotating Bloom, ARC's memory", filter: bloomOf(arc.bytes, key) }, settings);
  yield runSubject({ name: "LRU, an eighth of it", filter: lruOf(arc.bytes / 8, key) }, settings);
  yield runSubject({ name: "rotating Bloom, an eighth", filter: bloomOf(arc.bytes / 8, key) }, settings);
}

function bloomOf(bytes: number, key: Uint32Array): RotatingBloomFilter {
  return new RotatingBloomFilter(8 * Math.floor(bytes / 8), key);
}

/** The largest LRU that is not larger. */
function lruOf(bytes: number, key: Uint32Array): LruFilter {
  let low = 1;
  let high = Math.ceil(bytes / HASH_BYTES);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (new LruFilter(middle, key).bytes <= bytes) low = middle;
    else high = middle;
  }
  return new LruFilter(low, key);
}

function runSubject({ name, filter, blue }: Subject, settings: FilterSettings): FilterRow {
  const { torrents, incomingPerSecond, lookupsPerSecond } = settings;
  const popularity = new Popularity(settings);
  const queueMax = QUEUE_SECONDS * lookupsPerSecond;
  const queue = new Int32Array(queueMax);
  const lookedUp = new Uint8Array(torrents);
  let first = 0;
  let queued = 0;
  let distinct = 0;
  let rare = 0;
  let empty = 0;
  let slotsDue = 0;
  let filterMs = 0;
  const seconds = 60 * settings.minutes;
  const ranks = new Int32Array(incomingPerSecond);
  const known = new Uint8Array(incomingPerSecond);
  for (let second = 0; second < seconds; second++) {
    for (let index = 0; index < incomingPerSecond; index++) ranks[index] = popularity.draw();
    const begunMs = performance.now();
    if (filter !== undefined)
      for (let index = 0; index < incomingPerSecond; index++)
        known[index] = filter.seen(hashOf(there(ranks[index])), 0) ? 1 : 0;
    filterMs += performance.now() - begunMs;
    let hasOverflowed = false;
    let hasRunDry = false;
    for (let index = 0; index < incomingPerSecond; index++) {
      if (known[index] === 0) {
        if (queued === queueMax) hasOverflowed = true;
        else queue[(first + queued++) % queueMax] = there(ranks[index]);
      }
      for (slotsDue += lookupsPerSecond; slotsDue >= incomingPerSecond; slotsDue -= incomingPerSecond) {
        if (queued === 0) {
          hasRunDry = true;
          empty++;
          continue;
        }
        const rank = there(queue[first]);
        first = (first + 1) % queueMax;
        queued--;
        if (lookedUp[rank] === 1) continue;
        lookedUp[rank] = 1;
        distinct++;
        if (rank >= POPULAR) rare++;
      }
    }
    if (hasOverflowed) blue?.overflowed(1000 * second);
    else if (hasRunDry) blue?.underflowed(1000 * second);
  }
  const slots = seconds * lookupsPerSecond;
  return {
    name,
    distinctShare: distinct / slots,
    rareShare: rare / slots,
    emptyShare: empty / slots,
    bytes: filter?.bytes ?? 0,
    nanosecondsPerHash: (1e6 * filterMs) / (seconds * incomingPerSecond),
  };
}

const hash = new Uint8Array(HASH_BYTES);
const hashView = new DataView(hash.buffer);

/** Of a torrent, by how popular it is; filled in again for the next. */
export function hashOf(rank: number): Uint8Array {
  for (let word = 0; word < 5; word++)
    hashView.setUint32(4 * word, Math.imul(rank + 1, 0x9e3779b1 + 2 * word));
  return hash;
}

/** Ranks as a Zipf law has them, by the inverse of its continuous form: what is popular is asked for again and again. */
export class Popularity {
  readonly #torrents: number;
  readonly #exponent: number;
  #state: number;

  constructor({ torrents, exponent, seed }: Pick<FilterSettings, "torrents" | "exponent" | "seed">) {
    this.#torrents = torrents;
    this.#exponent = exponent;
    this.#state = seed >>> 0;
  }

  draw(): number {
    const end = this.#torrents + 1;
    const even = this.#random();
    const place =
      this.#exponent === 1
        ? end ** even
        : (1 + even * (end ** (1 - this.#exponent) - 1)) ** (1 / (1 - this.#exponent));
    return Math.min(this.#torrents, Math.floor(place)) - 1;
  }

  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = this.#state;
    word = Math.imul(word ^ (word >>> 15), word | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  }
}
