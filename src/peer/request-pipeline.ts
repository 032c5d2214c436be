// How many requests to keep outstanding at one peer.
//
//   growing ──rate grew less than 10 % over three windows──▶ following
//
// growing: every block that comes raises the target by one, so it doubles each round trip, as TCP's slow start does.
// following: the target is the bandwidth-delay product: the rate of the last windows × twice the shortest
// round trip of a request, or × 100 ms where that is longer (a seeder's disk, a busy peer), and never falls below the
// start. Both are bounded by the peer's `reqq` (BEP 10) and our own limit. A snubbed peer is left with one.

import { BLOCK_SIZE, REQUESTS_INITIAL } from "../limits.js";

const WINDOW_MS = 250;
const GROWTH_MIN = 1.1;
const FLAT_WINDOWS_MAX = 3;
const DELAY_MS_MIN = 100;
/** reqq of a peer that announces none: what clients without BEP 10 are known to queue. */
export const PEER_REQUESTS_DEFAULT = 250;

export class RequestPipeline {
  readonly #ownLimit: number;
  #peerLimit = PEER_REQUESTS_DEFAULT;
  #target: number;
  #growing = true;
  #snubbed = false;

  #windowStartMs: number;
  #windowBytes = 0;
  /** Bytes per second of the last whole window, and the best of those while growing. */
  #rate = 0;
  #bestRate = 0;
  #flatWindows = 0;
  #roundTripMsMin = Number.POSITIVE_INFINITY;

  constructor(ownLimit: number, nowMs: number) {
    this.#ownLimit = ownLimit;
    this.#target = Math.min(REQUESTS_INITIAL, ownLimit);
    this.#windowStartMs = nowMs;
  }

  /** Requests to keep outstanding. */
  get target(): number {
    return this.#snubbed ? 1 : this.#target;
  }

  get growing(): boolean {
    return this.#growing;
  }

  get snubbed(): boolean {
    return this.#snubbed;
  }

  /**
   * True if so many requests are missing that sending some is worth a system call: a quarter of the target, 64 at
   * the most.
   */
  wantsMore(outstanding: number): boolean {
    const target = this.target;
    const missing = target - outstanding;
    return missing > 0 && (missing >= 64 || 4 * missing >= target);
  }

  /** The peer's `reqq`. */
  setPeerLimit(requests: number): void {
    this.#peerLimit = Math.max(1, requests);
    this.#setTarget(this.#target);
  }

  blockReceived(length: number, sentAtMs: number, nowMs: number): void {
    this.#snubbed = false;
    this.#windowBytes += length;
    const roundTripMs = nowMs - sentAtMs;
    if (roundTripMs < this.#roundTripMsMin) this.#roundTripMsMin = roundTripMs;
    if (this.#growing) this.#setTarget(this.#target + 1);
    if (nowMs - this.#windowStartMs >= WINDOW_MS) this.#closeWindow(nowMs);
  }

  /** The peer answered nothing for too long. Ends with the next block. */
  snub(): void {
    this.#snubbed = true;
    this.#growing = true;
    this.#flatWindows = 0;
    this.#bestRate = 0;
    this.#target = Math.min(REQUESTS_INITIAL, this.#ownLimit, this.#peerLimit);
  }

  #closeWindow(nowMs: number): void {
    this.#rate = (1000 * this.#windowBytes) / (nowMs - this.#windowStartMs);
    this.#windowBytes = 0;
    this.#windowStartMs = nowMs;
    if (this.#growing) {
      if (this.#rate > GROWTH_MIN * this.#bestRate) {
        this.#bestRate = this.#rate;
        this.#flatWindows = 0;
      } else if (++this.#flatWindows >= FLAT_WINDOWS_MAX) {
        this.#growing = false;
      }
      return;
    }
    const delayMs = Math.max(2 * this.#roundTripMsMin, DELAY_MS_MIN);
    this.#setTarget(Math.ceil((this.#rate * delayMs) / 1000 / BLOCK_SIZE));
    // A path that got faster or longer shows as a rate above the best one seen: grow again.
    if (this.#rate > GROWTH_MIN * this.#bestRate) {
      this.#growing = true;
      this.#bestRate = this.#rate;
      this.#flatWindows = 0;
    }
  }

  #setTarget(requests: number): void {
    const bound = Math.min(this.#ownLimit, this.#peerLimit);
    this.#target = Math.max(Math.min(REQUESTS_INITIAL, bound), Math.min(requests, bound));
  }
}
