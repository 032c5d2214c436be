// Peers hear of pieces at once where they are few, and of many together where they are many.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_GROUND } from "../../../../src/base/ground.js";
import { Announcements, type PieceHearer } from "../../../../src/client/torrent/announcements.js";
import { required } from "../../../support/required.js";

interface Hearer extends PieceHearer {
  readonly told: number[][];
}

function hearers(count: number): Set<Hearer> {
  const make = (): Hearer => {
    const told: number[][] = [];
    return { told, announcePieces: (pieces) => told.push([...pieces]) };
  };
  return new Set(Array.from({ length: count }, make));
}

describe("Announcements", () => {
  it("tells few peers of each piece at once", () => {
    const [only, ...rest] = hearers(1);
    assert.equal(rest.length, 0);
    const announcements = new Announcements(new Set([required(only, "only")]), SYSTEM_GROUND);
    announcements.add(3);
    announcements.add(4);
    assert.deepEqual(required(only, "only").told, [[3], [4]]);
    assert.equal(announcements.waiting, 0);
  });

  it("tells many peers of all the pieces that came in a while, with one call each", () => {
    let ring = (): void => assert.fail("a timer was set");
    const timer = { ref: () => {}, unref: () => {}, refresh: () => {}, close: () => {} };
    const after = (_ms: number, callback: () => void): typeof timer => {
      ring = callback;
      return timer;
    };
    const peers = hearers(2000);
    const announcements = new Announcements(peers, { ...SYSTEM_GROUND, after });
    announcements.add(0);
    for (let piece = 1; piece < 100; piece++) announcements.add(piece);
    assert.equal(announcements.waiting, 99);
    ring();
    for (const { told } of peers) {
      assert.equal(told.length, 2);
      assert.deepEqual(
        told.flat(),
        Array.from({ length: 100 }, (_, piece) => piece),
      );
    }
    announcements.close();
  });

  it("tells what waits when it is asked to, and nothing any more when it is over", () => {
    const peers = hearers(2000);
    const announcements = new Announcements(peers, SYSTEM_GROUND);
    for (const piece of [1, 2, 3]) announcements.add(piece);
    announcements.flush();
    announcements.add(4);
    announcements.close();
    announcements.flush();
    announcements.add(5);
    for (const { told } of peers) assert.deepEqual(told, [[1], [2, 3]]);
  });
});
