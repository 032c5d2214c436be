// The turns of streams that are not sockets of the addon: what became ready is told in the next round of Node's loop, so that streams that
// feed one another do not keep the loop for themselves.
//
//   LoopRounds      where no reactor serves the connection: it stands where the reactor stands, and needs no addon
//   ReactorRounds   in a session: one turn of its reactor for all streams that became ready
//
// Always: what a hook throws is an `uncaughtException` and stops no other; hooks of the end of a turn may ask for one another.

import type { Ground } from "../../base/ground.js";
import { throwAsUncaught } from "../../base/user-calls.js";
import { WorkList } from "../../base/work-list.js";
import type { TurnHook } from "../../native/reactor.js";
import { TurnLoad } from "../../native/turn-load.js";
import type { Clock } from "../peer/peer-options.js";
import type { Rounds } from "./duplex-stream.js";
import type { Turns } from "./stream-pump.js";

/** Streams of a session: they are told in a turn of its reactor, whose clock is right then, and what they have to say is said with it. */
export class ReactorRounds implements Rounds, TurnHook {
  readonly #atTurnEnd: (hook: TurnHook) => void;
  #waiting: (() => void)[] = [];
  readonly #ask = (): void => this.#atTurnEnd(this);

  constructor(atTurnEnd: (hook: TurnHook) => void) {
    this.#atTurnEnd = atTurnEnd;
  }

  nextRound(hook: () => void): void {
    if (this.#waiting.push(hook) === 1) setImmediate(this.#ask);
  }

  turnEnded(): void {
    const told = this.#waiting;
    this.#waiting = [];
    runAll(told);
  }
}

export class LoopRounds implements Rounds, Turns, Clock {
  /** Streams are told one by one: each has the whole of a turn's share. */
  readonly load = new TurnLoad();
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
    this.load.begin(1);
    runAll(told);
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

function runAll(hooks: readonly (() => void)[]): void {
  for (const hook of hooks) {
    try {
      hook();
    } catch (error) {
      throwAsUncaught(error);
    }
  }
}
