// The plan of one receive: it is read back in order, and every slot of it goes to a block or home.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.js";
import { NO_SLOT, type SlotIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import { BlockPool, SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { ReceivePlan } from "../../../../src/client/receive/receive-plan.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

function makePlan(): { plan: ReceivePlan; pool: BlockPool; slot: () => SlotIndex } {
  const pool = new BlockPool(new Uint8Array(4 * BLOCK_SIZE), 0, 4);
  const plan = new ReceivePlan(new Float64Array(2 * PLAN_ENTRIES_MAX));
  const slot = (): SlotIndex => {
    const taken = pool.acquire(SlotHolder.receiving);
    assert.notEqual(taken, NO_SLOT);
    return taken as SlotIndex;
  };
  return { plan, pool, slot };
}

describe("ReceivePlan", () => {
  it("is read back in stream order, whatever is taken at a time", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
    check(
      fc.property(
        lengths,
        fc.nat(80),
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }),
        (sizes, bytes, takes) => {
          const { plan, pool } = makePlan();
          const addresses: number[] = [];
          sizes.forEach((length, index) => {
            plan.add(1000 * index, length, NO_SLOT, false);
            for (let at = 0; at < length; at++) addresses.push(1000 * index + at);
          });
          assert.equal(plan.bytes, addresses.length);
          const received = Math.min(bytes, plan.bytes);
          plan.rewind(received);
          const read: number[] = [];
          for (let take = 0; plan.left > 0; take++) {
            const available = plan.available();
            assert.ok(available >= 1 && available <= plan.left);
            const count = Math.min(available, entryOf(takes, take % takes.length));
            for (let at = 0; at < count; at++) read.push(plan.address() + at);
            plan.advance(count);
          }
          assert.deepEqual(read, addresses.slice(0, received));
          plan.clear(pool);
          assert.equal(plan.count, 0);
          assert.equal(plan.bytes, 0);
        },
      ),
      200,
    );
  });

  it("sends slots that nobody took home, the first one on top", () => {
    const { plan, pool, slot } = makePlan();
    const slots = [slot(), slot(), slot()];
    for (const each of slots) plan.add(pool.addressOf(each), 100, each, true);
    plan.rewind(150);
    plan.available();
    assert.equal(plan.takeSlotHere(100), slots[0]);
    plan.clear(pool);
    assert.equal(pool.freeCount, 3);
    assert.equal(pool.acquire(SlotHolder.receiving), slots[1]);
    assert.equal(pool.acquire(SlotHolder.receiving), slots[2]);
  });

  it("finds a cursor that leaves what came, and a receive that is read before the last one was", () => {
    const { plan, pool } = makePlan();
    plan.add(0, 100, NO_SLOT, false);
    assert.throws(() => plan.rewind(101), AssertionError);
    assert.throws(() => plan.rewind(-1), AssertionError);
    plan.rewind(60);
    assert.throws(() => plan.cut(50), AssertionError);
    plan.advance(40);
    assert.throws(() => plan.advance(21), AssertionError);
    assert.throws(() => plan.rewind(60), AssertionError);
    plan.advance(20);
    plan.clear(pool);
    plan.checkInvariants();
  });

  it("gives a slot to one block only", () => {
    const { plan, pool, slot } = makePlan();
    const first = slot();
    plan.add(pool.addressOf(first), 100, first, true);
    plan.rewind(100);
    plan.available();
    assert.equal(plan.takeSlotHere(100), first);
    assert.equal(plan.takeSlotHere(100), NO_SLOT);
  });

  it("keeps a slot in which something is still to be read behind the block", () => {
    const { plan, pool, slot } = makePlan();
    const first = slot();
    plan.add(pool.addressOf(first), 100, first, true);
    plan.rewind(100);
    plan.available();
    assert.equal(plan.takeSlotHere(99), NO_SLOT);
    plan.advance(1);
    assert.equal(plan.takeSlotHere(98), NO_SLOT);
    assert.equal(plan.takeSlotHere(99), first);
  });

  it("gives a slot to a short block behind which nothing came", () => {
    const { plan, pool, slot } = makePlan();
    const first = slot();
    plan.add(pool.addressOf(first), 100, first, true);
    plan.rewind(30);
    plan.available();
    assert.equal(plan.takeSlotHere(29), NO_SLOT);
    assert.equal(plan.takeSlotHere(30), first);
  });

  it("knows where the cursor stands at a prediction", () => {
    const { plan } = makePlan();
    plan.add(0, 13, NO_SLOT, false);
    plan.add(5000, 100, NO_SLOT, true);
    plan.rewind(113);
    plan.available();
    assert.equal(plan.atPrediction(13), false);
    plan.advance(13);
    plan.available();
    assert.equal(plan.atPrediction(99), false);
    assert.equal(plan.atPrediction(100), true);
    plan.advance(1);
    assert.equal(plan.atPrediction(100), false);
  });

  it("counts predicted places that bytes reached", () => {
    const { plan } = makePlan();
    for (let block = 0; block < 3; block++) {
      plan.add(0, 13, NO_SLOT, false);
      plan.add(5000, 100, NO_SLOT, true);
    }
    const touched = [0, 13, 14, 113, 126, 127, 339].map((received) => plan.predictionsTouched(received));
    assert.deepEqual(touched, [0, 0, 1, 1, 1, 2, 3]);
  });

  it("knows which places are still to be read", () => {
    const { plan } = makePlan();
    plan.add(7000, 10, NO_SLOT, true);
    plan.add(8000, 10, NO_SLOT, true);
    plan.rewind(20);
    plan.available();
    assert.equal(plan.isUnread(8000), true);
    assert.equal(plan.isUnread(7000), false);
    plan.advance(10);
    plan.available();
    assert.equal(plan.isUnread(8000), false);
  });

  it("holds no more than a system call takes, and no empty entries", () => {
    const { plan } = makePlan();
    assert.throws(() => plan.add(0, 0, NO_SLOT, false), AssertionError);
    for (let entry = 0; entry < PLAN_ENTRIES_MAX; entry++) plan.add(0, 1, NO_SLOT, false);
    assert.throws(() => plan.add(0, 1, NO_SLOT, false), AssertionError);
    assert.throws(() => plan.rewind(PLAN_ENTRIES_MAX + 1), AssertionError);
  });
});
