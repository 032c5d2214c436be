// Magnet links: a torrent by its info hash (BEP 9), with what the link says besides: name, trackers, peers, web seeds, and which of
// the files are wanted (BEP 53).
//
// Always: whatever is wrong with a link ends in UsageError `USAGE_MAGNET` with one clear line, but for parameters that nobody needs:
// those are passed over, as all programs do. Time and memory are bounded by the length of the link.

import { isIP } from "node:net";
import { entryOf } from "../../base/assert.js";
import { UsageError } from "../../base/errors.js";
import { KIB } from "../../base/limits.js";
import { quoted } from "./fields.js";

/** A torrent of which only the info hash is known. */
export interface Magnet {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** What the link calls it (`dn`), until the metadata does. */
  readonly name?: string;
  /** Addresses of trackers (`tr`), each a tier of its own. */
  readonly trackers: readonly string[];
  /** Addresses of peers (`x.pe`); those that are names and not numbers are left out, since nothing is resolved. */
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  /** Addresses of web seeds (`ws`). */
  readonly webSeeds: readonly string[];
  /** Indices of the files that are wanted (`so`, BEP 53), ascending; undefined for all. */
  readonly selectOnly?: readonly number[];
}

/** Longer ones are refused: hundreds of trackers fit. */
const MAGNET_LENGTH_MAX = 64 * KIB;
const SELECTED_MAX = 100_000;
/** Of each kind of address; more are passed over. */
const ADDRESSES_MAX = 1000;
const HEX = /^[0-9a-f]{40}$/i;
const BASE32 = /^[a-z2-7]{32}$/i;
const BASE32_DIGITS = "abcdefghijklmnopqrstuvwxyz234567";

/** True for what is no metainfo: what a torrent holds is not known yet. */
export function isMagnet(source: object): source is Magnet {
  return "infoHash" in source && !("pieces" in source);
}

/** Parses a magnet link. Throws UsageError `USAGE_MAGNET`. */
export function parseMagnet(link: string): Magnet {
  if (typeof link !== "string")
    throw wrong(`a magnet link is a text, not ${link === null ? "null" : typeof link}`);
  if (link.length > MAGNET_LENGTH_MAX)
    throw wrong(`a magnet link of ${link.length} characters; at most ${MAGNET_LENGTH_MAX} are read`);
  if (!/^magnet:\?/i.test(link))
    throw wrong(`a magnet link begins with "magnet:?", not with ${quoted(link)}`);
  const given = parameters(link.slice("magnet:?".length));
  const infoHash = infoHashOf(given.filter(({ key }) => key === "xt").map(({ value }) => value));
  const all = (key: string): string[] => {
    const values = given.filter((each) => each.key === key).map(({ value }) => value.trim());
    return [...new Set(values.filter((value) => value !== ""))].slice(0, ADDRESSES_MAX);
  };
  const [name] = all("dn");
  const [selected] = all("so");
  return {
    infoHash,
    ...(name === undefined ? {} : { name }),
    trackers: all("tr"),
    peers: all("x.pe").flatMap(peerOf),
    webSeeds: all("ws"),
    ...(selected === undefined ? {} : { selectOnly: indicesOf(selected) }),
  };
}

/** Keys in lower case, without the number that tells several of a kind apart ("tr.1"). */
function parameters(query: string): { key: string; value: string }[] {
  return query
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      const key = (at < 0 ? part : part.slice(0, at)).toLowerCase().replace(/\.\d+$/, "");
      return { key, value: at < 0 ? "" : decoded(part.slice(at + 1)) };
    });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw wrong(`${quoted(text)} is not percent-encoded UTF-8`);
  }
}

function infoHashOf(topics: readonly string[]): Uint8Array {
  const hashes = new Map<string, Uint8Array>();
  for (const topic of topics) {
    const match = /^urn:btih:(.*)$/i.exec(topic);
    if (match === null) continue;
    const bytes = hashBytes(entryOf(match, 1));
    hashes.set(Buffer.from(bytes).toString("hex"), bytes);
  }
  const [first, second] = hashes.values();
  if (second !== undefined) throw wrong("it names two torrents: two different info hashes");
  if (first !== undefined) return first;
  if (topics.some((topic) => /^urn:btmh:/i.test(topic)))
    throw wrong("a torrent of version 2 only (urn:btmh, BEP 52) is not supported; a hybrid one is");
  throw wrong("it has no info hash: xt=urn:btih: and 40 hexadecimal digits");
}

function hashBytes(text: string): Uint8Array {
  if (HEX.test(text)) return Uint8Array.from(Buffer.from(text, "hex"));
  if (BASE32.test(text)) return base32Bytes(text.toLowerCase());
  throw wrong(
    `an info hash is 40 hexadecimal digits, or 32 of base 32, not the ${text.length} of ${quoted(text)}`,
  );
}

/** 32 digits of five bits: 20 bytes. */
function base32Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(20);
  let [bits, count, at] = [0, 0, 0];
  for (const digit of text) {
    bits = ((bits << 5) | BASE32_DIGITS.indexOf(digit)) & 0xfff;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >> count;
  }
  return bytes;
}

/** "192.0.2.1:6881" or "[2001:db8::1]:6881". None for what is no such address. */
function peerOf(text: string): { host: string; port: number }[] {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  const version = match?.[1] === undefined ? 4 : 6;
  return isIP(host) === version && port >= 1 && port <= 65535 ? [{ host, port }] : [];
}

/** "0,2,4-6" (BEP 53): 0, 2, 4, 5, 6. */
function indicesOf(text: string): number[] {
  const indices = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first)
      throw wrong(`so= is a list of file indices and ranges as in "0,2,4-6", and ${quoted(part)} is neither`);
    if (indices.size + last - first >= SELECTED_MAX) throw wrong(`so= names more than ${SELECTED_MAX} files`);
    for (let index = first; index <= last; index++) indices.add(index);
  }
  return [...indices].sort((a, b) => a - b);
}

function wrong(reason: string): UsageError {
  return new UsageError("USAGE_MAGNET", reason);
}
