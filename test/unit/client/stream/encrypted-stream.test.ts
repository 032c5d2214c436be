// Message stream encryption over TCP: the contract of byte streams holds behind every kind of handshake, and handshakes end.

import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { describe, it } from "node:test";
import type { ByteStream, StreamHandler } from "../../../../src/client/stream/byte-stream.js";
import {
  EncryptedStream,
  type EncryptionRoom,
  type ExchangeQueue,
} from "../../../../src/client/stream/encrypted-stream.js";
import {
  CryptoMethod,
  EncryptionInitiator,
  EncryptionResponder,
  requestOf,
} from "../../../../src/client/stream/encryption-handshake.js";
import { KEY_BYTES, KeyExchange } from "../../../../src/client/stream/key-exchange.js";
import { openCipher, transform } from "../../../../src/client/stream/rc4.js";
import { READABLE } from "../../../../src/native/binding.js";
import type { Reactor } from "../../../../src/native/reactor.js";
import { bytesOf } from "../../../support/data.js";
import { required } from "../../../support/required.js";
import { type StreamWorld, testByteStreams } from "./contract.js";
import { makeTcpWorld } from "./tcp-world.js";

const INFO_HASH = Uint8Array.from(bytesOf(1, 20));
const { plaintext, rc4 } = CryptoMethod;
const fillRandom = (bytes: Uint8Array): void => void randomFillSync(bytes);
const BUFFER_AT = 1_700_000;

function initiator(methods: number, infoHash = INFO_HASH): EncryptionInitiator {
  return new EncryptionInitiator({ fillRandom, methods }, infoHash);
}

function responder(methods: number): EncryptionResponder {
  const known = new Map([[requestOf(INFO_HASH), INFO_HASH]]);
  return new EncryptionResponder({ fillRandom, methods }, (request) => known.get(request));
}

/** Whoever asks has its turn in the next microtask. */
const AT_ONCE: ExchangeQueue = { ask: (waiter) => queueMicrotask(() => waiter.exchange()), forget: () => {} };

function roomOf(reactor: Reactor): EncryptionRoom {
  const { engine, binding } = reactor;
  return {
    entries: engine.plan,
    bytes: engine.slab,
    bufferAddress: BUFFER_AT,
    bufferBytes: 65_536,
    eagain: binding.EAGAIN,
    rc4: (state, first, count, bytes, to) => engine.rc4(state, first, count, bytes, to),
    copy: (from, to, length) => engine.copy(from, to, length),
    atTurnEnd: (hook) => reactor.atTurnEnd(hook),
  };
}

for (const [name, methods] of [
  ["encrypted", rc4],
  ["in the clear behind the handshake", plaintext],
] as const) {
  describe(`byte streams over TCP, ${name}`, () => {
    testByteStreams(async () => {
      const { world, reactor } = await makeTcpWorld();
      const wrap = (inner: ByteStream, outgoing: boolean): EncryptedStream =>
        new EncryptedStream(inner, roomOf(reactor), {
          outgoing,
          takesPlain: false,
          begin: () => (outgoing ? initiator(methods) : responder(methods)),
          exchanges: AT_ONCE,
        });
      return {
        ...world,
        pair: async (): Promise<[ByteStream, ByteStream]> => {
          const [client, server] = await world.pair();
          return [wrap(client, true), wrap(server, false)];
        },
        refused: async () => wrap(await world.refused(), true),
      };
    });
  });
}

/** Lets two sides of a handshake talk until both are through, `step` bytes at a time at most. */
function talk(a: EncryptionInitiator, b: EncryptionResponder, step = 1_000_000): void {
  let [toA, toB] = [Buffer.alloc(0), Buffer.alloc(0)];
  for (let rounds = 0; rounds < 100_000; rounds++) {
    for (const side of [a, b]) if (side.awaitsExchange) side.exchange();
    toB = Buffer.concat([toB, a.take()]);
    toA = Buffer.concat([toA, b.take()]);
    const [forA, forB] = [Math.min(step, a.needed, toA.length), Math.min(step, b.needed, toB.length)];
    if (forA + forB === 0 && !a.awaitsExchange && !b.awaitsExchange) break;
    if (forA > 0) a.receive(toA.subarray(0, forA));
    if (forB > 0) b.receive(toB.subarray(0, forB));
    [toA, toB] = [toA.subarray(forA), toB.subarray(forB)];
  }
  assert.equal(toA.length + toB.length, 0, "nothing is left over");
}

describe("the encryption handshake", () => {
  it("ends with the same ciphers on both sides, however it is cut", () => {
    for (const step of [1, 7, 96, 1_000_000]) {
      const [a, b] = [initiator(plaintext | rc4), responder(rc4)];
      talk(a, b, step);
      assert.deepEqual(required(a.link, "link").sending, required(b.link, "link").receiving);
      assert.deepEqual(required(a.link, "link").receiving, required(b.link, "link").sending);
      assert.notDeepEqual(required(a.link, "link").sending, required(a.link, "link").receiving);
      assert.equal(required(b.link, "link").first.length, 0);
    }
  });

  it("selects what both sides take, plaintext if that is left to choose", () => {
    const selected = (provided: number, accepted: number): boolean | "none" => {
      const [a, b] = [initiator(provided), responder(accepted)];
      try {
        talk(a, b);
      } catch (error) {
        assert.equal((error as { code: string }).code, "PEER_ENCRYPTION");
        return "none";
      }
      assert.equal(
        required(a.link, "link").sending === undefined,
        required(b.link, "link").sending === undefined,
      );
      return required(a.link, "link").sending !== undefined;
    };
    assert.equal(selected(plaintext | rc4, plaintext | rc4), false);
    assert.equal(selected(rc4, plaintext | rc4), true);
    assert.equal(selected(plaintext | rc4, rc4), true);
    assert.equal(selected(plaintext, rc4), "none");
    assert.equal(selected(rc4, plaintext), "none");
  });

  it("is refused for a torrent that is not there", () => {
    const [a, b] = [initiator(rc4, new Uint8Array(20)), responder(rc4)];
    assert.throws(() => talk(a, b), { code: "PEER_UNKNOWN_INFO_HASH" });
  });

  it("has an end: random bytes that never become a handshake are too many at some point", () => {
    for (const make of [() => initiator(rc4), () => responder(rc4)]) {
      const handshake = make();
      let received = 0;
      assert.throws(() => {
        for (; received < 10_000; received++) {
          if (handshake.awaitsExchange) handshake.exchange();
          handshake.receive(Uint8Array.of((received * 7) & 255));
        }
      });
      assert.ok(received < KEY_BYTES + 512 + 20, `${received} bytes`);
    }
  });

  it("makes no keys for a key that is none", () => {
    for (const [value, byte] of [
      [0, 0],
      [0, 1],
      [255, 255],
    ] as const) {
      const key = new Uint8Array(KEY_BYTES).fill(value);
      key[KEY_BYTES - 1] = byte;
      const handshake = responder(rc4);
      assert.throws(() => handshake.receive(key), { code: "PEER_ENCRYPTION" });
      assert.equal(handshake.awaitsExchange, false);
    }
  });

  it("refuses public keys that give the secret away", () => {
    const ours = new KeyExchange(randomFillSync);
    assert.equal(ours.publicKey.length, KEY_BYTES);
    for (const value of [0, 1]) {
      const key = new Uint8Array(KEY_BYTES);
      key[KEY_BYTES - 1] = value;
      assert.equal(ours.secretWith(key), undefined);
    }
    assert.equal(ours.secretWith(new Uint8Array(KEY_BYTES).fill(0xff)), undefined);
    for (let round = 0; round < 50; round++) {
      const theirs = new KeyExchange(randomFillSync);
      const secret = required(ours.secretWith(theirs.publicKey), "secret");
      assert.equal(secret.length, KEY_BYTES);
      assert.deepEqual(secret, theirs.secretWith(ours.publicKey));
    }
  });
});

describe("a stream whose handshake ended in plaintext", () => {
  it("says what is left of the handshake before anything else", async () => {
    const { world, reactor } = await makeTcpWorld();
    const [near, far] = await world.pair();
    // The stream below takes nothing of the answer at first.
    let isFull = false;
    const narrow = new Proxy(near, {
      get: (target, name) => {
        if (name === "drain" && isFull) return () => reactor.binding.EAGAIN;
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
    const stream = new EncryptedStream(narrow, roomOf(reactor), {
      outgoing: false,
      takesPlain: false,
      begin: () => responder(plaintext),
      exchanges: AT_ONCE,
    });
    stream.open({ socketReady: () => {} }, READABLE);
    far.open({ socketReady: () => {} }, READABLE);
    const handshake = initiator(plaintext);
    const { slab, plan } = world;
    const talkOnce = (): void => {
      if (handshake.awaitsExchange) handshake.exchange();
      const said = handshake.take();
      slab.set(said, 0);
      plan.set([0, said.length]);
      if (said.length > 0) far.drain(0, 1, false);
      plan.set([100_000, Math.max(1, handshake.needed)]);
      const got = far.fill(0, 1);
      if (got > 0) handshake.receive(Uint8Array.from(slab.subarray(100_000, 100_000 + got)));
    };
    await world.until(() => {
      talkOnce();
      // Its key has come: what it says next is the end of the handshake.
      isFull = handshake.needed > 0 && handshake.needed !== KEY_BYTES;
      return isFull;
    }, "the keys are exchanged");
    const text = bytesOf(9, 1000);
    await world.until(() => {
      talkOnce();
      slab.set(text, 0);
      plan.set([0, text.length]);
      const asked = stream.drain(0, 1, false);
      assert.ok(asked < 0, "nothing is sent past what waits");
      return stream.unacknowledgedBytes() > 0;
    }, "the answer waits");
    isFull = false;
    let sent = 0;
    await world.until(() => {
      slab.set(text, 0);
      plan.set([0, text.length]);
      if (sent <= 0) sent = stream.drain(0, 1, false);
      if (handshake.link === undefined) talkOnce();
      return handshake.link !== undefined && sent === text.length;
    }, "the handshake is through");
    let received = Buffer.alloc(0);
    await world.until(() => {
      plan.set([100_000, 2000]);
      const got = far.fill(0, 1);
      if (got > 0) received = Buffer.concat([received, slab.subarray(100_000, 100_000 + got)]);
      return received.length >= text.length;
    }, "the text arrives");
    assert.ok(received.equals(text));
    stream.close();
    far.close();
    await world.close();
  });
});

/** Reads all that comes. Where it `follows`, it uses the stream below in the place of one that stands aside, as a connection does. */
class Reader implements StreamHandler {
  current: ByteStream;
  heard = "";
  offers = 0;
  readonly #world: StreamWorld;
  readonly #follows: boolean;

  constructor(world: StreamWorld, stream: ByteStream, follows: boolean) {
    this.#world = world;
    this.#follows = follows;
    this.current = stream;
    assert.equal(stream.open(this, READABLE), 0);
  }

  socketReady(): void {
    const { plan, slab } = this.#world;
    plan.set([100_000, 1000]);
    const got = this.current.fill(0, 1);
    if (got > 0) this.heard += Buffer.from(slab.subarray(100_000, 100_000 + got)).toString("latin1");
  }

  standsAside(stream: ByteStream, below: ByteStream): boolean {
    assert.equal(stream, this.current, "who stands aside is who was asked");
    this.offers++;
    if (!this.#follows) return false;
    this.current = below;
    below.tell?.(this);
    return true;
  }
}

describe("a stream that turns out to be in the clear", () => {
  const greeting = "\x13BitTorrent protocol, and so on";
  for (const follows of [true, false])
    it(`${follows ? "stands aside" : "goes on"} once what it had read is taken, and all arrives`, async () => {
      const { world, reactor } = await makeTcpWorld();
      const [client, server] = await world.pair();
      const begin = (): never => assert.fail("there is no handshake");
      const options = { outgoing: false, takesPlain: true, begin, exchanges: AT_ONCE };
      const stream = new EncryptedStream(server, roomOf(reactor), options);
      client.open({ socketReady: () => {} }, 0);
      const reader = new Reader(world, stream, follows);
      const say = async (text: string): Promise<void> => {
        world.slab.set(Buffer.from(text, "latin1"), 0);
        world.plan.set([0, text.length]);
        reader.heard = "";
        assert.equal(client.drain(0, 1, false), text.length);
        await world.until(() => reader.heard === text, "it is heard");
      };
      await say(greeting);
      await world.until(() => reader.offers > 0, "it offers to stand aside");
      assert.equal(reader.current, follows ? server : stream);
      await say("more");
      reader.current.close();
      client.close();
      await world.close();
    });
});

describe("RC4", () => {
  it("is what RFC 6229 says, and the same in native code, in place and on the way elsewhere", async () => {
    // The stream of the key 0102030405 from its byte 1024 on.
    const key = Uint8Array.of(1, 2, 3, 4, 5);
    const stream = new Uint8Array(16);
    transform(openCipher(key), stream);
    assert.equal(Buffer.from(stream).toString("hex"), "30abbcc7c20b01609f23ee2d5f6bb7df");
    const { world, reactor } = await makeTcpWorld();
    const { engine } = reactor;
    const [expected, state, native] = [bytesOf(3, 5000), openCipher(key), openCipher(key)];
    engine.slab.set(expected, 100);
    transform(state, expected);
    engine.plan.set([100, 1, 101, 2000, 2101, 2999]);
    assert.equal(engine.rc4(native, 0, 3, 5000, 20_000), 5000);
    assert.deepEqual(Buffer.from(engine.slab.subarray(20_000, 25_000)), Buffer.from(expected));
    assert.deepEqual(native, state);
    const [again, nativeAgain] = [openCipher(key), openCipher(key)];
    assert.equal(engine.rc4(nativeAgain, 0, 3, 4000, -1), 4000);
    transform(again, new Uint8Array(4000));
    assert.deepEqual(nativeAgain, again);
    assert.deepEqual(Buffer.from(engine.slab.subarray(100, 4100)), Buffer.from(expected.subarray(0, 4000)));
    assert.throws(() => engine.rc4(new Uint8Array(257), 0, 1, 1, -1), TypeError);
    assert.throws(() => engine.rc4(native, 0, 3, 5000, engine.slab.length - 4999), RangeError);
    await world.close();
  });
});
