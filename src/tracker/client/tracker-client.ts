// Announces and scrapes of a whole session, at trackers of every protocol.
//
//   announce(url) ──name──▶ an IPv4 address ──▶ ┐
//                      └──▶ an IPv6 address ──▶ ┴─ both at once: peers of both, or the error of both
//
// Always: no more than HTTP_MAX announces over HTTP, HTTP_PER_HOST_MAX to one tracker, and UDP_MAX over UDP are under way, the others wait
// in order, so that a tracker which is dead holds up its own announces and no other's; every one has a deadline and bounds for its answer;
// no peer comes out at an address that the tracker could not reach itself (a tracker far away names no port of this machine, nor of the
// network that it stands in), and for the same reason nothing far away redirects us there; a tracker on this machine or in its network is
// asked for an announce and nothing else.

import { Agent as HttpAgent } from "node:http";
import { type AgentOptions, Agent as HttpsAgent } from "node:https";
import { isIP } from "node:net";
import { TrackerError, type TrackerErrorCode } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import { mayNameAddress, type SourceFor, scopeOf } from "../../base/network-address.js";
import type { Datagrams } from "../../native/datagrams.js";
import { type HttpFailure, HttpGetError, httpGet } from "../../native/http-get.js";
import { boundKept } from "../../native/kept-connections.js";
import type { NameResolver } from "../../native/names.js";
import type { AnnounceAnswer, AnnounceRequest, ScrapeEntry } from "./announce.js";
import { announceUrl, readAnnounceAnswer, readScrapeAnswer, scrapeUrl } from "./http-announce.js";
import { parseTrackerUrl, type TrackerUrl } from "./tracker-url.js";
import { UdpTrackers } from "./udp-trackers.js";

const HTTP_MAX = 16;
const HTTP_PER_HOST_MAX = 4;
/** A request is a few hundred bytes that wait; a tracker that is silent holds each of its torrents' for minutes. */
const UDP_MAX = 4096;
/** Once one address of a tracker has answered, the other has so long: many machines have an IPv6 that leads nowhere. */
const SECOND_MS = 3000;
const HTTP_DEADLINE_MS = 30_000;
const HTTP_REDIRECTS_MAX = 4;
/** 1000 peers in the longest form are a tenth of it. */
const HTTP_ANSWER_BYTES_MAX = 2 ** 20;
/** A connection of HTTP waits so long for the next announce. */
const HTTP_IDLE_MS = 5000;
const HTTP_KEEPING = { keepAlive: true, maxFreeSockets: HTTP_MAX, timeout: HTTP_IDLE_MS };
/** Info hashes in one URL. */
const HTTP_SCRAPES_MAX = 50;

export interface TrackerClientOptions {
  readonly ground: Ground;
  readonly datagrams: Datagrams;
  readonly names: NameResolver;
  /** Where trackers tell peers to find us. By default the system chooses. */
  readonly sourceFor?: SourceFor | undefined;
  /** Of connections over HTTPS. */
  readonly tls?: Pick<AgentOptions, "ca">;
}

/** What the addresses of one tracker answered: at least one of them did. */
export interface Announced {
  /** Of IPv4 and IPv6, in this order, those that answered. */
  readonly answers: readonly AnnounceAnswer[];
  /** Why an address did not answer while another did. */
  readonly errors: readonly TrackerError[];
}

export class TrackerClient {
  readonly #options: TrackerClientOptions;
  readonly #udp: UdpTrackers;
  readonly #http = boundKept(new HttpAgent(HTTP_KEEPING));
  readonly #https: HttpsAgent;
  readonly #httpGate = new Gate(HTTP_MAX);
  /** Of each host that is asked over HTTP now. */
  readonly #hostGates = new Map<string, Gate>();
  readonly #udpGate = new Gate(UDP_MAX);
  /** Of all that is under way. */
  readonly #asking = new Set<AbortController>();
  #isClosed = false;

  constructor(options: TrackerClientOptions) {
    this.#options = options;
    this.#udp = new UdpTrackers(options);
    this.#https = boundKept(new HttpsAgent({ ...HTTP_KEEPING, ...options.tls }));
  }

  /** Rejects TrackerError if no address of the tracker answered. `signal`: nobody waits any more. */
  async announce(tracker: string, request: AnnounceRequest, signal?: AbortSignal): Promise<Announced> {
    const url = parseTrackerUrl(tracker);
    const results = await this.#atEach(url, signal, (address, until) =>
      this.#announceAt(url, address, request, until),
    );
    const answers = results.filter((each) => !(each instanceof TrackerError)) as AnnounceAnswer[];
    const errors = results.filter((each) => each instanceof TrackerError);
    if (answers.length === 0) throw mostTelling(errors);
    return { answers, errors };
  }

  /** What the tracker says of swarms: up to 50 at a time over HTTP, 74 over UDP. Rejects TrackerError. */
  async scrape(
    tracker: string,
    infoHashes: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<ScrapeEntry[]> {
    const url = parseTrackerUrl(tracker);
    const results = await this.#atEach(url, signal, (address, until) =>
      this.#scrapeAt(url, address, infoHashes, until),
    );
    const answers = results.filter((each) => !(each instanceof TrackerError)) as ScrapeEntry[][];
    if (answers.length === 0) throw mostTelling(results.filter((each) => each instanceof TrackerError));
    return mergeScrapes(answers);
  }

  /** Whoever waits hears TRACKER_CLOSED. Closes the resolver of names as well. */
  close(): void {
    this.#isClosed = true;
    this.#options.names.close();
    for (const asking of this.#asking) asking.abort();
    this.#udp.close();
    this.#http.destroy();
    this.#https.destroy();
  }

  /** Asks at one address of each family; what each said, or its error. Rejects if there is no address. */
  #atEach<Answer>(
    url: TrackerUrl,
    signal: AbortSignal | undefined,
    ask: (address: string, until: AbortSignal) => Promise<Answer>,
  ): Promise<(Answer | TrackerError)[]> {
    const { names, ground } = this.#options;
    return this.#until(signal, (until, stop) =>
      this.#through(url, until, async () => {
        // Name servers may be silent for as long as they like.
        const found = await unlessAborted(names.resolve(url.host), until);
        const each = [4, 6].map((family) => found.find((address) => isIP(address) === family));
        const addresses = each.filter((address) => address !== undefined);
        if (addresses.length === 0)
          throw new TrackerError("TRACKER_NAME", `the name ${url.host} was not found`);
        let patience: Timer | undefined;
        const askOne = async (address: string): Promise<Answer | TrackerError> => {
          try {
            // "Any", multicast, broadcast: whoever is there, or nobody.
            if (scopeOf(address) === undefined)
              throw new TrackerError("TRACKER_URL", `${address} is no address of a tracker`);
            const answer = await ask(address, until);
            if (addresses.length > 1) patience ??= ground.after(SECOND_MS, stop);
            return answer;
          } catch (error) {
            if (error instanceof TrackerError) return error;
            throw error;
          }
        };
        return Promise.all(addresses.map(askOne)).finally(() => patience?.close());
      }),
    );
  }

  /** Waits for a place. */
  async #through<Result>(url: TrackerUrl, until: AbortSignal, run: () => Promise<Result>): Promise<Result> {
    if (url.protocol === "udp") return this.#udpGate.through(until, run);
    const { host } = url.url;
    const gate = this.#hostGates.get(host) ?? new Gate(HTTP_PER_HOST_MAX);
    this.#hostGates.set(host, gate);
    try {
      return await gate.through(until, () => this.#httpGate.through(until, run));
    } finally {
      if (gate.isIdle) this.#hostGates.delete(host);
    }
  }

  /** Runs with a signal that is aborted by close() as well. */
  async #until<Result>(
    signal: AbortSignal | undefined,
    run: (until: AbortSignal, stop: () => void) => Promise<Result>,
  ): Promise<Result> {
    const asking = new AbortController();
    const abort = (): void => asking.abort();
    if (this.#isClosed || signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
    this.#asking.add(asking);
    try {
      return await run(asking.signal, abort);
    } finally {
      this.#asking.delete(asking);
      signal?.removeEventListener("abort", abort);
    }
  }

  async #announceAt(
    url: TrackerUrl,
    address: string,
    request: AnnounceRequest,
    until: AbortSignal,
  ): Promise<AnnounceAnswer> {
    const answer =
      url.protocol === "udp"
        ? await this.#udp.announce({ host: address, port: url.port, path: url.path }, request, until)
        : await this.#get(url, announceUrl(url, request, isIP(address) === 4 ? 4 : 6), address, until).then(
            ({ body, status }) => readAnnounceAnswer(body, status),
          );
    return { ...answer, peers: answer.peers.filter(({ host }) => mayNameAddress(address, host)) };
  }

  async #scrapeAt(
    url: TrackerUrl,
    address: string,
    infoHashes: readonly Uint8Array[],
    until: AbortSignal,
  ): Promise<ScrapeEntry[]> {
    if (url.protocol === "udp") return this.#udp.scrape({ host: address, port: url.port }, infoHashes, until);
    const hashes = infoHashes.slice(0, HTTP_SCRAPES_MAX);
    const target = scrapeUrl(url, hashes);
    if (target === undefined)
      throw new TrackerError("TRACKER_URL", `the tracker ${url.text} has no address for scrapes (BEP 48)`);
    const { body, status } = await this.#get(url, target, address, until);
    return readScrapeAnswer(body, status, hashes);
  }

  /** A GET at the address that the tracker's name was resolved to, and wherever that leads. */
  async #get(
    { host }: TrackerUrl,
    url: URL,
    address: string,
    signal: AbortSignal,
  ): Promise<{ body: Uint8Array; status: number }> {
    const { ground, names: all, sourceFor } = this.#options;
    const resolve = (name: string): Promise<readonly string[]> =>
      name === host ? Promise.resolve([address]) : all.resolve(name);
    const names = { resolve, close: () => {} };
    try {
      return await httpGet({ ground, names, http: this.#http, https: this.#https, sourceFor }, url, {
        bytesMax: HTTP_ANSWER_BYTES_MAX,
        deadlineMs: HTTP_DEADLINE_MS,
        redirectsMax: HTTP_REDIRECTS_MAX,
        family: isIP(address) === 4 ? 4 : 6,
        mayAsk,
        signal,
      });
    } catch (error) {
      if (!(error instanceof HttpGetError)) throw error;
      throw new TrackerError(CODES[error.failure], error.message, { cause: error });
    }
  }
}

const CODES: Readonly<Record<HttpFailure, TrackerErrorCode>> = {
  name: "TRACKER_NAME",
  connect: "TRACKER_UNREACHABLE",
  timeout: "TRACKER_TIMEOUT",
  "too-long": "TRACKER_TOO_LONG",
  redirect: "TRACKER_REDIRECT",
  malformed: "TRACKER_MALFORMED",
  refused: "TRACKER_URL",
  aborted: "TRACKER_CLOSED",
};

/** A torrent file is a stranger's: it must not have us ask the router, or a service of this machine, for anything it likes. */
function mayAsk(url: URL, address: string, sender: string | undefined): string | undefined {
  if (sender !== undefined && !mayNameAddress(sender, address))
    return `a redirect from ${sender} to ${address}`;
  if (scopeOf(address) !== "global" && !/\/(announce|scrape)/.test(url.pathname))
    return `at ${address}, which is not far away, only paths of trackers ("/announce") are asked for`;
  return undefined;
}

/** Of several addresses' errors: no address of a kind that this machine has no way to says little. */
function mostTelling(errors: readonly TrackerError[]): TrackerError {
  const telling = errors.find(({ code }) => code !== "TRACKER_UNREACHABLE") ?? errors[0];
  return telling ?? new TrackerError("TRACKER_UNREACHABLE", "it has no address");
}

/** A tracker keeps swarms of IPv4 and IPv6 apart, or together: the larger numbers are true in either case. */
function mergeScrapes(answers: readonly (readonly ScrapeEntry[])[]): ScrapeEntry[] {
  const merged = new Map<string, ScrapeEntry>();
  for (const entry of answers.flat()) {
    const other = merged.get(entry.infoHash) ?? entry;
    merged.set(entry.infoHash, {
      infoHash: entry.infoHash,
      seeders: Math.max(entry.seeders, other.seeders),
      leechers: Math.max(entry.leechers, other.leechers),
      downloads: Math.max(entry.downloads, other.downloads),
    });
  }
  return [...merged.values()];
}

/** Rejects TRACKER_CLOSED as soon as the signal is aborted. */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(closed());
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function closed(): TrackerError {
  return new TrackerError("TRACKER_CLOSED", "nobody waits for the answer any more");
}

/** Lets so many through at one time, the others in their order. */
class Gate {
  readonly #places: number;
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(places: number) {
    this.#places = places;
    this.#free = places;
  }

  /** Nobody is in, or waits. */
  get isIdle(): boolean {
    return this.#free === this.#places && this.#waiting.size === 0;
  }

  async through<Result>(signal: AbortSignal, run: () => Promise<Result>): Promise<Result> {
    if (!signal.aborted && this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await run();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#free++;
      else next();
    }
  }

  /** Resolves with the place of whoever left. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(closed());
      const enter = (): void => {
        this.#waiting.delete(enter);
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(enter);
        reject(closed());
      };
      this.#waiting.add(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
