// The torrents and peers of a load test of trackers, as aquatic's load tester has them: some torrents are popular and most are
// not. The same numbers give the same population.
//
// Torrent i of N is drawn with weight N / peers + exp(6.5 − 500 i / N): about a quarter of the peers are spread evenly over all
// torrents, the others over the first few. Each peer has a torrent that it announces, a port, and the torrents that it scrapes.

import { there } from "../measuring/ends.js";

export interface PopulationOptions {
  readonly torrents: number;
  readonly peers: number;
  readonly scrapeTorrentsMax: number;
  readonly seed: number;
}

/** Torrents that scrapes are drawn from in runs: a peer scrapes some that follow each other here. */
const SCRAPED = 2 ** 20;
const HASH_WORDS = 5;

export class Population {
  /** HASH_WORDS words for each torrent. */
  readonly hashes: Uint32Array;
  /** Of each peer. */
  readonly torrentOf: Uint32Array;
  readonly portOf: Uint16Array;
  /** Torrents to scrape: peer p scrapes scrapeCountOf[p] of them, from scrapeFirstOf(p) on. */
  readonly scraped: Uint32Array;
  readonly scrapeCountOf: Uint8Array;
  #state: number;

  constructor(options: PopulationOptions) {
    this.#state = options.seed | 1;
    const { torrents, peers } = options;
    this.hashes = Uint32Array.from({ length: torrents * HASH_WORDS }, () => this.roll());
    const draw = this.#drawer(torrents, peers);
    this.torrentOf = new Uint32Array(peers);
    this.portOf = new Uint16Array(peers);
    this.scrapeCountOf = new Uint8Array(peers);
    for (let peer = 0; peer < peers; peer++) {
      this.torrentOf[peer] = draw();
      // Port 0 is nobody's.
      this.portOf[peer] = 1 + (this.roll() % 65_535);
      this.scrapeCountOf[peer] = 1 + (this.roll() % options.scrapeTorrentsMax);
    }
    this.scraped = Uint32Array.from({ length: SCRAPED + options.scrapeTorrentsMax }, draw);
  }

  scrapeFirstOf(peer: number): number {
    return Math.imul(peer, 0x9e3779b1) >>> 12;
  }

  /** How many torrents have a peer, and how many peers each of them has. */
  popularity(): number[] {
    const counts = new Uint32Array(this.hashes.length / HASH_WORDS);
    for (const torrent of this.torrentOf) counts[torrent] = there(counts[torrent]) + 1;
    return [...counts.filter((count) => count > 0)];
  }

  /** 32 bits without sign. */
  roll(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }

  /** Draws torrents by their weights in constant time (Walker's alias method). */
  #drawer(torrents: number, peers: number): () => number {
    const weights = Float64Array.from(
      { length: torrents },
      (_, index) => torrents / peers + Math.exp(6.5 - (500 * index) / torrents),
    );
    const mean = weights.reduce((sum, weight) => sum + weight, 0) / torrents;
    const share = weights.map((weight) => weight / mean);
    const alias = new Uint32Array(torrents);
    const small: number[] = [];
    const large: number[] = [];
    for (let index = 0; index < torrents; index++) (there(share[index]) < 1 ? small : large).push(index);
    for (;;) {
      const more = large.at(-1);
      const less = more === undefined ? undefined : small.pop();
      if (more === undefined || less === undefined) break;
      alias[less] = more;
      share[more] = there(share[more]) + there(share[less]) - 1;
      if (there(share[more]) >= 1) continue;
      large.pop();
      small.push(more);
    }
    for (const rest of [...small, ...large]) share[rest] = 1;
    return () => {
      const index = this.roll() % torrents;
      return this.roll() / 2 ** 32 < there(share[index]) ? index : there(alias[index]);
    };
  }
}
