// The small parts of the indexer's pipeline: what waits to be written, what is written when the store fails, what our address is told for, and
// what is kept of an info dictionary that says anything.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import bencode from "bencode";
import { madeHash, madeInfo } from "../../../bench/load/metadata-seeder.js";
import { StoreError, UsageError } from "../../../src/base/errors.js";
import type { KrpcReader } from "../../../src/dht/krpc-reader.js";
import { checkIndexerOptions } from "../../../src/indexer/check-options.js";
import { foundTorrentOf } from "../../../src/indexer/found-torrent.js";
import { Harvest } from "../../../src/indexer/harvest.js";
import type { IndexerCounters, IndexerOptions } from "../../../src/indexer/options.js";
import { Passive } from "../../../src/indexer/passive.js";
import type { IndexStore, Outcome, Sighting } from "../../../src/indexer/store/store.js";
import { StoreQueue } from "../../../src/indexer/store-queue.js";
import { VirtualDatagrams } from "../../support/virtual-datagrams.js";

function hashOf(n: number): Uint8Array {
  return Uint8Array.from(createHash("sha1").update(String(n)).digest());
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("harvest", () => {
  it("counts each mention while there is room, and drops what there is none for, counted", () => {
    const harvest = new Harvest(new VirtualDatagrams(1).ground, 100);
    for (let round = 0; round < 3; round++) for (let n = 0; n <= round; n++) harvest.add(hashOf(n));
    const taken = harvest.take(10);
    assert.deepEqual(
      taken.map(({ infoHash, hits }) => [hex(infoHash), hits]),
      [0, 1, 2].map((n) => [hex(hashOf(n)), 3 - n]),
    );
    harvest.putBack(taken);
    harvest.add(hashOf(1));
    assert.equal(harvest.take(10).find(({ infoHash }) => hex(infoHash) === hex(hashOf(1)))?.hits, 3);
    for (let n = 100; n < 300; n++) harvest.add(hashOf(n));
    assert.equal(harvest.count, 100);
    assert.equal(harvest.dropped, 100);
    assert.ok(harvest.isCrowded);
  });

  it("leaves out what was written of late when room is short", () => {
    const harvest = new Harvest(new VirtualDatagrams(1).ground, 20);
    for (let n = 0; n < 5; n++) harvest.add(hashOf(n));
    harvest.take(5);
    for (let n = 10; n < 20; n++) harvest.add(hashOf(n));
    for (let n = 0; n < 5; n++) harvest.add(hashOf(n));
    assert.equal(harvest.count, 10);
    assert.equal(harvest.dropped, 5);
    harvest.add(hashOf(30));
    assert.equal(harvest.count, 11, "what is new has its place");
  });
});

describe("store queue", () => {
  const outcomeOf = (n: number): Outcome => ({ kind: "unusable", infoHash: hashOf(n) });

  function setUp(): {
    virtual: VirtualDatagrams;
    queue: StoreQueue;
    harvest: Harvest;
    warnings: string[];
    finished: string[];
    seen: Sighting[];
    store: { fails: boolean; worked: number };
    counters: IndexerCounters;
  } {
    const virtual = new VirtualDatagrams(1);
    const harvest = new Harvest(virtual.ground, 1000);
    const store = { fails: false, worked: 0 };
    const finished: string[] = [];
    const seen: Sighting[] = [];
    const warnings: string[] = [];
    const guard = (): void => {
      if (store.fails) throw new StoreError("STORE_FULL", "the disk is full");
    };
    const fake: Partial<IndexStore> = {
      see: async (sightings) => {
        guard();
        seen.push(...sightings);
        return sightings.length;
      },
      finish: async (_owner, outcomes) => {
        guard();
        finished.push(...outcomes.map((outcome) => hex((outcome as { infoHash: Uint8Array }).infoHash)));
        return outcomes.map(() => true);
      },
      worked: async () => {
        guard();
        store.worked++;
      },
    };
    const counters = { storeFailures: 0, hashesNew: 0 } as IndexerCounters;
    const warn = (text: string): number => warnings.push(text);
    const queue = new StoreQueue(fake as IndexStore, "me", harvest, counters, virtual.ground, warn);
    return { virtual, queue, harvest, warnings, finished, seen, store, counters };
  }

  async function pass(virtual: VirtualDatagrams, queue: StoreQueue, ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      queue.turn(virtual.ground.nowMs());
      await virtual.run(100);
    }
  }

  it("loses nothing while the store fails, begins no more, and says so once", async () => {
    const { virtual, queue, harvest, warnings, finished, seen, store, counters } = setUp();
    store.fails = true;
    for (let n = 0; n < 250; n++) queue.add(outcomeOf(n));
    for (let n = 0; n < 20; n++) harvest.add(hashOf(n));
    await pass(virtual, queue, 60_000);
    assert.ok(queue.isFull);
    assert.equal(queue.outcomes, 250);
    assert.equal(warnings.length, 1);
    assert.ok(
      counters.storeFailures > 2 && counters.storeFailures < 30,
      `${counters.storeFailures} calls of a store that fails`,
    );
    store.fails = false;
    await pass(virtual, queue, 60_000);
    assert.equal(queue.outcomes, 0);
    assert.deepEqual(
      finished,
      Array.from({ length: 250 }, (_, n) => hex(hashOf(n))),
    );
    assert.equal(seen.length, 20);
    assert.equal(warnings.length, 2);
    assert.ok(!queue.isFull);
  });

  it("says with its first turn that it is there, and then every ten seconds", async () => {
    const { virtual, queue, store } = setUp();
    await pass(virtual, queue, 100);
    assert.equal(store.worked, 1);
    await pass(virtual, queue, 9000);
    assert.equal(store.worked, 1);
    await pass(virtual, queue, 1500);
    assert.equal(store.worked, 2);
  });

  it("writes hashes also where outcomes come all the time", async () => {
    const { virtual, queue, harvest, seen } = setUp();
    harvest.add(hashOf(1));
    for (let n = 0; n < 40; n++) {
      queue.add(outcomeOf(n));
      await pass(virtual, queue, 200);
    }
    assert.equal(seen.length, 1);
  });
});

describe("passive retrieval", () => {
  const queryFor = (hash: Uint8Array): KrpcReader => ({ bytes: hash, targetAt: 0 }) as KrpcReader;

  it("tells our address for hashes that failed of late, and for no others", () => {
    const passive = new Passive(new VirtualDatagrams(1).ground);
    passive.add(hashOf(1));
    assert.equal(passive.inject(queryFor(hashOf(1)), 4), undefined, "nobody has told us our address yet");
    passive.endpointIs("192.0.2.9", 0x1234);
    assert.deepEqual(passive.inject(queryFor(hashOf(1)), 4), Uint8Array.of(192, 0, 2, 9, 0x12, 0x34));
    assert.equal(passive.inject(queryFor(hashOf(1)), 6), undefined);
    assert.equal(passive.inject(queryFor(hashOf(2)), 4), undefined);
    assert.ok(passive.forget(hashOf(1)));
    assert.equal(passive.inject(queryFor(hashOf(1)), 4), undefined);
    assert.equal(passive.injected, 1);
  });

  it("remembers a bounded number, the last", () => {
    const passive = new Passive(new VirtualDatagrams(1).ground);
    const forgotten: string[] = [];
    for (let n = 0; n < 5000; n++) forgotten.push(...passive.add(hashOf(n)).map(hex));
    assert.deepEqual(
      forgotten,
      Array.from({ length: 5000 - 4096 }, (_, n) => hex(hashOf(n))),
    );
    assert.equal(passive.has(hashOf(0), 0), false);
    assert.equal(passive.has(hashOf(4999), 0), true);
  });
});

describe("what is kept of an info dictionary", () => {
  const encoded = (info: object): [Uint8Array, Uint8Array] => {
    const bytes = bencode.encode(info);
    return [Uint8Array.from(createHash("sha1").update(bytes).digest()), bytes];
  };
  const pieces = Buffer.alloc(20);

  it("is its name, sizes and files", () => {
    const torrent = foundTorrentOf(madeHash(3), madeInfo(3));
    assert.equal(torrent?.name, "torrent number 3 of games");
    assert.equal(torrent?.fileCount, 3);
    assert.equal(torrent?.bytes, 6 * 2 ** 18);
    assert.deepEqual(torrent?.files[0], { path: "folder/file 0.data", bytes: 4 * 2 ** 18 });
  });

  it("is nothing for what is no torrent, or climbs out of its folder", () => {
    const climbing = {
      name: "x",
      "piece length": 16384,
      pieces,
      files: [{ length: 5, path: ["..", "etc"] }],
    };
    for (const info of [climbing, { name: "no pieces" }, ["a list"]]) {
      const [hash, bytes] = encoded(info);
      assert.equal(foundTorrentOf(hash, bytes), undefined);
    }
  });

  it("has no characters that steer a terminal or turn a line round, and few of a million files", () => {
    const name = "a\u001b[31m\u202egpj\u061c\u2028.exe";
    const files = Array.from({ length: 20_000 }, (_, n) => ({
      length: n === 0 ? 5 : 0,
      path: [`${n}\u0007`],
    }));
    const [hash, bytes] = encoded({ name, "piece length": 16384, pieces, files });
    const torrent = foundTorrentOf(hash, bytes);
    assert.equal(torrent?.name, "a\ufffd[31m\ufffdgpj\ufffd.exe");
    assert.equal(torrent?.fileCount, 20_000);
    assert.equal(torrent?.files.length, 5000);
    assert.equal(torrent?.files[0]?.path, "0\ufffd");
  });
});

describe("options of an indexer", () => {
  it("are refused with what is allowed", () => {
    const store = { see() {}, claim() {}, finish() {}, search() {} } as unknown as IndexStore;
    checkIndexerOptions({ store });
    const wrong: Partial<IndexerOptions>[] = [
      { lookupsMax: 0 },
      { lookupsPerSecond: -1 },
      { connectionsMax: 1.5 },
      { infoBytesMax: 2 ** 30 },
      { retryMs: 10 },
      { owner: "" },
      { store: {} as IndexStore },
      { retention: { torrentsMax: -1 } },
    ];
    for (const options of wrong) assert.throws(() => checkIndexerOptions({ store, ...options }), UsageError);
  });
});
