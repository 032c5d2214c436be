// Takes the blocks of a torrent as they are verified, without a copy and without the engine's own storage, and puts them where the program
// wants them: here into a file that it writes itself.
//
//   node leases.mjs FILE.torrent OUTPUT [HOST:PORT]...
//
// A lease lends the slot of the pool that the block was received into, until it is released. While too many are held nothing is received,
// and peers wait: that is all the back-pressure there is to care about.

import { open } from "node:fs/promises";
import { readMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [torrentFile, output, ...peers] = process.argv.slice(2);
if (torrentFile === undefined || output === undefined)
  throw new Error("usage: node leases.mjs FILE.torrent OUTPUT [HOST:PORT]...");

const metainfo = await readMetainfo(torrentFile);
const file = await open(output, "w");
/** Writes under way. @type {Set<Promise<void>>} */
const writes = new Set();

const session = new Session({ poolBytes: 8 * 1024 * 1024 });
try {
  const torrent = await session.add(metainfo, {
    storage: "null",
    peers: peers.map(addressOf),
    // Called for each block of a verified piece, in whatever order pieces come.
    onBlock: (lease) => {
      const write = put(lease).finally(() => writes.delete(write));
      writes.add(write);
    },
  });
  // Resolves when all blocks were lent; the last of them may still be on their way.
  await torrent.done;
  await Promise.all(writes);
  console.log(`${torrent.counters().blocksReceived} blocks, ${metainfo.totalLength} bytes`);
} finally {
  await session.close();
  await file.close();
}

/** @param {import("scatterwire").BlockLease} lease */
async function put(lease) {
  try {
    const position = lease.piece * metainfo.pieceLength + lease.begin;
    await file.write(lease.bytes, 0, lease.bytes.length, position);
  } finally {
    // The slot takes the next block from here on: lease.bytes throws.
    lease.release();
  }
}
