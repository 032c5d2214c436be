// What there is to reach (issue 3), as data, and how far the results are from it: ratios within each round, their median, and
// met or missed. Where libtorrent has several disks, each figure is compared with the one that is better in it, in that
// round, which is harder than any one of them.

import { present } from "../../src/base/assert.js";
import { firstOf } from "../measuring/ends.js";
import type { LabFigures, LabTrial } from "../measuring/results.js";
import { LIMIT } from "../measuring/scenario.js";
import { compare, median } from "../measuring/statistics.js";
import { type CompareGroup, type CompareResults, DISK, rowName } from "./compare.js";
import { C_LOOP } from "./subjects.js";

type Figure = "bytesPerSecond" | "cpuSecondsPerGB" | "peakRssBytes";

export interface Target {
  /** Targets of "download" are of running processes: the group of that name, or one of which the beginning was skipped. */
  readonly group: CompareGroup;
  readonly peers: readonly number[];
  /** Which of our subjects, by a part of its name. */
  readonly ours: string;
  readonly figure: Figure;
  /** Compared with the better of the subjects whose names begin so; without it the figure itself is. */
  readonly against?: string;
  readonly least?: number;
  readonly most?: number;
}

const MB = 1e6;
const IDLE_BYTES_MOST = 4096;
/** What counts as no CPU: half a percent of one core. */
const IDLE_CPU_SHARE_MOST = 0.005;

export const TARGETS: readonly Target[] = [
  {
    group: "download-running",
    peers: [1],
    ours: "null",
    figure: "cpuSecondsPerGB",
    against: LIMIT,
    most: 1.15,
  },
  {
    group: "download-running",
    peers: [1],
    ours: "null",
    figure: "cpuSecondsPerGB",
    against: "libtorrent",
    most: 0.5,
  },
  {
    group: "download-running",
    peers: [1],
    ours: "null",
    figure: "bytesPerSecond",
    against: "libtorrent",
    least: 1.5,
  },
  {
    group: "download-running",
    peers: [64],
    ours: "null",
    figure: "cpuSecondsPerGB",
    against: LIMIT,
    most: 1.4,
  },
  ...stored("download-stored", "file", 3, 0.4),
  { group: "download-stored", peers: [1, 16], ours: "file", figure: "peakRssBytes", most: 150 * MB },
  ...stored("download-disk", "direct", 2, 0.25),
  {
    group: "download-disk",
    peers: [1, 16],
    ours: "direct",
    figure: "bytesPerSecond",
    against: DISK,
    least: 0.8,
  },
  ...stored("seed", "", 2, 0.4),
  { group: "seed", peers: [1, 4], ours: "", figure: "cpuSecondsPerGB", against: C_LOOP, most: 1.4 },
];

function stored(group: CompareGroup, ours: string, least: number, most: number): Target[] {
  const peers = group === "seed" ? [1, 4] : [1, 16];
  return [
    { group, peers, ours, figure: "bytesPerSecond", against: "libtorrent", least },
    { group, peers, ours, figure: "cpuSecondsPerGB", against: "libtorrent", most },
  ];
}

export interface Reached {
  /** Such as "download, 1 peer: CPU ≤ 0.5 × libtorrent". */
  readonly goal: string;
  /** What was measured, as a figure or as a ratio. */
  readonly value: number;
  /** Extremes of the rounds. */
  readonly low: number;
  readonly high: number;
  readonly unit: "×" | "MB" | "bytes" | "%";
  readonly met: boolean;
  /** True if every round says the same. */
  readonly sure: boolean;
}

/** Targets of which both sides were measured, in the order of the issue. */
export function reached(results: CompareResults): Reached[] {
  const rows = TARGETS.flatMap((target) =>
    target.peers.flatMap((peers) => {
      const row = results.trials.filter(
        (trial) => targetGroup(trial) === target.group && trial.axes["peers"] === peers,
      );
      const found = reachedIn(row, target, peers);
      return found === undefined ? [] : [found];
    }),
  );
  return [...rows, ...reachedIdle(results)];
}

/** A download from the first byte on has no target of its own. */
function targetGroup({ group, axes }: LabTrial): string {
  return group === "download" && Number(axes["skippedBytes"] ?? 0) > 0 ? "download-running" : group;
}

function reachedIn(row: readonly LabTrial[], target: Target, peers: number): Reached | undefined {
  const values: number[] = [];
  const bases: number[] = [];
  const isOurs = (subject: string): boolean =>
    subject.startsWith("scatterwire") && subject.includes(target.ours);
  for (const round of new Set(row.map((trial) => trial.round))) {
    const trials = row.filter((trial) => trial.round === round);
    const own = trials.find(({ subject }) => isOurs(subject));
    const { against } = target;
    const others = trials.filter(({ subject }) => against !== undefined && subject.startsWith(against));
    if (own === undefined || (against !== undefined && others.length === 0)) continue;
    values.push(own.figures[target.figure]);
    bases.push(against === undefined ? 1 : better(others, target.figure));
  }
  if (values.length === 0) return undefined;
  const { ratio, low, high } = compare(values, bases);
  const isMet = (value: number): boolean =>
    target.least !== undefined
      ? value >= target.least
      : value <= present(target.most, "a target has a bound");
  const scale = target.against === undefined ? MB : 1;
  return {
    goal: goalOf(target, peers),
    ...{ value: ratio / scale, low: low / scale, high: high / scale },
    unit: target.against === undefined ? "MB" : "×",
    met: isMet(ratio),
    sure: isMet(low) === isMet(high),
  };
}

function better(trials: readonly LabTrial[], figure: keyof LabFigures & Figure): number {
  const values = trials.map(({ figures }) => figures[figure]);
  return figure === "bytesPerSecond" ? Math.max(...values) : Math.min(...values);
}

function goalOf(target: Target, peers: number): string {
  const what = { bytesPerSecond: "GB/s", cpuSecondsPerGB: "CPU s/GB", peakRssBytes: "peak RSS" }[
    target.figure
  ];
  const sign = target.least === undefined ? "≤" : "≥";
  const bound = target.least ?? present(target.most, "a target has a bound");
  const side = target.against === undefined ? `${bound / MB} MB` : `${bound} × ${target.against}`;
  return `${rowName({ group: target.group, peers })}: ${what} ${sign} ${side}`;
}

function reachedIdle(results: CompareResults): Reached[] {
  const own = results.idle.filter(({ subject }) => subject.startsWith("scatterwire"));
  if (own.length === 0) return [];
  const { peers } = firstOf(own).figures;
  const row = (
    values: number[],
    most: number,
    what: string,
    unit: Reached["unit"],
    scale: number,
  ): Reached => ({
    goal: `${peers} idle peers: ${what}`,
    ...{ value: scale * median(values), low: scale * Math.min(...values), high: scale * Math.max(...values) },
    unit,
    met: median(values) <= most,
    sure: Math.max(...values) <= most || Math.min(...values) > most,
  });
  const memory = own.map(({ figures }) => figures.residentBytesPerPeer);
  const cpu = own.map(({ figures }) => figures.cpuShare);
  return [
    row(memory, IDLE_BYTES_MOST, `memory of each ≤ ${IDLE_BYTES_MOST} bytes`, "bytes", 1),
    row(cpu, IDLE_CPU_SHARE_MOST, `CPU ≤ ${100 * IDLE_CPU_SHARE_MOST} % of a core`, "%", 100),
  ];
}
