// Torrent files without a session: made, read, and held against data on disk.

import { MetainfoError, messageOf, StorageError, UsageError } from "../../base/errors.js";
import { SYSTEM_GROUND } from "../../base/ground.js";
import { METAINFO_BYTES_MAX, MIB } from "../../base/limits.js";
import { mayNameAddress } from "../../base/network-address.js";
import { checkOption, checkOptions } from "../../base/option-check.js";
import { readRegular, type UnfitFile } from "../../base/regular-file.js";
import { UserCalls } from "../../base/user-calls.js";
import { loadBinding } from "../../native/binding.js";
import { Reactor } from "../../native/reactor.js";
import { Memory } from "../memory/memory.js";
import {
  type CreatedTorrent,
  type CreateOptions,
  createMetainfo,
  type HashedFile,
} from "../metainfo/create.js";
import { parseMetainfo } from "../metainfo/parse.js";
import { metainfoOf } from "../metainfo/source.js";
import type { Metainfo } from "../metainfo/types.js";
import { CHECK_OPTIONS, CREATE_OPTIONS, FETCH_OPTIONS } from "../option-table.js";
import { Layout } from "../storage/layout.js";
import { openStorage } from "../storage/open.js";
import { checkPieces, hashPieces, isUnreadable } from "../torrent/checker.js";

/** Memory that hashing reads into. */
const HASHING_POOL_BYTES = 20 * MIB;
const DIGEST_BYTES = 20;
/** Different reasons that a check tells. */
const READ_ERRORS_MAX = 100;

/** Options of checkTorrent(). */
export interface CheckOptions {
  /** How far it is, from 0 to 1. */
  onProgress?: (fraction: number) => void;
  /** Stops it: it rejects with code ABORTED. */
  signal?: AbortSignal;
}

/** What is there of a torrent, and what of it is right. */
export interface CheckResult {
  /** Pieces of the torrent. */
  readonly pieceCount: number;
  /** Pieces that are here and have the right digest. */
  readonly piecesGood: number;
  /** Bytes of the good pieces, and of all. */
  readonly bytesGood: number;
  /** Bytes of all pieces. */
  readonly bytesTotal: number;
  /** All pieces are good. */
  readonly complete: boolean;
  /** Indices of the pieces that are wrong or missing, ascending; those that could not be read are not among them. */
  readonly badPieces: readonly number[];
  /** Indices of the pieces of which nobody can tell, because a file could not be read, ascending. */
  readonly unreadablePieces: readonly number[];
  /** Why, with the file and the error of the system: each reason once. */
  readonly readErrors: readonly string[];
}

/** Options of fetchMetainfo(). */
export interface FetchOptions {
  /** Stops it: it rejects with code ABORTED. */
  readonly signal?: AbortSignal;
}

/** Of a torrent file on the web: names, redirects and all. */
const FETCH_MS = 60_000;
const FETCH_REDIRECTS_MAX = 5;

/**
 * Reads a torrent file at an address of HTTP or HTTPS. Rejects MetainfoError if what is there is not a torrent file, UsageError `FETCH_FAILED`
 * if it cannot be fetched (an HTTP status other than success, no answer within a minute, a redirect to a nearer network), and ABORTED.
 */
export async function fetchMetainfo(address: string, options: FetchOptions = {}): Promise<Metainfo> {
  checkOption("the address of a torrent file", { kind: "text" }, address);
  checkOptions(FETCH_OPTIONS, options, "fetchMetainfo()");
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new UsageError(
      "USAGE_OPTION",
      `a torrent on the web is at an address of http or https, not at ${address}`,
    );
  // Loaded here: nobody else needs HTTP.
  const { HttpGetError, httpGet } = await import("../../native/http-get.js");
  const { SystemNames } = await import("../../native/names.js");
  const names = new SystemNames(SYSTEM_GROUND);
  const refused = (why: string, cause?: unknown): UsageError =>
    new UsageError("FETCH_FAILED", `cannot fetch ${url.origin}: ${why}`, { cause });
  try {
    const { status, body } = await httpGet({ ground: SYSTEM_GROUND, names }, url, {
      bytesMax: METAINFO_BYTES_MAX,
      deadlineMs: FETCH_MS,
      redirectsMax: FETCH_REDIRECTS_MAX,
      mayAsk: (_url, to, from) =>
        from === undefined || mayNameAddress(from, to) ? undefined : `a redirect from ${from} to ${to}`,
      signal: options.signal,
    });
    if (status < 200 || status > 299) throw refused(`HTTP status ${status}`);
    return parseMetainfo(body);
  } catch (error) {
    if (!(error instanceof HttpGetError)) throw error;
    if (error.failure !== "aborted") throw refused(error.message, error);
    throw new UsageError("ABORTED", "fetching was stopped", { cause: options.signal?.reason });
  } finally {
    names.close();
  }
}

/** Reads a torrent file. Rejects MetainfoError; `METAINFO_PATH` if there is no such file. */
export async function readMetainfo(path: string): Promise<Metainfo> {
  checkOption("the path of a torrent file", { kind: "text" }, path);
  let bytes: Uint8Array;
  try {
    bytes = await readRegular(path, METAINFO_BYTES_MAX, UNFIT);
  } catch (error) {
    if (error instanceof MetainfoError) throw error;
    const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : messageOf(error);
    throw new MetainfoError("METAINFO_PATH", `${path}: ${reason}`, { cause: error });
  }
  try {
    return parseMetainfo(bytes);
  } catch (error) {
    if (!(error instanceof MetainfoError)) throw error;
    throw new MetainfoError(error.code, `${path}: ${error.message}`);
  }
}

/** Why a file is no torrent file, whatever it holds. */
const UNFIT: UnfitFile = {
  notRegular: (path) => new MetainfoError("METAINFO_PATH", `${path}: not a regular file`),
  tooLong: (path, bytesMax) =>
    new MetainfoError(
      "METAINFO_TOO_LARGE",
      `${path}: torrent file of more than ${bytesMax} bytes, and no more are read`,
    ),
};

/**
 * The bytes of a torrent file of `path`, a file or a folder; hashing uses other threads. Rejects MetainfoError, StorageError,
 * UsageError (a bad option; `ABORTED`).
 */
export async function createTorrentFile(path: string, options: CreateOptions = {}): Promise<Uint8Array> {
  return (await createTorrent(path, options)).bytes;
}

/** As createTorrentFile(), with what the torrent file says but for its files. */
export async function createTorrent(path: string, options: CreateOptions = {}): Promise<CreatedTorrent> {
  checkOption("the path to share", { kind: "text" }, path);
  checkOptions(CREATE_OPTIONS, options, "createTorrent");
  const reactor = new Reactor(HASHING_POOL_BYTES);
  const userCalls = new UserCalls();
  try {
    const created = await createMetainfo(path, options, {
      lookAtFiles: loadBinding().lookAtFiles,
      hashPieces: (files, pieceLength, onProgress, signal) =>
        hashFiles(reactor, files, pieceLength, (hashed) => userCalls.call(onProgress, hashed), signal),
    });
    await userCalls.flushed();
    return created;
  } finally {
    await reactor.idle();
    reactor.close();
  }
}

/**
 * Hashes the data in `directory` and compares it with a torrent: what readMetainfo() resolves to, or the bytes of a torrent
 * file. Rejects UsageError (`ABORTED`, or what is no torrent), MetainfoError. Missing and short files make pieces bad; files
 * that are there and cannot be read are told apart.
 */
export async function checkTorrent(
  torrentFile: Metainfo | Uint8Array,
  directory: string,
  options: CheckOptions = {},
): Promise<CheckResult> {
  const metainfo = metainfoOf(torrentFile);
  checkOption("directory", { kind: "folder" }, directory);
  checkOptions(CHECK_OPTIONS, options, "checkTorrent");
  const layout = new Layout(metainfo);
  const reactor = new Reactor(HASHING_POOL_BYTES);
  const memory = new Memory(reactor.engine.slab, reactor.engine);
  const { storage } = await openStorage({
    kind: "file",
    layout,
    directory,
    reactor,
    memory,
    preallocate: false,
    readOnly: true,
    onWarning: () => {},
  });
  const { onProgress } = options;
  const userCalls = new UserCalls();
  const badPieces: number[] = [];
  const unreadablePieces: number[] = [];
  const readErrors = new Set<string>();
  let looked = 0;
  let bytesGood = 0;
  try {
    await checkPieces({
      layout,
      storage,
      memory,
      reactor,
      digests: metainfo.pieces,
      pieces: Array.from({ length: layout.pieceCount }, (_, piece) => piece),
      signal: options.signal,
      onPiece: (piece, good, error) => {
        if (good) bytesGood += layout.pieceLengthOf(piece);
        else if (error === undefined || !isUnreadable(error)) badPieces.push(piece);
        else {
          unreadablePieces.push(piece);
          if (readErrors.size < READ_ERRORS_MAX) readErrors.add(error.message);
        }
        looked++;
        if (onProgress !== undefined) userCalls.call(onProgress, looked / layout.pieceCount);
      },
    });
  } finally {
    await storage.close();
    await reactor.idle();
    reactor.close();
  }
  await userCalls.flushed();
  return {
    pieceCount: layout.pieceCount,
    piecesGood: layout.pieceCount - badPieces.length - unreadablePieces.length,
    bytesGood,
    bytesTotal: layout.totalLength,
    complete: badPieces.length + unreadablePieces.length === 0,
    badPieces: badPieces.sort((a, b) => a - b),
    unreadablePieces: unreadablePieces.sort((a, b) => a - b),
    readErrors: [...readErrors],
  };
}

async function hashFiles(
  reactor: Reactor,
  files: readonly HashedFile[],
  pieceLength: number,
  onProgress: (bytesHashed: number) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const totalLength = files.reduce((sum, { length }) => sum + length, 0);
  const layout = new Layout({ pieceLength, totalLength, files });
  const memory = new Memory(reactor.engine.slab, reactor.engine);
  const { storage } = await openStorage({
    kind: "file",
    layout,
    directory: "/",
    reactor,
    memory,
    preallocate: false,
    readOnly: true,
    onWarning: () => {},
  });
  const digests = new Uint8Array(DIGEST_BYTES * layout.pieceCount);
  let bytesHashed = 0;
  try {
    await hashPieces({
      layout,
      storage,
      memory,
      reactor,
      pieces: Array.from({ length: layout.pieceCount }, (_, piece) => piece),
      signal,
      onDigest: (piece, digest) => {
        if (digest instanceof StorageError) throw digest;
        digests.set(digest, DIGEST_BYTES * piece);
        bytesHashed += layout.pieceLengthOf(piece);
        onProgress(bytesHashed);
      },
    });
  } finally {
    await storage.close();
  }
  if (signal?.aborted === true)
    throw new UsageError("ABORTED", "hashing was stopped", { cause: signal.reason });
  return digests;
}
