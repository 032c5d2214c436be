// A tracker with all its faces: UDP, on this thread or on others, HTTP, WebSockets and an operator's, over the same swarms, behind the
// same lists.
//
// Always: everything it took is given back by close(), and by a start that fails. Counts of downloads that are kept are on disk when
// close() resolves.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { UsageError } from "../../base/errors.js";
import { networkOf } from "../../base/network-address.js";
import { addressText } from "../../codec/compact-address.js";
import type { SocketAddress } from "../../native/binding.js";
import { ClientAddresses } from "../../native/client-address.js";
import {
  emptyHttpCounters,
  type HttpCounters,
  type HttpLimits,
  HttpServer,
  urlOf,
} from "../../native/http-server.js";
import type { Admission, AdmissionRules, ListName } from "./admission.js";
import { checkRules, checkServiceOptions, trackerOptionsOf } from "./check-options.js";
import { saveDownloads } from "./downloads-file.js";
import { HttpResponder, type HttpResponderCounters } from "./http-responder.js";
import { Operator } from "./operator.js";
import type { RedisCounters } from "./redis-log.js";
import type { SharedCounters } from "./shared-swarms.js";
import { makeStage, type Stage } from "./stage.js";
import {
  INTERVAL_SECONDS_DEFAULT,
  PEERS_DEFAULT,
  PEERS_MAX_DEFAULT,
  Tracker,
  type TrackerCounters,
  type TrackerOptions,
} from "./tracker.js";

import { WebServer, type WebServerCounters } from "./web-server.js";
import { WebSwarms } from "./web-swarms.js";
import { addCounters, makeWorkerCounters, type PartCounters } from "./worker-counters.js";
import { WorkerGroup } from "./worker-group.js";

/** What a tracker with all its faces is made of; what is left out is not there. */
export interface TrackerServiceOptions extends TrackerOptions {
  /**
   * Threads that answer UDP, each with a socket of its own for every address; HTTP stays with this one. Undefined or 1: this thread answers
   * all. They share all swarms, whose bounds are divided among 8 parts for each.
   */
  readonly workers?: number;
  /** Where to listen for HTTP: numeric addresses; port 0 picks one. */
  readonly http?: readonly SocketAddress[];
  /** What a client of HTTP or WebSockets may hold, and for how long. */
  readonly httpLimits?: HttpLimits;
  /** Addresses and networks of proxies whose x-forwarded-for counts. */
  readonly trustedProxies?: readonly string[];
  /** Which torrents are tracked, and who may announce; `{}` for what replaceRules() will say. Keys are HTTP's: a UDP announce has no path that shows one. */
  readonly rules?: AdmissionRules;
  /** Signalling of WebTorrent peers, over WebSockets at the addresses of `http`. Needs the package ws. */
  readonly webSockets?: boolean;
  /** Where an operator finds metrics, statistics and REST: not an address for strangers. */
  readonly metrics?: SocketAddress;
  /** What opens REST; without it there is none. */
  readonly token?: string;
  /** A file that counts of downloads are kept in, over restarts. */
  readonly downloadsFile?: string;
  /**
   * A Redis or Valkey by which trackers share their swarms: redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// or unix:PATH. Needs the
   * package `@redis/client`. WebTorrent's swarms are connections, and stay this tracker's.
   */
  readonly redis?: string;
  /** Bytes of announces that Redis keeps for trackers that start or come back, of all trackers together. */
  readonly redisLogBytesMax?: number;
  /** Where what goes wrong later is told: a file that cannot be written, a Redis that is away. */
  readonly onWarning?: (message: string) => void;
}

/** All counters of a tracker since its start, worker threads included: what `--json` prints and `/statistics` tells. */
export interface ServiceCounters extends TrackerCounters {
  /** HTTP requests that were answered, and what was refused, by why; connections that are open now. */
  readonly http: HttpCounters & HttpResponderCounters & { openConnections: number };
  /** Undefined without WebSockets. */
  readonly web: WebServerCounters | undefined;
  /** Undefined without Redis. */
  readonly shared: (SharedCounters & RedisCounters) | undefined;
  /** Announces and scrapes of torrents that lists do not let in; downloads that were not kept, as there was no room. */
  readonly admission: { readonly refused: number; readonly unkeptDownloads: number };
  /** Undefined without worker threads. */
  readonly workers: (Omit<PartCounters, "refused" | "unkept"> & WorkersCounters) | undefined;
}

export interface WorkersCounters {
  readonly threads: number;
  /** Threads that ended unasked, and were replaced. */
  readonly restarts: number;
}

/** One socket: its address, with the port that was picked. */
export interface ListeningAt extends SocketAddress {
  /** "metrics" is the operator's address. */
  readonly protocol: "udp" | "http" | "metrics";
}

const SAVE_INTERVAL_MS = 5 * 60_000;

/** A tracker that runs: UDP, HTTP, WebSockets and an operator's page over the same swarms, until close(). start() makes one. */
export class TrackerService {
  /** Where it can be reached, with the ports that were picked. */
  readonly listening: ListeningAt[] = [];
  /** The lists and keys that hold now. */
  readonly admission: Admission;
  readonly #stage: Stage;
  readonly #group: WorkerGroup | undefined;
  readonly #tracker: Tracker;
  readonly #responder: HttpResponder;
  readonly #operator: Operator;
  readonly #servers: HttpServer[] = [];
  #operatorServer: HttpServer | undefined;
  #web: WebServer | undefined;
  readonly #options: TrackerServiceOptions;
  #saving: Promise<void> = Promise.resolve();
  #replacing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** Listens everywhere. Rejects with UsageError for what cannot be, and has given everything back then. */
  static async start(options: TrackerServiceOptions): Promise<TrackerService> {
    checkServiceOptions(options);
    const clients = new ClientAddresses(options.trustedProxies ?? []);
    checkKeys(options, options.rules ?? {});
    const stage = await makeStage(options);
    let service: TrackerService | undefined;
    try {
      service = new TrackerService(options, stage);
      await service.#listen(clients);
      await service.#group?.start();
      return service;
    } catch (error) {
      if (service !== undefined) await service.#stop();
      await stage.sharing?.redis.close();
      throw error;
    }
  }

  private constructor(options: TrackerServiceOptions, stage: Stage) {
    const { admission, swarms } = stage;
    this.#options = options;
    this.admission = admission;
    this.#stage = stage;
    this.#operator = new Operator(
      {
        store: stage.store,
        entries: (name, from, count) => admission.entries(name, from, count),
        change: (name, entry, listed) => this.#change(name, entry, listed),
        counters: () => this.counters(),
        killWorker: (index) => this.killWorker(index),
      },
      options.token,
    );
    const { threads } = stage;
    this.#group =
      threads === undefined
        ? undefined
        : new WorkerGroup({
            workers: options.workers ?? 1,
            tracker: options,
            memory: threads.memory,
            guard: threads.guardMemory,
            swarms: threads.store,
            lists: admission.tables(),
            onWarning: (message) => options.onWarning?.(message),
          });
    const udp = threads === undefined ? options.udp : [];
    this.#tracker = new Tracker({ ...trackerOptionsOf(options), udp, swarms: stage.forDatagrams });
    this.#responder = new HttpResponder(swarms, admission, {
      intervalSeconds: options.intervalSeconds ?? INTERVAL_SECONDS_DEFAULT,
      peersDefault: options.peersDefault ?? PEERS_DEFAULT,
      peersMax: options.peersMax ?? PEERS_MAX_DEFAULT,
    });
  }

  /** What happened since the start, as of now. Cold: it makes objects. */
  counters(): ServiceCounters {
    const http = { ...this.#responder.counters, ...sum(this.#servers.map(({ counters }) => counters)) };
    const openConnections = this.#servers.reduce((total, server) => total + server.openConnections, 0);
    const counted = { ...makeWorkerCounters(), ...this.#tracker.counters() };
    addCounters(counted, { ...makeWorkerCounters(), parts: this.#stage.counters() });
    if (this.#group !== undefined) addCounters(counted, this.#group.counters());
    const { udp, swarms, totals } = counted;
    const { refused, unkept, ...parts } = counted.parts;
    const { count: threads = 0, restarts = 0 } = this.#group ?? {};
    return {
      udp,
      swarms,
      totals,
      http: { ...http, openConnections },
      web: this.#web?.counters,
      shared: this.#stage.sharing && {
        ...this.#stage.sharing.swarms.shared,
        ...this.#stage.sharing.redis.counters,
      },
      admission: { refused, unkeptDownloads: unkept },
      workers: this.#group && { ...parts, threads, restarts },
    };
  }

  /** Ends a worker thread in the middle of whatever it does, as a fault of it would; another one takes its place. False: there is none. */
  killWorker(index: number): boolean {
    return this.#group?.kill(index) ?? false;
  }

  /** Other lists and keys, from the next request on. Throws UsageError for rules that cannot be kept, and keeps the old ones then. */
  replaceRules(rules: AdmissionRules): void {
    this.#checkRules(rules);
    this.admission.replace(rules);
    this.#group?.replaceLists(this.admission.tables());
  }

  /**
   * The same for long lists: they are taken in a step at a time, and whoever asks meanwhile is answered by the old ones. Resolves when the new
   * ones hold; rejects with UsageError. One after the other, in the order of the calls.
   */
  replaceRulesInSteps(rules: AdmissionRules): Promise<void> {
    const replaced = this.#replacing.then(async () => {
      this.#checkRules(rules);
      await this.admission.replaceInSteps(rules);
      this.#group?.replaceLists(this.admission.tables());
    });
    this.#replacing = replaced.catch(() => undefined);
    return replaced;
  }

  #checkRules(rules: AdmissionRules): void {
    if (this.#options.rules === undefined)
      throw new UsageError("USAGE_STATE", "a tracker takes new rules only if it was started with some");
    checkRules(rules);
    checkKeys(this.#options, rules);
  }

  #change(name: ListName, entry: string, listed: boolean): number {
    const size = this.admission.change(name, entry, listed);
    if (name !== "keys" && this.#group?.changeList({ name, entry, listed }) === false)
      this.#group.replaceLists(this.admission.tables());
    return size;
  }

  /** Writes counts of downloads; resolves when they are durable. */
  save(): Promise<void> {
    const table = this.#stage.downloads;
    const file = this.#options.downloadsFile;
    if (table === undefined || file === undefined) return Promise.resolve();
    this.#saving = this.#saving.catch(() => undefined).then(() => saveDownloads(file, table));
    return this.#saving;
  }

  /** Takes nobody any more, answers what is under way, and keeps what is to be kept. */
  async close(): Promise<void> {
    await this.#stop();
    await this.#stage.sharing?.redis.close();
    await this.save();
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#web?.close();
    const all = this.#operatorServer === undefined ? this.#servers : [...this.#servers, this.#operatorServer];
    await Promise.all(all.map((server) => server.close()));
    await this.#group?.close();
    this.#tracker.close();
  }

  async #listen(clients: ClientAddresses): Promise<void> {
    const udp = (this.#group ?? this.#tracker).udpAddresses;
    for (const address of udp) this.listening.push({ protocol: "udp", ...address });
    if (this.#options.webSockets === true)
      this.#web = await WebServer.make(new WebSwarms(this.#stage.swarms, this.admission));
    for (const address of this.#options.http ?? []) {
      const server: HttpServer = new HttpServer(
        clients,
        this.#options.httpLimits ?? {},
        (request, response, client) => {
          if (request.method !== "GET" && request.method !== "HEAD") {
            response.setHeader("Allow", "GET, HEAD");
            server.answer(response, 405, "text/plain", "GET only\n");
            return;
          }
          const url = urlOf(request);
          const mark = url.indexOf("?");
          const path = mark < 0 ? url : url.slice(0, mark);
          const query = mark < 0 ? "" : url.slice(mark + 1);
          const body = this.#responder.respond(path, query, client);
          if (body === undefined)
            server.answer(response, 404, "text/plain", "no tracker here: try /announce\n");
          else server.answer(response, 200, "text/plain", body);
        },
        this.#web === undefined ? undefined : (...upgrade) => this.#upgrade(...upgrade),
      );
      this.listening.push({ protocol: "http", ...(await server.listen(address)) });
      this.#servers.push(server);
    }
    await this.#listenForOperator();
    if (this.#stage.downloads === undefined) return;
    this.#timer = setInterval(() => {
      this.save().catch((error: Error) =>
        this.#options.onWarning?.(`downloads are not kept: ${error.message}`),
      );
    }, SAVE_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Any path, or one that shows a key, as for announces. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, client: Uint8Array): void {
    const key = /^\/(?:announce\/)?([\w-]{1,64})/.exec(urlOf(request))?.[1] ?? "";
    if (this.admission.hasKey(key))
      this.#web?.accept(request, socket, head, networkOf(addressText(client) ?? ""));
    else socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  }

  async #listenForOperator(): Promise<void> {
    if (this.#options.metrics === undefined) return;
    const nobody = new ClientAddresses([]);
    const server: HttpServer = new HttpServer(nobody, {}, (request, response) =>
      this.#operator.handle(server, request, response),
    );
    this.listening.push({ protocol: "metrics", ...(await server.listen(this.#options.metrics)) });
    this.#operatorServer = server;
  }
}

function checkKeys(options: TrackerServiceOptions, rules: AdmissionRules): void {
  if (rules.keys !== undefined && options.udp.length > 0)
    throw new UsageError(
      "USAGE_OPTION",
      "keys are for HTTP alone: over UDP nobody can show one, and anybody would be let in",
    );
}

function sum(all: readonly HttpCounters[]): HttpCounters {
  const total = emptyHttpCounters();
  for (const counters of all)
    for (const key of Object.keys(total) as (keyof HttpCounters)[]) total[key] += counters[key];
  return total;
}
