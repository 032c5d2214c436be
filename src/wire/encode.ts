// Writes messages into memory that the caller provides. Each function writes at `at` and returns the bytes written;
// nothing is allocated. Layouts are those of BEP 3 unless another is named.

import { MESSAGE_HEADER_BYTES, PIECE_HEADER_BYTES, REQUEST_MESSAGE_BYTES } from "../limits.js";
import { MessageId } from "./messages.js";

export function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

/** 4 bytes. */
export function encodeKeepAlive(target: Uint8Array, at: number): number {
  writeUint32(target, at, 0);
  return 4;
}

/** A message of an id alone: choke, unchoke, interested, not interested, have all, have none. 5 bytes. */
export function encodeEmpty(target: Uint8Array, at: number, id: number): number {
  writeUint32(target, at, 1);
  target[at + 4] = id;
  return MESSAGE_HEADER_BYTES;
}

/** A message that names a piece: have, suggest piece, allowed fast. 9 bytes. */
export function encodePieceIndex(target: Uint8Array, at: number, id: number, piece: number): number {
  writeUint32(target, at, 5);
  target[at + 4] = id;
  writeUint32(target, at + 5, piece);
  return 9;
}

export function encodeHave(target: Uint8Array, at: number, piece: number): number {
  return encodePieceIndex(target, at, MessageId.have, piece);
}

/** A message that names a block: request, cancel, reject. 17 bytes. */
export function encodeRequest(
  target: Uint8Array,
  at: number,
  id: number,
  piece: number,
  begin: number,
  length: number,
): number {
  writeUint32(target, at, 13);
  target[at + 4] = id;
  writeUint32(target, at + 5, piece);
  writeUint32(target, at + 9, begin);
  writeUint32(target, at + 13, length);
  return REQUEST_MESSAGE_BYTES;
}

/** What stands before the payload of a block. 13 bytes; the payload follows on the wire. */
export function encodePieceHeader(
  target: Uint8Array,
  at: number,
  piece: number,
  begin: number,
  payloadLength: number,
): number {
  writeUint32(target, at, 9 + payloadLength);
  target[at + 4] = MessageId.piece;
  writeUint32(target, at + 5, piece);
  writeUint32(target, at + 9, begin);
  return PIECE_HEADER_BYTES;
}

/** 5 bytes and the bits. */
export function encodeBitfield(target: Uint8Array, at: number, bits: Uint8Array): number {
  writeUint32(target, at, 1 + bits.length);
  target[at + 4] = MessageId.bitfield;
  target.set(bits, at + 5);
  return 5 + bits.length;
}

/** BEP 5. 7 bytes. */
export function encodePort(target: Uint8Array, at: number, port: number): number {
  writeUint32(target, at, 3);
  target[at + 4] = MessageId.port;
  target[at + 5] = port >>> 8;
  target[at + 6] = port;
  return 7;
}

/** BEP 10. 6 bytes and the payload. */
export function encodeExtended(target: Uint8Array, at: number, extendedId: number, payload: Uint8Array): number {
  writeUint32(target, at, 2 + payload.length);
  target[at + 4] = MessageId.extended;
  target[at + 5] = extendedId;
  target.set(payload, at + 6);
  return 6 + payload.length;
}
