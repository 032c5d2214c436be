// The picker against plain bookkeeping, and whole downloads with peers that have parts, are slow, leave, and lie.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BLOCK_SIZE, KIB, MIB } from "../../../../src/base/limits.js";
import type { PieceSet } from "../../../../src/base/piece-set.js";
import { BLOCK_UNWANTED, Picker, type PickingPeer } from "../../../../src/client/torrent/picker.js";
import { REQUESTERS_MAX } from "../../../../src/client/torrent/started-piece.js";
import { check, makeRandom } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";
import { Asked, layoutOf, partsWith, piecesOf } from "./asked-peer.js";

// ── against a model ────────────────────────────────────────────────────────────────────────────────────────────

interface ModelPeer extends PickingPeer {
  pieces: PieceSet;
  requests: [number, number][];
}

type Step = {
  do: "peer" | "leave" | "have" | "lack" | "pick" | "receive" | "drop" | "judge" | "stray" | "window";
  a: number;
  b: number;
};

const steps = fc.array(
  fc.record({
    do: fc.constantFrom<Step["do"]>(
      "peer",
      "leave",
      "have",
      "lack",
      "pick",
      "pick",
      "receive",
      "receive",
      "receive",
      "drop",
      "judge",
      "stray",
      "window",
    ),
    a: fc.nat(1 << 16),
    b: fc.nat(1 << 16),
  }),
  { maxLength: 250, size: "max" },
);

/** Plays the steps with up to eight peers, and compares all that can be asked with plain bookkeeping. */
function play(
  pieceCount: number,
  lastPieceLength: number,
  activePiecesMax: number,
  seed: number,
  script: Step[],
): void {
  const layout = layoutOf(pieceCount, 3 * BLOCK_SIZE, lastPieceLength);
  const picker = new Picker(layout, { random: makeRandom(seed), activePiecesMax });
  const received = new Set<string>();
  let peers: ModelPeer[] = [];
  const key = (piece: number, block: number) => `${piece}/${block}`;
  const requestersOf = (piece: number, block: number) =>
    received.has(key(piece, block)) ? 0 : peers.filter((peer) => peer.hasRequested(piece, block)).length;
  const receive = (piece: number, block: number): void => {
    const fresh = !picker.have.has(piece) && !received.has(key(piece, block));
    assert.equal(picker.wantsBlock(piece, block), fresh);
    const requesters = fresh ? requestersOf(piece, block) : BLOCK_UNWANTED;
    assert.equal(picker.blockReceived(piece, block), requesters);
    if (fresh) received.add(key(piece, block));
    for (const peer of peers) peer.requests = peer.requests.filter(([p, b]) => p !== piece || b !== block);
  };
  for (const { do: what, a, b } of script) {
    const peer = peers[a % Math.max(1, peers.length)];
    if (what === "peer" && peers.length < 8) {
      const random = makeRandom(b);
      const share = entryOf([0, 0.3, 0.8, 1], a % 4);
      const added: ModelPeer = {
        pieces: piecesOf(
          pieceCount,
          [...Array(pieceCount).keys()].filter(() => random() < share),
        ),
        requests: [],
        hasRequested: (piece, block) => added.requests.some(([p, q]) => p === piece && q === block),
        // Some peers come to everything soon.
        partWith: (piece) => b % 2 === 0 && partsWith(added, piece, picker),
      };
      peers.push(added);
      picker.peerAdded(added.pieces);
    } else if (what === "stray") {
      const piece = a % pieceCount;
      if (a % 5 === 0) receive(piece, b % layout.blocksInPiece(piece));
    } else if (what === "window") {
      picker.windowEnded();
    } else if (what === "judge") {
      for (let piece = 0; piece < pieceCount; piece++) {
        const all = [...Array(layout.blocksInPiece(piece)).keys()].every((block) =>
          received.has(key(piece, block)),
        );
        assert.equal(picker.isPieceReceived(piece), all && !picker.have.has(piece));
        if (!picker.isPieceReceived(piece)) continue;
        if ((a + piece) % 4 !== 0) picker.pieceVerified(piece);
        else {
          picker.pieceFailed(piece);
          for (let block = 0; block < layout.blocksInPiece(piece); block++)
            received.delete(key(piece, block));
        }
      }
    } else if (peer === undefined) {
      continue;
    } else if (what === "leave") {
      peers = peers.filter((each) => each !== peer);
      picker.peerRemoved(peer.pieces);
      for (const [piece, block] of peer.requests.splice(0)) picker.requestDropped(piece, block);
    } else if (what === "have") {
      if (peer.pieces.add(b % pieceCount)) picker.peerHas(peer.pieces, b % pieceCount);
    } else if (what === "lack") {
      const [piece] = [b % pieceCount];
      if (peer.requests.every(([p]) => p !== piece)) picker.peerLacks(peer.pieces, piece);
    } else if (what === "pick") {
      let endGame = picker.inEndGame;
      const out = new Int32Array(20);
      const allowed = b % 7 === 0 ? { has: (piece: number) => piece % 2 === 0 } : undefined;
      let got = picker.pick(peer.pieces, 1 + (b % 10), out, peer, allowed, 1 + (b % 4));
      assert.ok(got === 0 || !endGame, "nothing is free in the end game");
      if (got === 0 && b % 3 === 0 && allowed === undefined && picker.takeOver(peer.pieces, peer)) {
        endGame = picker.inEndGame;
        got = picker.pick(peer.pieces, 1 + (b % 10), out, peer);
        endGame &&= got === 0;
      }
      if (got === 0) got = picker.pickAgain(peer.pieces, 1 + (b % 10), out, peer, allowed);
      for (let at = 0; at < got; at++) {
        const [piece, block] = [entryOf(out, 2 * at), entryOf(out, 2 * at + 1)];
        assert.ok(
          peer.pieces.has(piece) && !picker.have.has(piece) && !received.has(key(piece, block)),
          "picks what it misses and the peer has",
        );
        assert.ok(b % 7 !== 0 || piece % 2 === 0, "picks what is allowed");
        assert.ok(!peer.hasRequested(piece, block), "asks nobody twice");
        const isAgain = requestersOf(piece, block) > 0;
        // Where not all is allowed, what is free may be nobody's that could bring it.
        assert.ok(endGame === isAgain || (isAgain && b % 7 === 0), "asks two only in the end game");
        peer.requests.push([piece, block]);
        const windows = script.filter((step) => step.do === "window").length;
        assert.ok(requestersOf(piece, block) <= REQUESTERS_MAX * 2 ** windows);
      }
      if (got === 0 && b % 7 !== 0 && !picker.inEndGame && picker.activeCount < activePiecesMax) {
        for (let piece = 0; piece < pieceCount; piece++) {
          for (let block = 0; peer.pieces.has(piece) && block < layout.blocksInPiece(piece); block++) {
            const open = picker.wantsBlock(piece, block) && requestersOf(piece, block) === 0;
            assert.ok(!open, `piece ${piece} block ${block} could have been picked`);
          }
        }
      }
    } else if (what === "receive") {
      const request = peer.requests[b % 3 === 0 ? b % peer.requests.length : 0];
      if (request !== undefined) receive(...request);
    } else if (what === "drop") {
      const [request] = peer.requests.splice(b % Math.max(1, peer.requests.length), 1);
      if (request !== undefined) picker.requestDropped(...request);
    }
    compare();
  }

  function compare(): void {
    let blocksMissing = 0;
    let free = 0;
    let bytesMissing = 0;
    const active = new Set<number>();
    for (let piece = 0; piece < pieceCount; piece++) {
      assert.equal(
        picker.availability(piece),
        peers.filter((peer) => peer.pieces.has(piece)).length,
        "availability",
      );
      if (picker.have.has(piece)) continue;
      bytesMissing += layout.pieceLengthOf(piece);
      for (let block = 0; block < layout.blocksInPiece(piece); block++) {
        const requesters = requestersOf(piece, block);
        assert.equal(picker.requesters(piece, block), requesters, `requesters of ${piece}/${block}`);
        if (requesters > 0) active.add(piece);
        if (received.has(key(piece, block))) continue;
        blocksMissing++;
        if (requesters === 0) free++;
      }
    }
    assert.equal(picker.blocksMissing, blocksMissing);
    assert.equal(picker.bytesMissing, bytesMissing);
    assert.ok(picker.activeCount <= active.size, "what is active has requests");
    if (!script.some((step) => step.do === "window")) assert.equal(picker.activeCount, active.size);
    picker.checkInvariants();
    assert.equal(picker.inEndGame, blocksMissing > 0 && free === 0);
    for (const peer of peers) {
      const interesting = [...Array(pieceCount).keys()].some(
        (piece) => peer.pieces.has(piece) && !picker.have.has(piece),
      );
      assert.equal(picker.isInteresting(peer.pieces), interesting);
    }
  }
}

describe("Picker: always", () => {
  it("agrees with plain bookkeeping", () => {
    check(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 3 * BLOCK_SIZE }),
        fc.constantFrom(1, 2, 3, 100),
        fc.nat(1 << 20),
        steps,
        play,
      ),
      150,
    );
  });

  it("completes a download with peers that have parts, are slow, leave, and lie", () => {
    check(
      fc.property(fc.nat(1 << 20), fc.constantFrom(64 * KIB, 1 * MIB, 16 * MIB), (seed, pieceLength) => {
        const random = makeRandom(seed);
        const pieceCount = pieceLength > MIB ? 3 : 30;
        const layout = layoutOf(pieceCount, pieceLength, 20_000);
        const picker = new Picker(layout, { random });
        const peers: Asked[] = [];
        let turns = 0;
        while (!picker.isComplete) {
          assert.ok(++turns < 200_000, "the download ends");
          if (peers.length < 6) {
            const share = peers.some((peer) => peer.pieces.isFull) ? random() : 1;
            const peer = new Asked(
              piecesOf(
                pieceCount,
                [...Array(pieceCount).keys()].filter(() => random() < share),
              ),
            );
            peers.push(peer);
            picker.peerAdded(peer.pieces);
          }
          const at = Math.floor(random() * peers.length);
          const peer = entryOf(peers, at);
          peer.ask(picker, 1 + Math.floor(random() * 100));
          if (random() < 0.01) {
            peers.splice(at, 1);
            picker.peerRemoved(peer.pieces);
            for (const [piece, block] of peer.requests) picker.requestDropped(piece, block);
          }
          for (
            let left = Math.floor(random() * 60 * (at + 1));
            left > 0 && peer.requests.length > 0;
            left--
          ) {
            const [piece, block] = peer.answer(picker);
            for (const other of peers) {
              const index = other.requests.findIndex(([p, b]) => p === piece && b === block);
              if (index >= 0) other.requests.splice(index, 1);
            }
            if (!picker.isPieceReceived(piece)) continue;
            if (random() < 0.1) picker.pieceFailed(piece);
            else picker.pieceVerified(piece);
          }
        }
        assert.equal(picker.startedCount, 0);
        assert.equal(picker.activeCount, 0);
        assert.equal(picker.blocksMissing, 0);
      }),
      15,
    );
  });
});
