// What the faces of a tracker (UDP, HTTP, WebSocket) ask of the swarms behind it, and how: numbers and bytes at offsets, so that
// nothing is allocated for a request. Somebody who wants swarms elsewhere, on another machine for one, implements this.

import type { PeerSink } from "./peer-buckets.js";

export type { PeerSink };

export const AHEAD_MAX = 1024;

export const EVENT_NONE = 0;
export const EVENT_COMPLETED = 1;
export const EVENT_STARTED = 2;
export const EVENT_STOPPED = 3;

/** One announce. An object is filled in again for each: its fields are read during the call only. */
export interface Announce {
  /** 5 words from `hashAt`: the info hash, as it stands in memory. */
  hash: Uint32Array;
  hashAt: number;
  family: 4 | 6;
  /** The peer's address as it stands in packets: 1 word of IPv4 or 4 of IPv6, from `addressAt`. */
  address: Uint32Array;
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
  readonly hashes: Uint32Array;
  readonly dice: Int32Array;
  readonly seeders: Uint8Array;
  readonly wants: Int32Array;
  /** Where their addresses begin in `addresses`, and their ports as they stand in packets. */
  readonly addresses: Uint32Array;
  readonly addressAt: Int32Array;
  readonly ports: Uint16Array;
}

export interface SwarmTotals {
  torrents: number;
  peersV4: number;
  peersV6: number;
  /** Memory in use, to the byte; and the most that ever was, which the process still has. */
  bytes: number;
  bytesTouched: number;
}

/** What happened since the start, besides announces that were as expected. */
export interface SwarmCounters {
  /** Torrents and peers that were not heard of for their lifetime. */
  torrentsExpired: number;
  peersExpired: number;
  /** Torrents that made room for others, by number or by memory; peers likewise. */
  torrentsEvicted: number;
  peersEvicted: number;
  /** Torrents that were over somebody's budget, and peers; and torrents and peers for which there was no memory. */
  torrentsOverBudget: number;
  peersOverBudget: number;
  torrentsRefused: number;
  peersRefused: number;
}

export interface SwarmStore {
  /** Of the torrent of the last announce or scrape; an announce counts the family that was announced, the announcer included. */
  readonly seeders: number;
  readonly leechers: number;
  readonly downloads: number;
  /** The store's own hash of an info hash (5 words from `at`), 32 bits without sign: what the other calls want to be given. */
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
  totals(): SwarmTotals;
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
