// BEP 40: a number for each pair of addresses, the same on both sides, by which peers choose whom to connect to when there are more
// than they can. It spreads a swarm's connections evenly, and nobody can put himself first with everybody.
//
// Always: the same for (a, b) as for (b, a); a peer near by (in our own network) is told apart by its whole address.

import { assert, entryOf } from "../../base/assert.js";
import { addressBytes } from "../../base/network-address.js";

const POLYNOMIAL = 0x82f63b78;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value >>> 0;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ entryOf(TABLE, (value ^ byte) & 255);
  return (value ^ 0xffffffff) >>> 0;
}

/**
 * 0 … 2^32 − 1, higher is to be preferred. 0 where the addresses cannot be compared: not numeric, or of different kinds. The ports
 * count only between peers of one address.
 */
export function canonicalPriority(
  a: { readonly host: string; readonly port: number },
  b: { readonly host: string; readonly port: number },
): number {
  const [first, second] = [addressBytes(a.host), addressBytes(b.host)];
  if (first === undefined || second === undefined || first.length !== second.length) return 0;
  if (Buffer.compare(first, second) === 0) return crc32c(sorted(portBytes(a.port), portBytes(b.port)));
  mask(first, second);
  return crc32c(sorted(first, second));
}

/** Leaves the network of both, and of each byte behind it every other bit: FF.FF.55.55, or more where they have more in common. */
function mask(a: Uint8Array, b: Uint8Array): void {
  assert(a.length === b.length, "addresses of one kind are compared");
  // IPv4: whole to /16, /24 or all of it; IPv6: to /48, /56, and so on.
  const least = a.length === 4 ? 2 : 6;
  let common = 0;
  while (common < a.length && a[common] === b[common]) common++;
  const whole = common < least ? least : Math.min(a.length, common + 1);
  for (let at = whole; at < a.length; at++) {
    a[at] = entryOf(a, at) & 0x55;
    b[at] = entryOf(b, at) & 0x55;
  }
}

function sorted(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Buffer.concat(Buffer.compare(a, b) <= 0 ? [a, b] : [b, a]);
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 255);
}
