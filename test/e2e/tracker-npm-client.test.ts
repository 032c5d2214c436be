// The client of the npm package bittorrent-tracker, which WebTorrent announces with, against our tracker.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { Client } from "bittorrent-tracker";
import { TrackerService } from "../../src/tracker/index.js";
import "../support/npm-client-timers.js";
import { entryOf, required } from "../support/required.js";
import { WRTC } from "../support/webrtc-stand-in.js";

const HASH_HEX = "123456789abcdef123456789abcdef123456789a";

function client(t: TestContext, url: string, name: string, port: number): Client {
  const made = new Client({
    infoHash: HASH_HEX,
    peerId: Buffer.from(name.padEnd(20, "-")).toString("hex"),
    announce: [url],
    port,
  });
  t.after(() => new Promise<void>((resolve) => made.destroy(() => resolve())));
  made.on("error", (error) => assert.fail(error as Error));
  made.on("warning", (warning) => assert.fail(warning as Error));
  return made;
}

async function heard<Value>(from: Client, event: string, ask: () => void): Promise<Value> {
  const told = once(from, event);
  ask();
  return (await told)[0] as Value;
}

interface Update {
  complete: number;
  incomplete: number;
  downloaded?: number;
}

describe("the client of bittorrent-tracker", () => {
  for (const [protocol, host] of [
    ["http", "127.0.0.1"],
    ["http", "::1"],
    ["udp", "127.0.0.1"],
  ] as const)
    it(`starts, completes, scrapes and stops over ${protocol} at ${host}`, { timeout: 60_000 }, async (t) => {
      const service = await TrackerService.start({
        udp: protocol === "udp" ? [{ host, port: 0 }] : [],
        http: protocol === "http" ? [{ host, port: 0 }] : [],
        store: { bytesMax: 2 ** 24 },
      });
      t.after(() => service.close());
      const { port } = entryOf(service.listening, 0);
      const url = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}/announce`;
      const one = client(t, url, "one", 6001);
      const two = client(t, url, "two", 6002);
      const first = await heard<Update>(one, "update", () => one.start({ left: 5 }));
      assert.deepEqual([first.complete, first.incomplete], [0, 1]);
      const peer = once(two, "peer");
      const second = await heard<Update>(two, "update", () => two.start({ left: 5 }));
      assert.equal(second.incomplete, 2);
      assert.equal((await peer)[0], `${host.includes(":") ? `[${host}]` : host}:6001`);
      const done = await heard<Update>(two, "update", () => two.complete({ left: 0 }));
      assert.deepEqual([done.complete, done.incomplete], [1, 1]);
      const scrape = await heard<Update>(one, "scrape", () => one.scrape());
      assert.deepEqual([scrape.complete, scrape.incomplete, scrape.downloaded], [1, 1, 1]);
      const left = await heard<Update>(two, "update", () => two.stop({ left: 0 }));
      assert.deepEqual([left.complete, left.incomplete], [0, 1]);
    });
});

describe("the client of bittorrent-tracker, over WebSockets", () => {
  it("offers to whoever was there, and has its answer", { timeout: 60_000 }, async (t) => {
    const service = await TrackerService.start({
      udp: [],
      http: [{ host: "127.0.0.1", port: 0 }],
      webSockets: true,
      store: { bytesMax: 2 ** 24 },
    });
    const clients: Client[] = [];
    // Clients first: one whose connection was closed under it never says that it is gone.
    t.after(async () => {
      await Promise.all(clients.map((each) => new Promise<void>((resolve) => each.destroy(() => resolve()))));
      await service.close();
    });
    const url = `ws://127.0.0.1:${entryOf(service.listening, 0).port}`;
    const make = (name: string): Client => {
      const made = new Client({
        infoHash: HASH_HEX,
        peerId: Buffer.from(name.padEnd(20, "-")).toString("hex"),
        // Clients of one process share a connection to one URL.
        announce: [`${url}/${name}`],
        port: 6001,
        wrtc: WRTC,
      });
      clients.push(made);
      made.on("error", (error) => assert.fail(error as Error));
      made.on("warning", (warning) => assert.fail(warning as Error));
      made.on("peer", (peer: { on(event: string, listener: () => void): void }) =>
        peer.on("error", () => {}),
      );
      return made;
    };
    const [one, two] = [make("one"), make("two")];
    const first = await heard<Update>(one, "update", () => one.start({ left: 5 }));
    assert.deepEqual([first.complete, first.incomplete], [0, 1]);
    const offered = once(one, "peer");
    const answered = once(two, "peer");
    const second = await heard<Update>(two, "update", () => two.start({ left: 0 }));
    assert.deepEqual([second.complete, second.incomplete], [1, 1]);
    await Promise.all([offered, answered]);
    const scrape = await heard<Update>(one, "scrape", () => one.scrape());
    assert.deepEqual([scrape.complete, scrape.incomplete], [1, 1]);
    const { offers, answers, malformed } = required(service.counters().web, "web");
    assert.deepEqual([offers, answers, malformed], [1, 1, 0]);
  });
});
