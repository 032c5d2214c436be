// A block of the pool in the hands of the program that embeds us, until it gives it back.
//
// Always: what was given back, by its release or with the session, shows no bytes any more.

import { UsageError } from "../../base/errors.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { BlockLease } from "../options.js";

/** With SCATTERWIRE_LEASES=1, leases that nobody can release any more are told: their slots are lost until the session is closed. */
const lost =
  process.env["SCATTERWIRE_LEASES"] === "1"
    ? new FinalizationRegistry<string>((what) => {
        process.emitWarning(`a lease was lost without release(): ${what}`, "ScatterwireWarning");
      })
    : undefined;

export class Lease implements BlockLease {
  readonly piece: number;
  readonly begin: number;
  readonly length: number;
  readonly #memory: Memory;
  readonly #released: () => void;
  readonly #address: number;
  #slot: SlotIndex | typeof NO_SLOT;
  #bytes: Uint8Array | undefined;

  /** `slot` is its user's from now on; `released` is called when it is home again. */
  constructor(
    memory: Memory,
    slot: SlotIndex,
    piece: number,
    begin: number,
    length: number,
    released: () => void,
  ) {
    this.#memory = memory;
    this.#slot = slot;
    this.#address = memory.pool.addressOf(slot);
    this.piece = piece;
    this.begin = begin;
    this.length = length;
    this.#released = released;
    lost?.register(this, `piece ${piece}, byte ${begin}; ${new Error("it was lent here").stack}`, this);
  }

  get bytes(): Uint8Array {
    if (this.#slot === NO_SLOT) {
      throw new UsageError(
        "USAGE_STATE",
        `the lease of piece ${this.piece}, byte ${this.begin}, was released: its memory holds another block by now. Copy what is needed for longer (Buffer.from(lease.bytes)), or release later`,
      );
    }
    if (this.#memory.closed)
      throw new UsageError("USAGE_STATE", "the session was closed, and its memory given back with it");
    this.#bytes ??= this.#memory.bytes.subarray(this.#address, this.#address + this.length);
    return this.#bytes;
  }

  release(): void {
    if (this.#slot === NO_SLOT) return;
    const slot = this.#slot;
    this.#slot = NO_SLOT;
    this.#bytes = undefined;
    lost?.unregister(this);
    this.#memory.pool.release(slot, SlotHolder.user);
    this.#released();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
