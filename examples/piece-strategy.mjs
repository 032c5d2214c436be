// Downloads a torrent in an order of one's own: the ends of the file first, where many formats have their index, and then towards the middle.
//
//   node piece-strategy.mjs FILE.torrent DIRECTORY HOST:PORT

import { readMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [torrentFile, directory, peer] = process.argv.slice(2);
if (torrentFile === undefined || directory === undefined || peer === undefined)
  throw new Error("usage: node piece-strategy.mjs FILE.torrent DIRECTORY HOST:PORT");

// Asked about once a second, and when few of the pieces are left that it named. Nothing waits for it: for a peer that has none of what it
// names, the engine chooses.
/** @type {import("scatterwire").PieceStrategy} */
const pieceStrategy = {
  *next({ pieceCount, isOpen }) {
    for (let near = 0, far = pieceCount - 1; near <= far; near++, far--) {
      if (isOpen(near)) yield near;
      if (far > near && isOpen(far)) yield far;
    }
  },
};

const session = new Session();
try {
  const torrent = await session.add(await readMetainfo(torrentFile), { directory, pieceStrategy });
  /** @type {number[]} */
  const order = [];
  torrent.on("piece", (piece) => order.push(piece));
  torrent.addPeer(addressOf(peer));
  await torrent.done;
  console.log(`${order.length} pieces, the first ones ${order.slice(0, 4).join(", ")}`);
} finally {
  await session.close();
}
