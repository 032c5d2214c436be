// An extension of the wire of one's own (BEP 10): two sessions that share a torrent greet each other. Extensions that are published for
// WebTorrent, such as ut_pex, have the same form and are used in the same way.
//
//   node extension.mjs PATH

import { dirname } from "node:path";
import { createTorrentFile, Session } from "scatterwire";

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: node extension.mjs PATH");

/** Its name is the one that both sides say in their handshakes. */
class Greeting {
  /** @param {{ extended(name: string, payload: Uint8Array): void }} wire the connection */
  constructor(wire) {
    this.wire = wire;
  }

  /** The other side has the extension, too. */
  onExtendedHandshake() {
    this.wire.extended("greeting", Buffer.from("good morning"));
  }

  /** @param {Uint8Array} message */
  onMessage(message) {
    console.log(Buffer.from(message).toString());
    heard();
  }
}
Object.assign(Greeting.prototype, { name: "greeting" });

let left = 2;
/** @type {() => void} */
let done;
const greeted = new Promise((resolve) => {
  done = () => resolve(undefined);
});
function heard() {
  if (--left === 0) done();
}

const torrentFile = await createTorrentFile(path);
const seeder = new Session({ listen: { host: "127.0.0.1", port: 0 } });
const leecher = new Session();
try {
  const theirs = await seeder.add(torrentFile, { directory: dirname(path), readOnly: true });
  const ours = await leecher.add(torrentFile, { storage: "memory" });
  for (const torrent of [theirs, ours])
    torrent.on("peerConnected", (_peer, connection) => connection.use(Greeting));
  ours.addPeer(await seeder.listen());
  await greeted;
} finally {
  await Promise.all([seeder.close(), leecher.close()]);
}
