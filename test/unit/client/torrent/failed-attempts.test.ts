// What is remembered of pieces that failed: what differs from the right blocks, for a while, within a bound.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FailedAttempts } from "../../../../src/client/torrent/failed-attempts.js";

const RIGHT = Float64Array.of(1, 2, 3);

function remember(
  attempts: FailedAttempts,
  piece: number,
  senders: number[],
  digests: number[],
  ms = 0,
): void {
  attempts.remember(piece, Int32Array.from(senders), Float64Array.from(digests), ms);
}

describe("FailedAttempts", () => {
  it("names whoever sent what differs, in any attempt of the piece, and nobody for what is not known", () => {
    const attempts = new FailedAttempts();
    remember(attempts, 7, [1, 2, 3], [1, 9, 3]);
    remember(attempts, 7, [4, 1, -1], [1, 2, 8]);
    remember(attempts, 7, [5, 6, 6], [Number.NaN, 2, 9]);
    remember(attempts, 8, [1, 1, 1], [9, 9, 9]);
    assert.deepEqual([attempts.has(7), attempts.has(8), attempts.has(9)], [true, true, false]);
    assert.deepEqual(attempts.settle(7, RIGHT), new Set([2, 6]));
    assert.equal(attempts.has(7), false);
    assert.equal(attempts.blockCount, 3);
    assert.deepEqual(attempts.settle(8, undefined), new Set());
    assert.equal(attempts.blockCount, 0);
  });

  it("keeps within its bound: the oldest goes first", () => {
    const attempts = new FailedAttempts(6);
    for (let piece = 0; piece < 4; piece++) remember(attempts, piece, [1, 1, 1], [9, 9, 9]);
    assert.equal(attempts.blockCount, 6);
    assert.deepEqual(
      [0, 1, 2, 3].map((piece) => attempts.has(piece)),
      [false, false, true, true],
    );
    const many = new FailedAttempts();
    for (let piece = 0; piece < 5000; piece++) remember(many, piece, [1, 2], [9, 9]);
    assert.equal(many.blockCount, 2 * 1024);
  });

  it("forgets after an hour", () => {
    const attempts = new FailedAttempts();
    remember(attempts, 0, [1, 1, 1], [9, 9, 9], 0);
    remember(attempts, 1, [1, 1, 1], [9, 9, 9], 60_000);
    attempts.expire(3_600_000);
    assert.equal(attempts.has(0), true);
    attempts.expire(3_600_001);
    assert.deepEqual([attempts.has(0), attempts.has(1)], [false, true]);
  });
});
