// A group as a table: one row per cell, the axes that vary, and every figure that was measured, with its spread; the same
// numbers as in the plots, and more. Text only: page.ts and terminal.ts each set it their way.

import { namedIn } from "../measuring/ends.js";
import { COST_NAMES } from "../measuring/results.js";
import type { Comparison } from "../measuring/statistics.js";
import { axisTick, axisTitle } from "./axes.js";
import {
  type Cell,
  compareCells,
  type FigureName,
  type Group,
  isOurs,
  LIMIT,
  limitOf,
  measure,
  measureFigure,
  ownBest,
} from "./cells.js";
import { FIGURES, spreadText } from "./words.js";

export interface Column {
  readonly title: string;
  /** Beneath the title: "s/GB". */
  readonly unit: string;
  readonly numeric: boolean;
  /** Shown on a terminal too, which is narrow. */
  readonly main: boolean;
}

export interface TableCell {
  readonly text: string;
  /** Smaller, behind it: "± 3 %". */
  readonly aside?: string;
}

export interface TableText {
  readonly columns: readonly Column[];
  readonly rows: readonly { readonly strong: boolean; readonly cells: readonly TableCell[] }[];
}

const MAIN_FIGURES: readonly FigureName[] = [
  "cpuSecondsPerGB",
  "bytesPerSecond",
  "systemCallsPerBlock",
  "copiedBytesPerByte",
  "peakRssBytes",
];

interface Source extends Column {
  readonly cell: (cell: Cell) => TableCell;
}

export function tableOf(group: Group): TableText {
  const sources = [...nameColumns(group), ...figureColumns(group)];
  return {
    columns: sources,
    rows: group.cells.map((cell) => ({
      strong: group.verb === "compare" && isOurs(cell.subject),
      cells: sources.map((source) => source.cell(cell)),
    })),
  };
}

function nameColumns(group: Group): Source[] {
  const axes = [...new Set(group.cells.flatMap((cell) => Object.keys(cell.axes)))].filter(
    (axis) =>
      new Set(group.cells.map((cell) => cell.axes[axis]).filter((value) => value !== undefined)).size > 1,
  );
  const subject: Source = {
    title: "subject",
    unit: "",
    numeric: false,
    main: true,
    cell: (cell) => ({ text: cell.subject === LIMIT ? "the limit" : cell.subject }),
  };
  return [
    ...(new Set(group.cells.map((cell) => cell.subject)).size > 1 || axes.length === 0 ? [subject] : []),
    ...axes.map((axis) => ({
      title: axisTitle(axis),
      unit: "",
      numeric: group.cells.every((cell) => typeof (cell.axes[axis] ?? 0) === "number"),
      main: true,
      cell: (cell: Cell) => {
        const value = cell.axes[axis];
        return { text: value === undefined ? "" : axisTick(axis, value) };
      },
    })),
  ];
}

function figureColumns(group: Group): Source[] {
  const columns: Source[] = [];
  for (const [name, words] of Object.entries(FIGURES) as [FigureName, (typeof FIGURES)[FigureName]][]) {
    if (words === undefined || !group.cells.some((cell) => measureFigure(cell, name) !== undefined)) continue;
    columns.push({
      title: words.title,
      unit: words.unit,
      numeric: true,
      main: MAIN_FIGURES.includes(name),
      cell: (cell) => {
        const measured = measureFigure(cell, name);
        if (measured === undefined) return { text: "" };
        return { text: words.format(measured.median), aside: spreadText(measured) };
      },
    });
    if (name === "cpuSecondsPerGB" || name === "bytesPerSecond") columns.push(...ratioColumns(group, name));
    if (name === "bytesPerSecond") columns.push(...costColumns(group));
  }
  return columns;
}

function ratioColumns(group: Group, figure: FigureName): Source[] {
  const columns: Source[] = [];
  const ratio = (comparison: Comparison | undefined): TableCell => {
    if (comparison === undefined) return { text: "" };
    const { ratio: middle, low, high } = comparison;
    const text = middle.toFixed(2);
    const aside = `${low.toFixed(2)} to ${high.toFixed(2)}`;
    // A single round has no extremes.
    return aside === `${text} to ${text}` ? { text } : { text, aside };
  };
  const title = namedIn(FIGURES, figure).title;
  const shared = { numeric: true, main: true };
  if (group.cells.some(({ subject }) => subject === LIMIT)) {
    columns.push({
      ...shared,
      title: `${title} ÷ limit`,
      unit: "× (rounds)",
      cell: (cell) => {
        const limit = cell.subject === LIMIT ? undefined : limitOf(cell, group);
        return ratio(limit === undefined ? undefined : compareCells(cell, limit, figure));
      },
    });
  }
  const beside = (cell: Cell): Cell | undefined => {
    const own = ownBest(cell, group.cells);
    return own === cell ? undefined : own;
  };
  if (group.verb === "compare" && group.cells.some((cell) => beside(cell) !== undefined)) {
    columns.push({
      ...shared,
      title: `${title} ÷ ours`,
      unit: "× (rounds)",
      cell: (cell) => {
        const own = beside(cell);
        return ratio(own === undefined ? undefined : compareCells(cell, own, figure));
      },
    });
  }
  return columns;
}

function costColumns(group: Group): Source[] {
  return COST_NAMES.filter((cost) =>
    group.cells.some((cell) => (measure(cell, ({ costs }) => costs?.[cost])?.high ?? 0) > 0),
  ).map((cost) => ({
    title: cost,
    unit: "s/GB",
    numeric: true,
    main: false,
    cell: (cell) => {
      const measured = measure(cell, ({ costs }) => costs?.[cost]);
      return { text: measured === undefined ? "" : measured.median.toFixed(3) };
    },
  }));
}
