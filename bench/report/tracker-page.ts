// What was found of trackers, as sections of the report: figures and tables of each benchmark, and beside
// them what others published, marked as that. Tables have the columns, and lines the words, of those whose benchmarks they are.
// It is long because there are four benchmarks, each with its section; none has more than one screen.

import { median } from "../measuring/statistics.js";
import {
  PUBLISHED_MEMORY,
  PUBLISHED_REPOSITORIES,
  PUBLISHED_RUNS,
  type PublishedRuns,
} from "../measuring/tracker-published.js";
import type {
  MemoryRow,
  PeerStoreBenchmark,
  RepositoryResult,
  TrackerBench,
  TrackerRun,
} from "../measuring/tracker-results.js";
import { peerStoreTables, repositoryText, rustDuration } from "../measuring/tracker-words.js";
import type { Bar } from "./bars.js";
import { capital, counted, list } from "./english.js";
import { Html, html } from "./html.js";
import type { Painter } from "./painter.js";
import type { TrackerFile } from "./read.js";
import {
  barsFigure,
  type Column,
  LIMIT_COLOUR,
  OTHER_COLOUR,
  OUR_COLOUR,
  sectionTable,
} from "./section-parts.js";

const MIB = 2 ** 20;

/** One sentence: what an answer to the first mix of requests takes of a processor, of each tracker as it is set best. */
export function trackerLead(files: readonly TrackerFile[]): string {
  const runs = benchesOf(files).flatMap(({ runs: each }) => each);
  const [first] = runs;
  if (first === undefined) return "What trackers cost: measured here, and published";
  const best = new Map<string, number>();
  for (const { subject, runs: mine } of groupsOf(runs.filter((run) => isSamePlace(run, first)))) {
    const micros = middle(mine, ({ cpuMicrosPerResponse }) => cpuMicrosPerResponse);
    best.set(subject, Math.min(micros, best.get(subject) ?? micros));
  }
  const costs = [...best].map(([subject, micros]) => `${subject} ${micros.toFixed(1)} µs`);
  return `Processor time of an answer: ${list(costs)}`;
}

function isSamePlace(run: TrackerRun, other: TrackerRun): boolean {
  return run.weights === other.weights && run.cores === other.cores;
}

export function trackerSections(files: readonly TrackerFile[], painter: Painter): Html[] {
  return files.flatMap((file) => sectionsOf(file, painter));
}

function sectionsOf({ path, results }: TrackerFile, painter: Painter): Html[] {
  switch (results.verb) {
    case "tracker":
      return benchSection(results.found, painter);
    case "tracker-load":
      return [loadSection(path, results.found.summary)];
    case "tracker-repository":
      return [repositorySection(results.found.results)];
    case "peer-store":
      return [peerStoreSection(results.found.benchmarks, results.found.memory)];
  }
}

function loadSection(path: string, summary: string): Html {
  return html`<h2>Load on a UDP tracker</h2>
<p class="soft small">${path}. An answer is counted when it has come back. With a window, so many requests are under way at the most, and one that is not answered was lost by the tracker or the system. With aquatic's throttle requests go out whenever nine tenths of all were answered: a tenth is lost by construction.</p>
<pre>${summary}</pre>`;
}

function benchesOf(files: readonly TrackerFile[]): TrackerBench[] {
  return files.flatMap(({ results }) => (results.verb === "tracker" ? [results.found] : []));
}

/** All rounds of one tracker, set one way. */
interface RunGroup {
  readonly name: string;
  readonly subject: string;
  readonly runs: readonly TrackerRun[];
}

function groupsOf(runs: readonly TrackerRun[]): RunGroup[] {
  const groups = new Map<string, TrackerRun[]>();
  for (const run of runs) {
    const name = nameOf(run.subject, run.keys);
    groups.set(name, [...(groups.get(name) ?? []), run]);
  }
  return [...groups].map(([name, each]) => ({ name, subject: each[0]?.subject ?? "", runs: each }));
}

/** A tracker, and how it was set where that is told. */
function nameOf(subject: string, keys: string): string {
  return keys === "" ? subject : `${subject} (${keys})`;
}

function middle(runs: readonly TrackerRun[], of: (run: TrackerRun) => number): number {
  return runs.length === 0 ? Number.NaN : median(runs.map(of));
}

function benchSection({ runs, failures, missing }: TrackerBench, painter: Painter): Html[] {
  const cores = [...new Set(runs.map((run) => run.cores))];
  const mixes = [...new Set(runs.map((run) => run.weights))];
  const figures = cores.flatMap((count) =>
    mixes.flatMap((weights) => {
      const mine = runs.filter((run) => run.cores === count && run.weights === weights);
      const where = `${count === 1 ? "One core" : `${count} cores`} for the tracker; ${mixWords(weights)}`;
      return [
        figure(
          painter,
          "Answers a second",
          where,
          mine,
          "thousand/s",
          ({ responsesPerSecond }) => responsesPerSecond / 1000,
          (value) => value.toFixed(1),
        ),
        figure(
          painter,
          "CPU of an answer",
          where,
          mine,
          "µs",
          ({ cpuMicrosPerResponse }) => cpuMicrosPerResponse,
          (value) => value.toFixed(2),
        ),
      ];
    }),
  );
  const left = [
    ...failures.map(
      ({ subject, keys, reason }) => `${nameOf(subject, keys)} failed: ${reason.split("\n")[0] ?? ""}`,
    ),
    ...missing.map((name) => `${name} is not installed`),
  ];
  const leftOut = left.length === 0 ? [] : [html`<p>Left out: ${left.join("; ")}.</p>`];
  const rounds = new Set(runs.map(({ round }) => round)).size;
  if (rounds === 0)
    return [
      html`<h2>UDP trackers side by side</h2>
<p class="soft">No tracker was measured.</p>`,
      ...leftOut,
      ...PUBLISHED_RUNS.map(publishedTable),
    ];
  return [
    html`<h2>UDP trackers side by side</h2>
<p class="soft">The echo sends the same datagrams back through the same sockets and decides nothing: a tracker on them cannot cost less. ${rounds === 1 ? "One round: it says little" : `Bars are medians of ${rounds} rounds, and strokes go from the lowest to the highest`}.</p>
<div class="plots">${figures}</div>`,
    ...groupTables(runs),
    html`<h3>Best results</h3>
${bestTable("best results", bestOf(runs))}`,
    ...leftOut,
    ...PUBLISHED_RUNS.map(publishedTable),
  ];
}

/** "100 announces and 1 scrape in each 101 requests" for "0/100/1". */
function mixWords(weights: string): string {
  const numbers = weights.split("/").map(Number);
  const parts = ["connect", "announce", "scrape"].flatMap((kind, index) => {
    const count = numbers[index] ?? 0;
    return count > 0 ? [`${count} ${kind}${count === 1 ? "" : "s"}`] : [];
  });
  return `${list(parts)} in each ${numbers.reduce((sum, count) => sum + count, 0)} requests`;
}

function figure(
  painter: Painter,
  title: string,
  where: string,
  runs: readonly TrackerRun[],
  unit: string,
  of: (run: TrackerRun) => number,
  text: (value: number) => string,
): Html {
  const bars = groupsOf(runs).map(({ name, subject, runs: mine }): Bar => {
    const values = mine.map(of);
    const value = median(values);
    const isOurs = subject.startsWith("scatterwire");
    return {
      name,
      label: `${text(value)} ${unit}`,
      ...{ value, low: Math.min(...values), high: Math.max(...values) },
      colour: subject === "echo" ? LIMIT_COLOUR : isOurs ? OUR_COLOUR : OTHER_COLOUR,
      strong: isOurs,
    };
  });
  return barsFigure(painter, { title, where, unit, bars });
}

const RUN_COLUMNS: readonly Column[] = [
  { title: "Cores" },
  { title: "Requests", unit: "connect/announce/scrape" },
  { title: "Responses", unit: "per second", numeric: true },
  { title: "Set to" },
  { title: "CPU", unit: "while measured", numeric: true },
  { title: "CPU", unit: "of its life, as others print it", numeric: true },
  { title: "CPU", unit: "µs per response", numeric: true },
  { title: "Memory", unit: "true peak (VmHWM), MiB", numeric: true },
  { title: "RSS", unit: "at the end, as others print it", numeric: true },
  { title: "Tracker vCPUs" },
  { title: "Load workers", numeric: true },
  { title: "Load vCPUs" },
];

function groupTables(runs: readonly TrackerRun[]): Html[] {
  return [...new Set(runs.map(({ subject }) => subject))].map((subject) => {
    const mine = runs.filter((run) => run.subject === subject);
    const withRedis = mine.some(({ redisMicrosPerResponse }) => redisMicrosPerResponse !== undefined);
    const columns = withRedis
      ? [
          ...RUN_COLUMNS,
          { title: "Redis", unit: "µs per response", numeric: true },
          { title: "Redis", unit: "peak MiB", numeric: true },
        ]
      : RUN_COLUMNS;
    const rows = mine.map((run) => [
      String(run.cores),
      run.weights,
      whole(run.responsesPerSecond),
      run.keys,
      `${(100 * run.cpu).toFixed(1)} %`,
      `${(100 * run.cpuLifetime).toFixed(1)} %`,
      run.cpuMicrosPerResponse.toFixed(3),
      mib(run.peakRssBytes),
      // A KiB counts as 1000 bytes there.
      `${(((run.rssBytes / 1024) * 1000) / MIB).toFixed(1)} MiB`,
      run.cpus,
      String(run.loadWorkers),
      run.loadCpus,
      ...(withRedis ? [(run.redisMicrosPerResponse ?? 0).toFixed(3), mib(run.redisPeakRssBytes ?? 0)] : []),
    ]);
    return html`<h3>Results for ${subject}</h3>
${sectionTable(subject, columns, rows)}`;
  });
}

interface Best {
  readonly subject: string;
  readonly cores: number;
  readonly weights: string;
  readonly responsesPerSecond: number;
  readonly about: string;
}

/** Of each tracker, number of cores and mix: the setting whose median is highest. */
function bestOf(runs: readonly TrackerRun[]): Best[] {
  const best = new Map<string, Best>();
  for (const { subject, runs: mine } of groupsByPlace(runs)) {
    const [first] = mine;
    if (first === undefined) continue;
    const key = [subject, first.cores, first.weights].join("|");
    const responsesPerSecond = middle(mine, (run) => run.responsesPerSecond);
    if ((best.get(key)?.responsesPerSecond ?? 0) >= responsesPerSecond) continue;
    const cpu = (100 * middle(mine, (run) => run.cpu)).toFixed(0);
    const about = [first.keys, `avg cpu utilization: ${cpu}%`].filter((text) => text !== "").join(", ");
    best.set(key, { subject, cores: first.cores, weights: first.weights, responsesPerSecond, about });
  }
  return [...best.values()];
}

function groupsByPlace(runs: readonly TrackerRun[]): RunGroup[] {
  const places = new Map<string, TrackerRun[]>();
  for (const run of runs) {
    const place = [run.cores, run.weights, run.loadWorkers].join("|");
    places.set(place, [...(places.get(place) ?? []), run]);
  }
  return [...places.values()].flatMap(groupsOf);
}

/** Rows are numbers of cores and mixes of requests, columns trackers; how a tracker was set is told by its cell's title. */
function bestTable(label: string, best: readonly Best[]): Html {
  const subjects = [...new Set(best.map(({ subject }) => subject))];
  const places = [...new Set(best.map(({ cores, weights }) => `${cores}|${weights}`))];
  const rows = places.map((place) => {
    const mine = best.filter(({ cores, weights }) => `${cores}|${weights}` === place);
    const cells = subjects.map((subject) => {
      const found = mine.find((each) => each.subject === subject);
      return found === undefined
        ? ""
        : html`<span title="${found.about}">${whole(found.responsesPerSecond)}</span>`;
    });
    return [String(mine[0]?.cores ?? ""), mine[0]?.weights ?? "", ...cells];
  });
  const columns = [
    { title: "CPU cores" },
    { title: "Requests", unit: "connect/announce/scrape" },
    ...subjects.map((subject) => ({ title: subject, unit: "responses/s", numeric: true })),
  ];
  return sectionTable(label, columns, rows);
}

function publishedTable({ title, source, machine, runs }: PublishedRuns): Html {
  const best = new Map<string, Best>();
  for (const { subject, keys, cores, responsesPerSecond, cpuPercent, rss = "" } of runs) {
    const key = `${subject}|${cores}`;
    if ((best.get(key)?.responsesPerSecond ?? 0) > responsesPerSecond) continue;
    const about = [keys, `avg cpu utilization: ${cpuPercent}%`, rss].filter((text) => text !== "").join(", ");
    best.set(key, { subject, cores, weights: "0/100/1", responsesPerSecond, about });
  }
  return html`<h3>Published, not measured here: ${title}</h3>
<p class="soft small">${machine}. ${source}. Another machine and other years: no ratio between these and the ones above says who is faster.</p>
${bestTable(`published results: ${title}`, [...best.values()])}`;
}

function repositorySection(results: readonly RepositoryResult[]): Html {
  const scenarios = Object.keys(results[0]?.scenarios ?? {});
  const columns = [
    { title: "Implementation" },
    ...scenarios.map((scenario) => ({
      title: scenario.replaceAll("_", " "),
      unit: "Avg, AdjAvg",
      numeric: true,
    })),
  ];
  const rowsOf = (all: readonly RepositoryResult[]): string[][] =>
    all.map(({ name, scenarios: figures }) => [
      name,
      ...scenarios.map((scenario) => {
        const { averageNs = 0, adjustedNs = 0 } = figures[scenario] ?? {};
        return `${rustDuration(averageNs)}, ${rustDuration(adjustedNs)}`;
      }),
    ]);
  return html`<h2>Torrent repositories</h2>
<p class="soft">Torrust's four scenarios: a peer is put into a swarm, and the swarm is counted; 10,000 tasks where it is "in parallel", which on one thread are asynchronous functions. The adjusted average is of samples within a tenth of the average; 0ns: fewer than two.</p>
${sectionTable("repositories", columns, rowsOf(results))}
<details><summary>As Torrust prints it</summary><pre>${repositoryText(results)}</pre></details>
<h3>Published, not measured here: Torrust, March 2024</h3>
<p class="soft small">AMD Ryzen 9 7950X, 4 threads, on which the tasks did run side by side.</p>
${sectionTable("published repositories", columns, rowsOf(PUBLISHED_REPOSITORIES))}`;
}

function peerStoreSection(benchmarks: readonly PeerStoreBenchmark[], memory: readonly MemoryRow[]): Html {
  const tables = peerStoreTables(benchmarks).map(({ title, unit, rows }) => {
    const columns = [
      { title: "Benchmark" },
      { title: "Old", unit: `${unit}, optmem, published`, numeric: true },
      { title: "New", unit: `${unit}, here`, numeric: true },
      { title: "Delta", numeric: true },
    ];
    return html`<details${title === "time" ? new Html(" open") : undefined}><summary>${capital(title)}: ${counted(rows.length, "benchmark")}</summary>
${sectionTable(
  title,
  columns,
  rows.map(({ name, before, after, delta }) => [name, before, after, delta]),
)}</details>`;
  });
  return html`<h2>The peer store</h2>
<p class="soft">chihaya's benchmarks of peer stores over 1,000 info hashes and 1,000 peers, on one thread. Old are optmem's published figures of 2017 on another machine: a delta says where the weight lies, and not who is faster. V8 counts no allocations: where there was no garbage there were none.</p>
${tables}
${memoryTable(
  "Memory of torrents with one seeder",
  memory.filter(({ infoHashes, leechers }) => infoHashes > 0 && leechers === 0),
  ({ infoHashes }) => infoHashes,
  "Info hashes",
  "torrent",
  PUBLISHED_MEMORY.infoHashes,
  1,
)}
${memoryTable(
  "Memory of the peers of one torrent",
  memory.filter(({ leechers }) => leechers > 0),
  ({ seeders, leechers }) => seeders + leechers,
  "Peers",
  "peer",
  PUBLISHED_MEMORY.pairs,
  2,
)}`;
}

function memoryTable(
  title: string,
  rows: readonly MemoryRow[],
  countOf: (row: MemoryRow) => number,
  counted: string,
  each: string,
  published: Readonly<Record<number, number>>,
  ofEach: number,
): Html | undefined {
  if (rows.length === 0) return undefined;
  const columns = [
    { title: counted },
    { title: "Store", unit: "bytes", numeric: true },
    { title: "Store", unit: `bytes per ${each}`, numeric: true },
    { title: "Process", unit: "bytes more", numeric: true },
    { title: "optmem", unit: `bytes per ${each}, published`, numeric: true },
  ];
  const cells = rows.map((row) => {
    const count = countOf(row);
    const theirs = published[count / ofEach];
    return [
      whole(count),
      whole(row.bytes),
      tenths(row.bytes / count),
      whole(row.residentBytes),
      theirs === undefined ? "" : tenths(theirs / count),
    ];
  });
  return html`<h3>${title}</h3>
${sectionTable(title, columns, cells)}`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function tenths(value: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
