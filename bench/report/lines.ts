// Lines over a number: each named at its end rather than in a legend, each point with a stroke from its lowest to its highest
// round. Costs begin at nothing: a difference looks as large as it is.

import { entryOf, lastOf } from "../measuring/ends.js";
import type { Look } from "./colours.js";
import type { Drawing, Markish, Painter } from "./painter.js";

export interface LinePoint {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
  /** Shown when a pointer rests on it, and read out. */
  readonly about: string;
}

export interface LineSeries {
  readonly name: string;
  readonly look: Look;
  readonly dashed?: boolean;
  readonly points: readonly LinePoint[];
}

interface Level {
  readonly y: number;
  readonly label: string;
  readonly colour?: string;
}

export interface LinesOptions {
  readonly title: string;
  readonly description: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly LineSeries[];
  /** Where the scale has its ticks, and what stands beneath them; without, round numbers are found. */
  readonly ticks?: readonly number[];
  readonly tickFormat: (value: number) => string;
  readonly logarithmic: boolean;
  readonly marks?: readonly { readonly x: number; readonly y: number; readonly label: string }[];
  /** Lines right across. One without a label is named by a series. */
  readonly levels?: readonly Level[];
}

const MARGIN = { top: 26, bottom: 44, left: 44 };
const LABEL_PIXELS = 15;
const CHARACTER_PIXELS = 7;

export function drawLines(painter: Painter, options: LinesOptions, width: number): Drawing {
  const { plot } = painter;
  const { series, levels = [] } = options;
  const height = width < 400 ? 280 : Math.round(Math.min(400, width * 0.62));
  const names = [...series.map(({ name }) => name), ...levels.map(({ label }) => label)];
  const marginRight = 12 + Math.max(...names.map((name) => name.length)) * CHARACTER_PIXELS;
  const points = series.flatMap((one) => one.points.map((point) => ({ ...point, series: one })));
  const xs = points.map(({ x }) => x);
  const highest = Math.max(...points.map(({ high }) => high), ...levels.map(({ y }) => y)) * 1.04 || 1;
  const ticks = fittingTicks(options, xs, width - MARGIN.left - marginRight);
  const marks: Markish[] = [
    plot.gridY({ stroke: "var(--grid)", strokeOpacity: 1, ticks: 5 }),
    plot.axisY({ label: options.yLabel, labelArrow: "none", tickSize: 0, ticks: 5 }),
    plot.axisX({
      label: options.xLabel,
      labelAnchor: "center",
      labelArrow: "none",
      tickSize: 4,
      stroke: "var(--axis)",
      fill: "currentColor",
      ...(ticks === undefined ? {} : { ticks: [...ticks] }),
      tickFormat: (value: number) => options.tickFormat(value),
    }),
    plot.ruleY([0], { stroke: "var(--axis)" }),
    ...levels.map((level) =>
      plot.ruleY([level.y], { stroke: level.colour ?? "var(--limit)", strokeDasharray: "5,4" }),
    ),
    ...series.flatMap((one) => seriesMarks(painter, one)),
    ...endLabels(painter, options, height, highest),
    ...(options.marks ?? []).flatMap((mark) => crossMarks(painter, mark)),
  ];
  return painter.draw(
    {
      width,
      height,
      marginTop: MARGIN.top,
      marginRight,
      marginBottom: MARGIN.bottom,
      marginLeft: MARGIN.left,
      x: options.logarithmic
        ? { type: "log", base: 2, domain: [Math.min(...xs), Math.max(...xs)] }
        : { domain: [Math.min(...xs), Math.max(...xs)] },
      y: { domain: [0, highest] },
      marks,
    },
    options.title,
    options.description,
  );
}

/** Every tick that is wanted, or every second or third of them where they would touch. */
function fittingTicks(
  { ticks, tickFormat }: LinesOptions,
  xs: readonly number[],
  pixels: number,
): readonly number[] | undefined {
  if (ticks === undefined || xs.length === 0) return ticks;
  const widest = Math.max(...ticks.map((tick) => tickFormat(tick).length)) * CHARACTER_PIXELS + 8;
  const step = Math.max(1, Math.ceil((ticks.length * widest) / (pixels + widest)));
  return ticks.filter((_, index) => index % step === 0);
}

function seriesMarks({ plot }: Painter, { points, look, dashed }: LineSeries): Markish[] {
  const stroke = look.colour;
  return [
    plot.line(points, {
      x: "x",
      y: "y",
      stroke,
      strokeWidth: 2,
      ...(dashed === true ? { strokeDasharray: "5,4" } : {}),
    }),
    plot.ruleX(
      points.filter(({ low, high }) => high > low),
      {
        x: "x",
        y1: "low",
        y2: "high",
        stroke,
        strokeWidth: 1.5,
        strokeOpacity: 0.7,
      },
    ),
    plot.dot(points, {
      x: "x",
      y: "y",
      symbol: look.symbol,
      r: 3.5,
      fill: stroke,
      stroke: "var(--surface)",
      strokeWidth: 1,
      title: "about",
    }),
  ];
}

/** Names at the right ends of the lines, moved apart where they would lie on each other. */
function endLabels(
  { plot }: Painter,
  { series, levels = [] }: LinesOptions,
  height: number,
  highest: number,
): Markish[] {
  const pixelOf = (y: number): number =>
    MARGIN.top + (1 - y / highest) * (height - MARGIN.top - MARGIN.bottom);
  const labels = [
    ...series.map(({ name, look, points }) => ({ name, colour: look.colour, y: lastOf(points).y })),
    ...levels
      .filter(({ label }) => label !== "")
      .map(({ label, y }) => ({ name: label, colour: "var(--limit)", y })),
  ].sort((left, right) => right.y - left.y);
  const places = moveApart(
    labels.map(({ y }) => pixelOf(y)),
    height - MARGIN.bottom,
  );
  return labels.map(({ name, colour, y }, index) =>
    plot.text([name], {
      y: [y],
      text: [name],
      frameAnchor: "right",
      textAnchor: "start",
      dx: 9,
      dy: entryOf(places, index) - pixelOf(y),
      fill: colour,
      fontWeight: 600,
    }),
  );
}

/** Ascending places, at least a line of text apart, none below `bottom`, each as near to where it was as that lets it. */
function moveApart(places: readonly number[], bottom: number): number[] {
  const moved = [...places];
  for (let index = 1; index < moved.length; index++) {
    moved[index] = Math.max(entryOf(moved, index), entryOf(moved, index - 1) + LABEL_PIXELS);
  }
  let floor = bottom;
  for (let index = moved.length - 1; index >= 0; index--) {
    moved[index] = Math.min(entryOf(moved, index), floor);
    floor = entryOf(moved, index) - LABEL_PIXELS;
  }
  return moved;
}

function crossMarks({ plot }: Painter, mark: { x: number; y: number; label: string }): Markish[] {
  return [
    plot.dot([mark], { x: "x", y: "y", r: 8, stroke: "var(--text)", strokeWidth: 1.5, fill: "none" }),
    plot.text([mark], {
      x: "x",
      y: "y",
      text: "label",
      dy: -18,
      fill: "var(--text)",
      fontWeight: 600,
      stroke: "var(--surface)",
      strokeWidth: 4,
    }),
  ];
}
