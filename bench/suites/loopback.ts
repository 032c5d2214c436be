// The loopback benchmark: one process seeds a torrent of random bytes, another downloads it, once per receive mode and run.
// A client runs for long, so what is measured is a process that has downloaded some GB before; what its first download
// cost, while V8 compiled, is told apart.
// Modes are interleaved with each other and with the limit, so that each ratio is of figures measured side by side.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ReceiveModeName, type StorageKind, UsageError } from "../../src/index.js";
import { compare, median, medianRatio, spread } from "../measuring/statistics.js";
import type { ReceiveTrial } from "../measuring/trial-receive.js";
import {
  describeMachine,
  folderFor,
  type Machine,
  makeData,
  makeTorrent,
  withFolder,
} from "../measuring/workplace.js";
import { runJson, startSeeder } from "../processes/processes.js";

export interface LoopbackOptions {
  /** Bytes of the torrent. */
  readonly size: number;
  /** Seeding processes that one download is fed by. */
  readonly peers: number;
  readonly modes: readonly ReceiveModeName[];
  readonly storage: StorageKind;
  readonly verify: boolean;
  readonly runs: number;
  readonly onProgress?: (done: number, total: number, what: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * One trial. CPU is of the whole downloading process, all of its threads, from the start of the download to its end;
 * `firstCpuSecondsPerGB` that of the first download of the process.
 */
export interface Trial {
  readonly bytesPerSecond: number;
  readonly cpuSecondsPerGB: number;
  readonly firstCpuSecondsPerGB: number;
  readonly systemCallsPerBlock: number;
  readonly copiedBytesPerByte: number;
  readonly predictionHits: number;
  readonly predictionMisses: number;
  readonly peakRssBytes: number;
}

const FIGURES = [
  "bytesPerSecond",
  "cpuSecondsPerGB",
  "firstCpuSecondsPerGB",
  "systemCallsPerBlock",
  "copiedBytesPerByte",
  "predictionHits",
  "predictionMisses",
  "peakRssBytes",
] as const;
export type Figures = Record<(typeof FIGURES)[number], number>;

export interface Measured {
  readonly median: Figures;
  readonly runs: readonly Figures[];
}

export interface ModeResult extends Measured {
  /** Median of the ratios to the limit of the same round. */
  readonly ratioToLimit: {
    readonly bytesPerSecond: number;
    readonly cpuSecondsPerGB: number;
    readonly systemCallsPerBlock: number;
    readonly peakRssBytes: number;
  };
  readonly cpuSpread: number;
}

export interface LoopbackResult {
  readonly benchmark: "loopback";
  readonly machine: Machine;
  readonly options: { size: number; peers: number; storage: StorageKind; verify: boolean; runs: number };
  readonly dataDirectory: string;
  readonly limit: Measured;
  readonly modes: Partial<Record<ReceiveModeName, ModeResult>>;
  readonly verdict: string;
}

/** What a process downloads before it is measured: from here on it costs no less. */
const WARM_UP_BYTES = 3 * 1024 ** 3;
const TRIAL = fileURLToPath(new URL("../measuring/trial-receive.js", import.meta.url));
const LIMIT = fileURLToPath(new URL("../measuring/limit.js", import.meta.url));

export async function benchLoopback(options: LoopbackOptions): Promise<LoopbackResult> {
  // What is measured is receiving, unless the disk is asked for.
  const stored = options.storage === "null" || options.storage === "memory" ? 0 : options.size;
  const parent = await folderFor(options.size + stored, options.storage === "direct" ? "disk" : "memory");
  return withFolder(parent, options.signal, (folder) => measure(options, folder, parent));
}

async function measure(
  options: LoopbackOptions,
  folder: string,
  dataDirectory: string,
): Promise<LoopbackResult> {
  const trials = options.runs * (options.modes.length + 1);
  let done = 0;
  const step = (what: string): void => {
    if (options.signal?.aborted === true) throw new UsageError("ABORTED", "the benchmark was stopped");
    options.onProgress?.(done, trials, what);
  };
  step(`making ${options.size} random bytes`);
  const torrent = await makeTorrent(await makeData(folder, options.size, options.signal), {
    signal: options.signal,
  });
  const seeders = await Promise.all(
    Array.from({ length: options.peers }, () => startSeeder(torrent, folder)),
  );
  const limitRuns: Figures[] = [];
  const modeRuns = new Map<ReceiveModeName, Figures[]>(options.modes.map((mode) => [mode, []]));
  for (let run = 0; run < options.runs; run++) {
    // Each round begins with another mode, so that none always comes first.
    const order = options.modes.map((_, index) => options.modes[(index + run) % options.modes.length]!);
    step("the limit");
    const addresses = seeders.map(({ host, port }) => `${host}:${port}`);
    const before = `${torrent},${addresses[0]}`;
    limitRuns.push(figuresOf(await runJson([LIMIT, torrent, ...addresses, "--before", before])));
    done++;
    for (const mode of order) {
      step(mode);
      const trial = trialOf(options, mode, torrent, folder, addresses);
      modeRuns.get(mode)!.push(figuresOf(await runJson([TRIAL, JSON.stringify(trial)])));
      done++;
    }
  }
  options.onProgress?.(done, trials, "");
  await Promise.all(seeders.map((seeder) => seeder.stop()));
  const modes: Partial<Record<ReceiveModeName, ModeResult>> = {};
  for (const [mode, runs] of modeRuns) modes[mode] = summarize(runs, limitRuns);
  const { size, peers, storage, verify, runs } = options;
  return {
    benchmark: "loopback",
    machine: describeMachine(),
    options: { size, peers, storage, verify, runs },
    dataDirectory,
    limit: { median: medians(limitRuns), runs: limitRuns },
    modes,
    verdict: verdictOf(modes),
  };
}

function trialOf(
  options: LoopbackOptions,
  mode: ReceiveModeName,
  torrent: string,
  folder: string,
  peers: readonly string[],
): ReceiveTrial {
  const directory = join(folder, "download");
  rmSync(directory, { recursive: true, force: true });
  return {
    torrent,
    before: { torrent, peer: peers[0]!, times: Math.ceil(WARM_UP_BYTES / options.size) },
    peers,
    session: { receiveMode: mode },
    storage: options.storage,
    options: { verify: options.verify, directory },
  };
}

function figuresOf(result: Record<string, unknown>): Figures {
  return Object.fromEntries(FIGURES.map((name) => [name, Number(result[name] ?? 0)])) as Figures;
}

function medians(runs: readonly Figures[]): Figures {
  return Object.fromEntries(FIGURES.map((name) => [name, median(runs.map((run) => run[name]))])) as Figures;
}

function summarize(runs: readonly Figures[], limits: readonly Figures[]): ModeResult {
  const ratio = (name: keyof Figures): number =>
    medianRatio(
      runs.map((run) => run[name]),
      limits.map((run) => run[name]),
    );
  return {
    median: medians(runs),
    runs,
    ratioToLimit: {
      bytesPerSecond: ratio("bytesPerSecond"),
      cpuSecondsPerGB: ratio("cpuSecondsPerGB"),
      systemCallsPerBlock: ratio("systemCallsPerBlock"),
      peakRssBytes: ratio("peakRssBytes"),
    },
    cpuSpread: spread(runs.map((run) => run.cpuSecondsPerGB)),
  };
}

/** Which mode is cheapest here, in plain words, and whether the difference is more than noise. */
export function verdictOf(modes: Partial<Record<ReceiveModeName, ModeResult>>): string {
  const ranked = (Object.entries(modes) as [ReceiveModeName, ModeResult][]).sort(
    (a, b) => a[1].ratioToLimit.cpuSecondsPerGB - b[1].ratioToLimit.cpuSecondsPerGB,
  );
  const [best, second] = ranked;
  if (best === undefined) return "Nothing was measured.";
  const cost = `${best[1].median.cpuSecondsPerGB.toFixed(3)} CPU s/GB, ${best[1].ratioToLimit.cpuSecondsPerGB.toFixed(2)} × the limit`;
  if (second === undefined) return `${best[0]} costs ${cost} on this machine.`;
  const { ratio: toSecond, sure, why } = compareCpu(second[1], best[1]);
  const lead = `Cheapest on this machine: ${best[0]} (${cost})`;
  const next = sure
    ? `; ${second[0]}, the next, costs ${percentMore(toSecond)} more`
    : `; ${second[0]} is level with it: ${why}`;
  const last = ranked.at(-1)!;
  if (last === second) return `${lead}${next}.`;
  const toLast = compareCpu(last[1], best[1]);
  const range = `(${toLast.low.toFixed(2)} to ${toLast.high.toFixed(2)} ×)`;
  const dearest = toLast.sure
    ? ` The dearest, ${last[0]}, costs ${percentMore(toLast.ratio)} more ${range}.`
    : " No difference between the modes is beyond doubt.";
  return `${lead}${next}.${dearest}`;
}

function compareCpu(mode: ModeResult, base: ModeResult): ReturnType<typeof compare> {
  const cpu = (measured: ModeResult): number[] => measured.runs.map((run) => run.cpuSecondsPerGB);
  return compare(cpu(mode), cpu(base));
}

function percentMore(ratio: number): string {
  return `${(100 * (ratio - 1)).toFixed(0)} %`;
}
