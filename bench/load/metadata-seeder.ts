// A peer of any number of torrents that has nothing of them but their info dictionaries, which it makes when it is asked: the other end of an
// indexer. It speaks the handshake, the extension handshake and ut_metadata (BEP 3, 10, 9), and closes a connection that says anything
// that it does not know how to answer.

import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import bencode from "bencode";
import { decodeExtensionHandshake, encodeExtensionHandshake } from "../../src/client/wire/extension.js";
import { decodeHandshake, encodeHandshake } from "../../src/client/wire/handshake.js";
import {
  decodeMetadataMessage,
  encodeMetadataMessage,
  METADATA_PIECE_BYTES,
  MetadataMessageType,
} from "../../src/client/wire/metadata-message.js";

const HANDSHAKE_BYTES = 68;
const EXTENDED = 20;
const OUR_ID = 1;
const MESSAGE_BYTES_MAX = 2 ** 20;
const PIECE_BYTES = 2 ** 18;

/** The info dictionary of the torrent of a number: some have one file, some have many. */
export function madeInfo(number: number): Buffer {
  const files = number % 5;
  const pieces = 3 + (number % 40);
  const name = `torrent number ${number} of ${["films", "music", "books", "games", "things"][number % 5]}`;
  return Buffer.from(
    bencode.encode({
      ...(files === 0
        ? { length: pieces * PIECE_BYTES }
        : {
            files: Array.from({ length: files }, (_, index) => ({
              length: (index === 0 ? pieces - files + 1 : 1) * PIECE_BYTES,
              path: ["folder", `file ${index}.data`],
            })).filter(({ length }) => length > 0),
          }),
      name,
      "piece length": PIECE_BYTES,
      pieces: Buffer.alloc(20 * piecesOf(pieces, files), number & 0xff),
    }),
  );
}

/** Files of no bytes are left out, and the first has what is left. */
function piecesOf(pieces: number, files: number): number {
  return files === 0 ? pieces : Math.max(0, pieces - files + 1) + (files - 1);
}

export function madeHash(number: number): Uint8Array {
  return Uint8Array.from(createHash("sha1").update(madeInfo(number)).digest());
}

export class MetadataSeeder {
  connections = 0;
  served = 0;
  readonly #infos = new Map<string, () => Buffer>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #peerId = Buffer.alloc(20, "-XX0000-metadataseed");

  /** Listens at a port of `host` that the system picks. */
  static async start(host: string): Promise<MetadataSeeder> {
    const seeder = new MetadataSeeder();
    await new Promise<void>((resolve, reject) => {
      seeder.#server.once("error", reject).listen(0, host, 4096, resolve);
    });
    return seeder;
  }

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#accepted(socket));
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Has the torrent of this number from now on. Its hash. */
  add(number: number): Uint8Array {
    const hash = madeHash(number);
    this.#infos.set(Buffer.from(hash).toString("latin1"), () => madeInfo(number));
    return hash;
  }

  /** Has a torrent with these bytes, whatever they are. Its hash. */
  addInfo(info: Buffer): Uint8Array {
    const hash = createHash("sha1").update(info).digest();
    this.#infos.set(hash.toString("latin1"), () => info);
    return Uint8Array.from(hash);
  }

  /** Says that it has a torrent, and sends the dictionary of another. */
  addLie(infoHash: Uint8Array, number: number): void {
    this.#infos.set(Buffer.from(infoHash).toString("latin1"), () => madeInfo(number));
  }

  /** Connects to somebody who wants a torrent, by itself. */
  connect(port: number, infoHash: Uint8Array, host = "127.0.0.1"): void {
    const socket = connect(port, host, () => {
      const handshake = Buffer.alloc(HANDSHAKE_BYTES);
      encodeHandshake(handshake, 0, { infoHash, peerId: this.#peerId });
      socket.write(handshake);
      this.#accepted(socket, true);
    });
    socket.once("error", () => socket.destroy());
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accepted(socket: Socket, isOurs = false): void {
    this.connections++;
    this.#sockets.add(socket);
    let received = Buffer.alloc(0);
    let info: Buffer | undefined;
    let theirId = 0;
    const end = (): void => {
      this.#sockets.delete(socket);
      socket.destroy();
    };
    socket.on("close", end).on("error", end);
    socket.on("data", (chunk) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      try {
        if (info === undefined) {
          if (received.length < HANDSHAKE_BYTES) return;
          info = this.#greet(socket, received.subarray(0, HANDSHAKE_BYTES), isOurs);
          received = received.subarray(HANDSHAKE_BYTES);
        }
        while (received.length >= 4) {
          const length = received.readUInt32BE(0);
          if (length > MESSAGE_BYTES_MAX) throw new Error("too long");
          if (received.length < 4 + length) return;
          const message = received.subarray(4, 4 + length);
          received = received.subarray(4 + length);
          if (message[0] !== EXTENDED) continue;
          if (message[1] === 0)
            theirId = decodeExtensionHandshake(message.subarray(2)).m.get("ut_metadata") ?? 0;
          else this.#serve(socket, message.subarray(2), info, theirId);
        }
      } catch {
        end();
      }
    });
  }

  /** The info dictionary that the other side asks for. Throws for one that is not here. */
  #greet(socket: Socket, bytes: Buffer, isOurs: boolean): Buffer {
    const { infoHash } = decodeHandshake(bytes);
    const info = this.#infos.get(Buffer.from(infoHash).toString("latin1"))?.();
    if (info === undefined) throw new Error("not here");
    const answer = Buffer.alloc(HANDSHAKE_BYTES);
    encodeHandshake(answer, 0, { infoHash, peerId: this.#peerId });
    const extensions = encodeExtensionHandshake({
      v: "metadata seeder",
      p: 0,
      reqq: 250,
      uploadOnly: false,
      yourip: "",
      m: { ut_metadata: OUR_ID },
      metadataSize: info.length,
    });
    socket.write(isOurs ? framed(0, extensions) : Buffer.concat([answer, framed(0, extensions)]));
    return info;
  }

  #serve(socket: Socket, bytes: Buffer, info: Buffer, theirId: number): void {
    const message = decodeMetadataMessage(bytes);
    if (message?.type !== MetadataMessageType.request) return;
    const begin = message.piece * METADATA_PIECE_BYTES;
    const data = info.subarray(begin, begin + METADATA_PIECE_BYTES);
    socket.write(
      framed(theirId, encodeMetadataMessage(MetadataMessageType.data, message.piece, info.length, data)),
    );
    this.served++;
  }
}

function framed(extendedId: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(6 + payload.length);
  frame.writeUInt32BE(2 + payload.length, 0);
  frame[4] = EXTENDED;
  frame[5] = extendedId;
  frame.set(payload, 6);
  return frame;
}
