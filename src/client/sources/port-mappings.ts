// Which ports routers let peers through to, of a session: one of IPv4, and one at each of its addresses of IPv6.
//
// Always: what nobody else reaches is not asked for: whoever listens at 127.0.0.1 means to be alone. Of a session that is closed nothing is
// asked any more. Addresses of IPv6 change, since the system makes new ones each day: they are looked at again in between.

import { isIP } from "node:net";
import { messageOf } from "../../base/errors.js";
import type { Ground, Timer } from "../../base/ground.js";
import { isLoopback, scopeOf } from "../../base/network-address.js";
import type { Gateway } from "../../native/gateway.js";
import type { MappedPort, PeerAddress } from "../options.js";
import type { PortMapping } from "./port-mapping.js";
import type { UpnpGateway } from "./upnp-gateway.js";

export interface PortMappingsOptions {
  readonly ground: Ground;
  readonly gateway: (family: 4 | 6) => Gateway | undefined;
  readonly warn: (text: string) => void;
  /** A router lets peers through to us, or to another port than before. */
  readonly mapped: (mapping: MappedPort) => void;
}

/** Of a machine with more addresses of IPv6, the first ones. */
const ADDRESSES_MAX = 4;
const LOOK_AGAIN_MS = 10 * 60_000;
const ANY_V6 = "::";

export class PortMappings {
  readonly #options: PortMappingsOptions;
  #v4: PortMapping | undefined;
  readonly #v6 = new Map<string, PortMapping>();
  readonly #ending = new Set<Promise<void>>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: PortMappingsOptions) {
    this.#options = options;
  }

  /** The port at which we are reached from outside over a kind of address; undefined: no router has said. */
  portOutside(family: 4 | 6): number | undefined {
    if (family === 4) return this.#v4?.portOutside;
    for (const { portOutside } of this.#v6.values()) if (portOutside !== undefined) return portOutside;
    return undefined;
  }

  /** All that there are. */
  get all(): MappedPort[] {
    return [this.#v4, ...this.#v6.values()].flatMap((each) => each?.mapping ?? []);
  }

  /** Connections are accepted there. */
  listening({ host, port }: PeerAddress): void {
    const { warn } = this.#options;
    const asked = isIP(host) === 6 ? this.#letThrough(host, port) : this.#forward(host, port);
    asked.catch((error: unknown) => warn(`no port is mapped: ${messageOf(error)}`));
  }

  /** All are given back. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.close();
    for (const mapping of [this.#v4, ...this.#v6.values()]) if (mapping !== undefined) this.#end(mapping);
    await Promise.all(this.#ending);
  }

  async #forward(host: string, port: number): Promise<void> {
    const { ground, warn, mapped } = this.#options;
    const gateway = (): Gateway | undefined => this.#options.gateway(4);
    if (isLoopback(host) && !isLoopback(gateway()?.host ?? "")) return;
    const { PortMapping } = await import("./port-mapping.js");
    if (this.#isClosed) return;
    const loadUpnp = async (over: AbortSignal): Promise<UpnpGateway> => {
      const { UpnpGateway } = await import("./upnp-gateway.js");
      return new UpnpGateway({ ground, host: () => gateway()?.host, over });
    };
    this.#v4 ??= new PortMapping({ ground, gateway, warn, mapped, loadUpnp });
    this.#v4.map(port);
  }

  async #letThrough(host: string, port: number): Promise<void> {
    const { ground, warn, mapped } = this.#options;
    const { PortMapping } = await import("./port-mapping.js");
    if (this.#isClosed) return;
    const addresses = this.#addressesAt(host);
    for (const [address, mapping] of this.#v6)
      if (!addresses.includes(address)) {
        this.#v6.delete(address);
        this.#end(mapping);
      }
    for (const address of addresses) {
      let mapping = this.#v6.get(address);
      if (mapping === undefined) {
        // One warning is enough: the router is the same.
        const isFirst = this.#v6.size === 0;
        mapping = new PortMapping({
          ground,
          gateway: () => this.#options.gateway(6),
          address,
          mapped,
          warn: isFirst ? warn : () => {},
          loadUpnp: () => Promise.reject(new Error("UPnP forwards ports of IPv4 only")),
        });
        this.#v6.set(address, mapping);
      }
      mapping.map(port);
    }
    this.#timer?.close();
    this.#timer = ground.after(LOOK_AGAIN_MS, () => this.listening({ host, port }));
    this.#timer.unref();
  }

  /** The address is ours no more. Nobody waits for that but close(). */
  #end(mapping: PortMapping): void {
    const ended = mapping.close().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** Those of ours that a router is asked to let peers through to. */
  #addressesAt(host: string): readonly string[] {
    const gateway = this.#options.gateway(6);
    if (gateway === undefined) return [];
    if (host === ANY_V6) return (gateway.ours ?? []).slice(0, ADDRESSES_MAX);
    return scopeOf(host) === "global" || (isLoopback(host) && isLoopback(gateway.host)) ? [host] : [];
  }
}
