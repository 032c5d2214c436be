// Looking ahead changes nothing: two stores that hear the same announces, one of them told of each batch before, answer the same bytes.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type Announce,
  EVENT_COMPLETED,
  EVENT_NONE,
  EVENT_STARTED,
  EVENT_STOPPED,
  type SwarmStore,
} from "../../../../src/tracker/peer-store/contract.js";
import { makePartedSwarms, PartedSwarms } from "../../../../src/tracker/peer-store/parted-swarms.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { check, makeRandom } from "../../../support/property.js";
import { announcement, KEY, Sink } from "./model.js";

const BATCH = 64;

/** What is to come, as a face tells it. */
function ahead(store: SwarmStore, batch: readonly Announce[], family: 4 | 6): void {
  store.lookAhead({
    count: batch.length,
    family,
    hashes: Uint32Array.from(batch, ({ hash, hashAt }) => store.hash(hash, hashAt)),
    dice: Int32Array.from(batch, ({ dice }) => dice),
    seeders: Uint8Array.from(batch, ({ seeder }) => (seeder ? 1 : 0)),
    wants: Int32Array.from(batch, ({ want }) => want),
    addresses: Uint32Array.from(batch.flatMap(({ address }) => [...address])),
    addressAt: Int32Array.from(batch, (_, index) => 4 * index),
    ports: Uint16Array.from(batch, ({ port }) => port),
  });
}

function answer(store: SwarmStore, request: Announce): unknown[] {
  const sink = new Sink();
  const count = store.announce(store.hash(request.hash, request.hashAt), request, sink);
  return [count, store.seeders, store.leechers, store.downloads, ...sink.halves.subarray(0, sink.at)];
}

const MAKERS: readonly (readonly [name: string, make: () => SwarmStore])[] = [
  ["one store", () => new PeerStore({ key: KEY, bytesMax: 2 ** 22 })],
  [
    "parts of threads",
    () => new PartedSwarms(makePartedSwarms(2, { key: KEY, bytesMax: 2 ** 23, lifetimeMs: 2 ** 20 }), 0),
  ],
];

describe("looking ahead", () => {
  for (const [name, make] of MAKERS)
    it(`${name}: an announce that was told of before is answered as any other`, () => {
      const property = fc.property(fc.nat(), (seed) => {
        const random = makeRandom(seed);
        const roll = (below: number): number => Math.floor(random() * below);
        const plain = make();
        const told = make();
        // Few torrents with many peers, so that buckets are split and moved in the middle of a batch, and many with few.
        const torrents = [3, 40, 4000][roll(3)] ?? 3;
        for (let round = 0; round < 120; round++) {
          const family = random() < 0.7 ? 4 : 6;
          const batch = Array.from({ length: 1 + roll(BATCH) }, () => {
            const event = [EVENT_NONE, EVENT_STARTED, EVENT_COMPLETED, EVENT_STOPPED][roll(4)] ?? EVENT_NONE;
            return announcement(
              roll(torrents),
              { family, number: roll(600) },
              roll(2) === 0,
              event,
              roll(60),
            );
          });
          ahead(told, batch, family);
          for (const [index, request] of batch.entries())
            assert.deepEqual(answer(told, { ...request, ahead: index }), answer(plain, request));
        }
        assert.deepEqual(told.totals(), plain.totals());
      });
      check(property, 12);
    });
});
