// Where a torrent's record is: a table of 4-byte entries, found by the keyed hash of the info hash, with linear probing.
//
//   entry   0: empty, else   │ tag: low bits of the hash │ number of the record + 1 │
//
// The table doubles and halves without a pause: old and new stand side by side while each insertion moves a stretch of entries.
// A stretch ends at an empty place, so that no probe sequence is torn: whoever's home was moved is in the new table, everybody
// else in the old one.
//
// There are two regions for tables, reserved at the start, and one that grows or shrinks goes from the one to the other: nothing is
// allocated on the way, what was moved leaves zeros, and its pages are given back as they fall empty. Where the tables are, and how
// large, is in memory that several threads may share.
//
// Always: an entry names one live record, and each live record has one entry. At most 3/4 of a table are in use (a little
// more of the old one while it is moved).
//
// One file, because finding, changing and moving entries have to agree on which table an entry is in.

import { assert, entryOf } from "../../base/assert.js";
import type { AheadFindings } from "./ahead-findings.js";

export const INDEX_BITS_MIN = 10;
const INDEX_ENTRIES_MIN = 2 ** INDEX_BITS_MIN;
/** Places of the old table that one insertion or removal moves, at least, while there is an old one. */
const MOVED_PER_CHANGE = 32;

/** What is given back at one time: 1 MiB. */
const RELEASED_BITS = 18;

/** What hashes records again, when their entries move. */
export interface RecordHashes {
  /** The hash of record `record`, 32 bits with sign. */
  hashOf(record: number): number;
}

type Memory = ArrayBuffer | SharedArrayBuffer;

/** Where tables are. All of it is zeros at first, or what another thread has made of it. */
export interface IndexMemory {
  /** INDEX_STATE_BYTES. */
  readonly state: Memory;
  /** Of tables whose number of bits is even, and odd: the larger one has room for the largest table, the other for half of it. */
  readonly regions: readonly [Memory, Memory];
  /** Gives memory back that holds zeros only, and is zeros when it is used again. */
  readonly release?: ((memory: Uint8Array) => void) | undefined;
}

/** Memory for so many records. */
export function makeIndexMemory(
  recordsMax: number,
  small: (bytes: number) => Memory,
  reserve: (bytes: number) => Memory,
  release: IndexMemory["release"],
): IndexMemory {
  const most = indexBytesMax(recordsMax);
  const isOdd = Math.log2(most / 4) % 2 === 1;
  const state = small(INDEX_STATE_BYTES);
  return { state, regions: [reserve(isOdd ? most / 2 : most), reserve(isOdd ? most : most / 2)], release };
}

// What the state holds: of the table and of the old one, which place they have and how many bits of the hash they use; how many
// entries; the first place of the old table that was moved, and how many after it; how often the tables changed; the most bits ever.
const BITS = 0;
const OLD_BITS = 1;
const COUNT = 2;
const OLD_START = 3;
const MOVED = 4;
const CHANGES = 5;
const BITS_MOST = 6;
const STATE_WORDS = 7;
const INDEX_STATE_BYTES = 4 * STATE_WORDS;

/** Bytes of the largest table that so many records need. */
function indexBytesMax(recordsMax: number): number {
  let entries = INDEX_ENTRIES_MIN;
  while ((entries / 4) * 3 <= recordsMax) entries *= 2;
  return 4 * entries;
}

export class TorrentIndex {
  readonly #records: RecordHashes;
  readonly #memory: IndexMemory;
  readonly #recordBits: number;
  readonly #recordMask: number;
  readonly #state: Int32Array;
  /** What the state says, as views. */
  #entries: Uint32Array;
  #shift: number;
  #old: Uint32Array | undefined;
  #oldShift = 0;
  #changes = 0;

  /** `recordsMax`: records are numbered below it. */
  constructor(records: RecordHashes, recordsMax: number, memory: IndexMemory) {
    this.#memory = memory;
    const bits = Math.ceil(Math.log2(recordsMax + 1));
    assert(bits <= 30, "an entry has room for a number and a tag");
    this.#records = records;
    this.#recordBits = bits;
    this.#recordMask = 2 ** bits - 1;
    this.#state = new Int32Array(memory.state, 0, STATE_WORDS);
    if (this.#state[BITS] === 0) {
      this.#state[BITS] = INDEX_BITS_MIN;
      this.#state[BITS_MOST] = INDEX_BITS_MIN;
    }
    this.#entries = this.#table(this.#state[BITS]!);
    this.#shift = 32 - this.#state[BITS]!;
    this.refresh();
  }

  /** Sees what another thread made of the tables. */
  refresh(): void {
    const state = this.#state;
    if (this.#changes === state[CHANGES]) return;
    const oldBits = state[OLD_BITS]!;
    this.#changes = state[CHANGES]!;
    this.#shift = 32 - state[BITS]!;
    this.#entries = this.#table(state[BITS]!);
    this.#oldShift = 32 - oldBits;
    this.#old = oldBits === 0 ? undefined : this.#table(oldBits);
  }

  /** Forgets all entries, whatever state the tables are in. */
  clear(): void {
    const state = this.#state;
    state[BITS] = INDEX_BITS_MIN;
    state[OLD_BITS] = 0;
    state[COUNT] = 0;
    state[CHANGES]!++;
    this.refresh();
    const entries = 2 ** state[BITS_MOST]!;
    for (const region of this.#memory.regions)
      new Uint32Array(region, 0, Math.min(entries, region.byteLength / 4)).fill(0);
  }

  get bytes(): number {
    return this.#entries.byteLength + (this.#old?.byteLength ?? 0);
  }

  /** Bytes that there will be when one entry more is added. */
  get bytesNext(): number {
    return this.bytes + (this.#mustGrow() ? 2 * this.#entries.byteLength : 0);
  }

  get count(): number {
    return this.#state[COUNT]!;
  }

  /** Of the table that entries go to: it has 2^bits places, and is in the region of this parity. */
  get bits(): number {
    return this.#state[BITS]!;
  }

  /** While entries move to it: bytes of it that are filled, from its beginning on. −1 while none move. */
  get filledBytes(): number {
    const old = this.#old;
    if (old === undefined) return -1;
    const places = this.#state[OLD_START]! + this.#state[MOVED]!;
    return Math.min(this.#entries.byteLength, places * (this.#entries.length / old.length) * 4);
  }

  /** Fetches what find() will need first, of the hashes that entries `from` to before `to` of `order` name. */
  touch(hashes: Int32Array, found: AheadFindings, order: Uint16Array, from: number, to: number): void {
    const entries = this.#entries;
    const shift = this.#shift;
    const { runs } = found;
    let end = 0;
    for (let next = from; next < to; next++) {
      runs[end++] = hashes[order[next]!]! >>> shift;
      runs[end++] = 1;
    }
    found.fetch(entries, end);
  }

  /**
   * Sets the record of each of these hashes: the first one from its home that may be the one, −1 if there is none; and fetches its slot (of
   * 8 words). Loads as find() does, and compares tags only. Ends even if another thread changes the table meanwhile.
   */
  candidates(
    hashes: Int32Array,
    found: AheadFindings,
    order: Uint16Array,
    from: number,
    to: number,
    slots: Uint32Array,
  ): void {
    const { records, runs } = found;
    const tagMask = ~this.#recordMask;
    const recordMask = this.#recordMask;
    const recordBits = this.#recordBits;
    const hasOld = this.#old !== undefined;
    let entries = this.#entries;
    let shift = this.#shift;
    let end = 0;
    for (let next = from; next < to; next++) {
      const index = order[next]!;
      const hash = hashes[index]!;
      if (hasOld) {
        entries = this.#tableOf(hash);
        shift = entries === this.#entries ? this.#shift : this.#oldShift;
      }
      const mask = entries.length - 1;
      const tag = hash << recordBits;
      let place = hash >>> shift;
      let record = -1;
      for (let probes = 0; probes <= mask; probes++) {
        const entry = entries[place]! | 0;
        if (entry === 0) break;
        if ((entry & tagMask) === tag) {
          record = (entry & recordMask) - 1;
          break;
        }
        place = (place + 1) & mask;
      }
      records[index] = record;
      if (record < 0) continue;
      runs[end++] = record * 8;
      runs[end++] = 1;
    }
    found.fetch(slots, end);
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
    assert(record >= 0 && record < this.#recordMask, "an entry has room for the record's number");
    if (this.#old !== undefined) this.#move();
    else if (this.#mustGrow()) this.#resize(this.#state[BITS]! + 1);
    this.#put(this.#tableOf(hash), hash, record);
    this.#state[COUNT]!++;
  }

  /** `bytesLeft`: what a smaller table may take while the larger one is still there. */
  remove(hash: number, record: number, bytesLeft: number): void {
    assert(this.#state[COUNT]! > 0, "what is removed was added");
    const entries = this.#tableOf(hash);
    this.#take(entries, entries === this.#entries ? this.#shift : this.#oldShift, hash, record);
    this.#state[COUNT]!--;
    if (this.#old !== undefined) this.#move();
    else if (
      this.#entries.length > INDEX_ENTRIES_MIN &&
      this.#state[COUNT]! < this.#entries.length / 8 &&
      this.#entries.byteLength / 2 <= bytesLeft
    )
      this.#resize(this.#state[BITS]! - 1);
  }

  /** The record has another number from now on. */
  renumber(hash: number, from: number, to: number): void {
    assert(to >= 0 && to < from, "a record moves down, into a gap");
    const entries = this.#tableOf(hash);
    const shift = entries === this.#entries ? this.#shift : this.#oldShift;
    const place = this.#placeOf(entries, shift, hash, from);
    entries[place] = this.#tagOf(hash) | (to + 1);
  }

  /** Each entry of both tables is found from its home, and they are as many as are counted. For tests. */
  checkInvariants(): void {
    let count = 0;
    for (const entries of this.#old === undefined ? [this.#entries] : [this.#entries, this.#old])
      for (const [place, entry] of entries.entries()) {
        if (entry === 0) continue;
        const record = (entry & this.#recordMask) - 1;
        const hash = this.#records.hashOf(record);
        const shift = entries === this.#entries ? this.#shift : this.#oldShift;
        assert(this.#tableOf(hash) === entries, "an entry is in the table that its home is in");
        assert(this.#placeOf(entries, shift, hash, record) === place, "a record has one entry");
        assert((entry & ~this.#recordMask) === this.#tagOf(hash), "an entry has the tag of its record");
        count++;
      }
    assert(count === entryOf(this.#state, COUNT), "the index counts its entries");
    assert(4 * count <= 3 * this.#entries.length + 4 || this.#old !== undefined, "some places are empty");
  }

  /** There are zeros: whatever was moved from there left one. */
  #table(bits: number): Uint32Array {
    return new Uint32Array(this.#memory.regions[(bits & 1) as 0 | 1], 0, 2 ** bits);
  }

  #mustGrow(): boolean {
    return this.#old === undefined && this.#state[COUNT]! >= (this.#entries.length / 4) * 3;
  }

  #tagOf(hash: number): number {
    // The low bits of the hash, so that home and tag have as little in common as there is room for.
    return hash << this.#recordBits;
  }

  #tableOf(hash: number): Uint32Array {
    const old = this.#old;
    if (old === undefined) return this.#entries;
    const distance = ((hash >>> this.#oldShift) - this.#state[OLD_START]!) & (old.length - 1);
    return distance < this.#state[MOVED]! ? this.#entries : old;
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

  #resize(bits: number): void {
    const state = this.#state;
    const old = this.#entries;
    assert(this.#old === undefined, "one move ends before the next one begins");
    assert(Math.abs(bits - state[BITS]!) === 1, "entries go from the one region to the other");
    let start = 0;
    while (old[start] !== 0) start++;
    this.#old = old;
    this.#oldShift = this.#shift;
    state[OLD_BITS] = state[BITS]!;
    state[OLD_START] = start;
    state[MOVED] = 0;
    this.#entries = this.#table(bits);
    this.#shift = 32 - bits;
    state[BITS] = bits;
    if (bits > state[BITS_MOST]!) state[BITS_MOST] = bits;
    this.#changed();
    this.#move();
  }

  #changed(): void {
    this.#changes = (this.#state[CHANGES]! + 1) | 0;
    this.#state[CHANGES] = this.#changes;
  }

  /** Moves a stretch: MOVED_PER_CHANGE places, and on to the next empty one. */
  #move(): void {
    const state = this.#state;
    const old = this.#old;
    assert(old !== undefined, "something moves while there is an old table");
    const mask = old.length - 1;
    let moved = state[MOVED]!;
    const end = moved + MOVED_PER_CHANGE;
    for (; ; moved++) {
      const place = (state[OLD_START]! + moved) & mask;
      const entry = old[place]!;
      if (entry === 0) {
        if (moved >= old.length) {
          this.#release(old, 0);
          this.#old = undefined;
          state[OLD_BITS] = 0;
          this.#changed();
          return;
        }
        if (moved >= end) break;
        continue;
      }
      old[place] = 0;
      const record = (entry & this.#recordMask) - 1;
      this.#put(this.#entries, this.#records.hashOf(record), record);
    }
    // The first stretch is empty last, as the move begins in it.
    const stretch = (state[OLD_START]! + moved) >>> RELEASED_BITS;
    if (stretch !== (state[OLD_START]! + state[MOVED]!) >>> RELEASED_BITS && stretch > 1)
      this.#release(old, stretch - 1);
    state[MOVED] = moved;
  }

  #release(old: Uint32Array, stretch: number): void {
    const from = stretch << RELEASED_BITS;
    const entries = Math.min(1 << RELEASED_BITS, old.length - from);
    assert(from >= 0 && entries > 0, "what is given back is of the table");
    if (entries === 1 << RELEASED_BITS)
      this.#memory.release?.(new Uint8Array(old.buffer, old.byteOffset + 4 * from, 4 * entries));
  }
}
