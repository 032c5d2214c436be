// Where the benchmarks of receiving work: a folder with the data that is sent, one for what is written, the torrent, and
// how one trial is done there: a load generator beside a measured process.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LoadResult, type SeederOptions, startLoadSeeder } from "../load/load.js";
import { runFigures } from "./answers.js";
import { firstOf } from "./ends.js";
import { PerfStat, perfMayCount } from "./perf.js";
import type { LabFigures } from "./results.js";
import type { ReceiveTrial } from "./trial-receive.js";
import { folderFor, makeData, makeTorrent, requireRoom, withFolder } from "./workplace.js";

const TRIAL = fileURLToPath(new URL("./trial-receive.js", import.meta.url));
const LIMIT_PROGRAM = fileURLToPath(new URL("./limit.js", import.meta.url));
const PIECE_LENGTH = 1024 * 1024;
const WARM_UP_BYTES = 192 * 1024 * 1024;

export interface BenchPlace {
  readonly torrent: string;
  readonly data: string;
  /** A folder for what is measured to write to, of the kind that was wanted. */
  readonly target: string;
  readonly size: number;
  /** What every measured process receives first, so that its code is compiled; kept ready by a seeder of its own. */
  readonly before: { readonly torrent: string; readonly peer: string };
}

export interface PlaceOptions {
  readonly size: number;
  readonly signal: AbortSignal;
  /** Bytes that trials write at one time, and where to; a path is a folder of the user's own choice. */
  readonly stored: number;
  readonly storedIn: "memory" | "disk" | { readonly folder: string };
}

/** Data in memory where there is room, so that no disk is what is measured, and a folder to write to. */
export async function withPlace<Result>(
  options: PlaceOptions,
  work: (place: BenchPlace) => Promise<Result>,
): Promise<Result> {
  const { size, signal, stored, storedIn } = options;
  const source = await folderFor(size + WARM_UP_BYTES + (storedIn === "memory" ? stored : 0), "memory");
  return withFolder(source, signal, (folder) =>
    withTarget(options, source, async (target) => {
      const data = await makeData(folder, size, signal);
      const torrent = await makeTorrent(data, { pieceLength: PIECE_LENGTH, signal });
      const warm = join(folder, "before");
      mkdirSync(warm);
      const warmData = await makeData(warm, Math.min(size, WARM_UP_BYTES), signal);
      const warmTorrent = await makeTorrent(warmData, { pieceLength: PIECE_LENGTH, signal });
      const seeder = await startLoadSeeder({ torrent: warmTorrent, file: warmData, peers: 1 });
      const before = { torrent: warmTorrent, peer: firstOf(seeder.addresses) };
      // The seeder ends with the folder, as every process of a benchmark does.
      return work({ torrent, data, target, size, before });
    }),
  );
}

/** A folder to write to, of the kind that is wanted, which is gone afterwards. */
export async function withTarget<Result>(
  { stored, storedIn, signal }: Omit<PlaceOptions, "size">,
  memory: string,
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  if (storedIn === "memory") return withFolder(memory, signal, work);
  if (storedIn === "disk") return withFolder(await folderFor(stored, "disk"), signal, work);
  await requireRoom(storedIn.folder, stored);
  return withFolder(storedIn.folder, signal, work);
}

/** What the sender does, beside sending. */
export type Sender = Omit<SeederOptions, "torrent" | "file">;

/** One download by our engine. Files that it wrote are removed, unless the trial wants them kept. */
export async function receiveOnce(
  place: BenchPlace,
  sender: Sender,
  trial: Omit<ReceiveTrial, "torrent" | "peers">,
  { environment = {}, keepFiles = false }: { environment?: NodeJS.ProcessEnv; keepFiles?: boolean } = {},
): Promise<LabFigures> {
  const { torrent, data } = place;
  const seeder = await startLoadSeeder({ torrent, file: data, ...sender });
  try {
    const { before } = place;
    const told: ReceiveTrial = { ...trial, torrent, before, peers: seeder.addresses };
    const perf = perfMayCount() ? new PerfStat(place.target) : undefined;
    const figures = await runFigures(TRIAL, [JSON.stringify(told)], {
      prefix: perf?.prefix,
      environment: { ...environment, ...perf?.environment },
    });
    const load = await seeder.stop();
    return withLoad({ ...figures, ...perf?.figures(place.size) }, load);
  } finally {
    if (!keepFiles && trial.options.directory !== undefined)
      rmSync(trial.options.directory, { recursive: true, force: true });
  }
}

/** The same stream into one buffer, ignored. */
export async function limitOnce(
  place: BenchPlace,
  sender: Sender,
  receiveBufferBytes = 0,
): Promise<LabFigures> {
  const { torrent, data } = place;
  const seeder = await startLoadSeeder({ torrent, file: data, ...sender });
  const args = [
    "--before",
    `${place.before.torrent},${place.before.peer}`,
    "--have-every",
    String(sender.haveEvery ?? 0),
    "--receive-buffer",
    String(receiveBufferBytes),
  ];
  const figures = await runFigures(LIMIT_PROGRAM, [torrent, ...seeder.addresses, ...args]);
  return withLoad(figures, await seeder.stop());
}

function withLoad(figures: LabFigures, load: LoadResult): LabFigures {
  if (load.payloadBytes < figures.payloadBytes)
    throw new Error(
      `${figures.payloadBytes} bytes were received and ${load.payloadBytes} sent: a counter is wrong`,
    );
  return { ...figures, loadCpuSecondsPerGB: load.cpuSeconds / (load.payloadBytes / 1e9) };
}

/** An empty folder of that name below the place's target. */
export function freshFolder(place: BenchPlace, name: string): string {
  const folder = join(place.target, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  return folder;
}
