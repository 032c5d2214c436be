// Downloads several torrents in one session: they share its memory, its connections and its limits.
//
//   node several-torrents.mjs DIRECTORY HOST:PORT FILE.torrent...

import { readMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [directory, peer, ...torrentFiles] = process.argv.slice(2);
if (directory === undefined || peer === undefined || torrentFiles.length === 0)
  throw new Error("usage: node several-torrents.mjs DIRECTORY HOST:PORT FILE.torrent...");

// The pool is a bound on all blocks that are between a socket and a disk; maxPeers on all connections.
const session = new Session({ poolBytes: 64 * 1024 * 1024, maxPeers: 200 });
session.setRateLimits({ maxDownloadBytesPerSecond: 50_000_000 });

const timer = setInterval(() => {
  const { torrents, downloadBytesPerSecond } = session.stats();
  console.error(`${torrents} torrents, ${Math.round(downloadBytesPerSecond / 1000)} KB/s`);
}, 1000);
try {
  const downloads = torrentFiles.map(async (torrentFile) => {
    const torrent = await session.add(await readMetainfo(torrentFile), {
      directory,
      peers: [addressOf(peer)],
    });
    await torrent.done;
    console.log(`${torrent.name} is complete`);
    // It goes on seeding until it is closed, or removed: torrent.remove({ data: true }) deletes what was downloaded.
    await torrent.close();
  });
  // One that fails does not end the others.
  const results = await Promise.allSettled(downloads);
  for (const result of results) if (result.status === "rejected") console.error(String(result.reason));
} finally {
  clearInterval(timer);
  await session.close();
}
