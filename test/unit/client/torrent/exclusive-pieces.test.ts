// Pieces that one peer has to itself: who may have one that failed, and what becomes of it when that one goes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Attribution, type PeerRecord } from "../../../../src/client/torrent/attribution.js";
import { ExclusivePieces, type ExclusiveView } from "../../../../src/client/torrent/exclusive-pieces.js";

const PIECE_LENGTH = 1024 * 1024;
const REQUEST_TIMEOUT_MS = 20_000;

function viewOf(...here: PeerRecord[]): ExclusiveView {
  return {
    candidates: () => here,
    isHere: (record) => here.includes(record),
    isReceived: () => false,
    startOver: () => {},
  };
}

describe("pieces that one peer has to itself", () => {
  const attribution = new Attribution({ pieceLength: PIECE_LENGTH, requestTimeoutMs: REQUEST_TIMEOUT_MS });
  const [first, second] = ["127.0.0.1", "127.0.0.2"].map((host) => attribution.record(host, host, 1)) as [
    PeerRecord,
    PeerRecord,
  ];

  it("are offered to the next at once when the one that they were offered to goes", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    pieces.failed(7, 1000);
    pieces.review(1000, viewOf(first, second));
    assert.deepEqual(
      [first, second].map((record) => pieces.mayHave(record, 7)),
      [true, false],
    );
    pieces.peerGone(first, () => false);
    pieces.review(2000, viewOf(second));
    assert.equal(pieces.mayHave(second, 7), true);
  });

  it("stay another's offer when somebody else goes", () => {
    const pieces = new ExclusivePieces(PIECE_LENGTH, REQUEST_TIMEOUT_MS);
    pieces.failed(7, 1000);
    pieces.review(1000, viewOf(first, second));
    pieces.peerGone(second, () => false);
    assert.equal(pieces.mayHave(first, 7), true);
    pieces.own(first, 7, 1100);
    assert.equal(pieces.mayHave(second, 7), false);
  });
});
