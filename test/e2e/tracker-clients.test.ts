// Real clients find each other through the tracker, over HTTP and UDP, IPv4 and IPv6, and complete a torrent.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createTorrentFile } from "../../src/index.js";
import { TrackerService } from "../../src/tracker/index.js";
import {
  aria2,
  aria2WithUdp,
  type ClientKind,
  libtorrent,
  libtorrentV6,
  transmission,
  until,
} from "../support/clients.js";
import { entryOf } from "../support/required.js";

const DATA = randomBytes(500_000);
const TIMEOUT_MS = 120_000;

interface Swarm {
  readonly service: TrackerService;
  start(kind: ClientKind, role: "seed" | "download"): Promise<void>;
  /** Resolves when all that download have all. */
  complete(): Promise<void>;
}

async function makeSwarm(t: TestContext, protocol: "http" | "udp", host: string): Promise<Swarm> {
  const folder = await mkdtemp(join(tmpdir(), "scatterwire-tracker-clients-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const service = await TrackerService.start({
    udp: protocol === "udp" ? [{ host, port: 0 }] : [],
    http: protocol === "http" ? [{ host, port: 0 }] : [],
    store: { bytesMax: 2 ** 24 },
    intervalSeconds: 30,
  });
  t.after(() => service.close());
  const source = join(folder, "data.bin");
  await writeFile(source, DATA);
  const { port } = entryOf(service.listening, 0);
  const at = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}/announce`;
  const torrent = join(folder, "data.torrent");
  await writeFile(torrent, await createTorrentFile(source, { announce: [at] }));
  const copies: string[] = [];
  return {
    service,
    start: async (kind, role) => {
      kind.require();
      let directory = folder;
      if (role === "download") {
        directory = join(folder, `copy-${copies.length}`);
        await mkdir(directory);
        copies.push(join(directory, "data.bin"));
      }
      const client = await kind.start(role, torrent, directory);
      t.after(() => client.stop());
    },
    complete: () =>
      until(async () => {
        const found = await Promise.all(copies.map((copy) => readFile(copy).catch(() => Buffer.alloc(0))));
        return found.every((bytes) => bytes.equals(DATA));
      }, TIMEOUT_MS - 20_000),
  };
}

describe("clients and the tracker", () => {
  for (const protocol of ["http", "udp"] as const)
    it(`transmission seeds, libtorrent and aria2 find it over ${protocol}`, {
      timeout: TIMEOUT_MS,
    }, async (t) => {
      const swarm = await makeSwarm(t, protocol, "127.0.0.1");
      await swarm.start(transmission, "seed");
      await until(() => Promise.resolve(swarm.service.counters().totals.peersV4 >= 1), 30_000);
      await swarm.start(libtorrent, "download");
      await swarm.start(protocol === "udp" ? aria2WithUdp : aria2, "download");
      await swarm.complete();
      const { http, udp } = swarm.service.counters();
      assert.ok((protocol === "http" ? http.announces : udp.announces) >= 3);
      assert.equal(http.malformed + http.notHttp + http.unknownPaths, 0);
      assert.equal(udp.malformed + udp.unknown, 0);
    });

  it("transmission downloads over http from a libtorrent that comes later", {
    timeout: TIMEOUT_MS,
  }, async (t) => {
    const swarm = await makeSwarm(t, "http", "127.0.0.1");
    await swarm.start(transmission, "download");
    // It does not dial loopback addresses: it has to be known to who will dial it.
    await until(() => Promise.resolve(swarm.service.counters().totals.peersV4 >= 1), 30_000);
    await swarm.start(libtorrent, "seed");
    await swarm.complete();
  });

  it("aria2 finds libtorrent over http at ::1", { timeout: TIMEOUT_MS }, async (t) => {
    const swarm = await makeSwarm(t, "http", "::1");
    await swarm.start(libtorrentV6, "seed");
    await until(() => Promise.resolve(swarm.service.counters().totals.peersV6 >= 1), 30_000);
    await swarm.start(aria2, "download");
    await swarm.complete();
    assert.equal(swarm.service.counters().totals.peersV4, 0);
  });

  for (const protocol of ["http", "udp"] as const)
    it(`libtorrents find each other over ${protocol} at ::1`, { timeout: TIMEOUT_MS }, async (t) => {
      const swarm = await makeSwarm(t, protocol, "::1");
      await swarm.start(libtorrentV6, "seed");
      await until(() => Promise.resolve(swarm.service.counters().totals.peersV6 >= 1), 30_000);
      await swarm.start(libtorrentV6, "download");
      await swarm.complete();
      assert.equal(swarm.service.counters().totals.peersV4, 0);
    });
});
