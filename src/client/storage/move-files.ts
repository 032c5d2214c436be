// Moves the files of a torrent, and what we keep beside them, from one download folder to another. Nobody has them open meanwhile.
//
//   the same file system    each file gets a second name in the new folder (a hard link); the old names go when all have one
//   another one             each file is copied into our own folder there, synced, and gets its name when all are there; the names in our
//                           folder go last: they tell what a move that was killed has left
//
// Always: until finish() the old folder is whole, and from the last name on the new one is: whatever moment the process is killed at, one
// of them has everything. What was there in the new folder is neither overwritten nor removed, and what fails leaves nothing behind there
// (undo()), but for what a process that was killed left: a later move into the same folder takes that over.

import { constants, type Stats } from "node:fs";
import { type FileHandle, link, lstat, mkdir, open, readFile, rename, rmdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf, StorageError, UsageError } from "../../base/errors.js";
import { MIB } from "../../base/limits.js";
import { Folders } from "./folders.js";
import type { Layout } from "./layout.js";
import { DownloadLock } from "./lock.js";
import { makeOwnFolder, ownFileIn, ownFolderIn } from "./own-files.js";
import { forgetDownload, removeFiles } from "./remove-files.js";
import { storageErrorOf } from "./storage-errors.js";

/** One call of a copy: short enough for the program's own calls on Node's threads to pass between. */
const COPY_BYTES = MIB;
/** Why there can be no second name: another file system, or one that has none. */
const CANNOT_LINK: ReadonlySet<string> = new Set([
  "EXDEV",
  "EPERM",
  "EMLINK",
  "ENOSYS",
  "EOPNOTSUPP",
  "ENOTSUP",
]);
const KEPT_ENDINGS = ["resume", "totals"];

/** The calls of the system, so that a test can have each of them fail. */
export const moveCalls = { link, lstat, mkdir, open, readFile, rename, rmdir, unlink };

export interface MoveOptions {
  /** Download folders, absolute. */
  readonly from: string;
  readonly to: string;
  readonly layout: Layout;
  readonly infoHashHex: string;
  readonly signal: AbortSignal;
  onWarning(text: string): void;
}

export class FileMove {
  readonly #options: MoveOptions;
  readonly #staging: string;
  /** What was made in the new folder, in that order. */
  readonly #names = new Set<string>();
  readonly #folders: string[] = [];
  readonly #staged: string[] = [];
  readonly #locks: (DownloadLock | undefined)[] = [];
  /** All files are ours in the new folder: so is whatever is kept there of the torrent from now on. */
  #isNamed = false;

  constructor(options: MoveOptions) {
    this.#options = options;
    this.#staging = ownFileIn(options.to, `${options.infoHashHex}.moving`);
  }

  /** Gives all files their names in the new folder. Rejects StorageError, UsageError `ABORTED`: then nothing has changed. */
  async place(): Promise<void> {
    const { to, layout } = this.#options;
    try {
      await this.#makeFolders(to);
      await this.#makeOwn();
      this.#lock();
      const found = await this.#find();
      const copies = await this.#placeFirst(found);
      if (copies) await this.#copyAll(found);
      for (const [index, status] of found)
        await this.#name(
          copies ? join(this.#staging, `${index}`) : this.#pathOf(index, this.#options.from),
          index,
          status,
          copies,
        );
      this.#isNamed = true;
      // Stamps of resume data name the files themselves: of copies it would claim nothing.
      if (!copies) await this.#keep("resume");
      await this.#keep("totals");
      for (const folder of new Set(layout.files.map((_, index) => dirname(this.#pathOf(index, to)))))
        await this.#sync(folder);
    } catch (error) {
      await this.undo();
      throw error instanceof UsageError ? error : storageErrorOf(error, "move to", to);
    }
    // Whoever opens what was moved locks it.
    this.#unlock();
  }

  /** Takes back what place() did. What cannot be taken back is told. */
  async undo(): Promise<void> {
    this.#unlock();
    const { to, infoHashHex, onWarning } = this.#options;
    const removals: (() => Promise<unknown>)[] = [
      ...[...this.#names].reverse().map((path) => () => moveCalls.unlink(path)),
      () => this.#removeStaging(),
      async () => this.#isNamed && forgetDownload(to, infoHashHex),
      ...this.#folders.reverse().map((path) => () => moveCalls.rmdir(path)),
    ];
    for (const remove of removals)
      await remove().catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT" && error.code !== "ENOTEMPTY" && error.code !== "EEXIST")
          onWarning(`something of a move that failed stays in ${to}: ${error.message}`);
      });
    this.#names.clear();
    this.#folders.length = 0;
  }

  /** Removes the old names. What cannot be removed is told: it is only there twice. */
  async finish(): Promise<void> {
    const { from, layout, infoHashHex, onWarning } = this.#options;
    try {
      forgetDownload(from, infoHashHex);
      removeFiles(from, layout);
      await this.#removeStaging();
    } catch (error) {
      onWarning(`what was moved could not be removed from ${from}: ${messageOf(error)}`);
    }
  }

  #pathOf(index: number, folder: string): string {
    return join(folder, ...(this.#options.layout.files[index]?.path ?? []));
  }

  #lock(): void {
    const { from, to, infoHashHex, onWarning } = this.#options;
    for (const folder of [from, to]) this.#locks.push(DownloadLock.take(folder, infoHashHex, onWarning));
  }

  #unlock(): void {
    for (const lock of this.#locks.splice(0)) lock?.release();
  }

  /** The files that there are, and that nothing is in their way. */
  async #find(): Promise<Map<number, Stats>> {
    const { from, to, layout } = this.#options;
    const found = new Map<number, Stats>();
    const folders = new Folders(to);
    for (const [index, file] of layout.files.entries()) {
      if (file.padding) continue;
      const source = this.#pathOf(index, from);
      const status = await statusOf(source);
      if (status === undefined) continue;
      if (!status.isFile())
        throw new StorageError("STORAGE_PATH", `${source} is not a regular file, and cannot be moved`);
      folders.check(file.path);
      await this.#removeLeftover(index);
      const target = this.#pathOf(index, to);
      const other = await statusOf(target);
      if (other !== undefined && !isSecondName(status, other))
        throw new StorageError("STORAGE_EXISTS", `${target} is there already`);
      found.set(index, status);
    }
    return found;
  }

  /** Tries with one file whether there can be second names. True: all have to be copied. */
  async #placeFirst(found: ReadonlyMap<number, Stats>): Promise<boolean> {
    for (const [index, status] of found) {
      try {
        await this.#name(this.#pathOf(index, this.#options.from), index, status);
        return false;
      } catch (error) {
        if (!CANNOT_LINK.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
        return true;
      }
    }
    return false;
  }

  /** Gives a file its name in the new folder. */
  async #name(source: string, index: number, status: Stats, isCopy = false): Promise<void> {
    if (this.#options.signal.aborted) throw new UsageError("ABORTED", "the torrent was closed");
    const target = this.#pathOf(index, this.#options.to);
    if (this.#names.has(target)) return;
    await this.#makeFolders(dirname(target));
    try {
      await moveCalls.link(source, target);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "";
      if (isCopy && CANNOT_LINK.has(code) && (await statusOf(target)) === undefined)
        await moveCalls.rename(source, target);
      else if (code !== "EEXIST") throw error;
      else {
        const other = await statusOf(target);
        // A move that was killed had given it this name.
        if (other === undefined || !isSecondName(status, other))
          throw new StorageError("STORAGE_EXISTS", `${target} is there already`);
      }
    }
    this.#names.add(target);
  }

  async #copyAll(found: ReadonlyMap<number, Stats>): Promise<void> {
    await this.#makeFolders(this.#staging);
    for (const [index, { size }] of found) {
      const copy = join(this.#staging, `${index}`);
      await unlinkIfThere(copy);
      this.#staged.push(copy);
      await this.#copy(this.#pathOf(index, this.#options.from), copy, size);
    }
  }

  async #copy(source: string, target: string, size: number): Promise<void> {
    const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
    const from = await moveCalls.open(source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const to = await moveCalls.open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666);
      try {
        await this.#copyBytes(from, to, size);
        await to.sync();
        const { size: copied } = await to.stat();
        const { size: now } = await from.stat();
        if (copied !== size || now !== size)
          throw new StorageError("STORAGE_SHORT", `${source} has changed while it was copied`);
      } finally {
        await to.close();
      }
    } finally {
      await from.close();
    }
  }

  /** Holes stay holes: of what was not downloaded nothing is written. */
  async #copyBytes(from: FileHandle, to: FileHandle, size: number): Promise<void> {
    await to.truncate(size);
    const chunk = Buffer.allocUnsafe(Math.min(COPY_BYTES, size));
    const zeros = Buffer.alloc(chunk.length);
    for (let at = 0; at < size; ) {
      if (this.#options.signal.aborted) throw new UsageError("ABORTED", "the torrent was closed");
      const { bytesRead } = await from.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) return;
      const bytes = chunk.subarray(0, bytesRead);
      if (Buffer.compare(bytes, zeros.subarray(0, bytesRead)) !== 0) await writeAll(to, bytes, at);
      at += bytesRead;
    }
  }

  /** What we keep beside the files. */
  async #keep(ending: (typeof KEPT_ENDINGS)[number]): Promise<void> {
    const { from, to, infoHashHex } = this.#options;
    const name = `${infoHashHex}.${ending}`;
    if ((await statusOf(ownFileIn(from, name)))?.isFile() !== true) return;
    const bytes = await moveCalls.readFile(ownFileIn(from, name));
    const path = ownFileIn(to, name);
    await unlinkIfThere(path);
    this.#names.add(path);
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const file = await moveCalls.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
    try {
      await writeAll(file, bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #makeOwn(): Promise<void> {
    const folder = ownFolderIn(this.#options.to);
    const wasThere = (await statusOf(folder)) !== undefined;
    makeOwnFolder(this.#options.to);
    if (!wasThere) this.#folders.push(folder);
  }

  /** Makes a folder and those above it, which were looked at. */
  async #makeFolders(folder: string): Promise<void> {
    const missing: string[] = [];
    for (let each = folder; (await statusOf(each)) === undefined; each = dirname(each)) missing.push(each);
    for (const each of missing.reverse()) {
      await moveCalls.mkdir(each);
      this.#folders.push(each);
    }
  }

  /** A move that was killed may have left a copy, which has its name already or has not. */
  async #removeLeftover(index: number): Promise<void> {
    const left = join(this.#staging, `${index}`);
    const staged = await statusOf(left);
    if (staged === undefined) return;
    const target = this.#pathOf(index, this.#options.to);
    const named = await statusOf(target);
    if (named !== undefined && isSecondName(staged, named)) await moveCalls.unlink(target);
    await moveCalls.unlink(left);
  }

  async #removeStaging(): Promise<void> {
    for (const path of this.#staged) await unlinkIfThere(path);
    await moveCalls.rmdir(this.#staging).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }

  async #sync(folder: string): Promise<void> {
    if ((await statusOf(folder)) === undefined) return;
    const handle = await moveCalls.open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

async function statusOf(path: string): Promise<Stats | undefined> {
  try {
    return await moveCalls.lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await moveCalls.unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Two names of one file: not one name that two paths lead to. */
function isSecondName(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev && one.nlink > 1;
}
