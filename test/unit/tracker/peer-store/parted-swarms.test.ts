// Swarms that threads share: views of one memory that take turns say what a Map of Maps says; real threads that announce at the same
// time lose nothing; and what a thread that was ended had taken is given back.

import { strict as assert } from "node:assert";
import { once } from "node:events";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import {
  EVENT_COMPLETED,
  EVENT_NONE,
  EVENT_STARTED,
  EVENT_STOPPED,
} from "../../../../src/tracker/peer-store/contract.js";
import {
  makePartedSwarms,
  PartedSwarms,
  type PartedSwarmsMemory,
} from "../../../../src/tracker/peer-store/parted-swarms.js";
import { SharedLocks } from "../../../../src/tracker/peer-store/shared-locks.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { announce, announcement, hashWords, KEY, Model, Sink, scrape } from "./model.js";

const TICK_MS = 30_000;
const PEER = { family: 4, number: 1 } as const;

function makeMemory(
  threads: number,
  options: Partial<PartedSwarmsMemory["options"]> = {},
): PartedSwarmsMemory {
  return makePartedSwarms(threads, { key: KEY, bytesMax: 2 ** 27, collectMs: 1, ...options });
}

/** Counts what is there torrent by torrent, and compares it with the totals. */
function assertWhole(swarms: PartedSwarms): void {
  const { torrents, peersV4, peersV6 } = swarms.totals();
  const words = new Uint32Array(5 * (torrents + 1));
  assert.equal(swarms.copyHashes(0, torrents + 1, words), torrents);
  let peers = 0;
  for (let index = 0; index < torrents; index++) {
    assert.ok(swarms.scrape(swarms.hash(words, 5 * index), words, 5 * index), "a torrent is found");
    assert.ok(swarms.seeders + swarms.leechers > 0, "a torrent has a peer");
    peers += swarms.seeders + swarms.leechers;
  }
  assert.equal(peers, peersV4 + peersV6);
  swarms.checkInvariants();
}

function start(memory: PartedSwarmsMemory, thread: number, work: object): Worker {
  return new Worker(new URL("./parted-swarms-worker.js", import.meta.url), {
    workerData: { memory, thread, ...work },
  });
}

describe("parted swarms", () => {
  const mixes: [name: string, torrents: number, peers: number, steps: number, cases: number][] = [
    ["many torrents with few peers", 20_000, 3, 25_000, 3],
    ["few torrents with many peers", 4, 600, 6000, 4],
  ];
  for (const [name, torrents, peers, steps, cases] of mixes) {
    it(`${name}: views that take turns say what a Map of Maps says`, () => {
      const property = fc.property(fc.nat(), (seed) => {
        const random = makeRandom(seed);
        const roll = (below: number): number => Math.floor(random() * below);
        const memory = makeMemory(2);
        const views = [0, 1, 2].map((thread) => new PartedSwarms(memory, thread));
        const model = new Model();
        let nowMs = 0;
        let stopping = 0.05;
        for (let step = 0; step < steps; step++) {
          if (roll(steps / 4) === 0) stopping = entryOf([0.02, 0.1, 0.9], roll(3));
          if (roll(steps / 4) === 0) {
            nowMs += TICK_MS * roll(20);
            for (let round = 0; round < 500; round++) entryOf(views, 0).advance(nowMs + 50 * round);
            model.expire(nowMs / TICK_MS);
          }
          const event =
            random() < stopping
              ? EVENT_STOPPED
              : entryOf([EVENT_NONE, EVENT_STARTED, EVENT_COMPLETED], roll(3));
          const peer = { family: random() < 0.7 ? 4 : 6, number: roll(peers) } as const;
          const seeder = event === EVENT_COMPLETED || roll(3) === 0;
          model.announce(entryOf(views, roll(3)), roll(torrents), peer, seeder, event, 30, peers < 100);
        }
        for (const view of views) model.compare(view as never, torrents);
        assertWhole(entryOf(views, 2));
      });
      check(property, cases);
    });
  }

  it("divides bounds among parts, and shares the budget of an address", () => {
    const memory = makeMemory(4, { torrentsMax: 64, newTorrentsPerMinute: 100 });
    const [one, other] = [new PartedSwarms(memory, 1), new PartedSwarms(memory, 2)];
    new PartedSwarms(memory, 0).advance(60_000);
    for (let torrent = 0; torrent < 400; torrent++)
      announce(
        torrent % 2 === 0 ? one : other,
        announcement(torrent, PEER, true, EVENT_STARTED, 0),
        new Sink(),
      );
    assert.equal(one.counters.torrentsOverBudget + other.counters.torrentsOverBudget, 300);
    assert.ok(one.totals().torrents <= 64);
    assert.equal(
      one.counters.torrentsEvicted + other.counters.torrentsEvicted + one.totals().torrents,
      100,
      "each of a hundred is there or made room",
    );
  });

  it("shares what an address may push out, and counts its peers of a torrent, whichever thread it asks", () => {
    const open = (options: object): readonly [PartedSwarms, PartedSwarms] => {
      const memory = makeMemory(4, options);
      new PartedSwarms(memory, 0).advance(60_000);
      return [new PartedSwarms(memory, 1), new PartedSwarms(memory, 2)];
    };
    const bring = (views: readonly [PartedSwarms, PartedSwarms], torrent: number, port: number): void => {
      const request = announcement(torrent, PEER, true, EVENT_STARTED, 0);
      request.address[0] = 77;
      request.port = port;
      announce(views[(port & 1) as 0 | 1], request, new Sink());
    };
    const few = open({ torrentsMax: 64, evictionsPerMinute: 20 });
    for (let torrent = 0; torrent < 400; torrent++) bring(few, torrent, 1 + torrent);
    assert.equal(few[0].counters.torrentsEvicted + few[1].counters.torrentsEvicted, 20);
    const many = open({ peersPerAddressMax: 5 });
    for (let port = 1; port <= 100; port++) bring(many, 0, port);
    // One with the torrent, and five.
    assert.equal(many[0].totals().peersV4, 6);
    assert.equal(many[0].counters.peersOverBudget + many[1].counters.peersOverBudget, 94);
  });

  it("answers nothing while somebody holds a part, and clears what a thread that died had", () => {
    const memory = makeMemory(1);
    const keeper = new PartedSwarms(memory, 0);
    for (let torrent = 0; torrent < 1000; torrent++)
      announce(keeper, announcement(torrent, PEER, true, EVENT_STARTED, 0), new Sink());
    const part = keeper.hash(hashWords(7), 0) & (memory.parts - 1);
    const dead = new SharedLocks(memory.locks, 1);
    assert.ok(dead.take(part));
    assert.equal(scrape(keeper, 7), false);
    assert.equal(announce(keeper, announcement(7, PEER, true, EVENT_STARTED, 0), new Sink()), -1);
    assert.equal(keeper.locks.abandoned, 2);
    const { sleeps } = keeper.locks;
    for (let again = 0; again < 100; again++) assert.equal(scrape(keeper, 7), false);
    assert.equal(keeper.locks.sleeps, sleeps, "nobody sleeps a second time for a lock that was given up");
    assert.equal(keeper.recover(2), 0, "it was another thread");
    assert.equal(keeper.recover(1), 1);
    assert.equal(keeper.recover(1), 0);
    const left = keeper.totals().torrents;
    assert.ok(left < 1000 && left > 1000 - (3 * 1000) / memory.parts, `${left} of 1000 are left`);
    assertWhole(keeper);
    announce(keeper, announcement(7, PEER, true, EVENT_STARTED, 0), new Sink());
    assert.ok(scrape(keeper, 7));
  });

  it("a part in which something throws is empty, and free, after it", () => {
    const memory = makeMemory(1);
    let fails = true;
    const swarms = new PartedSwarms(memory, 0, (store) => {
      const { announce: whole } = store;
      return Object.assign(store, {
        announce: (...request: Parameters<typeof whole>) => {
          const told = whole.apply(store, request);
          if (fails) throw new Error("in the middle");
          return told;
        },
      });
    });
    assert.throws(
      () => announce(swarms, announcement(1, PEER, true, EVENT_STARTED, 0), new Sink()),
      /in the middle/,
    );
    assert.equal(swarms.totals().torrents, 0);
    fails = false;
    announce(swarms, announcement(1, PEER, true, EVENT_STARTED, 0), new Sink());
    assert.ok(scrape(swarms, 1));
  });

  it("threads that announce at one time lose nothing", { timeout: 120_000 }, async () => {
    const memory = makeMemory(2);
    const keeper = new PartedSwarms(memory, 0);
    // Each thread has peers of its own, in the same torrents: many small ones, and one that grows large.
    const work = { torrents: 3000, peers: 8, crowd: 4000, rounds: 2 };
    const threads = [1, 2].map((thread) => start(memory, thread, work));
    const ended = threads.map(async (thread) => {
      // It may have ended before anybody here has read what it said.
      const exited = once(thread, "exit");
      const [told] = (await once(thread, "message")) as [{ abandoned: number }];
      await exited;
      return told.abandoned;
    });
    // What could not be had in time, on a busy machine, is missing; it was counted.
    const abandoned = (await Promise.all(ended)).reduce((sum, count) => sum + count, 0);
    const { torrents, peersV4 } = keeper.totals();
    if (abandoned === 0) assert.deepEqual([torrents, peersV4], [3001, 2 * (3000 * 8 + 4000)]);
    else assert.ok(peersV4 >= 2 * (3000 * 8 + 4000) - abandoned);
    assertWhole(keeper);
  });

  it("threads that are ended in the middle leave swarms that hold", { timeout: 120_000 }, async () => {
    const memory = makeMemory(2);
    const keeper = new PartedSwarms(memory, 0);
    let cleared = 0;
    for (let round = 0; round < 12; round++) {
      const thread = start(memory, 1, {
        torrents: 50,
        peers: 300,
        crowd: 20_000,
        rounds: Number.MAX_SAFE_INTEGER,
      });
      await once(thread, "message");
      // So much is under way when it ends; where, is chance.
      await new Promise((resolve) => setTimeout(resolve, 5 * round));
      await thread.terminate();
      cleared += keeper.recover(1);
      assertWhole(keeper);
      announce(keeper, announcement(round, PEER, true, EVENT_STARTED, 0), new Sink());
      assert.ok(scrape(keeper, round), "swarms go on");
    }
    assert.equal(keeper.partsCleared, cleared);
    assert.equal(keeper.recover(1), 0);
  });
});
