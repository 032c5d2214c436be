// Makes torrent files (BEP 3, 12, 27, 47) of files and folders. What looks at files, and what reads and hashes their bytes, is handed in, so
// that native code and other threads can do it; this file decides what is in the torrent.
//
// Always: what is made here, parseMetainfo reads. A file that is not what it was when hashing began makes no torrent.

import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { basename, resolve } from "node:path";
import pieceLengthFor from "piece-length";
import { assert, entryOf, present } from "../../base/assert.js";
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
import { cleanName } from "./paths.js";
import {
  checkAborted,
  checkUnchanged,
  type Entry,
  FILES_PER_TURN,
  type HashedFile,
  type LookAtFiles,
  listEntries,
  paddingEntry,
} from "./shared-files.js";

export type { HashedFile } from "./shared-files.js";

/** What the addon does for making torrents. */
export interface PieceHasher {
  readonly lookAtFiles: LookAtFiles;
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

/** Options of createTorrent() and createTorrentFile(). */
export interface CreateOptions {
  /** Bytes per piece, from 16 KiB up; not only powers of two. Default: chosen for the size. */
  pieceLength?: number;
  /** Tracker addresses; each is a tier of its own. */
  announce?: readonly string[];
  /** BEP 27: peers come from the trackers only. */
  private?: boolean;
  /** Text for whoever reads the torrent file. */
  comment?: string;
  /** Name in the torrent; default: that of the file or folder. */
  name?: string;
  /** BEP 47: align each file with a piece. For folders; default false. */
  padding?: boolean;
  /** Seconds since 1970; default now. */
  creationDate?: number;
  /** Where the caller is going to write the torrent file: refused if it is one of the files, or in one of the folders. */
  output?: string;
  /** Told how far hashing is. */
  onProgress?: (bytesHashed: number, bytesTotal: number) => void;
  /** Stops it: it rejects with code ABORTED. */
  signal?: AbortSignal;
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
  const entries = await listEntries(root, options, hasher.lookAtFiles);
  const dataLength = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (dataLength === 0)
    throw new MetainfoError("METAINFO_MALFORMED", `${root}: only empty files, nothing to share`);
  const pieceLength = options.pieceLength ?? choosePieceLength(dataLength);
  const isFolder = statSync(root).isDirectory();
  const files = isFolder && options.padding === true ? withPadding(entries, pieceLength) : entries;
  const total = layOut(files);
  const pieceCount = Math.ceil(total / pieceLength);
  if (pieceCount > PIECE_COUNT_MAX) {
    const message = `pieces of ${pieceLength} bytes are too small: more than ${PIECE_COUNT_MAX} of them`;
    throw new UsageError("USAGE_OPTION", message);
  }
  const onProgress = (bytes: number) => options.onProgress?.(bytes, total);
  const pieces = await hasher.hashPieces(files, pieceLength, onProgress, options.signal);
  assert(pieces.length === 20 * pieceCount, "each piece has a digest");
  checkAborted(options.signal);
  await checkUnchanged(entries, hasher.lookAtFiles);
  const dated = { creationDate: Math.floor(Date.now() / 1000), ...options };
  const bytes = encode(root, files, isFolder, pieceLength, pieces, dated);
  const infoHash = createHash("sha1")
    .update(present(new Fields(bytes, 0).raw("info"), "what was encoded has its info dictionary"))
    .digest("hex");
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

/** Behind each file but the last as much padding as the next needs to begin with a piece. */
function withPadding(entries: readonly Entry[], pieceLength: number): Entry[] {
  const padded: Entry[] = [];
  entries.forEach((entry, index) => {
    padded.push(entry);
    const rest = entry.length % pieceLength;
    if (rest === 0 || index === entries.length - 1) return;
    const length = pieceLength - rest;
    padded.push(paddingEntry(length));
  });
  return padded;
}

/** Says of each file where it begins, and answers where the last one ends. */
function layOut(files: readonly Entry[]): number {
  let offset = 0;
  for (const file of files) {
    file.offset = offset;
    offset += file.length;
  }
  return offset;
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
    ...(announce.length > 0 ? [text("announce"), text(entryOf(announce, 0))] : []),
    ...(announce.length > 1 ? [text("announce-list"), list(announce.map((url) => list([text(url)])))] : []),
    ...(options.comment === undefined ? [] : [text("comment"), text(options.comment)]),
    `${text("created by")}${text(CLIENT_NAME)}${text("creation date")}${integer(options.creationDate)}`,
    `${text("info")}d${isFolder ? `${text("files")}l` : `${text("length")}${integer(entryOf(files, 0).length)}`}`,
  ];
  const middle = [
    `${isFolder ? "e" : ""}${text("name")}${text(options.name ?? basename(root))}`,
    `${text("piece length")}${integer(pieceLength)}${text("pieces")}${pieces.length}:`,
  ];
  const tail = `${options.private === true ? `${text("private")}${integer(1)}` : ""}ee`;
  return gather(function* () {
    yield head.join("");
    if (isFolder) yield* encodeFiles(files);
    yield middle.join("");
    yield pieces;
    yield tail;
  });
}

/** The parts, one behind the other. They are made twice, to be measured and to be written: kept, they would take as much memory as the whole. */
function gather(makeParts: () => Iterable<string | Uint8Array>): Uint8Array {
  let length = 0;
  for (const part of makeParts()) length += typeof part === "string" ? Buffer.byteLength(part) : part.length;
  const whole = Buffer.alloc(length);
  let at = 0;
  for (const part of makeParts()) {
    if (typeof part === "string") at += whole.write(part, at);
    else {
      whole.set(part, at);
      at += part.length;
    }
  }
  assert(at === length, "a part is as long as it was measured");
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}

/** Some files at a time: the text of all of them would take thrice the memory of their bytes. */
function* encodeFiles(files: readonly Entry[]): Iterable<string> {
  for (let at = 0; at < files.length; at += FILES_PER_TURN) {
    const some = files.slice(at, at + FILES_PER_TURN);
    yield some.map(encodeFile).join("");
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
