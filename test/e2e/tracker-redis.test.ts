// Trackers that share their swarms by a Redis of the test's own: over UDP and HTTP, with one of them killed, with Redis killed and back,
// with a flood.

import assert from "node:assert/strict";
import { get } from "node:http";
import { describe, type TestContext, test } from "node:test";
import bencode from "bencode";
import { type ServiceCounters, TrackerService, type TrackerServiceOptions } from "../../src/tracker/index.js";
import { PeerStore } from "../../src/tracker/peer-store/peer-store.js";
import { RedisLog } from "../../src/tracker/server/redis-log.js";
import { SharedSwarms } from "../../src/tracker/server/shared-swarms.js";
import { Program } from "../support/program.js";
import { RedisServer } from "../support/redis.js";
import { entryOf } from "../support/required.js";
import { type AnnounceAnswer, UdpPeer } from "../support/udp-peer.js";

const KEY = "scatterwire:announces";
const WATCHDOG = { timeout: 120_000 };
const COMPLETED = 1;
const STOPPED = 3;

function hashOf(number: number): Buffer {
  const hash = Buffer.alloc(20, 0xab);
  hash.writeUInt32BE(number);
  return hash;
}

async function makeRedis(t: TestContext, ...options: string[]): Promise<RedisServer> {
  const redis = await RedisServer.start(...options);
  t.after(() => redis.stop());
  return redis;
}

interface Place {
  readonly service: TrackerService;
  readonly warnings: string[];
  readonly udp: { readonly host: string; readonly port: number };
  readonly http: { readonly host: string; readonly port: number };
}

async function makeTracker(
  t: TestContext,
  redis: string,
  options: Partial<TrackerServiceOptions> = {},
): Promise<Place> {
  const warnings: string[] = [];
  const service = await TrackerService.start({
    udp: [{ host: "127.0.0.1", port: 0 }],
    http: [{ host: "127.0.0.1", port: 0 }],
    store: { bytesMax: 2 ** 24 },
    redis,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  t.after(() => service.close());
  const [udp, http] = service.listening;
  assert.ok(udp !== undefined && http !== undefined);
  return { service, warnings, udp, http };
}

async function makePeer(
  t: TestContext,
  udp: { host: string; port: number },
  from?: string,
): Promise<UdpPeer> {
  const peer = await UdpPeer.open(udp, from);
  t.after(() => peer.close());
  return peer;
}

/** Looks again until it is so; the test's own watchdog ends it. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20));
}

function sharedOf(service: TrackerService): NonNullable<ServiceCounters["shared"]> {
  const { shared } = service.counters();
  assert.ok(shared !== undefined);
  return shared;
}

async function announceByHttp(
  port: number,
  hash: Uint8Array,
  peerPort: number,
  more = "",
): Promise<AnnounceAnswer> {
  const escaped = [...hash].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  const query = `info_hash=${escaped}&peer_id=${"b".repeat(20)}&port=${peerPort}&uploaded=0&downloaded=0&left=1${more}`;
  const body = await new Promise<Buffer>((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: `/announce?${query}`, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks)));
    }).on("error", reject);
  });
  const fields = bencode.decode(body) as Record<string, unknown>;
  const bytes = Buffer.from(fields["peers"] as Uint8Array);
  const peers = Array.from(
    { length: bytes.length / 6 },
    (_, index) =>
      `${[...bytes.subarray(6 * index, 6 * index + 4)].join(".")}:${bytes.readUInt16BE(6 * index + 4)}`,
  );
  return { seeders: fields["complete"] as number, leechers: fields["incomplete"] as number, peers };
}

describe("trackers that share swarms by Redis", () => {
  test(
    "tell peers of each other over UDP and HTTP, and who starts later knows them too",
    WATCHDOG,
    async (t) => {
      const redis = await makeRedis(t);
      const [one, two] = [await makeTracker(t, redis.url), await makeTracker(t, redis.url)];
      const hash = hashOf(1);
      const leecher = await makePeer(t, one.udp, "127.0.0.2");
      assert.deepEqual((await leecher.announce(hash, 1111)).peers, []);
      await until(() => two.service.counters().totals.peersV4 === 1);
      const seeder = await announceByHttp(two.http.port, hash, 2222, "&left=0");
      assert.deepEqual(seeder, { seeders: 1, leechers: 1, peers: ["127.0.0.2:1111"] });
      await until(() => one.service.counters().totals.peersV4 === 2);
      assert.deepEqual(await leecher.announce(hash, 1111), {
        seeders: 1,
        leechers: 1,
        peers: ["127.0.0.1:2222"],
      });
      const third = await makeTracker(t, redis.url);
      const late = await makePeer(t, third.udp, "127.0.0.3");
      const told = await late.announce(hash, 3333);
      assert.deepEqual(told.peers.toSorted(), ["127.0.0.1:2222", "127.0.0.2:1111"]);
      assert.deepEqual(await late.scrape(hash), { seeders: 1, downloads: 0, leechers: 2 });
      // Who completes somewhere is a download everywhere, and who leaves is gone everywhere.
      await leecher.announce(hash, 1111, { left: 0, event: COMPLETED });
      await late.announce(hash, 3333, { event: STOPPED });
      const left = { seeders: 2, downloads: 1, leechers: 0 };
      const scraper = await makePeer(t, two.udp);
      await until(async () => JSON.stringify(await scraper.scrape(hash)) === JSON.stringify(left));
      const [first, second] = [sharedOf(one.service), sharedOf(two.service)];
      assert.deepEqual([first.noted, second.noted, sharedOf(third.service).noted], [3, 1, 2]);
      await until(() => sharedOf(one.service).adopted === 3 && sharedOf(two.service).adopted === 5);
      for (const { service, warnings } of [one, two, third]) {
        const { dropped, malformed, chunksMissed, chunksMalformed, failures } = sharedOf(service);
        assert.deepEqual([dropped, malformed, chunksMissed, chunksMalformed, failures], [0, 0, 0, 0, 0]);
        assert.deepEqual(warnings, []);
      }
    },
  );

  test("are missed by nobody when one of them is killed", WATCHDOG, async (t) => {
    const redis = await makeRedis(t);
    const doomed = Program.cli("tracker", "--udp", "127.0.0.1:0", "--redis", redis.url, "--json");
    t.after(() => doomed.stop("SIGKILL"));
    const { port } = (await doomed.line("port")) as { port: number };
    const other = await makeTracker(t, redis.url);
    const hash = hashOf(2);
    const peer = await makePeer(t, { host: "127.0.0.1", port }, "127.0.0.2");
    await peer.announce(hash, 1111);
    await until(() => other.service.counters().totals.peersV4 === 1);
    await doomed.stop("SIGKILL");
    const stayed = await makePeer(t, other.udp, "127.0.0.3");
    assert.deepEqual((await stayed.announce(hash, 2222)).peers, ["127.0.0.2:1111"]);
    // One that starts in its place knows both.
    await until(() => sharedOf(other.service).chunksConfirmed === 1);
    const next = await makeTracker(t, redis.url);
    assert.equal(next.service.counters().totals.peersV4, 2);
    assert.deepEqual(other.warnings, []);
  });

  test("take in eight chunks of others in a turn of the loop, however many wait", WATCHDOG, async (t) => {
    const redis = await makeRedis(t);
    const one = await makeTracker(t, redis.url);
    const peer = await makePeer(t, one.udp, "127.0.0.2");
    // An announce that is asked for again is a chunk more.
    for (let number = 1; number <= 40; number++) {
      const { chunksConfirmed } = sharedOf(one.service);
      await peer.announce(hashOf(number), 1111);
      await until(() => sharedOf(one.service).chunksConfirmed > chunksConfirmed);
    }
    await until(() => sharedOf(one.service).chunksConfirmed === sharedOf(one.service).chunksSent);
    const chunks = sharedOf(one.service).chunksSent;
    const store = new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax: 2 ** 24 });
    const swarms = new SharedSwarms(store);
    const turns: number[] = [0];
    const adopt = swarms.adopt.bind(swarms);
    swarms.adopt = (...chunk) => {
      turns[turns.length - 1] = entryOf(turns, turns.length - 1) + 1;
      adopt(...chunk);
    };
    const turn = (): void => {
      if (turns.at(-1) !== 0) turns.push(0);
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    t.after(() => clearImmediate(next));
    const log = await RedisLog.start({ url: redis.url, swarms, lifetimeMs: 3_600_000, onWarning: () => {} });
    t.after(() => log.close());
    await until(() => log.counters.chunksReceived >= chunks);
    assert.equal(
      turns.reduce((sum, each) => sum + each, 0),
      chunks,
    );
    assert.equal(Math.max(...turns), 8);
  });

  test("go on alone without Redis, say so once, and catch up when it is back", WATCHDOG, async (t) => {
    const redis = await makeRedis(t);
    const [one, two] = [await makeTracker(t, redis.url), await makeTracker(t, redis.url)];
    const hash = hashOf(3);
    const [at1, at2] = [await makePeer(t, one.udp, "127.0.0.2"), await makePeer(t, two.udp, "127.0.0.3")];
    await at1.announce(hash, 1111);
    await until(() => two.service.counters().totals.peersV4 === 1);
    // One announce is on its way when Redis goes.
    redis.signal("SIGSTOP");
    await at1.announce(hash, 1113);
    await until(() => sharedOf(one.service).chunksSent === 2);
    await redis.kill();
    await until(() => one.warnings.length === 1 && two.warnings.length === 1);
    assert.match(one.warnings[0] ?? "", /^Redis is away: /);
    assert.deepEqual((await at2.announce(hash, 2222)).peers, ["127.0.0.2:1111"]);
    const told = (await at1.announce(hash, 1112)).peers;
    assert.deepEqual(told.toSorted(), ["127.0.0.2:1111", "127.0.0.2:1113"]);
    await until(() => sharedOf(one.service).failures >= 3);
    assert.equal(one.warnings.length, 1);
    await redis.startAgain();
    await until(() => [one, two].every(({ service }) => service.counters().totals.peersV4 === 4));
    await until(() => one.warnings.length === 2 && two.warnings.length === 2);
    assert.match(
      one.warnings[1] ?? "",
      /^Redis is back after .*; 0 announces since the start were never told/,
    );
    // What the first Redis lost with its memory is told again by whoever announces again.
    const { chunksMissed, dropped, connected } = sharedOf(two.service);
    assert.deepEqual([chunksMissed, dropped, connected], [0, 0, true]);
  });

  test("begin alone where there is no Redis, and share when there is one", WATCHDOG, async (t) => {
    const redis = await makeRedis(t);
    await redis.kill();
    const one = await makeTracker(t, redis.url);
    assert.match(one.warnings[0] ?? "", /^Redis is away: /);
    const peer = await makePeer(t, one.udp, "127.0.0.2");
    await peer.announce(hashOf(4), 1111);
    await redis.startAgain();
    await until(() => sharedOf(one.service).connected);
    const two = await makeTracker(t, redis.url);
    await until(() => two.service.counters().totals.peersV4 === 1);
  });

  test(
    "notice a Redis that takes connections and says nothing, and end in spite of it",
    WATCHDOG,
    async (t) => {
      const redis = await makeRedis(t);
      const one = await makeTracker(t, redis.url);
      redis.signal("SIGSTOP");
      t.after(() => redis.signal("SIGCONT"));
      const peer = await makePeer(t, one.udp);
      await peer.announce(hashOf(5), 1111);
      await until(() => one.warnings.length > 0);
      assert.match(one.warnings[0] ?? "", /it does not answer/);
      redis.signal("SIGCONT");
      await until(() => sharedOf(one.service).connected);
      // What was under way came twice, or once: it is known once.
      const two = await makeTracker(t, redis.url);
      assert.equal(two.service.counters().totals.peersV4, 1);
      redis.signal("SIGSTOP");
      await one.service.close();
    },
  );

  test("share a flood, and keep the log below its bound", WATCHDOG, async (t) => {
    const redis = await makeRedis(t);
    const LOG_BYTES = 2 ** 20;
    const more = { redisLogBytesMax: LOG_BYTES, store: { bytesMax: 2 ** 26 } };
    const [one, two] = [await makeTracker(t, redis.url, more), await makeTracker(t, redis.url, more)];
    const load = Program.cli(
      ...["bench", "tracker-load", `127.0.0.1:${one.udp.port}`, "--duration", "100", "--json"],
      ...["--torrents", "20000", "--peers", "40000", "--window", "512", "--weights", "0/1/0"],
    );
    t.after(() => load.stop());
    // Three and a half times what the log may have.
    await until(() => sharedOf(one.service).noted >= 130_000);
    await load.stop();
    const { noted } = sharedOf(one.service);
    assert.equal(noted, one.service.counters().udp.announces);
    await until(() => {
      const { dropped } = sharedOf(one.service);
      const { adopted, chunksMissed } = sharedOf(two.service);
      return chunksMissed > 0 || adopted + dropped === noted;
    });
    const { dropped } = sharedOf(one.service);
    const { chunksMissed, malformed, chunksMalformed } = sharedOf(two.service);
    assert.deepEqual([malformed, chunksMalformed], [0, 0]);
    if (dropped === 0 && chunksMissed === 0) {
      const totals = ({ service }: Place): number[] => {
        const { torrents, peersV4 } = service.counters().totals;
        return [torrents, peersV4];
      };
      assert.deepEqual(totals(two), totals(one));
    }
    // Beside the bound there are what is on its way at once (16 chunks of 32 KiB), and what Redis's memory rounds up.
    const bytes = Number(/:(\d+)/.exec(await redis.ask("MEMORY", "USAGE", KEY, "SAMPLES", "0"))?.[1]);
    assert.ok(bytes > 0 && bytes < 3 * LOG_BYTES, `${bytes} bytes of ${noted} announces`);
  });

  test("count what stands in the log and is none of theirs, and take the rest", WATCHDOG, async (t) => {
    const redis = await makeRedis(t);
    const one = await makeTracker(t, redis.url);
    const records = Buffer.alloc(28, 7);
    records[26] = 4;
    records[27] = 0;
    const entry = (fields: (string | Uint8Array)[]): Promise<string> =>
      redis.ask("XADD", KEY, "*", ...fields);
    await entry(["hello", "there"]);
    await entry(["t", "not hex digits..", "n", "0", "a", "0", "4", records]);
    await entry(["t", "0123456789abcdef", "n", "-1", "a", "0", "4", records]);
    await entry(["t", "0123456789abcdef", "n", "0", "a", "0", "4", records.subarray(1)]);
    await entry(["t", "0123456789abcdef", "n", "1", "a", "0", "4", records]);
    await entry(["t", "0123456789abcdef", "n", "1", "a", "0", "4", records]);
    await entry(["t", "0123456789abcdef", "n", "5", "a", "0", "4", records]);
    await until(() => sharedOf(one.service).chunksReceived === 3);
    const { chunksMalformed, malformed, chunksRepeated, chunksMissed, adopted } = sharedOf(one.service);
    assert.deepEqual([chunksMalformed, malformed, chunksRepeated, chunksMissed, adopted], [3, 1, 1, 3, 2]);
    assert.equal(one.service.counters().totals.peersV4, 1);
    // A key of another kind is no log: it is said, and peers are served all the same.
    await redis.ask("DEL", KEY);
    await redis.ask("SET", KEY, "text");
    await until(() => one.warnings.length > 0);
    assert.match(one.warnings[0] ?? "", /WRONGTYPE/);
    const peer = await makePeer(t, one.udp);
    assert.equal((await peer.announce(hashOf(6), 1111)).leechers, 1);
    await redis.ask("DEL", KEY);
    await until(() => sharedOf(one.service).connected);
  });

  test(
    "are heard on, whatever number somebody else gives to an entry in their names",
    WATCHDOG,
    async (t) => {
      const redis = await makeRedis(t);
      const [one, two] = [await makeTracker(t, redis.url), await makeTracker(t, redis.url)];
      const peer = await makePeer(t, one.udp);
      await peer.announce(hashOf(1), 1111);
      await until(() => two.service.counters().totals.peersV4 === 1);
      const log = await redis.ask("XRANGE", KEY, "-", "+");
      const name = /\r\n([0-9a-f]{16})\r\n/.exec(log)?.[1] ?? "";
      const records = Buffer.alloc(28, 7);
      records[26] = 4;
      records[27] = 0;
      await redis.ask("XADD", KEY, "*", "t", name, "n", "999999999", "a", "0", "4", records);
      await until(() => two.service.counters().totals.peersV4 === 2);
      await peer.announce(hashOf(2), 1111);
      await until(() => two.service.counters().totals.peersV4 === 3);
    },
  );

  test(
    "refuse an URL that is none, and a wrong password is said without the password",
    WATCHDOG,
    async (t) => {
      for (const url of ["http://127.0.0.1", "unix:", "nonsense", "redis://"])
        await assert.rejects(makeTracker(t, url), {
          code: "USAGE_OPTION",
          message: /^Redis: expected redis:/,
        });
      const redis = await makeRedis(t, "--requirepass", "the-right-one-of-the-test");
      const one = await makeTracker(t, redis.url);
      assert.match(one.warnings[0] ?? "", /NOAUTH/);
    },
  );
});
