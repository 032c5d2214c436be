// Takes one complete message apart and calls the method of the handler that it is for. Nothing is allocated for
// messages of fixed length; those of variable length are handed over where they lie.

import { assert } from "../assert.js";
import { PeerError } from "../errors.js";
import { MessageId } from "./messages.js";

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
  onPort(port: number): void;
  onSuggest(piece: number): void;
  onHaveAll(): void;
  onHaveNone(): void;
  onReject(piece: number, begin: number, length: number): void;
  onAllowedFast(piece: number): void;
  /** The payload is bytes[at … at + length − 1], valid during the call. */
  onExtended(extendedId: number, bytes: Uint8Array, at: number, length: number): void;
  /** A message that we do not know: to be ignored (BEP 3 leaves room for more). */
  onUnknown(id: number, length: number): void;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * Decodes the message of `length` bytes (≥ 1, the id included) whose id is bytes[at], and tells `handler`. Piece
 * messages never come here. Throws PeerError `PEER_MESSAGE_MALFORMED` for a body of the wrong length.
 */
export function dispatchMessage(bytes: Uint8Array, at: number, length: number, handler: MessageHandler): void {
  const id = bytes[at]!;
  const body = at + 1;
  assert(length >= 1 && id !== MessageId.piece, "blocks are taken apart by the receiver");
  switch (id) {
    case MessageId.choke:
      checkLength("choke", length, 1);
      return handler.onChoke();
    case MessageId.unchoke:
      checkLength("unchoke", length, 1);
      return handler.onUnchoke();
    case MessageId.interested:
      checkLength("interested", length, 1);
      return handler.onInterested();
    case MessageId.notInterested:
      checkLength("not interested", length, 1);
      return handler.onNotInterested();
    case MessageId.have:
      checkLength("have", length, 5);
      return handler.onHave(readUint32(bytes, body));
    case MessageId.bitfield:
      return handler.onBitfield(bytes, body, length - 1);
    case MessageId.request:
      checkLength("request", length, 13);
      return handler.onRequest(readUint32(bytes, body), readUint32(bytes, body + 4), readUint32(bytes, body + 8));
    case MessageId.cancel:
      checkLength("cancel", length, 13);
      return handler.onCancel(readUint32(bytes, body), readUint32(bytes, body + 4), readUint32(bytes, body + 8));
    case MessageId.port:
      checkLength("port", length, 3);
      return handler.onPort((bytes[body]! << 8) | bytes[body + 1]!);
    case MessageId.suggest:
      checkLength("suggest piece", length, 5);
      return handler.onSuggest(readUint32(bytes, body));
    case MessageId.haveAll:
      checkLength("have all", length, 1);
      return handler.onHaveAll();
    case MessageId.haveNone:
      checkLength("have none", length, 1);
      return handler.onHaveNone();
    case MessageId.reject:
      checkLength("reject request", length, 13);
      return handler.onReject(readUint32(bytes, body), readUint32(bytes, body + 4), readUint32(bytes, body + 8));
    case MessageId.allowedFast:
      checkLength("allowed fast", length, 5);
      return handler.onAllowedFast(readUint32(bytes, body));
    case MessageId.extended:
      if (length < 2) checkLength("extended", length, 2);
      return handler.onExtended(bytes[body]!, bytes, body + 1, length - 2);
    default:
      return handler.onUnknown(id, length);
  }
}

function checkLength(message: string, length: number, expected: number): void {
  if (length === expected) return;
  throw new PeerError("PEER_MESSAGE_MALFORMED", `${message} message of a wrong length`, {
    expected: `${expected} bytes`,
    received: `${length}`,
  });
}
