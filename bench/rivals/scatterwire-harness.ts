// Ourselves as a measured program, through the public API as anybody would use it.
//
//   node scatterwire-harness.js download|seed TORRENT DIRECTORY OPTIONS
//
// OPTIONS is a JSON object {"session": SessionOptions, "torrent": TorrentOptions}. Prints {"port":N} when peers may connect, and
// {"done":true} when a download is complete. Ends when its standard input ends.

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
  process.stdin.on("end", () => process.exit(0)).resume();
  if (role === "seed") return;
  await torrent.done;
  process.stdout.write(`${JSON.stringify({ done: true })}\n`);
}

await main();
