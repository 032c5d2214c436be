// The results of a run for the terminal: a table per group, and below all of them what they say in plain words. Medians over
// the rounds, how far they wander, and the ratio to the limit of the same round.
//
// Always: a line has no more columns than the terminal: what does not fit comes in a second table, or, unless all was asked
// for, is left out and named.

import { COST_NAMES, type LabResults } from "../measuring/results.js";
import { conditions } from "./axes.js";
import { busyTrials, noteCaveats, smallPayloadCaveats } from "./caveats.js";
import {
  type Cell,
  cellName,
  compareCells,
  type FigureName,
  type Group,
  groupsOf,
  LIMIT,
  limitOf,
  measure,
  measureFigure,
} from "./cells.js";
import { wrap } from "./english.js";
import { compareCellsByName, groupVerdict } from "./group-verdict.js";
import { machineName } from "./read.js";
import { asksStorageQuestion, storageAnswer } from "./storage-answer.js";
import { TextTable, WIDTH_DEFAULT } from "./text-table.js";

interface Column {
  readonly head: string;
  readonly cell: (cell: Cell, group: Group) => string;
}

/** In the order of what matters: the first that fit are shown. */
const COLUMNS: readonly Column[] = [
  { head: "CPU s/GB", cell: (cell) => withSpread(cell, "cpuSecondsPerGB", 3) },
  { head: "× limit", cell: limitText },
  { head: "first", cell: (cell) => medianText(cell, "firstCpuSecondsPerGB", 3) },
  { head: "GB/s", cell: (cell) => medianText(cell, "bytesPerSecond", 2, 1e9) },
  { head: "of link", cell: (cell) => medianText(cell, "linkShare", 2) },
  { head: "calls", cell: (cell) => medianText(cell, "systemCallsPerBlock", 3) },
  { head: "copies", cell: (cell) => medianText(cell, "copiedBytesPerByte", 2) },
  { head: "RSS MB", cell: (cell) => medianText(cell, "peakRssBytes", 0, 1e6) },
  { head: "recv/req", cell: (cell) => medianText(cell, "receiveCallsPerRequest", 3) },
  { head: "requests/s", cell: (cell) => medianText(cell, "requestsPerSecond", 0) },
  { head: "user", cell: (cell) => medianText(cell, "userSecondsPerGB", 3) },
  { head: "sys", cell: (cell) => medianText(cell, "systemSecondsPerGB", 3) },
  { head: "KiB/call", cell: (cell) => medianText(cell, "bytesPerSystemCall", 0, 1024) },
  { head: "hits", cell: (cell) => medianText(cell, "predictionHits", 0) },
  { head: "guesses missed", cell: (cell) => medianText(cell, "predictionMisses", 0) },
  { head: "faults", cell: (cell) => medianText(cell, "minorFaultsPerBlock", 2) },
  { head: "switches", cell: (cell) => medianText(cell, "voluntarySwitchesPerBlock", 2) },
  { head: "cache misses", cell: (cell) => medianText(cell, "cacheMissesPerBlock", 0) },
  { head: "load", cell: (cell) => medianText(cell, "loadCpuSecondsPerGB", 3) },
  ...COST_NAMES.map((name) => ({
    head: name,
    cell: (cell: Cell) => {
      const measured = measure(cell, ({ costs }) => costs?.[name]);
      return measured === undefined ? "" : measured.median.toFixed(3);
    },
  })),
];

const WIDTH_MIN = 60;

export interface TableOptions {
  readonly width?: number | undefined;
  /** All columns, in as many tables as it takes. */
  readonly verbose?: boolean | undefined;
}

/** All groups of a file of results, and what they say. */
export function labTables(results: LabResults, options: TableOptions = {}): string {
  const { machine, omissions } = results;
  const groups = groupsOf([{ path: "", results }]);
  const width = widthOf(options);
  const parts: string[] = [`${machineName(machine)}, ${machine.system}, Node ${machine.node}`];
  parts.push("", ...groupTables(groups, options));
  const say = (text: string): string => wrap(text, width, /^ */.exec(text)?.[0] ?? "");
  if (omissions.length > 0) parts.push("", "Not measured:");
  for (const { subject, group, axes, reason } of omissions) {
    const what = [group, subject, axes === undefined ? "" : conditions(axes)].filter((text) => text);
    parts.push(say(`  ${what.join(", ")}: ${reason}`));
  }
  parts.push(
    "",
    ...[
      ...groups.filter((group) => !asksStorageQuestion(group)).flatMap(groupVerdict),
      ...storageAnswer(groups),
      ...warnings(groups, results),
    ].map(say),
  );
  return parts.join("\n");
}

/** A table of each group, or several where one would be too wide, and below them what their columns mean. */
export function groupTables(groups: readonly Group[], options: TableOptions): string[] {
  const width = widthOf(options);
  const parts: string[] = [];
  const hidden = new Set<string>();
  for (const group of groups) {
    const { tables, leftOut } = tablesOf(group, width, options.verbose === true);
    parts.push(wrap(groupTitle(group), width, "", "    ").trimStart(), ...tables, "");
    for (const head of leftOut) hidden.add(head);
  }
  parts.push(...legend(groups).map((text) => wrap(text, width)));
  if (hidden.size > 0)
    parts.push(wrap(`Left out, for want of room: ${[...hidden].join(", ")} (--verbose).`, width));
  return parts;
}

export function widthOf({ width = WIDTH_DEFAULT }: TableOptions): number {
  return Math.max(WIDTH_MIN, width);
}

/** What to keep in mind before believing it: too few bytes, a busy machine. */
function warnings(groups: readonly Group[], results: LabResults): string[] {
  return [...smallPayloadCaveats(groups), ...noteCaveats({ busy: busyTrials([results]) })];
}

function groupTitle({ name, constant }: Group): string {
  const fixed = conditions(constant);
  return `${name}${fixed === "" ? "" : ` (${fixed})`}`;
}

/** What the columns that were shown mean, and why two ways of dividing differ. */
function legend(groups: readonly Group[]): string[] {
  const limited = groups.filter((group) =>
    group.cells.some((cell) => cell.subject !== LIMIT && limitText(cell, group) !== ""),
  );
  const withFirst = groups.some(({ cells }) =>
    cells.some((cell) => measureFigure(cell, "firstCpuSecondsPerGB") !== undefined),
  );
  return [
    "Medians of the rounds. Calls, faults, switches and cache misses are per block of 16 KiB, copies per byte; user, sys and load (the program at the other end) are CPU s/GB.",
    ...(withFirst
      ? ["first is the CPU s/GB of the first download of the same process, while V8 compiles."]
      : []),
    ...(limited.length > 0
      ? [
          "× limit is the median of the rounds' own ratios, figures that ran side by side being divided, and so not always the ratio of the medians.",
        ]
      : []),
    ...(limited.some(({ verb }) => verb === "seed")
      ? ["The limit of seeding is a plain loop that sends from a mapping."]
      : []),
    ...(limited.some(({ verb }) => verb !== "seed")
      ? [
          "The limit of receiving receives and ignores; what is hashed or stored has no such limit, and no ratio.",
        ]
      : []),
  ];
}

function tablesOf(
  group: Group,
  width: number,
  verbose: boolean,
): { tables: string[]; leftOut: readonly string[] } {
  const cells = [...group.cells].sort((left, right) => compareCellsByName(left, right, group));
  const shown = COLUMNS.map(({ head, cell }) => ({
    head,
    texts: cells.map((each) => cell(each, group)),
  })).filter(({ texts }) => texts.some((text) => text !== ""));
  const names = cells.map((cell) => foldName(cellName(cell, group), width));
  const widest = (texts: readonly string[]): number =>
    Math.max(...texts.flatMap((text) => text.split("\n").map((line) => line.length)));
  const nameWidth = widest(names) + 4;
  const pages: (typeof shown)[] = [];
  let page: typeof shown = [];
  let used = nameWidth;
  for (const column of shown) {
    const needed = widest([column.head, ...column.texts]) + 3;
    if (page.length > 0 && used + needed > width) {
      pages.push(page);
      page = [];
      used = nameWidth;
    }
    page.push(column);
    used += needed;
  }
  pages.push(page);
  const drawn = verbose ? pages : pages.slice(0, 1);
  const leftOut = pages.slice(drawn.length).flatMap((columns) => columns.map(({ head }) => head));
  const tables = drawn.map((columns) => {
    const table = new TextTable({
      head: ["", ...columns.map(({ head }) => head)],
      colAligns: ["left", ...columns.map(() => "right" as const)],
      compact: true,
      width,
    });
    names.forEach((name, row) => {
      table.push([name, ...columns.map(({ texts }) => texts[row] ?? "")]);
    });
    return table.toString();
  });
  return { tables, leftOut };
}

/** Names may take half of a line, and go on below. */
function foldName(name: string, width: number): string {
  return wrap(name, Math.floor(width / 2));
}

function medianText(cell: Cell, figure: FigureName, digits: number, unit = 1): string {
  const measured = measureFigure(cell, figure);
  return measured === undefined ? "" : (measured.median / unit).toFixed(digits);
}

function withSpread(cell: Cell, figure: FigureName, digits: number): string {
  const measured = measureFigure(cell, figure);
  if (measured === undefined) return "";
  const { median, low, high, rounds } = measured;
  const wander = rounds > 1 && median > 0 ? ` ±${((100 * (high - low)) / 2 / median).toFixed(0)}%` : "";
  return `${median.toFixed(digits)}${wander}`;
}

function limitText(cell: Cell, group: Group): string {
  const limit = limitOf(cell, group);
  const comparison = limit === undefined ? undefined : compareCells(cell, limit, "cpuSecondsPerGB");
  return comparison === undefined ? "" : comparison.ratio.toFixed(2);
}
