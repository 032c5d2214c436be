// The comparison of filters, small: a filter leaves half as many lookups again for new hashes as a plain queue, at the least. One seed and virtual
// time: the shares are the same each time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runDhtFilters } from "../../../bench/suites/dht-filters.js";

describe("filters of info hashes", () => {
  it("leave more lookups for new hashes than a queue does by itself", () => {
    const rows = [
      ...runDhtFilters({
        torrents: 200_000,
        exponent: 1,
        incomingPerSecond: 1000,
        lookupsPerSecond: 100,
        minutes: 5,
        seed: 3,
      }),
    ];
    const [fifo, ...filtered] = rows;
    assert.ok(
      fifo !== undefined && fifo.distinctShare > 0.1 && fifo.distinctShare < 0.6,
      JSON.stringify(fifo),
    );
    assert.equal(filtered.length, 7);
    for (const row of filtered) {
      assert.ok(row.distinctShare >= 1.5 * fifo.distinctShare, JSON.stringify([row, fifo]));
      assert.ok(row.bytes > 0 && row.distinctShare + row.emptyShare <= 1);
    }
  });
});
