// What a session's time went into, for those who measure. The addon times its calls and jobs when it is told to; this file
// gives its sums names.

import { entryOf } from "../assert.js";

/** What the addon's sums are of, in its order (native/cost_clocks.h). */
export const COST_NAMES = ["receive", "send", "copy", "digest", "write", "read"] as const;
const NANOS_PER_SECOND = 1e9;

/**
 * Seconds of processor time since the session began, of the main thread's calls and of the jobs on other threads. What
 * remains of the CPU time of the process is TypeScript, V8 and the event loop.
 */
export interface Costs {
  /** Receiving calls, the kernel's copy included. */
  readonly receive: number;
  /** Sending calls. */
  readonly send: number;
  /** Copying blocks in user space. */
  readonly copy: number;
  /** Hashing. */
  readonly digest: number;
  /** Writing files, reserving their space and flushing them: what the calls cost the processor, not the waiting. */
  readonly write: number;
  /** Reading files. */
  readonly read: number;
}

/** From the addon's sums. */
export function costsOf(nanos: Float64Array): Costs {
  return Object.fromEntries(
    COST_NAMES.map((name, index) => [name, entryOf(nanos, index) / NANOS_PER_SECOND]),
  ) as Record<(typeof COST_NAMES)[number], number>;
}
