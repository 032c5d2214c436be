// Peers that take what they asked for as slowly as they can, over virtual time: those that read have half of the speed that they have beside
// idle ones. And where our own link is the slow one, it carries as much as it can.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Crowd, STEP_MS } from "../../bench/load/crowd.js";
import { LoadLoop } from "../../bench/load/load-loop.js";
import { sessionCoreOf } from "../../src/client/session/session.js";
import { createTorrentFile, type Metainfo, parseMetainfo, Session, type Torrent } from "../../src/index.js";
import { addressesOf } from "../support/crowd-scene.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { type Machine, SimulatedNetwork, type Wire } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** A disk that costs nothing, where there is one. */
const MEMORY_FOLDER = "/dev/shm";
const PORT = 6881;
const BYTES = 8 * 1024 * 1024;
/** The windows are small, as whoever reads slowly would have them: large ones are filled at its cost, and ours, once. */
const WIRE: Wire = { delayMs: 10, bytesPerMs: 10_000, windowBytes: 16_384 };
const READERS = 300;
const SLOTS = 8;
const END_MS = 30 * 60_000;
/** Ten times as long as it takes beside idle ones. */
const DONE_MS = 5 * 60_000;

describe(`peers that read slowly, over virtual time (SEED=${SEED})`, { timeout: 300_000 }, () => {
  const folder = temporaryFolder(after, existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir());
  let metainfo: Metainfo;

  before(async () => {
    writeFileSync(join(folder, "data.bin"), bytesOf(3, BYTES));
    metainfo = parseMetainfo(await createTorrentFile(join(folder, "data.bin"), { pieceLength: 32_768 }));
  });

  interface Place {
    readonly network: SimulatedNetwork;
    readonly session: Session;
    readonly seed: Torrent;
    /** Lets so much time pass. */
    pass(ms: number): Promise<void>;
  }

  /** A seed with such a link, and a crowd that comes to it from as many networks. */
  async function placeOf(bytesPerMs: number, kind: string, connections: number): Promise<Place> {
    const network = new SimulatedNetwork(SEED);
    const listening = { host: "10.0.0.1", port: PORT };
    const machine = network.addMachine(listening.host, { ...WIRE, bytesPerMs });
    const session = new Session({ maxPeersPerAddress: connections + 1, uploadSlots: SLOTS }, machine);
    await network.until(session.listen(listening), END_MS, "a session listens");
    const seed = session.addInBackground(metainfo, { directory: folder, readOnly: true });
    await network.until(seed.ready, END_MS, "a torrent opens");
    network.afterTurn = ({ host }) => {
      if (host === listening.host) sessionCoreOf(session).checkInvariants();
    };
    const crowded: Machine = network.addMachine("10.0.0.99", WIRE);
    network.giveAddresses(crowded, addressesOf(connections));
    const loop = new LoadLoop(crowded.binding);
    const nowMs = (): number => network.nowMs;
    const crowd = new Crowd({
      ...{ loop, target: listening, metainfo, connections, seed: SEED, kinds: [kind], nowMs },
    });
    crowded.ground.every(STEP_MS, () => crowd.step());
    await network.run(() => crowd.made >= connections, END_MS, "the crowd has come");
    const pass = async (ms: number): Promise<void> => {
      const untilMs = network.nowMs + ms;
      await network.run(() => network.nowMs >= untilMs, ms + 1000, "time passes");
    };
    return { network, session, seed, pass };
  }

  /** Milliseconds until somebody who behaves, and comes late, has all of it. */
  async function msBeside(kind: string): Promise<number> {
    const { network, session, pass } = await placeOf(500, kind, READERS);
    // By then each of them had a slot once, and showed how it reads.
    await pass(60_000);
    const leecher = new Session({}, network.addMachine("10.0.0.2", WIRE));
    const torrent = leecher.addInBackground(metainfo, { storage: "memory" });
    await network.until(torrent.ready, END_MS, "a torrent opens");
    const beganMs = network.nowMs;
    torrent.addPeer({ host: "10.0.0.1", port: PORT });
    await network.until(torrent.done, DONE_MS, "the last piece");
    const tookMs = network.nowMs - beganMs;
    for (const each of [session, leecher]) {
      await network.until(each.close(), END_MS, "a session closes");
      assert.deepEqual(sessionCoreOf(each).memory.pool.heldByHolder(), {}, "all slots are home");
    }
    return tookMs;
  }

  it("leave half of the speed that there is beside idle ones", async (t) => {
    const [idleMs, tookMs] = [await msBeside("idle"), await msBeside("readsSlowly")];
    t.diagnostic(`${idleMs} ms beside idle ones, ${tookMs} beside those that read slowly`);
    assert.ok(tookMs <= 2 * idleMs, `${tookMs} ms, ${idleMs} beside idle ones (SEED=${SEED})`);
  });

  it("are not those that have to wait for a slow link, which carries as much as it can", async () => {
    const bytesPerMs = 40;
    const { network, session, seed, pass } = await placeOf(bytesPerMs, "idle", 1);
    const leechers: Session[] = [];
    for (let index = 0; index < 2 * SLOTS; index++) {
      const leecher = new Session({}, network.addMachine(`10.0.1.${index + 1}`, WIRE));
      leechers.push(leecher);
      const torrent = leecher.addInBackground(metainfo, { storage: "memory" });
      await network.until(torrent.ready, END_MS, "a torrent opens");
      torrent.addPeer({ host: "10.0.0.1", port: PORT });
    }
    await pass(20_000);
    const before = seed.counters().sentPayloadBytes;
    const passedMs = 120_000;
    await pass(passedMs);
    const sent = seed.counters().sentPayloadBytes - before;
    assert.ok(sent >= 0.9 * bytesPerMs * passedMs, `${sent} bytes (SEED=${SEED})`);
    for (const each of [session, ...leechers]) await network.until(each.close(), END_MS, "a session closes");
  });
});
