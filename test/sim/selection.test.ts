// What is wanted of a torrent changes again and again while it comes, over virtual time, from a seed: everything counts right after
// every turn, and what is wanted in the end comes.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sessionCoreOf } from "../../src/client/session/session.js";
import { createTorrentFile, parseMetainfo, Session } from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? 7);
const PIECE = 32_768;
const LENGTH = 60 * PIECE + 5;

describe("selections in a simulated network", { timeout: 120_000 }, () => {
  it(`changes forty times, and all comes in the end (SEED=${SEED})`, async () => {
    const folder = temporaryFolder(after);
    const data = bytesOf(6, LENGTH);
    writeFileSync(join(folder, "data"), data);
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "data"), { pieceLength: PIECE }));
    const network = new SimulatedNetwork(SEED);
    const sessions: Session[] = [];
    const addSession = async (host: string, bytesPerMs: number): Promise<Session> => {
      const machine = network.addMachine(host, { delayMs: 5, bytesPerMs, windowBytes: 65_536 });
      const session = new Session({ poolBytes: 1_048_576 }, machine);
      sessions.push(session);
      await network.until(session.listen({ host, port: 6881 }), 1000, "a session listens");
      return session;
    };
    network.afterTurn = () => {
      for (const session of sessions) sessionCoreOf(session).checkInvariants();
    };
    const peers = ["10.0.0.1", "10.0.0.2"].map((host) => ({ host, port: 6881 }));
    for (const { host } of peers) {
      const seeder = await addSession(host, 300);
      const seeding = seeder.addInBackground(metainfo, { directory: folder, readOnly: true });
      await network.until(seeding.ready, 10_000, "the seed opens");
    }
    const session = await addSession("10.0.0.3", 300);
    const torrent = session.addInBackground(metainfo, { storage: "memory", peers });
    await network.until(torrent.ready, 10_000, "the download opens");
    for (let change = 0; change < 40; change++) {
      const pieces = Array.from({ length: network.pick(1, 30) }, () => network.pick(0, 60));
      torrent.select({ pieces, priority: network.pick(0, 2) === 0 ? network.pick(1, 7) : 0 });
      const untilMs = network.nowMs + network.pick(0, 120);
      await network.run(() => network.nowMs >= untilMs, 1000, "time passes");
    }
    torrent.select({ pieces: Array.from({ length: 61 }, (_, piece) => piece), priority: 1 });
    await network.until(torrent.done, 120_000, "all that is wanted comes");
    assert.equal(torrent.have.isFull, true);
    for (let piece = 0; piece < 61; piece++) {
      const length = Math.min(16_384, LENGTH - piece * PIECE);
      const lease = await network.until(torrent.read(piece, 0, length), 1000, "a block is read");
      assert.ok(data.subarray(piece * PIECE, piece * PIECE + length).equals(lease.bytes), `piece ${piece}`);
      lease.release();
    }
    for (const each of sessions) {
      await network.until(each.close(), 10_000, "a session closes");
      assert.deepEqual(sessionCoreOf(each).memory.pool.heldByHolder(), {});
    }
  });
});
