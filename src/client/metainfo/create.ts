// Makes torrent files (BEP 3, 12, 27, 47) of files and folders. What reads and hashes the bytes is handed in, so that
// other threads can do it; this file decides what is in the torrent.
//
// Always: what is made here, parseMetainfo reads. Files are in one order on every machine. A file that is not what it
// was when hashing began makes no torrent, and nothing is left out without a word but the folder of our own files.

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { closeSync, constants, openSync, readdirSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import pieceLengthFor from "piece-length";
import { assert } from "../../base/assert.js";
import { MetainfoError, UsageError } from "../../base/errors.js";
import {
  METAINFO_BYTES_MAX,
  MIB,
  PIECE_COUNT_MAX,
  PIECE_LENGTH_MADE_MIN,
  PIECE_LENGTH_MAX,
} from "../../base/limits.js";
import { CLIENT_NAME } from "../../base/version.js";
import { isoDate, type MetainfoDescription } from "./describe.js";
import { checkWhole, Fields } from "./fields.js";
import { PADDING_NAME_PREFIX } from "./parse.js";
import { cleanName, PATH_BYTES_MAX } from "./paths.js";

export interface HashedFile {
  /** Where to read it; undefined for padding, which is zeros. */
  readonly path: string | undefined;
  readonly length: number;
}

export interface PieceHasher {
  /**
   * SHA-1 digests of the pieces of the files, one after the other: 20 × pieces bytes. Rejects StorageError if a
   * file cannot be read or is shorter than it was, UsageError `ABORTED` if the signal says so.
   */
  hashPieces(
    files: readonly HashedFile[],
    pieceLength: number,
    onProgress: (bytesHashed: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array>;
}

export interface CreateOptions {
  /** Bytes per piece, from 16 KiB up; not only powers of two. Default: chosen for the size. */
  pieceLength?: number;
  /** Tracker addresses; each is a tier of its own. */
  announce?: readonly string[];
  /** BEP 27: peers come from the trackers only. */
  private?: boolean;
  comment?: string;
  /** Name in the torrent; default: that of the file or folder. */
  name?: string;
  /** BEP 47: align each file with a piece. For folders; default false. */
  padding?: boolean;
  /** Seconds since 1970; default now. */
  creationDate?: number;
  /** Where the caller is going to write the torrent file: refused if it is one of the files, or in one of the folders. */
  output?: string;
  onProgress?: (bytesHashed: number, bytesTotal: number) => void;
  signal?: AbortSignal;
}

/** A folder that is shared; its files share what is said here. */
interface Folder {
  /** Absolute. */
  readonly path: string;
  /** Below the folder that is the torrent. */
  readonly components: readonly string[];
}

/** A file of the torrent. There may be a hundred thousand, so paths are put together when they are asked for. */
class Entry implements HashedFile {
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

/** A torrent file, and what it says but for its files: reading them back would take as long as making them. */
export interface CreatedTorrent {
  readonly bytes: Uint8Array;
  readonly description: Omit<MetainfoDescription, "files">;
  /** Files, padding not counted. */
  readonly fileCount: number;
}

const PIECE_LENGTH_CHOSEN_MAX = 16 * MIB;
/** The package computes with 32-bit integers, and has no upper bound: what it says of more than this is not asked. */
const LENGTH_ASKED_MAX = 2 ** 36;

/**
 * A torrent file of `path`. Symbolic links are followed. Rejects MetainfoError (`METAINFO_PATH`: nothing
 * there, or what cannot be read or shared; `METAINFO_MALFORMED`: nothing in it), UsageError (an option that cannot be;
 * `ABORTED`), and what the hasher rejects.
 */
export async function createMetainfo(
  path: string,
  options: CreateOptions,
  hasher: PieceHasher,
): Promise<CreatedTorrent> {
  const root = resolve(path);
  checkOptions(root, options);
  const { bytes, ...made } = await makeBytes(root, options, hasher);
  if (bytes.length > METAINFO_BYTES_MAX) {
    const message = `a torrent file of ${bytes.length} bytes; at most ${METAINFO_BYTES_MAX} can be used: take larger pieces`;
    throw new MetainfoError("METAINFO_TOO_LARGE", message);
  }
  checkWhole(bytes);
  return { bytes, ...made };
}

async function makeBytes(root: string, options: CreateOptions, hasher: PieceHasher): Promise<CreatedTorrent> {
  const entries = await listEntries(root, options);
  const dataLength = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (dataLength === 0)
    throw new MetainfoError("METAINFO_MALFORMED", `${root}: only empty files, nothing to share`);
  const pieceLength = options.pieceLength ?? choosePieceLength(dataLength);
  const isFolder = statSync(root).isDirectory();
  const files = isFolder && options.padding === true ? withPadding(entries, pieceLength) : entries;
  const total = files.reduce((sum, file) => sum + file.length, 0);
  const pieceCount = Math.ceil(total / pieceLength);
  if (pieceCount > PIECE_COUNT_MAX) {
    const message = `pieces of ${pieceLength} bytes are too small: more than ${PIECE_COUNT_MAX} of them`;
    throw new UsageError("USAGE_OPTION", message);
  }
  const onProgress = (bytes: number) => options.onProgress?.(bytes, total);
  const pieces = await hasher.hashPieces(files, pieceLength, onProgress, options.signal);
  assert(pieces.length === 20 * pieceCount, "each piece has a digest");
  checkAborted(options.signal);
  await checkUnchanged(entries);
  const dated = { creationDate: Math.floor(Date.now() / 1000), ...options };
  const bytes = encode(root, files, isFolder, pieceLength, pieces, dated);
  const infoHash = createHash("sha1").update(new Fields(bytes, 0).raw("info")!).digest("hex");
  const shape = { totalLength: total, pieceLength, pieceCount };
  return { bytes, description: describe(root, infoHash, shape, dated), fileCount: entries.length };
}

/** What describeMetainfo() would say of it. */
function describe(
  root: string,
  infoHash: string,
  shape: { totalLength: number; pieceLength: number; pieceCount: number },
  options: CreateOptions & { creationDate: number },
): CreatedTorrent["description"] {
  return {
    name: options.name ?? basename(root),
    infoHash,
    ...shape,
    private: options.private === true,
    announce: (options.announce ?? []).map((url) => [url.trim()]),
    comment: options.comment ?? null,
    createdBy: CLIENT_NAME,
    created: isoDate(Math.trunc(options.creationDate)),
    links: [],
    webSeeds: [],
    httpSeeds: [],
  };
}

/** Piece length for `length` bytes: about a thousand pieces, of 16 KiB to 16 MiB; larger where there were too many. */
export function choosePieceLength(length: number): number {
  const suggested = pieceLengthFor(Math.min(length, LENGTH_ASKED_MAX));
  let pieceLength = Math.min(PIECE_LENGTH_CHOSEN_MAX, Math.max(PIECE_LENGTH_MADE_MIN, suggested));
  while (length / pieceLength > PIECE_COUNT_MAX && pieceLength < PIECE_LENGTH_MAX) pieceLength *= 2;
  return pieceLength;
}

function checkOptions(root: string, options: CreateOptions): void {
  checkAborted(options.signal);
  const { pieceLength } = options;
  if (pieceLength !== undefined && !isPieceLength(pieceLength)) {
    const message = `a piece has ${PIECE_LENGTH_MADE_MIN} to ${PIECE_LENGTH_MAX} bytes, not ${pieceLength}`;
    throw new UsageError("USAGE_OPTION", message);
  }
  const name = options.name ?? basename(root);
  if (!isUsableName(name)) {
    throw new UsageError(
      "USAGE_OPTION",
      `a torrent cannot be named ${JSON.stringify(name)}: give another name`,
    );
  }
  for (const url of options.announce ?? []) {
    if (!URL.canParse(url))
      throw new UsageError("USAGE_OPTION", `not the address of a tracker: ${JSON.stringify(url)}`);
  }
}

function isPieceLength(value: number): boolean {
  return Number.isSafeInteger(value) && value >= PIECE_LENGTH_MADE_MIN && value <= PIECE_LENGTH_MAX;
}

/** True if the name would come back from a torrent as it is. */
function isUsableName(name: string): boolean {
  try {
    return cleanName(name) === name;
  } catch {
    return false;
  }
}

/** The files of a folder sorted by path, or the one file, whose components are empty then. */
async function listEntries(root: string, options: CreateOptions): Promise<Entry[]> {
  const listing = new Listing(options);
  await listing.add(root);
  if (listing.entries.length === 0)
    throw new MetainfoError("METAINFO_MALFORMED", `${root}: there are no files in it`);
  return listing.entries;
}

/** Of storage/own-files.ts, which this file does not know. */
const OWN_FOLDER_NAME = ".scatterwire";
/** Files that are looked at before others of the process have their turn: a millisecond or so. */
const FILES_PER_TURN = 256;
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

  constructor(options: CreateOptions) {
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
async function checkUnchanged(entries: readonly Entry[]): Promise<void> {
  let looked = 0;
  for (const entry of entries) {
    if (looked++ % FILES_PER_TURN === 0) await nextTurn();
    const path = entry.path!;
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
  return error instanceof Error ? error.message : String(error);
}

function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new UsageError("ABORTED", "making the torrent was aborted", { cause: signal.reason });
}

/** Behind each file but the last as much padding as the next needs to begin with a piece. */
function withPadding(entries: readonly Entry[], pieceLength: number): Entry[] {
  const padded: Entry[] = [];
  entries.forEach((entry, index) => {
    padded.push(entry);
    const rest = entry.length % pieceLength;
    if (rest === 0 || index === entries.length - 1) return;
    const length = pieceLength - rest;
    padded.push(new Entry(undefined, String(length), length, 0));
  });
  return padded;
}

/** Written piece by piece: as values of a package, a hundred thousand files would take a second, and their memory thrice. */
function encode(
  root: string,
  files: readonly Entry[],
  isFolder: boolean,
  pieceLength: number,
  pieces: Uint8Array,
  options: CreateOptions & { creationDate: number },
): Uint8Array {
  const announce = options.announce ?? [];
  const head = [
    "d",
    ...(announce.length > 0 ? [text("announce"), text(announce[0]!)] : []),
    ...(announce.length > 1 ? [text("announce-list"), list(announce.map((url) => list([text(url)])))] : []),
    ...(options.comment === undefined ? [] : [text("comment"), text(options.comment)]),
    `${text("created by")}${text(CLIENT_NAME)}${text("creation date")}${integer(options.creationDate)}`,
    `${text("info")}d${isFolder ? `${text("files")}l` : `${text("length")}${integer(files[0]!.length)}`}`,
  ];
  const middle = [
    `${isFolder ? "e" : ""}${text("name")}${text(options.name ?? basename(root))}`,
    `${text("piece length")}${integer(pieceLength)}${text("pieces")}${pieces.length}:`,
  ];
  const tail = `${options.private === true ? `${text("private")}${integer(1)}` : ""}ee`;
  const whole = Buffer.concat([
    Buffer.from(head.join("")),
    ...(isFolder ? encodeFiles(files) : []),
    Buffer.from(middle.join("")),
    pieces,
    Buffer.from(tail),
  ]);
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}

/** Some files at a time: the text of all of them would take thrice the memory of their bytes. */
function* encodeFiles(files: readonly Entry[]): Iterable<Buffer> {
  for (let at = 0; at < files.length; at += FILES_PER_TURN) {
    const some = files.slice(at, at + FILES_PER_TURN);
    yield Buffer.from(some.map(encodeFile).join(""));
  }
}

function encodeFile({ folder, components, length }: Entry): string {
  const attributes = folder === undefined ? `${text("attr")}${text("p")}` : "";
  return `d${attributes}${text("length")}${integer(length)}${text("path")}${list(components.map(text))}e`;
}

function text(value: string): string {
  return `${Buffer.byteLength(value)}:${value}`;
}

function integer(value: number): string {
  return `i${Math.trunc(value)}e`;
}

function list(items: readonly string[]): string {
  return `l${items.join("")}e`;
}
