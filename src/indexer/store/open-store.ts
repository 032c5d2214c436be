// Opens the store that a URL or a file name says. What it needs is loaded then, and not before.

import type { IndexStore, StoreOptions } from "./store.js";

/** postgres://… or postgresql://…; anything else is a file of SQLite, made if it is not there. Throws StoreError, UsageError. */
export async function openStore(place: string, options: StoreOptions = {}): Promise<IndexStore> {
  if (/^postgres(ql)?:/.test(place)) {
    const { PostgresStore } = await import("./postgres-store.js");
    return PostgresStore.open(place, options);
  }
  const { SqliteStore } = await import("./sqlite-store.js");
  return SqliteStore.open(place, options);
}
