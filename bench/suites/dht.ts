// What the mechanisms of a DHT indexer are worth (Grunthal 2010): the real node over a simulated network of a million others, once with
// each mechanism and once without. Queries, time and load are the simulation's; CPU is this machine's.
//
// A case asks for the peers of so many torrents, so many lookups at once, and counts. The network, its dead nodes and its torrents are the same
// in every case.

import type { Candidate } from "../../src/dht/candidates.js";
import { Dht } from "../../src/dht/dht.js";
import { type KrpcReader, METHOD_GET_PEERS } from "../../src/dht/krpc-reader.js";
import type { Lookup, LookupListener } from "../../src/dht/lookup.js";
import type { Overlay } from "../../src/dht/overlay.js";
import { readPeers } from "../../src/dht/peers.js";
import type { SocketAddress } from "../../src/native/binding.js";
import { addressNumber, addressOf, DhtNetwork } from "../load/dht-network.js";
import { HOSTILE_KINDS, type Hostile } from "../load/hostile-nodes.js";
import { ImplicitNodes } from "../load/implicit-nodes.js";
import { there } from "../measuring/ends.js";

export { HOSTILE_KINDS, type Hostile } from "../load/hostile-nodes.js";

export interface DhtCase {
  readonly name: string;
  readonly virtualNodes: number;
  readonly staggersIds: boolean;
  readonly adaptsTimeouts: boolean;
  readonly usesCache: boolean;
  /** Torrents in the order of their hashes, by several cursors; else at random. */
  readonly inOrder: boolean;
  /** Where lookups in order go on at the same time. */
  readonly cursors: number;
}

export interface DhtSettings {
  readonly nodes: number;
  readonly dead: number;
  readonly torrents: number;
  readonly lookups: number;
  readonly concurrent: number;
  readonly seed: number;
  /** Of the torrents' popularity (Zipf); 1 if not given. */
  readonly exponent?: number;
  /** Share of datagrams that are lost; 0.02 if not given. */
  readonly loss?: number;
  /** Median time for which a node is there; not given: those that are there stay. */
  readonly sessionMinutes?: number;
  readonly hostile?: Hostile | undefined;
}

export interface DhtRow {
  readonly name: string;
  readonly queriesPerLookup: number;
  /** Seconds until the nearest have answered, and until nothing is waited for: medians. */
  readonly convergedSeconds: number;
  readonly completedSeconds: number;
  /** Peers that were found, of all lookups together. */
  readonly peers: number;
  /** Most queries that one node got in a minute, and for a thousand lookups; how uneven they are over nodes that got any (Gini, 0 is even). */
  readonly queriesMostPerMinute: number;
  readonly queriesMostPerThousand: number;
  readonly gini: number;
  readonly contacts: number;
  /** Of the nodes that lookups end with, those that are an attacker's; and of the lookups, those that end with nobody else. */
  readonly hostileShare: number;
  readonly eclipsedShare: number;
  /** Queries a lookup to endpoints that were only named, and the most that the one victim of reflectors got in a second. */
  readonly toNamedPerLookup: number;
  readonly victimMostPerSecond: number;
  /** Processor time of our side and of the simulation together, per lookup. */
  readonly cpuMsPerLookup: number;
}

/** As many as the indexer has; and few, with which the nodes that cursors pass get more. */
const CURSORS = 256;
const FEW_CURSORS = 32;
const HOSTILE_PERCENT = 10;
const WITHOUT = {
  virtualNodes: 1,
  staggersIds: true,
  usesCache: false,
  inOrder: false,
  cursors: CURSORS,
} as const;

/** From nothing to everything, one mechanism after the other. */
export function dhtCases(virtualNodes: number): DhtCase[] {
  const several = { ...WITHOUT, adaptsTimeouts: true, virtualNodes };
  return [
    { ...WITHOUT, name: "random order, fixed timeouts", adaptsTimeouts: false },
    { ...WITHOUT, name: "adaptive timeouts", adaptsTimeouts: true },
    { ...several, name: `${virtualNodes} nodes, ids by chance`, staggersIds: false },
    { ...several, name: `${virtualNodes} nodes, staggered ids` },
    { ...several, name: "and the lookup cache", usesCache: true },
    { ...several, name: "and in order, no cache", inOrder: true },
    { ...several, name: "all: in order, with cache", usesCache: true, inOrder: true },
  ];
}

/** Nothing, everything, and everything but one mechanism each. */
export function dhtMatrix(virtualNodes: number): DhtCase[] {
  const all = { ...WITHOUT, adaptsTimeouts: true, usesCache: true, inOrder: true, virtualNodes };
  return [
    { ...WITHOUT, name: "random order, fixed timeouts", adaptsTimeouts: false },
    { ...all, name: "all" },
    { ...all, name: "all but adaptive timeouts", adaptsTimeouts: false },
    { ...all, name: "all but several nodes", virtualNodes: 1 },
    { ...all, name: "all but staggered ids", staggersIds: false },
    { ...all, name: "all but the lookup cache", usesCache: false },
    { ...all, name: "all but order", inOrder: false },
    { ...all, name: `all but ${CURSORS} cursors: ${FEW_CURSORS}`, cursors: FEW_CURSORS },
  ];
}

/** What a network may be like besides, each alone, and then at the same time. */
export interface Condition {
  readonly name: string;
  readonly settings: Pick<DhtSettings, "loss" | "sessionMinutes" | "hostile">;
}

export const CONDITIONS: readonly Condition[] = [
  { name: "as in the other tables", settings: {} },
  { name: "10 % of datagrams lost", settings: { loss: 0.1 } },
  { name: "nodes there for 200 minutes", settings: { sessionMinutes: 200 } },
  { name: "nodes there for 20 minutes", settings: { sessionMinutes: 20 } },
  ...HOSTILE_KINDS.map((kind) => ({
    name: `${HOSTILE_PERCENT} % ${kind}`,
    settings: { hostile: { kind, share: HOSTILE_PERCENT / 100 } },
  })),
  {
    name: "lost, 20 minutes and sybils",
    settings: { loss: 0.1, sessionMinutes: 20, hostile: { kind: "sybils", share: HOSTILE_PERCENT / 100 } },
  },
];

/** All mechanisms under each condition. */
export async function* runDhtConditions(virtualNodes: number, settings: DhtSettings): AsyncGenerator<DhtRow> {
  const [, all] = dhtMatrix(virtualNodes);
  if (all === undefined) return;
  for (const condition of CONDITIONS)
    yield await runDhtCase({ ...all, name: condition.name }, { ...settings, ...condition.settings });
}

/** Milliseconds of the network's time in which the table fills. */
const WARM_UP_MS = 180_000;
const STEP_MS = 100;

/** `look`: at the node itself, before it is closed. */
export async function runDhtCase(
  test: DhtCase,
  settings: DhtSettings,
  look: (dht: Dht) => void = () => {},
): Promise<DhtRow> {
  const { loss = 0.02, exponent = 1, sessionMinutes = 0, hostile } = settings;
  const network = new DhtNetwork({ seed: settings.seed, loss });
  const far = new ImplicitNodes(network, {
    count: settings.nodes,
    dead: settings.dead,
    seed: settings.seed,
    torrents: settings.torrents,
    peersMax: 2000,
    exponent,
    sessionMinutes,
    hostile,
  });
  const listen: SocketAddress[] = [];
  for (let index = 0; index < test.virtualNodes; index++)
    listen.push({ host: addressOf(0x0a000001 + 257 * index), port: 6881 });
  const id = new Uint8Array(20).map((_, at) => (settings.seed >>> (at % 4)) * (at + 1));
  const dht = new Dht(
    {
      listen,
      id,
      bootstrap: far.entrances(8),
      adaptsTimeouts: test.adaptsTimeouts,
      usesCache: test.usesCache,
      staggersIds: test.staggersIds,
      limitsNetworks: true,
      peerBytesMax: 2 ** 20,
    },
    network.world(),
  );
  await network.run(WARM_UP_MS);
  const overlay = there(dht.overlays.get(4));
  const contacts = overlay.table.count;
  far.queries.fill(0);
  const toNamedBefore = far.hostile?.toNamed ?? 0;
  const begunMs = network.ground.nowMs();
  const cpu = process.cpuUsage();
  const round = new Round(overlay, far, test, settings);
  while (!round.isOver) await network.run(STEP_MS);
  const spent = process.cpuUsage(cpu);
  const minutes = (network.ground.nowMs() - begunMs) / 60_000;
  const row = round.row(test.name, contacts, minutes, (spent.user + spent.system) / 1000);
  look(dht);
  dht.close();
  return {
    ...row,
    toNamedPerLookup: ((far.hostile?.toNamed ?? 0) - toNamedBefore) / settings.lookups,
    victimMostPerSecond: far.hostile?.victimMostPerSecond ?? 0,
  };
}

class Round implements LookupListener {
  readonly #overlay: Overlay;
  readonly #far: ImplicitNodes;
  readonly #test: DhtCase;
  readonly #settings: DhtSettings;
  readonly #converged: number[] = [];
  readonly #completed: number[] = [];
  readonly #found = new Map<Lookup, Set<number>>();
  #begun = 0;
  #sent = 0;
  #peers = 0;
  #ends = 0;
  #hostileEnds = 0;
  #eclipsed = 0;

  constructor(overlay: Overlay, far: ImplicitNodes, test: DhtCase, settings: DhtSettings) {
    this.#overlay = overlay;
    this.#far = far;
    this.#test = test;
    this.#settings = settings;
    for (let index = 0; index < settings.concurrent; index++) this.#next();
  }

  get isOver(): boolean {
    return this.#completed.length === this.#settings.lookups;
  }

  heard(lookup: Lookup, { contact }: Candidate, answer: KrpcReader): void {
    const known = this.#found.get(lookup);
    readPeers(answer, contact, (_family, at) => {
      // The peer's number: the last two bytes of its address.
      known?.add((there(answer.bytes[at + 2]) << 8) | there(answer.bytes[at + 3]));
      return undefined;
    });
  }

  converged(lookup: Lookup): void {
    this.#converged.push(lookup.convergedMs - lookup.startedMs);
    // Its slot goes to the next one: what still comes counts all the same.
    this.#next();
  }

  completed(lookup: Lookup): void {
    this.#completed.push(lookup.completedMs - lookup.startedMs);
    this.#sent += lookup.sent;
    this.#peers += this.#found.get(lookup)?.size ?? 0;
    this.#found.delete(lookup);
    const ends = lookup.found();
    const hostile = ends.filter(({ contact }) => this.#far.isHostileAt(addressNumber(contact.host))).length;
    this.#ends += ends.length;
    this.#hostileEnds += hostile;
    if (hostile > 0 && hostile === ends.length) this.#eclipsed++;
  }

  row(
    name: string,
    contacts: number,
    minutes: number,
    cpuMs: number,
  ): Omit<DhtRow, "toNamedPerLookup" | "victimMostPerSecond"> {
    const { lookups } = this.#settings;
    const queries = this.#far.queries.filter((count) => count > 0).sort();
    return {
      name,
      queriesPerLookup: this.#sent / lookups,
      convergedSeconds: median(this.#converged) / 1000,
      completedSeconds: median(this.#completed) / 1000,
      peers: this.#peers,
      queriesMostPerMinute: (queries.at(-1) ?? 0) / minutes,
      queriesMostPerThousand: (1000 * (queries.at(-1) ?? 0)) / lookups,
      gini: giniOf(queries),
      hostileShare: this.#hostileEnds / Math.max(1, this.#ends),
      eclipsedShare: this.#eclipsed / lookups,
      contacts,
      cpuMsPerLookup: cpuMs / lookups,
    };
  }

  #next(): void {
    const { lookups, torrents, seed } = this.#settings;
    if (this.#begun === lookups) return;
    const index = this.#begun++;
    const target = this.#far.torrent(
      this.#test.inOrder ? inOrder(index, this.#test.cursors, torrents) : scattered(index, torrents, seed),
    );
    const lookup = this.#overlay.lookup(target, METHOD_GET_PEERS, this);
    if (!lookup.isComplete) this.#found.set(lookup, new Set());
  }
}

/** Torrent `index` of cursors that part the key space among them and go on in order, those far apart after each other. */
function inOrder(index: number, cursors: number, torrents: number): number {
  let cursor = 0;
  for (let bit = 1; bit < cursors; bit *= 2) cursor = 2 * cursor + ((index & bit) === 0 ? 0 : 1);
  return (Math.floor((cursor * torrents) / cursors) + Math.floor(index / cursors)) % torrents;
}

function scattered(index: number, torrents: number, seed: number): number {
  return (Math.imul(index + 1, 0x9e3779b1 ^ seed) >>> 0) % torrents;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function giniOf(sorted: Uint32Array): number {
  let sum = 0;
  let weighted = 0;
  for (const [index, count] of sorted.entries()) {
    sum += count;
    weighted += (index + 1) * count;
  }
  const n = sorted.length;
  return n === 0 ? 0 : (2 * weighted) / (n * sum) - (n + 1) / n;
}
