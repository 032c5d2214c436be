// Our own client from the command line, which knows nobody but a tracker: ours, opentracker and bittorrent-tracker, over UDP and HTTP,
// IPv4 and IPv6, alone and among other clients. All bytes are compared, and scrapes agree with what happened.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createTorrentFile, parseMetainfo, readMetainfo, Session } from "../../src/index.js";
import { aria2, aria2WithUdp, type ClientKind, libtorrent, transmission, until } from "../support/clients.js";
import { serveHttp } from "../support/http-server.js";
import { Program } from "../support/program.js";
import { npm, opentracker, ours, type TrackerKind, type TrackerProtocol } from "../support/trackers.js";

const DATA = randomBytes(700_000);
const TIMEOUT = { timeout: 180_000 };
const PATIENCE_MS = 120_000;

interface Place {
  readonly folder: string;
  readonly torrent: string;
  readonly infoHash: string;
  /** Where the tracker is announced at. */
  readonly url: string;
}

async function makePlace(
  t: TestContext,
  kind: TrackerKind,
  protocol: TrackerProtocol,
  host: string,
): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "scatterwire-own-trackers-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const source = join(folder, "data.bin");
  await writeFile(source, DATA);
  // The tracker is in no info hash: it may be started when that is known.
  const { infoHashHex } = parseMetainfo(await createTorrentFile(source));
  const url = await kind.start(t, protocol, host, infoHashHex);
  const torrent = join(folder, "data.torrent");
  await writeFile(torrent, await createTorrentFile(source, { announce: [url] }));
  return { folder, torrent, infoHash: infoHashHex, url };
}

function listenAt(host: string): string {
  return host.includes(":") ? `[${host}]:0` : `${host}:0`;
}

/** Resolves when it seeds and its tracker knows. */
async function seed(t: TestContext, { torrent, folder }: Place, host: string): Promise<Program> {
  const program = Program.cli("seed", torrent, folder, "--listen", listenAt(host), "--json");
  t.after(() => program.stop());
  const { state, error } = await program.line("state");
  assert.equal(state, "works", `${error}`);
  return program;
}

async function download(
  place: Place,
  host: string,
  torrent = place.torrent,
  ...more: string[]
): Promise<void> {
  const output = await mkdtemp(join(place.folder, "copy-"));
  const args = ["-o", output, "--listen", listenAt(host), "--timeout", "60", "--json", ...more];
  const { status, errors } = await Program.cli("download", torrent, ...args).result();
  assert.equal(status, 0, errors);
  assert.ok((await readFile(join(output, "data.bin"))).equals(DATA));
}

async function scrape({ torrent }: Place): Promise<{ seeders: unknown; leechers: unknown }> {
  const { status, last, errors } = await Program.cli("scrape", torrent, "--json").result();
  assert.equal(status, 0, errors);
  return { seeders: last["seeders"], leechers: last["leechers"] };
}

const CASES: readonly (readonly [TrackerKind, TrackerProtocol, string])[] = [
  [ours, "udp", "127.0.0.1"],
  [ours, "udp", "::1"],
  [ours, "http", "127.0.0.1"],
  [ours, "http", "::1"],
  [opentracker, "udp", "127.0.0.1"],
  [opentracker, "http", "127.0.0.1"],
  // Over UDP it names IPv4 peers only, also to whoever asks over IPv6.
  [npm, "udp", "127.0.0.1"],
  [npm, "http", "127.0.0.1"],
  [npm, "http", "::1"],
];

describe("our client and trackers", { concurrency: 3 }, () => {
  for (const [kind, protocol, host] of CASES)
    it(`completes with ${kind.name} over ${protocol} at ${host}, and scrapes it`, TIMEOUT, async (t) => {
      const place = await makePlace(t, kind, protocol, host);
      const seeding = await seed(t, place, host);
      assert.deepEqual(await scrape(place), { seeders: 1, leechers: 0 });
      // Whoever left has said so; whoever stays is still there. `stopped` waits a second for the `completed` that is under way; a machine
      // that is slower than that may take them in the other order, and counts one who left: then the next is looked at.
      let gone = 0;
      for (const isLast of [false, false, false, true]) {
        await download(place, host);
        const { seeders, leechers } = await scrape(place);
        assert.equal(leechers, 0);
        if (seeders === 1 + gone) break;
        assert.equal(seeders, 2 + gone);
        assert.ok(!isLast, "nobody who left has said so");
        gone++;
      }
      await seeding.stop();
      assert.deepEqual(await scrape(place), { seeders: gone, leechers: 0 });
    });

  for (const [kind, protocol] of [
    [ours, "http"],
    [ours, "udp"],
    [opentracker, "udp"],
    [npm, "http"],
  ] as const)
    it(
      `shares a swarm of ${kind.name} over ${protocol} with libtorrent, transmission and aria2`,
      TIMEOUT,
      async (t) => {
        const place = await makePlace(t, kind, protocol, "127.0.0.1");
        const copies: string[] = [];
        const join_ = async (client: ClientKind): Promise<void> => {
          client.require();
          const directory = join(place.folder, client.name.replaceAll(" ", "-"));
          await mkdir(directory);
          copies.push(join(directory, "data.bin"));
          const running = await client.start("download", place.torrent, directory);
          t.after(() => running.stop());
        };
        // Transmission does not dial loopback addresses: it has to be known to who will dial it.
        await join_(transmission);
        await until(async () => (await scrape(place)).leechers === 1, PATIENCE_MS);
        await seed(t, place, "127.0.0.1");
        await join_(libtorrent);
        await join_(protocol === "udp" ? aria2WithUdp : aria2);
        await download(place, "127.0.0.1");
        await until(async () => {
          const found = await Promise.all(copies.map((copy) => readFile(copy).catch(() => Buffer.alloc(0))));
          return found.every((bytes) => bytes.equals(DATA));
        }, PATIENCE_MS);
        await until(async () => (await scrape(place)).seeders === 4, PATIENCE_MS);
      },
    );

  for (const [kind, protocol] of [
    [opentracker, "udp"],
    [npm, "http"],
  ] as const)
    it(`completes magnets with nothing but ${kind.name} in them, among other clients`, TIMEOUT, async (t) => {
      const place = await makePlace(t, kind, protocol, "127.0.0.1");
      const magnet = `magnet:?xt=urn:btih:${place.infoHash}&tr=${encodeURIComponent(place.url)}`;
      libtorrent.require();
      const other = await libtorrent.start("seed", place.torrent, place.folder);
      t.after(() => other.stop());
      await until(async () => (await scrape(place)).seeders === 1, PATIENCE_MS);
      // Several at once: those that come first have metadata for the others.
      await Promise.all([1, 2, 3].map(() => download(place, "127.0.0.1", magnet)));
      await seed(t, place, "127.0.0.1");
      await other.stop();
      await download(place, "127.0.0.1", magnet);
    });

  for (const protocol of ["http", "udp"] as const)
    it(
      `is found where it listens, and not where the system would send from, over ${protocol}`,
      TIMEOUT,
      async (t) => {
        const place = await makePlace(t, ours, protocol, "127.0.0.1");
        await seed(t, place, "127.0.0.77");
        // Nobody listens at port 1: the seed cannot come here, it has to be reached.
        const output = await mkdtemp(join(place.folder, "copy-"));
        await using session = new Session({ announcePort: 1 });
        const torrent = await session.add(await readMetainfo(place.torrent), { directory: output });
        const from = new Promise<string>((resolve) =>
          torrent.once("peerConnected", ({ address }) => resolve(address.host)),
        );
        await torrent.done;
        assert.equal(await from, "127.0.0.77");
      },
    );

  it("downloads from libtorrent, which seeds, with a torrent file from the web", TIMEOUT, async (t) => {
    const place = await makePlace(t, ours, "http", "127.0.0.1");
    libtorrent.require();
    const running = await libtorrent.start("seed", place.torrent, place.folder);
    t.after(() => running.stop());
    await until(async () => (await scrape(place)).seeders === 1, PATIENCE_MS);
    const web = await serveHttp(t, (request, response) => {
      if (request.url === "/moved") response.writeHead(302, { location: "/data.torrent" }).end();
      else void readFile(place.torrent).then((bytes) => response.end(bytes));
    });
    await download(place, "127.0.0.1", `${web.origin}/moved`);
    assert.deepEqual(web.asked, ["/moved", "/data.torrent"]);
  });

  it("uses trackers that are given on the command line, and none with --no-trackers", TIMEOUT, async (t) => {
    const place = await makePlace(t, ours, "udp", "127.0.0.1");
    const bare = join(place.folder, "bare.torrent");
    await writeFile(bare, await createTorrentFile(join(place.folder, "data.bin")));
    await seed(t, place, "127.0.0.1");
    await download(place, "127.0.0.1", bare, "--tracker", place.url);
    const alone = await Program.cli("download", place.torrent, "-o", place.folder, "--no-trackers").result();
    assert.equal(alone.status, 2);
    assert.match(alone.errors, /nobody to download from: no tracker is named/);
    const nowhere = await Program.cli("scrape", bare).result();
    assert.deepEqual([nowhere.status, /names no tracker/.test(nowhere.errors)], [2, true]);
  });

  it("says what a tracker refuses, by its host alone", TIMEOUT, async (t) => {
    const place = await makePlace(t, ours, "http", "127.0.0.1");
    const refusing = await serveHttp(t, (_request, response) => {
      response.end("d14:failure reason12:unregisterede");
    });
    const url = `${refusing.origin}/secret/announce`;
    const bare = join(place.folder, "bare.torrent");
    await writeFile(bare, await createTorrentFile(join(place.folder, "data.bin"), { announce: [url] }));
    const args = ["-o", join(place.folder, "copy"), "--listen", "127.0.0.1:0", "--timeout", "2"];
    const { status, errors } = await Program.cli("download", bare, ...args).result();
    assert.equal(status, 1);
    assert.match(errors, new RegExp(`tracker ${refusing.origin}: unregistered`));
    assert.doesNotMatch(errors, /secret/);
  });

  it("downloads several torrents at once, and says which could not be had", TIMEOUT, async (t) => {
    const place = await makePlace(t, ours, "http", "127.0.0.1");
    await seed(t, place, "127.0.0.1");
    const other = join(place.folder, "other.bin");
    await writeFile(other, DATA.subarray(0, 100_000));
    const second = join(place.folder, "other.torrent");
    await writeFile(second, await createTorrentFile(other, { announce: [place.url] }));
    const seeding = Program.cli("seed", second, place.folder, "--listen", "127.0.0.1:0", "--json");
    t.after(() => seeding.stop());
    await seeding.line("state");
    const output = await mkdtemp(join(place.folder, "both-"));
    const args = ["-o", output, "--listen", "127.0.0.1:0", "--timeout", "60"];
    const both = Program.cli("download", place.torrent, second, ...args, "--json");
    const { status, last, errors } = await both.result();
    assert.equal(status, 0, errors);
    assert.deepEqual([last["event"], last["bytes"]], ["done", DATA.length + 100_000]);
    const complete = both.lines.filter((line) => line["event"] === "complete").map((line) => line["name"]);
    assert.deepEqual(complete.sort(), ["data.bin", "other.bin"]);
    assert.ok((await readFile(join(output, "data.bin"))).equals(DATA));
    assert.ok((await readFile(join(output, "other.bin"))).equals(DATA.subarray(0, 100_000)));
    // A folder stands where one of them has its file.
    const blocked = await mkdtemp(join(place.folder, "blocked-"));
    await mkdir(join(blocked, "other.bin"));
    const one = await Program.cli("download", place.torrent, second, ...args.with(1, blocked)).result();
    assert.equal(one.status, 1);
    assert.match(one.errors, /other\.bin: /);
    assert.match(one.errors, /1 of 2 torrents could not be downloaded/);
    assert.ok((await readFile(join(blocked, "data.bin"))).equals(DATA));
  });
});
