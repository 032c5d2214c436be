// Records of the jobs that storage has begun, and of the calls that they belong to: used again and again, so that a write allocates nothing.
//
// Always: a record is free, or of one call that is under way; whoever is told that a call ended is told once.

import { assert } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import type { FileTable } from "./file-table.js";
import type { StorageOwner } from "./storage.js";

/** One write or read under way: how many of its jobs are. */
export class StorageCall {
  owner: StorageOwner | undefined;
  tag = 0;
  jobs = 0;
  error: StorageError | undefined;
}

/** One job under way: the call it belongs to, the file it holds (if any), the bytes it should move. */
export class StorageJob {
  call: StorageCall | undefined;
  table: FileTable | undefined;
  fileIndex = 0;
  bytes = 0;
  reading = false;
}

export class StorageJobs {
  /** By tag. */
  readonly #jobs: StorageJob[] = [];
  readonly #free: number[] = [];

  /** The tag of a record that is the call's from now on. */
  take(call: StorageCall): number {
    const tag = this.#free.pop() ?? this.#jobs.push(new StorageJob()) - 1;
    const job = this.at(tag);
    assert(job.call === undefined, "a record is of one call");
    job.call = call;
    return tag;
  }

  at(tag: number): StorageJob {
    const job = this.#jobs[tag];
    assert(job !== undefined, "a job that was begun has a record");
    return job;
  }

  /** The job ended; the call that it belongs to. */
  giveBack(tag: number): StorageCall {
    const job = this.at(tag);
    const { call } = job;
    assert(call !== undefined, "a job ends once");
    job.call = undefined;
    this.#free.push(tag);
    return call;
  }

  get underWay(): number {
    return this.#jobs.length - this.#free.length;
  }

  /** Throws AssertionError unless each record is free, or of a call that has jobs under way. */
  checkInvariants(): void {
    const free = new Set(this.#free);
    assert(free.size === this.#free.length, "a record is free once");
    this.#jobs.forEach(({ call }, tag) => {
      assert((call === undefined) === free.has(tag), "a record is free, or of a call");
      assert(call === undefined || (call.jobs > 0 && call.owner !== undefined), "a call has its jobs");
    });
  }
}
