// Single connections through the public API: seen, switched between receive modes in the middle of a transfer, and ended.

import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { type Connection, type PeerInfo, Session, type Torrent } from "../../../../src/index.js";
import { difference, temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";
import { RawPeer, until } from "./raw-peer.js";

const TIMEOUT = { timeout: 60_000 };

/** The first connection of a torrent, as soon as it is open. */
async function firstConnection(torrent: Torrent): Promise<Connection> {
  const [connection] = torrent.connections();
  if (connection !== undefined) return connection;
  const [, opened] = (await once(torrent, "peerConnected")) as [PeerInfo, Connection];
  return opened;
}

describe("Connection of the public API", TIMEOUT, () => {
  it("changes its receive mode in mid-transfer, and what it costs from then on; the bytes are right", async () => {
    const shared = await makeShared(16_000_000);
    const seeder = await seed(shared);
    const leecher = new Session();
    const directory = temporaryFolder(after);
    const torrent = await leecher.add(shared.metainfo, { directory });
    torrent.addPeer(seeder.address, { receiveMode: "contiguous" });
    const connection = await firstConnection(torrent);
    assert.equal(connection.info().receiveMode, "contiguous");

    let before: PeerInfo["counters"] | undefined;
    torrent.on("piece", () => {
      if (before !== undefined || torrent.have.count < 50) return;
      before = connection.info().counters;
      connection.setReceiveMode("scatter");
    });
    await torrent.done;
    assert.ok(before !== undefined);
    const { counters, receiveMode } = connection.info();
    assert.equal(receiveMode, "scatter");
    assert.equal(difference(join(shared.folder, "data.bin"), join(directory, "data.bin")), undefined);

    // contiguous: every byte of payload was copied once, and few calls were needed.
    assert.ok(before.bytesCopied >= before.payloadBytes - BLOCK_SIZE, "contiguous copies");
    assert.ok(before.payloadBytes > 49 * 65_536);
    // scatter: two calls for each block, and no copy after the message that was under way.
    const blocks = counters.blocksReceived - before.blocksReceived;
    assert.ok(blocks > 200, `${blocks} blocks came after the change`);
    assert.ok(counters.bytesCopied - before.bytesCopied <= BLOCK_SIZE, "scatter copies nothing");
    assert.ok(counters.receiveCalls - before.receiveCalls >= 2 * (blocks - 1), "two calls for each block");
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });

  it("has the mode that its address was added with, alone; modes that are none are refused", async () => {
    const shared = await makeShared(2_000_000);
    const seeders = [await seed(shared), await seed(shared)];
    const leecher = new Session();
    // Nothing is released, so that the download cannot end while we look.
    const onBlock = (): void => {};
    const torrent = await leecher.add(shared.metainfo, nowhere({ onBlock, receiveMode: "speculative" }));
    torrent.addPeer(entryOf(seeders, 0).address);
    torrent.addPeer(entryOf(seeders, 1).address, { receiveMode: "scatter" });
    while (torrent.connections().length < 2) await once(torrent, "peerConnected");
    const modes = (): Record<number, string> =>
      Object.fromEntries(torrent.peers().map(({ address, receiveMode }) => [address.port, receiveMode]));
    const [first, second] = seeders.map(({ address }) => address.port) as [number, number];
    assert.deepEqual(modes(), { [first]: "speculative", [second]: "scatter" });
    assert.throws(() => entryOf(torrent.connections(), 0).setReceiveMode("fast" as never), {
      code: "USAGE_OPTION",
    });
    assert.throws(() => torrent.addPeer(entryOf(seeders, 0).address, { receiveMode: "fast" as never }), {
      code: "USAGE_OPTION",
    });
    await leecher.close();
    for (const { session } of seeders) await closeWhole(session);
  });

  it("is one object for one connection, and outlives it without effect", async () => {
    const shared = await makeShared(500_000);
    const seeder = await seed(shared);
    const leecher = new Session();
    const torrent = await leecher.add(shared.metainfo, nowhere({ onBlock: () => {} }));
    torrent.addPeer(seeder.address);
    const connection = await firstConnection(torrent);
    assert.equal(torrent.connections()[0], connection);
    assert.deepEqual(connection.address, seeder.address);
    assert.deepEqual([connection.incoming, connection.isOpen], [false, true]);
    assert.equal(seeder.torrent.connections()[0]?.incoming, true);

    const gone = once(torrent, "peerDisconnected");
    const out = once(torrent, "outOfPeers");
    connection.disconnect();
    await Promise.all([gone, out]);
    assert.equal(connection.isOpen, false);
    assert.equal(torrent.connections().length, 0);
    connection.disconnect();
    connection.setReceiveMode("scatter");
    assert.equal(connection.info().state, "closed");

    // Given again, it is connected to again.
    torrent.addPeer(seeder.address);
    const again = await firstConnection(torrent);
    assert.notEqual(again, connection);
    await leecher.close();
    await closeWhole(seeder.session);
  });

  it("a torrent's receive mode is that of connections that came in, too", async () => {
    const shared = await makeShared(500_000);
    const seeder = await seed(shared);
    seeder.torrent.setReceiveMode("scatter");
    const leecher = new Session({ receiveMode: "contiguous" });
    const opened = once(seeder.torrent, "peerConnected");
    const torrent = await leecher.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    const [, incoming] = (await opened) as [PeerInfo, Connection];
    const first = once(seeder.torrent, "peerDisconnected");
    await torrent.done;
    // The mode changes at the next message boundary, and messages came: requests.
    assert.equal(incoming.info().receiveMode, "scatter");
    await closeWhole(leecher);
    await first;
    await closeWhole(seeder.session);
  });

  it("an address that is none is refused, or told as a failed connection", async () => {
    const shared = await makeShared(100_000);
    await using session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    for (const port of [0, -1, 65_536, 1.5, Number.NaN, "80"]) {
      assert.throws(() => torrent.addPeer({ host: "127.0.0.1", port: port as number }), {
        code: "USAGE_OPTION",
      });
    }
    const disconnected = once(torrent, "peerDisconnected");
    // An address of many machines is none that can be connected to.
    torrent.addPeer({ host: "255.255.255.255", port: 1 });
    const [address, error] = await disconnected;
    assert.deepEqual(address, { host: "255.255.255.255", port: 1 });
    assert.equal(error.code, "PEER_CONNECT_FAILED");
  });
});

describe("What peers are told of a torrent in null storage", TIMEOUT, () => {
  it("is nothing, before and after it is all there, since nothing of it can be had", async () => {
    const shared = await makeShared(20 * BLOCK_SIZE, 2 * BLOCK_SIZE);
    const seeder = await seed(shared);
    const session = new Session();
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const early = await RawPeer.join(address, shared.metainfo, { fast: true });
    early.send(Buffer.of(0, 0, 0, 1, MessageId.haveNone));
    await until(() => torrent.peers().length === 1);
    torrent.addPeer(seeder.address);
    await torrent.done;
    assert.ok(torrent.have.isFull);
    const late = await RawPeer.join(address, shared.metainfo, { fast: true });
    const ids: number[] = [];
    for (const peer of [early, late]) {
      peer.send(Buffer.of(0, 0, 0, 1, MessageId.interested));
      // It is unchoked at once or with the next tick: what was told of pieces came before.
      for (let message = await peer.next(); message !== undefined; message = await peer.next()) {
        if (message.id === MessageId.unchoke) break;
        ids.push(message.id);
      }
    }
    assert.deepEqual(ids, [MessageId.haveNone, MessageId.haveNone]);
    await closeWhole(session);
    await closeWhole(seeder.session);
  });
});
