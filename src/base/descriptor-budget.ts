// How many descriptors connections and files may have open together: what the system allows a process, less what is left to its
// host. Counting only; nothing is opened or closed here.
//
//   limit ──┬─ the host's: 32 and a sixteenth, 512 at the most
//           └─ ours, less what is held ──┬─ connections: three quarters at the most, so that files always have a quarter
//                                        └─ files: a half at the most, so that connections always have as much
//
// What is held is there for long and cannot be closed meanwhile (locks): it is counted, never refused here, and leaves less to the others.
//
// Always: what is taken is never more than what is ours, but for what was taken before more was held, and for a quarter that files
// have whatever connections were there before; whoever was refused and waits is told when there is room again, in the
// order of asking.

import { assert } from "./assert.js";

export type DescriptorUse = "connection" | "file";

/** Closes something that nobody needs now, and releases its descriptor. False: there is nothing to close. */
export type DescriptorGiver = () => boolean;

/** Told once that a descriptor for its use is available again; it still has to take it, and may come too late. */
export type DescriptorWaiter = () => void;

const HOST_MIN = 32;
const HOST_SHARE = 16;
const HOST_MAX = 512;
/** Where the limit is smaller than what the host needs, we live on this much, and the system says no where it must. */
const OURS_MIN = 8;
/** Where the system knows no limit. */
const OURS_MAX = 1 << 20;

export class DescriptorBudget {
  /** What connections and files may have open together. */
  get total(): number {
    return Math.max(OURS_MIN, this.#ours - this.#held);
  }

  readonly #ours: number;
  #held = 0;
  readonly #used: Record<DescriptorUse, number> = { connection: 0, file: 0 };
  readonly #waiters: Readonly<Record<DescriptorUse, Set<DescriptorWaiter>>> = {
    connection: new Set(),
    file: new Set(),
  };

  readonly #givers = new Map<DescriptorUse, DescriptorGiver>();

  /** `limit`: descriptors that the process may have open; Infinity for no limit. */
  constructor(limit: number) {
    assert(limit >= 0, "a limit of descriptors is a number of them");
    const bounded = Math.min(limit, OURS_MAX + HOST_MAX);
    const host = Math.min(HOST_MAX, HOST_MIN + Math.floor(bounded / HOST_SHARE));
    this.#ours = bounded - host;
  }

  /** The most that one use may have as long as no more is held. */
  max(use: DescriptorUse): number {
    return Math.floor(use === "file" ? this.total / 2 : (3 * this.total) / 4);
  }

  used(use: DescriptorUse): number {
    return this.#used[use];
  }

  /** Whoever holds more than it needs now gives one back through `giver`, when the other use has none left. One for each use. */
  onShortage(use: DescriptorUse, giver: DescriptorGiver): void {
    this.#givers.set(use, giver);
  }

  /** The system has none left, whatever we counted: one use is asked for one that it does not need now. */
  askBack(use: DescriptorUse): boolean {
    return this.#givers.get(use)?.() === true;
  }

  /** True if take() will say yes; the other use may have been asked to give something back for it. */
  makeRoom(use: DescriptorUse): boolean {
    const giver = this.#givers.get(use === "file" ? "connection" : "file");
    while (!this.hasRoom(use)) if (this.#used[use] >= this.max(use) || giver?.() !== true) return false;
    return true;
  }

  /** True if take() would say yes at once. */
  hasRoom(use: DescriptorUse): boolean {
    const used = this.#used;
    if (used[use] >= this.max(use)) return false;
    const { total } = this;
    return used.connection + used.file < total || (use === "file" && used.file < Math.floor(total / 4));
  }

  /** Counts one descriptor more, before it is opened. False: there is none; close one of your own, or wait for one. */
  take(use: DescriptorUse): boolean {
    if (!this.makeRoom(use)) return false;
    this.#used[use]++;
    return true;
  }

  /** A descriptor that was taken is closed, or could not be opened. Tells those who wait as far as there is room. */
  release(use: DescriptorUse): void {
    assert(this.#used[use] > 0, "a descriptor is given back by whoever took it");
    this.#used[use]--;
    // The other use may have been held back by the sum of both.
    if (!this.#tellOne(use)) this.#tellOne(use === "file" ? "connection" : "file");
  }

  /** Counts one descriptor more that will stay open for long; files that nobody uses make room for it. */
  hold(): void {
    this.#held++;
    while (this.#used.connection + this.#used.file > this.total && this.askBack("file"));
  }

  /** What was held is closed. */
  letGo(): void {
    assert(this.#held > 0, "what is let go was held");
    this.#held--;
    if (!this.#tellOne("file")) this.#tellOne("connection");
  }

  /** Calls `waiter` once, when a descriptor for `use` was given back. */
  wait(use: DescriptorUse, waiter: DescriptorWaiter): void {
    this.#waiters[use].add(waiter);
  }

  stopWaiting(use: DescriptorUse, waiter: DescriptorWaiter): void {
    this.#waiters[use].delete(waiter);
  }

  #tellOne(use: DescriptorUse): boolean {
    if (!this.hasRoom(use)) return false;
    for (const waiter of this.#waiters[use]) {
      this.#waiters[use].delete(waiter);
      waiter();
      return true;
    }
    return false;
  }
}
