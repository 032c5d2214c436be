// The comparison as text: a table of medians per row with ratios to us, the targets beside what was reached, what was left out,
// and a verdict in plain words.

import { firstOf } from "../measuring/ends.js";
import type { LabTrial } from "../measuring/results.js";
import { compare, median } from "../measuring/statistics.js";
import { conditions } from "../report/axes.js";
import { busyTrials, noteCaveats, smallPayloadCaveats } from "../report/caveats.js";
import { groupsOf } from "../report/cells.js";
import { wrap } from "../report/english.js";
import { compareFindings } from "../report/findings.js";
import { TextTable, WIDTH_DEFAULT } from "../report/text-table.js";
import { type CompareResults, rowName } from "./compare.js";
import { type Reached, reached } from "./targets.js";

export function compareReport(results: CompareResults, width = WIDTH_DEFAULT): string {
  const rows = new Map<string, LabTrial[]>();
  for (const trial of results.trials) {
    const name = rowName({ group: trial.group, peers: Number(trial.axes["peers"]) });
    rows.set(name, [...(rows.get(name) ?? []), trial]);
  }
  const tables = [...rows].map(([name, trials]) => `${name}\n${tableOf(trials, width)}`);
  const reachedRows = reached(results);
  return [
    ...tables,
    ...(tables.length > 0
      ? [
          wrap(
            "× ours: the median of the rounds' own ratios to our cheapest way, so not always the ratio of the medians.",
            width,
          ),
        ]
      : []),
    ...idleTable(results, width),
    ...(reachedRows.length > 0
      ? [`what this project set itself to reach\n${reachedTable(reachedRows, width)}`]
      : []),
    ...omissionLines(results, width),
    wrapLines(verdictOf(results, reachedRows), width),
  ].join("\n\n");
}

function wrapLines(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => wrap(line, width))
    .join("\n");
}

/** Median figures of each program; ratios are medians of the ratios to our best within each round. */
function tableOf(trials: readonly LabTrial[], width: number): string {
  const subjects = [...new Set(trials.map(({ subject }) => subject))];
  const ours = bestOfOurs(trials);
  const table = new TextTable({
    head: ["", "GB/s", "CPU s/GB", "peak MB", "load\nCPU s/GB", "GB/s\n× ours", "CPU\n× ours", "runs"],
    compact: true,
    colAligns: ["left", ...Array<"right">(7).fill("right")],
    width,
  });
  for (const subject of subjects) {
    const own = trials.filter((trial) => trial.subject === subject);
    const figure = (read: (trial: LabTrial) => number): number => median(own.map(read));
    const ratio = (read: (trial: LabTrial) => number): string => {
      if (ours === undefined || subject === ours) return "";
      const pairs = own.flatMap((trial) => {
        const base = trials.find((other) => other.subject === ours && other.round === trial.round);
        return base === undefined ? [] : [[read(trial), read(base)] as const];
      });
      if (pairs.length === 0) return "";
      return compare(
        pairs.map(([value]) => value),
        pairs.map(([, base]) => base),
      ).ratio.toFixed(2);
    };
    const load = own.flatMap(({ figures }) => figures.loadCpuSecondsPerGB ?? []);
    table.push([
      subject,
      figure(({ figures }) => figures.bytesPerSecond / 1e9).toFixed(2),
      figure(({ figures }) => figures.cpuSecondsPerGB).toFixed(3),
      figure(({ figures }) => figures.peakRssBytes / 1e6).toFixed(0),
      load.length === 0 ? "" : median(load).toFixed(3),
      ratio(({ figures }) => figures.bytesPerSecond),
      ratio(({ figures }) => figures.cpuSecondsPerGB),
      own.length,
    ]);
  }
  return table.toString();
}

/** Where we are there in several ways, the one that costs least. */
function bestOfOurs(trials: readonly LabTrial[]): string | undefined {
  const ours = [...new Set(trials.map(({ subject }) => subject))].filter((name) =>
    name.startsWith("scatterwire"),
  );
  const cost = (name: string): number =>
    median(trials.filter(({ subject }) => subject === name).map(({ figures }) => figures.cpuSecondsPerGB));
  return ours.sort((a, b) => cost(a) - cost(b))[0];
}

function idleTable({ idle }: CompareResults, width: number): string[] {
  if (idle.length === 0) return [];
  const table = new TextTable({
    head: ["", "bytes per peer", "CPU, % of a core", "runs"],
    colAligns: ["left", "right", "right", "right"],
    width,
  });
  for (const subject of new Set(idle.map((trial) => trial.subject))) {
    const own = idle.filter((trial) => trial.subject === subject);
    table.push([
      subject,
      median(own.map(({ figures }) => figures.residentBytesPerPeer)).toFixed(0),
      (100 * median(own.map(({ figures }) => figures.cpuShare))).toFixed(2),
      own.length,
    ]);
  }
  return [`${firstOf(idle).figures.peers} idle peers\n${table.toString()}`];
}

function reachedTable(rows: readonly Reached[], width: number): string {
  const table = new TextTable({
    head: ["", "reached", "rounds from … to", ""],
    colAligns: ["left", "right", "right", "left"],
    width,
  });
  for (const { goal, value, low, high, unit, met, sure } of rows) {
    const digits = unit === "×" || unit === "%" ? 2 : 0;
    const text = (number: number): string => number.toFixed(digits);
    table.push([
      goal,
      `${text(value)} ${unit}`,
      `${text(low)} … ${text(high)}`,
      `${met ? "met" : "missed"}${sure ? "" : ", rounds differ"}`,
    ]);
  }
  return table.toString();
}

function omissionLines({ omissions }: CompareResults, width: number): string[] {
  if (omissions.length === 0) return [];
  const lines = omissions.map(({ subject, axes, reason }) => {
    const where = axes === undefined ? "" : ` (${conditions(axes)})`;
    return wrap(`${subject}${where}: ${reason}`, width, "  ");
  });
  return [`not measured\n${lines.join("\n")}`];
}

/** Who is cheapest in each row, in the words of the report, and how many of the project's own targets are met. */
function verdictOf(results: CompareResults, rows: readonly Reached[]): string {
  const groups = groupsOf([{ path: "", results }]);
  const sentences = [
    ...compareFindings(groups),
    ...smallPayloadCaveats(groups),
    ...noteCaveats({ busy: busyTrials([results]) }),
  ];
  const met = rows.filter((row) => row.met).length;
  if (rows.length > 0)
    sentences.push(
      `${met} of the ${rows.length} target${rows.length === 1 ? "" : "s"} that this project set itself ${met === 1 ? "is" : "are"} met on this machine.`,
    );
  return sentences.length === 0 ? "Too little was measured for a verdict." : sentences.join("\n");
}
