// What a program may say of a DHT, and what it is told: types only.

import type { Ground } from "../base/ground.js";
import type { SocketAddress } from "../native/binding.js";
import type { Datagrams } from "../native/datagrams.js";
import type { BoundCounters } from "./bound-counters.js";
import type { Family } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import type { HashListener } from "./responder.js";
import type { SamplerCounters } from "./sampler.js";
import type { NodeCounters } from "./virtual-node.js";

/** How a node is made; with none of them it receives at any port of IPv4, and knows nobody. */
export interface DhtOptions {
  /** Where each virtual node receives: numeric addresses, one node each (BEP 45). Default: one at 0.0.0.0, any port. */
  readonly listen?: readonly SocketAddress[];
  /** Numeric addresses of nodes to begin with. */
  readonly bootstrap?: readonly SocketAddress[];
  /** What save() gave in an earlier run: nodes to begin with, and our id. */
  readonly saved?: Uint8Array;
  /**
   * 20 bytes; ids of virtual nodes are derived from it. Default: that of `saved`, else chance, and where there is one virtual node in a public
   * network, one that belongs to our address as soon as others have told us that (BEP 42).
   */
  readonly id?: Uint8Array;
  /** Our address in the world, if it is known: our id is one that belongs to it then (BEP 42), if there is one virtual node. */
  readonly externalAddress?: string;
  /** Asks, and answers nobody (BEP 43): for whoever cannot be reached. */
  readonly readOnly?: boolean;
  /**
   * Takes one node of each subscriber only, as a public network wants. Default: true, unless the first virtual node listens at an
   * address of this machine, where all nodes are.
   */
  readonly limitsNetworks?: boolean;
  /**
   * Queries a second that one address (IPv6: /64) may send us: more are not answered. Default: 10, and any number where `limitsNetworks` is
   * false.
   */
  readonly incomingPerSecond?: number;
  /** Queries a second that one address is sent, whoever named it. Default: 4, and any number where `limitsNetworks` is false. */
  readonly outgoingPerSecond?: number;
  /**
   * Answers a second that all addresses together get of one virtual node: who sends us queries in the names of many others can make us
   * send them no more. Default: 1,000, and any number where `limitsNetworks` is false.
   */
  readonly answersPerSecond?: number;
  /** A query frees its slot after the 90th percentile of the last answers' times; false, to measure what that is worth: after 10 s. Default: true. */
  readonly adaptsTimeouts?: boolean;
  /** Lookups begin with nodes near keys that were looked up of late; false, to measure what that is worth. Default: true. */
  readonly usesCache?: boolean;
  /** Ids of virtual nodes are spread evenly; false, to measure what that is worth: by chance. Default: true. */
  readonly staggersIds?: boolean;
  /** Memory for peers that announce to us, in bytes, 1 MiB or more. Default: 16 MiB. */
  readonly peerBytesMax?: number;
  /** Hears which torrents are asked for. */
  readonly hashes?: HashListener;
  /** An endpoint of ours that some lookups shall find, as in packets (passive retrieval). */
  readonly inject?: (query: KrpcReader, family: Family) => Uint8Array | undefined;
}

/**
 * What a node emits, with what listeners get. There is no `error`: what goes wrong out there is counted, and tried again. Listeners are called when
 * the turn is over that they are told of, so that they may do anything, `close()` included; what one throws is an uncaught exception, and
 * harms nobody else.
 */
export interface DhtEvents {
  /** Somebody has answered, and the first lookup of our own id has found who is nearest: lookups have where to begin. Once. */
  ready: [];
  /**
   * Queries of this family went out, and nothing has answered for a minute: the link is held to be dead, and nobody is dropped for it. Of a node
   * that never knew anybody, too.
   */
  linkLost: [family: 4 | 6];
  /** Something answers again. */
  linkBack: [family: 4 | 6];
  /** Our address, as most of those see it who told us one; and again when they tell another. */
  externalAddress: [host: string];
  /** Somebody announced a torrent to us with a token of ours: its hash (20 bytes), and where the peer takes connections. */
  announce: [infoHash: Uint8Array, peer: SocketAddress];
}

/** What the DHT stands on. The system's by default; a simulation hands in its own. */
export interface DhtWorld {
  readonly datagrams: Datagrams;
  readonly ground: Ground;
  /** Calls back when what is running now is over, before anything else happens. */
  readonly soon: (callback: () => void) => void;
  readonly close: () => void;
}

/** Numbers of a node and of its virtual nodes together. */
export interface DhtStats {
  /** Nodes in the tables, of both families. */
  readonly contacts: number;
  /** Lookups that were begun, those of the table's own care included. */
  readonly lookups: number;
  /** Lookups that are not complete: what has converged may still wait for late answers. */
  readonly lookupsUnderWay: number;
  /** Of these, lookups that have not converged: the nearest nodes are not known yet. */
  readonly lookupsSearching: number;
  /** Queries that neither were answered nor failed, which takes 10 s. */
  readonly queriesUnderWay: number;
  /** Torrents that others announced to us. */
  readonly torrentsKept: number;
  /** Peers of those torrents, of both families. */
  readonly peersKept: number;
  /** Messages of all virtual nodes since the beginning. */
  readonly counters: Readonly<NodeCounters>;
  /** How often bounds against others held. */
  readonly bounds: Readonly<BoundCounters>;
  /** What came of asking for samples (BEP 51). */
  readonly sampling: Readonly<SamplerCounters>;
  /** Announces that were refused, for their address had announced the torrent with enough ports. */
  readonly announcesRefused: number;
  /** Our own address, IPv4 before IPv6, as most of those see it who told us one, each once; undefined before that. */
  readonly externalAddress: string | undefined;
}

/** Of a lookup of peers. */
export interface LookupOptions {
  /** Ends the lookup. */
  readonly signal?: AbortSignal;
  /** Whoever has all of the torrent already does not ask for others who have (BEP 33). */
  readonly noSeeds?: boolean;
  /**
   * The node that told of the torrent: it is asked for peers first, and if it knows any, nobody else is asked. One query instead of a
   * lookup.
   */
  readonly sampler?: SampledNode;
}

/** A node of the DHT, as packets name it. */
export interface SampledNode {
  /** 20 bytes. */
  readonly id: Uint8Array;
  /** Its address, in numbers. */
  readonly host: string;
  /** Its UDP port, 1 to 65,535. */
  readonly port: number;
}

/** Of asking nodes what they keep (BEP 51). */
export interface SampleOptions {
  /** Ends the sampling. */
  readonly signal?: AbortSignal;
  /** How often the key space is gone through. Default: without end. */
  readonly sweeps?: number;
}

/** One node's answer. */
export interface Samples {
  /** Who answered: to be given to `lookup()` as `sampler`. */
  readonly node: SampledNode;
  /** Torrents that somebody has announced to it, 20 bytes each. Nobody vouches for them. */
  readonly infoHashes: readonly Uint8Array[];
  /** How many it says it has. */
  readonly torrents: number;
}

/** What the nodes nearest to a torrent say of it (BEP 33): estimates, of addresses. */
export interface DhtScrape {
  /** Addresses that have all of it. */
  readonly seeds: number;
  /** Those that are no seeds. */
  readonly peers: number;
  /** How many nodes said something. */
  readonly nodes: number;
}

/** Of an announce: `port` or `ports`, `seed`, and what a lookup takes. */
export interface AnnounceOptions extends LookupOptions {
  /** Where peers reach us; 0: the port that our queries come from (`implied_port`). */
  readonly port?: number;
  /**
   * Where peers reach us over each kind of address, where that is not `port` for both: one that is left out is looked up over, and nobody there
   * is told anything.
   */
  readonly ports?: { readonly v4?: number | undefined; readonly v6?: number | undefined };
  /** We have all of it (BEP 33). */
  readonly seed?: boolean;
}
