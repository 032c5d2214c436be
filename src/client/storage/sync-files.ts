// Makes files durable: several at a time, each held open while it is.

import { entryOf } from "../../base/assert.js";
import { storageErrorFromErrno } from "../../base/errors.js";
import type { Ground } from "../../base/ground.js";
import { JobKind } from "../../native/binding.js";
import type { JobQueue } from "../../native/jobs.js";
import type { FileTable } from "./file-table.js";
import { acquireWhenFree } from "./waiting-jobs.js";

/**
 * Files held open to be made durable at one time: a journal commits once for all that wait, and with two of them 15,000 small files
 * cost a turn of the loop for each pair. Where descriptors are fewer, some wait.
 */
const SYNCS_AT_A_TIME = 16;

/** `failure`: the first that was met, after which no file is begun. `left`: the files that are not durable for it. */
export async function syncFiles(
  files: FileTable,
  jobs: JobQueue,
  ground: Ground,
  fileIndices: readonly number[],
): Promise<{ failure: unknown; left: number[] }> {
  const left: number[] = [];
  let next = 0;
  let failure: unknown;
  const work = async (): Promise<void> => {
    while (next < fileIndices.length && failure === undefined) {
      const fileIndex = entryOf(fileIndices, next++);
      try {
        await syncFile(files, jobs, ground, fileIndex);
      } catch (error) {
        failure ??= error;
        left.push(fileIndex);
      }
    }
  };
  await Promise.all(Array.from({ length: SYNCS_AT_A_TIME }, work));
  return { failure, left: [...left, ...fileIndices.slice(next)] };
}

async function syncFile(files: FileTable, jobs: JobQueue, ground: Ground, fileIndex: number): Promise<void> {
  const fd = await acquireWhenFree(files, fileIndex, false, ground);
  const result = await new Promise<number>((resolve) => {
    jobs.begin(JobKind.sync, { jobDone: (_tag, done) => resolve(done) }, 0, fd, 0, 0);
    jobs.end();
  });
  files.release(fileIndex);
  if (result < 0) throw storageErrorFromErrno(result, "cannot make durable", files.pathAt(fileIndex));
}
