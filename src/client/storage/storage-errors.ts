// From what node:fs throws to what storage throws.

import { StorageError, storageErrorFromErrno } from "../../base/errors.js";

/** Makes a StorageError of what node:fs throws; one that is one already stays. */
export function storageErrorOf(error: unknown, doing: string, path: string): StorageError {
  if (error instanceof StorageError) return error;
  const errno = (error as NodeJS.ErrnoException).errno;
  if (typeof errno === "number") return storageErrorFromErrno(errno, `cannot ${doing}`, path);
  return new StorageError("STORAGE_IO", `cannot ${doing} ${path}: ${String(error)}`, { cause: error });
}
