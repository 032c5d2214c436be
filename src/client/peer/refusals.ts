// Requests that a peer refused although it does not choke us (BEP 6): its queue is full, or it does not serve that piece.
//
// Which of the two it is shows by what else it does: a peer that brings blocks of a piece serves it, however often its queue was
// full. So what counts are pauses in a row that brought nothing of the piece.
//
//   served ──refused──▶ pause (nothing is asked for) ──▶ asked again ─┬─ a block comes ──▶ served
//                                                                     └─ refused so often ──▶ withdrawn for a time ──▶ served
//
// Always: nothing is held against a peer for good, and a peer that refuses everything costs a few requests per pause.

/** Nothing is asked of a peer for so long after it refused a request, unless a block comes before. */
const PAUSE_MS = 300;
/** Pauses in a row without a block of the piece, after which it counts as not served. */
const PAUSES_MAX = 32;
/** For how long a piece counts as not served: the first time, and at the most. */
const WITHDRAWN_MS = 60_000;
const WITHDRAWN_MS_MAX = 30 * 60_000;

interface Refusal {
  /** Pauses since the last block of the piece. */
  pauses: number;
  /** The pause that was counted last: what is refused within one is refused once. */
  pausedUntilMs: number;
  /** Times that the piece counted as not served. */
  withdrawals: number;
  /** Until when it does; 0: it does not. */
  withdrawnUntilMs: number;
}

export class Refusals {
  readonly #pieces = new Map<number, Refusal>();
  #holdUntilMs = 0;
  #withdrawn = 0;

  /** True while nothing should be asked for. */
  isPausing(nowMs: number): boolean {
    return nowMs < this.#holdUntilMs;
  }

  /** A request of the piece was refused. True: from now on, and until due() names it, it counts as not served. */
  refused(piece: number, nowMs: number): boolean {
    this.#holdUntilMs = nowMs + PAUSE_MS;
    let refusal = this.#pieces.get(piece);
    if (refusal === undefined) {
      refusal = { pauses: 0, pausedUntilMs: 0, withdrawals: 0, withdrawnUntilMs: 0 };
      this.#pieces.set(piece, refusal);
    }
    if (nowMs < refusal.pausedUntilMs) return false;
    refusal.pausedUntilMs = this.#holdUntilMs;
    if (++refusal.pauses <= PAUSES_MAX || refusal.withdrawnUntilMs > 0) return false;
    refusal.pauses = 0;
    refusal.withdrawnUntilMs = nowMs + Math.min(WITHDRAWN_MS_MAX, WITHDRAWN_MS * 2 ** refusal.withdrawals++);
    this.#withdrawn++;
    return true;
  }

  /** A block of the piece is coming: the peer serves it, and its queue has room again. */
  served(piece: number): void {
    this.#holdUntilMs = 0;
    const refusal = this.#pieces.get(piece);
    // While the piece is withdrawn, due() must still name it.
    if (refusal !== undefined && refusal.withdrawnUntilMs === 0) this.#pieces.delete(piece);
  }

  /** A piece that counted as not served for long enough, or −1. Each is named once. */
  due(nowMs: number): number {
    if (this.#withdrawn === 0) return -1;
    for (const [piece, refusal] of this.#pieces) {
      if (refusal.withdrawnUntilMs === 0 || nowMs < refusal.withdrawnUntilMs) continue;
      refusal.withdrawnUntilMs = 0;
      this.#withdrawn--;
      return piece;
    }
    return -1;
  }
}
