// What a hostile network can make a node do, in virtual time: answer, send, keep and forget no more than its bounds allow, and believe nobody about
// others. Each test fails without its bound.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { addressNumber, DhtNetwork, type VirtualSocket } from "../../bench/load/dht-network.js";
import { Dht, type DhtOptions } from "../../src/dht/index.js";
import { KIND_ERROR, KIND_QUERY, KIND_RESPONSE, KrpcReader } from "../../src/dht/krpc-reader.js";
import { STRANGERS_MAX } from "../../src/dht/overlay.js";
import { entryOf, required } from "../support/required.js";

const US = { host: "11.1.1.1", port: 6881 };
const FIRST = addressNumber("20.0.0.1");
const STEP = 1024;
const PORT = 5000;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const hashOf = (number: number): Buffer => {
  const hash = Buffer.alloc(20, 0x5a);
  hash.writeUInt32BE(Math.imul(number + 1, 0x9e3779b1) >>> 0);
  return hash;
};

/** Everybody else: whatever the node sends comes here, and may be answered. */
class Others {
  readonly network = new DhtNetwork({ seed: 5, loss: 0, medianDelayMs: 1, delaySpread: 0 });
  readonly node: Dht;
  readonly received: { readonly address: number; readonly message: KrpcReader }[] = [];
  /** What the node is answered, if anything. */
  answer: (address: number, query: KrpcReader) => string | undefined = () => undefined;

  constructor(t: TestContext, options: DhtOptions = {}) {
    this.network.far = { take: (address, port, _from, bytes) => this.#take(address, port, bytes) };
    this.node = new Dht({ listen: [US], ...options }, this.network.world());
    t.after(() => this.node.close());
  }

  send(address: number, port: number, message: string): void {
    const overlay = entryOf([...this.node.overlays.values()], 0);
    const to = entryOf(overlay.nodes, 0).socket as VirtualSocket;
    this.network.sendFrom(address, port, to, Buffer.from(message, "latin1"));
  }

  count(address: number): number {
    return this.received.filter((each) => each.address === address).length;
  }

  #take(address: number, port: number, bytes: Uint8Array): void {
    const message = new KrpcReader();
    const copy = bytes.slice();
    assert.ok(message.read(copy, 0, copy.length));
    this.received.push({ address, message });
    if (message.kind !== KIND_QUERY) return;
    const body = this.answer(address, message);
    const t = copy.subarray(message.transactionAt, message.transactionAt + 4);
    if (body !== undefined) this.send(address, port, `d1:rd${body}e1:t4:${text(t)}1:y1:re`);
  }
}

const id = (address: number): string => `2:id20:${text(hashOf(address))}`;
const ping = (address: number): string => `d1:ad${id(address)}e1:q4:ping1:t2:xx1:y1:qe`;
/** Nodes that are nowhere, or are who they are said to be. */
function nodes(addresses: readonly number[], ports: readonly number[] = []): string {
  const list = addresses.map((address, index) => {
    const node = Buffer.alloc(26);
    node.set(hashOf(address + index * (ports.length === 0 ? 0 : 7919)));
    node.writeUInt32BE(address, 20);
    node.writeUInt16BE(ports[index] ?? PORT, 24);
    return text(node);
  });
  return `5:nodes${26 * list.length}:${list.join("")}`;
}

describe("a node of the DHT in a hostile network", { timeout: 120_000 }, () => {
  it("answers no address more often than its rate allows, and others all the same", async (t) => {
    const others = new Others(t);
    for (let count = 0; count < 300; count++) others.send(FIRST, PORT, ping(FIRST));
    await others.network.run(500);
    others.send(FIRST + STEP, PORT, ping(FIRST + STEP));
    await others.network.run(500);
    const answered = (address: number): number =>
      others.received.filter((each) => each.address === address && each.message.kind === KIND_RESPONSE)
        .length;
    assert.ok(answered(FIRST) >= 40 && answered(FIRST) <= 60, `${answered(FIRST)} answers`);
    assert.equal(answered(FIRST + STEP), 1);
    assert.equal(others.node.stats().counters.overRate, 300 - answered(FIRST));
  });

  it("sends nobody more than a few queries a second, whoever names them how often", async (t) => {
    const victim = addressNumber("66.6.6.6");
    const bootstrap = Array.from({ length: 8 }, (_, at) => ({ host: `13.${at}.1.1`, port: PORT }));
    const others = new Others(t, { bootstrap });
    let named = 0;
    others.answer = (address) => {
      if (address === victim) return undefined;
      const ports = Array.from({ length: 16 }, () => 1024 + (named++ % 60_000));
      return `${id(address)}${nodes(
        ports.map(() => victim),
        ports,
      )}`;
    };
    await others.network.run(2000);
    const before = others.count(victim);
    const overlay = required(others.node.overlays.get(4), "an entry of overlays");
    const silent = { heard: () => {}, converged: () => {}, completed: () => {} };
    for (let round = 0; round < 10; round++) {
      for (let count = 0; count < 20; count++) overlay.lookup(hashOf(100 * round + count), 3, silent);
      await others.network.run(1000);
    }
    const got = others.count(victim) - before;
    assert.ok(got > 0 && got <= 20 + 4 * 10 + 4, `${got} queries`);
    assert.ok(others.node.stats().counters.heldBack > 100);
  });

  it("answers nothing but queries, and nobody who cannot be answered", async (t) => {
    const others = new Others(t);
    const own = entryOf(others.node.ids, 0);
    const error = "d1:eli203e3:bade1:t4:zzzz1:y1:ee";
    const answer = `d1:rd${id(1)}${nodes([FIRST + 7 * STEP])}5:token2:xxe1:t4:zzzz1:y1:re`;
    const reflected = `d1:ad2:id20:${text(own)}e1:q4:ping1:t2:xx1:y1:qe`;
    const long = `d1:ad${id(2)}4:junk1600:${"j".repeat(1600)}e1:q4:ping1:t2:xx1:y1:qe`;
    for (let count = 0; count < 10; count++) {
      const address = FIRST + count * STEP;
      for (const message of [error, answer, reflected, long, "d", "d1:t2:xxe", `d${"l".repeat(1000)}`])
        others.send(address, PORT, message);
      others.send(address, 0, ping(address));
    }
    await others.network.run(5000);
    const { contacts, counters } = others.node.stats();
    assert.equal(others.received.length, 0, "not one packet");
    assert.equal(contacts, 0);
    assert.equal(counters.unasked, 20, "errors and answers");
    assert.equal(counters.malformed, 60, "what is no message, from ourselves, or from nowhere");
  });

  it("asks back few of those that ask it", async (t) => {
    const others = new Others(t, { answersPerSecond: 1_000_000 });
    await others.network.run(100);
    for (let count = 0; count < 3000; count++) {
      const address = FIRST + count * STEP;
      others.send(address, PORT, ping(address));
    }
    await others.network.run(4000);
    const asked = others.received.filter(({ message }) => message.kind === KIND_QUERY).length;
    assert.ok(asked > 0 && asked <= STRANGERS_MAX, `${asked} were asked back`);
    assert.equal(others.node.stats().bounds.strangersLeftOut, 3000 - asked);
  });

  it("knows those who answered, and nobody who was only named", async (t) => {
    const bootstrap = Array.from({ length: 8 }, (_, at) => ({ host: `13.${at}.1.1`, port: PORT }));
    const isThere = (address: number): boolean => address >>> 24 === 13;
    const others = new Others(t, { bootstrap });
    let named = 0;
    others.answer = (address) =>
      isThere(address)
        ? `${id(address)}${nodes(Array.from({ length: 8 }, () => FIRST + STEP * named++))}`
        : undefined;
    // Some ask it, and answer nothing themselves.
    const asking = addressNumber("30.0.0.1");
    for (let count = 0; count < 20; count++)
      others.send(asking + STEP * count, PORT, ping(asking + STEP * count));
    await others.network.run(60_000);
    assert.ok(others.count(asking) > 0, "it has asked them back");
    const overlay = required(others.node.overlays.get(4), "an entry of overlays");
    const known = overlay.table.buckets.flatMap(({ contacts, replacements }) => [
      ...contacts,
      ...replacements,
    ]);
    assert.ok(named > 100 && known.length === 8, `${known.length} known of ${named} named`);
    assert.ok(known.every(({ host }) => host.startsWith("13.")));
    const { bounds, counters, queriesUnderWay } = others.node.stats();
    assert.ok(bounds.unanswered > 50, "nobody who was only named is there");
    assert.equal(counters.queriesSent, counters.answersReceived + bounds.unanswered + queriesUnderWay);
  });

  /** Announces torrents `from` to `to`, each in the name of the address that is given for it. */
  async function announceAll(
    others: Others,
    from: number,
    to: number,
    of: (number: number) => number,
  ): Promise<void> {
    for (let number = from; number < to; number++) {
      const address = of(number);
      const about = `${id(address)}9:info_hash20:${text(hashOf(number))}`;
      others.answer = () => undefined;
      others.send(address, PORT, `d1:ad${about}e1:q9:get_peers1:t2:xx1:y1:qe`);
    }
    others.received.length = 0;
    await others.network.run(10);
    // Strangers are asked back now and then: that is no answer.
    const answers = others.received.filter(({ message }) => message.kind === KIND_RESPONSE);
    for (const [index, { message }] of answers.entries()) {
      const token = text(message.bytes.subarray(message.tokenAt, message.tokenAt + message.tokenBytes));
      const address = of(from + index);
      const about = `${id(address)}9:info_hash20:${text(hashOf(from + index))}4:porti7000e5:token${token.length}:${token}`;
      others.send(address, PORT, `d1:ad${about}e1:q13:announce_peer1:t2:yy1:y1:qe`);
    }
    await others.network.run(10);
  }

  it("keeps no peer of who shows no token of its own for the torrent", async (t) => {
    const others = new Others(t);
    const about = (address: number, number: number): string =>
      `${id(address)}9:info_hash20:${text(hashOf(number))}`;
    const announce = (address: number, number: number, token: string): void =>
      others.send(
        address,
        PORT,
        `d1:ad${about(address, number)}4:porti7000e5:token${token.length}:${token}e1:q13:announce_peer1:t2:yy1:y1:qe`,
      );
    others.send(FIRST, PORT, `d1:ad${about(FIRST, 1)}e1:q9:get_peers1:t2:xx1:y1:qe`);
    await others.network.run(10);
    const { message } = required(
      others.received.find((each) => each.message.kind === KIND_RESPONSE),
      "one of received",
    );
    const token = text(message.bytes.subarray(message.tokenAt, message.tokenAt + message.tokenBytes));
    others.received.length = 0;
    announce(FIRST + STEP, 1, token);
    announce(FIRST, 2, token);
    announce(FIRST, 1, "aaaaaaaa");
    announce(FIRST, 1, token.slice(1));
    await others.network.run(10);
    assert.equal(others.node.stats().peersKept, 0);
    assert.equal(others.received.filter((each) => each.message.kind === KIND_ERROR).length, 4);
    assert.equal(others.node.stats().bounds.tokensRefused, 4);
    announce(FIRST, 1, token);
    await others.network.run(10);
    assert.equal(others.node.stats().peersKept, 1);
  });

  it("keeps few new torrents of one address, and others'", async (t) => {
    const others = new Others(t, { incomingPerSecond: 1e6, answersPerSecond: 1e6 });
    for (let number = 0; number < 1000; number += 20)
      await announceAll(others, number, number + 20, () => FIRST);
    assert.equal(others.node.stats().torrentsKept, 100);
    assert.equal(others.node.stats().bounds.torrentsRefused, 900);
    await announceAll(others, 5000, 5010, () => FIRST + STEP);
    assert.equal(others.node.stats().torrentsKept, 110);
  });

  it("keeps no more torrents than there is memory for, of however many addresses", async (t) => {
    const bytesMax = 2 ** 20;
    const others = new Others(t, { peerBytesMax: bytesMax, answersPerSecond: 1e6 });
    for (let number = 0; number < 20_000; number += 50)
      await announceAll(others, number, number + 50, (each) => FIRST + STEP * each);
    const { torrentsKept, peersKept, counters, bounds } = others.node.stats();
    assert.equal(torrentsKept + bounds.torrentsEvicted + bounds.torrentsRefused, 20_000);
    assert.ok(bounds.torrentsEvicted > 0);
    assert.ok(counters.queriesReceived === 40_000 && counters.overBudget === 0);
    assert.ok(torrentsKept > 1000 && torrentsKept <= bytesMax / 64, `${torrentsKept} torrents`);
    assert.ok(peersKept >= torrentsKept && peersKept <= bytesMax / 6);
  });

  it("forgets nobody while its link is dead", async (t) => {
    const bootstrap = Array.from({ length: 30 }, (_, at) => ({ host: `13.${at}.1.1`, port: PORT }));
    const others = new Others(t, { bootstrap });
    let isUp = true;
    others.answer = (address) => (isUp ? `${id(address)}${nodes([])}` : undefined);
    await others.network.run(60_000);
    const { contacts } = others.node.stats();
    assert.ok(contacts >= 20);
    isUp = false;
    // Nothing has gone out since the last answer, so that the link is known to be dead when the first query fails.
    await others.network.run(80_000);
    const overlay = required(others.node.overlays.get(4), "an entry of overlays");
    const silent = { heard: () => {}, converged: () => {}, completed: () => {} };
    for (let round = 0; round < 60; round++) {
      for (let count = 0; count < 8; count++) overlay.lookup(hashOf(1000 * round + count), 3, silent);
      await others.network.run(30_000);
    }
    assert.equal(others.node.stats().contacts, contacts);
    const { excused, unanswered } = others.node.stats().bounds;
    assert.ok(excused > 100 && excused <= unanswered, `${excused} of ${unanswered}`);
    isUp = true;
    await others.network.run(60_000);
    assert.equal(others.node.stats().contacts, contacts);
  });
});
