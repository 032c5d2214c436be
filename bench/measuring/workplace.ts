// Where a benchmark works: a folder of its own that is gone afterwards, however the benchmark ends, random data in it, and
// the machine it ran on. Every child process is ended before the folder goes.

import { createCipheriv, randomBytes } from "node:crypto";
import { createWriteStream, existsSync, rmSync } from "node:fs";
import { mkdtemp, statfs, writeFile } from "node:fs/promises";
import { cpus, freemem, platform, release, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createTorrentFile, UsageError } from "../../src/index.js";
import { stopAll } from "../processes/running.js";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
}

/** Where files lie in memory, on Linux, so that it is not the disk that is measured. */
const MEMORY_FOLDER = "/dev/shm";
/** Torrent file, resume data and what the file system keeps for itself. */
const SLACK_BYTES = 64e6;

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${platform()} ${release()}`,
    node: process.version,
  };
}

/** How long the machine is watched before a trial: clocks of processors tick each 10 ms. */
const WATCH_MS = 200;

/** Share of all processors' time that is in use now, by whomever, from 0 to 1. */
export async function busyShare(): Promise<number> {
  const before = processorTimes();
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  const after = processorTimes();
  const total = after.total - before.total;
  return total > 0 ? (after.busy - before.busy) / total : 0;
}

function processorTimes(): { busy: number; total: number } {
  let [busy, total] = [0, 0];
  for (const { times } of cpus()) {
    const used = times.user + times.nice + times.sys + times.irq;
    busy += used;
    total += used + times.idle;
  }
  return { busy, total };
}

/**
 * A place with room for so many bytes: where "memory" is wanted a memory file system, if there is one and the machine has
 * memory to spare; else the folder for temporary files. Rejects UsageError if there is room in neither.
 */
export async function folderFor(bytes: number, wanted: "memory" | "disk"): Promise<string> {
  const needed = bytes + SLACK_BYTES;
  const mayUseMemory = wanted === "memory" && existsSync(MEMORY_FOLDER) && freemem() > 2 * needed;
  if (mayUseMemory && (await freeBytes(MEMORY_FOLDER)) > needed) return MEMORY_FOLDER;
  await requireRoom(tmpdir(), bytes);
  return tmpdir();
}

/** Rejects UsageError if `folder` has not so many bytes free. */
export async function requireRoom(folder: string, bytes: number): Promise<void> {
  const needed = bytes + SLACK_BYTES;
  if ((await freeBytes(folder)) >= needed) return;
  throw new UsageError(
    "USAGE_STATE",
    `the benchmark needs ${Math.ceil(needed / 1e6)} MB in ${folder}: choose a smaller --size`,
  );
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/**
 * Runs `work` with a new folder below `parent`. Ends all child processes and removes the folder when it is done, when it
 * fails, when `signal` aborts (rejects UsageError `ABORTED`), and when the program exits meanwhile.
 */
export async function withFolder<Result>(
  parent: string,
  signal: AbortSignal | undefined,
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(parent, `scatterwire-bench-${process.pid}-`));
  const cleanUp = (): void => {
    stopAll();
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", cleanUp);
  signal?.addEventListener("abort", stopAll);
  try {
    return await work(folder);
  } catch (error) {
    if (signal?.aborted === true) throw new UsageError("ABORTED", "the benchmark was stopped");
    throw error;
  } finally {
    process.off("exit", cleanUp);
    signal?.removeEventListener("abort", stopAll);
    cleanUp();
  }
}

/** Writes data.bin of so many random bytes, as fast as the processor makes them: a stream cipher over zeros. */
export async function makeData(folder: string, size: number, signal?: AbortSignal): Promise<string> {
  const data = join(folder, "data.bin");
  const cipher = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(1024 * 1024);
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let left = size; left > 0; left -= zeros.length) {
      yield cipher.update(left < zeros.length ? zeros.subarray(0, left) : zeros);
    }
  }
  await pipeline(chunks(), createWriteStream(data), signal === undefined ? {} : { signal });
  return data;
}

/** Makes a torrent file of `data`, beside it, and returns its path. */
export async function makeTorrent(
  data: string,
  options: { pieceLength?: number; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const { pieceLength, signal } = options;
  const bytes = await createTorrentFile(data, {
    ...(pieceLength === undefined ? {} : { pieceLength }),
    ...(signal === undefined ? {} : { signal }),
  });
  const torrent = join(dirname(data), `data${pieceLength ?? ""}.torrent`);
  await writeFile(torrent, bytes);
  return torrent;
}
