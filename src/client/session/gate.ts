// Whom the program lets in: a list of addresses that are kept out, bans by hand, and a function of the program that is asked for each
// peer. Whoever fails one of them is not connected to, not let in, and let go when that changes.
//
// Web seeds and trackers are no peers: the torrent names them, and nothing here is about them.
//
// Always: what the program's own parts throw is the program's, and whom they did not judge stays out.

import { UsageError } from "../../base/errors.js";
import { addressBytes, networkOf } from "../../base/network-address.js";
import { throwAsUncaught } from "../../base/user-calls.js";
import type { ArrivingPeer, IpFilter } from "../options.js";

export class Gate {
  #filter: IpFilter | undefined;
  readonly #admit: ((peer: ArrivingPeer) => boolean) | undefined;
  /** Networks, with the address as the program named it. */
  readonly #bans = new Map<string, string>();

  constructor(filter: IpFilter | undefined, admit: ((peer: ArrivingPeer) => boolean) | undefined) {
    this.#filter = filter;
    this.#admit = admit;
  }

  get bans(): string[] {
    return [...this.#bans.values()];
  }

  setFilter(filter: IpFilter | undefined): void {
    this.#filter = filter;
  }

  /** Throws UsageError `USAGE_OPTION` for what is no numeric address. */
  ban(host: string): void {
    this.#bans.set(networkNamed(host), host);
  }

  /** Throws UsageError `USAGE_OPTION`. */
  unban(host: string): void {
    this.#bans.delete(networkNamed(host));
  }

  /** Why nobody of an address is talked to; undefined: they may be. */
  reasonAgainst(host: string): string | undefined {
    if (this.#bans.size > 0 && this.#bans.has(networkOf(host))) return "the program bans it";
    // A web seed is called by its server's name.
    if (this.#filter === undefined || addressBytes(host) === undefined) return undefined;
    try {
      return this.#filter.has(host) === false ? undefined : "the IP filter keeps it out";
    } catch (error) {
      throwAsUncaught(error);
      return "the IP filter did not judge it";
    }
  }

  /** Asks the program. */
  admits(peer: () => ArrivingPeer): boolean {
    if (this.#admit === undefined) return true;
    try {
      return this.#admit(peer()) === true;
    } catch (error) {
      throwAsUncaught(error);
      return false;
    }
  }
}

function networkNamed(host: string): string {
  if (typeof host === "string" && addressBytes(host) !== undefined) return networkOf(host);
  throw new UsageError("USAGE_OPTION", `only a numeric address can be banned, not "${host}"`);
}
