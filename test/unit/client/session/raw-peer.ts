// A peer of a test that is nothing but a socket: it says what it is told to, reads or does not, and knows no rules. For
// tests of what a session bears.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after } from "node:test";
import { HANDSHAKE_BYTES } from "../../../../src/base/limits.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import type { Metainfo, PeerAddress } from "../../../../src/index.js";
import { entryOf } from "../../../support/required.js";

let made = 0;

export class RawPeer {
  readonly socket: Socket;
  /** What came and was not taken: the handshake at first. */
  #unread = Buffer.alloc(0);
  #wake: () => void = () => {};
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Connects and says its handshake. `fast`: it knows BEP 6. `extended`: BEP 10. `reads`: false, and it never takes a byte from the socket. */
  static async join(
    address: PeerAddress,
    metainfo: Metainfo,
    options: { fast?: boolean; extended?: boolean; reads?: boolean } = {},
  ): Promise<RawPeer> {
    const socket = connect({ port: address.port, host: address.host });
    // A socket that reads nothing must not begin to: what is paused before it is connected does not.
    if (options.reads === false) socket.pause();
    const peer = new RawPeer(socket);
    after(() => socket.destroy());
    await once(socket, "connect");
    if (options.reads !== false) socket.on("data", (bytes: Buffer) => peer.#received(bytes));
    const handshake = Buffer.alloc(HANDSHAKE_BYTES);
    const peerId = Buffer.from(`-RW0001-${String(++made).padStart(12, "0")}`, "latin1");
    encodeHandshake(handshake, 0, { infoHash: metainfo.infoHash, peerId });
    if (options.fast !== true) handshake[27] = entryOf(handshake, 27) & ~0x04;
    if (options.extended !== true) handshake[25] = entryOf(handshake, 25) & ~0x10;
    socket.write(handshake);
    return peer;
  }

  send(...messages: Uint8Array[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** Resolves when the session has closed the connection. */
  async gone(): Promise<void> {
    while (!this.closed) await this.#more();
  }

  /** The next message: id and body. Keep-alives are left out; undefined at the end. */
  async next(): Promise<{ id: number; body: Buffer } | undefined> {
    for (;;) {
      const message = this.#take();
      if (message !== undefined) return message;
      if (this.closed) return undefined;
      await this.#more();
    }
  }

  #handshakeTaken = false;

  #take(): { id: number; body: Buffer } | undefined {
    if (!this.#handshakeTaken) {
      if (this.#unread.length < HANDSHAKE_BYTES) return undefined;
      this.#unread = this.#unread.subarray(HANDSHAKE_BYTES);
      this.#handshakeTaken = true;
    }
    while (this.#unread.length >= 4) {
      const length = this.#unread.readUInt32BE(0);
      if (this.#unread.length < 4 + length) return undefined;
      const whole = this.#unread.subarray(4, 4 + length);
      this.#unread = this.#unread.subarray(4 + length);
      if (length > 0) return { id: entryOf(whole, 0), body: whole.subarray(1) };
    }
    return undefined;
  }

  #received(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    this.#wake();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Lets the loop turn until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
