// A connection as extensions see it that a program brings, by the contract which WebTorrent's bittorrent-protocol made common: a class
// whose prototype has a name, constructed with the wire and mounted at `wire[name]`; optional onHandshake, onExtendedHandshake and
// onMessage; `wire.extended(name, payload)`. What published packages touch of a wire beyond that is here as well.
//
// Always: a program's methods are called when the turn of the loop is over, through its queue of calls, and what they throw is its
// own. A class that comes when the handshakes are over hears them all the same. What is here costs a connection nothing until it is
// used.

import bencode from "bencode";
import { UsageError } from "../../base/errors.js";
import type { UserCalls } from "../../base/user-calls.js";
import { EXTENSION_BYTES_MAX, type Extension, type ExtensionPeer } from "./extension.js";

/** An extension of the wire: what its class makes. All of it is optional. */
export interface PeerExtension {
  /** The peer's handshake came. Info hash and peer id as 40 digits each; what the peer offers: BEP 5, 6 and 10. */
  onHandshake?(
    infoHash: string,
    peerId: string,
    offers: { dht: boolean; fast: boolean; extended: boolean },
  ): void;
  /** The peer's extension handshake came, and the peer has this extension. Texts in it are Uint8Arrays. */
  onExtendedHandshake?(handshake: Record<string, unknown>): void;
  /** A message of this extension came; the bytes are the program's. */
  onMessage?(message: Uint8Array): void;
}

/** A class of extensions. `prototype.name` is what both sides call it, such as "ut_metadata". */
export interface PeerExtensionClass<Instance extends object = PeerExtension> {
  new (wire: never): Instance;
  /** Its `name` is that of the extension, by which both sides know it (BEP 10). */
  readonly prototype: object;
}

/** The connection that a wire belongs to. */
export interface WirePeer extends ExtensionPeer {
  readonly isOpen: boolean;
  readonly infoHash: Uint8Array | undefined;
  readonly peerId: Uint8Array | undefined;
  readonly dht: boolean;
  readonly fast: boolean;
  readonly extended: boolean;
  hasPiece(piece: number): boolean;
  /** The peer does not have a piece any more: what was asked of it there is given back. */
  withdrew(piece: number): void;
  outstandingRequests(): { piece: number; offset: number; length: number }[];
  useExtension(extension: Extension): void;
  repeatExtensionHandshake(fields: Readonly<Record<string, unknown>>): void;
  extendedIdOf(name: string): number;
  sendExtendedId(id: number, payload: Uint8Array): boolean;
  close(): void;
}

const NAME_BYTES_MAX = 80;
/** Of a program, on one connection: ids are bytes, and peers take so much of a handshake. */
const USED_MAX = 100;

export class ExtensionWire {
  readonly #peer: WirePeer;
  readonly #userCalls: UserCalls;
  #used: Set<string> | undefined;
  #handshakeFields: Record<string, unknown> | undefined;
  #peerHandshake: Record<string, unknown> | undefined;

  constructor(peer: WirePeer, userCalls: UserCalls) {
    this.#peer = peer;
    this.#userCalls = userCalls;
  }

  /** What our extension handshake is to tell besides, from the next use() on. Its `m`, and what the library says itself, is not changed. */
  get extendedHandshake(): Record<string, unknown> {
    this.#handshakeFields ??= {};
    return this.#handshakeFields;
  }

  /** The peer's last extension handshake, once an extension heard it. */
  get peerExtendedHandshake(): Record<string, unknown> {
    return this.#peerHandshake ?? {};
  }

  /** @internal */
  get peerPieces(): { get(piece: number): boolean; set(piece: number, has: boolean): void } {
    const peer = this.#peer;
    return {
      get: (piece) => peer.isOpen && peer.hasPiece(piece),
      set: (piece, has) => {
        if (!has && peer.isOpen) peer.withdrew(piece);
      },
    };
  }

  /** @internal What we have asked of the peer. */
  get requests(): { piece: number; offset: number; length: number }[] {
    return this.#peer.isOpen ? this.#peer.outstandingRequests() : [];
  }

  /** @internal A request is answered by an error: those of a piece that the peer gave up were given back with it. */
  _callback(): void {}

  /** @internal */
  get peerId(): string {
    return hexOf(this.#peer.peerId);
  }

  /**
   * Adds an extension to this connection, or puts it in the place of the one of its name, the library's own included. It is made at
   * once, mounted at `connection[name]`, and returned; the peer is told of it at the end of the turn. Throws UsageError `USAGE_OPTION`
   * for a class without a name, a name that the connection has for something else, or one more than 100.
   */
  use<Instance extends object>(Extension: PeerExtensionClass<Instance>): Instance {
    const name = this.#checkedName(Extension);
    const instance = new Extension(this as never);
    this.#used ??= new Set();
    this.#used.add(name);
    Object.defineProperty(this, name, { value: instance, configurable: true, enumerable: true });
    const handler = instance as PeerExtension;
    const peer = this.#peer;
    if (!peer.isOpen) return instance;
    const { dht, fast, extended } = peer;
    this.#later(() =>
      handler.onHandshake?.(hexOf(peer.infoHash), hexOf(peer.peerId), { dht, fast, extended }),
    );
    peer.useExtension({
      name,
      bytesMax: EXTENSION_BYTES_MAX,
      handshakeReceived: (_peer, _handshake, bytes) => this.#handshakeReceived(handler, bytes),
      messageReceived: (_peer, bytes, at, length) => {
        if (handler.onMessage === undefined) return;
        const message = Uint8Array.from(bytes.subarray(at, at + length));
        this.#later(() => handler.onMessage?.(message));
      },
    });
    peer.repeatExtensionHandshake(this.extendedHandshake);
    return instance;
  }

  /**
   * Sends a message of an extension that the peer has: bytes, or what is to be bencoded. By its name, or by the peer's id of it. Does
   * nothing once the connection is over. Throws UsageError `USAGE_STATE` if the peer does not have it, `USAGE_OPTION` for more bytes
   * than a message may have.
   */
  extended(extension: string | number, payload: unknown): void {
    if (!this.#peer.isOpen) return;
    const id = typeof extension === "number" ? extension : this.#peer.extendedIdOf(extension);
    if (!Number.isInteger(id) || id < 0 || id > 255)
      throw new UsageError("USAGE_OPTION", `the id of an extension is a number from 0 to 255, not ${id}`);
    if (id === 0 && extension !== 0)
      throw new UsageError("USAGE_STATE", `the peer does not have the extension ${extension}`);
    const bytes = payload instanceof Uint8Array ? payload : bencode.encode(payload);
    if (bytes.length > EXTENSION_BYTES_MAX)
      throw new UsageError(
        "USAGE_OPTION",
        `a message of an extension has at most ${EXTENSION_BYTES_MAX} bytes, not ${bytes.length}`,
      );
    this.#peer.sendExtendedId(id, bytes);
  }

  /** @internal Ends the connection. */
  destroy(): void {
    this.#peer.close();
  }

  #checkedName(Extension: unknown): string {
    const name: unknown = typeof Extension === "function" ? Extension.prototype?.name : undefined;
    if (typeof name !== "string" || name === "" || Buffer.byteLength(name) > NAME_BYTES_MAX)
      throw new UsageError(
        "USAGE_OPTION",
        `an extension is a class whose prototype has a name of 1 to ${NAME_BYTES_MAX} bytes`,
      );
    if (this.#used?.has(name) === true) return name;
    if (name in this)
      throw new UsageError("USAGE_OPTION", `a connection has something else at the name ${name}`);
    if (this.#used?.size === USED_MAX)
      throw new UsageError("USAGE_OPTION", `a connection has at most ${USED_MAX} extensions of a program`);
    return name;
  }

  #handshakeReceived(handler: PeerExtension, bytes: Uint8Array): void {
    const handshake = bencode.decode(Uint8Array.from(bytes)) as Record<string, unknown>;
    this.#peerHandshake = handshake;
    this.#later(() => handler.onExtendedHandshake?.(handshake));
  }

  #later(call: () => void): void {
    this.#userCalls.call(call, undefined);
  }
}

function hexOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "" : Buffer.from(bytes).toString("hex");
}
