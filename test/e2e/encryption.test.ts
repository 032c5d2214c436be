// Message stream encryption with real clients: each policy of ours with each of theirs, in both directions of the data, bytes compared; and
// who connects is each side in turn.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import type { ClientEncryption } from "../../bench/rivals/clients.js";
import {
  ENCRYPTION_POLICIES,
  type EncryptionPolicy,
  type Metainfo,
  RECEIVE_MODES,
  readMetainfo,
  Session,
} from "../../src/index.js";
import { TrackerService } from "../../src/tracker/index.js";
import {
  aria2,
  type Client,
  type ClientKind,
  createWithLibtorrent,
  LIBTORRENT_ENCRYPTION,
  libtorrent,
  rtorrent,
  startLibtorrent,
  transmission,
  until,
} from "../support/clients.js";
import { difference, temporaryFolder, writeFiles } from "../support/data.js";
import { Program } from "../support/program.js";
import { withTracker } from "../support/trackers.js";

const KINDS = [libtorrent, transmission, aria2, rtorrent];
const HOST = "127.0.0.1";
const BYTES = 3_000_017;
const WATCHDOG_MS = 90_000;
/** Long enough for a connection on this machine to be refused, both ways. */
const NEVER_MS = 1500;

describe("message stream encryption with real clients", { timeout: 600_000 }, () => {
  const folder = temporaryFolder(after);
  const torrent = join(folder, "data.bin.torrent");
  const clients: Client[] = [];
  let metainfo: Metainfo;
  let folders = 0;

  const start = async (
    kind: ClientKind,
    role: "seed" | "download",
    directory: string,
    encryption: ClientEncryption,
  ): Promise<number> => {
    const client = await kind.start(role, torrent, directory, { encryption });
    clients.push(client);
    return client.port;
  };
  const freshFolder = (): string => {
    const directory = join(folder, `copy-${++folders}`);
    mkdirSync(directory);
    return directory;
  };
  const isSame = (directory: string): boolean =>
    difference(join(folder, "data.bin"), join(directory, "data.bin")) === undefined;

  before(async () => {
    for (const kind of KINDS) kind.require();
    writeFiles(folder, { "data.bin": BYTES });
    await createWithLibtorrent(join(folder, "data.bin"), torrent, 65_536, false);
    metainfo = await readMetainfo(torrent);
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.stop()));
  });

  /** Downloads from a peer. Resolves to whether it was encrypted; undefined if nobody would talk to us. */
  async function download(
    port: number,
    encryption: EncryptionPolicy,
    receiveMode: (typeof RECEIVE_MODES)[number] = "adaptive",
    expectsNothing = false,
  ): Promise<boolean | undefined> {
    await using session = new Session({ encryption, receiveMode });
    const directory = freshFolder();
    const torrent = await session.add(metainfo, { directory, peers: [{ host: HOST, port }] });
    let encrypted: boolean | undefined;
    torrent.on("peerConnected", (peer) => {
      encrypted = peer.encrypted;
    });
    if (expectsNothing) {
      await Promise.race([torrent.done, pass(NEVER_MS)]);
      assert.equal(torrent.progress().piecesVerified, 0);
      return undefined;
    }
    await Promise.race([
      torrent.done,
      pass(WATCHDOG_MS, undefined, { ref: false }).then(() => assert.fail("not complete")),
    ]);
    await torrent.close();
    assert.ok(isSame(directory));
    return encrypted;
  }

  it("downloads from libtorrent by each policy of both, and encrypted in every receive mode", async () => {
    for (const theirs of ENCRYPTION_POLICIES) {
      const port = await start(libtorrent, "seed", folder, theirs);
      for (const ours of ENCRYPTION_POLICIES) {
        const isOpposite = areOpposite(ours, theirs);
        const encrypted = await download(port, ours, "adaptive", isOpposite);
        if (!isOpposite) assert.equal(encrypted, ours === "required" || theirs === "required");
      }
      if (theirs === "required")
        for (const mode of RECEIVE_MODES) assert.equal(await download(port, "required", mode), true);
    }
  });

  it("is what the command line asks for", async () => {
    const port = await start(libtorrent, "seed", folder, "required");
    const run = (encryption: string) =>
      Program.cli(
        ...["download", torrent, "-o", freshFolder(), "--peer", `${HOST}:${port}`, "--no-trackers"],
        ...["--encryption", encryption, "--timeout", encryption === "disabled" ? "2" : "60"],
      ).result();
    assert.equal((await run("required")).status, 0);
    assert.equal((await run("disabled")).status, 1);
    assert.match((await run("sometimes")).errors, /disabled, enabled, required/);
  });

  // They look at connections every second, or every ten: so all at the same time.
  it("downloads from the others, by each policy of both", async () => {
    const each = async (kind: ClientKind, theirs: EncryptionPolicy): Promise<void> => {
      const port = await start(kind, "seed", folder, theirs);
      for (const ours of ENCRYPTION_POLICIES) {
        const what = `${ours} here, ${theirs} at ${kind.name}`;
        const isHopeless = areOpposite(ours, theirs) && (theirs === "required" || kind === rtorrent);
        const encrypted = await download(port, ours, "adaptive", isHopeless);
        if (isHopeless) continue;
        if (ours === "required" || theirs === "required") assert.equal(encrypted, true, what);
        if (ours === "disabled") assert.equal(encrypted, false, what);
      }
    };
    const [, ...others] = KINDS;
    await Promise.all(others.flatMap((kind) => ENCRYPTION_POLICIES.map((theirs) => each(kind, theirs))));
  });

  // Transmission connects to no loopback address.
  it("seeds to an aria2 and an rtorrent that connect to us, by each policy of both", async (t) => {
    const each = async (
      ours: EncryptionPolicy,
      theirs: EncryptionPolicy,
      kind: ClientKind,
    ): Promise<void> => {
      // Nobody but us is known there, and nobody to us.
      const service = await TrackerService.start({
        udp: [],
        http: [{ host: HOST, port: 0 }],
        store: { bytesMax: 2 ** 20 },
      });
      t.after(() => service.close());
      const url = `http://${HOST}:${service.listening[0]?.port}/announce`;
      const announced = join(folder, `${ours}-${theirs}-${kind.name}.torrent`);
      await writeFile(announced, withTracker(await readFile(torrent), url));
      await using session = new Session({ encryption: ours, listen: { host: HOST, port: 0 } });
      await session.listen();
      const seeding = await session.add(metainfo, { directory: folder, readOnly: true, trackers: [url] });
      await until(async () => seeding.trackers[0]?.state === "works", WATCHDOG_MS);
      const encrypted: boolean[] = [];
      seeding.on("peerConnected", (peer) => encrypted.push(peer.encrypted));
      const directory = freshFolder();
      const client = await kind.start("download", announced, directory, { encryption: theirs });
      t.after(() => client.stop());
      const what = `${ours} here, ${theirs} at ${kind.name}`;
      // aria2 encrypts where it is refused otherwise, whatever it was told.
      const isHopeless = areOpposite(ours, theirs) && (theirs === "required" || kind === rtorrent);
      if (isHopeless) {
        await pass(NEVER_MS);
        assert.deepEqual(encrypted, [], what);
        return;
      }
      await until(async () => isSame(directory), WATCHDOG_MS);
      assert.ok(encrypted.length > 0, what);
      if (ours === "required" || theirs === "required") assert.ok(!encrypted.includes(false), what);
      if (ours === "disabled") assert.ok(!encrypted.includes(true), what);
    };
    for (const ours of ENCRYPTION_POLICIES)
      await Promise.all(
        ENCRYPTION_POLICIES.flatMap((theirs) => [aria2, rtorrent].map((kind) => each(ours, theirs, kind))),
      );
  });

  for (const [ours, theirs, sendMode] of [
    ["required", "required", "copy"],
    ["enabled", "required", "mapped"],
    ["required", "enabled", "sendfile"],
  ] as const) {
    it(`seeds to all of them, ${ours} here and ${theirs} there, send mode ${sendMode}`, async () => {
      const leechers = await Promise.all(
        KINDS.map(async (kind) => {
          const directory = freshFolder();
          return { kind, directory, port: await start(kind, "download", directory, theirs) };
        }),
      );
      await using session = new Session({ encryption: ours, sendMode });
      const seeding = await session.add(metainfo, { directory: folder, readOnly: true });
      for (const { port } of leechers) seeding.addPeer({ host: HOST, port });
      for (const { directory } of leechers) await until(async () => isSame(directory), WATCHDOG_MS);
    });
  }

  it("seeds to a libtorrent that connects to us, by each policy of both", async () => {
    for (const ours of ENCRYPTION_POLICIES)
      for (const theirs of ENCRYPTION_POLICIES) {
        const isOpposite = areOpposite(ours, theirs);
        await using session = new Session({ encryption: ours, listen: { host: HOST, port: 0 } });
        const { port } = await session.listen();
        const seeding = await session.add(metainfo, { directory: folder, readOnly: true });
        const directory = freshFolder();
        let encrypted: boolean | undefined;
        seeding.on("peerConnected", (peer) => {
          encrypted = peer.encrypted;
        });
        const program = startLibtorrent("download", torrent, directory, LIBTORRENT_ENCRYPTION[theirs], [
          `${HOST}:${port}`,
        ]);
        try {
          if (isOpposite) {
            await program.line("port");
            await pass(NEVER_MS);
            assert.equal(encrypted, undefined);
          } else {
            await program.line("done");
            assert.ok(isSame(directory));
            if (ours === "required" || theirs === "required") assert.equal(encrypted, true);
            if (ours === "disabled" || theirs === "disabled") assert.equal(encrypted, false);
          }
        } finally {
          await program.stop();
        }
      }
  });
});

function areOpposite(ours: EncryptionPolicy, theirs: EncryptionPolicy): boolean {
  return [ours, theirs].includes("disabled") && [ours, theirs].includes("required");
}
