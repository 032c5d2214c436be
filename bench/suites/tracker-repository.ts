// Torrust's benchmark of torrent repositories, for ours and for two plain ones: a peer is put into a swarm, and the swarm's counts
// are read. Four scenarios, printed as Torrust prints them.
//
// Tasks "in parallel" are 10,000 asynchronous functions that are all begun and then waited for: on one thread, as a Node.js program
// has them.

import { type Announce, EVENT_STARTED, type PeerSink, PeerStore } from "../../src/tracker/index.js";
import { entryOf, firstOf, there } from "../measuring/ends.js";
import type { RepositoryResult } from "../measuring/tracker-results.js";

const TASKS = 10_000;
const PARALLEL_SAMPLES = 10;
export const SAMPLES_DEFAULT = 10_000;
const NEAR = 0.1;

/** What is measured: puts the one peer into a swarm and reads its counts. */
interface Repository {
  /** `hash`: 20 bytes, as 5 words. */
  upsert(hash: Uint32Array): number;
}

interface Kind {
  readonly name: string;
  make(): Repository;
}

class OurStore implements Repository {
  readonly #store = new PeerStore({ key: Uint32Array.of(1, 2, 3, 4), bytesMax: 2 ** 22 });
  readonly #sink: PeerSink = { words: new Uint32Array(2), halves: new Uint16Array(4), at: 0 };
  readonly #request: Announce = {
    hash: new Uint32Array(5),
    hashAt: 0,
    family: 4,
    // 127.0.0.1:8080, as in packets.
    address: new Uint32Array(Uint8Array.of(127, 0, 0, 1).buffer),
    addressAt: 0,
    port: firstOf(new Uint16Array(Uint8Array.of(0x1f, 0x90).buffer)),
    seeder: true,
    event: EVENT_STARTED,
    want: 0,
    dice: 0,
    ahead: -1,
  };

  upsert(hash: Uint32Array): number {
    const store = this.#store;
    const key = store.hash(hash, 0);
    this.#request.hash = hash;
    store.announce(key, this.#request, this.#sink);
    store.scrape(key, hash, 0);
    return store.seeders + store.leechers + store.downloads;
  }
}

interface Peer {
  readonly address: string;
  updatedMs: number;
  left: number;
  event: number;
}

interface Counts {
  seeders: number;
  completed: number;
  leechers: number;
}

function countsOf(peers: Iterable<Peer>): Counts {
  const counts = { seeders: 0, completed: 0, leechers: 0 };
  for (const { left } of peers) {
    if (left === 0) counts.seeders++;
    else counts.leechers++;
  }
  return counts;
}

const ADDRESS = "127.0.0.1:8080";

class MapOfMaps implements Repository {
  readonly #torrents = new Map<string, Map<string, Peer>>();

  upsert(hash: Uint32Array): number {
    const key = hash.join();
    let peers = this.#torrents.get(key);
    if (peers === undefined) {
      peers = new Map();
      this.#torrents.set(key, peers);
    }
    peers.set(ADDRESS, { address: ADDRESS, updatedMs: 0, left: 0, event: EVENT_STARTED });
    const { seeders, completed, leechers } = countsOf(peers.values());
    return seeders + completed + leechers;
  }
}

class GlobalTable implements Repository {
  readonly #peers = new Map<string, Peer>();
  readonly #counts = new Map<string, Counts>();

  upsert(hash: Uint32Array): number {
    const key = hash.join();
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      counts = { seeders: 0, completed: 0, leechers: 0 };
      this.#counts.set(key, counts);
    }
    const known = this.#peers.get(key + ADDRESS);
    if (known === undefined) {
      this.#peers.set(key + ADDRESS, { address: ADDRESS, updatedMs: 0, left: 0, event: EVENT_STARTED });
      counts.seeders++;
    } else known.updatedMs = 0;
    return counts.seeders + counts.completed + counts.leechers;
  }
}

const KINDS: readonly Kind[] = [
  { name: "scatterwire::PeerStore", make: () => new OurStore() },
  { name: "Map<InfoHash, Map<Endpoint, Peer>>", make: () => new MapOfMaps() },
  { name: "Map<InfoHash + Endpoint, Peer>", make: () => new GlobalTable() },
];

export interface RepositoryOptions {
  readonly samples: number;
  /** How long each parallel task keeps the processor after its operation. */
  readonly sleepNs: number;
  /** The plain ones, too. */
  readonly compare: boolean;
}

export async function benchTrackerRepository(options: RepositoryOptions): Promise<RepositoryResult[]> {
  const results: RepositoryResult[] = [];
  for (const kind of options.compare ? KINDS : KINDS.slice(0, 1)) {
    const hashes = uniqueHashes();
    const one = [there(hashes[0])];
    results.push({
      name: kind.name,
      scenarios: {
        add_one_torrent: averages(addOne(kind, options.samples)),
        update_one_torrent_in_parallel: averages(await inParallel(kind, one, one, options.sleepNs)),
        add_multiple_torrents_in_parallel: averages(await inParallel(kind, [], hashes, options.sleepNs)),
        update_multiple_torrents_in_parallel: averages(
          await inParallel(kind, hashes, hashes, options.sleepNs),
        ),
      },
    });
  }
  return results;
}

function uniqueHashes(): Uint32Array[] {
  const hashes = Array.from({ length: TASKS }, (_, index) => Uint32Array.of(index, 0, 0, 0, 0));
  // In an order that means nothing.
  return hashes.sort((a, b) => Math.imul(firstOf(a), 0x9e3779b1) - Math.imul(firstOf(b), 0x9e3779b1));
}

function addOne(kind: Kind, samples: number): number[] {
  const hash = new Uint32Array(5);
  return Array.from({ length: samples }, () => {
    const repository = kind.make();
    const started = performance.now();
    repository.upsert(hash);
    return (performance.now() - started) * 1e6;
  });
}

async function inParallel(
  kind: Kind,
  known: readonly Uint32Array[],
  hashes: readonly Uint32Array[],
  sleepNs: number,
): Promise<number[]> {
  const samples: number[] = [];
  for (let sample = 0; sample < PARALLEL_SAMPLES; sample++) {
    const repository = kind.make();
    for (const hash of known) repository.upsert(hash);
    const task = async (index: number): Promise<void> => {
      await undefined;
      repository.upsert(entryOf(hashes, index % hashes.length));
      if (sleepNs === 0) return;
      const until = performance.now() + sleepNs / 1e6;
      while (performance.now() < until);
    };
    const started = performance.now();
    await Promise.all(Array.from({ length: TASKS }, (_, index) => task(index)));
    samples.push((performance.now() - started) * 1e6);
  }
  return samples;
}

function averages(samples: readonly number[]): { averageNs: number; adjustedNs: number } {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const averageNs = mean(samples);
  const near = samples.filter((value) => Math.abs(value - averageNs) < NEAR * averageNs);
  return { averageNs, adjustedNs: near.length < 2 ? 0 : mean(near) };
}
