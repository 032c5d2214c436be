// What is remembered of networks whose connections are over.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import type { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import { NETWORKS_MAX, PastUploads } from "../../../../src/client/torrent/past-uploads.js";
import { UploadRounds } from "../../../../src/client/torrent/upload-rounds.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { message, WiredPeer } from "../peer/wired-peer.js";

const ENDED = { sentBytes: 100, servedMs: 5000, lapsed: false, flooded: false };
const HOST = "192.0.2.1";

function interestedPeer(host: string): WiredPeer {
  const wired = new WiredPeer({ host, incoming: true, prepare: (swarm) => swarm.have.fill() }).open();
  wired.feed(message(MessageId.interested));
  return wired;
}

function peersOf(wired: readonly WiredPeer[]): Set<PeerConnection> {
  return new Set(wired.map(({ peer }) => peer));
}

describe("PastUploads", () => {
  it("adds up what connections of a network were sent, and knows when it was served last", () => {
    const past = new PastUploads();
    assert.deepEqual([past.sentBytes(HOST), past.servedMs(HOST)], [0, undefined]);
    past.left(HOST, ENDED, 6000);
    past.left(HOST, { ...ENDED, servedMs: undefined }, 7000);
    assert.deepEqual([past.sentBytes(HOST), past.servedMs(HOST)], [200, 5000]);
    past.left("2001:db8::1", ENDED, 6000);
    assert.equal(past.sentBytes("2001:db8::2"), 100);
  });

  it("holds a slot that was used for nothing against a network for ten minutes, or until one of it was used", () => {
    const past = new PastUploads();
    const lapsed = { ...ENDED, sentBytes: 0, lapsed: true };
    past.left(HOST, lapsed, 6000);
    assert.equal(past.hasLapsed(HOST, 6000 + 599_999), true);
    assert.equal(past.hasLapsed(HOST, 6000 + 600_000), false);
    past.left(HOST, { ...ENDED, servedMs: undefined }, 7000);
    assert.equal(past.hasLapsed(HOST, 7000), true, "it had no slot this time");
    past.left(HOST, ENDED, 7000);
    assert.equal(past.hasLapsed(HOST, 7000), false);
  });

  it("holds a flood of requests against a network as long, whether it was served or not", () => {
    const past = new PastUploads();
    past.left(HOST, { ...ENDED, flooded: true }, 6000);
    past.left("192.0.2.2", { ...ENDED, sentBytes: 0, servedMs: undefined, flooded: true }, 6000);
    for (const host of [HOST, "192.0.2.2"]) {
      assert.equal(past.hasLapsed(host, 6000 + 599_999), true);
      assert.equal(past.hasLapsed(host, 6000 + 600_000), false);
    }
  });

  it("remembers nothing of whoever was neither sent anything nor served, nor of this machine", () => {
    const past = new PastUploads();
    past.left(HOST, { ...ENDED, sentBytes: 0, servedMs: undefined }, 0);
    past.left("127.0.0.1", ENDED, 0);
    assert.equal(past.size, 0);
  });

  it("forgets the network that nobody left for the longest time, where there are too many", () => {
    const past = new PastUploads();
    for (let network = 0; network < NETWORKS_MAX; network++)
      past.left(`10.1.${network >> 8}.${network & 255}`, ENDED, 0);
    past.left("10.1.0.0", ENDED, 0);
    past.left(HOST, ENDED, 0);
    assert.equal(past.size, NETWORKS_MAX);
    assert.deepEqual([past.sentBytes("10.1.0.0"), past.sentBytes("10.1.0.1")], [200, 0]);
  });
});

describe("UploadRounds: whoever comes again", () => {
  it("who had a slot for nothing, left and comes again waits behind those that had none", () => {
    const rounds = new UploadRounds(1);
    const idle = interestedPeer("192.0.2.7");
    rounds.run(peersOf([idle]), true, 0, false);
    assert.equal(idle.peer.amChoking, false);
    idle.peer.close();
    rounds.peerGone(idle.peer);
    const again = interestedPeer("192.0.2.7");
    const [neighbour, newcomer] = [interestedPeer("192.0.2.8"), interestedPeer("192.0.2.9")];
    rounds.run(peersOf([again, neighbour, newcomer]), true, 10, true);
    assert.deepEqual([again.peer.amChoking, neighbour.peer.amChoking], [true, false]);
    neighbour.peer.close();
    rounds.peerGone(neighbour.peer);
    rounds.run(peersOf([again, newcomer]), true, 20, true);
    assert.deepEqual([again.peer.amChoking, newcomer.peer.amChoking], [true, false]);
  });

  for (const isServed of [true, false])
    it(`who asked for more than anybody may waits behind those that did not, ${isServed ? "served" : "choked"} when it did`, () => {
      const rounds = new UploadRounds(1);
      const flooder = interestedPeer("192.0.2.7");
      if (isServed) rounds.run(peersOf([flooder]), true, 0, false);
      for (let request = 0; request < 4096 && flooder.peer.state === "open"; request++)
        flooder.feed(message(MessageId.request, 0, 0, BLOCK_SIZE));
      assert.equal(flooder.closedWith?.code, "PEER_REQUEST_FLOOD");
      rounds.peerGone(flooder.peer);
      const [again, newcomer] = [interestedPeer("192.0.2.7"), interestedPeer("192.0.2.8")];
      rounds.run(peersOf([again, newcomer]), true, 10, true);
      assert.deepEqual([again.peer.amChoking, newcomer.peer.amChoking], [true, false]);
    });

  it("who was served, left and comes again is no newcomer", () => {
    const rounds = new UploadRounds(1);
    const served = interestedPeer("192.0.2.7");
    rounds.run(peersOf([served]), true, 0, false);
    served.feed(message(MessageId.request, 0, 0, BLOCK_SIZE));
    served.sent();
    assert.ok(served.peer.uploads.uptake.sentSinceUnchokeBytes > 0);
    served.peer.close();
    rounds.peerGone(served.peer);
    const [again, newcomer] = [interestedPeer("192.0.2.7"), interestedPeer("192.0.2.8")];
    rounds.run(peersOf([again, newcomer]), true, 10, true);
    assert.deepEqual([again.peer.amChoking, newcomer.peer.amChoking], [true, false]);
  });
});
