// The pool of page-aligned slots of one block each that a session's blocks live in, and who holds which.
//
//   free ──acquire──▶ receiving ──hold──▶ storage or user ──release──▶ free
//        ◀────────────────────── release ──────────────────
//
// Always: a slot has one holder; the free list is last-in first-out, because a slot that was just used is still in
// the cache; freeCount + held slots = slotCount; all slots are home at close.

import { assert, entryOf } from "../../base/assert.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { SlotShare } from "./slot-share.js";

/** Who holds a slot. */
export const SlotHolder = { free: 0, receiving: 1, storage: 2, sending: 3, user: 4 } as const;
export type SlotHolder = (typeof SlotHolder)[keyof typeof SlotHolder];

/** Told when slots came home after {@link BlockPool.waitForSlots}. */
export interface SlotWaiter {
  slotsAvailable(): void;
}

const POISON = process.env["SCATTERWIRE_POISON"] === "1";

export class BlockPool {
  readonly slotCount: number;
  /** Slab address of slot 0; slot i begins at base + i × BLOCK_SIZE. */
  readonly base: number;
  readonly #bytes: Uint8Array;
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #holders: Uint8Array;
  /** Waiters in the order they came: those are woken first. */
  #waiters: SlotWaiter[] = [];
  /** Those that go on with a single slot, and bring more home by that. */
  #waitersForOne: SlotWaiter[] = [];
  /** Those in which somebody waits. */
  readonly #sharesWaited = new Set<SlotShare>();
  #lowestFreeCount: number;
  /** Slots that downloads keep for themselves, of those that are held. */
  #reservedCount = 0;
  /** Slots that downloads which found none to set aside are about to try again for. */
  #expectedCount = 0;

  constructor(bytes: Uint8Array, base: number, slotCount: number) {
    assert(base >= 0 && base + slotCount * BLOCK_SIZE <= bytes.length, "the pool lies inside the slab");
    this.#bytes = bytes;
    this.base = base;
    this.slotCount = slotCount;
    this.#free = new Int32Array(slotCount);
    // The lowest slot is on top, so that a small transfer touches few pages.
    for (let index = 0; index < slotCount; index++) this.#free[index] = slotCount - 1 - index;
    this.#freeCount = slotCount;
    this.#lowestFreeCount = slotCount;
    this.#holders = new Uint8Array(slotCount);
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  /** The most slots that were out at one time. */
  get peakHeld(): number {
    return this.slotCount - this.#lowestFreeCount;
  }

  addressOf(slot: SlotIndex): number {
    return this.base + slot * BLOCK_SIZE;
  }

  /** The slot that begins at `address`, or −1 if the address is not the start of a slot. */
  slotAt(address: number): SlotIndex | typeof NO_SLOT {
    const index = (address - this.base) / BLOCK_SIZE;
    return Number.isInteger(index) && index >= 0 && index < this.slotCount ? (index as SlotIndex) : NO_SLOT;
  }

  holderOf(slot: SlotIndex): SlotHolder {
    return this.#holders[slot] as SlotHolder;
  }

  /** Takes a free slot, or answers −1. */
  acquire(holder: SlotHolder): SlotIndex | typeof NO_SLOT {
    if (this.#freeCount === 0) return NO_SLOT;
    assert(holder !== SlotHolder.free, "a slot is taken by somebody");
    const slot = this.#free[--this.#freeCount] as SlotIndex;
    if (this.#freeCount < this.#lowestFreeCount) this.#lowestFreeCount = this.#freeCount;
    assert(this.#holders[slot] === SlotHolder.free, "a slot on the free list is free");
    this.#holders[slot] = holder;
    return slot;
  }

  /** Passes a held slot on to another holder. */
  pass(slot: SlotIndex, from: SlotHolder, to: SlotHolder): void {
    assert(this.#holders[slot] === from && from !== SlotHolder.free, "a slot is passed on by its holder");
    assert(to !== SlotHolder.free, "a slot is passed on to somebody");
    this.#holders[slot] = to;
  }

  /** The slot goes home, from its holder. */
  release(slot: SlotIndex, from: SlotHolder): void {
    assert(this.#holders[slot] === from && from !== SlotHolder.free, "a slot is freed once, by its holder");
    this.#holders[slot] = SlotHolder.free;
    if (POISON) this.#bytes.fill(0xdb, this.addressOf(slot), this.addressOf(slot) + BLOCK_SIZE);
    this.#free[this.#freeCount++] = slot;
  }

  /** Sets slots aside for one download, to be acquired at once. False: half of the pool is set aside already. */
  reserve(count: number): boolean {
    assert(count > 0, "some slots are set aside");
    if (count > this.#freeCount || 2 * (this.#reservedCount + count) > this.slotCount) return false;
    this.#reservedCount += count;
    return true;
  }

  /** The slots that were set aside are home again. */
  unreserve(count: number): void {
    this.#reservedCount -= count;
    assert(this.#reservedCount >= 0, "what is given back was set aside");
  }

  /**
   * For a download that could set none aside, before it goes to the trouble of another attempt. False: there are none, or as many others
   * try already. Whoever sets slots aside without a word may be sooner.
   */
  expect(count: number): boolean {
    assert(count > 0, "some slots are expected");
    const taken = this.#expectedCount + count;
    if (taken > this.#freeCount || 2 * (this.#reservedCount + taken) > this.slotCount) return false;
    this.#expectedCount = taken;
    return true;
  }

  /** The attempt is over. */
  expectNoMore(count: number): void {
    this.#expectedCount -= count;
    assert(this.#expectedCount >= 0, "what is expected no more was expected");
  }

  /** Puts `waiter` at the end of the queue for slots. It must not be in it already. */
  waitForSlots(waiter: SlotWaiter): void {
    this.#waiters.push(waiter);
  }

  /** Waits for any slot, before those that need several: for whoever has work in memory that a slot sets free. */
  waitForOne(waiter: SlotWaiter): void {
    this.#waitersForOne.push(waiter);
  }

  /** Somebody waits for room in that share, or nobody any more. For shares. */
  shareIsWaited(share: SlotShare): void {
    this.#sharesWaited.add(share);
  }

  shareIsFree(share: SlotShare): void {
    this.#sharesWaited.delete(share);
  }

  stopWaiting(waiter: SlotWaiter): void {
    for (const waiters of [this.#waiters, this.#waitersForOne]) {
      const at = waiters.indexOf(waiter);
      if (at >= 0) waiters.splice(at, 1);
    }
  }

  /**
   * Wakes waiters, first come first served, while at least `slotsEach` slots are free for each of them. Called at
   * the end of a turn, not at each release: a waiter that reads needs several slots to make the call worthwhile.
   */
  wakeWaiters(slotsEach: number): void {
    assert(slotsEach >= 1, "a waiter waits for slots");
    for (let left = this.#waitersForOne.length; left > 0 && this.#freeCount > 0; left--)
      this.#waitersForOne.shift()?.slotsAvailable();
    let budget = Math.floor(this.#freeCount / slotsEach);
    while (budget-- > 0 && this.#waiters.length > 0) this.#waiters.shift()?.slotsAvailable();
    for (const share of this.#sharesWaited) share.wake(slotsEach);
  }

  get waiterCount(): number {
    let count = this.#waiters.length + this.#waitersForOne.length;
    for (const share of this.#sharesWaited) count += share.waiterCount;
    return count;
  }

  /** Every slot is free, and once on the free list, or has a holder. For tests. */
  checkInvariants(): void {
    const seen = new Uint8Array(this.slotCount);
    for (let index = 0; index < this.#freeCount; index++) {
      const slot = entryOf(this.#free, index);
      assert(seen[slot] === 0, "a slot is on the free list once");
      assert(this.#holders[slot] === SlotHolder.free, "a slot on the free list is free");
      seen[slot] = 1;
    }
    const free = this.heldBy(SlotHolder.free);
    assert(free === this.#freeCount, "free and held slots are all slots");
    assert(this.#lowestFreeCount <= this.#freeCount, "there were never fewer free slots than the fewest");
    assert(2 * this.#reservedCount <= this.slotCount, "at most half of the pool is set aside");
    for (const waiters of [this.#waiters, this.#waitersForOne])
      assert(new Set(waiters).size === waiters.length, "who waits for slots waits once");
  }

  /** Slots that `holder` has. */
  heldBy(holder: SlotHolder): number {
    let count = 0;
    for (let slot = 0; slot < this.slotCount; slot++) if (this.#holders[slot] === holder) count++;
    return count;
  }

  /** Holders of slots that are out, for the message of a failed check at close. */
  heldByHolder(): Record<string, number> {
    const held: Record<string, number> = {};
    for (const [name, holder] of Object.entries(SlotHolder)) {
      if (holder === SlotHolder.free) continue;
      const count = this.#holders.reduce((sum, each) => sum + (each === holder ? 1 : 0), 0);
      if (count > 0) held[name] = count;
    }
    return held;
  }
}
