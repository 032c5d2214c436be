// Where a torrent's peers come from. Trackers, peer exchange, the DHT and the user all bring addresses through this one contract, and
// are told how those did, so that a source may judge what it was told and ask again when it pays.
//
// Always: a source knows nothing of connections, and the torrent nothing of protocols that find peers.

import type { TransferCounters } from "../../base/metrics/counters.js";
import type { PeerAddress, TrackerStatus } from "../options.js";

/** Kinds of sources, those whose addresses are to be tried first at the front. */
export const PEER_ORIGINS = [
  "user",
  "magnet",
  "local",
  "resume",
  "tracker",
  "incoming",
  "dht",
  "exchange",
] as const;
export type PeerOrigin = (typeof PEER_ORIGINS)[number];

/** How a connection to an address went. */
export type PeerOutcome =
  /** Blocks went one way or the other. */
  | "useful"
  /** It stood for a good while, and nothing was wanted. */
  | "idle"
  /** No connection came to stand, or it ended at once. */
  | "failed"
  /** The peer broke the protocol. */
  | "misbehaved"
  /** There is another connection to the same peer. */
  | "duplicate"
  /** Both sides have everything. */
  | "seed"
  /** It is ourselves. */
  | "self"
  | "banned";

/** What a source hands its addresses to. */
export interface PeerSink {
  /** Returns how many of them were new. More than the list has room for are let go, the least promising ones first. */
  bring(source: PeerSource, addresses: readonly PeerAddress[]): number;
}

export interface PeerSource {
  readonly origin: PeerOrigin;
  /** A connection to an address that this source brought ended, as the last one so far. */
  peerEnded?(address: PeerAddress, outcome: PeerOutcome): void;
}

/** Those that a user names: options and addPeer(). */
export const USER_SOURCE: PeerSource = { origin: "user" };
/** Those that a magnet names (`x.pe`). */
export const MAGNET_SOURCE: PeerSource = { origin: "magnet" };
/** Those that peers told us of (BEP 11). */
export const EXCHANGE_SOURCE: PeerSource = { origin: "exchange" };
/** Those that connected to us and said at which port they listen (BEP 10 `p`). */
export const INCOMING_SOURCE: PeerSource = { origin: "incoming" };

/** A torrent, as far as whoever finds peers for it goes. */
export interface SearchingTorrent extends PeerSink {
  readonly infoHash: Uint8Array;
  /** The option `trackers`. */
  readonly trackers: boolean | readonly string[] | undefined;
  /** The folder in which totals are kept over restarts, once its storage is open; undefined for none. */
  readonly keepsTotalsIn: string | undefined;
  /** Of what is wanted; undefined before the metadata is there. */
  readonly bytesLeft: number | undefined;
  readonly wantsBlocks: boolean;
  /** Those that are here. */
  readonly peerCount: number;
  counters(): TransferCounters;
  tellTracker(status: TrackerStatus): void;
  warn(text: string): void;
}

/** What finds peers for one torrent: the session makes one for each. */
export interface PeerFinder {
  readonly trackers: TrackerStatus[];
  /** Peers are welcome from now on. */
  start(): void;
  /** The last piece came. Not for a torrent that was complete when it began. */
  completed(): void;
  /** The program wants peers now, as far as trackers allow it. */
  announce(): void;
  /** Time passed; about once a second. */
  tick(): void;
  /** For good. */
  stop(): void;
}
