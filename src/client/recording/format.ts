// How connections are written to a file, and read from it: docs/recording.md describes the same for others.
//
//   file      89 'S' 'W' 'R' 'E' 'C' 0d 0a │ version u16 │ 0 u16 │ 0 u32 │ record …
//   record    kind u8 │ 0 u24 │ connection u32 │ time u32, ms since the recording began │ length u32 │ `length` bytes
//
// Numbers are in network byte order. A recording that was not finished (a full disk, a killed process) ends anywhere: what is whole of it
// counts, and reading says that it is cut.
//
// Always: what is read was held against bounds before anything of its size is made, and an error says where in the file it is.

import { UsageError } from "../../base/errors.js";
import { MIB } from "../../base/limits.js";

const MAGIC = Buffer.from("\x89SWREC\r\n", "latin1");
export const RECORDING_VERSION = 1;
export const FILE_HEADER_BYTES = 16;
export const RECORD_HEADER_BYTES = 16;
/** Of one record: more than one call moves at the most. */
const RECORD_BYTES_MAX = 16 * MIB;
const TEXT_BYTES_MAX = 64 * 1024;

export const RecordKind = {
  /** A torrent is known, or what it holds: JSON of {@link RecordedTorrent}. */
  torrent: 1,
  /** A connection begins: JSON of {@link RecordedConnection}. */
  opened: 2,
  /** The connection that we began stands. */
  established: 3,
  /** What one receiving call brought, decrypted. */
  received: 4,
  /** A receiving call said that nothing more comes: 0 at the end, or −errno, as four bytes. */
  ended: 5,
  /** What one sending call took, before it was encrypted. */
  sent: 6,
  /** Bytes of a file that went out without passing through memory, and are not kept: how many, as four bytes. */
  sentUnseen: 7,
  /** The connection is over: JSON of {@link RecordedEnd}. */
  closed: 8,
  /** The recording ends here, and was not cut: JSON with the reason. */
  finished: 9,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

const KIND_MAX = RecordKind.finished;
/** Kinds whose payload is JSON; four bytes; nothing. */
const TEXTS: ReadonlySet<number> = new Set([
  RecordKind.torrent,
  RecordKind.opened,
  RecordKind.closed,
  RecordKind.finished,
]);
const NUMBERS: ReadonlySet<number> = new Set([RecordKind.ended, RecordKind.sentUnseen]);

export interface RecordedTorrent {
  readonly infoHash: string;
  /** Missing while only a magnet is known. */
  readonly pieceLength?: number;
  readonly totalLength?: number;
}

export interface RecordedConnection {
  readonly host: string;
  readonly port: number;
  readonly incoming: boolean;
  readonly receiveMode: string;
  /** Of an outgoing connection. */
  readonly infoHash?: string;
}

export interface RecordedEnd {
  /** Of the PeerError; missing where we just ended it. */
  readonly code?: string;
  readonly message?: string;
}

export interface WireRecord {
  readonly kind: RecordKind;
  readonly connection: number;
  readonly timeMs: number;
  readonly bytes: Buffer;
}

export function fileHeader(): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt16BE(RECORDING_VERSION, MAGIC.length);
  return header;
}

/** Makes a record with room for `length` bytes behind its header, which the caller fills. */
export function makeRecord(kind: RecordKind, connection: number, timeMs: number, length: number): Buffer {
  const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + length);
  record.writeUInt32BE((kind << 24) >>> 0, 0);
  record.writeUInt32BE(connection, 4);
  record.writeUInt32BE(Math.min(0xffff_ffff, Math.max(0, Math.trunc(timeMs))), 8);
  record.writeUInt32BE(length, 12);
  return record;
}

export function textRecord(kind: RecordKind, connection: number, timeMs: number, value: object): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  const record = makeRecord(kind, connection, timeMs, text.length);
  text.copy(record, RECORD_HEADER_BYTES);
  return record;
}

export function numberRecord(kind: RecordKind, connection: number, timeMs: number, value: number): Buffer {
  const record = makeRecord(kind, connection, timeMs, 4);
  record.writeInt32BE(value, RECORD_HEADER_BYTES);
  return record;
}

/** Where the bytes of a recording come from, in order. */
export interface RecordingSource {
  /** Up to `length` bytes, fewer only at the end. */
  read(length: number): Promise<Buffer>;
}

/** Says what is wrong with a recording, and where. */
export function recordingError(text: string, at: number): UsageError {
  return new UsageError("USAGE_RECORDING", `the recording is damaged at byte ${at}: ${text}`);
}

/**
 * The records of a recording, one after the other. Throws UsageError `USAGE_RECORDING` for what is none, or is damaged; returns true for
 * one that was finished, and false where it is cut.
 */
export async function* readRecords(source: RecordingSource): AsyncGenerator<WireRecord, boolean, void> {
  const header = await source.read(FILE_HEADER_BYTES);
  if (header.length < FILE_HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC))
    throw new UsageError("USAGE_RECORDING", "this is no recording of scatterwire (see --record)");
  const version = header.readUInt16BE(MAGIC.length);
  if (version !== RECORDING_VERSION) {
    const text = `the recording has version ${version}, and this program reads version ${RECORDING_VERSION}`;
    throw new UsageError("USAGE_RECORDING", text);
  }
  let lastMs = 0;
  for (let at = FILE_HEADER_BYTES; ; ) {
    const head = await source.read(RECORD_HEADER_BYTES);
    if (head.length < RECORD_HEADER_BYTES) return false;
    const record = checkHead(head, at, lastMs);
    const bytes = await source.read(record.length);
    if (bytes.length < record.length) return false;
    at += RECORD_HEADER_BYTES + record.length;
    lastMs = record.timeMs;
    if (record.kind === RecordKind.finished) return true;
    yield { kind: record.kind, connection: record.connection, timeMs: record.timeMs, bytes };
  }
}

function checkHead(
  head: Buffer,
  at: number,
  lastMs: number,
): { kind: RecordKind; connection: number; timeMs: number; length: number } {
  const kind = head.readUInt8(0);
  const [connection, timeMs, length] = [head.readUInt32BE(4), head.readUInt32BE(8), head.readUInt32BE(12)];
  if (kind === 0 || kind > KIND_MAX || head.readUIntBE(1, 3) !== 0)
    throw recordingError(`there is no record of kind ${head.readUInt32BE(0)}`, at);
  if (timeMs < lastMs) throw recordingError(`${timeMs} ms comes behind ${lastMs} ms`, at);
  if (NUMBERS.has(kind) && length !== 4) throw recordingError(`a number has 4 bytes, not ${length}`, at);
  const max = TEXTS.has(kind) ? TEXT_BYTES_MAX : RECORD_BYTES_MAX;
  if (length > max) throw recordingError(`a record of ${length} bytes, where ${max} are the most`, at);
  return { kind: kind as RecordKind, connection, timeMs, length };
}

/** The JSON of a record. Throws UsageError `USAGE_RECORDING` unless it is an object. */
export function textOf({ bytes, kind, connection }: WireRecord): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Said below, in the words of whoever replays it.
  }
  const text = `the recording is damaged: a record of kind ${kind}, connection ${connection}, is no object of JSON`;
  throw new UsageError("USAGE_RECORDING", text);
}
