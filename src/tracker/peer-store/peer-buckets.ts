// Peers of one family, up to 128 of them in a block of memory: endpoints side by side, so that an answer is a copy of a run.
//
//   word 0   │ peers 8 bits │ seeders 8 │ capacity's number 8 │ depth 8 (of a large swarm's directory) │
//            │ a fingerprint byte each: low bits of the endpoint's hash                              │ capacity bytes
//            │ a state byte each: seeder bit, tick of 7 bits                                         │ capacity bytes
//            │ endpoints, as they stand in packets: 6 or 18 bytes each                               │
//
// Always: seeders are first, and after them leechers, with no gap. Capacities are multiples of 4, so that four fingerprints are
// one word and every second endpoint begins at one. A bucket moves when its capacity changes: its number then is another.
//
// One file, because nothing else knows this layout.

import { assert, entryOf } from "../../base/assert.js";
import type { AheadFindings } from "./ahead-findings.js";
import type { AnnouncesAhead } from "./contract.js";
import type { Pages } from "./pages.js";

/** What buckets may hold; how they grow. */
export const CAPACITIES = [4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 112, 128] as const;
export const BUCKET_PEERS_MAX = 128;
/**
 * Of each capacity, how many peers are too few for it: half of it, or what a block two sizes smaller holds. With one size smaller, peers that
 * come and go would move a bucket to and fro; with half only, a swarm that many come to and leave would keep what its fullest moments took.
 */
const TOO_FEW = CAPACITIES.map((capacity, number) =>
  number === 0 ? -1 : Math.max(capacity / 2, CAPACITIES[number - 2] ?? 0),
);

/** Where peers of an answer go: halves of 16 bits, and words, of the same memory, at a half that is a word's first. */
export interface PeerSink {
  /** Where peers are written, as words of 32 bits. */
  readonly words: Uint32Array;
  /** The same memory as `words`, as halves of 16 bits. */
  readonly halves: Uint16Array;
  /** The half where the next endpoint goes; whoever answers moves it on. */
  at: number;
}

const SEEDER = 0x80;
/** Which byte of a word comes first in memory depends on the machine: byte i of those of a word is i ^ this from the low end. */
const BYTE_ORDER = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 3;
const TICK = 0x7f;
/** Ticks are numbers below this, and go round. */
export const TICKS = 128;

export class PeerBuckets {
  /** Halves of 16 bits that an endpoint has: 3 or 9. */
  readonly endpointHalves: number;
  readonly #pages: Pages;
  readonly #words: Uint32Array;
  readonly #halves: Uint16Array;
  readonly #bytes: Uint8Array;
  /** The size of the block, as Pages numbers them, of capacity 0. */
  readonly #firstSize: number;
  readonly #capacities = Uint8Array.from(CAPACITIES);
  readonly #tooFew = Int8Array.from(TOO_FEW);
  readonly #scratch: Uint16Array;
  readonly #key: number;
  readonly #multiplier: number;

  /** `key`: 2 words that nobody knows. */
  constructor(pages: Pages, endpointHalves: number, firstSize: number, key: Uint32Array) {
    this.#pages = pages;
    this.#words = pages.words;
    this.#halves = pages.halves;
    this.#bytes = pages.bytes;
    this.endpointHalves = endpointHalves;
    this.#firstSize = firstSize;
    this.#scratch = new Uint16Array(endpointHalves);
    this.#key = key[0]! | 0;
    // Odd, and no small number, whatever the key is.
    this.#multiplier = Math.imul(key[1]! | 1, 0x9e3779b1);
  }

  /**
   * 32 bits, signed, of the endpoint at `at`: its low byte is the fingerprint, its high bits choose among a large swarm's
   * buckets. What somebody gains who finds endpoints that collide is a bucket of BUCKET_PEERS_MAX, no more.
   */
  hash(halves: Uint16Array, at: number): number {
    let hash = this.#key;
    for (let part = 0; part < this.endpointHalves; part++) {
      hash = Math.imul(hash ^ halves[at + part]!, this.#multiplier);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0x2c1b3c6d);
    return hash ^ (hash >>> 13);
  }

  /** The same of an endpoint that stands in words (1 of IPv4, 4 of IPv6, from `at`) and a port, as signed 32 bits. */
  hashOf(words: Uint32Array, at: number, port: number): number {
    let hash = this.#key;
    const multiplier = this.#multiplier;
    const end = at + (this.endpointHalves >>> 1);
    for (let word = at; word < end; word++) {
      const both = words[word]!;
      hash = Math.imul(hash ^ (BYTE_ORDER === 0 ? both & 0xffff : both >>> 16), multiplier);
      hash ^= hash >>> 15;
      hash = Math.imul(hash ^ (BYTE_ORDER === 0 ? both >>> 16 : both & 0xffff), multiplier);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ port, multiplier);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0x2c1b3c6d);
    return hash ^ (hash >>> 13);
  }

  hashAt(bucket: number, index: number): number {
    return this.hash(this.#halves, this.endpointAt(bucket, index));
  }

  /** Words of a block for each capacity, in their order. */
  static blockWords(endpointHalves: number): number[] {
    return CAPACITIES.map((capacity) => 1 + (2 * capacity + 2 * endpointHalves * capacity) / 4);
  }

  /** An empty bucket for `peers` peers, or 0 if there is no memory. */
  create(peers: number, depth: number): number {
    assert(peers > 0 && peers <= BUCKET_PEERS_MAX, "a bucket is made for peers, and has room for them");
    assert(depth >= 0 && depth <= 0xff, "a bucket has a byte for its depth");
    let number = 0;
    while (this.#capacities[number]! < peers) number++;
    const bucket = this.#pages.take(this.#firstSize + number);
    if (bucket !== 0) this.#words[bucket] = (depth << 24) | (number << 16);
    return bucket;
  }

  free(bucket: number): void {
    this.#pages.free(bucket);
  }

  count(bucket: number): number {
    return this.#words[bucket]! & 0xff;
  }

  seeders(bucket: number): number {
    return (this.#words[bucket]! >>> 8) & 0xff;
  }

  depth(bucket: number): number {
    return this.#words[bucket]! >>> 24;
  }

  setDepth(bucket: number, depth: number): void {
    this.#words[bucket] = (this.#words[bucket]! & 0xffffff) | (depth << 24);
  }

  capacity(bucket: number): number {
    return this.#capacities[(this.#words[bucket]! >>> 16) & 0xff]!;
  }

  /** Whether a bucket's peers would do with a smaller block by so much that it pays to move them. */
  isRoomy(bucket: number): boolean {
    return this.count(bucket) <= this.#tooFew[(this.#words[bucket]! >>> 16) & 0xff]!;
  }

  // Steps of PeerStore.look(), for the announces that entries `from` to before `to` of `order` name.

  /** Fetches the fingerprints of the buckets of endpoints, and the runs that answers begin with. */
  lookInto(
    announces: AnnouncesAhead,
    found: AheadFindings,
    order: Uint16Array,
    from: number,
    to: number,
  ): void {
    const { wants } = announces;
    const { own, told, runs } = found;
    const words = this.#words;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const bucket = own[index]!;
      if (bucket === 0) continue;
      runs[end++] = bucket;
      runs[end++] = 2 + ((words[bucket]! & 0xff) >>> 2);
      end = this.#nameRuns(announces, found, index, told[index]!, wants[index]!, end);
    }
    found.fetch(words, end);
  }

  /** Fetches the runs that answers go on with in the next bucket. */
  lookIntoNext(
    announces: AnnouncesAhead,
    found: AheadFindings,
    order: Uint16Array,
    from: number,
    to: number,
  ): void {
    const { next: buckets, missing } = found;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const bucket = buckets[index]!;
      if (bucket === 0) continue;
      end = this.#nameRuns(announces, found, index, bucket, missing[index]!, end);
    }
    found.fetch(this.#words, end);
  }

  /**
   * Names the runs of `bucket` that an answer of `want` peers to announce `index` copies, and says how many peers it has too few. Returns
   * where the numbers of runs end, which began at `end`.
   */
  #nameRuns(
    { seeders, dice }: AnnouncesAhead,
    { missing, runs }: AheadFindings,
    index: number,
    bucket: number,
    want: number,
    end: number,
  ): number {
    const { endpointHalves } = this;
    const header = this.#words[bucket]!;
    const count = header & 0xff;
    const low = seeders[index] === 1 ? (header >>> 8) & 0xff : 0;
    const start = runStart(dice[index]!, low, count);
    const run = Math.min(want, count - start);
    const base = 2 * (bucket + 1) + this.#capacities[(header >>> 16) & 0xff]!;
    runs[end] = (base + endpointHalves * start) >>> 1;
    runs[end + 1] = ((endpointHalves * run) >>> 1) + 1;
    // What is missing at the end of the run is copied from where it may begin, and then from the next bucket.
    const again = Math.min(want - run, start - low);
    missing[index] = want - run - again;
    if (again <= 0) return end + 2;
    runs[end + 2] = (base + endpointHalves * low) >>> 1;
    runs[end + 3] = ((endpointHalves * again) >>> 1) + 1;
    return end + 4;
  }

  /**
   * Sets for each endpoint the first peer that has its fingerprint, −1 if there is none: who it is was not looked at. Fetches its endpoint and
   * state, and, when it becomes a seeder or is one no more, those of the peer that it changes places with.
   */
  lookAtPeers(
    { seeders }: AnnouncesAhead,
    found: AheadFindings,
    order: Uint16Array,
    from: number,
    to: number,
  ): void {
    const { own, hashes, peers, runs } = found;
    const words = this.#words;
    const capacities = this.#capacities;
    const { endpointHalves } = this;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const bucket = own[index]!;
      if (bucket === 0) continue;
      const header = words[bucket]!;
      const peer = this.#candidate(bucket, header & 0xff, hashes[index]! & 0xff);
      peers[index] = peer;
      if (peer < 0) continue;
      const capacity = capacities[(header >>> 16) & 0xff]!;
      const seederCount = (header >>> 8) & 0xff;
      const wasSeeder = (peer - seederCount) >>> 31;
      const other = seederCount - wasSeeder;
      const endpoints = 2 * (bucket + 1) + capacity;
      const states = 4 * (bucket + 1) + capacity;
      runs[end] = (endpoints + endpointHalves * peer) >>> 1;
      runs[end + 1] = 1;
      runs[end + 2] = (states + peer) >>> 2;
      runs[end + 3] = 1;
      runs[end + 4] = (endpoints + endpointHalves * other) >>> 1;
      runs[end + 5] = 1;
      runs[end + 6] = (states + other) >>> 2;
      runs[end + 7] = 1;
      // Without a branch, for nobody can guess who changes.
      end += 4 + 4 * (wasSeeder ^ seeders[index]!);
    }
    found.fetch(words, end);
  }

  /** The first of `count` peers with this fingerprint, or −1. */
  #candidate(bucket: number, count: number, fingerprint: number): number {
    const words = this.#words;
    const pattern = Math.imul(fingerprint, 0x01010101);
    const first = bucket + 1;
    const end = first + ((count + 3) >>> 2);
    for (let at = first; at < end; at++) {
      const difference = words[at]! ^ pattern;
      const found = (difference - 0x01010101) & ~difference & 0x80808080;
      if (found !== 0) return ((at - first) << 2) + (((31 - Math.clz32(found & -found)) >>> 3) ^ BYTE_ORDER);
    }
    return -1;
  }

  /** Whether peer `index` is there and has this endpoint. */
  isAt(bucket: number, index: number, endpoint: Uint16Array): boolean {
    return index < (this.#words[bucket]! & 0xff) && this.#same(bucket, index, endpoint);
  }

  /** The half where endpoint `index` begins. */
  endpointAt(bucket: number, index: number): number {
    return 2 * (bucket + 1) + this.capacity(bucket) + this.endpointHalves * index;
  }

  state(bucket: number, index: number): number {
    return this.#bytes[4 * (bucket + 1) + this.capacity(bucket) + index]!;
  }

  fingerprint(bucket: number, index: number): number {
    return this.#bytes[4 * (bucket + 1) + index]!;
  }

  setTick(bucket: number, index: number, tick: number): void {
    assert((tick & TICK) === tick, "a tick leaves the other bits of a state alone");
    const at = 4 * (bucket + 1) + this.capacity(bucket) + index;
    this.#bytes[at] = (this.#bytes[at]! & SEEDER) | tick;
  }

  /** How many ticks ago a peer was heard of. */
  age(bucket: number, index: number, tick: number): number {
    return (tick - this.state(bucket, index)) & TICK;
  }

  /** Which peer has this endpoint (halves from `at`) and fingerprint (a byte), or −1. Four fingerprints are compared at one time. */
  find(bucket: number, fingerprint: number, endpoint: Uint16Array): number {
    const words = this.#words;
    const header = words[bucket]!;
    const count = header & 0xff;
    const pattern = Math.imul(fingerprint, 0x01010101);
    const first = bucket + 1;
    const end = first + ((count + 3) >>> 2);
    for (let at = first; at < end; at++) {
      const difference = words[at]! ^ pattern;
      // A byte that is zero, and perhaps some above it, has its high bit here.
      let found = (difference - 0x01010101) & ~difference & 0x80808080;
      while (found !== 0) {
        const index = ((at - first) << 2) + (((31 - Math.clz32(found & -found)) >>> 3) ^ BYTE_ORDER);
        if (index < count && this.#same(bucket, index, endpoint)) return index;
        found &= found - 1;
      }
    }
    return -1;
  }

  /** Adds a peer that is not there; there is room. Its index. */
  add(bucket: number, fingerprint: number, endpoint: Uint16Array, seeder: boolean, tick: number): number {
    const header = this.#words[bucket]!;
    const count = header & 0xff;
    const seeders = (header >>> 8) & 0xff;
    let index = count;
    if (seeder) {
      // The first leecher makes room.
      if (seeders < count) this.#move(bucket, seeders, count);
      index = seeders;
    }
    const capacity = this.#capacities[(header >>> 16) & 0xff]!;
    assert(count < capacity && seeders <= count, "a peer is added where there is room");
    assert((tick & TICK) === tick, "a tick leaves the other bits of a state alone");
    const at = 4 * (bucket + 1) + index;
    this.#bytes[at] = fingerprint;
    this.#bytes[at + capacity] = tick | (seeder ? SEEDER : 0);
    let half = 2 * (bucket + 1) + capacity + this.endpointHalves * index;
    for (let part = 0; part < this.endpointHalves; part++) this.#halves[half++] = endpoint[part]!;
    this.#words[bucket] = header + (seeder ? 0x101 : 1);
    return index;
  }

  remove(bucket: number, index: number): void {
    const header = this.#words[bucket]!;
    const count = header & 0xff;
    const seeders = (header >>> 8) & 0xff;
    assert(index >= 0 && index < count, "a peer is removed that is there");
    let gap = index;
    if (index < seeders) {
      // The last seeder closes the gap, and the last leecher its.
      if (index !== seeders - 1) this.#move(bucket, seeders - 1, index);
      gap = seeders - 1;
    }
    if (gap !== count - 1) this.#move(bucket, count - 1, gap);
    this.#words[bucket] = header - (index < seeders ? 0x101 : 1);
  }

  /** Makes a leecher a seeder, or the other way round; where it is now. */
  turn(bucket: number, index: number): number {
    const seeders = this.seeders(bucket);
    assert(index >= 0 && index < this.count(bucket), "a peer is turned that is there");
    const other = index < seeders ? seeders - 1 : seeders;
    this.#swap(bucket, index, other);
    const at = 4 * (bucket + 1) + this.capacity(bucket) + other;
    this.#bytes[at] = this.#bytes[at]! ^ SEEDER;
    this.#words[bucket] = this.#words[bucket]! + (index < seeders ? -0x100 : 0x100);
    return other;
  }

  /** The same peers in a block for `peers` of them; 0, and nothing happened, if there is no memory. */
  resize(bucket: number, peers: number): number {
    const larger = this.create(peers, this.depth(bucket));
    if (larger === 0) return 0;
    const count = this.count(bucket);
    assert(count <= peers, "all peers find room in the other block");
    this.#words[larger] = (this.#words[larger]! & 0xffff0000) | (this.#words[bucket]! & 0xffff);
    const from = 4 * (bucket + 1);
    const to = 4 * (larger + 1);
    const capacity = this.capacity(bucket);
    const largerCapacity = this.capacity(larger);
    for (let index = 0; index < count; index++) {
      this.#bytes[to + index] = this.#bytes[from + index]!;
      this.#bytes[to + largerCapacity + index] = this.#bytes[from + capacity + index]!;
    }
    const source = this.endpointAt(bucket, 0);
    const target = this.endpointAt(larger, 0);
    const halves = count * this.endpointHalves;
    for (let half = 0; half < halves; half++) this.#halves[target + half] = this.#halves[source + half]!;
    this.free(bucket);
    return larger;
  }

  /** Copies peer `index` of one bucket to the end of its kind in another, which has room. */
  transfer(from: number, index: number, to: number): void {
    assert(index >= 0 && index < this.count(from), "a peer is transferred that is there");
    const state = this.state(from, index);
    const source = this.endpointAt(from, index);
    for (let part = 0; part < this.endpointHalves; part++) this.#scratch[part] = this.#halves[source + part]!;
    this.add(to, this.fingerprint(from, index), this.#scratch, (state & SEEDER) !== 0, state & TICK);
  }

  /** The peer that was not heard of for longest. The bucket is not empty. */
  oldest(bucket: number, tick: number): number {
    const count = this.count(bucket);
    assert(count > 0, "somebody is the oldest");
    let oldest = 0;
    for (let index = 1; index < count; index++)
      if (this.age(bucket, index, tick) > this.age(bucket, oldest, tick)) oldest = index;
    return oldest;
  }

  /**
   * Copies up to `want` peers to the sink, all of them or leechers only, never `self`: a run that begins at `dice` (any number from
   * 0) and goes on at the beginning. How many.
   */
  copyRun(
    bucket: number,
    leechersOnly: boolean,
    self: number,
    want: number,
    dice: number,
    sink: PeerSink,
  ): number {
    const header = this.#words[bucket]!;
    const count = header & 0xff;
    const low = leechersOnly ? (header >>> 8) & 0xff : 0;
    const span = count - low;
    const others = self >= low ? span - 1 : span;
    const wanted = want < others ? want : others;
    if (wanted <= 0) return 0;
    let start = runStart(dice, low, count);
    if (self >= low) {
      // A run that begins behind it, or ends before it, does without it.
      const distance = self >= start ? self - start : self - start + span;
      if (distance < wanted) {
        start = (dice & 1) === 0 ? self + 1 : self - wanted;
        if (start >= count) start -= span;
        else if (start < low) start += span;
      }
    }
    assert(start >= low && start < count, "a run begins at one of those that may be told");
    assert(sink.at + wanted * this.endpointHalves <= sink.halves.length, "an answer has room for its peers");
    const first = start + wanted <= count ? wanted : count - start;
    const base = 2 * (bucket + 1) + this.#capacities[(header >>> 16) & 0xff]!;
    this.#copy(base + start * this.endpointHalves, first * this.endpointHalves, sink);
    if (first < wanted)
      this.#copy(base + low * this.endpointHalves, (wanted - first) * this.endpointHalves, sink);
    return wanted;
  }

  /** Looks at each peer: seeders first, each endpoint once and under its fingerprint. For tests. */
  checkInvariants(bucket: number): void {
    const count = this.count(bucket);
    const seeders = this.seeders(bucket);
    assert(seeders <= count && count <= this.capacity(bucket), "a bucket has room for its peers");
    for (let index = 0; index < count; index++) {
      assert(((this.state(bucket, index) & SEEDER) !== 0) === index < seeders, "seeders are first");
      const fingerprint = this.fingerprint(bucket, index);
      assert(
        fingerprint === (this.hashAt(bucket, index) & 0xff),
        "a peer has the fingerprint of its endpoint",
      );
      const at = this.endpointAt(bucket, index);
      for (let part = 0; part < this.endpointHalves; part++)
        this.#scratch[part] = entryOf(this.#halves, at + part);
      assert(this.find(bucket, fingerprint, this.#scratch) === index, "an endpoint is found, and there once");
    }
  }

  #copy(from: number, length: number, sink: PeerSink): void {
    const to = sink.at;
    sink.at = to + length;
    const source = this.#halves;
    const target = sink.halves;
    if (((from ^ to) & 1) === 1) {
      // An endpoint is three halves, or three times three.
      for (let half = 0; half < length; half += 3) {
        target[to + half] = source[from + half]!;
        target[to + half + 1] = source[from + half + 1]!;
        target[to + half + 2] = source[from + half + 2]!;
      }
      return;
    }
    // Both are at the beginning of a word, or both in the middle of one.
    const odd = from & 1;
    if (odd === 1) target[to] = source[from]!;
    const sourceWords = this.#words;
    const targetWords = sink.words;
    const sourceAt = (from + odd) >>> 1;
    const targetAt = (to + odd) >>> 1;
    const words = (length - odd) >>> 1;
    // Six at a time, for what the loop itself costs is most of it; and the last six once more, for nobody can guess how many are left.
    const last = words - 6;
    for (let word = 0; word < last; word += 6)
      copySix(sourceWords, sourceAt + word, targetWords, targetAt + word);
    if (last >= 0) copySix(sourceWords, sourceAt + last, targetWords, targetAt + last);
    else
      for (let word = 0; word < words; word++) targetWords[targetAt + word] = sourceWords[sourceAt + word]!;
    const end = odd + 2 * words;
    if (end < length) target[to + end] = source[from + end]!;
  }

  #same(bucket: number, index: number, endpoint: Uint16Array): boolean {
    let half = this.endpointAt(bucket, index);
    for (let part = 0; part < this.endpointHalves; part++)
      if (this.#halves[half++] !== endpoint[part]) return false;
    return true;
  }

  #move(bucket: number, from: number, to: number): void {
    const bytes = this.#bytes;
    const base = 4 * (bucket + 1);
    const capacity = this.capacity(bucket);
    bytes[base + to] = bytes[base + from]!;
    bytes[base + capacity + to] = bytes[base + capacity + from]!;
    let source = this.endpointAt(bucket, from);
    let target = this.endpointAt(bucket, to);
    for (let part = 0; part < this.endpointHalves; part++) this.#halves[target++] = this.#halves[source++]!;
  }

  #swap(bucket: number, one: number, other: number): void {
    if (one === other) return;
    const bytes = this.#bytes;
    const base = 4 * (bucket + 1);
    const states = base + this.capacity(bucket);
    const fingerprint = bytes[base + one]!;
    bytes[base + one] = bytes[base + other]!;
    bytes[base + other] = fingerprint;
    const state = bytes[states + one]!;
    bytes[states + one] = bytes[states + other]!;
    bytes[states + other] = state;
    let left = this.endpointAt(bucket, one);
    let right = this.endpointAt(bucket, other);
    for (let part = 0; part < this.endpointHalves; part++) {
      const half = this.#halves[left]!;
      this.#halves[left++] = this.#halves[right]!;
      this.#halves[right++] = half;
    }
  }
}

/** Where a run begins among peers low … count − 1: at an even place, which is a word's first half. */
function runStart(dice: number, low: number, count: number): number {
  // A multiplication, for a division takes as long as copying the run.
  const start = (low + (((dice & 0x7fff) * (count - low)) >>> 15)) & ~1;
  return start < low ? low : start;
}

function copySix(source: Uint32Array, from: number, target: Uint32Array, to: number): void {
  target[to] = source[from]!;
  target[to + 1] = source[from + 1]!;
  target[to + 2] = source[from + 2]!;
  target[to + 3] = source[from + 3]!;
  target[to + 4] = source[from + 4]!;
  target[to + 5] = source[from + 5]!;
}
