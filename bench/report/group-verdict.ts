// What one group of trials says, in plain words, for the terminal: under each condition what is cheapest, what cannot be told
// from it, and what is dearer by how much. Every percentage is of the one that the sentence names first.

import { namedIn } from "../measuring/ends.js";
import { axisName, conditions, isNamedFor } from "./axes.js";
import {
  type Cell,
  cellName,
  compareCells,
  type Group,
  isReference,
  LIMIT,
  limitOf,
  measureFigure,
} from "./cells.js";
import { capital, list } from "./english.js";
import { MATERIAL } from "./ranking.js";
import { cpuText, percent } from "./words.js";

/** What a person chooses between; other axes are the conditions under which they do. */
const CHOICES = ["way", "mode", "sendMode"];

/** Lines, each of which names the group and its conditions. */
export function groupVerdict(group: Group): string[] {
  // Which client is faster depends on the link in between; the tables tell, and there is nothing to choose.
  if (group.verb === "wan") return wanSentences(group);
  return [...slicesOf(group)].map(([where, cells]) => {
    const name = where === "" ? group.name : `${group.name}, ${where}`;
    return `${name}: ${sliceVerdict(cells, group, where)}`;
  });
}

/** The cells that compete, by the conditions under which they do. The limit does not compete. */
function slicesOf(group: Group): Map<string, Cell[]> {
  const choice = choiceOf(group);
  const given =
    choice === undefined ? [] : group.varying.filter((axis) => axis !== choice && axis !== "depth");
  const slices = new Map<string, Cell[]>();
  for (const cell of group.cells) {
    if (isReference(cell.subject)) continue;
    const where = given
      .filter((axis) => cell.axes[axis] !== undefined)
      .map((axis) => axisName(axis, namedIn(cell.axes, axis)))
      .join(", ");
    slices.set(where, [...(slices.get(where) ?? []), cell]);
  }
  return slices;
}

function choiceOf({ name, varying }: Group): string | undefined {
  // Where runs are compared, their length is the choice, whatever way they go.
  if (varying.includes("writeRunBytes")) return undefined;
  return (
    CHOICES.find((axis) => varying.includes(axis)) ??
    // Of "stored-pool" the pool, under the same number of peers.
    (varying.length > 1 ? varying.find((axis) => isNamedFor(name, axis)) : undefined)
  );
}

function sliceVerdict(cells: readonly Cell[], group: Group, where: string): string {
  const cost = (cell: Cell): number => measureFigure(cell, "cpuSecondsPerGB").median;
  const choice = choiceOf(group);
  const leftOut =
    where === "" || choice === undefined
      ? []
      : group.varying.filter((axis) => axis !== choice && axis !== "depth");
  const name = (cell: Cell): string => cellName(cell, group, leftOut);
  const ranked = [...cells].sort((left, right) => cost(left) - cost(right));
  const [best, ...others] = ranked;
  if (best === undefined) return "";
  const limit = limitOf(best, group);
  const toLimit = limit === undefined ? undefined : compareCells(best, limit, "cpuSecondsPerGB");
  const beside = toLimit === undefined ? "" : `, ${toLimit.ratio.toFixed(2)} × the limit`;
  if (others.length === 0) return `${name(best)} costs ${cpuText(cost(best))}${beside}.`;
  const [level, near, dearer, apart]: [string[], string[], string[], string[]] = [[], [], [], []];
  let rounds = Number.POSITIVE_INFINITY;
  for (const cell of others) {
    const comparison = compareCells(cell, best, "cpuSecondsPerGB");
    if (comparison === undefined) apart.push(name(cell));
    else if (!comparison.sure) {
      level.push(name(cell));
      rounds = Math.min(rounds, sharedRounds(cell, best));
    } else if (comparison.ratio < 1 + MATERIAL) near.push(name(cell));
    else {
      const { ratio, low, high } = comparison;
      dearer.push(
        `${name(cell)} by ${(100 * (ratio - 1)).toFixed(0)} % (${low.toFixed(2)} to ${high.toFixed(2)} ×)`,
      );
    }
  }
  const sentences = [
    `cheapest is ${name(best)} with ${cpuText(cost(best))}${beside}.`,
    level.length === 0
      ? ""
      : `Not told apart from it by ${rounds} round${rounds === 1 ? "" : "s"}: ${list(level)}.`,
    near.length === 0 ? "" : `Dearer by less than ${MATERIAL * 100} %: ${list(near)}.`,
    dearer.length === 0 ? "" : `Dearer: ${dearer.join("; ")}.`,
    apart.length === 0 ? "" : `Not measured in the same rounds: ${list(apart)}.`,
  ];
  return sentences.filter((sentence) => sentence !== "").join(" ");
}

function sharedRounds(cell: Cell, other: Cell): number {
  return [...cell.rounds.keys()].filter((round) => other.rounds.has(round)).length;
}

/** The limit first, then by the axes that vary, numbers by size. */
export function compareCellsByName(left: Cell, right: Cell, { varying }: Group): number {
  if ((left.subject === LIMIT) !== (right.subject === LIMIT)) return left.subject === LIMIT ? -1 : 1;
  for (const axis of varying) {
    const [one, other] = [left.axes[axis], right.axes[axis]];
    if (one === other) continue;
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en");
  }
  return left.subject.localeCompare(right.subject, "en");
}

/** One sentence per path: how much of the link each client fills. */
function wanSentences(group: Group): string[] {
  const paths = new Map<string, Cell[]>();
  for (const cell of group.cells) {
    const where = conditions(cell.axes);
    paths.set(where, [...(paths.get(where) ?? []), cell]);
  }
  return [...paths].map(([where, cells]) => {
    const shares = cells.map((cell) => {
      const share = measureFigure(cell, "linkShare");
      return `${cell.subject} ${share === undefined ? "unknown" : `${percent(share.median)} %`}`;
    });
    return `${capital(where)}: of the link, ${list(shares)}.`;
  });
}
