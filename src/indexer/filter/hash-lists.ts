// Info hashes in lists, each from the newest to the oldest, with an index over all: what caches with a rule of replacement stand on. Lists and
// chains of the index are numbers in typed arrays: a Map in order of insertion would leave a hole for each hash that moves.
//
//   buckets ──▶ entry ──chain──▶ entry          entry: hash 20 │ chain 4 │ newer 4 │ older 4 │ list 1
//
// Always: a hash is in one list at the most, all 20 bytes are compared, and memory is what `bytes` says. Nothing is allocated but by
// reserve().

import { assert } from "../../base/assert.js";
import { halfSipHash } from "../../base/keyed-hash.js";

export const HASH_BYTES = 20;
const HASH_WORDS = HASH_BYTES / 4;
export const NONE = -1;
const ENTRIES_MIN = 64;
const ROUNDS = 1;
const FINAL_ROUNDS = 3;

export class HashLists {
  readonly #key: Uint32Array;
  readonly #wanted = new Uint32Array(HASH_WORDS);
  readonly #wantedBytes = new Uint8Array(this.#wanted.buffer);
  #words = new Uint32Array(0);
  #chain = new Int32Array(0);
  #newer = new Int32Array(0);
  #older = new Int32Array(0);
  #list = new Uint8Array(0);
  #buckets = new Int32Array(0);
  /** Of each list: its newest and oldest entry, and how many it has. */
  readonly #newest: Int32Array;
  readonly #oldest: Int32Array;
  readonly #counts: Int32Array;
  /** Entries that were in use and are not any more, chained; those from `#fresh` on never were. */
  #free = NONE;
  #fresh = 0;
  #wantedBucket = 0;

  /** `key`: 2 words that nobody knows who chooses hashes. */
  constructor(lists: number, key: Uint32Array) {
    this.#key = key;
    this.#newest = new Int32Array(lists).fill(NONE);
    this.#oldest = new Int32Array(lists).fill(NONE);
    this.#counts = new Int32Array(lists);
  }

  get bytes(): number {
    const tables = [this.#words, this.#chain, this.#newer, this.#older, this.#list, this.#buckets];
    return tables.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Makes room for so many hashes, if there is less: twice as many as before at least, so that growing costs little in the long run. */
  reserve(entries: number): void {
    const before = this.#list.length;
    if (entries <= before) return;
    const room = Math.max(entries, 2 * before, ENTRIES_MIN);
    this.#words = grown(this.#words, new Uint32Array(HASH_WORDS * room));
    this.#chain = grown(this.#chain, new Int32Array(room));
    this.#newer = grown(this.#newer, new Int32Array(room));
    this.#older = grown(this.#older, new Int32Array(room));
    this.#list = grown(this.#list, new Uint8Array(room));
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(room))).fill(NONE);
    for (let list = 0; list < this.#newest.length; list++)
      for (let entry = this.#newest[list]!; entry !== NONE; entry = this.#older[entry]!) {
        const bucket = this.#bucketOf(this.#words, HASH_WORDS * entry);
        this.#chain[entry] = this.#buckets[bucket]!;
        this.#buckets[bucket] = entry;
      }
  }

  count(list: number): number {
    return this.#counts[list]!;
  }

  /** The entry of a hash, or NONE: insert() then takes this one. */
  find(bytes: Uint8Array, at: number): number {
    for (let index = 0; index < HASH_BYTES; index++) this.#wantedBytes[index] = bytes[at + index]!;
    this.#wantedBucket = this.#bucketOf(this.#wanted, 0);
    let entry = this.#buckets[this.#wantedBucket]!;
    while (entry !== NONE && !this.#isWanted(entry)) entry = this.#chain[entry]!;
    return entry;
  }

  listOf(entry: number): number {
    return this.#list[entry]!;
  }

  oldest(list: number): number {
    return this.#oldest[list]!;
  }

  /** Puts the hash that find() did not find into a list, as its newest. There is room for it. */
  insert(list: number): void {
    let entry = this.#free;
    if (entry === NONE) entry = this.#fresh++;
    else this.#free = this.#chain[entry]!;
    assert(entry < this.#list.length, "there is room for a hash");
    for (let index = 0; index < HASH_WORDS; index++)
      this.#words[HASH_WORDS * entry + index] = this.#wanted[index]!;
    this.#chain[entry] = this.#buckets[this.#wantedBucket]!;
    this.#buckets[this.#wantedBucket] = entry;
    this.#link(entry, list);
  }

  /** Makes an entry the newest of a list: its own, or another. */
  move(entry: number, list: number): void {
    this.#unlink(entry);
    this.#link(entry, list);
  }

  remove(entry: number): void {
    this.#unlink(entry);
    const bucket = this.#bucketOf(this.#words, HASH_WORDS * entry);
    const next = this.#chain[entry]!;
    if (this.#buckets[bucket] === entry) this.#buckets[bucket] = next;
    else {
      let before = this.#buckets[bucket]!;
      while (this.#chain[before] !== entry) before = this.#chain[before]!;
      this.#chain[before] = next;
    }
    this.#chain[entry] = this.#free;
    this.#free = entry;
  }

  checkInvariants(): void {
    let linked = 0;
    for (let list = 0; list < this.#newest.length; list++) {
      let newer = NONE;
      let count = 0;
      for (let entry = this.#newest[list]!; entry !== NONE; entry = this.#older[entry]!) {
        assert(this.#newer[entry] === newer && this.#list[entry] === list, "a list is linked both ways");
        newer = entry;
        count++;
      }
      assert(
        this.#oldest[list] === newer && this.#counts[list] === count,
        "a list knows its end and its length",
      );
      linked += count;
    }
    let indexed = 0;
    for (let bucket = 0; bucket < this.#buckets.length; bucket++)
      for (let entry = this.#buckets[bucket]!; entry !== NONE; entry = this.#chain[entry]!) {
        assert(this.#bucketOf(this.#words, HASH_WORDS * entry) === bucket, "a hash is in its bucket");
        indexed++;
      }
    let free = 0;
    for (let entry = this.#free; entry !== NONE; entry = this.#chain[entry]!) free++;
    assert(indexed === linked && linked + free === this.#fresh, "each entry is in the index or free");
  }

  #bucketOf(words: Uint32Array, at: number): number {
    return halfSipHash(ROUNDS, FINAL_ROUNDS, this.#key, words, at, HASH_WORDS) & (this.#buckets.length - 1);
  }

  #isWanted(entry: number): boolean {
    const at = HASH_WORDS * entry;
    for (let index = 0; index < HASH_WORDS; index++)
      if (this.#words[at + index] !== this.#wanted[index]) return false;
    return true;
  }

  #link(entry: number, list: number): void {
    const next = this.#newest[list]!;
    this.#list[entry] = list;
    this.#newer[entry] = NONE;
    this.#older[entry] = next;
    if (next === NONE) this.#oldest[list] = entry;
    else this.#newer[next] = entry;
    this.#newest[list] = entry;
    this.#counts[list] = this.#counts[list]! + 1;
  }

  #unlink(entry: number): void {
    const list = this.#list[entry]!;
    const newer = this.#newer[entry]!;
    const older = this.#older[entry]!;
    if (newer === NONE) this.#newest[list] = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#oldest[list] = newer;
    else this.#newer[older] = newer;
    this.#counts[list] = this.#counts[list]! - 1;
  }
}

function grown<Table extends Uint32Array | Int32Array | Uint8Array>(from: Table, to: Table): Table {
  to.set(from);
  return to;
}
