// What was found of lookups in a simulated DHT, as a section of the report: what each case takes in queries and in time, how uneven its load
// is, what an attacker gets of it, and the paper's figures beside ours.

import { type DhtFigures, type DhtFound, PAPER_FIGURES } from "../measuring/dht-results.js";
import type { Bar } from "./bars.js";
import { type Html, html } from "./html.js";
import type { Painter } from "./painter.js";
import type { DhtFile } from "./read.js";
import { barsFigure, type Column, OTHER_COLOUR, OUR_COLOUR, sectionTable } from "./section-parts.js";

interface Plot {
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly of: (row: DhtFigures) => number;
}

const PLOTS: readonly Plot[] = [
  { title: "Queries of a lookup", unit: "queries", digits: 1, of: (row) => row.queriesPerLookup },
  { title: "Until the nearest have answered", unit: "s", digits: 2, of: (row) => row.convergedSeconds },
  { title: "Peers found", unit: "peers", digits: 0, of: (row) => row.peers },
  {
    title: "Most queries that one node gets in a minute",
    unit: "queries",
    digits: 0,
    of: (row) => row.queriesMostPerMinute,
  },
];
const HOSTILE_PLOT: Plot = {
  title: "Lookups that end with an attacker's nodes only",
  unit: "% of lookups",
  digits: 1,
  of: (row) => 100 * row.eclipsedShare,
};

/** One sentence: what the mechanisms save, as far as that was measured. */
export function dhtLead(files: readonly DhtFile[]): string {
  for (const { results } of files) {
    const { rows } = results.found;
    const [first] = rows;
    const all = rows.find(({ name }) => /^all(:|$)/.test(name));
    if (first === undefined || all === undefined) continue;
    const queries = `A lookup takes ${all.queriesPerLookup.toFixed(1)} queries with all mechanisms`;
    if (first === all) return queries;
    return `${queries}, ${(all.queriesPerLookup / first.queriesPerLookup).toFixed(2)} × those of "${first.name}"`;
  }
  return "Lookups in a simulated DHT";
}

export function dhtSections(files: readonly DhtFile[], painter: Painter): Html[] {
  return files.flatMap(({ results: { found } }) =>
    found.rows.length === 0 ? [] : [plotsOf(found, painter), tableOf(found), paperTable(found)],
  );
}

function plotsOf(found: DhtFound, painter: Painter): Html {
  const { nodes, dead, lookups, rows } = found;
  const plots = rows.some(({ hostileShare }) => hostileShare > 0) ? [...PLOTS, HOSTILE_PLOT] : PLOTS;
  const where = `${lookups.toLocaleString("en")} lookups each`;
  const figures = plots.map(({ title, unit, digits, of }) => {
    const bars = rows.map((row): Bar => {
      const value = of(row);
      const isAll = /^all(:|$)/.test(row.name);
      return {
        ...{ name: row.name, label: value.toFixed(digits), value, low: value, high: value },
        colour: isAll ? OUR_COLOUR : OTHER_COLOUR,
        strong: isAll,
      };
    });
    return barsFigure(painter, { title, where, unit, bars });
  });
  return html`<h2>Lookups in a simulated DHT</h2>
<p class="soft">The node that programs use, in a simulated network of ${nodes.toLocaleString("en")} others, ${dead === 0 ? "all of which answer" : `${(100 * dead).toFixed(0)} % of which never answer`}. Time is the simulation's, and one seed gives the same figures each time.</p>
<div class="plots">${figures}</div>`;
}

interface RowColumn extends Column {
  readonly of: (row: DhtFigures) => string;
}

const COLUMNS: readonly RowColumn[] = [
  { title: "Case", of: ({ name }) => name },
  { title: "Queries", unit: "a lookup", numeric: true, of: (row) => row.queriesPerLookup.toFixed(1) },
  { title: "Converged", unit: "s, median", numeric: true, of: (row) => row.convergedSeconds.toFixed(2) },
  { title: "Complete", unit: "s, median", numeric: true, of: (row) => row.completedSeconds.toFixed(2) },
  { title: "Peers", unit: "found", numeric: true, of: (row) => row.peers.toLocaleString("en") },
  {
    title: "Busiest node",
    unit: "queries a minute",
    numeric: true,
    of: (row) => row.queriesMostPerMinute.toFixed(0),
  },
  { title: "Uneven", unit: "Gini", numeric: true, of: (row) => row.gini.toFixed(2) },
];

/** Where somebody attacks. */
const HOSTILE_COLUMNS: readonly RowColumn[] = [
  {
    title: "Attacker's",
    unit: "of nodes at the end",
    numeric: true,
    of: (row) => shareText(row.hostileShare),
  },
  { title: "Attacker's alone", unit: "of lookups", numeric: true, of: (row) => shareText(row.eclipsedShare) },
  {
    title: "To nodes only named",
    unit: "queries a lookup",
    numeric: true,
    of: (row) => row.toNamedPerLookup.toFixed(1),
  },
  {
    title: "Busiest victim",
    unit: "queries a second",
    numeric: true,
    of: (row) => String(row.victimMostPerSecond),
  },
];

function tableOf({ rows }: DhtFound): Html {
  const isAttacked = rows.some(
    (row) => row.hostileShare + row.eclipsedShare + row.toNamedPerLookup + row.victimMostPerSecond > 0,
  );
  const columns = isAttacked ? [...COLUMNS, ...HOSTILE_COLUMNS] : COLUMNS;
  return sectionTable(
    "lookups in a simulated DHT",
    columns,
    rows.map((row) => columns.map(({ of }) => of(row))),
  );
}

function shareText(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function paperTable(found: DhtFound): Html {
  const columns = [
    { title: "Figure" },
    { title: "The paper", unit: "measured in the real network" },
    { title: "Ours", unit: "simulated" },
  ];
  const rows = PAPER_FIGURES.map(({ what, paper, ours }) => [what, paper, ours(found) ?? "not in this file"]);
  return html`<h3>The paper's figures beside ours</h3>
<p class="soft small">A. Grunthal, Efficient Indexing of the BitTorrent Distributed Hash Table, 2010: 4 to 6 million nodes, most of which answer no stranger. No ratio between these says who is better: docs/dht.md has the network in which ours takes as many.</p>
${sectionTable("the paper's figures", columns, rows)}`;
}
