// What the DHT finds, as an async iterator: values as they come, to whoever waits for one or to the next who does, until it ends or its signal
// is aborted.
//
// Always: an error is told once; after the end nothing is taken; who stops iterating, and whose signal is aborted, stops what brings the values.
// How many wait is the business of whoever pushes them.

export abstract class ResultStream<T> implements AsyncIterableIterator<T> {
  readonly #waiting: T[] = [];
  /** Calls of next() that wait, in order. */
  readonly #readers: {
    resolve: (result: IteratorResult<T, undefined>) => void;
    reject: (error: unknown) => void;
  }[] = [];
  readonly #signal: AbortSignal | undefined;
  #isOver = false;
  #error: unknown;
  readonly #onAbort = () => this.end(this.#signal?.reason);

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    if (signal?.aborted === true) {
      // Nothing brings values yet.
      this.#isOver = true;
      this.#error = signal.reason;
    } else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Values that nobody has asked for yet. */
  protected get waitingCount(): number {
    return this.#waiting.length;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const value = this.#waiting.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isOver) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#waiting.length = 0;
    this.end(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }

  protected push(value: T): void {
    if (this.#isOver) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#waiting.push(value);
    else reader.resolve({ value, done: false });
  }

  /** What waits can still be read; then it is over, or fails with `error`. Idempotent. */
  protected end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.stopSources();
    // The first that waits hears of the error, or the next that comes: it is told once.
    const readers = this.#readers.splice(0);
    if (error !== undefined && readers.length === 0) this.#error = error;
    else if (error !== undefined) readers.shift()?.reject(error);
    for (const reader of readers) reader.resolve({ value: undefined, done: true });
  }

  /** Nothing is wanted any more. Called once. */
  protected abstract stopSources(): void;
}
