// What an operator sees of a tracker: metrics that agree with what was asked, the page, and REST that nobody uses without the token.

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { describe, it, type TestContext } from "node:test";
import { TrackerService, type TrackerServiceOptions } from "../../../../src/tracker/index.js";
import { entryOf, required } from "../../../support/required.js";

const TOKEN = "an-operator's-own-token";
const ONE = "61".repeat(20);
const TWO = "62".repeat(20);

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly framing: string | string[] | undefined;
  readonly body: string;
}

function ask(port: number, path: string, method = "GET", token: string | null = TOKEN): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    httpRequest({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () =>
        resolve({
          status: required(response.statusCode, "status code"),
          type: response.headers["content-type"] ?? "",
          framing: response.headers["x-frame-options"],
          body,
        }),
      );
    })
      .on("error", reject)
      .end();
  });
}

interface Place {
  readonly service: TrackerService;
  readonly http: number;
  readonly metrics: number;
}

async function start(t: TestContext, options: Partial<TrackerServiceOptions> = {}): Promise<Place> {
  const service = await TrackerService.start({
    udp: [],
    http: [{ host: "127.0.0.1", port: 0 }],
    metrics: { host: "127.0.0.1", port: 0 },
    token: TOKEN,
    store: { bytesMax: 2 ** 24 },
    ...options,
  });
  t.after(() => service.close());
  const portOf = (wanted: string): number =>
    required(
      service.listening.find(({ protocol }) => protocol === wanted),
      "one of listening",
    ).port;
  return { service, http: portOf("http"), metrics: portOf("metrics") };
}

const announce = (port: number, letter: string, peer: number, more = "left=1"): Promise<Answer> =>
  ask(port, `/announce?info_hash=${letter.repeat(20)}&port=${peer}&${more}`, "GET", null);

/** The sample of a metric, by its name and labels as they are written. */
function sample(text: string, name: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`scatterwire_tracker_${name} `));
  assert.ok(line !== undefined, `${name} is told`);
  return Number(line.slice(line.lastIndexOf(" ") + 1));
}

describe("metrics", () => {
  it("agree with what was asked, in Prometheus' format", async (t) => {
    const { http, metrics } = await start(t);
    await announce(http, "a", 1);
    await announce(http, "a", 2, "left=0");
    await announce(http, "b", 1);
    await ask(http, `/scrape?info_hash=${"a".repeat(20)}`, "GET", null);
    await ask(http, "/announce?port=1", "GET", null);
    const { status, type, body } = await ask(metrics, "/metrics", "GET", null);
    assert.equal(status, 200);
    assert.match(type, /^text\/plain; version=0\.0\.4/);
    assert.equal(sample(body, "torrents"), 2);
    assert.equal(sample(body, 'peers{family="ipv4"}'), 3);
    assert.equal(sample(body, 'requests_total{protocol="http",kind="announce"}'), 3);
    assert.equal(sample(body, 'requests_total{protocol="http",kind="scrape"}'), 1);
    assert.equal(sample(body, 'refused_total{protocol="http",reason="malformed"}'), 1);
    const names = new Set<string>();
    for (const line of body.trimEnd().split("\n")) {
      if (line.startsWith("# TYPE ")) {
        const name = entryOf(line.split(" "), 2);
        assert.ok(!names.has(name), `${name} is told once`);
        names.add(name);
      } else if (!line.startsWith("#"))
        assert.match(line, /^[a-z_]+(\{[a-z_]+="[a-z0-9_]+"(,[a-z_]+="[a-z0-9_]+")*\})? [0-9.e+-]+$/);
    }
  });

  it("name no torrent and no peer, nor does the page", async (t) => {
    const { http, metrics } = await start(t);
    await announce(http, "a", 54321);
    for (const path of ["/metrics", "/statistics", "/"]) {
      const { status, framing, body } = await ask(metrics, path, "GET", null);
      assert.equal(status, 200);
      assert.equal(framing, "DENY", "no other page shows it as its own");
      assert.ok(!body.includes(ONE) && !body.includes("54321"), path);
    }
    assert.equal((await ask(metrics, "/else")).status, 404);
    assert.equal((await ask(http, "/metrics")).status, 404);
  });
});

describe("REST", () => {
  it("does nothing without the token", async (t) => {
    const { metrics } = await start(t, { rules: { deny: new Set() } });
    for (const token of [null, "", "wrong", `${TOKEN}x`, TOKEN.slice(0, -1)]) {
      assert.equal((await ask(metrics, "/api/torrents", "GET", token)).status, 401);
      assert.equal((await ask(metrics, `/api/lists/deny/${ONE}`, "PUT", token)).status, 401);
    }
    assert.equal((await ask(metrics, "/api/lists/deny")).body, "[]\n");
    const open = await TrackerService.start({ udp: [], metrics: { host: "127.0.0.1", port: 0 } });
    t.after(() => open.close());
    assert.equal((await ask(entryOf(open.listening, 0).port, "/api/statistics")).status, 401);
    await assert.rejects(TrackerService.start({ udp: [], token: "short" }), /16 characters/);
  });

  it("lists torrents, and tells one with its peers", async (t) => {
    const { http, metrics } = await start(t);
    for (const peer of [1, 2, 3]) await announce(http, "a", peer, peer === 1 ? "left=0" : "left=1");
    await announce(http, "b", 9);
    const read = async (path: string): Promise<Record<string, unknown>> =>
      JSON.parse((await ask(metrics, path)).body) as Record<string, unknown>;
    const { total, torrents } = (await read("/api/torrents")) as {
      total: number;
      torrents: { infoHash: string }[];
    };
    assert.equal(total, 2);
    assert.deepEqual(torrents.map(({ infoHash }) => infoHash).sort(), [ONE, TWO]);
    assert.equal(((await read("/api/torrents?from=1&limit=5"))["torrents"] as object[]).length, 1);
    const one = await read(`/api/torrents/${ONE}`);
    assert.deepEqual([one["seeders"], one["leechers"]], [1, 2]);
    assert.deepEqual((one["peers"] as string[]).sort(), ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
    assert.deepEqual((await read(`/api/torrents/${TWO}`))["peers"], ["127.0.0.1:9"]);
    assert.equal((await ask(metrics, `/api/torrents/${"63".repeat(20)}`)).status, 404);
    for (const wrong of ["/api/torrents/x", "/api/torrents?limit=1001", "/api/torrents?from=-1"])
      assert.equal((await ask(metrics, wrong)).status, 400, wrong);
    const { totals } = (await read("/api/statistics")) as { totals: { torrents: number } };
    assert.equal(totals.torrents, 2);
  });

  it("changes lists and keys that are there", async (t) => {
    const { http, metrics } = await start(t, { rules: { deny: new Set(), keys: new Set(["sesame"]) } });
    assert.equal((await ask(metrics, `/api/lists/allow/${ONE}`, "PUT")).status, 409);
    assert.equal((await ask(metrics, "/api/lists/deny/nothing", "PUT")).status, 400);
    const announced = async (key: string): Promise<string> =>
      (await ask(http, `/${key}/announce?info_hash=${"a".repeat(20)}&port=1`, "GET", null)).body;
    assert.match(await announced("sesame"), /incompletei1e/);
    assert.match(await announced("simsim"), /wants a key/);
    assert.equal((await ask(metrics, "/api/keys/simsim", "PUT")).status, 200);
    assert.match(await announced("simsim"), /incompletei1e/);
    await ask(metrics, `/api/lists/deny/${ONE}`, "PUT");
    assert.match(await announced("simsim"), /does not track/);
    assert.deepEqual(JSON.parse((await ask(metrics, "/api/lists/deny")).body), [ONE]);
    await ask(metrics, `/api/lists/deny/${ONE}`, "DELETE");
    assert.match(await announced("simsim"), /incompletei1e/);
    await ask(metrics, "/api/keys/sesame", "DELETE");
    assert.match(await announced("sesame"), /wants a key/);
  });
});
