// The peer store against a Map of Maps: the same counts, the same peers, whatever comes in what order; and what bounds it.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  EVENT_COMPLETED,
  EVENT_NONE,
  EVENT_STARTED,
  EVENT_STOPPED,
} from "../../../../src/tracker/peer-store/contract.js";
import { PeerStore, type PeerStoreOptions } from "../../../../src/tracker/peer-store/peer-store.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { announce, announcement, endpointsIn, KEY, Model, Sink, scrape } from "./model.js";

const TICK_MS = 30_000;

function makeStore(options: Partial<PeerStoreOptions> = {}): PeerStore {
  // One round of expiry in each advance().
  return new PeerStore({ key: KEY, bytesMax: 2 ** 26, collectMs: 1, ...options });
}

describe("peer store", () => {
  const mixes: [name: string, torrents: number, peers: number, steps: number, cases: number][] = [
    ["many torrents with few peers", 3000, 5, 12_000, 8],
    ["some torrents with some peers", 30, 60, 6000, 12],
    ["few torrents with many peers", 2, 1500, 12_000, 8],
  ];
  for (const [name, torrents, peers, steps, cases] of mixes) {
    it(`${name}: says what a Map of Maps says`, () => {
      const property = fc.property(fc.nat(), (seed) => {
        const random = makeRandom(seed);
        const roll = (below: number): number => Math.floor(random() * below);
        const store = makeStore({ random });
        const model = new Model();
        let nowMs = 0;
        // Times of growing and of shrinking take turns.
        let stopping = 0.1;
        for (let step = 0; step < steps; step++) {
          if (roll(steps / 6) === 0) stopping = entryOf([0.02, 0.1, 0.6, 0.9], roll(4));
          if (roll(steps / 40) === 0) {
            nowMs += TICK_MS * roll(20);
            for (let round = 0; round < 60; round++) store.advance(nowMs + 400 * round);
            model.expire(nowMs / TICK_MS);
            store.checkInvariants();
          }
          const event =
            random() < stopping
              ? EVENT_STOPPED
              : entryOf([EVENT_NONE, EVENT_STARTED, EVENT_COMPLETED], roll(3));
          const peer = { family: random() < 0.7 ? 4 : 6, number: roll(peers) } as const;
          // Some say that they have completed, and that something is left: a download is counted of whoever has it all.
          const seeder = event === EVENT_COMPLETED ? roll(4) > 0 : roll(3) === 0;
          const want = entryOf([0, 1, 30, 200], roll(4));
          model.announce(store, roll(torrents), peer, seeder, event, want, peers < 100);
        }
        model.compare(store, torrents);
        store.checkInvariants();
        // All lifetimes pass: nothing is left, and nothing is held.
        store.advance(nowMs + 40 * TICK_MS);
        store.advance(nowMs + 41 * TICK_MS);
        for (let round = 0; round < 200; round++) store.advance(nowMs + 41 * TICK_MS + 1000 * round);
        const { torrents: left, peersV4, peersV6 } = store.totals();
        assert.deepEqual({ left, peersV4, peersV6 }, { left: 0, peersV4: 0, peersV6: 0 });
        store.checkInvariants();
      });
      check(property, cases);
    });
  }

  it("gives memory back: blocks of peers, records, and the index", () => {
    const store = makeStore();
    const sink = new Sink();
    const empty = store.totals().bytes;
    for (let number = 0; number < 20_000; number++)
      announce(store, announcement(number % 40, { family: 4, number }, false, EVENT_STARTED, 0), sink);
    for (let number = 0; number < 10_000; number++)
      announce(store, announcement(100 + number, { family: 4, number: 1 }, true, EVENT_STARTED, 0), sink);
    const full = store.totals();
    assert.deepEqual([full.torrents, full.peersV4], [10_040, 30_000]);
    assert.ok(full.bytes < 20_000 * 16 + 10_000 * 49 + empty, `${full.bytes} bytes`);
    for (let number = 0; number < 20_000; number++)
      announce(store, announcement(number % 40, { family: 4, number }, false, EVENT_STOPPED, 0), sink);
    for (let number = 0; number < 10_000; number++)
      announce(store, announcement(100 + number, { family: 4, number: 1 }, true, EVENT_STOPPED, 0), sink);
    // A table that has become too large shrinks step by step, as long as something changes.
    for (let number = 0; number < 10_000; number++) {
      announce(store, announcement(0, { family: 4, number: 1 }, true, EVENT_STARTED, 0), sink);
      announce(store, announcement(0, { family: 4, number: 1 }, true, EVENT_STOPPED, 0), sink);
    }
    assert.equal(store.totals().bytes, empty);
  });

  it("tells everybody of everybody, sooner or later, in a large swarm too", () => {
    for (const peers of [5, 40, 1000]) {
      const store = makeStore({ random: makeRandom(peers) });
      for (let number = 0; number < peers; number++)
        announce(
          store,
          announcement(0, { family: 4, number }, number % 3 === 0, EVENT_STARTED, 0),
          new Sink(),
        );
      const told = new Map<string, number>();
      const rounds = 20 * peers;
      for (let round = 0; round < rounds; round++) {
        const sink = new Sink();
        announce(store, announcement(0, { family: 4, number: 1 }, false, EVENT_NONE, 4), sink);
        for (const each of endpointsIn(sink, 4)) told.set(each, (told.get(each) ?? 0) + 1);
      }
      assert.equal(told.size, peers - 1);
      const most = Math.max(...told.values());
      // Each is told of 80 times on average.
      assert.ok(most < 80 * 8, `nobody is told of ${most} times`);
    }
  });

  it("keeps to the number of torrents: whoever was not heard of for longest goes", () => {
    const store = makeStore({ torrentsMax: 100, lifetimeMs: 32 * TICK_MS, collectMs: 32 * TICK_MS });
    const peer = { family: 4, number: 1 } as const;
    for (let torrent = 0; torrent < 100; torrent++) {
      store.advance(torrent < 50 ? 0 : 10 * TICK_MS);
      announce(store, announcement(torrent, peer, true, EVENT_STARTED, 0), new Sink());
    }
    for (let torrent = 100; torrent < 130; torrent++)
      announce(store, announcement(torrent, peer, true, EVENT_STARTED, 0), new Sink());
    assert.equal(store.totals().torrents, 100);
    assert.equal(store.counters.torrentsEvicted, 30);
    const young = Array.from({ length: 50 }, (_, index) => scrape(store, 50 + index));
    // Eight records are looked at for each: that all of them are young has a chance of 1 in 256 at first, 1 in 5 at last.
    assert.ok(young.filter(Boolean).length >= 40);
    for (let torrent = 120; torrent < 130; torrent++) assert.ok(scrape(store, torrent));
    store.checkInvariants();
  });

  it("keeps to its memory under a flood of torrents and of peers", () => {
    const bytesMax = 2 ** 20;
    const store = makeStore({ bytesMax, collectMs: 60_000, random: makeRandom(1) });
    const sink = new Sink();
    for (let number = 0; number < 60_000; number++) {
      sink.at = 0;
      announce(store, announcement(number, { family: 4, number: 1 }, true, EVENT_STARTED, 0), sink);
      assert.ok(store.totalBytes <= bytesMax, `${store.totalBytes} bytes`);
    }
    assert.ok(store.counters.torrentsEvicted > 20_000);
    for (let number = 0; number < 200_000; number++) {
      sink.at = 0;
      const family = number % 2 === 0 ? 4 : 6;
      announce(
        store,
        announcement(number % 70, { family, number: number >>> 3 }, false, EVENT_STARTED, 5),
        sink,
      );
      assert.ok(store.totalBytes <= bytesMax, `${store.totalBytes} bytes`);
    }
    const { peersV4, peersV6, bytes } = store.totals();
    assert.ok(peersV4 + peersV6 > 20_000, `${peersV4} and ${peersV6} peers in ${bytes} bytes`);
    store.checkInvariants();
  });

  it("keeps to the number of peers of a torrent: the oldest makes room", () => {
    const store = makeStore({ peersPerTorrentMax: 50 });
    for (let number = 0; number < 60; number++) {
      store.advance(number * TICK_MS);
      if (number >= 30) continue;
      for (const family of [4, 6] as const)
        for (const copy of [0, 1])
          announce(
            store,
            announcement(0, { family, number: number + 1000 * copy }, false, EVENT_STARTED, 0),
            new Sink(),
          );
    }
    assert.ok(store.totals().peersV4 <= 50);
    const other = makeStore({ peersPerTorrentMax: 300 });
    for (let number = 0; number < 2000; number++)
      announce(other, announcement(0, { family: 4, number }, number % 2 === 0, EVENT_STARTED, 0), new Sink());
    assert.ok(scrape(other, 0));
    assert.equal(other.seeders + other.leechers, 300);
    assert.equal(other.totals().peersV4, 300);
    other.checkInvariants();
    const last = announcement(0, { family: 4, number: 1999 }, false, EVENT_STOPPED, 0);
    announce(other, last, new Sink());
    assert.equal(other.totals().peersV4, 299);
  });

  it("an address brings so many new torrents a minute, and the /64 counts for IPv6", () => {
    const store = makeStore({ newTorrentsPerMinute: 10 });
    store.advance(1000);
    const flood = (family: 4 | 6, addresses: number, from: number): number => {
      const before = store.totals().torrents;
      for (let torrent = 0; torrent < 50; torrent++) {
        const request = announcement(from + torrent, { family, number: 0 }, true, EVENT_STARTED, 0);
        // The low half of an IPv6 address is its owner's to choose.
        request.address[family === 4 ? 0 : 3] = 77 + (torrent % addresses);
        announce(store, request, new Sink());
      }
      return store.totals().torrents - before;
    };
    assert.equal(flood(4, 1, 0), 10);
    assert.equal(store.counters.torrentsOverBudget, 40);
    assert.equal(flood(4, 2, 100), 10);
    assert.equal(flood(6, 50, 200), 10);
    // Whoever is over budget may still announce what is known.
    const known = announcement(0, { family: 4, number: 5 }, false, EVENT_STARTED, 5);
    known.address[0] = 77;
    assert.equal(announce(store, known, new Sink()), 1);
    store.advance(61_000);
    assert.equal(flood(4, 1, 300), 10);
  });

  it("a /48 of IPv6, which one owner may have, brings eight times what a /64 of it does", () => {
    const store = makeStore({ newTorrentsPerMinute: 10, peersPerAddressMax: 5 });
    store.advance(1000);
    /** An announce from the `network`-th /64 of a site. */
    const from = (site: number, network: number, torrent: number): void => {
      const request = announcement(torrent, { family: 6, number: 0 }, true, EVENT_STARTED, 0);
      const bytes = new Uint8Array(request.address.buffer, 0, 16);
      bytes.set([0x20, 0x01, 0x0d, 0xb8, site >> 8, site & 255, network >> 8, network & 255]);
      announce(store, request, new Sink());
    };
    const torrentsOf = (site: number, first: number): number => {
      const before = store.totals().torrents;
      for (let at = 0; at < 1000; at++) from(site, at, first + at);
      return store.totals().torrents - before;
    };
    assert.equal(torrentsOf(1, 0), 80);
    assert.equal(torrentsOf(2, 1000), 80, "whatever another site brings");
    const peersOf = (site: number, torrent: number): number => {
      const before = store.totals().peersV6;
      for (let at = 0; at < 1000; at++) from(site, at, torrent);
      return store.totals().peersV6 - before;
    };
    assert.equal(peersOf(3, 0), 40, "peers of a torrent, in a lifetime");
    assert.equal(peersOf(4, 0), 40);
    assert.equal(peersOf(4, 1), 40);
  });

  it("an address pushes out so many torrents a minute once memory is full, by new ones or by peers", () => {
    const store = makeStore({ torrentsMax: 100, evictionsPerMinute: 7, collectMs: 60_000 });
    store.advance(1000);
    const bring = (torrent: number, address: number): void => {
      const request = announcement(torrent, { family: 4, number: 0 }, true, EVENT_STARTED, 0);
      request.address[0] = address;
      announce(store, request, new Sink());
    };
    // While there is room nobody is asked.
    for (let torrent = 0; torrent < 100; torrent++) bring(torrent, 77);
    assert.deepEqual([store.totals().torrents, store.counters.torrentsEvicted], [100, 0]);
    for (let torrent = 100; torrent < 150; torrent++) bring(torrent, 78);
    assert.deepEqual([store.counters.torrentsEvicted, store.counters.torrentsOverBudget], [7, 43]);
    bring(200, 79);
    assert.equal(store.counters.torrentsEvicted, 8);
    store.advance(61_000);
    bring(300, 78);
    assert.equal(store.counters.torrentsEvicted, 9);

    // A megabyte of swarms, and peers of one address that fill it: they push out as few.
    const small = makeStore({ bytesMax: 2 ** 20, evictionsPerMinute: 7, collectMs: 60_000 });
    small.advance(1000);
    for (let number = 0; number < 200_000; number++) {
      const request = announcement(
        number % 1000,
        { family: 4, number: number >>> 3 },
        false,
        EVENT_STARTED,
        0,
      );
      request.address[0] = 77;
      request.port = 1 + Math.floor(number / 1000);
      announce(small, request, new Sink());
    }
    assert.ok(small.counters.peersRefused > 0, "memory was full");
    assert.ok(small.counters.torrentsEvicted <= 7, `${small.counters.torrentsEvicted} were pushed out`);
  });

  it("an address adds so many peers to a torrent in a lifetime, and the /64 counts for IPv6", () => {
    const lifetimeMs = 32 * TICK_MS;
    const store = makeStore({ peersPerAddressMax: 5, lifetimeMs, collectMs: lifetimeMs });
    store.advance(1000);
    const add = (torrent: number, family: 4 | 6, address: number, ports: number): number => {
      const peers = (): number => store.totals().peersV4 + store.totals().peersV6;
      const before = peers();
      for (let port = 1; port <= ports; port++) {
        const request = announcement(torrent, { family, number: 0 }, true, EVENT_STARTED, 5);
        request.address[family === 4 ? 0 : 1] = address;
        // The low half of an IPv6 address is its owner's to choose.
        if (family === 6) request.address[3] = port;
        request.port = port;
        announce(store, request, new Sink());
      }
      return peers() - before;
    };
    // The first peer of a torrent is nobody's share.
    assert.equal(add(0, 4, 77, 100), 6);
    assert.equal(store.counters.peersOverBudget, 94);
    assert.equal(add(0, 4, 78, 3), 3);
    assert.equal(add(1, 4, 77, 100), 6);
    assert.equal(add(0, 6, 77, 100), 6);
    // Whoever is there announces on, however often, and whoever is not added is told of peers all the same.
    const known = announcement(0, { family: 4, number: 0 }, false, EVENT_STARTED, 5);
    known.address[0] = 77;
    known.port = 3;
    for (let again = 0; again < 20; again++) assert.equal(announce(store, known, new Sink()), 5);
    known.port = 4000;
    assert.equal(announce(store, known, new Sink()), 5);
    assert.equal(store.counters.peersOverBudget, 94 + 94 + 94 + 1);
    // Of this machine there may be any number: tests of swarms, and benchmarks.
    const [loopback = 0] = new Uint32Array(Uint8Array.of(127, 0, 0, 9).buffer);
    assert.equal(add(2, 4, loopback, 100), 100);
    store.advance(lifetimeMs + 1000);
    known.port = 5000;
    assert.ok(announce(store, known, new Sink()) > 0);
    assert.equal(store.counters.peersOverBudget, 94 + 94 + 94 + 1);
  });

  it("spreads hashes that somebody chose for another key", () => {
    const random = makeRandom(11);
    const words = (): Uint32Array => Uint32Array.from({ length: 5 }, () => Math.floor(random() * 2 ** 32));
    const guessed = makeStore();
    const store = makeStore({ key: Uint32Array.of(9, 8, 7, 6) });
    // All of them for one place in 256, by the first bits, which choose a place of the index, and by the last, which choose a part.
    const chosen: Uint32Array[] = [];
    while (chosen.length < 500) {
      const hash = words();
      if (guessed.hash(hash, 0) >>> 28 === 3 && (guessed.hash(hash, 0) & 15) === 5) chosen.push(hash);
    }
    for (const placeOf of [(hash: number) => hash >>> 28, (hash: number) => hash & 15]) {
      const counts = new Uint32Array(16);
      for (const hash of chosen)
        counts[placeOf(store.hash(hash, 0))] = entryOf(counts, placeOf(store.hash(hash, 0))) + 1;
      // 31 each on the average; 80 is nine deviations away.
      assert.ok(Math.max(...counts) < 80, `${counts}`);
    }
  });

  it("hashes to numbers that are handed on without being allocated: 32 bits with sign", () => {
    const random = makeRandom(12);
    const store = makeStore();
    const signs = new Set<boolean>();
    for (let times = 0; times < 100; times++) {
      const words = Uint32Array.from({ length: 5 }, () => Math.floor(random() * 2 ** 32));
      const hash = store.hash(words, 0);
      assert.equal(hash, hash | 0);
      signs.add(hash < 0);
    }
    assert.equal(signs.size, 2, "half of them are below 0");
  });

  it("refuses options that make no sense", () => {
    for (const options of [
      { bytesMax: 0 },
      { torrentsMax: 0 },
      { torrentsMax: 1.5 },
      { lifetimeMs: Number.NaN },
      { evictionsPerMinute: -1 },
      { peersPerAddressMax: 0.5 },
    ])
      assert.throws(() => makeStore(options), /is a whole number from \d+ to \d+, not /);
  });
});
