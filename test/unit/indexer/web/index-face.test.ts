// An index over HTTP: search and its limits, what needs the token, what others read (RSS, Torznab), and numbers that agree with the store.

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { openStore } from "../../../../src/indexer/store/open-store.js";
import type { FoundTorrent, IndexStore, SearchQuery } from "../../../../src/indexer/store/store.js";
import { IndexFace, type IndexFaceOptions } from "../../../../src/indexer/web/index-face.js";
import { temporaryFolder } from "../../../support/data.js";

const TIMEOUT = { timeout: 60_000 };
const TOKEN = "somebody's-own-secret";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function ask(port: number, path: string, { method = "GET", headers = {} }: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body }),
      );
    })
      .on("error", reject)
      .end();
  });
}

const BEARER = { headers: { authorization: `Bearer ${TOKEN}` } };

function torrent(number: number, name: string, more: Partial<FoundTorrent> = {}): FoundTorrent {
  return {
    infoHash: Buffer.alloc(20, number),
    name,
    bytes: number * 1_000_000,
    pieceBytes: 16_384,
    isPrivate: false,
    fileCount: 1,
    files: [{ path: `${name}.bin`, bytes: number * 1_000_000 }],
    ...more,
  };
}

interface Place {
  readonly store: IndexStore;
  readonly port: number;
}

async function serve(
  t: TestContext,
  torrents: readonly FoundTorrent[],
  options: Partial<IndexFaceOptions> = {},
): Promise<Place> {
  const folder = temporaryFolder((callback) => t.after(callback));
  const store = await openStore(`${folder}/index.db`);
  t.after(() => store.close());
  await store.see(torrents.map(({ infoHash }) => ({ infoHash, hits: 3 })));
  for (const found of torrents) await store.finish("a test", [{ kind: "fetched", torrent: found }]);
  await store.worked({ owner: "a test", lookups: 7, queries: 90, fetches: 5 });
  const { face, address } = await IndexFace.start({
    store,
    listen: { host: "127.0.0.1", port: 0 },
    ...options,
  });
  t.after(() => face.close());
  return { store, port: address.port };
}

const names = (body: string): string[] =>
  (JSON.parse(body) as { torrents: { name: string }[] }).torrents.map(({ name }) => name);

const LIBRARY = [
  torrent(1, "a film of birds"),
  torrent(2, "a film of trees"),
  torrent(3, "songs of birds"),
  torrent(4, 'odd <b>&"name"</b> \u0007\u{1f426}'),
];

describe("an index over HTTP", TIMEOUT, () => {
  it("searches by words, sizes and order, page by page", async (t) => {
    const { port } = await serve(t, LIBRARY);
    const search = async (query: string): Promise<string[]> =>
      names((await ask(port, `/api/search?${query}`)).body);
    assert.deepEqual(await search("q=birds"), ["songs of birds", "a film of birds"]);
    assert.deepEqual(await search("q=film+-trees"), ["a film of birds"]);
    assert.deepEqual(await search("order=largest&max=2M"), ["a film of trees", "a film of birds"]);
    assert.deepEqual(await search("min=2500000&q=birds"), ["songs of birds"]);
    assert.deepEqual(await search(`from=${Date.now() + 1e9}`), []);
    const first = JSON.parse((await ask(port, "/api/search?limit=3")).body) as {
      cursor: string;
      isWhole: boolean;
    };
    assert.equal(first.isWhole, true);
    assert.deepEqual(await search(`limit=3&cursor=${encodeURIComponent(first.cursor)}`), ["a film of birds"]);
  });

  it("tells one torrent with its files and its magnet link", async (t) => {
    const { port } = await serve(t, LIBRARY);
    const { status, body } = await ask(port, `/api/torrents/${"03".repeat(20)}`);
    assert.equal(status, 200);
    const told = JSON.parse(body) as { magnet: string; files: unknown; hits: number };
    assert.equal(told.magnet, `magnet:?xt=urn:btih:${"03".repeat(20)}&dn=songs%20of%20birds`);
    assert.deepEqual(told.files, [{ path: "songs of birds.bin", bytes: 3_000_000 }]);
    assert.equal(told.hits, 3);
    assert.equal((await ask(port, `/api/torrents/${"ff".repeat(20)}`)).status, 404);
    assert.equal((await ask(port, "/api/torrents/x")).status, 404);
  });

  it("says what is wrong with a question", async (t) => {
    const { port } = await serve(t, []);
    for (const [query, told] of [
      ["min=many", /min is a number of bytes/],
      ["order=best", /order is newest, largest/],
      ["limit=0", /limit is a whole number from 1 to 200/],
      ["from=yesterday", /from is a date/],
      ["cursor=x", /cursor of a search is what the page before said/],
    ] as const) {
      const { status, body } = await ask(port, `/api/search?${query}`);
      assert.equal(status, 400, query);
      assert.match((JSON.parse(body) as { error: string }).error, told);
    }
    assert.equal((await ask(port, "/nothing")).status, 404);
    assert.equal((await ask(port, "/statistics", { method: "PUT" })).status, 405);
    const put = await fetch(`http://127.0.0.1:${port}/api/search`, { method: "PUT" });
    assert.deepEqual([put.status, put.headers.get("allow")], [405, "GET, HEAD"]);
  });

  it("wants its token for names, and numbers are for all", async (t) => {
    const { port } = await serve(t, LIBRARY, { token: TOKEN });
    for (const path of ["/api/search", `/api/torrents/${"03".repeat(20)}`, "/feed"]) {
      assert.equal((await ask(port, path)).status, 401, path);
      assert.equal((await ask(port, path, { headers: { authorization: "Bearer wrong" } })).status, 401, path);
      assert.equal((await ask(port, path, BEARER)).status, 200, path);
      assert.equal((await ask(port, `${path}?apikey=${TOKEN}`)).status, 200, path);
    }
    assert.match((await ask(port, "/torznab/api?t=search")).body, /<error code="100"/);
    assert.match((await ask(port, `/torznab/api?t=search&apikey=${TOKEN}`)).body, /songs of birds/);
    for (const path of ["/", "/statistics", "/metrics"]) {
      const { status, body } = await ask(port, path);
      assert.equal(status, 200, path);
      assert.doesNotMatch(body, /birds|trees|a test/, path);
    }
  });

  it("removes for good, with the token", async (t) => {
    const { port, store } = await serve(t, LIBRARY, { token: TOKEN });
    const path = `/api/torrents/${"03".repeat(20)}`;
    assert.equal((await ask(port, path, { method: "DELETE" })).status, 401);
    assert.equal((await ask(port, path, { method: "DELETE", ...BEARER })).body, '{"removed":1}\n');
    assert.equal((await ask(port, path, BEARER)).status, 404);
    const [found] = await store.finish("a test", [
      { kind: "fetched", torrent: torrent(3, "songs of birds") },
    ]);
    assert.equal(found, false);
  });

  it("without a token listens to this machine only, removes nothing, and answers to no other name", async (t) => {
    const { port, store } = await serve(t, LIBRARY);
    assert.equal((await ask(port, `/api/torrents/${"03".repeat(20)}`, { method: "DELETE" })).status, 403);
    assert.equal((await store.stats()).removed, 0);
    assert.equal((await ask(port, "http://rebound.example/api/search")).status, 421, "named by the URL");
    for (const host of ["rebound.example", "rebound.example:80", "127.0.0.1.rebound.example", "10.0.0.1"])
      assert.equal((await ask(port, "/api/search", { headers: { host } })).status, 421, host);
    for (const host of ["localhost", "localhost:8080", "127.0.0.1", "[::1]:9"])
      assert.equal((await ask(port, "/api/search", { headers: { host } })).status, 200, host);
    const listen = { host: "0.0.0.0", port: 0 };
    await assert.rejects(IndexFace.start({ store, listen }), /give a token/);
    await assert.rejects(IndexFace.start({ store, listen, token: "short" }), /16 characters/);
  });

  it("is a feed that any reader can read, whatever torrents are called", async (t) => {
    const { port } = await serve(t, LIBRARY);
    const { type, body } = await ask(port, "/feed?q=odd");
    assert.match(type, /^application\/rss\+xml/);
    assert.ok(
      body.includes("<title>odd &lt;b&gt;&amp;&quot;name&quot;&lt;/b&gt; \u{fffd}\u{1f426}</title>"),
      body,
    );
    assert.ok(body.includes(`<guid isPermaLink="false">${"04".repeat(20)}</guid>`));
    assert.equal(body.match(/<item>/g)?.length, 1);
    assert.equal((await ask(port, "/feed")).body.match(/<item>/g)?.length, 4);
  });

  it("speaks Torznab", async (t) => {
    const { port } = await serve(t, [...LIBRARY, torrent(5, "some series S02E07")]);
    const torznab = async (query: string): Promise<string> => (await ask(port, `/torznab/api?${query}`)).body;
    assert.match(await torznab("t=caps"), /<tv-search available="yes" supportedParams="q,season,ep"\/>/);
    const found = await torznab("t=tvsearch&q=some+series&season=2&ep=7");
    assert.match(found, /<title>some series S02E07<\/title>/);
    assert.ok(found.includes(`<torznab:attr name="infohash" value="${"05".repeat(20)}"/>`));
    assert.match(await torznab("t=tvsearch&q=some+series&season=2"), /S02E07/);
    assert.doesNotMatch(await torznab("t=tvsearch&q=some+series&season=3"), /S02E07/);
    assert.match(await torznab("t=search&limit=2&offset=3"), /a film of trees[\s\S]*a film of birds/);
    assert.doesNotMatch(await torznab("t=search&offset=5"), /<item>/);
    assert.equal((await torznab("t=search&limit=100000")).match(/<item>/g)?.length, 5);
    assert.match(await torznab("t=search&offset=x"), /<error code="201"/);
    assert.match(await torznab("t=music"), /<error code="202"/);
  });

  it("tells numbers that agree with the store", async (t) => {
    const { port } = await serve(t, LIBRARY, { status: () => ({ lookupsUnderWay: 12 }) });
    const { store, status, history } = JSON.parse((await ask(port, "/statistics")).body) as {
      store: Record<string, number>;
      status: object;
      history: { fetched: number; lookups: number }[];
    };
    assert.equal(store["torrents"], 4);
    assert.equal(store["lookups"], 7);
    assert.deepEqual(status, { lookupsUnderWay: 12 });
    assert.equal(
      history.reduce((sum, step) => sum + step.fetched, 0),
      4,
    );
    const { body } = await ask(port, "/metrics");
    assert.match(body, /^scatterwire_index_torrents 4$/m);
    assert.match(body, /^scatterwire_index_events_total\{event="queries"\} 90$/m);
    assert.match(body, /^scatterwire_index_status\{name="lookups_under_way"\} 12$/m);
  });

  it("tells whoever comes while very many wait to come again", async (t) => {
    const { store } = await serve(t, LIBRARY);
    const waiting: (() => void)[] = [];
    const slow: IndexStore = Object.create(store, {
      search: {
        value: async (query: SearchQuery) => {
          await new Promise<void>((resolve) => waiting.push(resolve));
          return store.search(query);
        },
      },
    });
    const { face, address } = await IndexFace.start({ store: slow, listen: { host: "127.0.0.1", port: 0 } });
    t.after(() => face.close());
    const first = Array.from({ length: 32 }, () => ask(address.port, "/api/search"));
    while (waiting.length < 32) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await ask(address.port, "/api/search")).status, 503);
    for (const go of waiting) go();
    for (const { status } of await Promise.all(first)) assert.equal(status, 200);
  });

  it("asks a store that takes long for its numbers once, however often it is asked meanwhile", async (t) => {
    const { store } = await serve(t, LIBRARY);
    let asked = 0;
    let go = (): void => {};
    const slow: IndexStore = Object.create(store, {
      stats: {
        value: async () => {
          asked++;
          // Those that come later than the first are not kept waiting.
          if (asked === 1)
            await new Promise<void>((resolve) => {
              go = resolve;
            });
          return store.stats();
        },
      },
      history: { value: (sinceMs: number, count: number) => store.history(sinceMs, count) },
    });
    const { face, address } = await IndexFace.start({ store: slow, listen: { host: "127.0.0.1", port: 0 } });
    t.after(() => face.close());
    const answers = [ask(address.port, "/statistics")];
    while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // What was looked up is looked up again a second later.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    answers.push(ask(address.port, "/metrics"), ask(address.port, "/statistics"));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(asked, 1);
    go();
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    assert.equal((await ask(address.port, "/statistics")).status, 200);
    assert.ok(asked >= 2, "what was looked up long ago is looked up again");
  });

  it("answers while many ask for much and read nothing", async (t) => {
    const many = Array.from({ length: 200 }, (_, n) =>
      torrent(n + 1, `name ${n} ${"and more of it ".repeat(15)}`, { infoHash: Buffer.alloc(20, n + 1) }),
    );
    const { port } = await serve(t, many);
    const sockets = Array.from({ length: 100 }, () => {
      const socket = connect(port, "127.0.0.1", () =>
        socket.write("GET /api/search?limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20)),
      );
      // Whoever reads nothing may be let go of.
      socket.on("error", () => {}).pause();
      return socket;
    });
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    const answer = async (): Promise<number> => (await ask(port, "/api/search?q=name")).status;
    let status = await answer();
    for (let tries = 0; status === 503 && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      status = await answer();
    }
    assert.equal(status, 200);
  });

  it("is not shown inside other pages, and loads nothing from elsewhere", async (t) => {
    const { port } = await serve(t, LIBRARY);
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(response.headers.get("x-frame-options"), "DENY");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.match(await response.text(), /Content-Security-Policy" content="default-src 'none'/);
  });

  it("bears who goes while it is asked", async (t) => {
    const { port, store } = await serve(t, LIBRARY);
    const socket = connect(port, "127.0.0.1", () =>
      socket.end("GET /api/search HTTP/1.1\r\nHost: localhost\r\n\r\n", () => socket.destroy()),
    );
    await new Promise((resolve) => socket.once("close", resolve));
    assert.equal((await ask(port, "/api/search")).status, 200);
    assert.equal((await store.stats()).torrents, 4);
  });
});
