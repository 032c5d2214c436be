// Downloads a torrent to a folder, and ends when all of it is there, verified and on the disk.
//
//   node download.mjs FILE.torrent DIRECTORY [HOST:PORT]...
//
// Peers come from the torrent's trackers; those that are named are connected to as well. It may be interrupted at any time: what was
// verified is not fetched again.

import { readMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [torrentFile, directory, ...peers] = process.argv.slice(2);
if (torrentFile === undefined || directory === undefined)
  throw new Error("usage: node download.mjs FILE.torrent DIRECTORY [HOST:PORT]...");

const session = new Session();
try {
  const torrent = await session.add(await readMetainfo(torrentFile), {
    directory,
    peers: peers.map(addressOf),
  });
  torrent.on("piece", () => {
    const { bytesVerified, bytesTotal } = torrent.progress();
    console.error(`${Math.floor((100 * bytesVerified) / bytesTotal)} %`);
  });
  // A peer that does something wrong is let go, and the download goes on with the others.
  torrent.on("peerDisconnected", ({ host, port }, error) => {
    if (error !== undefined) console.error(`${host}:${port}: ${error.code}`);
  });
  // Rejects if the disk is full, the folder is somebody else's, or the torrent is closed.
  await torrent.done;
  console.log(`${torrent.name} is complete`);
} finally {
  // Writes what is to be written, tells trackers that we leave, and lets go of files and sockets.
  await session.close();
}
