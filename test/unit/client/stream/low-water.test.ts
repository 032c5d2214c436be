// When a peer is worth a wake-up: never for what may not come, and with few changes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB, MIB } from "../../../../src/base/limits.js";
import { blocksAtOnce, lowWaterFor } from "../../../../src/client/stream/low-water.js";

describe("lowWaterFor", () => {
  it("is up to 2 MiB of a near peer while no other socket is ready, since what waits closes no window of its", () => {
    const marks = [2 * MIB, 4 * MIB - 1, 4 * MIB, 8 * MIB, 32 * MIB].map((outstanding) =>
      lowWaterFor(1, outstanding, 1, true),
    );
    assert.deepEqual(marks, [512 * KIB, 512 * KIB, MIB, 2 * MIB, 2 * MIB]);
    assert.equal(
      lowWaterFor(2 * MIB, 4 * MIB, 1, true),
      2 * MIB,
      "it stays while twice as much is outstanding",
    );
    assert.equal(lowWaterFor(2 * MIB, 32 * MIB, 1, false), 512 * KIB, "and is less once the peer is far");
    assert.equal(lowWaterFor(2 * MIB, 32 * MIB, 1.5, true), 256 * KIB, "or others are ready");
  });

  it("is a quarter of what is outstanding, from 128 to 512 KiB, or the first byte", () => {
    const marks: readonly [number, number][] = [
      ...([
        [0, 1],
        [511 * KIB, 1],
        [512 * KIB, 128 * KIB],
        [MIB - 1, 128 * KIB],
      ] as const),
      ...([
        [MIB, 256 * KIB],
        [2 * MIB - 1, 256 * KIB],
        [2 * MIB, 512 * KIB],
        [32 * MIB, 512 * KIB],
      ] as const),
    ].map(([outstanding, mark]) => [outstanding, mark]);
    for (const [outstanding, mark] of marks)
      assert.equal(lowWaterFor(1, outstanding, 1, false), mark, `${outstanding}`);
  });

  it("stays while twice as much is outstanding, so that requests that come in batches change nothing", () => {
    assert.equal(lowWaterFor(512 * KIB, MIB, 1, false), 512 * KIB);
    assert.equal(lowWaterFor(512 * KIB, MIB - 1, 1, false), 128 * KIB);
    assert.equal(lowWaterFor(128 * KIB, 256 * KIB, 1, false), 128 * KIB);
    assert.equal(lowWaterFor(128 * KIB, 256 * KIB - 1, 1, false), 1);
    assert.equal(lowWaterFor(128 * KIB, MIB, 1, false), 256 * KIB, "and grows where there is more");
  });

  it("is less where several sockets are ready in a turn, together no more than one may have", () => {
    const marks = [1, 1.5, 2, 3, 4, 8, 100].map((ready) => lowWaterFor(1, 32 * MIB, ready, false) / KIB);
    assert.deepEqual(marks, [512, 256, 256, 128, 128, 128, 128]);
    assert.equal(lowWaterFor(512 * KIB, 32 * MIB, 8, true), 128 * KIB, "also when it was more");
    assert.equal(lowWaterFor(128 * KIB, 512 * KIB, 8, true), 128 * KIB);
  });

  it("never waits for more than half of what is outstanding, whatever it was", () => {
    for (const now of [1, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB])
      for (let outstanding = 0; outstanding < 20 * MIB; outstanding += 16 * KIB) {
        const mark = lowWaterFor(now, outstanding, 1, true);
        assert.ok(mark === 1 || 2 * mark <= outstanding, `${now}, ${outstanding}: ${mark}`);
      }
  });

  it("goes with receives that find twice as much at the most, within the peer's share of the turn", () => {
    const most = [1, 128, 256, 512].map((kib) => blocksAtOnce(kib * KIB, MIB));
    assert.deepEqual(most, [16, 16, 32, 64]);
    const shares = [1, 256 * KIB, 300 * KIB, 512 * KIB, MIB, 4 * MIB];
    assert.deepEqual(
      shares.map((share) => blocksAtOnce(512 * KIB, share)),
      [16, 16, 18, 32, 64, 64],
    );
  });
});
