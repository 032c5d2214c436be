// Addresses of peers that a torrent knows, where each came from, and which one to connect to next.
//
//   waiting ──pause over──▶ due ──next()──▶ connecting ──▶ connected ──▶ ended: waiting again, or
//      ▲                                        ▲                        given up · parked (a seed, and so are we) · banned
//      │                                        └─ nobody is due, and we still miss pieces ◀─┤
//      └──────────────────────────── somebody names it again ◀───────────────────────────────┘ (but for the banned)
//
// Untried addresses come first, then those with the fewest failures in a row, and the one that was useful last. Among equals the user's come
// first, and other kinds of sources have turns, each with the address of the highest canonical priority (BEP 40). So however many dead
// addresses are known, a live one is reached after at most one attempt at each, and whoever names thousands of them delays the sources of
// other kinds little.
//
// One file, because an address is in one of these places at a time, and whatever moves it counts for all of them.
//
// Always: an address is there once, however those who name it write it; there are no more than `max`, and no source but the user fills more than half of it, in which
// of many who name addresses those who named most make room for the others (tellers.ts); an address is tried again only after
// a pause that doubles with each failure in a row and differs a little each time. After ATTEMPTS_MAX of them it is given up, which is
// not for good while we miss pieces: whoever could not be reached for a while may be the only one who has them. Those are tried when
// nobody else is due, a few at a time, each at longer and longer intervals. No call looks at all addresses, but those that are told so.

import { assert, entryOf } from "../../base/assert.js";
import { SYSTEM_GROUND } from "../../base/ground.js";
import { Heap, type HeapItem } from "../../base/heap.js";
import { canonicalHost, networkOf, siteOf } from "../../base/network-address.js";
import type { PeerAddress, ReceiveModeName } from "../options.js";
import { canonicalPriority } from "./canonical-priority.js";
import { PEER_ORIGINS, type PeerOrigin, type PeerOutcome, type PeerSource } from "./peer-source.js";
import { Tellers } from "./tellers.js";

export type KnownPeerState =
  | "waiting"
  | "due"
  | "connecting"
  | "connected"
  | "given-up"
  | "parked"
  | "banned";

export interface KnownPeer extends HeapItem, PeerAddress {
  readonly host: string;
  readonly port: number;
  state: KnownPeerState;
  /** Who brought it, the first one first. */
  readonly sources: PeerSource[];
  /** Of the best source, as an index of PEER_ORIGINS. */
  originRank: number;
  /** Who named it first, of the many who bring addresses as one source; none once another source did. */
  teller: string | undefined;
  readonly priority: number;
  tried: boolean;
  failures: number;
  retryAtMs: number;
  /** When blocks went over a connection to it last; −1 for never. */
  usefulAtMs: number;
  /** It had everything when it was connected last. */
  isSeed: boolean;
  /** How to receive from it, if not as the torrent does. */
  receiveMode: ReceiveModeName | undefined;
  /** Whether to encrypt the next connection, and whether the other way was tried since one came to stand. */
  encrypts: boolean;
  triedBothWays: boolean;
}

export interface PeerListOptions {
  /** Addresses that are remembered. */
  readonly max?: number;
  /** From 0 to below 1. */
  readonly random?: () => number;
  /** Ours, as others see it, for BEP 40; where it is not known, the order is arbitrary but as even. */
  readonly ourAddress?: PeerAddress;
}

export const KNOWN_MAX = 4096;
const ATTEMPTS_MAX = 5;
/** How a connection ends that says nothing against its address. */
const HARMLESS: ReadonlySet<PeerOutcome> = new Set(["useful", "idle", "crowded", "seed"]);
const PAUSE_MS_FIRST = 1000;
const PAUSE_MS_MAX = 60_000;
/** Between two attempts at an address that was given up: from the one to the other, doubling. */
const REST_MS_FIRST = PAUSE_MS_MAX;
const REST_MS_MAX = 8 * PAUSE_MS_MAX;
/** Connections to those at one time, so that a list of dead addresses takes no place from torrents whose peers live. */
const LAST_CHANCES_MAX = 4;
/** A pause is this part of itself, and up to twice as much of jitter: two peers that failed together do not try again together. */
const PAUSE_PART_MIN = 0.75;
const JITTER = 0.5;
const USER_RANK = PEER_ORIGINS.indexOf("user");
const EXCHANGE_RANK = PEER_ORIGINS.indexOf("exchange");
const ANY_ADDRESS: PeerAddress = { host: "0.0.0.0", port: 0 };

export class PeerList {
  readonly #max: number;
  readonly #random: () => number;
  readonly #ourAddress: PeerAddress;
  readonly #peers = new Map<string, KnownPeer>();
  /** By rank. */
  readonly #due = PEER_ORIGINS.map(() => new Heap<KnownPeer>(isBetter));
  /** Which next() of all it was that took one of this rank last. */
  readonly #turns = PEER_ORIGINS.map(() => 0);
  #turn = 0;
  readonly #waiting = new Heap<KnownPeer>((a, b) => a.retryAtMs < b.retryAtMs);
  /** Given up for their failures, the one whose rest ends first at the front. */
  readonly #resting = new Heap<KnownPeer>((a, b) => a.retryAtMs < b.retryAtMs);
  /** Being connected to, although they were given up. */
  readonly #lastChances = new Set<KnownPeer>();
  /** Due or waiting, by rank, in the order in which they became it. */
  readonly #idle = PEER_ORIGINS.map(() => new Set<KnownPeer>());
  /** Given up, parked or banned: the first to go when there is no room, by rank, in the order in which they became it. */
  readonly #over = PEER_ORIGINS.map(() => new Set<KnownPeer>());
  readonly #countByRank = PEER_ORIGINS.map(() => 0);
  /** Of those that nobody but peers named. */
  readonly #tellers = new Tellers<KnownPeer>();
  /** True while seeds are of no use, because we have everything. */
  #isSeeding = false;

  constructor(options: PeerListOptions = {}) {
    this.#max = options.max ?? KNOWN_MAX;
    this.#random = options.random ?? SYSTEM_GROUND.random;
    this.#ourAddress = options.ourAddress ?? ANY_ADDRESS;
  }

  get size(): number {
    return this.#peers.size;
  }

  /**
   * Adds an address, or notes one more source of a known one. One that was given up has another chance: at once if the user names it,
   * after a pause otherwise. Undefined if there is no room for it. `teller`: who named it, where a source is many.
   */
  add(address: PeerAddress, source: PeerSource, nowMs: number, teller?: string): KnownPeer | undefined {
    const { port } = address;
    const key = keyOf(address.host, port);
    const rank = PEER_ORIGINS.indexOf(source.origin);
    const known = this.#peers.get(key);
    if (known !== undefined) {
      this.#namedAgain(known, source, rank, nowMs);
      return known;
    }
    if (!this.#makeRoom(rank, teller)) return undefined;
    const canonical = canonicalHost(address.host);
    // As whoever named it writes it, but for an IPv4 address, which is connected to as such.
    const host = canonical.includes(":") ? address.host : canonical;
    const peer: KnownPeer = {
      host,
      port,
      state: "due",
      sources: [source],
      originRank: rank,
      teller,
      priority: canonicalPriority(this.#ourAddress, { host, port }),
      tried: false,
      failures: 0,
      retryAtMs: nowMs,
      usefulAtMs: -1,
      isSeed: false,
      receiveMode: undefined,
      encrypts: false,
      triedBothWays: false,
      heapIndex: -1,
    };
    this.#peers.set(key, peer);
    this.#countByRank[rank] = entryOf(this.#countByRank, rank) + 1;
    if (teller !== undefined) this.#tellers.add(teller, peer);
    this.#becomeDue(peer);
    return peer;
  }

  find(host: string, port: number): KnownPeer | undefined {
    return this.#peers.get(keyOf(host, port));
  }

  /** True if next() would name one. */
  hasDue(nowMs: number, takesExchanged = true): boolean {
    this.#endPauses(nowMs);
    return this.#bestDue(takesExchanged) !== undefined || this.#nextResting(nowMs) !== undefined;
  }

  /**
   * The one to connect to next; it counts as being connected from now on. `takesExchanged`: it may be one that nobody but peers named, of
   * whom there are as many as they like.
   */
  next(nowMs: number, takesExchanged = true): KnownPeer | undefined {
    this.#endPauses(nowMs);
    const due = this.#bestDue(takesExchanged);
    const best = due ?? this.#nextResting(nowMs);
    if (best === undefined) return undefined;
    this.#leave(best);
    best.state = "connecting";
    this.#turns[best.originRank] = ++this.#turn;
    if (due === undefined) this.#lastChances.add(best);
    return best;
  }

  #endPauses(nowMs: number): void {
    for (let peer = this.#waiting.first; peer !== undefined && peer.retryAtMs <= nowMs; ) {
      this.#leave(peer);
      this.#becomeDue(peer);
      peer = this.#waiting.first;
    }
  }

  /** The best of each rank, of which those that are as good as each other have turns. */
  #bestDue(takesExchanged: boolean): KnownPeer | undefined {
    let best: KnownPeer | undefined;
    for (const [rank, { first }] of this.#due.entries()) {
      if (first === undefined || (rank === EXCHANGE_RANK && !takesExchanged)) continue;
      if (best === undefined || this.#goesBefore(first, best)) best = first;
    }
    return best;
  }

  /** `a` is of a worse rank. Whoever names thousands that are not there keeps nobody waiting whom another kind of source named. */
  #goesBefore(a: KnownPeer, b: KnownPeer): boolean {
    const compared = compareHistories(a, b);
    if (compared !== 0 || b.originRank === USER_RANK) return compared < 0;
    return entryOf(this.#turns, a.originRank) < entryOf(this.#turns, b.originRank);
  }

  #dueLike({ originRank }: KnownPeer): Heap<KnownPeer> {
    return entryOf(this.#due, originRank);
  }

  /** No connection could be begun, for reasons of our own: as if next() had not named it. */
  putBack(peer: KnownPeer): void {
    assert(peer.state === "connecting", "what next() named is put back");
    this.#leave(peer);
    this.#becomeDue(peer);
  }

  /** It wants nothing of this kind of connection: it is asked for the other kind at once. False: both were tried. */
  tryOtherWay(peer: KnownPeer): boolean {
    peer.encrypts = !peer.encrypts;
    peer.triedBothWays = !peer.triedBothWays;
    if (peer.triedBothWays) this.putBack(peer);
    return peer.triedBothWays;
  }

  /** Not now: in a while, as if nothing had been tried. */
  postpone(peer: KnownPeer, nowMs: number): void {
    assert(peer.state === "connecting", "what next() named is postponed");
    this.#leave(peer);
    this.#wait(peer, nowMs + PAUSE_MS_MAX);
  }

  /** A connection to it stands: one that we made, or one that it made to us. */
  connected(peer: KnownPeer): void {
    this.#leave(peer);
    peer.state = "connected";
    peer.tried = true;
    peer.triedBothWays = false;
  }

  /** The connection ended, or never came to stand. */
  ended(peer: KnownPeer, outcome: PeerOutcome, nowMs: number): void {
    this.#leave(peer);
    peer.tried = true;
    if (outcome === "useful") peer.usefulAtMs = nowMs;
    if (HARMLESS.has(outcome)) peer.failures = 0;
    if (outcome === "failed" || outcome === "misbehaved") peer.failures++;
    // One that brings blocks, and an error now and then, is worth another attempt, if not at once.
    if (outcome === "misbehaved" && peer.usefulAtMs >= 0)
      peer.failures = Math.min(peer.failures, ATTEMPTS_MAX - 1);
    if (outcome === "seed") peer.isSeed = true;
    if (outcome === "banned" || outcome === "self") this.#isOver(peer, "banned");
    else if (outcome === "refused") this.#isOver(peer, "given-up");
    else if (peer.failures >= ATTEMPTS_MAX) this.#rest(peer, nowMs);
    else if (peer.isSeed && this.#isSeeding) this.#isOver(peer, "parked");
    else {
      const waits = outcome === "duplicate" || outcome === "idle";
      const pauseMs = waits ? PAUSE_MS_MAX : PAUSE_MS_FIRST * 2 ** Math.max(0, peer.failures - 1);
      this.#wait(peer, nowMs + this.#jittered(Math.min(PAUSE_MS_MAX, pauseMs)));
    }
    for (const source of peer.sources) source.peerEnded?.(peer, outcome);
  }

  /** It is not tried again until somebody names it. */
  giveUp(peer: KnownPeer): void {
    this.#leave(peer);
    this.#isOver(peer, "given-up");
  }

  ban(peer: KnownPeer): void {
    this.#leave(peer);
    this.#isOver(peer, "banned");
  }

  /** Those of the network or site of `host` that were banned may be tried again. Looks at all addresses. */
  unban(host: string, nowMs: number): void {
    const lifted = siteOf(host) ?? networkOf(host);
    for (const peer of this.#peers.values()) {
      if (peer.state !== "banned" && peer.state !== "given-up") continue;
      if ((siteOf(peer.host) ?? networkOf(peer.host)) !== lifted) continue;
      this.#leave(peer);
      peer.failures = 0;
      this.#wait(peer, nowMs);
    }
  }

  /** Nothing is remembered of it. */
  forget(peer: KnownPeer): void {
    this.#leave(peer);
    this.#peers.delete(keyOf(peer.host, peer.port));
    this.#leaveTeller(peer);
    this.#countByRank[peer.originRank] = entryOf(this.#countByRank, peer.originRank) - 1;
  }

  /** Nobody whom only such sources named is connected to any more. Looks at all addresses. */
  forgetOrigin(origin: PeerOrigin): void {
    const rank = PEER_ORIGINS.indexOf(origin);
    for (const peer of [...this.#peers.values()])
      if (peer.originRank === rank && peer.state !== "connecting" && peer.state !== "connected")
        this.forget(peer);
  }

  /** We have all that we want: seeds are not connected to any more; or want more again. Looks at all addresses. */
  setSeeding(isSeeding: boolean, nowMs: number): void {
    if (this.#isSeeding === isSeeding) return;
    this.#isSeeding = isSeeding;
    for (const peer of this.#peers.values()) {
      if (!isSeeding && peer.state === "parked") {
        this.#leave(peer);
        this.#wait(peer, nowMs);
      }
      if (!isSeeding) continue;
      if (!peer.isSeed || (peer.state !== "due" && peer.state !== "waiting")) continue;
      this.#leave(peer);
      this.#isOver(peer, "parked");
    }
  }

  /** All receive as the torrent does. Looks at all addresses. */
  forgetReceiveModes(): void {
    for (const peer of this.#peers.values()) peer.receiveMode = undefined;
  }

  /** True if no address is connected, being connected, or still to be tried before those that were given up. */
  get isExhausted(): boolean {
    return this.#over.reduce((sum, { size }) => sum + size, 0) === this.#peers.size;
  }

  #namedAgain(peer: KnownPeer, source: PeerSource, rank: number, nowMs: number): void {
    if (!peer.sources.includes(source)) peer.sources.push(source);
    if (peer.state === "banned") return;
    if (rank < peer.originRank) this.#setRank(peer, rank);
    if (peer.state !== "given-up") return;
    this.#leave(peer);
    peer.failures = source.origin === "user" ? 0 : ATTEMPTS_MAX - 1;
    this.#wait(peer, source.origin === "user" ? nowMs : nowMs + PAUSE_MS_MAX);
  }

  /** Its place among others depends on its rank. */
  #setRank(peer: KnownPeer, rank: number): void {
    const { state } = peer;
    const isInUse = state === "connecting" || state === "connected";
    const isResting = this.#resting.has(peer);
    if (!isInUse) this.#leave(peer);
    this.#countByRank[peer.originRank] = entryOf(this.#countByRank, peer.originRank) - 1;
    this.#countByRank[rank] = entryOf(this.#countByRank, rank) + 1;
    peer.originRank = rank;
    this.#leaveTeller(peer);
    if (isInUse) return;
    if (state === "due") this.#becomeDue(peer);
    else if (state === "waiting") this.#wait(peer, peer.retryAtMs);
    else this.#isOver(peer, state);
    if (isResting) this.#resting.add(peer);
  }

  #leaveTeller(peer: KnownPeer): void {
    if (peer.teller !== undefined) this.#tellers.remove(peer.teller, peer);
    peer.teller = undefined;
  }

  /** False if an address from such a source is not worth the room that it takes. */
  #makeRoom(rank: number, teller: string | undefined): boolean {
    const crowded = rank > 0 && entryOf(this.#countByRank, rank) >= this.#max / 2;
    if (!crowded && this.#peers.size < this.#max) return true;
    const over = crowded ? this.#over[rank] : this.#over.findLast(({ size }) => size > 0);
    // Those of worse sources go for it. The user's own are all alike: the last ones named are those that are meant.
    const idle = crowded
      ? undefined
      : this.#idle.findLast(({ size }, its) => size > 0 && (its > rank || rank === 0));
    let [victim] = over !== undefined && over.size > 0 ? over : (idle ?? []);
    if (crowded && teller !== undefined) victim ??= this.#tellers.victimFor(teller, isIdle);
    if (victim === undefined) return false;
    this.forget(victim);
    return true;
  }

  #becomeDue(peer: KnownPeer): void {
    peer.state = "due";
    this.#dueLike(peer).add(peer);
    entryOf(this.#idle, peer.originRank).add(peer);
  }

  #wait(peer: KnownPeer, untilMs: number): void {
    peer.retryAtMs = untilMs;
    peer.state = "waiting";
    this.#waiting.add(peer);
    entryOf(this.#idle, peer.originRank).add(peer);
  }

  /** It failed too often to be tried before others, or often. */
  #rest(peer: KnownPeer, nowMs: number): void {
    this.#isOver(peer, "given-up");
    const restMs = Math.min(REST_MS_MAX, REST_MS_FIRST * 2 ** (peer.failures - ATTEMPTS_MAX));
    peer.retryAtMs = nowMs + this.#jittered(restMs);
    this.#resting.add(peer);
  }

  /** One that was given up and may be tried all the same. */
  #nextResting(nowMs: number): KnownPeer | undefined {
    if (this.#isSeeding || this.#lastChances.size >= LAST_CHANCES_MAX) return undefined;
    const { first } = this.#resting;
    return first !== undefined && first.retryAtMs <= nowMs ? first : undefined;
  }

  #jittered(pauseMs: number): number {
    return pauseMs * (PAUSE_PART_MIN + JITTER * this.#random());
  }

  #isOver(peer: KnownPeer, state: "given-up" | "parked" | "banned"): void {
    peer.state = state;
    entryOf(this.#over, peer.originRank).add(peer);
  }

  /** Takes it out of wherever it is. */
  #leave(peer: KnownPeer): void {
    entryOf(this.#idle, peer.originRank).delete(peer);
    if (peer.state === "due") this.#dueLike(peer).delete(peer);
    else if (peer.state === "waiting") this.#waiting.delete(peer);
    else if (peer.state === "connecting") this.#lastChances.delete(peer);
    else entryOf(this.#over, peer.originRank).delete(peer);
    if (this.#resting.has(peer)) this.#resting.delete(peer);
  }
}

function keyOf(host: string, port: number): string {
  return `${canonicalHost(host)}|${port}`;
}

/** Nobody is connected, or being connected, there, and nothing came from there. */
function isIdle({ state, usefulAtMs }: KnownPeer): boolean {
  return state !== "connecting" && state !== "connected" && usefulAtMs < 0;
}

/** Of one rank. */
function isBetter(a: KnownPeer, b: KnownPeer): boolean {
  const compared = compareHistories(a, b);
  return compared === 0 ? a.priority > b.priority : compared < 0;
}

/** Below 0: `a` is tried before `b`, by how earlier connections to them went. */
function compareHistories(a: KnownPeer, b: KnownPeer): number {
  if (a.tried !== b.tried) return a.tried ? 1 : -1;
  if (a.failures !== b.failures) return a.failures - b.failures;
  return b.usefulAtMs - a.usefulAtMs;
}
