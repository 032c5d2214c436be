// The filters of BEP 33 that a node answers with: for torrents that were announced to it of late, two of seeds and two of other peers, one of each
// for this stretch of time and one for the last. Filters cannot forget: after a stretch the older ones are emptied and go on.
//
//   slot: seeds, peers of one stretch │ seeds, peers of the other       1,024 bytes
//
// Always: memory is bounded, and taken when it is first used; the torrent that was announced longest ago makes room. A peer is told of for a stretch
// at the least, and for two at the most.

import { BLOOM_BYTES } from "./krpc-reader.js";
import { addToFilter } from "./scrape-filter.js";

export const SCRAPE_TORRENTS_MAX = 4096;
/** Two of them are what a peer is kept for. */
const STRETCH_MS = 22 * 60_000;
const STRETCH_BYTES = 2 * BLOOM_BYTES;
const SLOT_BYTES = 2 * STRETCH_BYTES;

interface Slot {
  readonly index: number;
  stretch: number;
}

export class ScrapeFilters {
  /** What was copied last: of other peers, then of seeds, as an answer has them. */
  readonly peers = new Uint8Array(BLOOM_BYTES);
  readonly seeds = new Uint8Array(BLOOM_BYTES);
  /** Torrents that made room for others. */
  replaced = 0;
  readonly #slots = new Map<string, Slot>();
  #memory = new Uint8Array(0);

  get bytes(): number {
    return this.#memory.length;
  }

  /** `address`, 4 or 16 bytes, has announced a torrent (20 bytes). */
  announced(infoHash: Uint8Array, address: Uint8Array, isSeed: boolean, nowMs: number): void {
    const key = keyOf(infoHash);
    const slot = this.#slots.get(key) ?? this.#makeSlot();
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    this.#advance(slot, nowMs);
    addToFilter(this.#memory, this.#at(slot, slot.stretch) + (isSeed ? 0 : BLOOM_BYTES), address);
  }

  /** Fills `peers` and `seeds` in; false if nobody has announced the torrent of late. */
  copy(infoHash: Uint8Array, nowMs: number): boolean {
    const slot = this.#slots.get(keyOf(infoHash));
    if (slot === undefined) return false;
    this.#advance(slot, nowMs);
    const [one, other] = [this.#at(slot, 0), this.#at(slot, 1)];
    for (let at = 0; at < BLOOM_BYTES; at++) {
      this.seeds[at] = this.#memory[one + at]! | this.#memory[other + at]!;
      this.peers[at] = this.#memory[one + BLOOM_BYTES + at]! | this.#memory[other + BLOOM_BYTES + at]!;
    }
    return true;
  }

  #makeSlot(): Slot {
    let index = this.#slots.size;
    if (index === SCRAPE_TORRENTS_MAX) {
      for (const [key, oldest] of this.#slots) {
        this.#slots.delete(key);
        index = oldest.index;
        break;
      }
      this.#memory.fill(0, SLOT_BYTES * index, SLOT_BYTES * (index + 1));
      this.replaced++;
    } else if (SLOT_BYTES * (index + 1) > this.#memory.length) {
      const grown = new Uint8Array(Math.max(16 * SLOT_BYTES, 2 * this.#memory.length));
      grown.set(this.#memory);
      this.#memory = grown;
    }
    return { index, stretch: -1 };
  }

  /** Empties what is over. */
  #advance(slot: Slot, nowMs: number): void {
    const stretch = Math.floor(nowMs / STRETCH_MS);
    if (slot.stretch === stretch) return;
    const wasLast = slot.stretch === stretch - 1;
    slot.stretch = stretch;
    this.#clear(slot, stretch);
    if (!wasLast) this.#clear(slot, stretch + 1);
  }

  #clear(slot: Slot, stretch: number): void {
    const at = this.#at(slot, stretch);
    this.#memory.fill(0, at, at + STRETCH_BYTES);
  }

  #at(slot: Slot, stretch: number): number {
    return SLOT_BYTES * slot.index + STRETCH_BYTES * (stretch & 1);
  }
}

function keyOf(infoHash: Uint8Array): string {
  return Buffer.from(infoHash.buffer, infoHash.byteOffset, infoHash.byteLength).toString("latin1");
}
