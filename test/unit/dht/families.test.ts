// Nodes over real sockets: at ::1, of both families, of several addresses, and read-only ones (BEP 32, 43, 45).

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { describe, it, type TestContext } from "node:test";
import { Dht, type DhtOptions } from "../../../src/dht/index.js";
import { KIND_QUERY, KIND_RESPONSE, KrpcReader } from "../../../src/dht/krpc-reader.js";
import { TOLD_ENTRANCES_MAX } from "../../../src/dht/overlay.js";
import type { SocketAddress } from "../../../src/native/binding.js";
import { until } from "../../support/clients.js";
import { entryOf, required } from "../../support/required.js";

const V4 = { host: "127.0.0.1", port: 0 };
const V6 = { host: "::1", port: 0 };
/** As addresses in packets are written. */
const V6_TEXT = "0:0:0:0:0:0:0:1";
const HASH = new Uint8Array(20).fill(0x61);
const TIMEOUT_MS = 60_000;

function makeNode(t: TestContext, options: DhtOptions): Dht {
  const node = new Dht(options);
  t.after(() => node.close());
  return node;
}

async function makeNodes(t: TestContext, count: number, listen: readonly SocketAddress[]): Promise<Dht[]> {
  const nodes: Dht[] = [];
  for (let index = 0; index < count; index++)
    nodes.push(makeNode(t, { listen, bootstrap: nodes[0]?.addresses ?? [] }));
  await until(async () => nodes.every((node) => node.stats().contacts >= count - 1), TIMEOUT_MS);
  return nodes;
}

async function lookUp(node: Dht, hash: Uint8Array = HASH): Promise<string[]> {
  const found: string[] = [];
  for await (const { host, port } of node.lookup(hash)) found.push(`${host} ${port}`);
  return found.sort();
}

/** Somebody at a socket who keeps what comes. */
class Stranger {
  readonly messages: KrpcReader[] = [];
  readonly address: SocketAddress;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = { host: socket.address().address, port: socket.address().port };
    socket.on("message", (bytes) => {
      const reader = new KrpcReader();
      if (reader.read(bytes, 0, bytes.length)) this.messages.push(reader);
    });
  }

  static async at(t: TestContext, host: string): Promise<Stranger> {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    await new Promise<void>((resolve) => socket.bind(0, host, resolve));
    t.after(() => socket.close());
    return new Stranger(socket);
  }

  send(to: SocketAddress, text: string): void {
    this.#socket.send(Buffer.from(text, "latin1"), to.port, to.host);
  }

  ping(to: SocketAddress, more = ""): void {
    this.send(to, `d1:ad2:id20:${"s".repeat(20)}e1:q4:ping${more}1:t2:xx1:y1:qe`);
  }

  /** Answers a query that came, with an id. */
  answer(query: KrpcReader, to: SocketAddress, id: string): void {
    const { bytes, transactionAt, transactionBytes } = query;
    const t = Buffer.from(bytes.subarray(transactionAt, transactionAt + transactionBytes)).toString("latin1");
    this.send(to, `d1:rd2:id20:${id}e1:t${transactionBytes}:${t}1:y1:re`);
  }
}

describe("nodes of the DHT over IPv6", { timeout: 2 * TIMEOUT_MS }, () => {
  it("find, count and tell of what one of them announced", async (t) => {
    const nodes = await makeNodes(t, 6, [V6]);
    assert.ok((await entryOf(nodes, 1).announce(HASH, { port: 4242, seed: true })) >= 4);
    assert.deepEqual(await lookUp(entryOf(nodes, 4)), [`${V6_TEXT} 4242`]);
    const { seeds, peers, nodes: told } = await entryOf(nodes, 5).scrape(HASH);
    assert.deepEqual([seeds, peers], [1, 0]);
    assert.ok(told >= 4);
    const sampled: string[] = [];
    for await (const { infoHashes } of entryOf(nodes, 3).sample({ sweeps: 1 }))
      sampled.push(...infoHashes.map((bytes) => Buffer.from(bytes).toString("hex")));
    assert.ok(sampled.includes(Buffer.from(HASH).toString("hex")));
    // What one keeps another begins with.
    const again = makeNode(t, { listen: [V6], saved: entryOf(nodes, 2).save() });
    await until(async () => again.stats().contacts >= 4, TIMEOUT_MS);
  });

  it("are found by who begins with IPv4, and told what is announced in both", async (t) => {
    const nodes = await makeNodes(t, 6, [V4, V6]);
    const entrance = entryOf(
      entryOf(nodes, 0).addresses.filter(({ host }) => host === V4.host),
      0,
    );
    const late = makeNode(t, { listen: [V4, V6], bootstrap: [entrance] });
    await until(async () => (late.overlays.get(6)?.table.count ?? 0) >= 4, TIMEOUT_MS);
    await until(async () => (late.overlays.get(4)?.table.count ?? 0) >= 4, TIMEOUT_MS);
    assert.ok((await late.announce(HASH, { port: 777 })) >= 8);
    assert.deepEqual(await lookUp(entryOf(nodes, 3)), [`${V6_TEXT} 777`, "127.0.0.1 777"]);
  });

  it("are told the port of their kind of address, and nothing where there is none", async (t) => {
    const nodes = await makeNodes(t, 6, [V4, V6]);
    const told = async (ports: { v4?: number; v6?: number }, hash: Uint8Array): Promise<string[]> => {
      assert.ok((await entryOf(nodes, 1).announce(hash, { port: 1, ports })) >= 4);
      return lookUp(entryOf(nodes, 4), hash);
    };
    const hashes = [1, 2, 3].map((byte) => new Uint8Array(20).fill(byte));
    const [both, onlyV4, onlyV6] = hashes as [Uint8Array, Uint8Array, Uint8Array];
    assert.deepEqual(await told({ v4: 777, v6: 888 }, both), [`${V6_TEXT} 888`, "127.0.0.1 777"]);
    assert.deepEqual(await told({ v4: 777 }, onlyV4), ["127.0.0.1 777"]);
    assert.deepEqual(await told({ v6: 888 }, onlyV6), [`${V6_TEXT} 888`]);
    await assert.rejects(entryOf(nodes, 1).announce(HASH, { ports: { v6: 65_536 } }), {
      code: "USAGE_OPTION",
    });
  });

  it("are remembered up to a bound, where answers over IPv4 name them", async (t) => {
    const node = makeNode(t, { listen: [V4, V6], bootstrap: [] });
    const overlay = required(node.overlays.get(6), "an entry of overlays");
    const answer = new KrpcReader();
    for (let round = 0; round < 20; round++) {
      const nodes = Buffer.alloc(30 * 38, round + 1);
      for (let index = 0; index < 30; index++) nodes.set([0x20, 1, 0xd, 0xb8, round, index], 38 * index + 20);
      const list = nodes.toString("latin1");
      const text = `d1:rd2:id20:${"n".repeat(20)}6:nodes6${nodes.length}:${list}e1:t2:xx1:y1:re`;
      const bytes = Buffer.from(text, "latin1");
      assert.ok(answer.read(bytes, 0, bytes.length));
      overlay.addNamed(answer);
    }
    await until(async () => overlay.callsUnderWay > 0, TIMEOUT_MS);
    // All of them at once, and again some seconds later.
    assert.equal(overlay.callsUnderWay % TOLD_ENTRANCES_MAX, 0, `${overlay.callsUnderWay} are asked`);
  });

  it("answer each at its address with its id, where one program has several", async (t) => {
    const node = makeNode(t, { listen: [V6, V6, V4, { host: "127.0.0.2", port: 0 }], bootstrap: [] });
    const { addresses, ids } = node;
    assert.equal(new Set(ids.slice(0, 2).map((id) => Buffer.from(id).toString("hex"))).size, 2);
    for (const [index, address] of addresses.entries()) {
      const stranger = await Stranger.at(t, address.host);
      stranger.ping(address);
      await until(async () => stranger.messages.some(({ kind }) => kind === KIND_RESPONSE), TIMEOUT_MS);
      const answer = required(
        stranger.messages.find(({ kind }) => kind === KIND_RESPONSE),
        "one of messages",
      );
      assert.deepEqual(
        Buffer.from(answer.bytes.subarray(answer.idAt, answer.idAt + 20)),
        Buffer.from(entryOf(ids, index)),
      );
      assert.equal(answer.ipBytes, address.host.includes(":") ? 18 : 6);
    }
  });
});

describe("a read-only node of the DHT", { timeout: 2 * TIMEOUT_MS }, () => {
  it("says so, asks, and answers nobody", async (t) => {
    const stranger = await Stranger.at(t, V4.host);
    const node = makeNode(t, { listen: [V4], bootstrap: [stranger.address], readOnly: true });
    await until(async () => stranger.messages.length > 0, TIMEOUT_MS);
    assert.ok(stranger.messages.every(({ kind, isReadOnly }) => kind === KIND_QUERY && isReadOnly));
    const { address: to } = { address: entryOf(node.addresses, 0) };
    for (let count = 0; count < 3; count++) stranger.ping(to);
    stranger.answer(entryOf(stranger.messages, 0), to, "q".repeat(20));
    // What came after the pings has been read, and so have they.
    await until(
      async () => node.stats().contacts === 1 && node.stats().counters.queriesReceived === 3,
      TIMEOUT_MS,
    );
    assert.equal(node.stats().counters.answersSent, 0);
    assert.ok(stranger.messages.every(({ kind }) => kind === KIND_QUERY));
  });

  it("is answered, and neither asked back nor told of", async (t) => {
    const node = makeNode(t, { listen: [V4], bootstrap: [] });
    const to = entryOf(node.addresses, 0);
    const quiet = await Stranger.at(t, V4.host);
    const other = await Stranger.at(t, V4.host);
    quiet.ping(to, "2:roi1e");
    await until(async () => quiet.messages.some(({ kind }) => kind === KIND_RESPONSE), TIMEOUT_MS);
    // Whoever is none, and came later, is asked back.
    other.ping(to);
    await until(async () => other.messages.some(({ kind }) => kind === KIND_QUERY), TIMEOUT_MS);
    assert.ok(quiet.messages.every(({ kind }) => kind !== KIND_QUERY));
    assert.equal(node.stats().contacts, 0);
  });
});
