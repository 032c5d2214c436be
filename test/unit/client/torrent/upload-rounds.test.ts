// When peers are served: every ten seconds, and at once while there is room. Who, is the choker's matter.
//
// One file, because each of these is one more thing that the same round heeds.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BLOCK_SIZE } from "../../../../src/base/limits.js";
import type { PeerConnection } from "../../../../src/client/peer/peer-connection.js";
import { GUESTS_MAX, UploadRounds } from "../../../../src/client/torrent/upload-rounds.js";
import { MessageId } from "../../../../src/client/wire/messages.js";
import { entryOf } from "../../../support/required.js";
import { message, TOTAL_LENGTH, WiredPeer } from "../peer/wired-peer.js";

function interestedPeer(host?: unknown): WiredPeer {
  const from = typeof host === "string" ? { host } : {};
  const wired = new WiredPeer({ ...from, incoming: true, prepare: (swarm) => swarm.have.fill() }).open();
  wired.feed(message(MessageId.interested));
  return wired;
}

function peersOf(wired: readonly WiredPeer[]): Set<PeerConnection> {
  return new Set(wired.map(({ peer }) => peer));
}

function served(wired: readonly WiredPeer[]): number {
  return wired.filter(({ peer }) => !peer.amChoking).length;
}

/** A second ends, in which it took so many bytes. */
function pass({ peer, clock }: WiredPeer, bytes: number, nowMs: number): void {
  clock.nowMs = nowMs;
  peer.counters.sentBytes += bytes;
  peer.uploads.tick(nowMs);
}

/** One for which something waits in the system's buffers, as it does where it takes all that our link gives. */
function queuedPeer(): WiredPeer {
  const wired = interestedPeer();
  wired.transport.unacknowledged = BLOCK_SIZE;
  wired.peer.counters.sentBytes += BLOCK_SIZE;
  return wired;
}

describe("UploadRounds", () => {
  it("serves as many as there are slots, and nobody who is not interested", () => {
    const wired = Array.from({ length: 6 }, interestedPeer);
    const bored = new WiredPeer({ incoming: true }).open();
    new UploadRounds(4).run(peersOf([...wired, bored]), true, 0, false);
    assert.equal(served(wired), 4);
    assert.equal(bored.peer.amChoking, true);
    const unchokes = wired.flatMap((each) => each.sent()).filter(({ id }) => id === MessageId.unchoke);
    assert.equal(unchokes.length, 4);
  });

  it("between rounds only what is new and free is served, and only if somebody asked", () => {
    const rounds = new UploadRounds(4);
    const wired = [interestedPeer(), interestedPeer()];
    rounds.run(peersOf(wired), true, 1000, false);
    assert.equal(served(wired), 2);
    wired.push(interestedPeer());
    rounds.run(peersOf(wired), true, 1500, false);
    assert.equal(served(wired), 2, "no round is due");
    rounds.run(peersOf(wired), true, 1500, true);
    assert.equal(served(wired), 3, "there is room");
    wired.push(interestedPeer(), interestedPeer());
    rounds.run(peersOf(wired), true, 1900, true);
    assert.equal(served(wired), 4);
    rounds.run(peersOf(wired), true, 1950, true);
    assert.equal(served(wired), 4);
  });

  it("a slot that somebody left is free before the next round", () => {
    const rounds = new UploadRounds(1);
    const [first, second] = [interestedPeer(), interestedPeer()];
    rounds.run(peersOf([first]), true, 0, false);
    assert.equal(first.peer.amChoking, false);
    first.peer.close();
    rounds.peerGone(first.peer);
    rounds.run(peersOf([second]), true, 10, true);
    assert.equal(second.peer.amChoking, false);
  });

  it("a peer whose interest comes and goes makes no round when it goes, nor while it is served", () => {
    const rounds = new UploadRounds(2);
    const { peer } = interestedPeer();
    rounds.run(new Set(), true, 0, false);
    assert.equal(rounds.isSoon(peer), true);
    rounds.run(new Set([peer]), true, 10, true);
    assert.equal(rounds.isSoon(peer), false, "it is served");
    peer.messages.onNotInterested();
    assert.equal(rounds.isSoon(peer), false);
    peer.messages.onInterested();
    assert.equal(rounds.isSoon(peer), false, "it is served still");
  });

  it("between two ticks early rounds look at a bounded number of peers; whoever is left is served at the tick", () => {
    const rounds = new UploadRounds(1000);
    rounds.run(new Set(), true, 0, false);
    const wired = Array.from({ length: 20 }, interestedPeer);
    const peers = peersOf(wired);
    for (let round = 0; round < 16_384 / 20 + 1; round++) rounds.run(peers, true, 10, true);
    const late = interestedPeer();
    peers.add(late.peer);
    rounds.run(peers, true, 10, true);
    assert.equal(late.peer.amChoking, true);
    rounds.run(peers, true, 1000, false);
    assert.equal(late.peer.amChoking, false);
  });

  it("who lost interest is choked in the next round", () => {
    const rounds = new UploadRounds(2);
    const wired = [interestedPeer()];
    rounds.run(peersOf(wired), true, 0, false);
    entryOf(wired, 0).feed(message(MessageId.notInterested));
    rounds.run(peersOf(wired), true, 10_000, false);
    assert.equal(served(wired), 0);
  });

  it("who is served and takes nothing leaves its slot to others, and goes on as long as there are few like it", () => {
    const rounds = new UploadRounds(2);
    const wired = Array.from({ length: 6 }, interestedPeer);
    rounds.run(peersOf(wired), true, 1000, false);
    assert.equal(served(wired), 2);
    rounds.run(peersOf(wired), true, 1900, true);
    assert.equal(served(wired), 2, "its requests may be on their way");
    rounds.run(peersOf(wired), true, 2500, false);
    assert.ok(served(wired) >= 4, "others are invited");
    rounds.run(peersOf(wired), true, 4000, false);
    assert.equal(served(wired), 6);
  });

  it("who takes blocks keeps its slot, and nobody else is invited while all do", () => {
    const rounds = new UploadRounds(1);
    const [taker, other] = [interestedPeer(), interestedPeer()];
    const both = peersOf([taker, other]);
    rounds.run(both, true, 0, false);
    assert.equal(taker.peer.amChoking, false);
    for (let nowMs = 1000; nowMs < 10_000; nowMs += 1000) {
      for (let block = 0; block < 9; block++)
        taker.feed(message(MessageId.request, Math.floor(block / 3), (block % 3) * BLOCK_SIZE, BLOCK_SIZE));
      taker.sent();
      rounds.run(both, true, nowMs, true);
      assert.deepEqual([taker.peer.amChoking, other.peer.amChoking], [false, true]);
    }
  });

  it("where many took nothing, others are invited though all slots are taken, until twice as many take", () => {
    const slots = 2;
    const rounds = new UploadRounds(slots);
    const idle = (count: number): WiredPeer[] => Array.from({ length: count }, interestedPeer);
    // Others were here before those that behave, and come between them.
    const [before, first, between, late] = [idle(6), idle(slots), idle(18), idle(slots)];
    const last = idle(200);
    const wired = [...before, ...first, ...between, ...late, ...last];
    const taking = [...first, ...late];
    const tick = (nowMs: number): void => {
      for (const each of taking) {
        if (each.peer.amChoking) continue;
        for (let block = 0; block < 4; block++)
          each.feed(message(MessageId.request, Math.floor(block / 3), (block % 3) * BLOCK_SIZE, BLOCK_SIZE));
        each.sent();
      }
      rounds.run(peersOf(wired), true, nowMs, false);
    };
    let nowMs = 0;
    for (; served(first) < slots; nowMs += 1000) tick(nowMs);
    assert.equal(served(late), 0);
    for (; served(late) < slots; nowMs += 1000) {
      tick(nowMs);
      assert.ok(nowMs < 10_000, "all slots are taken, and it is before the next whole round");
      assert.equal(served(first), slots);
    }
    tick(nowMs);
    const invited = served(last);
    for (nowMs += 1000; nowMs < 10_000; nowMs += 1000) tick(nowMs);
    assert.equal(served(last), invited, "nobody else while twice as many take as there are slots");
  });

  describe("where most of those that are invited take nothing", () => {
    const SLOTS = 2;
    /** Those that may share our link. */
    const SHARERS = 2 * SLOTS;

    /** Asks for blocks, which are sent if it `takes` them. */
    function ask(wired: WiredPeer, takes: boolean, blocks = 6): void {
      for (let block = 0; block < blocks; block++)
        wired.feed(message(MessageId.request, Math.floor(block / 3), (block % 3) * BLOCK_SIZE, BLOCK_SIZE));
      if (takes) wired.sent();
      // The torrent is a short one, and is not sent as a whole here.
      wired.peer.counters.sentPayloadBytes = 0;
    }

    /** One comes each tenth of a second, for so many seconds. Answers who came. */
    function comeFor(
      seconds: number,
      comes: (peer: WiredPeer, at: number) => void,
      nowMs: number,
    ): WiredPeer[] {
      return Array.from({ length: 10 * seconds }, (_, index) => {
        const newcomer = interestedPeer();
        comes(newcomer, nowMs + 100 * index);
        return newcomer;
      });
    }

    /** A crowd of which nobody took anything but as many as may share our link, which hold all slots. */
    function crowd(): { rounds: UploadRounds; all: WiredPeer[]; takers: WiredPeer[]; nowMs: number } {
      const rounds = new UploadRounds(SLOTS);
      const idle = Array.from({ length: 40 }, interestedPeer);
      const takers = Array.from({ length: SHARERS }, interestedPeer);
      const all = [...idle, ...takers];
      let nowMs = 0;
      for (; nowMs < 8000; nowMs += 1000) {
        for (const taker of takers) if (!taker.peer.amChoking) ask(taker, true);
        rounds.run(peersOf(all), true, nowMs, false);
      }
      assert.equal(served(takers), SHARERS);
      return { rounds, all, takers, nowMs };
    }

    it("whoever comes new is invited at once while nothing waits for those that hold all slots", () => {
      const { rounds, takers, nowMs } = crowd();
      const newcomer = interestedPeer();
      assert.equal(rounds.welcome(newcomer.peer, nowMs), true);
      assert.equal(newcomer.peer.amChoking, false);
      assert.equal(served(takers), SHARERS, "nobody makes room for it");
      newcomer.peer.choke();
      assert.equal(rounds.welcome(newcomer.peer, nowMs), false, "once");
      const bored = new WiredPeer({ incoming: true }).open();
      assert.equal(rounds.welcome(bored.peer, nowMs), false, "it wants nothing");
    });

    it("and while blocks wait for as many as may share our link, so many are tried as a part of it pays for", () => {
      const { rounds, all, takers, nowMs } = crowd();
      for (const taker of takers) {
        ask(taker, true);
        ask(taker, false);
      }
      const newcomers = comeFor(
        20,
        (newcomer, at) => {
          all.push(newcomer);
          rounds.welcome(newcomer.peer, at);
        },
        nowMs,
      );
      // An eighth of 128 KiB a second is 64 KiB each four seconds; and as many as were saved up.
      const tried = newcomers.filter(({ peer }) => !peer.amChoking).length;
      assert.ok(tried > 0 && tried <= 20 / 4 + SLOTS, `${tried} of ${newcomers.length}`);
      const [next] = newcomers.filter(({ peer }) => peer.amChoking);
      rounds.run(peersOf(all), true, nowMs + 900, false);
      assert.equal(next?.peer.amChoking, true);
    });

    it("whoever found no room is invited with the next that comes when there is, and the last of them first", () => {
      const { rounds, takers, nowMs } = crowd();
      for (const taker of takers) {
        ask(taker, true);
        ask(taker, false);
      }
      const saved = Array.from({ length: SLOTS }, interestedPeer);
      for (const { peer } of saved) rounds.welcome(peer, nowMs);
      const [early, late, gone, newcomer] = Array.from({ length: 4 }, interestedPeer);
      assert.ok(early && late && gone && newcomer);
      for (const { peer } of [early, late, gone]) assert.equal(rounds.welcome(peer, nowMs), false);
      gone.peer.close();
      rounds.peerGone(gone.peer);
      for (const taker of takers) taker.sent();
      assert.equal(rounds.welcome(newcomer.peer, nowMs + 1500), true);
      assert.deepEqual([early.peer.amChoking, late.peer.amChoking], [true, false]);
      rounds.checkInvariants();
    });

    it("no more share our link than may, however much it gives: whoever comes new then has the place of the one that took least", () => {
      const { rounds, all, takers, nowMs } = crowd();
      const sharing = (wired: readonly WiredPeer[]): number =>
        wired.filter(({ peer }) => peer.uploads.isTaking && peer.uploads.isOwed).length;
      let at = nowMs;
      for (let seconds = 0; seconds < 12; seconds++) {
        at += 1000;
        all.push(...Array.from({ length: 20 }, interestedPeer));
        for (const each of takers) {
          ask(each, true);
          pass(each, 100_000_000, at);
        }
        rounds.run(peersOf(all), true, at, false);
      }
      for (const each of takers) ask(each, false);
      const newcomers = Array.from({ length: 100 }, interestedPeer);
      at += 500;
      const tried: WiredPeer[] = [];
      for (const each of newcomers) {
        each.clock.nowMs = at;
        if (!rounds.welcome(each.peer, at)) continue;
        ask(each, true, tried.length === 1 ? 4 : 8);
        ask(each, false);
        tried.push(each);
      }
      const shared = sharing([...takers, ...newcomers]);
      assert.ok(tried.length > 0 && shared <= 2 * SHARERS, `${shared} share it`);
      const [early, late] = [interestedPeer(), interestedPeer()];
      assert.equal(rounds.welcome(early.peer, at + 400), false, "nobody has had time to show how it takes");
      for (const taker of takers) taker.clock.nowMs = at + 510;
      assert.equal(rounds.welcome(late.peer, at + 510), true);
      assert.equal(sharing([...takers, ...newcomers]), shared - 1);
      assert.deepEqual(
        tried.map(({ peer }) => peer.amChoking),
        tried.map((_, index) => index === 1),
      );
    });

    it("as many are welcome as before when for a moment nobody waited", () => {
      const { rounds, all, takers, nowMs } = crowd();
      const idle = Array.from({ length: 200 }, interestedPeer);
      all.push(...idle);
      let at = nowMs;
      const tick = (): void => {
        at += 1000;
        for (const taker of takers) ask(taker, true);
        rounds.run(peersOf(all), true, at, false);
      };
      while (served(idle) < idle.length) tick();
      tick();
      const newcomers = Array.from({ length: 64 }, interestedPeer);
      const welcomed = newcomers.filter(({ peer }) => rounds.welcome(peer, at)).length;
      assert.ok(welcomed >= 16, `${welcomed} of ${newcomers.length}`);
    });

    it("those that come new are invited in bounded numbers, and whoever was not is the first at the next tick", () => {
      const { rounds, all, takers, nowMs } = crowd();
      const newcomers = Array.from({ length: 300 }, interestedPeer);
      all.push(...newcomers);
      const welcomed = newcomers.filter(({ peer }) => rounds.welcome(peer, nowMs)).length;
      assert.ok(welcomed > 0 && welcomed < newcomers.length, `${welcomed} of ${newcomers.length}`);
      const last = interestedPeer();
      all.push(last);
      assert.equal(rounds.welcome(last.peer, nowMs), false);
      for (const taker of takers) ask(taker, true);
      rounds.run(peersOf(all), true, nowMs + 1000, false);
      assert.equal(last.peer.amChoking, false);
      rounds.checkInvariants();
    });

    it("of those that accept and are too many, whoever takes least is choked at the tick, once that shows", () => {
      const { rounds, all, takers, nowMs } = crowd();
      const newcomers = Array.from({ length: SLOTS }, interestedPeer);
      all.push(...newcomers);
      for (const { clock } of newcomers) clock.nowMs = nowMs;
      for (const { peer } of newcomers) assert.equal(rounds.welcome(peer, nowMs), true);
      const tick = (at: number): void => {
        for (const each of newcomers) if (!each.peer.amChoking) ask(each, true, 24);
        for (const each of takers) if (!each.peer.amChoking) ask(each, true, 5);
        for (const each of [...newcomers, ...takers]) each.peer.uploads.tick(at);
        rounds.run(peersOf(all), true, at, false);
      };
      tick(nowMs + 500);
      assert.equal(served(newcomers), SLOTS);
      for (let at = nowMs + 1000; at < 10_000; at += 500) tick(at);
      assert.equal(served(newcomers), SLOTS, "they take most");
      assert.equal(served(takers), SHARERS - SLOTS);
    });

    it("who took something and was choked has a turn again before the next round, though others come new without end", () => {
      const { rounds, all, takers, nowMs } = crowd();
      const [choked] = takers;
      choked?.peer.choke();
      for (let at = nowMs + 200; at < 10_000 && choked?.peer.amChoking === true; at += 200) {
        const newcomers = Array.from({ length: 20 }, interestedPeer);
        all.push(...newcomers);
        for (const { peer } of newcomers) rounds.welcome(peer, at);
        for (const taker of takers) if (!taker.peer.amChoking) ask(taker, true);
        rounds.run(peersOf(all), true, at, false);
      }
      assert.equal(choked?.peer.amChoking, false);
    });

    /** Ten peers that are choked, and go on taking so much of what lies in the system's buffers, of which so much is left. */
    function drain(left: number): { rounds: UploadRounds; tick: (drained: number) => WiredPeer[] } {
      const { rounds, all, takers, nowMs } = crowd();
      const draining = all.slice(0, 10);
      let at = nowMs;
      const tick = (drained: number): WiredPeer[] => {
        at += 1000;
        for (const each of takers) pass(each, 50_000, at);
        for (const each of draining) {
          each.peer.counters.sentBytes += left - each.transport.unacknowledged;
          each.transport.unacknowledged = left;
          pass(each, drained, at);
        }
        const newcomers = Array.from({ length: 20 }, interestedPeer);
        all.push(...newcomers);
        for (const { peer } of newcomers) rounds.welcome(peer, at);
        rounds.run(peersOf(all), true, at, false);
        rounds.checkInvariants();
        return newcomers.filter(({ peer }) => peer.uploads.uptake.hasBegun);
      };
      for (const { peer } of draining) peer.unchoke();
      tick(40_000);
      for (const { peer } of draining) peer.choke();
      return { rounds, tick };
    }

    function sum(seconds: number, tick: () => WiredPeer[]): number {
      return Array.from({ length: seconds }, () => tick().length).reduce((all, each) => all + each, 0);
    }

    it("few are tried while those without a slot, though they are choked, have a part of a full link", () => {
      const { tick } = drain(20_000);
      sum(12, () => tick(40_000));
      // An eighth of 600,000 bytes a second pays for one of them in a second, and then slots that are free are given away.
      const tried = sum(12, () => tick(40_000));
      assert.ok(
        tried > 0 && tried <= 2 * 12,
        `${tried}, where what lies in the buffers of others fills the link`,
      );
      sum(8, () => tick(0));
      const invited = sum(12, () => tick(0));
      assert.ok(invited > 4 * tried, `${invited} when it does not, and ${tried} when it did`);
    });

    it("a link is not full, however little more it was ever seen to give, as long as nobody waits for it", () => {
      const { tick } = drain(0);
      sum(12, () => tick(40_000));
      const invited = sum(12, () => tick(40_000));
      assert.ok(invited > 12 * 12, `${invited} in as many seconds`);
    });

    it("more are invited also while those that hold slots take as much as they ever did, so that our link seems full", () => {
      const { rounds, all, takers, nowMs } = crowd();
      const holders = takers.slice(0, SLOTS);
      for (const each of takers.slice(SLOTS)) each.feed(message(MessageId.notInterested));
      let at = nowMs;
      for (let seconds = 0; seconds < 12; seconds++) {
        at += 1000;
        all.push(...Array.from({ length: 20 }, interestedPeer));
        for (const each of holders) {
          ask(each, true);
          pass(each, 200_000, at);
        }
        rounds.run(peersOf(all), true, at, false);
      }
      assert.equal(served(holders), SLOTS);
      const newcomers = Array.from({ length: 300 }, interestedPeer);
      at += 1000;
      const welcomed = newcomers.filter(({ peer }) => rounds.welcome(peer, at)).length;
      assert.ok(welcomed > 4 * SLOTS, `${welcomed} of ${newcomers.length}`);
    });

    it("nobody is invited out of turn where all that were invited took what they asked for", () => {
      const rounds = new UploadRounds(SLOTS);
      const takers = Array.from({ length: SLOTS }, interestedPeer);
      for (let nowMs = 0; nowMs < 5000; nowMs += 1000) {
        for (const taker of takers) if (!taker.peer.amChoking) ask(taker, true);
        rounds.run(peersOf(takers), true, nowMs, false);
      }
      assert.equal(rounds.welcome(interestedPeer().peer, 5000), false);
    });
  });

  it("a link that passed from one to the other is not taken for a wider one, and guests have a quarter of it", () => {
    const rounds = new UploadRounds(1);
    const [first, second] = [queuedPeer(), queuedPeer()];
    const guests = Array.from({ length: 5 }, interestedPeer);
    const all = [first, second, ...guests];
    let nowMs = 0;
    const tick = (ofFirst: number, ofSecond: number, ofGuests: number): void => {
      nowMs += 1000;
      pass(first, ofFirst, nowMs);
      pass(second, ofSecond, nowMs);
      for (const each of guests) pass(each, ofGuests, nowMs);
      rounds.run(peersOf(all), true, nowMs, false);
    };
    rounds.run(peersOf(all), true, 0, false);
    assert.equal(first.peer.amChoking, false);
    for (let second = 0; second < 9; second++) tick(600_000, 0, 0);
    second.peer.unchoke();
    tick(0, 600_000, 0);
    for (const { peer } of guests) peer.unchoke();
    for (let second = 0; second < 10; second++) tick(0, 400_000, 40_000);
    assert.ok(served(guests) < guests.length, "five of them have a third of it");
    rounds.checkInvariants();
  });

  describe("where our link is full", () => {
    const LINK_BYTES = 600_000;

    /** Of two slots one is held by whoever takes all that our link gives. */
    function full(guestCount: number): {
      guests: WiredPeer[];
      tick: (ofTaker: number, ofGuests: number, written?: number) => void;
    } {
      const rounds = new UploadRounds(2);
      const taker = queuedPeer();
      const guests = Array.from({ length: guestCount }, interestedPeer);
      const all = [taker, ...guests];
      let nowMs = 0;
      const tick = (ofTaker: number, ofGuests: number, written = ofGuests): void => {
        nowMs += 1000;
        pass(taker, ofTaker, nowMs);
        for (const each of guests) {
          each.transport.unacknowledged += written - ofGuests;
          each.clock.nowMs = nowMs;
          each.peer.counters.sentBytes += written;
          each.peer.uploads.tick(nowMs);
        }
        rounds.run(peersOf(all), true, nowMs, false);
        rounds.checkInvariants();
      };
      tick(LINK_BYTES, 0);
      for (const { peer } of guests) peer.unchoke();
      tick(LINK_BYTES, 0);
      return { guests, tick };
    }

    it("many guests have a quarter of it between two rounds also, though nobody waits", () => {
      const { guests, tick } = full(20);
      for (let second = 0; second < 5; second++) tick(LINK_BYTES / 2, LINK_BYTES / 2 / guests.length);
      assert.ok(served(guests) <= guests.length / 2, `${served(guests)} of ${guests.length}`);
    });

    /** In how many of so many seconds somebody from `host` is served, who takes half of the link, beside one that takes the other half. */
    function secondsServed(host: string, seconds: number): number {
      const rounds = new UploadRounds(2);
      const flooder = interestedPeer("192.0.2.7");
      flooder.feed(
        Buffer.concat(Array.from({ length: 1000 }, () => message(MessageId.request, 0, 0, BLOCK_SIZE))),
      );
      assert.equal(flooder.closedWith?.code, "PEER_REQUEST_FLOOD");
      rounds.peerGone(flooder.peer);
      const [taker, other] = [queuedPeer(), interestedPeer(host)];
      let served = 0;
      for (let second = 0; second < seconds; second++) {
        const isShared = second > 0 && !other.peer.amChoking;
        pass(taker, isShared ? LINK_BYTES / 2 : LINK_BYTES, second * 1000);
        pass(other, isShared ? LINK_BYTES / 2 : 0, second * 1000);
        rounds.run(peersOf([taker, other]), true, second * 1000, false);
        rounds.checkInvariants();
        if (isShared) served++;
      }
      return served;
    }

    it("whoever comes from where somebody flooded us with requests is served now and then, and others all the time", () => {
      const seconds = 120;
      assert.ok(secondsServed("198.51.100.1", seconds) >= seconds - 5);
      const served = secondsServed("192.0.2.7", seconds);
      assert.ok(served >= 5 && served <= seconds / 2, `${served} of ${seconds} s`);
    });

    it("what waits for them in the system's buffers counts", () => {
      const { guests, tick } = full(20);
      for (let second = 0; second < 3; second++) tick(0.9 * LINK_BYTES, 0.005 * LINK_BYTES, 0.1 * LINK_BYTES);
      assert.ok(served(guests) <= 5, `${served(guests)} of ${guests.length}`);
    });
  });

  it("who cancels more than it takes is choked, and waits behind those that were not served", () => {
    const rounds = new UploadRounds(1);
    const [fickle, ...others] = Array.from({ length: 4 }, interestedPeer);
    const all = peersOf([fickle, ...others].filter((each) => each !== undefined));
    rounds.run(all, true, 0, false);
    assert.equal(fickle?.peer.amChoking, false);
    const blocks = Array.from({ length: 9 }, (_, block) => [
      Math.floor(block / 3),
      (block % 3) * BLOCK_SIZE,
      BLOCK_SIZE,
    ]);
    for (let round = 0; round < 9; round++) {
      const asked = blocks.map((block) => message(MessageId.request, ...block));
      const cancelled = blocks.map((block) => message(MessageId.cancel, ...block));
      fickle?.feed(Buffer.concat([...asked, ...cancelled]));
    }
    assert.equal(fickle?.peer.amChoking, false);
    rounds.run(all, true, 1000, false);
    rounds.run(all, true, 10_000, false);
    assert.equal(fickle?.peer.amChoking, true);
    assert.ok(others.some(({ peer }) => !peer.amChoking));
  });

  it("who asks for single bytes keeps no slot, however long it goes on", () => {
    const rounds = new UploadRounds(1);
    const [bytewise, other] = [interestedPeer(), interestedPeer()];
    const both = peersOf([bytewise, other]);
    rounds.run(both, true, 0, false);
    assert.equal(bytewise.peer.amChoking, false);
    const ask = (): void => {
      for (let begin = 0; begin < 12; begin++) bytewise.feed(message(MessageId.request, 0, begin, 1));
    };
    for (let nowMs = 500; nowMs <= 2500; nowMs += 500) {
      bytewise.sent();
      ask();
      assert.ok(bytewise.peer.sender.blocksRequested > 0, "more waits for it");
      rounds.run(both, true, nowMs, true);
    }
    assert.equal(other.peer.amChoking, false);
  });

  it("those that took nothing wait behind those that had no slot", () => {
    const rounds = new UploadRounds(1);
    const idle = Array.from({ length: GUESTS_MAX + 20 }, interestedPeer);
    let nowMs = 0;
    for (; nowMs < 60_000; nowMs += 500) rounds.run(peersOf(idle), true, nowMs, true);
    assert.ok(served(idle) <= GUESTS_MAX + 1, "guests are bounded");
    const newcomer = interestedPeer();
    const all = peersOf([...idle, newcomer]);
    rounds.run(all, true, nowMs + 1, true);
    rounds.run(all, true, nowMs + 1001, true);
    assert.equal(newcomer.peer.amChoking, false);
  });

  describe("who takes the torrent over and over", () => {
    /** It was sent the whole torrent, and so many times a quarter. */
    const took = ({ peer }: WiredPeer, quarters: number): void => {
      peer.counters.sentPayloadBytes = Math.ceil(TOTAL_LENGTH * (1 + quarters / 4));
    };

    it("has no slot while those wait that were sent it once, whoever's turn it is", () => {
      for (const [seeding, nowMs] of [
        [true, 10_000],
        [false, 10_000],
        [true, 1000],
      ] as const) {
        const rounds = new UploadRounds(2);
        const greedy = Array.from({ length: 40 }, interestedPeer);
        rounds.run(peersOf(greedy), seeding, 0, false);
        for (const each of greedy) took(each, 1);
        const holders = greedy.filter(({ peer }) => !peer.amChoking);
        assert.equal(holders.length, 2);
        for (const holder of holders) {
          for (let block = 0; block < 9; block++)
            holder.feed(message(MessageId.request, 0, (block % 3) * BLOCK_SIZE, BLOCK_SIZE));
          holder.sent();
          assert.ok(holder.peer.uploads.isTaking);
        }
        const honest = [interestedPeer(), interestedPeer()];
        for (const each of honest) took(each, 0);
        rounds.run(peersOf([...greedy, ...honest]), seeding, nowMs, false);
        assert.equal(served(honest), 2, `seeding: ${seeding}, at ${nowMs} ms`);
        assert.equal(served(greedy), 0, `seeding: ${seeding}, at ${nowMs} ms`);
      }
    });

    it("has a slot where nobody else wants it", () => {
      const rounds = new UploadRounds(2);
      const greedy = [interestedPeer(), interestedPeer(), interestedPeer()];
      for (const each of greedy) took(each, 9);
      rounds.run(peersOf(greedy), true, 0, false);
      assert.equal(served(greedy), 2);
    });

    it("is known by its network when it comes again, unless that is this machine", () => {
      for (const [host, isKnown] of [
        ["192.0.2.7", true],
        ["2001:db8::7", true],
        ["127.0.0.9", false],
      ] as const) {
        const rounds = new UploadRounds(1);
        const before = interestedPeer(host);
        took(before, 1);
        before.peer.close();
        rounds.peerGone(before.peer);
        assert.equal(rounds.sentBefore(host) > 0, isKnown, host);
        const again = interestedPeer(host);
        const other = interestedPeer("198.51.100.1");
        rounds.run(peersOf([again, other]), true, 0, false);
        assert.equal(again.peer.amChoking, isKnown, host);
        assert.equal(other.peer.amChoking, !isKnown, host);
      }
    });

    it("those of one network that are here together may each take it once", () => {
      const rounds = new UploadRounds(1);
      const neighbour = interestedPeer("192.0.2.7");
      took(neighbour, 1);
      const first = interestedPeer("192.0.2.7");
      rounds.run(peersOf([neighbour, first, interestedPeer("198.51.100.1")]), true, 0, false);
      assert.equal(first.peer.amChoking, false);
    });

    it("networks that are remembered are bounded", () => {
      const rounds = new UploadRounds(1);
      for (let index = 0; index < 5000; index++) {
        const { peer } = interestedPeer(`10.1.${index >> 8}.${index & 255}`);
        peer.counters.sentPayloadBytes = 1;
        rounds.peerGone(peer);
      }
      rounds.checkInvariants();
    });
  });

  it("connections that are not open are left alone", () => {
    const wired = new WiredPeer({ incoming: true });
    new UploadRounds(2).run(peersOf([wired]), true, 0, false);
    assert.equal(wired.peer.amChoking, true);
  });
});
