// What a node of the DHT answers (BEP 5, 32, 33, 42, 51): nodes near a key from the shared tables, peers that announced to us, samples of
// what we have. No sockets and no clocks: time is told.
//
// Always: an answer is no longer than SENT_BYTES_MAX. Whoever announces shows a token that we gave to this address, port and id for this torrent.
// What announced peers may take of memory is bounded, by address as well. Nothing is allocated for a query, but for announces and scrapes.

import { throwAsUncaught } from "../base/user-calls.js";
import { addressText } from "../codec/compact-address.js";
import type { SocketAddress } from "../native/binding.js";
import {
  type Announce,
  EVENT_NONE,
  type PeerSink,
  type SwarmBrowser,
  type SwarmStore,
} from "../tracker/peer-store/contract.js";
import type { AnnounceBudget } from "./announce-budget.js";
import { addressBytesOf, type Contact, type Family, networkWords } from "./contact.js";
import {
  type KrpcReader,
  METHOD_ANNOUNCE_PEER,
  METHOD_FIND_NODE,
  METHOD_GET_PEERS,
  METHOD_PING,
  METHOD_SAMPLE_INFOHASHES,
} from "./krpc-reader.js";
import { type KrpcWriter, RESPONSE_END_BYTES } from "./krpc-writer.js";
import { ID_BYTES, sameId } from "./node-id.js";
import { BUCKET_CONTACTS, type RoutingTable } from "./routing-table.js";
import { ScrapeFilters } from "./scrape-filters.js";
import type { Sender } from "./sender.js";
import { TOKEN_BYTES, type Tokens } from "./tokens.js";

/** What we send is no longer: whoever is sent answers that they did not ask for gets little of them. */
export const SENT_BYTES_MAX = 1024;

const ERROR_PROTOCOL = 203;
const ERROR_UNKNOWN_METHOD = 204;
/** Of one answer, and fewer where nodes of both families or a long transaction leave less room. */
const VALUES_MAX_V4 = 48;
const VALUES_MAX_V6 = 14;
const SAMPLES_MAX = 20;
/** Seconds until somebody may ask for other samples (BEP 51). */
const SAMPLE_INTERVAL_SECONDS = 300;
const HASH_WORDS = ID_BYTES / 4;
/** Keys, and the ends of a list, beside the peers or samples of an answer. */
const VALUES_FRAME_BYTES = "6:valuesle".length;
const SAMPLES_FRAME_BYTES = "3:numi4294967295e7:samples400:".length;

/** Hears what is asked for, each time: the offsets are of `query.bytes`. Nothing is kept from it. */
export interface HashListener {
  /** `isAnnounce`: somebody has the torrent, or is getting it; else somebody looks for it. */
  hashSeen(query: KrpcReader, sender: Sender, isAnnounce: boolean): void;
}

export interface ResponderOptions {
  readonly tables: ReadonlyMap<Family, RoutingTable>;
  /** Who announced to us. */
  readonly peers: SwarmStore & SwarmBrowser;
  readonly tokens: Tokens;
  /** Announces of one address for one torrent; undefined: any number, where all are of one machine. */
  readonly announces?: AnnounceBudget | undefined;
  readonly clock: () => number;
  /** Numbers from 0 to below 1. */
  readonly random: () => number;
  readonly hashes?: HashListener | undefined;
  /** Somebody wants to hear of announces, and hears of those that are taken. */
  readonly wantsAnnounces?: () => boolean;
  readonly announced?: (infoHash: Uint8Array, peer: SocketAddress) => void;
  /** An endpoint of ours that is put among the peers of these torrents (passive retrieval), or undefined. */
  readonly inject?: (query: KrpcReader, family: Family) => Uint8Array | undefined;
}

export class Responder {
  /** Announces of addresses that had announced the torrent often enough. */
  announcesRefused = 0;
  /** Announces with tokens that are not theirs. */
  tokensRefused = 0;
  readonly #options: ResponderOptions;
  readonly #filters = new ScrapeFilters();
  readonly #near: Contact[] = [];
  /** The info hash of the query under way, where words can be read. */
  readonly #hashBytes = new Uint8Array(ID_BYTES);
  readonly #hash = new Uint32Array(this.#hashBytes.buffer);
  readonly #sinkWords = new Uint32Array((VALUES_MAX_V4 * 18) / 4 + 2);
  readonly #sink: PeerSink = {
    words: this.#sinkWords,
    halves: new Uint16Array(this.#sinkWords.buffer),
    at: 0,
  };
  readonly #sinkBytes = new Uint8Array(this.#sinkWords.buffer);
  readonly #samples = new Uint32Array(SAMPLES_MAX * HASH_WORDS);
  readonly #sampleBytes = new Uint8Array(this.#samples.buffer);
  readonly #portHalf = new Uint16Array(1);
  readonly #portBytes = new Uint8Array(this.#portHalf.buffer);
  readonly #announce: Announce = {
    hash: this.#hash,
    hashAt: 0,
    family: 4,
    address: this.#hash,
    addressAt: 0,
    port: 0,
    seeder: false,
    event: EVENT_NONE,
    want: 0,
    dice: 0,
    ahead: -1,
  };

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Torrents whose filters made room for others'. */
  get filtersReplaced(): number {
    return this.#filters.replaced;
  }

  /** Writes the answer of the virtual node `id` to a query; false if there is none. */
  respond(id: Uint8Array, query: KrpcReader, sender: Sender, writer: KrpcWriter): boolean {
    switch (query.method) {
      case METHOD_PING:
        this.#begin(id, sender, writer);
        break;
      case METHOD_FIND_NODE:
        this.#begin(id, sender, writer);
        this.#writeNodes(query, sender.family, writer);
        break;
      case METHOD_GET_PEERS:
        this.#tellHash(query, sender, false);
        this.#begin(id, sender, writer, this.#filtersFor(query));
        this.#writeNodes(query, sender.family, writer);
        this.#writeTokenAndPeers(query, sender, writer);
        break;
      case METHOD_ANNOUNCE_PEER:
        if (!this.#options.tokens.isValid(sender, query)) {
          this.tokensRefused++;
          this.#error(ERROR_PROTOCOL, "bad token", query, writer);
          return true;
        }
        this.#tellHash(query, sender, true);
        this.#readHash(query);
        if (!this.#mayAnnounce(sender)) {
          this.announcesRefused++;
          this.#error(ERROR_PROTOCOL, "too many announces", query, writer);
          return true;
        }
        this.#keep(query, sender);
        this.#tellAnnounce(query, sender);
        this.#begin(id, sender, writer);
        break;
      case METHOD_SAMPLE_INFOHASHES:
        this.#begin(id, sender, writer);
        writer.ascii("8:interval");
        writer.number(SAMPLE_INTERVAL_SECONDS);
        this.#writeNodes(query, sender.family, writer);
        this.#writeSamples(query, writer);
        break;
      default:
        // Some send what we do not know with a target, and are glad of nodes (libtorrent answers such, too).
        if (query.targetAt < 0) {
          this.#error(ERROR_UNKNOWN_METHOD, "method unknown", query, writer);
          return true;
        }
        this.#begin(id, sender, writer);
        this.#writeNodes(query, sender.family, writer);
    }
    writer.endResponse(query.bytes, query.transactionAt, query.transactionBytes);
    return true;
  }

  /** What the program throws is its own: the query is answered all the same. */
  #tellHash(query: KrpcReader, sender: Sender, isAnnounce: boolean): void {
    try {
      this.#options.hashes?.hashSeen(query, sender, isAnnounce);
    } catch (error) {
      throwAsUncaught(error);
    }
  }

  #tellAnnounce(query: KrpcReader, { addresses, addressAt, addressBytes, port }: Sender): void {
    if (this.#options.wantsAnnounces?.() !== true) return;
    const host = addressText(addresses.subarray(addressAt, addressAt + addressBytes)) ?? "";
    this.#options.announced?.(this.#hashBytes.slice(), { host, port: query.impliedPort ? port : query.port });
  }

  #ours(query: KrpcReader, family: Family): Uint8Array | undefined {
    try {
      return this.#options.inject?.(query, family);
    } catch (error) {
      throwAsUncaught(error);
      return undefined;
    }
  }

  #begin(id: Uint8Array, sender: Sender, writer: KrpcWriter, filters?: ScrapeFilters): void {
    const { addresses, addressAt, addressBytes, ports, portAt } = sender;
    writer.beginResponse(id, addresses, addressAt, addressBytes, ports, portAt, filters);
  }

  /** Where they are asked for, and there is room for them: not beside nodes of both families. */
  #filtersFor(query: KrpcReader): ScrapeFilters | undefined {
    if (!query.isScrape || (query.wantsV4 && query.wantsV6)) return undefined;
    this.#readHash(query);
    return this.#filters.copy(this.#hashBytes, this.#options.clock()) ? this.#filters : undefined;
  }

  #error(code: number, message: string, query: KrpcReader, writer: KrpcWriter): void {
    writer.error(code, message, query.bytes, query.transactionAt, query.transactionBytes);
  }

  /** BEP 32: of the families that are wanted, else of the one that the query came in. */
  #writeNodes(query: KrpcReader, family: Family, writer: KrpcWriter): void {
    const none = !query.wantsV4 && !query.wantsV6;
    if (query.wantsV4 || (none && family === 4)) this.#writeFamily("5:nodes", 4, query, writer);
    if (query.wantsV6 || (none && family === 6)) this.#writeFamily("6:nodes6", 6, query, writer);
  }

  #writeFamily(key: string, family: Family, query: KrpcReader, writer: KrpcWriter): void {
    const table = this.#options.tables.get(family);
    if (table === undefined) return;
    const near = this.#near;
    const count = table.closest(query.bytes, query.targetAt, BUCKET_CONTACTS + 1, near);
    let told = 0;
    // Whoever asks knows itself.
    for (let index = 0; index < count && told < BUCKET_CONTACTS; index++)
      if (!sameId(near[index]!.compact, 0, query.bytes, query.idAt)) near[told++] = near[index]!;
    const nodeBytes = ID_BYTES + addressBytesOf(family) + 2;
    writer.ascii(key);
    writer.length(told * nodeBytes);
    for (let index = 0; index < told; index++) writer.copy(near[index]!.compact, 0, nodeBytes);
  }

  #writeTokenAndPeers(query: KrpcReader, sender: Sender, writer: KrpcWriter): void {
    const { tokens, peers } = this.#options;
    tokens.make(sender, query.bytes, query.idAt, query.targetAt);
    writer.ascii("5:token");
    writer.text(tokens.token, 0, TOKEN_BYTES);
    const { family } = sender;
    const endpointBytes = addressBytesOf(family) + 2;
    this.#readHash(query);
    this.#sink.at = 0;
    const ours = this.#ours(query, family);
    // Each is a text: a length, a colon, the endpoint.
    const valueBytes = endpointBytes + (family === 4 ? 2 : 3);
    const room = Math.floor((this.#room(query, writer) - VALUES_FRAME_BYTES) / valueBytes);
    const most = Math.min(family === 4 ? VALUES_MAX_V4 : VALUES_MAX_V6, room - (ours === undefined ? 0 : 1));
    const count = peers.copyPeers(this.#hash, 0, family, most, this.#sink);
    if (count === 0 && ours === undefined) return;
    writer.ascii("6:valuesl");
    if (ours !== undefined) writer.text(ours, 0, endpointBytes);
    for (let index = 0; index < count; index++)
      writer.text(this.#sinkBytes, index * endpointBytes, endpointBytes);
    writer.ascii("e");
  }

  #writeSamples(query: KrpcReader, writer: KrpcWriter): void {
    const { peers, random } = this.#options;
    const { torrents } = peers.totals();
    const room = Math.floor((this.#room(query, writer) - SAMPLES_FRAME_BYTES) / ID_BYTES);
    const from = Math.floor(random() * Math.max(1, torrents - SAMPLES_MAX + 1));
    const count = peers.copyHashes(from, Math.min(SAMPLES_MAX, room), this.#samples);
    writer.ascii("3:num");
    writer.number(torrents);
    writer.ascii("7:samples");
    writer.text(this.#sampleBytes, 0, count * ID_BYTES);
  }

  /** Bytes that an answer may still have before its end. */
  #room(query: KrpcReader, writer: KrpcWriter): number {
    return SENT_BYTES_MAX - writer.writtenBytes - RESPONSE_END_BYTES - query.transactionBytes;
  }

  #mayAnnounce({ words, wordAt, family }: Sender): boolean {
    const { announces, clock } = this.#options;
    return announces?.take(words, wordAt, networkWords(family), this.#hash, clock()) ?? true;
  }

  #keep(query: KrpcReader, sender: Sender): void {
    const announce = this.#announce;
    const port = query.impliedPort ? sender.port : query.port;
    this.#portBytes[0] = port >> 8;
    this.#portBytes[1] = port & 0xff;
    announce.family = sender.family;
    announce.address = sender.words;
    announce.addressAt = sender.wordAt;
    announce.port = this.#portHalf[0]!;
    announce.seeder = query.isSeed;
    announce.dice = Math.floor(this.#options.random() * 0x7fffffff);
    this.#sink.at = 0;
    const { peers } = this.#options;
    peers.announce(peers.hash(this.#hash, 0), announce, this.#sink);
    const { addresses, addressAt, addressBytes } = sender;
    const address = addresses.subarray(addressAt, addressAt + addressBytes);
    this.#filters.announced(this.#hashBytes, address, query.isSeed, this.#options.clock());
  }

  #readHash(query: KrpcReader): void {
    for (let index = 0; index < ID_BYTES; index++)
      this.#hashBytes[index] = query.bytes[query.targetAt + index]!;
  }
}
