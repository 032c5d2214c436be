// From the options a caller gave to settings that are known to be sound.

import { isIP } from "node:net";
import { UsageError } from "../../base/errors.js";
import { type Ground, SYSTEM_GROUND } from "../../base/ground.js";
import { checkOption, checkOptions } from "../../base/option-check.js";
import { SESSION_OPTIONS } from "../option-table.js";
import type {
  ArrivingPeer,
  HashTable,
  IpFilter,
  PeerAddress,
  SendModeName,
  SessionOptions,
} from "../options.js";
import type { ReceiveModeChoice } from "../receive/make-mode.js";
import { makePeerId } from "../wire/handshake.js";

/** Options whose default is a plain value of the table, and those that are settled here. */
type Plain = {
  [Name in keyof typeof SESSION_OPTIONS]: (typeof SESSION_OPTIONS)[Name] extends { default: unknown }
    ? Name
    : never;
}[keyof typeof SESSION_OPTIONS];
type Settled = "receiveMode" | "speculationDepth" | "clockCosts";

export type SessionSettings = Readonly<Required<Pick<SessionOptions, Exclude<Plain, Settled>>>> & {
  readonly listen: PeerAddress | undefined;
  readonly outgoingAddresses: readonly string[];
  readonly announcePort: number | undefined;
  readonly announceIp: string | undefined;
  readonly dht: HashTable | undefined;
  readonly record: string | undefined;
  readonly ipFilter: IpFilter | undefined;
  readonly admit: ((peer: ArrivingPeer) => boolean) | undefined;
  readonly traceFile: string | undefined;
  readonly receiveMode: ReceiveModeChoice;
  readonly sendMode: SendModeName;
  readonly maxPeersPerTorrent: number;
  readonly peerId: Uint8Array;
};

/** Throws UsageError `USAGE_OPTION`, which names the option, what is allowed and what was given. */
export function settleOptions(options: SessionOptions, ground: Ground = SYSTEM_GROUND): SessionSettings {
  checkOptions(SESSION_OPTIONS, options, "a session");
  const get = <Name extends Plain>(name: Name): NonNullable<SessionOptions[Name]> =>
    (options[name] ?? SESSION_OPTIONS[name].default) as NonNullable<SessionOptions[Name]>;
  const poolBytes = get("poolBytes");
  const contiguousBufferBytes = get("contiguousBufferBytes");
  // Half of the pool is left to blocks.
  const { contiguousBufferBytes: spec } = SESSION_OPTIONS;
  const max = Math.min(spec.max, Math.floor(poolBytes / 2));
  checkOption("contiguousBufferBytes", { ...spec, max }, contiguousBufferBytes);
  const maxPeers = get("maxPeers");
  return {
    listen: options.listen,
    outgoingAddresses: settleOutgoing(options.outgoingAddresses ?? []),
    trackers: get("trackers"),
    localPeers: get("localPeers"),
    portMapping: get("portMapping"),
    announcePort: options.announcePort,
    announceIp: settleAnnounceIp(options.announceIp),
    dht: options.dht,
    record: options.record,
    traceFile: options.traceFile,
    recordBytesMax: get("recordBytesMax"),
    ipFilter: options.ipFilter,
    admit: options.admit,
    receiveMode: settleReceiveMode(options, get("speculationDepth")),
    sendMode: get("sendMode"),
    poolBytes,
    maxRequests: get("maxRequests"),
    encryption: get("encryption"),
    maxPeers,
    maxPeersPerTorrent: options.maxPeersPerTorrent ?? Math.ceil((4 * maxPeers) / 5),
    maxPeersPerAddress: get("maxPeersPerAddress"),
    maxConnecting: get("maxConnecting"),
    limitLoopback: get("limitLoopback"),
    maxDownloadBytesPerSecond: get("maxDownloadBytesPerSecond"),
    maxUploadBytesPerSecond: get("maxUploadBytesPerSecond"),
    uploadSlots: get("uploadSlots"),
    receiveBufferBytes: get("receiveBufferBytes"),
    contiguousBufferBytes,
    sendBufferBytes: get("sendBufferBytes"),
    connectTimeoutMs: get("connectTimeoutMs"),
    handshakeTimeoutMs: get("handshakeTimeoutMs"),
    requestTimeoutMs: get("requestTimeoutMs"),
    idleTimeoutMs: get("idleTimeoutMs"),
    sendTimeoutMs: get("sendTimeoutMs"),
    peerId: options.peerId === undefined ? makePeerId(ground) : Uint8Array.from(options.peerId),
  };
}

function settleAnnounceIp(text: string | undefined): string | undefined {
  if (text === undefined || isIP(text) !== 0) return text;
  throw new UsageError("USAGE_OPTION", `announceIp is a numeric address, not "${text}"`);
}

function settleOutgoing(addresses: readonly string[]): readonly string[] {
  const refuse = (text: string): never => {
    throw new UsageError("USAGE_OPTION", `outgoingAddresses are numeric addresses of this machine, ${text}`);
  };
  for (const address of addresses) if (isIP(address) === 0) refuse(`not ${JSON.stringify(address)}`);
  for (const family of [4, 6])
    if (addresses.filter((address) => isIP(address) === family).length > 1)
      refuse(`one of IPv4 and one of IPv6 at the most, not ${addresses.join(", ")}`);
  return [...addresses];
}

function settleReceiveMode(options: SessionOptions, depth: number): ReceiveModeChoice {
  if (options.contiguousRecvBuffers === undefined) {
    const name = options.receiveMode ?? SESSION_OPTIONS.receiveMode.default;
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
