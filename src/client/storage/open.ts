// From a kind of storage to storage that is open: folders and files made, space looked at, mappings mapped.

import { closeSync, constants, existsSync, openSync, statfsSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import { entryOf } from "../../base/assert.js";
import { messageOf, StorageError, storageErrorFromErrno, UsageError } from "../../base/errors.js";
import type { Ground } from "../../base/ground.js";
import { BLOCK_SIZE, PAGE_SIZE, WRITE_RUN_BYTES, WRITE_RUN_BYTES_MAX } from "../../base/limits.js";
import { JobKind } from "../../native/binding.js";
import type { JobQueue } from "../../native/jobs.js";
import type { Reactor } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import { DirectStorage } from "./direct-storage.js";
import { FileStorage } from "./file-storage.js";
import { FileTable } from "./file-table.js";
import { makeFolders } from "./folders.js";
import type { Layout } from "./layout.js";
import { MappedStorage } from "./mapped-storage.js";
import { MemoryStorage } from "./memory-storage.js";
import { NullStorage } from "./null-storage.js";
import { makeOwnFolder, ownFileIn } from "./own-files.js";
import type { Storage, StorageKind } from "./storage.js";
import { storageErrorOf } from "./storage-errors.js";
import { Survey } from "./survey.js";
import { acquireWhenFree, whenFree } from "./waiting-jobs.js";

export interface OpenStorageOptions {
  readonly kind: StorageKind;
  readonly layout: Layout;
  /** The download folder; for kinds that keep nothing on disk, none. */
  readonly directory: string | undefined;
  readonly reactor: Reactor;
  readonly memory: Memory;
  /** Reserve all space before the first byte. Undefined: `direct` and `mapped` do. */
  readonly preallocate: boolean | undefined;
  /** Make the pages of mappings present at once; where nothing is written, of those that are sent from. */
  readonly populate?: boolean | undefined;
  /** What one write gathers. */
  readonly writeRunBytes?: number | undefined;
  readonly readOnly: boolean;
  /** Files that are made now; the others are when a piece of them is written. All unless it is given. */
  readonly isFileWanted?: (fileIndex: number) => boolean;
  readonly onWarning: (text: string) => void;
}

export interface OpenedStorage {
  readonly storage: Storage;
  /** The files on disk; undefined for kinds that have none. */
  readonly files: FileTable | undefined;
}

/** Rejects StorageError: no such folder, no space, read-only, a path that leads out. UsageError: no folder was given. */
export async function openStorage(options: OpenStorageOptions): Promise<OpenedStorage> {
  const { kind, layout, reactor } = options;
  const { engine, jobs, ground } = reactor;
  if (kind === "null") return { storage: new NullStorage(options.memory.bytes), files: undefined };
  if (kind === "memory") {
    const files = new FileTable(layout, "/", false);
    return { storage: await MemoryStorage.open({ engine, jobs, files, ground }), files: undefined };
  }
  if (options.directory === undefined) {
    throw new UsageError("USAGE_OPTION", `storage "${kind}" needs a directory`);
  }
  const runBytes = settleRunBytes(options.writeRunBytes ?? WRITE_RUN_BYTES);
  const files = new FileTable(layout, options.directory, options.readOnly);
  if (options.readOnly) {
    const storage = new FileStorage({ engine, jobs, files, ground });
    if (options.populate === true) storage.mapForSending();
    return { storage, files };
  }
  makeFolder(options.directory);
  // All that can be wrong is found before anything is made.
  files.checkFolders();
  const survey = new Survey(files);
  survey.checkDistinct();
  const { isFileWanted } = options;
  if (isFileWanted !== undefined)
    layout.files.forEach((file, index) => {
      if (!file.padding && !isFileWanted(index) && !survey.hasLength(index)) files.notMade.add(index);
    });
  checkSpace(files, survey);
  await makeFiles(files, survey, ground);
  if (options.preallocate ?? (kind === "direct" || kind === "mapped")) await preallocate(files, reactor);
  if (kind === "mapped") {
    const bases = mapFiles(files, reactor, options.populate === true);
    return { storage: new MappedStorage({ engine, jobs, files, bases, kind, runBytes, ground }), files };
  }
  if (
    kind === "direct" &&
    (await acceptsDirect(files.root, reactor.binding.O_DIRECT, jobs, options.onWarning))
  ) {
    const directFiles = new FileTable(
      layout,
      options.directory,
      false,
      reactor.binding.O_DIRECT,
      files.descriptors,
      files,
    );
    return { storage: new DirectStorage({ engine, jobs, files, directFiles, runBytes, ground }), files };
  }
  return { storage: new FileStorage({ engine, jobs, files, runBytes, ground }), files };
}

function settleRunBytes(bytes: number): number {
  if (bytes >= BLOCK_SIZE && bytes <= WRITE_RUN_BYTES_MAX && bytes % BLOCK_SIZE === 0) return bytes;
  const range = `a multiple of ${BLOCK_SIZE} up to ${WRITE_RUN_BYTES_MAX}`;
  throw new UsageError("USAGE_OPTION", `writeRunBytes is ${range}, not ${bytes}`);
}

/** Makes the download folder. Throws StorageError. */
export function makeFolder(directory: string): void {
  try {
    makeFolders(resolve(directory));
  } catch (error) {
    throw storageErrorOf(error, "make the folder", directory);
  }
}

/** Says before the first byte that the disk is too small. Where the free space cannot be known, the first write tells. */
function checkSpace(files: FileTable, survey: Survey): void {
  let needed = 0;
  files.layout.files.forEach((file, index) => {
    if (!file.padding && !files.notMade.has(index))
      needed += Math.max(0, file.length - survey.allocatedOf(index));
  });
  const free = freeBytes(files.root);
  if (free === undefined || free >= needed) return;
  throw new StorageError(
    "STORAGE_NO_SPACE",
    `not enough space in ${files.root}: ${sizeText(needed)} are needed and ${sizeText(free)} are free`,
  );
}

/** Bytes free to us in the file system that `path` lies in, or undefined if that cannot be known. */
function freeBytes(path: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** In megabytes, or thousands of those, as sizes of disks are given. */
function sizeText(bytes: number): string {
  const megabytes = bytes / 1e6;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(1)} GB`;
}

/** All files that are wanted exist from the start, empty ones included, with their true lengths, and each is a file of its own. */
async function makeFiles(files: FileTable, survey: Survey, ground: Ground): Promise<void> {
  let made = false;
  for (const [index, file] of files.layout.files.entries()) {
    if (file.padding || survey.hasLength(index) || files.notMade.has(index)) continue;
    survey.note(index, await whenFree(files.descriptors, ground, () => files.create(index)));
    made = true;
  }
  // A file system may take two names for one only when the first of them is there.
  if (made) survey.checkDistinct();
}

async function preallocate(files: FileTable, reactor: Reactor): Promise<void> {
  for (let index = 0; index < files.layout.files.length; index++) {
    const file = entryOf(files.layout.files, index);
    if (file.padding || file.length === 0 || files.notMade.has(index)) continue;
    const fd = await acquireWhenFree(files, index, true, reactor.ground);
    const result = await new Promise<number>((resolve) => {
      reactor.jobs.begin(JobKind.allocate, { jobDone: (_tag, done) => resolve(done) }, 0, fd, 0, file.length);
      reactor.jobs.end();
    });
    files.release(index);
    // A file system that cannot reserve space is no reason to stop: the file has its length already.
    if (result < 0 && result !== reactor.binding.ENOTSUP) {
      throw storageErrorFromErrno(result, `cannot reserve ${file.length} bytes for`, files.pathOf(file));
    }
  }
}

function mapFiles(files: FileTable, reactor: Reactor, populate: boolean): Float64Array {
  const { engine } = reactor;
  const bases = new Float64Array(files.layout.files.length).fill(-1);
  files.layout.files.forEach((file, index) => {
    if (file.padding || file.length === 0 || files.notMade.has(index)) return;
    const base = engine.map(files.acquireNow(index), file.length, true, populate);
    files.release(index);
    if (base < 0) {
      for (const mapped of bases) if (mapped >= 0) engine.unmap(mapped);
      throw storageErrorFromErrno(base, "cannot map", files.pathOf(file));
    }
    bases[index] = base;
  });
  return bases;
}

/**
 * Writes a page of a file of its own in the folder: some file systems without O_DIRECT refuse it when a file is opened, others,
 * and disks with larger sectors, when it is written. `flag`: O_DIRECT of this platform, 0 where there is none.
 */
export async function acceptsDirect(
  folder: string,
  flag: number,
  jobs: Pick<JobQueue, "begin" | "add" | "end">,
  onWarning: (text: string) => void,
): Promise<boolean> {
  makeOwnFolder(folder);
  const path = ownFileIn(folder, `direct-${process.pid}-${Date.now()}`);
  let fd = -1;
  try {
    if (flag === 0) throw new Error("this platform has no O_DIRECT");
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | flag, 0o600);
    const result = await new Promise<number>((resolve) => {
      jobs.begin(JobKind.write, { jobDone: (_tag, done) => resolve(done) }, 0, fd, 0, 0);
      // Whatever lies at the beginning of the slab: an address like those of slots.
      jobs.add(0, PAGE_SIZE);
      jobs.end();
    });
    if (result !== PAGE_SIZE) throw storageErrorFromErrno(result, "cannot write a page to", path);
    return true;
  } catch (error) {
    const reason = messageOf(error);
    onWarning(`storage "direct" cannot be used in ${folder} (${reason}); using "file"`);
    return false;
  } finally {
    if (fd >= 0) closeSync(fd);
    if (existsSync(path)) unlinkSync(path);
  }
}
