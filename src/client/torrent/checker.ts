// Hashes what lies in storage: to check a download, to resume one, and to make a torrent. Many pieces at a time, so that
// all cores have work and the addon hashes many in one go; memory comes from the pool and is bounded.
//
// Pieces in files are read by the thread that hashes them, 64 KiB of each lane at a time, which stay in the cache until they are
// hashed. Where a piece lies in many small files, that thread opens them as well. Mappings of the files would save the copy, but a
// file that somebody cuts short would end the process (SIGBUS), and mappings are few in a process. What lies in no file is read into
// slots, through storage.
//
// Always: a piece that cannot be read (a file is missing or short) is not good, which is no error when checking; all
// slots are home when it ends, however it ends.

import { StorageError, UsageError } from "../../base/errors.js";
import { NO_SLOT, type SlotIndex } from "../../base/ids.js";
import { type BlockPool, SlotHolder, type SlotWaiter } from "../memory/block-pool.js";
import { type HashTools, PieceHasher, type SharedBound } from "./piece-hasher.js";

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
const DIGEST_BYTES = 20;

export interface HashOptions extends HashTools {
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
  const shared: SharedBound = { filesExtra: FILES_EXTRA_MAX, byPath: 0, waiting: [] };
  let failure: unknown;
  const work = async (slots: SlotIndex[]): Promise<void> => {
    acquireSlots(pool, slotsEach, slots);
    const hasher = new PieceHasher(options, pool, slots, shared);
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

/** False if the data is not there (a file is missing or short); true if nobody can tell what is. */
export function isUnreadable(error: StorageError): boolean {
  return error.code !== "STORAGE_NOT_FOUND" && error.code !== "STORAGE_SHORT";
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

function abortError(signal: AbortSignal | undefined): UsageError {
  return new UsageError("ABORTED", "hashing was stopped", { cause: signal?.reason });
}
