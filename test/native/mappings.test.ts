import { strict as assert } from "node:assert";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { MAPPING_ADDRESS_STRIDE } from "../../src/base/limits.js";
import { JobKind } from "../../src/native/binding.js";
import { binding, TestEngine, temporaryFile } from "./harness.js";

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

test("a place is used again after unmap; the others stay where they are", (t) => {
  const { engine } = new TestEngine(t);
  const { fd } = temporaryFile(t);
  ftruncateSync(fd, 4096);
  const bases = [0, 1, 2].map(() => engine.map(fd, 4096, true, false));
  assert.deepEqual(
    bases,
    [1, 2, 3].map((index) => index * MAPPING_ADDRESS_STRIDE),
  );
  assert.equal(engine.unmap(bases[1]!), 0);
  assert.throws(() => engine.copy(bases[1]!, 0, 1), RangeError);
  engine.copy(bases[2]!, 0, 1);
  assert.equal(engine.map(fd, 4096, true, false), bases[1]);
});

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
