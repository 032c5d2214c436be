// Shares of a turn: whoever brings much has what others leave, and messages are charged only where there are too many.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB, MIB } from "../../../src/base/limits.js";
import { TurnLoad } from "../../../src/native/turn-load.js";

const READY = 1000;

/** A turn in which so many sockets use up their share, and the others say a word each. */
function turnOf(load: TurnLoad, ready: number, heavy: number): void {
  load.begin(ready);
  for (let index = 0; index < ready; index++) {
    const isHeavy = index < heavy;
    load.heard(isHeavy ? load.bytesShare : 5, 1, isHeavy);
  }
  load.end();
}

describe("TurnLoad", () => {
  it("leaves the turn to the few that bring blocks among many that say a word", () => {
    const load = new TurnLoad();
    for (let turns = 0; turns < 3; turns++) turnOf(load, READY, 1);
    assert.equal(load.bytesShare, MIB);
  });

  it("is all of one socket's that is ready alone, and a quarter of it the most where others are", () => {
    const load = new TurnLoad();
    turnOf(load, 1, 1);
    turnOf(load, 1, 1);
    assert.equal(load.bytesShare, 4 * MIB);
    assert.equal(load.unchargedBytes, MIB, "what its messages cost is charged as before");
    load.begin(2);
    assert.equal(load.bytesShare, MIB);
  });

  it("is shared by all that bring blocks, with the turn after the first", () => {
    const load = new TurnLoad();
    turnOf(load, 64, 64);
    assert.ok(load.isFull);
    turnOf(load, 64, 64);
    assert.equal(load.bytesShare, 64 * KIB);
  });

  it("has a bound for bytes in a turn in which more than expected come", () => {
    const load = new TurnLoad();
    load.begin(READY);
    let heard = 0;
    while (!load.isFull) {
      load.heard(load.bytesShare, 1, true);
      heard += load.bytesShare;
    }
    assert.equal(heard, 4 * MIB);
  });

  it("charges nobody for a batch of requests, and everybody where messages fill a turn", () => {
    const load = new TurnLoad();
    turnOf(load, READY, 0);
    assert.equal(load.unchargedBytes, 64 * KIB);
    load.heard(0, 16_384, false);
    assert.equal(load.isTalkedOut, false, "the end of a turn has no other turn");
    load.begin(READY);
    load.heard(0, 16_384, false);
    assert.equal(load.isTalkedOut, true);
    assert.ok(load.unchargedBytes <= (4 * MIB) / READY);
    load.begin(READY);
    load.begin(READY);
    assert.equal(load.unchargedBytes, 64 * KIB, "after a turn with room");
  });

  it("remembers for some turns how many were ready", () => {
    const load = new TurnLoad();
    turnOf(load, 8, 8);
    turnOf(load, 1, 1);
    assert.ok(load.readyLately > 7 && load.readyLately < 8);
    for (let turns = 0; turns < 500; turns++) turnOf(load, 1, 1);
    assert.equal(load.readyLately, 1);
  });

  it("keeps what it knows in a turn of nobody", () => {
    const load = new TurnLoad();
    turnOf(load, 64, 64);
    load.begin(0);
    load.begin(64);
    assert.equal(load.bytesShare, 64 * KIB);
  });
});
