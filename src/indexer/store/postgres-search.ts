// How an index in PostgreSQL is searched: the newest first, a stretch of ids after the other, until there is enough.
//
//   ids   0 ─────────────────────────────────────────────────────────▶ newest
//           rest │ of 2^18 │ of 2^15 │ one or two of 2^12 │          each stretch has a lexeme, which is asked for beside the words
//
// GIN knows no order: asked for a word that each fifth torrent has, it brings all of them, to be sorted. So each torrent has, among its words,
// some that say which stretches of ids it is in, and is asked for together with one: GIN passes over what is elsewhere. How long the next
// stretch is, is told by how many matches the last ones had. What is so rare that long stretches had too few is asked for without them.
//
// Always: rows that are looked at are a small multiple of those that are wanted, and when time runs out the page says how far it came.

import type { PostgresClient, PostgresResult } from "./postgres-client.js";
import { makeCursor, type Place, passes, placesOf, rankOf, type Search } from "./search-page.js";
import { type PostgresText, tsQueryOf } from "./search-text.js";
import { type IndexedTorrent, SEARCH_CANDIDATES_MAX, type SearchPage } from "./store.js";

/** Stretches have ids that agree in all but so many bits. What is in the words of rows that exist: never changed. */
const STRETCH_BITS = [12, 15, 18] as const;
/** In SQL, for a row's `id`: its lexemes as text. No word has their first character. */
export const STRETCHES_OF_ID = STRETCH_BITS.map((bits) => `' ''#${bits}:' || (id >> ${bits}) || ''''`).join(
  " || ",
);
/** So many times as many ids are looked through next, at the most. */
const GROWTH_MAX = 16;
/** More than the last ones let expect: matches are not spread evenly. */
const MARGIN = 1.5;
const SEARCH_MS_MAX = 1000;
export const COLUMNS = `t.id, t.info_hash, t.name, t.bytes, t.piece_bytes, t.is_private, t.file_count, t.discovered_ms,
  (SELECT hits FROM hash WHERE hash.info_hash = t.info_hash) AS hits,
  (SELECT seen_ms FROM hash WHERE hash.info_hash = t.info_hash) AS seen_ms`;
const FILTERS = "t.bytes BETWEEN $1 AND $2 AND t.discovered_ms BETWEEN $3 AND $4";

type Row = PostgresResult["rows"][number];

interface Gathered {
  /** The newest first. */
  readonly rows: readonly Row[];
  /** Ids from this one on were looked through; 0: all were. */
  readonly fromId: number;
}

export async function searchPostgres(client: PostgresClient, search: Search): Promise<SearchPage> {
  const text = tsQueryOf(search.terms);
  if (text === undefined) return searchAll(client, search);
  return search.order === "newest" ? searchNewest(client, search, text) : searchSorted(client, search, text);
}

/** Without words: an index has the order that is wanted. */
async function searchAll(client: PostgresClient, search: Search): Promise<SearchPage> {
  const { order, after, limit } = search;
  const values: unknown[] = filtersOf(search);
  const put = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [FILTERS];
  if (after !== undefined && order === "newest") conditions.push(`t.id < ${put(after.id)}`);
  else if (after !== undefined)
    conditions.push(
      `(t.bytes, t.id) ${order === "largest" ? "<" : ">"} (${put(after.value)}, ${put(after.id)})`,
    );
  const by = { newest: "t.id DESC", largest: "t.bytes DESC, t.id DESC", smallest: "t.bytes, t.id" }[
    order === "relevance" ? "newest" : order
  ];
  const { rows } = await client.query(
    `SELECT ${COLUMNS} FROM torrent t WHERE ${conditions.join(" AND ")} ORDER BY ${by} LIMIT ${put(limit + 1)}`,
    values,
  );
  const last = rows[limit - 1];
  const cursor =
    rows.length > limit && last !== undefined
      ? makeCursor({ value: order === "newest" ? 0 : Number(last["bytes"]), id: Number(last["id"]) })
      : undefined;
  return { torrents: rows.slice(0, limit).map(torrentOf), cursor, isWhole: true };
}

async function searchNewest(client: PostgresClient, search: Search, text: PostgresText): Promise<SearchPage> {
  const { after, limit } = search;
  const { rows, fromId } = await gather(client, search, text, COLUMNS, after?.id, limit + 1);
  const torrents = rows.slice(0, limit).map(torrentOf);
  const last = rows[limit - 1];
  if (rows.length > limit && last !== undefined)
    return { torrents, cursor: makeCursor({ value: 0, id: Number(last["id"]) }), isWhole: true };
  if (fromId === 0) return { torrents, cursor: undefined, isWhole: true };
  return { torrents, cursor: makeCursor({ value: 0, id: fromId }), isWhole: false };
}

/** The newest matches, put in another order. */
async function searchSorted(client: PostgresClient, search: Search, text: PostgresText): Promise<SearchPage> {
  const { order, limit } = search;
  const columns = `t.id, t.bytes, t.discovered_ms${order === "relevance" ? ", t.name" : ""}`;
  // All of them, whatever their size and age: so each page chooses among the same.
  const all = {
    ...search,
    bytesMin: 0,
    bytesMax: Number.MAX_SAFE_INTEGER,
    fromMs: 0,
    toMs: Number.MAX_SAFE_INTEGER,
  };
  const { rows } = await gather(client, all, text, columns, undefined, SEARCH_CANDIDATES_MAX);
  const candidates = rows.flatMap((row): Place[] => {
    const seen = { bytes: Number(row["bytes"]), discoveredMs: Number(row["discovered_ms"]) };
    if (!passes(search, seen)) return [];
    const value = order === "relevance" ? rankOf(String(row["name"]), search.terms) : seen.bytes;
    return [{ value, id: Number(row["id"]) }];
  });
  const { page, cursor } = placesOf(search, candidates);
  const { rows: found } = await client.query(
    `SELECT ${COLUMNS} FROM torrent t WHERE t.id = ANY ($1) LIMIT ${limit}`,
    [page.map(({ id }) => id)],
  );
  const byId = new Map(found.map((row) => [Number(row["id"]), row]));
  const torrents = page.flatMap(({ id }) => {
    const row = byId.get(id);
    return row === undefined ? [] : [torrentOf(row)];
  });
  return { torrents, cursor, isWhole: true };
}

/** The newest `wanted` matches before the id `beforeId`, or as many as there are, or as time allows. */
async function gather(
  client: PostgresClient,
  search: Search,
  text: PostgresText,
  columns: string,
  beforeId: number | undefined,
  wanted: number,
): Promise<Gathered> {
  const endMs = performance.now() + SEARCH_MS_MAX;
  const rows: Row[] = [];
  let toId = beforeId ?? 1 + (await newestId(client));
  const firstId = toId;
  for (let ids = wanted; toId > 0; ) {
    if (rows.length > 0 && performance.now() > endMs) return { rows, fromId: toId };
    const bits = STRETCH_BITS.find((each) => ids <= 2 ** each);
    const length = 2 ** (bits ?? 0);
    const last = Math.floor((toId - 1) / length);
    // Two of them where the last one has begun just now.
    const first = toId - last * length >= ids ? last : last - 1;
    const isRest = bits === undefined || first <= 0;
    const stretches = first === last ? `'#${bits}:${last}'` : `'#${bits}:${last}' | '#${bits}:${first}'`;
    rows.push(
      ...(await ask(
        client,
        search,
        text,
        isRest ? undefined : stretches,
        columns,
        toId,
        wanted - rows.length,
      )),
    );
    toId = isRest ? 0 : first * length;
    if (rows.length >= wanted) break;
    const density = rows.length / Math.max(1, firstId - toId);
    const more = density === 0 ? Number.POSITIVE_INFINITY : (MARGIN * (wanted - rows.length)) / density;
    ids = Math.min(more, GROWTH_MAX * (firstId - toId));
  }
  return { rows, fromId: toId };
}

/** Materialized, so that nobody goes through the table from its end instead, because so few rows are wanted. */
async function ask(
  client: PostgresClient,
  search: Search,
  text: PostgresText,
  stretches: string | undefined,
  columns: string,
  toId: number,
  count: number,
): Promise<PostgresResult["rows"]> {
  const values: unknown[] = [...filtersOf(search), text.indexed, toId, count];
  const put = (value: unknown): string => `$${values.push(value)}`;
  const conditions = ["t.words @@ $5::tsquery", "t.id < $6", FILTERS];
  // A condition of its own: GIN passes over what one of two conditions lacks, and looks at each row of a part of one.
  if (stretches !== undefined) conditions.push(`t.words @@ ${put(stretches)}::tsquery`);
  if (text.exact !== undefined) conditions.push(`(t.words @@ ${put(text.exact)}::tsquery) IS TRUE`);
  const found = (what: string): string =>
    `WITH found AS MATERIALIZED (SELECT ${what} FROM torrent t WHERE ${conditions.join(" AND ")})`;
  // Many rows of few columns are taken as they are found; of a page all columns are looked up.
  const sql =
    columns === COLUMNS
      ? `${found("t.id")}, newest AS (SELECT id FROM found ORDER BY id DESC LIMIT $7)
         SELECT ${columns} FROM newest JOIN torrent t USING (id) ORDER BY t.id DESC`
      : `${found(columns)} SELECT * FROM found ORDER BY id DESC LIMIT $7`;
  const { rows } = await client.query(sql, values);
  return rows;
}

async function newestId(client: PostgresClient): Promise<number> {
  const { rows } = await client.query("SELECT coalesce(max(id), 0) AS id FROM torrent");
  return Number(rows[0]?.["id"]);
}

function filtersOf({ bytesMin, bytesMax, fromMs, toMs }: Search): number[] {
  return [bytesMin, bytesMax, fromMs, toMs];
}

export function torrentOf(row: Row): IndexedTorrent {
  const { info_hash } = row as { info_hash: Uint8Array };
  return {
    infoHash: Buffer.from(info_hash).toString("hex"),
    name: String(row["name"]),
    bytes: Number(row["bytes"]),
    pieceBytes: Number(row["piece_bytes"]),
    isPrivate: row["is_private"] === true,
    fileCount: Number(row["file_count"]),
    discoveredMs: Number(row["discovered_ms"]),
    seenMs: Number(row["seen_ms"]),
    hits: Number(row["hits"]),
  };
}
