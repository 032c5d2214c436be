// Writes messages into memory that the caller provides, from `at` on. Layouts are those of BEP 3 unless another is named.
//
// Always: each function returns the bytes it wrote, allocates nothing, and writes nothing outside [at, at + returned).
// A message that does not fit is our bug: a typed array would drop the bytes without a word, so it is asserted.

import { assert } from "../../base/assert.js";
import { MESSAGE_HEADER_BYTES, PIECE_HEADER_BYTES, REQUEST_MESSAGE_BYTES } from "../../base/limits.js";
import { EXTENDED_BODY_BYTES_MIN, INDEX_BODY_BYTES, MessageId, PORT_BODY_BYTES } from "./messages.js";

const KEEP_ALIVE_BYTES = 4;
const UINT32_MAX = 0xffff_ffff;

export function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

/** A length prefix of 0. 4 bytes. */
export function encodeKeepAlive(target: Uint8Array, at: number): number {
  assert(at + KEEP_ALIVE_BYTES <= target.length, "a message is written where there is room for it");
  writeUint32(target, at, 0);
  return KEEP_ALIVE_BYTES;
}

/** A message of an id alone: choke, unchoke, interested, not interested; have all, have none (BEP 6). 5 bytes. */
export function encodeEmpty(target: Uint8Array, at: number, id: number): number {
  return writeHeader(target, at, id, 0);
}

/** A message that names a piece: have; suggest piece, allowed fast (BEP 6). 9 bytes. */
export function encodePieceIndex(target: Uint8Array, at: number, id: number, piece: number): number {
  assert(isUint32(piece), "a piece index is an unsigned 32-bit number on the wire");
  const body = at + writeHeader(target, at, id, INDEX_BODY_BYTES);
  writeUint32(target, body, piece);
  return MESSAGE_HEADER_BYTES + INDEX_BODY_BYTES;
}

/** 9 bytes. */
export function encodeHave(target: Uint8Array, at: number, piece: number): number {
  return encodePieceIndex(target, at, MessageId.have, piece);
}

/** A message that names a block: request, cancel; reject request (BEP 6). 17 bytes. */
export function encodeRequest(
  target: Uint8Array,
  at: number,
  id: number,
  piece: number,
  begin: number,
  length: number,
): number {
  // Per block: what is an unsigned 32-bit number is not changed by this shift, and a call of its own costs more than that.
  assert(
    piece >>> 0 === piece && begin >>> 0 === begin && length >>> 0 === length,
    "a block is three unsigned 32-bit numbers",
  );
  const body = at + writeHeader(target, at, id, REQUEST_MESSAGE_BYTES - MESSAGE_HEADER_BYTES);
  writeUint32(target, body, piece);
  writeUint32(target, body + 4, begin);
  writeUint32(target, body + 8, length);
  return REQUEST_MESSAGE_BYTES;
}

/** What stands before the payload of a block. 13 bytes; the `payloadLength` bytes follow it on the wire. */
export function encodePieceHeader(
  target: Uint8Array,
  at: number,
  piece: number,
  begin: number,
  payloadLength: number,
): number {
  assert(isUint32(piece) && isUint32(begin), "a block begins at two unsigned 32-bit numbers");
  assert(
    payloadLength >= 0 && at + PIECE_HEADER_BYTES <= target.length,
    "a header is written where there is room",
  );
  writeUint32(target, at, PIECE_HEADER_BYTES - KEEP_ALIVE_BYTES + payloadLength);
  target[at + 4] = MessageId.piece;
  writeUint32(target, at + 5, piece);
  writeUint32(target, at + 9, begin);
  return PIECE_HEADER_BYTES;
}

/** The first piece is the highest bit of the first byte; spare bits at the end are 0. 5 bytes and the bits. */
export function encodeBitfield(target: Uint8Array, at: number, bits: Uint8Array): number {
  const body = at + writeHeader(target, at, MessageId.bitfield, bits.length);
  target.set(bits, body);
  return MESSAGE_HEADER_BYTES + bits.length;
}

/** UDP port of our DHT node (BEP 5). 7 bytes. */
export function encodePort(target: Uint8Array, at: number, port: number): number {
  assert(port >= 0 && port <= 0xffff, "a port is an unsigned 16-bit number");
  const body = at + writeHeader(target, at, MessageId.port, PORT_BODY_BYTES);
  target[body] = port >>> 8;
  target[body + 1] = port;
  return MESSAGE_HEADER_BYTES + PORT_BODY_BYTES;
}

/** An extended message (BEP 10); extended id 0 is the handshake of extension.ts. 6 bytes and the payload. */
export function encodeExtended(
  target: Uint8Array,
  at: number,
  extendedId: number,
  payload: Uint8Array,
): number {
  assert(extendedId >= 0 && extendedId <= 0xff, "an extended id is one byte");
  const body = at + writeHeader(target, at, MessageId.extended, EXTENDED_BODY_BYTES_MIN + payload.length);
  target[body] = extendedId;
  target.set(payload, body + EXTENDED_BODY_BYTES_MIN);
  return MESSAGE_HEADER_BYTES + EXTENDED_BODY_BYTES_MIN + payload.length;
}

/** Length prefix and id of a message whose body has `bodyBytes`. Returns 5. */
function writeHeader(target: Uint8Array, at: number, id: number, bodyBytes: number): number {
  assert(
    at >= 0 && at + MESSAGE_HEADER_BYTES + bodyBytes <= target.length,
    "a message is written where there is room",
  );
  writeUint32(target, at, 1 + bodyBytes);
  target[at + 4] = id;
  return MESSAGE_HEADER_BYTES;
}

function isUint32(value: number): boolean {
  return value >= 0 && value <= UINT32_MAX;
}
