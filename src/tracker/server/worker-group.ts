// The worker threads of a tracker: each has a UDP socket for every address, on ports that they share, and answers for all torrents.
//
//   main thread   binds the sockets, keeps them, shares swarms, tells the time, adds up what was counted
//   thread 1 … N  read from their sockets and answer
//
// Always: a socket outlives its thread, so that what arrives while another one takes its place waits, and is answered. A thread that
// ends unasked is replaced, and what it had taken is given back, whatever it was doing.

import { once } from "node:events";
import type { Worker } from "node:worker_threads";
import { entryOf } from "../../base/assert.js";
import { UsageError } from "../../base/errors.js";
import { startThread } from "../../base/thread.js";
import type { SocketAddress } from "../../native/binding.js";
import { type SharableSocket, SystemDatagrams } from "../../native/datagrams.js";
import { Reactor } from "../../native/reactor.js";
import type { PartedSwarms, PartedSwarmsMemory } from "../peer-store/parted-swarms.js";
import type { ListTables } from "./admission.js";
import { CONNECTION_KEY_WORDS } from "./connection-ids.js";
import type { ListChange, PartGuardMemory } from "./part-guard.js";
import { bindUdp, randomWords, SLAB_BYTES, type TrackerOptions } from "./tracker.js";
import {
  addCounters,
  makeWorkerCounters,
  publishCounters,
  readCounters,
  WORKER_COUNTERS_BYTES,
  type WorkerCounters,
} from "./worker-counters.js";

/** Beside its script, in a bundle too. */
const SCRIPT = new URL("./worker-thread.js", import.meta.url);
/** A thread that ends again and again is replaced after twice as long each time, up to this. */
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 2000;
/** Who served so long has shown that it can. */
const SERVED_MS = 1000;
/** Entries that were changed one by one, until whole lists are told again. */
const CHANGES_MAX = 10_000;
/** How long a thread may take to stop. */
const STOP_MS = 2000;

/** What threads are told of the options: the numbers. */
const THREAD_OPTIONS = [
  "intervalSeconds",
  "peersDefault",
  "peersMax",
  "connectionKey",
  "connectionSlots",
  "receiveBufferBytes",
] as const satisfies readonly (keyof TrackerOptions)[];
type ThreadOptions = Pick<TrackerOptions, (typeof THREAD_OPTIONS)[number]>;

/** What a thread is started with. */
export interface WorkerTask {
  /** From 1. */
  readonly thread: number;
  readonly memory: PartedSwarmsMemory;
  readonly guard: PartGuardMemory;
  readonly lists: ListTables;
  /** Of these lists, in their order. */
  readonly changes: readonly ListChange[];
  readonly descriptors: readonly number[];
  readonly counters: SharedArrayBuffer;
  readonly options: ThreadOptions;
}

/** What a thread is told later. */
export interface WorkerOrders {
  readonly lists?: ListTables;
  readonly change?: ListChange;
  readonly stop?: boolean;
}

interface Member {
  readonly task: WorkerTask;
  worker: Worker | undefined;
  startedMs: number;
  pauseMs: number;
  timer: NodeJS.Timeout | undefined;
}

export interface WorkerGroupOptions {
  readonly workers: number;
  readonly tracker: TrackerOptions;
  readonly memory: PartedSwarmsMemory;
  readonly guard: PartGuardMemory;
  /** The main thread's view of the swarms, which is the keeper's. */
  readonly swarms: PartedSwarms;
  readonly lists: ListTables;
  readonly onWarning: (message: string) => void;
}

export class WorkerGroup {
  readonly udpAddresses: SocketAddress[] = [];
  /** Threads that ended unasked, and were replaced. */
  restarts = 0;
  readonly #options: WorkerGroupOptions;
  readonly #reactor = new Reactor(SLAB_BYTES);
  readonly #sockets: SharableSocket[] = [];
  readonly #members: Member[] = [];
  readonly #past = makeWorkerCounters();
  #lists: ListTables;
  /** What became of them since, for threads that begin later. */
  #changes: ListChange[] = [];
  #closing = false;

  /** Binds all sockets. Throws UsageError LISTEN_FAILED. */
  constructor(options: WorkerGroupOptions) {
    this.#options = options;
    this.#lists = options.lists;
    try {
      this.#bind();
    } catch (error) {
      this.#reactor.close();
      throw error;
    }
  }

  /** Resolves when all threads serve. */
  async start(): Promise<void> {
    await Promise.all(this.#members.map((member) => this.#serving(member)));
  }

  get count(): number {
    return this.#members.length;
  }

  /** Other lists, which each thread takes between two turns of its loop. */
  replaceLists(lists: ListTables): void {
    this.#lists = lists;
    this.#changes = [];
    for (const { worker } of this.#members) worker?.postMessage({ lists } satisfies WorkerOrders);
  }

  /**
   * One entry more or less: a copy of a long list for each of many would be gigabytes, since memory that threads share is given back late.
   * False: there were so many that whole lists are to be told.
   */
  changeList(change: ListChange): boolean {
    if (this.#changes.length >= CHANGES_MAX) return false;
    this.#changes.push(change);
    for (const { worker } of this.#members) worker?.postMessage({ change } satisfies WorkerOrders);
    return true;
  }

  /** What all threads have counted, up to a tenth of a second ago. */
  counters(): WorkerCounters {
    const sum = makeWorkerCounters();
    addCounters(sum, this.#past);
    for (const { task } of this.#members) addCounters(sum, readCounters(task.counters));
    return sum;
  }

  /** Ends a thread in the middle of whatever it does; another one takes its place. False: there is none at this time. `index` from 0. */
  kill(index: number): boolean {
    const worker = this.#members[index]?.worker;
    // Its end is heard of as any other's.
    worker?.terminate().catch(() => undefined);
    return worker !== undefined;
  }

  /** Resolves when all threads have answered what they were at, and ended. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await Promise.all(
      this.#members.map(async ({ worker, timer }) => {
        clearTimeout(timer);
        if (worker === undefined) return;
        const ended = once(worker, "exit");
        worker.postMessage({ stop: true } satisfies WorkerOrders);
        const deadline = setTimeout(() => worker.terminate(), STOP_MS);
        await ended;
        clearTimeout(deadline);
      }),
    );
    for (const socket of this.#sockets) socket.close();
    this.#reactor.close();
  }

  /** For each address a socket for each thread: the first one finds the port. */
  #bind(): void {
    const { workers, tracker, memory, guard } = this.#options;
    const datagrams = new SystemDatagrams(this.#reactor);
    const descriptors: number[][] = Array.from({ length: workers }, () => []);
    for (const { host, port } of tracker.udp) {
      let chosen = port;
      for (let index = 0; index < workers; index++) {
        const socket = bindUdp(datagrams, { host, port: chosen }, { ...tracker, reusePort: true });
        this.#sockets.push(socket);
        entryOf(descriptors, index).push(socket.descriptor);
        if (index === 0) this.udpAddresses.push(socket.address);
        chosen = socket.address.port;
      }
    }
    const options = { ...sendable(tracker), connectionKey: randomWords(CONNECTION_KEY_WORDS) };
    if (tracker.connectionKey !== undefined) options.connectionKey = tracker.connectionKey;
    for (let index = 0; index < workers; index++) {
      const counters = new SharedArrayBuffer(WORKER_COUNTERS_BYTES);
      const task = { thread: 1 + index, memory, guard, lists: {}, changes: [], counters, options };
      this.#members.push({
        task: { ...task, descriptors: entryOf(descriptors, index) },
        worker: undefined,
        startedMs: 0,
        pauseMs: PAUSE_MS_MIN,
        timer: undefined,
      });
    }
  }

  /** Resolves when the thread serves; rejects if it ends before. */
  #serving(member: Member): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = startThread(SCRIPT, {
        ...member.task,
        lists: this.#lists,
        changes: this.#changes,
      });
      member.worker = worker;
      member.startedMs = performance.now();
      let reason = "it was ended";
      worker.on("message", () => resolve());
      worker.on("error", (error: Error) => {
        reason = error.message;
      });
      worker.on("exit", () => {
        member.worker = undefined;
        this.#recover(member, reason);
        reject(new UsageError("USAGE_STATE", `worker thread ${member.task.thread} ended: ${reason}`));
      });
    });
  }

  #recover(member: Member, reason: string): void {
    const { thread, counters } = member.task;
    this.#options.swarms.recover(thread);
    addCounters(this.#past, readCounters(counters));
    publishCounters(counters, makeWorkerCounters());
    if (this.#closing) return;
    this.restarts++;
    this.#options.onWarning(`worker thread ${thread} ended, and is replaced: ${reason}`);
    if (performance.now() - member.startedMs > SERVED_MS) member.pauseMs = PAUSE_MS_MIN;
    member.timer = setTimeout(() => this.#serving(member).catch(() => undefined), member.pauseMs);
    member.pauseMs = Math.min(2 * member.pauseMs, PAUSE_MS_MAX);
  }
}

function sendable(options: TrackerOptions): ThreadOptions & { connectionKey?: Uint32Array } {
  const told = THREAD_OPTIONS.filter((name) => options[name] !== undefined).map((name) => [
    name,
    options[name],
  ]);
  return Object.fromEntries(told) as ThreadOptions;
}
