// Who makes keys next: each exchange of an encryption handshake takes a tenth of a millisecond, and strangers can ask for thousands.
//
//   asks ──▶ fresh, or late where its network had its share in the last minute ──▶ a turn: the fresh first, networks in turn
//
// Always: there is one exchange of a stranger, and one of a connection of our own, in PAUSE_MS, and the loop turns between two of them;
// networks have their turns one after the other, so that whoever asks often waits for itself, and thousands that ask again and again hold
// up nobody who comes new. What is remembered of networks is bounded.

import type { Ground, Timer } from "../../base/ground.js";
import { chargedTo, networkOf } from "../../base/network-address.js";
import type { TurnHook } from "../../native/reactor.js";

/** Strangers have a seventh of a processor at the most, and our own connections as much. */
export const PAUSE_MS = 1;
/** For so long a network that had an exchange, or a site that had one for each of SITE_TIMES, comes behind those that had none. */
export const SHARE_MS = 60_000;
/** Networks and sites of which that is remembered. */
const REMEMBERED_MAX = 8192;

export interface ExchangeWaiter {
  /** It is its turn. */
  exchange(): void;
}

/** One side of the queue: strangers cannot use up what is for our own connections. */
export type ExchangeKind = "incoming" | "outgoing";

/** Who waits, by network, and an address of each network. */
interface Waiting {
  readonly host: string;
  readonly waiters: Set<ExchangeWaiter>;
}

class Lane {
  readonly #fresh = new Map<string, Waiting>();
  readonly #late = new Map<string, Waiting>();
  /** Exchanges of networks and sites, and since when they are counted; the last one counted first at the end. */
  readonly #shares = new Map<string, { count: number; readonly sinceMs: number }>();

  get isEmpty(): boolean {
    return this.#fresh.size === 0 && this.#late.size === 0;
  }

  add(host: string, waiter: ExchangeWaiter, nowMs: number): void {
    const network = networkOf(host);
    const waiting = this.#fresh.get(network) ?? this.#late.get(network);
    if (waiting === undefined) this.#queueFor(host, nowMs).set(network, { host, waiters: new Set([waiter]) });
    else waiting.waiters.add(waiter);
  }

  remove(host: string, waiter: ExchangeWaiter): void {
    const network = networkOf(host);
    const queue = this.#fresh.has(network) ? this.#fresh : this.#late;
    const waiters = queue.get(network)?.waiters;
    waiters?.delete(waiter);
    if (waiters?.size === 0) queue.delete(network);
  }

  /** Takes out the one that waits for longest of the network that had its turn longest ago. */
  next(nowMs: number): ExchangeWaiter | undefined {
    const queue = this.#fresh.size > 0 ? this.#fresh : this.#late;
    for (const [network, waiting] of queue) {
      queue.delete(network);
      const { host, waiters } = waiting;
      for (const waiter of waiters) {
        waiters.delete(waiter);
        this.#count(host, nowMs);
        if (waiters.size > 0) this.#queueFor(host, nowMs).set(network, waiting);
        return waiter;
      }
    }
    return undefined;
  }

  #queueFor(host: string, nowMs: number): Map<string, Waiting> {
    const isFresh = chargedTo(host).every(({ name, times }) => {
      const share = this.#shares.get(name);
      return share === undefined || nowMs - share.sinceMs >= SHARE_MS || share.count < times;
    });
    return isFresh ? this.#fresh : this.#late;
  }

  #count(host: string, nowMs: number): void {
    for (const { name } of chargedTo(host)) {
      const share = this.#shares.get(name);
      if (share !== undefined && nowMs - share.sinceMs < SHARE_MS) {
        share.count++;
        continue;
      }
      this.#shares.delete(name);
      this.#shares.set(name, { count: 1, sinceMs: nowMs });
      const [oldest] = this.#shares.keys();
      if (oldest !== undefined && this.#shares.size > REMEMBERED_MAX) this.#shares.delete(oldest);
    }
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

  /** Calls `waiter` when it is its turn: never from inside this call. `host`: of the far end. */
  ask(kind: ExchangeKind, host: string, waiter: ExchangeWaiter): void {
    this.#lanes[kind].add(host, waiter, this.#ground.nowMs());
    this.#comeBack();
  }

  /** It waits no more. */
  forget(kind: ExchangeKind, host: string, waiter: ExchangeWaiter): void {
    this.#lanes[kind].remove(host, waiter);
    if (!this.#isIdle || this.#timer === undefined) return;
    this.#timer.close();
    this.#timer = undefined;
    this.#isComing = false;
  }

  turnEnded(): void {
    this.#isComing = false;
    this.#lastMs = this.#ground.nowMs();
    try {
      this.#lanes.outgoing.next(this.#lastMs)?.exchange();
    } finally {
      try {
        this.#lanes.incoming.next(this.#lastMs)?.exchange();
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
