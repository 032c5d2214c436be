// Pieces that one peer has to itself: who may have one that failed, and what becomes of it when that one goes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Attribution, type PeerRecord } from "../../../../src/client/torrent/attribution.js";
import { ExclusivePieces, type ExclusiveView } from "../../../../src/client/torrent/exclusive-pieces.js";
import { entryOf } from "../../../support/required.js";

const PIECE_LENGTH = 1024 * 1024;
const REQUEST_TIMEOUT_MS = 20_000;

function viewOf(...here: PeerRecord[]): ExclusiveView {
  return {
    candidates: () => here,
    isHere: (record) => here.includes(record),
    isHeldBack: () => false,
    isAsked: () => true,
    isReceived: () => false,
    isOutpaced: () => false,
    lookedAt: () => {},
    startOver: () => {},
  };
}

describe("pieces that one peer has to itself", () => {
  const attribution = new Attribution({ pieceLength: PIECE_LENGTH, requestTimeoutMs: REQUEST_TIMEOUT_MS });
  const [first, second] = ["127.0.0.1", "127.0.0.2"].map((host) => attribution.record(host, host, 1)) as [
    PeerRecord,
    PeerRecord,
  ];

  it("are offered to the next at once when the one that they were offered to goes", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    pieces.failed(7, 1000);
    pieces.review(1000, viewOf(first, second));
    assert.deepEqual(
      [first, second].map((record) => pieces.mayHave(record, 7)),
      [true, false],
    );
    pieces.peerGone(first, () => false);
    pieces.review(2000, viewOf(second));
    assert.equal(pieces.mayHave(second, 7), true);
  });

  it("stay another's offer when somebody else goes", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    pieces.failed(7, 1000);
    pieces.review(1000, viewOf(first, second));
    pieces.peerGone(second, () => false);
    assert.equal(pieces.mayHave(first, 7), true);
    pieces.own(first, 7, 1100);
    assert.equal(pieces.mayHave(second, 7), false);
  });

  it("wait for one each of those that have shown nothing, and all for whoever has: the rest are anybody's", () => {
    const records = Array.from({ length: 5 }, (_, index) =>
      attribution.record(`10.0.0.${index}`, "10.0.0.1", index),
    );
    const failed = [0, 1, 2, 3, 4, 5, 6, 7];
    const makeFailed = (): ExclusivePieces => {
      const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
      for (const piece of failed) pieces.failed(piece, 1000);
      return pieces;
    };
    /** Who may have each piece. */
    const allowed = (pieces: ExclusivePieces): number[][] =>
      failed.map((piece) => records.flatMap((each, index) => (pieces.mayHave(each, piece) ? [index] : [])));
    const pieces = makeFailed();
    pieces.review(1000, viewOf(...records));
    assert.deepEqual(allowed(pieces), [[0], [1], [2], [3], [4], ...Array(3).fill([0, 1, 2, 3, 4])]);
    entryOf(records, 3).isProven = true;
    const others = makeFailed();
    others.review(1000, viewOf(entryOf(records, 3), ...records.filter((_, index) => index !== 3)));
    assert.deepEqual(allowed(others), Array(8).fill([3]));
  });

  it("leave one that has shown nothing and is silent sooner than one that has", () => {
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    for (const [owner, share] of [
      [first, 1 / 10],
      [proven, 1 / 2],
    ] as const) {
      const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
      pieces.own(owner, 7, 1000);
      const view = viewOf(owner, second);
      pieces.review(1000 + share * REQUEST_TIMEOUT_MS, view);
      assert.equal(pieces.mayHave(owner, 7), true, "not yet");
      pieces.review(1001 + share * REQUEST_TIMEOUT_MS, view);
      assert.equal(pieces.mayHave(owner, 7), false);
    }
  });

  it("go from whoever has shown nothing, and sent nothing of them, to one that waits for nothing", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    const overs: number[] = [];
    Object.assign(first, { lapses: 0, owned: 0 });
    const view = { ...viewOf(proven, first), startOver: (piece: number) => overs.push(piece) };
    const everything = new PieceSet(10);
    everything.fill();
    pieces.own(first, 7, 1000);
    pieces.own(first, 8, 1000);
    pieces.blockReceived(8, 1100);
    pieces.own(proven, 9, 1000);
    assert.equal(pieces.unprovenOwned, 2);
    assert.equal(pieces.reclaim(proven, everything, 1, 1400, view), 0, "an answer may be on its way");
    assert.equal(pieces.reclaim(proven, new PieceSet(10), 1, 2000, view), 0, "it has none of them");
    assert.equal(pieces.reclaim(proven, everything, 1, 2000, view), 1);
    assert.equal(
      pieces.reclaim(proven, everything, 1, 2000, view),
      0,
      "the one that has shown something, or brings, keeps its own",
    );
    assert.deepEqual(overs, [7]);
    assert.deepEqual([first.owned, first.lapses, pieces.has(7), pieces.unprovenOwned], [1, 1, false, 1]);
    assert.equal(pieces.reclaim(proven, everything, 1, 2101, view), 1);
    assert.deepEqual(overs, [7, 8]);
    assert.equal(pieces.reclaim(proven, everything, 1, 90_000, view), 0);
  });

  it("go by several at a time, and each of those that are somebody's is looked at once for it", () => {
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    const everything = new PieceSet(100);
    everything.fill();
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const stranger = attribution.record("stranger", "10.0.1.2", 1);
    for (let piece = 0; piece < 100; piece++) pieces.own(stranger, piece, piece < 90 ? 2000 : 1000);
    let looks = 0;
    const overs: number[] = [];
    const view: ExclusiveView = {
      ...viewOf(proven, stranger),
      startOver: (piece) => overs.push(piece),
      lookedAt: (count) => {
        looks += count;
      },
    };
    assert.equal(pieces.reclaim(proven, everything, 8, 2000, view), 8);
    assert.deepEqual(overs, [90, 91, 92, 93, 94, 95, 96, 97]);
    assert.ok(looks <= 100, `${looks} looks at 100 pieces`);
  });

  it("go sooner to one that would bring them sooner, which is not held against whoever had them", () => {
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    const everything = new PieceSet(10);
    everything.fill();
    Object.assign(first, { lapses: 0, owned: 0 });
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const view = viewOf(proven, first);
    pieces.own(first, 7, 1000);
    pieces.blockReceived(7, 1100);
    assert.equal(pieces.reclaim(proven, everything, 1, 1190, view, 50), 0, "another block may be on its way");
    assert.equal(pieces.reclaim(proven, everything, 1, 1201, view, 50), 1);
    assert.deepEqual([first.owned, first.lapses], [0, 0]);
  });

  it("go at once, where nothing is asked of their owner or it has gone, to one that has shown something", () => {
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    const everything = new PieceSet(10);
    everything.fill();
    const owned = (): ExclusivePieces => {
      const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
      Object.assign(first, { lapses: 0, owned: 0 });
      pieces.own(first, 7, 1000);
      return pieces;
    };
    const idle = { ...viewOf(proven, first, second), isAsked: () => false };
    assert.equal(owned().reclaim(second, everything, 1, 1001, idle), 0, "it has shown as little");
    assert.equal(owned().reclaim(proven, everything, 1, 1001, viewOf(proven, first)), 0, "it was just asked");
    assert.equal(owned().reclaim(proven, everything, 1, 1001, { ...idle, isReceived: () => true }), 0);
    for (const view of [idle, viewOf(proven)]) {
      const pieces = owned();
      assert.equal(pieces.reclaim(proven, everything, 1, 1001, view), 1);
      assert.equal(pieces.has(7), false);
    }
  });

  it("are kept for nobody who has shown nothing where one that has would have them", () => {
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    for (const record of [first, second, proven]) Object.assign(record, { lapses: 0, owned: 0 });
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    pieces.failed(7, 1000);
    pieces.review(1000, viewOf(first, second));
    assert.deepEqual(
      [first, second, proven].map((record) => pieces.mayHave(record, 7)),
      [true, false, true],
    );
    pieces.own(proven, 7, 1100);
    assert.equal(pieces.mayHave(first, 7), false);
    pieces.checkInvariants([first, second, proven]);
  });

  it("do not go back to whoever they were taken from, but are anybody's when nobody else is left", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const everything = new PieceSet(10);
    everything.fill();
    Object.assign(first, { lapses: 0, owned: 0 });
    const view = viewOf(first);
    pieces.failed(7, 1000);
    pieces.own(first, 7, 1000);
    assert.equal(pieces.reclaim(second, everything, 1, 2000, view), 1);
    assert.equal(pieces.mayHave(first, 7), false, "it had its turn");
    pieces.review(2000, view);
    assert.equal(pieces.mayHave(first, 7), true);
    const other = attribution.record("other", "10.0.1.2", 1);
    assert.equal(pieces.mayHave(other, 7), true, "shared, so that the download goes on");
  });

  it("are anybody's again where one that has shown something let them go, and strangers come and go", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const proven = attribution.record("proven", "10.0.1.1", 1);
    Object.assign(proven, { isProven: true, lapses: 0, owned: 0 });
    pieces.failed(7, 1000);
    pieces.own(proven, 7, 1000);
    let nowMs = 1001 + REQUEST_TIMEOUT_MS / 2;
    for (let stranger = 0; stranger < 10 && (stranger === 0 || !pieces.mayHave(proven, 7)); stranger++) {
      const passing = attribution.record(`passing-${stranger}`, "10.0.2.1", stranger);
      pieces.review(nowMs, viewOf(proven, passing));
      if (stranger === 0) assert.equal(pieces.mayHave(passing, 7), true);
      pieces.peerGone(passing, () => false);
      nowMs += 1000;
    }
    assert.equal(pieces.mayHave(proven, 7), true);
  });

  it("may be had again by whoever lost them as a stranger, once it has shown something", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const everything = new PieceSet(10);
    everything.fill();
    const [lost, other] = ["lost", "other-stranger"].map((key) => attribution.record(key, "10.0.3.1", 1)) as [
      PeerRecord,
      PeerRecord,
    ];
    pieces.failed(7, 1000);
    pieces.own(lost, 7, 1000);
    assert.equal(pieces.reclaim(other, everything, 1, 2000, viewOf(lost, other)), 1);
    assert.equal(pieces.mayHave(lost, 7), false, "it had its turn");
    lost.isProven = true;
    assert.equal(pieces.mayHave(lost, 7), true, "what it was asked for before came first");
    pieces.own(lost, 7, 2000);
    pieces.review(2001 + REQUEST_TIMEOUT_MS / 2, viewOf(lost, other));
    assert.equal(pieces.mayHave(lost, 7), false, "silent again, it lets the piece go for good");
    pieces.checkInvariants([lost, other]);
  });

  it("are anybody's again where one that has shown something may not have what it takes from strangers", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const everything = new PieceSet(10);
    everything.fill();
    const proven = attribution.record("proven-once", "10.0.4.1", 1);
    Object.assign(proven, { isProven: true, lapses: 0, owned: 0 });
    const strangers = Array.from({ length: 10 }, (_, index) =>
      attribution.record(`stranger-${index}`, "10.0.5.1", index),
    );
    const view = viewOf(proven, ...strangers);
    pieces.failed(7, 1000);
    pieces.own(proven, 7, 1000);
    let nowMs = 1001 + REQUEST_TIMEOUT_MS / 2;
    pieces.review(nowMs, view);
    let had = 0;
    for (const stranger of strangers) {
      if (pieces.mayHave(proven, 7)) break;
      had++;
      pieces.own(stranger, 7, nowMs);
      nowMs += 1000;
      assert.equal(pieces.reclaim(proven, everything, 1, nowMs, view), 1);
    }
    assert.ok(had <= 4, `${had} strangers had it in turn`);
  });

  it("go from one that has shown something and is slow to one that is fast and waits for nothing, and nothing is held against it", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const everything = new PieceSet(10);
    everything.fill();
    const [slow, fast] = ["slow", "fast"].map((key) => attribution.record(key, "10.0.6.1", 1)) as [
      PeerRecord,
      PeerRecord,
    ];
    Object.assign(slow, { isProven: true });
    Object.assign(fast, { isProven: true });
    const overs: number[] = [];
    const even = { ...viewOf(slow, fast), startOver: (piece: number) => overs.push(piece) };
    const view = { ...even, isOutpaced: (owner: PeerRecord) => owner === slow };
    pieces.own(slow, 7, 1000);
    pieces.blockReceived(7, 1500);
    assert.equal(pieces.outpace(fast, everything, 2500, view), false, "a block came within a second");
    assert.equal(pieces.outpace(fast, everything, 2501, even), false, "it is as fast");
    assert.equal(pieces.outpace(fast, new PieceSet(10), 2501, view), false, "it has none of them");
    assert.equal(pieces.outpace(fast, everything, 2501, view), true);
    assert.deepEqual([overs, slow.owned, slow.lapses, fast.owned], [[7], 0, 0, 1]);
    assert.equal(pieces.mayHave(slow, 7), false, "it is the fast one's");
    assert.equal(pieces.outpace(slow, everything, 9000, { ...even, isOutpaced: () => true }), true);
    pieces.checkInvariants([slow, fast]);
  });

  it("are anybody's where three that have shown something had them in turn", () => {
    const everything = new PieceSet(10);
    everything.fill();
    const many = Array.from({ length: 5 }, (_, index) => {
      const record = attribution.record(`fast-once-${index}`, "10.0.7.1", index);
      return Object.assign(record, { isProven: true, lapses: 0, owned: 0 });
    });
    const view = { ...viewOf(...many), isOutpaced: () => true };
    const outpaced = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const silent = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    for (const pieces of [outpaced, silent]) {
      pieces.failed(7, 1000);
      let nowMs = 1000;
      for (const [turn, record] of many.slice(0, 3).entries()) {
        pieces.own(record, 7, nowMs);
        assert.equal(pieces.mayHave(entryOf(many, 4), 7), false, `it is the turn of ${turn}`);
        nowMs += 1 + REQUEST_TIMEOUT_MS / 2;
        if (pieces === silent) pieces.review(nowMs, view);
        else assert.equal(pieces.outpace(entryOf(many, turn + 1), everything, nowMs, view), true);
      }
      assert.deepEqual(
        many.map((record) => pieces.mayHave(record, 7)),
        many.map(() => true),
      );
      pieces.checkInvariants(many);
    }
  });

  it("are kept for the most trusted for half a second, and then for all that have shown something", () => {
    const [trusted, idle] = ["trusted", "idle"].map((key) => attribution.record(key, "10.0.8.1", 1)) as [
      PeerRecord,
      PeerRecord,
    ];
    for (const record of [trusted, idle]) Object.assign(record, { isProven: true, lapses: 0, owned: 0 });
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    const view = viewOf(trusted, idle, second);
    Object.assign(second, { lapses: 0, owned: 0 });
    const allowed = (): boolean[] => [trusted, idle, second].map((record) => pieces.mayHave(record, 7));
    pieces.failed(7, 1000);
    pieces.review(1000, view);
    assert.deepEqual(allowed(), [true, false, false]);
    pieces.review(1500, view);
    assert.deepEqual(allowed(), [true, true, false], "it may be busy for long with others");
    pieces.review(1499 + REQUEST_TIMEOUT_MS / 2, view);
    assert.deepEqual(allowed(), [true, true, false]);
    pieces.review(1500 + REQUEST_TIMEOUT_MS / 2, view);
    assert.deepEqual(allowed(), [true, true, true]);
  });

  it("are all looked after at once where there is time for it", () => {
    const proven = attribution.record("proven", "10.0.1.1", 1);
    proven.isProven = true;
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    for (let piece = 0; piece < 100; piece++) pieces.failed(piece, 1000);
    const kept = (): number =>
      Array.from({ length: 100 }, (_, piece) => piece).filter((piece) => !pieces.mayHave(first, piece))
        .length;
    pieces.review(1000, viewOf(proven, first));
    assert.equal(kept(), 16);
    pieces.review(1000, viewOf(proven, first), 300);
    assert.equal(kept(), 100);
  });
});
