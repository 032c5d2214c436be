// Hashes one piece after the other, where it lies in files or by reading it into slots.
//
// Always: what it holds of files is let go before the next piece; a descriptor is counted before the thread that reads opens a file.

import { assert, entryOf, present } from "../../base/assert.js";
import { StorageError } from "../../base/errors.js";
import type { SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import {
  DIGEST_FINISH,
  DIGEST_OPEN_FILES,
  DIGEST_START,
  JobKind,
  PATHS_OPEN_MAX,
} from "../../native/binding.js";
import type { Reactor } from "../../native/reactor.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { Layout } from "../storage/layout.js";
import type { Storage } from "../storage/storage.js";

/** A piece in so many files or more: they are opened where they are read, and not held here. */
const FILES_BY_PATH_MIN = 4;
/** Files that one job opens at the most, one behind another: a few milliseconds' work. */
const PATHS_PER_JOB_MAX = 256;
/** Stretches of memory that one job names at the most. */
const SPANS_PER_JOB_MAX = 256;
const DIGEST_BYTES = 20;
/** Of a code unit of text. */
const UTF8_BYTES_MAX = 3;

/** What hashing works with. */
export interface HashTools {
  readonly layout: Layout;
  readonly storage: Storage;
  readonly memory: Memory;
  readonly reactor: Reactor;
}

/** What workers share: how many more files they may hold, how many have files opened by their paths, and who waits until one has done so. */
export interface SharedBound {
  filesExtra: number;
  byPath: number;
  readonly waiting: (() => void)[];
}

interface FileSpan {
  fileIndex: number;
  fileOffset: number;
  length: number;
}

/** A stretch of memory. */
interface Span {
  readonly address: number;
  readonly length: number;
}

/** Hashes one piece at a time, with slots and a digest of its own. */
export class PieceHasher {
  readonly #options: HashTools;
  readonly #pool: BlockPool;
  readonly #digest: number;
  readonly #slots: SlotIndex[];
  readonly #shared: SharedBound;
  /** Of the piece, `#spanCount` of them: objects are used again for the next piece. */
  readonly #spans: FileSpan[] = [];
  #spanCount = 0;
  /** Of the files that are held. */
  readonly #descriptors: number[] = [];
  /** The paths of a job, each with a zero behind it: where they lie, and their bytes. */
  readonly #pathAddresses: number[] = [];
  readonly #pathBytes: number[] = [];
  /** The pool, for writing paths. */
  readonly #bytes: Buffer;
  /** Where the finished digest goes: the first slot, when its bytes have been hashed. */
  readonly #outputAddress: number;

  /** `slots` are its own from now on, two at least. */
  constructor(options: HashTools, pool: BlockPool, slots: SlotIndex[], shared: SharedBound) {
    this.#options = options;
    this.#shared = shared;
    this.#pool = pool;
    this.#slots = slots;
    this.#digest = options.reactor.engine.openDigest("sha1");
    this.#outputAddress = pool.addressOf(entryOf(slots, 0));
    const { buffer, byteOffset, byteLength } = options.memory.bytes;
    this.#bytes = Buffer.from(buffer, byteOffset, byteLength);
  }

  async hash(piece: number): Promise<Uint8Array | StorageError> {
    if (!(await this.#hashFiles(piece))) {
      const error = await this.#hashRead(piece);
      if (error !== undefined) return error;
    }
    const { bytes } = this.#options.memory;
    return bytes.subarray(this.#outputAddress, this.#outputAddress + DIGEST_BYTES);
  }

  close(): void {
    this.#options.reactor.engine.closeDigest(this.#digest);
    for (const slot of this.#slots.splice(0)) this.#pool.release(slot, SlotHolder.storage);
  }

  /** Hashes a piece where it lies, in files; false if one of them cannot be read, or ends too early. */
  async #hashFiles(piece: number): Promise<boolean> {
    const { layout } = this.#options;
    this.#findSpans(piece);
    for (let at = 0; at < this.#spanCount; ) {
      const { fileIndex, length } = entryOf(this.#spans, at);
      const start = at === 0 ? DIGEST_START : 0;
      if (entryOf(layout.files, fileIndex).padding) {
        await this.#feedZeros(length, start, ++at === this.#spanCount);
        continue;
      }
      const byPath =
        this.#spanCount - at >= FILES_BY_PATH_MIN && this.#options.storage.pathOfFile !== undefined;
      const fed = byPath ? await this.#feedByPath(at, start) : await this.#feedHeld(at, start);
      if (fed === 0) return false;
      at += fed;
    }
    return true;
  }

  #findSpans(piece: number): void {
    const { layout } = this.#options;
    const spans = this.#spans;
    let count = 0;
    layout.forEachSpan(
      layout.pieceOffset(piece),
      layout.pieceLengthOf(piece),
      (fileIndex, fileOffset, _, length) => {
        if (count === spans.length) spans.push({ fileIndex: 0, fileOffset: 0, length: 0 });
        Object.assign(entryOf(spans, count++), { fileIndex, fileOffset, length });
      },
    );
    this.#spanCount = count;
  }

  /** Feeds spans from `first` on, of files that are held meanwhile; answers how many, or 0 if one cannot be read. */
  async #feedHeld(first: number, start: number): Promise<number> {
    const held = this.#holdFiles(first);
    if (held === 0) return 0;
    const result = await this.#digestFilesJob(start | this.#finishAt(first + held), first, first + held);
    this.#shared.filesExtra += held - 1;
    for (let at = first; at < first + held; at++)
      this.#options.storage.letGoFile?.(entryOf(this.#spans, at).fileIndex);
    return result < 0 ? 0 : held;
  }

  /** Likewise, of files that are opened where they are read. */
  async #feedByPath(first: number, start: number): Promise<number> {
    const room = await this.#takeRoom();
    if (room === 0) return 0;
    const count = this.#writePaths(first);
    const flags = start | this.#finishAt(first + count) | (DIGEST_OPEN_FILES * room);
    const result = count > 0 ? await this.#digestPathsJob(flags, first, count) : 0;
    this.#giveRoom(room);
    return result < 0 ? 0 : count;
  }

  #finishAt(end: number): number {
    return end === this.#spanCount ? DIGEST_FINISH : 0;
  }

  /** How many files may be opened at one time: none if others than these workers have all descriptors. */
  async #takeRoom(): Promise<number> {
    const shared = this.#shared;
    while (this.#options.storage.takeRoomForFile?.() !== true) {
      if (shared.byPath === 0) return 0;
      await new Promise<void>((resolve) => shared.waiting.push(resolve));
    }
    shared.byPath++;
    let room = 1;
    while (
      room < PATHS_OPEN_MAX &&
      shared.filesExtra > 0 &&
      this.#options.storage.takeRoomForFile?.() === true
    ) {
      shared.filesExtra--;
      room++;
    }
    return room;
  }

  #giveRoom(room: number): void {
    const shared = this.#shared;
    assert(room > 0 && room <= PATHS_OPEN_MAX && shared.byPath > 0, "what is given back was taken");
    shared.byPath--;
    shared.filesExtra += room - 1;
    for (let count = 0; count < room; count++) this.#options.storage.giveRoomForFile?.();
    for (const resolve of shared.waiting.splice(0)) resolve();
  }

  /** Writes the paths of the spans from `first` on into slots, as many as one job may name and as there is memory for; answers how many. */
  #writePaths(first: number): number {
    const { layout, storage } = this.#options;
    const end = Math.min(this.#spanCount, first + PATHS_PER_JOB_MAX);
    let count = 0;
    let slot = 0;
    let used = 0;
    for (let at = first; at < end; at++) {
      const { fileIndex } = entryOf(this.#spans, at);
      if (entryOf(layout.files, fileIndex).padding) break;
      const path = present(storage.pathOfFile?.(fileIndex), "what there is room for has a path");
      const bytesMax = UTF8_BYTES_MAX * path.length + 1;
      if (used + bytesMax > BLOCK_SIZE) {
        slot++;
        used = 0;
      }
      // No system has a file of such a path: reading it tells so.
      if (bytesMax > BLOCK_SIZE || path.includes("\0")) break;
      if (slot === this.#slots.length - 1) break;
      const address = this.#dataAddress(slot) + used;
      const length = this.#bytes.write(path, address) + 1;
      this.#bytes[address + length - 1] = 0;
      this.#pathAddresses[count] = address;
      this.#pathBytes[count++] = length;
      used += length;
    }
    return count;
  }

  /** Holds the files of the spans from `first` on, as many as one job may name; answers how many. */
  #holdFiles(first: number): number {
    const { layout, storage } = this.#options;
    const spans = this.#spans;
    let count = 0;
    for (let at = first; at < this.#spanCount; at++) {
      const { fileIndex } = entryOf(spans, at);
      if (entryOf(layout.files, fileIndex).padding || (count > 0 && this.#shared.filesExtra === 0)) break;
      const fd = storage.holdFile?.(fileIndex) ?? -1;
      if (fd < 0) break;
      if (count > 0) this.#shared.filesExtra--;
      this.#descriptors[count++] = fd;
    }
    return count;
  }

  async #feedZeros(length: number, start: number, isEnd: boolean): Promise<void> {
    const address = this.#dataAddress(0);
    this.#options.memory.bytes.fill(0, address, address + BLOCK_SIZE);
    const perJob = SPANS_PER_JOB_MAX * BLOCK_SIZE;
    for (let done = 0; done < length; done += perJob) {
      const bytes = Math.min(perJob, length - done);
      const spans = Array.from({ length: Math.ceil(bytes / BLOCK_SIZE) }, (_, index) => ({
        address,
        length: Math.min(BLOCK_SIZE, bytes - index * BLOCK_SIZE),
      }));
      const flags = (done === 0 ? start : 0) | (isEnd && done + bytes === length ? DIGEST_FINISH : 0);
      throwIfFailed(await this.#digestJob(flags, spans, 0, spans.length));
    }
  }

  /** Hashes a piece by reading it into slots, as much at a time as there are. */
  async #hashRead(piece: number): Promise<StorageError | undefined> {
    const { layout, storage } = this.#options;
    const length = layout.pieceLengthOf(piece);
    const dataSlots = this.#slots.length - 1;
    for (let done = 0; done < length; ) {
      const bytes = Math.min(dataSlots * BLOCK_SIZE, length - done);
      const spans = Array.from({ length: Math.ceil(bytes / BLOCK_SIZE) }, (_, index) => ({
        address: this.#dataAddress(index),
        length: Math.min(BLOCK_SIZE, bytes - index * BLOCK_SIZE),
      }));
      const memory = {
        addresses: Float64Array.from(spans, ({ address }) => address),
        lengths: Float64Array.from(spans, (span) => span.length),
        count: spans.length,
      };
      const error = await new Promise<StorageError | undefined>((resolve) => {
        const owner = { storageDone: (_tag: number, failure: StorageError | undefined) => resolve(failure) };
        storage.read(layout.pieceOffset(piece) + done, memory, owner, 0);
      });
      if (error !== undefined) return error;
      const flags = (done === 0 ? DIGEST_START : 0) | (done + bytes === length ? DIGEST_FINISH : 0);
      throwIfFailed(await this.#digestJob(flags, spans, 0, spans.length));
      done += bytes;
    }
    return undefined;
  }

  /** Feeds the bytes of spans first … end − 1, whose files are held, to the digest. Resolves to bytes or −errno. */
  #digestFilesJob(flags: number, first: number, end: number): Promise<number> {
    const { jobs } = this.#options.reactor;
    return new Promise((resolve) => {
      const owner = { jobDone: (_tag: number, result: number) => resolve(result) };
      jobs.begin(JobKind.digestFiles, owner, 0, this.#digest, this.#outputAddress, flags);
      for (let at = first; at < end; at++) {
        const { fileOffset, length } = entryOf(this.#spans, at);
        jobs.addStretch(entryOf(this.#descriptors, at - first), fileOffset, length);
      }
      jobs.end();
    });
  }

  /** Likewise, of `count` files whose paths were written. */
  #digestPathsJob(flags: number, first: number, count: number): Promise<number> {
    const { jobs } = this.#options.reactor;
    return new Promise((resolve) => {
      const owner = { jobDone: (_tag: number, result: number) => resolve(result) };
      jobs.begin(JobKind.digestPaths, owner, 0, this.#digest, this.#outputAddress, flags);
      for (let at = 0; at < count; at++) {
        const { fileOffset, length } = entryOf(this.#spans, first + at);
        jobs.addPath(entryOf(this.#pathAddresses, at), entryOf(this.#pathBytes, at), fileOffset, length);
      }
      jobs.end();
    });
  }

  /** Feeds spans[first … end − 1] to the digest. Resolves to bytes or −errno. */
  #digestJob(flags: number, spans: readonly Span[], first: number, end: number): Promise<number> {
    const { jobs } = this.#options.reactor;
    return new Promise((resolve) => {
      const owner = { jobDone: (_tag: number, result: number) => resolve(result) };
      jobs.begin(JobKind.digest, owner, 0, this.#digest, this.#outputAddress, flags);
      for (let at = first; at < end; at++) jobs.add(entryOf(spans, at).address, entryOf(spans, at).length);
      jobs.end();
    });
  }

  #dataAddress(index: number): number {
    return this.#pool.addressOf(entryOf(this.#slots, 1 + index));
  }
}

function throwIfFailed(result: number): void {
  if (result < 0) throw new StorageError("STORAGE_IO", "cannot compute a digest", { errno: result });
}
