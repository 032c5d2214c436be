// What a peer store should do, written as plainly as can be: a Map of Maps. And the same announces for both.

import { strict as assert } from "node:assert";
import {
  type Announce,
  EVENT_COMPLETED,
  EVENT_STOPPED,
  type PeerSink,
  type SwarmStore,
} from "../../../../src/tracker/peer-store/contract.js";

export const KEY = Uint32Array.of(0x01234567, 0x89abcdef, 0xfedcba98, 0x76543210);

export interface Peer {
  readonly family: 4 | 6;
  /** Which of the peers of its family. */
  readonly number: number;
}

interface Known {
  seeder: boolean;
  tick: number;
}

interface Torrent {
  readonly peers: Map<string, Known>;
  downloads: number;
}

export const SINK_HALVES = 9 * 4096;

export class Sink implements PeerSink {
  readonly words = new Uint32Array(SINK_HALVES / 2);
  readonly halves = new Uint16Array(this.words.buffer);
  at = 0;
}

let rolled = 1;

function roll(): number {
  rolled = (Math.imul(rolled, 1664525) + 1013904223) | 0;
  return rolled & 0x7fffffff;
}

/** 5 words for torrent `number`. */
export function hashWords(number: number): Uint32Array {
  return Uint32Array.from({ length: 5 }, (_, word) => Math.imul(number + 1, 0x9e3779b1 + 2 * word) >>> 0);
}

export function endpointKey(peer: Peer): string {
  const { address, port } = endpoint(peer);
  const halves = [...new Uint16Array(address.buffer, 0, peer.family === 4 ? 2 : 8), port];
  return `${peer.family}:${halves.join(",")}`;
}

function endpoint({ family, number }: Peer): { address: Uint32Array; port: number } {
  const address = new Uint32Array(4);
  // Few addresses, many ports, and some numbers that differ in one place only.
  address[0] = 0x0100007f + ((number & 7) << 24);
  if (family === 6) address.set([0x20010db8, number >>> 3, 7, number & 3]);
  return { address, port: 1 + (number % 65535) };
}

export function announcement(
  torrent: number,
  peer: Peer,
  seeder: boolean,
  event: number,
  want: number,
): Announce {
  const { address, port } = endpoint(peer);
  return {
    hash: hashWords(torrent),
    hashAt: 0,
    family: peer.family,
    address,
    addressAt: 0,
    port,
    seeder,
    event,
    want,
    // Some number, and not the same one each time.
    dice: roll(),
    ahead: -1,
  };
}

export function announce(store: SwarmStore, request: Announce, sink: PeerSink): number {
  return store.announce(store.hash(request.hash, request.hashAt), request, sink);
}

export function scrape(store: SwarmStore, torrent: number): boolean {
  const words = hashWords(torrent);
  return store.scrape(store.hash(words, 0), words, 0);
}

/** The endpoints in a sink, as endpointKey() writes them. */
export function endpointsIn(sink: Sink, family: 4 | 6): string[] {
  const halves = family === 4 ? 3 : 9;
  assert.equal(sink.at % halves, 0);
  return Array.from(
    { length: sink.at / halves },
    (_, index) => `${family}:${[...sink.halves.subarray(index * halves, (index + 1) * halves)].join(",")}`,
  );
}

export class Model {
  readonly torrents = new Map<number, Torrent>();
  readonly lifetimeTicks = 32;
  tick = 0;

  /** Announces to both, and compares what they say. `exact`: the answer has all it could. */
  announce(
    store: SwarmStore,
    torrent: number,
    peer: Peer,
    seeder: boolean,
    event: number,
    want: number,
    exact = true,
  ): void {
    const sink = new Sink();
    const count = announce(store, announcement(torrent, peer, seeder, event, want), sink);
    const key = endpointKey(peer);
    const told = endpointsIn(sink, peer.family);
    const known = this.#apply(torrent, key, seeder, event);
    const family = [...(known?.peers ?? [])].filter(([each]) => each.startsWith(`${peer.family}:`));
    const seeders = family.filter(([, each]) => each.seeder).length;
    assert.deepEqual(
      { seeders: store.seeders, leechers: store.leechers, downloads: store.downloads },
      { seeders, leechers: family.length - seeders, downloads: known?.downloads ?? 0 },
    );
    assert.equal(told.length, count);
    const candidates = family.filter(([each, { seeder: seeds }]) => each !== key && !(seeder && seeds));
    const names = new Set(candidates.map(([each]) => each));
    for (const each of told) assert.ok(names.has(each), `${each} is somebody to tell of`);
    assert.equal(new Set(told).size, told.length, "nobody is told of twice");
    const most = event === EVENT_STOPPED ? 0 : Math.min(want, candidates.length);
    if (exact) assert.equal(count, most);
    else assert.ok(count <= most);
  }

  /** An announce of which nobody compares the answer. */
  take(torrent: number, peer: Peer, seeder: boolean, event: number): void {
    this.#apply(torrent, endpointKey(peer), seeder, event);
  }

  #apply(torrent: number, key: string, seeder: boolean, event: number): Torrent | undefined {
    let known = this.torrents.get(torrent);
    if (event === EVENT_STOPPED) {
      known?.peers.delete(key);
      if (known?.peers.size === 0) this.torrents.delete(torrent);
      return known;
    }
    if (known === undefined) {
      known = { peers: new Map(), downloads: 0 };
      this.torrents.set(torrent, known);
    }
    if (event === EVENT_COMPLETED && seeder && known.peers.get(key)?.seeder !== true) known.downloads++;
    known.peers.set(key, { seeder, tick: this.tick });
    return known;
  }

  expire(tick: number): void {
    this.tick = tick;
    for (const [number, { peers }] of this.torrents) {
      for (const [key, peer] of peers) if (tick - peer.tick > this.lifetimeTicks) peers.delete(key);
      if (peers.size === 0) this.torrents.delete(number);
    }
  }

  /** Forgets the torrents that the store pushed out, which is the one that can choose. How many. */
  forgetEvicted(store: SwarmStore): number {
    const before = this.torrents.size;
    for (const torrent of this.torrents.keys()) if (!scrape(store, torrent)) this.torrents.delete(torrent);
    return before - this.torrents.size;
  }

  compare(store: SwarmStore, torrents: number): void {
    let v4 = 0;
    let v6 = 0;
    for (let torrent = 0; torrent < torrents; torrent++) {
      const known = this.torrents.get(torrent);
      assert.equal(scrape(store, torrent), known !== undefined, `torrent ${torrent}`);
      const peers = [...(known?.peers ?? [])];
      const seeders = peers.filter(([, { seeder }]) => seeder).length;
      assert.deepEqual(
        { seeders: store.seeders, leechers: store.leechers, downloads: store.downloads },
        { seeders, leechers: peers.length - seeders, downloads: known?.downloads ?? 0 },
      );
      v4 += peers.filter(([key]) => key.startsWith("4:")).length;
      v6 += peers.filter(([key]) => key.startsWith("6:")).length;
    }
    const totals = store.totals();
    assert.deepEqual(
      { torrents: totals.torrents, peersV4: totals.peersV4, peersV6: totals.peersV6 },
      { torrents: this.torrents.size, peersV4: v4, peersV6: v6 },
    );
  }
}
