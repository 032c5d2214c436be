// What a tracker answers over HTTP (BEP 3, 7, 23, 48): a path, a query and an address in, a body out. No sockets, no clocks.
//
// Always: whoever is refused is told why in a fixed sentence, and has changed nothing. A peer's address is the one it was seen at.

import { entryOf } from "../../base/assert.js";
import { type Announce, EVENT_NONE, type PeerSink, type SwarmStore } from "../peer-store/contract.js";
import {
  type AnnounceQuery,
  announceBody,
  failureBody,
  makeAnnounceQuery,
  makeScrapeQuery,
  readAnnounceQuery,
  readScrapeQuery,
  type ScrapeQuery,
  scrapeBody,
  scrapeEntry,
} from "../protocol/http.js";
import type { Admission } from "./admission.js";

export interface HttpResponderOptions {
  readonly intervalSeconds: number;
  readonly peersDefault: number;
  readonly peersMax: number;
  /** Numbers from 0 to below 1. */
  readonly random?: () => number;
}

export interface HttpResponderCounters {
  announces: number;
  scrapes: number;
  /** Answered with a failure: a query that says what cannot be, a torrent or a key that the lists do not have, another path. */
  malformed: number;
  refusedTorrents: number;
  refusedKeys: number;
  unknownPaths: number;
}

/** Clients are asked not to come back sooner, whatever their users press. */
const INTERVAL_SECONDS_MIN = 60;
const ENDPOINT_HALVES_V6 = 9;

export class HttpResponder {
  readonly counters: HttpResponderCounters = {
    announces: 0,
    scrapes: 0,
    malformed: 0,
    refusedTorrents: 0,
    refusedKeys: 0,
    unknownPaths: 0,
  };
  readonly #store: SwarmStore;
  readonly #admission: Admission;
  readonly #options: HttpResponderOptions;
  readonly #random: () => number;
  readonly #intervalMin: number;
  readonly #announce: AnnounceQuery = makeAnnounceQuery();
  readonly #scrape: ScrapeQuery = makeScrapeQuery();
  readonly #address = new Uint32Array(4);
  readonly #addressBytes = new Uint8Array(this.#address.buffer);
  readonly #port = new Uint16Array(1);
  readonly #portBytes = new Uint8Array(this.#port.buffer);
  readonly #request: Announce;
  readonly #sink: PeerSink;
  readonly #peers: Uint8Array;

  constructor(store: SwarmStore, admission: Admission, options: HttpResponderOptions) {
    this.#store = store;
    this.#admission = admission;
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#intervalMin = Math.min(INTERVAL_SECONDS_MIN, options.intervalSeconds);
    this.#request = {
      hash: this.#announce.hash,
      hashAt: 0,
      family: 4,
      address: this.#address,
      addressAt: 0,
      port: 0,
      seeder: false,
      event: EVENT_NONE,
      want: 0,
      dice: 0,
      ahead: -1,
    };
    const words = new Uint32Array(Math.ceil((options.peersMax * ENDPOINT_HALVES_V6) / 2));
    this.#sink = { words, halves: new Uint16Array(words.buffer), at: 0 };
    this.#peers = new Uint8Array(words.buffer);
  }

  /**
   * The body for a request of /announce, /KEY/announce, /announce/KEY, or the same with scrape, as latin-1 text; undefined for other
   * paths. `address`: the 4 or 16 bytes the client was seen at.
   */
  respond(path: string, query: string, address: Uint8Array): string | undefined {
    const match = /^\/(?:([\w-]{1,64})\/)?(announce|scrape)(?:\/([\w-]{1,64}))?$/.exec(path);
    if (match === null || (match[1] !== undefined && match[3] !== undefined)) {
      this.counters.unknownPaths++;
      return undefined;
    }
    if (!this.#admission.hasKey(match[1] ?? match[3] ?? "")) {
      this.counters.refusedKeys++;
      return failureBody("this tracker wants a key that it knows in the announce URL");
    }
    return match[2] === "announce" ? this.#answerAnnounce(query, address) : this.#answerScrape(query);
  }

  #answerAnnounce(query: string, address: Uint8Array): string {
    const announce = this.#announce;
    const wrong = readAnnounceQuery(query, announce);
    if (wrong !== undefined) return this.#malformed(wrong);
    const store = this.#store;
    const hash = store.hash(announce.hash, 0);
    if (!this.#admission.admits(hash, announce.hash, 0)) {
      this.counters.refusedTorrents++;
      return failureBody("this tracker does not track this torrent");
    }
    const { peersDefault, peersMax, intervalSeconds } = this.#options;
    const request = this.#request;
    const family = address.length === 4 ? 4 : 6;
    this.#addressBytes.set(address);
    this.#portBytes[0] = announce.port >>> 8;
    this.#portBytes[1] = announce.port & 0xff;
    request.family = family;
    request.port = entryOf(this.#port, 0);
    request.seeder = announce.seeder;
    request.event = announce.event;
    request.want = Math.min(announce.numWant < 0 ? peersDefault : announce.numWant, peersMax);
    request.dice = Math.floor(this.#random() * 2 ** 31);
    this.#sink.at = 0;
    if (store.announce(hash, request, this.#sink) < 0) return failureBody("this tracker is busy: try again");
    this.counters.announces++;
    return announceBody({
      seeders: store.seeders,
      leechers: store.leechers,
      intervalSeconds,
      intervalSecondsMin: this.#intervalMin,
      peers: this.#peers.subarray(0, 2 * this.#sink.at),
      family,
      compact: announce.compact,
    });
  }

  #answerScrape(query: string): string {
    const scrape = this.#scrape;
    const wrong = readScrapeQuery(query, scrape);
    if (wrong !== undefined) return this.#malformed(wrong);
    const store = this.#store;
    const entries = new Map<string, string>();
    for (let index = 0; index < scrape.count; index++) {
      const at = 5 * index;
      const hash = store.hash(scrape.hashes, at);
      if (!this.#admission.admits(hash, scrape.hashes, at)) continue;
      store.scrape(hash, scrape.hashes, at);
      const name = Buffer.from(scrape.hashes.buffer, 4 * at, 20).toString("latin1");
      entries.set(name, scrapeEntry(name, store.seeders, store.downloads, store.leechers));
    }
    this.counters.scrapes++;
    return scrapeBody(entries, this.#intervalMin);
  }

  #malformed(reason: string): string {
    this.counters.malformed++;
    return failureBody(reason);
  }
}
