// Extension ids both ways, over a connection with a test at both of its ends (BEP 10).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import bencode from "bencode";
import { PeerError } from "../../../../src/base/errors.js";
import { MIB } from "../../../../src/base/limits.js";
import {
  EXTENSION_BYTES_MAX,
  type Extension,
  ExtensionTable,
} from "../../../../src/client/extensions/extension.js";
import type { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import { decodeExtensionHandshake } from "../../../../src/client/wire/extension.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf, required } from "../../../support/required.js";
import { message, type Sent, WiredPeer } from "../peer/wired-peer.js";

class Recorder implements Extension<PeerConnection> {
  readonly name: string;
  readonly bytesMax: number;
  readonly heard: string[] = [];

  constructor(name: string, bytesMax = 100) {
    this.name = name;
    this.bytesMax = bytesMax;
  }

  handshakeReceived(peer: PeerConnection): void {
    this.heard.push(`handshake ${peer.extendedIdOf(this.name)}`);
  }

  messageReceived(_peer: PeerConnection, bytes: Uint8Array, at: number, length: number): void {
    const text = Buffer.from(bytes.subarray(at, at + length)).toString();
    if (text === "bad") throw new PeerError("PEER_MESSAGE_MALFORMED", "a bad message");
    this.heard.push(`message ${text.length > 20 ? text.length : text}`);
  }

  peerClosed(): void {
    this.heard.push("closed");
  }
}

function extended(id: number, payload: string | Record<string, unknown>): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : bencode.encode(payload);
  return message(MessageId.extended, Uint8Array.of(id), bytes);
}

function wire(...extensions: Extension<PeerConnection>[]): WiredPeer {
  return new WiredPeer({
    prepare: (swarm) => {
      swarm.extensions = new ExtensionTable(extensions);
    },
  }).open();
}

/** The dictionary `m` of the handshakes among these messages, the last one's. */
function idsIn(sent: readonly Sent[]): Record<string, number> {
  const { body } = required(
    sent.findLast(({ id, body }) => id === MessageId.extended && body[0] === 0),
    "one of sent",
  );
  return Object.fromEntries(decodeExtensionHandshake(body.subarray(1)).m);
}

describe("PeerExtensions", () => {
  it("offers ids of its own and sends by the peer's", () => {
    const [a, b] = [new Recorder("a"), new Recorder("b")];
    const wired = new WiredPeer({
      incoming: true,
      prepare: (swarm) => {
        swarm.extensions = new ExtensionTable<PeerConnection>([a, b]);
      },
    });
    wired.feed(wired.handshake());
    assert.deepEqual(idsIn(wired.sent()), { a: 1, b: 2 });
    assert.equal(wired.peer.sendExtended("b", Buffer.from("early")), false, "nobody knows its id yet");
    wired.feed(extended(0, { m: { b: 77, c: 3 } }));
    assert.deepEqual([a.heard, b.heard], [[], ["handshake 77"]]);
    wired.feed(Buffer.concat([extended(2, "to b"), extended(1, "to a")]));
    assert.deepEqual([a.heard, b.heard], [["message to a"], ["handshake 77", "message to b"]]);
    assert.equal(wired.peer.sendExtended("b", Buffer.from("hello")), true);
    assert.equal(wired.peer.sendExtended("a", Buffer.from("hello")), false);
    const sent = entryOf(wired.sent(), 0);
    assert.deepEqual([sent.id, sent.body.toString("latin1")], [MessageId.extended, "\x4dhello"]);
    wired.peer.close();
    assert.equal(a.heard.at(-1), "closed");
    assert.equal(wired.peer.sendExtended("b", Buffer.from("late")), false);
  });

  it("hears what a later handshake changes, and what it turns off", () => {
    const [a, b] = [new Recorder("a"), new Recorder("b")];
    const wired = wire(a, b);
    wired.feed(extended(0, { m: { a: 5, b: 6 } }));
    wired.feed(extended(0, { m: { a: 9 } }));
    assert.equal(wired.peer.extendedIdOf("a"), 9);
    assert.equal(wired.peer.extendedIdOf("b"), 6, "what it does not name stays");
    wired.feed(extended(0, { m: { b: 0 } }));
    assert.equal(wired.peer.extendedIdOf("b"), 0);
    assert.equal(wired.peer.sendExtended("b", Buffer.from("x")), false);
    wired.feed(extended(0, { m: { b: 300, a: -1 } }));
    assert.deepEqual([wired.peer.extendedIdOf("a"), wired.peer.extendedIdOf("b")], [9, 0]);
    assert.deepEqual(b.heard, ["handshake 6", "handshake 6"]);
  });

  it("refuses a message longer than its kind may be before any of it is gathered", () => {
    for (const whole of [true, false]) {
      const a = new Recorder("a", 30);
      const wired = wire(a);
      wired.feed(extended(1, "x".repeat(30)), whole ? undefined : 1);
      assert.deepEqual(a.heard, ["message 30"]);
      const long = extended(1, "x".repeat(31));
      wired.feed(whole ? long : long.subarray(0, 6), whole ? undefined : 1);
      wired.checkOver("PEER_MESSAGE_TOO_LONG");
      assert.equal(wired.memory.messages.bytes, 0);
    }
  });

  it("skips messages of ids that were never offered, however long, and keeps none of their bytes", () => {
    const a = new Recorder("a");
    const wired = wire(a);
    const long = extended(2, "x".repeat(MIB - 10));
    wired.feed(long.subarray(0, 500_000));
    assert.equal(wired.memory.messages.bytes, 0);
    wired.feed(long.subarray(500_000));
    wired.feed(Buffer.concat([extended(255, "?"), extended(2, ""), extended(1, "heard")]), 1);
    assert.deepEqual(a.heard, ["message heard"]);
    assert.equal(wired.peer.state, "open");
  });

  it("gathers a long message that comes in parts", () => {
    const a = new Recorder("a", EXTENSION_BYTES_MAX);
    const wired = wire(a);
    for (const step of [1, 5, 6, 7, 1000]) wired.feed(extended(1, "x".repeat(20_000)), step);
    assert.deepEqual(a.heard, Array(5).fill("message 20000"));
  });

  it("ends the connection for what an extension does not accept", () => {
    const wired = wire(new Recorder("a"));
    wired.feed(extended(1, "bad"));
    wired.checkOver("PEER_MESSAGE_MALFORMED");
  });

  it("skips whatever a peer sends that does not speak the protocol", () => {
    const wired = new WiredPeer({ extended: false }).open();
    wired.feed(Buffer.concat([extended(0, { v: "sly" }), extended(1, "x".repeat(100_000))]));
    assert.equal(wired.peer.clientName, "");
    assert.equal(wired.peer.state, "open");
  });

  it("takes one more later, which hears all that was said, under a new id and in a new handshake", () => {
    const wired = wire(new Recorder("a"));
    wired.feed(extended(0, { m: { late: 8 } }));
    wired.feed(extended(0, { m: { other: 1 } }));
    wired.feed(extended(0, { m: { late: 4 } }));
    const late = new Recorder("late");
    wired.peer.useExtension(late);
    assert.deepEqual(late.heard, ["handshake 8", "handshake 8", "handshake 4"]);
    assert.deepEqual(idsIn(wired.sent()), { a: 1, late: 2 });
    assert.deepEqual(wired.sent(), [], "once");
    wired.feed(extended(2, "hi"));
    assert.equal(late.heard.at(-1), "message hi");
  });

  it("puts one in the place of another, whose id it takes", () => {
    const [first, second] = [new Recorder("a"), new Recorder("a")];
    const wired = wire(first);
    wired.feed(extended(0, { m: { a: 3 } }));
    wired.peer.useExtension(second);
    assert.deepEqual(idsIn(wired.sent()), { a: 1 });
    wired.feed(extended(1, "whose?"));
    assert.deepEqual([first.heard, second.heard], [["handshake 3"], ["handshake 3", "message whose?"]]);
  });

  it("keeps a few of the peer's handshakes for those that come later, however many there are", () => {
    const wired = wire();
    for (let round = 0; round < 50; round++) {
      wired.feed(extended(0, { m: { late: 1 + round }, v: "v".repeat(600) }));
      wired.pass(1000);
    }
    const late = new Recorder("late");
    wired.peer.useExtension(late);
    assert.ok(late.heard.length < 8, `${late.heard.length} handshakes`);
    assert.equal(late.heard.at(-1), "handshake 50");
  });

  it("reads no more of the peer's handshakes than there is time for: a long one is paid for by the next seconds", () => {
    const recorder = new Recorder("a");
    const wired = wire(recorder);
    const long = extended(0, { m: { a: 1 }, v: "v".repeat(10_000) });
    for (let second = 0; second < 20; second++) {
      wired.feed(Buffer.concat(Array.from({ length: 8 }, () => long)));
      wired.pass(1000);
    }
    // Of 10,000 bytes each, at 2 KiB a second.
    assert.ok(recorder.heard.length >= 3 && recorder.heard.length <= 5, `${recorder.heard.length} of 160`);
    wired.pass(10_000);
    const short = extended(0, { m: { a: 2 } });
    wired.feed(Buffer.concat([short, short, short]));
    assert.deepEqual(recorder.heard.slice(-3), ["handshake 2", "handshake 2", "handshake 2"]);
  });
});
