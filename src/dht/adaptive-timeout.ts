// When a query is held to be stalled: its slot goes to another one, while its answer still counts until it has failed. The time is the
// 90th percentile of the last 256 round trips of one socket (Grunthal 2010, "adaptive timeouts"), so that far or busy links
// get more and near ones are not waited for. It is no more than MEDIANS_MAX times the median: a tenth of the nodes, answering as late as they may, would
// otherwise have every lookup wait for them.
//
// Always: between the bounds below, whatever was measured; who answers less than half of all queries cannot make it longer than that.

import { entryOf } from "../base/assert.js";

/** A query that has no answer after so long has failed. */
export const FAILURE_MS = 10_000;
const SAMPLES = 256;
const PERCENTILE = 0.9;
const MEDIAN = 0.5;
/** The 90th percentile of honest answers is two to three times the median. */
const MEDIANS_MAX = 4;
/** Sorting costs some microseconds: it is done for so many new samples. */
const SAMPLES_PER_UPDATE = 16;
/** Until there are samples to go by, a stall is late rather than early. */
const STALL_DEFAULT_MS = 2000;
/** Our own loop may be late by this much: that is nobody's stall. */
const STALL_MIN_MS = 100;

export class AdaptiveTimeout {
  /** A query is stalled after so long. */
  stallMs = STALL_DEFAULT_MS;
  readonly #samples = new Float64Array(SAMPLES);
  readonly #sorted = new Float64Array(SAMPLES);
  #count = 0;
  readonly #isAdaptive: boolean;

  /** `isAdaptive` false: a query stalls when it fails, as in most implementations. */
  constructor(isAdaptive = true) {
    this.#isAdaptive = isAdaptive;
    if (!isAdaptive) this.stallMs = FAILURE_MS;
  }

  /** An answer came after so long, late ones included. */
  sample(roundTripMs: number): void {
    if (!this.#isAdaptive) return;
    this.#samples[this.#count % SAMPLES] = roundTripMs;
    this.#count++;
    if (this.#count % SAMPLES_PER_UPDATE === 0) this.#update();
  }

  #update(): void {
    const count = Math.min(this.#count, SAMPLES);
    const sorted = this.#sorted.subarray(0, count);
    sorted.set(this.#samples.subarray(0, count));
    sorted.sort();
    const percentile = entryOf(sorted, Math.ceil(PERCENTILE * count) - 1);
    const median = entryOf(sorted, Math.ceil(MEDIAN * count) - 1);
    const stallMs = Math.min(percentile, MEDIANS_MAX * median);
    this.stallMs = Math.min(FAILURE_MS, Math.max(STALL_MIN_MS, stallMs));
  }
}
