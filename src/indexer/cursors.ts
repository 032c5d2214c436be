// In what order an indexer looks hashes up (Grunthal 2010, "in-order traversal", "staggered lookups"): many cursors part the key space among them,
// and each goes through its own part in natural order, so that each lookup begins where the one before it ended, and the lookup
// cache knows the nodes there. The next lookup is the cursor's that has the fewest under way, in an order in which neighbours are far apart.
//
//   cursor 0          cursor 1          cursor 2                    claimed ──queue──▶ under way ──▶ done
//   |────▶·······    |──────────▶··    |──▶··········  …               queuedMax of all       underWayMax of each
//
// A node is asked about the few dozen keys that it is among the nearest to while a cursor passes it: how often in a minute is how fast that cursor
// is. So there are many, and one lookup of each at a time: twice the cursors are half the load of the node that gets most.
//
// Always: of a cursor's part of the key space `underWayMax` are under way at the most, whatever number of nodes and slots there are; what is under way
// in two parts that both have more to do differs by one at the most where slots are filled one at a time. Hashes that are claimed are
// bounded. A part where nothing waits is left alone for a while.

import { assert, entryOf } from "../base/assert.js";

const HASH_BYTES = 20;
/** The first bits of a hash say whose it is: up to 16 of them. */
const CURSORS = 256;
const CURSORS_MAX = 65_536;
const UNDER_WAY_MAX = 1;
/** Hashes of one claim: the paper's author's own. */
const AHEAD = 9;
const QUEUED_MAX = 2048;
const REST_MS = 10_000;

export interface CursorOptions {
  /** How many: a power of two up to 65,536. */
  readonly cursors?: number;
  /** Hashes that a cursor claims at once. */
  readonly ahead?: number;
  /** Hashes that all cursors together have claimed and not begun: another claim is made below that. */
  readonly queuedMax?: number;
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
  readonly #bits: number;
  readonly #queuedMax: number;
  readonly #ahead: number;
  readonly #underWayMax: number;
  readonly #restMs: number;
  readonly #cursors: readonly Cursor[];
  /** Cursors in the order in which they get their turns: places far apart come after each other. */
  readonly #order: readonly number[];
  #turn = 0;
  #asked = 0;
  #queued = 0;
  #underWay = 0;

  constructor(options: CursorOptions = {}) {
    const count = options.cursors ?? CURSORS;
    this.#bits = Math.log2(count);
    assert(Number.isInteger(this.#bits) && count <= CURSORS_MAX, "cursors part the key space by bits");
    this.#order = Array.from({ length: count }, (_, index) => turned(index, this.#bits));
    this.#queuedMax = options.queuedMax ?? QUEUED_MAX;
    this.#ahead = options.ahead ?? AHEAD;
    this.#underWayMax = options.underWayMax ?? UNDER_WAY_MAX;
    this.#restMs = options.restMs ?? REST_MS;
    this.#cursors = Array.from({ length: count }, (_, index) => ({
      next: startOf(index, this.#bits),
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
    if (this.#queued >= this.#queuedMax) return undefined;
    const count = this.#cursors.length;
    for (let step = 0; step < count; step++) {
      const index = entryOf(this.#order, (this.#asked + step) % count);
      const cursor = entryOf(this.#cursors, index);
      if (cursor.isAsking || cursor.queue.length > 0 || cursor.restsUntilMs > nowMs) continue;
      this.#asked = (this.#asked + step + 1) % count;
      cursor.isAsking = true;
      const to = index + 1 === count ? undefined : startOf(index + 1, this.#bits);
      return { cursor: index, from: cursor.next, to, count: this.#ahead };
    }
    return undefined;
  }

  /** What a stretch had, in order. Hashes behind its end, from a store that goes on there, are taken by the cursors whose they are. */
  claimed(stretch: Stretch, hashes: readonly Uint8Array[], nowMs: number): void {
    const cursor = entryOf(this.#cursors, stretch.cursor);
    assert(cursor.isAsking, "what is claimed was wanted");
    cursor.isAsking = false;
    let own = 0;
    for (const hash of hashes) {
      const index = partOf(hash, this.#bits);
      entryOf(this.#cursors, index).queue.push(hash);
      this.#queued++;
      if (index === stretch.cursor) own++;
    }
    const start = startOf(stretch.cursor, this.#bits);
    const wasWhole = Buffer.compare(stretch.from, start) === 0;
    const last = own === stretch.count ? hashes[own - 1] : undefined;
    const next = last === undefined ? start : behind(last);
    cursor.next = partOf(next, this.#bits) === stretch.cursor ? next : start;
    if (own === 0 && wasWhole) cursor.restsUntilMs = nowMs + this.#restMs;
  }

  /** A claim came to nothing: it is wanted again after a while. */
  unclaimed(stretch: Stretch, nowMs: number): void {
    const cursor = entryOf(this.#cursors, stretch.cursor);
    cursor.isAsking = false;
    cursor.restsUntilMs = nowMs + this.#restMs;
  }

  /** The hash that is to be looked up next; done() follows with the same. Undefined: there is none, or its part has enough under way. */
  take(): Uint8Array | undefined {
    let best: Cursor | undefined;
    let bestStep = 0;
    const count = this.#cursors.length;
    for (let step = 0; step < count; step++) {
      const cursor = entryOf(this.#cursors, entryOf(this.#order, (this.#turn + step) % count));
      if (cursor.queue.length === 0 || cursor.underWay >= (best?.underWay ?? this.#underWayMax)) continue;
      best = cursor;
      bestStep = step;
      if (cursor.underWay === 0) break;
    }
    const hash = best?.queue.shift();
    if (best === undefined || hash === undefined) return undefined;
    this.#turn = (this.#turn + bestStep + 1) % count;
    best.underWay++;
    this.#queued--;
    this.#underWay++;
    return hash;
  }

  /** The lookup of a hash that was taken is over. */
  done(hash: Uint8Array): void {
    const cursor = entryOf(this.#cursors, partOf(hash, this.#bits));
    assert(cursor.underWay > 0, "what is done was taken");
    cursor.underWay--;
    this.#underWay--;
  }
}

/** The bits of a cursor's number turned round. */
function turned(index: number, bits: number): number {
  let result = 0;
  for (let bit = 0; bit < bits; bit++) result |= ((index >> bit) & 1) << (bits - 1 - bit);
  return result;
}

/** Whose a hash is. */
function partOf(hash: Uint8Array, bits: number): number {
  return ((entryOf(hash, 0) << 8) | entryOf(hash, 1)) >> (16 - bits);
}

function startOf(cursor: number, bits: number): Uint8Array {
  const start = new Uint8Array(HASH_BYTES);
  const first = cursor << (16 - bits);
  start[0] = first >> 8;
  start[1] = first & 0xff;
  return start;
}

/** The key behind a hash. */
function behind(hash: Uint8Array): Uint8Array {
  const next = hash.slice();
  for (let at = HASH_BYTES - 1; at >= 0; at--) {
    next[at] = (entryOf(next, at) + 1) & 0xff;
    if (next[at] !== 0) break;
  }
  return next;
}
