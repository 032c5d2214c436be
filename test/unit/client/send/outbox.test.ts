// Small messages wait in memory that is there only while there are some, and leave in order.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Outbox } from "../../../../src/client/send/outbox.js";
import { bytesOf } from "../../../support/data.js";
import { check } from "../../../support/property.js";

function put(outbox: Outbox, bytes: Uint8Array): void {
  const at = outbox.reserve(bytes.length);
  outbox.bytes.set(bytes, at);
  outbox.wrote(bytes.length);
}

function waiting(outbox: Outbox): Uint8Array {
  return outbox.bytes.slice(outbox.start, outbox.end);
}

describe("Outbox", () => {
  it("holds no memory before the first message, and none after release when nothing waits", () => {
    const outbox = new Outbox();
    assert.equal(outbox.bytes.length, 0);
    put(outbox, bytesOf(1, 10));
    outbox.consume(4);
    outbox.release();
    assert.deepEqual(waiting(outbox), Uint8Array.from(bytesOf(1, 10).subarray(4)), "what waits is kept");
    outbox.consume(6);
    assert.ok(outbox.bytes.length > 0, "memory is kept while messages flow");
    outbox.release();
    assert.equal(outbox.bytes.length, 0);
    put(outbox, bytesOf(2, 5));
    assert.deepEqual(waiting(outbox), Uint8Array.from(bytesOf(2, 5)));
  });

  it("room that is reserved and not used is not sent", () => {
    const outbox = new Outbox();
    outbox.reserve(1000);
    assert.equal(outbox.length, 0);
    outbox.wrote(3);
    assert.equal(outbox.length, 3);
  });

  it("moves what waits to the front rather than grow without need", () => {
    const outbox = new Outbox();
    put(outbox, bytesOf(1, 200));
    const capacity = outbox.bytes.length;
    for (let round = 0; round < 100; round++) {
      outbox.consume(100);
      put(outbox, bytesOf(round, 100));
      assert.equal(outbox.bytes.length, capacity);
    }
  });

  it("bytes leave as they came, in order, whatever is written and taken in between", () => {
    const step = fc.record({
      write: fc.integer({ min: 1, max: 700 }),
      take: fc.nat(900),
      release: fc.boolean(),
    });
    check(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const outbox = new Outbox();
        let expected = Buffer.alloc(0);
        steps.forEach(({ write, take, release }, index) => {
          const bytes = bytesOf(index, write);
          put(outbox, bytes);
          expected = Buffer.concat([expected, bytes]);
          assert.deepEqual(Buffer.from(waiting(outbox)), expected);
          const count = Math.min(take, outbox.length);
          outbox.consume(count);
          expected = expected.subarray(count);
          if (release) outbox.release();
          outbox.checkInvariants();
          assert.equal(outbox.length, expected.length);
        });
      }),
      200,
    );
  });
});
