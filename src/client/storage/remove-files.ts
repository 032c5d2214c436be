// Deletes what was downloaded of a torrent: its files, the folders that are empty then, and what we kept beside them.
//
// Always: nothing is deleted but regular files of the torrent and files of our own, in the download folder and not behind a link that
// leads out of it; a folder that holds anything else stays. What somebody else has open meanwhile is left alone.

import { lstatSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Folders } from "./folders.js";
import type { Layout } from "./layout.js";
import { DownloadLock } from "./lock.js";
import { identityOf, ownFileIn, ownFolderIn } from "./own-files.js";
import { storageErrorOf } from "./storage-errors.js";

const RESUME_ENDINGS = ["resume", "resume.new"];

/** Deletes what we kept beside the download: the next start knows nothing of it. Throws StorageError. */
export function forgetDownload(directory: string, infoHashHex: string): void {
  forgetResumeData(directory, infoHashHex);
  unlink(ownFileIn(directory, `${infoHashHex}.totals`));
  // What a move that was killed left: further names of what was moved.
  rmSync(ownFileIn(directory, `${infoHashHex}.moving`), { recursive: true, force: true });
  removeEmpty(ownFolderIn(directory));
}

/**
 * Deletes what we kept beside a download that is closed, and with `layout` its files. Throws StorageError for the first that cannot be
 * deleted; `STORAGE_LOCKED`, and nothing is deleted, where somebody has the download open again.
 */
export function removeDownload(
  directory: string,
  infoHashHex: string,
  layout: Layout | undefined,
  onWarning: (text: string) => void,
): void {
  const folder = ownFolderIn(directory);
  // Whoever has it open has a lock, in our folder.
  const lock =
    identityOf(folder) === undefined ? undefined : DownloadLock.take(directory, infoHashHex, onWarning);
  try {
    forgetDownload(directory, infoHashHex);
    if (layout !== undefined) removeFiles(directory, layout);
  } finally {
    lock?.release();
    removeEmpty(folder);
  }
}

/** Nothing is known to be good any more: all that is there is checked at the next opening. Throws StorageError. */
export function forgetResumeData(directory: string, infoHashHex: string): void {
  for (const ending of RESUME_ENDINGS) unlink(ownFileIn(directory, `${infoHashHex}.${ending}`));
}

/** Deletes the files of the torrent. Throws StorageError for the first that cannot be deleted. */
export function removeFiles(directory: string, layout: Layout): void {
  const root = resolve(directory);
  const folders = new Folders(root);
  const parents = new Set<string>();
  for (const file of layout.files) {
    if (file.padding) continue;
    const path = join(root, ...file.path);
    try {
      folders.check(file.path);
    } catch (error) {
      throw storageErrorOf(error, "use the folder of", path);
    }
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) unlink(path);
    for (let folder = dirname(path); folder !== root; folder = dirname(folder)) parents.add(folder);
  }
  // The deepest first.
  for (const folder of [...parents].sort((a, b) => b.length - a.length)) removeEmpty(folder);
}

function unlink(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw storageErrorOf(error, "delete", path);
  }
}

/** A folder that holds something, or is a link, stays. */
function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It holds what is not of this torrent.
  }
}
