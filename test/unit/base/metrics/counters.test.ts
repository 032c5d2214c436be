// Counters of a transfer begin at 0, and add exactly beyond 32 bits.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addCounters, makeCounters, type TransferCounters } from "../../../../src/base/metrics/counters.js";

describe("TransferCounters", () => {
  it("begin at 0, all of them", () => {
    assert.deepEqual([...new Set(Object.values(makeCounters()))], [0]);
  });

  it("are added key by key, exactly, beyond 2^32 too", () => {
    const names = Object.keys(makeCounters()) as (keyof TransferCounters)[];
    const part = makeCounters();
    names.forEach((name, index) => {
      part[name] = 2 ** 40 + index;
    });
    const sum = makeCounters();
    addCounters(sum, part);
    addCounters(sum, part);
    for (const [index, name] of names.entries()) assert.equal(sum[name], 2 * (2 ** 40 + index), name);
  });
});
