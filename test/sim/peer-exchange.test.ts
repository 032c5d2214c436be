// Peer exchange among whole sessions over virtual time: a peer that knows one other comes to know the rest, unless the torrent is
// private.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { EXCHANGE_SOURCE } from "../../src/client/torrent/peer-source.js";
import { torrentCoreOf } from "../../src/client/torrent/torrent.js";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { entryOf } from "../support/required.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const WIRE = { delayMs: 20, bytesPerMs: 2000, windowBytes: 65_536 };
const PEERS = 6;

describe("peer exchange in a simulated network", { timeout: 120_000 }, () => {
  for (const isPrivate of [false, true]) {
    it(
      isPrivate ? "tells nobody of a private torrent's peers" : "connects everybody who knows one peer",
      async () => {
        const folder = temporaryFolder(after);
        writeFileSync(join(folder, "data"), bytesOf(5, 200_000));
        const options = { pieceLength: 65_536, private: isPrivate };
        const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), options));
        const network = new SimulatedNetwork(1);
        const sessions: Session[] = [];
        // Nobody has anything: so nobody is ever done, and lets go of others.
        for (let index = 1; index <= PEERS; index++) {
          const host = `10.0.0.${index}`;
          const session = new Session({}, network.addMachine(host, WIRE));
          sessions.push(session);
          await network.until(session.listen({ host, port: 6881 }), 1000, "a peer listens");
          const torrent = session.addInBackground(metainfo, { storage: "memory" });
          await network.until(torrent.ready, 10_000, "a torrent opens");
          if (index > 1) torrent.addPeer({ host: "10.0.0.1", port: 6881 });
        }
        const counts = (): number[] =>
          sessions.map((session) => entryOf([...session.torrents], 0).peers().length);
        const startedMs = network.nowMs;
        const isWhole = (): boolean => counts().every((count) => count === PEERS - 1);
        const hasPassed = (ms: number) => (): boolean => network.nowMs - startedMs > ms;
        if (isPrivate) await network.run(hasPassed(300_000), 310_000, "five minutes pass");
        else await network.run(isWhole, 300_000, "everybody is connected to everybody");
        if (isPrivate) assert.deepEqual(counts(), [PEERS - 1, ...Array(PEERS - 1).fill(1)]);
        for (const session of sessions) await network.until(session.close(), 10_000, "a session closes");
      },
    );
  }

  it("has us knock at a few ports of a machine in a minute, however many are named, and find who is there", async () => {
    const folder = temporaryFolder(after);
    writeFileSync(join(folder, "data"), bytesOf(5, 200_000));
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 65_536 }));
    const network = new SimulatedNetwork(1);
    const [victim, live] = ["10.0.0.9", "10.0.0.2"];
    network.addMachine(victim, WIRE);
    const seed = new Session({}, network.addMachine(live, WIRE));
    await network.until(seed.listen({ host: live, port: 6881 }), 1000, "a seed listens");
    const seeding = seed.addInBackground(metainfo, { directory: folder, readOnly: true });
    await network.until(seeding.ready, 10_000, "a seed opens");
    const session = new Session({}, network.addMachine("10.0.0.1", WIRE));
    const torrent = session.addInBackground(metainfo, { storage: "memory" });
    await network.until(torrent.ready, 10_000, "a torrent opens");
    let knocks = 0;
    torrent.on("peerDisconnected", ({ host }) => {
      if (host === victim) knocks++;
    });
    const named = Array.from({ length: 2000 }, (_, index) => ({ host: victim, port: 1 + index }));
    torrentCoreOf(torrent).swarm.bring(EXCHANGE_SOURCE, [...named, { host: live, port: 6881 }]);
    await network.until(torrent.done, 60_000, "the live one is found");
    const minutes = 5;
    const endMs = network.nowMs + minutes * 60_000;
    await network.run(() => network.nowMs >= endMs, minutes * 61_000, "minutes pass");
    // Eight of them may be under way when the eighth has failed.
    assert.ok(knocks > 0 && knocks <= 16 * (minutes + 1), `${knocks} knocks`);
    for (const each of [session, seed]) await network.until(each.close(), 10_000, "a session closes");
  });

  it("tries few of those that peers name while pieces come, and all of them at once when none do", async () => {
    const folder = temporaryFolder(after);
    writeFileSync(join(folder, "data"), bytesOf(5, 6_000_000));
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: 65_536 }));
    const network = new SimulatedNetwork(1);
    const slow = { ...WIRE, bytesPerMs: 200 };
    const seed = new Session({}, network.addMachine("10.0.0.2", slow));
    await network.until(seed.listen({ host: "10.0.0.2", port: 6881 }), 1000, "a seed listens");
    const seeding = seed.addInBackground(metainfo, { directory: folder, readOnly: true });
    await network.until(seeding.ready, 10_000, "a seed opens");
    const session = new Session({}, network.addMachine("10.0.0.1", WIRE));
    const torrent = session.addInBackground(metainfo, { storage: "memory" });
    await network.until(torrent.ready, 10_000, "a torrent opens");
    torrent.addPeer({ host: "10.0.0.2", port: 6881 });
    await network.run(() => torrent.progress().piecesVerified >= 4, 20_000, "pieces come");
    await network.run(hasPassed(network, 2000), 3000, "a tick sees them");
    let knocks = 0;
    torrent.on("peerDisconnected", ({ host }) => {
      if (host.startsWith("10.1.")) knocks++;
    });
    const dead = Array.from({ length: 600 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    for (const host of dead) network.addMachine(host, WIRE);
    const named = dead.map((host) => ({ host, port: 6881 }));
    torrentCoreOf(torrent).swarm.bring(EXCHANGE_SOURCE, named);
    await network.run(hasPassed(network, 5000), 6000, "seconds pass");
    assert.ok(torrent.progress().piecesVerified < metainfo.pieces.length / 20, "pieces still come");
    assert.ok(knocks > 0 && knocks <= 6 * 16, `${knocks} knocks in five seconds`);
    await network.until(seed.close(), 10_000, "the seed leaves");
    const before = knocks;
    await network.run(hasPassed(network, 12_000), 13_000, "nothing comes for a while");
    assert.ok(knocks - before > 500, `${knocks - before} knocks when pieces are lacking`);
    await network.until(session.close(), 10_000, "a session closes");
  });
});

/** True once so much time has passed since now. */
function hasPassed(network: SimulatedNetwork, ms: number): () => boolean {
  const endMs = network.nowMs + ms;
  return () => network.nowMs >= endMs;
}
