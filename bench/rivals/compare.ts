// The comparison: every program that is here does the same work in turn, in rounds, so that each ratio is of figures that were
// measured side by side. What cannot be measured is named, with what would make it possible.

import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { present as provided } from "../../src/base/assert.js";
import { readMetainfo } from "../../src/index.js";
import type { LabOmission, LabResults } from "../measuring/results.js";
import { type OnProgress, runLab, writeResults } from "../measuring/run.js";
import { LIMIT, type Scenario } from "../measuring/scenario.js";
import { folderFor, makeData, makeTorrent, requireRoom, withFolder } from "../measuring/workplace.js";
import { harness, libtorrentVersion } from "./compile.js";
import { MissingError } from "./installed.js";
import { ProcessClock } from "./process-clock.js";
import type { Subject, Work } from "./subject.js";
import { SUBJECTS } from "./subjects.js";
import {
  type Bench,
  type IdleFigures,
  measureDownload,
  measureIdle,
  measureLimit,
  measureSeed,
  measureStorage,
} from "./trial.js";

/**
 * A row of the comparison is a group, and a number of peers. "download" is what a process's first bytes cost, as in most
 * downloads; "download-running" what a process costs that has received RUNNING_AFTER_BYTES before, for all programs alike.
 */
export const COMPARE_GROUPS = [
  "download",
  "download-running",
  "download-stored",
  "download-disk",
  "seed",
  "idle",
] as const;
export type CompareGroup = (typeof COMPARE_GROUPS)[number];
const RUNNING = "download-running";

export const DISK = "disk (O_DIRECT)";
/** What storing in a memory file system costs by itself. */
export const WRITES = "writes alone (pwrite)";
/** From here on no program that was compared gets cheaper any more. */
const RUNNING_AFTER_BYTES = 3 * 1024 ** 3;
const PEERS_DEFAULT: Readonly<Record<CompareGroup, readonly number[]>> = {
  download: [1, 16, 64],
  "download-running": [1, 16, 64],
  "download-stored": [1, 16],
  "download-disk": [1, 16],
  seed: [1, 4],
  idle: [5000],
};
/** A round of idle peers takes long, and differs little from the next. */
const IDLE_ROUNDS_MAX = 3;

export interface CompareOptions {
  readonly size: number;
  readonly runs: number;
  /** Work is measured only from when so many bytes were sent, for all programs: without compiling and slow starts. */
  readonly skip?: number;
  /** Groups, and parts of programs' names; a trial must match one of each kind that is given. */
  readonly only: readonly string[];
  /** Peers of every row instead of the defaults. */
  readonly peers?: readonly number[];
  /** A folder on the disk to be measured; without it no row is of a disk. */
  readonly disk?: string;
  /** The file of results; beside it the journal, by which an interrupted run goes on. */
  readonly output?: string;
  readonly command: string;
  readonly signal: AbortSignal;
  readonly overwrite?: boolean;
  readonly onProgress?: OnProgress;
  /** Told of work that is no trial: idle connections. */
  readonly onNote?: (text: string) => void;
}

export interface IdleTrial {
  readonly subject: string;
  readonly round: number;
  readonly figures: IdleFigures;
}

export interface CompareResults extends LabResults {
  /** Connections that are held and say nothing: no payload, so no trials of the lab's kind. */
  readonly idle: readonly IdleTrial[];
  /** How each program was set. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface CompareOutcome {
  readonly results: CompareResults;
  /** False if it was stopped. */
  readonly complete: boolean;
}

/** Rejects MissingError where there is not even a compiler, and UsageError if there is no room. */
export async function benchCompare(options: CompareOptions): Promise<CompareOutcome> {
  const { size, runs, output, command, signal, onProgress } = options;
  if (process.platform !== "linux")
    throw new MissingError("programs are compared on Linux only: their CPU and memory are read from /proc");
  // Without these nothing can be measured, so they are not omissions.
  await harness("process-clock");
  await harness("writev-seeder");
  const omissions: LabOmission[] = [];
  const present = await presentSubjects(options, omissions);
  const groups = groupsOf(options);
  const idle: IdleTrial[] = [];
  const outcome = await runLab(
    {
      ...{ verb: "compare", size, rounds: runs, only: [], output, command, signal, onProgress },
      overwrite: options.overwrite,
    },
    (work) =>
      inFolders(options, groups, async ({ bench, running, disk }) => {
        if (groups.includes("idle")) idle.push(...(await measureAllIdle(bench, options, present)));
        if (typeof running === "string")
          omissions.push({ verb: "compare", group: RUNNING, subject: "all programs", reason: running });
        const scenarios = groups
          .filter((group) => group !== "idle" && (group !== RUNNING || typeof running === "object"))
          .flatMap((group) =>
            scenariosOf(
              group === RUNNING ? (running as Bench) : bench,
              group,
              options,
              present,
              disk,
              omissions,
            ),
          );
        if (scenarios.length > 0) await work({ scenarios, omissions });
      }),
  );
  const { trials } = outcome.results;
  const results = {
    ...outcome.results,
    // Where there was nothing to do, nobody has taken them down.
    ...(trials.length === 0 && outcome.results.omissions.length === 0 ? { omissions } : {}),
    idle,
    settings: await settingsOf(present),
  };
  if (output !== undefined) writeResults(output, results);
  return { results, complete: !signal.aborted };
}

interface Places {
  readonly bench: Bench;
  /** For what a running process costs: more data, of which the beginning is not measured; or why there is none. */
  readonly running: Bench | string | undefined;
  /** A folder on the disk that is to be measured. */
  readonly disk: string | undefined;
}

/** Data and scratch in memory, if there is room, and a folder on the disk that is to be measured. */
async function inFolders(
  options: CompareOptions,
  groups: readonly CompareGroup[],
  work: (places: Places) => Promise<void>,
): Promise<void> {
  const { size, signal, disk, skip = 0 } = options;
  if (disk !== undefined) await requireRoom(disk, size);
  await withFolder(await folderFor(2 * size, "memory"), signal, async (folder) => {
    const clock = await ProcessClock.start();
    try {
      const bench = await prepare(join(folder, "first"), { size, skippedBytes: skip, clock, signal });
      const running = groups.includes(RUNNING) ? await prepareRunning(folder, options, clock) : undefined;
      if (disk === undefined) await work({ bench, running, disk });
      else await withFolder(disk, signal, (diskFolder) => work({ bench, running, disk: diskFolder }));
    } finally {
      await clock.stop();
    }
  });
}

/** A place with more data; why there is none, where memory for it is short. */
async function prepareRunning(
  folder: string,
  { size, signal }: CompareOptions,
  clock: ProcessClock,
): Promise<Bench | string> {
  const whole = size + RUNNING_AFTER_BYTES;
  const parent = dirname(folder);
  if ((await folderFor(whole, "memory")) !== parent)
    return `what a running process costs is measured after ${RUNNING_AFTER_BYTES / 1024 ** 3} GiB, which there is no room for in memory: choose a smaller --size`;
  return prepare(join(folder, "running"), {
    size: whole,
    skippedBytes: RUNNING_AFTER_BYTES,
    clock,
    signal,
  });
}

async function prepare(
  folder: string,
  options: { size: number; skippedBytes: number; clock: ProcessClock; signal: AbortSignal },
): Promise<Bench> {
  const { size, signal, ...rest } = options;
  const data = join(folder, "data");
  const scratch = join(folder, "scratch");
  for (const path of [data, scratch]) await mkdir(path, { recursive: true });
  const torrent = await makeTorrent(await makeData(data, size, signal), { signal });
  const { infoHash, pieceLength } = await readMetainfo(torrent);
  return {
    ...{ data, scratch, torrent, pieceLength, size, ...rest },
    infoHash: Buffer.from(infoHash).toString("hex"),
  };
}

/** The groups to be measured. */
function groupsOf({ only, disk, skip }: CompareOptions): CompareGroup[] {
  const named = COMPARE_GROUPS.filter((group) => only.includes(group));
  const wanted = named.length > 0 ? named : COMPARE_GROUPS;
  return (
    wanted
      .filter((group) => group !== "download-disk" || disk !== undefined)
      // With --skip every row is of running processes.
      .filter((group) => group !== RUNNING || skip === undefined)
  );
}

/** Whether a program is wanted: by any word of `only` that is no group. */
function isWanted({ only }: CompareOptions, subject: string): boolean {
  const words = only.filter((word) => !(COMPARE_GROUPS as readonly string[]).includes(word));
  return words.length === 0 || words.some((word) => subject.includes(word));
}

async function presentSubjects(options: CompareOptions, omissions: LabOmission[]): Promise<Subject[]> {
  const present: Subject[] = [];
  for (const subject of SUBJECTS.filter(({ name }) => isWanted(options, name))) {
    try {
      await subject.require();
      present.push(subject);
    } catch (error) {
      if (!(error instanceof MissingError)) throw error;
      omissions.push({ verb: "compare", subject: subject.name, reason: error.message });
    }
  }
  return present;
}

function scenariosOf(
  bench: Bench,
  group: CompareGroup,
  options: CompareOptions,
  present: readonly Subject[],
  disk: string | undefined,
  omissions: LabOmission[],
): Scenario[] {
  const work: Work = group === "download-disk" ? "download-stored" : group === RUNNING ? "download" : group;
  const where = group === "download-disk" ? "disk" : "memory";
  const scratch = where === "disk" ? provided(disk, "a row of the disk has one") : bench.scratch;
  return (options.peers ?? PEERS_DEFAULT[group]).flatMap((peers) => {
    const axes = {
      ...{ peers, bytes: bench.size, where: where === "disk" ? "disk" : "memory file system" },
      ...(bench.skippedBytes === 0 ? {} : { skippedBytes: bench.skippedBytes }),
    };
    const scenario = (subject: string, run: Scenario["run"]): Scenario => ({
      ...{ verb: "compare", group, subject, axes, run },
    });
    const limits = [
      ...(work === "download" ? [scenario(LIMIT, () => measureLimit(bench, peers))] : []),
      ...(group === "download-stored"
        ? [scenario(WRITES, () => measureStorage(bench, scratch, "buffered"))]
        : []),
      ...(group === "download-disk" ? [scenario(DISK, () => measureStorage(bench, scratch, "direct"))] : []),
    ];
    const programs = present
      .filter((subject) => {
        if (!subject.does(work, where)) return false;
        const most = subject.peersMax?.(work) ?? Number.POSITIVE_INFINITY;
        if (peers <= most) return true;
        const reason = `it serves no more than ${most} of these connections at a time`;
        omissions.push({ verb: "compare", group, subject: subject.name, axes, reason });
        return false;
      })
      .map((subject) =>
        scenario(subject.name, () =>
          group === "seed"
            ? measureSeed(bench, subject, peers)
            : measureDownload(bench, subject, work, peers, scratch, where === "disk"),
        ),
      );
    return [...limits.filter(({ subject }) => isWanted(options, subject)), ...programs];
  });
}

async function measureAllIdle(
  bench: Bench,
  options: CompareOptions,
  present: readonly Subject[],
): Promise<IdleTrial[]> {
  const trials: IdleTrial[] = [];
  const subjects = present.filter((subject) => subject.does("idle", "memory"));
  for (let round = 0; round < Math.min(options.runs, IDLE_ROUNDS_MAX); round++) {
    for (const subject of subjects) {
      for (const peers of options.peers ?? PEERS_DEFAULT.idle) {
        if (options.signal.aborted) return trials;
        options.onNote?.(`holding ${peers} idle connections: ${subject.name}, round ${round + 1}`);
        trials.push({ subject: subject.name, round, figures: await measureIdle(bench, subject, peers) });
      }
    }
  }
  return trials;
}

export function rowName({ group, peers }: { group: string; peers: number }): string {
  const who = group === "seed" ? "leecher" : "peer";
  return `${group}, ${peers} ${who}${peers === 1 ? "" : "s"}`;
}

async function settingsOf(present: readonly Subject[]): Promise<Record<string, string>> {
  const settings = Object.fromEntries(present.map(({ name, settings }) => [name, settings]));
  if (!present.some(({ name }) => name.startsWith("libtorrent"))) return settings;
  return { ...settings, "libtorrent's version": await libtorrentVersion() };
}
