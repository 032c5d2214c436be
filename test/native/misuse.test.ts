// Misuse of the boundary throws, and does nothing: whatever numbers come, no memory is touched that is not ours.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { JobKind, type NativeEngine } from "../../src/native/binding.js";
import { binding, type Job, SIZES, TestEngine } from "./harness.js";

const STRANGE = [
  -1,
  -0.5,
  1.5,
  2 ** 31,
  2 ** 32,
  2 ** 40,
  2 ** 53,
  1e300,
  -1e300,
  Infinity,
  -Infinity,
  Number.NaN,
];

test("memory outside the slab is a RangeError", (t) => {
  const engine = new TestEngine(t);
  const end = SIZES.slabBytes;
  const bad: [number, number][] = [
    [end, 1],
    [end - 1, 2],
    [0, end + 1],
    [1, end],
    ...STRANGE.map((at): [number, number] => [at, end]),
  ];
  for (const length of STRANGE.filter((value) => value !== 1.5)) bad.push([0, length], [end, length]);
  for (const [address, length] of bad) {
    const label = `${address}, ${length}`;
    assert.throws(() => engine.readv(0, [address, length]), RangeError, label);
    assert.throws(() => engine.writev(0, [0, 1], [address, length]), RangeError, label);
    assert.throws(() => engine.engine.readCached(0, 0, 0, 2), RangeError, label);
    assert.throws(() => engine.engine.copy(address, 0, length), RangeError, label);
    assert.throws(() => engine.engine.copy(0, address, length), RangeError, label);
    for (const kind of [JobKind.write, JobKind.read, JobKind.copy]) {
      assert.throws(
        () => engine.engine.submit(engine.describe({ kind, memory: [[address, length]] })),
        RangeError,
        label,
      );
    }
  }
  assert.equal(engine.engine.jobsPending, 0);
});

test("entries outside the plan, none, or too many are a RangeError", (t) => {
  const { engine } = new TestEngine(t, { planEntries: 10 });
  engine.plan.fill(0);
  for (const [first, count] of [
    [0, 0],
    [0, 11],
    [10, 1],
    [9, 2],
    [-1, 1],
    [0, -1],
    [0, 1025],
    [2 ** 32, 1],
    [0, 2 ** 32 + 1],
    [0.5, 1],
    [Number.NaN, 1],
  ] as const) {
    assert.throws(() => engine.readv(0, first, count), RangeError, `${first}, ${count}`);
    assert.throws(() => engine.writev(0, first, count, false), RangeError, `${first}, ${count}`);
    assert.throws(() => engine.readCached(0, 0, first, count), RangeError, `${first}, ${count}`);
  }
});

test("a plan without room is a RangeError, not the end of the stream", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing] = await engine.pair();
  assert.throws(() => engine.readv(outgoing, [0, 0], [5, 0]), RangeError);
});

test("memory that is fetched ahead stays as it is, and runs that are not in it are passed over", () => {
  for (const words of [1, undefined, new Uint8Array(4), new ArrayBuffer(4)])
    assert.throws(() => binding.prefetch(words as never, new Int32Array(2), 1), TypeError);
  for (const runs of [1, undefined, new Uint32Array(4), new ArrayBuffer(4)])
    assert.throws(() => binding.prefetch(new Uint32Array(2), runs as never, 1), TypeError);
  for (const count of [-1, 2, 0.5, Number.NaN, 2 ** 40])
    assert.throws(
      () => binding.prefetch(new Uint32Array(2), new Int32Array(3), count),
      RangeError,
      `${count}`,
    );
  const [low, high] = [-(2 ** 31), 2 ** 31 - 1];
  for (const memory of [new ArrayBuffer(0), new ArrayBuffer(4000), new SharedArrayBuffer(4000)]) {
    const words = new Uint32Array(memory).fill(7);
    const places = [0, 1, 999, 1000, -1, low, high];
    const runs = Int32Array.from(
      places.flatMap((place) => [1, 0, -1, low, high].flatMap((size) => [place, size])),
    );
    binding.prefetch(words, runs, runs.length / 2);
    binding.prefetch(words.subarray(990), runs, runs.length / 2);
    assert.ok(words.every((word) => word === 7));
  }
});

test("memory is reserved as much as there may be, and no more", () => {
  for (const bytes of STRANGE.filter((value) => value !== 2 ** 31))
    assert.throws(() => binding.reserveMemory(bytes), RangeError, `${bytes}`);
  assert.throws(() => binding.reserveMemory("1" as never), TypeError);
  for (const memory of [1, undefined, new Uint16Array(4), new ArrayBuffer(4)])
    assert.throws(() => binding.preferLargePages(memory as never), TypeError);
  for (const memory of [1, undefined, new Uint16Array(4), new ArrayBuffer(4)])
    assert.throws(() => binding.releasePages(memory as never), TypeError);
  for (const memory of [1, undefined, new Uint16Array(4), new ArrayBuffer(4)])
    assert.throws(() => binding.populatePages(memory as never), TypeError);
  for (const bytes of [0, 1, 5000]) binding.populatePages(new Uint8Array(bytes));
  const released = new Uint32Array(binding.reserveMemory(2 ** 22), 0, 2 ** 20).fill(0);
  binding.releasePages(new Uint8Array(released.buffer));
  assert.ok(released.every((word) => word === 0));
  for (const bytes of [0, 1, 5000, 2 ** 22]) binding.preferLargePages(new Uint8Array(bytes));
  const memory = new Uint8Array(binding.reserveMemory(2 ** 32 - 2 ** 20));
  assert.deepEqual([memory.length >= 2 ** 32 - 2 ** 20, memory[0], memory.at(-1)], [true, 0, 0]);
});

test("arguments of another type are a TypeError", (t) => {
  const { engine } = new TestEngine(t);
  const calls: ((value: never) => unknown)[] = [
    (value) => engine.listen(value, 0, 1),
    (value) => engine.listen("127.0.0.1", value, 1),
    (value) => engine.accept(value),
    (value) => engine.connect(value, 1),
    (value) => engine.socketError(value),
    (value) => engine.localAddress(value),
    (value) => engine.remoteAddress(value),
    (value) => engine.setBufferSizes(value, 0, 0),
    (value) => engine.setNoDelay(0, value),
    (value) => engine.closeSocket(value),
    (value) => engine.readv(value, 0, 1),
    (value) => engine.writev(0, 0, 1, value),
    (value) => engine.sendfile(0, 0, value, 1),
    (value) => engine.readCached(0, value, 0, 1),
    (value) => engine.copy(value, 0, 1),
    (value) => engine.watch(0, value),
    (value) => engine.onReady(value),
    (value) => engine.submit(value),
    (value) => engine.openDigest(value),
    (value) => engine.closeDigest(value),
    (value) => engine.map(0, value, true, true),
    (value) => engine.map(0, 1, value, true),
    (value) => engine.unmap(value),
  ];
  for (const [index, call] of calls.entries()) {
    for (const value of [undefined, null, {}, [], Symbol("no number")]) {
      assert.throws(() => call(value as never), TypeError, `call ${index} with ${typeof value}`);
    }
  }
});

test("numbers out of range are a RangeError", (t) => {
  const { engine } = new TestEngine(t);
  assert.throws(() => engine.listen("127.0.0.1", 65536, 1), RangeError);
  assert.throws(() => engine.connect("127.0.0.1", -1), RangeError);
  assert.throws(() => engine.accept(2 ** 32), RangeError);
  assert.throws(() => engine.watch(0, 4), RangeError);
  assert.throws(() => engine.watch(0, -1), RangeError);
  assert.throws(() => engine.sendfile(0, 0, -1, 1), RangeError);
  assert.throws(() => engine.sendfile(0, 0, 0, 2 ** 60), RangeError);
  assert.throws(() => engine.map(0, 0, true, true), RangeError);
  assert.throws(() => engine.map(0, 2 ** 60, true, true), RangeError);
  assert.throws(() => engine.openDigest("md5" as "sha1"), RangeError);
  assert.throws(() => engine.closeDigest(0), RangeError);
});

test("a malformed table takes no job at all", async (t) => {
  const engine = new TestEngine(t);
  const digest = engine.engine.openDigest("sha1");
  const good: Job = { kind: JobKind.copy, offset: 0, memory: [[100, 10]] };
  const goodDigest: Job = { kind: JobKind.digest, handle: digest, argument: 1, memory: [[0, 10]] };
  const bad: Job[] = [
    { kind: -1 },
    { kind: 6 },
    { kind: 0.5 },
    { kind: Number.NaN },
    { kind: JobKind.write, handle: 2 ** 31 },
    { kind: JobKind.write, offset: -1 },
    { kind: JobKind.write, offset: 2 ** 60 },
    { kind: JobKind.allocate, argument: -1 },
    { kind: JobKind.copy, offset: SIZES.slabBytes - 5, memory: [[0, 10]] },
    { kind: JobKind.digest, handle: 7 },
    { kind: JobKind.digest, handle: digest, argument: 4 },
    { kind: JobKind.digest, handle: digest, argument: 2, offset: SIZES.slabBytes - 19 },
  ];
  for (const job of bad) {
    const words = engine.describe(good, goodDigest, job);
    assert.throws(() => engine.engine.submit(words), RangeError, JSON.stringify(job));
  }
  const words = engine.describe(good, good);
  assert.throws(() => engine.engine.submit(words - 1), RangeError);
  for (const pairs of [-1, 2, 0.5, 1e300, Number.NaN]) {
    engine.describe(good);
    engine.engine.jobs[5] = pairs;
    assert.throws(() => engine.engine.submit(8), RangeError, String(pairs));
  }
  assert.throws(() => engine.engine.submit(engine.engine.jobs.length + 1), RangeError);
  assert.equal(engine.engine.jobsPending, 0);
  // What was refused claimed nothing: the digest is free.
  assert.equal(await engine.run(goodDigest), 10);
  assert.equal(engine.engine.submit(0), 0);
});

test("two jobs of one digest at a time, and closing it meanwhile, are refused", async (t) => {
  const engine = new TestEngine(t);
  const digest = engine.engine.openDigest("sha1");
  const job: Job = { kind: JobKind.digest, handle: digest, argument: 1, memory: [[0, 1 << 19]] };
  assert.throws(() => engine.engine.submit(engine.describe(job, job)), RangeError);
  engine.engine.submit(engine.describe(job));
  assert.throws(() => engine.engine.submit(engine.describe(job)), RangeError);
  assert.throws(() => engine.engine.closeDigest(digest), RangeError);
  await engine.until(() => engine.engine.jobsPending === 0);
  engine.engine.closeDigest(digest);
  assert.throws(() => engine.engine.submit(engine.describe(job)), RangeError);
});

test("sizes that make no engine are refused", () => {
  const make = (sizes: object) => () => binding.createEngine({ ...SIZES, ...sizes });
  for (const name of Object.keys(SIZES)) {
    for (const value of [0, ...STRANGE.filter((value) => value !== 2 ** 31 || name !== "slabBytes")]) {
      assert.throws(make({ [name]: value }), RangeError, `${name}: ${value}`);
    }
    for (const value of [undefined, null, "1", {}]) assert.throws(make({ [name]: value }), TypeError, name);
  }
  assert.throws(make({ slabBytes: 4095 }), RangeError);
  assert.throws(() => binding.createEngine(undefined as never), TypeError);
  const getter = {
    ...SIZES,
    get slabBytes(): number {
      throw new SyntaxError("from the getter");
    },
  };
  assert.throws(() => binding.createEngine(getter), SyntaxError);
});

test("methods on another object are a TypeError", (t) => {
  const { engine } = new TestEngine(t);
  const methods = Object.getPrototypeOf(engine) as NativeEngine;
  assert.throws(() => methods.close.call({} as NativeEngine), TypeError);
  assert.throws(() => methods.readv.call(binding as never, 0, 0, 1), TypeError);
  assert.throws(() => methods.jobsPending, TypeError);
});

test("the engine is not closed while jobs are pending; closed twice is closed; a closed one throws", async (t) => {
  const engine = new TestEngine(t);
  engine.engine.submit(engine.describe({ kind: JobKind.copy, memory: [[0, 10]] }));
  assert.throws(() => engine.engine.close(), /jobs pending/);
  await engine.until(() => engine.engine.jobsPending === 0);
  engine.engine.close();
  engine.engine.close();
  assert.equal(engine.engine.jobsPending, 0);
  for (const use of [
    () => engine.engine.listen("127.0.0.1", 0, 1),
    () => engine.readv(0, [0, 1]),
    () => engine.engine.closeSocket(5),
    () => engine.engine.watch(5, 0),
    () => engine.engine.copy(0, 1, 1),
    () => engine.engine.submit(0),
    () => engine.engine.openDigest("sha1"),
    () => engine.engine.map(0, 1, true, true),
    () => engine.engine.onReady(() => {}),
  ]) {
    assert.throws(use, /closed/);
  }
  // The slab may still be looked at: it reads as zeros.
  assert.equal(engine.engine.slab[0], 0);
});

test("memory that is populated is found by another thread, with what is in it", async () => {
  const bytes = 2 ** 27;
  const memory = new Uint8Array(binding.reserveMemory(bytes), 0, bytes);
  for (let at = 0; at < bytes; at += 2 ** 24) memory[at] = 7;
  const before = process.memoryUsage.rss();
  binding.populatePages(memory);
  const deadlineMs = performance.now() + 120_000;
  let rss = before;
  for (; rss < before + bytes / 2 && performance.now() < deadlineMs; rss = process.memoryUsage.rss()) {
    // Whoever writes meanwhile loses nothing.
    for (let at = 1; at < bytes; at += 2 ** 24) memory[at] = (memory[at] ?? 0) + 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(rss >= before + bytes / 2, `${rss - before} of ${bytes} bytes came`);
  const rounds = memory[1];
  for (let at = 0; at < bytes; at += 2 ** 24)
    assert.deepEqual([memory[at], memory[at + 1], memory[at + 2]], [7, rounds, 0]);
});
