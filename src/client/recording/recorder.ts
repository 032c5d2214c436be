// Writes what goes over connections to a file, while they go on.
//
// Always: whatever goes wrong here (a full disk, a disk that is too slow, the bound that was set) ends the recording, says so once, and
// nothing else; what was written up to there can be replayed.

import { entryOf } from "../../base/assert.js";
import { BoundedFile } from "../../base/bounded-file.js";
import { BLOCK_SIZE } from "../../base/limits.js";
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

export interface RecorderHost {
  readonly memory: Memory;
  /** Pairs (address, length) of the call that is recorded. */
  readonly entries: Float64Array;
  nowMs(): number;
  warn(text: string): void;
}

export class Recorder {
  readonly #file: BoundedFile;
  readonly #host: RecorderHost;
  readonly #sinceMs: number;
  #connections = 0;

  /** Throws UsageError `USAGE_OPTION` if there is such a file already (unless `flags` are others), or none can be made. */
  constructor(path: string, bytesMax: number, host: RecorderHost, flags: "wx" | "w" = "wx") {
    this.#host = host;
    this.#sinceMs = host.nowMs();
    const ends = (why: string, reason: string): Buffer => {
      host.warn(
        reason === "empty"
          ? `nothing is recorded: ${path} ${why}`
          : `the recording ends: ${path} ${why}; what is in it can be replayed`,
      );
      return this.#finished(reason);
    };
    this.#file = new BoundedFile(path, bytesMax, { ends }, flags);
    this.#file.add(fileHeader());
  }

  /** False: it has ended, and nobody needs to tell it anything. */
  get isOpen(): boolean {
    return this.#file.isOpen;
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
    return this.#file.close(this.#finished("closed"));
  }

  get #timeMs(): number {
    return this.#host.nowMs() - this.#sinceMs;
  }

  /** Made only while somebody wants it. */
  #add(make: () => Buffer): void {
    if (this.#file.isOpen) this.#file.add(make());
  }

  /** Says in the recording that it ends here. */
  #finished(reason: string): Buffer {
    return textRecord(RecordKind.finished, 0, this.#timeMs, { reason });
  }

  /** Copies the first `length` bytes that lie in the entries from `first` on behind the header of `record`. */
  #copyEntries(first: number, record: Buffer, length: number, by: number): void {
    const { entries } = this.#host;
    let at = RECORD_HEADER_BYTES;
    let left = length;
    for (let entry = first; left > 0; entry++) {
      const take = Math.min(entryOf(entries, 2 * entry + 1), left);
      this.#copy(entryOf(entries, 2 * entry), take, record, at, by);
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
