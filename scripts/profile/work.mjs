// The work that is profiled, alone in its process: the load at the other end is a process of its own.
//
//   node scripts/profile/work.mjs receive TORRENT HOST:PORT SECONDS    downloads again and again; nothing hashed or stored
//   node scripts/profile/work.mjs seed TORRENT FOLDER                  seeds until its standard input ends
//   node scripts/profile/work.mjs verify TORRENT FOLDER SECONDS        checks the data again and again
//   node scripts/profile/work.mjs tracker                              answers announces until its standard input ends
//   node scripts/profile/work.mjs answers COUNT                        answers so many, from memory to memory: no sockets
//
// SECONDS 0 means once. The last line is {"bytes","pid"}: how much of it was done (a tracker: answers), and by whom.

import { checkTorrent, readMetainfo, Session } from "../../dist/src/index.js";
import { PeerStore, Tracker } from "../../dist/src/tracker/index.js";

const [work = "", torrentFile = "", place = "", seconds = "0"] = process.argv.slice(2);
const endMs = performance.now() + 1000 * Number(seconds);

async function receive() {
  const metainfo = await readMetainfo(torrentFile);
  const [host = "", port] = place.split(":");
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
  console.log(JSON.stringify({ port: served.udpAddresses[0]?.port }));
  await new Promise((resolve) => process.stdin.resume().once("end", resolve).once("error", resolve));
  const { responses } = served.counters().udp;
  served.close();
  return responses;
}

/** What a tracker does with its datagrams between two system calls: batches of announces of as many peers as a load test has. */
async function answers() {
  const { DatagramNetwork } = await import("../../dist/src/native/datagram-network.js");
  const { ConnectionIds } = await import("../../dist/src/tracker/server/connection-ids.js");
  const { REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES, UdpResponder } = await import(
    "../../dist/src/tracker/server/udp-responder.js"
  );
  const udp = await import("../../dist/src/tracker/protocol/udp.js");
  const { Population } = await import("../../dist/bench/load/tracker-population.js");
  const entries = 64;
  const population = new Population({ torrents: 20_000, peers: 40_000, scrapeTorrentsMax: 1, seed: 7 });
  const socket = new DatagramNetwork().bind({ host: "10.0.0.1", port: 6969 });
  const requests = socket.makeBatch(entries, REQUEST_SLOT_BYTES);
  const responses = socket.makeBatch(entries, RESPONSE_SLOT_BYTES);
  const store = new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax: 2 ** 26 });
  const ids = new ConnectionIds(Uint32Array.of(1, 2, 3, 4));
  ids.advance(1e9);
  const options = { intervalSeconds: 900, peersDefault: 30, peersMax: 30, dice: 1 };
  const responder = new UdpResponder(4, store, ids, requests, responses, options);
  requests.addresses.fill(0x0100007f);
  requests.ports.fill(6881);
  ids.make(4, requests.addresses, 0);
  for (let entry = 0; entry < entries; entry++) {
    const at = entry * REQUEST_SLOT_BYTES;
    requests.lengths[entry] = udp.ANNOUNCE_REQUEST_BYTES;
    requests.view.setUint32(at + udp.CONNECTION_ID_AT, ids.high);
    requests.view.setUint32(at + udp.CONNECTION_ID_AT + 4, ids.low);
    requests.view.setUint32(at + udp.ACTION_AT, udp.ACTION_ANNOUNCE);
    requests.view.setUint32(at + udp.NUM_WANT_AT, 30);
  }
  const count = Number(torrentFile);
  const { torrentOf, portOf, hashes } = population;
  let peer = 0;
  for (let answered = 0; answered < count; answered += entries) {
    for (let entry = 0; entry < entries; entry++) {
      const at = entry * REQUEST_SLOT_BYTES;
      const to = (at + udp.INFO_HASH_AT) >>> 2;
      const from = (torrentOf[peer] ?? 0) * 5;
      for (let word = 0; word < 5; word++) requests.words[to + word] = hashes[from + word] ?? 0;
      requests.view.setUint32(at + udp.LEFT_AT + 4, peer & 3);
      requests.view.setUint16(at + udp.PORT_AT, portOf[peer] ?? 0);
      peer = peer + 1 === portOf.length ? 0 : peer + 1;
    }
    if (responder.respond(entries) !== entries) throw new Error("the tracker did not answer all");
  }
  return responder.counters.announces;
}

/** @type {Record<string, () => Promise<number>>} */
const WORKS = { receive, seed, verify, tracker, answers };
const begin = WORKS[work];
if (begin === undefined) throw new Error(`one of ${Object.keys(WORKS).join(", ")} is expected`);
const bytes = await begin();
console.log(JSON.stringify({ bytes, pid: process.pid }));
