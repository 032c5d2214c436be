// What the lab's verbs share on the command line: their options, and how their results are told.

import type { Command } from "commander";
import type { LabResults, LabVerb } from "../../../bench/measuring/results.js";
import { runLab, type Workshop } from "../../../bench/measuring/run.js";
import { parseSelection, type Selection } from "../../../bench/measuring/scenario.js";
import { labTables } from "../../../bench/report/run-tables.js";
import { messageOf } from "../../base/errors.js";
import {
  collect,
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

export interface LabFlags {
  size?: number;
  runs?: number;
  full?: boolean;
  only?: string[];
  output?: string;
  force?: boolean;
  verbose?: boolean;
  json?: boolean;
}

/** Options that all verbs of the lab have. */
export function addLabOptions(command: Command, sizeText: string): Command {
  return command
    .option(
      "--size <bytes>",
      `size of the torrent; K, M and G are understood (default: ${sizeText})`,
      parseSize,
    )
    .option(
      "--runs <n>",
      "rounds: each does every piece of work once (default: 3)",
      wholeNumber("--runs", 1, 100),
    )
    .option("--full", "the whole matrix, which takes long, instead of a selection that takes minutes")
    .option("--only <group[:axis=value]...>", "only these; may be given several times", collect)
    .option(
      "-o, --output <file>",
      "write the results there, as JSON; an interrupted run goes on when it is started again",
    )
    .option("--force", "replace finished results in that file")
    .option("--verbose", "all columns, in as many tables as they take")
    .option("--json", "print the results as one JSON object");
}

/** Runs the verb, tells its results, and ends with the status of an interruption if it was stopped. */
export async function runLabVerb(
  verb: LabVerb,
  flags: LabFlags,
  sizeDefault: number,
  makeWorkshop: (size: number, signal: AbortSignal) => Workshop,
): Promise<LabResults> {
  if (flags.output !== undefined) await checkPlace({ path: flags.output, flag: "-o" });
  const signal = interruptSignal();
  const size = flags.size ?? sizeDefault;
  const progress = new LabProgress(flags.json !== true);
  try {
    const { results, complete } = await runLab(
      {
        ...{ verb, size, rounds: flags.runs ?? 3, only: selections(flags.only ?? []), output: flags.output },
        command: `scatterwire ${process.argv.slice(2).join(" ")}`,
        signal,
        overwrite: flags.force,
        onProgress: (at) => progress.update(at),
      },
      makeWorkshop(size, signal),
    );
    progress.stop();
    if (flags.json === true) printJson(results);
    else printLine(labTables(results, { width: process.stdout.columns, verbose: flags.verbose }));
    if (!complete) {
      const goOn = flags.output === undefined ? "" : "; the same command goes on with it";
      throw new ExitError(EXIT_INTERRUPTED, `stopped after ${results.trials.length} trials${goOn}`);
    }
    return results;
  } finally {
    progress.stop();
  }
}

function selections(texts: readonly string[]): Selection[] {
  try {
    return texts.map(parseSelection);
  } catch (error) {
    throw new ExitError(EXIT_USAGE, messageOf(error));
  }
}
