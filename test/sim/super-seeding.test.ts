// Super seeding (BEP 16) over virtual time: one seed that sends a copy in 13.4 s, and peers that have all the bandwidth they like. How many
// copies the seed sends beside what it sends when it seeds plainly, and that peers who give nothing on keep nobody from the rest.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  createTorrentFile,
  type Metainfo,
  type PeerAddress,
  parseMetainfo,
  Session,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? 1);
const PIECES = 128;
const PIECE_BYTES = 65_536;
const BYTES = PIECES * PIECE_BYTES;
const COPY_MS = 13_400;
const PORT = 6881;
const MEMORY_FOLDER = "/dev/shm";

interface SwarmRun {
  readonly copies: number;
  /** Times that one copy takes. */
  readonly times: number;
}

describe(`super seeding, over virtual time (SEED=${SEED})`, { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after, existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir());
  let metainfo: Metainfo;

  before(async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "data.bin"), bytesOf(1, BYTES));
    metainfo = parseMetainfo(await createTorrentFile(join(folder, "data.bin"), { pieceLength: PIECE_BYTES }));
  });

  /** One seed and `leechers` that know each other, but for the last `loners`, who know the seed alone and let nobody in. */
  async function run(leechers: number, loners: number, superSeeding: boolean): Promise<SwarmRun> {
    const network = new SimulatedNetwork(SEED);
    const seedBytesPerMs = BYTES / COPY_MS;
    const sessions: Session[] = [];
    const torrents: Torrent[] = [];
    const addresses: PeerAddress[] = [];
    network.afterTurn = ({ host }) => {
      if (host === addresses[0]?.host && sessions[0] !== undefined)
        sessionCoreOf(sessions[0]).checkInvariants();
    };
    for (let index = 0; index <= leechers; index++) {
      const isSeed = index === 0;
      const host = `10.0.0.${index + 1}`;
      const machine = network.addMachine(host, {
        delayMs: 20,
        bytesPerMs: isSeed ? seedBytesPerMs : 30 * seedBytesPerMs,
        windowBytes: isSeed ? 65_536 : 1_048_576,
      });
      const session = new Session({ poolBytes: 8 * 1_048_576 }, machine);
      sessions.push(session);
      addresses.push(await network.until(session.listen({ host, port: PORT }), 1000, "a session listens"));
      const place: TorrentOptions = isSeed
        ? { directory: folder, readOnly: true, superSeeding }
        : { storage: "memory" };
      const torrent = session.addInBackground(metainfo, place);
      await network.until(torrent.ready, 10_000, "a torrent opens");
      torrents.push(torrent);
    }
    const [seed, ...others] = torrents;
    assert.ok(seed !== undefined);
    assert.equal(seed.isSuperSeeding, superSeeding);
    for (const [index, torrent] of others.entries()) {
      const isLoner = index >= leechers - loners;
      // Who gives nothing on is told of by nobody, and lets nobody have anything.
      if (isLoner) torrent.setRateLimits({ maxUploadBytesPerSecond: 1 });
      for (const address of addresses.slice(0, isLoner ? 1 : index + 1)) torrent.addPeer(address);
    }
    const beginMs = network.nowMs;
    const generous = others.slice(0, leechers - loners);
    await network.run(() => generous.every(({ state }) => state === "seeding"), 600_000, "all are complete");
    const times = (network.nowMs - beginMs) / COPY_MS;
    const copies = seed.counters().sentPayloadBytes / BYTES;
    await network.run(() => others.every(({ state }) => state === "seeding"), 600_000, "the others are, too");
    await network.run(() => !seed.isSuperSeeding, 10_000, "the whole is out: it seeds like any other");
    for (const session of sessions) await network.until(session.close(), 10_000, "a session closes");
    return { copies, times };
  }

  it("sends about one copy to eight peers, and less than plain seeding", async (t) => {
    const [plain, superSeeded] = [await run(8, 0, false), await run(8, 0, true)];
    for (const [name, { copies, times }] of Object.entries({ plain, superSeeded }))
      t.diagnostic(`${name}: ${copies.toFixed(3)} copies sent, ${times.toFixed(2)} times the time of one`);
    assert.ok(superSeeded.copies < 1.1, `${superSeeded.copies} copies`);
    assert.ok(superSeeded.copies < plain.copies, `${plain.copies} copies without it`);
    assert.ok(superSeeded.times < 2, `${superSeeded.times} times the time of one copy`);
  });

  it("gives all to one peer that is alone", async (t) => {
    const { copies, times } = await run(1, 0, true);
    t.diagnostic(`${copies.toFixed(3)} copies sent, ${times.toFixed(2)} times the time of one`);
    assert.ok(copies < 1.01 && times < 2);
  });

  it("is not held up by peers that give nothing on", async (t) => {
    const { copies, times } = await run(8, 4, true);
    t.diagnostic(`${copies.toFixed(3)} copies sent, ${times.toFixed(2)} times the time of one`);
    assert.ok(times < 10, `${times} times the time of one copy`);
  });
});
