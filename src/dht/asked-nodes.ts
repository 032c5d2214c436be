// Whom samplers have asked, and until when each is to be left alone: by subscriber (an IPv4 address, a /64), for all samplers of an overlay, those that
// come later included.
//
// Always: of one /48 so many are remembered at one time and no others asked, for whoever has one has 65,536 subscribers' networks, each of
// which could name the next, so that nobody else was met any more, nor remembered.

/** More than a honest site has, of which many nodes are customers' of one host. */
export const SITE_ASKED_MAX = 64;
/** Of keys that are a /64, and of the /48 that it is in. */
const NETWORK_BYTES = 8;
const SITE_BYTES = 6;

export class AskedNodes {
  /** Who was asked first comes first. */
  readonly #untilMs = new Map<number | string, number>();
  readonly #sites = new Map<string, number>();

  get size(): number {
    return this.#untilMs.size;
  }

  /** True if a subscriber is not to be asked now: it was, or enough others of its site were. */
  isLeftAlone(key: number | string, nowMs: number): boolean {
    const untilMs = this.#untilMs.get(key);
    if (untilMs !== undefined) return untilMs > nowMs;
    const site = siteOf(key);
    return site !== undefined && (this.#sites.get(site) ?? 0) >= SITE_ASKED_MAX;
  }

  leaveAlone(key: number | string, untilMs: number): void {
    if (!this.#untilMs.has(key)) this.#count(key, 1);
    this.#untilMs.set(key, untilMs);
  }

  /** Looks at so many of the oldest: those whose time is over are forgotten, others go to the end of the line. */
  forget(nowMs: number, most: number): void {
    let looks = Math.min(most, this.#untilMs.size);
    for (const [key, untilMs] of this.#untilMs) {
      if (looks-- === 0) return;
      this.#untilMs.delete(key);
      if (untilMs > nowMs) this.#untilMs.set(key, untilMs);
      else this.#count(key, -1);
    }
  }

  #count(key: number | string, change: 1 | -1): void {
    const site = siteOf(key);
    if (site === undefined) return;
    const count = (this.#sites.get(site) ?? 0) + change;
    if (count === 0) this.#sites.delete(site);
    else this.#sites.set(site, count);
  }
}

/** Undefined: it is no /64, but an IPv4 address, or an endpoint of this machine. */
function siteOf(key: number | string): string | undefined {
  return typeof key === "string" && key.length === NETWORK_BYTES ? key.slice(0, SITE_BYTES) : undefined;
}
