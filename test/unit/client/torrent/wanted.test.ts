// What is wanted of a torrent, and what the picker makes of it: selections by file and by piece, in any order, at any time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { BLOCK_UNWANTED, Picker } from "../../../../src/client/torrent/picker.js";
import { checkSelection, selectAtFirst } from "../../../../src/client/torrent/selection.js";
import { Wanted, type WantedChanges } from "../../../../src/client/torrent/wanted.js";
import { check } from "../../../support/property.js";
import { required } from "../../../support/required.js";

const PIECE_LENGTH = 2 * BLOCK_SIZE;
const NOBODY: WantedChanges = { wanted: () => {}, unwanted: () => {} };

function layoutOf(lengths: readonly number[]): Layout {
  let offset = 0;
  const files = lengths.map((length, index) => {
    const file = { path: [`${index}`], length, offset, padding: false };
    offset += length;
    return file;
  });
  return new Layout({ pieceLength: PIECE_LENGTH, totalLength: offset, files });
}

/** Pieces 0, 1 | 1, 2, 3 | 3: files that share pieces, and an empty one. */
const LAYOUT = layoutOf([1.5 * PIECE_LENGTH, 2 * PIECE_LENGTH, 0, 0.5 * PIECE_LENGTH]);
const prioritiesOf = (wanted: Wanted) =>
  Array.from({ length: LAYOUT.pieceCount }, (_, piece) => wanted.priorityOf(piece));

function everything(): PieceSet {
  const pieces = new PieceSet(LAYOUT.pieceCount);
  pieces.fill();
  return pieces;
}

const peer = () => ({ hasRequested: () => false, partWith: () => false });
/** All that is picked for a new peer, as piece.block. */
function picked(picker: Picker, count = 100): string[] {
  const out = new Int32Array(2 * count);
  const got = picker.pick(everything(), count, out, peer());
  return Array.from({ length: got }, (_, index) => `${out[2 * index]}.${out[2 * index + 1]}`);
}

describe("Wanted", () => {
  it("wants everything at first, and all of it alike", () => {
    const wanted = new Wanted(LAYOUT);
    assert.deepEqual(prioritiesOf(wanted), [4, 4, 4, 4]);
    assert.deepEqual([wanted.bytesWanted, wanted.bytesMissing], [4 * PIECE_LENGTH, 4 * PIECE_LENGTH]);
    assert.equal(wanted.levels, undefined);
    for (let piece = 0; piece < 4; piece++) wanted.verified(piece);
    assert.deepEqual([wanted.isSatisfied, wanted.bytesMissing], [true, 0]);
    wanted.checkInvariants();
  });

  it("gives a piece the highest priority of its files", () => {
    const wanted = new Wanted(LAYOUT);
    wanted.setFiles([0, 3], 0, NOBODY);
    assert.deepEqual(prioritiesOf(wanted), [0, 4, 4, 4]);
    wanted.setFiles([1], 0, NOBODY);
    assert.deepEqual(prioritiesOf(wanted), [0, 0, 0, 0]);
    assert.equal(wanted.isSatisfied, true);
    wanted.setFiles([3], 7, NOBODY);
    assert.deepEqual(prioritiesOf(wanted), [0, 0, 0, 7]);
    assert.equal(wanted.bytesWanted, PIECE_LENGTH);
    assert.equal(wanted.levels, undefined, "one priority is none");
    assert.deepEqual([wanted.isFileWanted(0), wanted.isFileWanted(3)], [false, true]);
    wanted.checkInvariants();
  });

  it("is told at the start by options, or else by the magnet, of which files that are not there are passed over", () => {
    const first = (options: object, selectOnly?: number[]) => {
      const wanted = new Wanted(LAYOUT);
      selectAtFirst(wanted, LAYOUT, options, selectOnly);
      wanted.checkInvariants();
      return prioritiesOf(wanted);
    };
    assert.deepEqual(first({}), [4, 4, 4, 4]);
    assert.deepEqual(first({ select: [0] }, [3]), [4, 4, 0, 0]);
    assert.deepEqual(first({}, [3, 99]), [0, 0, 0, 4]);
    assert.deepEqual(first({ priorities: [1, 0, 0, 7] }), [1, 1, 0, 7]);
    assert.deepEqual(first({ priorities: [1, 0, 0, 7], select: [0] }), [1, 1, 0, 0]);
    assert.deepEqual(first({ select: [] }), [0, 0, 0, 0]);
    assert.throws(() => first({ select: [4] }), { code: "USAGE_OPTION", message: /file 4; .* 0 to 3/ });
    assert.throws(() => first({ priorities: [1, 1, 1, 1, 1] }), { code: "USAGE_OPTION" });
    for (const wrong of [null, {}, { files: 5 }, { pieces: [4] }, { files: [0], priority: 8 }])
      assert.throws(() => checkSelection(wrong as never, LAYOUT), { code: "USAGE_OPTION" });
  });
});

describe("Picker: what is wanted", () => {
  it("asks for nothing else, and is in its end game when all of that was asked for", () => {
    const wanted = new Wanted(LAYOUT);
    wanted.setPieces([0, 2], 0, NOBODY);
    const picker = new Picker(LAYOUT, { random: () => 0, wanted });
    assert.equal(picker.blocksMissing, 4);
    assert.deepEqual(picked(picker).sort(), ["1.0", "1.1", "3.0", "3.1"]);
    assert.equal(picker.inEndGame, true);
    assert.equal(picker.wantsBlock(0, 0), false);
    assert.equal(
      picker.blockReceived(0, 0),
      BLOCK_UNWANTED,
      "what nobody wants is not taken, should it come",
    );
    picker.checkInvariants();
  });

  it("starts pieces of the highest priority first, and in ascending order if that is asked for", () => {
    const wanted = new Wanted(LAYOUT);
    wanted.setPieces([2], 7, NOBODY);
    wanted.setPieces([1], 1, NOBODY);
    const order = picked(new Picker(LAYOUT, { random: () => 0.9, wanted })).map((each) => each[0]);
    assert.deepEqual([order[0], order.at(-1)], ["2", "1"]);
    const sequential = new Picker(LAYOUT, { random: () => 0.9, sequential: true });
    assert.deepEqual(picked(sequential), ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]);
    const both = new Picker(LAYOUT, { random: () => 0.9, sequential: true, wanted });
    assert.deepEqual(
      picked(both).map((each) => each[0]),
      ["2", "2", "0", "0", "3", "3", "1", "1"],
    );
  });

  it("asks first for what somebody waits for, in that order, and for what several wait for in turn", () => {
    const wanted = new Wanted(LAYOUT);
    const picker = new Picker(LAYOUT, { random: () => 0, wanted });
    const [one, other] = [{}, {}];
    wanted.setUrgent(one, [3, 2]);
    wanted.setUrgent(other, [1]);
    assert.deepEqual(wanted.urgent, [3, 1, 2]);
    assert.deepEqual(
      picked(picker, 1)
        .concat(picked(picker, 1), picked(picker, 1))
        .map((each) => each[0]),
      ["3", "3", "1"],
      "whoever works on it",
    );
    wanted.setUrgent(one, []);
    wanted.setUrgent(other, []);
    assert.deepEqual(wanted.urgent, []);
    picker.checkInvariants();
  });

  it("property: whatever is wanted when, every block is counted, and what is wanted in the end comes", () => {
    const step = fc.record({
      what: fc.constantFrom("file", "pieces", "pick", "receive", "judge", "drop"),
      at: fc.nat(7),
      priority: fc.constantFrom(0, 0, 4, 7),
    });
    const property = fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, sequential) => {
      const wanted = new Wanted(LAYOUT);
      const picker = new Picker(LAYOUT, { wanted, sequential });
      const dropping = new Set<number>();
      const changes: WantedChanges = {
        wanted: (piece) => picker.pieceWanted(piece),
        unwanted: (piece) => {
          if (picker.pieceUnwanted(piece)) dropping.add(piece);
        },
      };
      const receive = (each: string): void => {
        const [piece, block] = each.split(".").map(Number) as [number, number];
        picker.blockReceived(piece, block);
      };
      let asked: string[] = [];
      const judge = (piece: number, good: boolean): void => {
        if (!picker.isPieceReceived(piece)) return;
        if (dropping.delete(piece)) picker.pieceFailed(piece);
        else if (good) picker.pieceVerified(piece);
        else picker.pieceFailed(piece);
      };
      for (const { what, at, priority } of steps) {
        if (what === "file") wanted.setFiles([at % 4], priority, changes);
        else if (what === "pieces") wanted.setPieces([at % 4], priority, changes);
        else if (what === "pick") asked.push(...picked(picker, at + 1));
        else if (what === "receive") for (const each of asked.splice(0, at)) receive(each);
        else if (what === "judge") judge(at % 4, at > 3);
        else if (asked.length > 0) {
          const [piece, block] = required(asked.pop(), "what was asked for").split(".").map(Number) as [
            number,
            number,
          ];
          picker.requestDropped(piece, block);
        }
        picker.checkInvariants();
        wanted.checkInvariants();
      }
      // Everything that was asked for comes, and what is dropped is dropped: then the rest is fetched.
      for (let round = 0; round < 20 && !wanted.isSatisfied; round++) {
        asked = [...asked, ...picked(picker)];
        for (const each of asked.splice(0)) receive(each);
        for (let piece = 0; piece < 4; piece++) judge(piece, true);
        picker.checkInvariants();
      }
      assert.ok(wanted.isSatisfied, "all that is wanted comes");
      wanted.checkInvariants();
    });
    check(property, 300);
  });
});
