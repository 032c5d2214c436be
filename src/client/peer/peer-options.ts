// What a connection is made with: the transport below it, the clock, its settings, and who is told of it. Types only.

import type { PeerError } from "../../base/errors.js";
import type { TraceSink } from "../../base/metrics/trace.js";
import type { Throttle, ThrottleUser } from "../../base/rate-limit.js";
import type { Memory } from "../memory/memory.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import type { ReceivePlan } from "../receive/receive-plan.js";
import type { SendTransport } from "../send/sender.js";
import type { PeerConnection } from "./peer-connection.js";
import type { RequestShare } from "./request-share.js";
import type { Swarm, SwarmDirectory } from "./swarm.js";

export interface PeerTransport extends SendTransport, ThrottleUser {
  /** Nothing came for a while: whatever comes next is to be told at once, however little it is. */
  wakeForAny(): void;
  /** What is received is limited from now on, or not any more. */
  setThrottle(throttle: Throttle | undefined): void;
  /** Bytes that were written and that the other side has not taken yet; below 0 where nobody knows. */
  unacknowledgedBytes(): number;
  /** Ends the connection below; the transport calls nothing any more. `discards`: what was written and has not left is dropped. */
  close(discards?: boolean): void;
}

/**
 * Whole milliseconds, monotonic, read once per turn: reading a clock per block would cost more than its framing, and a
 * fraction would cost memory wherever it is kept, because V8 keeps small integers without.
 */
export interface Clock {
  nowMs: number;
}

export interface PeerSettings {
  readonly receiveMode: ReceiveModeChoice;
  readonly maxRequests: number;
  /** What near peers share; without it the connection has a share to itself. */
  readonly requestShare?: RequestShare;
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** A peer that has taken nothing of what waits for it for so long is let go. */
  readonly sendTimeoutMs: number;
  /** The version text of the extension handshake. */
  readonly clientName: string;
}

/** Who keeps connections: one for all of them, so that none needs callbacks of its own. */
export interface PeerKeeper {
  /** Both handshakes are done. */
  peerOpened(peer: PeerConnection): void;
  /** The connection is over; told once, before its torrent is. */
  peerClosed(peer: PeerConnection, error: PeerError | undefined): void;
}

export interface PeerOptions {
  readonly host: string;
  readonly port: number;
  readonly incoming: boolean;
  /** It came over a stream of the program's: its address is none to connect to, whatever the peer says of its port. */
  readonly overStream?: boolean;
  readonly transport: PeerTransport;
  readonly memory: Memory;
  readonly plan: ReceivePlan;
  readonly clock: Clock;
  readonly directory: SwarmDirectory;
  readonly settings: PeerSettings;
  /** The torrent of an outgoing connection. */
  readonly swarm?: Swarm;
  readonly trace?: TraceSink;
  readonly keeper?: PeerKeeper;
}
