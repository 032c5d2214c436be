// Swarms that several threads share: parts by the keyed hash of the info hash, each a store of its own in shared memory, and each
// behind a lock. Any thread answers for any torrent, at once.
//
//   hash ──low bits──▶ part   │ lock │ PeerStore over shared memory │     a view of each part in every thread
//
// One thread makes the memory (makePartedSwarms) and is the keeper: it tells the time, and clears what a thread that died had taken.
// All open the same memory (PartedSwarms), each under a number of its own.
//
// Always: what a part has changes only under its lock, and a thread has one lock at a time. A part whose holder died in the middle, or
// threw, is cleared before it is used again: its torrents come back with their next announces. Whoever cannot have a lock in time answers
// nothing, and counts that.

import { assert, entryOf } from "../../base/assert.js";
import { budgetBytes } from "./address-budget.js";
import { AheadFindings, LOOK_AHEAD_STEPS } from "./ahead-findings.js";
import {
  AHEAD_MAX,
  type Announce,
  type AnnouncesAhead,
  type PeerSink,
  type SwarmBrowser,
  type SwarmCounters,
  type SwarmStore,
  type SwarmTotals,
} from "./contract.js";
import {
  type AddressBudgets,
  type BudgetMemory,
  BYTES_MAX_DEFAULT,
  makeAddressBudgets,
  makeSwarmCounters,
  PeerStore,
  type PeerStoreOptions,
  TORRENTS_MAX_DEFAULT,
} from "./peer-store.js";
import { lockBytes, SharedLocks } from "./shared-locks.js";

/** Parts for each thread: so many that two seldom want one at a time, and so few that pages of each are full. */
const PARTS_PER_THREAD = 16;
const PARTS_MAX = 256;
/** Less would be no store. */
const PART_BYTES_MIN = 2 ** 20;

/** All that a thread needs to open them; it can be sent to one. */
export interface PartedSwarmsMemory {
  readonly options: Omit<PeerStoreOptions, "reserve" | "random" | "part" | keyof PartedSwarmsMeans>;
  readonly parts: number;
  readonly locks: SharedArrayBuffer;
  readonly budgets: BudgetMemory;
  /** Of each part, in the order in which its store asks for it. */
  readonly regions: readonly (readonly SharedArrayBuffer[])[];
}

/** What a thread has to find and to give back memory of parts; the keeper populates for all. See PeerStoreOptions. */
export type PartedSwarmsMeans = Pick<PeerStoreOptions, "release" | "populate">;

/** What stands between a part and who asks: lists, for one. It is called under the part's lock. */
export type PartGuard = (store: PeerStore, part: number, parts: number) => SwarmStore;

/** Memory for as many threads; bounds of memory and torrents are divided among the parts. */
export function makePartedSwarms(
  threads: number,
  options: PartedSwarmsMemory["options"],
  reserve: (bytes: number) => SharedArrayBuffer = (bytes) => new SharedArrayBuffer(bytes),
): PartedSwarmsMemory {
  const bytesMax = options.bytesMax ?? BYTES_MAX_DEFAULT;
  let parts = 1;
  while (parts < PARTS_PER_THREAD * threads && parts < PARTS_MAX && bytesMax / (2 * parts) >= PART_BYTES_MIN)
    parts *= 2;
  const shared = {
    ...options,
    bytesMax: Math.floor(bytesMax / parts),
    torrentsMax: Math.ceil((options.torrentsMax ?? TORRENTS_MAX_DEFAULT) / parts),
  };
  const budgets = {
    newTorrentsPerMinute: reserve(budgetBytes()),
    evictionsPerMinute: reserve(budgetBytes()),
  };
  const noBudgets = { newTorrents: undefined, evictions: undefined };
  const found = new AheadFindings();
  const regions = Array.from({ length: parts }, () => {
    const taken: SharedArrayBuffer[] = [];
    const take = (bytes: number): SharedArrayBuffer => {
      const region = reserve(bytes);
      taken.push(region);
      return region;
    };
    const part = { parts, reserve: take, counters: makeSwarmCounters(), found };
    new PeerStore({ ...shared, random: Math.random, part: { ...part, budgets: noBudgets } });
    return taken;
  });
  return { options: shared, parts, locks: new SharedArrayBuffer(lockBytes(parts)), budgets, regions };
}

export class PartedSwarms implements SwarmStore, SwarmBrowser {
  seeders = 0;
  leechers = 0;
  downloads = 0;
  /** Of this thread. */
  readonly counters: SwarmCounters = makeSwarmCounters();
  readonly locks: SharedLocks;
  /** Parts that this thread cleared, as whoever had them ended in the middle. */
  partsCleared = 0;
  readonly #stores: readonly PeerStore[];
  readonly #guarded: readonly SwarmStore[];
  readonly #mask: number;
  readonly #isKeeper: boolean;
  readonly #budgets: AddressBudgets;
  readonly #budgetBytes: number;
  /** Announces that are to come by their parts, and where those of each part end. */
  readonly #order = new Uint16Array(AHEAD_MAX);
  readonly #ends = new Uint16Array(PARTS_MAX + 1);

  /** `thread`: 0 is the keeper. */
  constructor(
    memory: PartedSwarmsMemory,
    thread: number,
    guard: PartGuard = (store) => store,
    means: PartedSwarmsMeans = {},
  ) {
    const { options, parts } = memory;
    assert(
      parts > 0 && parts <= PARTS_MAX && (parts & (parts - 1)) === 0,
      "the low bits of a hash name a part",
    );
    assert(memory.regions.length === parts, "each part has its memory");
    this.#mask = parts - 1;
    this.#isKeeper = thread === 0;
    this.locks = new SharedLocks(memory.locks, thread);
    this.#budgets = makeAddressBudgets(options, memory.budgets);
    const { newTorrents, evictions } = this.#budgets;
    this.#budgetBytes = (newTorrents?.bytes ?? 0) + (evictions?.bytes ?? 0);
    // Lines are loaded here: of a batch a part has few announces, and a call for them would cost more than it saves.
    const found = new AheadFindings();
    this.#stores = memory.regions.map((regions) => {
      let next = 0;
      const reserve = (bytes: number): SharedArrayBuffer => {
        const region = regions[next++];
        assert(
          region !== undefined && region.byteLength >= bytes,
          "a part asks for what it asked for before",
        );
        return region;
      };
      const part = { parts, reserve, counters: this.counters, found, budgets: this.#budgets };
      return new PeerStore({ ...options, ...means, part });
    });
    this.#guarded = this.#stores.map((store, part) => guard(store, part, parts));
  }

  hash(words: Uint32Array, at: number): number {
    return this.#stores[0]!.hash(words, at);
  }

  /** Without locks: nothing that is found is believed. Announces of one part are looked at together. */
  lookAhead(announces: AnnouncesAhead): void {
    const { count, hashes } = announces;
    assert(count <= AHEAD_MAX, "there is room for what is found of each announce");
    const ends = this.#ends;
    const order = this.#order;
    const mask = this.#mask;
    ends.fill(0);
    for (let index = 0; index < count; index++) ends[hashes[index]! & mask]!++;
    for (let part = 1; part <= mask; part++) ends[part] = ends[part]! + ends[part - 1]!;
    for (let index = count - 1; index >= 0; index--) order[--ends[hashes[index]! & mask]!] = index;
    // Where a part's announces ended they begin now; they end where those of the next part begin.
    ends[mask + 1] = count;
    for (let step = 0; step < LOOK_AHEAD_STEPS; step++)
      for (let part = 0; part <= mask; part++) {
        const from = ends[part]!;
        const to = ends[part + 1]!;
        if (from < to) this.#stores[part]!.look(step, announces, order, from, to);
      }
  }

  announce(hash: number, request: Announce, sink: PeerSink): number {
    const part = hash & this.#mask;
    if (!this.#take(part)) return -1;
    const store = this.#guarded[part]!;
    let told: number;
    try {
      told = store.announce(hash, request, sink);
    } catch (error) {
      this.#clear(part);
      throw error;
    }
    this.seeders = store.seeders;
    this.leechers = store.leechers;
    this.downloads = store.downloads;
    this.locks.give(part);
    return told;
  }

  scrape(hash: number, words: Uint32Array, at: number): boolean {
    const part = hash & this.#mask;
    if (!this.#take(part)) {
      this.seeders = 0;
      this.leechers = 0;
      this.downloads = 0;
      return false;
    }
    const store = this.#guarded[part]!;
    let known: boolean;
    try {
      known = store.scrape(hash, words, at);
    } catch (error) {
      this.#clear(part);
      throw error;
    }
    this.seeders = store.seeders;
    this.leechers = store.leechers;
    this.downloads = store.downloads;
    this.locks.give(part);
    return known;
  }

  copyHashes(from: number, count: number, words: Uint32Array): number {
    let skipped = 0;
    let copied = 0;
    this.eachPart((part) => {
      const store = this.#stores[part]!;
      copied += store.copyHashes(Math.max(0, from - skipped), count - copied, words.subarray(5 * copied));
      skipped += store.totals().torrents;
    });
    return copied;
  }

  copyPeers(words: Uint32Array, at: number, family: 4 | 6, want: number, sink: PeerSink): number {
    const part = this.hash(words, at) & this.#mask;
    if (!this.#take(part)) return 0;
    try {
      return this.#stores[part]!.copyPeers(words, at, family, want, sink);
    } finally {
      this.locks.give(part);
    }
  }

  /** The keeper tells all threads the time, and goes on with expiry, a part after the other; what others say is nothing to it. */
  advance(nowMs: number): void {
    if (!this.#isKeeper) return;
    this.#budgets.newTorrents?.advance(nowMs);
    this.#budgets.evictions?.advance(nowMs);
    for (let part = 0; part <= this.#mask; part++) {
      if (!this.#take(part)) continue;
      try {
        this.#stores[part]!.advance(nowMs);
      } catch (error) {
        this.#clear(part);
        throw error;
      }
      this.locks.give(part);
    }
  }

  /** As they are while others change them. */
  totals(): SwarmTotals {
    const sum = {
      torrents: 0,
      peersV4: 0,
      peersV6: 0,
      bytes: this.#budgetBytes,
      bytesTouched: this.#budgetBytes,
    };
    for (const store of this.#stores) {
      store.refresh();
      const totals = store.totals();
      for (const key of Object.keys(sum) as (keyof SwarmTotals)[]) sum[key] += totals[key];
    }
    return sum;
  }

  /** The keeper's, when a thread has ended: nobody waits any more for what it had. How many parts it was in the middle of. */
  recover(thread: number): number {
    assert(this.#isKeeper, "the keeper takes what others had");
    let cleared = 0;
    for (let part = 0; part <= this.#mask; part++) {
      if (!this.locks.inherit(part, thread)) continue;
      this.#clear(part);
      cleared++;
    }
    return cleared;
  }

  /** Calls `visit` for each part that can be had, under its lock. */
  eachPart(visit: (part: number) => void): void {
    for (let part = 0; part <= this.#mask; part++) {
      if (!this.#take(part)) continue;
      try {
        visit(part);
      } finally {
        this.locks.give(part);
      }
    }
  }

  /** Looks at all parts, each under its lock. For tests. */
  checkInvariants(): void {
    this.eachPart((part) => entryOf(this.#stores, part).checkInvariants());
  }

  #take(part: number): boolean {
    if (!this.locks.take(part)) return false;
    this.#stores[part]!.refresh();
    return true;
  }

  /** The part is this thread's, in whatever state; it is nobody's and empty after it. */
  #clear(part: number): void {
    this.partsCleared++;
    this.#stores[part]!.clear();
    this.locks.give(part);
  }
}
