// What asks an index in SQLite: in a thread and with a connection of its own, so that a search waits for no writer, and no writer for it.
//
// Always: rows are taken in the order that they are wanted in, and looked at one by one: a search ends when its page is full or its time
// is over, and says where it was.

import { makeCursor, type Place, passes, placesOf, rankOf, readSearch, type Search } from "./search-page.js";
import { fts5Query } from "./search-text.js";
import type { SqliteDatabase, SqliteRow, SqliteStatement, SqliteValue } from "./sqlite-database.js";
import {
  INDEXER_MS_MAX,
  type IndexedFile,
  type IndexedTorrent,
  type IndexedTorrentDetails,
  SEARCH_CANDIDATES_MAX,
  type SearchPage,
  type SearchQuery,
  type StoreStats,
  type StoreStep,
} from "./store.js";

/** A search takes so long at the most, but for one step of SQLite's. */
const SEARCH_MS_MAX = 1000;
/** Between two looks at the clock. */
const ROWS_PER_LOOK = 256;
const COLUMNS = `t.id, t.info_hash, t.name, t.bytes, t.piece_bytes, t.is_private, t.file_count, t.discovered_ms,
  (SELECT hits FROM hash WHERE hash.info_hash = t.info_hash) AS hits,
  (SELECT seen_ms FROM hash WHERE hash.info_hash = t.info_hash) AS seen_ms`;
const INDEXERS_MAX = 100;

export class SqliteReader {
  readonly #database: SqliteDatabase;
  readonly #nowMs: () => number;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(database: SqliteDatabase, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
  }

  get(infoHash: Uint8Array): IndexedTorrentDetails | undefined {
    const row = this.#prepare(
      `SELECT ${COLUMNS}, f.files FROM torrent t JOIN torrent_files f USING (id) WHERE t.info_hash = ?`,
    ).get(infoHash);
    return row === undefined ? undefined : { ...torrentOf(row), files: filesOf(String(row["files"])) };
  }

  search(query: SearchQuery): SearchPage {
    const search = readSearch(query);
    const text = fts5Query(search.terms);
    if (text !== undefined && search.order !== "newest") return this.#searchSorted(search, text);
    const { sql, values } = inOrder(search, text);
    return this.#gather(search, this.#prepare(sql).iterate(...values));
  }

  stats(): StoreStats {
    const total = new Map<string, number>();
    for (const { name, value } of this.#prepare("SELECT name, value FROM total").all())
      total.set(String(name), Number(value));
    const of = (name: string): number => total.get(name) ?? 0;
    const pragma = (name: string): number => Number(this.#prepare(`PRAGMA ${name}`).get()?.[name]);
    const heard = this.#prepare(
      `SELECT owner, seen_ms FROM indexer WHERE seen_ms >= ? ORDER BY seen_ms DESC LIMIT ${INDEXERS_MAX}`,
    ).all(this.#nowMs() - INDEXER_MS_MAX);
    return {
      hashes: of("hashes"),
      torrents: of("torrents"),
      fetched: of("fetched"),
      failed: of("failed"),
      unusable: of("unusable"),
      removed: of("removed"),
      lookups: of("lookups"),
      queries: of("queries"),
      fetches: of("fetches"),
      storeBytes: (pragma("page_count") - pragma("freelist_count")) * pragma("page_size"),
      indexers: heard.map(({ owner, seen_ms }) => ({ owner: String(owner), seenMs: Number(seen_ms) })),
    };
  }

  history(sinceMs: number, count: number): StoreStep[] {
    const rows = this.#prepare(
      `SELECT at_ms AS atMs, sum(hashes) AS hashes, sum(fetched) AS fetched, sum(failed) AS failed, sum(unusable) AS unusable,
         sum(removed) AS removed, sum(lookups) AS lookups, sum(queries) AS queries, sum(fetches) AS fetches
       FROM worked WHERE at_ms >= ? GROUP BY at_ms ORDER BY at_ms LIMIT ?`,
    ).all(sinceMs, count);
    return rows.map((row) => ({ ...row }) as unknown as StoreStep);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The newest matches, put in another order. */
  #searchSorted(search: Search, text: string): SearchPage {
    const isRanked = search.order === "relevance";
    const rows = this.#prepare(
      `SELECT t.id, t.bytes, t.discovered_ms${isRanked ? ", t.name" : ""} FROM torrent_text JOIN torrent t ON t.id = torrent_text.rowid
       WHERE torrent_text MATCH ? ORDER BY torrent_text.rowid DESC LIMIT ${SEARCH_CANDIDATES_MAX}`,
    ).all(text);
    const places = rows.flatMap((row): Place[] => {
      const seen = { bytes: Number(row["bytes"]), discoveredMs: Number(row["discovered_ms"]) };
      if (!passes(search, seen)) return [];
      return [
        { value: isRanked ? rankOf(String(row["name"]), search.terms) : seen.bytes, id: Number(row["id"]) },
      ];
    });
    const { page, cursor } = placesOf(search, places);
    const torrents = page.flatMap(({ id }) => {
      const row = this.#prepare(`SELECT ${COLUMNS} FROM torrent t WHERE t.id = ?`).get(id);
      return row === undefined ? [] : [torrentOf(row)];
    });
    return { torrents, cursor, isWhole: true };
  }

  #gather(search: Search, rows: IterableIterator<SqliteRow>): SearchPage {
    const { limit, order } = search;
    const untilMs = performance.now() + SEARCH_MS_MAX;
    const torrents: IndexedTorrent[] = [];
    let seen = 0;
    let last: Place | undefined;
    try {
      for (const row of rows) {
        // One more than the page has is there: that is what the cursor is for.
        if (torrents.length === limit) return { torrents, cursor: cursorOf(last), isWhole: true };
        const torrent = torrentOf(row);
        last = { value: order === "newest" ? 0 : torrent.bytes, id: Number(row["id"]) };
        if (passes(search, torrent)) torrents.push(torrent);
        if (++seen % ROWS_PER_LOOK === 0 && performance.now() > untilMs)
          return { torrents, cursor: cursorOf(last), isWhole: false };
      }
    } finally {
      rows.return?.();
    }
    return { torrents, cursor: undefined, isWhole: true };
  }

  #prepare(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** Rows that come in the order that is wanted, from an index that has them so. */
function inOrder(search: Search, text: string | undefined): { sql: string; values: SqliteValue[] } {
  const { order, after, bytesMin, bytesMax } = search;
  const select = `SELECT ${COLUMNS} FROM`;
  if (order === "newest") {
    const before = after?.id ?? Number.MAX_SAFE_INTEGER;
    if (text === undefined)
      return { sql: `${select} torrent t WHERE t.id < ? ORDER BY t.id DESC`, values: [before] };
    return {
      sql: `${select} torrent_text JOIN torrent t ON t.id = torrent_text.rowid
        WHERE torrent_text MATCH ? AND torrent_text.rowid < ? ORDER BY torrent_text.rowid DESC`,
      values: [text, before],
    };
  }
  const [compare, direction] = order === "largest" ? ["<", "DESC"] : [">", "ASC"];
  const start = order === "largest" ? Number.MAX_SAFE_INTEGER : -1;
  return {
    sql: `${select} torrent t WHERE (t.bytes, t.id) ${compare} (?, ?) AND t.bytes BETWEEN ? AND ?
      ORDER BY t.bytes ${direction}, t.id ${direction}`,
    values: [after?.value ?? start, after?.id ?? start, bytesMin, bytesMax],
  };
}

function cursorOf(place: Place | undefined): string | undefined {
  return place === undefined ? undefined : makeCursor(place);
}

function torrentOf(row: SqliteRow): IndexedTorrent {
  return {
    infoHash: Buffer.from(row["info_hash"] as Uint8Array).toString("hex"),
    name: String(row["name"]),
    bytes: Number(row["bytes"]),
    pieceBytes: Number(row["piece_bytes"]),
    isPrivate: row["is_private"] === 1,
    fileCount: Number(row["file_count"]),
    discoveredMs: Number(row["discovered_ms"]),
    seenMs: Number(row["seen_ms"]),
    hits: Number(row["hits"]),
  };
}

function filesOf(json: string): IndexedFile[] {
  return (JSON.parse(json) as [string, number][]).map(([path, bytes]) => ({ path, bytes }));
}
