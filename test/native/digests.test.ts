// Every way this machine can compute digests, against node:crypto, on random input. A failure prints its seed; run it again
// with SCATTERWIRE_SEED=….

import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { ftruncateSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../../src/native/binding.js";
import { entryOf } from "../support/required.js";
import { binding, type Cleanup, type Job, SIZES, TestEngine, temporaryFile } from "./harness.js";

const { errno } = constants;
const ALGORITHMS = ["sha1", "sha256"] as const;
type Algorithm = (typeof ALGORITHMS)[number];
type Pair = [address: number, length: number];

const SEED = Number(process.env["SCATTERWIRE_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const MIB = 1 << 20;
const SLAB_BYTES = 8 * MIB;
/** Finished digests are kept behind the data. */
const OUTPUT_AT = SLAB_BYTES - 4096;
const EDGE_LENGTHS = [
  0, 1, 3, 55, 56, 57, 63, 64, 65, 111, 112, 119, 120, 127, 128, 129, 4096, 16_383, 16_384, 16_385,
];

/** mulberry32: small, and the same everywhere. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function fillRandomly(slab: Uint8Array, random: (below: number) => number): void {
  const words = new Uint32Array(slab.buffer, slab.byteOffset, Math.floor(slab.byteLength / 4));
  for (let index = 0; index < words.length; index++) words[index] = random(2 ** 32);
}

/** One digest to be computed: the bytes, cut into jobs, and each of those into pieces of memory. */
class Subject {
  readonly algorithm: Algorithm;
  readonly digest: number;
  readonly output: number;
  readonly jobs: Pair[][] = [];
  jobsDone = 0;
  readonly #engine: TestEngine;

  constructor(engine: TestEngine, algorithm: Algorithm, index: number, length: number, random: Random) {
    this.#engine = engine;
    this.algorithm = algorithm;
    this.digest = engine.engine.openDigest(algorithm);
    this.output = OUTPUT_AT + 32 * index;
    let at = random(OUTPUT_AT - length);
    const cuts = Array.from({ length: random(4) }, () => random(length + 1));
    const jobEnds = [...cuts, length].sort((a, b) => a - b);
    let done = 0;
    for (const end of jobEnds) {
      const job: Pair[] = [];
      while (done < end) {
        const count = Math.min(end - done, entryOf([1 + random(200), 64 * (1 + random(40)), MIB], random(3)));
        job.push([at, count]);
        at += count;
        done += count;
      }
      if (random(3) === 0) job.push([0, 0]);
      this.jobs.push(job);
    }
  }

  /** The next job, or undefined after the last. */
  nextJob(tag: number) {
    const index = this.jobsDone;
    if (index === this.jobs.length) return undefined;
    const last = index === this.jobs.length - 1 ? DIGEST_FINISH : 0;
    return {
      kind: JobKind.digest,
      tag,
      handle: this.digest,
      offset: this.output,
      argument: (index === 0 ? DIGEST_START : 0) | last,
      memory: entryOf(this.jobs, index),
    };
  }

  check(): void {
    const { slab } = this.#engine.engine;
    const hash = createHash(this.algorithm);
    for (const [at, count] of this.jobs.flat()) hash.update(slab.subarray(at, at + count));
    const expected = hash.digest();
    const found = Buffer.from(slab.subarray(this.output, this.output + expected.length));
    const cuts = this.jobs.map((job) => job.map(([, count]) => count).join("+")).join(" | ");
    assert.equal(
      found.toString("hex"),
      expected.toString("hex"),
      `seed ${SEED}, ${this.algorithm} of ${cuts}`,
    );
  }
}

type Random = (below: number) => number;

/** Runs all subjects at the same time, the jobs of each one after the other. */
async function compute(engine: TestEngine, subjects: readonly Subject[]): Promise<void> {
  let left = 0;
  const submit = (indices: readonly number[]) => {
    const jobs = indices.flatMap((index) => entryOf(subjects, index).nextJob(index) ?? []);
    left += jobs.length;
    if (jobs.length > 0) assert.equal(engine.engine.submit(engine.describe(...jobs)), jobs.length);
  };
  engine.onTurn = ({ completions }) => {
    for (const { tag, result } of completions) {
      const subject = entryOf(subjects, tag);
      const bytes = entryOf(subject.jobs, subject.jobsDone++).reduce((sum, [, count]) => sum + count, 0);
      assert.equal(result, bytes, `seed ${SEED}: result of a job`);
      left--;
    }
    submit(completions.map(({ tag }) => tag));
  };
  submit(subjects.map((_, index) => index));
  await engine.until(() => left === 0);
  for (const subject of subjects) {
    subject.check();
    engine.engine.closeDigest(subject.digest);
  }
}

function engineFor(context: Cleanup, digestVariant: string | undefined, random: Random): TestEngine {
  const variant = digestVariant === undefined ? {} : { digestVariant };
  const engine = new TestEngine(context, { slabBytes: SLAB_BYTES, jobWords: 1 << 18, ...variant });
  fillRandomly(engine.engine.slab, random);
  return engine;
}

test("the variants: at least OpenSSL's, and no others are to be had", () => {
  assert.equal(binding.digestVariants.at(-1), "openssl");
  assert.throws(() => binding.createEngine({ ...SIZES, digestVariant: "abacus" }), RangeError);
});

for (const variant of [undefined, ...binding.digestVariants]) {
  for (const algorithm of ALGORITHMS) {
    test(`${algorithm}, ${variant ?? "the cheapest"}: lengths at the edges of blocks`, async (t) => {
      const random = randomNumbers(SEED);
      const engine = engineFor(t, variant, random);
      const all = EDGE_LENGTHS.map((length, index) => new Subject(engine, algorithm, index, length, random));
      await compute(engine, all);
      // One at a time, too: then nothing runs beside it.
      for (const length of EDGE_LENGTHS) {
        await compute(engine, [new Subject(engine, algorithm, 0, length, random)]);
      }
    });
  }

  test(`${variant ?? "the cheapest"}: 1 to 40 digests of both kinds at once, cut anywhere`, async (t) => {
    const random = randomNumbers(SEED + 1);
    const engine = engineFor(t, variant, random);
    for (const count of [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40]) {
      const lengthMax = entryOf([300, 20_000, 200_000], random(3));
      const subjects = Array.from({ length: count }, (_, index) => {
        const algorithm = random(8) === 0 ? "sha256" : "sha1";
        return new Subject(engine, algorithm, index, random(lengthMax), random);
      });
      await compute(engine, subjects);
    }
  });

  test(`${variant ?? "the cheapest"}: several MiB, of very different lengths`, async (t) => {
    const random = randomNumbers(SEED + 2);
    const engine = engineFor(t, variant, random);
    const lengths = [3 * MIB + 5, 100, MIB, 5 * MIB - 64, 0, 64 * 300];
    for (const algorithm of ALGORITHMS) {
      await compute(
        engine,
        lengths.map((length, index) => new Subject(engine, algorithm, index, length, random)),
      );
    }
  });
}

test("a digest that has a job is refused another, and works on", async (t) => {
  const engine = new TestEngine(t);
  const digest = engine.engine.openDigest("sha1");
  const job = { kind: JobKind.digest, handle: digest, memory: [[0, 1000]] as Pair[], offset: 5000 };
  const whole = { ...job, argument: DIGEST_START | DIGEST_FINISH };
  assert.throws(() => engine.engine.submit(engine.describe(whole, job)), /has a job already/);
  assert.equal(engine.engine.jobsPending, 0);
  assert.equal(await engine.run(whole), 1000);
  const found = Buffer.from(engine.engine.slab.subarray(5000, 5020)).toString("hex");
  assert.equal(found, createHash("sha1").update(Buffer.alloc(1000)).digest("hex"));
});

test("a digest that was not started fails alone, among others that run beside it", async (t) => {
  const engine = new TestEngine(t);
  const jobs = Array.from({ length: 20 }, (_, tag) => ({
    kind: JobKind.digest,
    tag,
    handle: engine.engine.openDigest(tag % 2 === 0 ? "sha1" : "sha256"),
    offset: 100_000 + 32 * tag,
    argument: tag === 7 ? DIGEST_FINISH : DIGEST_START | DIGEST_FINISH,
    memory: [[0, 10_000 + tag]] as Pair[],
  }));
  engine.engine.submit(engine.describe(...jobs));
  await engine.until(() => engine.engine.jobsPending === 0);
  const results = new Map<number, number>();
  for (const turn of engine.turns) for (const { tag, result } of turn.completions) results.set(tag, result);
  for (const { tag } of jobs) assert.equal(results.get(tag), tag === 7 ? -errno.EINVAL : 10_000 + tag);
});

test("digests and other jobs do not keep each other from running", async (t) => {
  const engine = new TestEngine(t);
  const digests = Array.from({ length: 300 }, (_, tag) => ({
    kind: JobKind.digest,
    tag,
    handle: engine.engine.openDigest("sha1"),
    argument: DIGEST_START,
    memory: [[0, 500_000]] as Pair[],
  }));
  const other: Job = {
    kind: JobKind.copy,
    tag: 1000,
    offset: 600_000,
    memory: [[0, 100]],
  };
  engine.engine.submit(engine.describe(...digests, other));
  await engine.until(() => engine.engine.jobsPending === 0);
  const order = engine.turns.flatMap((turn) => turn.completions.map(({ tag }) => tag));
  assert.equal(order.length, 301);
  assert.ok(order.indexOf(1000) < 300, "the copy did not wait for all digests");
});

/** A file of `bytes`. */
function fileOf(context: Cleanup, bytes: Uint8Array): number {
  const { fd } = temporaryFile(context);
  writeSync(fd, bytes);
  return fd;
}

for (const variant of [undefined, "openssl"]) {
  test(`of files, ${variant ?? "the cheapest"}: any stretches, longer and shorter than what is read at one time`, async (t) => {
    const random = randomNumbers(SEED + 3);
    const engine = engineFor(t, variant, random);
    const bytes = Buffer.from(engine.engine.slab.subarray(0, 5 * MIB + 333));
    const fds = [fileOf(t, bytes), fileOf(t, bytes)];
    const jobs = Array.from({ length: 40 }, (_, tag) => {
      const stretches = Array.from({ length: 1 + random(4) }, (): Pair => {
        const at = random(bytes.length);
        return [at, random(entryOf([100, 100_000, bytes.length], random(3))) % (bytes.length - at)];
      });
      return { tag, stretches, digest: engine.engine.openDigest("sha1"), output: OUTPUT_AT + 32 * tag };
    });
    engine.engine.submit(
      engine.describe(
        ...jobs.map(({ tag, stretches, digest, output }) => ({
          kind: JobKind.digestFiles,
          tag,
          handle: digest,
          offset: output,
          argument: DIGEST_START | DIGEST_FINISH,
          memory: stretches.flatMap(([at, length]): Pair[] => [
            [entryOf(fds, random(2)), at],
            [length, 0],
          ]),
        })),
        // Digests of memory share the lanes.
        ...jobs.map(({ tag }) => ({
          kind: JobKind.digest,
          tag: 100 + tag,
          handle: engine.engine.openDigest("sha1"),
          argument: DIGEST_START,
          memory: [[0, 100_000 * (tag % 5)]] as Pair[],
        })),
      ),
    );
    await engine.until(() => engine.engine.jobsPending === 0);
    for (const { stretches, output } of jobs) {
      const hash = createHash("sha1");
      for (const [at, length] of stretches) hash.update(bytes.subarray(at, at + length));
      const found = Buffer.from(engine.engine.slab.subarray(output, output + 20)).toString("hex");
      assert.equal(found, hash.digest("hex"), `seed ${SEED}, ${JSON.stringify(stretches)}`);
    }
  });
}

test("of files: one that has become shorter is EIO, a bad descriptor EBADF, and others beside them are right", async (t) => {
  const random = randomNumbers(SEED + 4);
  const engine = engineFor(t, undefined, random);
  const bytes = Buffer.from(engine.engine.slab.subarray(0, 3 * MIB));
  const fd = fileOf(t, bytes);
  ftruncateSync(fd, 2 * MIB + 5000);
  const argument = DIGEST_START | DIGEST_FINISH;
  const job = (tag: number, file: number, at: number, length: number) => {
    const handle = engine.engine.openDigest("sha1");
    const memory: Pair[] = [
      [file, at],
      [length, 0],
    ];
    return { kind: JobKind.digestFiles, tag, handle, offset: OUTPUT_AT + 32 * tag, argument, memory };
  };
  const cut = Array.from({ length: 10 }, (_, index) =>
    job(index, fd, MIB + 99 * index, 2 * MIB - 99 * index),
  );
  const whole = Array.from({ length: 10 }, (_, index) => job(10 + index, fd, 99 * index, 2 * MIB));
  const bad = job(20, -1, 0, 10);
  engine.engine.submit(engine.describe(...cut, ...whole, bad));
  await engine.until(() => engine.engine.jobsPending === 0);
  const results = new Map<number, number>();
  for (const turn of engine.turns) for (const { tag, result } of turn.completions) results.set(tag, result);
  for (const { tag } of cut) assert.equal(results.get(tag), -errno.EIO);
  assert.equal(results.get(bad.tag), -errno.EBADF);
  for (const [index, { tag, offset }] of whole.entries()) {
    assert.equal(results.get(tag), 2 * MIB);
    const found = Buffer.from(engine.engine.slab.subarray(offset, offset + 20)).toString("hex");
    const expected = createHash("sha1").update(bytes.subarray(99 * index, 99 * index + 2 * MIB));
    assert.equal(found, expected.digest("hex"), `seed ${SEED}`);
  }
});

test("of files: a table that names no stretches is refused", (t) => {
  const engine = new TestEngine(t);
  const handle = engine.engine.openDigest("sha1");
  const wrong: Pair[][] = [
    [],
    [[0, 0]],
    [
      [0.5, 0],
      [1, 0],
    ],
    [
      [0, -1],
      [1, 0],
    ],
    [
      [0, 0],
      [-1, 0],
    ],
    [
      [0, Number.MAX_SAFE_INTEGER],
      [1, 0],
    ],
    [
      [0, Number.NaN],
      [1, 0],
    ],
  ];
  for (const memory of wrong) {
    const job = { kind: JobKind.digestFiles, handle, argument: DIGEST_START, memory };
    assert.throws(() => engine.engine.submit(engine.describe(job)), RangeError, JSON.stringify(memory));
  }
  assert.equal(engine.engine.jobsPending, 0);
});
