// How much of a torrent we have moved in all our runs, kept beside its resume data: what trackers are told (BEP 3).
//
//   magic 8   uploaded 8   downloaded 8   CRC 4        both in bytes, as doubles
//
// Always: a file that is missing, torn or of somebody else counts as nothing moved; nothing here throws, since no download fails for a
// statistic.

import { closeSync, renameSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { openFresh, ownFileIn } from "./own-files.js";
import { readBounded } from "./resume-format.js";

export interface KeptTotals {
  /** Bytes of blocks. */
  readonly uploaded: number;
  readonly downloaded: number;
}

const MAGIC = "SWTOTAL1";
const CRC_AT = 24;
const LENGTH = 28;
const NOTHING: KeptTotals = { uploaded: 0, downloaded: 0 };

export function readTotals(directory: string, infoHashHex: string): KeptTotals {
  const bytes = readBounded(pathOf(directory, infoHashHex), LENGTH);
  if (bytes?.length !== LENGTH) return NOTHING;
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return NOTHING;
  if (bytes.readUInt32BE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return NOTHING;
  const totals = { uploaded: bytes.readDoubleBE(8), downloaded: bytes.readDoubleBE(16) };
  return isCount(totals.uploaded) && isCount(totals.downloaded) ? totals : NOTHING;
}

/** Our folder is there. Not synced: what a crash of the machine costs is a number. */
export function writeTotals(directory: string, infoHashHex: string, totals: KeptTotals): void {
  const bytes = Buffer.alloc(LENGTH);
  bytes.write(MAGIC, "latin1");
  bytes.writeDoubleBE(totals.uploaded, 8);
  bytes.writeDoubleBE(totals.downloaded, 16);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  const path = pathOf(directory, infoHashHex);
  try {
    const file = openFresh(`${path}.new`);
    try {
      writeSync(file, bytes);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
  } catch {
    // A full disk, or a folder that is gone: storage says so where it matters.
  }
}

function pathOf(directory: string, infoHashHex: string): string {
  return ownFileIn(directory, `${infoHashHex}.totals`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
