// What the mechanisms of the DHT are for, in a simulated network of 20,000 nodes: order and cache save queries, adaptive timeouts save time, and
// peers are found all the same. One seed, virtual time: the figures are the same each time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { dhtCases, runDhtCase } from "../../bench/suites/dht.js";

const SETTINGS = { nodes: 20_000, dead: 0.45, torrents: 40_000, lookups: 400, concurrent: 12, seed: 11 };

describe("mechanisms of the DHT", { timeout: 120_000 }, () => {
  it("save queries and time, and lose no peers", async () => {
    const cases = dhtCases(16);
    const fixed = await runDhtCase(cases[0]!, SETTINGS);
    const all = await runDhtCase(cases.at(-1)!, SETTINGS);
    const what = JSON.stringify([fixed, all]);
    assert.ok(all.queriesPerLookup <= 0.65 * fixed.queriesPerLookup, what);
    assert.ok(all.convergedSeconds <= 0.2 * fixed.convergedSeconds, what);
    assert.ok(fixed.peers >= 0.99 * SETTINGS.lookups && all.peers >= 0.99 * SETTINGS.lookups, what);
    assert.ok(all.queriesPerLookup >= 8, "a lookup ends with eight that answered");
  });
});
