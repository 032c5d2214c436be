// What leaves for a peer, in which order, and what happens to the memory of it. The last test is the promise: the stream is
// the expected one whatever the socket takes at a time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE, MIB, PIECE_HEADER_BYTES } from "../../../../src/base/limits.js";
import { RateLimit, RateQueue, Throttle } from "../../../../src/base/rate-limit.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
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
