// The DHT as a program uses it (BEP 5, 32): one or more virtual nodes, each with a socket, an id, and a share in the tables; lookups of
// peers, announces, and what others announce to us. One file, because it is the one face: what is behind it is in files of its own.
//
// Always: close() leaves no socket and no timer behind, and ends every lookup. With nothing under way it looks at the clock once a second. Listeners
// of events are called when the turn is over that they are told of, each by itself.

import { EventEmitter } from "node:events";
import { entryOf } from "../base/assert.js";
import { UsageError } from "../base/errors.js";
import type { Timer } from "../base/ground.js";
import { CHASKEY_KEY_WORDS } from "../base/keyed-hash.js";
import { UserCalls } from "../base/user-calls.js";
import { compactAddress } from "../codec/compact-address.js";
import type { SocketAddress } from "../native/binding.js";
import type { DatagramSocket } from "../native/datagrams.js";
import { PeerStore } from "../tracker/peer-store/peer-store.js";
import { AnnounceBudget } from "./announce-budget.js";
import { AnnounceRound } from "./announce-round.js";
import { Beginning } from "./beginning.js";
import type { CallListener } from "./calls.js";
import {
  checkAnnounce,
  checkId,
  checkLookup,
  checkNode,
  checkSampling,
  checkScrape,
  contactsOf,
} from "./check-options.js";
import type { Family } from "./contact.js";
import { statsOf } from "./dht-stats.js";
import { METHOD_GET_PEERS } from "./krpc-reader.js";
import { derivedId, ID_BYTES, secureId } from "./node-id.js";
import type {
  AnnounceOptions,
  DhtEvents,
  DhtOptions,
  DhtScrape,
  DhtStats,
  DhtWorld,
  LookupOptions,
  SampledNode,
  SampleOptions,
  Samples,
} from "./options.js";
import { Overlay } from "./overlay.js";
import { PeerStream } from "./peer-stream.js";
import { RateCells } from "./rate-cells.js";
import { Responder } from "./responder.js";
import type { RoutingTable } from "./routing-table.js";
import { SampleStream } from "./sample-stream.js";
import { loadContacts, saveContacts } from "./saved-contacts.js";
import { estimateTogether } from "./scrape-filter.js";
import { ScrapeRound } from "./scrape-round.js";
import { Tokens } from "./tokens.js";
import { RECEIVED_BYTES_MAX, VirtualNode } from "./virtual-node.js";
import { systemDhtWorld } from "./world.js";

const RECEIVE_BATCH_ENTRIES = 64;
const PEER_BYTES_MAX_DEFAULT = 16 * 1024 * 1024;
const PEER_LIFETIME_MS = 45 * 60_000;
const NEW_TORRENTS_PER_MINUTE = 100;
const INCOMING_PER_SECOND = 10;
const OUTGOING_PER_SECOND = 4;
const ANSWERS_PER_SECOND = 1000;
const BURST_SECONDS = 5;
const CROWDED_PER_SECOND = 1;
/** What comes while the loop is busy: of long datagrams the 208 KiB of Linux hold 90, and who comes behind those is not heard. */
const RECEIVE_BUFFER_BYTES = 2 ** 20;
/** How often time is looked at while queries are under way, and while not. */
const BUSY_MS = 20;
const IDLE_MS = 1000;

/** A node of the DHT (BEP 5), or several with one table: lookups, announces, samples, scrapes, and answers to others until `close()`. */
export class Dht extends EventEmitter<DhtEvents> {
  readonly #world: DhtWorld;
  readonly #userCalls = new UserCalls();
  readonly #overlays = new Map<Family, Overlay>();
  readonly #peers: PeerStore;
  readonly #tokens: Tokens;
  readonly #root: Uint8Array;
  readonly #sockets: DatagramSocket[] = [];
  readonly #startedMs: number;
  readonly #unsent = new Set<VirtualNode>();
  #responder: Responder | undefined;
  readonly #sampling = new Set<SampleStream>();
  readonly #randomWords: Uint32Array;
  #randomLeft = 0;
  #timer: Timer | undefined;
  #isBusy = false;
  #isClosed = false;
  #flushes = false;
  #isReady = false;
  readonly #beginning: Beginning;

  /** Throws UsageError: LISTEN_FAILED, USAGE_OPTION, ADDON_MISSING. */
  constructor(options: DhtOptions = {}, world: DhtWorld = systemDhtWorld()) {
    super();
    this.#world = world;
    const { ground } = world;
    this.#randomWords = new Uint32Array(256);
    this.#startedMs = ground.nowMs();
    this.#beginning = new Beginning(
      () => this.#overlays.values(),
      () => ground.nowMs(),
    );
    try {
      checkNode(options);
      const saved = options.saved === undefined ? undefined : loadContacts(options.saved);
      this.#root = options.id ?? saved?.id ?? this.#makeId();
      this.#tokens = new Tokens(this.#words(CHASKEY_KEY_WORDS));
      const bytesMax = options.peerBytesMax ?? PEER_BYTES_MAX_DEFAULT;
      this.#peers = new PeerStore({
        bytesMax,
        torrentsMax: Math.floor(bytesMax / 64),
        lifetimeMs: PEER_LIFETIME_MS,
        newTorrentsPerMinute: NEW_TORRENTS_PER_MINUTE,
        key: this.#words(4),
        random: () => ground.random(),
      });
      const listen = options.listen ?? [{ host: "0.0.0.0", port: 0 }];
      for (const { host, port } of listen)
        this.#sockets.push(world.datagrams.bind({ host, port, receiveBufferBytes: RECEIVE_BUFFER_BYTES }));
      this.#makeOverlays(this.#sockets, options);
      const entrances = [...contactsOf(options.bootstrap ?? []), ...(saved?.contacts ?? [])];
      for (const overlay of this.#overlays.values())
        overlay.addEntrances(entrances.filter(({ family }) => family === overlay.family));
      this.#timer = ground.after(0, () => this.#tick());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Where each virtual node receives, with the ports that were picked. */
  get addresses(): SocketAddress[] {
    return [...this.#overlays.values()].flatMap(({ nodes }) => nodes.map(({ socket }) => socket.address));
  }

  /** The ids of the virtual nodes, in the order of `addresses`. */
  get ids(): Uint8Array[] {
    return [...this.#overlays.values()].flatMap(({ nodes }) => nodes.map(({ id }) => id));
  }

  /** Tells of nodes to begin with, or to get better: `nodes` of a torrent, a peer's `port` message. Throws UsageError for a name. */
  addNodes(nodes: readonly SocketAddress[]): void {
    for (const contact of contactsOf(nodes)) this.#overlays.get(contact.family)?.addTold([contact]);
  }

  /**
   * Peers of a torrent, as nodes tell of them, each once; it ends when the nearest nodes of both families have answered. `infoHash`: 20
   * bytes. Of a node that was just made it begins when that is ready, or after 10 s. Throws the signal's reason when it is aborted.
   */
  lookup(infoHash: Uint8Array, options: LookupOptions = {}): AsyncIterableIterator<SocketAddress> {
    checkLookup(infoHash, options);
    const stream = new PeerStream(options.signal);
    const noSeeds = options.noSeeds === true;
    const begin = (): void => {
      for (const overlay of this.#overlays.values())
        stream.follow((listener) => overlay.lookup(infoHash, METHOD_GET_PEERS, listener, { noSeeds }));
      stream.begun();
    };
    const lookUp = (): void => this.#beginning.when(begin);
    const isAsked =
      options.sampler !== undefined && this.#askFirst(options.sampler, infoHash, noSeeds, stream, lookUp);
    if (!isAsked) lookUp();
    return stream;
  }

  /**
   * Asks nodes which torrents others have announced to them (BEP 51), going through the key space: each node's answer, as it comes. A node
   * is asked again no sooner than it says. Hashes may be told by several nodes, and nobody vouches for them.
   */
  sample(options: SampleOptions = {}): AsyncIterableIterator<Samples> {
    checkSampling(options);
    const stream = new SampleStream(options.signal, options.sweeps ?? Number.POSITIVE_INFINITY);
    if (this.#isClosed) stream.close();
    if (stream.isOver) return stream;
    for (const overlay of this.#overlays.values()) stream.follow(overlay.sample(stream));
    this.#sampling.add(stream);
    return stream;
  }

  /** About how many seeds and other peers a torrent has, by the nodes nearest to it (BEP 33). Rejects with the signal's reason. */
  async scrape(infoHash: Uint8Array, options: { readonly signal?: AbortSignal } = {}): Promise<DhtScrape> {
    checkScrape(infoHash, options);
    const begins = this.#beginning.wait(options.signal);
    if (begins !== undefined) await begins;
    const overlays = [...this.#overlays.values()];
    const rounds = overlays.map((overlay) => new ScrapeRound().run(overlay, infoHash, options.signal));
    const filters = (await Promise.all(rounds)).flat();
    return {
      seeds: Math.round(estimateTogether(filters.map(({ seeds }) => seeds))),
      peers: Math.round(estimateTogether(filters.map(({ peers }) => peers))),
      nodes: filters.length,
    };
  }

  /** One query to a node that is likely to know; `lookUp` is called if it does not. False if it could not be asked. */
  #askFirst(
    sampler: SampledNode,
    infoHash: Uint8Array,
    noSeeds: boolean,
    stream: PeerStream,
    lookUp: () => void,
  ): boolean {
    const [contact] = contactsOf([sampler]);
    checkId(sampler.id);
    const overlay = contact === undefined ? undefined : this.#overlays.get(contact.family);
    if (contact === undefined || overlay === undefined || this.#isClosed || !overlay.isPossible(contact))
      return false;
    contact.compact.set(sampler.id, 0);
    overlay.turnBegins();
    const listener: CallListener = {
      answered: (_call, answer) => {
        if (answer.valuesCount === 0) lookUp();
        else {
          stream.take(contact, answer);
          stream.begun();
        }
      },
      stalled: () => {},
      failed: lookUp,
    };
    return overlay.nextNode().getPeers(contact, infoHash, listener, noSeeds);
  }

  /**
   * Looks a torrent up and tells the nearest nodes that we have it, or are getting it. Resolves to how many took it. `peers` hears of
   * peers on the way. Rejects with the signal's reason.
   */
  async announce(
    infoHash: Uint8Array,
    options: AnnounceOptions = {},
    peers?: (peer: SocketAddress) => void,
  ): Promise<number> {
    checkAnnounce(infoHash, options, peers);
    const { port = 0, ports = { v4: port, v6: port } } = options;
    const begins = this.#beginning.wait(options.signal);
    if (begins !== undefined) await begins;
    const rounds = [...this.#overlays.values()].map((overlay) => {
      const told = overlay.family === 4 ? ports.v4 : ports.v6;
      return new AnnounceRound(overlay, infoHash, told, options, peers).run();
    });
    const counts = await Promise.all(rounds);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** What is there now, and what was counted since the node was made; new objects each time. */
  stats(): DhtStats {
    return statsOf(this.#overlays, this.#responder, this.#peers);
  }

  /** Our id and the nodes of the tables, for the `saved` of a later run; once it is closed, those that it had then. */
  save(): Uint8Array {
    const tables = [...this.#overlays.values()].map(({ table }) => table);
    const [id, another] = this.ids;
    // One that is alone may have another one by now.
    return saveContacts(another === undefined && id !== undefined ? id : this.#root, tables);
  }

  /** @internal What tests look at. */
  get overlays(): ReadonlyMap<Family, Overlay> {
    return this.#overlays;
  }

  /** Ends all lookups; sends nothing any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.close();
    for (const stream of this.#sampling) stream.close();
    for (const overlay of this.#overlays.values()) overlay.close();
    this.#beginning.end();
    for (const socket of this.#sockets) socket.close();
    this.#world.close();
  }

  #makeOverlays(sockets: readonly DatagramSocket[], options: DhtOptions): void {
    const { ground } = this.#world;
    const tables = new Map<Family, RoutingTable>();
    const responder = new Responder({
      tables,
      peers: this.#peers,
      tokens: this.#tokens,
      announces: sockets.some((socket) => isLimited(options, socket))
        ? new AnnounceBudget(this.#words(2))
        : undefined,
      clock: () => ground.nowMs(),
      random: () => ground.random(),
      hashes: options.hashes,
      wantsAnnounces: () => this.listenerCount("announce") > 0,
      announced: (...told) => this.#userCalls.tell(this, "announce", told),
      ...(options.inject === undefined ? {} : { inject: options.inject }),
    });
    this.#responder = responder;
    const root = sockets.length === 1 ? this.#rootFor(options.externalAddress) : this.#root;
    for (const socket of sockets) {
      const overlay = this.#overlays.get(socket.family) ?? this.#makeOverlay(socket, options, responder);
      tables.set(socket.family, overlay.table);
      const index = overlay.nodes.length;
      const id = index > 0 && options.staggersIds === false ? this.#makeId() : derivedId(root, index);
      overlay.addNode(new VirtualNode(socket, id, overlay));
    }
  }

  /** Several virtual nodes part the key space evenly instead, and each has an address of its own. */
  #rootFor(externalAddress: string | undefined): Uint8Array {
    if (externalAddress === undefined) return this.#root;
    const address = compactAddress(externalAddress);
    if (address === undefined)
      throw new UsageError("USAGE_OPTION", `externalAddress is a numeric address, not ${externalAddress}`);
    return secureId(this.#root, address, this.#randomWord() & 0xff);
  }

  #makeOverlay(socket: DatagramSocket, options: DhtOptions, responder: Responder): Overlay {
    const { ground } = this.#world;
    const limitsNetworks = isLimited(options, socket);
    const perSecond = (given: number | undefined, otherwise: number, key: Uint32Array): RateCells => {
      const rate = given ?? (limitsNetworks ? otherwise : Number.POSITIVE_INFINITY);
      return new RateCells(rate, Math.max(1, BURST_SECONDS * rate), key);
    };
    const [outgoingKey, incomingKey] = [this.#words(2), this.#words(2)];
    const overlay = new Overlay({
      family: socket.family,
      limitsNetworks,
      securesId: options.id === undefined && limitsNetworks,
      usesCache: options.usesCache !== false,
      adaptsTimeouts: options.adaptsTimeouts !== false,
      readOnly: options.readOnly === true,
      sibling: () => this.#overlays.get(socket.family === 4 ? 6 : 4),
      outgoing: perSecond(options.outgoingPerSecond, OUTGOING_PER_SECOND, outgoingKey),
      incoming: perSecond(options.incomingPerSecond, INCOMING_PER_SECOND, incomingKey),
      answersPerSecond:
        options.answersPerSecond ?? (limitsNetworks ? ANSWERS_PER_SECOND : Number.POSITIVE_INFINITY),
      crowded: new RateCells(CROWDED_PER_SECOND, BURST_SECONDS * CROWDED_PER_SECOND, incomingKey),
      received: socket.makeBatch(RECEIVE_BATCH_ENTRIES, RECEIVED_BYTES_MAX),
      clock: () => ground.nowMs(),
      randomWord: () => this.#randomWord(),
      responder,
      flushLater: (node) => this.#flushLater(node),
      addressKnown: (host) => this.#tell("externalAddress", host),
      linkChanged: (isBack) => this.#tell(isBack ? "linkBack" : "linkLost", socket.family),
    });
    this.#overlays.set(socket.family, overlay);
    return overlay;
  }

  #tick(): void {
    if (this.#isClosed) return;
    const nowMs = this.#world.ground.nowMs();
    this.#tokens.advance(nowMs);
    this.#peers.advance(nowMs - this.#startedMs);
    let isBusy = false;
    for (const overlay of this.#overlays.values()) {
      overlay.advance();
      if (overlay.callsUnderWay > 0) isBusy = true;
      if (overlay.isReady && !this.#isReady) {
        this.#isReady = true;
        this.#tell("ready");
      }
    }
    this.#beginning.advance();
    for (const stream of this.#sampling) if (stream.isOver) this.#sampling.delete(stream);
    this.#isBusy = isBusy;
    // Whoever had something to send just now has made one already.
    this.#timer?.close();
    this.#timer = this.#world.ground.after(isBusy ? BUSY_MS : IDLE_MS, () => this.#tick());
  }

  #tell<Name extends keyof DhtEvents>(name: Name, ...args: DhtEvents[Name]): void {
    if (this.listenerCount(name) > 0) this.#userCalls.tell(this, name, args);
  }

  /** What was written outside a node's own turn is sent when what is running now is over. */
  #flushLater(node: VirtualNode): void {
    if (this.#isClosed) return;
    this.#unsent.add(node);
    if (!this.#isBusy) {
      this.#isBusy = true;
      this.#timer?.close();
      this.#timer = this.#world.ground.after(BUSY_MS, () => this.#tick());
    }
    if (this.#flushes) return;
    this.#flushes = true;
    this.#world.soon(() => {
      this.#flushes = false;
      for (const each of this.#unsent) each.flush();
      this.#unsent.clear();
    });
  }

  #randomWord(): number {
    if (this.#randomLeft === 0) {
      this.#world.ground.fillRandom(new Uint8Array(this.#randomWords.buffer), 0);
      this.#randomLeft = this.#randomWords.length;
    }
    return entryOf(this.#randomWords, --this.#randomLeft);
  }

  #words(count: number): Uint32Array {
    return Uint32Array.from({ length: count }, () => this.#randomWord());
  }

  #makeId(): Uint8Array {
    const id = new Uint8Array(ID_BYTES);
    this.#world.ground.fillRandom(id, 0);
    return id;
  }
}

/** Where all nodes are of this machine, they have few addresses. */
function isLimited({ limitsNetworks }: DhtOptions, { address }: DatagramSocket): boolean {
  return limitsNetworks ?? !(address.host.startsWith("127.") || address.host === "::1");
}
