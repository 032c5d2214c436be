// The work that is profiled, alone in its process: the load at the other end is a process of its own.
//
//   node scripts/profile/work.mjs receive TORRENT HOST:PORT SECONDS    downloads again and again; nothing hashed or stored
//   node scripts/profile/work.mjs seed TORRENT FOLDER                  seeds until its standard input ends
//   node scripts/profile/work.mjs verify TORRENT FOLDER SECONDS        checks the data again and again
//   node scripts/profile/work.mjs tracker                              answers announces until its standard input ends
//
// SECONDS 0 means once. The last line is {"bytes","pid"}: how much of it was done (a tracker: answers), and by whom.

import { checkTorrent, readMetainfo, Session } from "../../dist/src/index.js";
import { Tracker } from "../../dist/src/tracker/index.js";

const [work, torrentFile, place, seconds = "0"] = process.argv.slice(2);
const endMs = performance.now() + 1000 * Number(seconds);

async function receive() {
  const metainfo = await readMetainfo(torrentFile);
  const [host, port] = place.split(":");
  const session = new Session({ receiveMode: "speculative", poolBytes: 8 * 1024 * 1024 });
  let bytes = 0;
  do {
    const torrent = await session.add(metainfo, { storage: "null", verify: false });
    torrent.addPeer({ host, port: Number(port) });
    await torrent.done;
    bytes += torrent.progress().bytesVerified;
    await torrent.close();
  } while (performance.now() < endMs);
  await session.close();
  return bytes;
}

async function seed() {
  const metainfo = await readMetainfo(torrentFile);
  const session = new Session({
    listen: { host: "127.0.0.1", port: 0 },
    sendMode: "mapped",
    uploadSlots: 64,
  });
  await session.add(metainfo, { directory: place, readOnly: true, assumeComplete: true });
  const { port } = await session.listen();
  console.log(JSON.stringify({ port }));
  await new Promise((resolve) => process.stdin.resume().once("end", resolve).once("error", resolve));
  const bytes = session.counters().sentPayloadBytes;
  await session.close();
  return bytes;
}

async function verify() {
  const metainfo = await readMetainfo(torrentFile);
  let bytes = 0;
  do {
    const { badPieces, bytesGood } = await checkTorrent(metainfo, place);
    if (badPieces.length > 0) throw new Error("the data is not what the torrent says");
    bytes += bytesGood;
  } while (performance.now() < endMs);
  return bytes;
}

async function tracker() {
  const served = new Tracker({ udp: [{ host: "127.0.0.1", port: 0 }], peersMax: 30 });
  console.log(JSON.stringify({ port: served.udpAddresses[0].port }));
  await new Promise((resolve) => process.stdin.resume().once("end", resolve).once("error", resolve));
  const { responses } = served.counters().udp;
  served.close();
  return responses;
}

/** @type {Record<string, () => Promise<number>>} */
const WORKS = { receive, seed, verify, tracker };
const bytes = await WORKS[work]();
console.log(JSON.stringify({ bytes, pid: process.pid }));
