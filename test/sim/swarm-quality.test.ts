// What a swarm makes of a slow seed, over virtual time: one seed that sends a copy in 13.4 s, and eight that know each other and have all
// the bandwidth they like. Were each piece sent by the seed once, all would be done in the time of one copy; whatever the seed sends
// twice comes on top. Each of these lost when it was found, in copies that the seed sent: 1.75 without taking over what another peer has
// at once, and with 1 MiB loaded ahead for whoever takes it slowly.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  createTorrentFile,
  type Metainfo,
  type PeerAddress,
  parseMetainfo,
  Session,
  type Torrent,
} from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? 1);
const PIECES = 512;
const PIECE_BYTES = 32_768;
const BYTES = PIECES * PIECE_BYTES;
const COPY_MS = 13_400;
const LEECHERS = 8;
const PORT = 6881;
const MEMORY_FOLDER = "/dev/shm";

describe(`a swarm around a slow seed, over virtual time (SEED=${SEED})`, { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after, existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir());
  let metainfo: Metainfo;

  before(async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "data.bin"), bytesOf(1, BYTES));
    metainfo = parseMetainfo(await createTorrentFile(join(folder, "data.bin"), { pieceLength: PIECE_BYTES }));
  });

  it("is complete in less than 1.6 times the time of one copy, and the seed sends fewer than 1.6 copies", async (t) => {
    const network = new SimulatedNetwork(SEED);
    const seedBytesPerMs = BYTES / COPY_MS;
    const sessions: Session[] = [];
    const torrents: Torrent[] = [];
    const addresses: PeerAddress[] = [];
    for (let index = 0; index <= LEECHERS; index++) {
      const isSeed = index === 0;
      const host = `10.0.0.${index + 1}`;
      const machine = network.addMachine(host, {
        delayMs: 0.1,
        bytesPerMs: isSeed ? seedBytesPerMs : 30 * seedBytesPerMs,
        windowBytes: isSeed ? 65_536 : 1_048_576,
      });
      const session = new Session({ poolBytes: 8 * 1_048_576 }, machine);
      sessions.push(session);
      addresses.push(await network.until(session.listen({ host, port: PORT }), 1000, "a session listens"));
      const place = isSeed ? { directory: folder, readOnly: true } : { storage: "memory" as const };
      const torrent = session.addInBackground(metainfo, place);
      await network.until(torrent.ready, 10_000, "a torrent opens");
      torrents.push(torrent);
    }
    const [seed, ...leechers] = torrents;
    assert.ok(seed !== undefined);
    const beginMs = network.nowMs;
    // Each knows those before it: so all are connected.
    for (const [index, torrent] of leechers.entries())
      for (const address of addresses.slice(0, index + 1)) torrent.addPeer(address);
    await network.run(() => leechers.every(({ state }) => state === "seeding"), 200_000, "all are complete");
    const times = (network.nowMs - beginMs) / COPY_MS;
    const copies = seed.counters().sentPayloadBytes / BYTES;
    t.diagnostic(`${times.toFixed(2)} times the time of one copy, ${copies.toFixed(2)} copies sent`);
    assert.ok(times < 1.6, `${times} times the time of one copy`);
    assert.ok(copies < 1.6, `${copies} copies were sent by the seed`);
    for (const session of sessions) await network.until(session.close(), 10_000, "a session closes");
  });
});
