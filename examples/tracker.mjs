// Runs a tracker over UDP and HTTP until Ctrl-C, for the torrents whose info hashes are named, or for all.
//
//   node tracker.mjs [INFO-HASH]...

import { parseInfoHashList, TrackerService } from "scatterwire/tracker";

const infoHashes = process.argv.slice(2);

const tracker = await TrackerService.start({
  udp: [{ host: "127.0.0.1", port: 0 }],
  http: [{ host: "127.0.0.1", port: 0 }],
  intervalSeconds: 900,
  // All that it remembers is bounded: what was not heard of for longest makes room.
  store: { bytesMax: 64 * 1024 * 1024, torrentsMax: 100_000 },
  ...(infoHashes.length === 0
    ? {}
    : { rules: { allow: parseInfoHashList(infoHashes.join("\n"), "the arguments") } }),
});
for (const { protocol, host, port } of tracker.listening)
  console.log(
    JSON.stringify({ url: `${protocol}://${host}:${port}${protocol === "http" ? "/announce" : ""}` }),
  );

process.once("SIGINT", () => tracker.close());
