// One run: a stretch of a torrent's bytes from a web seed, block by block, in order.
//
// Always: a block is told when all of it is here, so that who asked for it never has half of one; after stop() nothing is told. While it
// is held the server's bytes wait with the kernel.

import type { IncomingMessage } from "node:http";
import type { Ground, Timer } from "../../base/ground.js";
import { BLOCK_SIZE } from "../../base/limits.js";
import type { HttpGround } from "../../native/http-get.js";
import type { Layout } from "../storage/layout.js";
import { fileUrl, openRange, WebSeedCrumbsError, WebSeedError } from "./web-file.js";

export interface WebRunHost {
  /** A block is here: views that may be kept. */
  blockCame(piece: number, block: number, parts: readonly Uint8Array[]): void;
  /** It is over: all of it came, or why not. */
  runEnded(error: WebSeedError | undefined): void;
}

export interface WebRunOptions {
  readonly http: HttpGround;
  readonly ground: Ground;
  readonly base: URL;
  readonly layout: Layout;
  readonly isSingleFile: boolean;
  /** The torrent's bytes from `from`, where a block begins, to `to`, where a block or the torrent ends. */
  readonly from: number;
  readonly to: number;
}

/**
 * Parts in which a block is told: a server may send it in crumbs, and each part takes many times its memory for as long as the block
 * waits.
 */
const PARTS_MAX = 8;
/** A server that sends a block in more parts than these is not asked again: each takes as much of the loop as kilobytes do in one. */
const CRUMBS_MAX = 2048;
/** A server that brings less than a block in so long, in the middle of its answer, is given up. */
const SLOW_MS = 30_000;
const ZEROS = new Uint8Array(BLOCK_SIZE);

interface Segment {
  readonly fileIndex: number;
  readonly fileOffset: number;
  readonly length: number;
}

/** The file that the byte at `at` lies in, and what of it lies before `to`. */
function segmentAt(layout: Layout, at: number, to: number): Segment {
  let segment: Segment = { fileIndex: 0, fileOffset: 0, length: 0 };
  layout.forEachSpan(at, 1, (fileIndex, fileOffset) => {
    const left = (layout.files[fileIndex]?.length ?? 0) - fileOffset;
    segment = { fileIndex, fileOffset, length: Math.min(left, to - at) };
  });
  return segment;
}

export class WebRun {
  readonly from: number;
  readonly to: number;
  readonly #options: WebRunOptions;
  readonly #host: WebRunHost;
  readonly #stopping = new AbortController();
  #response: IncomingMessage | undefined;
  #slow: Timer | undefined;
  /** Bytes of the answer that came since the timer was set. */
  #cameBytes = 0;
  #isHeld = false;
  /** Bytes of the torrent that have come in order. */
  #at: number;
  /** The block under way: what of it is here. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  constructor(options: WebRunOptions, host: WebRunHost) {
    this.from = options.from;
    this.to = options.to;
    this.#at = options.from;
    this.#options = options;
    this.#host = host;
    this.#read().then(
      () => this.#over(undefined),
      (error: unknown) => {
        if (!(error instanceof WebSeedError)) throw error;
        this.#over(error);
      },
    );
  }

  /** Everything before this was told. */
  get at(): number {
    return this.#at - this.#partBytes;
  }

  /** The server is to wait, or to go on. */
  hold(held: boolean): void {
    if (held === this.#isHeld) return;
    this.#isHeld = held;
    if (held) {
      this.#response?.pause();
      this.#slow?.close();
      this.#slow = undefined;
    } else {
      this.#response?.resume();
      if (this.#response !== undefined) this.#waitForBlock();
    }
  }

  stop(): void {
    this.#stopping.abort();
    this.#slow?.close();
    this.#response?.destroy();
  }

  #over(error: WebSeedError | undefined): void {
    this.#slow?.close();
    if (!this.#stopping.signal.aborted) this.#host.runEnded(error);
  }

  async #read(): Promise<void> {
    const { layout, from, to } = this.#options;
    // One after the other: a torrent may have millions of files in a few pieces.
    for (let at = from, segment: Segment; at < to; at += segment.length) {
      if (this.#stopping.signal.aborted) return;
      segment = segmentAt(layout, at, to);
      if (layout.files[segment.fileIndex]?.padding === true) this.#pad(segment.length);
      else await this.#get(segment);
    }
  }

  #pad(length: number): void {
    for (let left = length; left > 0; left -= BLOCK_SIZE)
      this.#took(ZEROS.subarray(0, Math.min(left, BLOCK_SIZE)));
  }

  async #get({ fileIndex, fileOffset, length }: Segment): Promise<void> {
    const { http, base, layout, isSingleFile } = this.#options;
    const { signal } = this.#stopping;
    const url = fileUrl(base, layout, fileIndex, isSingleFile);
    const fileLength = layout.files[fileIndex]?.length ?? 0;
    const { response, skip } = await openRange(
      http,
      url,
      fileOffset,
      fileOffset + length,
      fileLength,
      signal,
    );
    // Stopped when the head had come, and nobody here had it yet.
    if (signal.aborted) {
      response.destroy();
      return;
    }
    this.#response = response;
    try {
      await this.#body(response, skip, length);
    } finally {
      this.#response = undefined;
      this.#slow?.close();
      this.#slow = undefined;
    }
  }

  #body(response: IncomingMessage, skip: number, length: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let before = skip;
      let left = length;
      const short = (cause?: unknown): void =>
        reject(new WebSeedError(`its answer ended ${left} bytes too early`, undefined, { cause }));
      response.on("data", (chunk: Buffer) => {
        this.#came(chunk.length);
        const skipped = Math.min(before, chunk.length);
        before -= skipped;
        const wanted = chunk.subarray(skipped, skipped + left);
        left -= wanted.length;
        this.#took(wanted);
        if (this.#parts.length > CRUMBS_MAX) {
          const crumbs = `it sends a block in more than ${CRUMBS_MAX} parts`;
          reject(new WebSeedCrumbsError(crumbs));
          response.destroy();
        }
        // What a whole file has behind the range is not worth waiting for; the end of the range is: then the connection is kept.
        if (left === 0 && (skipped + wanted.length < chunk.length || skip > 0)) response.destroy();
      });
      response.on("end", () => (left > 0 ? short() : resolve()));
      // All is here, though the server may never say so.
      response.on("error", (error) => (left > 0 ? short(error) : resolve()));
      response.on("close", () => (left > 0 ? short() : resolve()));
      if (this.#isHeld) response.pause();
      else this.#waitForBlock();
    });
  }

  #came(bytes: number): void {
    this.#cameBytes += bytes;
    if (this.#cameBytes >= BLOCK_SIZE) this.#waitForBlock();
  }

  /** Waits for as many bytes as a block has, and not for ever: a server that drips has a place that another one could have. */
  #waitForBlock(): void {
    this.#cameBytes = 0;
    if (this.#isHeld) return;
    if (this.#slow !== undefined) this.#slow.refresh();
    else
      this.#slow = this.#options.ground.after(SLOW_MS, () => {
        this.#response?.destroy(new Error(`less than a block in ${SLOW_MS / 1000} s`));
      });
  }

  /** Cuts bytes into blocks. */
  #took(bytes: Uint8Array): void {
    const { layout } = this.#options;
    for (let offset = 0; offset < bytes.length && !this.#stopping.signal.aborted; ) {
      const piece = Math.floor(this.at / layout.pieceLength);
      const block = Math.floor((this.at - layout.pieceOffset(piece)) / BLOCK_SIZE);
      const missing = layout.blockLength(piece, block) - this.#partBytes;
      const part = bytes.subarray(offset, offset + missing);
      this.#parts.push(part);
      this.#partBytes += part.length;
      this.#at += part.length;
      offset += part.length;
      if (part.length < missing) return;
      const parts = this.#parts.length > PARTS_MAX ? [Buffer.concat(this.#parts)] : this.#parts;
      this.#parts = [];
      this.#partBytes = 0;
      this.#host.blockCame(piece, block, parts);
    }
  }
}
