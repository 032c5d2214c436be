// What the faces of a tracker (UDP, HTTP, WebSocket) ask of the swarms behind it, and how: numbers and bytes at offsets, so that
// nothing is allocated for a request. Somebody who wants swarms elsewhere, on another machine for one, implements this.

import type { PeerSink } from "./peer-buckets.js";

export type { PeerSink };

export const AHEAD_MAX = 1024;

/** Events of an announce, by their numbers in BEP 15: an announce between two others. */
export const EVENT_NONE = 0;
/** The download is complete. Counted as one if nothing is left, and its peer was a leecher or not known. */
export const EVENT_COMPLETED = 1;
/** The first announce of a peer; a swarm makes no difference between it and EVENT_NONE. */
export const EVENT_STARTED = 2;
/** The peer leaves; it is told of nobody. */
export const EVENT_STOPPED = 3;

/** One announce. An object is filled in again for each: its fields are read during the call only. */
export interface Announce {
  /** 5 words from `hashAt`: the info hash, as it stands in memory. */
  hash: Uint32Array;
  /** Where in `hash` it begins. */
  hashAt: number;
  /** Of the peer's address: IPv4 and IPv6 peers of a torrent are told of their own only. */
  family: 4 | 6;
  /** The peer's address as it stands in packets: 1 word of IPv4 or 4 of IPv6, from `addressAt`. */
  address: Uint32Array;
  /** Where in `address` it begins. */
  addressAt: number;
  /** 16 bits as they stand in packets (network byte order, whatever the machine's). Not 0. */
  port: number;
  /** Nothing is left to download. */
  seeder: boolean;
  /** EVENT_… */
  event: number;
  /** Peers wanted at the most. */
  want: number;
  /** Any number from 0 to below 2^31: where among the peers the answer begins. */
  dice: number;
  /** Which of the announces that lookAhead() was told of last, or −1. */
  ahead: number;
}

/** Announces that are about to come, in arrays: what is known of entry i stands at i. */
export interface AnnouncesAhead {
  count: number;
  readonly family: 4 | 6;
  /** The store's hashes of their info hashes. */
  readonly hashes: Int32Array;
  readonly dice: Int32Array;
  readonly seeders: Uint8Array;
  readonly wants: Int32Array;
  /** Where their addresses begin in `addresses`, and their ports as they stand in packets. */
  readonly addresses: Uint32Array;
  readonly addressAt: Int32Array;
  readonly ports: Uint16Array;
}

/** How much is in a store now. */
export interface SwarmTotals {
  /** Torrents with a peer of either family. */
  torrents: number;
  /** Peers with an IPv4 address, each once in each of its torrents. */
  peersV4: number;
  /** The same of IPv6. */
  peersV6: number;
  /** Memory in use, to the byte. */
  bytes: number;
  /** The most that was ever in use, which the process still has, and what was populated ahead of use. */
  bytesTouched: number;
}

/** What happened since the start, besides announces that were as expected. */
export interface SwarmCounters {
  /** Torrents, and peers, that were not heard of for their lifetime. */
  torrentsExpired: number;
  /** See `torrentsExpired`. */
  peersExpired: number;
  /** Torrents that made room for others, by number or by memory. */
  torrentsEvicted: number;
  /** Those of evicted torrents, and the oldest ones of swarms that were full. */
  peersEvicted: number;
  /** Torrents that were not added, as an address had brought, or pushed out, as many as it may in a minute. */
  torrentsOverBudget: number;
  /** Peers that were not added, as their address had added enough to the torrent; they were told of others. */
  peersOverBudget: number;
  /** Torrents for which there was no room, however old the others. */
  torrentsRefused: number;
  /** Peers for whom there was no memory. */
  peersRefused: number;
}

/** The swarms of all torrents, as the faces of a tracker ask for them: PeerStore is one. */
export interface SwarmStore {
  /** Of the torrent of the last announce or scrape; an announce counts the family that was announced, the announcer included. */
  readonly seeders: number;
  /** See `seeders`. */
  readonly leechers: number;
  /** Downloads that were completed since the torrent came. */
  readonly downloads: number;
  /**
   * The store's own hash of an info hash (5 words from `at`), 32 bits with sign: what the other calls want to be given. V8 may allocate
   * for a larger number each time that one is handed on.
   */
  hash(words: Uint32Array, at: number): number;
  /**
   * Tells which announces will come next: a store may fetch from far memory, or from far away, what they will need. It changes
   * nothing. At most AHEAD_MAX of them.
   */
  lookAhead(announces: AnnouncesAhead): void;
  /**
   * Takes an announce in and copies up to `want` other peers of its family to the sink, at random: leechers to seeders, anybody to
   * leechers. How many; −1: somebody else has its swarm for too long, nothing has changed, and the client is to ask again.
   */
  announce(hash: number, request: Announce, sink: PeerSink): number;
  /** Sets the fields above for both families together; false, and all are 0, if the torrent is not known. */
  scrape(hash: number, words: Uint32Array, at: number): boolean;
  /** Tells the time; expiry goes on from here, a little at each call. To be called a hundred times a second. */
  advance(nowMs: number): void;
  /** How much there is now. Cold: it makes an object. */
  totals(): SwarmTotals;
  /** What happened since the start. Live: they go on counting. */
  readonly counters: Readonly<SwarmCounters>;
}

/** What a store that can be looked through has besides: for an operator, not for the faces. */
export interface SwarmBrowser {
  /** Copies info hashes, 5 words each, of up to `count` torrents from the `from`-th on; how many. Their order changes as torrents come and go. */
  copyHashes(from: number, count: number, words: Uint32Array): number;
  /** Copies up to `want` peers of the torrent to the sink, at random; how many. Nothing changes by it. */
  copyPeers(words: Uint32Array, at: number, family: 4 | 6, want: number, sink: PeerSink): number;
}

/** What a store has besides that keeps a copy of what other trackers heard. */
export interface AdoptingStore {
  /**
   * Takes in an announce that another tracker heard `ageMs` ago: as announce(), but nobody is told of peers, the peer's lifetime began
   * then, and the budgets of addresses are left alone, since that tracker asked its own.
   */
  adopt(hash: number, request: Announce, ageMs: number): void;
}
