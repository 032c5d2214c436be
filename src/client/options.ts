// Options, events and statistics of the public API. Types only: what options are allowed is in option-table.ts, and what they do
// in session/, torrent/ and peer/. Imports types from below, and nothing else.
// It is long because half of it is written from the table, and the rest is what a program is told, with units.

import type { PeerError, TrackerError } from "../base/errors.js";
import type { TransferCounters } from "../base/metrics/counters.js";
import type { TraceRecord } from "../base/metrics/trace.js";
import type { RateLimitChange } from "../base/rate-limit.js";
import type { PeerExtensionClass } from "./extensions/extension-wire.js";
import type { MetadataProgress } from "./extensions/metadata-exchange.js";
import type { Magnet } from "./metainfo/magnet.js";
import type { Metainfo } from "./metainfo/types.js";
import type { PieceOrder } from "./option-table.js";
import type { ReceiveModeName } from "./receive/receive-mode.js";
import type { SendModeName } from "./send/block-source.js";
import type { ConnectionStats, MetricsRegistry } from "./statistics.js";
import type { CustomStorage } from "./storage/custom-storage.js";
import type { StorageKind } from "./storage/storage.js";
import type { EncryptionPolicy } from "./stream/encryption-policy.js";

export type { Costs } from "../base/metrics/costs.js";
export type { TransferCounters } from "../base/metrics/counters.js";
export type { TraceRecord } from "../base/metrics/trace.js";
export type { RateLimitChange } from "../base/rate-limit.js";
export type { PeerExtension, PeerExtensionClass } from "./extensions/extension-wire.js";
export type { MetadataProgress } from "./extensions/metadata-exchange.js";
export { RECEIVE_MODES, type ReceiveModeName } from "./receive/receive-mode.js";
export { SEND_MODES, type SendModeName } from "./send/block-source.js";
export type { ConnectionStats, MetricsRegistry, SessionStats, TorrentStats } from "./statistics.js";
export type { CustomStorage, StoredTorrent } from "./storage/custom-storage.js";
export { ENCRYPTION_POLICIES, type EncryptionPolicy } from "./stream/encryption-policy.js";

/** Where a peer, a tracker or a node is reached. */
export interface PeerAddress {
  /** Numeric IPv4 or IPv6 address. */
  readonly host: string;
  /** 1 to 65535; to listen at, 0 picks one. */
  readonly port: number;
}

export type { PieceOrder } from "./option-table.js";

/** A torrent, as a strategy sees it. It is good during the call, and as it is then. */
export interface PieceView {
  /** Pieces of the torrent: their indices are 0 to one less. */
  readonly pieceCount: number;
  /** Bytes of a piece; the last one may be shorter. */
  readonly pieceLength: number;
  /** Pieces that are looked at of what next() returns, at the most. */
  readonly max: number;
  /** True if the piece is wanted, not verified, and not begun: others are passed over. */
  isOpen(piece: number): boolean;
  /** Peers that are here and have it. */
  availability(piece: number): number;
  /** 1 to 7, 4 unless something was selected; 0: it is not wanted. */
  priority(piece: number): number;
}

/** Chooses the order of pieces. The option `pieceStrategy` of a torrent takes one. */
export interface PieceStrategy {
  /**
   * Indices of pieces to begin next, the first one first: as many as it likes, of which `view.max` count. For peers that have none of them,
   * and where it names too few, pieces are begun as `order` says. Called when the turn of the loop is over, about once a second and when
   * few of the pieces are left that it named. It is not waited for, and what it throws is an `uncaughtException`.
   */
  next(view: PieceView): Iterable<number>;
}

/** What of a torrent is wanted, and how much. */
export interface Selection {
  /** Indices in `metainfo.files`. Their pieces get the highest priority of the files that they lie in. */
  readonly files?: readonly number[];
  /** Indices of pieces, whatever files they lie in. */
  readonly pieces?: readonly number[];
  /** 0: not wanted; 1 to 7: how much. Default: 4. */
  readonly priority?: number;
}

/** What a torrent is added from: a parsed torrent file or its bytes, a parsed magnet link or its text. */
export type TorrentSource = Metainfo | Uint8Array | Magnet | string;

/** Addresses that are kept out: `AddressRanges` is one. Asked for each connection. */
export interface IpFilter {
  /** True if nobody at this numeric address is to be talked to. */
  has(host: string): boolean;
}

/** A peer that would join a torrent, as the option `admit` sees it. */
export interface ArrivingPeer {
  /** 20 bytes, and so is `peerId`, which is whatever the peer says. */
  readonly infoHash: Uint8Array;
  /** 20 bytes: what the peer says that it is. */
  readonly peerId: Uint8Array;
  /** Where it is; of an incoming one, the port is the one that it connected from. */
  readonly address: PeerAddress;
  /** True if the peer connected to us. */
  readonly incoming: boolean;
  /** What goes over the connection is encrypted. */
  readonly encrypted: boolean;
  /** What its peer id says of its client, if anything. */
  readonly client: string;
}

/** A port at which others far away reach a session, because a router lets them through to it. */
export interface MappedPort {
  /** 4: a port of IPv4 that the router forwards; 6: one of IPv6 that it lets peers through to. */
  readonly family: 4 | 6;
  /** Our address of IPv6 that it is a port of; undefined for IPv4, where the address outside is the router's. */
  readonly host: string | undefined;
  /** Where connections are accepted on this machine. */
  readonly port: number;
  /** Where others far away connect to. */
  readonly portOutside: number;
  /** What the router was asked by. */
  readonly protocol: "PCP" | "NAT-PMP" | "UPnP";
}

/** A node of the DHT, as a session uses it: `Dht` of `scatterwire/dht` is one. It is the program's, which closes it. */
export interface HashTable {
  /** Where it receives; peers are told the first port. */
  readonly addresses: readonly PeerAddress[];
  /** Nodes to begin with, or to get better. */
  addNodes(nodes: readonly PeerAddress[]): void;
  /** Peers of a torrent; the end when nobody is left to ask. */
  lookup(infoHash: Uint8Array, options: { readonly signal: AbortSignal }): AsyncIterable<PeerAddress>;
  /**
   * Tells the nearest nodes that we take connections at `port`, and `peers` of each peer on the way; resolves to how many took it. `ports` says more:
   * where others far away reach us over each kind of address, and none where nobody is to be told of it.
   */
  announce(
    infoHash: Uint8Array,
    options: {
      readonly port: number;
      readonly ports: { readonly v4: number | undefined; readonly v6: number | undefined };
      readonly seed: boolean;
      readonly signal: AbortSignal;
    },
    peers: (peer: PeerAddress) => void,
  ): Promise<number>;
}

// ── written from option-table.ts by `npm run options` ──

/** Options of new Session(). */
export interface SessionOptions {
  /** Address to accept connections at; port 0 picks one. Without it the session only connects out, until listen() is given one. */
  listen?: PeerAddress;
  /**
   * Numeric addresses of this machine, one of IPv4 and one of IPv6 at the most, that connections to peers, trackers and web seeds
   * are made from; where one kind is given, the other is not used. "0.0.0.0" and "::" let the system choose. Default: the address
   * that connections are accepted at, where it is one of this machine's and no wildcard; else the system chooses.
   */
  outgoingAddresses?: readonly string[];
  /** How blocks are received, unless a torrent or a connection says otherwise. Default: "adaptive". */
  receiveMode?: ReceiveModeName;
  /**
   * libtorrent's `contiguous_recv_buffers`: true is "contiguous"; false is "scatter" for peers that we download from and
   * "contiguous" for the others. Not together with `receiveMode`.
   */
  contiguousRecvBuffers?: boolean;
  /**
   * Blocks that one speculative receive predicts at most; 16 or fewer where it is not sure that more will come. 1 … 112. Default:
   * 112.
   */
  speculationDepth?: number;
  /** Where blocks are sent from. Default: "copy". */
  sendMode?: SendModeName;
  /**
   * Memory of the session that blocks live in. It never grows: when it is full, peers are read from more slowly. 1 MiB … 2 GiB.
   * Default: 32 MiB.
   */
  poolBytes?: number;
  /** Requests outstanding at one peer at the most; the peer's `reqq` bounds them too. 1 … 4096. Default: 2000. */
  maxRequests?: number;
  /**
   * Connections of the session at the most, and never more than three quarters of the descriptors that the process may have open,
   * less those that are left to others. 1 … 1000000. Default: 5000.
   */
  maxPeers?: number;
  /** Connections of one torrent at the most. 1 … 1000000. Default: four fifths of `maxPeers`. */
  maxPeersPerTorrent?: number;
  /**
   * Connections with one IPv4 address, or one /64 of IPv6, at the most, and with one /48 eight times as many: no more are accepted
   * from there, or made to addresses there that a tracker or a peer named. 1 … 1000000. Default: 8.
   */
  maxPeersPerAddress?: number;
  /**
   * Connections that are being made at one time, of all torrents together; one torrent may have half of them. Never more than a
   * quarter of all connections that the session may have. 1 … 10000. Default: 256.
   */
  maxConnecting?: number;
  /**
   * Whether `maxPeersPerAddress` holds for this machine's own addresses (127/8 and ::1) too: behind a tunnel, a proxy or a
   * forwarded port all peers have the same one. Default: false.
   */
  limitLoopback?: boolean;
  /**
   * Addresses of peers that are neither connected to nor accepted, whoever named them; `AddressRanges.parse()` reads lists, and
   * Session.setIpFilter() changes it. Trackers and web seeds are not filtered.
   */
  ipFilter?: IpFilter;
  /**
   * Called for each peer when both handshakes are done, before it joins its torrent. Unless it returns true, the peer is
   * disconnected, and not dialled until somebody names it again. What it throws is an `uncaughtException`, and counts as no.
   */
  admit?: (peer: ArrivingPeer) => boolean;
  /**
   * Message stream encryption. "disabled": never; "enabled": where the other side asks for it or accepts nothing else; "required":
   * always, and peers without it are refused. It hides the protocol from a casual look, and from nobody who is determined. Default:
   * "enabled".
   */
  encryption?: EncryptionPolicy;
  /**
   * The most that is received in a second from peers that blocks may come from, headers and other messages of theirs included; 0:
   * no limit. Reading waits, and nothing is dropped. 0 … 1024 GiB/s. Default: 0 bytes/s.
   */
  maxDownloadBytesPerSecond?: number;
  /**
   * The most that is sent in a second; 0: no limit. Messages do not wait, but they count, and blocks wait instead. 0 … 1024 GiB/s.
   * Default: 0 bytes/s.
   */
  maxUploadBytesPerSecond?: number;
  /** Peers of a torrent that we upload to at one time, the optimistic one included. 1 … 10000. Default: 8. */
  uploadSlots?: number;
  /** SO_RCVBUF of each socket; 0 leaves it to the kernel. 0 bytes … 1 GiB. Default: 0 bytes. */
  receiveBufferBytes?: number;
  /** SO_SNDBUF of each socket; 0 leaves it to the kernel. 0 bytes … 1 GiB. Default: 0 bytes. */
  sendBufferBytes?: number;
  /** What one contiguous receive takes at most; not more than half of `poolBytes`. 16 KiB … 4 MiB. Default: 256 KiB. */
  contiguousBufferBytes?: number;
  /** How long an address may take to answer. 1 … 86400000 ms. Default: 10000 ms. */
  connectTimeoutMs?: number;
  /** How long a handshake may take. 1 … 86400000 ms. Default: 10000 ms. */
  handshakeTimeoutMs?: number;
  /** How long a peer may leave requests unanswered before others get them. 1 … 86400000 ms. Default: 20000 ms. */
  requestTimeoutMs?: number;
  /** How long a connection may be silent. 1 … 86400000 ms. Default: 150000 ms. */
  idleTimeoutMs?: number;
  /** How long a peer may take nothing of what waits for it. 1 … 86400000 ms. Default: 30000 ms. */
  sendTimeoutMs?: number;
  /** Who we say we are. 20 bytes. Default: "-SW", the version ("0100-" for 0.1.0) and 12 random bytes. */
  peerId?: Uint8Array;
  /** Ask the trackers that torrent files and magnet links name for peers, unless a torrent says otherwise. Default: true. */
  trackers?: boolean;
  /**
   * Tell peers of the same network which torrents are here, and hear of theirs, by multicast (BEP 14); never of private torrents.
   * Default: false.
   */
  localPeers?: boolean;
  /**
   * Ask the router to forward the port at which connections over IPv4 are accepted, by PCP, NAT-PMP or UPnP, and by PCP to let
   * those over IPv6 through, for as long as the session is open. Trackers, the DHT and peers outside are told the port outside.
   * That there is no such router is a warning. Default: false.
   */
  portMapping?: boolean;
  /**
   * The port that trackers are told, where a router forwards another one than the session listens at. 1 … 65535. Default: the port
   * at which connections are accepted.
   */
  announcePort?: number;
  /** Numeric address that trackers are told, for a proxy or a tunnel; most trackers take the one that we ask from instead. */
  announceIp?: string;
  /**
   * A node of the DHT, `new Dht()` of `scatterwire/dht`: peers of torrents that are not private are looked up there, and those
   * torrents announced. The session does not close it.
   */
  dht?: HashTable;
  /**
   * A Prometheus registry, such as prom-client's, that shows the session's figures while it is open. They are read when they are
   * scraped, and those of sessions that share a registry are summed.
   */
  metricsRegistry?: MetricsRegistry;
  /**
   * A new file, in which everything that passes over all connections is recorded, cut as it arrived: replayRecording() and
   * `scatterwire replay` feed it through any receive mode. It holds the addresses of peers and all their bytes.
   */
  record?: string;
  /** The size at which a recording ends; the session goes on. 1 MiB … 1024 GiB. Default: 1 GiB. */
  recordBytesMax?: number;
  /**
   * A new file, to which a timeline for Perfetto (ui.perfetto.dev) is written: turns of the loop, what other threads read, write
   * and hash, and for each peer its receives, sends, states and messages. It ends at 256 MiB.
   */
  traceFile?: string;
  /** Time the addon's calls and jobs, for Session.costs(). Costs a little itself. Default: false. */
  clockCosts?: boolean;
  /**
   * Receives each transition and message of each connection, when the turn of the loop is over. Default: what the environment's
   * SCATTERWIRE_TRACE says.
   */
  trace?: (record: TraceRecord) => void;
}

/** Options of Session.add(). */
export interface TorrentOptions {
  /**
   * Folder that the torrent's file or folder lies in; "." is the current one. Needed by all kinds of storage but "memory" and
   * "null".
   */
  directory?: string;
  /** Where pieces are kept. Default: "file". */
  storage?: StorageKind;
  /**
   * Storage of the program's own, instead of `storage` and `directory`: five methods; `customStorageContract()` of
   * `scatterwire/testing` checks them. There is no resume data: what may be there is read and compared at the start, unless
   * `assumeComplete` or `assumeEmpty` says otherwise.
   */
  customStorage?: CustomStorage;
  /**
   * Reserve the space of all files before the first byte. False with "mapped" is for measuring only: a disk that fills up then
   * fails the torrent with `STORAGE_IO`, as if the file had been cut short. Default: true with "direct" and "mapped".
   */
  preallocate?: boolean;
  /**
   * With storage "mapped", and with `readOnly` and send mode "mapped": make all pages present before the first byte (MAP_POPULATE).
   * It waits for the disk wherever data is not cached. Default: false.
   */
  populate?: boolean;
  /** Adjacent blocks that one write gathers, within a piece. 16 KiB … 4 MiB, a multiple of 16 KiB. Default: 1 MiB. */
  writeRunBytes?: number;
  /**
   * Check pieces against their digests. False is for measuring only: no peer is told of any piece then, and nothing is kept to
   * resume from. Default: true.
   */
  verify?: boolean;
  /** Use and keep resume data. Default: true. */
  resume?: boolean;
  /** All pieces are there: skip the check. For seeding data that is known to be good. Default: false. */
  assumeComplete?: boolean;
  /** No piece is there, whatever the files hold: skip the check, and download everything. Default: false. */
  assumeEmpty?: boolean;
  /**
   * Open existing files read-only, take no lock, never write: what is there is seeded, and what is missing is not fetched. Default:
   * false.
   */
  readOnly?: boolean;
  /** How blocks are received from the peers of this torrent. Default: as the session does. */
  receiveMode?: ReceiveModeName;
  /** Where blocks of this torrent are sent from. Default: as the session does. */
  sendMode?: SendModeName;
  /**
   * The most that is received in a second from peers that blocks may come from, headers and other messages of theirs included; 0:
   * no limit. Reading waits, and nothing is dropped. 0 … 1024 GiB/s. Default: 0 bytes/s.
   */
  maxDownloadBytesPerSecond?: number;
  /**
   * The most that is sent in a second; 0: no limit. Messages do not wait, but they count, and blocks wait instead. 0 … 1024 GiB/s.
   * Default: 0 bytes/s.
   */
  maxUploadBytesPerSecond?: number;
  /**
   * Connections of this torrent at the most; the session's bounds hold besides. 1 … 1000000. Default: the session's
   * `maxPeersPerTorrent`.
   */
  maxPeers?: number;
  /** Peers to connect to at once. */
  peers?: readonly PeerAddress[];
  /**
   * True: ask the torrent's trackers for peers; false: ask none; addresses of trackers: ask those as well, each as a tier of its
   * own, behind the torrent's (not for a private torrent). Default: as the session does.
   */
  trackers?: boolean | readonly string[];
  /**
   * Indices of the files that are wanted; the others are not fetched, and not made unless they share a piece with one that is.
   * Default: all files, or what the magnet link says.
   */
  select?: readonly number[];
  /** How much each file is wanted, in their order: 7 first, 0 not at all. Default: 4 for each. */
  priorities?: readonly number[];
  /**
   * Which pieces come first, among those of one priority: "rarest" is best for the swarm, "sequential" for whoever reads from the
   * front while it comes. Default: "rarest".
   */
  order?: PieceOrder;
  /**
   * The program's own order of pieces: `next(view)` names those to begin next. Where it names none that a peer has, `order`
   * decides: nothing waits for it. What it throws is an `uncaughtException`, and the download goes on.
   */
  pieceStrategy?: PieceStrategy;
  /**
   * Show each peer a few pieces only, another one when one of those is seen elsewhere, so that the first copy leaves about once
   * (BEP 16). For the only one who has a torrent, and has all of it when it is added: else it has no effect. It ends by itself when
   * the whole is out. Default: false.
   */
  superSeeding?: boolean;
  /** Fetch blocks from the web servers that the torrent names (BEP 19), beside its peers. Default: true. */
  webSeeds?: boolean;
  /**
   * Keep blocks of verified pieces for torrent.blocks(), besides storing them. Somebody has to take them there: `done` waits for
   * it. Not together with `onBlock`. Default: false.
   */
  lendBlocks?: boolean;
  /**
   * Lends the blocks of each piece once the piece is verified, in ascending order, besides storing them (storage "null" keeps
   * nothing). A lease holds a slot of the pool until it is released: releasing late is back-pressure on the peers. Blocks that
   * memory had no room for until then are read back from storage; with "null" they wait in ordinary memory, so for pieces that are
   * large beside `poolBytes` another kind is better. `done` resolves when all were lent. With `verify: false` each block is lent as
   * it arrives, and not stored. Pieces that were there at the start are not lent: read() reads them.
   */
  onBlock?: (lease: BlockLease) => void;
  /** Ends the torrent as close() does; add() and done reject with code ABORTED, and the signal's reason as `cause`. */
  signal?: AbortSignal;
}

// ── end of what is written ──

/** A block in the pool, lent to the caller. `bytes` is a view of pool memory and invalid after release. */
export interface BlockLease extends Disposable {
  /** Index of the piece. */
  readonly piece: number;
  /** Byte offset in the piece. */
  readonly begin: number;
  /** Throws UsageError `USAGE_STATE` after release, and when the session is closed. */
  readonly bytes: Uint8Array;
  /** Gives the memory back, once; `bytes` throws from then on. */
  release(): void;
}

/** A connection as it is now. */
export interface PeerInfo {
  /** Of one that connected to us, the port is the one that it connected from. */
  readonly address: PeerAddress;
  /** True if the peer connected to us. */
  readonly incoming: boolean;
  /**
   * What brought its address first: "user", "magnet", "local", "resume", "tracker", "dht" or "exchange"; "incoming" for one that connected
   * to us, and "web-seed" for what is no peer of the wire.
   */
  readonly source: string;
  /** Port at which it accepts connections: the one that we connected to, or that it told (BEP 10 `p`); undefined while nobody knows. */
  readonly listenPort: number | undefined;
  /** What goes over the connection is encrypted (message stream encryption). */
  readonly encrypted: boolean;
  /** What it calls itself (BEP 10 `v`), or what its peer id says; "" where neither does. */
  readonly client: string;
  /** `connecting`, `handshaking`, `open` or `closed`. */
  readonly state: string;
  /** The receive mode that was asked for. */
  readonly receiveMode: ReceiveModeName;
  /** The mode in use now, and why ("adaptive" chooses). */
  readonly receiveModeNow: Exclude<ReceiveModeName, "adaptive">;
  /** Why the mode in use is in use. */
  readonly receiveModeReason: string;
  /** We give it nothing now (BEP 3). */
  readonly amChoking: boolean;
  /** It has something that we miss. */
  readonly amInterested: boolean;
  /** It gives us nothing now. */
  readonly peerChoking: boolean;
  /** It says that we have something that it misses. */
  readonly peerInterested: boolean;
  /** It left requests unanswered for too long: others are asked instead. */
  readonly snubbed: boolean;
  /** Blocks that it was asked for and has not sent. */
  readonly requestsOutstanding: number;
  /** How many there should be. */
  readonly requestsWanted: number;
  /** Bytes per second over the last seconds. */
  readonly downloadRate: number;
  /** Bytes per second that are sent to it, over the last seconds. */
  readonly uploadRate: number;
  /** Pieces that it says it has. */
  readonly pieces: number;
  /** What went over the connection. */
  readonly counters: Readonly<TransferCounters>;
}

/** What a peer is connected to with, where it differs from the torrent. */
export interface PeerConnectOptions {
  /** How blocks are received from this peer, on this connection and on later ones to the same address. */
  readonly receiveMode?: ReceiveModeName;
}

/** A set of pieces, to look at. */
export interface Pieces {
  /** How many are in the set. */
  readonly count: number;
  /** Pieces of the torrent. */
  readonly pieceCount: number;
  /** All pieces of the torrent are in it. */
  readonly isFull: boolean;
  /** True if the piece is in it. */
  has(piece: number): boolean;
}

/** One open connection of a torrent. The object outlives the connection: then `isOpen` is false and nothing has an effect. */
export interface Connection {
  /** Of one that connected to us, the port is the one that it connected from. */
  readonly address: PeerAddress;
  /** True if the peer connected to us. */
  readonly incoming: boolean;
  /** False once it is over. */
  readonly isOpen: boolean;
  /** What it is and does now; its counters so far. */
  info(): PeerInfo;
  /** What it moves now, and has moved since it began; after its end, as it was then. */
  stats(): ConnectionStats;
  /**
   * Changes how this connection receives, from its next message boundary on, whatever is under way. Throws UsageError
   * `USAGE_OPTION`.
   */
  setReceiveMode(mode: ReceiveModeName): void;
  /**
   * Changes how much may pass over this connection in a second, while bytes flow; what is left out stays as it is. The limits of its
   * torrent and session hold besides. Throws UsageError `USAGE_OPTION`.
   */
  setRateLimits(limits: RateLimitChange): void;
  /** Ends the connection. Its address is not tried again until it is given to addPeer() again. */
  disconnect(): void;
  /**
   * Adds an extension of the wire (BEP 10) to this connection, as WebTorrent's bittorrent-protocol does: a class whose prototype has a
   * name, constructed with the connection, with optional methods onHandshake(infoHash, peerId, offers),
   * onExtendedHandshake(handshake) and onMessage(message). It is mounted at `connection[name]`, and returned. One of the library's own
   * with the same name makes room for it. Throws UsageError `USAGE_OPTION`.
   */
  use<Instance extends object>(Extension: PeerExtensionClass<Instance>): Instance;
  /**
   * Sends a message of an extension: bytes, or a value to be bencoded. Throws UsageError `USAGE_STATE` if the peer does not have it,
   * `USAGE_OPTION` for more than 32 KiB.
   */
  extended(extension: string | number, payload: unknown): void;
  /** What our extension handshake is to tell besides, from the next use() on. */
  readonly extendedHandshake: Record<string, unknown>;
  /** The peer's last extension handshake, once an extension heard it. */
  readonly peerExtendedHandshake: Record<string, unknown>;
}

/**
 * Where a torrent is: fetching its metadata (a magnet), checking what is on the disk, held by pause(), fetching, having all that is wanted,
 * ended by an error, or closed.
 */
export type TorrentState =
  | "metadata"
  | "checking"
  | "paused"
  | "downloading"
  | "seeding"
  | "failed"
  | "closed";

/** How far a torrent is. Rates are bytes per second over the last seconds. */
export interface TorrentProgress {
  /** Where it is; while it is paused, what it will be again. */
  readonly state: TorrentState;
  /** False with the option `verify: false`: then "verified" pieces are pieces that were received, and nobody is told of them. */
  readonly verified: boolean;
  /** Pieces that are here and have the right digest. */
  readonly piecesVerified: number;
  /** Pieces of the torrent; 0 before the metadata. */
  readonly pieceCount: number;
  /** Bytes of verified pieces, and of the whole torrent. */
  readonly bytesVerified: number;
  /** Bytes of the whole torrent. */
  readonly bytesTotal: number;
  /** Bytes of pieces that are wanted, and of those of them that are not verified. */
  readonly bytesWanted: number;
  /** Bytes of wanted pieces that are not verified. */
  readonly bytesMissing: number;
  /** Fraction 0 … 1 of a check under way; 1 when none is. */
  readonly checked: number;
  /** Bytes of blocks per second that come. */
  readonly downloadRate: number;
  /** Bytes of blocks per second that are sent. */
  readonly uploadRate: number;
  /** Peers that are connected. */
  readonly peers: number;
  /** In state "metadata": how much of it is here. */
  readonly metadata?: MetadataProgress;
}

/** One tracker of a torrent, and what it said last. */
export interface TrackerStatus {
  /** As the torrent or the program names it. */
  readonly url: string;
  /** Of BEP 12: 0 is the first. */
  readonly tier: number;
  /** `never`: it is not asked again, because it said so (BEP 31) or its address is not one that can be asked. */
  readonly state: "idle" | "asking" | "works" | "fails" | "never";
  /** Peers that its last answer named. */
  readonly peers: number;
  /** Of the whole swarm, as it says. */
  readonly seeders: number | undefined;
  /** Peers of the whole swarm that miss something, as it says. */
  readonly leechers: number | undefined;
  /** Times that the torrent was downloaded whole, as it says. */
  readonly downloads: number | undefined;
  /** Text that it wants people to read. */
  readonly warning: string | undefined;
  /** Why its last announce came to nothing. */
  readonly error: TrackerError | undefined;
  /** Milliseconds until it is asked next, if it is its turn then. */
  readonly nextInMs: number | undefined;
  /** Our address as it sees it, where it says (BEP 24). */
  readonly externalIp: string | undefined;
}

/** One web seed of a torrent (BEP 19). */
export interface WebSeedStatus {
  /** As the torrent names it. */
  readonly url: string;
  /** `joined`: it is a peer now, and its connection shows what it brings. `never`: it is not asked again. */
  readonly state: "waiting" | "joined" | "never";
  /** Why it failed last. */
  readonly error: string | undefined;
}

/** What of a file is read; both ends as in node:fs, and so `end` is the last byte. */
export interface ReadStreamOptions {
  /** Byte offset in the file; 0 by default. */
  readonly start?: number;
  /** Offset of the last byte; that of the file by default. */
  readonly end?: number;
  /** Bytes that are fetched ahead. Default: 4 MiB, and two pieces at least. */
  readonly aheadBytes?: number;
}

/** What Torrent.remove() deletes. */
export interface RemoveOptions {
  /** Delete what was downloaded, too, and folders that are empty then. Default: false. */
  readonly data?: boolean;
}

/** Events of a Torrent: name → arguments of its listeners. */
export interface TorrentEvents {
  /** What the torrent holds is known now: for a magnet. */
  metadata: [metainfo: Metainfo];
  /** A part of the metadata of a magnet came. */
  metadataProgress: [progress: MetadataProgress];
  /** The check at the start made progress (fraction 0 … 1). */
  checking: [fraction: number];
  /** Checked and open for peers. */
  ready: [];
  /** A piece is verified and stored. */
  piece: [piece: number];
  /** A piece failed its check; `peers` sent blocks of it. */
  pieceFailed: [piece: number, peers: PeerAddress[]];
  /** All pieces that are wanted are verified and stored: once for each time that something was missing. */
  done: [];
  /** Both handshakes are done. */
  peerConnected: [peer: PeerInfo, connection: Connection];
  /** A connection, or an attempt at one, is over; the error says why, and is undefined where we just ended it. */
  peerDisconnected: [address: PeerAddress, error: PeerError | undefined];
  /** A peer sent what is wrong, beyond doubt: it is not let in again for six hours. */
  peerBanned: [address: PeerAddress, error: PeerError];
  /** The torrent stopped with a StorageError (or, our bug, an AssertionError); what was verified is safe. */
  failed: [error: Error];
  /** Something is wrong that the torrent lives with, and what to do about it. */
  warning: [text: string];
  /**
   * No peer is connected or being connected, and each that is known failed five times in a row, is of no use, or may not be connected to
   * (an IP filter, a ban). While pieces are missing those that failed are tried again, each after 1 to 8 minutes: this is told again when
   * that fails as well.
   */
  outOfPeers: [];
  /** A tracker answered, or did not: `state`, `error` and `warning` say which. */
  tracker: [status: TrackerStatus];
  /** A web seed failed: `error` says why. */
  webSeed: [status: WebSeedStatus];
}

/** Events of a Session: name → arguments of its listeners. */
export interface SessionEvents {
  /** Something is wrong that the session lives with, and what to do about it. */
  warning: [text: string];
  /** Connections are accepted at this address. */
  listening: [address: PeerAddress];
  /** A router lets peers through to us: told when it is so, and again when it is another port. That it ended is a warning. */
  portMapped: [mapping: MappedPort];
  /** An incoming connection that ended before it belonged to a torrent. */
  peerRefused: [address: PeerAddress, error: PeerError];
}
