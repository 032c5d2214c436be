// Counts of downloads in a file, over restarts.
//
//   "SWDOWNL1" │ how many, 8 bytes │ info hash 20, count 4 │ … │ SHA-256 of all before it
//
// Always: the file is whole, the old one or the new one, whenever the process or the machine ends. A file that is not what its checksum says
// is refused, and never written over unasked.

import { createHash } from "node:crypto";
import { entryOf } from "../../base/assert.js";
import { UsageError } from "../../base/errors.js";
import { MIB } from "../../base/limits.js";
import { readRegular } from "../../base/regular-file.js";
import { replaceFile } from "../../base/replaced-file.js";

const MAGIC = "SWDOWNL1";
const HEAD_BYTES = 16;
const ENTRY_WORDS = 6;
const VALUE_AT = 5;
const DIGEST_BYTES = 32;
/** Twice as many as are kept have room in it. */
const FILE_BYTES_MAX = 64 * MIB;

/** Counts by info hash, in one table or in several; see InfoHashTable. */
export interface KeptDownloads {
  set(hash: number, words: Uint32Array, at: number, value: number): void;
  toWords(): Uint32Array;
}

export async function saveDownloads(path: string, table: KeptDownloads): Promise<void> {
  const words = table.toWords();
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(MAGIC, "latin1");
  head.writeBigUInt64LE(BigInt(words.length / ENTRY_WORDS), 8);
  const entries = Buffer.from(words.buffer);
  const digest = createHash("sha256").update(head).update(entries).digest();
  await replaceFile(path, [head, entries, digest]);
}

/** Adds what the file has to the table. Without a file there is nothing. Throws UsageError for one that is damaged. */
export async function loadDownloads(
  path: string,
  table: KeptDownloads,
  hash: (words: Uint32Array, at: number) => number,
): Promise<void> {
  const bytes = await readRegular(path, FILE_BYTES_MAX).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (bytes === undefined) return;
  const end = bytes.length - DIGEST_BYTES;
  const count = end >= HEAD_BYTES ? Number(bytes.readBigUInt64LE(8)) : 0;
  const isWhole =
    end === HEAD_BYTES + 4 * ENTRY_WORDS * count &&
    bytes.toString("latin1", 0, 8) === MAGIC &&
    createHash("sha256").update(bytes.subarray(0, end)).digest().equals(bytes.subarray(end));
  if (!isWhole)
    throw new UsageError(
      "USAGE_OPTION",
      `${path} is damaged, or no file of downloads: move it away to begin from zero`,
    );
  const words = new Uint32Array(count * ENTRY_WORDS);
  Buffer.from(words.buffer).set(bytes.subarray(HEAD_BYTES, end));
  for (let at = 0; at < words.length; at += ENTRY_WORDS)
    table.set(hash(words, at), words, at, entryOf(words, at + VALUE_AT));
}
