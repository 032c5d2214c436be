// What an extension of the wire between peers is (BEP 10): a name under which both sides agree on ids, how long its messages may be,
// and what happens when one comes. One object serves all connections of a torrent; what a program brings serves one connection.
//
// Always: an extension knows no socket and no torrent, but the peer as ExtensionPeer shows it, and what it was made with.

import { assert } from "../../base/assert.js";
import { EXTENDED_MESSAGE_BYTES_MAX } from "../../base/limits.js";
import type { ExtensionHandshake } from "../wire/extension.js";

/** A connection, as far as extensions go. */
export interface ExtensionPeer {
  readonly id: number;
  readonly host: string;
  /** It connected to us. */
  readonly incoming: boolean;
  /** The port at which the peer accepts connections; 0 where that is not known. */
  readonly listenPort: number;
  /** Bytes of messages that the peer has not taken. */
  readonly bytesWaiting: number;
  /** Bytes per second that a limit of ours lets us send to it; 0: any number. */
  readonly uploadLimit: number;
  /** Calls drained() of all extensions, once, when the peer has taken what waits for it. */
  tellWhenDrained(): void;
  /** Sends a message of the extension `name`. False: the peer does not have it, or has turned it off, or is gone. */
  sendExtended(name: string, payload: Uint8Array): boolean;
}

export interface Extension<Peer extends ExtensionPeer = ExtensionPeer> {
  /** As it stands in the handshake's dictionary `m`. */
  readonly name: string;
  /** Bytes that a message of it may have, its id excluded: what is longer ends the connection before anything is gathered. */
  readonly bytesMax: number;
  /** Turned off for good: our handshakes say so, and what still comes is skipped. */
  readonly isOff?: boolean;
  /** The peer's handshake came, maybe not the first, and the peer has the extension. `bytes` are what it was decoded from. */
  handshakeReceived?(peer: Peer, handshake: ExtensionHandshake, bytes: Uint8Array): void;
  /** The payload is bytes[at … at + length − 1], valid during the call. Throws PeerError to end the connection. */
  messageReceived(peer: Peer, bytes: Uint8Array, at: number, length: number): void;
  /** The peer has taken what waited for it, and somebody asked to be told. */
  drained?(peer: Peer): void;
  /** The connection is over. Told to all extensions of a connection that was open. */
  peerClosed?(peer: Peer): void;
}

/** What stands before an extension's part of a message: the message's id, and the extension's. */
export const EXTENSION_IDS_BYTES = 2;
/** Bytes that a message of any extension may have, ids excluded. */
export const EXTENSION_BYTES_MAX = EXTENDED_MESSAGE_BYTES_MAX - EXTENSION_IDS_BYTES;
/** Ids are bytes, and 0 is the handshake's. */
export const EXTENSIONS_MAX = 255;

/** What we offer to peers, in an order that does not change: the id of each is its place, counted from 1. */
export class ExtensionTable<Peer extends ExtensionPeer = ExtensionPeer> {
  readonly all: readonly Extension<Peer>[];

  constructor(extensions: readonly Extension<Peer>[]) {
    assert(extensions.length <= EXTENSIONS_MAX, "every extension has an id of one byte");
    const names = new Set(extensions.map(({ name }) => name));
    assert(names.size === extensions.length, "every extension has a name of its own");
    assert(
      extensions.every(({ bytesMax }) => bytesMax > 0 && bytesMax <= EXTENSION_BYTES_MAX),
      "a message of every extension fits what a connection gathers",
    );
    this.all = extensions;
  }

  /** The dictionary `m` of our handshake. */
  get ids(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.all.map(({ name, isOff }, index) => [name, isOff === true ? 0 : index + 1]),
    );
  }

  /** The place of an extension in `all`, or −1. */
  indexOf(name: string): number {
    return this.all.findIndex((extension) => extension.name === name);
  }

  /** With `extension` behind the others, or in the place of the one that has its name: ids stay what they are. */
  with(extension: Extension<Peer>): ExtensionTable<Peer> {
    const index = this.indexOf(extension.name);
    return new ExtensionTable(index < 0 ? [...this.all, extension] : this.all.with(index, extension));
  }
}
