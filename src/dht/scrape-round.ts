// How many seeds and other peers a torrent has, by what the nodes nearest to it say (BEP 33): a lookup that asks for filters, which are put together.
//
// Always: filters of the nearest that answered count, and no others; they say some thousand at the most.

import { type Candidate, LOOKUP_CONTACTS } from "./candidates.js";
import type { KrpcReader } from "./krpc-reader.js";
import { BLOOM_BYTES, METHOD_GET_PEERS } from "./krpc-reader.js";
import type { Lookup, LookupListener } from "./lookup.js";
import type { Overlay } from "./overlay.js";

export interface Filters {
  readonly seeds: Uint8Array;
  readonly peers: Uint8Array;
}

export class ScrapeRound implements LookupListener {
  readonly #filters = new Map<Candidate, Filters>();
  #resolve!: (filters: Filters[]) => void;

  /** Resolves to the filters of the nearest nodes that have any; rejects with the signal's reason. */
  async run(overlay: Overlay, infoHash: Uint8Array, signal: AbortSignal | undefined): Promise<Filters[]> {
    signal?.throwIfAborted();
    let lookup: Lookup | undefined;
    const onAbort = (): void => lookup?.stop();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const filters = await new Promise<Filters[]>((resolve) => {
        this.#resolve = resolve;
        lookup = overlay.lookup(infoHash, METHOD_GET_PEERS, this, { scrapes: true });
      });
      signal?.throwIfAborted();
      return filters;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  heard(_lookup: Lookup, candidate: Candidate, answer: KrpcReader): void {
    if (answer.bloomSeedsAt < 0 || answer.bloomPeersAt < 0) return;
    const copy = (at: number): Uint8Array => answer.bytes.slice(at, at + BLOOM_BYTES);
    this.#filters.set(candidate, { seeds: copy(answer.bloomSeedsAt), peers: copy(answer.bloomPeersAt) });
  }

  converged(lookup: Lookup): void {
    // With fewer than there should be, those that are only late are waited for.
    if (lookup.found().length >= LOOKUP_CONTACTS) lookup.stop();
  }

  completed(lookup: Lookup): void {
    const nearest = lookup.found().flatMap((candidate) => this.#filters.get(candidate) ?? []);
    this.#resolve(nearest);
  }
}
