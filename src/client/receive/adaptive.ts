// Receive mode `adaptive`, the default: `speculative` while blocks are expected from this peer, `contiguous` while
// none are (a seeder's incoming traffic is 17-byte requests), and `contiguous` for a while where guesses keep failing.
//
//   speculative ──more than half of the last 32 guesses failed──▶ contiguous for `pause` receives ──▶ speculative
//
// The pause doubles each time guesses fail again right after it, and starts small again once they hold.

import { assert } from "../../base/assert.js";
import { NO_SLOT } from "../../base/ids.js";
import { contiguousBytes } from "./contiguous.js";
import type { PlainModeName, ReceiveMode } from "./receive-mode.js";
import type { ReceivePlan } from "./receive-plan.js";
import { Phase, type Receiver } from "./receiver.js";
import { planSpeculation } from "./speculative.js";

const GUESSES_JUDGED = 32;
const PAUSE_RECEIVES_MIN = 16;
const PAUSE_RECEIVES_MAX = 1024;

export class AdaptiveMode implements ReceiveMode {
  readonly name = "adaptive";
  now: PlainModeName = "contiguous";
  reason = "no block is expected";
  readonly #depth: number;
  #hits = 0;
  #misses = 0;
  /** Receives for which guessing still pauses, and how long the next pause will be. */
  #pauseLeft = 0;
  #pauseNext = PAUSE_RECEIVES_MIN;

  constructor(depth: number) {
    this.#depth = depth;
  }

  plan(receiver: Receiver, plan: ReceivePlan): void {
    const idle = !receiver.expectsPayload && receiver.phase !== Phase.payload;
    if (!idle && this.#pauseLeft === 0) {
      this.now = "speculative";
      this.reason = "blocks are expected and predictions hold";
      planSpeculation(receiver, plan, this.#depth);
      return;
    }
    this.now = "contiguous";
    this.reason = idle ? "no block is expected" : "predictions kept failing";
    const bytes = contiguousBytes(receiver);
    if (bytes === 0) return;
    if (!idle) this.#pauseLeft--;
    assert(this.#pauseLeft >= 0, "a pause ends when its receives are over");
    plan.add(receiver.memory.bufferAddress, bytes, NO_SLOT, false);
  }

  committed(hits: number, misses: number): void {
    assert(hits >= 0 && misses >= 0, "guesses hold or fail");
    this.#hits += hits;
    this.#misses += misses;
    if (this.#hits + this.#misses < GUESSES_JUDGED) return;
    if (this.#misses > this.#hits) {
      this.#pauseLeft = this.#pauseNext;
      this.#pauseNext = Math.min(PAUSE_RECEIVES_MAX, 2 * this.#pauseNext);
    } else {
      this.#pauseNext = PAUSE_RECEIVES_MIN;
    }
    this.#hits = 0;
    this.#misses = 0;
  }
}
