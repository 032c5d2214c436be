// The tables of an index in PostgreSQL, and how an older one becomes today's. What they hold is as in SQLite (sqlite-schema.ts).
//
// Sums are kept by each indexer in rows of its own: one row that all of them count in would have each wait for the others.

import { StoreError } from "../../base/errors.js";
import type { PostgresClient } from "./postgres-client.js";

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE hash (
     info_hash bytea PRIMARY KEY,
     state smallint NOT NULL,
     attempts smallint NOT NULL,
     hits integer NOT NULL,
     first_ms bigint NOT NULL,
     seen_ms bigint NOT NULL,
     due_ms bigint,
     owner text
   ) WITH (fillfactor = 80);
   CREATE INDEX hash_waiting ON hash (info_hash) WHERE state = 0;
   CREATE INDEX hash_due ON hash (due_ms) WHERE state IN (1, 2);
   CREATE INDEX hash_owner ON hash (owner) WHERE state = 1;
   CREATE INDEX hash_seen ON hash (seen_ms) WHERE state IN (0, 2);
   CREATE TABLE torrent (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     info_hash bytea NOT NULL UNIQUE,
     name text NOT NULL,
     bytes bigint NOT NULL,
     piece_bytes bigint NOT NULL,
     is_private boolean NOT NULL,
     file_count integer NOT NULL,
     discovered_ms bigint NOT NULL,
     words tsvector NOT NULL
   );
   ALTER TABLE torrent ALTER COLUMN words SET STATISTICS 1000;
   CREATE INDEX torrent_bytes ON torrent (bytes, id);
   CREATE INDEX torrent_discovered ON torrent (discovered_ms);
   CREATE INDEX torrent_words ON torrent USING gin (words);
   CREATE TABLE torrent_files (id bigint PRIMARY KEY REFERENCES torrent ON DELETE CASCADE, files jsonb NOT NULL);
   CREATE TABLE worked (
     at_ms bigint NOT NULL,
     owner text NOT NULL,
     hashes bigint NOT NULL DEFAULT 0,
     fetched bigint NOT NULL DEFAULT 0,
     failed bigint NOT NULL DEFAULT 0,
     unusable bigint NOT NULL DEFAULT 0,
     removed bigint NOT NULL DEFAULT 0,
     lookups bigint NOT NULL DEFAULT 0,
     queries bigint NOT NULL DEFAULT 0,
     fetches bigint NOT NULL DEFAULT 0,
     PRIMARY KEY (at_ms, owner)
   );
   CREATE TABLE indexer (
     owner text PRIMARY KEY,
     seen_ms bigint NOT NULL
   );`,
  "CREATE INDEX hash_settled ON hash (seen_ms) WHERE state IN (4, 6);",
  // Beside the words of a torrent stand their first letters, and the stretches of ids that it is in (postgres-search.ts).
  `DROP INDEX torrent_words;
   UPDATE torrent SET words = words || array_to_tsvector(ARRAY(
     SELECT '^' || left(lexeme, length) FROM unnest(words), generate_series(1, 2) AS length
     UNION SELECT '#' || bits || ':' || (id >> bits) FROM unnest(ARRAY[12, 15, 18]) AS bits));
   CREATE INDEX torrent_words ON torrent USING gin (words) WITH (fastupdate = off);`,
];

/** Everybody who migrates waits for this lock: "SWix". */
const LOCK = 0x5357_6978;
/** And who puts old statistics together, for this one. */
export const LOCK_STATISTICS = LOCK + 1;

/** Throws StoreError `STORE_VERSION`. Several processes may do so at once. */
export async function migrate(client: PostgresClient): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
    await client.query("CREATE TABLE IF NOT EXISTS scatterwire_index (version integer NOT NULL)");
    const { rows } = await client.query("SELECT version FROM scatterwire_index");
    const version = Number(rows[0]?.["version"] ?? 0);
    if (version > MIGRATIONS.length)
      throw new StoreError(
        "STORE_VERSION",
        `the database is an index of version ${version}; this one knows ${MIGRATIONS.length}`,
      );
    for (const step of MIGRATIONS.slice(version)) await client.query(step);
    await client.query("DELETE FROM scatterwire_index");
    await client.query("INSERT INTO scatterwire_index VALUES ($1)", [MIGRATIONS.length]);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}
