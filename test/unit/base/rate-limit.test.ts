// Limits over virtual time, without a connection: what passes is what time allowed, whoever asks, and nobody is passed over.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RateLimit, RateQueue, Throttle } from "../../../src/base/rate-limit.js";
import { check } from "../../support/property.js";
import { required } from "../../support/required.js";
import { VirtualGround } from "../../support/virtual-ground.js";

const BLOCK = 16_397;

/** One that always has something to pass, in whole or in parts. */
class Greedy {
  readonly throttle: Throttle;
  passed = 0;

  constructor(queue: RateQueue, ...limits: RateLimit[]) {
    this.throttle = new Throttle(queue, this);
    this.throttle.setLimits(limits);
  }

  mayPass(): void {
    this.pull();
  }

  pull(): void {
    for (let allowed = this.throttle.ask(false); allowed > 0; allowed = this.throttle.ask(false)) {
      this.throttle.passed(allowed);
      this.passed += allowed;
    }
  }
}

/** One that finishes on credit each block that it may begin, because of something that it says. */
class Creditor extends Greedy {
  override pull(): void {
    for (let allowed = this.throttle.ask(false); allowed > 0; allowed = this.throttle.ask(false)) {
      this.#pass(allowed);
      if (allowed < BLOCK) this.#pass(Math.max(this.throttle.ask(true), BLOCK - allowed));
    }
  }

  #pass(bytes: number): void {
    this.throttle.passed(bytes);
    this.passed += bytes;
  }
}

function limitOf(bytesPerSecond: number): RateLimit {
  const limit = new RateLimit();
  limit.set(bytesPerSecond, 0);
  return limit;
}

describe("RateLimit", () => {
  it("lets pass what time allowed, shared alike, however many there are and however low it is", () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.oneof(fc.integer({ min: 50, max: 5000 }), fc.integer({ min: 5000, max: 200_000_000 })),
      (users, rate) => {
        const ground = new VirtualGround();
        const queue = new RateQueue(ground);
        const limit = limitOf(rate);
        const all = Array.from({ length: users }, () => new Greedy(queue, limit));
        for (const each of all) each.pull();
        for (let ms = 0; ms < 10_000; ms += 37) {
          ground.pass(37);
          queue.checkInvariants();
          const total = all.reduce((sum, each) => sum + each.passed, 0);
          assert.ok(total <= (rate * ground.nowMs()) / 1000, `${total} in ${ground.nowMs()} ms`);
        }
        const total = all.reduce((sum, each) => sum + each.passed, 0);
        assert.ok(total >= 0.95 * 10 * rate - 16_397, `${total} of ${10 * rate}`);
        const [least, most] = [Math.min, Math.max].map((of) => of(...all.map(({ passed }) => passed)));
        assert.ok(
          required(most, "most") - required(least, "least") <=
            Math.max(2 * 16_397, 0.05 * required(most, "most")),
          `from ${least} to ${most}`,
        );
      },
    );
    check(property, 60);
  });

  it("is shared alike with those that finish block after block on credit", () => {
    for (const rate of [2000, 20_000, 100_000]) {
      const ground = new VirtualGround();
      const queue = new RateQueue(ground);
      const limit = limitOf(rate);
      const honest = new Greedy(queue, limit);
      const others = Array.from({ length: 3 }, () => new Creditor(queue, limit));
      const all = [honest, ...others];
      for (const each of all) each.pull();
      const seconds = 600;
      ground.pass(1000 * seconds);
      queue.checkInvariants();
      const part = (rate * seconds) / all.length;
      assert.ok(honest.passed >= 0.6 * part, `${honest.passed} of ${part} at ${rate}`);
      const total = all.reduce((sum, { passed }) => sum + passed, 0);
      assert.ok(total >= 0.9 * rate * seconds, `${total} of ${rate * seconds} in all`);
    }
  });

  it("holds each to the lowest of its limits, and gives the others the rest", () => {
    const ground = new VirtualGround();
    const queue = new RateQueue(ground);
    const session = limitOf(100_000);
    const held = new Greedy(queue, limitOf(10_000), session);
    const free = new Greedy(queue, session);
    for (const each of [held, free]) each.pull();
    ground.pass(10_000);
    assert.ok(Math.abs(held.passed - 100_000) < 5000, `${held.passed}`);
    assert.ok(Math.abs(free.passed - 900_000) < 45_000, `${free.passed}`);
  });

  it("keeps no more than a fifth of a second for whoever comes after silence, and all of the time that the loop was busy", () => {
    const ground = new VirtualGround();
    const queue = new RateQueue(ground);
    const user = new Greedy(queue, limitOf(1_000_000));
    ground.pass(60_000);
    user.pull();
    assert.ok(user.passed <= 200_000, `${user.passed}`);
    ground.pass(1000);
    const before = user.passed;
    ground.stall(700);
    ground.pass(300);
    assert.ok(user.passed - before >= 950_000, `${user.passed - before}`);
  });

  it("is paid back what passed on credit before anything else passes", () => {
    const ground = new VirtualGround();
    const queue = new RateQueue(ground);
    const user = new Greedy(queue, limitOf(1000));
    user.pull();
    user.throttle.passed(16_000);
    ground.pass(15_000);
    assert.equal(user.passed, 0);
    ground.pass(5000);
    assert.ok(user.passed > 3500 && user.passed <= 4000, `${user.passed}`);
  });

  it("takes back what was lent and is not used, for others", () => {
    const ground = new VirtualGround();
    const queue = new RateQueue(ground);
    const limit = limitOf(100_000);
    const idle = new Greedy(queue, limit);
    const busy = new Greedy(queue, limit);
    ground.pass(1000);
    assert.ok(idle.throttle.ask(false) > 0);
    busy.pull();
    ground.pass(10_000);
    assert.ok(busy.passed >= 990_000, `${busy.passed}`);
  });

  it("tells how long each waited, wakes whoever waits when it is lifted, and leaves no timer then", () => {
    const ground = new VirtualGround();
    const queue = new RateQueue(ground);
    const limit = limitOf(1);
    const user = new Greedy(queue, limit);
    user.pull();
    assert.ok(user.throttle.isWaiting);
    ground.pass(700);
    assert.equal(user.throttle.waitedMs, 700);
    let woken = 0;
    user.mayPass = () => {
      woken++;
    };
    user.throttle.setLimits([]);
    assert.equal(woken, 1);
    assert.equal(user.throttle.waitedMs, 700);
    assert.equal(limit.throttles + limit.waiting, 0);
    ground.pass(1000);
    assert.equal(ground.timers, 0);
  });
});
