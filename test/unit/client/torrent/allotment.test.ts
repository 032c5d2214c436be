// Swarms of honest peers and liars, played through with the picker, the allotment and the attribution as a torrent puts them
// together: time, choice and behaviour come from a seed.
//
// Always, whatever is sent by whom and in what order: the download ends, the honest are never banned, and a liar whose bad block was
// in a failed piece is.
//
// It is long, because the peers and the swarm that are played with are needed by both kinds of test.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { PieceSet } from "../../../../src/base/piece-set.js";
import { Layout } from "../../../../src/client/storage/layout.js";
import { Allotment, type AllottedPeer } from "../../../../src/client/torrent/allotment.js";
import { Attribution, type PeerRecord } from "../../../../src/client/torrent/attribution.js";
import { BLOCK_UNWANTED, Picker } from "../../../../src/client/torrent/picker.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

const TIMEOUT_MS = 20_000;
/** Once so much has happened, the honest stay, are quick and have everything: from then on the download has to end. */
const TURBULENCE_STEPS = 1500;
const STEPS_MAX = 6000;

/** Shares of what a peer does with a request; the rest it leaves unanswered. */
interface Manners {
  readonly honest: boolean;
  /** Blocks that are sent at all, of those asked for, per turn; bad ones of those; refusals. */
  readonly answers: number;
  readonly lies: number;
  readonly refuses: number;
  /** Chance, per turn, to leave; and to choke or unchoke us. */
  readonly leaves: number;
  readonly chokes: number;
}

class SimulatedPeer implements AllottedPeer {
  readonly pieces: PieceSet;
  readonly record: PeerRecord;
  readonly manners: Manners;
  readonly allowedFast = undefined;
  readonly pipeline = { snubbed: false };
  /** 0: not known. */
  msPerByte = 0;
  readonly isHeldBack = false;
  readonly counters = { payloadBytes: 0, blocksReceived: 0 };
  peerChoking = false;
  /** It came by itself. */
  incoming = false;
  /** Has those give back that are silent. Set by the swarm. */
  givesBack: ((peer: SimulatedPeer) => void) | undefined;
  requests: [piece: number, block: number][] = [];
  /** Given up here, and perhaps on their way. */
  orphans: [piece: number, block: number][] = [];

  constructor(pieces: PieceSet, record: PeerRecord, manners: Manners) {
    this.pieces = pieces;
    this.record = record;
    this.manners = manners;
  }

  get expected(): { count: number } {
    return { count: this.requests.length };
  }

  msFor(bytes: number): number {
    return bytes * this.msPerByte;
  }

  hasRequested(piece: number, block: number): boolean {
    return this.requests.some(([p, b]) => p === piece && b === block);
  }

  partWith(): boolean {
    return false;
  }

  letGo(): number {
    const { length } = this.requests;
    this.givesBack?.(this);
    return length - this.requests.length;
  }
}

class SimulatedSwarm {
  readonly #random: () => number;
  readonly #layout: Layout;
  readonly #picker: Picker;
  readonly #attribution: Attribution;
  readonly #allotment: Allotment<SimulatedPeer>;
  readonly #digestsKnown: boolean;
  #here: SimulatedPeer[] = [];
  readonly #mannersOf = new Map<PeerRecord, Manners>();
  /** Digests of what is here of each piece. */
  readonly #blocks = new Map<number, Float64Array>();
  /** Liars whose bad blocks were in pieces that failed or started over, by piece. */
  readonly #guilty = new Map<number, Set<PeerRecord>>();
  nowMs = 0;

  constructor(seed: number, pieceCount: number, blocksPerPiece: number, manners: Manners[], known: boolean) {
    this.#random = makeRandom(seed);
    this.#digestsKnown = known;
    const pieceLength = blocksPerPiece * BLOCK_SIZE;
    const totalLength = (pieceCount - 1) * pieceLength + 1 + Math.floor(this.#random() * pieceLength);
    const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
    this.#layout = new Layout({ pieceLength, totalLength, files });
    this.#picker = new Picker(this.#layout, { random: this.#random });
    this.#attribution = new Attribution({ pieceLength, requestTimeoutMs: TIMEOUT_MS });
    const now = (): number => this.nowMs;
    const here = (): SimulatedPeer[] => this.#here;
    this.#allotment = new Allotment(this.#picker, this.#attribution, {
      get nowMs() {
        return now();
      },
      get here() {
        return here();
      },
      recordOf: (peer) => peer.record,
      ask: (peer) => this.#ask(peer),
      dropBlocks: (piece) => this.#dropBlocks(piece),
      wakeIn: () => {},
    });
    manners.forEach((each, index) => {
      const record = this.#attribution.record(`peer ${index}`, "10.0.0.1", 1000 + index);
      this.#mannersOf.set(record, each);
    });
  }

  play(): void {
    let steps = 0;
    let reviewedMs = 0;
    while (!this.#picker.isComplete) {
      assert.ok(++steps < STEPS_MAX, "the download ends");
      const isCalm = steps > TURBULENCE_STEPS;
      this.nowMs += Math.floor(this.#random() * 1000);
      if (this.nowMs - reviewedMs >= 1000) {
        reviewedMs = this.nowMs;
        this.#allotment.tick();
        if (this.#random() < 0.25) this.#picker.windowEnded();
        for (const peer of this.#here) if (this.#random() < 0.1 && !isCalm) this.#timeOut(peer);
      }
      this.#arrive(isCalm);
      const peer = this.#here[Math.floor(this.#random() * this.#here.length)];
      if (peer !== undefined) this.#turn(peer, isCalm);
      this.#picker.checkInvariants();
      this.#attribution.checkInvariants();
    }
    for (const [record, { honest }] of this.#mannersOf)
      assert.ok(!honest || !record.banned, `${record.key} is honest and banned`);
    assert.equal(this.#attribution.remembers(0), false, "what is settled is forgotten");
    if (!this.#digestsKnown) return;
    for (const [piece, records] of this.#guilty)
      for (const record of records) assert.ok(record.banned, `${record.key} lied in piece ${piece}`);
  }

  #arrive(isCalm: boolean): void {
    for (const [record, manners] of this.#mannersOf) {
      if (record.banned || this.#here.some((peer) => peer.record === record)) continue;
      if (this.#random() > (isCalm && manners.honest ? 1 : 0.05)) continue;
      const share = this.#random() < 0.5 || isCalm ? 1 : this.#random();
      const pieces = new PieceSet(this.#layout.pieceCount);
      for (let piece = 0; piece < pieces.pieceCount; piece++) if (this.#random() < share) pieces.add(piece);
      record.connections = 1;
      this.#picker.peerAdded(pieces);
      const peer = new SimulatedPeer(pieces, record, manners);
      peer.givesBack = (silent) => this.#timeOut(silent);
      this.#here.push(peer);
    }
  }

  #leave(peer: SimulatedPeer): void {
    this.#here = this.#here.filter((each) => each !== peer);
    for (const [piece, block] of peer.requests.splice(0)) this.#picker.requestDropped(piece, block);
    this.#picker.peerRemoved(peer.pieces);
    peer.record.connections = 0;
    this.#attribution.peerGone(peer.record);
  }

  /** Requests are given back, and may be answered after all. */
  #timeOut(peer: SimulatedPeer): void {
    for (const [piece, block] of peer.requests) this.#picker.requestDropped(piece, block);
    peer.orphans.push(...peer.requests.splice(0));
  }

  #turn(peer: SimulatedPeer, isCalm: boolean): void {
    const { manners } = peer;
    const isDecent = isCalm && manners.honest;
    if (isDecent && !peer.pieces.isFull) {
      this.#leave(peer);
      return;
    }
    if (this.#random() < manners.leaves && !isDecent) {
      this.#leave(peer);
      return;
    }
    if (isDecent) peer.peerChoking = false;
    else if (this.#random() < manners.chokes) {
      peer.peerChoking = !peer.peerChoking;
      if (peer.peerChoking) this.#timeOut(peer);
    }
    if (!peer.peerChoking) this.#ask(peer);
    for (let left = peer.requests.length; left > 0 && peer.requests.length > 0; left--) {
      const roll = this.#random();
      if (roll < (isDecent ? 1 : manners.answers))
        this.#bring(peer, ...required(peer.requests.shift(), "an entry of requests"));
      else if (roll < manners.answers + manners.refuses) {
        const [piece, block] = required(peer.requests.shift(), "an entry of requests");
        this.#picker.requestDropped(piece, block);
      }
      if (!this.#here.includes(peer)) return;
    }
    while (peer.orphans.length > 0 && this.#random() < 0.3)
      this.#bring(peer, ...required(peer.orphans.shift(), "an entry of orphans"), true);
  }

  #ask(peer: SimulatedPeer): void {
    const out = new Int32Array(2 * 6);
    const missing = 6 - peer.requests.length;
    const got =
      missing > 0 ? this.#allotment.pick(peer, missing, out, 1 + Math.floor(this.#random() * 3)) : 0;
    for (let at = 0; at < got; at++) {
      assert.ok(
        this.#attribution.mayBring(peer.record, entryOf(out, 2 * at)),
        "what is asked of a peer is taken of it",
      );
      peer.requests.push([entryOf(out, 2 * at), entryOf(out, 2 * at + 1)]);
    }
  }

  /** As Torrent.blockReceived. */
  #bring(peer: SimulatedPeer, piece: number, block: number, orphan = false): void {
    const { record, manners } = peer;
    if (!this.#attribution.isQuiet && !this.#attribution.mayBring(record, piece)) {
      assert.ok(orphan, "only what was given up before comes unwelcome");
      return;
    }
    if (this.#picker.blockReceived(piece, block) === BLOCK_UNWANTED) return;
    for (const other of this.#here)
      other.requests = other.requests.filter(([p, b]) => p !== piece || b !== block);
    peer.counters.payloadBytes += BLOCK_SIZE;
    peer.counters.blocksReceived++;
    const blockCount = this.#layout.blocksInPiece(piece);
    this.#attribution.blockReceived(record, piece, block, blockCount, this.nowMs);
    const digests = this.#blocks.get(piece) ?? new Float64Array(blockCount).fill(Number.NaN);
    this.#blocks.set(piece, digests);
    const lies = this.#random() < manners.lies;
    digests[block] = lies ? 1_000_000 + Math.floor(this.#random() * 3) : this.#right(block);
    if (lies) this.#pending(piece).set(block, record);
    else this.#pending(piece).delete(block);
    if (this.#picker.isPieceReceived(piece)) this.#judge(piece);
  }

  #right(block: number): number {
    return block;
  }

  /** Bad blocks that are here now. */
  readonly #bad = new Map<number, Map<number, PeerRecord>>();

  #pending(piece: number): Map<number, PeerRecord> {
    const bad = this.#bad.get(piece) ?? new Map<number, PeerRecord>();
    this.#bad.set(piece, bad);
    return bad;
  }

  #judge(piece: number): void {
    const digests = required(this.#blocks.get(piece), "an entry of blocks");
    const bad = this.#takeBad(piece);
    const known = this.#digestsKnown || this.#random() < 0.5;
    if (bad.size === 0) {
      this.#picker.pieceVerified(piece);
      for (const record of this.#attribution.pieceVerified(piece, known ? digests : undefined))
        this.#banned(record);
      return;
    }
    this.#picker.pieceFailed(piece);
    const { banned } = this.#attribution.pieceFailed(piece, known ? digests : undefined, this.nowMs);
    for (const record of banned) this.#banned(record);
    this.#allotment.pieceFailed();
  }

  #takeBad(piece: number): Map<number, PeerRecord> {
    const bad = this.#pending(piece);
    this.#blocks.delete(piece);
    this.#bad.delete(piece);
    const guilty = this.#guilty.get(piece) ?? new Set<PeerRecord>();
    this.#guilty.set(piece, guilty);
    for (const record of bad.values()) guilty.add(record);
    return bad;
  }

  #banned(record: PeerRecord): void {
    assert.equal(
      required(this.#mannersOf.get(record), "the manners of a peer").honest,
      false,
      `${record.key} is honest`,
    );
    for (const peer of this.#here.filter((each) => each.record === record)) this.#leave(peer);
  }

  #dropBlocks(piece: number): void {
    for (const peer of this.#here) {
      peer.orphans.push(...peer.requests.filter(([p]) => p === piece));
      peer.requests = peer.requests.filter(([p]) => p !== piece);
    }
    const digests = this.#blocks.get(piece);
    this.#takeBad(piece);
    this.#picker.pieceFailed(piece);
    const known = this.#digestsKnown ? digests : undefined;
    this.#attribution.pieceStartedOver(piece, known, this.nowMs);
    this.#allotment.pieceFree();
  }
}

const share = (max: number): fc.Arbitrary<number> => fc.double({ min: 0, max, noNaN: true });
const honest: fc.Arbitrary<Manners> = fc.record({
  honest: fc.constant(true),
  answers: fc.double({ min: 0.05, max: 0.9, noNaN: true }),
  lies: fc.constant(0),
  refuses: share(0.1),
  leaves: share(0.03),
  chokes: share(0.1),
});
const liar: fc.Arbitrary<Manners> = fc.record({
  honest: fc.constant(false),
  answers: share(1),
  lies: fc.oneof(fc.constant(1), share(0.3), fc.constant(0.01)),
  refuses: share(1),
  leaves: share(0.1),
  chokes: share(0.2),
});

describe("Allotment: peers that have brought nothing yet", () => {
  it("have half of what is missing to themselves while somebody lies, and a quarter more if we sought them", () => {
    const pieceCount = 40;
    const pieceLength = 4 * BLOCK_SIZE;
    const totalLength = pieceCount * pieceLength;
    const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
    const picker = new Picker(new Layout({ pieceLength, totalLength, files }), { random: makeRandom(1) });
    const attribution = new Attribution({ pieceLength, requestTimeoutMs: TIMEOUT_MS });
    const peers: SimulatedPeer[] = [];
    const allotment = new Allotment<SimulatedPeer>(picker, attribution, {
      nowMs: 0,
      here: peers,
      recordOf: (peer) => peer.record,
      ask: () => {},
      dropBlocks: () => {},
      wakeIn: () => {},
    });
    const everything = new PieceSet(pieceCount);
    everything.fill();
    const liars = ["a liar", "another"].map((key) => attribution.record(key, "10.0.0.1", 1));
    for (const [block, liar] of liars.entries()) attribution.blockReceived(liar, 0, block, 4, 0);
    attribution.pieceFailed(0, undefined, 0);
    allotment.tick();
    const out = new Int32Array(64);
    /** How many of 100 that come are asked for anything. */
    const asked = (incoming: boolean): number => {
      let count = 0;
      for (let index = 0; index < 100; index++) {
        const record = attribution.record(`peer ${peers.length}`, "10.0.0.1", peers.length);
        const manners = { honest: true, answers: 1, lies: 0, refuses: 0, leaves: 0, chokes: 0 };
        const peer = new SimulatedPeer(everything, record, manners);
        peer.incoming = incoming;
        record.connections = 1;
        picker.peerAdded(everything);
        peers.push(peer);
        if (allotment.pick(peer, 4, out, 1) > 0) count++;
      }
      return count;
    };
    // One more may have the piece that failed, which is nobody's.
    const came = asked(true);
    assert.ok(Math.abs(came - pieceCount / 2) <= 1, `${came} that came`);
    const sought = asked(false);
    assert.ok(Math.abs(sought - pieceCount / 4) <= 1, `${sought} that were sought`);
    assert.equal(asked(false), 0);
    attribution.checkInvariants();
  });

  it("share what they are asked for, so that hundreds that never will leave enough for whoever does", () => {
    const totalLength = 8192 * BLOCK_SIZE;
    const layout = new Layout({
      pieceLength: 16 * BLOCK_SIZE,
      totalLength,
      files: [{ path: ["file"], length: totalLength, offset: 0, padding: false }],
    });
    const picker = new Picker(layout, { random: makeRandom(1) });
    const attribution = new Attribution({ pieceLength: layout.pieceLength, requestTimeoutMs: TIMEOUT_MS });
    const peers: SimulatedPeer[] = [];
    const allotment = new Allotment<SimulatedPeer>(picker, attribution, {
      nowMs: 0,
      here: peers,
      recordOf: (peer) => peer.record,
      ask: () => {},
      dropBlocks: () => {},
      wakeIn: () => {},
    });
    const everything = new PieceSet(layout.pieceCount);
    everything.fill();
    const join = (): SimulatedPeer => {
      const record = attribution.record(`peer ${peers.length}`, "10.0.0.1", peers.length);
      const manners = { honest: true, answers: 1, lies: 0, refuses: 0, leaves: 0, chokes: 0 };
      const peer = new SimulatedPeer(everything, record, manners);
      picker.peerAdded(everything);
      peers.push(peer);
      return peer;
    };
    const out = new Int32Array(64);
    const ask = (peer: SimulatedPeer, count: number): number => {
      const got = allotment.pick(peer, count, out, 1);
      for (let index = 0; index < got; index++)
        peer.requests.push([entryOf(out, 2 * index), entryOf(out, 2 * index + 1)]);
      return got;
    };
    let asked = 0;
    for (let count = 0; count < 1000; count++) asked += ask(join(), 16);
    assert.ok(asked >= 1000 && asked < 8192 / 2, `${asked} blocks`);
    const last = join();
    assert.equal(ask(last, 16), 1, "a newcomer is asked for one");
    last.requests.pop();
    last.counters.blocksReceived++;
    assert.equal(ask(last, 16), 16, "and then for as many as anybody");
    // Those that left take no share.
    for (const peer of peers.slice(0, 990)) allotment.peerGone(peer);
    assert.equal(ask(join(), 16), 16);
  });
});

/** The first `count` pairs of piece and block. */
function pickedPairs(out: Int32Array, count: number): [piece: number, block: number][] {
  return Array.from({ length: count }, (_, index) => {
    const [piece = -1, block = -1] = out.subarray(2 * index);
    return [piece, block];
  });
}

describe("Allotment: pieces of those that have shown nothing", () => {
  const PIECES = 8;
  const BLOCKS = 4;

  /** All that is missing is asked of such, but for what one gets that has shown something, and waits for nothing now. */
  function allHeld(): {
    honest: SimulatedPeer;
    picker: Picker;
    attribution: Attribution;
    allotment: Allotment<SimulatedPeer>;
    asked: SimulatedPeer[];
    missing: number;
    pass(ms: number): void;
    pick(peer: SimulatedPeer): number;
    join(key: string): SimulatedPeer;
  } {
    const pieceLength = BLOCKS * BLOCK_SIZE;
    const totalLength = PIECES * pieceLength;
    const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
    const picker = new Picker(new Layout({ pieceLength, totalLength, files }), { random: makeRandom(1) });
    const attribution = new Attribution({ pieceLength, requestTimeoutMs: TIMEOUT_MS });
    const everything = new PieceSet(PIECES);
    everything.fill();
    const peers: SimulatedPeer[] = [];
    const asked: SimulatedPeer[] = [];
    let nowMs = 1000;
    const allotment = new Allotment<SimulatedPeer>(picker, attribution, {
      get nowMs() {
        return nowMs;
      },
      here: peers,
      recordOf: (peer) => peer.record,
      ask: (peer) => asked.push(peer),
      dropBlocks: (piece) => picker.pieceFailed(piece),
      wakeIn: () => {},
    });
    const join = (key: string): SimulatedPeer => {
      const record = attribution.record(key, "10.0.0.1", 1);
      record.connections = 1;
      picker.peerAdded(everything);
      const manners = { honest: true, answers: 1, lies: 0, refuses: 0, leaves: 0, chokes: 0 };
      const peer = new SimulatedPeer(everything, record, manners);
      peers.push(peer);
      return peer;
    };
    const out = new Int32Array(128);
    const pick = (peer: SimulatedPeer): number => {
      const got = allotment.pick(peer, 64, out, 1);
      peer.requests = pickedPairs(out, got);
      return got;
    };
    const honest = join("honest");
    honest.record.isProven = true;
    honest.counters.blocksReceived = 1;
    attribution.blockReceived(attribution.record("a liar", "10.0.0.1", 1), 0, 0, BLOCKS, 0);
    attribution.blockReceived(attribution.record("another", "10.0.0.1", 1), 0, 1, BLOCKS, 0);
    attribution.pieceFailed(0, undefined, nowMs);
    for (let index = 0; index < 6; index++) pick(join(`holder ${index}`));
    pick(honest);
    for (const [piece, block] of honest.requests) picker.blockReceived(piece, block);
    honest.requests = [];
    const pass = (ms: number): void => {
      nowMs += ms;
    };
    return { honest, picker, attribution, allotment, asked, missing: picker.blocksMissing, pass, pick, join };
  }

  it("wait half a second for them, if one would take long for them that waits for nothing", () => {
    const { honest, missing, pass, pick } = allHeld();
    assert.ok(missing >= BLOCKS);
    honest.msPerByte = 1;
    pass(450);
    assert.equal(pick(honest), 0);
    pass(100);
    assert.equal(pick(honest), missing);
  });

  it("wait for them eight times as long as it would take itself", () => {
    const { honest, missing, pass, pick } = allHeld();
    honest.msPerByte = 20 / (BLOCKS * BLOCK_SIZE);
    pass(150);
    assert.equal(pick(honest), 0);
    pass(20);
    assert.equal(pick(honest), missing);
  });

  it("wait for as long as an answer may take, however fast it is", () => {
    const { honest, missing, pass, pick } = allHeld();
    honest.msPerByte = 1e-9;
    pass(40);
    assert.equal(pick(honest), 0);
    pass(20);
    assert.equal(pick(honest), missing);
  });

  it("are asked of one with the first right piece that it had a part in", () => {
    const { allotment, asked, attribution, picker, pick, join } = allHeld();
    const other = join("another honest one");
    other.counters.blocksReceived = 1;
    assert.equal(pick(other), 0, "whoever has shown nothing waits");
    allotment.shown();
    assert.deepEqual(asked, []);
    other.record.isProven = true;
    allotment.shown();
    assert.deepEqual(asked, [other]);
    allotment.shown();
    assert.deepEqual(asked, [other], "once");
    picker.checkInvariants();
    attribution.checkInvariants();
  });
});

describe("Allotment: pieces of those that have shown nothing and left", () => {
  it("are asked all at once of one that has shown something, as many as it waits for blocks", () => {
    const [pieceCount, pieceLength] = [8, 4 * BLOCK_SIZE];
    const totalLength = pieceCount * pieceLength;
    const files = [{ path: ["file"], length: totalLength, offset: 0, padding: false }];
    const picker = new Picker(new Layout({ pieceLength, totalLength, files }), { random: makeRandom(1) });
    const attribution = new Attribution({ pieceLength, requestTimeoutMs: TIMEOUT_MS });
    const everything = new PieceSet(pieceCount);
    everything.fill();
    const peers: SimulatedPeer[] = [];
    const clock = { nowMs: 0 };
    const allotment = new Allotment<SimulatedPeer>(picker, attribution, {
      get nowMs() {
        return clock.nowMs;
      },
      here: peers,
      recordOf: (peer) => peer.record,
      ask: () => {},
      dropBlocks: () => {},
      wakeIn: () => {},
    });
    const join = (key: string): SimulatedPeer => {
      const record = attribution.record(key, "10.0.0.1", 1);
      record.connections = 1;
      picker.peerAdded(everything);
      const manners = { honest: true, answers: 1, lies: 0, refuses: 0, leaves: 0, chokes: 0 };
      const peer = new SimulatedPeer(everything, record, manners);
      peers.push(peer);
      return peer;
    };
    const honest = join("honest");
    honest.record.isProven = true;
    honest.counters.blocksReceived = 1;
    attribution.blockReceived(attribution.record("a liar", "10.0.0.1", 1), 0, 0, 4, 0);
    attribution.blockReceived(attribution.record("another", "10.0.0.1", 1), 0, 1, 4, 0);
    attribution.pieceFailed(0, undefined, 0);
    const out = new Int32Array(128);
    const holders = Array.from({ length: 6 }, (_, index) => join(`holder ${index}`));
    for (const holder of holders) {
      holder.requests = pickedPairs(out, allotment.pick(holder, 4, out, 1));
    }
    const taken = allotment.pick(honest, 64, out, 1);
    for (const [piece, block] of pickedPairs(out, taken)) picker.blockReceived(piece, block);
    const held = holders.flatMap(({ requests }) => requests);
    assert.ok(
      held.length > 4 && taken > 0 && taken + held.length === 4 * pieceCount,
      `${held.length} blocks`,
    );
    // None of them is asked for anything any more: they choke us.
    for (const [piece, block] of held) picker.requestDropped(piece, block);
    clock.nowMs++;
    assert.equal(allotment.pick(honest, 64, out, 1), held.length);
    attribution.checkInvariants();
  });
});

describe("Allotment: a piece that failed", () => {
  it("is asked of those that have brought what they were asked for, though nothing had failed before", () => {
    const pieceLength = 4 * BLOCK_SIZE;
    const files = [{ path: ["file"], length: pieceLength, offset: 0, padding: false }];
    const layout = new Layout({ pieceLength, totalLength: pieceLength, files });
    const picker = new Picker(layout, { random: makeRandom(1) });
    const attribution = new Attribution({ pieceLength, requestTimeoutMs: TIMEOUT_MS });
    const everything = new PieceSet(1);
    everything.fill();
    const peers = ["one", "a liar"].map((key) => {
      const record = attribution.record(key, "10.0.0.1", 1);
      record.connections = 1;
      picker.peerAdded(everything);
      return new SimulatedPeer(everything, record, {
        ...{ honest: true, answers: 1, lies: 0, refuses: 0, leaves: 0, chokes: 0 },
      });
    });
    const [one, liar] = peers as [SimulatedPeer, SimulatedPeer];
    const asked: SimulatedPeer[] = [];
    const allotment = new Allotment<SimulatedPeer>(picker, attribution, {
      nowMs: 0,
      here: peers,
      recordOf: (peer) => peer.record,
      ask: (peer) => asked.push(peer),
      dropBlocks: () => {},
      wakeIn: () => {},
    });
    const out = new Int32Array(16);
    for (const peer of [one, liar]) {
      assert.equal(allotment.pick(peer, 2, out, 1), 2);
      for (const [, block] of pickedPairs(out, 2)) {
        picker.blockReceived(0, block);
        attribution.blockReceived(peer.record, 0, block, 4, 0);
        peer.counters.blocksReceived++;
      }
    }
    assert.equal(allotment.pick(one, 2, out, 1), 0, "all of it is here");
    picker.pieceFailed(0);
    attribution.pieceFailed(0, undefined, 0);
    allotment.pieceFailed();
    assert.deepEqual(asked, [one]);
    assert.ok(allotment.pick(one, 4, out, 1) > 0);
  });
});

describe("Allotment, played through", { timeout: 300_000 }, () => {
  it("liars are banned, the honest never, and the download ends", () => {
    check(
      fc.property(
        fc.nat(1 << 30),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 10 }),
        fc.array(honest, { minLength: 1, maxLength: 4 }),
        fc.array(liar, { maxLength: 4 }),
        fc.boolean(),
        (seed, pieceCount, blocksPerPiece, honestOnes, liars, known) => {
          const manners = [...honestOnes, ...liars];
          new SimulatedSwarm(seed, pieceCount, blocksPerPiece, manners, known).play();
        },
      ),
      2000,
    );
  });
});
