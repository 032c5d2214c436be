// Large swarms: a directory of buckets, found by the first bits of an endpoint's hash (extendible hashing). A full bucket is split
// in two, and nothing else moves; the directory doubles when a bucket is split that has only one entry of it.
//
//   swarm      │ 0x00ff, depth │ seeders │ peers │ directory │
//   directory  2^depth entries, each the number of a bucket; a bucket of less depth than the directory has several, side by side.
//              Above 1024 entries it is a root whose entries name leaves of 1024.
//
// Always: the entries of a bucket of depth d are the 2^(depth − d) that begin with its d bits. `seeders` and `peers` are the sums of
// its buckets. Where memory is short nothing changes and it says so.

import { assert } from "../../base/assert.js";
import type { Pages } from "./pages.js";
import type { PeerBuckets } from "./peer-buckets.js";

/** Where a bucket has the number of its capacity, a large swarm has this. */
export const LARGE = 0xff;
const RECORD_WORDS = 4;
const SEEDERS_AT = 1;
const PEERS_AT = 2;
const DIRECTORY_AT = 3;
const LEAF_BITS = 10;
const LEAF_ENTRIES = 1 << LEAF_BITS;
const DEPTH_MAX = 2 * LEAF_BITS;
/** Two buckets become one when they have so many peers together: that leaves room before it is split again. */
const MERGED_PEERS_MAX = 64;

export class SwarmDirectory {
  readonly #pages: Pages;
  readonly #words: Uint32Array;
  readonly #buckets: PeerBuckets;
  /** Sizes of blocks as Pages numbers them: of a record, and of 2^0 entries; the next ones follow. */
  readonly #firstSize: number;

  constructor(pages: Pages, buckets: PeerBuckets, firstSize: number) {
    this.#pages = pages;
    this.#words = pages.words;
    this.#buckets = buckets;
    this.#firstSize = firstSize;
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
    this.#words[swarm + SEEDERS_AT] = this.#words[swarm + SEEDERS_AT]! + seeders;
    this.#words[swarm + PEERS_AT] = this.#words[swarm + PEERS_AT]! + peers;
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

  /** Frees record and directory, not the buckets. */
  dissolve(swarm: number): void {
    this.#freeDirectory(this.#words[swarm + DIRECTORY_AT]!, this.depth(swarm));
    this.#pages.free(swarm);
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
    const span = 1 << (this.depth(swarm) - this.#buckets.depth(bucket));
    const first = entry & ~(span - 1);
    for (let index = first; index < first + span; index++) this.#words[this.#place(swarm, index)] = bucket;
  }

  /** Splits the bucket of this hash. False: no memory, or the bits of the hash are used up. */
  split(swarm: number, hash: number): boolean {
    const buckets = this.#buckets;
    const full = this.bucketAt(swarm, this.entryOf(swarm, hash));
    const depth = buckets.depth(full);
    if (depth === this.depth(swarm) && !this.#double(swarm)) return false;
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
    const span = 1 << (this.depth(swarm) - depth);
    const first = this.entryOf(swarm, hash) & ~(span - 1);
    this.replace(swarm, first, low);
    this.replace(swarm, first + span / 2, high);
    buckets.free(full);
    return true;
  }

  /** Makes one bucket of the one at `entry` and its neighbour, if they are small and of one depth. Where the next bucket begins. */
  merge(swarm: number, entry: number): number {
    const buckets = this.#buckets;
    const bucket = this.bucketAt(swarm, entry);
    const depth = buckets.depth(bucket);
    const span = 1 << (this.depth(swarm) - depth);
    const end = (entry & ~(span - 1)) + span;
    if (depth === 0) return end;
    const neighbour = this.bucketAt(swarm, entry ^ span);
    const sum = buckets.count(bucket) + buckets.count(neighbour);
    if (buckets.depth(neighbour) !== depth || sum > MERGED_PEERS_MAX) return end;
    const merged = buckets.create(Math.max(1, sum), depth - 1);
    if (merged === 0) return end;
    for (const part of [bucket, neighbour])
      for (let index = buckets.count(part) - 1; index >= 0; index--) buckets.transfer(part, index, merged);
    this.replace(swarm, entry, merged);
    buckets.free(bucket);
    buckets.free(neighbour);
    return end;
  }

  /** Halves the directory, if no bucket needs all of its bits and there is memory for the smaller one. */
  halve(swarm: number): boolean {
    const depth = this.depth(swarm);
    if (depth === 0) return false;
    const entries = 1 << depth;
    for (let entry = 0; entry < entries; entry += 2)
      if (this.bucketAt(swarm, entry) !== this.bucketAt(swarm, entry + 1)) return false;
    return this.#rebuild(swarm, depth - 1);
  }

  #double(swarm: number): boolean {
    const depth = this.depth(swarm);
    return depth < DEPTH_MAX && this.#rebuild(swarm, depth + 1);
  }

  /** A directory of another depth, one more or one less. */
  #rebuild(swarm: number, depth: number): boolean {
    const directory = this.#takeDirectory(depth);
    if (directory === 0) return false;
    const old = this.depth(swarm);
    const entries = 1 << depth;
    for (let entry = 0; entry < entries; entry++) {
      const bucket = this.bucketAt(swarm, depth > old ? entry >>> 1 : entry << 1);
      this.#words[this.#placeIn(directory, depth, entry)] = bucket;
    }
    this.#freeDirectory(this.#words[swarm + DIRECTORY_AT]!, old);
    this.#words[swarm] = (LARGE << 16) | depth;
    this.#words[swarm + DIRECTORY_AT] = directory;
    return true;
  }

  #place(swarm: number, entry: number): number {
    return this.#placeIn(this.#words[swarm + DIRECTORY_AT]!, this.depth(swarm), entry);
  }

  #placeIn(directory: number, depth: number, entry: number): number {
    if (depth <= LEAF_BITS) return directory + entry;
    return this.#words[directory + (entry >>> LEAF_BITS)]! + (entry & (LEAF_ENTRIES - 1));
  }

  #takeDirectory(depth: number): number {
    assert(depth <= DEPTH_MAX, "a root is no larger than a leaf");
    if (depth <= LEAF_BITS) return this.#pages.take(this.#firstSize + 1 + depth);
    const root = this.#pages.take(this.#firstSize + 1 + depth - LEAF_BITS);
    if (root === 0) return 0;
    const leaves = 1 << (depth - LEAF_BITS);
    for (let leaf = 0; leaf < leaves; leaf++) {
      const taken = this.#pages.take(this.#firstSize + 1 + LEAF_BITS);
      if (taken === 0) {
        for (let given = 0; given < leaf; given++) this.#pages.free(this.#words[root + given]!);
        this.#pages.free(root);
        return 0;
      }
      this.#words[root + leaf] = taken;
    }
    return root;
  }

  #freeDirectory(directory: number, depth: number): void {
    if (depth > LEAF_BITS) {
      const leaves = 1 << (depth - LEAF_BITS);
      for (let leaf = 0; leaf < leaves; leaf++) this.#pages.free(this.#words[directory + leaf]!);
    }
    this.#pages.free(directory);
  }
}
