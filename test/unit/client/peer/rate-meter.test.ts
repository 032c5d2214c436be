// Rates follow what came, by the time that really passed.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RateMeter } from "../../../../src/client/peer/rate-meter.js";

describe("RateMeter", () => {
  it("is the rate at once after the first sample, and approaches another one smoothly", () => {
    const meter = new RateMeter();
    meter.sample(1000, 1000);
    assert.equal(meter.rate, 1000);
    meter.sample(3000, 1000);
    assert.ok(meter.rate > 1000 && meter.rate < 2000);
    let total = 3000;
    for (let second = 0; second < 30; second++) {
      total += 2000;
      meter.sample(total, 1000);
    }
    assert.ok(Math.abs(meter.rate - 2000) < 1);
  });

  it("counts by the time that really passed", () => {
    const meter = new RateMeter();
    meter.sample(500, 250);
    assert.equal(meter.rate, 2000);
  });

  it("falls to exactly 0 when nothing comes", () => {
    const meter = new RateMeter();
    meter.sample(1e9, 1000);
    for (let second = 0; second < 100; second++) meter.sample(1e9, 1000);
    assert.equal(meter.rate, 0);
  });

  it("keeps what came between two samples of the same moment for the next", () => {
    const meter = new RateMeter();
    meter.sample(1000, 0);
    assert.equal(meter.rate, 0);
    meter.sample(1000, 1000);
    assert.equal(meter.rate, 1000);
  });
});
