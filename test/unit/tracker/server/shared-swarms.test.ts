// Swarms that trackers share, without anybody between them: what one notes another takes in, and both say the same.

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
import { CHUNK_BYTES_MAX } from "../../../../src/tracker/server/announce-records.js";
import { SharedSwarms } from "../../../../src/tracker/server/shared-swarms.js";
import { check, makeRandom } from "../../../support/property.js";
import { announcement, endpointKey, endpointsIn, hashWords, type Peer, Sink } from "../peer-store/model.js";

const TICK_MS = 30_000;
const EVENTS = [EVENT_NONE, EVENT_COMPLETED, EVENT_STARTED, EVENT_STOPPED];

function make(word: number, options: Partial<PeerStoreOptions> = {}, notesBytesMax?: number): SharedSwarms {
  const key = Uint32Array.of(word, 2, 3, 4);
  return new SharedSwarms(new PeerStore({ key, bytesMax: 2 ** 25, collectMs: 1, ...options }), notesBytesMax);
}

function announce(swarms: SharedSwarms, torrent: number, peer: Peer, seeder: boolean, event: number): void {
  const request = announcement(torrent, peer, seeder, event, 0);
  swarms.announce(swarms.hash(request.hash, 0), request, new Sink());
}

/** What one noted since the last time, to the other. */
function tell(from: SharedSwarms, to: SharedSwarms): void {
  from.advance(from.nowMs);
  for (let notes = from.take(); notes !== undefined; notes = from.take())
    to.adopt(notes.family, notes.bytes, from.nowMs - notes.bornMs, true);
}

function countsOf(swarms: SharedSwarms, torrent: number): [number, number, number] {
  const words = hashWords(torrent);
  swarms.scrape(swarms.hash(words, 0), words, 0);
  return [swarms.seeders, swarms.leechers, swarms.downloads];
}

function peersOf(swarms: SharedSwarms, torrent: number, family: 4 | 6): string[] {
  const sink = new Sink();
  swarms.copyPeers(hashWords(torrent), 0, family, 1000, sink);
  return endpointsIn(sink, family).sort();
}

describe("swarms that trackers share", () => {
  it("are the same for both, whoever hears what, in whatever order notes are told", () => {
    const property = fc.property(fc.nat(), (seed) => {
      const random = makeRandom(seed);
      const roll = (below: number): number => Math.floor(random() * below);
      const pair = [make(11), make(12)] as const;
      for (let step = 0; step < 1500; step++) {
        // A peer keeps to one tracker: what two heard of it at the same time could be told either way.
        const number = roll(200);
        const peer: Peer = { family: random() < 0.7 ? 4 : 6, number };
        announce(
          pair[number % 2 === 0 ? 0 : 1],
          roll(20),
          peer,
          roll(3) === 0,
          EVENTS[roll(4)] ?? EVENT_NONE,
        );
        if (roll(50) === 0) tell(pair[0], pair[1]);
        if (roll(50) === 0) tell(pair[1], pair[0]);
      }
      tell(pair[0], pair[1]);
      tell(pair[1], pair[0]);
      for (let torrent = 0; torrent < 20; torrent++) {
        assert.deepEqual(countsOf(pair[0], torrent).slice(0, 2), countsOf(pair[1], torrent).slice(0, 2));
        for (const family of [4, 6] as const)
          assert.deepEqual(peersOf(pair[0], torrent, family), peersOf(pair[1], torrent, family));
      }
      const [one, two] = pair.map(({ shared }) => shared);
      assert.equal(one?.adopted, two?.noted);
      assert.equal(two?.adopted, one?.noted);
      assert.deepEqual([one?.dropped, one?.malformed, two?.malformed], [0, 0, 0]);
    });
    check(property, 8);
  });

  it("bring a peer as it was announced: address, port, seeder or not, download counted once", () => {
    const [one, two] = [make(1), make(2)];
    const told: number[] = [];
    two.onDownload = (_hash, words, at) => told.push(words[at] ?? 0);
    for (const family of [4, 6] as const) announce(one, 3, { family, number: 77 }, true, EVENT_COMPLETED);
    tell(one, two);
    assert.deepEqual(countsOf(two, 3), [2, 0, 2]);
    assert.deepEqual(peersOf(two, 3, 4), [endpointKey({ family: 4, number: 77 })]);
    assert.deepEqual(peersOf(two, 3, 6), [endpointKey({ family: 6, number: 77 })]);
    const first = hashWords(3)[0];
    assert.deepEqual(told, [first, first]);
  });

  it("forget a peer when its lifetime is over, counted from when another tracker heard it", () => {
    const [one, two] = [make(1), make(2)];
    announce(one, 1, { family: 4, number: 1 }, true, EVENT_NONE);
    announce(one, 1, { family: 4, number: 2 }, true, EVENT_NONE);
    announce(one, 2, { family: 6, number: 1 }, true, EVENT_NONE);
    one.advance(20 * TICK_MS);
    two.advance(100 * TICK_MS);
    for (let notes = one.take(); notes !== undefined; notes = one.take())
      two.adopt(notes.family, notes.bytes, 20 * TICK_MS, false);
    assert.deepEqual(two.totals().peersV4, 2);
    for (const tick of [111, 111.5]) two.advance(tick * TICK_MS);
    assert.deepEqual(countsOf(two, 1), [2, 0, 0]);
    for (let tick = 113; tick < 116; tick++) two.advance(tick * TICK_MS);
    const { torrents, peersV4, peersV6 } = two.totals();
    assert.deepEqual([torrents, peersV4, peersV6], [0, 0, 0]);
    // What is older than a lifetime is nobody any more.
    announce(one, 1, { family: 4, number: 1 }, true, EVENT_NONE);
    one.advance(one.nowMs);
    const late = one.take();
    assert.ok(late !== undefined);
    two.adopt(late.family, late.bytes, 33 * TICK_MS, false);
    assert.equal(two.totals().peersV4, 0);
  });

  it("let an old announce push out nobody who was heard of later", () => {
    const [one, two] = [make(1), make(2, { peersPerTorrentMax: 2 })];
    two.advance(90 * TICK_MS);
    announce(two, 1, { family: 4, number: 1 }, false, EVENT_NONE);
    two.advance(110 * TICK_MS);
    announce(two, 1, { family: 4, number: 2 }, false, EVENT_NONE);
    announce(one, 1, { family: 4, number: 3 }, false, EVENT_NONE);
    one.advance(0);
    const notes = one.take();
    assert.ok(notes !== undefined);
    two.adopt(4, notes.bytes, 12 * TICK_MS, false);
    const expected = [2, 3].map((number) => endpointKey({ family: 4, number }));
    assert.deepEqual(peersOf(two, 1, 4), expected.sort());
  });

  it("note nothing that the store refused, and no farewell to what nobody knows", () => {
    const one = make(1, { newTorrentsPerMinute: 3 });
    const two = make(2, { newTorrentsPerMinute: 3 });
    for (const swarms of [one, two]) swarms.advance(1000);
    for (let torrent = 0; torrent < 10; torrent++)
      announce(one, torrent, { family: 4, number: 0 }, true, EVENT_NONE);
    for (let torrent = 20; torrent < 30; torrent++)
      announce(one, torrent, { family: 4, number: 0 }, true, EVENT_STOPPED);
    assert.equal(one.shared.noted, 3);
    // The budget of an address is each tracker's own: what another took in is taken in.
    const three = make(3);
    for (let torrent = 40; torrent < 50; torrent++)
      announce(three, torrent, { family: 4, number: 0 }, true, EVENT_NONE);
    tell(three, two);
    assert.equal(two.totals().torrents, 10);
    announce(two, 60, { family: 4, number: 0 }, true, EVENT_NONE);
    assert.equal(two.totals().torrents, 11);
  });

  it("note no peer of an address that has added enough of them", () => {
    const one = make(1, { peersPerAddressMax: 3 });
    one.advance(1000);
    for (let port = 1; port <= 20; port++) {
      const request = announcement(0, { family: 4, number: 0 }, true, EVENT_NONE, 0);
      request.address[0] = 77;
      request.port = port;
      one.announce(one.hash(request.hash, 0), request, new Sink());
    }
    assert.deepEqual([one.totals().peersV4, one.shared.noted], [4, 4]);
  });

  it("bound what nobody takes: the oldest notes go, and are counted", () => {
    const one = make(1, {}, 100_000);
    let announces = 0;
    for (let round = 0; round < 40; round++) {
      for (let number = 0; number < 500; number++, announces++)
        announce(one, number, { family: 4, number: round }, false, EVENT_NONE);
      one.advance(round);
    }
    const kept: number[] = [];
    let bytes = 0;
    for (let notes = one.take(); notes !== undefined; notes = one.take()) {
      kept.push(notes.bornMs);
      bytes += notes.bytes.length;
    }
    assert.equal(one.shared.noted, announces);
    assert.equal(one.shared.dropped + bytes / 28, announces);
    assert.ok(bytes <= 100_000 && kept.length > 2);
    assert.equal(kept.at(-1), 39);
    assert.deepEqual(
      kept,
      [...kept].sort((a, b) => a - b),
    );
  });

  it("give back what could not be told before what is waiting", () => {
    const one = make(1);
    for (let number = 0; number < 3; number++) {
      announce(one, 1, { family: 4, number }, false, EVENT_NONE);
      one.advance(number + 1);
    }
    const first = one.take();
    const second = one.take();
    assert.ok(first !== undefined && second !== undefined);
    one.giveBack([first, second]);
    assert.deepEqual([one.take(), one.take()], [first, second]);
    assert.notEqual(one.take(), undefined);
    assert.equal(one.hasNotes, false);
  });

  it("take nothing of bytes that are no records", () => {
    const one = make(1);
    const two = make(2);
    announce(one, 1, { family: 4, number: 1 }, false, EVENT_NONE);
    one.advance(1);
    const sound = one.take()?.bytes ?? Buffer.alloc(0);
    assert.equal(sound.length, 28);
    const wrong = [
      Buffer.alloc(0),
      sound.subarray(1),
      Buffer.concat([sound, sound.subarray(0, 27)]),
      Buffer.alloc(CHUNK_BYTES_MAX + 28 - (CHUNK_BYTES_MAX % 28), 1),
      // Port 0, an event that is none, a last byte that means nothing.
      ...[
        [24, 0],
        [26, 8],
        [27, 1],
      ].map(([at, byte]) => {
        const bytes = Buffer.concat([sound, sound]);
        if (at === 24) bytes.fill(0, 24, 26);
        else bytes[at ?? 0] = byte ?? 0;
        return bytes;
      }),
    ];
    for (const bytes of wrong) two.adopt(4, bytes, 0, true);
    assert.equal(two.shared.malformed, wrong.length);
    assert.deepEqual([two.totals().torrents, two.shared.adopted], [0, 0]);
    const property = fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.constantFrom(4, 6),
      (bytes, family) => {
        two.adopt(family as 4 | 6, bytes, 0, true);
      },
    );
    check(property, 300);
  });
});
