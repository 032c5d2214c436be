// A torrent among several peers on loopback: who is admitted, who is refused, and who is found out.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect as connectTo, type Socket } from "node:net";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { BLOCK_SIZE, HANDSHAKE_BYTES } from "../../../../src/base/limits.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { type PeerAddress, type PeerError, Session, type Torrent } from "../../../../src/index.js";
import { difference, temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "../session/loopback.js";
import { handshake, knock, serve } from "../session/raw-peers.js";

const TIMEOUT = { timeout: 90_000 };

/** A seeder that believes in data of its own: some bytes of the shared data are wrong. */
async function seedWrong(
  shared: Shared,
  spoil: (data: Buffer) => void,
): Promise<{ session: Session; torrent: Torrent; address: PeerAddress }> {
  const folder = temporaryFolder(after);
  mkdirSync(folder, { recursive: true });
  const data = Buffer.from(shared.data);
  spoil(data);
  writeFileSync(join(folder, "data.bin"), data);
  const session = new Session();
  const address = await session.listen({ host: "127.0.0.1", port: 0 });
  const torrent = await session.add(shared.metainfo, {
    directory: folder,
    readOnly: true,
    assumeComplete: true,
  });
  return { session, torrent, address };
}

/** Errors of the connections that ended, as they end. */
function endings(torrent: Torrent): string[] {
  const codes: string[] = [];
  torrent.on("peerDisconnected", (_, error) => codes.push(error?.code ?? "none"));
  return codes;
}

describe("Torrent: who is admitted", TIMEOUT, () => {
  it("one connection for each peer: a second one is a duplicate", async () => {
    const shared = await makeShared(2_000_000);
    const seeder = new Session();
    const { port } = await seeder.listen({ host: "0.0.0.0", port: 0 });
    const seeding = await seeder.add(shared.metainfo, { directory: shared.folder, readOnly: true });
    const refused = endings(seeding);
    const leecher = new Session();
    // Blocks are kept, so that the first connection has no end.
    const torrent = await leecher.add(shared.metainfo, nowhere({ onBlock: () => {} }));
    torrent.addPeer({ host: "127.0.0.1", port });
    await once(torrent, "peerConnected");
    const ended = once(torrent, "peerDisconnected");
    torrent.addPeer({ host: "127.0.0.2", port });
    const [address] = (await ended) as [PeerAddress, PeerError];
    assert.equal(address.host, "127.0.0.2");
    assert.equal(torrent.connections().length, 1);
    assert.equal(entryOf(torrent.connections(), 0).address.host, "127.0.0.1");
    await leecher.close();
    await closeWhole(seeder);
    assert.ok(refused.every((code) => code !== "none"));
  });

  it("whoever claims the id of another peer from elsewhere neither keeps it out nor takes its place", {
    timeout: 10_000,
  }, async () => {
    const shared = await makeShared(200_000);
    const session = new Session();
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    // Greater than ours: of two connections that crossed, its own would stay.
    const theirs = Buffer.alloc(20, 0xff);
    const served: Socket[] = [];
    const { port } = await serve((socket) => {
      socket.write(handshake(shared.metainfo.infoHash, theirs));
      served.push(socket);
    });
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [{ host: "127.0.0.1", port }] }));
    const codes = endings(torrent);
    await once(torrent, "peerConnected");
    for (const from of ["127.0.0.8", "127.0.0.9"]) {
      const opened = once(torrent, "peerConnected");
      const socket = await knock(address, from);
      socket.write(handshake(shared.metainfo.infoHash, theirs));
      await opened;
    }
    assert.deepEqual(
      torrent.peers().map(({ address }) => address.host),
      ["127.0.0.1", "127.0.0.8", "127.0.0.9"],
    );
    assert.equal(served.length, 1);
    assert.deepEqual(codes, []);
    await closeWhole(session);
  });

  it("not itself", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const refused = once(session, "peerRefused");
    const ended = once(torrent, "peerDisconnected");
    torrent.addPeer(address);
    const [, error] = (await refused) as [PeerAddress, PeerError];
    assert.equal(error.code, "PEER_SELF");
    await ended;
    assert.equal(torrent.connections().length, 0);
    await closeWhole(session);
  });

  it("nobody who asks for a torrent that is not here: the session is told, and goes on", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared);
    const refused = once(session, "peerRefused");
    const socket = connectTo(address.port, address.host);
    after(() => socket.destroy());
    const hello = Buffer.alloc(HANDSHAKE_BYTES);
    encodeHandshake(hello, 0, { infoHash: new Uint8Array(20).fill(1), peerId: new Uint8Array(20).fill(2) });
    socket.write(hello);
    const [, error] = (await refused) as [PeerAddress, PeerError];
    assert.equal(error.code, "PEER_UNKNOWN_INFO_HASH");
    await once(socket, "close");
    assert.equal(socket.bytesRead, 0, "nothing is told to a stranger");
    assert.equal(session.connectionCount, 0);
    await closeWhole(session);
  });

  it("no more than the session may have", async () => {
    const shared = await makeShared(100_000);
    const seeder = await seed(shared, { maxPeers: 2 });
    const sockets = [0, 1, 2, 3].map(() => connectTo(seeder.address.port, seeder.address.host));
    for (const socket of sockets) {
      socket.on("error", () => {});
      after(() => socket.destroy());
    }
    await new Promise<void>((resolve) => {
      let closed = 0;
      for (const socket of sockets) socket.on("close", () => ++closed === 2 && resolve());
    });
    assert.ok(seeder.session.connectionCount <= 2);
    await closeWhole(seeder.session);
  });
});

describe("Torrent: who sends wrong bytes", TIMEOUT, () => {
  it("is banned when all of a piece was its own, and the others finish the download", async () => {
    const shared = await makeShared(3_000_000);
    const good = await seed(shared);
    const bad = await seedWrong(shared, (data) => data.fill(0));
    const directory = temporaryFolder(after);
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, { directory });
    const banned: PeerAddress[] = [];
    torrent.on("peerBanned", (address) => banned.push(address));
    // The liar alone first: it must be found before anybody else is there.
    const ban = once(torrent, "peerBanned");
    torrent.addPeer(bad.address);
    await ban;
    assert.equal(torrent.have.count, 0);
    torrent.addPeer(good.address);
    await torrent.done;
    assert.deepEqual(banned, [bad.address]);
    assert.equal(difference(join(shared.folder, "data.bin"), join(directory, "data.bin")), undefined);
    await closeWhole(leecher);
    for (const { session } of [good, bad]) await closeWhole(session);
  });

  it("is found among many: the liar is banned or gone, the honest never are, and the bytes are right", async () => {
    const shared = await makeShared(6_000_000, 262_144);
    const good = [await seed(shared), await seed(shared)];
    // One wrong byte in the third block of every piece.
    const bad = await seedWrong(shared, (data) => {
      for (let at = 2 * BLOCK_SIZE; at < data.length; at += 262_144) data[at] = entryOf(data, at) ^ 1;
    });
    const directory = temporaryFolder(after);
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, { directory });
    const banned: number[] = [];
    torrent.on("peerBanned", ({ port }) => banned.push(port));
    for (const { address } of [bad, ...good]) torrent.addPeer(address);
    await torrent.done;
    for (const { address } of good) assert.ok(!banned.includes(address.port), "an honest peer is not banned");
    assert.equal(difference(join(shared.folder, "data.bin"), join(directory, "data.bin")), undefined);
    await closeWhole(leecher);
    for (const { session } of [...good, bad]) await closeWhole(session);
  });

  it("a banned peer is neither dialled nor admitted again", async () => {
    const shared = await makeShared(1_000_000);
    const bad = await seedWrong(shared, (data) => data.fill(0));
    const leecher = new Session();
    const address = await leecher.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await leecher.add(shared.metainfo, nowhere());
    const codes = endings(torrent);
    const ban = once(torrent, "peerBanned");
    torrent.addPeer(bad.address);
    await ban;
    torrent.addPeer(bad.address);
    assert.equal(leecher.connectionCount, 0);
    const refused = once(leecher, "peerRefused");
    bad.torrent.addPeer(address);
    const [, error] = (await refused) as [PeerAddress, PeerError];
    assert.equal(error.code, "PEER_BANNED");
    assert.deepEqual(codes, ["PEER_BAD_PIECE"]);
    await closeWhole(leecher);
    await closeWhole(bad.session);
  });
});
