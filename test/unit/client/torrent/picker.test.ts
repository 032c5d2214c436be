// Which blocks a peer is asked for, in which order, and what becomes of them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE, CHUNK_BLOCKS, MIB } from "../../../../src/base/limits.js";
import { BLOCK_UNWANTED } from "../../../../src/client/torrent/picker.js";
import { makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { Asked, allPieces, layoutOf, pickerOf, pickerPastTheFirst, piecesOf } from "./asked-peer.js";

describe("Picker: what somebody else could bring at once", () => {
  it("is taken over from one who does not come to it soon, whole, and only of pieces that the other has", () => {
    const picker = pickerPastTheFirst(12);
    const seed = new Asked(allPieces(12));
    const asked = seed.ask(picker, 32);
    assert.deepEqual([asked.length, picker.inEndGame], [32, true], "all that is missing");
    const piece = entryOf(asked, 20)[0];
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
    assert.notEqual(entryOf(picked, 4)[0], 5);
  });

  it("follows availability as peers come, announce and go", () => {
    const picker = pickerPastTheFirst(8);
    const peer = new Asked(piecesOf(8, [0, 1, 2]));
    picker.peerAdded(peer.pieces);
    const other = piecesOf(8, [0, 1]);
    picker.peerAdded(other);
    assert.equal(entryOf(peer.ask(picker, 1), 0)[0], 2);
    picker.requestDropped(2, 0);
    other.add(2);
    picker.peerHas(other, 2);
    other.add(3);
    picker.peerHas(other, 3);
    picker.peerLacks(other, 1);
    assert.equal(other.has(1), false);
    assert.equal(entryOf(peer.ask(picker, 1), 0)[0], 1);
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
      first.add(entryOf(new Asked(allPieces(100)).ask(fresh, 1), 0)[0]);
      const picker = pickerPastTheFirst(100, 4 * BLOCK_SIZE, { random: makeRandom(seed) });
      later.add(entryOf(new Asked(allPieces(100)).ask(picker, 1), 0)[0]);
    }
    assert.ok(first.size > 20, `${first.size} different first pieces of 40`);
    assert.ok(later.size > 20, `${later.size} different later pieces of 40`);
  });

  it("goes on with a started piece that nobody works on before it starts another", () => {
    const picker = pickerPastTheFirst(20);
    const gone = new Asked(allPieces(20));
    const [piece] = entryOf(gone.ask(picker, 2), 0);
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
      new Set(peers.slice(0, 4).map((peer) => entryOf(peer.requests, 0)[0])).size,
      4,
      "16 MiB are four pieces",
    );
    assert.equal(picker.activeCount, 4, "the fifth and the sixth peer share");
    for (const peer of peers.slice(0, 4))
      assert.equal(
        entryOf(peer.ask(picker, 16), 0)[0],
        entryOf(peer.requests, 0)[0],
        "each stays with its own",
      );
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
    assert.equal(entryOf(peer.ask(picker, 4, { has: (piece) => piece === 42 }), 0)[0], 42);
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
        for (let at = 0; at < got; at++)
          picker.requestDropped(entryOf(out, 2 * at), entryOf(out, 2 * at + 1));
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
    assert.equal(entryOf(rest, fifth)[1], CHUNK_BLOCKS);
  });

  it("goes on with pieces that nobody works on before it starts another, and leaves those of others alone", () => {
    const picker = pickerPastTheFirst(40, pieceLength);
    const [gone, other, peer] = [1, 2, 3].map(() => new Asked(allPieces(40))) as [Asked, Asked, Asked];
    for (const { pieces } of [gone, other, peer]) picker.peerAdded(pieces);
    const [theirs] = entryOf(other.ask(picker, 1), 0);
    const [left] = entryOf(gone.ask(picker, 2), 0);
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
