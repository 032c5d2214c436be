// A message on its way that is longer than what every connection gathers in: a bitfield, an extended message, or one that is skipped.
//
// Always: what is kept grows with what really came, so that a length alone costs the sender's word and none of our memory, and counts
// towards the bound that all connections share; drop() gives it back. What is skipped keeps nothing.

import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { Memory } from "../memory/memory.js";
import type { MessageHolder } from "../memory/message-memory.js";
import type { ReceivePlan } from "./receive-plan.js";

const GATHER_BYTES_INITIAL = 1024;

export class LongMessage implements MessageHolder {
  /** Of the whole message, id included, and how much of that came. */
  readonly length: number;
  #filled: number;
  readonly #memory: Memory;
  readonly #holder: MessageHolder;
  /** Undefined: it is skipped. */
  #bytes: Uint8Array | undefined;

  /** `filled` bytes of it came before; none of them is kept. `holder` is told when its memory goes to others. */
  constructor(memory: Memory, holder: MessageHolder, length: number, filled: number) {
    assert(filled >= 0 && filled < length, "a message on its way is not complete");
    this.#memory = memory;
    this.#holder = holder;
    this.length = length;
    this.#filled = filled;
  }

  /** Bytes that have not come. */
  get missing(): number {
    return this.length - this.#filled;
  }

  /** It is to be kept, beginning with what came of it, which is head[at …]. Throws PeerError if memory is short. */
  keep(head: Uint8Array, at: number): void {
    assert(
      this.#bytes === undefined && at + this.#filled <= head.length,
      "a message is begun once, from its head",
    );
    const bytes = this.#hold(Math.min(this.length, GATHER_BYTES_INITIAL));
    assert(this.#filled <= bytes.length, "what came before fits");
    bytes.set(head.subarray(at, at + this.#filled));
    this.#bytes = bytes;
  }

  /** Takes what lies at the plan's cursor and belongs to it. Throws PeerError if memory is short. */
  take(plan: ReceivePlan): void {
    const { missing } = this;
    const available = plan.available();
    assert(missing > 0 && available > 0, "bytes of a message come while some are missing");
    let count = missing < available ? missing : available;
    if (this.#bytes !== undefined) {
      const memory = this.#memory;
      let from = plan.address();
      if (memory.isMapped(from)) {
        // A wrong guess put it into a mapped file: the sink is memory that nobody reads.
        count = Math.min(count, BLOCK_SIZE);
        memory.copy(from, memory.sinkAddress, count);
        from = memory.sinkAddress;
      }
      this.#room(this.#filled + count).set(memory.bytes.subarray(from, from + count), this.#filled);
    }
    plan.advance(count);
    this.#filled += count;
    assert(this.#filled <= this.length, "no more is taken than belongs to it");
  }

  /** It is over. Returns its bytes, of which the first `length` are it; undefined if it was skipped. */
  drop(): Uint8Array | undefined {
    const bytes = this.#bytes;
    if (bytes === undefined) return undefined;
    this.#bytes = undefined;
    this.#memory.messages.release(this);
    return bytes;
  }

  messageEvicted(): void {
    this.#holder.messageEvicted();
  }

  #hold(bytes: number): Uint8Array {
    assert(bytes > 0 && bytes <= this.length, "no more is held than the message has");
    if (!this.#memory.messages.hold(this, bytes)) throw messageTooSlow();
    return new Uint8Array(bytes);
  }

  #room(length: number): Uint8Array {
    const present = this.#bytes;
    assert(present !== undefined && length <= this.length, "a message that is kept has its memory");
    if (present.length >= length) return present;
    const grown = this.#hold(Math.min(this.length, Math.max(2 * present.length, length)));
    grown.set(present.subarray(0, this.#filled));
    this.#bytes = grown;
    return grown;
  }
}

/** Why a connection ends whose message was evicted. */
export function messageTooSlow(): PeerError {
  return new PeerError("PEER_TIMEOUT", "a long message took longer than those of all others to come");
}
