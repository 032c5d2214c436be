// The pump over a stream in memory: a peer that does not read is not heard, and is heard again when it has read; how many calls blocks take;
// and nobody is left out because others have said all that a turn has time for.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB, MIB, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import type { ReceiveModeName } from "../../../../src/client/receive/receive-mode.js";
import { ReceivePlan } from "../../../../src/client/receive/receive-plan.js";
import type { ByteStream } from "../../../../src/client/stream/byte-stream.js";
import { EncryptedStream, type EncryptionRoom } from "../../../../src/client/stream/encrypted-stream.js";
import { StreamPump } from "../../../../src/client/stream/stream-pump.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { TurnLoad } from "../../../../src/native/turn-load.js";
import { EAGAIN, MemoryNetwork, type MemoryStream, WRITABLE } from "../../../support/memory-network.js";
import { entryOf } from "../../../support/required.js";
import {
  BookSwarm,
  INFO_HASH,
  message,
  OUR_ID,
  PEER_ID,
  pieceMessage,
  SETTINGS,
} from "../peer/wired-peer.js";

/** Memory of the test's own end, behind what the session divides. */
const OURS_AT = 2 * MIB;

interface World {
  readonly network: MemoryNetwork;
  readonly swarm: BookSwarm;
  readonly peer: PeerConnection;
  readonly far: MemoryStream;
  say(bytes: Uint8Array): void;
  /** The far end receives all that is there. */
  read(): number;
}

function world(options?: JoinOptions): World {
  const { network, memory } = makeNetwork();
  return join(network, memory, options);
}

/** Peers in one loop. */
function worlds(count: number, load?: TurnLoad): World[] {
  const { network, memory } = makeNetwork(load);
  return Array.from({ length: count }, () => join(network, memory));
}

function makeNetwork(load?: TurnLoad): { network: MemoryNetwork; memory: Memory } {
  const slab = new Uint8Array(OURS_AT + MIB);
  const plan = new Float64Array(2 * PLAN_ENTRIES_MAX);
  const network = new MemoryNetwork(load === undefined ? { slab, plan } : { slab, plan, load });
  return { network, memory: new Memory(slab.subarray(0, OURS_AT)) };
}

interface JoinOptions {
  readonly mode?: ReceiveModeName;
  /** What is between the pump and the network. */
  readonly wrap?: (near: ByteStream) => ByteStream;
}

function join(network: MemoryNetwork, memory: Memory, options: JoinOptions = {}): World {
  const world = begin(network, memory, options);
  for (let turns = 0; turns < 5; turns++) network.turn();
  assert.equal(world.peer.state, "open");
  return world;
}

/** It has sent its handshake. */
function begin(network: MemoryNetwork, memory: Memory, options: JoinOptions): World {
  const { mode = "adaptive", wrap } = options;
  const { slab } = network;
  const [far, near] = network.pair();
  const stream = wrap?.(near) ?? near;
  const pump = new StreamPump({ turns: network, memory, stream, connecting: false, eagain: EAGAIN });
  const swarm = new BookSwarm(memory);
  const peer = new PeerConnection({
    host: "127.0.0.9",
    port: 4000,
    incoming: true,
    transport: pump,
    memory,
    plan: new ReceivePlan(network.plan),
    clock: network,
    directory: { findSwarm: () => swarm, peerId: OUR_ID, listenPortFor: () => 0 },
    settings: { ...SETTINGS, receiveMode: { name: mode, depth: 16, contiguousWhenIdle: false } },
  });
  pump.start(peer);
  far.open({ socketReady: () => far.watch(0) }, WRITABLE);
  network.turn();
  assert.equal(far.established(), 0);
  const say = (bytes: Uint8Array): void => {
    slab.set(bytes, OURS_AT);
    network.plan.set([OURS_AT, bytes.length]);
    assert.equal(far.drain(0, 1, false), bytes.length);
  };
  const read = (): number => {
    network.plan.set([OURS_AT, MIB]);
    return Math.max(0, far.fill(0, 1));
  };
  const handshake = Buffer.alloc(68);
  encodeHandshake(handshake, 0, { infoHash: INFO_HASH, peerId: PEER_ID });
  say(handshake);
  return { network, swarm, peer, far, say, read };
}

/** Haves until so many bytes wait. */
function announce(peer: PeerConnection, bytes: number): void {
  for (let count = 0; count * 9 < bytes; count++) peer.write.have(1);
}

describe("StreamPump: a peer that does not read", () => {
  it("is not heard while much waits for it, and is heard again when it has read", () => {
    const { network, peer, say, read } = world();
    announce(peer, 400 * KIB);
    network.turn();
    const heard = peer.counters.receivedBytes;
    say(message(MessageId.interested));
    for (let turns = 0; turns < 5; turns++) network.turn();
    assert.equal(peer.counters.receivedBytes, heard);
    assert.equal(peer.peerInterested, false);
    let taken = 0;
    for (let turns = 0; turns < 20; turns++) {
      taken += read();
      network.turn();
    }
    assert.ok(taken > 400 * KIB);
    assert.equal(peer.peerInterested, true);
    peer.close();
  });

  it("is let go when more waits for it than anybody may be owed", () => {
    const { network, peer } = world();
    announce(peer, MIB + 100 * KIB);
    assert.equal(peer.state, "open");
    network.turn();
    assert.equal(peer.state, "closed");
  });
});

/** 16,384, and what the last one heard has in a call. */
const MESSAGES_PER_TURN_MAX = 17_500;

describe("StreamPump: a peer that floods us with small messages", () => {
  const FLAP = Buffer.concat([message(MessageId.notInterested), message(MessageId.interested)]);

  it("is heard a part at a time, and in the end", () => {
    const { network, peer, say } = world();
    say(Buffer.concat(Array.from({ length: 6000 }, () => FLAP)));
    say(message(MessageId.notInterested));
    network.turn();
    const heard = peer.receiver.messages;
    assert.ok(heard > 1000 && heard < 6000, `${heard} messages`);
    for (let turns = 0; turns < 20; turns++) network.turn();
    assert.equal(peer.peerInterested, false);
    peer.close();
  });

  it("takes, with all others that do, no more than a turn has for messages, and each is heard in its turn", () => {
    const peers = worlds(40);
    const { network } = entryOf(peers, 0);
    const flood = Buffer.concat(Array.from({ length: 3000 }, () => FLAP));
    for (const { say } of peers) say(flood);
    const before = peers.map(({ peer }) => peer.receiver.messages);
    const heardOf = (index: number): number =>
      entryOf(peers, index).peer.receiver.messages - entryOf(before, index);
    let sum = 0;
    for (let turns = 0; turns < 6; turns++) {
      network.turn();
      const now = peers.reduce((total, _, index) => total + heardOf(index), 0);
      assert.ok(now - sum <= MESSAGES_PER_TURN_MAX, `${now - sum} messages in a turn`);
      sum = now;
    }
    for (const index of peers.keys()) assert.ok(heardOf(index) > 0, `peer ${index} was heard`);
    for (let turns = 0; turns < 300; turns++) network.turn();
    for (const { peer } of peers) {
      assert.equal(peer.counters.receivedBytes, flood.length + 68);
      peer.close();
    }
  });

  it("is no peer that has a hundred of them at a time", () => {
    const { network, peer, say } = world();
    for (let turns = 0; turns < 20; turns++) {
      const heard = peer.counters.receivedBytes;
      say(Buffer.concat(Array.from({ length: 100 }, () => FLAP)));
      network.turn();
      assert.equal(peer.counters.receivedBytes - heard, 100 * FLAP.length);
    }
    peer.close();
  });
});

describe("StreamPump: many that talk beside one that brings blocks", () => {
  it("have a part of each turn, and it is heard in all of them", () => {
    // What each of them says takes half a millisecond.
    let heardTotal = 0;
    const peers = worlds(40, new TurnLoad(() => 1000 + heardTotal / 2));
    const first = entryOf(peers, 0);
    const { network, peer, swarm, say } = first;
    const talkers = peers.slice(1);
    const heardBefore = talkers.map(({ peer }) => peer.receiver.messages);
    const heard = (): number[] =>
      talkers.map(({ peer }, index) => peer.receiver.messages - entryOf(heardBefore, index));
    say(Buffer.concat([message(MessageId.haveAll), message(MessageId.unchoke)]));
    for (let turns = 0; turns < 5; turns++) network.turn();
    const answer = (): void => {
      const { expected } = peer;
      say(pieceMessage(expected.pieceAt(0), expected.beginAt(0), expected.lengthAt(0)));
      network.turn();
    };
    answer();
    for (const [index, talker] of talkers.entries()) {
      const { receiver } = talker.peer;
      let { messages } = receiver;
      // The clock goes on with each message that is handled.
      Object.defineProperty(receiver, "messages", {
        get: () => messages,
        set: (count: number) => {
          heardTotal += count - messages;
          messages = count;
        },
      });
      talker.say(message(index % 2 === 0 ? MessageId.interested : MessageId.notInterested));
    }
    let turns = 0;
    for (let before = 0; before < talkers.length; turns++) {
      const blocks = swarm.received.size;
      answer();
      assert.equal(swarm.received.size, blocks + 1, "a block in each turn");
      const now = heard().reduce((sum, count) => sum + count, 0);
      assert.ok(now > before && now - before <= 5, `${now - before} were heard`);
      before = now;
    }
    assert.ok(turns > 5);
    assert.deepEqual(new Set(heard()), new Set([1]));
    for (const { peer } of peers) peer.close();
  });
});

describe("StreamPump: calls that blocks take", () => {
  /** The oldest blocks that we asked for, as many at a time as the network holds. */
  const answer = ({ network, peer, say }: World, count: number): void => {
    const { expected } = peer;
    const blocks = Array.from({ length: count }, (_, index) =>
      pieceMessage(expected.pieceAt(index), expected.beginAt(index), expected.lengthAt(index)),
    );
    say(Buffer.concat(blocks));
    network.turn();
  };
  const TOGETHER = 3;
  const ROUNDS = 7;

  for (const [mode, calls] of [
    ["scatter", 2 * TOGETHER],
    ["contiguous", 1],
    ["speculative", 1],
    ["adaptive", 1],
  ] as const)
    it(`are ${calls} for ${TOGETHER} blocks that wait together, in mode "${mode}"`, () => {
      const there = world({ mode });
      const { network, swarm, peer, say } = there;
      say(Buffer.concat([message(MessageId.haveAll), message(MessageId.unchoke)]));
      for (let turns = 0; turns < 5; turns++) network.turn();
      // Until a block has come, little is read at a time.
      answer(there, 1);
      assert.equal(swarm.received.size, 1);
      const { receiveCalls, receiveWouldBlocks } = peer.counters;
      for (let round = 0; round < ROUNDS; round++) answer(there, TOGETHER);
      assert.equal(swarm.received.size, 1 + ROUNDS * TOGETHER);
      const empty = peer.counters.receiveWouldBlocks - receiveWouldBlocks;
      assert.equal(peer.counters.receiveCalls - receiveCalls - empty, ROUNDS * calls);
      peer.close();
    });
});

describe("StreamPump: the end of a turn that has no time for more messages", () => {
  it("hears what a stream told of only then, which nobody tells of again", () => {
    const { network, memory } = makeNetwork();
    let asked = 0;
    const room: EncryptionRoom = {
      entries: network.plan,
      bytes: network.slab,
      bufferAddress: OURS_AT + MIB / 2,
      bufferBytes: 64 * KIB,
      eagain: EAGAIN,
      rc4: () => assert.fail("nothing is encrypted"),
      copy: () => assert.fail("nothing is mapped"),
      atTurnEnd: (hook) => {
        // A stream that asked for the end of the turn whenever it comes would never let it end.
        assert.ok(++asked < 100, "the turn ends");
        network.atTurnEnd(hook);
      },
    };
    // Told first in each turn, it takes all the time that there is for messages.
    const [chatty] = network.pair();
    chatty.open({ socketReady: () => network.load.heard(0, 20_000, false, true) }, WRITABLE);
    // Who may be encrypted is told by the first bytes, which wait in the stream when they are not.
    const wrap = (near: ByteStream): ByteStream =>
      new EncryptedStream(near, room, {
        outgoing: false,
        takesPlain: true,
        begin: () => assert.fail("nothing is encrypted"),
        exchanges: { ask: () => assert.fail("no keys are made"), forget: () => {} },
      });
    const { peer } = join(network, memory, { wrap });
    assert.ok(asked > 0);
    peer.close();
  });

  it("hears that a stream has failed, of which nobody tells again", () => {
    const { network, memory } = makeNetwork();
    const room: EncryptionRoom = {
      entries: network.plan,
      bytes: network.slab,
      bufferAddress: OURS_AT + MIB / 2,
      bufferBytes: 64 * KIB,
      eagain: EAGAIN,
      rc4: () => assert.fail("nothing is encrypted"),
      copy: () => assert.fail("nothing is mapped"),
      atTurnEnd: (hook) => network.atTurnEnd(hook),
    };
    const [chatty] = network.pair();
    chatty.open({ socketReady: () => network.load.heard(0, 20_000, false, true) }, WRITABLE);
    const wrap = (near: ByteStream): ByteStream =>
      new EncryptedStream(near, room, {
        outgoing: false,
        takesPlain: false,
        begin: () => assert.fail("nothing is encrypted"),
        exchanges: { ask: () => assert.fail("no keys are made"), forget: () => {} },
      });
    const { peer } = begin(network, memory, { wrap });
    for (let turns = 0; turns < 5; turns++) network.turn();
    assert.equal(peer.state, "closed");
  });
});
