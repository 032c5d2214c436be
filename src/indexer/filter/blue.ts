// Sizes a filter by what happens to the queue behind it, as Blue does with the loss of packets (Feng et al. 1999; Grunthal 2010): a queue that
// overflows wants more left out, one that runs dry wants less. So nobody has to know beforehand how popular hashes are, or how
// many a second there is time for.
//
// Always: one step in an interval at the most, between the bounds; nothing grows that is not filled yet, for until then its size was
// not tried.

import type { ResizableFilter } from "./contract.js";

export interface BlueOptions {
  readonly step?: number;
  readonly sizeMin?: number;
  readonly sizeMax?: number;
  readonly intervalMs?: number;
}

/** The paper's author's own: 300 to begin with, 300 a step, each second. */
export const BLUE_STEP = 300;
export const BLUE_SIZE_MAX = 1_000_000;
const INTERVAL_MS = 1000;

export class Blue {
  readonly #filter: ResizableFilter;
  readonly #step: number;
  readonly #sizeMin: number;
  readonly #sizeMax: number;
  readonly #intervalMs: number;
  #steppedMs = Number.NEGATIVE_INFINITY;

  constructor(filter: ResizableFilter, options: BlueOptions = {}) {
    this.#filter = filter;
    this.#step = options.step ?? BLUE_STEP;
    this.#sizeMin = options.sizeMin ?? BLUE_STEP;
    this.#sizeMax = options.sizeMax ?? BLUE_SIZE_MAX;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
  }

  /** The queue had no room: more is to be left out. */
  overflowed(nowMs: number): void {
    const { size, count } = this.#filter;
    if (count < size || !this.#steps(nowMs)) return;
    this.#filter.resize(Math.min(this.#sizeMax, size + this.#step));
  }

  /** Whoever takes from the queue found nothing: less is to be left out. */
  underflowed(nowMs: number): void {
    if (!this.#steps(nowMs)) return;
    this.#filter.resize(Math.max(this.#sizeMin, this.#filter.size - this.#step));
  }

  #steps(nowMs: number): boolean {
    if (nowMs - this.#steppedMs < this.#intervalMs) return false;
    this.#steppedMs = nowMs;
    return true;
  }
}
