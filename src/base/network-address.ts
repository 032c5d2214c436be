// Numeric addresses as limits and bans see them: whose network one belongs to, and whether it is this machine.
//
// Always: an IPv4 address mapped into IPv6 is that IPv4 address; text that is not an address stands for itself alone.

import { assert, entryOf } from "./assert.js";

/** An IPv6 customer has a /64 at least, and takes any of its addresses: this many groups of 16 bits tell customers apart. */
const NETWORK_GROUPS = 4;
/** Of what one network may have, so many times as much is for all networks of a site: many customers may be in it, or one. */
export const SITE_TIMES = 8;
const GROUPS = 8;
const NETWORK_END = "::/64";
/** "255.255.255.255". */
const V4_LENGTH_MAX = 15;
const ZERO = 0x30;
const DOT = 0x2e;

/** The 4 or 16 bytes of a numeric address, or undefined. A zone ("%eth0") is left out. */
export function addressBytes(host: string): Uint8Array | undefined {
  if (!host.includes(":")) return parseV4(host);
  const groups = parseV6(host);
  if (groups === undefined) return undefined;
  const shown = isMapped(groups) ? groups.slice(GROUPS - 2) : groups;
  return Uint8Array.from(shown.flatMap((group) => [group >> 8, group & 255]));
}

/** True for 127/8 and ::1: peers of this machine, or of a tunnel or proxy that ends on it, which cannot be told apart by address. */
export function isLoopback(host: string): boolean {
  const bytes = addressBytes(host);
  if (bytes === undefined) return false;
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, at) => byte === (at === 15 ? 1 : 0));
}

/** True if the field `Host` of a request of HTTP names localhost, or a loopback address, with any port: whoever asks knows whom. */
export function isThisMachine(host: string | undefined): boolean {
  const name = /^(?:\[([\da-f:.]+)\]|(\d+\.\d+\.\d+\.\d+)|localhost)(?::\d+)?$/i.exec(host ?? "");
  if (name === null) return false;
  const address = name[1] ?? name[2];
  return address === undefined || isLoopback(address);
}

/** True for 169.254/16 and fe80::/10, which nobody reaches but whoever is on the same wire. */
export function isLinkLocal(host: string): boolean {
  const bytes = addressBytes(host);
  if (bytes === undefined) return false;
  const [first = 0, second = 0] = bytes;
  return bytes.length === 4 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80;
}

/** Who can reach an address: this machine, a network of its own (RFC 1918, RFC 6598, link-local, fc00::/7), or everybody. */
export type AddressScope = "machine" | "site" | "global";

const SCOPES: readonly AddressScope[] = ["machine", "site", "global"];
/** What is no address of one machine, and nobody may be sent to. */
const NOWHERE = -1;
const [MACHINE, SITE, GLOBAL] = [0, 1, 2];

/**
 * Undefined for what is no address of one machine: none at all, "any", multicast, broadcast. An IPv6 address that a translator or a
 * tunnel takes for an IPv4 one (RFC 6052, RFC 3056) leads no farther than that one.
 */
export function scopeOf(host: string): AddressScope | undefined {
  const bytes = addressBytes(host);
  return bytes === undefined ? undefined : SCOPES[scopeAt(bytes, 0, bytes.length)];
}

/**
 * Whether somebody at `from` may send us to `to`: to what it can reach itself, and to nothing narrower. So nobody far away has us knock
 * at ports of this machine, or of the network it stands in. Who has no address (a stream of the program's leads there) is far away.
 */
export function mayNameAddress(from: string, to: string): boolean {
  return mayNameScope(scopeOf(from), scopeOf(to));
}

/** The same, by scopes that are known. */
export function mayNameScope(from: AddressScope | undefined, to: AddressScope | undefined): boolean {
  return to !== undefined && SCOPES.indexOf(to) >= SCOPES.indexOf(from ?? "global");
}

/** The same for addresses as they stand in packets, 4 or 16 bytes each. Allocates nothing. */
export function mayNameBytes(
  from: Uint8Array,
  fromAt: number,
  to: Uint8Array,
  toAt: number,
  length: 4 | 16,
): boolean {
  const its = scopeAt(from, fromAt, length);
  return scopeAt(to, toAt, length) >= (its === NOWHERE ? GLOBAL : its);
}

/** An index of SCOPES, or NOWHERE. */
function scopeAt(bytes: Uint8Array, at: number, length: number): number {
  return length === 4 ? scopeOfV4(bytes, at) : scopeOfV6(bytes, at);
}

function scopeOfV4(bytes: Uint8Array, at: number): number {
  const first = entryOf(bytes, at);
  const second = entryOf(bytes, at + 1);
  if (first === 127) return MACHINE;
  if (first === 0 || first >= 224) return NOWHERE;
  const isShared = first === 100 && (second & 0xc0) === 64;
  const isPrivate = first === 172 ? (second & 0xf0) === 16 : first === 192 && second === 168;
  const isOfWire = first === 169 && second === 254;
  return first === 10 || isShared || isPrivate || isOfWire ? SITE : GLOBAL;
}

function scopeOfV6(bytes: Uint8Array, at: number): number {
  const first = wordAt(bytes, at, 0);
  if (first === 0) return scopeOfZeros(bytes, at);
  // A translator's addresses: of the first kind are IPv4's, of the other a site decides which.
  if (first === 0x64 && wordAt(bytes, at, 1) === 0xff9b)
    return wordAt(bytes, at, 2) === 1 ? SITE : scopeOfV4(bytes, at + 12);
  // 6to4 has the IPv4 address of its router.
  if (first === 0x2002) return scopeOfV4(bytes, at + 2);
  if (first >= 0xff00) return NOWHERE;
  // fc00::/7, and fe80::/9, of which one half is of one wire and the other was of one site once.
  return (first & 0xfe00) === 0xfc00 || (first & 0xff80) === 0xfe80 ? SITE : GLOBAL;
}

/** Of ::/16 only ::1 is somebody, and what is an IPv4 address. */
function scopeOfZeros(bytes: Uint8Array, at: number): number {
  let zeros = 1;
  while (zeros < GROUPS && wordAt(bytes, at, zeros) === 0) zeros++;
  if (zeros === 5 && wordAt(bytes, at, 5) === 0xffff) return scopeOfV4(bytes, at + 12);
  return zeros === GROUPS - 1 && wordAt(bytes, at, zeros) === 1 ? MACHINE : NOWHERE;
}

function wordAt(bytes: Uint8Array, at: number, index: number): number {
  return (entryOf(bytes, at + 2 * index) << 8) | entryOf(bytes, at + 2 * index + 1);
}

/** One text for all ways to write a numeric address: an IPv4 address mapped into IPv6 is that one. Other text is what it is. */
export function canonicalHost(host: string): string {
  if (!host.includes(":")) return host;
  const bytes = addressBytes(host);
  if (bytes === undefined || bytes.length === 4) return bytes?.join(".") ?? host;
  const zone = host.indexOf("%");
  return groupsText(bytes, GROUPS) + (zone < 0 ? "" : host.slice(zone));
}

/**
 * The numeric address of this machine that somebody at the numeric address `far` is asked from. Undefined: the system chooses. One of the
 * other kind: we are bound to that kind, and nobody at `far` is asked.
 */
export type SourceFor = (far: string) => string | undefined;

/** Why nobody at `far` is to be asked from `source`, in words; undefined if there is nothing against it. */
export function reasonAgainstSource(source: string | undefined, far: string): string | undefined {
  if (source === undefined || source.includes(":") === far.includes(":")) return undefined;
  return `we are bound to ${source}, and it is an IPv${far.includes(":") ? 6 : 4} address`;
}

/** Of the second word of an IPv6 address, as it stands in packets, the part that all of a site has in common. */
export const SITE_WORD_MASK = new Uint32Array(Uint8Array.of(255, 255, 0, 0).buffer)[0] ?? 0;

/** What limits and bans count by: an IPv4 address, the /64 of an IPv6 one. Equal for addresses of one customer. */
export function networkOf(host: string): string {
  const bytes = addressBytes(host);
  if (bytes === undefined) return host;
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  return groupsText(bytes, NETWORK_GROUPS) + NETWORK_END;
}

function groupsText(bytes: Uint8Array, count: number): string {
  let text = "";
  for (let index = 0; index < count; index++) text += `:${wordAt(bytes, 0, index).toString(16)}`;
  return text.slice(1);
}

/**
 * The /48 of an IPv6 address, which is the most that one customer gets for the asking (RFC 6177), and has 65,536 networks. Undefined for
 * what has no such thing.
 */
export function siteOf(host: string): string | undefined {
  const network = networkOf(host);
  return network.endsWith(NETWORK_END) ? siteOfNetwork(network) : undefined;
}

/** Whom something at `host` is counted for: its network, and its site, which may have `times` as much as a network. */
export function chargedTo(host: string): readonly { readonly name: string; readonly times: number }[] {
  const name = networkOf(host);
  if (!name.endsWith(NETWORK_END)) return [{ name, times: 1 }];
  return [
    { name, times: 1 },
    { name: siteOfNetwork(name), times: SITE_TIMES },
  ];
}

/** The network without its last group. */
function siteOfNetwork(network: string): string {
  return `${network.slice(0, network.lastIndexOf(":", network.length - NETWORK_END.length - 1))}::/48`;
}

/** Character by character: a server does this some times for each connection, and a split with an expression for each part costs ten times as much. */
function parseV4(text: string): Uint8Array | undefined {
  if (text.length > V4_LENGTH_MAX) return undefined;
  const bytes = new Uint8Array(4);
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit === DOT - ZERO) {
      if (digits === 0 || part === 3) return undefined;
      bytes[part++] = value;
      digits = 0;
      value = 0;
    } else {
      if (digit < 0 || digit > 9 || digits === 3) return undefined;
      value = 10 * value + digit;
      digits++;
      if (value > 255) return undefined;
    }
  }
  if (part !== 3 || digits === 0) return undefined;
  bytes[3] = value;
  return bytes;
}

/** Eight groups of 16 bits. */
function parseV6(host: string): number[] | undefined {
  const [before = "", behind, more] = host.replace(/%.*/s, "").split("::");
  if (more !== undefined) return undefined;
  const head = parseGroups(before);
  const tail = behind === undefined ? [] : parseGroups(behind);
  if (head === undefined || tail === undefined) return undefined;
  const missing = GROUPS - head.length - tail.length;
  if (behind === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  assert(groups.length === GROUPS, "an IPv6 address has eight groups");
  return groups;
}

/** Groups between colons; the last may be an IPv4 address, which is two of them. */
function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    const v4 = at === parts.length - 1 && part.includes(".") ? parseV4(part) : undefined;
    if (v4 !== undefined) {
      const view = new DataView(v4.buffer);
      groups.push(view.getUint16(0), view.getUint16(2));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function isMapped(groups: readonly number[]): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}
