// The loopback benchmark: one process seeds a torrent of random bytes, another downloads it, once per receive mode and run.
// Modes are interleaved with each other and with the limit, so that each ratio is of figures measured side by side.

import { createCipheriv, randomBytes } from "node:crypto";
import { createWriteStream, existsSync, rmSync } from "node:fs";
import { mkdtemp, statfs, writeFile } from "node:fs/promises";
import { cpus, freemem, platform, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createTorrentFile, type ReceiveModeName, type StorageKind, UsageError } from "../src/index.js";
import { runCli, runJson, startSeeder, stopAll } from "./processes.js";
import { median, medianRatio, spread } from "./statistics.js";

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

/** One trial. CPU is of the whole downloading process, from the start of the download to its end. */
export interface Trial {
  readonly bytesPerSecond: number;
  readonly cpuSecondsPerGB: number;
  readonly systemCallsPerBlock: number;
  readonly copiedBytesPerByte: number;
  readonly predictionHits: number;
  readonly predictionMisses: number;
  readonly peakRssBytes: number;
}

const FIGURES = [
  "bytesPerSecond",
  "cpuSecondsPerGB",
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
  readonly machine: ReturnType<typeof describeMachine>;
  readonly options: { size: number; peers: number; storage: StorageKind; verify: boolean; runs: number };
  readonly dataDirectory: string;
  readonly limit: Measured;
  readonly modes: Partial<Record<ReceiveModeName, ModeResult>>;
  readonly verdict: string;
}

const LIMIT = fileURLToPath(new URL("./limit.js", import.meta.url));
/** Where files lie in memory, on Linux: the disk shall not be what is measured. */
const MEMORY_FOLDER = "/dev/shm";

export async function benchLoopback(options: LoopbackOptions): Promise<LoopbackResult> {
  const folder = await mkdtemp(join(await dataParent(options), "scatterwire-bench-"));
  const cleanUp = (): void => {
    stopAll();
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", cleanUp);
  options.signal?.addEventListener("abort", stopAll);
  try {
    return await measure(options, folder);
  } catch (error) {
    if (options.signal?.aborted === true) throw new UsageError("ABORTED", "the benchmark was stopped");
    throw error;
  } finally {
    process.off("exit", cleanUp);
    options.signal?.removeEventListener("abort", stopAll);
    cleanUp();
  }
}

async function measure(options: LoopbackOptions, folder: string): Promise<LoopbackResult> {
  const trials = options.runs * (options.modes.length + 1);
  let done = 0;
  const step = (what: string): void => {
    if (options.signal?.aborted === true) throw new UsageError("ABORTED", "the benchmark was stopped");
    options.onProgress?.(done, trials, what);
  };
  step(`making ${options.size} random bytes`);
  const torrent = await makeTorrent(folder, options.size);
  const seeders = await Promise.all(
    Array.from({ length: options.peers }, () => startSeeder(torrent, folder)),
  );
  const limitRuns: Figures[] = [];
  const modeRuns = new Map<ReceiveModeName, Figures[]>(options.modes.map((mode) => [mode, []]));
  for (let run = 0; run < options.runs; run++) {
    // Each round begins with another mode, so that none always comes first.
    const order = options.modes.map((_, index) => options.modes[(index + run) % options.modes.length]!);
    step("the limit");
    limitRuns.push(figuresOf(await runJson([LIMIT, seeders[0]!.host, String(seeders[0]!.port), torrent])));
    done++;
    for (const mode of order) {
      step(mode);
      modeRuns
        .get(mode)!
        .push(figuresOf(await runCli(downloadArguments(options, mode, torrent, folder, seeders))));
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
    dataDirectory: folder.startsWith(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(),
    limit: { median: medians(limitRuns), runs: limitRuns },
    modes,
    verdict: verdictOf(modes),
  };
}

function downloadArguments(
  options: LoopbackOptions,
  mode: ReceiveModeName,
  torrent: string,
  folder: string,
  seeders: readonly { host: string; port: number }[],
): string[] {
  const output = join(folder, "download");
  rmSync(output, { recursive: true, force: true });
  return [
    "download",
    torrent,
    ...(options.storage === "null" || options.storage === "memory" ? [] : ["-o", output]),
    "--storage",
    options.storage,
    "--receive-mode",
    mode,
    ...seeders.flatMap(({ host, port }) => ["--peer", `${host}:${port}`]),
    ...(options.verify ? [] : ["--no-verify"]),
  ];
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
function verdictOf(modes: Partial<Record<ReceiveModeName, ModeResult>>): string {
  const ranked = (Object.entries(modes) as [ReceiveModeName, ModeResult][]).sort(
    (a, b) => a[1].ratioToLimit.cpuSecondsPerGB - b[1].ratioToLimit.cpuSecondsPerGB,
  );
  const [best, second] = ranked;
  if (best === undefined) return "nothing was measured";
  const cost = `${best[1].median.cpuSecondsPerGB.toFixed(3)} CPU s/GB, ${best[1].ratioToLimit.cpuSecondsPerGB.toFixed(2)} × the limit`;
  if (second === undefined) return `${best[0]} costs ${cost} on this machine.`;
  const gain = 1 - best[1].ratioToLimit.cpuSecondsPerGB / second[1].ratioToLimit.cpuSecondsPerGB;
  const noise = Math.max(best[1].cpuSpread, second[1].cpuSpread);
  const much = `${(100 * gain).toFixed(0)} % less than ${second[0]}`;
  const sure =
    gain > noise ? "" : `, which is within the noise of these runs (± ${(100 * noise).toFixed(0)} %)`;
  const worst = ranked.at(-1)!;
  const most = `${(100 * (worst[1].ratioToLimit.cpuSecondsPerGB / best[1].ratioToLimit.cpuSecondsPerGB - 1)).toFixed(0)} %`;
  return `Cheapest on this machine: ${best[0]} (${cost}), ${much}${sure}. The dearest, ${worst[0]}, costs ${most} more.`;
}

export function describeMachine(): {
  cpu: string;
  cores: number;
  memoryBytes: number;
  system: string;
  node: string;
} {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${platform()} ${release()}`,
    node: process.version,
  };
}

/** A memory file system where there is one with room, else the folder for temporary files. */
async function dataParent(options: LoopbackOptions): Promise<string> {
  const needed = (options.storage === "null" ? 1 : 2.2) * options.size + 64e6;
  const writesToDisk = options.storage === "direct";
  if (!writesToDisk && existsSync(MEMORY_FOLDER) && freemem() > 2 * needed) {
    const status = await statfs(MEMORY_FOLDER);
    if (status.bavail * status.bsize > needed) return MEMORY_FOLDER;
  }
  const status = await statfs(tmpdir());
  if (status.bavail * status.bsize < needed) {
    throw new UsageError(
      "USAGE_STATE",
      `the benchmark needs ${Math.ceil(needed / 1e6)} MB in ${tmpdir()}: choose a smaller --size`,
    );
  }
  return tmpdir();
}

/** Random bytes as fast as the processor makes them: a stream cipher over zeros. */
async function makeTorrent(folder: string, size: number): Promise<string> {
  const data = join(folder, "data.bin");
  const cipher = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(1024 * 1024);
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let left = size; left > 0; left -= zeros.length) {
      yield cipher.update(left < zeros.length ? zeros.subarray(0, left) : zeros);
    }
  }
  await pipeline(chunks(), createWriteStream(data));
  const torrent = join(folder, "data.torrent");
  await writeFile(torrent, await createTorrentFile(data));
  return torrent;
}
