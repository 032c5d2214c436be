// Calls into the program that embeds us: listeners of events, onBlock, trace, progress. They wait in one queue and are made
// when the turn of the loop that caused them is over, so that whatever a listener does or throws meets an engine at rest.
//
//   turn of the loop: handlers, completions, hooks ──tell, call──▶ queue ──▶ microtask: each by itself, in order
//                                                                     └─ more than CALLS_PER_TURN_MAX: the next turn goes on
//
// Always: calls are made in the order in which they were asked for, promises that are settled through the queue among them.
// What a listener throws is its program's: it becomes an `uncaughtException`, and the next call is made all the same. The queue
// is as long as one turn's events, since it is emptied before the loop goes on; what listeners cause themselves waits for the
// next turn when it is too much, so that two of them that answer each other do not stop the loop.

import type { EventEmitter } from "node:events";
import { WorkList } from "./work-list.js";

const CALLS_PER_TURN_MAX = 16_384;

/** Throws `error` where nobody of us stands between it and the program: it becomes an `uncaughtException`. */
export function throwAsUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Warnings that are kept for a listener that is still to come. */
const WARNINGS_MAX = 16;

export class UserCalls {
  readonly #waiting = new WorkList<() => void>();
  /** The next of those that wait. */
  #next = 0;
  #scheduled = false;
  /** Calls since the loop last went round; from the first on, a new round is waited for. */
  #calledThisTurn = 0;
  readonly #drainNow = (): void => this.#drain();
  readonly #newTurn = (): void => {
    this.#calledThisTurn = 0;
    if (this.length > 0) this.#drain();
  };

  /** Calls that wait. */
  get length(): number {
    return this.#waiting.count - this.#next;
  }

  /** Calls `callback` with `argument`, soon. */
  call<Argument>(callback: (argument: Argument) => void, argument: Argument): void {
    this.#push(() => callback(argument));
  }

  /** Tells the listeners that an event has when its turn comes, each by itself. */
  tell(emitter: object, name: string, args: readonly unknown[]): void {
    this.#push(() => {
      for (const listener of (emitter as EventEmitter).rawListeners(name)) {
        try {
          Reflect.apply(listener, emitter, args);
        } catch (error) {
          throwAsUncaught(error);
        }
      }
    });
  }

  /** Resolves when all that was asked for before has been called. */
  flushed(): Promise<void> {
    return new Promise((resolve) => this.call(resolve, undefined));
  }

  #push(call: () => void): void {
    this.#waiting.push(call);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#drainNow);
  }

  #drain(): void {
    const waiting = this.#waiting;
    while (this.#next < waiting.count) {
      if (this.#calledThisTurn === 0) setImmediate(this.#newTurn);
      // Still scheduled: the new turn goes on.
      if (this.#calledThisTurn === CALLS_PER_TURN_MAX) return;
      this.#calledThisTurn++;
      const call = waiting.at(this.#next++);
      try {
        call();
      } catch (error) {
        throwAsUncaught(error);
      }
    }
    waiting.clear();
    this.#next = 0;
    this.#scheduled = false;
  }
}

/** The event `warning` of an object: what is told before anybody listens, while it opens, is kept for who listens first. */
export class KeptWarnings {
  readonly #emitter: EventEmitter;
  readonly #userCalls: UserCalls;
  readonly #kept: string[] = [];

  constructor(emitter: object, userCalls: UserCalls) {
    this.#emitter = emitter as EventEmitter;
    this.#userCalls = userCalls;
    this.#emitter.on("newListener", (name: string | symbol) => {
      if (name === "warning") for (const text of this.#kept.splice(0)) this.#tellNow(text);
    });
  }

  tell(text: string): void {
    if (this.#emitter.listenerCount("warning") > 0) this.#tellNow(text);
    else if (this.#kept.length < WARNINGS_MAX) this.#kept.push(text);
  }

  #tellNow(text: string): void {
    this.#userCalls.tell(this.#emitter, "warning", [text]);
  }
}
