// A host process with the engine in it: how long its own fs.stat and dns.lookup take while the engine works. Run by guest.js, with
// UV_THREADPOOL_SIZE set.
//
// node guest-trial.js SECONDS LOAD TORRENT FOLDER HOST PORT          LOAD: idle, download, store, check
//
// Always: one call of each kind is under way at a time, with a pause behind it, so that what is measured is waiting for others and
// not for each other.

import { lookup } from "node:dns/promises";
import { mkdtemp, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { checkTorrent, type Metainfo, readMetainfo, Session } from "../../src/index.js";
import { entryOf, namedIn } from "../measuring/ends.js";

const PAUSE_MS = 2;

const [seconds, load, torrentFile, folder, host, port] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];

let over = false;
let bytes = 0;

async function sample(call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  while (!over) {
    const began = performance.now();
    await call();
    times.push(performance.now() - began);
    await pause(PAUSE_MS);
  }
  return times.sort((a, b) => a - b);
}

async function download(session: Session, metainfo: Metainfo, stored: boolean): Promise<void> {
  // The same files again and again: removing them would be the host's own work, and long.
  const directory = stored ? await mkdtemp(join(folder, "download-")) : undefined;
  while (!over) {
    const torrent = await session.add(
      metainfo,
      directory === undefined ? { storage: "null" } : { storage: "file", directory, assumeEmpty: true },
    );
    torrent.addPeer({ host, port: Number(port) });
    await torrent.done;
    bytes += torrent.progress().bytesTotal;
    await torrent.close();
  }
}

async function check(metainfo: Metainfo): Promise<void> {
  while (!over) {
    const { complete, bytesTotal } = await checkTorrent(metainfo, folder);
    if (!complete) throw new Error("the data is not what it should be");
    bytes += bytesTotal;
  }
}

const metainfo = await readMetainfo(torrentFile);
await using session = new Session();
const works: Record<string, () => Promise<unknown>> = {
  idle: async () => {},
  download: () => download(session, metainfo, false),
  store: () => download(session, metainfo, true),
  // Two at a time, as an application that starts with several torrents does.
  check: () => Promise.all([check(metainfo), check(metainfo)]),
};
const working = namedIn(works, load)();
// Until it runs at full speed.
await pause(1000);
const bytesBefore = bytes;
const began = performance.now();
const samples = [sample(() => stat(folder)), sample(() => lookup("localhost"))] as const;
await pause(1000 * Number(seconds));
over = true;
const elapsedSeconds = (performance.now() - began) / 1000;
const done = bytes - bytesBefore;
const [stats, lookups] = await Promise.all(samples);
await working;
const at = (times: readonly number[], share: number): number =>
  entryOf(times, Math.min(times.length - 1, Math.floor(share * times.length)));
const figures = (times: readonly number[]) => ({
  calls: times.length,
  medianMs: at(times, 0.5),
  p99Ms: at(times, 0.99),
  mostMs: at(times, 1),
});
process.stdout.write(
  `${JSON.stringify({ bytesPerSecond: done / elapsedSeconds, stat: figures(stats), lookup: figures(lookups) })}\n`,
);
