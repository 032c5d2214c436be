// scatterwire bench index-search: how long searches in a large index take.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { fillIndex, type SearchRow, searchIndex } from "../../../bench/suites/index-search.js";
import { openStore } from "../../indexer/index.js";
import { formatBytes, interruptSignal, note, printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  torrents: number;
  searches: number;
  seed: number;
  store?: string;
  json?: boolean;
}

const TOLD_EVERY = 50_000;

export function indexSearchCommand(): Command {
  return new Command("index-search")
    .description("fill an index with torrents that nobody made, and measure searches in it")
    .option("--torrents <n>", "in the index", wholeNumber("--torrents", 1000, 100_000_000), 1_000_000)
    .option("--searches <n>", "of each kind", wholeNumber("--searches", 1, 100_000), 200)
    .option("--seed <n>", "the same number gives the same torrents", wholeNumber("--seed", 0, 2 ** 31), 7)
    .option("--store <place>", "postgres://… or a file, EMPTY (default: a file that is deleted afterwards)")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
One search after the other, each for a page of 50. A store that is given keeps the torrents.

Examples:
  scatterwire bench index-search
  scatterwire bench index-search --store postgres:///bench?host=/run/postgresql`,
    )
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const signal = interruptSignal();
  const folder = flags.store === undefined ? await mkdtemp(join(tmpdir(), "scatterwire-search-")) : undefined;
  const place = flags.store ?? join(folder ?? "", "index.db");
  const store = await openStore(place).catch(async (error: unknown) => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    throw error;
  });
  try {
    const before = await store.stats();
    if (before.torrents > 0)
      note(`the store has ${before.torrents} torrents already: they are searched, too`);
    const filled = await fillIndex(store, flags, (done) => {
      signal.throwIfAborted();
      if (done % TOLD_EVERY === 0) note(`${done} of ${flags.torrents} torrents`);
    });
    const rows = await searchIndex(store, flags);
    signal.throwIfAborted();
    const { torrents, searches, seed } = flags;
    if (flags.json === true) {
      printJson({ settings: { torrents, searches, seed, store: store.kind }, filled, rows });
      return;
    }
    printLine(
      `${torrents} torrents in ${filled.seconds.toFixed(0)} s, ${formatBytes(filled.storeBytes)} in ${store.kind === "sqlite" ? "SQLite" : "PostgreSQL"}`,
    );
    printLine(HEAD);
    for (const row of rows) printLine(lineOf(row));
  } finally {
    await store.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

const HEAD = `${"".padEnd(32)}  median ms   p95 ms   max ms   found   cut short`;

function lineOf({ kind, medianMs, p95Ms, maxMs, found, cutShort }: SearchRow): string {
  return [
    kind.padEnd(32),
    medianMs.toFixed(1).padStart(10),
    p95Ms.toFixed(1).padStart(8),
    maxMs.toFixed(1).padStart(8),
    found.toFixed(1).padStart(7),
    String(cutShort).padStart(11),
  ].join(" ");
}
