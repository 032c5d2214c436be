// A node of the DHT as we know it: its id and address as packets have them, and what became of our queries. Shared by the table, by
// lookups and by their cache, so that what one learns about it all know.
//
// Always: the bytes never change; a node that comes with another id or from another address is another contact.

import { mayNameBytes } from "../base/network-address.js";
import { addressText } from "../codec/compact-address.js";
import { compareIds, ID_BYTES } from "./node-id.js";

export type Family = 4 | 6;

export function addressBytesOf(family: Family): number {
  return family === 4 ? 4 : 16;
}

export class Contact {
  /** Id, address, port: NODE_BYTES_V4 or NODE_BYTES_V6, as in `nodes`. */
  readonly compact: Uint8Array;
  readonly family: Family;
  /** When it last answered a query of ours; −1: never. Nobody else's word counts. */
  answeredMs = -1;
  /** Round trip of the last answer. */
  roundTripMs = 0;
  /** Queries in a row that were not answered. */
  failures = 0;
  /** BEP 42: its id is one that its address may have. */
  isSecure = false;
  /** Its id is nearer to a torrent's hash that was looked up than chance has it: whoever has it may have picked it for that. */
  isPicked = false;

  constructor(compact: Uint8Array, family: Family) {
    this.compact = compact;
    this.family = family;
  }

  get addressBytes(): number {
    return addressBytesOf(this.family);
  }

  get port(): number {
    const at = ID_BYTES + this.addressBytes;
    return (this.compact[at]! << 8) | this.compact[at + 1]!;
  }

  get host(): string {
    return addressText(this.compact.subarray(ID_BYTES, ID_BYTES + this.addressBytes)) ?? "";
  }
}

/** Where an id is among contacts in the order of their ids, or would be. */
export function contactIndex(contacts: readonly Contact[], id: Uint8Array): number {
  let low = 0;
  let high = contacts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareIds(contacts[middle]!.compact, 0, id, 0) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What tells endpoints apart, to look for one: a number for IPv4 (48 bits), a text for IPv6. `at`: of the address, with its port behind it. */
export function endpointKey(bytes: Uint8Array, at: number, family: Family): number | string {
  if (family === 4) return networkKeyV4(bytes, at) * 0x10000 + ((bytes[at + 4]! << 8) | bytes[at + 5]!);
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, 18).toString("latin1");
}

/** What tells addresses apart, whatever their ports. */
export function addressKey(bytes: Uint8Array, at: number, family: Family): number | string {
  if (family === 4) return networkKeyV4(bytes, at);
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, 16).toString("latin1");
}

/** What one subscriber has: an IPv4 address, the /64 of an IPv6 one. */
export function subscriberKey(bytes: Uint8Array, at: number, family: Family): number | string {
  if (family === 4) return networkKeyV4(bytes, at);
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, 8).toString("latin1");
}

/** What one site may have, where each should have one voice: an IPv4 address, or the /48 of an IPv6 one, which has 65,536 subscribers' networks. */
export function siteKey(bytes: Uint8Array, at: number, family: Family): number {
  return family === 4 ? networkKeyV4(bytes, at) : networkKey(bytes, at, family);
}

/** What one network has: the /24 of an IPv4 address, the /48 of an IPv6 one. */
export function networkKey(bytes: Uint8Array, at: number, family: Family): number {
  if (family === 4) return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  let key = 0;
  for (let index = 0; index < 6; index++) key = key * 256 + bytes[at + index]!;
  return key;
}

function networkKeyV4(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}

/** Words of an address that limits count by: an IPv4 address, the /64 of an IPv6 one. */
export function networkWords(family: Family): number {
  return family === 4 ? 1 : 2;
}

/** False for who is nearer to us than whoever named it: nobody far away has us ask around in this machine, or its network. */
export function mayNameContact(by: Contact, { compact, family }: Contact): boolean {
  const length = family === 4 ? 4 : 16;
  return mayNameBytes(by.compact, ID_BYTES, compact, ID_BYTES, length);
}

/** False for what nobody can be at: no address, multicast, no port; and in public networks the machine itself. */
export function isPossibleEndpoint({ compact, addressBytes, port }: Contact, isPublic: boolean): boolean {
  if (port === 0) return false;
  const first = compact[ID_BYTES]!;
  if (addressBytes === 4) return first !== 0 && first < 224;
  // Multicast, and addresses that are IPv4's or nobody's: nothing that another node could be at.
  if (first === 0xff) return false;
  let zeros = 0;
  while (zeros < 15 && compact[ID_BYTES + zeros] === 0) zeros++;
  return zeros < 10 || (zeros === 15 && compact[ID_BYTES + 15] === 1 && !isPublic);
}
