// Magnets with real clients: metadata and then the data from libtorrent and transmission, with the command line; and libtorrent,
// transmission, aria2 and rtorrent have the metadata from us. Extensions of the npm registry on our connections, beside a libtorrent.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import ltDontHave from "lt_donthave";
import utMetadata from "ut_metadata";
import utPex from "ut_pex";
import {
  type Connection,
  type Metainfo,
  parseMetainfo,
  readMetainfo,
  Session,
  type Torrent,
} from "../../src/index.js";
import {
  aria2,
  type Client,
  createWithLibtorrent,
  libtorrent,
  rtorrent,
  transmission,
  until,
} from "../support/clients.js";
import { difference, temporaryFolder, writeFiles } from "../support/data.js";
import { Program } from "../support/program.js";
import { required } from "../support/required.js";

const HOST = "127.0.0.1";

describe("magnets with real clients", { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  const clients: Client[] = [];
  let metainfo: Metainfo;
  let link: string;

  before(async () => {
    for (const kind of [libtorrent, transmission, aria2, rtorrent]) kind.require();
    // 36 KB of digests: three pieces of metadata.
    writeFiles(folder, { "data.bin": 30_000_000 });
    await createWithLibtorrent(join(folder, "data.bin"), torrent, 16_384, false);
    metainfo = await readMetainfo(torrent);
    link = `magnet:?xt=urn:btih:${metainfo.infoHashHex}`;
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.stop()));
  });

  for (const kind of [libtorrent, transmission]) {
    it(`are described, saved and downloaded from ${kind.name}`, async () => {
      const client = await kind.start("seed", torrent, folder);
      clients.push(client);
      const saved = join(folder, `${kind.name}.torrent`);
      const info = Program.cli(
        "info",
        `${link}&x.pe=${HOST}:${client.port}`,
        "--timeout",
        "60",
        "--save-torrent",
        saved,
      );
      const described = await info.result();
      assert.equal(described.status, 0, described.errors);
      assert.match(described.errors, /metadata 1 of 3 pieces from 1 peer\n/);
      assert.deepEqual(parseMetainfo(readFileSync(saved)).info, metainfo.info);
      const output = join(folder, `from-${kind.name}`);
      const download = Program.cli(
        ...["download", link, "-o", output, "--peer", `${HOST}:${client.port}`, "--timeout", "90", "--json"],
      );
      const { status, errors } = await download.result();
      assert.equal(status, 0, errors);
      assert.equal(difference(join(folder, "data.bin"), join(output, "data.bin")), undefined);
    });
  }

  it("say what is missing when nobody has their metadata", async () => {
    const nobody = await Program.cli("info", link).result();
    assert.equal(nobody.status, 2);
    assert.match(nobody.errors, /names no tracker and no peer to ask: give --peer HOST:PORT/);
    const gone = await Program.cli("info", link, "--peer", `${HOST}:9`, "--timeout", "1").result();
    assert.equal(gone.status, 1);
    assert.match(gone.errors, /no metadata after 1 s \(nobody had it\); last: cannot connect to 127.0.0.1:9/);
  });

  for (const kind of [libtorrent, transmission, aria2, rtorrent])
    it(`are downloaded by ${kind.name}, which has the metadata from us`, async () => {
      const directory = join(folder, `${kind.name}-from-us`);
      mkdirSync(directory);
      // A magnet without trackers is no torrent to rtorrent.
      const client = await kind.start(
        "download",
        `${link}&tr=http%3A%2F%2F127.0.0.1%3A9%2Fannounce`,
        directory,
      );
      clients.push(client);
      await using session = new Session();
      const seeding = await session.add(metainfo, { directory: folder, readOnly: true, trackers: false });
      seeding.addPeer({ host: HOST, port: client.port });
      await until(
        async () => difference(join(folder, "data.bin"), join(directory, "data.bin")) === undefined,
        90_000,
      );
    });

  const connected = (torrent: Torrent): Promise<Connection> =>
    new Promise((resolve) => torrent.once("peerConnected", (_peer, connection) => resolve(connection)));

  for (const kind of [libtorrent, transmission])
    it(`the ut_metadata of the npm registry has the metadata from ${kind.name}, over our connection`, async () => {
      const client = await kind.start("seed", torrent, folder);
      clients.push(client);
      await using session = new Session();
      const leeching = session.addInBackground(metainfo, {
        storage: "memory",
        peers: [{ host: HOST, port: client.port }],
      });
      const connection = await connected(leeching);
      const extension = connection.use(utMetadata());
      const arrived = new Promise<Uint8Array>((resolve) => extension.once("metadata", resolve));
      extension.fetch();
      assert.deepEqual(parseMetainfo(await arrived).info, metainfo.info);
    });

  it("ut_pex and lt_donthave of the npm registry talk to us, and to each other over us", async () => {
    const sessions = [new Session(), new Session(), new Session()];
    const [middle, listener, other] = sessions as [Session, Session, Session];
    const torrents: Torrent[] = [];
    for (const session of sessions) {
      await session.listen({ host: HOST, port: 0 });
      torrents.push(await session.add(metainfo, { storage: "null", trackers: false }));
    }
    const [inMiddle, atListener] = torrents as [Torrent, Torrent];
    const theirs = connected(inMiddle);
    const told = connected(atListener).then((connection) => {
      connection.use(ltDontHave());
      const pex = connection.use(utPex());
      return new Promise<string>((resolve) => pex.once("peer", resolve));
    });
    inMiddle.addPeer(required(listener.listenAddress, "listen address"));
    const connection = await theirs;
    const dontHave = connection.use(ltDontHave());
    inMiddle.addPeer(required(other.listenAddress, "listen address"));
    assert.equal(await told, `${HOST}:${required(other.listenAddress, "listen address").port}`);
    await until(async () => (dontHave as unknown as { _peerSupports: boolean })._peerSupports, 30_000);
    dontHave.donthave(3);
    assert.equal(connection.isOpen, true);
    await Promise.all(sessions.map((session) => session.close()));
    assert.ok(middle.counters().sentBytes > 0);
  });
});
