// A ground whose time passes when a test says so, and whose timers call back then.

import type { Ground, Timer } from "../../src/base/ground.js";

interface Waiting {
  readonly dueMs: number;
  readonly run: () => void;
}

export class VirtualGround implements Ground {
  #nowMs = 0;
  readonly #waiting = new Set<Waiting>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, callback: () => void): Timer {
    let waiting: Waiting | undefined;
    const timer: Timer = {
      ref: () => timer,
      unref: () => timer,
      refresh: () => {
        timer.close();
        const armed = {
          dueMs: this.#nowMs + ms,
          run: () => {
            this.#waiting.delete(armed);
            callback();
          },
        };
        waiting = armed;
        this.#waiting.add(armed);
      },
      close: () => {
        if (waiting !== undefined) this.#waiting.delete(waiting);
      },
    };
    timer.refresh();
    return timer;
  }

  every(ms: number, callback: () => void): Timer {
    const timer = this.after(ms, () => {
      timer.refresh();
      callback();
    });
    return timer;
  }

  random(): number {
    return 0.5;
  }

  fillRandom(bytes: Uint8Array, from: number): void {
    bytes.fill(7, from);
  }

  /** So much time passes, in the steps of what is due. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      let next: Waiting | undefined;
      for (const each of this.#waiting) if (next === undefined || each.dueMs < next.dueMs) next = each;
      if (next === undefined || next.dueMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** So much time passes in which nothing is looked at: the loop is busy. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  get timers(): number {
    return this.#waiting.size;
  }
}
