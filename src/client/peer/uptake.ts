// What one peer takes of what we send it while it is unchoked. The choker looks at it: a slot is well used by whoever takes its blocks.
//
// Always: what only lies in the system's buffers, because the peer does not read, has not been taken.

import { BLOCK_SIZE } from "../../base/limits.js";

/** Whoever asks for little at a time, and takes less than so much in one or two ticks, needs no slot. */
export const TAKING_BYTES = 4 * BLOCK_SIZE;
const SMOOTHING = 0.3;

export class Uptake {
  unchokedSinceMs = 0;
  /** It was unchoked once. */
  hasBegun = false;
  /** Payload of whole blocks. */
  sentSinceUnchokeBytes = 0;
  /** What the peer had taken at the last tick. */
  #atTickBytes = 0;
  /** And between that one and the one before. */
  inTickBytes = 0;
  /** Bytes of the whole connection that it took from tick to tick, which are a second apart, over the last ones; −1: none has come. */
  rate = -1;

  /** The peer is unchoked, and has taken so many bytes of the connection before. */
  begin(takenBytes: number, nowMs: number): void {
    this.unchokedSinceMs = nowMs;
    this.hasBegun = true;
    this.sentSinceUnchokeBytes = 0;
    this.#atTickBytes = takenBytes;
    this.inTickBytes = 0;
    this.rate = -1;
  }

  blockSent(length: number): void {
    this.sentSinceUnchokeBytes += length;
  }

  /** A tick: the peer has taken so many bytes of the whole connection. */
  sample(takenBytes: number): void {
    this.inTickBytes = takenBytes - this.#atTickBytes;
    this.#atTickBytes = takenBytes;
    this.rate = this.rate < 0 ? this.inTickBytes : this.rate + SMOOTHING * (this.inTickBytes - this.rate);
  }

  /** True if blocks wait for the peer and arrive, or many arrived since the last tick but one. */
  isTaking(takenBytes: number, blocksWait: boolean): boolean {
    const latelyBytes = this.inTickBytes + takenBytes - this.#atTickBytes;
    return latelyBytes >= TAKING_BYTES || (latelyBytes > 0 && blocksWait);
  }
}

// Sums of bytes are no small integers for long: that changes the shape of all of this kind, and happens here, before there is one.
const grown = new Uptake();
grown.blockSent(2 ** 40);
grown.sample(2 ** 40);
grown.sample(0);
