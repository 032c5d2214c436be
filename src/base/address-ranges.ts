// Ranges of numeric addresses, as lists of addresses that are to be kept out have them, and whether an address lies in one.
//
// Read line by line, of whichever kind each line is:
//
//   001.002.003.000 - 001.002.003.255 , 000 , name     .dat (eMule): kept out where the level is below 128
//   name:1.2.3.0-1.2.3.255                             .p2p (PeerGuardian); IPv4 only, since names have colons
//   1.2.3.0/24, 2001:db8::/32, 1.2.3.4                 CIDR, or one address
//   2001:db8:: - 2001:db8::ff                          first and last
//
// Always: ranges are sorted, and neither overlap nor touch; a lookup is a binary search and allocates nothing but the address's bytes.
// An IPv4 address mapped into IPv6 is that IPv4 address.

import { assert, entryOf } from "./assert.js";
import { addressBytes } from "./network-address.js";

/** In files of eMule, what is let in has a level of so much. */
const LEVEL_LET_IN = 128;
const COMMENT = /^\s*(?:#|\/\/|;|$)/;
const DAT =
  /^\s*([\d.]+|[\da-f:.]*:[\da-f:.]*)\s*-\s*([\d.]+|[\da-f:.]*:[\da-f:.]*)\s*(?:,\s*(\d+)\s*(?:,.*)?)?$/i;
const P2P = /:\s*(\d[\d.]*)\s*-\s*(\d[\d.]*)\s*$/;
const CIDR = /^\s*([\da-f:.]+)(?:\s*\/\s*(\d{1,3}))?\s*(?:#.*)?$/i;

/** Both ends, as numbers of which the first is the upper half of an IPv6 address, or 0. */
interface Range {
  readonly firstHigh: bigint;
  readonly first: bigint;
  readonly lastHigh: bigint;
  readonly last: bigint;
}

/** Sorted ranges of addresses of one length. */
class Table {
  readonly #firsts: BigUint64Array;
  readonly #lasts: BigUint64Array;

  /** Pairs of 64 bits, upper half first. */
  constructor(ranges: readonly Range[]) {
    this.#firsts = BigUint64Array.from(ranges.flatMap(({ firstHigh, first }) => [firstHigh, first]));
    this.#lasts = BigUint64Array.from(ranges.flatMap(({ lastHigh, last }) => [lastHigh, last]));
  }

  get count(): number {
    return this.#firsts.length / 2;
  }

  has(high: bigint, low: bigint): boolean {
    // The last range that begins at the address, or before.
    let [from, to] = [0, this.count];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (isAbove(this.#firsts, middle, high, low)) to = middle;
      else from = middle + 1;
    }
    return from > 0 && !isBelow(this.#lasts, from - 1, high, low);
  }
}

/** A set of ranges of addresses, as lists of IP filters have them: `.dat`, `.p2p` and CIDR. */
export class AddressRanges {
  readonly #v4: Uint32Array;
  readonly #v6: Table;
  /** Lines that are of no known kind. */
  readonly linesSkipped: number;

  private constructor(v4: readonly Range[], v6: readonly Range[], linesSkipped: number) {
    const joined = joinRanges(v4);
    this.#v4 = Uint32Array.from(joined.flatMap(({ first, last }) => [Number(first), Number(last)]));
    this.#v6 = new Table(joinRanges(v6));
    this.linesSkipped = linesSkipped;
  }

  /** Reads the lines of a list. */
  static parse(text: string): AddressRanges {
    const ranges: { v4: Range[]; v6: Range[] } = { v4: [], v6: [] };
    let skipped = 0;
    for (const line of text.split("\n")) {
      if (COMMENT.test(line)) continue;
      const found = rangeOf(line);
      if (found === undefined) skipped++;
      else if (found !== "let in") ranges[found.isV4 ? "v4" : "v6"].push(found.range);
    }
    return new AddressRanges(ranges.v4, ranges.v6, skipped);
  }

  /** Ranges, those that overlap or touch taken together. */
  get count(): number {
    return this.#v4.length / 2 + this.#v6.count;
  }

  /** False for text that is no numeric address. */
  has(host: string): boolean {
    const bytes = addressBytes(host);
    if (bytes === undefined) return false;
    if (bytes.length === 4) return this.#hasV4(numberOf(bytes));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return this.#v6.has(view.getBigUint64(0), view.getBigUint64(8));
  }

  #hasV4(address: number): boolean {
    const ranges = this.#v4;
    let [from, to] = [0, ranges.length / 2];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (entryOf(ranges, 2 * middle) > address) to = middle;
      else from = middle + 1;
    }
    return from > 0 && address <= entryOf(ranges, 2 * from - 1);
  }
}

function isAbove(ends: BigUint64Array, index: number, high: bigint, low: bigint): boolean {
  const endHigh = entryOf(ends, 2 * index);
  return endHigh === high ? entryOf(ends, 2 * index + 1) > low : endHigh > high;
}

function isBelow(ends: BigUint64Array, index: number, high: bigint, low: bigint): boolean {
  const endHigh = entryOf(ends, 2 * index);
  return endHigh === high ? entryOf(ends, 2 * index + 1) < low : endHigh < high;
}

function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0);
}

function rangeOf(line: string): { readonly isV4: boolean; readonly range: Range } | "let in" | undefined {
  const p2p = P2P.exec(line);
  if (p2p !== null) return between(p2p[1], p2p[2]);
  const dat = DAT.exec(line);
  if (dat !== null) {
    if (dat[3] !== undefined && Number(dat[3]) >= LEVEL_LET_IN) return "let in";
    return between(dat[1], dat[2]);
  }
  const cidr = CIDR.exec(line);
  return cidr === null ? undefined : prefixed(cidr[1], cidr[2]);
}

function between(first = "", last = ""): { isV4: boolean; range: Range } | undefined {
  const [from, to] = [addressBytes(first), addressBytes(last)];
  if (from === undefined || to === undefined || from.length !== to.length) return undefined;
  if (Buffer.compare(from, to) > 0) return undefined;
  return { isV4: from.length === 4, range: { ...halves("first", from), ...halves("last", to) } as Range };
}

function prefixed(host = "", prefix?: string): { isV4: boolean; range: Range } | undefined {
  const from = addressBytes(host);
  if (from === undefined) return undefined;
  const bits = 8 * from.length;
  const kept = prefix === undefined ? bits : Number(prefix);
  if (kept > bits) return undefined;
  const to = Uint8Array.from(from);
  for (let bit = kept; bit < bits; bit++) {
    from[bit >> 3] = entryOf(from, bit >> 3) & ~(128 >> (bit & 7));
    to[bit >> 3] = entryOf(to, bit >> 3) | (128 >> (bit & 7));
  }
  return { isV4: from.length === 4, range: { ...halves("first", from), ...halves("last", to) } as Range };
}

function halves(name: "first" | "last", bytes: Uint8Array): Partial<Range> {
  if (bytes.length === 4) return { [`${name}High`]: 0n, [name]: BigInt(numberOf(bytes)) };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { [`${name}High`]: view.getBigUint64(0), [name]: view.getBigUint64(8) };
}

const LOW_MAX = 2n ** 64n - 1n;

function compare(aHigh: bigint, a: bigint, bHigh: bigint, b: bigint): number {
  if (aHigh !== bHigh) return aHigh < bHigh ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Sorted, and those that overlap or touch taken together. */
function joinRanges(ranges: readonly Range[]): Range[] {
  const sorted = [...ranges].sort((a, b) => compare(a.firstHigh, a.first, b.firstHigh, b.first));
  const joined: Range[] = [];
  for (const range of sorted) {
    const before = joined.at(-1);
    if (before === undefined || !reaches(before, range)) {
      joined.push(range);
      continue;
    }
    if (compare(before.lastHigh, before.last, range.lastHigh, range.last) >= 0) continue;
    joined[joined.length - 1] = { ...before, lastHigh: range.lastHigh, last: range.last };
  }
  for (const [at, range] of joined.entries())
    assert(at === 0 || !reaches(entryOf(joined, at - 1), range), "ranges neither overlap nor touch");
  return joined;
}

/** True if `next`, which begins no earlier, begins before `range` ends, or just behind it. */
function reaches(range: Range, next: Range): boolean {
  const isLast = range.last === LOW_MAX;
  const behindHigh = isLast ? range.lastHigh + 1n : range.lastHigh;
  const behind = isLast ? 0n : range.last + 1n;
  return compare(next.firstHigh, next.first, behindHigh, behind) <= 0;
}
