// Shows a file of a torrent to a player over HTTP while it is still coming. Seeking works: what a reader waits for is fetched before all else.
//
//   node stream.mjs FILE.torrent DIRECTORY [HOST:PORT]...
//   mpv http://127.0.0.1:PORT/

import { createServer } from "node:http";
import { pipeline } from "node:stream/promises";
import { readMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [torrentFile, directory, ...peers] = process.argv.slice(2);
if (torrentFile === undefined || directory === undefined)
  throw new Error("usage: node stream.mjs FILE.torrent DIRECTORY [HOST:PORT]...");

const metainfo = await readMetainfo(torrentFile);
// The largest file is the film.
const largest = Math.max(...metainfo.files.map(({ length }) => length));
const index = metainfo.files.findIndex(({ length }) => length === largest);

const session = new Session();
const torrent = await session.add(metainfo, { directory, order: "sequential", peers: peers.map(addressOf) });

const server = createServer(async (request, response) => {
  // "bytes=100-199", "bytes=100-": the last byte is included, as it is in createReadStream().
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const start = Number(first ?? 0);
  const end = last ? Math.min(Number(last), largest - 1) : largest - 1;
  if (start > end) {
    response.writeHead(416, { "content-range": `bytes */${largest}` }).end();
    return;
  }
  response.writeHead(first === undefined ? 200 : 206, {
    "accept-ranges": "bytes",
    "content-length": end - start + 1,
    ...(first === undefined ? {} : { "content-range": `bytes ${start}-${end}/${largest}` }),
  });
  if (request.method === "HEAD") response.end();
  // A player that seeks lets go of the old request: the stream is destroyed with it, and its pieces are not urgent any more.
  else await pipeline(torrent.createReadStream(index, { start, end }), response).catch(() => {});
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(JSON.stringify({ port: address.port }));
});

process.once("SIGINT", async () => {
  server.close();
  server.closeAllConnections();
  await session.close();
});
