// Shares of a turn: whoever brings much has what others leave, and messages are charged only where there are too many.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB, MIB } from "../../../src/base/limits.js";
import { TurnLoad } from "../../../src/native/turn-load.js";

const READY = 1000;

/** A turn in which so many sockets use up their share with blocks, and the others say a word each. */
function turnOf(load: TurnLoad, ready: number, heavy: number): void {
  load.begin(ready);
  for (let index = 0; index < ready; index++) {
    const isHeavy = index < heavy;
    load.heard(isHeavy ? load.bytesShare : 5, 1, isHeavy, isHeavy);
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
      load.heard(load.bytesShare, 1, true, true);
      heard += load.bytesShare;
    }
    assert.equal(heard, 4 * MIB);
  });

  it("charges nobody for a batch of requests, and everybody where messages fill a turn", () => {
    const load = new TurnLoad();
    turnOf(load, READY, 0);
    assert.equal(load.unchargedBytes, 64 * KIB);
    load.heard(0, 16_384, false, true);
    assert.equal(load.isTalkedOut, false, "the end of a turn has no other turn");
    load.begin(READY);
    load.heard(0, 16_384, false, true);
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

  it("leaves the turn to the one that brings blocks among many that use up their share with words", () => {
    const load = new TurnLoad();
    for (let turns = 0; turns < 3; turns++) {
      load.begin(READY);
      load.heard(load.bytesShare, 16, true, true);
      for (let index = 1; index < 100; index++) load.heard(4 * KIB, 256, false, true);
    }
    load.begin(READY);
    assert.equal(load.bytesShare, MIB);
  });
});

/** Sockets that bring no blocks and always have something to say, each of which takes its time. */
class Talkers {
  readonly load: TurnLoad;
  readonly #heardIn: number[];
  #nowMs = 1000;
  readonly #eachMs: number;

  constructor(count: number, eachMs: number) {
    this.load = new TurnLoad(() => this.#nowMs);
    this.#heardIn = Array.from({ length: count }, () => 0);
    this.#eachMs = eachMs;
  }

  /** Those that were heard in a turn in which so many bytes of blocks come. */
  turn(blockBytes: number): number[] {
    const { load } = this;
    load.begin(this.#heardIn.length + 1);
    if (blockBytes > 0) load.heard(blockBytes, 1, true, false);
    const heard: number[] = [];
    for (const [index, heardIn] of this.#heardIn.entries()) {
      if (!load.mayTalk(heardIn)) continue;
      this.#heardIn[index] = load.round;
      this.#nowMs += this.#eachMs;
      load.heard(100, 1, false, false);
      heard.push(index);
    }
    load.end();
    return heard;
  }
}

describe("TurnLoad: those that bring no blocks", () => {
  const ALL = Array.from({ length: 20 }, (_, index) => index);

  it("are all heard in each turn while no blocks come", () => {
    const talkers = new Talkers(20, 1);
    for (let turns = 0; turns < 3; turns++) assert.deepEqual(talkers.turn(0), ALL);
  });

  it("have a part of each turn while blocks come, and are heard in order, each once in a round", () => {
    const talkers = new Talkers(20, 0.3);
    talkers.load.begin(1);
    talkers.load.heard(16 * KIB, 1, true, false);
    const rounds: number[][] = [[], []];
    for (const round of rounds)
      while (round.length < 20) {
        const heard = talkers.turn(16 * KIB);
        assert.ok(heard.length > 0 && heard.length <= 5, `${heard.length} in a turn`);
        round.push(...heard);
      }
    assert.deepEqual(rounds, [ALL, ALL]);
  });

  it("have as much again for each MiB that came in the turn before", () => {
    const talkers = new Talkers(20, 0.3);
    talkers.turn(3 * MIB);
    const { length } = talkers.turn(0);
    assert.ok(length >= 13 && length <= 15, `${length} in 4 ms`);
  });

  it("are all heard again some turns after the last block", () => {
    const talkers = new Talkers(20, 1);
    talkers.turn(16 * KIB);
    for (let turns = 0; turns < 64; turns++) talkers.turn(0);
    assert.deepEqual(talkers.turn(0), ALL);
  });

  it("are heard one by one where each takes longer than all may", () => {
    const talkers = new Talkers(20, 50);
    talkers.turn(16 * KIB);
    for (let turns = 0; turns < 20; turns++) assert.equal(talkers.turn(16 * KIB).length, 1);
  });

  it("leave all that a turn has room for to whoever brings blocks, where there is no time for all", () => {
    const talkers = new Talkers(20, 1);
    const { load } = talkers;
    for (let turns = 0; turns < 2; turns++) talkers.turn(16 * KIB);
    load.begin(READY);
    assert.equal(load.bytesShare, 4 * MIB);
  });

  it("are all heard at the end of a turn, as nobody tells of them again", () => {
    const talkers = new Talkers(20, 1);
    talkers.turn(16 * KIB);
    talkers.turn(16 * KIB);
    assert.equal(talkers.load.mayTalk(talkers.load.round), true);
  });
});
