// The UDP tracker protocol (BEP 15, and BEP 41's options): requests and responses, both ways, for servers and for clients.
//
// Pure: bytes in a DataView, at an offset, and nothing else. A message that is read is described by its offset, and the constants
// here say where in it a field is; nothing is copied out. Checks are lengths alone: whether a field makes sense is for whoever reads
// it. All numbers are in network byte order.
//
//   connect     →  magic 8            action 4   transaction 4                                               16 bytes
//               ←  action 4           transaction 4   connection id 8                                        16
//   announce    →  connection id 8    action 4   transaction 4   info hash 20   peer id 20
//                  downloaded 8   left 8   uploaded 8   event 4   ip 4   key 4   num want 4   port 2         98 (+ options)
//               ←  action 4   transaction 4   interval 4   leechers 4   seeders 4   (address 4 or 16, port 2)*   20 + n × 6 or 18
//   scrape      →  connection id 8    action 4   transaction 4   info hash 20 × n                            16 + n × 20
//               ←  action 4   transaction 4   (seeders 4   completed 4   leechers 4)*                        8 + n × 12
//   error       ←  action 4   transaction 4   text                                                          8 + text

export const ACTION_CONNECT = 0;
export const ACTION_ANNOUNCE = 1;
export const ACTION_SCRAPE = 2;
export const ACTION_ERROR = 3;

/** What stands in place of a connection id in a connect request: 0x41727101980. */
export const MAGIC_HIGH = 0x417;
export const MAGIC_LOW = 0x27101980;

/** Events of an announce. */
export const EVENT_NONE = 0;
export const EVENT_COMPLETED = 1;
export const EVENT_STARTED = 2;
export const EVENT_STOPPED = 3;

/** Where fields are in every request. */
export const CONNECTION_ID_AT = 0;
export const ACTION_AT = 8;
export const TRANSACTION_AT = 12;
/** Where fields are in an announce request. */
export const INFO_HASH_AT = 16;
export const PEER_ID_AT = 36;
export const DOWNLOADED_AT = 56;
export const LEFT_AT = 64;
export const UPLOADED_AT = 72;
export const EVENT_AT = 80;
export const IP_AT = 84;
export const KEY_AT = 88;
export const NUM_WANT_AT = 92;
export const PORT_AT = 96;
export const OPTIONS_AT = 98;
/** Where info hashes begin in a scrape request. */
export const SCRAPE_HASHES_AT = 16;
/** Where fields are in responses. */
export const RESPONSE_TRANSACTION_AT = 4;
export const RESPONSE_CONNECTION_ID_AT = 8;
export const RESPONSE_INTERVAL_AT = 8;
export const RESPONSE_LEECHERS_AT = 12;
export const RESPONSE_SEEDERS_AT = 16;
export const RESPONSE_PEERS_AT = 20;
export const RESPONSE_SCRAPE_AT = 8;

export const REQUEST_BYTES_MIN = 16;
export const CONNECT_REQUEST_BYTES = 16;
export const CONNECT_RESPONSE_BYTES = 16;
export const ANNOUNCE_REQUEST_BYTES = 98;
export const ANNOUNCE_RESPONSE_BYTES_MIN = 20;
export const SCRAPE_RESPONSE_BYTES_MIN = 8;
export const ERROR_RESPONSE_BYTES_MIN = 8;
export const INFO_HASH_BYTES = 20;
export const SCRAPE_ENTRY_BYTES = 12;
/** Info hashes of one scrape (BEP 15). */
export const SCRAPE_HASHES_MAX = 74;
/** An address and a port. */
export const ENDPOINT_BYTES_V4 = 6;
export const ENDPOINT_BYTES_V6 = 18;

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_URL_DATA = 2;

export interface AnnounceFields {
  /** 20 bytes each. */
  readonly infoHash: Uint8Array;
  readonly peerId: Uint8Array;
  /** Bytes, up to 2^53. */
  readonly downloaded: number;
  readonly left: number;
  readonly uploaded: number;
  readonly event: number;
  /** An IPv4 address as a number, for a tracker to name instead of the one it is asked from; 0 for that one. */
  readonly ip: number;
  readonly key: number;
  /** −1: as many as the tracker thinks right. */
  readonly numWant: number;
  readonly port: number;
}

/** Writes a connect request; its length. */
export function writeConnectRequest(view: DataView, at: number, transaction: number): number {
  view.setUint32(at, MAGIC_HIGH);
  view.setUint32(at + 4, MAGIC_LOW);
  view.setUint32(at + ACTION_AT, ACTION_CONNECT);
  view.setUint32(at + TRANSACTION_AT, transaction);
  return CONNECT_REQUEST_BYTES;
}

function writeRequestHeader(
  view: DataView,
  at: number,
  idHigh: number,
  idLow: number,
  action: number,
  transaction: number,
): void {
  view.setUint32(at, idHigh);
  view.setUint32(at + 4, idLow);
  view.setUint32(at + ACTION_AT, action);
  view.setUint32(at + TRANSACTION_AT, transaction);
}

/** Writes an announce request without options; its length. */
export function writeAnnounceRequest(
  view: DataView,
  at: number,
  idHigh: number,
  idLow: number,
  transaction: number,
  fields: AnnounceFields,
): number {
  writeRequestHeader(view, at, idHigh, idLow, ACTION_ANNOUNCE, transaction);
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, ANNOUNCE_REQUEST_BYTES);
  bytes.set(fields.infoHash, INFO_HASH_AT);
  bytes.set(fields.peerId, PEER_ID_AT);
  writeUint64(view, at + DOWNLOADED_AT, fields.downloaded);
  writeUint64(view, at + LEFT_AT, fields.left);
  writeUint64(view, at + UPLOADED_AT, fields.uploaded);
  view.setUint32(at + EVENT_AT, fields.event);
  view.setUint32(at + IP_AT, fields.ip);
  view.setUint32(at + KEY_AT, fields.key);
  view.setInt32(at + NUM_WANT_AT, fields.numWant);
  view.setUint16(at + PORT_AT, fields.port);
  return ANNOUNCE_REQUEST_BYTES;
}

/**
 * Appends the path and query of the tracker's URL (BEP 41), in pieces of 255 bytes, behind an announce request of `length` bytes;
 * the request's new length.
 */
export function appendUrlData(view: DataView, at: number, length: number, path: Uint8Array): number {
  let end = at + length;
  for (let from = 0; from < path.length; from += 255) {
    const part = path.subarray(from, from + 255);
    view.setUint8(end, OPTION_URL_DATA);
    view.setUint8(end + 1, part.length);
    new Uint8Array(view.buffer, view.byteOffset + end + 2, part.length).set(part);
    end += 2 + part.length;
  }
  view.setUint8(end, OPTION_END);
  return end + 1 - at;
}

/** Writes a scrape request for `hashes` (20 bytes each, at most SCRAPE_HASHES_MAX); its length. */
export function writeScrapeRequest(
  view: DataView,
  at: number,
  idHigh: number,
  idLow: number,
  transaction: number,
  hashes: readonly Uint8Array[],
): number {
  writeRequestHeader(view, at, idHigh, idLow, ACTION_SCRAPE, transaction);
  let end = at + SCRAPE_HASHES_AT;
  for (const hash of hashes) {
    new Uint8Array(view.buffer, view.byteOffset + end, INFO_HASH_BYTES).set(hash);
    end += INFO_HASH_BYTES;
  }
  return end - at;
}

/** Whether 16 bytes at least, from `at`, are a connect request; only the first 12 are looked at. */
export function isConnectRequest(view: DataView, at: number): boolean {
  return (
    view.getUint32(at + ACTION_AT) === ACTION_CONNECT &&
    view.getUint32(at) === MAGIC_HIGH &&
    view.getUint32(at + 4) === MAGIC_LOW
  );
}

/** How many info hashes a scrape request of this length has; −1 if its length is none of a scrape request's. */
export function scrapeHashCount(length: number): number {
  const bytes = length - SCRAPE_HASHES_AT;
  return bytes > 0 && bytes % INFO_HASH_BYTES === 0 ? bytes / INFO_HASH_BYTES : -1;
}

/**
 * The length of an announce request without what stands behind its options, or −1 if the options (BEP 41) are malformed: one
 * that is longer than what is there. Nothing behind OPTION_END counts.
 */
export function announceRequestLength(view: DataView, at: number, length: number): number {
  if (length < ANNOUNCE_REQUEST_BYTES) return -1;
  const end = at + length;
  let option = at + OPTIONS_AT;
  while (option < end) {
    const kind = view.getUint8(option);
    if (kind === OPTION_END) return option + 1 - at;
    if (kind === OPTION_NOP) {
      option++;
      continue;
    }
    if (option + 1 >= end) return -1;
    option += 2 + view.getUint8(option + 1);
    if (option > end) return -1;
  }
  return length;
}

/** The URL data of an announce request, its pieces together. Cold: it allocates. */
export function readUrlData(view: DataView, at: number, length: number): Uint8Array {
  const parts: number[] = [];
  const end = at + announceRequestLength(view, at, length);
  let option = at + OPTIONS_AT;
  while (option < end) {
    const kind = view.getUint8(option);
    if (kind === OPTION_END) break;
    if (kind === OPTION_NOP) {
      option++;
      continue;
    }
    const size = view.getUint8(option + 1);
    if (kind === OPTION_URL_DATA)
      parts.push(...new Uint8Array(view.buffer, view.byteOffset + option + 2, size));
    option += 2 + size;
  }
  return Uint8Array.from(parts);
}

/** Writes a connect response; its length. `transaction` is read as it was sent. */
export function writeConnectResponse(
  view: DataView,
  at: number,
  transaction: number,
  idHigh: number,
  idLow: number,
): number {
  view.setUint32(at, ACTION_CONNECT);
  view.setUint32(at + RESPONSE_TRANSACTION_AT, transaction);
  view.setUint32(at + RESPONSE_CONNECTION_ID_AT, idHigh);
  view.setUint32(at + RESPONSE_CONNECTION_ID_AT + 4, idLow);
  return CONNECT_RESPONSE_BYTES;
}

/** Writes what stands before the peers of an announce response; its length. */
export function writeAnnounceResponse(
  view: DataView,
  at: number,
  transaction: number,
  intervalSeconds: number,
  leechers: number,
  seeders: number,
): number {
  view.setUint32(at, ACTION_ANNOUNCE);
  view.setUint32(at + RESPONSE_TRANSACTION_AT, transaction);
  view.setUint32(at + RESPONSE_INTERVAL_AT, intervalSeconds);
  view.setUint32(at + RESPONSE_LEECHERS_AT, leechers);
  view.setUint32(at + RESPONSE_SEEDERS_AT, seeders);
  return ANNOUNCE_RESPONSE_BYTES_MIN;
}

/** Writes what stands before the entries of a scrape response; its length. */
export function writeScrapeResponse(view: DataView, at: number, transaction: number): number {
  view.setUint32(at, ACTION_SCRAPE);
  view.setUint32(at + RESPONSE_TRANSACTION_AT, transaction);
  return SCRAPE_RESPONSE_BYTES_MIN;
}

/** Writes entry `index` of the scrape response at `at`. */
export function writeScrapeEntry(
  view: DataView,
  at: number,
  index: number,
  seeders: number,
  completed: number,
  leechers: number,
): void {
  const entry = at + RESPONSE_SCRAPE_AT + index * SCRAPE_ENTRY_BYTES;
  view.setUint32(entry, seeders);
  view.setUint32(entry + 4, completed);
  view.setUint32(entry + 8, leechers);
}

/** Writes an error response; its length. */
export function writeErrorResponse(
  view: DataView,
  at: number,
  transaction: number,
  text: Uint8Array,
): number {
  view.setUint32(at, ACTION_ERROR);
  view.setUint32(at + RESPONSE_TRANSACTION_AT, transaction);
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at + ERROR_RESPONSE_BYTES_MIN, text.length);
  bytes.set(text);
  return ERROR_RESPONSE_BYTES_MIN + text.length;
}

/**
 * The action of a response of `length` bytes, or −1 if it is too short for what it says it is, or is nothing we know. Peers of
 * an announce response, and entries of a scrape response, are whole ones: bytes behind the last are to be left alone.
 */
export function responseAction(view: DataView, at: number, length: number): number {
  if (length < ERROR_RESPONSE_BYTES_MIN) return -1;
  const action = view.getUint32(at);
  switch (action) {
    case ACTION_CONNECT:
      return length >= CONNECT_RESPONSE_BYTES ? action : -1;
    case ACTION_ANNOUNCE:
      return length >= ANNOUNCE_RESPONSE_BYTES_MIN ? action : -1;
    case ACTION_SCRAPE:
    case ACTION_ERROR:
      return action;
    default:
      return -1;
  }
}

/** A number of 64 bits at `at`; above 2^53 it is rounded. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value >>> 0);
}
