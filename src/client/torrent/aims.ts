// How often what was asked for makes way for pieces that have become urgent. A player that opens a film begins to read in some places at once, and
// its user seeks some times in a second; whoever begins hundreds of times in a second watches nothing, and each time has all peers send in vain
// what is cancelled: a seed takes that for an attack, and chokes us.
//
// Always: some times at once, and then once in a second; those that are more are made up for together, with the next tick.

const AT_ONCE = 4;
const EACH_MS = 1000;

export class Aims {
  /** When all that was taken is paid for (the generic cell rate algorithm, with one cell). */
  #paidMs = Number.NEGATIVE_INFINITY;
  #isOwed = false;

  /** Other pieces are urgent now: whether requests are to make way at once. */
  changed(nowMs: number): boolean {
    const paidMs = Math.max(this.#paidMs, nowMs);
    this.#isOwed = paidMs - nowMs > (AT_ONCE - 1) * EACH_MS;
    if (!this.#isOwed) this.#paidMs = paidMs + EACH_MS;
    return !this.#isOwed;
  }

  /** Time passed: whether they are to make way for what could not have them make way before. */
  isDue(nowMs: number): boolean {
    return this.#isOwed && this.changed(nowMs);
  }
}
