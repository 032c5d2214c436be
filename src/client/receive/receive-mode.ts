// What a receive mode is: a way to lay out the memory of the next receive. Everything that arrived is taken apart by
// one commit for all modes (receiver.ts), which is why they cannot disagree about the messages in a byte stream.

import type { ReceivePlan } from "./receive-plan.js";
import type { Receiver } from "./receiver.js";

/** How blocks are received: where the bytes of a peer land, and whether they are copied from there. */
export type ReceiveModeName = "contiguous" | "scatter" | "speculative" | "adaptive";
/** All receive modes. */
export const RECEIVE_MODES: readonly ReceiveModeName[] = ["contiguous", "scatter", "speculative", "adaptive"];

export type PlainModeName = Exclude<ReceiveModeName, "adaptive">;

export interface ReceiveMode {
  readonly name: ReceiveModeName;
  /** The mode in use now, and why: a constant text. Differs from `name` where a mode defers to another. */
  readonly now: PlainModeName;
  readonly reason: string;
  /**
   * Adds the memory of the next receive to the empty `plan`. Leaves it empty if no slot is free and one is needed:
   * the caller waits for slots. Slots taken for the plan go home after the commit unless a block came to lie in them.
   */
  plan(receiver: Receiver, plan: ReceivePlan): void;
  /** Told after each commit how many of the predicted blocks that were touched lay where they should. */
  committed(hits: number, misses: number): void;
}
