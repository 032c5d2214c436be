// What earlier connections of a network were sent, when they were served last, and whether they held a slot for nothing, or were let go
// because they asked for more at once than anybody may: whoever leaves and comes again is nobody new.
//
// Always: bounded, the network that nobody left for the longest time goes first; nothing of this machine's own addresses, since who is
// behind them cannot be told apart.

import { isLoopback, networkOf } from "../../base/network-address.js";

export const NETWORKS_MAX = 4096;
/** So long a slot that was held for nothing, or a flood of requests, counts against those that come from there. */
const LAPSED_MS = 10 * 60_000;

interface Past {
  readonly sentBytes: number;
  readonly servedMs: number | undefined;
  readonly lapsedUntilMs: number;
  readonly floodedUntilMs: number;
}

/** A connection that ends, as far as serving it went. */
export interface EndedUpload {
  readonly sentBytes: number;
  /** When it was served last; undefined: it never was. */
  readonly servedMs: number | undefined;
  /** It had a slot last, and took nothing. */
  readonly lapsed: boolean;
  /** It was let go because it asked for more at once than anybody may, with a slot or without. */
  readonly flooded: boolean;
}

export class PastUploads {
  readonly #networks = new Map<string, Past>();
  /** Until when any of them counts as one that floods. */
  #floodedUntilMs = 0;

  get size(): number {
    return this.#networks.size;
  }

  left(host: string, { sentBytes, servedMs, lapsed, flooded }: EndedUpload, nowMs: number): void {
    if ((sentBytes === 0 && servedMs === undefined && !flooded) || isLoopback(host)) return;
    const network = networkOf(host);
    const before = this.#networks.get(network);
    if (flooded) this.#floodedUntilMs = nowMs + LAPSED_MS;
    // Whoever had no slot, and was given blocks all the same, has shown nothing.
    const hasShown = servedMs !== undefined;
    this.#networks.delete(network);
    this.#networks.set(network, {
      sentBytes: (before?.sentBytes ?? 0) + sentBytes,
      servedMs: servedMs ?? before?.servedMs,
      lapsedUntilMs: lapsed || flooded ? nowMs + LAPSED_MS : hasShown ? 0 : (before?.lapsedUntilMs ?? 0),
      floodedUntilMs: flooded ? nowMs + LAPSED_MS : (before?.floodedUntilMs ?? 0),
    });
    if (this.#networks.size <= NETWORKS_MAX) return;
    for (const oldest of this.#networks.keys()) {
      this.#networks.delete(oldest);
      return;
    }
  }

  /** Payload that connections were sent which are over. */
  sentBytes(host: string): number {
    return this.#find(host)?.sentBytes ?? 0;
  }

  /** When one of them was served last, as far as is known. */
  servedMs(host: string): number | undefined {
    return this.#find(host)?.servedMs;
  }

  /** The last of them that was served took nothing, or one asked for more than anybody may, not long ago. */
  hasLapsed(host: string, nowMs: number): boolean {
    return (this.#find(host)?.lapsedUntilMs ?? 0) > nowMs;
  }

  /** One of them asked for more than anybody may, not long ago. Costs nothing where nobody did. */
  hasFlooded(host: string, nowMs: number): boolean {
    return this.#floodedUntilMs > nowMs && (this.#find(host)?.floodedUntilMs ?? 0) > nowMs;
  }

  #find(host: string): Past | undefined {
    return this.#networks.size === 0 ? undefined : this.#networks.get(networkOf(host));
  }
}
