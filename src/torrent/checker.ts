// Hashes what lies in storage: to check a download, to resume one, and to make a torrent. A few pieces at a time, so that
// all cores have work; memory comes from the pool and is bounded.
//
// Always: a piece that cannot be read (a file is missing or short) is not good, which is no error when checking; all
// slots are home when it ends, however it ends.

import { StorageError, UsageError } from "../errors.js";
import type { SlotIndex } from "../ids.js";
import { BLOCK_SIZE } from "../limits.js";
import { type BlockPool, SlotHolder } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import { DIGEST_FINISH, DIGEST_START, JobKind } from "../native/binding.js";
import type { Reactor } from "../native/reactor.js";
import type { Layout } from "../storage/layout.js";
import type { Storage } from "../storage/storage.js";

/** Pieces in work at one time: as many as the thread pool has threads by default. */
const WORKERS = 4;
/** Slots of one worker: reads of 1 MiB where the pool has the room. */
const SLOTS_PER_WORKER_MAX = 64;
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

/** Hashes pieces. Rejects UsageError `ABORTED`, or what `onDigest` throws. */
export async function hashPieces(options: HashOptions): Promise<void> {
  const { pool } = options.memory;
  const iterator = options.pieces[Symbol.iterator]();
  const free = Math.floor(pool.freeCount / 2);
  const workers = Math.max(1, Math.min(WORKERS, Math.floor(free / 2)));
  const slotsEach = Math.max(2, Math.min(SLOTS_PER_WORKER_MAX, Math.floor(free / workers)));
  let failure: unknown;
  const work = async (): Promise<void> => {
    const hasher = new PieceHasherWorker(options, pool, slotsEach);
    try {
      for (let next = iterator.next(); next.done !== true && failure === undefined; next = iterator.next()) {
        if (options.signal?.aborted === true) throw new UsageError("ABORTED", "hashing was stopped");
        options.onDigest(next.value, await hasher.hash(next.value));
      }
    } catch (error) {
      failure ??= error;
    } finally {
      hasher.close();
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  if (failure !== undefined) throw failure;
}

/** Compares pieces with their digests. Resolves when all of `pieces` were looked at. */
export async function checkPieces(
  options: Omit<HashOptions, "onDigest"> & {
    /** 20 bytes per piece of the torrent. */
    readonly digests: Uint8Array;
    readonly onPiece: (piece: number, good: boolean) => void;
  },
): Promise<void> {
  const { digests, onPiece } = options;
  await hashPieces({
    ...options,
    onDigest: (piece, digest) => {
      const expected = digests.subarray(DIGEST_BYTES * piece, DIGEST_BYTES * (piece + 1));
      onPiece(piece, !(digest instanceof StorageError) && Buffer.compare(digest, expected) === 0);
    },
  });
}

/** Hashes one piece at a time, with slots and a digest of its own. */
class PieceHasherWorker {
  readonly #options: HashOptions;
  readonly #pool: BlockPool;
  readonly #digest: number;
  readonly #slots: SlotIndex[] = [];
  /** Where the finished digest goes: the first slot, when its bytes have been hashed. */
  readonly #outputAddress: number;

  constructor(options: HashOptions, pool: BlockPool, slots: number) {
    this.#options = options;
    this.#pool = pool;
    this.#digest = options.reactor.engine.openDigest("sha1");
    for (let index = 0; index < slots; index++) {
      const slot = pool.acquire(SlotHolder.storage);
      if (slot === -1) break;
      this.#slots.push(slot);
    }
    if (this.#slots.length < 2) throw new StorageError("STORAGE_IO", "no memory is free to check with");
    this.#outputAddress = pool.addressOf(this.#slots[0]!);
  }

  async hash(piece: number): Promise<Uint8Array | StorageError> {
    const { layout, memory } = this.#options;
    const length = layout.pieceLengthOf(piece);
    const dataSlots = this.#slots.length - 1;
    for (let done = 0; done < length; ) {
      const bytes = Math.min(dataSlots * BLOCK_SIZE, length - done);
      const error = await this.#read(layout.pieceOffset(piece) + done, bytes);
      if (error !== undefined) return error;
      await this.#feed(bytes, done === 0, done + bytes === length);
      done += bytes;
    }
    return memory.bytes.subarray(this.#outputAddress, this.#outputAddress + DIGEST_BYTES);
  }

  close(): void {
    this.#options.reactor.engine.closeDigest(this.#digest);
    for (const slot of this.#slots.splice(0)) this.#pool.release(slot);
  }

  #read(offset: number, bytes: number): Promise<StorageError | undefined> {
    const count = Math.ceil(bytes / BLOCK_SIZE);
    const memory = {
      addresses: Float64Array.from({ length: count }, (_, index) => this.#dataAddress(index)),
      lengths: Float64Array.from({ length: count }, (_, index) =>
        Math.min(BLOCK_SIZE, bytes - index * BLOCK_SIZE),
      ),
      count,
    };
    return new Promise((resolve) => {
      this.#options.storage.read(offset, memory, { storageDone: (_tag, error) => resolve(error) }, 0);
    });
  }

  #feed(bytes: number, isStart: boolean, isEnd: boolean): Promise<void> {
    const { jobs } = this.#options.reactor;
    const flags = (isStart ? DIGEST_START : 0) | (isEnd ? DIGEST_FINISH : 0);
    return new Promise((resolve, reject) => {
      const owner = {
        jobDone: (_tag: number, result: number) =>
          result < 0
            ? reject(new StorageError("STORAGE_IO", "cannot compute a digest", { errno: result }))
            : resolve(),
      };
      jobs.begin(JobKind.digest, owner, 0, this.#digest, this.#outputAddress, flags);
      for (let at = 0; at < bytes; at += BLOCK_SIZE) {
        jobs.add(this.#dataAddress(at / BLOCK_SIZE), Math.min(BLOCK_SIZE, bytes - at));
      }
      jobs.end();
    });
  }

  #dataAddress(index: number): number {
    return this.#pool.addressOf(this.#slots[1 + index]!);
  }
}
