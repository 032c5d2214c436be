// Many torrents in one session: what seeds, or waits for peers, takes nothing of the pool that the others live in.

import assert from "node:assert/strict";
import { once } from "node:events";
import { before, describe, it } from "node:test";
import bencode from "bencode";
import { MIB } from "../../../../src/base/limits.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { RESERVED_SLOTS } from "../../../../src/client/torrent/reserved-slots.js";
import { type Metainfo, type PeerError, parseMetainfo, Session } from "../../../../src/index.js";
import { bytesOf } from "../../../support/data.js";
import { serveHttp } from "../../../support/http-server.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";
import { RawPeer } from "./raw-peer.js";
import { driveClock, drivenSession, turns, until } from "./raw-peers.js";

const PIECE_LENGTH = 16_384;

function tinyTorrent(number: number): Metainfo {
  const info = {
    length: PIECE_LENGTH,
    name: `tiny ${number}`,
    "piece length": PIECE_LENGTH,
    pieces: bytesOf(number, 20),
  };
  return parseMetainfo(bencode.encode({ info }));
}

describe("Session: many torrents", { timeout: 60_000 }, () => {
  before(driveClock);

  it("that seed or have no peers hold no slot, and one among them is uploaded by copy from the smallest pool", async () => {
    const shared = await makeShared(400_000);
    const { session, address } = await seed(shared, { poolBytes: MIB });
    for (let number = 0; number < 100; number++)
      await session.add(tinyTorrent(number), nowhere({ assumeComplete: number % 2 === 0 }));
    assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {});
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, nowhere({ peers: [address] }));
    await torrent.done;
    await closeWhole(leecher);
    await closeWhole(session);
  });

  it("that share an AbortSignal end together, and Node.js warns of no listener too many", async () => {
    const controller = new AbortController();
    const session = new Session();
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    const { signal } = controller;
    for (let number = 0; number < 20; number++) await session.add(tinyTorrent(number), nowhere({ signal }));
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", note);
    assert.deepEqual(warnings, []);
    const torrents = [...session.torrents];
    controller.abort();
    await Promise.all(torrents.map((torrent) => assert.rejects(torrent.done, { code: "ABORTED" })));
    await closeWhole(session);
  });

  it("a download whose slots others have refuses its peers, and keeps nothing of them", async () => {
    const shared = await makeShared(400_000);
    const session = new Session({ poolBytes: MIB });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const { pool } = sessionCoreOf(session).memory;
    let reserved = 0;
    while (pool.reserve(1)) reserved++;
    const peer = await RawPeer.join(address, shared.metainfo);
    const [, error] = (await once(session, "peerRefused")) as [unknown, PeerError];
    assert.equal(error.code, "PEER_TOO_MANY");
    await peer.gone();
    assert.equal(torrent.peers().length, 0);
    pool.unreserve(reserved);
    await RawPeer.join(address, shared.metainfo);
    await once(torrent, "peerConnected");
    await closeWhole(session);
  });

  it("downloads that found no memory dial when there is some, no more of them than it is for, and soon", async () => {
    const shareds = await Promise.all([1, 2, 3].map((number) => makeShared(100_000 + number)));
    const seeders = await Promise.all(shareds.map((shared) => seed(shared)));
    const { session, pass } = drivenSession({ poolBytes: MIB });
    const { pool } = sessionCoreOf(session).memory;
    let reserved = 0;
    while (pool.reserve(1)) reserved++;
    const refused: string[] = [];
    const torrents = await Promise.all(
      shareds.map(({ metainfo }, index) =>
        session.add(metainfo, nowhere({ peers: [entryOf(seeders, index).address] })),
      ),
    );
    for (const torrent of torrents)
      torrent.on("peerDisconnected", (_, error) => refused.push(error?.code ?? "no error"));
    await until(() => refused.length === 3);
    /** Longer than any pause of an address. */
    const minutes = async (): Promise<void> => {
      for (let second = 0; second < 120; second++) pass(1000);
      await turns();
    };
    await minutes();
    assert.deepEqual(refused, Array(3).fill("PEER_TOO_MANY"), "nobody is dialled for nothing");
    const dialled = (): number => seeders.reduce((sum, { session: each }) => sum + each.connectionCount, 0);
    // Somebody who dialled nobody is sooner: the one that dials meanwhile is refused again.
    pool.unreserve(RESERVED_SLOTS);
    pass(2000);
    assert.equal(session.connectionCount, 1, "there is memory for one");
    assert.ok(pool.reserve(RESERVED_SLOTS));
    await until(() => refused.length === 4 && session.connectionCount === 0 && dialled() === 0);
    pool.unreserve(reserved);
    // A few seconds are enough: no address has done anything wrong.
    for (let second = 0; second < 4; second++) pass(1000);
    await Promise.all(torrents.map((torrent) => torrent.done));
    await closeWhole(session);
    for (const each of seeders) await closeWhole(each.session);
  });

  it("web seeds that found no memory join as soon as there is some, one for each that it is for", async (t) => {
    let asked = 0;
    const server = await serveHttp(t, (request, response) => {
      asked++;
      const bytes = bytesOf(9, 100_001);
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
      const part = bytes.subarray(Number(from ?? 0), Number(to ?? bytes.length - 1) + 1);
      const range = from === undefined ? {} : { "content-range": `bytes ${from}-${to}/${bytes.length}` };
      response.writeHead(from === undefined ? 200 : 206, { "content-length": part.length, ...range });
      response.end(part);
    });
    const { session, pass } = drivenSession({ poolBytes: MIB });
    const { pool } = sessionCoreOf(session).memory;
    let reserved = 0;
    while (pool.reserve(1)) reserved++;
    const { metainfo } = await makeShared(100_001);
    const torrent = await session.add({ ...metainfo, webSeeds: [`${server.origin}/data.bin`] }, nowhere());
    const refused: string[] = [];
    torrent.on("peerDisconnected", (_, error) => refused.push(error?.code ?? "no error"));
    for (let second = 0; refused.length === 0; second++) {
      assert.ok(second < 100, "it is tried");
      pass(1000);
      await turns();
    }
    for (let second = 0; second < 120; second++) pass(1000);
    await turns();
    assert.deepEqual([refused, asked], [["PEER_TOO_MANY"], 0], "nobody is asked for nothing");
    pool.unreserve(reserved);
    // A few seconds are enough: no server has done anything wrong.
    for (let second = 0; second < 4; second++) {
      pass(1000);
      await turns();
    }
    await torrent.done;
    await closeWhole(session);
  });

  it("a download gives its slots back when it has come to its end", async () => {
    const shared = await makeShared(400_000);
    const seeder = await seed(shared);
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    const opened = once(torrent, "peerConnected");
    await Promise.all([opened, torrent.done]);
    while (sessionCoreOf(leecher).memory.pool.freeCount < sessionCoreOf(leecher).memory.pool.slotCount)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });
});
