// The files of a torrent on disk: folders made, paths kept inside the download folder, descriptors opened when they are
// needed and closed again when there are too many.
//
// Always: a descriptor is not closed while somebody holds it (acquire … release); only regular files are opened, and opening
// waits for nobody (a FIFO has a writer, or has not); nothing is written through a symbolic link that leads out of the
// download folder (reading through links is the user's own arrangement); padding files do not exist.
//
// A file that nobody wants is not made, but for one that shares a piece with a wanted file: that is made, sparse and with its whole
// length, when the piece is written. A file of parts of our own would keep it out of the user's sight, at the price of a second place
// where a piece may lie (for sending, reading, checking and resume data), and of moving bytes when the file is wanted after all.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, type Stats, statSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { join, resolve } from "node:path";
import { assert, entryOf } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import { type Descriptors, type IdleFile, isExhausted, processFiles } from "./descriptors.js";
import { Folders } from "./folders.js";
import type { Layout, LayoutFile } from "./layout.js";
import { storageErrorOf } from "./storage-errors.js";

const FILE_MODE = 0o666;
/** What acquire() answers when there is no descriptor now: wait for one. */
export const NO_DESCRIPTOR = -1;

/** Why a file that may be read cannot be written to: then it is opened for reading alone. */
const READ_ONLY_CODES: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS", "ELOOP", "ETXTBSY"]);

class OpenFile implements IdleFile {
  readonly fd: number;
  readonly writable: boolean;
  holders = 0;
  readonly #table: Map<number, OpenFile>;
  readonly #fileIndex: number;
  readonly #descriptors: Descriptors;

  constructor(
    fd: number,
    writable: boolean,
    table: Map<number, OpenFile>,
    fileIndex: number,
    descriptors: Descriptors,
  ) {
    this.fd = fd;
    this.writable = writable;
    this.#table = table;
    this.#fileIndex = fileIndex;
    this.#descriptors = descriptors;
  }

  closeIdle(): void {
    assert(this.holders === 0, "files are closed when nobody holds them");
    this.#table.delete(this.#fileIndex);
    closeSync(this.fd);
    this.#descriptors.give();
  }
}

export class FileTable {
  readonly layout: Layout;
  readonly root: string;
  readonly readOnly: boolean;
  readonly descriptors: Descriptors;
  readonly #flags: number;
  readonly #folders: Folders;
  /** By file index. */
  readonly #open = new Map<number, OpenFile>();
  /**
   * Files that nobody wants, and that get their place on disk with the first write to them: of a piece that they share with others.
   */
  readonly notMade: Set<number>;
  /** Called when one of those was made. */
  onMade: (fileIndex: number, status: Stats) => void = () => {};

  /**
   * `flags`: added when files are opened, such as O_DIRECT. `descriptors`: how many files may be open, and who waits for one.
   * `sameFiles`: another table of the same files.
   */
  constructor(
    layout: Layout,
    root: string,
    readOnly: boolean,
    flags = 0,
    descriptors: Descriptors = processFiles(),
    sameFiles: FileTable | undefined = undefined,
  ) {
    this.notMade = sameFiles?.notMade ?? new Set();
    if (sameFiles !== undefined) this.onMade = (fileIndex, status) => sameFiles.onMade(fileIndex, status);
    this.layout = layout;
    this.root = resolve(root);
    this.readOnly = readOnly;
    this.descriptors = descriptors;
    this.#flags = flags;
    this.#folders = new Folders(this.root);
  }

  pathOf(file: LayoutFile): string {
    return join(this.root, ...file.path);
  }

  pathAt(fileIndex: number): string {
    return this.pathOf(entryOf(this.layout.files, fileIndex));
  }

  /**
   * Holds the file open, and answers its descriptor; NO_DESCRIPTOR if all that there may be are held (`descriptors` tells
   * when one is let go) or the system has none left. Who only reads is content with a file that cannot be written to.
   * Throws StorageError.
   */
  acquire(fileIndex: number, forWriting = !this.readOnly): number {
    assert(!(forWriting && this.readOnly), "what is written to is open for writing");
    let open = this.#open.get(fileIndex);
    if (open !== undefined && forWriting && !open.writable && open.holders === 0) {
      this.descriptors.noLongerIdle(open);
      open.closeIdle();
      open = undefined;
    }
    if (open === undefined) {
      open = this.#openFile(fileIndex, forWriting);
      if (open === undefined) return NO_DESCRIPTOR;
      this.#open.set(fileIndex, open);
    } else if (forWriting && !open.writable) {
      throw new StorageError(
        "STORAGE_READ_ONLY",
        `cannot write to ${this.pathAt(fileIndex)}: it is read-only`,
      );
    } else if (open.holders === 0) this.descriptors.noLongerIdle(open);
    open.holders++;
    return open.fd;
  }

  /** Like acquire(), for whoever cannot wait. Throws StorageError also if there is no descriptor. */
  acquireNow(fileIndex: number, forWriting = !this.readOnly): number {
    const fd = this.acquire(fileIndex, forWriting);
    if (fd === NO_DESCRIPTOR) throw this.exhausted(fileIndex);
    return fd;
  }

  release(fileIndex: number): void {
    const open = this.#open.get(fileIndex);
    assert(open !== undefined && open.holders > 0, "a file is let go by whoever holds it");
    if (--open.holders === 0) this.descriptors.becameIdle(open);
  }

  /** What to say when no descriptor could be had for the file. */
  exhausted(fileIndex: number): StorageError {
    const path = this.pathAt(fileIndex);
    const message = `cannot open ${path}: EMFILE: no file descriptor is left (ulimit -n), and none became free`;
    return new StorageError("STORAGE_IO", message, { errno: -osConstants.errno.EMFILE });
  }

  /** What is on disk, or undefined: nothing there, or not a regular file. Throws StorageError for what prevents looking. */
  look(fileIndex: number): Stats | undefined {
    const path = this.pathAt(fileIndex);
    try {
      const status = statSync(path, { throwIfNoEntry: false });
      return status?.isFile() === true ? status : undefined;
    } catch (error) {
      throw storageErrorOf(error, "look at", path);
    }
  }

  /** Looks at the folders of all files that exist already, before anything is made. Throws StorageError. */
  checkFolders(): void {
    this.layout.files.forEach((file) => {
      if (file.padding) return;
      try {
        this.#folders.check(file.path);
      } catch (error) {
        throw storageErrorOf(error, "use the folder of", this.pathOf(file));
      }
    });
  }

  /** Makes the file exist, with its true length, and answers what it is then. Throws StorageError. */
  create(fileIndex: number): Stats {
    const fd = this.acquireNow(fileIndex, true);
    try {
      const { length } = entryOf(this.layout.files, fileIndex);
      const status = fstatSync(fd);
      if (status.size !== length) ftruncateSync(fd, length);
      // But for its size, which is known now, it is the file that it was.
      status.size = length;
      return status;
    } catch (error) {
      throw storageErrorOf(error, "set the length of", this.pathAt(fileIndex));
    } finally {
      this.release(fileIndex);
    }
  }

  close(): void {
    for (const open of [...this.#open.values()]) {
      this.descriptors.noLongerIdle(open);
      open.closeIdle();
    }
  }

  /** Undefined: no descriptor is left. */
  #openFile(fileIndex: number, forWriting: boolean): OpenFile | undefined {
    if (!this.descriptors.take()) return undefined;
    try {
      for (;;) {
        try {
          return this.#openRegular(fileIndex, forWriting);
        } catch (error) {
          if (!isExhausted(error)) throw error;
          // Others than we have taken the rest: what we do not use makes room.
          if (this.descriptors.closeOne()) continue;
          this.descriptors.untake();
          return undefined;
        }
      }
    } catch (error) {
      this.descriptors.untake();
      throw storageErrorOf(error, "open", this.pathAt(fileIndex));
    }
  }

  #openRegular(fileIndex: number, forWriting: boolean): OpenFile {
    const file = entryOf(this.layout.files, fileIndex);
    assert(!file.padding, "padding is never stored");
    const path = this.pathOf(file);
    const isMade = forWriting && this.notMade.has(fileIndex);
    const before = isMade ? this.look(fileIndex) : undefined;
    const { fd, writable } = this.#openPath(file, path, forWriting);
    try {
      const status = fstatSync(fd);
      if (!status.isFile()) throw notRegular(path);
      if (isMade) this.#made(fileIndex, fd, status, before !== undefined);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new OpenFile(fd, writable, this.#open, fileIndex, this.descriptors);
  }

  /** The file is written to for the first time: it gets its length. `wasThere`: somebody else made it. */
  #made(fileIndex: number, fd: number, status: Stats, wasThere: boolean): void {
    this.notMade.delete(fileIndex);
    for (let other = 0; wasThere && other < this.layout.files.length; other++) {
      if (other === fileIndex || entryOf(this.layout.files, other).padding || this.notMade.has(other))
        continue;
      const its = this.look(other);
      if (its?.ino !== status.ino || its.dev !== status.dev) continue;
      const message = `${this.pathAt(fileIndex)} and ${this.pathAt(other)} are one file on disk: what the torrent keeps apart cannot be stored there`;
      throw new StorageError("STORAGE_PATH", message);
    }
    const { length } = entryOf(this.layout.files, fileIndex);
    if (status.size !== length) ftruncateSync(fd, length);
    this.onMade(fileIndex, fstatSync(fd));
  }

  #openPath(file: LayoutFile, path: string, forWriting: boolean): { fd: number; writable: boolean } {
    const common = constants.O_NONBLOCK | this.#flags;
    if (!this.readOnly) {
      const writing = constants.O_RDWR | constants.O_NOFOLLOW | common;
      try {
        if (forWriting) this.#folders.make(file.path);
        else this.#folders.check(file.path);
        return {
          fd: openSync(path, forWriting ? writing | constants.O_CREAT : writing, FILE_MODE),
          writable: true,
        };
      } catch (error) {
        // Others that are no files are opened, and told apart then.
        if (codeOf(error) === "EISDIR") throw notRegular(path);
        const mayRead = READ_ONLY_CODES.has(codeOf(error)) || error instanceof StorageError;
        if (forWriting || !mayRead) throw error;
      }
    }
    return { fd: openSync(path, constants.O_RDONLY | common), writable: false };
  }
}

/** Something is there that nobody can read as the torrent's file, nor write over. */
function notRegular(path: string): StorageError {
  return new StorageError("STORAGE_UNREADABLE", `${path} is not a regular file`);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
