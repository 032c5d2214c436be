// Lookups in a simulated DHT as a file and as a page: what was written is read again, and the page has the figures, the plots and what
// the paper measured.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type DhtFigures, framedDht, readDhtResults } from "../../../bench/measuring/dht-results.js";
import { dhtLead } from "../../../bench/report/dht-section.js";
import { makeReport } from "../../../bench/report/report.js";
import { temporaryFolder } from "../../support/data.js";

const FIRST: DhtFigures = {
  name: "random order, fixed timeouts",
  ...{ queriesPerLookup: 43.21, convergedSeconds: 20.52, completedSeconds: 20.52, peers: 20_102 },
  ...{ queriesMostPerMinute: 15, gini: 0.52 },
  ...{ hostileShare: 0, eclipsedShare: 0, toNamedPerLookup: 0, victimMostPerSecond: 0 },
};
const ALL: DhtFigures = { ...FIRST, name: "all", queriesPerLookup: 19.64, completedSeconds: 10.22 };
const SYBILS: DhtFigures = {
  ...ALL,
  name: "10 % <b>sybils</b>",
  hostileShare: 0.389,
  eclipsedShare: 0.027,
};
const FOUND = { nodes: 1_000_000, dead: 0.45, lookups: 20_000, seed: 7, rows: [FIRST, ALL, SYBILS] };

describe("the report of lookups in a simulated DHT", () => {
  it("has what was found, as plots and as a table, and the paper's figures beside it", async (t) => {
    const path = join(
      temporaryFolder((callback) => t.after(callback)),
      "dht.json",
    );
    writeFileSync(path, JSON.stringify(framedDht("1", new Date(), FOUND)));
    const { html, text } = await makeReport([path]);
    assert.match(text, /19\.6 queries with all mechanisms, 0\.45 × those of "random order, fixed timeouts"/);
    for (const words of ["43.2", "20,102", "1,000,000", "38.9", "2.7", "60 to 100", "10 at best", "10.2"])
      assert.ok(html.includes(words), words);
    // One for each figure and width.
    assert.equal(html.match(/<svg/g)?.length, 5 * 3);
    assert.ok(html.includes("&lt;b&gt;sybils") && !html.includes("<b>sybils"));
  });

  it("leads with what all mechanisms save, where they were measured, and beside what", () => {
    const lead = (...rows: DhtFigures[]): string =>
      dhtLead([{ path: "dht.json", results: framedDht("1", new Date(), { ...FOUND, rows }) }]);
    const saves =
      'A lookup takes 19.6 queries with all mechanisms, 0.45 × those of "random order, fixed timeouts"';
    assert.equal(lead(FIRST, ALL), saves);
    assert.equal(lead(FIRST, { ...ALL, name: "all: 8 virtual nodes" }), saves);
    assert.equal(lead(ALL, SYBILS), "A lookup takes 19.6 queries with all mechanisms");
    assert.equal(lead(FIRST, { ...ALL, name: "allowed" }), "Lookups in a simulated DHT");
    assert.equal(lead(), "Lookups in a simulated DHT");
  });

  it("says how many nodes never answer, and where all of them do", async (t) => {
    const folder = temporaryFolder((callback) => t.after(callback));
    const page = async (found: Partial<typeof FOUND>): Promise<string> => {
      const path = join(folder, `${found.dead}.json`);
      writeFileSync(path, JSON.stringify(framedDht("1", new Date(), { ...FOUND, ...found })));
      return (await makeReport([path])).html;
    };
    const some = await page({ dead: 0.45 });
    const none = await page({ dead: 0 });
    assert.match(some, /45.% of which never answer\./);
    assert.match(none, /1,000,000 others, all of which answer\./);
    assert.doesNotMatch(none, /never answer\./);
    assert.doesNotMatch(some, /all of which answer/);
    // Columns and a plot of attackers only where somebody attacked.
    const calm = await page({ dead: 0.5, rows: [FIRST, ALL] });
    assert.match(some, /Attacker&#39;s alone[\s\S]*Busiest victim/);
    assert.doesNotMatch(calm, /Attacker|attacker|victim/);
  });

  it("refuses what is none, and says where", () => {
    const good = framedDht("1", new Date(), FOUND);
    assert.deepEqual(readDhtResults(good).found, FOUND);
    assert.throws(() => readDhtResults({ ...good, found: { ...FOUND, rows: [{ name: "all" }] } }), {
      message: "found.rows[0].queriesPerLookup should be a number, not missing",
    });
    assert.throws(() => readDhtResults({ ...good, dht: 2 } as object), /schema 2 of the DHT/);
  });
});
