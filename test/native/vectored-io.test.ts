// One system call over many places in memory: receiving and sending by a plan.

import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { constants } from "node:os";
import { test } from "node:test";
import workerThreads from "node:worker_threads";
import { PAGE_SIZE } from "../../src/base/limits.js";
import { JobKind, type NativeBinding, type NativeDatagramBatch, WRITABLE } from "../../src/native/binding.js";
import { binding, SIZES, TestEngine, temporaryFile } from "./harness.js";

const { errno } = constants;

test("readv scatters a stream over many places, in order", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  engine.put(0, "headPAYLOADtail");
  assert.equal(engine.writev(outgoing, [0, 15]), 15);
  assert.equal(await engine.receive(incoming, [5000, 4], [9000, 7], [100, 100]), 15);
  assert.equal(engine.text(5000, 4), "head");
  assert.equal(engine.text(9000, 7), "PAYLOAD");
  assert.equal(engine.text(100, 4), "tail");
});

test("writev gathers from many places, and starts where `first` says", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  engine.put(0, "abc");
  engine.put(70000, "defg");
  engine.plan([0, 0], [0, 1], [70000, 4], [1, 2]);
  assert.equal(engine.engine.writev(outgoing, 2, 2, true), 6);
  assert.equal(engine.engine.writev(outgoing, 1, 1, false), 1);
  assert.equal(await engine.receive(incoming, [200, 7]), 7);
  assert.equal(engine.text(200, 7), "defgbca");
});

test("a plan of 1024 entries is one call", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  const bytes = randomBytes(1024);
  engine.engine.slab.set(bytes, 0);
  assert.equal(engine.writev(outgoing, [0, 1024]), 1024);
  const places = Array.from({ length: 1024 }, (_, index): [number, number] => [500_000 - 16 * index, 1]);
  assert.equal(await engine.receive(incoming, ...places), 1024);
  assert.deepEqual(
    places.map(([address]) => engine.engine.slab[address]),
    [...bytes],
  );
});

test("nothing there is EAGAIN; the end of the stream is 0", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing, incoming] = await engine.pair();
  assert.equal(engine.readv(incoming, [0, 10]), binding.EAGAIN);
  engine.engine.closeSocket(outgoing);
  assert.equal(await engine.receive(incoming, [0, 10]), 0);
});

test("a full socket takes what fits, then is EAGAIN", async (t) => {
  const engine = new TestEngine(t);
  const [outgoing] = await engine.pair();
  let result = 0;
  let calls = 0;
  while (result >= 0 && calls++ < 1000) result = engine.writev(outgoing, [0, 1 << 20]);
  assert.equal(result, binding.EAGAIN);
});

test("sendfile sends a part of a file, and 0 behind its end", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  writeSync(fd, "0123456789");
  const [outgoing, incoming] = await engine.pair();
  await engine.ready(outgoing, WRITABLE);
  assert.equal(engine.engine.sendfile(outgoing, fd, 3, 4), 4);
  assert.equal(engine.engine.sendfile(outgoing, fd, 8, 100), 2);
  assert.equal(engine.engine.sendfile(outgoing, fd, 10, 100), 0);
  assert.equal(engine.engine.sendfile(outgoing, -1, 0, 1), -errno.EBADF);
  assert.equal(await engine.receive(incoming, [0, 100]), 6);
  assert.equal(engine.text(0, 6), "345689");
});

test("readCached answers what was just written, fewer bytes at the end, and errors", async (t) => {
  const engine = new TestEngine(t);
  const { fd } = temporaryFile(t);
  writeSync(fd, "cached bytes");
  engine.plan([0, 3], [100, 20]);
  const bytes = engine.engine.readCached(fd, 2, 0, 2);
  assert.equal(
    engine.engine.readCached(-1, 0, 0, 1),
    bytes === binding.ENOTSUP ? binding.ENOTSUP : -errno.EBADF,
  );
  // A file system or a platform may have no such call.
  if (bytes === binding.ENOTSUP) return;
  assert.equal(bytes, 10);
  assert.equal(engine.text(0, 3), "che");
  assert.equal(engine.text(100, 7), "d bytes");
});

test("copy moves bytes, overlapping ones too", (t) => {
  const engine = new TestEngine(t);
  engine.put(0, "abcdef");
  engine.engine.copy(0, 2, 6);
  assert.equal(engine.text(0, 8), "ababcdef");
  engine.engine.copy(2, 1, 6);
  assert.equal(engine.text(0, 7), "aabcdef");
  engine.engine.copy(0, 1 << 20, 0);
});

test("without external buffers everything works the same", async (t) => {
  const engine = new TestEngine(t, { ordinaryBuffers: true });
  assert.equal(engine.engine.slab.length, 1 << 20);
  assert.ok(engine.engine.slab.buffer.byteLength > 1 << 20);
  const [outgoing, incoming] = await engine.pair();
  engine.put(4096, "ordinary");
  assert.equal(engine.writev(outgoing, [4096, 8]), 8);
  assert.equal(await engine.receive(incoming, [0, 4], [(1 << 20) - 4, 4]), 8);
  assert.equal(engine.text((1 << 20) - 4, 4), "nary");
});

test("memory cannot be transferred away, whoever it belongs to", async (t) => {
  for (const ordinaryBuffers of [false, true]) {
    const engine = new TestEngine(t, { ordinaryBuffers });
    for (const { buffer } of [engine.engine.slab, engine.engine.jobs]) {
      try {
        structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
      } catch (error) {
        // Node 20 copies it instead.
        assert.equal((error as DOMException).name, "DataCloneError");
      }
      assert.notEqual(buffer.byteLength, 0);
    }
    engine.put(0, "still here");
    assert.equal(await engine.run({ kind: JobKind.copy, offset: 100, memory: [[0, 10]] }), 10);
    assert.equal(engine.text(100, 10), "still here");
  }
});

test("only memory that belongs to JavaScript is marked: Node.js marks external memory itself", (t) => {
  const marked: unknown[] = [];
  t.mock.method(workerThreads, "markAsUntransferable", (buffer: unknown) => marked.push(buffer));
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  // The last argument is not in the contract: it is what hosts without external ArrayBuffers get.
  const createBatch = binding.createDatagramBatch as (...options: unknown[]) => NativeDatagramBatch;
  const external = new TestEngine(t).engine;
  const externalBatch = createBatch(4, 64, 4, false);
  assert.deepEqual([external.ordinaryBuffers, externalBatch.ordinaryBuffers, marked], [false, false, []]);
  const ordinary = new TestEngine(t, { ordinaryBuffers: true }).engine;
  const ordinaryBatch = createBatch(4, 64, 4, false, true);
  assert.deepEqual([ordinary.ordinaryBuffers, ordinaryBatch.ordinaryBuffers], [true, true]);
  const buffers = [ordinary.slab.buffer, ordinary.plan.buffer, ordinaryBatch.payload.buffer];
  assert.equal(marked.length, buffers.length);
  for (const [index, buffer] of buffers.entries()) assert.ok(marked[index] === buffer, `${index}`);
});

/** The ways in which a program may give memory away; lines of Node.js differ in what they let it. */
const WAYS_AWAY: Readonly<Record<string, (buffer: ArrayBuffer) => unknown>> = {
  "structuredClone()": (buffer) => structuredClone(buffer, { transfer: [buffer] }),
  // Node.js 22 and later.
  "transfer()": (buffer) => (buffer as { transfer?: () => ArrayBuffer }).transfer?.(),
  "transfer(shorter)": (buffer) =>
    (buffer as { transfer?: (bytes: number) => ArrayBuffer }).transfer?.(PAGE_SIZE),
};

for (const [name, giveAway] of Object.entries(WAYS_AWAY)) {
  test(`memory of JavaScript that was given away by ${name} all the same is refused, not touched`, (t) => {
    const addon =
      process.env["SCATTERWIRE_ADDON"] ??
      new URL("../../../build/Release/scatterwire.node", import.meta.url).pathname;
    const raw = createRequire(import.meta.url)(addon) as NativeBinding;
    const sizes: object = { ...SIZES, ordinaryBuffers: true };
    for (const view of ["slab", "plan"] as const) {
      const engine = raw.createEngine(sizes as Parameters<NativeBinding["createEngine"]>[0]);
      t.after(() => engine.close());
      const buffer = engine[view].buffer as ArrayBuffer;
      const given = giveAway(buffer);
      if (given === undefined) return t.skip(`this Node.js has no ${name}`);
      assert.equal(buffer.byteLength, 0);
      assert.throws(() => engine.readv(0, 0, 1), RangeError);
      assert.throws(() => engine.copy(0, 10, 5), RangeError);
    }
  });

  test(`external memory stays ours, whatever ${name} does with its view`, async (t) => {
    const engine = new TestEngine(t);
    engine.put(0, "still here");
    try {
      giveAway(engine.engine.slab.buffer as ArrayBuffer);
    } catch {
      // Node.js lets nobody.
    }
    engine.engine.copy(0, 100, 10);
    const { fd, path } = temporaryFile(t);
    assert.equal(await engine.run({ kind: JobKind.write, handle: fd, memory: [[100, 10]] }), 10);
    assert.equal(readFileSync(path, "latin1"), "still here");
  });
}
