// Turns of key exchanges, over virtual time: how many there are, and whose.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ExchangeTurns,
  type ExchangeWaiter,
  PAUSE_MS,
  SHARE_MS,
} from "../../../../src/client/stream/exchange-turns.js";
import { entryOf } from "../../../support/required.js";
import { TurningLoop } from "../../../support/turning-loop.js";

class Loop extends TurningLoop {
  readonly done: string[] = [];
  readonly turns = new ExchangeTurns(this.ground, this.atTurnEnd);

  waiter(name: string): ExchangeWaiter {
    return { exchange: () => this.done.push(name) };
  }
}

describe("turns of key exchanges", () => {
  it("come at once when nobody had one, later than the call, and then with pauses, for each kind", () => {
    const loop = new Loop();
    for (let index = 0; index < 2000; index++) {
      loop.turns.ask("incoming", `${index}`, loop.waiter("stranger"));
      loop.turns.ask("outgoing", `${index}`, loop.waiter("ours"));
    }
    assert.deepEqual(loop.done, []);
    loop.pass(0);
    assert.deepEqual(loop.done, ["ours", "stranger"]);
    loop.pass(1000);
    const strangers = loop.done.filter((name) => name === "stranger").length;
    assert.equal(strangers, 1 + 1000 / PAUSE_MS);
    assert.equal(loop.done.length, 2 * strangers);
  });

  it("go round the networks, also when one of them comes again and again", () => {
    const loop = new Loop();
    const again = (name: string): ExchangeWaiter => ({
      exchange: () => {
        loop.done.push(name);
        loop.turns.ask("incoming", name, again(name));
      },
    });
    for (let index = 0; index < 50; index++) loop.turns.ask("incoming", "crowd", loop.waiter("crowd"));
    loop.turns.ask("incoming", "storm", again("storm"));
    loop.turns.ask("incoming", "honest", loop.waiter("honest"));
    loop.pass(3 * PAUSE_MS);
    assert.deepEqual(loop.done, ["crowd", "storm", "honest", "crowd"]);
    loop.pass(3 * PAUSE_MS);
    assert.deepEqual(loop.done.slice(4), ["storm", "crowd", "storm"]);
  });

  it("are first of all for those that had none in the last minute, of IPv6 whole sites of those", () => {
    const loop = new Loop();
    const again = (host: string): ExchangeWaiter => ({
      exchange: () => {
        loop.done.push("crowd");
        loop.turns.ask("incoming", host, again(host));
      },
    });
    const crowd = Array.from({ length: 500 }, (_, index) => `192.0.${2 + (index >> 8)}.${index & 255}`);
    const site = Array.from({ length: 500 }, (_, index) => `2001:db8:1:${index.toString(16)}::1`);
    for (const host of [...crowd, ...site]) loop.turns.ask("incoming", host, again(host));
    // All had one, or are of a site that had eight.
    loop.pass(1000 * PAUSE_MS);
    for (const host of ["203.0.113.1", "2001:db8:2::1"]) {
      loop.turns.ask("incoming", host, loop.waiter(host));
      loop.pass(PAUSE_MS);
      assert.equal(loop.done.at(-1), host);
    }
    const before = loop.done.length;
    loop.turns.ask("incoming", "203.0.113.1", loop.waiter("203.0.113.1"));
    loop.pass(100 * PAUSE_MS);
    assert.deepEqual(loop.done.slice(before), new Array(100).fill("crowd"));
    loop.pass(SHARE_MS);
    loop.turns.ask("incoming", "203.0.113.2", loop.waiter("new"));
    loop.pass(PAUSE_MS);
    assert.equal(loop.done.at(-1), "new");
  });

  it("pass by who waits no more, and leave no timer behind", () => {
    const loop = new Loop();
    const waiters = ["a", "b", "c"].map((name) => loop.waiter(name));
    for (const waiter of waiters) loop.turns.ask("incoming", "network", waiter);
    loop.pass(0);
    assert.deepEqual(loop.done, ["a"]);
    loop.turns.forget("incoming", "network", entryOf(waiters, 1));
    assert.equal(loop.due.length, 1);
    loop.turns.forget("incoming", "network", entryOf(waiters, 2));
    loop.turns.forget("incoming", "network", entryOf(waiters, 2));
    assert.equal(loop.due.length, 0);
    loop.pass(100);
    assert.deepEqual(loop.done, ["a"]);
    loop.turns.ask("incoming", "network", entryOf(waiters, 2));
    loop.pass(0);
    assert.deepEqual(loop.done, ["a", "c"]);
  });
});
