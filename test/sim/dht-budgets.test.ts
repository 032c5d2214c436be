// What a node gives to whom, in virtual time: answers to all together, ports of one address in a swarm, a voice about our address to each
// far end, and questions to a network that has no more to tell. What is heard on the way is counted exactly, and costs no packet.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { addressNumber, DhtNetwork, type VirtualSocket } from "../../bench/load/dht-network.js";
import { PORTS_MAX } from "../../src/dht/announce-budget.js";
import { makeBoundCounters } from "../../src/dht/bound-counters.js";
import { ExternalAddress } from "../../src/dht/external-address.js";
import { Dht, type DhtOptions } from "../../src/dht/index.js";
import { KIND_ERROR, KIND_QUERY, KIND_RESPONSE, KrpcReader } from "../../src/dht/krpc-reader.js";
import { isSecureId } from "../../src/dht/node-id.js";
import { entryOf } from "../support/required.js";

const HASH = new Uint8Array(20).fill(0x3c);
const US = { host: "11.1.1.1", port: 6881 };

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

function makeNode(t: TestContext, network: DhtNetwork, options: DhtOptions = {}): Dht {
  const node = new Dht({ listen: [US], ...options }, network.world());
  t.after(() => node.close());
  return node;
}

/** Somebody who sends packets and keeps what comes back. */
class Asker {
  readonly answers: KrpcReader[] = [];
  readonly #socket: ReturnType<DhtNetwork["bind"]>;
  readonly #network: DhtNetwork;

  constructor(network: DhtNetwork, host: string, port: number) {
    this.#network = network;
    this.#socket = network.bind({ host, port });
    const batch = this.#socket.makeBatch(16, 1536);
    this.#socket.watch(
      {
        datagramsReady: () => {
          for (let count = this.#socket.receive(batch); count > 0; count = this.#socket.receive(batch))
            for (let index = 0; index < count; index++) {
              const at = index * batch.slotBytes;
              const bytes = batch.bytes.slice(at, at + entryOf(batch.lengths, index));
              const reader = new KrpcReader();
              if (reader.read(bytes, 0, bytes.length) && reader.kind !== KIND_QUERY)
                this.answers.push(reader);
            }
        },
      },
      1,
    );
  }

  send(body: string): void {
    const bytes = Buffer.from(`d1:ad2:id20:${"a".repeat(20)}${body}1:t2:xx1:y1:qe`, "latin1");
    this.#network.post(this.#socket as VirtualSocket, addressNumber(US.host), US.port, bytes);
  }

  getPeers(): void {
    this.send(`9:info_hash20:${text(HASH)}e1:q9:get_peers`);
  }

  announce(token: string, port: number): void {
    this.send(`9:info_hash20:${text(HASH)}4:porti${port}e5:token8:${token}e1:q13:announce_peer`);
  }
}

describe("a node of the DHT gives", { timeout: 120_000 }, () => {
  it("no more answers than its budget has, in whosever names it is asked", async (t) => {
    const network = new DhtNetwork({ seed: 1, loss: 0, medianDelayMs: 1, delaySpread: 0 });
    const node = makeNode(t, network, { answersPerSecond: 100 });
    let answers = 0;
    network.far = {
      take: (_address, _port, _from, bytes) => {
        const reader = new KrpcReader();
        if (reader.read(bytes, 0, bytes.length) && reader.kind === KIND_RESPONSE) answers++;
      },
    };
    const query = Buffer.from(
      `d1:ad2:id20:${"a".repeat(20)}9:info_hash20:${text(HASH)}e1:q9:get_peers1:t2:xx1:y1:qe`,
    );
    const socket = network.bind({ host: "12.0.0.1", port: 1 }) as VirtualSocket;
    const ours = entryOf(entryOf([...node.overlays.values()], 0).nodes, 0).socket as VirtualSocket;
    // 20 seconds of 1,000 queries a second, each of another address.
    for (let second = 0; second < 20; second++) {
      for (let count = 0; count < 1000; count++)
        network.sendFrom(addressNumber("20.0.0.1") + 1024 * (1000 * second + count), 5000, ours, query);
      await network.run(1000);
    }
    socket.close();
    assert.ok(answers >= 20 * 100 && answers <= (20 + 6) * 100, `${answers} answers`);
    const { counters } = node.stats();
    assert.equal(counters.overBudget + counters.answersSent, counters.queriesReceived);
    assert.equal(counters.queriesReceived, 20_000);
  });

  it("those who ask seldom their answers, while others ask all the time", async (t) => {
    const network = new DhtNetwork({ seed: 8, loss: 0, medianDelayMs: 1, delaySpread: 0 });
    const node = makeNode(t, network, { answersPerSecond: 100 });
    const [busy, quiet] = [addressNumber("20.0.0.1"), addressNumber("30.0.0.1")];
    const answers = { busy: 0, quiet: 0 };
    network.far = {
      take: (address, _port, _from, bytes) => {
        const reader = new KrpcReader();
        if (!reader.read(bytes, 0, bytes.length) || reader.kind !== KIND_RESPONSE) return;
        if (address >= quiet) answers.quiet++;
        else answers.busy++;
      },
    };
    const query = Buffer.from(`d1:ad2:id20:${"a".repeat(20)}e1:q4:ping1:t2:xx1:y1:qe`);
    const ours = entryOf(entryOf([...node.overlays.values()], 0).nodes, 0).socket as VirtualSocket;
    // 60 addresses that ask 8 times a second, and 10 that do once in two.
    for (let eighth = 0; eighth < 8 * 40; eighth++) {
      for (let who = 0; who < 60; who++) network.sendFrom(busy + 1024 * who, 5000, ours, query);
      if (eighth % 16 === 0)
        for (let who = 0; who < 10; who++) network.sendFrom(quiet + 1024 * who, 5000, ours, query);
      await network.run(125);
    }
    assert.ok(answers.quiet >= 190, `${answers.quiet} of 200`);
    assert.ok(answers.busy >= 60 * 40 && node.stats().counters.overBudget > 0, `${answers.busy} to others`);
  });

  it("one address few places in a swarm, and others theirs", async (t) => {
    const network = new DhtNetwork({ seed: 2, loss: 0, medianDelayMs: 1, delaySpread: 0 });
    const node = makeNode(t, network, { incomingPerSecond: 1000 });
    const announceAll = async (asker: Asker, ports: number): Promise<{ taken: number; refused: number }> => {
      asker.getPeers();
      await network.run(100);
      const [first] = asker.answers.splice(0);
      assert.ok(first !== undefined && first.tokenAt >= 0);
      const token = text(first.bytes.subarray(first.tokenAt, first.tokenAt + first.tokenBytes));
      for (let port = 1; port <= ports; port++) asker.announce(token, 1000 + port);
      await network.run(1000);
      const errors = asker.answers.filter(({ kind }) => kind === KIND_ERROR).length;
      return { taken: asker.answers.length - errors, refused: errors };
    };
    const greedy = await announceAll(new Asker(network, "12.0.0.1", 1), 50);
    assert.deepEqual(greedy, { taken: PORTS_MAX, refused: 50 - PORTS_MAX });
    assert.deepEqual(await announceAll(new Asker(network, "12.0.1.1", 1), 2), { taken: 2, refused: 0 });
    const { peersKept, announcesRefused } = node.stats();
    assert.deepEqual([peersKept, announcesRefused], [PORTS_MAX + 2, 50 - PORTS_MAX]);
  });

  it("each far end one voice about our address", () => {
    const ours = Uint8Array.of(82, 1, 2, 3);
    const wrong = Uint8Array.of(66, 6, 6, 6);
    const bounds = makeBoundCounters();
    const address = new ExternalAddress(bounds);
    const vote = (voter: number, said: Uint8Array): void => address.vote(voter, said, 0, 4);
    for (let count = 0; count < 1000; count++) vote(1, wrong);
    vote(2, ours);
    vote(3, ours);
    assert.equal(address.host, undefined, "two are few");
    assert.equal(bounds.addressesDisputed, 0, "nobody is known to be wrong yet");
    vote(4, ours);
    assert.equal(address.host, "82.1.2.3");
    for (let count = 0; count < 5; count++) vote(1, wrong);
    assert.equal(bounds.addressesDisputed, 5, "one voice, and each time that it is raised");
    for (let voter = 10; voter < 20; voter++) vote(voter, wrong);
    assert.equal(address.host, "66.6.6.6", "most far ends, whatever they say");
    for (let voter = 10; voter < 20; voter++) vote(voter, ours);
    assert.equal(address.host, "82.1.2.3", "their last word counts");
    for (let voter = 100; voter < 10_000; voter++) vote(voter, Uint8Array.of(1, voter >> 8, voter, 9));
    assert.equal(address.host, undefined, "and nobody's that was heard of long ago");
  });

  it("hears of its address from its far ends", async (t) => {
    const network = new DhtNetwork({ seed: 3, loss: 0 });
    const node = makeNode(t, network);
    for (let index = 2; index < 8; index++)
      makeNode(t, network, { listen: [{ host: `11.${index}.1.1`, port: 1 }], bootstrap: [US] });
    const [before] = node.ids;
    await network.run(60_000);
    assert.equal(node.stats().externalAddress, US.host);
    const [id] = node.ids;
    const address = Uint8Array.of(11, 1, 1, 1);
    assert.ok(before !== undefined && id !== undefined);
    assert.ok(!isSecureId(before, 0, address, 0, 4), "chance made one of two million ids");
    assert.ok(isSecureId(id, 0, address, 0, 4), "and takes an id that belongs to it");
    assert.ok(node.stats().contacts >= 4);
    for (const overlay of node.overlays.values()) overlay.checkInvariants();
    // It keeps that id over a restart, and whom it knows; one that is given is kept in any case.
    const saved = node.save();
    for (let torrent = 0; torrent < 10; torrent++) void node.announce(HASH.map((byte) => byte ^ torrent));
    node.close();
    assert.deepEqual(node.save(), saved, "whoever had not answered yet is not dropped for that");
    const [again] = makeNode(t, network, { saved: node.save() }).ids;
    assert.deepEqual(Buffer.from(again ?? []), Buffer.from(id));
    const own = makeNode(t, network, {
      listen: [{ host: "11.77.1.1", port: 1 }],
      id: before,
      bootstrap: [{ host: "11.3.1.1", port: 1 }],
    });
    await network.run(60_000);
    assert.equal(own.stats().externalAddress, "11.77.1.1");
    assert.deepEqual(Buffer.from(own.ids[0] ?? []), Buffer.from(before));
  });

  it("a small network few questions, and fewer as time goes on", async (t) => {
    const network = new DhtNetwork({ seed: 4, loss: 0 });
    const nodes = [makeNode(t, network)];
    for (let index = 2; index < 6; index++)
      nodes.push(makeNode(t, network, { listen: [{ host: `11.${index}.1.1`, port: 1 }], bootstrap: [US] }));
    await network.run(120_000);
    assert.ok(nodes.every((node) => node.stats().contacts === 4));
    const before = nodes.map((node) => node.stats().counters.queriesSent);
    await network.run(600_000);
    for (const [index, node] of nodes.entries()) {
      const sent = node.stats().counters.queriesSent - entryOf(before, index);
      assert.ok(sent <= 40, `${sent} queries in ten minutes, to four nodes`);
    }
    // And finds who comes later.
    const late = makeNode(t, network, { listen: [{ host: "11.9.1.1", port: 1 }], bootstrap: [US] });
    await network.run(120_000);
    assert.equal(late.stats().contacts, 5);
  });

  it("its program each hash that is asked for, exactly, and the network not one packet for it", async () => {
    const run = async (t: { after(fn: () => void): void }, collects: boolean): Promise<number[]> => {
      const network = new DhtNetwork({ seed: 5, loss: 0.02 });
      let asked = 0;
      let announced = 0;
      const hashes = {
        hashSeen: (_query: KrpcReader, _sender: unknown, isAnnounce: boolean): void => {
          if (isAnnounce) announced++;
          else asked++;
        },
      };
      const node = makeNode(t as TestContext, network, collects ? { hashes } : {});
      let got = 0;
      const reader = new KrpcReader();
      const ours = entryOf(entryOf([...node.overlays.values()], 0).nodes, 0).socket as VirtualSocket;
      const take = ours.take.bind(ours);
      const counts = { get_peers: 0, announce_peer: 0 };
      ours.take = (address, port, bytes) => {
        got++;
        if (reader.read(bytes, 0, bytes.length) && reader.kind === KIND_QUERY) {
          if (text(bytes).includes("9:get_peers")) counts.get_peers++;
          if (text(bytes).includes("13:announce_peer")) counts.announce_peer++;
        }
        take(address, port, bytes);
      };
      const others: Dht[] = [];
      for (let index = 2; index < 14; index++)
        others.push(
          makeNode(t as TestContext, network, {
            listen: [{ host: `11.${index}.1.1`, port: 1 }],
            bootstrap: [US],
          }),
        );
      await network.run(60_000);
      for (const [index, other] of others.entries())
        void other.announce(
          HASH.map((byte) => byte ^ index),
          { port: 80 },
        );
      await network.run(60_000);
      if (collects) {
        assert.ok(asked >= 10 && announced >= 5);
        assert.deepEqual([asked, announced], [counts.get_peers, counts.announce_peer]);
      }
      return [network.datagrams, network.bytes, got];
    };
    const closing: (() => void)[] = [];
    const t = { after: (fn: () => void): void => void closing.push(fn) };
    assert.deepEqual(await run(t, true), await run(t, false));
    for (const close of closing) close();
  });
});
