// Timeouts of a session, with a timer that the test drives: a connection that nobody accepts, a peer that says nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { after, describe, it } from "node:test";
import { HANDSHAKE_BYTES, MIB } from "../../../../src/base/limits.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import type { PeerError } from "../../../../src/index.js";
import { Reactor } from "../../../../src/native/reactor.js";
import { closeWhole, drivenSession, makeShared, nowhere } from "./loopback.js";

const HOST = "127.0.0.1";

describe("Session: timeouts", { timeout: 60_000 }, () => {
  it("a connection that nobody accepts is given up", async () => {
    // A queue of one place, and two connections in it: the kernel lets a third one wait.
    const reactor = new Reactor(MIB);
    const fd = reactor.engine.listen(HOST, 0, 0);
    const address = reactor.engine.localAddress(fd);
    assert.ok(typeof address === "object");
    const { port } = address;
    const first = connect(port, HOST);
    await once(first, "connect");
    const second = connect(port, HOST).on("error", () => {});
    const shared = await makeShared(100_000);
    const { session, tick } = drivenSession({ connectTimeoutMs: 1 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const ended = once(torrent, "peerDisconnected");
    torrent.addPeer({ host: HOST, port });
    assert.equal(session.connectionCount, 1);
    await tick();
    const [, error] = (await ended) as [unknown, PeerError];
    assert.equal(error.code, "PEER_CONNECT_FAILED");
    assert.match(error.message, /no answer for \d+ s$/);
    assert.equal(session.connectionCount, 0);
    await closeWhole(session);
    first.destroy();
    second.destroy();
    reactor.engine.closeSocket(fd);
    reactor.close();
  });

  it("a peer that accepts and says nothing is let go", async () => {
    const server = createServer();
    server.listen(0, HOST);
    await once(server, "listening");
    after(() => server.close());
    const shared = await makeShared(100_000);
    const { session, tick } = drivenSession({ handshakeTimeoutMs: 1 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const accepted = once(server, "connection");
    torrent.addPeer({ host: HOST, port: (server.address() as AddressInfo).port });
    const [socket] = await accepted;
    socket.on("error", () => {});
    await once(socket, "data");
    const ended = once(torrent, "peerDisconnected");
    await tick();
    const [, error] = (await ended) as [unknown, PeerError];
    assert.equal(error.code, "PEER_TIMEOUT");
    await closeWhole(session);
    socket.destroy();
  });

  it("a stranger that connects and says nothing is let go, and the session is told", async () => {
    const { session, tick } = drivenSession({ handshakeTimeoutMs: 1 });
    const { port } = await session.listen({ host: HOST, port: 0 });
    const socket = connect(port, HOST).on("error", () => {});
    after(() => socket.destroy());
    await once(socket, "connect");
    while (session.connectionCount === 0) await new Promise((resolve) => setImmediate(resolve));
    const refused = once(session, "peerRefused");
    await tick();
    const [, error] = (await refused) as [unknown, PeerError];
    assert.equal(error.code, "PEER_TIMEOUT");
    await closeWhole(session);
  });

  it("a connection on which nothing comes any more is ended", async () => {
    const server = createServer();
    server.listen(0, HOST);
    await once(server, "listening");
    after(() => server.close());
    const shared = await makeShared(100_000);
    const { session, tick } = drivenSession({ idleTimeoutMs: 1 });
    const torrent = await session.add(shared.metainfo, nowhere());
    const accepted = once(server, "connection");
    torrent.addPeer({ host: HOST, port: (server.address() as AddressInfo).port });
    const [socket] = await accepted;
    socket.on("error", () => {});
    const hello = Buffer.alloc(HANDSHAKE_BYTES);
    encodeHandshake(hello, 0, { infoHash: shared.metainfo.infoHash, peerId: new Uint8Array(20).fill(3) });
    const opened = once(torrent, "peerConnected");
    socket.write(hello);
    await opened;
    const ended = once(torrent, "peerDisconnected");
    await tick();
    const [, error] = (await ended) as [unknown, PeerError];
    assert.equal(error.code, "PEER_TIMEOUT");
    assert.match(error.message, /nothing received/);
    await closeWhole(session);
    socket.destroy();
  });
});
