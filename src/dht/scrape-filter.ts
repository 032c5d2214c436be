// Filters of BEP 33: 256 bytes in which the addresses of a torrent's seeds, or of its other peers, leave two bits each, so that what several nodes
// know can be put together without counting anybody twice. How many addresses there are is told by the bits that are left.
//
// Always: an address sets the same bits everywhere, whatever its port; filters are combined by or.

import { createHash } from "node:crypto";
import { BLOOM_BYTES } from "./krpc-reader.js";

const BITS = 8 * BLOOM_BYTES;
const FUNCTIONS = 2;

/** Notes an address, 4 or 16 bytes, in the filter that begins at `at`. */
export function addToFilter(filter: Uint8Array, at: number, address: Uint8Array): void {
  const digest = createHash("sha1").update(address).digest();
  for (let index = 0; index < FUNCTIONS; index++) {
    const bit = (digest[2 * index]! | (digest[2 * index + 1]! << 8)) % BITS;
    filter[at + (bit >> 3)] = filter[at + (bit >> 3)]! | (1 << (bit & 7));
  }
}

/** How many addresses a filter has noted, about: not a whole number. Full filters, which say nothing, give the most that one can say. */
export function estimateOf(filter: Uint8Array): number {
  let zeros = 0;
  for (let at = 0; at < BLOOM_BYTES; at++)
    for (let bit = 0; bit < 8; bit++) if ((filter[at]! & (1 << bit)) === 0) zeros++;
  const left = Math.max(1, zeros);
  return left === BITS ? 0 : Math.log(left / BITS) / (FUNCTIONS * Math.log(1 - 1 / BITS));
}

/** Who says so much more than most is believed no more than this many times what most say. */
const MEDIAN_FACTOR = 4;
const ESTIMATE_SMALL = 32;

/** What several filters say together; those that say much more than the others are left out. */
export function estimateTogether(filters: readonly Uint8Array[]): number {
  const estimates = filters.map(estimateOf);
  const median = [...estimates].sort((a, b) => a - b)[Math.floor((filters.length - 1) / 2)] ?? 0;
  const most = Math.max(ESTIMATE_SMALL, MEDIAN_FACTOR * median);
  const together = new Uint8Array(BLOOM_BYTES);
  for (const [index, filter] of filters.entries())
    if (estimates[index]! <= most)
      for (let at = 0; at < BLOOM_BYTES; at++) together[at] = together[at]! | filter[at]!;
  return estimateOf(together);
}
