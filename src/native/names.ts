// Host names to addresses, without a thread of libuv's pool: c-ares asks the name servers over sockets of the loop. getaddrinfo, which
// Node.js's own lookups use, holds one of the pool's four threads for as long as a name server is silent, and a torrent file that names
// hundreds of trackers would take all of them from our host.
//
// Always: a numeric address is its own answer; what the system's hosts file says comes first, as for everybody; a name is asked for
// once however many wait for it, QUERIES_MAX names at a time, and an answer is good for a while; getaddrinfo is asked only for names
// that name servers may not know (those without a dot, and .local), one at a time.

import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import type { Ground } from "../base/ground.js";
import { HostsFile } from "./hosts-file.js";

/** Numeric addresses of a name, IPv4 ones first; empty if it has none, or if they could not be found out. */
export interface NameResolver {
  resolve(name: string): Promise<readonly string[]>;
  /** Whoever waits gets nothing, and nothing keeps Node.js alive. */
  close(): void;
}

export interface SystemNamesOptions {
  /** Name servers, instead of the system's. */
  readonly servers?: readonly string[];
  readonly hostsFile?: string;
}

const QUERY_MS = 3000;
const QUERY_TRIES = 2;
const QUERIES_MAX = 8;
const KNOWN_MAX = 1024;
const KNOWN_MS = 5 * 60_000;
const UNKNOWN_MS = 30_000;
/** Of one name, of each kind. */
const ADDRESSES_MAX = 8;
const HOSTS_FILE = "/etc/hosts";

interface Known {
  readonly addresses: readonly string[];
  readonly untilMs: number;
}

export class SystemNames implements NameResolver {
  readonly #ground: Ground;
  readonly #resolver: Resolver;
  readonly #hosts: HostsFile;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<readonly string[]>>();
  readonly #waiting: (() => void)[] = [];
  #queries = 0;
  #isClosed = false;
  /** The end of the last lookup by getaddrinfo. */
  #lookedUp: Promise<unknown> = Promise.resolve();

  constructor(ground: Ground, options: SystemNamesOptions = {}) {
    this.#ground = ground;
    this.#resolver = new Resolver({ timeout: QUERY_MS, tries: QUERY_TRIES });
    if (options.servers !== undefined) this.#resolver.setServers(options.servers);
    this.#hosts = new HostsFile(ground, options.hostsFile ?? HOSTS_FILE);
  }

  resolve(name: string): Promise<readonly string[]> {
    if (isIP(name) !== 0) return Promise.resolve([name]);
    const key = name.toLowerCase().replace(/\.$/, "");
    // The root, which a URL may name: nobody is there, and Node.js warns of whoever asks the system for it.
    if (key === "") return Promise.resolve([]);
    if (key === "localhost" || key.endsWith(".localhost")) return Promise.resolve(["127.0.0.1", "::1"]);
    const known = this.#known.get(key);
    if (known !== undefined && known.untilMs > this.#ground.nowMs()) return Promise.resolve(known.addresses);
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(key).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  close(): void {
    this.#isClosed = true;
    this.#resolver.cancel();
  }

  async #ask(name: string): Promise<readonly string[]> {
    if (this.#queries < QUERIES_MAX) this.#queries++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      // Those that waited for their turn have it now, one after the other, and nobody wants it.
      if (this.#isClosed) return [];
      const listed = (await this.#hosts.find(name)).slice(0, 2 * ADDRESSES_MAX);
      const addresses = listed.length > 0 || this.#isClosed ? listed : await this.#fromServers(name);
      this.#remember(name, addresses);
      return addresses;
    } finally {
      // Whoever waits takes over the place.
      const next = this.#waiting.shift();
      if (next === undefined) this.#queries--;
      else next();
    }
  }

  #remember(name: string, addresses: readonly string[]): void {
    this.#known.delete(name);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    const forMs = addresses.length > 0 ? KNOWN_MS : UNKNOWN_MS;
    this.#known.set(name, { addresses, untilMs: this.#ground.nowMs() + forMs });
  }

  async #fromServers(name: string): Promise<readonly string[]> {
    const none = (): string[] => [];
    const [v4, v6] = await Promise.all([
      this.#resolver.resolve4(name).catch(none),
      this.#resolver.resolve6(name).catch(none),
    ]);
    const found = [...v4.slice(0, ADDRESSES_MAX), ...v6.slice(0, ADDRESSES_MAX)].filter(
      (at) => isIP(at) !== 0,
    );
    if (found.length > 0 || this.#isClosed || (name.includes(".") && !name.endsWith(".local"))) return found;
    const looked = this.#lookedUp.then(() => lookup(name, { all: true })).catch(() => []);
    this.#lookedUp = looked;
    return (await looked).map(({ address }) => address).slice(0, 2 * ADDRESSES_MAX);
  }
}
