// Lends the blocks of verified pieces to the program (option onBlock), piece after piece, each in ascending order.
//
//   piece verified ─▶ queue ─┬─ block still in its slot: lent as it lies ──────────────┬▶ lease ─▶ released: slot is home
//                            └─ gone from memory: read back, up to 16 at a time ───────┘
//
// Where the last slots are held by blocks that wait behind one that has to be read back, those of the end give theirs.
//
// The program may be slow. Slots are its bound: while it holds them all, nothing is received. What is verified and waits for its
// turn to be read back is bounded by `isBehind`: then the torrent asks peers for nothing.
//
// Always: a block that is lent belongs to a piece whose digest was right; a slot given to add() is lent or goes home.

import { assert, entryOf } from "../../base/assert.js";
import type { StorageError } from "../../base/errors.js";
import { type BlockIndex, NO_SLOT, type PieceIndex, type SlotIndex, type Slots } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { UserCalls } from "../../base/user-calls.js";
import { SlotHolder, type SlotWaiter } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { BlockLease } from "../options.js";
import type { Layout } from "../storage/layout.js";
import type { MemoryList, Storage, StorageOwner } from "../storage/storage.js";
import { Lease } from "./lease.js";

/** Blocks that are read back at one time. */
const READ_BLOCKS_MAX = 16;

interface VerifiedPiece {
  readonly piece: PieceIndex;
  /** Per block: its slot, which is the user's already, or −1: it has to be read back. */
  readonly slots: Slots;
  /** The next block to lend. */
  next: number;
}

export interface LenderOptions {
  readonly layout: Layout;
  readonly memory: Memory;
  readonly storage: Storage;
  readonly userCalls: UserCalls;
  readonly onBlock: (lease: BlockLease) => void;
  /** Leases that may be out at one time; more wait until one comes back. */
  readonly heldMax: number;
  /** Less waits than did when it was behind: more may come. */
  readonly caughtUp: () => void;
  /** A lease came back. */
  readonly released: () => void;
  readonly failed: (error: StorageError) => void;
}

export class Lender implements SlotWaiter, StorageOwner {
  readonly #options: LenderOptions;
  readonly #queue: VerifiedPiece[] = [];
  readonly #list: MemoryList = {
    addresses: new Float64Array(READ_BLOCKS_MAX),
    lengths: new Float64Array(READ_BLOCKS_MAX),
    count: 0,
  };
  readonly #reading: SlotIndex[] = [];
  #blocksWaiting = 0;
  /** Leases that are out. */
  #held = 0;
  #waitingForSlots = false;
  #closed = false;
  #drainedWaiters: (() => void)[] = [];
  readonly #call: (lease: BlockLease) => void;
  readonly #released = (): void => {
    const wasBehind = this.isBehind;
    const wasFull = this.#held >= this.#options.heldMax;
    assert(this.#held > 0, "a lease comes back once");
    this.#held--;
    this.#options.released();
    if (wasFull) this.#advance();
    if (wasBehind && !this.isBehind && !this.#closed) this.#options.caughtUp();
  };

  constructor(options: LenderOptions) {
    this.#options = options;
    this.#call = (lease) => {
      try {
        options.onBlock(lease);
      } catch (error) {
        // Nobody is left who would give it back.
        lease.release();
        throw error;
      }
    };
  }

  /** So much waits that no more should come: half a pool, or two pieces; or so many leases are out that none may be lent. */
  get isBehind(): boolean {
    const { layout, memory, heldMax } = this.#options;
    if (this.#held >= heldMax) return true;
    const piecesMax = 2 * Math.ceil(layout.pieceLength / BLOCK_SIZE);
    return this.#blocksWaiting > Math.max(memory.pool.slotCount / 2, piecesMax);
  }

  /** A piece is verified. `slots`: those of its blocks that are still in memory, or −1; they pass from storage to us. */
  add(piece: PieceIndex, slots: Slots): void {
    const { layout, memory } = this.#options;
    const { pool } = memory;
    assert(slots.length === layout.blocksInPiece(piece), "each block of the piece has a slot, or needs one");
    for (const slot of slots) if (slot !== NO_SLOT) pool.pass(slot, SlotHolder.storage, SlotHolder.user);
    this.#queue.push({ piece, slots, next: 0 });
    this.#blocksWaiting += slots.length;
    this.#stopWaiting();
    if (this.#closed) this.#giveBack();
    // Also if it waited for a slot: what came now may hold the last ones.
    else this.#advance();
  }

  /** Lends one block that lies in `slot`, which is the user's already. */
  lend(piece: PieceIndex, block: BlockIndex, slot: SlotIndex): void {
    const { memory, layout, userCalls } = this.#options;
    const length = layout.blockLength(piece, block);
    assert(memory.pool.holderOf(slot) === SlotHolder.user, "what is lent is the user's already");
    this.#held++;
    userCalls.call(this.#call, new Lease(memory, slot, piece, block * BLOCK_SIZE, length, this.#released));
  }

  /** Resolves when all blocks of the pieces so far were lent, or never will be. */
  drained(): Promise<void> {
    if (this.#queue.length === 0 && this.#reading.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drainedWaiters.push(resolve));
  }

  /** Lends nothing more. Resolves when no memory is held but by leases. */
  close(): Promise<void> {
    this.#closed = true;
    this.#stopWaiting();
    this.#giveBack();
    return this.drained();
  }

  /** Counts what waits again, and compares. For tests, between two turns. */
  checkInvariants(): void {
    let waiting = 0;
    for (const { slots, next } of this.#queue) {
      assert(next <= slots.length, "no more is lent of a piece than it has");
      for (let block = 0; block < next; block++)
        assert(slots[block] === NO_SLOT, "the slot of a block that was lent is the lease's");
      waiting += slots.length - next;
    }
    assert(waiting === this.#blocksWaiting, "the lender counts what waits");
    assert(this.#held >= 0, "no more leases come back than went out");
    assert(this.#reading.length === 0 || this.#reading.length === this.#list.count, "a read has its slots");
    assert(!this.#closed || this.#queue.length === 0, "a closed lender holds nothing but what is being read");
  }

  #stopWaiting(): void {
    if (this.#waitingForSlots) this.#options.memory.pool.stopWaiting(this);
    this.#waitingForSlots = false;
  }

  slotsAvailable(): void {
    this.#waitingForSlots = false;
    this.#advance();
  }

  storageDone(_tag: number, error: StorageError | undefined): void {
    const slots = this.#reading.splice(0);
    const head = this.#queue[0];
    if (error !== undefined || head === undefined || this.#closed) {
      for (const slot of slots) this.#options.memory.pool.release(slot, SlotHolder.user);
      if (error !== undefined && !this.#closed) this.#options.failed(error);
      this.#noteDrained();
      return;
    }
    assert(head.next + slots.length <= head.slots.length, "what was read are blocks of the next piece");
    for (const slot of slots) this.#lendNext(head, slot);
    this.#advance();
  }

  #advance(): void {
    if (this.#waitingForSlots) return;
    while (!this.#closed && this.#reading.length === 0 && this.#held < this.#options.heldMax) {
      const head = this.#queue[0];
      if (head === undefined) break;
      if (head.next === head.slots.length) {
        this.#queue.shift();
        continue;
      }
      const slot = entryOf(head.slots, head.next);
      if (slot !== NO_SLOT) this.#lendNext(head, slot);
      else if (!this.#readBack(head)) return;
    }
    this.#noteDrained();
  }

  #lendNext(head: VerifiedPiece, slot: SlotIndex): void {
    const block = head.next as BlockIndex;
    assert(this.#blocksWaiting > 0, "what is lent waited");
    const wasBehind = this.isBehind;
    head.slots[block] = NO_SLOT;
    head.next++;
    this.#blocksWaiting--;
    if (wasBehind && !this.isBehind) this.#options.caughtUp();
    this.lend(head.piece, block, slot);
  }

  /** Reads the next blocks that are not in memory. False: no slot is free, and we are woken when one is. */
  #readBack(head: VerifiedPiece): boolean {
    const { memory, layout, storage, heldMax } = this.#options;
    const list = this.#list;
    const max = Math.min(READ_BLOCKS_MAX, heldMax - this.#held);
    assert(this.#reading.length === 0 && max > 0, "one read is under way at a time, of what may be lent");
    list.count = 0;
    // Blocks behind it may be what holds the last slots.
    if (memory.pool.freeCount === 0) this.#parkLast();
    for (let block = head.next; block < head.slots.length && list.count < max; block++) {
      if (head.slots[block] !== NO_SLOT) break;
      const slot = memory.pool.acquire(SlotHolder.user);
      if (slot === NO_SLOT) break;
      this.#reading.push(slot);
      list.addresses[list.count] = memory.pool.addressOf(slot);
      list.lengths[list.count] = layout.blockLength(head.piece, block);
      list.count++;
    }
    if (list.count === 0) {
      this.#waitingForSlots = true;
      memory.pool.waitForOne(this);
      return false;
    }
    storage.read(layout.pieceOffset(head.piece) + head.next * BLOCK_SIZE, list, this, 0);
    return true;
  }

  /** Lets some of the blocks go from memory that are lent last: they will be read back, too. */
  #parkLast(): void {
    const { memory, layout, storage } = this.#options;
    let left = READ_BLOCKS_MAX;
    for (let at = this.#queue.length - 1; at >= 0 && left > 0; at--) {
      const { piece, slots } = entryOf(this.#queue, at);
      for (let block = slots.length - 1; block >= 0 && left > 0; block--) {
        const slot = entryOf(slots, block);
        if (slot === NO_SLOT) continue;
        const offset = layout.pieceOffset(piece) + block * BLOCK_SIZE;
        if (!storage.keepsBlocks) storage.keep?.(offset, memory.pool.addressOf(slot));
        memory.pool.release(slot, SlotHolder.user);
        slots[block] = NO_SLOT;
        left--;
      }
    }
  }

  #giveBack(): void {
    for (const { slots } of this.#queue.splice(0))
      for (const slot of slots)
        if (slot !== NO_SLOT) this.#options.memory.pool.release(slot, SlotHolder.user);
    this.#blocksWaiting = 0;
  }

  #noteDrained(): void {
    if (this.#queue.length > 0 && !this.#closed) return;
    if (this.#reading.length > 0) return;
    for (const resolve of this.#drainedWaiters.splice(0)) resolve();
  }
}
