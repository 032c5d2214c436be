// Two Bloom filters: one takes hashes until it holds as many as it is good for, then the other one is emptied and goes on. A seventh of the
// memory of a list a hash is enough, at the price of leaving out a few that were never seen.
//
// Always: a hash is remembered until as many others came as one filter is for, and at the most for twice as many; of hashes that never came,
// a share of twice `FALSE_POSITIVES` at the most is held to be known.

import { halfSipHash } from "../../base/keyed-hash.js";
import type { HashFilter } from "./contract.js";
import { HASH_BYTES } from "./hash-lists.js";

const FALSE_POSITIVES = 0.001;
/** log2(1/p) hash functions, of log2(e) · log2(1/p) bits a hash: what is best for that share. */
const FUNCTIONS = Math.round(-Math.log2(FALSE_POSITIVES));
const BITS_PER_HASH = -Math.log2(FALSE_POSITIVES) / Math.LN2;
const HASH_WORDS = HASH_BYTES / 4;
const ROUNDS = 1;
const FINAL_ROUNDS = 3;

export class RotatingBloomFilter implements HashFilter {
  readonly bytes: number;
  /** Hashes that one of both takes. */
  readonly generation: number;
  readonly #bits: number;
  readonly #key: Uint32Array;
  readonly #otherKey: Uint32Array;
  readonly #hash = new Uint32Array(HASH_WORDS);
  readonly #hashBytes = new Uint8Array(this.#hash.buffer);
  #current: Uint32Array;
  #previous: Uint32Array;
  #taken = 0;
  #first = 0;
  #stride = 0;

  /** `bytes`: of both together, a multiple of 8. `key`: 4 words that nobody knows. */
  constructor(bytes: number, key: Uint32Array) {
    this.bytes = bytes;
    this.#current = new Uint32Array(bytes / 8);
    this.#previous = new Uint32Array(bytes / 8);
    this.#bits = 4 * bytes;
    this.generation = Math.floor(this.#bits / BITS_PER_HASH);
    this.#key = key.slice(0, 2);
    this.#otherKey = key.slice(2, 4);
  }

  seen(bytes: Uint8Array, at: number): boolean {
    for (let index = 0; index < HASH_BYTES; index++) this.#hashBytes[index] = bytes[at + index]!;
    this.#first = halfSipHash(ROUNDS, FINAL_ROUNDS, this.#key, this.#hash, 0, HASH_WORDS) >>> 0;
    this.#stride = halfSipHash(ROUNDS, FINAL_ROUNDS, this.#otherKey, this.#hash, 0, HASH_WORDS) | 1;
    if (this.#has(this.#current)) return true;
    const isKnown = this.#has(this.#previous);
    if (this.#taken === this.generation) this.#rotate();
    this.#take();
    return isKnown;
  }

  #has(filter: Uint32Array): boolean {
    let bit = this.#first;
    for (let index = 0; index < FUNCTIONS; index++) {
      const at = bit % this.#bits;
      if ((filter[at >>> 5]! & (1 << (at & 31))) === 0) return false;
      bit = (bit + this.#stride) >>> 0;
    }
    return true;
  }

  #take(): void {
    let bit = this.#first;
    for (let index = 0; index < FUNCTIONS; index++) {
      const at = bit % this.#bits;
      this.#current[at >>> 5] = this.#current[at >>> 5]! | (1 << (at & 31));
      bit = (bit + this.#stride) >>> 0;
    }
    this.#taken++;
  }

  #rotate(): void {
    const emptied = this.#previous;
    this.#previous = this.#current;
    this.#current = emptied;
    emptied.fill(0);
    this.#taken = 0;
  }
}
