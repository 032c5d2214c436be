// How many requests to keep outstanding at one peer.
//
//   growing ──rate grew less than 10 % over three windows──▶ following
//
// growing: every block that comes raises the target by one, so it doubles each round trip, as TCP's slow start does; by two where
// the peer is far, so it trebles: a path of 200 ms is full after four round trips instead of six.
// following: the target is the bandwidth-delay product: the rate of the last windows × twice the shortest round trip of a
// request, or × 3 s where that is longer, and never falls below the start. Three seconds because peers answer in bursts: one
// that empties its queue every half second (Transmission) is only ever as fast as the queue is long, so that a target
// near what it brought would shrink to nothing, window by window. libtorrent's `request_queue_time` is as long.
// Both are bounded by the peer's `reqq` (BEP 10) and our own limit. A peer that does not announce a queue is taken to have one of
// PEER_REQUESTS_DEFAULT, and of twice as many each time that it has served as many: what it drops silently is late, and ends that. A
// snubbed peer is left with one.
//
// A near peer (4 MB/s or more, a round trip below 10 ms, no silence of 25 ms of late) needs no such queue, and many of them would
// fill sockets and pool: it is bounded by its share of a budget (request-share.ts), or by what it brings in two round trips where
// that is more. One that answers in bursts is silent between them, so it keeps its queue.
//
// Where a limit of ours holds a peer back, it is asked for no more than comes: what lies in sockets meanwhile came for nothing sooner.
//
// Always: whoever has a share gives it back when it slows down, falls silent (tick), is snubbed or closes.

import { assert } from "../../base/assert.js";
import { BLOCK_SIZE, MIB, REQUESTS_INITIAL, REQUESTS_MAX, REQUESTS_NEAR } from "../../base/limits.js";
import { RequestShare } from "./request-share.js";

const WINDOW_MS = 250;
const GROWTH_MIN = 1.1;
const FLAT_WINDOWS_MAX = 3;
const DELAY_MS_MIN = 3000;
/** A peer has a high rate when it brings so many bytes in so many milliseconds: above 50 MB/s hashing begins to cost. */
const HIGH_RATE_BYTES = 4 * MIB;
const HIGH_RATE_MS = 80;
/** A peer is near when it answers within so long, is never silent for long, and brings 4 MB/s or more. */
const NEAR_ROUND_TRIP_MS = 10;
const NEAR_SILENCE_MS = 25;
const NEAR_BYTES = 1 * MIB;
const NEAR_MS = 250;
const NEAR_IDLE_MS = 4 * NEAR_MS;
/** Longer than any. */
const ROUND_TRIP_MS_UNKNOWN = 2 ** 30;
/** Where a limit of ours holds the peer back, it is asked for so much at least. */
const REQUESTS_LIMITED = 2;
/** reqq of a peer that announces none, to begin with: what clients without BEP 10 are known to queue. */
export const PEER_REQUESTS_DEFAULT = 250;

export class RequestPipeline {
  readonly #ownLimit: number;
  readonly #share: RequestShare;
  #peerLimit = PEER_REQUESTS_DEFAULT;
  /** Whether the limit is our guess, and how many blocks came since it was last raised. */
  #guesses = true;
  #servedSinceGuess = 0;
  /** What the peer's queue seems to take, since it refused a request; and blocks that came since it was found or raised. */
  #refusalLimit = REQUESTS_MAX;
  #servedSinceLimit = 0;
  #target: number;
  #growing = true;
  #snubbed = false;
  /** Requests below which the target does not fall, and at which it starts. */
  #least = REQUESTS_INITIAL;

  #windowStartMs: number;
  #windowBytes = 0;
  /** Bytes per millisecond of the last whole window, and the best of those while growing. */
  #rate = 0;
  #bestRate = 0;
  #flatWindows = 0;
  /** Where the stretch of HIGH_RATE_BYTES under way began, what came of it, and what the last one said. */
  #stretchStartMs: number;
  #stretchBytes = 0;
  #isHighRate = false;
  #near = false;
  /** Where the stretch of NEAR_BYTES under way began, and what came of it. */
  #nearStartMs: number;
  #nearBytes = 0;
  /** What a near peer is bounded by. */
  #nearLimit = REQUESTS_MAX;
  /** When we had read all that there was, until the next block; 0: we have not, or it came. And the longest such silence of late. */
  #drainedMs = 0;
  #silenceMs = 0;
  #roundTripMsMin = ROUND_TRIP_MS_UNKNOWN;

  constructor(ownLimit: number, nowMs: number, share: RequestShare = new RequestShare(REQUESTS_NEAR)) {
    this.#ownLimit = ownLimit;
    this.#share = share;
    this.#target = Math.min(REQUESTS_INITIAL, ownLimit);
    this.#windowStartMs = nowMs;
    this.#stretchStartMs = nowMs;
    this.#nearStartMs = nowMs;
  }

  /** Requests to keep outstanding. */
  get target(): number {
    if (this.#snubbed) return 1;
    return this.#near ? Math.min(this.#target, this.#nearLimit) : this.#target;
  }

  get growing(): boolean {
    return this.#growing;
  }

  /** True while blocks come faster than 50 MB/s. */
  get isHighRate(): boolean {
    return this.#isHighRate;
  }

  /** True while it answers at once, and is never silent for long. */
  get isNear(): boolean {
    return this.#near;
  }

  get snubbed(): boolean {
    return this.#snubbed;
  }

  /**
   * How long the peer takes for so many bytes, as fast as it was of late; 0: not known. While something of it is awaited, it is the slower
   * the longer nothing comes: whoever was fast for a moment is not for ever. For ever if nothing came for a whole window, nor before.
   */
  msFor(bytes: number, nowMs: number, isAwaited: boolean): number {
    const elapsedMs = nowMs - this.#windowStartMs;
    if (!isAwaited || elapsedMs <= WINDOW_MS) return this.#rate > 0 ? bytes / this.#rate : 0;
    const rate = this.#rateAfter(elapsedMs);
    return rate > 0 ? bytes / rate : ROUND_TRIP_MS_UNKNOWN;
  }

  /** As if a block, and a window's worth, were about to come: an answer takes a while, however fast the peer is. */
  #rateAfter(elapsedMs: number): number {
    return Math.min(this.#rate, (this.#windowBytes + this.#rate * WINDOW_MS + BLOCK_SIZE) / elapsedMs);
  }

  /** What was awaited of the peer is not any more, as it did not come in time, or another brought it: how long nothing came is not forgotten. */
  waitedInVain(nowMs: number): void {
    const elapsedMs = nowMs - this.#windowStartMs;
    if (elapsedMs <= WINDOW_MS) return;
    this.#rate = Math.trunc(this.#rateAfter(elapsedMs));
    this.#windowBytes = 0;
    this.#windowStartMs = nowMs;
  }

  /** Something is asked of a peer of which nothing was awaited since `idleSinceMs`: that it brought nothing meanwhile says nothing of it. */
  resumed(idleSinceMs: number, nowMs: number): void {
    this.#windowStartMs += nowMs - Math.max(this.#windowStartMs, idleSinceMs);
    assert(this.#windowStartMs <= nowMs, "a window has begun");
  }

  /** A limit of ours holds it back, or does not any more. */
  setLimited(isLimited: boolean): void {
    const least = isLimited ? REQUESTS_LIMITED : REQUESTS_INITIAL;
    if (least === this.#least) return;
    const isAtStart = this.#target === this.#least;
    this.#least = least;
    this.#setTarget(isAtStart ? least : this.#target);
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
    this.#guesses = false;
    this.#setTarget(this.#target);
  }

  /** The peer refused a request with so many others outstanding: no more for now. A queue served without another refusal raises it. */
  refused(outstanding: number): void {
    this.#refusalLimit = Math.max(1, outstanding);
    this.#servedSinceLimit = 0;
    // It brings nothing now, however fast it was.
    if (outstanding === 0) this.#rate = 0;
    this.#setTarget(this.#target);
  }

  /** All that had come was read: what follows is silence until the next block. */
  drained(nowMs: number): void {
    if (this.#drainedMs === 0) this.#drainedMs = nowMs;
  }

  /** Time passed: whoever brings nothing any more needs no share. */
  tick(nowMs: number): void {
    if (nowMs - this.#nearStartMs > NEAR_IDLE_MS) this.#setNear(false);
  }

  /** Nothing more will come of this peer. */
  close(): void {
    this.#setNear(false);
  }

  blockReceived(length: number, sentAtMs: number, nowMs: number): void {
    this.#snubbed = false;
    this.#windowBytes += length;
    this.#stretchBytes += length;
    if (this.#drainedMs > 0) this.#endSilence(sentAtMs, nowMs);
    if (this.#stretchBytes >= HIGH_RATE_BYTES) this.#closeStretch(nowMs);
    this.#nearBytes += length;
    if (this.#nearBytes >= NEAR_BYTES) this.#lookNear(nowMs);
    if (this.#refusalLimit < REQUESTS_MAX && ++this.#servedSinceLimit >= this.#refusalLimit)
      this.#raiseRefusalLimit();
    const roundTripMs = nowMs - sentAtMs;
    if (roundTripMs < this.#roundTripMsMin) this.#roundTripMsMin = roundTripMs;
    if (this.#guesses && ++this.#servedSinceGuess >= this.#peerLimit) this.#raiseGuess();
    if (this.#growing) this.#setTarget(this.#target + (this.#roundTripMsMin > NEAR_ROUND_TRIP_MS ? 2 : 1));
    if (nowMs - this.#windowStartMs >= WINDOW_MS) this.#closeWindow(nowMs);
  }

  /** The peer answered nothing for too long. Ends with the next block. */
  snub(): void {
    this.#snubbed = true;
    // Requests beyond its queue may be what it dropped.
    if (this.#guesses) this.#peerLimit = PEER_REQUESTS_DEFAULT;
    this.#servedSinceGuess = 0;
    this.#isHighRate = false;
    this.#setNear(false);
    this.#growing = true;
    this.#flatWindows = 0;
    this.#bestRate = 0;
    this.#setTarget(this.#least);
  }

  /** A whole queue was served: the peer's may be longer than we took it for. */
  #raiseGuess(): void {
    this.#peerLimit = Math.min(this.#ownLimit, 2 * this.#peerLimit);
    this.#servedSinceGuess = 0;
  }

  #raiseRefusalLimit(): void {
    this.#refusalLimit += Math.ceil(this.#refusalLimit / 8);
    this.#servedSinceLimit = 0;
  }

  #endSilence(sentAtMs: number, nowMs: number): void {
    // Where nothing was asked for, nothing could come.
    const silenceMs = nowMs - (sentAtMs > this.#drainedMs ? sentAtMs : this.#drainedMs);
    if (silenceMs > this.#silenceMs) this.#silenceMs = silenceMs;
    this.#drainedMs = 0;
  }

  #setNear(near: boolean): void {
    if (near === this.#near) return;
    this.#near = near;
    if (near) this.#share.join();
    else this.#share.leave();
  }

  #closeStretch(nowMs: number): void {
    this.#isHighRate = nowMs - this.#stretchStartMs <= HIGH_RATE_MS;
    this.#stretchStartMs = nowMs;
    this.#stretchBytes = 0;
  }

  #lookNear(nowMs: number): void {
    const tookMs = nowMs - this.#nearStartMs;
    const answersAtOnce = this.#roundTripMsMin < NEAR_ROUND_TRIP_MS && this.#silenceMs < NEAR_SILENCE_MS;
    this.#setNear(answersAtOnce && tookMs <= NEAR_MS);
    const inRoundTripBytes = (this.#nearBytes * this.#roundTripMsMin) / Math.max(1, tookMs);
    const share = this.#share.each(this.#isHighRate);
    this.#nearLimit = Math.max(share, Math.ceil((2 * inRoundTripBytes) / BLOCK_SIZE));
    this.#nearStartMs = nowMs;
    this.#nearBytes = 0;
  }

  #closeWindow(nowMs: number): void {
    this.#rate = Math.trunc(this.#windowBytes / (nowMs - this.#windowStartMs));
    this.#windowBytes = 0;
    this.#windowStartMs = nowMs;
    this.#silenceMs = Math.trunc(this.#silenceMs / 2);
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
    this.#setTarget(Math.ceil((this.#rate * delayMs) / BLOCK_SIZE));
    // A path that got faster or longer shows as a rate above the best one seen: grow again.
    if (this.#rate > GROWTH_MIN * this.#bestRate) {
      this.#growing = true;
      this.#bestRate = this.#rate;
      this.#flatWindows = 0;
    }
  }

  #setTarget(requests: number): void {
    const bound = Math.min(this.#ownLimit, this.#peerLimit, this.#refusalLimit);
    this.#target = Math.max(Math.min(this.#least, bound), Math.min(requests, bound));
  }
}
