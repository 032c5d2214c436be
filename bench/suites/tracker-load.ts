// Load for a UDP tracker, as aquatic's load tester makes it and in its words: processes of simulated peers (bench/load), and what they
// counted, every few seconds and at the end.
//
// What "responses" can mean: with `throttle` 0.9, requests go out while nine tenths of all were answered, so the tracker's queue is
// always full and a tenth of the requests is lost by construction, as with aquatic's tester. With a window, no more than so many
// are under way, and nothing is lost while the tracker keeps up.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { percentilesOfCounts } from "../load/percentiles.js";
import type { TrackerLoadOptions } from "../load/tracker-load.js";
import type { TrackerLoadResult } from "../measuring/tracker-results.js";
import { Program } from "../processes/program.js";
import { boolean, number, object, tableOf, type ValueOf } from "../processes/shape.js";

const LOAD = fileURLToPath(new URL("../load/tracker-load.js", import.meta.url));

/** What aquatic's configuration file has, with its defaults. */
export const TRACKER_LOAD_DEFAULTS = {
  workers: 1,
  durationSeconds: 0,
  summarizeLastSeconds: 0,
  extraStatistics: true,
  multipleClientIpv4s: true,
  socketsPerWorker: 4,
  receiveBufferBytes: 8_000_000,
  torrents: 1_000_000,
  peers: 2_000_000,
  scrapeTorrentsMax: 10,
  peersWanted: 30,
  weightConnect: 50,
  weightAnnounce: 50,
  weightScrape: 1,
  seederProbability: 0.75,
  window: 4096,
} as const;

export type TrackerLoad = Omit<TrackerLoadOptions, "worker" | "statisticsFile"> & {
  readonly summarizeLastSeconds: number;
  /** Percentiles of announces per info hash, of all workers together. */
  readonly extraStatistics: boolean;
};

/** What bench/load/tracker-load.ts says when it begins, each second, and at its end. */
const READY = object({ ready: boolean, torrents: number, peersPerTorrent: tableOf(number) });
const COUNTED = {
  seconds: number,
  requests: number,
  connects: number,
  announces: number,
  scrapes: number,
  errors: number,
  peers: number,
};
const COUNTS = object(COUNTED);
const ENDED = object({ ...COUNTED, cpuSeconds: number });

type Counts = ValueOf<typeof COUNTS>;

export interface LoadHooks {
  /** What the processes are started with, such as ["taskset", "-c", "1"]. */
  readonly prefix?: readonly string[];
  /** Every `reportSeconds`, with what was counted since the last time. */
  readonly onReport?: (result: TrackerLoadResult) => void;
  readonly reportSeconds?: number;
  /** The numbers of the processes. */
  readonly onStart?: (pids: readonly number[]) => void;
  /** When all of them have a connection id and begin. */
  readonly onReady?: (result: Pick<TrackerLoadResult, "infoHashes" | "peersPerInfoHash">) => void;
  readonly signal?: AbortSignal;
}

/** Runs until its time is over, or the signal aborts. Rejects when the tracker says nothing. */
export async function benchTrackerLoad(load: TrackerLoad, hooks: LoadHooks = {}): Promise<TrackerLoadResult> {
  const folder = load.extraStatistics ? mkdtempSync(join(tmpdir(), "scatterwire-load-")) : undefined;
  const statisticsFiles: string[] = [];
  const workers = Array.from({ length: load.workers }, (_, worker) => {
    const statisticsFile = folder === undefined ? undefined : join(folder, String(worker));
    if (statisticsFile !== undefined) statisticsFiles.push(statisticsFile);
    const options: TrackerLoadOptions = {
      ...load,
      worker,
      ...(statisticsFile === undefined ? {} : { statisticsFile }),
    };
    return Program.node(LOAD, [JSON.stringify(options)], { prefix: hooks.prefix });
  });
  const stopAll = (): void => {
    // The end of its standard input tells it to end, and to say what it did.
    for (const worker of workers) worker.child.stdin.end();
  };
  hooks.signal?.addEventListener("abort", stopAll);
  hooks.onStart?.(workers.flatMap(({ child }) => child.pid ?? []));
  try {
    const [first] = await Promise.all(workers.map((worker) => worker.read(READY)));
    const popularity = { infoHashes: first?.torrents ?? 0, peersPerInfoHash: first?.peersPerTorrent ?? {} };
    hooks.onReady?.(popularity);
    const none = sum([]);
    let reported = none;
    const report = (): void => {
      const now = sum(workers.map((worker) => countsOf(worker).at(-1) ?? none));
      hooks.onReport?.({
        ...rates(now, reported),
        ranSeconds: now.seconds,
        loadCpuSeconds: 0,
        ...popularity,
        announcesPerInfoHash: percentilesOf(statisticsFiles),
      });
      reported = now;
    };
    const ticker = setInterval(report, 1000 * (hooks.reportSeconds ?? 5));
    const last = await Promise.all(workers.map((worker) => worker.answer(ENDED))).finally(() =>
      clearInterval(ticker),
    );
    const end = sum(last);
    const from = end.seconds - load.summarizeLastSeconds;
    // The time to be summed up begins with the last line that is old enough.
    const before = (worker: Program): Counts =>
      countsOf(worker).findLast(({ seconds }) => seconds <= from) ?? none;
    const begin = load.summarizeLastSeconds === 0 ? none : sum(workers.map(before));
    return {
      ...rates(end, begin),
      ranSeconds: end.seconds,
      ...popularity,
      loadCpuSeconds: last.reduce((total, { cpuSeconds }) => total + cpuSeconds, 0),
      announcesPerInfoHash: percentilesOf(statisticsFiles),
    };
  } finally {
    hooks.signal?.removeEventListener("abort", stopAll);
    stopAll();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Of what the processes wrote last, added up: a torrent's peers are spread over them. Undefined before all of them wrote. */
export function percentilesOf(files: readonly string[]): TrackerLoadResult["announcesPerInfoHash"] {
  if (files.length === 0 || !files.every((file) => existsSync(file))) return undefined;
  const [first, ...others] = files.map((file) => {
    const { buffer, byteOffset, byteLength } = readFileSync(file);
    return new Uint32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  });
  if (first === undefined) return undefined;
  for (const counts of others)
    for (let torrent = 0; torrent < first.length; torrent++)
      first[torrent] = (first[torrent] ?? 0) + (counts[torrent] ?? 0);
  return percentilesOfCounts(first);
}

/** What a process has told so far, line by line. */
function countsOf({ lines }: Program): Counts[] {
  return lines.filter((line) => "requests" in line).map((line) => COUNTS(line, "what the load told"));
}

/** Of processes side by side: their seconds are the same ones. */
function sum(all: readonly Counts[]): Counts {
  const total = (name: keyof Counts): number => all.reduce((value, counts) => value + counts[name], 0);
  return {
    seconds: Math.max(0, ...all.map(({ seconds }) => seconds)),
    requests: total("requests"),
    connects: total("connects"),
    announces: total("announces"),
    scrapes: total("scrapes"),
    errors: total("errors"),
    peers: total("peers"),
  };
}

type Rates =
  | "seconds"
  | "requestsPerSecond"
  | "responsesPerSecond"
  | "connectsPerSecond"
  | "announcesPerSecond"
  | "scrapesPerSecond"
  | "errorsPerSecond"
  | "peersPerAnnounce";

function rates(end: Counts, begin: Counts): Pick<TrackerLoadResult, Rates> {
  const seconds = end.seconds - begin.seconds;
  const rate = (name: keyof Counts): number => (seconds > 0 ? (end[name] - begin[name]) / seconds : 0);
  const announces = end.announces - begin.announces;
  return {
    seconds,
    requestsPerSecond: rate("requests"),
    responsesPerSecond: rate("connects") + rate("announces") + rate("scrapes") + rate("errors"),
    connectsPerSecond: rate("connects"),
    announcesPerSecond: rate("announces"),
    scrapesPerSecond: rate("scrapes"),
    errorsPerSecond: rate("errors"),
    peersPerAnnounce: announces > 0 ? (end.peers - begin.peers) / announces : 0,
  };
}

function percentileLines(title: string, percentiles: Readonly<Record<string, number>>): string[] {
  return [title, ...Object.entries(percentiles).map(([name, value]) => `  - ${name}: ${value}`)];
}

/** What is said when all is ready. */
export function readyText(result: Pick<TrackerLoadResult, "infoHashes" | "peersPerInfoHash">): string {
  const lines = percentileLines("Peers per info hash:", result.peersPerInfoHash);
  return [`Number of info hashes: ${result.infoHashes}`, ...lines].join("\n");
}

/** What is said every few seconds. */
export function reportText(result: TrackerLoadResult): string {
  return [
    `Requests out: ${result.requestsPerSecond.toFixed(2)}/second`,
    `Responses in: ${result.responsesPerSecond.toFixed(2)}/second`,
    ...kindLines(result),
    `Peers per announce response: ${result.peersPerAnnounce.toFixed(2)}`,
    ...announcesLines(result),
  ].join("\n");
}

/** What is said at the end. */
export function summaryText(result: TrackerLoadResult, load: TrackerLoad): string {
  const part =
    load.summarizeLastSeconds > 0 ? ` (only last ${load.summarizeLastSeconds} included in summary)` : "";
  const throttle =
    load.throttle === undefined
      ? `at most ${load.window} requests are under way`
      : `they go out whenever ${100 * load.throttle} % of all were answered, so that ${(100 - 100 * load.throttle).toFixed(0)} % are lost by construction, and not by the tracker`;
  return [
    "# load test report",
    "",
    `Test ran for ${result.ranSeconds.toFixed(0)} seconds${part}`,
    `Average responses per second: ${result.responsesPerSecond.toFixed(2)}`,
    ...kindLines(result),
    `Requests per second: ${result.requestsPerSecond.toFixed(2)}; ${throttle}`,
    `CPU of the load: ${((100 * result.loadCpuSeconds) / Math.max(0.001, result.ranSeconds)).toFixed(0)} % of a core; at 100 % for each worker it is the load that is measured`,
    ...announcesLines(result),
    "",
    `Config: ${JSON.stringify(load)}`,
  ].join("\n");
}

function announcesLines({ announcesPerInfoHash }: TrackerLoadResult): string[] {
  return announcesPerInfoHash === undefined
    ? []
    : percentileLines("Announce responses per info hash:", announcesPerInfoHash);
}

function kindLines(result: TrackerLoadResult): string[] {
  return [
    `  - Connect responses:  ${result.connectsPerSecond.toFixed(2)}`,
    `  - Announce responses: ${result.announcesPerSecond.toFixed(2)}`,
    `  - Scrape responses:   ${result.scrapesPerSecond.toFixed(2)}`,
    `  - Error responses:    ${result.errorsPerSecond.toFixed(2)}`,
  ];
}
