// Where the bytes of the next receive go, and the cursor that reads them back in stream order.
//
//   entry 0        entry 1            entry 2       entry 3
//   ├─ 13 bytes ─┤ ├─ slot 7 ───────┤ ├─ 13 bytes ─┤ ├─ slot 3 ───────┤
//   cell           predicted          cell           predicted
//                        ▲ segment 1, within n;  left = bytes of this receive behind the cursor
//
// One plan serves all connections of a session, because it lives from plan() to the end of commit(), which never
// interleave. Always: a slot named in `slots` belongs to the plan until a block takes it; the others go home.

import { assert } from "../../base/assert.js";
import { NO_SLOT, type SlotIndex, type Slots } from "../../base/ids.js";
import { BLOCK_SIZE, PLAN_ENTRIES_MAX } from "../../base/limits.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";

export class ReceivePlan {
  /** Pairs (address, length): shared with native code, or ordinary memory in tests. */
  readonly entries: Float64Array;
  /**
   * The same once more, for the cursor: what is read from an array of doubles is a double for V8, and so is all that is computed
   * from it, which costs memory until the code is optimised. A plain array keeps small integers as such.
   */
  readonly #addresses = new Array<number>(PLAN_ENTRIES_MAX).fill(0);
  readonly #lengths = new Int32Array(PLAN_ENTRIES_MAX);
  readonly #slots = new Int32Array(PLAN_ENTRIES_MAX).fill(NO_SLOT) as Slots;
  /** 1 for entries that hold the payload of a block whose header has not come yet. */
  readonly #predicted = new Uint8Array(PLAN_ENTRIES_MAX);
  count = 0;
  /** Bytes that all entries take together. */
  bytes = 0;

  segment = 0;
  within = 0;
  left = 0;

  constructor(entries: Float64Array) {
    assert(entries.length >= 2 * PLAN_ENTRIES_MAX, "the shared plan has room for all entries");
    this.entries = entries;
  }

  add(address: number, length: number, slot: SlotIndex | typeof NO_SLOT, predicted: boolean): void {
    assert(
      address >= 0 &&
        length > 0 &&
        this.count < PLAN_ENTRIES_MAX &&
        (slot === NO_SLOT || length <= BLOCK_SIZE),
      "an entry takes bytes, no more than its slot has, and fits the plan",
    );
    const at = this.count++;
    this.entries[2 * at] = address;
    this.entries[2 * at + 1] = length;
    this.#addresses[at] = address;
    this.#lengths[at] = length;
    this.#slots[at] = slot;
    this.#predicted[at] = predicted ? 1 : 0;
    this.bytes += length;
  }

  /** So many bytes of it are received at the most. Returns the entries to fill; what is planned behind them is as if nothing had come. */
  cut(bytes: number): number {
    assert(bytes > 0 && bytes < this.bytes, "a plan is cut to a part of it");
    assert(this.left === 0, "a plan is cut before it is received into");
    let left = bytes;
    for (let at = 0; at < this.count; at++) {
      const length = this.#lengths[at]!;
      if (length >= left) {
        this.entries[2 * at + 1] = left;
        return at + 1;
      }
      left -= length;
    }
    return this.count;
  }

  /** Puts the cursor before the first of `received` bytes. */
  rewind(received: number): void {
    assert(received >= 0 && received <= this.bytes, "no more arrives than was planned for");
    assert(this.left === 0, "what came before was read to its end");
    this.segment = 0;
    this.within = 0;
    this.left = received;
  }

  /** Bytes that lie together at the cursor: at least 1 while `left` is not 0. */
  available(): number {
    let room = this.#lengths[this.segment]! - this.within;
    if (room === 0 && this.left > 0) {
      this.segment++;
      this.within = 0;
      assert(this.segment < this.count, "all that came lies in entries of the plan");
      room = this.#lengths[this.segment]!;
    }
    return room < this.left ? room : this.left;
  }

  /** Address of the byte at the cursor; call available() first. */
  address(): number {
    return this.#addresses[this.segment]! + this.within;
  }

  advance(count: number): void {
    assert(
      count > 0 && count <= this.left && this.within + count <= this.#lengths[this.segment]!,
      "the cursor goes on, within what came and lies together",
    );
    this.within += count;
    this.left -= count;
  }

  /** True if the cursor stands at the start of memory that was set aside for a predicted payload of `length` bytes. */
  atPrediction(length: number): boolean {
    return this.within === 0 && this.#predicted[this.segment] === 1 && this.#lengths[this.segment] === length;
  }

  /**
   * Takes the slot that the cursor stands in for the block of `length` bytes that begins at the cursor, or answers
   * NO_SLOT. The block's bytes can be moved to the start of that slot only if nothing else is still to be read from
   * it behind the block: the block must reach the end of the entry or of the receive.
   */
  takeSlotHere(length: number): SlotIndex | typeof NO_SLOT {
    const slot = this.#slots[this.segment]!;
    if (slot === NO_SLOT) return NO_SLOT;
    const room = this.#lengths[this.segment]! - this.within;
    if (room > length && this.left > length) return NO_SLOT;
    assert(this.segment < this.count && this.left > 0, "a block takes the slot that its first byte lies in");
    this.#slots[this.segment] = NO_SLOT;
    return slot;
  }

  /** True if an entry behind the one of the cursor begins at `address`: its bytes are still to be read. */
  isUnread(address: number): boolean {
    for (let at = this.segment + 1; at < this.count; at++) {
      if (this.#addresses[at] === address) return true;
    }
    return false;
  }

  /** Predicted payloads that the first `received` bytes reached into. */
  predictionsTouched(received: number): number {
    assert(received >= 0 && received <= this.bytes, "no more is reached than was planned for");
    let touched = 0;
    let start = 0;
    for (let at = 0; at < this.count && start < received; at++) {
      touched += this.#predicted[at]!;
      start += this.#lengths[at]!;
    }
    return touched;
  }

  /** Between two receives the plan is empty, and names no slot. For tests. */
  checkInvariants(): void {
    assert(this.count === 0 && this.bytes === 0 && this.left === 0, "a plan lives from plan() to commit()");
    for (let at = 0; at < this.#slots.length; at++)
      assert(this.#slots[at] === NO_SLOT, "an empty plan holds no slot");
  }

  /** Sends slots that no block took home and empties the plan. */
  clear(pool: BlockPool): void {
    // Last one first: the next plan gets them in the same order again.
    for (let at = this.count - 1; at >= 0; at--) {
      const slot = this.#slots[at]!;
      if (slot !== NO_SLOT) {
        this.#slots[at] = NO_SLOT;
        pool.release(slot, SlotHolder.receiving);
      }
    }
    this.count = 0;
    this.bytes = 0;
    this.left = 0;
  }
}
