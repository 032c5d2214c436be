// In what order an indexer looks hashes up (Grunthal 2010, "in-order traversal", "staggered lookups"): many cursors part the key space among them,
// and each goes through its own part in natural order, so that each lookup begins where the one before it ended, and the lookup
// cache knows the nodes there. The next lookup is the cursor's that has the fewest under way, in an order in which neighbours are far apart.
//
//   cursor 0          cursor 1          cursor 2                    claimed ──queue──▶ under way ──▶ done
//   |────▶·······    |──────────▶··    |──▶··········  …               ahead at the most, underWayMax at the most
//
// Always: of one 1/64 of the key space `underWayMax` are under way at the most, whatever number of nodes and slots there are; what is under way
// in two parts that both have more to do differs by one at the most where slots are filled one at a time. Hashes that a cursor has claimed
// are bounded. A part where nothing waits is left alone for a while.

import { assert } from "../base/assert.js";

const HASH_BYTES = 20;
/** One for each 1/64: a power of two. */
export const CURSORS = 64;
const CURSOR_BITS = Math.log2(CURSORS);
/** Hashes of one claim, as many as of one part can be under way: the paper's author's own. */
const AHEAD = 9;
const UNDER_WAY_MAX = 9;
const REST_MS = 10_000;

export interface CursorOptions {
  /** Hashes that a cursor claims at once. */
  readonly ahead?: number;
  /** Lookups of one cursor at once. */
  readonly underWayMax?: number;
  /** How long a part is left alone in which nothing waited. */
  readonly restMs?: number;
}

/** What is to be claimed next: hashes from `from` on and before `to`, in order, so many at the most. */
export interface Stretch {
  readonly cursor: number;
  readonly from: Uint8Array;
  /** Undefined: up to the end of the key space. */
  readonly to: Uint8Array | undefined;
  readonly count: number;
}

interface Cursor {
  /** Where the next claim begins. */
  next: Uint8Array;
  readonly queue: Uint8Array[];
  underWay: number;
  isAsking: boolean;
  restsUntilMs: number;
}

export class Cursors {
  readonly #ahead: number;
  readonly #underWayMax: number;
  readonly #restMs: number;
  readonly #cursors: readonly Cursor[];
  /** Cursors in the order in which they get their turns: places far apart come after each other. */
  readonly #order = Array.from({ length: CURSORS }, (_, index) => turned(index));
  #turn = 0;
  #asked = 0;
  #queued = 0;
  #underWay = 0;

  constructor(options: CursorOptions = {}) {
    this.#ahead = options.ahead ?? AHEAD;
    this.#underWayMax = options.underWayMax ?? UNDER_WAY_MAX;
    this.#restMs = options.restMs ?? REST_MS;
    this.#cursors = Array.from({ length: CURSORS }, (_, index) => ({
      next: startOf(index),
      queue: [],
      underWay: 0,
      isAsking: false,
      restsUntilMs: Number.NEGATIVE_INFINITY,
    }));
  }

  /** Hashes that were claimed and not taken yet. */
  get queued(): number {
    return this.#queued;
  }

  /** Hashes that were taken and are not done yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** A stretch that is to be claimed, for a cursor that has nothing left; claimed() or unclaimed() follows. Undefined: nobody wants any now. */
  wanted(nowMs: number): Stretch | undefined {
    for (let step = 0; step < CURSORS; step++) {
      const index = this.#order[(this.#asked + step) % CURSORS]!;
      const cursor = this.#cursors[index]!;
      if (cursor.isAsking || cursor.queue.length > 0 || cursor.restsUntilMs > nowMs) continue;
      this.#asked += step + 1;
      cursor.isAsking = true;
      return { cursor: index, from: cursor.next, to: endOf(index), count: this.#ahead };
    }
    return undefined;
  }

  /** What a stretch had, in order. Hashes behind its end, from a store that goes on there, are taken by the cursors whose they are. */
  claimed(stretch: Stretch, hashes: readonly Uint8Array[], nowMs: number): void {
    const cursor = this.#cursors[stretch.cursor]!;
    assert(cursor.isAsking, "what is claimed was wanted");
    cursor.isAsking = false;
    let own = 0;
    for (const hash of hashes) {
      const index = hash[0]! >> (8 - CURSOR_BITS);
      this.#cursors[index]!.queue.push(hash);
      this.#queued++;
      if (index === stretch.cursor) own++;
    }
    const wasWhole = Buffer.compare(stretch.from, startOf(stretch.cursor)) === 0;
    if (own === stretch.count) cursor.next = behind(hashes[own - 1]!, stretch.cursor);
    else cursor.next = startOf(stretch.cursor);
    if (own === 0 && wasWhole) cursor.restsUntilMs = nowMs + this.#restMs;
  }

  /** A claim came to nothing: it is wanted again after a while. */
  unclaimed(stretch: Stretch, nowMs: number): void {
    const cursor = this.#cursors[stretch.cursor]!;
    cursor.isAsking = false;
    cursor.restsUntilMs = nowMs + this.#restMs;
  }

  /** The hash that is to be looked up next; done() follows with the same. Undefined: there is none, or its part has enough under way. */
  take(): Uint8Array | undefined {
    let best: Cursor | undefined;
    let bestStep = 0;
    for (let step = 0; step < CURSORS; step++) {
      const cursor = this.#cursors[this.#order[(this.#turn + step) % CURSORS]!]!;
      if (cursor.queue.length === 0 || cursor.underWay >= (best?.underWay ?? this.#underWayMax)) continue;
      best = cursor;
      bestStep = step;
      if (cursor.underWay === 0) break;
    }
    const hash = best?.queue.shift();
    if (best === undefined || hash === undefined) return undefined;
    this.#turn = (this.#turn + bestStep + 1) % CURSORS;
    best.underWay++;
    this.#queued--;
    this.#underWay++;
    return hash;
  }

  /** The lookup of a hash that was taken is over. */
  done(hash: Uint8Array): void {
    const cursor = this.#cursors[hash[0]! >> (8 - CURSOR_BITS)]!;
    assert(cursor.underWay > 0, "what is done was taken");
    cursor.underWay--;
    this.#underWay--;
  }
}

/** The bits of a cursor's number turned round. */
function turned(index: number): number {
  let bits = 0;
  for (let bit = 0; bit < CURSOR_BITS; bit++) bits |= ((index >> bit) & 1) << (CURSOR_BITS - 1 - bit);
  return bits;
}

function startOf(cursor: number): Uint8Array {
  const start = new Uint8Array(HASH_BYTES);
  start[0] = cursor << (8 - CURSOR_BITS);
  return start;
}

function endOf(cursor: number): Uint8Array | undefined {
  return cursor + 1 === CURSORS ? undefined : startOf(cursor + 1);
}

/** The key behind a hash; behind the last one of a part, its start. */
function behind(hash: Uint8Array, cursor: number): Uint8Array {
  const next = hash.slice();
  for (let at = HASH_BYTES - 1; at >= 0; at--) {
    next[at] = (next[at]! + 1) & 0xff;
    if (next[at] !== 0) break;
  }
  return next[0]! >> (8 - CURSOR_BITS) === cursor ? next : startOf(cursor);
}
