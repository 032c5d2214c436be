// Where a torrent's peers come from. Trackers, peer exchange, the DHT and the user all bring addresses through this one contract, and
// are told how those did, so that a source may judge what it was told and ask again when it pays.
//
// Always: a source knows nothing of connections, and the torrent nothing of protocols that find peers.

import type { PeerAddress } from "../options.js";

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
/** Those that connected to us and said at which port they listen (BEP 10 `p`). */
export const INCOMING_SOURCE: PeerSource = { origin: "incoming" };
