// Peer exchange (BEP 11) with real clients, in both directions: they connect to somebody that only we told them of, and we, and the
// ut_pex of the npm registry on our connection, hear of somebody that only they know. Nobody has any data, so that nobody is ever done and
// lets go of the others.
//
// Each of ours has an address of its own, which it connects from: transmission takes one connection of an address. What keeps the rest
// away: transmission dials no loopback address, aria2 tells for the first time after one minute and rtorrent after two, and aria2 lets
// go of who has nothing for it after half of one.
//
// Transmission tells a peer whom it knows when that peer comes, and again 90 s later: where it has not yet heard at which port somebody
// is reached it is the second time that counts, which the watchdog has time for.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import utPex from "ut_pex";
import { type Metainfo, type PeerAddress, readMetainfo, Session, type Torrent } from "../../src/index.js";
import {
  aria2,
  type ClientKind,
  createWithLibtorrent,
  libtorrent,
  transmission,
} from "../support/clients.js";
import { temporaryFolder, writeFiles } from "../support/data.js";

const HOST = "127.0.0.1";
const WATCHDOG_MS = 240_000;

/** One of our own with nothing but an interest. */
interface Idler {
  readonly torrent: Torrent;
  readonly address: PeerAddress;
}

describe("peer exchange with real clients", { timeout: 900_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  let metainfo: Metainfo;

  before(async () => {
    for (const kind of [libtorrent, aria2, transmission]) kind.require();
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

  for (const kind of [libtorrent, transmission])
    it(`${kind.name} tells us, and the ut_pex of the npm registry, of whom it knows`, async (t) => {
      const them = await start(t, kind, `${kind.name}-tells`);
      const known = await idler(t, "127.0.0.21");
      known.torrent.addPeer(them);
      await until(() => known.torrent.peers().length === 1);
      const reader = await idler(t, "127.0.0.22");
      const told = new Promise<void>((resolve) =>
        reader.torrent.once("peerConnected", (_peer, connection) =>
          connection.use(utPex()).on("peer", (address: string) => {
            if (address === `${known.address.host}:${known.address.port}`) resolve();
          }),
        ),
      );
      reader.torrent.addPeer(them);
      await within(told, "the ut_pex of the npm registry heard of nobody");
      // On that connection it is in place of our own, which hears on this one; each of the two is told of the other.
      const listener = await idler(t, "127.0.0.23");
      listener.torrent.addPeer(them);
      await until(() => foundByExchange(listener, known) || foundByExchange(known, listener));
    });
});

function foundByExchange({ torrent }: Idler, { address }: Idler): boolean {
  const found = torrent.peers().filter(({ source }) => source === "exchange");
  return found.some((peer) => peer.address.host === address.host);
}

async function within(what: Promise<void>, otherwise: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), WATCHDOG_MS);
  });
  await Promise.race([what, over]).finally(() => clearTimeout(timer));
}

async function until(ask: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + WATCHDOG_MS;
  while (!ask()) {
    if (performance.now() > deadlineMs) assert.fail(`not within ${WATCHDOG_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
