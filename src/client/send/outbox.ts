// Bytes of small messages on their way to one peer, in the order they were written.
//
//   ├ sent ┤├──── to be sent ────┤├── room ──┤
//          start                 end
//
// Always: nothing is allocated until the first message; the memory is kept while messages flow and is given up by
// release() when the connection is idle, so that an idle peer holds none.

import { assert } from "../../base/assert.js";
import { REQUEST_MESSAGE_BYTES } from "../../base/limits.js";

const CAPACITY_INITIAL = 256;
/** The requests of 64 blocks. */
const COPY_ONE_BY_ONE_MAX = 64 * REQUEST_MESSAGE_BYTES;
/** Shared by all that hold nothing: a typed array takes 200 bytes even without elements. */
const NO_BYTES = new Uint8Array(0);

export class Outbox {
  bytes = NO_BYTES;
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }

  /** Makes room for `count` bytes at `end` and returns that offset in `bytes`. The caller writes, then calls wrote(). */
  reserve(count: number): number {
    assert(count > 0, "a message has bytes");
    if (this.end + count > this.bytes.length) this.#makeRoom(count);
    return this.end;
  }

  wrote(count: number): void {
    assert(this.end + count <= this.bytes.length, "what is written was reserved");
    this.end += count;
  }

  /** Copies the first `count` bytes that are to be sent. Few go one by one: the view that set() wants would be garbage. */
  copyTo(target: Uint8Array, at: number, count: number): void {
    const { bytes, start } = this;
    assert(count <= this.length && at + count <= target.length, "what is copied waits, and fits");
    if (count > COPY_ONE_BY_ONE_MAX) target.set(bytes.subarray(start, start + count), at);
    else for (let index = 0; index < count; index++) target[at + index] = bytes[start + index]!;
  }

  consume(count: number): void {
    assert(count >= 0 && count <= this.length, "no more leaves than waits");
    this.start += count;
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
    }
  }

  /** Gives the memory back if nothing waits. */
  release(): void {
    if (this.length === 0) this.bytes = NO_BYTES;
  }

  /** What waits lies inside the memory. For tests. */
  checkInvariants(): void {
    assert(this.start >= 0 && this.start <= this.end, "what was sent was written before");
    assert(this.end <= this.bytes.length, "what waits lies inside the memory");
    assert(this.start < this.end || this.start === 0, "an empty outbox begins at its start");
  }

  #makeRoom(count: number): void {
    const length = this.length;
    if (length + count <= this.bytes.length) {
      this.bytes.copyWithin(0, this.start, this.end);
    } else {
      const grown = new Uint8Array(Math.max(CAPACITY_INITIAL, 2 * this.bytes.length, length + count));
      grown.set(this.bytes.subarray(this.start, this.end));
      this.bytes = grown;
    }
    this.start = 0;
    this.end = length;
    assert(this.end + count <= this.bytes.length, "there is room now for what is written");
  }
}
