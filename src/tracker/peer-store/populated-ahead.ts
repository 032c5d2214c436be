// Memory that is used from its beginning on, and has pages of the machine before it is needed: to find and clear a large page takes
// milliseconds, which whoever touches it first would wait for.
//
// Always: nothing is asked for before some of the memory is used, nothing twice, and no more than what is needed soon, to the end of a
// segment.

import { assert } from "../../base/assert.js";

/** A large page. What is asked for at one time, in swarms of one part. */
const SEGMENT_BYTES = 2 ** 21;
/** Less is not worth a thread's attention. */
const SHARE_BYTES_MIN = 2 ** 16;

/** Has somebody else, on another thread, find the machine's memory for these bytes, whatever is in them. */
export type Populate = (memory: Uint8Array) => void;

/** Of `bytes` that all parts are ahead together, what one of them is: each has its share of what comes. */
export function shareOfPart(bytes: number, parts: number): number {
  return Math.min(bytes, Math.max(SHARE_BYTES_MIN, bytes / parts));
}

export class PopulatedAhead {
  readonly #memory: Uint8Array;
  readonly #populate: Populate;
  readonly #aheadBytes: number;
  readonly #segmentBytes: number;
  #asked = 0;

  /**
   * `aheadBytes`: how much of the memory may be needed until advance() is called again, and that was asked for then is there, in all `parts`
   * together of which this is one.
   */
  constructor(memory: ArrayBuffer | SharedArrayBuffer, aheadBytes: number, populate: Populate, parts = 1) {
    this.#memory = new Uint8Array(memory);
    this.#aheadBytes = shareOfPart(aheadBytes, parts);
    this.#segmentBytes = shareOfPart(SEGMENT_BYTES, parts);
    this.#populate = populate;
  }

  /** Bytes of the memory. */
  get length(): number {
    return this.#memory.length;
  }

  /** Bytes that were asked for, from the beginning on. */
  get bytes(): number {
    return this.#asked;
  }

  /** So many bytes are used, of `end` that will be. */
  advance(used: number, end = this.#memory.length): void {
    assert(used >= 0 && end <= this.#memory.length, "what is used is of this memory");
    const needed = Math.min(used + this.#aheadBytes, end);
    while (this.#asked < needed) {
      const asked = Math.min(this.#asked + this.#segmentBytes, this.#memory.length);
      this.#populate(this.#memory.subarray(this.#asked, asked));
      this.#asked = asked;
    }
  }

  /** The memory was given back. */
  forget(): void {
    this.#asked = 0;
  }
}
