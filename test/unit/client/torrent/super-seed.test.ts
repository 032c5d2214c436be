// Which pieces a super seed shows to whom (BEP 16), with time that a test moves.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { type ShownPeer, SPREAD_MS, SuperSeed, TAKE_MS } from "../../../../src/client/torrent/super-seed.js";
import { makeRandom } from "../../../support/property.js";

const PIECES = 40;
const PIECE_LENGTH = 262_144;
const AT_ONCE = 2;

class Peer implements ShownPeer {
  readonly pieces = new PieceSet(PIECES);
  readonly shown: number[] = [];
  isUploadOnly = false;
  peerInterested = true;

  reveal(piece: number): void {
    assert.ok(!this.shown.includes(piece), "each piece is shown once");
    this.shown.push(piece);
  }
}

class Room {
  readonly seed = new SuperSeed({
    pieceCount: PIECES,
    pieceLength: PIECE_LENGTH,
    pieceLengthOf: () => PIECE_LENGTH,
    random: makeRandom(1),
  });
  nowMs = 0;
  readonly peers = new Set<Peer>();

  join(): Peer {
    const peer = new Peer();
    this.peers.add(peer);
    this.seed.peerAnnounced(peer, -1, this.nowMs);
    return peer;
  }

  has(peer: Peer, piece: number): void {
    peer.pieces.add(piece);
    this.seed.peerAnnounced(peer, piece, this.nowMs);
    this.seed.checkInvariants();
  }

  send(peer: Peer, piece: number): void {
    for (let sent = 0; sent < PIECE_LENGTH; sent += 16_384)
      this.seed.blockSent(peer, piece, 16_384, this.nowMs);
    this.seed.checkInvariants();
  }

  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 1000;
      this.seed.tick(this.peers, this.nowMs);
      this.seed.checkInvariants();
    }
  }
}

describe("a super seed", () => {
  it("shows each peer other pieces, and another one when one was seen elsewhere", () => {
    const room = new Room();
    const [a, b] = [room.join(), room.join()];
    assert.equal(new Set([...a.shown, ...b.shown]).size, 2 * AT_ONCE);
    const [first = -1] = a.shown;
    room.send(a, first);
    assert.equal(a.shown.length, AT_ONCE, "what was sent is nowhere else yet");
    room.has(b, first);
    assert.equal(a.shown.length, AT_ONCE + 1);
    assert.equal(b.shown.length, AT_ONCE, "who got it from another is shown nothing for it");
  });

  it("shows pieces that nobody has before those that somebody has", () => {
    const room = new Room();
    const [a, b] = [room.join(), room.join()];
    for (let index = 0; a.shown.length + b.shown.length < PIECES; index++) {
      const [from, to] = index % 2 === 0 ? [a, b] : [b, a];
      const piece = from.shown.find((each) => !to.pieces.has(each) && !from.pieces.has(each));
      assert.ok(piece !== undefined);
      room.send(from, piece);
      from.pieces.add(piece);
      room.has(to, piece);
    }
    assert.equal(new Set([...a.shown, ...b.shown]).size, PIECES);
  });

  it("shows more to who is alone as soon as a piece was sent, until it has all of them", () => {
    const room = new Room();
    const peer = room.join();
    for (let sent = 0; sent < PIECES; sent++) {
      assert.equal(room.seed.isOver, false);
      room.send(peer, peer.shown[sent] ?? -1);
    }
    assert.equal(peer.shown.length, PIECES);
    assert.equal(room.seed.isOver, true);
  });

  it("gives to others what is not taken in time, and waits longer each time for who gives nothing on", () => {
    const room = new Room();
    const idle = room.join();
    const greedy = room.join();
    // Another one misses everything: what is taken has somewhere to go.
    room.join();
    for (const piece of greedy.shown.slice()) room.send(greedy, piece);
    const before = greedy.shown.length;
    room.pass(SPREAD_MS - 1000);
    assert.equal(greedy.shown.length, before);
    room.pass(1000);
    assert.equal(greedy.shown.length, before + AT_ONCE, "it is shown more all the same");
    for (const piece of greedy.shown.slice(before)) room.send(greedy, piece);
    room.pass(2 * SPREAD_MS - 1000);
    assert.equal(greedy.shown.length, before + AT_ONCE);
    room.pass(1000);
    assert.equal(greedy.shown.length, before + 2 * AT_ONCE);
    room.pass(TAKE_MS);
    // All that nobody has is shown to others, those of the idle one included.
    const later = Array.from({ length: PIECES / AT_ONCE }, () => room.join()).flatMap(({ shown }) => shown);
    assert.ok(idle.shown.every((piece) => later.includes(piece)));
    assert.equal(idle.shown.length, AT_ONCE);
  });

  it("counts nobody who wants nothing among those that miss a piece", () => {
    const room = new Room();
    for (let count = 0; count < 50; count++) room.join().peerInterested = false;
    const wanting = room.join();
    for (let index = 0; index < wanting.shown.length; index++) room.send(wanting, wanting.shown[index] ?? -1);
    assert.equal(wanting.shown.length, PIECES, "it is as if it were alone");
    assert.equal(room.seed.isOver, true);
  });

  it("is over where nothing that is taken spreads, and goes on where something does", () => {
    for (const spreads of [false, true]) {
      const room = new Room();
      const taker = room.join();
      // They say that they want something, and take nothing, from anybody.
      for (let count = 0; count < 5; count++) room.join();
      const [lender, other] = [room.join(), room.join()];
      for (const lapseMs of [SPREAD_MS, 2 * SPREAD_MS, 4 * SPREAD_MS]) {
        assert.equal(room.seed.isOver, false);
        for (const piece of taker.shown) if (!taker.pieces.has(piece)) room.send(taker, piece);
        const [lent] = lender.shown.filter((piece) => !other.pieces.has(piece));
        if (spreads && lent !== undefined) room.has(other, lent);
        room.pass(lapseMs);
      }
      assert.equal(room.seed.isOver, !spreads);
    }
  });

  it("shows again what left with its only holder", () => {
    const room = new Room();
    const [a, b] = [room.join(), room.join()];
    const taken = a.shown.slice();
    for (const piece of taken) room.send(a, piece);
    room.peers.delete(a);
    room.seed.peerGone(a);
    room.seed.checkInvariants();
    for (let index = 0; index < PIECES && !room.seed.isOver; index++) room.send(b, b.shown[index] ?? -1);
    assert.ok(taken.every((piece) => b.shown.includes(piece)));
  });

  it("is over once everything is out, or somebody has everything or wants nothing more", () => {
    const out = new Room();
    const peers = Array.from({ length: 6 }, () => out.join());
    for (let piece = 0; piece < PIECES; piece++) {
      assert.equal(out.seed.isOver, false);
      const other = peers.find(({ shown }) => !shown.includes(piece));
      assert.ok(other !== undefined, "a piece is shown to few");
      out.has(other, piece);
    }
    assert.equal(out.seed.isOver, true);

    const seeded = new Room();
    seeded.join();
    const other = new Peer();
    other.pieces.fill();
    seeded.seed.peerAnnounced(other, -1, 0);
    assert.equal(seeded.seed.isOver, true);

    const done = new Room();
    const last = done.join();
    for (let piece = 0; piece < PIECES; piece++) if (!last.shown.includes(piece)) last.pieces.add(piece);
    done.seed.peerAnnounced(last, -1, 0);
    done.join();
    assert.equal(done.seed.isOver, false);
    last.isUploadOnly = true;
    done.pass(1000);
    assert.equal(done.seed.isOver, true);
  });
});
