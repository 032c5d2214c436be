// What a torrent needs of its session: memory, the reactor, the clock, and connections. Session implements it.

import type { TransferCounters } from "../../base/metrics/counters.js";
import type { Reactor } from "../../native/reactor.js";
import type { BlockPool } from "../memory/block-pool.js";
import type { Memory } from "../memory/memory.js";
import type { Clock, PeerConnection, PeerSettings } from "../peer/peer-connection.js";
import type { Swarm } from "../peer/swarm.js";
import type { BlockSource, SendModeName } from "../send/block-source.js";

export interface EngineRoom {
  readonly reactor: Reactor;
  readonly memory: Memory;
  readonly pool: BlockPool;
  readonly clock: Clock;
  readonly uploadSlots: number;
  readonly isListening: boolean;
  /** True if one more outgoing connection may be begun now. */
  readonly mayConnect: boolean;
  peerSettings(receiveMode: string | undefined): PeerSettings;
  blockSource(mode: SendModeName | undefined): BlockSource;
  /** Begins a connection. Failures come later, through swarm.peerClosed. */
  connect(host: string, port: number, swarm: Swarm, settings: PeerSettings): PeerConnection;
  /** A connection ended: its counters go into the session's sum. */
  countersEnded(counters: TransferCounters): void;
}
