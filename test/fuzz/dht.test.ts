// A node of the DHT, of one family of addresses or of both, in a network where everybody sends what they like: queries and answers that are
// nearly right, answers of others to queries of ours, ids that change, nodes that are nowhere, filters of any length. It throws nothing, its
// tables stay as they promise, what it sends is a message of 1,024 bytes at the most, what it began ends, and it answers who is well behaved.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import {
  addressNumber,
  addressOf,
  DhtNetwork,
  IPV6,
  type VirtualSocket,
  writeAddress,
} from "../../bench/load/dht-network.js";
import type { Family } from "../../src/dht/contact.js";
import { Dht } from "../../src/dht/index.js";
import {
  KIND_QUERY,
  KIND_RESPONSE,
  KrpcReader,
  METHOD_GET_PEERS,
  METHOD_SAMPLE_INFOHASHES,
} from "../../src/dht/krpc-reader.js";
import { checkAsync, makeRandom } from "../support/property.js";
import { entryOf } from "../support/required.js";

const STEPS = 60;
/** A case is some ten thousand packets. */
const CASE_WEIGHT = 300;
const PIECES = [
  "e",
  "d",
  "l",
  "i",
  "-",
  "0",
  "9",
  "99999999999",
  ":",
  "0:",
  "-1:",
  "le",
  "de",
  "i-0e",
  "20:",
  "6:nodes",
];
const METHODS = [
  "ping",
  "find_node",
  "get_peers",
  "announce_peer",
  "sample_infohashes",
  "get",
  "put",
  "vote",
];

class World {
  readonly network: DhtNetwork;
  readonly random: () => number;
  /** Answers that somebody well-behaved got. */
  answered = 0;
  readonly #reader = new KrpcReader();
  /** What it asks, to be answered by others, or again. */
  readonly #seen: Buffer[] = [];

  constructor(seed: number) {
    this.random = makeRandom(seed);
    this.network = new DhtNetwork({ seed, loss: 0.02 });
    this.network.far = { take: (address, port, from, bytes) => this.#take(address, port, from, bytes) };
  }

  whole(below: number): number {
    return Math.floor(below * this.random());
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.whole(256)));
  }

  /** Few ids, so that they come again, and some near to each other. */
  id(): Buffer {
    const id = Buffer.alloc(20, this.whole(4) * 85);
    id[this.whole(20)] = this.whole(256);
    return id;
  }

  address(family: Family): number {
    if (this.random() >= 0.1) return this.known(family);
    return this.whole(2 ** 32) + (family === 4 ? 0 : IPV6);
  }

  /** Of those that are met again and again. */
  known(family: Family): number {
    return addressNumber("12.0.0.0") + 256 * this.whole(400) + (family === 4 ? 0 : IPV6);
  }

  /** As in `nodes` and `nodes6`. */
  nodes(family: Family): Buffer {
    const addressBytes = family === 4 ? 4 : 16;
    return Buffer.concat(
      Array.from({ length: this.whole(12) }, () => {
        const node = Buffer.alloc(22 + addressBytes);
        node.set(this.id());
        writeAddress(node, 20, this.address(family));
        node.writeUInt16BE(this.whole(20) === 0 ? 0 : 1 + this.whole(3), 20 + addressBytes);
        return node;
      }),
    );
  }

  nearly(bytes: Buffer): Buffer {
    let changed = bytes;
    for (let count = this.whole(4); count > 0; count--) {
      const at = this.whole(changed.length + 1);
      const end = at + this.whole(30);
      const kind = this.whole(4);
      if (kind === 0 && at < changed.length) {
        changed = Buffer.from(changed);
        changed[at] = this.whole(256);
      } else if (kind === 1) changed = Buffer.concat([changed.subarray(0, at), changed.subarray(end)]);
      else if (kind === 2) changed = Buffer.concat([changed.subarray(0, end), changed.subarray(at)]);
      else {
        const piece = Buffer.from(entryOf(PIECES, this.whole(PIECES.length)));
        changed = Buffer.concat([changed.subarray(0, at), piece, changed.subarray(at)]);
      }
    }
    return changed.subarray(0, 1600);
  }

  text(bytes: Uint8Array): string {
    return `${bytes.length}:${Buffer.from(bytes).toString("latin1")}`;
  }

  query(): Buffer {
    const method = entryOf(METHODS, this.whole(METHODS.length));
    const more = [
      `6:target${this.text(this.id())}`,
      `9:info_hash${this.text(this.id())}`,
      `4:porti${this.whole(70_000)}e`,
      `5:token${this.text(this.bytes(this.whole(10)))}`,
      "12:implied_porti1e",
      "4:wantl2:n42:n6e",
      "6:scrapei1e",
      "4:seedi1e",
    ].filter(() => this.random() < 0.6);
    const t = this.text(this.bytes(1 + this.whole(8)));
    return Buffer.from(
      `d1:ad2:id${this.text(this.id())}${more.join("")}e1:q${method.length}:${method}1:t${t}1:y1:qe`,
      "latin1",
    );
  }

  answer(transaction: Uint8Array, id: Uint8Array): Buffer {
    if (this.random() < 0.1)
      return Buffer.from(`d1:eli203e3:bade1:t${this.text(transaction)}1:y1:ee`, "latin1");
    const fields = [
      `8:intervali${this.whole(2) === 0 ? 0 : this.whole(1e6)}e`,
      `5:nodes${this.text(this.nodes(4))}`,
      `6:nodes6${this.text(this.random() < 0.2 ? this.bytes(38 * this.whole(3)) : this.nodes(6))}`,
      `3:numi${this.whole(1e9)}e`,
      `7:samples${this.text(this.bytes(20 * this.whole(30)))}`,
      `5:token${this.text(this.bytes(this.whole(70)))}`,
      `6:valuesl${Array.from({ length: this.whole(20) }, () => this.text(this.bytes(this.random() < 0.7 ? 6 : 18))).join("")}e`,
      `4:BFpe${this.text(this.bytes(this.random() < 0.9 ? 256 : this.whole(300)))}`,
      `4:BFsd${this.text(this.bytes(256))}`,
    ].filter(() => this.random() < 0.7);
    const ip = this.random() < 0.5 ? `2:ip${this.text(this.bytes(this.random() < 0.8 ? 6 : 18))}` : "";
    return Buffer.from(
      `d${ip}1:rd2:id${this.text(id)}${fields.join("")}e1:t${this.text(transaction)}1:y1:re`,
      "latin1",
    );
  }

  /** Somebody sends something. */
  disturb(to: VirtualSocket): void {
    const kind = this.whole(4);
    const old = this.#seen[this.whole(this.#seen.length)];
    const bytes =
      kind === 0 || old === undefined
        ? this.query()
        : kind === 1
          ? old
          : this.answer(this.bytes(4), this.id());
    const packet = this.random() < 0.5 ? this.nearly(bytes) : bytes;
    this.network.sendFrom(this.address(to.family), this.whole(3), to, packet);
  }

  #take(address: number, port: number, from: VirtualSocket, bytes: Uint8Array): void {
    const reader = this.#reader;
    assert.ok(port > 0, "what it sends can be received");
    assert.ok(bytes.length <= 1024, "what it sends is no longer than that");
    assert.ok(reader.read(bytes, 0, bytes.length), "what it sends is a message");
    if (reader.kind === KIND_RESPONSE) this.answered++;
    if (reader.kind !== KIND_QUERY) return;
    if (this.#seen.length < 64) this.#seen.push(Buffer.from(bytes));
    if (this.random() < 0.2) return;
    // A node has one id, mostly; and some are asked for it.
    const own = Buffer.alloc(20, address & 0xff);
    own.writeUInt32BE(Math.imul(address, 0x9e3779b1) >>> 0);
    const id = this.random() < 0.8 ? own : this.id();
    const t = bytes.slice(reader.transactionAt, reader.transactionAt + reader.transactionBytes);
    const answer = this.answer(t, id);
    const packet = this.random() < 0.3 ? this.nearly(answer) : answer;
    const asker = this.random() < 0.95 ? address : this.address(from.family);
    if (packet.length > 0) this.network.sendFrom(asker, port, from, packet);
    if (reader.method === METHOD_GET_PEERS || reader.method === METHOD_SAMPLE_INFOHASHES)
      if (this.random() < 0.05) this.network.sendFrom(asker, port, from, packet);
  }
}

async function live(seed: number): Promise<void> {
  const world = new World(seed);
  const { network } = world;
  const limitsNetworks = world.random() < 0.5;
  const families = entryOf([[4], [6], [4, 6]] as const, world.whole(3));
  const known = (): { host: string; port: number } => ({
    host: addressOf(world.known(entryOf(families, world.whole(families.length)))),
    port: 1,
  });
  const listen = families.flatMap((family) =>
    Array.from({ length: 1 + world.whole(3) }, (_, at) => ({
      host: addressOf(addressNumber(`11.${at + 1}.1.1`) + (family === 4 ? 0 : IPV6)),
      port: 6881,
    })),
  );
  const bootstrap = families.flatMap((family) =>
    Array.from({ length: 4 }, () => ({ host: addressOf(world.known(family)), port: 1 })),
  );
  const saved = world.bytes(world.whole(200));
  const dht = new Dht({ listen, bootstrap, limitsNetworks, peerBytesMax: 2 ** 20, saved }, network.world());
  const overlays = [...dht.overlays.values()];
  assert.deepEqual(
    overlays.map(({ family }) => family),
    families,
  );
  const sockets = overlays.flatMap(({ nodes }) => nodes.map(({ socket }) => socket as VirtualSocket));
  const checkTables = (): void => {
    for (const overlay of overlays) overlay.checkInvariants();
  };
  const ends: Promise<unknown>[] = [];
  const controller = new AbortController();
  const sampling = (async () => {
    for await (const { infoHashes } of dht.sample({ signal: controller.signal }))
      assert.ok(infoHashes.length <= 48);
  })().catch((error: unknown) => assert.equal(error, controller.signal.reason));
  for (let step = 0; step < STEPS; step++) {
    const kind = world.whole(9);
    if (kind === 0) ends.push(dht.announce(world.id(), { port: 1 + world.whole(65_535) }));
    if (kind === 1)
      ends.push(
        (async () => {
          const family = entryOf(families, world.whole(families.length));
          const sampler = { id: world.id(), host: addressOf(world.address(family)), port: 1 };
          for await (const { port } of dht.lookup(world.id(), world.random() < 0.5 ? { sampler } : {}))
            assert.ok(port > 0 && port < 65_536);
        })(),
      );
    if (kind === 2) dht.addNodes([known()]);
    if (kind === 3)
      ends.push(
        dht.scrape(world.id()).then(({ seeds, peers, nodes }) => {
          assert.ok([seeds, peers, nodes].every((count) => Number.isSafeInteger(count) && count >= 0));
        }),
      );
    for (const socket of sockets) for (let count = world.whole(20); count > 0; count--) world.disturb(socket);
    await network.run(world.random() < 0.1 ? 20_000 : world.whole(500));
    checkTables();
  }
  let isOver = false;
  void Promise.all(ends).then(() => {
    isOver = true;
  });
  for (let step = 0; step < 30 && !isOver; step++) {
    await network.run(10_000);
    // Whoever reads many results takes a turn for each, and virtual time that is quiet has few.
    await setImmediate();
  }
  assert.ok(isOver, "what it began ends");
  checkTables();
  const ping = Buffer.from(`d1:ad2:id20:${"w".repeat(20)}e1:q4:ping1:t2:xx1:y1:qe`);
  for (const { family, nodes } of overlays) {
    const before = world.answered;
    const asking = addressNumber("99.0.0.1") + (family === 4 ? 0 : IPV6);
    for (let count = 0; count < 5; count++)
      network.sendFrom(asking, 9, entryOf(nodes, 0).socket as VirtualSocket, ping);
    await network.run(5000);
    assert.ok(world.answered > before, `and it answers over IPv${family}`);
  }
  const { queriesReceived, answersReceived, malformed, unasked } = dht.stats().counters;
  assert.ok(
    queriesReceived > 0 && answersReceived > 0 && malformed > 0 && unasked > 0,
    "all kinds have come",
  );
  assert.deepEqual(dht.addresses, listen);
  dht.save();
  controller.abort(new Error("enough"));
  dht.close();
  await network.run(100);
  await sampling;
  assert.equal(dht.stats().queriesUnderWay, 0);
}

describe("a node of the DHT among others that send what they like", { timeout: 24 * 3_600_000 }, () => {
  it("lives on, and keeps what it promises", async () => {
    const property = fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), live);
    await checkAsync(property, 20, CASE_WEIGHT);
  });
});
