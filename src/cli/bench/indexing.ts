// scatterwire bench index: how many hashes an indexer looks up and how many torrents it stores, over sockets of this machine.

import { Command } from "commander";
import { runIndexing } from "../../../bench/suites/indexing.js";
import { note, printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  seconds: number;
  nodes: number;
  virtualNodes: number;
  hashes: number;
  share: number;
  store?: string;
  json?: boolean;
}

export function indexingCommand(): Command {
  return new Command("index")
    .description("how many hashes an indexer looks up, and how many torrents it stores, in ten minutes")
    .option("--seconds <n>", "to measure for", wholeNumber("--seconds", 1, 36_000), 30)
    .option("--nodes <n>", "of the network, a process of its own", wholeNumber("--nodes", 16, 250), 64)
    .option("--virtual-nodes <n>", "of the indexer", wholeNumber("--virtual-nodes", 1, 250), 32)
    .option("--hashes <n>", "that there are", wholeNumber("--hashes", 100, 10_000_000), 20_000)
    .option("--share <percent>", "of hashes that somebody has", wholeNumber("--share", 0, 100), 20)
    .option("--store <place>", "an empty database of PostgreSQL, instead of a file of SQLite")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The paper's indexer looked up 4,600 hashes in ten minutes and had 870 torrents of them, on four cores. Here nobody is far away
and no node is dead: what is measured is what the work costs.

Example:
  scatterwire bench index --seconds 60`,
    )
    .action(run);
}

async function run({ share, json, store, ...flags }: Flags): Promise<void> {
  if (json !== true)
    note(`an indexer of ${flags.virtualNodes} virtual nodes, in a network of ${flags.nodes}`);
  const row = await runIndexing({ ...flags, sharePercent: share, ...(store === undefined ? {} : { store }) });
  if (json === true) {
    printJson(row);
    return;
  }
  const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
  printLine(
    `${whole(row.lookupsPer10Minutes)} lookups and ${whole(row.torrentsPer10Minutes)} torrents in 10 minutes ` +
      `(${row.lookups} and ${row.torrents} in ${row.seconds.toFixed(1)} s${row.ranDry ? ", when no hash was left" : ""})`,
  );
  printLine(
    `${row.queriesPerLookup.toFixed(1)} queries a lookup, ${row.connections} connections; ` +
      `${((1000 * row.cpuSeconds) / Math.max(1, row.lookups)).toFixed(2)} ms of CPU a lookup, ${(row.cpuSeconds / row.seconds).toFixed(2)} cores; ` +
      `garbage collection ${(100 * row.collectionShare).toFixed(1)} % of it; at most ${Math.round(row.peakRssBytes / 2 ** 20)} MiB`,
  );
}
