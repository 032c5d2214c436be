// The pump over a stream in memory: a peer that does not read is not heard, and is heard again when it has read.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KIB, MIB, PLAN_ENTRIES_MAX } from "../../../../src/base/limits.js";
import { Memory } from "../../../../src/client/memory/memory.js";
import { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import { ReceivePlan } from "../../../../src/client/receive/receive-plan.js";
import { StreamPump } from "../../../../src/client/stream/stream-pump.js";
import { encodeHandshake } from "../../../../src/client/wire/handshake.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { EAGAIN, MemoryNetwork, type MemoryStream, WRITABLE } from "../../../support/memory-network.js";
import { BookSwarm, INFO_HASH, message, OUR_ID, PEER_ID, SETTINGS } from "../peer/wired-peer.js";

/** Memory of the test's own end, behind what the session divides. */
const OURS_AT = 2 * MIB;

interface World {
  readonly network: MemoryNetwork;
  readonly peer: PeerConnection;
  readonly far: MemoryStream;
  say(bytes: Uint8Array): void;
  /** The far end receives all that is there. */
  read(): number;
}

function world(): World {
  return worlds(1)[0]!;
}

/** Peers in one loop. */
function worlds(count: number): World[] {
  const slab = new Uint8Array(OURS_AT + MIB);
  const network = new MemoryNetwork({ slab, plan: new Float64Array(2 * PLAN_ENTRIES_MAX) });
  const memory = new Memory(slab.subarray(0, OURS_AT));
  return Array.from({ length: count }, () => join(network, memory));
}

function join(network: MemoryNetwork, memory: Memory): World {
  const { slab } = network;
  const [far, near] = network.pair();
  const pump = new StreamPump({ turns: network, memory, stream: near, connecting: false, eagain: EAGAIN });
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
    settings: SETTINGS,
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
  for (let turns = 0; turns < 5; turns++) network.turn();
  assert.equal(peer.state, "open");
  return { network, peer, far, say, read };
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
    const { network } = peers[0]!;
    const flood = Buffer.concat(Array.from({ length: 3000 }, () => FLAP));
    for (const { say } of peers) say(flood);
    const before = peers.map(({ peer }) => peer.receiver.messages);
    const heardOf = (index: number): number => peers[index]!.peer.receiver.messages - before[index]!;
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
