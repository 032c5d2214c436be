// The queue of jobs for the addon's threads: disk reads and writes, digests, copies. Jobs are described in the shared
// table, handed over once per loop turn, and their completions come back in a batch.
//
// Always: every job that was begun is answered by exactly one call of its owner's jobDone, never from inside begin/add/end, also when an
// owner before it throws (a bug of ours, told as an `uncaughtException`). Nothing is allocated per job once the table of owners has grown
// to the jobs in flight.

import { assert } from "../base/assert.js";
import { JOB_WORDS_MAX } from "../base/limits.js";
import { throwAsUncaught } from "../base/user-calls.js";
import { JOB_HEADER_WORDS, type JobKind, type NativeEngine } from "./binding.js";

/** Whoever begins jobs. `tag` is the owner's own number for the job; `result` is bytes or −errno (see JobKind). */
export interface JobOwner {
  jobDone(tag: number, result: number): void;
}

export class JobQueue {
  readonly #engine: NativeEngine;
  readonly #words: Float64Array;
  /** Words of the shared table in use: jobs begun and not handed over yet. */
  #used = 0;
  /** Where the job that is being described began; −1 between jobs. */
  #open = -1;
  #owners: (JobOwner | undefined)[] = [];
  #ownerTags: number[] = [];
  #freeTags: number[] = [];
  #inFlight = 0;
  #flushScheduled = false;
  readonly #flushFromMicrotask = () => {
    this.#flushScheduled = false;
    this.flush();
  };

  constructor(engine: NativeEngine) {
    this.#engine = engine;
    this.#words = engine.jobs;
  }

  /** Jobs whose owner was not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Begins to describe a job; see JobKind for what `handle`, `offset` and `argument` mean. Then add() memory, then end(). */
  begin(
    kind: JobKind,
    owner: JobOwner,
    ownerTag: number,
    handle: number,
    offset: number,
    argument: number,
  ): void {
    assert(this.#open < 0, "one job is described at a time");
    // A job of PLAN_ENTRIES_MAX pairs must still fit behind what is there.
    if (this.#used > JOB_WORDS_MAX / 2) this.flush();
    let tag = this.#freeTags.pop();
    if (tag === undefined) {
      tag = this.#owners.length;
      this.#owners.push(undefined);
      this.#ownerTags.push(0);
    }
    this.#owners[tag] = owner;
    this.#ownerTags[tag] = ownerTag;
    const words = this.#words;
    const at = this.#used;
    words[at] = kind;
    words[at + 1] = tag;
    words[at + 2] = handle;
    words[at + 3] = offset;
    words[at + 4] = argument;
    words[at + 5] = 0;
    this.#open = at;
    this.#used = at + JOB_HEADER_WORDS;
  }

  /** Adds memory to the job being described: `length` bytes at `address`. Neighbours are joined. */
  add(address: number, length: number): void {
    assert(this.#open >= 0, "add() comes between begin() and end()");
    const words = this.#words;
    const pairs = words[this.#open + 5]!;
    const last = this.#used - 2;
    if (pairs > 0 && words[last]! + words[last + 1]! === address) {
      words[last + 1] = words[last + 1]! + length;
      return;
    }
    assert(this.#used + 2 <= JOB_WORDS_MAX, "a job fits the shared table");
    words[this.#used] = address;
    words[this.#used + 1] = length;
    words[this.#open + 5] = pairs + 1;
    this.#used += 2;
  }

  /** Adds `length` bytes of an open file from `offset` on to the JobKind.digestFiles being described. */
  addStretch(fd: number, offset: number, length: number): void {
    this.#addTwoPairs(fd, offset, length, 0);
  }

  /** Adds `length` bytes from `offset` on of the file whose path, with a zero behind it, is the memory at `address`: for JobKind.digestPaths. */
  addPath(address: number, pathBytes: number, offset: number, length: number): void {
    this.#addTwoPairs(address, pathBytes, offset, length);
  }

  #addTwoPairs(first: number, second: number, third: number, fourth: number): void {
    assert(this.#open >= 0, "a stretch comes between begin() and end()");
    assert(this.#used + 4 <= JOB_WORDS_MAX, "a job fits the shared table");
    const words = this.#words;
    words[this.#used] = first;
    words[this.#used + 1] = second;
    words[this.#used + 2] = third;
    words[this.#used + 3] = fourth;
    words[this.#open + 5] = words[this.#open + 5]! + 2;
    this.#used += 4;
  }

  end(): void {
    assert(this.#open >= 0, "end() closes a job that was begun");
    this.#open = -1;
    this.#inFlight++;
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(this.#flushFromMicrotask);
    }
  }

  /** Hands all described jobs to them. The reactor calls it at the end of a turn. */
  flush(): void {
    assert(this.#open < 0, "no job is half described when jobs are handed over");
    if (this.#used === 0) return;
    const words = this.#used;
    this.#used = 0;
    this.#engine.submit(words);
  }

  /** Answers the owners of the completions in the shared list. Owners may begin jobs meanwhile. */
  deliver(count: number): void {
    const completions = this.#engine.completions;
    for (let index = 0; index < count; index++) {
      const tag = completions[2 * index]!;
      const result = completions[2 * index + 1]!;
      const owner = this.#owners[tag];
      assert(owner !== undefined, "a completion belongs to a job in flight");
      const ownerTag = this.#ownerTags[tag]!;
      this.#owners[tag] = undefined;
      this.#freeTags.push(tag);
      this.#inFlight--;
      try {
        owner.jobDone(ownerTag, result);
      } catch (error) {
        throwAsUncaught(error);
      }
    }
  }
}
