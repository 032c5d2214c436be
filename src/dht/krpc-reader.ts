// Reads messages of the DHT (KRPC: BEP 5, 32, 33, 42, 43, 51) where they lie: a message is taken apart into offsets and small numbers,
// in one pass, and nothing is allocated or thrown.
//
// One file, because it is one parser over one cursor.
//
// Always: offsets of a message that was read point into its bytes, and what stands there is as long as was checked here: an id has
// 20 bytes, nodes are whole ones. A field of another type or length than it should have counts as absent; bytes that are no
// bencode, or deeper or of more items than any message is, are no message.

import { ID_BYTES } from "./node-id.js";

export const KIND_NONE = 0;
export const KIND_QUERY = 1;
export const KIND_RESPONSE = 2;
export const KIND_ERROR = 3;

export const METHOD_UNKNOWN = 0;
export const METHOD_PING = 1;
export const METHOD_FIND_NODE = 2;
export const METHOD_GET_PEERS = 3;
export const METHOD_ANNOUNCE_PEER = 4;
export const METHOD_SAMPLE_INFOHASHES = 5;
export const METHOD_NAMES = [
  "unknown",
  "ping",
  "find_node",
  "get_peers",
  "announce_peer",
  "sample_infohashes",
] as const;

/** Id, address and port of one node, as `nodes` (BEP 5) and `nodes6` (BEP 32) have them. */
export const NODE_BYTES_V4 = 26;
export const NODE_BYTES_V6 = 38;
/** Ours have 4 bytes and most others' 2; whoever sends more wants them back, and may have so many. */
export const TRANSACTION_BYTES_MAX = 32;
export const TOKEN_BYTES_MAX = 64;
/** Of a filter of BEP 33. */
export const BLOOM_BYTES = 256;

/** What bounds a message: nothing that is meant well comes near. */
const DEPTH_MAX = 10;
const ITEMS_MAX = 500;
const PORT_MAX = 65_535;
/** Longer numbers than any field has, and shorter than a float is exact for. */
const DIGITS_MAX = 15;
const LENGTH_DIGITS_MAX = 5;

const DICTIONARY = 0x64;
const LIST = 0x6c;
const INTEGER = 0x69;
const END = 0x65;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** Keys by number; one that means nothing here is number 0. */
const KEYS = [
  "",
  "a",
  "r",
  "e",
  "q",
  "t",
  "y",
  "ip",
  "ro",
  "id",
  "target",
  "info_hash",
  "token",
  "port",
  "implied_port",
  "nodes",
  "nodes6",
  "values",
  "want",
  "scrape",
  "noseed",
  "seed",
  "samples",
  "num",
  "interval",
  "BFsd",
  "BFpe",
] as const;
const KEY_ARGUMENTS = 1;
const KEY_ANSWER = 2;
const KEY_ERROR = 3;
const KEY_METHOD = 4;
const KEY_TRANSACTION = 5;
const KEY_KIND = 6;
const KEY_IP = 7;
const KEY_READ_ONLY = 8;
const KEY_ID = 9;
const KEY_TARGET = 10;
const KEY_INFO_HASH = 11;
const KEY_TOKEN = 12;
const KEY_PORT = 13;
const KEY_IMPLIED_PORT = 14;
const KEY_NODES = 15;
const KEY_NODES6 = 16;
const KEY_VALUES = 17;
const KEY_WANT = 18;
const KEY_SCRAPE = 19;
const KEY_NO_SEEDS = 20;
const KEY_SEED = 21;
const KEY_SAMPLES = 22;
const KEY_NUM = 23;
const KEY_INTERVAL = 24;
const KEY_BLOOM_SEEDS = 25;
const KEY_BLOOM_PEERS = 26;

const KEY_LENGTH_MAX = 12;
const keyBytes = KEYS.map((key) => Buffer.from(key, "latin1"));
/** Numbers of the keys that have a length, by length. */
const keysByLength = Array.from({ length: KEY_LENGTH_MAX + 1 }, (_, length) =>
  keyBytes.flatMap((key, number) => (number > 0 && key.length === length ? [number] : [])),
);
const methodBytes = METHOD_NAMES.map((name) => Buffer.from(name, "latin1"));

export class KrpcReader {
  /** KIND_…; KIND_NONE after bytes that are no message. */
  kind = KIND_NONE;
  /** METHOD_… of a query. */
  method = METHOD_UNKNOWN;
  /** What offsets are of. */
  bytes: Uint8Array = new Uint8Array(0);
  transactionAt = 0;
  transactionBytes = 0;
  /** Whose message it is. Offsets are −1 where a field is absent. */
  idAt = -1;
  /** `target` or `info_hash`. */
  targetAt = -1;
  tokenAt = -1;
  tokenBytes = 0;
  /** 0 if absent or impossible. */
  port = 0;
  impliedPort = false;
  nodesAt = -1;
  nodesBytes = 0;
  nodes6At = -1;
  nodes6Bytes = 0;
  /** Peers: where the list's first string begins, and how many strings it has. nextValue() goes through them. */
  valuesAt = -1;
  valuesCount = 0;
  wantsV4 = false;
  wantsV6 = false;
  isReadOnly = false;
  /** BEP 33: filters are asked for; seeds are not wanted; the announcer is one. */
  isScrape = false;
  noSeeds = false;
  isSeed = false;
  samplesAt = -1;
  samplesBytes = 0;
  /** BEP 51: hashes that the sender has, and seconds until it may be asked again; −1 if absent. */
  num = -1;
  interval = -1;
  bloomSeedsAt = -1;
  bloomPeersAt = -1;
  /** Our own address as the far end sees it (BEP 42): 6 or 18 bytes. */
  ipAt = -1;
  ipBytes = 0;
  errorCode = 0;

  #at = 0;
  #end = 0;
  #items = 0;
  #isBroken = false;
  /** Of the string that was read last. */
  #textAt = 0;

  /** Takes the message of `length` bytes at `at` apart; false if it is none. `bytes` must stay as they are while fields are used. */
  read(bytes: Uint8Array, at: number, length: number): boolean {
    this.#clear(bytes, at, length);
    if (!this.#isAt(DICTIONARY)) return false;
    this.#at++;
    while (!this.#isEnd()) this.#topField(this.#key());
    // One message is one datagram: nothing may follow.
    const isWhole = !this.#isBroken && this.#at + 1 === this.#end && this.#hasWhatItNeeds();
    if (!isWhole) this.kind = KIND_NONE;
    return isWhole;
  }

  /**
   * Of a list that was read: the offset of the bytes of the string at `at`. `valueBytes` says how many there are, and the next string
   * begins behind them.
   */
  valueAt(at: number): number {
    this.#at = at;
    this.valueBytes = this.#text();
    return this.#textAt;
  }
  valueBytes = 0;

  #clear(bytes: Uint8Array, at: number, length: number): void {
    this.bytes = bytes;
    this.#at = at;
    this.#end = at + length;
    this.#items = 0;
    this.#isBroken = false;
    this.kind = KIND_NONE;
    this.method = METHOD_UNKNOWN;
    this.transactionAt = this.transactionBytes = 0;
    this.idAt = this.targetAt = this.tokenAt = this.nodesAt = this.nodes6At = this.valuesAt = -1;
    this.samplesAt = this.bloomSeedsAt = this.bloomPeersAt = this.ipAt = this.num = this.interval = -1;
    this.tokenBytes = this.nodesBytes = this.nodes6Bytes = this.valuesCount = this.samplesBytes = 0;
    this.ipBytes = this.port = this.errorCode = 0;
    this.impliedPort = this.wantsV4 = this.wantsV6 = this.isReadOnly = false;
    this.isScrape = this.noSeeds = this.isSeed = false;
  }

  #hasWhatItNeeds(): boolean {
    if (this.transactionBytes === 0) return false;
    if (this.kind === KIND_ERROR) return true;
    if (this.kind === KIND_NONE || this.idAt < 0) return false;
    if (this.kind === KIND_RESPONSE) return true;
    switch (this.method) {
      case METHOD_FIND_NODE:
      case METHOD_GET_PEERS:
      case METHOD_SAMPLE_INFOHASHES:
        return this.targetAt >= 0;
      case METHOD_ANNOUNCE_PEER:
        return this.targetAt >= 0 && this.tokenAt >= 0 && (this.port > 0 || this.impliedPort);
      default:
        return true;
    }
  }

  #topField(key: number): void {
    switch (key) {
      case KEY_ARGUMENTS:
      case KEY_ANSWER:
        this.#body();
        return;
      case KEY_ERROR:
        this.#errorList();
        return;
      case KEY_METHOD: {
        const length = this.#text();
        for (let method = METHOD_PING; method < methodBytes.length; method++)
          if (this.#textIs(methodBytes[method]!, length)) this.method = method;
        return;
      }
      case KEY_TRANSACTION: {
        const length = this.#text();
        this.transactionAt = this.#textAt;
        this.transactionBytes = length > 0 && length <= TRANSACTION_BYTES_MAX ? length : 0;
        return;
      }
      case KEY_KIND: {
        const letter = this.#text() === 1 ? this.bytes[this.#textAt] : 0;
        this.kind = letter === 0x71 ? KIND_QUERY : letter === 0x72 ? KIND_RESPONSE : KIND_ERROR;
        if (letter !== 0x71 && letter !== 0x72 && letter !== 0x65) this.#isBroken = true;
        return;
      }
      case KEY_IP: {
        const length = this.#text();
        if (length !== 6 && length !== 18) return;
        this.ipAt = this.#textAt;
        this.ipBytes = length;
        return;
      }
      case KEY_READ_ONLY:
        this.isReadOnly = this.#number() === 1;
        return;
      default:
        this.#skip();
    }
  }

  /** The dictionary of arguments, or of what is answered. libtorrent sends one beside errors. */
  #body(): void {
    if (!this.#isAt(DICTIONARY)) {
      this.#skip();
      return;
    }
    this.#at++;
    while (!this.#isEnd()) this.#bodyField(this.#key());
    this.#at++;
  }

  #bodyField(key: number): void {
    switch (key) {
      case KEY_ID:
        this.idAt = this.#textOf(ID_BYTES);
        return;
      case KEY_TARGET:
      case KEY_INFO_HASH:
        this.targetAt = this.#textOf(ID_BYTES);
        return;
      case KEY_BLOOM_SEEDS:
        this.bloomSeedsAt = this.#textOf(BLOOM_BYTES);
        return;
      case KEY_BLOOM_PEERS:
        this.bloomPeersAt = this.#textOf(BLOOM_BYTES);
        return;
      case KEY_TOKEN:
        this.tokenBytes = this.#text();
        this.tokenAt = this.tokenBytes > 0 && this.tokenBytes <= TOKEN_BYTES_MAX ? this.#textAt : -1;
        return;
      case KEY_NODES:
        this.nodesBytes = this.#textOfMany(NODE_BYTES_V4);
        this.nodesAt = this.nodesBytes > 0 ? this.#textAt : -1;
        return;
      case KEY_NODES6:
        this.nodes6Bytes = this.#textOfMany(NODE_BYTES_V6);
        this.nodes6At = this.nodes6Bytes > 0 ? this.#textAt : -1;
        return;
      case KEY_SAMPLES:
        this.samplesBytes = this.#textOfMany(ID_BYTES);
        this.samplesAt = this.#textAt;
        return;
      case KEY_VALUES:
        this.#values();
        return;
      case KEY_WANT:
        this.#want();
        return;
      default:
        this.#numberField(key);
    }
  }

  #numberField(key: number): void {
    switch (key) {
      case KEY_PORT: {
        const port = this.#number();
        this.port = port > 0 && port <= PORT_MAX ? port : 0;
        return;
      }
      case KEY_IMPLIED_PORT:
        this.impliedPort = this.#number() === 1;
        return;
      case KEY_SCRAPE:
        this.isScrape = this.#number() === 1;
        return;
      case KEY_NO_SEEDS:
        this.noSeeds = this.#number() === 1;
        return;
      case KEY_SEED:
        this.isSeed = this.#number() === 1;
        return;
      case KEY_NUM:
        this.num = this.#number();
        return;
      case KEY_INTERVAL:
        this.interval = this.#number();
        return;
      default:
        this.#skip();
    }
  }

  /** Strings of 6 or 18 bytes each; some nodes send one long string, which counts as absent. */
  #values(): void {
    if (!this.#isAt(LIST)) {
      this.#skip();
      return;
    }
    this.#at++;
    this.valuesAt = this.#at;
    this.valuesCount = 0;
    while (!this.#isEnd()) {
      if (this.#text() < 0) this.#isBroken = true;
      this.valuesCount++;
    }
    this.#at++;
  }

  /** BEP 32: "n4" and "n6". */
  #want(): void {
    if (!this.#isAt(LIST)) {
      this.#skip();
      return;
    }
    this.#at++;
    while (!this.#isEnd()) {
      const length = this.#text();
      if (length !== 2 || this.bytes[this.#textAt] !== 0x6e) continue;
      if (this.bytes[this.#textAt + 1] === 0x34) this.wantsV4 = true;
      if (this.bytes[this.#textAt + 1] === 0x36) this.wantsV6 = true;
    }
    this.#at++;
  }

  #errorList(): void {
    if (!this.#isAt(LIST)) {
      this.#skip();
      return;
    }
    this.#at++;
    if (this.#isAt(INTEGER)) this.errorCode = this.#number();
    while (!this.#isEnd()) this.#skip();
    this.#at++;
  }

  // ── bencode ────────────────────────────────────────────────────────────────────────────────────────────────

  #isAt(byte: number): boolean {
    return this.#at < this.#end && this.bytes[this.#at] === byte;
  }

  /** True at the end of a container, and when there is nothing more to read. */
  #isEnd(): boolean {
    if (this.#at >= this.#end || ++this.#items > ITEMS_MAX) this.#isBroken = true;
    return this.#isBroken || this.bytes[this.#at] === END;
  }

  /** The number of the key at the cursor, which goes behind it. */
  #key(): number {
    const length = this.#text();
    if (length < 0) this.#isBroken = true;
    const candidates = length >= 0 && length <= KEY_LENGTH_MAX ? keysByLength[length] : undefined;
    if (candidates !== undefined)
      for (let index = 0; index < candidates.length; index++)
        if (this.#textIs(keyBytes[candidates[index]!]!, length)) return candidates[index]!;
    return 0;
  }

  #textIs(text: Uint8Array, length: number): boolean {
    if (text.length !== length) return false;
    for (let index = 0; index < length; index++)
      if (this.bytes[this.#textAt + index] !== text[index]) return false;
    return true;
  }

  /** Offset of a string that has so many bytes; −1 if the value is another. */
  #textOf(length: number): number {
    return this.#text() === length ? this.#textAt : -1;
  }

  /** Length of a string of whole units; 0 if the value is another. */
  #textOfMany(unitBytes: number): number {
    const length = this.#text();
    return length > 0 && length % unitBytes === 0 ? length : 0;
  }

  /** Length of the string at the cursor, which goes behind it; −1 if there is none, and then the value is skipped. */
  #text(): number {
    let at = this.#at;
    let length = 0;
    const digitsAt = at;
    for (; at < this.#end && at - digitsAt < LENGTH_DIGITS_MAX; at++) {
      const digit = this.bytes[at]!;
      if (digit < ZERO || digit > NINE) break;
      length = 10 * length + digit - ZERO;
    }
    if (at === digitsAt) {
      this.#skip();
      return -1;
    }
    if (at >= this.#end || this.bytes[at] !== COLON || at + 1 + length > this.#end) {
      this.#isBroken = true;
      return -1;
    }
    this.#textAt = at + 1;
    this.#at = this.#textAt + length;
    return length;
  }

  /** The number at the cursor, which goes behind it; −1 if there is none, and then the value is skipped. */
  #number(): number {
    if (!this.#isAt(INTEGER)) {
      this.#skip();
      return -1;
    }
    let at = this.#at + 1;
    const isNegative = this.bytes[at] === MINUS;
    if (isNegative) at++;
    const digitsAt = at;
    let value = 0;
    for (; at < this.#end && at - digitsAt <= DIGITS_MAX; at++) {
      const digit = this.bytes[at]!;
      if (digit < ZERO || digit > NINE) break;
      value = 10 * value + digit - ZERO;
    }
    if (at === digitsAt || at >= this.#end || this.bytes[at] !== END) {
      this.#isBroken = true;
      return -1;
    }
    this.#at = at + 1;
    return isNegative ? -1 : value;
  }

  /** Goes behind the value at the cursor, whatever it is. */
  #skip(): void {
    let depth = 0;
    do {
      if (this.#at >= this.#end || ++this.#items > ITEMS_MAX) this.#isBroken = true;
      if (this.#isBroken) return;
      const byte = this.bytes[this.#at]!;
      if (byte === DICTIONARY || byte === LIST) {
        this.#at++;
        if (++depth > DEPTH_MAX) this.#isBroken = true;
      } else if (byte === END && depth > 0) {
        this.#at++;
        depth--;
      } else if (byte === INTEGER) {
        this.#number();
      } else if (byte >= ZERO && byte <= NINE) {
        this.#text();
      } else {
        this.#isBroken = true;
      }
    } while (depth > 0);
  }
}
