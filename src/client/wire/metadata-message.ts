// Messages of the extension ut_metadata (BEP 9): a bencoded dictionary, and behind it, in an answer, up to 16 KiB of the info dictionary.
//
// Always: what a peer sends becomes a message with numbers in range, nothing where its type is not known, or PeerError.

import bencode from "bencode";
import { PeerError } from "../../base/errors.js";
import { KIB } from "../../base/limits.js";
import {
  BencodeError,
  type BencodeLimits,
  dictionarySpans,
  integerAt,
  isDictionary,
  isInteger,
  type Span,
  skipValue,
} from "../../codec/bencode-spans.js";

/** The info dictionary is asked for in pieces of this many bytes. */
export const METADATA_PIECE_BYTES = 16 * KIB;
/** A message may have so many bytes: a piece, and the dictionary before it, with room for what others may put there. */
export const METADATA_MESSAGE_BYTES_MAX = METADATA_PIECE_BYTES + KIB;

export const MetadataMessageType = { request: 0, data: 1, reject: 2 } as const;

export interface MetadataMessage {
  readonly type: number;
  readonly piece: number;
  /** Of the whole info dictionary, where the message says it. */
  readonly totalSize: number | undefined;
  /** Where in the bytes the piece begins: behind the dictionary. */
  readonly dataAt: number;
}

const LIMITS: BencodeLimits = { depthMax: 4, valuesMax: 64 };
const PIECE_MAX = 2 ** 31 - 1;

/** `data` follows the dictionary as it is. */
export function encodeMetadataMessage(
  type: number,
  piece: number,
  totalSize?: number,
  data?: Uint8Array,
): Uint8Array {
  const fields = bencode.encode({
    msg_type: type,
    piece,
    ...(totalSize === undefined ? {} : { total_size: totalSize }),
  });
  return data === undefined ? fields : Buffer.concat([fields, data]);
}

/** Undefined for a type that we do not know. Throws PeerError `PEER_MESSAGE_MALFORMED`. */
export function decodeMetadataMessage(bytes: Uint8Array): MetadataMessage | undefined {
  let dataAt: number;
  let spans: Map<string, Span>;
  try {
    if (!isDictionary(bytes, { start: 0, end: bytes.length })) throw malformed("another value");
    dataAt = skipValue(bytes, 0, LIMITS);
    spans = dictionarySpans(bytes, 0);
  } catch (error) {
    if (error instanceof BencodeError) throw malformed(error.message, error);
    throw error;
  }
  const type = numberOf(bytes, spans.get("msg_type"));
  const piece = numberOf(bytes, spans.get("piece"));
  if (type === undefined) throw malformed("a dictionary without msg_type");
  if (type > MetadataMessageType.reject) return undefined;
  if (piece === undefined) throw malformed("a dictionary without piece");
  return { type, piece, totalSize: numberOf(bytes, spans.get("total_size")), dataAt };
}

function numberOf(bytes: Uint8Array, span: Span | undefined): number | undefined {
  if (!isInteger(bytes, span)) return undefined;
  const value = integerAt(bytes, span);
  return value >= 0 && value <= PIECE_MAX ? value : undefined;
}

function malformed(received: string, cause?: unknown): PeerError {
  return new PeerError("PEER_MESSAGE_MALFORMED", "ut_metadata", {
    expected: "a bencoded dictionary with msg_type and piece",
    received,
    cause,
  });
}
