import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type KnownPeer, PeerList } from "../../../../src/client/torrent/peer-list.js";

function due(list: PeerList, nowMs: number): KnownPeer[] {
  const peers: KnownPeer[] = [];
  list.forEachDue(nowMs, (peer) => peers.push(peer));
  return peers;
}

describe("PeerList", () => {
  it("an address is due at once, and once however often it is added", () => {
    const list = new PeerList();
    const peer = list.add("10.0.0.1", 6881);
    assert.equal(list.add("10.0.0.1", 6881), peer);
    assert.equal(list.find("10.0.0.1", 6881), peer);
    assert.equal(list.find("10.0.0.1", 6882), undefined);
    assert.deepEqual(due(list, 0), [peer]);
  });

  it("one that is being connected is not due", () => {
    const list = new PeerList();
    list.add("10.0.0.1", 6881).state = "connecting";
    assert.deepEqual(due(list, 1e9), []);
    assert.equal(list.isExhausted, false);
  });

  it("pauses twice as long after each failure in a row, and gives up after five", () => {
    const list = new PeerList();
    const peer = list.add("10.0.0.1", 6881);
    let nowMs = 5000;
    for (const pauseMs of [1000, 2000, 4000, 8000]) {
      list.ended(peer, false, nowMs);
      assert.deepEqual(due(list, nowMs + pauseMs - 1), []);
      assert.deepEqual(due(list, nowMs + pauseMs), [peer]);
      nowMs += pauseMs;
    }
    assert.equal(list.isExhausted, false);
    list.ended(peer, false, nowMs);
    assert.equal(peer.state, "given-up");
    assert.deepEqual(due(list, nowMs + 1e9), []);
    assert.equal(list.isExhausted, true);
  });

  it("a connection that carried blocks wipes out the failures before it", () => {
    const list = new PeerList();
    const peer = list.add("10.0.0.1", 6881);
    for (let round = 0; round < 20; round++) {
      list.ended(peer, false, 0);
      list.ended(peer, true, 0);
    }
    assert.equal(peer.state, "idle");
    assert.deepEqual(due(list, 1000), [peer]);
  });

  it("an address that was given up has another chance when somebody names it again", () => {
    const list = new PeerList();
    const peer = list.add("10.0.0.1", 6881);
    list.giveUp(peer);
    assert.equal(list.isExhausted, true);
    assert.equal(list.add("10.0.0.1", 6881), peer);
    assert.deepEqual([peer.state, peer.failures], ["idle", 0]);
    assert.deepEqual(due(list, 0), [peer]);
  });

  it("no address at all is exhausted", () => {
    assert.equal(new PeerList().isExhausted, true);
  });
});
