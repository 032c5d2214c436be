// An index over HTTP: a page to search with, JSON for programs, a feed, Torznab, and metrics.
//
//   GET /                             the page           GET /statistics        what it shows of the work: numbers only
//   GET /metrics                      for Prometheus     GET /feed?q=…          RSS of the newest that match
//   GET /api/search?q=…&min=…&max=…&from=…&to=…&order=…&limit=…&cursor=…
//   GET /api/torrents/HASH            one, with its files
//   DELETE /api/torrents/HASH         takes it out for good; always with the token
//   GET /torznab/api?t=caps|search|tvsearch|movie&q=…&limit=…&offset=…
//
// With a token, whoever wants names of torrents has to show it: as a bearer, or as `apikey` where readers of feeds cannot send headers. Without
// one, requests have to name this machine as their host: a page of somebody else's, open in a browser here, could otherwise have its own
// name lead to this port, and read along.
//
// Always: nothing is changed without the token. What is asked at one time is bounded, and asked of the store at most; statistics are
// looked up once a second, however often they are asked for.

import type { IncomingMessage, ServerResponse } from "node:http";
import { StoreError, UsageError } from "../../base/errors.js";
import { Exposition, PROMETHEUS_TYPE, snake } from "../../base/metrics/exposition.js";
import { isLoopback, isThisMachine } from "../../base/network-address.js";
import { throwAsUncaught } from "../../base/user-calls.js";
import { AccessToken } from "../../native/access-token.js";
import type { SocketAddress } from "../../native/binding.js";
import { ClientAddresses } from "../../native/client-address.js";
import { json, notAllowed, type PageAnswer, sendPage } from "../../native/http-page.js";
import { type HttpLimits, HttpServer } from "../../native/http-server.js";
import { checkFaceOptions } from "../check-options.js";
import {
  type IndexStore,
  SEARCH_PAGE_MAX,
  STATISTICS_STEP_MS,
  type StoreStats,
  type StoreStep,
} from "../store/store.js";
import { feedOf, magnetOf, torznabCapabilities, torznabError } from "./feeds.js";
import { INDEX_PAGE } from "./page.js";
import { readSearchRequest } from "./search-request.js";

/** How it is opened: `store` and `listen` have to be given. */
export interface IndexFaceOptions {
  /** It stays the program's, which closes it after the face. */
  readonly store: IndexStore;
  /** Port 0: one that is free. */
  readonly listen: SocketAddress;
  /** 16 characters at least. Without one only this machine may be listened at, and nothing can be removed. */
  readonly token?: string | undefined;
  /** Numbers of the indexer in this process: what is under way and what was counted. */
  readonly status?: (() => Readonly<Record<string, number>>) | undefined;
  /** Addresses and networks of proxies whose `x-forwarded-for` counts. */
  readonly trustedProxies?: readonly string[];
  /** Connections, bytes and times of requests; those of the tracker by default. */
  readonly limits?: HttpLimits;
}

/** Requests that wait for the store at one time; more are told to come again. */
const REQUESTS_MAX = 32;
const STATISTICS_MS = 1000;
const HISTORY_STEPS = 144;
/** Torznab pages by number: so far its reader may go, from page to page of ours. */
const OFFSET_MAX = 10 * SEARCH_PAGE_MAX;
const RSS_TYPE = "application/rss+xml; charset=utf-8";
const XML_TYPE = "application/xml; charset=utf-8";

interface Statistics {
  readonly atMs: number;
  readonly totals: StoreStats;
  readonly history: readonly StoreStep[];
}

/** An index over HTTP: a page, JSON, a feed, Torznab, and metrics. */
export class IndexFace {
  readonly #store: IndexStore;
  readonly #token: AccessToken | undefined;
  readonly #status: () => Readonly<Record<string, number>>;
  readonly #server: HttpServer;
  readonly #startedMs = performance.now();
  #underWay = 0;
  #statistics: Promise<Statistics> | undefined;
  #statisticsMs = Number.NEGATIVE_INFINITY;
  #isLookingUp = false;

  private constructor({ store, token, status, trustedProxies = [], limits = {} }: IndexFaceOptions) {
    this.#store = store;
    this.#token = token === undefined ? undefined : new AccessToken(token);
    this.#status = status ?? (() => ({}));
    this.#server = new HttpServer(new ClientAddresses(trustedProxies), limits, (request, response) => {
      void this.#handle(request, response);
    });
  }

  /** Throws UsageError for options that make no sense together; rejects with UsageError LISTEN_FAILED. */
  static async start(options: IndexFaceOptions): Promise<{ face: IndexFace; address: SocketAddress }> {
    checkFaceOptions(options);
    const { listen, token } = options;
    if (token === undefined && !isLoopback(listen.host))
      throw new UsageError(
        "USAGE_OPTION",
        `others can reach ${listen.host}: give a token that they need, or listen at 127.0.0.1`,
      );
    const face = new IndexFace(options);
    return { face, address: await face.#server.listen(listen) };
  }

  /** Resolves when requests under way are answered, or did not end in two seconds. The store is left open. */
  close(): Promise<void> {
    return this.#server.close();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(request).catch(answerTo);
    if (!response.destroyed) sendPage(this.#server, response, answer);
  }

  async #answer({ method = "", url = "", headers }: IncomingMessage): Promise<PageAnswer> {
    const [path = "", query = ""] = url.split("?", 2);
    if (this.#token === undefined && !isThisMachine(headers.host))
      return json(421, { error: "ask for this machine by its address, or as localhost" });
    const isReading = method === "GET" || method === "HEAD";
    if (isReading && path === "/") return { status: 200, type: "text/html; charset=utf-8", body: INDEX_PAGE };
    const parameters = new URLSearchParams(query);
    const isAllowed =
      this.#token === undefined ||
      this.#token.isBorneBy(headers.authorization) ||
      this.#token.matches(parameters.get("apikey"));
    if (path === "/torznab/api" && isReading)
      return this.#bounded(() => this.#torznab(parameters, isAllowed));
    if (path.startsWith("/api/") || path === "/feed") {
      if (!isAllowed) return json(401, { error: "a token is needed" });
      return this.#bounded(() => this.#api(method, path, parameters));
    }
    if (!isReading) return notAllowed("GET, HEAD", "GET only");
    if (path === "/statistics") return json(200, await this.#numbers());
    if (path === "/metrics") return { status: 200, type: PROMETHEUS_TYPE, body: await this.#metrics() };
    return json(404, { error: "there are /, /statistics, /metrics, /feed, /torznab/api and /api" });
  }

  async #bounded(answer: () => Promise<PageAnswer>): Promise<PageAnswer> {
    if (this.#underWay >= REQUESTS_MAX) return json(503, { error: "too many at one time" });
    this.#underWay++;
    try {
      return await answer();
    } finally {
      this.#underWay--;
    }
  }

  async #api(method: string, path: string, parameters: URLSearchParams): Promise<PageAnswer> {
    const [, hex] = /^\/api\/torrents\/([0-9a-f]{40})$/i.exec(path) ?? [];
    if (hex !== undefined && method === "DELETE") {
      if (this.#token === undefined)
        return json(403, { error: "nothing is removed by an index that was started without a token" });
      return json(200, { removed: await this.#store.remove([Buffer.from(hex, "hex")]) });
    }
    if (method !== "GET" && method !== "HEAD")
      return notAllowed(hex === undefined ? "GET, HEAD" : "GET, HEAD, DELETE", "GET, or DELETE a torrent");
    if (hex !== undefined) {
      const torrent = await this.#store.get(Buffer.from(hex, "hex"));
      if (torrent === undefined) return json(404, { error: "no such torrent" });
      return json(200, { ...torrent, magnet: magnetOf(torrent) });
    }
    if (path === "/feed") {
      const { torrents } = await this.#store.search(readSearchRequest(parameters));
      return { status: 200, type: RSS_TYPE, body: feedOf(torrents, false) };
    }
    if (path !== "/api/search")
      return json(404, { error: "there are /api/search and /api/torrents/HASH, of 40 hexadecimal digits" });
    const { torrents, cursor, isWhole } = await this.#store.search(readSearchRequest(parameters));
    const named = torrents.map((torrent) => ({ ...torrent, magnet: magnetOf(torrent) }));
    return json(200, { torrents: named, ...(cursor === undefined ? {} : { cursor }), isWhole });
  }

  async #torznab(parameters: URLSearchParams, isAllowed: boolean): Promise<PageAnswer> {
    const what = parameters.get("t") ?? "";
    if (what === "caps") return { status: 200, type: XML_TYPE, body: torznabCapabilities(SEARCH_PAGE_MAX) };
    const failed = (code: number, text: string): PageAnswer => ({
      status: 200,
      type: XML_TYPE,
      body: torznabError(code, text),
    });
    if (!isAllowed) return failed(100, "a wrong apikey, or none");
    if (!["search", "tvsearch", "movie"].includes(what))
      return failed(202, "there are caps, search, tvsearch, movie");
    try {
      const torrents = await this.#paged(parameters, what === "tvsearch");
      return { status: 200, type: RSS_TYPE, body: feedOf(torrents, true) };
    } catch (error) {
      if (error instanceof UsageError) return failed(201, error.message);
      throw error;
    }
  }

  /** From `offset` on: pages of ours are gone through as far as that. */
  async #paged(parameters: URLSearchParams, hasEpisodes: boolean): Promise<StoreTorrents> {
    const words = [parameters.get("q") ?? "", hasEpisodes ? episodeOf(parameters) : ""].join(" ").trim();
    const wanted = new URLSearchParams({ q: words, limit: parameters.get("limit") ?? "" });
    // Readers ask for what they like, and take what they get.
    if (Number(wanted.get("limit")) > SEARCH_PAGE_MAX) wanted.set("limit", String(SEARCH_PAGE_MAX));
    const query = readSearchRequest(wanted);
    const offset = Number(parameters.get("offset") ?? 0);
    if (!Number.isInteger(offset) || offset < 0)
      throw new UsageError("USAGE_OPTION", "offset is a whole number");
    if (offset > OFFSET_MAX) return [];
    let left = offset;
    let cursor: string | undefined;
    while (left > 0) {
      const limit = Math.min(left, SEARCH_PAGE_MAX);
      const page = await this.#store.search({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) });
      if (page.cursor === undefined) return [];
      left -= page.torrents.length;
      cursor = page.cursor;
      // Time ran out before the page was full: what is behind it is not looked for.
      if (!page.isWhole) return [];
    }
    return (await this.#store.search({ ...query, ...(cursor === undefined ? {} : { cursor }) })).torrents;
  }

  /** Looked up once a second at the most, and by one at a time. */
  #lookUp(): Promise<Statistics> {
    const nowMs = performance.now();
    const isFresh = this.#isLookingUp || nowMs - this.#statisticsMs < STATISTICS_MS;
    if (this.#statistics !== undefined && isFresh) return this.#statistics;
    this.#statisticsMs = nowMs;
    this.#isLookingUp = true;
    const sinceMs = Date.now() - HISTORY_STEPS * STATISTICS_STEP_MS;
    const asked = Promise.all([this.#store.stats(), this.#store.history(sinceMs, HISTORY_STEPS + 1)])
      .then(([totals, history]) => ({ atMs: Date.now(), totals, history }))
      .finally(() => {
        this.#isLookingUp = false;
      });
    this.#statistics = asked;
    return asked;
  }

  async #numbers(): Promise<object> {
    const { totals, history, atMs } = await this.#lookUp();
    const { indexers, ...counts } = totals;
    const { user, system } = process.cpuUsage();
    return {
      uptimeSeconds: this.#uptimeSeconds(),
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      atMs,
      stepMs: STATISTICS_STEP_MS,
      store: { kind: this.#store.kind, ...counts },
      // Their names may be those of machines.
      indexers: indexers.map(({ seenMs }) => ({ silentMs: Math.max(0, atMs - seenMs) })),
      status: this.#status(),
      history,
    };
  }

  async #metrics(): Promise<string> {
    const text = new Exposition("scatterwire_index_");
    const { totals } = await this.#lookUp();
    const { torrents, storeBytes, indexers, ...events } = totals;
    text.metric("torrents", "gauge", "Torrents in the index.", [[{}, torrents]]);
    text.metric("store_bytes", "gauge", "What the store takes on its disk.", [[{}, storeBytes]]);
    text.metric("indexers", "gauge", "Indexers that were heard of in a day.", [[{}, indexers.length]]);
    text.metric(
      "events_total",
      "counter",
      "What all indexers did since the store was made.",
      Object.entries(events).map(([event, count]) => [{ event: snake(event) }, count]),
    );
    text.metric(
      "status",
      "gauge",
      "Numbers of the indexer in this process.",
      Object.entries(this.#status()).map(([name, value]) => [{ name: snake(name) }, value]),
    );
    const { user, system } = process.cpuUsage();
    text.metric("http_requests_total", "counter", "Requests over HTTP.", [
      [{}, this.#server.counters.requests],
    ]);
    text.metric("cpu_seconds_total", "counter", "CPU of this process.", [[{}, (user + system) / 1e6]]);
    text.metric("resident_bytes", "gauge", "Memory of this process.", [[{}, process.memoryUsage.rss()]]);
    text.metric("uptime_seconds", "gauge", "Seconds since the start.", [[{}, this.#uptimeSeconds()]]);
    return text.text;
  }

  #uptimeSeconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }
}

type StoreTorrents = Awaited<ReturnType<IndexStore["search"]>>["torrents"];

/** What season and episode are called in names: "s01e02", and "s01*" for a whole season. */
function episodeOf(parameters: URLSearchParams): string {
  const two = (text: string | null): string | undefined =>
    text !== null && /^\d{1,3}$/.test(text) ? text.padStart(2, "0") : undefined;
  const [season, episode] = [two(parameters.get("season")), two(parameters.get("ep"))];
  if (season === undefined) return "";
  return episode === undefined ? `s${season}*` : `s${season}e${episode}`;
}

function answerTo(error: unknown): PageAnswer {
  if (error instanceof UsageError) return json(400, { error: error.message });
  if (error instanceof StoreError) return json(503, { error: error.message });
  // A bug of ours: it is heard of, and whoever asked is told that there is one.
  throwAsUncaught(error);
  return json(500, { error: "a bug; the log of the process has it" });
}
