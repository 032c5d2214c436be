// The slab is divided into parts that do not meet, and bytes move inside it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../../../../src/base/assert.js";
import {
  BLOCK_SIZE,
  MAPPING_ADDRESS_STRIDE,
  MIB,
  PAGE_SIZE,
  PIECE_HEADER_BYTES,
  SPECULATION_DEPTH_MAX,
} from "../../../../src/base/limits.js";
import { HEADER_CELL_BYTES, Memory, SEND_SCRATCH_BYTES } from "../../../../src/client/memory/memory.js";
import { entryOf } from "../../../support/required.js";

describe("Memory", () => {
  it("divides the slab into parts that do not meet, slots at page boundaries", () => {
    for (const size of [1 * MIB, 1 * MIB + PAGE_SIZE, 32 * MIB]) {
      const memory = new Memory(new Uint8Array(size));
      const parts: [number, number][] = [
        [memory.sinkAddress, BLOCK_SIZE],
        [memory.cellsAddress, (SPECULATION_DEPTH_MAX + 1) * HEADER_CELL_BYTES],
        [memory.bufferAddress, memory.bufferBytes],
        [memory.sendScratchAddress, SEND_SCRATCH_BYTES],
        [memory.pool.base, memory.pool.slotCount * BLOCK_SIZE],
        [size, 0],
      ];
      for (let index = 1; index < parts.length; index++) {
        const [start, length] = entryOf(parts, index - 1);
        assert.ok(start + length <= entryOf(parts, index)[0], `part ${index - 1} ends before part ${index}`);
      }
      assert.equal(memory.pool.base % PAGE_SIZE, 0);
      assert.ok(
        size - memory.pool.base - memory.pool.slotCount * BLOCK_SIZE < BLOCK_SIZE,
        "no slot is wasted",
      );
      assert.ok(memory.pool.slotCount > 8);
    }
    assert.ok(HEADER_CELL_BYTES >= PIECE_HEADER_BYTES);
  });

  it("moves bytes inside the slab, also where both places overlap", () => {
    const bytes = new Uint8Array(MIB);
    const memory = new Memory(bytes);
    for (let index = 0; index < 10; index++) bytes[index] = index;
    memory.copy(0, 3, 10);
    assert.deepEqual([...bytes.subarray(3, 13)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    memory.copy(3, 0, 10);
    assert.deepEqual([...bytes.subarray(0, 10)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("leaves copies from and to mapped files to native code", () => {
    const calls: number[][] = [];
    const memory = new Memory(new Uint8Array(MIB), { copy: (...each) => void calls.push(each) });
    const mapped = MAPPING_ADDRESS_STRIDE + 5;
    assert.equal(memory.isMapped(mapped), true);
    assert.equal(memory.isMapped(MIB), false);
    memory.copy(mapped, 0, 7);
    memory.copy(0, mapped, 8);
    memory.copy(mapped, 2 * MAPPING_ADDRESS_STRIDE, 9);
    assert.deepEqual(calls, [
      [mapped, 0, 7],
      [0, mapped, 8],
      [mapped, 2 * MAPPING_ADDRESS_STRIDE, 9],
    ]);
    assert.throws(() => new Memory(new Uint8Array(MIB)).copy(mapped, 0, 1), AssertionError);
  });

  it("needs room for scratch memory and some slots", () => {
    assert.throws(() => new Memory(new Uint8Array(MIB - PAGE_SIZE)), AssertionError);
  });
});
