// What a program may say of an indexer, and what it is told: types only.

import type { DhtOptions, DhtStats } from "../dht/index.js";
import type { DhtWorld } from "../dht/options.js";
import type { SocketAddress } from "../native/binding.js";
import type { World } from "../native/world.js";
import type { FetcherCounters } from "./fetch/metadata-fetcher.js";
import type { IndexedTorrent, IndexStore, Retention } from "./store/store.js";

export interface IndexerOptions {
  /** It stays the program's, which closes it after the indexer. */
  readonly store: IndexStore;
  /** The indexer's own nodes of the DHT: `listen` has one virtual node each. `hashes` and `inject` are the indexer's. */
  readonly dht?: Omit<DhtOptions, "hashes" | "inject">;
  /**
   * Where peers may connect to by themselves (passive retrieval): then our address is told to those who ask us for a torrent that nobody had of late,
   * and to nobody else. Undefined: nowhere.
   */
  readonly listen?: SocketAddress;
  /** Names this indexer among others of the same store. Default: the machine's name, the process and chance. */
  readonly owner?: string;
  /** Lookups at once, as long as they converge. Default: 3 for each virtual node. */
  readonly lookupsMax?: number;
  /** Lookups a second, to be a small load on others. Default: any number. */
  readonly lookupsPerSecond?: number;
  /** Connections to peers at once. Default: 200. */
  readonly connectionsMax?: number;
  /** An info dictionary may be so long. Default: 10 MiB. */
  readonly infoBytesMax?: number;
  /** What is claimed is anybody's again when so long has passed: that of an indexer that died. Default: 5 minutes. */
  readonly leaseMs?: number;
  /** Takes hashes that others ask our nodes for. Default: true. */
  readonly collects?: boolean;
  /** Asks nodes what they keep (BEP 51), each as often as it says. Default: true. */
  readonly samples?: boolean;
  /** Keeps torrents whose makers want them to be found by their trackers only (BEP 27). Default: false. */
  readonly keepsPrivate?: boolean;
  /** What is kept. Default: every torrent, and of hashes HASHES_MAX_DEFAULT that wait and SETTLED_MAX_DEFAULT that are kept out. */
  readonly retention?: Retention;
}

/** What an indexer stands on. The system's by default; a simulation hands in its own. */
export interface IndexerWorld {
  readonly dht: DhtWorld;
  readonly peers: World;
}

export interface IndexerCounters {
  /** Hashes that others named, each time; those that there was no room for; those that were new to the store. */
  hashesSeen: number;
  hashesDropped: number;
  hashesNew: number;
  /** Hashes that were claimed, and lookups that were begun, converged and complete. */
  claimed: number;
  lookups: number;
  lookupsConverged: number;
  lookupsOver: number;
  /** Of those, where the node that told of the hash named its peers, and nobody else was asked. */
  shortcuts: number;
  /** Hashes of which peers were found, and those peers. */
  hashesWithPeers: number;
  peers: number;
  /** Torrents that were stored; what had the right digest and is no torrent; failures; what another had finished before. */
  stored: number;
  unusable: number;
  failed: number;
  lost: number;
  /** Torrents that a peer brought that came by itself. */
  passive: number;
  /** Calls of the store that failed. */
  storeFailures: number;
}

export interface IndexerStats {
  readonly counters: Readonly<IndexerCounters>;
  readonly fetcher: Readonly<FetcherCounters>;
  readonly dht: DhtStats;
  readonly lookupsUnderWay: number;
  readonly fetchesUnderWay: number;
  readonly connections: number;
  /** Hashes that wait to be written to the store, and outcomes. */
  readonly hashesWaiting: number;
  readonly outcomesWaiting: number;
}

export interface IndexerEvents {
  /** A torrent is in the store. */
  torrent: [torrent: Pick<IndexedTorrent, "infoHash" | "name" | "bytes" | "fileCount">];
  /** Something is wrong and is tried again. */
  warning: [message: string];
}
