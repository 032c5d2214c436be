// Announces as one tracker tells others of them: records side by side, of one family in each chunk.
//
//   │ info hash 20 │ address 4 or 16 │ port 2 │ flags 1: event, and 4 for a seeder │ 0 │        28 or 40 bytes
//
// All fields are in network byte order, as in packets: machines of either kind read them. Always: what is read was checked, since it
// comes from another process. Nothing is allocated for a record.

import { AHEAD_MAX, type Announce, type AnnouncesAhead, EVENT_STOPPED } from "../peer-store/contract.js";

const HASH_WORDS = 5;
const SEEDER_FLAG = 4;
const FLAGS_MAX = SEEDER_FLAG | EVENT_STOPPED;
/** Some thousand announces: what a tracker takes in of others between two looks at its sockets. */
export const CHUNK_BYTES_MAX = 32_768;
/** Records whose far memory is asked for together. */
const AHEAD_RECORDS = 64;
if (AHEAD_RECORDS > AHEAD_MAX) throw new Error("a store looks at so many announces ahead");

function addressWordsOf(family: 4 | 6): number {
  return family === 4 ? 1 : 4;
}

export function recordBytesOf(family: 4 | 6): number {
  return 4 * (HASH_WORDS + addressWordsOf(family) + 1);
}

/** Where records are put one after the other. */
export class RecordWriter {
  readonly family: 4 | 6;
  count = 0;
  readonly #bytes = Buffer.alloc(CHUNK_BYTES_MAX);
  readonly #words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, CHUNK_BYTES_MAX / 4);
  readonly #halves = new Uint16Array(this.#bytes.buffer, this.#bytes.byteOffset, CHUNK_BYTES_MAX / 2);
  readonly #recordWords: number;
  readonly #countMax: number;

  constructor(family: 4 | 6) {
    this.family = family;
    this.#recordWords = recordBytesOf(family) / 4;
    this.#countMax = Math.floor(CHUNK_BYTES_MAX / recordBytesOf(family));
  }

  /** Adds one; true if there is no room for another. */
  add(request: Announce): boolean {
    const words = this.#words;
    let at = this.count * this.#recordWords;
    for (let word = 0; word < HASH_WORDS; word++) words[at++] = request.hash[request.hashAt + word] ?? 0;
    const addressEnd = request.addressAt + addressWordsOf(this.family);
    for (let from = request.addressAt; from < addressEnd; from++) words[at++] = request.address[from] ?? 0;
    this.#halves[2 * at] = request.port;
    this.#bytes[4 * at + 2] = request.event | (request.seeder ? SEEDER_FLAG : 0);
    this.#bytes[4 * at + 3] = 0;
    return ++this.count === this.#countMax;
  }

  /** A copy of what was added; from here on it is empty. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.count * this.#recordWords * 4));
    this.count = 0;
    return taken;
  }
}

/** Reads chunks of records: some at a time, each as an announce that nobody waits for. */
export class RecordReader {
  readonly family: 4 | 6;
  /** What `get()` filled in last. */
  readonly request: Announce;
  /** Of those that `expect()` was told of. */
  readonly ahead: AnnouncesAhead;
  readonly #bytes = new Uint8Array(CHUNK_BYTES_MAX);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  readonly #halves = new Uint16Array(this.#bytes.buffer);
  readonly #recordWords: number;
  #count = 0;

  constructor(family: 4 | 6) {
    this.family = family;
    this.#recordWords = recordBytesOf(family) / 4;
    this.request = {
      hash: this.#words,
      hashAt: 0,
      family,
      address: this.#words,
      addressAt: 0,
      port: 0,
      seeder: false,
      event: 0,
      want: 0,
      dice: 0,
      ahead: -1,
    };
    this.ahead = {
      count: 0,
      family,
      hashes: new Int32Array(AHEAD_RECORDS),
      dice: new Int32Array(AHEAD_RECORDS),
      seeders: new Uint8Array(AHEAD_RECORDS),
      wants: new Int32Array(AHEAD_RECORDS),
      addresses: this.#words,
      addressAt: new Int32Array(AHEAD_RECORDS),
      ports: new Uint16Array(AHEAD_RECORDS),
    };
  }

  get count(): number {
    return this.#count;
  }

  /** Takes a chunk in place of the last one; false, and there are none, if these are no records. */
  open(chunk: Uint8Array): boolean {
    this.#count = 0;
    const size = 4 * this.#recordWords;
    if (chunk.length === 0 || chunk.length > CHUNK_BYTES_MAX || chunk.length % size !== 0) return false;
    this.#bytes.set(chunk);
    const count = chunk.length / size;
    for (let index = 0; index < count; index++) {
      const at = (index + 1) * this.#recordWords - 1;
      const isSound = (this.#bytes[4 * at + 2] ?? 0) <= FLAGS_MAX && this.#bytes[4 * at + 3] === 0;
      if (!isSound || this.#halves[2 * at] === 0) return false;
    }
    this.#count = count;
    return true;
  }

  /** Fills `ahead` with records from the `first`-th on, by the hashes that `hash` makes of theirs; how many. */
  expect(first: number, hash: (words: Uint32Array, at: number) => number): number {
    const { ahead } = this;
    ahead.count = Math.min(AHEAD_RECORDS, this.#count - first);
    for (let index = 0; index < ahead.count; index++) {
      const at = (first + index) * this.#recordWords;
      const portAt = at + this.#recordWords - 1;
      ahead.hashes[index] = hash(this.#words, at);
      ahead.seeders[index] = (this.#bytes[4 * portAt + 2] ?? 0) >= SEEDER_FLAG ? 1 : 0;
      ahead.addressAt[index] = at + HASH_WORDS;
      ahead.ports[index] = this.#halves[2 * portAt] ?? 0;
    }
    return ahead.count;
  }

  /** The record at `index` of those that expect() was told of, the first of which is record `first`. */
  get(first: number, index: number): Announce {
    const at = (first + index) * this.#recordWords;
    const flags = this.#bytes[4 * (at + this.#recordWords - 1) + 2] ?? 0;
    const { request } = this;
    request.hashAt = at;
    request.addressAt = at + HASH_WORDS;
    request.port = this.ahead.ports[index] ?? 0;
    request.seeder = flags >= SEEDER_FLAG;
    request.event = flags & (SEEDER_FLAG - 1);
    request.ahead = this.ahead.count > 1 ? index : -1;
    return request;
  }
}
