// Files mapped into the engine's number space: what goes through them, what bounds them, and files that are cut short.

import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { MAPPING_ADDRESS_STRIDE } from "../../src/base/limits.js";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../../src/native/binding.js";
import { entryOf } from "../support/required.js";
import { binding, type Job, TestEngine, temporaryFile } from "./harness.js";

const { errno } = constants;

test("what is written through a mapping is in the file", async (t) => {
  const engine = new TestEngine(t);
  const { fd, path } = temporaryFile(t);
  ftruncateSync(fd, 100_000);
  const base = engine.engine.map(fd, 100_000, true, true);
  assert.equal(base, MAPPING_ADDRESS_STRIDE);
  engine.put(0, "through the mapping");
  engine.engine.copy(0, base + 50_000, 19);
  assert.equal(await engine.run({ kind: JobKind.copy, offset: base, memory: [[8, 3]] }), 3);
  assert.equal(engine.engine.unmap(base), 0);
  const content = readFileSync(path, "latin1");
  assert.equal(content.slice(50_000, 50_019), "through the mapping");
  assert.equal(content.slice(0, 3), "the");
});

test("readv receives straight into a file, writev sends straight from one", async (t) => {
  const engine = new TestEngine(t);
  const { fd, path } = temporaryFile(t);
  writeSync(fd, "................");
  const base = engine.engine.map(fd, 16, true, false);
  const [outgoing, incoming] = await engine.pair();
  engine.put(0, "header+payload");
  assert.equal(engine.writev(outgoing, [0, 14]), 14);
  assert.equal(await engine.receive(incoming, [1000, 7], [base + 2, 7]), 14);
  assert.equal(readFileSync(path, "latin1"), "..payload.......");
  assert.equal(engine.writev(incoming, [1000, 7], [base + 2, 7]), 14);
  assert.equal(await engine.receive(outgoing, [2000, 14]), 14);
  assert.equal(engine.text(2000, 14), "header+payload");
});

test("a place is used again as late as can be after unmap; the others stay where they are", (t) => {
  const { engine } = new TestEngine(t);
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 4096);
  const bases = [0, 1, 2].map(() => engine.map(fd, 4096, true, false));
  assert.deepEqual(
    bases,
    [1, 2, 3].map((index) => index * MAPPING_ADDRESS_STRIDE),
  );
  assert.equal(engine.unmap(entryOf(bases, 1)), 0);
  assert.throws(() => engine.copy(entryOf(bases, 1), 0, 1), RangeError);
  engine.copy(entryOf(bases, 2), 0, 1);
  // Whoever still knows the old address names nothing, and not another file.
  for (let place = 4; place <= 8191; place++) {
    const base = engine.map(fd, 4096, true, false);
    assert.equal(base, place * MAPPING_ADDRESS_STRIDE);
    assert.equal(engine.unmap(base), 0);
    assert.throws(() => engine.copy(entryOf(bases, 1), 0, 1), RangeError);
  }
  // 1 and 3 are taken.
  assert.equal(engine.map(fd, 4096, true, false), bases[1]);
});

test("all engines of a process share a bound, which leaves V8 enough mappings", (t) => {
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 4096);
  const engines = Array.from({ length: 8 }, () => new TestEngine(t).engine);
  let mapped = 0;
  for (const engine of engines) {
    for (;;) {
      const base = engine.map(fd, 4096, false, false);
      if (base < 0) {
        assert.equal(base, -errno.ENOMEM);
        break;
      }
      mapped++;
    }
  }
  assert.equal(mapped, 16_384);
  entryOf(engines, 0).close();
  assert.ok(entryOf(engines, 7).map(fd, 4096, false, false) > 0);
});

test("a mapped file that is cut short is told by numbers, in every job that touches it", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 1 << 20);
  const base = engine.engine.map(fd, 1 << 20, true, false);
  const other = engine.engine.map(fd, 4096, true, false);
  ftruncateSync(fd, 8192);
  assert.equal(engine.engine.isIntact(base), true);
  const far = base + 500_000;
  const handle = engine.engine.openDigest("sha1");
  const argument = DIGEST_START | DIGEST_FINISH;
  const digest: Job = { kind: JobKind.digest, handle, argument, memory: [[far, 100_000]] };
  assert.equal(await engine.run(digest), -errno.EFAULT);
  assert.equal(engine.engine.isIntact(base), false);
  assert.equal(engine.engine.isIntact(base + 5), false);
  assert.equal(engine.engine.isIntact(other), true);
  // What is damaged stays so, wherever it is touched.
  assert.equal(await engine.run({ ...digest, memory: [[base, 100]] }), -errno.EFAULT);
  assert.equal(await engine.run({ ...digest, memory: [[other, 100]] }), 100);
  assert.equal(await engine.run({ kind: JobKind.copy, offset: far, memory: [[0, 10]] }), -errno.EFAULT);
  engine.put(0, "kept");
  engine.engine.copy(0, base, 4);
  assert.equal(await engine.run({ kind: JobKind.read, handle: fd, memory: [[100, 4]] }), 4);
  assert.equal(engine.text(100, 4), "kept");
  assert.equal(engine.engine.unmap(base), 0);
  assert.equal(engine.engine.isIntact(base), false);
});

test("touching one on the loop's thread ends nothing either", (t) => {
  const { engine } = new TestEngine(t);
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 1 << 20);
  const base = engine.map(fd, 1 << 20, true, false);
  ftruncateSync(fd, 0);
  engine.copy(base + 100_000, 0, 5000);
  engine.copy(0, base, 5000);
  assert.equal(engine.isIntact(base), false);
});

for (const [what, expected] of [
  ["unmapped", "SIGBUS"],
  ["mapped", "SIGBUS"],
  ["handled", 5],
] as const) {
  test(`a SIGBUS that is no mapping's goes to whom it went before: ${what}`, async () => {
    const fixture = fileURLToPath(new URL("./bus-error-fixture.js", import.meta.url));
    // A sanitizer would report it, and end the process in a way of its own.
    const asan = [process.env["ASAN_OPTIONS"] ?? [], "handle_sigbus=0"].flat().join(":");
    const env = { ...process.env, ASAN_OPTIONS: asan };
    const child = spawn(process.execPath, [fixture, what], { stdio: "inherit", env });
    const [status, signal] = (await once(child, "close")) as [number | null, string | null];
    assert.equal(signal ?? status, expected);
  });
}

test("what cannot be mapped is an errno", (t) => {
  const { engine } = new TestEngine(t);
  const { fd, path } = temporaryFile(t);
  ftruncateSync(fd, 4096);
  assert.equal(engine.map(-1, 4096, true, false), -errno.EBADF);
  // Longer than the file: touching it there would be a SIGBUS.
  assert.equal(engine.map(fd, 4097, true, false), binding.EINVAL);
  const readOnly = openSync(path, "r");
  assert.equal(engine.map(readOnly, 4096, true, false), -errno.EACCES);
  closeSync(readOnly);
  for (const address of [0, 5, MAPPING_ADDRESS_STRIDE, MAPPING_ADDRESS_STRIDE + 1, 2 ** 53, -1, Number.NaN]) {
    assert.equal(engine.unmap(address), binding.EINVAL);
  }
});

test("a file of more than a mapping's addresses is an errno, one of just as many is mapped", (t) => {
  const { engine } = new TestEngine(t);
  const { fd } = temporaryFile(t);
  // Holes: nothing is stored. Not every file system takes files so long.
  ftruncateSync(fd, MAPPING_ADDRESS_STRIDE + 16_384);
  assert.equal(engine.map(fd, MAPPING_ADDRESS_STRIDE + 1, false, false), -errno.EFBIG);
  const base = engine.map(fd, MAPPING_ADDRESS_STRIDE, false, false);
  assert.ok(base > 0, `map: ${base}`);
  engine.copy(base + MAPPING_ADDRESS_STRIDE - 10, 0, 10);
  assert.equal(engine.unmap(base), 0);
});

test("bounds of a mapping, and read-only ones, are kept", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 8192);
  const base = engine.engine.map(fd, 8000, false, false);
  engine.engine.copy(base, 0, 8000);
  engine.engine.copy(base + 8000, 0, 0);
  assert.throws(() => engine.engine.copy(base, 0, 8001), RangeError);
  assert.throws(() => engine.engine.copy(base + 7999, 0, 2), RangeError);
  assert.throws(() => engine.engine.copy(base - 1, 0, 1), RangeError);
  assert.throws(() => engine.engine.copy(base + MAPPING_ADDRESS_STRIDE, 0, 1), RangeError);
  // Writing there would be a SIGSEGV.
  assert.throws(() => engine.engine.copy(0, base, 1), RangeError);
  assert.throws(() => engine.readv(0, [base, 10]), RangeError);
  const submit = (kind: number) => () =>
    engine.engine.submit(engine.describe({ kind, handle: fd, offset: base, memory: [[base, 1]] }));
  assert.throws(submit(JobKind.copy), RangeError);
  assert.throws(submit(JobKind.read), RangeError);
});

test("a mapping that a job names cannot be taken away", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 4096);
  const base = engine.engine.map(fd, 4096, true, false);
  engine.engine.submit(
    engine.describe({
      kind: JobKind.copy,
      offset: base,
      memory: [
        [base, 10],
        [0, 10],
      ],
    }),
  );
  assert.throws(() => engine.engine.unmap(base), RangeError);
  await engine.until(() => engine.engine.jobsPending === 0);
  assert.equal(engine.engine.unmap(base), 0);
});
