// What the engine counts of its own work, while it is asked to.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../../src/native/binding.js";
import { entryOf } from "../support/required.js";
import { TestEngine, temporaryFile } from "./harness.js";

const [receive, send, copy, digest, write, read] = [0, 1, 2, 3, 4, 5] as const;
const MIB = 1024 * 1024;

test("each kind of work is counted where it belongs, and only while the clocks are on", async (t) => {
  const engine = new TestEngine(t, { slabBytes: 4 * MIB });
  const { costs } = engine.engine;
  const { fd } = temporaryFile(t);
  const [outgoing, incoming] = await engine.pair();
  const hash = engine.engine.openDigest("sha1");
  const memory: [number, number][] = [[0, MIB]];
  const works: [cost: number, work: () => unknown][] = [
    [send, () => engine.writev(outgoing, [0, 1000])],
    [receive, () => engine.readv(incoming, [0, 1000])],
    [copy, () => engine.engine.copy(0, 2 * MIB, MIB)],
    [write, () => engine.run({ kind: JobKind.write, handle: fd, memory })],
    [write, () => engine.run({ kind: JobKind.sync, handle: fd })],
    [read, () => engine.run({ kind: JobKind.read, handle: fd, memory })],
    [copy, () => engine.run({ kind: JobKind.copy, offset: 2 * MIB, memory })],
    [
      digest,
      () =>
        engine.run({
          kind: JobKind.digest,
          handle: hash,
          offset: 2 * MIB,
          argument: DIGEST_START | DIGEST_FINISH,
          memory,
        }),
    ],
  ];
  for (const [, work] of works) await work();
  assert.deepEqual([...costs], [0, 0, 0, 0, 0, 0], "nothing is timed unasked");
  engine.engine.clockCosts(true);
  for (const [cost, work] of works) {
    const before = [...costs];
    await work();
    const spent = [...costs].map((nanos, index) => nanos - entryOf(before, index));
    assert.ok(entryOf(spent, cost) > 0, `work of kind ${cost} costs something: ${spent}`);
    assert.deepEqual(
      spent.map((nanos, index) => (index === cost ? 0 : nanos)),
      [0, 0, 0, 0, 0, 0],
    );
  }
  engine.engine.clockCosts(false);
  const before = [...costs];
  for (const [, work] of works) await work();
  assert.deepEqual([...costs], before);
});
