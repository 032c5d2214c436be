// More connections than there is room for: who is let in, who goes for it, and that nobody keeps everybody else out.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { before, describe, it } from "node:test";
import { HANDSHAKE_BYTES } from "../../../../src/base/limits.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { type PeerAddress, type PeerError, Session } from "../../../../src/index.js";
import { systemWorld } from "../../../../src/native/world.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "./loopback.js";
import {
  driveClock,
  drivenSession,
  handshake,
  knock,
  manyHosts,
  serve,
  shakeHands,
  turns,
  until,
} from "./raw-peers.js";

const TIMEOUT = { timeout: 60_000 };
/** Strangers and idle connections are never let go for being slow: only for others. */
const PATIENT = { handshakeTimeoutMs: 86_400_000, idleTimeoutMs: 86_400_000 };

/** Downloads all of it from `address`. */
async function download(shared: Shared, address: PeerAddress): Promise<void> {
  const leecher = new Session();
  const torrent = await leecher.add(shared.metainfo, nowhere({ peers: [address] }));
  await torrent.done;
  await closeWhole(leecher);
}

async function isClosed(socket: Socket): Promise<boolean> {
  await turns();
  return socket.closed || socket.readableEnded || socket.destroyed;
}

describe("Session: crowds", TIMEOUT, () => {
  before(driveClock);

  it("no more of one address than it may have; others are welcome", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared, { maxPeersPerAddress: 3, limitLoopback: true });
    const sockets = [];
    for (let count = 0; count < 10; count++) sockets.push(await knock(address, "127.0.0.2"));
    await until(() => session.connectionCount === 3);
    const closed = [];
    for (const socket of sockets) {
      socket.resume();
      closed.push(await isClosed(socket));
    }
    assert.deepEqual(closed, [false, false, false, true, true, true, true, true, true, true]);
    const other = await shakeHands(address, shared.metainfo.infoHash, "127.0.0.3");
    assert.ok(other.bytesRead >= 68);
    // A place that becomes free is free for the same address again.
    entryOf(sockets, 0).destroy();
    await until(() => session.connectionCount === 3);
    const again = await shakeHands(address, shared.metainfo.infoHash, "127.0.0.2");
    assert.ok(again.bytesRead >= 68);
    await closeWhole(session);
  });

  it("those of one address that are of no use, or say nothing, keep nobody out who has the same", async () => {
    const shared = await makeShared(100_000);
    const options = { maxPeersPerAddress: 3, limitLoopback: true, ...PATIENT };
    const { session, pass } = drivenSession(options);
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const from = "127.0.0.2";
    const comes = (): Promise<Socket> => shakeHands(address, shared.metainfo.infoHash, from);
    const isRefused = async (): Promise<boolean> => {
      const socket = await knock(address, from);
      await once(socket.resume(), "close");
      return true;
    };
    const silent = [];
    for (let count = 0; count < 3; count++) silent.push(await knock(address, from));
    await until(() => session.connectionCount === 3);
    assert.ok(await isRefused(), "none of them had time to say something");
    pass(1100);
    const idle = [await comes(), await comes(), await comes()];
    assert.deepEqual(await Promise.all(silent.map((socket) => isClosed(socket.resume()))), [
      true,
      true,
      true,
    ]);
    assert.ok(await isRefused(), "nobody goes before he was idle for a while");
    // One of them wants something, and takes nothing for ten minutes.
    entryOf(idle, 0).write(Buffer.of(0, 0, 0, 1, MessageId.interested));
    await until(() => torrent.peers().some(({ peerInterested }) => peerInterested));
    pass(31_000);
    await comes();
    await comes();
    assert.ok(await isRefused());
    assert.ok(torrent.peers().some(({ peerInterested }) => peerInterested));
    pass(600_000);
    await comes();
    assert.equal(session.connectionCount, 3);
    await closeWhole(session);
  });

  it("who says what nobody may say keeps nobody out who has the same address", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared, { limitLoopback: true });
    for (let fault = 0; fault < 3; fault++) {
      const liar = await shakeHands(address, shared.metainfo.infoHash, "127.0.0.2");
      liar.on("error", () => {});
      // A piece that the torrent has not.
      liar.write(Buffer.from([0, 0, 0, 5, 4, 0xff, 0, 0, 0]));
      liar.resume();
      await until(() => liar.closed);
    }
    const honest = await shakeHands(address, shared.metainfo.infoHash, "127.0.0.2");
    assert.ok(honest.bytesRead >= 68);
    await closeWhole(session);
  });

  it("those that come again and again wait for turns, and whoever comes for the first time does not", async () => {
    const shared = await makeShared(100_000);
    const world = systemWorld();
    let nowMs = 1000;
    const ground = { ...world.ground, nowMs: () => nowMs };
    const session = new Session({ limitLoopback: true }, { ...world, ground });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const hosts = manyHosts(70);
    for (const from of hosts) (await shakeHands(address, shared.metainfo.infoHash, from)).destroy();
    await until(() => session.connectionCount === 0);
    const again: Socket[] = [];
    for (const from of hosts) {
      const socket = await knock(address, from);
      socket.write(handshake(shared.metainfo.infoHash));
      again.push(socket.resume());
    }
    const isGreeted = (socket: Socket): boolean => socket.bytesRead >= HANDSHAKE_BYTES;
    assert.ok(isGreeted(await shakeHands(address, shared.metainfo.infoHash, "127.0.0.9")));
    await turns();
    assert.ok(again.filter(isGreeted).length <= 8, "no time has passed");
    await until(() => {
      nowMs += 2;
      return again.every(isGreeted);
    });
    await closeWhole(session);
  });

  it("this machine's own addresses are not counted unless asked for", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared, { maxPeersPerAddress: 1 });
    for (let count = 0; count < 5; count++) await shakeHands(address, shared.metainfo.infoHash);
    assert.equal(session.connectionCount, 5);
    await closeWhole(session);
  });

  it("no more of one torrent than it may have", async () => {
    const shared = await makeShared(100_000);
    const { session, address, torrent } = await seed(shared, { maxPeersPerTorrent: 2 });
    for (const from of manyHosts(2)) await shakeHands(address, shared.metainfo.infoHash, from);
    const refused = once(session, "peerRefused");
    const third = await shakeHands(address, shared.metainfo.infoHash);
    const [, error] = (await refused) as [PeerAddress, PeerError];
    assert.equal(error.code, "PEER_TOO_MANY");
    assert.equal(third.bytesRead, 0);
    assert.equal(torrent.peers().length, 2);
    await closeWhole(session);
  });

  it("a part of the places of a torrent that misses something is for those that it looks for", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared);
    const session = new Session({ maxPeersPerTorrent: 4 });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const refused = once(session, "peerRefused");
    for (const from of manyHosts(4)) await shakeHands(address, shared.metainfo.infoHash, from);
    const [, error] = (await refused) as [PeerAddress, PeerError];
    assert.equal(error.code, "PEER_TOO_MANY");
    assert.equal(torrent.peers().length, 3);
    torrent.addPeer(seeder.address);
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("whom it knows gets a place of those that are of no use, also where all were dialled", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared);
    const { session, pass } = drivenSession({ maxPeersPerTorrent: 2, ...PATIENT });
    const idle = await serve((socket) => socket.write(handshake(shared.metainfo.infoHash)));
    const torrent = await session.add(shared.metainfo, nowhere());
    for (const host of manyHosts(2)) torrent.addPeer({ host, port: idle.port });
    await until(() => torrent.peers().length === 2);
    torrent.addPeer(seeder.address);
    await turns();
    assert.equal(torrent.peers().length, 2, "nobody goes before he was idle for a while");
    pass(31_000);
    pass(1000);
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  for (const limits of [{ maxPeersPerTorrent: 3 }, { maxPeers: 3 }] as const)
    it(`whom it knows gets a place of those that have all and bring nothing, one after the other: ${JSON.stringify(limits)}`, async () => {
      const shared = await makeShared(100_000);
      const seeder = await seed(shared);
      const { session, pass } = drivenSession({ ...limits, ...PATIENT });
      const haveAll = Buffer.of(0, 0, 0, 1, MessageId.haveAll);
      const barren = await serve((socket) =>
        socket.write(Buffer.concat([handshake(shared.metainfo.infoHash), haveAll])),
      );
      const torrent = await session.add(shared.metainfo, nowhere());
      for (const host of manyHosts(3)) torrent.addPeer({ host, port: barren.port });
      await until(() => torrent.peers().filter(({ amInterested }) => amInterested).length === 3);
      const gone: string[] = [];
      torrent.on("peerDisconnected", (_, error) => gone.push(error?.code ?? "no error"));
      for (const host of ["127.0.1.1", "127.0.1.2"]) torrent.addPeer({ host, port: barren.port });
      pass(59_000);
      pass(500);
      await turns();
      assert.deepEqual(gone, [], "each has a minute");
      pass(1000);
      await until(() => torrent.peers().length === 3 && gone.length > 0);
      for (let second = 0; second < 5; second++) pass(1000);
      await turns();
      // One of the torrent's, and one of the session's.
      const most = "maxPeers" in limits ? 2 : 1;
      assert.ok(gone.length >= 1 && gone.length <= most, `${gone.length} in five seconds`);
      torrent.addPeer(seeder.address);
      let isDone = false;
      torrent.on("done", () => {
        isDone = true;
      });
      for (let second = 0; second < 30 && !isDone; second++) {
        pass(1000);
        await turns();
      }
      await torrent.done;
      assert.deepEqual(new Set(gone), new Set(["PEER_USELESS"]));
      await closeWhole(session);
      await closeWhole(seeder.session);
    });

  it("connections that neither side has a use for make room when all places are taken", async () => {
    const shared = await makeShared(1_000_000);
    const { session, pass } = drivenSession({ maxPeers: 4, ...PATIENT });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const idle = [];
    for (const from of manyHosts(4)) idle.push(await shakeHands(address, shared.metainfo.infoHash, from));
    // One of them wants something: it stays.
    entryOf(idle, 0).write(Buffer.of(0, 0, 0, 1, MessageId.interested));
    await until(() => torrent.peers().some(({ peerInterested }) => peerInterested));
    const refused = await knock(address);
    await once(refused.resume(), "close");
    assert.equal(torrent.peers().length, 4, "nobody goes before he was idle for a while");
    pass(31_000);
    await download(shared, address);
    const left = torrent.peers().filter(({ counters }) => counters.sentPayloadBytes === 0);
    assert.ok(left.length <= 3 && left.length >= 2);
    assert.ok(left.some(({ peerInterested }) => peerInterested));
    await closeWhole(session);
  });

  it("a torrent's places are given on in the same way", async () => {
    const shared = await makeShared(1_000_000);
    const { session, pass } = drivenSession({ maxPeersPerTorrent: 2, ...PATIENT });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    for (const from of manyHosts(2)) await shakeHands(address, shared.metainfo.infoHash, from);
    pass(31_000);
    await download(shared, address);
    await closeWhole(session);
  });

  it("strangers that say nothing keep nobody out, however long they may take", async () => {
    const shared = await makeShared(1_000_000);
    const { session, address } = await seed(shared, { maxPeers: 17, ...PATIENT });
    const silent = [];
    for (const from of manyHosts(17)) silent.push(await knock(address, from));
    await until(() => session.connectionCount >= 16);
    await download(shared, address);
    await closeWhole(session);
  });

  it("the counts are right when all have gone", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared, { maxPeersPerAddress: 2, limitLoopback: true });
    for (let round = 0; round < 5; round++) {
      const sockets = [];
      for (const from of manyHosts(8))
        sockets.push(await shakeHands(address, shared.metainfo.infoHash, from));
      assert.equal(session.connectionCount, 8);
      for (const socket of sockets) socket.destroy();
      await until(() => session.connectionCount === 0);
    }
    await closeWhole(session);
  });
});
