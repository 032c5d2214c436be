// Memory for messages that come in parts: bounded for all together, and who has been at it longest makes room.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.js";
import { type MessageHolder, MessageMemory } from "../../../../src/client/memory/message-memory.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

function holders(count: number, evicted: number[]): MessageHolder[] {
  return Array.from({ length: count }, (_, index) => ({ messageEvicted: () => void evicted.push(index) }));
}

describe("MessageMemory", () => {
  it("counts what each holds, once, and what was given back not any more", () => {
    const memory = new MessageMemory(1000);
    const [first, second] = holders(2, []) as [MessageHolder, MessageHolder];
    assert.ok(memory.hold(first, 100));
    assert.ok(memory.hold(first, 300));
    assert.ok(memory.hold(second, 200));
    assert.equal(memory.bytes, 500);
    memory.release(first);
    memory.release(first);
    assert.equal(memory.bytes, 200);
  });

  it("when it is full, those that began first go, and no more of them than must", () => {
    const evicted: number[] = [];
    const memory = new MessageMemory(1000);
    const all = holders(5, evicted);
    for (const each of all.slice(0, 4)) assert.ok(memory.hold(each, 250));
    assert.deepEqual(evicted, []);
    assert.ok(memory.hold(entryOf(all, 4), 300));
    assert.deepEqual(evicted, [0, 1]);
    assert.equal(memory.bytes, 800);
  });

  it("growing makes nobody younger: the one that began first goes, even if it is the one that grows", () => {
    const evicted: number[] = [];
    const memory = new MessageMemory(1000);
    const [first, second] = holders(2, evicted) as [MessageHolder, MessageHolder];
    memory.hold(first, 100);
    memory.hold(second, 600);
    assert.equal(memory.hold(first, 500), false);
    assert.deepEqual(evicted, [], "it knows already");
    assert.equal(memory.bytes, 600);
  });

  it("counts right, and keeps its bound, whatever comes and goes", () => {
    const step = fc.tuple(fc.nat(5), fc.integer({ min: 0, max: 500 }));
    check(
      fc.property(fc.array(step, { maxLength: 100, size: "max" }), (script) => {
        const memory = new MessageMemory(1000);
        const held = [0, 0, 0, 0, 0, 0];
        const all = held.map(
          (_, index): MessageHolder => ({
            messageEvicted: () => {
              held[index] = 0;
            },
          }),
        );
        for (const [index, more] of script) {
          const [holder, before] = [all[index], held[index]];
          assert.ok(holder !== undefined && before !== undefined);
          if (more === 0) memory.release(holder);
          const bytes = more === 0 ? 0 : before + more;
          held[index] = more !== 0 && memory.hold(holder, bytes) ? bytes : 0;
          memory.checkInvariants();
          assert.equal(
            memory.bytes,
            held.reduce((sum, each) => sum + each, 0),
          );
        }
      }),
      150,
    );
  });

  it("finds a message that takes less and less", () => {
    const memory = new MessageMemory(1000);
    const [holder] = holders(1, []) as [MessageHolder];
    assert.throws(() => memory.hold(holder, 0), AssertionError);
    memory.hold(holder, 100);
    assert.throws(() => memory.hold(holder, 100), AssertionError);
  });
});
