// What of a download is done, in a file beside it that survives any moment of death.
//
//   ├ header ┤├ base: claimed pieces ┤├ W 17 ┤├ W 4 ┤├ S 2 ┤├ W 9 ┤ …
//
// W piece   the piece is verified and written, perhaps not durable: after a crash it is hashed again before it is claimed.
// S count   the first `count` W records are durable: written after the data was synced, and synced itself.
//
// Always: what is claimed after reading was verified and made durable before; a record that is torn, or of another
// torrent, claims nothing. At a clean close the file is rewritten as a base with a stamp of sizes and times of all
// files; when the stamp does not fit any more, everything is checked.

import { createHash } from "node:crypto";
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { StorageError } from "../../base/errors.js";
import { PieceSet } from "../../base/piece-set.js";
import { type FileTable, storageErrorOf } from "./file-table.js";
import type { Storage } from "./storage.js";

const MAGIC = "SWRESUM1";
const INFO_HASH_BYTES = 20;
const STAMP_BYTES = 20;
/** magic 8, info hash 20, piece count 4, kind of base 4, stamp 20. Then the bits, then the CRC of all of it. */
const HEADER_BYTES = 8 + INFO_HASH_BYTES + 4 + 4 + STAMP_BYTES;
/** kind 4, value 4, CRC 4. */
const RECORD_BYTES = 12;
const BASE_RUNNING = 1;
const BASE_CLEAN = 2;
const RECORD_WRITTEN = 0x57;
const RECORD_SYNCED = 0x53;

export interface ResumeState {
  /** Pieces that are verified and durable. */
  readonly claimed: PieceSet;
  /** Pieces that were verified and may not be durable: to be hashed again. */
  readonly candidates: readonly number[];
  /** Nothing is known: check all that is on disk. */
  readonly checkAll: boolean;
}

export class ResumeLog {
  readonly #path: string;
  readonly #infoHash: Uint8Array;
  readonly #pieceCount: number;
  readonly #files: FileTable;
  readonly #storage: () => Storage;
  #fd = -1;
  /** W records in the file, and how many of them the last S covers. */
  #written = 0;
  #synced = 0;
  readonly #have: PieceSet;
  #checkpoint: Promise<void> | undefined;

  constructor(options: {
    folder: string;
    infoHash: Uint8Array;
    pieceCount: number;
    files: FileTable;
    storage: () => Storage;
  }) {
    this.#path = join(options.folder, `.${Buffer.from(options.infoHash).toString("hex")}.resume`);
    this.#infoHash = options.infoHash;
    this.#pieceCount = options.pieceCount;
    this.#files = options.files;
    this.#storage = options.storage;
    this.#have = new PieceSet(options.pieceCount);
  }

  /** What the file says. Never throws: what cannot be read or believed means that all is checked. */
  load(): ResumeState {
    const nothing = { claimed: new PieceSet(this.#pieceCount), candidates: [], checkAll: true };
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#path);
    } catch {
      return nothing;
    }
    return this.#parse(bytes) ?? nothing;
  }

  /** Begins to record: `claimed` pieces are durable; `found` ones were hashed just now and are not known to be. Throws StorageError. */
  begin(claimed: PieceSet, found: readonly number[]): void {
    this.#rewrite(BASE_RUNNING, claimed);
    for (let piece = 0; piece < this.#pieceCount; piece++) if (claimed.has(piece)) this.#have.add(piece);
    try {
      this.#fd = openSync(this.#path, "a");
    } catch (error) {
      throw this.#errorOf(error);
    }
    if (found.length > 0) this.#storage().assumeWritten?.();
    for (const piece of found) this.append(piece);
  }

  /** The piece is verified and written. A plain write: it survives the death of the process, if not of the machine. */
  append(piece: number): void {
    this.#have.add(piece);
    this.#written++;
    this.#record(RECORD_WRITTEN, piece);
  }

  /** Makes all pieces appended so far durable claims. Calls while one is under way are one more round. Rejects StorageError. */
  async checkpoint(): Promise<void> {
    while (this.#checkpoint !== undefined) await this.#checkpoint;
    this.#checkpoint = this.#sync().finally(() => {
      this.#checkpoint = undefined;
    });
    return this.#checkpoint;
  }

  /** Ends recording. Everything was synced and files have their final times: a clean base takes the place of the records. */
  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
    this.#rewrite(BASE_CLEAN, this.#have);
  }

  /** Ends recording as a crash would: what is claimed stays claimed. */
  abandon(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  async #sync(): Promise<void> {
    const covered = this.#written;
    if (covered === this.#synced) return;
    await this.#storage().sync();
    if (this.#fd < 0) return;
    this.#record(RECORD_SYNCED, covered);
    fdatasyncSync(this.#fd);
    this.#synced = covered;
  }

  #record(kind: number, value: number): void {
    const record = Buffer.alloc(RECORD_BYTES);
    record.writeUInt32BE(kind, 0);
    record.writeUInt32BE(value, 4);
    record.writeUInt32BE(crc32(record.subarray(0, 8)), 8);
    try {
      writeSync(this.#fd, record);
    } catch (error) {
      throw this.#errorOf(error);
    }
  }

  #parse(bytes: Buffer): ResumeState | undefined {
    const bitsLength = Math.ceil(this.#pieceCount / 8);
    const baseEnd = HEADER_BYTES + bitsLength + 4;
    if (bytes.length < baseEnd) return undefined;
    const body = bytes.subarray(0, baseEnd - 4);
    const fits =
      bytes.readUInt32BE(baseEnd - 4) === crc32(body) &&
      body.toString("latin1", 0, 8) === MAGIC &&
      Buffer.compare(body.subarray(8, 8 + INFO_HASH_BYTES), this.#infoHash) === 0 &&
      body.readUInt32BE(28) === this.#pieceCount;
    if (!fits || !this.#sizesFit()) return undefined;
    const kind = body.readUInt32BE(32);
    if (kind === BASE_CLEAN && Buffer.compare(body.subarray(36, 56), this.#stamp()) !== 0) return undefined;
    const claimed = new PieceSet(this.#pieceCount);
    if (!claimed.assign(body.subarray(HEADER_BYTES))) return undefined;
    return { claimed, candidates: this.#readRecords(bytes, baseEnd, claimed), checkAll: false };
  }

  /** Adds what S records cover to `claimed`, and returns the rest of the W records. */
  #readRecords(bytes: Buffer, from: number, claimed: PieceSet): number[] {
    const written: number[] = [];
    let covered = 0;
    for (let at = from; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
      // A torn record is the last thing that was written: nothing behind it counts.
      if (crc32(bytes.subarray(at, at + 8)) !== bytes.readUInt32BE(at + 8)) break;
      const kind = bytes.readUInt32BE(at);
      const value = bytes.readUInt32BE(at + 4);
      if (kind === RECORD_WRITTEN && value < this.#pieceCount) written.push(value);
      else if (kind === RECORD_SYNCED && value <= written.length) covered = Math.max(covered, value);
      else break;
    }
    for (const piece of written.slice(0, covered)) claimed.add(piece);
    return written.slice(covered).filter((piece) => !claimed.has(piece));
  }

  /** Every file is there and has its length: else somebody was at it, or it was lost. */
  #sizesFit(): boolean {
    return this.#files.layout.files.every(
      (file, index) => file.padding || this.#files.sizeOnDisk(index) === file.length,
    );
  }

  #stamp(): Buffer {
    const hash = createHash("sha1");
    this.#files.layout.files.forEach((file, index) => {
      if (!file.padding) hash.update(`${this.#files.sizeOnDisk(index)} ${this.#files.modifiedMs(index)}\n`);
    });
    return hash.digest();
  }

  /** Writes a new file and puts it in the old one's place: there is a whole one at every moment. */
  #rewrite(kind: number, claimed: PieceSet): void {
    const bits = claimed.toBytes();
    const file = Buffer.alloc(HEADER_BYTES + bits.length + 4);
    file.write(MAGIC, 0, "latin1");
    file.set(this.#infoHash, 8);
    file.writeUInt32BE(this.#pieceCount, 28);
    file.writeUInt32BE(kind, 32);
    if (kind === BASE_CLEAN) file.set(this.#stamp(), 36);
    file.set(bits, HEADER_BYTES);
    file.writeUInt32BE(crc32(file.subarray(0, file.length - 4)), file.length - 4);
    const fresh = `${this.#path}.new`;
    try {
      const fd = openSync(fresh, "w", 0o644);
      try {
        writeSync(fd, file);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(fresh, this.#path);
      syncFolder(dirname(this.#path));
    } catch (error) {
      try {
        unlinkSync(fresh);
      } catch {
        // It was not made.
      }
      throw this.#errorOf(error);
    }
    this.#written = 0;
    this.#synced = 0;
  }

  #errorOf(error: unknown): StorageError {
    return storageErrorOf(error, "write resume data to", this.#path);
  }
}

/** Makes the renaming itself durable. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
