// Who makes keys next: each exchange of an encryption handshake takes most of a millisecond, and strangers can ask for thousands.
//
// Always: there is one exchange of a stranger, and one of a connection of our own, in PAUSE_MS, and the loop turns between two of them;
// networks have their turns one after the other, so that whoever asks often waits for itself.

import type { Ground, Timer } from "../../base/ground.js";
import type { TurnHook } from "../../native/reactor.js";

/** Strangers have a fifth of a processor at the most, and our own connections as much. */
export const PAUSE_MS = 4;

export interface ExchangeWaiter {
  /** It is its turn. */
  exchange(): void;
}

/** One side of the queue: strangers cannot use up what is for our own connections. */
export type ExchangeKind = "incoming" | "outgoing";

class Lane {
  readonly #byNetwork = new Map<string, Set<ExchangeWaiter>>();

  get isEmpty(): boolean {
    return this.#byNetwork.size === 0;
  }

  add(network: string, waiter: ExchangeWaiter): void {
    const waiting = this.#byNetwork.get(network);
    if (waiting === undefined) this.#byNetwork.set(network, new Set([waiter]));
    else waiting.add(waiter);
  }

  remove(network: string, waiter: ExchangeWaiter): void {
    const waiting = this.#byNetwork.get(network);
    waiting?.delete(waiter);
    if (waiting?.size === 0) this.#byNetwork.delete(network);
  }

  /** Takes out the one that waits for longest of the network that had its turn longest ago. */
  next(): ExchangeWaiter | undefined {
    for (const [network, waiting] of this.#byNetwork) {
      this.#byNetwork.delete(network);
      for (const waiter of waiting) {
        waiting.delete(waiter);
        if (waiting.size > 0) this.#byNetwork.set(network, waiting);
        return waiter;
      }
    }
    return undefined;
  }
}

export class ExchangeTurns implements TurnHook {
  readonly #ground: Ground;
  readonly #atTurnEnd: (hook: TurnHook) => void;
  readonly #lanes: Readonly<Record<ExchangeKind, Lane>> = { incoming: new Lane(), outgoing: new Lane() };
  #lastMs = Number.NEGATIVE_INFINITY;
  #isComing = false;
  #timer: Timer | undefined;

  constructor(ground: Ground, atTurnEnd: (hook: TurnHook) => void) {
    this.#ground = ground;
    this.#atTurnEnd = atTurnEnd;
  }

  /** Calls `waiter` when it is its turn: never from inside this call. */
  ask(kind: ExchangeKind, network: string, waiter: ExchangeWaiter): void {
    this.#lanes[kind].add(network, waiter);
    this.#comeBack();
  }

  /** It waits no more. */
  forget(kind: ExchangeKind, network: string, waiter: ExchangeWaiter): void {
    this.#lanes[kind].remove(network, waiter);
    if (!this.#isIdle || this.#timer === undefined) return;
    this.#timer.close();
    this.#timer = undefined;
    this.#isComing = false;
  }

  turnEnded(): void {
    this.#isComing = false;
    this.#lastMs = this.#ground.nowMs();
    try {
      this.#lanes.outgoing.next()?.exchange();
    } finally {
      try {
        this.#lanes.incoming.next()?.exchange();
      } finally {
        if (!this.#isIdle) this.#comeBack();
      }
    }
  }

  get #isIdle(): boolean {
    return this.#lanes.incoming.isEmpty && this.#lanes.outgoing.isEmpty;
  }

  #comeBack(): void {
    if (this.#isComing) return;
    this.#isComing = true;
    const pauseMs = this.#lastMs + PAUSE_MS - this.#ground.nowMs();
    if (pauseMs <= 0) {
      this.#atTurnEnd(this);
      return;
    }
    this.#timer = this.#ground.after(pauseMs, () => {
      this.#timer = undefined;
      this.#atTurnEnd(this);
    });
    // The connection that waits keeps the program alive.
    this.#timer.unref();
  }
}
