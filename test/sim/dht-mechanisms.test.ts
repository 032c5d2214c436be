// What the mechanisms of the DHT are for, in a simulated network of 20,000 nodes: order and cache save queries, adaptive timeouts save time, peers
// are found all the same, and no node gets more for it. Fixed seeds, virtual time: the figures are the same each time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { dhtMatrix, runDhtCase } from "../../bench/suites/dht.js";
import { runDhtWhole } from "../../bench/suites/dht-whole.js";

const SETTINGS = { nodes: 20_000, dead: 0.45, torrents: 40_000, lookups: 1600, concurrent: 12 };
/** What the busiest of 20,000 nodes gets moves by a fifth from seed to seed, with mechanisms and without: it is compared as a mean. */
const SEEDS = [11, 12, 13];
const BUSIEST_RATIO = 1.1;
/** As many for so few lookups as there are in proportion for the indexer's. */
const CURSORS = 128;

describe("the simulated network of the mechanisms' benchmark", { timeout: 240_000 }, () => {
  it("answers as one of whole nodes does", async () => {
    for (const dead of [0, 0.45]) {
      const settings = { nodes: 160, dead, lookups: 150, concurrent: 8, seed: 5 };
      const [whole, implicit] = await runDhtWhole(settings);
      const ratio = whole.queriesPerLookup / implicit.queriesPerLookup;
      assert.ok(ratio > 0.85 && ratio < 1.2, JSON.stringify([whole, implicit]));
      assert.ok(Math.abs(whole.silentShare - implicit.silentShare) < 0.1, JSON.stringify([whole, implicit]));
    }
  });
});

describe("mechanisms of the DHT", { timeout: 240_000 }, () => {
  it("save queries and time, lose no peers, and load no node more", async () => {
    const [nothing, everything] = dhtMatrix(16);
    assert.ok(nothing !== undefined && everything !== undefined);
    const busiest = { fixed: 0, all: 0 };
    for (const seed of SEEDS) {
      const fixed = await runDhtCase(nothing, { ...SETTINGS, seed });
      const all = await runDhtCase({ ...everything, cursors: CURSORS }, { ...SETTINGS, seed });
      const what = JSON.stringify([fixed, all]);
      assert.ok(all.queriesPerLookup <= 0.65 * fixed.queriesPerLookup, what);
      assert.ok(all.convergedSeconds <= 0.2 * fixed.convergedSeconds, what);
      assert.ok(Math.min(fixed.peers, all.peers) >= 0.99 * SETTINGS.lookups, what);
      assert.ok(all.queriesPerLookup >= 8, "a lookup ends with eight that answered");
      assert.ok(all.gini <= fixed.gini, what);
      busiest.fixed += fixed.queriesMostPerMinute / SEEDS.length;
      busiest.all += all.queriesMostPerMinute / SEEDS.length;
    }
    assert.ok(busiest.all <= BUSIEST_RATIO * busiest.fixed, JSON.stringify(busiest));
    // Few cursors that go fast are what loads the nodes that they pass.
    const fast = await runDhtCase({ ...everything, cursors: 4 }, { ...SETTINGS, seed: 11 });
    assert.ok(fast.queriesMostPerMinute > 3 * busiest.all, JSON.stringify([fast, busiest]));
  });
});
