// Extensions of one message: pieces that are there no more (BEP 54), and who wants no blocks (BEP 21).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { ExtensionTable } from "../../../../src/client/extensions/extension.js";
import { DontHave, UploadOnly } from "../../../../src/client/extensions/small-extensions.js";
import type { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import { decodeExtensionHandshake } from "../../../../src/client/wire/extension.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf } from "../../../support/required.js";
import { LAYOUT, message, pieceMessage, WiredPeer } from "../peer/wired-peer.js";

const HAVE_ALL = message(MessageId.haveAll);
const UNCHOKE = message(MessageId.unchoke);
const uploadOnly = new UploadOnly<PeerConnection>();

function wire(maxRequests = 6): WiredPeer {
  return new WiredPeer({
    settings: { maxRequests },
    prepare: (swarm) => {
      swarm.extensions = new ExtensionTable<PeerConnection>([new DontHave(), uploadOnly]);
    },
  }).open();
}

const dontHave = (piece: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes[0] = 1;
  bytes.writeUInt32BE(piece, 1);
  return message(MessageId.extended, bytes);
};

describe("DontHave", () => {
  it("takes the piece from what the peer has, and what was asked of it there goes to others", () => {
    const wired = wire();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    assert.equal(wired.sentBlocks(MessageId.request).length, 6);
    assert.ok(wired.swarm.open.has("0/0"));
    wired.feed(dontHave(0));
    assert.deepEqual(wired.swarm.withdrawn, [0]);
    assert.equal(wired.peer.pieces.has(0), false);
    assert.ok(![...wired.swarm.open].some((key) => key.startsWith("0/")));
    assert.ok(wired.sentBlocks(MessageId.request).every(([piece]) => piece !== 0));
    assert.equal(wired.peer.expected.count, 6, "other pieces are asked for in their place");
    // What was on its way already is taken all the same.
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    assert.ok(wired.swarm.received.has("0/0"));
    assert.equal(wired.peer.state, "open");
  });

  it("of a piece that it never had changes nothing, of one that does not exist ends the connection", () => {
    const wired = wire();
    wired.feed(Buffer.concat([message(MessageId.have, 3), dontHave(2), dontHave(3), dontHave(3)]));
    assert.deepEqual(wired.swarm.withdrawn, [3]);
    wired.feed(dontHave(LAYOUT.pieceCount));
    wired.checkOver("PEER_PIECE_RANGE");
    const short = wire();
    short.feed(message(MessageId.extended, Uint8Array.of(1, 0, 0)));
    short.checkOver("PEER_MESSAGE_MALFORMED");
  });

  it("is interesting again with another piece, though it has as many as before", () => {
    const wired = wire();
    wired.swarm.have.add(0);
    wired.feed(message(MessageId.have, 0));
    assert.equal(wired.peer.amInterested, false);
    wired.feed(Buffer.concat([dontHave(0), message(MessageId.have, 1)]));
    assert.equal(wired.peer.amInterested, true);
  });
});

describe("DontHave: thousands of them", () => {
  it("have what is left of interest looked at once, and not each", () => {
    const wired = wire();
    wired.feed(message(MessageId.have, 3));
    assert.equal(wired.peer.amInterested, true);
    const before = wired.swarm.interestLooks;
    for (let count = 0; count < 1000; count++)
      wired.feed(Buffer.concat([dontHave(3), message(MessageId.have, 3)]));
    assert.ok(wired.swarm.interestLooks - before <= 2, `${wired.swarm.interestLooks - before} looks`);
    wired.feed(dontHave(3));
    wired.pass(1000);
    assert.equal(wired.peer.amInterested, false, "it has nothing for us any more");
  });
});

describe("UploadOnly", () => {
  it("is heard as a message, whose last word counts", () => {
    const wired = wire();
    for (const value of [1, 0, 7]) {
      wired.feed(message(MessageId.extended, Uint8Array.of(2, value)));
      assert.equal(wired.peer.isUploadOnly, value !== 0);
    }
    wired.feed(message(MessageId.extended, Uint8Array.of(2, 1, 1)));
    wired.checkOver("PEER_MESSAGE_TOO_LONG");
  });

  it("is told as a message where the peer has that, and else in another handshake", () => {
    const wired = wire();
    wired.swarm.have.fill();
    uploadOnly.tell(wired.peer, true);
    const handshake = entryOf(wired.sent(), 0);
    assert.equal(decodeExtensionHandshake(handshake.body.subarray(1)).uploadOnly, true);
    wired.feed(message(MessageId.extended, Uint8Array.of(0), bencode.encode({ m: { upload_only: 3 } })));
    uploadOnly.tell(wired.peer, true);
    assert.deepEqual(
      wired.sent().map(({ body }) => [...body]),
      [[3, 1]],
    );
  });
});
