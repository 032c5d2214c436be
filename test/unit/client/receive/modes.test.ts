// What the modes plan: how many bytes, where, and what they say about themselves. That all of them see the same
// messages is test/differential.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../../../../src/base/assert.js";
import type { PieceIndex, SlotIndex } from "../../../../src/base/ids.js";
import {
  BLOCK_SIZE,
  MAPPING_ADDRESS_STRIDE,
  MESSAGE_BYTES_MAX,
  MIB,
  PLAN_ENTRIES_MAX,
  RECEIVE_BUFFER_BYTES,
} from "../../../../src/base/limits.js";
import { makeCounters } from "../../../../src/base/metrics/counters.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { AdaptiveMode } from "../../../../src/client/receive/adaptive.js";
import { ContiguousMode } from "../../../../src/client/receive/contiguous.js";
import { ExpectedBlocks } from "../../../../src/client/receive/expected-blocks.js";
import { makeReceiveMode } from "../../../../src/client/receive/make-mode.js";
import type { ReceiveMode } from "../../../../src/client/receive/receive-mode.js";
import { RECEIVE_MODES } from "../../../../src/client/receive/receive-mode.js";
import { ReceivePlan } from "../../../../src/client/receive/receive-plan.js";
import { Receiver } from "../../../../src/client/receive/receiver.js";
import { ScatterMode } from "../../../../src/client/receive/scatter.js";
import { SpeculativeMode } from "../../../../src/client/receive/speculative.js";
import { entryOf } from "../../../support/required.js";

interface Bench {
  receiver: Receiver;
  memory: Memory;
  plan: ReceivePlan;
  expected: ExpectedBlocks;
  /** Lengths of the entries of the next plan, and gives the plan back. */
  planned(): number[];
  /** Plans, receives `bytes` and commits. */
  receive(bytes: Uint8Array): void;
  withhold(free: number): void;
}

function bench(mode: ReceiveMode, lands = false): Bench {
  const slab = new Uint8Array(4 * MIB);
  const memory = new Memory(slab, { copy: () => {} });
  const plan = new ReceivePlan(new Float64Array(2 * PLAN_ENTRIES_MAX));
  const expected = new ExpectedBlocks();
  const receiver = new Receiver({
    memory,
    plan,
    expected,
    counters: makeCounters(),
    mode,
    handshake: false,
    host: {
      handshakeStarted() {},
      handshakeReceived() {},
      keepAliveReceived() {},
      messageReceived() {},
      messageBytesMax: () => MESSAGE_BYTES_MAX,
      messageSkipped() {},
      messageEvicted() {},
      blockStarted(piece, begin) {
        expected.removeAt(expected.find(piece, begin));
        return true;
      },
      landsDirectly: lands,
      landingAddress: (piece) => (lands ? MAPPING_ADDRESS_STRIDE + piece * BLOCK_SIZE : -1),
      blockReceived(_piece, _begin, _length, _address, slot) {
        if (slot !== -1) memory.pool.release(slot as SlotIndex, SlotHolder.receiving);
      },
      blockDropped() {},
    },
  });
  const entryLengths = (): number[] =>
    Array.from({ length: plan.count }, (_, entry) => entryOf(plan.entries, 2 * entry + 1));
  return {
    receiver,
    memory,
    plan,
    expected,
    planned() {
      receiver.plan();
      const lengths = entryLengths();
      receiver.commit(0);
      return lengths;
    },
    receive(bytes) {
      let at = 0;
      while (at < bytes.length) {
        assert.ok(receiver.plan() > 0);
        const count = Math.min(receiver.plannedBytes, bytes.length - at);
        const end = at + count;
        for (let entry = 0; at < end; entry++) {
          const part = bytes.subarray(at, Math.min(end, at + entryOf(plan.entries, 2 * entry + 1)));
          if (entryOf(plan.entries, 2 * entry) < slab.length)
            slab.set(part, entryOf(plan.entries, 2 * entry));
          at += part.length;
        }
        receiver.commit(count);
      }
    },
    withhold(free) {
      while (memory.pool.freeCount > free) memory.pool.acquire(SlotHolder.user);
    },
  };
}

function expectBlocks(expected: ExpectedBlocks, count: number, first = 0, length = BLOCK_SIZE): void {
  for (let piece = first; piece < first + count; piece++) expected.push(piece as PieceIndex, 0, length, 0);
}

function blockMessage(piece: number, length = BLOCK_SIZE): Uint8Array {
  const bytes = Buffer.alloc(13 + length);
  bytes.writeUInt32BE(9 + length, 0);
  bytes[4] = 7;
  bytes.writeUInt32BE(piece, 5);
  return bytes;
}

const HAVE = Uint8Array.of(0, 0, 0, 5, 4, 0, 0, 0, 9);
const EXTENDED_HEADER = Uint8Array.of(0, 0, 3, 233, 20, 1);

describe("ContiguousMode", () => {
  it("fills one buffer", () => {
    const { planned, plan, memory, receiver } = bench(new ContiguousMode());
    assert.deepEqual(planned(), [RECEIVE_BUFFER_BYTES]);
    receiver.plan();
    assert.equal(plan.entries[0], memory.bufferAddress);
  });

  it("receives no more blocks than there are free slots, and nothing when there is none", () => {
    const { planned, expected, withhold } = bench(new ContiguousMode());
    withhold(3);
    assert.deepEqual(planned(), [RECEIVE_BUFFER_BYTES], "no block is expected, so none can come");
    expectBlocks(expected, 10);
    assert.deepEqual(planned(), [3 * (13 + BLOCK_SIZE)]);
    withhold(0);
    assert.deepEqual(planned(), []);
  });

  it("finishes a block that has its slot although no other is free", () => {
    const { planned, expected, withhold, receive } = bench(new ContiguousMode());
    expectBlocks(expected, 10);
    withhold(1);
    receive(blockMessage(0).subarray(0, 1013));
    assert.deepEqual(planned(), [BLOCK_SIZE - 1000]);
  });
});

describe("ScatterMode", () => {
  it("takes five bytes, then header and payload", () => {
    const { planned, expected, receive, plan, receiver, memory } = bench(new ScatterMode());
    expectBlocks(expected, 4);
    assert.deepEqual(planned(), [5]);
    receive(blockMessage(0, 16000).subarray(0, 5));
    assert.deepEqual(planned(), [8, 16000]);
    receive(blockMessage(0, 16000).subarray(5, 1005));
    assert.deepEqual(planned(), [16000 - 992]);
    receiver.plan();
    assert.ok(entryOf(plan.entries, 0) > memory.sendScratchAddress, "straight into a slot");
  });

  it("takes what is missing of another message, and nothing behind it", () => {
    const { planned, receive } = bench(new ScatterMode());
    receive(HAVE.subarray(0, 5));
    assert.deepEqual(planned(), [4]);
    receive(HAVE.subarray(5));
    receive(EXTENDED_HEADER.subarray(0, 5));
    assert.deepEqual(planned(), [1], "which extension it is of decides whether it is gathered");
    receive(EXTENDED_HEADER.subarray(5));
    assert.deepEqual(planned(), [999]);
  });

  it("waits when a block comes and no slot is free", () => {
    const { planned, expected, receive, withhold } = bench(new ScatterMode());
    expectBlocks(expected, 4);
    withhold(0);
    receive(blockMessage(0).subarray(0, 5));
    assert.deepEqual(planned(), []);
  });

  it("receives contiguously while no block is expected, if asked to", () => {
    const mode = new ScatterMode(true);
    const { planned, expected } = bench(mode);
    assert.deepEqual(planned(), [RECEIVE_BUFFER_BYTES]);
    assert.equal(mode.now, "contiguous");
    expectBlocks(expected, 1);
    assert.deepEqual(planned(), [5]);
    assert.equal(mode.now, "scatter");
    assert.equal(mode.name, "scatter");
  });
});

describe("SpeculativeMode", () => {
  it("plans a header and a slot for each expected block, up to its depth", () => {
    const { planned, expected, memory } = bench(new SpeculativeMode(3));
    expectBlocks(expected, 2, 0, 1234);
    assert.deepEqual(planned(), [13, 1234, 13, 1234]);
    expectBlocks(expected, 8, 2);
    assert.deepEqual(planned(), [13, 1234, 13, 1234, 13, BLOCK_SIZE]);
    assert.equal(memory.pool.freeCount, memory.pool.slotCount, "what nothing came to lie in goes home");
  });

  it("plans 16 blocks, and its depth where so many are likely to have come", () => {
    const { planned, expected, receiver } = bench(new SpeculativeMode(20));
    expectBlocks(expected, 24);
    assert.equal(planned().length, 2 * 16);
    receiver.blocksAtOnce = 64;
    assert.equal(planned().length, 2 * 20);
    receiver.blocksAtOnce = 16;
    assert.equal(planned().length, 2 * 16);
  });

  it("plans the rest of a block and of a header first", () => {
    const { planned, expected, receive } = bench(new SpeculativeMode(2));
    expectBlocks(expected, 5);
    receive(blockMessage(0).subarray(0, 13 + 384));
    assert.deepEqual(planned(), [16000, 13, BLOCK_SIZE, 13, BLOCK_SIZE]);
    receive(blockMessage(0).subarray(13 + 384));
    receive(blockMessage(1).subarray(0, 6));
    assert.deepEqual(planned(), [7, BLOCK_SIZE, 13, BLOCK_SIZE]);
    receive(blockMessage(1).subarray(6, 13));
    assert.deepEqual(planned(), [BLOCK_SIZE, 13, BLOCK_SIZE, 13, BLOCK_SIZE]);
  });

  it("plans blocks behind another message that was cut", () => {
    const { planned, expected, receive } = bench(new SpeculativeMode(1));
    expectBlocks(expected, 5);
    receive(HAVE.subarray(0, 7));
    assert.deepEqual(planned(), [2, 13, BLOCK_SIZE]);
    receive(HAVE.subarray(7));
    receive(EXTENDED_HEADER);
    assert.deepEqual(planned(), [999, 13, BLOCK_SIZE]);
  });

  it("predicts nothing behind a message that does not fit the buffer", () => {
    const { planned, expected, receive } = bench(new SpeculativeMode(1));
    expectBlocks(expected, 5);
    receive(Uint8Array.of(0, 8, 0, 1, 20, 1));
    assert.deepEqual(planned(), [RECEIVE_BUFFER_BYTES]);
  });

  it("leaves two slots for blocks that a wrong guess leaves without one, and takes the last when there are no more", () => {
    const { planned, expected, withhold } = bench(new SpeculativeMode(16));
    expectBlocks(expected, 20);
    withhold(5);
    assert.equal(planned().length, 6);
    withhold(2);
    assert.equal(planned().length, 4);
    withhold(1);
    assert.equal(planned().length, 2);
    withhold(0);
    assert.equal(planned().length, 0);
  });

  it("plans places in a mapped file where blocks have one", () => {
    const { plan, expected, receiver, memory } = bench(new SpeculativeMode(2), true);
    expectBlocks(expected, 2, 7);
    receiver.plan();
    assert.equal(plan.entries[2], MAPPING_ADDRESS_STRIDE + 7 * BLOCK_SIZE);
    assert.equal(plan.entries[6], MAPPING_ADDRESS_STRIDE + 8 * BLOCK_SIZE);
    assert.equal(memory.pool.freeCount, memory.pool.slotCount);
  });

  it("receives contiguously while no block is expected, and says so", () => {
    const mode = new SpeculativeMode(4);
    const { planned, expected } = bench(mode);
    assert.deepEqual(planned(), [RECEIVE_BUFFER_BYTES]);
    assert.deepEqual([mode.now, mode.reason], ["contiguous", "no block is expected"]);
    expectBlocks(expected, 1);
    planned();
    assert.deepEqual([mode.now, mode.reason], ["speculative", "chosen"]);
  });

  it("has a depth that fits", () => {
    assert.throws(() => new SpeculativeMode(0), AssertionError);
    assert.throws(() => new SpeculativeMode(251), AssertionError);
  });
});

describe("AdaptiveMode", () => {
  /** Receives `count` times as long as guesses pause. */
  function pauseOf(mode: AdaptiveMode, planned: () => number[]): number {
    let pause = 0;
    for (planned(); mode.now === "contiguous"; planned()) pause++;
    return pause;
  }

  it("is contiguous while nothing is expected and speculative while blocks are", () => {
    const mode = new AdaptiveMode(2);
    const { planned, expected, receive } = bench(mode);
    assert.deepEqual(planned(), [RECEIVE_BUFFER_BYTES]);
    assert.deepEqual([mode.now, mode.reason], ["contiguous", "no block is expected"]);
    expectBlocks(expected, 1);
    assert.deepEqual(planned(), [13, BLOCK_SIZE]);
    assert.deepEqual([mode.now, mode.reason], ["speculative", "blocks are expected and predictions hold"]);
    receive(blockMessage(0).subarray(0, 500));
    assert.deepEqual(planned(), [BLOCK_SIZE - 487], "the last block is received in place too");
    assert.equal(mode.now, "speculative");
    receive(blockMessage(0).subarray(500));
    planned();
    assert.equal(mode.now, "contiguous");
    assert.equal(mode.name, "adaptive");
  });

  it("pauses when more than half of 32 guesses failed, twice as long each time, and starts small once they hold", () => {
    const mode = new AdaptiveMode(8);
    const { planned, expected } = bench(mode);
    expectBlocks(expected, 8);
    mode.committed(16, 16);
    planned();
    assert.equal(mode.now, "speculative", "half of them held");
    mode.committed(15, 16);
    planned();
    assert.equal(mode.now, "speculative", "too few to judge");
    mode.committed(0, 1);
    planned();
    assert.deepEqual([mode.now, mode.reason], ["contiguous", "predictions kept failing"]);
    assert.equal(pauseOf(mode, planned), 15, "16 receives, one of which was made above");
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      mode.committed(0, 32);
      pauses.push(pauseOf(mode, planned));
    }
    assert.deepEqual(pauses, [32, 64, 128, 256, 512, 1024, 1024, 1024]);
    mode.committed(32, 0);
    mode.committed(0, 32);
    assert.equal(pauseOf(mode, planned), 16);
  });

  it("does not count receives without an expected block, or without a slot, towards the pause", () => {
    const mode = new AdaptiveMode(8);
    const { planned, expected, withhold, memory } = bench(mode);
    expectBlocks(expected, 8);
    mode.committed(0, 32);
    expected.clear();
    for (let call = 0; call < 100; call++) planned();
    expectBlocks(expected, 8);
    const held = memory.pool.acquire(SlotHolder.user) as SlotIndex;
    withhold(0);
    for (let call = 0; call < 100; call++) assert.deepEqual(planned(), []);
    memory.pool.release(held, SlotHolder.user);
    assert.equal(pauseOf(mode, planned), 16);
  });
});

describe("changing the mode", () => {
  for (const name of RECEIVE_MODES) {
    it(`from ${name} takes effect at the next message boundary, and is not received past`, () => {
      const make = () => makeReceiveMode({ name, depth: 4, contiguousWhenIdle: false });
      const next = new ContiguousMode();
      const { receiver, expected, receive, planned } = bench(make());
      expectBlocks(expected, 9);
      receive(blockMessage(0).subarray(0, 1013));
      receiver.setMode(next);
      assert.deepEqual(planned(), [BLOCK_SIZE - 1000]);
      assert.notEqual(receiver.mode, next);
      assert.equal(receiver.modeChangePending, true);
      receive(blockMessage(0).subarray(1013));
      planned();
      assert.equal(receiver.mode, next);
      assert.equal(receiver.modeChangePending, false);

      receiver.setMode(make());
      planned();
      assert.equal(receiver.mode.name, name, "at once between two messages");
      receive(HAVE.subarray(0, 4));
      receiver.setMode(next);
      assert.deepEqual(planned(), [1]);
      receive(HAVE.subarray(4, 5));
      assert.deepEqual(planned(), [4]);
      receive(HAVE.subarray(5));
      planned();
      assert.equal(receiver.mode, next);
    });
  }
});

describe("makeReceiveMode", () => {
  it("makes each mode under its name", () => {
    for (const name of RECEIVE_MODES)
      assert.equal(makeReceiveMode({ name, depth: 16, contiguousWhenIdle: false }).name, name);
  });

  it("passes depth and contiguousWhenIdle on", () => {
    const deep = makeReceiveMode({ name: "speculative", depth: 7, contiguousWhenIdle: false });
    assert.ok(deep instanceof SpeculativeMode && deep.depth === 7);
    const mode = makeReceiveMode({ name: "scatter", depth: 7, contiguousWhenIdle: true });
    bench(mode).planned();
    assert.equal(mode.now, "contiguous");
  });
});
