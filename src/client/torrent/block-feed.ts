// Blocks of verified pieces for a program that asks for one after the other: what the lender lends waits here until it is taken.
//
// Always: each block is given to one taker, in the order in which it was lent; what waits here when the torrent is over goes home.

import { makeDeferred } from "../../base/deferred.js";
import { UsageError } from "../../base/errors.js";
import type { BlockLease } from "../options.js";

/** The torrent, as far as its blocks go. */
export interface FeedHost {
  /** Resolves when all blocks were lent; rejects when none will come any more. */
  readonly done: Promise<void>;
}

export class BlockFeed {
  readonly #waiting: BlockLease[] = [];
  #pushed = makeDeferred();
  #isTaken = false;
  #isClosed = false;

  push(lease: BlockLease): void {
    if (this.#isClosed) {
      lease.release();
      return;
    }
    this.#waiting.push(lease);
    this.#pushed.resolve();
  }

  /** Nobody will take what waits. */
  close(): void {
    this.#isClosed = true;
    for (const lease of this.#waiting.splice(0)) lease.release();
  }

  /** Ends when the torrent has all that it wants, and throws what ends it before. Throws UsageError while somebody else takes blocks. */
  async *take(host: FeedHost): AsyncGenerator<BlockLease, void, void> {
    if (this.#isTaken)
      throw new UsageError(
        "USAGE_STATE",
        "somebody takes the blocks of this torrent already: each is lent once",
      );
    this.#isTaken = true;
    let isOver = false;
    let failure: unknown;
    const over = (error?: unknown): void => {
      isOver = true;
      failure = error;
      this.#pushed.resolve();
    };
    host.done.then(() => over(), over);
    try {
      for (;;) {
        const lease = this.#waiting.shift();
        if (lease !== undefined) {
          yield lease;
          continue;
        }
        if (failure !== undefined) throw failure;
        if (isOver) return;
        this.#pushed = makeDeferred();
        await this.#pushed.promise;
      }
    } finally {
      this.#isTaken = false;
    }
  }
}
