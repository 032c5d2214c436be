// Slots that an assembler takes of the pool before the first block may come, and lends to nobody: some for reading back, and one that is
// parted into places for finished digests.
//
// Always: the piece that is read back has a place for its digest, whoever else waits for one. All slots go home at once.

import { assert } from "../../base/assert.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import { READ_BACK_SLOTS } from "./read-back.js";

export const RESERVED_SLOTS = 1 + READ_BACK_SLOTS;
/** Bytes between places for finished digests. */
const DIGEST_AREA_BYTES = 32;

export class ReservedSlots {
  readonly #pool: BlockPool;
  readonly #slots: SlotIndex[] = [];
  readonly #freeAreas: number[] = [];
  /** Place for the digest of the piece that is read back. */
  readonly readBackArea: number;
  /** Where what is read back goes. */
  readonly readBackAddresses: readonly number[];

  /** What is taken was reserved. */
  constructor(pool: BlockPool) {
    this.#pool = pool;
    const addresses: number[] = [];
    for (let index = 0; index < RESERVED_SLOTS; index++) {
      const slot = pool.acquire(SlotHolder.storage);
      assert(slot !== NO_SLOT, "what was reserved is free");
      this.#slots.push(slot);
      addresses.push(pool.addressOf(slot));
    }
    const [areas, ...readBack] = addresses;
    assert(areas !== undefined, "there is a slot for digests");
    this.readBackArea = areas;
    this.readBackAddresses = readBack;
    for (let at = DIGEST_AREA_BYTES; at < BLOCK_SIZE; at += DIGEST_AREA_BYTES)
      this.#freeAreas.push(areas + at);
  }

  /** A place for the finished digest of a piece; undefined: all are taken. */
  takeArea(): number | undefined {
    return this.#freeAreas.pop();
  }

  /** The digest at the place was read. */
  giveArea(area: number): void {
    const at = area - this.readBackArea;
    assert(at >= 0 && at < BLOCK_SIZE && at % DIGEST_AREA_BYTES === 0, "what is given back is such a place");
    if (area !== this.readBackArea) this.#freeAreas.push(area);
  }

  release(): void {
    assert(this.#slots.length === RESERVED_SLOTS, "what was taken goes home once");
    for (const slot of this.#slots.splice(0)) this.#pool.release(slot, SlotHolder.storage);
    this.#pool.unreserve(RESERVED_SLOTS);
  }
}
