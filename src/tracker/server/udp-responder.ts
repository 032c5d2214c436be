// What a UDP tracker answers: of a batch of requests it makes a batch of responses, each in the place of its request, whose lines the
// processor has at hand and whose address stands there. No sockets and no clocks: time is told.
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
  RESPONSE_SCRAPE_AT,
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
export const SLOT_BYTES = 25 * 64;
assert(SLOT_BYTES >= RESPONSE_BYTES_MAX, "a slot has room for a response");
assert(SLOT_BYTES >= SCRAPE_HASHES_AT + SCRAPE_HASHES_MAX * INFO_HASH_BYTES, "a slot has room for a scrape");
assert(RESPONSE_PEERS_AT > TRANSACTION_AT + 3, "what is read after peers were written is before them");
assert(
  SCRAPE_HASHES_AT + INFO_HASH_BYTES >= RESPONSE_SCRAPE_AT + SCRAPE_ENTRY_BYTES,
  "what is said of a hash is written where it or those before it stood",
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

const INFO_HASH_WORDS = INFO_HASH_BYTES / 4;
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
  readonly #batch: DatagramBatch;
  readonly #kinds: Uint8Array;
  /** Info hashes of the announces of this batch, INFO_HASH_WORDS each: peers are written where they stood. */
  readonly #hashWords: Uint32Array;
  /** The announces of this batch, in their order. */
  readonly #ahead: AnnouncesAhead;
  #dice: number;
  readonly #request: Announce;
  readonly #sink: PeerSink;

  /** `batch`: what respond() reads and writes, with slots of SLOT_BYTES. */
  constructor(
    family: 4 | 6,
    store: SwarmStore,
    ids: ConnectionIds,
    batch: DatagramBatch,
    options: UdpResponderOptions,
  ) {
    this.#family = family;
    this.#store = store;
    this.#ids = ids;
    this.#batch = batch;
    this.#interval = options.intervalSeconds;
    const endpointBytes = family === 4 ? ENDPOINT_BYTES_V4 : ENDPOINT_BYTES_V6;
    const peersFit = Math.floor((RESPONSE_BYTES_MAX - ANNOUNCE_RESPONSE_BYTES_MIN) / endpointBytes);
    this.#peersMax = Math.min(options.peersMax, peersFit);
    this.#peersDefault = Math.min(options.peersDefault, this.#peersMax);
    const { entries, addresses, words, bytes } = batch;
    this.#kinds = new Uint8Array(entries);
    this.#hashWords = new Uint32Array(INFO_HASH_WORDS * entries);
    this.#ahead = {
      count: 0,
      family,
      hashes: new Int32Array(entries),
      dice: new Int32Array(entries),
      seeders: new Uint8Array(entries),
      wants: new Int32Array(entries),
      addresses,
      addressAt: new Int32Array(entries),
      ports: new Uint16Array(entries),
    };
    this.#dice = options.dice | 1;
    this.#request = {
      hash: this.#hashWords,
      hashAt: 0,
      family,
      address: addresses,
      addressAt: 0,
      port: 0,
      seeder: false,
      event: EVENT_NONE,
      want: 0,
      dice: 0,
      ahead: -1,
    };
    this.#sink = {
      words,
      halves: new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2),
      at: 0,
    };
  }

  /** Makes responses of the first `count` requests; how many there are. Those that are not answered have a length of 0. */
  respond(count: number): number {
    this.#classify(count);
    const { counters } = this;
    const { lengths } = this.#batch;
    const kinds = this.#kinds;
    let answered = 0;
    let announces = 0;
    let bytes = 0;
    for (let entry = 0; entry < count; entry++) {
      const kind = kinds[entry]!;
      let length = 0;
      if (kind === KIND_ANNOUNCE) length = this.#announce(entry, announces++);
      else if (kind === KIND_CONNECT) length = this.#connect(entry);
      else if (kind === KIND_SCRAPE) length = this.#scrape(entry);
      lengths[entry] = length;
      bytes += length;
      if (length > 0) answered++;
    }
    counters.responses += answered;
    counters.bytesOut += bytes;
    return answered;
  }

  /** Sees what each request is and whether it may be answered, and tells the store which torrents it will be asked for. */
  #classify(count: number): void {
    const { lengths } = this.#batch;
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
    const { view, words, slotBytes } = this.#batch;
    const ahead = this.#ahead;
    const at = entry * slotBytes;
    const index = ahead.count++;
    const wanted = view.getInt32(at + NUM_WANT_AT);
    const from = (at + INFO_HASH_AT) >>> 2;
    const to = INFO_HASH_WORDS * index;
    const hashWords = this.#hashWords;
    for (let word = 0; word < INFO_HASH_WORDS; word++) hashWords[to + word] = words[from + word]!;
    ahead.hashes[index] = this.#store.hash(hashWords, to);
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
    const { view, slotBytes } = this.#batch;
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
    if (this.#batch.ports[entry] === 0) {
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
    const { view } = this.#batch;
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
    const { view, addresses } = this.#batch;
    const high = view.getUint32(at + CONNECTION_ID_AT);
    const low = view.getUint32(at + CONNECTION_ID_AT + 4);
    if (this.#ids.isValid(this.#family, addresses, entry * ADDRESS_WORDS, high, low)) return true;
    this.counters.invalidIds++;
    return false;
  }

  #connect(entry: number): number {
    const { view, slotBytes, addresses } = this.#batch;
    this.counters.connects++;
    this.#ids.make(this.#family, addresses, entry * ADDRESS_WORDS);
    const at = entry * slotBytes;
    return writeConnectResponse(view, at, view.getInt32(at + TRANSACTION_AT), this.#ids.high, this.#ids.low);
  }

  #announce(entry: number, index: number): number {
    const { view, slotBytes } = this.#batch;
    const at = entry * slotBytes;
    const ahead = this.#ahead;
    const request = this.#request;
    request.hashAt = INFO_HASH_WORDS * index;
    request.addressAt = entry * ADDRESS_WORDS;
    request.port = ahead.ports[index]!;
    request.seeder = ahead.seeders[index] === 1;
    request.event = view.getUint32(at + EVENT_AT);
    request.want = ahead.wants[index]!;
    request.dice = ahead.dice[index]!;
    request.ahead = ahead.count > 1 ? index : -1;
    const sink = this.#sink;
    const peersAt = (at + RESPONSE_PEERS_AT) >>> 1;
    sink.at = peersAt;
    const store = this.#store;
    // Nobody says that there are no peers when it is not known: a client without an answer asks again.
    if (store.announce(ahead.hashes[index]!, request, sink) < 0) return 0;
    const transaction = view.getInt32(at + TRANSACTION_AT);
    writeAnnounceResponse(view, at, transaction, this.#interval, store.leechers, store.seeders);
    this.counters.announces++;
    return RESPONSE_PEERS_AT + 2 * (sink.at - peersAt);
  }

  /** The port an announce names, as it stands in the packet. */
  #portOf(at: number): number {
    const { bytes } = this.#batch;
    return LITTLE_ENDIAN
      ? bytes[at + PORT_AT]! | (bytes[at + PORT_AT + 1]! << 8)
      : (bytes[at + PORT_AT]! << 8) | bytes[at + PORT_AT + 1]!;
  }

  #scrape(entry: number): number {
    const { view, words, lengths, slotBytes } = this.#batch;
    const at = entry * slotBytes;
    const store = this.#store;
    const count = Math.min(scrapeHashCount(lengths[entry]!), SCRAPE_HASHES_MAX);
    const length = writeScrapeResponse(view, at, view.getInt32(at + TRANSACTION_AT));
    for (let index = 0; index < count; index++) {
      const hashAt = (at + SCRAPE_HASHES_AT + index * INFO_HASH_BYTES) >>> 2;
      store.scrape(store.hash(words, hashAt), words, hashAt);
      writeScrapeEntry(view, at, index, store.seeders, store.downloads, store.leechers);
    }
    this.counters.scrapes++;
    return length + count * SCRAPE_ENTRY_BYTES;
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
