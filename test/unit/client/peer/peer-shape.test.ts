// A connection that has lived, and one that was just made, are of one shape: nothing that happens to a connection throws away
// compiled code. One that did cost a seventh of the processor time of receiving.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { RateMeter } from "../../../../src/client/peer/rate-meter.js";
import { RequestPipeline } from "../../../../src/client/peer/request-pipeline.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf } from "../../../support/required.js";
import { haveSameShape } from "../../../support/shapes.js";
import { message, pieceMessage, WiredPeer } from "./wired-peer.js";

describe("haveSameShape", () => {
  it("tells objects with a field that outgrew small integers from those that it did not in", () => {
    class Counter {
      count = 0;
    }
    const [kept, grown] = [new Counter(), new Counter()];
    assert.ok(haveSameShape(kept, grown));
    grown.count = 2 ** 40;
    assert.ok(!haveSameShape(kept, grown));
  });
});

describe("PeerConnection: its shape", () => {
  it("stays what it was, through blocks in both directions, ticks and a long silence", () => {
    // Reading a field of an object whose shape is out of date gives it the new one: it is read before, and not again.
    const kept = partsOf(new WiredPeer());
    const wired = new WiredPeer({ prepare: (swarm) => swarm.have.add(0) });
    wired.open();
    wired.feed(Buffer.concat([message(MessageId.haveAll), message(MessageId.unchoke)]));
    for (const [piece, begin, length] of wired.sentBlocks(MessageId.request))
      wired.feed(pieceMessage(piece, begin, length), 1000);
    wired.peer.unchoke();
    wired.feed(message(MessageId.interested));
    for (let block = 0; block < 3; block++)
      wired.feed(message(MessageId.request, 0, block * BLOCK_SIZE, BLOCK_SIZE));
    wired.sent();
    wired.pass(60_000);
    assert.ok(wired.swarm.received.size > 0 && wired.peer.counters.blocksSent > 0, "blocks went both ways");
    for (const [index, part] of partsOf(wired).entries())
      assert.ok(haveSameShape(part, entryOf(kept, index)), `${part.constructor.name} keeps its shape`);
  });
});

/** What a connection consists of, and is used for each block. */
function partsOf({ peer, plan }: WiredPeer): object[] {
  const { requests, receiver, sender, uploads, write, counters } = peer;
  // It is made with the first request.
  const pipeline = peer.pipeline ?? new RequestPipeline(100, 1000);
  return [
    peer,
    requests,
    pipeline,
    receiver,
    sender,
    sender.outbox,
    uploads,
    uploads.uptake,
    write,
    counters,
    plan,
  ];
}

describe("RateMeter: its shape", () => {
  it("stays what it was when rates and totals are beyond small integers", () => {
    const [kept, meter] = [new RateMeter(), new RateMeter()];
    meter.sample(2 ** 40, 1000);
    assert.ok(haveSameShape(kept, meter));
  });
});
