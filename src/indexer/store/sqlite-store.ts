// An index in a file: SQLite in two threads, one that writes and one that reads. Several processes may use one file.
//
// Always: nothing waits in the loop of the caller. A call that cannot be done because the disk is full or another process holds the file
// rejects, has changed nothing, and may be made again.

import type { Worker } from "node:worker_threads";
import { StoreError, UsageError, type UsageErrorCode } from "../../base/errors.js";
import { startThread } from "../../base/thread.js";
import type { SqliteAnswer, SqliteCall, SqliteTask } from "./sqlite-worker.js";
import type {
  Claim,
  ClaimRequest,
  IndexedTorrentDetails,
  IndexStore,
  Outcome,
  Pruned,
  Retention,
  SearchPage,
  SearchQuery,
  Sighting,
  StoreOptions,
  StoreStats,
  StoreStep,
  WorkDone,
} from "./store.js";

const SCRIPT = new URL("./sqlite-worker.js", import.meta.url);
/** Calls that wait for one thread: whoever makes more does not wait for answers. */
const WAITING_MAX = 1000;

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

export class SqliteStore implements IndexStore {
  readonly kind = "sqlite";
  readonly #writer: Thread;
  readonly #reader: Thread;
  #closed: Promise<void> | undefined;

  /** Makes the file if it is not there. Throws StoreError; UsageError where there is no SQLite. */
  static async open(file: string, options: StoreOptions = {}): Promise<SqliteStore> {
    const nowMs = options.nowMs ?? Date.now;
    const writer = new Thread({ file, kind: "writer" }, nowMs);
    try {
      await writer.call("open");
    } catch (error) {
      await writer.close();
      throw error;
    }
    return new SqliteStore(writer, new Thread({ file, kind: "reader" }, nowMs));
  }

  private constructor(writer: Thread, reader: Thread) {
    this.#writer = writer;
    this.#reader = reader;
  }

  see(sightings: readonly Sighting[]): Promise<number> {
    return this.#writer.call("see", sightings);
  }

  claim(request: ClaimRequest): Promise<Claim[]> {
    return this.#writer.call("claim", request);
  }

  finish(owner: string, outcomes: readonly Outcome[]): Promise<boolean[]> {
    return this.#writer.call("finish", owner, outcomes);
  }

  release(owner: string): Promise<number> {
    return this.#writer.call("release", owner);
  }

  worked(work: WorkDone): Promise<void> {
    return this.#writer.call("worked", work);
  }

  remove(infoHashes: readonly Uint8Array[]): Promise<number> {
    return this.#writer.call("remove", infoHashes);
  }

  prune(retention: Retention): Promise<Pruned> {
    return this.#writer.call("prune", retention);
  }

  get(infoHash: Uint8Array): Promise<IndexedTorrentDetails | undefined> {
    return this.#reader.call("get", infoHash);
  }

  search(query: SearchQuery): Promise<SearchPage> {
    return this.#reader.call("search", query);
  }

  stats(): Promise<StoreStats> {
    return this.#reader.call("stats");
  }

  history(sinceMs: number, count: number): Promise<StoreStep[]> {
    return this.#reader.call("history", sinceMs, count);
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all([this.#writer.close(), this.#reader.close()]).then(() => {});
    return this.#closed;
  }
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** One thread, from its first call on. */
class Thread {
  readonly #task: SqliteTask;
  readonly #nowMs: () => number;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #nextId = 0;
  #isClosed = false;

  constructor(task: SqliteTask, nowMs: () => number) {
    this.#task = task;
    this.#nowMs = nowMs;
  }

  call<Value>(method: string, ...args: readonly unknown[]): Promise<Value> {
    if (this.#isClosed) return Promise.reject(new StoreError("STORE_CLOSED", "the index is closed"));
    if (this.#waiting.size >= WAITING_MAX)
      return Promise.reject(new StoreError("STORE_BUSY", `${WAITING_MAX} calls wait for the index already`));
    this.#worker ??= this.#start();
    return this.#send(method, args, this.#nowMs);
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    await this.#send("close", [], Date.now).catch(() => {});
    worker.ref();
    await ended;
  }

  /** Rejects with what the clock throws, and for what cannot be sent to a thread. */
  #send<Value>(method: string, args: readonly unknown[], nowMs: () => number): Promise<Value> {
    const id = this.#nextId++;
    return new Promise<Value>((resolve, reject) => {
      this.#worker?.postMessage({ id, method, args, nowMs: Math.trunc(nowMs()) } satisfies SqliteCall);
      // Nothing waits for what was not sent: it would hold its place, and the process, for good.
      this.#waiting.set(id, { resolve: resolve as Waiting["resolve"], reject });
      if (this.#waiting.size === 1) this.#worker?.ref();
    });
  }

  #start(): Worker {
    const worker = startThread(SCRIPT, this.#task);
    worker.on("message", ({ id, value, error }: SqliteAnswer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      // It keeps the process alive while somebody waits for it.
      if (this.#waiting.size === 0) worker.unref();
      if (error === undefined) waiting?.resolve(value as never);
      else waiting?.reject(sqliteError(error, this.#task.file));
    });
    // Whatever ends a thread ends the calls that waited for it; the next call starts another one.
    const failed = (why: string): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const { reject } of waiting)
        reject(new StoreError("STORE_FAILED", `the index's thread ended: ${why}`));
    };
    worker.on("error", (error) => failed(error.message));
    worker.on("exit", (code) => failed(`exit ${code}`));
    return worker;
  }
}

/** What SQLite said, as we say it. */
export function sqliteError(
  { kind, code, message, errcode }: NonNullable<SqliteAnswer["error"]>,
  file: string,
): Error {
  if (kind === "UsageError") return new UsageError(code as UsageErrorCode, message);
  if (kind === "StoreError") return new StoreError(code as StoreError["code"], message);
  // The lower byte is the kind of error, what is above says more.
  switch (errcode & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return new StoreError("STORE_BUSY", `${file}: another process holds the index`);
    case SQLITE_FULL:
      return new StoreError("STORE_FULL", `${file}: the disk is full`);
    case SQLITE_CANTOPEN:
      return new StoreError("STORE_UNREACHABLE", `${file} cannot be opened: ${message}`);
    case SQLITE_NOTADB:
      return new StoreError("STORE_VERSION", `${file} is no database`);
    default:
      return new StoreError("STORE_FAILED", `${file}: ${message}`);
  }
}
