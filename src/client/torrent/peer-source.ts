// Where a torrent's peers come from. Trackers, peer exchange, the DHT and the user all bring addresses through this one contract, and
// are told how those did, so that a source may judge what it was told and ask again when it pays.
//
// Always: a source knows nothing of connections, and the torrent nothing of protocols that find peers.

import type { PeerError } from "../../base/errors.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import type { PieceSet } from "../../base/piece-set.js";
import type { TurnHook } from "../../native/reactor.js";
import type { Memory } from "../memory/memory.js";
import type { PeerAddress, TrackerStatus, WebSeedStatus } from "../options.js";
import type { Layout } from "../storage/layout.js";
import type { ByteStream } from "../stream/byte-stream.js";

/** Kinds of sources, those whose addresses are kept first at the front. */
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
  /** We had no memory for it. */
  | "crowded"
  /** No connection came to stand, or it ended at once. */
  | "failed"
  /** The peer broke the protocol. */
  | "misbehaved"
  /** There is another connection to the same peer. */
  | "duplicate"
  /** Both sides have everything. */
  | "seed"
  /** The program does not want it. */
  | "refused"
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
export interface SearchingTorrent extends PeerSink, JoiningTorrent {
  /** The option `trackers`. */
  readonly trackers: boolean | readonly string[] | undefined;
  /** The option `webSeeds`. */
  readonly webSeeds: boolean;
  /** The folder in which totals are kept over restarts, once its storage is open; undefined for none. */
  readonly keepsTotalsIn: string | undefined;
  /** Of what is wanted; undefined before the metadata is there. */
  readonly bytesLeft: number | undefined;
  /** BEP 27; undefined while nobody knows. */
  readonly isPrivate: boolean | undefined;
  /** All that is wanted is here, and there is more (BEP 21). */
  readonly isPartialSeed: boolean;
  /** Those that are here. */
  readonly peerCount: number;
  counters(): TransferCounters;
  tellTracker(status: TrackerStatus): void;
  warn(text: string): void;
}

/** What a byte stream needs that brings its bytes itself. */
export interface StreamParts {
  readonly memory: Memory;
  /** Pairs (address, length), shared by all streams of the session. */
  readonly plan: Float64Array;
  readonly atTurnEnd: (hook: TurnHook) => void;
  readonly eagain: number;
}

/** A torrent, as far as a source goes that is a peer itself. */
export interface JoiningTorrent {
  readonly infoHash: Uint8Array;
  readonly wantsBlocks: boolean;
  /** Undefined before it is open. */
  readonly content:
    | { readonly layout: Layout; readonly have: PieceSet; readonly isSingleFile: boolean }
    | undefined;
  /**
   * Makes a peer, called `host`, of what speaks through a stream. `ended` is told why it left, and whether there was no memory for it. False:
   * not now.
   */
  join(
    host: string,
    make: (parts: StreamParts) => ByteStream,
    ended: (error: PeerError | undefined, lackedMemory: boolean) => void,
  ): boolean;
  tellWebSeed(status: WebSeedStatus): void;
}

/** What finds peers for one torrent: the session makes one for each. */
export interface PeerFinder {
  readonly trackers: TrackerStatus[];
  readonly webSeeds: WebSeedStatus[];
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
