// Trials put together for the terminal: those of one group, and in it those of one piece of work, by round.

import type { Axes, LabFigures, LabTrial } from "./results.js";
import { keyOf, LIMIT } from "./scenario.js";

export interface GroupRow {
  readonly subject: string;
  readonly axes: Axes;
  readonly rounds: Map<number, LabFigures>;
}

export interface TrialGroup {
  readonly name: string;
  /** In the order they are planned, not in that of a round: sorted by subject and axes. */
  readonly rows: readonly GroupRow[];
  /** Axes on which our own trials differ; the others and their values. */
  readonly varying: readonly string[];
  readonly constant: Axes;
}

export function groupsOf(trials: readonly LabTrial[]): TrialGroup[] {
  const groups = new Map<string, Map<string, GroupRow>>();
  for (const trial of trials) {
    const rows = groups.get(trial.group) ?? new Map<string, GroupRow>();
    groups.set(trial.group, rows);
    const { subject, axes } = trial;
    const row = rows.get(keyOf(trial)) ?? { subject, axes, rounds: new Map<number, LabFigures>() };
    rows.set(keyOf(trial), row);
    row.rounds.set(trial.round, trial.figures);
  }
  return [...groups].map(([name, rows]) => makeGroup(name, [...rows.values()]));
}

function makeGroup(name: string, rows: readonly GroupRow[]): TrialGroup {
  const own = rows.some(({ subject }) => subject !== LIMIT)
    ? rows.filter(({ subject }) => subject !== LIMIT)
    : rows;
  const names = [...new Set(own.flatMap(({ axes }) => Object.keys(axes)))];
  // An axis that means nothing to a row, such as the depth of a mode that does not guess, is not there at all.
  const valuesOf = (axis: string): (string | number | boolean)[] =>
    own.map(({ axes }) => axes[axis]).filter((value) => value !== undefined);
  const varying = names.filter((axis) => new Set(valuesOf(axis)).size > 1);
  const constant: Axes = Object.fromEntries(
    names.filter((axis) => !varying.includes(axis)).map((axis) => [axis, valuesOf(axis)[0]]),
  );
  return {
    name,
    rows: [...rows].sort((left, right) => compareRows(left, right, varying)),
    varying,
    constant,
  };
}

function compareRows(left: GroupRow, right: GroupRow, varying: readonly string[]): number {
  if ((left.subject === LIMIT) !== (right.subject === LIMIT)) return left.subject === LIMIT ? -1 : 1;
  for (const axis of varying) {
    const [one, other] = [left.axes[axis], right.axes[axis]];
    if (one === other) continue;
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en");
  }
  return left.subject.localeCompare(right.subject, "en");
}
