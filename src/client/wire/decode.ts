// Takes one complete message apart and calls the method of the handler that it is for.
//
// Always: exactly one method is called, or PeerError is thrown and none was; nothing is allocated for messages of
// fixed length; those of variable length are handed over where they lie.

import { assert } from "../../base/assert.js";
import { PeerError } from "../../base/errors.js";
import { MESSAGE_BODIES, type MessageBody, MessageId } from "./messages.js";

export interface MessageHandler {
  onChoke(): void;
  onUnchoke(): void;
  onInterested(): void;
  onNotInterested(): void;
  onHave(piece: number): void;
  /** The bits are bytes[at … at + length − 1], valid during the call. */
  onBitfield(bytes: Uint8Array, at: number, length: number): void;
  onRequest(piece: number, begin: number, length: number): void;
  onCancel(piece: number, begin: number, length: number): void;
  /** BEP 5. */
  onPort(port: number): void;
  /** BEP 6, as are onHaveAll, onHaveNone, onReject and onAllowedFast. */
  onSuggest(piece: number): void;
  onHaveAll(): void;
  onHaveNone(): void;
  onReject(piece: number, begin: number, length: number): void;
  onAllowedFast(piece: number): void;
  /** BEP 10. The payload is bytes[at … at + length − 1], valid during the call. */
  onExtended(extendedId: number, bytes: Uint8Array, at: number, length: number): void;
  /** A message that we do not know, to be ignored: BEP 3 leaves room for more. `length` includes the id. */
  onUnknown(id: number, length: number): void;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * Decodes the message of `length` bytes (≥ 1, the id included, the length prefix not) whose id is bytes[at], and
 * tells `handler`. Blocks never come here: the receiver takes them apart, payload by payload. Numbers are handed
 * over as they came; whether such a piece exists is for the handler to say.
 * Throws PeerError `PEER_MESSAGE_MALFORMED` for a body of the wrong length, and what the handler throws.
 */
export function dispatchMessage(
  bytes: Uint8Array,
  at: number,
  length: number,
  handler: MessageHandler,
): void {
  assert(
    at >= 0 && length >= 1 && at + length <= bytes.length,
    "a message is dispatched when all of it is there",
  );
  const id = bytes[at]!;
  assert(id !== MessageId.piece, "blocks are taken apart by the receiver");
  const body = at + 1;
  const bodyBytes = length - 1;
  checkBodyLength(id, bodyBytes);
  switch (id) {
    case MessageId.choke:
      handler.onChoke();
      break;
    case MessageId.unchoke:
      handler.onUnchoke();
      break;
    case MessageId.interested:
      handler.onInterested();
      break;
    case MessageId.notInterested:
      handler.onNotInterested();
      break;
    case MessageId.have:
      handler.onHave(readUint32(bytes, body));
      break;
    case MessageId.bitfield:
      handler.onBitfield(bytes, body, bodyBytes);
      break;
    case MessageId.request:
      handler.onRequest(readUint32(bytes, body), readUint32(bytes, body + 4), readUint32(bytes, body + 8));
      break;
    case MessageId.cancel:
      handler.onCancel(readUint32(bytes, body), readUint32(bytes, body + 4), readUint32(bytes, body + 8));
      break;
    case MessageId.port:
      handler.onPort((bytes[body]! << 8) | bytes[body + 1]!);
      break;
    case MessageId.suggest:
      handler.onSuggest(readUint32(bytes, body));
      break;
    case MessageId.haveAll:
      handler.onHaveAll();
      break;
    case MessageId.haveNone:
      handler.onHaveNone();
      break;
    case MessageId.reject:
      handler.onReject(readUint32(bytes, body), readUint32(bytes, body + 4), readUint32(bytes, body + 8));
      break;
    case MessageId.allowedFast:
      handler.onAllowedFast(readUint32(bytes, body));
      break;
    case MessageId.extended:
      handler.onExtended(bytes[body]!, bytes, body + 1, bodyBytes - 1);
      break;
    default:
      handler.onUnknown(id, length);
  }
}

/**
 * False if the id is not known to us, whatever the length. Throws PeerError `PEER_MESSAGE_MALFORMED` if a message of this id
 * cannot have a body of `bodyBytes`.
 */
export function checkBodyLength(id: number, bodyBytes: number): boolean {
  const expected = MESSAGE_BODIES[id];
  if (expected === undefined) return false;
  if (bodyBytes !== expected.bytes) checkBody(expected, bodyBytes);
  return true;
}

/** The body is not of exactly `expected.bytes`: that is right only for a longer body of variable length. */
function checkBody(expected: MessageBody, bodyBytes: number): void {
  if (expected.isVariable && bodyBytes > expected.bytes) return;
  throw new PeerError("PEER_MESSAGE_MALFORMED", `${expected.name} message of a wrong length`, {
    expected: `${expected.isVariable ? "at least " : ""}${1 + expected.bytes} bytes`,
    received: `${1 + bodyBytes}`,
  });
}
