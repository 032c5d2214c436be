// Never two writers: while a download is open, one byte of a file of ours in its folder is locked for it. The kernel lets go of it when
// the process ends, however it ends.
//
//   DIRECTORY/.scatterwire/lock       byte 0 … 2^48 − 1: one for each info hash       byte 2^48: somebody uses the file
//
// A locked byte belongs to an open file (F_OFD_SETLK), and neither to a process nor to a descriptor of another opening: so threads and
// processes are kept apart alike. A thread opens the file once for all downloads in the folder, since a descriptor for each is what
// processes run out of, and keeps its own sessions apart by what it notes.
//
// Always: whoever uses the file has its last byte shared, and whoever removes the file has that byte alone: nobody locks bytes of a file
// that is gone, nor is refused for one that is going.

import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { StorageError, storageErrorFromErrno } from "../../base/errors.js";
import { ByteLock, loadBinding } from "../../native/binding.js";
import { openMakingRoom, processFiles } from "./descriptors.js";
import { ownFileIn } from "./own-files.js";
import { storageErrorOf } from "./storage-errors.js";

const { errno: ERRNO } = osConstants;
/** What file systems and systems without such locks answer. */
const CANNOT_LOCK: readonly number[] = [ERRNO.ENOSYS, ERRNO.EOPNOTSUPP, ERRNO.ENOLCK, ERRNO.EINVAL];
/** Digits of the info hash that name its byte, of 4 bits each: two downloads of one folder that share one are not met by chance. */
const DIGITS = 12;
const IN_USE_AT = 2 ** (4 * DIGITS);
/** Removing the file takes a few system calls: whoever comes in the middle of them looks again, for a second at the most. */
const REMOVAL_LOOK_MS = 1;
const REMOVAL_LOOKS_MAX = 1000;

/** Those of this thread, by path. */
const openFiles = new Map<string, LockFile>();

/** The file of one folder, open for all downloads of this thread there. */
class LockFile {
  readonly #fd: number;
  readonly #path: string;
  /** Info hashes by the byte that is locked for them. */
  readonly #held = new Map<number, Set<string>>();

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /** The one that lies at `path`, which is made if there is none. Throws StorageError. A negative errno: it cannot be locked. */
  static at(path: string): LockFile | number {
    const known = openFiles.get(path);
    if (known?.isThere === true) return known;
    const file = LockFile.#open(path);
    if (typeof file !== "number") openFiles.set(path, file);
    return file;
  }

  static #open(path: string): LockFile | number {
    for (let looks = 0; ; looks++) {
      const fd = openLockFile(path);
      const result = loadBinding().lockByte(fd, IN_USE_AT, ByteLock.shared);
      const file = new LockFile(fd, path);
      // Its last user may have removed it between our open and our lock: then we hold a lock on nothing.
      if (result === 0 && file.isThere) {
        processFiles().hold();
        return file;
      }
      closeSync(fd);
      const isBeingRemoved = result === 0 || result === -ERRNO.EAGAIN;
      if (!isBeingRemoved) removeQuietly(path);
      if (!isBeingRemoved || looks === REMOVAL_LOOKS_MAX) return isBeingRemoved ? -ERRNO.EAGAIN : result;
      pause(REMOVAL_LOOK_MS);
    }
  }

  /** The file that was opened is the one that has its name. */
  get isThere(): boolean {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    const ours = fstatSync(this.#fd);
    return there?.ino === ours.ino && there.dev === ours.dev;
  }

  /** 0, −EAGAIN if somebody has the download open, or −errno. */
  lock(infoHashHex: string): number {
    const at = placeOf(infoHashHex);
    const sharing = this.#held.get(at);
    if (sharing !== undefined) {
      if (sharing.has(infoHashHex)) return -ERRNO.EAGAIN;
      sharing.add(infoHashHex);
      return 0;
    }
    const result = loadBinding().lockByte(this.#fd, at, ByteLock.exclusive);
    if (result === 0) this.#held.set(at, new Set([infoHashHex]));
    else this.#closeUnused();
    return result;
  }

  unlock(infoHashHex: string): void {
    const at = placeOf(infoHashHex);
    const sharing = this.#held.get(at);
    sharing?.delete(infoHashHex);
    if (sharing?.size !== 0) return;
    this.#held.delete(at);
    loadBinding().lockByte(this.#fd, at, ByteLock.none);
    this.#closeUnused();
  }

  /** Whoever is the last to use the file removes it. */
  #closeUnused(): void {
    if (this.#held.size > 0) return;
    if (openFiles.get(this.#path) === this) openFiles.delete(this.#path);
    const isAlone = loadBinding().lockByte(this.#fd, IN_USE_AT, ByteLock.exclusive) === 0;
    if (isAlone && this.isThere) removeQuietly(this.#path);
    closeSync(this.#fd);
    processFiles().letGo();
  }
}

export class DownloadLock {
  readonly #file: LockFile;
  readonly #infoHashHex: string;

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
    const path = ownFileIn(folder, "lock");
    const file = LockFile.at(path);
    const result = typeof file === "number" ? file : file.lock(infoHashHex);
    if (result === 0 && typeof file !== "number") return new DownloadLock(file, infoHashHex);
    if (result === -ERRNO.EAGAIN) {
      throw new StorageError(
        "STORAGE_LOCKED",
        `another process (or session) is using this torrent in ${folder}`,
      );
    }
    if (!CANNOT_LOCK.includes(-result)) throw storageErrorFromErrno(result, "cannot lock", path);
    onWarning(
      `no lock: the file system of ${folder} has none, so nothing keeps a second process off this download`,
    );
    return undefined;
  }

  private constructor(file: LockFile, infoHashHex: string) {
    this.#file = file;
    this.#infoHashHex = infoHashHex;
  }

  release(): void {
    this.#file.unlock(this.#infoHashHex);
  }
}

function placeOf(infoHashHex: string): number {
  return Number.parseInt(infoHashHex.slice(0, DIGITS), 16);
}

function openLockFile(path: string): number {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return openMakingRoom(() => openSync(path, flags, 0o644));
  } catch (error) {
    throw storageErrorOf(error, "make the lock file", path);
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody tidied up already, or the folder is not ours to write to any more.
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
