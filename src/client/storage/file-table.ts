// The files of a torrent on disk: folders made, paths kept inside the download folder, descriptors opened when they are
// needed and closed again when there are too many.
//
// Always: a descriptor is not closed while somebody holds it (acquire … release); nothing is written through a symbolic
// link that leads out of the download folder (reading through links is the user's own arrangement); padding files do not exist.

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  realpathSync,
  statSync,
} from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { assert } from "../../base/assert.js";
import { StorageError, storageErrorFromErrno } from "../../base/errors.js";
import type { Layout, LayoutFile } from "./layout.js";

/** Descriptors that one torrent keeps open at the most, held ones aside. */
const OPEN_MAX = 128;
const FILE_MODE = 0o666;

interface OpenFile {
  fd: number;
  holders: number;
}

export class FileTable {
  readonly layout: Layout;
  readonly root: string;
  readonly readOnly: boolean;
  readonly #flags: number;
  /** By file index; a Map remembers the order, the least recently used first. */
  readonly #open = new Map<number, OpenFile>();
  /** Folders known to exist and to lie inside the download folder. */
  readonly #safeFolders = new Set<string>();

  /** `flags`: added when files are opened, such as O_DIRECT. */
  constructor(layout: Layout, root: string, readOnly: boolean, flags = 0) {
    this.layout = layout;
    this.root = resolve(root);
    this.readOnly = readOnly;
    this.#flags = flags;
  }

  pathOf(file: LayoutFile): string {
    return join(this.root, ...file.path);
  }

  /** Holds the file open. Throws StorageError. */
  acquire(fileIndex: number): number {
    let open = this.#open.get(fileIndex);
    if (open === undefined) {
      this.#closeSurplus(OPEN_MAX - 1);
      open = { fd: this.#openFile(fileIndex), holders: 0 };
    } else {
      this.#open.delete(fileIndex);
    }
    open.holders++;
    this.#open.set(fileIndex, open);
    return open.fd;
  }

  release(fileIndex: number): void {
    const open = this.#open.get(fileIndex);
    assert(open !== undefined && open.holders > 0, "a file is let go by who holds it");
    open.holders--;
  }

  /** Size on disk, or −1: not there, or not a file. Throws StorageError for what prevents looking. */
  sizeOnDisk(fileIndex: number): number {
    const status = this.#look(fileIndex);
    return status === undefined ? -1 : status.size;
  }

  /** Bytes that the file occupies on disk; 0 if it is not there. */
  allocatedOnDisk(fileIndex: number): number {
    const status = this.#look(fileIndex);
    return status === undefined ? 0 : 512 * status.blocks;
  }

  /** Modification time in milliseconds, 0 if it is not there. */
  modifiedMs(fileIndex: number): number {
    return this.#look(fileIndex)?.mtimeMs ?? 0;
  }

  /** Makes the file exist, with its true length. Throws StorageError. */
  create(fileIndex: number): void {
    const fd = this.acquire(fileIndex);
    try {
      const length = this.layout.files[fileIndex]!.length;
      if (fstatSync(fd).size !== length) ftruncateSync(fd, length);
    } catch (error) {
      throw storageErrorOf(error, "set the length of", this.pathOf(this.layout.files[fileIndex]!));
    } finally {
      this.release(fileIndex);
    }
  }

  close(): void {
    for (const { fd, holders } of this.#open.values()) {
      assert(holders === 0, "files are closed when nobody holds them");
      closeSync(fd);
    }
    this.#open.clear();
  }

  #look(fileIndex: number): { size: number; blocks: number; mtimeMs: number } | undefined {
    const path = this.pathOf(this.layout.files[fileIndex]!);
    const status = statSync(path, { throwIfNoEntry: false });
    return status?.isFile() === true ? status : undefined;
  }

  #openFile(fileIndex: number): number {
    const file = this.layout.files[fileIndex]!;
    assert(!file.padding, "padding is never stored");
    const path = this.pathOf(file);
    const access = this.readOnly
      ? constants.O_RDONLY
      : constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    try {
      if (!this.readOnly) this.#checkFolder(dirname(path));
      return openSync(path, access | this.#flags, FILE_MODE);
    } catch (error) {
      throw storageErrorOf(error, "open", path);
    }
  }

  /** Makes the folder if need be, and refuses one that links lead out of the download folder. */
  #checkFolder(folder: string): void {
    if (this.#safeFolders.has(folder)) return;
    makeFolders(folder);
    const root = realpathSync(this.root);
    const real = realpathSync(folder);
    if (real !== root && !real.startsWith(root === sep ? sep : root + sep)) {
      throw new StorageError("STORAGE_PATH", `${folder} leads out of the download folder, to ${real}`);
    }
    this.#safeFolders.add(folder);
  }

  #closeSurplus(countMax: number): void {
    for (const [fileIndex, open] of this.#open) {
      if (this.#open.size <= countMax) return;
      if (open.holders > 0) continue;
      this.#open.delete(fileIndex);
      closeSync(open.fd);
    }
  }
}

/**
 * Makes a folder and those above it. Node's own recursive mkdir does not come back where a parent says ENOENT to a
 * new entry although it exists (/proc does), so each level is made once, from the top.
 */
export function makeFolders(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false }) !== undefined) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolders(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Makes a StorageError of what node:fs throws; one that is one already stays. */
export function storageErrorOf(error: unknown, doing: string, path: string): StorageError {
  if (error instanceof StorageError) return error;
  const errno = (error as NodeJS.ErrnoException).errno;
  if (typeof errno === "number") return storageErrorFromErrno(errno, `cannot ${doing}`, path);
  return new StorageError("STORAGE_IO", `cannot ${doing} ${path}: ${String(error)}`, { cause: error });
}
