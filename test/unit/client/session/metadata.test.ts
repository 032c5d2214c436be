// A torrent of which only the info hash is known at first: its metadata is handed in late, over real sockets.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { torrentCoreOf } from "../../../../src/client/torrent/torrent.js";
import { parseMagnet, Session } from "../../../../src/index.js";
import { temporaryFolder } from "../../../support/data.js";
import { entryOf } from "../../../support/required.js";
import { closeWhole, makeShared, nowhere, type Shared, seed } from "./loopback.js";
import { driveClock, drivenSession, shakeHands } from "./raw-peers.js";

const TIMEOUT = { timeout: 90_000 };

const linkOf = ({ metainfo }: Shared, more = "") => `magnet:?xt=urn:btih:${metainfo.infoHashHex}${more}`;

describe("A torrent before its metadata", TIMEOUT, () => {
  it("connects first, and downloads with the same connections once the metadata is there", async () => {
    const shared = await makeShared(3_000_000);
    const seeder = await seed(shared);
    const leecher = new Session();
    const directory = temporaryFolder(after);
    const link = linkOf(shared, `&dn=called&x.pe=${seeder.address.host}:${seeder.address.port}`);
    const torrent = leecher.addInBackground(link, { directory });
    assert.deepEqual([torrent.state, torrent.metainfo, torrent.name], ["metadata", undefined, "called"]);
    await once(torrent, "peerConnected");
    assert.equal(torrent.peers()[0]?.pieces, 0);
    assert.equal(torrent.progress().pieceCount, 0);
    assert.deepEqual(torrent.have.count, 0);
    await assert.rejects(torrent.read(0, 0, 1), { code: "USAGE_STATE" });
    const states: string[] = [];
    let connections = 1;
    torrent.on("peerConnected", () => connections++);
    torrent.on("metadata", ({ name }) => states.push(`${torrent.state} ${name}`));
    torrent.on("ready", () => states.push("ready"));
    const other = shared.metainfo.info.slice();
    other[5] = entryOf(other, 5) ^ 1;
    assert.equal(torrentCoreOf(torrent).metadataArrived(other), false);
    assert.equal(torrent.state, "metadata");
    assert.equal(torrentCoreOf(torrent).metadataArrived(shared.metainfo.info), true);
    assert.equal(torrentCoreOf(torrent).metadataArrived(shared.metainfo.info), false);
    assert.equal(torrent.metainfo?.infoHashHex, shared.metainfo.infoHashHex);
    await torrent.done;
    assert.equal(connections, 1);
    assert.deepEqual(states, ["checking data.bin", "ready"]);
    assert.ok(readFileSync(join(directory, "data.bin")).equals(shared.data));
    await closeWhole(leecher);
    await closeWhole(seeder.session);
  });

  it("takes what is on disk, and seeds it to who came before the metadata", async () => {
    const shared = await makeShared(1_000_000);
    const session = new Session();
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = session.addInBackground(parseMagnet(linkOf(shared)), { directory: shared.folder });
    const leecher = new Session();
    const download = await leecher.add(shared.metainfo, nowhere({ peers: [address] }));
    await once(torrent, "peerConnected");
    assert.equal(download.progress().piecesVerified, 0);
    torrentCoreOf(torrent).metadataArrived(shared.metainfo.info);
    await torrent.ready;
    assert.equal(torrent.state, "seeding");
    await download.done;
    assert.equal(torrent.counters().sentPayloadBytes, 1_000_000);
    await closeWhole(leecher);
    await closeWhole(session);
  });

  it("add() waits for it; a magnet that is closed or aborted rejects, and leaves nothing", async () => {
    const shared = await makeShared(100_000);
    const session = new Session();
    const aborted = session.add(linkOf(shared), nowhere({ signal: AbortSignal.abort("enough") }));
    await assert.rejects(aborted, { code: "ABORTED", cause: "enough" });
    const torrent = session.addInBackground(linkOf(shared), nowhere());
    assert.throws(() => session.addInBackground(shared.metainfo, nowhere()), { code: "USAGE_STATE" });
    await torrent.close();
    await assert.rejects(torrent.ready, { code: "ABORTED" });
    await assert.rejects(torrent.done, { code: "ABORTED" });
    await assert.rejects(session.add("magnet:?xt=urn:btih:5", nowhere()), { code: "USAGE_MAGNET" });
    await closeWhole(session);
  });

  it("fails when what has the right hash is no torrent that can be used", async () => {
    const info = Buffer.from("d4:name1:a12:piece lengthi16384e6:pieces0:6:lengthi0ee");
    const { createHash } = await import("node:crypto");
    const digest = createHash("sha1").update(info).digest("hex");
    const session = new Session();
    const torrent = session.addInBackground(`magnet:?xt=urn:btih:${digest}`, nowhere());
    const failed = once(torrent, "failed");
    assert.equal(torrentCoreOf(torrent).metadataArrived(info), true);
    const [error] = (await failed) as [{ code: string }];
    assert.equal(error.code, "METAINFO_MALFORMED");
    await assert.rejects(torrent.ready, { code: "METAINFO_MALFORMED" });
    await closeWhole(session);
  });
});

describe("Peers of a torrent without metadata", TIMEOUT, () => {
  before(driveClock);

  it("are few, since each may announce a long bitfield that has to be kept", async () => {
    const shared = await makeShared(100_000);
    const session = new Session({ maxPeersPerAddress: 1000 });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = session.addInBackground(linkOf(shared), nowhere());
    // The other places are for those that it looks for itself.
    for (let count = 0; count < 48; count++) await shakeHands(address, shared.metainfo.infoHash);
    const refused = once(session, "peerRefused");
    await shakeHands(address, shared.metainfo.infoHash);
    const [, error] = (await refused) as [unknown, { code: string }];
    assert.equal(error.code, "PEER_TOO_MANY");
    assert.equal(torrent.peers().length, 48);
    await closeWhole(session);
  });

  it("make room for others when they bring none of it", async () => {
    const shared = await makeShared(100_000);
    const { session, pass } = drivenSession({ maxPeersPerTorrent: 4, idleTimeoutMs: 3_600_000 });
    const address = await session.listen({ host: "127.0.0.1", port: 0 });
    const torrent = session.addInBackground(linkOf(shared), nowhere());
    for (let count = 0; count < 3; count++) await shakeHands(address, shared.metainfo.infoHash);
    assert.equal(torrent.peers().length, 3);
    pass(11_000);
    const refused: unknown[] = [];
    session.on("peerRefused", (_, { code }) => refused.push(code));
    const gone = once(torrent, "peerDisconnected");
    await shakeHands(address, shared.metainfo.infoHash);
    const [, error] = (await gone) as [unknown, { code: string }];
    assert.equal(error.code, "PEER_USELESS");
    assert.deepEqual(refused, []);
    assert.equal(torrent.peers().length, 3);
    await closeWhole(session);
  });
});
