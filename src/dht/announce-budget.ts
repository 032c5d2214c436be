// How many ports one address may announce for one torrent: whoever has one address is one peer, or a few behind one router, and no swarm. Of
// IPv6 that is a /64, and its /48 has SITE_TIMES as many. Counted by cells of a keyed hash over address and torrent, as rates are: nothing is
// kept of anybody.
//
// Always: no address keeps more than PORTS_MAX announces of a torrent in a peer's lifetime, but for what becomes free meanwhile; nothing is
// allocated for an announce.

import { SITE_TIMES, SITE_WORD_MASK } from "../base/network-address.js";
import { ID_BYTES } from "./node-id.js";
import { RateCells } from "./rate-cells.js";

/** At once; and then one more for each part of an hour: a peer that announces each quarter of an hour, and its neighbours, have room. */
export const PORTS_MAX = 6;
const PER_SECOND = 1 / 600;
/** A megabyte: of all announces of ten minutes few share a cell. */
const CELL_BITS = 17;
/** There are so many times fewer cells of sites. */
const SITE_BITS = Math.log2(SITE_TIMES);
const HASH_WORDS = ID_BYTES / 4;

export class AnnounceBudget {
  readonly #cells: RateCells;
  readonly #cellsOfSites: RateCells;
  readonly #words = new Uint32Array(2 + HASH_WORDS);

  /** `key`: 2 words that nobody knows. */
  constructor(key: Uint32Array) {
    this.#cells = new RateCells(PER_SECOND, PORTS_MAX, key, CELL_BITS);
    this.#cellsOfSites = new RateCells(
      SITE_TIMES * PER_SECOND,
      SITE_TIMES * PORTS_MAX,
      key,
      CELL_BITS - SITE_BITS,
    );
  }

  /** Takes one for the address whose words begin at `at` (1 of IPv4, 2 of IPv6) and the info hash. False: it has announced enough. */
  take(address: Uint32Array, at: number, words: number, infoHash: Uint32Array, nowMs: number): boolean {
    const own = this.#words;
    own[0] = address[at]!;
    own[1] = words === 2 ? address[at + 1]! : 0;
    for (let index = 0; index < HASH_WORDS; index++) own[2 + index] = infoHash[index]!;
    if (!this.#cells.take(own, 0, own.length, nowMs)) return false;
    if (words === 1) return true;
    own[1] = address[at + 1]! & SITE_WORD_MASK;
    return this.#cellsOfSites.take(own, 0, own.length, nowMs);
  }
}
