// An index in PostgreSQL, for indexers on many machines.
//
// The file is long because a call is one transaction, whole and in one place: what locks what, and in which order, is seen at a glance.
//
// Always: rows of `hash` are locked in order of the hashes, whoever does it, or not waited for (SKIP LOCKED): so that nobody waits in a
// circle. Time is the server's, so that leases do not depend on the clocks of many machines. What the server ends for a reason of its own
// is tried again some times; what cannot be done rejects, has changed nothing, and may be called again.

import { randomUUID } from "node:crypto";
import { StoreError } from "../../base/errors.js";
import {
  isTransient,
  MIGRATING,
  makePool,
  type PostgresClient,
  type PostgresPool,
  type PostgresResult,
  SEARCHING,
  storeErrorOf,
} from "./postgres-client.js";
import { LOCK_STATISTICS, migrate } from "./postgres-schema.js";
import { COLUMNS, STRETCHES_OF_ID, searchPostgres, torrentOf } from "./postgres-search.js";
import { RowCount } from "./row-count.js";
import { readSearch } from "./search-page.js";
import { searchTextOf, tsVector } from "./search-text.js";
import {
  COUNTED,
  type Counts,
  STATE_CLAIMED,
  STATE_EXPIRED,
  STATE_FETCHED,
  STATE_REMOVED,
  STATE_RESTING,
  STATE_UNUSABLE,
  STATE_WAITING,
} from "./states.js";
import {
  type Claim,
  type ClaimRequest,
  type FoundTorrent,
  HISTORY_MS_MAX,
  INDEXER_MS_MAX,
  type IndexedFile,
  type IndexedTorrentDetails,
  type IndexStore,
  type Outcome,
  type Pruned,
  type Retention,
  type SearchPage,
  type SearchQuery,
  type Sighting,
  STATISTICS_STEP_MS,
  type StoreOptions,
  type StoreStats,
  type StoreStep,
  type WorkDone,
} from "./store.js";

const WAKE_MAX = 2000;
const WAKE_MS = 1000;
const PRUNE_MAX = 500;
/** What rows take beside what they hold: indexes, headers, pages that are not full. */
const SAMPLED_ROWS = 200;
const TORRENT_INDEX_BYTES = 250;
const HASH_BYTES = 220;
/** A database without a row. */
const EMPTY_BYTES = 7.5 * 2 ** 20;
const ATTEMPTS_MAX = 5;
/** Where its columns end: a sum beyond would be refused, again and again, and with it all that is written at the same time. */
const HITS_MAX = 2 ** 31 - 1;
const ATTEMPTS_KEPT_MAX = 2 ** 15 - 1;
const INDEXERS_MAX = 100;
const PENDING = `state IN (${STATE_WAITING}, ${STATE_RESTING})`;
const SETTLED = `state IN (${STATE_UNUSABLE}, ${STATE_EXPIRED})`;
/** Sums of what is older than the history. */
const BEFORE_ALL_MS = 0;
/** Behind every hash. */
const BEHIND_ALL = new Uint8Array(21).fill(0xff);
/** The server's time, unless a test gives another. */
const NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

interface HashState {
  readonly state: number;
  readonly owner: string | null;
}

export class PostgresStore implements IndexStore {
  readonly kind = "postgresql";
  readonly #pool: PostgresPool;
  /** Of their own, so that nobody who searches keeps an indexer waiting. */
  readonly #searches: PostgresPool;
  /** The time in SQL: an expression, or a number. */
  readonly #now: () => string;
  readonly #clock: () => number;
  readonly #pending = new RowCount();
  readonly #settled = new RowCount();
  /** Names what is counted here and is no indexer's: a row that all of them count in would have each wait for the others. */
  readonly #self = `store ${randomUUID()}`;
  #wokenMs = Number.NEGATIVE_INFINITY;
  #closed: Promise<void> | undefined;

  /** Makes the tables if they are not there. Throws StoreError; UsageError without the package, or where PostgreSQL refuses us. */
  static async open(url: string, options: StoreOptions = {}): Promise<PostgresStore> {
    await migrateAt(url);
    return new PostgresStore(await makePool(url), await makePool(url, SEARCHING), options.nowMs);
  }

  private constructor(pool: PostgresPool, searches: PostgresPool, nowMs: (() => number) | undefined) {
    this.#pool = pool;
    this.#searches = searches;
    this.#now = nowMs === undefined ? () => NOW : () => `${Math.trunc(nowMs())}::bigint`;
    this.#clock = nowMs ?? Date.now;
  }

  async see(sightings: readonly Sighting[]): Promise<number> {
    // One row twice in one statement is refused; sorted, all who do so lock in one order.
    const hits = new Map<string, number>();
    for (const { infoHash, hits: more } of sightings) {
      const key = hexOf(infoHash);
      hits.set(key, (hits.get(key) ?? 0) + more);
    }
    const keys = [...hits.keys()].sort();
    return this.#transaction(async (client) => {
      const { rows } = await client.query(
        `WITH told AS (
           INSERT INTO hash (info_hash, state, attempts, hits, first_ms, seen_ms)
           SELECT decode(key, 'hex'), ${STATE_WAITING}, 0, count, ${this.#now()}, ${this.#now()}
           FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS s (key, count, place) ORDER BY place
           ON CONFLICT (info_hash) DO UPDATE SET hits = least(hash.hits::bigint + excluded.hits, ${HITS_MAX}), seen_ms = excluded.seen_ms
           RETURNING xmax)
         SELECT count(*) AS added FROM told WHERE xmax = 0`,
        [keys, keys.map((key) => Math.min(hits.get(key) ?? 0, HITS_MAX))],
      );
      const added = Number(rows[0]?.["added"]);
      await this.#count(client, this.#self, { hashes: added });
      this.#pending.add(added);
      return added;
    });
  }

  async claim({ owner, from, to = BEHIND_ALL, count, leaseMs }: ClaimRequest): Promise<Claim[]> {
    return this.#transaction(async (client) => {
      await this.#wake(client);
      const { rows } = await client.query(
        `WITH free AS (
           SELECT info_hash FROM hash WHERE state = ${STATE_WAITING} AND info_hash >= $1 AND info_hash < $5
           ORDER BY info_hash LIMIT $2 FOR UPDATE SKIP LOCKED)
         UPDATE hash SET state = ${STATE_CLAIMED}, owner = $3, due_ms = ${this.#now()} + $4
         FROM free WHERE hash.info_hash = free.info_hash RETURNING hash.info_hash, hash.attempts`,
        [from, count, owner, leaseMs, to],
      );
      const claims = rows.map(({ info_hash, attempts }) => ({
        infoHash: info_hash as Uint8Array,
        attempts: Number(attempts),
      }));
      return claims.sort((a, b) => Buffer.compare(a.infoHash, b.infoHash));
    });
  }

  async finish(owner: string, outcomes: readonly Outcome[]): Promise<boolean[]> {
    const keys = outcomes.map((outcome) => hexOf(hashOf(outcome)));
    return this.#transaction(async (client) => {
      await this.#lockAll(client, keys);
      const states = await this.#statesOf(client, keys);
      // In turn, as if each came alone: of two that found the same torrent the first counts.
      const counts = outcomes.map((outcome, index) => {
        const key = keys[index] ?? "";
        const row = states.get(key);
        if (row === undefined || !mayFinish(outcome, owner, row)) return false;
        states.set(key, { state: STATE_FETCHED, owner: null });
        return true;
      });
      const done = outcomes.filter((_, index) => counts[index]);
      await this.#finishFailed(client, done);
      await this.#finishFound(client, done);
      const of = (kind: Outcome["kind"]): number => done.filter((outcome) => outcome.kind === kind).length;
      this.#settled.add(of("unusable"));
      await this.#count(client, owner, {
        fetched: of("fetched"),
        failed: of("failed"),
        unusable: of("unusable"),
      });
      return counts;
    });
  }

  async release(owner: string): Promise<number> {
    return this.#transaction(async (client) => {
      const { rowCount } = await client.query(
        `UPDATE hash SET state = ${STATE_WAITING}, owner = NULL, due_ms = NULL WHERE info_hash IN
           (SELECT info_hash FROM hash WHERE state = ${STATE_CLAIMED} AND owner = $1 ORDER BY info_hash FOR UPDATE)`,
        [owner],
      );
      return rowCount ?? 0;
    });
  }

  async worked({ owner, lookups, queries, fetches }: WorkDone): Promise<void> {
    await this.#transaction(async (client) => {
      await this.#count(client, owner, { lookups, queries, fetches });
      await client.query(
        `INSERT INTO indexer VALUES ($1, ${this.#now()}) ON CONFLICT (owner) DO UPDATE SET seen_ms = excluded.seen_ms`,
        [owner],
      );
    });
  }

  async remove(infoHashes: readonly Uint8Array[]): Promise<number> {
    const keys = infoHashes.map(hexOf);
    return this.#transaction(async (client) => {
      await this.#lockAll(client, keys);
      return this.#removeLocked(client, keys, STATE_REMOVED);
    });
  }

  async prune(retention: Retention): Promise<Pruned> {
    // Transactions of their own: what goes by its age is locked in no order, and whoever has such locks waits for no others.
    const { hashesMax, settledMax } = retention;
    const pending = await this.#transaction((client) =>
      this.#forget(client, PENDING, this.#pending, hashesMax),
    );
    const settled = await this.#transaction((client) =>
      this.#forget(client, SETTLED, this.#settled, settledMax),
    );
    await this.#transaction((client) => this.#pruneStatistics(client));
    return this.#transaction(async (client) => {
      const keys = await this.#torrentsBeyond(client, retention);
      await this.#lockAll(client, keys);
      const torrents = await this.#removeLocked(client, keys, STATE_EXPIRED);
      this.#settled.add(torrents);
      const isOver = Math.max(keys.length, pending, settled) < PRUNE_MAX;
      return { torrents, hashes: pending + settled, isOver };
    });
  }

  async get(infoHash: Uint8Array): Promise<IndexedTorrentDetails | undefined> {
    const { rows } = await this.#query(
      `SELECT ${COLUMNS}, f.files FROM torrent t JOIN torrent_files f USING (id) WHERE t.info_hash = $1`,
      [infoHash],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    const files = (row["files"] as [string, number][]).map(([path, bytes]): IndexedFile => ({ path, bytes }));
    return { ...torrentOf(row), files };
  }

  async search(query: SearchQuery): Promise<SearchPage> {
    const search = readSearch(query);
    if (this.#closed !== undefined) throw new StoreError("STORE_CLOSED", "the index is closed");
    return searchPostgres(this.#searches, search).catch((error: unknown) => {
      throw storeErrorOf(error);
    });
  }

  async stats(): Promise<StoreStats> {
    const sums = COUNTED.map((name) => `coalesce(sum(${name}), 0) AS ${name}`).join(", ");
    const { rows } = await this.#query(
      `SELECT ${sums}, pg_database_size(current_database()) AS bytes FROM worked`,
    );
    const of = (name: string): number => Number(rows[0]?.[name]);
    const { rows: heard } = await this.#query(
      `SELECT owner, seen_ms FROM indexer WHERE seen_ms >= ${this.#now()} - ${INDEXER_MS_MAX}
       ORDER BY seen_ms DESC LIMIT ${INDEXERS_MAX}`,
    );
    return {
      hashes: of("hashes"),
      torrents: of("fetched") - of("removed"),
      fetched: of("fetched"),
      failed: of("failed"),
      unusable: of("unusable"),
      removed: of("removed"),
      lookups: of("lookups"),
      queries: of("queries"),
      fetches: of("fetches"),
      storeBytes: of("bytes"),
      indexers: heard.map(({ owner, seen_ms }) => ({ owner: String(owner), seenMs: Number(seen_ms) })),
    };
  }

  async history(sinceMs: number, count: number): Promise<StoreStep[]> {
    const { rows } = await this.#query(
      `SELECT at_ms AS "atMs", ${COUNTED.map((name) => `sum(${name}) AS ${name}`).join(", ")}
       FROM worked WHERE at_ms >= $1 GROUP BY at_ms ORDER BY at_ms LIMIT $2`,
      [Math.max(sinceMs, BEFORE_ALL_MS + 1), count],
    );
    return rows.map((row) => ({ ...row }) as unknown as StoreStep);
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all([this.#pool.end(), this.#searches.end()]).then(() => {});
    return this.#closed;
  }

  // ── one call's parts ─────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Locks rows in order, and makes those that are not there: of hashes that are removed before they were seen, or brought by a peer that
   * came by itself. In one pass, since two that are in order each are in none together: a row whose update is refused is locked all
   * the same.
   */
  async #lockAll(client: PostgresClient, keys: readonly string[]): Promise<void> {
    await client.query(
      `INSERT INTO hash (info_hash, state, attempts, hits, first_ms, seen_ms)
       SELECT decode(key, 'hex'), ${STATE_WAITING}, 0, 0, ${this.#now()}, ${this.#now()}
       FROM unnest($1::text[]) WITH ORDINALITY AS s (key, place) ORDER BY place
       ON CONFLICT (info_hash) DO UPDATE SET hits = hash.hits WHERE false`,
      [[...new Set(keys)].sort()],
    );
  }

  async #statesOf(client: PostgresClient, keys: readonly string[]): Promise<Map<string, HashState>> {
    const { rows } = await client.query(
      `SELECT info_hash, state, owner FROM hash WHERE info_hash IN (SELECT decode(key, 'hex') FROM unnest($1::text[]) AS s (key))`,
      [keys],
    );
    return new Map(
      rows.map(({ info_hash, state, owner }) => [
        hexOf(info_hash as Uint8Array),
        { state: Number(state), owner: owner as string | null },
      ]),
    );
  }

  async #finishFailed(client: PostgresClient, done: readonly Outcome[]): Promise<void> {
    const failed = done.filter((outcome) => outcome.kind === "failed");
    if (failed.length === 0) return;
    await client.query(
      `UPDATE hash SET state = ${STATE_RESTING}, owner = NULL, due_ms = ${this.#now()} + later, attempts = least(attempts + 1, ${ATTEMPTS_KEPT_MAX}), hits = hits / 2
       FROM unnest($1::text[], $2::bigint[]) AS s (key, later) WHERE info_hash = decode(key, 'hex')`,
      [failed.map(({ infoHash }) => hexOf(infoHash)), failed.map(({ retryMs }) => Math.trunc(retryMs))],
    );
  }

  async #finishFound(client: PostgresClient, done: readonly Outcome[]): Promise<void> {
    const found = done.filter((outcome) => outcome.kind !== "failed");
    if (found.length === 0) return;
    await client.query(
      `UPDATE hash SET state = became, owner = NULL, due_ms = NULL
       FROM unnest($1::text[], $2::smallint[]) AS s (key, became) WHERE info_hash = decode(key, 'hex')`,
      [
        found.map((outcome) => hexOf(hashOf(outcome))),
        found.map(({ kind }) => (kind === "fetched" ? STATE_FETCHED : STATE_UNUSABLE)),
      ],
    );
    const torrents = found.flatMap((outcome) => (outcome.kind === "fetched" ? [outcome.torrent] : []));
    if (torrents.length > 0) await this.#insert(client, torrents);
  }

  async #insert(client: PostgresClient, torrents: readonly FoundTorrent[]): Promise<void> {
    const column = <Value>(of: (torrent: FoundTorrent) => Value): Value[] => torrents.map(of);
    await client.query(
      `WITH told AS (
         SELECT nextval(pg_get_serial_sequence('torrent', 'id')) AS id, * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::int[], $7::text[], $8::text[])
           AS s (key, name, bytes, piece_bytes, is_private, file_count, words, files)),
       made AS (
         INSERT INTO torrent (id, info_hash, name, bytes, piece_bytes, is_private, file_count, discovered_ms, words)
         OVERRIDING SYSTEM VALUE
         SELECT id, decode(key, 'hex'), name, bytes, piece_bytes, is_private, file_count, ${this.#now()},
           (words || ${STRETCHES_OF_ID})::tsvector FROM told
         RETURNING id)
       INSERT INTO torrent_files SELECT id, files::jsonb FROM made JOIN told USING (id)`,
      [
        column(({ infoHash }) => hexOf(infoHash)),
        column(({ name }) => name),
        column(({ bytes }) => bytes),
        column(({ pieceBytes }) => pieceBytes),
        column(({ isPrivate }) => isPrivate),
        column(({ fileCount }) => fileCount),
        column(({ name, files }) => {
          const paths = files.map(({ path }) => path);
          return tsVector(searchTextOf(name, paths));
        }),
        column(({ files }) => JSON.stringify(files.map(({ path, bytes }) => [path, bytes]))),
      ],
    );
  }

  async #removeLocked(client: PostgresClient, keys: readonly string[], state: number): Promise<number> {
    if (keys.length === 0) return 0;
    const these = "info_hash IN (SELECT decode(key, 'hex') FROM unnest($1::text[]) AS s (key))";
    await client.query(`UPDATE hash SET state = ${state}, owner = NULL, due_ms = NULL WHERE ${these}`, [
      keys,
    ]);
    const { rowCount } = await client.query(`DELETE FROM torrent WHERE ${these}`, [keys]);
    await this.#count(client, this.#self, { removed: rowCount ?? 0 });
    return rowCount ?? 0;
  }

  /** Leases that ended and failures whose time has come; one indexer does it for all, so that nobody waits. */
  async #wake(client: PostgresClient): Promise<void> {
    const nowMs = this.#clock();
    if (nowMs - this.#wokenMs < WAKE_MS) return;
    this.#wokenMs = nowMs;
    await client.query(
      `UPDATE hash SET state = ${STATE_WAITING}, owner = NULL, due_ms = NULL WHERE info_hash IN
         (SELECT info_hash FROM hash WHERE state IN (${STATE_CLAIMED}, ${STATE_RESTING}) AND due_ms <= ${this.#now()}
          ORDER BY due_ms LIMIT ${WAKE_MAX} FOR UPDATE SKIP LOCKED)`,
    );
  }

  /** Hashes of one kind that are too many, those seen longest ago. */
  async #forget(
    client: PostgresClient,
    kind: string,
    count: RowCount,
    max: number | undefined,
  ): Promise<number> {
    if (max === undefined) return 0;
    let known = count.at(this.#clock());
    if (known === undefined) {
      const { rows } = await client.query(`SELECT count(*) AS value FROM hash WHERE ${kind}`);
      known = Number(rows[0]?.["value"]);
      count.set(known, this.#clock());
    }
    if (known <= max) return 0;
    const { rowCount } = await client.query(
      `DELETE FROM hash WHERE info_hash IN
         (SELECT info_hash FROM hash WHERE ${kind} ORDER BY seen_ms LIMIT $1 FOR UPDATE SKIP LOCKED)`,
      [Math.min(PRUNE_MAX, known - max)],
    );
    count.add(-(rowCount ?? 0));
    return rowCount ?? 0;
  }

  /** Steps that are over need not say who worked, and those that are too old become one. One does it, and others pass by. */
  async #pruneStatistics(client: PostgresClient): Promise<void> {
    const { rows } = await client.query(`SELECT pg_try_advisory_xact_lock(${LOCK_STATISTICS}) AS is_mine`);
    if (rows[0]?.["is_mine"] !== true) return;
    const fold = (which: string, atMs: string): Promise<PostgresResult> =>
      client.query(
        `WITH old AS (DELETE FROM worked WHERE ${which} RETURNING *)
         INSERT INTO worked (at_ms, owner, ${COUNTED.join(", ")})
         SELECT ${atMs}, '', ${COUNTED.map((name) => `sum(${name})`).join(", ")} FROM old GROUP BY 1
         ON CONFLICT (at_ms, owner) DO UPDATE SET ${COUNTED.map((name) => `${name} = worked.${name} + excluded.${name}`).join(", ")}`,
      );
    const step = `${this.#now()} / ${STATISTICS_STEP_MS} * ${STATISTICS_STEP_MS}`;
    await fold(`owner <> '' AND at_ms < ${step} - ${STATISTICS_STEP_MS}`, "at_ms");
    await fold(
      `at_ms > ${BEFORE_ALL_MS} AND at_ms < ${this.#now()} - ${HISTORY_MS_MAX}`,
      `${BEFORE_ALL_MS}::bigint`,
    );
    await client.query(`DELETE FROM indexer WHERE seen_ms < ${this.#now()} - ${INDEXER_MS_MAX}`);
  }

  async #torrentsBeyond(client: PostgresClient, retention: Retention): Promise<string[]> {
    const { torrentsMax, storeBytesMax, ageMsMax } = retention;
    if (torrentsMax === undefined && storeBytesMax === undefined && ageMsMax === undefined) return [];
    let beyond = 0;
    if (torrentsMax !== undefined || storeBytesMax !== undefined) {
      const { rows } = await client.query(
        "SELECT coalesce(sum(fetched - removed), 0) AS torrents FROM worked",
      );
      const torrents = Number(rows[0]?.["torrents"]);
      beyond = torrents - (torrentsMax ?? torrents);
      if (storeBytesMax !== undefined)
        beyond = Math.max(beyond, await this.#torrentsOver(client, torrents, storeBytesMax));
    }
    const { rows } =
      beyond > 0
        ? await client.query("SELECT info_hash FROM torrent ORDER BY id LIMIT $1", [
            Math.min(beyond, PRUNE_MAX),
          ])
        : await client.query(
            `SELECT info_hash FROM torrent WHERE discovered_ms < ${this.#now()} - $1::bigint LIMIT ${PRUNE_MAX}`,
            [ageMsMax ?? Number.MAX_SAFE_INTEGER],
          );
    return rows.map(({ info_hash }) => hexOf(info_hash as Uint8Array));
  }

  /**
   * How many torrents too many there are for so many bytes. What was deleted leaves room in the database's files and does not make them
   * shorter, so that their length says nothing any more: what is there is counted by the length of the last rows.
   */
  async #torrentsOver(client: PostgresClient, torrents: number, bytesMax: number): Promise<number> {
    const { rows } = await client.query(
      `SELECT pg_database_size(current_database()) AS files,
         (SELECT count(*) FROM hash) AS hashes,
         (SELECT avg(pg_column_size(t.*)) FROM (SELECT * FROM torrent ORDER BY id DESC LIMIT ${SAMPLED_ROWS}) AS t) AS torrent,
         (SELECT avg(pg_column_size(f.*)) FROM (SELECT * FROM torrent_files ORDER BY id DESC LIMIT ${SAMPLED_ROWS}) AS f) AS file`,
    );
    const of = (name: string): number => Number(rows[0]?.[name] ?? 0);
    // The words stand in the row and in their index.
    const each = 2 * of("torrent") + of("file") + TORRENT_INDEX_BYTES;
    const bytes = Math.min(of("files"), EMPTY_BYTES + of("hashes") * HASH_BYTES + torrents * each);
    return Math.ceil((bytes - bytesMax) / each);
  }

  async #count(client: PostgresClient, owner: string, counts: Counts): Promise<void> {
    const names = COUNTED.filter((name) => (counts[name] ?? 0) !== 0);
    if (names.length === 0) return;
    await client.query(
      `INSERT INTO worked (at_ms, owner, ${names.join(", ")})
       VALUES (${this.#now()} / ${STATISTICS_STEP_MS} * ${STATISTICS_STEP_MS}, $1, ${names.map((_, index) => `$${index + 2}`).join(", ")})
       ON CONFLICT (at_ms, owner) DO UPDATE SET ${names.map((name) => `${name} = worked.${name} + excluded.${name}`).join(", ")}`,
      [owner, ...names.map((name) => counts[name])],
    );
  }

  async #query(sql: string, values?: readonly unknown[]): Promise<PostgresResult> {
    if (this.#closed !== undefined) throw new StoreError("STORE_CLOSED", "the index is closed");
    try {
      return await this.#pool.query(sql, values);
    } catch (error) {
      throw storeErrorOf(error);
    }
  }

  /** All of it or nothing, tried again where the server ended it for the sake of others. */
  async #transaction<Value>(work: (client: PostgresClient) => Promise<Value>): Promise<Value> {
    for (let attempt = 1; ; attempt++) {
      if (this.#closed !== undefined) throw new StoreError("STORE_CLOSED", "the index is closed");
      try {
        return await this.#try(work);
      } catch (error) {
        const { code = "" } = error as { code?: string };
        if (!isTransient(code) || attempt === ATTEMPTS_MAX) throw storeErrorOf(error);
      }
    }
  }

  async #try<Value>(work: (client: PostgresClient) => Promise<Value>): Promise<Value> {
    const client = await this.#pool.connect();
    try {
      await client.query("BEGIN");
      const value = await work(client);
      await client.query("COMMIT");
      client.release();
      return value;
    } catch (error) {
      // What did not even come to its end is not used again.
      const ended = await client.query("ROLLBACK").catch((failure: Error) => failure);
      client.release(ended instanceof Error);
      throw error;
    }
  }
}

async function migrateAt(url: string): Promise<void> {
  const pool = await makePool(url, MIGRATING);
  try {
    const client = await pool.connect();
    await migrate(client).finally(() => client.release());
  } catch (error) {
    throw storeErrorOf(error);
  } finally {
    await pool.end();
  }
}

function mayFinish(outcome: Outcome, owner: string, row: HashState): boolean {
  const isOurs = row.state === STATE_CLAIMED && row.owner === owner;
  if (outcome.kind === "failed") return isOurs;
  return isOurs || row.state === STATE_WAITING || row.state === STATE_RESTING;
}

function hashOf(outcome: Outcome): Uint8Array {
  return outcome.kind === "fetched" ? outcome.torrent.infoHash : outcome.infoHash;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
