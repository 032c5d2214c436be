// Turns of those that come again, over virtual time: how many are let in, and whose.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DescriptorBudget } from "../../../../src/base/descriptor-budget.js";
import { SITE_TIMES } from "../../../../src/base/network-address.js";
import { ArrivalTurns } from "../../../../src/client/session/arrival-turns.js";
import { TurningLoop } from "../../../support/turning-loop.js";

const PAUSE_MS = 2;
const AT_ONCE = 8;
const OF_A_NETWORK = 4;
const PLACES = 40;

class Loop extends TurningLoop {
  readonly descriptors = new DescriptorBudget(10_000);
  readonly turns: ArrivalTurns;
  readonly entered: string[] = [];
  readonly closed: number[] = [];
  /** What one that is let in does. */
  onEnter = (): void => {};
  #fds = 100;

  constructor() {
    super();
    const host = {
      ground: this.ground,
      descriptors: this.descriptors,
      atTurnEnd: this.atTurnEnd,
      enters: (_fd: number, { host }: { readonly host: string }) => {
        this.entered.push(host);
        this.onEnter();
      },
      close: (fd: number) => this.closed.push(fd),
    };
    this.turns = new ArrivalTurns(host, PLACES);
  }

  /** So many of `host` come. How many wait. */
  come(host: string, count = 1): number {
    let waiting = 0;
    for (; count > 0; count--) if (this.turns.add(++this.#fds, { host, port: 1 })) waiting++;
    return waiting;
  }
}

const hostOf = (index: number): string => `192.0.2.${index}`;

describe("turns of those that come again", () => {
  it("come later than the call, some at once when nobody had one, and then with pauses", () => {
    const loop = new Loop();
    for (let index = 0; index < 20; index++) loop.come(hostOf(index));
    assert.equal(loop.entered.length, 0);
    loop.pass(1);
    assert.equal(loop.entered.length, AT_ONCE);
    loop.pass(10 * PAUSE_MS);
    assert.equal(loop.entered.length, AT_ONCE + 10);
    loop.pass(1000);
    assert.deepEqual(
      loop.entered,
      Array.from({ length: 20 }, (_, index) => hostOf(index)),
    );
    assert.equal(loop.due.length, 0, "nobody is waited for");
    for (let index = 0; index < 20; index++) loop.come(hostOf(index));
    loop.pass(1);
    assert.equal(loop.entered.length, 20 + AT_ONCE, "no more, however long nobody came");
  });

  it("are no more in a turn of the loop that takes long", () => {
    const loop = new Loop();
    for (let index = 0; index < PLACES; index++) loop.come(hostOf(index));
    loop.onEnter = () => {
      loop.nowMs += 50;
    };
    loop.nowMs++;
    loop.turn();
    assert.equal(loop.entered.length, AT_ONCE);
  });

  it("are those of one network after the other, and a site is one", () => {
    const loop = new Loop();
    assert.equal(loop.come(hostOf(1), 10), OF_A_NETWORK);
    assert.equal(loop.come("2001:db8:1:1::1", 3), 3);
    assert.equal(loop.come("2001:db8:1:2::1", SITE_TIMES), 1);
    loop.come(hostOf(2));
    loop.pass(5000);
    assert.deepEqual(loop.entered, [
      hostOf(1),
      "2001:db8:1:1::1",
      hostOf(2),
      hostOf(1),
      "2001:db8:1:1::1",
      hostOf(1),
      "2001:db8:1:1::1",
      hostOf(1),
      "2001:db8:1:2::1",
    ]);
  });

  it("leave each network one place when half of them are taken", () => {
    const loop = new Loop();
    for (let index = 0; index < PLACES / 2 / OF_A_NETWORK; index++)
      assert.equal(loop.come(hostOf(index), 10), OF_A_NETWORK);
    assert.equal(loop.come(hostOf(0)), 0);
    for (let index = 0; index < PLACES / 2; index++) assert.equal(loop.come(hostOf(100 + index), 10), 1);
    assert.equal(loop.come(hostOf(200)), 0);
    assert.equal(loop.turns.count, PLACES);
  });

  it("take a descriptor each, and give it back", () => {
    const loop = new Loop();
    loop.come(hostOf(1), OF_A_NETWORK);
    assert.equal(loop.descriptors.used("connection"), OF_A_NETWORK);
    loop.pass(1);
    assert.equal(loop.descriptors.used("connection"), 0);
    while (loop.descriptors.take("connection"));
    assert.equal(loop.come(hostOf(1)), 0, "there is none left");
  });

  it("are not waited for when all is over: who waits is closed", () => {
    const loop = new Loop();
    loop.come(hostOf(1), 2);
    loop.turns.close();
    loop.pass(1000);
    assert.deepEqual([loop.entered.length, loop.closed.length, loop.due.length], [0, 2, 0]);
    assert.equal(loop.descriptors.used("connection"), 0);
  });
});
