// A torrent's search in the DHT: announced where connections are accepted and looked up where not, again when it is time, never two at once,
// and not for what turns out to be private.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HashTable, PeerAddress } from "../../../../src/client/options.js";
import { DhtSearch } from "../../../../src/client/sources/dht-search.js";
import type { SearchingTorrent } from "../../../../src/client/torrent/peer-source.js";

const PEER = { host: "192.0.2.1", port: 6881 };
const MINUTE_MS = 60_000;

class FakeTable implements HashTable {
  readonly addresses = [{ host: "127.0.0.1", port: 1 }];
  readonly asked: string[] = [];
  signal: AbortSignal | undefined;
  ports: object | undefined;
  answers = 8;
  /** Ends what is under way. */
  finish: () => void = () => {};

  addNodes(): void {}

  async *lookup(_hash: Uint8Array, { signal }: { signal: AbortSignal }): AsyncIterable<PeerAddress> {
    this.asked.push("lookup");
    this.signal = signal;
    yield PEER;
  }

  announce(
    _hash: Uint8Array,
    options: Parameters<HashTable["announce"]>[1],
    peers: (peer: PeerAddress) => void,
  ): Promise<number> {
    this.asked.push(`announce ${options.port}${options.seed ? " seed" : ""}`);
    this.ports = options.ports;
    this.signal = options.signal;
    peers(PEER);
    return new Promise((resolve, reject) => {
      this.finish = () => resolve(this.answers);
      options.signal.addEventListener("abort", () => reject(options.signal.reason));
    });
  }
}

function setUp(
  v4: number | undefined,
  v6?: number,
): {
  table: FakeTable;
  torrent: {
    wantsBlocks: boolean;
    peerCount: number;
    isPrivate: boolean | undefined;
    brought: PeerAddress[];
  };
  pass: (ms: number) => Promise<void>;
  search: DhtSearch;
} {
  const table = new FakeTable();
  let nowMs = 1000;
  const brought: PeerAddress[] = [];
  const torrent = {
    infoHash: new Uint8Array(20),
    wantsBlocks: true,
    peerCount: 50,
    isPrivate: undefined as boolean | undefined,
    brought,
    bring: (_source: unknown, peers: readonly PeerAddress[]) => brought.push(...peers),
  };
  const search = new DhtSearch(table, torrent as unknown as SearchingTorrent, {
    nowMs: () => nowMs,
    ports: () => ({ v4, v6 }),
  });
  const pass = async (ms: number): Promise<void> => {
    nowMs += ms;
    search.tick();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { table, torrent, pass, search };
}

describe("a torrent's search in the DHT", () => {
  it("announces where connections are accepted, one at a time, and again after a while", async () => {
    const { table, torrent, pass } = setUp(6881);
    await pass(0);
    assert.deepEqual(table.asked, ["announce 6881"]);
    assert.deepEqual(torrent.brought, [PEER]);
    await pass(30 * MINUTE_MS);
    assert.equal(table.asked.length, 1, "the first one is under way");
    table.finish();
    await pass(0);
    await pass(14 * MINUTE_MS);
    assert.equal(table.asked.length, 1);
    torrent.wantsBlocks = false;
    await pass(2 * MINUTE_MS);
    assert.deepEqual(table.asked, ["announce 6881", "announce 6881 seed"]);
  });

  it("asks again soon where peers are few, and sooner where nobody answered", async () => {
    const { table, torrent, pass } = setUp(6881);
    torrent.peerCount = 2;
    await pass(0);
    table.finish();
    await pass(0);
    await pass(50_000);
    assert.equal(table.asked.length, 1);
    await pass(11_000);
    assert.equal(table.asked.length, 2);
    table.answers = 0;
    table.finish();
    await pass(0);
    await pass(5000);
    assert.equal(table.asked.length, 3);
  });

  it("asks again at once while a node that has just begun knows nobody, and seldom where nobody ever answers", async () => {
    const { table, pass } = setUp(6881);
    table.answers = 0;
    const askedAtMs: number[] = [];
    for (let atMs = 0; atMs < 30_000; atMs += 100) {
      const before = table.asked.length;
      await pass(atMs === 0 ? 0 : 100);
      if (table.asked.length > before) askedAtMs.push(atMs);
      table.finish();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(askedAtMs, [0, 500, 1500, 3500, 7500, 12_500, 17_500, 22_500, 27_500]);
    table.answers = 8;
    await pass(5000);
    table.finish();
    await pass(0);
    assert.equal(table.asked.length, 10);
    await pass(14 * MINUTE_MS);
    assert.equal(table.asked.length, 10);
  });

  it("looks up where no connections are accepted", async () => {
    const { table, torrent, pass } = setUp(undefined);
    await pass(0);
    assert.deepEqual(table.asked, ["lookup"]);
    assert.deepEqual(torrent.brought, [PEER]);
  });

  it("announces the port of each kind of address, and none of one over which nobody reaches us", async () => {
    for (const [v4, v6, port] of [
      [40_001, 6881, 40_001],
      [undefined, 6881, 6881],
      [6881, undefined, 6881],
    ] as const) {
      const { table, pass } = setUp(v4, v6);
      await pass(0);
      assert.deepEqual([table.asked, table.ports], [[`announce ${port}`], { v4, v6 }]);
    }
  });

  it("ends when the metadata says that the torrent is private, and when it is stopped", async () => {
    const { table, torrent, pass, search } = setUp(6881);
    await pass(0);
    torrent.isPrivate = true;
    await pass(1000);
    assert.equal(table.signal?.aborted, true);
    await pass(60 * MINUTE_MS);
    assert.equal(table.asked.length, 1);
    search.stop();
  });
});
