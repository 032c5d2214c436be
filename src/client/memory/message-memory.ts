// The memory of one session that long messages are gathered in while they come: bitfields and extended messages, the
// only ones that do not fit where every connection gathers the heads of messages.
//
// Always: all of it together is at most `bytesMax`. Whoever comes when it is full is served, and the message that has been
// on its way longest goes, with its connection: an honest one is there in a moment, one that never ends gets old.

import { assert } from "../../base/assert.js";

/** Whoever gathers a message. */
export interface MessageHolder {
  /** The memory is needed by others: the message will not be gathered, and nothing of it is held any more. */
  messageEvicted(): void;
}

export class MessageMemory {
  readonly #bytesMax: number;
  /** By holder, the one that began first in front. */
  readonly #held = new Map<MessageHolder, number>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that are held by all. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `holder` holds `bytes` from now on. False: it was the one to go, and holds nothing. */
  hold(holder: MessageHolder, bytes: number): boolean {
    const before = this.#held.get(holder) ?? 0;
    assert(bytes > before, "a message that comes takes more and more");
    this.#bytes += bytes - before;
    this.#held.set(holder, bytes);
    while (this.#bytes > this.#bytesMax) {
      const [oldest] = this.#held.keys();
      assert(oldest !== undefined, "who holds memory is known");
      this.release(oldest);
      if (oldest === holder) return false;
      oldest.messageEvicted();
    }
    return true;
  }

  /** The message is whole, or will never be. */
  release(holder: MessageHolder): void {
    const bytes = this.#held.get(holder);
    if (bytes === undefined) return;
    this.#held.delete(holder);
    this.#bytes -= bytes;
    assert(
      this.#bytes >= 0 && (this.#bytes === 0) === (this.#held.size === 0),
      "what is held is given back once",
    );
  }

  /** Counts again what is held, and compares. For tests. */
  checkInvariants(): void {
    let bytes = 0;
    for (const held of this.#held.values()) bytes += held;
    assert(bytes === this.#bytes, "the memory counts what is held");
    assert(bytes <= this.#bytesMax, "all that is held has a bound");
  }
}
