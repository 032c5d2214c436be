// Opens the store that a URL or a file name says. What it needs is loaded then, and not before.

import { resolve } from "node:path";
import { UsageError } from "../../base/errors.js";
import { checkOption, checkOptions, type OptionsOf } from "../../base/option-check.js";
import type { IndexStore, StoreOptions } from "./store.js";

const STORE_OPTIONS = { nowMs: { kind: "callback" } } as const satisfies OptionsOf<StoreOptions>;

/** What SQLite takes for no file: each of the store's threads would have an index of its own. */
const NO_FILES: readonly string[] = ["", ":memory:"];

/** postgres://… or postgresql://…; anything else is a file of SQLite, made if it is not there. Throws StoreError, UsageError. */
export async function openStore(place: string, options: StoreOptions = {}): Promise<IndexStore> {
  checkOption("the place of an index", { kind: "text" }, place);
  checkOptions(STORE_OPTIONS, options, "the store of an index");
  if (/^postgres(ql)?:/.test(place)) {
    const { PostgresStore } = await import("./postgres-store.js");
    return PostgresStore.open(place, options);
  }
  if (NO_FILES.includes(place))
    throw new UsageError("USAGE_OPTION", `an index is kept in a file, or at postgres://…, not in "${place}"`);
  const { SqliteStore } = await import("./sqlite-store.js");
  // As a whole path it is a file's, whatever SQLite may read into a name (file:…).
  return SqliteStore.open(resolve(place), options);
}
