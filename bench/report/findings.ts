// Answers to the questions that the lab was built for, each a sentence or two with its figures. A question that the trials
// do not touch is left out.

import { there } from "../measuring/ends.js";
import { COST_NAMES, type CostSplit } from "../measuring/results.js";
import { type AxisValue, conditions } from "./axes.js";
import {
  type Cell,
  cellName,
  compareCells,
  type Group,
  isOurs,
  isReference,
  limitOf,
  measure,
  measureFigure,
  OURS,
  ownBest,
  sameWork,
} from "./cells.js";
import { crossingData } from "./crossing.js";
import { capital, groupWords, list } from "./english.js";
import { leadingSlice, MATERIAL, rank, type Slice, slicesOf, WITH_STORAGE } from "./ranking.js";
import { cpuText, howMuchMore, percent, ratioText, speedText } from "./words.js";

/** Fewer bytes than this part are what a mode copies by chance, where a guess was wrong. */
const COPIES_NOTHING = 0.005;

type Chosen = Readonly<Record<string, AxisValue>>;

export function findings(groups: readonly Group[], chosen: Chosen): string[] {
  const alone = chosen["mode"] === undefined ? { ...chosen, ...cheapestMode(groups) } : chosen;
  return [
    copyFinding(groups, alone),
    splitFinding(groups, alone),
    limitFinding(groups, alone),
    ...(crossingData(groups)?.sentences ?? []),
    mappedFinding(groups),
    directFinding(groups),
    ...compareFindings(groups),
  ].filter((text) => text !== "");
}

/** Where nothing was hashed and stored no mode is recommended; what receiving alone costs is told of the cheapest one. */
function cheapestMode(groups: readonly Group[]): Chosen {
  const slice = leadingSlice(
    groups.filter(({ verb }) => verb === "receive").flatMap((group) => slicesOf(group, "mode", ["depth"])),
    {},
  );
  const best = slice === undefined ? undefined : rank(slice, "cpuSecondsPerGB")[0];
  return best === undefined ? {} : { mode: best.value };
}

/** The one copy of `contiguous` against the cheapest mode that makes none. */
function copyFinding(groups: readonly Group[], chosen: Chosen): string {
  const slices = groups
    .filter(({ verb }) => verb === "receive")
    .flatMap((group) => slicesOf(group, "mode", ["depth"]))
    .filter(({ cells }) => cells.some((cell) => cell.axes["mode"] === "contiguous"));
  const slice = leadingSlice(slices, chosen);
  if (slice === undefined) return "";
  const ranking = rank(slice, "cpuSecondsPerGB");
  const copying = there(ranking.find(({ value }) => value === "contiguous"));
  const other = ranking.find(({ value }) => value === "speculative" || value === "scatter");
  const comparison =
    other === undefined ? undefined : compareCells(copying.cell, other.cell, "cpuSecondsPerGB");
  if (other === undefined || comparison === undefined) return "";
  const copied = measureFigure(other.cell, "copiedBytesPerByte")?.median ?? 0;
  const which = `${other.value}, which copies ${copied < COPIES_NOTHING ? "nothing" : `${percent(copied)} % of its bytes`}`;
  const where = conditions(slice.shared);
  const told = where === "" ? "" : ` (${where})`;
  if (!comparison.sure)
    return `Receiving into one buffer and copying cannot be told from ${which}${told}: ${comparison.why}.`;
  const { ratio } = comparison;
  const much = ratio >= 2 || ratio <= 0.5 ? `${howMuchMore(ratio)} as` : `${howMuchMore(ratio)} than`;
  return `Receiving into one buffer and copying costs ${much} ${which}${told}: ${ratioText(comparison)} its CPU.`;
}

/** What the chosen mode spends its time on, where costs were split and nothing else was done. */
function splitFinding(groups: readonly Group[], chosen: Chosen): string {
  const cell = groups
    .filter(({ verb }) => verb === "receive")
    .flatMap((group) => group.cells)
    .find(
      ({ axes, subject, rounds }) =>
        subject === OURS &&
        axes["mode"] === chosen["mode"] &&
        (axes["storage"] ?? "null") === "null" &&
        axes["verify"] !== true &&
        [...rounds.values()].every(({ costs }) => costs !== undefined),
    );
  if (cell === undefined || chosen["mode"] === undefined) return "";
  const partOf = (name: keyof CostSplit): number => there(measure(cell, ({ costs }) => costs?.[name])).median;
  // Medians of parts do not add up to the median of the whole: shares are of what they add up to.
  const sum = COST_NAMES.reduce((total, name) => total + partOf(name), 0);
  if (sum <= 0) return "";
  const share = (name: keyof CostSplit): string => `${percent(partOf(name) / sum)} %`;
  const total = measureFigure(cell, "cpuSecondsPerGB").median;
  return `Of the ${cpuText(total)} that receiving costs with ${chosen["mode"]}, ${share("kernel")} is the kernel's receive calls, ${share("copying")} copying and ${share("framing")} TypeScript, V8 and libuv.`;
}

function limitFinding(groups: readonly Group[], chosen: Chosen): string {
  const found = chosenCell(groups, chosen);
  if (found === undefined) return "";
  const limit = limitOf(found.cell, found.group);
  const comparison = limit === undefined ? undefined : compareCells(found.cell, limit, "cpuSecondsPerGB");
  if (comparison === undefined) return "";
  const mode = capital(String(found.cell.axes["mode"]));
  if (!comparison.sure) return `${mode} cannot be told from the limit: ${comparison.why}.`;
  return `${mode} costs ${ratioText(comparison)} the limit, which receives the same stream into one buffer and ignores it.`;
}

/** The chosen mode where modes are compared. */
function chosenCell(groups: readonly Group[], chosen: Chosen): { cell: Cell; group: Group } | undefined {
  const slices = groups
    .filter(({ verb }) => verb === "receive")
    .flatMap((group) => slicesOf(group, "mode", ["depth"]));
  const slice = leadingSlice(slices, chosen);
  if (slice === undefined) return undefined;
  const ranked = rank(slice, "cpuSecondsPerGB").find(({ value }) => value === chosen["mode"]);
  return ranked === undefined ? undefined : { cell: ranked.cell, group: slice.group };
}

/** Receiving straight into a mapped file, against receiving into the pool and writing. */
function mappedFinding(groups: readonly Group[]): string {
  const counts = { cheaper: [] as string[], dearer: [] as string[], even: [] as string[] };
  const slices = groups
    .filter(({ verb }) => verb === "receive" || verb === "storage")
    .flatMap((group) => slicesOf(group, "storage", WITH_STORAGE))
    // What is received contiguously is copied into the mapping: that is another question.
    .filter(({ shared }) => shared["mode"] !== "contiguous");
  const common = commonAxes(slices);
  for (const slice of slices) {
    const { shared, group } = slice;
    const ranking = rank(slice, "cpuSecondsPerGB");
    const [mapped, file] = ["mapped", "file"].map(
      (kind) => ranking.find(({ value }) => value === kind)?.cell,
    );
    const comparison =
      mapped === undefined || file === undefined ? undefined : compareCells(mapped, file, "cpuSecondsPerGB");
    if (comparison === undefined) continue;
    const where = conditions(shared, common) || `the group "${groupWords(group.name)}"`;
    const text = `${where} (${comparison.ratio.toFixed(2)} ×)`;
    if (!comparison.sure || Math.abs(comparison.ratio - 1) < MATERIAL) counts.even.push(text);
    else counts[comparison.ratio < 1 ? "cheaper" : "dearer"].push(text);
  }
  const total = counts.cheaper.length + counts.dearer.length + counts.even.length;
  if (total === 0) return "";
  const part = (word: string, texts: readonly string[]): string =>
    texts.length === 0
      ? ""
      : `${word} under ${total === 1 ? "the one set" : `${texts.length} of ${total} sets`} of conditions that ${total === 1 ? "was" : "were"} measured, ${texts.length > 2 ? "such as " : ""}${list(texts.slice(0, 2))}`;
  const parts = [
    part("cheaper", counts.cheaper),
    part("dearer", counts.dearer),
    part(`no difference beyond noise or ${MATERIAL * 100} %`, counts.even),
  ];
  return `Receiving straight into a mapped file, against the pool and pwritev: ${parts.filter((text) => text !== "").join("; ")}.`;
}

/** What is the same wherever it was measured goes without saying. */
function commonAxes(slices: readonly Slice[]): string[] {
  const all = [...new Set(slices.flatMap(({ shared }) => Object.keys(shared)))];
  return all.filter((axis) => new Set(slices.map(({ shared }) => shared[axis])).size === 1);
}

/** How long runs must be before O_DIRECT pays: the fastest and the slowest of them. */
function directFinding(groups: readonly Group[]): string {
  const slices = groups
    .filter(({ verb }) => verb === "storage" || verb === "receive")
    .flatMap((group) => slicesOf(group, "writeRunBytes"))
    .filter(({ shared }) => shared["storage"] === "direct");
  const slice = leadingSlice(slices, {});
  if (slice === undefined) return "";
  const ranking = rank(slice, "bytesPerSecond", "more");
  const best = ranking[0];
  const worst = ranking.findLast(({ tied }) => !tied);
  if (best === undefined || worst === undefined)
    return `Among the run lengths measured, no difference in the speed of O_DIRECT is beyond noise and ${MATERIAL * 100} %.`;
  const speed = (cell: Cell): string => speedText(measureFigure(cell, "bytesPerSecond").median);
  const name = (cell: Cell): string => cellName(cell, slice.group);
  return `Run length decides how fast O_DIRECT is: ${name(worst.cell)} ${speed(worst.cell)}, ${name(best.cell)} ${speed(best.cell)}.`;
}

/** Us beside the best of the others, by CPU and by speed, for each kind of work. */
export function compareFindings(groups: readonly Group[]): string[] {
  return groups.filter(({ verb }) => verb === "compare").flatMap(compareGroup);
}

function compareGroup(group: Group): string[] {
  const texts: string[] = [];
  for (const own of group.cells.filter(
    (cell) => isOurs(cell.subject) && ownBest(cell, group.cells) === cell,
  )) {
    const same = group.cells.filter(
      (cell) => !isOurs(cell.subject) && !isReference(cell.subject) && sameWork(cell, own),
    );
    const best = (figure: "cpuSecondsPerGB" | "bytesPerSecond", direction: 1 | -1): Cell | undefined =>
      [...same].sort(
        (left, right) =>
          direction * (measureFigure(left, figure).median - measureFigure(right, figure).median),
      )[0];
    const thrifty = best("cpuSecondsPerGB", 1);
    const fast = best("bytesPerSecond", -1);
    if (thrifty === undefined || fast === undefined) continue;
    const cost = compareCells(own, thrifty, "cpuSecondsPerGB");
    const speed = compareCells(own, fast, "bytesPerSecond");
    if (cost === undefined || speed === undefined) continue;
    const where = conditions(own.axes, Object.keys(group.constant));
    const beside =
      thrifty === fast
        ? `of ${thrifty.subject}, both the cheapest and the fastest of the others, at ${speed.ratio.toFixed(2)} × its speed`
        : `of ${thrifty.subject}, the cheapest of the others, at ${speed.ratio.toFixed(2)} × the speed of ${fast.subject}, the fastest of them`;
    texts.push(
      `${capital(groupWords(group.name))}${where === "" ? "" : `, ${where}`}: ${own.subject} takes ${cost.ratio.toFixed(2)} × the CPU ${beside}.${doubtOf(cost.sure, speed.sure, own.rounds.size)}`,
    );
  }
  return texts;
}

/** Says which of the two ratios is no more than a hint. */
function doubtOf(costIsSure: boolean, speedIsSure: boolean, rounds: number): string {
  if (costIsSure && speedIsSure) return "";
  const by = rounds === 1 ? "the one round" : `the ${rounds} rounds`;
  if (!costIsSure && !speedIsSure) return ` Neither ratio can be told from noise by ${by} measured.`;
  return ` The ratio of ${costIsSure ? "speed" : "CPU"} cannot be told from noise by ${by} measured.`;
}
