// Hashes what lies in storage: to check a download, to resume one, and to make a torrent. Many pieces at a time, so that
// all cores have work and the addon hashes many in one go; memory comes from the pool and is bounded.
//
// Pieces in files are read by the thread that hashes them, 64 KiB of each lane at a time, which stay in the cache until they are
// hashed. Mappings of the files would save the copy, but a file that somebody cuts short would end the process (SIGBUS), and
// mappings are few in a process. What lies in no file is read into slots, through storage.
//
// Always: a piece that cannot be read (a file is missing or short) is not good, which is no error when checking; all
// slots are home when it ends, however it ends.

import { entryOf } from "../../base/assert.js";
import { StorageError, UsageError } from "../../base/errors.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../../native/binding.js";
import type { Reactor } from "../../native/reactor.js";
import { type BlockPool, SlotHolder, type SlotWaiter } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { Layout } from "../storage/layout.js";
import type { Storage } from "../storage/storage.js";

/** Pieces in work at one time: twice the lanes of the widest processors, for each of two threads. */
const WORKERS = 64;
/** Slots of one worker: where its digest goes, and reads of up to 128 KiB, which stay in the cache until they are hashed. */
const SLOTS_PER_WORKER_MAX = 9;
/** With fewer of them, there are rather fewer workers. */
const SLOTS_PER_WORKER_GOOD = 5;
/** One for the digest, one for bytes. */
const SLOTS_PER_WORKER_MIN = 2;
/** Files held open at one time, besides the one that each worker may always hold: pieces may lie in many small ones. */
const FILES_EXTRA_MAX = 64;
/** Stretches of memory that one job names at the most. */
const SPANS_PER_JOB_MAX = 256;
const DIGEST_BYTES = 20;

export interface HashOptions {
  readonly layout: Layout;
  readonly storage: Storage;
  readonly memory: Memory;
  readonly reactor: Reactor;
  /** Pieces to hash, in this order. */
  readonly pieces: Iterable<number>;
  /** Called with each digest (20 bytes, valid during the call), or with why there is none. Not in order. */
  readonly onDigest: (piece: number, digest: Uint8Array | StorageError) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Hashes pieces; waits for memory where downloads or the program have it all. Rejects UsageError `ABORTED`, or what `onDigest`
 * throws.
 */
export async function hashPieces(options: HashOptions): Promise<void> {
  const { pool } = options.memory;
  const iterator = options.pieces[Symbol.iterator]();
  throwIfAborted(options.signal);
  const firstSlots = await waitForSlots(pool, options.signal);
  const free = Math.floor((firstSlots.length + pool.freeCount) / 2);
  const workers = Math.max(1, Math.min(WORKERS, Math.floor(free / SLOTS_PER_WORKER_GOOD)));
  const slotsEach = Math.min(SLOTS_PER_WORKER_MAX, Math.floor(free / workers));
  const shared: SharedBound = { filesExtra: FILES_EXTRA_MAX };
  let failure: unknown;
  const work = async (slots: SlotIndex[]): Promise<void> => {
    acquireSlots(pool, slotsEach, slots);
    const hasher = new PieceHasherWorker(options, pool, slots, shared);
    try {
      for (let next = iterator.next(); next.done !== true && failure === undefined; next = iterator.next()) {
        throwIfAborted(options.signal);
        const digest = await hasher.hash(next.value);
        // Many pieces are under way when it is stopped, and none of them is told.
        throwIfAborted(options.signal);
        options.onDigest(next.value, digest);
      }
    } catch (error) {
      failure ??= error;
    } finally {
      hasher.close();
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, index) => work(index === 0 ? firstSlots : [])));
  if (failure !== undefined) throw failure;
}

/** Acquires slots until `slots` has `count` of them, or none is free. */
function acquireSlots(pool: BlockPool, count: number, slots: SlotIndex[]): void {
  while (slots.length < count) {
    const slot = pool.acquire(SlotHolder.storage);
    if (slot === NO_SLOT) return;
    slots.push(slot);
  }
}

/** Resolves to the slots of one worker, when its turn among those who wait for slots has come. Rejects UsageError `ABORTED`. */
function waitForSlots(pool: BlockPool, signal: AbortSignal | undefined): Promise<SlotIndex[]> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      pool.stopWaiting(waiter);
      reject(abortError(signal));
    };
    const waiter: SlotWaiter = {
      slotsAvailable: () => {
        // None is held meanwhile: two that wait with one slot each would wait for each other.
        if (pool.freeCount < SLOTS_PER_WORKER_MIN) {
          pool.waitForSlots(waiter);
          return;
        }
        signal?.removeEventListener("abort", onAbort);
        const slots: SlotIndex[] = [];
        acquireSlots(pool, SLOTS_PER_WORKER_MIN, slots);
        resolve(slots);
      },
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    waiter.slotsAvailable();
  });
}

/** Compares pieces with their digests. Resolves when all of `pieces` were looked at. */
export async function checkPieces(
  options: Omit<HashOptions, "onDigest"> & {
    /** 20 bytes per piece of the torrent. */
    readonly digests: Uint8Array;
    /** `error`: why a piece could not be hashed; see isUnreadable(). */
    readonly onPiece: (piece: number, good: boolean, error?: StorageError) => void;
  },
): Promise<void> {
  const { digests, onPiece } = options;
  await hashPieces({
    ...options,
    onDigest: (piece, digest) => {
      const expected = digests.subarray(DIGEST_BYTES * piece, DIGEST_BYTES * (piece + 1));
      if (digest instanceof StorageError) onPiece(piece, false, digest);
      else onPiece(piece, Buffer.compare(digest, expected) === 0);
    },
  });
}

/** What workers share: how many more files they may hold. */
interface SharedBound {
  filesExtra: number;
}

interface FileSpan {
  readonly fileIndex: number;
  readonly fileOffset: number;
  readonly length: number;
}

/** False if the data is not there (a file is missing or short); true if nobody can tell what is. */
export function isUnreadable(error: StorageError): boolean {
  return error.code !== "STORAGE_NOT_FOUND" && error.code !== "STORAGE_SHORT";
}

/** A stretch of memory. */
interface Span {
  readonly address: number;
  readonly length: number;
}

/** Hashes one piece at a time, with slots and a digest of its own. */
class PieceHasherWorker {
  readonly #options: HashOptions;
  readonly #pool: BlockPool;
  readonly #digest: number;
  readonly #slots: SlotIndex[];
  readonly #shared: SharedBound;
  /** Of the piece, and the descriptors of the files that are held. */
  readonly #spans: FileSpan[] = [];
  readonly #descriptors: number[] = [];
  /** Where the finished digest goes: the first slot, when its bytes have been hashed. */
  readonly #outputAddress: number;

  /** `slots` are its own from now on, two at least. */
  constructor(options: HashOptions, pool: BlockPool, slots: SlotIndex[], shared: SharedBound) {
    this.#options = options;
    this.#shared = shared;
    this.#pool = pool;
    this.#slots = slots;
    this.#digest = options.reactor.engine.openDigest("sha1");
    this.#outputAddress = pool.addressOf(entryOf(slots, 0));
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
    const { layout, storage } = this.#options;
    const spans = this.#spans;
    spans.length = 0;
    layout.forEachSpan(
      layout.pieceOffset(piece),
      layout.pieceLengthOf(piece),
      (fileIndex, fileOffset, _, length) => {
        spans.push({ fileIndex, fileOffset, length });
      },
    );
    for (let at = 0; at < spans.length; ) {
      const first = at;
      const start = first === 0 ? DIGEST_START : 0;
      if (entryOf(layout.files, entryOf(spans, at).fileIndex).padding) {
        await this.#feedZeros(entryOf(spans, at++).length, start, at === spans.length);
        continue;
      }
      const held = this.#holdFiles(first);
      if (held === 0) return false;
      at += held;
      const flags = start | (at === spans.length ? DIGEST_FINISH : 0);
      const result = await this.#digestFilesJob(flags, first, at);
      this.#shared.filesExtra += held - 1;
      for (let span = first; span < at; span++) storage.letGoFile?.(entryOf(spans, span).fileIndex);
      if (result < 0) return false;
    }
    return true;
  }

  /** Holds the files of the spans from `first` on, as many as one job may name; answers how many. */
  #holdFiles(first: number): number {
    const { layout, storage } = this.#options;
    const spans = this.#spans;
    let count = 0;
    for (let at = first; at < spans.length; at++) {
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

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

function abortError(signal: AbortSignal | undefined): UsageError {
  return new UsageError("ABORTED", "hashing was stopped", { cause: signal?.reason });
}

function throwIfFailed(result: number): void {
  if (result < 0) throw new StorageError("STORAGE_IO", "cannot compute a digest", { errno: result });
}
