// scatterwire bench index: how many hashes an indexer looks up and how many torrents it stores, over sockets of this machine.

import { Command } from "commander";
import { type IndexingRow, medianRow, runIndexing, runIndexings } from "../../../bench/suites/indexing.js";
import {
  type CollectingRow,
  type RetrievalRow,
  runCollecting,
  runRetrieval,
} from "../../../bench/suites/passive.js";
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
  passive?: boolean;
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
    .option("--passive", "measure passive collecting and passive retrieval instead, each on and off")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The paper's indexer looked up 4,600 hashes in ten minutes and had 870 torrents of them, on four cores. Here nobody is far away: what is
measured is what the work costs, and what dead nodes do to it.

Examples:
  scatterwire bench index --seconds 60 --runs 3
  scatterwire bench index --passive`,
    )
    .action(run);
}

async function run({ share, dead, runs, json, store, passive, ...flags }: Flags): Promise<void> {
  if (passive === true) {
    await measurePassive(json === true);
    return;
  }
  if (json !== true)
    note(
      `an indexer of ${flags.virtualNodes} virtual nodes, in a network of ${flags.nodes}, ${dead} % of them dead`,
    );
  if (runs > 1 && store !== undefined)
    throw new ExitError(EXIT_USAGE, "--store takes an empty database, which is good for one run only");
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

/** Of others, as many as find each other in a minute; of ours, as few as hear something each second. */
const COLLECTING = { nodes: 200, virtualNodes: 8, torrents: 20_000, minutes: 5, seed: 7 };
const RETRIEVAL = { nodes: 64, virtualNodes: 8, open: 200, hidden: 200, nobodys: 600 };

async function measurePassive(isJson: boolean): Promise<void> {
  const collecting = await runCollecting(COLLECTING);
  if (!isJson) {
    printLine(
      `${COLLECTING.virtualNodes} nodes of ours among ${COLLECTING.nodes}, ${COLLECTING.minutes} minutes of virtual time`,
    );
    printLine(COLLECTING_HEAD);
    for (const row of collecting) printLine(collectingLineOf(row));
  }
  const retrieval = await runRetrieval(RETRIEVAL);
  if (isJson) {
    printJson({
      collecting: { settings: COLLECTING, rows: collecting },
      retrieval: { settings: RETRIEVAL, rows: retrieval },
    });
    return;
  }
  const { open, hidden, nobodys } = RETRIEVAL;
  printLine(
    `\n${open} torrents of peers that can be connected to, ${hidden} of peers behind routers, ${nobodys} of nobody`,
  );
  printLine(RETRIEVAL_HEAD);
  for (const row of retrieval) printLine(retrievalLineOf(row));
}

const COLLECTING_HEAD = [
  `${"".padEnd(16)}  queries with   counted  distinct  sent by us       in all`,
  `${"".padEnd(16)}  hashes heard              hashes   datagrams    datagrams`,
].join("\n");

function collectingLineOf(row: CollectingRow): string {
  const { collects, queriesHeard, mentions, hashes, sent, datagrams } = row;
  return tableLine(collects ? "collecting" : "not collecting", [
    [queriesHeard, 13],
    [mentions, 9],
    [hashes, 9],
    [sent, 11],
    [datagrams, 12],
  ]);
}

const RETRIEVAL_HEAD = [
  `${"".padEnd(16)}   lookups  torrents   by those  our address     queries  connections`,
  `${"".padEnd(16)}                       who came         told        sent        begun`,
].join("\n");

function retrievalLineOf(row: RetrievalRow): string {
  const { retrieves, lookups, torrents, passive, addressesTold, queriesSent, connections } = row;
  return tableLine(retrieves ? "retrieving" : "not retrieving", [
    [lookups, 9],
    [torrents, 9],
    [passive, 10],
    [addressesTold, 12],
    [queriesSent, 11],
    [connections, 12],
  ]);
}

/** A name, and figures in columns of these widths. */
function tableLine(name: string, figures: readonly (readonly [value: number, width: number])[]): string {
  return [name.padEnd(16), ...figures.map(([value, width]) => String(value).padStart(width))].join(" ");
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
