// Makes torrent files (BEP 3, 12, 27, 47) of files and folders. What reads and hashes the bytes is handed in, so that
// other threads can do it; this file decides what is in the torrent.
//
// Always: what is made here, parseMetainfo reads. Files are in one order on every machine. A file that is not what it
// was when hashing began makes no torrent, and nothing is left out without a word.

import { isUtf8 } from "node:buffer";
import { open, readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import bencode from "bencode";
import pieceLengthFor from "piece-length";
import { assert } from "../../base/assert.js";
import { MetainfoError, UsageError } from "../../base/errors.js";
import {
  METAINFO_BYTES_MAX,
  MIB,
  PIECE_COUNT_MAX,
  PIECE_LENGTH_MAX,
  PIECE_LENGTH_MIN,
} from "../../base/limits.js";
import { CLIENT_NAME } from "../../base/version.js";
import { PADDING_NAME_PREFIX, parseMetainfo } from "./parse.js";
import { cleanName } from "./paths.js";

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
  onProgress?: (bytesHashed: number, bytesTotal: number) => void;
  signal?: AbortSignal;
}

interface Entry {
  /** Absolute; "" for padding. */
  readonly file: string;
  /** Below the folder; empty for a file that is the torrent. */
  readonly components: readonly string[];
  readonly length: number;
  readonly modifiedMs: number;
}

const PIECE_LENGTH_CHOSEN_MAX = 16 * MIB;
/** The package computes with 32-bit integers, and has no upper bound: what it says of more than this is not asked. */
const LENGTH_ASKED_MAX = 2 ** 36;

/**
 * The bytes of a torrent file of `path`. Symbolic links are followed. Rejects MetainfoError (`METAINFO_PATH`: nothing
 * there, or what cannot be read or shared; `METAINFO_MALFORMED`: nothing in it), UsageError (an option that cannot be;
 * `ABORTED`), and what the hasher rejects.
 */
export async function createMetainfo(
  path: string,
  options: CreateOptions,
  hasher: PieceHasher,
): Promise<Uint8Array> {
  const root = resolve(path);
  checkOptions(root, options);
  const entries = await listEntries(root, options.signal);
  const dataLength = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (dataLength === 0)
    throw new MetainfoError("METAINFO_MALFORMED", `${path}: only empty files, nothing to share`);
  const pieceLength = options.pieceLength ?? choosePieceLength(dataLength);
  const isFolder = entries[0]!.components.length > 0;
  const files = isFolder && options.padding === true ? withPadding(entries, pieceLength) : entries;
  const total = files.reduce((sum, file) => sum + file.length, 0);
  const pieceCount = Math.ceil(total / pieceLength);
  if (pieceCount > PIECE_COUNT_MAX) {
    const message = `pieces of ${pieceLength} bytes are too small: more than ${PIECE_COUNT_MAX} of them`;
    throw new UsageError("USAGE_OPTION", message);
  }
  const hashed = files.map(({ file, length }) => ({ path: file === "" ? undefined : file, length }));
  const onProgress = (bytes: number) => options.onProgress?.(bytes, total);
  const pieces = await hasher.hashPieces(hashed, pieceLength, onProgress, options.signal);
  assert(pieces.length === 20 * pieceCount, "each piece has a digest");
  checkAborted(options.signal);
  await checkUnchanged(entries);
  const bytes = encode(root, files, isFolder, pieceLength, pieces, options);
  if (bytes.length > METAINFO_BYTES_MAX) {
    const message = `a torrent file of ${bytes.length} bytes; at most ${METAINFO_BYTES_MAX} can be used: take larger pieces`;
    throw new MetainfoError("METAINFO_TOO_LARGE", message);
  }
  parseMetainfo(bytes);
  return bytes;
}

/** Piece length for `length` bytes: about a thousand pieces, of 16 KiB to 16 MiB; larger where there were too many. */
export function choosePieceLength(length: number): number {
  const suggested = pieceLengthFor(Math.min(length, LENGTH_ASKED_MAX));
  let pieceLength = Math.min(PIECE_LENGTH_CHOSEN_MAX, Math.max(PIECE_LENGTH_MIN, suggested));
  while (length / pieceLength > PIECE_COUNT_MAX && pieceLength < PIECE_LENGTH_MAX) pieceLength *= 2;
  return pieceLength;
}

function checkOptions(root: string, options: CreateOptions): void {
  checkAborted(options.signal);
  const { pieceLength } = options;
  if (pieceLength !== undefined && !isPieceLength(pieceLength)) {
    const message = `a piece has ${PIECE_LENGTH_MIN} to ${PIECE_LENGTH_MAX} bytes, not ${pieceLength}`;
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
  return Number.isSafeInteger(value) && value >= PIECE_LENGTH_MIN && value <= PIECE_LENGTH_MAX;
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
async function listEntries(root: string, signal: AbortSignal | undefined): Promise<Entry[]> {
  const entries: Entry[] = [];
  await visit(root, [], new Set(), entries, signal);
  if (entries.length === 0)
    throw new MetainfoError("METAINFO_MALFORMED", `${root}: there are no files in it`);
  // By code unit, component by component: the same order on every machine.
  const keyed = entries.map((entry) => ({ entry, key: entry.components.join("\0") }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ entry }) => entry);
}

/** `above`: device and inode of the folders that `file` lies in, for links that lead in a circle. */
async function visit(
  file: string,
  components: readonly string[],
  above: ReadonlySet<string>,
  entries: Entry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  checkAborted(signal);
  const status = await stat(file).catch((error: unknown) => refuse(file, error));
  if (status.isFile()) {
    if (components.at(-1)?.startsWith(PADDING_NAME_PREFIX) === true) {
      refuse(file, "other programs take a file of this name for padding, and would not store it");
    }
    // Opened now: better than to find out after hours of hashing what comes before it.
    const handle = await open(file).catch((error: unknown) => refuse(file, error));
    await handle.close();
    entries.push({ file, components, length: status.size, modifiedMs: status.mtimeMs });
    return;
  }
  if (!status.isDirectory()) refuse(file, "neither a file nor a folder");
  const identity = `${status.dev}:${status.ino}`;
  if (above.has(identity)) refuse(file, "a link to a folder that it lies in");
  const names = await readdir(file, { encoding: "buffer" }).catch((error: unknown) => refuse(file, error));
  const chain = new Set([...above, identity]);
  for (const name of names) {
    if (!isUtf8(name)) refuse(file, `the name ${JSON.stringify(name.toString("latin1"))} in it is not UTF-8`);
    const text = name.toString("utf8");
    await visit(join(file, text), [...components, text], chain, entries, signal);
  }
}

/** Size and time of change are those that were seen before hashing. */
async function checkUnchanged(entries: readonly Entry[]): Promise<void> {
  for (const { file, length, modifiedMs } of entries) {
    const status = await stat(file).catch((error: unknown) => refuse(file, error));
    if (status.size !== length || status.mtimeMs !== modifiedMs) refuse(file, "changed while it was hashed");
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
    padded.push({ file: "", components: [".pad", String(length)], length, modifiedMs: 0 });
  });
  return padded;
}

function encode(
  root: string,
  files: readonly Entry[],
  isFolder: boolean,
  pieceLength: number,
  pieces: Uint8Array,
  options: CreateOptions,
): Uint8Array {
  const announce = options.announce ?? [];
  const list = files.map((entry) => ({
    ...(entry.file === "" ? { attr: "p" } : {}),
    length: entry.length,
    path: entry.components,
  }));
  return bencode.encode({
    ...(announce.length > 0 ? { announce: announce[0] } : {}),
    ...(announce.length > 1 ? { "announce-list": announce.map((url) => [url]) } : {}),
    ...(options.comment === undefined ? {} : { comment: options.comment }),
    "created by": CLIENT_NAME,
    "creation date": options.creationDate ?? Math.floor(Date.now() / 1000),
    info: {
      ...(isFolder ? { files: list } : { length: files[0]!.length }),
      name: options.name ?? basename(root),
      "piece length": pieceLength,
      pieces,
      ...(options.private === true ? { private: 1 } : {}),
    },
  });
}
