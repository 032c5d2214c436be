// Filters of info hashes beside plain models of what they promise, over random sequences with few and many hashes, and sizes that change.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ArcFilter } from "../../../../src/indexer/filter/arc-filter.js";
import { Blue } from "../../../../src/indexer/filter/blue.js";
import { LruFilter } from "../../../../src/indexer/filter/lru-filter.js";
import { RotatingBloomFilter } from "../../../../src/indexer/filter/rotating-bloom-filter.js";
import { check, makeRandom } from "../../../support/property.js";
import { required } from "../../../support/required.js";

const KEY = Uint32Array.of(1, 2, 3, 4);
/** Hashes stand somewhere in a packet. */
const AT = 3;

function hashOf(number: number): Uint8Array {
  const bytes = new Uint8Array(AT + 20).fill(0xee);
  // Only the last bytes differ: all of a hash counts.
  new DataView(bytes.buffer).setUint32(AT + 16, number);
  return bytes;
}

/** What an LRU is, in the plainest words. */
class LruModel {
  newestFirst: number[] = [];
  size: number;
  constructor(size: number) {
    this.size = size;
  }
  seen(hash: number): boolean {
    const known = this.newestFirst.includes(hash);
    this.newestFirst = [hash, ...this.newestFirst.filter((other) => other !== hash)].slice(0, this.size);
    return known;
  }
  resize(size: number): void {
    this.size = size;
    this.newestFirst = this.newestFirst.slice(0, size);
  }
}

/** ARC as its paper has it, over arrays, newest first, for one size. */
class ArcModel {
  t1: number[] = [];
  t2: number[] = [];
  b1: number[] = [];
  b2: number[] = [];
  p = 0;
  readonly c: number;
  constructor(c: number) {
    this.c = c;
  }
  replace(inB2: boolean): void {
    const { t1, t2, b1, b2, p } = this;
    if (t1.length > 0 && ((inB2 && t1.length >= p) || t1.length > p || t2.length === 0))
      b1.unshift(required(t1.pop(), "an entry of t1"));
    else b2.unshift(required(t2.pop(), "an entry of t2"));
  }
  seen(x: number): boolean {
    const { t1, t2, b1, b2, c } = this;
    const take = (list: number[]): boolean => {
      const at = list.indexOf(x);
      if (at >= 0) list.splice(at, 1);
      return at >= 0;
    };
    if (take(t1) || take(t2)) {
      t2.unshift(x);
      return true;
    }
    if (b1.includes(x)) {
      this.p = Math.min(c, this.p + Math.max(1, b2.length / b1.length));
      this.replace(false);
      take(b1);
      t2.unshift(x);
    } else if (b2.includes(x)) {
      this.p = Math.max(0, this.p - Math.max(1, b1.length / b2.length));
      this.replace(true);
      take(b2);
      t2.unshift(x);
    } else {
      if (t1.length + b1.length === c) {
        if (t1.length < c) {
          b1.pop();
          this.replace(false);
        } else t1.pop();
      } else if (t1.length + t2.length + b1.length + b2.length >= c) {
        if (t1.length + t2.length + b1.length + b2.length === 2 * c) b2.pop();
        this.replace(false);
      }
      t1.unshift(x);
    }
    return false;
  }
}

const hashes = (most: number) => fc.array(fc.integer({ min: 0, max: most }), { maxLength: 400 });

describe("an LRU of hashes", () => {
  it("remembers the last ones, whatever its size becomes", () => {
    const step = fc.oneof(
      { weight: 9, arbitrary: fc.record({ hash: fc.integer({ min: 0, max: 60 }) }) },
      { weight: 1, arbitrary: fc.record({ size: fc.integer({ min: 1, max: 80 }) }) },
    );
    check(
      fc.property(fc.integer({ min: 1, max: 80 }), fc.array(step, { maxLength: 400 }), (size, steps) => {
        const filter = new LruFilter(size, KEY);
        const model = new LruModel(size);
        for (const one of steps)
          if ("hash" in one) assert.equal(filter.seen(hashOf(one.hash), AT), model.seen(one.hash));
          else {
            filter.resize(one.size);
            model.resize(one.size);
          }
        assert.equal(filter.count, model.newestFirst.length);
        for (let hash = 0; hash <= 60; hash++)
          assert.equal(filter.has(hashOf(hash), AT), model.newestFirst.includes(hash));
        filter.checkInvariants();
      }),
      200,
    );
  });

  it("forgets what it is told to", () => {
    const filter = new LruFilter(4, KEY);
    assert.equal(filter.seen(hashOf(1), AT), false);
    filter.forget(hashOf(1), AT);
    filter.forget(hashOf(2), AT);
    assert.equal(filter.seen(hashOf(1), AT), false);
    filter.checkInvariants();
  });
});

describe("an ARC of hashes", () => {
  it("does what its paper says", () => {
    check(
      fc.property(fc.integer({ min: 1, max: 40 }), hashes(90), (size, sequence) => {
        const filter = new ArcFilter(size, KEY);
        const model = new ArcModel(size);
        for (const hash of sequence) {
          assert.equal(filter.seen(hashOf(hash), AT), model.seen(hash));
          assert.equal(filter.count, model.t1.length + model.t2.length);
        }
        filter.checkInvariants();
      }),
      300,
    );
  });

  it("keeps its bounds while its size changes", () => {
    const step = fc.tuple(hashes(200), fc.integer({ min: 1, max: 120 }));
    check(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const filter = new ArcFilter(30, KEY);
        for (const [sequence, size] of steps) {
          for (const hash of sequence) filter.seen(hashOf(hash), AT);
          filter.checkInvariants();
          filter.resize(size);
          filter.checkInvariants();
        }
      }),
      200,
    );
  });

  it("has the memory that it says, and asks for none while hashes come", () => {
    const filter = new ArcFilter(1000, KEY);
    const { bytes } = filter;
    // 33 bytes for each of 2,000 entries, and 2,048 buckets.
    assert.equal(bytes, 2000 * 33 + 2048 * 4);
    for (let hash = 0; hash < 10_000; hash++) filter.seen(hashOf(hash % 3000), AT);
    assert.equal(filter.bytes, bytes);
  });
});

describe("a rotating Bloom filter", () => {
  it("forgets nothing of a generation, and everything after two", () => {
    const filter = new RotatingBloomFilter(1024, KEY);
    const { generation } = filter;
    assert.ok(generation > 250 && generation < 300, `${generation} of 4,096 bits`);
    check(
      fc.property(fc.integer({ min: 0, max: 2 ** 30 }), (from) => {
        for (let hash = from; hash < from + generation; hash++) filter.seen(hashOf(hash), AT);
        for (let hash = from; hash < from + generation; hash++)
          assert.equal(filter.seen(hashOf(hash), AT), true);
      }),
      20,
    );
  });

  it("holds few for known that never came", () => {
    const filter = new RotatingBloomFilter(64 * 1024, KEY);
    let wrong = 0;
    for (let hash = 0; hash < 100_000; hash++) if (filter.seen(hashOf(hash), AT)) wrong++;
    // Two in a thousand at the most; these hashes and this key are the same each time.
    assert.ok(wrong <= 200, `${wrong} of 100,000`);
  });
});

describe("Blue", () => {
  it("grows what is full, shrinks what leaves too little, once a second and within bounds", () => {
    const filter = new LruFilter(300, KEY);
    const blue = new Blue(filter, { sizeMax: 900 });
    blue.overflowed(0);
    assert.equal(filter.size, 300, "it is not filled yet");
    let next = 0;
    const fill = (): void => {
      while (filter.count < filter.size) filter.seen(hashOf(next++), AT);
    };
    fill();
    blue.overflowed(10);
    blue.overflowed(1009);
    assert.equal(filter.size, 600, "one step in a second");
    fill();
    blue.overflowed(1010);
    fill();
    blue.overflowed(2010);
    assert.equal(filter.size, 900);
    blue.underflowed(2500);
    blue.underflowed(3010);
    assert.deepEqual([filter.size, filter.count], [600, 600]);
    for (let second = 4; second < 9; second++) blue.underflowed(1000 * second + 10);
    assert.equal(filter.size, 300);
  });

  it("finds a size at which the queue neither overflows nor runs dry", () => {
    const random = makeRandom(5);
    const filter = new ArcFilter(300, KEY);
    const blue = new Blue(filter);
    let queued = 0;
    let dry = 0;
    // 200 hashes a second of 2,000, the small numbers more often; 40 a second are handled.
    for (let second = 0; second < 300; second++) {
      let hasOverflowed = false;
      for (let count = 0; count < 200; count++) {
        if (filter.seen(hashOf(Math.floor(2000 ** random())), AT)) continue;
        if (queued < 100) queued++;
        else hasOverflowed = true;
      }
      if (hasOverflowed) blue.overflowed(1000 * second);
      if (queued < 40) {
        blue.underflowed(1000 * second);
        if (second > 100) dry++;
      }
      queued = Math.max(0, queued - 40);
    }
    assert.ok(filter.size > 300 && filter.size < 2000, `${filter.size}`);
    assert.ok(dry < 150, `dry in ${dry} of 200 seconds`);
  });
});
