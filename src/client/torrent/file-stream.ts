// A file of a torrent as a stream of bytes, while it is still coming: what the stream needs next is fetched before all else.
//
//   read so far ──▶│ piece that is waited for │ ahead: asked for before all others, in this order │ …
//
// Always: no more than `aheadBytes` beyond what was read is urgent; a slot of the pool is held for one block at a time, and for no
// longer than copying it takes. What is read is wanted from then on, whatever was selected before. While the data is looked at
// a stream waits. One that ends, or is destroyed, leaves nothing urgent.

import { Readable } from "node:stream";
import { UsageError } from "../../base/errors.js";
import { BLOCK_SIZE, MIB } from "../../base/limits.js";
import type { BlockLease, ReadStreamOptions } from "../options.js";
import type { TorrentContent } from "./content.js";

const AHEAD_BYTES = 4 * MIB;
const AHEAD_PIECES_MIN = 2;

/** The torrent, as far as its streams go. */
export interface StreamHost {
  /** The content; throws UsageError if it is not there, or not any more. */
  content(): TorrentContent;
  /** Why the torrent is over, once it is. */
  readonly over: Error | undefined;
  /** The content, unless its data is being looked at: nothing can be read of it then. */
  readonly opened: TorrentContent | undefined;
  /**
   * Calls `callback` once the piece is verified, or the data was looked at, or with an error when the torrent is over. Returns what
   * takes that back.
   */
  whenHere(piece: number, callback: (error: Error | undefined) => void): () => void;
  /** Something was made wanted. */
  wantedChanged(): void;
  /** Other pieces are urgent than were: what peers were asked for besides makes way for them. */
  aimedAnew(): void;
}

/** Throws UsageError `USAGE_OPTION` for a file or bytes that are not there. */
export function openFileStream(host: StreamHost, fileIndex: number, options: ReadStreamOptions): Readable {
  const file = host.content().layout.files[fileIndex];
  if (file === undefined) throw new UsageError("USAGE_OPTION", `the torrent has no file ${fileIndex}`);
  const { start = 0, end = file.length - 1, aheadBytes = AHEAD_BYTES } = options;
  const fits = [start, end, aheadBytes].every(Number.isSafeInteger) && start >= 0 && aheadBytes >= 0;
  if (!fits || end >= file.length || end < start - 1)
    throw new UsageError(
      "USAGE_OPTION",
      `start and end are whole numbers from 0 to ${file.length - 1} (end is the last byte), and aheadBytes is one from 0 on`,
    );
  return new FileReading(host, file.offset + start, file.offset + end + 1, aheadBytes).stream;
}

/** What a stream does. No class that extends `Readable`: streams are loaded when the first one is opened, and not with the package. */
class FileReading {
  readonly stream: Readable;
  readonly #host: StreamHost;
  readonly #end: number;
  readonly #aheadBytes: number;
  #at: number;
  #aimedAt = -1;
  /** Another one once the data was looked at again. */
  #aimedIn: TorrentContent | undefined;
  #stopWaiting: () => void = () => {};

  /** Offsets in the torrent. */
  constructor(host: StreamHost, start: number, end: number, aheadBytes: number) {
    this.#host = host;
    this.#at = start;
    this.#end = end;
    this.#aheadBytes = aheadBytes;
    this.stream = new Readable({
      highWaterMark: BLOCK_SIZE,
      construct: (callback) => this.#begin(callback),
      read: () => this.#read(),
      destroy: (error, callback) => this.#close(error, callback),
    });
  }

  #begin(callback: (error?: Error | null) => void): void {
    // What is read first is on its way before anybody reads.
    try {
      if (this.#at < this.#end) {
        this.#aim(this.#content());
        this.#host.aimedAnew();
      }
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }

  #read(): void {
    this.#readOn().catch((error: unknown) => this.stream.destroy(error as Error));
  }

  #close(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stopWaiting();
    try {
      this.#host.content().wanted.setUrgent(this, []);
    } catch {
      // The torrent is over, and nothing of it is urgent.
    }
    callback(error);
  }

  /** Throws what ended the torrent. */
  #content(): TorrentContent {
    const { over } = this.#host;
    if (over !== undefined) throw over;
    return this.#host.content();
  }

  /** Says what is needed: the pieces from here on, as far as is fetched ahead. */
  #aim(content: TorrentContent): void {
    const { pieceLength } = content.layout;
    const first = Math.floor(this.#at / pieceLength);
    if (first === this.#aimedAt && content === this.#aimedIn) return;
    this.#aimedAt = first;
    this.#aimedIn = content;
    const last = Math.floor((this.#end - 1) / pieceLength);
    const ahead = Math.max(AHEAD_PIECES_MIN, Math.ceil(this.#aheadBytes / pieceLength));
    const window: number[] = [];
    for (let piece = first; piece <= last && window.length < ahead; piece++)
      if (!content.got.has(piece)) window.push(piece);
    content.wanted.setUrgent(this, window);
    const unwanted = window.filter((piece) => !content.wanted.isWanted(piece));
    if (unwanted.length > 0) content.select({ pieces: unwanted });
    this.#host.wantedChanged();
  }

  async #readOn(): Promise<void> {
    while (this.#at < this.#end && !this.stream.destroyed) {
      const content = this.#content();
      const { pieceLength } = content.layout;
      const piece = Math.floor(this.#at / pieceLength);
      const isOpen = content === this.#host.opened;
      if (isOpen) this.#aim(content);
      if (!isOpen || !content.got.has(piece)) {
        // What is here may be another content then, and the stream destroyed.
        await this.#pieceHere(piece);
        continue;
      }
      if (await this.#readBlock(content, piece)) return;
    }
    if (!this.stream.destroyed) this.stream.push(null);
  }

  /** Reads a block, and passes it on. False if it is to be tried again. */
  async #readBlock(content: TorrentContent, piece: number): Promise<boolean> {
    const begin = this.#at - piece * content.layout.pieceLength;
    const length = Math.min(BLOCK_SIZE, content.layout.pieceLengthOf(piece) - begin, this.#end - this.#at);
    let lease: BlockLease;
    try {
      lease = await content.read(piece, begin, length);
    } catch (error) {
      if (content === this.#host.opened) throw this.#host.over ?? error;
      // It was closed under the read, to be looked at again.
      return false;
    }
    const bytes = Buffer.from(lease.bytes);
    lease.release();
    if (this.stream.destroyed) return true;
    this.#at += length;
    this.stream.push(bytes);
    return true;
  }

  #pieceHere(piece: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stopWaiting = this.#host.whenHere(piece, (error) => {
        this.#stopWaiting = () => {};
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }
}
