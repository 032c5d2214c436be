// Fetches pieces of a torrent from a peer behind TLS, without a session and without the native addon. The same works over any Duplex: a
// WebRTC data channel, uTP, a pipe to another process.
//
//   node over-tls.mjs FILE.torrent HOST:PORT [CERTIFICATE.pem]

import { readFile } from "node:fs/promises";
import { connect } from "node:tls";
import { PeerConnection, readMetainfo } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [torrentFile, peer, certificate] = process.argv.slice(2);
if (torrentFile === undefined || peer === undefined)
  throw new Error("usage: node over-tls.mjs FILE.torrent HOST:PORT [CERTIFICATE.pem]");

const metainfo = await readMetainfo(torrentFile);
const socket = connect({
  ...addressOf(peer),
  ...(certificate === undefined ? {} : { ca: await readFile(certificate) }),
});
const connection = PeerConnection.overStream(socket, { metainfo });
await connection.opened;

// All pieces are asked for at once: the connection keeps as many requests under way as pay, and each piece comes with its digest compared.
const pieceCount = Math.ceil(metainfo.totalLength / metainfo.pieceLength);
let bytes = 0;
await Promise.all(
  Array.from({ length: pieceCount }, async (_, piece) => {
    const { length } = await connection.readPiece(piece);
    bytes += length;
  }),
);
console.log(`${bytes} bytes of ${connection.info().client}`);
connection.close();
