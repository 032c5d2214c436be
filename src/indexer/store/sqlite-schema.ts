// The tables of an index in SQLite, and how an older one becomes today's.
//
// `hash` is clustered by the hash itself, without row ids: what is claimed in order lies in order, and there is no second tree of a primary
// key. Who waits, and who is due, are partial indexes: they have what is under way, and not the millions that are done.
//
// Beginnings of one to four letters are indexed too: a search for one costs many times as much when it has to gather all words that begin
// so (200,000 torrents, on a busy machine: 215 ms for one letter and 58 ms for two, and 0.1 with them, in a file that is 15 % larger than with
// those of three and four). A mapping of the file (mmap_size) saves a third of what searches cost,
// and is not used: a file that another program cuts short would end the process.

import { StoreError } from "../../base/errors.js";
import { searchTextOf } from "./search-text.js";
import { prepareChange, type SqliteDatabase } from "./sqlite-database.js";

/** One step for each version; what is here is never changed, only added to. */
const MIGRATIONS: readonly (string | ((database: SqliteDatabase) => void))[] = [
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
  indexBeginnings,
];

/** "SWix": in the file's header, so that tools know what it is. */
const APPLICATION_ID = 0x5357_6978;

/** Reads all torrents' words again: minutes where there are millions. */
function indexBeginnings(database: SqliteDatabase): void {
  database.exec(`DROP TABLE torrent_text;
    CREATE VIRTUAL TABLE torrent_text USING fts5 (words, content = '', contentless_delete = 1, prefix = '1 2 3 4',
      tokenize = 'unicode61 remove_diacritics 0')`);
  const insert = prepareChange(database, "INSERT INTO torrent_text (rowid, words) VALUES (?, ?)");
  const rows = database
    .prepare("SELECT id, name, files FROM torrent JOIN torrent_files USING (id)")
    .iterate();
  for (const { id, name, files } of rows) {
    const paths = (JSON.parse(String(files)) as [string, number][]).map(([path]) => path);
    insert.run(id ?? 0, searchTextOf(String(name), paths));
  }
}

/** Changes nothing. Throws StoreError `STORE_VERSION` for what is no index, or one that a newer scatterwire made. */
export function checkVersion(database: SqliteDatabase, file: string): number {
  const version = pragma(database, "user_version");
  const isEmpty = count(database, "SELECT count(*) AS value FROM sqlite_schema") === 0;
  if (!isEmpty && pragma(database, "application_id") !== APPLICATION_ID)
    throw new StoreError("STORE_VERSION", `${file} is a database of something else`);
  if (version > MIGRATIONS.length)
    throw new StoreError(
      "STORE_VERSION",
      `${file} is an index of version ${version}; this one knows ${MIGRATIONS.length}`,
    );
  return version;
}

/** `wanted`: not beyond that one, in a test. Throws StoreError `STORE_VERSION`. Several processes may do so at once. */
export function migrate(database: SqliteDatabase, file: string, wanted = MIGRATIONS.length): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    // Another process may have made it today's meanwhile.
    const version = checkVersion(database, file);
    for (const step of MIGRATIONS.slice(version, wanted))
      if (typeof step === "string") database.exec(step);
      else step(database);
    database.exec(
      `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${Math.max(version, wanted)}`,
    );
    database.exec("COMMIT");
  } catch (error) {
    // A disk that fails has rolled it back already, and what it said is what counts.
    try {
      database.exec("ROLLBACK");
    } catch {}
    throw error;
  }
}

function pragma(database: SqliteDatabase, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function count(database: SqliteDatabase, sql: string): number {
  return Number(database.prepare(sql).get()?.["value"]);
}
