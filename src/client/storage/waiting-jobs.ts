// Jobs on files that cannot be opened yet, because as many are open as may be, or the process has no descriptor left: they wait
// here, in the order in which they came.
//
// Always: whoever waits is begun, or fails within WAIT_MS_MAX; while one waits, none that came later goes before it.

import { assert, entryOf } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import type { JobKind } from "../../native/binding.js";
import { type Descriptors, isExhausted } from "./descriptors.js";
import { type FileTable, NO_DESCRIPTOR } from "./file-table.js";
import type { MemoryList } from "./storage.js";

/** Files of others, and sockets, are let go without a word to us: so we look again after so long. */
const RETRY_MS = 50;
const WAIT_MS_MAX = 30_000;

export interface WaitingJob<Call> {
  readonly kind: JobKind;
  readonly forWriting: boolean;
  readonly call: Call;
  readonly table: FileTable;
  readonly fileIndex: number;
  readonly offset: number;
  /** Byte of the first entry of memory that the job begins at. */
  readonly within: number;
  readonly length: number;
}

interface Entry<Call> {
  readonly job: WaitingJob<Call>;
  readonly memory: MemoryList;
  readonly sinceMs: number;
}

export interface WaitingHost<Call> {
  /** The file of the job is held, as `handle`. */
  begin(job: WaitingJob<Call>, handle: number, memory: MemoryList): void;
  failed(job: WaitingJob<Call>, error: StorageError): void;
}

export class WaitingJobs<Call> {
  readonly #host: WaitingHost<Call>;
  readonly #ground: Ground;
  #entries: Entry<Call>[] = [];
  #timer: Timer | undefined;
  readonly #look = () => this.#beginAll();

  constructor(host: WaitingHost<Call>, ground: Ground) {
    this.#host = host;
    this.#ground = ground;
  }

  /** Holds a file for a new job, or answers NO_DESCRIPTOR: then it is to be added. Throws StorageError. */
  acquire(table: FileTable, fileIndex: number, forWriting: boolean): number {
    return this.#entries.length > 0 ? NO_DESCRIPTOR : table.acquire(fileIndex, forWriting);
  }

  get count(): number {
    return this.#entries.length;
  }

  /** Keeps a job. The list of memory, of which it uses a part from entry `at` on, is the caller's own again at once. */
  add(job: WaitingJob<Call>, memory: MemoryList, at: number): void {
    assert(
      job.length > 0 && job.within < entryOf(memory.lengths, at),
      "a job begins in the entry that it names",
    );
    let end = at;
    for (let bytes = -job.within; bytes < job.length; end++) bytes += entryOf(memory.lengths, end);
    const addresses = memory.addresses.slice(at, end);
    const lengths = memory.lengths.slice(at, end);
    const sinceMs = this.#ground.nowMs();
    this.#entries.push({ job, memory: { addresses, lengths, count: end - at }, sinceMs });
    this.#lookLater();
  }

  /** Throws AssertionError unless those who wait stand in their order, and somebody looks after them. */
  checkInvariants(): void {
    assert(this.#entries.length === 0 || this.#timer !== undefined, "who waits is looked after");
    let beforeMs = 0;
    for (const { job, memory, sinceMs } of this.#entries) {
      assert(sinceMs >= beforeMs, "who came first is first");
      assert(
        memory.count === memory.addresses.length && memory.count === memory.lengths.length,
        "a list is whole",
      );
      let bytes = -job.within;
      for (let index = 0; index < memory.count; index++) bytes += entryOf(memory.lengths, index);
      assert(bytes >= job.length, "a job has memory for all of its bytes");
      beforeMs = sinceMs;
    }
  }

  #beginAll(): void {
    this.#timer?.close();
    this.#timer = undefined;
    let ended = 0;
    while (ended < this.#entries.length && this.#begin(entryOf(this.#entries, ended))) ended++;
    if (ended > 0) this.#entries = this.#entries.slice(ended);
    if (this.#entries.length > 0) this.#lookLater();
  }

  /** False: it has to wait on. */
  #begin({ job, memory, sinceMs }: Entry<Call>): boolean {
    try {
      const handle = job.table.acquire(job.fileIndex, job.forWriting);
      if (handle !== NO_DESCRIPTOR) this.#host.begin(job, handle, memory);
      else if (this.#ground.nowMs() - sinceMs < WAIT_MS_MAX) return false;
      else this.#host.failed(job, job.table.exhausted(job.fileIndex));
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#host.failed(job, error);
    }
    return true;
  }

  #lookLater(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#ground.after(RETRY_MS, this.#look);
    entryOf(this.#entries, 0).job.table.descriptors.wait(this.#look);
  }
}

/** Holds a file as soon as there is a descriptor for it. Rejects StorageError. */
export function acquireWhenFree(
  table: FileTable,
  fileIndex: number,
  forWriting: boolean,
  ground: Ground,
): Promise<number> {
  return whenFree(table.descriptors, ground, () => table.acquireNow(fileIndex, forWriting));
}

/**
 * Does what opens something, again and again while it throws that no descriptor is left, and one may become free. `signal` ends that.
 * Rejects with what it throws.
 */
export async function whenFree<Result>(
  descriptors: Descriptors,
  ground: Ground,
  attempt: () => Result,
  signal?: AbortSignal,
): Promise<Result> {
  const sinceMs = ground.nowMs();
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      const isLate = ground.nowMs() - sinceMs > WAIT_MS_MAX;
      if (!isExhausted(error) || isLate || signal?.aborted === true) throw error;
    }
    await new Promise<void>((resolve) => {
      const timer = ground.after(RETRY_MS, resolve);
      descriptors.wait(() => {
        timer.close();
        resolve();
      });
    });
  }
}
