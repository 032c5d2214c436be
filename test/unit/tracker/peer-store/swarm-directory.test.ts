// A directory of buckets says of each hash what a plain tree of bits says, however deep it is and whichever parts of it grew or shrank; and no
// step of it, of a million entries, does more than what one leaf needs.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Pages } from "../../../../src/tracker/peer-store/pages.js";
import { PeerBuckets } from "../../../../src/tracker/peer-store/peer-buckets.js";
import { SwarmDirectory } from "../../../../src/tracker/peer-store/swarm-directory.js";
import { swarmBlockWords } from "../../../../src/tracker/peer-store/swarms.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { KEY } from "./model.js";

const ENDPOINT_HALVES = 3;
/** Bits of a hash that a directory may use. */
const DEPTH_MAX = 20;

/** One swarm, its directory and a tree that says what should be there: the bits that each bucket's hashes begin with. */
class Scene {
  readonly pages: Pages;
  readonly buckets: PeerBuckets;
  readonly directory: SwarmDirectory;
  readonly swarm: number;
  /** Peers of each bucket, by its bits. */
  readonly tree = new Map<string, number>([["", 0]]);

  constructor(regionBytes: number) {
    const sizes = swarmBlockWords(ENDPOINT_HALVES);
    this.pages = new Pages(new ArrayBuffer(regionBytes), sizes);
    this.buckets = new PeerBuckets(this.pages, ENDPOINT_HALVES, 0, KEY);
    this.directory = new SwarmDirectory(
      this.pages,
      this.buckets,
      PeerBuckets.blockWords(ENDPOINT_HALVES).length,
      new Int32Array(1),
    );
    this.swarm = this.directory.create(this.buckets.create(1, 0));
    assert.ok(this.swarm > 0);
  }

  get depth(): number {
    return this.directory.depth(this.swarm);
  }

  /** Bits of the bucket that a hash is in, as the tree has it. */
  bitsOf(hash: number): string {
    const bits = bitsOfHash(hash);
    for (let depth = 0; ; depth++) {
      const prefix = bits.slice(0, depth);
      if (this.tree.has(prefix)) return prefix;
      assert.ok(depth < bits.length, "some bucket has it");
    }
  }

  split(hash: number): boolean {
    const bits = this.bitsOf(hash);
    if (!this.directory.split(this.swarm, hash)) return false;
    assert.equal(this.tree.get(bits), 0, "buckets with peers are not split here");
    this.tree.delete(bits);
    this.tree.set(`${bits}0`, 0).set(`${bits}1`, 0);
    return true;
  }

  /** Puts so many peers in the bucket of this hash, which is empty, so that it stays apart from its neighbours. */
  fill(hash: number, peers: number): void {
    const { directory, swarm, buckets } = this;
    const bits = this.bitsOf(hash);
    const entry = directory.entryOf(swarm, hash);
    const empty = directory.bucketAt(swarm, entry);
    const bucket = buckets.resize(empty, peers);
    assert.ok(bucket > 0);
    directory.replace(swarm, entry, bucket);
    for (let peer = 0; peer < peers; peer++)
      buckets.add(bucket, peer, Uint16Array.of(hash & 0xffff, hash >>> 16, peer), false, 0);
    this.tree.set(bits, peers);
  }

  /** Takes all peers out of the bucket of this hash. */
  drain(hash: number): void {
    const bucket = this.directory.bucketAt(this.swarm, this.directory.entryOf(this.swarm, hash));
    while (this.buckets.count(bucket) > 0) this.buckets.remove(bucket, 0);
    this.tree.set(this.bitsOf(hash), 0);
  }

  /** What expiry does, one bucket after the other. Calls `each` after each step. */
  pass(each: () => void = () => undefined): void {
    const { directory, swarm } = this;
    for (let entry = 0; entry < 1 << directory.depth(swarm); ) {
      const next = directory.merge(swarm, entry);
      assert.ok(next > entry, "it goes on");
      entry = next;
      each();
    }
    while (directory.halve(swarm)) each();
  }

  /** Looks through all entries: each bucket has all of its own, at the depth it says, and no other. Returns the bits of all buckets. */
  bitsOfBuckets(): Map<string, number> {
    const { directory, swarm, buckets, depth } = this;
    const found = new Map<string, number>();
    const seen = new Set<number>();
    for (let entry = 0; entry < 1 << depth; ) {
      const bucket = directory.bucketAt(swarm, entry);
      const bucketDepth = buckets.depth(bucket);
      const span = 1 << (depth - bucketDepth);
      assert.equal(entry & (span - 1), 0, "a bucket begins where its bits begin");
      assert.ok(!seen.has(bucket), "a bucket is in one place");
      seen.add(bucket);
      for (let other = entry; other < entry + span; other++)
        assert.equal(directory.bucketAt(swarm, other), bucket);
      found.set(entryBits(entry, depth).slice(0, bucketDepth), buckets.count(bucket));
      entry += span;
    }
    return found;
  }

  compare(): void {
    assert.deepEqual([...this.bitsOfBuckets()].sort(), [...this.tree].sort());
  }

  /** Frees all there is, so many buckets at a time. In how many steps. */
  end(most: number): number {
    const { directory, pages, swarm } = this;
    directory.giveUp(swarm);
    let steps = 0;
    while (directory.isOwed) {
      directory.freeOwed(most);
      steps++;
      const owed: number[] = [];
      directory.visitOwed((block) => owed.push(block));
      pages.checkInvariants(owed);
    }
    assert.equal(pages.inUse, 0, "nothing is left behind");
    return steps;
  }
}

function bitsOfHash(hash: number): string {
  return (hash >>> 0).toString(2).padStart(32, "0");
}

function entryBits(entry: number, depth: number): string {
  return depth === 0 ? "" : entry.toString(2).padStart(depth, "0");
}

describe("The directory of a large swarm", () => {
  it("says what a tree of bits says, deep in some places and not in others, while it grows and shrinks", () => {
    let deepest = 0;
    const property = fc.property(fc.nat(), (seed) => {
      const random = makeRandom(seed);
      const roll = (below: number): number => Math.floor(random() * below);
      const hashes = Array.from({ length: 12 }, () => roll(2 ** 32));
      const scene = new Scene(2 ** 26);
      const full = new Set<number>();
      for (let step = 0; step < 300; step++) {
        const near = entryOf(hashes, roll(hashes.length));
        const hash = random() < 0.8 ? near : (near ^ roll(2 ** (32 - roll(21)))) >>> 0;
        const bits = scene.bitsOf(hash);
        if (scene.tree.get(bits) === 0 && bits.length < DEPTH_MAX) assert.ok(scene.split(hash));
        if (roll(20) === 0 && scene.tree.get(scene.bitsOf(hash)) === 0) {
          scene.fill(hash, 65 + roll(60));
          full.add(hash);
        }
        deepest = Math.max(deepest, scene.depth);
      }
      scene.compare();
      if (roll(2) === 0) {
        const most = 1 + roll(40);
        assert.equal(scene.end(most), Math.ceil(scene.tree.size / most));
        return;
      }
      // Empty buckets join until one with peers is in the way.
      scene.pass();
      const left = scene.bitsOfBuckets();
      for (const [bits, peers] of left) if (peers === 0) assert.ok(hasPeersBeside(left, bits), bits);
      assert.equal(
        [...left.values()].reduce((sum, peers) => sum + peers, 0),
        [...scene.tree.values()].reduce((sum, peers) => sum + peers, 0),
      );
      scene.tree.clear();
      for (const [bits, peers] of left) scene.tree.set(bits, peers);
      for (const hash of full) scene.drain(hash);
      scene.pass();
      assert.deepEqual([scene.depth, [...scene.bitsOfBuckets()]], [0, [["", 0]]]);
      assert.equal(scene.end(1), 1);
    });
    check(property, 16);
    // Not in each of the cases: some are flat by chance.
    assert.ok(deepest > 12, `it was ${deepest} bits deep`);
  });

  it("of a million entries takes and frees no more than some pages in a step", () => {
    const scene = new Scene(2 ** 27);
    let before = scene.pages.inUse;
    let most = 0;
    const step = (): void => {
      most = Math.max(most, Math.abs(scene.pages.inUse - before));
      before = scene.pages.inUse;
    };
    const { directory, swarm } = scene;
    // All parts alike, one bit after the other, and one of them as deep as it goes.
    for (let depth = 0; depth < 17; depth++)
      for (let part = 0; part < 1 << depth; part++) {
        assert.ok(directory.split(swarm, depth === 0 ? 0 : (part << (32 - depth)) >>> 0));
        step();
      }
    for (let depth = 17; depth < DEPTH_MAX; depth++) {
      assert.ok(directory.split(swarm, 0));
      step();
    }
    assert.equal(scene.depth, DEPTH_MAX);
    assert.equal(directory.split(swarm, 0), false, "the bits are used up");
    const grown = most;
    most = 0;
    scene.pass(step);
    assert.equal(scene.depth, 0);
    // The last bucket of all may end a leaf for each bit.
    assert.ok(grown <= 3 && most <= 16, `${grown} pages taken in a step, ${most} freed`);
    assert.ok(scene.pages.inUse <= 3);
  });

  it("of a quarter of a million buckets is freed so many at a time, and what names them with them", () => {
    const scene = new Scene(2 ** 27);
    const { directory, swarm, pages } = scene;
    for (let depth = 0; depth < 18; depth++)
      for (let part = 0; part < 1 << depth; part++)
        assert.ok(directory.split(swarm, depth === 0 ? 0 : (part << (32 - depth)) >>> 0));
    assert.equal(scene.depth, 18);
    const blocks = (): number => {
      let count = 0;
      if (directory.isOwed) directory.visitOwed(() => count++);
      return count;
    };
    directory.giveUp(swarm);
    // 2^18 buckets, 2^8 leaves with 2^10 of them each, their root and the swarm.
    let left = 2 ** 18 + 2 ** 8 + 2;
    assert.equal(blocks(), left);
    let steps = 0;
    for (; directory.isOwed; steps++) {
      directory.freeOwed(512);
      const now = blocks();
      assert.ok(left - now <= 512 + 1 + 2, `${left - now} blocks in a step`);
      left = now;
    }
    assert.equal(steps, 512);
    assert.equal(pages.inUse, 0);
  });

  it("changes nothing where memory is short", () => {
    const scene = new Scene(2 ** 24);
    let refused = 0;
    for (let part = 0; refused < 2000; part++) {
      const hash = Math.imul(part, 0x9e3779b1) >>> 0;
      // As much as there is of all, and not a page more.
      if (part === 9000) scene.pages.limit = scene.pages.inUse;
      const bits = scene.bitsOf(hash);
      if (bits.length === DEPTH_MAX || !scene.split(hash)) refused++;
    }
    scene.compare();
    scene.pages.limit = 2 ** 16;
    scene.pass();
    assert.equal(scene.depth, 0);
  });
});

/** Whether a bucket beside this one, or below what would be its neighbour, has peers. */
function hasPeersBeside(buckets: ReadonlyMap<string, number>, bits: string): boolean {
  const beside = bits.slice(0, -1) + (bits.endsWith("0") ? "1" : "0");
  for (const [other, peers] of buckets) if (peers > 0 && other.startsWith(beside)) return true;
  return bits === "";
}
