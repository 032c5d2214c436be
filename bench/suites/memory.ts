// Peak RSS of a verified download to files, over piece lengths: it must not depend on them.

import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Answer, OnStep } from "../measuring/answer.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { Program } from "../processes/program.js";
import { startSeeder } from "../processes/seeder.js";
import { number, object, type ValueOf } from "../processes/shape.js";
import { TextTable } from "../report/text-table.js";

const DOWNLOADED = object({ peakRssBytes: number, bytesPerSecond: number, cpuSecondsPerGB: number });

export interface MemoryTrial extends ValueOf<typeof DOWNLOADED> {
  readonly pieceLength: number;
}

const KIB = 1024;
const PIECE_LENGTHS = [256 * KIB, 1024 * KIB, 4096 * KIB, 16_384 * KIB];

export async function benchMemory(options: {
  size: number;
  pieceLengths?: readonly number[];
  signal?: AbortSignal;
  onStep?: OnStep;
}): Promise<MemoryTrial[]> {
  const { size, signal, pieceLengths = PIECE_LENGTHS, onStep } = options;
  return withFolder(await folderFor(2 * size, "memory"), signal, async (folder) => {
    const data = await makeData(folder, size, signal);
    const output = join(folder, "download");
    const trials: MemoryTrial[] = [];
    for (const pieceLength of pieceLengths) {
      const what = `pieces of ${pieceLength / KIB} KiB`;
      onStep?.({ done: trials.length, total: pieceLengths.length, what });
      const torrent = await makeTorrent(data, { pieceLength, signal });
      const seeder = await startSeeder(torrent, folder);
      const peer = `${seeder.host}:${seeder.port}`;
      const download = Program.cli(
        ...["download", torrent, "-o", output, "--storage", "file", "--peer", peer, "--json"],
      );
      const found = await download.answer(DOWNLOADED);
      await seeder.stop();
      rmSync(output, { recursive: true, force: true });
      trials.push({ pieceLength, ...found });
    }
    return trials;
  });
}

function memoryTable(size: number, trials: readonly MemoryTrial[]): string {
  const table = new TextTable({
    head: ["piece length", "peak RSS", "GB/s", "CPU s/GB"],
    colAligns: ["right", "right", "right", "right"],
  });
  for (const { pieceLength, peakRssBytes, bytesPerSecond, cpuSecondsPerGB } of trials) {
    table.push([
      `${pieceLength / KIB} KiB`,
      `${(peakRssBytes / 1e6).toFixed(0)} MB`,
      (bytesPerSecond / 1e9).toFixed(2),
      cpuSecondsPerGB.toFixed(2),
    ]);
  }
  return `${(size / 1e9).toFixed(2)} GB from one peer, storage file, verified\n${table.toString()}`;
}

/** The whole benchmark: what it found, as data and as text. */
export async function memoryAnswer(size: number, signal: AbortSignal, onStep?: OnStep): Promise<Answer> {
  const trials = await benchMemory({ size, signal, ...(onStep === undefined ? {} : { onStep }) });
  return { data: { benchmark: "memory", trials }, text: memoryTable(size, trials) };
}
