// What the benchmarks of trackers find, as they print it with --json and as `bench report` reads it again: one object for each run of a
// verb, with the machine and the command. What is read is checked by these shapes, which are also the types.

import {
  listOf,
  number,
  object,
  oneOf,
  optional,
  type Shape,
  ShapeError,
  string,
  tableOf,
  type ValueOf,
} from "../processes/shape.js";
import { aboutRun, RUN_ABOUT } from "./run-about.js";

export const TRACKER_VERBS = ["tracker", "tracker-load", "tracker-repository", "peer-store"] as const;
export type TrackerVerb = (typeof TRACKER_VERBS)[number];

export const TRACKER_RESULTS_SCHEMA = 1;

export const trackerRun = object({
  /** The tracker, and how it was set: "socket workers: 1", or nothing. */
  subject: string,
  keys: string,
  cores: number,
  cpus: string,
  loadWorkers: number,
  loadCpus: string,
  /** connect/announce/scrape. */
  weights: string,
  round: number,
  responsesPerSecond: number,
  errorsPerSecond: number,
  peersPerAnnounce: number,
  /** CPU seconds per second: while measured, and over the process's life, as ps tells it. */
  cpu: number,
  cpuLifetime: number,
  cpuMicrosPerResponse: number,
  /** Its true peak (VmHWM), and what was resident at the end. */
  peakRssBytes: number,
  rssBytes: number,
  /** Of the Redis beside it. */
  redisMicrosPerResponse: optional(number),
  redisPeakRssBytes: optional(number),
});
export type TrackerRun = ValueOf<typeof trackerRun>;

export const trackerBench = object({
  runs: listOf(trackerRun),
  failures: listOf(object({ subject: string, keys: string, cores: number, reason: string })),
  /** Programs and packages that are not installed. */
  missing: listOf(string),
});
export type TrackerBench = ValueOf<typeof trackerBench>;

const loadResult = object({
  /** That were summed up, and in all. */
  seconds: number,
  ranSeconds: number,
  requestsPerSecond: number,
  responsesPerSecond: number,
  connectsPerSecond: number,
  announcesPerSecond: number,
  scrapesPerSecond: number,
  errorsPerSecond: number,
  peersPerAnnounce: number,
  loadCpuSeconds: number,
  infoHashes: number,
  peersPerInfoHash: tableOf(number),
  /** Of the first load process; not told where it was not counted. */
  announcesPerInfoHash: optional(tableOf(number)),
});
export type TrackerLoadResult = ValueOf<typeof loadResult>;

/** `summary`: as it was printed. */
export const trackerLoadRun = object({ summary: string, result: loadResult });

const averages = object({ averageNs: number, adjustedNs: number });
export const repositoryRun = object({
  results: listOf(object({ name: string, scenarios: tableOf(averages) })),
});
export type RepositoryResult = ValueOf<typeof repositoryRun>["results"][number];

export const peerStoreRun = object({
  benchmarks: listOf(object({ name: string, nsPerOp: number, heapBytesPerOp: number })),
  memory: listOf(
    object({ infoHashes: number, seeders: number, leechers: number, bytes: number, residentBytes: number }),
  ),
});
export type PeerStoreBenchmark = ValueOf<typeof peerStoreRun>["benchmarks"][number];
export type MemoryRow = ValueOf<typeof peerStoreRun>["memory"][number];

const frame = object({ trackers: number, verb: oneOf(TRACKER_VERBS), ...RUN_ABOUT });
type Frame = ValueOf<typeof frame>;

export type TrackerResults =
  | (Frame & { readonly verb: "tracker"; readonly found: TrackerBench })
  | (Frame & { readonly verb: "tracker-load"; readonly found: ValueOf<typeof trackerLoadRun> })
  | (Frame & { readonly verb: "tracker-repository"; readonly found: ValueOf<typeof repositoryRun> })
  | (Frame & { readonly verb: "peer-store"; readonly found: ValueOf<typeof peerStoreRun> });

/** What was found, in its frame. `startedAt`: when the verb began. */
export function framed<Found>(verb: TrackerVerb, version: string, startedAt: Date, found: Found): object {
  return { trackers: TRACKER_RESULTS_SCHEMA, verb, ...aboutRun(version, startedAt), found };
}

/** Whether a file is one of these, before it is read. */
export function isTrackerResults(value: unknown): value is { readonly found?: unknown } {
  return typeof value === "object" && value !== null && "trackers" in value;
}

/** Throws ShapeError, which names the place, if it is not what a verb of this version prints. */
export function readTrackerResults(value: { readonly found?: unknown }): TrackerResults {
  const about = frame(value, "the file");
  if (about.trackers !== TRACKER_RESULTS_SCHEMA)
    throw new ShapeError(
      `has schema ${about.trackers} of trackers: this one reads ${TRACKER_RESULTS_SCHEMA}`,
    );
  const found = <Value>(shape: Shape<Value>): Value => shape(value.found, "found");
  const { verb } = about;
  if (verb === "tracker") return { ...about, verb, found: found(trackerBench) };
  if (verb === "tracker-load") return { ...about, verb, found: found(trackerLoadRun) };
  if (verb === "tracker-repository") return { ...about, verb, found: found(repositoryRun) };
  return { ...about, verb, found: found(peerStoreRun) };
}
