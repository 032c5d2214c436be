// The tables of an index, populated ahead of their use: the one that entries move to, and the first of the next one when the table is
// nearly full or nearly empty.
//
// Always: what is populated and not filled is no more than what some thousand torrents need, to the end of a large page.

import { type Populate, PopulatedAhead } from "./populated-ahead.js";
import { INDEX_BITS_MIN, type IndexMemory, type TorrentIndex } from "./torrent-index.js";

/** Entries that 16,000 torrents move, which is what comes while memory for them is found. */
const AHEAD_BYTES = 2 ** 22;
/** The next table is near when so many sixteenths of this one are in use, or so few sixty-fourths: it changes at 12 and at 8. */
const NEARLY_FULL = 11;
const NEARLY_EMPTY = 9;

export class TablesAhead {
  readonly #index: TorrentIndex;
  /** Of tables whose number of bits is even, and odd. */
  readonly #regions: readonly [PopulatedAhead, PopulatedAhead];
  /** The table of the last look, and whether the one before it is still to be forgotten. */
  #bits: number;
  #isLeft = false;

  /** `parts`: how many indices share the torrents. */
  constructor(index: TorrentIndex, { regions }: IndexMemory, populate: Populate, parts = 1) {
    this.#index = index;
    this.#bits = index.bits;
    this.#regions = [
      new PopulatedAhead(regions[0], AHEAD_BYTES, populate, parts),
      new PopulatedAhead(regions[1], AHEAD_BYTES, populate, parts),
    ];
  }

  /** Bytes that were populated beyond what is filled, and of the table that comes next. */
  get bytes(): number {
    const { bits, filledBytes } = this.#index;
    const filled = filledBytes < 0 ? 4 * 2 ** bits : filledBytes;
    const beyond = Math.max(0, this.#region(bits).bytes - filled);
    return filledBytes < 0 ? beyond + this.#region(bits + 1).bytes : beyond;
  }

  advance(): void {
    const { bits, count, filledBytes } = this.#index;
    const entries = 2 ** bits;
    if (bits !== this.#bits) this.#isLeft = true;
    this.#bits = bits;
    if (filledBytes >= 0) {
      this.#region(bits).advance(filledBytes, 4 * entries);
      return;
    }
    const other = this.#region(bits + 1);
    // The largest table is full enough at the end to have a next one, but has none.
    const isLargest = 8 * entries > other.length;
    // The table that all entries have left was given back.
    if (this.#isLeft) other.forget();
    this.#isLeft = false;
    if (16 * count > NEARLY_FULL * entries && !isLargest) other.advance(0, 8 * entries);
    else if (bits > INDEX_BITS_MIN && 64 * count < NEARLY_EMPTY * entries) other.advance(0, 2 * entries);
  }

  #region(bits: number): PopulatedAhead {
    return this.#regions[(bits & 1) as 0 | 1];
  }
}
