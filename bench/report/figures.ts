// Which plots a group of trials gets. A group that varies a number over three values or more is drawn as lines over that
// number; any other as bars, split into their costs where the trials have them. What would be too much for one plot is
// drawn as several, one per value of an axis. Nothing here knows a group by name, so that new ones need nothing new.

import { present } from "../../src/base/assert.js";
import { entryOf, firstOf, lastOf, namedIn } from "../measuring/ends.js";
import { COST_NAMES } from "../measuring/results.js";
import {
  type AxisValue,
  axisPhrase,
  axisTick,
  axisTitle,
  binaryBytes,
  isByteAxis,
  isNamedFor,
} from "./axes.js";
import type { Bar, BarsOptions } from "./bars.js";
import {
  type Cell,
  cellName,
  compareCells,
  type Group,
  isOurs,
  isReference,
  LIMIT,
  limitOf,
  type Measured,
  measure,
  measureFigure,
  OURS,
  ownBest,
  type RequiredFigure,
  valuesOf,
} from "./cells.js";
import { LIMIT_COLOUR, type Look, looksFor, OTHER_COLOUR, OUR_COLOUR } from "./colours.js";
import type { CrossingData } from "./crossing.js";
import { capital, groupWords, list } from "./english.js";
import type { LinePoint, LineSeries, LinesOptions } from "./lines.js";
import { cpuText, speedText, spreadText } from "./words.js";

export type Plan =
  | { readonly kind: "bars"; readonly options: BarsOptions }
  | { readonly kind: "lines"; readonly options: LinesOptions };

const SERIES_MAX = 6;
const BARS_MAX = 10;
const LIMIT_LOOK: Look = { colour: LIMIT_COLOUR, symbol: "circle" };

interface Shown {
  readonly figure: RequiredFigure;
  readonly title: string;
  readonly unit: string;
  readonly scale: (value: number) => number;
  readonly text: (value: number) => string;
}

const CPU: Shown = {
  figure: "cpuSecondsPerGB",
  title: "CPU",
  unit: "CPU s/GB",
  scale: (value) => value,
  text: cpuText,
};
const SPEED: Shown = {
  figure: "bytesPerSecond",
  title: "Speed",
  unit: "GB/s",
  scale: (value) => value / 1e9,
  text: speedText,
};

export function plansOf(group: Group): Plan[] {
  if (group.verb === "compare") return comparePlans(group);
  const number = numberAxis(group);
  const shown = group.verb === "receive" ? [CPU] : [CPU, SPEED];
  if (number === undefined) return group.verb === "receive" ? barPlans(group) : withSpeed(group);
  const cells = group.cells.filter((cell) => cell.subject !== LIMIT && cell.axes[number] !== undefined);
  const rest = group.varying.filter((axis) => axis !== number);
  return shown.flatMap((one) =>
    partsOf(cells, rest, (part) => seriesCount(part, group, number) <= SERIES_MAX).flatMap(
      ({ cells: part, fixed }) => {
        const plan = linesPlan(group, part, number, fixed, one);
        return plan === undefined ? [] : [plan];
      },
    ),
  );
}

/** The axis that the group is named for, or the one with most values. */
function numberAxis(group: Group): string | undefined {
  const candidates = group.varying.filter((axis) => {
    const values = valuesOf(group.cells, axis);
    return values.length >= 3 && values.every((value) => typeof value === "number" && value > 0);
  });
  const named = candidates.find((axis) => isNamedFor(group.name, axis));
  return (
    named ??
    candidates.sort(
      (left, right) => valuesOf(group.cells, right).length - valuesOf(group.cells, left).length,
    )[0]
  );
}

function seriesCount(cells: readonly Cell[], group: Group, number: string): number {
  return new Set(cells.map((cell) => cellName(cell, group, [number]))).size;
}

interface Part {
  readonly cells: readonly Cell[];
  /** The axes that were taken out of it, in words: "not hashed, memory". */
  readonly fixed: readonly string[];
}

/** The cells in parts that each fit, split by one axis after the other, the one with the fewest values first. */
function partsOf(
  cells: readonly Cell[],
  axes: readonly string[],
  fits: (part: readonly Cell[]) => boolean,
  fixed: readonly string[] = [],
): Part[] {
  const split = axes
    .filter((axis) => valuesOf(cells, axis).length > 1)
    .sort((left, right) => valuesOf(cells, left).length - valuesOf(cells, right).length)[0];
  if (fits(cells) || split === undefined) return [{ cells, fixed }];
  const rest = axes.filter((axis) => axis !== split);
  return valuesOf(cells, split).flatMap((value) =>
    partsOf(
      cells.filter((cell) => cell.axes[split] === value),
      rest,
      fits,
      [...fixed, axisPhrase(split, value)],
    ),
  );
}

function linesPlan(
  group: Group,
  cells: readonly Cell[],
  axis: string,
  fixed: readonly string[],
  shown: Shown,
): Plan | undefined {
  const alone = group.varying.filter((name) => name !== axis && valuesOf(cells, name).length === 1);
  const named = new Map<string, Cell[]>();
  for (const cell of cells) {
    const told = cellName(cell, group, [axis, ...alone]);
    // Where nothing else varies, the mode says more than our name.
    const name = told === OURS ? String(group.constant["mode"] ?? group.constant["sendMode"] ?? OURS) : told;
    named.set(name, [...(named.get(name) ?? []), cell]);
  }
  const looks = looksFor([...named.keys()]);
  const series: LineSeries[] = [...named].map(([name, members]) => ({
    name,
    look: present(looks.get(name), "each line has its look"),
    points: pointsOf(members, axis, shown),
  }));
  const limits = [
    ...new Set(cells.map((cell) => limitOf(cell, group)).filter((limit) => limit !== undefined)),
  ];
  const moving = limits.filter((limit) => limit.axes[axis] !== undefined);
  const levels = limits
    .filter((limit) => limit.axes[axis] === undefined || moving.length === 1)
    .slice(0, 1)
    .map((limit) => ({ y: shown.scale(measureFigure(limit, shown.figure).median), label: "the limit" }));
  if (moving.length > 1) {
    series.push({
      name: "the limit",
      look: LIMIT_LOOK,
      dashed: true,
      points: pointsOf(moving, axis, shown),
    });
  }
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return undefined;
  const ticks = [...new Set(drawn.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const where = fixed.length === 0 ? "" : `, ${fixed.join(", ")}`;
  return {
    kind: "lines",
    options: {
      title: `${shown.title} over ${axisTitle(axis)}${where}`,
      description: describeSeries(drawn, axis, shown),
      xLabel: axisTitle(axis),
      yLabel: shown.unit,
      series: drawn,
      levels,
      ticks,
      tickFormat: (value) => axisTick(axis, value),
      logarithmic: isByteAxis(axis) || lastOf(ticks) / firstOf(ticks) >= 8,
    },
  };
}

function pointsOf(cells: readonly Cell[], axis: string, shown: Shown): LinePoint[] {
  return cells
    .flatMap((cell) => {
      const measured = measureFigure(cell, shown.figure);
      const x = cell.axes[axis];
      if (measured === undefined || typeof x !== "number") return [];
      const about = `${axisPhrase(axis, x)}: ${shown.text(measured.median)}, ${spreadText(measured)}`;
      return [{ x, ...scaled(measured, shown), about }];
    })
    .sort((left, right) => left.x - right.x);
}

function scaled({ median, low, high }: Measured, { scale }: Shown): { y: number; low: number; high: number } {
  return { y: scale(median), low: scale(low), high: scale(high) };
}

function describeSeries(series: readonly LineSeries[], axis: string, { unit }: Shown): string {
  const ends = series.map(({ name, points }) => {
    const first = firstOf(points);
    const last = lastOf(points);
    return `${name}: ${first.y.toFixed(3)} at ${axisTick(axis, first.x)} to ${last.y.toFixed(3)} at ${axisTick(axis, last.x)}`;
  });
  return `In ${unit}. ${ends.join("; ")}.`;
}

/** Bars in CPU s/GB, split into costs where every trial of our own has them. */
function barPlans(group: Group, shown: Shown = CPU): Plan[] {
  const own = group.cells.filter((cell) => cell.subject !== LIMIT);
  const fits = (part: readonly Cell[]): boolean => part.length <= BARS_MAX;
  return partsOf(own, group.varying, fits).map(({ cells, fixed }) => {
    const limits = [...new Set(cells.map((cell) => limitOf(cell, group)))].filter(
      (limit) => limit !== undefined,
    );
    const alone = group.varying.filter((axis) => valuesOf(cells, axis).length === 1);
    const bar = shown === CPU ? costBar : speedBar;
    const bars = [...cells, ...(limits.length === 1 ? limits : [])].map((cell) =>
      bar(cell, cellName(cell, group, fixed.length > 0 ? alone : []), barColour(cell, group)),
    );
    const by = group.varying.filter((axis) => axis !== "depth" && !alone.includes(axis)).map(axisTitle);
    const title = `${shown === CPU ? "CPU" : "Speed"} by ${list(by.length === 0 ? ["subject"] : by)}${fixed.length === 0 ? "" : `: ${fixed.join(", ")}`}`;
    return {
      kind: "bars",
      options: {
        title,
        description: describeBars(bars),
        unit: shown.unit,
        bars,
      },
    };
  });
}

/** Each plot of costs with one of speeds beside it. */
function withSpeed(group: Group): Plan[] {
  const speeds = barPlans(group, SPEED);
  return barPlans(group).flatMap((plan, index) => [plan, entryOf(speeds, index)]);
}

/** A mode has the colour that its lines have; what differs in something else is ours, and all the same. */
function barColour(cell: Cell, group: Group): string {
  if (cell.subject === LIMIT) return LIMIT_COLOUR;
  if (!isOurs(cell.subject)) return OTHER_COLOUR;
  const axis = ["mode", "sendMode"].find((name) => group.varying.includes(name));
  const mode = axis === undefined ? undefined : cell.axes[axis];
  return typeof mode === "string" ? (looksFor([mode]).get(mode)?.colour ?? OUR_COLOUR) : OUR_COLOUR;
}

function speedBar(cell: Cell, name: string, colour: string): Bar {
  const measured = measureFigure(cell, "bytesPerSecond");
  const { y, low, high } = scaled(measured, SPEED);
  return { name, label: SPEED.text(measured.median), value: y, low, high, colour };
}

function costBar(cell: Cell, name: string, colour: string): Bar {
  const cost = measureFigure(cell, "cpuSecondsPerGB");
  const value = cost.median;
  const split = COST_NAMES.map(
    (costName) => [costName, measure(cell, ({ costs }) => costs?.[costName])?.median] as const,
  );
  const sum = split.reduce((total, [, part]) => total + (part ?? 0), 0);
  const costs =
    sum === 0
      ? undefined
      : // Medians of parts do not add up to the median of the whole: they are stretched by the little that is missing.
        (Object.fromEntries(
          split.map(([costName, part]) => [costName, ((part ?? 0) / sum) * value]),
        ) as unknown as NonNullable<Bar["costs"]>);
  return {
    name,
    label: cpuText(value),
    value,
    low: cost.low,
    high: cost.high,
    colour,
    ...(costs === undefined ? {} : { costs }),
  };
}

function describeBars(bars: readonly Bar[]): string {
  return `${bars.map(({ name, label }) => `${name}: ${label}`).join("; ")}.`;
}

/** Us and the others, once by CPU and once by speed, for each kind of work that the group has. */
function comparePlans(group: Group): Plan[] {
  const axes = [...new Set(group.cells.flatMap((cell) => Object.keys(cell.axes)))].filter((axis) =>
    group.cells.every((cell) => cell.axes[axis] !== undefined),
  );
  const differing = axes.filter((axis) => valuesOf(group.cells, axis).length > 1);
  const oneWork = (part: readonly Cell[]): boolean =>
    differing.every((axis) => valuesOf(part, axis).length === 1);
  return partsOf(group.cells, differing, oneWork).flatMap(({ cells, fixed }) =>
    [CPU, SPEED].map((shown) => ({
      kind: "bars" as const,
      options: compareBars(group, cells, fixed, shown),
    })),
  );
}

function compareBars(
  group: Group,
  cells: readonly Cell[],
  fixed: readonly string[],
  shown: Shown,
): BarsOptions {
  const bars = cells
    .flatMap((cell) => {
      const measured = measureFigure(cell, shown.figure);
      if (measured === undefined) return [];
      const ours = isOurs(cell.subject);
      const own = ownBest(cell, cells);
      const comparison =
        own === undefined || own === cell ? undefined : compareCells(cell, own, shown.figure);
      const { y, low, high } = scaled(measured, shown);
      const ratio = comparison === undefined ? "" : `  ${comparison.ratio.toFixed(2)} ×`;
      const rest = group.varying.filter(
        (axis) => !fixed.includes(axisPhrase(axis, cell.axes[axis] as AxisValue)),
      );
      const detail = ours ? rest.map((axis) => axisPhrase(axis, namedIn(cell.axes, axis))) : [];
      return [
        {
          name: [cell.subject === LIMIT ? "the limit" : cell.subject, ...detail].join(", "),
          label: `${y.toFixed(shown === CPU ? 3 : 2)}${ratio}`,
          value: y,
          low,
          high,
          colour: ours ? OUR_COLOUR : isReference(cell.subject) ? LIMIT_COLOUR : OTHER_COLOUR,
          strong: ours,
        },
      ];
    })
    .sort((left, right) => (shown === CPU ? left.value - right.value : right.value - left.value));
  const where = fixed.length === 0 ? "" : `, ${fixed.join(", ")}`;
  const isCompared = bars.some(({ label }) => label.endsWith("×"));
  return {
    title: `${capital(groupWords(group.name))}${where}: ${shown === CPU ? "CPU" : "speed"}, ${shown === CPU ? "less" : "more"} is better`,
    description: `In ${shown.unit}${isCompared ? ", and how many times ours" : ""}. ${describeBars(bars)}`,
    unit: isCompared ? `${shown.unit} · × beside it: relative to scatterwire` : shown.unit,
    bars,
  };
}

export function crossingPlan(data: CrossingData): Plan {
  const looks = looksFor(data.series.map(({ mode }) => mode));
  const series: LineSeries[] = data.series.map(({ mode, points }) => ({
    name: mode,
    look: present(looks.get(mode), "each mode has its look"),
    points: points.map(({ bytesPerCall, cost, low, high }) => ({
      x: bytesPerCall,
      y: cost,
      low,
      high,
      about: `${mode}, ${binaryBytes(Math.round(bytesPerCall))} per call: ${cpuText(cost)}`,
    })),
  }));
  const xs = series.flatMap(({ points }) => points.map(({ x }) => x));
  const ticks: number[] = [];
  for (let tick = 1024; tick <= Math.max(...xs) * 1.01; tick *= 2) {
    if (tick >= Math.min(...xs) * 0.99) ticks.push(tick);
  }
  return {
    kind: "lines",
    options: {
      title: "CPU over bytes per system call",
      description: data.sentences.join(" "),
      xLabel: "bytes that one receive call brings",
      yLabel: CPU.unit,
      series,
      levels: data.levels.map(({ name, cost }) => ({
        y: cost,
        label: name === LIMIT ? "the limit" : "",
        ...colourOf(looks.get(name)),
      })),
      ticks,
      tickFormat: binaryBytes,
      logarithmic: true,
      marks: data.crossings.map(({ bytesPerCall, cost }) => ({
        x: bytesPerCall,
        y: cost,
        label: `cross at ${binaryBytes(Math.round(bytesPerCall))}`,
      })),
    },
  };
}

function colourOf(look: { readonly colour: string } | undefined): { colour?: string } {
  return look === undefined ? {} : { colour: look.colour };
}
