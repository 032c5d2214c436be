// Two files of results, one against the other: the same work, then and now. The two did not run interleaved, so rounds cannot
// be paired; a difference counts only if the slowest round of one is faster than the fastest round of the other. The
// limit shows what changed about the machine itself: where both files have it, the ratio is given in limits, too.

import { entryOf } from "../measuring/ends.js";
import { binaryBytes, conditions } from "./axes.js";
import {
  type Cell,
  type Group,
  LIMIT,
  limitOf,
  type Measured,
  measureFigure,
  OURS,
  payloadOf,
  type RequiredFigure,
  samePayload,
} from "./cells.js";
import { groupWords, list } from "./english.js";
import { MATERIAL } from "./ranking.js";
import { howMuchMore } from "./words.js";

export interface Change {
  readonly verb: string;
  readonly group: string;
  readonly subject: string;
  readonly where: string;
  readonly figure: RequiredFigure;
  readonly before: Measured;
  readonly after: Measured;
  /** Median after ÷ median before, and the furthest that any two rounds lie from it. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** The same, each median first divided by its own file's limit. */
  readonly ratioInLimits: number | undefined;
  /** Beyond noise: the ranges do not touch. */
  readonly sure: boolean;
}

export interface Against {
  /** The file that is compared with, and the machine it is of. */
  readonly name: string;
  readonly changes: readonly Change[];
  /** Work that both measured over so different payloads that costs per GB cannot be compared: how many cells. */
  readonly otherPayload: number;
  /** What only one of the two has: how many cells. */
  readonly onlyBefore: number;
  readonly onlyAfter: number;
  readonly sentences: readonly string[];
}

const ROUNDS_FOR_CERTAINTY = 3;
const FIGURES_COMPARED = ["cpuSecondsPerGB", "bytesPerSecond"] as const;
const NAMED_MAX = 6;

/** `otherMachine`: the machine that `before` was made on, in words, where it is another one. */
export function compareFiles(
  after: readonly Group[],
  before: readonly Group[],
  name: string,
  otherMachine?: string,
): Against {
  const old = cellsByKey(before);
  const now = cellsByKey(after);
  const changes: Change[] = [];
  const otherPayload: [Cell, Cell][] = [];
  for (const [key, { cell, group }] of now) {
    const counterpart = old.get(key);
    if (counterpart === undefined) continue;
    if (!samePayload(payloadOf(cell), payloadOf(counterpart.cell))) {
      otherPayload.push([counterpart.cell, cell]);
      continue;
    }
    for (const figure of FIGURES_COMPARED) {
      const change = changeOf({ cell, group }, counterpart, figure);
      if (change !== undefined) changes.push(change);
    }
  }
  const shared = [...now.keys()].filter((key) => old.has(key)).length;
  return {
    name,
    changes,
    otherPayload: otherPayload.length,
    onlyBefore: old.size - shared,
    onlyAfter: now.size - shared,
    sentences: [
      ...(otherMachine === undefined
        ? []
        : [
            `${name} was made on another machine (${otherMachine}): what got cheaper or dearer may be the machine, and only ratios in limits speak of the program.`,
          ]),
      ...describe(changes, shared, name),
      ...describePayloads(otherPayload),
    ],
  };
}

interface Placed {
  readonly cell: Cell;
  readonly group: Group;
}

function cellsByKey(groups: readonly Group[]): Map<string, Placed> {
  return new Map(groups.flatMap((group) => group.cells.map((cell) => [cell.key, { cell, group }] as const)));
}

function changeOf(now: Placed, old: Placed, figure: RequiredFigure): Change | undefined {
  const after = measureFigure(now.cell, figure);
  const before = measureFigure(old.cell, figure);
  if (after === undefined || before === undefined || before.low <= 0) return undefined;
  const low = after.low / before.high;
  const high = after.high / before.low;
  const enough = Math.min(after.rounds, before.rounds) >= ROUNDS_FOR_CERTAINTY;
  const { verb, group, subject, axes } = now.cell;
  return {
    verb,
    group,
    subject,
    where: conditions(axes, Object.keys(now.group.constant)),
    figure,
    before,
    after,
    ratio: after.median / before.median,
    low,
    high,
    ratioInLimits: ratioInLimits(now, old, figure),
    sure: enough && (low > 1 || high < 1),
  };
}

function ratioInLimits(now: Placed, old: Placed, figure: RequiredFigure): number | undefined {
  const inLimits = ({ cell, group }: Placed): number | undefined => {
    const limit = cell.subject === LIMIT ? undefined : limitOf(cell, group);
    const base = limit === undefined ? undefined : measureFigure(limit, figure)?.median;
    return base === undefined || base === 0 ? undefined : measureFigure(cell, figure).median / base;
  };
  const after = inLimits(now);
  const before = inLimits(old);
  return after === undefined || before === undefined || before === 0 ? undefined : after / before;
}

/** Beyond noise, and worth speaking of. */
export function isChange({ sure, ratio }: Change): boolean {
  return sure && Math.abs(ratio - 1) >= MATERIAL;
}

function describe(changes: readonly Change[], shared: number, name: string): string[] {
  if (shared === 0) return [`Nothing was measured both here and in ${name}.`];
  const cpu = changes.filter(({ figure }) => figure === "cpuSecondsPerGB");
  const own = cpu.filter(({ subject }) => subject !== LIMIT);
  const certain = own.filter(isChange);
  const cheaper = certain.filter(({ ratio }) => ratio < 1).sort((a, b) => a.ratio - b.ratio);
  const dearer = certain.filter(({ ratio }) => ratio > 1).sort((a, b) => b.ratio - a.ratio);
  const few = own.filter(
    ({ before, after }) => Math.min(before.rounds, after.rounds) < ROUNDS_FOR_CERTAINTY,
  ).length;
  const rest = own.length - certain.length - few;
  const sentences: string[] = [];
  if (cpu.length > 0 && own.length === 0) sentences.push("Only the limit can be compared.");
  if (own.length > 0)
    sentences.push(
      `Of ${own.length} kind${own.length === 1 ? "" : "s"} of work that can be compared, ${cheaper.length} got cheaper in CPU, ${dearer.length} got dearer, and ${rest} did not change beyond noise or ${MATERIAL * 100} %.${fewText(few, own.length)}`,
    );
  if (cheaper.length > 0) sentences.push(`Cheaper: ${naming(cheaper)}.`);
  if (dearer.length > 0) sentences.push(`Dearer: ${naming(dearer)}.`);
  const limits = cpu.filter(({ subject }) => subject === LIMIT).filter(isChange);
  if (limits.length > 0) {
    const ratios = limits.map(({ ratio }) => ratio).sort((a, b) => a - b);
    const middle = entryOf(ratios, Math.floor(ratios.length / 2));
    sentences.push(
      `The limit itself costs ${howMuchMore(middle)}${middle > 0.5 && middle < 2 ? " than before" : ""}: the machine or its system changed, so read the ratios in limits.`,
    );
  }
  return sentences;
}

function fewText(few: number, all: number): string {
  if (few === 0) return "";
  const who = few === all ? (all === 1 ? "It has" : "All have") : `${few} ha${few === 1 ? "s" : "ve"}`;
  return ` ${who} fewer than ${ROUNDS_FOR_CERTAINTY} rounds on one side, from which nothing can be told.`;
}

function describePayloads(pairs: readonly (readonly [before: Cell, after: Cell])[]): string[] {
  const [first] = pairs;
  if (first === undefined) return [];
  const [before, after] = first.map((cell) => binaryBytes(payloadOf(cell))) as [string, string];
  return [
    `${pairs.length} kind${pairs.length === 1 ? "" : "s"} of work moved another amount of bytes in the two files (${before} before and ${after} now, for instance) and ${pairs.length === 1 ? "is" : "are"} not compared: what a process pays once is a larger part of less. Measure both with the same --size.`,
  ];
}

function naming(changes: readonly Change[]): string {
  const texts = changes.slice(0, NAMED_MAX).map((change) => {
    const subject = change.subject === OURS ? [] : [change.subject];
    const name = [
      `${change.verb} ${groupWords(change.group)}`,
      ...subject,
      ...(change.where === "" ? [] : [change.where]),
    ];
    return `${name.join(", ")} (${change.ratio.toFixed(2)} ×)`;
  });
  const more = changes.length - texts.length;
  return list(more > 0 ? [...texts, `${more} more in the table`] : texts).replaceAll("), ", "); ");
}
