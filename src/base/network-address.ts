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

/** True for 169.254/16 and fe80::/10, which nobody reaches but whoever is on the same wire. */
export function isLinkLocal(host: string): boolean {
  const bytes = addressBytes(host);
  if (bytes === undefined) return false;
  const [first = 0, second = 0] = bytes;
  return bytes.length === 4 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80;
}

/** Who can reach an address: this machine, a network of its own (RFC 1918, RFC 6598, link-local, fc00::/7), or everybody. */
export type AddressScope = "machine" | "site" | "global";

/** Undefined for what is no address of one machine: none at all, "any", multicast, broadcast. */
export function scopeOf(host: string): AddressScope | undefined {
  const bytes = addressBytes(host);
  if (bytes === undefined) return undefined;
  const first = bytes[0] ?? 0;
  const second = bytes[1] ?? 0;
  if (bytes.length === 4) {
    if (first === 127) return "machine";
    if (first === 0 || first >= 224) return undefined;
    const isShared = first === 100 && (second & 0xc0) === 64;
    const isPrivate = first === 172 ? (second & 0xf0) === 16 : first === 192 && second === 168;
    return first === 10 || isShared || isPrivate || isLinkLocal(host) ? "site" : "global";
  }
  if (bytes.subarray(0, 15).every((byte) => byte === 0)) return bytes[15] === 1 ? "machine" : undefined;
  if (first === 0xff) return undefined;
  return (first & 0xfe) === 0xfc || isLinkLocal(host) ? "site" : "global";
}

const SCOPES: readonly (AddressScope | undefined)[] = ["machine", "site", "global"];

/**
 * Whether somebody at `from` may send us to `to`: to what it can reach itself, and to nothing narrower. So nobody far away has us knock
 * at ports of this machine, or of the network it stands in. Who has no address (a stream of the program's leads there) is far away.
 */
export function mayNameAddress(from: string, to: string): boolean {
  const scope = SCOPES.indexOf(scopeOf(to));
  return scope >= 0 && scope >= SCOPES.indexOf(scopeOf(from) ?? "global");
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
  if (bytes.length === 4) return bytes.join(".");
  let text = "";
  for (let group = 0; group < NETWORK_GROUPS; group++)
    text += `${((entryOf(bytes, 2 * group) << 8) | entryOf(bytes, 2 * group + 1)).toString(16)}:`;
  return `${text.slice(0, -1)}${NETWORK_END}`;
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

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [at, part] of parts.entries()) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    bytes[at] = Number(part);
  }
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
