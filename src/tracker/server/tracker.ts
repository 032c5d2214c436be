// A tracker that runs: its swarms, its sockets and its clock, on the loop of this thread.
//
// Always: everything it took is given back by close(). Nothing that comes from outside ends it.

import { randomFillSync } from "node:crypto";
import { entryOf } from "../../base/assert.js";
import { loadBinding, type SocketAddress } from "../../native/binding.js";
import { type SharableSocket, SystemDatagrams } from "../../native/datagrams.js";
import { Reactor } from "../../native/reactor.js";
import type { SwarmCounters, SwarmStore, SwarmTotals } from "../peer-store/contract.js";
import { PeerStore, type PeerStoreOptions } from "../peer-store/peer-store.js";
import { checkTrackerOptions } from "./check-options.js";
import { CONNECTION_KEY_WORDS, ConnectionIds } from "./connection-ids.js";
import { makeUdpCounters, type UdpCounters } from "./udp-responder.js";
import { UdpServer } from "./udp-server.js";

/** A tracker of UDP on this thread: its sockets, what it tells clients, and its swarms. */
export interface TrackerOptions {
  /** Where to receive: numeric addresses; port 0 picks one. None for a tracker that has other faces only. */
  readonly udp: readonly SocketAddress[];
  /** What clients are told to wait between announces, in seconds; shorter than the lifetime of peers. */
  readonly intervalSeconds?: number;
  /** Peers that are told of to whoever does not say how many; 50 by default. One datagram bounds them too. */
  readonly peersDefault?: number;
  /** Peers in an answer at the most; 200 by default. */
  readonly peersMax?: number;
  /** 4 words; trackers that share it take each other's connection ids. Random by default. */
  readonly connectionKey?: Uint32Array;
  /** Minutes that a connection id is valid, at least one less than so many: 1 to 16, 2 by default. */
  readonly connectionSlots?: number;
  /** Bounds of the swarms; see PeerStoreOptions. What one address may do has other defaults here: 60 evictions a minute, 32 peers of a torrent. */
  readonly store?: Omit<PeerStoreOptions, "key" | "random">;
  /** Instead of a store of its own. */
  readonly swarms?: SwarmStore;
  /** SO_RCVBUF of each socket, in bytes: what is queued while others have the processor. */
  readonly receiveBufferBytes?: number;
  /** Several trackers share the sockets' ports. */
  readonly reusePort?: boolean;
  /** Sockets of another thread that are received from besides. */
  readonly descriptors?: readonly number[];
}

/** What happened since the start, and how much there is. */
export interface TrackerCounters {
  /** Datagrams: what was answered, and what was not, by why. */
  readonly udp: UdpCounters;
  /** Torrents and peers that went, and those that were not let in. */
  readonly swarms: SwarmCounters;
  /** Torrents, peers and memory now. */
  readonly totals: SwarmTotals;
}

export const INTERVAL_SECONDS_DEFAULT = 900;
export const PEERS_DEFAULT = 50;
export const PEERS_MAX_DEFAULT = 200;
export const RECEIVE_BUFFER_BYTES_DEFAULT = 4 * 2 ** 20;
/** How often the time is told: expiry goes on in steps of this. */
const ADVANCE_MS = 5;
/** The reactor's slab is not used here; it has to have a page. */
export const SLAB_BYTES = 4096;

/** A UDP tracker (BEP 15, 41) on the loop of this thread. TrackerService has the other faces besides. */
export class Tracker {
  /** The swarms that it answers from. */
  readonly swarms: SwarmStore;
  readonly #ids: ConnectionIds;
  readonly #reactor: Reactor;
  readonly #udp: UdpServer[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #startedMs = performance.now();
  #closed = false;

  /** Binds all sockets and serves from here on. Throws UsageError: USAGE_OPTION; LISTEN_FAILED, which says which cannot be had and why. */
  constructor(options: TrackerOptions) {
    checkTrackerOptions(options);
    this.#ids = new ConnectionIds(
      options.connectionKey ?? randomWords(CONNECTION_KEY_WORDS),
      options.connectionSlots ?? 2,
    );
    this.swarms = options.swarms ?? makePeerStore(options.store);
    this.#reactor = new Reactor(SLAB_BYTES);
    try {
      this.#listen(new SystemDatagrams(this.#reactor), options);
    } catch (error) {
      this.#reactor.close();
      throw error;
    }
    this.#advance();
    this.#timer = setInterval(() => this.#advance(), ADVANCE_MS);
  }

  /** Where it receives, with the ports that were picked. */
  get udpAddresses(): SocketAddress[] {
    return this.#udp.map(({ socket }) => socket.address);
  }

  /** What happened since the start, all sockets together. */
  counters(): TrackerCounters {
    const udp = makeUdpCounters();
    for (const { counters } of this.#udp)
      for (const key of Object.keys(udp) as (keyof UdpCounters)[]) udp[key] += counters[key];
    return { udp, swarms: { ...this.swarms.counters }, totals: this.swarms.totals() };
  }

  /** Stops at once: what waits in the sockets is not answered any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    for (const server of this.#udp) server.close();
    this.#reactor.close();
  }

  #listen(datagrams: SystemDatagrams, options: TrackerOptions): void {
    const bound = options.udp.map((address) => () => bindUdp(datagrams, address, options));
    const shared = (options.descriptors ?? []).map((descriptor) => () => datagrams.share(descriptor));
    for (const open of [...bound, ...shared]) {
      const socket = open();
      this.#udp.push(
        new UdpServer(socket, this.swarms, this.#ids, {
          intervalSeconds: options.intervalSeconds ?? INTERVAL_SECONDS_DEFAULT,
          peersDefault: options.peersDefault ?? PEERS_DEFAULT,
          peersMax: options.peersMax ?? PEERS_MAX_DEFAULT,
          dice: entryOf(randomWords(1), 0),
        }),
      );
    }
  }

  /** Ids go by the time of day, which machines share; swarms by a clock that nobody sets. */
  #advance(): void {
    this.#ids.advance(Date.now());
    this.swarms.advance(performance.now() - this.#startedMs);
  }
}

/** A socket as a tracker wants it. Throws UsageError LISTEN_FAILED. */
export function bindUdp(
  datagrams: SystemDatagrams,
  { host, port }: SocketAddress,
  options: Pick<TrackerOptions, "reusePort" | "receiveBufferBytes">,
): SharableSocket {
  return datagrams.bind({
    host,
    port,
    reusePort: options.reusePort === true,
    receiveBufferBytes: options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES_DEFAULT,
  });
}

/**
 * What one address may do to the swarms of a tracker, where nothing else is said: what it brings pushes out a torrent a second at the most,
 * when memory is full, and it is 32 peers of a torrent: as many as there are behind most shared addresses.
 */
export const STORE_DEFAULTS = { evictionsPerMinute: 60, peersPerAddressMax: 32 } as const;

/** Swarms in memory of the addon, with a key of their own. */
export function makePeerStore(options: TrackerOptions["store"]): PeerStore {
  return new PeerStore({
    reserve: (bytes) => loadBinding().reserveMemory(bytes),
    release: (memory) => loadBinding().releasePages(memory),
    populate: (memory) => loadBinding().populatePages(memory),
    prefetch: loadBinding().prefetch,
    ...STORE_DEFAULTS,
    ...options,
    key: randomWords(4),
    random: Math.random,
  });
}

export function randomWords(count: number): Uint32Array {
  return randomFillSync(new Uint32Array(count));
}
