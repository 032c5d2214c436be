// From how many waiting bytes on a pump has its stream tell of them: no bytes wait for more that nobody was asked for.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE, KIB, MIB, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import type { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import type { ByteStream } from "../../../../src/client/stream/byte-stream.js";
import { StreamPump } from "../../../../src/client/stream/stream-pump.js";
import { READABLE } from "../../../../src/native/binding.js";
import { EAGAIN, MemoryNetwork } from "../../../support/memory-network.js";

describe("StreamPump: from how many bytes on a stream is told of", () => {
  /** A peer of a high rate as far as the pump goes, whose receiver takes a megabyte at a time. */
  function begin(): {
    pump: StreamPump;
    outstanding(blocks: number): void;
    bring(...calls: number[]): void;
    mark(): number;
  } {
    const slab = new Uint8Array(MIB);
    const memory = new Memory(slab);
    const network = new MemoryNetwork({ slab, plan: new Float64Array(2 * PLAN_ENTRIES_MAX) });
    let [mark, blocks] = [1, 0];
    const answers: number[] = [];
    const stream: ByteStream = {
      open: () => 0,
      established: () => 0,
      fill: () => answers.shift() ?? EAGAIN,
      drain: () => EAGAIN,
      drainFile: () => EAGAIN,
      watch: () => {},
      setLowWater: (bytes) => {
        mark = bytes;
      },
      boundUnsent: () => {},
      unacknowledgedBytes: () => 0,
      close: () => {},
    };
    const pump = new StreamPump({ turns: network, memory, stream, connecting: false, eagain: EAGAIN });
    const peer = {
      receiver: {
        messages: 0,
        isInBlock: true,
        mayBringBlocks: true,
        plannedBytes: MIB,
        plan: () => 1,
        cutPlan: () => 1,
        commit: (bytes: number) => {
          blocks -= Math.floor(bytes / BLOCK_SIZE);
        },
      },
      counters: { receiveCalls: 0, receiveWouldBlocks: 0, blocksReceived: 0 },
      pipeline: { isHighRate: true, isNear: true },
      expected: {
        get count() {
          return blocks;
        },
      },
      isClogged: false,
      received: () => {},
      drained: () => {},
      flush: () => 0,
    };
    pump.start(peer as unknown as PeerConnection);
    return {
      pump,
      outstanding: (count) => {
        blocks = count;
      },
      bring: (...calls) => {
        network.load.begin(1);
        answers.push(...calls);
        pump.socketReady(READABLE);
      },
      mark: () => mark,
    };
  }

  it("is never more than is outstanding, where what was there was just what was asked for", () => {
    const { bring, outstanding, mark } = begin();
    outstanding(512);
    // Little is read at a time until a block came.
    bring(BLOCK_SIZE, MIB / 2);
    assert.ok(mark() > 64 * KIB, `${mark()} bytes are worth a wake-up`);
    outstanding(64 + 3);
    bring(MIB);
    assert.ok(mark() <= 3 * BLOCK_SIZE, `three blocks are left, and ${mark()} bytes are waited for`);
  });

  it("is not what was outstanding before most of it was taken back", () => {
    const { pump, bring, outstanding, mark } = begin();
    outstanding(512);
    bring(BLOCK_SIZE, MIB / 2);
    assert.ok(mark() > 64 * KIB);
    outstanding(2);
    // Cancels were written.
    pump.turnEnded();
    assert.ok(mark() <= 2 * BLOCK_SIZE, `two blocks are left, and ${mark()} bytes are waited for`);
  });
});
