// Never two writers: an exclusive flock on a file of ours beside the download, held until the torrent is closed. The kernel
// lets go of it when the process ends, however it ends.

import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { isMainThread } from "node:worker_threads";
import { StorageError } from "../../base/errors.js";
import { ownFileIn } from "./own-files.js";
import { storageErrorOf } from "./storage-errors.js";

/** What we use of fs-ext, which has no prebuilt binary and is therefore optional. */
interface FsExt {
  flockSync(fd: number, operation: "exnb" | "un"): void;
  statVFS(path: string): { f_bavail: number; f_frsize: number; f_bsize: number };
}

let loaded: FsExt | undefined | null;

/** fs-ext, or undefined where it was not installed. Not in workers: it is no Node-API addon and loads once per process. */
export function loadFsExt(): FsExt | undefined {
  if (loaded !== undefined) return loaded ?? undefined;
  loaded = null;
  if (isMainThread) {
    try {
      loaded = createRequire(import.meta.url)("fs-ext") as FsExt;
    } catch {
      // Told by whoever needed it.
    }
  }
  return loaded ?? undefined;
}

/** Bytes free to us in the file system that `path` lies in, or undefined if that cannot be known. */
export function freeBytes(path: string): number | undefined {
  try {
    const status = loadFsExt()?.statVFS(path);
    return status === undefined ? undefined : status.f_bavail * (status.f_frsize || status.f_bsize);
  } catch {
    return undefined;
  }
}

export class DownloadLock {
  readonly #fd: number;
  readonly #path: string;

  /**
   * Locks the download of this info hash in `folder`, where our own folder is made already. Throws StorageError `STORAGE_LOCKED` if somebody has it, `STORAGE_READ_ONLY`
   * if no file can be made there. Undefined: this platform cannot lock (`onWarning` was told why).
   */
  static take(
    folder: string,
    infoHashHex: string,
    onWarning: (text: string) => void,
  ): DownloadLock | undefined {
    const fsExt = loadFsExt();
    if (fsExt === undefined) {
      onWarning(
        "no lock: the optional package fs-ext is not installed, so nothing keeps a second process off this download",
      );
      return undefined;
    }
    const path = ownFileIn(folder, `${infoHashHex}.lock`);
    for (;;) {
      const fd = openLockFile(path);
      try {
        fsExt.flockSync(fd, "exnb");
      } catch (error) {
        closeSync(fd);
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw storageErrorOf(error, "lock", path);
        throw new StorageError(
          "STORAGE_LOCKED",
          `another process (or session) is using this torrent in ${folder}`,
        );
      }
      // Its last holder may have removed the file between our open and our lock: then we hold a lock on nothing.
      if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino)
        return new DownloadLock(fd, path);
      closeSync(fd);
    }
  }

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  release(): void {
    try {
      // Removed while it is held: whoever opened it before us finds it locked, and then gone.
      unlinkSync(this.#path);
    } catch {
      // Somebody tidied up already.
    }
    closeSync(this.#fd);
  }
}

function openLockFile(path: string): number {
  try {
    return openSync(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      0o644,
    );
  } catch (error) {
    throw storageErrorOf(error, "make the lock file", path);
  }
}
