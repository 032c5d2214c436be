// The cases of teardown.test.ts: `node teardown-fixture.js <case>`. Run in a worker, it makes an engine busy and obeys.

import { closeSync, openSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, threadId, Worker, workerData } from "node:worker_threads";
import {
  JobKind,
  loadBinding,
  type NativeEngine,
  READABLE,
  type SocketAddress,
  WRITABLE,
  WRITE_IN_TURN,
} from "../../src/native/binding.js";
import { entryOf, required } from "../support/required.js";

const JOBS = 200;
/** Engines that a program holds: one that nobody does is collected, with its jobs, whenever V8 looks (see "collected"). */
const held: NativeEngine[] = [];

function createEngine(): NativeEngine {
  return loadBinding().createEngine({
    slabBytes: 1 << 20,
    planEntries: 64,
    readyEntries: 64,
    completionEntries: 64,
    jobWords: 8192,
  });
}

function submitJobs(engine: NativeEngine, count = JOBS): void {
  const path = join(tmpdir(), `scatterwire-teardown-${process.pid}-${threadId}`);
  const fd = openSync(path, "w+");
  unlinkSync(path);
  for (let index = 0; index < count; index++) {
    // A megabyte each: enough that many are still queued when the end comes, half of them for their turn.
    const argument = index % 2 === 0 ? WRITE_IN_TURN : 0;
    engine.jobs.set([JobKind.write, index, fd, 0, argument, 1, 0, 1 << 20], 8 * index);
  }
  engine.submit(8 * count);
  process.on("exit", () => closeSync(fd));
}

/** A listener and a connection, watched, with bytes under way: every turn of the loop has something to tell. */
function watchSockets(engine: NativeEngine): void {
  const listener = engine.listen("127.0.0.1", 0, 8);
  const { port } = engine.localAddress(listener) as SocketAddress;
  const outgoing = engine.connect("127.0.0.1", port);
  engine.watch(listener, READABLE);
  engine.watch(outgoing, READABLE | WRITABLE);
}

function makeBusy(callback: () => void = () => {}): NativeEngine {
  const engine = createEngine();
  held.push(engine);
  engine.onReady(callback);
  watchSockets(engine);
  submitJobs(engine);
  // Nobody holds this memory but whoever populates it.
  loadBinding().populatePages(new Uint8Array(loadBinding().reserveMemory(2 ** 25)));
  return engine;
}

/** Runs a worker until it says that it is at work, does `then` to it, and waits for its end. */
async function withWorker(what: string, then: (worker: Worker) => unknown): Promise<void> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: what });
  const ended = new Promise<void>((resolve, reject) => {
    worker.once("exit", () => resolve()).once("error", reject);
  });
  worker.once("message", () => then(worker));
  await ended;
}

async function withWorkers(count: number, what: string, then: (worker: Worker) => unknown): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => withWorker(what, then)));
}

const letRun = () => {};

const inMainThread: Record<string, () => unknown> = {
  idle: () => createEngine().onReady(() => {}),
  unwatched: () => {
    const engine = createEngine();
    const listener = engine.listen("127.0.0.1", 0, 1);
    engine.watch(listener, READABLE);
    engine.watch(listener, 0);
  },
  jobs: () => {
    const engine = createEngine();
    held.push(engine);
    let told = 0;
    engine.onReady((_, completions) => {
      told += completions;
      if (told === 20) process.exitCode = 7;
    });
    submitJobs(engine, 20);
  },
  exit: () => {
    makeBusy();
    setImmediate(() => process.exit(3));
  },
  "exit-in-callback": () => makeBusy(() => process.exit(4)),
  "throw-in-callback": () => {
    process.on("uncaughtException", (error) => process.exit(error.message === "from the callback" ? 5 : 6));
    makeBusy(() => {
      throw new Error("from the callback");
    });
  },
  "uncaught-fatal": () =>
    makeBusy(() => {
      throw new Error("from the callback");
    }),
  collected: async () => {
    const collect = required((globalThis as { gc?: () => void }).gc, "--expose-gc");
    for (let round = 0; round < 20; round++) {
      watchSockets(createEngine());
      submitJobs(createEngine(), 5);
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
  workers: () => withWorkers(4, "short", letRun),
  terminate: () => withWorkers(4, "busy", (worker) => worker.terminate()),
  "terminate-in-callback": () => withWorkers(2, "spin", (worker) => worker.terminate()),
  "terminate-in-call": async () => {
    for (let round = 0; round < 10; round++)
      await withWorkers(2, "call", (worker) => setTimeout(() => worker.terminate(), round));
  },
  "worker-exit": () => withWorkers(4, "exit", letRun),
};

const inWorker: Record<string, () => unknown> = {
  short: () => {
    const engine = createEngine();
    engine.onReady(() => {
      if (engine.jobsPending === 0) engine.close();
    });
    submitJobs(engine, 20);
    required(parentPort, "parent port").postMessage("started");
  },
  busy: () => {
    makeBusy();
    required(parentPort, "parent port").postMessage("started");
  },
  spin: () => {
    makeBusy(() => {
      required(parentPort, "parent port").postMessage("started");
      for (;;) {
        // Until somebody ends it.
      }
    });
  },
  call: () => {
    const engine = createEngine();
    const batch = loadBinding().createDatagramBatch(1, 64, 4, false);
    const socket = engine.bindDatagrams("127.0.0.1", 0, false, 0, 0);
    required(parentPort, "parent port").postMessage("started");
    // Calls without a loop between them: many are made after the end was asked for, and before JavaScript stops.
    const call = (): void => {
      batch.receive(socket, 1);
      engine.watch(socket, 0);
    };
    for (;;) for (const each of [call, call, call, call]) each();
  },
  exit: () => {
    let turns = 0;
    makeBusy(() => {
      required(parentPort, "parent port").postMessage("started");
      if (++turns === 2) process.exit(0);
    });
  },
};

const [cases, name] = isMainThread
  ? [inMainThread, entryOf(process.argv, 2)]
  : [inWorker, workerData as string];
await required(cases[name], `the case ${name}`)();
