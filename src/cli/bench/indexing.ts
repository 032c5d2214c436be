// scatterwire bench index: how many hashes an indexer looks up and how many torrents it stores, over sockets of this machine.

import { Command } from "commander";
import { type IndexingRow, medianRow, runIndexing, runIndexings } from "../../../bench/suites/indexing.js";
import { EXIT_USAGE, ExitError, note, printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  seconds: number;
  nodes: number;
  virtualNodes: number;
  hashes: number;
  share: number;
  dead: number;
  runs: number;
  store?: string;
  json?: boolean;
}

export function indexingCommand(): Command {
  return new Command("index")
    .description("how many hashes an indexer looks up, and how many torrents it stores, in ten minutes")
    .option("--seconds <n>", "to measure for", wholeNumber("--seconds", 1, 36_000), 30)
    .option("--nodes <n>", "of the network, a process of its own", wholeNumber("--nodes", 16, 250), 64)
    .option(
      "--dead <percent>",
      "of them, which went when the others knew them",
      wholeNumber("--dead", 0, 90),
      45,
    )
    .option(
      "--runs <n>",
      "each a process of its own; the median of each figure is told",
      wholeNumber("--runs", 1, 100),
      1,
    )
    .option("--virtual-nodes <n>", "of the indexer", wholeNumber("--virtual-nodes", 1, 250), 32)
    .option("--hashes <n>", "that there are", wholeNumber("--hashes", 100, 10_000_000), 20_000)
    .option("--share <percent>", "of hashes that somebody has", wholeNumber("--share", 0, 100), 20)
    .option("--store <place>", "an empty database of PostgreSQL, instead of a file of SQLite")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The paper's indexer looked up 4,600 hashes in ten minutes and had 870 torrents of them, on four cores. Here nobody is far away: what is
measured is what the work costs, and what dead nodes do to it.

Example:
  scatterwire bench index --seconds 60 --runs 3`,
    )
    .action(run);
}

async function run({ share, dead, runs, json, store, ...flags }: Flags): Promise<void> {
  if (json !== true)
    note(
      `an indexer of ${flags.virtualNodes} virtual nodes, in a network of ${flags.nodes}, ${dead} % of them dead`,
    );
  if (runs > 1 && store !== undefined)
    throw new ExitError(EXIT_USAGE, "--store is an empty database, and so good for one run");
  const args = [
    ...[
      "--seconds",
      flags.seconds,
      "--nodes",
      flags.nodes,
      "--dead",
      dead,
      "--virtual-nodes",
      flags.virtualNodes,
    ],
    ...["--hashes", flags.hashes, "--share", share],
  ].map(String);
  const rows =
    runs > 1
      ? await runIndexings(runs, args)
      : [
          await runIndexing({
            ...flags,
            deadPercent: dead,
            sharePercent: share,
            ...(store === undefined ? {} : { store }),
          }),
        ];
  const row = medianRow(rows);
  if (json === true) {
    printJson(runs > 1 ? { ...row, runs: rows } : row);
    return;
  }
  if (runs > 1) printLine(`medians of ${runs} runs`);
  print(row);
}

function print(row: IndexingRow): void {
  const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
  printLine(
    `${whole(row.lookupsPer10Minutes)} lookups and ${whole(row.torrentsPer10Minutes)} torrents in 10 minutes ` +
      `(${row.lookups} and ${row.torrents} in ${row.seconds.toFixed(1)} s${row.ranDry ? ", when no hash was left" : ""})`,
  );
  printLine(
    `${row.queriesPerLookup.toFixed(1)} queries a lookup, ${(100 * row.unansweredShare).toFixed(0)} % of them not answered, ${row.connections} connections; ` +
      `${((1000 * row.cpuSeconds) / Math.max(1, row.lookups)).toFixed(2)} ms of CPU a lookup, ${(row.cpuSeconds / row.seconds).toFixed(2)} cores; ` +
      `garbage collection ${(100 * row.collectionShare).toFixed(1)} % of the time in which it worked; at most ${Math.round(row.peakRssBytes / 2 ** 20)} MiB`,
  );
}
