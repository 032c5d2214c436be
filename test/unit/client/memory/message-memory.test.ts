// Memory for messages that come in parts: bounded for all together, and who has been at it longest makes room.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type MessageHolder, MessageMemory } from "../../../../src/client/memory/message-memory.js";

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
    assert.ok(memory.hold(all[4]!, 300));
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
});
