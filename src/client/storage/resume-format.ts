// The file of resume data: its parts in bytes, and how it is read and written. What they mean is in resume.ts.

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { crc32 } from "node:zlib";
import { MIB } from "../../base/limits.js";
import { openMakingRoom } from "./descriptors.js";
import type { Survey } from "./survey.js";

export const MAGIC = "SWRESUM2";
export const INFO_HASH_BYTES = 20;
/** magic 8, info hash 20, piece count 4, file count 4, kind of base 4. Then the bits, the stamps, and the CRC of all of it. */
export const HEADER_BYTES = 8 + INFO_HASH_BYTES + 4 + 4 + 4;
/** time of change in milliseconds 8, inode 8; both are doubles, and 0 is the stamp of nothing. */
export const STAMP_BYTES = 16;
/** kind 4, value 4, CRC 4; between value and CRC an F record has a stamp. */
export const RECORD_BYTES = 12;
export const FILE_RECORD_BYTES = RECORD_BYTES + STAMP_BYTES;
export const BASE_RUNNING = 1;
export const BASE_CLEAN = 2;
export const RECORD_WRITTEN = 0x57;
export const RECORD_FILE = 0x46;
export const RECORD_SYNCED = 0x53;
/** What is longer is not read, whatever the torrent. */
const RESUME_BYTES_MAX = 256 * MIB;
/** Times what we write at the most: more records were made by somebody else, and to read millions of them takes as many microseconds. */
const LENGTH_FACTOR = 2;

/** What tells whether a file is as it was, by file index. */
export class Stamps {
  readonly modifiedMs: Float64Array;
  readonly inodes: Float64Array;

  constructor(count: number) {
    this.modifiedMs = new Float64Array(count);
    this.inodes = new Float64Array(count);
  }

  set(fileIndex: number, modifiedMs: number, inode: number): void {
    this.modifiedMs[fileIndex] = modifiedMs;
    this.inodes[fileIndex] = inode;
  }

  fits(fileIndex: number, survey: Survey): boolean {
    return (
      this.inodes[fileIndex] === survey.inodeOf(fileIndex) &&
      this.modifiedMs[fileIndex] === survey.modifiedMsOf(fileIndex) &&
      survey.hasLength(fileIndex)
    );
  }
}

export function plainRecord(kind: number, value: number): Buffer {
  const record = Buffer.alloc(RECORD_BYTES);
  record.writeUInt32BE(kind, 0);
  record.writeUInt32BE(value, 4);
  record.writeUInt32BE(crc32(record.subarray(0, 8)), 8);
  return record;
}

export function fileRecord(fileIndex: number, modifiedMs: number, inode: number): Buffer {
  const record = Buffer.alloc(FILE_RECORD_BYTES);
  record.writeUInt32BE(RECORD_FILE, 0);
  record.writeUInt32BE(fileIndex, 4);
  record.writeDoubleBE(modifiedMs, 8);
  record.writeDoubleBE(inode, 16);
  record.writeUInt32BE(crc32(record.subarray(0, FILE_RECORD_BYTES - 4)), FILE_RECORD_BYTES - 4);
  return record;
}

/**
 * Bytes that a file of resume data may have: the base, a record of each piece and one of its being durable, and a stamp for each file that a
 * piece lies in, each time that one is written.
 */
export function resumeBytesMax(pieceCount: number, fileCount: number): number {
  const baseBytes = HEADER_BYTES + Math.ceil(pieceCount / 8) + STAMP_BYTES * fileCount + 4;
  const recordBytes = 2 * RECORD_BYTES * pieceCount + FILE_RECORD_BYTES * (pieceCount + fileCount);
  return Math.min(RESUME_BYTES_MAX, baseBytes + LENGTH_FACTOR * recordBytes);
}

/** Undefined: not there, not a regular file, longer than `bytesMax`, or not to be read. */
export function readBounded(path: string, bytesMax: number): Buffer | undefined {
  let fd = -1;
  try {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
    fd = openMakingRoom(() => openSync(path, flags));
    const status = fstatSync(fd);
    return status.isFile() && status.size <= bytesMax ? readFileSync(fd) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

export function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was not made.
  }
}

/** A disk that fills up takes a part of the bytes, and refuses the rest at the next call. */
export function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

/** Makes the renaming itself durable. */
export function syncFolder(folder: string): void {
  const fd = openMakingRoom(() => openSync(folder, "r"));
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
