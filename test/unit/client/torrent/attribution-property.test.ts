// Thousands of mixes of honest peers and liars, block by block: whatever liars send, refuse, hold back or send first, no honest peer is
// banned, and whoever sent a wrong block of a piece that is known is banned as soon as the piece is right.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { Attribution, type PeerRecord } from "../../../../src/client/torrent/attribution.js";
import type { ExclusiveView } from "../../../../src/client/torrent/exclusive-pieces.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

const MIXES = 3000;
const STEPS = 400;
const STEP_MS_MAX = 1500;

interface MixPeer {
  readonly record: PeerRecord;
  readonly isHonest: boolean;
  /** Of its blocks; the rest is right, so that it shares pieces with others and earns trust. */
  readonly wrongShare: number;
  readonly refusedShare: number;
  /** Liars of one kind send the same wrong blocks. */
  readonly lie: number;
  isHere: boolean;
}

interface MixBlock {
  readonly peer: MixPeer;
  /** 0: it is right. */
  readonly lie: number;
}

interface MixPiece {
  readonly blocks: (MixBlock | undefined)[];
  /** By block: who was asked for it and has not answered. */
  readonly asked: Set<MixPeer>[];
  /** By block: who sent a wrong one, of which the digest is known. */
  liars: Set<PeerRecord>[];
  isVerified: boolean;
}

/** A torrent, its peers, and what the engine tells the attribution of them. */
class Mix {
  readonly #random: () => number;
  readonly #attribution: Attribution;
  readonly #peers: MixPeer[];
  readonly #pieces: MixPiece[];
  /** Digests of blocks: a content that is made anew has another key. */
  #key = 0;
  #nowMs = 0;
  readonly #view: ExclusiveView;
  bans = 0;

  constructor(seed: number) {
    this.#random = makeRandom(seed);
    const blocks = 1 + this.#below(5);
    this.#attribution = new Attribution({ pieceLength: blocks * BLOCK_SIZE, requestTimeoutMs: 20_000 });
    const [honest, liars] = [1 + this.#below(4), 1 + this.#below(5)];
    this.#peers = Array.from({ length: honest + liars }, (_, index) => ({
      record: this.#attribution.record(`peer ${index}`, `10.0.0.${index}`, 6881),
      isHonest: index < honest,
      wrongShare: index < honest ? 0 : this.#random() ** 2,
      refusedShare: this.#chance(0.5) ? 0 : this.#random(),
      lie: 1 + this.#below(3),
      isHere: true,
    }));
    this.#pieces = Array.from({ length: 1 + this.#below(6) }, () => ({
      blocks: new Array<undefined>(blocks).fill(undefined),
      asked: Array.from({ length: blocks }, () => new Set<MixPeer>()),
      liars: Array.from({ length: blocks }, () => new Set<PeerRecord>()),
      isVerified: false,
    }));
    this.#view = {
      candidates: () => this.#here().map(({ record }) => record),
      isHere: (record) => this.#here().some((peer) => peer.record === record),
      isHeldBack: () => false,
      isAsked: (piece) => entryOf(this.#pieces, piece).asked.some(({ size }) => size > 0),
      isReceived: (piece) => !entryOf(this.#pieces, piece).blocks.includes(undefined),
      isOutpaced: () => this.#chance(0.3),
      lookedAt: () => {},
      startOver: (piece) => this.#startOver(piece),
    };
  }

  step(): void {
    this.#nowMs += this.#random() * STEP_MS_MAX;
    const dice = this.#random();
    if (dice < 0.45) this.#ask();
    else if (dice < 0.9) this.#answer();
    else if (dice < 0.96) this.#attribution.review(this.#nowMs, this.#view);
    else if (dice < 0.995) this.#comeOrGo();
    else this.#lookAgain();
    this.#attribution.checkInvariants();
    for (const { record, isHonest } of this.#peers)
      assert.ok(!(isHonest && record.banned), `${record.key} is honest, and banned`);
  }

  #below(bound: number): number {
    return Math.floor(bound * this.#random());
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #here(): MixPeer[] {
    return this.#peers.filter(({ isHere, record }) => isHere && !record.banned);
  }

  /** Somebody is asked for a block, in an end game for one that others were asked for as well. */
  #ask(): void {
    const here = this.#here();
    if (here.length === 0) return;
    const peer = entryOf(here, this.#below(here.length));
    const index = this.#below(this.#pieces.length);
    const piece = entryOf(this.#pieces, index);
    const isStarted = piece.blocks.some((block) => block !== undefined) || this.#view.isAsked(index);
    const mayRequest = this.#attribution.mayRequest(peer.record, index, isStarted, 2);
    if (piece.isVerified || (!mayRequest && !this.#attribution.mayShare(peer.record, index))) return;
    if (mayRequest) this.#attribution.requested(peer.record, index, this.#nowMs);
    for (const [block, asked] of piece.asked.entries())
      if (piece.blocks[block] === undefined && this.#chance(0.7)) asked.add(peer);
  }

  /** Somebody who was asked sends the block, or refuses it; what came before it, or may not come any more, is dropped. */
  #answer(): void {
    const index = this.#below(this.#pieces.length);
    const piece = entryOf(this.#pieces, index);
    const block = this.#below(piece.blocks.length);
    const asked = entryOf(piece.asked, block);
    const peer = [...asked][this.#below(asked.size)];
    if (peer === undefined) return;
    asked.delete(peer);
    if (!peer.isHere || peer.record.banned || this.#chance(peer.refusedShare)) return;
    if (piece.blocks[block] !== undefined || !this.#attribution.mayBring(peer.record, index)) return;
    piece.blocks[block] = { peer, lie: this.#chance(peer.wrongShare) ? peer.lie : 0 };
    this.#attribution.blockReceived(peer.record, index, block, piece.blocks.length, this.#nowMs);
    if (this.#view.isReceived(index)) this.#judge(index);
  }

  #judge(index: number): void {
    const piece = entryOf(this.#pieces, index);
    const digests = this.#chance(0.1) ? undefined : this.#digestsOf(piece);
    if (piece.blocks.every((block) => block?.lie === 0)) {
      this.bans += this.#attribution.pieceVerified(index, digests).length;
      for (const [block, liars] of piece.liars.entries())
        for (const { key, banned } of Number.isNaN(digests?.[block] ?? Number.NaN) ? [] : liars)
          assert.ok(banned, `${key} lied, and is not banned`);
      piece.isVerified = true;
    } else {
      if (digests !== undefined) this.#note(piece, digests);
      this.bans += this.#attribution.pieceFailed(index, digests, this.#nowMs).banned.length;
      this.#clear(piece);
    }
  }

  #startOver(index: number): void {
    const piece = entryOf(this.#pieces, index);
    const digests = this.#digestsOf(piece);
    this.#note(piece, digests);
    this.#attribution.pieceStartedOver(index, digests, this.#nowMs);
    this.#clear(piece);
  }

  /** Those of some blocks are not known, as where storage keeps nothing. */
  #digestsOf({ blocks }: MixPiece): Float64Array {
    return Float64Array.from(blocks, (block, at) =>
      block === undefined || this.#chance(0.05) ? Number.NaN : 1000 * this.#key + 10 * at + block.lie,
    );
  }

  /** Whom the piece will give away once it is right. */
  #note(piece: MixPiece, digests: Float64Array): void {
    for (const [at, block] of piece.blocks.entries())
      if (block !== undefined && block.lie !== 0 && !Number.isNaN(digests[at]))
        entryOf(piece.liars, at).add(block.peer.record);
  }

  #clear(piece: MixPiece): void {
    piece.blocks.fill(undefined);
    for (const asked of piece.asked) asked.clear();
  }

  #comeOrGo(): void {
    const peer = entryOf(this.#peers, this.#below(this.#peers.length));
    peer.isHere = !peer.isHere;
    if (peer.isHere) return;
    for (const { asked } of this.#pieces) for (const each of asked) each.delete(peer);
    this.#attribution.peerGone(peer.record);
  }

  /** The files are looked at again: what is under way is forgotten. */
  #lookAgain(): void {
    this.#key++;
    for (const piece of this.#pieces) {
      this.#clear(piece);
      for (const liars of piece.liars) liars.clear();
    }
    this.#attribution.contentMade(entryOf(this.#pieces, 0).blocks.length * BLOCK_SIZE);
  }
}

describe("Attribution: honest peers among liars", () => {
  it(`are never banned, in ${MIXES} mixes, and those who lied are`, (context) => {
    let bans = 0;
    const mixes = fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (seed) => {
      const mix = new Mix(seed);
      for (let step = 0; step < STEPS; step++) mix.step();
      bans += mix.bans;
    });
    check(mixes, MIXES);
    context.diagnostic(`${bans} liars were banned`);
    assert.ok(bans > 0, "somebody lied and was found out");
  });
});
