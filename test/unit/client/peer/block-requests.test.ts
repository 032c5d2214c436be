// What a peer was asked for has a deadline, however it lets us wait: in the middle of a block, behind others, or by refusing.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE, MIB } from "../../../../src/base/limits.js";
import { SlotHolder } from "../../../../src/client/memory/block-pool.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf, required } from "../../../support/required.js";
import { blocksOf, LAYOUT, message, pieceMessage, WiredPeer } from "./wired-peer.js";

const HAVE_ALL = message(MessageId.haveAll);
const UNCHOKE = message(MessageId.unchoke);
/** Bytes of a drip: one every so often. */
const DRIP_MS = 3000;

function unchoked(options: { maxRequests?: number; slabBytes?: number } = {}): WiredPeer {
  const wired = new WiredPeer({
    settings: { maxRequests: options.maxRequests ?? 512 },
    slabBytes: options.slabBytes ?? 2 * MIB,
  }).open();
  wired.feed(Buffer.concat([HAVE_ALL, UNCHOKE]));
  return wired;
}

/** Feeds `bytes` one at a time, DRIP_MS apart, for `ms`; returns what is left. */
function drip(wired: WiredPeer, bytes: Buffer, ms: number): Buffer {
  let rest = bytes;
  for (let passed = 0; passed < ms; passed += DRIP_MS) {
    wired.feed(rest.subarray(0, 1));
    rest = rest.subarray(1);
    wired.pass(DRIP_MS);
  }
  return rest;
}

/** Takes slots until less than half of the pool is free. */
function takeHalf({ memory }: WiredPeer): () => void {
  const slots: number[] = [];
  while (!memory.isShort) slots.push(memory.pool.acquire(SlotHolder.user));
  return () => {
    for (const slot of slots) memory.pool.release(slot as never, SlotHolder.user);
  };
}

describe("BlockRequests: a block under way", () => {
  it("is anybody's, with all behind it, once it takes too long for one that waits for nothing, and is let come", () => {
    const wired = unchoked();
    const { requests } = wired.peer;
    wired.sent();
    const block = pieceMessage(0, 0, BLOCK_SIZE);
    wired.feed(block.subarray(0, 5000));
    wired.clock.nowMs += 500;
    assert.equal(requests.letGo(500), 0, "not yet");
    wired.clock.nowMs += 1;
    assert.equal(requests.letGo(500), 16);
    assert.equal(wired.swarm.open.size, 0);
    const sent = wired.sent();
    assert.equal(blocksOf(sent, MessageId.cancel).length, 15);
    assert.equal(requests.letGo(500), 0, "once");
    wired.feed(block.subarray(5000, 5001));
    assert.equal(wired.sentBlocks(MessageId.request).length, 0, "nothing more can come before its end");
    wired.feed(block.subarray(5001));
    assert.equal(wired.swarm.received.has("0/0"), true);
    assert.equal(wired.sentBlocks(MessageId.request).length, 1, "it is asked again");
    wired.peer.close();
  });

  it("is given back with all behind it when it is late, although bytes come, and is taken when it comes", () => {
    const wired = unchoked();
    assert.equal(wired.sentBlocks(MessageId.request).length, 16);
    const block = pieceMessage(0, 0, BLOCK_SIZE);
    wired.feed(block.subarray(0, 5000));
    const rest = drip(wired, block.subarray(5000), 24_000);
    assert.equal(wired.swarm.dropped.length, 16, "the block and the 15 behind it");
    assert.equal(wired.peer.pipeline?.snubbed, true);
    const sent = wired.sent();
    assert.equal(blocksOf(sent, MessageId.cancel).length, 15);
    assert.equal(blocksOf(sent, MessageId.request).length, 0, "nothing more can come before its end");
    assert.equal(wired.swarm.open.size, 0);
    wired.feed(rest);
    assert.equal(wired.swarm.received.has("0/0"), true, "late, and right");
    assert.equal(wired.sentBlocks(MessageId.request).length, 1, "a snubbed peer is asked for one");
    wired.peer.close();
    wired.checkOver();
  });

  it("that stops for good holds no request, and its slot only while there are others", () => {
    const wired = unchoked();
    const block = pieceMessage(0, 0, BLOCK_SIZE);
    wired.feed(block.subarray(0, 5000));
    wired.pass(21_000);
    assert.ok(wired.swarm.dropped.includes("0/0"));
    assert.deepEqual(wired.memory.pool.heldByHolder(), { receiving: 1 });
    const giveBack = takeHalf(wired);
    wired.pass(1000);
    giveBack();
    assert.deepEqual(wired.memory.pool.heldByHolder(), {}, "its slot is home");
    wired.feed(Buffer.concat([block.subarray(5000), message(MessageId.have, 1)]));
    assert.equal(wired.peer.state, "open");
    assert.equal(wired.swarm.received.has("0/0"), false, "the rest was skipped");
    wired.feed(pieceMessage(0, BLOCK_SIZE, BLOCK_SIZE));
    assert.equal(wired.swarm.received.has("0/1"), true, "what follows is not");
    wired.peer.close();
    wired.checkOver();
  });

  it("has two seconds where memory is short, and gives its slot back then", () => {
    const wired = unchoked();
    const giveBack = takeHalf(wired);
    const block = pieceMessage(0, 0, BLOCK_SIZE);
    wired.feed(block.subarray(0, 5000));
    wired.pass(2000);
    assert.equal(wired.swarm.dropped.length, 0);
    wired.pass(1000);
    giveBack();
    assert.equal(wired.swarm.dropped.length, 16);
    assert.deepEqual(wired.memory.pool.heldByHolder(), {});
    wired.feed(block.subarray(5000));
    assert.equal(wired.swarm.received.size, 0);
    wired.feed(pieceMessage(0, BLOCK_SIZE, BLOCK_SIZE));
    assert.equal(wired.swarm.received.size, 1);
    wired.peer.close();
    wired.checkOver();
  });

  it("keeps a peer from being asked for more after two seconds, wanted or not: nothing could come before its end", () => {
    const wired = unchoked({ maxRequests: 4 });
    const [first, second] = [0, 1].map((block) => pieceMessage(0, block * BLOCK_SIZE, BLOCK_SIZE));
    wired.feed(required(first, "first").subarray(0, 100));
    // Another peer brings it, and all else that this one was asked for.
    for (const key of [...wired.swarm.open]) {
      const [piece, block] = key.split("/").map(Number) as [number, number];
      wired.swarm.open.delete(key);
      wired.swarm.received.add(key);
      wired.peer.cancelRequest(piece, block * BLOCK_SIZE);
    }
    wired.pass(1000);
    assert.equal(wired.swarm.open.size, 4, "it may have been between two packets");
    wired.pass(2000);
    for (const key of [...wired.swarm.open]) {
      const [piece, block] = key.split("/").map(Number) as [number, number];
      wired.swarm.open.delete(key);
      wired.peer.cancelRequest(piece, block * BLOCK_SIZE);
    }
    wired.pass(1000);
    assert.equal(wired.swarm.open.size, 0);
    wired.feed(required(first, "first").subarray(100));
    assert.ok(wired.swarm.open.size > 0, "its end has come");
    wired.feed(required(second, "second"));
    wired.peer.close();
    wired.checkOver();
  });

  it("that is skipped, and goes on for as long as a block may take, costs the requests behind it", () => {
    const wired = unchoked({ maxRequests: 4 });
    const block = pieceMessage(0, 0, BLOCK_SIZE);
    wired.feed(block.subarray(0, 100));
    wired.swarm.open.delete("0/0");
    wired.swarm.received.add("0/0");
    wired.peer.cancelRequest(0, 0);
    drip(wired, block.subarray(100), 24_000);
    assert.equal(wired.swarm.open.size, 0);
    assert.equal(wired.peer.pipeline?.snubbed, true);
    wired.peer.close();
    wired.checkOver();
  });

  it("is not late when it was begun before and went on fast enough", () => {
    const wired = unchoked({ maxRequests: 2 });
    for (let round = 0; round < 6; round++) {
      const key = entryOf([...wired.swarm.open], 0);
      const [piece, block] = key.split("/").map(Number) as [number, number];
      const bytes = pieceMessage(piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block));
      for (let at = 0; at < bytes.length; at += 1024) {
        wired.feed(bytes.subarray(at, at + 1024));
        wired.pass(1000);
      }
    }
    assert.equal(wired.swarm.received.size, 6, "a peer of 1 KiB/s is slow and served to the end");
    assert.deepEqual(wired.swarm.dropped, []);
  });
});

describe("BlockRequests: a queue", () => {
  it("of a peer that brings a block every 12 s shrinks to what it can bring", () => {
    const wired = unchoked();
    let open = [...wired.swarm.open];
    for (let round = 0; round < 10; round++) {
      wired.pass(12_000);
      const [piece, block] = entryOf(open, 0).split("/").map(Number) as [number, number];
      wired.feed(pieceMessage(piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block)));
      open = [...wired.swarm.open];
    }
    assert.equal(wired.swarm.received.size, 10, "every block that came was taken");
    assert.ok(wired.peer.expected.count <= 6, `${wired.peer.expected.count} requests are out`);
    wired.peer.close();
    wired.checkOver();
  });

  it("of a peer that brings it in time stays whole", () => {
    const wired = unchoked({ maxRequests: 8 });
    for (let round = 0; round < 24; round++) {
      const key = entryOf([...wired.swarm.open], 0);
      const [piece, block] = key.split("/").map(Number) as [number, number];
      wired.feed(pieceMessage(piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block)));
      wired.pass(2000);
    }
    assert.deepEqual(wired.swarm.dropped, []);
  });
});

describe("BlockRequests: what somebody else could bring at once", () => {
  const answerFirst = (wired: WiredPeer): void => {
    const key = entryOf([...wired.swarm.open], 0);
    const [piece, block] = key.split("/").map(Number) as [number, number];
    wired.feed(pieceMessage(piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block)));
  };
  const piecesAsked = ({ peer: { expected } }: WiredPeer): number[] =>
    Array.from({ length: expected.count }, (_, index) => expected.pieceAt(index));

  it("is cancelled and given back where the peer comes to it late, and taken if it comes all the same", () => {
    const wired = unchoked({ maxRequests: 32 });
    // A block a second: 31 wait for half a minute.
    for (let round = 0; round < 4; round++) {
      wired.pass(1000);
      answerFirst(wired);
    }
    const asked = piecesAsked(wired);
    const first = entryOf(asked, 0);
    const last = entryOf(asked, -1);
    assert.notEqual(first, last);
    wired.sent();
    assert.equal(wired.peer.partWith(first), false, "it is next");
    const ofLast = asked.filter((piece) => piece === last).length;
    const before = wired.swarm.dropped.length;
    assert.equal(wired.peer.partWith(last), true);
    assert.equal(blocksOf(wired.sent(), MessageId.cancel).length, ofLast);
    assert.equal(wired.swarm.dropped.length, before + ofLast);
    assert.ok(!piecesAsked(wired).includes(last));
    assert.equal(wired.peer.partWith(last), false, "once");
    wired.feed(pieceMessage(last, 0, LAYOUT.blockLength(last, 0)));
    assert.equal(wired.peer.isOpen, true, "the cancel was late");
    wired.peer.close();
    wired.checkOver();
  });

  it("stays with a peer that brings all it was asked for soon, or was asked just now", () => {
    const wired = unchoked({ maxRequests: 8 });
    assert.equal(wired.peer.partWith(entryOf(piecesAsked(wired), -1)), false, "it was asked just now");
    for (let round = 0; round < 14; round++) {
      wired.pass(20);
      answerFirst(wired);
    }
    for (const piece of new Set(piecesAsked(wired))) assert.equal(wired.peer.partWith(piece), false);
    wired.peer.close();
    wired.checkOver();
  });
});

describe("BlockRequests: what makes way for urgent pieces", () => {
  const urgent = new Set([LAYOUT.pieceCount - 1]);

  it("is known when it comes all the same, however often requests make way while the peer answers", () => {
    const wired = unchoked();
    for (let times = 0; times < 300; times++) wired.peer.makeWay(urgent);
    // Cancels are no more than advice (BEP 6).
    for (const block of blocksOf(wired.sent(), MessageId.request)) wired.feed(pieceMessage(...block));
    assert.equal(wired.peer.isOpen, true);
    wired.peer.close();
    wired.checkOver();
  });

  it("is forgotten in time, so that requests make way for a peer as well that never says what became of cancels", () => {
    const wired = unchoked();
    for (let times = 0; times < 300; times++) wired.peer.makeWay(urgent);
    wired.sent();
    wired.peer.makeWay(urgent);
    assert.equal(blocksOf(wired.sent(), MessageId.cancel).length, 0, "no more is remembered");
    wired.clock.nowMs += 41_000;
    wired.peer.makeWay(urgent);
    assert.ok(blocksOf(wired.sent(), MessageId.cancel).length > 0);
    wired.peer.close();
    wired.checkOver();
  });
});

describe("BlockRequests: refusals", () => {
  function refuseAll(wired: WiredPeer): void {
    const rejects = [...wired.swarm.open].map((key) => {
      const [piece, block] = key.split("/").map(Number) as [number, number];
      return message(MessageId.reject, piece, block * BLOCK_SIZE, LAYOUT.blockLength(piece, block));
    });
    wired.feed(Buffer.concat(rejects));
  }

  it("of a full queue, blocks between them, never cost a piece", () => {
    const wired = unchoked({ maxRequests: 2 });
    wired.swarm.wanted = (piece) => piece === 0;
    for (let round = 0; round < 100; round++) {
      refuseAll(wired);
      wired.pass(1000);
      if (round % 20 !== 19) continue;
      const key = entryOf([...wired.swarm.open], 0);
      const block = Number(key.split("/")[1]);
      wired.feed(pieceMessage(0, block * BLOCK_SIZE, BLOCK_SIZE));
      // So that there is always something to ask for.
      wired.swarm.received.clear();
    }
    assert.deepEqual(wired.swarm.withdrawn, []);
    assert.equal(wired.peer.amInterested, true);
  });

  it("of many requests at once count once", () => {
    const wired = unchoked();
    for (let round = 0; round < 20; round++) {
      refuseAll(wired);
      wired.pass(1000);
    }
    assert.deepEqual(wired.swarm.withdrawn, []);
  });

  it("are forgotten in time: the piece is asked for again after a minute, and later after two", () => {
    const wired = unchoked({ maxRequests: 1 });
    wired.swarm.wanted = (piece) => piece === 0;
    const untilWithdrawn = (): void => {
      for (let round = 0; round < 60 && wired.peer.pieces.has(0); round++) {
        refuseAll(wired);
        wired.pass(1000);
      }
      assert.equal(wired.peer.pieces.has(0), false);
      assert.equal(wired.peer.amInterested, false);
    };
    untilWithdrawn();
    wired.pass(58_000);
    assert.equal(wired.peer.pieces.has(0), false);
    wired.pass(3000);
    assert.equal(wired.peer.pieces.has(0), true);
    assert.equal(wired.peer.amInterested, true);
    assert.equal(wired.swarm.open.size, 1);
    assert.equal(wired.swarm.announced.at(-1), 0);
    untilWithdrawn();
    wired.pass(90_000);
    wired.feed(Buffer.alloc(4));
    assert.equal(wired.peer.pieces.has(0), false);
    wired.pass(40_000);
    assert.equal(wired.peer.pieces.has(0), true);
    wired.feed(pieceMessage(0, 0, BLOCK_SIZE));
    assert.equal(wired.swarm.received.size, 1);
  });
});
