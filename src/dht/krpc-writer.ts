// Writes messages of the DHT (KRPC) into the memory of datagrams: keys in bencode's order, as BEP 5 has them, constants as prepared
// bytes. Nothing is allocated for a message.
//
// Always: a message is begun, filled in and ended in one turn; its caller sees to it that it fits (what is variable in length is bounded
// where it is read). `at` is where the next byte goes.

import { ID_BYTES } from "./node-id.js";

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
const ZERO = 0x30;
const COLON = 0x3a;

/** What programs call themselves to each other: two letters and a version of two bytes. */
const VERSION = latin1("1:v4:SW\x00\x01");
const QUERY_ID = latin1("d1:ad2:id20:");
const TARGET = latin1("6:target20:");
const INFO_HASH = latin1("9:info_hash20:");
const WANT_BOTH = latin1("4:wantl2:n42:n6e");
const NAMES = {
  ping: latin1("e1:q4:ping"),
  findNode: latin1("e1:q9:find_node"),
  getPeers: latin1("e1:q9:get_peers"),
  announcePeer: latin1("e1:q13:announce_peer"),
  sample: latin1("e1:q17:sample_infohashes"),
} as const;
const READ_ONLY = latin1("2:roi1e");
const TRANSACTION = latin1("1:t");
const QUERY_END = latin1("1:y1:qe");
const RESPONSE_IP = latin1("d2:ip");
const RESPONSE = latin1("1:rd");
const RESPONSE_ID = latin1("2:id20:");
const RESPONSE_END = latin1("1:y1:re");
/** What endResponse writes beside the transaction: the end of a dictionary, its key, and the length of what it is. */
export const RESPONSE_END_BYTES = 1 + TRANSACTION.length + 3 + VERSION.length + RESPONSE_END.length;
const ERROR_BEGIN = latin1("d1:eli");
const ERROR_END = latin1("1:y1:ee");

export class KrpcWriter {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  #beganAt = 0;

  begin(bytes: Uint8Array, at: number): void {
    this.bytes = bytes;
    this.at = this.#beganAt = at;
  }

  /** Of the message so far. */
  get writtenBytes(): number {
    return this.at - this.#beganAt;
  }

  // ── queries; each ends with endQuery ───────────────────────────────────────────────────────────────────────

  ping(id: Uint8Array): void {
    this.#query(id);
    this.#put(NAMES.ping);
  }

  /** `wantsBoth`: nodes of both families (BEP 32). */
  findNode(id: Uint8Array, target: Uint8Array, wantsBoth: boolean): void {
    this.#query(id);
    this.#put(TARGET);
    this.copy(target, 0, ID_BYTES);
    if (wantsBoth) this.#put(WANT_BOTH);
    this.#put(NAMES.findNode);
  }

  /** `noSeeds`, `scrapes`: BEP 33. */
  getPeers(
    id: Uint8Array,
    infoHash: Uint8Array,
    wantsBoth: boolean,
    noSeeds: boolean,
    scrapes: boolean,
  ): void {
    this.#query(id);
    this.#put(INFO_HASH);
    this.copy(infoHash, 0, ID_BYTES);
    if (noSeeds) this.ascii("6:noseedi1e");
    if (scrapes) this.ascii("6:scrapei1e");
    if (wantsBoth) this.#put(WANT_BOTH);
    this.#put(NAMES.getPeers);
  }

  announcePeer(
    id: Uint8Array,
    infoHash: Uint8Array,
    port: number,
    impliedPort: boolean,
    isSeed: boolean,
    token: Uint8Array,
  ): void {
    this.#query(id);
    if (impliedPort) this.ascii("12:implied_porti1e");
    this.#put(INFO_HASH);
    this.copy(infoHash, 0, ID_BYTES);
    this.ascii("4:port");
    this.number(port);
    if (isSeed) this.ascii("4:seedi1e");
    this.ascii("5:token");
    this.text(token, 0, token.length);
    this.#put(NAMES.announcePeer);
  }

  sampleInfoHashes(id: Uint8Array, target: Uint8Array, wantsBoth: boolean): void {
    this.#query(id);
    this.#put(TARGET);
    this.copy(target, 0, ID_BYTES);
    if (wantsBoth) this.#put(WANT_BOTH);
    this.#put(NAMES.sample);
  }

  /** `transaction`: 32 bits. `readOnly` (BEP 43): the asker answers nobody. */
  endQuery(transaction: number, readOnly: boolean): void {
    if (readOnly) this.#put(READ_ONLY);
    this.ascii("1:t4:");
    this.bytes[this.at++] = transaction >>> 24;
    this.bytes[this.at++] = transaction >>> 16;
    this.bytes[this.at++] = transaction >>> 8;
    this.bytes[this.at++] = transaction;
    this.#put(VERSION);
    this.#put(QUERY_END);
  }

  // ── answers: beginResponse, fields in the order of their keys, endResponse ─────────────────────────────────

  /**
   * With the asker's own address (BEP 42): `addressBytes` of 4 or 16 at `addressAt`, and 2 of its port at `portAt`. `filters`: of
   * seeds and of other peers, whose keys come before that of the id (BEP 33).
   */
  beginResponse(
    id: Uint8Array,
    address: Uint8Array,
    addressAt: number,
    addressBytes: number,
    port: Uint8Array,
    portAt: number,
    filters?: { readonly seeds: Uint8Array; readonly peers: Uint8Array },
  ): void {
    this.#put(RESPONSE_IP);
    this.ascii(addressBytes === 4 ? "6:" : "18:");
    this.copy(address, addressAt, addressBytes);
    this.copy(port, portAt, 2);
    this.#put(RESPONSE);
    if (filters !== undefined) {
      this.ascii("4:BFpe");
      this.text(filters.peers, 0, filters.peers.length);
      this.ascii("4:BFsd");
      this.text(filters.seeds, 0, filters.seeds.length);
    }
    this.#put(RESPONSE_ID);
    this.copy(id, 0, ID_BYTES);
  }

  endResponse(transaction: Uint8Array, transactionAt: number, transactionBytes: number): void {
    this.ascii("e");
    this.#put(TRANSACTION);
    this.text(transaction, transactionAt, transactionBytes);
    this.#put(VERSION);
    this.#put(RESPONSE_END);
  }

  error(
    code: number,
    message: string,
    transaction: Uint8Array,
    transactionAt: number,
    transactionBytes: number,
  ): void {
    this.#put(ERROR_BEGIN);
    this.#digits(code);
    this.ascii("e");
    this.#digits(message.length);
    this.ascii(":");
    this.ascii(message);
    this.ascii("e");
    this.#put(TRANSACTION);
    this.text(transaction, transactionAt, transactionBytes);
    this.#put(VERSION);
    this.#put(ERROR_END);
  }

  // ── pieces ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Letters as they are: bencode of constants. */
  ascii(text: string): void {
    for (let index = 0; index < text.length; index++) this.bytes[this.at++] = text.charCodeAt(index);
  }

  number(value: number): void {
    this.ascii("i");
    this.#digits(value);
    this.ascii("e");
  }

  /** The length that a string begins with. */
  length(value: number): void {
    this.#digits(value);
    this.bytes[this.at++] = COLON;
  }

  text(bytes: Uint8Array, at: number, length: number): void {
    this.length(length);
    this.copy(bytes, at, length);
  }

  copy(bytes: Uint8Array, at: number, length: number): void {
    const to = this.bytes;
    let cursor = this.at;
    for (let index = 0; index < length; index++) to[cursor++] = bytes[at + index]!;
    this.at = cursor;
  }

  #query(id: Uint8Array): void {
    this.#put(QUERY_ID);
    this.copy(id, 0, ID_BYTES);
  }

  #put(bytes: Uint8Array): void {
    this.copy(bytes, 0, bytes.length);
  }

  #digits(value: number): void {
    let unit = 1;
    while (10 * unit <= value) unit *= 10;
    let rest = value;
    for (; unit >= 1; unit /= 10) {
      const digit = Math.floor(rest / unit);
      this.bytes[this.at++] = ZERO + digit;
      rest -= digit * unit;
    }
  }
}
