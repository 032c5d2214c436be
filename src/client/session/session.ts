// A session, as programs see it: what is here is explained in the README or in its comment, and nothing else is visible. What it is made
// of is session-core.ts.

import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { type Costs, costsOf } from "../../base/metrics/costs.js";
import type { TransferCounters } from "../../base/metrics/counters.js";
import type { RateLimitChange } from "../../base/rate-limit.js";
import { systemWorld, type World } from "../../native/world.js";
import type {
  IpFilter,
  MappedPort,
  PeerAddress,
  SessionEvents,
  SessionOptions,
  SessionStats,
  TorrentOptions,
  TorrentSource,
} from "../options.js";
import type { Torrent } from "../torrent/torrent.js";
import type { SessionDump } from "./dump.js";
import { SessionCore } from "./session-core.js";

let coreOf: (session: Session) => SessionCore;

/**
 * What torrents live in: the memory of blocks (one bounded pool), the sockets, the peers, the limits. A program has one, or a few that share
 * nothing. It keeps Node.js alive as long as it holds torrents or listens, and until close().
 */
export class Session extends EventEmitter<SessionEvents> {
  readonly #core: SessionCore;

  static {
    coreOf = (session) => session.#core;
  }

  /** Throws UsageError `USAGE_OPTION` for an option out of its range, `ADDON_MISSING` if the addon is not built. */
  constructor(options?: SessionOptions);
  /** @internal In a world of its own, for tests. */
  constructor(options: SessionOptions, world: World);
  constructor(options: SessionOptions = {}, world: World = systemWorld()) {
    super();
    this.#core = new SessionCore(this, options, world);
  }

  /** Those that were added and are not closed, those that failed included; as they are at this moment. */
  get torrents(): ReadonlySet<Torrent> {
    return this.#core.torrents;
  }

  /** Memory of the session that blocks live in, in bytes. */
  get poolBytes(): number {
    return this.#core.memory.bytes.length;
  }

  /** Where connections are accepted, or undefined. */
  get listenAddress(): PeerAddress | undefined {
    return this.#core.listenAddress;
  }

  /**
   * Where others far away reach us, because a router lets them through (the option `portMapping`): one of IPv4, and one of each of our addresses of
   * IPv6, four at the most. Empty before a router has said so, which the event `portMapped` tells, and when all were given back.
   */
  get mappedPorts(): MappedPort[] {
    return this.#core.mappedPorts;
  }

  /** Connections that are open or being made. */
  get connectionCount(): number {
    return this.#core.connectionCount;
  }

  /**
   * Accepts connections at `address` (default: the option `listen`). Resolves to where: port 0 has become a port.
   * Rejects UsageError `LISTEN_FAILED`.
   */
  async listen(address?: PeerAddress): Promise<PeerAddress> {
    return this.#core.listen(address);
  }

  /**
   * Takes in a peer that reached the program over a stream of its own (TLS, a WebRTC data channel, uTP), as if it had connected to
   * `listen`: the peer speaks first, and says which torrent it comes for. The stream is the session's from here on, and is ended with the
   * connection; who is not let in finds it destroyed, and `peerRefused` says why. Its address is what the stream tells (`remoteAddress`,
   * `remotePort`), else `stream-1`, `stream-2` and so on. Throws UsageError `USAGE_OPTION` for what is no Duplex of bytes, `USAGE_STATE` when
   * the session is closed.
   */
  accept(duplex: Duplex): void {
    this.#core.accept(duplex);
  }

  /**
   * Adds a torrent: what readMetainfo() resolves to, the bytes of a torrent file, a magnet link or what parseMagnet() returns. Resolves
   * when its metadata is there, its storage is open and what is on disk was checked; rejects MetainfoError, StorageError, UsageError (a bad
   * option, or the torrent is here already; `ABORTED`, with the signal's reason as `cause`). A torrent that is being closed is waited for.
   */
  async add(source: TorrentSource, options: TorrentOptions = {}): Promise<Torrent> {
    const torrent = this.addInBackground(source, options);
    try {
      await torrent.ready;
    } catch (error) {
      // Why it cannot be had is what counts, and not what else went wrong then.
      await torrent.close().catch(() => {});
      throw error;
    }
    return torrent;
  }

  /** Like add(), but returns at once: `ready` of the torrent tells when, and `checking` events how far it is. */
  addInBackground(source: TorrentSource, options: TorrentOptions = {}): Torrent {
    return this.#core.add(source, options);
  }

  /** The torrent with this info hash: 20 bytes, or 40 hexadecimal digits. */
  get(infoHash: Uint8Array | string): Torrent | undefined {
    return this.#core.get(infoHash);
  }

  /**
   * Changes how much may pass in a second, all connections of the session together, while bytes flow; what is left out stays as it is.
   * Torrents and connections may have lower limits of their own. Throws UsageError `USAGE_OPTION`.
   */
  setRateLimits(limits: RateLimitChange): void {
    this.#core.setRateLimits(limits);
  }

  /** The limits in force; 0: none. */
  get rateLimits(): Required<RateLimitChange> {
    return this.#core.rateControl.limits.now;
  }

  /**
   * Addresses that are kept out from now on; undefined: none. Peers there are let go, others may come. Throws UsageError `USAGE_OPTION`.
   */
  setIpFilter(filter: IpFilter | undefined): void {
    this.#core.setIpFilter(filter);
  }

  /**
   * Lets nobody of an address in any more, of IPv6 of its /64, and nobody there be connected to, whatever torrent; who is here is let
   * go. Throws UsageError `USAGE_OPTION` for what is no numeric address.
   */
  ban(host: string): void {
    this.#core.ban(host);
  }

  /** Takes back ban(), and what torrents have against peers of the address for wrong pieces. Throws as ban() does. */
  unban(host: string): void {
    this.#core.unban(host);
  }

  /** Addresses that ban() was called with. */
  get bans(): string[] {
    return this.#core.bans;
  }

  /** What all torrents do now, and what was moved since the session began. */
  stats(): SessionStats {
    return this.#core.stats();
  }

  /**
   * All that a bug report needs to say of the session as it stands: plain values for JSON.stringify(), of a bounded size. It names
   * addresses of peers and names of torrents; keys in the addresses of trackers and web seeds, our peer id and folders are left out.
   */
  dump(): SessionDump {
    return this.#core.dump();
  }

  /** Sums over all connections of the session, ended ones included. */
  counters(): TransferCounters {
    return this.#core.counters();
  }

  /** What the time went into; all 0 without the option `clockCosts`. */
  costs(): Costs {
    return costsOf(this.#core.reactor.engine.costs);
  }

  /**
   * Closes torrents, connections and listeners, and frees the memory. Idempotent. Rejects StorageError, when all else is closed,
   * if what a torrent had stored could not be made durable.
   */
  close(): Promise<void> {
    return this.#core.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a session is made of. For tests: it is not exported to programs. */
export function sessionCoreOf(session: Session): SessionCore {
  return coreOf(session);
}
