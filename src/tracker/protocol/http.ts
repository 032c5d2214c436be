// The HTTP protocol of trackers (BEP 3, 7, 23, 48): query strings in, bencoded bodies out. No sockets: text and bytes.
//
// Always: whatever the query says, reading it takes time linear in its length and ends in numbers that are in range, or in the
// reason why not, which is one of a few fixed sentences and repeats nothing that came from outside. Bodies are canonical bencode.

import { entryOf } from "../../base/assert.js";
import { EVENT_COMPLETED, EVENT_NONE, EVENT_STARTED, EVENT_STOPPED } from "./udp.js";

/** Of an info hash, and of a peer id. */
const HASH_BYTES = 20;
const HASH_WORDS = 5;
/** Torrents that one scrape is answered for; as many hashes as this fill a request line of 4 KiB. */
export const SCRAPES_MAX = 64;

/** Where peer ids are decoded to: nobody looks at them. */
const PEER_ID = new Uint32Array(HASH_WORDS);

/** What an announce says. An object is filled in again for each. */
export interface AnnounceQuery {
  /** The info hash, as it stands in memory. */
  readonly hash: Uint32Array;
  port: number;
  seeder: boolean;
  event: number;
  /** Below 0: did not say. */
  numWant: number;
  /** BEP 23; false only for whoever asks for the old form. */
  compact: boolean;
}

export interface ScrapeQuery {
  /** HASH_WORDS words each. */
  readonly hashes: Uint32Array;
  count: number;
}

export function makeAnnounceQuery(): AnnounceQuery {
  return {
    hash: new Uint32Array(HASH_WORDS),
    port: 0,
    seeder: false,
    event: EVENT_NONE,
    numWant: -1,
    compact: true,
  };
}

export function makeScrapeQuery(): ScrapeQuery {
  return { hashes: new Uint32Array(SCRAPES_MAX * HASH_WORDS), count: 0 };
}

/** Reads what stands behind the "?"; undefined, or why it cannot be answered. Addresses that a query claims (`ip`, `ipv6`) are not read. */
export function readAnnounceQuery(query: string, into: AnnounceQuery): string | undefined {
  let hashes = 0;
  let port = -1;
  let left = -1;
  into.event = EVENT_NONE;
  into.numWant = -1;
  into.compact = true;
  let equals = query.indexOf("=");
  for (let at = 0; at < query.length && equals >= 0; ) {
    const end = endOfField(query, at);
    // Looked for once, however many fields come before the next one.
    if (equals < at) equals = query.indexOf("=", at);
    if (equals > at && equals < end) {
      const value = equals + 1;
      switch (query.slice(at, equals)) {
        case "info_hash":
          hashes++;
          if (!decodeHash(query, value, end, into.hash, 0)) return "info_hash is not 20 bytes";
          break;
        case "peer_id":
          // It is not kept; whoever has one of another length is no client.
          if (!decodeHash(query, value, end, PEER_ID, 0)) return "peer_id is not 20 bytes";
          break;
        case "port":
          port = readWhole(query, value, end);
          break;
        case "left":
          left = readWhole(query, value, end);
          break;
        case "numwant":
          // "-1" is what some write for "did not say".
          into.numWant = readWhole(query, value, end);
          break;
        case "compact":
          into.compact = query.slice(value, end) !== "0";
          break;
        case "event":
          into.event = eventOf(query.slice(value, end));
          break;
      }
    }
    at = end + 1;
  }
  if (hashes !== 1) return hashes === 0 ? "info_hash is missing" : "one info_hash at a time";
  if (port <= 0 || port > 65_535) return "port is not from 1 to 65535";
  into.port = port;
  // Who says that something is left has not completed, whatever else it says.
  into.seeder = left === 0 || (left < 0 && into.event === EVENT_COMPLETED);
  return undefined;
}

/** Reads the hashes of a scrape; undefined, or why it cannot be answered. */
export function readScrapeQuery(query: string, into: ScrapeQuery): string | undefined {
  into.count = 0;
  let equals = query.indexOf("=");
  for (let at = 0; at < query.length && equals >= 0; ) {
    const end = endOfField(query, at);
    if (equals < at) equals = query.indexOf("=", at);
    if (equals > at && equals < end && query.slice(at, equals) === "info_hash") {
      if (into.count === SCRAPES_MAX) return "too many torrents at a time";
      if (!decodeHash(query, equals + 1, end, into.hashes, into.count * HASH_WORDS))
        return "info_hash is not 20 bytes";
      into.count++;
    }
    at = end + 1;
  }
  // A scrape of everything is BEP 48's other form: it is a download of the whole tracker, and not offered.
  return into.count === 0 ? "info_hash is missing" : undefined;
}

function endOfField(query: string, at: number): number {
  const end = query.indexOf("&", at);
  return end < 0 ? query.length : end;
}

function eventOf(text: string): number {
  if (text === "started") return EVENT_STARTED;
  if (text === "stopped") return EVENT_STOPPED;
  return text === "completed" ? EVENT_COMPLETED : EVENT_NONE;
}

/** The number that stands there, if it is below 2^53; −1 if it is not, or if there is no number. */
function readWhole(text: string, from: number, to: number): number {
  if (from === to) return -1;
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = Math.min(10 * value + digit, Number.MAX_SAFE_INTEGER);
  }
  return value;
}

/** Exactly 20 bytes, each as itself or as "%" and two digits. */
function decodeHash(text: string, from: number, to: number, words: Uint32Array, wordsAt: number): boolean {
  const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * wordsAt, HASH_BYTES);
  let count = 0;
  for (let at = from; at < to; at++) {
    if (count === HASH_BYTES) return false;
    let byte = text.charCodeAt(at);
    if (byte === 0x25) {
      if (at + 2 >= to) return false;
      byte = 16 * hexDigit(text.charCodeAt(at + 1)) + hexDigit(text.charCodeAt(at + 2));
      at += 2;
    }
    if (!(byte >= 0 && byte <= 255)) return false;
    bytes[count++] = byte;
  }
  return count === HASH_BYTES;
}

/** NaN for any other character. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN;
}

/** Bencoded text, with bytes as latin-1 characters: what `Buffer.from(text, "latin1")` makes of it goes over the wire. */
export function failureBody(reason: string): string {
  return `d14:failure reason${reason.length}:${reason}e`;
}

export interface AnnounceAnswer {
  readonly seeders: number;
  readonly leechers: number;
  readonly intervalSeconds: number;
  readonly intervalSecondsMin: number;
  /** Endpoints side by side, 6 or 18 bytes each. */
  readonly peers: Uint8Array;
  readonly family: 4 | 6;
  readonly compact: boolean;
}

export function announceBody(answer: AnnounceAnswer): string {
  const { seeders, leechers, intervalSeconds, intervalSecondsMin, peers, family, compact } = answer;
  const head = `d8:completei${seeders}e10:incompletei${leechers}e8:intervali${intervalSeconds}e12:min intervali${intervalSecondsMin}e`;
  if (!compact) return `${head}5:peersl${peerList(peers, family)}ee`;
  const text = Buffer.from(peers.buffer, peers.byteOffset, peers.byteLength).toString("latin1");
  // Clients that know nothing of BEP 7 want to find `peers`.
  return family === 4
    ? `${head}5:peers${text.length}:${text}e`
    : `${head}5:peers0:6:peers6${text.length}:${text}e`;
}

/** The old form, without peer ids, which are not kept. */
function peerList(peers: Uint8Array, family: 4 | 6): string {
  const addressBytes = family === 4 ? 4 : 16;
  let text = "";
  for (let at = 0; at < peers.length; at += addressBytes + 2) {
    const address = family === 4 ? peers.subarray(at, at + 4).join(".") : ipv6Text(peers, at);
    const port = 256 * entryOf(peers, at + addressBytes) + entryOf(peers, at + addressBytes + 1);
    text += `d2:ip${address.length}:${address}4:porti${port}ee`;
  }
  return text;
}

function ipv6Text(bytes: Uint8Array, at: number): string {
  const groups: string[] = [];
  for (let group = 0; group < 16; group += 2)
    groups.push((256 * entryOf(bytes, at + group) + entryOf(bytes, at + group + 1)).toString(16));
  return groups.join(":");
}

/** One torrent of a scrape; `hash` in latin-1. */
export function scrapeEntry(hash: string, seeders: number, downloads: number, leechers: number): string {
  return `20:${hash}d8:completei${seeders}e10:downloadedi${downloads}e10:incompletei${leechers}ee`;
}

/** Entries by their hashes: in order, and each once. */
export function scrapeBody(entries: ReadonlyMap<string, string>, intervalSecondsMin: number): string {
  const ordered = [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  return `d5:filesd${ordered.join("")}e5:flagsd20:min_request_intervali${intervalSecondsMin}eee`;
}
