// Asks the DHT who has a torrent, and prints each address once.
//
//   node dht-lookup.mjs INFO-HASH HOST:PORT...
//
// The addresses are nodes to begin with, such as those that an earlier run saved (dht.save()), or well-known ones.

import { setTimeout } from "node:timers/promises";
import { Dht } from "scatterwire/dht";
import { addressOf } from "./support/address.mjs";

const [infoHash, ...nodes] = process.argv.slice(2);
if (infoHash === undefined || nodes.length === 0)
  throw new Error("usage: node dht-lookup.mjs INFO-HASH HOST:PORT...");

const first = nodes.map(addressOf);
// Whoever only asks, and is gone in a moment, is to be in nobody's table (BEP 43).
const dht = new Dht({
  listen: [{ host: first.some(({ host }) => host.startsWith("127.")) ? "127.0.0.1" : "0.0.0.0", port: 0 }],
  bootstrap: first,
  readOnly: true,
});
try {
  // The first nodes have to answer, and name others near us, before there is anybody to ask: some round trips.
  const patience = AbortSignal.timeout(20_000);
  while (dht.stats().contacts === 0 || dht.stats().lookupsUnderWay > 0)
    await setTimeout(50, undefined, { signal: patience });
  for await (const { host, port } of dht.lookup(Buffer.from(infoHash, "hex"))) console.log(`${host}:${port}`);
} finally {
  dht.close();
}
