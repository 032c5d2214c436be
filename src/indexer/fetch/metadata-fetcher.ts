// Fetches info dictionaries of many torrents from many peers at once (BEP 3, 9, 10), over the client's own connections, encrypted or not: no
// torrent, no pieces and no storage stand behind them. Peers that come by themselves are served to whoever waits for their torrent.
//
// Always: connections, descriptors and memory of all fetches together are bounded. One address is connected to so often a second, whoever
// named it, and ports below 1024 and addresses that nobody in the world has never, unless all of it happens on this machine.

import { entryOf } from "../../base/assert.js";
import type { Timer } from "../../base/ground.js";
import { CHASKEY_KEY_WORDS } from "../../base/keyed-hash.js";
import { REQUESTS_NEAR } from "../../base/limits.js";
import { addressBytes, SITE_TIMES, SITE_WORD_MASK, scopeOf } from "../../base/network-address.js";
import { RateControl } from "../../base/rate-limit.js";
import { CLIENT_NAME } from "../../base/version.js";
import { Memory } from "../../client/memory/memory.js";
import type { PeerConnection } from "../../client/peer/peer-connection.js";
import type { Clock, PeerSettings } from "../../client/peer/peer-options.js";
import { RequestShare } from "../../client/peer/request-share.js";
import type { SwarmDirectory } from "../../client/peer/swarm.js";
import { ReceivePlan } from "../../client/receive/receive-plan.js";
import { Connector } from "../../client/session/connector.js";
import { Encryption } from "../../client/session/encryption.js";
import { type SessionSettings, settleOptions } from "../../client/session/settings.js";
import { RateCells } from "../../dht/rate-cells.js";
import type { SocketAddress } from "../../native/binding.js";
import { Reactor } from "../../native/reactor.js";
import type { World } from "../../native/world.js";
import { makeFetcherCounters } from "./fetcher-counters.js";
import { MetadataSwarm, type SwarmRoom } from "./metadata-swarm.js";

const SLAB_BYTES = 2 * 2 ** 20;
const TICK_MS = 1000;
const CONNECT_MS = 5000;
const HANDSHAKE_MS = 8000;
/** Of what peers have sent of dictionaries that are not whole: then the largest goes. */
const HELD_BYTES_MAX = 48 * 2 ** 20;
/** Pieces of 16 KiB between two looks at that. */
const PIECES_PER_LOOK = 64;
const CONNECTS_PER_SECOND = 0.5;
const CONNECTS_BURST = 5;
const PORT_MIN = 1024;

export interface FetcherOptions {
  /** Connections at once, begun or open. */
  readonly connectionsMax: number;
  readonly infoBytesMax: number;
  /** All peers are on this machine: addresses are not limited. */
  readonly isLocal: boolean;
  /** True if a peer that comes by itself may bring this torrent. */
  readonly wants: (infoHash: Uint8Array) => boolean;
  /** The dictionary; undefined: nobody had it. */
  readonly ended: (infoHash: Uint8Array, info: Uint8Array | undefined) => void;
  readonly warn: (text: string) => void;
}

export class MetadataFetcher implements SwarmRoom, SwarmDirectory {
  readonly counters = makeFetcherCounters();
  /** Nothing is limited but by connections and lengths. */
  readonly rateControl: RateControl;
  readonly #options: FetcherOptions;
  readonly #settings: SessionSettings;
  readonly #reactor: Reactor;
  readonly #memory: Memory;
  readonly #clock: Clock;
  readonly #connector: Connector;
  readonly #encryption: Encryption;
  readonly #peerSettings: PeerSettings;
  readonly #rates: RateCells;
  /** Of the sites of IPv6, each of which has thousands of networks. */
  readonly #siteRates: RateCells;
  readonly #swarms = new Map<string, MetadataSwarm>();
  readonly #timer: Timer;
  #listenPort = 0;
  #piecesUnlooked = 0;
  #lastTickMs: number;
  #isClosed = false;

  /** Throws UsageError. */
  constructor(options: FetcherOptions, world: World) {
    const { ground } = world;
    this.#options = options;
    this.rateControl = new RateControl(ground);
    this.#settings = settleOptions(
      {
        poolBytes: SLAB_BYTES,
        maxPeers: options.connectionsMax,
        maxPeersPerAddress: 4,
        connectTimeoutMs: CONNECT_MS,
        handshakeTimeoutMs: HANDSHAKE_MS,
        receiveMode: "contiguous",
      },
      ground,
    );
    this.#reactor = new Reactor(SLAB_BYTES, world);
    this.#memory = new Memory(this.#reactor.engine.slab, this.#reactor.engine, {
      bufferBytes: this.#settings.contiguousBufferBytes,
    });
    this.#clock = { nowMs: Math.trunc(ground.nowMs()) };
    this.#reactor.onTurn({
      turnBegins: () => {
        this.#clock.nowMs = Math.trunc(ground.nowMs());
      },
      turnEnds: () => {},
    });
    this.#encryption = new Encryption(this.#settings.encryption, this.#reactor, this.#memory, ground);
    this.#peerSettings = settingsOf(this.#settings);
    const key = new Uint8Array(4 * CHASKEY_KEY_WORDS);
    ground.fillRandom(key, 0);
    const rate = options.isLocal ? Number.POSITIVE_INFINITY : CONNECTS_PER_SECOND;
    const rateKey = new Uint32Array(key.buffer, 0, 2);
    this.#rates = new RateCells(rate, CONNECTS_BURST, rateKey);
    this.#siteRates = new RateCells(SITE_TIMES * rate, SITE_TIMES * CONNECTS_BURST, rateKey);
    this.#connector = this.#makeConnector(world);
    this.#lastTickMs = this.#clock.nowMs;
    this.#timer = ground.every(TICK_MS, () => this.#tick());
  }

  // ── fetches ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Fetches under way. */
  get count(): number {
    return this.#swarms.size;
  }

  get connections(): number {
    return this.#connector.table.all.size;
  }

  /** The fetch of a torrent, begun if there is none. Told of noMore() it ends by itself. */
  fetch(infoHash: Uint8Array): MetadataSwarm {
    return this.#swarms.get(keyOf(infoHash)) ?? this.#begin(infoHash, true);
  }

  get(infoHash: Uint8Array): MetadataSwarm | undefined {
    return this.#swarms.get(keyOf(infoHash));
  }

  /** Peers that come by themselves in cipher name a torrent by a hash of its hash: it is known from here on, or no more. */
  expect(infoHash: Uint8Array, isExpected: boolean): void {
    if (isExpected) this.#encryption.add(infoHash);
    else if (!this.#swarms.has(keyOf(infoHash))) this.#encryption.remove(infoHash);
  }

  /** Throws UsageError `LISTEN_FAILED`. Returns where: port 0 has become a port. */
  listen(address: SocketAddress): SocketAddress {
    const bound = this.#connector.listen(address);
    this.#listenPort = bound.port;
    return bound;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.close();
    this.#connector.closeListeners();
    for (const swarm of [...this.#swarms.values()]) swarm.end(undefined);
    this.#connector.closeAll();
    this.rateControl.close();
    await this.#reactor.idle();
    this.#memory.closed = true;
    this.#reactor.close();
  }

  // ── SwarmRoom ────────────────────────────────────────────────────────────────────────────────────────────────

  get nowMs(): number {
    return this.#clock.nowMs;
  }

  after(ms: number, callback: () => void): Timer {
    return this.#reactor.ground.after(ms, () => {
      if (!this.#isClosed) this.#reactor.atTurnEnd({ turnEnded: callback });
    });
  }

  get infoBytesMax(): number {
    return this.#options.infoBytesMax;
  }

  connect(
    { host, port }: SocketAddress,
    swarm: MetadataSwarm,
    encrypts: boolean,
  ): PeerConnection | "refused" | undefined {
    if (!this.#mayConnectTo(host, port)) {
      this.counters.refused++;
      return "refused";
    }
    const peer = this.#connector.connect(host, port, swarm, this.#peerSettings, encrypts);
    if (peer !== undefined) this.counters.connected++;
    return peer;
  }

  dial(swarm: MetadataSwarm): void {
    if (!this.#isClosed) this.#connector.dial(swarm);
  }

  progressed(): void {
    if (++this.#piecesUnlooked < PIECES_PER_LOOK) return;
    this.#piecesUnlooked = 0;
    this.#makeRoom();
  }

  ended(swarm: MetadataSwarm, info: Uint8Array | undefined): void {
    this.#swarms.delete(keyOf(swarm.infoHash));
    if (!this.#options.wants(swarm.infoHash)) this.#encryption.remove(swarm.infoHash);
    if (info !== undefined) {
      this.counters.fetched++;
      this.counters.infoBytes += info.length;
    }
    if (!this.#isClosed) this.#options.ended(swarm.infoHash, info);
  }

  // ── SwarmDirectory ───────────────────────────────────────────────────────────────────────────────────────────

  get peerId(): Uint8Array {
    return this.#settings.peerId;
  }

  listenPortFor(): number {
    return this.#listenPort;
  }

  findSwarm(infoHash: Uint8Array): MetadataSwarm | undefined {
    const swarm = this.get(infoHash);
    if (swarm !== undefined) return swarm;
    if (this.#isClosed || !this.#options.wants(infoHash)) return undefined;
    const begun = this.#begin(infoHash, false);
    this.counters.accepted++;
    return begun;
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(infoHash: Uint8Array, mayCome: boolean): MetadataSwarm {
    const swarm = new MetadataSwarm(this, infoHash.slice(), mayCome);
    this.#swarms.set(keyOf(infoHash), swarm);
    this.#encryption.add(swarm.infoHash);
    return swarm;
  }

  #mayConnectTo(host: string, port: number): boolean {
    if (this.#options.isLocal) return true;
    if (port < PORT_MIN || scopeOf(host) !== "global") return false;
    const bytes = addressBytes(host);
    if (bytes === undefined || !this.#connector.table.mayConnectTo(host)) return false;
    // A /64 of IPv6 is one address.
    const words = new Uint32Array(bytes.buffer.slice(0, bytes.length === 4 ? 4 : 8));
    if (!this.#rates.take(words, 0, words.length, this.nowMs)) return false;
    if (bytes.length === 4) return true;
    words[1] = entryOf(words, 1) & SITE_WORD_MASK;
    return this.#siteRates.take(words, 0, words.length, this.nowMs);
  }

  #tick(): void {
    const nowMs = Math.trunc(this.#reactor.ground.nowMs());
    this.#clock.nowMs = nowMs;
    const elapsedMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = nowMs;
    this.#connector.tick(nowMs, elapsedMs);
    for (const swarm of [...this.#swarms.values()]) swarm.tick(elapsedMs);
    this.#connector.dialMore(nowMs);
  }

  #makeRoom(): void {
    let held = 0;
    let largest: MetadataSwarm | undefined;
    for (const swarm of this.#swarms.values()) {
      const { heldBytes } = swarm;
      held += heldBytes;
      if (heldBytes > (largest?.heldBytes ?? 0)) largest = swarm;
    }
    if (held <= HELD_BYTES_MAX || largest === undefined) return;
    this.counters.crowdedOut++;
    largest.end(undefined);
  }

  #makeConnector(world: World): Connector {
    const isClosed = (): boolean => this.#isClosed;
    return new Connector({
      reactor: this.#reactor,
      memory: this.#memory,
      plan: new ReceivePlan(this.#reactor.engine.plan),
      clock: this.#clock,
      settings: this.#settings,
      encryption: this.#encryption,
      descriptors: world.descriptors,
      directory: this,
      sourceFor: () => undefined,
      trace: undefined,
      recorder: undefined,
      timeline: undefined,
      get isClosed() {
        return isClosed();
      },
      incomingSettings: () => this.#peerSettings,
      gate: { reasonAgainst: () => undefined },
      strangerRefused: () => {},
      strangerClosed: () => {},
      heldChanged: () => {},
      warn: (text) => this.#options.warn(text),
    });
  }
}

function settingsOf(settings: SessionSettings): PeerSettings {
  return {
    receiveMode: settings.receiveMode,
    maxRequests: settings.maxRequests,
    requestShare: new RequestShare(REQUESTS_NEAR),
    handshakeTimeoutMs: settings.handshakeTimeoutMs,
    requestTimeoutMs: settings.requestTimeoutMs,
    idleTimeoutMs: settings.idleTimeoutMs,
    sendTimeoutMs: settings.sendTimeoutMs,
    clientName: CLIENT_NAME,
  };
}

function keyOf(infoHash: Uint8Array): string {
  return Buffer.from(infoHash.buffer, infoHash.byteOffset, infoHash.length).toString("latin1");
}
