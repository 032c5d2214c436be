// A program's own order of pieces (the option `pieceStrategy`): which are begun next. All else stays the engine's: pieces that somebody waits
// for come first, begun ones are finished, blocks are dealt out, the end game is played.
//
//   ask(), through the queue of calls ──▶ program's next(view) ──▶ the list, checked ──▶ the choice of pieces takes from it
//
// The program is never called in the middle of a pick: it names some pieces ahead, and is asked again when few of them are left, and about
// once a second. So whatever it calls of the torrent meets no half-done pick.
//
// Always: where the list names nothing that a peer has, pieces are chosen as without a strategy: nothing waits for the program. What it
// throws is the program's, an `uncaughtException`, and what it named before stays; of what it names that is no piece one warning tells.
// NAMED_MAX pieces are kept, and LOOKED_MAX looked at, however long what it returns is.

import type { PieceSet } from "../../base/piece-set.js";
import type { UserCalls } from "../../base/user-calls.js";
import type { PieceStrategy } from "../options.js";
import type { Availability, PieceFilter } from "./availability.js";
import type { Wanted } from "./wanted.js";

/** Pieces that are named ahead. */
const NAMED_MAX = 256;
const LOOKED_MAX = 65_536;
/** So many of them left, and the program is asked for more. */
const FEW = NAMED_MAX / 4;

export interface StrategyQueueOptions {
  readonly strategy: PieceStrategy;
  readonly pieceCount: number;
  readonly pieceLength: number;
  readonly wanted: Wanted;
  readonly availability: Availability;
  readonly userCalls: UserCalls;
  warn(text: string): void;
}

export class StrategyQueue {
  readonly #options: StrategyQueueOptions;
  #named: readonly number[] = [];
  /** Of those, how many are left, about. */
  #left = 0;
  #isAsked = false;
  #hasWarned = false;
  readonly #call = (): void => this.#ask();

  constructor(options: StrategyQueueOptions) {
    this.#options = options;
  }

  /** Has the program asked, when the turn is over. */
  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#options.userCalls.call(this.#call, undefined);
  }

  /** The first of the named pieces that may be begun and that the peer has; −1: none. */
  choose(pieces: PieceSet, allowed: PieceFilter | undefined): number {
    const { availability } = this.#options;
    const named = this.#named;
    let passed = 0;
    for (let index = 0; index < named.length; index++) {
      const piece = named[index] ?? -1;
      if (!availability.isStartable(piece)) passed++;
      else if (pieces.has(piece) && allowed?.has(piece) !== false) {
        this.#left = named.length - passed - 1;
        if (this.#left < FEW) this.ask();
        return piece;
      }
    }
    return -1;
  }

  #ask(): void {
    this.#isAsked = false;
    const { strategy, wanted, availability, pieceCount, pieceLength } = this.#options;
    const named: number[] = [];
    const wrong: unknown[] = [];
    let looked = 0;
    for (const piece of strategy.next({
      ...{ pieceCount, pieceLength, max: NAMED_MAX },
      isOpen: (piece) => isPiece(piece, pieceCount) && availability.isStartable(piece),
      availability: (piece) => (isPiece(piece, pieceCount) ? availability.of(piece) : 0),
      priority: (piece) => (isPiece(piece, pieceCount) ? wanted.priorityOf(piece) : 0),
    })) {
      if (!isPiece(piece, pieceCount)) wrong.push(piece);
      else if (availability.isStartable(piece)) named.push(piece);
      if (named.length === NAMED_MAX || ++looked === LOOKED_MAX) break;
    }
    this.#named = named;
    this.#left = named.length;
    if (wrong.length === 0 || this.#hasWarned) return;
    this.#hasWarned = true;
    const pieces = `a piece is a whole number from 0 to ${pieceCount - 1}`;
    this.#options.warn(`pieceStrategy named ${String(wrong[0])}, which is no piece: ${pieces}`);
  }
}

function isPiece(piece: unknown, pieceCount: number): piece is number {
  return Number.isInteger(piece) && Number(piece) >= 0 && Number(piece) < pieceCount;
}
