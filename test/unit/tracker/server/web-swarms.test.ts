// Signalling between WebTorrent peers, without sockets: who is told what, and what is bounded.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import { Admission, type AdmissionRules } from "../../../../src/tracker/server/admission.js";
import {
  OFFERS_MAX,
  SDP_LENGTH_MAX,
  WEB_SWARM_LIMITS,
  type WebPeer,
  type WebSwarmLimits,
  WebSwarms,
} from "../../../../src/tracker/server/web-swarms.js";
import { check } from "../../../support/property.js";
import { entryOf } from "../../../support/required.js";

const HASH = "h".repeat(20);
const id = (letter: string): string => letter.repeat(20);

class Peer implements WebPeer {
  readonly heard: Record<string, unknown>[] = [];
  readonly network: string;
  constructor(network = "10.0.0.1") {
    this.network = network;
  }
  send(message: string): void {
    this.heard.push(JSON.parse(message) as Record<string, unknown>);
  }
  take(): Record<string, unknown>[] {
    return this.heard.splice(0);
  }
}

function make(limits: Partial<WebSwarmLimits> = {}, rules: AdmissionRules = {}): WebSwarms {
  const store = new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax: 2 ** 20 });
  return new WebSwarms(store, new Admission(store, rules), { ...WEB_SWARM_LIMITS, ...limits }, () => 0);
}

function announce(swarms: WebSwarms, peer: WebPeer, letter: string, more: object = {}, hash = HASH): boolean {
  const fields = { action: "announce", info_hash: hash, peer_id: id(letter), left: 1, ...more };
  return swarms.receive(peer, JSON.stringify(fields));
}

const offer = (name: string): object => ({ offer: { type: "offer", sdp: name }, offer_id: name });

describe("signalling", () => {
  it("relays offers to others, each to one, and the answer to who offered", () => {
    const swarms = make();
    const [a, b, c] = [new Peer(), new Peer(), new Peer()];
    announce(swarms, a, "a");
    announce(swarms, b, "b", { left: 0 });
    assert.deepEqual(b.take(), [
      { action: "announce", info_hash: HASH, interval: 120, complete: 1, incomplete: 1 },
    ]);
    a.take();
    announce(swarms, c, "c", { offers: [offer("1"), offer("2"), offer("3")] });
    const told = { action: "announce", info_hash: HASH, peer_id: id("c") };
    assert.deepEqual(a.take(), [{ ...told, ...offer("1") }]);
    assert.deepEqual(b.take(), [{ ...told, ...offer("2") }]);
    assert.equal(c.take().length, 1);
    const answer = { answer: { type: "answer", sdp: "yes" }, offer_id: "1", to_peer_id: id("c") };
    announce(swarms, a, "a", answer);
    assert.deepEqual(c.take(), [
      { ...told, peer_id: id("a"), answer: { type: "answer", sdp: "yes" }, offer_id: "1" },
    ]);
    assert.deepEqual([a.take(), b.take()], [[], []]);
    assert.equal(swarms.counters.offers, 2);
    assert.equal(swarms.counters.answers, 1);
  });

  it("passes on only what belongs there, and answers of members under their own name only", () => {
    const swarms = make();
    const [a, b] = [new Peer(), new Peer("10.0.0.2")];
    announce(swarms, a, "a");
    a.take();
    const extra = { type: "offer", sdp: "x", script: "alert(1)" };
    announce(swarms, b, "b", { offers: [{ offer: extra, offer_id: "1", more: 1 }], evil: true });
    assert.deepEqual(a.take(), [
      {
        action: "announce",
        info_hash: HASH,
        peer_id: id("b"),
        offer: { type: "offer", sdp: "x" },
        offer_id: "1",
      },
    ]);
    const answer = { answer: { type: "answer", sdp: "y" }, offer_id: "1", to_peer_id: id("a") };
    announce(swarms, new Peer(), "z", answer);
    announce(swarms, b, "z", answer);
    assert.deepEqual(a.take(), []);
    assert.equal(swarms.counters.lostAnswers, 2);
  });

  it("counts who seeds, completes, stops and goes", () => {
    const swarms = make();
    const [a, b] = [new Peer(), new Peer()];
    const counts = (): unknown => {
      const asker = new Peer();
      swarms.receive(asker, JSON.stringify({ action: "scrape", info_hash: [HASH] }));
      return (entryOf(asker.take(), 0)["files"] as Record<string, unknown>)[HASH];
    };
    announce(swarms, a, "a");
    announce(swarms, b, "b");
    // Whoever has something left has not completed, whatever it says.
    announce(swarms, b, "b", { event: "completed", left: 1 });
    assert.deepEqual(counts(), { complete: 0, incomplete: 2, downloaded: 0 });
    announce(swarms, b, "b", { event: "completed", left: 0 });
    announce(swarms, b, "b", { event: "completed", left: 0 });
    assert.deepEqual(counts(), { complete: 1, incomplete: 1, downloaded: 1 });
    announce(swarms, b, "b", { event: "stopped" });
    assert.deepEqual(counts(), { complete: 0, incomplete: 1, downloaded: 1 });
    assert.equal(swarms.isMember(b), false);
    swarms.remove(a);
    assert.equal(swarms.torrents, 0);
  });

  it("has whoever is gone leave so many swarms at a time", () => {
    const swarms = make();
    const [a, b] = [new Peer(), new Peer()];
    for (const letter of "12345") {
      announce(swarms, a, "a", {}, id(letter));
      announce(swarms, b, "b", {}, id(letter));
    }
    assert.equal(swarms.remove(a, 2), 2);
    assert.equal(swarms.isMember(a), true);
    assert.equal(swarms.remove(a, 0), 0);
    assert.equal(swarms.remove(a, 100), 3);
    assert.equal(swarms.isMember(a), false);
    assert.equal(swarms.remove(a, 100), 0);
    assert.equal(swarms.torrents, 5);
    assert.equal(swarms.remove(b), 5);
    assert.equal(swarms.torrents, 0);
  });

  it("relays offers to all that are there after others have left, and to nobody twice", () => {
    const swarms = make();
    const peers = Array.from("abcdefgh", (letter) => ({ letter, peer: new Peer() }));
    for (const { letter, peer } of peers) announce(swarms, peer, letter);
    for (const gone of [2, 7, 0]) swarms.remove(entryOf(peers, gone).peer);
    for (const { peer } of peers) peer.take();
    const offers = Array.from({ length: OFFERS_MAX }, (_, index) => offer(String(index)));
    announce(swarms, entryOf(peers, 3).peer, "d", { offers });
    const told = peers.map(({ peer }) => peer.take().filter((heard) => "offer" in heard).length);
    assert.deepEqual(told, [0, 1, 0, 0, 1, 1, 1, 0]);
  });

  it("lets a peer id move to another connection of its network only", () => {
    const swarms = make();
    const [first, thief, again] = [new Peer(), new Peer("10.9.9.9"), new Peer()];
    announce(swarms, first, "a");
    announce(swarms, thief, "a");
    assert.match(String(entryOf(thief.take(), 0)["failure reason"]), /somebody else's/);
    announce(swarms, again, "a");
    assert.equal(entryOf(again.take(), 0)["incomplete"], 1);
    swarms.remove(first);
    assert.equal(swarms.isMember(again), true);
    assert.equal(swarms.counters.takenPeerIds, 1);
  });

  it("has room for so many torrents, peers of one, and torrents of a peer", () => {
    const swarms = make({ torrentsMax: 2, peersPerTorrentMax: 2, torrentsPerPeerMax: 1 });
    const join = (letter: string, hash: string, peer = new Peer()): boolean => {
      announce(swarms, peer, letter, {}, hash);
      return entryOf(peer.heard, 0)["failure reason"] === undefined;
    };
    assert.deepEqual([join("a", id("1")), join("b", id("1")), join("c", id("1"))], [true, true, false]);
    assert.deepEqual([join("d", id("2")), join("e", id("3"))], [true, false]);
    const busy = new Peer();
    assert.deepEqual([join("f", id("2"), busy)], [true]);
    busy.take();
    assert.equal(join("f", id("1"), busy), false);
    assert.equal(swarms.counters.full, 3);
  });

  it("refuses what is none of the protocol, and torrents that lists refuse", () => {
    const denied = new Set([Buffer.from(id("d")).toString("hex")]);
    const swarms = make({}, { deny: denied });
    const peer = new Peer();
    const wrong = [
      "",
      "null",
      "[]",
      "{",
      '{"action":"else"}',
      JSON.stringify({ action: "announce", info_hash: "short", peer_id: id("a") }),
      JSON.stringify({ action: "announce", info_hash: "\u0100".repeat(20), peer_id: id("a") }),
      JSON.stringify({ action: "scrape", info_hash: [] }),
      JSON.stringify({ action: "scrape", info_hash: new Array(65).fill(HASH) }),
    ];
    for (const text of wrong) assert.equal(swarms.receive(peer, text), false, text);
    for (const offers of [
      "x",
      [1],
      [{ offer: { type: "answer", sdp: "" }, offer_id: "1" }],
      [{ offer: { type: "offer", sdp: "x".repeat(SDP_LENGTH_MAX + 1) }, offer_id: "1" }],
      [{ offer: { type: "offer", sdp: "" }, offer_id: "x".repeat(65) }],
      new Array(OFFERS_MAX + 1).fill(offer("1")),
    ])
      assert.equal(announce(swarms, peer, "a", { offers }), false);
    assert.equal(announce(swarms, peer, "a", { answer: 1 }), false);
    assert.equal(swarms.torrents, 0);
    assert.equal(swarms.counters.malformed, wrong.length + 7);
    announce(swarms, peer, "a", {}, id("d"));
    assert.match(String(entryOf(peer.heard, -1)["failure reason"]), /does not track/);
    assert.equal(swarms.torrents, 0);
  });

  it("knows nobody when all have gone, whatever they said", () => {
    const say = fc.record({
      peer: fc.nat(4),
      letter: fc.constantFrom("a", "b", "c"),
      hash: fc.constantFrom(id("1"), id("2")),
      event: fc.constantFrom(undefined, "started", "stopped", "completed"),
      left: fc.constantFrom(0, 1),
      offers: fc.nat(3),
      goes: fc.nat(9),
    });
    check(
      fc.property(fc.array(say, { maxLength: 60 }), (said) => {
        const swarms = make({ peersPerTorrentMax: 2, torrentsPerPeerMax: 1 });
        const peers = Array.from({ length: 5 }, (_, at) => new Peer(`10.0.0.${at >> 1}`));
        for (const { peer, letter, hash, event, left, offers, goes } of said) {
          if (goes === 0) swarms.remove(entryOf(peers, peer));
          const more = { event, left, offers: Array.from({ length: offers }, () => offer("o")) };
          announce(swarms, entryOf(peers, peer), letter, more, hash);
        }
        for (const peer of peers)
          for (const heard of peer.heard) {
            const complete = (heard["complete"] ?? 0) as number;
            const incomplete = (heard["incomplete"] ?? 0) as number;
            assert.ok(complete >= 0 && incomplete >= 0 && complete + incomplete <= 2);
          }
        for (const peer of peers) swarms.remove(peer);
        assert.equal(swarms.torrents, 0);
      }),
      200,
    );
  });
});
