// Makes a torrent of a file or folder and seeds it until Ctrl-C.
//
//   node seed.mjs PATH [HOST:PORT]
//
// The torrent file is written beside it, and the magnet link is printed. HOST:PORT is where peers can reach us; port 0 picks one.

import { writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createTorrentFile, parseMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [path, at = "0.0.0.0:6881"] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: node seed.mjs PATH [HOST:PORT]");

const torrentFile = await createTorrentFile(path);
await writeFile(`${path}.torrent`, torrentFile);
const metainfo = parseMetainfo(torrentFile);

const session = new Session({ listen: addressOf(at) });
// What was just hashed need not be checked again; read-only, because nothing is to be written.
const torrent = await session.add(metainfo, {
  directory: dirname(path),
  readOnly: true,
  assumeComplete: true,
});
const { host, port } = await session.listen();
console.log(JSON.stringify({ magnet: `magnet:?xt=urn:btih:${metainfo.infoHashHex}`, host, port }));

torrent.on("peerConnected", ({ address, client }) =>
  console.error(`${address.host}:${address.port} ${client}`),
);
process.once("SIGINT", async () => {
  console.error(`${torrent.counters().sentPayloadBytes} bytes sent`);
  await session.close();
});
