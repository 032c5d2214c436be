// Peers that lookups find, as an async iterator: each endpoint once, as it comes; the end when all lookups are complete. Who stops
// iterating stops the lookups.
//
// Always: what waits for the reader is bounded; beyond it peers are dropped, as nodes are free to tell any number of them.

import type { SocketAddress } from "../native/binding.js";
import type { Candidate } from "./candidates.js";
import { type Contact, endpointKey } from "./contact.js";
import type { KrpcReader } from "./krpc-reader.js";
import type { Lookup, LookupListener } from "./lookup.js";
import { readPeers } from "./peers.js";
import { ResultStream } from "./result-stream.js";

const PEERS_MAX = 4096;

export class PeerStream extends ResultStream<SocketAddress> implements LookupListener {
  readonly #lookups = new Set<Lookup>();
  readonly #known = new Set<number | string>();
  /** Lookups that are not complete; and one until begun() says that there will be no more of them. */
  #following = 1;

  /** Begins a lookup that tells us; it may be complete at once. */
  follow(begin: (listener: LookupListener) => Lookup): void {
    if (this.isOver) return;
    this.#following++;
    const lookup = begin(this);
    if (!lookup.isComplete) this.#lookups.add(lookup);
  }

  /** All lookups have begun: when they are complete, so is this. */
  begun(): void {
    if (--this.#following === 0) this.end(undefined);
  }

  heard(_lookup: Lookup, { contact }: Candidate, answer: KrpcReader): void {
    this.take(contact, answer);
  }

  /** An answer of `by`. */
  take(by: Contact, answer: KrpcReader): void {
    readPeers(answer, by, (family, at) => {
      if (this.#known.size >= PEERS_MAX) return;
      const key = endpointKey(answer.bytes, at, family);
      if (this.#known.has(key)) return;
      return (peer) => {
        this.#known.add(key);
        this.push(peer);
      };
    });
  }

  converged(): void {}

  completed(lookup: Lookup): void {
    this.#lookups.delete(lookup);
    if (--this.#following === 0) this.end(undefined);
  }

  protected override stopSources(): void {
    for (const lookup of [...this.#lookups]) lookup.stop();
  }
}
