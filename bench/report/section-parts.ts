// What sections of the report that are not the lab's are built of: tables, bars, and a page for where there are no trials.

import type { RunAbout } from "../measuring/run-about.js";
import type { Machine } from "../measuring/workplace.js";
import { type Bar, drawBars } from "./bars.js";
import { Html, html } from "./html.js";
import type { Painter } from "./painter.js";
import { machineName } from "./read.js";
import { STYLE } from "./style.js";

export const OUR_COLOUR = "var(--accent)";
export const LIMIT_COLOUR = "var(--limit)";
export const OTHER_COLOUR = "var(--other)";
/** Pixels of a drawing in wide, middle and narrow windows: the style sheet shows one. */
const WIDTHS = { wide: 468, middle: 600, narrow: 330 } as const;

export interface Column {
  readonly title: string;
  readonly unit?: string;
  readonly numeric?: boolean;
}

export function sectionTable(
  label: string,
  columns: readonly Column[],
  rows: readonly (readonly (string | Html)[])[],
): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of ${label}"><table>
<thead><tr>${columns.map(({ title, unit, numeric }) => html`<th scope="col" class="${numeric === true ? "number" : "name"}">${title}<span>${unit}</span></th>`)}</tr></thead>
<tbody>${rows.map(
    (cells) =>
      html`<tr>${cells.map((cell, column) =>
        column === 0
          ? html`<th scope="row" class="name">${cell}</th>`
          : html`<td class="${columns[column]?.numeric === true ? "number" : "name"}">${cell}</td>`,
      )}</tr>
`,
  )}</tbody>
</table></div>`;
}

/** `where`: what the bars were measured under, without a full stop. */
export function barsFigure(
  painter: Painter,
  { title, where, unit, bars }: { title: string; where: string; unit: string; bars: readonly Bar[] },
): Html {
  const options = { title, description: `${title}: ${where}`, unit, bars };
  return html`<figure class="half">
<h3>${title}</h3>
<figcaption><p>${where}.</p></figcaption>
${Object.entries(WIDTHS).map(
  ([size, width]) =>
    html`<div class="drawing ${size}">${new Html(drawBars(painter, options, width).svg)}</div>`,
)}
</figure>`;
}

export interface SectionsPage {
  /** "trackers": what it is about. */
  readonly subject: string;
  readonly about: RunAbout;
  /** One sentence. */
  readonly lead: string;
  readonly sections: readonly Html[];
  readonly commands: readonly string[];
}

/** A page of sections alone. */
export function sectionsPage({ subject, about, lead, sections, commands }: SectionsPage): string {
  const { machine, startedAt, version } = about;
  return wholePage(
    `scatterwire bench, ${subject}: ${machine.cpu}`,
    version,
    html`<header>
${eyebrow(machine, startedAt, subject)}
<h1>${lead}</h1>
</header>
<main>
${sections}
<h2>The commands</h2>
<pre>${commands.join("\n")}</pre>
</main>`,
  );
}

/** Above the head line: what measured, where and when. */
export function eyebrow(machine: Machine, startedAt: string, subject?: string): Html {
  const about = subject === undefined ? "" : `${subject} · `;
  return html`<p class="eyebrow"><b>scatterwire bench</b> · ${about}${machineName(machine)} · ${machine.system} · Node ${machine.node} · ${dateOf(startedAt)}</p>`;
}

/** A whole page, which loads nothing from anywhere: `body` is all but its last line, which says what wrote it. */
export function wholePage(title: string, version: string, body: Html): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
${body}
<footer class="soft small">scatterwire ${version} · this file loads nothing from anywhere and may be passed on as it is</footer>
</body>
</html>
`;
  return page.text;
}

/** An ISO time to the minute; what is none stays as it is. */
export function dateOf(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
