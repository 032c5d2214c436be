// Downloads what a magnet link names: first its metadata from peers (BEP 9), then those of its files that end as wanted.
//
//   node magnet.mjs MAGNET DIRECTORY ENDING [HOST:PORT]...
//
// Peers come from the trackers that the link names, and from the DHT unless SCATTERWIRE_DHT=off.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Session, torrentFileOf } from "scatterwire";
import { Dht } from "scatterwire/dht";
import { addressOf } from "./support/address.mjs";

const [magnet, directory, ending = "", ...peers] = process.argv.slice(2);
if (magnet === undefined || directory === undefined)
  throw new Error("usage: node magnet.mjs MAGNET DIRECTORY ENDING [HOST:PORT]...");

const dht = process.env.SCATTERWIRE_DHT === "off" ? undefined : new Dht();
const session = new Session(dht === undefined ? {} : { dht });
try {
  await mkdir(directory, { recursive: true });
  const torrent = session.addInBackground(magnet, { directory, peers: peers.map(addressOf) });
  torrent.on("metadataProgress", ({ pieces, pieceCount }) =>
    console.error(`metadata: ${pieces} of ${pieceCount} pieces`),
  );
  torrent.once("metadata", (metainfo) => {
    // The next time it can begin with this.
    void writeFile(join(directory, `${metainfo.name}.torrent`), torrentFileOf(metainfo));
    // Files that are not wanted are not fetched, and not made. A piece that two files share is fetched whole.
    torrent.setPriorities(metainfo.files.map(({ path }) => (path.at(-1)?.endsWith(ending) ? 4 : 0)));
  });
  await torrent.done;
  console.log(`${torrent.name}: ${torrent.progress().bytesWanted} bytes wanted and here`);
} finally {
  await session.close();
  dht?.close();
}
