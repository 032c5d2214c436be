// Announces and scrapes over HTTP: the URLs that ask and the answers that come (BEP 3, 7, 23, 24, 31, 48). No sockets: text and bytes.
//
// Always: an answer ends in what it says or in TrackerError, in time linear in its length; of however many peers it names, PEERS_MAX
// are taken; numbers that come out are whole, not negative and safe.

import { TrackerError } from "../../base/errors.js";
import {
  BencodeError,
  type BencodeLimits,
  dictionarySpans,
  forEachItem,
  integerAt,
  isDictionary,
  isInteger,
  isList,
  isString,
  type Span,
  skipValue,
  stringSpan,
} from "../../codec/bencode-spans.js";
import { addressText, compactAddress } from "../../codec/compact-address.js";
import {
  type AnnounceAnswer,
  type AnnounceRequest,
  PEERS_MAX,
  type PeerEndpoint,
  printableText,
  type ScrapeEntry,
} from "./announce.js";
import type { TrackerUrl } from "./tracker-url.js";

const LIMITS: BencodeLimits = { depthMax: 8, valuesMax: 200_000 };
const TRACKER_ID_BYTES_MAX = 256;

/** `family` is that of the address which is asked. */
export function announceUrl({ url }: TrackerUrl, request: AnnounceRequest, family: 4 | 6): URL {
  const { event, numWant, trackerId, ip, ports } = request;
  const fields = [
    `info_hash=${escaped(request.infoHash)}`,
    `peer_id=${escaped(request.peerId)}`,
    `port=${family === 4 ? ports.v4 : ports.v6}`,
    `uploaded=${request.uploaded}`,
    `downloaded=${request.downloaded}`,
    `left=${request.left}`,
    "compact=1",
    "no_peer_id=1",
    `key=${request.key.toString(16).padStart(8, "0")}`,
    ...(numWant < 0 ? [] : [`numwant=${numWant}`]),
    ...(event === "none" ? [] : [`event=${event}`]),
    ...(trackerId === undefined ? [] : [`trackerid=${escaped(Buffer.from(trackerId, "latin1"))}`]),
    ...(ip === undefined ? [] : [`ip=${encodeURIComponent(ip)}`]),
  ];
  return withQuery(url, fields);
}

/** Undefined where the tracker has none: its path does not end in "announce…" (BEP 48). */
export function scrapeUrl({ url }: TrackerUrl, infoHashes: readonly Uint8Array[]): URL | undefined {
  const slash = url.pathname.lastIndexOf("/") + 1;
  const last = url.pathname.slice(slash);
  if (!last.startsWith("announce")) return undefined;
  const target = new URL(url);
  target.pathname = `${url.pathname.slice(0, slash)}scrape${last.slice("announce".length)}`;
  return withQuery(
    target,
    infoHashes.map((hash) => `info_hash=${escaped(hash)}`),
  );
}

/** Beside what the tracker's own URL asks for: a pass key stays. */
function withQuery(url: URL, fields: readonly string[]): URL {
  const target = new URL(url);
  const own = target.search.replace(/^\?/, "");
  target.search = `?${own === "" ? "" : `${own}&`}${fields.join("&")}`;
  return target;
}

function escaped(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const letter = String.fromCharCode(byte);
    text += /[0-9A-Za-z._~-]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
  }
  return text;
}

/** Throws TrackerError: TRACKER_FAILURE with the tracker's reason, TRACKER_STATUS, TRACKER_MALFORMED. */
export function readAnnounceAnswer(body: Uint8Array, status: number): AnnounceAnswer {
  return reading(() => {
    const fields = openAnswer(body, status);
    const peers: PeerEndpoint[] = [];
    const { bytes } = fields;
    for (const [key, size] of [
      ["peers", 6],
      ["peers6", 18],
    ] as const) {
      const span = fields.spans.get(key);
      if (isString(bytes, span)) readCompact(bytes, stringSpan(bytes, span), size, peers);
      else if (isList(bytes, span)) readList(bytes, span, peers);
    }
    const external = fields.string("external ip");
    return {
      interval: fields.number("interval"),
      minInterval: fields.number("min interval"),
      seeders: fields.number("complete"),
      leechers: fields.number("incomplete"),
      downloads: fields.number("downloaded"),
      peers,
      warning: textOf(fields.string("warning message")),
      trackerId: latin1(fields.string("tracker id"), TRACKER_ID_BYTES_MAX),
      externalIp: external === undefined ? undefined : addressText(external),
    };
  });
}

/** Entries for those of `infoHashes` that the tracker says something of. Throws as readAnnounceAnswer(). */
export function readScrapeAnswer(
  body: Uint8Array,
  status: number,
  infoHashes: readonly Uint8Array[],
): ScrapeEntry[] {
  return reading(() => {
    const { bytes, spans } = openAnswer(body, status);
    const files = spans.get("files");
    if (!isDictionary(bytes, files)) throw malformed('it has no "files"');
    const swarms = dictionarySpans(bytes, files.start);
    return infoHashes.flatMap((hash) => {
      const key = Buffer.from(hash).toString("latin1");
      // The npm package bittorrent-tracker takes the hash for text, and writes that as UTF-8.
      const span = swarms.get(key) ?? swarms.get(Buffer.from(key, "utf8").toString("latin1"));
      if (!isDictionary(bytes, span)) return [];
      const swarm = new Fields(bytes, span.start);
      return {
        infoHash: Buffer.from(hash).toString("hex"),
        seeders: swarm.number("complete") ?? 0,
        leechers: swarm.number("incomplete") ?? 0,
        downloads: swarm.number("downloaded") ?? 0,
      };
    });
  });
}

class Fields {
  readonly bytes: Uint8Array;
  readonly spans: ReadonlyMap<string, Span>;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.spans = dictionarySpans(bytes, at);
  }

  string(key: string): Uint8Array | undefined {
    const span = this.spans.get(key);
    if (!isString(this.bytes, span)) return undefined;
    const { start, end } = stringSpan(this.bytes, span);
    return this.bytes.subarray(start, end);
  }

  /** A whole number that is not negative; some trackers write numbers as text. */
  number(key: string): number | undefined {
    const span = this.spans.get(key);
    const value = isInteger(this.bytes, span)
      ? integerAt(this.bytes, span)
      : Number.parseInt(latin1(this.string(key), 20) ?? "", 10);
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  }
}

/** The dictionary that an answer is, unless it says that there is none. */
function openAnswer(body: Uint8Array, status: number): Fields {
  const isAnswer = isDictionary(body, { start: 0, end: body.length });
  // A page for people, in front of which a status tells more than its bytes.
  if (!isAnswer && (status < 200 || status > 299))
    throw new TrackerError("TRACKER_STATUS", `HTTP status ${status}`);
  if (!isAnswer) throw malformed("it does not begin with a dictionary");
  skipValue(body, 0, LIMITS);
  const fields = new Fields(body, 0);
  const reason = fields.spans.has("failure reason") ? textOf(fields.string("failure reason")) : undefined;
  if (fields.spans.has("failure reason"))
    throw new TrackerError("TRACKER_FAILURE", reason || "it gives no reason", {
      retryInSeconds: retryIn(fields),
    });
  if (status < 200 || status > 299) throw new TrackerError("TRACKER_STATUS", `HTTP status ${status}`);
  return fields;
}

/** BEP 31: minutes, or "never". */
function retryIn(fields: Fields): number | undefined {
  if (latin1(fields.string("retry in"), 20) === "never") return Number.POSITIVE_INFINITY;
  const minutes = fields.number("retry in");
  return minutes === undefined ? undefined : 60 * minutes;
}

function readCompact(bytes: Uint8Array, { start, end }: Span, size: number, peers: PeerEndpoint[]): void {
  for (let at = start; at + size <= end && peers.length < PEERS_MAX; at += size) {
    const host = addressText(bytes.subarray(at, at + size - 2));
    const port = ((bytes[at + size - 2] ?? 0) << 8) | (bytes[at + size - 1] ?? 0);
    if (host !== undefined && port > 0) peers.push({ host, port });
  }
}

/** The form of BEP 3: a dictionary for each peer. Host names are not looked up. */
function readList(bytes: Uint8Array, list: Span, peers: PeerEndpoint[]): void {
  forEachItem(bytes, list.start, (item) => {
    if (peers.length >= PEERS_MAX || !isDictionary(bytes, item)) return;
    const fields = new Fields(bytes, item.start);
    const address = compactAddress(latin1(fields.string("ip"), 64) ?? "");
    const host = address === undefined ? undefined : addressText(address);
    const port = fields.number("port") ?? 0;
    if (host !== undefined && port > 0 && port < 65_536) peers.push({ host, port });
  });
}

function reading<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof BencodeError) throw malformed(error.message, error);
    throw error;
  }
}

function malformed(reason: string, cause?: unknown): TrackerError {
  return new TrackerError("TRACKER_MALFORMED", `not a tracker's answer: ${reason}`, { cause });
}

function latin1(bytes: Uint8Array | undefined, lengthMax: number): string | undefined {
  if (bytes === undefined || bytes.length === 0 || bytes.length > lengthMax) return undefined;
  return Buffer.from(bytes).toString("latin1");
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  const text = printableText(Buffer.from(bytes?.subarray(0, 2048) ?? []).toString("utf8"));
  return text === "" ? undefined : text;
}
