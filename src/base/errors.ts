// The error classes of the public API. Four kinds are never mixed: a negative errno (from native code; a number,
// not an exception), PeerError (costs one peer its connection), StorageError (stops one torrent and loses nothing
// that was verified) and AssertionError (our bug). MetainfoError and UsageError are what a caller did wrong. A TrackerError costs one
// announce: it is told, and the tracker is asked again later. A StoreError costs an index one call, which may be made again.

import { getSystemErrorMap } from "node:util";

/** Base of all errors that scatterwire raises on purpose. `code` is stable and meant for programs. */
export class ScatterwireError extends Error {
  /** The name of the class. */
  override readonly name: string = "ScatterwireError";
  /** What went wrong, for programs: stable between versions. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Why a connection ended: what the peer did wrong, what the network did, or why we had no place for it. */
export type PeerErrorCode =
  /** Nobody answered at the address, or the system refused to connect. */
  | "PEER_CONNECT_FAILED"
  /** The other side ended the connection. */
  | "PEER_CLOSED"
  /** It was silent, took nothing, or did not answer for too long. */
  | "PEER_TIMEOUT"
  /** It speaks another protocol (BEP 3). */
  | "PEER_PROTOCOL_NAME"
  | "PEER_UNKNOWN_INFO_HASH"
  | "PEER_INFO_HASH_MISMATCH"
  /** It is ourselves. */
  | "PEER_SELF"
  /** Another connection to the same peer is there. */
  | "PEER_DUPLICATE"
  | "PEER_BANNED"
  | "PEER_REFUSED"
  /** All places are taken. */
  | "PEER_TOO_MANY"
  | "PEER_MESSAGE_TOO_LONG"
  | "PEER_MESSAGE_MALFORMED"
  | "PEER_MESSAGE_UNEXPECTED"
  | "PEER_PIECE_RANGE"
  /** It sent a block that it was not asked for. */
  | "PEER_UNREQUESTED_BLOCK"
  /** A piece came with other bytes than its digest is of. */
  | "PEER_BAD_PIECE"
  /** The info dictionary that it sent has another digest than the info hash (BEP 9). */
  | "PEER_BAD_METADATA"
  /** The encryption handshake failed, or the policies of both sides do not meet. */
  | "PEER_ENCRYPTION"
  /** It asks for more than is queued, or does not read the answers. */
  | "PEER_REQUEST_FLOOD"
  /** Neither side has anything for the other. */
  | "PEER_USELESS"
  /** The system, or the stream below, said that the connection broke. */
  | "PEER_SOCKET";

/** Ends one connection, and nothing else. `expected` and `received` say what the peer should have sent and did. */
export class PeerError extends ScatterwireError {
  /** The name of the class. */
  override readonly name = "PeerError";
  /** What the peer did, or what became of the connection. */
  declare readonly code: PeerErrorCode;
  /** What the protocol allows there, as text, where that says more than the message. */
  readonly expected: string | undefined;
  /** What came instead, as text. */
  readonly received: string | undefined;

  constructor(
    code: PeerErrorCode,
    message: string,
    details: { expected?: string; received?: string; cause?: unknown } = {},
  ) {
    const suffix =
      details.expected === undefined
        ? ""
        : ` (expected ${details.expected}, received ${details.received ?? "nothing"})`;
    super(code, message + suffix, details.cause === undefined ? undefined : { cause: details.cause });
    this.expected = details.expected;
    this.received = details.received;
  }
}

/** Why a torrent was stopped, or could not be opened. `errno` of the error says what the system said. */
export type StorageErrorCode =
  /** Another process, or session, has this torrent in this folder. */
  | "STORAGE_LOCKED"
  /** The disk, or the quota, is full. */
  | "STORAGE_NO_SPACE"
  | "STORAGE_READ_ONLY"
  | "STORAGE_NOT_FOUND"
  /** Something is there already that would have to make room: a move overwrites nothing. */
  | "STORAGE_EXISTS"
  /** A file is shorter than it should be. */
  | "STORAGE_SHORT"
  /** What is there cannot be read: no permission, or no regular file. */
  | "STORAGE_UNREADABLE"
  /** Two paths of the torrent are one file here, or one leads out of the folder. */
  | "STORAGE_PATH"
  /** The torrent has padding that is not zeros (BEP 47). */
  | "STORAGE_PADDING"
  /** Another error of the system. */
  | "STORAGE_IO"
  | "STORAGE_CLOSED";

/** Stops one torrent; what was verified stays verified. `errno` is the negative errno where a system call failed. */
export class StorageError extends ScatterwireError {
  /** The name of the class. */
  override readonly name = "StorageError";
  /** What of the storage failed. */
  declare readonly code: StorageErrorCode;
  /** What the system said, below 0; undefined where no call of the system failed. */
  readonly errno: number | undefined;

  constructor(code: StorageErrorCode, message: string, details: { errno?: number; cause?: unknown } = {}) {
    super(code, message, details.cause === undefined ? undefined : { cause: details.cause });
    this.errno = details.errno;
  }
}

/** What is wrong with a torrent file, or with what one is to be made of. */
export type MetainfoErrorCode =
  /** It is not bencoded, or lacks what a torrent needs (BEP 3). */
  | "METAINFO_MALFORMED"
  | "METAINFO_TOO_LARGE"
  /** It is of a kind that is not read here, such as version 2 alone (BEP 52). */
  | "METAINFO_UNSUPPORTED"
  /** A path in it, or to it, cannot be used. */
  | "METAINFO_PATH";

/** A torrent file that cannot be used, or a path that cannot become one. */
export class MetainfoError extends ScatterwireError {
  /** The name of the class. */
  override readonly name = "MetainfoError";
  /** What is wrong with the torrent file, or the path. */
  declare readonly code: MetainfoErrorCode;
}

/** Why an announce or a scrape came to nothing. */
export type TrackerErrorCode =
  /** The address is not one that can be asked. */
  | "TRACKER_URL"
  /** Its name was not found. */
  | "TRACKER_NAME"
  | "TRACKER_UNREACHABLE"
  | "TRACKER_TIMEOUT"
  /** It answered that it will not, and why. */
  | "TRACKER_FAILURE"
  /** It answered with an HTTP status other than success. */
  | "TRACKER_STATUS"
  | "TRACKER_REDIRECT"
  | "TRACKER_TOO_LONG"
  | "TRACKER_MALFORMED"
  /** Nobody waits for the answer any more. */
  | "TRACKER_CLOSED";

/** An announce or a scrape that came to nothing. What a tracker wrote is in `message` without what steers a terminal. */
export class TrackerError extends ScatterwireError {
  /** The name of the class. */
  override readonly name = "TrackerError";
  /** Why the tracker has not answered, or what it refused. */
  declare readonly code: TrackerErrorCode;
  /** How long it wants to be left alone (BEP 31), where it said; Infinity for ever. */
  readonly retryInSeconds: number | undefined;

  constructor(
    code: TrackerErrorCode,
    message: string,
    details: { retryInSeconds?: number | undefined; cause?: unknown } = {},
  ) {
    super(code, message, details.cause === undefined ? undefined : { cause: details.cause });
    this.retryInSeconds = details.retryInSeconds;
  }
}

export type StoreErrorCode =
  /** Another process holds it, or the server has too much to do: the same call may be made again. */
  | "STORE_BUSY"
  | "STORE_FULL"
  | "STORE_UNREACHABLE"
  | "STORE_TIMEOUT"
  /** It is a newer version's, or no index at all. */
  | "STORE_VERSION"
  | "STORE_CLOSED"
  | "STORE_FAILED";

/** What an index is kept in did not do what was asked, and has changed nothing. */
export class StoreError extends ScatterwireError {
  override readonly name = "StoreError";
  declare readonly code: StoreErrorCode;
}

/** What the caller did wrong, or what a call ended with that the caller ended. */
export type UsageErrorCode =
  /** An argument or an option is none, or out of its range: the message says what is allowed. */
  | "USAGE_OPTION"
  /** The call makes no sense now: the object is closed, or not that far. */
  | "USAGE_STATE"
  /** A magnet link that names no torrent of version 1 (BEP 9). */
  | "USAGE_MAGNET"
  /** What is to be replayed is no recording, or is damaged. */
  | "USAGE_RECORDING"
  /** An address cannot be listened at. */
  | "LISTEN_FAILED"
  /** The native addon is not there, or cannot be loaded: the message says which was looked for, and how to build it. */
  | "ADDON_MISSING"
  /** A torrent file could not be fetched from the web. */
  | "FETCH_FAILED"
  /** An AbortSignal ended it; its reason is the `cause`. */
  | "ABORTED"
  | "TIMEOUT";

/** The caller made a mistake: a bad option, a call on a closed object, an address that cannot be bound. */
export class UsageError extends ScatterwireError {
  /** The name of the class. */
  override readonly name = "UsageError";
  /** What the caller did that cannot be done. */
  declare readonly code: UsageErrorCode;
}

/** Node.js makes a new map with each call, and peers that fail by the thousand each name an errno. */
let systemErrors: ReadonlyMap<number, readonly [string, string]> | undefined;

function systemError(errno: number): readonly [string, string] | undefined {
  systemErrors ??= getSystemErrorMap();
  return systemErrors.get(errno);
}

/** Whatever was thrown, in words: of an Error its message. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** "ENOSPC: no space left on device" for −28. Cold path only: it builds strings. */
export function describeErrno(errno: number): string {
  const entry = systemError(errno);
  return entry === undefined ? `errno ${-errno}` : `${entry[0]}: ${entry[1]}`;
}

/** "ENOSPC" for −28; "E28" where the platform has no name. */
export function errnoName(errno: number): string {
  return systemError(errno)?.[0] ?? `E${-errno}`;
}

/** The StorageError that a failed system call on `path` amounts to. */
export function storageErrorFromErrno(errno: number, doing: string, path: string): StorageError {
  const name = errnoName(errno);
  const code: StorageErrorCode =
    name === "ENOSPC" || name === "EDQUOT"
      ? "STORAGE_NO_SPACE"
      : name === "EROFS" || name === "EACCES" || name === "EPERM"
        ? "STORAGE_READ_ONLY"
        : name === "ENOENT" || name === "ENOTDIR"
          ? "STORAGE_NOT_FOUND"
          : "STORAGE_IO";
  return new StorageError(code, `${doing} ${path}: ${describeErrno(errno)}`, { errno });
}
