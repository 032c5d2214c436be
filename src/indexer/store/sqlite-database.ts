// SQLite as Node.js has it from 22.13 on (`node:sqlite`), or as the package @photostructure/sqlite brings it to older ones: both have the
// same interface, of which this is what is used.

import { UsageError } from "../../base/errors.js";

export type SqliteValue = null | number | bigint | string | Uint8Array;
export type SqliteRow = Readonly<Record<string, SqliteValue>>;

export interface SqliteStatement {
  run(...values: SqliteValue[]): {
    readonly changes: number | bigint;
    readonly lastInsertRowid: number | bigint;
  };
  get(...values: SqliteValue[]): SqliteRow | undefined;
  all(...values: SqliteValue[]): SqliteRow[];
  iterate(...values: SqliteValue[]): IterableIterator<SqliteRow>;
  /** Whether numbers of rows, and integers that are read, are told as bigint. */
  setReadBigInts(enabled: boolean): void;
}

export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

interface SqliteModule {
  readonly DatabaseSync: new (file: string, options?: { readonly timeout?: number }) => SqliteDatabase;
}

/** Another process may hold the file for so long: its transactions are batches. */
const BUSY_MS = 10_000;
const FIRST_WITH_SQLITE = [22, 13];
/** Named here, and not in an import, so that neither has to be there. */
const BUILT_IN: string = "node:sqlite";
const PACKAGE: string = "@photostructure/sqlite";

/**
 * Throws UsageError where there is no SQLite, the error of SQLite, or what `check` throws: it looks at a file before anything of it is changed,
 * which the kind of its journal is.
 */
export async function openSqlite(
  file: string,
  check: (database: SqliteDatabase) => void = () => {},
): Promise<SqliteDatabase> {
  const { DatabaseSync } = await loadSqlite();
  const database = new DatabaseSync(file, { timeout: BUSY_MS });
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    check(database);
    // Of a transaction that was committed nothing is lost when the process dies; when the machine does, the last ones may be.
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY`);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/**
 * A statement that changes something and reads nothing. SQLite tells the number of the row that was inserted last with each of them, also where it
 * inserted none, and those of the search index's own tables are beyond 2^53 once something was deleted from it: Node.js 26 throws
 * then, when the change is made already, unless it may tell a bigint.
 */
export function prepareChange(database: SqliteDatabase, sql: string): SqliteStatement {
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

async function loadSqlite(): Promise<SqliteModule> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [first = 0, second = 0] = FIRST_WITH_SQLITE;
  const isBuiltIn = major > first || (major === first && minor >= second);
  try {
    return (await import(isBuiltIn ? BUILT_IN : PACKAGE)) as SqliteModule;
  } catch (cause) {
    throw new UsageError(
      "USAGE_OPTION",
      `an index in a file needs SQLite, which Node.js has from 22.13 on: with ${process.version} run \`npm install ${PACKAGE}@1\``,
      { cause },
    );
  }
}
