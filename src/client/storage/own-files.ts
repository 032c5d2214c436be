// The files that we keep beside a download (resume data, the lock of all of them), and where: in a folder of their own in the download
// folder, whose name no torrent may write to.
//
//   DIRECTORY/.scatterwire/HASH.resume        DIRECTORY/.scatterwire/lock
//
// Always: no path of a torrent leads into that folder (isOwnName() for the name, identityOf() for its other names: a file
// system that folds cases, a link); what we write there is a file that we made ourselves, never one that was found there.

import { constants, lstatSync, mkdirSync, openSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { StorageError } from "../../base/errors.js";
import { openMakingRoom } from "./descriptors.js";
import { storageErrorOf } from "./storage-errors.js";

const OWN_FOLDER = ".scatterwire";
/** A leftover of a process that was killed stands in the way of a fresh file once; whoever puts it back each time is no leftover. */
const FRESH_TRIES_MAX = 3;

export function ownFolderIn(directory: string): string {
  return join(directory, OWN_FOLDER);
}

/** Where the file `name` of ours lies, for the download folder `directory`. */
export function ownFileIn(directory: string, name: string): string {
  return join(directory, OWN_FOLDER, name);
}

/**
 * True if a file system might take this name of a file or folder for that of our folder: some fold cases and compose
 * characters, some ignore characters that are not seen, or dots and spaces at the end.
 */
export function isOwnName(name: string): boolean {
  const seen = name.normalize("NFKC").replace(/\p{Default_Ignorable_Code_Point}/gu, "");
  return seen.replace(/[. ]+$/, "").toLowerCase() === OWN_FOLDER;
}

/** Makes our folder; the download folder is there. Throws StorageError, also if a link or a file has its name. */
export function makeOwnFolder(directory: string): void {
  const folder = ownFolderIn(directory);
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw storageErrorOf(error, "make", folder);
  }
  const status = lstatSync(folder, { throwIfNoEntry: false });
  if (status?.isDirectory() !== true)
    throw new StorageError(
      "STORAGE_PATH",
      `${folder} has to be a folder, and not a link to one: resume data goes there`,
    );
}

/** What tells our folder from any other, by whatever path it is reached; undefined if it is not there. */
export function identityOf(folder: string): string | undefined {
  const status = lstatSync(folder, { throwIfNoEntry: false });
  return status === undefined ? undefined : `${status.dev}:${status.ino}`;
}

/** Opens a file that is new: what has its name is removed, and nothing is followed or overwritten. Throws what node:fs does. */
export function openFresh(path: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  for (let tries = 1; ; tries++) {
    try {
      return openMakingRoom(() => openSync(path, flags, 0o644));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || tries === FRESH_TRIES_MAX) throw error;
      unlinkSync(path);
    }
  }
}
