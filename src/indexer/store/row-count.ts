// How many rows there are of a kind, without counting them each time: counting ten million takes seconds.
//
// Always: at most COUNTED_MS old, but for what this process added and took away since, which it says itself.

const COUNTED_MS = 10 * 60_000;

export class RowCount {
  #rows = 0;
  #countedMs = Number.NEGATIVE_INFINITY;

  /** Undefined: they are to be counted, and told to set(). */
  at(nowMs: number): number | undefined {
    return nowMs - this.#countedMs < COUNTED_MS ? this.#rows : undefined;
  }

  set(rows: number, nowMs: number): void {
    this.#rows = rows;
    this.#countedMs = nowMs;
  }

  /** More by so many, or fewer. */
  add(rows: number): void {
    this.#rows += rows;
  }
}
