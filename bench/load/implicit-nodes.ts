// A DHT of a million nodes as arithmetic: one sorted list of ids, and from it, whenever a node is asked, the nodes that its table would
// have. No state is kept for any of them, and the bytes of queries and answers are real.
//
// The model. A node's table has eight nodes of each distance, as Kademlia has, picked among all by a hash of node, bucket and place: the same
// ones each time. A part of the nodes is dead: it stands in tables and never answers. A torrent's peers are known, each with some
// chance, to those of the nodes nearest to it that are alive. With sessions each node is there for so long and then away, again and again, with
// one id and address, so that the same part is away at any time; whoever came lately knows fewer peers, who announce each half an hour.
//
// Always: what a node answers depends on the seed, its id, the question, and with sessions the time. Query counts of each node are kept, to see what load
// it gets.

import { KIND_QUERY, KrpcReader, METHOD_FIND_NODE, METHOD_GET_PEERS } from "../../src/dht/krpc-reader.js";
import { KrpcWriter } from "../../src/dht/krpc-writer.js";
import { commonBits, compareDistance, compareIds, ID_BYTES } from "../../src/dht/node-id.js";
import { there } from "../measuring/ends.js";
import { addressOf, type DhtNetwork, type FarNodes, type VirtualSocket } from "./dht-network.js";
import { type Hostile, HostileNodes, NAMED, NODE_PORT } from "./hostile-nodes.js";
import { mix } from "./mix.js";

export interface ImplicitNodesOptions {
  /** Up to 2^23. */
  readonly count: number;
  /** Share of nodes that never answer. */
  readonly dead: number;
  readonly seed: number;
  /** Torrents that have peers, and how many the most popular has; the r-th has as many divided by r^exponent. */
  readonly torrents: number;
  readonly peersMax: number;
  readonly exponent: number;
  /** Median of the time that a node is there, before it goes and comes back; 0 or undefined: those that are dead stay so. */
  readonly sessionMinutes?: number;
  readonly hostile?: Hostile | undefined;
}

/** Where nodes are named in an answer. */
export interface ImplicitAnswer {
  node(ids: Uint8Array, idAt: number, address: number, port: number): void;
}

const NODE_BYTES = 26;
/** Nodes are spread over addresses: no /24 has two, as far as buckets see. */
const ADDRESS_BASE = 0x02000000;
const ADDRESS_STEP = 61;
const RANK_BITS = 23;
const RANK_MASK = 2 ** RANK_BITS - 1;
/** Odd, with its inverse modulo 2^23: ranks to places and back. */
const SCATTER = 0x9e375;
const K = 8;
/** Nodes that announces reach: the nearest that are alive. */
const HOLDERS = 8;
/** Chance that one of them has a peer: announces are lost, nodes come and go. */
const HOLD_CHANCE = 0.8;
const ANNOUNCE_MS = 30 * 60_000;
const VALUES_MAX = 50;
const ANSWER_BYTES_MAX = 1400;
const TOKEN = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

export class ImplicitNodes implements FarNodes, ImplicitAnswer {
  readonly count: number;
  readonly hostile: HostileNodes | undefined;
  /** Queries that each node got, by rank. */
  readonly queries: Uint32Array;
  readonly #network: DhtNetwork;
  readonly #options: ImplicitNodesOptions;
  readonly #ids: Uint8Array;
  readonly #torrents = new Map<string, number>();
  readonly #torrentIds: Uint8Array;
  readonly #reader = new KrpcReader();
  readonly #writer = new KrpcWriter();
  readonly #answer = new Uint8Array(ANSWER_BYTES_MAX);
  readonly #inverse: number;
  readonly #ranks: number[] = [];

  constructor(network: DhtNetwork, options: ImplicitNodesOptions) {
    this.#network = network;
    this.#options = options;
    this.count = options.count;
    this.queries = new Uint32Array(options.count);
    this.#ids = sortedIds(options.count, options.seed);
    this.#torrentIds = sortedIds(options.torrents, options.seed ^ 0x5bd1e995);
    this.hostile = options.hostile && new HostileNodes(options.hostile, options.seed);
    this.#inverse = inverseOf(SCATTER);
    for (let rank = 0; rank < options.torrents; rank++)
      // Popularity has nothing to do with where a torrent stands among others.
      this.#torrents.set(keyOf(this.torrent(rank), 0), 1 + (mix(rank, options.seed, 3) % options.torrents));
    network.far = this;
  }

  /** The info hash of the `rank`-th torrent, in their natural order. */
  torrent(rank: number): Uint8Array {
    return this.#torrentIds.subarray(ID_BYTES * rank, ID_BYTES * (rank + 1));
  }

  /** Peers of a torrent that some node knows. */
  peerCount(infoHash: Uint8Array, at = 0): number {
    const popularity = this.#torrents.get(keyOf(infoHash, at));
    if (popularity === undefined) return 0;
    const { peersMax, exponent } = this.#options;
    return Math.max(1, Math.floor(peersMax / popularity ** exponent));
  }

  /** Addresses of nodes that are alive, to begin with. */
  entrances(count: number): { host: string; port: number }[] {
    const found: { host: string; port: number }[] = [];
    for (let step = 0; found.length < count; step++) {
      const rank = mix(step, this.#options.seed, 7) % this.count;
      if (!this.isDead(rank)) found.push({ host: addressOf(this.#addressOf(rank)), port: NODE_PORT });
    }
    return found;
  }

  take(address: number, port: number, from: VirtualSocket, bytes: Uint8Array): void {
    const reader = this.#reader;
    const rank = this.#rankAt(address);
    if (rank === undefined || port !== NODE_PORT) {
      const id = this.hostile?.take(address, port, this.#network.ground.nowMs());
      if (id === undefined || !reader.read(bytes, 0, bytes.length) || reader.kind !== KIND_QUERY) return;
      this.#network.sendFrom(address, port, from, this.#respond(undefined, id, reader, from));
      return;
    }
    this.queries[rank] = there(this.queries[rank]) + 1;
    if (this.isDead(rank) || !reader.read(bytes, 0, bytes.length) || reader.kind !== KIND_QUERY) return;
    const answer = this.#respond(rank, this.#idOf(rank), reader, from);
    const waitMs = this.hostile?.has(rank) === true ? this.hostile.answersAfterMs : 0;
    if (waitMs === 0) this.#network.sendFrom(address, port, from, answer);
    else this.#network.after(waitMs, () => this.#network.sendFrom(address, port, from, answer));
  }

  /** Whether an address is one of the attacker's: of a node in tables, or of one that only it names. */
  isHostileAt(address: number): boolean {
    const rank = this.#rankAt(address);
    return (
      this.hostile !== undefined &&
      (rank === undefined ? this.hostile.isMadeUp(address) : this.hostile.has(rank))
    );
  }

  /** Without a rank it is a node that only an attacker names. */
  #respond(rank: number | undefined, id: Uint8Array, query: KrpcReader, from: VirtualSocket): Uint8Array {
    const writer = this.#writer;
    const asker = new Uint8Array(6);
    new DataView(asker.buffer).setUint32(0, from.numericAddress);
    new DataView(asker.buffer).setUint16(4, from.port);
    writer.begin(this.#answer, 0);
    writer.beginResponse(id, asker, 0, 4, asker, 4);
    const { method } = query;
    const isHostile = rank === undefined || (this.hostile?.lies === true && this.hostile.has(rank));
    if (method === METHOD_FIND_NODE || method === METHOD_GET_PEERS) {
      writer.ascii("5:nodes");
      if (isHostile) {
        writer.length(NODE_BYTES * NAMED);
        const { bytes, targetAt } = query;
        const honest = (): number[] => this.#honest(bytes, targetAt);
        this.hostile?.name(rank ?? -1 - there(id[19]), bytes, targetAt, this, honest);
      } else {
        const count = this.#nearest(rank, query.bytes, query.targetAt);
        writer.length(NODE_BYTES * count);
        for (let index = 0; index < count; index++) {
          const other = there(this.#ranks[index]);
          this.node(this.#ids, ID_BYTES * other, this.#addressOf(other), NODE_PORT);
        }
      }
    }
    if (method === METHOD_GET_PEERS) {
      writer.ascii("5:token");
      writer.text(TOKEN, 0, TOKEN.length);
      if (!isHostile) this.#writePeers(rank, query);
    }
    writer.endResponse(query.bytes, query.transactionAt, query.transactionBytes);
    return this.#answer.slice(0, writer.at);
  }

  /** What the node's table has nearest to a target, as ranks; how many. */
  #nearest(rank: number, target: Uint8Array, targetAt: number): number {
    const ranks = this.#ranks;
    ranks.length = 0;
    const shared = commonBits(this.#ids, ID_BYTES * rank, target, targetAt);
    // The bucket at that distance holds nodes on the target's side; behind it are those nearer to the node itself, then farther ones.
    for (let bits = shared + 1; bits > 0 && ranks.length < K; bits--) {
      const low = this.#lowerBound(target, targetAt, bits, 0);
      const high = this.#lowerBound(target, targetAt, bits, 1);
      if (high - low <= K) {
        for (let other = low; other < high && ranks.length < K; other++) this.#push(other, rank);
        continue;
      }
      for (let place = 0; place < 2 * K && ranks.length < K; place++)
        this.#push(low + (mix(rank, bits, 16 + place) % (high - low)), rank);
    }
    return ranks.length;
  }

  /** Where the nearest nodes to a target are that answer, and honestly. */
  #honest(target: Uint8Array, targetAt: number): number[] {
    const around = this.#lowerBound(target, targetAt, 8 * ID_BYTES, 0);
    const ranks: number[] = [];
    for (let rank = Math.max(0, around - 8 * NAMED); rank < Math.min(this.count, around + 8 * NAMED); rank++)
      if (!this.isDead(rank) && this.hostile?.has(rank) !== true) ranks.push(rank);
    const ids = this.#ids;
    ranks.sort((a, b) => compareDistance(target, targetAt, ids, ID_BYTES * a, ids, ID_BYTES * b));
    return ranks.slice(0, NAMED).map((rank) => this.#addressOf(rank));
  }

  #push(rank: number, self: number): void {
    if (rank !== self && !this.#ranks.includes(rank)) this.#ranks.push(rank);
  }

  node(ids: Uint8Array, idAt: number, address: number, port: number): void {
    const writer = this.#writer;
    writer.copy(ids, idAt, ID_BYTES);
    for (let shift = 24; shift >= 0; shift -= 8) writer.bytes[writer.at++] = address >>> shift;
    writer.bytes[writer.at++] = port >> 8;
    writer.bytes[writer.at++] = port & 0xff;
  }

  #writePeers(rank: number, query: KrpcReader): void {
    const peers = this.peerCount(query.bytes, query.targetAt);
    if (peers === 0 || !this.#isHolder(rank, query.bytes, query.targetAt)) return;
    const writer = this.#writer;
    const number = mix(there(query.bytes[query.targetAt + 2]), there(query.bytes[query.targetAt + 5]), 11);
    writer.ascii("6:valuesl");
    const thereMs = this.#thereMs(rank);
    let told = 0;
    for (let peer = 0; peer < peers && told < VALUES_MAX; peer++) {
      if (mix(rank, number, 1000 + peer) / 2 ** 32 > HOLD_CHANCE) continue;
      if (thereMs < ANNOUNCE_MS && (mix(rank, number, 5000 + peer) / 2 ** 32) * ANNOUNCE_MS > thereMs)
        continue;
      writer.ascii("6:");
      const address = 0x50000000 + (peer & 0xffff);
      for (let shift = 24; shift >= 0; shift -= 8) writer.bytes[writer.at++] = address >>> shift;
      writer.bytes[writer.at++] = 0x1a;
      writer.bytes[writer.at++] = 0xe1;
      told++;
    }
    writer.ascii("e");
  }

  /** True for the nodes nearest to a key that are alive. */
  #isHolder(rank: number, key: Uint8Array, keyAt: number): boolean {
    const shared = commonBits(this.#ids, ID_BYTES * rank, key, keyAt);
    const low = this.#lowerBound(key, keyAt, shared, 0);
    const high = this.#lowerBound(key, keyAt, shared, 1);
    if (high - low > 8 * HOLDERS) return false;
    let nearer = 0;
    for (let other = low; other < high; other++)
      if (
        !this.isDead(other) &&
        compareDistance(key, keyAt, this.#ids, ID_BYTES * other, this.#ids, ID_BYTES * rank) < 0
      )
        nearer++;
    return nearer < HOLDERS;
  }

  /** The first rank whose id is not below the first `bits` bits of a key; with `add` 1, not below the prefix that follows. */
  #lowerBound(key: Uint8Array, keyAt: number, bits: number, add: 0 | 1): number {
    const bound = prefixBound(key, keyAt, bits, add);
    if (bound === undefined) return this.count;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareIds(this.#ids, ID_BYTES * middle, bound, 0) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #idOf(rank: number): Uint8Array {
    return this.#ids.subarray(ID_BYTES * rank, ID_BYTES * (rank + 1));
  }

  /** Whether a node does not answer now. */
  isDead(rank: number): boolean {
    return this.#thereMs(rank) < 0;
  }

  /** How long a node has been there; below 0 if it is not. */
  #thereMs(rank: number): number {
    const { dead, seed, sessionMinutes = 0 } = this.#options;
    const chance = mix(rank, seed, 5) / 2 ** 32;
    if (sessionMinutes === 0) return chance < dead ? -1 : Number.POSITIVE_INFINITY;
    // An exponential distribution with that median; each node's sessions are of one length.
    const sessionMs = Math.max(
      60_000,
      -60_000 * sessionMinutes * Math.log2(1 - mix(rank, seed, 6) / 2 ** 32),
    );
    const cycleMs = sessionMs / (1 - dead);
    const inCycleMs = (this.#network.ground.nowMs() + chance * cycleMs) % cycleMs;
    return inCycleMs < sessionMs ? inCycleMs : -1;
  }

  #addressOf(rank: number): number {
    return ADDRESS_BASE + ADDRESS_STEP * (Math.imul(rank, SCATTER) & RANK_MASK);
  }

  #rankAt(address: number): number | undefined {
    const place = (address - ADDRESS_BASE) / ADDRESS_STEP;
    if (!Number.isInteger(place) || place < 0 || place > RANK_MASK) return undefined;
    const rank = Math.imul(place, this.#inverse) & RANK_MASK;
    return rank < this.count ? rank : undefined;
  }
}

const bound = new Uint8Array(ID_BYTES);

/** The first id that begins with these bits of a key, or the first one behind all of those; undefined if there is none. */
function prefixBound(key: Uint8Array, keyAt: number, bits: number, add: 0 | 1): Uint8Array | undefined {
  bound.fill(0);
  const whole = bits >> 3;
  for (let at = 0; at < whole; at++) bound[at] = there(key[keyAt + at]);
  if ((bits & 7) !== 0) bound[whole] = there(key[keyAt + whole]) & (0xff00 >> (bits & 7));
  if (add === 0) return bound;
  let carry = 1 << (7 - ((bits - 1) & 7));
  for (let at = (bits - 1) >> 3; at >= 0; at--) {
    const sum = there(bound[at]) + carry;
    bound[at] = sum & 0xff;
    if (sum < 256) return bound;
    carry = 1;
  }
  return undefined;
}

/** Ids that are even over the key space, in natural order. */
function sortedIds(count: number, seed: number): Uint8Array {
  const firsts = Float64Array.from(
    { length: count },
    (_, index) => mix(index, seed, 1) * 2 ** 20 + (mix(index, seed, 2) >>> 12),
  ).sort();
  const ids = new Uint8Array(ID_BYTES * count);
  for (let index = 0; index < count; index++) {
    const first = there(firsts[index]);
    for (let at = 0; at < 6; at++) ids[ID_BYTES * index + at] = Math.floor(first / 2 ** (44 - 8 * at)) & 0xff;
    for (let at = 6; at < ID_BYTES; at++) ids[ID_BYTES * index + at] = mix(index, seed, 20 + at) & 0xff;
  }
  return ids;
}

function inverseOf(odd: number): number {
  let inverse = odd;
  // Newton's method modulo a power of two: each step doubles the bits that are right.
  for (let step = 0; step < 5; step++) inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  return inverse & RANK_MASK;
}

function keyOf(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, ID_BYTES).toString("latin1");
}
