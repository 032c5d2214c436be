// Swarms behind lists, with counts of downloads that outlive them: what the faces of a tracker ask, in place of the store.
//
// Always: a torrent that is not admitted changes nothing and has no peers, whichever face asks. A count of downloads only grows.

import {
  type Announce,
  type AnnouncesAhead,
  EVENT_COMPLETED,
  type PeerSink,
  type SwarmCounters,
  type SwarmStore,
  type SwarmTotals,
} from "../peer-store/contract.js";
import { type InfoHashTable, VALUE_MAX } from "./info-hash-table.js";

/** Torrents whose downloads are kept, in 48 bytes each or less; from then on others are counted while they have peers only. */
export const KEPT_DOWNLOADS_MAX = 2 ** 20;

/** Which torrents are tracked; see Admission. */
export interface Admits {
  admits(hash: number, words: Uint32Array, at: number): boolean;
}

export class GuardedSwarms implements SwarmStore {
  seeders = 0;
  leechers = 0;
  downloads = 0;
  /** Announces and scrapes of torrents that the lists do not have. */
  refused = 0;
  /** Downloads of torrents for which there was no room among those that are kept. */
  unkept = 0;
  readonly #store: SwarmStore;
  readonly #admission: Admits;
  readonly #kept: InfoHashTable | undefined;
  readonly #keptMax: number;

  /** `kept`: downloads by info hash, which this counts on, of so many torrents; undefined: the store's own counts are told. */
  constructor(store: SwarmStore, admission: Admits, kept?: InfoHashTable, keptMax = KEPT_DOWNLOADS_MAX) {
    this.#store = store;
    this.#admission = admission;
    this.#kept = kept;
    this.#keptMax = keptMax;
  }

  get counters(): Readonly<SwarmCounters> {
    return this.#store.counters;
  }

  hash(words: Uint32Array, at: number): number {
    return this.#store.hash(words, at);
  }

  lookAhead(announces: AnnouncesAhead): void {
    this.#store.lookAhead(announces);
  }

  announce(hash: number, request: Announce, sink: PeerSink): number {
    if (!this.#admission.admits(hash, request.hash, request.hashAt)) return this.#refuse();
    const store = this.#store;
    const kept = this.#kept;
    let before = 0;
    if (kept !== undefined && request.event === EVENT_COMPLETED) {
      store.scrape(hash, request.hash, request.hashAt);
      before = store.downloads;
    }
    const told = store.announce(hash, request, sink);
    this.#report();
    if (kept === undefined) return told;
    const count = Math.max(0, kept.get(hash, request.hash, request.hashAt));
    if (request.event === EVENT_COMPLETED && store.downloads > before) {
      this.#keep(kept, hash, request.hash, request.hashAt, Math.min(count + 1, VALUE_MAX));
      this.downloads = Math.max(count + 1, store.downloads);
    } else this.downloads = Math.max(count, store.downloads);
    return told;
  }

  /** Counts a download that was announced elsewhere, if counts are kept. */
  countDownload(hash: number, words: Uint32Array, at: number): void {
    const kept = this.#kept;
    if (kept === undefined) return;
    const count = Math.max(0, kept.get(hash, words, at));
    this.#keep(kept, hash, words, at, Math.min(count + 1, VALUE_MAX));
  }

  scrape(hash: number, words: Uint32Array, at: number): boolean {
    if (!this.#admission.admits(hash, words, at)) {
      this.#refuse();
      return false;
    }
    const known = this.#store.scrape(hash, words, at);
    this.#report();
    if (this.#kept !== undefined) this.downloads = Math.max(this.downloads, this.#kept.get(hash, words, at));
    return known;
  }

  advance(nowMs: number): void {
    this.#store.advance(nowMs);
  }

  totals(): SwarmTotals {
    return this.#store.totals();
  }

  #report(): void {
    this.seeders = this.#store.seeders;
    this.leechers = this.#store.leechers;
    this.downloads = this.#store.downloads;
  }

  #refuse(): number {
    this.refused++;
    this.seeders = 0;
    this.leechers = 0;
    this.downloads = 0;
    return 0;
  }

  #keep(kept: InfoHashTable, hash: number, words: Uint32Array, at: number, count: number): void {
    if (kept.size < this.#keptMax || kept.get(hash, words, at) >= 0) kept.set(hash, words, at, count);
    else this.unkept++;
  }
}
