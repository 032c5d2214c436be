// The UDP tracker on a network in memory: what it answers, to whom, and what it does not answer. One file, because all tests ask by one client.

import { strict as assert } from "node:assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DatagramNetwork } from "../../../../src/native/datagram-network.js";
import { type DatagramBatch, type DatagramSocket, READABLE } from "../../../../src/native/datagrams.js";
import { PeerStore } from "../../../../src/tracker/peer-store/peer-store.js";
import * as udp from "../../../../src/tracker/protocol/udp.js";
import { ConnectionIds, SLOT_MS } from "../../../../src/tracker/server/connection-ids.js";
import {
  REQUEST_SLOT_BYTES,
  RESPONSE_SLOT_BYTES,
  UdpResponder,
} from "../../../../src/tracker/server/udp-responder.js";
import { UdpServer } from "../../../../src/tracker/server/udp-server.js";
import { check } from "../../../support/property.js";
import { entryOf, required } from "../../../support/required.js";

const KEY = Uint32Array.of(1, 2, 3, 4);
const HASH = Uint8Array.from({ length: 20 }, (_, index) => 3 * index);
const OPTIONS = { intervalSeconds: 900, peersDefault: 50, peersMax: 200, dice: 1 };
const NOW_MS = 10 * SLOT_MS;

class Place {
  readonly network = new DatagramNetwork();
  readonly store = new PeerStore({ key: KEY, bytesMax: 2 ** 24 });
  readonly ids = new ConnectionIds(KEY);
  readonly server: UdpServer;

  constructor(host = "10.0.0.1", options = OPTIONS) {
    this.ids.advance(NOW_MS);
    const socket = this.network.bind({ host, port: 6969 });
    this.server = new UdpServer(socket, this.store, this.ids, options);
  }

  client(host: string, port = 0): Client {
    return new Client(this.network, this.server.socket, host, port);
  }

  /** What a client is answered whose requests all wait when the server looks, so that it reads them as one batch. */
  answersTo(client: Client, batch: DatagramBatch): DataView[] {
    const { socket } = this.server;
    socket.watch(this.server, 0);
    assert.equal(client.socket.send(batch, 0, batch.entries), batch.entries);
    assert.equal(client.hear().length, 0);
    const { receiveCalls } = socket.counters;
    socket.watch(this.server, READABLE);
    const answers = client.hear();
    assert.equal(socket.counters.receiveCalls - receiveCalls, 2, "one batch, and none after it");
    return answers;
  }
}

class Client {
  readonly socket: DatagramSocket;
  readonly #network: DatagramNetwork;
  readonly #heard: DataView[] = [];

  constructor(network: DatagramNetwork, server: DatagramSocket, host: string, port: number) {
    this.#network = network;
    this.socket = network.bind({ host, port });
    this.socket.connect(server.address);
    const batch = this.socket.makeBatch(8, 2048);
    this.socket.watch(
      {
        datagramsReady: () => {
          const count = this.socket.receive(batch);
          for (let entry = 0; entry < count; entry++) {
            const at = entry * batch.slotBytes;
            this.#heard.push(new DataView(batch.bytes.slice(at, at + entryOf(batch.lengths, entry)).buffer));
          }
        },
      },
      READABLE,
    );
  }

  /** Sends some bytes; what came back. */
  ask(bytes: Uint8Array): DataView[] {
    const batch = this.socket.makeBatch(1, 4096);
    batch.bytes.set(bytes);
    batch.lengths[0] = bytes.length;
    this.socket.send(batch, 0, 1);
    return this.hear();
  }

  /** What came back of what was sent. */
  hear(): DataView[] {
    this.#network.run(this.#network.nowMs + 10);
    return this.#heard.splice(0);
  }

  connect(transaction = 7): { high: number; low: number } {
    const view = new DataView(new ArrayBuffer(16));
    udp.writeConnectRequest(view, 0, transaction);
    const [answer] = this.ask(new Uint8Array(view.buffer));
    assert.ok(answer !== undefined, "a connect request is answered");
    assert.equal(answer.byteLength, 16);
    assert.equal(udp.responseAction(answer, 0, 16), udp.ACTION_CONNECT);
    assert.equal(answer.getUint32(4), transaction);
    return { high: answer.getUint32(8), low: answer.getUint32(12) };
  }
}

interface Wish {
  id: { high: number; low: number };
  hash?: Uint8Array;
  left?: number;
  event?: number;
  numWant?: number;
  port?: number;
}

function announceBytes({
  id,
  hash = HASH,
  left = 1,
  event = 2,
  numWant = -1,
  port = 7000,
}: Wish): Uint8Array {
  const view = new DataView(new ArrayBuffer(98));
  const fields = {
    infoHash: hash,
    peerId: new Uint8Array(20),
    downloaded: 0,
    left,
    uploaded: 0,
    event,
    ip: 0,
    key: 0,
    numWant,
    port,
  };
  udp.writeAnnounceRequest(view, 0, id.high, id.low, 99, fields);
  return new Uint8Array(view.buffer);
}

function peersIn(view: DataView, endpointBytes: number): string[] {
  const peers: string[] = [];
  for (let at = 20; at < view.byteLength; at += endpointBytes)
    peers.push(Buffer.from(view.buffer, at, endpointBytes).toString("hex"));
  return peers;
}

/** What an answer says of the swarm, and how many peers it tells of. */
function countsIn(view: DataView): number[] {
  return [view.getUint32(12), view.getUint32(16), (view.byteLength - 20) / 6];
}

describe("UDP tracker", () => {
  for (const [family, server, hosts, endpoints] of [
    ["IPv4", "10.0.0.1", ["10.0.0.2", "10.0.0.3"], ["0a0000021b58", "0a0000031b59"]],
    [
      "IPv6",
      "fd00::1",
      ["fd00::2", "fd00::3"],
      ["fd0000000000000000000000000000021b58", "fd0000000000000000000000000000031b59"],
    ],
  ] as const) {
    it(`${family}: two who announce are told of each other, and counted`, () => {
      const place = new Place(server);
      const one = place.client(hosts[0]);
      const other = place.client(hosts[1]);
      const first = entryOf(one.ask(announceBytes({ id: one.connect(), left: 0 })), 0);
      assert.deepEqual([20, 900, 0, 1], [first.byteLength, ...[8, 12, 16].map((at) => first.getUint32(at))]);
      assert.equal(first.getUint32(4), 99);
      const id = other.connect();
      const second = entryOf(other.ask(announceBytes({ id, port: 7001 })), 0);
      assert.deepEqual(
        [900, 1, 1],
        [8, 12, 16].map((at) => second.getUint32(at)),
      );
      assert.deepEqual(peersIn(second, endpoints[0].length / 2), [endpoints[0]]);
      const third = entryOf(one.ask(announceBytes({ id: one.connect(), left: 0, event: 0 })), 0);
      assert.deepEqual(peersIn(third, endpoints[0].length / 2), [endpoints[1]]);
      // The last one stops, having completed.
      other.ask(announceBytes({ id, port: 7001, left: 0, event: 1 }));
      const stopped = entryOf(other.ask(announceBytes({ id, port: 7001, left: 0, event: 3 })), 0);
      assert.deepEqual([0, 1, 20], [stopped.getUint32(12), stopped.getUint32(16), stopped.byteLength]);
      const scrape = new DataView(new ArrayBuffer(56));
      udp.writeScrapeRequest(scrape, 0, id.high, id.low, 5, [HASH, new Uint8Array(20)]);
      const scraped = entryOf(other.ask(new Uint8Array(scrape.buffer)), 0);
      assert.deepEqual(
        [8, 12, 16, 20, 24, 28].map((at) => scraped.getUint32(at)),
        [1, 1, 0, 0, 0, 0],
      );
      assert.equal(scraped.getUint32(4), 5);
    });

    it(`${family}: an answer fits one datagram, whatever is wanted`, () => {
      const place = new Place(server, { ...OPTIONS, peersMax: 1000 });
      const one = place.client(hosts[0]);
      const id = one.connect();
      for (let port = 1; port <= 400; port++) one.ask(announceBytes({ id, port, numWant: 0 }));
      for (const [numWant, told] of [
        [-1, 50],
        [0, 0],
        [3, 3],
        [2 ** 31 - 1, family === "IPv4" ? 238 : 79],
        [-(2 ** 31), 50],
      ] as const) {
        const [answer] = one.ask(announceBytes({ id, port: 1, numWant }));
        assert.equal(peersIn(required(answer, "answer"), endpoints[0].length / 2).length, told);
        assert.ok(required(answer, "answer").byteLength <= 1452);
      }
    });

    it(`${family}: a connection id is its address's, for two time slots, and any port's`, () => {
      const place = new Place(server);
      const one = place.client(hosts[0]);
      const id = one.connect();
      const from = (host: string, slot: number): number => {
        place.ids.advance(NOW_MS + slot * SLOT_MS);
        return place.client(host).ask(announceBytes({ id })).length;
      };
      assert.deepEqual([from(hosts[0], 0), from(hosts[0], 1), from(hosts[0], 2)], [1, 1, 0]);
      assert.deepEqual([from(hosts[0], -1), from(hosts[1], 0), from(hosts[1], 1)], [0, 0, 0]);
      assert.equal(place.server.counters.invalidIds, 4);
    });
  }

  it("trackers that share a key take each other's ids, and no others", () => {
    const one = new Place().client("10.0.0.2").connect();
    const other = new Place();
    assert.equal(other.client("10.0.0.2").ask(announceBytes({ id: one })).length, 1);
    const stranger = new Place();
    const keyed = new ConnectionIds(Uint32Array.of(1, 2, 3, 5));
    keyed.advance(NOW_MS);
    keyed.make(4, Uint32Array.of(0), 0);
    assert.equal(stranger.client("10.0.0.2").ask(announceBytes({ id: keyed })).length, 0);
  });

  it("counts and does not answer what is cut, long, unknown or impossible", () => {
    const place = new Place();
    const client = place.client("10.0.0.2");
    const id = client.connect();
    const whole = announceBytes({ id });
    const connect = new DataView(new ArrayBuffer(16));
    udp.writeConnectRequest(connect, 0, 1);
    const wrongMagic = new Uint8Array(connect.buffer.slice(0));
    wrongMagic[7] = entryOf(wrongMagic, 7) + 1;
    const action = (code: number): Uint8Array => {
      const bytes = whole.slice();
      new DataView(bytes.buffer).setUint32(8, code);
      return bytes;
    };
    const long = new Uint8Array(2000);
    long.set(whole);
    const badOption = new Uint8Array(101);
    badOption.set(whole);
    badOption.set([2, 200, 0], 98);
    const cases: [string, Uint8Array, keyof typeof place.server.counters][] = [
      ["empty", new Uint8Array(0), "tooShort"],
      ["15 bytes of a connect", new Uint8Array(connect.buffer, 0, 15), "tooShort"],
      ["97 bytes of an announce", whole.subarray(0, 97), "tooShort"],
      ["a connect with another magic", wrongMagic, "unknown"],
      ["action 3", action(3), "unknown"],
      ["action 2^31", action(2 ** 31), "unknown"],
      ["longer than a slot", long, "truncated"],
      ["an option longer than the datagram", badOption, "malformed"],
      ["event 4", announceBytes({ id, event: 4 }), "malformed"],
      ["port 0", announceBytes({ id, port: 0 }), "portZero"],
      ["another id", announceBytes({ id: { high: id.high, low: id.low ^ 1 } }), "invalidIds"],
      ["a scrape of nothing", action(2).subarray(0, 16), "malformed"],
      ["a scrape of half a hash", action(2).subarray(0, 26), "malformed"],
    ];
    for (const [what, bytes, counter] of cases) {
      const before = place.server.counters[counter];
      assert.deepEqual(client.ask(bytes), [], what);
      assert.equal(place.server.counters[counter], before + 1, what);
    }
    assert.equal(place.store.totals().torrents, 0);
    // And goes on.
    assert.equal(client.ask(whole).length, 1);
    const options = new DataView(new ArrayBuffer(200));
    new Uint8Array(options.buffer).set(whole);
    const length = udp.appendUrlData(options, 0, 98, Buffer.from("/announce?key=1"));
    assert.equal(client.ask(new Uint8Array(options.buffer, 0, length)).length, 1);
  });

  it("does not answer to port 0, and does not try to", () => {
    const place = new Place();
    const { socket } = place.server;
    const requests = socket.makeBatch(2, REQUEST_SLOT_BYTES);
    const responses = socket.makeBatch(2, RESPONSE_SLOT_BYTES);
    const responder = new UdpResponder(4, place.store, place.ids, requests, responses, OPTIONS);
    for (const entry of [0, 1]) {
      requests.lengths[entry] = udp.writeConnectRequest(requests.view, entry * REQUEST_SLOT_BYTES, entry);
      requests.addresses[4 * entry] = 0x0200000a;
    }
    requests.ports[1] = 6881;
    assert.equal(responder.respond(2), 1);
    assert.equal(responses.ports[0], 6881);
    assert.equal(responder.counters.portZero, 1);
  });

  it("answers each that is to be answered in a batch, and with its own answer", () => {
    const place = new Place();
    const client = place.client("10.0.0.2");
    const id = client.connect();
    const batch = client.socket.makeBatch(64, 104);
    for (const [pattern, isBad] of [
      ["every second one", (entry: number) => entry % 2 === 1],
      ["the first and the last", (entry: number) => entry === 0 || entry === 63],
      ["all but one", (entry: number) => entry !== 31],
    ] as const) {
      for (let entry = 0; entry < 64; entry++) {
        const bytes = announceBytes({ id, numWant: 5, port: 1 + entry });
        // The last byte of its transaction.
        bytes[15] = entry;
        if (isBad(entry)) bytes.fill(0xff, 0, 8);
        batch.bytes.set(bytes, entry * 104);
      }
      batch.lengths.fill(98);
      const asked = Array.from({ length: 64 }, (_, entry) => entry).filter((entry) => !isBad(entry));
      const told = place.answersTo(client, batch).map((answer) => answer.getUint8(7));
      assert.deepEqual(told, asked, `not to be answered: ${pattern}`);
    }
    assert.equal(place.server.counters.unsent, 0);
  });

  it("answers 64 requests that it reads as one batch as it answers one after the other, in swarms of all sizes", () => {
    const [together, apart] = [new Place(), new Place()];
    const answers = [together, apart].map((place) => {
      const client = place.client("10.0.0.2");
      const id = client.connect();
      const counts: number[][] = [];
      const batch = client.socket.makeBatch(64, 104);
      for (let round = 0; round < 60; round++) {
        for (let entry = 0; entry < 64; entry++) {
          const number = 64 * round + entry;
          // A few large swarms, some small ones, and many of one peer.
          const torrent = entryOf([0, number % 7, number % 300, number], number & 3);
          const hash = HASH.map((byte, index) => byte ^ (torrent >>> (8 * (index & 3))));
          const bytes = announceBytes({ id, hash, left: number % 3, numWant: 20, port: 1 + (number % 2000) });
          if (place === apart) counts.push(...client.ask(bytes).map(countsIn));
          batch.bytes.set(bytes, entry * 104);
        }
        if (place === apart) continue;
        batch.lengths.fill(98);
        counts.push(...place.answersTo(client, batch).map(countsIn));
      }
      return counts;
    });
    assert.equal(entryOf(answers, 0).length, 60 * 64);
    assert.deepEqual(answers[0], answers[1]);
    assert.deepEqual(together.store.totals(), apart.store.totals());
  });

  it("scrapes 74 at the most", () => {
    const place = new Place();
    const client = place.client("10.0.0.2");
    const id = client.connect();
    const ask = (count: number): number | undefined => {
      const view = new DataView(new ArrayBuffer(16 + 20 * count));
      const hashes = Array.from({ length: count }, (_, index) => HASH.map((byte) => byte ^ index));
      udp.writeScrapeRequest(view, 0, id.high, id.low, 1, hashes);
      return client.ask(new Uint8Array(view.buffer))[0]?.byteLength;
    };
    assert.deepEqual([ask(1), ask(74), ask(75), ask(200)], [20, 8 + 74 * 12, 8 + 74 * 12, undefined]);
  });

  it("says no more than it hears to whoever has no connection id, whatever comes", () => {
    const place = new Place();
    const client = place.client("10.0.0.2");
    const magic = Uint8Array.of(0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0);
    const start = fc.constantFrom(
      new Uint8Array(0),
      magic,
      Uint8Array.of(0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80),
    );
    check(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
        const bytes = Buffer.concat([head, tail]);
        const bytesOut = client.ask(bytes).reduce((sum, { byteLength }) => sum + byteLength, 0);
        assert.ok(bytesOut <= bytes.length, `${bytesOut} for ${bytes.length}`);
      }),
      3000,
    );
    const { bytesIn, bytesOut, connects } = place.server.counters;
    assert.ok(connects > 100 && bytesOut === 16 * connects && bytesOut < bytesIn);
    assert.equal(place.store.totals().torrents, 0);
  });

  it("with a valid id, whatever else is in a request, answers it whole or not at all", () => {
    const place = new Place();
    const client = place.client("10.0.0.2");
    const id = client.connect();
    const anyLength = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.uint8Array({ minLength: 86, maxLength: 100 }),
      fc.uint8Array({ minLength: 86, maxLength: 86 }),
    );
    check(
      fc.property(anyLength, fc.constantFrom(0, 1, 1, 1, 2, 2, 3), (tail, action) => {
        const bytes = new Uint8Array(12 + tail.length);
        const view = new DataView(bytes.buffer);
        view.setUint32(0, id.high);
        view.setUint32(4, id.low);
        view.setUint32(8, action);
        bytes.set(tail, 12);
        // Events that exist, so that some are taken in.
        if (bytes.length > 84) view.setUint32(80, entryOf(bytes, 83) & 3);
        const answers = client.ask(bytes);
        assert.ok(answers.length <= 1);
        for (const answer of answers) {
          assert.equal(udp.responseAction(answer, 0, answer.byteLength), action);
          assert.equal(answer.getUint32(4), view.getUint32(12));
        }
      }),
      3000,
    );
    assert.ok(place.server.counters.announces > 100);
  });
});

describe("a UDP tracker whose socket is never empty", () => {
  it("reads 32 batches in a turn of the loop, and leaves the rest to the next", () => {
    let calls = 0;
    const real = new DatagramNetwork().bind({ host: "10.0.0.1", port: 6969 });
    const socket: DatagramSocket = Object.assign(Object.create(real) as DatagramSocket, {
      address: real.address,
      family: real.family,
      makeBatch: (entries: number, slotBytes: number) => real.makeBatch(entries, slotBytes),
      watch: () => {},
      receive: (batch: DatagramBatch) => {
        batch.lengths[0] = 0;
        if (++calls > 1000) throw new Error("a turn without an end");
        return 1;
      },
    });
    const server = new UdpServer(socket, new PeerStore({ key: KEY }), new ConnectionIds(KEY), OPTIONS);
    for (let turns = 1; turns <= 3; turns++) {
      server.datagramsReady();
      assert.equal(calls, 32 * turns);
    }
  });
});
