// What a player does, over virtual time: it opens a file, seeks to the middle, and there are many of them. What it waits for comes before all
// else, however much was asked for before.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, describe, it } from "node:test";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  createTorrentFile,
  parseMetainfo,
  Session,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { entryOf } from "../support/required.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? 5);
const PIECE = 65_536;
const PIECES = 160;
const DATA = bytesOf(8, PIECES * PIECE - 777);
/** A seed's wire: a piece in 0.3 s. */
const BYTES_PER_MS = 200;

/** A download of all that there is, from two seeds. */
class World {
  readonly network = new SimulatedNetwork(SEED);
  readonly #sessions: Session[] = [];
  readonly torrent: Torrent;

  private constructor(network: SimulatedNetwork, sessions: Session[], torrent: Torrent) {
    this.network = network;
    this.#sessions = sessions;
    this.torrent = torrent;
  }

  static async make(options: TorrentOptions = {}): Promise<World> {
    const folder = temporaryFolder(after);
    writeFileSync(join(folder, "film"), DATA);
    const metainfo = parseMetainfo(await createTorrentFile(join(folder, "film"), { pieceLength: PIECE }));
    const network = new SimulatedNetwork(SEED);
    const sessions: Session[] = [];
    const peers = ["10.0.0.1", "10.0.0.2"].map((host) => ({ host, port: 6881 }));
    for (const { host } of [...peers, { host: "10.0.0.3" }]) {
      const machine = network.addMachine(host, {
        delayMs: 10,
        bytesPerMs: BYTES_PER_MS,
        windowBytes: 65_536,
      });
      sessions.push(new Session({ poolBytes: 4_194_304 }, machine));
    }
    const [first, second, session] = sessions as [Session, Session, Session];
    network.afterTurn = () => {
      for (const each of sessions) sessionCoreOf(each).checkInvariants();
    };
    for (const [index, seeder] of [first, second].entries()) {
      await network.until(seeder.listen(peers[index]), 1000, "a session listens");
      const seeding = seeder.addInBackground(metainfo, { directory: folder, readOnly: true });
      await network.until(seeding.ready, 10_000, "the seed opens");
    }
    const torrent = session.addInBackground(metainfo, { storage: "memory", peers, ...options });
    await network.until(torrent.ready, 10_000, "the download opens");
    return new World(network, sessions, torrent);
  }

  get payload(): number {
    return this.torrent.counters().payloadBytes;
  }

  pass(ms: number): Promise<void> {
    const untilMs = this.network.nowMs + ms;
    return this.network.run(() => this.network.nowMs >= untilMs, ms + 1000, "time passes");
  }

  /** The first bytes of a stream. */
  async first(stream: Readable): Promise<Buffer> {
    await this.network.until(once(stream, "readable"), 60_000, "the first bytes are there");
    return stream.read() as Buffer;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) {
      await this.network.until(session.close(), 60_000, "a session closes");
      assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
    }
  }
}

describe(`A player in a simulated network (SEED=${SEED})`, { timeout: 120_000 }, () => {
  it("has its first bytes after the first pieces, and nothing else was fetched", async () => {
    const world = await World.make({ select: [] });
    const stream = world.torrent.createReadStream(0, { aheadBytes: 2 * PIECE });
    const bytes = await world.first(stream);
    assert.ok(bytes.equals(DATA.subarray(0, bytes.length)));
    // The two that it reads ahead, and one more from when it has the first.
    assert.ok(world.payload <= 3 * PIECE, `${world.payload} bytes`);
    stream.destroy();
    await world.close();
  });

  it("is served where it seeks to before the background, however much of that was asked for", async () => {
    const world = await World.make();
    // Until so much is outstanding that it would take seconds.
    await world.pass(8000);
    const outstanding = world.torrent.peers().map(({ requestsOutstanding }) => requestsOutstanding);
    assert.ok(Math.min(...outstanding) >= 24, `${outstanding}`);
    const [start] = [100 * PIECE + 5000];
    assert.equal(world.torrent.have.has(100), false);
    const before = world.payload;
    const stream = world.torrent.createReadStream(0, { start, aheadBytes: 2 * PIECE });
    const bytes = await world.first(stream);
    assert.ok(bytes.equals(DATA.subarray(start, start + bytes.length)));
    // What was under way, the piece itself, and what is read ahead: not the two megabytes that had been asked for.
    assert.ok(world.payload - before <= 5 * PIECE, `${world.payload - before} bytes came first`);
    stream.destroy();
    await world.network.until(world.torrent.done, 120_000, "the background goes on");
    const { wastedBytes } = world.torrent.counters();
    assert.ok(wastedBytes <= 4 * PIECE, `${wastedBytes} bytes came twice`);
    await world.close();
  });

  it("begins somewhere else fifty times in a second, and the rest comes as it would without", async () => {
    const spent = async (seeks: boolean): Promise<number> => {
      const world = await World.make();
      const { network, torrent } = world;
      let isDone = false;
      const done = torrent.done.then(() => {
        isDone = true;
      });
      const watch = async (): Promise<void> => {
        for (let piece = 0; !isDone; piece = (piece + 37) % (PIECES - 1)) {
          const stream = seeks ? torrent.createReadStream(0, { start: piece * PIECE }) : undefined;
          await world.pass(20);
          stream?.destroy();
        }
      };
      const since = network.nowMs;
      await network.until(Promise.all([done, watch()]), 300_000, "all of it is here");
      const ms = network.nowMs - since;
      await world.close();
      return ms;
    };
    const [without, beside] = [await spent(false), await spent(true)];
    assert.ok(beside <= 1.5 * without, `${beside} ms in place of ${without}`);
  });

  it("is one of twenty, each of which has its bytes in order", async () => {
    const world = await World.make({ select: [] });
    const file = entryOf(world.torrent.files, 0);
    const reads = Array.from({ length: 20 }, (_, index) => {
      const start = ((index * 37) % 150) * PIECE + index * 1000;
      return { start, bytes: file.arrayBuffer({ start, end: start + 99_999 }) };
    });
    for (const { start, bytes } of reads) {
      const got = Buffer.from(await world.network.until(bytes, 120_000, "a reader has its bytes"));
      assert.ok(got.equals(DATA.subarray(start, start + 100_000)), `from ${start}`);
    }
    assert.ok(world.payload <= 60 * PIECE, `${world.payload} bytes for all of them`);
    await world.close();
  });
});

describe("A file of a torrent", { timeout: 60_000 }, () => {
  it("is read whole, in a loop, as text, and in part; and is too large for one buffer", async () => {
    const world = await World.make({ select: [] });
    const file = entryOf(world.torrent.files, 0);
    assert.deepEqual([file.name, file.size, file.index], ["film", DATA.length, 0]);
    const part = await world.network.until(file.arrayBuffer({ start: 10, end: 9 }), 1000, "nothing is read");
    assert.equal(part.byteLength, 0);
    let got = 0;
    const loop = async (): Promise<void> => {
      for await (const bytes of file) {
        assert.ok(DATA.subarray(got, got + bytes.length).equals(bytes));
        got += bytes.length;
        if (got > 3 * PIECE) break;
      }
    };
    await world.network.until(loop(), 60_000, "some of it is read");
    const whole = await world.network.until(file.arrayBuffer(), 120_000, "all of it is read");
    assert.ok(DATA.equals(Buffer.from(whole)));
    await assert.rejects(file.arrayBuffer({ start: 0, end: 2 ** 40 }), {
      code: "USAGE_OPTION",
    });
    await world.close();
  });
});
