// bittorrent-protocol (WebTorrent's wire, from npm) as a measured program: requests every block of a torrent and forgets what
// comes. It is the protocol alone, so it is compared only where nothing is hashed or stored.
//
//   node bittorrent-protocol-harness.js TORRENT
//
// Prints {"port":N} when peers may connect, and {"done":true} when all blocks came. Ends when its standard input ends.

import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { readMetainfo } from "../../src/index.js";
import { entryOf } from "../measuring/ends.js";

/** What is used of the package, which comes without types. */
interface Wire extends Duplex {
  handshake(infoHash: string, peerId: string): void;
  interested(): void;
  request(
    piece: number,
    begin: number,
    length: number,
    done: (error: Error | null, block: Uint8Array) => void,
  ): void;
}

const BLOCK_BYTES = 16_384;
const QUEUE = 256;
/** Requests go out in one write when so many may go. */
const REFILL_PART = 4;

const torrent = entryOf(process.argv, 2);
const metainfo = await readMetainfo(torrent);
const packageName: string = "bittorrent-protocol";
const { default: Protocol } = (await import(packageName)) as { default: new (type: string) => Wire };

const infoHash = Buffer.from(metainfo.infoHash).toString("hex");
const peerId = Buffer.from("-XX0100-000000000000").toString("hex");
let requestedBytes = 0;
let receivedBytes = 0;

function follow(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on("error", () => {});
  const wire = new Protocol("tcpIncoming");
  wire.on("error", () => {});
  socket.pipe(wire).pipe(socket);
  let outstanding = 0;
  const refill = (): void => {
    if (outstanding > QUEUE - QUEUE / REFILL_PART) return;
    socket.cork();
    while (outstanding < QUEUE && requestedBytes < metainfo.totalLength) {
      const piece = Math.floor(requestedBytes / metainfo.pieceLength);
      const begin = requestedBytes % metainfo.pieceLength;
      const left = Math.min(metainfo.pieceLength - begin, metainfo.totalLength - requestedBytes);
      const length = Math.min(BLOCK_BYTES, left);
      requestedBytes += length;
      outstanding++;
      wire.request(piece, begin, length, (error) => {
        if (error !== null) throw error;
        outstanding--;
        receivedBytes += length;
        if (receivedBytes === metainfo.totalLength) process.stdout.write('{"done":true}\n');
        else refill();
      });
    }
    process.nextTick(() => socket.uncork());
  };
  wire.on("handshake", () => {
    wire.handshake(infoHash, peerId);
    wire.interested();
  });
  wire.on("unchoke", refill);
}

const server = createServer(follow);
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as { port: number };
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
