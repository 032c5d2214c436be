// Who may not come back. A peer is its network address and its peer id together, so that others behind the same address stay
// welcome. The id is the peer's own choice: when several of one address were found out, the address itself is banned (of IPv6 its
// /64, all of which is one customer's).
//
// Always: bounded, the ones that nobody asked about for longest go first; each ban ends after BAN_MS.

import { isLoopback, networkOf } from "../../base/network-address.js";

export const BAN_MS = 6 * 3600_000;
/** So many peers of one address found out ban the address. */
export const BANS_PER_NETWORK = 3;
const NETWORKS_MAX = 4096;

interface NetworkBans {
  /** Peer ids, as latin1. */
  readonly peerIds: Set<string>;
  wholly: boolean;
  untilMs: number;
}

export class Bans {
  readonly #networks = new Map<string, NetworkBans>();

  /** `peerId`: as latin1. On loopback, where all addresses are one machine's, only the peer is banned, however many there are. */
  ban(host: string, peerId: string, nowMs: number): void {
    const network = networkOf(host);
    const bans = this.#find(network, nowMs) ?? { peerIds: new Set(), wholly: false, untilMs: 0 };
    bans.untilMs = nowMs + BAN_MS;
    if (bans.peerIds.size < BANS_PER_NETWORK || isLoopback(host)) bans.peerIds.add(peerId);
    if (bans.peerIds.size >= BANS_PER_NETWORK && !isLoopback(host)) bans.wholly = true;
    // Loopback has no last resort, and a bound all the same.
    if (bans.peerIds.size > NETWORKS_MAX) forgetOldest(bans.peerIds);
    this.#networks.set(network, bans);
    if (this.#networks.size > NETWORKS_MAX) forgetOldest(this.#networks);
  }

  /** True if this peer is banned, or its whole network. */
  isBanned(host: string, peerId: string, nowMs: number): boolean {
    const bans = this.#find(networkOf(host), nowMs);
    return bans !== undefined && (bans.wholly || bans.peerIds.has(peerId));
  }

  /** Nobody of this address is banned any more. */
  lift(host: string): void {
    this.#networks.delete(networkOf(host));
  }

  /** True if nobody of this address is welcome. */
  isNetworkBanned(host: string, nowMs: number): boolean {
    return this.#networks.size > 0 && this.#find(networkOf(host), nowMs)?.wholly === true;
  }

  get size(): number {
    return this.#networks.size;
  }

  /** Asked about, it is among the last to go. */
  #find(network: string, nowMs: number): NetworkBans | undefined {
    const bans = this.#networks.get(network);
    if (bans === undefined) return undefined;
    this.#networks.delete(network);
    if (bans.untilMs <= nowMs) return undefined;
    this.#networks.set(network, bans);
    return bans;
  }
}

/** What was put in first goes. */
function forgetOldest<Key>(keyed: { keys(): Iterator<Key>; delete(key: Key): boolean }): void {
  const first = keyed.keys().next();
  if (first.done !== true) keyed.delete(first.value);
}
