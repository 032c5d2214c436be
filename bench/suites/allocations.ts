// Shows that nothing is allocated per block on the main thread once a transfer runs: downloads a torrent in each receive
// mode and prints what the JavaScript heap grew by, per block, in the second half of the transfer.
//
// Pieces have 8 MiB, so that what a piece costs is not taken for what its 512 blocks cost. The smallest object of V8 has 16
// bytes, so less than that per block proves that at most some blocks (the last of a piece,
// the first of a batch) cost an object. Exit status 1 if it is more.

import { fileURLToPath } from "node:url";
import { RECEIVE_MODES, UsageError } from "../../src/index.js";
import type { Answer, OnStep } from "../measuring/answer.js";
import { folderFor, makeData, makeTorrent, withFolder } from "../measuring/workplace.js";
import { Program } from "../processes/program.js";
import { startSeeder } from "../processes/seeder.js";
import { boolean, listOf, number, object, oneOf, string, type ValueOf } from "../processes/shape.js";
import { TextTable } from "../report/text-table.js";

const ALLOCATION_TRIAL = object({
  mode: oneOf(RECEIVE_MODES),
  verify: boolean,
  /** Blocks of the part of the transfer that was watched, and what the heap grew by meanwhile. */
  blocks: number,
  heapBytes: number,
  /** Collections of garbage meanwhile: with any, `heapBytes` says nothing. */
  collections: number,
  /** Where most of the bytes were allocated, in the same part of a second, sampled download. */
  sites: listOf(object({ site: string, bytes: number })),
});
export interface AllocationTrial extends ValueOf<typeof ALLOCATION_TRIAL> {
  readonly heapBytesPerBlock: number;
}

export const SMALLEST_OBJECT_BYTES = 16;

const TRIAL = fileURLToPath(new URL("./allocations-trial.js", import.meta.url));
/** Young generation in MiB: larger than all that a transfer may allocate. */
const SEMI_SPACE_MIB = 256;
const PIECE_LENGTH = 8 * 1024 ** 2;

export async function benchAllocations(options: {
  size: number;
  signal?: AbortSignal;
  onStep?: OnStep;
}): Promise<AllocationTrial[]> {
  return withFolder(await folderFor(options.size, "memory"), options.signal, async (folder) => {
    const torrent = await makeTorrent(await makeData(folder, options.size, options.signal), {
      pieceLength: PIECE_LENGTH,
      signal: options.signal,
    });
    const seeder = await startSeeder(torrent, folder);
    const trials: AllocationTrial[] = [];
    for (const verify of [false, true]) {
      for (const mode of RECEIVE_MODES) {
        const what = `${mode}${verify ? ", verified" : ""}`;
        options.onStep?.({ done: trials.length, total: 2 * RECEIVE_MODES.length, what });
        const work = [seeder.host, String(seeder.port), torrent, mode, verify ? "yes" : "no"];
        const counted = await download([...work, "no"]);
        if (counted.blocks === 0)
          throw new UsageError(
            "USAGE_OPTION",
            "the transfer was over before its second half could be watched: choose a larger --size",
          );
        const sampled = await download([...work, "yes"]);
        const heapBytesPerBlock = counted.heapBytes / counted.blocks;
        trials.push({ ...counted, heapBytesPerBlock, sites: sampled.sites });
      }
    }
    await seeder.stop();
    return trials;
  });
}

function download(args: readonly string[]): Promise<ValueOf<typeof ALLOCATION_TRIAL>> {
  const space = [`--min-semi-space-size=${SEMI_SPACE_MIB}`, `--max-semi-space-size=${SEMI_SPACE_MIB}`];
  return new Program(process.execPath, [...space, TRIAL, ...args]).answer(ALLOCATION_TRIAL);
}

/** Whether a trial proves that no block costs an object of its own. */
export function isFreeOfGarbage(trial: AllocationTrial): boolean {
  return trial.collections === 0 && trial.heapBytesPerBlock < SMALLEST_OBJECT_BYTES;
}

function allocationTable(trials: readonly AllocationTrial[]): string {
  const table = new TextTable({
    head: ["mode", "verified", "blocks", "heap bytes", "bytes/block", "collections"],
    colAligns: ["left", "left", "right", "right", "right", "right"],
  });
  for (const { mode, verify, blocks, heapBytes, heapBytesPerBlock, collections } of trials) {
    const yes = verify ? "yes" : "no";
    table.push([mode, yes, blocks, heapBytes, heapBytesPerBlock.toFixed(2), collections]);
  }
  const sites = trials.find((trial) => trial.mode === "adaptive" && trial.verify)?.sites ?? [];
  return [
    table.toString(),
    "Where most was allocated in the second half of a verified download (adaptive), sampled:",
    ...sites.map(({ site, bytes }) => `  ${String(bytes).padStart(9)} bytes  ${site}`),
    verdictOf(trials),
  ].join("\n");
}

/** Collections hide what was allocated: then nothing is known, and nothing is said of blocks. */
export function verdictOf(trials: readonly AllocationTrial[]): string {
  const name = ({ mode, verify }: AllocationTrial): string => `${mode}${verify ? " (verified)" : ""}`;
  const collected = trials.filter(({ collections }) => collections > 0);
  const allocating = trials.filter((trial) => trial.collections === 0 && !isFreeOfGarbage(trial));
  const sentences: string[] = [];
  if (allocating.length > 0)
    sentences.push(
      `Something is allocated per block, ${SMALLEST_OBJECT_BYTES} bytes or more: ${allocating.map(name).join(", ")}.`,
    );
  if (collected.length > 0)
    sentences.push(
      `Garbage was collected meanwhile, so that nothing can be told: ${collected.map(name).join(", ")}.`,
    );
  if (sentences.length === 0)
    return `Nothing is allocated per block: less than the smallest object (${SMALLEST_OBJECT_BYTES} bytes) for each, and nothing was collected.`;
  return sentences.join(" ");
}

/** The whole benchmark: what it found, as data and as text, and what is wrong if it found what must not be. */
export async function allocationsAnswer(size: number, signal: AbortSignal, onStep?: OnStep): Promise<Answer> {
  const trials = await benchAllocations({ size, signal, ...(onStep === undefined ? {} : { onStep }) });
  return {
    data: { benchmark: "allocations", trials },
    text: allocationTable(trials),
    ...(trials.every(isFreeOfGarbage) ? {} : { failure: verdictOf(trials) }),
  };
}
