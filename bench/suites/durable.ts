// Direct against file storage on a real disk, verified and durable at the end, interleaved.
//
//   node dist/bench/suites/durable.js [BYTES] [--json]          1 GiB unless told otherwise; the disk is that of TMPDIR
//
// The data that is seeded lies in memory where there is room, so that the disk only writes.

import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StorageKind } from "../../src/index.js";
import { interruptible, sizeArgument } from "../measuring/script.js";
import { type Comparison, compare, median } from "../measuring/statistics.js";
import { folderFor, makeData, makeTorrent, requireRoom, withFolder } from "../measuring/workplace.js";
import { runCli, startSeeder } from "../processes/processes.js";
import { TextTable } from "../report/text-table.js";

export interface StorageTrial {
  readonly bytesPerSecond: number;
  readonly cpuSecondsPerGB: number;
  readonly peakRssBytes: number;
}

export interface StorageResult {
  readonly benchmark: "storage";
  readonly size: number;
  readonly disk: string;
  readonly runs: Readonly<Record<string, readonly StorageTrial[]>>;
  /** Direct to file, round by round. */
  readonly cpuRatio: Comparison;
  readonly speedRatio: Comparison;
}

const SIZE_DEFAULT = 1024 ** 3;
const RUNS_DEFAULT = 3;
const KINDS = ["file", "direct"] as const satisfies readonly StorageKind[];

export async function benchStorage(options: {
  size: number;
  runs?: number;
  signal?: AbortSignal;
}): Promise<StorageResult> {
  const { size, signal, runs = RUNS_DEFAULT } = options;
  const disk = tmpdir();
  await requireRoom(disk, 2 * size);
  const source = await folderFor(size, "memory");
  return withFolder(source, signal, (folder) =>
    withFolder(disk, signal, async (target) => {
      const torrent = await makeTorrent(await makeData(folder, size, signal), { signal });
      const seeder = await startSeeder(torrent, folder);
      const trials: Record<(typeof KINDS)[number], StorageTrial[]> = { file: [], direct: [] };
      for (let run = 0; run < runs; run++) {
        for (const kind of run % 2 === 0 ? KINDS : KINDS.toReversed()) {
          trials[kind].push(await download(torrent, join(target, "download"), kind, seeder));
        }
      }
      await seeder.stop();
      const ratio = (figure: keyof StorageTrial): Comparison =>
        compare(
          trials.direct.map((trial) => trial[figure]),
          trials.file.map((trial) => trial[figure]),
        );
      return {
        benchmark: "storage",
        size,
        disk,
        runs: trials,
        cpuRatio: ratio("cpuSecondsPerGB"),
        speedRatio: ratio("bytesPerSecond"),
      };
    }),
  );
}

async function download(
  torrent: string,
  output: string,
  kind: StorageKind,
  seeder: { host: string; port: number },
): Promise<StorageTrial> {
  const peer = `${seeder.host}:${seeder.port}`;
  const result = await runCli(["download", torrent, "-o", output, "--storage", kind, "--peer", peer]);
  rmSync(output, { recursive: true, force: true });
  if (result["storage"] !== kind)
    throw new Error(`${tmpdir()} refuses O_DIRECT: set TMPDIR to a folder on a disk`);
  return {
    bytesPerSecond: Number(result["bytesPerSecond"]),
    cpuSecondsPerGB: Number(result["cpuSecondsPerGB"]),
    peakRssBytes: Number(result["peakRssBytes"]),
  };
}

function storageTable(result: StorageResult): string {
  const table = new TextTable({
    head: ["storage", "GB/s", "CPU s/GB", "peak RSS"],
    colAligns: ["left", "right", "right", "right"],
  });
  for (const [kind, trials] of Object.entries(result.runs)) {
    const of = (figure: keyof StorageTrial): number => median(trials.map((trial) => trial[figure]));
    table.push([
      kind,
      (of("bytesPerSecond") / 1e9).toFixed(2),
      of("cpuSecondsPerGB").toFixed(2),
      `${(of("peakRssBytes") / 1e6).toFixed(0)} MB`,
    ]);
  }
  const range = ({ ratio, low, high }: Comparison): string =>
    `${ratio.toFixed(2)} × (${low.toFixed(2)} to ${high.toFixed(2)})`;
  return [
    `${(result.size / 1e9).toFixed(2)} GB from one peer to ${result.disk}, verified, durable at the end`,
    table.toString(),
    `direct to file, round by round: CPU s/GB ${range(result.cpuRatio)}, GB/s ${range(result.speedRatio)}`,
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await interruptible(async (signal) => {
    const result = await benchStorage({ size: sizeArgument(SIZE_DEFAULT), signal });
    console.log(process.argv.includes("--json") ? JSON.stringify(result) : storageTable(result));
  });
}
