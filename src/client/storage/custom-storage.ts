// Storage that the program brings: five methods, which are asked for bytes of the torrent and know nothing of slots, jobs or pieces.
//
// Always: the program's methods are called when the turn of the loop is over; they get copies, and what they answer is copied, so that
// whatever they keep, or answer too late, is nobody else's memory. A call that is not settled in time, throws, rejects or answers what is
// no answer is a StorageError. Each costs one copy of the block more than our own kinds do.

import { entryOf } from "../../base/assert.js";
import { messageOf, StorageError } from "../../base/errors.js";
import type { Ground } from "../../base/ground.js";
import { WRITE_RUN_BYTES } from "../../base/limits.js";
import { type MemoryList, makeStorageCounters, type Storage, type StorageOwner } from "./storage.js";

/** So long a call may take: longer than any disk that works. */
const ANSWER_MS_MAX = 60_000;

/** A torrent, as custom storage is told of it. Positions are bytes of all files one after the other. */
export interface StoredTorrent {
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  /** As the torrent file calls it. */
  readonly name: string;
  /** Bytes of each piece but the last. */
  readonly pieceLength: number;
  /** Bytes of all files, padding included. */
  readonly totalLength: number;
  /** `padding` (BEP 47): its bytes are zeros that nobody needs to keep. */
  readonly files: readonly {
    readonly path: readonly string[];
    readonly offset: number;
    readonly length: number;
    readonly padding: boolean;
  }[];
}

/**
 * Where a program keeps a torrent's bytes itself: a database, a cloud, a file of its own. All methods may be called again before an earlier
 * call has settled, but for open() and close(), which come alone. What they throw or reject ends the torrent with a StorageError
 * `STORAGE_IO`, and so does a call that takes more than a minute.
 */
export interface CustomStorage {
  /**
   * Before all else, and again after close() for a recheck. Resolves to true if bytes of the torrent may be there: they are read and
   * compared with their digests then.
   */
  open(torrent: StoredTorrent): Promise<boolean>;
  /** `length` bytes from `offset` on: what was written there, or anything where nothing was. They may be more than a block. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Keeps `bytes`, which are the program's from now on. A place may be written more than once: the last write counts. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Resolves when all that was written before is safe. */
  sync(): Promise<void>;
  /** The last call, when all others have settled or failed. */
  close(): Promise<void>;
}

export interface CustomStorageOptions {
  readonly program: CustomStorage;
  readonly torrent: StoredTorrent;
  /** The slab. */
  readonly slab: Uint8Array;
  readonly ground: Ground;
}

export class ProgramStorage implements Storage {
  readonly kind = "custom";
  readonly keepsBlocks = true;
  readonly runBytes = WRITE_RUN_BYTES;
  readonly located = { fd: -1, fileOffset: 0 };
  readonly counters = makeStorageCounters();
  readonly #options: CustomStorageOptions;
  /** Calls that are not settled. */
  #underWay = 0;
  #whenSettled: (() => void)[] = [];
  #closed: Promise<void> | undefined;

  constructor(options: CustomStorageOptions) {
    this.#options = options;
  }

  /** Resolves to true if bytes may be there. Rejects StorageError. */
  async open(): Promise<boolean> {
    const { program, torrent } = this.#options;
    const answer: unknown = await this.#ask("open()", () => program.open(torrent));
    if (typeof answer !== "boolean") throw answeredWrongly("open()", "true or false", answer);
    return answer;
  }

  landingAddress(): number {
    return -1;
  }

  write(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    const bytes = this.#gather(memory);
    this.counters.writeCalls++;
    this.counters.bufferedBytes += bytes.length;
    const { program } = this.#options;
    this.#answer(
      this.#ask(`write() of ${bytes.length} bytes at ${offset}`, () => program.write(offset, bytes)),
      owner,
      tag,
    );
  }

  read(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    // The list is its owner's again when this call returns.
    const places = Array.from({ length: memory.count }, (_, index) => ({
      address: entryOf(memory.addresses, index),
      length: entryOf(memory.lengths, index),
    }));
    const length = places.reduce((sum, place) => sum + place.length, 0);
    this.counters.readCalls++;
    this.#answer(this.#readInto(offset, length, places), owner, tag);
  }

  readCached(): boolean {
    return false;
  }

  sourceAddress(): number {
    return -1;
  }

  locate(): boolean {
    return false;
  }

  async sync(): Promise<void> {
    const { program } = this.#options;
    await this.#ask("sync()", () => program.sync());
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => this.#whenSettled.push(resolve));
    const { program } = this.#options;
    await this.#ask("close()", () => program.close());
  }

  async #readInto(
    offset: number,
    length: number,
    places: readonly { readonly address: number; readonly length: number }[],
  ): Promise<void> {
    const { program, slab } = this.#options;
    const doing = `read() of ${length} bytes at ${offset}`;
    const bytes: unknown = await this.#ask(doing, () => program.read(offset, length));
    if (!(bytes instanceof Uint8Array) || bytes.length !== length)
      throw answeredWrongly(doing, `a Uint8Array of ${length} bytes`, bytes);
    let at = 0;
    for (const place of places) {
      slab.set(bytes.subarray(at, at + place.length), place.address);
      at += place.length;
    }
  }

  #gather({ addresses, lengths, count }: MemoryList): Uint8Array {
    let length = 0;
    for (let index = 0; index < count; index++) length += entryOf(lengths, index);
    // Of its own, and not of the pool of small buffers: the program may keep it.
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let index = 0; index < count; index++) {
      const from = entryOf(addresses, index);
      const bytesHere = entryOf(lengths, index);
      bytes.set(this.#options.slab.subarray(from, from + bytesHere), at);
      at += bytesHere;
    }
    return bytes;
  }

  #answer(asked: Promise<unknown>, owner: StorageOwner, tag: number): void {
    asked.then(
      () => owner.storageDone(tag, undefined),
      (error: StorageError) => owner.storageDone(tag, error),
    );
  }

  /** Asks the program when the turn is over. Rejects StorageError, also when it does not answer in time. */
  async #ask<Answer>(doing: string, ask: () => Promise<Answer>): Promise<Answer> {
    const { ground } = this.#options;
    this.#underWay++;
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const timer = ground.after(ANSWER_MS_MAX, () => {
          const text = `custom storage did not answer ${doing} within ${ANSWER_MS_MAX / 1000} s`;
          reject(new StorageError("STORAGE_IO", text));
        });
        const settle = (): void => void timer.close();
        Promise.resolve()
          .then(ask)
          .then(resolve, (cause: unknown) => reject(failed(doing, cause)))
          .finally(settle);
      });
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) for (const resolve of this.#whenSettled.splice(0)) resolve();
    }
  }
}

function failed(doing: string, cause: unknown): StorageError {
  const reason = messageOf(cause);
  return new StorageError("STORAGE_IO", `custom storage failed in ${doing}: ${reason}`, { cause });
}

function answeredWrongly(doing: string, expected: string, answer: unknown): StorageError {
  const what = answer instanceof Uint8Array ? `${answer.length} bytes` : typeof answer;
  return new StorageError("STORAGE_IO", `custom storage answered ${doing} with ${what}, not ${expected}`);
}
