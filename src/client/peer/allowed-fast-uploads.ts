// What a peer gets from us although we choke it: the few pieces of its allowed fast set, so that it has something to
// trade (BEP 6).
//
// Always: each block is served once, whole, and all of them together are at most what one turn of an unchoked peer may
// be: what is free has an end, also for whoever comes again, unless that is this machine.

import { BLOCK_SIZE, MIB } from "../../base/limits.js";
import type { Layout } from "../storage/layout.js";

export const ALLOWED_FAST_BYTES_MAX = 16 * MIB;

export class AllowedFastUploads {
  readonly #pieces: ReadonlySet<number>;
  readonly #layout: Layout;
  /** Blocks that were asked for, counted through the torrent. */
  readonly #served = new Set<number>();
  #bytes = 0;

  constructor(pieces: Iterable<number>, layout: Layout) {
    this.#pieces = new Set(pieces);
    this.#layout = layout;
  }

  /** True if the block is to be served to a peer that is choked. It will not be a second time. */
  take(piece: number, begin: number, length: number): boolean {
    if (!this.#pieces.has(piece) || begin % BLOCK_SIZE !== 0) return false;
    if (length !== this.#layout.blockLength(piece, begin / BLOCK_SIZE)) return false;
    const block = Math.floor((this.#layout.pieceOffset(piece) + begin) / BLOCK_SIZE);
    if (this.#served.has(block) || this.#bytes + length > ALLOWED_FAST_BYTES_MAX) return false;
    this.#served.add(block);
    this.#bytes += length;
    return true;
  }
}
