// scatterwire bench dht: what the mechanisms of a DHT indexer are worth, in a simulated network.

import { Command, InvalidArgumentError } from "commander";
import { framedDht, PAPER_FIGURES } from "../../../bench/measuring/dht-results.js";
import {
  type DhtRow,
  type DhtSettings,
  dhtCases,
  dhtMatrix,
  HOSTILE_KINDS,
  type Hostile,
  runDhtCase,
  runDhtConditions,
} from "../../../bench/suites/dht.js";
import { runDhtAnswers } from "../../../bench/suites/dht-answers.js";
import { type FilterRow, runDhtFilters } from "../../../bench/suites/dht-filters.js";
import { runDhtWhole } from "../../../bench/suites/dht-whole.js";
import { entryOf } from "../../base/assert.js";
import { VERSION } from "../../base/version.js";
import { note, printJson, printLine, wholeNumber } from "../output.js";

interface Flags {
  nodes: number;
  dead: number;
  torrents: number;
  lookups: number;
  concurrent: number;
  virtualNodes: number;
  seed: number;
  answers?: number;
  filters?: boolean;
  matrix?: boolean;
  exponent: number;
  minutes: number;
  whole?: number;
  conditions?: boolean;
  loss: number;
  session: number;
  hostile?: Hostile;
  json?: boolean;
}

export function dhtCommand(): Command {
  return new Command("dht")
    .description("simulate a large DHT: queries, time and load of lookups, with each mechanism and without")
    .option("--nodes <n>", "of the network", wholeNumber("--nodes", 1000, 2 ** 23), 1_000_000)
    .option(
      "--dead <percent>",
      "nodes that stand in tables and never answer",
      wholeNumber("--dead", 0, 90),
      45,
    )
    .option("--torrents <n>", "that have peers", wholeNumber("--torrents", 100, 10_000_000), 2_000_000)
    .option("--lookups <n>", "of each case", wholeNumber("--lookups", 10, 10_000_000), 20_000)
    .option("--concurrent <n>", "lookups at once", wholeNumber("--concurrent", 1, 10_000), 24)
    .option(
      "--virtual-nodes <n>",
      "of ours, each at its own address",
      wholeNumber("--virtual-nodes", 2, 1024),
      32,
    )
    .option("--seed <n>", "the same numbers give the same run", wholeNumber("--seed", 0, 2 ** 31), 7)
    .option(
      "--answers <seconds>",
      "measure what answering costs a node instead, over sockets of this machine",
      wholeNumber("--answers", 1, 3600),
    )
    .option("--loss <percent>", "of datagrams", wholeNumber("--loss", 0, 50), 2)
    .option(
      "--session <minutes>",
      "median of the time for which a node is there before it goes and comes back; 0: those that are dead stay so",
      wholeNumber("--session", 0, 100_000),
      0,
    )
    .option(
      "--hostile <kind:percent>",
      "liars (name nodes that are nowhere), reflectors (name one victim), sybils (name each other) or dawdlers (answer late), of the nodes that answer",
      hostileOf,
    )
    .option("--conditions", "all mechanisms under loss, churn, and each kind of attackers instead")
    .option("--matrix", "leave each mechanism out by itself, instead of adding one after the other")
    .option(
      "--whole <n>",
      "ask a network of so many whole nodes instead, and a simulated one of as many, to see whether they answer alike",
      wholeNumber("--whole", 20, 5000),
    )
    .option("--filters", "compare filters of info hashes instead: which leaves the most lookups for new ones")
    .option(
      "--exponent <percent>",
      "of the torrents' popularity (Zipf)",
      wholeNumber("--exponent", 10, 300),
      100,
    )
    .option("--minutes <n>", "of virtual time, for --filters", wholeNumber("--minutes", 1, 1440), 30)
    .option("--json", "print one JSON object, which `bench report` reads where it is of lookups")
    .addHelpText(
      "after",
      `
The network answers as a million nodes would, as arithmetic over one list of ids; the node that asks is the real one, and so are
the bytes. Time is simulated: 75 ms one way in the median. One seed gives the same figures each time, but for CPU.`,
    )
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  if (flags.answers !== undefined) {
    await answer(flags.answers, flags.json === true);
    return;
  }
  if (flags.filters === true) {
    compareFilters(flags);
    return;
  }
  if (flags.whole !== undefined) {
    await compareWhole(flags.whole, flags);
    return;
  }
  const settings: DhtSettings = {
    nodes: flags.nodes,
    dead: flags.dead / 100,
    torrents: flags.torrents,
    lookups: flags.lookups,
    concurrent: flags.concurrent,
    seed: flags.seed,
    exponent: flags.exponent / 100,
    loss: flags.loss / 100,
    sessionMinutes: flags.session,
    hostile: flags.hostile,
  };
  if (flags.conditions === true) {
    await compareConditions(flags, settings);
    return;
  }
  const startedAt = new Date();
  const rows: DhtRow[] = [];
  const cases = flags.matrix === true ? dhtMatrix(flags.virtualNodes) : dhtCases(flags.virtualNodes);
  if (flags.json !== true) printLine(HEAD);
  for (const [index, test] of cases.entries()) {
    if (flags.json === true) note(`${index + 1} of ${cases.length}: ${test.name}`);
    const row = await runDhtCase(test, settings);
    rows.push(row);
    if (flags.json !== true) printLine(lineOf(row, entryOf(rows, 0)));
  }
  tell(rows, settings, startedAt, flags.json === true);
}

/** As JSON, for the report; else what the paper has of the same, behind the table. */
function tell(rows: readonly DhtRow[], settings: DhtSettings, startedAt: Date, isJson: boolean): void {
  const { nodes, dead, lookups, seed } = settings;
  const found = { nodes, dead, lookups, seed, rows };
  if (isJson) {
    printJson(framedDht(VERSION, startedAt, found));
    return;
  }
  printLine(`\n${"".padEnd(38)}  ${"the paper (Grunthal 2010)".padEnd(40)}  ours`);
  for (const { what, paper, ours } of PAPER_FIGURES)
    printLine(`${what.padEnd(38)}  ${paper.padEnd(40)}  ${ours(found) ?? "not here"}`);
}

const HEAD = [
  `${"".padEnd(31)}  queries  of the  converged  complete   peers  most of a node  uneven     CPU`,
  `${"".padEnd(31)}  a lookup  first          s         s   found  /min  /1000     Gini  ms each`,
].join("\n");

function lineOf(row: DhtRow, first: DhtRow): string {
  return [
    row.name.padEnd(31),
    row.queriesPerLookup.toFixed(1).padStart(9),
    (row.queriesPerLookup / first.queriesPerLookup).toFixed(2).padStart(6),
    row.convergedSeconds.toFixed(2).padStart(10),
    row.completedSeconds.toFixed(2).padStart(9),
    String(row.peers).padStart(7),
    row.queriesMostPerMinute.toFixed(0).padStart(5),
    row.queriesMostPerThousand.toFixed(0).padStart(6),
    row.gini.toFixed(2).padStart(8),
    row.cpuMsPerLookup.toFixed(2).padStart(8),
  ].join(" ");
}

const CONDITIONS_HEAD = [
  `${"".padEnd(32)}  queries  converged   peers  theirs  nobody  to named  most of a`,
  `${"".padEnd(32)}  a lookup         s   found           else  a lookup  victim /s`,
].join("\n");

async function compareConditions({ virtualNodes, json }: Flags, settings: DhtSettings): Promise<void> {
  const startedAt = new Date();
  const rows: DhtRow[] = [];
  if (json !== true) printLine(CONDITIONS_HEAD);
  for await (const row of runDhtConditions(virtualNodes, settings)) {
    rows.push(row);
    if (json !== true) printLine(conditionLineOf(row));
  }
  if (json === true) tell(rows, settings, startedAt, true);
}

function conditionLineOf(row: DhtRow): string {
  return [
    row.name.padEnd(32),
    row.queriesPerLookup.toFixed(1).padStart(9),
    row.convergedSeconds.toFixed(2).padStart(10),
    String(row.peers).padStart(7),
    `${(100 * row.hostileShare).toFixed(1)} %`.padStart(7),
    `${(100 * row.eclipsedShare).toFixed(1)} %`.padStart(7),
    row.toNamedPerLookup.toFixed(1).padStart(9),
    String(row.victimMostPerSecond).padStart(10),
  ].join(" ");
}

/** "sybils:10". Throws what commander prints. */
function hostileOf(text: string): Hostile {
  const [, name, percent] = /^([a-z]+):(\d{1,2})$/.exec(text) ?? [];
  const kind = HOSTILE_KINDS.find((each) => each === name);
  if (kind === undefined || percent === undefined)
    throw new InvalidArgumentError(`${HOSTILE_KINDS.join(", ")}, a colon and per cent: sybils:10`);
  return { kind, share: Number(percent) / 100 };
}

async function answer(seconds: number, json: boolean): Promise<void> {
  const row = await runDhtAnswers(seconds);
  if (json) {
    printJson(row);
    return;
  }
  printLine(
    `${row.cpuMicrosecondsPerAnswer.toFixed(2)} µs of CPU for an answer to get_peers of ${row.bytesPerAnswer.toFixed(0)} bytes: ` +
      `${Math.round(row.answersPerCpuSecond)} a second of one core`,
  );
  printLine(
    `${Math.round(row.answersPerSecond)} a second came in ${row.seconds.toFixed(1)} s; garbage collection ` +
      `${(100 * row.collectionShare).toFixed(1)} % of the CPU; at most ${Math.round(row.peakRssBytes / 2 ** 20)} MiB`,
  );
}

/** Lookups of each network, if nobody says: enough that another seed changes the first decimal. */
const WHOLE_LOOKUPS_MAX = 500;

async function compareWhole(nodes: number, { dead, lookups, concurrent, seed, json }: Flags): Promise<void> {
  const settings = {
    nodes,
    dead: dead / 100,
    lookups: Math.min(WHOLE_LOOKUPS_MAX, lookups),
    concurrent,
    seed,
  };
  const rows = await runDhtWhole(settings);
  if (json === true) {
    printJson({ settings, rows });
    return;
  }
  printLine(`${"".padEnd(24)}  queries  not answered  converged`);
  printLine(`${"".padEnd(24)}  a lookup                       s`);
  for (const row of rows)
    printLine(
      [
        row.name.padEnd(24),
        row.queriesPerLookup.toFixed(1).padStart(10),
        `${(100 * row.silentShare).toFixed(1)} %`.padStart(13),
        row.convergedSeconds.toFixed(2).padStart(10),
      ].join(" "),
    );
}

/** What comes in and what there is time for, each second: the paper's author's own workload in round numbers. */
const INCOMING_PER_SECOND = 2000;
const LOOKUPS_PER_SECOND = 300;

function compareFilters({ torrents, exponent, minutes, seed, json }: Flags): void {
  const settings = {
    torrents,
    exponent: exponent / 100,
    minutes,
    seed,
    incomingPerSecond: INCOMING_PER_SECOND,
    lookupsPerSecond: LOOKUPS_PER_SECOND,
  };
  const rows: FilterRow[] = [];
  if (json !== true) printLine(FILTERS_HEAD);
  for (const row of runDhtFilters(settings)) {
    rows.push(row);
    if (json !== true) printLine(filterLineOf(row, entryOf(rows, 0)));
  }
  if (json === true) printJson({ settings, rows });
}

const FILTERS_HEAD = [
  `${"".padEnd(28)}  new hashes  of the  rarer ones   queue    memory   ns a`,
  `${"".padEnd(28)}      a slot   first      a slot   empty       MiB   hash`,
].join("\n");

function filterLineOf(row: FilterRow, first: FilterRow): string {
  return [
    row.name.padEnd(28),
    `${(100 * row.distinctShare).toFixed(1)} %`.padStart(12),
    (row.distinctShare / first.distinctShare).toFixed(2).padStart(7),
    `${(100 * row.rareShare).toFixed(1)} %`.padStart(11),
    `${(100 * row.emptyShare).toFixed(1)} %`.padStart(8),
    (row.bytes / 2 ** 20).toFixed(2).padStart(9),
    row.nanosecondsPerHash.toFixed(0).padStart(6),
  ].join("");
}
