// What a torrent needs of its session: memory, the reactor, the clock, and connections. Session implements it.

import type { Duplex } from "node:stream";
import type { PeerError } from "../../base/errors.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import type { RateControl } from "../../base/rate-limit.js";
import type { UserCalls } from "../../base/user-calls.js";
import type { Reactor } from "../../native/reactor.js";
import type { BlockPool } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { Magnet } from "../metainfo/magnet.js";
import type { Metainfo } from "../metainfo/types.js";
import type { ArrivingPeer, HashTable, PeerAddress } from "../options.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import type { Clock, PeerSettings } from "../peer/peer-options.js";
import type { Swarm } from "../peer/swarm.js";
import type { BlockSource, SendModeName } from "../send/block-source.js";
import type { ByteStream } from "../stream/byte-stream.js";
import type { PeerFinder, SearchingTorrent, StreamParts } from "./peer-source.js";

/** A torrent that has addresses to connect to. */
export interface Dialer {
  /** Begins one connection. False if none is due. */
  dialNext(): boolean;
}

export interface EngineRoom {
  readonly reactor: Reactor;
  readonly memory: Memory;
  readonly pool: BlockPool;
  readonly clock: Clock;
  /** The way to listeners and callbacks of the program. */
  readonly userCalls: UserCalls;
  /** Notes what goes over connections, and of which torrents. */
  readonly recorder:
    | { torrent(known: { infoHash: string; pieceLength?: number; totalLength?: number }): void }
    | undefined;
  readonly uploadSlots: number;
  /** Connections that one torrent may be making at one time. */
  readonly maxConnectingPerTorrent: number;
  /** The session's rate limits, and who waits for one. */
  readonly rateControl: RateControl;
  /** The program's node of the DHT. */
  readonly dht: HashTable | undefined;
  /** Our peer id. */
  readonly peerId: Uint8Array;
  /** Unless a torrent says otherwise. */
  readonly maxPeersPerTorrent: number;
  peerSettings(receiveMode: string | undefined): PeerSettings;
  blockSource(mode: SendModeName | undefined): BlockSource;
  /** Why nobody of an address is to be talked to, as the program says; undefined: they may be. */
  reasonAgainst(host: string): string | undefined;
  /** Asks the program whether a peer may join. */
  admits(peer: () => ArrivingPeer): boolean;
  /** True if an address that a stranger named may be connected to: its network has no more connections than it may. */
  mayDial(host: string): boolean;
  /** Asks for dialNext() of `dialer`, now or when it is its turn and there is room. */
  dial(dialer: Dialer): void;
  /**
   * Begins a connection, encrypted or not as far as there is a choice. Failures come later, through swarm.peerClosed. Undefined if there is
   * no descriptor for it now.
   */
  connect(
    host: string,
    port: number,
    swarm: Swarm,
    settings: PeerSettings,
    encrypts: boolean,
  ): PeerConnection | undefined;
  /** True if a connection may be encrypted or not, as the other side likes. */
  readonly fallsBack: boolean;
  /** The same over a stream that is made from parts of the session. Undefined if there is no room for a connection now. */
  connectOver(
    host: string,
    make: (parts: StreamParts) => ByteStream,
    swarm: Swarm,
    settings: PeerSettings,
  ): PeerConnection | undefined;
  /** Speaks first over a stream of the program's; or destroys it, and tells `refused` why. */
  connectStream(
    duplex: Duplex,
    swarm: Swarm,
    settings: PeerSettings,
    refused: (address: PeerAddress, error: PeerError) => void,
  ): PeerConnection | undefined;
  /** What finds peers for a torrent. */
  findPeers(torrent: SearchingTorrent, source: Metainfo | Magnet): PeerFinder;
  /** A connection ended: its counters go into the session's sum. */
  countersEnded(counters: TransferCounters): void;
}
