// The results of a run for the terminal: a table per group, and under it what it says in plain words. Medians over the rounds,
// how far they wander, and the ratio to the limit of the same round.

import { groupsOf } from "../measuring/groups.js";
import type { Axes, LabFigures, LabResults } from "../measuring/results.js";
import { LIMIT } from "../measuring/scenario.js";
import { type Comparison, compare, median, spread } from "../measuring/statistics.js";
import { TextTable } from "./text-table.js";

interface Row {
  readonly subject: string;
  readonly axes: Axes;
  readonly rounds: ReadonlyMap<number, LabFigures>;
}

interface Column {
  readonly head: string;
  readonly cell: (row: Row, limit: Row | undefined) => string;
}

const COLUMNS: readonly Column[] = [
  { head: "CPU s/GB", cell: (row) => withSpread(row, "cpuSecondsPerGB", 3) },
  { head: "× limit", cell: (row, limit) => ratioText(row, limit, "cpuSecondsPerGB") },
  { head: "user", cell: (row) => medianText(row, "userSecondsPerGB", 3) },
  { head: "sys", cell: (row) => medianText(row, "systemSecondsPerGB", 3) },
  { head: "GB/s", cell: (row) => medianText(row, "bytesPerSecond", 2, 1e9) },
  { head: "calls", cell: (row) => medianText(row, "systemCallsPerBlock", 3) },
  { head: "KiB/call", cell: (row) => medianText(row, "bytesPerSystemCall", 0, 1024) },
  { head: "recv/req", cell: (row) => medianText(row, "receiveCallsPerRequest", 3) },
  { head: "requests/s", cell: (row) => medianText(row, "requestsPerSecond", 0) },
  { head: "copies", cell: (row) => medianText(row, "copiedBytesPerByte", 2) },
  { head: "faults", cell: (row) => medianText(row, "minorFaultsPerBlock", 2) },
  { head: "switches", cell: (row) => medianText(row, "voluntarySwitchesPerBlock", 2) },
  { head: "misses", cell: (row) => medianText(row, "cacheMissesPerBlock", 0) },
  { head: "RSS MB", cell: (row) => medianText(row, "peakRssBytes", 0, 1e6) },
  { head: "load", cell: (row) => medianText(row, "loadCpuSecondsPerGB", 3) },
];

const COST_COLUMNS = ["kernel", "copying", "framing", "hashing", "writing"] as const;

type Figure = Exclude<keyof LabFigures, "costs">;

/** All groups of a file of results. */
export function labTables(results: LabResults): string {
  const { machine, trials, omissions } = results;
  const parts = [
    "Calls, faults, switches and misses are per block of 16 KiB, copies per byte; user, sys and load (the program at the other end) are CPU s/GB.",
    `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}`,
  ];
  for (const group of groupsOf(trials)) {
    const { name, constant, rows } = group;
    // A way says which mode and storage it is of.
    const varying = group.varying.includes("way")
      ? group.varying.filter((axis) => axis !== "mode" && axis !== "storage")
      : group.varying;
    const fixed = Object.entries(constant).map(([axis, value]) => `${axis} ${value}`);
    parts.push("", `${name}${fixed.length === 0 ? "" : `    (${fixed.join(", ")})`}`);
    parts.push(tableOf(rows, varying));
    parts.push(verdictOf(rows, varying));
  }
  if (omissions.length > 0) parts.push("", "Left out:");
  for (const { subject, group, axes, reason } of omissions)
    parts.push(`  ${[group, subject, ...Object.values(axes ?? {})].filter(Boolean).join(" ")}: ${reason}`);
  return parts.join("\n");
}

function tableOf(rows: readonly Row[], varying: readonly string[]): string {
  const shown = COLUMNS.filter(({ cell }) => rows.some((row) => cell(row, limitOf(row, rows)) !== ""));
  const split = rows.some((row) => [...row.rounds.values()].some(({ costs }) => costs !== undefined));
  const table = new TextTable({
    head: ["", ...shown.map(({ head }) => head), ...(split ? COST_COLUMNS : [])],
    colAligns: ["left", ...shown.map(() => "right" as const), ...COST_COLUMNS.map(() => "right" as const)],
    compact: true,
  });
  for (const row of rows) {
    const costs = split ? COST_COLUMNS.map((name) => costText(row, name)) : [];
    table.push([nameOf(row, varying), ...shown.map(({ cell }) => cell(row, limitOf(row, rows))), ...costs]);
  }
  return table.toString();
}

/** A smaller difference than this is no reason to choose, however sure it is. */
const MATERIAL = 0.03;

/** What a person chooses between; other axes are the conditions under which he does. */
const CHOICES = ["way", "mode", "sendMode"];

/** A sentence for each condition: what is cheapest, and whether that is more than noise. The limit does not compete. */
export function verdictOf(rows: readonly Row[], varying: readonly string[]): string {
  // Where runs are compared, their length is the choice, whatever way they go.
  const choice = varying.includes("writeRunBytes")
    ? undefined
    : CHOICES.find((axis) => varying.includes(axis));
  const conditions =
    choice === undefined ? [] : varying.filter((axis) => axis !== choice && axis !== "depth");
  const own = rows.filter((row) => row.subject !== LIMIT);
  const slices = new Map<string, Row[]>();
  for (const row of own) {
    const where = nameOf({ ...row, subject: "" }, conditions);
    slices.set(where, [...(slices.get(where) ?? []), row]);
  }
  const chosen = varying.filter((axis) => !conditions.includes(axis));
  return [...slices]
    .map(([where, slice]) => (where === "" ? "" : `${where}: `) + sliceVerdict(slice, rows, chosen))
    .join("\n");
}

function sliceVerdict(own: readonly Row[], rows: readonly Row[], varying: readonly string[]): string {
  const cost = (row: Row): number => median(valuesOf(row, "cpuSecondsPerGB"));
  const ranked = [...own].sort((left, right) => cost(left) - cost(right));
  const [best] = ranked;
  if (best === undefined) return "Nothing but the limit was measured.";
  const limit = limitOf(best, rows);
  const toLimit = limit === undefined ? undefined : compareRows(best, limit, "cpuSecondsPerGB");
  const beside = toLimit === undefined ? "" : `, ${toLimit.ratio.toFixed(2)} × the limit`;
  const lead = `Cheapest: ${nameOf(best, varying)} with ${cost(best).toFixed(3)} CPU s/GB${beside}.`;
  if (ranked.length === 1) return lead;
  const compared = ranked.slice(1).map((row) => ({ row, to: compareRows(row, best, "cpuSecondsPerGB") }));
  const isDearer = (to: Comparison | undefined): boolean => to?.sure === true && to.ratio >= 1 + MATERIAL;
  const level = compared.filter(({ to }) => !isDearer(to)).map(({ row }) => nameOf(row, varying));
  const dearer = compared
    .filter(({ to }) => isDearer(to))
    .map(({ row, to }) => `${nameOf(row, varying)} ${percentMore(to!)}`);
  const rounds = best.rounds.size;
  const levelText =
    level.length === 0
      ? ""
      : ` Not told apart from it by ${rounds} round${rounds === 1 ? "" : "s"}: ${level.join("; ")}.`;
  return `${lead}${levelText}${dearer.length === 0 ? "" : ` Dearer: ${dearer.join("; ")}.`}`;
}

function percentMore({ ratio, low, high }: Comparison): string {
  return `by ${(100 * (ratio - 1)).toFixed(0)} % (${low.toFixed(2)} to ${high.toFixed(2)} ×)`;
}

/** Round by round; undefined where the two share none. */
export function compareRows(row: Row, base: Row, figure: Figure): Comparison | undefined {
  const shared = [...row.rounds].filter(([round]) => base.rounds.has(round));
  const values = shared.map(([, figures]) => figures[figure]);
  const bases = shared.map(([round]) => base.rounds.get(round)![figure]);
  if (shared.length === 0 || values.includes(undefined) || bases.includes(undefined)) return undefined;
  return compare(values as number[], bases as number[]);
}

/** The limit that did the same: the one that agrees on every axis that both have. */
function limitOf(row: Row, rows: readonly Row[]): Row | undefined {
  if (row.subject === LIMIT) return undefined;
  return rows.find(
    (other) =>
      other.subject === LIMIT &&
      Object.entries(other.axes).every(
        ([axis, value]) => row.axes[axis] === undefined || row.axes[axis] === value,
      ),
  );
}

function nameOf({ subject, axes }: Row, varying: readonly string[]): string {
  const values = varying
    .filter((axis) => axes[axis] !== undefined)
    .map((axis) => valueText(axis, axes[axis]!));
  return subject === LIMIT ? ["the limit", ...values].join(", ") : values.join(", ") || subject;
}

/** Axes whose values say by themselves what they are of. */
const NAMED_BY_VALUE: readonly string[] = ["mode", "storage", "sendMode", "way", "where", "file"];

function valueText(axis: string, value: string | number | boolean): string {
  if (NAMED_BY_VALUE.includes(axis)) return String(value);
  if (typeof value === "number" && axis.endsWith("Bytes"))
    return `${axis.slice(0, -5)} ${value === 0 ? "auto" : sizeText(value)}`;
  return `${axis} ${typeof value === "boolean" ? (value ? "yes" : "no") : value}`;
}

function sizeText(bytes: number): string {
  return bytes >= 1024 * 1024 ? `${bytes / (1024 * 1024)} MiB` : `${bytes / 1024} KiB`;
}

function valuesOf(row: Row, figure: Figure): number[] {
  return [...row.rounds.values()].map((each) => each[figure]).filter((value) => value !== undefined);
}

function medianText(row: Row, figure: Figure, digits: number, unit = 1, suffix = ""): string {
  const values = valuesOf(row, figure);
  return values.length === 0 ? "" : `${(median(values) / unit).toFixed(digits)}${suffix}`;
}

function withSpread(row: Row, figure: Figure, digits: number): string {
  const values = valuesOf(row, figure);
  if (values.length === 0) return "";
  const wander = values.length > 1 ? ` ±${(100 * spread(values)).toFixed(0)}%` : "";
  return `${median(values).toFixed(digits)}${wander}`;
}

function ratioText(row: Row, limit: Row | undefined, figure: Figure): string {
  const comparison = limit === undefined ? undefined : compareRows(row, limit, figure);
  return comparison === undefined ? "" : comparison.ratio.toFixed(2);
}

function costText(row: Row, name: (typeof COST_COLUMNS)[number]): string {
  const values = [...row.rounds.values()]
    .map(({ costs }) => costs?.[name])
    .filter((value) => value !== undefined);
  return values.length === 0 ? "" : median(values).toFixed(3);
}
