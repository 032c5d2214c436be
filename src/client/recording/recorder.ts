// Writes what goes over connections to a file, while they go on. Nobody waits for the disk: what is to be written waits in memory, up to
// WAITING_BYTES_MAX, and one write is under way at a time.
//
// Always: whatever goes wrong here (a full disk, a disk that is too slow, the bound that was set) ends the recording, says so once, and
// nothing else; what was written up to there can be replayed. After its end it keeps nothing.

import { close, openSync, writev } from "node:fs";
import { UsageError } from "../../base/errors.js";
import { BLOCK_SIZE, MIB } from "../../base/limits.js";
import type { Memory } from "../memory/memory.js";
import {
  fileHeader,
  makeRecord,
  numberRecord,
  RECORD_HEADER_BYTES,
  type RecordedConnection,
  type RecordedEnd,
  type RecordedTorrent,
  RecordKind,
  textRecord,
} from "./format.js";

const WAITING_BYTES_MAX = 32 * MIB;
/** Buffers of one call: Linux takes 1024. */
const BUFFERS_PER_WRITE_MAX = 512;

export interface RecorderHost {
  readonly memory: Memory;
  /** Pairs (address, length) of the call that is recorded. */
  readonly entries: Float64Array;
  nowMs(): number;
  warn(text: string): void;
}

export class Recorder {
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #host: RecorderHost;
  readonly #sinceMs: number;
  #fd: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #bytes = 0;
  #connections = 0;
  #isWriting = false;
  /** Nothing more is taken in. */
  #isOver = false;
  #closers: (() => void)[] = [];

  /** Throws UsageError `USAGE_OPTION` if there is such a file already (unless `flags` are others), or none can be made. */
  constructor(path: string, bytesMax: number, host: RecorderHost, flags: "wx" | "w" = "wx") {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#host = host;
    this.#sinceMs = host.nowMs();
    try {
      // What peers say is nobody else's business.
      this.#fd = openSync(path, flags, 0o600);
    } catch (cause) {
      const text = `cannot record to ${path}: ${cause instanceof Error ? cause.message : String(cause)}`;
      throw new UsageError("USAGE_OPTION", text, { cause });
    }
    this.#push(fileHeader());
  }

  /** False: it has ended, and nobody needs to tell it anything. */
  get isOpen(): boolean {
    return !this.#isOver;
  }

  torrent(torrent: RecordedTorrent): void {
    this.#add(() => textRecord(RecordKind.torrent, 0, this.#timeMs, torrent));
  }

  /** A connection begins. Returns the number that it has in the recording. */
  opened(connection: RecordedConnection): number {
    const id = ++this.#connections;
    this.#add(() => textRecord(RecordKind.opened, id, this.#timeMs, connection));
    return id;
  }

  established(id: number): void {
    this.#add(() => makeRecord(RecordKind.established, id, this.#timeMs, 0));
  }

  /** A call moved `length` bytes of the entries from `first` on. */
  moved(
    kind: typeof RecordKind.received | typeof RecordKind.sent,
    id: number,
    first: number,
    length: number,
  ): void {
    this.#add(() => {
      const record = makeRecord(kind, id, this.#timeMs, length);
      const { memory } = this.#host;
      // What lies in a mapped file comes by memory that nobody uses now: when receiving, that for sending.
      const by = kind === RecordKind.received ? memory.sendScratchAddress : memory.sinkAddress;
      this.#copyEntries(first, record, length, by);
      return record;
    });
  }

  sentUnseen(id: number, length: number): void {
    this.#add(() => numberRecord(RecordKind.sentUnseen, id, this.#timeMs, length));
  }

  /** A receiving call said that nothing more comes. */
  ended(id: number, errno: number): void {
    this.#add(() => numberRecord(RecordKind.ended, id, this.#timeMs, errno));
  }

  closed(id: number, end: RecordedEnd): void {
    this.#add(() => textRecord(RecordKind.closed, id, this.#timeMs, end));
  }

  /** Writes what waits, and closes the file. Resolves when that is done, or has failed. Idempotent. */
  close(): Promise<void> {
    this.#finish("closed");
    if (this.#fd < 0) return Promise.resolve();
    return new Promise((resolve) => this.#closers.push(resolve));
  }

  get #timeMs(): number {
    return this.#host.nowMs() - this.#sinceMs;
  }

  #add(make: () => Buffer): void {
    if (this.#isOver) return;
    const record = make();
    if (this.#bytes + record.length > this.#bytesMax) {
      this.#finish("full");
      this.#tell(`has ${this.#bytesMax} bytes, which is what it may have`);
    } else if (this.#waitingBytes + record.length > WAITING_BYTES_MAX) {
      this.#finish("slow");
      this.#tell("is written to more slowly than bytes come");
    } else this.#push(record);
  }

  /** Says in the recording that it ends here. */
  #finish(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#push(textRecord(RecordKind.finished, 0, this.#timeMs, { reason }));
  }

  #tell(why: string): void {
    this.#host.warn(`the recording ends: ${this.#path} ${why}; what is in it can be replayed`);
  }

  #push(record: Buffer): void {
    this.#waiting.push(record);
    this.#waitingBytes += record.length;
    this.#bytes += record.length;
    this.#write();
  }

  #write(): void {
    if (this.#isWriting || this.#fd < 0) return;
    if (this.#waiting.length === 0) {
      if (this.#isOver) this.#closeFile();
      return;
    }
    this.#isWriting = true;
    writev(this.#fd, this.#waiting.slice(0, BUFFERS_PER_WRITE_MAX), (error, written) => {
      this.#isWriting = false;
      if (error === null) {
        this.#wrote(written);
        this.#write();
        return;
      }
      this.#isOver = true;
      this.#tell(`cannot be written to (${error.message})`);
      this.#closeFile();
    });
  }

  #wrote(bytes: number): void {
    this.#waitingBytes -= bytes;
    let left = bytes;
    let whole = 0;
    while (whole < this.#waiting.length && left >= this.#waiting[whole]!.length)
      left -= this.#waiting[whole++]!.length;
    this.#waiting.splice(0, whole);
    // A disk that is nearly full takes a part.
    const [next] = this.#waiting;
    if (left > 0 && next !== undefined) this.#waiting[0] = next.subarray(left);
  }

  #closeFile(): void {
    const fd = this.#fd;
    this.#fd = -1;
    this.#waiting = [];
    this.#waitingBytes = 0;
    close(fd, () => {
      for (const resolve of this.#closers.splice(0)) resolve();
    });
  }

  /** Copies the first `length` bytes that lie in the entries from `first` on behind the header of `record`. */
  #copyEntries(first: number, record: Buffer, length: number, by: number): void {
    const { entries } = this.#host;
    let at = RECORD_HEADER_BYTES;
    let left = length;
    for (let entry = first; left > 0; entry++) {
      const take = Math.min(entries[2 * entry + 1]!, left);
      this.#copy(entries[2 * entry]!, take, record, at, by);
      at += take;
      left -= take;
    }
  }

  #copy(address: number, length: number, record: Buffer, at: number, by: number): void {
    const { memory } = this.#host;
    if (!memory.isMapped(address)) {
      record.set(memory.bytes.subarray(address, address + length), at);
      return;
    }
    for (let done = 0; done < length; done += BLOCK_SIZE) {
      const take = Math.min(BLOCK_SIZE, length - done);
      memory.copy(address + done, by, take);
      record.set(memory.bytes.subarray(by, by + take), at + done);
    }
  }
}
