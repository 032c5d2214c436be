// Bytes that wait to be received into a plan: parts that came one after the other, as they are.
//
// Always: what goes out is what came in, in order, each byte once; nothing is copied before it goes to its place.

import { BLOCK_SIZE } from "../../base/limits.js";
import type { Memory } from "../memory/memory.js";

/** Places of parts that are out, before the list is moved up: it may have a part for each byte, and is not moved for each of them. */
const PARTS_OUT_MAX = 1024;
/** What a part takes besides its bytes, about. */
const PART_OVERHEAD_BYTES = 128;
const NO_BYTES = new Uint8Array(0);

export class ByteQueue {
  readonly #memory: Memory;
  readonly #parts: Uint8Array[] = [];
  /** Which part is the first that is not out, and bytes of it that are. */
  #first = 0;
  #taken = 0;
  bytes = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** The memory that is held, about. */
  get heldBytes(): number {
    return this.bytes + PART_OVERHEAD_BYTES * (this.#parts.length - this.#first);
  }

  push(part: Uint8Array): void {
    this.#parts.push(part);
    this.bytes += part.length;
  }

  /** Moves bytes into entries `first` … of a plan of pairs (address, length); how many. */
  fill(plan: Float64Array, first: number, count: number): number {
    const before = this.bytes;
    for (let entry = first; entry < first + count && this.bytes > 0; entry++)
      this.#fillEntry(plan[2 * entry] ?? 0, plan[2 * entry + 1] ?? 0);
    return before - this.bytes;
  }

  #fillEntry(address: number, length: number): void {
    let filled = 0;
    while (filled < length) {
      const first = this.#parts[this.#first];
      if (first === undefined) break;
      const part = first.subarray(this.#taken, this.#taken + length - filled);
      this.#write(part, address + filled);
      filled += part.length;
      this.#taken += part.length;
      if (this.#taken < first.length) break;
      this.#partIsOut();
    }
    this.bytes -= filled;
  }

  #partIsOut(): void {
    this.#taken = 0;
    this.#parts[this.#first++] = NO_BYTES;
    if (this.#first < Math.min(PARTS_OUT_MAX, this.#parts.length)) return;
    this.#parts.splice(0, this.#first);
    this.#first = 0;
  }

  /** A mapped file is reached through memory that nobody reads. */
  #write(bytes: Uint8Array, address: number): void {
    const memory = this.#memory;
    if (!memory.isMapped(address)) {
      memory.bytes.set(bytes, address);
      return;
    }
    for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
      const part = bytes.subarray(at, at + BLOCK_SIZE);
      memory.bytes.set(part, memory.sinkAddress);
      memory.copy(memory.sinkAddress, address + at, part.length);
    }
  }
}
