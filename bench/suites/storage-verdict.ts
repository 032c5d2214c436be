// The answer to the open question, in plain words, from the trials alone: what the mapping saves or costs beside the pool, and
// beside copying into the mapping, in every condition that was measured.

import { type GroupRow, groupsOf } from "../measuring/groups.js";
import type { LabResults } from "../measuring/results.js";
import { LIMIT } from "../measuring/scenario.js";
import { type Comparison, median } from "../measuring/statistics.js";
import { compareRows } from "../report/run-tables.js";

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

/** Lines for the terminal; empty where the ways were not measured beside each other. */
export function storageVerdict(results: LabResults): string[] {
  const findings = groupsOf(results.trials)
    .filter(({ name }) => name.startsWith("mapped-"))
    .flatMap(({ rows }) => findingsOf(rows));
  if (findings.length === 0) return [];
  const lines = ["Is receiving straight into a mapped file cheaper?"];
  for (const [rival, words] of RIVALS) {
    const beside = findings.filter((finding) => finding.rival === rival);
    if (beside.length === 0) continue;
    const sure = beside.filter(({ comparison }) => comparison.sure);
    const cheaper = sure.filter(({ comparison }) => comparison.ratio < 1).length;
    const dearer = sure.length - cheaper;
    const open = beside.length - sure.length;
    lines.push(
      `  Than ${words}: in ${beside.length} conditions, cheaper in ${cheaper}, dearer in ${dearer}, not told apart in ${open}.`,
      ...beside.map(describeFinding),
    );
  }
  lines.push(
    "  CPU is that of the process: what the kernel's own threads spend on writing pages back to a disk later is not in it.",
  );
  return lines;
}

function findingsOf(rows: readonly GroupRow[]): Finding[] {
  const findings: Finding[] = [];
  for (const mapped of rows.filter(({ axes }) => axes["way"] === MAPPED)) {
    for (const [rival] of RIVALS) {
      const beside = rows.find(
        (row) => row.subject !== LIMIT && row.axes["way"] === rival && sameCondition(row, mapped),
      );
      const comparison = beside && compareRows(mapped, beside, "cpuSecondsPerGB");
      if (beside === undefined || comparison === undefined) continue;
      const where = conditionOf(mapped);
      findings.push({ rival, where, comparison, mappedCost: costOf(mapped), rivalCost: costOf(beside) });
    }
  }
  return findings;
}

function sameCondition(row: GroupRow, other: GroupRow): boolean {
  return ["where", "file", "verify"].every((axis) => row.axes[axis] === other.axes[axis]);
}

function conditionOf({ axes }: GroupRow): string {
  const place = axes["where"] === "disk" ? "disk, durable" : "memory file system";
  return `${place}, file ${axes["file"]}, ${axes["verify"] === true ? "hashed" : "not hashed"}`;
}

function costOf({ rounds }: GroupRow): number {
  return median([...rounds.values()].map(({ cpuSecondsPerGB }) => cpuSecondsPerGB));
}

function describeFinding({ where, comparison, mappedCost, rivalCost }: Finding): string {
  const { ratio, low, high, sure, why } = comparison;
  const percent = Math.abs(100 * (ratio - 1)).toFixed(0);
  const verdict = sure
    ? `${percent} % ${ratio < 1 ? "cheaper" : "dearer"} (${low.toFixed(2)} to ${high.toFixed(2)} ×)`
    : `not told apart: ${why}`;
  return `    ${where}: ${mappedCost.toFixed(3)} beside ${rivalCost.toFixed(3)} CPU s/GB, ${verdict}.`;
}
