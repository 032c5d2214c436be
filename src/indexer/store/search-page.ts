// What both stores share of searching: the query made whole, cursors, and which of an order's ends a page begins at.

import { UsageError } from "../../base/errors.js";
import { parseSearch, type SearchTerm, wordsOf } from "./search-text.js";
import { type IndexedTorrent, SEARCH_PAGE_MAX, type SearchOrder, type SearchQuery } from "./store.js";

const LIMIT_DEFAULT = 50;
const ORDERS: readonly string[] = ["newest", "largest", "smallest", "relevance"] satisfies SearchOrder[];

/** Where a page went on from: what the order goes by, and the torrent's own number. */
export interface Place {
  readonly value: number;
  readonly id: number;
}

export interface Search {
  /** None: all torrents. */
  readonly terms: readonly SearchTerm[];
  readonly order: SearchOrder;
  readonly limit: number;
  readonly after: Place | undefined;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Throws UsageError. */
export function readSearch(query: SearchQuery): Search {
  const { text = "", order = "newest", limit = LIMIT_DEFAULT, cursor } = query;
  if (typeof text !== "string") throw refused("text", "a text", text);
  if (!ORDERS.includes(order)) throw refused("order", ORDERS.join(", "), order);
  if (!Number.isInteger(limit) || limit < 1 || limit > SEARCH_PAGE_MAX)
    throw refused("limit", `a whole number from 1 to ${SEARCH_PAGE_MAX}`, limit);
  const terms = parseSearch(text);
  const hasText = terms.some(({ isExcluded }) => !isExcluded);
  return {
    terms: hasText ? terms : [],
    order: order === "relevance" && !hasText ? "newest" : order,
    limit,
    after: cursor === undefined ? undefined : readCursor(cursor, order),
    bytesMin: number("bytesMin", query.bytesMin, 0),
    bytesMax: number("bytesMax", query.bytesMax, Number.MAX_SAFE_INTEGER),
    fromMs: number("discoveredFromMs", query.discoveredFromMs, 0),
    toMs: number("discoveredToMs", query.discoveredToMs, Number.MAX_SAFE_INTEGER),
  };
}

export function makeCursor({ value, id }: Place): string {
  return `${value},${id}`;
}

/** True if `a` comes behind `b` in an order. */
export function isBehind(order: SearchOrder, a: Place, b: Place): boolean {
  if (a.value !== b.value) return order === "smallest" ? a.value > b.value : a.value < b.value;
  return order === "smallest" ? a.id > b.id : a.id < b.id;
}

export function passes(
  { bytesMin, bytesMax, fromMs, toMs }: Search,
  { bytes, discoveredMs }: Pick<IndexedTorrent, "bytes" | "discoveredMs">,
): boolean {
  return bytes >= bytesMin && bytes <= bytesMax && discoveredMs >= fromMs && discoveredMs <= toMs;
}

/** The page of an order among all places, and its cursor. */
export function placesOf(
  { order, after, limit }: Search,
  places: readonly Place[],
): { readonly page: readonly Place[]; readonly cursor: string | undefined } {
  const behind = after === undefined ? [...places] : places.filter((place) => isBehind(order, place, after));
  behind.sort((a, b) => (isBehind(order, a, b) ? 1 : -1));
  const page = behind.slice(0, limit);
  const last = page.at(-1);
  return { page, cursor: behind.length > limit && last !== undefined ? makeCursor(last) : undefined };
}

/**
 * How well a name fits, from 0 to 2: the share of what is asked for that stands in it (the rest is in paths of files), and the share of its
 * words that were asked for. It needs nothing but the name, so that it costs the same however many torrents have these words.
 */
export function rankOf(name: string, terms: readonly SearchTerm[]): number {
  const words = wordsOf(name);
  const known = new Set(words);
  const asked = new Set<string>();
  let [wanted, there] = [0, 0];
  for (const { words: phrase, isPrefix, isExcluded } of terms) {
    if (isExcluded) continue;
    wanted++;
    const last = phrase.at(-1) ?? "";
    const isThere = phrase.every((word) => known.has(word) || (isPrefix && word === last));
    const goesOn = isPrefix ? words.filter((word) => word.startsWith(last)) : [];
    if (isThere && (!isPrefix || goesOn.length > 0)) there++;
    for (const word of [...phrase, ...goesOn]) asked.add(word);
  }
  const share = words.filter((word) => asked.has(word)).length / Math.max(1, words.length);
  return Math.round(1e6 * (there / Math.max(1, wanted) + share)) / 1e6;
}

function readCursor(cursor: string, order: SearchOrder): Place {
  const [value = Number.NaN, id = Number.NaN] = /^-?[0-9.e+-]{1,30},[0-9]{1,16}$/.test(cursor)
    ? cursor.split(",").map(Number)
    : [];
  // Sizes are whole numbers, and a database has no others to compare them with.
  const isRight = order === "relevance" ? Number.isFinite(value) : Number.isSafeInteger(value);
  if (!isRight || !Number.isSafeInteger(id)) throw refused("cursor", "what the page before said", cursor);
  return { value, id };
}

function number(name: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (!Number.isFinite(value)) throw refused(name, "a number", value);
  return Math.min(Math.max(0, Math.trunc(value)), Number.MAX_SAFE_INTEGER);
}

function refused(name: string, allowed: string, given: unknown): UsageError {
  return new UsageError(
    "USAGE_OPTION",
    `${name} of a search is ${allowed}, not ${String(given).slice(0, 80)}`,
  );
}
