// Whom a torrent connects to, over sockets: the live address among dead ones, the other side that dials at the same time, and nobody
// for nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { before, describe, it } from "node:test";
import { BLOCK_SIZE, HANDSHAKE_BYTES } from "../../../../src/base/limits.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { type PeerAddress, Session } from "../../../../src/index.js";
import { entryOf, required } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "../session/loopback.js";
import {
  driveClock,
  drivenSession,
  handshake,
  manyHosts,
  serve,
  shakeHands,
  silentPort,
  turns,
  until,
} from "../session/raw-peers.js";

const HOST = "127.0.0.1";
const TIMEOUT = { timeout: 60_000 };

describe("Torrent: whom it dials", TIMEOUT, () => {
  before(driveClock);

  it("a live address behind 300 dead ones before any dead one a second time", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared);
    const port = await silentPort();
    const { session, pass } = drivenSession();
    const torrent = await session.add(shared.metainfo, nowhere());
    const attempts = new Map<string, number>();
    torrent.on("peerDisconnected", ({ host }) => attempts.set(host, (attempts.get(host) ?? 0) + 1));
    for (const host of manyHosts(300)) torrent.addPeer({ host, port });
    torrent.addPeer(seeder.address);
    let done = false;
    torrent.done.then(() => {
      done = true;
    });
    // The dead say nothing: each takes all the time that it may.
    for (let seconds = 0; !done && seconds < 120; seconds++) {
      pass(1000);
      await turns(5);
    }
    assert.ok(done, "the live one was reached within two minutes");
    assert.ok(Math.max(...attempts.values()) <= 1, "nobody was tried twice before");
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("addresses that do not answer make room sooner while others wait for their turn", async () => {
    const shared = await makeShared(100_000);
    const port = await silentPort();
    const { session, pass } = drivenSession({ connectTimeoutMs: 10_000 });
    const torrents = [await makeShared(100_001), await makeShared(100_002), shared];
    for (const { metainfo } of torrents) {
      const torrent = await session.add(metainfo, nowhere());
      for (const host of manyHosts(120)) torrent.addPeer({ host, port });
    }
    assert.equal(session.connectionCount, 256);
    let failed = 0;
    for (const torrent of session.torrents) torrent.on("peerDisconnected", () => failed++);
    pass(3500);
    await turns(2);
    assert.equal(failed, 256);
    assert.equal(session.connectionCount, 104);
    // Nobody waits: these may take their time.
    pass(3500);
    await turns(2);
    assert.equal(failed, 256);
    await closeWhole(session);
  });

  it("a torrent with hundreds of dead addresses keeps no other one from its peer", async () => {
    const [large, shared] = [await makeShared(100_001), await makeShared(100_000)];
    const seeder = await seed(shared);
    const port = await silentPort();
    const session = new Session({ connectTimeoutMs: 86_400_000 });
    const crowd = await session.add(large.metainfo, nowhere());
    for (const host of manyHosts(500)) crowd.addPeer({ host, port });
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("two that dial each other at once keep one connection, the same one on both sides", async () => {
    const shared = await makeShared(100_000);
    for (let round = 0; round < 15; round++) {
      const sessions = [new Session(), new Session()];
      const listening: PeerAddress[] = [];
      for (const session of sessions) listening.push(await session.listen({ host: HOST, port: 0 }));
      const torrents = await Promise.all(sessions.map((session) => session.add(shared.metainfo, nowhere())));
      entryOf(torrents, 0).addPeer(entryOf(listening, 1));
      entryOf(torrents, 1).addPeer(entryOf(listening, 0));
      // Each sees two connections come to their end or to stand: one of them stands at last.
      await until(() => sessions.every((session) => session.connectionCount === 1));
      await turns();
      const [a, b] = torrents.map((torrent) => torrent.connections());
      assert.deepEqual([required(a, "a").length, required(b, "b").length], [1, 1], `round ${round}`);
      assert.notEqual(
        entryOf(required(a, "a"), 0).incoming,
        entryOf(required(b, "b"), 0).incoming,
        "the same one",
      );
      assert.deepEqual(
        [entryOf(required(a, "a"), 0).isOpen, entryOf(required(b, "b"), 0).isOpen],
        [true, true],
      );
      // By the greater id, whoever came first.
      const [ours, theirs] = sessions.map((each) => sessionCoreOf(each).peerId) as [Uint8Array, Uint8Array];
      const oursStays = Buffer.compare(ours, theirs) > 0;
      assert.equal(entryOf(required(a, "a"), 0).incoming, !oursStays);
      for (const session of sessions) await closeWhole(session);
    }
  });

  it("a peer that connected to us and said where it listens is not dialled there", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared);
    const leecher = new Session();
    const address = await leecher.listen({ host: HOST, port: 0 });
    const torrent = await leecher.add(
      shared.metainfo,
      nowhere({ onBlock: () => {}, peers: [seeder.address] }),
    );
    let dialled = 0;
    seeder.torrent.on("peerDisconnected", () => dialled++);
    await until(() => torrent.have.count > 0 || torrent.counters().payloadBytes > 0);
    seeder.torrent.addPeer(address);
    await turns();
    assert.equal(seeder.session.connectionCount, 1);
    assert.equal(dialled, 0);
    await leecher.close();
    await closeWhole(seeder.session);
  });

  it("seeds do not dial seeds again, whichever side saw it first", async () => {
    const shared = await makeShared(100_000);
    const other = await seed(shared);
    const { session, pass } = drivenSession();
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    let opened = 0;
    torrent.on("peerConnected", () => opened++);
    const ended = once(torrent, "peerDisconnected");
    const out = once(torrent, "outOfPeers");
    torrent.addPeer(other.address);
    await until(() => opened === 1);
    await turns();
    pass(1000);
    await Promise.all([ended, out]);
    for (let round = 0; round < 10; round++) {
      pass(60_000);
      await turns(3);
    }
    assert.equal(opened, 1);
    assert.equal(session.connectionCount, 0);
    await closeWhole(session);
    await closeWhole(other.session);
  });

  it("one that only downloads from us is dialled again however often it went", async () => {
    const shared = await makeShared(100_000);
    const request = Buffer.alloc(17);
    request.writeUInt32BE(13);
    request[4] = MessageId.request;
    request.writeUInt32BE(BLOCK_SIZE, 13);
    let visits = 0;
    const { port } = await serve((socket) => {
      let heard = 0;
      socket.write(handshake(shared.metainfo.infoHash));
      socket.write(Buffer.of(0, 0, 0, 1, MessageId.interested));
      socket.write(request);
      socket.on("data", (bytes: Buffer) => {
        // It has its block, and goes.
        if (heard < HANDSHAKE_BYTES + BLOCK_SIZE && heard + bytes.length >= HANDSHAKE_BYTES + BLOCK_SIZE) {
          visits++;
          socket.end();
        } else if (heard > 0) socket.write(request);
        heard += bytes.length;
      });
    });
    const { session, pass } = drivenSession();
    const torrent = await session.add(shared.metainfo, {
      directory: shared.folder,
      readOnly: true,
      peers: [{ host: HOST, port }],
    });
    for (let visit = 1; visit <= 8; visit++) {
      for (let tries = 0; visits < visit && tries < 400; tries++) {
        pass(100);
        await turns(2);
      }
      assert.equal(visits, visit);
      await until(() => torrent.peers().length === 0);
      pass(60_000);
    }
    await closeWhole(session);
  });

  it("one that connected to us and has what we miss is dialled when its connection breaks, one that has nothing is not", async () => {
    const shared = await makeShared(100_000);
    for (const has of [true, false]) {
      let dialled = 0;
      const { port } = await serve((socket) => {
        dialled++;
        socket.destroy();
      });
      const { session, pass } = drivenSession({ encryption: "disabled" });
      const address = await session.listen({ host: HOST, port: 0 });
      const torrent = await session.add(shared.metainfo, nowhere());
      const socket = await shakeHands(address, shared.metainfo.infoHash);
      const dictionary = Buffer.from(`d1:mde1:pi${port}e1:v3:rawe`);
      const extended = Buffer.alloc(6);
      extended.writeUInt32BE(2 + dictionary.length);
      extended[4] = MessageId.extended;
      const pieces = has ? MessageId.haveAll : MessageId.haveNone;
      socket.write(Buffer.concat([Buffer.of(0, 0, 0, 1, pieces), extended, dictionary]));
      await until(() => torrent.peers()[0]?.client === "raw");
      socket.resetAndDestroy();
      await until(() => torrent.peers().length === 0);
      for (let tries = 0; dialled === 0 && tries < 20; tries++) {
        pass(1000);
        await turns(2);
      }
      assert.equal(dialled, has ? 1 : 0);
      await closeWhole(session);
    }
  });
});
