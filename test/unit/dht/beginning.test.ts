// A node that was made a moment ago: what it is asked for at once finds what a node finds that has been there for long.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Dht, type DhtOptions } from "../../../src/dht/index.js";

const HERE = { listen: [{ host: "127.0.0.1", port: 0 }], limitsNetworks: false };
const HASH = new Uint8Array(20).fill(7);

describe("a node of the DHT that was just made", { timeout: 60_000 }, () => {
  const nodes = (t: { after(done: () => void): void }) => (options: DhtOptions) => {
    const dht = new Dht({ ...HERE, ...options });
    t.after(() => dht.close());
    return dht;
  };

  it("announces, looks up and scrapes as soon as it knows who is near", async (t) => {
    const make = nodes(t);
    const bootstrap = make({}).addresses;
    assert.equal(await make({ bootstrap }).announce(HASH, { port: 1234, seed: true }), 1);
    const found: number[] = [];
    for await (const { port } of make({ bootstrap }).lookup(HASH)) found.push(port);
    assert.deepEqual(found, [1234]);
    assert.deepEqual(await make({ bootstrap }).scrape(HASH), { seeds: 1, peers: 0, nodes: 1 });
    const told = make({});
    told.addNodes(bootstrap);
    assert.equal(await told.announce(HASH, { port: 4321 }), 1);
  });

  it("finds nobody at once where there is nobody to begin with", async (t) => {
    const dht = nodes(t)({});
    assert.equal(await dht.announce(HASH), 0);
    assert.equal((await dht.lookup(HASH).next()).done, true);
  });

  it("waits no longer than its caller wants, nor when it is closed", async (t) => {
    // Nothing answers there.
    const dht = nodes(t)({ bootstrap: [{ host: "127.0.0.1", port: 9 }] });
    const gone = new Error("gone");
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [
      dht.announce(HASH, { signal }),
      dht.scrape(HASH, { signal }),
      dht.lookup(HASH, { signal }).next(),
    ].map((call) => assert.rejects(call, gone));
    const waiting = [dht.announce(HASH), dht.lookup(HASH).next()];
    controller.abort(gone);
    await Promise.all(calls);
    dht.close();
    assert.deepEqual(await Promise.all(waiting), [0, { done: true, value: undefined }]);
  });
});
