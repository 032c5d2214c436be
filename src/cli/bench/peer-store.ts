// scatterwire bench peer-store: chihaya's benchmarks of peer stores, on ours.

import { Command } from "commander";
import { framed, type MemoryRow } from "../../../bench/measuring/tracker-results.js";
import { MEMORY_HEAD, memoryLine, peerStoreText } from "../../../bench/measuring/tracker-words.js";
import { benchPeerStore, measureMemory } from "../../../bench/suites/peer-store.js";
import { VERSION } from "../../base/version.js";
import { printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  milliseconds: number;
  most: number;
  json?: boolean;
}

export function peerStoreCommand(): Command {
  return new Command("peer-store")
    .description("what a tracker's peer store costs: chihaya's 27 benchmarks and its tables of memory")
    .option("--milliseconds <n>", "how long each is measured", wholeNumber("--milliseconds", 1, 60_000), 250)
    .option(
      "--most <n>",
      "info hashes of the largest row of memory; 2.5 times as many seeders and leechers (0: no tables)",
      wholeNumber("--most", 0, 10_000_000),
      10_000_000,
    )
    .option("--json", "print one JSON object, which `bench report` reads")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const startedAt = new Date();
  const benchmarks = benchPeerStore(flags.milliseconds);
  if (flags.json !== true) printLine(peerStoreText(benchmarks));
  const memory: MemoryRow[] = [];
  let infoHashes = 0;
  if (flags.most > 0 && flags.json !== true) printLine(`\n${MEMORY_HEAD}`);
  for (const row of measureMemory(flags.most)) {
    memory.push(row);
    if (flags.json === true) continue;
    if (row.infoHashes !== infoHashes) printLine(`${row.infoHashes} infohashes...`);
    infoHashes = row.infoHashes;
    printLine(memoryLine(row));
  }
  if (flags.json === true) printJson(framed("peer-store", VERSION, startedAt, { benchmarks, memory }));
}
