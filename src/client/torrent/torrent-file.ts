// A file of a torrent, in the shape of a Blob: a length, streams of parts of it, and all of it at once where it is small. It may still be
// coming: whatever is read is fetched before all else.

import type { Readable } from "node:stream";
import { UsageError } from "../../base/errors.js";
import { MIB } from "../../base/limits.js";
import type { ReadStreamOptions } from "../options.js";

/** What arrayBuffer() and text() hold in memory at the most. */
const BUFFER_BYTES_MAX = 256 * MIB;

/** One file of a torrent, to be read while it comes, in the shape of a Blob. */
export class TorrentFile implements AsyncIterable<Uint8Array> {
  /** Its place in `metainfo.files`. */
  readonly index: number;
  /** Folders and name, as the torrent has them. */
  readonly path: readonly string[];
  /** Bytes. */
  readonly size: number;
  readonly #open: (index: number, options: ReadStreamOptions) => Readable;

  /** @internal Torrents make them. */
  constructor(
    file: { readonly path: readonly string[]; readonly length: number },
    index: number,
    open: (index: number, options: ReadStreamOptions) => Readable,
  ) {
    this.index = index;
    this.path = file.path;
    this.size = file.length;
    this.#open = open;
  }

  /** Its name without its folders. */
  get name(): string {
    return this.path.at(-1) ?? "";
  }

  /** As Torrent.createReadStream(). */
  stream(options: ReadStreamOptions = {}): Readable {
    return this.#open(this.index, options);
  }

  /**
   * All of it, or from `start` to `end`, which is the last byte. Rejects UsageError `USAGE_OPTION` for more than 256 MiB, and what ends
   * the torrent meanwhile.
   */
  async arrayBuffer(options: Pick<ReadStreamOptions, "start" | "end"> = {}): Promise<ArrayBuffer> {
    const { start = 0, end = this.size - 1 } = options;
    const length = end - start + 1;
    if (length > BUFFER_BYTES_MAX)
      throw new UsageError(
        "USAGE_OPTION",
        `${length} bytes are more than arrayBuffer() holds (${BUFFER_BYTES_MAX}): read stream(), or a part`,
      );
    const stream = this.stream(options);
    const bytes = new Uint8Array(length);
    let at = 0;
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes.buffer;
  }

  /** As UTF-8. Rejects as arrayBuffer() does. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  /** Its bytes in order; leaving the loop ends the reading. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return (this.stream() as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }
}
