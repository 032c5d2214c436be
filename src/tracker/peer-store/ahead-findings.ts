// What looking ahead found of the announces that come next: entry i is what is known of announce i. The steps of PeerStore.look() fill it in, one
// after the other, and announces look at what it says before they believe it. Each step names what the next one reads, as runs of words, and
// fetch() brings them from far memory.

import { assert } from "../../base/assert.js";
import { AHEAD_MAX } from "./contract.js";

/** Steps of PeerStore.look(), from 0 on. */
export const LOOK_AHEAD_STEPS = 9;
/** Words of a line of the cache. */
export const LINE_WORDS = 16;
/** Runs that one step names of an announce, at the most. */
const RUNS_PER_ANNOUNCE = 4;

/**
 * Brings runs of words near, without waiting for them: `runs` has `count` pairs of a place in `words` and a number of words. It changes nothing
 * and answers nothing; a run that is not in `words` is passed over.
 */
export type Prefetch = (words: Uint32Array, runs: Int32Array, count: number) => void;

export class AheadFindings {
  /** The bucket of the endpoint, the one the answer begins in, the endpoint's hash. */
  readonly own = new Int32Array(AHEAD_MAX);
  readonly told = new Int32Array(AHEAD_MAX);
  readonly hashes = new Int32Array(AHEAD_MAX);
  /** The swarm; peers that the bucket the answer begins in has too few; the bucket that it goes on in then, 0 if there is none. */
  readonly swarms = new Int32Array(AHEAD_MAX);
  readonly missing = new Int32Array(AHEAD_MAX);
  readonly next = new Int32Array(AHEAD_MAX);
  /** Their records, and where in their buckets their endpoints may be; −1 if not. */
  readonly records = new Int32Array(AHEAD_MAX);
  readonly peers = new Int32Array(AHEAD_MAX);
  /** What a step names: places and numbers of words. */
  readonly runs = new Int32Array(2 * RUNS_PER_ANNOUNCE * AHEAD_MAX);
  readonly #prefetch: Prefetch | undefined;
  /** What was loaded: means nothing, and is kept so that no compiler leaves the loads out. */
  loaded = 0;

  /** Without `prefetch` lines are loaded, which a processor waits for, many at a time. */
  constructor(prefetch?: Prefetch) {
    this.#prefetch = prefetch;
  }

  /** Fetches the runs that the first `end` numbers of `runs` name. */
  fetch(words: Uint32Array, end: number): void {
    if (end === 0) return;
    assert(end % 2 === 0 && end <= this.runs.length, "a run is a place and a number of words, and has room");
    if (this.#prefetch !== undefined) this.#prefetch(words, this.runs, end >>> 1);
    else this.#load(words, end);
  }

  #load(words: Uint32Array, end: number): void {
    const { runs } = this;
    let loaded = 0;
    for (let run = 0; run < end; run += 2) {
      const first = runs[run]!;
      const last = first + runs[run + 1]! - 1;
      loaded ^= words[last]!;
      for (let at = first; at < last; at += LINE_WORDS) loaded ^= words[at]!;
    }
    this.loaded ^= loaded;
  }
}
