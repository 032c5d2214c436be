// What the figures say about this machine, in words: which settings to choose, and why. Everything here is computed from the
// trials; where they cannot tell two values apart, the text says so and names the rule by which one was taken.
//
// Always: a setting is recommended for a use only from trials of that use. Settings of downloads come from downloads that were
// hashed and stored, as everybody's are; what receiving alone costs is a finding, and never advice.

import { firstOf, namedIn } from "../measuring/ends.js";
import type { Axes } from "../measuring/results.js";
import type { Comparison } from "../measuring/statistics.js";
import { type AxisValue, axisTick, axisTitle, compareValues, conditions } from "./axes.js";
import { caveats, isMostlyBusy, isSmall, noteCaveats, type TrialNotes } from "./caveats.js";
import { type Cell, compareCells, type Group, measureFigure } from "./cells.js";
import { capital, list } from "./english.js";
import { findings } from "./findings.js";
import {
  differingConditions,
  leadingSlice,
  MATERIAL,
  type Ranked,
  rank,
  type Slice,
  slicesOf,
  WITH_STORAGE,
} from "./ranking.js";
import { cpuText, howMuchMore, ratioText, speedText } from "./words.js";

/** Too few rounds, too few bytes, or rounds that differ too much. */
type Doubt = "few rounds" | "few bytes" | "noise";

export interface Choice {
  readonly axis: string;
  readonly title: string;
  readonly value: AxisValue;
  readonly text: string;
  /** How a program asks for it. */
  readonly option: string;
  readonly certainty: "clear" | "tied" | "uncertain";
  /** Why it is uncertain, where it is. */
  readonly doubt?: Doubt;
  readonly why: string;
  /** The conditions under which this was measured. */
  readonly where: string;
}

export interface Verdict {
  /** One sentence with all that is recommended. */
  readonly lead: string;
  readonly choices: readonly Choice[];
  readonly findings: readonly string[];
  /** What to keep in mind when believing it. */
  readonly caveats: readonly string[];
}

/** From which part of the fastest speed on what was taken is fast enough. */
const FASTER_AT_LEAST = 0.9;
const EXCEPTIONS_SHOWN = 3;
/** As compare() has it. */
const ROUNDS_FOR_CERTAINTY = 3;

interface Setting {
  readonly axis: string;
  readonly verbs: readonly string[];
  readonly option: string;
  /** Axes that mean something only to some values, so that the best of them stands for its value. */
  readonly dependent?: readonly string[];
  /** Values that are no choice: they are there to be measured against. */
  readonly never?: readonly AxisValue[];
  readonly only?: (cell: Cell) => boolean;
  /** Groups of one verb differ in nothing that the axes do not tell, so that their cells may be put together. */
  readonly acrossGroups?: boolean;
  /** Conditions that most people have: with them, if they were measured. */
  readonly likely?: Axes;
  /** Of those that cost the same, the fastest: where the engine waits for something else than itself. */
  readonly speedDecides?: boolean;
  /** Which of those that cannot be told apart is taken, and the reason in words; of those that are not preferred the cheapest. */
  readonly tie: { readonly prefer: readonly AxisValue[] | "smallest"; readonly because: string };
  readonly sentence: (text: string) => string;
}

const CHEAPEST = "the one with the cheapest median";
const SMALLEST = { prefer: "smallest", because: "the smallest, since it holds the least memory" } as const;
/** A tie is broken by taste only among those whose medians are this near to the cheapest: noise that hides more may hide it. */
const TASTE = 0.05;

/** Most downloads have several peers, and go to ordinary files. */
const LIKELY: Axes = { peers: 8, storage: "file" };

/** Downloads as people make them: every piece hashed, and written to files. */
function isRealDownload({ axes }: Cell): boolean {
  const { verify, storage } = axes;
  return verify === true && (storage === "file" || storage === "direct" || storage === "mapped");
}

const SETTINGS: readonly Setting[] = [
  {
    axis: "mode",
    verbs: ["receive"],
    option: "receiveMode",
    dependent: ["depth"],
    only: isRealDownload,
    likely: LIKELY,
    tie: {
      prefer: ["adaptive"],
      because: "the one that suits every kind of traffic",
    },
    sentence: (text) => `receive with ${text}`,
  },
  {
    axis: "depth",
    verbs: ["receive"],
    option: "speculationDepth",
    only: (cell) =>
      isRealDownload(cell) && cell.axes["mode"] !== "contiguous" && cell.axes["mode"] !== "scatter",
    likely: LIKELY,
    tie: SMALLEST,
    sentence: (text) => `guess ${text} ${text === "1" ? "block" : "blocks"} ahead`,
  },
  {
    axis: "poolBytes",
    verbs: ["receive"],
    option: "poolBytes",
    only: isRealDownload,
    likely: LIKELY,
    tie: SMALLEST,
    sentence: (text) => `give it a pool of ${text}`,
  },
  {
    axis: "receiveBufferBytes",
    verbs: ["receive"],
    option: "receiveBufferBytes",
    only: isRealDownload,
    likely: LIKELY,
    // 0: the kernel's own size, which is not the smallest, but as large as it takes.
    tie: { prefer: [0], because: "the kernel's own, which fits itself to each connection" },
    sentence: (text) => `let socket buffers have ${text}`,
  },
  {
    axis: "contiguousBufferBytes",
    verbs: ["receive"],
    option: "contiguousBufferBytes",
    only: isRealDownload,
    likely: LIKELY,
    tie: SMALLEST,
    sentence: (text) => `take up to ${text} where it receives contiguously`,
  },
  {
    axis: "storage",
    verbs: ["receive", "storage"],
    option: "storage",
    never: ["null", "memory"],
    only: isRealDownload,
    speedDecides: true,
    dependent: WITH_STORAGE,
    acrossGroups: true,
    likely: { where: "disk", file: "sparse" },
    tie: { prefer: ["file"], because: "the simplest" },
    sentence: (text) => `write with ${text}`,
  },
  {
    axis: "sendMode",
    verbs: ["seed"],
    option: "sendMode",
    speedDecides: true,
    tie: { prefer: ["mapped"], because: "the one that makes the fewest system calls" },
    sentence: (text) => `send with ${text}`,
  },
];

export function judge(groups: readonly Group[], notes: TrialNotes = {}): Verdict {
  const chosen: Record<string, AxisValue> = {};
  const choices: Choice[] = [];
  for (const setting of SETTINGS) {
    const choice = choose(setting, groups, chosen);
    if (choice === undefined) continue;
    choices.push(choice);
    chosen[setting.axis] = choice.value;
  }
  return {
    lead: `${isMostlyBusy(notes) ? "The machine was busy with something else: measure again before believing this. " : ""}${leadOf(choices)}`,
    choices,
    findings: findings(groups, chosen),
    caveats: [...caveats(groups), ...noteCaveats(notes)],
  };
}

function leadOf(choices: readonly Choice[]): string {
  if (choices.length === 0)
    return "Nothing here lets one setting be held against another for downloads that are hashed and stored, or for seeding.";
  const worded = (some: readonly Choice[]): string =>
    list(
      some.map((choice) => SETTINGS.find(({ axis }) => axis === choice.axis)?.sentence(choice.text) ?? ""),
    );
  const sure = choices.filter(({ certainty }) => certainty !== "uncertain");
  const open = choices.filter(({ certainty }) => certainty === "uncertain");
  if (open.length === 0) return `${capital(worded(sure))}.`;
  if (sure.length > 0) return `${capital(worded(sure))}. Not certain yet: ${worded(open)}.`;
  const doubts = new Set(open.map(({ doubt }) => doubt));
  const why = doubts.has("few bytes")
    ? "Too few bytes moved"
    : doubts.has("noise")
      ? "The rounds differ too much"
      : "Too few rounds";
  return `${why} to recommend anything. What was cheapest: ${worded(open)}.`;
}

/** Why nothing is certain of a slice, if anything is. */
function doubtOf({ cells }: Slice, few: boolean, hidden: boolean): Doubt | undefined {
  if (cells.some(isSmall)) return "few bytes";
  if (few) return "few rounds";
  return hidden ? "noise" : undefined;
}

function choose(setting: Setting, groups: readonly Group[], chosen: Axes): Choice | undefined {
  const { axis } = setting;
  const asked = groups.filter((group) => setting.verbs.includes(group.verb));
  const slices = (setting.acrossGroups === true ? mergedByVerb(asked) : asked)
    .flatMap((group) => slicesOf(group, axis, setting.dependent))
    .map((slice) => ({ ...slice, cells: slice.cells.filter((cell) => isCandidate(setting, cell)) }))
    .filter(({ cells }) => new Set(cells.map((cell) => cell.axes[axis])).size > 1);
  const slice = leadingSlice(slices, { ...chosen, ...setting.likely });
  if (slice === undefined) return undefined;
  const ranking = rank(slice, "cpuSecondsPerGB");
  const few = Math.min(...slice.cells.map((cell) => cell.rounds.size)) < ROUNDS_FOR_CERTAINTY;
  const ties = ranking.filter(({ tied }) => tied);
  const near = ties.filter((one) => isNear(one, firstOf(ranking)));
  const fastest = fastestTies(setting, slice, near);
  const taken = few ? ranking[0] : takeFromTies(setting, fastest);
  if (taken === undefined) return undefined;
  const because = fastest.length < near.length ? "the faster one" : reasonOfTaste(setting, taken);
  // Where others that are surely not as cheap by their medians hide in the noise, nothing is certain.
  const doubt = doubtOf(slice, few, near.length < ties.length);
  const certainty = doubt !== undefined ? "uncertain" : ties.length > 1 ? "tied" : "clear";
  const reasons = [
    reason(axis, ranking, near, taken, because, few),
    fasterOne(slice, taken),
    exceptions(slices, slice, taken),
  ];
  return {
    axis,
    title: axisTitle(axis),
    value: taken.value,
    text: axisTick(axis, taken.value),
    option: `${setting.option}: ${JSON.stringify(taken.value)}`,
    certainty,
    ...(doubt === undefined ? {} : { doubt }),
    why: reasons.filter((text) => text !== "").join(" "),
    where: conditions(slice.shared),
  };
}

/** One group per verb, called like it. The matrix of receiving has groups that differ in more than axes: they stay. */
function mergedByVerb(groups: readonly Group[]): Group[] {
  const storing = groups.filter(({ verb }) => verb === "storage");
  const others = groups.filter(({ verb }) => verb !== "storage");
  if (storing.length === 0) return others;
  const cells = storing.flatMap((group) => group.cells);
  return [{ verb: "storage", name: "storage", cells, varying: [], constant: {} }, ...others];
}

function isCandidate(setting: Setting, cell: Cell): boolean {
  if (setting.never?.includes(namedIn(cell.axes, setting.axis)) === true) return false;
  return setting.only?.(cell) ?? true;
}

/** Those that cost the same as the cheapest; where speed decides, without those that are surely slower than another. */
function fastestTies({ speedDecides }: Setting, slice: Slice, ties: readonly Ranked[]): readonly Ranked[] {
  if (speedDecides !== true) return ties;
  const cells = ties.map(({ cell }) => cell);
  const bySpeed = rank({ ...slice, cells }, "bytesPerSecond", "more");
  return ties.filter(({ value }) => bySpeed.some((other) => other.value === value && other.tied));
}

function takeFromTies({ tie: { prefer } }: Setting, ties: readonly Ranked[]): Ranked | undefined {
  if (prefer === "smallest") {
    return [...ties].sort((left, right) => compareValues(left.value, right.value))[0];
  }
  // They come in the order of their medians.
  return ties.find(({ value }) => prefer.includes(value)) ?? ties[0];
}

function reasonOfTaste({ tie: { prefer, because } }: Setting, { value }: Ranked): string {
  return prefer === "smallest" || prefer.includes(value) ? because : CHEAPEST;
}

/** Whether a median is so near to the cheapest that taste may decide. */
function isNear({ cell }: Ranked, best: Ranked): boolean {
  const cost = (of: Cell): number => measureFigure(of, "cpuSecondsPerGB").median;
  return cost(cell) <= cost(best.cell) * (1 + TASTE);
}

/** Every percentage is of the value that is recommended, which the sentence names first. */
function reason(
  axis: string,
  ranking: readonly Ranked[],
  near: readonly Ranked[],
  taken: Ranked,
  because: string,
  few: boolean,
): string {
  const cost = cpuText(measureFigure(taken.cell, "cpuSecondsPerGB").median);
  const name = (ranked: Ranked): string => axisTick(axis, ranked.value);
  if (few) {
    const rounds = Math.min(...ranking.map(({ cell }) => cell.rounds.size));
    return `Cheapest ${rounds === 1 ? "in the one round" : `by the median of the ${rounds} rounds`} measured, ${cost}, which cannot be told from noise.`;
  }
  const more = (ranked: Ranked): string => {
    const beside = compareCells(ranked.cell, taken.cell, "cpuSecondsPerGB");
    return beside === undefined ? "dearer" : howMuchMore(beside.ratio);
  };
  const worse = ranking.filter(({ tied }) => !tied);
  const [next, last] = [worse[0], worse.at(-1)];
  const behind =
    next === undefined || last === undefined
      ? ""
      : ` ${capital(name(next))} costs ${more(next)}${
          worse.length > 1 ? `, and the dearest, ${name(last)}, ${more(last)}` : ""
        }.`;
  const ties = near.filter(({ value }) => value !== taken.value).map(name);
  const hidden = ranking.filter((one) => one.tied && !near.includes(one));
  const doubt =
    hidden.length === 0
      ? ""
      : ` ${capital(list(hidden.map((one) => `${name(one)} (median ${cpuText(measureFigure(one.cell, "cpuSecondsPerGB").median)})`)))} wander${hidden.length === 1 ? "s" : ""} too much between rounds to be told from it: measure more rounds.`;
  if (ties.length === 0)
    return `${hidden.length === 0 ? "Cheapest in every round" : "Cheapest by its median"}: ${cost}.${doubt}${behind}`;
  return `${cost}. ${capital(list(ties))} cost${ties.length === 1 ? "s" : ""} the same within noise or ${MATERIAL * 100} %; the choice falls on ${because}.${doubt}${behind}`;
}

/** Cheap is not always fast: says so where it surely is not, and what the speed costs. */
function fasterOne(slice: Slice, taken: Ranked): string {
  const ranking = rank(slice, "bytesPerSecond", "more");
  const own = ranking.find(({ value }) => value === taken.value);
  const fastest = ranking[0];
  if (fastest === undefined || own?.comparison === undefined || own.tied) return "";
  if (own.comparison.ratio > FASTER_AT_LEAST) return "";
  const speed = (ranked: Ranked): string => speedText(measureFigure(ranked.cell, "bytesPerSecond").median);
  const cost = compareCells(fastest.cell, taken.cell, "cpuSecondsPerGB");
  return `Faster, ${costOfSpeed(cost)}, is ${axisTick(slice.axis, fastest.value)}: ${speed(fastest)} against ${speed(own)}.`;
}

function costOfSpeed(cost: Comparison | undefined): string {
  if (cost !== undefined && Math.abs(cost.ratio - 1) < MATERIAL) return "at about the same CPU";
  if (cost?.sure !== true) return "at a CPU that the rounds do not agree about";
  return cost.ratio >= 2 ? `at ${cost.ratio.toFixed(2)} × the CPU` : `at ${howMuchMore(cost.ratio)} CPU`;
}

/** Where the value that was taken is surely not the cheapest. */
function exceptions(slices: readonly Slice[], leading: Slice, taken: Ranked): string {
  const texts: string[] = [];
  for (const slice of slices) {
    if (slice === leading) continue;
    const ranking = rank(slice, "cpuSecondsPerGB");
    const own = ranking.find(({ value }) => value === taken.value);
    const best = ranking[0];
    const where = differingConditions(slice, leading);
    if (best === undefined || own?.comparison === undefined || own.tied || where === "") continue;
    const [cheaper, dearer] = [axisTick(slice.axis, best.value), axisTick(slice.axis, own.value)];
    texts.push(`${cheaper} with ${where}, where ${dearer} takes ${ratioText(own.comparison)} its CPU`);
  }
  if (texts.length === 0) return "";
  const shown = [...new Set(texts)].slice(0, EXCEPTIONS_SHOWN);
  const more = new Set(texts).size - shown.length;
  return `Elsewhere another is cheaper: ${[...shown, ...(more > 0 ? [`and ${more} more, in the tables`] : [])].join("; ")}.`;
}
