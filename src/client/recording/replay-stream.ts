// The bytes of a recording as a byte stream: each receiving call of the recording is what one call of the replay can have at the most, so
// that what was cut there is cut here.
//
// Always: nothing is there but what push() brought; what is sent goes nowhere.

import { entryOf } from "../../base/assert.js";
import type { Memory } from "../memory/memory.js";
import type { ByteStream } from "../stream/byte-stream.js";

export class ReplayStream implements ByteStream {
  readonly #memory: Memory;
  readonly #entries: Float64Array;
  readonly #eagain: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** What comes behind all bytes: 0 is the end, below 0 an errno. */
  #end: number | undefined;
  events = 0;

  constructor(memory: Memory, entries: Float64Array, eagain: number) {
    this.#memory = memory;
    this.#entries = entries;
    this.#eagain = eagain;
  }

  /** Bytes that were pushed and not taken. */
  get pending(): number {
    return this.#bytes.length - this.#at;
  }

  push(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = 0;
  }

  end(errno: number): void {
    this.#end = errno;
  }

  open(_handler: unknown, events: number): number {
    this.events = events;
    return 0;
  }

  established(): number {
    return 0;
  }

  fill(first: number, count: number): number {
    if (this.pending === 0) return this.#end ?? this.#eagain;
    const before = this.#at;
    for (let entry = first; entry < first + count && this.pending > 0; entry++) {
      const take = Math.min(entryOf(this.#entries, 2 * entry + 1), this.pending);
      this.#memory.bytes.set(
        this.#bytes.subarray(this.#at, this.#at + take),
        entryOf(this.#entries, 2 * entry),
      );
      this.#at += take;
    }
    return this.#at - before;
  }

  drain(first: number, count: number): number {
    let sent = 0;
    for (let entry = first; entry < first + count; entry++) sent += entryOf(this.#entries, 2 * entry + 1);
    return sent;
  }

  drainFile(_fileFd: number, _offset: number, length: number): number {
    return length;
  }

  watch(events: number): void {
    this.events = events;
  }

  setLowWater(): void {}

  boundUnsent(): void {}

  unacknowledgedBytes(): number {
    return 0;
  }

  close(): void {
    this.#bytes = new Uint8Array(0);
    this.#at = 0;
  }
}
