// No announce and no advance() does much at one time, however many torrents there are: counted in records that are hashed again, and
// in torrents that are dropped, while a store grows, expires and shrinks.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import { EVENT_STARTED, EVENT_STOPPED } from "../../../../src/tracker/peer-store/contract.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { makeIndexMemory, TorrentIndex } from "../../../../src/tracker/peer-store/torrent-index.js";
import { makeRandom } from "../../../support/property.js";
import { announce, announcement, KEY, Sink } from "./model.js";

const RECORDS = 300_000;
/** Of a table of half a million places, a stretch of 32 and on to the next empty one: three quarters of all are taken. */
const HASHED_MAX = 1000;

describe("peer store, a step at a time", () => {
  it("an index that grows and shrinks moves a stretch of entries with each change", () => {
    const random = makeRandom(7);
    const hashes = Uint32Array.from({ length: RECORDS }, () => Math.floor(random() * 2 ** 32));
    let hashed = 0;
    const records = {
      hashOf: (record: number): number => {
        hashed++;
        return hashes[record] ?? 0;
      },
    };
    const make = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);
    let released = 0;
    const memory = makeIndexMemory(RECORDS, make, make, (stretch) => {
      assert.ok(
        new Uint32Array(stretch.buffer, stretch.byteOffset, stretch.byteLength / 4).every(
          (entry) => entry === 0,
        ),
        "what is given back is empty",
      );
      released += stretch.byteLength;
    });
    const index = new TorrentIndex(records, RECORDS, memory);
    let most = 0;
    let all = 0;
    const changed = (): void => {
      most = Math.max(most, hashed);
      all += hashed;
      hashed = 0;
    };
    for (let record = 0; record < RECORDS; record++) {
      index.add(hashes[record] ?? 0, record);
      changed();
    }
    assert.equal(index.bytes, 4 * 2 ** 19, "the move has ended");
    for (let record = 0; record < RECORDS; record++) {
      index.remove(hashes[record] ?? 0, record, Number.MAX_SAFE_INTEGER);
      changed();
    }
    assert.ok(most > 0 && most <= HASHED_MAX, `${most} at most`);
    assert.ok(all > RECORDS, "all of them were moved");
    assert.ok(released >= 2 ** 20, `${released} bytes were given back`);
    assert.equal(index.count, 0);
  });

  it("expiry drops a hundred torrents or so at a time", () => {
    const store = new PeerStore({ key: KEY, bytesMax: 2 ** 26 });
    for (let torrent = 0; torrent < 20_000; torrent++)
      announce(store, announcement(torrent, { family: 4, number: 1 }, true, EVENT_STARTED, 0), new Sink());
    let nowMs = 20 * 60_000;
    let left = store.totals().torrents;
    let rounds = 0;
    let most = 0;
    while (left > 0) {
      nowMs += 5;
      store.advance(nowMs);
      const { torrents } = store.totals();
      most = Math.max(most, left - torrents);
      left = torrents;
      rounds++;
      assert.ok(rounds < 100_000, "it comes to an end");
    }
    assert.ok(most > 1 && most <= 129, `${most} at most`);
  });

  it("expiry drops some thousand peers of a large swarm at a time, and goes on where it was", () => {
    const store = new PeerStore({ key: KEY, bytesMax: 2 ** 26 });
    for (let number = 0; number < 60_000; number++)
      announce(
        store,
        announcement(0, { family: number % 4 === 0 ? 6 : 4, number }, number % 3 === 0, EVENT_STARTED, 0),
        new Sink(),
      );
    let nowMs = 20 * 60_000;
    let left = 60_000;
    let most = 0;
    for (let rounds = 0; left > 0; rounds++) {
      nowMs += 5;
      store.advance(nowMs);
      const { peersV4, peersV6 } = store.totals();
      most = Math.max(most, left - peersV4 - peersV6);
      left = peersV4 + peersV6;
      assert.ok(rounds < 100_000, "it comes to an end");
    }
    // WORK_PER_ADVANCE_MAX, and the bucket that goes beyond it.
    assert.ok(most > 1 && most <= 2048 + 128, `${most} at most`);
    assert.equal(store.totals().torrents, 0);
  });

  it("a large swarm that is pushed out is gone at once, and its memory comes back by and by", () => {
    for (const family of [4, 6] as const) {
      const make = (): PeerStore => new PeerStore({ key: KEY, bytesMax: 2 ** 26, torrentsMax: 1 });
      const peer = { family, number: 1 };
      const store = make();
      for (let number = 0; number < 200_000; number++)
        announce(store, announcement(0, { family, number }, false, EVENT_STARTED, 0), new Sink());
      announce(store, announcement(1, peer, false, EVENT_STARTED, 0), new Sink());
      const { torrents, peersV4, peersV6 } = store.totals();
      assert.deepEqual([torrents, peersV4 + peersV6], [1, 1]);
      assert.equal(store.counters.peersEvicted, 200_000);
      const fresh = make();
      announce(fresh, announcement(1, peer, false, EVENT_STARTED, 0), new Sink());
      const steps = stepsUntil(store, () => store.totals().bytes === fresh.totals().bytes);
      // 128 peers of a bucket at the most, and OWED_PER_ADVANCE_MAX buckets in a step.
      assert.ok(steps >= (200_000 / 128 - 32) / 512, `${steps} steps`);
    }
  });

  it("a large swarm whose peers all stop is gone with the last one, and its memory comes back by and by", () => {
    const store = new PeerStore({ key: KEY, bytesMax: 2 ** 26 });
    const { bytes } = store.totals();
    for (const event of [EVENT_STARTED, EVENT_STOPPED])
      for (let number = 0; number < 200_000; number++)
        announce(store, announcement(0, { family: 4, number }, false, event, 0), new Sink());
    assert.equal(store.totals().torrents, 0);
    const steps = stepsUntil(store, () => store.totals().bytes === bytes);
    assert.ok(steps >= (200_000 / 128 - 32) / 512, `${steps} steps`);
  });
});

/** How often the store has to be told the time until something is so. */
function stepsUntil(store: PeerStore, isSo: () => boolean): number {
  let steps = 0;
  for (; !isSo(); steps++) {
    store.checkInvariants();
    assert.ok(steps < 1000, "it comes to an end");
    store.advance(5 * steps);
  }
  return steps;
}
