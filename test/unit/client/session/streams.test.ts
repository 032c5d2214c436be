// Streams of the program's as peers of a session: pairs in memory and TLS, in every mode, and what becomes of those that are not let in.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Duplex, PassThrough } from "node:stream";
import { after, describe, it } from "node:test";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { torrentCoreOf } from "../../../../src/client/torrent/torrent.js";
import {
  AddressRanges,
  type PeerAddress,
  type PeerError,
  RECEIVE_MODES,
  SEND_MODES,
  Session,
  type SessionOptions,
} from "../../../../src/index.js";
import { CERTIFICATE, CERTIFICATE_KEY } from "../../../support/certificate.js";
import { temporaryFolder } from "../../../support/data.js";
import { duplexPair } from "../../../support/duplex-pair.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";
import { until } from "./raw-peer.js";

const TIMEOUT = { timeout: 120_000 };
const BYTES = 3_000_017;

type Told = [address: PeerAddress, error: PeerError | undefined];

/** One end of a pair at whose other end nobody is. */
function deadEnd(): Duplex {
  const [near, far] = duplexPair();
  far.on("error", () => {});
  return near;
}

/** Downloads all of a seed's torrent over a pair of streams, and compares it. */
async function downloadOver(options: SessionOptions, seedOptions: SessionOptions = options): Promise<void> {
  const shared = await makeShared(BYTES);
  const seeder = await seed(shared, seedOptions);
  const directory = temporaryFolder(after);
  const session = new Session(options);
  const torrent = await session.add(shared.metainfo, { directory });
  const [near, far] = duplexPair();
  const connected = once(torrent, "peerConnected");
  seeder.session.accept(far);
  torrent.addPeer(near);
  await connected;
  await torrent.done;
  assert.ok(readFileSync(join(directory, "data.bin")).equals(shared.data), "all bytes are right");
  await closeWhole(session);
  await closeWhole(seeder.session);
}

describe("A stream as a peer of a torrent", TIMEOUT, () => {
  for (const receiveMode of RECEIVE_MODES)
    it(`brings all blocks in receive mode ${receiveMode}`, () => downloadOver({ receiveMode }));
  for (const sendMode of SEND_MODES)
    it(`is sent all blocks in send mode ${sendMode}`, () => downloadOver({ sendMode }));
  it("is encrypted where the session talks to nobody otherwise", () =>
    downloadOver({ encryption: "required" }));
  it("is let in as it comes where encryption is enabled", () =>
    downloadOver({ encryption: "disabled" }, { encryption: "enabled" }));

  it("may be TLS: its address is shown, told to nobody, and not dialled", async () => {
    const shared = await makeShared(BYTES);
    const seeder = await seed(shared);
    const session = new Session();
    const listening = await session.listen({ host: "127.0.0.1", port: 0 });
    const server = createTlsServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (socket) =>
      seeder.session.accept(socket),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const torrent = await session.add(shared.metainfo, { storage: "null", onBlock: () => {} });
    const arrived = once(seeder.torrent, "peerConnected");
    const socket: TLSSocket = connectTls({ host: "127.0.0.1", port, ca: CERTIFICATE });
    await once(socket, "secureConnect");
    torrent.addPeer(socket, { receiveMode: "contiguous" });
    await arrived;
    await until(() => torrent.peers().length === 1 && seeder.torrent.peers()[0]?.client !== "");
    const [peer] = torrent.peers();
    assert.deepEqual(
      [peer?.address, peer?.source, peer?.incoming, peer?.listenPort, peer?.receiveMode],
      [{ host: "127.0.0.1", port }, "user", false, undefined, "contiguous"],
    );
    const [other] = seeder.torrent.peers();
    assert.deepEqual([other?.source, other?.incoming, other?.listenPort], ["incoming", true, undefined]);
    assert.ok(listening.port > 0, "it told where it listens, which is not where the stream leads");
    for (const each of [torrent, seeder.torrent])
      assert.equal(torrentCoreOf(each).swarm.addressCounts().known, 0);
    const gone = once(torrent, "peerDisconnected");
    torrent.connections()[0]?.disconnect();
    await gone;
    assert.ok(socket.destroyed || socket.writableEnded, "the stream is ended with the connection");
    await session.close();
    await closeWhole(seeder.session);
    server.close();
  });

  it("may break, and the next one goes on where it ended", async () => {
    const shared = await makeShared(BYTES);
    const seeder = await seed(shared);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    for (const breaks of [true, true, false]) {
      const [near, far] = duplexPair();
      const left = once(torrent, "peerDisconnected") as Promise<Told>;
      seeder.session.accept(far);
      const before = torrent.progress().piecesVerified;
      torrent.addPeer(near);
      if (!breaks) break;
      await until(() => torrent.progress().piecesVerified > before || torrent.state === "seeding");
      near.destroy();
      await left;
    }
    await torrent.done;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("is no stream of objects, and joins no torrent that is not open: it stays the program's then", async () => {
    const shared = await makeShared(BYTES);
    const session = new Session();
    const torrent = session.addInBackground(shared.metainfo, nowhere());
    const [near, far] = duplexPair();
    assert.throws(() => torrent.addPeer(near), { code: "USAGE_STATE" });
    await torrent.ready;
    for (const wrong of [new PassThrough({ objectMode: true }), { pipe: () => {} }]) {
      assert.throws(() => torrent.addPeer(wrong as Duplex), { code: "USAGE_OPTION" });
      assert.throws(() => session.accept(wrong as Duplex), { code: "USAGE_OPTION" });
    }
    assert.throws(() => torrent.addPeer(near, { receiveMode: "fast" as "scatter" }), {
      code: "USAGE_OPTION",
    });
    assert.throws(() => session.accept(undefined as unknown as Duplex), { code: "USAGE_OPTION" });
    torrent.pause();
    assert.throws(() => torrent.addPeer(near), { code: "USAGE_STATE" });
    await torrent.close();
    assert.throws(() => torrent.addPeer(near), { code: "USAGE_STATE" });
    await session.close();
    assert.throws(() => session.accept(far), { code: "USAGE_STATE" });
    assert.equal(near.destroyed || far.destroyed, false);
  });

  it("that comes for another torrent, or says nothing, is ended", async () => {
    const [shared, other] = [await makeShared(100_000), await makeShared(100_001)];
    const seeder = await seed(shared, { handshakeTimeoutMs: 500 });
    const session = new Session({ handshakeTimeoutMs: 500 });
    const torrent = await session.add(other.metainfo, nowhere());
    const [near, far] = duplexPair();
    const refused = once(seeder.session, "peerRefused") as Promise<Told>;
    const left = once(torrent, "peerDisconnected") as Promise<Told>;
    seeder.session.accept(far);
    torrent.addPeer(near);
    const [address, error] = await refused;
    assert.match(address.host, /^stream-\d+$/);
    assert.equal(error?.code, "PEER_UNKNOWN_INFO_HASH");
    assert.ok((await left)[1] !== undefined);
    // Nobody is at the other end of these.
    const [silent, quiet] = [deadEnd(), deadEnd()];
    const out = once(torrent, "outOfPeers");
    const timedOut = once(seeder.session, "peerRefused") as Promise<Told>;
    const stopped = once(torrent, "peerDisconnected") as Promise<Told>;
    seeder.session.accept(silent);
    torrent.addPeer(quiet);
    assert.equal((await timedOut)[1]?.code, "PEER_TIMEOUT");
    assert.equal((await stopped)[1]?.code, "PEER_TIMEOUT");
    await out;
    await closeWhole(session);
    await closeWhole(seeder.session);
  });

  it("is kept out by a filter and by the bound on connections, and is destroyed", async () => {
    const shared = await makeShared(BYTES);
    const seeder = await seed(shared, { maxPeers: 1 });
    const session = new Session({ ipFilter: AddressRanges.parse("127.0.0.2/32"), maxPeers: 1 });
    const torrent = await session.add(shared.metainfo, { storage: "null", onBlock: () => {} });
    const at = (stream: Duplex, remoteAddress: string): Duplex =>
      Object.assign(stream, { remoteAddress, remotePort: 5 });
    const told: Told[] = [];
    torrent.on("peerDisconnected", (...args) => told.push(args));
    session.on("peerRefused", (...args) => told.push(args));
    const filtered = [deadEnd(), deadEnd()];
    torrent.addPeer(at(entryOf(filtered, 0), "127.0.0.2"));
    session.accept(at(entryOf(filtered, 1), "127.0.0.2"));
    const [near, far] = duplexPair();
    seeder.session.accept(far);
    torrent.addPeer(near);
    await until(() => torrent.peers().length === 1);
    const tooMany = [deadEnd(), deadEnd()];
    torrent.addPeer(entryOf(tooMany, 0));
    session.accept(at(entryOf(tooMany, 1), "127.0.0.3"));
    await until(() => told.length === 4);
    assert.deepEqual(
      told.map(([, error]) => error?.code),
      ["PEER_REFUSED", "PEER_REFUSED", "PEER_TOO_MANY", "PEER_TOO_MANY"],
    );
    assert.deepEqual(entryOf(told, 3)[0], { host: "127.0.0.3", port: 5 });
    for (const each of [...filtered, ...tooMany]) assert.ok(each.destroyed);
    assert.equal(torrent.peers().length, 1, "who is here stays");
    await session.close();
    await closeWhole(seeder.session);
  });
});
