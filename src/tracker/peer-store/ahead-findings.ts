// What looking ahead found of the announces that come next: entry i is what is known of announce i. The steps of PeerStore.look() fill it in, one
// after the other, and announces look at what it says before they believe it.

import { AHEAD_MAX } from "./contract.js";

/** Steps of PeerStore.look(), from 0 on. */
export const LOOK_AHEAD_STEPS = 7;

export class AheadFindings {
  /** The bucket of the endpoint, the one the answer begins in, the endpoint's hash. */
  readonly own = new Int32Array(AHEAD_MAX);
  readonly told = new Int32Array(AHEAD_MAX);
  readonly hashes = new Int32Array(AHEAD_MAX);
  /** Their records, and where in their buckets their endpoints may be; −1 if not. */
  readonly records = new Int32Array(AHEAD_MAX);
  readonly peers = new Int32Array(AHEAD_MAX);
}
