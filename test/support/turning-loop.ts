// A loop that turns when a test says so, with a ground whose timers call back at the beginning of a turn, and hooks that are called at its end.

import { type Ground, SYSTEM_GROUND, type Timer } from "../../src/base/ground.js";
import type { TurnHook } from "../../src/native/reactor.js";

export class TurningLoop {
  nowMs = 1000;
  /** Timers that wait. */
  due: { ms: number; callback: () => void }[] = [];
  #hooks: TurnHook[] = [];
  readonly ground: Ground = {
    ...SYSTEM_GROUND,
    nowMs: () => this.nowMs,
    after: (ms, callback) => {
      const entry = { ms: this.nowMs + ms, callback };
      this.due.push(entry);
      const timer: Timer = {
        ref: () => timer,
        unref: () => timer,
        refresh: () => {},
        close: () => {
          this.due = this.due.filter((each) => each !== entry);
        },
      };
      return timer;
    },
  };

  /** Has the hook told when the turn ends. */
  readonly atTurnEnd = (hook: TurnHook): void => {
    this.#hooks.push(hook);
  };

  turn(): void {
    const due = this.due.filter((each) => each.ms <= this.nowMs);
    this.due = this.due.filter((each) => each.ms > this.nowMs);
    for (const { callback } of due) callback();
    for (const hook of this.#hooks.splice(0)) hook.turnEnded();
  }

  /** It turns each millisecond, and so much time passes. */
  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; ; this.nowMs++) {
      this.turn();
      if (this.nowMs >= endMs) return;
    }
  }
}
