// Lists and keys: an entry more or less of a long list, lists that are taken in step by step, and files of them in pieces.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Admission } from "../../../../src/tracker/server/admission.js";
import { ListReader } from "../../../../src/tracker/server/config.js";
import { InfoHashTable } from "../../../../src/tracker/server/info-hash-table.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

const MANY = 100_000;

function hexOf(number: number): string {
  return number.toString(16).padStart(40, "0");
}

function wordsOf(hex: string): Uint32Array {
  const words = new Uint32Array(5);
  Buffer.from(words.buffer).write(hex, "hex");
  return words;
}

/** All bits of a number from all of its bits, as a store's hash has them. */
function mixed(value: number): number {
  const once = Math.imul(value ^ (value >>> 16), 0x9e3779b1);
  const twice = Math.imul(once ^ (once >>> 15), 0x85ebca6b);
  return (twice ^ (twice >>> 13)) >>> 0;
}

/** A store's hash, that counts how often it is asked. */
class Hashes {
  asked = 0;

  hash(words: Uint32Array, at: number): number {
    this.asked++;
    return mixed(entryOf(words, at + 4));
  }
}

function admits(admission: Admission, hashes: Hashes, number: number): boolean {
  const words = wordsOf(hexOf(number));
  return admission.admits(hashes.hash(words, 0), words, 0);
}

describe("lists", () => {
  it("take as long for an entry, whatever their length is", () => {
    const hashes = new Hashes();
    const deny = new Set(Array.from({ length: MANY }, (_, number) => hexOf(number)));
    const admission = new Admission(hashes, { deny, keys: new Set(["a"]) });
    const before = hashes.asked;
    assert.equal(admission.change("deny", hexOf(MANY), true), MANY + 1);
    assert.equal(admission.change("deny", hexOf(MANY), true), MANY + 1);
    assert.equal(admission.change("deny", hexOf(7), false), MANY);
    assert.equal(admission.change("deny", hexOf(7), false), MANY);
    assert.ok(hashes.asked - before < 1000, `${hashes.asked - before} entries were looked at`);
    assert.deepEqual([admits(admission, hashes, MANY), admits(admission, hashes, 7)], [false, true]);
    assert.equal(admission.entries("deny", MANY - 3, 10)?.length, 3);
    assert.equal(new Set(admission.entries("deny", 0, 2 * MANY)).size, MANY);
    assert.equal(admission.entries("allow", 0, 1), undefined);
    assert.equal(admission.change("keys", "b", true), 2);
    assert.deepEqual(admission.entries("keys", 0, 10), ["a", "b"]);
    // What was handed in is whoever's it was.
    assert.equal(deny.size, MANY);
  });

  it("are taken in step by step: others have their turns, and the old ones hold until then", async () => {
    const hashes = new Hashes();
    const admission = new Admission(hashes, { allow: new Set([hexOf(1)]) });
    const deny = new Set(Array.from({ length: MANY }, (_, number) => hexOf(number)));
    let [most, last, turns] = [0, hashes.asked, 0];
    const look = (): void => {
      most = Math.max(most, hashes.asked - last);
      last = hashes.asked;
      turns++;
      // The allow list of before: this one only.
      const words = wordsOf(hexOf(1));
      assert.equal(admission.admits(mixed(entryOf(words, 4)), words, 0), true);
    };
    let done = false;
    const looking = (async () => {
      while (!done) {
        await new Promise((resolve) => setImmediate(resolve));
        if (!done) look();
      }
    })();
    await admission.replaceInSteps({ deny }).finally(() => {
      done = true;
    });
    await looking;
    assert.equal(admits(admission, hashes, 1), false);
    assert.ok(turns >= 3, `${turns} turns of the loop`);
    // Two steps may fall between two looks.
    assert.ok(most <= MANY / 2 && most > 0, `${most} entries in one turn`);
  });

  it("are read in pieces, cut anywhere, as they are whole", () => {
    const text = `# what\n${hexOf(1)}\n\n  ${hexOf(0xabc).toUpperCase()}  # why\r\n${hexOf(3)}`;
    for (let cut = 0; cut <= text.length; cut++) {
      const reader = new ListReader("hash", "list");
      reader.read(text.slice(0, cut));
      reader.read(text.slice(cut));
      assert.deepEqual([...reader.end()], [hexOf(1), hexOf(0xabc), hexOf(3)]);
    }
    const wrong = new ListReader("key", "list");
    wrong.read("good\n# fine\nno good");
    assert.throws(() => wrong.end(), /^UsageError: list, line 3: expected a key/);
    const endless = new ListReader("hash", "list");
    assert.throws(() => {
      for (let piece = 0; piece < 1000; piece++) endless.read("#".repeat(1000));
    }, /line 1: expected an info hash/);
  });

  it("lose an entry and find all others, wherever they stand", () => {
    const numbers = fc.array(fc.tuple(fc.nat(60), fc.boolean()), { maxLength: 300 });
    check(
      fc.property(numbers, (changes) => {
        // Few places to be at home: long runs of neighbours.
        const hash = (words: Uint32Array, at: number): number => entryOf(words, at + 4) % 5;
        const table = new InfoHashTable(hash);
        const known = new Set<number>();
        for (const [number, listed] of changes) {
          const words = wordsOf(hexOf(number));
          if (listed) table.set(hash(words, 0), words, 0, 3);
          else assert.equal(table.remove(hash(words, 0), words, 0), known.has(number));
          if (listed) known.add(number);
          else known.delete(number);
          assert.equal(table.size, known.size);
        }
        for (let number = 0; number <= 60; number++) {
          const words = wordsOf(hexOf(number));
          assert.equal(table.get(hash(words, 0), words, 0) === 3, known.has(number));
        }
        assert.equal(table.copyHashes(0, 100).length, 5 * known.size);
      }),
      200,
    );
  });
});
