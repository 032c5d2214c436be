// The turns of connections that no reactor serves: streams of Node's that became ready are told in the next round of the loop, and what
// is to be said is said at the end of it. It stands where the reactor stands, and needs no addon.
//
// Always: what a hook throws is an `uncaughtException` and stops no other; hooks of the end of a turn may ask for one another.

import type { Ground } from "../../base/ground.js";
import { throwAsUncaught } from "../../base/user-calls.js";
import { WorkList } from "../../base/work-list.js";
import type { TurnHook } from "../../native/reactor.js";
import type { Clock } from "../peer/peer-options.js";
import type { Rounds } from "./duplex-stream.js";
import type { Turns } from "./stream-pump.js";

export class LoopRounds implements Rounds, Turns, Clock {
  /** Streams are told one by one: each has the whole of a turn's share. */
  readonly readyCount = 1;
  nowMs: number;
  readonly #ground: Pick<Ground, "nowMs">;
  #waiting: (() => void)[] = [];
  readonly #hooks = new WorkList<TurnHook>();
  #inTurn = false;
  #endScheduled = false;
  readonly #run = (): void => this.#turn();
  readonly #end = (): void => {
    this.#endScheduled = false;
    this.passTime();
    this.#endTurn();
  };

  constructor(ground: Pick<Ground, "nowMs">) {
    this.#ground = ground;
    this.nowMs = Math.trunc(ground.nowMs());
  }

  /** The time of whatever comes before the next turn. */
  passTime(): void {
    this.nowMs = Math.trunc(this.#ground.nowMs());
  }

  nextRound(hook: () => void): void {
    if (this.#waiting.push(hook) === 1) setImmediate(this.#run);
  }

  atTurnEnd(hook: TurnHook): void {
    this.#hooks.push(hook);
    if (this.#inTurn || this.#endScheduled) return;
    this.#endScheduled = true;
    queueMicrotask(this.#end);
  }

  #turn(): void {
    const told = this.#waiting;
    this.#waiting = [];
    this.passTime();
    this.#inTurn = true;
    for (const hook of told) {
      try {
        hook();
      } catch (error) {
        throwAsUncaught(error);
      }
    }
    this.#endTurn();
  }

  /** The list grows while it is read: a flush may ask for another. */
  #endTurn(): void {
    const hooks = this.#hooks;
    this.#inTurn = true;
    for (let index = 0; index < hooks.count; index++) {
      try {
        hooks.at(index).turnEnded();
      } catch (error) {
        throwAsUncaught(error);
      }
    }
    hooks.clear();
    this.#inTurn = false;
  }
}
