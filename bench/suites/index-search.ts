// How long a search in a large index takes: a store is filled with torrents that somebody could have made, and asked what people ask.
//
// Words are drawn as words of names are (Zipf): the first stands in a fifth of all names, most in a few. Queries are of kinds, each with its own
// times, because a kind that is slow must not hide in a mean. One after the other: what a search waits for is the store.

import type { FoundTorrent, IndexStore, SearchQuery } from "../../src/indexer/index.js";

export interface SearchSettings {
  readonly torrents: number;
  /** Of each kind. */
  readonly searches: number;
  readonly seed: number;
}

export interface SearchRow {
  readonly kind: string;
  readonly searches: number;
  /** Milliseconds. */
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  /** Torrents on the pages, on average, and pages that ran out of time. */
  readonly found: number;
  readonly cutShort: number;
}

export interface FillResult {
  readonly seconds: number;
  readonly storeBytes: number;
}

const WORDS = 60_000;
const BATCH = 1000;
const EXPONENT = 0.9;
const SYLLABLES = [
  "ba",
  "co",
  "di",
  "fu",
  "ge",
  "ha",
  "ki",
  "lo",
  "mu",
  "na",
  "or",
  "pe",
  "ri",
  "su",
  "ta",
  "ve",
];
const GIB = 2 ** 30;

/** Adds torrents to `store`, the same ones for the same seed. */
export async function fillIndex(
  store: IndexStore,
  { torrents, seed }: SearchSettings,
  told: (done: number) => void,
): Promise<FillResult> {
  const dice = diceOf(seed);
  const draw = zipf(dice);
  const startedMs = performance.now();
  for (let done = 0; done < torrents; ) {
    const count = Math.min(BATCH, torrents - done);
    const batch = Array.from({ length: count }, () => torrentOf(dice, draw));
    await store.see(batch.map(({ infoHash }) => ({ infoHash, hits: 1 + Math.floor(4 * dice()) })));
    await store.finish(
      "bench",
      batch.map((torrent) => ({ kind: "fetched", torrent })),
    );
    done += count;
    told(done);
  }
  const { storeBytes } = await store.stats();
  return { seconds: (performance.now() - startedMs) / 1000, storeBytes };
}

/** The kinds of queries, in the order of the table. */
export async function searchIndex(
  store: IndexStore,
  { searches, seed }: SearchSettings,
): Promise<SearchRow[]> {
  const dice = diceOf(seed + 1);
  const draw = zipf(dice);
  /** A word of rank `from` … `to`. */
  const rank = (from: number, to: number): string => wordOf(from + Math.floor(dice() * (to - from)));
  const kinds: readonly [string, () => SearchQuery][] = [
    ["the newest, without words", () => ({})],
    ["a word that many have", () => ({ text: rank(0, 50) })],
    ["a word that few have", () => ({ text: rank(20_000, WORDS) })],
    ["two words, as they come", () => ({ text: `${wordOf(draw())} ${wordOf(draw())}` })],
    [
      "two that many have, best match",
      () => ({ text: `${rank(0, 200)} ${rank(0, 200)}`, order: "relevance" }),
    ],
    ["two side by side", () => ({ text: `"${rank(0, 100)} ${rank(0, 100)}"` })],
    [
      "one or two letters of a word",
      () => ({ text: `${wordOf(draw()).slice(0, 1 + Math.floor(2 * dice()))}*` }),
    ],
    ["the beginning of a word", () => ({ text: `${wordOf(draw()).slice(0, 4)}*` })],
    ["a word without another", () => ({ text: `${rank(0, 500)} -${rank(0, 20)}` })],
    ["a word and a size", () => ({ text: rank(0, 1000), bytesMin: GIB, bytesMax: 4 * GIB })],
    ["a word, the largest first", () => ({ text: rank(0, 1000), order: "largest" })],
    ["the largest, without words", () => ({ order: "largest", bytesMax: Math.floor(dice() * 8 * GIB) })],
  ];
  const rows: SearchRow[] = [];
  const all: Measured[] = [];
  for (const [kind, make] of kinds) {
    const measured: Measured[] = [];
    for (let count = 0; count < searches; count++) {
      const query = make();
      const startedMs = performance.now();
      const { torrents, isWhole } = await store.search(query);
      measured.push({ ms: performance.now() - startedMs, found: torrents.length, isWhole });
    }
    rows.push(rowOf(kind, measured));
    all.push(...measured);
  }
  return [...rows, rowOf("all of these", all)];
}

interface Measured {
  readonly ms: number;
  readonly found: number;
  readonly isWhole: boolean;
}

function rowOf(kind: string, measured: readonly Measured[]): SearchRow {
  const times = measured.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0;
  const found = measured.reduce((sum, each) => sum + each.found, 0) / Math.max(1, measured.length);
  const cutShort = measured.filter(({ isWhole }) => !isWhole).length;
  return { kind, searches: times.length, medianMs: at(0.5), p95Ms: at(0.95), maxMs: at(1), found, cutShort };
}

function torrentOf(dice: () => number, draw: () => number): FoundTorrent {
  const words = (count: number): string => Array.from({ length: count }, () => wordOf(draw())).join(" ");
  const files = Array.from({ length: 1 + Math.floor(dice() ** 3 * 12) }, () => ({
    path: `${words(2 + Math.floor(dice() * 3))}.bin`,
    bytes: Math.floor(10 ** (5 + 5 * dice())),
  }));
  const infoHash = new Uint8Array(20);
  for (let at = 0; at < 20; at++) infoHash[at] = Math.floor(256 * dice());
  return {
    infoHash,
    name: words(3 + Math.floor(dice() * 6)),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    pieceBytes: 262_144,
    isPrivate: false,
    fileCount: files.length,
    files,
  };
}

/** A word for each rank: no two alike. */
function wordOf(rank: number): string {
  let word = "";
  for (let left = rank + 1; left > 0; left = Math.floor(left / SYLLABLES.length))
    word += SYLLABLES[left % SYLLABLES.length];
  return word;
}

/** Ranks from 0 on; rank r comes as often as the first divided by (r + 1)^EXPONENT. */
function zipf(dice: () => number): () => number {
  const sums = new Float64Array(WORDS);
  let sum = 0;
  for (let rank = 0; rank < WORDS; rank++) {
    sum += (rank + 1) ** -EXPONENT;
    sums[rank] = sum;
  }
  return () => {
    const wanted = dice() * sum;
    let [low, high] = [0, WORDS - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Numbers from 0 on below 1, the same for the same seed (mulberry32). */
function diceOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
