// Who is blamed for a bad piece: who sent all of it, or what turns out to differ; the innocent never.
//
// It is long because each way to be blamed, on parole and alone is a case of its own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import {
  Attribution,
  type PeerRecord,
  RECORDS_MAX,
  WARY_MS,
} from "../../../../src/client/torrent/attribution.js";
import type { ExclusiveView } from "../../../../src/client/torrent/exclusive-pieces.js";
import { entryOf } from "../../../support/required.js";

const BLOCKS = 4;
const TIMEOUT_MS = 20_000;
const STALL_MS = TIMEOUT_MS / 2;

function make(): Attribution {
  return new Attribution({ pieceLength: BLOCKS * BLOCK_SIZE, requestTimeoutMs: TIMEOUT_MS });
}

function join(attribution: Attribution, name: string): PeerRecord {
  return attribution.record(name, `10.0.0.${name.charCodeAt(0)}`, 6881);
}

function joinAll(attribution: Attribution): [PeerRecord, PeerRecord, PeerRecord] {
  return ["a", "b", "c"].map((name) => join(attribution, name)) as [PeerRecord, PeerRecord, PeerRecord];
}

/** A piece whose blocks come from these peers, in turn. */
function receive(attribution: Attribution, piece: number, ...from: PeerRecord[]): void {
  for (let block = 0; block < BLOCKS; block++)
    attribution.blockReceived(entryOf(from, block % from.length), piece, block, BLOCKS, 0);
}

const RIGHT = Float64Array.of(1, 2, 3, 4);

/** Digests of the blocks, wrong ones where `wrong` says so. */
function digests(...wrong: number[]): Float64Array {
  return RIGHT.map((digest, block) => (wrong.includes(block) ? 100 + digest : digest));
}

/** A view of peers that are all here and able, which notes what starts over. */
function viewOf(candidates: PeerRecord[]): ExclusiveView & { overs: number[]; here: Set<PeerRecord> } {
  const here = new Set(candidates);
  const overs: number[] = [];
  return {
    here,
    overs,
    candidates: () => candidates.filter((record) => here.has(record) && !record.banned),
    isHere: (record) => here.has(record),
    isHeldBack: () => false,
    isAsked: () => true,
    isReceived: () => false,
    isOutpaced: () => false,
    lookedAt: () => {},
    startOver: (piece) => overs.push(piece),
  };
}

/** No piece has failed for long. */
function calm(attribution: Attribution): void {
  attribution.review(WARY_MS + 1, viewOf([]));
}

describe("Attribution", () => {
  it("knows a peer again, and tells peers apart", () => {
    const attribution = make();
    const a = join(attribution, "a");
    assert.equal(join(attribution, "a"), a);
    assert.equal(attribution.find("a"), a);
    assert.equal(attribution.find("b"), undefined);
    assert.notEqual(join(attribution, "b"), a);
    assert.equal(attribution.isQuiet, true);
  });

  it("forgets who is gone when there are many, and nobody that anything refers to", () => {
    const attribution = make();
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
    assert.deepEqual(attribution.pieceFailed(7, undefined, 0).banned, [sender]);
  });

  it("bans who sent all of a bad piece, at once", () => {
    const attribution = make();
    const [a, b] = joinAll(attribution);
    receive(attribution, 0, a);
    receive(attribution, 1, b);
    assert.equal(attribution.isShared(0), false);
    const { senders, banned } = attribution.pieceFailed(0, undefined, 0);
    assert.deepEqual([senders, banned], [[a], [a]]);
    assert.deepEqual([a.banned, a.onParole, a.piecesFailed], [true, false, 1]);
    assert.deepEqual([b.banned, b.onParole, b.piecesFailed], [false, false, 0]);
    assert.equal(attribution.isQuiet, false, "there may be more of its kind");
    calm(attribution);
    assert.equal(attribution.isQuiet, true);
  });

  it("bans whoever sent a block that differs, as soon as the piece is right", () => {
    const attribution = make();
    const [a, b, c] = joinAll(attribution);
    receive(attribution, 0, a, b);
    assert.equal(attribution.isShared(0), true);
    assert.deepEqual(attribution.pieceFailed(0, digests(1), 0).banned, []);
    assert.equal(attribution.remembers(0), true);
    receive(attribution, 0, c);
    assert.deepEqual(attribution.pieceVerified(0, RIGHT), [b]);
    assert.deepEqual([a.banned, b.banned, c.banned], [false, true, false]);
    assert.equal(attribution.remembers(0), false);
  });

  it("bans all liars of several attempts, each once, and no honest one that sent the same block after or before them", () => {
    const attribution = make();
    const [a, b, c] = joinAll(attribution);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(1, 3), 0);
    // The blocks change hands: the honest one has the block that was a lie before.
    receive(attribution, 0, c, a);
    attribution.pieceFailed(0, digests(0), 0);
    receive(attribution, 0, a);
    assert.deepEqual(new Set(attribution.pieceVerified(0, RIGHT)), new Set([b, c]));
    assert.equal(a.banned, false);
  });

  it("bans nobody for blocks whose digest is not known, on either side", () => {
    const attribution = make();
    const [a, b] = joinAll(attribution);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(1).fill(Number.NaN, 1), 0);
    assert.deepEqual(attribution.pieceVerified(0, RIGHT), []);
    receive(attribution, 1, a, b);
    attribution.pieceFailed(1, digests(1), 0);
    assert.deepEqual(attribution.pieceVerified(1, RIGHT.slice().fill(Number.NaN)), []);
    receive(attribution, 2, a, b);
    attribution.pieceFailed(2, digests(1), 0);
    assert.deepEqual(attribution.pieceVerified(2, undefined), []);
    assert.deepEqual([a.banned, b.banned], [false, false]);
  });

  it("compares nothing with what is made of the same files anew, whose digests have another key", () => {
    const attribution = make();
    const [liar, honest] = joinAll(attribution);
    receive(attribution, 7, liar, honest);
    attribution.pieceFailed(7, digests(0, 2), 0);
    attribution.contentMade(BLOCKS * BLOCK_SIZE);
    receive(attribution, 7, honest);
    assert.deepEqual(
      attribution.pieceVerified(
        7,
        RIGHT.map((digest) => 1000 + digest),
      ),
      [],
    );
    assert.equal(honest.banned, false);
  });

  it("keeps no piece for anybody once its files are looked at again: nobody would ever say that it is right", () => {
    const attribution = make();
    const [a, b, proven] = joinAll(attribution);
    receive(attribution, 1, proven);
    attribution.pieceVerified(1);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(0), 0);
    attribution.requested(proven, 0, 0);
    attribution.requested(a, 2, 0);
    assert.deepEqual([proven.owned, a.owned], [1, 1]);
    attribution.contentMade(BLOCKS * BLOCK_SIZE);
    assert.deepEqual([proven.owned, a.owned], [0, 0]);
    assert.deepEqual(
      [0, 2].map((piece) => attribution.mayBring(b, piece)),
      [true, true],
    );
    attribution.checkInvariants();
  });

  it("knows liars by a piece that was never judged, because it started over", () => {
    const attribution = make();
    const [a, b] = joinAll(attribution);
    attribution.blockReceived(b, 0, 2, BLOCKS, 0);
    attribution.pieceStartedOver(0, digests(2), 0);
    receive(attribution, 0, a);
    assert.deepEqual(attribution.pieceVerified(0, RIGHT), [b]);
  });

  it("what a banned peer left in other pieces bans nobody else, nor it again, and costs no trust", () => {
    const attribution = make();
    const [a, b] = joinAll(attribution);
    receive(attribution, 0, a);
    receive(attribution, 1, a);
    receive(attribution, 2, a, b);
    assert.deepEqual(attribution.pieceFailed(0, undefined, 0).banned, [a]);
    assert.deepEqual(attribution.pieceFailed(1, undefined, 0), { senders: [a], banned: [] });
    assert.deepEqual(attribution.pieceFailed(2, digests(0), 0), { senders: [a, b], banned: [] });
    assert.deepEqual([b.onParole, b.banned, b.piecesFailed, b.trust], [false, false, 1, 0]);
  });

  it("puts those who sent some of it on parole, but those who brought much not for one piece", () => {
    const attribution = make();
    const [a, b, c] = joinAll(attribution);
    for (let piece = 1; piece < 4; piece++) {
      receive(attribution, piece, c);
      attribution.pieceVerified(piece);
    }
    receive(attribution, 0, a, b, c);
    const { senders, banned } = attribution.pieceFailed(0, digests(0), 0);
    assert.deepEqual([senders, banned], [[a, b, c], []]);
    assert.deepEqual([a.onParole, b.onParole, c.onParole], [true, true, false]);
    assert.equal(attribution.isQuiet, false);
  });

  it("blames whoever sent a block last: an earlier copy was written over", () => {
    const attribution = make();
    const [a, b] = joinAll(attribution);
    receive(attribution, 0, a);
    receive(attribution, 0, b);
    assert.deepEqual(attribution.pieceFailed(0, undefined, 0).banned, [b]);
  });

  it("remembers the blocks of a peer that is gone", () => {
    const attribution = make();
    const a = join(attribution, "a");
    receive(attribution, 0, a);
    attribution.peerGone(a);
    assert.deepEqual(attribution.pieceFailed(0, undefined, 0).banned, [a]);
  });

  it("an honest newcomer never takes the place of a liar that is remembered, however many peers come and go", () => {
    const attribution = make();
    const [a, b, c] = joinAll(attribution);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(1), 0);
    for (let index = 0; index < 3 * RECORDS_MAX; index++)
      attribution.record(`gone ${index}`, "10.0.0.9", index);
    assert.equal(attribution.find(c.key), undefined, "nothing refers to it");
    receive(attribution, 0, a);
    assert.deepEqual(attribution.pieceVerified(0, RIGHT), [b]);
  });

  it("bans nobody for a piece of which not all senders are known", () => {
    const attribution = make();
    assert.deepEqual(attribution.pieceFailed(3, undefined, 0), { senders: [], banned: [] });
    const a = join(attribution, "a");
    attribution.blockReceived(a, 0, 1, BLOCKS, 0);
    assert.deepEqual(attribution.pieceFailed(0, undefined, 0), { senders: [a], banned: [] });
  });
});

describe("Attribution: on parole", () => {
  function paroled(): { attribution: Attribution; a: PeerRecord; b: PeerRecord; c: PeerRecord } {
    const attribution = make();
    const [a, b, c] = joinAll(attribution);
    receive(attribution, 9, c);
    attribution.pieceVerified(9);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(0), 0);
    return { attribution, a, b, c };
  }

  it("a peer gets pieces that nobody has begun, and has them to itself", () => {
    const { attribution, a, b, c } = paroled();
    assert.equal(attribution.mayRequest(a, 1, true), false, "begun by another");
    assert.equal(attribution.mayRequest(c, 1, true), true);
    assert.equal(attribution.mayRequest(a, 2, false), true);
    attribution.requested(a, 2, 0);
    assert.equal(attribution.mayRequest(a, 2, true), true);
    for (const other of [b, c]) {
      assert.equal(attribution.mayRequest(other, 2, true), false);
      assert.equal(attribution.mayShare(other, 2), false);
      assert.equal(attribution.mayBring(other, 2), false, "not even a block that it was asked for before");
    }
  });

  it("whoever has shown nothing gets one piece at a time to itself, and all such peers together have no more than they may", () => {
    const { attribution, c } = paroled();
    const [d, e] = [join(attribution, "d"), join(attribution, "e")];
    assert.deepEqual(
      [c, d].map((record) => attribution.isApart(record)),
      [false, true],
    );
    assert.equal(attribution.mayRequest(d, 1, true, 1), false, "begun by another");
    assert.equal(attribution.mayRequest(d, 1, false, 1), true);
    attribution.requested(d, 1, 0);
    assert.equal(attribution.mayRequest(d, 1, true, 1), true);
    assert.equal(attribution.mayRequest(d, 2, false, 9), false, "it has one");
    assert.equal(attribution.mayRequest(e, 2, false, 1), false, "that is one of them");
    assert.equal(attribution.mayRequest(e, 2, false, 2), true);
    assert.equal(attribution.mayRequest(c, 2, false, 1), true);
    receive(attribution, 1, d);
    attribution.pieceVerified(1);
    assert.deepEqual([attribution.isApart(d), d.owned], [false, 0]);
    assert.equal(attribution.mayRequest(e, 2, false, 1), true);
    calm(attribution);
    assert.equal(attribution.isApart(e), false, "no piece has failed for long");
  });

  it("those who have shown something lose no trust beside one who has not, and who lied is found out all the same", () => {
    const { attribution, b, c } = paroled();
    const d = join(attribution, "d");
    receive(attribution, 3, c, d);
    assert.deepEqual(attribution.pieceFailed(3, digests(0), 0).banned, []);
    assert.deepEqual([c.onParole, d.onParole], [false, true]);
    assert.equal(c.trust, 1);
    receive(attribution, 3, b);
    assert.deepEqual(attribution.pieceVerified(3, RIGHT), [c]);
  });

  it("one good piece of its own ends it", () => {
    const { attribution, a, b } = paroled();
    attribution.requested(a, 2, 0);
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

  it("a bad piece of its own bans it", () => {
    const { attribution, b } = paroled();
    attribution.requested(b, 2, 0);
    receive(attribution, 2, b);
    assert.deepEqual(attribution.pieceFailed(2, undefined, 0).banned, [b]);
  });

  it("a peer for which there is no whole piece may share", () => {
    const { attribution, a } = paroled();
    assert.equal(attribution.mayRequest(a, 1, true), false);
    assert.equal(attribution.mayShare(a, 1), true);
  });
});

describe("Attribution: pieces that one peer has alone", () => {
  function failed(): { attribution: Attribution; a: PeerRecord; b: PeerRecord; c: PeerRecord } {
    const attribution = make();
    const [a, b, c] = joinAll(attribution);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(0), 0);
    return { attribution, a, b, c };
  }

  it("a piece that failed is offered to the most trusted, and to anybody when that one does not take it", () => {
    const { attribution, a, b, c } = failed();
    const view = viewOf([c, a, b]);
    attribution.review(0, view);
    assert.deepEqual(
      [a, b, c].map((record) => attribution.mayRequest(record, 0, false)),
      [false, false, true],
    );
    attribution.review(STALL_MS, view);
    assert.deepEqual(
      [a, b, c].map((record) => attribution.mayRequest(record, 0, false)),
      [true, true, true],
    );
    attribution.requested(a, 0, STALL_MS);
    assert.deepEqual(
      [a, b, c].map((record) => attribution.mayRequest(record, 0, true)),
      [true, false, false],
    );
  });

  it("whoever is silent loses it to another, who starts over", () => {
    const { attribution, a, c } = failed();
    a.isProven = true;
    const view = viewOf([a, c]);
    attribution.requested(a, 0, 0);
    attribution.blockReceived(a, 0, 0, BLOCKS, 1000);
    attribution.review(1000 + STALL_MS, view);
    assert.deepEqual(view.overs, []);
    attribution.review(1001 + STALL_MS, view);
    assert.deepEqual(view.overs, [0]);
    assert.equal(attribution.mayRequest(a, 0, false), false, "it does not get it again");
    assert.equal(attribution.mayRequest(c, 0, false), true);
    assert.equal(a.lapses, 1);
  });

  it("what a stranger lost is forgotten when it has shown something", () => {
    const { attribution, a, c } = failed();
    const view = viewOf([a, c]);
    attribution.requested(a, 0, 0);
    attribution.review(1 + STALL_MS, view);
    assert.equal(a.lapses, 1);
    receive(attribution, 5, a, c);
    attribution.pieceVerified(5);
    assert.deepEqual([a.isProven, a.lapses], [true, 0]);
    attribution.requested(c, 0, 2 + STALL_MS);
    attribution.review(3 + 2 * STALL_MS, view);
    assert.equal(c.lapses, 1, "what it lets go after that counts");
    receive(attribution, 6, a, c);
    attribution.pieceVerified(6);
    assert.equal(c.lapses, 1, "a part of a right piece proves nothing more");
  });

  it("whoever drips loses it when its lease is over", () => {
    const { attribution, a, c } = failed();
    const view = viewOf([a, c]);
    attribution.requested(a, 0, 0);
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 5000) {
      attribution.blockReceived(a, 0, 0, BLOCKS, nowMs);
      attribution.review(nowMs, view);
    }
    assert.deepEqual(view.overs, [], "three times the timeout, and what its length takes");
    attribution.blockReceived(a, 0, 0, BLOCKS, 65_000);
    attribution.review(65_000, view);
    assert.deepEqual(view.overs, [0]);
  });

  it("whoever leaves loses it, and keeps it where nobody else could bring it", () => {
    const { attribution, a, c } = failed();
    const view = viewOf([a, c]);
    attribution.requested(a, 0, 0);
    attribution.blockReceived(a, 0, 0, BLOCKS, 0);
    view.here.delete(a);
    view.here.delete(c);
    attribution.peerGone(a);
    attribution.review(100_000, view);
    assert.deepEqual(view.overs, []);
    assert.equal(attribution.mayRequest(a, 0, true), true, "it goes on where it was");
    view.here.add(c);
    attribution.review(100_001, view);
    assert.deepEqual(view.overs, [0]);
    assert.equal(attribution.mayRequest(c, 0, false), true);
  });

  it("a piece that all let go is shared, so that the download goes on", () => {
    const { attribution, a, c } = failed();
    const view = viewOf([a, c]);
    attribution.requested(a, 0, 0);
    attribution.review(STALL_MS + 1, view);
    attribution.requested(c, 0, STALL_MS + 1);
    attribution.review(2 * STALL_MS + 2, view);
    assert.deepEqual(view.overs, [0], "what came the second time is kept");
    for (const record of [a, c]) {
      assert.equal(attribution.mayRequest(record, 0, true), true);
      assert.equal(attribution.mayBring(record, 0), true);
    }
    receive(attribution, 0, a, c);
    attribution.pieceFailed(0, digests(0), 0);
    attribution.review(0, view);
    assert.notEqual(
      attribution.mayRequest(a, 0, false),
      attribution.mayRequest(c, 0, false),
      "after another failure one has it alone again",
    );
  });

  it("a peer of which nothing came leaves no trace", () => {
    const attribution = make();
    const [a, b] = joinAll(attribution);
    receive(attribution, 0, a, b);
    attribution.pieceFailed(0, digests(0), 0);
    receive(attribution, 0, b);
    attribution.pieceVerified(0, RIGHT);
    calm(attribution);
    assert.deepEqual([a.banned, b.onParole, attribution.isQuiet], [true, false, true]);
    const c = join(attribution, "c");
    c.onParole = true;
    attribution.requested(c, 1, 0);
    assert.equal(attribution.isQuiet, false);
    attribution.peerGone(c);
    assert.equal(attribution.isQuiet, true);
  });
});
