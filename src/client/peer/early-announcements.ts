// What a peer announces of its pieces while nobody knows how many there are: kept as it came, and judged when the metadata is there.
//
// Always: it holds one bitfield of the longest that may come, SINGLE_PIECES_MAX single pieces and as few allowed fast ones. What is
// said beyond that is not forgotten silently: the connection ends when the metadata comes, and is made anew.

import { entryOf } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { PieceSet } from "../../base/piece-set.js";

/** Pieces that are announced one by one: a peer that downloads beside us gets so many in some seconds, or minutes. */
export const SINGLE_PIECES_MAX = 1024;
/** Pieces that a peer may name in allowed fast messages and that we remember: as many as the set is long, and some. */
export const ALLOWED_FAST_MAX = 64;

export class EarlyAnnouncements {
  readonly allowedFast: number[] = [];
  #all = false;
  #bits: Uint8Array | undefined;
  readonly #single: number[] = [];
  #isTooMuch = false;

  /** `piece` is one that a torrent may have. */
  have(piece: number): void {
    if (this.#bits !== undefined && piece < 8 * this.#bits.length)
      this.#bits[piece >> 3] = entryOf(this.#bits, piece >> 3) | (0x80 >> (piece & 7));
    else if (this.#single.length < SINGLE_PIECES_MAX) this.#single.push(piece);
    else this.#isTooMuch = true;
  }

  /** BEP 3 has one bitfield; aria2 sends more of them in place of many have messages: the last one says all. */
  bitfield(bytes: Uint8Array): void {
    this.#bits = bytes.slice();
  }

  haveAll(): void {
    this.#all = true;
  }

  allowFast(piece: number): void {
    if (this.allowedFast.length < ALLOWED_FAST_MAX) this.allowedFast.push(piece);
  }

  /** All that was announced, of a torrent of so many pieces. Throws PeerError for what such a torrent does not have. */
  piecesOf(pieceCount: number): PieceSet {
    if (this.#isTooMuch)
      throw new PeerError("PEER_USELESS", "it announced more than is kept before the metadata is there");
    const pieces = new PieceSet(pieceCount);
    if (this.#bits !== undefined && !pieces.assign(this.#bits)) {
      throw new PeerError("PEER_MESSAGE_MALFORMED", "bitfield of another torrent", {
        expected: `${Math.ceil(pieceCount / 8)} bytes with clear spare bits`,
        received: `${this.#bits.length} bytes`,
      });
    }
    if (this.#all) pieces.fill();
    for (const piece of [...this.#single, ...this.allowedFast]) {
      if (piece < pieceCount) continue;
      throw new PeerError("PEER_PIECE_RANGE", "announced a piece that does not exist", {
        expected: `0 to ${pieceCount - 1}`,
        received: `${piece}`,
      });
    }
    for (const piece of this.#single) pieces.add(piece);
    return pieces;
  }
}
