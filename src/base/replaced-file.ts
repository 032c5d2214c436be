// Files that are replaced as a whole: the new one is written beside the old one, made durable, and takes its name.
//
// Always: the file is whole, the old one or the new one, whenever the process or the machine ends; what could not be written whole takes no
// room on the disk. What has the name of the file beside it is removed, whatever it is: to open a FIFO takes until somebody reads from it,
// on a thread that nothing ends, and a link leads to a file of somebody else.

import { constants } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** A leftover stands in the way once; whoever puts it back each time is no leftover. */
const TRIES_MAX = 3;

/** Rejects what the system says; what is at `path` is as it was then. */
export async function replaceFile(path: string, parts: readonly Uint8Array[], mode = 0o644): Promise<void> {
  const beside = `${path}.new`;
  const file = await openFresh(beside, mode);
  try {
    try {
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await unlink(beside).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

async function openFresh(path: string, mode: number): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  for (let tries = 1; ; tries++) {
    try {
      return await open(path, flags, mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || tries === TRIES_MAX) throw error;
      await unlink(path);
    }
  }
}

/** So that the new name is durable as well. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
