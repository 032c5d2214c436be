// The memory of one session: how the slab is divided, and copies between its parts and mapped files.
//
//   0          sink            header cells        contiguous buffer      send scratch      pool of slots …
//   ├─ 16 KiB ─┼── one page ───┼──── 256 KiB ──────┼──── 64 KiB ──────────┼─────────────────────────────┤
//
// The sink takes payload that nobody wants. Header cells, contiguous buffer and send scratch are used between a plan
// and its commit only, so one of each serves all connections.

import { assert } from "../../base/assert.js";
import {
  BLOCK_SIZE,
  MAPPING_ADDRESS_STRIDE,
  MESSAGE_MEMORY_BYTES,
  PAGE_SIZE,
  PIECE_HEADER_BYTES,
  POOL_BYTES_MIN,
  RECEIVE_BUFFER_BYTES,
  SPECULATION_DEPTH_MAX,
} from "../../base/limits.js";
import { BlockPool } from "./block-pool.js";
import { MessageMemory } from "./message-memory.js";

/** Bytes between the starts of header cells: 13 bytes fit, and a cell never crosses a cache line. */
export const HEADER_CELL_BYTES = 16;
export const SEND_SCRATCH_BYTES = 64 * 1024;

const CELLS_BYTES = PAGE_SIZE;
assert(HEADER_CELL_BYTES >= PIECE_HEADER_BYTES, "a header fits its cell");
assert((SPECULATION_DEPTH_MAX + 1) * HEADER_CELL_BYTES <= CELLS_BYTES, "all header cells fit their page");

/** Moves bytes between any two addresses; the addon's memmove. */
export interface NativeCopy {
  copy(from: number, to: number, length: number): void;
}

export class Memory {
  /** The slab; an address below its length is an index into it. */
  readonly bytes: Uint8Array;
  /** The same, for numbers of several bytes in network order. */
  readonly view: DataView;
  readonly pool: BlockPool;
  /** True when the slab is given back: what is read from it then is nobody's. */
  closed = false;
  /** What messages are gathered in that come in parts: on the heap, bounded for all together. */
  readonly messages = new MessageMemory(MESSAGE_MEMORY_BYTES);
  readonly sinkAddress = 0;
  readonly cellsAddress = BLOCK_SIZE;
  readonly bufferAddress = BLOCK_SIZE + CELLS_BYTES;
  readonly bufferBytes: number;
  readonly sendScratchAddress: number;
  readonly #native: NativeCopy | undefined;
  readonly #copiesNatively: boolean;

  /**
   * Divides `bytes` (page-aligned, a multiple of the page size). `native` is needed only where files are mapped, or where
   * it makes all copies, since it can time them (`copiesNatively`). `bufferBytes`: the contiguous buffer.
   */
  constructor(
    bytes: Uint8Array,
    native?: NativeCopy,
    { bufferBytes = RECEIVE_BUFFER_BYTES, copiesNatively = false } = {},
  ) {
    assert(bytes.length >= POOL_BYTES_MIN, "the slab holds scratch memory and some slots");
    assert(bufferBytes + 8 * BLOCK_SIZE < bytes.length, "the contiguous buffer leaves room for slots");
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.bufferBytes = bufferBytes;
    this.#native = native;
    this.#copiesNatively = copiesNatively;
    this.sendScratchAddress = this.bufferAddress + bufferBytes;
    const poolBase = Math.ceil((this.sendScratchAddress + SEND_SCRATCH_BYTES) / BLOCK_SIZE) * BLOCK_SIZE;
    this.pool = new BlockPool(bytes, poolBase, Math.floor((bytes.length - poolBase) / BLOCK_SIZE));
    assert(this.pool.slotCount > 0, "the slab holds slots behind what all share");
  }

  /** True while less than half of the pool is free: whoever holds a slot for long is hurried. */
  get isShort(): boolean {
    return 2 * this.pool.freeCount < this.pool.slotCount;
  }

  isMapped(address: number): boolean {
    return address >= MAPPING_ADDRESS_STRIDE;
  }

  /** memmove between any two addresses. */
  copy(from: number, to: number, length: number): void {
    const end = (from > to ? from : to) + length;
    assert(
      from >= 0 && to >= 0 && length >= 0 && (end <= this.bytes.length || end >= MAPPING_ADDRESS_STRIDE),
      "bytes are copied between addresses of the slab, or of files behind it",
    );
    if (from < MAPPING_ADDRESS_STRIDE && to < MAPPING_ADDRESS_STRIDE && !this.#copiesNatively) {
      this.bytes.copyWithin(to, from, from + length);
      return;
    }
    assert(this.#native !== undefined, "mapped memory is copied by native code");
    this.#native.copy(from, to, length);
  }
}
