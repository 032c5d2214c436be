// The files that a torrent is made of: a folder gone through, or one file, in the order of the torrent; and what tells whether one of them
// was changed since.
//
// Always: files are in one order on every machine; nothing is left out without a word but the folder of our own files; whatever
// cannot be read or shared ends in MetainfoError.

import { isUtf8 } from "node:buffer";
import { closeSync, constants, openSync, readdirSync, type Stats, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { assert, entryOf, present } from "../../base/assert.js";
import { MetainfoError, messageOf, UsageError } from "../../base/errors.js";
import { PADDING_NAME_PREFIX } from "./parse.js";
import { PATH_BYTES_MAX } from "./paths.js";

/** A file to be hashed, as layouts want them. */
export interface HashedFile {
  /** Where to read it: one absolute path, or none for padding, which is zeros. */
  readonly path: readonly string[];
  readonly length: number;
  /** Byte offset in the torrent. */
  readonly offset: number;
  readonly padding: boolean;
}

/** A folder that is shared; its files share what is said here. */
interface Folder {
  /** Absolute. */
  readonly path: string;
  /** Below the folder that is the torrent. */
  readonly components: readonly string[];
}

/** A file of the torrent. There may be a hundred thousand: one object each for all who ask, and paths are put together when they are asked for. */
export class Entry implements HashedFile {
  /** Undefined for padding. */
  readonly folder: Folder | undefined;
  readonly name: string;
  readonly length: number;
  readonly modifiedMs: number;
  /** Set when all files before it are known. */
  offset = 0;

  constructor(folder: Folder | undefined, name: string, length: number, modifiedMs: number) {
    this.folder = folder;
    this.name = name;
    this.length = length;
    this.modifiedMs = modifiedMs;
  }

  get padding(): boolean {
    return this.folder === undefined;
  }

  get path(): readonly string[] {
    return this.folder === undefined ? [] : [pathIn(this.folder, this.name)];
  }

  get components(): readonly string[] {
    return this.folder === undefined ? [".pad", this.name] : [...this.folder.components, this.name];
  }
}

function pathIn({ path }: Folder, name: string): string {
  // Nothing to be resolved: the one is absolute, and the other no more than a name.
  return path.endsWith("/") ? path + name : `${path}/${name}`;
}

/**
 * Looks at files of a folder, many in a call: bytes, milliseconds of the last change, device and inode of each go to `found`, LOOK_WORDS a file.
 * Bytes are −1 for what is no regular file or cannot be read. `names` has a zero behind each.
 */
export type LookAtFiles = (folder: string, names: string, found: Float64Array, opening: boolean) => number;

/** Numbers that are found out about a file. */
const LOOK_WORDS = 4;

/** What is found out about a file, behind the others of its call. */
class Looks {
  readonly #found: Float64Array;
  constructor(lookAt: LookAtFiles, folder: string, names: readonly string[], opening: boolean) {
    this.#found = new Float64Array(LOOK_WORDS * names.length);
    const count = lookAt(folder, names.map((name) => `${name}\0`).join(""), this.#found, opening);
    assert(count === names.length, "each file is looked at");
  }

  /** Undefined: whoever wants to know looks at it alone. */
  at(index: number): LookedAt | undefined {
    const found = this.#found;
    const at = LOOK_WORDS * index;
    const length = entryOf(found, at);
    if (length < 0) return undefined;
    return {
      length,
      modifiedMs: entryOf(found, at + 1),
      dev: entryOf(found, at + 2),
      ino: entryOf(found, at + 3),
    };
  }
}

interface LookedAt {
  readonly length: number;
  readonly modifiedMs: number;
  readonly dev: number;
  readonly ino: number;
}

function lookedAt({ size, mtimeMs, dev, ino }: Stats): LookedAt {
  return { length: size, modifiedMs: mtimeMs, dev, ino };
}

/** Padding is read from nowhere (BEP 47). */
export function paddingEntry(length: number): Entry {
  return new Entry(undefined, String(length), length, 0);
}

/** The files of a folder sorted by path, or the one file, whose components are empty then. */
export async function listEntries(
  root: string,
  options: { readonly signal?: AbortSignal | undefined; readonly output?: string | undefined },
  lookAt: LookAtFiles,
): Promise<Entry[]> {
  const listing = new Listing(options, lookAt);
  await listing.add(root);
  if (listing.entries.length === 0)
    throw new MetainfoError("METAINFO_MALFORMED", `${root}: there are no files in it`);
  return listing.entries;
}

/** Of storage/own-files.ts, which this file does not know. */
const OWN_FOLDER_NAME = ".scatterwire";
/** Files that are looked at before others of the process have their turn: a millisecond or so. */
export const FILES_PER_TURN = 256;
/** What text has where bytes are not UTF-8. */
const REPLACEMENT = "\ufffd";

/**
 * Goes through folders in the order of the torrent: by code unit, component by component, the same on every machine. Calls are
 * synchronous, which costs a tenth of waiting for other threads, many files in one, and let others pass every few files.
 */
class Listing {
  readonly entries: Entry[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #output: OutputPlace | undefined;
  readonly #lookAt: LookAtFiles;
  /** Names that were gone through since the last turn of the loop. */
  #looked = 0;

  constructor(
    options: { readonly signal?: AbortSignal | undefined; readonly output?: string | undefined },
    lookAt: LookAtFiles,
  ) {
    this.#lookAt = lookAt;
    this.#signal = options.signal;
    this.#output = options.output === undefined ? undefined : placeOfOutput(resolve(options.output));
  }

  async add(root: string): Promise<void> {
    const status = attempt(root, () => statSync(root));
    const above = { path: dirname(root), components: [] };
    if (!status.isFile()) {
      await this.#addFolder({ path: root, components: [] }, status, new Set());
      return;
    }
    this.#push(above, basename(root), lookedAt(status));
    tryToOpen(root);
  }

  /** `above`: device and inode of the folders that this one lies in, for links that lead in a circle. */
  async #addFolder(folder: Folder, status: Stats, above: ReadonlySet<string>): Promise<void> {
    if (!status.isDirectory()) refuse(folder.path, "neither a file nor a folder");
    const identity = identityOf(status);
    if (above.has(identity)) refuse(folder.path, "a link to a folder that it lies in");
    if (identity === this.#output?.folder)
      refuse(this.#output.path, `the torrent file would lie in what it is made of, in ${folder.path}`);
    const chain = new Set([...above, identity]);
    const names = attempt(folder.path, () => readdirSync(folder.path)).sort();
    for (let at = 0; at < names.length; at += FILES_PER_TURN)
      await this.#addNames(folder, names.slice(at, at + FILES_PER_TURN), chain);
  }

  async #addNames(folder: Folder, names: readonly string[], chain: ReadonlySet<string>): Promise<void> {
    this.#looked += names.length;
    if (this.#looked >= FILES_PER_TURN) {
      this.#looked = 0;
      await nextTurn();
    }
    const looks = new Looks(this.#lookAt, folder.path, names, true);
    for (const [index, name] of names.entries()) {
      checkAborted(this.#signal);
      if (name.includes(REPLACEMENT)) checkNames(folder.path);
      // Where something was downloaded to, our own files lie: they are of use to nobody else.
      if (name === OWN_FOLDER_NAME) continue;
      const found = looks.at(index);
      if (found === undefined) await this.#addAlone(folder, name, chain);
      else this.#addFile(folder, name, found);
    }
  }

  /** What is no file, or cannot be read. */
  async #addAlone(folder: Folder, name: string, chain: ReadonlySet<string>): Promise<void> {
    const path = pathIn(folder, name);
    const found = attempt(path, () => statSync(path));
    if (!found.isFile()) {
      await this.#addFolder({ path, components: [...folder.components, name] }, found, chain);
      return;
    }
    this.#addFile(folder, name, lookedAt(found));
    tryToOpen(path);
  }

  #addFile(folder: Folder, name: string, found: LookedAt): void {
    const { components } = folder;
    if (name.startsWith(PADDING_NAME_PREFIX))
      refuse(
        pathIn(folder, name),
        "other programs take a file of this name for padding, and would not store it",
      );
    const pathBytes = components.length === 0 ? 0 : Buffer.byteLength([...components, name].join("/"));
    if (pathBytes > PATH_BYTES_MAX)
      refuse(pathIn(folder, name), `a path of ${pathBytes} bytes in the torrent`);
    this.#push(folder, name, found);
  }

  #push(folder: Folder, name: string, found: LookedAt): void {
    if (this.#output?.file !== undefined && identityOf(found) === this.#output.file)
      refuse(pathIn(folder, name), "the torrent file would be written over it");
    this.entries.push(new Entry(folder, name, found.length, found.modifiedMs));
  }
}

/** Better than to find out after hours of hashing what comes before it. */
function tryToOpen(path: string): void {
  attempt(path, () => closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)));
}

/** Where the torrent file is going to lie: its folder, and the file that is there now, as no link can hide them. */
interface OutputPlace {
  readonly path: string;
  readonly folder: string | undefined;
  readonly file: string | undefined;
}

function placeOfOutput(path: string): OutputPlace {
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  const file = statSync(path, { throwIfNoEntry: false });
  return {
    path,
    folder: folder === undefined ? undefined : identityOf(folder),
    file: file === undefined ? undefined : identityOf(file),
  };
}

function identityOf({ dev, ino }: { readonly dev: number; readonly ino: number }): string {
  return `${dev}:${ino}`;
}

/** Throws MetainfoError if a name in the folder is not UTF-8: read as text, two of them may look the same. */
function checkNames(folder: string): void {
  for (const name of attempt(folder, () => readdirSync(folder, { encoding: "buffer" }))) {
    if (!isUtf8(name))
      refuse(folder, `the name ${JSON.stringify(name.toString("latin1"))} in it is not UTF-8`);
  }
}

function attempt<Result>(file: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    refuse(file, error);
  }
}

/** Size and time of change are those that were seen before hashing. */
export async function checkUnchanged(entries: readonly Entry[], lookAt: LookAtFiles): Promise<void> {
  let looked = 0;
  for (let at = 0; at < entries.length; ) {
    const { folder } = entryOf(entries, at);
    const end = endOfFolder(entries, at);
    looked += end - at;
    if (looked >= FILES_PER_TURN) {
      looked = 0;
      await nextTurn();
    }
    checkSome(present(folder, "what was hashed lies somewhere"), entries.slice(at, end), lookAt);
    at = end;
  }
}

/** Where the entries from `begin` on that are neighbours in one folder end, or there are enough for one turn. */
function endOfFolder(entries: readonly Entry[], begin: number): number {
  const { folder } = entryOf(entries, begin);
  const last = Math.min(entries.length, begin + FILES_PER_TURN);
  let end = begin + 1;
  while (end < last && entryOf(entries, end).folder === folder) end++;
  return end;
}

function checkSome(folder: Folder, entries: readonly Entry[], lookAt: LookAtFiles): void {
  const names = entries.map(({ name }) => name);
  const looks = new Looks(lookAt, folder.path, names, false);
  entries.forEach((entry, index) => {
    const path = pathIn(folder, entry.name);
    const found = looks.at(index) ?? lookedAt(attempt(path, () => statSync(path)));
    if (found.length !== entry.length || found.modifiedMs !== entry.modifiedMs)
      refuse(path, "changed while it was hashed");
  });
}

function refuse(file: string, reason: unknown): never {
  const why = typeof reason === "string" ? reason : describeFailure(reason);
  throw new MetainfoError("METAINFO_PATH", `${file}: ${why}`, { cause: reason });
}

function describeFailure(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "no such file or folder, or a link that leads nowhere";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return messageOf(error);
}

export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new UsageError("ABORTED", "making the torrent was aborted", { cause: signal.reason });
}
