// The connections of a session, and whether there is room for one more: of all, of one network address, of strangers that have not
// said which torrent they come for, and of attempts under way.
//
// Always: each connection with a socket has a descriptor of the budget, from its beginning to its end; no call looks at all connections
// but the turnover, once a second at the most.

import { assert, present } from "../../base/assert.js";
import type { DescriptorBudget } from "../../base/descriptor-budget.js";
import { PeerError } from "../../base/errors.js";
import { isLoopback, networkOf } from "../../base/network-address.js";
import type { PeerConnection } from "../peer/peer-connection.js";
import { Turnover } from "../torrent/turnover.js";

export interface ConnectionLimits {
  readonly max: number;
  /** Incoming ones of one IPv4 address, or of one /64 of IPv6. */
  readonly maxPerAddress: number;
  /** Whether this machine's own addresses are limited, too. */
  readonly limitsLoopback: boolean;
  /** Attempts under way at one time, where `max` is large. */
  readonly maxConnecting: number;
}

const CONNECTING_MIN = 8;
/** A stranger that was silent for so long makes room for another one, when there are too many. */
const STRANGER_MS_MIN = 1000;
const STRANGERS_MIN = 16;
/**
 * Connections to one network that may come to nothing in DIALS_MS: whoever names thousands of ports of a machine has us knock at a few.
 * That is more often than one dead address is tried before it is given up.
 */
const FUTILE_DIALS_MAX = 8;
const DIALS_MS = 60_000;
/** Networks of which that is remembered. */
const FUTILE_NETWORKS_MAX = 4096;

export class ConnectionTable {
  readonly all = new Set<PeerConnection>();
  /** Begun by us, and not open yet; the oldest first. */
  readonly connecting = new Set<PeerConnection>();
  /** Begun by others, and not open yet; the oldest first. */
  readonly strangers = new Set<PeerConnection>();
  readonly max: number;
  readonly #limits: ConnectionLimits;
  readonly #budget: DescriptorBudget;
  readonly #turnover = new Turnover();
  /** Connections that have a socket, with their network. */
  readonly #networks = new Map<PeerConnection, string>();
  readonly #countByNetwork = new Map<string, number>();
  /** How many connections to a network came to nothing, and since when they are counted; the last one counted first at the end. */
  readonly #futileDials = new Map<string, { count: number; readonly sinceMs: number }>();

  constructor(limits: ConnectionLimits, budget: DescriptorBudget) {
    this.#limits = limits;
    this.#budget = budget;
    this.max = Math.min(limits.max, budget.max("connection"));
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
    return (this.#countByNetwork.get(networkOf(host)) ?? 0) < this.#limits.maxPerAddress;
  }

  /** True if an address that a stranger named may be connected to now. */
  mayDial(host: string, nowMs: number): boolean {
    if (!this.mayConnectTo(host)) return false;
    const futile = this.#futileDials.get(networkOf(host));
    return futile === undefined || futile.count < FUTILE_DIALS_MAX || nowMs - futile.sinceMs >= DIALS_MS;
  }

  /** True if one from `host` may come in; others may have been ended for it. */
  mayAccept(host: string, nowMs: number): boolean {
    if (!this.mayConnectTo(host)) return false;
    if (this.strangers.size >= this.#strangersMax && !this.#endStranger(nowMs)) return false;
    while (!this.#hasRoom) if (!this.#endStranger(nowMs) && !this.makeRoom(nowMs)) return false;
    return true;
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

  /** Counts a connection in. `hasSocket`: it has a descriptor, for which mayConnect or mayAccept() was true just now. */
  add(peer: PeerConnection, hasSocket: boolean): void {
    this.all.add(peer);
    (peer.incoming ? this.strangers : this.connecting).add(peer);
    if (!hasSocket) return;
    const taken = this.#budget.take("connection");
    assert(taken, "a connection is begun where there is a descriptor for it");
    const network = networkOf(peer.host);
    this.#networks.set(peer, network);
    this.#countByNetwork.set(network, (this.#countByNetwork.get(network) ?? 0) + 1);
  }

  /** Both handshakes are done. True if it was under way until now. */
  opened(peer: PeerConnection): boolean {
    this.strangers.delete(peer);
    return this.connecting.delete(peer);
  }

  /** The connection is over, and its socket closed. */
  remove(peer: PeerConnection, nowMs: number): void {
    this.all.delete(peer);
    const cameToNothing = this.opened(peer);
    const network = this.#networks.get(peer);
    if (network === undefined) return;
    if (cameToNothing && (this.#limits.limitsLoopback || !isLoopback(peer.host)))
      this.#dialWasFutile(network, nowMs);
    this.#networks.delete(peer);
    const count = present(this.#countByNetwork.get(network), "a connection's network is counted") - 1;
    if (count === 0) this.#countByNetwork.delete(network);
    else this.#countByNetwork.set(network, count);
    this.#budget.release("connection");
  }

  #dialWasFutile(network: string, nowMs: number): void {
    const futile = this.#futileDials.get(network);
    if (futile !== undefined && nowMs - futile.sinceMs < DIALS_MS) {
      futile.count++;
      return;
    }
    this.#futileDials.delete(network);
    this.#futileDials.set(network, { count: 1, sinceMs: nowMs });
    if (this.#futileDials.size <= FUTILE_NETWORKS_MAX) return;
    for (const oldest of this.#futileDials.keys()) {
      this.#futileDials.delete(oldest);
      return;
    }
  }

  get #hasRoom(): boolean {
    return this.all.size < this.max && this.#budget.makeRoom("connection");
  }

  get #strangersMax(): number {
    return Math.max(STRANGERS_MIN, Math.floor(this.max / 4));
  }

  /** Ends the stranger that has been silent for longest. False if all of them came just now. */
  #endStranger(nowMs: number): boolean {
    const [oldest] = this.strangers;
    if (oldest === undefined || nowMs - oldest.sinceMs < STRANGER_MS_MIN) return false;
    oldest.close(new PeerError("PEER_TIMEOUT", "no handshake while others waited for its place"));
    return true;
  }
}
