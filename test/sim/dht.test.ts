// A DHT of 150 whole nodes over virtual datagrams: what one announces another finds, tables stay as they promise, and the same seed gives
// the same run.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressOf, DhtNetwork } from "../../bench/load/dht-network.js";
import { Dht } from "../../src/dht/dht.js";
import { entryOf } from "../support/required.js";

const NODES = 150;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));

function hashOf(number: number): Uint8Array {
  const hash = new Uint8Array(20);
  for (let at = 0; at < 20; at++) hash[at] = Math.imul(number + 1, 0x9e3779b1 + 2 * at) >>> 24;
  return hash;
}

interface Outcome {
  readonly found: string[][];
  readonly datagrams: number;
}

async function run(seed: number): Promise<Outcome> {
  const network = new DhtNetwork({ seed });
  const nodes: Dht[] = [];
  for (let index = 0; index < NODES; index++) {
    const host = addressOf(0x0b000000 + 257 * index);
    const entrance = nodes[Math.floor(network.random() * Math.min(nodes.length, 8))];
    const bootstrap = entrance === undefined ? [] : [entryOf(entrance.addresses, 0)];
    nodes.push(
      new Dht({ listen: [{ host, port: 6881 }], bootstrap, peerBytesMax: 2 ** 20 }, network.world()),
    );
    await network.run(50);
  }
  await network.run(120_000);
  const found: string[][] = [];
  for (let round = 0; round < 8; round++) {
    const announcer = entryOf(nodes, (31 * round + 7) % NODES);
    let taken = -1;
    void announcer.announce(hashOf(round), { port: 1000 + round }).then((count) => {
      taken = count;
    });
    await network.run(25_000);
    assert.ok(taken >= 4, `${taken} nodes took an announce`);
    const peers: string[] = [];
    let isOver = false;
    const lookUp = async (): Promise<void> => {
      for await (const peer of entryOf(nodes, (57 * round + 3) % NODES).lookup(hashOf(round)))
        peers.push(`${peer.host}:${peer.port}`);
      isOver = true;
    };
    void lookUp();
    for (let step = 0; step < 300 && !isOver; step++) await network.run(100);
    assert.ok(isOver, "a lookup ends");
    assert.deepEqual(peers, [`${entryOf(announcer.addresses, 0).host}:${1000 + round}`]);
    found.push(peers);
  }
  for (const node of nodes) {
    for (const overlay of node.overlays.values()) overlay.checkInvariants();
    node.close();
  }
  return { found, datagrams: network.datagrams };
}

describe(`a DHT in memory (SEED=${SEED})`, { timeout: 240_000 }, () => {
  it("finds what was announced, and does the same again from one seed", async () => {
    const first = await run(SEED);
    assert.deepEqual(await run(SEED), first);
  });
});
