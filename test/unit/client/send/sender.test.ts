// What leaves for a peer, in which order, and what happens to the memory of it. The last test is the promise: the stream is
// the expected one whatever the socket takes at a time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE, MIB, PIECE_HEADER_BYTES } from "../../../../src/base/limits.js";
import { RateLimit, RateQueue, Throttle } from "../../../../src/base/rate-limit.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { BATCH_BLOCKS_MAX, BlockBatch } from "../../../../src/client/send/block-batch.js";
import { SEND_MODES } from "../../../../src/client/send/block-source.js";
import { check } from "../../../support/property.js";
import { VirtualGround } from "../../../support/virtual-ground.js";
import { readError } from "./fakes.js";
import { type Block, PIECE_LENGTH, run, SenderBench } from "./sender-bench.js";

describe("Sender: order", () => {
  it("small messages go before blocks that have not begun, and blocks as they were asked for", () => {
    const bench = new SenderBench("copy");
    bench.queue([1, 0, BLOCK_SIZE], [0, 100, 50]);
    bench.say(1);
    bench.say(2);
    assert.equal(bench.flush(), 0);
    assert.deepEqual(bench.read(), {
      messages: ["have 1", "have 2", [1, 0, BLOCK_SIZE], [0, 100, 50]],
      rest: Buffer.alloc(0),
    });
    assert.equal(bench.sender.idle, true);
    bench.checkHome();
  });

  it("a block that has begun is finished first", () => {
    for (const mode of SEND_MODES) {
      for (const begun of [1, 12, 13, 14, 5000]) {
        const bench = new SenderBench(mode);
        bench.queue([1, 0, BLOCK_SIZE], [2, 0, BLOCK_SIZE]);
        let room = begun;
        bench.transport.room = () => {
          const now = room;
          room = 0;
          return now;
        };
        // The header of a block that comes from a file leaves in a call of its own.
        bench.flush();
        bench.say(7);
        bench.transport.room = () => MIB;
        bench.flush();
        const expected = [[1, 0, BLOCK_SIZE], "have 7", [2, 0, BLOCK_SIZE]];
        assert.deepEqual(bench.read().messages, expected, `${mode}, ${begun} bytes`);
        bench.checkHome();
      }
    }
  });

  it("one call takes the small messages and many blocks", () => {
    const bench = new SenderBench("mapped");
    bench.say(1);
    bench.queue(...run(0, 0, 20), ...run(1, 0, 12));
    bench.flush();
    assert.equal(bench.counters.blocksSent, 32);
    assert.equal(bench.counters.sendCalls, 1);
    assert.equal(bench.counters.sentPayloadBytes, 32 * BLOCK_SIZE);
    assert.equal(bench.counters.sentBytes, 9 + 32 * (PIECE_HEADER_BYTES + BLOCK_SIZE));
  });

  it("sendfile takes two calls for each block, and says that more comes", () => {
    const bench = new SenderBench("sendfile");
    bench.queue(...run(0, 0, 3));
    bench.flush();
    assert.equal(bench.counters.sendCalls, 6);
    assert.equal(bench.read().messages.length, 3);
  });

  it("what is encrypted passes through memory, whatever the mode", () => {
    const bench = new SenderBench("sendfile");
    Object.assign(bench.transport, { isEncrypted: true });
    bench.transport.sendfile = () => assert.fail("a file is sent beside the cipher");
    bench.queue(...run(0, 0, 3));
    for (let flushes = 0; !bench.sender.idle && flushes < 5; flushes++) bench.flush();
    assert.equal(bench.read().messages.length, 3);
    bench.checkHome();
  });

  it("many small messages leave in several calls, whole", () => {
    const bench = new SenderBench("copy");
    for (let number = 0; number < 20_000; number++) bench.say(number);
    bench.queue([0, 0, 100]);
    bench.flush();
    const { messages } = bench.read();
    assert.equal(messages.length, 20_001);
    assert.equal(messages[19_999], "have 19999");
  });
});

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

describe("Sender: a limit", () => {
  const RATE = 10_000;
  const whole = BLOCK_SIZE + PIECE_HEADER_BYTES;

  /** A sender that may send RATE bytes in a second, and what has left in all. */
  function limited(mode: "copy" | "sendfile"): { bench: SenderBench; ground: VirtualGround; left(): number } {
    const ground = new VirtualGround();
    const limit = new RateLimit();
    limit.set(RATE, 0);
    const bench = new SenderBench(mode);
    const throttle = new Throttle(new RateQueue(ground), bench.sender);
    throttle.setLimits([limit]);
    bench.sender.setThrottle(throttle);
    const flush = bench.sender.mayPass.bind(bench.sender);
    bench.sender.mayPass = () => {
      flush();
      bench.flush();
    };
    return { bench, ground, left: () => bench.counters.sentBytes };
  }

  for (const mode of ["copy", "sendfile"] as const)
    it(`holds blocks back, whatever they are sent from, and asks for no socket meanwhile: ${mode}`, () => {
      const { bench, ground, left } = limited(mode);
      bench.queue(...run(0, 0, 8));
      bench.flush();
      assert.equal(left(), 0);
      for (let second = 1; second <= 12; second++) {
        ground.pass(1000);
        assert.ok(left() <= second * RATE && left() >= 0.9 * second * RATE, `${left()} in ${second} s`);
        assert.equal(bench.transport.writableWanted, false);
      }
      assert.ok(bench.sender.isHeld);
      ground.pass(2000);
      assert.equal(bench.read().messages.length, 8);
      bench.checkHome();
    });

  for (const mode of ["copy", "sendfile"] as const)
    it(`lets messages go at once: a block that has begun is finished for them, and paid for later: ${mode}`, () => {
      const { bench, ground, left } = limited(mode);
      bench.queue([0, 0, BLOCK_SIZE], [1, 0, BLOCK_SIZE]);
      bench.say(1);
      bench.flush();
      assert.deepEqual(bench.read().messages, ["have 1"]);
      ground.pass(500);
      assert.ok(left() > 9 && left() < whole, "a block has begun");
      bench.say(2);
      bench.flush();
      assert.equal(left(), whole + 18);
      assert.deepEqual(bench.read().messages, ["have 1", [0, 0, BLOCK_SIZE], "have 2"]);
      ground.pass(1100);
      assert.equal(left(), whole + 18, "what went on credit is paid for first");
      ground.pass(10_000);
      assert.equal(left(), 2 * whole + 18);
      bench.checkHome();
    });
});

describe("Sender: a socket that takes little", () => {
  it("asks to be told when it takes more, and not any more when all is out", () => {
    const bench = new SenderBench("copy");
    bench.queue([0, 0, BLOCK_SIZE]);
    bench.transport.room = () => 0;
    assert.equal(bench.flush(), 0);
    assert.equal(bench.transport.writableWanted, true);
    assert.equal(bench.counters.sendWouldBlocks, 1);
    bench.transport.room = () => MIB;
    assert.equal(bench.flush(), 0);
    assert.equal(bench.transport.writableWanted, false);
    assert.equal(bench.read().messages.length, 1);
  });

  it("a broken one is told to the caller", () => {
    const bench = new SenderBench("copy");
    bench.queue([0, 0, BLOCK_SIZE]);
    bench.transport.room = () => -32;
    assert.equal(bench.flush(), -32);
    bench.sender.close();
    bench.checkHome();
  });

  it("a file that has become shorter cannot go on in the middle of a block", () => {
    const bench = new SenderBench("sendfile");
    bench.queue([0, 0, BLOCK_SIZE]);
    bench.transport.room = () => PIECE_HEADER_BYTES;
    bench.transport.sendfile = () => 0;
    assert.ok(bench.flush() < 0);
  });

  it("one flush writes a bounded amount, and asks for another", () => {
    const bench = new SenderBench("mapped");
    for (let piece = 0; piece < 6; piece++) bench.queue(...run(piece, 0, 20));
    bench.flush();
    assert.ok(bench.counters.sentBytes < 1.6 * MIB, `${bench.counters.sentBytes} bytes at once`);
    assert.equal(bench.transport.writableWanted, true);
    for (let flushes = 0; !bench.sender.idle; flushes++) {
      assert.ok(flushes < 5);
      bench.flush();
    }
    assert.equal(bench.read().messages.length, 120);
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
        batch.reset(0, 0, 0);
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
    const held = bench.memory.pool.heldByHolder()["sending"]!;
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
    for (const slot of taken) if (slot !== -1) pool.release(slot);
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

describe("Sender: its end", () => {
  it("a read under way keeps its memory until it ends, and is not sent", () => {
    for (const error of [undefined, readError()]) {
      const bench = new SenderBench("copy");
      bench.storage.cached = () => false;
      bench.queue(...run(0, 0, 4), [1, 0, 100]);
      bench.flush();
      bench.sender.close();
      assert.deepEqual(bench.memory.pool.heldByHolder(), { sending: 5 });
      while (bench.storage.readsPending > 0) bench.storage.finishRead(0, error);
      assert.deepEqual(bench.unreadable, [], "nobody is there to be told");
      assert.equal(bench.flush(), 0);
      assert.equal(bench.read().messages.length, 0);
      bench.checkHome();
    }
  });

  it("nothing waits for slots afterwards", () => {
    const bench = new SenderBench("copy");
    const { pool } = bench.memory;
    const slots: ReturnType<typeof pool.acquire>[] = [];
    while (pool.freeCount > 0) slots.push(pool.acquire(SlotHolder.user));
    bench.queue(...run(0, 0, 3));
    bench.flush();
    assert.equal(pool.waiterCount, 1);
    bench.sender.close();
    assert.equal(pool.waiterCount, 0);
  });
});

describe("Sender: the stream", () => {
  it("is the same wherever the socket stops taking: at every byte of two blocks", () => {
    for (const mode of SEND_MODES) {
      const blocks: Block[] = [
        [0, 0, 40],
        [1, 7, 25],
      ];
      const total = 2 * PIECE_HEADER_BYTES + 65 + 9;
      for (let cut = 1; cut <= total; cut++) {
        const bench = new SenderBench(mode);
        bench.say(1);
        bench.queue(...blocks);
        let left = cut;
        let blocked = false;
        bench.transport.room = () => {
          if (left === 0 && !blocked) {
            blocked = true;
            return 0;
          }
          const now = left === 0 ? MIB : left;
          left = 0;
          return now;
        };
        for (let flushes = 0; !bench.sender.idle && flushes < 10; flushes++) bench.flush();
        assert.deepEqual(bench.read().messages, ["have 1", ...blocks], `${mode}, cut at ${cut}`);
        bench.checkHome();
      }
    }
  });

  const block = fc
    .tuple(fc.nat(5), fc.nat(19), fc.constantFrom(BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE, 100, 1))
    .map(([piece, index, length]): Block => [piece, index * BLOCK_SIZE, length]);
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("queue" as const),
        blocks: fc.array(block, { maxLength: 8 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("run" as const), from: fc.nat(5), count: fc.nat(20) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("say" as const) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("flush" as const),
        rooms: fc.array(fc.constantFrom(0, 1, 12, 13, 14, 17_000, 200_000), { maxLength: 6 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("read" as const), which: fc.nat(5), fails: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("stall" as const) }) },
  );

  it("whatever is asked, cancelled, dropped and unreadable: the stream is the messages and blocks that are left, once, in order", () => {
    check(
      fc.property(
        fc.constantFrom(...SEND_MODES),
        fc.array(step, { maxLength: 60, size: "max" }),
        fc.func(fc.boolean()),
        fc.func(fc.boolean()),
        (mode, steps, isCached, isWhole) => {
          const bench = new SenderBench(mode, 2 * MIB);
          bench.storage.cached = isCached;
          bench.storage.whole = (offset) => isWhole(Math.floor(offset / PIECE_LENGTH));
          let said = 0;
          const wanted: Block[] = [];
          const forget = (gone: Block): void => {
            const at = wanted.findLastIndex(
              (each) => each[0] === gone[0] && each[1] === gone[1] && each[2] === gone[2],
            );
            assert.ok(at >= 0);
            wanted.splice(at, 1);
          };
          const ask = (...blocks: Block[]): void => {
            // One block twice at a time would make it ambiguous which of the two was taken back.
            for (const each of blocks) {
              if (wanted.some((other) => other[0] === each[0] && other[1] === each[1])) continue;
              wanted.push(each);
              bench.queue(each);
            }
          };
          for (const each of steps) {
            if (each.kind === "queue") ask(...each.blocks);
            else if (each.kind === "run") ask(...run(each.from, 0, each.count));
            else if (each.kind === "say") bench.say(said++);
            else if (each.kind === "drop") bench.sender.dropRequested((...gone) => forget(gone));
            else if (each.kind === "stall") bench.sender.giveBack(0);
            else if (each.kind === "cancel") {
              const one = wanted[each.which % Math.max(1, wanted.length)];
              if (one !== undefined && bench.sender.cancelBlock(one[0], one[1])) forget(one);
            } else if (each.kind === "read") {
              if (bench.storage.readsPending === 0) continue;
              const before = bench.unreadable.length;
              const index = each.which % bench.storage.readsPending;
              bench.storage.finishRead(index, each.fails ? readError() : undefined);
              for (const gone of bench.unreadable.slice(before)) forget(gone);
            } else {
              const rooms = [...each.rooms];
              bench.transport.room = () => rooms.shift() ?? 0;
              assert.equal(bench.flush(), 0);
            }
            bench.sender.checkInvariants();
          }
          bench.transport.room = () => MIB;
          for (let rounds = 0; !bench.sender.idle; rounds++) {
            assert.ok(rounds < 500, "everything leaves in the end");
            while (bench.storage.readsPending > 0) bench.storage.finishRead();
            bench.memory.pool.wakeWaiters(1);
            assert.equal(bench.flush(), 0);
          }
          // What was taken back while it was read is nobody's, and its memory comes home all the same.
          while (bench.storage.readsPending > 0) bench.storage.finishRead();
          const { messages, rest } = bench.read();
          assert.equal(rest.length, 0);
          assert.deepEqual(
            messages.filter((each) => typeof each === "string"),
            Array.from({ length: said }, (_, number) => `have ${number}`),
          );
          const blocks = messages.filter((each) => typeof each !== "string");
          assert.deepEqual(blocks, wanted);
          assert.deepEqual(bench.sent, wanted);
          assert.equal(bench.counters.blocksSent, wanted.length);
          assert.equal(bench.sender.blocksWaiting, 0);
          bench.checkHome();
        },
      ),
      300,
    );
  });
});
