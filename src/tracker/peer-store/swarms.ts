// Swarms of one family of addresses: a bucket while there are few peers, a directory of buckets when there are many. A swarm is
// a number (of its block of memory), which changes when it grows or shrinks; 0 is the empty swarm.
//
// What a call found out stands in fields until the next one, so that nothing is allocated.
//
// One file, because each operation has a way for a bucket and one for a directory, which have to agree.
//
// Always: an endpoint is in a swarm once. A swarm that is not 0 has a peer.

import { assert } from "../../base/assert.js";
import type { AheadFindings } from "./ahead-findings.js";
import type { AnnouncesAhead } from "./contract.js";
import type { Pages } from "./pages.js";
import { BUCKET_PEERS_MAX, PeerBuckets, type PeerSink, TICKS } from "./peer-buckets.js";
import { LARGE, SwarmDirectory } from "./swarm-directory.js";

/** Buckets of a large swarm that one answer looks into at the most: where leechers are rare, a seeder is told fewer. */
const BUCKETS_PER_ANSWER_MAX = 16;
/** Buckets of a swarm that are freed at once when it is: a swarm of some thousand peers is gone by that. */
const BUCKETS_FREED_AT_ONCE = 32;

/** Block sizes that the swarms of one family need. */
export function swarmBlockWords(endpointHalves: number): number[] {
  return [...PeerBuckets.blockWords(endpointHalves), ...SwarmDirectory.blockWords()];
}

export class Swarms {
  readonly buckets: PeerBuckets;
  readonly #directory: SwarmDirectory;
  readonly #pages: Pages;
  readonly #words: Uint32Array;
  readonly #peersMax: number;
  /** Of the last swarm that was looked at. */
  seeders = 0;
  peers = 0;
  /** Whether the last endpoint was known, and as what. */
  known = false;
  wasSeeder = false;
  /** Whether the last endpoint was not added, for its address has added enough. */
  barred = false;
  readonly #mayAdd: () => boolean;
  /** Where the last endpoint is; index −1 if it is not in the swarm. */
  #bucket = 0;
  #index = -1;
  /** Peers that this swarm's last change pushed out or expired. */
  dropped = 0;
  /** The tick that it is: whoever makes room is the oldest as seen from here, whenever a new peer was heard of. */
  now = 0;

  /** `mayAdd`: asked before a peer is added to a swarm that has some. `owed`: a word, 0 at first, that stays with the pages. */
  constructor(
    pages: Pages,
    endpointHalves: number,
    firstSize: number,
    peersMax: number,
    key: Uint32Array,
    mayAdd: () => boolean,
    owed: Int32Array,
  ) {
    this.#mayAdd = mayAdd;
    this.#pages = pages;
    this.#words = pages.words;
    this.buckets = new PeerBuckets(pages, endpointHalves, firstSize, key);
    const bucketSizes = PeerBuckets.blockWords(endpointHalves).length;
    this.#directory = new SwarmDirectory(pages, this.buckets, firstSize + bucketSizes, owed);
    this.#peersMax = peersMax;
  }

  #isLarge(swarm: number): boolean {
    return ((this.#words[swarm]! >>> 16) & 0xff) === LARGE;
  }

  // Steps of PeerStore.look(), for the announces that entries `from` to before `to` of `order` name.

  /** Hashes endpoints, and fetches the words that name their buckets and those where answers begin, once the swarms' first words are at hand. */
  lookAtDirectories(
    { addresses, addressAt, ports, dice }: AnnouncesAhead,
    found: AheadFindings,
    order: Uint16Array,
    from: number,
    to: number,
  ): void {
    const { own, told, hashes, swarms, runs } = found;
    const { buckets } = this;
    const directory = this.#directory;
    const words = this.#words;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const swarm = own[index]!;
      told[index] = swarm;
      swarms[index] = swarm;
      if (swarm === 0) continue;
      const hash = buckets.hashOf(addresses, addressAt[index]!, ports[index]!);
      hashes[index] = hash;
      if (((words[swarm]! >>> 16) & 0xff) !== LARGE) continue;
      // Below 0: not a bucket yet, but the word that names it.
      const ownPlace = directory.placeOf(swarm, hash);
      const toldPlace = directory.placeOf(swarm, spread(dice[index]!));
      own[index] = -ownPlace;
      told[index] = -toldPlace;
      runs[end++] = ownPlace;
      runs[end++] = 1;
      runs[end++] = toldPlace;
      runs[end++] = 1;
    }
    found.fetch(words, end);
  }

  /** Fetches the first words of the buckets of large swarms. */
  lookAtBuckets(found: AheadFindings, order: Uint16Array, from: number, to: number): void {
    const { own, told, runs } = found;
    const words = this.#words;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const place = own[index]!;
      if (place >= 0) continue;
      const ownBucket = words[-place]!;
      const toldBucket = words[-told[index]!]!;
      own[index] = ownBucket;
      told[index] = toldBucket;
      runs[end++] = ownBucket;
      runs[end++] = 1;
      runs[end++] = toldBucket;
      runs[end++] = 1;
    }
    found.fetch(words, end);
  }

  /** Fetches the first words of the buckets that answers go on in, where the ones they begin in have too few. */
  lookAtNext(
    { dice }: AnnouncesAhead,
    found: AheadFindings,
    order: Uint16Array,
    from: number,
    to: number,
  ): void {
    const { own, told, missing, swarms, next: buckets, runs } = found;
    const directory = this.#directory;
    const words = this.#words;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      buckets[index] = 0;
      if (own[index] === 0 || missing[index]! <= 0) continue;
      const swarm = swarms[index]!;
      if (((words[swarm]! >>> 16) & 0xff) !== LARGE) continue;
      const depth = directory.depth(swarm);
      const entry = directory.entryOf(swarm, spread(dice[index]!));
      const span = 1 << (depth - this.buckets.depth(told[index]!));
      const bucket = directory.bucketAt(swarm, ((entry & ~(span - 1)) + span) & ((1 << depth) - 1)) | 0;
      buckets[index] = bucket;
      runs[end++] = bucket;
      runs[end++] = 1;
    }
    found.fetch(words, end);
  }

  /** Sets `seeders` and `peers`. */
  look(swarm: number): void {
    if (swarm === 0) {
      this.seeders = 0;
      this.peers = 0;
    } else if (this.#isLarge(swarm)) {
      this.seeders = this.#directory.seeders(swarm);
      this.peers = this.#directory.peers(swarm);
    } else {
      this.seeders = this.buckets.seeders(swarm);
      this.peers = this.buckets.count(swarm);
    }
  }

  /** Nobody is to be left out of the next answer. */
  forgetPlace(): void {
    this.#index = -1;
  }

  /**
   * Adds the endpoint or renews it, as seeder or leecher. The swarm's number; if it was 0 and stays 0, or `has` is false after it, there
   * was no memory for another peer, or it was `barred`. `hash`: the endpoint's. `hint`: where in its bucket it may be, or −1.
   */
  put(
    swarm: number,
    hash: number,
    endpoint: Uint16Array,
    seeder: boolean,
    tick: number,
    hint: number,
  ): number {
    this.known = false;
    this.wasSeeder = false;
    this.barred = false;
    this.dropped = 0;
    this.#index = -1;
    const { buckets } = this;
    if (swarm === 0) {
      const bucket = buckets.create(1, 0);
      if (bucket !== 0) {
        this.#bucket = bucket;
        this.#index = buckets.add(bucket, hash & 0xff, endpoint, seeder, tick);
      }
      this.look(bucket);
      return bucket;
    }
    const large = this.#isLarge(swarm);
    const bucket = large ? this.#directory.bucketAt(swarm, this.#directory.entryOf(swarm, hash)) : swarm;
    const index =
      hint >= 0 && buckets.isAt(bucket, hint, endpoint) ? hint : buckets.find(bucket, hash & 0xff, endpoint);
    if (index < 0) {
      if (!this.#mayAdd()) {
        this.barred = true;
        this.look(swarm);
        return swarm;
      }
      const grown = this.#insert(swarm, bucket, hash, endpoint, seeder, tick);
      this.look(grown);
      return grown;
    }
    this.known = true;
    this.wasSeeder = index < buckets.seeders(bucket);
    this.#bucket = bucket;
    this.#index = index;
    if (this.wasSeeder !== seeder) {
      this.#index = buckets.turn(bucket, index);
      if (large) this.#directory.count(swarm, seeder ? 1 : -1, 0);
    }
    buckets.setTick(bucket, this.#index, tick);
    this.look(swarm);
    return swarm;
  }

  /** Whether the endpoint of the last put() is in the swarm. */
  get has(): boolean {
    return this.#index >= 0;
  }

  /** Removes the endpoint if it is there. The swarm's number, 0 if nobody is left. */
  remove(swarm: number, endpoint: Uint16Array): number {
    this.known = false;
    this.wasSeeder = false;
    this.#index = -1;
    if (swarm === 0) {
      this.look(0);
      return 0;
    }
    const { buckets } = this;
    const hash = buckets.hash(endpoint, 0);
    const large = this.#isLarge(swarm);
    const entry = large ? this.#directory.entryOf(swarm, hash) : 0;
    const bucket = large ? this.#directory.bucketAt(swarm, entry) : swarm;
    const index = buckets.find(bucket, hash & 0xff, endpoint);
    let left = swarm;
    if (index >= 0) {
      this.known = true;
      this.wasSeeder = index < buckets.seeders(bucket);
      buckets.remove(bucket, index);
      if (large) this.#directory.count(swarm, this.wasSeeder ? -1 : 0, -1);
      left = this.#shrink(swarm, large, entry, bucket);
    }
    this.look(left);
    return left;
  }

  /** Copies up to `want` peers, without the endpoint of the last put(), to the sink; how many. */
  answer(swarm: number, leechersOnly: boolean, want: number, dice: number, sink: PeerSink): number {
    if (swarm === 0 || want <= 0) return 0;
    if (!this.#isLarge(swarm))
      return this.buckets.copyRun(swarm, leechersOnly, this.#index, want, dice, sink);
    const directory = this.#directory;
    const depth = directory.depth(swarm);
    const entries = 1 << depth;
    let entry = directory.entryOf(swarm, spread(dice));
    const first = directory.bucketAt(swarm, entry);
    let bucket = first;
    let copied = 0;
    for (let read = 1; ; read++) {
      const self = bucket === this.#bucket ? this.#index : -1;
      copied += this.buckets.copyRun(bucket, leechersOnly, self, want - copied, dice, sink);
      if (copied >= want || read === BUCKETS_PER_ANSWER_MAX) return copied;
      const span = 1 << (depth - this.buckets.depth(bucket));
      const next = (entry & ~(span - 1)) + span;
      entry = next === entries ? 0 : next;
      bucket = directory.bucketAt(swarm, entry);
      // All round: the first bucket has been read, whichever of its entries was the first.
      if (bucket === first) return copied;
    }
  }

  /** The one peer of a swarm of one, as leecher or seeder: its endpoint's first half, and its state. */
  onlyEndpoint(swarm: number): number {
    assert(this.isSmall(swarm) && this.buckets.count(swarm) === 1, "there is one peer");
    return this.buckets.endpointAt(swarm, 0);
  }

  onlyState(swarm: number): number {
    return this.buckets.state(swarm, 0);
  }

  isSmall(swarm: number): boolean {
    return !this.#isLarge(swarm);
  }

  /** Frees a swarm: what is left of a large one is owed, and freed by freeOwed(). */
  free(swarm: number): void {
    if (swarm === 0) return;
    if (!this.#isLarge(swarm)) {
      this.buckets.free(swarm);
      return;
    }
    this.#directory.giveUp(swarm);
    this.#directory.freeOwed(BUCKETS_FREED_AT_ONCE);
  }

  /** Whether swarms that were freed hold memory yet. */
  get isOwed(): boolean {
    return this.#directory.isOwed;
  }

  /** Frees up to so many buckets of them. */
  freeOwed(most: number): void {
    this.#directory.freeOwed(most);
  }

  /** How many ticks ago the last announce was, at most: of the first bucket, of a large swarm. */
  age(swarm: number, tick: number): number {
    const bucket = this.#isLarge(swarm) ? this.#directory.bucketAt(swarm, 0) : swarm;
    let youngest = TICKS;
    for (let index = this.buckets.count(bucket) - 1; index >= 0; index--)
      youngest = Math.min(youngest, this.buckets.age(bucket, index, tick));
    return youngest;
  }

  /** Where the next step of expire() goes on; −1: this swarm is done. */
  next = -1;

  /**
   * Drops peers that were not heard of for more than `lifetime` ticks, of one bucket, the one at `entry`; the swarm's number after it. `next`
   * and `dropped` tell the rest.
   */
  expire(swarm: number, entry: number, tick: number, lifetime: number): number {
    this.next = -1;
    this.dropped = 0;
    this.#index = -1;
    if (!this.#isLarge(swarm)) {
      this.#expireBucket(swarm, tick, lifetime);
      return this.dropped === 0 ? swarm : this.#shrink(swarm, false, 0, swarm);
    }
    const directory = this.#directory;
    // The directory may have become smaller since the last step.
    if (entry >= 1 << directory.depth(swarm)) return swarm;
    const bucket = directory.bucketAt(swarm, entry);
    const seedersBefore = this.buckets.seeders(bucket);
    this.#expireBucket(bucket, tick, lifetime);
    if (this.dropped > 0) {
      directory.count(swarm, this.buckets.seeders(bucket) - seedersBefore, -this.dropped);
      this.#fit(swarm, entry, bucket);
    }
    const end = directory.merge(swarm, entry);
    if (end < 1 << directory.depth(swarm)) {
      this.next = end;
      return swarm;
    }
    while (directory.halve(swarm));
    return this.#settle(swarm);
  }

  #expireBucket(bucket: number, tick: number, lifetime: number): void {
    // From the end: what closes a gap was looked at before, or is a seeder, which leaves its place to a leecher that was.
    for (let index = this.buckets.count(bucket) - 1; index >= 0; index--) {
      if (this.buckets.age(bucket, index, tick) <= lifetime) continue;
      this.buckets.remove(bucket, index);
      this.dropped++;
    }
  }

  #insert(
    swarm: number,
    at: number,
    hash: number,
    endpoint: Uint16Array,
    seeder: boolean,
    tick: number,
  ): number {
    const { buckets } = this;
    const directory = this.#directory;
    let grown = swarm;
    let bucket = at;
    let large = this.#isLarge(swarm);
    this.look(swarm);
    if (this.peers >= this.#peersMax) {
      // The oldest of the bucket makes room, so that nobody is locked out for ever.
      if (!this.#dropOldest(swarm, large, bucket)) return swarm;
    }
    // Buckets of a large swarm grow in step: those that are late leave pages that are nearly empty.
    if (buckets.count(bucket) < buckets.capacity(bucket) && this.#pages.isSparse(bucket)) {
      const moved = buckets.resize(bucket, buckets.count(bucket) + 1);
      if (moved !== 0) {
        if (large) directory.replace(grown, directory.entryOf(grown, hash), moved);
        else grown = moved;
        bucket = moved;
      }
    }
    while (buckets.count(bucket) === buckets.capacity(bucket)) {
      const count = buckets.count(bucket);
      if (count < BUCKET_PEERS_MAX) {
        const larger = buckets.resize(bucket, count + 1);
        if (larger === 0) return grown;
        if (large) directory.replace(grown, directory.entryOf(grown, hash), larger);
        else grown = larger;
        bucket = larger;
        break;
      }
      if (!large) {
        const created = directory.create(bucket);
        if (created === 0) return grown;
        grown = created;
        large = true;
      }
      if (!directory.split(grown, hash) && !this.#dropOldest(grown, true, bucket)) return grown;
      bucket = directory.bucketAt(grown, directory.entryOf(grown, hash));
    }
    this.#bucket = bucket;
    this.#index = buckets.add(bucket, hash & 0xff, endpoint, seeder, tick);
    if (large) directory.count(grown, seeder ? 1 : 0, 1);
    return grown;
  }

  #dropOldest(swarm: number, large: boolean, bucket: number): boolean {
    const { buckets } = this;
    if (buckets.count(bucket) === 0) return false;
    const oldest = buckets.oldest(bucket, this.now);
    const seeder = oldest < buckets.seeders(bucket);
    buckets.remove(bucket, oldest);
    if (large) this.#directory.count(swarm, seeder ? -1 : 0, -1);
    this.dropped++;
    return true;
  }

  /** After a removal: a smaller block, or none. */
  #shrink(swarm: number, large: boolean, entry: number, bucket: number): number {
    if (large) {
      this.#fit(swarm, entry, bucket);
      return this.#settle(swarm);
    }
    const count = this.buckets.count(bucket);
    if (count > 0) return this.#smaller(bucket);
    this.buckets.free(bucket);
    return 0;
  }

  #fit(swarm: number, entry: number, bucket: number): void {
    const smaller = this.#smaller(bucket);
    if (smaller !== bucket) this.#directory.replace(swarm, entry, smaller);
  }

  #smaller(bucket: number): number {
    if (!this.buckets.isRoomy(bucket)) return bucket;
    const smaller = this.buckets.resize(bucket, Math.max(1, this.buckets.count(bucket)));
    return smaller === 0 ? bucket : smaller;
  }

  /** A directory of one bucket becomes that bucket; one without peers, nothing. */
  #settle(swarm: number): number {
    const directory = this.#directory;
    if (directory.peers(swarm) === 0) {
      this.free(swarm);
      return 0;
    }
    if (directory.depth(swarm) > 0) return swarm;
    const bucket = directory.bucketAt(swarm, 0);
    if (this.buckets.count(bucket) > BUCKET_PEERS_MAX / 2) return swarm;
    directory.dissolve(swarm);
    return bucket;
  }

  /** Looks through a swarm, and names its blocks; how many peers it has. */
  checkInvariants(swarm: number, visit: (block: number) => void): number {
    if (swarm === 0) return 0;
    this.look(swarm);
    if (this.#isLarge(swarm)) {
      const { seeders, peers } = this.#directory.visit(swarm, 0, visit);
      assert(seeders === this.seeders && peers === this.peers, "a swarm has what its buckets have");
      this.#directory.checkInvariants(swarm);
    } else {
      visit(swarm);
      this.buckets.checkInvariants(swarm);
      assert(this.peers > 0, "nobody has no bucket");
    }
    return this.peers;
  }

  /** Names the blocks that are owed. */
  visitOwed(visit: (block: number) => void): void {
    this.#directory.visitOwed(visit);
  }
}

/** All bits of a number from all of its bits: 32 with sign. */
function spread(dice: number): number {
  return Math.imul(dice, 0x9e3779b1);
}
