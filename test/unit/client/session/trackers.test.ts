// Sessions that know nobody but a tracker: over sockets of this machine, with our tracker and with servers that the test answers for.

import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import bencode from "bencode";
import {
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  Session,
  type SessionOptions,
  type Torrent,
  type TorrentOptions,
  type TrackerStatus,
} from "../../../../src/index.js";
import { TrackerService } from "../../../../src/tracker/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { serveHttp, type TestServer } from "../../../support/http-server.js";
import { entryOf } from "../../../support/required.js";

const TIMEOUT = { timeout: 120_000 };
const DATA = bytesOf(7, 300_000);

function folder(t: TestContext): string {
  return temporaryFolder((callback) => t.after(callback));
}

function session(t: TestContext, options: SessionOptions = {}): Session {
  const made = new Session(options);
  t.after(() => made.close());
  return made;
}

interface Made {
  readonly metainfo: Metainfo;
  readonly source: string;
}

async function torrentWith(t: TestContext, announce: readonly string[], isPrivate = false): Promise<Made> {
  const source = folder(t);
  writeFileSync(join(source, "data.bin"), DATA);
  const bytes = await createTorrentFile(join(source, "data.bin"), { announce, private: isPrivate });
  return { metainfo: parseMetainfo(bytes), source };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The next thing that a tracker of the torrent did. */
function trackerTold(torrent: Torrent, state: TrackerStatus["state"]): Promise<TrackerStatus> {
  return new Promise((resolve) => {
    torrent.on("tracker", (status) => {
      if (status.state === state) resolve(status);
    });
  });
}

function fieldsOf(path: string | undefined): URLSearchParams {
  return new URL(path ?? "", "http://x").searchParams;
}

/** A tracker over HTTP that answers so, and knows nobody. */
function lonelyTracker(t: TestContext, fields: Record<string, unknown> = {}): Promise<TestServer> {
  return serveHttp(t, (_request, response) => {
    response.end(bencode.encode({ interval: 1800, peers: "", ...fields }));
  });
}

describe("a session and trackers", () => {
  for (const protocol of ["http", "udp"] as const)
    for (const host of ["127.0.0.1", "::1"])
      it(`completes a torrent with nothing but a tracker over ${protocol} at ${host}`, TIMEOUT, async (t) => {
        const service = await TrackerService.start({
          udp: protocol === "udp" ? [{ host, port: 0 }] : [],
          http: protocol === "http" ? [{ host, port: 0 }] : [],
          store: { bytesMax: 2 ** 22 },
        });
        t.after(() => service.close());
        const port = service.listening[0]?.port;
        const url = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}/announce`;
        const { metainfo, source } = await torrentWith(t, [url]);
        const seeding = session(t, { listen: { host, port: 0 } });
        await seeding.listen();
        const seed = await seeding.add(metainfo, { directory: source });
        await until(() => seed.trackers[0]?.state === "works");
        const target = folder(t);
        const leeching = session(t, { listen: { host, port: 0 } });
        await leeching.listen();
        const leech = leeching.addInBackground(metainfo, { directory: target });
        const told = trackerTold(leech, "works");
        await leech.done;
        assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
        assert.deepEqual([(await told).url, (await told).seeders], [url, 1]);
        // It tells that it is complete, and, when it closes, that it has gone.
        const counters = () => service.counters();
        await until(() => leech.trackers[0]?.seeders === 2);
        await leeching.close();
        await seeding.close();
        await until(() => counters().totals.peersV4 + counters().totals.peersV6 === 0);
      });

  it("tells how much was moved in all its runs", TIMEOUT, async (t) => {
    const tracker = await lonelyTracker(t);
    const { metainfo, source } = await torrentWith(t, [`${tracker.origin}/announce`]);
    const seeding = session(t, { listen: { host: "127.0.0.1", port: 0 }, trackers: false });
    const seedAt = await seeding.listen();
    await seeding.add(metainfo, { directory: source });
    const target = folder(t);
    const run = async (options: TorrentOptions): Promise<URLSearchParams[]> => {
      const before = tracker.asked.length;
      const leeching = session(t);
      const torrent = await leeching.add(metainfo, { directory: target, ...options });
      await until(() => torrent.trackers[0]?.state === "works");
      await torrent.done;
      await leeching.close();
      return tracker.asked.slice(before).map(fieldsOf);
    };
    const first = await run({ peers: [seedAt] });
    const summary = (each: URLSearchParams): (string | null)[] =>
      ["event", "left", "downloaded"].map((name) => each.get(name));
    assert.deepEqual(summary(entryOf(first, 0)), ["started", String(DATA.length), "0"]);
    assert.deepEqual(summary(entryOf(first, -1)), ["stopped", "0", String(DATA.length)]);
    assert.ok(first.some((each) => each.get("event") === "completed"));
    const second = await run({});
    assert.deepEqual(summary(entryOf(second, 0)), ["started", "0", String(DATA.length)]);
    assert.deepEqual(
      second.map((each) => each.get("event")),
      ["started", "stopped"],
    );
    // Whoever wants no resume data, or writes nothing, keeps no totals either.
    const third = await run({ readOnly: true });
    assert.deepEqual(summary(entryOf(third, 0)), ["started", "0", "0"]);
  });

  it("tells trackers where it listens, or what it was told to tell", TIMEOUT, async (t) => {
    const tracker = await lonelyTracker(t);
    const { metainfo } = await torrentWith(t, [`${tracker.origin}/announce`]);
    const portOf = async (options: SessionOptions): Promise<string | null> => {
      const each = session(t, options);
      if (options.listen !== undefined) await each.listen();
      const torrent = await each.add(metainfo, { storage: "memory" });
      await until(() => torrent.trackers[0]?.state === "works");
      const fields = fieldsOf(tracker.asked.at(-1));
      if (options.announceIp !== undefined) assert.equal(fields.get("ip"), options.announceIp);
      if (options.listen !== undefined && options.announcePort === undefined)
        assert.equal(fields.get("port"), String(each.listenAddress?.port));
      assert.equal(fields.get("numwant"), "200");
      await each.close();
      return fields.get("port");
    };
    const listen = { host: "127.0.0.1", port: 0 };
    assert.equal(await portOf({}), "1");
    assert.notEqual(await portOf({ listen }), "1");
    assert.equal(await portOf({ listen, announcePort: 4321, announceIp: "192.0.2.1" }), "4321");
    assert.throws(() => new Session({ announceIp: "example.org" }), /numeric address/);
    assert.throws(() => new Session({ announcePort: 0 }), /announcePort/);
  });

  it("tells trackers the port when it begins to listen later", TIMEOUT, async (t) => {
    const tracker = await lonelyTracker(t);
    const { metainfo } = await torrentWith(t, [`${tracker.origin}/announce`]);
    const each = session(t);
    const torrent = await each.add(metainfo, { storage: "memory" });
    await until(() => torrent.trackers[0]?.state === "works");
    const { port } = await each.listen({ host: "127.0.0.1", port: 0 });
    await until(() => tracker.asked.length === 2);
    assert.deepEqual(
      tracker.asked.map((path) => fieldsOf(path).get("port")),
      ["1", String(port)],
    );
  });

  it(
    "asks no tracker without trackers, those that were added, and only its own if it is private",
    TIMEOUT,
    async (t) => {
      const [own, added] = [await lonelyTracker(t), await lonelyTracker(t)];
      const extra = [`${added.origin}/announce`];
      const run = async (
        isPrivate: boolean,
        options: SessionOptions,
        more: TorrentOptions,
      ): Promise<string[]> => {
        const { metainfo } = await torrentWith(t, [`${own.origin}/announce`], isPrivate);
        const each = session(t, options);
        const warnings: string[] = [];
        const torrent = each.addInBackground(metainfo, { storage: "memory", ...more });
        torrent.on("warning", (text) => warnings.push(text));
        await torrent.ready;
        await until(() => torrent.trackers.every(({ state }) => state === "works"));
        await each.close();
        return [...torrent.trackers.map(({ url }) => url), ...warnings];
      };
      const ownUrl = `${own.origin}/announce`;
      assert.deepEqual(await run(false, { trackers: false }, {}), []);
      assert.deepEqual(await run(false, {}, { trackers: false }), []);
      assert.deepEqual(await run(false, { trackers: false }, { trackers: true }), [ownUrl]);
      assert.deepEqual(await run(false, {}, { trackers: extra }), [ownUrl, ...extra]);
      added.asked.length = 0;
      assert.deepEqual(await run(true, {}, { trackers: extra }), [
        ownUrl,
        "the torrent is private: only its own trackers are asked, and not the others that were given",
      ]);
      assert.deepEqual(added.asked, []);
      await assert.rejects(
        session(t).add(new Uint8Array(), { trackers: "http://x" as never }),
        /trackers|torrent/,
      );
    },
  );

  it("tells what a tracker refuses, warns of, and why one cannot be asked", TIMEOUT, async (t) => {
    const refusing = await lonelyTracker(t, { "failure reason": "unregistered" });
    const warning = await lonelyTracker(t, { "warning message": "use https" });
    const urls = [`${refusing.origin}/announce`, "wss://tracker.example", `${warning.origin}/announce`];
    const { metainfo } = await torrentWith(t, urls);
    const each = session(t);
    const torrent = each.addInBackground(metainfo, { storage: "memory" });
    const told: TrackerStatus[] = [];
    torrent.on("tracker", (status) => told.push(status));
    await until(() => told.length >= 3);
    const byUrl = (url: string | undefined): TrackerStatus | undefined =>
      told.find((status) => status.url === url);
    assert.deepEqual([byUrl(urls[0])?.state, byUrl(urls[0])?.error?.message], ["fails", "unregistered"]);
    assert.deepEqual([byUrl(urls[1])?.state, byUrl(urls[1])?.error?.code], ["never", "TRACKER_URL"]);
    assert.deepEqual([byUrl(urls[2])?.state, byUrl(urls[2])?.warning], ["works", "use https"]);
  });

  it("closes soon though a tracker never hears that it stops, and keeps no socket", TIMEOUT, async (t) => {
    let answered = 0;
    const tracker = await serveHttp(t, (_request, response) => {
      if (answered++ === 0) response.end(bencode.encode({ interval: 1800, peers: "" }));
    });
    const { metainfo } = await torrentWith(t, [`${tracker.origin}/announce`]);
    const each = session(t);
    const torrent = await each.add(metainfo, { storage: "memory" });
    await until(() => torrent.trackers[0]?.state === "works");
    await each.close();
    assert.deepEqual(
      tracker.asked.map((path) => fieldsOf(path).get("event")),
      ["started", "stopped"],
    );
    await until(() => tracker.sockets.size === 0);
  });
});
