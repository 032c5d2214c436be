// Receive mode `contiguous`: one large receive into the session's buffer; payload is copied from there to its slots.
// About one system call per 16 blocks, one copy of every payload byte. What libtorrent did by default from 2011.

import { assert } from "../../base/assert.js";
import { NO_SLOT } from "../../base/ids.js";
import { BLOCK_SIZE, PIECE_HEADER_BYTES } from "../../base/limits.js";
import type { ReceiveMode } from "./receive-mode.js";
import type { ReceivePlan } from "./receive-plan.js";
import { Phase, type Receiver } from "./receiver.js";

export class ContiguousMode implements ReceiveMode {
  readonly name = "contiguous";
  readonly now = "contiguous";
  readonly reason = "chosen";

  plan(receiver: Receiver, plan: ReceivePlan): void {
    const bytes = contiguousBytes(receiver);
    if (bytes > 0) plan.add(receiver.memory.bufferAddress, bytes, NO_SLOT, false);
  }

  committed(): void {}
}

/** How many bytes may be received to the buffer: no more blocks than there are free slots can lie in them. */
export function contiguousBytes(receiver: Receiver): number {
  const memory = receiver.memory;
  let bytes = memory.bufferBytes;
  // A change of mode waits for a message boundary: go there, and no further.
  if (receiver.modeChangePending && receiver.phase !== Phase.handshake)
    bytes = Math.min(bytes, receiver.bytesToBoundary);
  if (!receiver.expectsPayload) return bytes;
  const bound = receiver.payloadBound ? receiver.bytesToBoundary : 0;
  assert(bound >= 0 && bytes > 0, "a message under way misses bytes");
  return Math.min(bytes, bound + memory.pool.freeCount * (PIECE_HEADER_BYTES + BLOCK_SIZE));
}
