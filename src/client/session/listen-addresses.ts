// Where a session accepts connections, as far as those need to know who tell others of it.
//
// Always: whoever listens at one address of this machine asks trackers from that address: a tracker names its peers by where they ask
// from, and at any other of a machine's addresses nobody would answer. An address of this machine alone (127.0.0.1) is no place to ask the
// rest of the world from, nor the other way round: there the system chooses.

import { isIP } from "node:net";
import { isLoopback } from "../../base/network-address.js";
import type { PeerAddress } from "../options.js";

/** Every address of its kind. */
const ANY: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

export class ListenAddresses {
  #last: PeerAddress | undefined;
  #v4: PeerAddress | undefined;
  #v6: PeerAddress | undefined;

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

  /** What to ask a tracker at `far`, a numeric address, from; undefined: the system chooses. */
  sourceFor(far: string): string | undefined {
    const host = (isIP(far) === 6 ? this.#v6 : this.#v4)?.host;
    return host === undefined || ANY.has(host) || isLoopback(host) !== isLoopback(far) ? undefined : host;
  }
}
