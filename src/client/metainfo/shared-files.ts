// The files that a torrent is made of: a folder gone through, or one file, in the order of the torrent; and what tells whether one of them
// was changed since.
//
// Always: files are in one order on every machine; nothing is left out without a word but the folder of our own files; whatever
// cannot be read or shared ends in MetainfoError.

import { isUtf8 } from "node:buffer";
import { closeSync, constants, openSync, readdirSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { present } from "../../base/assert.js";
import { MetainfoError, messageOf, UsageError } from "../../base/errors.js";
import { PADDING_NAME_PREFIX } from "./parse.js";
import { PATH_BYTES_MAX } from "./paths.js";

export interface HashedFile {
  /** Where to read it; undefined for padding, which is zeros. */
  readonly path: string | undefined;
  readonly length: number;
}

/** A folder that is shared; its files share what is said here. */
interface Folder {
  /** Absolute. */
  readonly path: string;
  /** Below the folder that is the torrent. */
  readonly components: readonly string[];
}

/** A file of the torrent. There may be a hundred thousand, so paths are put together when they are asked for. */
export class Entry implements HashedFile {
  /** Undefined for padding. */
  readonly folder: Folder | undefined;
  readonly name: string;
  readonly length: number;
  readonly modifiedMs: number;

  constructor(folder: Folder | undefined, name: string, length: number, modifiedMs: number) {
    this.folder = folder;
    this.name = name;
    this.length = length;
    this.modifiedMs = modifiedMs;
  }

  get path(): string | undefined {
    return this.folder === undefined ? undefined : join(this.folder.path, this.name);
  }

  get components(): readonly string[] {
    return this.folder === undefined ? [".pad", this.name] : [...this.folder.components, this.name];
  }
}

/** Padding is read from nowhere (BEP 47). */
export function paddingEntry(length: number): Entry {
  return new Entry(undefined, String(length), length, 0);
}

/** The files of a folder sorted by path, or the one file, whose components are empty then. */
export async function listEntries(
  root: string,
  options: { readonly signal?: AbortSignal | undefined; readonly output?: string | undefined },
): Promise<Entry[]> {
  const listing = new Listing(options);
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
 * synchronous, which costs a tenth of waiting for other threads, and let others pass every few files.
 */
class Listing {
  readonly entries: Entry[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #output: OutputPlace | undefined;
  #looked = 0;

  constructor(options: { readonly signal?: AbortSignal | undefined; readonly output?: string | undefined }) {
    this.#signal = options.signal;
    this.#output = options.output === undefined ? undefined : placeOfOutput(resolve(options.output));
  }

  async add(root: string): Promise<void> {
    const status = attempt(root, () => statSync(root));
    const above = { path: dirname(root), components: [] };
    if (status.isFile()) this.#addFile(above, basename(root), root, status);
    else await this.#addFolder({ path: root, components: [] }, status, new Set());
  }

  /** `above`: device and inode of the folders that this one lies in, for links that lead in a circle. */
  async #addFolder(folder: Folder, status: Stats, above: ReadonlySet<string>): Promise<void> {
    if (!status.isDirectory()) refuse(folder.path, "neither a file nor a folder");
    const identity = identityOf(status);
    if (above.has(identity)) refuse(folder.path, "a link to a folder that it lies in");
    if (identity === this.#output?.folder)
      refuse(this.#output.path, `the torrent file would lie in what it is made of, in ${folder.path}`);
    const chain = new Set([...above, identity]);
    for (const name of attempt(folder.path, () => readdirSync(folder.path)).sort()) {
      if (this.#looked++ % FILES_PER_TURN === 0) await nextTurn();
      checkAborted(this.#signal);
      if (name.includes(REPLACEMENT)) checkNames(folder.path);
      // Where something was downloaded to, our own files lie: they are of use to nobody else.
      if (name === OWN_FOLDER_NAME) continue;
      const path = join(folder.path, name);
      const found = attempt(path, () => statSync(path));
      if (name.startsWith(PADDING_NAME_PREFIX) && found.isFile())
        refuse(path, "other programs take a file of this name for padding, and would not store it");
      if (found.isFile()) this.#addFile(folder, name, path, found);
      else await this.#addFolder({ path, components: [...folder.components, name] }, found, chain);
    }
  }

  #addFile(folder: Folder, name: string, path: string, status: Stats): void {
    const pathBytes =
      folder.components.length === 0 ? 0 : Buffer.byteLength([...folder.components, name].join("/"));
    if (pathBytes > PATH_BYTES_MAX) refuse(path, `a path of ${pathBytes} bytes in the torrent`);
    if (this.#output?.file !== undefined && identityOf(status) === this.#output.file)
      refuse(path, "the torrent file would be written over it");
    // Opened now: better than to find out after hours of hashing what comes before it.
    attempt(path, () => closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)));
    this.entries.push(new Entry(folder, name, status.size, status.mtimeMs));
  }
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

function identityOf({ dev, ino }: Stats): string {
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
export async function checkUnchanged(entries: readonly Entry[]): Promise<void> {
  let looked = 0;
  for (const entry of entries) {
    if (looked++ % FILES_PER_TURN === 0) await nextTurn();
    const path = present(entry.path, "what was hashed lies somewhere");
    const status = attempt(path, () => statSync(path));
    if (status.size !== entry.length || status.mtimeMs !== entry.modifiedMs)
      refuse(path, "changed while it was hashed");
  }
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
