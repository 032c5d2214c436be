// What one peer takes of what we send it while it is unchoked. The choker looks at it: a slot is well used by whoever takes its blocks.
//
// Always: what only lies in the system's buffers, because the peer does not read, has not been taken.

import { BLOCK_SIZE } from "../../base/limits.js";

/** Whoever asks for little at a time, and takes less than so much in one or two ticks, needs no slot. */
export const TAKING_BYTES = 4 * BLOCK_SIZE;
/** Whoever ends a download cancels what others have brought: a little more than it takes. */
const CANCELLED_MORE_MAX = 64;
const SMOOTHING = 0.3;

export class Uptake {
  unchokedSinceMs = 0;
  /** It was unchoked once. */
  hasBegun = false;
  /** Payload of whole blocks. */
  sentSinceUnchokeBytes = 0;
  /** Blocks that it asked for, and cancelled before they left. */
  #cancelled = 0;
  /** What the peer had taken at the last tick. */
  #atTickBytes: number;
  /** And between that one and the one before. */
  inTickBytes = 0;
  /** What was sent at the last tick and had not been taken; while the peer takes any of it, it uses our link. */
  backlogBytes = 0;
  /** The same of a peer that has gone on taking for longer: whoever reads nothing takes what its system keeps for it at first. */
  queuedBytes = 0;
  /** Bytes of the whole connection that it took from tick to tick, which are a second apart, over the last ones; −1: none has come. */
  rate = -1;

  constructor(atTickBytes: number) {
    this.#atTickBytes = atTickBytes;
  }

  /** The peer is unchoked, and has taken so many bytes of the connection before. */
  begin(takenBytes: number, nowMs: number): void {
    this.unchokedSinceMs = nowMs;
    this.hasBegun = true;
    this.sentSinceUnchokeBytes = 0;
    this.#cancelled = 0;
    this.#atTickBytes = takenBytes;
    this.inTickBytes = 0;
    this.rate = -1;
  }

  /** It does not want a block any more that it asked for. */
  cancelled(): void {
    this.#cancelled++;
  }

  /** It cancels much more than it takes, since it was unchoked. */
  get isFickle(): boolean {
    return this.#cancelled > CANCELLED_MORE_MAX + this.sentSinceUnchokeBytes / BLOCK_SIZE;
  }

  blockSent(length: number): void {
    this.sentSinceUnchokeBytes += length;
  }

  /** A tick: the peer has taken so many bytes of the whole connection, of those that were sent. */
  sample(takenBytes: number, sentBytes: number): void {
    const tookBefore = this.inTickBytes > 0;
    this.skim(takenBytes);
    this.backlogBytes = this.inTickBytes > 0 ? sentBytes - takenBytes : 0;
    this.queuedBytes = tookBefore ? this.backlogBytes : 0;
    this.rate = this.rate < 0 ? this.inTickBytes : this.rate + SMOOTHING * (this.inTickBytes - this.rate);
  }

  /** A tick, of a peer that is sent next to nothing: so many bytes in all. */
  skim(sentBytes: number): void {
    this.inTickBytes = sentBytes - this.#atTickBytes;
    this.#atTickBytes = sentBytes;
    this.backlogBytes = 0;
    this.queuedBytes = 0;
  }

  /** So many bytes were sent since the last tick. */
  sinceTickBytes(sentBytes: number): number {
    return sentBytes - this.#atTickBytes;
  }

  /** Bytes that it would take in a second, if it could, for all that it has shown. */
  get claim(): number {
    return Math.max(0, this.rate) + this.backlogBytes;
  }

  /** True if blocks wait for the peer and arrive, or many arrived since the last tick but one. */
  isTaking(takenBytes: number, blocksWait: boolean): boolean {
    const latelyBytes = this.inTickBytes + takenBytes - this.#atTickBytes;
    return latelyBytes >= TAKING_BYTES || (latelyBytes > 0 && blocksWait);
  }
}

// Sums of bytes are no small integers for long: that changes the shape of all of this kind, and happens here, before there is one.
const grown = new Uptake(0);
grown.blockSent(2 ** 40);
grown.sample(2 ** 40, 2 ** 41);
grown.sample(0, 0);
