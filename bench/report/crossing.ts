// Where system calls and copying cost the same. As one system call brings more bytes, a mode that copies gets cheaper, because
// the calls get rarer and the copy stays; a mode that makes two calls per block stays where it is. If the lines cross, they
// do so at a number of bytes per call that is this machine's own.
//
// A line is drawn through the medians; whether lines cross is decided round by round.

import { entryOf, firstOf, lastOf, there } from "../measuring/ends.js";
import type { LabFigures } from "../measuring/results.js";
import { median } from "../measuring/statistics.js";
import { binaryBytes, conditions } from "./axes.js";
import { type Cell, type Group, LIMIT, limitOf, measureFigure, OURS } from "./cells.js";

export interface CrossingPoint {
  readonly cell: Cell;
  readonly bytesPerCall: number;
  readonly cost: number;
  readonly low: number;
  readonly high: number;
}

export interface CrossingSeries {
  readonly mode: string;
  /** By bytes per call. */
  readonly points: readonly CrossingPoint[];
}

export interface CrossingData {
  readonly series: readonly CrossingSeries[];
  /** What all points have in common. */
  readonly where: string;
  readonly sentences: readonly string[];
  /** Costs that do not depend on the bytes per call: a mode with one point, and the limit. */
  readonly levels: readonly { readonly name: string; readonly cost: number }[];
  /** Where lines surely cross: for marks in the plot. */
  readonly crossings: readonly { readonly bytesPerCall: number; readonly cost: number }[];
}

/** These may differ among the points: they are what makes a system call bring more bytes or fewer. */
const FREE_AXES = ["mode", "depth", "contiguousBufferBytes"];

/** A mode whose bytes per call change by less than this has one cost, not a line. */
const LEVEL_SPAN = 1.5;
/** Points that are less than this part from each other lie at one place. */
const SAME_PLACE = 0.05;

/** Undefined where no trials vary the bytes per call with all else equal. */
export function crossingData(groups: readonly Group[]): CrossingData | undefined {
  const families = new Map<string, Map<string, Cell>>();
  const receiving = groups.filter((group) => group.verb === "receive");
  for (const cell of receiving.flatMap((group) => group.cells)) {
    const mode = cell.axes["mode"];
    if (cell.subject !== OURS || typeof mode !== "string") continue;
    if (measureFigure(cell, "bytesPerSystemCall") === undefined) continue;
    const shared = Object.entries(cell.axes).filter(([axis]) => !FREE_AXES.includes(axis));
    const key = JSON.stringify(shared.sort());
    const family = families.get(key) ?? new Map<string, Cell>();
    families.set(key, family);
    // The same work in another group of the matrix is the same point.
    const point = JSON.stringify(FREE_AXES.map((axis) => cell.axes[axis]));
    if (!family.has(point)) family.set(point, cell);
  }
  const largest = [...families.values()].sort((left, right) => right.size - left.size)[0];
  const cells = [...(largest?.values() ?? [])];
  const series = seriesOf(cells);
  if (!series.some(({ points }) => points.length > 2)) return undefined;
  const verdicts = pairsToCompare(series).map(([left, right]) => compareLines(left, right));
  return {
    series,
    levels: levelsOf(series, cells, receiving),
    where: conditions(firstOf(cells).axes, FREE_AXES),
    sentences: verdicts.map(({ sentence }) => sentence),
    crossings: verdicts.flatMap(({ at }) => (at === undefined ? [] : [at])),
  };
}

function seriesOf(cells: readonly Cell[]): CrossingSeries[] {
  const modes = new Map<string, CrossingPoint[]>();
  for (const cell of cells) {
    const mode = String(cell.axes["mode"]);
    modes.set(mode, [...(modes.get(mode) ?? []), pointOf(cell)]);
  }
  return [...modes].map(([mode, points]) => ({
    mode,
    points: withoutRepetitions(points).sort((left, right) => left.bytesPerCall - right.bytesPerCall),
  }));
}

/** The defaults are measured in several groups: of points at one place, that of the group with most points stays. */
function withoutRepetitions(points: readonly CrossingPoint[]): CrossingPoint[] {
  const size = (point: CrossingPoint): number =>
    points.filter(({ cell }) => cell.group === point.cell.group).length;
  const isRepeated = (point: CrossingPoint): boolean =>
    points.some(
      (other) =>
        other.cell.group !== point.cell.group &&
        Math.abs(Math.log(other.bytesPerCall / point.bytesPerCall)) < SAME_PLACE &&
        size(other) > size(point),
    );
  return points.filter((point) => !isRepeated(point));
}

function pointOf(cell: Cell): CrossingPoint {
  const cost = measureFigure(cell, "cpuSecondsPerGB");
  const bytesPerCall = there(measureFigure(cell, "bytesPerSystemCall")).median;
  return { cell, bytesPerCall, cost: cost.median, low: cost.low, high: cost.high };
}

function levelsOf(
  series: readonly CrossingSeries[],
  cells: readonly Cell[],
  groups: readonly Group[],
): { name: string; cost: number }[] {
  const limits = new Set<Cell>();
  for (const group of groups) {
    for (const cell of group.cells) {
      const limit = cells.includes(cell) ? limitOf(cell, group) : undefined;
      if (limit !== undefined) limits.add(limit);
    }
  }
  const costs = [...limits].map((limit) => measureFigure(limit, "cpuSecondsPerGB").median);
  return [
    ...series
      .filter(({ points }) => spans(points) < LEVEL_SPAN)
      .map(({ mode, points }) => ({ name: mode, cost: median(points.map(({ cost }) => cost)) })),
    ...(costs.length === 0 ? [] : [{ name: LIMIT, cost: median(costs) }]),
  ];
}

/** The mode that copies beside each that does not. */
function pairsToCompare(series: readonly CrossingSeries[]): [CrossingSeries, CrossingSeries][] {
  const copying = series.find(({ mode }) => mode === "contiguous");
  if (copying === undefined || copying.points.length < 2) return [];
  return series
    .filter(({ mode }) => mode === "scatter" || mode === "speculative")
    .map((other) => [copying, other]);
}

interface LineVerdict {
  readonly sentence: string;
  readonly at?: { readonly bytesPerCall: number; readonly cost: number };
}

type Line = readonly (readonly [bytesPerCall: number, cost: number])[];

/** `other` may be a single point: then its cost is a level, since nothing changes its bytes per call. */
function compareLines(copying: CrossingSeries, other: CrossingSeries): LineVerdict {
  const level = spans(other.points) < LEVEL_SPAN;
  const name = other.mode;
  const from = Math.max(firstOf(copying.points).bytesPerCall, level ? 0 : firstOf(other.points).bytesPerCall);
  const to = Math.min(
    lastOf(copying.points).bytesPerCall,
    level ? Infinity : lastOf(other.points).bytesPerCall,
  );
  if (from >= to) return { sentence: `No bytes per call were measured for both contiguous and ${name}.` };
  const rounds = sharedRounds([...copying.points, ...other.points]);
  if (rounds.length === 0)
    return {
      sentence: `Contiguous and ${name} were never measured in the same round: whether they cross cannot be told.`,
    };
  const found = rounds.map((round) =>
    crossingsBetween(lineOf(copying.points, round), lineOf(other.points, round), from, to, level),
  );
  const range = `between ${binaryBytes(from)} and ${binaryBytes(to)} per call`;
  const always = found.every(({ at }) => at.length === 0);
  const sameSign = new Set(found.map(({ startsAbove }) => startsAbove)).size === 1;
  if (always && sameSign) {
    const dearer = firstOf(found).startsAbove ? "contiguous" : name;
    const cheaper = firstOf(found).startsAbove ? name : "contiguous";
    const sure =
      rounds.length >= 3
        ? "in every round"
        : `in ${rounds.length === 1 ? "the one round" : "both rounds"}, which proves little`;
    return {
      sentence: `Contiguous and ${name} do not cross on this machine: ${range}, ${dearer} costs more than ${cheaper} ${sure}.`,
    };
  }
  const times = found[0]?.at.length ?? 0;
  const agree = sameSign && found.every(({ at }) => at.length === times);
  if (agree && rounds.length < 3)
    return {
      sentence: `Contiguous and ${name} cross ${range}, but ${rounds.length === 1 ? "one round proves" : "two rounds prove"} little: measure more.`,
    };
  if (agree && times > 1)
    return {
      sentence: `Contiguous and ${name} cross ${times} times ${range}: neither is the cheaper throughout.`,
    };
  if (agree) {
    const places = found.map(({ at }) => firstOf(at));
    const bytesPerCall = median(places);
    const cheaper = firstOf(found).startsAbove ? "contiguous" : name;
    const cost = costAt(
      copying.points.map((point) => [point.bytesPerCall, point.cost] as const),
      bytesPerCall,
    );
    return {
      sentence: `Contiguous and ${name} cross at ${binaryBytes(Math.round(bytesPerCall))} per call (${binaryBytes(Math.round(Math.min(...places)))} to ${binaryBytes(Math.round(Math.max(...places)))} over the rounds): with more bytes per call, ${cheaper} is the cheaper.`,
      at: { bytesPerCall, cost },
    };
  }
  return { sentence: `Whether contiguous and ${name} cross cannot be told: the rounds disagree ${range}.` };
}

function spans(points: readonly CrossingPoint[]): number {
  return lastOf(points).bytesPerCall / firstOf(points).bytesPerCall;
}

function sharedRounds(points: readonly CrossingPoint[]): string[] {
  return [...firstOf(points).cell.rounds.keys()].filter((round) =>
    points.every((point) => point.cell.rounds.has(round)),
  );
}

/** Costs of one round over the medians of the bytes per call: only the costs are noisy. */
function lineOf(points: readonly CrossingPoint[], round: string): Line {
  const cost = (figures: LabFigures | undefined): number => figures?.cpuSecondsPerGB ?? Number.NaN;
  return points.map(({ bytesPerCall, cell }) => [bytesPerCall, cost(cell.rounds.get(round))] as const);
}

/** The line's height at `x`, straight between points over the logarithm of x; level beyond its ends. */
function costAt(line: Line, x: number): number {
  if (x <= firstOf(line)[0]) return firstOf(line)[1];
  for (let index = 1; index < line.length; index++) {
    const [right, end] = entryOf(line, index);
    const [left, start] = entryOf(line, index - 1);
    if (x > right || right === left) continue;
    const part = Math.log(x / left) / Math.log(right / left);
    return start + part * (end - start);
  }
  return lastOf(line)[1];
}

function crossingsBetween(
  copying: Line,
  other: Line,
  from: number,
  to: number,
  level: boolean,
): { at: number[]; startsAbove: boolean } {
  const flat = median(other.map(([, cost]) => cost));
  const difference = (x: number): number => costAt(copying, x) - (level ? flat : costAt(other, x));
  const inside = [...copying, ...other].map(([x]) => x).filter((x) => x > from && x < to);
  const places = [...new Set([from, ...inside, to])].sort((left, right) => left - right);
  const at: number[] = [];
  for (let index = 1; index < places.length; index++) {
    const left = entryOf(places, index - 1);
    const right = entryOf(places, index);
    const before = difference(left);
    const after = difference(right);
    if (before > 0 === after > 0) continue;
    // Straight over the logarithm between neighbouring places, so the crossing is where the difference is none.
    at.push(left * (right / left) ** (before / (before - after)));
  }
  return { at, startsAbove: difference(from) > 0 };
}
