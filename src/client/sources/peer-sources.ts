// What finds peers for the torrents of a session. Here, and only here, the client knows that there are trackers and the like; connections
// and torrents know sources of addresses (torrent/peer-source.ts).
//
// Always: what nobody uses is not there: the client of trackers, and HTTP with it, is loaded for the first torrent that has one. A private torrent asks its
// trackers and nobody else (BEP 27). Closing waits for trackers to hear `stopped`, and never longer than STOP_MS.

import { messageOf, TrackerError } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import type { SourceFor } from "../../base/network-address.js";
import type { Datagrams } from "../../native/datagrams.js";
import type { Gateway } from "../../native/gateway.js";
import type { TrackerClient } from "../../tracker/client/tracker-client.js";
import type { Magnet } from "../metainfo/magnet.js";
import { isMagnet } from "../metainfo/magnet.js";
import type { Metainfo } from "../metainfo/types.js";
import type { HashTable, MappedPort, PeerAddress, TrackerStatus, WebSeedStatus } from "../options.js";
import { readTotals, writeTotals } from "../storage/totals.js";
import type { JoiningTorrent, PeerFinder, PeerSource, SearchingTorrent } from "../torrent/peer-source.js";
import type { WebSeedHttp, WebSeeds } from "../web-seed/web-seeds.js";
import { Announcer, type Totals } from "./announcer.js";
import { DhtSearch } from "./dht-search.js";
import type { LocalPeers } from "./local-peers.js";
import { PortMappings } from "./port-mappings.js";

export interface PeerSourcesOptions {
  readonly ground: Ground;
  readonly peerId: Uint8Array;
  /** Made when they are needed. */
  readonly datagrams: () => Datagrams;
  /** Where we accept connections, by kind of address; undefined where we do not. */
  readonly ports: () => { readonly v4: number | undefined; readonly v6: number | undefined };
  /** Of trackers and web seeds. */
  readonly sourceFor: SourceFor;
  /** Unless a torrent says otherwise. */
  readonly trackers: boolean;
  /** Multicast (BEP 14). */
  readonly localPeers: boolean;
  /** Routers are asked to forward the port. */
  readonly portMapping: boolean;
  readonly gateway: ((family: 4 | 6) => Gateway | undefined) | undefined;
  readonly warn: (text: string) => void;
  readonly portMapped: (mapping: MappedPort) => void;
  readonly announcePort: number | undefined;
  readonly announceIp: string | undefined;
  readonly dht: HashTable | undefined;
}

/** What is announced where nobody can connect to us: most trackers take no 0, and who dials this is refused at once. */
const NO_PORT = 1;
/** For so long closing waits for trackers to hear that we stop, and a torrent's `stopped` is under way at the most. */
const STOP_MS = 2000;
/** A torrent that has fewer peers than this, and wants blocks, asks again as soon as a tracker's min interval lets it. */
const PEERS_FEW = 5;
const HUNGER_MS = 15_000;
/** Before its metadata is there nobody knows what is left of a torrent: something is. */
const LEFT_UNKNOWN = 16 * 1024;
const SAVE_MS = 60_000;

export class PeerSources {
  readonly #options: PeerSourcesOptions;
  readonly #stopping = new Set<Promise<void>>();
  #trackers: Promise<TrackerClient> | undefined;
  #webHttp: Promise<WebSeedHttp> | undefined;
  #localPeers: Promise<LocalPeers> | undefined;
  #portMappings: PortMappings | undefined;
  #isClosed = false;
  /** Closed, and trackers were told whatever they are still told. */
  #isSilent = false;

  constructor(options: PeerSourcesOptions) {
    this.#options = options;
  }

  /** Peers for one torrent. */
  find(torrent: SearchingTorrent, source: Metainfo | Magnet): PeerFinder {
    return new TorrentPeers(this, this.#options, torrent, source);
  }

  /** Connections are accepted there. */
  listening(address: PeerAddress): void {
    const { ground, portMapping, gateway = () => undefined, warn, portMapped: mapped } = this.#options;
    if (!portMapping || this.#isClosed) return;
    this.#portMappings ??= new PortMappings({ ground, gateway, warn, mapped });
    this.#portMappings.listening(address);
  }

  /** Ports that routers let peers through to. */
  get mappedPorts(): MappedPort[] {
    return this.#portMappings?.all ?? [];
  }

  /** The port at which others far away reach us over a kind of address; undefined: none. */
  portOutside(family: 4 | 6): number | undefined {
    const { announcePort, ports } = this.#options;
    const { v4, v6 } = ports();
    return announcePort ?? this.#portMappings?.portOutside(family) ?? (family === 4 ? v4 : v6);
  }

  /**
   * Rejects TrackerError: `TRACKER_CLOSED` when close() is through, for until then torrents that stop say so, one thing after the other;
   * `TRACKER_UNREACHABLE` where what asks trackers cannot be loaded, for want of a descriptor perhaps.
   */
  async trackers(): Promise<TrackerClient> {
    this.#trackers ??= this.#loadTrackers();
    const loading = this.#trackers;
    const trackers = await loading.catch((cause: unknown) => {
      if (this.#trackers === loading) this.#trackers = undefined;
      const why = `what asks trackers cannot be loaded: ${messageOf(cause)}`;
      throw new TrackerError("TRACKER_UNREACHABLE", why, { cause });
    });
    if (this.#isSilent) throw new TrackerError("TRACKER_CLOSED", "the session is closed");
    return trackers;
  }

  async #loadTrackers(): Promise<TrackerClient> {
    const { ground, datagrams, sourceFor } = this.#options;
    const { TrackerClient } = await import("../../tracker/client/tracker-client.js");
    const { SystemNames } = await import("../../native/names.js");
    const names = new SystemNames(ground);
    return new TrackerClient({ ground, datagrams: datagrams(), names, sourceFor });
  }

  /** Web seeds for one torrent. Undefined if the session was closed meanwhile. */
  async webSeeds(torrent: JoiningTorrent, urls: readonly string[]): Promise<WebSeeds | undefined> {
    const { WebSeeds } = await import("../web-seed/web-seeds.js");
    this.#webHttp ??= this.#loadWebHttp();
    const http = await this.#webHttp;
    return this.#isClosed ? undefined : new WebSeeds(http, torrent, urls);
  }

  async #loadWebHttp(): Promise<WebSeedHttp> {
    const { ground, sourceFor } = this.#options;
    const { WebSeedHttp } = await import("../web-seed/web-seeds.js");
    const { SystemNames } = await import("../../native/names.js");
    return new WebSeedHttp(ground, new SystemNames(ground), sourceFor);
  }

  /** Undefined if the session was closed meanwhile. */
  async localPeers(): Promise<LocalPeers | undefined> {
    this.#localPeers ??= this.#loadLocalPeers();
    const localPeers = await this.#localPeers;
    return this.#isClosed ? undefined : localPeers;
  }

  async #loadLocalPeers(): Promise<LocalPeers> {
    const { ground, ports } = this.#options;
    const { LocalPeers } = await import("./local-peers.js");
    return new LocalPeers({ ground, ports });
  }

  /** A torrent tells its trackers that it stops. */
  stopping(stop: (signal: AbortSignal) => Promise<void>): void {
    const end = new AbortController();
    const timer: Timer = this.#options.ground.after(STOP_MS, () => end.abort());
    const stopped = stop(end.signal).finally(() => {
      timer.close();
      this.#stopping.delete(stopped);
    });
    this.#stopping.add(stopped);
  }

  /** When all torrents have stopped: resolves when their trackers know, or STOP_MS are over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#stopping, this.#portMappings?.close()]);
    this.#isSilent = true;
    const loaded: (Promise<{ close(): void }> | undefined)[] = [
      this.#trackers,
      this.#webHttp,
      this.#localPeers,
    ];
    // What could not be loaded has nothing to close.
    for (const each of loaded) (await each?.catch(() => undefined))?.close();
  }
}

/** What trackers are told of where we are reached. */
interface Us {
  readonly ports: { readonly v4: number; readonly v6: number };
  readonly key: number;
  readonly ip: string | undefined;
}

/** The sources of one torrent. */
class TorrentPeers implements PeerFinder {
  readonly #sources: PeerSources;
  readonly #options: PeerSourcesOptions;
  readonly #torrent: SearchingTorrent;
  readonly #announcer: Announcer;
  readonly #dht: DhtSearch | undefined;
  readonly #key = new Uint32Array(1);
  readonly #source: PeerSource = { origin: "tracker" };
  readonly #hex: string;
  readonly #webSeedUrls: readonly string[];
  #webSeeds: WebSeeds | undefined;
  #localPeers: LocalPeers | undefined;
  #asksLocalPeers = false;
  /** What trackers were told last, of where we are reached. */
  #toldPorts: string | undefined;
  /** What could not be loaded costs its peers, and nothing else. */
  readonly #unavailable = (error: unknown): void =>
    this.#torrent.warn(`a source of peers is missing: ${String(error)}`);
  #isStarted = false;
  #isOver = false;
  /** Some trackers know their peers by address and port: who stops is who was there, though a router's port was given back meanwhile. */
  #usAtEnd: Us | undefined;
  /** What was moved before this run. */
  #before = { uploaded: 0, downloaded: 0 };
  #savedAtMs = Number.NEGATIVE_INFINITY;
  #hungryAtMs: number;

  constructor(
    sources: PeerSources,
    options: PeerSourcesOptions,
    torrent: SearchingTorrent,
    source: Metainfo | Magnet,
  ) {
    this.#sources = sources;
    this.#options = options;
    this.#torrent = torrent;
    this.#webSeedUrls = torrent.webSeeds ? source.webSeeds : [];
    this.#hex = Buffer.from(torrent.infoHash).toString("hex");
    const { ground } = options;
    ground.fillRandom(new Uint8Array(this.#key.buffer), 0);
    this.#hungryAtMs = ground.nowMs();
    this.#announcer = new Announcer(
      {
        nowMs: () => ground.nowMs(),
        random: () => ground.random(),
        after: (ms, callback) => ground.after(ms, callback),
        totals: () => this.#totals(),
        bring: (peers) => torrent.bring(this.#source, peers),
        told: (status, error) => this.#told(status, error),
        ask: async (url, what, signal) => {
          const trackers = await sources.trackers();
          const { infoHash } = torrent;
          this.#toldPorts = this.#portsText();
          const { peerId } = options;
          return trackers.announce(
            url,
            { ...what, ...this.#totals(), ...(this.#usAtEnd ?? this.#us()), infoHash, peerId },
            signal,
          );
        },
      },
      this.#tiersOf(source),
    );
    const { dht } = options;
    if (dht === undefined || (!isMagnet(source) && source.private)) return;
    this.#dht = new DhtSearch(dht, torrent, {
      nowMs: () => ground.nowMs(),
      ports: () => ({ v4: sources.portOutside(4), v6: sources.portOutside(6) }),
    });
  }

  get trackers(): TrackerStatus[] {
    return this.#announcer.trackers;
  }

  get webSeeds(): WebSeedStatus[] {
    const waiting = (url: string): WebSeedStatus => ({ url, state: "waiting", error: undefined });
    return this.#webSeeds?.status ?? this.#webSeedUrls.map(waiting);
  }

  start(): void {
    if (this.#isStarted || this.#isOver) return;
    this.#isStarted = true;
    if (this.#webSeedUrls.length > 0) this.#startWebSeeds().catch(this.#unavailable);
    this.#dht?.tick();
    if (this.#announcer.count === 0) return;
    const { keepsTotalsIn } = this.#torrent;
    if (keepsTotalsIn !== undefined) this.#before = readTotals(keepsTotalsIn, this.#hex);
    this.#announcer.start();
  }

  completed(): void {
    this.#announcer.completed();
  }

  announce(): void {
    this.#dht?.needsPeers();
    this.#announcer.needsPeers();
  }

  tick(): void {
    if (!this.#isStarted) return;
    const now = this.#options.ground.nowMs();
    this.#webSeeds?.tick();
    this.#localPeers?.tick();
    if (this.#options.localPeers && !this.#asksLocalPeers && this.#torrent.isPrivate === false)
      this.#startLocalPeers().catch(this.#unavailable);
    if (now - this.#hungryAtMs >= HUNGER_MS) {
      this.#hungryAtMs = now;
      this.#announcer.hungry(this.#torrent.wantsBlocks && this.#torrent.peerCount < PEERS_FEW);
    }
    if (this.#toldPorts !== undefined && this.#toldPorts !== this.#portsText()) {
      this.#toldPorts = undefined;
      this.#announcer.moved();
    }
    this.#announcer.tick();
    this.#dht?.tick();
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#dht?.stop();
    if (!this.#isStarted) return;
    this.#webSeeds?.stop();
    this.#localPeers?.remove(this.#torrent.infoHash);
    this.#save();
    this.#usAtEnd = this.#us();
    this.#sources.stopping((signal) => this.#announcer.stop(signal));
  }

  async #startLocalPeers(): Promise<void> {
    this.#asksLocalPeers = true;
    const localPeers = await this.#sources.localPeers();
    if (this.#isOver || localPeers === undefined) return;
    this.#localPeers = localPeers;
    localPeers.add(this.#torrent.infoHash, this.#torrent);
  }

  async #startWebSeeds(): Promise<void> {
    const webSeeds = await this.#sources.webSeeds(this.#torrent, this.#webSeedUrls);
    if (this.#isOver) return;
    this.#webSeeds = webSeeds;
    webSeeds?.tick();
  }

  #tiersOf(source: Metainfo | Magnet): readonly (readonly string[])[] {
    const { trackers } = this.#torrent;
    if (trackers === false || (trackers === undefined && !this.#options.trackers)) return [];
    const own = isMagnet(source) ? source.trackers.map((url) => [url]) : source.announce;
    if (typeof trackers !== "object" || trackers.length === 0) return own;
    if (isMagnet(source) || !source.private) return [...own, ...trackers.map((url) => [url])];
    this.#torrent.warn(
      "the torrent is private: only its own trackers are asked, and not the others that were given",
    );
    return own;
  }

  #portsText(): string {
    const { v4, v6 } = this.#us().ports;
    return `${v4} ${v6}`;
  }

  #us(): Us {
    const sources = this.#sources;
    return {
      ports: { v4: sources.portOutside(4) ?? NO_PORT, v6: sources.portOutside(6) ?? NO_PORT },
      key: this.#key[0] ?? 0,
      ip: this.#options.announceIp,
    };
  }

  #totals(): Totals {
    const { payloadBytes, sentPayloadBytes } = this.#torrent.counters();
    const { uploaded, downloaded } = this.#before;
    return {
      uploaded: uploaded + sentPayloadBytes,
      downloaded: downloaded + payloadBytes,
      left: this.#torrent.bytesLeft ?? LEFT_UNKNOWN,
      isPartialSeed: this.#torrent.isPartialSeed,
    };
  }

  #told(status: TrackerStatus, error: TrackerError | undefined): void {
    this.#torrent.tellTracker(status);
    if (error === undefined && this.#options.ground.nowMs() - this.#savedAtMs >= SAVE_MS) this.#save();
  }

  #save(): void {
    const { keepsTotalsIn } = this.#torrent;
    if (keepsTotalsIn === undefined || this.#announcer.count === 0) return;
    this.#savedAtMs = this.#options.ground.nowMs();
    writeTotals(keepsTotalsIn, this.#hex, this.#totals());
  }
}
