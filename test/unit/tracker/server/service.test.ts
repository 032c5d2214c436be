// A tracker with its faces on loopback: what HTTP answers, whose address counts, who is refused, what is kept, and what strangers can
// make it hold.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import bencode from "bencode";
import { TrackerService, type TrackerServiceOptions } from "../../../../src/tracker/index.js";
import { entryOf, required } from "../../../support/required.js";

const HASH = Buffer.from("123456789abcdef123456789abcdef123456789a", "hex");
const OTHER = Buffer.alloc(20, 7);

function escaped(hash: Uint8Array): string {
  return [...hash].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

async function start(
  t: TestContext,
  options: Partial<TrackerServiceOptions> = {},
): Promise<{ service: TrackerService; port: number }> {
  const service = await TrackerService.start({
    udp: [],
    http: [{ host: "127.0.0.1", port: 0 }],
    store: { bytesMax: 2 ** 24 },
    ...options,
  });
  t.after(() => service.close());
  return {
    service,
    port: required(
      service.listening.find(({ protocol }) => protocol === "http"),
      "one of listening",
    ).port,
  };
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly fields: Record<string, unknown>;
}

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  host = "127.0.0.1",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host, port, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const body = Buffer.concat(chunks);
        const isBencode = body[0] === 0x64 && body.at(-1) === 0x65;
        const fields = isBencode ? (bencode.decode(body) as Record<string, unknown>) : {};
        resolve({ status: required(response.statusCode, "status code"), body, fields });
      });
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end();
  });
}

const announcePath = (port: number, more = "", hash: Uint8Array = HASH): string =>
  `/announce?info_hash=${escaped(hash)}&peer_id=${"a".repeat(20)}&port=${port}&uploaded=0&downloaded=0&left=1${more}`;
const scrapePath = (hash: Uint8Array = HASH): string => `/scrape?info_hash=${escaped(hash)}`;

function hexPeers(answer: Answer, key = "peers"): string[] {
  const bytes = Buffer.from(answer.fields[key] as Uint8Array);
  const size = key === "peers" ? 6 : 18;
  return Array.from({ length: bytes.length / size }, (_, at) =>
    bytes.subarray(size * at, size * (at + 1)).toString("hex"),
  );
}

function reasonOf(answer: Answer): string {
  return Buffer.from((answer.fields["failure reason"] as Uint8Array | undefined) ?? []).toString();
}

/** Resolves when the other side has closed; what it said. */
function untilClosed(socket: Socket): Promise<string> {
  let said = "";
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  return new Promise((resolve) => socket.on("close", () => resolve(said)));
}

describe("a tracker over HTTP", () => {
  it("tells peers of each other, and counts them", async (t) => {
    const { port, service } = await start(t);
    assert.deepEqual(hexPeers(await get(port, announcePath(0x1111))), []);
    const second = await get(port, announcePath(0x2222, "&left=0&numwant=10"));
    assert.deepEqual(hexPeers(second), ["7f0000011111"]);
    assert.equal(second.fields["complete"], 1);
    assert.equal(second.fields["incomplete"], 1);
    const { files } = (await get(port, scrapePath())).fields as { files: Record<string, unknown> };
    assert.deepEqual(Object.values(files), [{ complete: 1, downloaded: 0, incomplete: 1 }]);
    await get(port, announcePath(0x1111, "&event=stopped"));
    assert.equal((await get(port, announcePath(0x2222))).fields["incomplete"], 1);
    const { http, totals } = service.counters();
    assert.equal(http.announces, 4);
    assert.equal(http.scrapes, 1);
    assert.equal(totals.peersV4, 1);
  });

  it("keeps IPv4 and IPv6 apart, and scrapes both", async (t) => {
    const { service, port } = await start(t, {
      http: [
        { host: "127.0.0.1", port: 0 },
        { host: "::1", port: 0 },
      ],
    });
    const port6 = required(
      service.listening.find(({ host }) => host === "::1"),
      "one of listening",
    ).port;
    await get(port, announcePath(0x1111));
    await get(port6, announcePath(0x2222), {}, "::1");
    const third = await get(port6, announcePath(0x3333), {}, "::1");
    assert.deepEqual(hexPeers(third, "peers6"), [`${"0".repeat(31)}12222`]);
    assert.deepEqual(hexPeers(third), []);
    const { files } = (await get(port, scrapePath())).fields as {
      files: Record<string, { incomplete: number }>;
    };
    assert.equal(entryOf(Object.values(files), 0).incomplete, 3);
  });

  it("shares its swarms with UDP, and believes x-forwarded-for of trusted proxies only", async (t) => {
    const { port } = await start(t, { trustedProxies: ["127.0.0.1", "10.0.0.0/8"] });
    const forwarded = (chain: string): Promise<Answer> =>
      get(port, announcePath(0x1111), { "x-forwarded-for": chain });
    await forwarded("6.6.6.6, 9.8.7.6, 10.1.2.3");
    await forwarded("[2001:db8::1]:443");
    assert.equal((await forwarded("nobody")).status, 400);
    assert.deepEqual(hexPeers(await get(port, announcePath(0x2222))), ["090807061111"]);
    const { port: plain } = await start(t);
    await get(plain, announcePath(0x1111), { "x-forwarded-for": "9.8.7.6" });
    assert.deepEqual(hexPeers(await get(plain, announcePath(0x2222))), ["7f0000011111"]);
  });

  it("answers where it is asked by its whole URL, and changes nothing for a method that it does not have", async (t) => {
    const { port } = await start(t);
    const answers = (method: string, target: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(port, "127.0.0.1");
        let said = "";
        socket.on("error", reject).on("end", () => resolve(said));
        socket.on("data", (bytes: Buffer) => {
          said += bytes.toString("latin1");
        });
        socket.write(`${method} ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      });
    const refused = await answers("POST", announcePath(0x3333));
    assert.match(refused, /^HTTP\/1\.1 405 /);
    assert.match(refused, /\r\nAllow: GET, HEAD\r\n/);
    assert.match(await answers("OPTIONS", "*"), /^HTTP\/1\.1 405 /);
    const whole = await answers("GET", `http://tracker.example:${port}${announcePath(0x1111)}`);
    assert.match(whole, /^HTTP\/1\.1 200 /);
    assert.deepEqual(hexPeers(await get(port, announcePath(0x2222))), ["7f0000011111"]);
    const head = await answers("HEAD", announcePath(0x4444));
    assert.match(head, /^HTTP\/1\.1 200 /);
    assert.ok(head.endsWith("\r\n\r\n"), "and no body");
  });

  it("says what is wrong with a request, and counts it", async (t) => {
    const { port, service } = await start(t);
    assert.match(reasonOf(await get(port, "/announce?port=1")), /info_hash is missing/);
    assert.match(reasonOf(await get(port, "/scrape")), /info_hash is missing/);
    assert.equal((await get(port, "/else")).status, 404);
    assert.equal((await get(port, `/announce?${"x".repeat(5000)}`)).status, 414);
    assert.equal((await get(port, "/announce", { "x-long": "x".repeat(9000) })).status, 431);
    const { http } = service.counters();
    assert.equal(http.malformed, 2);
    assert.equal(http.unknownPaths, 1);
    assert.equal(http.longUrls, 1);
    assert.equal(http.longHeaders, 1);
    assert.equal(service.counters().totals.torrents, 0);
  });

  it("takes keys in the path, and lists of torrents, which change between two requests", async (t) => {
    const { port, service } = await start(t, { rules: { keys: new Set(["sesame"]) } });
    assert.match(reasonOf(await get(port, announcePath(1))), /wants a key/);
    assert.match(reasonOf(await get(port, `/wrong${announcePath(1)}`)), /wants a key/);
    assert.equal((await get(port, `/sesame${announcePath(1)}`)).fields["incomplete"], 1);
    assert.equal((await get(port, announcePath(1).replace("?", "/sesame?"))).fields["incomplete"], 1);
    service.replaceRules({ allow: new Set([OTHER.toString("hex")]) });
    assert.match(reasonOf(await get(port, announcePath(1))), /does not track/);
    assert.equal((await get(port, announcePath(1, "", OTHER))).fields["incomplete"], 1);
    service.replaceRules({ deny: new Set([OTHER.toString("hex")]) });
    assert.equal((await get(port, announcePath(1))).fields["incomplete"], 1);
    assert.match(reasonOf(await get(port, announcePath(1, "", OTHER))), /does not track/);
    assert.deepEqual((await get(port, scrapePath(OTHER))).fields["files"], {});
    const { http } = service.counters();
    assert.equal(http.refusedKeys, 2);
    assert.equal(http.refusedTorrents, 2);
  });

  it("refuses keys beside UDP, proxies that are no addresses, and ports that are taken", async (t) => {
    const { port } = await start(t);
    const refused = (options: Partial<TrackerServiceOptions>, code: string): Promise<void> =>
      assert.rejects(TrackerService.start({ udp: [], ...options }), { code });
    await refused({ udp: [{ host: "127.0.0.1", port: 0 }], rules: { keys: new Set(["k"]) } }, "USAGE_OPTION");
    for (const proxy of ["somewhere", "1.2.3.4/33", "1.2.3.4/8/8", "::1/x"])
      await refused({ trustedProxies: [proxy] }, "USAGE_OPTION");
    await refused({ http: [{ host: "127.0.0.1", port }] }, "LISTEN_FAILED");
  });
});

describe("strangers at a tracker's HTTP port", () => {
  const short = { headersTimeoutMs: 300, idleTimeoutMs: 300, stallTimeoutMs: 600 };

  it("are closed if they say nothing, or a byte now and then", async (t) => {
    const { port, service } = await start(t, { httpLimits: short });
    const silent = untilClosed(connect(port, "127.0.0.1"));
    const slow = connect(port, "127.0.0.1");
    const ended = untilClosed(slow);
    const drip = setInterval(() => slow.write("G"), 50);
    t.after(() => clearInterval(drip));
    slow.write("GET /announce?x");
    await Promise.all([silent, ended]);
    assert.ok(service.counters().http.slowRequests >= 1);
    assert.equal((await get(port, announcePath(1))).status, 200);
  });

  it("are closed when they are done, though they would stay", async (t) => {
    const { port, service } = await start(t, { httpLimits: short });
    const socket = connect(port, "127.0.0.1");
    const said = untilClosed(socket);
    socket.write(`GET ${announcePath(1)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.match(await said, /200 OK/);
    // Each side hears of the end for itself.
    while (service.counters().http.openConnections > 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("are bounded in number, and those that ask for nothing make room for whoever asks", async (t) => {
    // None of them is closed for its silence.
    const patient = { headersTimeoutMs: 60_000, idleTimeoutMs: 60_000, stallTimeoutMs: 60_000 };
    const { port, service } = await start(t, { httpLimits: { ...patient, connectionsMax: 20 } });
    const sockets = Array.from({ length: 20 }, () => connect(port, "127.0.0.1"));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    const closed = sockets.map(untilClosed);
    while (service.counters().http.connections < 20) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal((await get(port, announcePath(1))).status, 200);
    await Promise.race(closed);
    const { http } = service.counters();
    assert.deepEqual([http.connections, http.tooManyConnections], [21, 1]);
    assert.ok(http.openConnections <= 20);
  });

  it("by the thousand, and silent, keep nobody out, and are closed", { timeout: 120_000 }, async (t) => {
    const count = 1500;
    const limits = { ...short, headersTimeoutMs: 3000, connectionsMax: count + 10 };
    const { port, service } = await start(t, { httpLimits: limits });
    const closed: Promise<string>[] = [];
    // Fewer at a time than wait to be accepted.
    for (let begun = 0; begun < count; begun += 100) {
      const sockets = Array.from({ length: 100 }, () => connect(port, "127.0.0.1"));
      closed.push(...sockets.map(untilClosed));
      while (service.counters().http.connections < begun + 100)
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal((await get(port, announcePath(1))).status, 200);
    await Promise.all(closed);
    while (service.counters().http.openConnections > 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(service.counters().http.tooManyConnections, 0);
  });

  it("have a bound of requests for one connection, and of what waits unread", {
    timeout: 60_000,
  }, async (t) => {
    const { port, service } = await start(t, { httpLimits: { ...short, requestsPerConnectionMax: 4 } });
    const socket = connect(port, "127.0.0.1");
    const said = untilClosed(socket);
    socket.write(`GET ${scrapePath()} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(10));
    assert.deepEqual((await said).match(/HTTP\/1.1 \d+/g), Array(4).fill("HTTP/1.1 200"));
    const { port: other, service: patient } = await start(t, { httpLimits: short });
    const greedy = connect(other, "127.0.0.1");
    greedy.on("error", () => {});
    greedy.pause();
    const closed = new Promise((resolve) => greedy.on("close", resolve));
    const ask = Buffer.from(`GET ${scrapePath()} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(500));
    const push = setInterval(
      () => greedy.writable && greedy.writableLength < 2 ** 20 && greedy.write(ask),
      1,
    );
    t.after(() => clearInterval(push));
    const gone = new Promise<void>((resolve) => {
      const look = setInterval(() => {
        if (patient.counters().http.connections !== 1 || patient.counters().http.openConnections !== 0)
          return;
        clearInterval(look);
        resolve();
      }, 20);
    });
    await gone;
    greedy.destroy();
    await closed;
    assert.ok(service.counters().http.requests <= 10);
  });

  it("that speak no HTTP, or send bodies, are turned away", async (t) => {
    const { port, service } = await start(t, { httpLimits: short });
    const noise = connect(port, "127.0.0.1");
    const answer = untilClosed(noise);
    noise.write("\u0013BitTorrent protocol");
    await answer;
    const post = connect(port, "127.0.0.1");
    const said = untilClosed(post);
    post.write(`POST ${announcePath(1)} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc`);
    assert.match(await said, /413/);
    const { http, totals } = service.counters();
    assert.equal(http.notHttp, 1);
    assert.equal(http.bodies, 1);
    assert.equal(totals.torrents, 0);
  });
});

describe("downloads that are kept", () => {
  const folder = mkdtemp(join(tmpdir(), "scatterwire-downloads-"));
  after(async () => rm(await folder, { recursive: true, force: true }));

  it("outlive their torrents and the tracker", async (t) => {
    const downloadsFile = join(await folder, "downloads");
    const first = await start(t, { downloadsFile });
    const downloads = async (port: number): Promise<number> => {
      const { files } = (await get(port, scrapePath())).fields as {
        files: Record<string, { downloaded: number }>;
      };
      return entryOf(Object.values(files), 0).downloaded;
    };
    for (const peer of [1, 2]) {
      await get(first.port, announcePath(peer));
      await get(first.port, announcePath(peer, "&event=completed&left=0"));
      // Whoever says it twice has completed once.
      await get(first.port, announcePath(peer, "&event=completed&left=0"));
    }
    for (const peer of [1, 2]) await get(first.port, announcePath(peer, "&event=stopped"));
    assert.equal(first.service.counters().totals.torrents, 0);
    assert.equal(await downloads(first.port), 2);
    await first.service.close();
    const second = await start(t, { downloadsFile });
    assert.equal(await downloads(second.port), 2);
    await get(second.port, announcePath(3));
    await get(second.port, announcePath(3, "&event=completed&left=0"));
    assert.equal(await downloads(second.port), 3);
  });

  it("are refused when a byte of their file is another one", async () => {
    const downloadsFile = join(await folder, "damaged");
    const service = await TrackerService.start({ udp: [], downloadsFile });
    await service.close();
    const bytes = await readFile(downloadsFile);
    for (const at of [0, 8, 20, bytes.length - 1]) {
      const wrong = Buffer.from(bytes);
      wrong[at] = entryOf(wrong, at) ^ 1;
      await writeFile(downloadsFile, wrong);
      await assert.rejects(TrackerService.start({ udp: [], downloadsFile }), /damaged/);
    }
    await writeFile(downloadsFile, bytes.subarray(0, 10));
    await assert.rejects(TrackerService.start({ udp: [], downloadsFile }), /damaged/);
  });
});
