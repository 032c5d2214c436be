// scatterwire bench tracker: UDP trackers side by side, as aquatic's bencher compares them.

import { cpus } from "node:os";
import { Command, Option } from "commander";
import { framed } from "../../../bench/measuring/tracker-results.js";
import { benchTracker, planRuns, type TrackerBenchOptions } from "../../../bench/suites/tracker.js";
import {
  type CoreSet,
  CPU_MODES,
  type CpuMode,
  coreSets,
  cpuModeDefault,
} from "../../../bench/suites/tracker-cores.js";
import {
  missingSubjects,
  PRIORITIES,
  type Priority,
  TRACKER_SUBJECTS,
  type TrackerSubject,
} from "../../../bench/suites/tracker-subjects.js";
import { benchHead, benchText, failureText, runText } from "../../../bench/suites/tracker-text.js";
import { VERSION } from "../../base/version.js";
import {
  EXIT_FAILED,
  EXIT_USAGE,
  ExitError,
  interruptSignal,
  oneOf,
  printJson,
  printLine,
  wholeNumber,
} from "../output.js";
import { parseShare, parseWeights } from "./tracker-load.js";

interface Flags {
  only: TrackerSubject[];
  cpuMode: CpuMode;
  minCores: number;
  maxCores: number;
  minPriority: Priority;
  cpus?: string;
  loadCpus?: string;
  loadWorkers?: number;
  runs: number;
  duration: number;
  summarizeLast: number;
  weights: [number, number, number][];
  torrents: number;
  peers: number;
  throttle?: number;
  json?: boolean;
}

const MANY = 2 ** 30;

export function trackerCommand(): Command {
  const number = (name: string, low: number, high: number) => wholeNumber(`--${name}`, low, high);
  return new Command("tracker")
    .description(
      "UDP trackers side by side: ours, with and without Redis, an echo as the limit, opentracker, the npm package",
    )
    .addOption(
      new Option("--only <list>", `trackers to measure, separated by commas: ${TRACKER_SUBJECTS.join(", ")}`)
        .argParser(parseSubjects)
        .default([...TRACKER_SUBJECTS], "all"),
    )
    .option(
      "--cpu-mode <mode>",
      `how processors become cores: ${CPU_MODES.join(", ")}`,
      oneOf("--cpu-mode", CPU_MODES),
      cpuModeDefault(),
    )
    .option(
      "--min-cores <n>",
      "fewest cores of the tracker; 1, 2, 4, 6, 8, 12 and 16 are tried",
      number("min-cores", 1, 16),
      1,
    )
    .option(
      "--max-cores <n>",
      "most cores of the tracker; at least one is left for the load",
      number("max-cores", 1, 16),
      16,
    )
    .option(
      "--min-priority <p>",
      `settings of trackers and load of at least this priority: ${PRIORITIES.join(", ")}`,
      oneOf("--min-priority", PRIORITIES),
      "medium",
    )
    .option("--cpus <list>", "processors of the tracker, in place of sets of cores; as taskset takes them")
    .option("--load-cpus <list>", "processors of the load, in the same form")
    .option(
      "--load-workers <n>",
      "processes of load (default: 8 and 12, or as many as there are cores left)",
      number("load-workers", 1, 64),
    )
    .option("--runs <n>", "rounds, interleaved", number("runs", 1, 100), 3)
    .option("--duration <s>", "seconds of a run", number("duration", 1, 100_000), 20)
    .option(
      "--summarize-last <s>",
      "seconds at its end that count; 0: all of it",
      number("summarize-last", 0, 100_000),
      10,
    )
    .addOption(
      new Option("--weights <list>", "how often connect/announce/scrape are sent, separated by commas")
        .argParser(parseList)
        .default(
          [
            [0, 100, 1],
            [50, 50, 1],
          ],
          "0/100/1,50/50/1",
        ),
    )
    .option("--torrents <n>", "torrents that the load announces", number("torrents", 1, MANY), 1_000_000)
    .option("--peers <n>", "peers that the load pretends to be", number("peers", 1, MANY), 2_000_000)
    .option("--throttle <share>", "as in bench tracker-load; aquatic has 0.9", parseShare)
    .option("--json", "print one JSON object, which `bench report` reads")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const options = optionsOf(flags);
  const missing = missingSubjects(options.subjects);
  const count = planRuns(options).filter(({ subject }) => !missing.includes(subject)).length;
  const quiet = flags.json === true;
  const say = (text: string): void => {
    if (!quiet) printLine(text);
  };
  const startedAt = new Date();
  say(benchHead(count, options.durationSeconds));
  const found = await benchTracker({
    ...options,
    onSet: ({ cores, cpus: list }) => say(`## Tracker cores: ${cores} (cpus: ${list})`),
    onRun: (one) => say(runText(one)),
    onFailure: (plan, reason) => say(failureText(plan, reason)),
  });
  if (quiet) printJson(framed("tracker", VERSION, startedAt, found));
  else printLine(`\n${benchText(found)}`);
  if (found.runs.length === 0 && options.signal?.aborted !== true)
    throw new ExitError(EXIT_FAILED, "nothing was measured");
}

function optionsOf(flags: Flags): TrackerBenchOptions {
  const sets: CoreSet[] =
    flags.cpus === undefined
      ? coreSets(flags.cpuMode, flags.minCores, flags.maxCores)
      : [{ cores: flags.minCores, cpus: flags.cpus }];
  if (sets.length === 0) {
    const text = `no set of ${flags.minCores} to ${flags.maxCores} cores leaves one for the load on ${cpus().length} processors`;
    throw new ExitError(EXIT_USAGE, `${text}: give --cpus and --load-cpus`);
  }
  return {
    subjects: flags.only,
    coreSets: sets,
    cpuMode: flags.cpuMode,
    loadCpus: flags.loadCpus,
    loadWorkers: flags.loadWorkers,
    minPriority: flags.minPriority,
    rounds: flags.runs,
    durationSeconds: flags.duration,
    summarizeLastSeconds: Math.min(flags.summarizeLast, flags.duration),
    weights: flags.weights,
    torrents: flags.torrents,
    peers: flags.peers,
    throttle: flags.throttle,
    signal: interruptSignal(),
  };
}

function parseSubjects(text: string): TrackerSubject[] {
  return text.split(",").map(oneOf("--only", TRACKER_SUBJECTS));
}

function parseList(text: string): [number, number, number][] {
  return text.split(",").map(parseWeights);
}
