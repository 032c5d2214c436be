// Receive mode `scatter`: five bytes tell length and id; then one receive takes the rest of a block's header and its
// payload, straight into a slot. Two system calls per message with a body, no copy. What libtorrent did before 2011,
// and with `contiguous_recv_buffers` off.

import { assert } from "../../base/assert.js";
import { NO_SLOT } from "../../base/ids.js";
import { BLOCK_SIZE, PIECE_HEADER_BYTES } from "../../base/limits.js";
import { SlotHolder } from "../memory/block-pool.js";
import { contiguousBytes } from "./contiguous.js";
import type { PlainModeName, ReceiveMode } from "./receive-mode.js";
import type { ReceivePlan } from "./receive-plan.js";
import { Phase, type Receiver, UNBOUND } from "./receiver.js";

const FIRST_BYTES = 5;

export class ScatterMode implements ReceiveMode {
  readonly name = "scatter";
  now: PlainModeName = "scatter";
  reason = "chosen";
  readonly #contiguousWhenIdle: boolean;

  /** `contiguousWhenIdle`: receive contiguously while no block is expected (`contiguousRecvBuffers: false`). */
  constructor(contiguousWhenIdle = false) {
    this.#contiguousWhenIdle = contiguousWhenIdle;
  }

  plan(receiver: Receiver, plan: ReceivePlan): void {
    if (this.#contiguousWhenIdle) {
      const idle = !receiver.expectsPayload && receiver.phase !== Phase.payload;
      this.now = idle ? "contiguous" : "scatter";
      this.reason = idle
        ? "contiguousRecvBuffers is false and no block is expected"
        : "contiguousRecvBuffers is false";
      if (idle) {
        plan.add(receiver.memory.bufferAddress, contiguousBytes(receiver), NO_SLOT, false);
        return;
      }
    }
    if (receiver.phase !== Phase.header) {
      planRemainder(receiver, plan);
      return;
    }
    const payloadLength = receiver.payloadLengthKnown;
    const cell = receiver.memory.cellsAddress;
    if (payloadLength === 0) {
      const missing = (receiver.inSmallMessage ? receiver.headNeeded : FIRST_BYTES) - receiver.headFilled;
      plan.add(cell, missing, NO_SLOT, false);
      return;
    }
    const slot = receiver.memory.pool.acquire(SlotHolder.receiving);
    if (slot === NO_SLOT) return;
    plan.add(cell, PIECE_HEADER_BYTES - receiver.headFilled, NO_SLOT, false);
    // Whose block it is stands in the header that arrives with it: a mapped place cannot be known yet, a slot can.
    // With mapped storage the oldest request is the best guess.
    const landing = receiver.expected.count > 0 ? receiver.landingAddressOfExpected(0) : -1;
    if (landing >= 0 && receiver.expected.lengthAt(0) === payloadLength) {
      receiver.memory.pool.release(slot, SlotHolder.receiving);
      plan.add(landing, payloadLength, NO_SLOT, false);
    } else {
      plan.add(receiver.memory.pool.addressOf(slot), payloadLength, slot, false);
    }
  }

  committed(): void {}
}

/**
 * Plans for exactly what is missing of the message, handshake or payload under way, at the place where it belongs.
 * Shared by the modes that receive in place. False if a slot was needed and none is free.
 */
export function planRemainder(receiver: Receiver, plan: ReceivePlan): boolean {
  const memory = receiver.memory;
  const missing = receiver.bytesToBoundary;
  if (receiver.phase === Phase.handshake) {
    plan.add(memory.bufferAddress, receiver.headNeeded - receiver.headFilled, NO_SLOT, false);
  } else if (receiver.phase === Phase.message) {
    plan.add(memory.bufferAddress, Math.min(missing, memory.bufferBytes), NO_SLOT, false);
  } else if (receiver.phase === Phase.payload) {
    assert(missing > 0, "a payload that is whole is not under way");
    if (!receiver.blockWanted) {
      plan.add(memory.sinkAddress, Math.min(missing, BLOCK_SIZE), NO_SLOT, false);
    } else if (receiver.blockAddress !== UNBOUND) {
      plan.add(receiver.blockAddress + receiver.blockFilled, missing, NO_SLOT, false);
    } else {
      return planFirstPayload(receiver, plan);
    }
  }
  return true;
}

/** The header is known and no byte of the payload came: plans its place without binding it. */
function planFirstPayload(receiver: Receiver, plan: ReceivePlan): boolean {
  assert(receiver.blockFilled === 0, "a payload without a place has no byte yet");
  assert(receiver.blockLength <= BLOCK_SIZE, "a block that we asked for fits a slot");
  const landing = receiver.landingAddressOfCurrent();
  if (landing >= 0) {
    plan.add(landing, receiver.blockLength, NO_SLOT, false);
    return true;
  }
  const pool = receiver.memory.pool;
  const slot = pool.acquire(SlotHolder.receiving);
  if (slot === NO_SLOT) return false;
  plan.add(pool.addressOf(slot), receiver.blockLength, slot, false);
  return true;
}
