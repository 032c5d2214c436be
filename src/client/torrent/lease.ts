// A block of the pool in the hands of the program that embeds us, until it gives it back.

import type { SlotIndex } from "../../base/ids.js";
import type { Memory } from "../memory/memory.js";
import type { BlockLease } from "../options.js";

/** `released` is called when the slot is home again. */
export function lendBlock(
  memory: Memory,
  slot: SlotIndex,
  piece: number,
  begin: number,
  length: number,
  released: () => void,
): BlockLease {
  const address = memory.pool.addressOf(slot);
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    memory.pool.release(slot);
    released();
  };
  return {
    piece,
    begin,
    bytes: memory.bytes.subarray(address, address + length),
    release,
    [Symbol.dispose]: release,
  };
}
