// The extension handshake of BEP 10: a bencoded dictionary under extended id 0. Only what we use is read, and
// whatever a peer puts there ends in a value of the right type, nothing, or PeerError.

import { isIP } from "node:net";
import bencode from "bencode";
import { PeerError } from "../errors.js";
import { KIB } from "../limits.js";

export interface ExtensionHandshake {
  /** Extended message ids by name. */
  readonly m: ReadonlyMap<string, number>;
  /** Client and version. */
  readonly v?: string;
  /** Port at which the sender accepts connections. */
  readonly p?: number;
  /** Requests the sender queues. */
  readonly reqq?: number;
  /** BEP 21: the sender wants nothing. */
  readonly uploadOnly?: boolean;
}

/** The decoder recurses; so many bytes cannot nest deeper than the stack allows. */
const DICTIONARY_BYTES_MAX = 16 * KIB;
const NAME_LENGTH_MAX = 80;

/** Encodes our handshake. `p` 0: we accept no connections. `yourip`: the peer's address, as text. */
export function encodeExtensionHandshake(fields: {
  v: string;
  p: number;
  reqq: number;
  uploadOnly: boolean;
  yourip: string;
}): Uint8Array {
  const yourip = compactAddress(fields.yourip);
  return bencode.encode({
    m: {},
    ...(fields.p > 0 ? { p: fields.p } : {}),
    reqq: fields.reqq,
    ...(fields.uploadOnly ? { upload_only: 1 } : {}),
    v: fields.v,
    ...(yourip === undefined ? {} : { yourip }),
  });
}

/** Decodes a peer's handshake. Throws PeerError `PEER_MESSAGE_MALFORMED` if it is no dictionary. */
export function decodeExtensionHandshake(bytes: Uint8Array): ExtensionHandshake {
  const fields = decodeDictionary(bytes);
  const m = new Map<string, number>();
  const names = fields["m"];
  if (isDictionary(names)) {
    for (const [name, id] of Object.entries(names)) {
      if (typeof id === "number" && id > 0 && id < 256 && name.length <= NAME_LENGTH_MAX) m.set(name, id);
    }
  }
  const reqq = wholeNumber(fields["reqq"], 1, 2 ** 31);
  const p = wholeNumber(fields["p"], 1, 65_535);
  const v = fields["v"];
  const uploadOnly = fields["upload_only"];
  return {
    m,
    ...(reqq === undefined ? {} : { reqq }),
    ...(p === undefined ? {} : { p }),
    ...(v instanceof Uint8Array ? { v: printable(v) } : {}),
    ...(typeof uploadOnly === "number" ? { uploadOnly: uploadOnly !== 0 } : {}),
  };
}

function decodeDictionary(bytes: Uint8Array): Record<string, unknown> {
  const malformed = (received: string, cause?: unknown): PeerError =>
    new PeerError("PEER_MESSAGE_MALFORMED", "extension handshake", { expected: "a bencoded dictionary", received, cause });
  if (bytes.length > DICTIONARY_BYTES_MAX) throw malformed(`${bytes.length} bytes`);
  let value: unknown;
  try {
    value = bencode.decode(bytes.slice());
  } catch (error) {
    throw malformed(`${bytes.length} bytes that are none`, error);
  }
  if (!isDictionary(value)) throw malformed("another value");
  return value;
}

function isDictionary(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function wholeNumber(value: unknown, min: number, max: number): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}

function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, NAME_LENGTH_MAX)).toString("utf8");
  return text.replace(/\p{Cc}/gu, "");
}

/** 4 bytes of an IPv4 address; IPv6 is left out, nobody reads it. */
function compactAddress(host: string): Uint8Array | undefined {
  return isIP(host) === 4 ? Uint8Array.from(host.split("."), Number) : undefined;
}
