// Trials put together: a cell is all rounds of the same work, and a group is the cells that answer one question. A round of
// a cell can be set beside the same round of another cell, because the two ran one after the other.

import { firstOf, namedIn } from "../measuring/ends.js";
import type { Axes, LabFigures, LabTrial, LabVerb } from "../measuring/results.js";
import { keyOf, LIMIT, OURS } from "../measuring/scenario.js";
import { type Comparison, compare, median } from "../measuring/statistics.js";
import { type AxisValue, axisName, compareValues } from "./axes.js";
import type { ResultsFile } from "./read.js";

/** The same work, once per round. */
export interface Cell {
  readonly verb: LabVerb;
  readonly group: string;
  readonly subject: string;
  readonly axes: Axes;
  /** Verb, group, subject and axes in one string: the same in another file that measured the same. */
  readonly key: string;
  readonly rounds: ReadonlyMap<string, LabFigures>;
}

export interface Group {
  readonly verb: LabVerb;
  readonly name: string;
  readonly cells: readonly Cell[];
  /** Axes on which the cells of our own engine differ (or, where it has none, all cells), in the order of the file. */
  readonly varying: readonly string[];
  /** What is the same for all. */
  readonly constant: Axes;
}

/** A figure over the rounds of a cell. */
export interface Measured {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
}

export type FigureName = Exclude<keyof LabFigures, "costs">;
/** What every trial has: its measure is never missing. */
export type RequiredFigure = {
  [Name in FigureName]-?: undefined extends LabFigures[Name] ? never : Name;
}[FigureName];

export { LIMIT, OURS };

/** What others are measured against, and no program that anybody would use. */
const REFERENCES: readonly string[] = [LIMIT, "disk (O_DIRECT)", "writes alone (pwrite)", "C loop of writev"];

const VERBS: readonly string[] = ["receive", "storage", "seed", "compare", "wan"];

/**
 * Trials that stand in several files (one file given twice, or one that was gone on with under another name) count once: they
 * are told by what they measured and when.
 */
export function groupsOf(files: readonly ResultsFile[]): Group[] {
  const cells = new Map<string, Cell & { rounds: Map<string, LabFigures> }>();
  const seen = new Set<string>();
  files.forEach(({ results }, file) => {
    for (const trial of results.trials) {
      const identity = identityOf(trial);
      if (seen.has(identity)) continue;
      seen.add(identity);
      addTrial(cells, trial, file);
    }
  });
  const groups = new Map<string, Cell[]>();
  for (const cell of cells.values()) {
    const key = JSON.stringify([cell.verb, cell.group]);
    const others = groups.get(key);
    if (others === undefined) groups.set(key, [cell]);
    else others.push(cell);
  }
  return [...groups.values()]
    .map(makeGroup)
    .sort((left, right) => VERBS.indexOf(left.verb) - VERBS.indexOf(right.verb));
}

/** How many trials stand in more than one place. */
export function repeatedTrials(files: readonly ResultsFile[]): number {
  const identities = files.flatMap(({ results }) => results.trials.map(identityOf));
  return identities.length - new Set(identities).size;
}

function identityOf(trial: LabTrial): string {
  return JSON.stringify([keyOf(trial), trial.round, trial.startedAt, trial.figures]);
}

/** Payloads of less than this times each other are the same amount of work: a leecher may be cut off a few blocks early. */
const SAME_PAYLOAD = 1.25;

/** True if two trials or cells moved about as many bytes: costs per GB of 64 MiB and of 1 GiB are not comparable. */
export function samePayload(left: number, right: number): boolean {
  return left < right * SAME_PAYLOAD && right < left * SAME_PAYLOAD;
}

export function payloadOf(cell: Cell): number {
  return measureFigure(cell, "payloadBytes").median;
}

function addTrial(
  cells: Map<string, Cell & { rounds: Map<string, LabFigures> }>,
  trial: LabTrial,
  file: number,
): void {
  const { verb, group, subject, axes } = trial;
  const work = keyOf(trial);
  let key = work;
  let cell = cells.get(key);
  // The same work over more bytes is other work: V8's compiling, a fixed cost, is a larger part of less.
  for (
    let size = 1;
    cell !== undefined && !samePayload(payloadOf(cell), trial.figures.payloadBytes);
    size++
  ) {
    key = `${work} ${size}`;
    cell = cells.get(key);
  }
  if (cell === undefined) {
    const told = key === work ? axes : { ...axes, bytes: trial.figures.payloadBytes };
    cell = { verb, group, subject, axes: told, key, rounds: new Map() };
    cells.set(key, cell);
  }
  // Work that was done twice in one round counts twice, and only the first time has something to be set beside.
  let round = `${file}:${trial.round}`;
  while (cell.rounds.has(round)) round += "+";
  cell.rounds.set(round, trial.figures);
}

function makeGroup(cells: readonly Cell[]): Group {
  const { verb, group } = firstOf(cells);
  const own = cells.filter((cell) => cell.subject === OURS);
  const considered = own.length > 0 ? own : cells;
  const names = [...new Set(considered.flatMap((cell) => Object.keys(cell.axes)))];
  const differing = names.filter((axis) => valuesOf(considered, axis).length > 1);
  const varying = differing.filter(
    (axis) => !differing.some((other) => standsFor(considered, other, axis, names)),
  );
  const constant = Object.fromEntries(
    considered.flatMap(({ axes }) => Object.entries(axes)).filter(([axis]) => !differing.includes(axis)),
  );
  return { verb, name: group, cells, varying, constant };
}

/**
 * Whether each value of `name` stands for one value of `axis`, both being words: a way is one mode and one storage. Of two
 * that stand for each other the one that the trials tell first is kept.
 */
function standsFor(cells: readonly Cell[], name: string, axis: string, names: readonly string[]): boolean {
  const [words, others] = [valuesOf(cells, name), valuesOf(cells, axis)];
  if (name === axis || [...words, ...others].some((value) => typeof value !== "string")) return false;
  if (words.length < others.length) return false;
  if (words.length === others.length && names.indexOf(name) > names.indexOf(axis)) return false;
  const valuesFor = (word: AxisValue): AxisValue[] =>
    valuesOf(
      cells.filter((cell) => cell.axes[name] === word),
      axis,
    );
  return words.every((word) => valuesFor(word).length <= 1);
}

/** Undefined where no round has that figure. */
export function measure(cell: Cell, pick: (figures: LabFigures) => number | undefined): Measured | undefined {
  const values = [...cell.rounds.values()].map(pick).filter((value) => value !== undefined);
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    low: Math.min(...values),
    high: Math.max(...values),
    rounds: values.length,
  };
}

/** A cell has one round at least, so what every trial has is there; undefined for what no round has. */
export function measureFigure(cell: Cell, name: RequiredFigure): Measured;
export function measureFigure(cell: Cell, name: FigureName): Measured | undefined;
export function measureFigure(cell: Cell, name: FigureName): Measured | undefined {
  return measure(cell, (figures) => figures[name]);
}

/** Round by round; undefined where the two share no round that has the figure. */
export function compareCells(cell: Cell, base: Cell, name: FigureName): Comparison | undefined {
  const values: number[] = [];
  const bases: number[] = [];
  for (const [round, figures] of cell.rounds) {
    const value = figures[name];
    const beside = base.rounds.get(round)?.[name];
    if (value === undefined || beside === undefined || beside === 0) continue;
    values.push(value);
    bases.push(beside);
  }
  return values.length === 0 ? undefined : compare(values, bases);
}

/** The limit receives and ignores: it is the limit of work that does no more. */
function doesMore({ axes }: Cell): boolean {
  return axes["verify"] === true || !["null", undefined].includes(axes["storage"] as string | undefined);
}

/**
 * The limit that a cell is held against: the one of its group that agrees with it on every axis on which the group's limits
 * differ. Undefined where there is none: a limit of other work, such as of receiving alone where data is hashed, would make a
 * ratio that means nothing.
 */
export function limitOf(cell: Cell, group: Group): Cell | undefined {
  if (cell.subject === LIMIT || doesMore(cell)) return undefined;
  const limits = group.cells.filter((other) => other.subject === LIMIT);
  const matter = Object.keys(limits[0]?.axes ?? {}).filter(
    (axis) => new Set(limits.map((limit) => limit.axes[axis])).size > 1,
  );
  return limits.find((limit) =>
    matter.every((axis) => cell.axes[axis] === undefined || limit.axes[axis] === cell.axes[axis]),
  );
}

/** What tells a cell from the others of its group: "speculative, depth 16", "the limit", "libtorrent (posix)". */
export function cellName(cell: Cell, group: Group, leftOut: readonly string[] = []): string {
  const several = new Set(group.cells.map((other) => other.subject)).size > 1;
  const parts = group.varying
    .filter((axis) => !leftOut.includes(axis) && cell.axes[axis] !== undefined)
    .filter((axis) => !(axis === "depth" && !isSpeculative(cell.axes["mode"])))
    .map((axis) => axisName(axis, namedIn(cell.axes, axis)));
  const others = new Set(group.cells.map((other) => other.subject).filter((subject) => subject !== LIMIT));
  const subject = cell.subject === LIMIT ? "the limit" : cell.subject;
  const named = several && (cell.subject !== OURS || others.size > 1 || parts.length === 0);
  return [...(named ? [subject] : []), ...parts].join(", ") || subject;
}

/** Depth means something to the modes that guess. */
export function isSpeculative(mode: AxisValue | undefined): boolean {
  return mode === undefined || mode === "speculative" || mode === "adaptive";
}

export function valuesOf(cells: readonly Cell[], axis: string): AxisValue[] {
  const values = new Set(cells.map((cell) => cell.axes[axis]).filter((value) => value !== undefined));
  // Names stay in the order in which they were measured.
  const named = [...values].some((value) => typeof value === "string");
  return named ? [...values] : [...values].sort(compareValues);
}

/** "scatterwire", and "scatterwire (direct)". */
export function isOurs(subject: string): boolean {
  return subject === OURS || subject.startsWith(`${OURS} (`);
}

export function isReference(subject: string): boolean {
  return REFERENCES.includes(subject);
}

/** Of our own trials of the same work as `cell`, the one that costs least; undefined if there is none. */
export function ownBest(cell: Cell, cells: readonly Cell[]): Cell | undefined {
  const cost = (own: Cell): number => measureFigure(own, "cpuSecondsPerGB").median;
  return cells
    .filter((own) => isOurs(own.subject) && sameWork(cell, own))
    .sort((left, right) => cost(left) - cost(right))[0];
}

/** Axes that both have are equal: an axis that only we have, such as a mode, does not make it other work. */
export function sameWork(cell: Cell, own: Cell): boolean {
  return Object.entries(cell.axes).every(
    ([axis, value]) => own.axes[axis] === undefined || own.axes[axis] === value,
  );
}
