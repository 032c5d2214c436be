// The swarms of a tracker with worker threads, as its main thread sees them: with lists for its faces, without for its operator, and
// with the counts of downloads of all parts.
//
// Always: what the threads share is made here, once, before one of them starts.

import { assert } from "../../base/assert.js";
import { loadBinding } from "../../native/binding.js";
import { makePartedSwarms, PartedSwarms, type PartedSwarmsMemory } from "../peer-store/parted-swarms.js";
import type { KeptDownloads } from "./downloads-file.js";
import type { Admits } from "./guarded-swarms.js";
import { InfoHashTable } from "./info-hash-table.js";
import {
  countersOfParts,
  type Guards,
  guardParts,
  makePartGuardMemory,
  type PartGuardMemory,
} from "./part-guard.js";
import { randomWords, STORE_DEFAULTS, type TrackerOptions } from "./tracker.js";
import type { PartCounters } from "./worker-counters.js";

/** Smaller regions are not worth large pages, each of which begins with 2 MiB. */
const LARGE_REGION_BYTES = 2 ** 24;
/** The main thread's number. */
const MAIN = 0;

export class WorkerSwarms implements KeptDownloads {
  readonly memory: PartedSwarmsMemory;
  readonly guardMemory: PartGuardMemory;
  /** Behind lists: all of it. */
  readonly store: PartedSwarms;
  #guards: Guards | undefined;

  constructor(
    workers: number,
    options: TrackerOptions["store"],
    { hasLists, keepsDownloads }: { readonly hasLists: boolean; readonly keepsDownloads: boolean },
  ) {
    const { preferLargePages } = loadBinding();
    const bounds = { ...STORE_DEFAULTS, ...options, key: randomWords(4) };
    this.memory = makePartedSwarms(workers, bounds, (bytes) => {
      const memory = new SharedArrayBuffer(bytes);
      if (bytes >= LARGE_REGION_BYTES) preferLargePages(new Uint8Array(memory));
      return memory;
    });
    this.guardMemory = makePartGuardMemory(this.memory.parts, hasLists, keepsDownloads);
    this.store = new PartedSwarms(this.memory, MAIN);
  }

  /** What the faces ask. To be called once. */
  guardedBy(admission: Admits): PartedSwarms {
    this.#guards = guardParts(this.guardMemory, admission);
    const { releasePages, populatePages } = loadBinding();
    return new PartedSwarms(this.memory, MAIN, this.#guards.guard, {
      release: releasePages,
      populate: (memory) => populatePages(memory),
    });
  }

  /** What this thread counted. */
  counters(swarms: PartedSwarms): PartCounters {
    const counters = countersOfParts(swarms, this.#guards);
    // What an operator looks at goes by the other view.
    const { abandoned, contended, sleeps } = this.store.locks;
    counters.lockTimeouts += abandoned;
    counters.lockWaits += contended;
    counters.lockSleeps += sleeps;
    counters.partsCleared += this.store.partsCleared;
    return counters;
  }

  set(hash: number, words: Uint32Array, at: number, value: number): void {
    this.#keptOf(hash & (this.memory.parts - 1)).set(hash, words, at, value);
  }

  toWords(): Uint32Array {
    const all: Uint32Array[] = [];
    this.store.eachPart((part) => all.push(this.#keptOf(part).toWords()));
    const words = new Uint32Array(all.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of all) {
      words.set(part, at);
      at += part.length;
    }
    return words;
  }

  #keptOf(part: number): InfoHashTable {
    const memory = this.guardMemory.kept?.[part];
    assert(memory !== undefined, "counts of downloads are kept");
    return InfoHashTable.open(memory);
  }
}
