// How long connection ids are good: told by ids alone, without a tracker. Whose they are is asked of a tracker (udp.test.ts).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConnectionIds, SLOT_MS } from "../../../../src/tracker/server/connection-ids.js";

describe("connection ids", () => {
  it("are good in as many time slots as are asked for, and never again", () => {
    const key = Uint32Array.of(1, 2, 3, 4);
    const address = Uint32Array.of(0x0100000a);
    for (const slots of [1, 2, 3, 16]) {
      const ids = new ConnectionIds(key, slots);
      // From around the beginning of time on, at which slots would be negative.
      for (const first of [0, 15, 16, 28_000_000]) {
        ids.advance(first * SLOT_MS);
        ids.make(4, address, 0);
        const { high, low } = ids;
        const good = Array.from({ length: 40 }, (_, later) => {
          ids.advance((first + later) * SLOT_MS);
          return ids.isValid(4, address, 0, high, low) ? later : -1;
        }).filter((later) => later >= 0);
        assert.deepEqual(
          good,
          Array.from({ length: slots }, (_, later) => later),
        );
        ids.advance((first - 1) * SLOT_MS);
        assert.equal(ids.isValid(4, address, 0, high, low), false);
        ids.advance(first * SLOT_MS);
        for (let bit = 0; bit < 32; bit++)
          assert.equal(ids.isValid(4, address, 0, high, (low ^ (1 << bit)) >>> 0), false);
      }
    }
    for (const slots of [0, 17, 1.5, Number.NaN])
      assert.throws(() => new ConnectionIds(key, slots), { code: "USAGE_OPTION" });
  });
});
