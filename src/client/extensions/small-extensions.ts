// Extensions that are one message each: lt_donthave (BEP 54), a piece that the peer does not have any more; upload_only (BEP 21), that it
// wants blocks or does not, which others tell in the handshake alone.
//
// Always: a message of another length ends the connection.

import { PeerError } from "../../base/errors.js";
import { readUint32 } from "../wire/decode.js";
import type { Extension, ExtensionPeer } from "./extension.js";

export const UPLOAD_ONLY = "upload_only";
const PIECE_BYTES = 4;

export interface ForgetfulPeer extends ExtensionPeer {
  /** It does not have the piece any more. Throws PeerError for one that does not exist. */
  doesNotHave(piece: number): void;
}

export class DontHave<Peer extends ForgetfulPeer> implements Extension<Peer> {
  readonly name = "lt_donthave";
  readonly bytesMax = PIECE_BYTES;

  messageReceived(peer: Peer, bytes: Uint8Array, at: number, length: number): void {
    checkLength(this.name, length, PIECE_BYTES);
    peer.doesNotHave(readUint32(bytes, at));
  }
}

export interface SelfishPeer extends ExtensionPeer {
  isUploadOnly: boolean;
  repeatExtensionHandshake(): void;
}

export class UploadOnly<Peer extends SelfishPeer> implements Extension<Peer> {
  readonly name = UPLOAD_ONLY;
  readonly bytesMax = 1;

  messageReceived(peer: Peer, bytes: Uint8Array, at: number, length: number): void {
    checkLength(this.name, length, 1);
    peer.isUploadOnly = bytes[at] !== 0;
  }

  /** Ours has changed: as a message where the peer has it, else in a handshake that is said again. */
  tell(peer: Peer, isUploadOnly: boolean): void {
    if (!peer.sendExtended(UPLOAD_ONLY, Uint8Array.of(isUploadOnly ? 1 : 0))) peer.repeatExtensionHandshake();
  }
}

function checkLength(name: string, length: number, expected: number): void {
  if (length === expected) return;
  throw new PeerError("PEER_MESSAGE_MALFORMED", name, {
    expected: `${expected} bytes`,
    received: `${length}`,
  });
}
