// Peers that ask for blocks and do not take them, over real sockets: they cost the others nothing, and have an end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it, mock } from "node:test";
import { BLOCK_SIZE, KIB, MIB } from "../../../../src/base/limits.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { Choker } from "../../../../src/client/torrent/choker.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { type PeerError, Session, type Torrent } from "../../../../src/index.js";
import { required } from "../../../support/required.js";
import { message } from "../peer/wired-peer.js";
import { closeWhole, drivenSession, makeShared, nowhere, type Shared, seed } from "./loopback.js";
import { RawPeer, until } from "./raw-peer.js";

const TIMEOUT = { timeout: 60_000 };
/** Kernel buffers so small that a peer that reads nothing is noticed at once. */
const SMALL = { sendBufferBytes: 16 * KIB };
const KEEP_ALIVE = Buffer.alloc(4);

/** Peers that are served, ask for all there is, and never read. */
async function deafPeers(
  count: number,
  seeder: Awaited<ReturnType<typeof seed>>,
  shared: Shared,
): Promise<RawPeer[]> {
  const { address, session, torrent } = seeder;
  const requests: Buffer[] = [];
  for (let piece = 0; piece < shared.metainfo.pieces.length / 20; piece++)
    requests.push(message(MessageId.request, piece, 0, BLOCK_SIZE));
  const peers: RawPeer[] = [];
  for (let made = 0; made < count; made++)
    peers.push(await RawPeer.join(address, shared.metainfo, { reads: false }));
  await until(() => torrent.peers().length === count);
  for (const peer of peers) peer.send(message(MessageId.interested));
  await until(() => torrent.peers().every((peer) => !peer.amChoking));
  for (const peer of peers) peer.send(...requests);
  await until(() => session.counters().sendWouldBlocks >= Math.min(count, 12));
  return peers;
}

describe("Session: peers that read nothing", TIMEOUT, () => {
  it("and keep the connection alive leave the pool to the others", async () => {
    const shared = await makeShared(700 * BLOCK_SIZE, BLOCK_SIZE);
    const seeder = await seed(shared, { sendBufferBytes: 256 * KIB, poolBytes: 16 * MIB, uploadSlots: 50 });
    const deaf = await deafPeers(40, seeder, shared);
    const alive = setInterval(() => deaf.forEach((peer) => void peer.send(KEEP_ALIVE)), 100);
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    await torrent.done;
    clearInterval(alive);
    assert.ok(
      deaf.every((peer) => !peer.closed),
      "it was done before any of them was let go",
    );
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });

  it("are let go when they have taken nothing for the time that is set, whatever they say", async () => {
    const shared = await makeShared(300 * BLOCK_SIZE, BLOCK_SIZE);
    const driven = drivenSession({ ...SMALL, sendTimeoutMs: 1 });
    const { session } = driven;
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const [deaf] = await deafPeers(1, { session, torrent, address }, shared);
    const ended = once(torrent, "peerDisconnected") as Promise<[unknown, PeerError]>;
    let over = false;
    void ended.then(() => {
      over = true;
    });
    while (!over) {
      required(deaf, "deaf").send(KEEP_ALIVE);
      await driven.tick();
    }
    const [, error] = await ended;
    assert.equal(error.code, "PEER_TIMEOUT");
    assert.match(error.message, /took nothing/);
    assert.equal(sessionCoreOf(session).memory.pool.heldByHolder()["sending"], undefined);
    await closeWhole(session);
  });

  it("have little waiting for them in the system's buffers", async () => {
    const shared = await makeShared(16_000_000, MIB);
    const seeder = await seed(shared);
    const peer = await RawPeer.join(seeder.address, shared.metainfo, { reads: false });
    peer.send(message(MessageId.interested));
    await until(() => seeder.torrent.peers()[0]?.amChoking === false);
    for (let begin = 0; begin < 8 * MIB; begin += BLOCK_SIZE)
      peer.send(message(MessageId.request, Math.floor(begin / MIB), begin % MIB, BLOCK_SIZE));
    const sentBytes = (): number => seeder.torrent.counters().sentBytes;
    await until(() => seeder.session.counters().sendWouldBlocks > 0 || sentBytes() >= MIB);
    assert.ok(sentBytes() < MIB, `${sentBytes()} bytes`);
    await closeWhole(seeder.session);
  });

  it("and are let go for what they said leave nothing behind that uses our link", async () => {
    const shared = await makeShared(16_000_000, MIB);
    const { session, torrent, address } = await seed(shared, { sendBufferBytes: 256 * KIB });
    const peer = await RawPeer.join(address, shared.metainfo, { reads: false });
    peer.send(message(MessageId.interested));
    await until(() => torrent.peers()[0]?.amChoking === false);
    for (let piece = 0; piece < 15; piece++)
      for (let begin = 0; begin < MIB; begin += BLOCK_SIZE)
        peer.send(message(MessageId.request, piece, begin, BLOCK_SIZE));
    await until(() => session.counters().sendWouldBlocks > 0);
    const { sentBytes } = torrent.counters();
    const ended = once(torrent, "peerDisconnected") as Promise<[unknown, PeerError]>;
    // Longer than a block may be.
    peer.send(message(MessageId.request, 0, 0, 2 * BLOCK_SIZE));
    assert.equal((await ended)[1].code, "PEER_PIECE_RANGE");
    let received = 0;
    peer.socket.on("data", (bytes: Buffer) => {
      received += bytes.length;
    });
    peer.socket.resume();
    await peer.gone();
    assert.ok(received < sentBytes, `${received} of ${sentBytes} bytes came after all`);
    await closeWhole(session);
  });
});

describe("Session: interest that comes and goes", TIMEOUT, () => {
  it("from peers that read nothing makes few rounds, and no answers that pile up", async () => {
    const choose = mock.method(Choker.prototype, "choose");
    const shared = await makeShared(100_000);
    const { session, torrent, address } = await seed(shared);
    const peers: RawPeer[] = [];
    for (let made = 0; made < 4; made++)
      peers.push(await RawPeer.join(address, shared.metainfo, { reads: false }));
    await until(() => torrent.peers().length === peers.length);
    const flaps = Buffer.concat(
      Array.from({ length: 50_000 }, () => [
        message(MessageId.interested),
        message(MessageId.notInterested),
      ]).flat(),
    );
    const before = process.memoryUsage().arrayBuffers;
    for (const peer of peers) peer.socket.write(flaps);
    await until(() => session.counters().receivedBytes >= peers.length * flaps.length);
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(choose.mock.callCount() < 1000, `${choose.mock.callCount()} rounds`);
    assert.ok(grown < MIB, `${grown} bytes`);
    choose.mock.restore();
    await closeWhole(session);
  });
});

/** Pieces that a choked peer is offered. */
async function offered(peer: RawPeer, count: number): Promise<number[]> {
  const pieces: number[] = [];
  while (pieces.length < count) {
    const next = await peer.next();
    assert.ok(next !== undefined);
    if (next.id === MessageId.allowedFast) pieces.push(next.body.readUInt32BE(0));
  }
  return pieces;
}

function slotsForSending(torrent: Torrent, session: Session): number {
  assert.ok(torrent.peers().every((peer) => peer.amChoking));
  return sessionCoreOf(session).memory.pool.heldByHolder()["sending"] ?? 0;
}

describe("Session: allowed fast", TIMEOUT, () => {
  it("a block that is asked for hundreds of times is served once", async () => {
    const shared = await makeShared(4_000_000);
    const { session, address } = await seed(shared);
    const peer = await RawPeer.join(address, shared.metainfo, { fast: true });
    const [piece] = await offered(peer, 1);
    const asks = 500;
    peer.send(
      ...Array.from({ length: asks }, () =>
        message(MessageId.request, required(piece, "piece"), 0, BLOCK_SIZE),
      ),
    );
    const answers = { blocks: 0, rejects: 0 };
    while (answers.blocks + answers.rejects < asks) {
      const next = await peer.next();
      assert.ok(next !== undefined);
      if (next.id === MessageId.piece) answers.blocks++;
      else if (next.id === MessageId.reject) answers.rejects++;
    }
    assert.deepEqual(answers, { blocks: 1, rejects: asks - 1 });
    await closeWhole(session);
  });

  it("a choked peer that asks for all that is free, and reads nothing, has little waiting in the system's buffers", async () => {
    const shared = await makeShared(16 * MIB, MIB);
    const { session, torrent, address } = await seed(shared);
    const other = await RawPeer.join(address, shared.metainfo, { fast: true });
    const pieces = await offered(other, 10);
    other.socket.destroy();
    const peer = await RawPeer.join(address, shared.metainfo, { fast: true, reads: false });
    for (const piece of pieces)
      for (let begin = 0; begin < MIB; begin += BLOCK_SIZE)
        peer.send(message(MessageId.request, piece, begin, BLOCK_SIZE));
    const sentBytes = (): number => torrent.counters().sentBytes;
    await until(() => session.counters().sendWouldBlocks > 0 || sentBytes() >= MIB);
    assert.ok(sentBytes() > BLOCK_SIZE && sentBytes() < MIB, `${sentBytes()} bytes`);
    assert.ok(torrent.peers().every(({ amChoking }) => amChoking));
    await closeWhole(session);
  });

  it("choked peers that ask for all that is free, and read nothing, hold a few slots each", async () => {
    const shared = await makeShared(16_000_000, MIB);
    const { session, torrent, address } = await seed(shared, SMALL);
    const [piece] = await offered(await RawPeer.join(address, shared.metainfo, { fast: true }), 1);
    const asks = Array.from({ length: MIB / BLOCK_SIZE }, (_, block) =>
      message(MessageId.request, required(piece, "piece"), block * BLOCK_SIZE, BLOCK_SIZE),
    );
    const deaf: RawPeer[] = [];
    for (let made = 0; made < 40; made++)
      deaf.push(await RawPeer.join(address, shared.metainfo, { fast: true, reads: false }));
    for (const peer of deaf) peer.send(...asks);
    await until(() => session.counters().sendWouldBlocks >= deaf.length);
    const held = slotsForSending(torrent, session);
    assert.ok(held <= 8 * deaf.length, `${held} slots`);
    await closeWhole(session);
  });
});
