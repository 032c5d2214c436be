// What is used of the package `pg`, and what its errors are to us.

import { ScatterwireError, StoreError, UsageError } from "../../base/errors.js";

export interface PostgresResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly rowCount: number | null;
}

export interface PostgresClient {
  query(sql: string, values?: readonly unknown[]): Promise<PostgresResult>;
}

export interface PooledClient extends PostgresClient {
  /** With an error the connection is not used again. */
  release(error?: Error | boolean): void;
}

export interface PostgresPool extends PostgresClient {
  connect(): Promise<PooledClient>;
  end(): Promise<void>;
}

const CONNECTIONS = 4;
const CONNECT_MS = 10_000;
/** What a call may take at the server, and until its answer is here. */
const STATEMENT_MS = 30_000;
const ANSWER_MS = 40_000;

/** Of connections for searches: room for the rows of many matches, and less time than an indexer's. */
export const SEARCHING = { statement_timeout: 2000, options: "-c work_mem=32MB" } as const;

/** Of the one that makes the tables, or today's of older ones: that takes minutes where there are millions, and others wait for it. */
export const MIGRATING = {
  statement_timeout: 0,
  query_timeout: 0,
  idle_in_transaction_session_timeout: 0,
} as const;

/** Throws UsageError without the package. */
export async function makePool(
  url: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<PostgresPool> {
  const { default: pg } = await import("pg").catch((cause: unknown) => {
    throw new UsageError("USAGE_OPTION", "PostgreSQL needs the package: run `npm install pg`", { cause });
  });
  // Numbers of 64 bits are times and sizes, and sums of them: a double holds what we put there.
  const types = {
    getTypeParser: (type: number, format?: "text" | "binary"): ((value: never) => unknown) =>
      type === INT8 || type === NUMERIC ? Number : pg.types.getTypeParser(type, format as "text"),
  };
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    query_timeout: ANSWER_MS,
    idle_in_transaction_session_timeout: ANSWER_MS,
    application_name: "scatterwire index",
    allowExitOnIdle: true,
    types: types as never,
    ...more,
  });
  // A connection that nobody uses may end, with its server: the next call makes another one.
  pool.on("error", () => {});
  // The pool listens to connections that nobody uses, and nobody to one that is in use between two calls: its next call says that it is gone.
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool as unknown as PostgresPool;
}

const INT8 = 20;
const NUMERIC = 1700;

/** Of the classes and codes of PostgreSQL's manual, appendix A. */
export function storeErrorOf(error: unknown): Error {
  if (error instanceof ScatterwireError) return error;
  const { code = "", message, name: kind } = error as { code?: string; message: string; name: string };
  // A bug of ours is not the server's.
  if (code === "" && kind !== "Error") return error as Error;
  const make = (name: StoreError["code"], what: string): StoreError =>
    new StoreError(name, `${what}: ${message}`, { cause: error });
  if (code === "53100") return make("STORE_FULL", "the disk of PostgreSQL is full");
  if (code === "57014") return make("STORE_TIMEOUT", "PostgreSQL took too long");
  if (isTransient(code)) return make("STORE_BUSY", "PostgreSQL has too much to do");
  if (code === "28P01" || code === "28000" || code === "3D000")
    return new UsageError("USAGE_OPTION", `PostgreSQL refuses: ${message}`, { cause: error });
  if (code === "" || code.startsWith("08") || code.startsWith("57P") || code.startsWith("E"))
    return make("STORE_UNREACHABLE", "PostgreSQL cannot be reached");
  return make("STORE_FAILED", "PostgreSQL refuses");
}

/** A deadlock, a serialisation failure, a lock that was not to be had, or too many connections. */
export function isTransient(code: string): boolean {
  return code === "40P01" || code === "40001" || code === "55P03" || code === "53300";
}
