// What of a download is done, in a file of ours that survives any moment of death.
//
//   ├ header ┤├ base: claimed pieces ┤├ stamp of each file ┤├ W 17 ┤├ W 4 ┤├ F 0 ┤├ S 2 ┤├ W 9 ┤ …
//
// W piece   the piece is verified and written, perhaps not durable: after a crash it is hashed again before it is claimed.
// F file    a new stamp of a file that pieces were written to; it counts when the S behind it does.
// S count   the first `count` W records are durable: written after the data was synced, and synced itself.
//
// A stamp is the inode and the time of the last change. A file that no longer has its stamp was changed after it was vouched
// for, by us before a crash or by somebody else at any time: nothing in it is claimed, and what was is hashed again.
//
// Always: what is claimed after reading was verified and made durable before, and lies in files that are as they were then; a record that
// is torn, or of another torrent, claims nothing. The file is open for as long as no other needs the descriptor; while none is to be had,
// records wait here, in their order, and what a crash takes of them is fetched again. At a clean close the file is rewritten as a base with
// the stamps of that moment.

import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, renameSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { assert, entryOf } from "../../base/assert.js";
import { type StorageError, storageErrorFromErrno } from "../../base/errors.js";
import { type Ground, SYSTEM_GROUND } from "../../base/ground.js";
import { PieceSet } from "../../base/piece-set.js";
import { type IdleFile, isExhausted, openMakingRoom } from "./descriptors.js";
import type { FileTable } from "./file-table.js";
import { openFresh, ownFileIn } from "./own-files.js";
import {
  BASE_CLEAN,
  BASE_RUNNING,
  FILE_RECORD_BYTES,
  fileRecord,
  HEADER_BYTES,
  INFO_HASH_BYTES,
  MAGIC,
  plainRecord,
  RECORD_BYTES,
  RECORD_FILE,
  RECORD_SYNCED,
  RECORD_WRITTEN,
  readBounded,
  removeQuietly,
  resumeBytesMax,
  STAMP_BYTES,
  Stamps,
  syncFolder,
  writeWhole,
} from "./resume-format.js";
import type { Storage } from "./storage.js";
import { storageErrorOf } from "./storage-errors.js";
import type { Survey } from "./survey.js";
import { whenFree } from "./waiting-jobs.js";

export interface ResumeState {
  /** Pieces that are verified and durable, in files that have not changed since. */
  readonly claimed: PieceSet;
  /** Pieces that may be good and are to be hashed, ascending; none of them is claimed. */
  readonly candidates: readonly number[];
  /** Pieces that were once on record as verified and durable: of those that turn out bad, the user is told. */
  readonly recorded: PieceSet;
  /** Nothing is known: check all that is on disk. */
  readonly checkAll: boolean;
}

export class ResumeLog implements IdleFile {
  readonly #path: string;
  readonly #infoHash: Uint8Array;
  readonly #pieceCount: number;
  readonly #files: FileTable;
  readonly #storage: () => Storage;
  readonly #ground: Ground;
  /** Open while it is not needed elsewhere, and idle then but for the time of a write. */
  #fd = -1;
  #isRecording = false;
  /** Records that are not written yet. */
  #waiting: Buffer[] = [];
  /** W records in the file, and how many of them the last S covers. */
  #written = 0;
  #synced = 0;
  readonly #have: PieceSet;
  #checkpoint: Promise<void> | undefined;
  /** As they are on record now. */
  readonly #stamps: Stamps;
  /** Files that pieces were recorded in since the last checkpoint. */
  readonly #touched = new Set<number>();

  constructor(options: {
    /** The download folder. */
    folder: string;
    infoHash: Uint8Array;
    pieceCount: number;
    files: FileTable;
    storage: () => Storage;
    ground?: Ground;
  }) {
    this.#path = ownFileIn(options.folder, `${Buffer.from(options.infoHash).toString("hex")}.resume`);
    this.#infoHash = options.infoHash;
    this.#pieceCount = options.pieceCount;
    this.#files = options.files;
    this.#storage = options.storage;
    this.#ground = options.ground ?? SYSTEM_GROUND;
    this.#have = new PieceSet(options.pieceCount);
    this.#stamps = new Stamps(options.files.layout.files.length);
  }

  /** What the file says of data that lies there as `survey` found it. Never throws: what cannot be read or believed means that all is checked. */
  load(survey: Survey): ResumeState {
    const bytesMax = resumeBytesMax(this.#pieceCount, this.#files.layout.files.length);
    const bytes = readBounded(this.#path, bytesMax);
    const state = bytes === undefined ? undefined : this.#parse(bytes, survey);
    const nothing = (): PieceSet => new PieceSet(this.#pieceCount);
    return state ?? { claimed: nothing(), candidates: [], recorded: nothing(), checkAll: true };
  }

  /** Begins to record: `claimed` pieces are durable; `found` ones were hashed just now and are not known to be. Throws StorageError. */
  begin(claimed: PieceSet, found: readonly number[]): void {
    assert(!this.#isRecording && this.#fd < 0, "recording begins once");
    this.#files.layout.files.forEach((file, index) => {
      const status = file.padding ? undefined : this.#files.look(index);
      this.#stamps.set(index, status?.mtimeMs ?? 0, status?.ino ?? 0);
    });
    this.#rewrite(BASE_RUNNING, claimed);
    for (let piece = 0; piece < this.#pieceCount; piece++) if (claimed.has(piece)) this.#have.add(piece);
    this.#isRecording = true;
    if (found.length > 0) this.#storage().assumeWritten?.();
    for (const piece of found) this.append(piece);
  }

  /** A file that was not wanted was made: from now on it vouches for what is recorded in it. */
  fileMade(fileIndex: number, modifiedMs: number, inode: number): void {
    this.#stamps.set(fileIndex, modifiedMs, inode);
  }

  /**
   * The piece is verified and written. A plain write: it survives the death of the process, if not of the machine, once there is a
   * descriptor for it; without one it waits for the next write. Throws StorageError (a full disk); nothing more is to be appended then,
   * because a torn record ends what can be read.
   */
  append(piece: number): void {
    assert(piece >= 0 && piece < this.#pieceCount, "what is recorded is a piece of the torrent");
    this.#have.add(piece);
    this.#written++;
    const { layout } = this.#files;
    layout.forEachSpan(layout.pieceOffset(piece), layout.pieceLengthOf(piece), (fileIndex) => {
      this.#touched.add(fileIndex);
    });
    this.#waiting.push(plainRecord(RECORD_WRITTEN, piece));
    try {
      this.#flush(false);
    } catch (error) {
      if (!isExhausted(error)) throw error;
    }
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
    if (!this.#isRecording) return;
    this.abandon();
    this.#stampAll();
    this.#rewrite(BASE_CLEAN, this.#have);
  }

  /** Ends recording as a crash would: what is claimed stays claimed. */
  abandon(): void {
    this.#isRecording = false;
    this.#waiting = [];
    if (this.#fd < 0) return;
    this.#files.descriptors.noLongerIdle(this);
    this.closeIdle();
  }

  /** Another file needs the descriptor more. */
  closeIdle(): void {
    assert(this.#fd >= 0, "what is closed is open");
    closeSync(this.#fd);
    this.#fd = -1;
    this.#files.descriptors.give();
  }

  async #sync(): Promise<void> {
    const covered = this.#written;
    if (covered === this.#synced) return;
    const touched = [...this.#touched];
    this.#touched.clear();
    await this.#storage().sync();
    if (!this.#isRecording) return;
    const stamps = touched.filter((index) => !entryOf(this.#files.layout.files, index).padding);
    const records = stamps.map((fileIndex) => this.#stampAnew(fileIndex));
    this.#waiting.push(...records, plainRecord(RECORD_SYNCED, covered));
    await whenFree(this.#files.descriptors, this.#ground, () => this.#flush(true));
    assert(covered >= this.#synced && covered <= this.#written, "what is durable was written");
    this.#synced = covered;
  }

  /**
   * The record of a file's new stamp. One that has become another file since it was last looked at gets the stamp of nothing:
   * what was verified is not in it.
   */
  #stampAnew(fileIndex: number): Buffer {
    const status = this.#files.look(fileIndex);
    const isSame = status !== undefined && status.ino === this.#stamps.inodes[fileIndex];
    if (isSame) this.#stamps.set(fileIndex, status.mtimeMs, status.ino);
    else this.#stamps.set(fileIndex, 0, 0);
    return fileRecord(
      fileIndex,
      entryOf(this.#stamps.modifiedMs, fileIndex),
      entryOf(this.#stamps.inodes, fileIndex),
    );
  }

  /** At the end: a file that changed, and that we did not write to, was changed by somebody else, and vouches for nothing. */
  #stampAll(): void {
    const storage = this.#storage();
    this.#files.layout.files.forEach((file, fileIndex) => {
      if (file.padding) return;
      const before = this.#stamps.modifiedMs[fileIndex];
      this.#stampAnew(fileIndex);
      const isOurs = storage.wroteSinceSync?.(fileIndex) !== false;
      if (!isOurs && this.#stamps.modifiedMs[fileIndex] !== before) this.#stamps.set(fileIndex, 0, 0);
    });
  }

  /** Writes what waits; all of it still waits if no descriptor is left. Throws StorageError. */
  #flush(durably: boolean): void {
    if (!this.#isRecording) return;
    try {
      this.#open();
      const records = this.#waiting.length === 1 ? entryOf(this.#waiting, 0) : Buffer.concat(this.#waiting);
      this.#waiting = [];
      try {
        writeWhole(this.#fd, records);
        if (durably) fdatasyncSync(this.#fd);
      } finally {
        this.#files.descriptors.becameIdle(this);
      }
    } catch (error) {
      throw this.#errorOf(error);
    }
  }

  /** Holds the file open. */
  #open(): void {
    const { descriptors } = this.#files;
    if (this.#fd >= 0) {
      descriptors.noLongerIdle(this);
      return;
    }
    if (!descriptors.take())
      throw storageErrorFromErrno(-osConstants.errno.EMFILE, "cannot write resume data to", this.#path);
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW;
    try {
      this.#fd = openMakingRoom(() => openSync(this.#path, flags));
    } catch (error) {
      descriptors.untake();
      throw error;
    }
  }

  #parse(bytes: Buffer, survey: Survey): ResumeState | undefined {
    const fileCount = this.#files.layout.files.length;
    const bitsEnd = HEADER_BYTES + Math.ceil(this.#pieceCount / 8);
    const baseEnd = bitsEnd + STAMP_BYTES * fileCount + 4;
    if (bytes.length < baseEnd) return undefined;
    const body = bytes.subarray(0, baseEnd - 4);
    const fits =
      bytes.readUInt32BE(baseEnd - 4) === crc32(body) &&
      body.toString("latin1", 0, 8) === MAGIC &&
      Buffer.compare(body.subarray(8, 8 + INFO_HASH_BYTES), this.#infoHash) === 0 &&
      body.readUInt32BE(28) === this.#pieceCount &&
      body.readUInt32BE(32) === fileCount;
    if (!fits) return undefined;
    const recorded = new PieceSet(this.#pieceCount);
    if (!recorded.assign(body.subarray(HEADER_BYTES, bitsEnd))) return undefined;
    const stamps = new Stamps(fileCount);
    for (let index = 0, at = bitsEnd; index < fileCount; index++, at += STAMP_BYTES)
      stamps.set(index, body.readDoubleBE(at), body.readDoubleBE(at + 8));
    const written = this.#readRecords(bytes, baseEnd, recorded, stamps);
    const isClean = body.readUInt32BE(36) === BASE_CLEAN && written.length === 0;
    return this.#judge(recorded, written, stamps, survey, isClean);
  }

  /** What of the record can be believed, the files being as they are. */
  #judge(
    recorded: PieceSet,
    written: readonly number[],
    stamps: Stamps,
    survey: Survey,
    isClean: boolean,
  ): ResumeState {
    const { layout } = this.#files;
    const claimed = new PieceSet(this.#pieceCount);
    claimed.assign(recorded.toBytes());
    const candidates = new PieceSet(this.#pieceCount);
    for (const piece of written) candidates.add(piece);
    layout.files.forEach((file, index) => {
      if (file.padding || file.length === 0 || stamps.fits(index, survey)) return;
      // After a crash our own file is newer than its stamp, and holds what is on record or less. Any other may hold anything.
      const isOurs = !isClean && stamps.inodes[index] === survey.inodeOf(index) && survey.hasLength(index);
      const last = Math.floor((file.offset + file.length - 1) / layout.pieceLength);
      for (let piece = Math.floor(file.offset / layout.pieceLength); piece <= last; piece++) {
        if (!isOurs || recorded.has(piece)) candidates.add(piece);
        claimed.delete(piece);
      }
    });
    const toHash: number[] = [];
    for (let piece = 0; piece < this.#pieceCount; piece++)
      if (candidates.has(piece) && !claimed.has(piece)) toHash.push(piece);
    return { claimed, candidates: toHash, recorded, checkAll: false };
  }

  /** Adds what S records cover to `recorded` and `stamps`, and returns the rest of the W records. */
  #readRecords(bytes: Buffer, from: number, recorded: PieceSet, stamps: Stamps): number[] {
    const fileCount = this.#files.layout.files.length;
    const written: number[] = [];
    const stamped: { fileIndex: number; modifiedMs: number; inode: number }[] = [];
    let covered = 0;
    let length = 0;
    for (let at = from; at + RECORD_BYTES <= bytes.length; at += length) {
      const kind = bytes.readUInt32BE(at);
      const value = bytes.readUInt32BE(at + 4);
      length = kind === RECORD_FILE ? FILE_RECORD_BYTES : RECORD_BYTES;
      const crcAt = at + length - 4;
      // A torn record is the last thing that was written: nothing behind it counts.
      if (crcAt + 4 > bytes.length || crc32(bytes.subarray(at, crcAt)) !== bytes.readUInt32BE(crcAt)) break;
      if (kind === RECORD_WRITTEN && value < this.#pieceCount) written.push(value);
      else if (kind === RECORD_FILE && value < fileCount) {
        const [modifiedMs, inode] = [bytes.readDoubleBE(at + 8), bytes.readDoubleBE(at + 16)];
        stamped.push({ fileIndex: value, modifiedMs, inode });
      } else if (kind === RECORD_SYNCED && value <= written.length) {
        covered = Math.max(covered, value);
        for (const { fileIndex, modifiedMs, inode } of stamped.splice(0))
          stamps.set(fileIndex, modifiedMs, inode);
      } else break;
    }
    for (const piece of written.slice(0, covered)) recorded.add(piece);
    return written.slice(covered).filter((piece) => !recorded.has(piece));
  }

  /** Writes a new file and puts it in the old one's place: there is a whole one at every moment. */
  #rewrite(kind: number, claimed: PieceSet): void {
    const bits = claimed.toBytes();
    const { modifiedMs, inodes } = this.#stamps;
    const stampsAt = HEADER_BYTES + bits.length;
    const file = Buffer.alloc(stampsAt + STAMP_BYTES * inodes.length + 4);
    file.write(MAGIC, 0, "latin1");
    file.set(this.#infoHash, 8);
    file.writeUInt32BE(this.#pieceCount, 28);
    file.writeUInt32BE(inodes.length, 32);
    file.writeUInt32BE(kind, 36);
    file.set(bits, HEADER_BYTES);
    for (let index = 0, at = stampsAt; index < inodes.length; index++, at += STAMP_BYTES) {
      file.writeDoubleBE(entryOf(modifiedMs, index), at);
      file.writeDoubleBE(entryOf(inodes, index), at + 8);
    }
    file.writeUInt32BE(crc32(file.subarray(0, file.length - 4)), file.length - 4);
    const fresh = `${this.#path}.new`;
    try {
      const fd = openFresh(fresh);
      try {
        writeWhole(fd, file);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(fresh, this.#path);
      syncFolder(dirname(this.#path));
    } catch (error) {
      removeQuietly(fresh);
      throw this.#errorOf(error);
    }
    this.#written = 0;
    this.#synced = 0;
  }

  #errorOf(error: unknown): StorageError {
    return storageErrorOf(error, "write resume data to", this.#path);
  }
}
