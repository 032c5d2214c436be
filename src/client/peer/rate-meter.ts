// Bytes per second over the last seconds: an exponential average of samples about a second apart.

const SMOOTHING = 0.3;

export class RateMeter {
  /** Bytes per second. */
  rate = 0;
  #lastTotal = 0;

  /** `total` bytes so far, `elapsedMs` after the last sample. */
  sample(total: number, elapsedMs: number): void {
    if (elapsedMs <= 0) return;
    const rate = (1000 * (total - this.#lastTotal)) / elapsedMs;
    this.#lastTotal = total;
    this.rate = this.rate === 0 ? rate : this.rate + SMOOTHING * (rate - this.rate);
    if (this.rate < 1) this.rate = 0;
  }
}
