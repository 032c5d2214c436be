// The connections of a session, and whether there is room for one more: of all, of one network or site, of strangers that have not
// said which torrent they come for, and of attempts under way. While few come, nobody is kept out for others of its network, and where
// those have all of its places, one that is of no use makes room. Where strangers have all of their places, whoever comes for the first time
// takes that of one whose network was here a moment ago. While many come, those whose network was here a moment ago wait for a turn.
//
// Always: each connection with a socket has a descriptor of the budget, from its beginning to its end; no call looks at all connections
// but the turnover, once a second at the most.

import { assert } from "../../base/assert.js";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { PeerError, type PeerErrorCode } from "../../base/errors.js";
import { chargedTo, isLoopback, networkOf } from "../../base/network-address.js";
import { NetworkCounts } from "../../base/network-counts.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import { Turnover } from "../torrent/turnover.js";

/** What becomes of one that has just come: it comes in at once, or when it is its turn (arrival-turns.ts), or not at all. */
export type Arrival = "enters" | "waits" | "refused";

export interface ConnectionLimits {
  readonly max: number;
  /** Incoming ones of one IPv4 address, or of one /64 of IPv6; of a /48 SITE_TIMES as many. */
  readonly maxPerAddress: number;
  /** Whether this machine's own addresses are limited, too. */
  readonly limitsLoopback: boolean;
  /** Attempts under way at one time, where `max` is large. */
  readonly maxConnecting: number;
}

const CONNECTING_MIN = 8;
/** A stranger that was silent for so long makes room for another one, when there are too many. */
const STRANGER_MS_MIN = 1000;
/** The same for one whose network had come just before, when the other one's had not: those that come again at once leave it no place else. */
const RETURNED_MS_MIN = 250;
/** For one that came for the first time, when those that come again want its place: time for a handshake with key exchanges, from far away. */
const FIRST_MS_MIN = 5000;
const STRANGERS_MIN = 16;
/**
 * Connections to one network that may come to nothing in DIALS_MS: whoever names thousands of ports of a machine has us knock at a few.
 * That is more often than one dead address is tried before it is given up.
 */
const FUTILE_DIALS_MAX = 8;
const DIALS_MS = 60_000;
/** Networks and sites of which that is remembered, or how often they came. */
const NETWORKS_MAX = 4096;
/** Connections of a network that are let in one after the other, however short, while many come; and how long until one more may be. */
const ARRIVALS_MAX = 32;
const ARRIVAL_MS = 2000;
/** The same after one that had to be let go for what it said: it costs more than to be greeted. */
const FAULT_MS = 30_000;
/**
 * None of that keeps anybody out while all that come are no more than what so many networks may, with so much at once. Behind one address
 * there may be thousands of customers, of whom one may have had to be let go: it keeps the others out only by coming all the time.
 */
const NETWORKS_UNCOUNTED = 8;
const UNCOUNTED_MS = 16_000;
const FAULTS: ReadonlySet<string> = new Set<PeerErrorCode>([
  "PEER_MESSAGE_TOO_LONG",
  "PEER_MESSAGE_MALFORMED",
  "PEER_MESSAGE_UNEXPECTED",
  "PEER_PIECE_RANGE",
  "PEER_UNREQUESTED_BLOCK",
  "PEER_REQUEST_FLOOD",
]);

export class ConnectionTable {
  readonly all = new Set<PeerConnection>();
  /** Begun by us, and not open yet; the oldest first. */
  readonly connecting = new Set<PeerConnection>();
  /** Begun by others, and not open yet; the oldest first. */
  readonly strangers = new Set<PeerConnection>();
  /** Those of them whose networks were not paid off when they came; the oldest first. */
  readonly #returned = new Set<PeerConnection>();
  /** The one that may come in now would be one of those. */
  #isReturning = false;
  readonly max: number;
  readonly #limits: ConnectionLimits;
  readonly #budget: DescriptorBudget;
  readonly #turnover = new Turnover();
  readonly #withSocket = new Set<PeerConnection>();
  /** Of those that have a socket. */
  readonly #counts = new NetworkCounts();
  /** The same, each network's; those that came first at the beginning. Most networks have one, which needs no set. */
  readonly #byNetwork = new Map<string, PeerConnection | Set<PeerConnection>>();
  /** How many connections to a network or site came to nothing, and since when they are counted; the last one counted first at the end. */
  readonly #futileDials = new Map<string, { count: number; readonly sinceMs: number }>();
  /** Until when the connections of a network or site are paid for, each with ARRIVAL_MS or FAULT_MS; the last one at the end. */
  readonly #arrivals = new Map<string, number>();
  /** Until when those of all networks are paid for, of each NETWORKS_UNCOUNTED times as fast. */
  #allPaidMs = Number.NEGATIVE_INFINITY;

  constructor(limits: ConnectionLimits, budget: DescriptorBudget) {
    this.#limits = limits;
    this.#budget = budget;
    this.max = Math.min(limits.max, budget.max("connection"));
  }

  /** Those that may be here at one time and have not said which torrent they come for. */
  get strangersMax(): number {
    return Math.max(STRANGERS_MIN, Math.floor(this.max / 4));
  }

  /** True if one more may be begun now. */
  get mayConnect(): boolean {
    const quarter = Math.floor(this.max / 4);
    const connectingMax = Math.min(this.#limits.maxConnecting, Math.max(CONNECTING_MIN, quarter));
    return this.connecting.size < connectingMax && this.#hasRoom;
  }

  /** True if no more than `max` per address are open to it. */
  mayConnectTo(host: string): boolean {
    if (!this.#limits.limitsLoopback && isLoopback(host)) return true;
    return !this.#counts.isFull(host, this.#limits.maxPerAddress);
  }

  /** True if an address that a stranger named may be connected to now. */
  mayDial(host: string, nowMs: number): boolean {
    if (!this.mayConnectTo(host)) return false;
    return chargedTo(host).every(({ name, times }) => {
      const futile = this.#futileDials.get(name);
      const isOfNow = futile !== undefined && nowMs - futile.sinceMs < DIALS_MS;
      return !isOfNow || futile.count < times * FUTILE_DIALS_MAX;
    });
  }

  /** Whether one that has just come from `host` may come in. It is counted, and others may have been ended for it. */
  arrivalOf(host: string, nowMs: number): Arrival {
    const charged = chargedTo(host);
    const areFew = this.#allPaidMs + ARRIVAL_MS / NETWORKS_UNCOUNTED - nowMs <= UNCOUNTED_MS;
    if (!areFew && charged.some((each) => this.#comesTooOften(each, nowMs))) return "refused";
    if (!this.mayConnectTo(host) && !this.#makeRoomAt(host, nowMs)) return "refused";
    const isReturning = charged.some(({ name }) => this.#paidMs(name, nowMs) > nowMs);
    this.#pay(host, nowMs, ARRIVAL_MS);
    if (isReturning && !areFew) return "waits";
    return this.#makePlace(isReturning, nowMs) ? "enters" : "refused";
  }

  /** True if one that waited for its turn may come in; others may have been ended for it. */
  mayReturn(host: string, nowMs: number): boolean {
    if (!this.mayConnectTo(host) && !this.#makeRoomAt(host, nowMs)) return false;
    return this.#makePlace(true, nowMs);
  }

  /** True if one from `host` may come in now, over a stream that cannot wait; others may have been ended for it. */
  mayAccept(host: string, nowMs: number): boolean {
    const arrival = this.arrivalOf(host, nowMs);
    return arrival === "enters" || (arrival === "waits" && this.mayReturn(host, nowMs));
  }

  /** True if one may be begun over a stream that is there already; others may have been ended for it. */
  mayTake(nowMs: number): boolean {
    while (!this.#hasRoom) if (!this.makeRoom(nowMs)) return false;
    return true;
  }

  /** Ends one that is of no use. False if there is none. */
  makeRoom(nowMs: number): boolean {
    return this.#turnover.makeRoom(this.all, nowMs);
  }

  /** The same for an attempt of ours, which goes before connections that bring nothing of what we miss. */
  makeRoomToTry(nowMs: number): boolean {
    return this.#turnover.makeRoomToTry(this.all, nowMs);
  }

  /** Counts a connection in. `hasSocket`: it has a descriptor, for which mayConnect or mayAccept() was true just now. */
  add(peer: PeerConnection, hasSocket: boolean): void {
    this.all.add(peer);
    (peer.incoming ? this.strangers : this.connecting).add(peer);
    if (peer.incoming && this.#isReturning) this.#returned.add(peer);
    if (!hasSocket) return;
    const taken = this.#budget.take("connection");
    assert(taken, "a connection is begun where there is a descriptor for it");
    this.#withSocket.add(peer);
    this.#counts.add(peer.host);
    const network = networkOf(peer.host);
    const others = this.#byNetwork.get(network);
    if (others === undefined) this.#byNetwork.set(network, peer);
    else if (others instanceof Set) others.add(peer);
    else this.#byNetwork.set(network, new Set([others, peer]));
  }

  /** Both handshakes are done. True if it was under way until now. */
  opened(peer: PeerConnection): boolean {
    this.strangers.delete(peer);
    this.#returned.delete(peer);
    return this.connecting.delete(peer);
  }

  /** The connection is over for that reason, and its socket closed. */
  remove(peer: PeerConnection, nowMs: number, error?: PeerError): void {
    this.all.delete(peer);
    const cameToNothing = this.opened(peer);
    if (!this.#withSocket.delete(peer)) return;
    if (cameToNothing && (this.#limits.limitsLoopback || !isLoopback(peer.host)))
      for (const { name } of chargedTo(peer.host)) this.#dialWasFutile(name, nowMs);
    if (error !== undefined && FAULTS.has(error.code)) this.#pay(peer.host, nowMs, FAULT_MS);
    this.#counts.remove(peer.host);
    const network = networkOf(peer.host);
    const others = this.#byNetwork.get(network);
    if (others instanceof Set) others.delete(peer);
    if (others === peer || (others instanceof Set && others.size === 0)) this.#byNetwork.delete(network);
    this.#budget.release("connection");
  }

  /**
   * One of that network may come in where another one goes: a stranger that was silent, or one that is of no use. Whoever holds all places
   * of an address, behind which there may be thousands of customers, has to do something for it.
   */
  #makeRoomAt(host: string, nowMs: number): boolean {
    const others = this.#byNetwork.get(networkOf(host));
    if (others === undefined) return false;
    const there = others instanceof Set ? others : new Set([others]);
    for (const peer of there)
      if (this.strangers.has(peer) && nowMs - peer.sinceMs >= STRANGER_MS_MIN) {
        endStranger(peer);
        return this.mayConnectTo(host);
      }
    return this.#turnover.makeRoomAmongFew(there, nowMs) && this.mayConnectTo(host);
  }

  /** Whoever comes and goes, hundreds of times a second, would have all of our link for greetings. */
  #comesTooOften({ name, times }: { readonly name: string; readonly times: number }, nowMs: number): boolean {
    return this.#paidMs(name, nowMs) + ARRIVAL_MS / times - nowMs > ARRIVALS_MAX * ARRIVAL_MS;
  }

  /** True if there is a place for a stranger, others may have been ended for it; `isReturning`: its network was here a moment ago. */
  #makePlace(isReturning: boolean, nowMs: number): boolean {
    this.#isReturning = isReturning;
    if (this.strangers.size >= this.strangersMax && !this.#endStranger(nowMs)) return false;
    while (!this.#hasRoom) if (!this.#endStranger(nowMs) && !this.makeRoom(nowMs)) return false;
    return true;
  }

  #paidMs(name: string, nowMs: number): number {
    return Math.max(nowMs, this.#arrivals.get(name) ?? 0);
  }

  #pay(host: string, nowMs: number, ms: number): void {
    if (!this.#limits.limitsLoopback && isLoopback(host)) return;
    const allPaidMs = Math.max(nowMs, this.#allPaidMs) + ms / NETWORKS_UNCOUNTED;
    this.#allPaidMs = Math.min(allPaidMs, nowMs + UNCOUNTED_MS + FAULT_MS / NETWORKS_UNCOUNTED);
    for (const { name, times } of chargedTo(host)) {
      const paidMs = this.#paidMs(name, nowMs) + ms / times;
      this.#arrivals.delete(name);
      // However many had to go, one may come again after FAULT_MS.
      this.#arrivals.set(name, Math.min(paidMs, nowMs + ARRIVALS_MAX * ARRIVAL_MS + FAULT_MS));
      if (this.#arrivals.size > NETWORKS_MAX) forgetOldest(this.#arrivals);
    }
  }

  /** Of a network or site. */
  #dialWasFutile(name: string, nowMs: number): void {
    const futile = this.#futileDials.get(name);
    if (futile !== undefined && nowMs - futile.sinceMs < DIALS_MS) {
      futile.count++;
      return;
    }
    this.#futileDials.delete(name);
    this.#futileDials.set(name, { count: 1, sinceMs: nowMs });
    if (this.#futileDials.size > NETWORKS_MAX) forgetOldest(this.#futileDials);
  }

  get #hasRoom(): boolean {
    return this.all.size < this.max && this.#budget.makeRoom("connection");
  }

  /**
   * Ends the stranger that has been silent for longest; for one that comes for the first time, of those that came again. False if all of them
   * came just now.
   */
  #endStranger(nowMs: number): boolean {
    const [returned] = this.#returned;
    const [stranger] = this.strangers;
    if (this.#isReturning)
      return endIfSilent(returned, STRANGER_MS_MIN, nowMs) || endIfSilent(stranger, FIRST_MS_MIN, nowMs);
    if (returned !== undefined) return endIfSilent(returned, RETURNED_MS_MIN, nowMs);
    return endIfSilent(stranger, STRANGER_MS_MIN, nowMs);
  }
}

/** False if there is none, or it came less than `leastMs` ago. */
function endIfSilent(stranger: PeerConnection | undefined, leastMs: number, nowMs: number): boolean {
  if (stranger === undefined || nowMs - stranger.sinceMs < leastMs) return false;
  endStranger(stranger);
  return true;
}

function endStranger(stranger: PeerConnection): void {
  stranger.close(new PeerError("PEER_TIMEOUT", "no handshake while others waited for its place"));
}

/** What was put in first goes. */
function forgetOldest(byName: Map<string, unknown>): void {
  for (const oldest of byName.keys()) {
    byName.delete(oldest);
    return;
  }
}
