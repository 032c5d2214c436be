// A file that is written beside everything else: nobody waits for the disk. What is to be written waits in memory, up to WAITING_BYTES_MAX,
// and one write is under way at a time.
//
// Always: whatever goes wrong (a full disk, a disk that is too slow, the bound that was set) ends the file, is told once, and is nobody
// else's matter. After its end it keeps nothing, and a file that was made for it and got not one byte is gone.

import { close, openSync, unlink, writev } from "node:fs";
import { entryOf } from "./assert.js";
import { messageOf, UsageError } from "./errors.js";
import { MIB } from "./limits.js";

const WAITING_BYTES_MAX = 32 * MIB;
/** Buffers of one call: Linux takes 1024. */
const BUFFERS_PER_WRITE_MAX = 512;

export interface BoundedFileHost {
  /**
   * It ends before its time, because it `why`; `empty`: nothing could be written at all, and there is no such file any more. The last bytes
   * that it is to have, if it can still be written to.
   */
  ends(why: string, reason: "full" | "slow" | "failed" | "empty"): Buffer | undefined;
}

export class BoundedFile {
  readonly #bytesMax: number;
  readonly #host: BoundedFileHost;
  readonly #path: string;
  /** It was not there before. */
  readonly #isNew: boolean;
  #fd: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #bytes = 0;
  #isWriting = false;
  #hasWritten = false;
  /** Nothing more is taken in. */
  #isOver = false;
  #closers: (() => void)[] = [];

  /** Throws UsageError `USAGE_OPTION` if there is such a file already (unless `flags` are others), or none can be made. */
  constructor(path: string, bytesMax: number, host: BoundedFileHost, flags: "wx" | "w" = "wx") {
    this.#bytesMax = bytesMax;
    this.#host = host;
    this.#path = path;
    this.#isNew = flags === "wx";
    try {
      // What peers say is nobody else's business.
      this.#fd = openSync(path, flags, 0o600);
    } catch (cause) {
      const isThere = (cause as NodeJS.ErrnoException).code === "EEXIST";
      const text = isThere
        ? `${path} is there already: name another file`
        : `cannot write to ${path}: ${messageOf(cause)}`;
      throw new UsageError("USAGE_OPTION", text, { cause });
    }
  }

  /** False: it has ended, and whatever else comes is dropped. */
  get isOpen(): boolean {
    return !this.#isOver;
  }

  add(bytes: Buffer): void {
    if (this.#isOver) return;
    if (this.#bytes + bytes.length > this.#bytesMax)
      this.#end(`has ${this.#bytesMax} bytes, which is what it may have`, "full");
    else if (this.#waitingBytes + bytes.length > WAITING_BYTES_MAX)
      this.#end("is written to more slowly than bytes come", "slow");
    else this.#push(bytes);
  }

  /** Writes what waits and `last`, and closes the file. Resolves when that is done, or has failed. Idempotent. */
  close(last: Buffer): Promise<void> {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#push(last);
    }
    if (this.#fd < 0) return Promise.resolve();
    return new Promise((resolve) => this.#closers.push(resolve));
  }

  #end(why: string, reason: "full" | "slow"): void {
    this.#isOver = true;
    const last = this.#host.ends(why, reason);
    if (last !== undefined) this.#push(last);
  }

  #push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#bytes += bytes.length;
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
      const isGone = this.#isNew && !this.#hasWritten;
      this.#host.ends(`cannot be written to (${error.message})`, isGone ? "empty" : "failed");
      // An empty file would be in the way of the next attempt, which overwrites nothing.
      if (isGone) unlink(this.#path, () => this.#closeFile());
      else this.#closeFile();
    });
  }

  #wrote(bytes: number): void {
    if (bytes > 0) this.#hasWritten = true;
    this.#waitingBytes -= bytes;
    let left = bytes;
    let whole = 0;
    while (whole < this.#waiting.length && left >= entryOf(this.#waiting, whole).length)
      left -= entryOf(this.#waiting, whole++).length;
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
}
