// How much may lie in the system's buffers for one peer and not have left this machine. What lies there is sent whatever becomes of the
// peer: to one that is choked again, or reads a little now and then, and whoever comes meanwhile shares our link with all of it.
//
//   first ──4 times as much was written──▶ 4 times as much ──▶ … ──▶ free
//     ▲ └───────── what it takes in a second ◀── each tick ─────────┘
//
// Always: a power of two, so that it is told to the system a few times only, and not below what a block needs. Who takes as fast as we write
// is bounded for its first moments, in which the system sends at once what it is given.

import { assert } from "../../base/assert.js";
import { BLOCK_SIZE, MIB } from "../../base/limits.js";

export const UNSENT_BYTES_MIN = BLOCK_SIZE;
/** Whoever takes more in a second soon has what waits for it, and what systems keep by themselves is not much more. */
const BOUNDED_BYTES_MAX = MIB;
/** No bound but the system's. */
export const UNSENT_FREE = 2 ** 31 - 1;
/** Of what the peer takes: it is written to about twice in that time. */
const UNSENT_S = 1;
const GROWTH = 4;

/** One call writes so many, and fewer where less may wait: systems look at the bound once for 64 KiB or so. */
export const BLOCKS_PER_CALL_MAX = 64;

export class UnsentBound {
  /** Bytes, or UNSENT_FREE. */
  bytes = UNSENT_FREE;
  blocksPerCall = BLOCKS_PER_CALL_MAX;
  #firstBytes = UNSENT_BYTES_MIN;
  #written = 0;

  /** The peer is unchoked, and has shown nothing: so much is worth a moment of our link. */
  begin(firstBytes: number): void {
    this.#firstBytes = bounded(firstBytes);
    this.#set(this.#firstBytes);
  }

  /** So much was written. True: more may be from here on. */
  wrote(bytes: number): boolean {
    if (this.bytes === UNSENT_FREE) return false;
    this.#written += bytes;
    if (this.#written < GROWTH * this.bytes) return false;
    this.#set(bounded(GROWTH * this.bytes));
    return true;
  }

  /** Time passed: the peer takes so many bytes in a second. True if the bound is another one. */
  tick(bytesPerSecond: number): boolean {
    const before = this.bytes;
    this.#set(Math.max(this.#firstBytes, bounded(UNSENT_S * bytesPerSecond)));
    return this.bytes !== before;
  }

  #set(bytes: number): void {
    assert(bytes >= UNSENT_BYTES_MIN && bytes <= UNSENT_FREE, "a bound lets a block pass");
    this.bytes = bytes;
    this.blocksPerCall = Math.min(BLOCKS_PER_CALL_MAX, Math.trunc(bytes / BLOCK_SIZE));
    this.#written = 0;
  }
}

/** Of all that were never sent a block: it is not begun, so that nothing of it changes. */
export const NEVER_BOUND = new UnsentBound();

/** The next power of two, at least a block. */
function bounded(bytes: number): number {
  if (bytes > BOUNDED_BYTES_MAX) return UNSENT_FREE;
  let power = UNSENT_BYTES_MIN;
  while (power < bytes) power *= 2;
  return power;
}
