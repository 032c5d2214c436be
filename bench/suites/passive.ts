// What the two passive mechanisms of an indexer bring (Grunthal 2010), each on and off: hashes that others ask our nodes for, and torrents whose
// peers nobody can connect to, but who connect to us when they are told of us.
//
// Collecting runs over virtual datagrams: one seed, one network, and so each packet can be counted. Retrieval runs over sockets of this
// machine, with an indexer as it is, for its peers connect to it.

import type { Dht } from "../../src/dht/dht.js";
import { KIND_QUERY, KrpcReader, METHOD_ANNOUNCE_PEER, METHOD_GET_PEERS } from "../../src/dht/krpc-reader.js";
import { Harvest } from "../../src/indexer/harvest.js";
import { DhtNetwork, VirtualSocket } from "../load/dht-network.js";
import { madeHash } from "../load/metadata-seeder.js";
import { HOST_STEP, wholeNode } from "../load/whole-node.js";
import { hashOf, Popularity } from "./dht-filters.js";
import { besideNetwork } from "./index-run.js";
import { madeUp } from "./indexing.js";

// ── collecting ─────────────────────────────────────────────────────────────────────────────────────────────────

export interface CollectingSettings {
  /** Of others, which look torrents up; and of ours, which hear of it. */
  readonly nodes: number;
  readonly virtualNodes: number;
  readonly torrents: number;
  readonly minutes: number;
  readonly seed: number;
}

export interface CollectingRow {
  readonly collects: boolean;
  /** Queries with a hash that came to our sockets, as the network counts them. */
  readonly queriesHeard: number;
  /** What the indexer counted, and how many hashes they were. */
  readonly mentions: number;
  readonly hashes: number;
  /** Datagrams that our nodes sent, and all together. */
  readonly sent: number;
  readonly datagrams: number;
}

const OURS_FIRST = 0x0a000001;
const OTHERS_FIRST = 0x0b000001;
const JOIN_MS = 50;
const SETTLE_MS = 60_000;
/** Between two lookups of others, of whichever. */
const LOOKUP_EVERY_MS = 50;
const HASHES_MAX = 2 ** 20;

/** Without collecting, and with it: the same network twice. */
export async function runCollecting(settings: CollectingSettings): Promise<CollectingRow[]> {
  return [await collect(settings, false), await collect(settings, true)];
}

async function collect(settings: CollectingSettings, collects: boolean): Promise<CollectingRow> {
  const network = new DhtNetwork({ seed: settings.seed });
  // Made in both cases: what it takes of the network's dice, it takes in both.
  const harvest = new Harvest(network.ground, HASHES_MAX);
  const ours = wholeNode(network, OURS_FIRST, settings.virtualNodes, [], collects ? { hashes: harvest } : {});
  const others: Dht[] = [];
  for (let at = 0; at < settings.nodes; at++) {
    others.push(wholeNode(network, OTHERS_FIRST + HOST_STEP * at, 1, ours.addresses));
    await network.run(JOIN_MS);
  }
  await network.run(SETTLE_MS);
  const heard = new HeardQueries(ours);
  const sentBefore = sentBy(ours);
  const datagramsBefore = network.datagrams;
  const popularity = new Popularity({ ...settings, exponent: 1 });
  for (let atMs = 0; atMs < 60_000 * settings.minutes; atMs += LOOKUP_EVERY_MS) {
    const other = others[Math.floor(network.random() * others.length)];
    if (other !== undefined) void readAll(other.lookup(hashOf(popularity.draw()).slice()));
    await network.run(LOOKUP_EVERY_MS);
  }
  const row = {
    collects,
    queriesHeard: heard.count,
    mentions: harvest.seen,
    hashes: harvest.count,
    sent: sentBy(ours) - sentBefore,
    datagrams: network.datagrams - datagramsBefore,
  };
  for (const node of [ours, ...others]) node.close();
  return row;
}

function sentBy(dht: Dht): number {
  const { queriesSent, answersSent } = dht.stats().counters;
  return queriesSent + answersSent;
}

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** Looks at what comes in before the node does. */
class HeardQueries {
  count = 0;
  readonly #reader = new KrpcReader();

  constructor(dht: Dht) {
    for (const overlay of dht.overlays.values()) for (const { socket } of overlay.nodes) this.#listen(socket);
  }

  #listen(socket: unknown): void {
    if (!(socket instanceof VirtualSocket)) throw new Error("a simulated network has virtual sockets");
    const take = socket.take.bind(socket);
    socket.take = (address, port, bytes) => {
      const reader = this.#reader;
      if (
        reader.read(bytes, 0, bytes.length) &&
        reader.kind === KIND_QUERY &&
        (reader.method === METHOD_GET_PEERS || reader.method === METHOD_ANNOUNCE_PEER)
      )
        this.count++;
      take(address, port, bytes);
    };
  }
}

// ── retrieval ──────────────────────────────────────────────────────────────────────────────────────────────────

export interface RetrievalSettings {
  /** Of the network, and of the indexer. */
  readonly nodes: number;
  readonly virtualNodes: number;
  /** Hashes: of so many a peer can be connected to; of so many the peer is behind a router; of the others there is none. */
  readonly open: number;
  readonly hidden: number;
  readonly nobodys: number;
  /** With retrieval: how long peers are waited for at the most, once all was looked up. Else they look for others three times. */
  readonly waitMs?: number;
}

export interface RetrievalRow {
  readonly retrieves: boolean;
  readonly lookups: number;
  readonly torrents: number;
  /** Torrents that came over connections of others, among them. */
  readonly passive: number;
  /** Times that our address was told. */
  readonly addressesTold: number;
  readonly queriesSent: number;
  readonly connections: number;
}

const ASKS_PER_SECOND = 50;
const POLL_MS = 50;
/** Those behind routers look for others so often, after all hashes were looked up. */
const ROUNDS = 3;
/** All hashes are tried long before that. */
const TRIED_MS_MAX = 300_000;
/** Enough for a fetch that is under way. */
const LAST_MS = 2000;

/** Without retrieval, and with it. */
export async function runRetrieval(settings: RetrievalSettings): Promise<RetrievalRow[]> {
  return [await retrieve(settings, false), await retrieve(settings, true)];
}

async function retrieve(settings: RetrievalSettings, retrieves: boolean): Promise<RetrievalRow> {
  const { open, hidden, nobodys } = settings;
  const network = [
    ...["--nodes", `${settings.nodes}`, "--torrents", `${open}`],
    ...["--hidden", `${hidden}`, "--asks", `${ASKS_PER_SECOND}`],
  ];
  const run = {
    network,
    virtualNodes: settings.virtualNodes,
    indexer: retrieves ? { listen: { host: "127.0.2.1", port: 0 } } : {},
  };
  return besideNetwork(run, async (indexer) => {
    indexer.add(Array.from({ length: open + hidden }, (_, at) => madeHash(at)));
    indexer.add(Array.from({ length: nobodys }, (_, at) => madeUp(at)));
    const isTried = (): boolean => {
      const { stored, failed, passive } = indexer.stats().counters;
      return stored - passive + failed >= open + hidden + nobodys;
    };
    const end = performance.now() + TRIED_MS_MAX;
    while (!isTried()) {
      if (performance.now() > end)
        throw new Error(`not all hashes were tried: ${JSON.stringify(indexer.stats())}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const roundsMs = (1000 * ROUNDS * hidden) / ASKS_PER_SECOND;
    const waitMs = retrieves ? (settings.waitMs ?? roundsMs + LAST_MS) : roundsMs + LAST_MS;
    const endMs = performance.now() + waitMs;
    while (performance.now() < endMs && indexer.stats().counters.stored < open + hidden)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const { counters, fetcher, dht } = indexer.stats();
    return {
      retrieves,
      lookups: counters.lookupsConverged,
      torrents: counters.stored,
      passive: counters.passive,
      addressesTold: counters.addressesTold,
      queriesSent: dht.counters.queriesSent,
      connections: fetcher.connected,
    };
  });
}
