// Ids of nodes and keys of the DHT: 160 bits, 20 bytes at an offset, so that they are read where packets and tables have them.
// Nearness is exclusive or (Maymounkov and Mazieres 2002); the natural order of ids is close to it, and what caches sort by.
//
// Always: pure arithmetic over bytes; nothing is allocated but by functions that make an id.

import { assert } from "../base/assert.js";

export const ID_BYTES = 20;
export const ID_BITS = 160;
/** Ids derived from one root differ in these first bits at the most: more virtual nodes than 2^32 there are not. */
const DERIVED_BITS = 32;

/** How many bits at the beginning two ids share; ID_BITS if they are equal. */
export function commonBits(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let index = 0; index < ID_BYTES; index++) {
    const difference = a[aAt + index]! ^ b[bAt + index]!;
    if (difference !== 0) return 8 * index + Math.clz32(difference) - 24;
  }
  return ID_BITS;
}

/** Natural order: below 0 if `a` comes first, 0 if both are equal. */
export function compareIds(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let index = 0; index < ID_BYTES; index++) {
    const difference = a[aAt + index]! - b[bAt + index]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** By nearness to a target: below 0 if `a` is nearer, 0 if both are equal. */
export function compareDistance(
  target: Uint8Array,
  targetAt: number,
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
): number {
  for (let index = 0; index < ID_BYTES; index++) {
    const byte = target[targetAt + index]!;
    const difference = (a[aAt + index]! ^ byte) - (b[bAt + index]! ^ byte);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function sameId(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  return compareIds(a, aAt, b, bAt) === 0;
}

/** Bit `bit` of an id, 0 being the first. */
export function idBit(id: Uint8Array, at: number, bit: number): number {
  return (id[at + (bit >> 3)]! >> (7 - (bit & 7))) & 1;
}

/**
 * The id of virtual node `index` of a root: the index, its bits turned round, is put upon the first bits, so that for any power of two
 * each prefix of so many bits has exactly one (Grunthal 2010, "staggered node ids").
 */
export function derivedId(root: Uint8Array, index: number): Uint8Array {
  assert(root.length === ID_BYTES && Number.isInteger(index) && index >= 0, "an id is derived by a number");
  const id = root.slice();
  for (let bit = 0; bit < DERIVED_BITS; bit++)
    if (((index >>> bit) & 1) === 1) id[bit >> 3] = id[bit >> 3]! ^ (0x80 >> (bit & 7));
  return id;
}

/** What of an address an id answers for (BEP 42): so that who has one address, or one network, cannot have all ids. */
const MASK_V4 = Uint8Array.of(0x03, 0x0f, 0x3f, 0xff);
const MASK_V6 = Uint8Array.of(0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff);
const CRC32C_POLYNOMIAL = 0x82f63b78;
const masked = new Uint8Array(8);

/** Puts what BEP 42 has an address' ids begin with upon an id: 21 bits, and the last byte, from which they come. */
export function secureId(id: Uint8Array, address: Uint8Array, dice: number): Uint8Array {
  assert(id.length === ID_BYTES && (dice & 0xff) === dice, "a byte of chance makes an id");
  const checksum = addressChecksum(address, 0, address.length, dice);
  const secured = id.slice();
  secured[0] = checksum >>> 24;
  secured[1] = (checksum >>> 16) & 0xff;
  secured[2] = ((checksum >>> 8) & 0xf8) | (id[2]! & 0x07);
  secured[ID_BYTES - 1] = dice;
  return secured;
}

/** True if an id is one that BEP 42 allows to an address; those of the machine itself and of local networks have any. */
export function isSecureId(
  id: Uint8Array,
  at: number,
  address: Uint8Array,
  addressAt: number,
  addressBytes: number,
): boolean {
  if (isLocalAddress(address, addressAt, addressBytes)) return true;
  const checksum = addressChecksum(address, addressAt, addressBytes, id[at + ID_BYTES - 1]!);
  return (
    id[at] === checksum >>> 24 &&
    id[at + 1] === ((checksum >>> 16) & 0xff) &&
    (id[at + 2]! & 0xf8) === ((checksum >>> 8) & 0xf8)
  );
}

/** Loopback, link-local and private networks, of 4 or 16 bytes. */
export function isLocalAddress(bytes: Uint8Array, at: number, length: number): boolean {
  const first = bytes[at]!;
  const second = bytes[at + 1]!;
  if (length === 4)
    return (
      first === 127 ||
      first === 10 ||
      (first === 192 && second === 168) ||
      (first === 172 && (second & 0xf0) === 16) ||
      (first === 169 && second === 254)
    );
  if ((first === 0xfe && (second & 0xc0) === 0x80) || (first & 0xfe) === 0xfc) return true;
  for (let index = 0; index < 15; index++) if (bytes[at + index] !== 0) return false;
  return bytes[at + 15] === 1;
}

function addressChecksum(address: Uint8Array, at: number, length: number, dice: number): number {
  const mask = length === 4 ? MASK_V4 : MASK_V6;
  for (let index = 0; index < mask.length; index++) masked[index] = address[at + index]! & mask[index]!;
  masked[0] = masked[0]! | ((dice & 7) << 5);
  return crc32c(masked, mask.length);
}

function crc32c(bytes: Uint8Array, length: number): number {
  let crc = 0xffffffff;
  for (let index = 0; index < length; index++) {
    crc ^= bytes[index]!;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? CRC32C_POLYNOMIAL : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
