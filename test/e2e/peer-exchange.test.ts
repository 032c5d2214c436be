// Peer exchange (BEP 11) with real clients, in both directions: they connect to somebody that only we told them of, and we, and the
// ut_pex of the npm registry on our connection, hear of somebody that only they know. Nobody has any data, so that nobody is ever done and
// lets go of the others.
//
// What keeps the rest away: transmission and rtorrent take one connection of an address, and ours all come from one; transmission dials
// no loopback address; aria2 tells for the first time after a minute, and lets go of who has nothing for it after half of one.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import utPex from "ut_pex";
import { type Metainfo, type PeerAddress, readMetainfo, Session, type Torrent } from "../../src/index.js";
import { aria2, type ClientKind, createWithLibtorrent, libtorrent } from "../support/clients.js";
import { temporaryFolder, writeFiles } from "../support/data.js";

const HOST = "127.0.0.1";
const WATCHDOG_MS = 120_000;

/** One of our own with nothing but an interest. */
interface Idler {
  readonly torrent: Torrent;
  readonly address: PeerAddress;
}

describe("peer exchange with real clients", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  let metainfo: Metainfo;

  before(async () => {
    for (const kind of [libtorrent, aria2]) kind.require();
    writeFiles(folder, { "data.bin": 1_000_003 });
    await createWithLibtorrent(join(folder, "data.bin"), torrent, 65_536, false);
    metainfo = await readMetainfo(torrent);
  });

  async function idler(t: TestContext, host: string): Promise<Idler> {
    const session = new Session({ listen: { host, port: 0 } });
    t.after(() => session.close());
    const address = await session.listen();
    return { torrent: await session.add(metainfo, { storage: "null", trackers: false }), address };
  }

  async function start(t: TestContext, kind: ClientKind, name: string): Promise<PeerAddress> {
    const directory = join(folder, name);
    mkdirSync(directory);
    const client = await kind.start("download", torrent, directory, { peerExchange: true });
    t.after(() => client.stop());
    return { host: HOST, port: client.port };
  }

  for (const kind of [libtorrent, aria2])
    it(`${kind.name} connects to whom we tell it of`, async (t) => {
      const them = await start(t, kind, `told-${kind.name}`);
      const [middle, other] = [await idler(t, HOST), await idler(t, HOST)];
      middle.torrent.addPeer(other.address);
      await until(() => middle.torrent.peers().length === 1);
      middle.torrent.addPeer(them);
      await until(() => other.torrent.peers().length === 2);
      const clients = other.torrent.peers().map(({ client }) => client);
      assert.ok(
        clients.some((client) => !client.startsWith("scatterwire")),
        clients.join(", "),
      );
    });

  it("libtorrent tells us, and the ut_pex of the npm registry, of whom it knows", async (t) => {
    const them = await start(t, libtorrent, "tells");
    const [listener, other] = [await idler(t, HOST), await idler(t, HOST)];
    const told = new Promise<string>((resolve) =>
      listener.torrent.once("peerConnected", (_peer, connection) =>
        connection.use(utPex()).once("peer", resolve),
      ),
    );
    other.torrent.addPeer(them);
    await until(() => other.torrent.peers().length === 1);
    listener.torrent.addPeer(them);
    assert.equal(await told, `${HOST}:${other.address.port}`);
    await until(() => listener.torrent.peers().length === 2);
  });
});

async function until(ask: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + WATCHDOG_MS;
  while (!ask()) {
    if (performance.now() > deadlineMs) assert.fail(`not within ${WATCHDOG_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
