// How much peers that answer at once are asked for, together: one budget for a session.
//
// Whatever such a peer was asked for lies in a socket a moment later, or in the pool. What lies in sockets has left the cache
// when it is read, which doubles what receiving costs; and more than the pool takes pushes blocks out of it before they were
// hashed. With 16 such peers and no budget, a verified download costs twice as much, at half the speed.
//
// Other peers are not counted: what they were asked for is on its way, and comes a little at a time.

import { REQUESTS_SHARE_MIN } from "../../base/limits.js";

export class RequestShare {
  readonly #budget: number;
  #peers = 0;

  /** `budget`: requests of one block each. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Requests for each of those peers. */
  get each(): number {
    return Math.max(REQUESTS_SHARE_MIN, Math.floor(this.#budget / Math.max(1, this.#peers)));
  }

  join(): void {
    this.#peers++;
  }

  leave(): void {
    this.#peers--;
  }
}
