// Pieces that have a stretch to hash and wait for others, because digests cost a quarter each when many are computed side by
// side (native/digest/digest_queue.h).
//
//   add ─▶ ready ─┬─ as many as there are lanes, or all that are under way ─┬▶ handed over, all of them
//                 └─ memory is short, or a few ms passed ───────────────────┘
//
// Always: a piece is in the list once, and none waits longer than twice READY_MS_MAX. There is one timer, which runs only
// while pieces wait; it is not stopped when lanes fill by themselves, since looking twice costs less.

import { assert } from "../../base/assert.js";
import type { Ground, Timer } from "../../base/ground.js";
import { HASH_LANES } from "../../base/limits.js";
import { WorkList } from "../../base/work-list.js";
import type { PieceAssembly } from "./piece-assembly.js";

const READY_MS_MAX = 5;

export class ReadyPieces {
  readonly #waiting = new WorkList<PieceAssembly>();
  readonly #handOver: (assembly: PieceAssembly) => void;
  readonly #timer: Timer;
  /** Times that pieces were handed over, and how many that were when the timer began to run. */
  #handovers = 0;
  #handoversSeen = 0;

  /** `handOver` begins to hash one piece. */
  constructor(ground: Ground, handOver: (assembly: PieceAssembly) => void) {
    this.#handOver = handOver;
    this.#timer = ground.after(READY_MS_MAX, () => this.#timeout());
  }

  add(assembly: PieceAssembly): void {
    assert(
      !assembly.ready && assembly.hashing === 0,
      "a piece waits once, and not while some of it is hashed",
    );
    assembly.ready = true;
    this.#waiting.push(assembly);
    if (this.#waiting.count === 1) this.#startTimer();
  }

  /** Hands the waiting over if there are enough: of `underWay` pieces in all, and at once if memory is short. */
  handOverIfEnough(underWay: number, memoryIsShort: boolean): void {
    const { count } = this.#waiting;
    if (count > 0 && (count >= HASH_LANES || count >= underWay || memoryIsShort)) this.#handOverAll();
  }

  /** Nothing is handed over any more. */
  stop(): void {
    this.#timer.close();
    this.#waiting.clear();
  }

  #handOverAll(): void {
    this.#handovers++;
    const waiting = this.#waiting;
    for (let index = 0; index < waiting.count; index++) {
      const assembly = waiting.at(index);
      assert(assembly.ready, "what is handed over has waited");
      assembly.ready = false;
      this.#handOver(assembly);
    }
    waiting.clear();
  }

  #startTimer(): void {
    this.#handoversSeen = this.#handovers;
    this.#timer.refresh();
  }

  #timeout(): void {
    if (this.#waiting.count === 0) return;
    // Those that wait now came after others had been handed over in the meantime: their time begins here.
    if (this.#handoversSeen !== this.#handovers) this.#startTimer();
    else this.#handOverAll();
  }
}
