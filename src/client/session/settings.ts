// From the options a caller gave to settings that are known to be sound.

import { UsageError } from "../../base/errors.js";
import {
  POOL_BYTES_DEFAULT,
  POOL_BYTES_MAX,
  POOL_BYTES_MIN,
  RECEIVE_BUFFER_BYTES,
  RECEIVE_BUFFER_BYTES_MAX,
  RECEIVE_BUFFER_BYTES_MIN,
  REQUESTS_DEFAULT,
  REQUESTS_MAX,
  SPECULATION_DEPTH_DEFAULT,
  SPECULATION_DEPTH_MAX,
} from "../../base/limits.js";
import {
  type PeerAddress,
  RECEIVE_MODES,
  SEND_MODES,
  type SendModeName,
  type SessionOptions,
} from "../options.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import { makePeerId } from "../wire/handshake.js";

const DAY_MS = 86_400_000;
const PEERS_MAX = 1_000_000;

export interface SessionSettings {
  readonly listen: PeerAddress | undefined;
  readonly receiveMode: ReceiveModeChoice;
  readonly sendMode: SendModeName;
  readonly poolBytes: number;
  readonly maxRequests: number;
  readonly maxPeers: number;
  readonly maxPeersPerTorrent: number;
  readonly maxPeersPerAddress: number;
  readonly limitLoopback: boolean;
  readonly uploadSlots: number;
  readonly receiveBufferBytes: number;
  readonly contiguousBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly connectTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly peerId: Uint8Array;
}

/** Throws UsageError `USAGE_OPTION`, which names the option, its range and what was given. */
export function settleOptions(options: SessionOptions): SessionSettings {
  const peerId = options.peerId ?? makePeerId();
  if (peerId.length !== 20) throw new UsageError("USAGE_OPTION", `peerId has 20 bytes, not ${peerId.length}`);
  const poolBytes = inRange(
    "poolBytes",
    options.poolBytes ?? POOL_BYTES_DEFAULT,
    POOL_BYTES_MIN,
    POOL_BYTES_MAX,
  );
  const maxPeers = inRange("maxPeers", options.maxPeers ?? 5000, 1, PEERS_MAX);
  const maxPeersPerTorrent = options.maxPeersPerTorrent ?? Math.ceil((4 * maxPeers) / 5);
  return {
    listen: options.listen,
    receiveMode: settleReceiveMode(options),
    sendMode: oneOf("sendMode", options.sendMode ?? "copy", SEND_MODES),
    poolBytes,
    maxRequests: inRange("maxRequests", options.maxRequests ?? REQUESTS_DEFAULT, 1, REQUESTS_MAX),
    maxPeers,
    maxPeersPerTorrent: inRange("maxPeersPerTorrent", maxPeersPerTorrent, 1, PEERS_MAX),
    maxPeersPerAddress: inRange("maxPeersPerAddress", options.maxPeersPerAddress ?? 8, 1, PEERS_MAX),
    limitLoopback: options.limitLoopback ?? false,
    uploadSlots: inRange("uploadSlots", options.uploadSlots ?? 8, 1, 10_000),
    receiveBufferBytes: inRange("receiveBufferBytes", options.receiveBufferBytes ?? 0, 0, 2 ** 30),
    contiguousBufferBytes: inRange(
      "contiguousBufferBytes",
      options.contiguousBufferBytes ?? RECEIVE_BUFFER_BYTES,
      RECEIVE_BUFFER_BYTES_MIN,
      // Half of the pool is left to blocks.
      Math.min(RECEIVE_BUFFER_BYTES_MAX, Math.floor(poolBytes / 2)),
    ),
    sendBufferBytes: inRange("sendBufferBytes", options.sendBufferBytes ?? 0, 0, 2 ** 30),
    connectTimeoutMs: inRange("connectTimeoutMs", options.connectTimeoutMs ?? 10_000, 1, DAY_MS),
    handshakeTimeoutMs: inRange("handshakeTimeoutMs", options.handshakeTimeoutMs ?? 10_000, 1, DAY_MS),
    requestTimeoutMs: inRange("requestTimeoutMs", options.requestTimeoutMs ?? 20_000, 1, DAY_MS),
    idleTimeoutMs: inRange("idleTimeoutMs", options.idleTimeoutMs ?? 150_000, 1, DAY_MS),
    sendTimeoutMs: inRange("sendTimeoutMs", options.sendTimeoutMs ?? 30_000, 1, DAY_MS),
    peerId,
  };
}

function settleReceiveMode(options: SessionOptions): ReceiveModeChoice {
  const depth = options.speculationDepth ?? SPECULATION_DEPTH_DEFAULT;
  inRange("speculationDepth", depth, 1, SPECULATION_DEPTH_MAX);
  if (options.contiguousRecvBuffers === undefined) {
    const name = oneOf("receiveMode", options.receiveMode ?? "adaptive", RECEIVE_MODES);
    return { name, depth, contiguousWhenIdle: false };
  }
  if (options.receiveMode !== undefined) {
    throw new UsageError(
      "USAGE_OPTION",
      "contiguousRecvBuffers and receiveMode say the same thing: give one of them",
    );
  }
  return options.contiguousRecvBuffers
    ? { name: "contiguous", depth, contiguousWhenIdle: false }
    : { name: "scatter", depth, contiguousWhenIdle: true };
}

function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError("USAGE_OPTION", `${name} is a whole number from ${min} to ${max}, not ${value}`);
}

function oneOf<Name extends string>(name: string, value: Name, names: readonly Name[]): Name {
  if (names.includes(value)) return value;
  throw new UsageError("USAGE_OPTION", `${name} is one of ${names.join(", ")}, not ${value}`);
}
