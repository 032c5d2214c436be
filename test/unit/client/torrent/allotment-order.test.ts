// Who finds something to ask for where hundreds of peers look for it: those that brought what they were asked for must not wait behind them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { Allotment, type AllottedPeer } from "../../../../src/client/torrent/allotment.js";
import { Attribution, type PeerRecord } from "../../../../src/client/torrent/attribution.js";
import { Picker } from "../../../../src/client/torrent/picker.js";
import { makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

const PIECES = 64;
const BLOCKS = 4;
const PIECE_LENGTH = BLOCKS * BLOCK_SIZE;

class Peer implements AllottedPeer {
  readonly allowedFast = undefined;
  readonly pipeline = { snubbed: false };
  /** How long it takes for a piece; 0: not known. */
  pieceMs = 0;
  readonly isHeldBack = false;
  readonly peerChoking = false;
  incoming = true;
  readonly counters = { payloadBytes: 0, blocksReceived: 0 };
  requests: [piece: number, block: number][] = [];
  askedMs = 0;
  /** False: what it was asked for is on its way, and it counts as one that waits for nothing. */
  waits = true;

  readonly swarm: Swarm;
  readonly pieces: PieceSet;
  readonly record: PeerRecord;

  constructor(swarm: Swarm, pieces: PieceSet, record: PeerRecord) {
    this.swarm = swarm;
    this.pieces = pieces;
    this.record = record;
  }

  get expected(): { count: number } {
    return { count: this.waits ? this.requests.length : 0 };
  }

  msFor(): number {
    return this.pieceMs;
  }

  hasRequested(piece: number, block: number): boolean {
    return this.requests.some(([p, b]) => p === piece && b === block);
  }

  partWith(): boolean {
    return false;
  }

  letGo(silentMs: number): number {
    if (this.swarm.nowMs - this.askedMs < silentMs) return 0;
    const dropped = this.requests.splice(0);
    for (const [piece, block] of dropped) this.swarm.picker.requestDropped(piece, block);
    return dropped.length;
  }
}

class Swarm {
  nowMs = 1000;
  readonly peers: Peer[] = [];
  /** In the order in which the allotment had them ask. */
  readonly asked: Peer[] = [];
  readonly wakesMs: number[] = [];
  /** True: what came of a piece that starts over is dropped by dropped() only, as where a disk writes it. */
  dropsLate = false;
  readonly #dropping: number[] = [];
  readonly picker: Picker;
  readonly attribution = new Attribution({ pieceLength: PIECE_LENGTH, requestTimeoutMs: 20_000 });
  readonly allotment: Allotment<Peer>;
  readonly #everything = new PieceSet(PIECES);
  readonly #out = new Int32Array(1024);

  constructor() {
    const totalLength = PIECES * PIECE_LENGTH;
    const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
    const layout = new Layout({ pieceLength: PIECE_LENGTH, totalLength, files });
    this.picker = new Picker(layout, { random: makeRandom(1) });
    this.#everything.fill();
    const now = (): number => this.nowMs;
    this.allotment = new Allotment<Peer>(this.picker, this.attribution, {
      get nowMs() {
        return now();
      },
      here: this.peers,
      recordOf: (peer) => peer.record,
      ask: (peer) => {
        this.asked.push(peer);
        this.ask(peer, 4);
      },
      dropBlocks: (piece) => {
        this.#dropping.push(piece);
        for (const peer of this.peers) peer.requests = peer.requests.filter(([asked]) => asked !== piece);
        if (!this.dropsLate) this.#drop();
      },
      wakeIn: (ms) => this.wakesMs.push(this.nowMs + ms),
    });
  }

  /** What was being dropped is gone. */
  dropped(): void {
    this.#drop();
    this.allotment.pieceFree();
  }

  #drop(): void {
    for (const piece of this.#dropping.splice(0)) {
      this.picker.pieceFailed(piece);
      this.attribution.pieceStartedOver(piece, undefined, this.nowMs);
    }
  }

  join(): Peer {
    const number = this.peers.length;
    const record = this.attribution.record(`peer ${number}`, "10.0.0.1", 1000 + number);
    record.connections = 1;
    const peer = new Peer(this, this.#everything, record);
    this.picker.peerAdded(this.#everything);
    this.peers.push(peer);
    return peer;
  }

  ask(peer: Peer, count: number): number {
    const out = this.#out;
    const got = this.allotment.pick(peer, count, out, 1);
    for (let index = 0; index < got; index++)
      peer.requests.push([out[2 * index] ?? 0, out[2 * index + 1] ?? 0]);
    if (got > 0) peer.askedMs = this.nowMs;
    return got;
  }

  /** The first piece comes, of all of `peers` in turn, and is right or wrong. */
  pieceComes(piece: number, peers: readonly Peer[], isRight: boolean): void {
    for (let block = 0; block < BLOCKS; block++) {
      const peer = peers[block % peers.length];
      assert.ok(peer !== undefined);
      this.attribution.blockReceived(peer.record, piece, block, BLOCKS, this.nowMs);
      this.picker.blockReceived(piece, block);
      peer.counters.blocksReceived++;
    }
    if (isRight) {
      this.picker.pieceVerified(piece);
      this.attribution.pieceVerified(piece);
    } else {
      this.picker.pieceFailed(piece);
      this.attribution.pieceFailed(piece, undefined, this.nowMs);
    }
  }
}

describe("Allotment: who waits for nothing, while somebody is suspected", () => {
  /** All is verified but piece 1, which strangers spoiled, and which is asked of a slow one alone now. */
  function slowHasTheLast(slowMs: number): { swarm: Swarm; slow: Peer; fast: Peer } {
    const swarm = new Swarm();
    const [slow, fast] = [swarm.join(), swarm.join()];
    const liars = [swarm.join(), swarm.join()];
    Object.assign(slow, { pieceMs: slowMs });
    Object.assign(fast, { pieceMs: 10 });
    for (let piece = 0; piece < PIECES; piece++)
      if (piece !== 1) swarm.pieceComes(piece, [piece % 2 === 0 ? slow : fast], true);
    swarm.pieceComes(1, liars, false);
    assert.equal(swarm.ask(slow, BLOCKS), BLOCKS);
    return { swarm, slow, fast };
  }

  it("has a piece that a much slower one has alone, and was silent about for a second", () => {
    const { swarm, slow, fast } = slowHasTheLast(1000);
    swarm.nowMs += 900;
    swarm.allotment.tick();
    assert.equal(fast.requests.length, 0, "it may come yet");
    swarm.nowMs += 200;
    swarm.allotment.tick();
    assert.deepEqual([fast.requests.length, slow.record.lapses], [BLOCKS, 0]);
  });

  it("leaves what one has alone that is about as fast", () => {
    const { swarm, fast } = slowHasTheLast(30);
    swarm.nowMs += 5000;
    swarm.allotment.tick();
    assert.equal(fast.requests.length, 0);
  });

  it("takes one piece of slow ones at a time, and the next one when it has brought what it took", () => {
    const swarm = new Swarm();
    const [slow, fast] = [swarm.join(), swarm.join()];
    const liars = [swarm.join(), swarm.join()];
    Object.assign(slow, { pieceMs: 1000 });
    Object.assign(fast, { pieceMs: 10 });
    for (let piece = 4; piece < PIECES; piece++)
      swarm.pieceComes(piece, [piece % 2 === 0 ? slow : fast], true);
    for (let piece = 0; piece < 4; piece++) swarm.pieceComes(piece, liars, false);
    assert.equal(swarm.ask(slow, 4 * BLOCKS), 4 * BLOCKS);
    swarm.nowMs += 1500;
    swarm.allotment.tick();
    assert.equal(fast.requests.length, BLOCKS);
    // It says nothing, and asks again as if it waited for nothing.
    fast.waits = false;
    assert.equal(swarm.ask(fast, BLOCKS), 0);
    fast.counters.blocksReceived += BLOCKS;
    assert.equal(swarm.ask(fast, BLOCKS), BLOCKS);
  });

  it("is asked between two ticks, once what strangers have alone was not got on with for as long as it waits for them", () => {
    const swarm = new Swarm();
    const [fast, stranger] = [swarm.join(), swarm.join()];
    const liars = [swarm.join(), swarm.join()];
    fast.pieceMs = 10;
    for (let piece = 2; piece < PIECES; piece++) swarm.pieceComes(piece, [fast], true);
    for (const piece of [0, 1]) swarm.pieceComes(piece, liars, false);
    assert.deepEqual([swarm.ask(stranger, BLOCKS), swarm.ask(fast, BLOCKS)], [BLOCKS, BLOCKS]);
    const [other] = entryOf(fast.requests.splice(0), 0);
    swarm.pieceComes(other, [fast], true);
    assert.deepEqual([swarm.ask(fast, BLOCKS), swarm.ask(fast, BLOCKS), swarm.wakesMs.length], [0, 0, 1]);
    const sinceMs = swarm.nowMs;
    while (fast.requests.length === 0) {
      const wakesMs = swarm.wakesMs.shift();
      assert.ok(wakesMs !== undefined && wakesMs - sinceMs <= 150, "it is woken as long as somebody waits");
      swarm.nowMs = wakesMs;
      swarm.allotment.awoke();
    }
    assert.ok(swarm.nowMs - sinceMs >= 8 * fast.pieceMs, "what may come yet is left");
    assert.deepEqual([fast.requests.length, swarm.wakesMs.length], [BLOCKS, 0]);
  });

  it("is tried if we sought it and it was never asked for anything, though all is asked of others", () => {
    for (const incoming of [true, false]) {
      const swarm = new Swarm();
      const slow = swarm.join();
      const liars = [swarm.join(), swarm.join()];
      slow.pieceMs = 1000;
      swarm.pieceComes(0, [slow], true);
      assert.equal(swarm.ask(slow, 62 * BLOCKS), 62 * BLOCKS);
      const [last] = Array.from({ length: PIECES }, (_, piece) => piece).filter(
        (piece) => piece > 0 && !swarm.picker.isStarted(piece),
      );
      assert.ok(last !== undefined);
      swarm.pieceComes(last, liars, false);
      assert.equal(swarm.ask(slow, BLOCKS), BLOCKS);
      const newcomer = swarm.join();
      newcomer.incoming = incoming;
      for (let window = 0; window < 3; window++) swarm.picker.windowEnded();
      swarm.nowMs += 1500;
      swarm.allotment.tick();
      assert.equal(newcomer.requests.length, incoming ? 0 : BLOCKS);
      const pieces = new Set(newcomer.requests.map(([piece]) => piece));
      assert.equal(pieces.size, incoming ? 0 : 1, "alone");
    }
  });
});

describe("Allotment: whom we sought, and never asked for anything", () => {
  /** Somebody brought a right piece, others a wrong one; all else is asked of strangers, a piece each, and of the first. */
  function allIsAsked(): Swarm {
    const swarm = new Swarm();
    const proven = swarm.join();
    swarm.pieceComes(0, [proven], true);
    // It gets on.
    swarm.allotment.tick();
    swarm.pieceComes(1, [swarm.join(), swarm.join()], false);
    for (let count = 0; count < 20; count++) {
      const stranger = swarm.join();
      assert.equal(swarm.ask(stranger, BLOCKS), BLOCKS);
      // It keeps what it was asked for, as one that has begun a block.
      stranger.askedMs = Number.POSITIVE_INFINITY;
    }
    let left = PIECES * BLOCKS;
    while (swarm.ask(proven, PIECES * BLOCKS) > 0) assert.ok(left-- > 0, "what can be asked for ends");
    return swarm;
  }

  it("has what a stranger has alone and was silent about, though hundreds have looked in vain before it came", () => {
    const swarm = allIsAsked();
    const silent = Array.from({ length: 1500 }, () => swarm.join());
    const others = Array.from({ length: 100 }, () => swarm.join());
    for (const peer of silent) swarm.ask(peer, 4);
    for (const peer of others) peer.counters.blocksReceived = 1;
    for (let step = 0; step < 30; step++) {
      swarm.nowMs += 60;
      for (const peer of others) swarm.ask(peer, 4);
    }
    const sought = swarm.join();
    sought.incoming = false;
    assert.ok(swarm.ask(sought, 4) > 0);
    assert.equal(sought.record.owned, 1);
  });

  it("has what was taken from another for it when that is dropped, and not whoever waits for anything", () => {
    const swarm = allIsAsked();
    swarm.dropsLate = true;
    const waiting = swarm.join();
    waiting.counters.blocksReceived = 1;
    assert.equal(swarm.ask(waiting, 4), 0);
    swarm.nowMs += 600;
    const sought = swarm.join();
    sought.incoming = false;
    assert.equal(swarm.ask(sought, 4), 0, "a piece is being dropped for it");
    swarm.dropped();
    assert.ok(sought.requests.length > 0);
    assert.equal(waiting.requests.length, 0);
  });

  it("is asked before those that came by themselves, whatever those have brought that was never right", () => {
    const swarm = allIsAsked();
    for (let peer = 0; peer < 40; peer++) {
      const stranger = swarm.join();
      Object.assign(stranger.counters, { blocksReceived: 1, payloadBytes: BLOCK_SIZE });
    }
    const sought = swarm.join();
    sought.incoming = false;
    swarm.asked.length = 0;
    swarm.allotment.tick();
    assert.ok(swarm.asked.indexOf(sought) >= 0, "it is among the first");
  });
});

describe("Allotment: who comes first", () => {
  it("is whoever had a part in a right piece, at each tick, while somebody is suspected", () => {
    const swarm = new Swarm();
    const strangers = Array.from({ length: 40 }, () => swarm.join());
    const proven = swarm.join();
    swarm.pieceComes(0, [proven], true);
    swarm.allotment.tick();
    assert.deepEqual(swarm.asked, [], "nobody is suspected: each asks when its turn comes");
    swarm.pieceComes(1, strangers.slice(0, 2), false);
    swarm.allotment.tick();
    assert.equal(swarm.asked[0], proven);
    assert.ok(swarm.asked.length > 1, "then others");
    assert.ok(swarm.asked.length <= 32, `${swarm.asked.length} of 41 are asked before their turn`);
  });

  it("leaves something of a tick's time to whoever had a part in a right piece, though hundreds look in vain", () => {
    const swarm = new Swarm();
    // Everything is asked of peers that say nothing, by turns: some of it is always asked for of late.
    const silent = Array.from({ length: 1500 }, () => swarm.join());
    const others = Array.from({ length: 100 }, () => swarm.join());
    const proven = swarm.join();
    swarm.pieceComes(0, [proven], true);
    for (const peer of others) peer.counters.blocksReceived = 1;
    swarm.allotment.tick();
    for (const peer of silent) swarm.ask(peer, 4);
    assert.equal(swarm.picker.inEndGame, true, "all of it is asked for");
    // For most of a second, others that find nothing look at all of them again and again.
    for (let ms = 0; ms < 450; ms += 60) {
      swarm.nowMs += 60;
      for (const peer of others) {
        peer.requests = [];
        swarm.ask(peer, 4);
        peer.requests = [];
      }
    }
    swarm.nowMs += 60;
    assert.ok(swarm.ask(proven, 4) > 0, "what silent ones were asked for is taken from them");
  });

  it("asks again between two ticks whoever brought all it was asked for, and found nothing", () => {
    const swarm = new Swarm();
    const liars = [swarm.join(), swarm.join()];
    const proven = swarm.join();
    const rest = Array.from({ length: 80 }, () => swarm.join());
    swarm.pieceComes(0, [proven], true);
    swarm.pieceComes(1, liars, false);
    for (const peer of rest) swarm.ask(peer, 4);
    proven.waits = false;
    let left = 2 * PIECES * BLOCKS;
    while (swarm.ask(proven, 4) > 0) assert.ok(left-- > 0, "what can be asked for ends");
    swarm.asked.length = 0;
    swarm.nowMs += 20;
    swarm.ask(liars[0] as Peer, 4);
    assert.ok(!swarm.asked.includes(proven), "not at once");
    swarm.nowMs += 40;
    swarm.ask(liars[0] as Peer, 4);
    assert.ok(swarm.asked.includes(proven), "when another one asks, after a while");
  });

  it("is not held up at the end by hundreds that bring little, if it is fast", () => {
    const swarm = new Swarm();
    const join = (pieceMs: number): Peer => {
      const peer = swarm.join();
      peer.pieceMs = pieceMs;
      peer.counters.blocksReceived = 1;
      return peer;
    };
    const fast = join(10);
    // All that is missing is asked of slow ones, as often as it may be.
    while (swarm.ask(join(2000), 64) > 0);
    assert.equal(swarm.picker.requesters(0, 0), 3);
    assert.equal(swarm.ask(fast, 64), 0, "nobody knows yet how fast the others are");
    swarm.allotment.tick();
    assert.ok(swarm.ask(fast, 64) > 0);
    assert.equal(swarm.ask(join(2000), 64), 0);
    assert.equal(swarm.ask(join(0), 64), 0, "nor one of which nobody knows");
  });
});
