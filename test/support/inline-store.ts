// An index in SQLite without threads: the SQL of the real store, called in the caller's turn, so that a simulation has it in virtual time.
//
// Always: calls do what the store in a file does, at once, in the order in which they are made. One that is dead answers nobody any more.

import { openSqlite, type SqliteDatabase } from "../../src/indexer/store/sqlite-database.js";
import { SqliteReader } from "../../src/indexer/store/sqlite-reader.js";
import { migrate } from "../../src/indexer/store/sqlite-schema.js";
import { SqliteWriter } from "../../src/indexer/store/sqlite-writer.js";
import type {
  Claim,
  ClaimRequest,
  IndexedTorrentDetails,
  IndexStore,
  Outcome,
  Pruned,
  Retention,
  SearchPage,
  SearchQuery,
  Sighting,
  StoreStats,
  StoreStep,
  WorkDone,
} from "../../src/indexer/store/store.js";

interface Tables {
  readonly database: SqliteDatabase;
  readonly writer: SqliteWriter;
  readonly reader: SqliteReader;
}

export class InlineStore implements IndexStore {
  readonly kind = "sqlite";
  /** Its process is gone: what is asked of it is never answered, and changes nothing. */
  isDead = false;
  readonly #tables: Tables;

  private constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** In memory. */
  static async open(nowMs: () => number): Promise<InlineStore> {
    const database = await openSqlite(":memory:");
    migrate(database, ":memory:");
    const writer = new SqliteWriter(database, nowMs);
    return new InlineStore({ database, writer, reader: new SqliteReader(database, nowMs) });
  }

  /** Another one's view of the same. */
  another(): InlineStore {
    return new InlineStore(this.#tables);
  }

  see(sightings: readonly Sighting[]): Promise<number> {
    return this.#call(({ writer }) => writer.see(sightings));
  }

  claim(request: ClaimRequest): Promise<Claim[]> {
    return this.#call(({ writer }) => writer.claim(request));
  }

  finish(owner: string, outcomes: readonly Outcome[]): Promise<boolean[]> {
    return this.#call(({ writer }) => writer.finish(owner, outcomes));
  }

  release(owner: string): Promise<number> {
    return this.#call(({ writer }) => writer.release(owner));
  }

  worked(work: WorkDone): Promise<void> {
    return this.#call(({ writer }) => writer.worked(work));
  }

  remove(infoHashes: readonly Uint8Array[]): Promise<number> {
    return this.#call(({ writer }) => writer.remove(infoHashes));
  }

  prune(retention: Retention): Promise<Pruned> {
    return this.#call(({ writer }) => writer.prune(retention));
  }

  get(infoHash: Uint8Array): Promise<IndexedTorrentDetails | undefined> {
    return this.#call(({ reader }) => reader.get(infoHash));
  }

  search(query: SearchQuery): Promise<SearchPage> {
    return this.#call(({ reader }) => reader.search(query));
  }

  stats(): Promise<StoreStats> {
    return this.#call(({ reader }) => reader.stats());
  }

  history(sinceMs: number, count: number): Promise<StoreStep[]> {
    return this.#call(({ reader }) => reader.history(sinceMs, count));
  }

  async close(): Promise<void> {
    this.#tables.database.close();
  }

  async #call<Value>(work: (tables: Tables) => Value): Promise<Value> {
    return this.isDead ? new Promise<never>(() => {}) : work(this.#tables);
  }
}
