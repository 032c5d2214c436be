// Ourselves as a measured program, through the public API as anybody would use it.
//
//   node scatterwire-harness.js download|seed TORRENT DIRECTORY OPTIONS
//
// OPTIONS is a JSON object {"session": SessionOptions, "torrent": TorrentOptions}. Prints {"port":N} when peers may connect, and
// {"done":true} when a download is complete. Connects to the addresses of each line of its standard input ("127.0.0.1:6881
// 127.0.0.2:6881"), answers an empty one with {"uploaded":N}, bytes of blocks that it has sent, and ends when that ends.

import { createInterface } from "node:readline";
import { readMetainfo, Session, type SessionOptions, type TorrentOptions } from "../../src/index.js";

interface Options {
  readonly session?: SessionOptions;
  readonly torrent?: TorrentOptions;
}

async function main(): Promise<void> {
  const [role, torrentFile, directory, text] = process.argv.slice(2) as [string, string, string, string];
  const options = JSON.parse(text) as Options;
  const metainfo = await readMetainfo(torrentFile);
  const session = new Session({ listen: { host: "127.0.0.1", port: 0 }, ...options.session });
  const torrent = session.addInBackground(metainfo, {
    directory,
    ...(role === "seed" ? { readOnly: true, assumeComplete: true } : {}),
    ...options.torrent,
  });
  await torrent.ready;
  const { port } = await session.listen();
  process.stdout.write(`${JSON.stringify({ port })}\n`);
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      if (line === "")
        process.stdout.write(`${JSON.stringify({ uploaded: torrent.counters().sentPayloadBytes })}\n`);
      for (const word of line.split(" ").filter((each) => each !== "")) {
        const colon = word.lastIndexOf(":");
        torrent.addPeer({ host: word.slice(0, colon), port: Number(word.slice(colon + 1)) });
      }
    })
    .on("close", () => process.exit(0));
  if (role === "seed") return;
  await torrent.done;
  process.stdout.write(`${JSON.stringify({ done: true })}\n`);
}

await main();
