// Which trackers are asked, when, and what they are told: over a clock that the test moves, with answers that it gives.
//
// It is long because each of the rules has its tests, and all of them need the same clock and trackers.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TrackerError } from "../../../../src/base/errors.js";
import type { PeerAddress, TrackerStatus } from "../../../../src/client/options.js";
import { Announcer } from "../../../../src/client/sources/announcer.js";
import type { AnnounceAnswer } from "../../../../src/tracker/client/announce.js";
import { makeRandom } from "../../../support/property.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

interface Asked {
  readonly url: string;
  readonly atMs: number;
  readonly event: string;
  readonly trackerId: string | undefined;
}

/** A promise: when it answers. */
type Reply = Partial<AnnounceAnswer> | TrackerError | "silence" | Promise<void>;

const ANSWER: AnnounceAnswer = {
  interval: 1800,
  minInterval: undefined,
  seeders: 1,
  leechers: 1,
  downloads: undefined,
  peers: [],
  warning: undefined,
  trackerId: undefined,
  externalIp: undefined,
};
const failure = (retryInSeconds?: number): TrackerError =>
  new TrackerError("TRACKER_FAILURE", "no", { retryInSeconds });
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Bench {
  nowMs = 1_000_000;
  left = 5;
  isPartialSeed = false;
  readonly asked: Asked[] = [];
  readonly brought: PeerAddress[] = [];
  readonly told: { status: TrackerStatus; error: TrackerError | undefined }[] = [];
  /** What each tracker says; by default that it works. */
  replies: Record<string, Reply> = {};
  /** What waits for time to pass, but for what tick() is for. */
  timers: (() => void)[] = [];
  readonly announcer: Announcer;

  constructor(tiers: readonly (readonly string[])[], random: () => number = () => 0) {
    this.announcer = new Announcer(
      {
        nowMs: () => this.nowMs,
        random,
        after: (_ms, callback) => {
          this.timers.push(callback);
          return {
            close: () => {
              this.timers = this.timers.filter((each) => each !== callback);
            },
          };
        },
        totals: () => ({ uploaded: 1, downloaded: 2, left: this.left, isPartialSeed: this.isPartialSeed }),
        bring: (peers) => this.brought.push(...peers),
        told: (status, error) => this.told.push({ status, error }),
        ask: (url, { event, trackerId }, signal) => {
          this.asked.push({ url, atMs: this.nowMs, event, trackerId });
          const reply = this.replies[url] ?? {};
          if (reply instanceof TrackerError) return Promise.reject(reply);
          if (reply instanceof Promise) return reply.then(() => ({ answers: [ANSWER], errors: [] }));
          if (reply !== "silence") return Promise.resolve({ answers: [{ ...ANSWER, ...reply }], errors: [] });
          return new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(new TrackerError("TRACKER_CLOSED", "closed")));
          });
        },
      },
      tiers,
    );
  }

  async start(): Promise<void> {
    this.announcer.start();
    await settled();
  }

  async pass(ms: number, stepMs = SECOND): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += stepMs;
      this.announcer.tick();
      await settled();
    }
  }

  /** Who was asked since this was called last, with what. */
  take(): string[] {
    return this.asked.splice(0).map(({ url, event }) => `${url} ${event}`);
  }

  takeTimes(url: string): number[] {
    const times = this.asked
      .filter((each) => each.url === url)
      .map(({ atMs }) => (atMs - 1_000_000) / SECOND);
    this.asked.length = 0;
    return times;
  }
}

describe("the announcer", () => {
  it("tells started, then nothing each interval, completed when it is so, and stopped", async () => {
    const bench = new Bench([["a"]]);
    await bench.start();
    assert.deepEqual(bench.take(), ["a started"]);
    await bench.pass(29 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), []);
    await bench.pass(2 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), ["a none"]);
    bench.left = 0;
    bench.announcer.completed();
    await settled();
    bench.announcer.completed();
    await bench.pass(31 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), ["a completed", "a none"]);
    await bench.announcer.stop(new AbortController().signal);
    assert.deepEqual(bench.take(), ["a stopped"]);
    await bench.pass(60 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), []);
  });

  it("says that it is paused while there is nothing wanted of what is missing (BEP 21)", async () => {
    const bench = new Bench([["a"]]);
    await bench.start();
    bench.isPartialSeed = true;
    await bench.pass(31 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), ["a started", "a paused"]);
  });

  it("asks nothing before it is started, and stops nobody then", async () => {
    const bench = new Bench([["a"]]);
    await bench.pass(5 * MINUTE, MINUTE);
    bench.announcer.needsPeers();
    await bench.announcer.stop(new AbortController().signal);
    assert.deepEqual(bench.take(), []);
  });

  it("keeps to one tracker while it works, and goes on in its tier and to the next when it fails", async () => {
    const bench = new Bench([["a", "b"], ["c"]], () => 0.99);
    await bench.start();
    assert.deepEqual(bench.take(), ["a started"]);
    bench.replies = { a: failure() };
    await bench.pass(32 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), ["a none", "b started"]);
    // b works, and is asked first from now on.
    assert.deepEqual(
      bench.announcer.trackers.map(({ url }) => url),
      ["b", "a", "c"],
    );
    bench.replies = { a: failure(), b: failure() };
    await bench.pass(32 * MINUTE, MINUTE);
    assert.deepEqual(
      bench.take().filter((each) => each !== "a none"),
      ["b none", "c started"],
    );
    bench.replies = {};
    await bench.pass(60 * MINUTE, MINUTE);
    // The first tier is back: the second is left alone.
    assert.deepEqual(new Set(bench.take()), new Set(["b none"]));
  });

  it("asks the next tier as well where the first knows of nobody else", async () => {
    const bench = new Bench([["a"], ["b"], ["c"]]);
    bench.replies = { a: { seeders: 0, leechers: 1, peers: [{ host: "192.0.2.1", port: 1 }] } };
    await bench.start();
    assert.deepEqual(bench.take(), ["a started", "b started"]);
    const quiet = new Bench([["a"], ["b"]]);
    quiet.replies = { a: { seeders: undefined, leechers: undefined } };
    await quiet.start();
    assert.deepEqual(quiet.take(), ["a started", "b started"]);
  });

  it("asks all tiers while peers are few, and the first alone when they are not", async () => {
    const bench = new Bench([["a"], ["b"]]);
    await bench.start();
    assert.deepEqual(bench.take(), ["a started"]);
    bench.announcer.hungry(true);
    await settled();
    assert.deepEqual(bench.take(), ["b started"]);
    bench.announcer.hungry(false);
    await bench.pass(31 * MINUTE, MINUTE);
    assert.deepEqual(bench.take(), ["a none"]);
  });

  it("tells trackers at once when we are reached elsewhere", async () => {
    const bench = new Bench([["a"]]);
    bench.announcer.moved();
    await bench.start();
    await bench.pass(MINUTE);
    bench.announcer.moved();
    await bench.pass(MINUTE);
    assert.deepEqual(bench.take(), ["a started", "a none"]);
  });

  it("waits five seconds for one that is silent, and hears it later all the same", async () => {
    const bench = new Bench([["a"], ["b"]]);
    bench.replies = { a: "silence" };
    await bench.start();
    await bench.pass(4 * SECOND);
    assert.deepEqual(bench.take(), ["a started"]);
    await bench.pass(2 * SECOND);
    assert.deepEqual(bench.take(), ["b started"]);
    assert.deepEqual(
      bench.announcer.trackers.map(({ state }) => state),
      ["asking", "works"],
    );
  });

  it("draws the order within a tier once, each as likely", () => {
    const random = makeRandom(5);
    const firsts = new Map<string, number>();
    for (let round = 0; round < 900; round++) {
      const { announcer } = new Bench([["a", "b", "c"], ["d"]], random);
      const [first, , , last] = announcer.trackers;
      firsts.set(first?.url ?? "", (firsts.get(first?.url ?? "") ?? 0) + 1);
      assert.equal(last?.url, "d");
    }
    for (const url of ["a", "b", "c"])
      assert.ok((firsts.get(url) ?? 0) > 200, `${url}: ${firsts.get(url)} of 900`);
  });

  it("retries one that fails after 15 s, then twice as long each time, up to half an hour", async () => {
    const bench = new Bench([["a"]], () => 0.5);
    bench.replies = { a: failure() };
    await bench.start();
    await bench.pass(3 * 60 * MINUTE, 5 * SECOND);
    const times = bench.takeTimes("a");
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    assert.deepEqual(pauses.slice(0, 8), [15, 30, 60, 120, 240, 480, 960, 1800]);
    assert.ok(pauses.slice(8).every((pause) => pause === 1800));
  });

  it("comes back when the tracker said, and never if that is what it said (BEP 31)", async () => {
    const bench = new Bench([["a", "b"]], () => 0.99);
    bench.replies = { a: failure(600), b: failure(Number.POSITIVE_INFINITY) };
    await bench.start();
    await bench.pass(30 * MINUTE, 10 * SECOND);
    assert.deepEqual(bench.take(), ["a started", "b started", "a started", "a started", "a started"]);
    assert.deepEqual(
      bench.announcer.trackers.map(({ state }) => state),
      ["fails", "never"],
    );
    const none = new Bench([["x"]]);
    none.replies = { x: new TrackerError("TRACKER_URL", "no") };
    await none.start();
    none.announcer.needsPeers();
    await none.pass(60 * MINUTE, MINUTE);
    assert.equal(none.asked.length, 1);
  });

  it("keeps half a minute between announces, and asks within a day, whatever the tracker says", async () => {
    const bench = new Bench([["a"]]);
    bench.replies = { a: { interval: 0, minInterval: 0 } };
    await bench.start();
    for (let again = 0; again < 300; again++) {
      bench.announcer.needsPeers();
      await bench.pass(SECOND);
    }
    assert.deepEqual(bench.takeTimes("a").slice(0, 4), [0, 30, 60, 90]);
    bench.replies = { a: { interval: 2 ** 40 } };
    await bench.pass(MINUTE);
    bench.asked.length = 0;
    await bench.pass(25 * 60 * MINUTE, 10 * MINUTE);
    assert.equal(bench.asked.length, 1);
  });

  it("asks early if peers are needed, once the min interval is over, and not before the interval without one", async () => {
    const bench = new Bench([["a"]]);
    bench.replies = { a: { minInterval: 300 } };
    await bench.start();
    await bench.pass(4 * MINUTE, MINUTE);
    bench.announcer.needsPeers();
    await bench.pass(2 * MINUTE, MINUTE);
    assert.deepEqual(bench.takeTimes("a"), [0, 300]);
    const strict = new Bench([["a"]]);
    await strict.start();
    strict.announcer.needsPeers();
    await strict.pass(29 * MINUTE, MINUTE);
    assert.deepEqual(strict.takeTimes("a"), [0]);
  });

  it("gives back what the tracker called itself, and tells what it said", async () => {
    const bench = new Bench([["a"]]);
    bench.replies = { a: { trackerId: "x", warning: "slow down", peers: [{ host: "192.0.2.1", port: 5 }] } };
    await bench.start();
    await bench.pass(31 * MINUTE, MINUTE);
    assert.deepEqual(
      bench.asked.map(({ trackerId }) => trackerId),
      [undefined, "x"],
    );
    const { status } = bench.told[0] ?? assert.fail("it is told");
    assert.deepEqual(
      [status.state, status.warning, status.peers, status.seeders, status.nextInMs],
      ["works", "slow down", 1, 1, 1_800_000],
    );
    assert.deepEqual(bench.brought[0], { host: "192.0.2.1", port: 5 });
    bench.replies = { a: failure() };
    await bench.pass(31 * MINUTE, MINUTE);
    const last = bench.told.at(-1);
    assert.deepEqual(
      [last?.status.state, last?.error?.message, last?.status.error?.code],
      ["fails", "no", "TRACKER_FAILURE"],
    );
  });

  it("tells completed to a tracker whose started was under way meanwhile, and stopped to one that may have it", async () => {
    const bench = new Bench([["a"]]);
    bench.announcer.start();
    bench.left = 0;
    bench.announcer.completed();
    await settled();
    assert.deepEqual(bench.take(), ["a started", "a completed"]);
    const silent = new Bench([["a"]]);
    silent.replies = { a: "silence" };
    await silent.start();
    const stop = new AbortController();
    const stopped = silent.announcer.stop(stop.signal);
    // What is under way may be heard later than what is said after it, over another connection.
    assert.deepEqual(silent.take(), ["a started"]);
    silent.timers.shift()?.();
    await settled();
    assert.deepEqual(silent.take(), ["a stopped"]);
    stop.abort();
    await stopped;
    await silent.pass(5 * MINUTE, MINUTE);
    assert.deepEqual(silent.take(), []);
  });

  it("tells stopped when the announce before it was answered, and not beside it", async () => {
    const bench = new Bench([["a"]]);
    await bench.start();
    let answer = (): void => {};
    bench.replies = {
      a: new Promise<void>((resolve) => {
        answer = resolve;
      }),
    };
    bench.left = 0;
    bench.announcer.completed();
    const stopped = bench.announcer.stop(new AbortController().signal);
    await settled();
    assert.deepEqual(bench.take(), ["a started", "a completed"]);
    bench.replies = {};
    answer();
    await stopped;
    assert.deepEqual(bench.take(), ["a stopped"]);
    assert.deepEqual(bench.timers, [], "nothing waits any more");
  });

  it("asks a hundred trackers of a torrent at the most, each once", () => {
    const many = Array.from({ length: 5000 }, (_, index) => [`t${index % 300}`, `t${index % 7}`]);
    const { announcer } = new Bench(many);
    assert.equal(announcer.count, 100);
    assert.equal(new Set(announcer.trackers.map(({ url }) => url)).size, 100);
  });

  it("never breaks its promises, whatever trackers do", async () => {
    const reply = fc.oneof(
      fc.record({
        interval: fc.nat(4000),
        minInterval: fc.option(fc.nat(4000), { nil: undefined }),
        leechers: fc.nat(3),
      }),
      fc.constant("silence" as const),
      fc.option(fc.nat(2000), { nil: Number.POSITIVE_INFINITY }).map((seconds) => failure(seconds)),
    );
    const step = fc.record({
      ms: fc.integer({ min: SECOND, max: 20 * MINUTE }),
      replies: fc.dictionary(fc.constantFrom("a", "b", "c", "d"), reply),
      act: fc.constantFrom("", "", "needs", "complete"),
    });
    const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(), async (steps, seed) => {
      const bench = new Bench([["a", "b"], ["c"], ["d"]], makeRandom(seed));
      await bench.start();
      for (const { ms, replies, act } of steps) {
        bench.replies = replies;
        if (act === "needs") bench.announcer.needsPeers();
        if (act === "complete") bench.announcer.completed();
        await bench.pass(ms, Math.ceil(ms / 5));
      }
      const stop = new AbortController();
      const stopping = bench.announcer.stop(stop.signal);
      stop.abort();
      await stopping;
      for (const url of ["a", "b", "c", "d"]) {
        const its = bench.asked.filter((each) => each.url === url);
        const events = its.map(({ event }) => event);
        assert.ok(events.length === 0 || events[0] === "started", `${url}: ${events}`);
        assert.ok(events.filter((event) => event === "stopped").length <= 1);
        assert.ok(!events.slice(0, -1).includes("stopped"));
        const plain = its.filter(({ event }) => event === "none");
        for (const [index, { atMs }] of plain.entries())
          assert.ok(
            index === 0 || atMs - (plain[index - 1]?.atMs ?? 0) >= 11 * SECOND,
            `${url} is asked too often`,
          );
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });
});
