// What a peer asks of us and gets: its requests and cancels, chokes, and the pieces that it gets in spite of a choke (BEP 6).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE, REQUEST_QUEUE_ANNOUNCED } from "../../../../src/base/limits.js";
import { SHORT_BYTES, STRAY_MAX, STRAY_PER_TICK } from "../../../../src/client/peer/vain-answers.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf } from "../../../support/required.js";
import { readError } from "../send/fakes.js";
import { blocksOf, DATA, LAYOUT, message, PIECE_LENGTH, WiredPeer } from "./wired-peer.js";

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

/** An open connection to a peer that we serve. */
function serving(fast = true): WiredPeer {
  const wired = new WiredPeer({ incoming: true, fast, prepare: (swarm) => swarm.have.fill() }).open();
  wired.feed(message(MessageId.interested));
  wired.peer.unchoke();
  assert.deepEqual(
    wired.sent().map(({ id }) => id),
    [MessageId.unchoke],
  );
  return wired;
}

function rejects(keys: readonly string[]): Buffer[] {
  return keys.map((key) => {
    const [piece = 0, block = 0] = key.split("/").map(Number);
    return message(MessageId.reject, piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block));
  });
}

describe("PeerConnection: requests of the peer", () => {
  it("are answered with the bytes of the torrent, while it is unchoked", () => {
    const wired = serving();
    const blocks: [number, number, number][] = [
      [0, 0, BLOCK_SIZE],
      [LAST, BLOCK_SIZE, 3000],
      [5, 77, 1234],
    ];
    wired.feed(Buffer.concat(blocks.map((block) => message(MessageId.request, ...block))), 5);
    const sent = wired.sent();
    assert.equal(sent.length, 3);
    sent.forEach(({ id, body }, index) => {
      const [piece, begin, length] = entryOf(blocks, index);
      assert.equal(id, MessageId.piece);
      assert.deepEqual([body.readUInt32BE(0), body.readUInt32BE(4)], [piece, begin]);
      const at = piece * PIECE_LENGTH + begin;
      assert.ok(body.subarray(8).equals(DATA.subarray(at, at + length)));
    });
    assert.equal(wired.peer.uploads.uptake.sentSinceUnchokeBytes, BLOCK_SIZE + 3000 + 1234);
  });

  const ranges: [string, number, number, number][] = [
    ["piece", LAYOUT.pieceCount, 0, BLOCK_SIZE],
    ["piece far away", 0xffff_ffff, 0, BLOCK_SIZE],
    ["begin", 0, PIECE_LENGTH, 1],
    ["begin far away", 0, 0xffff_ffff, BLOCK_SIZE],
    ["length of nothing", 0, 0, 0],
    ["length beyond the piece", 0, PIECE_LENGTH - 1, 2],
    ["length beyond the torrent", LAST, BLOCK_SIZE, 3001],
    ["length of more than 16 KiB", 0, 0, BLOCK_SIZE + 1],
    ["length of 4 GiB", 0, 0, 0xffff_ffff],
  ];
  for (const [what, ...block] of ranges) {
    it(`a request with an invalid ${what} ends the connection, choked or not`, () => {
      for (const wired of [serving(), new WiredPeer().open()]) {
        wired.feed(message(MessageId.request, ...block));
        wired.checkOver("PEER_PIECE_RANGE");
      }
    });
  }

  it("while it is choked, or for a piece that we lack, are rejected with the Fast extension and dropped without", () => {
    for (const fast of [true, false]) {
      const wired = new WiredPeer({ fast }).open();
      wired.feed(message(MessageId.request, 1, 0, BLOCK_SIZE));
      wired.peer.unchoke();
      wired.feed(message(MessageId.request, 2, 0, BLOCK_SIZE));
      const expected = fast ? [1, 2].map((piece) => [piece, 0, BLOCK_SIZE]) : [];
      const sent = wired.sent();
      assert.deepEqual(blocksOf(sent, MessageId.reject), expected);
      assert.equal(sent.filter(({ id }) => id === MessageId.piece).length, 0);
      assert.equal(wired.peer.state, "open");
    }
  });

  it("are taken back by a cancel, and answered by a reject with the Fast extension", () => {
    for (const fast of [true, false]) {
      const wired = serving(fast);
      wired.swarm.storage.cached = () => false;
      wired.feed(message(MessageId.request, 1, 0, BLOCK_SIZE));
      wired.feed(message(MessageId.cancel, 1, 0, BLOCK_SIZE));
      wired.feed(message(MessageId.cancel, 3, 0, BLOCK_SIZE));
      assert.deepEqual(wired.sentBlocks(MessageId.reject), fast ? [[1, 0, BLOCK_SIZE]] : []);
      assert.equal(wired.swarm.storage.readsPending, 0);
      assert.equal(wired.peer.uploads.uptake.sentSinceUnchokeBytes, 0);
    }
  });

  const inVain = (count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => message(MessageId.request, 1, 0, BLOCK_SIZE)));

  it("are refused a few at once and a second to a peer that was never unchoked, and has no reason to ask", () => {
    for (const fast of [true, false]) {
      const wired = new WiredPeer({ incoming: true, fast }).open();
      wired.feed(inVain(STRAY_MAX));
      wired.pass(1000);
      wired.feed(inVain(STRAY_PER_TICK));
      assert.equal(wired.peer.state, "open");
      wired.feed(inVain(1));
      wired.checkOver("PEER_REQUEST_FLOOD");
    }
  });

  it("are a flood where they come at once, and none where they come little by little", () => {
    for (const pauseMs of [0, 1000]) {
      const wired = new WiredPeer({ incoming: true }).open();
      for (let second = 0; second < 100 && wired.peer.state === "open"; second++) {
        wired.feed(inVain(STRAY_MAX / 2));
        wired.pass(pauseMs);
      }
      wired.checkOver("PEER_REQUEST_FLOOD");
      assert.equal(wired.peer.uploads.hasFlooded, pauseMs === 0);
    }
  });

  it("are refused a quarter of a queue after each choke, and one for each block that it took; who asks on is let go", () => {
    const blocks = Buffer.concat(
      Array.from({ length: 20 }, (_, block) =>
        message(MessageId.request, Math.floor(block / 3), (block % 3) * BLOCK_SIZE, BLOCK_SIZE),
      ),
    );
    const onTheirWay = REQUEST_QUEUE_ANNOUNCED / 4;
    for (const fast of [true, false]) {
      const wired = new WiredPeer({ incoming: true, fast, prepare: (swarm) => swarm.have.fill() }).open();
      wired.feed(inVain(STRAY_MAX));
      for (let turn = 0; turn < 5; turn++) {
        wired.peer.unchoke();
        wired.feed(blocks);
        wired.sent();
        wired.peer.choke();
        wired.feed(inVain(onTheirWay));
        assert.equal(wired.peer.state, "open");
        wired.sent();
      }
      wired.feed(inVain(5 * 20));
      assert.equal(wired.peer.state, "open", "it took as many blocks");
      wired.peer.unchoke();
      wired.feed(blocks);
      wired.sent();
      wired.peer.choke();
      wired.pass(40_000);
      wired.feed(inVain(onTheirWay));
      wired.checkOver("PEER_REQUEST_FLOOD");
    }
  });

  it("of few bytes are served as often as others are refused, and as all others where they end a piece", () => {
    const wired = serving();
    const short = message(MessageId.request, 1, 0, SHORT_BYTES - 1);
    for (let asked = 0; asked < STRAY_MAX; asked++) wired.feed(short);
    const end = message(MessageId.request, 1, PIECE_LENGTH - 1, 1);
    for (let asked = 0; asked < 2 * STRAY_MAX; asked++) wired.feed(end);
    const some = message(MessageId.request, 1, 0, SHORT_BYTES);
    wired.feed(some);
    const sent = wired.sent().filter(({ id }) => id === MessageId.piece);
    assert.equal(sent.length, STRAY_MAX + 2 * STRAY_MAX + 1);
    wired.feed(short);
    assert.equal(wired.peer.state, "open", "it took a block");
    wired.feed(short);
    wired.checkOver("PEER_REQUEST_FLOOD");
  });

  it("are refused without end to one with a long way and a deep queue, that we choke in the middle of it again and again", () => {
    for (const [queue, everyMs] of [
      [500, 1000],
      [2000, 1000],
      [2000, 10_000],
      [REQUEST_QUEUE_ANNOUNCED, 10_000],
    ] as const)
      for (const fast of [true, false]) {
        const wired = new WiredPeer({ incoming: true, fast, prepare: (swarm) => swarm.have.fill() }).open();
        wired.feed(message(MessageId.interested));
        for (let choke = 0; choke < 30; choke++) {
          wired.peer.unchoke();
          wired.pass(everyMs);
          wired.peer.choke();
          // All that it asked for since it was unchoked was on its way.
          wired.feed(inVain(queue));
          wired.sent();
          assert.equal(wired.peer.state, "open", `choked ${choke + 1} times, with a queue of ${queue}`);
        }
        wired.feed(inVain(REQUEST_QUEUE_ANNOUNCED));
        wired.checkOver("PEER_REQUEST_FLOOD");
      }
  });

  it("are all taken back by as many cancels, and looked for only so often in a second", () => {
    const wired = serving();
    wired.transport.room = () => 0;
    const ask = (id: number): Buffer[] =>
      Array.from({ length: REQUEST_QUEUE_ANNOUNCED }, (_, index) => message(id, 1, index, SHORT_BYTES));
    wired.feed(Buffer.concat(ask(MessageId.request)));
    const waiting = wired.peer.sender.blocksRequested;
    assert.ok(waiting > 0);
    wired.feed(Buffer.concat(ask(MessageId.cancel).reverse()));
    assert.equal(wired.peer.sender.blocksRequested, 0, "a whole queue, the last first");
    wired.pass(1000);

    wired.feed(Buffer.concat(ask(MessageId.request)));
    const queued = wired.peer.sender.blocksRequested;
    const missed = Array.from({ length: 8192 }, () => message(MessageId.cancel, 2, 0, BLOCK_SIZE));
    const last = message(MessageId.cancel, 1, REQUEST_QUEUE_ANNOUNCED - 1, SHORT_BYTES);
    wired.feed(Buffer.concat([...missed, last]));
    assert.equal(
      wired.peer.sender.blocksRequested,
      queued,
      "a flood of them is not looked for, and not heeded",
    );
    assert.equal(wired.peer.state, "open");
    wired.pass(1000);
    wired.feed(last);
    assert.equal(wired.peer.sender.blocksRequested, queued - 1);
  });

  it("are rejected when we choke the peer, all that had not begun to load", () => {
    const wired = serving();
    const blocks = [0, 1, 2].map((piece): [number, number, number] => [piece, 0, BLOCK_SIZE]);
    wired.feed(Buffer.concat(blocks.map((block) => message(MessageId.request, ...block))));
    wired.peer.choke();
    wired.peer.choke();
    const sent = wired.sent();
    assert.deepEqual(
      sent.map(({ id }) => id),
      [MessageId.choke, MessageId.reject, MessageId.reject, MessageId.reject],
    );
    assert.deepEqual(blocksOf(sent, MessageId.reject), blocks);
  });

  it("that cannot be read are rejected, and the torrent is told", () => {
    const wired = serving();
    wired.swarm.storage.cached = () => false;
    wired.feed(message(MessageId.request, 1, 0, BLOCK_SIZE));
    wired.sent();
    wired.swarm.storage.finishRead(0, readError());
    assert.deepEqual(wired.sentBlocks(MessageId.reject), [[1, 0, BLOCK_SIZE]]);
    assert.deepEqual(wired.swarm.uploadErrors, [readError().message]);
    wired.peer.close();
    wired.checkOver();
  });

  it("beyond the queue that we announce are rejected, or end the connection without the Fast extension", () => {
    const requests = Buffer.concat(
      Array.from({ length: REQUEST_QUEUE_ANNOUNCED + 1 }, () =>
        message(MessageId.request, 0, 0, SHORT_BYTES),
      ),
    );
    const fast = serving();
    fast.transport.room = () => 0;
    fast.feed(requests);
    assert.equal(fast.peer.state, "open");
    assert.equal(fast.peer.sender.blocksRequested, REQUEST_QUEUE_ANNOUNCED);
    const plain = serving(false);
    plain.transport.room = () => 0;
    plain.feed(requests);
    plain.checkOver("PEER_REQUEST_FLOOD");
  });

  it("of a peer that never reads what we say end the connection before our memory grows", () => {
    const wired = new WiredPeer().open();
    wired.transport.room = () => 0;
    const requests = Buffer.concat(Array.from({ length: 1000 }, () => message(MessageId.request, 0, 0, 100)));
    for (let round = 0; round < 200 && wired.peer.state === "open"; round++) {
      wired.feed(requests);
      wired.peer.flush(-11);
    }
    wired.checkOver("PEER_REQUEST_FLOOD");
  });

  it("and its chokes cannot make our own requests pile up", () => {
    for (const fast of [true, false]) {
      const wired = unchoked({ fast });
      wired.transport.room = () => 0;
      for (let round = 0; round < 4000; round++) {
        wired.feed(Buffer.concat([CHOKE, ...(fast ? rejects([...wired.swarm.open]) : [])]));
        wired.feed(UNCHOKE);
        wired.clock.nowMs += 1000;
      }
      assert.ok(wired.peer.sender.outbox.length < 300_000, `${wired.peer.sender.outbox.length} bytes wait`);
      assert.equal(wired.peer.state, "open");
    }
  });

  it("interest is noted and told to the torrent when it changes", () => {
    const wired = new WiredPeer().open();
    const interested = message(MessageId.interested);
    const notInterested = message(MessageId.notInterested);
    wired.feed(Buffer.concat([interested, interested, notInterested, notInterested]));
    assert.deepEqual(wired.swarm.events.slice(2), ["interested", "notInterested"]);
  });
});

describe("PeerConnection: allowed fast pieces of ours (BEP 6)", () => {
  const REQUEST = message(MessageId.request, 2, 0, BLOCK_SIZE);
  const connected = (fast: boolean): WiredPeer => {
    const wired = new WiredPeer({ incoming: true, fast, prepare: (swarm) => swarm.have.fill() }).open();
    wired.sent();
    return wired;
  };
  const answers = (wired: WiredPeer): number[] => {
    wired.feed(REQUEST);
    return wired.sent().map(({ id }) => id);
  };

  it("are sent although we choke, to a peer that has next to nothing", () => {
    const wired = connected(true);
    assert.equal(wired.peer.amChoking, true);
    assert.deepEqual(answers(wired), [MessageId.piece]);
  });

  it("are rejected once the peer has as many pieces to trade", () => {
    const wired = connected(true);
    wired.feed(HAVE_ALL);
    assert.deepEqual(answers(wired), [MessageId.reject]);
  });

  it("are rejected where earlier connections of the peer's network were sent as much as they are", () => {
    for (const [sentBefore, answer] of [
      [9 * PIECE_LENGTH, MessageId.piece],
      [10 * PIECE_LENGTH, MessageId.reject],
    ] as const) {
      const wired = connected(true);
      wired.swarm.givesFreely = (_peer, bytes) => sentBefore < bytes;
      assert.deepEqual(answers(wired), [answer]);
    }
  });

  it("are rejected many times before whoever asks is let go, since it was told that it may", () => {
    const wired = connected(true);
    wired.feed(HAVE_ALL);
    const refused = 512;
    for (let asked = 0; asked < refused + STRAY_MAX; asked++) wired.feed(REQUEST);
    assert.equal(wired.sentBlocks(MessageId.reject).length, refused + STRAY_MAX);
    wired.feed(REQUEST);
    wired.checkOver("PEER_REQUEST_FLOOD");
  });

  it("are not sent without the Fast extension", () => {
    assert.deepEqual(answers(connected(false)), []);
  });
});
