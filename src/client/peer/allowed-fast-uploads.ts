// What a peer gets from us although we choke it: the few pieces of its allowed fast set, so that it has something to
// trade (BEP 6).
//
// Always: each block is served once, whole, and all of them together are at most what one turn of an unchoked peer may
// be: what is free has an end, also for whoever comes again, unless that is this machine.

import { BLOCK_SIZE, MIB } from "../../base/limits.js";
import type { Layout } from "../storage/layout.js";

export const ALLOWED_FAST_BYTES_MAX = 16 * MIB;
/** A peer was told that it may ask, and asks for as much as it asks at once of anybody: it is not to blame for what it does not get. */
const REFUSALS_MAX = 512;

export class AllowedFastUploads {
  readonly #pieces: ReadonlySet<number>;
  readonly #layout: Layout;
  /** Blocks that were asked for, counted through the torrent. */
  readonly #served = new Set<number>();
  #bytesLeft: number;
  #refusalsLeft = REFUSALS_MAX;

  constructor(pieces: Iterable<number>, layout: Layout, bytesMax: number) {
    this.#pieces = new Set(pieces);
    this.#layout = layout;
    this.#bytesLeft = bytesMax;
  }

  /** True if the block is to be served to a peer that is choked. It will not be a second time. */
  take(piece: number, begin: number, length: number): boolean {
    if (!this.#pieces.has(piece) || begin % BLOCK_SIZE !== 0) return false;
    if (length !== this.#layout.blockLength(piece, begin / BLOCK_SIZE)) return false;
    const block = Math.floor((this.#layout.pieceOffset(piece) + begin) / BLOCK_SIZE);
    if (this.#served.has(block) || length > this.#bytesLeft) return false;
    this.#served.add(block);
    this.#bytesLeft -= length;
    return true;
  }

  /** True if the piece is one of them, and this is not the many hundredth block that is refused. */
  refuse(piece: number): boolean {
    if (!this.#pieces.has(piece) || this.#refusalsLeft === 0) return false;
    this.#refusalsLeft--;
    return true;
  }
}
