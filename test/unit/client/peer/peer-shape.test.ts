// A connection that has lived, and one that was just made, are of one shape: nothing that happens to a connection throws away
// compiled code. One that did cost a seventh of the processor time of receiving.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import { RateMeter } from "../../../../src/client/peer/rate-meter.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
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
    const kept = new WiredPeer();
    const wired = new WiredPeer({ prepare: (swarm) => swarm.have.add(0) });
    wired.open();
    wired.feed(Buffer.concat([message(MessageId.haveAll), message(MessageId.unchoke)]));
    for (const [piece, begin, length] of wired.sentBlocks(MessageId.request))
      wired.feed(pieceMessage(piece, begin, length), 1000);
    wired.peer.unchoke();
    wired.feed(message(MessageId.interested));
    wired.feed(message(MessageId.request, 0, 0, BLOCK_SIZE));
    wired.sent();
    wired.pass(60_000);
    assert.ok(wired.swarm.received.size > 0 && wired.peer.counters.blocksSent > 0, "blocks went both ways");
    const parts = (of: WiredPeer): object[] => {
      const { peer } = of;
      const { requests, pipeline, receiver, sender, write, counters } = peer;
      return [peer, requests, pipeline, receiver, sender, sender.outbox, write, counters, of.plan];
    };
    const fresh = parts(new WiredPeer());
    for (const before of [parts(kept), fresh]) {
      for (const [index, part] of parts(wired).entries())
        assert.ok(haveSameShape(part, before[index]!), `${part.constructor.name} keeps its shape`);
    }
  });
});

describe("RateMeter: its shape", () => {
  it("stays what it was when rates and totals are beyond small integers", () => {
    const [kept, meter] = [new RateMeter(), new RateMeter()];
    meter.sample(2 ** 40, 1000);
    assert.ok(haveSameShape(kept, meter));
  });
});
