// Which value of a setting is best, and how sure that is. Only cells that differ in nothing but the setting are held against
// each other, and only a difference that every round shows, and that is worth speaking of, counts as one.

import { present } from "../../src/base/assert.js";
import { firstOf, namedIn } from "../measuring/ends.js";
import type { Axes } from "../measuring/results.js";
import type { Comparison } from "../measuring/statistics.js";
import { type AxisValue, conditions, isNamedFor } from "./axes.js";
import { type Cell, compareCells, type Group, measureFigure, OURS, type RequiredFigure } from "./cells.js";

/** Cells of our own engine that differ in one axis alone (and in those that depend on it). */
export interface Slice {
  readonly group: Group;
  readonly axis: string;
  readonly cells: readonly Cell[];
  /** What is the same for all of them. */
  readonly shared: Axes;
}

export interface Ranked {
  readonly value: AxisValue;
  readonly cell: Cell;
  /** Against the cheapest, round by round; undefined for that one itself. */
  readonly comparison: Comparison | undefined;
  /** Not told apart from the best, or less than MATERIAL from it. */
  readonly tied: boolean;
}

/** Axes that go with the kind of storage: what one kind is told by, or what only some kinds have. */
export const WITH_STORAGE: readonly string[] = ["way", "populate", "writeRunBytes"];

/** A smaller difference than this is no reason to choose, however sure it is. */
export const MATERIAL = 0.03;

export function slicesOf(group: Group, axis: string, dependent: readonly string[] = []): Slice[] {
  const slices = new Map<string, Cell[]>();
  for (const cell of group.cells) {
    if (cell.subject !== OURS || cell.axes[axis] === undefined) continue;
    const key = JSON.stringify(Object.entries(sharedAxes(cell, axis, dependent)).sort());
    const others = slices.get(key);
    if (others === undefined) slices.set(key, [cell]);
    else others.push(cell);
  }
  return [...slices.values()]
    .map((cells) => ({ group, axis, cells, shared: sharedAxes(firstOf(cells), axis, dependent) }))
    .filter(({ cells }) => new Set(cells.map((cell) => cell.axes[axis])).size > 1);
}

function sharedAxes(cell: Cell, axis: string, dependent: readonly string[]): Axes {
  return Object.fromEntries(
    Object.entries(cell.axes).filter(([name]) => name !== axis && !dependent.includes(name)),
  );
}

/** Best first. `goal` says whether a small figure is good, or a large one. */
export function rank(slice: Slice, figure: RequiredFigure, goal: "less" | "more" = "less"): Ranked[] {
  const bestPerValue = new Map<AxisValue, Cell>();
  const isBetter = (cell: Cell, than: Cell): boolean => {
    const left = measureFigure(cell, figure).median;
    const right = measureFigure(than, figure).median;
    return goal === "less" ? left < right : left > right;
  };
  for (const cell of slice.cells) {
    const value = namedIn(cell.axes, slice.axis);
    const best = bestPerValue.get(value);
    if (best === undefined || isBetter(cell, best)) bestPerValue.set(value, cell);
  }
  const sorted = [...bestPerValue].sort(([, left], [, right]) => (isBetter(left, right) ? -1 : 1));
  const best = sorted[0]?.[1];
  return sorted.map(([value, cell]) => {
    if (cell === best) return { value, cell, comparison: undefined, tied: true };
    const comparison = compareCells(cell, present(best, "a cell that is ranked has a best"), figure);
    const tied = comparison === undefined || !comparison.sure || Math.abs(comparison.ratio - 1) < MATERIAL;
    return { value, cell, comparison, tied };
  });
}

/**
 * The slice that a recommendation rests on: of the group that asks this very question if there is one, then one that agrees
 * with what was chosen before, then one with many values.
 */
export function leadingSlice(slices: readonly Slice[], chosen: Axes): Slice | undefined {
  const agreement = ({ shared }: Slice): number =>
    Object.entries(chosen).filter(([axis, value]) => {
      // Where nothing is in the way, adaptive receives as speculative does.
      const speculates = axis === "mode" && value === "adaptive" && shared[axis] === "speculative";
      return shared[axis] === value || speculates;
    }).length;
  const values = ({ cells, axis }: Slice): number => new Set(cells.map((cell) => cell.axes[axis])).size;
  const named = ({ group, axis }: Slice): number => (isNamedFor(group.name, axis) ? 1 : 0);
  return [...slices].sort(
    (left, right) =>
      named(right) - named(left) || agreement(right) - agreement(left) || values(right) - values(left),
  )[0];
}

/** "with 64 peers, hashed": what sets a slice apart from another; every condition if the two have little in common. */
export function differingConditions(slice: Slice, from: Slice): string {
  const same = Object.keys(slice.shared).filter((axis) => slice.shared[axis] === from.shared[axis]);
  return conditions(slice.shared, same);
}
