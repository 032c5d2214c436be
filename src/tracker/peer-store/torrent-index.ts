// Where a torrent's record is: a table of 4-byte entries, found by the keyed hash of the info hash, with linear probing.
//
//   entry   0: empty, else   │ tag: low bits of the hash │ number of the record + 1 │
//
// The table doubles and halves without a pause: old and new stand side by side while each insertion moves a stretch of entries.
// A stretch ends at an empty place, so that no probe sequence is torn: whoever's home was moved is in the new table, everybody
// else in the old one.
//
// Always: an entry names one live record, and each live record has one entry. At most 3/4 of a table are in use (a little
// more of the old one while it is moved).

import { assert } from "../../base/assert.js";

const INDEX_ENTRIES_MIN = 1024;
/** Places of the old table that one insertion or removal moves, at least, while there is an old one. */
const MOVED_PER_CHANGE = 32;

/** Tables from this size on are memory that was reserved. */
const RESERVED_BYTES_MIN = 2 ** 20;

/** What hashes records again, when their entries move. */
export interface RecordHashes {
  /** The hash of record `record`, 32 bits without sign. */
  hashOf(record: number): number;
}

export class TorrentIndex {
  readonly #records: RecordHashes;
  readonly #reserve: (bytes: number) => ArrayBuffer | SharedArrayBuffer;
  readonly #recordBits: number;
  readonly #recordMask: number;
  #entries: Uint32Array;
  #shift: number;
  #count = 0;
  #old: Uint32Array | undefined;
  #oldShift = 0;
  /** The first place of the old table that was moved, and how many after it. */
  #oldStart = 0;
  #moved = 0;

  /** `recordsMax`: records are numbered below it. */
  constructor(
    records: RecordHashes,
    recordsMax: number,
    reserve: (bytes: number) => ArrayBuffer | SharedArrayBuffer,
  ) {
    this.#reserve = reserve;
    const bits = Math.ceil(Math.log2(recordsMax + 1));
    assert(bits <= 30, "an entry has room for a number and a tag");
    this.#records = records;
    this.#recordBits = bits;
    this.#recordMask = 2 ** bits - 1;
    this.#entries = this.#table(INDEX_ENTRIES_MIN);
    this.#shift = 32 - Math.log2(INDEX_ENTRIES_MIN);
  }

  get bytes(): number {
    return this.#entries.byteLength + (this.#old?.byteLength ?? 0);
  }

  /** Bytes that there will be when one entry more is added. */
  get bytesNext(): number {
    return this.bytes + (this.#mustGrow() ? 2 * this.#entries.byteLength : 0);
  }

  get count(): number {
    return this.#count;
  }

  /** Loads what find() will need first; the number means nothing. */
  touch(hash: number): number {
    return this.#entries[hash >>> this.#shift]!;
  }

  /** The first record from the home of `hash` that may be the one; −1 if there is none. Loads as find() does, and compares tags only. */
  candidate(hash: number): number {
    const entries = this.#tableOf(hash);
    const shift = entries === this.#entries ? this.#shift : this.#oldShift;
    const mask = entries.length - 1;
    const tagMask = ~this.#recordMask;
    const tag = this.#tagOf(hash);
    for (let at = hash >>> shift; ; at = (at + 1) & mask) {
      const entry = entries[at]! | 0;
      if (entry === 0) return -1;
      if ((entry & tagMask) === tag) return (entry & this.#recordMask) - 1;
    }
  }

  /** The record with this hash and these 5 words of info hash in `slots` (records of 8 words), or −1. */
  find(hash: number, words: Uint32Array, at: number, slots: Uint32Array): number {
    const entries = this.#tableOf(hash);
    const shift = entries === this.#entries ? this.#shift : this.#oldShift;
    const mask = entries.length - 1;
    const recordMask = this.#recordMask;
    const tag = this.#tagOf(hash);
    for (let place = hash >>> shift; ; place = (place + 1) & mask) {
      const entry = entries[place]! | 0;
      if (entry === 0) return -1;
      if ((entry & ~recordMask) !== tag) continue;
      const record = (entry & recordMask) - 1;
      const slot = record * 8;
      if (
        slots[slot] === words[at] &&
        slots[slot + 1] === words[at + 1] &&
        slots[slot + 2] === words[at + 2] &&
        slots[slot + 3] === words[at + 3] &&
        slots[slot + 4] === words[at + 4]
      )
        return record;
    }
  }

  add(hash: number, record: number): void {
    if (this.#old !== undefined) this.#move();
    else if (this.#mustGrow()) this.#resize(2 * this.#entries.length);
    this.#put(this.#tableOf(hash), hash, record);
    this.#count++;
  }

  /** `bytesLeft`: what a smaller table may take while the larger one is still there. */
  remove(hash: number, record: number, bytesLeft: number): void {
    const entries = this.#tableOf(hash);
    this.#take(entries, entries === this.#entries ? this.#shift : this.#oldShift, hash, record);
    this.#count--;
    if (this.#old !== undefined) this.#move();
    else if (
      this.#entries.length > INDEX_ENTRIES_MIN &&
      this.#count < this.#entries.length / 8 &&
      this.#entries.byteLength / 2 <= bytesLeft
    )
      this.#resize(this.#entries.length / 2);
  }

  /** The record has another number from now on. */
  renumber(hash: number, from: number, to: number): void {
    const entries = this.#tableOf(hash);
    const shift = entries === this.#entries ? this.#shift : this.#oldShift;
    const place = this.#placeOf(entries, shift, hash, from);
    entries[place] = this.#tagOf(hash) | (to + 1);
  }

  /** Small tables are not worth a mapping of their own. */
  #table(entries: number): Uint32Array {
    const bytes = 4 * entries;
    return bytes < RESERVED_BYTES_MIN
      ? new Uint32Array(entries)
      : new Uint32Array(this.#reserve(bytes), 0, entries);
  }

  #mustGrow(): boolean {
    return this.#old === undefined && this.#count >= (this.#entries.length / 4) * 3;
  }

  #tagOf(hash: number): number {
    // The low bits of the hash, so that home and tag have as little in common as there is room for.
    return hash << this.#recordBits;
  }

  #tableOf(hash: number): Uint32Array {
    const old = this.#old;
    if (old === undefined) return this.#entries;
    const distance = ((hash >>> this.#oldShift) - this.#oldStart) & (old.length - 1);
    return distance < this.#moved ? this.#entries : old;
  }

  #put(entries: Uint32Array, hash: number, record: number): void {
    const shift = entries === this.#entries ? this.#shift : this.#oldShift;
    const mask = entries.length - 1;
    let place = hash >>> shift;
    while (entries[place] !== 0) place = (place + 1) & mask;
    entries[place] = this.#tagOf(hash) | (record + 1);
  }

  #placeOf(entries: Uint32Array, shift: number, hash: number, record: number): number {
    const mask = entries.length - 1;
    let place = hash >>> shift;
    while ((entries[place]! & this.#recordMask) !== record + 1) {
      assert(entries[place] !== 0, "a record that lives has an entry");
      place = (place + 1) & mask;
    }
    return place;
  }

  /** Takes an entry out, and moves those behind it back that would not be found any more. */
  #take(entries: Uint32Array, shift: number, hash: number, record: number): void {
    const mask = entries.length - 1;
    let gap = this.#placeOf(entries, shift, hash, record);
    for (let place = (gap + 1) & mask; entries[place] !== 0; place = (place + 1) & mask) {
      const home = this.#records.hashOf((entries[place]! & this.#recordMask) - 1) >>> shift;
      // Its home is behind the gap: it is found where it is.
      if (((place - home) & mask) < ((place - gap) & mask)) continue;
      entries[gap] = entries[place]!;
      gap = place;
    }
    entries[gap] = 0;
  }

  #resize(length: number): void {
    const old = this.#entries;
    let start = 0;
    while (old[start] !== 0) start++;
    this.#old = old;
    this.#oldShift = this.#shift;
    this.#oldStart = start;
    this.#moved = 0;
    this.#entries = this.#table(length);
    this.#shift = 32 - Math.log2(length);
    this.#move();
  }

  /** Moves a stretch: MOVED_PER_CHANGE places, and on to the next empty one. */
  #move(): void {
    const old = this.#old!;
    const mask = old.length - 1;
    const end = this.#moved + MOVED_PER_CHANGE;
    for (; ; this.#moved++) {
      const place = (this.#oldStart + this.#moved) & mask;
      const entry = old[place]!;
      if (entry === 0) {
        if (this.#moved >= old.length) {
          this.#old = undefined;
          return;
        }
        if (this.#moved >= end) return;
        continue;
      }
      old[place] = 0;
      const record = (entry & this.#recordMask) - 1;
      this.#put(this.#entries, this.#records.hashOf(record), record);
    }
  }
}
