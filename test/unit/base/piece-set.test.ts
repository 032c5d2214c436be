// Sets of pieces: they hold what ordinary sets would hold, and take only bitfields that fit.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../src/base/assert.js";
import { PieceSet } from "../../../src/base/piece-set.js";
import { check } from "../../support/property.js";
import { entryOf } from "../../support/required.js";

function setOf(pieceCount: number, pieces: Iterable<number>): PieceSet {
  const set = new PieceSet(pieceCount);
  for (const piece of pieces) set.add(piece);
  return set;
}

/** Bits as BEP 3 puts them: piece 0 is the highest bit of the first byte. */
function bitsOf(pieceCount: number, pieces: ReadonlySet<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(pieceCount / 8));
  for (const piece of pieces) bytes[piece >> 3] = entryOf(bytes, piece >> 3) | (0x80 >> (piece & 7));
  return bytes;
}

type Step =
  | { do: "add" | "delete"; piece: number }
  | { do: "fill" | "clear" }
  | { do: "assign"; pieces: number[] };

const caseOf = fc.integer({ min: 1, max: 40 }).chain((pieceCount) => {
  const piece = fc.integer({ min: 0, max: pieceCount - 1 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("add" as const), piece }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("delete" as const), piece }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("fill" as const, "clear" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("assign" as const), pieces: fc.array(piece) }) },
  );
  return fc.record({
    pieceCount: fc.constant(pieceCount),
    steps: fc.array(step, { maxLength: 120, size: "max" }),
  });
});

describe("PieceSet", () => {
  it("holds what an ordinary set would hold", () => {
    check(
      fc.property(caseOf, ({ pieceCount, steps }) => {
        const set = new PieceSet(pieceCount);
        let model = new Set<number>();
        for (const step of steps) {
          if (step.do === "add")
            assert.equal(set.add(step.piece), !model.has(step.piece) && !!model.add(step.piece));
          else if (step.do === "delete") assert.equal(set.delete(step.piece), model.delete(step.piece));
          else if (step.do === "assign") {
            model = new Set(step.pieces);
            assert.equal(set.assign(bitsOf(pieceCount, model)), true);
          } else {
            model = new Set(step.do === "fill" ? Array(pieceCount).keys() : []);
            set[step.do]();
          }
          assert.equal(set.count, model.size);
          assert.equal(set.isFull, model.size === pieceCount);
          for (let piece = -1; piece <= 8 * Math.ceil(pieceCount / 8) + 8; piece++)
            assert.equal(set.has(piece), model.has(piece));
          assert.deepEqual(set.toBytes(), bitsOf(pieceCount, model));
        }
      }),
      200,
    );
  });

  it("finds the next piece that two sets have in common", () => {
    const sizes = fc.integer({ min: 1, max: 70 }).chain((pieceCount) => {
      const pieces = fc.oneof(
        fc.constant([...Array(pieceCount).keys()]),
        fc.uniqueArray(fc.integer({ min: 0, max: pieceCount - 1 })),
      );
      return fc.record({ pieceCount: fc.constant(pieceCount), a: pieces, b: pieces });
    });
    check(
      fc.property(sizes, ({ pieceCount, a, b }) => {
        const both = a.filter((piece) => b.includes(piece)).sort((x, y) => x - y);
        const [setA, setB] = [setOf(pieceCount, a), setOf(pieceCount, b)];
        for (let from = 0; from <= pieceCount; from++) {
          assert.equal(setA.nextCommon(setB, from), both.find((piece) => piece >= from) ?? -1);
          const beyond = [...Array(pieceCount).keys()].find(
            (piece) => piece >= from && setA.has(piece) && !setB.has(piece),
          );
          assert.equal(setA.nextBeyond(setB, from), beyond ?? -1);
          assert.equal(
            setA.nextCommon(setA, from),
            [...a].sort((x, y) => x - y).find((piece) => piece >= from) ?? -1,
          );
        }
      }),
      200,
    );
  });

  it("refuses a bitfield of another length, and one with spare bits set, and stays as it was", () => {
    const set = setOf(10, [3]);
    assert.equal(set.assign(Uint8Array.of(0xff)), false);
    assert.equal(set.assign(Uint8Array.of(0xff, 0xff, 0x00)), false);
    assert.equal(set.assign(Uint8Array.of(0xff, 0b1110_0000)), false);
    assert.equal(set.count, 1);
    assert.equal(set.has(3), true);
    assert.equal(set.assign(Uint8Array.of(0xff, 0b1100_0000)), true);
    assert.equal(set.isFull, true);
  });

  it("keeps no reference to the bytes of a message", () => {
    const bytes = Uint8Array.of(0b1010_0000);
    const set = new PieceSet(8);
    set.assign(bytes);
    bytes.fill(0);
    assert.deepEqual(set.toBytes(), Uint8Array.of(0b1010_0000));
    set.toBytes().fill(0);
    assert.equal(set.has(0), true);
  });

  it("takes no piece that the torrent does not have", () => {
    const set = new PieceSet(9);
    assert.throws(() => set.add(9), AssertionError);
    assert.throws(() => set.add(-1), AssertionError);
    assert.equal(set.delete(9), false);
  });

  it("is full and empty at once for a torrent without pieces", () => {
    const set = new PieceSet(0);
    assert.equal(set.isFull, true);
    assert.equal(set.has(0), false);
    assert.equal(set.assign(new Uint8Array(0)), true);
    assert.equal(set.nextCommon(set, 0), -1);
  });
});
