// Looking ahead changes nothing: two stores that hear the same announces, one of them told of each batch before, answer the same bytes.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LINE_WORDS } from "../../../../src/tracker/peer-store/ahead-findings.js";
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
    hashes: Int32Array.from(batch, ({ hash, hashAt }) => store.hash(hash, hashAt)),
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

const ENDPOINT_HALVES = 3;

/** All that may be an endpoint of IPv4 in the lines that runs of words name: three halves, from any half on. */
function endpointsIn(words: Uint32Array, runs: readonly number[]): Set<string> {
  const halves = new Uint16Array(words.buffer, words.byteOffset, 2 * words.length);
  const found = new Set<string>();
  for (let run = 0; run < runs.length; run += 2) {
    const place = runs[run] ?? 0;
    const first = 2 * LINE_WORDS * Math.floor(place / LINE_WORDS);
    const end = 2 * LINE_WORDS * Math.ceil((place + (runs[run + 1] ?? 0)) / LINE_WORDS);
    for (let half = first; half + ENDPOINT_HALVES <= end; half++)
      found.add(halves.subarray(half, half + ENDPOINT_HALVES).join());
  }
  return found;
}

const MAKERS: readonly (readonly [name: string, make: () => SwarmStore])[] = [
  ["one store", () => new PeerStore({ key: KEY, bytesMax: 2 ** 22 })],
  [
    "parts of threads",
    () => new PartedSwarms(makePartedSwarms(2, { key: KEY, bytesMax: 2 ** 23, lifetimeMs: 2 ** 20 }), 0),
  ],
];

describe("looking ahead", () => {
  for (const [peers, buckets] of [
    [60, "one bucket, from its end to its beginning"],
    [3000, "a bucket and the next one"],
  ] as const)
    it(`fetches all that answers are made of: of ${peers} peers, ${buckets}`, () => {
      let pages: Uint32Array | undefined;
      const fetched: number[] = [];
      const store = new PeerStore({
        key: KEY,
        bytesMax: 2 ** 22,
        prefetch: (words, runs, count) => {
          const named = [...runs.subarray(0, 2 * count)];
          for (let run = 0; run < named.length; run += 2) {
            const [place = -1, size = -1] = [named[run], named[run + 1]];
            assert.ok(place >= 0 && size > 0 && place + size <= words.length, `${size} words at ${place}`);
          }
          // The pages of swarms are what later steps read.
          if (words !== pages) fetched.length = 0;
          pages = words;
          fetched.push(...named);
        },
      });
      const announce = (number: number, seeder: boolean): Announce =>
        announcement(1, { family: 4, number }, seeder, EVENT_NONE, 30);
      for (let number = 0; number < peers; number++) answer(store, announce(number, number % 2 === 0));
      let told = 0;
      for (let number = 0; number < 200; number++) {
        // Seeders are told of leechers: who asks is not among them, and no run begins elsewhere for leaving it out.
        const request = {
          ...announce((2 * number) % peers, true),
          dice: Math.imul(number + 1, 0x9e3779b1) >>> 1,
        };
        fetched.length = 0;
        pages = undefined;
        ahead(store, [request], 4);
        assert.ok(pages !== undefined);
        const near = endpointsIn(pages, fetched);
        const [count, , , , ...halves] = answer(store, { ...request, ahead: 0 });
        assert.equal(count, Math.min(30, halves.length / ENDPOINT_HALVES));
        for (let at = 0; at < halves.length; at += ENDPOINT_HALVES) {
          assert.ok(
            near.has(halves.slice(at, at + ENDPOINT_HALVES).join()),
            `announce ${number}, half ${at}`,
          );
          told++;
        }
      }
      assert.ok(told > 200 * 20, `${told} peers were told`);
    });

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
