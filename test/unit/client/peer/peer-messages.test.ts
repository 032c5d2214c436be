// What each message does to a connection, in and out: BEP 3, the Fast extension (BEP 6), the extension protocol (BEP 10).
//
// It is long because the protocol has many messages, and each has its tests, in whatever state it comes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import { BLOCK_SIZE, REQUEST_QUEUE_ANNOUNCED } from "../../../../src/base/limits.js";
import { decodeExtensionHandshake } from "../../../../src/client/wire/extension.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf, required } from "../../../support/required.js";
import { DATA, LAYOUT, message, pieceMessage, WiredPeer } from "./wired-peer.js";

const HAVE_ALL = message(MessageId.haveAll);
const CHOKE = message(MessageId.choke);
const UNCHOKE = message(MessageId.unchoke);
const BITFIELD_ALL = message(MessageId.bitfield, Uint8Array.of(0xff, 0xc0));
const LAST = LAYOUT.pieceCount - 1;

/** An open connection to a peer that has everything and lets us have it. */
function unchoked(options: { fast?: boolean; maxRequests?: number } = {}): WiredPeer {
  const wired = new WiredPeer({
    fast: options.fast ?? true,
    settings: { maxRequests: options.maxRequests ?? 512 },
  }).open();
  wired.feed(Buffer.concat([BITFIELD_ALL, UNCHOKE]));
  return wired;
}

describe("PeerConnection: the peer's node of the DHT", () => {
  it("is the one that it tells of, and it changes a few times at the most", () => {
    const wired = new WiredPeer().open();
    const port = (number: number): Buffer =>
      message(MessageId.port, Uint8Array.of(number >> 8, number & 255));
    wired.feed(Buffer.concat([port(7), port(7), port(7), port(8)]));
    assert.deepEqual(
      wired.swarm.dhtNodes,
      [7, 8].map((number) => `${wired.peer.host} ${number}`),
    );
    wired.feed(Buffer.concat(Array.from({ length: 500 }, (_, index) => port(1000 + index))));
    assert.equal(wired.swarm.dhtNodes.length, 4);
  });
});

describe("PeerConnection: pieces that the peer has", () => {
  it("a bitfield tells them, and interest follows", () => {
    const wired = new WiredPeer().open();
    wired.feed(message(MessageId.bitfield, Uint8Array.of(0x80, 0x40)));
    assert.deepEqual(wired.swarm.announced, [-1]);
    assert.equal(wired.peer.pieces.has(0) && wired.peer.pieces.has(9), true);
    assert.equal(wired.peer.pieceCountKnown, 2);
    assert.deepEqual(
      wired.sent().map(({ id }) => id),
      [MessageId.interested],
    );
    assert.equal(wired.peer.amInterested, true);
  });

  it("a have adds one, once", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([message(MessageId.have, 3), message(MessageId.have, 3)]));
    assert.deepEqual(wired.swarm.announced, [3]);
    assert.equal(wired.peer.amInterested, true);
  });

  it("a have of a piece that we have, or of one more where we are interested, compares nothing", () => {
    const wired = new WiredPeer({ prepare: (swarm) => swarm.have.fill() }).open();
    wired.swarm.have.delete(8);
    wired.swarm.have.delete(9);
    wired.feed(message(MessageId.have, 0));
    wired.pass(1000);
    const { interestLooks } = wired.swarm;
    for (let piece = 1; piece < 8; piece++) wired.feed(message(MessageId.have, piece));
    wired.pass(5000);
    assert.equal(wired.swarm.interestLooks, interestLooks);
    assert.equal(wired.peer.amInterested, false);
    wired.feed(message(MessageId.have, 8));
    assert.equal(wired.peer.amInterested, true);
    wired.feed(message(MessageId.have, 9));
    assert.ok(wired.swarm.interestLooks <= interestLooks + 1);
  });

  it("a later bitfield adds pieces and takes none away", () => {
    const wired = new WiredPeer().open();
    wired.feed(message(MessageId.bitfield, Uint8Array.of(0xc0, 0)));
    wired.feed(message(MessageId.bitfield, Uint8Array.of(0x60, 0)));
    assert.deepEqual(wired.swarm.announced, [-1, 2]);
    assert.equal(wired.peer.pieceCountKnown, 3);
  });

  const malformed: [string, Buffer][] = [
    ["too short", message(MessageId.bitfield, Uint8Array.of(0xff))],
    ["with spare bits set", message(MessageId.bitfield, Uint8Array.of(0xff, 0xe0))],
    ["empty", message(MessageId.bitfield)],
  ];
  for (const [what, bytes] of malformed) {
    it(`a bitfield ${what} ends the connection`, () => {
      const wired = new WiredPeer().open();
      wired.feed(bytes);
      wired.checkOver("PEER_MESSAGE_MALFORMED");
    });
  }

  it("a bitfield of more pieces than there are ends it before the rest of it has come", () => {
    const wired = new WiredPeer().open();
    wired.feed(message(MessageId.bitfield, DATA.subarray(0, 10_000)).subarray(0, 5));
    wired.checkOver("PEER_MESSAGE_TOO_LONG");
  });

  it("a have of a piece that does not exist ends it", () => {
    for (const piece of [LAYOUT.pieceCount, 0x7fff_ffff, 0xffff_ffff]) {
      const wired = new WiredPeer().open();
      wired.feed(message(MessageId.have, piece));
      wired.checkOver("PEER_PIECE_RANGE");
    }
  });

  it("interest is withdrawn when nothing is left to want, but not while requests are out", () => {
    const wired = unchoked();
    wired.sent();
    for (let piece = 0; piece < LAYOUT.pieceCount; piece++) wired.swarm.have.add(piece);
    wired.peer.updateInterest();
    assert.equal(wired.peer.amInterested, true, "requests are out");
    wired.feed(Buffer.concat([CHOKE, ...rejects([...wired.swarm.open])]));
    wired.peer.updateInterest();
    assert.equal(wired.peer.amInterested, false);
    assert.equal(entryOf(wired.sent(), -1).id, MessageId.notInterested);
  });
});

function rejects(keys: readonly string[]): Buffer[] {
  return keys.map((key) => {
    const [piece = 0, block = 0] = key.split("/").map(Number);
    return message(MessageId.reject, piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block));
  });
}

describe("PeerConnection: blocks that come", () => {
  it("are requested when the peer unchokes, and are all of the torrent", () => {
    const wired = unchoked();
    for (let rounds = 0; rounds < 100 && wired.swarm.received.size < LAYOUT.blockCount; rounds++) {
      for (const block of wired.sentBlocks(MessageId.request)) wired.feed(pieceMessage(...block));
    }
    assert.equal(wired.swarm.received.size, LAYOUT.blockCount);
    assert.equal(wired.peer.counters.payloadBytes, DATA.length);
    assert.equal(wired.peer.counters.blocksReceived, LAYOUT.blockCount);
    wired.peer.close();
    wired.checkOver();
  });

  it("one byte at a time gives the same", () => {
    const wired = unchoked({ maxRequests: 2 });
    const [first, second] = wired.sentBlocks(MessageId.request);
    wired.feed(
      Buffer.concat([pieceMessage(...required(first, "first")), pieceMessage(...required(second, "second"))]),
      1,
    );
    assert.deepEqual([...wired.swarm.received], ["0/0", "0/1"]);
  });

  const unasked: [string, Buffer][] = [
    ["never requested", pieceMessage(8, 0, BLOCK_SIZE)],
    ["of another length", pieceMessage(0, 0, BLOCK_SIZE - 1)],
    ["that begins elsewhere", pieceMessage(0, 1, BLOCK_SIZE)],
    ["of a piece that does not exist", message(MessageId.piece, 4000, 0, DATA.subarray(0, BLOCK_SIZE))],
  ];
  for (const [what, bytes] of unasked) {
    it(`a block ${what} ends the connection before any of it is kept`, () => {
      const wired = unchoked({ maxRequests: 4 });
      wired.feed(bytes.subarray(0, 13));
      wired.checkOver("PEER_UNREQUESTED_BLOCK");
    });
  }

  it("a block comes once: the second one was not asked for", () => {
    const wired = unchoked({ maxRequests: 4 });
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    wired.checkOver("PEER_UNREQUESTED_BLOCK");
  });

  it("a block without payload, or of more than 16 KiB, is malformed", () => {
    for (const length of [0, BLOCK_SIZE + 1]) {
      for (const step of [1, 20_000]) {
        const wired = unchoked();
        wired.feed(message(MessageId.piece, 0, 0, DATA.subarray(0, length)), step);
        wired.checkOver("PEER_MESSAGE_MALFORMED");
      }
    }
  });

  it("a cancelled block is taken back, and what comes of it all the same is no fault", () => {
    const wired = unchoked({ maxRequests: 4 });
    wired.sent();
    wired.swarm.open.delete("0/1");
    wired.swarm.received.add("0/1");
    wired.peer.cancelRequest(0, BLOCK_SIZE);
    assert.deepEqual(wired.sentBlocks(MessageId.cancel), [[0, BLOCK_SIZE, BLOCK_SIZE]]);
    wired.feed(pieceMessage(0, BLOCK_SIZE, BLOCK_SIZE));
    assert.equal(wired.peer.state, "open");
    assert.equal(wired.peer.counters.wastedBytes, BLOCK_SIZE);
  });

  it("without free slots the bytes wait, and nothing is lost", () => {
    const wired = new WiredPeer({ slabBytes: 1024 * 1024 }).open();
    wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
    const taken: number[] = [];
    const { pool } = wired.memory;
    for (let slot = pool.acquire(4); slot >= 0; slot = pool.acquire(4)) taken.push(slot);
    const bytes = pieceMessage(0, 0, BLOCK_SIZE);
    const left = wired.feed(bytes);
    assert.ok(left > 0, "back-pressure");
    assert.equal(wired.swarm.received.size, 0);
    for (const slot of taken) pool.release(slot as Parameters<typeof pool.release>[0], 4);
    assert.equal(wired.feed(bytes.subarray(bytes.length - left)), 0);
    assert.deepEqual([...wired.swarm.received], ["0/0"]);
  });
});

describe("PeerConnection: choke while requests are out", () => {
  it("without the Fast extension they are gone, and are asked for again after the next unchoke", () => {
    const wired = unchoked({ fast: false });
    const before = wired.sentBlocks(MessageId.request);
    wired.feed(CHOKE);
    assert.equal(wired.swarm.open.size, 0);
    assert.equal(wired.swarm.dropped.length, before.length);
    wired.pass(3000);
    assert.deepEqual(wired.sentBlocks(MessageId.request), []);
    wired.feed(UNCHOKE);
    assert.deepEqual(wired.sentBlocks(MessageId.request), before);
  });

  it("without it, a block that was on its way is taken", () => {
    const wired = unchoked({ fast: false });
    wired.feed(Buffer.concat([CHOKE, pieceMessage(0, 0, BLOCK_SIZE)]));
    assert.equal(wired.peer.state, "open");
    assert.deepEqual([...wired.swarm.received], ["0/0"]);
  });

  it("with it they stay out until each is answered or rejected", () => {
    const wired = unchoked();
    wired.feed(CHOKE);
    const open = [...wired.swarm.open];
    assert.equal(open.length, 16);
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    wired.feed(Buffer.concat(rejects(open.slice(1))));
    assert.equal(wired.swarm.open.size, 0);
    assert.equal(wired.swarm.received.size, 1);
    assert.equal(wired.swarm.dropped.length, 15);
    wired.sent();
    wired.feed(UNCHOKE);
    assert.ok(wired.sentBlocks(MessageId.request).length > 0, "rejects of a choke are no refusals");
  });

  it("a second choke or unchoke changes nothing", () => {
    const wired = unchoked({ fast: false });
    const count = wired.swarm.open.size;
    wired.feed(UNCHOKE);
    assert.equal(wired.swarm.open.size, count);
    wired.feed(Buffer.concat([CHOKE, CHOKE]));
    assert.equal(wired.swarm.dropped.length, count);
  });
});

describe("PeerConnection: the Fast extension", () => {
  const fastOnly: [string, Buffer][] = [
    ["have all", HAVE_ALL],
    ["have none", message(MessageId.haveNone)],
    ["suggest piece", message(MessageId.suggest, 0)],
    ["reject request", message(MessageId.reject, 0, 0, BLOCK_SIZE)],
    ["allowed fast", message(MessageId.allowedFast, 0)],
  ];
  for (const [name, bytes] of fastOnly) {
    it(`${name} without it ends the connection`, () => {
      const wired = new WiredPeer({ fast: false }).open();
      wired.feed(bytes);
      wired.checkOver("PEER_MESSAGE_UNEXPECTED");
      assert.match(
        required(wired.closedWith, "the error").message,
        new RegExp(`^${name} without the Fast extension`),
      );
    });
  }

  it("have all and have none tell everything at once", () => {
    const all = new WiredPeer().open();
    all.feed(HAVE_ALL);
    assert.deepEqual([all.swarm.announced, all.peer.pieces.isFull], [[-1], true]);
    const none = new WiredPeer().open();
    none.feed(Buffer.concat([message(MessageId.haveNone), message(MessageId.have, 1)]));
    assert.deepEqual([none.swarm.announced, none.peer.pieceCountKnown], [[-1, 1], 1]);
  });

  it("have all and have none come first and once", () => {
    for (const first of [BITFIELD_ALL, HAVE_ALL, message(MessageId.have, 0), message(MessageId.haveNone)]) {
      for (const second of [HAVE_ALL, message(MessageId.haveNone)]) {
        const wired = new WiredPeer().open();
        wired.feed(Buffer.concat([first, second]));
        wired.checkOver("PEER_MESSAGE_UNEXPECTED");
      }
    }
  });

  it("suggestions are read, checked, and need not be followed", () => {
    const wired = new WiredPeer().open();
    wired.feed(message(MessageId.suggest, LAST));
    assert.equal(wired.peer.state, "open");
    wired.feed(message(MessageId.suggest, LAYOUT.pieceCount));
    wired.checkOver("PEER_PIECE_RANGE");
  });

  it("allowed fast pieces are requested from a peer that chokes us, and no others", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, message(MessageId.allowedFast, 4)]));
    const requested = wired.sentBlocks(MessageId.request);
    assert.deepEqual(
      requested,
      [0, 1, 2].map((block) => [4, block * BLOCK_SIZE, BLOCK_SIZE]),
    );
    for (const block of requested) wired.feed(pieceMessage(...block));
    assert.equal(wired.swarm.received.size, 3);
    wired.feed(message(MessageId.allowedFast, LAYOUT.pieceCount));
    wired.checkOver("PEER_PIECE_RANGE");
  });

  it("what is refused and allowed again and again is asked for after pauses, and a bounded number of times", () => {
    const wired = new WiredPeer().open();
    wired.feed(HAVE_ALL);
    let asked = 0;
    for (let round = 0; round < 200; round++) {
      // At once, and then a second later each time.
      if (round === 100) assert.equal(asked, LAYOUT.blocksInPiece(4), "nothing is asked for in a pause");
      if (round >= 100) wired.pass(1000);
      wired.feed(message(MessageId.allowedFast, 4));
      for (const { id, body } of wired.sent()) {
        if (id !== MessageId.request) continue;
        asked++;
        wired.feed(Buffer.concat([Buffer.of(0, 0, 0, 13, MessageId.reject), body]));
      }
    }
    const blocks = LAYOUT.blocksInPiece(4);
    assert.ok(asked > blocks && asked <= 64 * blocks, `${asked} requests`);
  });

  it("a rejected allowed fast piece is not asked for again while the peer chokes", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([HAVE_ALL, message(MessageId.allowedFast, 4)]));
    wired.sent();
    wired.feed(Buffer.concat(rejects([...wired.swarm.open])));
    wired.pass(5000);
    assert.deepEqual(wired.sentBlocks(MessageId.request), []);
    assert.equal(wired.swarm.open.size, 0);
  });

  it("a reject from a peer that does not choke us is a pause, not the end of the piece", () => {
    const wired = unchoked({ maxRequests: 4 });
    wired.sent();
    wired.feed(Buffer.concat(rejects(["0/0"])));
    assert.deepEqual(wired.swarm.dropped, ["0/0"]);
    wired.pass(1000);
    wired.feed(pieceMessage(0, BLOCK_SIZE, BLOCK_SIZE));
    assert.ok(wired.swarm.open.has("0/0"), "it is asked for again");
    assert.deepEqual(wired.swarm.withdrawn, []);
  });

  it("a piece that is rejected again and again is given up", () => {
    const wired = unchoked({ maxRequests: 1 });
    wired.swarm.wanted = (piece) => piece === 0;
    for (let round = 0; round < 60 && wired.swarm.withdrawn.length === 0; round++) {
      wired.feed(Buffer.concat(rejects([...wired.swarm.open])));
      wired.pass(1000);
    }
    assert.deepEqual(wired.swarm.withdrawn, [0]);
    assert.equal(wired.peer.amInterested, false);
  });

  it("the reject that answers a cancel is not taken for one of the request that followed it", () => {
    const wired = unchoked();
    const requested = wired.sentBlocks(MessageId.request);
    wired.pass(21_000);
    assert.equal(wired.peer.pipeline?.snubbed, true);
    assert.deepEqual([...wired.swarm.open], ["0/0"], "it is asked for again");
    wired.feed(Buffer.concat(requested.map((block) => message(MessageId.reject, ...block))));
    assert.deepEqual([...wired.swarm.open], ["0/0"], "and that request still stands");
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    wired.feed(UNCHOKE);
    assert.ok(
      wired.peer.requests.target >= 16,
      `${wired.peer.requests.target} requests: its queue was never full`,
    );
  });

  it("rejects of what we never asked for are looked for only so often in a second", () => {
    const wired = unchoked({ maxRequests: 4 });
    const missed = message(MessageId.reject, 7, 0, BLOCK_SIZE);
    const open = entryOf(wired.sentBlocks(MessageId.request), 0);
    const reject = message(MessageId.reject, ...open);
    for (let sent = 0; sent < 2 ** 20; sent += 2 ** 16)
      wired.feed(Buffer.concat(Array.from({ length: 2 ** 16 }, () => missed)));
    wired.feed(reject);
    assert.equal(wired.swarm.dropped.length, 0);
    assert.equal(wired.peer.state, "open");
    wired.pass(1000);
    wired.feed(reject);
    assert.equal(wired.swarm.dropped.length, 1);
  });

  it("a reject of what we never asked for is ignored", () => {
    const wired = unchoked({ maxRequests: 4 });
    wired.feed(message(MessageId.reject, 7, 0, BLOCK_SIZE));
    assert.equal(wired.peer.state, "open");
    assert.equal(wired.swarm.dropped.length, 0);
  });
});

describe("PeerConnection: extensions", () => {
  function extended(fields: Record<string, unknown>): Buffer {
    return message(MessageId.extended, Uint8Array.of(0), bencode.encode(fields));
  }

  it("our handshake says who we are, what we queue, where we listen, and how we see the peer", () => {
    const wired = new WiredPeer({ incoming: true, prepare: (swarm) => swarm.have.fill() });
    wired.feed(wired.handshake());
    const sent = required(
      wired.sent().find(({ id }) => id === MessageId.extended),
      "one of sent",
    );
    assert.equal(sent.body[0], 0);
    const { m: _, ...fields } = decodeExtensionHandshake(sent.body.subarray(1));
    const expected = { v: "wired 1.0", reqq: REQUEST_QUEUE_ANNOUNCED, p: 6881 };
    assert.deepEqual(fields, { ...expected, yourip: "127.0.0.9", uploadOnly: true });
  });

  it("again and again is read a few times in a second", () => {
    const wired = new WiredPeer().open();
    const versions = Array.from({ length: 1000 }, (_, index) => extended({ v: `version ${index}` }));
    wired.feed(Buffer.concat(versions));
    assert.equal(wired.peer.clientName, "version 7");
    wired.pass(1000);
    wired.feed(extended({ v: "the last" }));
    assert.equal(wired.peer.clientName, "the last");
    assert.equal(wired.peer.state, "open");
  });

  it("reqq bounds what we ask for", () => {
    const wired = new WiredPeer().open();
    wired.feed(Buffer.concat([extended({ reqq: 3 }), HAVE_ALL, UNCHOKE]));
    assert.equal(wired.sentBlocks(MessageId.request).length, 3);
    assert.equal(wired.peer.requests.target, 3);
  });

  it("v, p and upload_only are noted; p only of a peer that came to us", () => {
    for (const incoming of [true, false]) {
      const wired = new WiredPeer({ incoming }).open();
      const yourip = Uint8Array.of(10, 0, 0, 1);
      wired.feed(extended({ v: "other 2.0", p: 5555, upload_only: 1, yourip, m: { ut_pex: 1 } }), 9);
      assert.equal(wired.peer.clientName, "other 2.0");
      assert.equal(wired.peer.listenPort, incoming ? 5555 : 4000);
      assert.equal(wired.peer.isUploadOnly, true);
      wired.feed(extended({ upload_only: 0 }));
      assert.equal(wired.peer.isUploadOnly, false);
      assert.equal(wired.peer.clientName, "other 2.0");
    }
  });

  it("fields of another type or out of range are left out", () => {
    const wired = new WiredPeer().open();
    wired.feed(extended({ v: 7, p: 70_000, reqq: "many", upload_only: [1], yourip: Uint8Array.of(1, 2) }));
    assert.equal(wired.peer.state, "open");
    assert.equal(wired.peer.clientName, "");
    assert.equal(wired.peer.isUploadOnly, false);
  });

  it("a handshake that is no dictionary ends the connection", () => {
    for (const text of ["", "i1e", "d1:v", "d1:v5:abce", "le"]) {
      const wired = new WiredPeer().open();
      wired.feed(message(MessageId.extended, Uint8Array.of(0), Buffer.from(text)));
      wired.checkOver("PEER_MESSAGE_MALFORMED");
    }
  });

  it("extended messages that we do not know, and port, are ignored", () => {
    const wired = new WiredPeer().open();
    wired.feed(message(MessageId.extended, Uint8Array.of(9), Buffer.from("garbage")));
    wired.feed(message(MessageId.port, Uint8Array.of(0x1a, 0xe1)));
    assert.equal(wired.peer.state, "open");
    wired.feed(message(MessageId.port, Uint8Array.of(0x1a)));
    wired.checkOver("PEER_MESSAGE_MALFORMED");
  });
});

describe("PeerConnection: what we tell", () => {
  it("choke and unchoke once each, and pieces that the peer lacks", () => {
    const wired = new WiredPeer().open();
    wired.feed(message(MessageId.have, 2));
    wired.sent();
    wired.peer.choke();
    wired.peer.unchoke();
    wired.peer.unchoke();
    wired.peer.choke();
    wired.peer.announcePiece(1);
    wired.peer.announcePiece(2);
    const sent = wired.sent();
    assert.deepEqual(
      sent.map(({ id }) => id),
      [MessageId.unchoke, MessageId.choke, MessageId.have],
    );
    assert.equal(entryOf(sent, 2).body.readUInt32BE(0), 1);
  });

  it("the receive mode can be changed while it runs, and takes effect at a message boundary", () => {
    const wired = unchoked({ maxRequests: 3 });
    const [first, second, third] = wired.sentBlocks(MessageId.request);
    const bytes = pieceMessage(...required(first, "first"));
    wired.feed(bytes.subarray(0, 4000));
    wired.peer.setReceiveMode({ name: "contiguous", depth: 16, contiguousWhenIdle: false });
    assert.equal(wired.peer.receiver.mode.name, "adaptive");
    wired.feed(bytes.subarray(4000));
    wired.feed(pieceMessage(...required(second, "second")));
    assert.equal(wired.peer.receiver.mode.name, "contiguous");
    assert.equal(wired.peer.counters.bytesCopied, BLOCK_SIZE);
    wired.peer.setReceiveMode({ name: "scatter", depth: 16, contiguousWhenIdle: false });
    wired.feed(pieceMessage(...required(third, "third")));
    assert.equal(wired.peer.receiver.mode.name, "scatter");
    assert.equal(wired.peer.counters.bytesCopied, BLOCK_SIZE);
    assert.equal(wired.swarm.received.size, 3);
  });
});
