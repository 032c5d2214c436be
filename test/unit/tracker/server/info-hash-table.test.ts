// Tables of info hashes against a Map, while they grow: whatever is set, removed and asked for between two steps of it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { InfoHashTable } from "../../../../src/tracker/server/info-hash-table.js";
import { check } from "../../../support/property.js";

const INFO_HASH_WORDS = 5;

/** An info hash that is made from a number, and back. */
function infoHash(number: number): Uint32Array {
  return Uint32Array.of(number, 1, 2, 3, 4);
}

/** Hashes with so many bits that differ: few of them collide, and lie side by side. */
function hashOfBits(bits: number): (words: Uint32Array, at: number) => number {
  return (words, at) => (Math.imul(words[at] ?? 0, 0x9e3779b1) >>> (32 - bits)) >>> 0;
}

describe("a table of info hashes", () => {
  it("has what was set and not removed, at each moment of its growth", () => {
    const operation = fc.record({
      kind: fc.constantFrom("set", "set", "set", "remove", "get"),
      number: fc.integer({ min: 0, max: 3000 }),
      value: fc.integer({ min: 0, max: 1000 }),
    });
    check(
      fc.property(
        fc.array(operation, { maxLength: 3000, size: "max" }),
        fc.constantFrom(4, 8, 12, 24),
        (operations, bits) => {
          const hash = hashOfBits(bits);
          const table = new InfoHashTable(hash);
          const model = new Map<number, number>();
          for (const { kind, number, value } of operations) {
            const words = infoHash(number);
            const hashed = hash(words, 0);
            if (kind === "set") {
              table.set(hashed, words, 0, value);
              model.set(number, value);
            } else if (kind === "remove") {
              assert.equal(table.remove(hashed, words, 0), model.delete(number));
            }
            assert.equal(table.get(hashed, words, 0), model.get(number) ?? -1);
            assert.equal(table.size, model.size);
          }
          for (const [number, value] of model) {
            const words = infoHash(number);
            assert.equal(table.get(hash(words, 0), words, 0), value, `${number}`);
          }
          const all = new Map<number, number>();
          const words = table.toWords();
          for (let at = 0; at < words.length; at += INFO_HASH_WORDS + 1)
            all.set(words[at] ?? -1, words[at + INFO_HASH_WORDS] ?? -1);
          assert.deepEqual(all, model);
          const copied = [table.copyHashes(0, 100), table.copyHashes(100, model.size)];
          const numbers = copied.flatMap((part) => [...part].filter((_, at) => at % INFO_HASH_WORDS === 0));
          assert.deepEqual(new Set(numbers), new Set(model.keys()));
          assert.equal(numbers.length, model.size);
          const shared = InfoHashTable.open(table.share());
          for (const [number, value] of model)
            assert.equal(shared.get(hash(infoHash(number), 0), infoHash(number), 0), value);
        },
      ),
      60,
    );
  });

  it("moves a bounded number of entries at a time when it grows, however many there are", () => {
    let hashed = 0;
    const hash = hashOfBits(32);
    const table = new InfoHashTable((words, at) => {
      hashed++;
      return hash(words, at);
    });
    let most = 0;
    for (let number = 0; number < 100_000; number++) {
      const words = infoHash(number);
      hashed = 0;
      table.set(hash(words, 0), words, 0, number);
      most = Math.max(most, hashed);
    }
    assert.equal(table.size, 100_000);
    // Thirty-two places, half of them in use, and on to the next free one.
    assert.ok(most > 0 && most <= 128, `${most} entries were moved for one`);
  });
});
