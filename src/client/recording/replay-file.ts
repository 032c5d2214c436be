// A recording in a file, replayed. What replays is loaded when it is asked for: few programs that import the package ever do.

import { type FileHandle, open } from "node:fs/promises";
import { messageOf, UsageError } from "../../base/errors.js";
import { MIB } from "../../base/limits.js";
import type { RecordingSource } from "./format.js";
import type { ReplayOptions, ReplayResult } from "./replay.js";

const CHUNK_BYTES = 4 * MIB;

/**
 * Replays what `new Session({ record })` wrote: the connections of the recording, in memory and over virtual time, through the receive
 * mode that is asked for. The same file gives the same result each time. Rejects UsageError `USAGE_RECORDING` for what is no recording, or
 * is damaged; one that is cut is replayed as far as it goes, and `whole` is false.
 */
export async function replayRecording(path: string, options: ReplayOptions = {}): Promise<ReplayResult> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const { replayFrom } = await import("./replay.js");
    return await replayFrom(new FileSource(file, path), options);
  } finally {
    await file.close();
  }
}

class FileSource implements RecordingSource {
  readonly #file: FileHandle;
  readonly #path: string;
  #chunk = Buffer.alloc(0);
  #at = 0;

  constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  async read(length: number): Promise<Buffer> {
    while (this.#chunk.length - this.#at < length && (await this.#more(length)));
    const bytes = this.#chunk.subarray(this.#at, this.#at + length);
    this.#at += bytes.length;
    return bytes;
  }

  /** Reads on. False at the end of the file. */
  async #more(length: number): Promise<boolean> {
    const left = this.#chunk.length - this.#at;
    const next = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, length));
    this.#chunk.copy(next, 0, this.#at);
    try {
      const { bytesRead } = await this.#file.read(next, left, next.length - left);
      this.#chunk = next.subarray(0, left + bytesRead);
      this.#at = 0;
      return bytesRead > 0;
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }
}

/** A replay that was asked for without a file that can be read. */
function unreadable(path: string, cause: unknown): UsageError {
  const text = `cannot read ${path}: ${messageOf(cause)}`;
  return new UsageError("USAGE_RECORDING", text, { cause });
}
