// Bars lying on their side, each with its name above it and its figure behind it, so that names may be long on any width.
// A bar is one colour, or the costs that it consists of. The thin line at its end goes from the lowest to the highest round.

import { entryOf } from "../measuring/ends.js";
import { COST_NAMES, type CostSplit } from "../measuring/results.js";
import type { Drawing, Markish, Painter } from "./painter.js";

export interface Bar {
  readonly name: string;
  /** Behind the bar: "0.264 CPU s/GB", "0.264 (2.11 ×)". */
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
  /** "CPU s/GB": beneath the axis. */
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const ROW_PIXELS = 40;
const BAR_PIXELS = 14;
const CHARACTER_PIXELS = 6.9;
const MARGIN = { top: 4, right: 12, bottom: 40, left: 2 };
/** The bar lies this far below the middle of its row, so that its name has room above. */
const BAR_DROP = 0.16;

/** A bar and its place, from the top. */
interface Row extends Bar {
  readonly row: number;
}

interface Segment {
  readonly row: number;
  readonly cost: (typeof COST_NAMES)[number];
  readonly from: number;
  readonly to: number;
  readonly about: string;
}

type InRow = { readonly row: number };

const middleOf = ({ row }: InRow): number => row + 0.5 + BAR_DROP;
const topOf = (place: InRow): number => middleOf(place) - BAR_PIXELS / 2 / ROW_PIXELS;
const bottomOf = (place: InRow): number => middleOf(place) + BAR_PIXELS / 2 / ROW_PIXELS;

export function drawBars(painter: Painter, options: BarsOptions, width: number): Drawing {
  const { plot } = painter;
  const { bars, unit } = options;
  const rows = bars.map((bar, row): Row => ({ ...bar, row }));
  const longest = Math.max(...bars.map(({ label }) => label.length));
  const right = MARGIN.right + longest * CHARACTER_PIXELS;
  // Something to divide by, even where nothing cost anything.
  const highest = Math.max(...bars.map(({ high, value }) => Math.max(high, value))) || 1;
  const pixelsPerUnit = (width - MARGIN.left - right) / highest;
  const axis = { labelAnchor: "left", labelArrow: "none", tickSize: 0, ticks: width / 90 } as const;
  return painter.draw(
    {
      width,
      height: MARGIN.top + MARGIN.bottom + bars.length * ROW_PIXELS,
      marginTop: MARGIN.top,
      marginRight: right,
      marginBottom: MARGIN.bottom,
      marginLeft: MARGIN.left,
      x: { domain: [0, highest] },
      y: { domain: [0, bars.length], reverse: true, axis: null },
      marks: [
        plot.gridX({ stroke: "var(--grid)", strokeOpacity: 1 }),
        plot.axisX({ ...axis, label: unit }),
        ...plainMarks(painter, rows),
        ...segmentMarks(painter, rows, pixelsPerUnit),
        ...roundMarks(painter, rows),
        ...textMarks(painter, rows),
      ],
    },
    options.title,
    options.description,
  );
}

function plainMarks({ plot }: Painter, rows: readonly Row[]): Markish[] {
  const plain = rows.filter(({ costs }) => costs === undefined);
  return [plot.rect(plain, { x1: 0, x2: "value", y1: topOf, y2: bottomOf, fill: "colour", rx: 1.5 })];
}

function segmentMarks({ plot }: Painter, rows: readonly Row[], pixelsPerUnit: number): Markish[] {
  const segments = rows.flatMap(segmentsOf);
  const labelled = segments.filter(
    ({ cost, from, to, row }) =>
      (to - from) * pixelsPerUnit > cost.length * CHARACTER_PIXELS + 6 &&
      // The stroke of the rounds would go through it.
      !isCovered(entryOf(rows, row), (from + to) / 2, (cost.length * CHARACTER_PIXELS) / 2 / pixelsPerUnit),
  );
  return [
    plot.rect(segments, {
      x1: "from",
      x2: "to",
      y1: topOf,
      y2: bottomOf,
      fill: ({ cost }: Segment) => `var(--cost-${cost})`,
      title: "about",
      insetRight: 0.5,
    }),
    plot.text(labelled, {
      x: ({ from, to }: Segment) => (from + to) / 2,
      y: middleOf,
      text: "cost",
      fill: ({ cost }: Segment) => `var(--on-${cost})`,
      fontSize: 11,
    }),
  ];
}

function segmentsOf({ costs, name, row }: Row): Segment[] {
  if (costs === undefined) return [];
  let from = 0;
  return COST_NAMES.filter((cost) => costs[cost] > 0).map((cost) => {
    const to = from + costs[cost];
    const segment = { row, cost, from, to, about: `${name}: ${cost} ${costs[cost].toFixed(2)}` };
    from = to;
    return segment;
  });
}

function isCovered({ low, high }: Bar, middle: number, reach: number): boolean {
  return high > low && middle + reach > low && middle - reach < high;
}

/** From the lowest to the highest round: first a halo, then the stroke, so that it shows on any colour. */
function roundMarks({ plot }: Painter, rows: readonly Row[]): Markish[] {
  const several = rows.filter(({ low, high }) => high > low);
  return [
    { stroke: "var(--surface)", strokeWidth: 4 },
    { stroke: "var(--error)", strokeWidth: 1.5 },
  ].map((look) => plot.ruleY(several, { x1: "low", x2: "high", y: middleOf, ...look }));
}

function textMarks({ plot }: Painter, rows: readonly Row[]): Markish[] {
  return [false, true].flatMap((strong) => {
    const some = rows.filter((row) => (row.strong ?? false) === strong);
    const look = { textAnchor: "start", fill: "var(--text)", fontWeight: strong ? 650 : 400 } as const;
    return [
      plot.text(some, { ...look, x: 0, y: topOf, text: "name", lineAnchor: "bottom", dy: -3 }),
      plot.text(some, {
        ...look,
        x: ({ high, value }: Bar) => Math.max(high, value),
        y: middleOf,
        text: "label",
        dx: 6,
        fontVariant: "tabular-nums",
      }),
    ];
  });
}
