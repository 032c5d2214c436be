// The report for a terminal: the verdict, what it rests on, and the main columns of each table.

import type { Against } from "./against.js";
import { conditions } from "./axes.js";
import type { Group } from "./cells.js";
import { tableOf } from "./tables.js";
import { TextTable } from "./text-table.js";
import type { Verdict } from "./verdict.js";
import { capital, wrap } from "./words.js";

const WIDTH = 100;

export function reportText(verdict: Verdict, groups: readonly Group[], against: Against | undefined): string {
  const lines: string[] = [wrap(verdict.lead, WIDTH), ""];
  for (const { title, text, why, certainty } of verdict.choices) {
    const mark = certainty === "clear" ? "" : ` (${certainty === "tied" ? "a tie" : certainty})`;
    lines.push(wrap(`${capital(title)}: ${text}${mark}. ${why}`, WIDTH, "  "));
  }
  if (verdict.findings.length > 0)
    lines.push("", ...verdict.findings.map((text) => wrap(text, WIDTH, "  ", "- ")));
  if (against !== undefined) {
    lines.push(
      "",
      `Against ${against.name}`,
      ...against.sentences.map((text) => wrap(text, WIDTH, "  ", "- ")),
    );
  }
  lines.push("", ...verdict.caveats.map((text) => wrap(text, WIDTH)));
  for (const group of groups) lines.push("", groupTitle(group), groupTable(group));
  return lines.join("\n");
}

function groupTitle(group: Group): string {
  const constant = conditions(group.constant);
  return `${group.verb}, ${group.name}${constant === "" ? "" : ` (${constant})`}`;
}

function groupTable(group: Group): string {
  const { columns, rows } = tableOf(group);
  const shown = columns.map((column, index) => ({ ...column, index })).filter(({ main }) => main);
  const table = new TextTable({
    head: shown.map(({ title, unit }) => (unit === "" || unit.startsWith("×") ? title : `${title}\n${unit}`)),
    colAligns: shown.map(({ numeric }) => (numeric ? "right" : "left")),
    compact: true,
  });
  for (const { cells } of rows) {
    table.push(
      shown.map(({ index, title }) => {
        const { text, aside } = cells[index]!;
        // The spread of what the verdict rests on; more would not fit.
        return aside === undefined || title !== "CPU" ? text : `${text} ${aside}`;
      }),
    );
  }
  return table.toString();
}
