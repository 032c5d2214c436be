// Makes torrent files (BEP 3, 12, 27, 47) of files and folders. What reads and hashes the bytes is handed in, so that
// the thread pool can do it; this file decides what is in the torrent.

import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import bencode from "bencode";
import pieceLengthFor from "piece-length";
import { MetainfoError, UsageError } from "../errors.js";
import { MIB, PIECE_COUNT_MAX, PIECE_LENGTH_MAX, PIECE_LENGTH_MIN } from "../limits.js";

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
  /** Bytes per piece, from 16 KiB up. Default: chosen for the size. */
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
  readonly file: string;
  readonly components: readonly string[];
  readonly length: number;
}

const PIECE_LENGTH_CHOSEN_MAX = 16 * MIB;
const CREATED_BY = "scatterwire 0.1";

/** The bytes of a torrent file of `path`. Rejects MetainfoError (nothing there, nothing in it), StorageError, UsageError. */
export async function createMetainfo(path: string, options: CreateOptions, hasher: PieceHasher): Promise<Uint8Array> {
  const root = resolve(path);
  const entries = await listEntries(root);
  const dataLength = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (dataLength === 0) throw new MetainfoError("METAINFO_MALFORMED", `${path}: nothing in it to share, only empty files`);
  const pieceLength = settlePieceLength(options.pieceLength, dataLength);
  const isFolder = entries[0]!.components.length > 0;
  const files = isFolder && options.padding === true ? withPadding(entries, pieceLength) : entries;
  const total = files.reduce((sum, file) => sum + file.length, 0);
  if (Math.ceil(total / pieceLength) > PIECE_COUNT_MAX) {
    throw new UsageError("USAGE_OPTION", `pieces of ${pieceLength} bytes are too small: more than ${PIECE_COUNT_MAX} of them`);
  }
  const pieces = await hasher.hashPieces(
    files.map((entry) => ({ path: entry.file === "" ? undefined : entry.file, length: entry.length })),
    pieceLength,
    (bytes) => options.onProgress?.(bytes, total),
    options.signal,
  );
  return encode(root, files, isFolder, pieceLength, pieces, options);
}

/** Piece length for a torrent of `length` bytes: some thousand pieces, 16 KiB to 16 MiB. */
export function choosePieceLength(length: number): number {
  // The package has no upper bound, and overflows from about 1.5e12 bytes on.
  if (length > 2 ** 36) return PIECE_LENGTH_CHOSEN_MAX;
  return Math.min(PIECE_LENGTH_CHOSEN_MAX, Math.max(PIECE_LENGTH_MIN, pieceLengthFor(length)));
}

function settlePieceLength(given: number | undefined, dataLength: number): number {
  if (given === undefined) return choosePieceLength(dataLength);
  if (Number.isSafeInteger(given) && given >= PIECE_LENGTH_MIN && given <= PIECE_LENGTH_MAX) return given;
  throw new UsageError("USAGE_OPTION", `a piece has ${PIECE_LENGTH_MIN} to ${PIECE_LENGTH_MAX} bytes, not ${given}`);
}

/** The files of a folder sorted by path, or the one file, whose components are empty then. */
async function listEntries(root: string): Promise<Entry[]> {
  const status = await stat(root).catch(() => {
    throw new MetainfoError("METAINFO_PATH", `${root}: no such file or folder`);
  });
  if (status.isFile()) return [{ file: root, components: [], length: status.size }];
  if (!status.isDirectory()) throw new MetainfoError("METAINFO_PATH", `${root} is neither a file nor a folder`);
  const entries: Entry[] = [];
  await walk(root, [], entries);
  if (entries.length === 0) throw new MetainfoError("METAINFO_MALFORMED", `${root}: there are no files in it`);
  // By code unit, component by component: the same order on every machine.
  return entries.sort((a, b) => compare(a.components.join("\0"), b.components.join("\0")));
}

async function walk(folder: string, components: readonly string[], entries: Entry[]): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    const status = await stat(file).catch(() => {
      throw new MetainfoError("METAINFO_PATH", `${file}: a link that leads nowhere, or a file that cannot be looked at`);
    });
    const path = [...components, name];
    if (status.isDirectory()) await walk(file, path, entries);
    else if (status.isFile()) entries.push({ file, components: path, length: status.size });
  }
}

function withPadding(entries: readonly Entry[], pieceLength: number): Entry[] {
  const padded: Entry[] = [];
  entries.forEach((entry, index) => {
    padded.push(entry);
    const rest = entry.length % pieceLength;
    if (rest === 0 || index === entries.length - 1) return;
    const length = pieceLength - rest;
    padded.push({ file: "", components: [".pad", String(length)], length });
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
    "created by": CREATED_BY,
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

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
