// Hashes with a key against what their authors publish, or against the same algorithm written plainly.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { Chaskey, halfSipHash } from "../../../src/base/keyed-hash.js";
import { makeRandom } from "../../support/property.js";
import { entryOf } from "../../support/required.js";

const MASK = 0xffffffffn;

function rotate(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (32n - bits))) & MASK;
}

/** Chaskey of whole blocks, as the paper says it, in whole numbers of any size. */
function plainChaskey(key: bigint[], blocks: bigint[][], rounds: number): bigint[] {
  const all = key.reduce((sum, word, index) => sum | (word << BigInt(32 * index)), 0n);
  let doubled = (all << 1n) & (2n ** 128n - 1n);
  if (all >> 127n === 1n) doubled ^= 0x87n;
  const whitening = [0n, 1n, 2n, 3n].map((index) => (doubled >> (32n * index)) & MASK);
  const v = [...key];
  for (const [number, block] of blocks.entries()) {
    const last = number === blocks.length - 1;
    for (let index = 0; index < 4; index++)
      v[index] = entryOf(v, index) ^ (entryOf(block, index) ^ (last ? entryOf(whitening, index) : 0n));
    for (let round = 0; round < rounds; round++) {
      v[0] = (entryOf(v, 0) + entryOf(v, 1)) & MASK;
      v[1] = rotate(entryOf(v, 1), 5n) ^ v[0];
      v[0] = rotate(v[0], 16n);
      v[2] = (entryOf(v, 2) + entryOf(v, 3)) & MASK;
      v[3] = rotate(entryOf(v, 3), 8n) ^ v[2];
      v[0] = (v[0] + v[3]) & MASK;
      v[3] = rotate(v[3], 13n) ^ v[0];
      v[2] = (v[2] + v[1]) & MASK;
      v[1] = rotate(v[1], 7n) ^ v[2];
      v[2] = rotate(v[2], 16n);
    }
  }
  return v.map((word, index) => word ^ entryOf(whitening, index));
}

describe("keyed hashes", () => {
  it("HalfSipHash-2-4 gives the published results for messages of whole words", () => {
    // Key 00 … 07, message 00 01 02 …, read as words in little-endian order.
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index);
    const view = new DataView(bytes.buffer);
    const words = Uint32Array.from({ length: 4 }, (_, index) => view.getUint32(4 * index, true));
    const key = words.slice(0, 2);
    assert.equal(halfSipHash(2, 4, key, words, 0, 0), 0x5b9f35a9 | 0);
    assert.equal(halfSipHash(2, 4, key, words, 0, 1), 0x89466e2a | 0);
    assert.equal(halfSipHash(2, 4, key, words, 0, 2), 0x8f84b8d0 | 0);
  });

  it("Chaskey is what the paper says, for one block and for several, whichever way it is asked", () => {
    const random = makeRandom(7);
    const word = () => Math.floor(random() * 2 ** 32);
    for (let round = 0; round < 200; round++) {
      const key = Uint32Array.from({ length: 4 }, word);
      const blocks = 1 + (round % 3);
      const message = Uint32Array.from({ length: 4 * blocks + 1 }, word);
      const chaskey = new Chaskey(key);
      chaskey.blocks(message, 1, blocks);
      const plain = plainChaskey(
        [...key].map(BigInt),
        Array.from({ length: blocks }, (_, block) =>
          [...message.subarray(1 + 4 * block, 5 + 4 * block)].map(BigInt),
        ),
        12,
      );
      assert.deepEqual([chaskey.low, chaskey.high].map(BigInt), plain.slice(0, 2));
      if (blocks > 1) continue;
      const [, m0 = 0, m1 = 0, m2 = 0, m3 = 0] = message;
      chaskey.block(m0, m1, m2, m3);
      assert.deepEqual([chaskey.low, chaskey.high].map(BigInt), plain.slice(0, 2));
    }
  });

  it("depends on every bit of key and message", () => {
    const words = Uint32Array.of(1, 2, 3, 4, 5);
    const key = Uint32Array.of(6, 7);
    const seen = new Set([halfSipHash(1, 3, key, words, 0, 5)]);
    for (let bit = 0; bit < 160; bit++) {
      const other = words.slice();
      other[bit >>> 5] = entryOf(other, bit >>> 5) ^ (1 << (bit & 31));
      seen.add(halfSipHash(1, 3, key, other, 0, 5));
    }
    for (let bit = 0; bit < 64; bit++) {
      const other = key.slice();
      other[bit >>> 5] = entryOf(other, bit >>> 5) ^ (1 << (bit & 31));
      seen.add(halfSipHash(1, 3, other, words, 0, 5));
    }
    assert.equal(seen.size, 225);
  });
});
