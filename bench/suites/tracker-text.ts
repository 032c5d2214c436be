// What the bencher prints: the lines of aquatic's, which can be compared with the published ones word by word, and beneath each what they
// leave out; then tables of medians, and what others published.

import { median } from "../measuring/statistics.js";
import { PUBLISHED_RUNS } from "../measuring/tracker-published.js";
import type { TrackerBench, TrackerRun } from "../measuring/tracker-results.js";
import { counted } from "../report/english.js";
import type { TrackerPlan } from "./tracker.js";

const RUN_EXTRA_SECONDS = 7;
const MIB = 2 ** 20;

/** `## ` lines follow, one for each set of cores. */
export function benchHead(runs: number, durationSeconds: number): string {
  const minutes = Math.ceil((runs * (durationSeconds + RUN_EXTRA_SECONDS)) / 60);
  return [
    "# Benchmark report",
    "",
    `Total number of load test runs: ${runs}`,
    `Estimated duration: ${Math.floor(minutes / 60)} hours, ${minutes % 60} minutes`,
    "",
  ].join("\n");
}

function title(
  subject: string,
  keys: string,
  loadWorkers: number,
  loadCpus: string,
  weights: string,
): string {
  return `### ${subject} run (${keys}) (load test workers: ${loadWorkers}, cpus: ${loadCpus}, weights: ${weights})`;
}

/** Of memory others print what is resident when the load ends, and take a KiB for 1000 bytes. */
export function rssAsOthersPrintIt(bytes: number): string {
  return `${digits(((bytes / 1024) * 1000) / MIB)} MiB`;
}

export function runText(run: TrackerRun): string {
  const redis =
    run.redisMicrosPerResponse === undefined
      ? []
      : [
          `- Redis beside it: ${run.redisMicrosPerResponse.toFixed(3)} µs CPU per response, peak ${mib(run.redisPeakRssBytes ?? 0)}`,
        ];
  return [
    title(run.subject, run.keys, run.loadWorkers, run.loadCpus, run.weights),
    `- Average responses per second: ${whole(run.responsesPerSecond)}`,
    `- Average tracker CPU utilization: ${digits(100 * run.cpuLifetime)}%`,
    `- Peak tracker RSS: ${rssAsOthersPrintIt(run.rssBytes)}`,
    `- While measured: CPU ${digits(100 * run.cpu)}%, ${run.cpuMicrosPerResponse.toFixed(3)} µs per response; true peak of memory (VmHWM) ${mib(run.peakRssBytes)}`,
    ...redis,
    `- Error responses per second: ${Math.round(run.errorsPerSecond)}; peers per announce: ${run.peersPerAnnounce.toFixed(1)}`,
  ].join("\n");
}

export function failureText(
  { subject, setting, loadWorkers, loadCpus, weights }: TrackerPlan,
  reason: string,
): string {
  return `${title(subject, setting.keys, loadWorkers, loadCpus, weights.join("/"))}\nRun failed:\n${reason}\n`;
}

/** All rounds of one tracker, set one way. */
interface Line {
  readonly runs: readonly TrackerRun[];
  readonly echo: readonly TrackerRun[];
}

function linesOf(runs: readonly TrackerRun[]): Line[] {
  const keyOf = (run: TrackerRun): string =>
    [run.cores, run.weights, run.loadWorkers, run.subject, run.keys].join("|");
  const groups = new Map<string, TrackerRun[]>();
  for (const run of runs) groups.set(keyOf(run), [...(groups.get(keyOf(run)) ?? []), run]);
  return [...groups.values()].map((group) => ({
    runs: group,
    echo: runs.filter(
      (run) =>
        run.subject === "echo" &&
        run.cores === group[0]?.cores &&
        run.weights === group[0]?.weights &&
        run.loadWorkers === group[0]?.loadWorkers,
    ),
  }));
}

/** Medians of the rounds, and how they stand to the echo's of the same round; then what others published for as many cores. */
export function benchText({ runs, missing, failures }: TrackerBench): string {
  const lines = [
    "| cores | weights | tracker | responses/s | of the echo | CPU | µs CPU per response | of the echo | peak memory |",
    "|---|---|---|---|---|---|---|---|---|",
  ];
  for (const { runs: mine, echo } of linesOf(runs)) {
    const [first] = mine;
    if (first === undefined) continue;
    const middle = (of: (run: TrackerRun) => number): number => median(mine.map(of));
    const ratio = (of: (run: TrackerRun) => number): string => {
      const ratios = mine.flatMap((run) => {
        const beside = echo.find(({ round }) => round === run.round);
        return beside === undefined ? [] : [of(run) / of(beside)];
      });
      return ratios.length === 0 ? "" : median(ratios).toFixed(2);
    };
    const redis =
      first.redisMicrosPerResponse === undefined
        ? ""
        : ` + ${middle((run) => run.redisMicrosPerResponse ?? 0).toFixed(3)} Redis`;
    const cells = [
      String(first.cores),
      first.weights,
      `${first.subject}${first.keys === "" ? "" : ` (${first.keys})`}`,
      whole(middle((run) => run.responsesPerSecond)),
      ratio((run) => run.responsesPerSecond),
      `${(100 * middle((run) => run.cpu)).toFixed(0)} %`,
      `${middle((run) => run.cpuMicrosPerResponse).toFixed(3)}${redis}`,
      ratio((run) => run.cpuMicrosPerResponse),
      mib(middle((run) => run.peakRssBytes)),
    ];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  for (const { subject, keys, cores, reason } of failures)
    lines.push("", `Failed: ${subject} (${keys}) on ${counted(cores, "core")}: ${reason}`);
  if (missing.length > 0) lines.push("", `Not installed: ${missing.join(", ")}`);
  return [...lines, "", publishedText([...new Set(runs.map(({ cores }) => cores))])].join("\n");
}

function publishedText(cores: readonly number[]): string {
  const lines: string[] = [];
  for (const { title: name, source, machine, runs } of PUBLISHED_RUNS) {
    const mine = runs.filter((run) => cores.includes(run.cores));
    if (mine.length === 0) continue;
    lines.push(
      `Published (${name}): not measured here. ${machine}; announces and one scrape in 100. ${source}`,
      "",
      "| cores | tracker | load workers | responses/s | CPU | RSS |",
      "|---|---|---|---|---|---|",
    );
    for (const run of mine)
      lines.push(
        `| ${run.cores} | ${run.subject}${run.keys === "" ? "" : ` (${run.keys})`} | ${run.loadWorkers ?? "best"} | ${whole(run.responsesPerSecond)} | ${run.cpuPercent} % | ${run.rss ?? ""} |`,
      );
    lines.push("");
  }
  return lines.join("\n");
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** As aquatic's bencher prints percentages and sizes: 95.5, 190, 192.5. */
function digits(value: number): string {
  return value < 100 ? String(Number(value.toPrecision(3))) : String(Number(value.toPrecision(4)));
}
