// Answers that a peer may cause and that bring it nothing, or next to nothing: refusals (BEP 6), and blocks of a few bytes. Each takes as much
// of our link as the request for it took of the peer's, so that a few who ask without end would have all of it, choked or not.
//
//   never unchoked      a few at once, and some a second: whoever behaves asks then for the pieces that it is allowed, and for nothing else
//   unchoked            one more for each block that it takes
//   choked just now     for as long as requests may be under way that it made before it heard of it, a quarter of a queue; a whole one
//                       where none had come yet
//
// Whoever asks in vain without an end is let go. Whether that came at once, as of one that floods us, or little by little, is told too: the
// first is held against where it came from.
//
// Always: nobody may cause more than two queues of them, however long it behaved before.

import { BLOCK_SIZE, REQUEST_QUEUE_ANNOUNCED } from "../../base/limits.js";

/** libtorrent ends connections of which it refused 50 requests, later than two seconds after it choked them. */
export const STRAY_MAX = 64;
export const STRAY_PER_TICK = 4;
/** What a peer asked for before it heard of a choke arrives within so long; of one that asks for more as blocks come, so many. */
const ON_THEIR_WAY_MS = 30_000;
const ON_THEIR_WAY_MAX = REQUEST_QUEUE_ANNOUNCED / 4;
/** What comes within so long was sent at once. */
const BURST_MS = 100;
/** Blocks that are shorter, and no end of a piece, are hardly worth their header. */
export const SHORT_BYTES = BLOCK_SIZE / 16;

export class VainAnswers {
  #left = STRAY_MAX;
  /** Of requests that were made before the peer heard of a choke, and until when those may come. */
  #onTheirWay = 0;
  #onTheirWayUntilMs = 0;
  /** Those that came at once, and since when. */
  #inBurst = 0;
  #burstMs = Number.NEGATIVE_INFINITY;

  /** The peer caused one. False: that was one too many. */
  take(nowMs: number): boolean {
    if (nowMs - this.#burstMs > BURST_MS) {
      this.#inBurst = 0;
      this.#burstMs = nowMs;
    }
    this.#inBurst++;
    if (this.#onTheirWay > 0 && nowMs < this.#onTheirWayUntilMs) {
      this.#onTheirWay--;
      return true;
    }
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  /** More came at once than anybody may ask for in vain. */
  get isFlooded(): boolean {
    return this.#inBurst > STRAY_MAX;
  }

  /** A block of so many bytes left. */
  blockSent(length: number): void {
    if (length >= SHORT_BYTES && this.#left < REQUEST_QUEUE_ANNOUNCED) this.#left++;
  }

  /** We choke the peer, and until it hears of this, it asks on. `hasAsked`: what it asks for at first is here already. */
  choked(nowMs: number, hasAsked: boolean): void {
    this.#onTheirWay = hasAsked ? ON_THEIR_WAY_MAX : REQUEST_QUEUE_ANNOUNCED;
    this.#onTheirWayUntilMs = nowMs + ON_THEIR_WAY_MS;
  }

  tick(): void {
    if (this.#left < STRAY_MAX) this.#left = Math.min(STRAY_MAX, this.#left + STRAY_PER_TICK);
  }
}
