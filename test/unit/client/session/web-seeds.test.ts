// Torrents whose only peers are web servers (BEP 19): good ones, odd ones, and such as mean no good.

import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import bencode from "bencode";
import {
  createTorrentFile,
  type Metainfo,
  parseMetainfo,
  RECEIVE_MODES,
  Session,
  type SessionOptions,
  STORAGE_KINDS,
  type Torrent,
  type TorrentOptions,
  type WebSeedStatus,
} from "../../../../src/index.js";
import { bytesOf, temporaryFolder } from "../../../support/data.js";
import { serveHttp, type TestServer } from "../../../support/http-server.js";

const TIMEOUT = { timeout: 120_000 };
const PIECE = 65_536;
const DATA = bytesOf(3, 3_000_001);

function folder(t: TestContext): string {
  return temporaryFolder((callback) => t.after(callback));
}

/** The torrent of what lies at `path`, with web seeds. */
async function torrentOf(path: string, urls: readonly string[], padding = false): Promise<Metainfo> {
  const bytes = await createTorrentFile(path, { pieceLength: PIECE, padding });
  const decoded = bencode.decode(Buffer.from(bytes)) as Record<string, unknown>;
  return parseMetainfo(bencode.encode({ ...decoded, "url-list": urls }));
}

async function singleFile(
  t: TestContext,
  urlOf: (name: string) => string,
  data: Uint8Array = DATA,
): Promise<Metainfo> {
  const source = folder(t);
  writeFileSync(join(source, "data.bin"), data);
  return torrentOf(join(source, "data.bin"), [urlOf("data.bin")]);
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Serves files by path, with ranges, as servers do. */
function serving(files: Readonly<Record<string, Uint8Array>>): Answer {
  return (request, response) => {
    const bytes = files[decodeURIComponent(new URL(request.url ?? "", "http://x").pathname)];
    if (bytes === undefined) return void response.writeHead(404).end("no such file");
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (match === null) return void response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    const [from, to] = [Number(match[1]), Number(match[2])];
    const part = bytes.subarray(from, to + 1);
    response.writeHead(206, {
      "content-length": part.length,
      "content-range": `bytes ${from}-${to}/${bytes.length}`,
    });
    response.end(part);
  };
}

async function fetched(
  t: TestContext,
  metainfo: Metainfo,
  options: TorrentOptions = {},
  sessionOptions: SessionOptions = {},
): Promise<{ session: Session; torrent: Torrent; target: string }> {
  const session = new Session(sessionOptions);
  t.after(() => session.close());
  const target = folder(t);
  const torrent = session.addInBackground(metainfo, { directory: target, ...options });
  await torrent.done;
  return { session, torrent, target };
}

/** The first time that a web seed fails for good, or in passing. */
function failure(torrent: Torrent): Promise<WebSeedStatus> {
  return new Promise((resolve) => torrent.on("webSeed", resolve));
}

async function failing(
  t: TestContext,
  answer: Answer,
  expected: { state: WebSeedStatus["state"]; error: RegExp },
): Promise<TestServer> {
  const server = await serveHttp(t, answer);
  const metainfo = await singleFile(t, (name) => `${server.origin}/${name}`);
  const session = new Session();
  t.after(() => session.close());
  const torrent = await session.add(metainfo, { storage: "memory" });
  const status = await failure(torrent);
  assert.equal(status.state, expected.state, status.error);
  assert.match(status.error ?? "", expected.error);
  await session.close();
  return server;
}

describe("web seeds", () => {
  it("are no peers: neither the IP filter nor the option admit is asked about them", TIMEOUT, async (t) => {
    const server = await serveHttp(t, serving({ "/data.bin": DATA }));
    const metainfo = await singleFile(t, () => `${server.origin}/data.bin`);
    const asked: string[] = [];
    const ipFilter = {
      has: (host: string): boolean => {
        asked.push(host);
        return true;
      },
    };
    const session = new Session({
      ipFilter,
      admit: ({ address }) => {
        asked.push(address.host);
        return false;
      },
    });
    t.after(() => session.close());
    const torrent = session.addInBackground(metainfo, { directory: folder(t) });
    torrent.once("piece", () => session.setIpFilter(ipFilter));
    await torrent.done;
    assert.deepEqual(asked, []);
  });

  for (const receiveMode of RECEIVE_MODES)
    it(`bring a file in runs over one connection, received in mode ${receiveMode}`, TIMEOUT, async (t) => {
      // Less than what is kept before it is asked for: a run that is far from what is asked for is given up beyond that, and its
      // connection with it.
      const data = DATA.subarray(0, 2_000_000);
      const ports = new Set<number | undefined>();
      const server = await serveHttp(t, (request, response) => {
        ports.add(request.socket.remotePort);
        serving({ "/data.bin": data })(request, response);
      });
      const metainfo = await singleFile(t, () => `${server.origin}/data.bin`, data);
      const { target, torrent } = await fetched(t, metainfo, {}, { receiveMode });
      assert.ok(readFileSync(join(target, "data.bin")).equals(data));
      const pieces = Math.ceil(data.length / PIECE);
      assert.ok(server.asked.length <= pieces / 2, `${server.asked.length} requests for ${pieces} pieces`);
      assert.equal(ports.size, 1);
      assert.equal(torrent.counters().payloadBytes, data.length);
    });

  for (const storage of STORAGE_KINDS.filter((kind) => kind !== "null"))
    it(`bring a file into storage "${storage}"`, TIMEOUT, async (t) => {
      const server = await serveHttp(t, serving({ "/data.bin": DATA }));
      const metainfo = await singleFile(t, () => `${server.origin}/data.bin`);
      const { torrent, target } = await fetched(t, metainfo, { storage });
      assert.equal(torrent.progress().bytesVerified, DATA.length);
      if (storage !== "memory") assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
    });

  it("bring folders, empty files, odd names and padding", TIMEOUT, async (t) => {
    const source = join(folder(t), "al bum");
    mkdirSync(join(source, "sub#1"), { recursive: true });
    const files = {
      "a?b %.bin": bytesOf(1, 200_001),
      empty: new Uint8Array(0),
      "sub#1/ü.bin": bytesOf(2, 70_000),
      "z.bin": bytesOf(3, 1),
    };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(source, name), bytes);
    const paths = Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [`/x/al bum/${name}`, bytes]),
    );
    for (const padding of [false, true])
      for (const base of ["/x/", "/x"]) {
        const server = await serveHttp(t, serving(paths));
        const metainfo = await torrentOf(source, [`${server.origin}${base}`], padding);
        const { target } = await fetched(t, metainfo);
        for (const [name, bytes] of Object.entries(files))
          assert.ok(readFileSync(join(target, "al bum", name)).equals(bytes), name);
      }
  });

  it(
    "are asked for the names that the torrent has, where those are too long for a file system",
    TIMEOUT,
    async (t) => {
      const name = `${"n".repeat(280)}.bin`;
      const server = await serveHttp(t, serving({ [`/x/${name}`]: DATA }));
      const short = await singleFile(t, () => `${server.origin}/x/`);
      const info = { ...(bencode.decode(Buffer.from(short.info)) as Record<string, unknown>), name };
      const metainfo = parseMetainfo(bencode.encode({ info, "url-list": short.webSeeds }));
      const { target } = await fetched(t, metainfo);
      assert.ok(readFileSync(join(target, metainfo.name)).equals(DATA));
    },
  );

  it("share the work with a peer, and with each other", TIMEOUT, async (t) => {
    const servers = [
      await serveHttp(t, serving({ "/data.bin": DATA })),
      await serveHttp(t, serving({ "/data.bin": DATA })),
    ];
    const source = folder(t);
    writeFileSync(join(source, "data.bin"), DATA);
    const metainfo = await torrentOf(
      join(source, "data.bin"),
      servers.map(({ origin }) => `${origin}/`),
    );
    const seeding = new Session();
    t.after(() => seeding.close());
    const address = await seeding.listen({ host: "127.0.0.1", port: 0 });
    await seeding.add(metainfo, { directory: source, webSeeds: false });
    const { target, torrent } = await fetched(t, metainfo, { peers: [address] });
    assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
    // Each has what is left over from the end game only twice.
    assert.ok(torrent.counters().payloadBytes < 1.5 * DATA.length);
  });

  it("are found at the end of redirects", TIMEOUT, async (t) => {
    const real = await serveHttp(t, serving({ "/there/data.bin": DATA }));
    const server = await serveHttp(t, (request, response) => {
      response.writeHead(302, { location: `${real.origin}/there${request.url}` }).end();
    });
    const { target } = await fetched(t, await singleFile(t, () => `${server.origin}/`));
    assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
  });

  it("whose user's name cannot be decoded fail like any other", TIMEOUT, async (t) => {
    const server = await serveHttp(t, (request, response) => {
      response.writeHead(302, { location: `http://%ff@${request.headers.host}/` }).end();
    });
    const named = server.origin.replace("//", "//%ff@");
    for (const url of [`${server.origin}/`, `${named}/`]) {
      const metainfo = await singleFile(t, () => url);
      const session = new Session();
      t.after(() => session.close());
      const torrent = await session.add(metainfo, { storage: "memory" });
      assert.match((await failure(torrent)).error ?? "", /cannot be asked/);
      await session.close();
    }
  });

  it("may serve no ranges if the file is small", TIMEOUT, async (t) => {
    const server = await serveHttp(t, (_request, response) => {
      response.writeHead(200, { "content-length": DATA.length }).end(DATA);
    });
    const { target } = await fetched(t, await singleFile(t, () => `${server.origin}/`));
    assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
  });

  it("that break off in the middle are asked for the rest", TIMEOUT, async (t) => {
    let broken = 0;
    const server = await serveHttp(t, (request, response) => {
      const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      const [from, to] = [Number(match?.[1]), Number(match?.[2])];
      response.writeHead(206, {
        "content-length": to + 1 - from,
        "content-range": `bytes ${from}-${to}/${DATA.length}`,
      });
      const part = DATA.subarray(from, to + 1);
      if (part.length < 150_000) return void response.end(part);
      broken++;
      response.write(part.subarray(0, 120_000), () => request.socket.destroy());
    });
    const { target, torrent } = await fetched(t, await singleFile(t, () => `${server.origin}/`));
    assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
    assert.ok(broken > 0, "some were broken off");
    assert.equal(torrent.counters().payloadBytes, DATA.length);
  });

  it("that send wrong bytes are not asked again, and harm nobody else", TIMEOUT, async (t) => {
    const wrong = Buffer.from(DATA);
    for (let at = 100; at < wrong.length; at += PIECE) wrong[at] = (wrong[at] ?? 0) ^ 1;
    const liar = await serveHttp(t, serving({ "/data.bin": wrong }));
    const honest = await serveHttp(t, serving({ "/data.bin": DATA }));
    const source = folder(t);
    writeFileSync(join(source, "data.bin"), DATA);
    const urls = [`${liar.origin}/`, `${honest.origin}/`];
    const { target, torrent } = await fetched(t, await torrentOf(join(source, "data.bin"), urls));
    assert.ok(readFileSync(join(target, "data.bin")).equals(DATA));
    const status = (url: string | undefined): WebSeedStatus | undefined =>
      torrent.webSeeds.find((each) => each.url === url);
    assert.deepEqual([status(urls[0])?.state, status(urls[0])?.error], ["never", "it sent wrong bytes"]);
    assert.notEqual(status(urls[1])?.state, "never");
  });

  it(
    "that have another file, another range, no ranges of a long way in, or nothing, are told",
    TIMEOUT,
    async (t) => {
      const reply =
        (status: number, headers: Record<string, string | number>, body: Uint8Array | string = ""): Answer =>
        (_request, response) =>
          void response.writeHead(status, headers).end(body);
      await failing(t, serving({ "/data.bin": DATA.subarray(0, 2_999_000) }), {
        state: "never",
        error: /its file has 2999000 bytes, not 3000001/,
      });
      await failing(t, reply(206, { "content-range": "bytes 0-9/3000001" }, "0123456789"), {
        state: "never",
        error: /another range/,
      });
      await failing(t, reply(206, {}, DATA), { state: "never", error: /another range/ });
      await failing(t, reply(200, { "content-length": 5 }, "hello"), {
        state: "never",
        error: /has 5 bytes/,
      });
      await failing(t, reply(404, {}), { state: "waiting", error: /HTTP status 404/ });
      await failing(t, reply(503, { "retry-after": 60 }), { state: "waiting", error: /HTTP status 503/ });
      const short = await failing(t, reply(200, {}, "short"), {
        state: "waiting",
        error: /ended \d+ bytes too early/,
      });
      assert.equal(short.asked.length, 3, "it had three chances");
      await failing(t, (request) => request.socket.destroy(), { state: "waiting", error: /hang up|reset/ });
    },
  );

  it("on this machine are asked for files, and for nothing behind a question mark", TIMEOUT, async (t) => {
    const server = await serveHttp(t, serving({ "/admin": DATA }));
    const metainfo = await singleFile(t, () => `${server.origin}/admin?reboot=1`);
    const session = new Session();
    t.after(() => session.close());
    const torrent = await session.add(metainfo, { storage: "memory" });
    const status = await failure(torrent);
    assert.match(status.error ?? "", /without a query/);
    const odd = { ...metainfo, webSeeds: ["ftp://a/", "nonsense", `http://a/${"x".repeat(5000)}`] };
    await session.close();
    const other = new Session();
    t.after(() => other.close());
    const none = await other.add(odd, { storage: "memory" });
    while (none.webSeeds.some(({ state }) => state === "waiting"))
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(
      none.webSeeds.map(({ state }) => state),
      ["never", "never", "never"],
    );
    assert.deepEqual(server.asked, []);
  });

  it("are left alone without the option, and when all is there", TIMEOUT, async (t) => {
    const server = await serveHttp(t, serving({ "/data.bin": DATA }));
    const metainfo = await singleFile(t, () => `${server.origin}/`);
    const session = new Session();
    t.after(() => session.close());
    const torrent = await session.add(metainfo, { storage: "memory", webSeeds: false });
    assert.deepEqual(torrent.webSeeds, []);
    const source = folder(t);
    writeFileSync(join(source, "data.bin"), DATA);
    const seeding = new Session();
    t.after(() => seeding.close());
    const seed = await seeding.add(metainfo, { directory: source });
    assert.equal(seed.state, "seeding");
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.deepEqual(server.asked, []);
    const { torrent: done, session: doneSession } = await fetched(t, metainfo);
    while (done.webSeeds.some(({ state }) => state === "joined"))
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(doneSession.connectionCount, 0);
  });

  it("cost no more memory than a few runs, however slowly blocks are taken", TIMEOUT, async (t) => {
    let sent = 0;
    const length = 64 * 2 ** 20;
    const big = bytesOf(5, length);
    const server = await serveHttp(t, (request, response) => {
      const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      const [from, to] = [Number(match?.[1]), Number(match?.[2])];
      response.writeHead(206, {
        "content-length": to + 1 - from,
        "content-range": `bytes ${from}-${to}/${length}`,
      });
      sent += to + 1 - from;
      response.end(big.subarray(from, to + 1));
    });
    const source = folder(t);
    writeFileSync(join(source, "data.bin"), big);
    const metainfo = await torrentOf(join(source, "data.bin"), [`${server.origin}/`]);
    const held: { release(): void }[] = [];
    const session = new Session({ poolBytes: 2 * 2 ** 20 });
    t.after(() => session.close());
    // Whoever holds all leases takes nothing more.
    const torrent = session.addInBackground(metainfo, {
      storage: "null",
      onBlock: (lease) => held.push(lease),
    });
    while (held.length < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    const before = sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(sent < 24 * 2 ** 20, `${before}, then ${sent} bytes were asked for`);
    for (const lease of held) lease.release();
    await torrent.close();
  });
});
