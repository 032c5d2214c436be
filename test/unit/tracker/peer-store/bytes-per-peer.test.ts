// What a peer of a large swarm takes, in bytes of the whole store: counted, at many sizes and under many keys, which spread peers over buckets.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { EVENT_STARTED } from "../../../../src/tracker/peer-store/contract.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { makeRandom } from "../../../support/property.js";
import { announce, announcement, KEY, Sink } from "./model.js";

const TICK_MS = 30_000;

function makeStore(key: Uint32Array): PeerStore {
  // One round of expiry in each advance().
  return new PeerStore({ key, bytesMax: 2 ** 26, collectMs: 1 });
}

describe("a large swarm needs 13.5 bytes for an IPv4 peer at most, 27 for an IPv6 one", () => {
  const families = [
    { family: 4, bytesMost: 13.5 },
    { family: 6, bytesMost: 27 },
  ] as const;

  /** Peer `number` announces to the one torrent; each number is another peer. */
  function come(store: PeerStore, family: 4 | 6, number: number, sink: Sink): void {
    const request = announcement(0, { family, number: 0 }, number % 4 > 0, EVENT_STARTED, 0);
    request.address[0] = Math.imul(number + 1, 0x85ebca6b);
    request.port = 1 + (number & 0x7fff);
    announce(store, request, sink);
  }

  it("while it grows, whatever its size and the key are", () => {
    const random = makeRandom(17);
    const keys = Array.from({ length: 8 }, () => Uint32Array.from({ length: 4 }, () => random() * 2 ** 32));
    for (const key of [Uint32Array.of(0, 0, 0, 0), ...keys]) {
      for (const { family, bytesMost } of families) {
        const store = makeStore(key);
        const sink = new Sink();
        // From 100,000 peers on until there are twice as many: then all buckets have been split once, and it begins anew.
        for (let peers = 1; peers <= 200_000; peers++) {
          come(store, family, peers, sink);
          if (peers < 100_000 || peers % 1000 !== 0) continue;
          const { peersV4, peersV6, bytes } = store.totals();
          assert.equal(peersV4 + peersV6, peers);
          assert.ok(bytes / peers <= bytesMost, `${bytes / peers} bytes a peer, ${peers} of IPv${family}`);
        }
      }
    }
  });

  it("while peers come and go, for as many lifetimes as all buckets need to have been full once", () => {
    const perTick = 5000;
    for (const { family, bytesMost } of families) {
      const store = makeStore(KEY);
      const sink = new Sink();
      let number = 0;
      for (let tick = 0; tick < 32 * 8; tick++) {
        for (let peer = 0; peer < perTick; peer++) come(store, family, number++, sink);
        // Every two minutes, as a tracker does: just before it, some that are gone are counted yet.
        if (tick % 4 !== 3) continue;
        const { peersV4, peersV6, bytes } = store.totals();
        const peers = peersV4 + peersV6;
        if (tick >= 32) assert.ok(peers >= 32 * perTick && peers <= 37 * perTick, `${peers} peers`);
        assert.ok(tick < 32 || bytes / peers <= bytesMost, `${bytes / peers} bytes a peer, IPv${family}`);
        for (let round = 0; round < 60; round++) store.advance(tick * TICK_MS + 400 * round);
      }
      store.checkInvariants();
    }
  });
});
