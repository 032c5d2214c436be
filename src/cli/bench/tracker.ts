// scatterwire bench tracker: UDP trackers side by side, as aquatic's bencher compares them.

import { Command } from "commander";
import {
  benchText,
  benchTracker,
  runText,
  TRACKER_SUBJECTS,
  type TrackerBenchOptions,
  type TrackerSubject,
} from "../../../bench/suites/tracker.js";
import { interruptSignal, oneOf, printJson, printLine, wholeNumber } from "../output.js";
import { parseShare, parseWeights } from "./tracker-load.js";

interface Flags {
  only: TrackerSubject[];
  cpus: string;
  loadCpus: string;
  loadWorkers: number;
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
    .description("UDP trackers side by side: ours, an echo as the limit, opentracker")
    .option("--only <list>", `of ${TRACKER_SUBJECTS.join(",")}`, parseSubjects, [...TRACKER_SUBJECTS])
    .option("--cpus <list>", "processors of the tracker", "0")
    .option("--load-cpus <list>", "processors of the load", "1")
    .option("--load-workers <n>", "processes of load", number("load-workers", 1, 64), 1)
    .option("--runs <n>", "rounds, interleaved", number("runs", 1, 100), 3)
    .option("--duration <s>", "of a run", number("duration", 1, 100_000), 20)
    .option("--summarize-last <s>", "of it, what counts", number("summarize-last", 0, 100_000), 10)
    .option("--weights <list>", "connect/announce/scrape, separated by commas", parseList, [
      [0, 100, 1],
      [50, 50, 1],
    ])
    .option("--torrents <n>", "", number("torrents", 1, MANY), 1_000_000)
    .option("--peers <n>", "", number("peers", 1, MANY), 2_000_000)
    .option("--throttle <share>", "as in tracker-load; 0.9 is what aquatic does", parseShare)
    .option("--json", "print one JSON object")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const options: TrackerBenchOptions = {
    subjects: flags.only,
    trackerCpus: flags.cpus,
    loadCpus: flags.loadCpus,
    loadWorkers: flags.loadWorkers,
    rounds: flags.runs,
    durationSeconds: flags.duration,
    summarizeLastSeconds: Math.min(flags.summarizeLast, flags.duration),
    weights: flags.weights,
    torrents: flags.torrents,
    peers: flags.peers,
    ...(flags.throttle === undefined ? {} : { throttle: flags.throttle }),
    signal: interruptSignal(),
  };
  const quiet = flags.json === true;
  const count = options.rounds * options.weights.length * options.subjects.length;
  const minutes = Math.ceil((count * (options.durationSeconds + 7)) / 60);
  if (!quiet)
    printLine(
      `# Benchmark report\n\nTotal number of load test runs: ${count}\nEstimated duration: ${Math.floor(minutes / 60)} hours, ${minutes % 60} minutes\n\n## Tracker cores: 1 (cpus: ${flags.cpus})`,
    );
  const bench = await benchTracker({
    ...options,
    onRun: (one) => quiet || printLine(runText(one, options)),
  });
  if (quiet) printJson({ options: { ...options, signal: undefined }, ...bench });
  else printLine(`\n${benchText(bench)}`);
}

function parseSubjects(text: string): TrackerSubject[] {
  return text.split(",").map(oneOf("--only", TRACKER_SUBJECTS));
}

function parseList(text: string): [number, number, number][] {
  return text.split(",").map(parseWeights);
}
