// Hashes with a key, over words of 32 bits: nobody who does not know the key can choose what collides, or make a hash that
// holds. Both are additions, rotations and exclusive ors of 32-bit words, which is what JavaScript's integers are good at.
//
// `halfSipHash` (SipHash's authors; c compression and d final rounds, 32 bits of result) spreads keys over a table. `Chaskey` (Mouha
// et al. 2014, with 12 rounds; a key of 128 bits) vouches for something that we will be shown again.
//
// Always: nothing is allocated, and the result depends on nothing but key and words. Words are taken as they come; whoever wants the
// same hash on machines of both byte orders reads them in one order.

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/**
 * HalfSipHash-c-d of `count` words from `at`, as 32 bits with sign: V8 may allocate for a larger number whenever one is handed on. The
 * published one, for messages of whole words. `key`: 2 words.
 */
export function halfSipHash(
  c: number,
  d: number,
  key: Uint32Array,
  words: Uint32Array,
  at: number,
  count: number,
): number {
  let v0 = key[0]! | 0;
  let v1 = key[1]! | 0;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  // One round more than there are words: the last one holds the length.
  for (let index = 0; index <= count; index++) {
    const word = (index === count ? (4 * count) << 24 : words[at + index]!) | 0;
    v3 ^= word;
    for (let round = 0; round < c; round++) {
      v0 = (v0 + v1) | 0;
      v1 = rotate(v1, 5) ^ v0;
      v0 = rotate(v0, 16);
      v2 = (v2 + v3) | 0;
      v3 = rotate(v3, 8) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = rotate(v3, 7) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = rotate(v1, 13) ^ v2;
      v2 = rotate(v2, 16);
    }
    v0 ^= word;
  }
  v2 ^= 0xff;
  for (let round = 0; round < d; round++) {
    v0 = (v0 + v1) | 0;
    v1 = rotate(v1, 5) ^ v0;
    v0 = rotate(v0, 16);
    v2 = (v2 + v3) | 0;
    v3 = rotate(v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotate(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotate(v1, 13) ^ v2;
    v2 = rotate(v2, 16);
  }
  return v1 ^ v3;
}

/** Words of a block. A message is whole blocks here: whoever has fewer words says in the last one what they are. */
export const CHASKEY_BLOCK_WORDS = 4;
export const CHASKEY_KEY_WORDS = 4;
const CHASKEY_ROUNDS = 12;

/** Chaskey-12 under one key, for messages of whole blocks. The tag is in `high` and `low` until the next call. */
export class Chaskey {
  readonly #k0: number;
  readonly #k1: number;
  readonly #k2: number;
  readonly #k3: number;
  // The key doubled in the field of 2^128, which whitens the last block.
  readonly #l0: number;
  readonly #l1: number;
  readonly #l2: number;
  readonly #l3: number;
  /** The first and second word of the last tag, without sign. */
  low = 0;
  high = 0;

  constructor(key: Uint32Array) {
    const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = key;
    this.#k0 = k0 | 0;
    this.#k1 = k1 | 0;
    this.#k2 = k2 | 0;
    this.#k3 = k3 | 0;
    this.#l0 = (k0 << 1) ^ (k3 >>> 31 === 1 ? 0x87 : 0);
    this.#l1 = (k1 << 1) | (k0 >>> 31);
    this.#l2 = (k2 << 1) | (k1 >>> 31);
    this.#l3 = (k3 << 1) | (k2 >>> 31);
  }

  /** The tag of one block. */
  block(m0: number, m1: number, m2: number, m3: number): void {
    this.#last(this.#k0 ^ m0, this.#k1 ^ m1, this.#k2 ^ m2, this.#k3 ^ m3);
  }

  /** The tag of `words[at …]`, `blocks` blocks of CHASKEY_BLOCK_WORDS; at least one. */
  blocks(words: Uint32Array, at: number, blocks: number): void {
    let v0 = this.#k0;
    let v1 = this.#k1;
    let v2 = this.#k2;
    let v3 = this.#k3;
    const lastAt = at + CHASKEY_BLOCK_WORDS * (blocks - 1);
    for (let index = at; index < lastAt; index += CHASKEY_BLOCK_WORDS) {
      v0 ^= words[index]!;
      v1 ^= words[index + 1]!;
      v2 ^= words[index + 2]!;
      v3 ^= words[index + 3]!;
      for (let round = 0; round < CHASKEY_ROUNDS; round++) {
        v0 = (v0 + v1) | 0;
        v1 = rotate(v1, 5) ^ v0;
        v0 = rotate(v0, 16);
        v2 = (v2 + v3) | 0;
        v3 = rotate(v3, 8) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = rotate(v3, 13) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = rotate(v1, 7) ^ v2;
        v2 = rotate(v2, 16);
      }
    }
    this.#last(
      v0 ^ words[lastAt]!,
      v1 ^ words[lastAt + 1]!,
      v2 ^ words[lastAt + 2]!,
      v3 ^ words[lastAt + 3]!,
    );
  }

  #last(s0: number, s1: number, s2: number, s3: number): void {
    let v0 = s0 ^ this.#l0;
    let v1 = s1 ^ this.#l1;
    let v2 = s2 ^ this.#l2;
    let v3 = s3 ^ this.#l3;
    for (let round = 0; round < CHASKEY_ROUNDS; round++) {
      v0 = (v0 + v1) | 0;
      v1 = rotate(v1, 5) ^ v0;
      v0 = rotate(v0, 16);
      v2 = (v2 + v3) | 0;
      v3 = rotate(v3, 8) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = rotate(v3, 13) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = rotate(v1, 7) ^ v2;
      v2 = rotate(v2, 16);
    }
    this.low = (v0 ^ this.#l0) >>> 0;
    this.high = (v1 ^ this.#l1) >>> 0;
  }
}
