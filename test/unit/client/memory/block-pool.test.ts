// The pool of slots: which are lent, to whom, and which mistakes of ours it finds.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.js";
import type { SlotIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { BlockPool, SlotHolder, type SlotWaiter } from "../../../../src/client/memory/block-pool.js";
import { check } from "../../../support/property.js";
import { required } from "../../../support/required.js";

function makePool(slotCount: number, base = BLOCK_SIZE): BlockPool {
  return new BlockPool(new Uint8Array(base + slotCount * BLOCK_SIZE), base, slotCount);
}

function take(pool: BlockPool, holder: SlotHolder = SlotHolder.receiving): SlotIndex {
  const slot = pool.acquire(holder);
  assert.notEqual(slot, -1);
  return slot as SlotIndex;
}

/** Stands in the queue, and notes that it was woken. */
class Waiter implements SlotWaiter {
  readonly name: string;
  readonly #woken: string[];
  onWoken: () => void = () => {};

  constructor(name: string, woken: string[]) {
    this.name = name;
    this.#woken = woken;
  }

  slotsAvailable(): void {
    this.#woken.push(this.name);
    this.onWoken();
  }
}

describe("BlockPool: slots", () => {
  it("lends the lowest slots first, and the last one that came home next", () => {
    const pool = makePool(4);
    assert.deepEqual([take(pool), take(pool), take(pool)], [0, 1, 2]);
    pool.release(1 as SlotIndex, SlotHolder.receiving);
    pool.release(0 as SlotIndex, SlotHolder.receiving);
    assert.equal(take(pool), 0);
    assert.equal(take(pool), 1);
    assert.equal(take(pool), 3);
    assert.equal(pool.acquire(SlotHolder.receiving), -1);
    assert.equal(pool.freeCount, 0);
  });

  it("knows the address of a slot and the slot of an address", () => {
    const pool = makePool(3, 2 * BLOCK_SIZE);
    assert.equal(pool.addressOf(1 as SlotIndex), 3 * BLOCK_SIZE);
    assert.equal(pool.slotAt(3 * BLOCK_SIZE), 1);
    assert.equal(pool.slotAt(3 * BLOCK_SIZE + 1), -1);
    assert.equal(pool.slotAt(BLOCK_SIZE), -1);
    assert.equal(pool.slotAt(5 * BLOCK_SIZE), -1);
    assert.equal(pool.slotAt(2 ** 40 + BLOCK_SIZE), -1);
  });

  it("lies inside the slab", () => {
    assert.throws(() => new BlockPool(new Uint8Array(2 * BLOCK_SIZE), 1, 2), AssertionError);
  });

  it("finds a slot that is freed twice, and one that is freed or passed on by another than its holder", () => {
    const pool = makePool(2);
    const slot = take(pool, SlotHolder.receiving);
    assert.throws(() => pool.pass(slot, SlotHolder.storage, SlotHolder.user), AssertionError);
    pool.pass(slot, SlotHolder.receiving, SlotHolder.storage);
    assert.equal(pool.holderOf(slot), SlotHolder.storage);
    assert.throws(() => pool.release(slot, SlotHolder.receiving), AssertionError, "it is storage's now");
    pool.release(slot, SlotHolder.storage);
    assert.throws(() => pool.release(slot, SlotHolder.storage), AssertionError);
    assert.throws(() => pool.release(slot, SlotHolder.free), AssertionError);
    assert.throws(() => pool.pass(slot, SlotHolder.free, SlotHolder.user), AssertionError);
  });

  it("finds what is no slot of it: it is not freed, and nothing changes", () => {
    const pool = makePool(2);
    for (const slot of [-1, 2, 1000] as SlotIndex[])
      assert.throws(() => pool.release(slot, SlotHolder.receiving), AssertionError);
    assert.throws(() => pool.acquire(SlotHolder.free), AssertionError);
    const slot = take(pool);
    assert.throws(() => pool.pass(slot, SlotHolder.receiving, SlotHolder.free), AssertionError);
    pool.checkInvariants();
    assert.equal(pool.freeCount, 1);
  });

  it("says who holds what, and how much was out at most", () => {
    const pool = makePool(8);
    const slots = [
      take(pool),
      take(pool, SlotHolder.storage),
      take(pool, SlotHolder.storage),
      take(pool, SlotHolder.user),
    ];
    assert.deepEqual(pool.heldByHolder(), { receiving: 1, storage: 2, user: 1 });
    for (const slot of slots) pool.release(slot, pool.holderOf(slot));
    take(pool);
    assert.equal(pool.peakHeld, 4);
    assert.deepEqual(pool.heldByHolder(), { receiving: 1 });
  });

  it("never lends a slot twice, whatever the order of things", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom("take", "pass", "free"), fc.nat(100)), {
      maxLength: 200,
      size: "max",
    });
    check(
      fc.property(fc.integer({ min: 1, max: 9 }), steps, (slotCount, script) => {
        const pool = makePool(slotCount, 0);
        const held = new Map<SlotIndex, SlotHolder>();
        for (const [what, choice] of script) {
          const slot = [...held.keys()][choice % Math.max(1, held.size)];
          const holder = (1 + (choice % 4)) as SlotHolder;
          if (what === "take") {
            const taken = pool.acquire(holder);
            assert.equal(taken === -1, held.size === slotCount);
            if (taken === -1) continue;
            assert.equal(held.has(taken), false);
            held.set(taken, holder);
          } else if (slot !== undefined && what === "pass") {
            pool.pass(slot, required(held.get(slot), "who holds it"), holder);
            held.set(slot, holder);
          } else if (slot !== undefined) {
            pool.release(slot, required(held.get(slot), "who holds it"));
            held.delete(slot);
          }
          pool.checkInvariants();
          assert.equal(pool.freeCount, slotCount - held.size);
          for (const [each, by] of held) assert.equal(pool.holderOf(each), by);
        }
      }),
      150,
    );
  });
});

describe("BlockPool: waiting", () => {
  it("wakes those that came first, as many as there are slots for", () => {
    const woken: string[] = [];
    const pool = makePool(5);
    for (const name of ["a", "b", "c"]) pool.waitForSlots(new Waiter(name, woken));
    pool.wakeWaiters(2);
    assert.deepEqual(woken, ["a", "b"]);
    assert.equal(pool.waiterCount, 1);
    pool.wakeWaiters(6);
    assert.deepEqual(woken, ["a", "b"]);
    pool.wakeWaiters(5);
    assert.deepEqual(woken, ["a", "b", "c"]);
    pool.wakeWaiters(1);
    assert.equal(woken.length, 3);
  });

  it("forgets who does not wait any more", () => {
    const woken: string[] = [];
    const pool = makePool(5);
    const [a, b] = [new Waiter("a", woken), new Waiter("b", woken)];
    pool.waitForSlots(a);
    pool.waitForSlots(b);
    pool.stopWaiting(a);
    pool.stopWaiting(a);
    pool.wakeWaiters(1);
    assert.deepEqual(woken, ["b"]);
  });

  it("ends although everybody who is woken waits again", () => {
    const woken: string[] = [];
    const pool = makePool(4);
    const waiters = ["a", "b", "c"].map((name) => new Waiter(name, woken));
    for (const waiter of waiters) {
      waiter.onWoken = () => pool.waitForSlots(waiter);
      pool.waitForSlots(waiter);
    }
    pool.wakeWaiters(2);
    assert.deepEqual(woken, ["a", "b"]);
    pool.wakeWaiters(4);
    assert.deepEqual(woken, ["a", "b", "c"], "those that were woken stand at the end");
  });
});
