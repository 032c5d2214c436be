// Asking for samples in virtual time: every torrent that was announced is told, every node is asked once in its interval and no sooner,
// whoever makes hashes up is believed little, and a torrent's peers come from its sampler for one query. Scrapes are near the truth.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import {
  addressNumber,
  addressOf,
  DhtNetwork,
  IPV6,
  type VirtualSocket,
  writeAddress,
} from "../../bench/load/dht-network.js";
import { SITE_ASKED_MAX } from "../../src/dht/asked-nodes.js";
import { Dht, type Samples } from "../../src/dht/index.js";
import { KIND_QUERY, KrpcReader, METHOD_SAMPLE_INFOHASHES } from "../../src/dht/krpc-reader.js";
import { FAR_SAMPLES_MAX, SAMPLES_PER_ANSWER_MAX } from "../../src/dht/sampler.js";
import { entryOf, required } from "../support/required.js";
import { collectUncaught } from "../support/uncaught.js";

const NODES = 40;
const TORRENTS = 30;
const INTERVAL_MS = 300_000;

function hashOf(number: number): Uint8Array {
  return Uint8Array.from({ length: 20 }, (_, at) => Math.imul(number + 1, 0x9e3779b1 + 2 * at) >>> 24);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

async function makeNodes(t: TestContext, network: DhtNetwork, count: number): Promise<Dht[]> {
  const nodes: Dht[] = [];
  for (let index = 0; index < count; index++) {
    const listen = [{ host: addressOf(0x0b000000 + 257 * index), port: 6881 }];
    const bootstrap = nodes[0]?.addresses ?? [];
    // Ids that stay, whatever address they are at.
    const id = new Uint8Array(20);
    network.ground.fillRandom(id, 0);
    const node = new Dht({ listen, id, bootstrap, peerBytesMax: 2 ** 20 }, network.world());
    t.after(() => node.close());
    nodes.push(node);
    await network.run(50);
  }
  await network.run(120_000);
  return nodes;
}

/** As packets have it: a node of IPv6 whose id is as far in the key space as its address is among those of its site. */
function nodeAt(address: number): Uint8Array {
  const node = new Uint8Array(38).fill(9);
  node[0] = address & 255;
  writeAddress(node, 20, address);
  node.set([0, 1], 36);
  return node;
}

/** What comes of sampling, in the background. */
function collect(dht: Dht, options: Parameters<Dht["sample"]>[0]): { answers: Samples[]; isOver: boolean } {
  const state = { answers: [] as Samples[], isOver: false };
  void (async () => {
    for await (const answer of dht.sample(options)) state.answers.push(answer);
    state.isOver = true;
  })();
  return state;
}

describe("sampling the DHT", { timeout: 120_000 }, () => {
  it("asks few of a site whose networks name each other", async (t) => {
    const network = new DhtNetwork({ seed: 4, loss: 0 });
    const site = IPV6 + 0x0c000000;
    const node = new Dht({ listen: [{ host: addressOf(IPV6 + 0x0b000000), port: 1 }] }, network.world());
    t.after(() => node.close());
    const asked = new Set<number>();
    network.far = {
      take: (address, port, from, bytes) => {
        const query = new KrpcReader();
        if (!query.read(bytes, 0, bytes.length) || query.kind !== KIND_QUERY) return;
        if (query.method === METHOD_SAMPLE_INFOHASHES) asked.add(address);
        const nodes: Uint8Array[] = [];
        // Those behind it: whoever goes through the key space meets them next.
        for (let step = 0; step <= 8; step++) nodes.push(nodeAt(site + ((address - site + step) & 255)));
        const own = required(nodes.shift(), "its own id comes first").subarray(0, 20);
        const list = Buffer.concat(nodes);
        const { transactionAt: at, transactionBytes } = query;
        const parts = [
          Buffer.from("d1:rd2:id20:"),
          own,
          Buffer.from(`8:intervali21600e6:nodes6${list.length}:`),
          list,
          Buffer.from("3:numi0e7:samples0:e1:t4:"),
          query.bytes.subarray(at, at + transactionBytes),
          Buffer.from("1:y1:re"),
        ];
        network.sendFrom(address, port, from, Buffer.concat(parts));
      },
    };
    node.addNodes([{ host: addressOf(site), port: 1 }]);
    await network.run(10_000);
    const state = collect(node, { sweeps: 1 });
    for (let step = 0; step < 1200 && !state.isOver; step++) await network.run(100);
    assert.ok(state.isOver, "the sweep ends");
    assert.equal(asked.size, SITE_ASKED_MAX);
    assert.ok(node.stats().sampling.leftAlone > 0);
  });

  it("hears of all torrents in two sweeps, and of their peers from who told of them", async (t) => {
    const network = new DhtNetwork({ seed: 3, loss: 0 });
    const nodes = await makeNodes(t, network, NODES);
    for (let index = 0; index < TORRENTS; index++) {
      void entryOf(nodes, index % NODES).announce(hashOf(index), { port: 1000 + index });
      await network.run(2000);
    }
    await network.run(20_000);
    const us = entryOf(nodes, 7);
    const state = collect(us, { sweeps: 2 });
    for (let step = 0; step < 6000 && !state.isOver; step++) await network.run(100);
    assert.ok(state.isOver, "sweeps end");
    const told = new Map<string, Samples>();
    for (const answer of state.answers)
      for (const infoHash of answer.infoHashes) told.set(hex(infoHash), answer);
    for (let index = 0; index < TORRENTS; index++)
      assert.ok(told.has(hex(hashOf(index))), `torrent ${index}`);
    assert.equal(told.size, TORRENTS, "and of none that nobody announced");
    const { sampling } = us.stats();
    assert.equal(sampling.asked, NODES - 1, "every other node, once");
    assert.deepEqual([sampling.told, sampling.silent, sampling.samplesTooFar], [NODES - 1, 0, 0]);

    for (const index of [0, 11, 29]) {
      const before = us.stats();
      const peers: string[] = [];
      let isOver = false;
      void (async () => {
        for await (const { host, port } of us.lookup(hashOf(index), {
          sampler: required(told.get(hex(hashOf(index))), "who told it").node,
        }))
          peers.push(`${host}:${port}`);
        isOver = true;
      })();
      for (let step = 0; step < 100 && !isOver; step++) await network.run(20);
      assert.deepEqual(peers, [
        `${entryOf(entryOf(nodes, index % NODES).addresses, 0).host}:${1000 + index}`,
      ]);
      assert.equal(us.stats().counters.queriesSent - before.counters.queriesSent, 1, "one query");
      assert.equal(us.stats().lookups, before.lookups);
    }
    // A node that does not know is no end: a lookup follows.
    const peers: string[] = [];
    void (async () => {
      const sampler = { id: entryOf(entryOf(nodes, 30).ids, 0), host: "11.99.99.99", port: 1 };
      for await (const { port } of us.lookup(hashOf(4), { sampler })) peers.push(String(port));
    })();
    await network.run(40_000);
    assert.deepEqual(peers, ["1004"]);
  });

  it("knows about how many seeds and peers a torrent has", async (t) => {
    const network = new DhtNetwork({ seed: 9, loss: 0 });
    const nodes = await makeNodes(t, network, NODES);
    for (const [index, node] of nodes.entries())
      if (index > 0) void node.announce(hashOf(1), { port: 80, seed: index % 3 === 0 });
    await network.run(60_000);
    let isOver = false;
    void entryOf(nodes, 0)
      .scrape(hashOf(1))
      .then(({ seeds, peers, nodes: told }) => {
        isOver = true;
        assert.ok(seeds >= 11 && seeds <= 15, `${seeds} of 13 seeds`);
        assert.ok(peers >= 23 && peers <= 29, `${peers} of 26 peers`);
        assert.ok(told >= 4 && told <= 8, `${told} nodes`);
      });
    await network.run(30_000);
    assert.ok(isOver);
    await assert.rejects(
      entryOf(nodes, 0).scrape(hashOf(1), { signal: AbortSignal.abort(new Error("no")) }),
      /no/,
    );
  });

  it("scrapes without waiting for nodes that are gone, and says that only late answers are awaited", async (t) => {
    const network = new DhtNetwork({ seed: 11, loss: 0 });
    const nodes = await makeNodes(t, network, NODES);
    for (const node of nodes) void node.announce(hashOf(1), { port: 80 });
    await network.run(60_000);
    const [us, ...others] = nodes;
    assert.ok(us !== undefined);
    for (const [index, node] of others.entries()) if (index % 3 === 0) void node.close();
    const begin = network.ground.nowMs();
    let tookMs = -1;
    let told = 0;
    void us.scrape(hashOf(1)).then(({ nodes: count }) => {
      tookMs = network.ground.nowMs() - begin;
      told = count;
    });
    let found = 0;
    void (async () => {
      for await (const _peer of us.lookup(hashOf(1))) found++;
    })();
    assert.equal(us.stats().lookupsSearching, 2);
    await network.run(5000);
    assert.ok(tookMs >= 0 && tookMs < 5000, `${tookMs} ms of virtual time`);
    assert.ok(told >= 4 && told <= 8, `${told} nodes`);
    // Who does not answer has failed after ten seconds: peers that only it knows of may still come until then.
    assert.ok(found > 0);
    assert.deepEqual([us.stats().lookupsSearching, us.stats().lookupsUnderWay], [0, 1]);
    await network.run(10_000);
    assert.equal(us.stats().lookupsUnderWay, 0);
  });

  it("asks each node once in its interval, however long it goes on", async (t) => {
    const network = new DhtNetwork({ seed: 4, loss: 0.05 });
    const nodes = await makeNodes(t, network, 24);
    void entryOf(nodes, 3).announce(hashOf(1), { port: 80 });
    await network.run(20_000);
    const us = entryOf(nodes, 0);
    const queries = new Map<number, number[]>();
    const reader = new KrpcReader();
    const post = network.post.bind(network);
    network.post = (from: VirtualSocket, address: number, port: number, bytes: Uint8Array): void => {
      if (reader.read(bytes, 0, bytes.length) && reader.method === METHOD_SAMPLE_INFOHASHES)
        queries.set(address, [...(queries.get(address) ?? []), network.ground.nowMs()]);
      post(from, address, port, bytes);
    };
    const controller = new AbortController();
    const first = collect(us, {});
    void first;
    // A second one beside it shares what the first knows.
    const errors = await collectUncaught(async () => {
      const second = us.sample({ signal: controller.signal });
      const end = second.next();
      await network.run(4 * INTERVAL_MS + 60_000);
      controller.abort(new Error("enough"));
      await end.catch(() => {});
    });
    assert.deepEqual(errors, []);
    assert.equal(queries.size, 23);
    assert.ok([...queries.values()].flat().length >= 3 * 23);
    for (const [address, times] of queries) {
      assert.ok(
        times.length >= 1 && times.length <= 5,
        `${addressOf(address)} was asked ${times.length} times`,
      );
      for (const [at, time] of times.entries())
        assert.ok(
          at === 0 || time - entryOf(times, at - 1) >= INTERVAL_MS,
          `again after ${time - entryOf(times, at - 1)} ms`,
        );
    }
    for (const overlay of us.overlays.values()) overlay.checkInvariants();
  });

  it("believes whoever makes hashes up little, and never asks it sooner than the shortest interval", async (t) => {
    const network = new DhtNetwork({ seed: 5, loss: 0 });
    const us = new Dht(
      { listen: [{ host: "11.1.1.1", port: 6881 }], bootstrap: [{ host: "12.0.0.1", port: 1 }] },
      network.world(),
    );
    t.after(() => us.close());
    let asked = 0;
    const text = (part: Uint8Array): string => Buffer.from(part).toString("latin1");
    const id = new Uint8Array(20).fill(0x77);
    const neighbours = Array.from({ length: 8 }, (_, at) => {
      const node = Buffer.alloc(26, 0x77);
      node[19] = at;
      node.writeUInt32BE(addressNumber("12.0.1.0") + 256 * at, 20);
      return text(node);
    }).join("");
    network.far = {
      take: (address, port, from, bytes) => {
        const reader = new KrpcReader();
        if (port !== 1 || !reader.read(bytes, 0, bytes.length) || reader.kind !== KIND_QUERY) return;
        const isSample = reader.method === METHOD_SAMPLE_INFOHASHES;
        if (isSample) asked++;
        const samples = Buffer.alloc(1200);
        for (let at = 0; at < samples.length; at++) samples[at] = Math.imul(at + 1, 0x9e3779b1) >>> 24;
        const own = isSample
          ? `8:intervali0e5:nodes208:${neighbours}3:numi99999999999999e7:samples1200:${text(samples)}`
          : "5:nodes0:";
        const t = bytes.subarray(reader.transactionAt, reader.transactionAt + reader.transactionBytes);
        const answer = `d1:rd2:id20:${text(id)}${own}e1:t4:${text(t)}1:y1:re`;
        network.sendFrom(address, port, from, Buffer.from(answer, "latin1"));
      },
    };
    await network.run(5000);
    assert.equal(us.stats().contacts, 1);
    const state = collect(us, {});
    await network.run(600_000);
    assert.ok(asked >= 5 && asked <= 10, `asked ${asked} times in ten minutes`);
    const hashes = state.answers.reduce((sum, { infoHashes }) => sum + infoHashes.length, 0);
    assert.ok(hashes > 0 && hashes <= asked * FAR_SAMPLES_MAX, `${hashes} hashes of ${asked} answers`);
    const { samplesTooFar, samplesTooMany, silent } = us.stats().sampling;
    assert.equal(samplesTooMany, state.answers.length * (60 - SAMPLES_PER_ANSWER_MAX));
    assert.equal(samplesTooFar, state.answers.length * (SAMPLES_PER_ANSWER_MAX - FAR_SAMPLES_MAX));
    assert.ok(silent > 0 && silent <= 8 * 2, "those that do not exist are asked once in half an hour");
  });

  it("does not ask while nobody reads, and ends when the DHT does", async (t) => {
    const network = new DhtNetwork({ seed: 6, loss: 0 });
    const nodes = await makeNodes(t, network, 8);
    const us = entryOf(nodes, 0);
    assert.throws(() => us.sample({ sweeps: 0 }), /sweeps/);
    const stream = us.sample();
    await network.run(10_000);
    const next = stream.next();
    us.close();
    assert.deepEqual(await next, { value: undefined, done: true });
    assert.deepEqual(await us.sample().next(), { value: undefined, done: true });
  });
});
