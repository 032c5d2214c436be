// A peer on a real socket that does what a test says: it speaks the protocol and decides nothing. Whoever wants a drip, a liar
// or a queue that is too short writes what it does with a request.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { after } from "node:test";
import { HANDSHAKE_BYTES } from "../../../../src/base/limits.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import type { PeerAddress } from "../../../../src/index.js";
import { entryOf } from "../../../support/required.js";
import type { Shared } from "./loopback.js";

const HOST = "127.0.0.1";
let puppetsMade = 0;

export interface Request {
  readonly piece: number;
  readonly begin: number;
  readonly length: number;
}

export interface PuppetOptions {
  /** What it does with a request. Default: nothing at all. */
  readonly onRequest?: (request: Request, puppet: Puppet) => void;
  readonly onCancel?: (request: Request, puppet: Puppet) => void;
  /** Called once it has unchoked us. */
  readonly onOpen?: (puppet: Puppet) => void;
  /** Offers the Fast extension (BEP 6). Default true. */
  readonly fast?: boolean;
}

export class Puppet {
  readonly address: PeerAddress;
  readonly #shared: Shared;
  readonly #options: PuppetOptions;
  readonly #server: Server;
  readonly #id = Buffer.alloc(20, `puppet${++puppetsMade}-`);
  readonly #sockets = new Set<Socket>();
  #socket: Socket | undefined;
  /** Times that a handshake was done, and that a connection ended. */
  opens = 0;
  ends = 0;
  requests = 0;

  private constructor(shared: Shared, options: PuppetOptions, server: Server) {
    this.#shared = shared;
    this.#options = options;
    this.#server = server;
    this.address = { host: HOST, port: (server.address() as AddressInfo).port };
    server.on("connection", (socket) => this.#serve(socket));
    after(() => this.close());
  }

  static async make(shared: Shared, options: PuppetOptions = {}): Promise<Puppet> {
    const server = createServer();
    server.listen(0, HOST);
    await once(server, "listening");
    return new Puppet(shared, options, server);
  }

  /** The bytes of a block, as they should be. */
  bytesOf({ piece, begin, length }: Request): Buffer {
    const at = piece * this.#shared.metainfo.pieceLength + begin;
    return this.#shared.data.subarray(at, at + length);
  }

  /** A whole piece message. */
  blockMessage(request: Request, bytes: Buffer = this.bytesOf(request)): Buffer {
    const head = Buffer.alloc(13);
    head.writeUInt32BE(9 + bytes.length, 0);
    head[4] = MessageId.piece;
    head.writeUInt32BE(request.piece, 5);
    head.writeUInt32BE(request.begin, 9);
    return Buffer.concat([head, bytes]);
  }

  send(bytes: Buffer): void {
    if (this.#socket?.writable === true) this.#socket.write(bytes);
  }

  sendBlock(request: Request, bytes?: Buffer): void {
    this.send(this.blockMessage(request, bytes));
  }

  /** A block with one wrong bit. */
  sendWrongBlock(request: Request): void {
    const bytes = Buffer.from(this.bytesOf(request));
    bytes[bytes.length >> 1] = entryOf(bytes, bytes.length >> 1) ^ 1;
    this.sendBlock(request, bytes);
  }

  reject({ piece, begin, length }: Request): void {
    this.send(numbers(MessageId.reject, piece, begin, length));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      if (this.#socket === socket) this.#socket = undefined;
      this.ends++;
    });
    let unread = Buffer.alloc(0);
    let greeted = false;
    socket.on("data", (bytes) => {
      unread = Buffer.concat([unread, bytes]);
      if (!greeted) {
        if (unread.length < HANDSHAKE_BYTES) return;
        unread = unread.subarray(HANDSHAKE_BYTES);
        greeted = true;
        this.#greet(socket);
      }
      while (unread.length >= 4) {
        const length = unread.readUInt32BE(0);
        if (unread.length < 4 + length) break;
        this.#message(unread.subarray(4, 4 + length));
        unread = unread.subarray(4 + length);
      }
    });
  }

  #greet(socket: Socket): void {
    const { infoHash, pieces } = this.#shared.metainfo;
    const hello = Buffer.alloc(HANDSHAKE_BYTES);
    encodeHandshake(hello, 0, { infoHash, peerId: this.#id });
    const fast = this.#options.fast !== false;
    if (!fast) hello[27] = entryOf(hello, 27) & ~0x04;
    // No extension handshake: nothing is said of a queue.
    hello[25] = entryOf(hello, 25) & ~0x10;
    const pieceCount = pieces.length / 20;
    const bitfield = Buffer.alloc(Math.ceil(pieceCount / 8));
    for (let piece = 0; piece < pieceCount; piece++)
      bitfield[piece >> 3] = entryOf(bitfield, piece >> 3) | (0x80 >> (piece & 7));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(1 + bitfield.length);
    head[4] = MessageId.bitfield;
    socket.write(Buffer.concat([hello, head, bitfield, numbers(MessageId.unchoke)]));
    this.opens++;
    this.#options.onOpen?.(this);
  }

  #message(message: Buffer): void {
    if (message[0] !== MessageId.request && message[0] !== MessageId.cancel) return;
    const request = {
      piece: message.readUInt32BE(1),
      begin: message.readUInt32BE(5),
      length: message.readUInt32BE(9),
    };
    if (message[0] === MessageId.cancel) this.#options.onCancel?.(request, this);
    else {
      this.requests++;
      this.#options.onRequest?.(request, this);
    }
  }
}

function numbers(id: number, ...values: number[]): Buffer {
  const bytes = Buffer.alloc(5 + 4 * values.length);
  bytes.writeUInt32BE(1 + 4 * values.length);
  bytes[4] = id;
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, 5 + 4 * index);
  });
  return bytes;
}
