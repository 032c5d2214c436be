// A scenario is one piece of work of a benchmark: a point of its matrix, and how to do it once. Verbs are lists of them.

import type { Axes, LabFigures, LabOmission, LabTrial, LabVerb } from "./results.js";

export interface Scenario {
  readonly verb: LabVerb;
  readonly group: string;
  readonly subject: string;
  readonly axes: Axes;
  /** Does the work once, in processes of its own. */
  readonly run: () => Promise<LabFigures>;
}

/** What a verb wants done. */
export interface LabPlan {
  readonly scenarios: readonly Scenario[];
  /** What cannot be done here. */
  readonly omissions: readonly LabOmission[];
}

/** The limit of a group goes by this name, our engine by the other. */
export const LIMIT = "limit";
export const OURS = "scatterwire";

/** Tells one piece of work from all others; the same in another run. */
export function keyOf({
  verb,
  group,
  subject,
  axes,
}: Omit<LabTrial, "round" | "startedAt" | "figures">): string {
  const sorted = Object.entries(axes).sort(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify([verb, group, subject, sorted]);
}

/** What `--only GROUP[:AXIS=VALUE]…` selects. */
export interface Selection {
  readonly group: string;
  readonly axes: readonly (readonly [axis: string, value: string])[];
}

/** Throws for text that is no selection. */
export function parseSelection(text: string): Selection {
  const [group, ...axes] = text.split(":");
  const pairs = axes.map((pair) => pair.split("="));
  if (group === undefined || group === "" || pairs.some((pair) => pair.length !== 2 || pair.includes("")))
    throw new Error(`--only takes GROUP[:AXIS=VALUE]…, such as depth:depth=16, not "${text}"`);
  return { group, axes: pairs as unknown as [string, string][] };
}

/**
 * The scenarios that any of `selections` names; all of them where there is none. The limit stays beside what was selected:
 * an axis that it does not have does not exclude it.
 */
export function select<Work extends Selectable>(
  scenarios: readonly Work[],
  selections: readonly Selection[],
): Work[] {
  if (selections.length === 0) return [...scenarios];
  return scenarios.filter((scenario) =>
    selections.some(
      ({ group, axes }) =>
        scenario.group === group &&
        axes.every(([axis, value]) => {
          const own = scenario.axes?.[axis];
          return own === undefined ? scenario.subject === LIMIT : String(own) === value;
        }),
    ),
  );
}

/** What a selection looks at: of work that is to be done, and of work that cannot be. */
interface Selectable {
  readonly group?: string;
  readonly subject: string;
  readonly axes?: Axes;
}

/**
 * The order of a round: groups stay together, because a ratio is taken between figures that were measured side by side;
 * which group comes first, and which scenario comes first in its group, changes from round to round.
 */
export function orderOf(scenarios: readonly Scenario[], round: number): Scenario[] {
  const groups = new Map<string, Scenario[]>();
  for (const scenario of scenarios) {
    const others = groups.get(scenario.group);
    if (others === undefined) groups.set(scenario.group, [scenario]);
    else others.push(scenario);
  }
  return rotate([...groups.values()], round).flatMap((group) => rotate(group, round));
}

function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const first = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
