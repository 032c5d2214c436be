// Where a session accepts connections, as far as those need to know who tell others of it, and where it connects from.
//
// Always: whoever listens at one address of this machine connects from that address, to peers, trackers and web seeds alike. Trackers name
// their peers by where they ask from, and peers know each other by where they connect from: at any other of a machine's addresses nobody
// would answer. Who listens at one address has chosen it, besides: nothing is to be seen at another (a tunnel's, for one). It is not so for an address of
// this machine alone (127.0.0.1) and the rest of the world, nor for one of a single wire (fe80::1) and what lies beyond it: there the system
// chooses. What a program says itself comes before all that, and holds for every far end.

import { isIP } from "node:net";
import { isLinkLocal, isLoopback } from "../../base/network-address.js";
import type { PeerAddress } from "../options.js";

/** Every address of its kind. */
const ANY: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

export class ListenAddresses {
  readonly #outgoing: readonly string[];
  #last: PeerAddress | undefined;
  #v4: PeerAddress | undefined;
  #v6: PeerAddress | undefined;

  /** `outgoing`: what the program says to connect from, one of each kind at the most. */
  constructor(outgoing: readonly string[] = []) {
    this.#outgoing = outgoing;
  }

  /** The one that was bound last. */
  get last(): PeerAddress | undefined {
    return this.#last;
  }

  /** By kind of address, those that were bound last. */
  get ports(): { readonly v4: number | undefined; readonly v6: number | undefined } {
    return { v4: this.#v4?.port, v6: this.#v6?.port };
  }

  bound(address: PeerAddress): void {
    this.#last = address;
    if (isIP(address.host) === 6) this.#v6 = address;
    else this.#v4 = address;
  }

  /** A `SourceFor`: what to ask somebody at `far`, a numeric address, from. */
  sourceFor(far: string): string | undefined {
    const [first] = this.#outgoing;
    if (first !== undefined) {
      const said = this.#outgoing.find((each) => isIP(each) === isIP(far)) ?? first;
      return ANY.has(said) && isIP(said) === isIP(far) ? undefined : said;
    }
    const host = (isIP(far) === 6 ? this.#v6 : this.#v4)?.host;
    if (host === undefined || ANY.has(host)) return undefined;
    const isApart = isLoopback(host) !== isLoopback(far) || isLinkLocal(host) !== isLinkLocal(far);
    return isApart ? undefined : host;
  }
}
