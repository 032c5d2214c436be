// Large swarms: a directory of buckets, found by the first bits of an endpoint's hash (extendible hashing). A full bucket is split
// in two, and nothing else moves; where a bucket needs a bit more than its part of the directory tells apart, that part is split.
//
//   swarm      │ 0x00ff, depth │ seeders │ peers │ directory │     given up: │ 0x00ff, depth │ next │ entries freed │ directory │
//   directory  up to 1024 entries: a block of 2^depth, each the number of a bucket; a bucket of less depth has several, side by side.
//              Above: a root of 2^(depth − 10) entries that name leaves of 1024 entries
//
//   root       │ leaf's number │ its depth │     a leaf tells 10 bits apart behind the first ones, as many as its depth, that all hashes in it
//                                             share; one of less depth than the root has several of the root's entries, side by side
//
// So a directory of a million entries grows and shrinks by a leaf at a time, and an announce waits for that at the most. A swarm that is given up as a
// whole is owed: it stands in a list until freeOwed() has freed its buckets, some at a time.
//
// One file, because each step leaves entries, leaves and root as the others rely on them, and nothing else knows how they lie.
//
// Entries are numbered by `depth` bits everywhere outside of here, whatever the depth of the leaf they are in.
//
// Always: the entries of a bucket of depth d are the 2^(depth − d) that begin with its d bits, and are in one leaf. `seeders` and `peers` are
// the sums of its buckets. Where memory is short nothing changes and it says so.

import { assert } from "../../base/assert.js";
import { PAGE_WORDS, type Pages } from "./pages.js";
import type { PeerBuckets } from "./peer-buckets.js";

/** Where a bucket has the number of its capacity, a large swarm has this. */
export const LARGE = 0xff;
const RECORD_WORDS = 4;
const SEEDERS_AT = 1;
const PEERS_AT = 2;
const DIRECTORY_AT = 3;
/** Of a swarm that was given up: the one that was given up before it, and how many entries are freed. */
const OWED_NEXT_AT = SEEDERS_AT;
const OWED_ENTRY_AT = PEERS_AT;
const LEAF_BITS = 10;
const LEAF_ENTRIES = 1 << LEAF_BITS;
const DEPTH_MAX = 2 * LEAF_BITS;
/** An entry of a root: leaves are blocks that divide a page, so that the low bits of their numbers are free. */
const LEAF_DEPTH = LEAF_ENTRIES - 1;
const LEAF_NUMBER = 0x3fffffff & ~LEAF_DEPTH;
/** Two buckets become one when they have so many peers together: that leaves room before it is split again. */
const MERGED_PEERS_MAX = 64;

export class SwarmDirectory {
  readonly #pages: Pages;
  readonly #words: Uint32Array;
  readonly #buckets: PeerBuckets;
  /** Sizes of blocks as Pages numbers them: of a record, and of 2^0 entries; the next ones follow. */
  readonly #firstSize: number;
  /** One word: the swarm that was given up last, or 0. */
  readonly #owed: Int32Array;

  /** `owed`: a word, 0 at first, that stays with the pages. */
  constructor(pages: Pages, buckets: PeerBuckets, firstSize: number, owed: Int32Array) {
    assert(PAGE_WORDS % LEAF_ENTRIES === 0, "the low bits of a leaf's number are free");
    this.#pages = pages;
    this.#words = pages.words;
    this.#buckets = buckets;
    this.#firstSize = firstSize;
    this.#owed = owed;
  }

  static blockWords(): number[] {
    return [RECORD_WORDS, ...Array.from({ length: LEAF_BITS + 1 }, (_, bits) => 2 ** bits)];
  }

  depth(swarm: number): number {
    return this.#words[swarm]! & 0xffff;
  }

  seeders(swarm: number): number {
    return this.#words[swarm + SEEDERS_AT]!;
  }

  peers(swarm: number): number {
    return this.#words[swarm + PEERS_AT]!;
  }

  count(swarm: number, seeders: number, peers: number): void {
    const seedersNow = this.#words[swarm + SEEDERS_AT]! + seeders;
    const peersNow = this.#words[swarm + PEERS_AT]! + peers;
    assert(seedersNow >= 0 && seedersNow <= peersNow, "no more leave a swarm than came");
    this.#words[swarm + SEEDERS_AT] = seedersNow;
    this.#words[swarm + PEERS_AT] = peersNow;
  }

  /** A swarm of one bucket, or 0. */
  create(bucket: number): number {
    const swarm = this.#pages.take(this.#firstSize);
    if (swarm === 0) return 0;
    const directory = this.#pages.take(this.#firstSize + 1);
    if (directory === 0) {
      this.#pages.free(swarm);
      return 0;
    }
    this.#words[swarm] = LARGE << 16;
    this.#words[swarm + SEEDERS_AT] = this.#buckets.seeders(bucket);
    this.#words[swarm + PEERS_AT] = this.#buckets.count(bucket);
    this.#words[swarm + DIRECTORY_AT] = directory;
    this.#words[directory] = bucket;
    this.#buckets.setDepth(bucket, 0);
    return swarm;
  }

  /** A swarm of one bucket becomes that bucket: frees the rest. */
  dissolve(swarm: number): void {
    assert(this.depth(swarm) === 0, "there is one bucket");
    this.#pages.free(this.#words[swarm + DIRECTORY_AT]!);
    this.#pages.free(swarm);
  }

  /** Nobody asks for this swarm any more: freeOwed() frees all of it. */
  giveUp(swarm: number): void {
    assert(swarm !== this.#owed[0], "a swarm is given up once");
    this.#words[swarm + OWED_NEXT_AT] = this.#owed[0]!;
    this.#words[swarm + OWED_ENTRY_AT] = 0;
    this.#owed[0] = swarm;
  }

  /** Whether swarms that were given up are not freed yet. */
  get isOwed(): boolean {
    return this.#owed[0] !== 0;
  }

  /** Frees `most` buckets of swarms that were given up, and what names none but those that are freed. Fewer: nothing is owed any more. */
  freeOwed(most: number): void {
    const words = this.#words;
    for (let freed = 0; freed < most && this.#owed[0] !== 0; ) {
      const swarm = this.#owed[0]!;
      const entries = 1 << this.depth(swarm);
      let entry = words[swarm + OWED_ENTRY_AT]!;
      for (; entry < entries && freed < most; freed++) entry = this.#freeBucket(swarm, entry);
      assert(entry <= entries, "the last bucket ends with the directory");
      words[swarm + OWED_ENTRY_AT] = entry;
      if (entry < entries) return;
      this.#owed[0] = words[swarm + OWED_NEXT_AT]!;
      this.#pages.free(words[swarm + DIRECTORY_AT]!);
      this.#pages.free(swarm);
    }
  }

  /** Frees the bucket that begins at this entry, and the leaf that ends with it. Where the next one begins. */
  #freeBucket(swarm: number, entry: number): number {
    const depth = this.depth(swarm);
    const bucket = this.bucketAt(swarm, entry);
    const span = 1 << (depth - this.#buckets.depth(bucket));
    assert((entry & (span - 1)) === 0, "a bucket is freed from its first entry on");
    const end = entry + span;
    this.#buckets.free(bucket);
    if (depth > LEAF_BITS) {
      const leaf = this.#words[this.#rootPlace(swarm, entry)]!;
      const leafEntries = 1 << (depth - (leaf & LEAF_DEPTH));
      if ((end & (leafEntries - 1)) === 0) this.#pages.free(leaf & LEAF_NUMBER);
    }
    return end;
  }

  /** Which entry a hash has. */
  entryOf(swarm: number, hash: number): number {
    const depth = this.depth(swarm);
    return depth === 0 ? 0 : hash >>> (32 - depth);
  }

  bucketAt(swarm: number, entry: number): number {
    return this.#words[this.#place(swarm, entry)]!;
  }

  /** Which word holds the bucket of a hash. */
  placeOf(swarm: number, hash: number): number {
    return this.#place(swarm, this.entryOf(swarm, hash));
  }

  /** Puts another bucket in all entries of the one that has this entry. */
  replace(swarm: number, entry: number, bucket: number): void {
    const unused = this.#unusedBits(swarm, entry);
    const span = 1 << (this.depth(swarm) - this.#buckets.depth(bucket));
    assert(span >>> unused > 0, "a bucket has an entry of its own");
    const first = this.#place(swarm, entry & ~(span - 1));
    const end = first + (span >>> unused);
    for (let place = first; place < end; place++) this.#words[place] = bucket;
  }

  /** Splits the bucket of this hash. False: no memory, or the bits of the hash are used up. */
  split(swarm: number, hash: number): boolean {
    const buckets = this.#buckets;
    const entry = this.entryOf(swarm, hash);
    const full = this.bucketAt(swarm, entry);
    const depth = buckets.depth(full);
    if (depth === this.depth(swarm) - this.#unusedBits(swarm, entry) && !this.#deepen(swarm, hash))
      return false;
    const bit = 1 << (31 - depth);
    const count = buckets.count(full);
    let upper = 0;
    for (let index = 0; index < count; index++) if ((buckets.hashAt(full, index) & bit) !== 0) upper++;
    const low = buckets.create(Math.max(1, count - upper), depth + 1);
    if (low === 0) return false;
    const high = buckets.create(Math.max(1, upper), depth + 1);
    if (high === 0) {
      buckets.free(low);
      return false;
    }
    for (let index = 0; index < count; index++)
      buckets.transfer(full, index, (buckets.hashAt(full, index) & bit) !== 0 ? high : low);
    assert(buckets.count(low) + buckets.count(high) === count, "a peer is in one half, and none is lost");
    const span = 1 << (this.depth(swarm) - depth);
    const first = this.entryOf(swarm, hash) & ~(span - 1);
    this.replace(swarm, first, low);
    this.replace(swarm, first + span / 2, high);
    buckets.free(full);
    return true;
  }

  /**
   * Makes one bucket of the one at `entry` and its neighbour, if they are small and of one depth, and goes on with that one; behind the last
   * bucket of two leaves it makes one of them, if no bucket needs both. Where the next bucket begins.
   */
  merge(swarm: number, entry: number): number {
    const depth = this.depth(swarm);
    const span = 1 << (depth - this.#buckets.depth(this.bucketAt(swarm, entry)));
    const end = (entry & ~(span - 1)) + span;
    while (this.#mergeBuckets(swarm, entry) || this.#joinLeaves(swarm, end));
    assert(this.depth(swarm) === depth, "entries keep their numbers");
    return end;
  }

  /** False: they stay two. */
  #mergeBuckets(swarm: number, entry: number): boolean {
    const buckets = this.#buckets;
    const bucket = this.bucketAt(swarm, entry);
    const depth = buckets.depth(bucket);
    // Its neighbour is in another leaf.
    if (depth === this.#leafDepth(swarm, entry)) return false;
    const span = 1 << (this.depth(swarm) - depth);
    const neighbour = this.bucketAt(swarm, entry ^ span);
    const sum = buckets.count(bucket) + buckets.count(neighbour);
    if (buckets.depth(neighbour) !== depth || sum > MERGED_PEERS_MAX) return false;
    const merged = buckets.create(Math.max(1, sum), depth - 1);
    if (merged === 0) return false;
    for (const part of [bucket, neighbour])
      for (let index = buckets.count(part) - 1; index >= 0; index--) buckets.transfer(part, index, merged);
    assert(buckets.count(merged) === sum, "a merged bucket has the peers of both");
    this.replace(swarm, entry, merged);
    buckets.free(bucket);
    buckets.free(neighbour);
    return true;
  }

  /** Halves the directory, if no bucket, or no leaf, needs all of its bits, and there is memory for the smaller one. */
  halve(swarm: number): boolean {
    const depth = this.depth(swarm);
    if (depth === 0) return false;
    if (depth > LEAF_BITS) return this.#halveRoot(swarm);
    const directory = this.#words[swarm + DIRECTORY_AT]!;
    return this.#isPaired(directory, 1 << depth) && this.#rebuild(swarm, depth - 1);
  }

  /** Whether entries from `first` on are the same two by two. */
  #isPaired(first: number, entries: number): boolean {
    const words = this.#words;
    for (let entry = 0; entry < entries; entry += 2)
      if (words[first + entry] !== words[first + entry + 1]) return false;
    return true;
  }

  /** One bit more for the buckets around this hash. */
  #deepen(swarm: number, hash: number): boolean {
    const depth = this.depth(swarm);
    if (depth < LEAF_BITS) return this.#rebuild(swarm, depth + 1);
    if (this.#unusedBits(swarm, this.entryOf(swarm, hash)) === 0 && !this.#doubleRoot(swarm)) return false;
    return this.#splitLeaf(swarm, this.entryOf(swarm, hash));
  }

  /** A directory of one block in another one, with twice or half as many entries. */
  #rebuild(swarm: number, depth: number): boolean {
    const old = this.depth(swarm);
    assert(Math.max(old, depth) <= LEAF_BITS, "it is one block before and after");
    const directory = this.#pages.take(this.#firstSize + 1 + depth);
    if (directory === 0) return false;
    const words = this.#words;
    const from = words[swarm + DIRECTORY_AT]!;
    const entries = 1 << depth;
    for (let entry = 0; entry < entries; entry++)
      words[directory + entry] = words[from + (depth > old ? entry >>> 1 : entry << 1)]!;
    this.#setDirectory(swarm, depth, directory);
    return true;
  }

  /** Two entries of the root for each, or a root for what was one block: no leaf changes. */
  #doubleRoot(swarm: number): boolean {
    const depth = this.depth(swarm);
    if (depth === DEPTH_MAX) return false;
    const rootBits = depth + 1 - LEAF_BITS;
    const root = this.#pages.take(this.#firstSize + 1 + rootBits);
    if (root === 0) return false;
    const words = this.#words;
    const from = words[swarm + DIRECTORY_AT]!;
    if (depth === LEAF_BITS) {
      assert((from & LEAF_DEPTH) === 0, "a block of 1024 entries is a leaf");
      words[root] = from;
      words[root + 1] = from;
      words[swarm] = (LARGE << 16) | (depth + 1);
      words[swarm + DIRECTORY_AT] = root;
      return true;
    }
    for (let entry = 0; entry < 1 << rootBits; entry++) words[root + entry] = words[from + (entry >>> 1)]!;
    this.#setDirectory(swarm, depth + 1, root);
    return true;
  }

  #halveRoot(swarm: number): boolean {
    const words = this.#words;
    const depth = this.depth(swarm);
    const rootBits = depth - LEAF_BITS;
    const root = words[swarm + DIRECTORY_AT]!;
    for (let entry = 0; entry < 1 << rootBits; entry++)
      if ((words[root + entry]! & LEAF_DEPTH) === rootBits) return false;
    if (rootBits === 1) {
      this.#setDirectory(swarm, LEAF_BITS, words[root]! & LEAF_NUMBER);
      return true;
    }
    const smaller = this.#pages.take(this.#firstSize + rootBits);
    if (smaller === 0) return false;
    for (let entry = 0; entry < 1 << (rootBits - 1); entry++)
      words[smaller + entry] = words[root + 2 * entry]!;
    this.#setDirectory(swarm, depth - 1, smaller);
    return true;
  }

  /** Another block takes the place of the directory's first one. */
  #setDirectory(swarm: number, depth: number, directory: number): void {
    assert(depth >= 0 && depth <= DEPTH_MAX, "entries have as many bits as root and leaves tell apart");
    this.#pages.free(this.#words[swarm + DIRECTORY_AT]!);
    this.#words[swarm] = (LARGE << 16) | depth;
    this.#words[swarm + DIRECTORY_AT] = directory;
  }

  /** Two leaves for the one that has this entry. */
  #splitLeaf(swarm: number, entry: number): boolean {
    const words = this.#words;
    const depth = this.#leafDepth(swarm, entry);
    const leaf = words[this.#rootPlace(swarm, entry)]! & LEAF_NUMBER;
    assert(depth < this.depth(swarm) - LEAF_BITS, "the root has entries for both");
    const upper = this.#pages.take(this.#firstSize + 1 + LEAF_BITS);
    if (upper === 0) return false;
    for (let at = 0; at < LEAF_ENTRIES; at++) words[upper + at] = words[leaf + ((LEAF_ENTRIES + at) >>> 1)]!;
    // Downwards: what is read is below what is written.
    for (let at = LEAF_ENTRIES - 1; at > 0; at--) words[leaf + at] = words[leaf + (at >>> 1)]!;
    const half = 1 << (this.depth(swarm) - depth - 1);
    this.#nameLeaf(swarm, entry & ~half, leaf, depth + 1);
    this.#nameLeaf(swarm, entry | half, upper, depth + 1);
    return true;
  }

  /** Makes one leaf of the two that end at the entry `end`. False: they don't, or a bucket needs all bits of its leaf. */
  #joinLeaves(swarm: number, end: number): boolean {
    const depth = this.#leafDepth(swarm, end - 1);
    if (depth === 0) return false;
    const span = 1 << (this.depth(swarm) - depth);
    if ((end & (2 * span - 1)) !== 0) return false;
    const words = this.#words;
    const lower = words[this.#rootPlace(swarm, end - 1 - span)]!;
    const upper = words[this.#rootPlace(swarm, end - 1)]! & LEAF_NUMBER;
    if ((lower & LEAF_DEPTH) !== depth) return false;
    const leaf = lower & LEAF_NUMBER;
    if (!this.#isPaired(upper, LEAF_ENTRIES) || !this.#isPaired(leaf, LEAF_ENTRIES)) return false;
    const half = LEAF_ENTRIES / 2;
    for (let at = 0; at < half; at++) words[leaf + at] = words[leaf + 2 * at]!;
    for (let at = 0; at < half; at++) words[leaf + half + at] = words[upper + 2 * at]!;
    this.#nameLeaf(swarm, end - 1, leaf, depth - 1);
    this.#pages.free(upper);
    return true;
  }

  /** Names the leaf in all entries of the root that are those of a leaf of this depth around `entry`. */
  #nameLeaf(swarm: number, entry: number, leaf: number, depth: number): void {
    assert((leaf & LEAF_DEPTH) === 0, "a leaf's number has room for its depth");
    assert(depth >= 0 && depth <= this.depth(swarm) - LEAF_BITS, "a leaf has an entry of the root");
    const span = 1 << (this.depth(swarm) - LEAF_BITS - depth);
    const first = this.#rootPlace(swarm, entry & ~((span << LEAF_BITS) - 1));
    for (let place = first; place < first + span; place++) this.#words[place] = leaf | depth;
  }

  #rootPlace(swarm: number, entry: number): number {
    return this.#words[swarm + DIRECTORY_AT]! + (entry >>> LEAF_BITS);
  }

  /** How many first bits all hashes in the leaf of this entry share; 0 of a directory of one block. */
  #leafDepth(swarm: number, entry: number): number {
    return this.depth(swarm) <= LEAF_BITS ? 0 : this.#words[this.#rootPlace(swarm, entry)]! & LEAF_DEPTH;
  }

  /** Bits of an entry's number that the leaf it is in does not tell apart. */
  #unusedBits(swarm: number, entry: number): number {
    const depth = this.depth(swarm);
    return depth <= LEAF_BITS ? 0 : depth - LEAF_BITS - this.#leafDepth(swarm, entry);
  }

  #place(swarm: number, entry: number): number {
    const words = this.#words;
    const directory = words[swarm + DIRECTORY_AT]!;
    const depth = this.depth(swarm);
    if (depth <= LEAF_BITS) return directory + entry;
    const named = words[directory + (entry >>> LEAF_BITS)]!;
    const unused = depth - LEAF_BITS - (named & LEAF_DEPTH);
    return (named & LEAF_NUMBER) + ((entry >>> unused) & (LEAF_ENTRIES - 1));
  }

  /** Names all blocks of a swarm from `entry` on, where a bucket begins. Returns the sums of its buckets, seeders and peers. For checkInvariants(). */
  visit(swarm: number, entry: number, visit: (block: number) => void): { seeders: number; peers: number } {
    const buckets = this.#buckets;
    const depth = this.depth(swarm);
    const sum = { seeders: 0, peers: 0 };
    visit(swarm);
    visit(this.#words[swarm + DIRECTORY_AT]!);
    for (let at = entry; at < 1 << depth; ) {
      const bucket = this.bucketAt(swarm, at);
      const end = at + (1 << (depth - buckets.depth(bucket)));
      const leafEntries = 1 << (depth - this.#leafDepth(swarm, at));
      if (depth > LEAF_BITS && (end & (leafEntries - 1)) === 0)
        visit(this.#words[this.#rootPlace(swarm, at)]! & LEAF_NUMBER);
      visit(bucket);
      sum.seeders += buckets.seeders(bucket);
      sum.peers += buckets.count(bucket);
      at = end;
    }
    return sum;
  }

  /** Looks at all entries and peers: a bucket has the entries of its bits, side by side, and the peers whose hashes begin with them. */
  checkInvariants(swarm: number): void {
    const buckets = this.#buckets;
    const depth = this.depth(swarm);
    for (let entry = 0; entry < 1 << depth; ) {
      const bucket = this.bucketAt(swarm, entry);
      const span = 1 << (depth - buckets.depth(bucket));
      assert((entry & (span - 1)) === 0, "the entries of a bucket begin with its bits");
      for (let other = entry; other < entry + span; other++)
        assert(this.bucketAt(swarm, other) === bucket, "a bucket has all entries that begin with its bits");
      buckets.checkInvariants(bucket);
      for (let index = 0; index < buckets.count(bucket); index++) {
        const own = this.entryOf(swarm, buckets.hashAt(bucket, index));
        assert(own >= entry && own < entry + span, "a peer is in the bucket of its hash");
      }
      entry += span;
    }
  }

  /** Names all blocks that are owed. */
  visitOwed(visit: (block: number) => void): void {
    for (let swarm = this.#owed[0]!; swarm !== 0; swarm = this.#words[swarm + OWED_NEXT_AT]!)
      this.visit(swarm, this.#words[swarm + OWED_ENTRY_AT]!, visit);
  }
}
