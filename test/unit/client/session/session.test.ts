// A session as a whole: it comes to its end from everywhere and leaves nothing behind, and memory that comes home wakes
// who waited for it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import type { Ground, Timer } from "../../../../src/base/ground.js";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { type BlockLease, RECEIVE_MODES, Session, StorageError, UsageError } from "../../../../src/index.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { systemWorld } from "../../../../src/native/world.js";
import { temporaryFolder } from "../../../support/data.js";
import { closeWhole, makeShared, nowhere, openSockets, seed } from "./loopback.js";

const HOST = "127.0.0.1";
const TIMEOUT = { timeout: 60_000 };

function stopped(timer: NodeJS.Timeout): Timer {
  clearInterval(timer);
  return timer;
}

/** A server that accepts and does what it is told with the sockets; closed after the tests. */
async function server(onSocket: (socket: Socket) => void): Promise<number> {
  const listener = createServer(onSocket);
  const sockets = new Set<Socket>();
  listener.on("connection", (socket) => sockets.add(socket.on("error", () => {})));
  after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  listener.listen(0, HOST);
  await once(listener, "listening");
  const address = listener.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

describe("Session: misuse", TIMEOUT, () => {
  it("refuses what it cannot do, with a code", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    await assert.rejects(session.listen(), { code: "USAGE_OPTION" });
    await assert.rejects(session.listen({ host: "192.0.2.1", port: 0 }), { code: "LISTEN_FAILED" });
    await session.add(shared.metainfo, nowhere());
    await assert.rejects(session.add(shared.metainfo, nowhere()), { code: "USAGE_STATE" });
    await closeWhole(session);
    await assert.rejects(session.listen({ host: HOST, port: 0 }), { code: "USAGE_STATE" });
    await assert.rejects(session.add(shared.metainfo, nowhere()), { code: "USAGE_STATE" });
  });

  const wrong: [string, object][] = [
    ["receiveMode", { receiveMode: "fast" }],
    ["sendMode", { sendMode: "fast" }],
    ["storage", { storage: "tape", directory: "/tmp" }],
    ["directory", { storage: "file" }],
  ];
  for (const [name, options] of wrong) {
    it(`a torrent's ${name} that is none is refused when the torrent is added`, async () => {
      const shared = await makeShared(100_000);
      await using session = new Session();
      await assert.rejects(
        session.add(shared.metainfo, options),
        (error) =>
          error instanceof UsageError && error.code === "USAGE_OPTION" && error.message.includes(name),
      );
      assert.equal(session.torrents.size, 0);
    });
  }

  it("a receive mode that is none is refused, and changes nothing", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    assert.throws(() => torrent.setReceiveMode("fast" as never), { code: "USAGE_OPTION" });
  });
});

describe("Session: its end", TIMEOUT, () => {
  it("with nothing in it, twice, and as a resource", async () => {
    const before = openSockets().length;
    const session = new Session({ listen: { host: HOST, port: 0 } });
    await session.listen();
    assert.equal(openSockets().length, before + 1);
    await Promise.all([closeWhole(session), session.close()]);
    await session.close();
    {
      await using other = new Session();
      await other.listen({ host: HOST, port: 0 });
    }
    assert.equal(openSockets().length, before);
  });

  it("while a connection is being made, and while a handshake is awaited", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    const port = await server(() => {});
    await session.add(shared.metainfo, nowhere({ peers: [{ host: HOST, port }] }));
    assert.equal(session.connectionCount, 1);
    await closeWhole(session);

    let accept = (_socket: Socket): void => {};
    const accepted = new Promise<Socket>((resolve) => {
      accept = resolve;
    });
    const listener = await server((each) => accept(each));
    const other = new Session();
    const torrent = await other.add(shared.metainfo, nowhere({ peers: [{ host: HOST, port: listener }] }));
    const socket = await accepted;
    await once(socket, "data");
    const ended = once(socket, "close");
    await closeWhole(other);
    assert.equal(torrent.state, "closed");
    await ended;
  });

  for (const receiveMode of RECEIVE_MODES) {
    it(`in the middle of a download, on both sides (${receiveMode})`, async () => {
      const before = openSockets().length;
      const shared = await makeShared(8_000_000);
      for (const stopAfter of [0, 3, 40]) {
        const seeder = await seed(shared);
        const folder = temporaryFolder(after);
        const leecher = new Session({ receiveMode });
        const torrent = await leecher.add(shared.metainfo, { directory: folder, peers: [seeder.address] });
        await new Promise<void>((resolve) => {
          if (stopAfter === 0) torrent.once("peerConnected", () => resolve());
          torrent.on("piece", () => torrent.have.count >= stopAfter && resolve());
        });
        const rejected = assert.rejects(torrent.done, { code: "ABORTED" });
        await Promise.all([closeWhole(leecher), closeWhole(seeder.session)]);
        if (torrent.have.count < torrent.have.pieceCount) await rejected;
        else rejected.catch(() => {});
        assert.equal(openSockets().length, before);
      }
    });
  }

  it("while what is on disk is being checked", async () => {
    const shared = await makeShared(8_000_000);
    const session = new Session();
    const torrent = session.addInBackground(shared.metainfo, { directory: shared.folder });
    const checking = once(torrent, "checking");
    await checking;
    await closeWhole(session);
    await assert.rejects(torrent.ready, { code: "ABORTED" });
    await assert.rejects(torrent.done, { code: "ABORTED" });
  });

  it("an AbortSignal ends a torrent, before it began, while it opens and while it runs", async () => {
    const shared = await makeShared(1_000_000);
    const session = new Session();
    const abortedBefore = session.add(shared.metainfo, nowhere({ signal: AbortSignal.abort() }));
    await assert.rejects(abortedBefore, { code: "ABORTED" });
    assert.equal(session.torrents.size, 0);

    const whileOpening = new AbortController();
    const opening = session.add(shared.metainfo, { directory: shared.folder, signal: whileOpening.signal });
    whileOpening.abort();
    await assert.rejects(opening, { code: "ABORTED" });
    assert.equal(session.torrents.size, 0);

    const controller = new AbortController();
    const torrent = await session.add(shared.metainfo, nowhere({ signal: controller.signal }));
    controller.abort();
    await assert.rejects(torrent.done, { code: "ABORTED" });
    await torrent.close();
    assert.equal(torrent.state, "closed");
    assert.equal(session.torrents.size, 0);
    await closeWhole(session);
  });

  it("a torrent that cannot be opened leaves the session as it was", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    const options = { directory: "/proc/nowhere", storage: "file" as const };
    await assert.rejects(session.add(shared.metainfo, options), (error) => error instanceof StorageError);
    assert.equal(session.torrents.size, 0);
    await session.add(shared.metainfo, nowhere());
    await closeWhole(session);
  });
});

describe("Session: memory that comes home", TIMEOUT, () => {
  it("blocks that are given back outside of a turn wake who waits, without waiting for a timer", async () => {
    const shared = await makeShared(6_000_000);
    const seeder = await seed(shared);
    // A session that never ticks: nothing but the release itself can go on.
    const world = systemWorld();
    const ground: Ground = { ...world.ground, every: (_ms, callback) => stopped(setInterval(callback)) };
    const leecher = new Session({ poolBytes: MIB }, { ...world, ground });
    const { slotCount } = sessionCoreOf(leecher).memory.pool;
    const held: BlockLease[] = [];
    let most = 0;
    const onBlock = (lease: BlockLease): void => {
      const at = lease.piece * 65_536 + lease.begin;
      assert.ok(shared.data.subarray(at, at + lease.bytes.length).equals(lease.bytes));
      held.push(lease);
      most = Math.max(most, held.length);
    };
    const torrent = await leecher.add(shared.metainfo, nowhere({ onBlock, peers: [seeder.address] }));
    let finished = false;
    torrent.done.then(() => {
      finished = true;
    });
    let quiet = 0;
    let count = 0;
    for (let turns = 0; !finished; turns++) {
      assert.ok(turns < 100_000, `it stands still with ${held.length} of ${slotCount} blocks held`);
      await new Promise((resolve) => setImmediate(resolve));
      quiet = held.length === count ? quiet + 1 : 0;
      count = held.length;
      // Only when nothing comes any more: all waits for these.
      if (quiet > 300) for (const lease of held.splice(0)) lease.release();
    }
    assert.ok(most > slotCount / 2, `the pool was the bound: ${most} of ${slotCount}`);
    for (const lease of held.splice(0)) lease.release();
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });

  it("a lease is released once, and a block that is read back is the one that was stored", async () => {
    const shared = await makeShared(200_000);
    const { session, torrent } = await seed(shared);
    const lease = await torrent.read(1, BLOCK_SIZE, 100);
    assert.ok(shared.data.subarray(65_536 + BLOCK_SIZE, 65_536 + BLOCK_SIZE + 100).equals(lease.bytes));
    assert.equal(sessionCoreOf(session).memory.pool.heldByHolder()["user"], 1);
    lease.release();
    lease.release();
    lease[Symbol.dispose]();
    assert.equal(sessionCoreOf(session).memory.pool.heldByHolder()["user"], undefined);
    await assert.rejects(torrent.read(99, 0, 100), { code: "USAGE_OPTION" });
    await assert.rejects(torrent.read(0, 65_530, 100), { code: "USAGE_OPTION" });
    await assert.rejects(torrent.read(0, 0, BLOCK_SIZE + 1), { code: "USAGE_OPTION" });
    while (sessionCoreOf(session).memory.pool.acquire(SlotHolder.user) !== -1);
    await assert.rejects(torrent.read(0, 0, 100), { code: "USAGE_STATE" });
    await session.close();
  });

  it("what asks for the end of the turn while the turn ends is not left to the next one", async () => {
    const reactor = new Reactor(MIB);
    const ran: string[] = [];
    reactor.onTurn({
      turnBegins: () => {},
      turnEnds: () => {
        if (ran.length === 1) reactor.atTurnEnd({ turnEnded: () => void ran.push("second") });
      },
    });
    reactor.atTurnEnd({ turnEnded: () => void ran.push("first") });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(ran, ["first", "second"]);
    reactor.close();
  });
});
