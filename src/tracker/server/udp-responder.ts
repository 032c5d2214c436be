// What a UDP tracker answers: a batch of requests in, a batch of responses out. No sockets and no clocks: time is told.
//
// Always: without a valid connection id nothing is answered but a connect request, which is answered with as many bytes as it has at
// least. A response is never longer than one datagram may be. What is malformed, cut off or unknown is counted and not answered.
// Nothing is allocated for a request: numbers that are handed on have 32 bits with sign, as V8 allocates for larger ones.

import { assert } from "../../base/assert.js";
import { ADDRESS_WORDS, type DatagramBatch } from "../../native/datagrams.js";
import {
  type Announce,
  type AnnouncesAhead,
  EVENT_NONE,
  EVENT_STOPPED,
  type PeerSink,
  type SwarmStore,
} from "../peer-store/contract.js";
import {
  ACTION_ANNOUNCE,
  ACTION_AT,
  ACTION_CONNECT,
  ACTION_SCRAPE,
  ANNOUNCE_REQUEST_BYTES,
  ANNOUNCE_RESPONSE_BYTES_MIN,
  announceRequestLength,
  CONNECTION_ID_AT,
  ENDPOINT_BYTES_V4,
  ENDPOINT_BYTES_V6,
  EVENT_AT,
  INFO_HASH_AT,
  INFO_HASH_BYTES,
  isConnectRequest,
  LEFT_AT,
  NUM_WANT_AT,
  PORT_AT,
  REQUEST_BYTES_MIN,
  RESPONSE_PEERS_AT,
  SCRAPE_ENTRY_BYTES,
  SCRAPE_HASHES_AT,
  SCRAPE_HASHES_MAX,
  scrapeHashCount,
  TRANSACTION_AT,
  writeAnnounceResponse,
  writeConnectResponse,
  writeScrapeEntry,
  writeScrapeResponse,
} from "../protocol/udp.js";
import type { ConnectionIds } from "./connection-ids.js";

/** What an Ethernet frame has room for behind the headers of IPv4 or IPv6 and of UDP. */
export const RESPONSE_BYTES_MAX = 1452;
/** A scrape of SCRAPE_HASHES_MAX fits. Slots are odd multiples of a cache line, so that their beginnings do not compete for a place in the cache. */
export const REQUEST_SLOT_BYTES = 25 * 64;
export const RESPONSE_SLOT_BYTES = 23 * 64;
assert(RESPONSE_SLOT_BYTES >= RESPONSE_BYTES_MAX, "a slot has room for a response");
assert(
  REQUEST_SLOT_BYTES >= SCRAPE_HASHES_AT + SCRAPE_HASHES_MAX * INFO_HASH_BYTES,
  "a slot has room for a scrape",
);

/** Datagrams of a UDP tracker since its start. */
export interface UdpCounters {
  /** Answered, by their kind. */
  connects: number;
  /** See `connects`. */
  announces: number;
  /** See `connects`. */
  scrapes: number;
  /** Answers that were made, of all kinds. */
  responses: number;
  /** Of all datagrams that came, without headers. */
  bytesIn: number;
  /** Of all answers that were made, without headers. */
  bytesOut: number;
  /** Not answered: longer than 1600 bytes. */
  truncated: number;
  /** Not answered: shorter than any request, or than one of its kind. */
  tooShort: number;
  /** Not answered: an action that BEP 15 does not have. */
  unknown: number;
  /** Not answered: an impossible field, or options that lead out of the datagram. */
  malformed: number;
  /** Not answered: no valid connection id. */
  invalidIds: number;
  /** Not answered: port 0, of the peer that is announced or of whoever sent it. */
  portZero: number;
  /** Answers that were made and not sent: the socket's queue was full. */
  unsent: number;
}

export interface UdpResponderOptions {
  readonly intervalSeconds: number;
  /** How many peers are told to whoever names no number, and to whoever names too large a one. */
  readonly peersDefault: number;
  readonly peersMax: number;
  /** Any whole number: where answers begin among the peers follows from it. */
  readonly dice: number;
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const KIND_NONE = 0;
const KIND_CONNECT = 1;
const KIND_ANNOUNCE = 2;
const KIND_SCRAPE = 3;

export class UdpResponder {
  readonly counters = makeUdpCounters();
  readonly #store: SwarmStore;
  readonly #ids: ConnectionIds;
  readonly #family: 4 | 6;
  readonly #interval: number;
  readonly #peersDefault: number;
  readonly #peersMax: number;
  readonly #requests: DatagramBatch;
  readonly #responses: DatagramBatch;
  readonly #kinds: Uint8Array;
  /** The announces of this batch, in their order. */
  readonly #ahead: AnnouncesAhead;
  #dice: number;
  readonly #request: Announce;
  readonly #sink: PeerSink;

  /** The batches are those that respond() reads and writes: requests of REQUEST_SLOT_BYTES, responses of RESPONSE_SLOT_BYTES. */
  constructor(
    family: 4 | 6,
    store: SwarmStore,
    ids: ConnectionIds,
    requests: DatagramBatch,
    responses: DatagramBatch,
    options: UdpResponderOptions,
  ) {
    this.#family = family;
    this.#store = store;
    this.#ids = ids;
    this.#requests = requests;
    this.#responses = responses;
    this.#interval = options.intervalSeconds;
    const endpointBytes = family === 4 ? ENDPOINT_BYTES_V4 : ENDPOINT_BYTES_V6;
    const peersFit = Math.floor((RESPONSE_BYTES_MAX - ANNOUNCE_RESPONSE_BYTES_MIN) / endpointBytes);
    this.#peersMax = Math.min(options.peersMax, peersFit);
    this.#peersDefault = Math.min(options.peersDefault, this.#peersMax);
    this.#kinds = new Uint8Array(requests.entries);
    this.#ahead = {
      count: 0,
      family,
      hashes: new Int32Array(requests.entries),
      dice: new Int32Array(requests.entries),
      seeders: new Uint8Array(requests.entries),
      wants: new Int32Array(requests.entries),
      addresses: requests.addresses,
      addressAt: new Int32Array(requests.entries),
      ports: new Uint16Array(requests.entries),
    };
    this.#dice = options.dice | 1;
    this.#request = {
      hash: requests.words,
      hashAt: 0,
      family,
      address: requests.addresses,
      addressAt: 0,
      port: 0,
      seeder: false,
      event: EVENT_NONE,
      want: 0,
      dice: 0,
      ahead: -1,
    };
    const { buffer, byteOffset, byteLength } = responses.bytes;
    this.#sink = {
      words: responses.words,
      halves: new Uint16Array(buffer, byteOffset, byteLength / 2),
      at: 0,
    };
  }

  /** Answers the first `count` requests; how many responses there are. */
  respond(count: number): number {
    this.#classify(count);
    const kinds = this.#kinds;
    let answered = 0;
    let announces = 0;
    for (let entry = 0; entry < count; entry++) {
      const kind = kinds[entry]!;
      let length = 0;
      if (kind === KIND_ANNOUNCE) length = this.#announce(entry, announces++, answered);
      else if (kind === KIND_CONNECT) length = this.#connect(entry, answered);
      else if (kind === KIND_SCRAPE) length = this.#scrape(entry, answered);
      if (length > 0) this.#address(entry, answered++, length);
    }
    this.counters.responses += answered;
    return answered;
  }

  /** Sees what each request is and whether it may be answered, and tells the store which torrents it will be asked for. */
  #classify(count: number): void {
    const { lengths } = this.#requests;
    const ahead = this.#ahead;
    ahead.count = 0;
    let bytes = 0;
    for (let entry = 0; entry < count; entry++) {
      bytes += lengths[entry]!;
      const kind = this.#kindOf(entry, lengths[entry]!);
      this.#kinds[entry] = kind;
      if (kind === KIND_ANNOUNCE) this.#expect(entry);
    }
    this.counters.bytesIn += bytes;
    if (ahead.count > 1) this.#store.lookAhead(ahead);
  }

  /** Notes an announce that will be made. */
  #expect(entry: number): void {
    const { view, words, slotBytes } = this.#requests;
    const ahead = this.#ahead;
    const at = entry * slotBytes;
    const index = ahead.count++;
    const wanted = view.getInt32(at + NUM_WANT_AT);
    ahead.hashes[index] = this.#store.hash(words, (at + INFO_HASH_AT) >>> 2);
    ahead.dice[index] = this.#roll();
    ahead.seeders[index] = (view.getUint32(at + LEFT_AT) | view.getUint32(at + LEFT_AT + 4)) === 0 ? 1 : 0;
    ahead.wants[index] = wanted < 0 ? this.#peersDefault : wanted < this.#peersMax ? wanted : this.#peersMax;
    ahead.addressAt[index] = entry * ADDRESS_WORDS;
    ahead.ports[index] = this.#portOf(at);
  }

  /** A whole number from 0 to below 2^31. */
  #roll(): number {
    let dice = this.#dice;
    dice ^= dice << 13;
    dice ^= dice >>> 17;
    dice ^= dice << 5;
    this.#dice = dice;
    return dice & 0x7fffffff;
  }

  #kindOf(entry: number, length: number): number {
    const { counters } = this;
    const { view, slotBytes } = this.#requests;
    const at = entry * slotBytes;
    if (length > slotBytes) {
      counters.truncated++;
      return KIND_NONE;
    }
    if (length < REQUEST_BYTES_MIN) {
      counters.tooShort++;
      return KIND_NONE;
    }
    // Nobody can be answered there: the system would refuse it, after two calls for it alone.
    if (this.#requests.ports[entry] === 0) {
      counters.portZero++;
      return KIND_NONE;
    }
    const action = view.getUint32(at + ACTION_AT);
    if (action === ACTION_ANNOUNCE) return this.#isAnnounce(entry, at, length) ? KIND_ANNOUNCE : KIND_NONE;
    if (action === ACTION_CONNECT && isConnectRequest(view, at)) return KIND_CONNECT;
    if (action === ACTION_SCRAPE) return this.#isScrape(entry, at, length) ? KIND_SCRAPE : KIND_NONE;
    counters.unknown++;
    return KIND_NONE;
  }

  #isAnnounce(entry: number, at: number, length: number): boolean {
    const { view } = this.#requests;
    if (length < ANNOUNCE_REQUEST_BYTES) {
      this.counters.tooShort++;
      return false;
    }
    if (!this.#hasValidId(entry, at)) return false;
    if (view.getUint16(at + PORT_AT) === 0) {
      this.counters.portZero++;
      return false;
    }
    const isWhole = length === ANNOUNCE_REQUEST_BYTES || announceRequestLength(view, at, length) > 0;
    if (isWhole && view.getUint32(at + EVENT_AT) <= EVENT_STOPPED) return true;
    this.counters.malformed++;
    return false;
  }

  #isScrape(entry: number, at: number, length: number): boolean {
    if (!this.#hasValidId(entry, at)) return false;
    if (scrapeHashCount(length) > 0) return true;
    this.counters.malformed++;
    return false;
  }

  #hasValidId(entry: number, at: number): boolean {
    const { view, addresses } = this.#requests;
    const high = view.getUint32(at + CONNECTION_ID_AT);
    const low = view.getUint32(at + CONNECTION_ID_AT + 4);
    if (this.#ids.isValid(this.#family, addresses, entry * ADDRESS_WORDS, high, low)) return true;
    this.counters.invalidIds++;
    return false;
  }

  #connect(entry: number, answered: number): number {
    const { view, slotBytes, addresses } = this.#requests;
    this.counters.connects++;
    this.#ids.make(this.#family, addresses, entry * ADDRESS_WORDS);
    const transaction = view.getInt32(entry * slotBytes + TRANSACTION_AT);
    const at = answered * this.#responses.slotBytes;
    return writeConnectResponse(this.#responses.view, at, transaction, this.#ids.high, this.#ids.low);
  }

  #announce(entry: number, index: number, answered: number): number {
    const { view, slotBytes } = this.#requests;
    const from = entry * slotBytes;
    const to = answered * this.#responses.slotBytes;
    const request = this.#request;
    request.hashAt = (from + INFO_HASH_AT) >>> 2;
    request.addressAt = entry * ADDRESS_WORDS;
    request.port = this.#ahead.ports[index]!;
    request.seeder = this.#ahead.seeders[index] === 1;
    request.event = view.getUint32(from + EVENT_AT);
    request.want = this.#ahead.wants[index]!;
    request.dice = this.#ahead.dice[index]!;
    request.ahead = this.#ahead.count > 1 ? index : -1;
    const sink = this.#sink;
    const peersAt = (to + RESPONSE_PEERS_AT) >>> 1;
    sink.at = peersAt;
    const store = this.#store;
    // Nobody says that there are no peers when it is not known: a client without an answer asks again.
    if (store.announce(this.#ahead.hashes[index]!, request, sink) < 0) return 0;
    const out = this.#responses.view;
    const transaction = view.getInt32(from + TRANSACTION_AT);
    writeAnnounceResponse(out, to, transaction, this.#interval, store.leechers, store.seeders);
    this.counters.announces++;
    return RESPONSE_PEERS_AT + 2 * (sink.at - peersAt);
  }

  /** The port an announce names, as it stands in the packet. */
  #portOf(at: number): number {
    const { bytes } = this.#requests;
    return LITTLE_ENDIAN
      ? bytes[at + PORT_AT]! | (bytes[at + PORT_AT + 1]! << 8)
      : (bytes[at + PORT_AT]! << 8) | bytes[at + PORT_AT + 1]!;
  }

  #scrape(entry: number, answered: number): number {
    const { view, words, lengths, slotBytes } = this.#requests;
    const from = entry * slotBytes;
    const to = answered * this.#responses.slotBytes;
    const out = this.#responses.view;
    const store = this.#store;
    const count = Math.min(scrapeHashCount(lengths[entry]!), SCRAPE_HASHES_MAX);
    const length = writeScrapeResponse(out, to, view.getInt32(from + TRANSACTION_AT));
    for (let index = 0; index < count; index++) {
      const at = (from + SCRAPE_HASHES_AT + index * INFO_HASH_BYTES) >>> 2;
      store.scrape(store.hash(words, at), words, at);
      writeScrapeEntry(out, to, index, store.seeders, store.downloads, store.leechers);
    }
    this.counters.scrapes++;
    return length + count * SCRAPE_ENTRY_BYTES;
  }

  /** The response goes to where the request came from. */
  #address(entry: number, answered: number, length: number): void {
    const from = this.#requests;
    const to = this.#responses;
    const source = entry * ADDRESS_WORDS;
    const target = answered * ADDRESS_WORDS;
    to.addresses[target] = from.addresses[source]!;
    if (this.#family === 6) {
      to.addresses[target + 1] = from.addresses[source + 1]!;
      to.addresses[target + 2] = from.addresses[source + 2]!;
      to.addresses[target + 3] = from.addresses[source + 3]!;
    }
    to.ports[answered] = from.ports[entry]!;
    to.lengths[answered] = length;
    this.counters.bytesOut += length;
  }
}

export function makeUdpCounters(): UdpCounters {
  return {
    connects: 0,
    announces: 0,
    scrapes: 0,
    responses: 0,
    bytesIn: 0,
    bytesOut: 0,
    truncated: 0,
    tooShort: 0,
    unknown: 0,
    malformed: 0,
    invalidIds: 0,
    portZero: 0,
    unsent: 0,
  };
}

// Counts that outgrow V8's small integers change the shape of their objects: they do so here, before anything is compiled for it.
const grown = makeUdpCounters();
for (const key of Object.keys(grown) as (keyof UdpCounters)[]) grown[key] = 2 ** 40;
