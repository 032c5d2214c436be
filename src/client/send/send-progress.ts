// Whether a peer takes what is sent to it. Keep-alives, requests and whatever else it says do not count: only bytes that it
// takes from us do.
//
// Always: a peer to whom nothing is owed is never late. On a slow line the kernel takes bytes in large steps, far apart:
// meanwhile the peer's acknowledgements count.

export class SendProgress {
  /** When bytes were written, or nothing waited to be. */
  #writtenMs: number;
  /** When the peer took bytes, as far as is known. */
  #takenMs: number;
  #unacknowledged = -1;

  constructor(nowMs: number) {
    this.#writtenMs = nowMs;
    this.#takenMs = nowMs;
  }

  /** Bytes were written, or none wait. */
  wrote(nowMs: number): void {
    this.#writtenMs = nowMs;
    this.#takenMs = nowMs;
    this.#unacknowledged = -1;
  }

  /** Bytes wait and cannot be written. `unacknowledged`: how many were written and not taken yet; below 0: nobody knows. */
  blocked(nowMs: number, unacknowledged: number): void {
    if (unacknowledged >= 0 && unacknowledged < this.#unacknowledged) this.#takenMs = nowMs;
    this.#unacknowledged = unacknowledged;
  }

  /** For how long nothing could be written. */
  unwrittenMs(nowMs: number): number {
    return nowMs - this.#writtenMs;
  }

  /** For how long the peer has taken nothing. */
  untakenMs(nowMs: number): number {
    return nowMs - this.#takenMs;
  }
}
