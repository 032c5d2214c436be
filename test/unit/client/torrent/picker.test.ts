import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE, CHUNK_BLOCKS, KIB, MIB } from "../../../../src/base/limits.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import {
  BLOCK_UNWANTED,
  END_GAME_PICKS_MAX,
  Picker,
  type PickerOptions,
  type PickingPeer,
} from "../../../../src/client/torrent/picker.js";
import { RANDOM_PIECES } from "../../../../src/client/torrent/piece-choice.js";
import { REQUESTERS_MAX, STALLED_BLOCKS } from "../../../../src/client/torrent/started-piece.js";
import { check, makeRandom } from "../../../support/property.js";

function layoutOf(pieceCount: number, pieceLength = 4 * BLOCK_SIZE, lastPieceLength = pieceLength): Layout {
  const totalLength = (pieceCount - 1) * pieceLength + lastPieceLength;
  const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
  return new Layout({ pieceLength, totalLength, files });
}

function piecesOf(pieceCount: number, pieces: Iterable<number>): PieceSet {
  const set = new PieceSet(pieceCount);
  for (const piece of pieces) set.add(piece);
  return set;
}

function allPieces(pieceCount: number): PieceSet {
  const set = new PieceSet(pieceCount);
  set.fill();
  return set;
}

/** A peer that remembers what it was asked for, as a connection does. */
class Asked implements PickingPeer {
  readonly pieces: PieceSet;
  readonly requests: [piece: number, block: number][] = [];

  constructor(pieces: PieceSet) {
    this.pieces = pieces;
  }

  hasRequested(piece: number, block: number): boolean {
    return this.requests.some((request) => request[0] === piece && request[1] === block);
  }

  /** Set where it comes to nothing soon. */
  partsFor: Picker | undefined;

  partWith(piece: number): boolean {
    return this.partsFor !== undefined && partsWith(this, piece, this.partsFor);
  }

  ask(
    picker: Picker,
    count: number,
    allowed?: { has(piece: number): boolean },
    piecesAtOnce = 1,
  ): [number, number][] {
    const out = new Int32Array(2 * count).fill(-1);
    const fresh = picker.pick(this.pieces, count, out, this, allowed, piecesAtOnce);
    const got = fresh > 0 ? fresh : picker.pickAgain(this.pieces, count, out, this, allowed);
    const picked: [number, number][] = [];
    for (let index = 0; index < got; index++) picked.push([out[2 * index]!, out[2 * index + 1]!]);
    this.requests.push(...picked);
    return picked;
  }

  /** Answers the oldest request. */
  answer(picker: Picker): [number, number] {
    const [piece, block] = this.requests.shift()!;
    picker.blockReceived(piece, block);
    return [piece, block];
  }
}

/** Gives back what `peer` was asked for of the piece. False if that is nothing. */
function partsWith(peer: { requests: [number, number][] }, piece: number, picker: Picker): boolean {
  const given = peer.requests.filter(([asked]) => asked === piece);
  const kept = peer.requests.filter(([asked]) => asked !== piece);
  peer.requests.splice(0, peer.requests.length, ...kept);
  for (const [, block] of given) picker.requestDropped(piece, block);
  return given.length > 0;
}

function pickerOf(layout: Layout, options: PickerOptions = {}): Picker {
  return new Picker(layout, { random: makeRandom(1), ...options });
}

/** Past the first pieces, which are drawn by lot. */
function pickerPastTheFirst(
  pieceCount: number,
  pieceLength = 4 * BLOCK_SIZE,
  options: PickerOptions = {},
): Picker {
  const picker = pickerOf(layoutOf(pieceCount, pieceLength), options);
  for (let piece = pieceCount - RANDOM_PIECES; piece < pieceCount; piece++) picker.markHave(piece);
  return picker;
}

describe("Picker: what somebody else could bring at once", () => {
  it("is taken over from one who does not come to it soon, whole, and only of pieces that the other has", () => {
    const picker = pickerPastTheFirst(12);
    const seed = new Asked(allPieces(12));
    const asked = seed.ask(picker, 32);
    assert.deepEqual([asked.length, picker.inEndGame], [32, true], "all that is missing");
    const piece = asked[20]![0];
    const other = new Asked(piecesOf(12, [piece]));
    assert.equal(picker.takeOver(other.pieces, other), false, "it comes to all of it soon");
    seed.partsFor = picker;
    assert.equal(picker.takeOver(other.pieces, other), true);
    assert.ok(seed.requests.every(([left]) => left !== piece));
    assert.deepEqual(
      other.ask(picker, 16),
      [0, 1, 2, 3].map((block) => [piece, block]),
    );
    assert.equal(picker.takeOver(other.pieces, other), false, "what is its own, or not its to give");
    picker.checkInvariants();
  });

  it("stays where it is once something of it came, or where nobody else works on it", () => {
    const picker = pickerPastTheFirst(12);
    const seed = new Asked(allPieces(12));
    seed.partsFor = picker;
    seed.ask(picker, 4);
    const [piece] = seed.answer(picker);
    const other = new Asked(piecesOf(12, [piece]));
    assert.equal(picker.takeOver(other.pieces, other), false);
    assert.equal(picker.takeOver(allPieces(12), seed), false, "from itself");
    picker.checkInvariants();
  });
});

describe("Picker: order", () => {
  it("takes the rarest piece first, whole, and its blocks in ascending order", () => {
    const picker = pickerPastTheFirst(12);
    const seed = new Asked(allPieces(12));
    picker.peerAdded(seed.pieces);
    const common = piecesOf(12, [0, 1, 2, 3, 4, 6, 7]);
    picker.peerAdded(common);
    assert.equal(picker.availability(5), 1);
    assert.equal(picker.availability(4), 2);
    const picked = seed.ask(picker, 5);
    assert.deepEqual(picked.slice(0, 4), [
      [5, 0],
      [5, 1],
      [5, 2],
      [5, 3],
    ]);
    assert.notEqual(picked[4]![0], 5);
  });

  it("follows availability as peers come, announce and go", () => {
    const picker = pickerPastTheFirst(8);
    const peer = new Asked(piecesOf(8, [0, 1, 2]));
    picker.peerAdded(peer.pieces);
    const other = piecesOf(8, [0, 1]);
    picker.peerAdded(other);
    assert.equal(peer.ask(picker, 1)[0]![0], 2);
    picker.requestDropped(2, 0);
    other.add(2);
    picker.peerHas(other, 2);
    other.add(3);
    picker.peerHas(other, 3);
    picker.peerLacks(other, 1);
    assert.equal(other.has(1), false);
    assert.equal(peer.ask(picker, 1)[0]![0], 1);
    picker.peerRemoved(other);
    for (let piece = 0; piece < 8; piece++) assert.equal(picker.availability(piece), piece <= 2 ? 1 : 0);
  });

  it("counts a peer right that became a seed while we knew it, and a seed that withdrew a piece", () => {
    const picker = pickerOf(layoutOf(3));
    const pieces = piecesOf(3, [0]);
    picker.peerAdded(pieces);
    for (const piece of [1, 2]) {
      pieces.add(piece);
      picker.peerHas(pieces, piece);
    }
    assert.deepEqual(
      [0, 1, 2].map((piece) => picker.availability(piece)),
      [1, 1, 1],
    );
    picker.peerRemoved(pieces);
    assert.deepEqual(
      [0, 1, 2].map((piece) => picker.availability(piece)),
      [0, 0, 0],
    );
    const seed = allPieces(3);
    picker.peerAdded(seed);
    picker.peerLacks(seed, 1);
    assert.deepEqual(
      [0, 1, 2].map((piece) => picker.availability(piece)),
      [1, 0, 1],
    );
    picker.peerRemoved(seed);
    assert.deepEqual(
      [0, 1, 2].map((piece) => picker.availability(piece)),
      [0, 0, 0],
    );
  });

  it("draws the first pieces of a fresh download by lot, and among the equally rare later too", () => {
    const first = new Set<number>();
    const later = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      const fresh = pickerOf(layoutOf(100), { random: makeRandom(seed) });
      fresh.peerAdded(piecesOf(100, Array(99).keys()));
      first.add(new Asked(allPieces(100)).ask(fresh, 1)[0]![0]);
      const picker = pickerPastTheFirst(100, 4 * BLOCK_SIZE, { random: makeRandom(seed) });
      later.add(new Asked(allPieces(100)).ask(picker, 1)[0]![0]);
    }
    assert.ok(first.size > 20, `${first.size} different first pieces of 40`);
    assert.ok(later.size > 20, `${later.size} different later pieces of 40`);
  });

  it("goes on with a started piece that nobody works on before it starts another", () => {
    const picker = pickerPastTheFirst(20);
    const gone = new Asked(allPieces(20));
    const [piece] = gone.ask(picker, 2)[0]!;
    gone.answer(picker);
    picker.requestDropped(piece, 1);
    const next = new Asked(allPieces(20));
    assert.deepEqual(next.ask(picker, 3), [
      [piece, 1],
      [piece, 2],
      [piece, 3],
    ]);
  });

  it("forgets a piece of which nothing came when its last request is dropped", () => {
    const picker = pickerPastTheFirst(20);
    const gone = new Asked(allPieces(20));
    for (const [piece, block] of gone.ask(picker, 6)) picker.requestDropped(piece, block);
    assert.equal(picker.startedCount, 0);
    assert.equal(picker.activeCount, 0);
    assert.equal(picker.inEndGame, false);
  });

  it("gives a dropped block out again before those behind it", () => {
    const picker = pickerPastTheFirst(6, 16 * BLOCK_SIZE);
    const peer = new Asked(piecesOf(6, [0]));
    peer.ask(picker, 8);
    picker.requestDropped(0, 3);
    assert.deepEqual(new Asked(piecesOf(6, [0])).ask(picker, 2), [
      [0, 3],
      [0, 8],
    ]);
  });

  it("gives each of a few peers a small piece to itself, and lets them share when as much as a pool bears is active", () => {
    const picker = pickerPastTheFirst(100, 4 * MIB);
    const peers = Array.from({ length: 6 }, () => new Asked(allPieces(100)));
    for (const peer of peers) peer.ask(picker, 16);
    const pieces = peers.map((peer) => new Set(peer.requests.map(([piece]) => piece)));
    assert.equal(
      new Set(peers.slice(0, 4).map((peer) => peer.requests[0]![0])).size,
      4,
      "16 MiB are four pieces",
    );
    assert.equal(picker.activeCount, 4, "the fifth and the sixth peer share");
    for (const peer of peers.slice(0, 4))
      assert.equal(peer.ask(picker, 16)[0]![0], peer.requests[0]![0], "each stays with its own");
    assert.ok(pieces.every((each) => each.size === 1));
  });

  it("lets all peers share large pieces", () => {
    const picker = pickerPastTheFirst(50, 16 * MIB);
    const peers = Array.from({ length: 50 }, () => new Asked(allPieces(50)));
    for (const peer of peers) peer.ask(picker, 20);
    assert.equal(picker.activeCount, 1);
    const blocks = peers.flatMap((peer) => peer.requests.map(([, block]) => block));
    assert.deepEqual(blocks, [...Array(1000).keys()]);
  });

  it("starts no more pieces than may be active, and goes on as soon as one is not", () => {
    const picker = pickerPastTheFirst(50, 4 * BLOCK_SIZE, { activePiecesMax: 3 });
    const peer = new Asked(allPieces(50));
    assert.equal(peer.ask(picker, 64).length, 12);
    const other = new Asked(allPieces(50));
    assert.equal(other.ask(picker, 64).length, 0);
    for (let block = 0; block < 4; block++) peer.answer(picker);
    assert.equal(other.ask(picker, 64).length, 4);
  });

  it("asks a choking peer for allowed pieces only", () => {
    const picker = pickerPastTheFirst(1000);
    const peer = new Asked(allPieces(1000));
    const picked = peer.ask(picker, 64, new Set([700, 3, 999]));
    assert.deepEqual(
      [...new Set(picked.map(([piece]) => piece))].sort((a, b) => a - b),
      [3, 700],
    );
    assert.equal(peer.ask(picker, 64, { has: () => false }).length, 0);
    assert.equal(peer.ask(picker, 4, { has: (piece) => piece === 42 })[0]![0], 42);
  });

  it("finds the one piece that a peer has to offer among a hundred thousand", () => {
    const picker = pickerPastTheFirst(100_000);
    picker.peerAdded(allPieces(100_000));
    const peer = new Asked(piecesOf(100_000, [77_777]));
    picker.peerAdded(peer.pieces);
    assert.equal(picker.isInteresting(peer.pieces), true);
    assert.deepEqual(peer.ask(picker, 1), [[77_777, 0]]);
  });

  it("picks at a hundred thousand pieces about as fast as at a thousand", () => {
    const secondsFor = (pieceCount: number): number => {
      const picker = pickerPastTheFirst(pieceCount, 4 * BLOCK_SIZE, { activePiecesMax: 1000 });
      const random = makeRandom(pieceCount);
      const half = piecesOf(
        pieceCount,
        [...Array(pieceCount).keys()].filter(() => random() < 0.5),
      );
      picker.peerAdded(half);
      picker.peerAdded(allPieces(pieceCount));
      const out = new Int32Array(32);
      const peer = { hasRequested: () => false, partWith: () => false };
      const before = process.cpuUsage();
      for (let call = 0; call < 200; call++) {
        const got = picker.pick(half, 16, out, peer);
        for (let at = 0; at < got; at++) picker.requestDropped(out[2 * at]!, out[2 * at + 1]!);
      }
      const { user } = process.cpuUsage(before);
      return user / 1e6;
    };
    secondsFor(1000);
    const [small, large] = [secondsFor(1000), secondsFor(100_000)];
    assert.ok(large < 20 * small + 0.1, `${large} s against ${small} s`);
  });
});

describe("Picker: several pieces at once", () => {
  const CHUNKS = 16;
  const pieceLength = CHUNKS * CHUNK_BLOCKS * BLOCK_SIZE;
  const stretches = (picked: [number, number][]): [piece: number, blocks: number][] => {
    const found: [number, number][] = [];
    for (const [piece] of picked) {
      const last = found.at(-1);
      if (last?.[0] === piece) last[1]++;
      else found.push([piece, 1]);
    }
    return found;
  };

  it("takes a chunk of each in turn, and begins them apart so that they end apart", () => {
    const picker = pickerPastTheFirst(40, pieceLength);
    const peer = new Asked(allPieces(40));
    picker.peerAdded(peer.pieces);
    const begun = stretches(peer.ask(picker, (1 + 2 + 3 + 1) * CHUNK_BLOCKS, undefined, 4));
    assert.deepEqual(
      begun.map(([, blocks]) => blocks / CHUNK_BLOCKS),
      [1, 2, 3, 1],
    );
    assert.equal(new Set(begun.map(([piece]) => piece)).size, 4);
    const next = stretches(peer.ask(picker, 8 * CHUNK_BLOCKS, undefined, 4));
    const order = begun.map(([piece]) => piece);
    assert.deepEqual(
      next,
      [...order, ...order].map((piece) => [piece, CHUNK_BLOCKS]),
    );
    // The piece that had the longest first share is asked for whole first, and another takes its place, chunk by chunk.
    const rest = stretches(peer.ask(picker, 44 * CHUNK_BLOCKS, undefined, 4));
    assert.equal(rest.filter(([piece]) => piece === order[2]).length, CHUNKS - 3 - 2);
    const fifth = rest.findIndex(([piece]) => !order.includes(piece));
    assert.ok(fifth > 0 && rest.slice(fifth).every(([piece]) => piece !== order[2]));
    assert.equal(rest[fifth]![1], CHUNK_BLOCKS);
  });

  it("goes on with pieces that nobody works on before it starts another, and leaves those of others alone", () => {
    const picker = pickerPastTheFirst(40, pieceLength);
    const [gone, other, peer] = [1, 2, 3].map(() => new Asked(allPieces(40))) as [Asked, Asked, Asked];
    for (const { pieces } of [gone, other, peer]) picker.peerAdded(pieces);
    const [theirs] = other.ask(picker, 1)[0]!;
    const [left] = gone.ask(picker, 2)[0]!;
    assert.notEqual(left, theirs);
    gone.answer(picker);
    picker.requestDropped(left, 1);
    const mine = stretches(peer.ask(picker, 12 * CHUNK_BLOCKS, undefined, 3)).map(([piece]) => piece);
    assert.equal(mine[0], left);
    assert.equal(new Set(mine).size, 3);
    assert.ok(!mine.includes(theirs));
  });

  it("shares pieces when no more may be active", () => {
    const picker = pickerPastTheFirst(40, pieceLength, { activePiecesMax: 2 });
    const [one, two] = [new Asked(allPieces(40)), new Asked(allPieces(40))];
    for (const { pieces } of [one, two]) picker.peerAdded(pieces);
    const begun = new Set(one.ask(picker, 6 * CHUNK_BLOCKS, undefined, 4).map(([piece]) => piece));
    assert.equal(begun.size, 2);
    for (const [piece] of two.ask(picker, CHUNK_BLOCKS, undefined, 4)) assert.ok(begun.has(piece));
  });
});

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
    const first = slow.requests[0]![0];
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
    const ask = (isProven: boolean): boolean => {
      const peer = new Asked(allPieces(1));
      if (picker.pick(peer.pieces, 1, out, peer) === 1) return true;
      return picker.pickAgain(peer.pieces, 1, out, peer, undefined, isProven) === 1;
    };
    const fill = (isProven: boolean): number => {
      while (ask(isProven));
      return picker.requesters(0, 0);
    };
    assert.equal(fill(false), REQUESTERS_MAX - 1);
    assert.equal(ask(true), true, "one place is left for whoever brings blocks");
    assert.equal(ask(true), false);
    for (let window = 0; window < 12; window++) {
      picker.windowEnded();
      if (window === 0) continue;
      const most = REQUESTERS_MAX * 2 ** window;
      // Those that bring nothing are first, and in any number.
      assert.equal(fill(false), Math.max(Math.min(125, most), picker.requesters(0, 0)), `window ${window}`);
      if (window <= 4) assert.equal(ask(true), true, `a place is left in window ${window}`);
    }
    assert.equal(fill(true), 250);
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
    const [first] = silent.requests[0]!;
    assert.equal(busy.ask(picker, 4).length, 4);
    const [second] = busy.requests[0]!;
    // The third piece is somebody's alone, who brings nothing of it.
    const out = new Int32Array(16);
    const allowed = { has: (piece: number) => piece === first || piece === second };
    const again = (peer: Asked, its?: { has(piece: number): boolean }): number =>
      picker.pickAgain(peer.pieces, 8, out, peer, its, true);
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

describe("Picker: blocks and pieces", () => {
  it("takes a block that was not asked for, once", () => {
    const picker = pickerOf(layoutOf(3));
    assert.equal(picker.wantsBlock(1, 2), true);
    assert.equal(picker.blockReceived(1, 2), 0);
    assert.equal(picker.wantsBlock(1, 2), false);
    assert.equal(picker.blockReceived(1, 2), BLOCK_UNWANTED);
    picker.requestDropped(1, 2);
    picker.requestDropped(0, 0);
    assert.equal(picker.blocksMissing, 11);
    assert.equal(picker.requesters(1, 2), 0);
  });

  it("wants all of a piece again that failed", () => {
    const picker = pickerOf(layoutOf(3, 4 * BLOCK_SIZE, BLOCK_SIZE + 1));
    const peer = new Asked(piecesOf(3, [2]));
    assert.equal(peer.ask(picker, 9).length, 2);
    peer.answer(picker);
    peer.answer(picker);
    assert.equal(picker.blocksMissing, 8);
    picker.pieceFailed(2);
    assert.equal(picker.blocksMissing, 10);
    assert.equal(picker.wantsBlock(2, 1), true);
    assert.equal(peer.ask(picker, 9).length, 2);
  });

  it("knows what was found on disk", () => {
    const picker = pickerOf(layoutOf(3, 4 * BLOCK_SIZE, 100));
    assert.equal(picker.bytesMissing, 8 * BLOCK_SIZE + 100);
    picker.markHave(2);
    picker.markHave(2);
    assert.equal(picker.bytesMissing, 8 * BLOCK_SIZE);
    assert.equal(picker.blocksMissing, 8);
    assert.equal(picker.isInteresting(piecesOf(3, [2])), false);
    assert.equal(picker.isInteresting(piecesOf(3, [1, 2])), true);
    assert.equal(picker.isInteresting(piecesOf(3, [])), false);
    assert.equal(picker.isInteresting(allPieces(3)), true);
    assert.equal(picker.blockReceived(2, 0), BLOCK_UNWANTED);
    assert.equal(picker.wantsBlock(2, 0), false);
  });
});

// ── against a model ────────────────────────────────────────────────────────────────────────────────────────────

interface ModelPeer extends PickingPeer {
  pieces: PieceSet;
  requests: [number, number][];
}

type Step = {
  do: "peer" | "leave" | "have" | "lack" | "pick" | "receive" | "drop" | "judge" | "stray" | "window";
  a: number;
  b: number;
};

const steps = fc.array(
  fc.record({
    do: fc.constantFrom<Step["do"]>(
      "peer",
      "leave",
      "have",
      "lack",
      "pick",
      "pick",
      "receive",
      "receive",
      "receive",
      "drop",
      "judge",
      "stray",
      "window",
    ),
    a: fc.nat(1 << 16),
    b: fc.nat(1 << 16),
  }),
  { maxLength: 250, size: "max" },
);

/** Plays the steps with up to eight peers, and compares all that can be asked with plain bookkeeping. */
function play(
  pieceCount: number,
  lastPieceLength: number,
  activePiecesMax: number,
  seed: number,
  script: Step[],
): void {
  const layout = layoutOf(pieceCount, 3 * BLOCK_SIZE, lastPieceLength);
  const picker = new Picker(layout, { random: makeRandom(seed), activePiecesMax });
  const received = new Set<string>();
  let peers: ModelPeer[] = [];
  const key = (piece: number, block: number) => `${piece}/${block}`;
  const requestersOf = (piece: number, block: number) =>
    received.has(key(piece, block)) ? 0 : peers.filter((peer) => peer.hasRequested(piece, block)).length;
  const receive = (piece: number, block: number): void => {
    const fresh = !picker.have.has(piece) && !received.has(key(piece, block));
    assert.equal(picker.wantsBlock(piece, block), fresh);
    const requesters = fresh ? requestersOf(piece, block) : BLOCK_UNWANTED;
    assert.equal(picker.blockReceived(piece, block), requesters);
    if (fresh) received.add(key(piece, block));
    for (const peer of peers) peer.requests = peer.requests.filter(([p, b]) => p !== piece || b !== block);
  };
  for (const { do: what, a, b } of script) {
    const peer = peers[a % Math.max(1, peers.length)];
    if (what === "peer" && peers.length < 8) {
      const random = makeRandom(b);
      const share = [0, 0.3, 0.8, 1][a % 4]!;
      const added: ModelPeer = {
        pieces: piecesOf(
          pieceCount,
          [...Array(pieceCount).keys()].filter(() => random() < share),
        ),
        requests: [],
        hasRequested: (piece, block) => added.requests.some(([p, q]) => p === piece && q === block),
        // Some peers come to everything soon.
        partWith: (piece) => b % 2 === 0 && partsWith(added, piece, picker),
      };
      peers.push(added);
      picker.peerAdded(added.pieces);
    } else if (what === "stray") {
      const piece = a % pieceCount;
      if (a % 5 === 0) receive(piece, b % layout.blocksInPiece(piece));
    } else if (what === "window") {
      picker.windowEnded();
    } else if (what === "judge") {
      for (let piece = 0; piece < pieceCount; piece++) {
        const all = [...Array(layout.blocksInPiece(piece)).keys()].every((block) =>
          received.has(key(piece, block)),
        );
        assert.equal(picker.isPieceReceived(piece), all && !picker.have.has(piece));
        if (!picker.isPieceReceived(piece)) continue;
        if ((a + piece) % 4 !== 0) picker.pieceVerified(piece);
        else {
          picker.pieceFailed(piece);
          for (let block = 0; block < layout.blocksInPiece(piece); block++)
            received.delete(key(piece, block));
        }
      }
    } else if (peer === undefined) {
      continue;
    } else if (what === "leave") {
      peers = peers.filter((each) => each !== peer);
      picker.peerRemoved(peer.pieces);
      for (const [piece, block] of peer.requests.splice(0)) picker.requestDropped(piece, block);
    } else if (what === "have") {
      if (peer.pieces.add(b % pieceCount)) picker.peerHas(peer.pieces, b % pieceCount);
    } else if (what === "lack") {
      const [piece] = [b % pieceCount];
      if (peer.requests.every(([p]) => p !== piece)) picker.peerLacks(peer.pieces, piece);
    } else if (what === "pick") {
      let endGame = picker.inEndGame;
      const out = new Int32Array(20);
      const allowed = b % 7 === 0 ? { has: (piece: number) => piece % 2 === 0 } : undefined;
      let got = picker.pick(peer.pieces, 1 + (b % 10), out, peer, allowed, 1 + (b % 4));
      assert.ok(got === 0 || !endGame, "nothing is free in the end game");
      if (got === 0 && b % 3 === 0 && allowed === undefined && picker.takeOver(peer.pieces, peer)) {
        endGame = picker.inEndGame;
        got = picker.pick(peer.pieces, 1 + (b % 10), out, peer);
        endGame &&= got === 0;
      }
      if (got === 0) got = picker.pickAgain(peer.pieces, 1 + (b % 10), out, peer, allowed);
      for (let at = 0; at < got; at++) {
        const [piece, block] = [out[2 * at]!, out[2 * at + 1]!];
        assert.ok(
          peer.pieces.has(piece) && !picker.have.has(piece) && !received.has(key(piece, block)),
          "picks what it misses and the peer has",
        );
        assert.ok(b % 7 !== 0 || piece % 2 === 0, "picks what is allowed");
        assert.ok(!peer.hasRequested(piece, block), "asks nobody twice");
        const isAgain = requestersOf(piece, block) > 0;
        // Where not all is allowed, what is free may be nobody's that could bring it.
        assert.ok(endGame === isAgain || (isAgain && b % 7 === 0), "asks two only in the end game");
        peer.requests.push([piece, block]);
        const windows = script.filter((step) => step.do === "window").length;
        assert.ok(requestersOf(piece, block) <= REQUESTERS_MAX * 2 ** windows);
      }
      if (got === 0 && b % 7 !== 0 && !picker.inEndGame && picker.activeCount < activePiecesMax) {
        for (let piece = 0; piece < pieceCount; piece++) {
          for (let block = 0; peer.pieces.has(piece) && block < layout.blocksInPiece(piece); block++) {
            const open = picker.wantsBlock(piece, block) && requestersOf(piece, block) === 0;
            assert.ok(!open, `piece ${piece} block ${block} could have been picked`);
          }
        }
      }
    } else if (what === "receive") {
      const request = peer.requests[b % 3 === 0 ? b % peer.requests.length : 0];
      if (request !== undefined) receive(...request);
    } else if (what === "drop") {
      const [request] = peer.requests.splice(b % Math.max(1, peer.requests.length), 1);
      if (request !== undefined) picker.requestDropped(...request);
    }
    compare();
  }

  function compare(): void {
    let blocksMissing = 0;
    let free = 0;
    let bytesMissing = 0;
    const active = new Set<number>();
    for (let piece = 0; piece < pieceCount; piece++) {
      assert.equal(
        picker.availability(piece),
        peers.filter((peer) => peer.pieces.has(piece)).length,
        "availability",
      );
      if (picker.have.has(piece)) continue;
      bytesMissing += layout.pieceLengthOf(piece);
      for (let block = 0; block < layout.blocksInPiece(piece); block++) {
        const requesters = requestersOf(piece, block);
        assert.equal(picker.requesters(piece, block), requesters, `requesters of ${piece}/${block}`);
        if (requesters > 0) active.add(piece);
        if (received.has(key(piece, block))) continue;
        blocksMissing++;
        if (requesters === 0) free++;
      }
    }
    assert.equal(picker.blocksMissing, blocksMissing);
    assert.equal(picker.bytesMissing, bytesMissing);
    assert.ok(picker.activeCount <= active.size, "what is active has requests");
    if (!script.some((step) => step.do === "window")) assert.equal(picker.activeCount, active.size);
    picker.checkInvariants();
    assert.equal(picker.inEndGame, blocksMissing > 0 && free === 0);
    for (const peer of peers) {
      const interesting = [...Array(pieceCount).keys()].some(
        (piece) => peer.pieces.has(piece) && !picker.have.has(piece),
      );
      assert.equal(picker.isInteresting(peer.pieces), interesting);
    }
  }
}

describe("Picker: always", () => {
  it("agrees with plain bookkeeping", () => {
    check(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 3 * BLOCK_SIZE }),
        fc.constantFrom(1, 2, 3, 100),
        fc.nat(1 << 20),
        steps,
        play,
      ),
      150,
    );
  });

  it("completes a download with peers that have parts, are slow, leave, and lie", () => {
    check(
      fc.property(fc.nat(1 << 20), fc.constantFrom(64 * KIB, 1 * MIB, 16 * MIB), (seed, pieceLength) => {
        const random = makeRandom(seed);
        const pieceCount = pieceLength > MIB ? 3 : 30;
        const layout = layoutOf(pieceCount, pieceLength, 20_000);
        const picker = new Picker(layout, { random });
        const peers: Asked[] = [];
        let turns = 0;
        while (!picker.isComplete) {
          assert.ok(++turns < 200_000, "the download ends");
          if (peers.length < 6) {
            const share = peers.some((peer) => peer.pieces.isFull) ? random() : 1;
            const peer = new Asked(
              piecesOf(
                pieceCount,
                [...Array(pieceCount).keys()].filter(() => random() < share),
              ),
            );
            peers.push(peer);
            picker.peerAdded(peer.pieces);
          }
          const at = Math.floor(random() * peers.length);
          const peer = peers[at]!;
          peer.ask(picker, 1 + Math.floor(random() * 100));
          if (random() < 0.01) {
            peers.splice(at, 1);
            picker.peerRemoved(peer.pieces);
            for (const [piece, block] of peer.requests) picker.requestDropped(piece, block);
          }
          for (
            let left = Math.floor(random() * 60 * (at + 1));
            left > 0 && peer.requests.length > 0;
            left--
          ) {
            const [piece, block] = peer.answer(picker);
            for (const other of peers) {
              const index = other.requests.findIndex(([p, b]) => p === piece && b === block);
              if (index >= 0) other.requests.splice(index, 1);
            }
            if (!picker.isPieceReceived(piece)) continue;
            if (random() < 0.1) picker.pieceFailed(piece);
            else picker.pieceVerified(piece);
          }
        }
        assert.equal(picker.startedCount, 0);
        assert.equal(picker.activeCount, 0);
        assert.equal(picker.blocksMissing, 0);
      }),
      15,
    );
  });
});
