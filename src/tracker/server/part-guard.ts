// What stands before the parts of shared swarms, in each thread: lists of torrents, which all threads read from the same memory, and
// counts of downloads that outlive their swarms, which lie beside their part and change under its lock.
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

/** Lists as one thread has them. */
export class PartAdmission implements Admits {
  #allow: InfoHashTable | undefined;
  #deny: InfoHashTable | undefined;

  constructor(lists: ListTables) {
    this.replace(lists);
  }

  replace({ allow, deny }: ListTables): void {
    this.#allow = allow === undefined ? undefined : InfoHashTable.open(allow);
    this.#deny = deny === undefined ? undefined : InfoHashTable.open(deny);
  }

  admits(hash: number, words: Uint32Array, at: number): boolean {
    if (this.#allow !== undefined && this.#allow.get(hash, words, at) < 0) return false;
    return this.#deny === undefined || this.#deny.get(hash, words, at) < 0;
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
