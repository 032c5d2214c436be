// The allowed fast set of BEP 6: the few pieces that a choked peer may request all the same, so that a newcomer has
// something to trade. It follows from the torrent and the peer's network alone, so a peer cannot get other pieces by
// connecting again, or from a second address of its network.

import { createHash } from "node:crypto";
import { assert } from "../../base/assert.js";
import { compactAddress } from "../../codec/compact-address.js";
import { readUint32 } from "./decode.js";

/** Pieces in the set, as the BEP suggests. */
export const ALLOWED_FAST_COUNT = 10;

/**
 * The set for a peer at `host`, in the order of the BEP: `count` pieces, or all if the torrent has no more. Empty for an
 * address that is not IPv4: the BEP defines no other.
 */
export function allowedFastSet(
  host: string,
  infoHash: Uint8Array,
  pieceCount: number,
  count: number = ALLOWED_FAST_COUNT,
): number[] {
  assert(infoHash.length === 20 && pieceCount >= 0, "a torrent has an info hash and pieces");
  const address = compactAddress(host);
  if (address === undefined || address.length !== 4) return [];
  // More than half of a small torrent by drawing lots takes long: for those the whole is given, and nothing is lost.
  if (pieceCount <= count) return Array.from({ length: pieceCount }, (_, piece) => piece);
  const pieces = new Set<number>();
  address[3] = 0;
  let digest: Uint8Array = Buffer.concat([address, infoHash]);
  while (pieces.size < count) {
    digest = createHash("sha1").update(digest).digest();
    for (let at = 0; at < 20 && pieces.size < count; at += 4) pieces.add(readUint32(digest, at) % pieceCount);
  }
  return [...pieces];
}
