// Bars lying on their side, each with its name above it and its figure behind it, so that names may be long on any width.
// A bar is one colour, or the costs that it consists of. The thin line at its end goes from the lowest to the highest round.

import type { CostSplit } from "../results.js";
import type { Drawing, Markish, Painter } from "./painter.js";

export interface Bar {
  readonly name: string;
  /** Behind the bar: "1.92 µs", "0.264 (2.11 ×)". */
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly colour: string;
  readonly strong?: boolean;
  /** In the unit of `value`. */
  readonly costs?: CostSplit;
}

export interface BarsOptions {
  readonly title: string;
  readonly description: string;
  /** "µs per block": beneath the axis. */
  readonly unit: string;
  readonly bars: readonly Bar[];
  /** A line across all bars. */
  readonly level?: { readonly value: number; readonly label: string };
}

export const COST_NAMES = ["kernel", "copying", "framing", "hashing", "writing"] as const;

const ROW_PIXELS = 40;
const BAR_PIXELS = 14;
const CHARACTER_PIXELS = 6.9;
const MARGIN = { top: 26, right: 12, bottom: 40, left: 2 };

interface Segment {
  readonly row: number;
  readonly cost: (typeof COST_NAMES)[number];
  readonly from: number;
  readonly to: number;
  readonly about: string;
}

export function drawBars(painter: Painter, options: BarsOptions, width: number): Drawing {
  const { plot } = painter;
  const { bars, level } = options;
  const longest = Math.max(...bars.map(({ label }) => label.length));
  const right = MARGIN.right + longest * CHARACTER_PIXELS;
  const highest = Math.max(...bars.map(({ high, value }) => Math.max(high, value)), level?.value ?? 0);
  const pixelsPerUnit = (width - MARGIN.left - right) / highest;
  const bottomOf = (row: number): number => row + 0.5 + BAR_PIXELS / 2 / ROW_PIXELS + 0.16;
  const topOf = (row: number): number => row + 0.5 - BAR_PIXELS / 2 / ROW_PIXELS + 0.16;
  const rows = bars.map((bar, row) => ({ ...bar, row }));
  const segments = rows.flatMap(segmentsOf);
  const labelled = segments.filter(
    ({ cost, from, to, row }) =>
      (to - from) * pixelsPerUnit > cost.length * CHARACTER_PIXELS + 6 &&
      // The stroke of the rounds would go through it.
      !isCovered(rows[row]!, (from + to) / 2, (cost.length * CHARACTER_PIXELS) / 2 / pixelsPerUnit),
  );
  const marks: Markish[] = [
    plot.gridX({ stroke: "var(--grid)", strokeOpacity: 1 }),
    plot.axisX({
      label: options.unit,
      labelAnchor: "left",
      labelArrow: "none",
      tickSize: 0,
      ticks: width / 90,
    }),
    plot.rect(
      rows.filter(({ costs }) => costs === undefined),
      {
        x1: 0,
        x2: "value",
        y1: ({ row }: { row: number }) => topOf(row),
        y2: ({ row }: { row: number }) => bottomOf(row),
        fill: "colour",
        rx: 1.5,
      },
    ),
    plot.rect(segments, {
      x1: "from",
      x2: "to",
      y1: ({ row }: Segment) => topOf(row),
      y2: ({ row }: Segment) => bottomOf(row),
      fill: ({ cost }: Segment) => `var(--cost-${cost})`,
      title: "about",
      insetRight: 0.5,
    }),
    plot.text(labelled, {
      x: ({ from, to }: Segment) => (from + to) / 2,
      y: ({ row }: Segment) => (topOf(row) + bottomOf(row)) / 2,
      text: "cost",
      fill: ({ cost }: Segment) => `var(--on-${cost})`,
      fontSize: 11,
    }),
    ...(level === undefined ? [] : levelMarks(painter, level)),
    // First the halo, then the stroke: it shows on any colour.
    ...[
      { stroke: "var(--surface)", strokeWidth: 4 },
      { stroke: "var(--error)", strokeWidth: 1.5 },
    ].map((look) =>
      plot.ruleY(
        rows.filter(({ low, high }) => high > low),
        {
          x1: "low",
          x2: "high",
          y: ({ row }: { row: number }) => (topOf(row) + bottomOf(row)) / 2,
          ...look,
        },
      ),
    ),
    ...[false, true].flatMap((strong) => {
      const some = rows.filter((row) => (row.strong ?? false) === strong);
      return [
        plot.text(some, {
          x: 0,
          y: ({ row }: { row: number }) => topOf(row),
          text: "name",
          textAnchor: "start",
          lineAnchor: "bottom",
          dy: -3,
          fontWeight: strong ? 650 : 400,
          fill: "var(--text)",
        }),
        plot.text(some, {
          x: ({ high, value }: Bar) => Math.max(high, value),
          y: ({ row }: { row: number }) => (topOf(row) + bottomOf(row)) / 2,
          text: "label",
          textAnchor: "start",
          dx: 6,
          fontWeight: strong ? 650 : 400,
          fill: "var(--text)",
          fontVariant: "tabular-nums",
        }),
      ];
    }),
  ];
  return painter.draw(
    {
      width,
      height: MARGIN.top + MARGIN.bottom + bars.length * ROW_PIXELS,
      marginTop: level === undefined ? 4 : MARGIN.top,
      marginRight: right,
      marginBottom: MARGIN.bottom,
      marginLeft: MARGIN.left,
      x: { domain: [0, highest], nice: false },
      y: { domain: [0, bars.length], reverse: true, axis: null },
      marks,
    },
    options.title,
    options.description,
  );
}

function isCovered({ low, high }: Bar, middle: number, reach: number): boolean {
  return high > low && middle + reach > low && middle - reach < high;
}

function segmentsOf({ costs, name, row }: Bar & { row: number }): Segment[] {
  if (costs === undefined) return [];
  let from = 0;
  return COST_NAMES.filter((cost) => costs[cost] > 0).map((cost) => {
    const to = from + costs[cost];
    const segment = { row, cost, from, to, about: `${name}: ${cost} ${costs[cost].toFixed(2)}` };
    from = to;
    return segment;
  });
}

function levelMarks({ plot }: Painter, { value, label }: { value: number; label: string }): Markish[] {
  return [
    plot.ruleX([value], { stroke: "var(--limit)", strokeDasharray: "4,3" }),
    plot.text([label], {
      x: [value],
      text: [label],
      frameAnchor: "top",
      dy: -18,
      dx: -4,
      textAnchor: "end",
      fill: "var(--limit)",
    }),
  ];
}
