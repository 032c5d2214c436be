// What the npm package bittorrent-tracker tests of its own server over the wire, asked of ours with its client: over HTTP, UDP and
// WebSockets, counts through all events, how many peers are told, scrapes of several torrents, torrents of any size, hashes that are not
// tracked, and peers that are gone.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { Client } from "bittorrent-tracker";
import { TrackerService, type TrackerServiceOptions } from "../../src/tracker/index.js";
import "../support/npm-client-timers.js";
import { WRTC } from "../support/webrtc-stand-in.js";

const HASH = "fedcba9876543210fedcba9876543210fedcba98";
const OTHER = "00112233445566778899aabbccddeeff00112233";
type Hashes = string | Buffer | (string | Buffer)[];
const WATCHDOG = { timeout: 60_000 };
const PROTOCOLS = ["http", "udp", "ws"] as const;
type Protocol = (typeof PROTOCOLS)[number];

interface Told {
  announce: string;
  complete: number;
  incomplete: number;
  downloaded?: number;
}

class Place {
  readonly service: TrackerService;
  readonly #clients = new Set<Client>();
  #port = 6001;

  static async make(t: TestContext, options: Partial<TrackerServiceOptions> = {}): Promise<Place> {
    const service = await TrackerService.start({
      udp: [{ host: "127.0.0.1", port: 0 }],
      http: [{ host: "127.0.0.1", port: 0 }],
      webSockets: true,
      store: { bytesMax: 2 ** 24 },
      ...options,
    });
    const place = new Place(service);
    // Clients first: one whose connection was closed under it never says that it is gone.
    t.after(async () => {
      await Promise.all([...place.#clients].map((each) => place.end(each)));
      await service.close();
    });
    return place;
  }

  private constructor(service: TrackerService) {
    this.service = service;
  }

  url(protocol: Protocol, name = ""): string {
    const wanted = protocol === "udp" ? "udp" : "http";
    const port = this.service.listening.find((each) => each.protocol === wanted)?.port ?? 0;
    // Clients of one process share a WebSocket to one URL.
    return `${protocol}://127.0.0.1:${port}/${protocol === "ws" ? name : "announce"}`;
  }

  /** A client that fails the test by any warning, unless these are told. */
  client(protocol: Protocol, name: string, infoHash = HASH, warnings?: string[]): Client {
    const made = new Client({
      infoHash,
      peerId: Buffer.from(name.padEnd(20, "-")).toString("hex"),
      announce: [this.url(protocol, name)],
      port: this.#port++,
      wrtc: WRTC,
    });
    this.#clients.add(made);
    made.on("error", (error) => assert.fail(error as Error));
    made.on("warning", (warning) => {
      if (warnings === undefined) assert.fail(warning as Error);
      warnings.push((warning as Error).message);
    });
    // Over WebSockets a peer is a connection that will never be.
    made.on("peer", (peer: { on?(event: string, listener: () => void): void }) =>
      peer.on?.("error", () => {}),
    );
    return made;
  }

  /** Ends a client, which can be done once. */
  end(client: Client): Promise<void> {
    this.#clients.delete(client);
    return new Promise((resolve) => client.destroy(() => resolve()));
  }
}

async function heard(from: Client, event: string, ask: () => void): Promise<Told> {
  const told = once(from, event);
  ask();
  return (await told)[0] as Told;
}

const counts = ({ complete, incomplete }: Told): [number, number] => [complete, incomplete];

function scrapeOf(announce: string, infoHash: Hashes): Promise<unknown> {
  return new Promise((resolve, reject) => {
    Client.scrape({ announce: [announce], infoHash }, (error, results) => {
      if (error === null) resolve(results);
      else reject(error);
    });
  });
}

/** Looks again until it is so; the test's own watchdog ends it. */
async function until(isSo: () => boolean): Promise<void> {
  // These timers must keep the process: those of the npm client do not.
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20).ref());
}

describe("the flows that bittorrent-tracker tests over the wire", () => {
  for (const protocol of PROTOCOLS) {
    it(
      `${protocol}: counts through start, update, complete and stop, a download once`,
      WATCHDOG,
      async (t) => {
        const place = await Place.make(t);
        const [one, two] = [place.client(protocol, "one"), place.client(protocol, "two")];
        assert.deepEqual(counts(await heard(one, "update", () => one.start({ left: 9 }))), [0, 1]);
        assert.deepEqual(counts(await heard(two, "update", () => two.start({ left: 0 }))), [1, 1]);
        assert.deepEqual(counts(await heard(one, "update", () => one.update({ left: 5 }))), [1, 1]);
        for (let again = 0; again < 2; again++)
          assert.deepEqual(counts(await heard(one, "update", () => one.complete({ left: 0 }))), [2, 0]);
        const scraped = await heard(one, "scrape", () => one.scrape());
        assert.deepEqual(counts(scraped), [2, 0]);
        // WebTorrent's signalling counts no downloads.
        if (protocol !== "ws") assert.equal(scraped.downloaded, 1);
        assert.deepEqual(counts(await heard(one, "update", () => one.stop({ left: 0 }))), [1, 0]);
        assert.deepEqual(counts(await heard(two, "scrape", () => two.scrape())), [1, 0]);
      },
    );

    it(
      `${protocol}: takes a torrent of any size, and one whose size nobody knows yet`,
      WATCHDOG,
      async (t) => {
        const place = await Place.make(t);
        const large = place.client(protocol, "large");
        const tenTerabytes = { left: 10e12, uploaded: 2 ** 40, downloaded: 2 ** 33 };
        assert.deepEqual(counts(await heard(large, "update", () => large.start(tenTerabytes))), [0, 1]);
        // 2^32 bytes left are not 0.
        const edge = place.client(protocol, "edge");
        assert.deepEqual(counts(await heard(edge, "update", () => edge.start({ left: 2 ** 32 }))), [0, 2]);
        const magnet = place.client(protocol, "magnet");
        assert.deepEqual(counts(await heard(magnet, "update", () => magnet.start())), [0, 3]);
      },
    );

    it(`${protocol}: forgets a peer that says nothing more`, WATCHDOG, async (t) => {
      const place = await Place.make(t, { store: { bytesMax: 2 ** 24, lifetimeMs: 1000, collectMs: 100 } });
      const one = place.client(protocol, "one");
      assert.deepEqual(counts(await heard(one, "update", () => one.start({ left: 1 }))), [0, 1]);
      if (protocol === "ws") await place.end(one);
      await until(() => {
        const { totals, web } = place.service.counters();
        return totals.torrents === 0 && web?.openConnections === 0;
      });
      const two = place.client(protocol, "two");
      assert.deepEqual(counts(await heard(two, "update", () => two.start({ left: 1 }))), [0, 1]);
    });
  }

  for (const protocol of ["http", "udp"] as const) {
    it(`${protocol}: tells as many peers as are wanted`, WATCHDOG, async (t) => {
      const place = await Place.make(t);
      for (let peer = 0; peer < 6; peer++) {
        const other = place.client(protocol, `peer ${peer}`);
        await heard(other, "update", () => other.start({ left: 1, numwant: 0 }));
      }
      for (const [numwant, expected] of [
        [0, 0],
        [1, 1],
        [4, 4],
        [50, 6],
      ] as const) {
        const asking = place.client(protocol, `asks for ${numwant}`);
        const peers = new Set<string>();
        asking.on("peer", (peer: string) => peers.add(peer));
        await heard(asking, "update", () => asking.start({ left: 1, numwant }));
        // Peers are told after the counts, in the same turn.
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(peers.size, expected, `${numwant} wanted`);
        for (const peer of peers) assert.match(peer, /^127\.0\.0\.1:60\d\d$/);
        await heard(asking, "update", () => asking.stop({ left: 1 }));
      }
    });

    it(`${protocol}: scrapes one torrent, several, and one that nobody has`, WATCHDOG, async (t) => {
      // The npm client scrapes by hex over HTTP and by bytes over UDP, and names over HTTP only hashes that are text.
      const [known, other, nobody] = ["61".repeat(20), "62".repeat(20), "63".repeat(20)] as const;
      const asked = (hash: string): string | Buffer =>
        protocol === "http" ? hash : Buffer.from(hash, "hex");
      const place = await Place.make(t);
      const [one, two] = [place.client(protocol, "one", known), place.client(protocol, "two", other)];
      await heard(one, "update", () => one.start({ left: 0 }));
      await heard(two, "update", () => two.start({ left: 3 }));
      const url = place.url(protocol);
      const single = (await scrapeOf(url, asked(known))) as Told & { infoHash: string };
      assert.deepEqual([single.infoHash, ...counts(single)], [known, 1, 0]);
      const several = (await scrapeOf(url, [known, other, nobody].map(asked))) as Record<string, Told>;
      assert.deepEqual(Object.keys(several).sort(), [known, other, nobody]);
      for (const [hash, expected] of [
        [known, [1, 0]],
        [other, [0, 1]],
        [nobody, [0, 0]],
      ] as const) {
        const found = several[hash];
        assert.ok(found !== undefined);
        assert.deepEqual(counts(found), expected);
      }
    });
  }

  it("HTTP and UDP say the same of one swarm", WATCHDOG, async (t) => {
    const place = await Place.make(t);
    const [byHttp, byUdp] = [place.client("http", "one"), place.client("udp", "two")];
    await heard(byHttp, "update", () => byHttp.start({ left: 1 }));
    const peer = once(byUdp, "peer");
    assert.deepEqual(counts(await heard(byUdp, "update", () => byUdp.start({ left: 0 }))), [1, 1]);
    assert.deepEqual(await peer, ["127.0.0.1:6001"]);
    assert.deepEqual(counts(await heard(byHttp, "update", () => byHttp.update({ left: 1 }))), [1, 1]);
    const scrapes = await Promise.all(
      [byHttp, byUdp].map((client) => heard(client, "scrape", () => client.scrape())),
    );
    for (const told of scrapes) assert.deepEqual([...counts(told), told.downloaded], [1, 1, 0]);
  });

  it("a torrent that is not tracked has no swarm: HTTP and WebSockets say why", WATCHDOG, async (t) => {
    const place = await Place.make(t, { rules: { allow: new Set([OTHER]) } });
    for (const protocol of ["http", "ws"] as const) {
      const warnings: string[] = [];
      const refused = place.client(protocol, `refused ${protocol}`, HASH, warnings);
      refused.start({ left: 1 });
      await until(() => warnings.length > 0);
      assert.match(warnings[0] ?? "", /track/);
    }
    const first = place.client("udp", "first");
    const second = place.client("udp", "second");
    await heard(first, "update", () => first.start({ left: 1 }));
    assert.deepEqual(counts(await heard(second, "update", () => second.start({ left: 1 }))), [0, 0]);
    const tracked = place.client("udp", "tracked", OTHER);
    assert.deepEqual(counts(await heard(tracked, "update", () => tracked.start({ left: 1 }))), [0, 1]);
    const { http, web, totals } = place.service.counters();
    assert.deepEqual([http.refusedTorrents, web?.refusedTorrents, totals.torrents], [1, 1, 1]);
  });
});
