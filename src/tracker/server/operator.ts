// What an operator sees of a tracker, at an address of its own: metrics, a statistics page, and REST behind a token.
//
//   GET /                      the page            GET /api/torrents?from=N&limit=N   info hashes and counts
//   GET /statistics            what it shows       GET /api/torrents/HASH             one, with up to 200 peers
//   GET /metrics               for Prometheus      GET /api/statistics
//   GET /api/lists/allow|deny, /api/keys           what is listed, ?from=N&limit=N; PUT and DELETE of …/ENTRY change it until lists are read again
//   POST /api/workers/N/restart                    ends worker thread N, from 1 on, and starts another in its place
//
// Always: without the token, whole, /api says nothing and changes nothing. What the page and metrics show names no torrent and no peer.

import type { IncomingMessage, ServerResponse } from "node:http";
import { PROMETHEUS_TYPE } from "../../base/metrics/exposition.js";
import { addressText } from "../../codec/compact-address.js";
import { AccessToken } from "../../native/access-token.js";
import { json, notAllowed, type PageAnswer, sendPage } from "../../native/http-page.js";
import type { HttpServer } from "../../native/http-server.js";
import type { PeerSink, SwarmBrowser, SwarmStore } from "../peer-store/contract.js";
import type { ListName } from "./admission.js";
import { prometheusText } from "./prometheus.js";
import type { ServiceCounters } from "./service.js";
import { STATISTICS_PAGE } from "./statistics-page.js";

/** What the operator's face needs of the tracker. */
export interface Operated {
  /** The store behind lists: what an operator looks at is all of it. */
  readonly store: SwarmStore & Partial<SwarmBrowser>;
  /** See Admission. */
  entries(name: ListName, from: number, count: number): string[] | undefined;
  change(name: ListName, entry: string, listed: boolean): number;
  counters(): ServiceCounters;
  killWorker(index: number): boolean;
}

const TORRENTS_PER_ANSWER_MAX = 1000;
const ENTRIES_PER_ANSWER_MAX = 10_000;
const PEERS_PER_ANSWER_MAX = 200;

export class Operator {
  readonly #operated: Operated;
  readonly #token: AccessToken | undefined;
  readonly #startedMs = performance.now();

  /** Without a token there is no /api. Throws UsageError for one that could be guessed. */
  constructor(operated: Operated, token: string | undefined) {
    this.#operated = operated;
    this.#token = token === undefined ? undefined : new AccessToken(token);
  }

  handle(server: HttpServer, request: IncomingMessage, response: ServerResponse): void {
    sendPage(server, response, this.#answer(request));
  }

  #answer({ method = "", url = "", headers }: IncomingMessage): PageAnswer {
    const [path, query = ""] = url.split("?", 2) as [string, string?];
    if (path.startsWith("/api/")) {
      if (this.#token?.isBorneBy(headers.authorization) !== true)
        return json(401, { error: "a token is needed" });
      return this.#api(method, path.slice(5).split("/"), query);
    }
    if (method !== "GET" && method !== "HEAD") return notAllowed("GET, HEAD", "GET only");
    if (path === "/") return { status: 200, type: "text/html; charset=utf-8", body: STATISTICS_PAGE };
    if (path === "/statistics") return json(200, this.#statistics());
    if (path === "/metrics")
      return {
        status: 200,
        type: PROMETHEUS_TYPE,
        body: prometheusText(this.#operated.counters(), this.#uptimeSeconds()),
      };
    return json(404, { error: "there are /, /statistics, /metrics and /api" });
  }

  #uptimeSeconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  #statistics(): object {
    const { user, system } = process.cpuUsage();
    return {
      uptimeSeconds: this.#uptimeSeconds(),
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      ...this.#operated.counters(),
    };
  }

  #api(method: string, [what, ...rest]: string[], query: string): PageAnswer {
    if (what === "lists" && (rest[0] === "allow" || rest[0] === "deny"))
      return this.#list(method, rest[0], rest[1], /^[0-9a-f]{40}$/, query);
    if (what === "keys") return this.#list(method, "keys", rest[0], /^[\w-]{1,64}$/, query);
    if (what === "workers") return this.#restartWorker(method, rest);
    if (method !== "GET") return notAllowed("GET", "GET only");
    if (what === "statistics") return json(200, this.#statistics());
    if (what === "torrents") return rest[0] === undefined ? this.#torrents(query) : this.#torrent(rest[0]);
    return json(404, { error: "there are statistics, torrents, lists/allow, lists/deny and keys" });
  }

  #list(
    method: string,
    name: ListName,
    entry: string | undefined,
    pattern: RegExp,
    query: string,
  ): PageAnswer {
    const operated = this.#operated;
    if (operated.entries(name, 0, 0) === undefined)
      return json(409, { error: "this tracker was started without that list" });
    if (method === "GET" && entry === undefined) {
      const { from, limit } = stretchOf(query, ENTRIES_PER_ANSWER_MAX, ENTRIES_PER_ANSWER_MAX);
      if (from < 0 || limit < 0)
        return json(400, {
          error: `from and limit are whole numbers, limit up to ${ENTRIES_PER_ANSWER_MAX}`,
        });
      return json(200, operated.entries(name, from, limit));
    }
    if (method !== "PUT" && method !== "DELETE")
      return notAllowed(entry === undefined ? "GET" : "PUT, DELETE", "GET the list, PUT or DELETE an entry");
    if (entry === undefined || !pattern.test(entry))
      return json(400, { error: "that is no entry of this list" });
    return json(200, { entries: operated.change(name, entry, method === "PUT") });
  }

  #restartWorker(method: string, [name = "", what]: string[]): PageAnswer {
    if (method !== "POST" || what !== "restart") return notAllowed("POST", "POST /api/workers/N/restart");
    const threads = this.#operated.counters().workers?.threads ?? 0;
    const thread = wholeOf(name, threads);
    if (thread < 1) return json(404, { error: `there are ${threads} worker threads` });
    // Whoever answers this is another thread: it does not wait for that one's end.
    return this.#operated.killWorker(thread - 1)
      ? json(202, { thread })
      : json(409, { error: "it has ended, and another one is about to take its place" });
  }

  #torrents(query: string): PageAnswer {
    const { store } = this.#operated;
    const { from, limit } = stretchOf(query, 100, TORRENTS_PER_ANSWER_MAX);
    if (from < 0 || limit < 0)
      return json(400, { error: `from and limit are whole numbers, limit up to ${TORRENTS_PER_ANSWER_MAX}` });
    if (store.copyHashes === undefined) return json(501, { error: "this store cannot be looked through" });
    const words = new Uint32Array(5 * limit);
    const count = store.copyHashes(from, limit, words);
    const torrents = Array.from({ length: count }, (_, index) => this.#countsOf(words, 5 * index));
    return json(200, { total: store.totals().torrents, from, torrents });
  }

  #torrent(hex: string): PageAnswer {
    if (!/^[0-9a-f]{40}$/.test(hex))
      return json(400, { error: "an info hash has 40 hex digits, in lower case" });
    const { store } = this.#operated;
    const words = new Uint32Array(5);
    Buffer.from(words.buffer).write(hex, "hex");
    if (!store.scrape(store.hash(words, 0), words, 0)) return json(404, { error: "no such torrent" });
    const counts = this.#countsOf(words, 0);
    const peers = ([4, 6] as const).flatMap((family) => peersOf(store, words, family));
    return json(200, { ...counts, peers });
  }

  #countsOf(words: Uint32Array, at: number): object {
    const { store } = this.#operated;
    store.scrape(store.hash(words, at), words, at);
    const infoHash = Buffer.from(words.buffer, 4 * at, 20).toString("hex");
    return { infoHash, seeders: store.seeders, leechers: store.leechers, downloads: store.downloads };
  }
}

function peersOf(store: Partial<SwarmBrowser>, hash: Uint32Array, family: 4 | 6): string[] {
  const addressBytes = family === 4 ? 4 : 16;
  const size = addressBytes + 2;
  const words = new Uint32Array(Math.ceil((PEERS_PER_ANSWER_MAX * size) / 4));
  const sink: PeerSink = { words, halves: new Uint16Array(words.buffer), at: 0 };
  const count = store.copyPeers?.(hash, 0, family, PEERS_PER_ANSWER_MAX, sink) ?? 0;
  const bytes = Buffer.from(words.buffer);
  return Array.from({ length: count }, (_, index) => {
    const at = index * size;
    const host = addressText(bytes.subarray(at, at + addressBytes)) ?? "";
    return `${family === 6 ? `[${host}]` : host}:${bytes.readUInt16BE(at + addressBytes)}`;
  });
}

/** Which of many are asked for; −1 where a number is none, or too large. */
function stretchOf(query: string, usual: number, most: number): { from: number; limit: number } {
  const parameters = new URLSearchParams(query);
  return {
    from: wholeOf(parameters.get("from") ?? "0", 2 ** 31),
    limit: wholeOf(parameters.get("limit") ?? String(usual), most),
  };
}

function wholeOf(text: string, most: number): number {
  return /^\d{1,10}$/.test(text) && Number(text) <= most ? Number(text) : -1;
}
