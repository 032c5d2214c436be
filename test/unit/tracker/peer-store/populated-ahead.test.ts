// A store has its memory populated before it touches it, and no more than it needs soon: counted in bytes of its regions, while torrents
// come, get second peers, and expire.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { EVENT_STARTED, type SwarmStore } from "../../../../src/tracker/peer-store/contract.js";
import { makePartedSwarms, PartedSwarms } from "../../../../src/tracker/peer-store/parted-swarms.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { PopulatedAhead, shareOfPart } from "../../../../src/tracker/peer-store/populated-ahead.js";
import { TablesAhead } from "../../../../src/tracker/peer-store/tables-ahead.js";
import type { IndexMemory, TorrentIndex } from "../../../../src/tracker/peer-store/torrent-index.js";
import { announce, announcement, KEY, Sink } from "./model.js";

const SEGMENT = 2 ** 21;
/** What a table of the index may need until the next turn, and the rest of a large page behind it. */
const AHEAD_MAX = 2 ** 22 + SEGMENT;
/** Those of one thread. */
const PARTS = 16;
const TORRENTS = 850_000;
const PER_TURN = 5000;

interface Region {
  readonly words: Uint32Array;
  /** Bytes that were asked for, from the beginning on, and what they were before the last turn. */
  asked: number;
  askedBefore: number;
}

/** Regions of a store that are large enough to have a second segment, with what was asked for in each. */
class Regions {
  readonly all: Region[] = [];
  readonly #segment: number;

  constructor(segment: number) {
    this.#segment = segment;
  }

  reserve<Memory extends ArrayBuffer | SharedArrayBuffer>(memory: Memory): Memory {
    const bytes = memory.byteLength;
    this.all.push({ words: new Uint32Array(memory, 0, Math.floor(bytes / 4)), asked: 0, askedBefore: 0 });
    return memory;
  }

  populate({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const region = this.all.find(({ words }) => words.buffer === buffer);
    assert.ok(region !== undefined && byteLength > 0);
    assert.ok(byteOffset === region.asked || byteOffset === 0, "piece after piece, from the beginning on");
    if (byteOffset === 0) region.askedBefore = 0;
    region.asked = byteOffset + byteLength;
  }

  /** After a turn: whatever is not empty beyond the first segment was asked for before it. */
  check(): void {
    for (const region of this.all) {
      const { words } = region;
      let used = words.length;
      while (used > 0 && words[used - 1] === 0) used--;
      const usedBytes = 4 * used;
      assert.ok(
        usedBytes <= Math.max(this.#segment, region.askedBefore),
        `${usedBytes} bytes are used, and ${region.askedBefore} were asked for`,
      );
      region.askedBefore = region.asked;
    }
  }
}

/** Who is told the time, and who announces. */
type Pair = readonly [keeper: SwarmStore, store: SwarmStore];

const OPTIONS = {
  key: KEY,
  bytesMax: 2 ** 26,
  torrentsMax: TORRENTS + 100_000,
  lifetimeMs: 100_000,
  collectMs: 10_000,
};

function makeStore(regions: Regions): Pair {
  const store = new PeerStore({
    ...OPTIONS,
    reserve: (bytes) => regions.reserve(new ArrayBuffer(bytes)),
    populate: (memory) => regions.populate(memory),
  });
  return [store, store];
}

/** One thread announces, and another one is the keeper. */
function makeParts(regions: Regions): Pair {
  const memory = makePartedSwarms(1, OPTIONS, (bytes) => regions.reserve(new SharedArrayBuffer(bytes)));
  assert.equal(memory.parts, PARTS);
  const keeper = new PartedSwarms(memory, 0, undefined, { populate: (bytes) => regions.populate(bytes) });
  return [keeper, new PartedSwarms(memory, 1)];
}

describe("peer store, ahead of its use of memory", () => {
  it("asks for what comes next, a piece after the other, once it uses some", () => {
    const asked: [number, number][] = [];
    const memory = new ArrayBuffer(3 * SEGMENT + 5000);
    const ahead = new PopulatedAhead(memory, SEGMENT / 2, ({ byteOffset, byteLength }) => {
      asked.push([byteOffset, byteLength]);
    });
    ahead.advance(1);
    ahead.advance(SEGMENT / 2);
    assert.deepEqual(asked, [[0, SEGMENT]]);
    ahead.advance(SEGMENT / 2 + 1);
    ahead.advance(SEGMENT / 2 + 1);
    assert.deepEqual(asked.splice(0), [
      [0, SEGMENT],
      [SEGMENT, SEGMENT],
    ]);
    // No more than will be used, but for the rest of a piece; and no more than there is.
    ahead.advance(2 * SEGMENT - 1, 2 * SEGMENT);
    assert.deepEqual([asked, ahead.bytes], [[], 2 * SEGMENT]);
    ahead.advance(memory.byteLength);
    assert.deepEqual(asked.splice(0), [
      [2 * SEGMENT, SEGMENT],
      [3 * SEGMENT, 5000],
    ]);
    assert.equal(ahead.bytes, memory.byteLength);
    ahead.forget();
    ahead.advance(1);
    assert.deepEqual(asked, [[0, SEGMENT]]);
  });

  it("of one part of sixteen has a sixteenth ahead, and asks for a sixteenth at a time", () => {
    const asked: [number, number][] = [];
    const share = SEGMENT / PARTS;
    const ahead = new PopulatedAhead(
      new ArrayBuffer(SEGMENT),
      SEGMENT,
      ({ byteOffset, byteLength }) => {
        asked.push([byteOffset, byteLength]);
      },
      PARTS,
    );
    ahead.advance(1);
    assert.deepEqual(asked, [
      [0, share],
      [share, share],
    ]);
    // No less than what is worth asking for, however many there are.
    assert.equal(shareOfPart(SEGMENT, 256), 2 ** 16);
    assert.equal(shareOfPart(2 ** 15, 256), 2 ** 15);
  });

  for (const parts of [1, PARTS])
    it(`touches nothing beyond the first segment of a region that was not asked for before, growing or shrinking: ${parts === 1 ? "one store" : "parts of threads"}`, () => {
      const segment = SEGMENT / parts;
      const regions = new Regions(segment);
      const [keeper, store] = parts === 1 ? makeStore(regions) : makeParts(regions);
      let nowMs = 0;
      keeper.advance(nowMs);
      assert.ok(
        regions.all.every(({ asked }) => asked === 0),
        "an empty store asks for nothing",
      );
      const sink = new Sink();
      let asked = 0;
      for (let torrent = 0; torrent < TORRENTS; torrent++) {
        for (let number = 0; number < (torrent % 4 === 0 ? 2 : 1); number++)
          announce(store, announcement(torrent, { family: 4, number }, false, EVENT_STARTED, 0), sink);
        if (torrent % PER_TURN !== PER_TURN - 1) continue;
        keeper.advance(nowMs++);
        regions.check();
        const { bytesTouched, bytes } = keeper.totals();
        asked = regions.all.reduce((sum, region) => sum + region.asked, 0);
        assert.ok(
          bytesTouched <= bytes + (regions.all.length * AHEAD_MAX) / parts,
          `${bytesTouched} of ${bytes}`,
        );
      }
      assert.equal(keeper.totals().torrents, TORRENTS);
      assert.ok(asked > 12 * SEGMENT, `${asked} bytes were asked for`);
      assert.ok(keeper.totals().bytesTouched >= asked - regions.all.length * segment);
      nowMs += 200_000;
      for (let step = 0; keeper.totals().torrents > 0; step++) {
        nowMs += 50;
        keeper.advance(nowMs);
        if (step % 50 === 0) regions.check();
        assert.ok(step < 100_000, "all of them expire");
      }
    });
});

describe("The next table of an index", () => {
  it("is not asked for where there is none: torrents come until their number is at its bound", () => {
    // Of a table with a quarter of a million places, more than eleven sixteenths, and fewer than three quarters, which would make a larger one.
    const torrentsMax = 190_000;
    let asked = 0;
    const populate = ({ byteLength }: Uint8Array): void => {
      assert.ok(byteLength > 0, "something is asked for");
      asked += byteLength;
    };
    const store = new PeerStore({ ...OPTIONS, torrentsMax, populate });
    const sink = new Sink();
    for (let torrent = 0; torrent < torrentsMax; torrent++) {
      announce(store, announcement(torrent, { family: 4, number: 0 }, false, EVENT_STARTED, 0), sink);
      if (torrent % PER_TURN === PER_TURN - 1) store.advance(torrent / PER_TURN);
    }
    assert.equal(store.totals().torrents, torrentsMax);
    assert.ok(asked > 0);
  });

  it("that was populated and not needed after all stays counted, and is populated once; the one that was left is forgotten", () => {
    const index = { bits: 20, count: 0.7 * 2 ** 20, filledBytes: -1 };
    const regions = [new ArrayBuffer(2 ** 24), new ArrayBuffer(2 ** 24)];
    const asked: number[] = [];
    const ahead = new TablesAhead(
      index as unknown as TorrentIndex,
      { regions } as unknown as IndexMemory,
      ({ byteLength }) => void asked.push(byteLength),
    );
    ahead.advance();
    const populated = asked.reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(populated > 0);
    assert.equal(ahead.bytes, populated);
    index.count = 0.5 * 2 ** 20;
    ahead.advance();
    index.count = 0.7 * 2 ** 20;
    ahead.advance();
    assert.equal(ahead.bytes, populated);
    assert.equal(asked.length, populated / SEGMENT);
    // Entries move to it, and have left the first one.
    Object.assign(index, { bits: 21, count: 0.76 * 2 ** 20, filledBytes: 0 });
    ahead.advance();
    index.filledBytes = -1;
    ahead.advance();
    assert.equal(ahead.bytes, 0);
  });
});
