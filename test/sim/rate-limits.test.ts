// Rate limits over virtual time: whole sessions, whose wires carry far more than they are allowed. What passed in ten seconds is within
// five per cent of what was allowed, no tenth of a second has much more than its part, and nobody is let go for what we held back.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Crowd, STEP_MS } from "../../bench/load/crowd.js";
import { LoadLoop } from "../../bench/load/load-loop.js";
import { sessionCoreOf } from "../../src/client/session/session.js";
import {
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  Session,
  type SessionOptions,
  type Torrent,
  type TorrentOptions,
} from "../../src/index.js";
import { bytesOf, temporaryFolder } from "../support/data.js";
import { required } from "../support/required.js";
import { SimulatedNetwork } from "../support/simulated-network.js";

const SEED = Number(process.env["SEED"] ?? 3);
const KB = 1000;
const PIECE = 65_536;
const MEASURED_MS = 10_000;
const WITHIN = 0.05;

interface Shared {
  readonly metainfo: Metainfo;
  readonly folder: string;
}

async function share(length: number): Promise<Shared> {
  const folder = temporaryFolder(after);
  writeFileSync(join(folder, "data"), bytesOf(5, length));
  const bytes = await createTorrentFile(join(folder, "data"), { pieceLength: PIECE });
  return { metainfo: parseMetainfo(bytes), folder };
}

/** Sessions in a network, each on a machine of its own. */
class World {
  readonly network = new SimulatedNetwork(SEED);
  readonly #sessions: Session[] = [];

  constructor() {
    this.network.afterTurn = () => {
      for (const session of this.#sessions) sessionCoreOf(session).checkInvariants();
    };
  }

  async session(options: SessionOptions = {}): Promise<Session> {
    const host = `10.0.0.${this.#sessions.length + 1}`;
    const machine = this.network.addMachine(host, { delayMs: 5, bytesPerMs: 20_000, windowBytes: 262_144 });
    const session = new Session({ poolBytes: 4_194_304, limitLoopback: false, ...options }, machine);
    this.#sessions.push(session);
    await this.network.until(session.listen({ host, port: 6881 }), 1000, "a session listens");
    return session;
  }

  async torrent(session: Session, { metainfo }: Shared, options: TorrentOptions): Promise<Torrent> {
    const torrent = session.addInBackground(metainfo, options);
    await this.network.until(torrent.ready, 10_000, "a torrent opens");
    return torrent;
  }

  /** Whom the torrent loses from now on, and why. */
  losses(torrent: Torrent): string[] {
    const lost: string[] = [];
    torrent.on("peerDisconnected", (address, error) => {
      // Peers that hear of each other connect from both sides.
      if (error?.code !== "PEER_DUPLICATE") lost.push(`${address.host}: ${error?.message}`);
    });
    return lost;
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.network.nowMs + ms;
    await this.network.run(() => this.network.nowMs >= endMs, ms + 1000, "time passes");
  }

  /** Bytes that `read` tells of, in each tenth of a second of the measured time, after one second. */
  async measure(read: () => number): Promise<number[]> {
    await this.pass(1000);
    const tenths: number[] = [];
    for (let from = read(); tenths.length < MEASURED_MS / 100; from = read()) {
      await this.pass(100);
      tenths.push(read() - from);
    }
    return tenths;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) {
      await this.network.until(session.close(), 60_000, "a session closes");
      assert.deepEqual(sessionCoreOf(session).memory.pool.heldByHolder(), {}, "all slots are home");
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** As much as was allowed, evenly. `largest`: what may come at once, where that is more than the part of a tenth. */
function assertEven(tenths: readonly number[], rate: number, largest = 0): void {
  const allowed = (rate * MEASURED_MS) / 1000;
  const total = sum(tenths);
  assert.ok(Math.abs(total - allowed) <= WITHIN * allowed, `${total} bytes of ${allowed} (SEED=${SEED})`);
  // A look of the queue may fall into the next tenth, and what is kept for whoever comes next is two of them.
  const most = Math.max(...tenths);
  assert.ok(most <= Math.max((3 * rate) / 10, largest), `${most} bytes in a tenth of a second`);
}

const listening = (count: number): { host: string; port: number }[] =>
  Array.from({ length: count }, (_, index) => ({ host: `10.0.0.${index + 1}`, port: 6881 }));

describe("A limited download in a simulated network", { timeout: 120_000 }, () => {
  for (const [peers, rate] of [
    [1, 20 * KB],
    [1, 400 * KB],
    [16, 50 * KB],
    [16, 1000 * KB],
  ] as const)
    it(`gets ${rate} bytes/s of ${peers} peers, and loses none`, async () => {
      const world = new World();
      const shared = await share(12 * rate + 4 * PIECE);
      for (let index = 0; index < peers; index++)
        await world.torrent(await world.session(), shared, { directory: shared.folder, readOnly: true });
      const session = await world.session({ maxDownloadBytesPerSecond: rate });
      const torrent = await world.torrent(session, shared, { storage: "memory", peers: listening(peers) });
      const lost = world.losses(torrent);
      const received = (): number => session.counters().receivedBytes;
      assertEven(await world.measure(received), rate);
      assert.deepEqual(lost, []);
      assert.ok(torrent.peers().every(({ snubbed }) => !snubbed));
      assert.ok(session.counters().wastedBytes < 0.02 * received());
      await world.close();
    });
});

describe("A limited upload in a simulated network", { timeout: 120_000 }, () => {
  for (const [peers, rate] of [
    [1, 20 * KB],
    [1, 400 * KB],
    [16, 50 * KB],
    [16, 300 * KB],
  ] as const)
    it(`sends ${rate} bytes/s to ${peers} peers, and loses none`, async () => {
      const world = new World();
      const shared = await share(12 * rate + 4 * PIECE);
      const seeder = await world.session({ maxUploadBytesPerSecond: rate });
      const lost = world.losses(
        await world.torrent(seeder, shared, { directory: shared.folder, readOnly: true }),
      );
      for (let index = 0; index < peers; index++)
        await world.torrent(await world.session(), shared, { storage: "memory", peers: listening(1) });
      assertEven(await world.measure(() => seeder.counters().sentBytes), rate, 2 * 16_397);
      assert.deepEqual(lost, []);
      await world.close();
    });
});

describe("Rate limits in a simulated network", { timeout: 120_000 }, () => {
  it("hold a torrent and a connection each, beside the session's", async () => {
    const world = new World();
    const [small, large] = [await share(40 * PIECE), await share(120 * PIECE)];
    const seeder = await world.session();
    for (const shared of [small, large])
      await world.torrent(seeder, shared, { directory: shared.folder, readOnly: true });
    const other = await world.session();
    await world.torrent(other, large, { directory: large.folder, readOnly: true });
    const session = await world.session({ maxDownloadBytesPerSecond: 300 * KB });
    const limited = { maxDownloadBytesPerSecond: 40 * KB };
    const slow = await world.torrent(session, small, { storage: "memory", peers: listening(1), ...limited });
    const fast = await world.torrent(session, large, { storage: "memory", peers: listening(2) });
    assert.deepEqual(slow.rateLimits, { ...limited, maxUploadBytesPerSecond: 0 });
    await world.pass(500);
    const [held, free] = fast.connections();
    required(held, "held").setRateLimits({ maxDownloadBytesPerSecond: 25 * KB });
    const before = required(held, "held").info().counters.receivedBytes;
    const [ofSlow, ofFast] = [slow.counters().receivedBytes, fast.counters().receivedBytes];
    const tenths = await world.measure(() => session.counters().receivedBytes);
    assertEven(tenths, 300 * KB);
    const seconds = (MEASURED_MS + 1000) / 1000;
    const near = (bytes: number, rate: number): void =>
      assert.ok(Math.abs(bytes - seconds * rate) <= 0.06 * seconds * rate, `${bytes} of ${seconds * rate}`);
    near(slow.counters().receivedBytes - ofSlow, 40 * KB);
    near(fast.counters().receivedBytes - ofFast, 260 * KB);
    near(required(held, "held").info().counters.receivedBytes - before, 25 * KB);
    assert.ok(required(free, "free").info().counters.receivedBytes > 200 * KB * seconds);
    await world.close();
  });

  it("change while bytes flow, and are lifted", async () => {
    const world = new World();
    const shared = await share(200 * PIECE);
    const seeder = await world.session();
    await world.torrent(seeder, shared, { directory: shared.folder, readOnly: true });
    const session = await world.session({ maxDownloadBytesPerSecond: 20 * KB });
    const torrent = await world.torrent(session, shared, { storage: "memory", peers: listening(1) });
    const received = (): number => session.counters().receivedBytes;
    assertEven(await world.measure(received), 20 * KB);
    session.setRateLimits({ maxDownloadBytesPerSecond: 400 * KB });
    assert.deepEqual(session.rateLimits, {
      maxDownloadBytesPerSecond: 400 * KB,
      maxUploadBytesPerSecond: 0,
    });
    assertEven(await world.measure(received), 400 * KB);
    // From the other side as well, and lower.
    seeder.setRateLimits({ maxUploadBytesPerSecond: 100 * KB });
    await world.pass(2000);
    assertEven(await world.measure(received), 100 * KB, 2 * 16_397);
    session.setRateLimits({ maxDownloadBytesPerSecond: 0 });
    seeder.setRateLimits({ maxUploadBytesPerSecond: 0 });
    await world.network.until(torrent.done, 2000, "all comes as fast as the wire is");
    await world.close();
  });

  it("blame no peer: blocks take minutes, and nobody is snubbed, cancelled or let go", async () => {
    const world = new World();
    const shared = await share(40 * PIECE);
    for (let index = 0; index < 4; index++)
      await world.torrent(await world.session(), shared, { directory: shared.folder, readOnly: true });
    const session = await world.session({ maxDownloadBytesPerSecond: 500, requestTimeoutMs: 5000 });
    const torrent = await world.torrent(session, shared, { storage: "memory", peers: listening(4) });
    const lost = world.losses(torrent);
    // At 125 bytes/s each a block takes two minutes.
    for (let minutes = 0; minutes < 8; minutes++) {
      await world.pass(60_000);
      assert.deepEqual(
        torrent.peers().map(({ snubbed }) => snubbed),
        [false, false, false, false],
      );
    }
    assert.deepEqual(lost, []);
    assert.equal(session.counters().wastedBytes, 0);
    assert.ok(session.counters().blocksReceived >= 12);
    await world.close();
  });

  it("leave a download its messages: what is uploaded at a tenth of its rate does not slow it", async () => {
    const world = new World();
    const shared = await share(60 * PIECE);
    const seeder = await world.session({ maxUploadBytesPerSecond: 300 * KB });
    await world.torrent(seeder, shared, { directory: shared.folder, readOnly: true });
    const session = await world.session({ maxUploadBytesPerSecond: 2 * KB });
    const torrent = await world.torrent(session, shared, { storage: "memory", peers: listening(1) });
    const leecher = await world.session();
    const taking = await world.torrent(leecher, shared, {
      storage: "memory",
      peers: [{ host: "10.0.0.2", port: 6881 }],
    });
    await world.network.until(torrent.done, 20_000, "the download is as fast as its seed");
    assert.ok(session.counters().sentPayloadBytes > 0, "and what is left goes to the other");
    leecher.setRateLimits({ maxDownloadBytesPerSecond: 0 });
    session.setRateLimits({ maxUploadBytesPerSecond: 0 });
    await world.network.until(taking.done, 20_000, "what was held back goes on");
    await world.close();
  });

  it("is for blocks: those who are asked for some, and talk instead, use up little of it", async () => {
    const rate = 200 * KB;
    const world = new World();
    const { network } = world;
    const shared = await share(20 * rate);
    await world.torrent(await world.session(), shared, { directory: shared.folder, readOnly: true });
    const session = await world.session({ maxDownloadBytesPerSecond: rate });
    const torrent = await world.torrent(session, shared, { storage: "memory" });
    const machine = network.addMachine("127.0.0.99", {
      delayMs: 5,
      bytesPerMs: 20_000,
      windowBytes: 262_144,
    });
    const loop = new LoadLoop(machine.binding);
    const target = { host: "10.0.0.2", port: 6881 };
    const nowMs = (): number => network.nowMs;
    const { metainfo } = shared;
    const crowd = new Crowd({
      ...{ loop, target, metainfo, connections: 60, seed: SEED, kinds: ["suggests"], nowMs },
    });
    machine.ground.every(STEP_MS, () => crowd.step());
    await world.pass(3000);
    for (const peer of listening(1)) torrent.addPeer(peer);
    const tenths = await world.measure(() => torrent.counters().payloadBytes);
    const allowed = (rate * MEASURED_MS) / 1000;
    assert.ok(sum(tenths) >= allowed / 2, `${sum(tenths)} bytes of ${allowed} (SEED=${SEED})`);
    await world.close();
  });
});
