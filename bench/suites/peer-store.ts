// The peer store measured as chihaya measures its stores: 27 benchmarks over 1,000 info hashes and 1,000 peers, and two tables of
// memory, in the formats of the published ones. Ours has one thread, so the variants for four are not there.
//
// The published figures (optmem, go 1.9, September 2017) were measured on another machine: the delta against them says where the
// weight lies, not who is faster.

import {
  type Announce,
  EVENT_COMPLETED,
  EVENT_NONE,
  EVENT_STOPPED,
  type PeerSink,
  PeerStore,
} from "../../src/tracker/index.js";
import { there } from "../measuring/ends.js";
import type { MemoryRow, PeerStoreBenchmark } from "../measuring/tracker-results.js";

const COUNT = 1000;
const HASH_WORDS = 5;
const NUM_WANT = 50;
/**
 * Each benchmark runs for about so long, after it has run for a fifth of it. It is the processor's time, not the clock's: of one
 * thread they are the same where nobody else is at work, and the processor's alone is the benchmark's where somebody is.
 */
const MEASURE_MS = 250;

type Operation = (store: PeerStore, hash: number, peer: number) => void;

class Bench {
  readonly #hashes: Uint32Array;
  readonly #addresses: Uint32Array;
  readonly #ports: Uint16Array;
  readonly #sink: PeerSink;
  readonly #request: Announce;
  #dice = 1;

  constructor() {
    let state = 12_345;
    const roll = (): number => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    };
    this.#hashes = Uint32Array.from({ length: COUNT * HASH_WORDS }, roll);
    this.#addresses = Uint32Array.from({ length: COUNT }, roll);
    this.#ports = Uint16Array.from({ length: COUNT }, () => 1 + (roll() % 65_535));
    const words = new Uint32Array(1024);
    this.#sink = { words, halves: new Uint16Array(words.buffer), at: 0 };
    this.#request = {
      hash: this.#hashes,
      hashAt: 0,
      family: 4,
      address: this.#addresses,
      addressAt: 0,
      port: 1,
      seeder: false,
      event: EVENT_NONE,
      want: 0,
      dice: 0,
      ahead: -1,
    };
  }

  announce(store: PeerStore, hash: number, peer: number, seeder: boolean, event: number, want = 0): void {
    const request = this.#request;
    request.hashAt = hash * HASH_WORDS;
    request.addressAt = peer;
    request.port = there(this.#ports[peer]);
    request.seeder = seeder;
    request.event = event;
    request.want = want;
    this.#dice = (Math.imul(this.#dice, 1_664_525) + 1_013_904_223) | 0;
    request.dice = this.#dice >>> 1;
    this.#sink.at = 0;
    store.announce(store.hash(request.hash, request.hashAt), request, this.#sink);
  }

  scrape(store: PeerStore, hash: number): void {
    store.scrape(store.hash(this.#hashes, hash * HASH_WORDS), this.#hashes, hash * HASH_WORDS);
  }
}

/** The families that come in four: one peer and hash, 1,000 peers, 1,000 hashes, and both. */
function families(bench: Bench): Record<string, Operation> {
  return {
    Put: (store, hash, peer) => bench.announce(store, hash, peer, true, EVENT_NONE),
    PutDelete: (store, hash, peer) => {
      bench.announce(store, hash, peer, true, EVENT_NONE);
      bench.announce(store, hash, peer, true, EVENT_STOPPED);
    },
    DeleteNonexist: (store, hash, peer) => bench.announce(store, hash, peer, true, EVENT_STOPPED),
    PutGradDelete: (store, hash, peer) => {
      bench.announce(store, hash, peer, false, EVENT_NONE);
      bench.announce(store, hash, peer, true, EVENT_COMPLETED);
      bench.announce(store, hash, peer, true, EVENT_STOPPED);
    },
    GradNonexist: (store, hash, peer) => bench.announce(store, hash, peer, true, EVENT_COMPLETED),
  };
}

/** The 27 benchmarks. `milliseconds`: how long each is measured. */
export function benchPeerStore(milliseconds = MEASURE_MS): PeerStoreBenchmark[] {
  const bench = new Bench();
  const results = [measure("Nop", makeStore(), milliseconds, () => {})];
  for (const [name, operation] of Object.entries(families(bench))) {
    const variants: [string, (store: PeerStore, index: number) => void][] = [
      ["", (store) => operation(store, 0, 0)],
      ["1k", (store, index) => operation(store, 0, index % COUNT)],
      ["1kInfohash", (store, index) => operation(store, index % COUNT, 0)],
      ["1kInfohash1k", (store, index) => operation(store, index % COUNT, (3 * index) % COUNT)],
    ];
    for (const [variant, run] of variants)
      results.push(measure(`${name}${variant}`, makeStore(), milliseconds, run));
  }
  const full = makeStore();
  for (let hash = 0; hash < COUNT; hash++)
    for (let peer = 0; peer < COUNT; peer++) bench.announce(full, hash, peer, peer >= COUNT / 2, EVENT_NONE);
  const tests: [string, (store: PeerStore, hash: number) => void][] = [
    ["AnnounceLeecher", (store, hash) => bench.announce(store, hash, 0, false, EVENT_NONE, NUM_WANT)],
    ["AnnounceSeeder", (store, hash) => bench.announce(store, hash, 0, true, EVENT_NONE, NUM_WANT)],
    ["ScrapeSwarm", (store, hash) => bench.scrape(store, hash)],
  ];
  for (const [name, run] of tests) {
    results.push(measure(name, full, milliseconds, (store) => run(store, 0)));
    results.push(
      measure(`${name}1kInfohash`, full, milliseconds, (store, index) => run(store, index % COUNT)),
    );
  }
  return results;
}

function makeStore(bytesMax = 2 ** 28): PeerStore {
  return new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax });
}

function measure(
  name: string,
  store: PeerStore,
  milliseconds: number,
  run: (store: PeerStore, index: number) => void,
): PeerStoreBenchmark {
  let index = 0;
  const runFor = (durationMs: number): { count: number; ns: number; heapBytes: number } => {
    const first = index;
    const heap = process.memoryUsage().heapUsed;
    const started = process.cpuUsage();
    let ns = 0;
    while (ns < durationMs * 1e6) {
      for (let turn = 0; turn < 1000; turn++) run(store, index++);
      const { user, system } = process.cpuUsage(started);
      ns = (user + system) * 1000;
    }
    const heapBytes = Math.max(0, process.memoryUsage().heapUsed - heap);
    return { count: index - first, ns, heapBytes };
  };
  runFor(milliseconds / 5);
  const { count, ns, heapBytes } = runFor(milliseconds);
  return {
    name: `Benchmark${name}`,
    nsPerOp: ns / count,
    heapBytesPerOp: heapBytes / count,
  };
}

/** Both tables of memory, up to `most` info hashes, and `most` × 2.5 seeders and as many leechers. */
export function* measureMemory(most: number): Generator<MemoryRow> {
  for (const infoHashes of steps([1, 2, 5], most)) yield fill(infoHashes, 1, 0);
  yield fill(1, 0, 1);
  yield fill(1, 1, 1);
  for (const half of steps([1, 2.5, 5], most * 2.5)) if (half >= 5) yield fill(1, half, half);
}

function steps(factors: readonly number[], most: number): number[] {
  const found: number[] = [];
  for (let power = 1; power <= most; power *= 10)
    for (const factor of factors) if (power * factor <= most) found.push(Math.floor(power * factor));
  return [...new Set(found)];
}

function fill(infoHashes: number, seeders: number, leechers: number): MemoryRow {
  const residentBefore = process.memoryUsage.rss();
  const store = makeStore(2 ** 32 - 2 ** 21);
  const words = new Uint32Array(HASH_WORDS);
  const request: Announce = {
    hash: words,
    hashAt: 0,
    family: 4,
    address: new Uint32Array(4),
    addressAt: 0,
    port: 1,
    seeder: true,
    event: EVENT_NONE,
    want: 0,
    dice: 0,
    ahead: -1,
  };
  const sink: PeerSink = { words: new Uint32Array(2), halves: new Uint16Array(4), at: 0 };
  for (let torrent = 0; torrent < infoHashes; torrent++) {
    words[0] = Math.imul(torrent + 1, 0x9e3779b1);
    words[4] = torrent;
    for (let peer = 0; peer < seeders + leechers; peer++) {
      request.address[0] = Math.imul(peer + 1, 0x85ebca6b);
      request.port = 1 + (peer & 0x7fff);
      request.seeder = peer < seeders;
      sink.at = 0;
      store.announce(store.hash(words, 0), request, sink);
    }
  }
  const { bytes, torrents, peersV4 } = store.totals();
  if (torrents !== infoHashes || peersV4 !== infoHashes * (seeders + leechers))
    throw new Error("the store lost what it was given");
  const residentBytes = Math.max(0, process.memoryUsage.rss() - residentBefore);
  return { infoHashes, seeders, leechers, bytes, residentBytes };
}
