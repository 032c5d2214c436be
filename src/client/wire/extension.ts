// The extension handshake: a bencoded dictionary under extended id 0 (BEP 10), with `upload_only` of BEP 21 and
// `metadata_size` of BEP 9.
//
// Always: only what we know is read, and whatever a peer puts there becomes a value of the right type and in range,
// nothing, or PeerError. Size and depth are bounded before anything is decoded.

import bencode from "bencode";
import { PeerError } from "../../base/errors.js";
import { KIB, METAINFO_BYTES_MAX } from "../../base/limits.js";
import {
  BencodeError,
  type BencodeLimits,
  dictionarySpans,
  integerAt,
  isDictionary,
  isInteger,
  isString,
  type Span,
  skipValue,
  stringSpan,
} from "../../codec/bencode-spans.js";
import { addressText, compactAddress } from "../../codec/compact-address.js";

export interface ExtensionHandshake {
  /** Extended message ids of the sender, by name. With id 0 it turns one off. */
  readonly m: ReadonlyMap<string, number>;
  /** Client and version; at most 80 characters, none of them control characters. */
  readonly v?: string;
  /** Port at which the sender accepts connections. */
  readonly p?: number;
  /** Requests that the sender queues without dropping one. */
  readonly reqq?: number;
  /** Our address as the sender sees it. */
  readonly yourip?: string;
  /** BEP 21: the sender wants no blocks. */
  readonly uploadOnly?: boolean;
  /** BEP 9: bytes of the info dictionary. */
  readonly metadataSize?: number;
}

/** A handshake may be so long. */
export const EXTENSION_HANDSHAKE_BYTES_MAX = 16 * KIB;
const LIMITS: BencodeLimits = { depthMax: 16, valuesMax: 2048 };
const TEXT_LENGTH_MAX = 80;
const REQQ_MAX = 2 ** 31;

/**
 * Encodes our handshake. `p` 0 says that we accept no connections, and is left out; so is `yourip`, the peer's
 * address as text, if it is no address.
 */
export function encodeExtensionHandshake(fields: {
  v: string;
  p: number;
  reqq: number;
  uploadOnly: boolean;
  yourip: string;
  m?: Readonly<Record<string, number>>;
  metadataSize?: number | undefined;
  /** Of a program's own; what we say ourselves goes before it. */
  more?: Readonly<Record<string, unknown>> | undefined;
}): Uint8Array {
  const yourip = compactAddress(fields.yourip);
  return bencode.encode({
    ...fields.more,
    m: fields.m ?? {},
    ...(fields.metadataSize === undefined ? {} : { metadata_size: fields.metadataSize }),
    ...(fields.p > 0 ? { p: fields.p } : {}),
    reqq: fields.reqq,
    ...(fields.uploadOnly ? { upload_only: 1 } : {}),
    v: fields.v,
    ...(yourip === undefined ? {} : { yourip }),
  });
}

/**
 * Decodes a peer's handshake. Fields that are missing, of another type or out of range are left out; bytes behind the
 * dictionary are ignored. Throws PeerError `PEER_MESSAGE_MALFORMED` if it is no dictionary.
 */
export function decodeExtensionHandshake(bytes: Uint8Array): ExtensionHandshake {
  const spans = checkedSpans(bytes);
  const v = textOf(bytes, spans.get("v"));
  const p = numberOf(bytes, spans.get("p"), 1, 65_535);
  const reqq = numberOf(bytes, spans.get("reqq"), 1, REQQ_MAX);
  const yourip = addressOf(bytes, spans.get("yourip"));
  const uploadOnly = numberOf(bytes, spans.get("upload_only"), 0, 255);
  const metadataSize = numberOf(bytes, spans.get("metadata_size"), 1, METAINFO_BYTES_MAX);
  return {
    m: messageIds(bytes, spans.get("m")),
    ...(v === undefined ? {} : { v }),
    ...(p === undefined ? {} : { p }),
    ...(reqq === undefined ? {} : { reqq }),
    ...(yourip === undefined ? {} : { yourip }),
    ...(uploadOnly === undefined ? {} : { uploadOnly: uploadOnly !== 0 }),
    ...(metadataSize === undefined ? {} : { metadataSize }),
  };
}

/** Bytes of the handshake at the start of `bytes`, which was decoded before: what follows is not part of it. */
export function extensionHandshakeLength(bytes: Uint8Array): number {
  return skipValue(bytes, 0, LIMITS);
}

function checkedSpans(bytes: Uint8Array): Map<string, Span> {
  const malformed = (received: string, cause?: unknown): PeerError => {
    const expected = "a bencoded dictionary";
    return new PeerError("PEER_MESSAGE_MALFORMED", "extension handshake", { expected, received, cause });
  };
  if (bytes.length > EXTENSION_HANDSHAKE_BYTES_MAX) throw malformed(`${bytes.length} bytes`);
  if (!isDictionary(bytes, { start: 0, end: bytes.length })) throw malformed("another value");
  try {
    skipValue(bytes, 0, LIMITS);
    return dictionarySpans(bytes, 0);
  } catch (error) {
    if (error instanceof BencodeError) throw malformed(error.message, error);
    throw error;
  }
}

function messageIds(bytes: Uint8Array, span: Span | undefined): Map<string, number> {
  const ids = new Map<string, number>();
  if (!isDictionary(bytes, span)) return ids;
  let spans: Map<string, Span>;
  try {
    spans = dictionarySpans(bytes, span.start);
  } catch (error) {
    // One name with two ids names nothing.
    if (error instanceof BencodeError) return ids;
    throw error;
  }
  for (const [name, idSpan] of spans) {
    const id = numberOf(bytes, idSpan, 0, 255);
    if (id !== undefined && name.length <= TEXT_LENGTH_MAX) ids.set(name, id);
  }
  return ids;
}

function numberOf(bytes: Uint8Array, span: Span | undefined, min: number, max: number): number | undefined {
  if (!isInteger(bytes, span)) return undefined;
  const value = integerAt(bytes, span);
  return value >= min && value <= max ? value : undefined;
}

function textOf(bytes: Uint8Array, span: Span | undefined): string | undefined {
  if (!isString(bytes, span)) return undefined;
  const { start, end } = stringSpan(bytes, span);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
  return [...text.replace(/\p{C}/gu, "")].slice(0, TEXT_LENGTH_MAX).join("");
}

function addressOf(bytes: Uint8Array, span: Span | undefined): string | undefined {
  if (!isString(bytes, span)) return undefined;
  const { start, end } = stringSpan(bytes, span);
  return addressText(bytes.subarray(start, end));
}
