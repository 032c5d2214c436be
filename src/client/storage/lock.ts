// Never two writers: an exclusive flock on a file of ours beside the download, held until the torrent is closed. The kernel
// lets go of it when the process ends, however it ends.

import { closeSync, constants, fstatSync, openSync, statfsSync, statSync, unlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { constants as osConstants } from "node:os";
import { isMainThread } from "node:worker_threads";
import { StorageError, storageErrorFromErrno } from "../../base/errors.js";
import { loadBinding } from "../../native/binding.js";
import { openMakingRoom } from "./descriptors.js";
import { ownFileIn } from "./own-files.js";
import { storageErrorOf } from "./storage-errors.js";

/** What we use of fs-ext, which has no prebuilt binary and is therefore optional. */
interface FsExt {
  flockSync(fd: number, operation: "exnb" | "un"): void;
  statVFS(path: string): { f_bavail: number; f_frsize: number; f_bsize: number };
}

const { errno: ERRNO } = osConstants;
/** What file systems and systems without flock answer. */
const CANNOT_LOCK: readonly number[] = [ERRNO.ENOSYS, ERRNO.EOPNOTSUPP, ERRNO.ENOLCK];

let loaded: FsExt | undefined | null;

/** fs-ext, or undefined where it was not installed. Not in workers: it is no Node-API addon and loads once per process. */
export function loadFsExt(): FsExt | undefined {
  if (loaded !== undefined) return loaded ?? undefined;
  loaded = null;
  if (isMainThread) {
    try {
      loaded = createRequire(import.meta.url)("fs-ext") as FsExt;
    } catch {
      // The addon and Node itself do as well.
    }
  }
  return loaded ?? undefined;
}

/** Bytes free to us in the file system that `path` lies in, or undefined if that cannot be known. */
export function freeBytes(path: string): number | undefined {
  try {
    const fsExt = loadFsExt();
    if (fsExt === undefined) {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    }
    const status = fsExt.statVFS(path);
    return status.f_bavail * (status.f_frsize || status.f_bsize);
  } catch {
    return undefined;
  }
}

/** Takes the flock: 0, or −errno. By fs-ext, or by the addon where that cannot be loaded. */
function lockFile(fd: number): number {
  const fsExt = loadFsExt();
  if (fsExt === undefined) return loadBinding().lockFile(fd);
  try {
    fsExt.flockSync(fd, "exnb");
    return 0;
  } catch (error) {
    const { errno: number, code } = error as NodeJS.ErrnoException;
    const known = ERRNO[code as keyof typeof ERRNO];
    if (known === undefined && typeof number !== "number") throw error;
    return known === undefined ? -Math.abs(number!) : -known;
  }
}

export class DownloadLock {
  readonly #fd: number;
  readonly #path: string;

  /**
   * Locks the download of this info hash in `folder`, where our own folder is made already. Throws StorageError `STORAGE_LOCKED` if
   * somebody has it, `STORAGE_READ_ONLY` if no file can be made there. Undefined: this file system cannot lock (`onWarning` was told
   * why).
   */
  static take(
    folder: string,
    infoHashHex: string,
    onWarning: (text: string) => void,
  ): DownloadLock | undefined {
    const path = ownFileIn(folder, `${infoHashHex}.lock`);
    for (;;) {
      const fd = openLockFile(path);
      const result = lockFile(fd);
      if (result < 0) {
        closeSync(fd);
        if (result === -ERRNO.EAGAIN) {
          throw new StorageError(
            "STORAGE_LOCKED",
            `another process (or session) is using this torrent in ${folder}`,
          );
        }
        if (!CANNOT_LOCK.includes(-result)) throw storageErrorFromErrno(result, "cannot lock", path);
        unlinkSync(path);
        onWarning(
          `no lock: the file system of ${folder} has none, so nothing keeps a second process off this download`,
        );
        return undefined;
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
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return openMakingRoom(() => openSync(path, flags, 0o644));
  } catch (error) {
    throw storageErrorOf(error, "make the lock file", path);
  }
}
