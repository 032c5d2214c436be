// A DHT and the program around it, in virtual time: what the program throws stops nothing, close() ends what is under way and what comes
// after it, and options that cannot be are refused with nothing left open.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { addressNumber, addressOf, DhtNetwork, IPV6 } from "../../bench/load/dht-network.js";
import type { Timer } from "../../src/base/ground.js";
import { type AnnounceOptions, Dht, type DhtOptions } from "../../src/dht/index.js";
import { KrpcReader, METHOD_FIND_NODE } from "../../src/dht/krpc-reader.js";
import type { Lookup, LookupListener } from "../../src/dht/lookup.js";
import { TOLD_ENTRANCES_MAX } from "../../src/dht/overlay.js";
import { PeerStream } from "../../src/dht/peer-stream.js";
import { entryOf, required } from "../support/required.js";
import { collectUncaught } from "../support/uncaught.js";

const HASH = new Uint8Array(20).fill(0x3c);
const NODES = 12;
/** Each is among the nearest to anything. */
const FEW = 4;

/** Nodes that know each other; the first has `options`. */
async function makeNodes(
  t: TestContext,
  network: DhtNetwork,
  options: DhtOptions = {},
  count = NODES,
): Promise<[Dht, ...Dht[]]> {
  const make = (index: number, more: DhtOptions): Dht => {
    const node = new Dht({ listen: [{ host: `11.${index}.1.1`, port: 6881 }], ...more }, network.world());
    t.after(() => node.close());
    return node;
  };
  const first = make(0, options);
  const others = Array.from({ length: count - 1 }, (_, index) =>
    make(index + 1, { bootstrap: first.addresses }),
  );
  await network.run(30_000);
  return [first, ...others];
}

/** Lets time pass until a promise is settled: at most two minutes. */
async function settled<Value>(
  network: DhtNetwork,
  promise: Promise<Value>,
): Promise<PromiseSettledResult<Value>> {
  let result: PromiseSettledResult<Value> | undefined;
  void Promise.allSettled([promise]).then(([one]) => {
    result = one;
  });
  for (let step = 0; step < 240 && result === undefined; step++) await network.run(500);
  assert.ok(result !== undefined, "it ends");
  return result;
}

async function peersOf(node: Dht): Promise<number> {
  let count = 0;
  for await (const _ of node.lookup(HASH)) count++;
  return count;
}

describe("a DHT and its program", { timeout: 120_000 }, () => {
  it("goes on when listeners throw", async (t) => {
    const network = new DhtNetwork({ seed: 7, loss: 0 });
    const thrown = new Error("of the program");
    const fail = (): never => {
      throw thrown;
    };
    const errors = await collectUncaught(async () => {
      const [first, second, third] = await makeNodes(t, network, {
        hashes: { hashSeen: fail },
        inject: fail,
      });
      assert.ok(second !== undefined && third !== undefined);
      assert.deepEqual(await settled(network, second.announce(HASH, { port: 80 })), {
        status: "fulfilled",
        value: 8,
      });
      assert.deepEqual(await settled(network, third.announce(HASH, { port: 81 }, fail)), {
        status: "fulfilled",
        value: 8,
      });
      assert.deepEqual(await settled(network, peersOf(first)), { status: "fulfilled", value: 2 });
    });
    assert.ok(errors.length > 0 && errors.every((error) => error === thrown));
  });

  it("tells when it is ready, where it is, when its link is lost and back, and who announces", async (t) => {
    const network = new DhtNetwork({ seed: 13, loss: 0 });
    const told: string[] = [];
    const first = new Dht({ listen: [{ host: "11.0.1.1", port: 6881 }] }, network.world());
    t.after(() => first.close());
    first.on("ready", () => told.push(`ready ${first.stats().contacts > 0}`));
    first.on("externalAddress", (host) => told.push(`at ${host}`));
    first.on("linkLost", (family) => told.push(`lost ${family}`));
    first.on("linkBack", (family) => told.push(`back ${family}`));
    first.on("announce", (infoHash, { host, port }) =>
      told.push(`announce ${Buffer.from(infoHash).toString("hex", 0, 2)} ${host} ${port}`),
    );
    const join = (index: number): Dht => {
      const listen = [{ host: `11.${index}.1.1`, port: 6881 }];
      const node = new Dht({ listen, bootstrap: first.addresses }, network.world());
      t.after(() => node.close());
      return node;
    };
    await network.run(60_000);
    assert.deepEqual(told, [], "who is alone is not ready");
    const others = [1, 2, 3, 4, 5, 6].map(join);
    await network.run(60_000);
    assert.deepEqual(told.splice(0).sort(), ["at 11.0.1.1", "ready true"]);
    await settled(network, entryOf(others, 0).announce(HASH, { port: 80 }));
    await settled(network, entryOf(others, 1).announce(HASH));
    assert.deepEqual(told.splice(0), ["announce 3c3c 11.1.1.1 80", "announce 3c3c 11.2.1.1 6881"]);
    for (const other of others) other.close();
    for (let round = 0; round < 4; round++) {
      await settled(network, peersOf(first));
      await network.run(30_000);
    }
    assert.deepEqual(told.splice(0), ["lost 4"], "once, however many queries fail");
    // Somebody else is there by now, which says as much of the link.
    join(1);
    await settled(network, peersOf(first));
    await network.run(60_000);
    assert.deepEqual(told, ["back 4"]);
  });

  it("lets listeners of events throw, and close it", async (t) => {
    const network = new DhtNetwork({ seed: 14, loss: 0 });
    const thrown = new Error("of the program");
    const errors = await collectUncaught(async () => {
      const [first, second] = await makeNodes(t, network, {}, FEW);
      const heard: string[] = [];
      first.on("announce", () => {
        throw thrown;
      });
      first.on("announce", () => {
        heard.push("the next listener");
        first.close();
      });
      const announced = await settled(network, required(second, "second").announce(HASH, { port: 80 }));
      assert.deepEqual(heard, ["the next listener"]);
      assert.equal(announced.status, "fulfilled");
      assert.deepEqual(await settled(network, first.announce(HASH)), { status: "fulfilled", value: 0 });
    });
    assert.deepEqual(errors, [thrown]);
  });

  it("makes nothing for events that nobody listens to", async (t) => {
    const network = new DhtNetwork({ seed: 15, loss: 0 });
    const [first, second] = await makeNodes(t, network, {}, FEW);
    let told = 0;
    first.emit = () => ++told > 0;
    first.rawListeners = () => {
      told++;
      return [];
    };
    await settled(network, required(second, "second").announce(HASH, { port: 80 }));
    assert.ok(first.stats().torrentsKept === 1 && told === 0);
  });

  it("ends what is under way when it is closed, and what is asked of it afterwards", async (t) => {
    const network = new DhtNetwork({ seed: 8, loss: 0 });
    const [first, second] = await makeNodes(t, network);
    assert.ok(second !== undefined);
    const stream = first.lookup(HASH);
    const ends = [stream.next(), stream.next(), first.announce(HASH, { port: 80 })];
    await network.run(1);
    assert.ok(first.stats().lookupsUnderWay >= 2);
    first.close();
    ends.push(first.announce(HASH, { port: 80 }), first.lookup(HASH).next());
    const values = await settled(network, Promise.all(ends));
    const over = { value: undefined, done: true };
    assert.deepEqual(values, { status: "fulfilled", value: [over, over, 0, 0, over] });
    assert.deepEqual([first.stats().lookupsUnderWay, first.stats().queriesUnderWay], [0, 0]);
    second.close();
  });

  it("keeps whom it knows when it is closed with queries under way", async (t) => {
    const network = new DhtNetwork({ seed: 16, loss: 0 });
    const [first] = await makeNodes(t, network);
    const { contacts } = first.stats();
    // One failure more would be one too many.
    for (const { contacts: known } of required(first.overlays.get(4), "an entry of overlays").table.buckets)
      for (const contact of known) contact.failures = 3;
    void first.lookup(HASH).next();
    await network.run(1);
    assert.ok(first.stats().queriesUnderWay >= 8);
    first.close();
    assert.equal(first.stats().contacts, contacts);
    assert.ok(contacts >= 8);
  });

  it("asks the second family when the first knows nobody", async () => {
    const listeners: LookupListener[] = [];
    const makeLookup = (isComplete: boolean): Lookup => ({ isComplete, stop: () => {} }) as unknown as Lookup;
    const stream = new PeerStream(undefined);
    stream.follow((listener) => {
      const lookup = makeLookup(true);
      listener.completed(lookup);
      return lookup;
    });
    const pending = makeLookup(false);
    stream.follow((listener) => {
      listeners.push(listener);
      return pending;
    });
    stream.begun();
    assert.equal(listeners.length, 1, "the second lookup has begun");
    const ends = [stream.next(), stream.next()];
    listeners[0]?.completed(pending);
    assert.deepEqual(
      (await Promise.all(ends)).map(({ done }) => done),
      [true, true],
    );
  });

  it("refuses options that cannot be, and leaves nothing open", async () => {
    const listen = [{ host: "11.0.0.1", port: 1 }];
    const wrong: DhtOptions[] = [
      { listen: [] },
      { listen, incomingPerSecond: 0 },
      { listen, outgoingPerSecond: Number.NaN },
      { listen, outgoingPerSecond: -1 },
      { listen, peerBytesMax: 100 },
      { listen, id: new Uint8Array(19) },
      { listen, externalAddress: "example.org" },
      { listen, bootstrap: [{ host: "example.org", port: 1 }] },
      { listen, bootstrap: [{ host: "11.0.0.2", port: 65_536 }] },
    ];
    for (const options of wrong) {
      const network = new DhtNetwork({ seed: 9 });
      const opened: string[] = [];
      const world = network.world();
      const counted = {
        ...world,
        datagrams: {
          bind: (at: { host: string; port: number }) => {
            const socket = network.bind(at);
            const { close } = socket;
            opened.push("socket");
            socket.close = () => {
              opened.length = 0;
              close.call(socket);
            };
            return socket;
          },
        },
        close: () => opened.push("world closed"),
      };
      assert.throws(() => new Dht(options, counted), { code: "USAGE_OPTION" });
      assert.deepEqual(opened, ["world closed"], JSON.stringify(options));
      await network.run(2000);
      assert.equal(network.datagrams, 0);
    }
    const network = new DhtNetwork({ seed: 9 });
    const node = new Dht({ listen }, network.world());
    for (const port of [-1, 1.5, 65_536, Number.NaN] satisfies AnnounceOptions["port"][])
      await assert.rejects(node.announce(HASH, { port }), { code: "USAGE_OPTION" });
    node.close();
  });

  it("remembers few of the nodes that it is told of, and asks nobody who cannot be one", async () => {
    const network = new DhtNetwork({ seed: 10, loss: 0 });
    const asked = new Set<number>();
    network.far = { take: (address) => asked.add(address) };
    const listen = [{ host: "11.0.0.1", port: 1 }];
    const node = new Dht({ listen, bootstrap: [{ host: "12.0.0.1", port: 1 }] }, network.world());
    for (let index = 0; index < 5000; index++)
      node.addNodes([{ host: `13.${index >> 8}.${index & 0xff}.1`, port: 1 }]);
    for (const host of ["224.0.0.1", "255.255.255.255", "0.0.0.0"]) node.addNodes([{ host, port: 1 }]);
    await network.run(60_000);
    assert.ok(asked.has(addressNumber("12.0.0.1")));
    assert.equal(asked.size, 1 + TOLD_ENTRANCES_MAX);
    assert.equal(node.stats().bounds.entrancesForgotten, 5000 - TOLD_ENTRANCES_MAX);
    assert.ok([...asked].every((address) => address >> 24 === 12 || address >> 24 === 13));
    node.close();
  });

  it("gets to know nodes of IPv6 though the first answer over IPv4 named such as are nowhere", async (t) => {
    const network = new DhtNetwork({ seed: 13, loss: 0 });
    const listenAt = (number: number): { host: string; port: number }[] =>
      [0x0b000000, IPV6 + 0x0b000000].map((base) => ({
        host: addressOf(base + 65_536 * number),
        port: 6881,
      }));
    const honest = Array.from({ length: NODES }, (_, index) => {
      const bootstrap = index === 0 ? [] : listenAt(1);
      return new Dht({ listen: listenAt(index + 1), bootstrap }, network.world());
    });
    await network.run(30_000);
    const liar = addressNumber("12.0.0.1");
    let lies = 0;
    network.far = {
      take: (address, port, from, bytes) => {
        const query = new KrpcReader();
        if (address !== liar || !query.read(bytes, 0, bytes.length) || query.method !== METHOD_FIND_NODE)
          return;
        const nodes = Buffer.alloc(30 * 38, 7);
        for (let index = 0; index < 30; index++)
          nodes.set([0x2a, 0, 0, lies, index, index, 0, index], 38 * index + 20);
        lies++;
        const { transactionAt: at } = query;
        const text = `d1:rd2:id20:${"n".repeat(20)}6:nodes6${nodes.length}:${nodes.toString("latin1")}e1:t4:`;
        const end = Buffer.from("1:y1:re");
        const transaction = query.bytes.subarray(at, at + 4);
        network.sendFrom(address, port, from, Buffer.concat([Buffer.from(text, "latin1"), transaction, end]));
      },
    };
    const late = new Dht(
      { listen: listenAt(40), bootstrap: [{ host: addressOf(liar), port: 1 }] },
      network.world(),
    );
    t.after(() => {
      for (const node of [late, ...honest]) node.close();
    });
    await network.run(60_000);
    assert.ok(lies > 2, "more is named than is remembered");
    late.addNodes(listenAt(1).slice(0, 1));
    await network.run(5 * 60_000);
    const counts = [4, 6].map((family) => late.overlays.get(family as 4 | 6)?.table.count ?? 0);
    assert.ok(
      counts.every((count) => count >= 4),
      JSON.stringify(counts),
    );
  });

  it("asks its entrances no more often for being told of others all the time", async () => {
    const asked = async (tells: boolean): Promise<number> => {
      const network = new DhtNetwork({ seed: 11, loss: 0 });
      const entrance = addressNumber("12.0.0.1");
      let count = 0;
      network.far = {
        take: (address) => {
          if (address === entrance) count++;
          return true;
        },
      };
      const listen = [{ host: "11.0.0.1", port: 1 }];
      const node = new Dht({ listen, bootstrap: [{ host: "12.0.0.1", port: 1 }] }, network.world());
      for (let port = 1; port <= 600; port++) {
        if (tells) node.addNodes([{ host: "13.0.0.1", port }]);
        await network.run(100);
      }
      node.close();
      return count;
    };
    const [quiet, told] = [await asked(false), await asked(true)];
    assert.ok(quiet > 2, "nobody answers, and it goes on asking");
    // A node that it is told of may be the first that answers: it is asked within a second or two, as an entrance is.
    assert.ok(told <= 31, `${told} times in a minute, ${quiet} where nobody tells it anything`);
  });

  it("has one timer, however often it was idle and busy again, and none after close()", async () => {
    const network = new DhtNetwork({ seed: 12, loss: 0 });
    const world = network.world();
    const open = new Set<object>();
    const after = (ms: number, callback: () => void): Timer => {
      const timer = network.ground.after(ms, () => {
        open.delete(kept);
        callback();
      });
      const kept: Timer = {
        ref: () => kept,
        unref: () => kept,
        refresh: () => kept,
        close: () => {
          open.delete(kept);
          timer.close();
        },
      };
      open.add(kept);
      return kept;
    };
    const other = new Dht({ listen: [{ host: "11.0.0.2", port: 1 }] }, network.world());
    const listen = [{ host: "11.0.0.1", port: 1 }];
    const ground = { ...network.ground, after };
    const node = new Dht({ listen, bootstrap: other.addresses }, { ...world, ground });
    for (let minute = 0; minute < 10; minute++) {
      await network.run(60_000);
      assert.equal(open.size, 1);
    }
    node.close();
    assert.equal(open.size, 0);
    other.close();
  });
});
