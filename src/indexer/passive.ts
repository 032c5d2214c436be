// Passive retrieval (Grunthal 2010): torrents that could not be had of late, and of which peers may bring the info dictionary by themselves. Whoever
// asks us for one of them is told our own address among its peers, and maybe connects.
//
// Always: our address is told for these hashes only, of which there is a bounded number, and only while we know it.

import type { Ground } from "../base/ground.js";
import { compactAddress } from "../codec/compact-address.js";
import type { Family } from "../dht/contact.js";
import type { KrpcReader } from "../dht/krpc-reader.js";
import { LruFilter } from "./filter/lru-filter.js";

const HASHES_MAX = 4096;

export class Passive {
  /** How often our address was told. */
  injected = 0;
  readonly #hashes: LruFilter;
  /** The same, in their order: LruFilter does not tell what it forgets. */
  readonly #order = new Map<string, Uint8Array>();
  #endpoint: Uint8Array | undefined;
  #host: string | undefined;

  constructor(ground: Ground) {
    const key = new Uint8Array(8);
    ground.fillRandom(key, 0);
    this.#hashes = new LruFilter(HASHES_MAX, new Uint32Array(key.buffer));
  }

  has(bytes: Uint8Array, at: number): boolean {
    return this.#hashes.has(bytes, at);
  }

  /** Could not be had. Those that make room for it. */
  add(infoHash: Uint8Array): Uint8Array[] {
    const key = Buffer.from(infoHash).toString("latin1");
    const forgotten: Uint8Array[] = [];
    this.#order.delete(key);
    this.#order.set(key, infoHash);
    for (const oldest of this.#order.values()) {
      if (this.#order.size <= HASHES_MAX) break;
      this.forget(oldest);
      forgotten.push(oldest);
    }
    this.#hashes.seen(infoHash, 0);
    return forgotten;
  }

  /** True if it was there. */
  forget(infoHash: Uint8Array): boolean {
    this.#hashes.forget(infoHash, 0);
    return this.#order.delete(Buffer.from(infoHash).toString("latin1"));
  }

  /** Where others reach us; undefined: nobody knows. */
  endpointIs(host: string | undefined, port: number): void {
    if (host === this.#host) return;
    this.#host = host;
    const address = host === undefined ? undefined : compactAddress(host);
    this.#endpoint = address && Uint8Array.of(...address, port >> 8, port & 0xff);
  }

  /** For the DHT: our endpoint, where it is to stand among the peers of an answer. */
  inject(query: KrpcReader, family: Family): Uint8Array | undefined {
    const endpoint = this.#endpoint;
    if (endpoint === undefined || endpoint.length !== (family === 4 ? 6 : 18)) return undefined;
    if (!this.#hashes.has(query.bytes, query.targetAt)) return undefined;
    this.injected++;
    return endpoint;
  }
}
