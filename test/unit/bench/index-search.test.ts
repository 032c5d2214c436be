// The benchmark of searches: it fills an index, asks it, and finds what is there.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fillIndex, searchIndex } from "../../../bench/suites/index-search.js";
import { openStore } from "../../../src/indexer/index.js";
import { temporaryFolder } from "../../support/data.js";

describe("bench index-search", { timeout: 120_000 }, () => {
  it("fills a store with torrents that differ, and finds them by their words", async (t) => {
    const store = await openStore(`${temporaryFolder((callback) => t.after(callback))}/index.db`);
    t.after(() => store.close());
    const settings = { torrents: 2500, searches: 5, seed: 11 };
    const told: number[] = [];
    const { storeBytes } = await fillIndex(store, settings, (done) => told.push(done));
    assert.deepEqual(told, [1000, 2000, 2500]);
    assert.equal((await store.stats()).torrents, 2500);
    assert.ok(storeBytes > 2500 * 100, `${storeBytes} bytes`);
    const rows = await searchIndex(store, settings);
    const [newest] = rows;
    const all = rows.at(-1);
    assert.equal(newest?.found, 50);
    assert.equal(all?.searches, 5 * (rows.length - 1));
    assert.ok(
      rows.every(({ medianMs, p95Ms, maxMs }) => medianMs > 0 && medianMs <= p95Ms && p95Ms <= maxMs),
    );
    const named = new Map(rows.map(({ kind, found }) => [kind, found]));
    assert.ok((named.get("a word that many have") ?? 0) > 20, "a word of rank below 50 fills most of a page");
    assert.ok((named.get("a word that few have") ?? 50) < 20);
  });
});
