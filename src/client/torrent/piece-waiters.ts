// Who waits for a piece to be verified.
//
// Always: a waiter is called once: when its piece is here, or the data was looked at, or with an error when the torrent is over.

type Waiter = (error: Error | undefined) => void;

export class PieceWaiters {
  readonly #waiters = new Map<number, Set<Waiter>>();

  /** Returns what takes it back. */
  add(piece: number, waiter: Waiter): () => void {
    let waiting = this.#waiters.get(piece);
    if (waiting === undefined) {
      waiting = new Set();
      this.#waiters.set(piece, waiting);
    }
    waiting.add(waiter);
    return () => {
      waiting.delete(waiter);
      if (waiting.size === 0 && this.#waiters.get(piece) === waiting) this.#waiters.delete(piece);
    };
  }

  here(piece: number): void {
    const waiting = this.#waiters.get(piece);
    if (waiting === undefined) return;
    this.#waiters.delete(piece);
    for (const waiter of waiting) waiter(undefined);
  }

  /** The data was looked at: whoever waits sees whether its piece is there, or asks for it anew. */
  lookedAt(): void {
    for (const piece of [...this.#waiters.keys()]) this.here(piece);
  }

  over(error: Error): void {
    const all = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiting of all) for (const waiter of waiting) waiter(error);
  }
}
