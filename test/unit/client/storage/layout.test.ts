// The arithmetic of torrents: pieces, blocks and files, also beyond 32 bits, and numbers from outside.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.js";
import type { PieceIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { Layout, type LayoutFile } from "../../../../src/client/storage/layout.js";
import { check } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

function layoutOf(pieceLength: number, lengths: readonly number[], padding: readonly number[] = []): Layout {
  let offset = 0;
  const files = lengths.map((length, index): LayoutFile => {
    const file = { path: ["t", `${index}`], length, offset, padding: padding.includes(index) };
    offset += length;
    return file;
  });
  return new Layout({ pieceLength, totalLength: offset, files });
}

function spansOf(layout: Layout, offset: number, length: number): number[][] {
  const spans: number[][] = [];
  layout.forEachSpan(offset, length, (...span) => spans.push(span));
  return spans;
}

const shape = fc.record({
  pieceLength: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 * BLOCK_SIZE })),
  lengths: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100 }), fc.nat({ max: 50_000 })), {
    minLength: 1,
    maxLength: 12,
  }),
});

describe("Layout: pieces and blocks", () => {
  it("cover the torrent once, in order", () => {
    check(
      fc.property(shape, ({ pieceLength, lengths }) => {
        const layout = layoutOf(pieceLength, lengths);
        let offset = 0;
        let blocks = 0;
        for (let piece = 0; piece < layout.pieceCount; piece++) {
          assert.equal(layout.pieceOffset(piece), offset);
          let length = 0;
          for (let block = 0; block < layout.blocksInPiece(piece); block++, blocks++) {
            assert.equal(length, block * BLOCK_SIZE);
            const blockLength = layout.blockLength(piece, block);
            assert.ok(blockLength > 0 && blockLength <= BLOCK_SIZE);
            length += blockLength;
          }
          assert.equal(length, layout.pieceLengthOf(piece));
          offset += length;
        }
        assert.equal(offset, layout.totalLength);
        assert.equal(blocks, layout.blockCount);
      }),
      500,
    );
  });

  it("have a shortest regular block: the end of a piece, if that is short", () => {
    const shortestOf = (pieceLength: number) =>
      layoutOf(pieceLength, [10 * pieceLength + 1]).shortestRegularBlock;
    assert.equal(shortestOf(16_384), 16_384);
    assert.equal(shortestOf(4 * 16_384), 16_384);
    assert.equal(shortestOf(16_385), 1);
    assert.equal(shortestOf(100_000), 100_000 - 6 * 16_384);
    assert.equal(shortestOf(5000), 5000);
  });

  it("are exact beyond 2^32 bytes", () => {
    const length = 5 * 2 ** 40 + 12_345;
    const layout = layoutOf(16 * 2 ** 20, [length]);
    const last = layout.pieceCount - 1;
    assert.equal(layout.pieceCount, 5 * 2 ** 16 + 1);
    assert.equal(layout.pieceOffset(last), 5 * 2 ** 40);
    assert.equal(layout.pieceLengthOf(last), 12_345);
    assert.equal(layout.blockLength(last, 0), 12_345);
    assert.deepEqual(spansOf(layout, length - 1, 1), [[0, length - 1, 0, 1]]);
  });

  it("of a torrent without bytes are none", () => {
    const layout = layoutOf(16_384, [0, 0]);
    assert.deepEqual([layout.pieceCount, layout.blockCount, layout.totalLength], [0, 0, 0]);
    assert.equal(layout.checkPiece(0), undefined);
    assert.deepEqual(spansOf(layout, 0, 0), []);
  });
});

describe("Layout: numbers from outside", () => {
  // Pieces of 40 000 bytes: blocks of 16 384, 16 384 and 7232; the last piece has 20 000: 16 384 and 3616.
  const layout = layoutOf(40_000, [100_000]);

  it("are pieces and blocks that exist, or undefined", () => {
    assert.deepEqual(
      [0, 2].map((piece) => layout.checkPiece(piece)),
      [0, 2],
    );
    for (const piece of [-1, 3, 0.5, Number.NaN, Infinity, 2 ** 32])
      assert.equal(layout.checkPiece(piece), undefined);
    const [first, last] = [0, 2] as PieceIndex[];
    assert.deepEqual(
      [0, 2, 3].map((block) => layout.checkBlock(required(first, "first"), block)),
      [0, 2, undefined],
    );
    assert.deepEqual(
      [1, 2, -1, 0.5].map((block) => layout.checkBlock(required(last, "last"), block)),
      [1, undefined, undefined, undefined],
    );
  });

  it("are requests inside one piece, or invalid", () => {
    const valid = [
      [0, 0, 1],
      [0, 0, 40_000],
      [1, 39_999, 1],
      [2, 0, 20_000],
      [2, 16_384, 3616],
    ] as const;
    for (const [piece, begin, length] of valid)
      assert.equal(layout.isValidRequest(piece, begin, length), true);
    const invalid = [
      [3, 0, 1],
      [-1, 0, 1],
      [0, -1, 1],
      [0, 0, 0],
      [0, 0, -1],
      [0, 1, 40_000],
      [0, 40_000, 1],
      [2, 16_384, 3617],
      [2, 20_000, 1],
      [0, 0xffff_ffff, 0xffff_ffff],
      [0, 0.5, 1],
      [0, 0, 1.5],
      [0, Number.NaN, 1],
      [0, 0, Number.NaN],
    ] as const;
    for (const [piece, begin, length] of invalid)
      assert.equal(layout.isValidRequest(piece, begin, length), false);
  });
});

describe("Layout: files", () => {
  it("visits each file that bytes lie in, padding included and empty files left out", () => {
    const layout = layoutOf(16, [0, 10, 6, 0, 0, 16, 5, 0], [2]);
    assert.deepEqual(spansOf(layout, 0, 37), [
      [1, 0, 0, 10],
      [2, 0, 10, 6],
      [5, 0, 16, 16],
      [6, 0, 32, 5],
    ]);
    assert.deepEqual(spansOf(layout, 9, 8), [
      [1, 9, 0, 1],
      [2, 0, 1, 6],
      [5, 0, 7, 1],
    ]);
    assert.deepEqual(spansOf(layout, 10, 6), [[2, 0, 0, 6]]);
    assert.equal(entryOf(layout.files, 2).padding, true);
    assert.deepEqual(
      [0, 9, 10, 15, 16, 31, 32, 36].map((offset) => layout.fileAt(offset)),
      [1, 1, 2, 2, 5, 5, 6, 6],
    );
  });

  it("finds for every range what counting byte by byte finds", () => {
    const lengths = fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 10 });
    check(
      fc.property(lengths, (fileLengths) => {
        const layout = layoutOf(4, fileLengths);
        const fileOfByte = fileLengths.flatMap((length, index) => Array<number>(length).fill(index));
        for (let offset = 0; offset < layout.totalLength; offset++) {
          assert.equal(layout.fileAt(offset), fileOfByte[offset]);
          for (let end = offset + 1; end <= layout.totalLength; end++) {
            const spans = spansOf(layout, offset, end - offset);
            const bytes = spans.flatMap(([file, fileOffset, spanOffset, length]) =>
              Array.from({ length: required(length, "length") }, (_, at) => [
                file,
                required(fileOffset, "file offset") + at,
                required(spanOffset, "span offset") + at,
              ]),
            );
            const expected = fileOfByte.slice(offset, end).map((file, at) => {
              return [file, offset + at - entryOf(layout.files, file).offset, at];
            });
            assert.deepEqual(bytes, expected);
            assert.equal(layout.spanCount(offset, end - offset), spans.length);
          }
        }
      }),
      200,
    );
  });

  it("asserts that ranges lie inside, and that files follow each other", () => {
    const layout = layoutOf(16, [10, 10]);
    assert.throws(() => layout.fileAt(20), AssertionError);
    assert.throws(() => layout.fileAt(-1), AssertionError);
    assert.throws(() => spansOf(layout, 15, 6), AssertionError);
    assert.throws(() => layout.spanCount(15, 6), AssertionError);
    const file = { path: ["a"], length: 5, offset: 0, padding: false };
    assert.throws(() => new Layout({ pieceLength: 16, totalLength: 6, files: [file] }), AssertionError);
    assert.throws(
      () => new Layout({ pieceLength: 16, totalLength: 10, files: [file, file] }),
      AssertionError,
    );
    assert.throws(() => new Layout({ pieceLength: 0, totalLength: 5, files: [file] }), AssertionError);
  });
});
