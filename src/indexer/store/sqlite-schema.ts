// The tables of an index in SQLite, and how an older one becomes today's.
//
// `hash` is clustered by the hash itself, without row ids: what is claimed in order lies in order, and there is no second tree of a primary
// key. Who waits, and who is due, are partial indexes: they have what is under way, and not the millions that are done.
//
// Beginnings of three and four letters are indexed too: a search for one cost seven times as much when it had to gather all words that begin
// so (300,000 torrents: 2.6 ms of CPU, and 0.4 with a file that is 16 % larger). A mapping of the file (mmap_size) saves a third of what searches cost,
// and is not used: a file that another program cuts short would end the process.

import { StoreError } from "../../base/errors.js";
import type { SqliteDatabase } from "./sqlite-database.js";

/** One step for each version; what is here is never changed, only added to. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE hash (
     info_hash BLOB PRIMARY KEY,
     state INTEGER NOT NULL,        -- 0 waiting, 1 claimed, 2 resting, 3 fetched, 4 unusable, 5 removed, 6 expired
     hits INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     first_ms INTEGER NOT NULL,
     seen_ms INTEGER NOT NULL,
     due_ms INTEGER,                -- claimed: the lease ends; resting: it waits again
     owner TEXT
   ) WITHOUT ROWID;
   CREATE INDEX hash_waiting ON hash (info_hash) WHERE state = 0;
   CREATE INDEX hash_due ON hash (due_ms) WHERE state IN (1, 2);
   CREATE INDEX hash_owner ON hash (owner) WHERE state = 1;
   CREATE INDEX hash_seen ON hash (seen_ms) WHERE state IN (0, 2);
   CREATE TABLE torrent (
     id INTEGER PRIMARY KEY,
     info_hash BLOB NOT NULL UNIQUE,
     name TEXT NOT NULL,
     bytes INTEGER NOT NULL,
     piece_bytes INTEGER NOT NULL,
     is_private INTEGER NOT NULL,
     file_count INTEGER NOT NULL,
     discovered_ms INTEGER NOT NULL
   );
   CREATE INDEX torrent_bytes ON torrent (bytes, id);
   CREATE INDEX torrent_discovered ON torrent (discovered_ms);
   CREATE TABLE torrent_files (id INTEGER PRIMARY KEY, files TEXT NOT NULL);
   CREATE VIRTUAL TABLE torrent_text USING fts5 (words, content = '', contentless_delete = 1, prefix = '3 4',
     tokenize = 'unicode61 remove_diacritics 0');
   CREATE TABLE worked (
     at_ms INTEGER NOT NULL,
     owner TEXT NOT NULL,
     hashes INTEGER NOT NULL DEFAULT 0,
     fetched INTEGER NOT NULL DEFAULT 0,
     failed INTEGER NOT NULL DEFAULT 0,
     unusable INTEGER NOT NULL DEFAULT 0,
     removed INTEGER NOT NULL DEFAULT 0,
     lookups INTEGER NOT NULL DEFAULT 0,
     queries INTEGER NOT NULL DEFAULT 0,
     fetches INTEGER NOT NULL DEFAULT 0,
     PRIMARY KEY (at_ms, owner)
   ) WITHOUT ROWID;
   CREATE TABLE total (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE indexer (owner TEXT PRIMARY KEY, seen_ms INTEGER NOT NULL) WITHOUT ROWID;`,
  "CREATE INDEX hash_settled ON hash (seen_ms) WHERE state IN (4, 6);",
];

/** "SWix": in the file's header, so that tools know what it is. */
const APPLICATION_ID = 0x5357_6978;

/** Throws StoreError `STORE_VERSION`. Several processes may do so at once. */
export function migrate(database: SqliteDatabase, file: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = pragma(database, "user_version");
    const isEmpty = count(database, "SELECT count(*) AS value FROM sqlite_schema") === 0;
    if (!isEmpty && pragma(database, "application_id") !== APPLICATION_ID)
      throw new StoreError("STORE_VERSION", `${file} is a database of something else`);
    if (version > MIGRATIONS.length)
      throw new StoreError(
        "STORE_VERSION",
        `${file} is an index of version ${version}; this one knows ${MIGRATIONS.length}`,
      );
    for (const step of MIGRATIONS.slice(version)) database.exec(step);
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function pragma(database: SqliteDatabase, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function count(database: SqliteDatabase, sql: string): number {
  return Number(database.prepare(sql).get()?.["value"]);
}
