// How much peers that answer at once are asked for, together: one budget for a session.
//
// Whatever such a peer was asked for lies in a socket a moment later, or in the pool. What lies in sockets has left the cache
// when it is read, which doubles what receiving costs; and more than the pool takes pushes blocks out of it before they were
// hashed. With 16 such peers and no budget, a verified download costs twice as much, at half the speed.
//
// One that is alone, and brings blocks at a high rate, is asked for more: a turn of the loop costs the same whatever it brings, and much of that
// while V8 has not compiled it. Waiting for more than a processor's cache holds costs it less than those turns.
//
// Other peers are not counted: what they were asked for is on its way, and comes a little at a time.

import { REQUESTS_SHARE_MIN } from "../../base/limits.js";

export class RequestShare {
  readonly #budget: number;
  readonly #alone: number;
  #peers = 0;

  /** `budget`: requests of one block each. `alone`: those of one that is alone and has a high rate. */
  constructor(budget: number, alone = budget) {
    this.#budget = budget;
    this.#alone = alone;
  }

  /** Requests for each of those peers, where it has a high rate or has not. */
  each(isHighRate: boolean): number {
    if (isHighRate && this.#peers <= 1) return this.#alone;
    return Math.max(REQUESTS_SHARE_MIN, Math.floor(this.#budget / Math.max(1, this.#peers)));
  }

  join(): void {
    this.#peers++;
  }

  leave(): void {
    this.#peers--;
  }
}
