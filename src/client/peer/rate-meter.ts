// Bytes per second over the last seconds: an exponential average of samples about a second apart.

const SMOOTHING = 0.3;

export class RateMeter {
  /** Bytes per second. */
  rate = 0;
  #lastTotal = 0;

  /** `total` bytes so far, `elapsedMs` after the last sample. True if that is more than at the last one. */
  sample(total: number, elapsedMs: number): boolean {
    if (elapsedMs <= 0) return false;
    const hasMoved = total !== this.#lastTotal;
    const rate = (1000 * (total - this.#lastTotal)) / elapsedMs;
    this.#lastTotal = total;
    this.rate = this.rate === 0 ? rate : this.rate + SMOOTHING * (rate - this.rate);
    if (this.rate < 1) this.rate = 0;
    return hasMoved;
  }
}

// Totals and rates are no small integers for long: that changes the shape of all meters, and happens here, before there is one.
new RateMeter().sample(2 ** 40, 1);
