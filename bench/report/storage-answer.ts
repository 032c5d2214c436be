// The answer to the open question, in plain words, from the trials alone: what the mapping saves or costs beside the pool, and
// beside copying into the mapping, in every condition that was measured.

import type { Comparison } from "../measuring/statistics.js";
import { axisPhrase } from "./axes.js";
import { type Cell, compareCells, type Group, measureFigure } from "./cells.js";

const MAPPED = "into the mapping";
const RIVALS = [
  ["pool, pwritev", "receiving into the pool and pwritev"],
  ["contiguous, copied to the mapping", "receiving contiguously and copying into the mapping"],
] as const;

interface Finding {
  readonly rival: string;
  readonly where: string;
  readonly comparison: Comparison;
  readonly mappedCost: number;
  readonly rivalCost: number;
}

/** Groups whose question this is. */
export function asksStorageQuestion({ verb, name }: Group): boolean {
  return verb === "storage" && name.startsWith("mapped-");
}

/** Lines for the terminal; empty where the ways were not measured beside each other. */
export function storageAnswer(groups: readonly Group[]): string[] {
  const findings = groups.filter(asksStorageQuestion).flatMap(({ cells }) => findingsOf(cells));
  if (findings.length === 0) return [];
  const lines = ["Is receiving straight into a mapped file cheaper?"];
  for (const [rival, words] of RIVALS) {
    const beside = findings.filter((finding) => finding.rival === rival);
    if (beside.length === 0) continue;
    const sure = beside.filter(({ comparison }) => comparison.sure);
    const cheaper = sure.filter(({ comparison }) => comparison.ratio < 1).length;
    const dearer = sure.length - cheaper;
    const open = beside.length - sure.length;
    const conditions = `${beside.length} condition${beside.length === 1 ? "" : "s"}`;
    lines.push(
      `  Than ${words}: in ${conditions}, cheaper in ${cheaper}, dearer in ${dearer}, not told apart in ${open}.`,
      ...beside.map(describeFinding),
    );
  }
  lines.push(
    "  CPU is that of the process: what the kernel's own threads spend on writing pages back to a disk later is not in it.",
  );
  return lines;
}

function findingsOf(cells: readonly Cell[]): Finding[] {
  const findings: Finding[] = [];
  for (const mapped of cells.filter(({ axes }) => axes["way"] === MAPPED)) {
    for (const [rival] of RIVALS) {
      const beside = cells.find((cell) => cell.axes["way"] === rival && sameCondition(cell, mapped));
      const comparison = beside && compareCells(mapped, beside, "cpuSecondsPerGB");
      if (beside === undefined || comparison === undefined) continue;
      const where = conditionOf(mapped);
      findings.push({ rival, where, comparison, mappedCost: costOf(mapped), rivalCost: costOf(beside) });
    }
  }
  return findings;
}

const CONDITIONS = ["where", "file", "verify", "bytes"];

function sameCondition(cell: Cell, other: Cell): boolean {
  return CONDITIONS.every((axis) => cell.axes[axis] === other.axes[axis]);
}

function conditionOf({ axes }: Cell): string {
  const place = axes["where"] === "disk" ? "disk, durable" : "memory file system";
  return `${place}, ${axisPhrase("file", axes["file"] ?? "")}, ${axisPhrase("verify", axes["verify"] === true)}`;
}

function costOf(cell: Cell): number {
  return measureFigure(cell, "cpuSecondsPerGB").median;
}

function describeFinding({ where, comparison, mappedCost, rivalCost }: Finding): string {
  const { ratio, low, high, sure, why } = comparison;
  const percent = Math.abs(100 * (ratio - 1)).toFixed(0);
  const verdict = sure
    ? `${percent} % ${ratio < 1 ? "cheaper" : "dearer"} (${low.toFixed(2)} to ${high.toFixed(2)} ×)`
    : `not told apart: ${why}`;
  return `    ${where}: ${mappedCost.toFixed(3)} beside ${rivalCost.toFixed(3)} CPU s/GB, ${verdict}.`;
}
