// Work on other threads: files written and read, digests, and how each of them fails.

import { strict as assert } from "node:assert";
import { createHash, randomBytes } from "node:crypto";
import { fstatSync, ftruncateSync, readFileSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { DIGEST_FINISH, DIGEST_START, JobKind, WRITE_IN_TURN } from "../../src/native/binding.js";
import { entryOf } from "../support/required.js";
import { TestEngine, temporaryFile } from "./harness.js";

const { errno } = constants;

test("write gathers to a place in a file, read scatters it back", async (t) => {
  const engine = new TestEngine(t);
  const { fd, path } = temporaryFile(t);
  engine.put(0, "abc");
  engine.put(4096, "defg");
  const memory: [number, number][] = [
    [4096, 4],
    [0, 3],
  ];
  assert.equal(await engine.run({ kind: JobKind.write, handle: fd, offset: 5, memory }), 7);
  assert.deepEqual(readFileSync(path), Buffer.from("\0\0\0\0\0defgabc", "latin1"));
  const places: [number, number][] = [
    [100, 2],
    [200, 0],
    [300, 5],
  ];
  assert.equal(await engine.run({ kind: JobKind.read, handle: fd, offset: 5, memory: places }), 7);
  assert.equal(engine.text(100, 2) + engine.text(300, 5), "defgabc");
});

test("writes in turn, of files that share a lock and files that do not", async (t) => {
  const engine = new TestEngine(t);
  const files = Array.from({ length: 20 }, () => temporaryFile(t));
  const bytes = randomBytes(8000);
  engine.engine.slab.set(bytes, 0);
  const writes = files.flatMap(({ fd }) =>
    Array.from({ length: 8 }, (_, part) =>
      engine.run({
        kind: JobKind.write,
        handle: fd,
        offset: 1000 * part,
        argument: WRITE_IN_TURN,
        memory: [[1000 * part, 1000]],
      }),
    ),
  );
  assert.deepEqual(
    await Promise.all(writes),
    writes.map(() => 1000),
  );
  for (const { path } of files) assert.deepEqual(readFileSync(path), bytes);
  // A write that fails lets the next have its turn.
  const closed = {
    kind: JobKind.write,
    handle: -1,
    argument: WRITE_IN_TURN,
    memory: [[0, 10]] as [number, number][],
  };
  const results = await Promise.all([engine.run(closed), engine.run(closed)]);
  for (const result of results) assert.ok(result < 0);
});

test("a read answers fewer bytes at the end of the file, and 0 behind it", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  writeSync(fd, "0123456789");
  assert.equal(
    await engine.run({
      kind: JobKind.read,
      handle: fd,
      offset: 7,
      memory: [
        [0, 2],
        [10, 50],
      ],
    }),
    3,
  );
  assert.equal(await engine.run({ kind: JobKind.read, handle: fd, offset: 70, memory: [[0, 2]] }), 0);
});

test("a job of more places than one system call takes", async (t) => {
  const engine = new TestEngine(t);
  const { fd, path } = temporaryFile(t);
  const bytes = randomBytes(5000);
  engine.engine.slab.set(bytes, 0);
  const memory = Array.from({ length: 2500 }, (_, index): [number, number] => [2 * index, 2]);
  assert.equal(await engine.run({ kind: JobKind.write, handle: fd, memory }), 5000);
  assert.deepEqual(readFileSync(path), bytes);
  const places = memory.map(([address]): [number, number] => [500_000 + 3 * address, 2]);
  assert.equal(await engine.run({ kind: JobKind.read, handle: fd, memory: places }), 5000);
  assert.deepEqual(Buffer.concat(places.map(([at]) => engine.engine.slab.slice(at, at + 2))), bytes);
});

for (const algorithm of ["sha1", "sha256"] as const) {
  test(`${algorithm} over scattered memory, in several jobs, is what node:crypto says`, async (t) => {
    const engine = new TestEngine(t);
    const bytes = randomBytes(100_000);
    engine.engine.slab.set(bytes, 0);
    const digest = engine.engine.openDigest(algorithm);
    for (let round = 0; round < 2; round++) {
      const feed = (argument: number, memory: [number, number][], offset = 0) =>
        engine.run({ kind: JobKind.digest, handle: digest, offset, argument, memory });
      assert.equal(
        await feed(DIGEST_START, [
          [0, 10],
          [10, 49_990],
        ]),
        50_000,
      );
      assert.equal(await feed(0, []), 0);
      assert.equal(await feed(DIGEST_FINISH, [[50_000, 50_000]], 200_000), 50_000);
      const expected = createHash(algorithm).update(bytes).digest("hex");
      const size = expected.length / 2;
      assert.equal(
        Buffer.from(engine.engine.slab.subarray(200_000, 200_000 + size)).toString("hex"),
        expected,
      );
    }
    engine.engine.closeDigest(digest);
  });
}

test("a digest that was not started, or is finished, is EINVAL", async (t) => {
  const engine = new TestEngine(t);
  const digest = engine.engine.openDigest("sha1");
  const job = { kind: JobKind.digest, handle: digest, memory: [[0, 100]] as [number, number][] };
  assert.equal(await engine.run(job), -errno.EINVAL);
  assert.equal(await engine.run({ ...job, argument: DIGEST_FINISH }), -errno.EINVAL);
  assert.equal(await engine.run({ ...job, argument: DIGEST_START | DIGEST_FINISH }), 100);
  assert.equal(await engine.run(job), -errno.EINVAL);
});

test("allocate makes a file longer, sync succeeds", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  const result = await engine.run({ kind: JobKind.allocate, handle: fd, offset: 0, argument: 65_536 });
  // Not every file system can.
  if (result !== -errno.EOPNOTSUPP) {
    assert.equal(result, 0);
    assert.equal(fstatSync(fd).size, 65_536);
  }
  assert.equal(await engine.run({ kind: JobKind.sync, handle: fd }), 0);
});

test("copy puts places one after the other", async (t) => {
  const engine = new TestEngine(t);
  engine.put(10, "world");
  engine.put(500, "hello ");
  assert.equal(
    await engine.run({
      kind: JobKind.copy,
      offset: 9000,
      memory: [
        [500, 6],
        [10, 5],
      ],
    }),
    11,
  );
  assert.equal(engine.text(9000, 11), "hello world");
});

test("a bad descriptor is EBADF for every kind that uses one", async (t) => {
  const engine = new TestEngine(t);
  for (const kind of [JobKind.write, JobKind.read, JobKind.allocate, JobKind.sync]) {
    const result = await engine.run({ kind, handle: -1, argument: 1, memory: [[0, 10]] });
    assert.equal(result, -errno.EBADF, `kind ${kind}`);
  }
});

test("many jobs: each is answered once, and the list is never overrun", async (t) => {
  const engine = new TestEngine(t, { completionEntries: 7 });
  const { fd, path } = temporaryFile(t);
  ftruncateSync(fd, 500 * 16);
  const jobs = Array.from({ length: 500 }, (_, tag) => {
    engine.engine.slab.fill(tag % 251, tag * 16, tag * 16 + 16);
    return {
      kind: JobKind.write,
      tag,
      handle: fd,
      offset: tag * 16,
      memory: [[tag * 16, 16]] as [number, number][],
    };
  });
  assert.equal(engine.engine.submit(engine.describe(...jobs)), 500);
  assert.equal(engine.engine.jobsPending, 500);
  await engine.until(() => engine.engine.jobsPending === 0);
  const completions = engine.turns.flatMap((turn) => turn.completions);
  assert.ok(engine.turns.every((turn) => turn.completions.length <= 7));
  assert.deepEqual(
    completions.map(({ tag }) => tag).sort((a, b) => a - b),
    jobs.map(({ tag }) => tag),
  );
  assert.ok(completions.every(({ result }) => result === 16));
  assert.deepEqual(readFileSync(path), Buffer.from(engine.engine.slab.subarray(0, 8000)));
});

test("a write that the system refuses half-way is a failure", {
  skip: process.platform !== "linux",
}, async (t) => {
  const engine = new TestEngine(t);
  const { openSync, closeSync } = await import("node:fs");
  const full = openSync("/dev/full", "w");
  assert.equal(await engine.run({ kind: JobKind.write, handle: full, memory: [[0, 4096]] }), -errno.ENOSPC);
  closeSync(full);
});

test("jobs that end before anybody asked are told as soon as somebody does", async (t) => {
  const engine = new TestEngine(t);
  const told: number[] = [];
  const { engine: native } = engine;
  native.submit(engine.describe({ kind: JobKind.copy, tag: 42, offset: 0, memory: [[100, 5]] }));
  native.onReady((_, count) => {
    for (let at = 0; at < count; at++) told.push(entryOf(native.completions, 2 * at));
  });
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, [42]);
});
