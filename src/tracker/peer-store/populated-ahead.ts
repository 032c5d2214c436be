// Memory that is used from its beginning on, and has pages of the machine before it is needed: to find and clear a large page takes
// milliseconds, which whoever touches it first would wait for.
//
// Always: nothing is asked for before some of the memory is used, nothing twice, and no more than what is needed soon, to the end of a
// large page.

/** A large page. What is asked for at one time. */
const SEGMENT_BYTES = 2 ** 21;

/** Has somebody else, on another thread, find the machine's memory for these bytes, whatever is in them. */
export type Populate = (memory: Uint8Array) => void;

export class PopulatedAhead {
  readonly #memory: Uint8Array;
  readonly #populate: Populate;
  readonly #aheadBytes: number;
  #asked = 0;

  /** `aheadBytes`: how much of the memory may be needed until advance() is called again, and that was asked for then is there. */
  constructor(memory: ArrayBuffer | SharedArrayBuffer, aheadBytes: number, populate: Populate) {
    this.#memory = new Uint8Array(memory);
    this.#aheadBytes = aheadBytes;
    this.#populate = populate;
  }

  /** Bytes that were asked for, from the beginning on. */
  get bytes(): number {
    return this.#asked;
  }

  /** So many bytes are used, of `end` that will be. */
  advance(used: number, end = this.#memory.length): void {
    const needed = Math.min(used + this.#aheadBytes, end);
    while (this.#asked < needed) {
      const asked = Math.min(this.#asked + SEGMENT_BYTES, this.#memory.length);
      this.#populate(this.#memory.subarray(this.#asked, asked));
      this.#asked = asked;
    }
  }

  /** The memory was given back. */
  forget(): void {
    this.#asked = 0;
  }
}
