// An index of a whole swarm, over sockets of this machine: a DHT of our nodes, peers that have torrents, and an indexer.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import { MetadataSeeder } from "../../bench/load/metadata-seeder.js";
import { runIndexing } from "../../bench/suites/indexing.js";
import { runCollecting, runRetrieval } from "../../bench/suites/passive.js";
import { Dht } from "../../src/dht/index.js";
import { Indexer, openStore } from "../../src/indexer/index.js";
import type { SocketAddress } from "../../src/native/binding.js";
import { makeDhtNodes, temporaryIndex, until } from "../support/index-network.js";
import { entryOf } from "../support/required.js";
import { collectUncaught } from "../support/uncaught.js";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const PEERS_AT = "127.0.2.1";
const TORRENTS = 100;

describe("bench index", { timeout: 600_000 }, () => {
  it("counts what collecting hears, packet by packet, and that it costs none", async () => {
    const settings = { nodes: 24, virtualNodes: 3, torrents: 200, minutes: 0.2, seed: 5 };
    const [off, on] = await runCollecting(settings);
    assert.ok(off !== undefined && on !== undefined);
    assert.deepEqual([off.mentions, off.hashes], [0, 0]);
    assert.ok(on.queriesHeard > 50 && on.hashes > 10 && on.hashes < on.mentions, JSON.stringify(on));
    assert.equal(on.mentions, on.queriesHeard, "each is counted");
    assert.deepEqual(
      [on.queriesHeard, on.sent, on.datagrams],
      [off.queriesHeard, off.sent, off.datagrams],
      "and not one packet more",
    );
  });

  it("counts torrents of peers that nobody can connect to, which retrieval alone brings", async () => {
    const settings = { nodes: 16, virtualNodes: 4, open: 10, hidden: 10, nobodys: 10, waitMs: 120_000 };
    const [off, on] = await runRetrieval(settings);
    assert.ok(off !== undefined && on !== undefined);
    assert.deepEqual([off.torrents, off.passive, off.addressesTold], [10, 0, 0]);
    // Who looks for others meets one of our nodes nearly always: there are so few.
    assert.ok(on.passive > 0 && on.torrents === 10 + on.passive && on.addressesTold > 0, JSON.stringify(on));
  });

  it("counts lookups and torrents, in a small network", async () => {
    // It begins to count when the first torrents are stored, and what is stored is written every two seconds: how many more come in so
    // short a time is the machine's affair. There are more hashes than are looked up until then.
    const row = await runIndexing({
      seconds: 1,
      nodes: 16,
      virtualNodes: 4,
      deadPercent: 25,
      hashes: 5000,
      sharePercent: 10,
    });
    assert.ok(row.lookups > 0 && row.queriesPerLookup > 0, JSON.stringify(row));
  });
});

describe("an index of a swarm", { timeout: 600_000 }, () => {
  it("has every torrent that was announced, with its files, and gives its claims back when it is closed", async (t) => {
    const nodes = await makeDhtNodes(t, 16);
    const seeder = await MetadataSeeder.start(LOOPBACK.host);
    t.after(() => seeder.close());
    const store = await openStore(temporaryIndex(t));
    t.after(() => store.close());
    const hashes = Array.from({ length: TORRENTS }, (_, number) => seeder.add(number));
    await Promise.all(
      hashes.map((hash, n) => entryOf(nodes, n % nodes.length).announce(hash, { port: seeder.port })),
    );
    const indexer = new Indexer({
      store,
      dht: { listen: [LOOPBACK, LOOPBACK], bootstrap: entryOf(nodes, 0).addresses },
    });
    t.after(() => indexer.close());
    const told: string[] = [];
    indexer.on("torrent", ({ infoHash }) => told.push(infoHash));
    const nobodys = Uint8Array.from({ length: 20 }, () => 0x77);
    indexer.add([...hashes, nobodys]);
    await until(async () => (await store.stats()).torrents === TORRENTS, "all torrents are in the index");
    await until(async () => (await store.stats()).failed === 1, "the hash that nobody has is left alone");
    await indexer.close();
    const counters = indexer.stats().counters;
    assert.deepEqual(told.sort(), hashes.map((hash) => Buffer.from(hash).toString("hex")).sort());
    assert.equal(counters.stored, TORRENTS);
    assert.equal(counters.peers, TORRENTS, "each has one, whom all nodes near it tell of");
    assert.equal(counters.lookupsConverged, counters.lookups);
    assert.equal(counters.lookupsOver, counters.lookups);
    assert.equal((await store.search({ text: "torrent number 37" })).torrents.length, 1);
    const torrent = await store.get(entryOf(hashes, 37));
    assert.deepEqual(
      torrent?.files.map(({ path }) => path),
      ["folder/file 0.data", "folder/file 1.data"],
    );
    assert.equal(await store.release(indexer.owner), 0, "nothing is claimed any more");
  });

  it("finds by itself what nodes keep, and asks the node that told of a torrent before all others", async (t) => {
    const nodes = await makeDhtNodes(t, 8);
    const seeder = await MetadataSeeder.start(LOOPBACK.host);
    t.after(() => seeder.close());
    const store = await openStore(temporaryIndex(t));
    t.after(() => store.close());
    const hashes = Array.from({ length: 10 }, (_, number) => seeder.add(number));
    await Promise.all(
      hashes.map((hash, n) => entryOf(nodes, n % nodes.length).announce(hash, { port: seeder.port })),
    );
    const indexer = new Indexer({
      store,
      collects: false,
      dht: { listen: [LOOPBACK, LOOPBACK], bootstrap: entryOf(nodes, 0).addresses },
    });
    t.after(() => indexer.close());
    await until(async () => (await store.stats()).torrents === 10, "all that was announced is in the index");
    assert.ok(indexer.stats().counters.shortcuts > 0, "a sampler was asked first");
  });

  it("finds by both families at once what is announced in one of them only", async (t) => {
    const [nodes4, nodes6] = [await makeDhtNodes(t, 8), await makeDhtNodes(t, 8, "::1")];
    const [seeder4, seeder6] = [await MetadataSeeder.start("127.0.0.1"), await MetadataSeeder.start("::1")];
    t.after(() => seeder4.close());
    t.after(() => seeder6.close());
    const store = await openStore(temporaryIndex(t));
    t.after(() => store.close());
    const [hashes4, hashes6] = [
      [0, 1, 2, 3].map((number) => seeder4.add(number)),
      [10, 11, 12, 13].map((number) => seeder6.add(number)),
    ];
    await Promise.all([
      ...hashes4.map((hash, n) => entryOf(nodes4, n).announce(hash, { port: seeder4.port })),
      ...hashes6.map((hash, n) => entryOf(nodes6, n).announce(hash, { port: seeder6.port })),
    ]);
    const indexer = new Indexer({
      store,
      samples: false,
      dht: {
        listen: [LOOPBACK, { host: "::1", port: 0 }],
        bootstrap: [...entryOf(nodes4, 0).addresses, ...entryOf(nodes6, 0).addresses],
      },
    });
    t.after(() => indexer.close());
    indexer.add([...hashes4, ...hashes6]);
    await until(
      async () => (await store.stats()).torrents === 8,
      "torrents of both families are in the index",
    );
    for (const hash of hashes6) assert.match((await store.get(hash))?.name ?? "", /^torrent number 1[0-3] /);
    assert.ok(seeder4.served >= 4 && seeder6.served >= 4);
  });

  it("tells each listener by itself, whatever another one throws, and may be closed by one", async (t) => {
    const nodes = await makeDhtNodes(t, 8);
    const seeder = await MetadataSeeder.start(LOOPBACK.host);
    t.after(() => seeder.close());
    const hash = seeder.add(3);
    await entryOf(nodes, 0).announce(hash, { port: seeder.port });
    const store = await openStore(temporaryIndex(t));
    t.after(() => store.close());
    const indexer = new Indexer({
      store,
      samples: false,
      dht: { listen: [LOOPBACK], bootstrap: entryOf(nodes, 0).addresses },
    });
    t.after(() => indexer.close());
    const thrown = new Error("of the program");
    const heard: string[] = [];
    indexer.on("torrent", () => {
      throw thrown;
    });
    indexer.on("torrent", ({ name }) => {
      heard.push(name);
      void indexer.close().then(() => heard.push("closed"));
    });
    const errors = await collectUncaught(async () => {
      indexer.add([hash]);
      await until(() => heard.includes("closed"), "the second listener has closed it");
    });
    assert.equal(heard.length, 2);
    assert.match(heard[0] ?? "", /^torrent number 3 /);
    assert.deepEqual(errors, [thrown]);
    assert.equal(await store.release(indexer.owner), 0, "nothing is claimed any more");
  });

  it("leaves out what is marked private, counted, unless it is told to keep it", async (t) => {
    const nodes = await makeDhtNodes(t, 8);
    const seeder = await MetadataSeeder.start(LOOPBACK.host);
    t.after(() => seeder.close());
    const info = {
      length: 7,
      name: "among friends",
      "piece length": 16_384,
      pieces: Buffer.alloc(20),
      private: 1,
    };
    const hash = seeder.addInfo(Buffer.from(bencode.encode(info)));
    await entryOf(nodes, 0).announce(hash, { port: seeder.port });
    for (const keepsPrivate of [false, true]) {
      const store = await openStore(temporaryIndex(t));
      t.after(() => store.close());
      const indexer = new Indexer({
        store,
        keepsPrivate,
        samples: false,
        dht: { listen: [LOOPBACK], bootstrap: entryOf(nodes, 0).addresses },
      });
      t.after(() => indexer.close());
      indexer.add([hash]);
      await until(() => indexer.stats().counters[keepsPrivate ? "stored" : "unusable"] === 1, "it is found");
      assert.equal(indexer.stats().counters.privateLeftOut, keepsPrivate ? 0 : 1);
      assert.equal((await store.get(hash))?.name, keepsPrivate ? "among friends" : undefined);
      assert.equal((await store.search({})).torrents.length, keepsPrivate ? 1 : 0);
    }
  });

  it("takes a torrent from a peer that comes by itself, told of us by our own nodes, each with an address, and tells nobody of us for others", async (t) => {
    // So few that a lookup asks all of them, ours included.
    const nodes = await makeDhtNodes(t, 7);
    const store = await openStore(temporaryIndex(t));
    t.after(() => store.close());
    const indexer = new Indexer({
      store,
      listen: { host: PEERS_AT, port: 0 },
      // The network sees it at as many addresses as it has, and at none of them most of all.
      dht: {
        listen: [1, 2, 3].map((last) => ({ host: `127.0.2.${last}`, port: 0 })),
        bootstrap: entryOf(nodes, 0).addresses,
      },
    });
    t.after(() => indexer.close());
    const seeder = await MetadataSeeder.start(LOOPBACK.host);
    t.after(() => seeder.close());
    const [hash, other] = [seeder.add(7), seeder.add(8)];
    indexer.add([hash]);
    await until(
      async () => (await store.stats()).failed === 1,
      "nobody has announced it, and it cannot be had",
    );
    const asker = new Dht({ listen: [LOOPBACK], bootstrap: entryOf(nodes, 1).addresses });
    t.after(() => asker.close());
    await until(() => asker.stats().contacts >= 9, "a stranger knows the network");
    const peersOf = async (infoHash: Uint8Array): Promise<SocketAddress[]> => {
      const peers: SocketAddress[] = [];
      for await (const peer of asker.lookup(infoHash)) peers.push(peer);
      return peers;
    };
    assert.deepEqual(await peersOf(other), [], "of a torrent that did not fail nobody is told our address");
    const port = indexer.listenAddress?.port ?? 0;
    assert.deepEqual(await peersOf(hash), [{ host: PEERS_AT, port }], "who looks for it finds us");
    seeder.connect(port, hash, PEERS_AT);
    await until(async () => (await store.get(hash)) !== undefined, "it is in the index");
    assert.equal(indexer.stats().counters.passive, 1);
    assert.ok(indexer.stats().counters.addressesTold > 0);
    assert.deepEqual(await peersOf(hash), [], "what was found is not told any more");
  });
});
