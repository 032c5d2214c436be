// How many of those that were never served may be invited out of turn, now.
//
//   welcomes   of those that come new to a crowd of which most take nothing: as many in WELCOMES_MS as are invited beyond the slots
//   trials     of these, the ones that are invited though there is no room: each may take TRIAL_BYTES before it is known whether it takes
//              them quickly, and all together have a small part of our link
//
// Always: neither is saved up beyond what is invited beyond the slots, so that a long silence pays for no flood.

import { assert } from "../../base/assert.js";
import { TAKING_BYTES } from "../peer/uptake.js";

const WELCOMES_MS = 500;
const TRIAL_BYTES = TAKING_BYTES;
const TRIALS_SHARE = 1 / 8;

export class Invitations {
  #welcomes = 0;
  #trials = 0;
  #atMs = 0;

  /** Time passed. `overbooked`: invited beyond the slots in a round; `linkRate`: bytes per second that our link gives. */
  pass(overbooked: number, linkRate: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    const trials = (elapsedMs * TRIALS_SHARE * linkRate) / TRIAL_BYTES / 1000;
    this.#welcomes = Math.min(overbooked, this.#welcomes + (elapsedMs * overbooked) / WELCOMES_MS);
    this.#trials = Math.min(overbooked, this.#trials + trials);
  }

  /** Answers how many of `most` are welcome, and counts them, though there may be no room: to look for room has its price too. */
  welcome(most: number): number {
    const welcome = Math.min(most, Math.floor(this.#welcomes));
    this.#welcomes -= welcome;
    return welcome;
  }

  /** Answers how many of `most`, that are welcome where there is no room, may be tried, and counts them. */
  try(most: number): number {
    const tried = Math.min(most, Math.floor(this.#trials));
    this.#trials -= tried;
    return tried;
  }

  checkInvariants(overbookedMax: number): void {
    assert(this.#welcomes >= 0 && this.#welcomes <= overbookedMax, "those that are welcome are bounded");
    assert(this.#trials >= 0 && this.#trials <= overbookedMax, "those that are tried are bounded");
  }
}
