// Who is blamed for a bad piece: the culprit in the end, the innocent never, and no judgement stops a download.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Attribution, type PeerRecord, RECORDS_MAX } from "../../../../src/client/torrent/attribution.js";
import { check, makeRandom } from "../../../support/property.js";

const BLOCKS = 4;

function join(attribution: Attribution, name: string): PeerRecord {
  return attribution.record(name, `10.0.0.${name.charCodeAt(0)}`, 6881);
}

/** A piece whose blocks come from these peers, in turn. */
function receive(attribution: Attribution, piece: number, ...from: PeerRecord[]): void {
  for (let block = 0; block < BLOCKS; block++)
    attribution.blockReceived(from[block % from.length]!, piece, block, BLOCKS);
}

describe("Attribution", () => {
  it("knows a peer again, and tells peers apart", () => {
    const attribution = new Attribution();
    const a = join(attribution, "a");
    assert.equal(join(attribution, "a"), a);
    assert.equal(attribution.find("a"), a);
    assert.equal(attribution.find("b"), undefined);
    assert.notEqual(join(attribution, "b"), a);
    assert.equal(attribution.isQuiet, true);
  });

  it("forgets who is gone when there are many, and nobody that anything refers to", () => {
    const attribution = new Attribution();
    const [here, sender] = [join(attribution, "a"), join(attribution, "b")];
    here.connections = 1;
    receive(attribution, 7, sender);
    for (let count = 0; count < 20_000; count++) {
      const gone = attribution.record(`gone ${count}`, "10.0.0.1", 6881);
      assert.equal(attribution.find(gone.key), gone);
    }
    assert.equal(attribution.find("a"), here);
    assert.equal(attribution.find("b"), sender);
    let remembered = 0;
    for (let count = 0; count < 20_000; count++)
      if (attribution.find(`gone ${count}`) !== undefined) remembered++;
    assert.ok(remembered <= RECORDS_MAX, `${remembered} records`);
    assert.deepEqual(attribution.pieceFailed(7).banned, [sender]);
  });

  it("bans who sent all of a bad piece, at once", () => {
    const attribution = new Attribution();
    const [a, b] = [join(attribution, "a"), join(attribution, "b")];
    receive(attribution, 0, a);
    receive(attribution, 1, b);
    const { senders, banned } = attribution.pieceFailed(0);
    assert.deepEqual([senders, banned], [[a], [a]]);
    assert.deepEqual([a.banned, a.onParole, a.piecesFailed], [true, false, 1]);
    assert.deepEqual([b.banned, b.onParole, b.piecesFailed], [false, false, 0]);
    assert.equal(attribution.isQuiet, true);
  });

  it("what a banned peer left in other pieces bans nobody else, nor it again", () => {
    const attribution = new Attribution();
    const [a, b] = [join(attribution, "a"), join(attribution, "b")];
    receive(attribution, 0, a);
    receive(attribution, 1, a);
    receive(attribution, 2, a, b);
    assert.deepEqual(attribution.pieceFailed(0).banned, [a]);
    assert.deepEqual(attribution.pieceFailed(1), { senders: [a], banned: [] });
    assert.deepEqual(attribution.pieceFailed(2), { senders: [a, b], banned: [] });
    assert.deepEqual([b.onParole, b.banned, b.piecesFailed], [false, false, 1]);
    assert.equal(attribution.isQuiet, true);
  });

  it("puts all who sent some of it on parole, each named once", () => {
    const attribution = new Attribution();
    const peers = ["a", "b", "c"].map((name) => join(attribution, name));
    receive(attribution, 0, peers[0]!, peers[1]!);
    const { senders, banned } = attribution.pieceFailed(0);
    assert.deepEqual(senders, peers.slice(0, 2));
    assert.deepEqual(banned, []);
    assert.deepEqual(
      peers.map(({ onParole }) => onParole),
      [true, true, false],
    );
    assert.equal(attribution.isQuiet, false);
  });

  it("blames whoever sent a block last: an earlier copy was written over", () => {
    const attribution = new Attribution();
    const [a, b] = [join(attribution, "a"), join(attribution, "b")];
    receive(attribution, 0, a);
    receive(attribution, 0, b);
    assert.deepEqual(attribution.pieceFailed(0).banned, [b]);
  });

  it("remembers the blocks of a peer that is gone", () => {
    const attribution = new Attribution();
    const a = join(attribution, "a");
    receive(attribution, 0, a);
    attribution.peerGone(a);
    assert.deepEqual(attribution.pieceFailed(0).banned, [a]);
  });

  it("a piece of which nothing is known blames nobody", () => {
    assert.deepEqual(new Attribution().pieceFailed(3), { senders: [], banned: [] });
  });

  it("a failed piece begins anew: who sent it before is not blamed for what comes then", () => {
    const attribution = new Attribution();
    const [a, b, c] = [join(attribution, "a"), join(attribution, "b"), join(attribution, "c")];
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0);
    receive(attribution, 0, c);
    assert.deepEqual(attribution.pieceFailed(0).banned, [c]);
  });
});

describe("Attribution: on parole", () => {
  function paroled(): { attribution: Attribution; a: PeerRecord; b: PeerRecord; c: PeerRecord } {
    const attribution = new Attribution();
    const [a, b, c] = [join(attribution, "a"), join(attribution, "b"), join(attribution, "c")];
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0);
    return { attribution, a, b, c };
  }

  it("a peer gets pieces that nobody has begun, and has them to itself", () => {
    const { attribution, a, b, c } = paroled();
    attribution.blockReceived(c, 1, 0, BLOCKS);
    assert.equal(attribution.mayRequest(a, 1), false, "begun by another");
    assert.equal(attribution.mayRequest(c, 1), true);
    assert.equal(attribution.mayRequest(a, 2), true);
    attribution.requested(a, 2);
    assert.equal(attribution.mayRequest(a, 2), true);
    assert.equal(attribution.mayRequest(b, 2), false);
    assert.equal(attribution.mayRequest(c, 2), false);
  });

  it("one good piece of its own ends it", () => {
    const { attribution, a, b } = paroled();
    attribution.requested(a, 2);
    receive(attribution, 2, a);
    attribution.pieceVerified(2);
    assert.deepEqual([a.onParole, b.onParole], [false, true]);
  });

  it("a part of a good piece proves nothing: the next bad one may hide behind others for ever", () => {
    const { attribution, a, b, c } = paroled();
    receive(attribution, 5, a, b, c);
    attribution.pieceVerified(5);
    assert.deepEqual([a.onParole, b.onParole, c.onParole], [true, true, false]);
  });

  it("a bad piece of its own bans it, and the others are quiet when they proved themselves", () => {
    const { attribution, a, b } = paroled();
    attribution.requested(b, 2);
    receive(attribution, 2, b);
    assert.deepEqual(attribution.pieceFailed(2).banned, [b]);
    attribution.requested(a, 3);
    receive(attribution, 3, a);
    attribution.pieceVerified(3);
    assert.equal(attribution.isQuiet, true);
  });

  it("a peer that leaves gives its pieces to anybody", () => {
    const { attribution, a, c } = paroled();
    attribution.requested(a, 2);
    attribution.peerGone(a);
    assert.equal(attribution.mayRequest(c, 2), true);
  });

  it("a peer that lets a request go has the piece no longer to itself, and does not get it again", () => {
    const { attribution, a, b, c } = paroled();
    attribution.requested(a, 2);
    attribution.requestDropped(b, 2);
    assert.equal(attribution.mayRequest(c, 2), false, "it was not b's");
    attribution.requestDropped(a, 2);
    assert.equal(attribution.mayRequest(a, 2), false);
    assert.equal(attribution.mayRequest(b, 2), true);
    assert.equal(attribution.mayRequest(c, 2), true);
  });

  it("a peer for which there is no whole piece may share, but not what another has to itself", () => {
    const { attribution, a, b } = paroled();
    attribution.blockReceived(b, 1, 0, BLOCKS);
    assert.equal(attribution.mayRequest(a, 1), false);
    assert.equal(attribution.mayShare(a, 1), true);
    attribution.requested(a, 1);
    assert.equal(attribution.mayShare(b, 1), true, "sharing takes a piece from nobody");
    attribution.requested(b, 2);
    assert.equal(attribution.mayShare(a, 2), false);
    assert.equal(attribution.mayShare(b, 2), true);
  });
});

describe("Attribution, played through", () => {
  it("liars are banned, the honest never, and the download ends, whoever is asked for what", () => {
    check(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 12 }),
        (seed, honestCount, liarCount, pieceCount) => {
          const random = makeRandom(seed);
          const attribution = new Attribution();
          const names = "abcdefg".slice(0, honestCount + liarCount);
          const liars = new Set([...names].slice(honestCount));
          const records = [...names].map((name) => join(attribution, name));
          /** Per piece, who sent each block; undefined: missing. */
          const pieces = Array.from({ length: pieceCount }, () =>
            new Array<PeerRecord | undefined>(BLOCKS).fill(undefined),
          );
          const done = new Set<number>();
          let steps = 0;
          while (done.size < pieceCount) {
            assert.ok(steps++ < 4000, "the download comes to an end");
            const active = records.filter(({ banned }) => !banned);
            const record = active[Math.floor(random() * active.length)]!;
            const missing = pieces.flatMap((blocks, piece) =>
              done.has(piece)
                ? []
                : blocks.flatMap((sender, block) => (sender === undefined ? [{ piece, block }] : [])),
            );
            const strict = missing.filter(({ piece }) => attribution.mayRequest(record, piece));
            const allowed =
              strict.length > 0 ? strict : missing.filter(({ piece }) => attribution.mayShare(record, piece));
            if (allowed.length === 0) continue;
            const { piece, block } = allowed[Math.floor(random() * allowed.length)]!;
            attribution.requested(record, piece);
            // A peer may always let a request go: it chokes us, or is silent.
            if (random() < 0.15) {
              attribution.requestDropped(record, piece);
              continue;
            }
            attribution.blockReceived(record, piece, block, BLOCKS);
            pieces[piece]![block] = record;
            if (pieces[piece]!.some((sender) => sender === undefined)) continue;
            const good = pieces[piece]!.every((sender) => !liars.has(sender!.key));
            if (good) {
              attribution.pieceVerified(piece);
              done.add(piece);
            } else {
              // Who is banned is disconnected.
              for (const gone of attribution.pieceFailed(piece).banned) attribution.peerGone(gone);
              pieces[piece]!.fill(undefined);
            }
          }
          for (const record of records)
            if (!liars.has(record.key)) assert.equal(record.banned, false, record.key);
        },
      ),
      300,
    );
  });
});
