// Downloads the same torrent once in each receive mode and tells what receiving cost: system calls, copies, processor time of this process.
//
//   node receive-modes.mjs FILE.torrent HOST:PORT
//
// Nothing is stored or hashed, so that receiving is what is seen. For figures that mean something (rounds, both ends apart, the limit
// beside them) use `scatterwire bench receive`.

import { RECEIVE_MODES, readMetainfo, Session } from "scatterwire";
import { addressOf } from "./support/address.mjs";

const [torrentFile, peer] = process.argv.slice(2);
if (torrentFile === undefined || peer === undefined)
  throw new Error("usage: node receive-modes.mjs FILE.torrent HOST:PORT");

const metainfo = await readMetainfo(torrentFile);
for (const receiveMode of RECEIVE_MODES) {
  const session = new Session({ receiveMode });
  const before = process.cpuUsage();
  const torrent = await session.add(metainfo, {
    storage: "null",
    verify: false,
    peers: [addressOf(peer)],
  });
  await torrent.done;
  const { user, system } = process.cpuUsage(before);
  const { receiveCalls, blocksReceived, bytesCopied, payloadBytes } = torrent.counters();
  console.log(
    `${receiveMode}: ${(receiveCalls / blocksReceived).toFixed(2)} calls per block, ` +
      `${(bytesCopied / payloadBytes).toFixed(2)} of the bytes copied, ` +
      `${((user + system) / 1000).toFixed(0)} ms of CPU`,
  );
  await session.close();
}
