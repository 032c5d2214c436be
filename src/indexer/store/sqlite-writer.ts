// What changes an index in SQLite: each method is one transaction, and all or nothing of it happens. It runs in a thread of the store's
// own, since SQLite waits for its disk.
//
// Always: transactions begin as writers, so that two processes wait for each other and never deadlock.

import { RowCount } from "./row-count.js";
import { searchTextOf } from "./search-text.js";
import { prepareChange, type SqliteDatabase, type SqliteStatement } from "./sqlite-database.js";
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
  type Outcome,
  type Pruned,
  type Retention,
  type Sighting,
  STATISTICS_STEP_MS,
  type WorkDone,
} from "./store.js";

/** Hashes that become anybody's again in one call, and rows that one call of prune() takes. */
const WAKE_MAX = 2000;
const PRUNE_MAX = 500;
const NOBODY = "";
const PENDING = `state IN (${STATE_WAITING}, ${STATE_RESTING})`;
const SETTLED = `state IN (${STATE_UNUSABLE}, ${STATE_EXPIRED})`;
/** Behind every hash. */
const BEHIND_ALL = new Uint8Array(21).fill(0xff);

export class SqliteWriter {
  readonly #database: SqliteDatabase;
  readonly #nowMs: () => number;
  /** Those that read, and those that change something. */
  readonly #statements = new Map<string, SqliteStatement>();
  readonly #changing = new Map<string, SqliteStatement>();
  readonly #pending = new RowCount();
  readonly #settled = new RowCount();

  constructor(database: SqliteDatabase, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
  }

  see(sightings: readonly Sighting[]): number {
    return this.#transaction(() => {
      const nowMs = this.#nowMs();
      let added = 0;
      for (const { infoHash, hits } of sightings) {
        const isNew = this.#run(
          `INSERT OR IGNORE INTO hash VALUES (?, ${STATE_WAITING}, ?, 0, ?, ?, NULL, NULL)`,
          infoHash,
          hits,
          nowMs,
          nowMs,
        );
        if (isNew) added++;
        else
          this.#run(
            "UPDATE hash SET hits = hits + ?, seen_ms = ? WHERE info_hash = ?",
            hits,
            nowMs,
            infoHash,
          );
      }
      this.#count(NOBODY, { hashes: added });
      this.#pending.add(added);
      return added;
    });
  }

  claim({ owner, from, to = BEHIND_ALL, count, leaseMs }: ClaimRequest): Claim[] {
    return this.#transaction(() => {
      const nowMs = this.#nowMs();
      this.#wake(nowMs);
      const rows = this.#prepare(
        `SELECT info_hash, attempts FROM hash INDEXED BY hash_waiting WHERE state = ${STATE_WAITING} AND info_hash >= ? AND info_hash < ?
         ORDER BY info_hash LIMIT ?`,
      ).all(from, to, count);
      return rows.map(({ info_hash, attempts }) => {
        this.#run(
          `UPDATE hash SET state = ${STATE_CLAIMED}, owner = ?, due_ms = ? WHERE info_hash = ?`,
          owner,
          nowMs + leaseMs,
          info_hash as Uint8Array,
        );
        return { infoHash: info_hash as Uint8Array, attempts: Number(attempts) };
      });
    });
  }

  finish(owner: string, outcomes: readonly Outcome[]): boolean[] {
    return this.#transaction(() => {
      const nowMs = this.#nowMs();
      const counts = { fetched: 0, failed: 0, unusable: 0 };
      const counted = outcomes.map((outcome) => {
        const isDone = this.#finishOne(owner, outcome, nowMs);
        if (isDone) counts[outcome.kind]++;
        return isDone;
      });
      this.#count(owner, counts);
      this.#settled.add(counts.unusable);
      this.#add("torrents", counts.fetched);
      return counted;
    });
  }

  release(owner: string): number {
    return this.#transaction(() =>
      this.#changes(
        `UPDATE hash SET state = ${STATE_WAITING}, owner = NULL, due_ms = NULL WHERE state = ${STATE_CLAIMED} AND owner = ?`,
        owner,
      ),
    );
  }

  worked({ owner, lookups, queries, fetches }: WorkDone): void {
    this.#transaction(() => {
      this.#run(
        "INSERT INTO indexer VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET seen_ms = excluded.seen_ms",
        owner,
        this.#nowMs(),
      );
      this.#count(owner, { lookups, queries, fetches });
    });
  }

  remove(infoHashes: readonly Uint8Array[]): number {
    return this.#transaction(() => {
      const nowMs = this.#nowMs();
      let removed = 0;
      for (const infoHash of infoHashes) {
        this.#run(
          `INSERT INTO hash VALUES (?, ${STATE_REMOVED}, 0, 0, ?, ?, NULL, NULL)
           ON CONFLICT (info_hash) DO UPDATE SET state = ${STATE_REMOVED}, owner = NULL, due_ms = NULL`,
          infoHash,
          nowMs,
          nowMs,
        );
        const row = this.#prepare("SELECT id FROM torrent WHERE info_hash = ?").get(infoHash);
        if (row === undefined) continue;
        this.#removeTorrent(Number(row["id"]));
        removed++;
      }
      this.#count(NOBODY, { removed });
      this.#add("torrents", -removed);
      return removed;
    });
  }

  prune(retention: Retention): Pruned {
    return this.#transaction(() => {
      const { hashesMax, settledMax } = retention;
      const pending = this.#forget("hash_seen", PENDING, this.#pending, hashesMax);
      const settled = this.#forget("hash_settled", SETTLED, this.#settled, settledMax);
      const rows = this.#torrentsBeyond(retention);
      for (const { id, info_hash } of rows) {
        this.#removeTorrent(Number(id));
        this.#run(`UPDATE hash SET state = ${STATE_EXPIRED} WHERE info_hash = ?`, info_hash as Uint8Array);
      }
      this.#settled.add(rows.length);
      this.#count(NOBODY, { removed: rows.length });
      this.#add("torrents", -rows.length);
      this.#pruneStatistics();
      const isOver = Math.max(rows.length, pending, settled) < PRUNE_MAX;
      return { torrents: rows.length, hashes: pending + settled, isOver };
    });
  }

  /** Pages in use, without those that are free for what comes next. */
  storeBytes(): number {
    const value = (name: string): number => Number(this.#prepare(`PRAGMA ${name}`).get()?.[name]);
    return (value("page_count") - value("freelist_count")) * value("page_size");
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #finishOne(owner: string, outcome: Outcome, nowMs: number): boolean {
    if (outcome.kind === "failed")
      return this.#run(
        `UPDATE hash SET state = ${STATE_RESTING}, owner = NULL, due_ms = ?, attempts = attempts + 1, hits = hits / 2
         WHERE info_hash = ? AND state = ${STATE_CLAIMED} AND owner = ?`,
        nowMs + outcome.retryMs,
        outcome.infoHash,
        owner,
      );
    const isFound = outcome.kind === "fetched";
    const infoHash = isFound ? outcome.torrent.infoHash : outcome.infoHash;
    const state = isFound ? STATE_FETCHED : STATE_UNUSABLE;
    const counts = this.#run(
      `INSERT INTO hash VALUES (?, ${state}, 0, 0, ?, ?, NULL, NULL)
       ON CONFLICT (info_hash) DO UPDATE SET state = ${state}, owner = NULL, due_ms = NULL
       WHERE hash.state IN (${STATE_WAITING}, ${STATE_RESTING}) OR (hash.state = ${STATE_CLAIMED} AND hash.owner = ?)`,
      infoHash,
      nowMs,
      nowMs,
      owner,
    );
    if (counts && isFound) this.#insert(outcome.torrent, nowMs);
    return counts;
  }

  #insert(torrent: FoundTorrent, nowMs: number): void {
    const { lastInsertRowid } = this.#change(
      "INSERT INTO torrent VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
      torrent.infoHash,
      torrent.name,
      torrent.bytes,
      torrent.pieceBytes,
      torrent.isPrivate ? 1 : 0,
      torrent.fileCount,
      nowMs,
    );
    const id = Number(lastInsertRowid);
    const files = JSON.stringify(torrent.files.map(({ path, bytes }) => [path, bytes]));
    this.#run("INSERT INTO torrent_files VALUES (?, ?)", id, files);
    const paths = torrent.files.map(({ path }) => path);
    this.#run("INSERT INTO torrent_text (rowid, words) VALUES (?, ?)", id, searchTextOf(torrent.name, paths));
  }

  #removeTorrent(id: number): void {
    for (const sql of [
      "DELETE FROM torrent WHERE id = ?",
      "DELETE FROM torrent_files WHERE id = ?",
      "DELETE FROM torrent_text WHERE rowid = ?",
    ])
      this.#run(sql, id);
  }

  /** Leases that ended, and failures whose time has come. */
  #wake(nowMs: number): void {
    this.#run(
      `UPDATE hash SET state = ${STATE_WAITING}, owner = NULL, due_ms = NULL WHERE info_hash IN
         (SELECT info_hash FROM hash INDEXED BY hash_due WHERE state IN (${STATE_CLAIMED}, ${STATE_RESTING}) AND due_ms <= ?
          LIMIT ${WAKE_MAX})`,
      nowMs,
    );
  }

  /** Hashes of one kind that are too many, those seen longest ago; `index` has them in that order. */
  #forget(index: string, kind: string, count: RowCount, max: number | undefined): number {
    if (max === undefined) return 0;
    const nowMs = this.#nowMs();
    let rows = count.at(nowMs);
    if (rows === undefined) {
      const row = this.#prepare(`SELECT count(*) AS value FROM hash INDEXED BY ${index} WHERE ${kind}`).get();
      rows = Number(row?.["value"]);
      count.set(rows, nowMs);
    }
    if (rows <= max) return 0;
    const forgotten = this.#changes(
      `DELETE FROM hash WHERE info_hash IN
         (SELECT info_hash FROM hash INDEXED BY ${index} WHERE ${kind} ORDER BY seen_ms LIMIT ?)`,
      Math.min(PRUNE_MAX, rows - max),
    );
    count.add(-forgotten);
    return forgotten;
  }

  /** Steps that are over need not say who worked, and those that are too old are in the totals. */
  #pruneStatistics(): void {
    const nowMs = this.#nowMs();
    const sums = COUNTED.map((name) => `sum(${name})`).join(", ");
    const added = COUNTED.map((name) => `${name} = ${name} + excluded.${name}`).join(", ");
    const over = nowMs - (nowMs % STATISTICS_STEP_MS) - STATISTICS_STEP_MS;
    const rows = this.#prepare("SELECT 1 FROM worked WHERE at_ms < ? AND owner <> ? LIMIT 1").get(
      over,
      NOBODY,
    );
    if (rows !== undefined) {
      this.#run(
        `INSERT INTO worked (at_ms, owner, ${COUNTED.join(", ")})
         SELECT at_ms, ?, ${sums} FROM worked WHERE at_ms < ? AND owner <> ? GROUP BY at_ms
         ON CONFLICT (at_ms, owner) DO UPDATE SET ${added}`,
        NOBODY,
        over,
        NOBODY,
      );
      this.#run("DELETE FROM worked WHERE at_ms < ? AND owner <> ?", over, NOBODY);
    }
    this.#run("DELETE FROM worked WHERE at_ms < ?", nowMs - HISTORY_MS_MAX);
    this.#run("DELETE FROM indexer WHERE seen_ms < ?", nowMs - INDEXER_MS_MAX);
  }

  #torrentsBeyond({ torrentsMax, storeBytesMax, ageMsMax }: Retention): readonly Record<string, unknown>[] {
    const torrents = this.#total("torrents");
    let beyond = torrentsMax === undefined ? 0 : torrents - torrentsMax;
    // Of what is too long, the share that is too much, and at least one.
    const bytes = storeBytesMax === undefined ? 0 : this.storeBytes();
    if (storeBytesMax !== undefined && bytes > storeBytesMax)
      beyond = Math.max(beyond, Math.ceil((torrents * (bytes - storeBytesMax)) / bytes));
    const oldest = "SELECT id, info_hash FROM torrent ";
    if (beyond > 0) return this.#prepare(`${oldest} ORDER BY id LIMIT ?`).all(Math.min(beyond, PRUNE_MAX));
    if (ageMsMax === undefined) return [];
    return this.#prepare(`${oldest} WHERE discovered_ms < ? LIMIT ${PRUNE_MAX}`).all(
      this.#nowMs() - ageMsMax,
    );
  }

  #total(name: string): number {
    return Number(this.#prepare("SELECT value FROM total WHERE name = ?").get(name)?.["value"] ?? 0);
  }

  #count(owner: string, counts: Counts): void {
    const names = COUNTED.filter((name) => (counts[name] ?? 0) !== 0);
    if (names.length === 0) return;
    const nowMs = this.#nowMs();
    const values = names.map((name) => counts[name] ?? 0);
    this.#run(
      `INSERT INTO worked (at_ms, owner, ${names.join(", ")}) VALUES (?, ?, ${names.map(() => "?").join(", ")})
       ON CONFLICT (at_ms, owner) DO UPDATE SET ${names.map((name) => `${name} = ${name} + excluded.${name}`).join(", ")}`,
      nowMs - (nowMs % STATISTICS_STEP_MS),
      owner,
      ...values,
    );
    for (const name of names) this.#add(name, counts[name] ?? 0);
  }

  #add(name: string, value: number): void {
    if (value !== 0)
      this.#run(
        "INSERT INTO total VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        name,
        value,
      );
  }

  #transaction<Value>(work: () => Value): Value {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const value = work();
      this.#database.exec("COMMIT");
      return value;
    } catch (error) {
      // A full disk has rolled it back already.
      try {
        this.#database.exec("ROLLBACK");
      } catch {}
      throw error;
    }
  }

  #prepare(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** True if it changed something. */
  #run(sql: string, ...values: Parameters<SqliteStatement["run"]>): boolean {
    return this.#changes(sql, ...values) > 0;
  }

  #changes(sql: string, ...values: Parameters<SqliteStatement["run"]>): number {
    return Number(this.#change(sql, ...values).changes);
  }

  #change(sql: string, ...values: Parameters<SqliteStatement["run"]>): ReturnType<SqliteStatement["run"]> {
    let statement = this.#changing.get(sql);
    if (statement === undefined) {
      statement = prepareChange(this.#database, sql);
      this.#changing.set(sql, statement);
    }
    return statement.run(...values);
  }
}
