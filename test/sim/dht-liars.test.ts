// A lookup among liars, in virtual time: whoever tells it of what, it ends, within its bounds, and nobody who is only named gets more than a
// few of its queries.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { addressNumber, DhtNetwork, type VirtualSocket } from "../../bench/load/dht-network.js";
import { makeBoundCounters } from "../../src/dht/bound-counters.js";
import { type BoundCounters, Dht } from "../../src/dht/index.js";
import { KIND_QUERY, KrpcReader } from "../../src/dht/krpc-reader.js";
import { sameId } from "../../src/dht/node-id.js";
import { check } from "../support/property.js";
import { entryOf, required } from "../support/required.js";

/** What the documentation promises: told here again, so that a bound that grows is seen. */
const QUERIES_MAX = 512;
const OF_SUBSCRIBER_MAX = 4;
const NAMES_MAX = 16;
const PICKED_MAX = 8;
/** Nodes in the longest answers. */
const BABBLED = 40;
/** 120 s, and what is under way then. */
const TIME_MS_MAX = 130_500;
const HASH = new Uint8Array(20).fill(0x3c);
const VICTIM = addressNumber("12.1.1.1");

interface Liar {
  /** Bytes of `nodes` for the n-th query of all. */
  nodes(count: number): Buffer;
  /** False: never answers. */
  readonly answers: boolean;
}

function nodeAt(id: Uint8Array, address: number, port: number): Buffer {
  const node = Buffer.alloc(26);
  node.set(id);
  node.writeUInt32BE(address, 20);
  node.writeUInt16BE(port, 24);
  return node;
}

/** The `count`-th id of those that come ever nearer to the hash; none so near that no chance has it. */
function nearId(count: number): Uint8Array {
  const id = HASH.slice();
  const distance = 0x7fffffff - count;
  for (let at = 0; at < 4; at++) id[3 + at] = entryOf(id, 3 + at) ^ (distance >>> (24 - 8 * at));
  return id;
}

/** Answers as whoever was told of: with the id that is looked for at that endpoint. */
class Liars {
  readonly queries = new Map<number, number>();
  /** Of the node, when its lookup was over. */
  bounds: Readonly<BoundCounters> = makeBoundCounters();
  readonly #ids = new Map<number, Uint8Array>();
  readonly #liar: (address: number) => Liar;
  readonly #network: DhtNetwork;
  #count = 0;

  constructor(network: DhtNetwork, liar: (address: number) => Liar) {
    this.#network = network;
    this.#liar = liar;
  }

  take(address: number, port: number, from: VirtualSocket, bytes: Uint8Array): void {
    const reader = new KrpcReader();
    const liar = this.#liar(address);
    if (!reader.read(bytes, 0, bytes.length) || reader.kind !== KIND_QUERY) return;
    // The node's own lookups are told the same.
    const isOfLookup = reader.targetAt >= 0 && sameId(bytes, reader.targetAt, HASH, 0);
    if (isOfLookup) this.queries.set(address, (this.queries.get(address) ?? 0) + 1);
    if (!liar.answers) return;
    const nodes = liar.nodes(this.#count++);
    for (let at = 0; at < nodes.length; at += 26)
      this.#ids.set(
        nodes.readUInt32BE(at + 20) * 0x10000 + nodes.readUInt16BE(at + 24),
        nodes.subarray(at, at + 20),
      );
    const id = this.#ids.get(address * 0x10000 + port) ?? new Uint8Array(20).fill(address & 0xff);
    const t = bytes.subarray(reader.transactionAt, reader.transactionAt + reader.transactionBytes);
    const text = (part: Uint8Array): string => Buffer.from(part).toString("latin1");
    const answer = `d1:rd2:id20:${text(id)}5:nodes${nodes.length}:${text(nodes)}5:token2:xxe1:t4:${text(t)}1:y1:re`;
    this.#network.sendFrom(address, port, from, Buffer.from(answer, "latin1"));
  }
}

/** `delayMs`: of each packet, the same; without it they take as long as the network's model says. */
async function lookUp(
  t: TestContext | undefined,
  liar: (address: number) => Liar,
  delayMs?: number,
): Promise<Liars> {
  const isSlow = delayMs !== undefined;
  const network = new DhtNetwork({
    seed: 11,
    loss: 0,
    ...(isSlow ? { medianDelayMs: delayMs, delaySpread: 0 } : {}),
  });
  const liars = new Liars(network, liar);
  network.far = liars;
  const bootstrap = Array.from({ length: 4 }, (_, at) => ({ host: `13.${at}.1.1`, port: 7000 }));
  const node = new Dht(
    { listen: [{ host: "11.0.0.1", port: 6881 }], bootstrap, limitsNetworks: true, adaptsTimeouts: !isSlow },
    network.world(),
  );
  t?.after(() => node.close());
  await network.run(isSlow ? 4 * delayMs : 1500);
  const overlay = required(node.overlays.get(4), "an entry of overlays");
  liars.queries.clear();
  let isOver = false;

  const listener = { heard: () => {}, converged: () => {}, completed: () => {} };
  const lookup = overlay.lookup(HASH, 3, listener);
  for (let step = 0; step < 300 && !isOver; step++) {
    await network.run(500);
    lookup.checkInvariants();
    isOver = lookup.isComplete;
  }
  assert.ok(isOver, `a lookup ends: ${lookup.sent} queries`);
  assert.ok(lookup.sent <= QUERIES_MAX);
  assert.ok(lookup.completedMs - lookup.startedMs <= TIME_MS_MAX);
  liars.bounds = node.stats().bounds;
  node.close();
  return liars;
}

const SILENT: Liar = { nodes: () => Buffer.alloc(0), answers: false };

/** Each answer tells of nodes that come nearer than all before, at addresses of their own. */
const NEARER: Liar = {
  answers: true,
  nodes: (count) =>
    Buffer.concat(
      Array.from({ length: 8 }, (_, at) =>
        nodeAt(nearId(8 * count + at), 0x0e000000 + 257 * ((8 * count + at) % 50_000), 7000),
      ),
    ),
};

/** The same at once, with far more nodes than a lookup looks at. */
const BABBLING: Liar = {
  answers: true,
  nodes: (count) =>
    Buffer.concat(
      Array.from({ length: BABBLED }, (_, at) => {
        const number = BABBLED * count + at;
        return nodeAt(nearId(number), 0x0e000000 + 257 * (number % 50_000), 7000);
      }),
    ),
};

/** Each answer tells of nodes that share all but the last two bytes with the hash. */
const PICKED: Liar = {
  answers: true,
  nodes: (count) =>
    Buffer.concat(
      Array.from({ length: 8 }, (_, at) => {
        const number = 8 * count + at + 1;
        const id = HASH.slice();
        id[18] = entryOf(id, 18) ^ (number >> 8);
        id[19] = entryOf(id, 19) ^ number;
        return nodeAt(id, 0x0f000000 + 257 * number, 7000);
      }),
    ),
};

const BLAMING: Liar = {
  answers: true,
  nodes: (count) =>
    Buffer.concat(
      Array.from({ length: 16 }, (_, at) => nodeAt(nearId(16 * count + at), VICTIM, 1024 + 16 * count + at)),
    ),
};

/** Each answer tells of nodes in networks that everybody has, of this machine, and of nobody. */
const NEARBY = [0x0a010203, 0x7f000001, 0xc0a80001, 0xac100001, 0x64400001, 0xa9fe0001, 0xe0000001, 0];
const INWARD: Liar = {
  answers: true,
  nodes: (count) =>
    Buffer.concat(NEARBY.map((address, at) => nodeAt(nearId(8 * count + at), address + count, 7000))),
};

describe("a lookup among liars", { timeout: 120_000 }, () => {
  it("sends nothing into our own network, or this machine, for who is far away", async (t) => {
    const { queries } = await lookUp(t, () => INWARD);
    assert.deepEqual([...queries.keys()].map((address) => address >>> 24).sort(), [13, 13, 13, 13]);
  });

  it("ends, when everybody it asks tells it of somebody nearer", async (t) => {
    const { queries, bounds } = await lookUp(t, () => NEARER);
    assert.ok(queries.size > 100, "they were believed for long");
    assert.equal(bounds.lookupsCut, 1);
  });

  it("ends in time, when everybody it asks takes as long as may be", async (t) => {
    const { queries, bounds } = await lookUp(t, () => NEARER, 4500);
    assert.ok(queries.size > 50, "they were believed for long");
    assert.ok(bounds.lookupsCut > 0);
  });

  it("looks at few of the nodes that an answer names", async (t) => {
    const { bounds } = await lookUp(t, () => BABBLING);
    // Each answer has four times as many as are looked at.
    assert.ok(bounds.namesTooMany > 0 && bounds.namesTooMany % (BABBLED - NAMES_MAX) === 0);
  });

  it("asks few of those that lie nearer to a hash than chance puts any", async (t) => {
    const { queries, bounds } = await lookUp(t, () => PICKED);
    const asked = [...queries.keys()].filter((address) => address >>> 24 === 0x0f).length;
    assert.equal(asked, PICKED_MAX);
    assert.ok(bounds.namesTooNear > 0);
  });

  for (const answers of [true, false])
    it(`sends few queries to an address that others tell it of at all ports, which ${answers ? "answers" : "is silent"}`, async (t) => {
      const victim = answers ? BLAMING : SILENT;
      const { queries, bounds } = await lookUp(t, (address) => (address === VICTIM ? victim : BLAMING));
      const count = queries.get(VICTIM) ?? 0;
      // Whoever answers is a node that may be known from other lookups besides.
      const most = (answers ? 4 : 1) * OF_SUBSCRIBER_MAX;
      assert.ok(count > 0 && count <= most, `${count} queries`);
      assert.ok(bounds.networkFull > 0);
    });

  it("ends in any company", { timeout: 110_000 }, async () => {
    const cases: number[][] = [];
    check(
      fc.property(fc.array(fc.nat(2), { minLength: 1, maxLength: 7 }), (kinds) => {
        cases.push(kinds);
      }),
      8,
    );
    for (const kinds of cases)
      await lookUp(
        undefined,
        (address) => [SILENT, NEARER, BLAMING][kinds[address % kinds.length] ?? 0] ?? SILENT,
      );
  });
});
