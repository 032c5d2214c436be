// Connection ids of the UDP protocol (BEP 15): they show that somebody receives at the address they send from. An id is a keyed
// hash of the address and of the time slot it was given out in, so that nothing is kept for anybody, and several machines that
// share a key take each other's. Its last bits say which slot that was: one hash tells whether it is valid, however old it is.
//
// Always: an id is taken from the address it was given to only (whatever the port), in its own slot and in those after it that are
// still valid. Nothing is allocated.

import { UsageError } from "../../base/errors.js";
import { CHASKEY_BLOCK_WORDS, CHASKEY_KEY_WORDS, Chaskey } from "../../base/keyed-hash.js";

export { CHASKEY_KEY_WORDS as CONNECTION_KEY_WORDS };

/** BEP 15 has clients use an id for one minute, and trackers take it for two. */
export const SLOT_MS = 60_000;
/** What is hashed says which kind of address it is of: an IPv6 address that ends as an IPv4 one begins has another id. */
const IPV4 = 4;
const IPV6 = 6;
/** Slots that an id tells apart, which are the most that one can be valid in. Of its 64 bits 60 are the hash. */
const SLOTS_TOLD = 16;

export class ConnectionIds {
  /** The last id that was made, in two halves. */
  high = 0;
  low = 0;
  readonly #hash: Chaskey;
  readonly #slots: number;
  readonly #message = new Uint32Array(2 * CHASKEY_BLOCK_WORDS);
  #slot = 0;

  /**
   * `key`: CONNECTION_KEY_WORDS words. `slots`: in how many time slots an id is valid, its own included, 1 to 16; 2 is what BEP 15 has.
   * Throws UsageError.
   */
  constructor(key: Uint32Array, slots = 2) {
    if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_TOLD)
      throw new UsageError(
        "USAGE_OPTION",
        `connectionSlots: expected a whole number from 1 to ${SLOTS_TOLD}, not ${slots}`,
      );
    this.#hash = new Chaskey(key);
    this.#slots = slots;
  }

  /** Machines that share a key have the same clock: `nowMs` counts from the epoch. */
  advance(nowMs: number): void {
    this.#slot = Math.floor(nowMs / SLOT_MS);
  }

  /** Sets `high` and `low` to the id of an address: 1 word of IPv4 or 4 of IPv6, from `at`. */
  make(family: 4 | 6, address: Uint32Array, at: number): void {
    this.#make(family, address, at, this.#slot);
  }

  isValid(family: 4 | 6, address: Uint32Array, at: number, high: number, low: number): boolean {
    const back = (this.#slot - low) & (SLOTS_TOLD - 1);
    if (back >= this.#slots) return false;
    this.#make(family, address, at, this.#slot - back);
    return this.low === low && this.high === high;
  }

  #make(family: 4 | 6, address: Uint32Array, at: number, slot: number): void {
    if (family === 4) {
      this.#hash.block(address[at]!, slot, IPV4, 0);
    } else {
      const message = this.#message;
      for (let word = 0; word < 4; word++) message[word] = address[at + word]!;
      message[4] = slot;
      message[5] = IPV6;
      this.#hash.blocks(message, 0, 2);
    }
    this.low = ((this.#hash.low & -SLOTS_TOLD) | (slot & (SLOTS_TOLD - 1))) >>> 0;
    this.high = this.#hash.high;
  }
}
