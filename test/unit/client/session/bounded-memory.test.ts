// What peers send that nobody asked for costs the session no memory, however many they are: over real sockets.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MESSAGE_BYTES_MAX, MIB } from "../../../../src/base/limits.js";
import { sessionCoreOf } from "../../../../src/client/session/session.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { closeWhole, makeShared, seed } from "./loopback.js";
import { RawPeer, until } from "./raw-peer.js";

const TIMEOUT = { timeout: 60_000 };

describe("Session: messages that never end", TIMEOUT, () => {
  it("of an unknown id, a megabyte from each of many peers, are not gathered", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared);
    const unfinished = Buffer.alloc(MESSAGE_BYTES_MAX);
    unfinished.writeUInt32BE(MESSAGE_BYTES_MAX);
    unfinished[4] = 99;
    const before = process.memoryUsage().arrayBuffers;
    const peers = await Promise.all(
      Array.from({ length: 64 }, () => RawPeer.join(address, shared.metainfo, { reads: false })),
    );
    for (const peer of peers) peer.socket.write(unfinished);
    await until(() => session.counters().receivedBytes >= peers.length * unfinished.length);
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 16 * MIB, `${(grown / MIB).toFixed(0)} MiB for ${peers.length} peers`);
    assert.equal(session.connectionCount, peers.length, "to say what we do not know is no fault");
    assert.equal(sessionCoreOf(session).memory.messages.bytes, 0);
    await closeWhole(session);
  });

  it("of a known id are gathered as far as one of that kind can be long", async () => {
    const shared = await makeShared(100_000);
    const { session, address } = await seed(shared);
    const refused = [MessageId.bitfield, MessageId.extended, MessageId.have].map(async (id) => {
      const peer = await RawPeer.join(address, shared.metainfo, { extended: true });
      const start = Buffer.alloc(6);
      start.writeUInt32BE(MESSAGE_BYTES_MAX);
      start[4] = id;
      peer.send(start);
      await peer.gone();
    });
    await Promise.all(refused);
    assert.equal(session.connectionCount, 0);
    await closeWhole(session);
  });
});
