// What is asked of a second peer and more: in the end game, and of pieces that stall.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { END_GAME_PICKS_MAX } from "../../../../src/client/torrent/picker.js";
import { REQUESTERS_MAX, STALLED_BLOCKS, Standing } from "../../../../src/client/torrent/started-piece.js";
import { entryOf } from "../../../support/required.js";
import { Asked, allPieces, layoutOf, pickerOf, pickerPastTheFirst } from "./asked-peer.js";

describe("Picker: end game", () => {
  it("begins when everything missing was asked for, and asks nobody twice", () => {
    const picker = pickerOf(layoutOf(2));
    const [a, b, c, d] = Array.from({ length: 4 }, () => new Asked(allPieces(2))) as [
      Asked,
      Asked,
      Asked,
      Asked,
    ];
    assert.equal(a.ask(picker, 7).length, 7);
    assert.equal(picker.inEndGame, false);
    assert.equal(b.ask(picker, 7).length, 1);
    assert.equal(picker.inEndGame, true);
    assert.deepEqual(
      b.ask(picker, 16).sort(byBlock),
      a.requests.slice().sort(byBlock),
      "all that only the other has",
    );
    assert.equal(b.ask(picker, 16).length, 0);
    assert.equal(c.ask(picker, 16).length, END_GAME_PICKS_MAX);
    assert.equal(d.ask(picker, 16).length, 1, "the one that two were asked for");
    assert.equal(
      new Asked(allPieces(2)).ask(picker, 16).length,
      0,
      `no block is asked of more than ${REQUESTERS_MAX}`,
    );
  });

  it("takes a few blocks at a time, of the piece that was started first", () => {
    const picker = pickerOf(layoutOf(2, 32 * BLOCK_SIZE));
    const slow = new Asked(allPieces(2));
    assert.equal(slow.ask(picker, 100).length, 64);
    const first = entryOf(slow.requests, 0)[0];
    const picked = new Asked(allPieces(2)).ask(picker, 100);
    assert.equal(picked.length, END_GAME_PICKS_MAX);
    assert.ok(picked.every(([piece]) => piece === first));
  });

  it("prefers blocks that fewest were asked for", () => {
    const picker = pickerOf(layoutOf(1));
    const [a, b, c] = Array.from({ length: 3 }, () => new Asked(allPieces(1))) as [Asked, Asked, Asked];
    a.ask(picker, 4);
    b.ask(picker, 2);
    assert.deepEqual(c.ask(picker, 2), [
      [0, 2],
      [0, 3],
    ]);
    assert.deepEqual(
      [0, 1, 2, 3].map((block) => picker.requesters(0, block)),
      [2, 2, 2, 2],
    );
  });

  it("ends when a request is dropped", () => {
    const picker = pickerOf(layoutOf(1));
    new Asked(allPieces(1)).ask(picker, 4);
    picker.requestDropped(0, 2);
    assert.equal(picker.inEndGame, false);
    assert.deepEqual(new Asked(allPieces(1)).ask(picker, 4), [[0, 2]]);
  });

  it("does not count blocks that wait for their piece to be verified", () => {
    const picker = pickerOf(layoutOf(1));
    const peer = new Asked(allPieces(1));
    peer.ask(picker, 4);
    while (peer.requests.length > 0) peer.answer(picker);
    assert.equal(picker.inEndGame, false);
    assert.equal(picker.isPieceReceived(0), true);
    assert.equal(picker.isComplete, false);
    assert.equal(new Asked(allPieces(1)).ask(picker, 4).length, 0);
    picker.pieceVerified(0);
    assert.equal(picker.isComplete, true);
    assert.equal(picker.bytesMissing, 0);
  });
});

describe("Picker: places of a block in the end game", () => {
  it("are more for those that bring blocks, and one is kept for those that bring them fast", () => {
    const picker = pickerOf(layoutOf(1, BLOCK_SIZE));
    const out = new Int32Array(2);
    const ask = (standing: Standing): number => {
      const peer = new Asked(allPieces(1));
      return (
        picker.pick(peer.pieces, 1, out, peer) ||
        picker.pickAgain(peer.pieces, 1, out, peer, undefined, standing)
      );
    };
    const taken = [Standing.unknown, Standing.proven, Standing.fast].map((standing) => {
      while (ask(standing) === 1);
      return picker.requesters(0, 0);
    });
    assert.deepEqual(taken, [REQUESTERS_MAX - 1, REQUESTERS_MAX, REQUESTERS_MAX + 1]);
  });
});

describe("Picker: pieces that stall", () => {
  it("do not count as active: 64 drips with a piece each keep nobody from the rest", () => {
    const picker = pickerPastTheFirst(400, 4 * BLOCK_SIZE, { activePiecesMax: 64 });
    const drips = Array.from({ length: 64 }, () => new Asked(allPieces(400)));
    for (const drip of drips) drip.ask(picker, 4);
    const healthy = new Asked(allPieces(400));
    assert.equal(healthy.ask(picker, 16).length, 0, "as much is active as may be");
    picker.windowEnded();
    assert.equal(picker.activeCount, 64, "the first window only begins to look");
    for (const drip of drips) drip.answer(picker);
    picker.windowEnded();
    picker.checkInvariants();
    assert.equal(picker.activeCount, 0, "a block in a window is too little");
    assert.equal(healthy.ask(picker, 16).length, 16);
  });

  it("count again when they get on, and are over when nothing of them is requested", () => {
    const picker = pickerPastTheFirst(9, 32 * BLOCK_SIZE);
    const peer = new Asked(allPieces(9));
    peer.ask(picker, 16);
    picker.windowEnded();
    picker.windowEnded();
    assert.equal(picker.activeCount, 0);
    for (let block = 0; block < STALLED_BLOCKS; block++) peer.answer(picker);
    picker.windowEnded();
    assert.equal(picker.activeCount, 1);
    picker.windowEnded();
    assert.equal(picker.activeCount, 0);
    for (const [piece, block] of peer.requests.splice(0)) picker.requestDropped(piece, block);
    assert.equal(picker.activeCount, 0);
    peer.ask(picker, 1);
    assert.equal(picker.activeCount, 1);
    picker.checkInvariants();
  });

  it("in the end game may be asked of twice as many peers with each window, most of them such as have brought blocks", () => {
    const picker = pickerOf(layoutOf(1, BLOCK_SIZE));
    const out = new Int32Array(2);
    /** Somebody who was not asked yet asks for the block. */
    const ask = (standing: Standing): boolean => {
      const peer = new Asked(allPieces(1));
      if (picker.pick(peer.pieces, 1, out, peer) === 1) return true;
      return picker.pickAgain(peer.pieces, 1, out, peer, undefined, standing) === 1;
    };
    const fill = (standing: Standing): number => {
      while (ask(standing));
      return picker.requesters(0, 0);
    };
    assert.equal(fill(Standing.unknown), REQUESTERS_MAX - 1);
    assert.equal(ask(Standing.proven), true, "one place is left for whoever brings blocks");
    assert.equal(ask(Standing.proven), false);
    for (let window = 0; window < 12; window++) {
      picker.windowEnded();
      if (window === 0) continue;
      const most = REQUESTERS_MAX * 2 ** window;
      // Those that bring nothing are first, and in any number.
      assert.equal(
        fill(Standing.unknown),
        Math.max(Math.min(125, most), picker.requesters(0, 0)),
        `window ${window}`,
      );
      if (window <= 4) assert.equal(ask(Standing.proven), true, `a place is left in window ${window}`);
    }
    assert.equal(fill(Standing.proven), 250);
    for (let drip = 0; drip < 250; drip++) picker.requestDropped(0, 0);
    picker.checkInvariants();
    assert.equal(picker.startedCount, 0);
  });
});

describe("Picker: before the end game", () => {
  it("pieces that stall may be asked of others while what is free is not allowed to them, and no others", () => {
    const picker = pickerOf(layoutOf(3));
    const [silent, other, busy] = [allPieces(3), allPieces(3), allPieces(3)].map(
      (pieces) => new Asked(pieces),
    );
    assert.ok(silent !== undefined && other !== undefined && busy !== undefined);
    assert.equal(silent.ask(picker, 4).length, 4);
    const [first] = entryOf(silent.requests, 0);
    assert.equal(busy.ask(picker, 4).length, 4);
    const [second] = entryOf(busy.requests, 0);
    // The third piece is somebody's alone, who brings nothing of it.
    const out = new Int32Array(16);
    const allowed = { has: (piece: number) => piece === first || piece === second };
    const again = (peer: Asked, its?: { has(piece: number): boolean }): number =>
      picker.pickAgain(peer.pieces, 8, out, peer, its);
    assert.equal(again(other, allowed), 0, "nothing stalls yet");
    picker.windowEnded();
    for (let block = 0; block < 4; block++) picker.blockReceived(second, block);
    picker.windowEnded();
    assert.equal(again(other), 0, "all is allowed: there is something free");
    assert.equal(again(other, allowed), 4);
    assert.ok([0, 1, 2, 3].every((at) => out[2 * at] === first));
  });
});

function byBlock(a: [number, number], b: [number, number]): number {
  return a[0] - b[0] || a[1] - b[1];
}
