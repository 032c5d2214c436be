// Counts and choices against a model that does the same the slow way.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Availability } from "../../../../src/client/torrent/availability.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

function setOf(pieceCount: number, pieces: Iterable<number>): PieceSet {
  const set = new PieceSet(pieceCount);
  for (const piece of pieces) set.add(piece);
  return set;
}

describe("Availability", () => {
  it("chooses the rarest piece that the peer has", () => {
    const availability = new Availability(6, makeRandom(1));
    const all = setOf(6, [0, 1, 2, 3, 4, 5]);
    availability.peerAdded(setOf(6, [0, 1, 2, 3]));
    availability.peerAdded(setOf(6, [0, 1, 2, 4]));
    availability.peerAdded(all);
    assert.equal(availability.of(0), 3);
    assert.equal(availability.of(5), 1);
    assert.equal(availability.choose(all, undefined, false), 5);
    assert.ok([3, 4].includes(availability.choose(setOf(6, [0, 1, 2, 3, 4]), undefined, false)));
    assert.equal(availability.choose(setOf(6, [0, 1]), new Set([1]), false), 1);
    assert.equal(availability.choose(setOf(6, []), undefined, false), -1);
  });

  it("chooses any of the equally rare, and any at all where that is asked for", () => {
    const availability = new Availability(20, makeRandom(2));
    const all = new PieceSet(20);
    all.fill();
    availability.peerAdded(setOf(20, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    const rare = new Set<number>();
    const any = new Set<number>();
    for (let round = 0; round < 500; round++) {
      rare.add(availability.choose(all, undefined, false));
      any.add(availability.choose(all, undefined, true));
    }
    assert.deepEqual(
      [...rare].sort((a, b) => a - b),
      [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
    );
    assert.equal(any.size, 20);
  });

  it("a piece that was taken is not chosen until it is put back", () => {
    const availability = new Availability(2, makeRandom(3));
    const all = setOf(2, [0, 1]);
    availability.take(0);
    availability.take(1);
    assert.equal(availability.choose(all, undefined, false), -1);
    availability.peerAdded(setOf(2, [1]));
    availability.putBack(1);
    assert.equal(availability.choose(all, undefined, false), 1);
  });

  it("finds the one piece that a peer has among very many", () => {
    const pieceCount = 100_000;
    const availability = new Availability(pieceCount, makeRandom(4));
    for (const piece of [0, 77_777, 99_999]) {
      const peer = setOf(pieceCount, [piece]);
      availability.peerAdded(peer);
      assert.equal(availability.choose(peer, undefined, false), piece);
    }
  });

  it("is as it was after peers that came with a part and left with everything, however many", () => {
    for (const pieceCount of [1, 3]) {
      const availability = new Availability(pieceCount, makeRandom(5));
      for (let visit = 0; visit < 1000; visit++) {
        const pieces = new PieceSet(pieceCount);
        availability.peerAdded(pieces);
        for (let piece = 0; piece < pieceCount; piece++) {
          pieces.add(piece);
          availability.peerHas(pieces, piece);
        }
        assert.equal(availability.of(0), 1);
        availability.peerRemoved(pieces);
      }
      assert.equal(availability.of(0), 0);
      assert.ok(availability.bucketCount <= 2, `${availability.bucketCount} buckets`);
    }
  });

  it("counts and choices are those of a model, whatever peers do", () => {
    const PIECES = 12;
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("add" as const),
        pieces: fc.uniqueArray(fc.nat(PIECES - 1)),
        all: fc.boolean(),
      }),
      fc.record({
        kind: fc.constantFrom("has" as const, "lacks" as const),
        peer: fc.nat(9),
        piece: fc.nat(PIECES - 1),
      }),
      fc.record({ kind: fc.constant("remove" as const), peer: fc.nat(9) }),
      fc.record({ kind: fc.constant("toggle" as const), piece: fc.nat(PIECES - 1) }),
    );
    check(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), fc.nat(1e6), (steps, seed) => {
        const availability = new Availability(PIECES, makeRandom(seed));
        const peers: PieceSet[] = [];
        const startable = new Set(Array.from({ length: PIECES }, (_, piece) => piece));
        for (const each of steps) {
          if (each.kind === "add") {
            const set = setOf(PIECES, each.pieces);
            if (each.all) set.fill();
            peers.push(set);
            availability.peerAdded(set);
          } else if (each.kind === "toggle") {
            if (startable.delete(each.piece)) availability.take(each.piece);
            else {
              startable.add(each.piece);
              availability.putBack(each.piece);
            }
          } else {
            const peer = peers[each.peer];
            if (peer === undefined) continue;
            if (each.kind === "remove") {
              availability.peerRemoved(peer);
              peers.splice(each.peer, 1);
            } else if (each.kind === "lacks") availability.peerLacks(peer, each.piece);
            else if (peer.add(each.piece)) availability.peerHas(peer, each.piece);
          }
          const counts = Array.from(
            { length: PIECES },
            (_, piece) => peers.filter((set) => set.has(piece)).length,
          );
          assert.deepEqual(
            Array.from({ length: PIECES }, (_, piece) => availability.of(piece)),
            counts,
          );
          for (const peer of peers) {
            const possible = [...startable].filter((piece) => peer.has(piece));
            const chosen = availability.choose(peer, undefined, false);
            if (possible.length === 0) assert.equal(chosen, -1);
            else {
              assert.ok(possible.includes(chosen), "what the peer has and nobody began");
              assert.equal(
                counts[chosen],
                Math.min(...possible.map((piece) => entryOf(counts, piece))),
                "the rarest",
              );
            }
          }
        }
      }),
      300,
    );
  });
});
