// The extensions of one connection: which ids are ours, which the peer gave, and whose message it is that comes (BEP 10).
//
// Ids go both ways, and each side chooses its own: a message to us has the id that our handshake names, and one to the peer has the id
// that the peer's handshake names. The peer may say its handshake again: what that names changes, id 0 turns an extension off, and
// what it does not name stays.
//
// Always: a connection that uses no extension holds two numbers per extension of its torrent, and none before the peer's handshake.
// What the peer said is kept, up to HEARD_BYTES_MAX, for extensions that a program brings later: they hear it as if they had been here.

import { entryOf } from "../../base/assert.js";
import {
  decodeExtensionHandshake,
  EXTENSION_HANDSHAKE_BYTES_MAX,
  type ExtensionHandshake,
  extensionHandshakeLength,
} from "../wire/extension.js";
import { EXTENSION_IDS_BYTES, type Extension, type ExtensionPeer, type ExtensionTable } from "./extension.js";

const HEARD_BYTES_MAX = 4096;
/**
 * Handshakes that are read between two ticks, and bytes of them: a peer may say again what has changed, and each takes long to read. What
 * a long one takes beyond that the next ticks make up for.
 */
const HANDSHAKES_PER_TICK = 8;
const HANDSHAKE_BYTES_PER_TICK = 2048;
const NO_IDS: number[] = [];

export class PeerExtensions<Peer extends ExtensionPeer> {
  readonly #peer: Peer;
  #table: ExtensionTable<Peer>;
  /** By the place in the table; 0: the peer has it not. */
  #theirIds = NO_IDS;
  /** The peer's handshakes, one behind the other: text takes less memory than bytes do. */
  #heard = "";
  #handshakesLeft = HANDSHAKES_PER_TICK;
  #handshakeBytesLeft = HANDSHAKE_BYTES_PER_TICK;
  #drainAsked = false;
  /** Our handshake is to be said again: what it tells has changed. */
  isHandshakeDue = false;
  /** What a program wants our handshake to tell besides. */
  handshakeFields: Readonly<Record<string, unknown>> | undefined;

  constructor(peer: Peer, table: ExtensionTable<Peer>) {
    this.#peer = peer;
    this.#table = table;
  }

  /** The dictionary `m` of our handshake. */
  get ourIds(): Readonly<Record<string, number>> {
    return this.#table.ids;
  }

  /** What a message with this extended id may have at the most, the message's id included; 0: nobody is there to hear it. */
  bytesMax(extendedId: number): number {
    if (extendedId === 0) return EXTENSION_IDS_BYTES + EXTENSION_HANDSHAKE_BYTES_MAX;
    const extension = this.#table.all[extendedId - 1];
    return extension === undefined || extension.isOff === true ? 0 : EXTENSION_IDS_BYTES + extension.bytesMax;
  }

  /** The id that messages of an extension have for the peer, or 0. */
  theirIdOf(name: string): number {
    return this.#theirIds[this.#table.indexOf(name)] ?? 0;
  }

  /** A message that is not a handshake. */
  messageReceived(extendedId: number, bytes: Uint8Array, at: number, length: number): void {
    this.#table.all[extendedId - 1]?.messageReceived(this.#peer, bytes, at, length);
  }

  /** The peer's handshake, or undefined where it says more of them between two ticks than are read. Throws PeerError. */
  readHandshake(bytes: Uint8Array): ExtensionHandshake | undefined {
    if (this.#handshakesLeft === 0 || this.#handshakeBytesLeft <= 0) return undefined;
    this.#handshakesLeft--;
    this.#handshakeBytesLeft -= bytes.length;
    return decodeExtensionHandshake(bytes);
  }

  /** `bytes` are what `handshake` was decoded from. */
  handshakeReceived(handshake: ExtensionHandshake, bytes: Uint8Array): void {
    this.#remember(bytes);
    const extensions = this.#table.all;
    for (let index = 0; index < extensions.length; index++)
      this.#tell(entryOf(extensions, index), index, handshake, bytes);
  }

  /** One more extension from now on, or one in the place of another of its name. It hears what the peer has said so far. */
  use(extension: Extension<Peer>): void {
    this.#table = this.#table.with(extension);
    const index = this.#table.indexOf(extension.name);
    const heard = Buffer.from(this.#heard, "latin1");
    for (let at = 0; at < heard.length; ) {
      const bytes = heard.subarray(at, at + extensionHandshakeLength(heard.subarray(at)));
      this.#tell(extension, index, decodeExtensionHandshake(bytes), bytes);
      at += bytes.length;
    }
  }

  /** About a second passed. */
  tick(): void {
    this.#handshakesLeft = HANDSHAKES_PER_TICK;
    this.#handshakeBytesLeft = Math.min(
      HANDSHAKE_BYTES_PER_TICK,
      this.#handshakeBytesLeft + HANDSHAKE_BYTES_PER_TICK,
    );
  }

  /** drained() of all extensions is called, once, when the peer has taken what waits for it. */
  tellWhenDrained(): void {
    this.#drainAsked = true;
  }

  /** The peer has taken all that waited for it. */
  drained(): void {
    if (!this.#drainAsked) return;
    this.#drainAsked = false;
    for (const extension of this.#table.all) extension.drained?.(this.#peer);
  }

  closed(): void {
    for (const extension of this.#table.all) extension.peerClosed?.(this.#peer);
  }

  #tell(extension: Extension<Peer>, index: number, handshake: ExtensionHandshake, bytes: Uint8Array): void {
    const id = handshake.m.get(extension.name);
    if (id !== undefined) {
      if (this.#theirIds === NO_IDS) this.#theirIds = [];
      while (this.#theirIds.length <= index) this.#theirIds.push(0);
      this.#theirIds[index] = id;
    }
    if ((this.#theirIds[index] ?? 0) !== 0) extension.handshakeReceived?.(this.#peer, handshake, bytes);
  }

  #remember(bytes: Uint8Array): void {
    const length = extensionHandshakeLength(bytes);
    if (length > HEARD_BYTES_MAX) return;
    if (this.#heard.length + length > HEARD_BYTES_MAX) this.#heard = "";
    this.#heard += Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1");
  }
}
