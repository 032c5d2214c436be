// Digests of files that the thread that hashes opens by their paths, against node:crypto. A failure prints its seed; run it again
// with SCATTERWIRE_SEED=….

import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  DIGEST_FINISH,
  DIGEST_OPEN_FILES,
  DIGEST_START,
  JobKind,
  PATHS_OPEN_MAX,
} from "../../src/native/binding.js";
import { bytesOf } from "../support/data.js";
import { makeRandom } from "../support/property.js";
import { entryOf } from "../support/required.js";
import { SIZES, TestEngine, temporaryFolder } from "./harness.js";

const { errno } = constants;
type Pair = [address: number, length: number];

const SEED = Number(process.env["SCATTERWIRE_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const SLAB_BYTES = 1 << 20;
const OUTPUT_AT = SLAB_BYTES - 4096;

/** Lays paths into the slab, each with a zero behind it, from `at` on. */
function laidPaths(engine: TestEngine, at: number, paths: readonly string[]): Pair[] {
  let end = at;
  return paths.map((path): Pair => {
    const bytes = Buffer.from(`${path}\0`);
    engine.engine.slab.set(bytes, end);
    end += bytes.length;
    return [end - bytes.length, bytes.length];
  });
}

for (const most of [1, 2, PATHS_OPEN_MAX]) {
  test(`${most} open at one time: any stretches, and no descriptor is left`, async (t) => {
    const number = makeRandom(SEED + most);
    const random = (below: number): number => Math.floor(number() * below);
    const engine = new TestEngine(t, { slabBytes: SLAB_BYTES, jobWords: 1 << 16 });
    const bytes = bytesOf(1, 400_000);
    const folder = temporaryFolder(t);
    const names = ["a", "ü ☃", "x".repeat(200)].map((name) => join(folder, name));
    for (const name of names) writeFileSync(name, bytes);
    // Holes are not in the page cache before they are read: the next files are opened ahead.
    const holes = Array.from({ length: 30 }, (_, index) => join(folder, `hole-${index}`));
    for (const hole of holes) {
      writeFileSync(hole, "");
      truncateSync(hole, bytes.length);
    }
    names.push(...holes);
    const paths = laidPaths(engine, 0, names);
    const before = openDescriptors();
    const jobs = Array.from({ length: 40 }, (_, tag) => {
      const stretches = Array.from({ length: 1 + random(20) }, () => {
        const at = random(bytes.length);
        const length = random(entryOf([2, 100, 100_000], random(3))) % (bytes.length - at);
        return { file: random(names.length), at, length };
      });
      return { tag, stretches, digest: engine.engine.openDigest("sha1"), output: OUTPUT_AT + 32 * tag };
    });
    engine.engine.submit(
      engine.describe(
        ...jobs.map(({ tag, stretches, digest, output }) => ({
          kind: JobKind.digestPaths,
          tag,
          handle: digest,
          offset: output,
          argument: DIGEST_START | DIGEST_FINISH | (DIGEST_OPEN_FILES * most),
          memory: stretches.flatMap(({ file, at, length }): Pair[] => [entryOf(paths, file), [at, length]]),
        })),
      ),
    );
    await engine.until(() => engine.engine.jobsPending === 0);
    for (const { stretches, output } of jobs) {
      const hash = createHash("sha1");
      for (const { file, at, length } of stretches)
        hash.update(file < 3 ? bytes.subarray(at, at + length) : new Uint8Array(length));
      const found = Buffer.from(engine.engine.slab.subarray(output, output + 20)).toString("hex");
      assert.equal(found, hash.digest("hex"), `seed ${SEED}, ${JSON.stringify(stretches)}`);
    }
    assert.deepEqual(openDescriptors(), before);
  });
}

test("what cannot be read is an error, FIFOs and folders at once, and no descriptor is left", async (t) => {
  const engine = new TestEngine(t);
  const folder = temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  for (const name of ["first", "last"]) writeFileSync(at(name), "1234567890");
  execFileSync("mkfifo", [at("fifo")]);
  const expected = new Map([
    ["first", 30],
    ["missing", -errno.ENOENT],
    ["fifo", -errno.EINVAL],
    [".", -errno.EINVAL],
    ["short", -errno.EIO],
  ]);
  writeFileSync(at("short"), "123");
  const before = openDescriptors();
  const handles = new Map([...expected.keys()].map((name) => [name, engine.engine.openDigest("sha1")]));
  [...handles].forEach(([name, handle], index) => {
    const paths = laidPaths(engine, 4096 * (1 + index), [at("first"), at(name), at("last")]);
    const memory = paths.flatMap((path): Pair[] => [path, [0, 10]]);
    const argument = DIGEST_START | (DIGEST_OPEN_FILES * PATHS_OPEN_MAX);
    engine.engine.submit(
      engine.describe({ kind: JobKind.digestPaths, tag: handle, handle, argument, memory }),
    );
  });
  await engine.until(() => engine.engine.jobsPending === 0);
  const results = new Map<number, number>();
  for (const turn of engine.turns) for (const { tag, result } of turn.completions) results.set(tag, result);
  for (const [name, result] of expected) assert.equal(results.get(handles.get(name) ?? -1), result, name);
  assert.deepEqual(openDescriptors(), before);
});

test("a table with no path, or a bound that cannot be, is refused", (t) => {
  const engine = new TestEngine(t);
  const handle = engine.engine.openDigest("sha1");
  engine.engine.slab.set(Buffer.from("/a\0"), 0);
  engine.engine.slab.set(Buffer.from("/a\0b\0"), 100);
  engine.engine.slab.set(Buffer.from("/abc"), 200);
  const one = DIGEST_START | DIGEST_OPEN_FILES;
  const wrong: [argument: number, memory: Pair[]][] = [
    [one, []],
    [one, [[0, 3]]],
    [
      one,
      [
        [0, 1],
        [0, 1],
      ],
    ],
    [
      one,
      [
        [0, 2],
        [0, 1],
      ],
    ],
    [
      one,
      [
        [100, 5],
        [0, 1],
      ],
    ],
    [
      one,
      [
        [200, 4],
        [0, 1],
      ],
    ],
    [
      one,
      [
        [-1, 3],
        [0, 1],
      ],
    ],
    [
      one,
      [
        [SIZES.slabBytes - 2, 3],
        [0, 1],
      ],
    ],
    [
      one,
      [
        [0, 3],
        [-1, 1],
      ],
    ],
    [
      one,
      [
        [0, 3],
        [0, Number.NaN],
      ],
    ],
    [
      DIGEST_START,
      [
        [0, 3],
        [0, 1],
      ],
    ],
    [
      DIGEST_START | (DIGEST_OPEN_FILES * (PATHS_OPEN_MAX + 1)),
      [
        [0, 3],
        [0, 1],
      ],
    ],
  ];
  for (const [argument, memory] of wrong) {
    const job = { kind: JobKind.digestPaths, handle, argument, memory };
    assert.throws(() => engine.engine.submit(engine.describe(job)), RangeError, JSON.stringify(job));
  }
  assert.equal(engine.engine.jobsPending, 0);
});

/** Where the system tells. */
function openDescriptors(): string[] {
  return existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").sort() : [];
}
