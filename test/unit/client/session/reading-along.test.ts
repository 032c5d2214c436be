// What a program reads of a running session: figures of sessions, torrents and connections, dumps for bug reports, channels, and metrics.

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { Session, UsageError } from "../../../../src/index.js";
import { closeWhole, makeShared, nowhere, seed } from "./loopback.js";

const TIMEOUT = { timeout: 90_000 };
const LENGTH = 500_000;

/** What JSON keeps of a value: what it does not is a mistake of whoever made it. */
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("stats()", TIMEOUT, () => {
  it("of a session, a torrent and a connection are plain numbers that agree", async () => {
    const shared = await makeShared(LENGTH);
    const seeder = await seed(shared);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    torrent.addPeer(seeder.address);
    const [, connection] = await once(torrent, "peerConnected");
    await torrent.done;
    const ofConnection = connection.stats();
    const ofTorrent = torrent.stats();
    const ofSession = session.stats();
    for (const stats of [ofConnection, ofTorrent, ofSession])
      for (const [name, value] of Object.entries(stats)) assert.equal(typeof value, "number", name);
    for (const { downloadedBytes } of [ofConnection, ofTorrent, ofSession])
      assert.equal(downloadedBytes, LENGTH);
    assert.equal(ofConnection.receivedBlocks, Math.ceil(LENGTH / 16_384));
    assert.ok(ofConnection.receivedBytes > LENGTH && ofConnection.sentBytes > 0);
    assert.equal(ofConnection.pieces, Math.ceil(LENGTH / 65_536));
    assert.deepEqual([ofTorrent.piecesVerified, ofTorrent.piecesFailedTotal], [ofTorrent.pieceCount, 0]);
    assert.equal(seeder.torrent.stats().uploadedBytes, LENGTH);
    await closeWhole(session);
    assert.equal(connection.stats().downloadedBytes, LENGTH, "also when it has ended");
    await closeWhole(seeder.session);
  });
});

describe("session.dump()", TIMEOUT, () => {
  it("says what a bug report needs, as plain values", async () => {
    const shared = await makeShared(LENGTH);
    const seeder = await seed(shared);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    await torrent.done;
    const dump = seeder.session.dump();
    const [shown] = dump.torrents;
    assert.ok(shown !== undefined);
    assert.equal(shown.infoHash, shared.metainfo.infoHashHex);
    assert.equal(shown.progress.state, "seeding");
    assert.equal(shown.counters.sentPayloadBytes, LENGTH);
    assert.equal(shown.peers.length + dump.strangers.length, seeder.session.connectionCount);
    assert.equal(dump.slots.all * 16_384 <= seeder.session.poolBytes, true);
    assert.deepEqual(throughJson(throughJson(dump)), throughJson(dump));
    assert.equal(JSON.stringify(dump).includes(shared.folder), false, "folders are the user's");
    await closeWhole(session);
    await closeWhole(seeder.session);
    assert.deepEqual(seeder.session.dump().torrents, [], "also when the session is closed");
  });

  it("keeps no key of a tracker or a web seed", async () => {
    const shared = await makeShared(LENGTH);
    const session = new Session();
    const key = "d41d8cd98f00b204";
    const encoded = "%64%34%31%64%38cd98f00b204";
    const trackers = [
      `http://127.0.0.1:1/${key}/announce?auth=${key}`,
      `http://user:${key}@127.0.0.1:1/announce`,
      `http://127.0.0.1:1/${encoded}/announce`,
      `udp://127.0.0.1:1/announce?${key}`,
      key,
    ];
    const webSeeds = [`http://me:${key}@127.0.0.1:1/files/${key}/`];
    const metainfo = { ...shared.metainfo, webSeeds };
    const torrent = session.addInBackground(metainfo, nowhere({ trackers }));
    // Whatever answers, or does not, over UDP takes longer, and nothing of it is waited for.
    const waitsFor = new Set(trackers.filter((url) => !url.startsWith("udp")));
    await new Promise<void>((resolve) => {
      torrent.on("tracker", ({ url, error }) => {
        if (error !== undefined) waitsFor.delete(url);
        if (waitsFor.size === 0) resolve();
      });
    });
    const [shown] = session.dump().torrents;
    assert.equal(shown?.trackers.length, trackers.length);
    const text = JSON.stringify(shown);
    for (const secret of [key, encoded, "user:", "me:"]) assert.equal(text.includes(secret), false, text);
    assert.ok(text.includes("http://127.0.0.1:1/…/announce?…"), text);
    await closeWhole(session);
  });

  it("is bounded, whatever was added", async () => {
    const session = new Session();
    const names = Array.from({ length: 100 }, (_, index) => index.toString(16).padStart(40, "0"));
    const longName = "x".repeat(10_000);
    for (const name of names)
      session
        .addInBackground(`magnet:?xt=urn:btih:${name}&dn=${longName}`, nowhere({ trackers: false }))
        .ready.catch(() => {});
    const dump = session.dump();
    assert.equal(dump.torrents.length + dump.torrentsLeftOut, 100);
    assert.ok(dump.torrentsLeftOut > 0);
    assert.ok(JSON.stringify(dump).length < 500_000);
    await closeWhole(session);
  });
});

describe("diagnostics channels", TIMEOUT, () => {
  it("tell what happens to sessions, torrents, pieces and peers", async () => {
    const shared = await makeShared(LENGTH);
    const seeder = await seed(shared);
    const told: { name: string | symbol; message: Record<string, unknown> }[] = [];
    const note = (message: unknown, name: string | symbol): void => {
      told.push({ name, message: message as Record<string, unknown> });
    };
    const names = ["session", "torrent", "piece:verified", "peer:connected", "peer:disconnected"].map(
      (name) => `scatterwire:${name}`,
    );
    for (const name of names) subscribe(name, note);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    await torrent.done;
    if (torrent.connections().length > 0) {
      const left = once(torrent, "peerDisconnected");
      await closeWhole(seeder.session);
      await left;
    }
    await closeWhole(session);
    for (const name of names) unsubscribe(name, note);
    await closeWhole(seeder.session);
    const ours = told.filter(
      ({ message }) => message["torrent"] === torrent || message["session"] === session,
    );
    const of = (name: string): Record<string, unknown>[] =>
      ours.filter((each) => each.name === `scatterwire:${name}`).map(({ message }) => message);
    assert.deepEqual(
      of("session").map(({ state }) => state),
      ["open", "closed"],
    );
    assert.deepEqual(
      of("torrent").map(({ from, state }) => [from, state]),
      [
        [undefined, "checking"],
        ["checking", "downloading"],
        ["downloading", "seeding"],
        ["seeding", "closed"],
      ],
    );
    assert.deepEqual(
      of("piece:verified")
        .map(({ piece }) => Number(piece))
        .sort((one, other) => one - other),
      [...Array(Math.ceil(LENGTH / 65_536)).keys()],
    );
    assert.equal(of("peer:connected").length, 1);
    assert.equal(of("peer:disconnected").length, 1);
  });

  it("make nothing where nobody has subscribed", async () => {
    const shared = await makeShared(LENGTH);
    const session = new Session();
    const torrent = await session.add(shared.metainfo, nowhere());
    const { torrentCoreOf } = await import("../../../../src/client/torrent/torrent.js");
    const core = torrentCoreOf(torrent);
    const before = core.room.userCalls.length;
    core.tell("piece", 0);
    assert.equal(core.room.userCalls.length, before);
    const note = (): void => {};
    subscribe("scatterwire:piece:verified", note);
    core.tell("piece", 0);
    assert.equal(core.room.userCalls.length, before + 1);
    unsubscribe("scatterwire:piece:verified", note);
    await closeWhole(session);
  });
});

describe("metrics", TIMEOUT, () => {
  it("stand in the program's registry while the session is open", async () => {
    const shared = await makeShared(LENGTH);
    const registry = new Registry();
    const seeder = await seed(shared, { metricsRegistry: registry });
    const session = new Session({ metricsRegistry: registry });
    const torrent = await session.add(shared.metainfo, nowhere({ peers: [seeder.address] }));
    await torrent.done;
    const text = await registry.metrics();
    assert.match(text, new RegExp(`^scatterwire_downloaded_bytes_total ${LENGTH}$`, "m"));
    assert.match(text, new RegExp(`^scatterwire_uploaded_bytes_total ${LENGTH}$`, "m"), "of both sessions");
    assert.match(text, /^# TYPE scatterwire_downloaded_bytes_total counter$/m);
    assert.match(text, /^scatterwire_torrents\{state="seeding"\} 2$/m);
    await closeWhole(session);
    const after = await registry.metrics();
    assert.match(
      after,
      new RegExp(`^scatterwire_downloaded_bytes_total ${LENGTH}$`, "m"),
      "a total never shrinks",
    );
    await closeWhole(seeder.session);
    assert.equal((await registry.metrics()).trim(), "", "nothing is left in the registry");
  });

  it("are refused where the registry has others of these names, and hold nothing then", async () => {
    const registry = new Registry();
    const name = "scatterwire_jobs";
    const taken = {
      name,
      help: "x",
      type: "gauge",
      get: async () => ({ name, values: [] }),
      reset: () => {},
    };
    registry.registerMetric(taken as never);
    assert.throws(
      () => new Session({ metricsRegistry: registry }),
      (error: unknown) => error instanceof UsageError && error.code === "USAGE_OPTION",
    );
    registry.removeSingleMetric(name);
    await closeWhole(new Session({ metricsRegistry: registry }));
  });
});
