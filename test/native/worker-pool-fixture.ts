// The cases of worker-pool.test.ts: `node worker-pool-fixture.js <case>`, in a process whose libuv has a single thread. Each writes
// one line of JSON.

import { lookup } from "node:dns/promises";
import { stat } from "node:fs/promises";
import {
  DIGEST_FINISH,
  DIGEST_START,
  JobKind,
  loadBinding,
  type NativeEngine,
} from "../../src/native/binding.js";
import { entryOf, required } from "../support/required.js";

const MIB = 1 << 20;

function createEngine(): NativeEngine {
  return loadBinding().createEngine({
    slabBytes: 8 * MIB,
    planEntries: 64,
    readyEntries: 64,
    completionEntries: 4096,
    jobWords: 1 << 16,
  });
}

/** Gives each of `count` digests 4 MiB to hash. */
function hash(engine: NativeEngine, count: number): void {
  let at = 0;
  for (let tag = 0; tag < count; tag++) {
    const handle = engine.openDigest("sha1");
    const flags = DIGEST_START | DIGEST_FINISH;
    const words = [JobKind.digest, tag, handle, 7 * MIB + 32 * tag, flags, 1, 0, 4 * MIB];
    engine.jobs.set(words, at);
    at += words.length;
  }
  engine.submit(at);
}

function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

const cases: Record<string, () => Promise<void>> = {
  /** How much is left to hash when the host's calls are answered. */
  host: async () => {
    const engine = createEngine();
    let told = 0;
    engine.onReady((_, completions) => {
      told += completions;
    });
    const count = 2000;
    hash(engine, count);
    await stat(".");
    await lookup("127.0.0.1");
    say({ count, told });
    await new Promise((resolve) => {
      engine.onReady(() => engine.jobsPending === 0 && resolve(undefined));
    });
    engine.close();
  },
  /** How much of the first engine's is left to hash when the second one's little is done. */
  turns: async () => {
    const [busy, other] = [createEngine(), createEngine()];
    const count = 2000;
    const told = [0, 0];
    const done = new Promise<void>((resolve) => {
      busy.onReady((_, completions) => {
        told[0] = entryOf(told, 0) + completions;
        if (busy.jobsPending === 0) resolve();
      });
    });
    const otherDone = new Promise<number>((resolve) => {
      other.onReady((_, completions) => {
        told[1] = entryOf(told, 1) + completions;
        if (other.jobsPending === 0) resolve(entryOf(told, 0));
      });
    });
    hash(busy, count);
    hash(other, 4);
    say({ count, told: await otherDone });
    await done;
    busy.close();
    other.close();
  },
  /** Engines that come and go, so that the threads end and are made again. */
  again: async () => {
    for (let round = 0; round < 50; round++) {
      const engine = createEngine();
      await new Promise<void>((resolve) => {
        engine.onReady(() => engine.jobsPending === 0 && resolve());
        hash(engine, 20);
      });
      engine.close();
      await new Promise((resolve) => setImmediate(resolve));
    }
    say({ rounds: 50 });
  },
};

const name = entryOf(process.argv, 2);
await required(cases[name], `the case ${name}`)();
