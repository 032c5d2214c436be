// Where a session connects from: what it is told, else the one address that it listens at. Peers, trackers and web seeds see the same one.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import bencode from "bencode";
import {
  createTorrentFile,
  type PeerError,
  type PeerInfo,
  parseMetainfo,
  Session,
  type SessionOptions,
  type TrackerStatus,
} from "../../../../src/index.js";
import { serveHttp } from "../../../support/http-server.js";
import { makeShared, nowhere, seed } from "./loopback.js";

const TIMEOUT = { timeout: 60_000 };

/** The address that a seed sees a session connect from. */
async function seenFrom(options: SessionOptions, host = "127.0.0.1"): Promise<string | undefined> {
  const shared = await makeShared(100_000);
  await using seeding = new Session();
  const address = await seeding.listen({ host, port: 0 });
  const torrent = await seeding.add(shared.metainfo, { directory: shared.folder, readOnly: true });
  const seen = once(torrent, "peerConnected").then(([peer]) => (peer as PeerInfo).address.host);
  await using leeching = new Session(options);
  if (options.listen !== undefined) await leeching.listen();
  await (await leeching.add(shared.metainfo, nowhere({ peers: [address] }))).done;
  return seen;
}

describe("outgoing connections", TIMEOUT, () => {
  it("come from the address that the session is told, whatever it listens at", async () => {
    assert.equal(await seenFrom({ outgoingAddresses: ["127.0.0.7"] }), "127.0.0.7");
    const listen = { host: "127.0.0.8", port: 0 };
    assert.equal(await seenFrom({ outgoingAddresses: ["127.0.0.7"], listen }), "127.0.0.7");
    assert.equal(await seenFrom({ outgoingAddresses: ["::1", "127.0.0.7"] }), "127.0.0.7");
    assert.equal(await seenFrom({ outgoingAddresses: ["127.0.0.7", "::1"] }, "::1"), "::1");
  });

  it("come from the one address that the session listens at, and from whichever if that is a wildcard", async () => {
    assert.equal(await seenFrom({ listen: { host: "127.0.0.8", port: 0 } }), "127.0.0.8");
    assert.equal(await seenFrom({ listen: { host: "0.0.0.0", port: 0 } }), "127.0.0.1");
    const left = { outgoingAddresses: ["0.0.0.0"], listen: { host: "127.0.0.8", port: 0 } };
    assert.equal(await seenFrom(left), "127.0.0.1");
  });

  it("are not made to addresses of a kind that the session is not bound to, which is said", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session({ outgoingAddresses: ["127.0.0.7"] });
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [{ host: "::1", port: 9 }] }));
    const [, error] = (await once(torrent, "peerDisconnected")) as [unknown, PeerError];
    assert.equal(error.code, "PEER_CONNECT_FAILED");
    assert.match(error.message, /::1:9: we are bound to 127\.0\.0\.7, and it is an IPv6 address$/);
  });

  it("that this machine has no address for fail with it, and the session warns once", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session({ outgoingAddresses: ["192.0.2.1"] });
    const warnings: string[] = [];
    session.on("warning", (text) => warnings.push(text));
    const peers = [9, 10].map((port) => ({ host: "127.0.0.1", port }));
    const torrent = await session.add(shared.metainfo, nowhere({ peers }));
    const errors: string[] = [];
    torrent.on("peerDisconnected", (_peer, error) => errors.push(error?.message ?? ""));
    while (errors.length < 2) await once(torrent, "peerDisconnected");
    assert.match(errors[0] ?? "", /^cannot connect to 127\.0\.0\.1:\d+ from 192\.0\.2\.1: EADDRNOTAVAIL/);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(warnings, [
      "no connection can be made from 192.0.2.1: this machine has no such address, or no free port there",
    ]);
  });

  it("go to twenty peers from one address", async () => {
    const shared = await makeShared(100_000);
    const seeds = await Promise.all(Array.from({ length: 20 }, () => seed(shared)));
    await using session = new Session({ outgoingAddresses: ["127.0.0.7"] });
    const torrent = await session.add(
      shared.metainfo,
      nowhere({ peers: seeds.map(({ address }) => address) }),
    );
    await torrent.done;
    for (const each of seeds) await each.session.close();
  });
});

describe("trackers and web seeds", TIMEOUT, () => {
  for (const [where, options] of [
    ["is told", { outgoingAddresses: ["127.0.0.7"] }],
    ["listens at", { listen: { host: "127.0.0.7", port: 0 } }],
  ] as const)
    it(`are asked from the address that the session ${where}`, async (t) => {
      const seen = new Map<string, string | undefined>();
      const server = await serveHttp(t, (request, response) => {
        seen.set(request.url?.split("?", 1)[0] ?? "", request.socket.remoteAddress);
        response.end(request.url === "/data.bin" ? "" : bencode.encode({ interval: 1800, peers: "" }));
      });
      const udp = await udpSocket(t);
      const heard = once(udp, "message").then(([, from]) => (from as AddressInfo).address);
      const { port } = udp.address();
      const shared = await makeShared(100_000);
      const bytes = await createTorrentFile(`${shared.folder}/data.bin`, {
        announce: [`${server.origin}/announce`, `udp://127.0.0.1:${port}`],
      });
      const decoded = bencode.decode(Buffer.from(bytes)) as Record<string, unknown>;
      await using session = new Session(options);
      if ("listen" in options) await session.listen();
      const torrent = await session.add(
        parseMetainfo(bencode.encode({ ...decoded, "url-list": [`${server.origin}/data.bin`] })),
        nowhere(),
      );
      await once(torrent, "webSeed");
      assert.equal(await heard, "127.0.0.7");
      while (seen.size < 2) await once(torrent, "tracker");
      assert.deepEqual([seen.get("/announce"), seen.get("/data.bin")], ["127.0.0.7", "127.0.0.7"]);
    });

  it("at addresses of another kind are not asked, which is said", async (t) => {
    const server = await serveHttp(t, (_request, response) => response.end(), { host: "::1" });
    const shared = await makeShared(100_000);
    const url = `${server.origin}/announce`;
    await using session = new Session({ outgoingAddresses: ["127.0.0.7"] });
    const torrent = await session.add(shared.metainfo, nowhere({ trackers: [url, "udp://[::1]:9"] }));
    const told = new Map<string, TrackerStatus>();
    torrent.on("tracker", (status) => told.set(status.url, status));
    while (told.size < 2) await once(torrent, "tracker");
    for (const { error } of told.values())
      assert.match(error?.message ?? "", /we are bound to 127\.0\.0\.7, and it is an IPv6 address/);
    assert.deepEqual(server.asked, []);
  });
});

async function udpSocket(t: TestContext): Promise<ReturnType<typeof createSocket>> {
  const socket = createSocket("udp4");
  t.after(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return socket;
}
