// Receive mode `speculative`: our own requests are outstanding, so the next bytes are probably header, block, header,
// block … One receive takes them all, each payload straight into its slot:
//
//   rest of the block under way │ 13 │ slot a │ 13 │ slot b │ 13 │ slot c │ …      depth pairs
//
// No copy, and about one system call per `depth` blocks. Blocks of the same length may come in any order: slots have no
// names until a header gives them one. When something else comes between (a have, a choke, a short block), the
// commit finds the bytes behind it shifted and moves each payload once, in place: the price of `contiguous`.

import { assert } from "../../base/assert.js";
import { NO_SLOT } from "../../base/ids.js";
import { PIECE_HEADER_BYTES, SPECULATION_DEPTH_MAX } from "../../base/limits.js";
import { SlotHolder } from "../memory/block-pool.js";
import { HEADER_CELL_BYTES } from "../memory/memory.js";
import { contiguousBytes } from "./contiguous.js";
import type { PlainModeName, ReceiveMode } from "./receive-mode.js";
import type { ReceivePlan } from "./receive-plan.js";
import { Phase, type Receiver } from "./receiver.js";
import { planRemainder } from "./scatter.js";

/** Slots left free behind a plan, for blocks that a wrong guess leaves without a slot of their own. */
const SLOTS_SPARE = 2;

export class SpeculativeMode implements ReceiveMode {
  readonly name = "speculative";
  now: PlainModeName = "speculative";
  reason = "chosen";
  readonly depth: number;

  constructor(depth: number) {
    assert(depth >= 1 && depth <= SPECULATION_DEPTH_MAX, "the depth fits the header cells");
    this.depth = depth;
  }

  plan(receiver: Receiver, plan: ReceivePlan): void {
    if (!receiver.expectsPayload && receiver.phase !== Phase.payload) {
      this.now = "contiguous";
      this.reason = "no block is expected";
      plan.add(receiver.memory.bufferAddress, contiguousBytes(receiver), NO_SLOT, false);
      return;
    }
    this.now = "speculative";
    this.reason = "chosen";
    planSpeculation(receiver, plan, this.depth);
  }

  committed(): void {}
}

/** Plans what is missing of the message under way and `depth` predicted blocks behind it, or fewer where fewer are likely to have come. */
export function planSpeculation(receiver: Receiver, plan: ReceivePlan, depth: number): void {
  if (receiver.phase !== Phase.header) {
    if (!planRemainder(receiver, plan)) return;
    // Behind a change of mode, a handshake or a part of a long message nothing can be predicted.
    if (receiver.modeChangePending || receiver.phase === Phase.handshake) return;
    if (receiver.phase === Phase.message && plan.bytes < receiver.bytesToBoundary) return;
  }
  const memory = receiver.memory;
  if (receiver.modeChangePending) {
    plan.add(memory.cellsAddress, receiver.bytesToBoundary, NO_SLOT, false);
    return;
  }
  const expected = receiver.expected;
  const pool = memory.pool;
  const spare = pool.freeCount > SLOTS_SPARE ? SLOTS_SPARE : 0;
  const slots = pool.freeCount - spare;
  let count = expected.count < depth ? expected.count : depth;
  if (count > receiver.blocksAtOnce) count = receiver.blocksAtOnce;
  if (count > slots) count = slots;

  // A header that was cut: its missing bytes come first. A small message that was cut has no block behind its
  // missing bytes' cell, so it gets an entry of its own.
  let headFilled = receiver.phase === Phase.header ? receiver.headFilled : 0;
  let cell = memory.cellsAddress;
  if (receiver.phase === Phase.header && receiver.inSmallMessage) {
    plan.add(cell, receiver.headNeeded - headFilled, NO_SLOT, false);
    cell += Math.ceil((receiver.headNeeded - headFilled) / HEADER_CELL_BYTES) * HEADER_CELL_BYTES;
    headFilled = 0;
  }
  const { landsDirectly } = receiver;
  for (let index = 0; index < count; index++) {
    const length = expected.lengthAt(index);
    const landing = landsDirectly ? receiver.landingAddressOfExpected(index) : -1;
    plan.add(cell, PIECE_HEADER_BYTES - headFilled, NO_SLOT, false);
    headFilled = 0;
    cell += HEADER_CELL_BYTES;
    if (landing >= 0) {
      plan.add(landing, length, NO_SLOT, true);
      continue;
    }
    const slot = pool.acquire(SlotHolder.receiving);
    assert(slot !== NO_SLOT, "as many blocks are predicted as slots are free");
    plan.add(pool.addressOf(slot), length, slot, true);
  }
  assert(cell <= memory.bufferAddress, "the cells of a plan lie in their page");
}
