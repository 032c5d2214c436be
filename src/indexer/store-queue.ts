// What an indexer writes to its store, in batches, one after the other: hashes that were seen, outcomes, and statistics.
//
// Always: what could not be written stays, in its order, and is tried again after a pause that grows. It is told when the store begins to fail,
// and when it works again. isFull says that no more is to be begun.

import type { Ground } from "../base/ground.js";
import type { Harvest } from "./harvest.js";
import type { IndexerCounters } from "./options.js";
import type { IndexStore, Outcome } from "./store/store.js";

const SEEN_BATCH = 1000;
const OUTCOMES_BATCH = 100;
/** Hashes and outcomes wait so long for others; statistics likewise. */
const SEEN_MS = 2000;
const OUTCOMES_MS = 500;
const WORKED_MS = 10_000;
const OUTCOMES_MAX = 500;
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;

export class StoreQueue {
  /** What an outcome came to. */
  done: (outcome: Outcome, counts: boolean) => void = () => {};
  /** Since they were told to the store. */
  lookups = 0;
  queries = 0;
  fetches = 0;
  readonly #store: IndexStore;
  readonly #owner: string;
  readonly #harvest: Harvest;
  readonly #counters: IndexerCounters;
  readonly #ground: Ground;
  readonly #warn: (text: string) => void;
  #outcomes: Outcome[] = [];
  #writing: Promise<void> | undefined;
  #seenMs = 0;
  #finishedMs = 0;
  /** Never: with the first turn the index knows that this indexer is there, also if it dies soon. */
  #workedMs = Number.NEGATIVE_INFINITY;
  #pauseMs = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(
    store: IndexStore,
    owner: string,
    harvest: Harvest,
    counters: IndexerCounters,
    ground: Ground,
    warn: (text: string) => void,
  ) {
    this.#store = store;
    this.#owner = owner;
    this.#harvest = harvest;
    this.#counters = counters;
    this.#ground = ground;
    this.#warn = warn;
  }

  /** Outcomes that wait. */
  get outcomes(): number {
    return this.#outcomes.length;
  }

  get isFull(): boolean {
    return this.#outcomes.length >= OUTCOMES_MAX || this.#isPaused;
  }

  add(outcome: Outcome): void {
    this.#outcomes.push(outcome);
  }

  /** Time passed: begins to write what is due. */
  turn(nowMs: number): void {
    if (this.#writing !== undefined || this.#isPaused) return;
    const isSeenDue = this.#harvest.count >= SEEN_BATCH || nowMs - this.#seenMs >= SEEN_MS;
    const isFinishDue = this.#outcomes.length >= OUTCOMES_BATCH || nowMs - this.#finishedMs >= OUTCOMES_MS;
    const isWorkDue = nowMs - this.#workedMs >= WORKED_MS;
    if (!isSeenDue && !isFinishDue && !isWorkDue) return;
    this.#writing = this.#write(nowMs, isSeenDue, isFinishDue, isWorkDue).finally(() => {
      this.#writing = undefined;
    });
  }

  /** Calls the store for something that may as well not happen: undefined if it does not work now. */
  async call<Value>(work: (store: IndexStore) => Promise<Value>): Promise<Value | undefined> {
    if (this.#isPaused) return undefined;
    try {
      const value = await work(this.#store);
      this.#works();
      return value;
    } catch (error) {
      this.#fails(error as Error);
      return undefined;
    }
  }

  /** Writes all that waits; gives up at the first failure. */
  async flushAll(): Promise<void> {
    await this.#writing;
    while (this.#outcomes.length > 0 || this.#harvest.count > 0) {
      const before = this.#outcomes.length + this.#harvest.count;
      await this.#write(this.#ground.nowMs(), true, true, true);
      if (this.#outcomes.length + this.#harvest.count >= before) return;
    }
  }

  get #isPaused(): boolean {
    return this.#ground.nowMs() < this.#pausedUntilMs;
  }

  async #write(nowMs: number, seen: boolean, finish: boolean, work: boolean): Promise<void> {
    if (finish) {
      if (this.#outcomes.length > 0 && !(await this.#writeOutcomes())) return;
      this.#finishedMs = nowMs;
    }
    if (seen) {
      if (this.#harvest.count > 0 && !(await this.#writeSeen())) return;
      this.#seenMs = nowMs;
    }
    if (work && (await this.#writeWork())) this.#workedMs = nowMs;
  }

  async #writeOutcomes(): Promise<boolean> {
    const batch = this.#outcomes.slice(0, OUTCOMES_BATCH);
    const counts = await this.call((store) => store.finish(this.#owner, batch));
    if (counts === undefined) return false;
    this.#outcomes = this.#outcomes.slice(batch.length);
    for (const [index, outcome] of batch.entries()) this.done(outcome, counts[index] === true);
    return true;
  }

  async #writeSeen(): Promise<boolean> {
    const batch = this.#harvest.take(SEEN_BATCH);
    const added = await this.call((store) => store.see(batch));
    if (added === undefined) this.#harvest.putBack(batch);
    else this.#counters.hashesNew += added;
    return added !== undefined;
  }

  async #writeWork(): Promise<boolean> {
    const { lookups, queries, fetches } = this;
    const done = await this.call(async (store) => {
      await store.worked({ owner: this.#owner, lookups, queries, fetches });
      return true;
    });
    if (done === undefined) return false;
    this.lookups -= lookups;
    this.queries -= queries;
    this.fetches -= fetches;
    return true;
  }

  #works(): void {
    if (this.#pauseMs === 0) return;
    this.#pauseMs = 0;
    this.#warn("the index's store works again");
  }

  #fails(error: Error): void {
    this.#counters.storeFailures++;
    const isNew = this.#pauseMs === 0;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, 2 * this.#pauseMs));
    this.#pausedUntilMs = this.#ground.nowMs() + this.#pauseMs;
    if (isNew) this.#warn(`${error.message}; what was found waits until the store works again`);
  }
}
