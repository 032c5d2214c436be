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
  const slab = new Uint8Array(OURS_AT + MIB);
  const network = new MemoryNetwork({ slab, plan: new Float64Array(2 * PLAN_ENTRIES_MAX) });
  const memory = new Memory(slab.subarray(0, OURS_AT));
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
    directory: { findSwarm: () => swarm, peerId: OUR_ID, listenPort: 0 },
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

describe("StreamPump: a peer that floods us with small messages", () => {
  const FLAP = Buffer.concat([message(MessageId.notInterested), message(MessageId.interested)]);

  it("is not heard in the next turns, and is heard again", () => {
    const { network, peer, say } = world();
    say(Buffer.concat(Array.from({ length: 6000 }, () => FLAP)));
    network.turn();
    const heard = peer.counters.receivedBytes;
    assert.ok(heard > 10_000);
    say(message(MessageId.notInterested));
    network.turn();
    assert.equal(peer.counters.receivedBytes, heard, "others have a turn");
    assert.equal(peer.peerInterested, true);
    for (let turns = 0; turns < 20; turns++) network.turn();
    assert.equal(peer.peerInterested, false);
    peer.close();
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
