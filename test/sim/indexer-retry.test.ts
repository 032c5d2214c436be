// When an indexer looks up a hash again that nobody had: after `retryMs`, then after twice as long, and so on. In virtual time.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { addressOf, DhtNetwork } from "../../bench/load/dht-network.js";
import { Dht } from "../../src/dht/index.js";
import { Indexer, type IndexerOptions } from "../../src/indexer/index.js";
import { InlineStore } from "../support/inline-store.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const NODES = 12;
const EPOCH_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

/** How long the hash was to rest after each failure, over `ms` of virtual time. */
async function rests(ms: number, options: Partial<IndexerOptions>): Promise<number[]> {
  const datagrams = new DhtNetwork({ seed: SEED, medianDelayMs: 60 });
  const nowMs = (): number => datagrams.ground.nowMs();
  const nodes: Dht[] = [];
  for (let number = 0; number < NODES; number++) {
    const listen = [{ host: addressOf(0x0b000001 + 0x10000 * number), port: 6881 }];
    nodes.push(new Dht({ listen, bootstrap: nodes[0]?.addresses ?? [] }, datagrams.world()));
    await datagrams.run(1000);
  }
  const store = await InlineStore.open(() => EPOCH_MS + nowMs());
  const told: number[] = [];
  const finish = store.finish.bind(store);
  store.finish = (owner, outcomes) => {
    for (const outcome of outcomes) if (outcome.kind === "failed") told.push(outcome.retryMs);
    return finish(owner, outcomes);
  };
  const host = addressOf(0x0c000001);
  const indexer = new Indexer(
    {
      store,
      dht: { listen: [{ host, port: 6881 }], bootstrap: nodes[0]?.addresses ?? [] },
      ...options,
    },
    {
      dht: datagrams.world(),
      peers: new SimulatedNetwork(SEED).addMachine(host, {
        delayMs: 30,
        bytesPerMs: 1000,
        windowBytes: 65_536,
      }),
    },
  );
  indexer.add([createHash("sha1").update(`${SEED}`).digest()]);
  await datagrams.run(ms);
  const closed = Promise.all([indexer.close(), ...nodes.map((node) => node.close())]);
  await datagrams.run(1000);
  await closed;
  await store.close();
  return told;
}

describe(`the rest of a hash that nobody had (SEED=${SEED})`, { timeout: 120_000 }, () => {
  it("is retryMs, give or take a tenth, and twice as long each time", async () => {
    const told = await rests(10 * 60_000, { retryMs: 20_000 });
    assert.ok(told.length >= 3, `${told.length} failures in ten minutes`);
    told.forEach((restMs, attempt) => {
      const share = restMs / (20_000 * 2 ** attempt);
      assert.ok(share >= 0.9 && share <= 1.1, `rest ${attempt + 1} is ${restMs} ms`);
    });
  });

  it("is an hour by default", async () => {
    const [first = 0, ...others] = await rests(10 * 60_000, {});
    assert.ok(first >= 0.9 * HOUR_MS && first <= 1.1 * HOUR_MS, `${first} ms`);
    assert.deepEqual(others, []);
  });
});
