// What stands before the parts of shared swarms, in each thread: lists of torrents, which all threads read from the same memory, with the
// few entries that were changed since they lie there, and counts of downloads that outlive their swarms, which lie beside their part and change under its lock.
//
// Always: a thread sees all lists of one time. A count that is kept is in one place, whichever thread counted it.

import type { PartedSwarms, PartGuard } from "../peer-store/parted-swarms.js";
import type { PeerStore } from "../peer-store/peer-store.js";
import type { ListTables } from "./admission.js";
import { type Admits, GuardedSwarms, KEPT_DOWNLOADS_MAX } from "./guarded-swarms.js";
import { InfoHashTable } from "./info-hash-table.js";
import type { PartCounters } from "./worker-counters.js";

/** What guards the parts; it can be sent to a thread. */
export interface PartGuardMemory {
  /** There are lists, or may be later. */
  readonly hasLists: boolean;
  /** Of each part, its counts of downloads. */
  readonly kept: readonly SharedArrayBuffer[] | undefined;
}

/** An entry of a list, as rules have it, that is there from now on, or is not. */
export interface ListChange {
  readonly name: "allow" | "deny";
  readonly entry: string;
  readonly listed: boolean;
}

type Hash = (words: Uint32Array, at: number) => number;

/** A list in shared memory, which nobody writes to, and what was changed since. */
class PartList {
  readonly #table: InfoHashTable;
  /** 1 for an entry that is listed, 0 for one that is not any more. */
  readonly #changes: InfoHashTable;

  constructor(memory: SharedArrayBuffer, hash: Hash) {
    this.#table = InfoHashTable.open(memory);
    this.#changes = new InfoHashTable(hash);
  }

  has(hash: number, words: Uint32Array, at: number): boolean {
    const changed = this.#changes.size === 0 ? -1 : this.#changes.get(hash, words, at);
    return changed < 0 ? this.#table.get(hash, words, at) >= 0 : changed === 1;
  }

  change(hash: number, words: Uint32Array, listed: boolean): void {
    this.#changes.set(hash, words, 0, listed ? 1 : 0);
  }
}

/** Lists as one thread has them. */
export class PartAdmission implements Admits {
  readonly #hash: Hash;
  #allow: PartList | undefined;
  #deny: PartList | undefined;
  readonly #words = new Uint32Array(5);
  readonly #bytes = Buffer.from(this.#words.buffer);

  /** `hash`: the store's. */
  constructor(lists: ListTables, hash: Hash) {
    this.#hash = hash;
    this.replace(lists);
  }

  replace({ allow, deny }: ListTables): void {
    this.#allow = allow === undefined ? undefined : new PartList(allow, this.#hash);
    this.#deny = deny === undefined ? undefined : new PartList(deny, this.#hash);
  }

  change({ name, entry, listed }: ListChange): void {
    this.#bytes.write(entry, "hex");
    const list = name === "allow" ? this.#allow : this.#deny;
    list?.change(this.#hash(this.#words, 0), this.#words, listed);
  }

  admits(hash: number, words: Uint32Array, at: number): boolean {
    if (this.#allow !== undefined && !this.#allow.has(hash, words, at)) return false;
    return this.#deny === undefined || !this.#deny.has(hash, words, at);
  }
}

export interface Guards {
  readonly guard: PartGuard;
  readonly all: readonly GuardedSwarms[];
}

export function makePartGuardMemory(
  parts: number,
  hasLists: boolean,
  keepsDownloads: boolean,
): PartGuardMemory {
  const entries = Math.ceil(KEPT_DOWNLOADS_MAX / parts);
  return {
    hasLists,
    kept: keepsDownloads
      ? Array.from({ length: parts }, () => InfoHashTable.reserve(entries, parts))
      : undefined,
  };
}

/** Without lists and kept counts a part is asked directly. */
export function guardParts({ hasLists, kept }: PartGuardMemory, admission: Admits): Guards {
  const all: GuardedSwarms[] = [];
  const tables = kept?.map((memory) => InfoHashTable.open(memory)) ?? [];
  const guard = (store: PeerStore, part: number, parts: number): GuardedSwarms | PeerStore => {
    if (!hasLists && kept === undefined) return store;
    const guarded = new GuardedSwarms(store, admission, tables[part], Math.ceil(KEPT_DOWNLOADS_MAX / parts));
    all.push(guarded);
    return guarded;
  };
  return { guard, all };
}

export function countersOfParts(swarms: PartedSwarms, guards: Guards | undefined): PartCounters {
  const { abandoned, contended, sleeps } = swarms.locks;
  const counters = { refused: 0, unkept: 0 };
  for (const { refused, unkept } of guards?.all ?? []) {
    counters.refused += refused;
    counters.unkept += unkept;
  }
  const { partsCleared } = swarms;
  return { lockTimeouts: abandoned, lockWaits: contended, lockSleeps: sleeps, partsCleared, ...counters };
}
