// The options of the public API, once: name, what is allowed, default, unit, and what they are for. The types in options.ts and
// the tables in the README are written from here (`npm run options`; a test holds them to it), option-check.ts of base/ checks what callers
// give against it, and the command line takes ranges and defaults from it.
//
// It is long because it is one table, with a text for each option.
//
// Always: a default lies in its range; `text` is whole sentences and says neither range nor default, which are added to it.

import {
  BLOCK_SIZE,
  MIB,
  PIECE_LENGTH_MADE_MIN,
  PIECE_LENGTH_MAX,
  POOL_BYTES_DEFAULT,
  POOL_BYTES_MAX,
  POOL_BYTES_MIN,
  RECEIVE_BUFFER_BYTES,
  RECEIVE_BUFFER_BYTES_MAX,
  RECEIVE_BUFFER_BYTES_MIN,
  REQUESTS_DEFAULT,
  REQUESTS_MAX,
  SPECULATION_DEPTH_MAX,
  WRITE_RUN_BYTES,
  WRITE_RUN_BYTES_MAX,
} from "../base/limits.js";
import type {
  BytesSpec,
  NameSpec,
  PartSpec,
  PlainSpec,
  WholeSpec,
  WholesSpec,
} from "../base/option-check.js";
import { RECEIVE_MODES } from "./receive/receive-mode.js";
import { SEND_MODES } from "./send/block-source.js";
import { STORAGE_KINDS } from "./storage/storage.js";
import { ENCRYPTION_POLICIES } from "./stream/encryption-policy.js";

interface Described {
  readonly text: string;
  /** In words, where the default is no plain value. */
  readonly defaultText?: string;
}

export interface WholeOption extends WholeSpec, Described {
  readonly unit?: "bytes" | "bytes/s" | "ms" | "seconds";
  readonly default?: number;
}

export interface NameOption extends NameSpec, Described {
  /** Its TypeScript type. */
  readonly type: string;
  readonly default?: string;
}

export interface PlainOption extends Described {
  readonly kind: Exclude<PlainSpec["kind"], "callback" | "file" | "set"> | "addresses";
  readonly default?: boolean;
}

export interface BytesOption extends BytesSpec, Described {
  readonly length: number;
}

export const PIECE_ORDERS = ["rarest", "sequential"] as const;
/** Which pieces are begun first, among those of one priority. */
export type PieceOrder = (typeof PIECE_ORDERS)[number];

export interface CallbackOption extends Described {
  readonly kind: "callback";
  /** Its TypeScript type. */
  readonly type: string;
}

/** An array of whole numbers. */
export interface WholesOption extends WholesSpec, Described {}

/** Something that has methods and other members. */
export interface PartOption extends PartSpec, Described {
  /** Its TypeScript type. */
  readonly type: string;
}

export type OptionSpec =
  | WholeOption
  | WholesOption
  | NameOption
  | PlainOption
  | BytesOption
  | CallbackOption
  | PartOption;
export type OptionTable = Readonly<Record<string, OptionSpec>>;

const DAY_MS = 86_400_000;
const PEERS_MAX = 1_000_000;
const SOCKET_BUFFER_MAX = 2 ** 30;

const timeout = <Default extends number>(value: Default, text: string) =>
  ({ kind: "whole", min: 1, max: DAY_MS, unit: "ms", default: value, text }) as const;

const rateLimit = (text: string) =>
  ({ kind: "whole", min: 0, max: 2 ** 40, unit: "bytes/s", default: 0, text }) as const;

/** Of setRateLimits() of a session, a torrent or a connection. */
export const RATE_LIMIT_OPTIONS = {
  maxDownloadBytesPerSecond: rateLimit(
    "The most that is received in a second from peers that blocks may come from, headers and other messages of theirs included; 0: no limit. Reading waits, and nothing is dropped.",
  ),
  maxUploadBytesPerSecond: rateLimit(
    "The most that is sent in a second; 0: no limit. Messages do not wait, but they count, and blocks wait instead.",
  ),
} as const satisfies OptionTable;

/** Options of a session, with their ranges, defaults and texts: for programs that show them to people. */
export const SESSION_OPTIONS = {
  listen: {
    kind: "address",
    text: "Address to accept connections at; port 0 picks one. Without it the session only connects out, until listen() is given one.",
  },
  outgoingAddresses: {
    kind: "texts",
    defaultText:
      "the address that connections are accepted at, where it is one of this machine's and no wildcard; else the system chooses",
    text: 'Numeric addresses of this machine, one of IPv4 and one of IPv6 at the most, that connections to peers, trackers and web seeds are made from; where one kind is given, the other is not used. "0.0.0.0" and "::" let the system choose.',
  },
  receiveMode: {
    kind: "name",
    names: RECEIVE_MODES,
    type: "ReceiveModeName",
    default: "adaptive",
    text: "How blocks are received, unless a torrent or a connection says otherwise.",
  },
  contiguousRecvBuffers: {
    kind: "flag",
    text: 'libtorrent\'s `contiguous_recv_buffers`: true is "contiguous"; false is "scatter" for peers that we download from and "contiguous" for the others. Not together with `receiveMode`.',
  },
  speculationDepth: {
    kind: "whole",
    min: 1,
    max: SPECULATION_DEPTH_MAX,
    default: SPECULATION_DEPTH_MAX,
    text: "Blocks that one speculative receive predicts at most; 16 or fewer where it is not sure that more will come.",
  },
  sendMode: {
    kind: "name",
    names: SEND_MODES,
    type: "SendModeName",
    default: "copy",
    text: "Where blocks are sent from.",
  },
  poolBytes: {
    kind: "whole",
    min: POOL_BYTES_MIN,
    max: POOL_BYTES_MAX,
    unit: "bytes",
    default: POOL_BYTES_DEFAULT,
    text: "Memory of the session that blocks live in. It never grows: when it is full, peers are read from more slowly.",
  },
  maxRequests: {
    kind: "whole",
    min: 1,
    max: REQUESTS_MAX,
    default: REQUESTS_DEFAULT,
    text: "Requests outstanding at one peer at the most; the peer's `reqq` bounds them too.",
  },
  maxPeers: {
    kind: "whole",
    min: 1,
    max: PEERS_MAX,
    default: 5000,
    text: "Connections of the session at the most, and never more than three quarters of the descriptors that the process may have open, less those that are left to others.",
  },
  maxPeersPerTorrent: {
    kind: "whole",
    min: 1,
    max: PEERS_MAX,
    defaultText: "four fifths of `maxPeers`",
    text: "Connections of one torrent at the most.",
  },
  maxPeersPerAddress: {
    kind: "whole",
    min: 1,
    max: PEERS_MAX,
    default: 8,
    text: "Connections with one IPv4 address, or one /64 of IPv6, at the most, and with one /48 eight times as many: no more are accepted from there, or made to addresses there that a tracker or a peer named.",
  },
  maxConnecting: {
    kind: "whole",
    min: 1,
    max: 10_000,
    default: 256,
    text: "Connections that are being made at one time, of all torrents together; one torrent may have half of them. Never more than a quarter of all connections that the session may have.",
  },
  limitLoopback: {
    kind: "flag",
    default: false,
    text: "Whether `maxPeersPerAddress` holds for this machine's own addresses (127/8 and ::1) too: behind a tunnel, a proxy or a forwarded port all peers have the same one.",
  },
  ipFilter: {
    kind: "part",
    type: "IpFilter",
    methods: ["has"],
    lists: [],
    text: "Addresses of peers that are neither connected to nor accepted, whoever named them; `AddressRanges.parse()` reads lists, and Session.setIpFilter() changes it. Trackers and web seeds are not filtered.",
  },
  admit: {
    kind: "callback",
    type: "(peer: ArrivingPeer) => boolean",
    text: "Called for each peer when both handshakes are done, before it joins its torrent. Unless it returns true, the peer is disconnected, and not dialled until somebody names it again. What it throws is an `uncaughtException`, and counts as no.",
  },
  encryption: {
    kind: "name",
    names: ENCRYPTION_POLICIES,
    type: "EncryptionPolicy",
    default: "enabled",
    text: 'Message stream encryption. "disabled": never; "enabled": where the other side asks for it or accepts nothing else; "required": always, and peers without it are refused. It hides the protocol from a casual look, and from nobody who is determined.',
  },
  ...RATE_LIMIT_OPTIONS,
  uploadSlots: {
    kind: "whole",
    min: 1,
    max: 10_000,
    default: 8,
    text: "Peers of a torrent that we upload to at one time, the optimistic one included.",
  },
  receiveBufferBytes: {
    kind: "whole",
    min: 0,
    max: SOCKET_BUFFER_MAX,
    unit: "bytes",
    default: 0,
    text: "SO_RCVBUF of each socket; 0 leaves it to the kernel.",
  },
  sendBufferBytes: {
    kind: "whole",
    min: 0,
    max: SOCKET_BUFFER_MAX,
    unit: "bytes",
    default: 0,
    text: "SO_SNDBUF of each socket; 0 leaves it to the kernel.",
  },
  contiguousBufferBytes: {
    kind: "whole",
    min: RECEIVE_BUFFER_BYTES_MIN,
    max: RECEIVE_BUFFER_BYTES_MAX,
    unit: "bytes",
    default: RECEIVE_BUFFER_BYTES,
    text: "What one contiguous receive takes at most; not more than half of `poolBytes`.",
  },
  connectTimeoutMs: timeout(10_000, "How long an address may take to answer."),
  handshakeTimeoutMs: timeout(10_000, "How long a handshake may take."),
  requestTimeoutMs: timeout(20_000, "How long a peer may leave requests unanswered before others get them."),
  idleTimeoutMs: timeout(150_000, "How long a connection may be silent."),
  sendTimeoutMs: timeout(30_000, "How long a peer may take nothing of what waits for it."),
  peerId: {
    kind: "bytes",
    length: 20,
    defaultText: '"-SW", the version ("0100-" for 0.1.0) and 12 random bytes',
    text: "Who we say we are.",
  },
  trackers: {
    kind: "flag",
    default: true,
    text: "Ask the trackers that torrent files and magnet links name for peers, unless a torrent says otherwise.",
  },
  localPeers: {
    kind: "flag",
    default: false,
    text: "Tell peers of the same network which torrents are here, and hear of theirs, by multicast (BEP 14); never of private torrents.",
  },
  portMapping: {
    kind: "flag",
    default: false,
    text: "Ask the router to forward the port at which connections over IPv4 are accepted, by PCP, NAT-PMP or UPnP, and by PCP to let those over IPv6 through, for as long as the session is open. Trackers, the DHT and peers outside are told the port outside. That there is no such router is a warning.",
  },
  announcePort: {
    kind: "whole",
    min: 1,
    max: 65_535,
    defaultText: "the port at which connections are accepted",
    text: "The port that trackers are told, where a router forwards another one than the session listens at.",
  },
  announceIp: {
    kind: "text",
    text: "Numeric address that trackers are told, for a proxy or a tunnel; most trackers take the one that we ask from instead.",
  },
  dht: {
    kind: "part",
    type: "HashTable",
    methods: ["lookup", "announce", "addNodes"],
    lists: ["addresses"],
    text: "A node of the DHT, `new Dht()` of `scatterwire/dht`: peers of torrents that are not private are looked up there, and those torrents announced. The session does not close it.",
  },
  metricsRegistry: {
    kind: "part",
    type: "MetricsRegistry",
    methods: ["registerMetric", "removeSingleMetric"],
    lists: [],
    text: "A Prometheus registry, such as prom-client's, that shows the session's figures while it is open. They are read when they are scraped, and those of sessions that share a registry are summed.",
  },
  record: {
    kind: "text",
    text: "A new file, in which everything that passes over all connections is recorded, cut as it arrived: replayRecording() and `scatterwire replay` feed it through any receive mode. It holds the addresses of peers and all their bytes.",
  },
  recordBytesMax: {
    kind: "whole",
    min: MIB,
    max: 2 ** 40,
    unit: "bytes",
    default: 1024 * MIB,
    text: "The size at which a recording ends; the session goes on.",
  },
  traceFile: {
    kind: "text",
    text: "A new file, to which a timeline for Perfetto (ui.perfetto.dev) is written: turns of the loop, what other threads read, write and hash, and for each peer its receives, sends, states and messages. It ends at 256 MiB.",
  },
  clockCosts: {
    kind: "flag",
    default: false,
    text: "Time the addon's calls and jobs, for Session.costs(). Costs a little itself.",
  },
  trace: {
    kind: "callback",
    type: "(record: TraceRecord) => void",
    defaultText: "what the environment's SCATTERWIRE_TRACE says",
    text: "Receives each transition and message of each connection, when the turn of the loop is over.",
  },
} as const satisfies OptionTable;

/** Options of a torrent, as {@link SESSION_OPTIONS}. */
export const TORRENT_OPTIONS = {
  directory: {
    kind: "folder",
    text: 'Folder that the torrent\'s file or folder lies in; "." is the current one. Needed by all kinds of storage but "memory" and "null".',
  },
  storage: {
    kind: "name",
    names: STORAGE_KINDS,
    type: "StorageKind",
    default: "file",
    text: "Where pieces are kept.",
  },
  customStorage: {
    kind: "part",
    type: "CustomStorage",
    methods: ["open", "read", "write", "sync", "close"],
    lists: [],
    text: "Storage of the program's own, instead of `storage` and `directory`: five methods; `customStorageContract()` of `scatterwire/testing` checks them. There is no resume data: what may be there is read and compared at the start, unless `assumeComplete` or `assumeEmpty` says otherwise.",
  },
  preallocate: {
    kind: "flag",
    defaultText: 'true with "direct" and "mapped"',
    text: 'Reserve the space of all files before the first byte. False with "mapped" is for measuring only: a disk that fills up then fails the torrent with `STORAGE_IO`, as if the file had been cut short.',
  },
  populate: {
    kind: "flag",
    default: false,
    text: 'With storage "mapped", and with `readOnly` and send mode "mapped": make all pages present before the first byte (MAP_POPULATE). It waits for the disk wherever data is not cached.',
  },
  writeRunBytes: {
    kind: "whole",
    min: BLOCK_SIZE,
    max: WRITE_RUN_BYTES_MAX,
    multipleOf: BLOCK_SIZE,
    unit: "bytes",
    default: WRITE_RUN_BYTES,
    text: "Adjacent blocks that one write gathers, within a piece.",
  },
  verify: {
    kind: "flag",
    default: true,
    text: "Check pieces against their digests. False is for measuring only: no peer is told of any piece then, and nothing is kept to resume from.",
  },
  resume: { kind: "flag", default: true, text: "Use and keep resume data." },
  assumeComplete: {
    kind: "flag",
    default: false,
    text: "All pieces are there: skip the check. For seeding data that is known to be good.",
  },
  assumeEmpty: {
    kind: "flag",
    default: false,
    text: "No piece is there, whatever the files hold: skip the check, and download everything.",
  },
  readOnly: {
    kind: "flag",
    default: false,
    text: "Open existing files read-only, take no lock, never write: what is there is seeded, and what is missing is not fetched.",
  },
  receiveMode: {
    kind: "name",
    names: RECEIVE_MODES,
    type: "ReceiveModeName",
    defaultText: "as the session does",
    text: "How blocks are received from the peers of this torrent.",
  },
  sendMode: {
    kind: "name",
    names: SEND_MODES,
    type: "SendModeName",
    defaultText: "as the session does",
    text: "Where blocks of this torrent are sent from.",
  },
  ...RATE_LIMIT_OPTIONS,
  maxPeers: {
    kind: "whole",
    min: 1,
    max: PEERS_MAX,
    defaultText: "the session's `maxPeersPerTorrent`",
    text: "Connections of this torrent at the most; the session's bounds hold besides.",
  },
  peers: { kind: "addresses", text: "Peers to connect to at once." },
  trackers: {
    kind: "trackers",
    defaultText: "as the session does",
    text: "True: ask the torrent's trackers for peers; false: ask none; addresses of trackers: ask those as well, each as a tier of its own, behind the torrent's (not for a private torrent).",
  },
  select: {
    kind: "wholes",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    defaultText: "all files, or what the magnet link says",
    text: "Indices of the files that are wanted; the others are not fetched, and not made unless they share a piece with one that is.",
  },
  priorities: {
    kind: "wholes",
    min: 0,
    max: 7,
    defaultText: "4 for each",
    text: "How much each file is wanted, in their order: 7 first, 0 not at all.",
  },
  order: {
    kind: "name",
    names: PIECE_ORDERS,
    type: "PieceOrder",
    default: "rarest",
    text: 'Which pieces come first, among those of one priority: "rarest" is best for the swarm, "sequential" for whoever reads from the front while it comes.',
  },
  pieceStrategy: {
    kind: "part",
    type: "PieceStrategy",
    methods: ["next"],
    lists: [],
    text: "The program's own order of pieces: `next(view)` names those to begin next. Where it names none that a peer has, `order` decides: nothing waits for it. What it throws is an `uncaughtException`, and the download goes on.",
  },
  superSeeding: {
    kind: "flag",
    default: false,
    text: "Show each peer a few pieces only, another one when one of those is seen elsewhere, so that the first copy leaves about once (BEP 16). For the only one who has a torrent, and has all of it when it is added: else it has no effect. It ends by itself when the whole is out.",
  },
  webSeeds: {
    kind: "flag",
    default: true,
    text: "Fetch blocks from the web servers that the torrent names (BEP 19), beside its peers.",
  },
  lendBlocks: {
    kind: "flag",
    default: false,
    text: "Keep blocks of verified pieces for torrent.blocks(), besides storing them. Somebody has to take them there: `done` waits for it. Not together with `onBlock`.",
  },
  onBlock: {
    kind: "callback",
    type: "(lease: BlockLease) => void",
    text: 'Lends the blocks of each piece once the piece is verified, in ascending order, besides storing them (storage "null" keeps nothing). A lease holds a slot of the pool until it is released: releasing late is back-pressure on the peers. Blocks that memory had no room for until then are read back from storage; with "null" they wait in ordinary memory, so for pieces that are large beside `poolBytes` another kind is better. `done` resolves when all were lent. With `verify: false` each block is lent as it arrives, and not stored. Pieces that were there at the start are not lent: read() reads them.',
  },
  signal: {
    kind: "signal",
    text: "Ends the torrent as close() does; add() and done reject with code ABORTED, and the signal's reason as `cause`.",
  },
} as const satisfies OptionTable;

/** Of addPeer(). */
export const PEER_CONNECT_OPTIONS = {
  receiveMode: {
    kind: "name",
    names: RECEIVE_MODES,
    type: "ReceiveModeName",
    defaultText: "as the torrent does",
    text: "How blocks are received from this peer, on this connection and on later ones to the same address.",
  },
} as const satisfies OptionTable;

/** Of Torrent.remove(). */
export const REMOVE_OPTIONS = {
  data: { kind: "flag", default: false, text: "Delete what was downloaded, too." },
} as const satisfies OptionTable;

/** Of checkTorrent(). */
export const CHECK_OPTIONS = {
  onProgress: {
    kind: "callback",
    type: "(fraction: number) => void",
    text: "How far it is, from 0 to 1.",
  },
  signal: { kind: "signal", text: "Stops it: it rejects with code ABORTED." },
} as const satisfies OptionTable;

/** Of fetchMetainfo(). */
export const FETCH_OPTIONS = {
  signal: { kind: "signal", text: "Stops it: it rejects with code ABORTED." },
} as const satisfies OptionTable;

/** Of createTorrentFile(). */
export const CREATE_OPTIONS = {
  pieceLength: {
    kind: "whole",
    min: PIECE_LENGTH_MADE_MIN,
    max: PIECE_LENGTH_MAX,
    unit: "bytes",
    defaultText: "chosen for the size",
    text: "Length of a piece; not only powers of two.",
  },
  announce: { kind: "texts", text: "Tracker addresses; each is a tier of its own." },
  private: { kind: "flag", default: false, text: "Peers come from the trackers only (BEP 27)." },
  comment: { kind: "text", text: "A comment in the torrent file." },
  name: { kind: "text", defaultText: "that of the file or folder", text: "Name in the torrent." },
  padding: { kind: "flag", default: false, text: "Align each file with a piece (BEP 47). For folders." },
  creationDate: {
    kind: "whole",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: "seconds",
    defaultText: "now",
    text: "When it was made, counted from 1970.",
  },
  output: {
    kind: "text",
    text: "Where the torrent file is going to be written: refused if that is one of the files, or in one of the folders.",
  },
  onProgress: {
    kind: "callback",
    type: "(bytesHashed: number, bytesTotal: number) => void",
    text: "How far it is.",
  },
  signal: { kind: "signal", text: "Stops it: it rejects with code ABORTED." },
} as const satisfies OptionTable;
