// The requests that are outstanding stay in order, whatever comes and goes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.js";
import type { PieceIndex } from "../../../../src/base/ids.js";
import { ExpectedBlocks } from "../../../../src/client/receive/expected-blocks.js";
import { check } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

interface Request {
  piece: number;
  begin: number;
  length: number;
  sentAtMs: number;
}

function listOf(blocks: ExpectedBlocks): Request[] {
  return Array.from({ length: blocks.count }, (_, index) => ({
    piece: blocks.pieceAt(index),
    begin: blocks.beginAt(index),
    length: blocks.lengthAt(index),
    sentAtMs: blocks.sentAtMs(index),
  }));
}

describe("ExpectedBlocks", () => {
  it("is empty, and finds nothing, before the first request", () => {
    const blocks = new ExpectedBlocks();
    assert.equal(blocks.count, 0);
    assert.equal(blocks.bytes, 0);
    assert.equal(blocks.find(0, 0), -1);
    assert.throws(() => blocks.removeAt(0), AssertionError);
  });

  it("keeps the order of requests when it grows around its edge and when one in the middle goes", () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constant("push" as const), count: fc.integer({ min: 1, max: 40 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant("answer" as const), count: fc.integer({ min: 1, max: 40 }) }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("remove" as const), count: fc.nat(300) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const), count: fc.constant(0) }) },
    );
    check(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (script) => {
        const blocks = new ExpectedBlocks();
        let model: Request[] = [];
        let made = 0;
        for (const { do: what, count } of script) {
          if (what === "push") {
            for (let left = count; left > 0; left--) {
              const request = {
                piece: made >> 3,
                begin: (made & 7) * 16384,
                length: 1 + (made % 16384),
                sentAtMs: made / 3,
              };
              made++;
              model.push(request);
              blocks.push(request.piece as PieceIndex, request.begin, request.length, request.sentAtMs);
            }
          } else if (what === "answer") {
            for (let left = Math.min(count, model.length); left > 0; left--) {
              const { piece, begin } = required(model.shift(), "an entry of model");
              assert.equal(blocks.find(piece, begin), 0);
              blocks.removeAt(0);
              assert.equal(blocks.find(piece, begin), -1);
            }
          } else if (what === "remove" && model.length > 0) {
            const at = count % model.length;
            const [{ piece, begin }] = model.splice(at, 1) as [Request];
            assert.equal(blocks.find(piece, begin), at);
            blocks.removeAt(at);
          } else if (what === "clear") {
            model = [];
            blocks.clear();
          }
          assert.deepEqual(listOf(blocks), model);
          blocks.checkInvariants();
          blocks.checkDistinct();
          assert.equal(
            blocks.bytes,
            model.reduce((sum, { length }) => sum + length, 0),
          );
          if (model.length > 0) {
            const { piece, begin } = entryOf(model, -1);
            assert.equal(blocks.find(piece, begin), model.length - 1);
          }
        }
      }),
      150,
    );
  });

  it("finds a block that is there twice, where it must not be, and one that is none", () => {
    const blocks = new ExpectedBlocks();
    for (const begin of [0, 16_384, 0]) blocks.push(7 as PieceIndex, begin, 16_384, 0);
    blocks.checkInvariants();
    assert.throws(() => blocks.checkDistinct(), AssertionError);
    blocks.removeAt(0);
    blocks.checkDistinct();
    assert.throws(() => blocks.push(7 as PieceIndex, 32_768, 16_385, 0), AssertionError);
    assert.throws(() => blocks.unshift(7 as PieceIndex, 32_768, 0, 0), AssertionError);
    assert.equal(blocks.count, 2);
    blocks.checkInvariants();
  });
});
