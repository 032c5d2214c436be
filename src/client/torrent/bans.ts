// Who may not come back. A peer is its network address and its peer id together, so that others behind the same address stay
// welcome. The id is the peer's own choice: when several of one address were found out, the address itself is banned (of IPv6 its
// /64, all of which is one customer's), and when several such networks of a site were (a /48 of IPv6), the site.
//
// Always: bounded, the ones that nobody asked about for longest go first; each ban ends after BAN_MS.

import { isLoopback, networkOf, SITE_TIMES, siteOf } from "../../base/network-address.js";

export const BAN_MS = 6 * 3600_000;
/** So many peers of one address found out ban the address. */
export const BANS_PER_NETWORK = 3;
const NETWORKS_MAX = 4096;

/** Of a network or site. */
interface NetworkBans {
  /** Peer ids, as latin1; or networks of a site. */
  readonly banned: Set<string>;
  wholly: boolean;
  untilMs: number;
}

export class Bans {
  /** And sites. */
  readonly #networks = new Map<string, NetworkBans>();

  /** `peerId`: as latin1. On loopback, where all addresses are one machine's, only the peer is banned, however many there are. */
  ban(host: string, peerId: string, nowMs: number): void {
    const network = networkOf(host);
    const site = siteOf(host);
    // Loopback has no last resort.
    const most = isLoopback(host) ? Number.POSITIVE_INFINITY : BANS_PER_NETWORK;
    if (this.#note(network, peerId, most, nowMs) && site !== undefined)
      this.#note(site, network, SITE_TIMES, nowMs);
  }

  /** True if this peer is banned, or its whole network, or site. */
  isBanned(host: string, peerId: string, nowMs: number): boolean {
    if (this.#networks.size === 0) return false;
    return (
      this.#find(networkOf(host), nowMs)?.banned.has(peerId) === true || this.isNetworkBanned(host, nowMs)
    );
  }

  /** Nobody of this address is banned any more, nor for others of its site. */
  lift(host: string): void {
    this.#networks.delete(networkOf(host));
    const site = siteOf(host);
    if (site !== undefined) this.#networks.delete(site);
  }

  /** True if nobody of this address is welcome. */
  isNetworkBanned(host: string, nowMs: number): boolean {
    if (this.#networks.size === 0) return false;
    if (this.#find(networkOf(host), nowMs)?.wholly === true) return true;
    const site = siteOf(host);
    return site !== undefined && this.#find(site, nowMs)?.wholly === true;
  }

  /** Networks and sites of which it remembers something. */
  get size(): number {
    return this.#networks.size;
  }

  /** One more that is banned. True if all are: they were `most`. */
  #note(name: string, one: string, most: number, nowMs: number): boolean {
    const bans = this.#find(name, nowMs) ?? { banned: new Set(), wholly: false, untilMs: 0 };
    bans.untilMs = nowMs + BAN_MS;
    if (bans.banned.size < most) bans.banned.add(one);
    if (bans.banned.size >= most) bans.wholly = true;
    // Without a last resort there is a bound all the same.
    if (bans.banned.size > NETWORKS_MAX) forgetOldest(bans.banned);
    this.#networks.set(name, bans);
    if (this.#networks.size > NETWORKS_MAX) forgetOldest(this.#networks);
    return bans.wholly;
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
