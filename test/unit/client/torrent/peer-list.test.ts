// Which address is connected to next, what is remembered of each, and that neither the number of addresses nor a bad source matters.
//
// One file, because each rule is one of the same list, and the last test breaks none of them by any order of calls.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type KnownPeer, PeerList, type PeerListOptions } from "../../../../src/client/torrent/peer-list.js";
import {
  PEER_ORIGINS,
  type PeerOutcome,
  type PeerSource,
  USER_SOURCE,
} from "../../../../src/client/torrent/peer-source.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

const TRACKER: PeerSource = { origin: "tracker" };
const EXCHANGE: PeerSource = { origin: "exchange" };

/** Pauses as long as they are in the mean. */
function makeList(options: PeerListOptions = {}): PeerList {
  return new PeerList({ random: () => 0.5, ...options });
}

function add(list: PeerList, host: string, source = USER_SOURCE, nowMs = 0): KnownPeer {
  const peer = list.add({ host, port: 6881 }, source, nowMs);
  assert.ok(peer !== undefined);
  return peer;
}

function due(list: PeerList, nowMs: number): KnownPeer[] {
  const peers: KnownPeer[] = [];
  for (let peer = list.next(nowMs); peer !== undefined; peer = list.next(nowMs)) peers.push(peer);
  for (const peer of peers) list.putBack(peer);
  return peers;
}

describe("PeerList", () => {
  it("an address is due at once, and once however often and by whomever it is named", () => {
    const list = makeList();
    const peer = add(list, "10.0.0.1", EXCHANGE);
    assert.equal(add(list, "10.0.0.1", TRACKER), peer);
    assert.equal(list.find("10.0.0.1", 6881), peer);
    assert.equal(list.find("10.0.0.1", 6882), undefined);
    assert.deepEqual(peer.sources, [EXCHANGE, TRACKER]);
    assert.equal(PEER_ORIGINS[peer.originRank], "tracker");
    assert.deepEqual(due(list, 0), [peer]);
    assert.equal(list.hasDue(0), true);
  });

  it("an address is one, however those who name it write it, and IPv4 is connected to as such", () => {
    const list = makeList();
    const peer = add(list, "2001:db8::1", TRACKER);
    for (const host of ["2001:db8:0:0:0:0:0:1", "2001:DB8::0.0.0.1"])
      assert.equal(add(list, host, EXCHANGE), peer, host);
    assert.equal(list.find("2001:0db8::1", 6881), peer);
    assert.equal(peer.host, "2001:db8::1");
    const mapped = add(list, "0:0:0:0:0:ffff:c000:201", EXCHANGE);
    assert.equal(mapped.host, "192.0.2.1");
    assert.equal(add(list, "192.0.2.1", TRACKER), mapped);
    assert.equal(list.size, 2);
    list.forget(peer);
    assert.equal(list.size, 1);
  });

  it("one that is being connected is not due", () => {
    const list = makeList();
    const peer = add(list, "10.0.0.1");
    assert.equal(list.next(0), peer);
    assert.deepEqual(due(list, 1e9), []);
    assert.deepEqual([list.hasDue(1e9), list.isExhausted], [false, false]);
    list.connected(peer);
    assert.deepEqual([list.hasDue(1e9), list.isExhausted], [false, false]);
  });

  /** One failure after another, each as soon as it is allowed; the pauses between them, in seconds. */
  const failing = (list: PeerList, peer: KnownPeer, times: number): number[] =>
    Array.from({ length: times }, () => {
      const fromMs = peer.retryAtMs;
      if (peer.tried) assert.equal(list.hasDue(fromMs - 1), false);
      assert.equal(list.next(fromMs), peer);
      list.ended(peer, "failed", fromMs);
      return (peer.retryAtMs - fromMs) / 1000;
    });

  it("pauses twice as long after each failure in a row, and gives up after five", () => {
    const list = makeList();
    const peer = add(list, "10.0.0.1", USER_SOURCE, 5000);
    assert.deepEqual(failing(list, peer, 4), [1, 2, 4, 8]);
    assert.deepEqual([peer.state, list.isExhausted], ["waiting", false]);
    failing(list, peer, 1);
    assert.deepEqual([peer.state, list.isExhausted], ["given-up", true]);
  });

  it("what was given up is tried while we miss pieces, at longer and longer intervals, and not by seeds", () => {
    const list = makeList();
    const peer = add(list, "10.0.0.1");
    failing(list, peer, 4);
    assert.deepEqual(failing(list, peer, 6), [60, 120, 240, 480, 480, 480]);
    assert.equal(list.isExhausted, true);
    assert.equal(list.next(peer.retryAtMs), peer);
    list.ended(peer, "useful", 0);
    assert.deepEqual(failing(list, peer, 5), [1, 2, 4, 8, 60], "as if nothing had been");
    list.setSeeding(true, 0);
    assert.deepEqual([list.hasDue(1e9), list.next(1e9)], [false, undefined]);
  });

  it("what was given up comes after all others, four of them at a time", () => {
    const list = makeList();
    const dead = Array.from({ length: 10 }, (_, index) => add(list, `10.0.0.${index}`));
    for (let nowMs = 0; dead.some(({ state }) => state !== "given-up"); nowMs += 10_000)
      for (let peer = list.next(nowMs); peer !== undefined; peer = list.next(nowMs))
        list.ended(peer, "failed", nowMs);
    const newcomer = add(list, "10.0.1.1");
    assert.equal(list.next(1e9), newcomer);
    const chances = Array.from({ length: 4 }, () => required(list.next(1e9), "the next peer"));
    assert.equal(new Set(chances).size, 4);
    assert.deepEqual([list.hasDue(1e9), list.next(1e9)], [false, undefined]);
    list.ended(entryOf(chances, 0), "failed", 1e9);
    list.connected(entryOf(chances, 1));
    assert.ok(
      dead.includes(required(list.next(1e9), "the next peer")) &&
        dead.includes(required(list.next(1e9), "the next peer")),
    );
    assert.equal(list.next(1e9), undefined);
  });

  it("a connection that stands and ends at once is a failure like any other", () => {
    const list = makeList();
    const peer = add(list, "10.0.0.1");
    const pauses = [1, 2, 4, 8, 60].map(() => {
      assert.equal(list.next(peer.retryAtMs), peer);
      list.connected(peer);
      const fromMs = peer.retryAtMs;
      list.ended(peer, "failed", fromMs);
      return (peer.retryAtMs - fromMs) / 1000;
    });
    assert.deepEqual(pauses, [1, 2, 4, 8, 60]);
  });

  it("pauses differ a little, so that two that failed together do not meet again", () => {
    const pauses = new Set<number>();
    const random = makeRandom(1);
    for (let round = 0; round < 20; round++) {
      const list = new PeerList({ random });
      const peer = add(list, "10.0.0.1");
      list.next(0);
      list.ended(peer, "failed", 0);
      assert.ok(peer.retryAtMs >= 750 && peer.retryAtMs <= 1250, `${peer.retryAtMs}`);
      pauses.add(Math.round(peer.retryAtMs));
    }
    assert.ok(pauses.size > 10);
  });

  it("is not given up for what is no failure: it was useful, it was connected already, nothing was wanted", () => {
    for (const outcome of ["useful", "duplicate", "idle"] as const) {
      const list = makeList();
      const peer = add(list, "10.0.0.1");
      let nowMs = 0;
      for (let round = 0; round < 20; round++) {
        assert.equal(list.next(nowMs), peer, `${outcome}, round ${round}`);
        list.ended(peer, outcome, nowMs);
        nowMs += 60_000;
      }
    }
  });

  it("one that brings blocks and breaks the protocol is never given up, one that only breaks it is", () => {
    for (const first of ["useful", "failed"] as const) {
      const list = makeList();
      const peer = add(list, "10.0.0.1");
      let nowMs = 0;
      const end = (outcome: PeerOutcome): void => {
        list.next(nowMs);
        list.ended(peer, outcome, nowMs);
        nowMs += 60_000;
      };
      end(first);
      for (let round = 0; round < 10; round++) if (peer.state === "waiting") end("misbehaved");
      assert.equal(peer.state, first === "useful" ? "waiting" : "given-up");
    }
  });

  it("reaches a live address after one attempt at each of a thousand dead ones at the most", () => {
    const list = makeList();
    for (let index = 0; index < 1000; index++) add(list, `10.0.${index >> 8}.${index & 255}`, USER_SOURCE);
    const live = add(list, "10.9.9.9", TRACKER);
    let nowMs = 0;
    let attempts = 0;
    for (;;) {
      const peer = list.next(nowMs);
      assert.ok(peer !== undefined, "somebody is due");
      attempts++;
      if (peer === live) break;
      // Each takes a second to fail: those that failed first are due again long before the last ones had their turn.
      nowMs += 1000;
      list.ended(peer, "failed", nowMs);
    }
    assert.ok(attempts <= 1001, `${attempts} attempts`);
  });

  it("untried first, then fewer failures, then who was useful last; kinds of sources in turns, then BEP 40", () => {
    const list = makeList({ ourAddress: { host: "123.213.32.10", port: 1 } });
    const failedTwice = add(list, "10.0.0.1");
    const failedOnce = add(list, "10.0.0.2");
    const usefulFirst = add(list, "10.0.0.3");
    const usefulLast = add(list, "10.0.0.4");
    const end = (peer: KnownPeer, outcome: PeerOutcome, nowMs: number): void => {
      while (list.next(nowMs) !== undefined);
      for (const each of [failedTwice, failedOnce, usefulFirst, usefulLast])
        if (each !== peer && each.state === "connecting") list.putBack(each);
      list.ended(peer, outcome, nowMs);
    };
    end(failedTwice, "failed", 0);
    end(failedTwice, "failed", 10_000);
    end(failedOnce, "failed", 20_000);
    end(usefulFirst, "useful", 20_001);
    end(usefulLast, "useful", 20_002);
    const exchanged = add(list, "98.76.54.32", EXCHANGE);
    // 0x99568189, which is less than the 0xec2d7224 of the other: the example of BEP 40.
    const near = add(list, "123.213.32.234", TRACKER);
    const far = add(list, "98.76.54.33", TRACKER);
    const ranked = [exchanged, near, far].sort((a, b) => b.priority - a.priority);
    assert.ok(ranked.indexOf(near) > ranked.indexOf(far) || near.priority > far.priority);
    const user = add(list, "10.0.0.5");
    const trackers = [near, far].sort((a, b) => b.priority - a.priority);
    assert.deepEqual(
      due(list, 100_000).map(({ host }) => host),
      [
        user,
        entryOf(trackers, 0),
        exchanged,
        entryOf(trackers, 1),
        usefulLast,
        usefulFirst,
        failedOnce,
        failedTwice,
      ].map(({ host }) => host),
    );
  });

  it("names those that only peers named as far as they are taken, and all others meanwhile", () => {
    const list = new PeerList();
    const exchanged = add(list, "10.0.0.1", EXCHANGE);
    const both = add(list, "10.0.0.2", EXCHANGE);
    const tracked = add(list, "10.0.0.3", TRACKER);
    assert.equal(list.next(0, false), tracked);
    assert.equal(list.next(0, false), undefined);
    assert.equal(list.hasDue(0, false), false);
    assert.equal(list.hasDue(0), true);
    add(list, "10.0.0.2", TRACKER);
    assert.equal(list.next(0, false), both);
    list.ended(tracked, "failed", 0);
    assert.equal(list.next(10_000, false), tracked);
    assert.equal(list.next(10_000), exchanged);
    assert.equal(list.next(10_000), undefined);
  });

  it("an address that was given up has another chance: at once if the user names it, later if others do", () => {
    const list = makeList();
    const peer = add(list, "10.0.0.1");
    list.giveUp(peer);
    assert.equal(list.isExhausted, true);
    assert.deepEqual(due(list, 1e9), [], "the user did");
    add(list, "10.0.0.1", TRACKER, 1000);
    assert.deepEqual(due(list, 1000), []);
    assert.deepEqual(due(list, 61_000), [peer]);
    assert.equal(list.next(61_000), peer);
    list.ended(peer, "failed", 61_000);
    assert.equal(peer.state, "given-up", "which is one attempt");
    add(list, "10.0.0.1", USER_SOURCE, 62_000);
    assert.deepEqual([peer.state, peer.failures], ["waiting", 0]);
    assert.deepEqual(due(list, 62_000), [peer]);
  });

  it("one that is banned, or ourselves, stays out whoever names it", () => {
    for (const outcome of ["banned", "self"] as const) {
      const list = makeList();
      const peer = add(list, "10.0.0.1");
      list.next(0);
      list.ended(peer, outcome, 0);
      for (const source of [USER_SOURCE, TRACKER]) add(list, "10.0.0.1", source, 1000);
      assert.deepEqual(due(list, 1e9), []);
      assert.equal(list.isExhausted, true);
    }
  });

  it("seeds are not tried any more once we are one, others are", () => {
    const list = makeList();
    const [seed, later, leecher] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((host) => add(list, host));
    while (list.next(0) !== undefined);
    list.ended(required(seed, "seed"), "useful", 0);
    required(seed, "seed").isSeed = true;
    list.ended(required(leecher, "leecher"), "useful", 0);
    list.setSeeding(true, 0);
    list.ended(required(later, "later"), "seed", 0);
    assert.deepEqual(due(list, 1e9), [leecher]);
    assert.deepEqual(
      [required(seed, "seed").state, required(later, "later").state, list.isExhausted],
      ["parked", "parked", false],
    );
    add(list, "10.0.0.1", TRACKER);
    assert.equal(required(seed, "seed").state, "parked");
  });

  it("tells all who brought an address how it did", () => {
    const told: string[] = [];
    const source = (origin: PeerSource["origin"]): PeerSource => ({
      origin,
      peerEnded: ({ host, port }, outcome) => told.push(`${origin} ${host}:${port} ${outcome}`),
    });
    const list = makeList();
    const peer = add(list, "10.0.0.1", source("tracker"));
    add(list, "10.0.0.1", source("dht"));
    list.next(0);
    list.ended(peer, "useful", 0);
    assert.deepEqual(told, ["tracker 10.0.0.1:6881 useful", "dht 10.0.0.1:6881 useful"]);
  });

  it("no stranger's source fills more than half of it, and the user's addresses always have room", () => {
    const list = makeList({ max: 100 });
    let index = 0;
    const host = (): string => `10.${index >> 16}.${(index >> 8) & 255}.${index++ & 255}`;
    for (let count = 0; count < 1000; count++) list.add({ host: host(), port: 1 }, EXCHANGE, 0);
    assert.equal(list.size, 50);
    for (let count = 0; count < 1000; count++) list.add({ host: host(), port: 1 }, TRACKER, 0);
    assert.equal(list.size, 100);
    const named = Array.from({ length: 60 }, () => list.add({ host: host(), port: 1 }, USER_SOURCE, 0));
    assert.ok(named.every((peer) => peer !== undefined));
    assert.equal(list.size, 100);
    assert.equal(
      named.filter((peer) => list.find(required(peer, "peer").host, 1) !== undefined).length,
      60,
      "those of strangers went for them",
    );
    assert.equal(list.add({ host: host(), port: 1 }, EXCHANGE, 0), undefined);
  });

  it("what was given up makes room first", () => {
    const list = makeList({ max: 10 });
    const peers = Array.from({ length: 10 }, (_, index) => add(list, `10.0.0.${index}`));
    list.giveUp(entryOf(peers, 7));
    add(list, "10.0.1.1");
    assert.equal(list.find("10.0.0.7", 6881), undefined);
    assert.equal(list.size, 10);
  });

  it("whoever named most of what peers name makes room for whoever named fewer, and nobody for who names more", () => {
    const list = makeList({ max: 32 });
    const tell = (teller: string, host: string): boolean =>
      list.add({ host, port: 1 }, EXCHANGE, 0, teller) !== undefined;
    for (let number = 0; number < 10; number++) assert.ok(tell("a liar", `10.0.1.${number}`));
    for (let number = 0; number < 6; number++) assert.ok(tell("another", `10.0.2.${number}`));
    assert.equal(tell("a liar", "10.0.1.10"), false, "it has most");
    assert.ok(tell("honest", "10.0.3.1"), "it has none");
    assert.equal(list.find("10.0.1.0", 1), undefined, "the first of whoever named most");
    assert.ok(tell("another", "10.0.2.6"));
    assert.ok(tell("another", "10.0.2.7") === false, "it would have as many");
    for (let number = 0; number < 500; number++) tell("a liar", `10.0.4.${number % 250}`);
    assert.ok(list.find("10.0.3.1", 1) !== undefined, "whoever has few keeps them");
    assert.equal(list.size, 16);
  });

  it("no address at all is exhausted", () => {
    assert.equal(makeList().isExhausted, true);
  });

  it("keeps its books whatever happens: nobody is lost, nobody is in two places, the bound holds", () => {
    const outcomes: PeerOutcome[] = [
      "useful",
      "idle",
      "failed",
      "misbehaved",
      "duplicate",
      "seed",
      "self",
      "banned",
    ];
    check(
      fc.property(fc.integer(), (seed) => {
        const random = makeRandom(seed);
        const list = new PeerList({ max: 40, random });
        const sources = PEER_ORIGINS.map((origin): PeerSource => ({ origin }));
        const out = new Set<KnownPeer>();
        let nowMs = 0;
        for (let step = 0; step < 300; step++) {
          nowMs += Math.floor(random() * 3000);
          const dice = random();
          const any = [...out][Math.floor(random() * out.size)];
          if (dice < 0.45) {
            const source = entryOf(sources, Math.floor(random() * sources.length));
            const teller = source.origin === "exchange" ? `teller ${Math.floor(random() * 3)}` : undefined;
            list.add({ host: `10.0.0.${Math.floor(random() * 80)}`, port: 1 }, source, nowMs, teller);
          } else if (dice < 0.7) {
            const expected = list.hasDue(nowMs);
            const peer = list.next(nowMs);
            assert.equal(peer !== undefined, expected);
            if (peer !== undefined) {
              assert.ok(!out.has(peer) && peer.retryAtMs <= nowMs);
              out.add(peer);
              if (random() < 0.5) list.connected(peer);
            }
          } else if (dice < 0.99 && any !== undefined) {
            out.delete(any);
            list.ended(any, entryOf(outcomes, Math.floor(random() * outcomes.length)), nowMs);
            if (random() < 0.1) list.forget(any);
          } else if (dice > 0.998) list.setSeeding(dice > 0.999, nowMs);
          assert.ok(list.size <= 40);
          for (const peer of out)
            assert.equal(list.find(peer.host, 1), peer, "one that is in use is remembered");
        }
      }),
      100,
    );
  });
});
