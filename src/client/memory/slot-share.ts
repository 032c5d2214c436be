// How much of the pool the storage of one torrent may have in its hands: a disk, or a program, that takes nothing stops its own torrent, and
// not all of the session.
//
//   held ≤ HELD_PER_FREE × free      one torrent that is stuck has three quarters of the pool at the most, two have three sevenths each
//
// A bound that shrinks with what is free, as in switches whose ports share memory (Choudhury and Hahne, "Dynamic queue length thresholds for
// shared-memory packet switches", 1998): nobody needs to know how many there are, or which of them are slow, and something is always left.
//
// Always: whoever waits here is woken at the end of a turn in which there is room, some at a time, in the order in which they came.

import { assert } from "../../base/assert.js";
import type { BlockPool, SlotWaiter } from "./block-pool.js";

const HELD_PER_FREE = 3;

/** Whose share it is. */
export interface SlotUser {
  /** Slots with blocks that are to be hashed and stored. */
  readonly heldSlots: number;
}

export class SlotShare {
  readonly #pool: BlockPool;
  readonly #user: SlotUser;
  readonly #waiters = new Set<SlotWaiter>();

  constructor(pool: BlockPool, user: SlotUser) {
    this.#pool = pool;
    this.#user = user;
  }

  /** True while it holds so much that nothing more may be received for it. */
  get isUsedUp(): boolean {
    return this.#user.heldSlots > HELD_PER_FREE * this.#pool.freeCount;
  }

  get waiterCount(): number {
    return this.#waiters.size;
  }

  /** Puts `waiter` at the end of the queue for room. */
  wait(waiter: SlotWaiter): void {
    assert(!this.#waiters.has(waiter), "who waits for room waits once");
    this.#waiters.add(waiter);
    this.#pool.shareIsWaited(this);
  }

  stopWaiting(waiter: SlotWaiter): void {
    this.#waiters.delete(waiter);
    if (this.#waiters.size === 0) this.#pool.shareIsFree(this);
  }

  /** Wakes as many as there is room for, where each may take `slotsEach`. */
  wake(slotsEach: number): void {
    if (this.isUsedUp) return;
    // Each slot that is taken is one more that is held, and one less that is free.
    const room = (HELD_PER_FREE * this.#pool.freeCount - this.#user.heldSlots) / (HELD_PER_FREE + 1);
    let left = Math.max(1, Math.floor(room / slotsEach));
    for (const waiter of this.#waiters) {
      if (left-- === 0) break;
      this.stopWaiting(waiter);
      waiter.slotsAvailable();
    }
  }
}
