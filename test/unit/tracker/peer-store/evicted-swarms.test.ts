// Large swarms that make room for others: gone at once, as a Map of Maps that forgets them would have it, while their memory comes back by and by.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EVENT_STARTED, EVENT_STOPPED } from "../../../../src/tracker/peer-store/contract.js";
import { PeerStore, type PeerStoreOptions } from "../../../../src/tracker/peer-store/peer-store.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { announce, announcement, KEY, Model, Sink, scrape } from "./model.js";

const TICK_MS = 30_000;

function makeStore(options: Partial<PeerStoreOptions>): PeerStore {
  // One round of expiry in each advance().
  return new PeerStore({ key: KEY, bytesMax: 2 ** 26, collectMs: 1, ...options });
}

describe("large swarms that are pushed out", () => {
  it("come and go again and again: the store says what a Map of Maps says, and loses no block", () => {
    const torrents = 12;
    const property = fc.property(fc.nat(), (seed) => {
      const random = makeRandom(seed);
      const roll = (below: number): number => Math.floor(random() * below);
      const store = makeStore({ random, torrentsMax: 3 });
      const model = new Model();
      let nowMs = 0;
      let evicted = 0;
      for (let burst = 0; burst < 30; burst++) {
        const torrent = roll(torrents);
        const family = roll(3) > 0 ? 4 : 6;
        const stops = roll(8) === 0;
        const peers = stops ? 9000 : 1 + roll(entryOf([10, 3000, 9000], roll(3)));
        for (let number = 0; number < peers; number++) {
          const event = stops ? EVENT_STOPPED : EVENT_STARTED;
          const known = store.counters.torrentsEvicted;
          const sink = new Sink();
          announce(store, announcement(torrent, { family, number }, number % 3 === 0, event, 0), sink);
          model.take(torrent, { family, number }, number % 3 === 0, event);
          if (store.counters.torrentsEvicted > known) evicted += model.forgetEvicted(store);
        }
        // What is owed is freed by the way, or not before more is.
        if (roll(3) > 0) nowMs += roll(100);
        store.advance(nowMs);
        model.compare(store, torrents);
        store.checkInvariants();
      }
      assert.equal(store.counters.torrentsEvicted, evicted);
      assert.ok(evicted > 5, `${evicted} were pushed out`);
      for (let round = 0; round < 400; round++) store.advance(nowMs + 41 * TICK_MS + 1000 * round);
      store.checkInvariants();
      assert.equal(store.totals().bytes, makeStore({ torrentsMax: 3 }).totals().bytes, "nothing is held");
    });
    check(property, 6);
  });

  describe("that have taken all memory", () => {
    const swarms = 32;
    /** One swarm after the other, so that each has pages of its own. */
    const peersEach = 25_000;
    /** With hardly a page left, and all peers of an age of one tick. */
    const makeFull = (): { store: PeerStore; peers: number } => {
      const store = makeStore({ bytesMax: 2 ** 23, collectMs: 60_000, random: makeRandom(3) });
      let peers = 0;
      for (; store.totalBytes <= 2 ** 23 - 2 ** 15; peers++) add(store, peers);
      assert.equal(store.counters.torrentsEvicted, 0);
      assert.equal(largeLeft(store), swarms);
      store.advance(TICK_MS);
      return { store, peers };
    };
    const add = (store: PeerStore, peer: number): void => {
      const torrent = Math.min(swarms - 1, Math.floor(peer / peersEach));
      announce(
        store,
        announcement(torrent, { family: 4, number: peer }, false, EVENT_STARTED, 0),
        new Sink(),
      );
    };
    const largeLeft = (store: PeerStore): number =>
      Array.from({ length: swarms }, (_, torrent) => scrape(store, torrent)).filter(Boolean).length;

    it("one of them makes room for peers, and no other one before its memory has come back", () => {
      const { store, peers } = makeFull();
      let peer = peers;
      while (store.counters.torrentsEvicted === 0) add(store, peer++);
      // As many as its buckets are, 32 at a time, and many more, but not as many as it had: while its buckets move to larger blocks, a swarm
      // takes more for each peer.
      for (const end = peer + peersEach / 4; peer < end; peer++) add(store, peer);
      assert.equal(store.counters.torrentsEvicted, 1);
      const { peersRefused } = store.counters;
      assert.ok(peersRefused <= 1 + peersEach / 32 / 32, `${peersRefused} were refused`);
      store.checkInvariants();
    });

    it("one of them makes room for torrents, and then small ones do until its memory has come back", () => {
      const { store } = makeFull();
      let torrent = 100;
      const bring = (): void => {
        announce(
          store,
          announcement(torrent++, { family: 4, number: 1 }, true, EVENT_STARTED, 0),
          new Sink(),
        );
      };
      while (largeLeft(store) === swarms) {
        assert.ok(torrent < 5000, "one of them goes");
        bring();
      }
      for (let more = 0; more < 10; more++) bring();
      assert.equal(largeLeft(store), swarms - 1);
      assert.equal(store.counters.torrentsRefused, 0);
      store.checkInvariants();
    });
  });
});
