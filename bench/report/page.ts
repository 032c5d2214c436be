// The report as one HTML file that loads nothing: the verdict, the plots, the tables, and all that is needed to measure it
// again. It works without scripts; the widths of the plots are chosen by the style sheet.

import { entryOf, firstOf, namedIn } from "../measuring/ends.js";
import { COST_NAMES } from "../measuring/results.js";
import { type Against, type Change, isChange } from "./against.js";
import { binaryBytes, conditions } from "./axes.js";
import { drawBars } from "./bars.js";
import type { Group } from "./cells.js";
import type { CrossingData } from "./crossing.js";
import { dhtSections } from "./dht-section.js";
import { capital, counted, groupWords } from "./english.js";
import { extrasOf } from "./extras.js";
import { crossingPlan, type Plan, plansOf } from "./figures.js";
import { Html, html } from "./html.js";
import { drawLines } from "./lines.js";
import type { Painter } from "./painter.js";
import { MATERIAL } from "./ranking.js";
import { type DhtFile, machineName, type ResultsFile, type SwarmFile, type TrackerFile } from "./read.js";
import { dateOf, eyebrow, wholePage } from "./section-parts.js";
import { swarmSections } from "./swarm-section.js";
import { type TableCell, tableOf } from "./tables.js";
import { trackerSections } from "./tracker-page.js";
import type { Choice, Verdict } from "./verdict.js";
import { FIGURES, significant } from "./words.js";

export interface ReportContent {
  readonly files: readonly ResultsFile[];
  readonly trackers: readonly TrackerFile[];
  readonly swarms: readonly SwarmFile[];
  readonly dhts: readonly DhtFile[];
  readonly groups: readonly Group[];
  readonly verdict: Verdict;
  readonly crossing: CrossingData | undefined;
  readonly against: Against | undefined;
}

/** Widths in pixels of the drawings for wide, middle and narrow windows: what a figure's inside measures there. */
const FULL_WIDTHS = [990, 600, 330] as const;
const HALF_WIDTHS = [468, 600, 330] as const;
/** Rows of the table of changes that are shown without being asked for. */
const CHANGES_OPEN_MAX = 12;
const SIZES = ["wide", "middle", "narrow"] as const;

const VERB_TITLES: Readonly<Record<string, string>> = {
  receive: "Receiving",
  storage: "Storing",
  seed: "Seeding",
  compare: "Beside the others",
  wan: "Far peers",
};

export function reportPage(content: ReportContent, painter: Painter): string {
  const { files, verdict, against, groups } = content;
  const verbs = [...new Set(groups.map(({ verb }) => verb))];
  const { machine, version } = firstOf(files).results;
  const body = html`${head(files, verdict)}
<main>
${against === undefined ? undefined : againstSection(against)}
${findingsSection(verdict)}
${verbs.map((verb) => verbSection(verb, content, painter))}
${swarmSections(content.swarms, painter)}
${dhtSections(content.dhts, painter)}
${trackerSections(content.trackers, painter)}
<h2 id="tables">Tables</h2>
<p class="soft">The figures of all plots, and more. Large: the median of the rounds; small: half the distance between the lowest and the highest round, or, for a ratio, both extremes of the rounds.</p>
${groups.map((group, index) => tableSection(group, index))}
${machineSection(content)}
${extrasSections(files)}
${omissionSection(files)}
${readingSection()}
</main>`;
  return wholePage(`scatterwire bench: ${machine.cpu}`, version, body);
}

function head(files: readonly ResultsFile[], verdict: Verdict): Html {
  const { machine, startedAt } = firstOf(files).results;
  return html`<header>
${eyebrow(machine, startedAt)}
<h1>${verdict.lead}</h1>
${verdict.choices.length === 0 ? undefined : html`<dl class="settings">${verdict.choices.map(settingRow)}</dl>`}
<p class="soft small caveats">${verdict.caveats.join(" ")}</p>
</header>`;
}

const MARKS: Readonly<Record<Choice["certainty"], string>> = {
  clear: "clear",
  tied: "a tie",
  uncertain: "uncertain",
};

function settingRow({ title, text, option, why, where, certainty }: Choice): Html {
  return html`<div><dt>${capital(title)}</dt><dd class="value">${text}<code>${option}</code></dd><dd class="why"><span class="mark ${certainty}">${MARKS[certainty]}</span>${why}${where === "" ? undefined : html`<span class="where">${capital(where)}.</span>`}</dd></div>`;
}

function findingsSection({ findings }: Verdict): Html | undefined {
  if (findings.length === 0) return undefined;
  return html`<h2>What the figures say</h2>
<ul class="findings">${findings.map((finding) => html`<li>${finding}</li>`)}</ul>`;
}

function verbSection(verb: string, { groups, crossing }: ReportContent, painter: Painter): Html {
  const figures: Html[] = [];
  const places = groups.map((group, index) => ({ group, index })).filter(({ group }) => group.verb === verb);
  // What the costs consist of comes first: it explains the rest.
  places.sort((left, right) => Number(hasCosts(right.group)) - Number(hasCosts(left.group)));
  for (const { group, index } of places) {
    const plans = plansOf(group);
    const alone = plans.length === 1 && (verb === "receive" || firstOf(plans).kind === "bars");
    for (const plan of plans) figures.push(figure(painter, plan, group, `table-${index}`, alone));
  }
  if (verb === "receive" && crossing !== undefined) {
    figures.splice(Math.min(1, figures.length), 0, crossingFigure(painter, crossing));
  }
  return html`<h2>${VERB_TITLES[verb] ?? capital(verb)}</h2>
<div class="plots">${figures}</div>`;
}

function hasCosts({ cells }: Group): boolean {
  return cells.some(({ rounds }) => [...rounds.values()].some(({ costs }) => costs !== undefined));
}

function figure(painter: Painter, plan: Plan, group: Group, table: string, alone: boolean): Html {
  const full = alone && plan.kind === "bars";
  const constant = conditions(group.constant);
  const split = plan.kind === "bars" && plan.options.bars.some(({ costs }) => costs !== undefined);
  return html`<figure class="${full ? "full" : "half"}">
<h3>${plan.options.title}</h3>
<figcaption><p>${capital(groupWords(group.name))}${constant === "" ? "" : `: ${constant}`}. <a href="#${table}">Table</a></p>
${split ? costKey(plan) : undefined}</figcaption>
${drawings(painter, plan, full)}
</figure>`;
}

function crossingFigure(painter: Painter, crossing: CrossingData): Html {
  return html`<figure class="full">
<h3>System calls against copying</h3>
<figcaption><p>As one receive call brings more bytes, calls get rarer, and a mode that copies pays for the copy alone. ${crossing.where === "" ? "" : `${capital(crossing.where)}.`}</p>
${crossing.sentences.map((sentence) => html`<p>${sentence}</p>`)}</figcaption>
${drawings(painter, crossingPlan(crossing), true)}
</figure>`;
}

function costKey(plan: Plan): Html {
  const bars = plan.kind === "bars" ? plan.options.bars : [];
  const shown = COST_NAMES.filter((cost) => bars.some(({ costs }) => (costs?.[cost] ?? 0) > 0));
  return html`<ul class="key">${shown.map((cost) => html`<li style="--swatch: var(--cost-${cost})">${cost}</li>`)}</ul>`;
}

/** The same plot for three widths of window: the style sheet shows one, and hides the others from screen readers too. */
function drawings(painter: Painter, plan: Plan, full: boolean): Html[] {
  const widths = full ? FULL_WIDTHS : HALF_WIDTHS;
  return SIZES.map((size, index) => {
    const width = entryOf(widths, index);
    const { svg } =
      plan.kind === "bars" ? drawBars(painter, plan.options, width) : drawLines(painter, plan.options, width);
    return html`<div class="drawing ${size}">${new Html(svg)}</div>`;
  });
}

function tableSection(group: Group, index: number): Html {
  const { columns, rows } = tableOf(group);
  const constant = conditions(group.constant);
  const title = `${VERB_TITLES[group.verb] ?? capital(group.verb)}: ${groupWords(group.name)}`;
  return html`<h3 id="table-${index}">${title}</h3>
${constant === "" ? undefined : html`<p class="soft small">${capital(constant)}.</p>`}
<div class="scroll" tabindex="0" role="region" aria-label="Table of ${title}"><table>
<thead><tr>${columns.map(({ title: name, unit, numeric }) => html`<th scope="col" class="${numeric ? "number" : "name"}">${capital(name)}<span>${unit}</span></th>`)}</tr></thead>
<tbody>${rows.map(
    ({ cells, strong }) =>
      html`<tr class="${strong ? "strong" : "plain"}">${cells.map((cell, column) => tableCell(cell, entryOf(columns, column).numeric, column === 0))}</tr>
`,
  )}</tbody>
</table></div>`;
}

function tableCell({ text, aside }: TableCell, numeric: boolean, first: boolean): Html {
  const look = numeric ? "number" : "name";
  const inside = html`${text}${aside === undefined ? undefined : html` <small>${aside}</small>`}`;
  return first
    ? html`<th scope="row" class="${look}">${inside}</th>`
    : html`<td class="${look}">${inside}</td>`;
}

function againstSection({ name, changes, sentences, onlyAfter, onlyBefore }: Against): Html {
  const alone = [
    onlyAfter > 0 ? `${onlyAfter} measured only here` : "",
    onlyBefore > 0 ? `${onlyBefore} only there` : "",
  ].filter((text) => text !== "");
  return html`<h2>Against ${name}</h2>
<ul class="findings">${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul>
<p class="soft small">Ratios are medians here ÷ medians there; in brackets the furthest that two rounds lie from it. In limits: the ratio once each figure is divided by the limit of its own file, so that a machine that changed does not count. Beyond noise: every round of one lies below every round of the other.${alone.length === 0 ? "" : ` Not compared: ${alone.join(", ")}.`}</p>
${changedTables(changes.filter(isChange))}
${changeTable(
  "Not changed, or not beyond noise",
  changes.filter((change) => !isChange(change)),
  false,
)}`;
}

/** The largest changes first, and where they are many only those: what the figures say should not be screens away. */
function changedTables(changes: readonly Change[]): Html {
  // As far as the ratio is shown: of those that are shown alike the order is that of the groups.
  const size = ({ ratio }: Change): number => Math.round(100 * Math.abs(Math.log(ratio)));
  const sorted = [...changes].sort((left, right) => size(right) - size(left));
  const title = "Changed beyond noise";
  if (changes.length <= CHANGES_OPEN_MAX) return html`${changeTable(title, sorted, true)}`;
  return html`${changeTable(`${title}, the largest of ${changes.length}`, sorted.slice(0, CHANGES_OPEN_MAX), true)}
${changeTable(`${title}, the others`, sorted.slice(CHANGES_OPEN_MAX), false)}`;
}

function changeTable(title: string, changes: readonly Change[], open: boolean): Html | undefined {
  if (changes.length === 0) return undefined;
  return html`<details${open ? new Html(" open") : undefined}><summary>${title}: ${counted(changes.length, "figure")}</summary>
<div class="scroll" tabindex="0" role="region" aria-label="${title}"><table>
<thead><tr><th scope="col">Work</th><th scope="col">Subject</th><th scope="col">Figure</th><th scope="col" class="number">There</th><th scope="col" class="number">Here</th><th scope="col" class="number">Ratio<span>× (rounds)</span></th><th scope="col" class="number">In limits<span>×</span></th><th scope="col">Beyond noise</th></tr></thead>
<tbody>${changes.map(changeRow)}</tbody>
</table></div></details>`;
}

function changeRow(change: Change): Html {
  const words = namedIn(FIGURES, change.figure);
  const better = words.better === "less" ? change.ratio < 1 : change.ratio > 1;
  const { sure, ratioInLimits } = change;
  // What changed by as much as the limit did is the machine's, and no news of ours.
  const asLimit = ratioInLimits !== undefined && Math.abs(ratioInLimits - 1) < MATERIAL;
  const verdict = !sure ? "no" : asLimit ? "as the limit" : better ? "better" : "worse";
  return html`<tr class="${sure && !asLimit ? "sure" : "unsure"} ${better ? "less" : "more"}"><th scope="row" class="wrap">${change.verb} ${groupWords(change.group)}${change.where === "" ? "" : `, ${change.where}`}</th><td>${change.subject}</td><td>${words.title}, ${words.unit}</td><td class="number">${words.format(change.before.median)}</td><td class="number">${words.format(change.after.median)}</td><td class="number">${change.ratio.toFixed(2)} <small>${change.low.toFixed(2)} to ${change.high.toFixed(2)}</small></td><td class="number">${ratioInLimits?.toFixed(2)}</td><td class="verdict">${verdict}</td></tr>
`;
}

type RunTimes = Pick<ResultsFile["results"], "startedAt" | "endedAt" | "version">;

function machineSection({ files, trackers, swarms, dhts }: ReportContent): Html {
  const { machine } = firstOf(files).results;
  const others = [...swarms, ...dhts, ...trackers];
  return html`<h2>The machine, and the commands</h2>
<dl class="facts">
<dt>Processor</dt><dd>${machineName(machine)}</dd>
<dt>Memory</dt><dd>${binaryBytes(machine.memoryBytes)}</dd>
<dt>System</dt><dd>${machine.system}</dd>
<dt>Node.js</dt><dd>${machine.node}</dd>
${files.map(({ path, results }) => fileRow(path, `${counted(results.trials.length, "trial")}, `, results))}
${others.map(({ path, results }) => fileRow(path, "", results))}
</dl>
<pre>${[...files.flatMap(({ results }) => results.commands), ...others.map(({ results }) => results.command)].join("\n")}</pre>`;
}

function fileRow(path: string, trials: string, { startedAt, endedAt, version }: RunTimes): Html {
  return html`<dt>${path}</dt><dd>${trials}${dateOf(startedAt)} to ${dateOf(endedAt)}, scatterwire ${version}</dd>`;
}

function extrasSections(files: readonly ResultsFile[]): Html[] {
  const { idle, settings } = extrasOf(files);
  const sections: Html[] = [];
  if (idle.length > 0) {
    sections.push(html`<h2>Connections that say nothing</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of idle connections"><table>
<thead><tr><th scope="col">Subject</th><th scope="col" class="number">Connections</th><th scope="col" class="number">Memory each<span>bytes</span></th><th scope="col" class="number">CPU<span>% of one core</span></th><th scope="col" class="number">Rounds</th></tr></thead>
<tbody>${idle.map((row) => html`<tr><th scope="row">${row.subject}</th><td class="number">${significant(row.peers)}</td><td class="number">${significant(row.bytesPerPeer)} <small>${significant(row.bytesLow)} to ${significant(row.bytesHigh)}</small></td><td class="number">${(100 * row.cpuShare).toFixed(2)}</td><td class="number">${row.rounds}</td></tr>`)}</tbody>
</table></div>`);
  }
  if (settings.length > 0) {
    sections.push(html`<h2>How each program was set</h2>
<dl class="facts">${settings.map(([subject, text]) => html`<dt>${subject}</dt><dd><code>${text}</code></dd>`)}</dl>`);
  }
  return sections;
}

function omissionSection(files: readonly ResultsFile[]): Html {
  const omissions = files.flatMap(({ results }) => results.omissions);
  if (omissions.length === 0) return html`<h2>Left out</h2><p>Nothing that was asked for.</p>`;
  return html`<h2>Left out, and why</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of what was left out"><table>
<thead><tr><th scope="col">Benchmark</th><th scope="col">Group</th><th scope="col">Subject</th><th scope="col">Where</th><th scope="col">Reason</th></tr></thead>
<tbody>${omissions.map(({ verb, group, subject, axes, reason }) => html`<tr><th scope="row">${verb}</th><td>${group === undefined ? undefined : groupWords(group)}</td><td>${subject}</td><td class="wrap">${conditions(axes ?? {})}</td><td class="wrap">${reason}</td></tr>`)}</tbody>
</table></div>`;
}

function readingSection(): Html {
  return html`<h2>How to read this</h2>
<ul>
<li><b>CPU s/GB</b> is user and system time of the measured process alone, per 10<sup>9</sup> bytes of payload. A block has 16 KiB, so 0.1 CPU s/GB is 1.64 µs per block. The load at the other end runs in a process of its own and is not in it.</li>
<li><b>The limit</b> is the same addon receiving the same stream into one buffer and ignoring it (or, for seeding, a plain loop that sends). It does the least that the work needs, and drifts with the machine as everything does: what is close to it may be measured below it.</li>
<li><b>Kernel</b> is the receiving (or sending) system calls, <b>copying</b> moves payload in user space, <b>hashing</b> is SHA-1, <b>writing</b> is files with the kernel's share, and <b>framing</b> is the rest: TypeScript, V8 and libuv.</li>
<li><b>Rounds</b> are interleaved: every candidate runs once per round, one after the other, and ratios are taken within a round, because machines drift. Thin strokes in the plots go from the lowest round to the highest.</li>
<li><b>Clear, a tie, uncertain</b>: a difference counts if all of three or more rounds agree on its direction and it is 3 % or more. Where values tie, the report says which rule picked one. Uncertain is whatever rests on fewer than three rounds, on trials of less than 256 MiB, or on rounds that differ too much; nothing of that is recommended.</li>
</ul>`;
}
