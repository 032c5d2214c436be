// Files whose paths a person gave: read where they are regular, and no longer than they may be.
//
// Always: nobody waits in the system for what a path leads to. To open a FIFO takes until somebody writes to it, on a thread that nothing
// ends, so that the process would not end either; and a device may never end.

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { UsageError } from "./errors.js";

const READ_BYTES_MIN = 64 * 1024;

/** Why a file is not read, as an error of whoever asked for it. */
export interface UnfitFile {
  notRegular(path: string): Error;
  tooLong(path: string, bytesMax: number): Error;
}

const UNFIT: UnfitFile = {
  notRegular: (path) => new UsageError("USAGE_OPTION", `${path}: not a regular file`),
  tooLong: (path, bytesMax) =>
    new UsageError("USAGE_OPTION", `${path}: more than ${bytesMax} bytes, and no more are read`),
};

/** Opens a regular file to read. Rejects what the system says, and `unfit` (UsageError `USAGE_OPTION`). */
export async function openRegular(path: string, unfit: UnfitFile = UNFIT): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw unfit.notRegular(path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** All of a regular file. Rejects as openRegular(), and for one that is longer than `bytesMax`, of which no more is read. */
export async function readRegular(
  path: string,
  bytesMax: number,
  unfit: UnfitFile = UNFIT,
): Promise<Buffer<ArrayBuffer>> {
  const file = await openRegular(path, unfit);
  try {
    const { size } = await file.stat();
    // Some file systems do not know sizes (/proc), and a file may grow: what counts is what comes.
    let bytes = Buffer.allocUnsafe(Math.min(bytesMax, Math.max(size, READ_BYTES_MIN)) + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      length += bytesRead;
      if (bytesRead === 0) return bytes.subarray(0, length);
      if (length > bytesMax) throw unfit.tooLong(path, bytesMax);
      if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(bytesMax + 1, 2 * length));
    }
  } finally {
    await file.close();
  }
}
