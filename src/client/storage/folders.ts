// The folders that a torrent's files lie in, below the download folder: looked at one by one, from the top, and made one by
// one, so that nothing is made behind a link before it is known where the link leads.
//
// Always: a folder that check() or make() let pass lies in the download folder, whatever links there are on the way to it, and
// is not the one of our own files. Nothing is made by check().

import { lstatSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { entryOf } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import { identityOf, isOwnName, ownFolderIn } from "./own-files.js";

export class Folders {
  readonly #root: string;
  /** Where the download folder really is; looked up when it is first needed. */
  #realRoot: string | undefined;
  #ownIdentity: string | undefined;
  /** Folders that exist and were looked at. */
  readonly #safe = new Set<string>();

  /** `root`: the download folder, absolute. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Looks at the folders of a file that exist already. Throws StorageError `STORAGE_PATH`, and what node:fs does. */
  check(components: readonly string[]): void {
    this.#walk(components, false);
  }

  /** Makes the folders of a file. Throws StorageError `STORAGE_PATH`, and what node:fs does. */
  make(components: readonly string[]): void {
    this.#walk(components, true);
  }

  /** Goes through the folders of a file, whose own name is the last of `components`. */
  #walk(components: readonly string[], makes: boolean): void {
    const last = components.length - 1;
    if (isOwnNameIn(components)) {
      const path = join(this.#root, ...components);
      throw new StorageError("STORAGE_PATH", `${path} lies where our own files do: no torrent writes there`);
    }
    if (last > 0 && this.#safe.has(join(this.#root, ...components.slice(0, last)))) return;
    let folder = this.#root;
    for (let depth = 0; depth < last; depth++) {
      folder = join(folder, entryOf(components, depth));
      if (this.#safe.has(folder)) continue;
      if (!this.#look(folder)) {
        if (!makes) return;
        makeFolder(folder);
        // Another process may have made something else of this name meanwhile.
        this.#look(folder);
      }
      this.#safe.add(folder);
    }
  }

  /** False if there is nothing of this name; the folders above it were looked at. */
  #look(folder: string): boolean {
    const status = lstatSync(folder, { throwIfNoEntry: false });
    if (status === undefined) return false;
    const real = status.isSymbolicLink() ? this.#followLink(folder) : folder;
    this.#ownIdentity ??= identityOf(ownFolderIn(this.#root));
    if (this.#ownIdentity !== undefined && identityOf(real) === this.#ownIdentity)
      throw new StorageError(
        "STORAGE_PATH",
        `${folder} is the folder of our own files: no torrent writes there`,
      );
    return true;
  }

  /** Where a link leads, which is inside the download folder. */
  #followLink(folder: string): string {
    this.#realRoot ??= realpathSync(this.#root);
    const root = this.#realRoot;
    const real = realpathSync(folder);
    if (real === root || real.startsWith(root === sep ? sep : root + sep)) return real;
    throw new StorageError("STORAGE_PATH", `${folder} leads out of the download folder, to ${real}`);
  }
}

const FULL_STOP = 0x2e;
const ASCII_MAX = 0x7f;

function isOwnNameIn(components: readonly string[]): boolean {
  for (const component of components) {
    // Most names begin with what no file system takes for the full stop of ours; the others are looked at closely.
    const first = component.charCodeAt(0);
    if ((first === FULL_STOP || first > ASCII_MAX) && isOwnName(component)) return true;
  }
  return false;
}

/**
 * Makes a folder and those above it, following links: for the download folder itself, which the user named. Node's own
 * recursive mkdir does not come back where a parent says ENOENT to a new entry although it exists (/proc does), so each
 * level is made once, from the top.
 */
export function makeFolders(folder: string): void {
  const status = statSync(folder, { throwIfNoEntry: false });
  if (status?.isDirectory() === false) throw new StorageError("STORAGE_PATH", `${folder} is not a folder`);
  if (status !== undefined) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolders(parent);
  makeFolder(folder);
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
