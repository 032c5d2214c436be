// Queries under way: stalls by the 90th percentile while late answers count, failures after 10 s in order, answers from elsewhere ignored.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AdaptiveTimeout, FAILURE_MS } from "../../../src/dht/adaptive-timeout.js";
import {
  type Call,
  type CallFailure,
  type CallListener,
  Calls,
  FAILED_OTHER_ID,
} from "../../../src/dht/calls.js";
import { Contact } from "../../../src/dht/contact.js";
import { KrpcReader, METHOD_PING } from "../../../src/dht/krpc-reader.js";
import { KrpcWriter } from "../../../src/dht/krpc-writer.js";
import { RateCells } from "../../../src/dht/rate-cells.js";
import { Sender } from "../../../src/dht/sender.js";
import { Tokens } from "../../../src/dht/tokens.js";
import type { DatagramBatch } from "../../../src/native/datagrams.js";

function contactAt(last: number): Contact {
  const compact = Uint8Array.from({ length: 26 }, (_, at) => (at < 20 ? last : at));
  compact[23] = last;
  return new Contact(compact, 4);
}

/** A batch of one entry that came from a contact. */
function from(contact: Contact): Sender {
  const addresses = new Uint32Array(4);
  new Uint8Array(addresses.buffer).set(contact.compact.subarray(20, 24));
  const ports = new Uint16Array(1);
  new Uint8Array(ports.buffer).set(contact.compact.subarray(24, 26));
  const sender = new Sender({ addresses, ports } as unknown as DatagramBatch, 4);
  sender.of(0);
  return sender;
}

function answerOf(id: Uint8Array, transaction: number): KrpcReader {
  const bytes = new Uint8Array(512);
  const writer = new KrpcWriter();
  const transactionBytes = new Uint8Array(4);
  new DataView(transactionBytes.buffer).setUint32(0, transaction);
  writer.begin(bytes, 0);
  writer.beginResponse(id, new Uint8Array(4), 0, 4, new Uint8Array(2), 0);
  writer.endResponse(transactionBytes, 0, 4);
  const reader = new KrpcReader();
  assert.ok(reader.read(bytes, 0, writer.at));
  return reader;
}

class Log implements CallListener {
  readonly lines: string[] = [];
  answered(call: Call): void {
    this.lines.push(`answered ${call.transaction}`);
  }
  stalled(call: Call): void {
    this.lines.push(`stalled ${call.transaction}`);
  }
  failed(call: Call): void {
    this.lines.push(`failed ${call.transaction}`);
  }
}

function setUp(): {
  calls: Calls;
  log: Log;
  whys: CallFailure[];
  timeout: AdaptiveTimeout;
  ask: (n: number, at: number) => Contact;
} {
  const timeout = new AdaptiveTimeout();
  const log = new Log();
  const whys: CallFailure[] = [];
  const calls = new Calls(timeout, { nodeAnswered: () => {}, nodeFailed: (_call, why) => whys.push(why) });
  const ask = (transaction: number, sentMs: number): Contact => {
    const contact = contactAt(transaction);
    calls.add(contact, METHOD_PING, transaction, sentMs, false, log);
    return contact;
  };
  return { calls, log, whys, timeout, ask };
}

describe("queries under way", () => {
  it("stall at the 90th percentile of what answers took, and fail after 10 s", () => {
    const { calls, log, timeout, ask } = setUp();
    for (let sample = 1; sample <= 256; sample++) timeout.sample(sample <= 230 ? 100 : 350);
    assert.equal(timeout.stallMs, 350, "231 of 256");
    for (let sample = 1; sample <= 256; sample++) timeout.sample(sample <= 240 ? 100 : 350);
    assert.equal(timeout.stallMs, 100);
    const late = ask(1, 0);
    ask(2, 50);
    calls.advance(100);
    assert.deepEqual(log.lines, ["stalled 1"]);
    calls.checkInvariants();
    calls.advance(9000);
    assert.ok(calls.answered(answerOf(late.compact, 1), false, from(late), 9500), "a late answer counts");
    calls.advance(50 + FAILURE_MS);
    assert.deepEqual(log.lines, ["stalled 1", "stalled 2", "answered 1", "failed 2"]);
    assert.equal(calls.count, 0);
    calls.checkInvariants();
  });

  it("stall at four times the median, however late a part of the answers comes", () => {
    const { timeout } = setUp();
    for (let sample = 1; sample <= 256; sample++) timeout.sample(sample <= 140 ? 150 : 9500);
    assert.equal(timeout.stallMs, 600);
    for (let sample = 1; sample <= 256; sample++) timeout.sample(9500);
    assert.equal(timeout.stallMs, 9500, "where all take long, nobody is asked in vain");
  });

  it("belong to whoever was asked: nobody else's answer ends them, nor one with another id", () => {
    const { calls, log, whys, ask } = setUp();
    const contact = ask(7, 0);
    assert.ok(!calls.answered(answerOf(contact.compact, 7), false, from(contactAt(8)), 1), "from elsewhere");
    assert.ok(!calls.answered(answerOf(contact.compact, 9), false, from(contact), 1), "never asked");
    assert.ok(calls.answered(answerOf(contactAt(9).compact, 7), false, from(contact), 1), "another id");
    assert.deepEqual(log.lines, ["failed 7"]);
    assert.deepEqual(whys, [FAILED_OTHER_ID]);
    assert.equal(contact.failures, Number.POSITIVE_INFINITY, "it is not the node any more that was known");
    assert.ok(!calls.answered(answerOf(contact.compact, 7), false, from(contact), 2), "over is over");
  });

  it("are let go when they are over, whatever is under way before and behind them", async () => {
    const { calls, timeout, ask } = setUp();
    for (let sample = 1; sample <= 256; sample++) timeout.sample(100);
    const asked: WeakRef<Contact>[] = [];
    // The first is never answered, and neither is the last: those between them are over.
    ask(1, 0);
    for (const transaction of [2, 3, 4, 5]) asked.push(new WeakRef(ask(transaction, transaction)));
    ask(6, 6);
    calls.advance(104);
    for (const [index, contact] of asked.entries()) {
      const { compact } = contactAt(2 + index);
      assert.ok(calls.answered(answerOf(compact, 2 + index), false, from(contactAt(2 + index)), 120));
      assert.ok(contact.deref() !== undefined);
    }
    calls.checkInvariants();
    assert.equal(calls.count, 2);
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    for (let round = 0; round < 3; round++) {
      // What was looked at through a weak reference stays until the loop has gone round.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    assert.deepEqual(
      asked.map((contact) => contact.deref()),
      [undefined, undefined, undefined, undefined],
    );
  });
});

describe("rates of addresses", () => {
  it("allow a burst, then so many a second, each address for itself", () => {
    const cells = new RateCells(2, 4, Uint32Array.of(1, 2));
    const addresses = Uint32Array.of(11, 22);
    const taken = (at: number, nowMs: number): number => {
      let count = 0;
      while (cells.take(addresses, at, 1, nowMs)) count++;
      return count;
    };
    assert.equal(taken(0, 0), 4);
    assert.equal(taken(1, 0), 4);
    assert.equal(taken(0, 499), 0);
    assert.equal(taken(0, 1000), 2);
    assert.equal(taken(0, 60_000), 4);
  });
});

describe("tokens", () => {
  it("hold for one address, port, id and torrent, for two periods", () => {
    const tokens = new Tokens(Uint32Array.of(1, 2, 3, 4));
    const asker = from(contactAt(1));
    const bytes = Uint8Array.from({ length: 64 }, (_, at) => at);
    tokens.advance(0);
    tokens.make(asker, bytes, 0, 20);
    bytes.set(tokens.token, 40);
    const shown = (sender: Sender, idAt: number, targetAt: number): boolean =>
      tokens.isValid(sender, {
        bytes,
        idAt,
        targetAt,
        tokenAt: 40,
        tokenBytes: 8,
      } as unknown as KrpcReader);
    assert.ok(shown(asker, 0, 20));
    assert.ok(!shown(from(contactAt(2)), 0, 20), "another address");
    assert.ok(!shown(asker, 1, 20), "another id");
    assert.ok(!shown(asker, 0, 19), "another torrent");
    tokens.advance(9 * 60_000);
    assert.ok(shown(asker, 0, 20), "the period after");
    tokens.advance(10 * 60_000);
    assert.ok(!shown(asker, 0, 20), "too old");
  });
});
