// Calls of a node that was made a moment ago: they wait until it is known who is near, for a lookup that knows nobody is over at once.
//
// Always: nobody waits longer than so long after the node was made, nor where there is nobody to begin with, nor once it is closed.

import type { Overlay } from "./overlay.js";

/** Whoever is to tell a new node of others has answered by then, or does not. */
const BEGINNING_MS_MAX = 10_000;

export class Beginning {
  readonly #overlays: () => Iterable<Overlay>;
  readonly #clock: () => number;
  readonly #endsMs: number;
  #waiting: (() => void)[] = [];
  #isOver = false;

  constructor(overlays: () => Iterable<Overlay>, clock: () => number) {
    this.#overlays = overlays;
    this.#clock = clock;
    this.#endsMs = clock() + BEGINNING_MS_MAX;
  }

  /** Calls back when lookups may begin; at once, but for a node that is new. */
  when(begin: () => void): void {
    if (this.#mayBegin()) begin();
    else this.#waiting.push(begin);
  }

  /** The same as a promise, which resolves when the signal is aborted as well; undefined: at once. */
  wait(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#mayBegin()) return undefined;
    return new Promise((resolve) => {
      signal?.addEventListener("abort", () => resolve(), { once: true });
      if (signal?.aborted === true) resolve();
      else this.when(resolve);
    });
  }

  /** Time goes on. */
  advance(): void {
    if (this.#waiting.length > 0 && this.#mayBegin()) this.#begin();
  }

  /** Whatever waits finds a node that is closed. */
  end(): void {
    this.#isOver = true;
    this.#begin();
  }

  #begin(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const begin of waiting) begin();
  }

  #mayBegin(): boolean {
    if (this.#isOver) return true;
    const overlays = [...this.#overlays()];
    this.#isOver = this.#clock() >= this.#endsMs || overlays.some(({ isReady }) => isReady);
    return this.#isOver || !overlays.some(({ hasEntrances }) => hasEntrances);
  }
}
