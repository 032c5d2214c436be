// The report for a terminal: the verdict and what it rests on. Where all is asked for, the tables come before it, so that the verdict
// is what stands above the prompt.

import type { Against } from "./against.js";
import type { Group } from "./cells.js";
import { capital, wrap } from "./english.js";
import type { SwarmFile } from "./read.js";
import { groupTables, type TableOptions, widthOf } from "./run-tables.js";
import { swarmSentences } from "./swarm-section.js";
import type { Verdict } from "./verdict.js";

export function reportText(
  verdict: Verdict,
  groups: readonly Group[],
  against: Against | undefined,
  options: TableOptions = {},
): string {
  const width = widthOf(options);
  const lines: string[] = options.verbose === true ? [...groupTables(groups, options), ""] : [];
  lines.push(wrap(verdict.lead, width));
  if (verdict.choices.length > 0) lines.push("");
  for (const { title, text, why, certainty } of verdict.choices) {
    const mark = certainty === "clear" ? "" : ` (${certainty === "tied" ? "a tie" : certainty})`;
    lines.push(wrap(`${capital(title)}: ${text}${mark}. ${why}`, width, "  "));
  }
  if (verdict.findings.length > 0)
    lines.push("", ...verdict.findings.map((text) => wrap(text, width, "  ", "- ")));
  if (against !== undefined) {
    lines.push(
      "",
      `Against ${against.name}`,
      ...against.sentences.map((text) => wrap(text, width, "  ", "- ")),
    );
  }
  lines.push("", ...verdict.caveats.map((text) => wrap(text, width)));
  return lines.join("\n");
}

/** What is said of swarms, in lines. */
export function swarmText(swarms: readonly SwarmFile[], width: number): string[] {
  return swarms
    .flatMap(({ results }) => swarmSentences(results.found))
    .map((text) => wrap(text, width, "  ", "- "));
}
