// A connection of a torrent whose metadata is not there yet: what the peer announces waits, and is judged when it is.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PIECE_COUNT_MAX } from "../../../../src/base/limits.js";
import { SINGLE_PIECES_MAX } from "../../../../src/client/peer/early-announcements.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { LAYOUT, message, WiredPeer } from "./wired-peer.js";

const LAST = LAYOUT.pieceCount - 1;

/** An open connection of a torrent without a layout. */
function early(fast = true): WiredPeer {
  const wired = new WiredPeer({
    fast,
    prepare: (swarm) => {
      swarm.layout = undefined;
    },
  });
  wired.peer.connected();
  wired.feed(wired.handshake());
  assert.equal(wired.peer.state, "open");
  return wired;
}

/** The metadata comes. */
function learn(wired: WiredPeer): void {
  wired.swarm.layout = LAYOUT;
  wired.peer.layoutKnown();
}

const idsOf = (wired: WiredPeer) => wired.sent().map(({ id }) => id);

describe("PeerConnection before the metadata", () => {
  it("says that it has nothing, asks for nothing, and answers no request", () => {
    const wired = early();
    assert.deepEqual(idsOf(wired), [MessageId.haveNone, MessageId.extended]);
    wired.feed(
      Buffer.concat([message(MessageId.haveAll), message(MessageId.unchoke), message(MessageId.interested)]),
    );
    wired.feed(message(MessageId.request, 0, 0, 16_384));
    wired.pass(5000);
    assert.deepEqual(idsOf(wired), [MessageId.reject]);
    assert.equal(wired.peer.knowsPieces, false);
    assert.deepEqual(wired.swarm.announced, []);
  });

  it("goes on with what was announced meanwhile, and with the unchoke, once it is there", () => {
    const wired = early();
    wired.feed(message(MessageId.bitfield, Uint8Array.of(0x80, 0x40)));
    wired.feed(Buffer.concat([message(MessageId.have, 1), message(MessageId.unchoke)]));
    wired.sent();
    learn(wired);
    assert.deepEqual(wired.swarm.announced, [-1]);
    assert.deepEqual(
      [0, 1, 2, LAST].map((piece) => wired.peer.pieces.has(piece)),
      [true, true, false, true],
    );
    const ids = idsOf(wired);
    assert.equal(ids[0], MessageId.interested);
    assert.ok(ids.includes(MessageId.request), "blocks are asked for at once");
    learn(wired);
    assert.deepEqual(wired.swarm.announced, [-1], "the layout is learnt once");
    wired.peer.close();
    wired.checkOver();
  });

  it("tells the peer piece by piece what was found here", () => {
    const wired = early(false);
    wired.sent();
    wired.swarm.have.add(2);
    wired.swarm.have.add(LAST);
    learn(wired);
    const haves = wired.sent().filter(({ id }) => id === MessageId.have);
    assert.deepEqual(
      haves.map(({ body }) => body.readUInt32BE(0)),
      [2, LAST],
    );
  });

  it("keeps haves without a bitfield, have all, and allowed fast pieces", () => {
    const single = early(false);
    single.feed(message(MessageId.have, 4));
    learn(single);
    assert.equal(single.peer.pieceCountKnown, 1);
    const all = early();
    all.feed(Buffer.concat([message(MessageId.haveAll), message(MessageId.allowedFast, 3)]));
    learn(all);
    assert.equal(all.peer.pieces.isFull, true);
    assert.deepEqual([...(all.peer.allowedFast ?? [])], [3]);
  });

  it("who announced what the torrent does not have is let go then", () => {
    const cases: [Buffer, string][] = [
      [message(MessageId.bitfield, new Uint8Array(3)), "PEER_MESSAGE_MALFORMED"],
      [message(MessageId.bitfield, Uint8Array.of(0, 0x01)), "PEER_MESSAGE_MALFORMED"],
      [message(MessageId.have, LAYOUT.pieceCount), "PEER_PIECE_RANGE"],
      [message(MessageId.allowedFast, LAYOUT.pieceCount), "PEER_PIECE_RANGE"],
    ];
    for (const [bytes, code] of cases) {
      const wired = early();
      wired.feed(bytes);
      assert.equal(wired.peer.state, "open");
      learn(wired);
      wired.checkOver(code);
      assert.deepEqual(wired.swarm.announced, []);
    }
  });

  it("what no torrent may have ends the connection at once", () => {
    const wired = early();
    wired.feed(message(MessageId.have, PIECE_COUNT_MAX));
    wired.checkOver("PEER_PIECE_RANGE");
    const long = early();
    long.feed(message(MessageId.bitfield, new Uint8Array(PIECE_COUNT_MAX / 8 + 1)));
    long.checkOver("PEER_MESSAGE_TOO_LONG");
  });

  it("more than is kept is not forgotten silently: the connection is made anew", () => {
    const wired = early();
    for (let count = 0; count <= SINGLE_PIECES_MAX; count++) wired.feed(message(MessageId.have, count));
    assert.equal(wired.peer.state, "open");
    learn(wired);
    wired.checkOver("PEER_USELESS");
  });
});
