// What is loaded ahead for a peer, and how it is taken back: by the peer that cancels, by a choke, and because nothing is taken.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PieceIndex } from "../../../../src/base/ids.js";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { BATCH_BLOCKS_MAX, BlockBatch } from "../../../../src/client/send/block-batch.js";
import { SEND_MODES } from "../../../../src/client/send/block-source.js";
import { required } from "../../../support/required.js";
import { readError } from "./fakes.js";
import { type Block, PIECE_LENGTH, run, SenderBench } from "./sender-bench.js";

describe("Sender: blocks that are cancelled", () => {
  for (const mode of SEND_MODES)
    it(`are taken back where they were loaded, the last first, but for one that has begun: ${mode}`, () => {
      const bench = new SenderBench(mode);
      bench.queue(...run(0, 0, 3), ...run(1, 0, 2));
      bench.transport.room = () => 0;
      bench.flush();
      assert.equal(bench.sender.blocksLoaded, 5);
      // Not the last one: it is answered by its block.
      assert.equal(bench.sender.cancelBlock(1, 0), false);
      assert.equal(bench.sender.cancelBlock(1, BLOCK_SIZE), true);
      assert.equal(bench.sender.cancelBlock(1, 0), true);
      assert.equal(bench.sender.cancelBlock(0, 2 * BLOCK_SIZE), true);
      bench.sender.checkInvariants();
      let room = 20;
      bench.transport.room = () => {
        const now = room;
        room = 0;
        return now;
      };
      bench.flush();
      assert.equal(bench.sender.cancelBlock(0, BLOCK_SIZE), true);
      assert.equal(bench.sender.cancelBlock(0, 0), false, "it has begun");
      bench.transport.room = () => MIB;
      bench.flush();
      assert.deepEqual(bench.read().messages, [[0, 0, BLOCK_SIZE]]);
      bench.checkHome();
    });
});

describe("Sender: one who takes slowly", () => {
  it("has little loaded ahead, so that what it cancels does not leave, until it takes all that it asks for", () => {
    const bench = new SenderBench("copy");
    bench.queue(...run(0, 0, 30));
    bench.transport.room = () => 0;
    bench.flush();
    assert.equal(bench.sender.blocksLoaded, 30);
    bench.sender.pace(0);
    bench.sender.pace(10_000);
    bench.transport.room = () => MIB;
    while (bench.sender.blocksLoaded > 0) bench.flush();
    bench.transport.room = () => 0;
    bench.queue(...run(1, 0, 40));
    bench.flush();
    assert.equal(bench.sender.blocksLoaded, 8);
    assert.equal(bench.sender.cancelBlock(1, 8 * BLOCK_SIZE), true);
    bench.transport.room = () => MIB;
    for (let flushes = 0; !bench.sender.idle && flushes < 20; flushes++) bench.flush();
    bench.sender.pace(10_000);
    bench.queue(...run(1, 0, 8));
    while (!bench.sender.idle) bench.flush();
    bench.transport.room = () => 0;
    bench.queue(...run(2, 0, 40));
    bench.flush();
    assert.ok(bench.sender.blocksLoaded > 8, "it left nothing waiting");
    bench.transport.room = () => MIB;
    for (let flushes = 0; !bench.sender.idle && flushes < 20; flushes++) bench.flush();
    bench.checkHome();
  });
});

describe("Sender: requests taken back", () => {
  it("a cancelled block does not leave; one that is loaded or was never asked for cannot be cancelled", () => {
    const bench = new SenderBench("copy");
    bench.storage.cached = () => false;
    bench.queue([0, 0, 100]);
    bench.flush();
    bench.queue([1, 0, 100], [1, 100, 100], [1, 200, 100]);
    assert.equal(bench.sender.cancelBlock(1, 100), true);
    assert.equal(bench.sender.cancelBlock(1, 100), false);
    assert.equal(bench.sender.cancelBlock(0, 0), false);
    assert.equal(bench.sender.cancelBlock(5, 0), false);
    assert.equal(bench.sender.blocksWaiting, 3);
    bench.storage.cached = () => true;
    bench.storage.finishRead();
    bench.flush();
    assert.deepEqual(bench.read().messages, [
      [0, 0, 100],
      [1, 0, 100],
      [1, 200, 100],
    ]);
  });

  for (const mode of SEND_MODES) {
    it(`a choke drops all but the block that has begun, naming each, whatever is loaded (${mode})`, () => {
      for (const begun of [0, 1, 13, 5000]) {
        const bench = new SenderBench(mode);
        const rooms = [begun];
        bench.transport.room = () => rooms.shift() ?? 0;
        const asked: Block[] = [...run(1, 0, 3), [2, 0, BLOCK_SIZE], [3, 0, 100]];
        bench.queue(...asked);
        bench.flush();
        bench.queue([4, 16, 100]);
        const dropped: Block[] = [];
        bench.sender.dropRequested((...block) => dropped.push(block));
        const left = [...asked, [4, 16, 100] as Block].slice(begun === 0 ? 0 : 1);
        assert.deepEqual(
          dropped.sort((a, b) => a[0] - b[0] || a[1] - b[1]),
          left,
        );
        assert.equal(bench.sender.blocksLoaded, begun === 0 ? 0 : 1);
        bench.sender.dropRequested(() => assert.fail("nothing is left to drop"));
        bench.transport.room = () => MIB;
        bench.flush();
        assert.deepEqual(bench.read().messages, asked.slice(0, begun === 0 ? 0 : 1));
        bench.checkHome();
      }
    });
  }

  it("what is being read when a choke comes is dropped, and its memory comes home when the read ends", () => {
    const bench = new SenderBench("copy");
    bench.storage.cached = () => false;
    bench.queue(...run(0, 0, 4));
    bench.flush();
    let dropped = 0;
    bench.sender.dropRequested(() => void dropped++);
    assert.equal(dropped, 4);
    assert.equal(bench.sender.idle, true);
    assert.equal(bench.memory.pool.heldByHolder()["sending"], 4, "the read still writes there");
    bench.storage.finishRead();
    bench.flush();
    assert.deepEqual(bench.read().messages, []);
    bench.checkHome();
  });
});

describe("Sender: a peer that takes nothing", () => {
  it("gives its memory back but for one block, and gets everything once, in order, when it takes again", () => {
    for (const begun of [0, 5, 20_000]) {
      const bench = new SenderBench("copy", 16 * MIB);
      const rooms = [begun];
      bench.transport.room = () => rooms.shift() ?? 0;
      const asked: Block[] = [...run(0, 0, 40), [1, 0, 100], ...run(2, 1, 5)];
      bench.queue(...asked);
      bench.flush();
      assert.equal(bench.sender.blocked, true);
      assert.ok(bench.sender.blocksLoaded > 40);
      bench.sender.giveBack(0);
      bench.sender.giveBack(0);
      assert.equal(bench.memory.pool.heldByHolder()["sending"], 1);
      bench.say(9);
      bench.flush();
      assert.equal(bench.memory.pool.heldByHolder()["sending"], 1, "it loads nothing ahead");
      bench.transport.room = () => MIB;
      while (!bench.sender.idle) assert.equal(bench.flush(), 0);
      assert.equal(bench.sender.blocked, false);
      const blocks = bench.read().messages.filter((each) => each !== "have 9");
      assert.deepEqual(blocks, asked, `${begun} bytes were out`);
      bench.checkHome();
    }
  });

  it("is not alone: however many there are, something is left for the next", () => {
    const bench = new SenderBench("copy", 4 * MIB);
    const { pool } = bench.memory;
    const source = bench.source;
    const held: number[] = [];
    for (let peer = 0; peer < 20; peer++) {
      const owner = { takesFiles: true, blocksLoaded: 0, batchLoaded: () => {} };
      for (;;) {
        const batch = new BlockBatch();
        batch.reset(0 as PieceIndex, 0, 0);
        batch.count = 8;
        batch.bytes = 8 * BLOCK_SIZE;
        batch.lengths.fill(BLOCK_SIZE);
        if (!source.load(batch, bench.storage, owner)) break;
        owner.blocksLoaded += batch.count;
      }
      held.push(owner.blocksLoaded);
    }
    const quarter = pool.slotCount / 4;
    assert.ok(pool.freeCount >= quarter, "receiving keeps its part");
    let free = pool.slotCount - quarter;
    for (const blocks of held.slice(0, 15)) {
      assert.ok(blocks >= 1 && blocks <= Math.ceil(free / 5), `${blocks} of ${free}`);
      free -= blocks;
    }
  });
});

describe("Sender: loading", () => {
  it("adjacent blocks are read together, up to a batch; others apart", () => {
    const bench = new SenderBench("copy");
    bench.storage.cached = () => false;
    bench.queue(...run(0, 0, BATCH_BLOCKS_MAX + 1), [1, 0, 100], [1, 100, 100], [1, 300, 100]);
    bench.flush();
    assert.equal(bench.storage.readsPending, 4);
    while (bench.storage.readsPending > 0) bench.storage.finishRead();
    bench.flush();
    assert.equal(bench.read().messages.length, BATCH_BLOCKS_MAX + 4);
    bench.checkHome();
  });

  it("reads that end out of order leave in the order of the requests", () => {
    const bench = new SenderBench("copy");
    bench.storage.cached = () => false;
    const blocks: Block[] = [0, 1, 2, 3].map((piece) => [piece, 0, 1000]);
    bench.queue(...blocks);
    bench.flush();
    for (const index of [3, 1, 1, 0]) {
      bench.storage.finishRead(index);
      bench.flush();
    }
    assert.deepEqual(bench.read().messages, blocks);
  });

  it("what cannot be read is told, block by block, and what waits behind it leaves", () => {
    const bench = new SenderBench("copy");
    bench.storage.cached = () => false;
    bench.queue(...run(0, 0, 2), [1, 0, 1000]);
    bench.flush();
    bench.storage.finishRead(1);
    bench.flush();
    assert.deepEqual(bench.read().messages, [], "the first one is still being read");
    const asked = bench.transport.flushesAsked;
    bench.storage.finishRead(0, readError());
    assert.deepEqual(bench.unreadable, run(0, 0, 2));
    assert.ok(bench.transport.flushesAsked > asked, "somebody must send what waited behind it");
    bench.flush();
    assert.deepEqual(bench.read().messages, [[1, 0, 1000]]);
    bench.checkHome();
  });

  it("loads ahead no more than its window", () => {
    const bench = new SenderBench("copy", 32 * MIB);
    bench.transport.room = () => 0;
    for (let piece = 0; piece < 6; piece++) bench.queue(...run(piece, 0, 20));
    bench.flush();
    const held = required(bench.memory.pool.heldByHolder()["sending"], "sending");
    assert.ok(held * BLOCK_SIZE >= MIB && held * BLOCK_SIZE < 1.3 * MIB, `${held} slots`);
  });

  it("leaves a quarter of the pool to receiving, waits for slots, and goes on when they come", () => {
    const bench = new SenderBench("copy");
    const { pool } = bench.memory;
    const taken: ReturnType<typeof pool.acquire>[] = [];
    while (pool.freeCount > pool.slotCount / 4) taken.push(pool.acquire(SlotHolder.user));
    bench.queue(...run(0, 0, 3));
    bench.flush();
    bench.flush();
    assert.equal(pool.waiterCount, 1, "it waits once");
    assert.equal(bench.read().messages.length, 0);
    for (const slot of taken) if (slot !== -1) pool.release(slot, SlotHolder.user);
    const asked = bench.transport.flushesAsked;
    pool.wakeWaiters(1);
    assert.equal(bench.transport.flushesAsked, asked + 1);
    bench.flush();
    assert.equal(bench.read().messages.length, 3);
    bench.checkHome();
  });

  it("takes a quarter of a small pool at a time, for a full batch would never fit", () => {
    for (const mode of SEND_MODES) {
      const bench = new SenderBench(mode, MIB);
      bench.storage.whole = () => false;
      const { slotCount } = bench.memory.pool;
      assert.ok(slotCount - BATCH_BLOCKS_MAX < slotCount / 4, `${slotCount} slots are few`);
      const blocks = run(0, 0, BATCH_BLOCKS_MAX);
      bench.queue(...blocks);
      bench.flush();
      assert.deepEqual(bench.read().messages, blocks, mode);
      bench.checkHome();
    }
  });

  it("needs no slots where the file is mapped or sent by the kernel", () => {
    for (const mode of ["mapped", "sendfile"] as const) {
      const bench = new SenderBench(mode);
      const { pool } = bench.memory;
      while (pool.acquire(SlotHolder.user) !== -1);
      bench.queue(...run(0, 0, 5));
      bench.flush();
      assert.equal(bench.read().messages.length, 5, mode);
    }
  });

  it("goes the way of copy where a batch is in no single file", () => {
    for (const mode of ["mapped", "sendfile"] as const) {
      const bench = new SenderBench(mode);
      bench.storage.whole = (offset) => offset < PIECE_LENGTH;
      bench.queue([0, 0, 100], [1, 0, 100], [0, 100, 100]);
      bench.flush();
      assert.deepEqual(bench.read().messages, [
        [0, 0, 100],
        [1, 0, 100],
        [0, 100, 100],
      ]);
      bench.checkHome();
    }
  });
});
