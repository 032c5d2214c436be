// Cursors over the key space: whatever hashes there are and however many slots, each is looked up once, in order within its part, and no part of the
// key space has more under way than it may.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Cursors, type Stretch } from "../../../src/indexer/cursors.js";
import { check, makeRandom } from "../../support/property.js";
import { entryOf, required } from "../../support/required.js";

/** What is asked for is asked of 1/64 of the key space. */
const SLICES = 64;
const sliceOf = (hash: Uint8Array): number => entryOf(hash, 0) >> 2;

/** What waits, in order, as a store has it: a claimed hash does not wait any more. */
class Waiting {
  hashes: Uint8Array[];
  readonly #isBounded: boolean;

  constructor(hashes: readonly Uint8Array[], isBounded: boolean) {
    this.hashes = [...hashes].sort(Buffer.compare);
    this.#isBounded = isBounded;
  }

  claim({ from, to, count }: Stretch): Uint8Array[] {
    const found = this.hashes.filter(
      (hash) =>
        Buffer.compare(hash, from) >= 0 &&
        (!this.#isBounded || to === undefined || Buffer.compare(hash, to) < 0),
    );
    const claimed = found.slice(0, count);
    this.hashes = this.hashes.filter((hash) => !claimed.includes(hash));
    return claimed;
  }
}

function randomHashes(count: number, seed: number, firstBytes: number): Uint8Array[] {
  const random = makeRandom(seed);
  return Array.from({ length: count }, () =>
    Uint8Array.from({ length: 20 }, (_, at) => Math.floor((at === 0 ? firstBytes : 256) * random())),
  );
}

describe("cursors over the key space", () => {
  it("take every hash once, in order within a part, and bound what is under way in each", () => {
    check(
      fc.property(
        fc.integer({ min: 0, max: 600 }),
        fc.integer(),
        fc.constantFrom(1, 3, 256),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 12 }),
        fc.boolean(),
        fc.constantFrom(64, 256, 1024),
        (count, seed, firstBytes, slots, underWayMax, isBounded, cursorCount) => {
          const all = randomHashes(count, seed, firstBytes);
          const waiting = new Waiting(all, isBounded);
          const cursors = new Cursors({ cursors: cursorCount, underWayMax, restMs: 1000 });
          const random = makeRandom(seed + 1);
          const underWay: Uint8Array[] = [];
          const taken: Uint8Array[] = [];
          for (let nowMs = 0; taken.length < all.length || underWay.length > 0; nowMs += 100) {
            assert.ok(nowMs < 10_000_000, "it comes to an end");
            for (
              let stretch = cursors.wanted(nowMs);
              stretch !== undefined;
              stretch = cursors.wanted(nowMs)
            ) {
              if (random() < 0.1) cursors.unclaimed(stretch, nowMs);
              else cursors.claimed(stretch, waiting.claim(stretch), nowMs);
            }
            while (underWay.length < slots) {
              const hash = cursors.take();
              if (hash === undefined) break;
              taken.push(hash);
              underWay.push(hash);
            }
            const loads = new Array<number>(SLICES).fill(0);
            for (const hash of underWay) loads[sliceOf(hash)] = entryOf(loads, sliceOf(hash)) + 1;
            assert.ok(Math.max(...loads) <= underWayMax * (cursorCount / SLICES));
            assert.equal(cursors.underWay, underWay.length);
            for (let ended = Math.ceil(random() * underWay.length); ended > 0; ended--)
              cursors.done(entryOf(underWay.splice(Math.floor(random() * underWay.length), 1), 0));
          }
          assert.deepEqual([...taken].sort(Buffer.compare), [...all].sort(Buffer.compare));
          assert.equal(cursors.queued, 0);
          // Nothing came while they went: each part was gone through once, in order.
          if (isBounded)
            for (let part = 0; part < cursorCount; part++) {
              const own = taken.filter(
                (hash) =>
                  ((entryOf(hash, 0) << 8) | entryOf(hash, 1)) >> (16 - Math.log2(cursorCount)) === part,
              );
              assert.deepEqual(own, [...own].sort(Buffer.compare));
            }
        },
      ),
      60,
    );
  });

  it("load all parts alike, however many slots there are", () => {
    const waiting = new Waiting(randomHashes(6000, 5, 256), true);
    const cursors = new Cursors();
    const take = (): Uint8Array | undefined => {
      for (let stretch = cursors.wanted(0); stretch !== undefined; stretch = cursors.wanted(0))
        cursors.claimed(stretch, waiting.claim(stretch), 0);
      return cursors.take();
    };
    const loads = new Array<number>(SLICES).fill(0);
    // 3 slots a node: 1, 8, 64 and 512 nodes.
    for (const slots of [3, 24, 192, 1536]) {
      while (cursors.underWay < slots) {
        const hash = take();
        if (hash === undefined) break;
        loads[sliceOf(hash)] = entryOf(loads, sliceOf(hash)) + 1;
      }
      assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `${loads}`);
      assert.ok(Math.max(...loads) <= 4);
    }
    assert.equal(cursors.underWay, 4 * SLICES, "and no part has more, whoever has slots");
  });

  it("give neighbours in time places far apart", () => {
    const waiting = new Waiting(randomHashes(2000, 6, 256), true);
    const cursors = new Cursors();
    for (let stretch = cursors.wanted(0); stretch !== undefined; stretch = cursors.wanted(0))
      cursors.claimed(stretch, waiting.claim(stretch), 0);
    const parts = Array.from({ length: SLICES }, () => sliceOf(required(cursors.take(), "a slice to take")));
    assert.deepEqual(parts.slice(0, 4), [0, 32, 16, 48]);
    assert.equal(new Set(parts).size, SLICES);
  });

  it("leave a part alone in which nothing waits", () => {
    const cursors = new Cursors({ cursors: 64, restMs: 1000 });
    const empty = new Waiting([], true);
    let asked = 0;
    for (let nowMs = 0; nowMs < 3000; nowMs += 10)
      for (let stretch = cursors.wanted(nowMs); stretch !== undefined; stretch = cursors.wanted(nowMs)) {
        asked++;
        cursors.claimed(stretch, empty.claim(stretch), nowMs);
      }
    assert.equal(asked, 3 * 64);
  });
});
