// What was found of swarms around one slow seed, as a section of the report: how long until the last leecher is complete, what the seed has
// sent by then, and in words what differs beyond noise.

import { compare, median } from "../measuring/statistics.js";
import {
  copySecondsOf,
  SWARM_KINDS,
  type SwarmFound,
  type SwarmKind,
  type SwarmRun,
} from "../measuring/swarm-results.js";
import type { Bar } from "./bars.js";
import { list } from "./english.js";
import { type Html, html } from "./html.js";
import type { Painter } from "./painter.js";
import { MATERIAL } from "./ranking.js";
import type { SwarmFile } from "./read.js";
import { barsFigure, LIMIT_COLOUR, OTHER_COLOUR, OUR_COLOUR, sectionTable } from "./section-parts.js";
import { howMuchMore } from "./words.js";

type Measure = (run: SwarmRun) => number;

/** The names of swarms, as the subject of a sentence. */
const NAMES: Readonly<Record<SwarmKind, string>> = {
  scatterwire: "scatterwire",
  libtorrent: "libtorrent",
  mixed: "every other one libtorrent",
};

/** The rounds of each kind that was measured. */
function measuredOf({ runs }: SwarmFound): { kind: SwarmKind; rounds: readonly SwarmRun[] }[] {
  return SWARM_KINDS.map((kind) => ({ kind, rounds: runs[kind] ?? [] })).filter(
    ({ rounds }) => rounds.length > 0,
  );
}

/** One sentence of all files: how soon each kind's last leecher is complete. */
export function swarmLead(files: readonly SwarmFile[]): string {
  const found = files.map(({ results }) => results.found).find((each) => measuredOf(each).length > 0);
  if (found === undefined) return "Swarms around one slow seed: no round was measured";
  const parts = measuredOf(found).map(
    ({ kind, rounds }) => `${NAMES[kind]} ${times(rounds, inCopies(found))}`,
  );
  return `Until the last of ${found.leechers} leechers has all, in times of one copy: ${list(parts)}`;
}

/** In words: ours beside libtorrent's, and both mixed beside each alone. */
export function swarmSentences(found: SwarmFound): string[] {
  const { scatterwire = [], libtorrent = [], mixed = [] } = found.runs;
  const seconds = inCopies(found);
  const sentences: string[] = [];
  if (scatterwire.length > 0 && libtorrent.length > 0)
    sentences.push(
      besideLibtorrent(scatterwire, libtorrent, seconds, {
        figure: "The time until the last leecher has all",
        less: "Leechers of ours all have it sooner than libtorrent's",
        more: "Leechers of ours all have it later than libtorrent's",
      }),
      besideLibtorrent(scatterwire, libtorrent, ({ seedCopies }) => seedCopies, {
        figure: "What the seed sends",
        less: "A seed sends less to ours than libtorrent's does to libtorrent's",
        more: "A seed sends more to ours than libtorrent's does to libtorrent's",
      }),
    );
  if (mixed.length > 0 && scatterwire.length > 0 && libtorrent.length > 0)
    sentences.push(mixedSentence(mixed, scatterwire, libtorrent, seconds));
  return sentences;
}

function besideLibtorrent(
  ours: readonly SwarmRun[],
  theirs: readonly SwarmRun[],
  of: Measure,
  words: { readonly figure: string; readonly less: string; readonly more: string },
): string {
  const { ratio, sure, why, rounds } = compareRounds(ours, theirs, of);
  const figures = `${times(ours, of)} against ${times(theirs, of)} one copy`;
  if (!sure) return `${words.figure} is not known to differ from libtorrent's: ${figures}, but ${why}.`;
  if (Math.abs(ratio - 1) < MATERIAL)
    return `${words.figure} is as libtorrent's, to ${100 * MATERIAL} %: ${figures}.`;
  return `${ratio < 1 ? words.less : words.more}: ${figures}, ${howMuchMore(ratio)} in the middle of ${rounds} rounds, all of which agree.`;
}

/** A mixed swarm should be no worse than the worse of both. */
function mixedSentence(
  mixed: readonly SwarmRun[],
  ours: readonly SwarmRun[],
  theirs: readonly SwarmRun[],
  of: Measure,
): string {
  const isOursSlower = middle(ours, of) > middle(theirs, of);
  const slower = isOursSlower ? ours : theirs;
  const { ratio, sure, why } = compareRounds(mixed, slower, of);
  const figures = `${times(mixed, of)} against ${times(slower, of)} one copy of ${isOursSlower ? "ours" : "libtorrent's"} alone`;
  if (sure && ratio >= 1 + MATERIAL)
    return `Mixed, they take longer than the slower of both alone: ${figures}, in each round.`;
  if (sure && ratio <= 1 - MATERIAL)
    return `Mixed, they take no longer than the slower of both alone: ${figures}, in each round.`;
  if (sure)
    return `Mixed, they take as long as the slower of both alone, to ${100 * MATERIAL} %: ${figures}.`;
  return `Whether they take longer when they are mixed than the slower of both alone is not known: ${figures}, but ${why}.`;
}

/** Round by round, as far as both were measured. */
function compareRounds(
  values: readonly SwarmRun[],
  bases: readonly SwarmRun[],
  of: Measure,
): ReturnType<typeof compare> & { readonly rounds: number } {
  const rounds = Math.min(values.length, bases.length);
  return { ...compare(values.slice(0, rounds).map(of), bases.slice(0, rounds).map(of)), rounds };
}

export function swarmSections(files: readonly SwarmFile[], painter: Painter): Html[] {
  return files.flatMap(({ results: { found } }) => {
    const measured = measuredOf(found);
    if (measured.length === 0) return [];
    const sentences = swarmSentences(found);
    const { size, rate, leechers } = found;
    return [
      html`<h2>Leechers around one slow seed</h2>
<p class="soft">A seed, libtorrent's for its own leechers and ours for the others, sends ${(rate / 1e6).toFixed(1)} MB/s: one copy of ${(size / 1e6).toFixed(0)} MB takes ${`${copySecondsOf(found).toFixed(1)} s`}, which is the least. What the seed sends twice, all ${leechers} wait for.</p>
${sentences.length === 0 ? undefined : html`<ul class="findings">${sentences.map((sentence) => html`<li>${sentence}</li>`)}</ul>`}
<div class="plots">${plots(found, painter)}</div>`,
      swarmTable(found),
    ];
  });
}

function plots(found: SwarmFound, painter: Painter): Html[] {
  const where = `${found.leechers} leechers; strokes go from the lowest to the highest round`;
  const least: Bar = { name: "one copy", label: "1", value: 1, low: 1, high: 1, colour: LIMIT_COLOUR };
  const bars = (of: Measure): Bar[] => [
    ...measuredOf(found).map(({ kind, rounds }): Bar => {
      const values = rounds.map(of);
      const value = median(values);
      return {
        ...{ name: NAMES[kind], label: value.toFixed(2), value },
        ...{ low: Math.min(...values), high: Math.max(...values) },
        colour: kind === "libtorrent" ? OTHER_COLOUR : OUR_COLOUR,
        strong: kind === "scatterwire",
      };
    }),
    least,
  ];
  return [
    barsFigure(painter, {
      ...{ title: "Until the last one has all", where, unit: "times of one copy" },
      bars: bars(inCopies(found)),
    }),
    barsFigure(painter, {
      ...{ title: "Sent by the seed", where, unit: "copies" },
      bars: bars(({ seedCopies }) => seedCopies),
    }),
  ];
}

function swarmTable(found: SwarmFound): Html {
  const columns = [
    { title: "Leechers" },
    { title: "Round", numeric: true },
    { title: "Last complete", unit: "s", numeric: true },
    { title: "Last complete", unit: "× one copy", numeric: true },
    { title: "Sent by the seed", unit: "copies", numeric: true },
  ];
  const rows = measuredOf(found).flatMap(({ kind, rounds }) =>
    rounds.map((run, round) => [
      NAMES[kind],
      String(round + 1),
      run.seconds.toFixed(1),
      inCopies(found)(run).toFixed(2),
      run.seedCopies.toFixed(2),
    ]),
  );
  return sectionTable("swarms", columns, rows);
}

function inCopies(found: SwarmFound): Measure {
  return ({ seconds }) => seconds / copySecondsOf(found);
}

function middle(rounds: readonly SwarmRun[], of: Measure): number {
  return median(rounds.map(of));
}

function times(rounds: readonly SwarmRun[], of: Measure): string {
  return `${middle(rounds, of).toFixed(2)} ×`;
}
