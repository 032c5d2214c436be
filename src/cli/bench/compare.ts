// scatterwire bench compare: us beside the BitTorrent programs that are installed, on the same work. The work itself is in
// bench/rivals/.

import { Command } from "commander";
import { benchCompare, COMPARE_GROUPS } from "../../../bench/rivals/compare.js";
import { compareReport } from "../../../bench/rivals/table.js";
import {
  EXIT_INTERRUPTED,
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  printJson,
  printLine,
  wholeNumber,
} from "../output.js";
import { checkPlace } from "../output-file.js";
import { parseSize } from "./arguments.js";
import { LabProgress } from "./lab-progress.js";

interface Flags {
  only?: string[];
  size?: number;
  runs: number;
  skip?: number;
  disk?: string;
  peers?: number[];
  output?: string;
  force?: boolean;
  json?: boolean;
}

const SIZE_DEFAULT = 1024 ** 3;
const RUNS_DEFAULT = 3;

export function compareCommand(): Command {
  return new Command("compare")
    .description("us beside libtorrent, transmission, aria2, rtorrent and others, on the same work")
    .option("--only <list>", "rows and programs, by parts of their names, separated by commas", words)
    .option("--size <bytes>", "size of the torrent; K, M and G are understood (default: 1G)", parseSize)
    .option(
      "--runs <n>",
      "rounds, in each of which every program has its turn",
      wholeNumber("--runs", 1, 100),
      RUNS_DEFAULT,
    )
    .option(
      "--disk <dir>",
      "a folder on a disk: downloads to it are measured as well, until the disk has them",
    )
    .option(
      "--peers <list>",
      "connections of every row (default: 1,16,64 for receiving alone; 1,16; 1,4 for seeding)",
      peers,
    )
    .option(
      "-o, --output <file>",
      "write the results there, for `bench report`; an interrupted run goes on when it is started again",
    )
    .option(
      "--skip <bytes>",
      "begin to measure after so many bytes, for all programs alike: what a running process costs",
      parseSize,
    )
    .option("--force", "replace finished results in that file")
    .option("--json", "print the results as one JSON object")
    .addHelpText(
      "after",
      `
Rows: ${COMPARE_GROUPS.join(", ")}.
CPU is that of the whole process, read from outside in the same way for all, from the first connection to the end of the
work; starting up is not counted for any of them. "download" begins with a process's first byte, as most downloads do;
"download-running" is what the same process costs after 3 GiB. A program that is missing is named, with the package that brings it.

Examples:
  scatterwire bench compare
  scatterwire bench compare --only download,scatterwire,libtorrent --runs 3
  scatterwire bench compare --disk /var/tmp --size 2G -o compare.json`,
    )
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const size = flags.size ?? SIZE_DEFAULT;
  if (flags.skip !== undefined && flags.skip > size / 2)
    throw new ExitError(EXIT_USAGE, `--skip leaves too little of ${size} bytes: take half of them at most`);
  if (flags.output !== undefined) await checkPlace({ path: flags.output, flag: "-o" });
  const progress = new LabProgress(flags.json !== true);
  const { results, complete } = await benchCompare({
    size,
    runs: flags.runs,
    only: flags.only ?? [],
    command: ["scatterwire", ...process.argv.slice(2)].join(" "),
    signal: interruptSignal(),
    ...(flags.peers === undefined ? {} : { peers: flags.peers }),
    ...(flags.skip === undefined ? {} : { skip: flags.skip }),
    ...(flags.disk === undefined ? {} : { disk: flags.disk }),
    ...(flags.output === undefined ? {} : { output: flags.output }),
    ...(flags.force === undefined ? {} : { overwrite: flags.force }),
    onProgress: (at) => progress.update(at),
    onNote: (text) => progress.say(text),
  }).finally(() => progress.stop());
  if (flags.json === true) printJson(results);
  else printLine(compareReport(results, process.stdout.columns));
  if (complete) return;
  const goOn = flags.output === undefined ? "" : "; the same command goes on with it";
  throw new ExitError(EXIT_INTERRUPTED, `stopped after ${results.trials.length} trials${goOn}`);
}

function words(text: string): string[] {
  return text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function peers(text: string): number[] {
  return [...new Set(text.split(",").map(wholeNumber("--peers", 1, 20_000)))];
}
