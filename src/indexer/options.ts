// What a program may say of an indexer, and what it is told: types only.

import type { DhtOptions, DhtStats } from "../dht/index.js";
import type { DhtWorld } from "../dht/options.js";
import type { SocketAddress } from "../native/binding.js";
import type { World } from "../native/world.js";
import type { FetcherCounters } from "./fetch/fetcher-counters.js";
import type { IndexedTorrent, IndexStore, Retention } from "./store/store.js";

/** How an indexer is made: `store` has to be given. */
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
  /**
   * A hash that nobody had, or whose peers gave nothing, rests for so long before it is looked up again; twice as long after each further failure, up
   * to a week. Default: an hour.
   */
  readonly retryMs?: number;
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

/** What an indexer did since it was made; of all indexers of a store `IndexStore.stats()` tells. */
export interface IndexerCounters {
  /** Hashes that others named, each time. */
  hashesSeen: number;
  /** Hashes that there was no room for, of those. */
  hashesDropped: number;
  /** Hashes that were new to the store. */
  hashesNew: number;
  /** Hashes that were claimed. */
  claimed: number;
  /** Lookups that were begun. */
  lookups: number;
  /** Lookups whose nearest nodes have all answered, failed or stalled: their slots went to others. */
  lookupsConverged: number;
  /** Lookups that nothing is waited for any more. */
  lookupsOver: number;
  /** Of those, where the node that told of the hash named its peers, and nobody else was asked. */
  shortcuts: number;
  /** Hashes of which peers were found. */
  hashesWithPeers: number;
  /** Addresses of peers that those lookups found, each once for a hash. */
  peers: number;
  /** Torrents that were stored. */
  stored: number;
  /** Dictionaries with the right digest that are no torrent that can be shown, or are left out. */
  unusable: number;
  /** Of torrents that are marked private, without `keepsPrivate`. */
  privateLeftOut: number;
  /** Hashes that nobody was found for, or whose dictionary nobody gave: they are tried again. */
  failed: number;
  /** Outcomes that did not count, since another indexer had finished the hash, or it was removed. */
  lost: number;
  /** Torrents that a peer brought that came by itself. */
  passive: number;
  /** Times that our address was told to who asked for a torrent that could not be had. */
  addressesTold: number;
  /** Calls of the store that failed. */
  storeFailures: number;
}

/** Numbers of one indexer. */
export interface IndexerStats {
  /** What was done since it was made. */
  readonly counters: Readonly<IndexerCounters>;
  /** What came of connections to peers. */
  readonly fetcher: Readonly<FetcherCounters>;
  /** Those of its nodes of the DHT. */
  readonly dht: DhtStats;
  /** Lookups that have not converged. */
  readonly lookupsUnderWay: number;
  /** Torrents whose dictionaries are being fetched. */
  readonly fetchesUnderWay: number;
  /** Connections to peers that are open or being opened. */
  readonly connections: number;
  /** Hashes that wait to be written to the store. */
  readonly hashesWaiting: number;
  /** Outcomes that wait to be written to the store. */
  readonly outcomesWaiting: number;
}

/**
 * What an indexer emits, with what listeners get. They are called when the turn is over that they are told of; what one throws is an uncaught
 * exception, and harms nobody else.
 */
export interface IndexerEvents {
  /** A torrent is in the store. */
  torrent: [torrent: Pick<IndexedTorrent, "infoHash" | "name" | "bytes" | "fileCount">];
  /** Something is wrong and is tried again. What was told before anybody listened is told to the first who does. */
  warning: [message: string];
}
