// Storage kind `file`: runs of blocks by pwritev through the page cache. Also what the other kinds on disk are built on.
//
//   write(offset, memory)  ──▶  spans (one per file)  ──▶  jobs  ──▶  storageDone, when the last of them is done
//
// Always: a file is held open while a job uses its descriptor; the first error of a call is the one that is told.

import { assert } from "../../base/assert.js";
import { StorageError, storageErrorFromErrno } from "../../base/errors.js";
import { type Ground, SYSTEM_GROUND } from "../../base/ground.js";
import { WRITE_RUN_BYTES } from "../../base/limits.js";
import { JobKind, type NativeEngine, WRITE_IN_TURN } from "../../native/binding.js";
import type { JobOwner, JobQueue } from "../../native/jobs.js";
import { type FileTable, NO_DESCRIPTOR } from "./file-table.js";
import { SendMappings } from "./send-mappings.js";
import {
  type MemoryList,
  makeStorageCounters,
  type Storage,
  type StorageKind,
  type StorageOwner,
} from "./storage.js";
import { StorageCall, type StorageJob, StorageJobs } from "./storage-jobs.js";
import { syncFiles } from "./sync-files.js";
import { WaitingJobs } from "./waiting-jobs.js";

export interface FileStorageOptions {
  readonly engine: NativeEngine;
  readonly jobs: JobQueue;
  readonly files: FileTable;
  /** What one write gathers; 1 MiB unless it is given. */
  readonly runBytes?: number;
  readonly ground?: Ground;
}

export class FileStorage implements Storage, JobOwner {
  readonly kind: StorageKind = "file";
  readonly keepsBlocks = true;
  readonly runBytes: number;
  readonly located = { fd: -1, fileOffset: 0 };
  readonly counters = makeStorageCounters();
  protected readonly engine: NativeEngine;
  protected readonly jobs: JobQueue;
  protected readonly files: FileTable;
  readonly #ground: Ground;
  /** Files written since the last sync(). */
  protected readonly dirty = new Set<number>();
  /** All that is sent is read first. */
  sourcesFaulted = false;
  readonly #sources: SendMappings;
  readonly #begun = new StorageJobs();
  readonly #spareCalls: StorageCall[] = [];
  /** Jobs for which there was no descriptor yet. */
  readonly #waiting: WaitingJobs<StorageCall>;
  #callsUnderWay = 0;
  #idleWaiters: (() => void)[] = [];
  #closed = false;

  constructor(options: FileStorageOptions) {
    this.engine = options.engine;
    this.jobs = options.jobs;
    this.files = options.files;
    this.runBytes = options.runBytes ?? WRITE_RUN_BYTES;
    this.#ground = options.ground ?? SYSTEM_GROUND;
    this.#sources = new SendMappings(options.engine, options.files);
    this.#waiting = this.#makeWaitingJobs();
  }

  #makeWaitingJobs(): WaitingJobs<StorageCall> {
    return new WaitingJobs<StorageCall>(
      {
        begin: (job, handle, memory) => {
          const { kind, call, table, fileIndex, offset, within, length } = job;
          this.#beginJob(kind, call, table, handle, fileIndex, offset, memory, 0, within, length);
        },
        failed: (job, error) => {
          job.call.error ??= error;
          this.#jobEnded(job.call);
        },
      },
      this.#ground,
    );
  }

  landingAddress(_offset: number, _length: number): number {
    return -1;
  }

  write(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    assert(!this.#closed && !this.files.readOnly, "what is written to is open for writing");
    this.counters.writeCalls++;
    const call = this.begin(owner, tag);
    this.#forEachFile(offset, memory, call, false, (fileIndex, fileOffset, at, within, length) => {
      this.dirty.add(fileIndex);
      this.writeSpan(call, fileIndex, fileOffset, memory, at, within, length);
    });
    this.end(call);
  }

  read(offset: number, memory: MemoryList, owner: StorageOwner, tag: number): void {
    assert(!this.#closed, "what is read from is open");
    this.counters.readCalls++;
    const call = this.begin(owner, tag);
    this.#forEachFile(offset, memory, call, true, (fileIndex, fileOffset, at, within, length) => {
      this.startJob(JobKind.read, call, this.files, fileIndex, fileOffset, memory, at, within, length);
    });
    this.end(call);
  }

  readCached(offset: number, memory: MemoryList): boolean {
    const bytes = sum(memory);
    if (!this.locate(offset, bytes)) return false;
    const { plan } = this.engine;
    for (let index = 0; index < memory.count; index++) {
      plan[2 * index] = memory.addresses[index]!;
      plan[2 * index + 1] = memory.lengths[index]!;
    }
    return this.engine.readCached(this.located.fd, this.located.fileOffset, 0, memory.count) === bytes;
  }

  sourceAddress(offset: number, length: number): number {
    if (this.sourcesFaulted) return -1;
    const fileIndex = this.#fileOf(offset, length);
    if (fileIndex < 0) return -1;
    const base = this.#sources.baseOf(fileIndex);
    return base < 0 ? -1 : base + offset - this.files.layout.files[fileIndex]!.offset;
  }

  /** The system could not read from a file that was sent from. Mappings stay, because batches under way name them. */
  sourceFaulted(): void {
    this.sourcesFaulted = true;
  }

  /** Maps all files for sending, and makes their pages present. */
  mapForSending(): void {
    this.#sources.mapAll();
  }

  locate(offset: number, length: number): boolean {
    const fileIndex = this.#fileOf(offset, length);
    if (fileIndex < 0) return false;
    try {
      this.located.fd = this.files.acquireNow(fileIndex, false);
    } catch {
      return false;
    }
    // Used before anything else can close it: at once, by the caller, on this thread.
    this.files.release(fileIndex);
    this.located.fileOffset = offset - this.files.layout.files[fileIndex]!.offset;
    return true;
  }

  holdFile(fileIndex: number): number {
    try {
      // Where no descriptor is free, whoever reads the file waits for one.
      return this.files.acquire(fileIndex, false);
    } catch (error) {
      if (error instanceof StorageError) return -1; // Reading the file tells why.
      throw error;
    }
  }

  letGoFile(fileIndex: number): void {
    this.files.release(fileIndex);
  }

  takeRoomForFile(): boolean {
    return this.files.descriptors.take();
  }

  giveRoomForFile(): void {
    this.files.descriptors.give();
  }

  pathOfFile(fileIndex: number): string {
    return this.files.pathAt(fileIndex);
  }

  /** All files count as written: for data that was found on disk and that nobody knows to be durable. */
  assumeWritten(): void {
    this.files.layout.files.forEach((file, fileIndex) => {
      if (!file.padding && file.length > 0 && !this.files.notMade.has(fileIndex)) this.dirty.add(fileIndex);
    });
  }

  makeFiles(isWanted: (fileIndex: number) => boolean): void {
    for (const fileIndex of [...this.files.notMade]) if (isWanted(fileIndex)) this.files.create(fileIndex);
  }

  wroteSinceSync(fileIndex: number): boolean {
    return this.dirty.has(fileIndex);
  }

  async sync(): Promise<void> {
    const files = [...this.dirty];
    this.dirty.clear();
    // close() waits for it, as it does for calls.
    this.#callsUnderWay++;
    const { failure, left } = await syncFiles(this.files, this.jobs, this.#ground, files);
    for (const fileIndex of left) this.dirty.add(fileIndex);
    this.#callEnded();
    if (failure !== undefined) throw failure;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#callsUnderWay > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    this.checkInvariants();
    assert(this.#begun.underWay === 0, "no job is under way when files are closed");
    this.#sources.close();
    this.closeFiles();
  }

  /** Throws AssertionError unless what is counted as under way is what is. */
  checkInvariants(): void {
    this.#begun.checkInvariants();
    this.#waiting.checkInvariants();
    const jobs = this.#begun.underWay + this.#waiting.count;
    assert(jobs === 0 || this.#callsUnderWay > 0, "each job is of a call that is under way");
    for (const { owner } of this.#spareCalls) assert(owner === undefined, "nobody waits for a spare call");
  }

  jobDone(tag: number, result: number): void {
    const job = this.#begun.at(tag);
    const call = this.#begun.giveBack(tag);
    job.table?.release(job.fileIndex);
    // Written after a sync that began meanwhile, perhaps.
    if (!job.reading && job.table !== undefined) this.dirty.add(job.fileIndex);
    if (result !== job.bytes) call.error ??= this.#errorOf(job, result);
    this.#jobEnded(call);
  }

  // ── for the kinds that are built on this one ─────────────────────────────────────────────────────────────────

  protected writeSpan(
    call: StorageCall,
    fileIndex: number,
    fileOffset: number,
    memory: MemoryList,
    at: number,
    within: number,
    length: number,
  ): void {
    this.counters.bufferedBytes += length;
    this.startJob(JobKind.write, call, this.files, fileIndex, fileOffset, memory, at, within, length);
  }

  /**
   * A job on `length` bytes of `memory`, from byte `within` of entry `at` on. It holds the file of `table` until it is
   * done; a copy needs no file, and its `offset` is an address. Throws StorageError if the file cannot be opened.
   */
  protected startJob(
    kind: JobKind,
    call: StorageCall,
    table: FileTable | undefined,
    fileIndex: number,
    offset: number,
    memory: MemoryList,
    at: number,
    within: number,
    length: number,
  ): void {
    const forWriting = kind !== JobKind.read;
    const handle = table === undefined ? 0 : this.#waiting.acquire(table, fileIndex, forWriting);
    call.jobs++;
    if (table !== undefined && handle === NO_DESCRIPTOR)
      this.#waiting.add({ kind, forWriting, call, table, fileIndex, offset, within, length }, memory, at);
    else this.#beginJob(kind, call, table, handle, fileIndex, offset, memory, at, within, length);
  }

  #beginJob(
    kind: JobKind,
    call: StorageCall,
    table: FileTable | undefined,
    handle: number,
    fileIndex: number,
    offset: number,
    memory: MemoryList,
    at: number,
    within: number,
    length: number,
  ): void {
    const tag = this.#begun.take(call);
    const job = this.#begun.at(tag);
    job.table = table;
    job.fileIndex = fileIndex;
    job.bytes = length;
    job.reading = kind === JobKind.read;
    const buffered = kind === JobKind.write && table === this.files;
    this.jobs.begin(kind, this, tag, handle, offset, buffered ? WRITE_IN_TURN : 0);
    let left = length;
    let skip = within;
    for (let index = at; left > 0; index++) {
      const count = Math.min(left, memory.lengths[index]! - skip);
      this.jobs.add(memory.addresses[index]! + skip, count);
      left -= count;
      skip = 0;
    }
    this.jobs.end();
  }

  protected closeFiles(): void {
    this.files.close();
  }

  #errorOf(job: StorageJob, result: number): StorageError {
    const path = this.files.pathOf(this.files.layout.files[job.fileIndex]!);
    if (result >= 0) return new StorageError("STORAGE_SHORT", `${path} is shorter than it should be`);
    return storageErrorFromErrno(result, job.reading ? "cannot read" : "cannot write to", path);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Visits files with the place in `memory` (entry, byte within it) that their bytes begin at. Padding becomes zeros when
   * it is read; when it is written, it is zeros or fails its check, and is dropped either way.
   */
  #forEachFile(
    offset: number,
    memory: MemoryList,
    call: StorageCall,
    reading: boolean,
    visit: (fileIndex: number, fileOffset: number, at: number, within: number, length: number) => void,
  ): void {
    const { layout } = this.files;
    let at = 0;
    let entryStart = 0;
    try {
      layout.forEachSpan(offset, sum(memory), (fileIndex, fileOffset, spanOffset, length) => {
        while (entryStart + memory.lengths[at]! <= spanOffset) entryStart += memory.lengths[at++]!;
        if (!layout.files[fileIndex]!.padding)
          visit(fileIndex, fileOffset, at, spanOffset - entryStart, length);
        else if (reading) this.#zero(memory, at, spanOffset - entryStart, length);
      });
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      call.error ??= error;
    }
  }

  #zero(memory: MemoryList, at: number, within: number, length: number): void {
    let left = length;
    let skip = within;
    for (let index = at; left > 0; index++) {
      const count = Math.min(left, memory.lengths[index]! - skip);
      const address = memory.addresses[index]! + skip;
      this.engine.slab.fill(0, address, address + count);
      left -= count;
      skip = 0;
    }
  }

  protected begin(owner: StorageOwner, tag: number): StorageCall {
    const call = this.#spareCalls.pop() ?? new StorageCall();
    call.owner = owner;
    call.tag = tag;
    call.error = undefined;
    // Held by one more than its jobs until all of them are begun.
    call.jobs = 1;
    this.#callsUnderWay++;
    return call;
  }

  protected end(call: StorageCall): void {
    if (call.jobs === 1) queueMicrotask(() => this.#jobEnded(call));
    else call.jobs--;
  }

  #jobEnded(call: StorageCall): void {
    if (--call.jobs > 0) return;
    const { owner, tag, error } = call;
    assert(owner !== undefined, "a call ends once");
    call.owner = undefined;
    this.#spareCalls.push(call);
    owner.storageDone(tag, error);
    this.#callEnded();
  }

  #callEnded(): void {
    assert(this.#callsUnderWay > 0, "what ends was under way");
    if (--this.#callsUnderWay === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** Index of the one file that holds all the bytes, or −1: they cross an edge, or are padding. */
  #fileOf(offset: number, length: number): number {
    const { layout } = this.files;
    const fileIndex = layout.fileAt(offset);
    const file = layout.files[fileIndex]!;
    return !file.padding && offset + length <= file.offset + file.length ? fileIndex : -1;
  }
}

function sum(memory: MemoryList): number {
  let bytes = 0;
  for (let index = 0; index < memory.count; index++) bytes += memory.lengths[index]!;
  return bytes;
}
